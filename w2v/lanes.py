"""Training whose result does not depend on the number of threads.

A round is LANES shards of the text.  Each is learnt from the matrices as they are when the round begins.  A row that
only one lane touches is changed where it stands; of the others each lane has a copy, in rows behind those of the
matrix, and at the end the copies are brought together.  Lanes are dealt out to threads, and so are the rows of the
matrices, each to one thread, which takes the lanes in their order: neither changes a sum.

Of a row that c lanes have changed, the changes are added, each times a share between 1, as for rare words, whose
changes are small and have nothing to do with each other, and 1 / c, as for rows that are changed so often that each
lane has gone the whole way by itself (``copies.share_of``).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait

import numpy as np

from corpora.tables import HuffmanTree
from w2v.copies import (
    NONE,
    choose_places,
    clear,
    copy_rows,
    count,
    count_lanes,
    forget,
    length_of_paths,
    merge,
    number,
    own_paths,
    replace,
    uncount,
)  # fmt: skip
from w2v.matrices import LANES, Matrices
from w2v.shards import Plan, Worker

RATE = 2.0  # how fast a row forgets where it was: e^(-RATE alpha) is left of the way at each of its occurrences


class _Copy:
    """The rows of one matrix that a lane has copies of: ``words`` (n,) are their numbers there.

    ``rows``: where the copies are.
    """

    def __init__(self, matrix: np.ndarray, rows: np.ndarray, words: np.ndarray, hits: np.ndarray):
        self.matrix, self.rows, self.words, self.hits, self.n = matrix, rows, words, hits, 0

    def take(self, n: int) -> None:
        """Copy the first n rows of ``words``."""
        self.n = n
        copy_rows(self.matrix, self.words, n, self.rows)


class _Lane:
    """What a lane has sampled, by its own numbers of the words: those of the shard first, then those only drawn."""

    def __init__(self, plan: Plan, matrices: Matrices, number: int):
        self._plan, self._worker = plan, Worker(plan)
        n_words = len(plan.thresholds)
        self._first = n_words * (1 + number)  # row of the lane's copies
        self._whole = matrices.whole
        self._numbers = np.full(n_words, NONE)
        self._words, self._copied, self._places, self._nodes = (np.empty(n_words, np.int32) for _ in range(4))
        self._hits, self._input_hits, self._node_hits = (np.empty(n_words, np.float32) for _ in range(3))
        lists = {"syn0": (self._copied, self._input_hits), "syn1neg": (self._copied, self._hits)}
        lists["syn1"] = self._nodes, self._node_hits
        self.copies = {
            name: _Copy(matrix[:n_words], matrix[self._first : self._first + n_words], *lists[name])
            for name, matrix in self._whole.items()
        }

    def begin(self, epoch: int, shard: int, n: int | None = None) -> None:
        """Sample a shard, or its first ``n`` words."""
        sampled = self._worker.sample(epoch, shard)
        self._sampled = sampled = sampled if n is None else sampled._replace(n=n)
        self._alpha = self._plan.alpha(epoch, shard)
        numbers, words, hits = self._numbers, self._words, self._hits
        self._n_inputs = number(sampled.kept, sampled.n, numbers, words, hits, 0)
        self._input_hits[: self._n_inputs] = hits[: self._n_inputs]
        negatives = sampled.negatives
        self._n_words = number(negatives, negatives.size, numbers, words, hits, self._n_inputs)
        forget(words, self._n_words, numbers)

    @property
    def words(self) -> np.ndarray:
        return self._words[: self._n_words]

    def train(self, present: np.ndarray) -> tuple[float, int]:
        """Learn; present (V,) int32: how many lanes have a word."""
        n_inputs, n_words, sampled, copies = self._n_inputs, self._n_words, self._sampled, self.copies
        none = np.empty((0, 0), self._worker.dtype)
        if self._plan.tree is None:
            # the lists of words and hits become those of the words that are copied
            n_inputs, n_words = choose_places(
                self._words, n_inputs, n_words, present, self._first, self._places, self._copied, self._hits,
                self._input_hits,
            )  # fmt: skip
            replace(sampled.kept, sampled.n, self._places)
            replace(sampled.negatives, sampled.negatives.size, self._places)
            tree, n_nodes, first = None, 0, 0
        else:  # whose paths are found by the lane's own numbers
            self._copied[:n_words] = self._words[:n_words]
            tree, n_nodes = self._own_tree(n_inputs)
            first = self._first
        sizes = {"syn0": n_inputs, "syn1neg": n_words, "syn1": n_nodes}
        for name, copy in copies.items():
            copy.take(sizes[name])
        matrices = [self._whole[name][first:] if name in copies else none for name in sizes]
        return self._worker.train(sampled, self._alpha, *matrices, tree)

    def _own_tree(self, n_inputs: int) -> tuple[HuffmanTree, int]:
        """The paths of the lane's words, with the numbers of its copy of syn1; how many nodes that has."""
        words, tree = self._words, self._plan.tree
        size = length_of_paths(words, n_inputs, tree.offsets)
        own = HuffmanTree(np.empty(n_inputs + 1, np.int64), np.empty(size, np.int32), np.empty(size, np.uint8))
        n_nodes = own_paths(
            words, n_inputs, self._input_hits, tree, self._numbers, self._nodes, self._node_hits, own
        )  # fmt: skip
        forget(self._nodes, n_nodes, self._numbers)
        return own, n_nodes


class Lanes:
    """The lanes of a run."""

    def __init__(self, plan: Plan, matrices: Matrices, threads: int):
        self._plan, self._threads = plan, min(threads, LANES)
        self._lanes = [_Lane(plan, matrices, k) for k in range(LANES)]
        n_words = len(plan.thresholds)
        self._present = np.zeros(n_words, np.int32)
        names = self._lanes[0].copies
        self._counts = {name: (np.zeros(n_words, np.int32), np.zeros(n_words, np.float32)) for name in names}
        self._pool = ThreadPoolExecutor(max(1, self._threads - 1), thread_name_prefix="lane")

    def warm_up(self) -> None:
        """Compile what a round needs, without learning anything."""
        self._round(self._lanes[:1], lambda lane: lane.begin(0, 0, n=0), 0.0)

    def train(self, epoch: int, first: int, stop: int) -> tuple[float, int]:
        """A round: the shards first to stop, at most LANES; the summed loss and the number of examples."""
        lanes = self._lanes[: stop - first]
        shards = dict(zip(lanes, range(first, stop), strict=True))
        rate = RATE * self._plan.alpha(epoch, first)
        return self._round(lanes, lambda lane: lane.begin(epoch, shards[lane]), rate)

    def _round(self, lanes: list[_Lane], begin: Callable[[_Lane], object], rate: float) -> tuple[float, int]:
        self._share_out(begin, lanes)
        for lane in lanes:
            count(lane.words, lane.words.size, self._present)
        results = self._share_out(lambda lane: lane.train(self._present), lanes)
        for lane in lanes:
            uncount(lane.words, lane.words.size, self._present)
        self._merge(lanes, rate)
        return sum(loss for loss, _ in results), sum(n for _, n in results)

    def _share_out(self, work: Callable, items: Sequence) -> list:
        """``work(item)`` of all items by all threads, this one among them; the results in order."""
        waiting, results = deque(enumerate(items)), [None] * len(items)

        def work_on() -> None:
            while waiting:
                try:
                    number, item = waiting.popleft()
                except IndexError:  # another thread was faster
                    return
                results[number] = work(item)

        helpers = [self._pool.submit(work_on) for _ in range(min(self._threads, len(items)) - 1)]
        try:
            work_on()
        finally:
            wait(helpers)
        for helper in helpers:
            helper.result()
        return results

    def _merge(self, lanes: list[_Lane], rate: float) -> None:
        copies = [(copy, self._counts[name]) for lane in lanes for name, copy in lane.copies.items()]
        for copy, counts in copies:
            count_lanes(copy.words, copy.n, copy.hits, *counts)

        def merge_part(part: int) -> None:
            for copy, counts in copies:
                merge(copy.matrix, copy.words, copy.n, copy.rows, *counts, rate, part, self._threads)

        self._share_out(merge_part, range(self._threads))
        for copy, counts in copies:
            clear(copy.words, copy.n, *counts)
