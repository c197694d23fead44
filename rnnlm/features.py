"""Direct connections: a maximum-entropy model of hashed n-gram features beside the network.

Mikolov et al. (2011b), "Strategies for training large scale neural network language models", section 6;
the hash functions are those of rnnlm 0.4b, so that its models can be read.
The first half of the weights belongs to features of classes, the second to features of words.
"""

from __future__ import annotations

import numpy as np

from corpora.compute.jit import kernel
from corpora.compute.simd import load, store
from rnnlm.config import MAX_DIRECT_ORDER

# fmt: off
_PRIMES = (
    108641969, 116049371, 125925907, 133333309, 145678979, 175308587, 197530793, 234567803, 251851741, 264197411,
    330864029, 399999781, 407407183, 459258997, 479012069, 545678687, 560493491, 607407037, 629629243, 656789717,
    716048933, 718518067, 725925469, 733332871, 753085943, 755555077, 782715551, 790122953, 812345159, 814814293,
    893826581, 923456189, 940740127, 953085797, 985184539, 990122807,
)
# fmt: on
_SEED = np.uint64(_PRIMES[0] * _PRIMES[1] % 2**32)  # unsigned int in 0.4b: it wraps
_MULTIPLIERS = np.zeros((MAX_DIRECT_ORDER, MAX_DIRECT_ORDER), np.uint64)
for _a in range(MAX_DIRECT_ORDER):
    for _b in range(1, _a + 1):
        _MULTIPLIERS[_a, _b] = _PRIMES[(_a * _PRIMES[_b] + _b) % 2**32 % len(_PRIMES)]


@kernel
def feature_runs(history, order, group, n, size, starts, lengths):
    """Where each order's feature has its weights: ``lengths[a]`` of them from ``starts[a]``, one per row of the group.

    history (20,) int32: the last words, newest first, -1 for one outside the vocabulary, beyond which no
    feature reaches.  ``group`` 0 for the classes, class + 1 for the words of a class; n rows; ``size`` weights.
    A run that reaches the end of the weights ends there, and those of higher orders no later (as in 0.4b).
    """
    half = np.uint64(size // 2)
    shortest = n
    for a in range(order):
        if a > 0 and load(history, a - 1) < 0:
            shortest = 0
        h = _SEED if group == 0 else _SEED * np.uint64(group)
        for b in range(1, a + 1):
            h += _MULTIPLIERS[a, b] * np.uint64(np.int64(load(history, b - 1)) + 1)
        h = h % half
        if group == 0:
            if h == np.uint64(0):
                shortest = 0
        else:
            h += half
        start = np.int64(h)
        shortest = min(shortest, size - start)
        store(starts, a, start)
        store(lengths, a, shortest)


@kernel
def add_features(S, s0, D, order, starts, lengths):
    """S[s0 + r] += the weights of row r's features, flat."""
    for a in range(order):
        start = load(starts, a)
        for i in range(load(lengths, a)):
            store(S, s0 + i, load(S, s0 + i) + load(D, start + i))


@kernel
def update_features(D, errors, e0, order, starts, lengths, alpha, decay):
    """D += alpha error - decay D for every feature of the group's rows."""
    for i in range(load(lengths, 0)):  # row by row: where two features share a weight, the order is 0.4b's
        for a in range(order):
            if i < load(lengths, a):
                at = load(starts, a) + i
                d = load(D, at)
                store(D, at, d + (alpha * load(errors, e0 + i) - d * decay))


@kernel
def word_histories(ids, before, histories):
    """histories[t] (T, order) = the words before ids[t], newest first; ``before`` (20,) those before ids[0]."""
    order = histories.shape[1]
    for t in range(ids.size):
        for a in range(order):
            histories[t, a] = ids[t - 1 - a] if a < t else before[a - t]
