"""Dropout: units, words and recurrent weights that a block is learnt without.  Srivastava et al. (2014).

Units of embeddings, between layers and below the output, never of what goes to the next step (Zaremba et al. 2014): new
ones at every step, or, locked, the same ones at all steps of a stream (Gal & Ghahramani 2016).  Words: the whole
embedding of a word, wherever it is read in the block (Gal & Ghahramani 2016).  Recurrent weights: elements of W, each
gate's for itself, the same at all steps of all streams (Wan et al. 2013; Merity et al. 2018).

What is left is multiplied by 1 / (1 - share), so that scoring takes everything as it is.  What is left out follows from
hashes of seed, block and place: it is drawn again for the way back, on any thread, and by a run that goes on.
"""

from __future__ import annotations

import numpy as np

from corpora.compute.jit import kernel, stage
from corpora.compute.simd import load, pointer, scalar, store

_WORDS, _RECURRENT = 1 << 20, 1 << 21  # sites beside those of units: 0 the embedding, l what layer l hands on


@stage
def _mixed(x):
    """A hash of 32 bits, each of which depends on all: Wellons's lowbias32."""
    x = np.uint32(x ^ (x >> np.uint32(16)))
    x = np.uint32(x * np.uint32(0x7FEB352D))
    x = np.uint32(x ^ (x >> np.uint32(15)))
    x = np.uint32(x * np.uint32(0x846CA68B))
    return np.uint32(x ^ (x >> np.uint32(16)))


@stage
def _row_hash(row, key):
    return _mixed(np.uint32(np.uint32(row) * np.uint32(0x9E3779B1) + np.uint32(key)))


@kernel
def drop(X, out, begin, end, n, key, n_alike, limit, factor):
    """out[r, :n] = X[r, :n] times factor, or 0 for a share of elements drawn by hash: those below ``limit`` / 2^32.

    Rows begin to end; ``n_alike`` rows in a row lose the same elements: 1, or the steps of a stream.  The same key,
    a uint32, draws the same again.  ``out`` may be X.
    """
    ldx, ldo = X.shape[1], out.shape[1]
    x, y = pointer(X), pointer(out)
    for r in range(begin, end):
        row = _row_hash(r // n_alike, key)
        for i in range(n):
            drawn = _mixed(np.uint32(row + np.uint32(i)))
            store(y, r * ldo + i, load(x, r * ldx + i) * factor if drawn >= limit else scalar(y, 0.0))


@kernel
def drop_words(ids, out, key, limit):
    """out (n,) int32 = ids, or -1 where the word's hash is below ``limit`` / 2^32: every time it occurs, or never."""
    for r in range(ids.size):
        out[r] = ids[r] if _mixed(_row_hash(ids[r], key)) >= limit else -1


class Dropout:
    """What a ``TrainConfig`` leaves out of a network; ``block`` is the number of the block that is learnt."""

    def __init__(self, net, config):
        between = config.dropout_share("between")
        of_input = config.dropout_share("input") if net.embedding else 0.0
        self.shares = [of_input, *[between] * (net.layers - 1), config.dropout_share("output")]
        self.words, self.recurrent, self.locked = config.dropout_words, config.dropout_recurrent, config.locked
        self.seed, self.real = config.seed, np.dtype(net.dtype).type
        self.factors = [1 / (1 - share) for share in self.shares]
        self.factors[0] /= 1 - self.words

    def _key(self, block: int, site: int) -> np.uint32:
        return np.uint32(_hashed(self.seed, block, site))

    def drops(self, site: int) -> bool:
        """Whether ``units`` changes anything there."""
        return self.factors[site] != 1

    def units(self, site: int, block: int, X, out, rows: tuple[int, int], n: int, n_steps: int) -> None:
        """out[rows, :n] = what is left of X, site 0: the embeddings, l: what layer l hands on; ``out`` may be X."""
        if self.drops(site):
            alike = n_steps if self.locked else 1
            limit, factor = _limit(self.shares[site]), self.real(self.factors[site])
            drop(X, out, *rows, n, self._key(block, site), alike, limit, factor)

    def inputs(self, block: int, ids: np.ndarray) -> np.ndarray:
        """ids (n,) with -1 in place of words that are left out."""
        if self.words == 0:
            return ids
        out = np.empty_like(ids)
        drop_words(ids, out, self._key(block, _WORDS), _limit(self.words))
        return out

    def weights(self, layer: int, block: int, W, out, n: int, workers) -> None:
        """out[:, :n] = what is left of the recurrent weights of layer 0, 1, ..., or of their gradient."""
        key, limit = self._key(block, _RECURRENT + layer), _limit(self.recurrent)
        factor = self.real(1 / (1 - self.recurrent))
        workers.share(lambda begin, end, _: drop(W, out, begin, end, n, key, 1, limit, factor), len(W))


def _limit(share: float) -> np.uint32:
    return np.uint32(share * 2**32)


def _hashed(*numbers: int) -> int:
    """32 bits that depend on all of these (splitmix64)."""
    x = 0
    for number in numbers:
        x = (x ^ number) + 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF
        x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & 0xFFFFFFFFFFFFFFFF
        x = (x ^ x >> 27) * 0x94D049BB133111EB & 0xFFFFFFFFFFFFFFFF
        x ^= x >> 31
    return x >> 32
