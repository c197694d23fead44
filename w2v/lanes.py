"""Training whose result does not depend on the number of threads.

A round is LANES shards of the text.  Each is learnt from the matrices as they are when the round begins: the rows that
it touches are copied into small matrices of the lane, in which training goes on as usual; at the end the copies are
brought together.  Lanes are dealt out to threads, and so are the rows of the matrices, each to one thread, which takes
the lanes in their order: neither changes a sum.

Of a row that c lanes have changed, the changes are added, each times a share between 1, as for rare words, whose
changes are small and have nothing to do with each other, and 1 / c, as for rows that are changed so often that each
lane has gone the whole way by itself (``copies.share_of``).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from corpora.simd import aligned_zeros
from corpora.tables import HuffmanTree
from w2v.copies import (
    NONE,
    clear,
    copy_rows,
    count_lanes,
    count_paths,
    forget,
    merge,
    number,
    path_codes,
    path_nodes,
)  # fmt: skip
from w2v.shards import Plan, Worker

LANES = 4
RATE = 2.0  # how fast a row forgets where it was: e^(-RATE alpha) is left of the way at each of its occurrences


class _Copy:
    """The rows of one matrix that a lane works on: ``words`` (n,) are their numbers there."""

    def __init__(self, matrix: np.ndarray, words: np.ndarray, hits: np.ndarray):
        self.matrix, self.words, self.hits, self.n = matrix, words, hits, 0
        self.rows = np.empty((0, matrix.shape[1]), matrix.dtype)

    def take(self, n: int) -> np.ndarray:
        """Copy the first n rows of ``words``; the matrix to train."""
        if n > len(self.rows):
            self.rows = aligned_zeros((n + n // 4, self.matrix.shape[1]), self.matrix.dtype)
        self.n = n
        copy_rows(self.matrix, self.words, n, self.rows)
        return self.rows


class _Lane:
    def __init__(self, plan: Plan, matrices):
        self._plan, self._worker = plan, Worker(plan)
        n_words = len(plan.thresholds)
        self._numbers = np.full(n_words, NONE)
        self._words, self._nodes = (np.empty(n_words, np.int32) for _ in range(2))
        self._hits, self._input_hits, self._node_hits = (np.empty(n_words, np.float32) for _ in range(3))
        lists = {"syn0": (self._words, self._input_hits), "syn1neg": (self._words, self._hits)}
        lists["syn1"] = self._nodes, self._node_hits
        self.copies = {
            name: _Copy(getattr(matrices, name), *lists[name]) for name in lists if getattr(matrices, name) is not None
        }

    def train(self, epoch: int, shard: int, n: int | None = None) -> tuple[float, int]:
        """Learn from a shard, or its first ``n`` words, in copies of the rows that it touches."""
        plan, words, copies = self._plan, self._words, self.copies
        sampled = self._worker.sample(epoch, shard)
        sampled = sampled if n is None else sampled._replace(n=n)
        tree, n_nodes = None, 0
        n_inputs = number(sampled.kept, sampled.n, self._numbers, words, self._hits, 0)
        self._input_hits[:n_inputs] = self._hits[:n_inputs]
        negatives = sampled.negatives
        n_words = number(negatives, negatives.size, self._numbers, words, self._hits, n_inputs)
        forget(words, n_words, self._numbers)
        if plan.tree is not None:
            tree, n_nodes = self._own_tree(n_inputs)
        none = np.empty((0, 0), self._worker.dtype)
        sizes = {"syn0": n_inputs, "syn1neg": n_words, "syn1": n_nodes}
        matrices = [copies[name].take(size) if name in copies else none for name, size in sizes.items()]
        return self._worker.train(sampled, plan.alpha(epoch, shard), *matrices, tree)

    def _own_tree(self, n_inputs: int) -> tuple[HuffmanTree, int]:
        """The paths of the lane's words, with the numbers of its copy of syn1; how many nodes that has."""
        offsets, points, codes = self._plan.tree
        words = self._words[:n_inputs]
        size = int((offsets[words + 1] - offsets[words]).sum())
        own = HuffmanTree(np.empty(n_inputs + 1, np.int64), np.empty(size, np.int32), np.empty(size, np.uint8))
        path_nodes(words, n_inputs, offsets, points, own.offsets, own.points)
        path_codes(words, n_inputs, offsets, codes, own.codes)
        n_nodes = number(own.points, size, self._numbers, self._nodes, self._node_hits, 0)
        self._node_hits[:n_nodes] = 0
        count_paths(own.offsets, own.points, n_inputs, self._input_hits, self._node_hits)
        forget(self._nodes, n_nodes, self._numbers)
        return own, n_nodes


class Lanes:
    """The lanes of a run."""

    def __init__(self, plan: Plan, matrices, threads: int):
        self._plan, self._threads = plan, min(threads, LANES)
        self._lanes = [_Lane(plan, matrices) for _ in range(LANES)]
        n_words = len(plan.thresholds)
        names = self._lanes[0].copies
        self._counts = {name: (np.zeros(n_words, np.int32), np.zeros(n_words, np.float32)) for name in names}
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="lane")

    def warm_up(self) -> None:
        """Compile what a round needs, without learning anything."""
        self._lanes[0].train(0, 0, n=0)
        self._merge(self._lanes[:1], 0.0)

    def train(self, epoch: int, first: int, stop: int) -> tuple[float, int]:
        """A round: the shards first to stop, at most LANES; the summed loss and the number of examples."""
        lanes = self._lanes[: stop - first]
        jobs = zip(lanes, range(first, stop), strict=True)
        results = list(self._pool.map(lambda job: job[0].train(epoch, job[1]), jobs))
        self._merge(lanes, RATE * self._plan.alpha(epoch, first))
        return sum(loss for loss, _ in results), sum(n for _, n in results)

    def _merge(self, lanes: list[_Lane], rate: float) -> None:
        copies = [(copy, self._counts[name]) for lane in lanes for name, copy in lane.copies.items()]
        for copy, counts in copies:
            count_lanes(copy.words, copy.n, copy.hits, *counts)

        def merge_part(part: int) -> None:
            for copy, counts in copies:
                merge(copy.matrix, copy.words, copy.n, copy.rows, *counts, rate, part, self._threads)

        list(self._pool.map(merge_part, range(self._threads)))
        for copy, counts in copies:
            clear(copy.words, copy.n, *counts)
