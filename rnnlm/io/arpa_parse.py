"""The lines of an ARPA file's sections: bytes to numbers and word ids.

A piece is whole lines, each ended by a newline, with PADDING readable bytes behind them (corpora.text.chunks).
Fields are separated by spaces and tabs; a carriage return before a newline belongs to it.
Addresses are uint64.
"""

from __future__ import annotations

import numpy as np

from corpora.compute.bytes_simd import bit_count, load8, separator_mask, trailing_zeros
from corpora.compute.jit import exact_kernel
from corpora.text.encode import find_words
from rnnlm.ngram.trie import LARGEST_BACKOFF, MAX_ORDER, NO_BACKOFF, NONE, ZERO

# state: where in the piece the next line is, n-grams so far, lines so far, why the kernel stopped, the word at fault,
# bytes of words so far (of unigrams)
POSITION, ROWS, LINES, STOP, WORD, BLOB = range(6)
N_STATE = 6
# why it stopped: the piece is done; at a line that is empty (and was passed), of a section's head, or without a row
DONE, EMPTY, HEAD, FULL = range(4)
# ... or at one that is wrong
FEW, MANY, PROB_NUMBER, PROB_NAN, PROB_POSITIVE, BACKOFF_NUMBER, BACKOFF_RANGE, HIGHEST_BACKOFF, UNKNOWN = range(4, 13)

_U = np.uint64
_BATCH = 64  # lines whose words are looked up together
_NEWLINE, _RETURN, _BACKSLASH, _PLUS, _MINUS, _POINT, _DIGIT_0 = (_U(c) for c in b"\n\r\\+-.0")
_SMALL_E, _SMALL_A, _SMALL_F, _SMALL_I, _SMALL_N = (_U(c) for c in b"eafin")
_LOWER = _U(0x20)
_MOST = _U(10**18)  # a mantissa that takes one more digit
_POWERS = np.array([10.0**k for k in range(23)])  # exact in float64
_LARGEST_EXPONENT = 9999
_ZERO, _LARGEST_BACKOFF = np.float32(ZERO), np.float32(LARGEST_BACKOFF)
_NONE = np.uint32(NONE)
_NO_BACKOFF = np.float32(NO_BACKOFF)


@exact_kernel
def find_separators(address, size, ends):
    """ends (size + 64,) uint32, overwritten: where the spaces, tabs and newlines of a piece are; their number."""
    n = _U(0)
    for position in range(_U(0), _U(size), _U(64)):
        mask = separator_mask(_U(address) + position)
        left = _U(size) - position
        if left < _U(64):
            mask &= (_U(1) << left) - _U(1)
        found = bit_count(mask)
        done = _U(0)
        while done < found:  # eight at a time whether there are or not: few mispredicted branches
            for k in range(_U(8)):
                ends[n + done + k] = np.uint32(position + trailing_zeros(mask))
                mask &= mask - _U(1)
            done += _U(8)
        n += found
    return n


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
def parse_number(address, length):
    """The decimal number of some bytes as (float64, whether it is one); rightly rounded up to 15 digits."""
    at, end = _U(address), _U(address) + _U(length)
    first = load8(at)
    negative = first == _MINUS
    if negative or first == _PLUS:
        at += _U(1)
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
    if digits == 0:
        if points == 0:
            return _named_number(at, end, negative)
        return 0.0, False
    if at < end:
        if load8(at) | _LOWER != _SMALL_E:
            return 0.0, False
        at += _U(1)
        sign = load8(at)
        if sign in (_MINUS, _PLUS):
            at += _U(1)
        if at >= end:
            return 0.0, False
        power = 0
        while at < end:
            digit = load8(at) - _DIGIT_0
            if digit > _U(9):
                return 0.0, False
            power = min(power * 10 + np.int64(digit), _LARGEST_EXPONENT)
            at += _U(1)
        exponent += -power if sign == _MINUS else power
    value = np.float64(mantissa)
    while exponent < -22 and value != 0.0:
        value /= _POWERS[22]
        exponent += 22
    while exponent > 22 and value != 0.0 and value < np.inf:
        value *= _POWERS[22]
        exponent -= 22
    if value != 0.0 and value < np.inf:
        value = value / _POWERS[-exponent] if exponent < 0 else value * _POWERS[exponent]
    return (-value if negative else value), True


@exact_kernel
def _read_numbers(base, starts, lengths, n_fields, order, highest, row, log10_probs, backoffs):
    """Write the numbers of a line of n_fields fields, which are at base + starts, to a row; DONE, or what is wrong."""
    if n_fields <= order:
        value, good = parse_number(base + starts[0], lengths[0])
        return FEW if good else PROB_NUMBER
    if n_fields > order + 2:
        return MANY
    value, good = parse_number(base + starts[0], lengths[0])
    if not good:
        return PROB_NUMBER
    log10_prob = np.float32(value)
    if np.isnan(log10_prob):
        return PROB_NAN
    if log10_prob > np.float32(0):
        return PROB_POSITIVE
    log10_probs[row] = _ZERO if np.isinf(log10_prob) else log10_prob
    backoff = _NO_BACKOFF
    if n_fields == order + 2:
        value, good = parse_number(base + starts[order + 1], lengths[order + 1])
        if not good:
            return BACKOFF_NUMBER
        backoff = np.float32(value) + np.float32(0)  # -0 is a weight of 0
        if not (np.isfinite(backoff) and backoff <= _LARGEST_BACKOFF):
            return BACKOFF_RANGE
        if highest and backoff != np.float32(0):
            return HIGHEST_BACKOFF
    if not highest:
        backoffs[row] = backoff
    return DONE


@exact_kernel
def parse_lines(
    address, ends, n_ends, order, highest, lookup, internal, blob, blob_ends, ids, log10_probs, backoffs, state
):
    """Parse n-grams of one order from state[POSITION], where a line begins, to the piece's end or a line that is none.

    ends (n_ends,): the piece's separators.  lookup: ``WordTable.lookup``; internal: the internal id of
    each of its words, NONE for one that is not allowed.  Overwritten from row state[ROWS] on: ids
    (capacity, order) uint32, log10_probs, backoffs (capacity,) float32 (the backoffs not in the highest order).
    Unigrams are not looked up: their words go to blob from state[BLOB] on, which has room for the piece, and
    where each ends to blob_ends (capacity,) int64.
    Returns with state[STOP]; state[POSITION] is then a line's beginning, state[LINES] the lines before it.
    """
    slots, shift, records, arena = lookup
    base = _U(address)
    starts = np.empty(MAX_ORDER + 2, np.uint64)
    lengths = np.empty(MAX_ORDER + 2, np.uint64)
    line_starts = np.empty(_BATCH, np.uint64)
    word_at = np.empty(_BATCH * MAX_ORDER, np.uint64)
    word_length = np.empty(_BATCH * MAX_ORDER, np.uint64)
    found = np.empty(_BATCH * MAX_ORDER, np.int32)
    capacity = log10_probs.size
    position = _U(state[POSITION])
    j = _U(np.searchsorted(ends[:n_ends], position))
    blob_top = _U(state[BLOB])
    stop = DONE
    while j < n_ends and stop == DONE:
        n = 0
        row = state[ROWS]
        while n < _BATCH and j < n_ends:
            line_start, line_j = position, j
            n_fields = 0
            while True:
                end = _U(ends[j])
                j += _U(1)
                is_last = load8(base + end) == _NEWLINE
                length = end - position
                if is_last and length > _U(0) and load8(base + end - _U(1)) == _RETURN:
                    length -= _U(1)
                if length > _U(0):
                    if n_fields < order + 2:
                        starts[n_fields], lengths[n_fields] = position, length
                    n_fields += 1
                position = end + _U(1)
                if is_last:
                    break
            if n_fields == 0:
                stop = EMPTY
            elif load8(base + starts[0]) == _BACKSLASH:
                stop = HEAD
            elif row + n >= capacity:
                stop = FULL
            else:
                stop = _read_numbers(base, starts, lengths, n_fields, order, highest, row + n, log10_probs, backoffs)
            if stop != DONE:
                if stop != EMPTY:
                    position, j = line_start, line_j
                break
            line_starts[n] = line_start
            for k in range(order):
                word_at[n * order + k] = base + starts[k + 1]
                word_length[n * order + k] = lengths[k + 1]
            n += 1
        if order == 1:
            for i in range(n):
                for k in range(word_length[i]):
                    blob[blob_top + k] = load8(word_at[i] + k)
                blob_top += word_length[i]
                blob_ends[row + i] = np.int64(blob_top)
        else:
            find_words(word_at, word_length, n * order, slots, shift, records, arena, found)
            for i in range(n):
                for k in range(order):
                    word = found[i * order + k]
                    id_ = _NONE if word < 0 else internal[word]
                    if id_ == _NONE:
                        stop, position, n = UNKNOWN, line_starts[i], i
                        state[WORD] = k
                        break
                    ids[row + i, k] = id_
                if stop == UNKNOWN:
                    break
        state[ROWS] += n
        state[LINES] += n + (stop == EMPTY)
    state[POSITION] = np.int64(position)
    state[BLOB] = np.int64(blob_top)
    state[STOP] = stop
