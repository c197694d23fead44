"""The kernels of optimizers, and gradients as they take them: whole arrays, or the rows of some words."""

from __future__ import annotations

import math

import numpy as np

from corpora.compute.jit import exact_kernel, kernel, stage
from corpora.compute.simd import aligned_zeros, load, pointer, scalar, store
from rnnlm.optimizers import OPTIMIZERS

_SGD, _ADAM = OPTIMIZERS["sgd"], OPTIMIZERS["adam"]
PIECE = 1 << 16  # elements whose squares are summed together, whatever the number of threads


@stage
def update(w, w0, g, g0, m, v, n, step):
    """w[w0 : +n] learns from g[g0 : +n], with the slots m and v at w0; ``step``: see ``optimizers.Step``, as reals."""
    kind, rate, factor, decay, first, first_new, second, second_new, epsilon = step
    keep = scalar(w, 1.0) - decay
    if kind == _SGD:
        if first > 0:
            for i in range(n):
                moved = first * load(m, w0 + i) + factor * load(g, g0 + i)
                store(m, w0 + i, moved)
                store(w, w0 + i, keep * load(w, w0 + i) + rate * moved)
        else:
            for i in range(n):
                store(w, w0 + i, keep * load(w, w0 + i) + rate * (factor * load(g, g0 + i)))
    elif kind == _ADAM:
        for i in range(n):
            d = factor * load(g, g0 + i)
            mean = first * load(m, w0 + i) + first_new * d
            square = second * load(v, w0 + i) + second_new * d * d
            store(m, w0 + i, mean)
            store(v, w0 + i, square)
            store(w, w0 + i, keep * load(w, w0 + i) + rate * mean / (np.sqrt(square) + epsilon))
    else:  # adagrad, rmsprop
        for i in range(n):
            d = factor * load(g, g0 + i)
            square = second * load(m, w0 + i) + second_new * d * d
            store(m, w0 + i, square)
            store(w, w0 + i, keep * load(w, w0 + i) + rate * d / (np.sqrt(square) + epsilon))


@kernel
def update_all(weights, gradient, m, v, begin, end, step):
    """Elements begin to end of flat arrays of one shape; slots that the optimizer lacks may be of any."""
    update(pointer(weights), begin, pointer(gradient), begin, pointer(m), pointer(v), end - begin, step)


@kernel
def update_rows(weights, ids, gradient, m, v, begin, end, step):
    """Rows ids[begin:end] of ``weights`` learn from rows begin to end of the gradient."""
    n, ld = weights.shape[1], gradient.shape[1]
    w, g, first, second = pointer(weights), pointer(gradient), pointer(m), pointer(v)
    for r in range(begin, end):
        update(w, np.int64(ids[r]) * n, g, r * ld, first, second, n, step)


@kernel
def sum_of_squares(x, begin, end):
    """The sum over elements begin to end of a flat array, in float64."""
    p, total = pointer(x), 0.0
    for i in range(begin, end):
        value = np.float64(load(p, i))
        total += value * value
    return total


@exact_kernel
def sort_rows(ids, n, counts, order, starts, found):
    """Bring the n rows with equal ids together; how many different ids there are; -1: left out.

    found[u] is the u-th that occurs and order[starts[u] : starts[u+1]] its rows, ascending.  counts: zero for every
    id, before and after.
    """
    n_found, place = np.int64(0), np.int64(0)
    for r in range(n):
        if ids[r] >= 0:
            counts[ids[r]] += 1
    for r in range(n):
        each = ids[r]
        if each < 0:
            continue
        if counts[each] > 0:  # first seen: from now on, -1 minus the place of its next row
            starts[n_found], found[n_found] = place, each
            n_found += 1
            size = counts[each]
            counts[each] = -1 - place
            place += size
        order[-1 - counts[each]] = r
        counts[each] -= 1
    starts[n_found] = place
    for u in range(n_found):
        counts[found[u]] = 0
    return n_found


@kernel
def merge_rows(D, order, starts, out, begin, end):
    """out[u] = the sum of rows D[order[starts[u] : starts[u+1]]], one after another, u from begin to end."""
    n, ldd, ldo = min(D.shape[1], out.shape[1]), D.shape[1], out.shape[1]
    d, y = pointer(D), pointer(out)
    for u in range(begin, end):
        at = np.int64(order[starts[u]]) * ldd
        for i in range(n):
            store(y, u * ldo + i, load(d, at + i))
        for j in range(starts[u] + 1, starts[u + 1]):
            at = np.int64(order[j]) * ldd
            for i in range(n):
                store(y, u * ldo + i, load(y, u * ldo + i) + load(d, at + i))


@kernel
def add_rows(out, ids, rows, begin, end):
    """out[ids[u]] += rows[u], u from begin to end; no id twice."""
    n, ldo, ldr = min(out.shape[1], rows.shape[1]), out.shape[1], rows.shape[1]
    y, x = pointer(out), pointer(rows)
    for u in range(begin, end):
        at = np.int64(ids[u]) * ldo
        for i in range(n):
            store(y, at + i, load(y, at + i) + load(x, u * ldr + i))


class Dense:
    """The gradient of a whole array."""

    def __init__(self, weights: np.ndarray):
        self.weights, self.values = weights, aligned_zeros(weights.shape, weights.dtype)

    def add(self, workers, rows: Rows) -> None:
        """Add the gradient of some rows of the same weights."""
        add_rows(self.values, rows.ids, rows.values, 0, rows.ids.size)

    def norm_pieces(self):
        """(array, from, to) of each piece whose squares are summed."""
        n, flat = self.values.size, self.values.reshape(-1)
        return [(flat, at, min(at + PIECE, n)) for at in range(0, n, PIECE)]

    def update(self, workers, m, v, step) -> None:
        flat = [array.reshape(-1) for array in (self.weights, self.values, m, v)]
        workers.share(lambda begin, end, _: update_all(*flat, begin, end, step), self.values.size, 16)


class Rows:
    """The gradient of the rows of some words: all other rows have none."""

    def __init__(self, weights: np.ndarray, n: int):
        """Room for n rows, equal ones among them."""
        self.weights = weights
        self.values = aligned_zeros((n, weights.shape[1]), weights.dtype)
        self.ids = np.empty(0, np.int32)
        self._counts = np.zeros(len(weights), np.int64)  # scratch

    def merge(self, workers, ids: np.ndarray, D: np.ndarray) -> None:
        """The sums of rows of D (n, columns) by ids (n,); -1: none."""
        order, starts, found = (
            np.empty(ids.size, np.int64),
            np.empty(ids.size + 1, np.int64),
            np.empty(ids.size, np.int32),
        )
        self.ids = found[: sort_rows(ids, ids.size, self._counts, order, starts, found)]
        workers.share(lambda begin, end, _: merge_rows(D, order, starts, self.values, begin, end), self.ids.size)

    def add(self, workers, rows: Rows) -> None:
        """Add the gradient of some rows of the same weights: those of both are summed, these first."""
        values = [gradient.values[: gradient.ids.size] for gradient in (self, rows)]
        self.merge(workers, np.concatenate([self.ids, rows.ids]), np.concatenate(values))

    def norm_pieces(self):
        return [(self.values.reshape(-1), 0, self.ids.size * self.values.shape[1])]

    def update(self, workers, m, v, step) -> None:
        workers.share(
            lambda begin, end, _: update_rows(self.weights, self.ids, self.values, m, v, begin, end, step),
            self.ids.size,
        )


def norm(gradients, workers) -> float:
    """The norm of all gradients as one vector; the same bits on any number of threads."""
    pieces = [piece for gradient in gradients for piece in gradient.norm_pieces()]
    sums = np.zeros(len(pieces))

    def work(begin: int, end: int, _) -> None:
        for k in range(begin, end):
            sums[k] = sum_of_squares(*pieces[k])

    workers.share(work, len(pieces))
    return math.sqrt(math.fsum(sums))
