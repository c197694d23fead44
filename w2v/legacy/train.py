"""Training as word2vec.c does it: a vocabulary, the lines that it prints on standard output, and one file at the end.

It overwrites files without asking, keeps no checkpoints, and without -output it learns the vocabulary only.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from corpora.compute.processors import available
from corpora.files.output import check_output, replace_file
from w2v.checkpoint import Settings
from w2v.config import TrainConfig
from w2v.legacy.options import Options
from w2v.texts import Text, VocabOptions, read_text


def train(options: Options) -> None:
    """Train and save.  CorpusError, or ValueError for an option's value, where that is not possible."""
    config = options.config
    inputs = [path for path in (options.train, options.read_vocab) if path is not None]
    for path in (options.output, options.save_vocab):
        if path is not None:
            check_output(path, force=True, inputs=inputs)
    _say(f"Starting training using file {options.train}\n")
    with _read(options) as text:
        if options.debug > 0:
            _say(f"Vocab size: {len(text.vocab)}\nWords in train file: {text.vocab.total}\n")
        if options.save_vocab is not None:
            with replace_file(options.save_vocab) as file:
                text.vocab.write(file)
        if options.output is not None:
            _train(options, config, text)


def _read(options: Options) -> Text:
    words = VocabOptions(options.read_vocab, max(options.min_count, 1))
    return read_text([options.train], options=words)


def _train(options: Options, config: TrainConfig, text: Text) -> None:
    from w2v.run import Run

    threads = min(options.threads, available())  # more than there are would only stand in each other's way
    settings = Settings([options.train], format="binary" if options.binary else "text", classes=options.classes)

    def watch(trainer) -> None:
        if options.debug > 1:
            done = 100 * trainer.progress.words / (config.iterations * trainer.total_words + 1)
            speed = trainer.words_per_second / threads / 1000
            _say(f"\rAlpha: {trainer.alpha:f}  Progress: {done:.2f}%  Words/thread/sec: {speed:.2f}k  ")

    run = Run(
        options.output, config, settings, text, threads,
        checkpoint_minutes=None, say=lambda line: None, watch=watch,
    )  # fmt: skip
    try:
        for _ in run.epochs():
            watch(run.trainer)
    except BaseException:
        with suppress(OSError):
            _say("\n")  # after the line of progress
        raise


def _say(text: str) -> None:
    """Print as it is, without a line end of its own, and at once."""
    sys.stdout.buffer.write(os.fsencode(text))
    sys.stdout.buffer.flush()
