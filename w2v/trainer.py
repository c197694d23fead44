"""Training: shards of the text go to threads as these come free, epoch by epoch.

Legend: V words, n ids of the text, ``width`` the length of a row in memory (``corpora.compute.simd.padded``).

A shard has its own random numbers, from the seed, the epoch and its own number, and its own learning rate.
Threads update the matrices without locks (Recht et al. 2011), so that the result differs a little from run to run;
with one thread it does not, and with ``deterministic`` whatever their number (``w2v.lanes``).
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import numpy as np

from w2v.config import TrainConfig
from w2v.lanes import Lanes
from w2v.matrices import LANES, Matrices
from w2v.objectives.objective import WORDS, Inputs
from w2v.shards import Plan, Worker

_TICK = 0.2  # seconds


@dataclass
class Progress:
    """Where a run stands: with the matrices, all that it takes to go on.

    shard: the next one of the epoch.  words: of the text, sentence ends included, in all epochs.  loss: summed over the
    epoch's examples so far.  seconds: spent in this epoch.
    """

    epoch: int = 0
    shard: int = 0
    words: int = 0
    loss: float = 0.0
    examples: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class EpochReport:
    """One pass over the text.  loss: mean per example, natural logarithm.  alpha: at its end."""

    epoch: int
    alpha: float
    loss: float
    examples: int
    words: int
    words_per_second: float
    seconds: float

    def to_dict(self) -> dict:
        return asdict(self)


class Trainer:
    """Trains matrices in place.

    ids (n,) int32: 0 a sentence end, -1 a word outside the vocabulary; in memory or mapped.  counts (V,) int64.
    ``inputs``: the rows of syn0 that each word has.
    ``on_tick(trainer)`` is called a few times a second, and when an epoch's last shard is learnt; where it returns
    True the threads finish the shards that they have, and ``at_rest(trainer)`` is called, with matrices and progress
    that fit.  What they raise passes through, when all threads are at rest.
    """

    def __init__(
        self,
        config: TrainConfig,
        matrices: Matrices,
        ids: np.ndarray,
        counts: np.ndarray,
        *,
        threads: int = 1,
        inputs: Inputs = WORDS,
        on_tick: Callable[[Trainer], bool] | None = None,
        at_rest: Callable[[Trainer], object] | None = None,
    ):
        self.config, self.matrices, self.threads = config, matrices, threads
        self.on_tick, self.at_rest = on_tick or (lambda trainer: False), at_rest or (lambda trainer: None)
        self.progress = Progress()
        self.plan = Plan.create(config, ids, counts, inputs)
        self.total_words = int(ids.size)
        if config.deterministic:
            self._lanes = Lanes(self.plan, matrices, threads)
        else:
            self._workers = [Worker(self.plan, threads) for _ in range(threads)]
        self._lock = threading.Lock()
        self._resting = False
        self._failure: BaseException | None = None
        self._unlearnt: list[int] = []
        self._started = time.perf_counter()
        self._began_at = 0

    # ---- numbers for whoever watches

    @property
    def alpha(self) -> float:
        """The learning rate of the next shard."""
        return self.plan.alpha(self.progress.epoch, min(self.progress.shard, self.plan.n_shards))

    @property
    def loss(self) -> float:
        """Mean per example of the epoch so far."""
        return self.progress.loss / max(1, self.progress.examples)

    @property
    def words_per_second(self) -> float:
        elapsed = time.perf_counter() - self._started
        return (self.progress.words - self._began_at) / elapsed if elapsed > 0 else 0.0

    def warm_up(self) -> float:
        """Compile what training needs, or load it; the seconds that it took."""
        began = time.perf_counter()
        if self.config.deterministic:
            self._lanes.warm_up()
        else:
            worker = self._workers[0]
            worker.train(worker.sample(0, 0)._replace(n=0), 0.0, self.matrices.by_name, self.plan.tables)
        return time.perf_counter() - began

    def can_go_on_from(self, progress: Progress) -> bool:
        """Whether this is a place within this run."""
        within = 0 <= progress.epoch <= self.config.iterations and 0 <= progress.shard <= self.plan.n_shards
        counted = 0 <= progress.words <= self.config.iterations * self.total_words and progress.examples >= 0
        return within and counted and math.isfinite(progress.loss) and 0 <= progress.seconds < math.inf

    # ---- learning

    def fit(self) -> Iterator[EpochReport]:
        """Train; a report after each epoch."""
        progress = self.progress
        while progress.epoch < self.config.iterations:
            self._started, self._began_at = time.perf_counter(), progress.words
            words_before = progress.epoch * self.total_words
            if self.config.deterministic:
                self._in_lanes()
            else:
                self._in_threads()
            if self.on_tick(self):  # an epoch may be over before its first tick
                self.at_rest(self)
            seconds = progress.seconds + time.perf_counter() - self._started
            report = EpochReport(
                epoch=progress.epoch,
                alpha=self.alpha,
                loss=self.loss,
                examples=progress.examples,
                words=progress.words - words_before,
                words_per_second=self.total_words / seconds if seconds > 0 else 0.0,
                seconds=seconds,
            )
            progress.epoch, progress.shard = progress.epoch + 1, 0
            progress.loss, progress.examples, progress.seconds = 0.0, 0, 0.0
            yield report

    def _add(self, words: int, loss: float, examples: int) -> None:
        self.progress.words += words
        self.progress.loss += loss
        self.progress.examples += examples

    def _in_lanes(self) -> None:
        """The rest of an epoch, in rounds that are the same whatever the number of threads."""
        progress, plan = self.progress, self.plan
        shown = time.perf_counter()
        while progress.shard < plan.n_shards:
            stop = min(progress.shard + LANES, plan.n_shards)
            words = plan.begin(stop) - plan.begin(progress.shard)
            loss, examples = self._lanes.train(progress.epoch, progress.shard, stop)
            self._add(words, loss, examples)
            progress.shard = stop
            if time.perf_counter() - shown > _TICK:
                shown = time.perf_counter()
                if self.on_tick(self):
                    self.at_rest(self)

    def _in_threads(self) -> None:
        """The rest of an epoch: each thread takes the next shard when it is free."""
        self._failure, self._unlearnt = None, []
        while self.progress.shard < self.plan.n_shards:
            self._resting = False
            threads = [threading.Thread(target=self._work, args=(worker,), daemon=True) for worker in self._workers]
            for thread in threads:
                thread.start()
            try:
                self._watch(threads)
            finally:
                # whatever happens, nobody trains on when this returns
                self._resting = True
                for thread in threads:
                    thread.join()
            if self._failure is not None:
                self._go_back()
                raise self._failure
            if self.progress.shard < self.plan.n_shards:
                self.at_rest(self)

    def _watch(self, threads: list[threading.Thread]) -> None:
        while any(thread.is_alive() for thread in threads):
            threads[0].join(_TICK)
            for thread in threads[1:]:
                thread.join(0 if threads[0].is_alive() else _TICK)
            if self._resting or self.on_tick(self):
                return

    def _work(self, worker: Worker) -> None:
        plan, progress = self.plan, self.progress
        matrices, shard = self.matrices.by_name, None
        try:
            while True:
                with self._lock:
                    if self._resting or progress.shard >= plan.n_shards:
                        return
                    shard, epoch = progress.shard, progress.epoch
                    progress.shard += 1
                words = plan.begin(shard + 1) - plan.begin(shard)
                loss, examples = worker.train(
                    worker.sample(epoch, shard), plan.alpha(epoch, shard), matrices, plan.tables
                )  # fmt: skip
                with self._lock:
                    self._add(words, loss, examples)
        except BaseException as error:
            self._failure, self._resting = error, True
            if shard is not None:
                self._unlearnt.append(shard)

    def _go_back(self) -> None:
        """After a failure, to the first shard that was not learnt: some after it are learnt twice then, none never."""
        progress = self.progress
        if self._unlearnt:
            progress.shard = min(self._unlearnt)
            progress.words = progress.epoch * self.total_words + self.plan.begin(progress.shard)
