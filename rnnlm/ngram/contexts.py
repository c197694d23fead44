"""Histories and their n-grams: which node is the context of which, and the sums over the n-grams of a context.

Legend: n the order, k a node of order n, j its parent (the same word after a shorter history), x its
context: the history itself, a node of order n - 1.  Parents and contexts are rows of one array, ``upper``.

Contexts are cut into ranges of their newest word, so that the sums of one range stay in the cache and
each range is one thread's.  Below every word w0 the nodes of a cut are a range, too: from lo[w0] to hi[w0].
Functions go through a piece of a cut, the words words[0] to words[1]; ``links`` holds the contexts of its
nodes in the order in which all of them go.
"""

from __future__ import annotations

import numpy as np

from corpora.bytes_simd import below_of_4, below_of_8, bit_count, load32, prefetch
from corpora.jit import exact_kernel
from rnnlm.ngram.trie import CHILD, FIRST_WORD, PROB, WORD

# marks in WORD, while estimating
DROPPED = np.uint32(1 << 31)  # the n-gram is left out
HISTORY = np.uint32(1 << 30)  # n-grams that are not left out have it as (the end of) their history
TOTAL, TAKEN, TYPES = 0, 1, 2  # columns of a context's sums
_MASK = np.uint32((1 << 30) - 1)
_U = np.uint64
_IDS = _U(_MASK)
_ROW = _U(4)  # rows of 4 columns are 2^4 bytes
_CHILD = _U(4 * CHILD)
_LINE, _LINES = _U(64), 3  # bytes of a cache line, and how many are looked at before the search is by halves
_NEAR, _FAR = 8, 16  # parents between a prefetch and its use


@exact_kernel
def cut_bigrams(unigrams, bigrams, first_word, out):
    """out (ids,) uint32: for every word the first of its bigrams whose context is ``first_word`` or later."""
    for word in range(out.size):
        lo, hi = np.int64(unigrams[word, CHILD]), np.int64(unigrams[word + 1, CHILD])
        while lo < hi:
            middle = (lo + hi) >> 1
            if (bigrams[middle, WORD] & _MASK) < first_word:
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
def find(siblings, row, lo, hi, word, at):
    """The row of ``word`` among the siblings lo to hi; or where it would be.  All numbers are uint64.

    ``siblings``: the address of their array, of rows of 2^row bytes, row 3 or 4; an array would be counted
    here, atomically.  at: lo <= at < hi, about where it is.  A cache line of siblings is looked at at once.
    """
    in_line = _LINE >> row
    line = (siblings + (at << row)) & ~(_LINE - _U(1))
    for _ in range(_LINES):
        # rows of the line that are no siblings do not count; the first may be before the array
        before = siblings + (lo << row)
        skip = (before - line) >> row if before > line else _U(0)
        first = lo if before > line else (line - siblings) >> row
        n = min(in_line - skip, hi - first)
        bits = below_of_4(line, word, _IDS) if row == _ROW else below_of_8(line, word, _IDS)
        n_below = bit_count((bits >> skip) & ((_U(1) << n) - _U(1)))
        place = first + n_below
        if n_below == n and place < hi:
            line += _LINE
        elif n_below == _U(0) and first > lo:
            line -= _LINE
            if load32(siblings + ((first - _U(1)) << row)) & _IDS < word:
                return place
        else:
            return place
    return _search(siblings, row, lo, hi, word, min(place, hi - _U(1)))


@exact_kernel
def _search(siblings, row, lo, hi, word, at):
    """``find`` where the guess is far off: in steps that double, then by halves."""
    step = _U(8)
    if load32(siblings + (at << row)) & _IDS < word:
        lo = at + _U(1)
        while lo < hi:
            at = lo + step - _U(1)
            if at >= hi:
                break
            if load32(siblings + (at << row)) & _IDS >= word:
                hi = at
                break
            lo = at + _U(1)
            step += step
    else:
        hi = at
        while hi >= lo + step:
            at = hi - step
            if load32(siblings + (at << row)) & _IDS < word:
                lo = at + _U(1)
                break
            hi = at
            step += step
    while lo < hi:
        at = (lo + hi) >> _U(1)
        if load32(siblings + (at << row)) & _IDS < word:
            lo = at + _U(1)
        else:
            hi = at
    return lo


@exact_kernel
def link_bigrams(bigrams, lo, hi, words, links, kept):
    """links (n,) uint32: the contexts of a cut's bigrams, the rows of their older words.

    ``kept`` (M,) uint32 gets them by node, if it is not empty.
    """
    t = _U(0)
    for word in range(_U(words[0]), _U(words[1])):
        for k in range(_U(lo[word]), _U(hi[word])):
            context = bigrams[k, WORD] & _MASK
            links[t] = context
            if kept.size > 0:
                kept[k] = context
            t += _U(1)


@exact_kernel
def link(nodes, upper, above, contexts, lo, hi, words, links, kept):
    """As ``link_bigrams``, for the nodes of order n >= 3 below the parents lo to hi.

    The context of a node is the child of its parent's context that has the node's own oldest word.
    ``above``: the nodes of order n - 2.  contexts (M,) uint32: of the nodes of order n - 1.
    """
    t = _U(0)
    per_id = 1.0 / lo.size
    first_above, first_upper, first_node = _U(above.ctypes.data), _U(upper.ctypes.data), _U(nodes.ctypes.data)
    node_size = _U(nodes.shape[1] * 4)
    first_context, context_size = _U(contexts.ctypes.data), _U(contexts.strides[0])
    n_contexts, n_above = _U(contexts.size), _U(above.shape[0] - 1)
    keeps = kept.size > 0
    for word in range(_U(words[0]), _U(words[1])):
        for j in range(_U(lo[word]), _U(hi[word])):
            # in two steps, each of which fetches what the next one reads: the row of the context, and
            # where among its children the word may be
            if j + _U(_FAR) < n_contexts:
                context = load32(first_context + (j + _U(_FAR)) * context_size)
                prefetch(first_above + (context << _ROW))
                context = load32(first_context + (j + _U(_NEAR)) * context_size)
                # contexts of nodes that are not of this cut may be anything
                if context < n_above:
                    first = load32(first_above + (context << _ROW) + _CHILD)
                    stop = load32(first_above + (context << _ROW) + _U(16) + _CHILD)
                    k = load32(first_upper + ((j + _U(_NEAR)) << _ROW) + _CHILD)
                    oldest = load32(first_node + k * node_size) & _IDS
                    prefetch(first_upper + ((first + _U(oldest * per_id * (stop - first))) << _ROW))
            k = load32(first_upper + (j << _ROW) + _CHILD)
            end = load32(first_upper + (j << _ROW) + _U(16) + _CHILD)
            if k == end:
                continue
            context = load32(first_context + j * context_size)
            at = load32(first_above + (context << _ROW) + _CHILD)
            stop = load32(first_above + (context << _ROW) + _U(16) + _CHILD)
            scale = per_id * (stop - at)
            before = _U(0)
            while k < end:
                oldest = load32(first_node + k * node_size) & _IDS
                if load32(first_upper + (at << _ROW)) & _IDS != oldest:
                    guess = at + _U((oldest - before) * scale)
                    at = find(first_upper, _ROW, at, stop, oldest, min(guess, stop - _U(1)))
                before = oldest
                links[t] = at
                if keeps:
                    kept[k] = at
                t += _U(1)
                k += _U(1)
                at += _U(1)


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
