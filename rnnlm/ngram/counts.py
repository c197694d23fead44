"""Counting: the n-grams of all orders of a text, as the nodes of a suffix trie with their counts.

Legend: V words, N the order, M nodes of an order.

The positions of the text are dealt out to shards, ranges of the newest two words; threads sort shard
after shard and make their nodes, which are put down in the order of the shards.  So the result does
not depend on the number of threads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from rnnlm.ngram.arena import Arena
from rnnlm.ngram.suffix_sort import (
    count_shards,
    count_words,
    deal_rows,
    emit,
    emit_counted,
    finish_unigrams,
    gather,
    pack_rows,
    place_nodes,
    place_unigrams,
    radix_sort,
    refine,
    scatter_positions,
    to_internal,
)
from rnnlm.ngram.trie import FIRST_WORD, NONE, PROB, START, internal_ids

SHARD = 1 << 16  # records: they are sorted inside the second cache level
_WORTH_THREADS = 1 << 18  # records


@dataclass
class CountedTrie:
    """nodes as in ``Trie``, with the count of each n-gram in the place of its log10 probability.

    The last column of ``nodes[0]`` and of the middle orders is 0.  ``internal`` (V + 1,): ``internal_ids``.
    ``arena``: where the arrays live.
    """

    nodes: list[np.ndarray]
    internal: np.ndarray
    arena: Arena

    @property
    def order(self) -> int:
        return len(self.nodes)

    def counts(self, order: int) -> np.ndarray:
        """(M,) uint32 view: the counts of one order; of order 1 by internal id."""
        return self.nodes[order - 1][:-1, count_column(self, order)]


def count_column(trie, order: int) -> int:
    """The column of ``nodes[order - 1]`` that holds counts, later probabilities."""
    return PROB if trie.nodes[order - 1].shape[1] == 4 else 1


def count_ids(
    ids: np.ndarray,
    n_words: int,
    order: int,
    *,
    rename: np.ndarray | None = None,
    threads: int = 1,
    arena: Arena | None = None,
    batch: int | None = None,
    progress: Callable[[int], object] | None = None,
) -> CountedTrie:
    """Count the n-grams of orders 1 to N of a text in memory or mapped.

    ids (n,) int32, 0 a sentence end, -1 a gap: no n-gram crosses it.  They are overwritten.
    ``rename`` (V,) int64: the ids in the result, where they are not those of the text; 0 stays 0.
    ``batch``: positions that are held at a time (all).  ``progress`` gets numbers of positions done.
    """
    arena = arena or Arena()
    internal = internal_ids(n_words)
    new = internal if rename is None else np.append(internal[rename], np.uint32(NONE))
    text = ids.view(np.uint32)
    threads = threads if text.size >= _WORTH_THREADS else 1
    bounds = np.linspace(0, text.size, threads + 1).astype(np.int64)
    spans = list(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True))
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda span: to_internal(text[span[0] : span[1]], new), spans))
        plan = _Plan(text, internal, pool, spans)
        nodes = _sort_all(text, plan, order, pool, threads, arena, batch or text.size, progress)
    unigrams = nodes[0]
    unigrams[START, PROB] = plan.n_sentences
    finish_unigrams(unigrams, len(nodes[1]) - 1 if order > 1 else 0)
    return CountedTrie(nodes, internal, arena)


def count_rows(
    rows: np.ndarray, weights: np.ndarray, n_words: int, *, threads: int = 1, arena: Arena | None = None
) -> CountedTrie:
    """The trie of n-grams with counts, as they stand in count files.

    rows (M, N) uint32: internal ids, the newest word first, NONE beyond the oldest; START may be the oldest.
    weights (M,) int64, below 2^32.  An n-gram that is not among the rows but ends some of them has their sum.
    """
    arena = arena or Arena()
    internal = internal_ids(n_words)
    n_ids, order = n_words + FIRST_WORD, rows.shape[1]
    bits = int(n_ids - 1).bit_length()
    starts = weights[rows[:, 0] == START].sum()
    ends = np.cumsum(np.bincount(rows[:, 0], minlength=n_ids)[FIRST_WORD:])  # where a word's rows end
    by_word = np.empty(ends[-1], np.uint32)
    deal_rows(rows, np.concatenate([[0], ends[:-1]]), by_word)
    shards, lo = [], 0
    while lo < by_word.size:
        first, full = np.searchsorted(ends, [lo, lo + SHARD], side="right").tolist()
        hi = int(ends[max(full - 1, first)])
        shards.append((lo, hi))
        lo = hi
    unigrams = np.zeros((n_ids + 1, 4), np.uint32)
    store = _Store(unigrams, [arena.rows(2 if n == order else 4, len(rows) * order + 2) for n in range(2, order + 1)])
    largest = max((hi - lo for lo, hi in shards), default=0)
    sorters = [Sorter(order, bits, largest) for _ in range(threads)]

    def shard(sorter: Sorter, lo: int, hi: int) -> None:
        sorter.rows(rows[by_word[lo:hi]], weights[by_word[lo:hi]])

    with ThreadPoolExecutor(threads) as pool:
        _in_turns(pool, sorters, shards, shard, store)
    nodes = [unigrams, *store.close(arena)]
    unigrams[START, PROB] = starts
    finish_unigrams(unigrams, len(nodes[1]) - 1 if order > 1 else 0)
    return CountedTrie(nodes, internal, arena)


class _Plan:
    """How the positions of a text are dealt out to shards, and how many each has (``sizes``)."""

    def __init__(self, text, internal, pool, spans):
        self.eos = int(internal[0])
        self.n_ids = internal.size - 1 + FIRST_WORD
        self.bits = int(self.n_ids - 1).bit_length()
        self.spans = spans
        per_span = np.zeros((len(spans), self.n_ids), np.int64)
        jobs = zip(spans, per_span, strict=True)
        list(pool.map(lambda job: count_words(text[job[0][0] : job[0][1]], job[1]), jobs))
        word_counts = per_span.sum(axis=0)
        word_counts[0] = 0
        parts = np.where(word_counts > SHARD, -(-word_counts // SHARD), 1)
        # words that are rare share a shard: a new one begins where the one before it is full
        alone = word_counts > SHARD
        filled = np.cumsum(np.where(alone, 0, word_counts)) // SHARD
        new = np.empty(self.n_ids, bool)
        new[0] = False
        new[1:] = (filled[1:] != filled[:-1]) | alone[1:] | alone[:-1]
        # a word in parts takes as many numbers as there are values of (word before * parts) >> bits
        first = np.cumsum(np.where(new, np.concatenate([[1], parts[:-1]]), 0))
        self.first_shard, self.n_parts = first.astype(np.uint32), parts.astype(np.uint32)
        n_shards = int(first[-1] + parts[-1])
        per_span = np.zeros((len(spans), n_shards), np.int64)
        sentences = pool.map(
            lambda job: count_shards(
                text, job[0][0], job[0][1], self.eos, self.first_shard, self.n_parts, self.bits, job[1]
            ),
            zip(spans, per_span, strict=True),
        )
        self.n_sentences = sum(sentences)
        self.sizes = per_span.sum(axis=0)
        self.per_span = per_span

    def batches(self, limit: int) -> list[tuple[int, int]]:
        """Ranges of shards that have at most ``limit`` positions each (or are one shard)."""
        ends = np.cumsum(self.sizes)
        ranges, lo = [], 0
        while lo < self.sizes.size:
            before = ends[lo - 1] if lo else 0
            hi = max(int(np.searchsorted(ends, before + limit, side="right")), lo + 1)
            ranges.append((lo, hi))
            lo = hi
        return ranges

    def positions(self, text, lo: int, hi: int, pool, out: np.ndarray) -> np.ndarray:
        """The starts (hi - lo + 1,) of the shards lo to hi in ``out``, which gets their positions."""
        starts = np.concatenate([[0], np.cumsum(self.sizes[lo:hi])])
        place = np.zeros((len(self.spans), self.sizes.size), np.uint64)
        earlier = np.cumsum(self.per_span[:, lo:hi], axis=0) - self.per_span[:, lo:hi]
        place[:, lo:hi] = starts[:-1] + earlier
        list(
            pool.map(
                lambda job: scatter_positions(
                    text, job[0][0], job[0][1], self.eos, self.first_shard, self.n_parts, self.bits, lo, hi, job[1], out
                ),
                zip(self.spans, place, strict=True),
            )
        )
        return starts


def words_per_key(bits: int) -> int:
    return 3 if bits <= 21 else 2


class Sorter:
    """The scratch of one thread: sorts the records of a shard and makes their nodes (``emit``)."""

    def __init__(self, order: int, bits: int, largest: int):
        self.order, self.bits, self.per_key = order, bits, words_per_key(bits)
        n_keys = -(-order // self.per_key)
        self._keys = np.empty((largest, n_keys), np.uint64)
        self._pairs, self._other, self._third = (np.empty((largest, 2), np.uint64) for _ in range(3))
        self._counters = np.empty((6, 1 << 11), np.uint32)
        self._stack = np.empty((64, 2), np.int64)
        self._columns = np.empty((n_keys, largest), np.uint64)
        self._common, self._length = np.empty(largest, np.uint8), np.empty(largest, np.uint8)
        self._below = np.empty(largest, np.uint32)
        self.stage = np.empty((order, largest + 2, 4), np.uint32)
        self.sizes = np.zeros(order, np.int64)

    def text(self, text: np.ndarray, positions: np.ndarray, eos: int) -> None:
        """Make the nodes (``stage``, ``sizes``) of the records at these positions."""
        gather(text, positions, eos, self.order, self.bits, self.per_key, self._keys, self._pairs)
        n = positions.size
        scratch = (self._columns[:, :n], self._common, self._length, self._below)
        self._emit(emit, self._sort(n), *scratch)

    def rows(self, rows: np.ndarray, weights: np.ndarray) -> None:
        """Make the nodes of these n-grams (n, N), newest words first, which have counts of their own (n,) int64."""
        n = len(rows)
        pack_rows(rows, self.bits, self.per_key, self._keys, self._pairs)
        self._emit(emit_counted, self._sort(n), weights)

    def _sort(self, n: int) -> np.ndarray:
        pairs, other = self._pairs[:n], self._other[:n]
        if radix_sort(pairs, other, n, self._counters):
            pairs, other = other, pairs
        if self._keys.shape[1] > 1:
            refine(pairs, self._keys, n, other, self._third, self._counters, self._stack)
        return pairs

    def _emit(self, make: Callable, pairs: np.ndarray, *more: np.ndarray) -> None:
        make(pairs, self._keys, len(pairs), self.order, self.bits, self.per_key, *more, self.stage, self.sizes)


def _sort_all(text, plan: _Plan, order, pool, threads, arena, limit, progress) -> list[np.ndarray]:
    n_records = int(plan.sizes.sum())
    unigrams = np.zeros((plan.n_ids + 1, 4), np.uint32)
    rows = [arena.rows(2 if n == order else 4, n_records + 2) for n in range(2, order + 1)]
    store = _Store(unigrams, rows)
    batches = plan.batches(limit)
    most = max(int(plan.sizes[lo:hi].sum()) for lo, hi in batches)
    positions = np.empty(most, np.uint32)
    largest = int(plan.sizes.max())
    sorters = [Sorter(order, plan.bits, largest) for _ in range(threads)]
    for lo, hi in batches:
        starts = plan.positions(text, lo, hi, pool, positions)
        shards = [(a, b) for a, b in pairwise(starts.tolist()) if b > a]

        def shard(sorter: Sorter, a: int, b: int) -> None:
            sorter.text(text, positions[a:b], plan.eos)
            if progress is not None:
                progress(b - a)

        _in_turns(pool, sorters, shards, shard, store)
        arena.drop()
    return [unigrams, *store.close(arena)]


def _in_turns(pool, sorters: list[Sorter], shards: list[tuple[int, int]], sort: Callable, store: _Store) -> None:
    """``sort(sorter, a, b)`` for all shards (a, b), by a thread a sorter; their nodes in the order of the shards."""
    turns = _Turns(len(shards))

    def work(sorter: Sorter) -> None:
        for number in turns:
            try:
                sort(sorter, *shards[number])
                with turns.turn(number):
                    starts = store.take(sorter)
                store.put(sorter, starts)
            except _Aborted:
                return
            except BaseException:
                turns.abort()
                raise

    list(pool.map(work, sorters))


class _Store:
    """The nodes of all shards so far."""

    def __init__(self, unigrams, rows):
        self.unigrams, self.rows = unigrams, rows

    def take(self, sorter: Sorter) -> list[int]:
        """Where the next shard's nodes begin, orders 2 to N; for the shards in order, by one thread at a time."""
        starts = [row.size for row in self.rows]
        for row, size in zip(self.rows, sorter.sizes[1:].tolist(), strict=True):
            row.size += size
        place_unigrams(sorter.stage[0], sorter.sizes[0], starts[0] if starts else 0, self.unigrams)
        if self.rows and not self.rows[0].in_memory:
            for number, row in enumerate(self.rows):
                size = int(sorter.sizes[number + 1])
                out = np.empty((size, row.data.shape[1]), np.uint32)
                first_child = starts[number + 1] if number + 1 < len(starts) else 0
                place_nodes(sorter.stage[number + 1], size, first_child, out, 0)
                row.write(out)
        return starts

    def put(self, sorter: Sorter, starts: Sequence[int]) -> None:
        """Put a shard's nodes where ``take`` said."""
        for number, row in enumerate(self.rows):
            if row.in_memory:
                first_child = starts[number + 1] if number + 1 < len(starts) else 0
                size = int(sorter.sizes[number + 1])
                place_nodes(sorter.stage[number + 1], size, first_child, row.data, starts[number])

    def close(self, arena: Arena) -> list[np.ndarray]:
        sizes = [row.size for row in self.rows]
        nodes = []
        for number, row in enumerate(self.rows):
            sentinel = (0, 0) if number + 1 == len(self.rows) else (0, sizes[number + 1], 0, 0)
            nodes.append(row.close(sentinel))
            if arena.spill:
                arena.keep(nodes[-1])
        return nodes


class _Aborted(Exception):
    """Another thread has failed, and tells why."""


class _Turns:
    """Deals out the numbers 0 to n - 1, and lets their holders do something in that order."""

    def __init__(self, n: int):
        self._n, self._next, self._turn, self._aborted = n, 0, 0, False
        self._condition = threading.Condition()

    def __iter__(self):
        while True:
            with self._condition:
                if self._next >= self._n or self._aborted:
                    return
                number, self._next = self._next, self._next + 1
            yield number

    def turn(self, number: int) -> _Turn:
        return _Turn(self, number)

    def abort(self) -> None:
        with self._condition:
            self._aborted = True
            self._condition.notify_all()


class _Turn:
    def __init__(self, turns: _Turns, number: int):
        self._turns, self._number = turns, number

    def __enter__(self) -> None:
        turns = self._turns
        with turns._condition:
            turns._condition.wait_for(lambda: turns._turn == self._number or turns._aborted)
            if turns._aborted:
                raise _Aborted

    def __exit__(self, *error) -> None:
        turns = self._turns
        with turns._condition:
            turns._turn += 1
            turns._condition.notify_all()
