"""Which words a vocabulary keeps, and in what order.  n words in order of first appearance; V words kept."""

from __future__ import annotations

import heapq
from collections import defaultdict

import numpy as np

from corpora.errors import CorpusError

ORDERS = ("first", "rnnlm")
RARE = ("unk", "drop")
MAX_TYPES = 1 << 31  # ids are int32


def sorted_order(counts: np.ndarray) -> np.ndarray:
    """Positions (n,) by descending count; ties as they stand."""
    is_small = counts < 1 << 16
    large, small = np.flatnonzero(~is_small), np.flatnonzero(is_small)
    large = large[np.argsort(-counts[large], kind="stable")]
    # nearly all words are here, and NumPy sorts 16 bits by radix, ten times faster than 64 bits
    small = small[np.argsort((0xFFFF - counts[small]).astype(np.uint16), kind="stable")]
    return np.concatenate([large, small])


def selection_order(counts: np.ndarray) -> np.ndarray:
    """The order (n,) in which rnnlm 0.4b's selection sort leaves words of these counts.

    At step a the first of the largest among positions a... is swapped with position a, so the word
    that stood there moves back behind words of its own count.  Done here with one heap of positions
    a count, in O(n log n): the word at position a is always the first of its count.
    """
    n = len(counts)
    standing = list(range(n))  # the word at each position
    values = counts.tolist()
    positions: dict[int, list[int]] = defaultdict(list)
    for position, count in enumerate(values):
        positions[count].append(position)  # ascending, so already a heap
    for a, count in enumerate(sorted(values, reverse=True)):
        heap = positions[count]
        first = heapq.heappop(heap)
        if first != a:
            displaced = standing[a]
            heapq.heapreplace(positions[values[displaced]], first)
            standing[a], standing[first] = standing[first], displaced
    return np.array(standing, np.int64)


def select(
    counts, eos: int, unk: int, *, min_count: int, max_size: int | None, order: str, n_words: int, rare: str = "unk"
):
    """Choose and sort words; ``Vocab.from_counts`` says by what rule.

    counts (n,); eos, unk: the positions of ``</s>`` and ``<unk>`` among the words, or -1.
    Returns chosen (V,) int64, the positions of the words in their new order, where n means a new
    ``<unk>`` and n + 1 a new ``</s>``; their counts (V,) int64; and new_id (n,) int32, -1: dropped.
    """
    counts = np.asarray(counts, np.int64)
    replace = rare == "unk"
    _require_possible(counts, n_words, order, rare, max_size)
    if not replace:
        unk = -1  # a word like others
    sort = sorted_order if order == "first" else selection_order
    ordinary = np.ones(n_words, bool)
    ordinary[[i for i in (eos, unk) if i >= 0]] = False
    keep, has_unk = _kept(counts, ordinary, unk, replace, min_count, max_size, sort)
    dropped = np.flatnonzero(ordinary & ~keep)
    if dropped.size and not keep.any():
        limits = f"`min_count` {min_count}" + (f" and `max_vocab` {max_size}" if max_size is not None else "")
        raise CorpusError(f"no word is left in the vocabulary after {limits}")
    standing = np.flatnonzero(keep)
    new_counts = counts[standing]
    if has_unk:
        standing, new_counts = _with_unk(counts, standing, dropped, unk)
    by_count = sort(new_counts)
    chosen = np.concatenate([[eos if eos >= 0 else n_words + 1], standing[by_count]]).astype(np.int64)
    new_counts = np.concatenate([[counts[eos] if eos >= 0 else 0], new_counts[by_count]]).astype(np.int64)

    new_id = np.zeros(n_words + 2, np.int32)
    new_id[chosen] = np.arange(chosen.size, dtype=np.int32)
    if dropped.size:
        new_id[dropped] = new_id[unk if unk >= 0 else n_words] if replace else -1
    return chosen, new_counts, new_id[:n_words]


def _require_possible(counts: np.ndarray, n_words: int, order: str, rare: str, max_size: int | None) -> None:
    """ValueError for what is no such option, CorpusError for a vocabulary that cannot be so small."""
    if order not in ORDERS:
        raise ValueError(f"vocabulary order {order}: one of {', '.join(ORDERS)}")
    if rare not in RARE:
        raise ValueError(f"rare words {rare}: one of {', '.join(RARE)}")
    if counts.shape != (n_words,):
        raise ValueError(f"{n_words} words with {counts.size} counts")
    replace = rare == "unk"
    if max_size is not None and max_size < 2 + replace:
        needed = "3 (</s>, <unk> and a word)" if replace else "2 (</s> and a word)"
        raise CorpusError(f"`max_vocab` {max_size}: at least {needed}")


def _kept(counts, ordinary, unk: int, replace: bool, min_count: int, max_size: int | None, sort):
    """Which of the ordinary words (n,) bool are kept, and whether there is an ``<unk>`` beside them."""
    keep = ordinary & (counts >= min_count)
    has_unk = replace and (unk >= 0 or bool((ordinary & ~keep).any()))
    if max_size is not None and 1 + has_unk + keep.sum() > max_size:
        has_unk = replace
        candidates = np.flatnonzero(keep)
        keep[candidates[sort(counts[candidates])[max_size - 1 - has_unk :]]] = False
    return keep, has_unk


def _with_unk(counts, standing: np.ndarray, dropped: np.ndarray, unk: int) -> tuple[np.ndarray, np.ndarray]:
    """The words and their counts with ``<unk>``, where it, or the first word that it replaces, appeared."""
    first = min([i for i in (unk, dropped[0] if dropped.size else -1) if i >= 0])
    at = np.searchsorted(standing, first)
    own = counts[unk] if unk >= 0 else 0
    new_counts = np.insert(counts[standing], at, own + counts[dropped].sum())
    return np.insert(standing, at, unk if unk >= 0 else counts.size), new_counts
