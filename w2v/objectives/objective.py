"""What every objective has: which settings ask for it, its matrix and tables, and how a thread learns with it.

V words; a row in memory is ``padded(size)`` long.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

from corpora.compute.simd import padded
from corpora.noise import negative_table
from w2v.config import TrainConfig
from w2v.sampling import Sampled

LONGEST = 1 << 14  # tokens of a shard
TABLE = 1 << 22  # places of the table of words to draw


class Inputs(NamedTuple):
    """Which rows of syn0 are a word's input: those of word w are rows[offsets[w] : offsets[w + 1]].

    offsets (V + 1,) int64, rows (n,) int32.  Without any (``WORDS``) every word is its own row and no map is looked at.
    """

    offsets: np.ndarray
    rows: np.ndarray

    @property
    def are_words(self) -> bool:
        """Whether every word is its own row."""
        return not self.offsets.size

    def of(self, word: int) -> np.ndarray:
        """The rows of a word."""
        if self.are_words:
            return np.array([word], np.int32)
        return self.rows[self.offsets[word] : self.offsets[word + 1]]

    def n_rows(self, n_words: int) -> int:
        """How many rows syn0 has."""
        return n_words if self.are_words else int(self.rows.max()) + 1


WORDS = Inputs(np.empty(0, np.int64), np.empty(0, np.int32))


class Learner(Protocol):
    """The scratch of one thread, and the kernel that learns with it."""

    def train(
        self, sampled: Sampled, alpha: float, inputs: Inputs, syn0: np.ndarray, targets: np.ndarray, tables: object,
        totals: np.ndarray,
    ) -> None: ...  # fmt: skip


class Objective:
    """An entry of ``objectives.OBJECTIVES``; defaults are those of one that draws no words and has no tables.

    ``matrix``: the name of its targets, (V, width) beside syn0.  ``rows_are_words``: what these rows belong to; else
    ``localise`` finds them.  ``takes_inputs``: whether its kernel looks at ``Inputs``, or knows words only.
    """

    matrix: str
    rows_are_words = True
    takes_inputs = False

    def is_chosen(self, config: TrainConfig) -> bool:
        """Whether the settings ask for it."""
        raise NotImplementedError

    def learner(self, config: TrainConfig, n_words: int, tables: object, threads: int) -> Learner:
        """What one of ``threads`` learns with."""
        raise NotImplementedError

    def tables(self, config: TrainConfig, counts: np.ndarray) -> object:
        """What all threads read, from the counts (V,)."""
        return None

    # ---- shards

    def longest(self, config: TrainConfig) -> int:
        """The length of a shard, in tokens, at which it is learnt best."""
        return LONGEST

    def most(self, config: TrainConfig) -> int:
        """The length beyond which a shard would take too much memory."""
        return LONGEST * 2

    def n_drawn(self, config: TrainConfig, n_words: int, n: int, first: np.ndarray, stop: np.ndarray) -> int:
        """The words to draw for a shard of n words with these windows."""
        return 0

    # ---- deterministic training (``w2v.lanes``), for rows that are no words

    def localise(self, tables, words, n_words, word_hits, numbers, rows, hits) -> tuple[object, int]:
        """The tables for the first n_words of ``words``, by numbers of their own, and how many rows these have.

        word_hits (n_words,): how often each word occurs.  numbers (V,) int32: -1 for all, before and after.  rows (V,)
        int32, hits (V,) float32, overwritten: by number, the row and how often it is learnt.
        """
        raise NotImplementedError

    # ---- memory, foretold; ``n``: words of a shard

    def bytes_of_tables(self, config: TrainConfig, counts: np.ndarray) -> int:
        return 0

    def bytes_of_learner(self, config: TrainConfig, n_words: int, threads: int) -> int:
        return 0

    def drawn_on_average(self, config: TrainConfig, n_words: int, n: float) -> int:
        return 0

    def rows_on_average(self, counts: np.ndarray, n: float) -> float:
        """How many rows a lane has, if they are no words."""
        raise NotImplementedError

    def bytes_of_local_tables(self, counts: np.ndarray, is_there: np.ndarray) -> int:
        """What they take in a lane; is_there (V,): the probability that it has a word."""
        return 0


class NegativeSampling(Objective):
    """What both forms of negative sampling share: words are targets, and are drawn from a table."""

    matrix = "syn1neg"

    def tables(self, config: TrainConfig, counts: np.ndarray) -> np.ndarray:
        """The words to draw, shuffled: ``sampling.draw_negatives``."""
        return negative_table(counts, config.ns_exponent, TABLE, config.seed)

    def bytes_of_tables(self, config: TrainConfig, counts: np.ndarray) -> int:
        return 4 * TABLE + 20 * len(counts)  # while the table is made


def shape_of_row(config: TrainConfig) -> tuple[int, np.dtype]:
    """The length of a row in memory, and the type of its elements."""
    return padded(config.size), np.dtype(config.dtype)
