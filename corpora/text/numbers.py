"""Decimal numbers among other text: bytes to float64, for kernels.  Addresses are uint64.

``w2v.io.parse`` has a loop of its own: it knows where a number ends only when it is there, and leaves what is not
rightly rounded to others.  Made of these functions it is 4 % slower.
"""

from __future__ import annotations

import numpy as np

from corpora.compute.bytes_simd import load8
from corpora.compute.jit import exact_kernel

_U = np.uint64
_PLUS, _MINUS, _POINT, _DIGIT_0 = (_U(c) for c in b"+-.0")
_SMALL_E, _SMALL_A, _SMALL_F, _SMALL_I, _SMALL_N = (_U(c) for c in b"eafin")
_LOWER = _U(0x20)
_MOST = _U(10**18)  # a mantissa that takes one more digit
POWERS = np.array([10.0**k for k in range(23)])  # exact in float64, so one product or quotient is rightly rounded
_LARGEST_EXPONENT = 9999


@exact_kernel
def _named_number(at, end, negative):
    """inf, infinity and nan, in any case; (value, whether it is one of these)."""
    a, b, c = load8(at) | _LOWER, load8(at + _U(1)) | _LOWER, load8(at + _U(2)) | _LOWER
    length = end - at
    if (length == _U(3) or length == _U(8)) and a == _SMALL_I and b == _SMALL_N and c == _SMALL_F:
        return (-np.inf if negative else np.inf), True
    if length == _U(3) and a == _SMALL_N and b == _SMALL_A and c == _SMALL_N:
        return np.nan, True
    return 0.0, False


@exact_kernel
def _exponent(at):
    """The whole number after an "e", up to _LARGEST_EXPONENT either way; (it, where it ends, whether it has digits)."""
    sign = load8(at)
    if sign in (_MINUS, _PLUS):
        at += _U(1)
    start = at
    power = np.int64(0)
    digit = load8(at) - _DIGIT_0
    while digit < _U(10):
        power = min(power * 10 + np.int64(digit), _LARGEST_EXPONENT)
        at += _U(1)
        digit = load8(at) - _DIGIT_0
    return (-power if sign == _MINUS else power), at, at > start


@exact_kernel
def _mantissa(at, end):
    """The digits from an address on as (whole number, exponent of ten, digits, points, where they end).

    Digits that the number has no room for become powers of ten.
    """
    mantissa = _U(0)
    exponent = 0
    digits, points = 0, 0
    while at < end:
        c = load8(at)
        digit = c - _DIGIT_0
        if digit < _U(10):
            if mantissa < _MOST:
                mantissa = mantissa * _U(10) + digit
                exponent -= points
            else:
                exponent += 1 - points
            digits += 1
        elif c == _POINT and points == 0:
            points = 1
        else:
            break
        at += _U(1)
    return mantissa, exponent, digits, points, at


@exact_kernel
def _scale(mantissa, exponent):
    """mantissa * 10^exponent, rightly rounded if the mantissa is below 2^53 and the exponent from -22 to 22."""
    value = np.float64(mantissa)
    while exponent < -22 and value != 0.0:
        value /= POWERS[22]
        exponent += 22
    while exponent > 22 and value != 0.0 and value < np.inf:
        value *= POWERS[22]
        exponent -= 22
    if value != 0.0 and value < np.inf:
        value = value / POWERS[-exponent] if exponent < 0 else value * POWERS[exponent]
    return value


@exact_kernel
def parse_number(address, length):
    """The decimal number of some bytes as (float64, whether it is one); rightly rounded up to 15 digits."""
    at, end = _U(address), _U(address) + _U(length)
    first = load8(at)
    negative = first == _MINUS
    if negative or first == _PLUS:
        at += _U(1)
    mantissa, exponent, digits, points, at = _mantissa(at, end)
    if digits == 0:
        if points == 0:
            return _named_number(at, end, negative)
        return 0.0, False
    if at < end:
        if load8(at) | _LOWER != _SMALL_E:
            return 0.0, False
        power, at, good = _exponent(at + _U(1))
        if not good or at != end:
            return 0.0, False
        exponent += power
    value = _scale(mantissa, exponent)
    return (-value if negative else value), True
