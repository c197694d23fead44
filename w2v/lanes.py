"""Training whose result does not depend on the number of threads.

A round is LANES shards of the text.  Each is learnt from the matrices as they are when the round begins.  A row that
only one lane touches is changed where it stands; of the others each lane has a copy, in rows behind those of the
matrix, and at the end the copies are brought together.  Lanes are dealt out to threads, and so are the rows of the
matrices, each to one thread, which takes the lanes in their order: neither changes a sum.  Threads that have nothing
left to learn sample the shards of the next round.

Where c lanes have changed a row, the changes are added, each times a share between 1, as for rare words, whose
changes are small and have nothing to do with each other, and 1 / c, as for rows that are changed so often that each
lane has gone the whole way by itself (``copies.share_of``).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from typing import NamedTuple

import numpy as np

from w2v.copies import (
    NONE,
    choose_places,
    collect,
    copy_rows,
    count,
    forget,
    merge,
    number,
    replace,
    uncount,
)  # fmt: skip
from w2v.matrices import LANES, Matrices
from w2v.objectives import chosen
from w2v.shards import Plan, Worker

Task = Callable[[], object]
RATE = 2.0  # how fast a row forgets where it was: e^(-RATE alpha) is left of the way at each of its occurrences


class _Copy:
    """The rows of one matrix that a lane has copies of: ``words`` (n,) are their numbers there.

    ``first``: the row from which on the copies are.  hits (n,) float32: how often the lane changes each row.
    """

    def __init__(self, matrix: np.ndarray, first: int, words: np.ndarray, hits: np.ndarray):
        self.matrix, self.first, self.words, self.hits, self.n = matrix, first, words, hits, 0

    def take(self, n: int) -> None:
        """Copy the first n rows of ``words``."""
        self.n = n
        copy_rows(self.matrix, self.words, n, self.matrix[self.first :])


class _Merger:
    """Brings the copies of the rows of one matrix together.  matrix: with those of all lanes."""

    def __init__(self, n_words: int, matrix: np.ndarray):
        self._matrix, self._n_rows = matrix, 0
        self._slots = np.full(n_words, NONE)
        rows, copies, n_copies = (np.empty((n_words, *more), np.int32) for more in ((), (LANES,), ()))
        self._lists = rows, copies, n_copies, np.empty(n_words, np.float32)

    def collect(self, copies: Sequence[_Copy]) -> None:
        self._n_rows = 0
        for copy in copies:
            list_of = copy.words, copy.n, copy.hits, copy.first
            self._n_rows = collect(*list_of, self._slots, self._n_rows, *self._lists)

    def merge(self, rate: float, part: int, n_parts: int) -> None:
        """One of ``n_parts`` parts of what was collected."""
        start, stop = self._n_rows * part // n_parts, self._n_rows * (part + 1) // n_parts
        merge(self._matrix, start, stop, self._slots, *self._lists, rate)


class _Lane:
    """What a lane has sampled, by its own numbers of the words: those of the shard first, then those only drawn."""

    def __init__(self, plan: Plan, matrices: Matrices, number: int):
        self._plan, self._worker = plan, Worker(plan)
        n_words = len(plan.thresholds)
        self._first = n_words * (1 + number)  # row of the lane's copies
        self._whole = matrices.whole
        self._numbers = np.full(n_words, NONE)
        # pages that are never written take no memory: few shards have all words of a large vocabulary
        self._words, self._copied, self._places = (np.empty(n_words, np.int32) for _ in range(3))
        self._hits, self._input_hits = (np.empty(n_words, np.float32) for _ in range(2))
        lists = {"syn0": (self._copied, self._input_hits)}
        self._objectives = chosen(plan.config)
        for each in self._objectives.values():
            if each.rows_are_words:
                lists[each.matrix] = self._copied, self._hits
            else:
                lists[each.matrix] = np.empty(n_words, np.int32), np.empty(n_words, np.float32)
        self.copies = {name: _Copy(matrix, self._first, *lists[name]) for name, matrix in self._whole.items()}

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
        if all(each.rows_are_words for each in self._objectives.values()):
            # the lists of words and hits become those of the words that are copied
            n_inputs, n_words = choose_places(
                self._words, n_inputs, n_words, present, self._first, self._places, self._copied, self._hits,
                self._input_hits,
            )  # fmt: skip
            replace(sampled.kept, sampled.n, self._places)
            replace(sampled.negatives, sampled.negatives.size, self._places)
            first = 0
        else:  # tables of the lane's words are by the lane's own numbers of them
            self._copied[:n_words] = self._words[:n_words]
            first = self._first
        tables = {}
        copies["syn0"].take(n_inputs)
        for name, each in self._objectives.items():
            tables[name], size, copy = self._plan.tables[name], n_words, copies[each.matrix]
            if not each.rows_are_words:
                tables[name], size = each.localise(
                    tables[name], self._words, n_inputs, self._input_hits, self._numbers, copy.words, copy.hits
                )
            copy.take(size)
        matrices = {name: matrix[first:] for name, matrix in self._whole.items()}
        return self._worker.train(sampled, self._alpha, matrices, tables)


class _Round(NamedTuple):
    """The shards first to stop of an epoch."""

    epoch: int
    first: int
    stop: int

    def tasks(self, lanes: list[_Lane]) -> list[Task]:
        """To sample a shard each."""
        shards = range(self.first, self.stop)
        return [partial(lane.begin, self.epoch, shard) for lane, shard in zip(lanes, shards, strict=False)]


class Lanes:
    """The lanes of a run."""

    def __init__(self, plan: Plan, matrices: Matrices, threads: int):
        self._plan, self._threads = plan, min(threads, LANES)
        # of the round at hand, and of the next one
        self._lanes, self._next_lanes = ([_Lane(plan, matrices, k) for k in range(LANES)] for _ in range(2))
        self._sampled: _Round | None = None  # what the lanes of the round at hand have sampled
        n_words = len(plan.thresholds)
        self._present = np.zeros(n_words, np.int32)
        self._mergers = {name: _Merger(n_words, matrix) for name, matrix in matrices.whole.items()}
        self._pool = ThreadPoolExecutor(max(1, self._threads - 1), thread_name_prefix="lane")

    def warm_up(self) -> None:
        """Compile what a round needs, without learning anything."""
        lane = self._lanes[0]
        lane.begin(0, 0, n=0)
        self._learn([lane], [], 0.0)

    def train(self, epoch: int, first: int, stop: int) -> tuple[float, int]:
        """A round: the shards first to stop, at most LANES; the summed loss and the number of examples."""
        this = _Round(epoch, first, stop)
        sampled, self._sampled = self._sampled, None  # learning changes it: of no use should it fail
        if this != sampled:
            self._share_out(this.tasks(self._lanes))
        following = self._after(this)
        tasks = [] if following is None else following.tasks(self._next_lanes)
        rate = RATE * self._plan.alpha(epoch, first)
        result = self._learn(self._lanes[: stop - first], tasks, rate)
        self._lanes, self._next_lanes, self._sampled = self._next_lanes, self._lanes, following
        return result

    def _after(self, this: _Round) -> _Round | None:
        epoch, first = (this.epoch, this.stop) if this.stop < self._plan.n_shards else (this.epoch + 1, 0)
        if epoch >= self._plan.config.iterations:
            return None
        return _Round(epoch, first, min(first + LANES, self._plan.n_shards))

    def _learn(self, lanes: list[_Lane], others: list[Task], rate: float) -> tuple[float, int]:
        """Learn from what the lanes have sampled; ``others`` are done beside it."""
        for lane in lanes:
            count(lane.words, lane.words.size, self._present)
        try:
            results = self._share_out([*(partial(lane.train, self._present) for lane in lanes), *others])
        finally:
            for lane in lanes:
                uncount(lane.words, lane.words.size, self._present)
        self._merge(lanes, rate)
        results = results[: len(lanes)]
        return sum(loss for loss, _ in results), sum(n for _, n in results)

    def _share_out(self, tasks: Sequence[Task]) -> list:
        """All tasks by all threads, this one among them; the results in order."""
        waiting, results = deque(enumerate(tasks)), [None] * len(tasks)

        def work_on() -> None:
            while waiting:
                try:
                    number, task = waiting.popleft()
                except IndexError:  # another thread was faster
                    return
                results[number] = task()

        helpers = [self._pool.submit(work_on) for _ in range(min(self._threads, len(tasks)) - 1)]
        try:
            work_on()
        finally:
            wait(helpers)
        for helper in helpers:
            helper.result()
        return results

    def _merge(self, lanes: list[_Lane], rate: float) -> None:
        for name, merger in self._mergers.items():
            merger.collect([lane.copies[name] for lane in lanes])

        def merge_part(part: int) -> None:
            for merger in self._mergers.values():
                merger.merge(rate, part, self._threads)

        self._share_out([partial(merge_part, part) for part in range(self._threads)])
