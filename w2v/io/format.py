"""Rows of numbers to the lines of text files, as C's printf("%lf ") makes them.  d dimensions.

Addresses are uint64.  Nothing is bounds-checked.
"""

from __future__ import annotations

import numpy as np

from corpora.compute.bytes_simd import load8, store8
from corpora.compute.jit import exact_kernel

LONGEST_NUMBER = 19  # bytes: sign, ten digits, point, six digits, space

_U = np.uint64
_MINUS, _POINT, _SPACE, _NEWLINE, _DIGIT_0 = (_U(c) for c in b"-. \n0")
_MILLION = _U(1_000_000)
_DECIMALS = 6
_SIGN = np.uint32(0x80000000)


@exact_kernel
def format_rows(words_at, offsets, first, rows, space_at_end, out):
    """Write the lines of the words ``first``, first + 1, ...: the word, and its numbers with six decimals.

    words_at, offsets: the blob of all words and where each begins.  rows (n, d) float32 between -2^32 and 2^32.
    space_at_end: whether a space comes before the newline, as word2vec.c has it.
    out: uint8, room for each word, and for d + 1 numbers with it.  Returns the number of bytes.
    """
    base = _U(out.ctypes.data)
    at = base
    n_rows, dim = rows.shape
    bits = rows.view(np.uint32)
    for i in range(n_rows):
        for k in range(_U(offsets[first + i]), _U(offsets[first + i + 1]), _U(1)):
            store8(at, load8(_U(words_at) + k))
            at += _U(1)
        for j in range(dim):
            store8(at, _SPACE)
            at += _U(1)
            if bits[i, j] & _SIGN:
                store8(at, _MINUS)
                at += _U(1)
            # exact: 24 bits times 15625 times 2^6; rint rounds halves to even, as printf does
            scaled = _U(np.rint(abs(np.float64(rows[i, j])) * 1e6))
            whole = scaled // _MILLION
            decimals = scaled - whole * _MILLION
            if whole < _U(10):
                store8(at, _DIGIT_0 + whole)
                at += _U(1)
            else:
                power = _U(10)
                while whole // power >= _U(10):
                    power *= _U(10)
                while power > _U(0):
                    digit = whole // power
                    store8(at, _DIGIT_0 + digit)
                    at += _U(1)
                    whole -= digit * power
                    power //= _U(10)
            store8(at, _POINT)
            for k in range(_U(_DECIMALS), _U(0), -1):
                rest = decimals // _U(10)
                store8(at + k, _DIGIT_0 + decimals - rest * _U(10))
                decimals = rest
            at += _U(_DECIMALS + 1)
        if space_at_end:
            store8(at, _SPACE)
            at += _U(1)
        store8(at, _NEWLINE)
        at += _U(1)
    return np.int64(at - base)
