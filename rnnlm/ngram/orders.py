"""What is done to all nodes of an order, or to one order and the next."""

from __future__ import annotations

import numpy as np

from corpora.compute.jit import exact_kernel
from rnnlm.ngram.trie import BACKOFF, CHILD, NO_BACKOFF_BITS, PROB, WORD

DROPPED = np.uint32(1 << 31)  # a mark in WORD: the n-gram is left out
_NO_BACKOFF = np.uint32(NO_BACKOFF_BITS)
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
def gather_ranges(values, starts, stops, out):
    """Copy values[starts[w] : stops[w]] of each word w to ``out``, one after the other; where the next one goes.

    values (M,) and out uint32; starts, stops (ids,) uint32.
    """
    at = _U(0)
    for word in range(_U(starts.size)):
        for k in range(_U(starts[word]), _U(stops[word])):
            out[at] = values[k]
            at += _U(1)
    return at


@exact_kernel
def scatter_ranges(values, starts, stops, out):
    """The way back: copy ``values``, one after the other, to out[starts[w] : stops[w]] of each word w."""
    at = _U(0)
    for word in range(_U(starts.size)):
        for k in range(_U(starts[word]), _U(stops[word])):
            out[k] = values[at]
            at += _U(1)
    return at


@exact_kernel
def count_contexts(bigrams, counts):
    """counts[w] += how many of the bigrams (M, columns) have the context w.  counts (ids,) int64."""
    for k in range(_U(bigrams.shape[0])):
        counts[bigrams[k, WORD]] += 1


@exact_kernel
def by_context(first_word, unigrams, bigrams, lo, places, rows, words):
    """Write the rows of bigrams and their newest words to where those of their contexts go.

    unigrams: the nodes of the words from first_word on, and the next one.  places (C + 1,) int64, overwritten: where
    the next bigram of context lo, lo + 1, ... goes, and at the end a place for all that have other contexts.
    """
    others = _U(places.size - 1)
    for j in range(_U(unigrams.shape[0] - 1)):
        for k in range(_U(unigrams[j, CHILD]), _U(unigrams[j + _U(1), CHILD])):
            context = min(_U(np.uint32(bigrams[k, WORD] - np.uint32(lo))), others)
            at = _U(places[context])
            rows[at], words[at] = np.uint32(k), np.uint32(_U(first_word) + j)
            places[context] += np.int64(context < others)


@exact_kernel
def continuation_counts(nodes, end):
    """Replace each count by the number of different words before the n-gram; what begins a sentence keeps its own.

    end: the first row after the children of the last of the nodes.
    """
    stop = np.uint32(end)
    for k in range(_U(nodes.shape[0]), _U(0), -1):
        first = nodes[k - _U(1), CHILD]
        if stop > first:
            nodes[k - _U(1), PROB] = stop - first
        stop = first


@exact_kernel
def count_counts(counts, out):
    """out[c] += how often count c is there, the last entry for all that are larger.  counts (M,) uint32, strided."""
    last = np.uint32(out.size - 1)
    for k in range(_U(counts.size)):
        out[min(counts[k], last)] += 1


@exact_kernel
def spread_contexts(upper, is_context, dropped, contexts, upper_is_context):
    """The end of a context is one, too, and so is the context of a context that would else be dropped.

    That one may have had nothing else after it; it needs a back-off weight then, which is 0.
    upper: the nodes of order n - 1.  is_context, dropped (M,) uint8, contexts (M,) uint32, the rows of the
    contexts of n-grams, are of order n; upper_is_context (rows of order n - 1,) uint8 gets ones.
    """
    for j in range(_U(upper.shape[0] - 1)):
        for k in range(_U(upper[j, CHILD]), _U(upper[j + _U(1), CHILD])):
            if is_context[k] != 0:
                upper_is_context[j] = 1
                if dropped[k] != 0:
                    context = _U(contexts[k])
                    upper_is_context[context] = 1
                    if upper[context, BACKOFF] == _NO_BACKOFF:
                        upper[context, BACKOFF] = 0


@exact_kernel
def mark_dropped(nodes, dropped, is_context):
    """Mark the n-grams that are dropped, (M,) uint8, and no contexts, (M,) uint8 or of no size."""
    for k in range(_U(dropped.size)):
        if dropped[k] != 0 and (is_context.size == 0 or is_context[k] == 0):
            nodes[k, WORD] |= DROPPED


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
