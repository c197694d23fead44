"""Estimation: from the counts of all n-grams to the trie of a back-off model.

Legend: V words, N the order, n the order at hand.

Order by order, shortest first: the sums over each history, the probabilities of its n-grams, then its
back-off weight, (1 - sum of p) / (1 - sum of p under the shorter history), which for interpolated methods
is the weight of the shorter history.  Probabilities are float32 and not yet logarithms until the end;
sums are float64, added in the order of the words, so that threads change nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from rnnlm.ngram.arena import PIECE
from rnnlm.ngram.assign import (
    EPSILON,
    MASS,
    amend_logs,
    assign,
    assign_logs,
    back_off,
    back_off_logs,
    do_again,
    take_logs,
    unmark,
    weigh,
)
from rnnlm.ngram.contexts import (
    add_counts,
    compact,
    continuation_counts,
    count_counts,
    cut_below,
    cut_bigrams,
    keep_histories,
    link,
    link_bigrams,
)
from rnnlm.ngram.counts import CountedTrie, count_column
from rnnlm.ngram.smoothing import MAX_COUNT, METHODS, STUPID, Options, Rule
from rnnlm.ngram.trie import BACKOFF, CHILD, FIRST_WORD, NONE, PROB, START, ZERO, Trie

_WORTH_CUTS = 1 << 17  # nodes
_PIECE = 1 << 18  # rows
_WORDS = 1 << 10  # words whose places are looked up, each in a page of its own, before pages are given back
_SUMS = 1 << 28  # bytes of sums that may be held at a time


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
    sums_bytes: int = _SUMS,
    progress: Callable[[int], object] | None = None,
) -> tuple[Trie, list[OrderReport]]:
    """The model of these counts, whose arrays it takes over, and what was found about each order.

    ``min_counts``: per order, n-grams below are left out (the last one holds for all higher orders).
    ``unk`` "kenlm": interpolated models without cutoffs get KenLM's numbers, otherwise SRILM's.
    ``warn`` gets a line for every order where something undefined had to be replaced.
    ``sums_bytes``: what the sums over contexts may take at a time.
    """
    options, method = options or Options(), METHODS[smoothing]
    mins = min_counts or method.min_counts
    nodes, order, arena = counted.nodes, counted.order, counted.arena
    n_words = counted.internal.size - 1
    cuts = _cuts(counted, threads, sums_bytes)
    if method.continuation:
        continuation_counts(nodes[0], True)
        for n in range(2, order):
            for part in arena.pieces(len(nodes[n - 1]) - 1):
                continuation_counts(nodes[n - 1][part.start : part.stop + 1], False)
    rules, histograms = [], []
    for n in range(1, order + 1):
        histogram = np.zeros(max(MAX_COUNT, *options.gt_max) + 2, np.int64)
        counts = counted.counts(n)[FIRST_WORD if n == 1 else 0 :]
        for part in arena.pieces(counts.size):
            count_counts(counts[part], histogram)
        histogram[0] = 0
        histograms.append(histogram)
        rules.append(method.rule(n, histogram, n_words, options, warn))
    mins = [mins[min(n, len(mins)) - 1] for n in range(1, order + 1)]
    kenlm = unk == "kenlm"
    exact = kenlm and max(mins) <= 1 and all(rule.interpolate for rule in rules)
    any_dropped = False
    with ThreadPoolExecutor(threads) as pool:
        for n, rule in enumerate(rules, 1):
            if n == 1:
                _unigrams(nodes[0], rule, mins[0], n_words, exact, kenlm and rule.interpolate)
            else:
                any_dropped |= _Order(counted, n, rule, mins[n - 1], cuts, exact, kenlm and rule.interpolate).run(pool)
            if progress is not None:
                progress(len(nodes[n - 1]))
        if any_dropped:
            for n in range(order - 1, 1, -1):
                keep_histories(nodes[n - 1], nodes[n - 2])
            for n in range(order, 1, -1):
                nodes[n - 1] = nodes[n - 1][: compact(nodes[n - 1], nodes[n - 2]) + 1]
        for n in range(1, order + 1):
            for part in arena.pieces(len(nodes[n - 1]) - 1):
                _finish(nodes[n - 1][part], count_column(counted, n), exact, pool, threads)
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
    uniform = 10.0 ** float(np.float32(-np.log10(n_words))) if not exact else 1 / n_words
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
        rounded = 1 - float((10.0 ** np.log10(p[p > 0]).astype(np.float32).astype(np.float64)).sum())
        left = rounded if rounded >= EPSILON else left if rule.smooths else 0.0
    none = p == 0
    if none.any():
        p[none] = STUPID / n_words if rule.backoff is not None else left / none.sum()
    elif left > 1e-12:
        p += left / n_words
    probs = unigrams.view(np.float32)
    outside = [NONE, START, -1]
    if not exact:
        with np.errstate(divide="ignore"):
            probs[FIRST_WORD:-1, PROB] = np.maximum(np.log10(p), ZERO)
        probs[outside, PROB] = ZERO
        probs[:, BACKOFF] = 0.0
    else:
        probs[FIRST_WORD:-1, PROB] = p
        probs[outside, PROB] = 0.0
        probs[:, BACKOFF] = 1.0


def _finish(nodes: np.ndarray, column: int, exact: bool, pool, threads: int) -> None:
    """Logarithms, where they were not taken yet, and marks removed."""

    def work(number: int) -> None:
        for lo in range(number * _PIECE, len(nodes), threads * _PIECE):
            part = nodes[lo : lo + _PIECE]
            if exact:
                out = np.empty(len(part))
                take_logs(part, column, 0.0, out)
                if column == PROB:
                    take_logs(part, BACKOFF, np.inf, out)
            else:
                unmark(part, column)

    list(pool.map(work, range(threads)))


def _cuts(counted: CountedTrie, threads: int, sums_bytes: int) -> np.ndarray:
    """(cuts + 1,) int64: contexts are cut into these ranges of their newest word, about equal."""
    largest = max(len(nodes) for nodes in counted.nodes)
    n_cuts = 1 if largest < _WORTH_CUTS else max(3 * threads, -(-largest * 64 * threads // sums_bytes))
    ends = np.cumsum(counted.counts(1).astype(np.int64))
    inner = np.searchsorted(ends, ends[-1] * np.arange(1, n_cuts) / n_cuts)
    return np.unique(np.concatenate([[0], inner, [ends.size]]))


class _Dropping(list):
    """A list whose iteration gives pages of mapped files back after every item."""

    def __init__(self, arena):
        super().__init__()
        self._arena = arena

    def __iter__(self):
        for item in super().__iter__():
            yield item
            self._arena.drop()


class _Order:
    """The estimation of one order n >= 2, cut by cut."""

    def __init__(self, counted: CountedTrie, n: int, rule: Rule, min_count: int, cuts, exact: bool, kenlm: bool):
        self.counted, self.n, self.rule, self.min_count = counted, n, rule, min_count
        self.cuts, self.exact = cuts, exact
        self.smallest = -1.0 if kenlm else 0.0  # SRILM leaves out what has nothing left of its count
        self._known: dict[int, list[np.ndarray]] = {}
        self.nodes, self.upper = counted.nodes[n - 1], counted.nodes[n - 2]
        self.column = count_column(counted, n)
        self.n_words = counted.internal.size - 1
        self.backoff = counted.arena.zeros(len(self.upper) - 1, np.float32)

    def run(self, pool) -> bool:
        """Estimate; whether any n-gram was left out."""
        dropped = sum(pool.map(self._cut, range(len(self.cuts) - 1)))
        # only now: until all cuts were done the contexts of the parents stood there
        for part in self.counted.arena.pieces(self.backoff.size):
            self.upper.view(np.float32)[part, BACKOFF] = self.backoff[part]
        return dropped > 0

    def _cut(self, number: int) -> int:
        first_word, stop_word = self.cuts[number : number + 2].tolist()
        lo, hi = self._places(first_word), self._places(stop_word)
        first, stop = self._first_context(first_word), self._first_context(stop_word)
        nodes, upper, column, n, rule = self.nodes, self.upper, self.column, self.n, self.rule
        here = (lo[-1], hi[-1])
        pieces = self._pieces(*here)
        links = np.empty(pieces[-1][1].stop, np.uint32)
        # a node's context stands where its back-off weight will be, for the next order
        kept = nodes[:-1, BACKOFF] if n < self.counted.order else nodes[:0, 0]
        parents = here if n == 2 else (lo[-2], hi[-2])
        for words, part in pieces:
            if n == 2:
                link_bigrams(nodes, *here, words, links[part], kept)
            else:
                above, contexts = self.counted.nodes[n - 3], upper[:-1, BACKOFF]
                link(nodes, upper, above, contexts, *parents, words, links[part], kept)
        sums = np.zeros((stop - first, 4))
        for words, part in pieces:
            add_counts(nodes[:-1, column], *here, words, links[part], first, rule.taken, rule.per_type, sums)
        totals = sums[:, :3].copy()
        weigh(sums, rule.constant, rule.interpolate)
        common = (nodes, column, upper, upper.view(np.float32)[:, PROB], *parents, n == 2)
        backoff = self.backoff[first:stop]
        if self.exact:
            for words, part in pieces:
                assign(*common, words, links[part], first, rule.taken, sums)
            back_off(sums, backoff)
            return 0
        counts = np.empty(links.size, np.uint32)
        sums[:, MASS:] = 0.0

        def assign_all(again: bool) -> int:
            limits = (rule.taken, self.min_count, self.smallest)
            return sum(
                assign_logs(*common, words, links[part], first, *limits, sums, counts[part], again)
                for words, part in pieces
            )

        dropped = assign_all(False)
        while rule.smooths and self.smallest == 0 and do_again(sums, totals, rule.constant, self.n_words):
            assign_all(True)
        scaled = back_off_logs(sums, rule.backoff or -1.0, rule.smooths, upper, first, backoff)
        if dropped or scaled:
            for words, part in pieces:
                amend_logs(nodes, column, *here, words, links[part], first, sums, backoff)
        return dropped

    def _pieces(self, lo: np.ndarray, hi: np.ndarray) -> list[tuple[tuple[int, int], slice]]:
        """Ranges of words and the places of their nodes in ``links``: all at once, or a bounded number at a time."""
        ends = np.cumsum(hi.astype(np.int64) - lo)
        ends -= ends[FIRST_WORD - 1]  # <s> and what is no word have no nodes
        if not self.counted.arena.spill:
            return [((FIRST_WORD, len(lo)), slice(0, int(ends[-1])))]
        pieces, word = _Dropping(self.counted.arena), FIRST_WORD
        while word < len(lo):
            before = int(ends[word - 1])
            stop = max(int(np.searchsorted(ends, before + PIECE, side="right")), word + 1)
            stop = min(stop, word + _WORDS)
            pieces.append(((word, stop), slice(before, int(ends[stop - 1]))))
            word = stop
        return pieces

    def _places(self, word: int) -> list[np.ndarray]:
        """For orders 2 to n, below each word the first node whose next older word is ``word`` or later."""
        if word in self._known:  # where one cut ends, the next one begins
            return self._known.pop(word)
        nodes = self.counted.nodes
        arena = self.counted.arena
        places = [np.empty(len(nodes[0]) - 1, np.uint32)]
        for part in arena.pieces(places[0].size, _WORDS):
            cut_bigrams(nodes[0][part.start : part.stop + 1], nodes[1], word, places[0][part])
        for m in range(2, self.n):
            places.append(np.empty_like(places[0]))
            for part in arena.pieces(places[0].size, _WORDS):
                cut_below(nodes[m - 1], places[-2][part], places[-1][part])
        self._known[word] = places
        return places

    def _first_context(self, word: int) -> int:
        """The first history (a row of order n - 1) whose newest word is ``word`` or later."""
        row = int(word)
        for m in range(1, self.n - 1):
            row = int(self.counted.nodes[m - 1][row, CHILD])
        return row
