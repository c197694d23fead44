"""Estimation: from the counts of all n-grams to the trie of a back-off model.

Legend: V words, N the order, n the order at hand.

Order by order, shortest first: the kernels of ``assign`` go through the contexts, whose ranges are the threads' tasks.
Every context is one thread's, so that threads change nothing.
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
    Batch,
    Bigrams,
    Columns,
    Longer,
    OrderRule,
    assign_as_kenlm,
    assign_as_srilm,
    start_state,
    take_logs,
    unmark,
)
from rnnlm.ngram.estimation.smoothing import MAX_COUNT, METHODS, STUPID, Method, Options, Rule
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
    spread_contexts,
)
from rnnlm.ngram.query.search import follow_contexts
from rnnlm.ngram.trie import BACKOFF, CHILD, FIRST_WORD, NO_BACKOFF, NONE, PROB, START, WORD, ZERO, Trie

_WORTH_THREADS = 1 << 17  # transitions
_WORDS = 1 << 12  # words whose places are looked up, each in a page of its own, before pages are given back
_TRANSITIONS = 1 << 20  # that are gone through at a time where memory is bounded
_TO_CUT = 8  # bytes for an n-gram of the middle orders, whose contexts are read in no order
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
    nodes, order, arena = counted.nodes, counted.order, counted.arena
    mins = min_counts or method.min_counts
    mins = [mins[min(n, len(mins)) - 1] for n in range(1, order + 1)]
    histograms = [_histogram(counted, n, method.continuation, options) for n in range(1, order + 1)]
    rules = [_rule(n, counted, method, histogram, options, warn) for n, histogram in enumerate(histograms, 1)]
    way = _way(rules, mins, unk)
    n_words = counted.internal.size - 1
    firsts = _first_transitions(counted)
    marks: list[tuple[np.ndarray, np.ndarray]] = []
    any_dropped = False
    with ThreadPoolExecutor(threads) as pool:
        for n, rule in enumerate(rules, 1):
            if n == 1:
                _unigrams(nodes[0], rule, mins[0], n_words, way)
            else:
                order_n = _Order(counted, n, rule, mins[n - 1], way, firsts)
                any_dropped |= order_n.run(pool, threads)
                if arena.spill:
                    trim_memory()
                marks.append((order_n.dropped, order_n.is_context))
            if progress is not None:
                progress(len(nodes[n - 1]))
        if any_dropped:
            _leave_out(nodes, marks, arena, warn)
        if arena.spill:
            arena.release(*chain(*marks))
        for n in range(1, order + 1):
            _finish(nodes[n - 1][:-1], count_column(counted, n), way.exact, arena, pool, threads)
    if way.kenlm:
        nodes[0].view(np.float32)[START, PROB] = 0.0  # as lmplz writes it: what begins every sentence is certain
    trie = Trie(nodes, counted.internal)
    if not any_dropped:
        trie = Trie(nodes, counted.internal, (len(nodes[0]) - 1 - START, *(len(rows) - 1 for rows in nodes[1:])))
    return trie, [
        OrderReport(n, histogram[1:-1].tolist(), rule.discounts, trie.n_ngrams(n))
        for n, (rule, histogram) in enumerate(zip(rules, histograms, strict=True), 1)
    ]


def _histogram(counted: CountedTrie, n: int, continuation: bool, options: Options) -> np.ndarray:
    """The counts of counts of order n, the last entry for all that are larger.

    ``continuation``: first the counts become those of different words before the n-grams, if they are not yet.
    """
    nodes, counts, arena = counted.nodes[n - 1], counted.counts(n), counted.arena
    replace = continuation and n < counted.order and not (counted.continuation and n > 1)
    histogram = np.zeros(max(MAX_COUNT, *options.gt_max) + 2, np.int64)
    for part in arena.pieces(counts.size) if n > 1 else [slice(FIRST_WORD, counts.size)]:
        if replace:
            continuation_counts(nodes[part], int(nodes[part.stop, CHILD]))
        count_counts(counts[part], histogram)
    histogram[0] = 0
    return histogram


def _rule(n: int, counted: CountedTrie, method: Method, histogram: np.ndarray, options: Options, warn) -> Rule:
    tell = warn if histogram.any() else lambda line: None  # of no n-grams there is nothing to say
    return method.rule(n, histogram, counted.internal.size - 1, options, tell)


@dataclass(frozen=True)
class _Way:
    """Whose numbers a model gets.  ``kenlm``: KenLM's ``<unk>`` and cutoffs; ``exact``: also its back-off weights.

    ``may_drop``: whether n-grams of any order can be left out.
    """

    kenlm: bool
    exact: bool
    may_drop: bool


def _way(rules: list[Rule], mins: list[int], unk: str) -> _Way:
    kenlm = unk == "kenlm"
    exact = kenlm and max(mins) <= 1 and all(rule.interpolate for rule in rules)
    return _Way(kenlm, exact, not exact and any(map(_may_drop, rules, mins, repeat(kenlm))))


def _leave_out(nodes: list[np.ndarray], marks: list[tuple[np.ndarray, np.ndarray]], arena: Arena, warn) -> None:
    """Remove what is below cutoffs from the arrays of all orders.  marks: as ``_mark_dropped`` takes them."""
    n_bytes = _TO_CUT * sum(map(len, nodes[1:-1]))
    if arena.spill and n_bytes > arena.room:
        warn(f"leaving n-grams out takes up to {readable_size(n_bytes)} beside what `memory` bounds")
    _mark_dropped(nodes, marks)
    for n in range(len(nodes), 1, -1):
        nodes[n - 1] = nodes[n - 1][: compact(nodes[n - 1], nodes[n - 2]) + 1]


def _unigrams(unigrams: np.ndarray, rule: Rule, min_count: int, n_words: int, way: _Way) -> None:
    """Give single words their probabilities.  What is left goes to the words without one, or to all if there are none.

    unigrams (ids + 1, 4): the nodes of order 1.
    """
    kenlm = way.kenlm and rule.interpolate
    p = _seen_words(unigrams[FIRST_WORD:-1, PROB].astype(np.float64), rule, min_count, n_words, way.exact, kenlm)
    left = max(1 - float(p.sum()), 0.0)
    if not way.exact:
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
    if not way.exact:
        probs[FIRST_WORD:-1, PROB] = np.maximum(libm.log10(p), ZERO)
        probs[outside, PROB] = ZERO
        probs[:, BACKOFF] = 0.0
    else:
        probs[FIRST_WORD:-1, PROB] = p
        probs[outside, PROB] = 0.0
        probs[:, BACKOFF] = 1.0


def _seen_words(counts: np.ndarray, rule: Rule, min_count: int, n_words: int, exact: bool, kenlm: bool) -> np.ndarray:
    """The probabilities of words of these counts (V,), 0 for those that are left out or have none."""
    seen = counts > 0
    types = int(seen.sum())
    taken = rule.taken[np.minimum(counts, rule.taken.size - 1).astype(np.int64)]
    total = float(counts.sum() + types * rule.per_type + rule.constant)
    weight = float(taken[seen].sum() + types * rule.per_type + rule.constant) / total
    uniform = 10.0 ** float(np.float32(-math.log10(n_words))) if not exact else 1 / n_words
    lower = weight * uniform if rule.interpolate else 0.0
    absent = ~seen | (counts < min_count) | (counts - taken <= _smallest(kenlm))

    def probabilities(total: float, lower: float) -> np.ndarray:
        p = (counts - taken) / total + lower
        p[absent] = 0.0
        return p

    p = probabilities(total, lower)
    if rule.smooths and types < n_words and p.sum() > 1 - EPSILON and not kenlm:
        p = probabilities(total, 0.0)
        if p.sum() > 1 - EPSILON:
            p = probabilities(total + 1, 0.0)
    return p


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
    """Mark what is left out.  marks: of orders 2 to N, which n-grams are below cutoffs; which are contexts of others.

    A context of n-grams stays with the probability that is backed off to, and what ends it, and its own
    context: a file without them could not be read.
    """
    order = len(nodes)
    contexts: list[np.ndarray] = [np.empty(0, np.uint32), np.ascontiguousarray(nodes[1][:-1, WORD])]
    for n in range(3, order):
        contexts.append(np.empty(len(nodes[n - 1]) - 1, np.uint32))
        follow_contexts(nodes[n - 3], nodes[n - 2], nodes[n - 1], len(nodes[0]) - 1, contexts[n - 2], contexts[n - 1])
    is_context = [of_order for _, of_order in marks]  # is_context[n - 1] is of order n
    for n in range(order - 1, 1, -1):
        spread_contexts(nodes[n - 2], is_context[n - 1], marks[n - 2][0], contexts[n - 1], is_context[n - 2])
    for n in range(2, order + 1):
        kept = is_context[n - 1] if n < order else np.empty(0, np.uint8)
        mark_dropped(nodes[n - 1], marks[n - 2][0], kept)


def _first_transitions(counted: CountedTrie) -> np.ndarray:
    """Transitions, as ``CountedTrie.transitions``, from the context ``<s>``: every word that begins a sentence."""
    if counted.order == 1:
        return np.empty(0, np.uint32)
    unigrams, bigrams = counted.nodes[:2]
    first, stop = unigrams[:-1, CHILD], unigrams[1:, CHILD]
    words = np.flatnonzero((first < stop) & (bigrams[np.minimum(first, len(bigrams) - 1), WORD] == START))
    transitions = words.astype(np.uint32) | np.uint32(1 << 24) | np.uint32(1 << 28)
    transitions[:1] &= ~np.uint32(1 << 24)  # the first one has nothing in common with what is before
    return transitions


def _smallest(kenlm: bool) -> float:
    """N-grams of whose count not more than this is left are left out, as SRILM does."""
    return -1.0 if kenlm else 0.0


def _may_drop(rule: Rule, min_count: int, kenlm: bool) -> bool:
    """Whether n-grams of an order can be left out at all."""
    counts = np.arange(1, max(rule.taken.size, 2))
    left = counts - rule.taken[np.minimum(counts, rule.taken.size - 1)]
    return min_count > 1 or bool((left <= _smallest(kenlm and rule.interpolate)).any())


class _Order:
    """The estimation of one order n >= 2: ranges of contexts, by their newest words, are the threads' tasks."""

    def __init__(
        self, counted: CountedTrie, n: int, rule: Rule, min_count: int, way: _Way, firsts: np.ndarray
    ):  # fmt: skip
        self.counted, self.n, self.firsts = counted, n, firsts
        self.nodes, self.upper = counted.nodes[n - 1], counted.nodes[n - 2]
        self.n_ids = len(counted.nodes[0]) - 1
        self.dropped = counted.arena.zeros(len(self.nodes) - 1 if way.may_drop else 0, np.uint8)
        self.is_context = counted.arena.zeros(len(self.upper) - 1 if way.may_drop else 0, np.uint8)
        kenlm = way.kenlm and rule.interpolate
        self.rule = OrderRule(
            n, rule.taken, rule.per_type, rule.constant, rule.interpolate, min_count, _smallest(kenlm),
            rule.smooths and not kenlm, rule.smooths, rule.backoff or -1.0, self.n_ids - FIRST_WORD,
        )  # fmt: skip
        self._assign = assign_as_kenlm if way.exact else assign_as_srilm
        # of contexts that nothing follows: SRILM has no back-off weight, KenLM has one of 1
        self._without_followers = 1.0 if way.exact else NO_BACKOFF

    def run(self, pool, threads: int) -> bool:
        """Estimate; whether any n-gram was left out."""
        threads = threads if self.counted.transition_starts[-1] >= _WORTH_THREADS else 1
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
        yield Columns(counts, counts.view(np.float32), lower, backoffs, self.dropped, self.is_context)
        if arena.spill:
            for view, copy in ((views[0], counts), (views[2], backoffs)):
                for part in arena.pieces(view.size):
                    view[part] = copy[part]

    def _views(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """For all nodes: the counts, the probabilities of the order above and its back-off weights."""
        upper = self.upper.view(np.float32)[:-1]
        return self.nodes[:-1, count_column(self.counted, self.n)], upper[:, PROB], upper[:, BACKOFF]

    def _bigrams(self, pool, threads: int, columns: Columns) -> int:
        """Order 2, in ranges of contexts that have some number of bigrams; how many were left out."""
        (unigrams, bigrams), arena = self.counted.nodes[:2], self.counted.arena
        counts = np.zeros(self.n_ids, np.int64)
        for part in arena.pieces(len(bigrams) - 1):
            count_contexts(bigrams[:-1][part], counts)
        ends = np.cumsum(counts)
        # every range takes a pass over the bigrams: there are but a few, or as many as the bound on memory asks for
        some = max(_TRANSITIONS, arena.limit // (256 * threads) if arena.spill else len(bigrams) // 16)
        bounds = [0]
        while bounds[-1] < self.n_ids:
            before = ends[bounds[-1] - 1] if bounds[-1] else 0
            bounds.append(max(int(np.searchsorted(ends, before + some, side="right")), bounds[-1] + 1))
        ranges = list(pairwise(bounds))

        def work(number: int) -> int:
            batch, dropped = Batch.create(self.n_ids), 0
            for lo, hi in ranges[number::threads]:
                before = ends[lo - 1] if lo else 0
                places = np.concatenate([[0], ends[lo:hi] - before])
                rows, words = (np.empty(int(places[-1]) + 1, np.uint32) for _ in range(2))
                for part in arena.pieces(self.n_ids, _WORDS):
                    by_context(part.start, unigrams[part.start : part.stop + 1], bigrams, lo, places, rows, words)
                contexts = np.flatnonzero(counts[lo:hi])
                own_ends = (ends[lo:hi] - before)[contexts]
                found = Bigrams((contexts + lo).astype(np.uint32), own_ends, rows, words)
                dropped += self._assign(found, Longer.none(), self.rule, columns, batch, start_state())
                arena.drop()
            return dropped

        return sum(pool.map(work, range(threads)))

    def _longer(self, pool, threads: int, columns: Columns) -> int:
        """The other orders, a range of contexts to a thread; how many n-grams were left out."""

        def work(bounds: tuple[int, int]) -> int:
            places = self._places(bounds[0])
            return self._range(*bounds, columns, places[-1], places[-2], self._first_context(bounds[0]))

        return sum(pool.map(work, pairwise(self._bounds(threads))))

    def _longer_in_files(self, pool, threads: int) -> int:
        """As ``_longer``, where nodes live in files.

        What is read in no order is copied, for so many contexts at a time that a bound on memory is kept: under
        each word the n-grams after a range of contexts lie together.
        """
        arena, n_rows, n_upper = self.counted.arena, len(self.nodes), len(self.upper)
        a_thread = 100 * self.n_ids  # bytes: cursors, places and the batch
        threads = max(min(threads, arena.room // (3 * a_thread)), 1)
        a_range = max(arena.room // threads - a_thread, _LEAST)
        needed = 4 * (n_rows + 2 * n_upper) + (n_rows + n_upper if self.dropped.size else 0)
        bounds = self._bounds(-(-needed // a_range))
        edges = np.linspace(0, len(bounds) - 1, threads + 1).astype(int).tolist()
        return sum(pool.map(lambda span: self._ranges(bounds[span[0] : span[1] + 1]), pairwise(edges)))

    def _ranges(self, bounds: list[int]) -> int:
        """The contexts between bounds, range after range, with copies; how many n-grams were left out."""
        n_dropped = 0
        starts = self._places(bounds[0])[-2:]
        for first, stop in pairwise(bounds):
            stops = self._places(stop)[-2:]
            n_dropped += self._range_in_files(first, stop, starts, stops)
            starts = stops
        return n_dropped

    def _range_in_files(self, first_word: int, stop_word: int, starts, stops) -> int:
        """A range of contexts, with copies.  starts, stops: of orders n - 1 and n, ``_places`` of both words."""
        (shorter, longer), arena = zip(starts, stops, strict=True), self.counted.arena
        counts_of, lower_of, backoffs_of = self._views()
        counts, lower = self._gather(counts_of, longer), self._gather(lower_of.view(np.uint32), shorter)
        rows = slice(self._first_context(first_word), self._first_context(stop_word))
        backoffs = anonymous((rows.stop - rows.start,), np.float32)
        backoffs[:] = self._without_followers
        dropped, is_context = (np.zeros(x.size if self.dropped.size else 0, np.uint8) for x in (counts, backoffs))
        columns = Columns(counts, counts.view(np.float32), lower.view(np.float32), backoffs, dropped, is_context)
        cursors = (np.cumsum(stop - start, dtype=np.uint32) - (stop - start) for start, stop in (longer, shorter))
        n_dropped = self._range(first_word, stop_word, columns, *cursors, 0)
        self._scatter(counts, longer, counts_of)
        for part in arena.pieces(backoffs.size):
            backoffs_of[rows][part] = backoffs[part]
        if self.dropped.size:
            self._scatter(dropped, longer, self.dropped)
            self.is_context[rows] = is_context
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
        """About n ranges of contexts with some number of transitions each, by their newest words: n + 1 of these."""
        starts, n_ids = self.counted.transition_starts, self.n_ids
        inner = np.searchsorted(starts, starts[-1] * np.arange(1, n) / n)
        return np.unique(np.concatenate([[0], np.minimum(inner, n_ids), [n_ids]])).tolist()

    def _range(
        self, first_word: int, stop_word: int, columns: Columns, next_ngrams: np.ndarray, next_parents: np.ndarray,
        first_context: int,
    ) -> int:  # fmt: skip
        """The contexts whose newest words are first_word to stop_word; how many n-grams were left out.

        next_ngrams, next_parents (ids,): the first n-gram of each word after these contexts, and the first after
        those without their oldest words; first_context: the first of them; all as ``columns`` has them.
        """
        arena, starts = self.counted.arena, self.counted.transition_starts
        cursors = np.full((self.n_ids, 4), NOT_SEEN, np.uint32)
        cursors[:, NEXT], cursors[:, NEXT_PARENT] = next_ngrams, next_parents
        state, batch = start_state(first_context), Batch.create(self.n_ids)
        dropped = 0
        transitions = self.counted.transitions[starts[first_word] : starts[stop_word]]
        parts = [self.firsts] if first_word == 0 else []
        parts += [transitions[part] for part in arena.pieces(transitions.size, _TRANSITIONS)]
        for part in [*parts, np.zeros(1, np.uint32)]:
            dropped += self._assign(Bigrams.none(), Longer(part, cursors), self.rule, columns, batch, state)
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

    def _first_context(self, word: int) -> int:
        """The number of the first context whose newest word is ``word`` or later."""
        row = int(word)
        for m in range(1, self.n - 1):
            row = int(self.counted.nodes[m - 1][row, CHILD])
        return row
