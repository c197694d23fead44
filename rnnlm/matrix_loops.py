"""The two inner loops of every network here, on LLVM vectors held in registers.

``add_scaled_rows`` is a vector times a matrix, ``dot_rows`` a matrix times a vector; forward steps, errors, weight
updates and scores are made of them.  Both take float32 or float64 arrays of any shape as flat, C-contiguous memory with
a position, so that a row costs no array header; or bare pointers (``simd.pointer``).

Rows are ``simd.padded(n)`` long.  ``dot_rows`` reads rows eight at a time: matrices from ``simd.padded_matrix`` have
the zero rows that this needs at their end.
"""

from __future__ import annotations

import numpy as np

from corpora.compute.jit import kernel
from corpora.compute.lazy import cgutils, ir, llvm, types
from corpora.compute.machine import VECTOR_BYTES
from corpora.compute.plain import intrinsic
from corpora.compute.simd import lanes_of
from rnnlm import plain_matrix_loops as plain_loops

# vectors of two rows that are summed at once: sums, factors and a part of M must fit the registers (32, or 16 of AVX2)
_PAIR_BLOCK = 8 if VECTOR_BYTES == 64 else 6
# rows whose products with two vectors are summed at once, likewise
_PAIR_ROWS = 8 if VECTOR_BYTES == 64 else 4


def _chains(n_vectors: int) -> int:
    """Sums per element, joined at the end: eight chains of fused multiply-adds hide their latency."""
    return max(1, 8 // n_vectors)


def _scaled_rows_block(n_vectors: int, n_sums: int, unroll: int):
    """``n_sums`` rows of y, ``n_vectors`` vectors wide: row q += sum_j a[a0 + q*a_next + j*step] * M[m0 + j*ld:].

    The order in which an element is summed depends on ``unroll`` alone.
    """

    @intrinsic(plain_loops.scaled_rows_block(n_vectors, n_sums))
    def block(typing_context, y, y0, y_next, a, a0, a_next, step, M, m0, ld, n):
        def code(context, builder, signature, args):
            vector, lanes = llvm.vector(signature.args[0])
            y_data, a_data, m_data = (llvm.data(context, builder, signature.args[i], args[i]) for i in (0, 3, 7))
            y0, y_next, a0, a_next, step, m0, ld, n = (args[i] for i in (1, 2, 4, 5, 6, 8, 9, 10))
            zero = ir.Constant(vector, [0.0] * lanes)
            places = [
                [builder.add(builder.add(y0, builder.mul(y_next, llvm.constant(q))), llvm.constant(k * lanes))
                 for k in range(n_vectors)]
                for q in range(n_sums)
            ]  # fmt: skip
            sums = [
                [[cgutils.alloca_once(builder, vector) for _ in range(n_vectors)] for _ in range(n_sums)]
                for _ in range(unroll)
            ]
            for u in range(unroll):
                for q in range(n_sums):
                    for k in range(n_vectors):
                        first = llvm.load(builder, y_data, places[q][k], vector) if u == 0 else zero
                        builder.store(first, sums[u][q][k])

            def add(j, u):
                at = builder.add(a0, builder.mul(j, step))
                factors = []
                for q in range(n_sums):
                    place = builder.add(at, builder.mul(a_next, llvm.constant(q)))
                    factors.append(llvm.splat(builder, builder.load(builder.gep(a_data, [place])), vector))
                row = builder.add(m0, builder.mul(j, ld))
                for k in range(n_vectors):
                    part = llvm.load(builder, m_data, builder.add(row, llvm.constant(k * lanes)), vector)
                    for q in range(n_sums):
                        total = llvm.fma(builder, factors[q], part, builder.load(sums[u][q][k]))
                        builder.store(total, sums[u][q][k])

            whole = builder.sdiv(n, llvm.constant(unroll))
            with cgutils.for_range(builder, whole, intp=llvm.I64) as loop:
                for u in range(unroll):
                    add(builder.add(builder.mul(loop.index, llvm.constant(unroll)), llvm.constant(u)), u)
            if unroll > 1:
                done = builder.mul(whole, llvm.constant(unroll))
                with cgutils.for_range(builder, builder.sub(n, done), intp=llvm.I64) as loop:
                    add(builder.add(done, loop.index), 0)
            for q in range(n_sums):
                for k in range(n_vectors):
                    total = builder.load(sums[0][q][k])
                    for u in range(1, unroll):
                        total = builder.fadd(total, builder.load(sums[u][q][k]))
                    llvm.store(builder, total, y_data, places[q][k])
            return context.get_dummy_value()

        i = types.int64
        return types.void(y, i, i, a, i, i, i, M, i, i, i), code

    return block


_1, _2, _3, _4, _5, _6, _7, _8 = (_scaled_rows_block(k, 1, _chains(k)) for k in range(1, 9))
_1x2, _2x2, _3x2, _4x2, _5x2, _6x2, _7x2, _8x2 = (_scaled_rows_block(k, 2, _chains(2 * k)) for k in range(1, 9))
# two rows, each summed in the order of one
_1x2_alike, _2x2_alike, _3x2_alike, _4x2_alike = (_scaled_rows_block(k, 2, _chains(k)) for k in range(1, 5))


@kernel
def add_scaled_rows(y, y0, a, a0, step, M, m0, ld, n, width):
    """y[y0 : y0+width] += sum_{j<n} a[a0 + j*step] * M[m0 + j*ld : +width], all flat; width a multiple of PAD.

    Each block of columns stays in registers over all n rows.  With ld < 0 the blocks go from the last to the first,
    too: see elman_step.
    """
    lanes = lanes_of(y)
    blocks = width // lanes // 8
    left = width // lanes - 8 * blocks
    for part in range(blocks + 1):
        block = part if ld > 0 else blocks - part
        at = 8 * block * lanes
        if block < blocks:
            _8(y, y0 + at, 0, a, a0, 0, step, M, m0 + at, ld, n)
        elif left == 7:
            _7(y, y0 + at, 0, a, a0, 0, step, M, m0 + at, ld, n)
        elif left == 6:
            _6(y, y0 + at, 0, a, a0, 0, step, M, m0 + at, ld, n)
        elif left == 5:
            _5(y, y0 + at, 0, a, a0, 0, step, M, m0 + at, ld, n)
        elif left == 4:
            _4(y, y0 + at, 0, a, a0, 0, step, M, m0 + at, ld, n)
        elif left == 3:
            _3(y, y0 + at, 0, a, a0, 0, step, M, m0 + at, ld, n)
        elif left == 2:
            _2(y, y0 + at, 0, a, a0, 0, step, M, m0 + at, ld, n)
        elif left == 1:
            _1(y, y0 + at, 0, a, a0, 0, step, M, m0 + at, ld, n)


@kernel
def _add_scaled_rows_to_two(y, y0, y_next, a, a0, a_next, step, M, m0, ld, n, width):
    lanes = lanes_of(y)
    left = width // lanes
    while left >= _PAIR_BLOCK:
        if _PAIR_BLOCK == 8:
            _8x2(y, y0, y_next, a, a0, a_next, step, M, m0, ld, n)
        else:
            _6x2(y, y0, y_next, a, a0, a_next, step, M, m0, ld, n)
        y0 += _PAIR_BLOCK * lanes
        m0 += _PAIR_BLOCK * lanes
        left -= _PAIR_BLOCK
    if left == 7:
        _7x2(y, y0, y_next, a, a0, a_next, step, M, m0, ld, n)
    elif left == 6:
        _6x2(y, y0, y_next, a, a0, a_next, step, M, m0, ld, n)
    elif left == 5:
        _5x2(y, y0, y_next, a, a0, a_next, step, M, m0, ld, n)
    elif left == 4:
        _4x2(y, y0, y_next, a, a0, a_next, step, M, m0, ld, n)
    elif left == 3:
        _3x2(y, y0, y_next, a, a0, a_next, step, M, m0, ld, n)
    elif left == 2:
        _2x2(y, y0, y_next, a, a0, a_next, step, M, m0, ld, n)
    elif left == 1:
        _1x2(y, y0, y_next, a, a0, a_next, step, M, m0, ld, n)


@kernel
def add_scaled_rows_to_each(y, y0, y_next, n_y, a, a0, a_next, step, M, m0, ld, n, width):
    """For q < n_y: y[y0 + q*y_next : +width] += sum_{j<n} a[a0 + q*a_next + j*step] * M[m0 + j*ld : +width].

    A matrix product: rows of y go in pairs, so that each part of M that is read serves two of them.
    """
    zero = np.int64(0)
    for q in range(zero, n_y - 1, 2):
        _add_scaled_rows_to_two(y, y0 + q * y_next, y_next, a, a0 + q * a_next, a_next, step, M, m0, ld, n, width)
    if n_y & 1:
        q = n_y - 1
        add_scaled_rows(y, y0 + q * y_next, a, a0 + q * a_next, step, M, m0, ld, n, width)


@kernel
def _two_blocks_alike(y, y0, y_next, a, a0, a_next, step, M, m0, ld, n, n_vectors, lanes):
    """Two rows of y, ``n_vectors`` <= 8 vectors wide, each to the bit as ``add_scaled_rows`` sums a block of one."""
    if n_vectors == 8:
        if _PAIR_BLOCK == 8:
            _8x2(y, y0, y_next, a, a0, a_next, step, M, m0, ld, n)
        else:  # too many sums for the registers
            for part in range(0, 8, 4):
                at = part * lanes
                _4x2(y, y0 + at, y_next, a, a0, a_next, step, M, m0 + at, ld, n)
    elif n_vectors == 7:
        if _PAIR_BLOCK == 8:
            _7x2(y, y0, y_next, a, a0, a_next, step, M, m0, ld, n)
        else:
            at = 4 * lanes
            _4x2(y, y0, y_next, a, a0, a_next, step, M, m0, ld, n)
            _3x2(y, y0 + at, y_next, a, a0, a_next, step, M, m0 + at, ld, n)
    elif n_vectors == 6:
        _6x2(y, y0, y_next, a, a0, a_next, step, M, m0, ld, n)
    elif n_vectors == 5:
        _5x2(y, y0, y_next, a, a0, a_next, step, M, m0, ld, n)
    elif n_vectors == 4:
        if _PAIR_BLOCK == 8:
            _4x2_alike(y, y0, y_next, a, a0, a_next, step, M, m0, ld, n)
        else:
            for part in range(0, 4, 2):
                at = part * lanes
                _2x2(y, y0 + at, y_next, a, a0, a_next, step, M, m0 + at, ld, n)
    elif n_vectors == 3:
        _3x2_alike(y, y0, y_next, a, a0, a_next, step, M, m0, ld, n)
    elif n_vectors == 2:
        if _PAIR_BLOCK == 8:
            _2x2_alike(y, y0, y_next, a, a0, a_next, step, M, m0, ld, n)
        else:
            for at in range(0, 2 * lanes, lanes):
                _1x2(y, y0 + at, y_next, a, a0, a_next, step, M, m0 + at, ld, n)
    elif n_vectors == 1:
        _1x2_alike(y, y0, y_next, a, a0, a_next, step, M, m0, ld, n)


@kernel
def add_scaled_rows_alike(y, y0, y_next, n_y, a, a0, a_next, step, M, m0, ld, n, width):
    """``add_scaled_rows_to_each``, where every row has to the bit what ``add_scaled_rows`` gives to it alone.

    A panel of M, eight vectors wide, serves all rows before the next one is read.
    """
    lanes = lanes_of(y)
    zero = np.int64(0)
    for at in range(zero, width, 8 * lanes):
        n_vectors = min(np.int64(8), (width - at) // lanes)
        for q in range(zero, n_y - 1, 2):
            _two_blocks_alike(
                y, y0 + q * y_next + at, y_next, a, a0 + q * a_next, a_next, step, M, m0 + at, ld, n, n_vectors, lanes
            )
        if n_y & 1:
            q = n_y - 1
            add_scaled_rows(y, y0 + q * y_next + at, a, a0 + q * a_next, step, M, m0 + at, ld, n, n_vectors * lanes)


def _back_and_update_block(n_vectors: int):
    """One token's pass over n rows of M, ``n_vectors`` vectors wide: y += sum_r e_r M_r, then M_r += e_r x."""

    @intrinsic(plain_loops.back_and_update_block(n_vectors))
    def block(typing_context, y, y0, e, e0, x, x0, M, m0, ld, n):
        def code(context, builder, signature, args):
            vector, lanes = llvm.vector(signature.args[0])
            y_data, e_data, x_data, m_data = (
                llvm.data(context, builder, signature.args[i], args[i]) for i in (0, 2, 4, 6)
            )
            y0, e0, x0, m0, ld, n = (args[i] for i in (1, 3, 5, 7, 8, 9))
            at = [llvm.constant(k * lanes) for k in range(n_vectors)]
            xs = [llvm.load(builder, x_data, builder.add(x0, k), vector) for k in at]
            sums = [cgutils.alloca_once(builder, vector) for _ in at]
            for k, s in zip(at, sums, strict=True):
                builder.store(llvm.load(builder, y_data, builder.add(y0, k), vector), s)
            with cgutils.for_range(builder, n, intp=llvm.I64) as loop:
                factor = llvm.splat(builder, builder.load(builder.gep(e_data, [builder.add(e0, loop.index)])), vector)
                row = builder.add(m0, builder.mul(loop.index, ld))
                for k, s, part in zip(at, sums, xs, strict=True):
                    place = builder.add(row, k)
                    old = llvm.load(builder, m_data, place, vector)
                    builder.store(llvm.fma(builder, factor, old, builder.load(s)), s)
                    llvm.store(builder, llvm.fma(builder, factor, part, old), m_data, place)
            for k, s in zip(at, sums, strict=True):
                llvm.store(builder, builder.load(s), y_data, builder.add(y0, k))
            return context.get_dummy_value()

        i = types.int64
        return types.void(y, i, e, i, x, i, M, i, i, i), code

    return block


_back_6, _back_2, _back_1 = (_back_and_update_block(k) for k in (6, 2, 1))


@kernel
def back_and_update_rows(y, y0, e, e0, x, x0, M, m0, ld, n, width):
    """y[y0 : +width] += sum_{r<n} e[e0 + r] * M[m0 + r*ld : +width], and then each of these rows of M += e[e0 + r] * x.

    All flat; width a multiple of PAD.  Each row is read once.
    """
    lanes = lanes_of(y)
    left = width // lanes
    while left >= 6:
        _back_6(y, y0, e, e0, x, x0, M, m0, ld, n)
        y0 += 6 * lanes
        x0 += 6 * lanes
        m0 += 6 * lanes
        left -= 6
    while left >= 2:
        _back_2(y, y0, e, e0, x, x0, M, m0, ld, n)
        y0 += 2 * lanes
        x0 += 2 * lanes
        m0 += 2 * lanes
        left -= 2
    if left == 1:
        _back_1(y, y0, e, e0, x, x0, M, m0, ld, n)


def _dot_block(n_rows: int, n_vectors: int):
    """out[o0 + q*o_next + r] = M[m0 + r*ld : +width] . x[x0 + q*x_next : +width], r < n_rows, q < n_vectors."""

    @intrinsic(plain_loops.dot_block(n_rows, n_vectors))
    def block(typing_context, out, o0, o_next, M, m0, ld, x, x0, x_next, width):
        def code(context, builder, signature, args):
            vector, lanes = llvm.vector(signature.args[0])
            out_data, m_data, x_data = (llvm.data(context, builder, signature.args[i], args[i]) for i in (0, 3, 6))
            o0, o_next, m0, ld, x0, x_next, width = (args[i] for i in (1, 2, 4, 5, 7, 8, 9))
            sums = [[cgutils.alloca_once(builder, vector) for _ in range(n_rows)] for _ in range(n_vectors)]
            for some in sums:
                for s in some:
                    builder.store(ir.Constant(vector, [0.0] * lanes), s)
            rows = [builder.add(m0, builder.mul(ld, llvm.constant(r))) for r in range(n_rows)]
            with cgutils.for_range(builder, builder.sdiv(width, llvm.constant(lanes)), intp=llvm.I64) as loop:
                i = builder.mul(loop.index, llvm.constant(lanes))
                parts = []
                for q in range(n_vectors):
                    place = builder.add(x0, builder.mul(x_next, llvm.constant(q)))
                    parts.append(llvm.load(builder, x_data, builder.add(place, i), vector))
                for r in range(n_rows):
                    row = llvm.load(builder, m_data, builder.add(rows[r], i), vector)
                    for q in range(n_vectors):
                        builder.store(llvm.fma(builder, row, parts[q], builder.load(sums[q][r])), sums[q][r])
            for q in range(n_vectors):
                place = builder.add(o0, builder.mul(o_next, llvm.constant(q)))
                for k, v in enumerate(llvm.lane_sums(builder, [builder.load(s) for s in sums[q]])):
                    if lanes > n_rows:  # the results stand in it more than once
                        mask = ir.Constant(ir.VectorType(llvm.I32, n_rows), list(range(n_rows)))
                        v = builder.shuffle_vector(v, v, mask)
                    llvm.store(builder, v, out_data, builder.add(place, llvm.constant(k * lanes)))
            return context.get_dummy_value()

        i = types.int64
        return types.void(out, i, i, M, i, i, x, i, i, i), code

    return block


_dot_8_rows, _dot_rows_pair = _dot_block(8, 1), _dot_block(_PAIR_ROWS, 2)


@kernel
def dot_rows(out, o0, M, m0, ld, n, x, x0, width):
    """out[o0 + r] = M[m0 + r*ld : +width] . x[x0 : +width] for r < n, all flat; width a multiple of PAD.

    Eight rows at a time: up to 7 elements of ``out`` beyond n are overwritten, and as many rows of M read.
    """
    for r in range(0, n, 8):
        _dot_8_rows(out, o0 + r, 0, M, m0 + r * ld, ld, x, x0, 0, width)


@kernel
def dot_rows_downwards(out, o0, M, m0, ld, n, x, x0, width):
    """``dot_rows`` from the last rows to the first, for callers that go to and fro through M: see elman_step."""
    for r in range((n - 1) // 8 * 8, -1, -8):
        _dot_8_rows(out, o0 + r, 0, M, m0 + r * ld, ld, x, x0, 0, width)


@kernel
def dot_rows_each(out, o0, o_next, M, m0, ld, n, x, x0, x_next, n_x, width):
    """For q < n_x: out[o0 + q*o_next + r] = M[m0 + r*ld : +width] . x[x0 + q*x_next : +width] for r < n.

    A matrix product, two rows of x at a time; o_next leaves room for 7 elements too many.
    """
    zero = np.int64(0)
    for q in range(zero, n_x - 1, 2):
        for r in range(0, n, _PAIR_ROWS):
            _dot_rows_pair(out, o0 + q * o_next + r, o_next, M, m0 + r * ld, ld, x, x0 + q * x_next, x_next, width)
    if n_x & 1:
        q = n_x - 1
        dot_rows(out, o0 + q * o_next, M, m0, ld, n, x, x0 + q * x_next, width)
