"""Elements and rows of arrays by position, and arrays that vector instructions can take whole.

Inner kernels are given bare pointers (``pointer(array)``), because Numba counts references to arrays, with an atomic
instruction each time one is named.  Whoever makes a pointer keeps its array alive.

Rows are ``padded(n)`` long: a multiple of PAD elements, zero beyond the first n.
"""

from __future__ import annotations

import numpy as np

from corpora.compute import plain_simd
from corpora.compute.jit import kernel
from corpora.compute.lazy import cgutils, ir, llvm, types
from corpora.compute.machine import VECTOR_BYTES
from corpora.compute.plain import intrinsic

PAD = VECTOR_BYTES // 4  # elements: one register of float32, two of float64


def padded(n: int) -> int:
    """The length of a row of n elements in memory."""
    return (n + PAD - 1) // PAD * PAD


def aligned_zeros(shape: tuple[int, ...], dtype) -> np.ndarray:
    """Zeros that begin at a multiple of 64 bytes: a cache line, and the widest vector."""
    dtype = np.dtype(dtype)
    size = int(np.prod(shape)) * dtype.itemsize
    raw = np.zeros(size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size].view(dtype).reshape(shape)


def padded_matrix(values: np.ndarray, dtype=None) -> np.ndarray:
    """A copy of ``values`` (n, m) as (padded(n) + PAD, padded(m)), zero outside."""
    n, m = values.shape
    out = aligned_zeros((padded(n) + PAD, padded(m)), dtype or values.dtype)
    out[:n, :m] = values
    return out


@intrinsic(plain_simd.pointer)
def pointer(typing_context, a):
    """The address of an array's first element, typed."""

    def code(context, builder, signature, args):
        return llvm.data(context, builder, signature.args[0], args[0])

    return types.CPointer(a.dtype)(a), code


@intrinsic(plain_simd.scalar)
def scalar(typing_context, a, value):
    """``value`` as an element of ``a``: constants written with it keep float32 sums float32."""

    def code(context, builder, signature, args):
        return context.cast(builder, args[1], signature.args[1], signature.return_type)

    return a.dtype(a, value), code


@intrinsic(plain_simd.load)
def load(typing_context, a, i):
    """``a.flat[i]`` without wrap-around."""

    def code(context, builder, signature, args):
        return builder.load(builder.gep(llvm.data(context, builder, signature.args[0], args[0]), [args[1]]))

    return a.dtype(a, types.int64), code


@intrinsic(plain_simd.store)
def store(typing_context, a, i, value):
    """``a.flat[i] = value`` without wrap-around."""

    def code(context, builder, signature, args):
        builder.store(args[2], builder.gep(llvm.data(context, builder, signature.args[0], args[0]), [args[1]]))
        return context.get_dummy_value()

    return types.void(a, types.int64, a.dtype), code


@intrinsic(plain_simd.prefetch_at)
def prefetch_at(typing_context, a, i):
    def code(context, builder, signature, args):
        byte = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [byte, llvm.I32, llvm.I32, llvm.I32])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        at = builder.gep(llvm.data(context, builder, signature.args[0], args[0]), [args[1]])
        builder.call(function, [builder.bitcast(at, byte), *(ir.Constant(llvm.I32, k) for k in (0, 3, 1))])
        return context.get_dummy_value()

    return types.void(a, types.int64), code


@kernel
def prefetch_row(M, row, width):
    """Ask for a row of M, ``width`` elements, before it is used."""
    line = 16  # elements of float32 in a cache line; of float64, the neighbouring line comes along
    for i in range(row * width, (row + 1) * width, line):
        prefetch_at(M, i)


@intrinsic(plain_simd.lanes_of)
def lanes_of(typing_context, a):
    """Elements in a vector of this array's type: a constant."""

    def code(context, builder, signature, args):
        return llvm.constant(llvm.vector(signature.args[0])[1])

    return types.int64(a), code


@intrinsic(plain_simd.largest)
def _largest_of_vectors(typing_context, a, i, n):
    """The largest of a[i : i+n], flat; n a multiple of ``lanes_of`` and above 0."""

    def code(context, builder, signature, args):
        vector, lanes = llvm.vector(signature.args[0])
        data, first, n = llvm.data(context, builder, signature.args[0], args[0]), args[1], args[2]
        top = cgutils.alloca_once(builder, vector)
        builder.store(llvm.load(builder, data, first, vector), top)
        whole = builder.sdiv(n, llvm.constant(lanes))
        with cgutils.for_range(builder, whole, intp=llvm.I64) as loop:
            at = builder.add(first, builder.mul(loop.index, llvm.constant(lanes)))
            found, best = llvm.load(builder, data, at, vector), builder.load(top)
            builder.store(builder.select(builder.fcmp_ordered(">", found, best), found, best), top)
        best = builder.load(top)
        while lanes > 1:  # the upper half against the lower
            lanes //= 2
            halves = [
                builder.shuffle_vector(
                    best, best, ir.Constant(ir.VectorType(llvm.I32, lanes), list(range(k, k + lanes)))
                )
                for k in (0, lanes)
            ]
            best = builder.select(builder.fcmp_ordered(">", *halves), *halves)
        return builder.extract_element(best, ir.Constant(llvm.I32, 0))

    return a.dtype(a, types.int64, types.int64), code


@kernel
def largest(a, i, n):
    """The largest of a[i : i+n], flat, n above 0.  LLVM leaves a loop with ``max`` scalar."""
    whole = n // lanes_of(a) * lanes_of(a)
    top = load(a, i)
    if whole > 0:
        top = _largest_of_vectors(a, i, whole)
    for k in range(i + whole, i + n):
        top = max(top, load(a, k))
    return top
