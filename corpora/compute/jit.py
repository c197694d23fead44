"""How everything is compiled: decorator presets, and the functions that Numba's libm calls would make slow.

``fastmath=True`` would make ``isnan`` and ``isinf`` constant false, so a named subset is used.
Nothing is bounds-checked unless the environment says NUMBA_BOUNDSCHECK=1, as the tests do for small cases.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from corpora.compute.kernels import Kernel
from corpora.compute.lazy import ir, types
from corpora.compute.plain import DISABLED, intrinsic, plain_kernel

FASTMATH = frozenset({"reassoc", "contract", "arcp", "nsz", "afn"})


def _compiled(fastmath=frozenset(), is_optimised_alone=False):
    """The decorator for one set of flags.  With NUMBA_DISABLE_JIT=1 kernels run as plain Python."""
    return plain_kernel if DISABLED else partial(Kernel, fastmath=fastmath, is_optimised_alone=is_optimised_alone)


kernel = _compiled(FASTMATH, is_optimised_alone=True)
"""A compiled function of arrays and scalars that reads and writes only its arguments."""

stage = _compiled(FASTMATH)
"""As ``kernel``, of a part of a larger kernel: optimised with it only, which saves half the time to compile both."""

exact_kernel = _compiled()
"""As ``kernel`` for integers and for sums whose order matters: no fast-math flag."""


def _round_to_int(bits: int):
    """Intrinsics of one float width: round to nearest, and 2**n for an integral n in range."""
    mantissa, bias = (23, 127) if bits == 32 else (52, 1023)

    def real():
        return ir.FloatType() if bits == 32 else ir.DoubleType()

    def kind():
        return types.float32 if bits == 32 else types.float64

    @intrinsic(np.rint)
    def rint(typing_context, x):
        def code(context, builder, signature, args):
            return builder.call(builder.module.declare_intrinsic("llvm.rint", [real()]), [args[0]])

        return kind()(kind()), code

    @intrinsic(np.exp2)
    def pow2(typing_context, n):
        def code(context, builder, signature, args):
            integer = ir.IntType(bits)
            # added to 1.5 * 2**mantissa, n is in the lowest bits; AVX2 cannot convert vectors of float64 to integers
            shifted = builder.fadd(args[0], ir.Constant(real(), 1.5 * 2.0**mantissa))
            biased = builder.add(builder.bitcast(shifted, integer), ir.Constant(integer, bias))
            return builder.bitcast(builder.shl(biased, ir.Constant(integer, mantissa)), real())

        return kind()(kind()), code

    return rint, pow2


_rint32, _pow2_32 = _round_to_int(32)
_rint64, _pow2_64 = _round_to_int(64)
_f = np.float32
# no "reassoc" here: it would join the parts of log 2 and lose the last digits
_contracted = _compiled(frozenset({"contract"}), is_optimised_alone=True)


@_contracted
def _exp32(x):
    # Cephes expf: n = rint(x log2 e), r = x - n log 2 in two parts, a polynomial of degree 7
    y = min(max(x, _f(-87.0)), _f(88.0))
    n = _rint32(y * _f(1.4426950408889634))
    r = y - n * _f(0.693359375)
    r = r - n * _f(-2.12194440e-4)
    p = _f(1.9875691500e-4) * r + _f(1.3981999507e-3)
    p = p * r + _f(8.3334519073e-3)
    p = p * r + _f(4.1665795894e-2)
    p = p * r + _f(1.6666665459e-1)
    p = p * r + _f(5.0000001201e-1)
    p = p * (r * r) + r + _f(1.0)
    return p * _pow2_32(n)


@_contracted
def _exp64(x):
    # Taylor to degree 13 on |r| <= log(2)/2: the truncation error is 4e-18
    y = min(max(x, -700.0), 700.0)
    n = _rint64(y * 1.4426950408889634)
    r = y - n * 0.693145751953125
    r = r - n * 1.42860682030941723212e-6
    p = 1.6059043836821613e-10 * r + 2.08767569878681e-09
    p = p * r + 2.505210838544172e-08
    p = p * r + 2.755731922398589e-07
    p = p * r + 2.7557319223985893e-06
    p = p * r + 2.48015873015873e-05
    p = p * r + 1.984126984126984e-04
    p = p * r + 1.388888888888889e-03
    p = p * r + 8.333333333333333e-03
    p = p * r + 4.1666666666666664e-02
    p = p * r + 1.6666666666666666e-01
    p = p * r + 0.5
    p = p * (r * r) + r + 1.0
    return p * _pow2_64(n)


def exp(x):
    """e**x by range reduction and a polynomial, so that loops over it become vector instructions.

    Error against the exact value: below 2e-7 relative in float32, 4e-16 in float64 (both tested).
    Arguments are clamped to -87..88 (float32) or +-700 (float64); NaN stays NaN.  In kernels ``compiler`` replaces it.
    """
    if DISABLED and isinstance(x, np.floating):
        return _exp32(x) if isinstance(x, np.float32) else _exp64(x)
    return np.exp(x)


@_contracted
def log10(x):
    """log10 of a positive, normal float64, in vector instructions where a loop is over it.

    Error: below 1e-10 (tested).  x = 2^e m with m between sqrt(1/2) and sqrt(2), log m = 2 artanh((m - 1) / (m + 1)).
    """
    bits = np.float64(x).view(np.uint64)
    # e + 1024, so that nothing is signed; AVX2 has neither signed shifts nor conversions of 64 bits
    biased = (bits + np.uint64((1024 << 52) - 0x3FE6A09E667F3BCD)) >> np.uint64(52)
    m = np.uint64(bits - ((biased - np.uint64(1024)) << np.uint64(52))).view(np.float64)
    e = np.uint64(biased | np.uint64(0x4330000000000000)).view(np.float64) - (2.0**52 + 1024.0)
    t = (m - 1.0) / (m + 1.0)
    s = t * t
    p = 1.0 / 13.0 * s + 1.0 / 11.0
    p = p * s + 1.0 / 9.0
    p = p * s + 1.0 / 7.0
    p = p * s + 1.0 / 5.0
    p = p * s + 1.0 / 3.0
    p = p * s + 1.0
    return e * 0.3010299956639812 + t * p * 0.8685889638065037


@_contracted
def log32(x):
    """Natural logarithm of a positive, normal float32, in vector instructions where a loop is over it.

    Error: below 1.5e-7 (tested), relative to the logarithm where this is beyond 1.  As ``log10``, in float32.
    NaN stays NaN, so that a loss shows that training has diverged.
    """
    bits = np.float32(x).view(np.uint32)
    biased = (bits + np.uint32((128 << 23) - 0x3F3504F3)) >> np.uint32(23)  # e + 128
    m = np.uint32(bits - ((biased - np.uint32(128)) << np.uint32(23))).view(np.float32)
    t = (m - _f(1.0)) / (m + _f(1.0))
    s = t * t
    p = _f(2.0 / 9.0) * s + _f(2.0 / 7.0)
    p = p * s + _f(2.0 / 5.0)
    p = p * s + _f(2.0 / 3.0)
    p = p * s + _f(2.0)
    e = np.uint32(biased | np.uint32(0x4B000000)).view(np.float32) - _f(2.0**23 + 128.0)
    return e * _f(0.6931471805599453) + t * p + x * _f(0.0)
