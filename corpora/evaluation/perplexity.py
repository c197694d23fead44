"""The evaluator of every model: log probabilities of a text, counted as SRILM and KenLM count them.

Conventions, for a text of ``words`` words (sentence ends apart) in ``sentences`` sentences:

* A word outside the model's vocabulary (OOV) costs what the policy says.  ``skip``, SRILM's rule: it
  counts neither in the log probability nor in the denominators.  ``unk``: it is the ordinary word
  ``<unk>``, which the model must have.  ``floor``: it counts a given log10 probability.
* A word of the vocabulary whose probability is zero is one of SRILM's zeroprobs: left out of the log
  probability and of the denominators, and counted.
* tokens = words + sentences - left out, where left out = zeroprobs, and with ``skip`` the OOVs.
  perplexity (SRILM's ppl, KenLM's "excluding OOVs") = 10^(-log10_prob / tokens);
  ppl1 = 10^(-log10_prob / (tokens - sentences)), which counts the log probability of sentence ends too;
  bits_per_word = log2 perplexity.
* perplexity_including_oov (KenLM's "including OOVs") does not depend on the policy: every OOV counts
  the probability of ``<unk>``, over words + sentences.  Infinite where the model has no ``<unk>``.

What has no tokens has an undefined perplexity, held as NaN.  Sums are float64.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from corpora.errors import CorpusError
from corpora.evaluation.language_model import LanguageModel, Scored

if TYPE_CHECKING:
    from corpora.text.stream import TokenStream

OOV_POLICIES = ("skip", "unk", "floor")
FLOOR = -8.0  # log10: what rnnlm 0.4b takes for a word outside the vocabulary
BLOCK = 1 << 16  # tokens: many sentences for a model that scores them in batches, and little memory
SUMMARY_KEYS = (
    "sentences",
    "words",
    "oov",
    "log10_prob",
    "perplexity",
    "ppl1",
    "perplexity_including_oov",
    "bits_per_word",
    "words_per_second",
    "zeroprobs",
    "oov_policy",
)


@dataclass(frozen=True)
class Block:
    """n scored tokens of a text: whole sentences, or a part of a sentence that is longer than a block.

    ``ids`` (n,) int32 in the text's own vocabulary, 0 a sentence end, -1 a word that it lacks.
    ``ends`` (s,): the positions of sentence ends.  ``log10_prob`` (n,) float64: as the policy counts
    it, -inf where a word is left out.  ``by_policy`` (n,) bool: an OOV that costs what the policy
    says, and not the probability of ``<unk>``.  ``seconds``: spent on scoring.
    """

    ids: np.ndarray
    ends: np.ndarray
    scored: Scored
    log10_prob: np.ndarray
    by_policy: np.ndarray
    seconds: float = 0.0

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def left_out(self) -> np.ndarray:
        """(n,) bool: skipped OOVs and zeroprobs."""
        return self.log10_prob == -np.inf

    @property
    def starts(self) -> np.ndarray:
        """Where sentences begin, (m,); the last one may lack its end, the first its beginning."""
        starts = np.concatenate([[0], self.ends + 1])
        return starts[starts < len(self)]


@dataclass(frozen=True)
class Tally:
    """Counts and sums of a text; or arrays (m,) of them, for each of m sentences.

    ``words``: without sentence ends.  ``oov``: words outside the model's vocabulary, whatever the
    policy; ``skipped``: those of them that were left out.  ``log10_prob``: of what was counted;
    ``all_log10_prob``: of every token, an OOV as ``<unk>``.  ``seconds``: of mapping ids and scoring;
    ``total_seconds``: of everything, reports included.
    """

    sentences: int | np.ndarray = 0
    words: int | np.ndarray = 0
    oov: int | np.ndarray = 0
    skipped: int | np.ndarray = 0
    zeroprobs: int | np.ndarray = 0
    log10_prob: float | np.ndarray = 0.0
    all_log10_prob: float | np.ndarray = 0.0
    seconds: float = 0.0
    total_seconds: float = 0.0
    oov_policy: str = "skip"

    @property
    def tokens(self) -> int | np.ndarray:
        """Words and sentence ends that count."""
        return self.words + self.sentences - self.skipped - self.zeroprobs

    @property
    def perplexity(self):
        """With sentence ends, without what was left out: SRILM's ppl."""
        return perplexity(self.log10_prob, self.tokens)

    @property
    def ppl1(self):
        """SRILM's ppl1: the same log probability over the words alone."""
        return perplexity(self.log10_prob, self.tokens - self.sentences)

    @property
    def perplexity_including_oov(self):
        """KenLM's: everything counts, an OOV as ``<unk>``."""
        return perplexity(self.all_log10_prob, self.words + self.sentences)

    @property
    def bits_per_word(self):
        """-log2 probability over the tokens that count: log2 of the perplexity."""
        with np.errstate(invalid="ignore", divide="ignore"):
            bits = -np.asarray(self.log10_prob) * math.log2(10) / np.asarray(self.tokens, np.float64)
        bits = np.where(np.asarray(self.tokens) > 0, bits, np.nan) + 0.0  # + 0.0: no negative zero
        return bits if bits.ndim else float(bits)

    @property
    def words_per_second(self) -> float:
        """Words and sentence ends scored in a second of scoring; NaN where no time was measured."""
        return (self.words + self.sentences) / self.seconds if self.seconds > 0 else math.nan

    def summary(self) -> dict:
        """The figures under the keys of ``SUMMARY_KEYS``; None for what is infinite or undefined."""
        values = {key: getattr(self, key) for key in SUMMARY_KEYS}
        return {
            key: None if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in values.items()
        }

    @classmethod
    def of(cls, block: Block) -> Tally:
        """The tally of a whole block."""

        def count(x: np.ndarray) -> int:
            return int(np.count_nonzero(x))

        return _tally(block, lambda x: x.sum().item(), count, len(block.ends), len(block), block.seconds)

    @classmethod
    def by_sentence(cls, block: Block) -> Tally:
        """Arrays (m,): of each sentence that ends in a block, and last of a rest without an end."""
        starts = block.starts
        lengths = np.diff(starts, append=len(block))
        ended = (np.arange(len(starts)) < len(block.ends)).astype(np.int64)

        def add(x: np.ndarray) -> np.ndarray:
            return np.add.reduceat(x, starts) if x.size else x

        return _tally(block, add, lambda x: add(x.astype(np.int64)), ended, lengths, 0.0)

    @classmethod
    def total(cls, tallies: list[Tally], *, total_seconds: float = 0.0, oov_policy: str = "skip") -> Tally:
        """The sum of scalar tallies; the floats are summed exactly (math.fsum)."""
        sums = {}
        for field in fields(cls)[:-2]:
            values = [getattr(tally, field.name) for tally in tallies]
            sums[field.name] = math.fsum(values) if isinstance(field.default, float) else sum(values)
        return cls(**sums, total_seconds=total_seconds, oov_policy=oov_policy)


def _tally(block: Block, add: Callable, count: Callable, sentences, tokens, seconds: float) -> Tally:
    left_out = block.left_out
    return Tally(
        sentences=sentences,
        words=tokens - sentences,
        oov=count(block.scored.oov),
        skipped=count(left_out & block.by_policy),
        zeroprobs=count(left_out & ~block.by_policy),
        log10_prob=add(np.where(left_out, 0.0, block.log10_prob)),
        all_log10_prob=add(np.asarray(block.scored.log10_prob, np.float64)),
        seconds=seconds,
    )


def perplexity(log10_prob, tokens):
    """10^(-log10_prob / tokens), elementwise; NaN without tokens, infinity where it is too large for a float64."""
    log10_prob, tokens = np.asarray(log10_prob, np.float64), np.asarray(tokens, np.float64)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        result = np.where(tokens > 0, 10.0 ** (-log10_prob / tokens), np.nan)
    return result if result.ndim else float(result)


def check_policy(lm: LanguageModel, oov: str, floor: float = FLOOR) -> None:
    """Raise ValueError or CorpusError for a policy that is unknown or that a model cannot follow."""
    if oov not in OOV_POLICIES:
        raise ValueError(f"`oov` {oov}: one of {', '.join(OOV_POLICIES)}")
    if oov == "floor" and not (math.isfinite(floor) and floor <= 0):
        raise ValueError(f"floor {floor:g}: a log10 probability, finite and at most 0")
    if oov == "unk" and lm.vocab.unk_id < 0:
        raise CorpusError(
            "`oov` unk: the model's vocabulary has no <unk>; use `oov` skip or `oov` floor, or a model that has one"
        )


def blocks(ids: np.ndarray, size: int = BLOCK) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Cut ids (N,) into blocks of whole sentences of at most ``size`` tokens; a longer sentence is split.

    Yields the ids (n,) and the positions (s,) of the sentence ends among them.
    """
    start = 0
    while start < len(ids):
        block = np.asarray(ids[start : start + size])
        ends = np.flatnonzero(block == 0)
        if start + size < len(ids) and ends.size:
            block = block[: ends[-1] + 1]
        yield block, ends
        start += len(block)


def score_blocks(
    lm: LanguageModel,
    stream: TokenStream,
    *,
    oov: str = "skip",
    floor: float = FLOOR,
    entropy: bool = False,
    block_size: int = BLOCK,
) -> Iterator[Block]:
    """Score a text that was encoded with a vocabulary of its own, block after block, from ``lm.start()``.

    An id -1 in the stream is an OOV.  The blocks are the same for every model.
    Raises as ``check_policy``; CorpusError where a probability is not a number.
    """
    check_policy(lm, oov, floor)
    model_ids = lm.vocab.translation(stream.vocab.words)
    state, position = lm.start(), 0
    for ids, ends in blocks(stream.ids, block_size):
        began = time.perf_counter()
        scored, state = lm.score_ids(model_ids.take(ids, mode="wrap"), state, entropy=entropy)
        seconds = time.perf_counter() - began
        log10_prob = np.asarray(scored.log10_prob, np.float64)
        undefined = np.isnan(log10_prob)
        if scored.entropy_bits is not None:
            undefined |= ~np.isfinite(scored.entropy_bits)
        if undefined.any():
            raise CorpusError(
                f"token {position + int(undefined.argmax()) + 1} of the text: a probability is not a number; "
                "the model diverged (in dynamic evaluation, a smaller learning rate helps)"
            )
        by_policy = np.zeros(len(ids), bool) if oov == "unk" else scored.oov
        if by_policy.any():
            log10_prob = np.where(by_policy, floor if oov == "floor" else -np.inf, log10_prob)
        yield Block(ids, ends, scored, log10_prob, by_policy, seconds)
        position += len(ids)


def evaluate(
    lm: LanguageModel,
    stream: TokenStream,
    *,
    oov: str = "skip",
    floor: float = FLOOR,
    on_block: Callable[[Block], None] | None = None,
    block_size: int = BLOCK,
) -> Tally:
    """The tally of a text under a model; ``on_block`` gets every block in order (a report, a progress bar).

    oov: skip | unk | floor; floor: the log10 probability of an OOV under the last.  Errors: ``score_blocks``.
    """
    began = time.perf_counter()
    tallies = []
    for block in score_blocks(lm, stream, oov=oov, floor=floor, block_size=block_size):
        tallies.append(Tally.of(block))
        if on_block is not None:
            on_block(block)
    return Tally.total(tallies, total_seconds=time.perf_counter() - began, oov_policy=oov)
