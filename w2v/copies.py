"""Kernels that copy rows of matrices out, and bring several copies together again (``w2v.lanes``)."""

from __future__ import annotations

import numpy as np

from corpora.jit import kernel
from corpora.simd import pointer, scalar
from w2v.rows import ask_for_row

NONE = np.int32(-1)
_AHEAD = 6  # rows between a prefetch and its use


@kernel
def number(ids, n, numbers, words, hits, n_words):
    """Replace ids[:n] by their numbers in ``words``, in order of appearance; returns how many there are.

    numbers (V,) int32: -1 for those that have none yet.  hits (V,) float32: by number, how often it is in ids, added.
    """
    for i in range(n):
        word = ids[i]
        own = numbers[word]
        if own < 0:
            own = np.int32(n_words)
            numbers[word] = own
            words[n_words] = word
            hits[n_words] = np.float32(0.0)
            n_words += 1
        hits[own] += np.float32(1.0)
        ids[i] = own
    return n_words


@kernel
def forget(words, n_words, numbers):
    for i in range(n_words):
        numbers[words[i]] = NONE


@kernel
def count(words, n_words, present):
    """Count in present (V,) how many lanes have each of their words."""
    for i in range(n_words):
        present[words[i]] += 1


@kernel
def choose_places(words, n_inputs, n_words, present, first, places, copied, hits, input_hits):
    """Where a lane finds its words: in the rows from ``first`` on if other lanes have them, too, else where they are.

    places (n_words,) int32: rows, by the lane's own numbers.  copied (n_words,) int32: the words that are copied, in
    the order of their rows; hits and input_hits, by number, become theirs.  Returns how many of the first n_inputs
    words are copied, and of all.
    """
    n, n_copied_inputs = 0, 0
    for i in range(n_words):
        word = words[i]
        if present[word] > 1:
            places[i] = first + n
            copied[n] = word
            hits[n] = hits[i]
            input_hits[n] = input_hits[i]
            n += 1
            n_copied_inputs += i < n_inputs
        else:
            places[i] = word
    return n_copied_inputs, n


@kernel
def replace(ids, n, places):
    """Replace ids[:n] by places[id]."""
    for i in range(n):
        ids[i] = places[ids[i]]


@kernel
def copy_rows(matrix, words, n_words, out):
    width, rows = matrix.shape[1], pointer(matrix)
    for i in range(n_words):
        if i + _AHEAD < n_words:
            ask_for_row(rows, np.int64(words[i + _AHEAD]) * width, width)
        word = words[i]
        for k in range(width):
            out[i, k] = matrix[word, k]


@kernel
def count_lanes(words, n_words, hits, lanes, all_hits):
    """Count how many lanes have each row, and how often it occurs in all of them."""
    for i in range(n_words):
        lanes[words[i]] += 1
        all_hits[words[i]] += hits[i]


@kernel
def share_of(n_lanes, hits, rate):
    """The part of each lane's change that is added to a row."""
    return 1.0 / (1.0 + (n_lanes - 1) * (1.0 - np.exp(-rate * hits / n_lanes)))


@kernel
def merge(matrix, words, n_words, copy, lanes, all_hits, rate, part, n_parts):
    """Bring a lane's rows whose numbers leave the remainder ``part`` into the matrix.

    lanes (V,) int32: how many lanes have a row; that becomes negative with the first one, which sets the row to
    (1 - c share) row + share copy.
    """
    width, rows, copies = matrix.shape[1], pointer(matrix), pointer(copy)
    for i in range(n_words):
        if i + _AHEAD < n_words and words[i + _AHEAD] % n_parts == part:
            ask_for_row(rows, np.int64(words[i + _AHEAD]) * width, width)
            ask_for_row(copies, (i + _AHEAD) * width, width)
        word = words[i]
        if word % n_parts != part:
            continue
        n_lanes = abs(lanes[word])
        if n_lanes == 1:
            for k in range(width):
                matrix[word, k] = copy[i, k]
            continue
        share = share_of(np.float64(n_lanes), np.float64(all_hits[word]), rate)
        left = scalar(matrix, 1.0 - n_lanes * share if lanes[word] > 0 else 1.0)
        lanes[word] = -n_lanes
        factor = scalar(matrix, share)
        for k in range(width):
            matrix[word, k] = left * matrix[word, k] + factor * copy[i, k]


@kernel
def clear(words, n_words, lanes, all_hits):
    for i in range(n_words):
        lanes[words[i]] = 0
        all_hits[words[i]] = np.float32(0.0)


@kernel
def path_nodes(words, n_words, offsets, points, own_offsets, own_points):
    """The paths of ``words``, one after another; returns how many nodes they have together."""
    size = 0
    for i in range(n_words):
        own_offsets[i] = size
        for k in range(offsets[words[i]], offsets[words[i] + 1]):
            own_points[size] = points[k]
            size += 1
    own_offsets[n_words] = size
    return size


@kernel
def count_paths(own_offsets, own_points, n_words, word_hits, hits):
    """Add to each node's hits (nodes,) those of the words whose paths it is on."""
    for i in range(n_words):
        for k in range(own_offsets[i], own_offsets[i + 1]):
            hits[own_points[k]] += word_hits[i]


@kernel
def path_codes(words, n_words, offsets, codes, own_codes):
    size = 0
    for i in range(n_words):
        for k in range(offsets[words[i]], offsets[words[i] + 1]):
            own_codes[size] = codes[k]
            size += 1
