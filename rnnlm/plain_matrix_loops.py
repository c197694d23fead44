"""What the intrinsics of ``rnnlm.matrix_loops`` do, on arrays: see ``corpora.compute.plain``.

Sums are in another order than those of the vectors, without fused multiply-adds.
"""

from __future__ import annotations

import numpy as np

from corpora.compute.plain import flat
from corpora.compute.plain_simd import lanes_of, part


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
