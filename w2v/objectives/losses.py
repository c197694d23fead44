"""The logistic loss of many products at once.

A product x with label 1 should be large, one with label 0 small: the probability of what is right is
1 / (1 + e^-x), or with -x in place of x.  The loss is the sum of -log of these, and its derivative by x
is p - 1 with label 1, 1 - p with label 0.
"""

from __future__ import annotations

import numpy as np

from corpora.compute.jit import exp, kernel, log32
from corpora.compute.simd import load, scalar, store

CERTAIN = 30.0  # a product whose probability is that of what is certain, but for 1e-13
_GROUP = 64
_AT_ONCE = 16  # probabilities: whole vectors, without a loop over what is left


@kernel
def probabilities(values, first, n, sign):
    """values[first : first + n]: the probability of sign * x, which is taken to be at most CERTAIN either way.

    So become up to 15 values behind them.
    """
    one, most, sign = scalar(values, 1.0), scalar(values, CERTAIN), scalar(values, sign)
    for group in range(first, first + n, _AT_ONCE):
        for i in range(group, group + _AT_ONCE):
            x = min(max(sign * load(values, i), -most), most)
            store(values, i, one / (one + exp(-x)))


@kernel
def log_loss(right, first, n):
    """-sum of log p of right[first : first + n], natural: of pairs in float32, of groups of these in float64."""
    loss = 0.0
    half = n // 2
    for group in range(0, half, _GROUP):
        size = min(half - group, _GROUP)
        total = np.float32(0.0)
        for i in range(first + group, first + group + size):
            # each is at least 1e-13
            total += log32(np.float32(load(right, i) * load(right, i + half)))
        loss -= np.float64(total)
    if n & 1:
        loss -= np.float64(log32(np.float32(load(right, first + n - 1))))
    return loss
