"""Kernels that copy rows of matrices out, and bring several copies together again (``w2v.lanes``)."""

from __future__ import annotations

import numpy as np

from corpora.jit import exp, kernel
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
def uncount(words, n_words, present):
    """Set present (V,) back to 0 for these words."""
    for i in range(n_words):
        present[words[i]] = 0


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
    return 1.0 / (1.0 + (n_lanes - 1) * (1.0 - exp(-rate * hits / n_lanes)))


@kernel
def part_of_row(row, n_parts):
    """Which of at most 64 parts a row belongs to: neighbours to different ones.  A remainder would take longer."""
    return ((np.int64(row) & 63) * n_parts) >> 6


@kernel
def merge(matrix, words, n_words, copy, lanes, all_hits, rate, part, n_parts):
    """Bring a lane's rows that belong to a part (``part_of_row``) into the matrix.

    lanes (V,) int32: how many lanes have a row; that becomes negative with the first one, which sets the row to
    (1 - c share) row + share copy.
    """
    width, rows, copies = matrix.shape[1], pointer(matrix), pointer(copy)
    for i in range(n_words):
        if i + _AHEAD < n_words and part_of_row(words[i + _AHEAD], n_parts) == part:
            ask_for_row(rows, np.int64(words[i + _AHEAD]) * width, width)
            ask_for_row(copies, (i + _AHEAD) * width, width)
        word = words[i]
        if part_of_row(word, n_parts) != part:
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
def length_of_paths(words, n_words, offsets):
    size = np.int64(0)
    for i in range(n_words):
        size += offsets[words[i] + 1] - offsets[words[i]]
    return size


@kernel
def own_paths(words, n_words, word_hits, tree, numbers, nodes, node_hits, own):
    """The paths of ``words``, one after another, in ``own``, with their nodes numbered in order of appearance.

    tree, own: ``HuffmanTree``.  numbers (V,) int32: -1 for all.  nodes (V,) int32, node_hits (V,) float32: by number,
    the node and how often the words whose paths it is on occur, word_hits (n_words,).  Returns the number of nodes.
    """
    offsets, points, codes = tree
    own_offsets, own_points, own_codes = own
    n_nodes, size = 0, 0
    for i in range(n_words):
        own_offsets[i] = size
        for k in range(offsets[words[i]], offsets[words[i] + 1]):
            node = points[k]
            number = numbers[node]
            if number < 0:
                number = np.int32(n_nodes)
                numbers[node] = number
                nodes[n_nodes], node_hits[n_nodes] = node, np.float32(0.0)
                n_nodes += 1
            node_hits[number] += word_hits[i]
            own_points[size], own_codes[size] = number, codes[k]
            size += 1
    own_offsets[n_words] = size
    return n_nodes
