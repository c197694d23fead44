"""One training run from the command line: it is interrupted, goes on, runs out of memory or diverges, and loses nothing.

The model file holds the best epoch so far.  ``MODEL.checkpoint`` holds the whole state, every ``checkpoint_minutes``
and on Ctrl-C; the same command goes on from there and ends bit for bit as if it had not been stopped.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass

import numpy as np

from corpora.errors import CorpusError
from corpora.files import check_output
from corpora.progress import bar
from rnnlm.config import ModelConfig, TrainConfig, parameter_shapes
from rnnlm.data import Texts
from rnnlm.initial import GlibcRandom, glibc_params, initial_params
from rnnlm.io import load, native
from rnnlm.model import RecurrentLM
from rnnlm.trainer import CHUNK, Diverged, EpochReport, Progress, Trainer

OVERHEAD = 150 << 20  # bytes: Python, the compiled kernels, scratch


@dataclass
class Run:
    """``say``: where notes go (one line each).  ``show``: where generated snapshots go."""

    output: str
    model_config: ModelConfig
    train_config: TrainConfig
    texts: Texts
    tokenizer: str = "whitespace"
    force: bool = False
    log: str | None = None
    checkpoint_minutes: float = 10.0
    snapshot_words: int = 0
    say: Callable[[str], None] = print
    show: Callable[[str], None] = print

    @property
    def checkpoint(self) -> str:
        return f"{self.output}.checkpoint"

    def epochs(self) -> Iterator[EpochReport]:
        """Train; a report after every epoch.  KeyboardInterrupt after the state was saved."""
        resumed = os.path.exists(self.checkpoint) and not self.force
        if not resumed:
            check_output(self.output, self.force)
        self._require_memory()
        self.trainer = self._resume() if resumed else self._begin()
        seconds = self.trainer.warm_up()
        if seconds > 3:
            self.say(f"compiled in {seconds:.0f} s; kept for the next time")
        self._saved_at = time.monotonic()
        with _polite_interrupt() as self._interrupted, self._open_log(resumed) as write_log:
            for report in self._watched_epochs():
                write_log(report)
                yield report
        self._keep()  # the best weights once more, with the history of all epochs
        with suppress(FileNotFoundError):
            os.remove(self.checkpoint)

    # ---- beginning and going on

    def _require_memory(self) -> None:
        config, n_words = self.model_config, len(self.texts.vocab)
        item = np.dtype(config.dtype).itemsize
        parameters = item * sum(int(np.prod(shape)) for shape in parameter_shapes(config, n_words).values())
        # drawing them takes as much again, for a moment
        need = 2 * parameters + self.texts.train.nbytes + self.texts.valid.nbytes + OVERHEAD
        free = available_memory()
        figure = f"{_size(parameters)} of parameters, {_size(self.texts.train.nbytes + self.texts.valid.nbytes)} of ids"
        if free is not None and need > free:
            raise CorpusError(
                f"training needs about {_size(need)} of memory ({figure}), {_size(free)} are free: "
                "lower --hidden, --direct or --max-vocab"
            )
        self.say(f"memory: about {_size(need)} ({figure})")

    def _begin(self) -> Trainer:
        config, train = self.model_config, self.train_config
        n_words = len(self.texts.vocab)
        if config.classes > n_words:
            raise CorpusError(f"--class {config.classes}: more classes than the {n_words} words of the vocabulary")
        if train.compatible:
            params = glibc_params(config, n_words, GlibcRandom(train.seed))
        else:
            rng = np.random.default_rng(train.seed)
            params = initial_params(config, n_words, rng, train.initialisation, train.scale)
        model = RecurrentLM.create(config, self.texts.vocab, params)
        del params
        model.weights  # noqa: B018 - packs the parameters; the drawn ones are given back
        return self._trainer(model)

    def _trainer(self, model: RecurrentLM) -> Trainer:
        return Trainer(
            model, self.train_config, self.texts.train, self.texts.valid,
            on_chunk=self._on_chunk, keep=self._keep, recall=self._recall,
        )  # fmt: skip

    def _fingerprint(self) -> dict:
        """What must be the same for a checkpoint to be gone on with."""
        sums = [zlib.crc32(np.ascontiguousarray(ids)) for ids in (self.texts.train, self.texts.valid)]
        return {
            "model": self.model_config.to_dict(),
            "training": self.train_config.to_dict(),
            "texts": [int(self.texts.train.size), int(self.texts.valid.size), *sums],
            "words": zlib.crc32(self.texts.vocab.to_arrays()[0]),
        }

    def _resume(self) -> Trainer:
        model, extra, meta = native.load_checkpoint(self.checkpoint)
        theirs, ours = meta.get("fingerprint", {}), self._fingerprint()
        for part in ("model", "training"):
            for name, value in ours[part].items():
                old = theirs.get(part, {}).get(name)
                if old != value:
                    raise CorpusError(
                        f"{self.checkpoint}: of a run with another {name} ({old}, now {value}): "
                        "give the same options to go on, or --force to start over"
                    )
        if theirs != ours:
            raise CorpusError(f"{self.checkpoint}: of a run on other texts: --force starts over")
        model.weights  # noqa: B018 - copies the mapped arrays, so that the file can be replaced
        if "D" in model.params:
            model.weights = model.weights.copy()
            model.params = model.weights.views(model.params)
        model.vocab = self.texts.vocab
        trainer = self._trainer(model)
        for name in trainer.state._fields:
            getattr(trainer.state, name)[...] = extra[name]
        model.start_hidden = np.array(extra["start_hidden"])
        trainer.progress = Progress(**meta["progress"])
        position = trainer.progress.position
        self.say(f"going on from {self.checkpoint}: epoch {trainer.progress.epoch}, word {position} of {len(trainer.train)}")
        return trainer

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
                    kept = os.path.exists(self.output)
                    where = f"{self.output} holds the best epoch" if kept else "no epoch was finished, nothing is written"
                    raise Diverged(f"{error}; {where}") from error
            if report is None:
                return
            yield report

    def _on_chunk(self, trainer: Trainer) -> None:
        progress = trainer.progress
        self._bar.update(progress.position - self._shown)
        self._shown = progress.position
        if progress.position:
            self._bar.set_postfix_str(f"{trainer.train_entropy:.3f} bits", refresh=False)
        if self._interrupted.is_set():
            self._save_checkpoint()
            self.say(f"stopped; the same command goes on from {self.checkpoint}")
            raise KeyboardInterrupt
        if time.monotonic() - self._saved_at > 60 * self.checkpoint_minutes:
            self._save_checkpoint()
            self._saved_at = time.monotonic()
        every = -(-self.snapshot_words // CHUNK) * CHUNK
        if every and progress.position and progress.position % every == 0:
            self.show(self._snapshot())

    def _snapshot(self, n_words: int = 40) -> str:
        from corpora.tokenize import from_spec
        from corpora.vocab import EOS
        from rnnlm.generate import generate

        progress = self.trainer.progress
        rng = np.random.default_rng([self.train_config.seed, progress.epoch, progress.position])
        words = [word for word in generate(self.trainer.model, n_words, rng) if word != EOS]
        return f"--- epoch {progress.epoch}, word {progress.position}\n{from_spec(self.tokenizer).join(words)}"

    def _save_checkpoint(self) -> None:
        trainer = self.trainer
        progress = asdict(trainer.progress)
        progress["seconds"] += time.perf_counter() - trainer.started
        native.save(
            self._described(),
            self.checkpoint,
            extra={**trainer.state._asdict(), "start_hidden": np.asarray(trainer.model.start_hidden)},
            extra_meta={"fingerprint": self._fingerprint(), "progress": progress},
        )

    def _described(self) -> RecurrentLM:
        """The model with what its file tells about its training; also what 0.4b's header wants."""
        trainer, config = self.trainer, self.train_config
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
            "iterations": trainer.progress.epoch + 1,
            "valid_log10_prob": trainer.progress.best_log10_prob if np.isfinite(trainer.progress.best_log10_prob) else 0.0,
        }
        return trainer.model

    def _keep(self) -> None:
        native.save(self._described(), self.output)

    def _recall(self) -> None:
        best = load(self.output)
        for name, array in self.trainer.model.params.items():
            array[...] = best.params[name]

    @contextmanager
    def _open_log(self, resumed: bool) -> Iterator[Callable[[EpochReport], None]]:
        if self.log is None:
            yield lambda report: None
            return
        with open(self.log, "a" if resumed else "w", encoding="utf-8") as file:

            def write(report: EpochReport) -> None:
                file.write(json.dumps(report.to_dict()) + "\n")
                file.flush()

            yield write


@contextmanager
def _polite_interrupt() -> Iterator[threading.Event]:
    """Ctrl-C and SIGTERM set an event that is looked at between two chunks; a second Ctrl-C interrupts at once."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return

    def handle(number, frame):
        if event.is_set():
            raise KeyboardInterrupt
        event.set()

    numbers = [signal.SIGINT, *([signal.SIGTERM] if hasattr(signal, "SIGTERM") else [])]
    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield event
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def available_memory() -> int | None:
    """Bytes that can be taken without swapping, None where the system does not say."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def _size(n: int) -> str:
    for unit in ("bytes", "KB", "MB"):
        if n < 1000:
            return f"{n:.0f} {unit}"
        n /= 1000
    return f"{n:.1f} GB"
