"""Count files merged: lines of many sorted inputs, those of the same words added up.

N-grams are compared word by word, words by their bytes; one that begins another comes before it.
An n-gram is three numbers: the addresses of two arrays of uint64, where its words are and how long they
are, and how many words it has.  Addresses are uint64.
"""

from __future__ import annotations

import numpy as np

from corpora.compute.bytes_simd import load8, load64, store8, trailing_zeros
from corpora.compute.jit import exact_kernel
from rnnlm.ngram.counting.format import LONGEST_COUNT, SLACK, write_count, write_word
from rnnlm.ngram.counting.parse import LARGEST

# an input, a row of uint64: the addresses of its lines' words, their lengths, numbers of words and counts;
# how many lines there are; the one at hand, and its first word
WORDS_AT, LENGTHS, N_WORDS, COUNTS, N_LINES, LINE, WORD = range(7)
N_FIELDS = 7
# state: inputs in the heap, 1 where the first of them has moved on, bytes written, words and count of the n-gram
# that is being added up (no words: none), the bytes that a line needs, why the kernel stopped
HEAP_SIZE, MOVED, WRITTEN, PENDING, COUNT, NEED, STOP = range(7)
N_STATE = 7
# why: all is done; the first input of the heap needs lines; ``out`` needs room; the first input of the
# heap is not sorted; the count is too large
DONE, EMPTY, FULL, NOT_SORTED, TOO_LARGE = range(5)

_U = np.uint64
_8 = _U(8)
_SPACE, _TAB, _NEWLINE = (_U(c) for c in b" \t\n")


@exact_kernel
def _compare_words(a, n_a, b, n_b):
    """Below 0, 0 or above 0, as the first word comes before the second one."""
    n = min(n_a, n_b)
    for done in range(_U(0), _U(n), _8):
        differ = load64(a + done) ^ load64(b + done)
        if differ != _U(0):
            at = done + (trailing_zeros(differ) >> _U(3))
            if at < n:
                return np.int64(load8(a + at)) - np.int64(load8(b + at))
            break
    return np.int64(n_a) - np.int64(n_b)


@exact_kernel
def _compare(a, a_lengths, n_a, b, b_lengths, n_b):
    for k in range(_U(min(n_a, n_b))):
        step = k << _U(3)
        order = _compare_words(load64(a + step), load64(a_lengths + step), load64(b + step), load64(b_lengths + step))
        if order != 0:
            return order
    return np.int64(n_a) - np.int64(n_b)


@exact_kernel
def _ngram(inputs, i):
    """The n-gram of the line at hand of an input."""
    first, line = inputs[i, WORD] << _U(3), inputs[i, LINE] << _U(3)
    return inputs[i, WORDS_AT] + first, inputs[i, LENGTHS] + first, load64(inputs[i, N_WORDS] + line)


@exact_kernel
def _before(inputs, i, j):
    a, a_lengths, n_a = _ngram(inputs, i)
    b, b_lengths, n_b = _ngram(inputs, j)
    return _compare(a, a_lengths, n_a, b, b_lengths, n_b) < 0


@exact_kernel
def sift_down(inputs, heap, at, size):
    """Put the input heap[at] in its place among those below it in the heap, which has ``size``."""
    moving = heap[at]
    while 2 * at + 1 < size:
        child = 2 * at + 1
        if child + 1 < size and _before(inputs, heap[child + 1], heap[child]):
            child += 1
        if not _before(inputs, heap[child], moving):
            break
        heap[at] = heap[child]
        at = child
    heap[at] = moving


@exact_kernel
def make_heap(inputs, heap, size):
    """Order heap[:size] int64, inputs that have lines, so that the first has the first line."""
    for at in range(size // 2 - 1, -1, -1):
        sift_down(inputs, heap, at, size)


@exact_kernel
def join(inputs, heap, pending_at, pending_lengths, out, state):
    """Write lines to ``out`` from state[WRITTEN] on, until something is needed: state[STOP].

    inputs (k, N_FIELDS) uint64; heap (k,) int64: those that have lines, as ``make_heap`` leaves them.
    pending_at, pending_lengths (MAX_ORDER,) uint64: the words in ``out`` of the n-gram that is being added up.
    After FULL, which comes between two n-grams only, state[WRITTEN] may be put back.
    """
    base = _U(out.ctypes.data)
    at, end = base + _U(state[WRITTEN]), base + _U(out.size)
    a, a_lengths = _U(pending_at.ctypes.data), _U(pending_lengths.ctypes.data)
    stop = DONE
    while state[HEAP_SIZE] > 0:
        i = heap[0]
        if state[MOVED]:
            if inputs[i, LINE] >= inputs[i, N_LINES]:
                stop = EMPTY
                break
            sift_down(inputs, heap, 0, state[HEAP_SIZE])
            state[MOVED] = 0
            i = heap[0]
        words, lengths, n = _ngram(inputs, i)
        if state[PENDING] > 0:
            order = _compare(a, a_lengths, _U(state[PENDING]), words, lengths, n)
            if order > 0:
                stop = NOT_SORTED
                break
            if order < 0:
                store8(at, _TAB)
                at = write_count(_U(state[COUNT]), at + _U(1))
                store8(at, _NEWLINE)
                at += _U(1)
                state[PENDING] = 0
        if state[PENDING] == 0:
            need = _U(LONGEST_COUNT + 2 + SLACK) + n
            for k in range(n):
                need += load64(lengths + (k << _U(3)))
            if at + need > end:
                state[NEED] = np.int64(need)
                stop = FULL
                break
            for k in range(n):
                if k > _U(0):
                    store8(at, _SPACE)
                    at += _U(1)
                length = load64(lengths + (k << _U(3)))
                pending_at[k], pending_lengths[k] = at, length
                at = write_word(load64(words + (k << _U(3))), length, at)
            state[PENDING], state[COUNT] = np.int64(n), 0
        state[COUNT] += np.int64(load64(inputs[i, COUNTS] + (inputs[i, LINE] << _U(3))))
        if state[COUNT] > LARGEST:
            stop = TOO_LARGE
            break
        inputs[i, WORD] += n
        inputs[i, LINE] += _U(1)
        state[MOVED] = 1
    if stop == DONE and state[PENDING] > 0:
        store8(at, _TAB)
        at = write_count(_U(state[COUNT]), at + _U(1))
        store8(at, _NEWLINE)
        at += _U(1)
        state[PENDING] = 0
    state[WRITTEN] = np.int64(at - base)
    state[STOP] = stop
