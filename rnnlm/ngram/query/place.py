"""N-grams of one order become rows of a trie: the kernels of ``rnnlm.ngram.query.build``.

Legend: A rows of the order above (shorter n-grams), M n-grams of this order, K blank ones.  ``above``
(A + 1, 4) and ``nodes`` (M + 1, 2 or 4) are uint32, as in ``rnnlm.ngram.trie``.
"""

from __future__ import annotations

import numpy as np

from corpora.compute.jit import exact_kernel
from rnnlm.ngram.counting.suffix_sort import quicksort
from rnnlm.ngram.trie import BACKOFF, CHILD, PROB, TOP_PROB, WORD

_U = np.uint64
_INSERTION = 24  # up to that many siblings are sorted by insertion
_BLANK_BITS, _ZERO_BITS = np.float32(1.0).view(np.uint32), np.uint32(0)


@exact_kernel
def count_children(above, parents):
    """The CHILD column of ``above``, overwritten: where the children of each row begin.

    parents (M,) uint32: the rows above which the n-grams belong to, in any order.
    """
    for r in range(_U(above.shape[0])):
        above[r, CHILD] = 0
    for i in range(_U(parents.size)):
        above[_U(parents[i]) + _U(1), CHILD] += np.uint32(1)
    for r in range(_U(1), _U(above.shape[0])):
        above[r, CHILD] += above[r - _U(1), CHILD]


@exact_kernel
def place_nodes(places, parents, ids, probs, backoffs, nodes):
    """Write every n-gram to the next free row of its parent, in the order given.

    places (A,) uint32: the first row of each parent; each ends as the first row of the next parent.
    ids (M, n) uint32; probs, backoffs (M,) uint32, the bits of float32 (in the highest order, where nodes
    have two columns, the backoffs are not looked at).  nodes: all rows but the sentinel are overwritten.
    """
    is_highest = nodes.shape[1] == 2
    for i in range(_U(parents.size)):
        parent = _U(parents[i])
        row = _U(places[parent])
        places[parent] = np.uint32(row + _U(1))
        nodes[row, WORD] = ids[i, 0]
        if is_highest:
            nodes[row, TOP_PROB] = probs[i]
        else:
            nodes[row, CHILD] = 0
            nodes[row, PROB] = probs[i]
            nodes[row, BACKOFF] = backoffs[i]


@exact_kernel
def sort_siblings(above, nodes):
    """Sort the children of every row of ``above`` by WORD; the first row whose word its left neighbour has, or 0."""
    width = _U(nodes.shape[1])
    row = np.empty(4, np.uint32)
    stack = np.empty((64, 2), np.int64)
    for parent in range(_U(above.shape[0] - 1)):
        lo, hi = _U(above[parent, CHILD]), _U(above[parent + _U(1), CHILD])
        in_order = True
        for r in range(lo + _U(1), hi):
            in_order &= nodes[r - _U(1), WORD] < nodes[r, WORD]
        if in_order:
            continue
        if hi - lo <= _U(_INSERTION):
            for r in range(lo + _U(1), hi):
                for c in range(width):
                    row[c] = nodes[r, c]
                place = r
                while place > lo and nodes[place - _U(1), WORD] > row[WORD]:
                    for c in range(width):
                        nodes[place, c] = nodes[place - _U(1), c]
                    place -= _U(1)
                for c in range(width):
                    nodes[place, c] = row[c]
        else:
            pairs, unsorted = np.empty((hi - lo, 2), np.uint64), np.empty((hi - lo, 4), np.uint32)
            for k in range(hi - lo):
                pairs[k, 0], pairs[k, 1] = (_U(nodes[lo + k, WORD]) << _U(32)) | k, k
                for c in range(width):
                    unsorted[k, c] = nodes[lo + k, c]
            quicksort(pairs, np.int64(0), np.int64(hi - lo), stack)
            for k in range(hi - lo):
                source = pairs[k, 1]
                for c in range(width):
                    nodes[lo + k, c] = unsorted[source, c]
        for r in range(lo + _U(1), hi):
            if nodes[r - _U(1), WORD] == nodes[r, WORD]:
                return r
    return _U(0)


@exact_kernel
def insert_blanks(above, nodes, parents, words, merged):
    """Copy the rows of ``nodes`` to ``merged`` (M + K + 1, 4) with K blank ones among them.

    parents (K,) uint32, rows above, and words (K,) uint32, both sorted as one key.  The CHILD column of
    ``above`` follows the rows; that of a blank row says that it has no children.
    """
    lo = _U(above[0, CHILD])
    k, out = _U(0), _U(0)
    n_blanks = _U(parents.size)
    for parent in range(_U(above.shape[0] - 1)):
        hi = _U(above[parent + _U(1), CHILD])
        above[parent, CHILD] = np.uint32(out)
        row = lo
        while row < hi or (k < n_blanks and parents[k] == parent):
            if k < n_blanks and parents[k] == parent and (row == hi or words[k] < nodes[row, WORD]):
                merged[out, WORD] = words[k]
                merged[out, CHILD] = nodes[row, CHILD]  # of the row that follows, or of the sentinel
                merged[out, PROB] = _BLANK_BITS
                merged[out, BACKOFF] = _ZERO_BITS
                k += _U(1)
            else:
                for c in range(_U(4)):
                    merged[out, c] = nodes[row, c]
                row += _U(1)
            out += _U(1)
        lo = hi
    above[_U(above.shape[0] - 1), CHILD] = np.uint32(out)
    for c in range(_U(4)):
        merged[out, c] = nodes[lo, c]
