"""The texts of a training run: encoded ids for training and validation, and the vocabulary of the training part."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from corpora.errors import CorpusError
from corpora.stream import TokenStream, encode
from corpora.tokenize import from_spec
from corpora.vocab import UNK, Vocab

_BLOCK = 1 << 20


class VocabOptions(NamedTuple):
    """How the vocabulary is made: a list to take it from, or what to learn."""

    file: str | None = None
    min_count: int = 1
    max_size: int | None = None
    order: str = "first"


@dataclass
class Texts:
    """``train`` (n,) and ``valid`` (m,) int32, -1: not in the vocabulary.  ``held_out``: sentences that were split off."""

    vocab: Vocab
    train: np.ndarray
    valid: np.ndarray
    held_out: int
    streams: list[TokenStream]

    def close(self) -> None:
        self.train = self.valid = None
        for stream in self.streams:
            stream.close()


def read_texts(
    train: Sequence[str],
    valid: Sequence[str],
    options: VocabOptions,
    tokenizer: str = "whitespace",
    *,
    share: float = 0.05,
    seed: int = 1,
    keep_oov: bool = False,
    threads: int | None = None,
    tmp: str | None = None,
    progress: Callable[[int], object] | None = None,
) -> Texts:
    """Encode the texts of a run.  Without ``valid`` a seeded share of the training sentences is held out.

    The vocabulary knows the training part only.  CorpusError for texts that cannot be used.
    """
    split = from_spec(tokenizer)
    given = Vocab.read(options.file) if options.file else None
    common = {"threads": threads, "tmp": tmp, "progress": progress}
    if valid:
        stream = encode(
            train, split, given, min_count=options.min_count, max_vocab=options.max_size, order=options.order,
            keep_oov=keep_oov, **common,
        )  # fmt: skip
        vocab = stream.vocab if given is None else stream.vocab.with_counts(stream.counts())
        _require_words(vocab, train)
        other = encode(valid, split, vocab, keep_oov=keep_oov, **common)
        return Texts(vocab, stream.ids, other.ids, 0, [stream, other])
    stream = encode(train, split, given, order=options.order, keep_oov=keep_oov, **common)
    ids, held, n = hold_out(stream, share, seed)
    if given is not None:
        vocab = stream.vocab.with_counts(np.bincount(ids[ids >= 0], minlength=len(given)))
    else:
        vocab, new_ids = relearn(stream.vocab, ids, options)
        _renumber(ids, new_ids), _renumber(held, new_ids)
    stream.close()
    _require_words(vocab, train)
    return Texts(vocab, ids, held, n, [])


def hold_out(stream: TokenStream, share: float, seed: int) -> tuple[np.ndarray, np.ndarray, int]:
    """(training ids, held-out ids, held-out sentences): sentences drawn without replacement, order kept."""
    ends = stream.sentence_ends()
    n = max(1, round(share * ends.size))
    if n >= ends.size:
        raise CorpusError(f"{ends.size} sentences are too few to hold some out; give --valid")
    chosen = np.zeros(ends.size, bool)
    chosen[np.random.default_rng(seed).choice(ends.size, n, replace=False)] = True
    lengths = np.diff(ends, prepend=-1)
    out = np.repeat(chosen, lengths)
    text = stream.ids[: out.size]
    return np.ascontiguousarray(text[~out]), np.ascontiguousarray(text[out]), n


def relearn(vocab: Vocab, ids: np.ndarray, options: VocabOptions) -> tuple[Vocab, np.ndarray]:
    """The vocabulary of what is left for training, and the new id of every old one (-1: gone, and no ``<unk>``)."""
    counts = np.zeros(len(vocab), np.int64)
    first = np.full(len(vocab), np.iinfo(np.int64).max)
    for start in range(0, ids.size, _BLOCK):
        part = ids[start : start + _BLOCK]
        counts += np.bincount(part, minlength=counts.size)
        words, at = np.unique(part, return_index=True)
        first[words] = np.minimum(first[words], at + start)
    order = np.argsort(first, kind="stable")
    left = order[counts[order] > 0]
    new, position = Vocab.arrange(
        vocab.words.take(left), counts[left], min_count=options.min_count, max_size=options.max_size, order=options.order
    )
    new_ids = np.full(len(vocab), new.index(UNK), np.int32)
    new_ids[left] = position
    return new, new_ids


def _renumber(ids: np.ndarray, new_ids: np.ndarray) -> None:
    for start in range(0, ids.size, _BLOCK):
        ids[start : start + _BLOCK] = new_ids[ids[start : start + _BLOCK]]


def _require_words(vocab: Vocab, paths: Sequence[str]) -> None:
    if len(vocab) < 2 or vocab.total == 0:
        raise CorpusError(f"{', '.join(paths)}: no word is left for the vocabulary; lower --min-count")


def same_text(train: Sequence[str], valid: Sequence[str], texts: Texts) -> bool:
    """Whether the validation text is the training text: validation would then measure nothing."""
    named = {os.path.realpath(path) for path in train if path != "-"} & {os.path.realpath(path) for path in valid}
    return bool(named) or np.array_equal(texts.train, texts.valid)
