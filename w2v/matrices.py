"""The parameters of word2vec.  Legend: V words, ``width`` the length of a row in memory (``simd.padded``)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from corpora.compute.simd import padded
from corpora.files.mapping import anonymous
from w2v.config import TrainConfig

LANES = 4  # shards of a round of deterministic training (``w2v.lanes``); each may have copies of all rows
_ROWS = 1 << 14  # rows of a matrix that are filled at a time


@dataclass
class Matrices:
    """The parameters, rows padded with zeros: syn0 (V, width) of the words, syn1neg (V, width) of the targets of
    negative sampling, syn1 (V, width) of the inner nodes of hierarchical softmax; the latter None where not in use.
    """

    syn0: np.ndarray
    syn1neg: np.ndarray | None = None
    syn1: np.ndarray | None = None
    whole: dict[str, np.ndarray] = field(default_factory=dict)

    @classmethod
    def create(cls, n_words: int, config: TrainConfig, seed: int) -> Matrices:
        """syn0 uniform in -1/2 ... 1/2, divided by the size; the others 0, as in word2vec.c."""
        width, dtype = padded(config.size), np.dtype(config.dtype)
        n_rows = n_words * (1 + LANES) if config.deterministic else n_words
        used = zip(("syn0", "syn1neg", "syn1"), _used(config), strict=True)
        # in huge pages, where the system has them: rows in no order are found without a walk through its tables
        whole = {name: anonymous((n_rows, width), dtype) for name, is_used in used if is_used}
        rng = np.random.default_rng(seed)
        for start in range(0, n_words, _ROWS):
            rows = whole["syn0"][start : min(start + _ROWS, n_words), : config.size]
            rows[:] = (rng.random(rows.shape, np.float32) - np.float32(0.5)) / config.size
        return cls(**{name: matrix[:n_words] for name, matrix in whole.items()}, whole=whole)

    @staticmethod
    def bytes_needed(n_words: int, config: TrainConfig) -> int:
        return sum(_used(config)) * Matrices.bytes_of_one(n_words, config)

    @staticmethod
    def bytes_of_one(n_words: int, config: TrainConfig) -> int:
        return n_words * padded(config.size) * np.dtype(config.dtype).itemsize

    def vectors(self, size: int) -> np.ndarray:
        """(V, size) view of the words' vectors."""
        return self.syn0[:, :size]

    def state(self, size: int) -> dict[str, np.ndarray]:
        """Views (V, size) of the other matrices, by name."""
        others = {"syn1neg": self.syn1neg, "syn1": self.syn1}
        return {name: matrix[:, :size] for name, matrix in others.items() if matrix is not None}

    def assign(self, name: str, values: np.ndarray) -> None:
        """Copy (V, size) values into a matrix."""
        getattr(self, name)[: len(values), : values.shape[1]] = values


def _used(config: TrainConfig) -> tuple[bool, bool, bool]:
    return True, config.negative > 0, config.hs
