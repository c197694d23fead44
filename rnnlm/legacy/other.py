"""``-lm-prob`` and ``-lambda`` of 0.4b: the probabilities of another model, mixed with the network's; and totals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO

import numpy as np

from corpora.compute import libm
from corpora.errors import FormatError
from corpora.text.inputs import open_text, text_lines
from rnnlm.legacy.options import Options
from rnnlm.legacy.output import perplexity, say


class OtherModel:
    """A file with a probability at the beginning of each line, one for each word and sentence end of the text.

    What follows in a line is not looked at.  ``take``: FormatError with the line for what is no probability,
    and where the file is shorter than the text.
    """

    def __init__(self, path: str):
        self._path, self._taken = path, 0
        self._file = open_text(path)
        self._probabilities = self._read(self._file)

    def take(self, n: int) -> np.ndarray:
        """The next n probabilities, (n,) float64."""
        found = list(islice(self._probabilities, n))
        self._taken += len(found)
        if len(found) < n:
            raise FormatError(self._path, None, f"too few lines: the text goes on after these {self._taken} words")
        return np.array(found, np.float64)

    def close(self) -> None:
        self._file.close()

    def _read(self, file: BinaryIO) -> Iterator[float]:
        for number, line in enumerate(text_lines(self._path, file), 1):
            fields = line.split(None, 1)
            if not fields:
                continue
            try:
                probability = float(fields[0])
            except ValueError:
                probability = -1.0
            if not 0 <= probability <= 1:
                shown = fields[0][:40].decode("utf-8", "backslashreplace")
                raise FormatError(self._path, number, f'expected a probability, found "{shown}"')
            yield probability


def open_other(options: Options) -> OtherModel | None:
    return None if options.lm_prob is None else OtherModel(options.lm_prob)


@dataclass
class Totals:
    """Sums of log10 probabilities: of the network, of the other model and of both mixed; ``words`` that count."""

    network: float = 0.0
    other: float = 0.0
    mixed: float = 0.0
    words: int = 0

    def show(self, options: Options) -> None:
        """Print them as 0.4b does, those of the network alone without ``-lm-prob``; nothing at ``-debug 0``."""
        if options.debug <= 0:
            return
        mixing = options.lm_prob is not None
        say(f"\ntest log probability: {self.network:f}\n")
        if mixing:
            weight = options.weight
            say(f"test log probability given by other lm: {self.other:f}\n")
            say(f"test log probability {weight:f}*rnn + {1 - weight:f}*other_lm: {self.mixed:f}\n")
        say(f"\nPPL net: {perplexity(self.network, self.words):f}\n")
        if mixing:
            say(f"PPL other: {perplexity(self.other, self.words):f}\n")
            say(f"PPL combine: {perplexity(self.mixed, self.words):f}\n")


def log10_mixed(weight: float, network: np.ndarray, other: np.ndarray) -> np.ndarray:
    """log10 of the mixed probabilities (n,); -inf where both are 0."""
    return libm.log10(weight * network + (1 - weight) * other)
