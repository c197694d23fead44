"""What the intrinsics of ``w2v.rows`` do, on arrays: see ``corpora.compute.plain``.

Sums are in another order than those of the vectors, without fused multiply-adds.
"""

from __future__ import annotations

import numpy as np

from corpora.compute.plain_simd import lanes_of, part


def dots(n_x: int, n_z: int, adds: bool):
    def tile(x, x_rows, x0, z, z_rows, z0, column, n_vectors, out, o0, o_next):
        width = n_vectors * lanes_of(x)
        sums = [
            [_dot(x, x_rows[x0 + i] + column, z, z_rows[z0 + k] + column, width) for k in range(n_z)]
            for i in range(n_x)
        ]
        for i, values in enumerate(sums):
            place = out[o0 + i * o_next :][:n_z]
            place[:] = place + values if adds else values

    return tile


def dots_of_pairs(tile: int):
    def pairs(x, x_rows, x0, z, z_rows, z0, width, out, o0):
        out[o0 : o0 + tile] = [_dot(x, x_rows[x0 + i], z, z_rows[z0 + i], width) for i in range(tile)]

    return pairs


def _dot(x, x0, z, z0, width):
    return np.dot(part(x, x0, width), part(z, z0, width))


def sum_block(n_vectors: int):
    def block(y, y0, base, b0, c, c0, step, m, rows, r0, n, column):
        width = n_vectors * lanes_of(y)
        total = part(base, b0, width).copy()
        for t in range(n):
            total += c[c0 + t * step] * part(m, rows[r0 + t] + column, width)
        part(y, y0, width)[:] = total

    return block


def two_sums(n_vectors: int):
    def block(y, y0, y1, base, b0, b1, f0, f1, c, c0, c1, step, m, rows, r0, n, column):
        width = n_vectors * lanes_of(y)
        totals = [factor * part(base, start + column, width) for start, factor in ((b0, f0), (b1, f1))]
        for t in range(n):
            row = part(m, rows[r0 + t] + column, width)
            for total, first in zip(totals, (c0, c1), strict=True):
                total += c[first + t * step] * row
        for total, start in zip(totals, (y0, y1), strict=True):
            part(y, start + column, width)[:] = total

    return block


def exchange_block(n_vectors: int):
    def block(y, y0, x, x0, c, c0, m, rows, r0, n, column):
        width = n_vectors * lanes_of(y)
        total, ours = part(y, y0 + column, width), part(x, x0 + column, width)
        for t in range(n):
            row = part(m, rows[r0 + t] + column, width)
            total += c[c0 + t] * row
            row += c[c0 + t] * ours

    return block


def clear_vector(y, y0):
    part(y, y0, lanes_of(y))[:] = 0


def add_vector(y, y0, x, x0):
    y = part(y, y0, lanes_of(y))
    y += part(x, x0, y.size)


def prefetch(m, place):
    pass


def scale_tile(tile: int):
    def scale(y, y0, a, b, k):
        at = slice(y0 + k, y0 + k + tile)
        y[at] = y[at] * a[k : k + tile] + b[k : k + tile]

    return scale
