"""The lines of an ARPA file's sections: bytes to numbers and word ids.

A piece is whole lines, each ended by a newline, with PADDING readable bytes behind them (corpora.text.chunks).
Fields are separated by spaces and tabs; a carriage return before a newline belongs to it.
Addresses are uint64.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from corpora.compute.bytes_simd import load8
from corpora.compute.jit import exact_kernel
from corpora.text.encode import find_words
from corpora.text.numbers import parse_number
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
_NEWLINE, _RETURN, _BACKSLASH = (_U(c) for c in b"\n\r\\")
_ZERO, _LARGEST_BACKOFF = np.float32(ZERO), np.float32(LARGEST_BACKOFF)
_NONE = np.uint32(NONE)
_NO_BACKOFF = np.float32(NO_BACKOFF)


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


class Lines(NamedTuple):
    """Where the n-grams of one order are written, a row for each; ``capacity`` rows.

    ids (capacity, n) uint32; log10_probs, backoffs (capacity,) float32 (the backoffs not in the highest order).
    Unigrams have words instead of ids: ``blob``, which has room for the piece behind those before, and where each
    ends, blob_ends (capacity,) int64.
    """

    ids: np.ndarray
    log10_probs: np.ndarray
    backoffs: np.ndarray
    blob: np.ndarray
    blob_ends: np.ndarray


@exact_kernel
def _first_from(ends, n_ends, position):
    """The first of the separators that is not before a position."""
    lo, hi = _U(0), _U(n_ends)
    while lo < hi:
        middle = (lo + hi) >> _U(1)
        if _U(ends[middle]) < position:
            lo = middle + _U(1)
        else:
            hi = middle
    return lo


@exact_kernel
def _split_line(base, ends, j, position, most, starts, lengths):
    """Find the fields of a line, the first ``most`` of them; (their number, the separator and the position behind)."""
    n_fields = 0
    while True:
        end = _U(ends[j])
        j += _U(1)
        is_last = load8(base + end) == _NEWLINE
        length = end - position
        if is_last and length > _U(0) and load8(base + end - _U(1)) == _RETURN:
            length -= _U(1)
        if length > _U(0):
            if n_fields < most:
                starts[n_fields], lengths[n_fields] = position, length
            n_fields += 1
        position = end + _U(1)
        if is_last:
            return n_fields, j, position


@exact_kernel
def _copy_words(word_at, word_length, n, row, blob, blob_top, blob_ends):
    """Append n words to the blob; where it ends."""
    for i in range(n):
        for k in range(word_length[i]):
            blob[blob_top + k] = load8(word_at[i] + k)
        blob_top += word_length[i]
        blob_ends[row + i] = np.int64(blob_top)
    return blob_top


@exact_kernel
def _write_ids(found, internal, n, order, row, ids):
    """The internal ids of the words of n lines; (n, order), or the line and the place of a word that has none."""
    for i in range(n):
        for k in range(order):
            word = found[i * order + k]
            id_ = _NONE if word < 0 else internal[word]
            if id_ == _NONE:
                return i, k
            ids[row + i, k] = id_
    return n, order


@exact_kernel
def parse_lines(address, ends, n_ends, order, highest, lookup, internal, out, state):
    """Parse n-grams of one order from state[POSITION], where a line begins, to the piece's end or a bad line.

    ends (n_ends,): the piece's separators.  lookup: ``WordHash.lookup``; internal: the internal id of
    each of its words, NONE for one that is not allowed.  out (``Lines``): overwritten from row state[ROWS] on, the
    words of unigrams, which are not looked up, from state[BLOB] on.
    Returns with state[STOP]; state[POSITION] is then a line's beginning, state[LINES] the lines before it.
    """
    slots, shift, records, arena = lookup
    ids, log10_probs, backoffs, blob, blob_ends = out
    base = _U(address)
    starts = np.empty(MAX_ORDER + 2, np.uint64)
    lengths = np.empty(MAX_ORDER + 2, np.uint64)
    line_starts = np.empty(_BATCH, np.uint64)
    word_at = np.empty(_BATCH * MAX_ORDER, np.uint64)
    word_length = np.empty(_BATCH * MAX_ORDER, np.uint64)
    found = np.empty(_BATCH * MAX_ORDER, np.int32)
    capacity = log10_probs.size
    position = _U(state[POSITION])
    j = _first_from(ends, n_ends, position)
    blob_top = _U(state[BLOB])
    stop = DONE
    while j < n_ends and stop == DONE:
        n = 0
        row = state[ROWS]
        while n < _BATCH and j < n_ends:
            line_start, line_j = position, j
            n_fields, j, position = _split_line(base, ends, j, position, order + 2, starts, lengths)
            if n_fields == 0:
                stop = EMPTY
                break
            if load8(base + starts[0]) == _BACKSLASH:
                stop = HEAD
            elif row + n >= capacity:
                stop = FULL
            else:
                stop = _read_numbers(base, starts, lengths, n_fields, order, highest, row + n, log10_probs, backoffs)
            if stop != DONE:
                position, j = line_start, line_j
                break
            line_starts[n] = line_start
            for k in range(order):
                word_at[n * order + k] = base + starts[k + 1]
                word_length[n * order + k] = lengths[k + 1]
            n += 1
        if order == 1:
            blob_top = _copy_words(word_at, word_length, n, row, blob, blob_top, blob_ends)
        else:
            find_words(word_at, word_length, n * order, slots, shift, records, arena, found)
            good, place = _write_ids(found, internal, n, order, row, ids)
            if good < n:
                stop, position, n = UNKNOWN, line_starts[good], good
                state[WORD] = place
        state[ROWS] += n
        state[LINES] += n + (stop == EMPTY)
    state[POSITION] = np.int64(position)
    state[BLOB] = np.int64(blob_top)
    state[STOP] = stop
