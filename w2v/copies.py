"""Kernels that copy rows of matrices out, and bring several copies together again (``w2v.lanes``)."""

from __future__ import annotations

import numpy as np

from corpora.compute.jit import exp, kernel
from corpora.compute.simd import pointer, scalar
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
def collect(words, n_words, hits, first, slots, n_rows, rows, copies, n_copies, all_hits):
    """Add the rows that a lane has copies of, from row ``first`` on, to a list; returns how long it is then.

    slots (V,) int32: where in the list a row is, -1 if nowhere.  By place in the list: rows (V,) int32, the row;
    copies (V, LANES) int32, where copies of it are, unused ones the row itself; n_copies (V,) int32; all_hits (V,)
    float32: how often it occurs in all lanes.
    """
    for i in range(n_words):
        word = words[i]
        slot = slots[word]
        if slot < 0:
            slot = np.int32(n_rows)
            slots[word], rows[slot] = slot, word
            for c in range(copies.shape[1]):
                copies[slot, c] = word
            n_copies[slot], all_hits[slot] = 0, np.float32(0.0)
            n_rows += 1
        copies[slot, n_copies[slot]] = first + i
        n_copies[slot] += 1
        all_hits[slot] += hits[i]
    return n_rows


@kernel
def share_of(n_copies, hits, rate):
    """The part of each copy's change that is added to a row."""
    return 1.0 / (1.0 + (n_copies - 1) * (1.0 - exp(-rate * hits / n_copies)))


@kernel
def merge(matrix, start, stop, slots, rows, copies, n_copies, all_hits, rate):
    """Bring the copies of the rows start to stop of a list (``collect``) together; they are in no list then.

    A row becomes (1 - c share) row + share (the sum of its c copies).
    """
    width, at = matrix.shape[1], pointer(matrix)
    for j in range(start, stop):
        if j + _AHEAD < stop:
            ask_for_row(at, np.int64(rows[j + _AHEAD]) * width, width)
            for c in range(copies.shape[1]):
                ask_for_row(at, np.int64(copies[j + _AHEAD, c]) * width, width)
        row, n = rows[j], n_copies[j]
        slots[row] = NONE
        share = share_of(np.float64(n), np.float64(all_hits[j]), rate)
        left, factor = scalar(matrix, 1.0 - n * share), scalar(matrix, share)
        for c in range(n):
            copy = copies[j, c]
            for k in range(width):
                matrix[row, k] = left * matrix[row, k] + factor * matrix[copy, k]
            left = scalar(matrix, 1.0)


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
