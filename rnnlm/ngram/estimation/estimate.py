"""Estimation: from the counts of all n-grams to the trie of a back-off model.

Legend: V words, N the order, n the order at hand.

Order by order, shortest first: ``assign`` goes through the histories, whose ranges are the threads' tasks.
Every history is one thread's, so that threads change nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, pairwise, repeat

import numpy as np

from corpora.compute import libm
from corpora.files.mapping import anonymous
from corpora.jobs.system import readable_size, trim_memory
from rnnlm.ngram.arena import Arena
from rnnlm.ngram.counting.counts import CountedTrie, count_column
from rnnlm.ngram.estimation.assign import (
    EPSILON,
    NEXT,
    NEXT_PARENT,
    NOT_SEEN,
    Block,
    Columns,
    assign,
    assign_bigrams,
    take_logs,
    unmark,
)
from rnnlm.ngram.estimation.assign import Rule as KernelRule
from rnnlm.ngram.estimation.smoothing import MAX_COUNT, METHODS, STUPID, Options, Rule
from rnnlm.ngram.orders import (
    by_context,
    compact,
    continuation_counts,
    count_contexts,
    count_counts,
    cut_below,
    cut_bigrams,
    gather_ranges,
    mark_dropped,
    scatter_ranges,
    spread_histories,
)
from rnnlm.ngram.query.search import follow_contexts
from rnnlm.ngram.trie import BACKOFF, CHILD, FIRST_WORD, NO_BACKOFF, NONE, PROB, START, WORD, ZERO, Trie

_WORTH_THREADS = 1 << 17  # records
_WORDS = 1 << 12  # words whose places are looked up, each in a page of its own, before pages are given back
_RECORDS = 1 << 20  # that are gone through at a time where memory is bounded
_TO_CUT = 8  # bytes for an n-gram of the middle orders, whose histories are read in no order
_LEAST = 8 << 20  # bytes to copy at a time


@dataclass(frozen=True)
class OrderReport:
    """What was found out about one order: counts of counts (``n[c]``, c from 1), discounts, n-grams kept."""

    order: int
    counts_of_counts: list[int]
    discounts: dict[str, float]
    n_ngrams: int


def estimate(
    counted: CountedTrie,
    smoothing: str = "modified-kneser-ney",
    *,
    options: Options | None = None,
    min_counts: tuple[int, ...] | None = None,
    unk: str = "word",
    threads: int = 1,
    warn: Callable[[str], None] = lambda line: None,
    progress: Callable[[int], object] | None = None,
) -> tuple[Trie, list[OrderReport]]:
    """The model of these counts, whose arrays it takes over, and what was found about each order.

    ``min_counts``: per order, n-grams below are left out (the last one holds for all higher orders).
    ``unk`` "kenlm": interpolated models without cutoffs get KenLM's numbers, otherwise SRILM's.
    ``warn`` gets a line for every order where something undefined had to be replaced.
    """
    options, method = options or Options(), METHODS[smoothing]
    mins = min_counts or method.min_counts
    nodes, order, arena = counted.nodes, counted.order, counted.arena
    n_words = counted.internal.size - 1
    firsts = _start_records(counted)
    rules, histograms = [], []
    for n in range(1, order + 1):
        histogram = np.zeros(max(MAX_COUNT, *options.gt_max) + 2, np.int64)
        counts = counted.counts(n)
        for part in arena.pieces(counts.size) if n > 1 else [slice(FIRST_WORD, counts.size)]:
            if method.continuation and n < order and not (counted.continuation and n > 1):
                continuation_counts(nodes[n - 1][part], int(nodes[n - 1][part.stop, CHILD]))
            count_counts(counts[part], histogram)
        histogram[0] = 0
        histograms.append(histogram)
        tell = warn if histogram.any() else lambda line: None  # of no n-grams there is nothing to say
        rules.append(method.rule(n, histogram, n_words, options, tell))
    mins = [mins[min(n, len(mins)) - 1] for n in range(1, order + 1)]
    kenlm = unk == "kenlm"
    exact = kenlm and max(mins) <= 1 and all(rule.interpolate for rule in rules)
    may_drop = not exact and any(map(_may_drop, rules, mins, repeat(kenlm)))
    marks: list[tuple[np.ndarray, np.ndarray]] = []
    any_dropped = False
    with ThreadPoolExecutor(threads) as pool:
        for n, rule in enumerate(rules, 1):
            if n == 1:
                _unigrams(nodes[0], rule, mins[0], n_words, exact, kenlm and rule.interpolate)
            else:
                order_n = _Order(counted, n, rule, mins[n - 1], exact, kenlm and rule.interpolate, firsts, may_drop)
                any_dropped |= order_n.run(pool, threads)
                if arena.spill:
                    trim_memory()
                marks.append((order_n.dropped, order_n.histories))
            if progress is not None:
                progress(len(nodes[n - 1]))
        if any_dropped:
            n_bytes = _TO_CUT * sum(map(len, nodes[1:-1]))
            if arena.spill and n_bytes > arena.room:
                warn(f"leaving n-grams out takes up to {readable_size(n_bytes)} beside what `memory` bounds")
            _mark_dropped(nodes, marks)
            for n in range(order, 1, -1):
                nodes[n - 1] = nodes[n - 1][: compact(nodes[n - 1], nodes[n - 2]) + 1]
        if arena.spill:
            arena.release(*chain(*marks))
        for n in range(1, order + 1):
            _finish(nodes[n - 1][:-1], count_column(counted, n), exact, arena, pool, threads)
    if kenlm:
        nodes[0].view(np.float32)[START, PROB] = 0.0  # as lmplz writes it: what begins every sentence is certain
    trie = Trie(nodes, counted.internal)
    if not any_dropped:
        trie = Trie(nodes, counted.internal, (len(nodes[0]) - 1 - START, *(len(rows) - 1 for rows in nodes[1:])))
    return trie, [
        OrderReport(n, histogram[1:-1].tolist(), rule.discounts, trie.n_ngrams(n))
        for n, (rule, histogram) in enumerate(zip(rules, histograms, strict=True), 1)
    ]


def _unigrams(unigrams, rule: Rule, min_count: int, n_words: int, exact: bool, kenlm: bool) -> None:
    """Probabilities of single words.  What is left goes to the words without one, or to all if there are none."""
    counts = unigrams[FIRST_WORD:-1, PROB].astype(np.float64)
    seen = counts > 0
    types = int(seen.sum())
    taken = rule.taken[np.minimum(counts, rule.taken.size - 1).astype(np.int64)]
    total = float(counts.sum() + types * rule.per_type + rule.constant)
    weight = float(taken[seen].sum() + types * rule.per_type + rule.constant) / total
    uniform = 10.0 ** float(np.float32(-math.log10(n_words))) if not exact else 1 / n_words
    lower = weight * uniform if rule.interpolate else 0.0
    absent = ~seen | (counts < min_count) | (counts - taken <= (-1 if kenlm else 0))

    def probabilities(total: float, lower: float) -> np.ndarray:
        p = (counts - taken) / total + lower
        p[absent] = 0.0
        return p

    p = probabilities(total, lower)
    if rule.smooths and types < n_words and p.sum() > 1 - EPSILON and not kenlm:
        p = probabilities(total, 0.0)
        if p.sum() > 1 - EPSILON:
            p = probabilities(total + 1, 0.0)
    left = max(1 - float(p.sum()), 0.0)
    if not exact:
        # SRILM's own sum, of rounded logarithms; where that says nothing, the exact one
        rounded = 1 - float(libm.power10(libm.log10(p[p > 0]).astype(np.float32).astype(np.float64)).sum())
        left = rounded if rounded >= EPSILON else left if rule.smooths else 0.0
    none = p == 0
    if none.any():
        p[none] = STUPID / n_words if rule.backoff is not None else left / none.sum()
    elif left > 1e-12:
        p += left / n_words
    probs = unigrams.view(np.float32)
    outside = [NONE, START, -1]
    if not exact:
        probs[FIRST_WORD:-1, PROB] = np.maximum(libm.log10(p), ZERO)
        probs[outside, PROB] = ZERO
        probs[:, BACKOFF] = 0.0
    else:
        probs[FIRST_WORD:-1, PROB] = p
        probs[outside, PROB] = 0.0
        probs[:, BACKOFF] = 1.0


def _finish(nodes: np.ndarray, column: int, exact: bool, arena: Arena, pool, threads: int) -> None:
    """Logarithms, where they were not taken yet, and marks removed."""

    def work(bounds: tuple[int, int]) -> None:
        own = nodes[slice(*bounds)]
        for part in arena.pieces(len(own)):
            if exact:
                take_logs(own[part], column, 0.0)
                if column == PROB:
                    take_logs(own[part], BACKOFF, np.inf)
            else:
                unmark(own[part], column)

    list(pool.map(work, pairwise(np.linspace(0, len(nodes), threads + 1).astype(np.int64).tolist())))


def _mark_dropped(nodes: list[np.ndarray], marks: list[tuple[np.ndarray, np.ndarray]]) -> None:
    """Mark what is left out.  marks: of orders 2 to N, which n-grams are below cutoffs; which histories n-grams have.

    A history of n-grams stays with the probability that is backed off to, and what ends it, and its own
    history: a file without them could not be read.
    """
    order = len(nodes)
    contexts: list[np.ndarray] = [np.empty(0, np.uint32), np.ascontiguousarray(nodes[1][:-1, WORD])]
    for n in range(3, order):
        contexts.append(np.empty(len(nodes[n - 1]) - 1, np.uint32))
        follow_contexts(nodes[n - 3], nodes[n - 2], nodes[n - 1], len(nodes[0]) - 1, contexts[n - 2], contexts[n - 1])
    histories = [histories for _, histories in marks]  # histories[n - 1] is of order n
    for n in range(order - 1, 1, -1):
        spread_histories(nodes[n - 2], histories[n - 1], marks[n - 2][0], contexts[n - 1], histories[n - 2])
    for n in range(2, order + 1):
        kept = histories[n - 1] if n < order else np.empty(0, np.uint8)
        mark_dropped(nodes[n - 1], marks[n - 2][0], kept)


def _start_records(counted: CountedTrie) -> np.ndarray:
    """Records, as ``CountedTrie.records``, of the history ``<s>``: every word that begins a sentence."""
    if counted.order == 1:
        return np.empty(0, np.uint32)
    unigrams, bigrams = counted.nodes[:2]
    first, stop = unigrams[:-1, CHILD], unigrams[1:, CHILD]
    words = np.flatnonzero((first < stop) & (bigrams[np.minimum(first, len(bigrams) - 1), WORD] == START))
    records = words.astype(np.uint32) | np.uint32(1 << 24) | np.uint32(1 << 28)
    records[:1] &= ~np.uint32(1 << 24)  # the first one has nothing in common with what is before
    return records


def _smallest(kenlm: bool) -> float:
    """N-grams of whose count not more than this is left are left out, as SRILM does."""
    return -1.0 if kenlm else 0.0


def _may_drop(rule: Rule, min_count: int, kenlm: bool) -> bool:
    """Whether n-grams of an order can be left out at all."""
    counts = np.arange(1, max(rule.taken.size, 2))
    left = counts - rule.taken[np.minimum(counts, rule.taken.size - 1)]
    return min_count > 1 or bool((left <= _smallest(kenlm and rule.interpolate)).any())


class _Order:
    """The estimation of one order n >= 2: ranges of histories, by their newest words, are the threads' tasks."""

    def __init__(
        self, counted: CountedTrie, n: int, rule: Rule, min_count: int, exact: bool, kenlm: bool, firsts: np.ndarray,
        may_drop: bool,
    ):  # fmt: skip
        self.counted, self.n, self.firsts = counted, n, firsts
        self.nodes, self.upper = counted.nodes[n - 1], counted.nodes[n - 2]
        self.n_ids = len(counted.nodes[0]) - 1
        self.dropped = counted.arena.zeros(len(self.nodes) - 1 if may_drop else 0, np.uint8)
        self.histories = counted.arena.zeros(len(self.upper) - 1 if may_drop else 0, np.uint8)
        self.rule = KernelRule(
            n, rule.taken, rule.per_type, rule.constant, rule.interpolate, exact, min_count,
            _smallest(kenlm),
            rule.smooths and not kenlm, rule.smooths, rule.backoff or -1.0, self.n_ids - FIRST_WORD,
        )  # fmt: skip

    def run(self, pool, threads: int) -> bool:
        """Estimate; whether any n-gram was left out."""
        threads = threads if self.counted.record_starts[-1] >= _WORTH_THREADS else 1
        if self.n > 2 and self.counted.arena.spill:
            return self._longer_in_files(pool, threads) > 0
        with self._columns() as columns:
            return (self._bigrams if self.n == 2 else self._longer)(pool, threads, columns) > 0

    @contextmanager
    def _columns(self) -> Iterator[Columns]:
        """The columns of all nodes; where these live in files, copies: they are read in no order."""
        arena, views = self.counted.arena, self._views()
        counts, lower, backoffs = views
        if arena.spill:
            counts, lower, backoffs = (anonymous(view.shape, view.dtype) for view in views)
            for view, copy in zip(views, (counts, lower), strict=False):
                for part in arena.pieces(view.size):
                    copy[part] = view[part]
        backoffs[:] = self._without_followers
        yield Columns(counts, counts.view(np.float32), lower, backoffs, self.dropped, self.histories)
        if arena.spill:
            for view, copy in ((views[0], counts), (views[2], backoffs)):
                for part in arena.pieces(view.size):
                    view[part] = copy[part]

    def _views(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of all nodes: the counts, the probabilities of the order above and its back-off weights."""
        upper = self.upper.view(np.float32)[:-1]
        return self.nodes[:-1, count_column(self.counted, self.n)], upper[:, PROB], upper[:, BACKOFF]

    @property
    def _without_followers(self) -> float:
        """The back-off weight of histories that nothing follows: SRILM has none, KenLM has one of 1."""
        return 1.0 if self.rule.exact else NO_BACKOFF

    def _bigrams(self, pool, threads: int, columns: Columns) -> int:
        """Order 2, in ranges of histories that have some number of bigrams; how many were left out."""
        (unigrams, bigrams), arena = self.counted.nodes[:2], self.counted.arena
        counts = np.zeros(self.n_ids, np.int64)
        for part in arena.pieces(len(bigrams) - 1):
            count_contexts(bigrams[:-1][part], counts)
        ends = np.cumsum(counts)
        # every range takes a pass over the bigrams: there are but a few, or as many as the bound on memory asks for
        some = max(_RECORDS, arena.limit // (256 * threads) if arena.spill else len(bigrams) // 16)
        bounds = [0]
        while bounds[-1] < self.n_ids:
            before = ends[bounds[-1] - 1] if bounds[-1] else 0
            bounds.append(max(int(np.searchsorted(ends, before + some, side="right")), bounds[-1] + 1))
        ranges = list(pairwise(bounds))

        def work(number: int) -> int:
            block, dropped = Block.create(self.n_ids), 0
            for lo, hi in ranges[number::threads]:
                before = ends[lo - 1] if lo else 0
                places = np.concatenate([[0], ends[lo:hi] - before])
                rows, words = (np.empty(int(places[-1]) + 1, np.uint32) for _ in range(2))
                for part in arena.pieces(self.n_ids, _WORDS):
                    by_context(part.start, unigrams[part.start : part.stop + 1], bigrams, lo, places, rows, words)
                contexts = np.flatnonzero(counts[lo:hi])
                own_ends = (ends[lo:hi] - before)[contexts]
                dropped += assign_bigrams(
                    (contexts + lo).astype(np.uint32), own_ends, rows, words, self.rule, columns, block
                )
                arena.drop()
            return dropped

        return sum(pool.map(work, range(threads)))

    def _longer(self, pool, threads: int, columns: Columns) -> int:
        """The other orders, a range of histories to a thread; how many n-grams were left out."""

        def work(bounds: tuple[int, int]) -> int:
            places = self._places(bounds[0])
            return self._range(*bounds, columns, places[-1], places[-2], self._first_history(bounds[0]))

        return sum(pool.map(work, pairwise(self._bounds(threads))))

    def _longer_in_files(self, pool, threads: int) -> int:
        """As ``_longer``, where nodes live in files.

        What is read in no order is copied, for so many histories at a time that a bound on memory is kept: under
        each word the n-grams after a range of histories lie together.
        """
        arena, n_rows, n_upper = self.counted.arena, len(self.nodes), len(self.upper)
        a_thread = 100 * self.n_ids  # bytes: cursors, places and the block
        threads = max(min(threads, arena.room // (3 * a_thread)), 1)
        a_range = max(arena.room // threads - a_thread, _LEAST)
        needed = 4 * (n_rows + 2 * n_upper) + (n_rows + n_upper if self.dropped.size else 0)
        bounds = self._bounds(-(-needed // a_range))
        edges = np.linspace(0, len(bounds) - 1, threads + 1).astype(int).tolist()
        return sum(pool.map(lambda span: self._ranges(bounds[span[0] : span[1] + 1]), pairwise(edges)))

    def _ranges(self, bounds: list[int]) -> int:
        """The histories between bounds, range after range, with copies; how many n-grams were left out."""
        n_dropped = 0
        starts = self._places(bounds[0])[-2:]
        for first, stop in pairwise(bounds):
            stops = self._places(stop)[-2:]
            n_dropped += self._range_in_files(first, stop, starts, stops)
            starts = stops
        return n_dropped

    def _range_in_files(self, first_word: int, stop_word: int, starts, stops) -> int:
        """A range of histories, with copies.  starts, stops: of orders n - 1 and n, ``_places`` of both words."""
        (shorter, longer), arena = zip(starts, stops, strict=True), self.counted.arena
        counts_of, lower_of, backoffs_of = self._views()
        counts, lower = self._gather(counts_of, longer), self._gather(lower_of.view(np.uint32), shorter)
        rows = slice(self._first_history(first_word), self._first_history(stop_word))
        backoffs = anonymous((rows.stop - rows.start,), np.float32)
        backoffs[:] = self._without_followers
        dropped, histories = (np.zeros(x.size if self.dropped.size else 0, np.uint8) for x in (counts, backoffs))
        columns = Columns(counts, counts.view(np.float32), lower.view(np.float32), backoffs, dropped, histories)
        cursors = (np.cumsum(stop - start, dtype=np.uint32) - (stop - start) for start, stop in (longer, shorter))
        n_dropped = self._range(first_word, stop_word, columns, *cursors, 0)
        self._scatter(counts, longer, counts_of)
        for part in arena.pieces(backoffs.size):
            backoffs_of[rows][part] = backoffs[part]
        if self.dropped.size:
            self._scatter(dropped, longer, self.dropped)
            self.histories[rows] = histories
        return n_dropped

    def _gather(self, values: np.ndarray, places: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        """The values from the first to the second of two places of each word, one after the other."""
        starts, stops = places
        out, at = anonymous((int((stops - starts).sum(dtype=np.int64)),), values.dtype), 0
        for part in self.counted.arena.pieces(self.n_ids, _WORDS):
            at += int(gather_ranges(values, starts[part], stops[part], out[at:]))
        return out

    def _scatter(self, values: np.ndarray, places: tuple[np.ndarray, np.ndarray], out: np.ndarray) -> None:
        """Put what ``_gather`` gave back in its places."""
        (starts, stops), at = places, 0
        for part in self.counted.arena.pieces(self.n_ids, _WORDS):
            at += int(scatter_ranges(values[at:], starts[part], stops[part], out))

    def _bounds(self, n: int) -> list[int]:
        """About n ranges of histories with some number of records each, by their newest words: n + 1 of these."""
        starts, n_ids = self.counted.record_starts, self.n_ids
        inner = np.searchsorted(starts, starts[-1] * np.arange(1, n) / n)
        return np.unique(np.concatenate([[0], np.minimum(inner, n_ids), [n_ids]])).tolist()

    def _range(
        self, first_word: int, stop_word: int, columns: Columns, next_ngrams: np.ndarray, next_parents: np.ndarray,
        first_history: int,
    ) -> int:  # fmt: skip
        """The histories whose newest words are first_word to stop_word; how many n-grams were left out.

        next_ngrams, next_parents (ids,): the first n-gram of each word after these histories, and the first after
        those without their oldest words; first_history: the first of them; all as ``columns`` has them.
        """
        arena, starts = self.counted.arena, self.counted.record_starts
        cursors = np.full((self.n_ids, 4), NOT_SEEN, np.uint32)
        cursors[:, NEXT], cursors[:, NEXT_PARENT] = next_ngrams, next_parents
        # numbers of histories, and of those that are shorter by a word: the latter only have to differ
        state = np.array([first_history - 1, 0, -1], np.int64)
        block = Block.create(self.n_ids)
        dropped = 0
        records = self.counted.records[starts[first_word] : starts[stop_word]]
        parts = [self.firsts] if first_word == 0 else []
        parts += [records[part] for part in arena.pieces(records.size, _RECORDS)]
        for part in [*parts, np.zeros(1, np.uint32)]:
            dropped += assign(part, self.rule, columns, cursors, state, block)
            arena.drop()
        return dropped

    def _places(self, word: int) -> list[np.ndarray]:
        """For orders 2 to n, below each word the first node whose next older word is ``word`` or later."""
        nodes, arena = self.counted.nodes, self.counted.arena
        places = [np.empty(self.n_ids, np.uint32)]
        for part in arena.pieces(self.n_ids, _WORDS):
            cut_bigrams(nodes[0][part.start : part.stop + 1], nodes[1], word, places[0][part])
        for m in range(2, self.n):
            places.append(np.empty_like(places[0]))
            for part in arena.pieces(self.n_ids, _WORDS):
                cut_below(nodes[m - 1], places[-2][part], places[-1][part])
        return places

    def _first_history(self, word: int) -> int:
        """The number of the first history whose newest word is ``word`` or later."""
        row = int(word)
        for m in range(1, self.n - 1):
            row = int(self.counted.nodes[m - 1][row, CHILD])
        return row
