"""Products and sums of rows that lie anywhere in a matrix, on LLVM vectors held in registers.

Matrices and lists are given as bare pointers (``simd.pointer``), float32 or float64; a list of rows is one of positions
in elements, int64.  Rows are ``width`` elements long, a multiple of ``simd.PAD``, zero beyond their end.
"""

from __future__ import annotations

import numpy as np

from corpora.compute.jit import kernel
from corpora.compute.lazy import cgutils, ir, llvm, types
from corpora.compute.plain import intrinsic
from corpora.compute.simd import lanes_of, scalar
from w2v import plain_rows

_LINE = 16  # float32 in a line of the cache; of float64, the next line comes along
_FIRST_LEVEL = 5 << 10  # elements that stay in the first cache level beside others
TILE = 4  # lists of rows to multiply with have a multiple of this length


def _dots(n_x: int, n_z: int, adds: bool):
    """out[o0 + i*o_next + k] = x[x_rows[x0 + i]:] . z[z_rows[z0 + k]:] for i < n_x, k < n_z: 12 products at most.

    Only ``n_vectors`` vectors of columns, from ``column`` on.  ``adds``: += instead of =.
    """

    @intrinsic(plain_rows.dots(n_x, n_z, adds))
    def tile(typing_context, x, x_rows, x0, z, z_rows, z0, column, n_vectors, out, o0, o_next):
        def code(context, builder, signature, args):
            vector, lanes = llvm.vector(signature.args[0])
            x, x_rows, x0, z, z_rows, z0, column, n_vectors, out, o0, o_next = args
            x_at, z_at = (
                [builder.load(builder.gep(rows, [builder.add(first, llvm.constant(k))])) for k in range(n)]
                for rows, first, n in ((x_rows, x0, n_x), (z_rows, z0, n_z))
            )
            sums = [cgutils.alloca_once(builder, vector) for _ in range(n_x * n_z)]
            for total in sums:
                builder.store(ir.Constant(vector, [0.0] * lanes), total)
            with cgutils.for_range(builder, n_vectors, intp=llvm.I64) as loop:
                at = builder.add(column, builder.mul(loop.index, llvm.constant(lanes)))
                parts = [llvm.load(builder, x, builder.add(row, at), vector) for row in x_at]
                for k, row in enumerate(z_at):
                    other = llvm.load(builder, z, builder.add(row, at), vector)
                    for i, part in enumerate(parts):
                        total = sums[i * n_z + k]
                        builder.store(llvm.fma(builder, part, other, builder.load(total)), total)
            # the sums of a power of two of vectors at a time
            group = n_z if n_x == 3 else n_x * n_z
            results = [
                llvm.lane_sums(builder, [builder.load(total) for total in sums[first : first + group]])
                for first in range(0, n_x * n_z, group)
            ]
            for i in range(n_x):
                place = builder.add(o0, builder.mul(o_next, llvm.constant(i)))
                for k in range(0, n_z, TILE):
                    number, at = divmod(i * n_z + k, group)
                    mask = ir.Constant(ir.VectorType(llvm.I32, TILE), [at % lanes + j for j in range(TILE)])
                    value = builder.shuffle_vector(results[number][at // lanes], results[number][at // lanes], mask)
                    where = builder.add(place, llvm.constant(k))
                    if adds:
                        value = builder.fadd(value, llvm.load(builder, out, where, value.type))
                    llvm.store(builder, value, out, where)
            return context.get_dummy_value()

        i = types.int64
        return types.void(x, x_rows, i, z, z_rows, i, i, i, out, i, i), code

    return tile


# 12 sums, 3 parts of x and one of z are what 16 registers can hold
_SHAPES = (1, 4), (1, 8), (2, 4), (3, 4)
_dots_1x4, _dots_1x8, _dots_2x4, _dots_3x4 = (_dots(*shape, adds=False) for shape in _SHAPES)
_more_dots_1x4, _more_dots_1x8, _more_dots_2x4, _more_dots_3x4 = (_dots(*shape, adds=True) for shape in _SHAPES)


@kernel
def products(x, x_rows, x0, n_x, z, z_rows, z0, n_z, width, out, o0, o_next):
    """out[o0 + i*o_next + k] = x[x_rows[x0 + i]:] . z[z_rows[z0 + k]:] for i < n_x, k < n_z.

    n_z is a multiple of TILE; o_next is not below it.  A few columns at a time, so that the rows of z stay in the
    first cache level from one x to the next.
    """
    lanes = lanes_of(out)
    left, column = width // lanes, np.int64(0)
    most = left
    if n_x > 2 and n_z * width > _FIRST_LEVEL:
        n_parts = (n_z * width + _FIRST_LEVEL - 1) // _FIRST_LEVEL
        most = (left + n_parts - 1) // n_parts
    while left > 0:
        size = min(left, most)
        i = np.int64(0)
        while i + 2 < n_x:
            at = o0 + i * o_next
            if column == 0:
                for k in range(0, n_z, TILE):
                    _dots_3x4(x, x_rows, x0 + i, z, z_rows, z0 + k, column, size, out, at + k, o_next)
            else:
                for k in range(0, n_z, TILE):
                    _more_dots_3x4(x, x_rows, x0 + i, z, z_rows, z0 + k, column, size, out, at + k, o_next)
            i += 3
        if i + 1 < n_x:
            at = o0 + i * o_next
            if column == 0:
                for k in range(0, n_z, TILE):
                    _dots_2x4(x, x_rows, x0 + i, z, z_rows, z0 + k, column, size, out, at + k, o_next)
            else:
                for k in range(0, n_z, TILE):
                    _more_dots_2x4(x, x_rows, x0 + i, z, z_rows, z0 + k, column, size, out, at + k, o_next)
            i += 2
        if i < n_x:
            at = o0 + i * o_next
            k = np.int64(0)
            while k + 8 <= n_z:
                if column == 0:
                    _dots_1x8(x, x_rows, x0 + i, z, z_rows, z0 + k, column, size, out, at + k, o_next)
                else:
                    _more_dots_1x8(x, x_rows, x0 + i, z, z_rows, z0 + k, column, size, out, at + k, o_next)
                k += 8
            if k < n_z:
                if column == 0:
                    _dots_1x4(x, x_rows, x0 + i, z, z_rows, z0 + k, column, size, out, at + k, o_next)
                else:
                    _more_dots_1x4(x, x_rows, x0 + i, z, z_rows, z0 + k, column, size, out, at + k, o_next)
        column += size * lanes
        left -= size


@intrinsic(plain_rows.dots_of_pairs(TILE))
def _dots_of_pairs(typing_context, x, x_rows, x0, z, z_rows, z0, width, out, o0):
    def code(context, builder, signature, args):
        vector, lanes = llvm.vector(signature.args[0])
        x, x_rows, x0, z, z_rows, z0, width, out, o0 = args
        x_at, z_at = (
            [builder.load(builder.gep(rows, [builder.add(first, llvm.constant(k))])) for k in range(TILE)]
            for rows, first in ((x_rows, x0), (z_rows, z0))
        )
        sums = [cgutils.alloca_once(builder, vector) for _ in range(TILE)]
        for total in sums:
            builder.store(ir.Constant(vector, [0.0] * lanes), total)
        with cgutils.for_range(builder, builder.sdiv(width, llvm.constant(lanes)), intp=llvm.I64) as loop:
            at = builder.mul(loop.index, llvm.constant(lanes))
            for x_row, z_row, total in zip(x_at, z_at, sums, strict=True):
                parts = (llvm.load(builder, m, builder.add(row, at), vector) for m, row in ((x, x_row), (z, z_row)))
                builder.store(llvm.fma(builder, *parts, builder.load(total)), total)
        (result,) = llvm.lane_sums(builder, [builder.load(total) for total in sums])
        mask = ir.Constant(ir.VectorType(llvm.I32, TILE), list(range(TILE)))
        llvm.store(builder, builder.shuffle_vector(result, result, mask), out, o0)
        return context.get_dummy_value()

    i = types.int64
    return types.void(x, x_rows, i, z, z_rows, i, i, out, i), code


@kernel
def paired_products(x, x_rows, x0, z, z_rows, z0, n, width, out, o0):
    """out[o0 + i] = x[x_rows[x0 + i]:] . z[z_rows[z0 + i]:] for i < n; of lists and out, TILE - 1 more are touched."""
    for i in range(0, n, TILE):
        _dots_of_pairs(x, x_rows, x0 + i, z, z_rows, z0 + i, width, out, o0 + i)


# 13 sums, a factor and a part of a row are what 16 registers can hold
def _sum_block(n_vectors: int):
    """y[y0:] = base[b0:] + sum_{t<n} c[c0 + t*step] * m[rows[r0 + t] + column:], ``n_vectors`` vectors wide."""
    chains = 2 if n_vectors < 6 else 1  # enough fused multiply-adds in flight to hide their latency

    @intrinsic(plain_rows.sum_block(n_vectors))
    def block(typing_context, y, y0, base, b0, c, c0, step, m, rows, r0, n, column):
        def code(context, builder, signature, args):
            vector, lanes = llvm.vector(signature.args[0])
            y, y0, base, b0, c, c0, step, m, rows, r0, n, column = args
            offsets = [llvm.constant(k * lanes) for k in range(n_vectors)]
            places = [builder.add(y0, offset) for offset in offsets]
            sums = [[cgutils.alloca_once(builder, vector) for _ in places] for _ in range(chains)]
            for offset, *totals in zip(offsets, *sums, strict=True):
                builder.store(llvm.load(builder, base, builder.add(b0, offset), vector), totals[0])
                for total in totals[1:]:
                    builder.store(ir.Constant(vector, [0.0] * lanes), total)

            def add(t, totals):
                at = builder.add(c0, builder.mul(t, step))
                factor = llvm.splat(builder, builder.load(builder.gep(c, [at])), vector)
                row = builder.add(builder.load(builder.gep(rows, [builder.add(r0, t)])), column)
                for k, total in enumerate(totals):
                    part = llvm.load(builder, m, builder.add(row, llvm.constant(k * lanes)), vector)
                    builder.store(llvm.fma(builder, factor, part, builder.load(total)), total)

            whole = builder.sdiv(n, llvm.constant(chains))
            with cgutils.for_range(builder, whole, intp=llvm.I64) as loop:
                for number, totals in enumerate(sums):
                    t = builder.add(builder.mul(loop.index, llvm.constant(chains)), llvm.constant(number))
                    add(t, totals)
            if chains > 1:
                done = builder.mul(whole, llvm.constant(chains))
                with cgutils.for_range(builder, builder.sub(n, done), intp=llvm.I64) as loop:
                    add(builder.add(done, loop.index), sums[0])
            for place, first, *others in zip(places, *sums, strict=True):
                total = builder.load(first)
                for other in others:
                    total = builder.fadd(total, builder.load(other))
                llvm.store(builder, total, y, place)
            return context.get_dummy_value()

        i = types.int64
        return types.void(y, i, base, i, c, i, i, m, rows, i, i, i), code

    return block


_1, _2, _3, _4, _5, _6, _7, _8, _9, _10, _11, _12, _13 = (_sum_block(k) for k in range(1, 14))


@kernel
def part_of(left):
    """How many of the ``left`` vectors of a row ``add_part`` takes next; the last two parts are about the same size."""
    return left if left <= 13 else (left + 1) >> 1 if left <= 26 else np.int64(13)


@kernel
def sum_part(y, y0, base, b0, c, c0, step, m, rows, r0, n, column, size):
    """y[y0 + column:] = base[b0 + column:] + sum_{t<n} c[c0 + t*step] * m[rows[r0 + t] + column:].

    1 to 13 vectors, ``size``, wide.
    """
    at, b0 = y0 + column, b0 + column
    if size > 10:
        if size == 13:
            _13(y, at, base, b0, c, c0, step, m, rows, r0, n, column)
        elif size == 12:
            _12(y, at, base, b0, c, c0, step, m, rows, r0, n, column)
        else:
            _11(y, at, base, b0, c, c0, step, m, rows, r0, n, column)
    elif size > 7:
        if size == 10:
            _10(y, at, base, b0, c, c0, step, m, rows, r0, n, column)
        elif size == 9:
            _9(y, at, base, b0, c, c0, step, m, rows, r0, n, column)
        else:
            _8(y, at, base, b0, c, c0, step, m, rows, r0, n, column)
    elif size > 4:
        if size == 7:
            _7(y, at, base, b0, c, c0, step, m, rows, r0, n, column)
        elif size == 6:
            _6(y, at, base, b0, c, c0, step, m, rows, r0, n, column)
        else:
            _5(y, at, base, b0, c, c0, step, m, rows, r0, n, column)
    elif size == 4:
        _4(y, at, base, b0, c, c0, step, m, rows, r0, n, column)
    elif size == 3:
        _3(y, at, base, b0, c, c0, step, m, rows, r0, n, column)
    elif size == 2:
        _2(y, at, base, b0, c, c0, step, m, rows, r0, n, column)
    else:
        _1(y, at, base, b0, c, c0, step, m, rows, r0, n, column)


@kernel
def add_part(y, y0, c, c0, step, m, rows, r0, n, column, size):
    """As ``sum_part``, added to what is in y."""
    sum_part(y, y0, y, y0, c, c0, step, m, rows, r0, n, column, size)


WIDE = 13  # vectors: of longer rows two are summed at once, ``TWO`` vectors at a time
TWO = 6  # two rows of 6 sums, two factors and a part of a row are what 16 registers can hold


@intrinsic(plain_rows.two_sums(TWO))
def _two_sums(typing_context, y, y0, y1, base, b0, b1, f0, f1, c, c0, c1, step, m, rows, r0, n, column):
    def code(context, builder, signature, args):
        vector, lanes = llvm.vector(signature.args[0])
        y, y0, y1, base, b0, b1, f0, f1, c, c0, c1, step, m, rows, r0, n, column = args
        offsets = [llvm.constant(k * lanes) for k in range(TWO)]
        sums = [[cgutils.alloca_once(builder, vector) for _ in offsets] for _ in range(2)]
        for start, factor, totals in zip((b0, b1), (f0, f1), sums, strict=True):
            factor, start = llvm.splat(builder, factor, vector), builder.add(start, column)
            for k, total in zip(offsets, totals, strict=True):
                part = llvm.load(builder, base, builder.add(start, k), vector)
                builder.store(builder.fmul(factor, part), total)
        with cgutils.for_range(builder, n, intp=llvm.I64) as loop:
            place = builder.mul(loop.index, step)
            factors = [
                llvm.splat(builder, builder.load(builder.gep(c, [builder.add(first, place)])), vector)
                for first in (c0, c1)
            ]
            row = builder.add(builder.load(builder.gep(rows, [builder.add(r0, loop.index)])), column)
            for number, k in enumerate(offsets):
                part = llvm.load(builder, m, builder.add(row, k), vector)
                for factor, totals in zip(factors, sums, strict=True):
                    total = totals[number]
                    builder.store(llvm.fma(builder, factor, part, builder.load(total)), total)
        for start, totals in zip((y0, y1), sums, strict=True):
            start = builder.add(start, column)
            for k, total in zip(offsets, totals, strict=True):
                llvm.store(builder, builder.load(total), y, builder.add(start, k))
        return context.get_dummy_value()

    i, real = types.int64, y.dtype
    return types.void(y, i, i, base, i, i, real, real, c, i, i, i, m, rows, i, i, i), code


@kernel
def two_sums(y, y0, y1, base, b0, b1, f0, f1, c, c0, c1, step, m, rows, r0, n, column):
    """Two sums of the same rows, which are read once; ``TWO`` vectors of each, from ``column`` on.

    y[y0:] = f0 * base[b0:] + sum_{t<n} c[c0 + t*step] * m[rows[r0 + t]:], and the same with y1, b1, f1 and c1.
    """
    _two_sums(y, y0, y1, base, b0, b1, f0, f1, c, c0, c1, step, m, rows, r0, n, column)


@kernel
def add_to_two(y, y0, y1, c, c0, c1, step, m, rows, r0, n, column):
    """As ``two_sums``, added to what is in y; y1 may be y0."""
    if y0 == y1:
        add_part(y, y0, c, c0, step, m, rows, r0, n, column, TWO)
        add_part(y, y1, c, c1, step, m, rows, r0, n, column, TWO)
    else:
        one = scalar(y, 1.0)
        two_sums(y, y0, y1, y, y0, y1, one, one, c, c0, c1, step, m, rows, r0, n, column)


@kernel
def sum_rows(y, y0, base, b0, c, c0, step, m, rows, r0, n, width):
    """y[y0 : +width] = base[b0 : +width] + sum_{t<n} c[c0 + t*step] * m[rows[r0 + t] : +width].

    Whoever makes many sums of the same few rows calls ``sum_part`` for all of them, part by part: it stays in
    the first cache level.
    """
    lanes = lanes_of(y)
    left = width // lanes
    column = np.int64(0)
    while left > 0:
        size = part_of(left)
        sum_part(y, y0, base, b0, c, c0, step, m, rows, r0, n, column, size)
        column += size * lanes
        left -= size


@kernel
def add_rows(y, y0, c, c0, step, m, rows, r0, n, width):
    """y[y0 : +width] += sum_{t<n} c[c0 + t*step] * m[rows[r0 + t] : +width]."""
    if n > 0:
        sum_rows(y, y0, y, y0, c, c0, step, m, rows, r0, n, width)


# as many sums as parts of x, a factor and a part of a row
def _exchange_block(n_vectors: int):
    """y[y0 + column:] += sum_{t<n} c[c0 + t] * row t, and row t += c[c0 + t] * x[x0 + column:], with the old rows."""

    @intrinsic(plain_rows.exchange_block(n_vectors))
    def block(typing_context, y, y0, x, x0, c, c0, m, rows, r0, n, column):
        def code(context, builder, signature, args):
            vector, lanes = llvm.vector(signature.args[0])
            y, y0, x, x0, c, c0, m, rows, r0, n, column = args
            at = [builder.add(column, llvm.constant(k * lanes)) for k in range(n_vectors)]
            xs = [llvm.load(builder, x, builder.add(x0, k), vector) for k in at]
            sums = [cgutils.alloca_once(builder, vector) for _ in at]
            for k, total in zip(at, sums, strict=True):
                builder.store(llvm.load(builder, y, builder.add(y0, k), vector), total)
            with cgutils.for_range(builder, n, intp=llvm.I64) as loop:
                factor = builder.load(builder.gep(c, [builder.add(c0, loop.index)]))
                factor = llvm.splat(builder, factor, vector)
                row = builder.load(builder.gep(rows, [builder.add(r0, loop.index)]))
                for k, part, total in zip(at, xs, sums, strict=True):
                    place = builder.add(row, k)
                    old = llvm.load(builder, m, place, vector)
                    builder.store(llvm.fma(builder, factor, old, builder.load(total)), total)
                    llvm.store(builder, llvm.fma(builder, factor, part, old), m, place)
            for k, total in zip(at, sums, strict=True):
                llvm.store(builder, builder.load(total), y, builder.add(y0, k))
            return context.get_dummy_value()

        i = types.int64
        return types.void(y, i, x, i, c, i, m, rows, i, i, i), code

    return block


_exchange_1, _exchange_2, _exchange_3, _exchange_4, _exchange_5 = (_exchange_block(k) for k in range(1, 6))


@kernel
def exchange_rows(y, y0, x, x0, c, c0, m, rows, r0, n, width):
    """y[y0 : +width] += sum_{t<n} c[c0 + t] * row t, and row t += c[c0 + t] * x[x0 : +width], with the old rows.

    Row t is m[rows[r0 + t] : +width]; no two of them are the same.
    """
    lanes = lanes_of(y)
    left = width // lanes
    column = np.int64(0)
    while left > 0:
        size = left if left <= 5 else np.int64(5) if left > 9 or left == 5 else (left + 1) >> 1
        if size == 5:
            _exchange_5(y, y0, x, x0, c, c0, m, rows, r0, n, column)
        elif size == 4:
            _exchange_4(y, y0, x, x0, c, c0, m, rows, r0, n, column)
        elif size == 3:
            _exchange_3(y, y0, x, x0, c, c0, m, rows, r0, n, column)
        elif size == 2:
            _exchange_2(y, y0, x, x0, c, c0, m, rows, r0, n, column)
        else:
            _exchange_1(y, y0, x, x0, c, c0, m, rows, r0, n, column)
        column += size * lanes
        left -= size


@intrinsic(plain_rows.clear_vector)
def _clear_vector(typing_context, y, y0):
    def code(context, builder, signature, args):
        vector, lanes = llvm.vector(signature.args[0])
        llvm.store(builder, ir.Constant(vector, [0.0] * lanes), args[0], args[1])
        return context.get_dummy_value()

    return types.void(y, types.int64), code


@intrinsic(plain_rows.add_vector)
def _add_vector(typing_context, y, y0, x, x0):
    def code(context, builder, signature, args):
        vector, _ = llvm.vector(signature.args[0])
        y, y0, x, x0 = args
        total = builder.fadd(llvm.load(builder, y, y0, vector), llvm.load(builder, x, x0, vector))
        llvm.store(builder, total, y, y0)
        return context.get_dummy_value()

    return types.void(y, types.int64, x, types.int64), code


@intrinsic(plain_rows.prefetch)
def _prefetch(typing_context, m, place):
    def code(context, builder, signature, args):
        byte = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [byte, llvm.I32, llvm.I32, llvm.I32])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        address = builder.bitcast(builder.gep(args[0], [args[1]]), byte)
        # to be read; into the second cache level, as the first is full of the rows at hand; data
        builder.call(function, [address, *(ir.Constant(llvm.I32, k) for k in (0, 2, 1))])
        return context.get_dummy_value()

    return types.void(m, types.int64), code


@intrinsic(plain_rows.scale_tile(TILE))
def _scale_tile(typing_context, y, y0, a, b, k):
    def code(context, builder, signature, args):
        vector = ir.VectorType(llvm.element(signature.args[0])[0], TILE)
        y, y0, a, b, k = args
        at = builder.add(y0, k)
        scaled = llvm.fma(builder, llvm.load(builder, y, at, vector), llvm.load(builder, a, k, vector),
                          llvm.load(builder, b, k, vector))  # fmt: skip
        llvm.store(builder, scaled, y, at)
        return context.get_dummy_value()

    return types.void(y, types.int64, a, b, types.int64), code


@kernel
def scale(y, y0, a, b, n):
    """y[y0 + k] = a[k] * y[y0 + k] + b[k] for k < n, a multiple of TILE."""
    for k in range(0, n, TILE):
        _scale_tile(y, y0, a, b, k)


@kernel
def ask_for_row(m, m0, width):
    """m[m0 : +width] will be used before long."""
    for i in range(m0, m0 + width, _LINE):
        _prefetch(m, i)


@kernel
def clear_row(y, y0, width):
    """y[y0 : +width] = 0."""
    for i in range(0, width, lanes_of(y)):
        _clear_vector(y, y0 + i)


@kernel
def add_row(y, y0, x, x0, width):
    """y[y0 : +width] += x[x0 : +width]."""
    for i in range(0, width, lanes_of(y)):
        _add_vector(y, y0 + i, x, x0 + i)
