"""What the intrinsics of ``corpora.compute.simd`` do, on arrays: see ``corpora.compute.plain``.

Sums are in another order than those of the vectors, without fused multiply-adds.
"""

from __future__ import annotations

import ctypes

import numpy as np

from corpora.compute.llvm import VECTOR_BYTES
from corpora.compute.plain import flat


def pointer(a):
    return flat(a)


def scalar(a, value):
    return a.dtype.type(value)


def load(a, i):
    a = flat(a)
    return a[i] if 0 <= i < a.size else part(a, i, 1)[0]


def store(a, i, value):
    a = flat(a)
    if 0 <= i < a.size:
        a[i] = value
    else:
        part(a, i, 1)[0] = value


def part(a, at, width):
    """A view of ``width`` elements from a position on; like an address, it can lie outside of the array."""
    a = flat(a)
    if at >= 0 and at + width <= a.size:
        return a[at : at + width]
    memory = (ctypes.c_char * int(width * a.itemsize)).from_address(a.ctypes.data + int(at) * a.itemsize)
    return np.frombuffer(memory, a.dtype).view(type(a))


def prefetch_at(a, i):
    pass


def lanes_of(a):
    return np.int64(VECTOR_BYTES // a.dtype.itemsize)


def scaled_rows_block(n_vectors: int, n_sums: int):
    def block(y, y0, y_next, a, a0, a_next, step, M, m0, ld, n):
        y, a, M, width = flat(y), flat(a), flat(M), n_vectors * lanes_of(y)
        for q in range(n_sums):
            total = part(y, y0 + q * y_next, width)
            for j in range(n):
                total += a[a0 + q * a_next + j * step] * part(M, m0 + j * ld, width)

    return block


def back_and_update_block(n_vectors: int):
    def block(y, y0, e, e0, x, x0, M, m0, ld, n):
        y, e, x, M, width = flat(y), flat(e), flat(x), flat(M), n_vectors * lanes_of(y)
        total = part(y, y0, width)
        for r in range(n):
            row, factor = part(M, m0 + r * ld, width), e[e0 + r]
            total += factor * row
            row += factor * part(x, x0, width)

    return block


def dot_block(n_rows: int, n_vectors: int):
    def block(out, o0, o_next, M, m0, ld, x, x0, x_next, width):
        out, M, x = flat(out), flat(M), flat(x)
        sums = [
            [np.dot(part(M, m0 + r * ld, width), part(x, x0 + q * x_next, width)) for r in range(n_rows)]
            for q in range(n_vectors)
        ]
        for q, values in enumerate(sums):  # out may be x
            part(out, o0 + q * o_next, n_rows)[:] = values

    return block
