"""The options of word2vec.c: names, values and defaults."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from corpora.command.c_options import as_text, integer, real
from corpora.errors import CorpusError
from w2v.config import TrainConfig


class Option(NamedTuple):
    """``read``: how the value is read, which every option of word2vec.c has."""

    name: str
    field: str
    read: Callable


OPTIONS = (
    Option("-train", "train", as_text),
    Option("-output", "output", as_text),
    Option("-save-vocab", "save_vocab", as_text),
    Option("-read-vocab", "read_vocab", as_text),
    Option("-size", "size", integer),
    Option("-debug", "debug", integer),
    Option("-binary", "binary", integer),
    Option("-cbow", "cbow", integer),
    Option("-alpha", "alpha", real),
    Option("-window", "window", integer),
    Option("-sample", "sample", real),
    Option("-hs", "hs", integer),
    Option("-negative", "negative", integer),
    Option("-threads", "threads", integer),
    Option("-iter", "iter", integer),
    Option("-min-count", "min_count", integer),
    Option("-classes", "classes", integer),
)
_BY_NAME = {option.name: option for option in OPTIONS}
NAMES = frozenset(_BY_NAME)


@dataclass(frozen=True)
class Options:
    """The values of one command line, with word2vec.c's defaults."""

    train: str | None = None
    output: str | None = None
    save_vocab: str | None = None
    read_vocab: str | None = None
    size: int = 100
    debug: int = 2
    binary: int = 0
    cbow: int = 1
    alpha: float | None = None
    window: int = 5
    sample: float = 1e-3
    hs: int = 0
    negative: int = 5
    threads: int = 12
    iter: int = 5
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
            iterations=self.iter,
            alpha=self.alpha,
        )


def parse(argv: Sequence[str]) -> tuple[Options, list[str]]:
    """The options, and the arguments that word2vec.c would not look at.  CorpusError for what cannot be done."""
    values: dict = {}
    ignored = []
    arguments = iter(argv)
    for name in arguments:
        option = _BY_NAME.get(name)
        if option is None:
            ignored.append(name)
            continue
        text = next(arguments, None)
        if text is None:
            raise CorpusError(f"{name}: its value is missing")
        values.setdefault(option.field, option.read(name, text))  # word2vec.c takes the first of two
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
