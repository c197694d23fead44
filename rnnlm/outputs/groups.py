"""Softmax over a group of rows: all words, the classes, or the words of one class.

Mikolov et al. (2011), factorisation of the output layer: P(w | s) = P(class of w | s) P(w | class of w, s).
T tokens, n rows in the group; ``width`` elements per row of the matrix and of the layer below.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from corpora.compute.jit import exp, kernel
from corpora.compute.simd import load, scalar, store
from rnnlm.matrix_loops import add_scaled_rows, add_scaled_rows_to_each, back_and_update_rows, dot_rows, dot_rows_each

TILE = 8192  # elements of a matrix that stay in the nearest cache while all tokens of a segment use them


class Group(NamedTuple):
    """Rows of an output matrix that share a softmax."""

    M: np.ndarray
    m0: int  # the first of them
    n: int
    base: int  # the id of the first, as targets have it
    number: int  # of the group, for direct connections: 0 classes, c + 1 words of class c


class Below(NamedTuple):
    """The layer below the outputs for the tokens of a segment, and where its errors go."""

    X: np.ndarray
    x0: int  # the row of the first token
    E: np.ndarray
    e0: int
    size: int  # tokens


@kernel
def tile_rows(width):
    """Rows of a tile: a multiple of eight."""
    return max(TILE // width // 8 * 8, 8)


@kernel
def row_scores(M, m0, n, X, x0, n_tokens, width, S, stride, s0):
    """S[s0 + t, r] = M[m0 + r] . X[x0 + t] for t < n_tokens, r < n; S is flat with rows of ``stride``."""
    rows = tile_rows(width)
    for tile in range(0, n, rows):
        size = min(rows, n - tile)
        m = (m0 + tile) * width
        dot_rows_each(S, s0 * stride + tile, stride, M, m, width, size, X, x0 * width, width, n_tokens, width)


@kernel
def softmax_error(S, s0, n, target):
    """S[s0 : s0+n] = onehot(target) - softmax(S), flat; returns the natural log probability of the target."""
    top = load(S, s0)
    for i in range(1, n):
        top = max(top, load(S, s0 + i))
    log_prob = np.float64(load(S, s0 + target) - top)
    total = 0.0
    part = scalar(S, 0.0)
    for i in range(n):
        e = exp(load(S, s0 + i) - top)
        store(S, s0 + i, e)
        part += e
    total += part
    factor = scalar(S, -1.0 / total)
    for i in range(n):
        store(S, s0 + i, load(S, s0 + i) * factor)
    store(S, s0 + target, load(S, s0 + target) + scalar(S, 1.0))
    return log_prob - math.log(total)


@kernel
def log_softmax_at(S, s0, n, target):
    """The natural log of softmax(S[s0 : s0+n])[target]; S is overwritten."""
    top = load(S, s0)
    for i in range(1, n):
        top = max(top, load(S, s0 + i))
    log_prob = np.float64(load(S, s0 + target) - top)
    part = scalar(S, 0.0)
    for i in range(n):
        part += exp(load(S, s0 + i) - top)
    return log_prob - math.log(np.float64(part))


@kernel
def softmax_in_place(S, s0, n):
    """S[s0 : s0+n] = softmax(S)."""
    top = load(S, s0)
    for i in range(1, n):
        top = max(top, load(S, s0 + i))
    part = scalar(S, 0.0)
    for i in range(s0, s0 + n):
        e = exp(load(S, i) - top)
        store(S, i, e)
        part += e
    factor = scalar(S, 1.0) / part
    for i in range(s0, s0 + n):
        store(S, i, load(S, i) * factor)


@kernel
def correct_scores(S, t, stride, n_padded, X, x0, scaled, gram, width):
    """Bring the scores of token t up to date with the updates that tokens 0..t-1 of the segment have made.

    After them the matrix is M + sum_u alpha e_u x_u', so s_t = M x_t + sum_u alpha (x_u . x_t) e_u: exact, and
    the matrix itself is written once a segment instead of once a token.  Rows 0..t-1 of S hold e_u already.
    """
    if t > 0:
        zero, one = np.int64(0), np.int64(1)
        dot_rows(gram, zero, scaled, zero, width, t, X, (x0 + t) * width, width)
        add_scaled_rows(S, t * stride, gram, zero, one, S, zero, stride, t, n_padded)


@kernel
def backward_and_update(group, below, scratch, width, stride, n_padded, decay):
    """E[e0 + t] = the error of X[x0 + t], and the group's update, with row t of scores the errors of token t's softmax.

    M += sum_t alpha e_t x_t', with the shrinkage 1 - decay at the last token, as if done token by token:
    E[t] = e_t' M + sum_{u<t} alpha (e_t . e_u) x_u.  ``scaled`` (T, width) holds alpha x_t.
    Elements n to n_padded of each row of scores must be zero.
    """
    zero, one = np.int64(0), np.int64(1)
    M, m0, n, E, e0, n_tokens = group.M, group.m0, group.n, below.E, below.e0, below.size
    S, scaled, gram = scratch.scores, scratch.scaled, scratch.gram
    for t in range(n_tokens):
        for i in range((e0 + t) * width, (e0 + t + 1) * width):
            store(E, i, scalar(E, 0.0))
        if t > 0:
            dot_rows(gram, zero, S, zero, stride, t, S, t * stride, n_padded)
            add_scaled_rows(E, (e0 + t) * width, gram, zero, one, scaled, zero, width, t, width)
    last = n_tokens - 1
    keep = scalar(M, 1.0) - decay
    shrinks = keep != scalar(M, 1.0)
    if last == 0 and not shrinks:
        back_and_update_rows(E, e0 * width, S, zero, scaled, zero, M, m0 * width, width, n, width)
        return
    rows = tile_rows(width)
    for tile in range(0, n, rows):
        size = min(rows, n - tile)
        m = (m0 + tile) * width
        add_scaled_rows_to_each(E, e0 * width, width, n_tokens, S, tile, stride, one, M, m, width, size, width)
        if shrinks:
            for i in range(m, m + size * width):
                store(M, i, load(M, i) * keep)
            for t in range(last):
                for i in range(t * stride + tile, t * stride + tile + size):
                    store(S, i, load(S, i) * keep)
        add_scaled_rows_to_each(M, m, width, size, S, tile, one, stride, scaled, zero, width, n_tokens, width)
