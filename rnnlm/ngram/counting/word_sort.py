"""Words in the order of their bytes."""

from __future__ import annotations

import numpy as np

from corpora.compute.bytes_simd import load8
from corpora.compute.jit import exact_kernel
from rnnlm.ngram.counting.suffix_sort import quicksort, radix_sort

_U = np.uint64
_RADIX = 3000  # from here on a radix sort is faster


@exact_kernel
def _key(address, length):
    """The first 8 of so many bytes as a number that is compared as they are; zeros where there are fewer."""
    key = _U(0)
    for k in range(_U(8)):
        key <<= _U(8)
        if k < length:
            key |= load8(address + k)
    return key


@exact_kernel
def sort_words(address, offsets, pairs, other, counters):
    """pairs (V, 2) uint64, overwritten: in column 1 the numbers of the words, sorted by their bytes.

    Word i is at address + offsets[i], offsets (V + 1,) int64.  The words are different.  Eight bytes are compared
    at a time; words that agree in them are sorted by the next ones.
    other: (V, 2), counters: (6, 2^11) uint32; scratch.
    """
    n = offsets.size - 1
    base = _U(address)
    stack = np.empty((64, 2), np.int64)
    runs = np.empty((n // 2 + 2, 3), np.int64)  # start, end and bytes in common of those that wait
    for i in range(_U(n)):
        pairs[i, 1] = i
    runs[0, 0], runs[0, 1], runs[0, 2] = 0, n, 0
    n_runs = 1 if n > 1 else 0
    while n_runs > 0:
        n_runs -= 1
        start, end, common = runs[n_runs, 0], runs[n_runs, 1], runs[n_runs, 2]
        all_over = True
        for i in range(_U(start), _U(end)):
            word = pairs[i, 1]
            length = offsets[word + _U(1)] - offsets[word] - common
            all_over &= length <= 0
            pairs[i, 0] = _key(base + _U(offsets[word] + common), _U(max(length, 0)))
        if all_over:  # they differ in zero bytes at their ends
            for i in range(_U(start), _U(end)):
                word = pairs[i, 1]
                pairs[i, 0] = _U(offsets[word + _U(1)] - offsets[word])
        if end - start < _RADIX:
            quicksort(pairs, start, end, stack)
        elif radix_sort(pairs[start:end], other, end - start, counters):
            for i in range(_U(start), _U(end)):  # an assignment of slices would compile the text of an error
                pairs[i, 0], pairs[i, 1] = other[i - _U(start), 0], other[i - _U(start), 1]
        if all_over:
            continue
        i = start
        while i < end:
            j = i + 1
            while j < end and pairs[_U(j), 0] == pairs[_U(i), 0]:
                j += 1
            if j - i > 1:
                runs[n_runs, 0], runs[n_runs, 1], runs[n_runs, 2] = i, j, common + 8
                n_runs += 1
            i = j


def bytewise_order(words) -> np.ndarray:
    """The positions (V,) int64 of the words of a ``WordList``, all different, sorted by their bytes."""
    n = len(words)
    pairs, other = np.empty((n, 2), np.uint64), np.empty((n, 2), np.uint64)
    blob = np.ascontiguousarray(words.blob)
    sort_words(blob.ctypes.data, words.offsets, pairs, other, np.zeros((6, 1 << 11), np.uint32))
    return pairs[:, 1].astype(np.int64)
