"""The kernels of dynamic evaluation: see ``rnnlm.segments``."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from corpora.compute.jit import kernel
from corpora.compute.simd import load, pointer, store


class Update(NamedTuple):
    """The numbers of one step, as reals."""

    rate: float
    decay: float
    mean: float  # of the roots; 0: updates are plain
    most: float  # 1 / decay
    epsilon: float


@kernel
def dynamic_update(weights, w0, gradient, g0, static, roots, n, update):
    """weights[w0 : +n] learn from gradient[g0 : +n], flat; static and roots, if there are any, lie as w."""
    w, g, s, r = pointer(weights), pointer(gradient), pointer(static), pointer(roots)
    rate, decay, mean, most, epsilon = update
    if mean > 0:
        for i in range(n):
            now, root = load(w, w0 + i), load(r, w0 + i)
            back = decay * min(root / mean, most) * (load(s, w0 + i) - now)
            store(w, w0 + i, now + rate * load(g, g0 + i) / (root + epsilon) + back)
    else:
        for i in range(n):
            now = load(w, w0 + i)
            store(w, w0 + i, now + rate * load(g, g0 + i) + decay * (load(s, w0 + i) - now))


@kernel
def add_squares(total, t0, gradient, g0, n):
    """total[t0 : +n] += gradient[g0 : +n]^2, flat."""
    y, x = pointer(total), pointer(gradient)
    for i in range(n):
        store(y, t0 + i, load(y, t0 + i) + load(x, g0 + i) * load(x, g0 + i))


@kernel
def dynamic_update_rows(weights, ids, gradient, static, roots, update):
    """The rows ``ids`` (m,) of weights learn from as many rows of ``gradient`` (>= m, columns); the others are flat."""
    n, g = gradient.shape[1], pointer(gradient)
    for row in range(ids.size):
        dynamic_update(weights, np.int64(ids[row]) * n, g, row * n, static, roots, n, update)


@kernel
def add_squared_rows(total, ids, gradient):
    """The rows ``ids`` (m,) of ``total``, flat, += the squares of as many rows of ``gradient`` (>= m, columns)."""
    n, g = gradient.shape[1], pointer(gradient)
    for row in range(ids.size):
        add_squares(total, np.int64(ids[row]) * n, g, row * n, n)
