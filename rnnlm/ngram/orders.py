"""What is done to all nodes of an order, or to one order and the next."""

from __future__ import annotations

import numpy as np

from corpora.jit import exact_kernel
from rnnlm.ngram.trie import CHILD, FIRST_WORD, PROB, WORD

# marks in WORD, while estimating
DROPPED = np.uint32(1 << 31)  # the n-gram is left out
HISTORY = np.uint32(1 << 30)  # n-grams that are not left out have it as (the end of) their history
_U = np.uint64


@exact_kernel
def cut_bigrams(unigrams, bigrams, first_word, out):
    """out (ids,) uint32: for every word the first of its bigrams whose context is ``first_word`` or later."""
    for word in range(out.size):
        lo, hi = np.int64(unigrams[word, CHILD]), np.int64(unigrams[word + 1, CHILD])
        while lo < hi:
            middle = (lo + hi) >> 1
            if bigrams[middle, WORD] < first_word:
                lo = middle + 1
            else:
                hi = middle
        out[word] = lo


@exact_kernel
def cut_below(upper, places, out):
    """out (ids,): the first children of the nodes at ``places``."""
    for word in range(_U(out.size)):
        out[word] = upper[places[word], CHILD]


@exact_kernel
def continuation_counts(nodes, unigrams):
    """Replace each count by the number of different words before the n-gram; what begins with <s> keeps its own."""
    for k in range(_U(nodes.shape[0] - 1)):
        children = nodes[k + _U(1), CHILD] - nodes[k, CHILD]
        if children > np.uint32(0) and not (unigrams and k < _U(FIRST_WORD)):
            nodes[k, PROB] = children


@exact_kernel
def count_counts(counts, out):
    """out[c] += how often count c is there, the last entry for all that are larger.  counts (M,) uint32, strided."""
    last = np.uint32(out.size - 1)
    for k in range(_U(counts.size)):
        out[min(counts[k], last)] += 1


@exact_kernel
def keep_histories(nodes, parents):
    """Whatever is a HISTORY, or the end of one, is not DROPPED.  ``nodes`` are done already."""
    for j in range(_U(parents.shape[0] - 1)):
        for k in range(_U(parents[j, CHILD]), _U(parents[j + _U(1), CHILD])):
            if nodes[k, WORD] & HISTORY:
                parents[j, WORD] = (parents[j, WORD] | HISTORY) & ~DROPPED


@exact_kernel
def compact(nodes, parents):
    """Remove the nodes that are DROPPED and have no children, moving the others up; returns how many are left.

    nodes (M + 1, columns) of order n, whose own CHILD column is right already; that of ``parents`` is corrected.
    """
    has_children = nodes.shape[1] > 2
    out = _U(0)
    k = _U(0)
    columns = nodes.shape[1]
    for j in range(_U(parents.shape[0] - 1)):
        end = _U(parents[j + _U(1), CHILD])
        parents[j, CHILD] = out
        while k < end:
            keep = nodes[k, WORD] & DROPPED == np.uint32(0)
            if has_children and nodes[k + _U(1), CHILD] > nodes[k, CHILD]:
                keep = True
            if keep:
                for c in range(columns):
                    nodes[out, c] = nodes[k, c]
                out += _U(1)
            k += _U(1)
    parents[_U(parents.shape[0] - 1), CHILD] = out
    for c in range(columns):
        nodes[out, c] = nodes[k, c]
    return out
