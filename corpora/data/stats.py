"""Figures of a text: its size, its longest line, how its words are distributed, how many another text lacks."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from corpora.text.stream import TokenStream
from corpora.text.vocab import Vocab

_BLOCK = 1 << 20  # ids


@dataclass(frozen=True)
class OovStats:
    """What a text has beyond a vocabulary; rates are of all tokens and of all types."""

    tokens: int
    rate: float
    types: int
    type_rate: float


@dataclass(frozen=True)
class TextStats:
    """``tokens`` and ``types`` are without sentence ends.  A line of the text is a sentence.

    ``hapaxes``: types that occur once.  ``longest_line`` is the number, from 1, of the first line with the most
    tokens, ``longest_line_tokens``; all files count on.  ``longest_token_bytes``: after the tokenizer.
    """

    bytes: int
    sentences: int
    tokens: int
    types: int
    hapaxes: int
    tokens_per_sentence: float
    longest_line: int
    longest_line_tokens: int
    longest_token_bytes: int
    zipf_exponent: float | None
    oov: OovStats | None = None

    def to_dict(self) -> dict:
        """Plain values under flat keys; those of ``oov`` begin with ``oov_``."""
        values = asdict(self)
        oov = values.pop("oov")
        return values | {f"oov_{key}": value for key, value in (oov or {}).items()}


def text_stats(stream: TokenStream, known: Vocab | None = None) -> TextStats:
    """The figures of a text that was encoded with a vocabulary of all its words; ``known``: for its OOVs."""
    counts = stream.vocab.counts[1:]
    tokens = int(counts.sum())
    line, length = _longest_line(stream)
    return TextStats(
        bytes=int(stream.text_bytes),
        sentences=int(stream.n_sentences),
        tokens=tokens,
        types=counts.size,
        hapaxes=int((counts == 1).sum()),
        tokens_per_sentence=tokens / int(stream.n_sentences),
        longest_line=line,
        longest_line_tokens=length,
        longest_token_bytes=int(np.diff(stream.vocab.to_arrays()[1])[1:].max()),
        zipf_exponent=zipf_exponent(counts),
        oov=None if known is None else oov_stats(stream.vocab, known),
    )


def oov_stats(vocab: Vocab, known: Vocab) -> OovStats:
    """The words of ``vocab``, with their counts, that ``known`` lacks.  A literal ``<unk>`` is a word like others."""
    missing = known.ids(vocab.words)[1:] < 0
    counts = vocab.counts[1:]
    n_tokens, n_types = int(counts[missing].sum()), int(missing.sum())
    return OovStats(n_tokens, n_tokens / int(counts.sum()), n_types, n_types / counts.size)


def _longest_line(stream: TokenStream) -> tuple[int, int]:
    """Number, from 1, and tokens of the first line with the most tokens."""
    best = (0, -1)
    lines, previous_end = 0, -1
    for start in range(0, stream.n_tokens, _BLOCK):
        ends = np.flatnonzero(stream.ids[start : start + _BLOCK] == 0) + start
        if not ends.size:
            continue
        lengths = np.diff(ends, prepend=previous_end) - 1
        longest = int(lengths.argmax())
        if lengths[longest] > best[1]:
            best = (lines + longest + 1, int(lengths[longest]))
        lines, previous_end = lines + ends.size, int(ends[-1])
    return best


def zipf_exponent(counts: np.ndarray, tolerance: float = 1e-9) -> float | None:
    """The exponent s >= 0 of p(r) = r^-s / H(V, s) over the ranks r = 1..V under which the counts are likeliest.

    counts (V,), in any order.  The derivative of the log likelihood in s is
    n (E_s[ln r] - mean of ln r over the tokens), which falls strictly in s, so that bisection finds
    its zero (a least-squares line through log counts would give most weight to the rarest words).
    None where it has no zero: fewer than two types.  0 where all counts are equal.
    """
    counts = np.sort(np.asarray(counts, np.float64))[::-1]
    if counts.size < 2:
        return None
    log_rank = np.log(np.arange(1, counts.size + 1))
    wanted = float(counts @ log_rank / counts.sum())

    def expected(s: float) -> float:
        weights = np.exp(-s * log_rank)
        return float(weights @ log_rank / weights.sum())

    low, high = 0.0, 1.0
    if wanted >= expected(low) - 1e-12:
        return 0.0
    while expected(high) > wanted:
        low, high = high, 2 * high
    while high - low > tolerance:
        middle = (low + high) / 2
        low, high = (middle, high) if expected(middle) > wanted else (low, middle)
    return (low + high) / 2
