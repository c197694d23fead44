"""Columns of decimal numbers, one per line: read and written by whole arrays.

``format_decimals`` gives the bytes of C's ``printf("%.4f\\n")``; ``parse_decimals`` takes these at
full speed, and anything else that C's ``scanf("%lf")`` would take more slowly.
"""

from __future__ import annotations

import math
import re

import numpy as np

_NEWLINE, _MINUS, _POINT, _ZERO = b"\n-.0"
_MAX_DIGITS = 11  # before the point, in the fast paths: all arithmetic is exact in float64 and int64


class NotANumber(ValueError):
    """``offset``: where in the text the bad token starts.  ``token``: its bytes."""

    def __init__(self, offset: int, token: bytes):
        self.offset, self.token = offset, token
        super().__init__(f"not a number: {token!r}")


def parse_decimals(text: bytes) -> np.ndarray:
    """The numbers of a text of whole lines, (n,) float64, each correctly rounded.

    Raises NotANumber for anything else, also for NaN and infinity.
    """
    values = _parse_fixed(np.frombuffer(text, np.uint8))
    return _parse_any(text) if values is None else values


def _parse_fixed(text: np.ndarray) -> np.ndarray | None:
    """Lines of "-?digits.digits" with the same number of decimals in every line; None for any other text."""
    ends = np.flatnonzero(text == _NEWLINE)
    if not ends.size or ends[-1] != text.size - 1:
        return None
    points = np.flatnonzero(text[: ends[0]] == _POINT)
    if points.size != 1:
        return None
    decimals = int(ends[0] - points[0]) - 1
    starts = np.empty_like(ends)
    starts[0], starts[1:] = 0, ends[:-1] + 1
    negative = text[starts] == _MINUS
    digits = ends - starts - negative - (decimals + 1)  # before the point
    if decimals > 6 or digits.min() < 1 or digits.max() > _MAX_DIGITS or (text[ends - (decimals + 1)] != _POINT).any():
        return None
    mantissa = np.zeros(ends.size, np.int64)
    for place in range(decimals + 1):
        column = text[ends - 1 - (place if place < decimals else decimals + 1)] - _ZERO
        if (column > 9).any():
            return None
        mantissa += column * np.int64(10**place)
    for place in range(1, int(digits.max())):
        rows = np.flatnonzero(digits > place)
        column = text[ends[rows] - (decimals + 2 + place)] - _ZERO
        if (column > 9).any():
            return None
        mantissa[rows] += column * np.int64(10 ** (decimals + place))
    values = mantissa / 10.0**decimals  # both exact, so the quotient is the nearest float64
    return np.negative(values, out=values, where=negative)


def _parse_any(text: bytes) -> np.ndarray:
    try:
        values = np.array(list(map(float, text.split())), np.float64)
    except ValueError:
        values = np.array([np.nan])
    if np.isfinite(values).all():
        return values
    for match in re.finditer(rb"\S+", text):
        try:
            bad = not math.isfinite(float(match.group()))
        except ValueError:
            bad = True
        if bad:
            raise NotANumber(match.start(), match.group())
    return values


def format_decimals(values: np.ndarray, decimals: int) -> bytes:
    """The finite ``values`` (n,), each as ``printf("%.{decimals}f\\n")`` prints it as a double."""
    values = np.asarray(values, np.float64)
    if not values.size:
        return b""
    with np.errstate(over="ignore"):
        scaled = np.abs(values) * 10.0**decimals
    if scaled.max() >= 10.0 ** (_MAX_DIGITS + decimals):
        return b"".join(b"%.*f\n" % (decimals, value) for value in values.tolist())
    whole = np.rint(scaled)
    # the product was rounded: near a half it cannot say which way the exact decimal value rounds
    for i in np.flatnonzero(np.abs(np.abs(scaled - whole) - 0.5) <= np.spacing(scaled)):
        whole[i] = int((b"%.*f" % (decimals, abs(values[i]))).replace(b".", b""))
    whole = whole.astype(np.int64)
    return _lines(np.signbit(values), whole, decimals)


def _lines(negative: np.ndarray, whole: np.ndarray, decimals: int) -> bytes:
    """Lines of the numbers whole / 10**decimals: a matrix of their characters, then only those that are printed."""
    digits = max(len(str(int(whole.max()))), decimals + 1)
    width = digits + 3  # sign, point, newline
    characters = np.empty((whole.size, width), np.uint8)
    printed = np.ones((whole.size, width), bool)
    characters[:, 0], printed[:, 0] = _MINUS, negative
    characters[:, width - 1] = _NEWLINE
    characters[:, width - 2 - decimals] = _POINT
    rest = whole.astype(np.int32) if digits < 10 else whole
    for place in range(digits):
        column = width - 2 - place - (place >= decimals)
        if place > decimals:
            printed[:, column] = rest > 0
        quotient = rest // 10
        characters[:, column] = rest - 10 * quotient + _ZERO
        rest = quotient
    return characters[printed].tobytes()
