"""The options of word2vec.c: names, values and defaults."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from corpora.command.c_options import as_text, integer, real, values_of
from corpora.errors import CorpusError
from corpora.settings import settings_of
from w2v.config import TrainConfig


class Option(NamedTuple):
    """``read``: how the value is read, which every option of word2vec.c has."""

    name: str
    field: str
    read: Callable


def _setting(name: str) -> Option:
    setting = settings_of(TrainConfig)[name]
    return Option(setting.old, name, real if setting.kind is float else integer)


OPTIONS = (
    Option("-train", "train", as_text),
    Option("-output", "output", as_text),
    Option("-save-vocab", "save_vocab", as_text),
    Option("-read-vocab", "read_vocab", as_text),
    _setting("size"),
    Option("-debug", "debug", integer),
    Option("-binary", "binary", integer),
    Option("-cbow", "cbow", integer),
    _setting("alpha"),
    _setting("window"),
    _setting("sample"),
    _setting("hs"),
    _setting("negative"),
    Option("-threads", "threads", integer),
    _setting("iterations"),
    Option("-min-count", "min_count", integer),
    Option("-classes", "classes", integer),
)
BY_NAME = {option.name: option for option in OPTIONS}
NAMES = frozenset(BY_NAME)


@dataclass(frozen=True)
class Options:
    """The values of one command line, with word2vec.c's defaults."""

    train: str | None = None
    output: str | None = None
    save_vocab: str | None = None
    read_vocab: str | None = None
    size: int = TrainConfig.size
    debug: int = 2
    binary: int = 0
    cbow: int = 1
    alpha: float | None = TrainConfig.alpha
    window: int = TrainConfig.window
    sample: float = TrainConfig.sample
    hs: int = int(TrainConfig.hs)
    negative: int = TrainConfig.negative
    threads: int = 12
    iterations: int = TrainConfig.iterations
    min_count: int = 5
    classes: int = 0

    @property
    def config(self) -> TrainConfig:
        """ValueError for settings that are out of range."""
        return TrainConfig(
            architecture="cbow" if self.cbow else "skipgram",
            size=self.size,
            window=self.window,
            sample=self.sample,
            hs=bool(self.hs),
            negative=max(self.negative, 0),  # word2vec.c: off
            iterations=self.iterations,
            alpha=self.alpha,
        )


def parse(argv: Sequence[str]) -> tuple[Options, list[str]]:
    """The options, and the arguments that word2vec.c would not look at.  CorpusError for what cannot be done."""
    values, ignored = values_of(argv, BY_NAME)
    options = Options(**values)
    _check(options)
    return options, ignored


def _check(options: Options) -> None:
    if options.train is None:
        raise CorpusError("-train FILE is missing: the text to train on")
    for name, path in (("-train", options.train), ("-read-vocab", options.read_vocab)):
        if path is not None and path != "-" and not os.path.exists(path):
            raise CorpusError(f"{name} {path}: no such file")
    for name, path in (("-output", options.output), ("-save-vocab", options.save_vocab)):
        if path == "-":
            raise CorpusError(f"{name} -: standard output has the progress; give a file, or use w2v train -o -")
    if options.threads < 1:
        raise CorpusError(f"-threads {options.threads}: at least 1")
    if options.classes < 0:
        raise CorpusError(f"-classes {options.classes}: 0 (vectors) or a number of classes")
