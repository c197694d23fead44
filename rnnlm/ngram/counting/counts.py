"""Counting: the n-grams of all orders of a text, as the nodes of a suffix trie with their counts.

Legend: V words, N the order, M nodes of an order.

The positions of the text are dealt out to shards, ranges of the newest two words; threads sort shard
after shard and make their nodes, which are put down in the order of the shards.  So the result does
not depend on the number of threads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from corpora.jobs.system import trim_memory
from rnnlm.ngram.arena import Arena, Rows
from rnnlm.ngram.counting.sorter import Sorter
from rnnlm.ngram.counting.suffix_sort import (
    count_shards,
    count_words,
    deal_rows,
    finish_unigrams,
    gather,
    place_unigrams,
    scatter_positions,
    to_internal,
)
from rnnlm.ngram.trie import FIRST_WORD, NONE, PROB, START, WORD, internal_ids

SHARD = 1 << 15  # records: they are sorted inside the second cache level
_WORTH_THREADS = 1 << 18  # records
_PIECE = 1 << 20  # words of the text at a time where memory is bounded
_A_RECORD = 5  # times the memory of a position


@dataclass
class CountedTrie:
    """nodes as in ``Trie``, with the count of each n-gram instead of its log10 probability.

    The last column of ``nodes[0]`` and of the middle orders is 0.  ``internal`` (V + 1,): ``internal_ids``.
    ``arena``: where the arrays live.  ``continuation``: the count of an n-gram of a middle order is the number of
    different words before it, unless nothing comes before it.

    transitions (R,) uint32: from a context to the next word, for every place in the text and in the order of the
    trie.  In the lowest 24 bits the word (NONE: none follows), then in 4 bits how many of its words, the newest
    first, the context has in common with the one before, and in 4 bits how many it has.  transition_starts (ids + 1,)
    int64: where those begin whose contexts end in an internal id; ``<s>`` comes before all others.
    """

    nodes: list[np.ndarray]
    internal: np.ndarray
    arena: Arena
    transitions: np.ndarray
    transition_starts: np.ndarray
    continuation: bool = False

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
    sorters: int | None = None,
    arena: Arena | None = None,
    batch: int | None = None,
    transitions: bool = True,
    continuation: bool = False,
    progress: Callable[[int], object] | None = None,
) -> CountedTrie:
    """Count the n-grams of orders 1 to N of a text in memory or mapped.

    ids (n,) int32, 0 a sentence end, -1 a gap: no n-gram crosses it.  They are overwritten.
    ``rename`` (V,) int64: the ids in the result, where they are not those of the text; 0 stays 0.
    ``sorters``: how many of the threads sort, which takes memory (all).
    ``batch``: positions that are held at a time (all).  ``transitions``: False if they are not needed, they
    are empty then.  ``continuation``: as in the result.  ``progress`` gets numbers of positions done.
    """
    arena = arena or Arena()
    internal = internal_ids(n_words)
    new = internal if rename is None else np.append(internal[rename], np.uint32(NONE))
    text = ids.view(np.uint32)
    threads = threads if text.size >= _WORTH_THREADS else 1
    bounds = np.linspace(0, text.size, threads + 1).astype(np.int64)
    spans = list(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True))
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(lambda span: [to_internal(text[a:b], new) for a, b in _pieces(arena, span)], spans):
            pass
        plan = _Plan(text, internal, pool, spans, arena)
        if arena.spill:
            trim_memory()
        own = [
            Sorter(order, plan.bits, plan.largest, continuation=continuation)
            for _ in range(min(sorters or threads, threads))
        ]
        store = _sort_all(text, plan, own, pool, arena, batch or text.size, transitions, progress)
    counted = store.finished(internal, plan.n_sentences, plan.word_counts)
    counted.continuation = continuation
    return counted


def count_rows(
    rows: np.ndarray, weights: np.ndarray, n_words: int, *, threads: int = 1, arena: Arena | None = None
) -> CountedTrie:
    """The trie of n-grams with counts, as they stand in count files.

    rows (M, N) uint32: internal ids, the newest word first, NONE beyond the oldest; START may be the oldest.
    weights (M,) int64, below 2^32.  An n-gram that is not among the rows but ends some of them has their sum.
    NoContext where one begins some of them, and is neither among the rows nor the end of any.
    """
    arena = arena or Arena()
    internal = internal_ids(n_words)
    n_ids, order = n_words + FIRST_WORD, rows.shape[1]
    sizes = [2 if n == order else 4 for n in range(2, order + 1)]
    store = _Store(n_ids, [arena.rows(columns, len(rows) * order + 2) for columns in sizes], None, arena)
    _sort_rows(rows, n_ids, threads, store, lambda sorter, part: sorter.rows(rows[part], weights[part]))
    # contexts are the n-grams without their newest words, which are what follows; and all n-grams, in whose
    # order they are numbered, are contexts, if only of nothing
    shorter = np.zeros_like(rows)
    shorter[:, :-1] = rows[:, 1:]
    contexts = np.concatenate([shorter, rows])
    following = np.concatenate([rows[:, 0], np.zeros(len(rows), np.uint32)])
    contexts_of = _Store(n_ids, [], arena.rows(1, len(contexts) + 1), arena)
    counts = _sort_rows(
        contexts, n_ids, threads, contexts_of, lambda sorter, part: sorter.contexts(contexts[part], following[part])
    )
    store.transitions = contexts_of.transitions
    counted = store.finished(internal, int(weights[rows[:, 0] == START].sum()), counts)
    _require_contexts(counted, rows)
    return counted


class NoContext(Exception):
    """An n-gram that begins longer ones has no count.  ``words``: its internal ids, the newest first."""

    def __init__(self, words: np.ndarray):
        super().__init__()
        self.words = words


def _require_contexts(counted: CountedTrie, rows: np.ndarray) -> None:
    """NoContext unless every context of two words and more is a node: estimation counts on them in one order."""
    common, length = counted.transitions >> 24 & 15, counted.transitions >> 28
    for n in range(2, counted.order):
        if int(np.count_nonzero((common < n) & (length >= n))) != len(counted.nodes[n - 1]) - 1:
            words = {row[:n].tobytes() for row in rows if row[n - 1] != NONE}
            shorter = (row[1 : n + 1] for row in rows if row[n] != NONE)
            raise NoContext(next(context for context in shorter if context.tobytes() not in words))


def _sort_rows(rows: np.ndarray, n_ids: int, threads: int, store: _Store, sort: Callable) -> np.ndarray:
    """``sort(sorter, part)`` for parts of the rows that are alike in their first words; how many rows each word has.

    Rows whose first word is NONE or START are left out.
    """
    bits, order = int(n_ids - 1).bit_length(), rows.shape[1]
    counts = np.bincount(rows[:, 0], minlength=n_ids)
    counts[:FIRST_WORD] = 0
    ends = np.cumsum(counts[FIRST_WORD:])  # where a word's rows end
    by_word = np.empty(ends[-1], np.uint32)
    deal_rows(rows, np.concatenate([[0], ends[:-1]]), by_word)
    shards, lo = [], 0
    while lo < by_word.size:
        first, full = np.searchsorted(ends, [lo, lo + SHARD], side="right").tolist()
        hi = int(ends[max(full - 1, first)])
        shards.append((lo, hi))
        lo = hi
    largest = max((hi - lo for lo, hi in shards), default=0)
    sorters = [Sorter(order, bits, largest, staged=True) for _ in range(threads)]
    with ThreadPoolExecutor(threads) as pool:
        _in_turns(pool, sorters, shards, lambda sorter, lo, hi: sort(sorter, by_word[lo:hi]), store)
    return counts


def _pieces(arena: Arena, span: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """A part of a text at once, or so much at a time that a bound on memory is kept."""
    for part in arena.pieces(span[1] - span[0], _PIECE):
        yield span[0] + part.start, span[0] + part.stop


class _Plan:
    """How the positions of a text are dealt out to shards, and how many each has (``sizes``)."""

    def __init__(self, text, internal, pool, spans, arena):
        self._arena = arena
        self.eos = int(internal[0])
        self.n_ids = internal.size - 1 + FIRST_WORD
        self.bits = int(self.n_ids - 1).bit_length()
        self.spans = spans
        per_span = np.zeros((len(spans), self.n_ids), np.int64)

        def words(span: tuple[int, int], counts: np.ndarray) -> None:
            for a, b in _pieces(arena, span):
                count_words(text[a:b], counts)

        list(pool.map(words, spans, per_span))
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

        def shards(span: tuple[int, int], counts: np.ndarray) -> int:
            shape = (self.eos, self.first_shard, self.n_parts, self.bits)
            return sum(count_shards(text, a, b, *shape, counts) for a, b in _pieces(arena, span))

        self.n_sentences = sum(pool.map(shards, spans, per_span))
        self.word_counts = word_counts
        self.sizes = per_span.sum(axis=0)
        self.per_span = per_span
        self.largest = int(self.sizes.max())

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

        def scatter(span: tuple[int, int], places: np.ndarray) -> None:
            for a, b in _pieces(self._arena, span):
                scatter_positions(text, a, b, self.eos, self.first_shard, self.n_parts, self.bits, lo, hi, places, out)

        list(pool.map(scatter, self.spans, place))
        return starts


class _Packed:
    """The records of some shards, as ``gather`` makes them, read in the order of the text; at most ``most``.

    A text that lives in a file would be wanted all at once otherwise: a shard has a few words of every page.
    """

    def __init__(self, most: int, sorter: Sorter, arena: Arena):
        self._keys, self._following = np.empty((most, sorter.n_keys), np.uint64), np.empty(most, np.uint32)
        self._shape, self._arena, self._first = (sorter.order, sorter.bits, sorter.per_key), arena, 0

    def groups(self, shards: list[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
        """The shards (a, b), as many at a time as there is room for."""
        group: list[tuple[int, int]] = []
        for shard in shards:
            if group and shard[1] - group[0][0] > self._following.size:
                yield group
                group = []
            group.append(shard)
        if group:
            yield group

    def read(self, text: np.ndarray, positions: np.ndarray, shards: list[tuple[int, int]], plan: _Plan, pool) -> None:
        """Pack what is at the positions of a group of shards, each of which has its own in ascending order."""
        self._first = shards[0][0]

        def pack(span: tuple[int, int]) -> None:
            pairs = np.empty((plan.largest, 2), np.uint64)  # not used
            edges = np.append(np.arange(*span, _PIECE, np.uint32), np.uint32(span[1]))
            cuts = [(a + np.searchsorted(positions[a:b], edges)).tolist() for a, b in shards]
            for number in range(edges.size - 1):
                for cut in cuts:
                    a, b = cut[number], cut[number + 1]
                    if a < b:
                        keys, following = self.records(a, b)
                        gather(text, positions[a:b], plan.eos, *self._shape, keys, pairs, following)
                self._arena.drop()

        list(pool.map(pack, plan.spans))

    def records(self, a: int, b: int) -> tuple[np.ndarray, np.ndarray]:
        """The keys and the following words of positions[a:b]."""
        return self._keys[a - self._first : b - self._first], self._following[a - self._first : b - self._first]


def _sort_all(text, plan: _Plan, sorters: list[Sorter], pool, arena, limit, keep_transitions, progress) -> _Store:
    n_records, order = int(plan.sizes.sum()), sorters[0].order
    rows = [arena.rows(2 if n == order else 4, n_records + 2) for n in range(2, order + 1)]
    store = _Store(plan.n_ids, rows, arena.rows(1, n_records + 1) if keep_transitions else None, arena)
    batches = plan.batches(limit)
    most = max(int(plan.sizes[lo:hi].sum()) for lo, hi in batches)
    if keep_transitions and store.transitions.in_memory and len(batches) == 1:
        positions = store.transitions.first(most)[:, 0]  # a shard's transitions take the place of its positions
    else:
        positions = np.empty(most, np.uint32)
    packed = _Packed(max(most // _A_RECORD, plan.largest), sorters[0], arena) if arena.spill else None
    for lo, hi in batches:
        starts = plan.positions(text, lo, hi, pool, positions)
        shards = [(a, b) for a, b in pairwise(starts.tolist()) if b > a]
        for group in [shards] if packed is None else packed.groups(shards):
            if packed is not None:
                packed.read(text, positions, group, plan, pool)

            def shard(sorter: Sorter, a: int, b: int) -> None:
                if packed is None:
                    sorter.text(text, positions[a:b], plan.eos)
                else:
                    sorter.packed(*packed.records(a, b))
                if progress is not None:
                    progress(b - a)

            _in_turns(pool, sorters, group, shard, store)
            arena.drop()
    return store


def _in_turns(pool, sorters: list[Sorter], shards: list[tuple[int, int]], sort: Callable, store: _Store) -> None:
    """``sort(sorter, a, b)`` for all shards (a, b), one thread per sorter; their nodes in the order of the shards."""
    turns = _Turns(len(shards))

    def work(sorter: Sorter) -> None:
        for number in turns:
            try:
                sort(sorter, *shards[number])
                with turns.turn(number):
                    places = store.take(sorter)
                store.put(sorter, *places)
            except _Aborted:
                return
            except BaseException:
                turns.abort()
                raise

    list(pool.map(work, sorters))


class _Store:
    """The nodes and transitions of all shards so far."""

    def __init__(self, n_ids: int, rows: list[Rows], transitions: Rows | None, arena: Arena):
        self.unigrams = np.zeros((n_ids + 1, 4), np.uint32)
        self.rows, self.transitions, self.arena = rows, transitions, arena
        self._last_word = -1

    def take(self, sorter: Sorter) -> tuple[list[int], int, bool]:
        """Where the next shard's nodes (orders 2 to N) and transitions go; for the shards in order, one at a time."""
        starts = [row.take(size) for row, size in zip(self.rows, sorter.sizes[1:].tolist(), strict=False)]
        words = sorter.words
        first, last = words[[0, -1], WORD].tolist()
        same_word, self._last_word = first == self._last_word, last
        place_unigrams(words, len(words), starts[0] if starts else 0, self.unigrams)
        return starts, 0 if self.transitions is None else self.transitions.take(sorter.n), same_word

    def put(self, sorter: Sorter, starts: list[int], first: int, same_word: bool) -> None:
        """Put a shard's nodes and transitions where ``take`` said."""
        first_children = [*starts[1:], 0]
        for n in range(len(starts) + 1, 1, -1):
            with self.rows[n - 2].put(starts[n - 2], int(sorter.sizes[n - 1]), sorter.scratch) as place:
                sorter.nodes(n, first_children[n - 2], *place)
        if self.transitions is not None:
            with self.transitions.put(first, sorter.n, sorter.scratch) as (out, start):
                sorter.write_transitions(same_word, out[start : start + sorter.n, 0])

    def finished(self, internal: np.ndarray, n_sentences: int, counts: np.ndarray) -> CountedTrie:
        """All that was put, with ``<s>``; counts (ids,): of the transitions, by the newest words of their contexts."""
        sizes = [row.size for row in self.rows]
        nodes = [self.unigrams]
        for number, row in enumerate(self.rows):
            nodes.append(row.close((0, 0) if number + 1 == len(sizes) else (0, sizes[number + 1], 0, 0)))
        self.unigrams[START, PROB] = n_sentences
        finish_unigrams(self.unigrams, sizes[0] if sizes else 0)
        transitions = np.empty(0, np.uint32) if self.transitions is None else self.transitions.close((0,))[:-1, 0]
        if self.arena.spill:
            for array in (*nodes[1:], transitions):
                self.arena.keep(array)
        starts = np.concatenate([[0], np.cumsum(counts)])
        return CountedTrie(nodes, internal, self.arena, transitions, starts)


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
