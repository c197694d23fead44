"""The lines of an ARPA file, made from a trie's arrays (see ``rnnlm.ngram.trie``).

Addresses are uint64.  A node is read 8 bytes at a time: WORD and CHILD (in the highest order WORD and the log10
probability), then the log10 probability and the back-off weight.  Nothing is bounds-checked.
"""

from __future__ import annotations

import numpy as np

from corpora.compute.bytes_simd import leading_zeros, load64, prefetch, store8, store64
from corpora.compute.jit import exact_kernel
from rnnlm.ngram.trie import NO_BACKOFF_BITS

LONGEST_NUMBER = 13  # bytes: -1.234567e-45
SLACK = 16  # bytes beyond a line that are written to, and beyond a word that are read

_U = np.uint64
_MINUS, _POINT, _DIGIT_0, _TAB, _SPACE, _NEWLINE, _E, _PLUS = (_U(c) for c in b"-.0\t \ne+")
_INF, _NAN = (_U(int.from_bytes(text, "little")) for text in (b"inf", b"nan"))
_LOW = _U(0xFFFFFFFF)
_SIGN = _U(0x80000000)
_INFINITE = _U(0x7F800000)
_NO_BACKOFF = _U(NO_BACKOFF_BITS)
_DIGITS = 7
_ASCII_ZEROS = _U(0x3030303030303030)
_LEADING = _U(int.from_bytes(b"0.000000", "little"))
_AHEAD = _U(8)  # n-grams between a prefetch and its use
_LONGEST_IN_SLOT = _U(15)
_SLOT_BYTES = _U(16)
_LENGTH = _U(56)  # how far up its length is in the second half of a word's slot
_TEN_TO_DIGITS = _U(10**_DIGITS)
_SCALES = np.array([10.0**k for k in range(13)])
_DECADES = np.array([10.0**k for k in range(-7, 8)])  # entry k + 7 is 10**k
_LOG10_2 = 19728  # times 2^-16
_WHOLE = 2.0**52  # added to a smaller number, it leaves no bits behind the point: rounds to even, as printf does


@exact_kernel
def _exact_digits(magnitude):
    """The first 7 decimal digits of a positive float32 of these bits, rounded half to even, and their exponent.

    In integers of any length: for what float64 cannot multiply by a power of ten without an error.
    """
    limbs = np.zeros(13, np.uint64)  # of 32 bits, the lowest first
    field = np.int64(magnitude >> _U(23))
    fraction = magnitude & _U(0x7FFFFF)
    binary = max(field, 1) - 150
    limbs[0] = fraction | (_U(1 << 23) if field else _U(0))
    for _ in range(abs(binary)):  # m 2^-b is m 5^b / 10^b
        carry = _U(0)
        factor = _U(5) if binary < 0 else _U(2)
        for i in range(13):
            carry += limbs[i] * factor
            limbs[i] = carry & _LOW
            carry >>= _U(32)
    exponent = 6 + min(binary, 0)
    n = 13
    last, sticky = _U(0), False  # the digit that was dropped last, whether any before it was not 0
    while True:
        while n > 1 and limbs[n - 1] == _U(0):
            n -= 1
        if n == 1 and limbs[0] < _TEN_TO_DIGITS:
            break
        sticky |= last != _U(0)
        last = _U(0)
        for i in range(n - 1, -1, -1):
            last = last << _U(32) | limbs[i]
            limbs[i] = last // _U(10)
            last -= limbs[i] * _U(10)
        exponent += 1
    digits = limbs[0]
    if last > _U(5) or (last == _U(5) and (sticky or digits & _U(1) == _U(1))):
        digits += _U(1)
    if digits == _TEN_TO_DIGITS:
        digits, exponent = digits // _U(10), exponent + 1
    return digits, exponent


@exact_kernel
def _characters(digits):
    """The 7 decimal digits of a number, the first one in the lowest byte; the highest byte is 0."""
    v = digits * _U(10)  # 8 digits, split into halves again and again, all parts at once
    high = v // _U(10_000)
    v = high | (v - high * _U(10_000)) << _U(32)
    high = ((v * _U(10_486)) >> _U(20)) & _U(0x0000007F0000007F)
    v = high | (v - high * _U(100)) << _U(16)
    high = ((v * _U(103)) >> _U(10)) & _U(0x000F000F000F000F)
    return high | (v - high * _U(10)) << _U(8)


@exact_kernel
def write_number(bits, at):
    """Write the float32 of these bits (uint64) to an address, as printf("%.7g") does; the address behind it.

    At most LONGEST_NUMBER bytes; SLACK more may be overwritten.
    """
    magnitude = bits & ~_SIGN & _LOW
    if bits & _SIGN != _U(0):
        store8(at, _MINUS)
        at += _U(1)
    if magnitude == _U(0):
        store8(at, _DIGIT_0)
        return at + _U(1)
    if magnitude >= _INFINITE:
        store64(at, _INF if magnitude == _INFINITE else _NAN)
        return at + _U(3)
    x = np.float64(np.uint32(magnitude).view(np.float32))
    if 1e-6 <= x < 1e7:
        # log10 of the power of two that x begins with, or one more
        binary = np.int64(magnitude >> _U(23)) - 127
        exponent = (binary * _LOG10_2) >> 16
        exponent += np.int64(x >= _DECADES[exponent + 8])
        # exact: 24 bits times 5^12 are 52 bits
        digits = _U((x * _SCALES[6 - exponent] + _WHOLE) - _WHOLE)
        if digits == _TEN_TO_DIGITS:
            digits, exponent = digits // _U(10), exponent + 1
    else:
        digits, exponent = _exact_digits(magnitude)
    text = _characters(digits)
    n = _U(8) - (leading_zeros(text) >> _U(3))  # digits that are written: no zeros at the end
    text |= _ASCII_ZEROS
    scientific = exponent < -4 or exponent >= _DIGITS
    if exponent < 0 and not scientific:
        store64(at, _LEADING)
        at += _U(1 - exponent)
        store64(at, text)
    else:
        before = _U(8) if scientific else _U(8 * (exponent + 1))  # bits of the digits before the point
        whole = text & ((_U(1) << before) - _U(1))
        store64(at, whole | (_POINT | text >> before << _U(8)) << before)
        n = n + _U(1) if n > before >> _U(3) else before >> _U(3)
    at += n
    if scientific:
        store8(at, _E)
        store8(at + _U(1), _MINUS if exponent < 0 else _PLUS)
        power = _U(abs(exponent))
        store8(at + _U(2), _DIGIT_0 + power // _U(10))
        store8(at + _U(3), _DIGIT_0 + power % _U(10))
        at += _U(4)
    return at


@exact_kernel
def make_slots(words_at, word_starts, slots):
    """slots (n, 2) uint64, overwritten: the words from an address on, each in 16 bytes, which one cache line has.

    The highest byte is the length.  A word longer than 15 bytes has its address and its length.
    word_starts (n + 1,) int64: where they begin; they have SLACK bytes behind them.
    """
    for i in range(_U(slots.shape[0])):
        at, length = _U(words_at) + _U(word_starts[i]), _U(word_starts[i + _U(1)] - word_starts[i])
        if length <= _LONGEST_IN_SLOT:
            high = load64(at + _U(8)) & ((_U(1) << _LENGTH) - _U(1))
            slots[i, 0], slots[i, 1] = load64(at), high | length << _LENGTH
        else:
            slots[i, 0], slots[i, 1] = at, length | (_LONGEST_IN_SLOT + _U(1)) << _LENGTH


@exact_kernel
def _write_word(slot, at):
    """Write the word of a slot, an address, to another; the address behind it."""
    low, high = load64(slot), load64(slot + _U(8))
    length = high >> _LENGTH
    if length <= _LONGEST_IN_SLOT:
        store64(at, low)
        store64(at + _U(8), high)
        return at + length
    length = high & ((_U(1) << _LENGTH) - _U(1))
    for done in range(_U(0), length, _U(8)):
        store64(at + done, load64(low + done))
    return at + length


@exact_kernel
def _write_line(tables, path, order, is_highest, slots, at):
    """The line of the n-gram at the rows path (N,) of the orders 1 ... ``order``; nothing for a blank node."""
    row = path[order - 1]
    short_row = is_highest and order > 1
    if short_row:
        values = load64(tables[order - 1] + row * _U(8)) >> _U(32)
    else:
        values = load64(tables[order - 1] + row * _U(16) + _U(8))
    prob, backoff = values & _LOW, values >> _U(32)
    if _U(0) < prob < _SIGN:
        return at
    at = write_number(prob, at)
    separator = _TAB
    for k in range(order - 1, -1, -1):
        row_bytes = _U(8) if short_row and k == order - 1 else _U(16)
        word = load64(tables[k] + path[k] * row_bytes) & _LOW
        store8(at, separator)
        at = _write_word(slots + word * _SLOT_BYTES, at + _U(1))
        separator = _SPACE
    if not is_highest and backoff != _NO_BACKOFF:
        store8(at, _TAB)
        at = write_number(backoff, at + _U(1))
    store8(at, _NEWLINE)
    return at + _U(1)


@exact_kernel
def _first_child(table, row):
    return load64(table + row * _U(16)) >> _U(32)


@exact_kernel
def _find_path(tables, sizes, order, row, path):
    """path (N,) uint64, overwritten: the rows of the orders 1 ... ``order`` that lead to a row of that order."""
    path[order - 1] = row
    for k in range(order - 2, -1, -1):
        lo, hi = _U(0), sizes[k]  # the last row whose first child is not beyond
        while hi - lo > _U(1):
            middle = (lo + hi) >> _U(1)
            if _first_child(tables[k], middle) <= path[k + 1]:
                lo = middle
            else:
                hi = middle
        path[k] = lo


@exact_kernel
def write_lines(tables, sizes, order, is_highest, slots, longest_line, first, last, out, n_bytes):
    """Write the n-grams of rows first ... last - 1 of one order as lines to ``out``, as many as it has room for.

    tables, sizes (order,) uint64: the addresses of the nodes of the orders from 1 on, and how many they
    are.  is_highest: no longer n-grams, so no back-off weights.  slots: the address of the words by internal
    id (``make_slots``).  longest_line: bytes that a line may need, with SLACK.
    n_bytes (1,) int64, overwritten: how much was written.  Returns the row that comes next.
    """
    path = np.empty(order, np.uint64)
    base = _U(out.ctypes.data)
    at, end = base, base + _U(out.size) - _U(longest_line)
    row = _U(first)
    nodes, row_bytes = tables[order - 1], _U(8) if is_highest else _U(16)
    if row < _U(last):
        _find_path(tables, sizes, order, row, path)
    while row < _U(last) and at <= end:
        # the words that come soon, the oldest and the next one
        ahead = load64(nodes + min(row + _AHEAD, _U(last)) * row_bytes) & _LOW
        prefetch(slots + ahead * _SLOT_BYTES)
        above = min(path[order - 2] + _AHEAD, sizes[order - 2])
        prefetch(slots + (load64(tables[order - 2] + above * _U(16)) & _LOW) * _SLOT_BYTES)
        at = _write_line(tables, path, order, is_highest, slots, at)
        row += _U(1)
        path[order - 1] = row
        for k in range(order - 2, -1, -1):
            before = path[k]
            while path[k] + _U(1) < sizes[k] and _first_child(tables[k], path[k] + _U(1)) <= path[k + 1]:
                path[k] += _U(1)
            if path[k] == before:
                break
    n_bytes[0] = np.int64(at - base)
    return np.int64(row)


@exact_kernel
def write_unigrams(tables, is_highest, rows, slots, longest_line, first, out, n_bytes):
    """As ``write_lines``, of unigrams in the order of rows (n,) int64, from rows[first] on; returns the next one."""
    path = np.empty(1, np.uint64)
    base = _U(out.ctypes.data)
    at, end = base, base + _U(out.size) - _U(longest_line)
    i = _U(first)
    while i < _U(rows.size) and at <= end:
        path[0] = _U(rows[i])
        at = _write_line(tables, path, 1, is_highest, slots, at)
        i += _U(1)
    n_bytes[0] = np.int64(at - base)
    return np.int64(i)
