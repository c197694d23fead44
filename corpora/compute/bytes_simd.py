"""LLVM intrinsics on raw bytes and 64-bit words, for the kernels that read text.

An address is a uint64.  Nothing is bounds-checked: the caller provides 64 readable bytes beyond the
last one that counts.  Vectors of 64 bytes become two or four operations on machines without AVX-512;
nothing here is bound to one architecture, only to little-endian ones.
"""

from __future__ import annotations

from corpora.compute import plain_bytes
from corpora.compute.lazy import ir, llvm, types
from corpora.compute.plain import intrinsic


def _bytes64():
    return ir.VectorType(llvm.I8, 64)


@intrinsic(plain_bytes.load64)
def load64(typing_context, address):
    """The 8 bytes at an address, the first one lowest."""

    def code(context, builder, signature, args):
        return builder.load(builder.inttoptr(args[0], llvm.I64.as_pointer()), align=1)

    return types.uint64(types.uint64), code


@intrinsic(plain_bytes.load8)
def load8(typing_context, address):
    """The byte at an address."""

    def code(context, builder, signature, args):
        return builder.zext(builder.load(builder.inttoptr(args[0], llvm.I8.as_pointer()), align=1), llvm.I64)

    return types.uint64(types.uint64), code


@intrinsic(plain_bytes.load32)
def load32(typing_context, address):
    """The 4 bytes at an address, the first one lowest."""

    def code(context, builder, signature, args):
        return builder.zext(builder.load(builder.inttoptr(args[0], llvm.I32.as_pointer()), align=4), llvm.I64)

    return types.uint64(types.uint64), code


@intrinsic(plain_bytes.load_float32)
def load_float32(typing_context, address):
    """The float32 at an address."""

    def code(context, builder, signature, args):
        return builder.load(builder.inttoptr(args[0], ir.FloatType().as_pointer()), align=4)

    return types.float32(types.uint64), code


def _below(rows: int):
    """An intrinsic: of ``rows`` rows in 64 bytes, a bit for each whose first 4 bytes are below a limit."""

    @intrinsic(plain_bytes.below(rows))
    def below(typing_context, address, limit):
        def code(context, builder, signature, args):
            vector = ir.VectorType(llvm.I32, rows)
            line_type = ir.VectorType(llvm.I32, 16)
            line = builder.load(builder.inttoptr(args[0], line_type.as_pointer()), align=4)
            first = ir.Constant(vector, [16 // rows * k for k in range(rows)])
            words = builder.shuffle_vector(line, ir.Constant(line_type, ir.Undefined), first)
            undefined = ir.Constant(vector, ir.Undefined)
            one = builder.insert_element(undefined, builder.trunc(args[1], llvm.I32), ir.Constant(llvm.I32, 0))
            limits = builder.shuffle_vector(one, undefined, ir.Constant(vector, [0] * rows))
            bits = builder.icmp_unsigned("<", words, limits)
            return builder.zext(builder.bitcast(bits, ir.IntType(rows)), llvm.I64)

        return types.uint64(types.uint64, types.uint64), code

    return below


below_of_4 = _below(4)
"""(address, limit): of 4 rows of 16 bytes from an address on, a bit for each whose first 4 bytes are below a limit."""

below_of_8 = _below(8)
"""The same of 8 rows of 8 bytes."""


@intrinsic(plain_bytes.store64)
def store64(typing_context, address, x):
    """Write 8 bytes to an address, the lowest first."""

    def code(context, builder, signature, args):
        builder.store(args[1], builder.inttoptr(args[0], llvm.I64.as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(types.uint64, types.uint64), code


@intrinsic(plain_bytes.store8)
def store8(typing_context, address, x):
    """Write the lowest byte of a number to an address."""

    def code(context, builder, signature, args):
        builder.store(builder.trunc(args[1], llvm.I8), builder.inttoptr(args[0], llvm.I8.as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(types.uint64, types.uint64), code


@intrinsic(plain_bytes.separator_mask)
def separator_mask(typing_context, address):
    """One bit for each of 64 bytes: whether it is a space, a tab or a newline; that of the first byte is the lowest."""

    def code(context, builder, signature, args):
        text = builder.load(builder.inttoptr(args[0], _bytes64().as_pointer()), align=1)
        is_space, is_tab, is_newline = (
            builder.icmp_unsigned("==", text, ir.Constant(_bytes64(), [byte] * 64)) for byte in b" \t\n"
        )
        return builder.bitcast(builder.or_(is_space, builder.or_(is_tab, is_newline)), llvm.I64)

    return types.uint64(types.uint64), code


@intrinsic(plain_bytes.trailing_zeros)
def trailing_zeros(typing_context, x):
    """The index of the lowest bit that is set; 64 for zero."""

    def code(context, builder, signature, args):
        return builder.cttz(args[0], ir.Constant(llvm.I1, 0))

    return types.uint64(types.uint64), code


@intrinsic(plain_bytes.leading_zeros)
def leading_zeros(typing_context, x):
    """The number of bits above the highest one that is set; 64 for zero."""

    def code(context, builder, signature, args):
        return builder.ctlz(args[0], ir.Constant(llvm.I1, 0))

    return types.uint64(types.uint64), code


@intrinsic(plain_bytes.bit_count)
def bit_count(typing_context, x):
    """How many bits are set."""

    def code(context, builder, signature, args):
        return builder.ctpop(args[0])

    return types.uint64(types.uint64), code


@intrinsic(plain_bytes.multiply_mix)
def multiply_mix(typing_context, x, y):
    """The two halves of the 128-bit product, xored: one multiplication that every bit goes into (wyhash's fold)."""

    def code(context, builder, signature, args):
        product = builder.mul(builder.zext(args[0], llvm.I128), builder.zext(args[1], llvm.I128))
        high = builder.lshr(product, ir.Constant(llvm.I128, 64))
        return builder.xor(builder.trunc(product, llvm.I64), builder.trunc(high, llvm.I64))

    return types.uint64(types.uint64, types.uint64), code


@intrinsic(plain_bytes.prefetch)
def prefetch(typing_context, address):
    """Ask for the cache line of an address, to be read soon."""

    def code(context, builder, signature, args):
        pointer = builder.inttoptr(args[0], llvm.I8.as_pointer())
        name = "llvm.prefetch.p0"
        function = builder.module.globals.get(name) or ir.Function(
            builder.module,
            ir.FunctionType(ir.VoidType(), [llvm.I8.as_pointer(), llvm.I32, llvm.I32, llvm.I32]),
            name,
        )
        read, keep_in_all_caches, data = (ir.Constant(llvm.I32, value) for value in (0, 3, 1))
        builder.call(function, [pointer, read, keep_in_all_caches, data])
        return context.get_dummy_value()

    return types.void(types.uint64), code
