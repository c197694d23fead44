"""Epochs, the learning-rate schedule, checkpoints: training as rnnlm 0.4b does it, and so that nothing is lost."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass

import numpy as np

from corpora.jobs.run import Diverged
from rnnlm.averages import Average
from rnnlm.config import TrainConfig
from rnnlm.engines import engine_of
from rnnlm.model import LOG10_E, RecurrentLM, RnnState
from rnnlm.schedules import SCHEDULES, factor

_NO_PERPLEXITY = 1024  # bits per word whose perplexity is no number any more
LOG2_E = math.log2(math.e)


@dataclass(frozen=True)
class EpochReport:
    """One pass over the training text.  Entropies in bits per word; alpha is the rate in the middle of the epoch.

    ``loss``: what it learnt from (``TrainConfig.loss``); unless that is full, ``train_entropy`` is an estimate.
    """

    epoch: int
    alpha: float
    train_entropy: float
    valid_entropy: float | None
    valid_perplexity: float | None
    words: int
    words_per_second: float
    seconds: float
    kept: bool
    loss: str = "full"

    def to_dict(self) -> dict:
        """Without the loss where it is full, as ever."""
        return {name: value for name, value in asdict(self).items() if name != "loss" or value != "full"}


@dataclass
class Progress:
    """Where a run stands: with the weights and the State, all that it takes to go on bit for bit."""

    epoch: int = 0
    position: int = 0  # words of the epoch that are done
    alpha: float = 0.1
    halving: bool = False
    last_log10_prob: float = -math.inf  # of the validation text in the epoch before
    best_log10_prob: float = -math.inf
    log_prob: float = 0.0  # natural, of the epoch's words so far
    scored: int = 0  # how many of them are in the vocabulary
    seconds: float = 0.0  # spent in this epoch before the last interruption
    spent: float = 0.0  # as ``Trainer.spent`` before the last interruption
    finished: bool = False
    averaged: int = 0  # epochs whose weights are in the mean
    is_mean: bool = False  # the model holds the mean, and the ``Average`` the weights from which training goes on
    full_from: int = -1  # the first of the last epochs, with the full softmax (`full_epochs`); -1: not known yet


class Trainer:
    """Fits a model to ids in place.

    ``train`` (n,) and ``valid`` (m,) int32, -1 for words outside the vocabulary; ``valid`` None: no schedule, every
    epoch is kept.  ``keep()`` is called when the weights are the best so far, ``recall()`` must bring them back; by
    default they are copied in memory.  ``on_chunk(trainer)`` is called every ``engine.steps`` words; what it raises
    passes through, with the model, ``engine`` and ``progress`` in a state that a checkpoint can save.
    So does what ``validating()``, a context in which the validation text is scored, raises.
    ``threads``: what the engine that ``config`` asks for may use.  ``seconds``: of all epochs and validations together,
    with the ``gone`` ones before this process began to train and those before interruptions; then the last epoch ends
    early, after one chunk at the least if it is the first.
    """

    def __init__(
        self,
        model: RecurrentLM,
        config: TrainConfig,
        train: np.ndarray,
        valid: np.ndarray | None,
        *,
        on_chunk: Callable[[Trainer], None] | None = None,
        keep: Callable[[], None] | None = None,
        recall: Callable[[], None] | None = None,
        validating: Callable[[], AbstractContextManager] = nullcontext,
        threads: int = 2,
        seconds: float | None = None,
        gone: float = 0.0,
    ):
        self.validating = validating
        self.model, self.config, self.train, self.valid = model, config, train, valid
        self.on_chunk = on_chunk or (lambda trainer: None)
        self._copy = None
        self.keep, self.recall = keep or self._keep_copy, recall or self._recall_copy
        self.engine = engine_of(model, config, threads)
        model.weights  # noqa: B018 - from here on the parameters are views of them
        self.average = Average(model.params) if config.average else None
        self.schedule, self.progress = SCHEDULES[config.schedule], Progress(alpha=config.alpha)
        self.seconds, self._seconds_before, self._validation_seconds = seconds, gone, 0.0
        self.started = self.created = time.perf_counter()
        self.began_at = 0  # position at which the clock was started

    def _keep_copy(self) -> None:
        if self._copy is None:
            self._copy = self.model.weights.copy()
        else:
            self._copy.assign(self.model.weights)

    def _recall_copy(self) -> None:
        # 0.4b forgets to bring back the direct connections
        kept = self._copy._replace(D=self.model.weights.D) if self.config.compatible else self._copy
        self.model.weights.assign(kept)

    # ---- numbers for whoever watches

    @property
    def words_per_second(self) -> float:
        elapsed = time.perf_counter() - self.started
        return (self.progress.position - self.began_at) / elapsed if elapsed > 0 else 0.0

    @property
    def spent(self) -> float:
        """Seconds that the run has taken so far, of its ``seconds``."""
        return self._seconds_before + time.perf_counter() - self.created

    @property
    def train_entropy(self) -> float:
        """Bits per word of the epoch so far.  0.4b counts the end of the file as a word, once an epoch."""
        done = self.progress.position == self.train.size
        n = self.progress.position + done if self.config.compatible else self.progress.scored
        return -self.progress.log_prob * LOG2_E / max(1, n)

    @property
    def is_full(self) -> bool:
        """Whether the epoch learns from all words: ``train_entropy`` is an estimate otherwise."""
        progress, config = self.progress, self.config
        return config.loss == "full" or 0 <= progress.full_from <= progress.epoch

    def require_progress(self) -> None:
        """ValueError where ``progress``, taken from a file, is no place in this run."""
        p = self.progress
        within = 0 <= p.epoch <= self.config.max_epochs and 0 <= p.position <= self.train.size and p.full_from >= -1
        known = 0 < p.alpha < math.inf and p.last_log10_prob <= 0 and p.best_log10_prob <= 0
        counted = math.isfinite(p.log_prob) and 0 <= p.scored <= self.train.size and 0 <= p.seconds < math.inf
        counted = counted and 0 <= p.spent < math.inf
        averaged = 0 <= p.averaged <= self.config.average and (p.averaged > 0 or not p.is_mean)
        if not (within and known and counted and averaged):
            raise ValueError(f"progress is {asdict(p)}")

    def state(self) -> dict[str, np.ndarray]:
        """All that a checkpoint needs beside ``progress`` and the model."""
        return self.engine.state() | ({} if self.average is None else self.average.state())

    def restore(self, saved: Mapping[str, np.ndarray], progress: Progress) -> None:
        """Go on where ``state`` and ``progress`` were taken.  ValueError where they are of another run, or damaged."""
        self.engine.restore(saved)
        if self.average is not None:
            self.average.restore(saved)
        self.progress = progress
        self.require_progress()
        self._seconds_before += progress.spent

    # ---- learning

    def rate(self, begin: int, end: int) -> float:
        """The learning rate for words begin to end of this epoch."""
        size, progress = self.train.size, self.progress
        return progress.alpha * factor(self.config, progress.epoch, min(begin, size), min(end, size), size)

    def take(self, position: int) -> tuple[np.ndarray, int]:
        """The words that are learnt next, as ``Engine.take``; after them ``on_chunk`` is called."""
        return self.engine.take(self.train, position)

    def learn(self, ids: np.ndarray, position: int | None = None) -> None:
        """Learn from the next words, up to ``position``, and add their log probability to the epoch's."""
        first = self.progress.position
        total = float(self.engine.learn(ids, lambda begin, end: self.rate(first + begin, first + end)).sum())
        if not math.isfinite(total):
            raise Diverged(
                f"training diverged in epoch {self.progress.epoch} near word {self.progress.position}: "
                f"lower `alpha` ({self.config.alpha:g}) or {self._limit()}"
            )
        self.progress.log_prob += total
        self.progress.scored += int(np.count_nonzero(ids >= 0))
        self.progress.position = self.progress.position + ids.size if position is None else position

    def _limit(self) -> str:
        """The setting that keeps steps short, with its value."""
        name = "clip_norm" if self.config.engine == "minibatch" else "gradient_cutoff"
        value = getattr(self.config, name)
        return f"`{name}` ({value:g})" if value else f"set `{name}` (0: off)"

    def warm_up(self) -> float:
        """Compile what training needs, or load it; the seconds that it took."""
        began = time.perf_counter()
        self.learn(self.train[:0])
        self.model.warm_up()
        return time.perf_counter() - began

    def validate(self) -> tuple[float, int, RnnState]:
        """(log10 probability, words in the vocabulary, state after the text) of the validation text."""
        state = self.model.state_from(self.model.cell.start)
        if self.config.compatible:  # 0.4b goes on with the features of the training text's last words
            state = RnnState(state.hidden, 0, self.engine.current().history)
        log_prob, _, state = self.model.log_probs(self.valid, state)
        return float(log_prob.sum()) * LOG10_E, int(np.count_nonzero(self.valid >= 0)), state

    def fit(self) -> Iterator[EpochReport]:
        """Train for ``max_epochs``, or until the validation text stops improving; a report after each epoch."""
        progress, config = self.progress, self.config
        while not progress.finished and progress.epoch < config.max_epochs:
            if progress.position == 0 and progress.epoch > 0 and self._is_late():
                progress.finished = True
                self.recall()
                break
            if progress.position == 0:
                self._leave_mean()
                self.engine.start_text()
                progress.log_prob, progress.scored, progress.seconds = 0.0, 0, 0.0
            if config.loss != "full":
                self.engine.use_all_words(self.is_full)
            self.started, self.began_at = time.perf_counter(), progress.position
            while progress.position < self.train.size and (self._is_untaught() or not self._is_late()):
                self.on_chunk(self)
                self.learn(*self.take(progress.position))
            self.on_chunk(self)
            yield self._finish_epoch()

    def _is_late(self) -> bool:
        """Whether there is no time left but for the validation text."""
        if self.seconds is None:
            return False
        return self.spent + self._validation_seconds >= self.seconds

    def _is_untaught(self) -> bool:
        return self.progress.epoch == 0 and self.progress.position == 0

    def _finish_epoch(self) -> EpochReport:
        progress, config = self.progress, self.config
        seconds, words = progress.seconds + time.perf_counter() - self.started, progress.position
        is_cut = words < self.train.size  # no time is left
        train_entropy, alpha, kept, valid_entropy = self.train_entropy, self.rate(0, self.train.size), True, None
        self._take_mean()
        if self.valid is not None:
            began = time.perf_counter()
            with self.validating():
                log10_prob, n, state = self.validate()
            self._validation_seconds = time.perf_counter() - began
            if not math.isfinite(log10_prob):
                raise Diverged(f"training diverged in epoch {progress.epoch}: lower `alpha` ({config.alpha:g})")
            valid_entropy = -log10_prob / math.log10(2) / max(1, n)
            if valid_entropy >= _NO_PERPLEXITY:
                finding = f"the validation text has {valid_entropy:.4g} bits a word"
                raise Diverged(
                    f"training diverged in epoch {progress.epoch} ({finding}): lower `alpha` ({config.alpha:g})"
                )
            kept = log10_prob >= (progress.last_log10_prob if config.compatible else progress.best_log10_prob)
            if kept:
                progress.best_log10_prob = log10_prob
                if config.compatible:  # 0.4b tests from where validation ended, the end of the file included
                    self.model.start_hidden = self.model.advance(-1, state).hidden[: self.model.state_size].copy()
            if self.schedule.follows_validation:
                self._halve(log10_prob)
        loss = "full" if self.is_full else config.loss
        if config.full_epochs:
            self._schedule_full()
        report = EpochReport(
            epoch=progress.epoch,
            alpha=alpha,
            train_entropy=train_entropy,
            valid_entropy=valid_entropy,
            valid_perplexity=None if valid_entropy is None else 2.0**valid_entropy,
            words=words,
            words_per_second=words / seconds if seconds > 0 else 0.0,
            seconds=seconds,
            kept=kept,
            loss=loss,
        )
        self.model.history.append(report.to_dict())
        if not progress.finished or not config.compatible:
            progress.epoch += 1
        progress.position, progress.seconds = 0, 0.0  # what is kept can be gone on from
        progress.finished = progress.finished or is_cut
        if kept:
            self.keep()
        elif self.schedule.follows_validation or progress.epoch == config.max_epochs or is_cut:
            self.recall()  # other schedules go on from where they are, and end with the best
        return report

    def _take_mean(self) -> None:
        """In the last epochs: the model, which is validated and kept, is the mean of the weights of these epochs.

        It may be called again in the same epoch, after an interruption.
        """
        progress = self.progress
        n = progress.epoch - (self.config.max_epochs - self.config.average) + 1  # epochs of the mean, this one included
        if self.average is None or n < 1:
            return
        if progress.averaged < n:
            self.average.add(self.model.params, progress.averaged)
            progress.averaged += 1
        if not progress.is_mean:
            self._exchange()

    def _leave_mean(self) -> None:
        """The next epoch goes on from the weights."""
        if self.progress.is_mean:
            self._exchange()

    def _exchange(self) -> None:
        self.average.exchange(self.model.params)
        self.model.weights_have_changed()
        self.progress.is_mean = not self.progress.is_mean

    def _halve(self, log10_prob: float) -> None:
        """Mikolov et al. (2010), section 2: once an epoch gains too little, alpha is halved at each; then the end."""
        progress, config = self.progress, self.config
        if log10_prob * config.min_improvement < progress.last_log10_prob:
            progress.finished = progress.halving
            progress.halving = True
        if progress.halving and not progress.finished:
            progress.alpha /= 2
        progress.last_log10_prob = log10_prob

    def _schedule_full(self) -> None:
        """The last epochs are full: as many as ``full_epochs``, once the others gain too little or have been enough."""
        progress, config, done = self.progress, self.config, self.progress.epoch + 1
        if progress.full_from < 0 and (progress.finished or done >= config.max_epochs - config.full_epochs):
            progress.full_from = done
        progress.finished = 0 <= progress.full_from <= done - config.full_epochs
