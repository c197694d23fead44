"""The texts of a training run: encoded ids for training and validation, and the vocabulary of the training part."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from corpora.errors import CorpusError
from corpora.text.spool import Spool
from corpora.text.stream import TokenStream, encode
from corpora.text.tokenizers import from_spec
from corpora.text.vocab import UNK, Vocab

_BLOCK = 1 << 20


class VocabOptions(NamedTuple):
    """How the vocabulary is made: a list to take it from, or what to learn."""

    file: str | None = None
    min_count: int = 1
    max_size: int | None = None
    order: str = "first"


@dataclass
class Texts:
    """``train`` (n,) and ``valid`` (m,) int32, in memory or mapped from files; -1: not in the vocabulary.

    ``held_out``: sentences that were split off for validation.
    """

    vocab: Vocab
    train: np.ndarray
    valid: np.ndarray
    held_out: int
    sources: list[TokenStream | Spool]

    def unknown_share(self, ids: np.ndarray) -> float:
        """The share of ids (n,) that are no word of the vocabulary, or ``<unk>``."""
        unk = self.vocab.unk_id
        return sum(int(np.count_nonzero((part < 0) | (part == unk))) for part in _blocks(ids)) / ids.size

    def close(self) -> None:
        self.train = self.valid = None
        for source in self.sources:
            source.close()


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

    The vocabulary knows the training part only.  ``keep_oov``: words outside it are -1 in validation even where it
    has ``<unk>``.  CorpusError for texts that cannot be used.
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
        _require_words(vocab, train, options)
        other = encode(valid, split, vocab, keep_oov=keep_oov, **common)
        return Texts(vocab, stream.ids, other.ids, 0, [stream, other])
    with encode(train, split, given, order=options.order, keep_oov=keep_oov, **common) as stream:
        kept, held, n = hold_out(stream, share, seed, tmp)
        vocab = stream.vocab
    ids, held_ids = kept.array(), held.array()
    if given is not None:
        vocab = vocab.with_counts(_counts(ids, len(vocab)))
    else:
        old_unk = vocab.unk_id
        vocab, new_ids = relearn(vocab, ids, options)
        _renumber(ids, new_ids)
        if keep_oov:  # as in a validation text of its own: only what is <unk> literally is <unk>
            new_ids[(new_ids == vocab.unk_id) & (np.arange(new_ids.size) != old_unk)] = -1
        _renumber(held_ids, new_ids)
    _require_words(vocab, train, options)
    return Texts(vocab, ids, held_ids, n, [kept, held])


def hold_out(stream: TokenStream, share: float, seed: int, tmp: str | None = None) -> tuple[Spool, Spool, int]:
    """The ids to train on, those held out, and how many sentences these are: drawn without replacement, order kept."""
    n_sentences = stream.n_sentences
    n = max(1, round(share * n_sentences))
    if n >= n_sentences:
        few = "1 sentence is" if n_sentences == 1 else f"{n_sentences} sentences are"
        raise CorpusError(f"{few} too few to hold some out for validation; give `valid`")
    chosen = np.zeros(n_sentences, bool)
    chosen[np.random.default_rng(seed).choice(n_sentences, n, replace=False)] = True
    kept, held = Spool(tmp, at_most=stream.n_tokens), Spool(tmp, at_most=stream.n_tokens)
    sentence = 0
    for part in _blocks(stream.ids):
        is_end = part == 0
        number = sentence + np.cumsum(is_end) - is_end
        out = chosen[number]
        kept.append(part[~out])
        held.append(part[out])
        sentence += int(is_end.sum())
    return kept, held, n


def relearn(vocab: Vocab, ids: np.ndarray, options: VocabOptions) -> tuple[Vocab, np.ndarray]:
    """The vocabulary of what is left for training, and the new id of every old one (-1: gone, and no ``<unk>``)."""
    counts = np.zeros(len(vocab), np.int64)
    first = np.full(len(vocab), np.iinfo(np.int64).max)
    start = 0
    for part in _blocks(ids):
        counts += np.bincount(part, minlength=counts.size)
        words, at = np.unique(part, return_index=True)
        first[words] = np.minimum(first[words], at + start)
        start += part.size
    order = np.argsort(first, kind="stable")
    left = order[counts[order] > 0]
    new, position = Vocab.arrange(
        vocab.words.take(left), counts[left],
        min_count=options.min_count, max_size=options.max_size, order=options.order,
    )  # fmt: skip
    new_ids = np.full(len(vocab), new.index(UNK), np.int32)
    new_ids[left] = position
    return new, new_ids


def _blocks(ids: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, ids.size, _BLOCK):
        yield ids[start : start + _BLOCK]


def _counts(ids: np.ndarray, n_words: int) -> np.ndarray:
    return sum((np.bincount(part[part >= 0], minlength=n_words) for part in _blocks(ids)), np.zeros(n_words, np.int64))


def _renumber(ids: np.ndarray, new_ids: np.ndarray) -> None:
    for part in _blocks(ids):
        part[...] = new_ids[part]


def _require_words(vocab: Vocab, paths: Sequence[str], options: VocabOptions) -> None:
    """A model of sentence ends and ``<unk>`` alone would be no use to anyone."""
    left = vocab.counts.copy()
    left[0] = 0
    if vocab.unk_id >= 0:
        left[vocab.unk_id] = 0
    if left.any():
        return
    texts = ", ".join(paths)
    if options.file:
        raise CorpusError(f"{options.file}: none of its words is in the training text ({texts}); give another `vocab`")
    raise CorpusError(f"{texts}: no words to train on")


def same_text(train: Sequence[str], valid: Sequence[str], texts: Texts) -> bool:
    """Whether a validation file is a training file, or the texts are the same: validation would measure nothing."""
    named = {os.path.realpath(path) for path in train if path != "-"} & {os.path.realpath(path) for path in valid}
    return bool(named) or np.array_equal(texts.train, texts.valid)
