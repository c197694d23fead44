"""The lines of count files: words and a count each.

Legend: W words and L lines that were kept of a piece, N the order.

A piece is whole lines with PADDING readable bytes behind them; ``corpora.text.separators`` finds its
spaces, tabs and newlines.  A carriage return before a newline belongs to it.  Addresses are uint64.
"""

from __future__ import annotations

import numpy as np

from corpora.compute.bytes_simd import load8, load64
from corpora.compute.jit import exact_kernel
from rnnlm.ngram.trie import MAX_ORDER, NONE

# state: lines before the one at fault, lines kept, words kept, why the kernel stopped
LINES, N_LINES, N_WORDS, STOP = range(4)
N_STATE = 4
# why: all is done, or what is wrong with a line
DONE, EMPTY_WORD, NO_COUNT, NOT_A_NUMBER, NEGATIVE, TOO_LARGE, TOO_LONG, START_INSIDE, END_INSIDE = range(9)
LARGEST = (1 << 32) - 1  # counts are uint32

_U = np.uint64
_NEWLINE, _RETURN, _MINUS, _DIGIT_0, _SPACE = (_U(c) for c in b"\n\r-0 ")
_START, _END = _U(int.from_bytes(b"<s>", "little")), _U(int.from_bytes(b"</s>", "little"))
_THREE, _FOUR = _U((1 << 24) - 1), _U((1 << 32) - 1)
_LARGEST = _U(LARGEST)
_NONE = np.uint32(NONE)


@exact_kernel
def _parse_count(at, length):
    """(the number, what is wrong with it) of ``length`` bytes."""
    end = at + length
    negative = load8(at) == _MINUS and length > _U(1)
    if negative:
        at += _U(1)
    count, too_large = _U(0), False
    while at < end:
        digit = load8(at) - _DIGIT_0
        if digit > _U(9):
            return count, NOT_A_NUMBER
        count = count * _U(10) + digit
        if count > _LARGEST:
            count, too_large = _LARGEST, True
        at += _U(1)
    if negative:
        return count, NEGATIVE
    return count, TOO_LARGE if too_large else DONE


@exact_kernel
def _check_markers(words_at, lengths, first, n):
    """START_INSIDE or END_INSIDE where <s> is not the first word or </s> not the last of n, else DONE."""
    for k in range(_U(n)):
        length = lengths[first + k]
        if length == _U(3):
            if k != _U(0) and load64(words_at[first + k]) & _THREE == _START:
                return START_INSIDE
        elif length == _U(4) and k != _U(n - 1) and load64(words_at[first + k]) & _FOUR == _END:
            return END_INSIDE
    return DONE


@exact_kernel
def parse_counts(address, ends, n_ends, longest, words_at, lengths, n_words, counts, lines, state):
    """Find the words and counts of the lines of a piece, up to one that is wrong.

    ends (n_ends,) uint32: its separators.  Overwritten, with room for n_ends: words_at, lengths (W,) uint64, the
    words of all lines that are kept; n_words, counts, lines (L,) uint64, of each the number of its words, its
    count, and the lines before it.  Lines without anything, with a count of 0, and with more than ``longest`` words
    are not kept.  state (N_STATE,) int64, overwritten.
    """
    base = _U(address)
    position, j = _U(0), _U(0)
    line, kept, w = 0, _U(0), _U(0)
    stop = DONE
    while j < n_ends:
        n_fields, empty = 0, False
        while True:
            end = _U(ends[j])
            j += _U(1)
            is_last = load8(base + end) == _NEWLINE
            length = end - position
            if is_last and length > _U(0) and load8(base + end - _U(1)) == _RETURN:
                length -= _U(1)
            words_at[w + _U(n_fields)] = base + position
            lengths[w + _U(n_fields)] = length
            empty |= length == _U(0)
            n_fields += 1
            position = end + _U(1)
            if is_last:
                break
        if n_fields > 1 or not empty:
            n = n_fields - 1
            count = _U(0)
            if empty:
                stop = EMPTY_WORD
            elif n == 0:
                stop = NO_COUNT
            else:
                count, stop = _parse_count(words_at[w + _U(n)], lengths[w + _U(n)])
                if stop == DONE and n > MAX_ORDER:
                    stop = TOO_LONG
                if stop == DONE:
                    stop = _check_markers(words_at, lengths, w, n)
            if stop != DONE:
                break
            if count > _U(0) and n <= longest:
                n_words[kept] = _U(n)
                counts[kept] = count
                lines[kept] = _U(line)
                kept += _U(1)
                w += _U(n)
        line += 1
    state[LINES], state[N_LINES], state[N_WORDS], state[STOP] = line, kept, w, stop


@exact_kernel
def copy_unknown(words_at, lengths, ids, n, text):
    """Write the words whose ids (n,) int32 are -1 to text, uint8, a space behind each; the number of bytes.

    ``text`` has room for the piece.
    """
    at = _U(0)
    for i in range(_U(n)):
        if ids[i] < 0:
            for k in range(lengths[i]):
                text[at + k] = load8(words_at[i] + k)
            at += lengths[i]
            text[at] = _SPACE
            at += _U(1)
    return np.int64(at)


@exact_kernel
def fill_unknown(ids, n, found):
    """Replace -1 among ids[:n] int32 by the members of ``found`` int32, in their order."""
    taken = _U(0)
    for i in range(_U(n)):
        if ids[i] < 0:
            ids[i] = found[taken]
            taken += _U(1)


@exact_kernel
def store_rows(ids, n_words, counts, n_lines, left_out, rows, weights, n_rows):
    """Write n-grams as rows (capacity, N) uint32, the newest word first, from row n_rows on; the new number of rows.

    ids (W,) int32; a word's number in a row is its id + 1, beyond the oldest word it is NONE.
    An n-gram with the word ``left_out``, an id, or of id -1 is no row.  weights (capacity,) int64: the counts.
    """
    order = rows.shape[1]
    first = _U(0)
    for i in range(_U(n_lines)):
        n = n_words[i]
        good = True
        for k in range(_U(order)):
            if k < n:
                id_ = ids[first + n - _U(1) - k]
                good &= id_ >= 0 and id_ != left_out
                rows[n_rows, k] = id_ + 1
            else:
                rows[n_rows, k] = _NONE
        weights[n_rows] = counts[i]
        n_rows += good
        first += n
    return n_rows


@exact_kernel
def replace_words(rows, internal):
    """rows (M, N) uint32, overwritten: internal (ids + 1,) uint32 of each."""
    for i in range(_U(rows.shape[0])):
        for k in range(_U(rows.shape[1])):
            rows[i, k] = internal[_U(rows[i, k])]


@exact_kernel
def add_weights(rows, weights, sums, n_rows):
    """Add to sums (N, ids) int64 the weight of each row of rows (M, N) uint32, by number of words and newest word.

    n_rows (N,) int64, added to: how many rows have 1, 2, ... N words.
    """
    order = rows.shape[1]
    for i in range(_U(rows.shape[0])):
        n = order
        while n > 1 and rows[i, n - 1] == _NONE:
            n -= 1
        sums[n - 1, _U(rows[i, 0])] += weights[i]
        n_rows[n - 1] += 1
