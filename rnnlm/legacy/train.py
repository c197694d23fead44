"""Training as ``rnnlm -train`` of 0.4b: what it prints, when it saves, how it goes on with a model that is there.

0.4b counts the words of an epoch from 1, and looks at the count before it reads the word: what happens "at
10,000" happens after 9,999 words.
"""

from __future__ import annotations

import math
import os
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from corpora.errors import CorpusError
from corpora.files.output import check_output
from corpora.jobs.resumable import claim
from corpora.text.stream import TokenStream, encode
from corpora.text.tokenizers import get_tokenizer
from rnnlm.arrays import POSITION
from rnnlm.config import ModelConfig, TrainConfig
from rnnlm.initial import GlibcRandom, glibc_params
from rnnlm.io import load, sniff
from rnnlm.io import save as save_model
from rnnlm.legacy.options import Options
from rnnlm.legacy.output import flush, perplexity, say
from rnnlm.model import LOG10_E, RecurrentLM
from rnnlm.trainer import EpochReport, Trainer

SHOW_EVERY = 10_000  # words between two lines of progress
NOT_VALIDATED = -1e8  # the log10 probability that 0.4b begins with


def train(options: Options) -> None:
    """Train and save ``options.rnnlm``, or go on with it where it exists."""
    check_output(options.rnnlm, force=True)
    with claim(options.rnnlm):
        _train(options)


def _train(options: Options) -> None:
    say(f"Starting training using file {options.train}\n")
    flush()
    model_config, config = _configs(options)
    split, lm = get_tokenizer(), None
    if os.path.exists(options.rnnlm):
        say("Restoring network from file to continue training...\n")
        lm = _restore(options, model_config.dtype)
        config = replace(config, bptt=lm.bptt, bptt_block=lm.bptt_block)
    vocab = None if lm is None else lm.vocab
    with encode([options.train], split, vocab, keep_oov=lm is not None, order="rnnlm") as text:
        if lm is None:
            if options.debug > 0:
                say(f"Vocab size: {len(text.vocab)}\nWords in train file: {text.n_tokens}\n")
                flush()
            lm = _create(options, model_config, text)
        if lm.config.classes > len(lm.vocab):
            say("WARNING: number of classes exceeds vocabulary size!\n")
        if options.one_iter:
            _Run(options, config, lm, text.ids, None).run()
        else:
            with encode([options.valid], split, lm.vocab, keep_oov=True) as valid:
                _Run(options, config, lm, text.ids, valid.ids).run()


def _configs(options: Options) -> tuple[ModelConfig, TrainConfig]:
    """A new model and its training, by the options.  ValueError for settings that are out of range."""
    model = ModelConfig(
        hidden=options.hidden,
        classes=options.classes,
        old_classes=options.old_classes,
        compression=options.compression,
        direct=options.direct,
        direct_order=options.direct_order,
        independent=options.independent,
        dtype="float64" if options.exact else "float32",
    )
    training = TrainConfig(
        alpha=options.alpha,
        beta=options.beta,
        bptt=options.bptt or 0,
        bptt_block=options.bptt_block,
        gradient_cutoff=max(options.gradient_cutoff, 0.0),  # 0.4b: off
        min_improvement=options.min_improvement,
        max_epochs=max(options.max_epochs, 1),
        compatible=True,
    )
    return model, training


def _restore(options: Options, dtype: str) -> RecurrentLM:
    """The model of the file, to be trained on; nearly everything that the file says goes before the options."""
    form = sniff(options.rnnlm)
    if not form.startswith("mikolov"):
        raise CorpusError(f"{options.rnnlm}: a {form} model; -train goes on with those of the RNNLM toolkit only")
    lm = load(options.rnnlm, dtype=dtype)
    changes = {"train_file": options.train}
    if not options.one_iter:
        changes["valid_file"] = options.valid
    if "alpha" in options.given:
        changes["alpha"] = options.alpha
    lm.training = lm.training | changes
    return lm


def _create(options: Options, config: ModelConfig, text: TokenStream) -> RecurrentLM:
    """A new model with the weights that 0.4b would begin with."""
    lm = RecurrentLM.create(config, text.vocab, glibc_params(config, len(text.vocab), GlibcRandom(options.seed)))
    lm.training = {
        "train_file": options.train,
        "valid_file": "" if options.one_iter else options.valid,
        "save_every": options.save_every,
        "train_words": text.n_tokens,
        "bptt": options.stored_bptt,
        "bptt_block": options.bptt_block,
        "starting_alpha": options.alpha,
        "alpha": options.alpha,
        "file_format": "binary" if options.binary else "text",
    }
    return lm


class _Trainer(Trainer):
    """Stops where 0.4b prints or saves, one word before every multiple, as well."""

    save_every = 0

    def take(self, position: int) -> tuple[np.ndarray, int]:
        counter = position + 1
        stops = ((counter // n + 1) * n - 1 for n in (SHOW_EVERY, self.save_every) if n > 0)
        last = min(super().take(position)[1], *stops)
        return self.train[position:last], last


@dataclass
class _Run:
    """One call of -train on encoded texts; ``valid`` None: one pass without validation."""

    options: Options
    config: TrainConfig
    lm: RecurrentLM
    train: np.ndarray
    valid: np.ndarray | None

    def run(self) -> None:
        if self.lm.training.get("iterations", 0) >= self.options.max_epochs:
            return
        self.trainer = self._trainer()
        try:
            for report in self.trainer.fit():
                self._finish(report)
                if self.options.one_iter:
                    break
        except BaseException:
            with suppress(OSError):
                say("\n")  # after the line of progress
            raise

    def _trainer(self) -> _Trainer:
        """The trainer, where the model's file says that its training stood."""
        lm, training = self.lm, self.lm.training
        keep = {} if self.valid is not None else {"keep": lambda: None}
        trainer = _Trainer(lm, self.config, self.train, self.valid, on_chunk=self._on_chunk, **keep)
        trainer.save_every = training["save_every"]
        trainer.keep()  # what an epoch that is worse goes back to
        progress = trainer.progress
        progress.epoch = training.get("iterations", 0)
        progress.alpha = training["alpha"]
        progress.halving = bool(training.get("alpha_divide", 0))
        progress.last_log10_prob = training.get("valid_log10_prob", NOT_VALIDATED)
        progress.position = min(max(training.get("train_position", 0), 0), self.train.size)
        self._previous = progress.last_log10_prob
        if progress.position:  # it was saved within an epoch: go on there, with the context of a beginning
            progress.log_prob = training["train_log10_prob"] / LOG10_E
            trainer.engine.state()["counters"][POSITION] = progress.position
        trainer.learn(self.train[:0])  # compiles, before the clock of words a second is started
        return trainer

    # ---- while it runs

    def _on_chunk(self, trainer: Trainer) -> None:
        progress, size = trainer.progress, self.train.size
        counter = progress.position + 1
        start = f"Iter: {progress.epoch:3d}\tAlpha: {progress.alpha:f}\t   "
        if progress.position == trainer.began_at:
            say(start)
            flush()
        entropy = -progress.log_prob * LOG10_E / math.log10(2) / counter
        line = f"\r{start}TRAIN entropy: {entropy:.4f}    "
        if counter % SHOW_EVERY == 0 and self.options.debug > 1:
            words = self.lm.training["train_words"]
            if words > 0:
                say(f"{line}Progress: {100 * counter / words:.2f}%   Words/sec: {trainer.words_per_second:.1f} ")
            else:
                say(f"{line}Progress: {counter // 1000}K")
            flush()
        if trainer.save_every > 0 and counter % trainer.save_every == 0:
            self._save(
                hidden=trainer.engine.current().hidden,
                valid_log10_prob=progress.last_log10_prob,
                train_position=counter,
                train_log10_prob=progress.log_prob * LOG10_E,
            )
        if progress.position == size:
            say(f"{line}Words/sec: {trainer.words_per_second:.1f}   ")
            flush()

    def _finish(self, report: EpochReport) -> None:
        """After an epoch: print, save, append to the log."""
        progress = self.trainer.progress
        if self.valid is None:
            progress.epoch = report.epoch  # 0.4b does not count it
            say("\n")
            # 0.4b runs the network on after the last word, to the end of the file
            end = self.lm.advance(-1, self.trainer.engine.current())
            self._save(hidden=end.hidden, valid_log10_prob=progress.last_log10_prob)
            return
        log10_prob, n = progress.last_log10_prob, int(np.count_nonzero(self.valid >= 0))
        say(f"VALID entropy: {report.valid_entropy:.4f}\n")
        flush()
        if progress.finished:  # the epoch is not counted, the one before is what the next is compared with
            self._save(valid_log10_prob=self._previous, train_log10_prob=log10_prob)
        else:
            self._save(valid_log10_prob=log10_prob)
        self._previous = log10_prob
        self._append(
            f"\niter: {report.epoch}\nvalid log probability: {log10_prob:f}\nPPL net: {perplexity(log10_prob, n):f}\n"
        )

    def _save(
        self,
        *,
        hidden: np.ndarray | None = None,
        valid_log10_prob: float,
        train_position: int = 0,
        train_log10_prob: float = 0.0,
    ) -> None:
        """Write the model as it is; ``hidden`` is the state that it goes on from, by default the model's own."""
        progress = self.trainer.progress
        training = self.lm.training | {
            "valid_log10_prob": valid_log10_prob,
            "iterations": progress.epoch,
            "train_position": train_position,
            "train_log10_prob": train_log10_prob,
            "alpha": progress.alpha,
            "alpha_divide": int(progress.halving),
        }
        start = self.lm.start_hidden if hidden is None else hidden[: self.lm.config.hidden]
        lm = replace(self.lm, start_hidden=start, training=training)
        save_model(lm, self.options.rnnlm, f"mikolov-{training['file_format']}")

    def _append(self, text: str) -> None:
        path = f"{self.options.rnnlm}.output.txt"
        try:
            with open(path, "a", encoding="ascii", newline="\n") as file:
                file.write(text)
        except OSError as error:
            raise CorpusError(f"{path}: {error.strerror or error}") from error
