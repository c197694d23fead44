"""What a shard of the text is trained on: the words that subsampling keeps, their windows, and drawn words.

Random numbers come from a generator of 64 bits whose state belongs to the shard (Knuth's MMIX constants); its
upper 32 bits are used.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from corpora.compute.jit import exact_kernel, kernel
from corpora.compute.simd import pointer

_U = np.uint64
_A, _C = np.uint64(6364136223846793005), np.uint64(1442695040888963407)


class Sampled(NamedTuple):
    """What is learnt from a shard: n words, their windows (``sample_windows``), and the words drawn for them, int32."""

    n: int
    kept: np.ndarray
    first: np.ndarray
    stop: np.ndarray
    negatives: np.ndarray


@kernel
def addresses_of_shard(shard):
    """The arrays of a ``Sampled`` as pointers."""
    return Sampled(
        shard.n, pointer(shard.kept), pointer(shard.first), pointer(shard.stop), pointer(shard.negatives)
    )  # fmt: skip


def keep_probabilities(counts: np.ndarray, sample: float, total: int) -> np.ndarray:
    """The probability (V,) float64 that an occurrence of a word is used, by the formula in word2vec.c.

    With t = sample * total it is sqrt(t / count) + t / count, at most 1.  (Mikolov et al. 2013b, eq. 5,
    has the first term alone.)  total: of the counts of all words, ``</s>`` included.
    ``sample`` 0: every word is used.  So is the sentence end, which is no word of a sentence.
    """
    keep = np.ones(len(counts))
    if sample > 0:
        counts = np.asarray(counts, np.float64)
        there = np.flatnonzero(counts > 0)
        ratio = sample * total / counts[there]
        keep[there] = np.minimum(np.sqrt(ratio) + ratio, 1.0)
        keep[0] = 1.0
    return keep


@exact_kernel
def shard_state(seed, epoch, shard):
    """The state of a shard's generator: splitmix64 of the three numbers, one after another."""
    z = _U(0)
    for number in (_U(seed), _U(epoch), _U(shard)):
        z += np.uint64(0x9E3779B97F4A7C15) + number
        z = (z ^ (z >> _U(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> _U(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> _U(31)
    return z


@exact_kernel
def sample_windows(ids, thresholds, window, fixed, state, kept, first, stop):
    """Subsample a shard and draw a window for each word that stays, as word2vec.c: first the one, then the other.

    ids (n,) int32: 0 ends a sentence, -1 is no word.  thresholds (V,) uint32: a word stays if a drawn number of 32 bits
    is not above its threshold.  window: words to each side at most; 1 to window of them with equal probability,
    always ``window`` if ``fixed``.  Windows end with the sentence.
    Overwrites kept (>= n + 1,) int32, the words that stay, and of each first and stop, int32: its window is
    kept[first : stop], itself included.  Returns how many stay, and the state of the generator.
    """
    n = _U(0)
    begin = _U(0)
    for p in range(_U(ids.size) + _U(1)):
        # a shard that ends inside a sentence ends it
        word = ids[p] if p < _U(ids.size) else np.int32(0)
        if word == 0:
            for i in range(begin, n):
                half = _U(window)
                if not fixed:
                    state = state * _A + _C
                    half = (((state >> _U(32)) * _U(window)) >> _U(32)) + _U(1)
                first[i] = np.int32(max(np.int64(begin), np.int64(i) - np.int64(half)))
                stop[i] = np.int32(min(n, i + half + _U(1)))
            begin = n
        elif word > 0:
            # without a branch: what does not stay is written over
            state = state * _A + _C
            kept[n] = word
            n += _U((state >> _U(32)) <= _U(thresholds[word]))
    return np.int64(n), state


@exact_kernel
def draw_negatives(table, state, negatives):
    """Fill negatives (n,) int32 from a shuffled table, a power of two long, read on from a drawn place."""
    mask = _U(table.size - 1)
    state = state * _A + _C
    at = state >> _U(32)
    for k in range(_U(negatives.size)):
        negatives[k] = table[(at + k) & mask]
    return state
