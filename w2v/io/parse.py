"""Records of vector files: bytes to words and rows of numbers.  d dimensions.

A window is bytes in memory with PADDING readable ones behind them (corpora.text.chunks).  Addresses are uint64.
"""

from __future__ import annotations

import numpy as np

from corpora.compute.bytes_simd import load8, load64, multiply_mix, store64
from corpora.compute.jit import exact_kernel
from corpora.text.numbers import POWERS

# state: where in the window the next record is, records so far, bytes of words so far, why the kernel stopped
POSITION, ROWS, BLOB, STOP = range(4)
N_STATE = 4
# why: the window is done; no room for another record; a line that is not simply "word x1 ... xd"; of binary records
# one that is not whole, one whose word is empty, has a newline in it or no end, or whose numbers are not finite
DONE, FULL, ODD, CUT, EMPTY, NEWLINE, ENDLESS, NOT_FINITE = range(8)
LONGEST_WORD = 1 << 16  # bytes, in binary files: where no space comes for so long, there is no word

_U = np.uint64
_NEWLINE, _RETURN, _SPACE, _TAB, _PLUS, _MINUS, _POINT, _DIGIT_0, _SMALL_E = (_U(c) for c in b"\n\r \t+-.0e")
_LOWER = _U(0x20)
_LOW32 = _U(0xFFFFFFFF)
_EXACT = _U(1 << 53)  # integers below it are float64
_MOST_DIGITS = 18  # of a mantissa: fits into 64 bits
_LARGEST_32, _LARGEST_64 = float(np.finfo(np.float32).max), float(np.finfo(np.float64).max)
_BELOW, _ABOVE = 1 - 2.0**-51, 1 + 2.0**-51
_EXPONENT = np.uint32(0x7F800000)  # of a float32: all ones in infinity and NaN
_SEED, _FACTOR = _U(0x9E3779B97F4A7C15), _U(0xD6E8FEB86659FD93)


@exact_kernel
def _leading_zeros(at):
    """How many zeros a number begins with, a point among them or not."""
    n = _U(0)
    c = load8(at)
    while c in (_DIGIT_0, _POINT):
        n += _U(c == _DIGIT_0)
        at += _U(1)
        c = load8(at)
    return n


@exact_kernel
def parse_lines(address, end, out, single, blob, blob_ends, state):
    """Parse whole lines "word x1 ... xd", spaces or tabs between, from state[POSITION] to ``end``, or to an odd one.

    out (capacity, d) float32 (``single``) or float64, overwritten from row state[ROWS] on.
    blob, blob_ends (capacity,) int64: the words of this call and where each ends, from its first line on.
    Numbers are rightly rounded to float64, and from there to float32; a line with one that would need more than
    float64 for it, or with anything else than numbers, is left to the caller.
    """
    base = _U(address)
    at, end = base + _U(state[POSITION]), base + _U(end)
    capacity, dim = out.shape
    row, n, top = state[ROWS], 0, _U(0)
    stop = DONE
    largest = _LARGEST_32 if single else _LARGEST_64
    while at < end:
        if row >= capacity:
            stop = FULL
            break
        line = at
        c = load8(at)
        while c != _SPACE and c != _TAB and c != _NEWLINE:
            at += _U(1)
            c = load8(at)
        word_end = at
        good = word_end > line and c != _NEWLINE
        for j in range(dim):
            while c in (_SPACE, _TAB):
                at += _U(1)
                c = load8(at)
            negative = c == _MINUS
            if negative or c == _PLUS:
                at += _U(1)
                c = load8(at)
            mantissa, exponent = _U(0), 0
            start = number = at
            digit = c - _DIGIT_0
            while digit < _U(10):
                mantissa = mantissa * _U(10) + digit
                at += _U(1)
                digit = load8(at) - _DIGIT_0
            digits = at - start
            c = load8(at)
            if c == _POINT:
                at += _U(1)
                start = at
                digit = load8(at) - _DIGIT_0
                while digit < _U(10):
                    mantissa = mantissa * _U(10) + digit
                    at += _U(1)
                    digit = load8(at) - _DIGIT_0
                exponent = -np.int64(at - start)
                digits += at - start
                c = load8(at)
            if digits > _U(_MOST_DIGITS):
                digits -= _leading_zeros(number)
            good &= _U(0) < digits <= _U(_MOST_DIGITS)
            if c | _LOWER == _SMALL_E:
                at += _U(1)
                sign = load8(at)
                if sign in (_MINUS, _PLUS):
                    at += _U(1)
                start = at
                power = np.int64(0)
                digit = load8(at) - _DIGIT_0
                while digit < _U(10):
                    power = min(power * 10 + np.int64(digit), 9999)
                    at += _U(1)
                    digit = load8(at) - _DIGIT_0
                good &= at > start
                exponent += -power if sign == _MINUS else power
                c = load8(at)
            good &= c in (_SPACE, _TAB, _NEWLINE, _RETURN)
            if mantissa == _U(0):
                exponent = 0
            good &= -22 <= exponent <= 22
            if not good:
                break
            value = np.float64(mantissa)
            value = value / POWERS[-exponent] if exponent < 0 else value * POWERS[exponent]
            good = value <= largest
            if mantissa >= _EXACT:  # rounded twice: by less than two units in float64's last place
                good &= single and np.float32(value * _BELOW) == np.float32(value * _ABOVE)
            out[row, j] = -value if negative else value
        while c in (_SPACE, _TAB, _RETURN):
            at += _U(1)
            c = load8(at)
        if not good or c != _NEWLINE:
            at = line
            stop = ODD
            break
        at += _U(1)
        for k in range(_U(0), word_end - line, _U(1)):
            blob[top + k] = load8(line + k)
        top += word_end - line
        blob_ends[n] = np.int64(top)
        n += 1
        row += 1
    state[POSITION] = np.int64(at - base)
    state[ROWS], state[BLOB], state[STOP] = row, np.int64(top), stop


@exact_kernel
def copy_records(address, end, last, out, blob, blob_ends, state):
    """Take binary records "word", space, d float32 from state[POSITION] on, up to row ``last`` or the window's end.

    A newline before a word is passed over.  out (capacity, d) uint32, the bits of float32, is overwritten from row
    state[ROWS] on; capacity is ``last`` or more.  blob, blob_ends (capacity,) int64: the words of this call.
    """
    base = _U(address)
    at, end = base + _U(state[POSITION]), base + _U(end)
    dim = out.shape[1]
    row_bytes = _U(4 * dim)
    out_at = _U(out.ctypes.data)
    row, n, top = state[ROWS], 0, _U(0)
    stop = DONE
    while row < last:
        record = at
        if at < end and load8(at) == _NEWLINE:
            at += _U(1)
        word = at
        limit = min(end, word + _U(LONGEST_WORD))
        has_newline = False
        while at < limit and load8(at) != _SPACE:
            has_newline |= load8(at) == _NEWLINE
            at += _U(1)
        length = at - word
        numbers = at + _U(1)
        if has_newline:
            stop = NEWLINE
        elif at >= limit:
            stop = CUT if at >= end else ENDLESS
        elif length == _U(0):
            stop = EMPTY
        elif numbers + row_bytes > end:
            stop = CUT
        if stop != DONE:
            at = record
            break
        target = out_at + _U(row) * row_bytes
        for k in range(_U(0), row_bytes & ~_U(7), _U(8)):
            store64(target + k, load64(numbers + k))
        if dim & 1:
            out[row, dim - 1] = np.uint32(load64(numbers + row_bytes - _U(4)) & _LOW32)
        bad = 0
        for j in range(dim):
            bad += (out[row, j] & _EXPONENT) == _EXPONENT
        if bad:
            stop = NOT_FINITE
            at = record
            break
        for k in range(_U(0), length, _U(1)):
            blob[top + k] = load8(word + k)
        top += length
        blob_ends[n] = np.int64(top)
        n += 1
        row += 1
        at = numbers + row_bytes
    state[POSITION] = np.int64(at - base)
    state[ROWS], state[BLOB], state[STOP] = row, np.int64(top), stop


@exact_kernel
def hash_words(address, offsets, hashes):
    """hashes (V,) uint64, overwritten: of words (at ``address`` + offsets, 8 readable bytes behind the last one)."""
    for i in range(hashes.size):
        start, length = _U(offsets[i]), _U(offsets[i + 1] - offsets[i])
        h = _SEED ^ length
        for k in range(_U(0), length, _U(8)):
            x = load64(_U(address) + start + k)
            left = length - k
            if left < _U(8):
                x &= (_U(1) << (left * _U(8))) - _U(1)
            h = multiply_mix(h ^ x, _FACTOR) + h
        hashes[i] = h
