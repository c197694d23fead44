"""A training run from the command line: it is interrupted, goes on, runs out of memory or diverges, and loses nothing.

The model file holds the best epoch so far, and until the run has ended also what it takes to go on from there.
``MODEL.checkpoint`` holds the whole state, every ``checkpoint_minutes`` and on Ctrl-C.  The same command goes on from
whichever is further, and ends bit for bit as if it had not been stopped.
"""

from __future__ import annotations

import json
import math
import os
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from corpora.errors import CorpusError, FormatError
from corpora.files.checks import all_finite, shown
from corpora.files.mapping import mapping_of
from corpora.files.output import open_log
from corpora.jobs import resumable
from corpora.jobs.progress import bar
from corpora.jobs.record import made_of, require_types
from corpora.jobs.resumable import Claim, checkpoint_of
from corpora.jobs.run import KERNELS, TIMES, TrainingRun
from corpora.jobs.system import polite_interrupt, readable_size
from corpora.settings import require_same
from rnnlm.config import ModelConfig, TrainConfig
from rnnlm.data import Texts
from rnnlm.initial import GlibcRandom, glibc_params, initial_params
from rnnlm.io import load, native
from rnnlm.memory import needed
from rnnlm.model import RecurrentLM
from rnnlm.trainer import Diverged, EpochReport, Progress, Trainer

SNAPSHOT_WORDS = 40


def check_outputs(
    output: str, log: str | None = None, force: bool = False, inputs: Sequence[str] = (), claim: Claim | None = None
) -> bool:
    """Whether there is a run to go on with, by the looks of it: a checkpoint, or a model of a run that has not ended.

    CorpusError where ``output`` or ``log`` cannot be written, or is one of ``inputs``, the files that are read.
    """
    if os.path.exists(output) and not os.path.isdir(output) and not os.path.isfile(output):
        raise CorpusError(f"{output}: not an ordinary file; the model is read again while it is trained")
    resumes = os.path.exists(checkpoint_of(output)) or native.is_unfinished(output)
    outputs = {"the model": output, "the log": log}
    resumable.check_outputs(outputs, force, inputs, resumes=resumes, claim=claim)
    return resumes


def unfinished_configs(output: str, given: Mapping[str, object]) -> tuple[ModelConfig, TrainConfig] | None:
    """The configurations of a run that has not ended, whose files are there; None where there is none, or another's.

    CorpusError where they are not as ``given``, settings by name.
    """
    for path in (checkpoint_of(output), output):
        if not native.is_unfinished(path):
            continue
        with suppress(CorpusError, ValueError, KeyError, AttributeError):  # whoever goes on with it will tell
            found = native.load_checkpoint(path)[2].get("fingerprint") or {}
            configs = ModelConfig.from_dict(found["model"]), TrainConfig.from_dict(found["training"])
            break
    else:
        return None
    for config in configs:
        theirs = config.to_dict()
        require_same(path, type(config), {name: given[name] for name in theirs if name in given}, theirs)
    return configs


class Saved(NamedTuple):
    """What a file holds of this run."""

    path: str
    model: RecurrentLM
    state: dict[str, np.ndarray]  # of the trainer
    progress: Progress

    @property
    def place(self) -> tuple[int, int, bool]:
        return self.progress.epoch, self.progress.position, self.progress.finished

    @property
    def has_best(self) -> bool:
        return bool(np.isfinite(self.progress.best_log10_prob))


@dataclass
class Run(TrainingRun):
    """A run of ``rnnlm train``.  ``show``: where generated snapshots go."""

    output: str
    model_config: ModelConfig
    train_config: TrainConfig
    texts: Texts
    tokenizer: str = "whitespace"
    force: bool = False
    log: str | None = None
    checkpoint_minutes: float = 10.0
    snapshot_words: int = 0
    seconds: float | None = None  # that the run may take, in all
    gone: float = 0.0  # what this process has taken of them already
    threads: int = 2
    say: Callable[[str], None] = print
    show: Callable[[str], None] = print

    @property
    def checkpoint(self) -> str:
        return checkpoint_of(self.output)

    def epochs(self) -> Iterator[EpochReport]:
        """Train; a report after every epoch.

        Where it is stopped the state is saved first: KeyboardInterrupt for Ctrl-C, SystemExit for SIGTERM and SIGHUP.
        Whoever stops reading the reports (an error, a closed pipe) leaves a checkpoint as well.
        """
        saved = self._find()
        self._require_room()
        if saved is not None:
            try:
                self.trainer = self._resume(saved)
            except FormatError as error:
                self._start_over(error)
                saved = None
        if saved is None:
            self.trainer = self._begin()
        self._tell_compiled(self._warm_up())
        if saved is None:
            self._forget_checkpoint()  # of the run that --force replaces
        self._saved_at = time.monotonic()
        self._shown_words = self._words_read()
        with polite_interrupt() as self._interrupt, self._open_log() as write_log:
            for report in self._watched_epochs():
                try:
                    write_log(report)
                    yield report
                except BaseException:  # the log's disk is full, or nobody reads standard output any more
                    self._save_checkpoint()
                    self.say(f"stopped; the same command goes on from {self.checkpoint}")
                    raise
        # in this order: a checkpoint never stands beside the model of a run that has ended
        self._forget_checkpoint()
        self._save_model()  # the best weights once more, with the history of all epochs
        self._compare_with_frequencies()

    # ---- beginning and going on

    def _require_room(self) -> None:
        try:
            need = needed(self.model_config, self.train_config, len(self.texts.vocab))
        except ValueError as error:  # too few words for such a network
            raise CorpusError(str(error)) from error
        ids = sum(ids.nbytes for ids in (self.texts.train, self.texts.valid) if mapping_of(ids) is None)
        figure, remedy = f"{readable_size(need.parameters)} of parameters", "lower `hidden`, `direct` or `max_vocab`"
        if self.train_config.engine == "minibatch":
            figure += f", {readable_size(need.learning)} to change them, {readable_size(need.block)} for a block"
            remedy = "lower `hidden`, `batch_size`, `bptt` or `max_vocab`"
        self._require_memory(need.peak + KERNELS, ids, f"{figure}, {readable_size(ids)} of ids", remedy)

    def _begin(self) -> Trainer:
        config, train = self.model_config, self.train_config
        n_words = len(self.texts.vocab)
        if config.classes > n_words:
            raise CorpusError(
                f"`classes` {config.classes}: more classes than the {n_words} words of the vocabulary; "
                "lower it (1: softmax over all words)"
            )
        if train.batch_size > self.texts.train.size:
            raise CorpusError(
                f"`batch_size` {train.batch_size}: more than the {self.texts.train.size} words of the training text; "
                "lower it"
            )
        if train.compatible:
            params = glibc_params(config, n_words, GlibcRandom(train.seed))
        else:
            rng = np.random.default_rng(train.seed)
            params = initial_params(config, n_words, rng, train.initialisation, train.scale)
        model = RecurrentLM.create(config, self.texts.vocab, params)
        del params
        model.weights  # noqa: B018 - packs the parameters; the drawn ones are given back
        self._has_best = False
        return self._trainer(model)

    def _trainer(self, model: RecurrentLM) -> Trainer:
        return Trainer(
            model, self.train_config, self.texts.train, self.texts.valid, threads=self.threads, seconds=self.seconds,
            gone=self.gone, on_chunk=self._on_chunk, keep=self._keep, recall=self._recall, validating=self._validating,
        )  # fmt: skip

    @cached_property
    def _fingerprint(self) -> dict:
        """What must be the same for a checkpoint to be gone on with."""
        sums = [zlib.crc32(np.ascontiguousarray(ids)) for ids in (self.texts.train, self.texts.valid)]
        return {
            "model": self.model_config.to_dict(),
            "training": self.train_config.to_dict(),
            "texts": [int(self.texts.train.size), int(self.texts.valid.size), *sums],
            "words": zlib.crc32(self.texts.vocab.to_arrays()[0]),
        }

    def _find(self) -> Saved | None:
        """What there is to go on from, None: nothing.  CorpusError for what is in the way; ``force`` starts over."""
        there = check_outputs(self.output, force=self.force)
        try:
            return self._saved() if there else None
        except CorpusError as error:
            self._start_over(error)
            return None

    def _start_over(self, error: CorpusError) -> None:
        if not self.force:
            raise error
        self.say(f"starting over ({error})")

    def _saved(self) -> Saved | None:
        """The checkpoint, or the model of the best epoch if it is further: the run was killed before the next one.

        The best epoch's weights are in the model file only, so that a checkpoint needs it from the first epoch on.
        """
        if not os.path.exists(self.checkpoint):
            return self._load(self.output)
        checkpoint = self._load(self.checkpoint)
        best = None
        if native.is_unfinished(self.output):
            with suppress(CorpusError):  # of another run, which --force replaces
                best = self._load(self.output)
        if best is None and checkpoint.has_best:
            finding = "another model" if os.path.exists(self.output) else "missing"
            raise CorpusError(
                f"{self.output}: {finding}, where {self.checkpoint} needs the best epoch of its run: "
                "bring it back, or `force` to start over"
            )
        if best is None:
            return checkpoint
        fits = best.progress.best_log10_prob == checkpoint.progress.best_log10_prob
        return checkpoint if fits and checkpoint.place >= best.place else best

    def _load(self, path: str) -> Saved:
        """The state in a file.  CorpusError where it is not one of this run."""
        model, extra, meta = native.load_checkpoint(path)
        theirs, ours = meta.get("fingerprint"), self._fingerprint
        if theirs is None:
            raise FormatError(path, None, "not a checkpoint of rnnlm train; `force` replaces it")
        try:
            require_types(theirs, {"model": dict | None, "training": dict | None})
        except ValueError as error:
            raise _unusable(path, error) from error
        for part, config in (("model", ModelConfig), ("training", TrainConfig)):
            require_same(path, config, ours[part], theirs.get(part) or {})
        if theirs != ours:
            raise CorpusError(
                f"{path}: of a run on other texts, or with another vocabulary: "
                "give the same texts and options to go on, or `force` to start over"
            )
        try:
            return Saved(path, model, extra, made_of(Progress, meta.get("progress")))
        except ValueError as error:
            raise _unusable(path, error) from error

    def _resume(self, saved: Saved) -> Trainer:
        model = saved.model
        # everything is copied, so that the mapped file can be replaced, on Windows too
        model.weights = model.weights.copy()
        model.params = model.weights.views(model.params)
        model.start_hidden = np.array(model.start_hidden)
        model.class_of_word = np.array(model.class_of_word)
        model.vocab = self.texts.vocab
        trainer = self._trainer(model)
        try:
            trainer.restore(saved.state, saved.progress)
        except ValueError as error:
            raise _unusable(saved.path, error) from error
        self._has_best = saved.has_best
        place = f"epoch {trainer.progress.epoch}, word {trainer.progress.position} of {trainer.train.size}"
        self.say(f"going on from {saved.path}: {place}")
        return trainer

    def _warm_up(self) -> float:
        """Load or compile the kernels before the clock of the first epoch starts; the seconds that it took."""
        began = time.perf_counter()
        self.trainer.warm_up()
        if self.snapshot_words:
            self.trainer.model.distribution(self.trainer.model.start())
        return time.perf_counter() - began

    # ---- while it runs

    def _watched_epochs(self) -> Iterator[EpochReport]:
        trainer = self.trainer
        reports = trainer.fit()
        while True:
            with bar(trainer.train.size, f"epoch {trainer.progress.epoch}", unit=" words") as self._bar:
                self._bar.update(trainer.progress.position)
                self._shown = trainer.progress.position
                try:
                    report = next(reports, None)
                except Diverged as error:
                    best = f"{self.output} holds the best epoch" if self._has_best else "nothing is written"
                    raise Diverged(f"{error}; {best}") from error
            if report is None:
                return
            is_last = trainer.progress.finished or trainer.progress.epoch == self.train_config.max_epochs
            if os.path.exists(self.checkpoint) and not is_last:
                self._try_checkpoint()  # an older one would need the weights that the model file held before
            yield report

    def _words_read(self) -> int:
        """In all epochs so far."""
        progress = self.trainer.progress
        return progress.epoch * self.trainer.train.size + progress.position

    def _on_chunk(self, trainer: Trainer) -> None:
        progress = trainer.progress
        self._bar.update(progress.position - self._shown)
        self._shown = progress.position
        if progress.position:
            self._bar.set_postfix_str(f"{trainer.train_entropy:.3f} bits", refresh=False)
        if self._interrupt.number is not None:
            self._stop(self._interrupt.number)
        if self._is_due():
            self._try_checkpoint()
        if self.snapshot_words:
            before, self._shown_words = self._shown_words, self._words_read()
            if before // self.snapshot_words < self._shown_words // self.snapshot_words:
                self._clear_bar()
                self.show(self._snapshot())

    @contextmanager
    def _validating(self) -> Iterator[None]:
        """A long validation text does not keep a signal waiting: the epoch is validated by whoever goes on."""
        try:
            with self._interrupt.at_once():
                yield
        except KeyboardInterrupt:
            self._stop(self._interrupt.number)

    def _stop(self, number: int) -> None:
        self._tell_stopping()
        self._save_checkpoint()
        self.say(f"stopped; the same command goes on from {self.checkpoint}")
        self._end(number)

    def _snapshot(self) -> str:
        from corpora.text.tokenizers import from_spec
        from rnnlm.generate import generate, sentences

        progress = self.trainer.progress
        rng = np.random.default_rng([self.train_config.seed, progress.epoch, progress.position])
        text = map(from_spec(self.tokenizer).join, sentences(generate(self.trainer.model, SNAPSHOT_WORDS, rng)))
        return "\n".join([f"--- epoch {progress.epoch}, word {progress.position}", *text])

    def _save_checkpoint(self) -> None:
        progress = asdict(self.trainer.progress)
        progress["seconds"] += time.perf_counter() - self.trainer.started
        self._save_state(self.checkpoint, progress)

    def _save_state(self, path: str, progress: dict) -> None:
        """Write the model with what it takes to go on from it."""
        progress["spent"] = self.trainer.spent
        native.save(
            self._described(),
            path,
            extra=self.trainer.state(),
            extra_meta={"fingerprint": self._fingerprint, "progress": progress},
            like=self.output,  # nobody may read more here than there
        )

    def _described(self) -> RecurrentLM:
        """The model with what its file tells about its training; also what 0.4b's header wants."""
        trainer, config = self.trainer, self.train_config
        for name, values in trainer.model.params.items():
            if not (name == "D" and values.size >= native.UNCHECKED) and not all_finite(values):
                is_between = trainer.progress.position == 0 and trainer.model.history
                epoch = trainer.model.history[-1]["epoch"] if is_between else trainer.progress.epoch
                place = f"epoch {epoch} (NaN or infinity in {name})"
                raise Diverged(f"training diverged in {place}: lower `alpha` ({config.alpha:g})")
        best = trainer.progress.best_log10_prob
        trainer.model.training = {
            "tokenizer": self.tokenizer,
            "config": config.to_dict(),
            "train_words": int(trainer.train.size),
            "valid_words": int(trainer.valid.size),
            "bptt": config.bptt + 1 if config.bptt else 0,
            "bptt_block": config.bptt_block,
            "starting_alpha": config.alpha,
            "alpha": trainer.progress.alpha,
            "alpha_divide": int(trainer.progress.halving),
            "iterations": len(trainer.model.history),
            "valid_log10_prob": best if np.isfinite(best) else 0.0,
        }
        return trainer.model

    def _keep(self) -> None:
        self._save_state(self.output, asdict(self.trainer.progress))
        self._has_best = True

    def _save_model(self) -> None:
        lm = self._described()
        # without times, so that the same training gives the same bytes; the log and the checkpoint have them
        history = [{key: value for key, value in epoch.items() if key not in TIMES} for epoch in lm.history]
        native.save(replace(lm, history=history), self.output)

    def _compare_with_frequencies(self) -> None:
        """Say so where the model has learnt less than how frequent each word is."""
        known = self.texts.valid[self.texts.valid >= 0]
        best = self.trainer.progress.best_log10_prob
        if not known.size or not math.isfinite(best):
            return
        counts = self.texts.vocab.counts + 1.0  # of a given vocabulary, words may be missing from the training text
        unigram = -float(np.log10(counts[known] / counts.sum()).mean())
        if -best / known.size > unigram:
            progress, config = self.trainer.progress, self.train_config
            was_improving = not progress.finished and self.trainer.model.history[-1]["kept"]
            longer = f", or train for more epochs (`max_epochs` {config.max_epochs})" if was_improving else ""
            self.say(
                f"Warning: {self.output}: its perplexity on the validation text, {10 ** (-best / known.size):.2f}, "
                f"is worse than that of the words' frequencies alone, {10**unigram:.2f}: "
                f"lower `alpha` ({config.alpha:g}){longer}"
            )

    def _recall(self) -> None:
        best = load(self.output)
        for name, array in self.trainer.model.params.items():
            if name == "D" and self.train_config.compatible:
                continue  # 0.4b forgets to bring back the direct connections
            array[...] = best.params[name]
        self.trainer.model.weights_have_changed()

    @contextmanager
    def _open_log(self) -> Iterator[Callable[[EpochReport], None]]:
        """Writes a report to the log, which begins with the epochs of the checkpoint: none is missing, none twice."""
        if self.log is None:
            yield lambda report: None
            return
        with open_log(self.log) as file:

            def write(line: dict) -> None:
                try:
                    file.write(json.dumps(line).encode() + b"\n")
                except OSError as error:
                    raise CorpusError(f"{self.log}: cannot be written ({error.strerror or error})") from error

            for line in self.trainer.model.history:
                write(line)
            yield lambda report: write(report.to_dict())


def _unusable(path: str, error: ValueError) -> FormatError:
    reason = f"damaged, or of another version of rnnlm train ({shown(str(error), 100)}): `force` starts over"
    return FormatError(path, None, reason)
