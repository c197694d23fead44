"""What intrinsics on vectors are made of, for the compiler: loads, stores and sums of LLVM vectors of one register."""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core import cgutils

from corpora.compute.machine import VECTOR_BYTES

I1, I8, I32, I64, I128 = (ir.IntType(bits) for bits in (1, 8, 32, 64, 128))


def element(array_type):
    return (ir.FloatType(), 4) if array_type.dtype == types.float32 else (ir.DoubleType(), 8)


def vector(array_type) -> tuple[ir.VectorType, int]:
    kind, size = element(array_type)
    lanes = VECTOR_BYTES // size
    return ir.VectorType(kind, lanes), lanes


def data(context, builder, array_type, value):
    if isinstance(array_type, types.CPointer):
        return value
    return context.make_array(array_type)(context, builder, value).data


def load(builder, pointer, index, vector):
    at = builder.bitcast(builder.gep(pointer, [index]), vector.as_pointer())
    return builder.load(at, align=4)


def store(builder, value, pointer, index):
    at = builder.bitcast(builder.gep(pointer, [index]), value.type.as_pointer())
    builder.store(value, at, align=4)


def fma(builder, x, y, z):
    name = f"llvm.fma.v{x.type.count}f{32 if x.type.element == ir.FloatType() else 64}"
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(x.type, [x.type] * 3), name)
    return builder.call(function, [x, y, z])


def splat(builder, scalar, vector):
    undefined = ir.Constant(vector, ir.Undefined)
    one = builder.insert_element(undefined, scalar, ir.Constant(I32, 0))
    return builder.shuffle_vector(one, undefined, ir.Constant(ir.VectorType(I32, vector.count), [0] * vector.count))


def pairwise(builder, a, b, unit: int, part: int):
    """Sums of neighbouring units of lanes within every ``part`` lanes: a's in its lower half, b's in its upper."""
    lanes = a.type.count
    masks = [], []
    for start in range(0, lanes, part):
        for vector in (0, lanes):
            for at in range(start, start + part, 2 * unit):
                for k in range(unit):
                    masks[0].append(vector + at + k)
                    masks[1].append(vector + at + unit + k)
    kind = ir.VectorType(I32, lanes)
    return builder.fadd(*(builder.shuffle_vector(a, b, ir.Constant(kind, mask)) for mask in masks))


def lane_sums(builder, vectors: list) -> list:
    """The sum of the lanes of each vector, in order: one vector with all of them, repeated, or several.

    First within 128 bits, where shuffles are cheap, then across.
    """
    lanes = vectors[0].type.count
    part = 4 if vectors[0].type.element == ir.FloatType() else 2
    unit, within = 1, part
    rest = lanes  # lanes that still belong to one sum
    while rest > 1:
        if rest * part == lanes:  # each part now holds ``part`` sums: whole parts are added
            unit, within = part, lanes
        if len(vectors) == 1:
            vectors = vectors * 2
        vectors = [pairwise(builder, *pair, unit, within) for pair in zip(vectors[::2], vectors[1::2], strict=True)]
        rest //= 2
    return vectors


def constant(n: int):
    return ir.Constant(I64, n)
