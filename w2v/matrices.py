"""The parameters of word2vec.  Legend: V words, ``width`` the length of a row in memory (``simd.padded``)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from corpora.compute.simd import padded
from corpora.files.mapping import anonymous
from w2v.config import TrainConfig
from w2v.objectives import chosen
from w2v.objectives.objective import WORDS, Inputs

LANES = 4  # shards of a round of deterministic training (``w2v.lanes``); each may have copies of all rows
_ROWS = 1 << 14  # rows of a matrix that are filled at a time


@dataclass
class Matrices:
    """The parameters, rows padded with zeros: syn0 (V, width), the inputs, and by name the targets of each objective.

    ``outputs``: syn1neg (V, width) of the words, for negative sampling; syn1 (V, width) of the inner nodes, for
    hierarchical softmax.  ``whole``: all of them with the rows behind them that are for copies.
    """

    syn0: np.ndarray
    outputs: dict[str, np.ndarray]
    whole: dict[str, np.ndarray]

    @classmethod
    def create(cls, n_words: int, config: TrainConfig, seed: int, inputs: Inputs = WORDS) -> Matrices:
        """syn0 uniform in -1/2 ... 1/2, divided by the size; the others 0, as in word2vec.c."""
        width, dtype = padded(config.size), np.dtype(config.dtype)
        n_rows = dict.fromkeys(names_of(config), n_words) | {"syn0": inputs.n_rows(n_words)}
        sets = 1 + LANES if config.deterministic else 1
        # in huge pages, where the system has them: rows in no order are found without a walk through its tables
        whole = {name: anonymous((n * sets, width), dtype) for name, n in n_rows.items()}
        rng, n_inputs = np.random.default_rng(seed), n_rows["syn0"]
        for start in range(0, n_inputs, _ROWS):
            rows = whole["syn0"][start : min(start + _ROWS, n_inputs), : config.size]
            rows[:] = (rng.random(rows.shape, np.float32) - np.float32(0.5)) / config.size
        outputs = {name: matrix[:n_words] for name, matrix in whole.items() if name != "syn0"}
        return cls(whole["syn0"][:n_inputs], outputs, whole)

    @staticmethod
    def bytes_needed(n_words: int, config: TrainConfig) -> int:
        return len(names_of(config)) * Matrices.bytes_of_one(n_words, config)

    @staticmethod
    def bytes_of_one(n_words: int, config: TrainConfig) -> int:
        return n_words * padded(config.size) * np.dtype(config.dtype).itemsize

    @property
    def by_name(self) -> dict[str, np.ndarray]:
        return {"syn0": self.syn0, **self.outputs}

    def vectors(self, size: int) -> np.ndarray:
        """(V, size) view of the words' vectors."""
        return self.syn0[:, :size]

    def state(self, size: int) -> dict[str, np.ndarray]:
        """Views (V, size) of the other matrices, by name."""
        return {name: matrix[:, :size] for name, matrix in self.outputs.items()}

    def assign(self, name: str, values: np.ndarray) -> None:
        """Copy (V, size) values into a matrix."""
        self.by_name[name][: len(values), : values.shape[1]] = values


def names_of(config: TrainConfig) -> list[str]:
    """The matrices of these settings, in the order of files."""
    return ["syn0", *(objective.matrix for objective in chosen(config).values())]
