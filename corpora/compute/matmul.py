"""Products of matrices, each element summed in the order of the inner dimension, whatever is computed beside it.

So rows and columns may be shared out among threads, or come in smaller batches, and every bit stays the same; it is
the same with AVX2 and AVX-512, too.

One factor is packed in panels: ``2 * lanes`` columns that lie together, row after row.  A block of rows of the result,
as wide as a panel, stays in registers over the whole sum (the register tiling of Goto & van de Geijn, 2008).

Legend: C (m, n), A (m, k), B (k, n); ``ld`` is the length of a row in memory.
"""

from __future__ import annotations

import numpy as np

from corpora.compute import plain_simd
from corpora.compute.jit import exact_kernel
from corpora.compute.lazy import cgutils, ir, llvm, types
from corpora.compute.machine import VECTOR_BYTES
from corpora.compute.plain import intrinsic
from corpora.compute.simd import aligned_zeros, lanes_of, load, pointer, scalar, store

# rows of a block: with two vectors each, their factor and a part of a panel, they fit the registers (32, or 16 of
# AVX2); and so do the addresses of their factors (16), without which 12 rows are slower than 10
ROWS = 10 if VECTOR_BYTES == 64 else 6
DEPTH = 704  # rows of B that are packed at once, at most: as much of a block of A stays in the first-level cache
PACKED = 1 << 19  # bytes that are packed at once: half of a second-level cache


def panel_width(dtype) -> int:
    """Columns of a panel."""
    return 2 * VECTOR_BYTES // np.dtype(dtype).itemsize


def packed_size(k: int, n: int, dtype) -> int:
    """Elements of a whole (k, n) matrix in panels."""
    width = panel_width(dtype)
    return k * (-(-n // width) * width)


def room_for_products(dtype) -> np.ndarray:
    """Scratch for ``multiply``: packed panels, and a block of the result that is narrower than its panel."""
    width = panel_width(dtype)
    return aligned_zeros((PACKED // np.dtype(dtype).itemsize + max(ROWS, width // 2) * width,), dtype)


def _plain_block(n_rows: int, n_vectors: int):
    def block(C, c0, ldc, A, a0, lda, P, p0, k, accumulate):
        width, ldp = n_vectors * plain_simd.lanes_of(C), 2 * plain_simd.lanes_of(C)
        for r in range(n_rows):
            row = plain_simd.part(C, c0 + r * ldc, width)
            total = row.copy() if accumulate else np.zeros_like(row)
            for j in range(k):
                total += plain_simd.load(A, a0 + r * lda + j) * plain_simd.part(P, p0 + j * ldp, width)
            row[...] = total

    return block


def _block(n_rows: int, n_vectors: int):
    """C[c0 + r*ldc : +width] (+)= sum_j A[a0 + r*lda + j] P[p0 + j*2*lanes : +width] for r < n_rows, all flat."""

    @intrinsic(_plain_block(n_rows, n_vectors))
    def block(typing_context, C, c0, ldc, A, a0, lda, P, p0, k, accumulate):
        def code(context, builder, signature, args):
            vector, lanes = llvm.vector(signature.args[0])
            c_data, a_data, p_data = (llvm.data(context, builder, signature.args[i], args[i]) for i in (0, 3, 6))
            c0, ldc, a0, lda, p0, k, accumulate = (args[i] for i in (1, 2, 4, 5, 7, 8, 9))
            at = [llvm.constant(v * lanes) for v in range(n_vectors)]

            def row_of(data, first, ld, r):
                return builder.gep(data, [builder.add(first, builder.mul(ld, llvm.constant(r)))])

            c_rows = [row_of(c_data, c0, ldc, r) for r in range(n_rows)]
            a_rows = [row_of(a_data, a0, lda, r) for r in range(n_rows)]
            sums = [[cgutils.alloca_once(builder, vector) for _ in at] for _ in range(n_rows)]
            with builder.if_else(builder.icmp_signed("!=", accumulate, llvm.constant(0))) as (adding, beginning):
                with adding:
                    for row, totals in zip(c_rows, sums, strict=True):
                        for place, total in zip(at, totals, strict=True):
                            builder.store(llvm.load(builder, row, place, vector), total)
                with beginning:
                    for totals in sums:
                        for total in totals:
                            builder.store(ir.Constant(vector, [0.0] * lanes), total)
            panel = builder.gep(p_data, [p0])
            with cgutils.for_range(builder, k, intp=llvm.I64) as loop:
                line = builder.mul(loop.index, llvm.constant(2 * lanes))
                parts = [llvm.load(builder, panel, builder.add(line, place), vector) for place in at]
                for row, totals in zip(a_rows, sums, strict=True):
                    factor = llvm.splat(builder, builder.load(builder.gep(row, [loop.index])), vector)
                    for part, total in zip(parts, totals, strict=True):
                        builder.store(llvm.fma(builder, factor, part, builder.load(total)), total)
            for row, totals in zip(c_rows, sums, strict=True):
                for place, total in zip(at, totals, strict=True):
                    llvm.store(builder, builder.load(total), row, place)
            return context.get_dummy_value()

        i = types.int64
        return types.void(C, i, i, A, i, i, P, i, i, i), code

    return block


_1, _2, _3, _4, _5, _6, _7, _8, _9, _10 = (_block(r, 2) for r in range(1, 11))
_1_half, _2_half, _4_half, _6_half, _10_half = (_block(r, 1) for r in (1, 2, 4, 6, 10))


@exact_kernel
def _wide_rows(rows, C, c0, ldc, A, a0, lda, P, p0, k, accumulate):
    """Some rows of C, at most ROWS, as wide as a panel."""
    if rows == 6:
        _6(C, c0, ldc, A, a0, lda, P, p0, k, accumulate)
    elif rows == 5:
        _5(C, c0, ldc, A, a0, lda, P, p0, k, accumulate)
    elif rows == 4:
        _4(C, c0, ldc, A, a0, lda, P, p0, k, accumulate)
    elif rows == 3:
        _3(C, c0, ldc, A, a0, lda, P, p0, k, accumulate)
    elif rows == 2:
        _2(C, c0, ldc, A, a0, lda, P, p0, k, accumulate)
    elif rows == 1:
        _1(C, c0, ldc, A, a0, lda, P, p0, k, accumulate)
    elif ROWS == 10:
        if rows == 10:
            _10(C, c0, ldc, A, a0, lda, P, p0, k, accumulate)
        elif rows == 9:
            _9(C, c0, ldc, A, a0, lda, P, p0, k, accumulate)
        elif rows == 8:
            _8(C, c0, ldc, A, a0, lda, P, p0, k, accumulate)
        elif rows == 7:
            _7(C, c0, ldc, A, a0, lda, P, p0, k, accumulate)


@exact_kernel
def _half_rows(rows, C, c0, ldc, A, a0, lda, P, p0, k, accumulate):
    """Some of ``rows`` rows of C, half as wide as a panel; how many."""
    if ROWS == 10 and rows >= 10:
        _10_half(C, c0, ldc, A, a0, lda, P, p0, k, accumulate)
        return 10
    if rows >= 6:
        _6_half(C, c0, ldc, A, a0, lda, P, p0, k, accumulate)
        return 6
    if rows >= 4:
        _4_half(C, c0, ldc, A, a0, lda, P, p0, k, accumulate)
        return 4
    if rows >= 2:
        _2_half(C, c0, ldc, A, a0, lda, P, p0, k, accumulate)
        return 2
    _1_half(C, c0, ldc, A, a0, lda, P, p0, k, accumulate)
    return 1


@exact_kernel
def _panel_rows(C, c0, ldc, m, is_wide, A, a0, lda, P, p0, k, accumulate):
    """A panel's columns of C, over m rows that are shared out evenly among blocks."""
    done = np.int64(0)
    if is_wide:
        blocks = (m + ROWS - 1) // ROWS
        for left in range(blocks, 0, -1):
            rows = (m - done + left - 1) // left
            _wide_rows(rows, C, c0 + done * ldc, ldc, A, a0 + done * lda, lda, P, p0, k, accumulate)
            done += rows
    else:
        while done < m:
            rows = m - done
            done += _half_rows(rows, C, c0 + done * ldc, ldc, A, a0 + done * lda, lda, P, p0, k, accumulate)


@exact_kernel
def _panel(C, c0, ldc, m, width, A, a0, lda, P, p0, k, tile, t0, accumulate):
    """C[c0:] (+)= A P, ``width`` columns; where these are fewer than vectors have, through the ``tile`` at t0."""
    lanes = lanes_of(C)
    is_wide, ldp = width > lanes, 2 * lanes
    if width % lanes == 0:
        _panel_rows(C, c0, ldc, m, is_wide, A, a0, lda, P, p0, k, accumulate)
        return
    for done in range(np.int64(0), m, ROWS):
        rows, at = min(np.int64(ROWS), m - done), c0 + done * ldc
        if accumulate:
            for r in range(rows):
                for i in range(width):
                    store(tile, t0 + r * ldp + i, load(C, at + r * ldc + i))
        _panel_rows(tile, t0, ldp, rows, is_wide, A, a0 + done * lda, lda, P, p0, k, accumulate)
        for r in range(rows):
            for i in range(width):
                store(C, at + r * ldc + i, load(tile, t0 + r * ldp + i))


def _plain_transpose_square(B, b0, ldb, P, p0, ldp):
    lanes = plain_simd.lanes_of(B)
    for j in range(lanes):
        for i in range(lanes):
            plain_simd.store(P, p0 + i * ldp + j, plain_simd.load(B, b0 + j * ldb + i))


@intrinsic(_plain_transpose_square)
def _transpose_square(typing_context, B, b0, ldb, P, p0, ldp):
    """P[p0 + i*ldp + j] = B[b0 + j*ldb + i], i and j < lanes: in registers, by halves that change places."""

    def code(context, builder, signature, args):
        vector, lanes = llvm.vector(signature.args[0])
        b_data, p_data = (llvm.data(context, builder, signature.args[i], args[i]) for i in (0, 3))
        b0, ldb, p0, ldp = (args[i] for i in (1, 2, 4, 5))

        def place(first, ld, r):
            return builder.add(first, builder.mul(ld, llvm.constant(r)))

        rows = [llvm.load(builder, b_data, place(b0, ldb, r), vector) for r in range(lanes)]
        kind, distance = ir.VectorType(llvm.I32, lanes), 1
        while distance < lanes:
            low = [k if not k & distance else lanes + k - distance for k in range(lanes)]
            high = [k + distance if not k & distance else lanes + k for k in range(lanes)]
            for i in range(lanes):
                if not i & distance:
                    pair = rows[i], rows[i | distance]
                    rows[i], rows[i | distance] = (
                        builder.shuffle_vector(*pair, ir.Constant(kind, mask)) for mask in (low, high)
                    )
            distance *= 2
        for r in range(lanes):
            llvm.store(builder, rows[r], p_data, place(p0, ldp, r))
        return context.get_dummy_value()

    i = types.int64
    return types.void(B, i, i, P, i, i), code


@exact_kernel
def _pack_rows(B, b0, ldb, k, width, P, p0):
    """``width`` rows of B as the columns of a panel."""
    lanes = lanes_of(P)
    ldp, whole = 2 * lanes, k // lanes * lanes
    squares = width // lanes * lanes
    for j in range(0, squares, lanes):
        for i in range(0, whole, lanes):
            _transpose_square(B, b0 + j * ldb + i, ldb, P, p0 + i * ldp + j, ldp)
        for c in range(j, j + lanes):
            for i in range(whole, k):
                store(P, p0 + i * ldp + c, load(B, b0 + c * ldb + i))
    for j in range(squares, width):
        for i in range(k):
            store(P, p0 + i * ldp + j, load(B, b0 + j * ldb + i))


@exact_kernel
def _pack_panel(B, b0, ldb, k, width, is_transposed, P, p0):
    """``width`` columns of B as a panel, filled up with zeros; ``is_transposed``: B's columns lie as rows."""
    ldp = 2 * lanes_of(P)
    if is_transposed:
        _pack_rows(B, b0, ldb, k, width, P, p0)
    elif width == ldp:
        for i in range(k):
            for j in range(ldp):
                store(P, p0 + i * ldp + j, load(B, b0 + i * ldb + j))
    else:
        for i in range(k):
            for j in range(width):
                store(P, p0 + i * ldp + j, load(B, b0 + i * ldb + j))
    for j in range(width, ldp):
        for i in range(k):
            store(P, p0 + i * ldp + j, scalar(P, 0.0))


@exact_kernel
def pack_at(B, b0, ldb, k, n, is_transposed, P, p0):
    """All panels of B (k, n), flat; ``is_transposed``: B is (n, k) in memory.  P: see ``packed_size``."""
    ldp = 2 * lanes_of(P)
    for j in range(0, n, ldp):
        first = b0 + j * ldb if is_transposed else b0 + j
        _pack_panel(B, first, ldb, k, min(ldp, n - j), is_transposed, P, p0 + j * k)


@exact_kernel
def multiply_packed(C, c0, ldc, m, n, A, a0, lda, k, P, p0, tile, t0, accumulate):
    """C (m, n) (+)= A (m, k) B, flat, where P holds B in panels; ``tile``: ROWS panels' lines from t0 on."""
    ldp = 2 * lanes_of(C)
    for j in range(0, n, ldp):
        _panel(C, c0 + j, ldc, m, min(ldp, n - j), A, a0, lda, P, p0 + j * k, k, tile, t0, accumulate)


@exact_kernel
def _columns_at_once(k, ldp, itemsize):
    """How many columns of B are packed together."""
    depth = min(np.int64(DEPTH), k)
    return max(np.int64(1), PACKED // (depth * ldp * itemsize)) * ldp


@exact_kernel
def _pack_block(B, b0, ldb, depth, n, is_transposed, P):
    """Some columns of some rows of B, in panels."""
    ldp = 2 * lanes_of(P)
    for j in range(0, n, ldp):
        first = b0 + j * ldb if is_transposed else b0 + j
        _pack_panel(B, first, ldb, depth, min(ldp, n - j), is_transposed, P, j * depth)


@exact_kernel
def multiply_at(C, c0, ldc, m, n, A, a0, lda, k, B, b0, ldb, is_transposed, room, accumulate):
    """C (m, n) (+)= A (m, k) B (k, n), flat; ``is_transposed``: B is (n, k) in memory.  ``room_for_products``.

    What is packed of B stays in the second-level cache, while rows of A, a few at a time, meet all of it.
    """
    lanes, zero = lanes_of(C), np.int64(0)
    ldp, itemsize = 2 * lanes, VECTOR_BYTES // lanes
    at_once, tile = _columns_at_once(k, ldp, itemsize), np.int64(PACKED // itemsize)
    for column in range(zero, n, at_once):
        columns = min(at_once, n - column)
        for start in range(zero, k, DEPTH):
            depth = min(np.int64(DEPTH), k - start)
            adds = accumulate if start == 0 else np.int64(1)
            first = b0 + column * ldb + start if is_transposed else b0 + start * ldb + column
            _pack_block(B, first, ldb, depth, columns, is_transposed, room)
            blocks, done = (m + ROWS - 1) // ROWS, zero
            for left in range(blocks, 0, -1):
                rows = (m - done + left - 1) // left
                for j in range(zero, columns, ldp):
                    _panel(
                        C, c0 + done * ldc + column + j, ldc, rows, min(ldp, columns - j), A, a0 + done * lda + start,
                        lda, room, j * depth, depth, room, tile, adds,
                    )  # fmt: skip
                done += rows


@exact_kernel
def multiply_across_at(C, c0, ldc, m, n, A, a0, lda, k, B, b0, ldb, room, accumulate):
    """C^T (n, m) (+)= A (m, k) B (k, n), flat: the product is written transposed."""
    lanes, zero = lanes_of(C), np.int64(0)
    ldp, itemsize = 2 * lanes, VECTOR_BYTES // lanes
    tile = np.int64(PACKED // itemsize)
    deepest = tile // ldp
    for start in range(zero, k, deepest):
        depth = min(deepest, k - start)
        adds = accumulate if start == 0 else np.int64(1)
        for j in range(zero, n, ldp):
            width = min(ldp, n - j)
            _pack_panel(B, b0 + start * ldb + j, ldb, depth, width, zero, room, zero)
            for done in range(zero, m, ROWS):
                rows, at = min(np.int64(ROWS), m - done), c0 + j * ldc + done
                if adds:
                    for i in range(width):
                        for r in range(rows):
                            store(room, tile + r * ldp + i, load(C, at + i * ldc + r))
                _wide_rows(rows, room, tile, ldp, A, a0 + done * lda + start, lda, room, zero, depth, adds)
                if width == ldp and rows <= lanes and done + lanes <= m and not adds:
                    # whole squares: what lies beyond the block is written anew by the next one
                    for i in range(zero, ldp, lanes):
                        _transpose_square(room, tile + i, ldp, C, at + i * ldc, ldc)
                else:
                    for i in range(width):
                        for r in range(rows):
                            store(C, at + i * ldc + r, load(room, tile + r * ldp + i))


@exact_kernel
def multiply_across(C, A, B, m, k, accumulate, columns, room):
    """C[columns, :m] (+)= (A[:m, :k] B[:k, columns])^T, from column to column of B; see ``multiply``."""
    ldc, c0 = C.shape[1], columns[0]
    multiply_across_at(
        pointer(C), c0 * ldc, ldc, m, columns[1] - c0, pointer(A), np.int64(0), A.shape[1], k, pointer(B), c0,
        B.shape[1], pointer(room), accumulate,
    )  # fmt: skip


@exact_kernel
def pack(B, first, k, n, is_transposed, P, at):
    """All panels of B[:k, first : first+n], or with ``is_transposed`` of B[:n, first : first+k]^T, into P[at:].

    See ``packed_size``.
    """
    pack_at(pointer(B), first, B.shape[1], k, n, is_transposed, pointer(P), at)


@exact_kernel
def multiply(C, A, B, k, is_transposed, accumulate, rows, columns, shift, room):
    """C[rows, columns] (+)= A[rows, :k] B[:k, columns - shift]: a part of a product.

    C (m, >= n), A (m, >= k), B (k, >= n), or with ``is_transposed`` (n, >= k).  ``rows`` and ``columns``: from and to.
    ``room``: ``room_for_products``, one for each thread.
    """
    ldc, lda, ldb = C.shape[1], A.shape[1], B.shape[1]
    r0, c0 = rows[0], columns[0]
    first = (c0 - shift) * ldb if is_transposed else c0 - shift
    multiply_at(
        pointer(C), r0 * ldc + c0, ldc, rows[1] - r0, columns[1] - c0, pointer(A), r0 * lda, lda, k,
        pointer(B), first, ldb, is_transposed, pointer(room), accumulate,
    )  # fmt: skip


@exact_kernel
def transpose(X, rows, n, out):
    """out[:n, rows] = X[rows, :n] transposed; ``rows``: from and to."""
    x, y, ldx, ldy = pointer(X), pointer(out), X.shape[1], out.shape[1]
    lanes = lanes_of(X)
    columns = n // lanes * lanes
    for r in range(rows[0], rows[1], lanes):
        if r + lanes <= rows[1]:
            for c in range(0, columns, lanes):
                _transpose_square(x, r * ldx + c, ldx, y, c * ldy + r, ldy)
            for c in range(columns, n):
                for i in range(r, r + lanes):
                    store(y, c * ldy + i, load(x, i * ldx + c))
        else:
            for c in range(n):
                for i in range(r, rows[1]):
                    store(y, c * ldy + i, load(x, i * ldx + c))
