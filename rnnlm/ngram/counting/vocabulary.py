"""The vocabulary of an n-gram model: the same for a text, for its parts in any order, and for their counts."""

from __future__ import annotations

import numpy as np

from corpora.text.vocab import UNK, Vocab, WordList
from corpora.text.vocab_order import sorted_order
from rnnlm.ngram.trie import internal_ids

_BLOCK = 1 << 20


def with_unk(vocab: Vocab) -> Vocab:
    """The vocabulary with ``<unk>``, as its last word if it has none."""
    if vocab.unk_id >= 0:
        return vocab
    words = vocab.words
    extended = WordList(
        np.concatenate([words.blob, np.frombuffer(UNK, np.uint8)]),
        np.append(words.offsets, words.offsets[-1] + len(UNK)),
    )
    return Vocab(extended, np.append(vocab.counts, 0))


def by_count(words: WordList, counts: np.ndarray) -> tuple[Vocab, np.ndarray]:
    """The vocabulary of words, of which ``</s>`` is the first, by descending count, ties by their bytes.

    Also where each of them was, (V,) int64.
    """
    sorted_ = _sorted(words)
    return _taken(words, counts, np.append(0, sorted_[sorted_order(counts[sorted_])]))


def by_bytes(words: WordList, counts: np.ndarray) -> tuple[Vocab, np.ndarray]:
    """As ``by_count``, but so that the internal ids of all but ``</s>`` ascend as the bytes of the words do."""
    old = np.zeros(len(words), np.int64)
    old[1 + np.argsort(internal_ids(len(words))[1:-1])] = _sorted(words)
    return _taken(words, counts, old)


def inverse(permutation: np.ndarray) -> np.ndarray:
    """(n,) int64: where each of 0 ... n - 1 is in a permutation of them."""
    places = np.empty(permutation.size, np.int64)
    places[permutation] = np.arange(permutation.size)
    return places


def reverse(ids: np.ndarray) -> None:
    """Turn an array round, in place, without a second one of its size."""
    n = ids.size
    for start in range(0, n // 2, _BLOCK):
        stop = min(start + _BLOCK, n // 2)
        front = ids[start:stop].copy()
        ids[start:stop] = ids[n - stop : n - start][::-1]
        ids[n - stop : n - start] = front[::-1]


def _sorted(words: WordList) -> np.ndarray:
    """The positions of all words but the first, by their bytes."""
    from rnnlm.ngram.counting.word_sort import bytewise_order

    positions = bytewise_order(words)
    return positions[positions != 0]


def _taken(words: WordList, counts: np.ndarray, old: np.ndarray) -> tuple[Vocab, np.ndarray]:
    return Vocab(words.take(old), counts[old]), old
