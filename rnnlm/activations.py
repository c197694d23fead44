"""Activations of the hidden layer, in place over rows, their derivatives from the activated value, and clipping."""

from __future__ import annotations

from corpora.compute.jit import exp, kernel
from corpora.compute.simd import load, scalar, store

LOGISTIC, TANH, RELU, ELU = range(4)
KINDS = {"logistic": LOGISTIC, "tanh": TANH, "relu": RELU, "elu": ELU}


@kernel
def activate(x, x0, n, kind):
    """x[x0 : x0+n] = f(x), flat.  Logistic saturates at |x| = 50, as rnnlm 0.4b."""
    one = scalar(x, 1.0)
    two = scalar(x, 2.0)
    zero = scalar(x, 0.0)
    limit = scalar(x, 50.0)
    if kind == LOGISTIC:
        for i in range(x0, x0 + n):
            v = min(max(load(x, i), -limit), limit)
            store(x, i, one / (one + exp(-v)))
    elif kind == TANH:
        for i in range(x0, x0 + n):
            store(x, i, two / (one + exp(-two * load(x, i))) - one)
    elif kind == RELU:
        for i in range(x0, x0 + n):
            store(x, i, max(load(x, i), zero))
    else:
        for i in range(x0, x0 + n):
            v = load(x, i)
            store(x, i, v if v > zero else exp(min(v, zero)) - one)


@kernel
def scale_by_derivative(d, d0, h, h0, n, kind):
    """d[d0 : d0+n] *= f'(x) where h = f(x), flat."""
    one = scalar(d, 1.0)
    zero = scalar(d, 0.0)
    if kind == LOGISTIC:
        for i in range(n):
            v = load(h, h0 + i)
            store(d, d0 + i, load(d, d0 + i) * v * (one - v))
    elif kind == TANH:
        for i in range(n):
            v = load(h, h0 + i)
            store(d, d0 + i, load(d, d0 + i) * (one - v * v))
    elif kind == RELU:
        for i in range(n):
            v = load(h, h0 + i)
            store(d, d0 + i, load(d, d0 + i) if v > zero else zero)
    else:
        for i in range(n):
            v = load(h, h0 + i)
            store(d, d0 + i, load(d, d0 + i) * (one + min(v, zero)))


@kernel
def clip(x, x0, n, limit):
    """Clamp x[x0 : x0+n] to +-limit, flat; 0: no limit."""
    if limit > 0:
        for i in range(x0, x0 + n):
            store(x, i, min(max(load(x, i), -limit), limit))
