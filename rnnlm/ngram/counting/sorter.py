"""Sorting the records of a shard, and the nodes that they make: the scratch of one thread."""

from __future__ import annotations

import numpy as np

from rnnlm.ngram.counting.suffix_sort import (
    compare,
    count_nodes,
    emit,
    emit_counted,
    emit_words,
    gather,
    pack_rows,
    place_nodes,
    radix_sort,
    refine,
    write_transitions,
)
from rnnlm.ngram.orders import continuation_counts


def words_per_key(bits: int) -> int:
    return 3 if bits <= 21 else 2


class Sorter:
    """The scratch of one thread: sorts the records of a shard and makes their nodes (``sizes``, ``words``, ``nodes``).

    ``staged``: the nodes are made by ``rows``, and only copied to where they belong.  ``continuation``: as in
    ``CountedTrie``.
    """

    def __init__(self, order: int, bits: int, largest: int, *, staged: bool = False, continuation: bool = False):
        self.order, self.bits, self.per_key = order, bits, words_per_key(bits)
        self._staged, self._continuation = staged, continuation
        self.n_keys = n_keys = -(-order // self.per_key)
        self._keys = np.empty((largest, n_keys), np.uint64)
        self._pairs, self._other, self._third = (np.empty((largest, 2), np.uint64) for _ in range(3))
        self._counters = np.empty((6, 1 << 11), np.uint32)
        self._stack = np.empty((64, 2), np.int64)
        self._columns = np.empty((n_keys, largest), np.uint64)
        self._common, self._length = np.empty(largest, np.uint8), np.empty(largest, np.uint8)
        self._below, self._following = np.empty(largest, np.uint32), np.empty(largest, np.uint32)
        self._stage = np.empty((order if staged else 1, largest + 2, 4), np.uint32)
        self.sizes = np.zeros(order, np.int64)

    @property
    def words(self) -> np.ndarray:
        """(words, 4) uint32: the nodes of order 1; children count from 0."""
        return self._stage[0, : self.sizes[0]]

    @property
    def scratch(self) -> np.ndarray:
        """(4 n,) uint32: memory that is not in use once n records are sorted."""
        return self._third.reshape(-1).view(np.uint32)

    def text(self, text: np.ndarray, positions: np.ndarray, eos: int) -> None:
        """Sort the records at these positions."""
        self.keys, self.following = self._keys, self._following
        shape = (self.order, self.bits, self.per_key)
        gather(text, positions, eos, *shape, self.keys, self._pairs, self.following)
        self._sort(positions.size)
        self._emit_words()

    def packed(self, keys: np.ndarray, following: np.ndarray) -> None:
        """Sort records that were packed before (``_Packed``)."""
        self.keys, self.following = keys, following
        self._pairs[: len(keys), 0] = keys[:, 0]
        self._pairs[: len(keys), 1] = np.arange(len(keys))
        self._sort(len(keys))
        self._emit_words()

    def nodes(self, n: int, first_child: int, out: np.ndarray, start: int) -> None:
        """Make the nodes of order n >= 2 at out[start:]; their children begin at first_child.

        For all orders, the longest first: what is known of one is where the nodes of the next have their children.
        """
        if self._staged:
            place_nodes(self._stage[n - 1], int(self.sizes[n - 1]), first_child, out, start)
            return
        shape = (self.n, n - 1, int(self.sizes[n - 1]), self.order, self.bits, self.per_key)
        emit(*shape, self._columns, self._common, self._length, self._below, first_child, out, start)
        if self._continuation and n < self.order:
            rows = out[start : start + int(self.sizes[n - 1])]
            continuation_counts(rows, first_child + int(self.sizes[n]))

    def contexts(self, rows: np.ndarray, following: np.ndarray) -> None:
        """Sort contexts (n, N), newest words first; ``following`` (n,) are the words after them."""
        self.keys, self.following = self._keys, self._following
        pack_rows(rows, self.bits, self.per_key, self.keys, self._pairs)
        self.following[: len(rows)] = following
        self._sort(len(rows))
        self._emit_words()

    def rows(self, rows: np.ndarray, weights: np.ndarray) -> None:
        """Make the nodes of these n-grams (n, N), newest words first, which have counts of their own (n,) int64."""
        self.keys = self._keys
        pack_rows(rows, self.bits, self.per_key, self.keys, self._pairs)
        self._sort(len(rows))
        shape = (self.n, self.order, self.bits, self.per_key)
        emit_counted(self._sorted, self.keys, *shape, weights, self._stage, self.sizes)

    def write_transitions(self, same_word: bool, out: np.ndarray) -> None:
        """Write what was sorted last as ``CountedTrie.transitions``; same_word: the shard before ends with its word."""
        write_transitions(self._sorted, self.n, self.following, self._common, self._length, same_word, out)

    def _sort(self, n: int) -> None:
        pairs, other = self._pairs[:n], self._other[:n]
        if radix_sort(pairs, other, n, self._counters):
            pairs, other = other, pairs
        if self.keys.shape[1] > 1:
            refine(pairs, self.keys, n, other, self._third, self._counters, self._stack)
        self.n, self._sorted = n, pairs
        shape = (n, self.order, self.bits, self.per_key)
        compare(pairs, self.keys, *shape, self._columns, self._common, self._length)
        count_nodes(n, self._common, self._length, self.sizes)

    def _emit_words(self) -> None:
        shape = (self.n, self.order, self.bits, self.per_key)
        emit_words(*shape, self._columns, self._common, self._length, self._stage[0])
