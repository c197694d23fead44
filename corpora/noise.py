"""Words drawn as negative examples, in proportion to a power of their counts.  V words."""

from __future__ import annotations

import numpy as np

_MOST_EXPONENT = 1e300  # more would overflow, and leave only the most frequent word all the same


def negative_shares(counts: np.ndarray, exponent: float) -> np.ndarray:
    """The probability (V,) float64 of each word to be drawn as a negative example, as word2vec.c draws.

    A word is drawn in proportion to count**exponent.  Where that is ``</s>``, word 0, any other word is
    taken instead, each with the same probability; so word 0 has 0, the others p + p(0) / (V - 1).
    word2vec.c draws from a table of 10^8 places, in which every word has one at least and otherwise
    its share to within two places; here are the exact shares.
    """
    from corpora.compute import libm  # which loads the compiler; those who read a model only do without it

    counts = np.asarray(counts, np.float64)
    if counts.size < 2:
        raise ValueError("to draw negative examples takes two words at least")
    there = np.flatnonzero(counts > 0)
    if not there.size:
        raise ValueError("to draw negative examples takes a vocabulary with counts")
    logs = min(exponent, _MOST_EXPONENT) * libm.log(counts[there])
    shares = np.zeros(counts.size)
    shares[there] = libm.exp(logs - logs.max())  # a large exponent must not overflow
    shares /= shares.sum()
    shares[1:] += shares[0] / (counts.size - 1)
    shares[0] = 0.0
    return shares


def negative_table(counts: np.ndarray, exponent: float, size: int, seed) -> np.ndarray:
    """A shuffled table (size,) int32 of words to draw as negative examples; size: a power of two.

    A word whose share (``negative_shares``) of the table is x places has floor(x) or floor(x) + 1 of
    them, by ``seed`` (an int, or several), and x in the mean over seeds.  So a rare word, which would
    have a part of a place, is there in some tables and not in others, and none is left out always.
    """
    if size < 1 or size & (size - 1):
        raise ValueError(f"a table of {size} words: a power of two is needed")
    rng = np.random.default_rng(seed)
    ends = np.cumsum(negative_shares(counts, exponent))
    # one shift for all, so that each word is rounded by its own fraction; of few bits, so that size + shift is exact
    shift = rng.integers(1 << 20) / (1 << 20)
    places = np.diff(np.floor(size * (ends / ends[-1]) + shift).astype(np.int64), prepend=0)
    table = np.repeat(np.arange(places.size, dtype=np.int32), places)
    rng.shuffle(table)
    return table
