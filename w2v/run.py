"""A training run from the command line: it is interrupted, goes on, runs out of disk or diverges, and loses nothing.

The output is written when all epochs are done.  ``OUTPUT.checkpoint`` holds the whole state, every
``checkpoint_minutes`` and on Ctrl-C; the same command goes on from there, and with one thread, or
``--deterministic``, it ends bit for bit as if it had not been stopped.
"""

from __future__ import annotations

import math
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np

from corpora.errors import CorpusError
from corpora.files.checks import all_finite
from corpora.files.output import STDOUT, replace_file
from corpora.jobs.progress import bar
from corpora.jobs.record import made_of
from corpora.jobs.resumable import checkpoint_of, keeps_state
from corpora.jobs.run import KERNELS, TIMES, Diverged, TrainingRun
from corpora.jobs.system import polite_interrupt, readable_size
from w2v import io, start
from w2v.checkpoint import Checkpoint, Settings, sums, unusable
from w2v.config import TrainConfig
from w2v.log import EPOCH, PROGRESS, Log
from w2v.matrices import Matrices
from w2v.memory import needed
from w2v.model import WordVectors
from w2v.texts import Text
from w2v.trainer import EpochReport, Progress, Trainer

LOG_SECONDS = 10.0  # between two lines of progress in the log
CLASS_ITERATIONS = 10  # of k-means, as word2vec.c
_REMEDY = "remove it to start over"  # of what is found out only when the text is encoded with its words


def require_writable(output: str, settings: Settings) -> None:
    """CorpusError where a format could not be written under this name, told before the time is spent."""
    if settings.classes:
        return
    if settings.format == "native" and output.endswith((".gz", ".bz2", ".xz")):
        raise CorpusError(f"{output}: the native format is not compressed; give `format`, or another name")
    if output.endswith((".bz2", ".xz")):
        raise CorpusError(f"{output}: compressed files are written as .gz only")


@dataclass
class Run(TrainingRun):
    """A run of ``w2v train``.  ``initial``: vectors to train on.  ``resumed``: the checkpoint that is gone on from.

    ``watch``: called a few times a second in place of a progress bar.
    """

    output: str
    config: TrainConfig
    settings: Settings
    text: Text
    threads: int
    initial: WordVectors | None = None
    resumed: Checkpoint | None = None
    checkpoint_minutes: float | None = 10.0
    say: Callable[[str], None] = print
    watch: Callable[[Trainer], object] | None = None

    @property
    def checkpoint(self) -> str | None:
        has_place = self.checkpoint_minutes is not None and keeps_state(self.output)
        return checkpoint_of(self.output) if has_place else None

    def epochs(self) -> Iterator[EpochReport]:
        """Train; a report after every epoch.  The output is there when the last was taken.

        Where it is stopped the state is saved first: KeyboardInterrupt for Ctrl-C, SystemExit for SIGTERM and SIGHUP.
        Whoever stops reading the reports (an error, a closed pipe) leaves a checkpoint as well.
        """
        self._require_room()
        if self.settings.classes > len(self.text.vocab):
            n_words = len(self.text.vocab)
            raise CorpusError(f"`classes` {self.settings.classes}: more classes than the {n_words} words; lower it")
        if self.resumed is None:
            self._begin()
        else:
            self._resume()
        self._tell_compiled(self.trainer.warm_up())
        if self.resumed is None:
            self._forget_checkpoint()  # of the run that --force replaces
        self._saved_at = self._logged_at = time.monotonic()
        self._epoch_began = time.perf_counter()
        self._failure: Exception | None = None
        self._is_told = False
        log = Log(self.settings.log, self._history, self.trainer.progress.words)
        with closing(log) as self._log, polite_interrupt() as self._interrupt:
            for report in self._watched_epochs():
                line = report.to_dict() | {"words_done": self.trainer.progress.words}
                self._history.append(line)
                self._epoch_began = time.perf_counter()
                try:
                    self._log.write(EPOCH, line)
                    yield report
                except BaseException:  # the log's disk is full, or nobody reads standard output any more
                    self._leave()
                    raise
            self._stop_if_asked()  # in the moment since the last epoch's end
        try:
            self._save()
        except (CorpusError, OSError) as error:  # the disk is full
            raise self._not_written(error) from error
        except BaseException:  # Ctrl-C: all that was learnt is still there
            self._leave()
            raise
        self._forget_checkpoint()

    # ---- beginning and going on

    def _require_room(self) -> None:
        text = self.text
        need = needed(self.config, text.vocab.counts, text.ids.size, self.threads)
        # vectors to train on are given back when they are copied, before the matrices beside them grow
        older = 0 if self.initial is None else self.initial.bytes_in_memory
        copied = need.vectors if older and self.initial.state else Matrices.bytes_of_one(len(text.vocab), self.config)
        more = max(need.vectors + need.beside + KERNELS - older, copied)
        figure = (
            f"{readable_size(need.vectors)} of vectors, {readable_size(need.beside)} of copies and tables, "
            f"{readable_size(text.bytes_in_memory)} of ids"
        )
        deterministic = "omit `deterministic`, " if self.config.deterministic else ""
        remedy = f"{deterministic}lower `size` or `max_vocab`, or raise `min_count`"
        self._require_memory(more, text.bytes_in_memory, figure, remedy)

    def _begin(self) -> None:
        matrices, taken = start.create(self.config, self.text, self.initial)
        if self.initial is not None:
            new = int(np.count_nonzero(self.text.rows[1:] < 0))
            self.say(f"training on {self.settings.init}: its {', '.join(taken)}; {new} words are new")
        self.initial = None  # its matrices are given back
        self._history: list[dict] = []
        self.trainer = self._trainer(matrices)

    def _resume(self) -> None:
        found = self.resumed
        found.require_same_text(self.text.ids)
        try:
            matrices = start.restore(self.config, found.vectors)
            progress = made_of(Progress, found.progress)
        except ValueError as error:
            raise unusable(found.path, error, _REMEDY) from error
        found.vectors = None  # the mapped file can be replaced, on Windows too
        self._history = found.history
        self.trainer = self._trainer(matrices)
        if not self.trainer.can_go_on_from(progress):
            raise unusable(found.path, ValueError("it stands outside of its text"), _REMEDY)
        self.trainer.progress = progress
        self.say(f"going on from {found.path}: epoch {progress.epoch}, {self._share:.1%} of all words done")

    def _trainer(self, matrices: Matrices) -> Trainer:
        counts = self.text.vocab.counts
        if self.config.hs:
            # words of older vectors that are not in this text: zeros would make a chain of the Huffman tree
            counts = np.maximum(counts, np.arange(counts.size) > 0)
        return Trainer(
            self.config, matrices, self.text.ids, counts,
            threads=self.threads, on_tick=self._on_tick, at_rest=self._at_rest,
        )  # fmt: skip

    @property
    def _share(self) -> float:
        """The share of the words of all epochs that is done."""
        total = self.config.iterations * self.trainer.total_words
        return self.trainer.progress.words / total if total else 1.0

    # ---- while it runs

    def _watched_epochs(self) -> Iterator[EpochReport]:
        trainer = self.trainer
        self._shown = trainer.progress.words
        left = self.config.iterations * trainer.total_words - self._shown
        reports = trainer.fit()
        with bar(left, "train", unit=" words", disable=None if self.watch is None else True) as self._bar:
            for report in reports:
                self._update_bar()
                self._require_numbers(report.loss)
                self._clear_bar()
                yield report
        self._bar = None

    def _update_bar(self) -> None:
        progress = self.trainer.progress
        self._bar.update(progress.words - self._shown)
        self._shown = progress.words

    def _on_tick(self, trainer: Trainer) -> bool:
        """Whether the trainer is to come to rest: only then the matrices fit the progress."""
        self._update_bar()
        is_finite = math.isfinite(trainer.progress.loss)
        if trainer.progress.examples and is_finite:
            self._bar.set_postfix_str(f"loss {trainer.loss:.3f}, alpha {trainer.alpha:.4f}", refresh=False)
        if self.watch is not None:
            self.watch(trainer)
        now = time.monotonic()
        if now - self._logged_at >= LOG_SECONDS:
            self._logged_at = now
            try:
                self._log.write(PROGRESS, self._progress_line(trainer))
            except (CorpusError, OSError) as error:
                self._failure = error
        is_stopped = self._interrupt.number is not None
        if is_stopped and self.checkpoint is not None and not self._is_told:
            self._is_told = True
            self._tell_stopping()
        return is_stopped or self._failure is not None or not is_finite or self._is_due()

    def _progress_line(self, trainer: Trainer) -> dict:
        progress = trainer.progress
        return {
            "epoch": progress.epoch,
            "alpha": trainer.alpha,
            "loss": trainer.loss if progress.examples else None,
            "words_per_second": trainer.words_per_second,
            "words_done": progress.words,
        }

    def _at_rest(self, trainer: Trainer) -> None:
        self._require_numbers(trainer.progress.loss)
        if self._failure is not None:
            self._leave()
            raise self._failure
        self._stop_if_asked()
        if self._is_due():
            self._try_checkpoint()

    def _stop_if_asked(self) -> None:
        """Save the state and raise what the signal that came asks for; nothing where none came."""
        number = self._interrupt.number
        if number is not None:
            self._leave()
            self._end(number)

    def _require_numbers(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise self._diverged(f"the loss is {loss}")

    def _diverged(self, finding: str) -> Diverged:
        alpha = self.config.starting_alpha
        return Diverged(
            f"training diverged in epoch {self.trainer.progress.epoch} ({finding}): lower `alpha` ({alpha:g}); "
            "nothing is written"
        )

    # ---- what is written

    def _leave(self) -> None:
        """Save the state before the run ends early, where it has a place."""
        place = self._keep_state()
        if place is not None:
            self._tell(f"stopped; {self._way_on(place)}")

    def _keep_state(self) -> str | None:
        """Save the state beside the output or, where the disk does not allow it, among temporary files; where it is."""
        if self.checkpoint is None:
            return None
        try:
            self._save_checkpoint()
            return self.checkpoint
        except Diverged:
            raise
        except CorpusError as error:
            folder = tempfile.mkdtemp(prefix="w2v-")
            place = os.path.join(folder, os.path.basename(self.checkpoint))
            try:
                self._save_checkpoint(place)
            except CorpusError:
                os.rmdir(folder)
                raise error from None
            self._tell(f"Warning: {error}")
            return place

    def _way_on(self, place: str) -> str:
        moved = "" if place == self.checkpoint else f"move {place} there: "
        return f"{moved}the same command goes on from {self.checkpoint}"

    def _not_written(self, error: CorpusError | OSError) -> CorpusError | OSError:
        """What to say of an output that cannot be written when all is learnt."""
        if isinstance(error, Diverged):
            return error
        try:
            place = self._keep_state()
        except CorpusError as refusal:
            return CorpusError(f"{error}; neither can the state, and what was learnt is lost: {refusal}")
        if place is None or isinstance(error, BrokenPipeError):
            return error
        moved = "" if place == self.checkpoint else f", move that to {self.checkpoint}"
        return CorpusError(
            f"{error}; {place} has all that was learnt: make room{moved}, and the same command writes it"
        )

    def _save_checkpoint(self, place: str | None = None) -> None:
        """Save the state, in the checkpoint if no other ``place`` is given."""
        self._require_finite()
        progress = asdict(self.trainer.progress)
        progress["seconds"] += time.perf_counter() - self._epoch_began  # the trainer adds them when the epoch ends
        Checkpoint(
            place or self.checkpoint, self.config, self.settings, self._vectors(), progress, self._history, self._sums
        ).save()  # fmt: skip

    @cached_property
    def _sums(self) -> dict:
        return sums(self.text.ids, self.text.vocab)

    def _require_finite(self) -> None:
        for name, values in self.trainer.matrices.by_name.items():
            if not all_finite(values):
                raise self._diverged(f"NaN or infinity in {name}")

    def _vectors(self) -> WordVectors:
        """The matrices with their words, as views."""
        matrices, vocab, size = self.trainer.matrices, self.text.vocab, self.config.size
        # without times, so that the same training gives the same bytes; the log has them
        history = [{key: value for key, value in line.items() if key not in TIMES} for line in self._history]
        training = {"config": self.config.to_dict(), "tokenizer": self.settings.tokenizer, "history": history}
        return WordVectors(
            vocab.words, matrices.vectors(size), vocab.counts, training=training, state=matrices.state(size)
        )  # fmt: skip

    def _save(self) -> None:
        self._require_finite()
        vectors, output, classes = self._vectors(), self.output, self.settings.classes
        if classes:
            write_classes(vectors, output, classes, self.config.seed)
            what = f"{classes} classes of {len(vectors)} words"
        else:
            io.save(vectors, output, self.settings.format)
            what = f"{len(vectors)} vectors of size {vectors.dim}, {self.settings.format}"
        self.say(f"{'standard output' if output == STDOUT else output}: {what}")


def write_classes(vectors: WordVectors, path: str, n_classes: int, seed: int) -> None:
    """A line ``word class`` for every word, in the order of the vocabulary: word2vec.c's -classes."""
    from w2v.cluster import spherical_kmeans

    found = spherical_kmeans(vectors.vectors, n_classes, iterations=CLASS_ITERATIONS, seed=seed, method="word2vec")
    with replace_file(path) as file:
        file.writelines(b"%b %d\n" % pair for pair in zip(vectors.words, found.tolist(), strict=True))
