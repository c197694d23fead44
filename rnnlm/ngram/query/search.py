"""Finding nodes in a trie's arrays (see ``rnnlm.ngram.trie``).  M rows of one order."""

from __future__ import annotations

import numpy as np

from corpora.compute.bytes_simd import prefetch
from corpora.compute.jit import exact_kernel
from rnnlm.ngram.trie import BACKOFF, CHILD, NO_BACKOFF_BITS, PROB, WORD

MISSING = 0xFFFFFFFF  # in place of a row

_U = np.uint64
_MISSING = _U(MISSING)
_NO_BACKOFF = np.uint32(NO_BACKOFF_BITS)
_BATCH = 32  # n-grams that are looked up side by side: their cache lines arrive together
_AHEAD = 8  # nodes between a prefetch and the use of what it brings
_MANY = 64  # siblings
_ROW_BYTES = _U(16)
_GUESSES = 8  # after that many the siblings are not as evenly spread as thought: the interval is halved from then on


@exact_kernel
def find_child(nodes, lo, hi, word, n_words):
    """The row of a word among the siblings lo ... hi - 1, sorted by WORD; MISSING where it is not there.

    nodes (M, 2 or more) uint32; lo, hi, word and n_words, above every word, are uint64.
    Interpolation: for words that are spread evenly log log (hi - lo) rows are looked at.
    """
    per_id = (np.float64(hi) - np.float64(lo)) / np.float64(n_words)
    return _search(nodes, np.int64(lo), np.int64(hi), np.int64(word), per_id, np.int64(lo) + np.int64(word * per_id))


@exact_kernel
def _search(nodes, lo, hi, word, per_id, guess):
    """As ``find_child``, of int64, with a first guess; per_id: how many rows there are to one id."""
    guesses = 0
    while lo < hi:
        guess = min(max(guess, lo), hi - 1) if guesses < _GUESSES else (lo + hi) >> 1
        guesses += 1
        found = np.int64(nodes[_U(guess), WORD])
        if found == word:
            return _U(guess)
        if found < word:
            lo = guess + 1
        else:
            hi = guess
        guess += np.int64((word - found) * per_id)
    return _MISSING


@exact_kernel
def descend(above, nodes, ids, column, n_words, rows):
    """One step down from each of K nodes: rows (K,) uint32, in and out, MISSING where there is no node.

    above (A + 1, 4), nodes (M + 1, 2 or 4) uint32: two neighbouring orders.  ids (K, n) uint32: the word
    of step k is ids[k, column].
    """
    lo = np.empty(_BATCH, np.int64)
    hi = np.empty(_BATCH, np.int64)
    guesses = np.empty(_BATCH, np.int64)
    above_at, above_bytes = _U(above.ctypes.data), _U(4 * above.shape[1])
    nodes_at, row_bytes = _U(nodes.ctypes.data), _U(4 * nodes.shape[1])
    per_id = 1.0 / n_words
    for start in range(_U(0), _U(rows.size), _U(_BATCH)):
        n = min(_U(_BATCH), _U(rows.size) - start)
        for j in range(n):
            row = _U(rows[start + j])
            if row != _MISSING:
                prefetch(above_at + row * above_bytes)
        for j in range(n):
            row = _U(rows[start + j])
            lo[j] = hi[j] = guesses[j] = 0
            if row != _MISSING:
                lo[j] = above[row, CHILD]
                hi[j] = above[row + _U(1), CHILD]
                guesses[j] = lo[j] + np.int64(ids[start + j, column] * per_id * (hi[j] - lo[j]))
                prefetch(nodes_at + _U(guesses[j]) * row_bytes)
        for j in range(n):
            if hi[j] - lo[j] > _MANY:  # the first guess is some lines away
                guess = min(guesses[j], hi[j] - 1)
                found = np.int64(nodes[_U(guess), WORD])
                guess += np.int64((np.int64(ids[start + j, column]) - found) * per_id * (hi[j] - lo[j]))
                guesses[j] = min(max(guess, lo[j]), hi[j] - 1)
                prefetch(nodes_at + _U(guesses[j]) * row_bytes)
        for j in range(n):
            word = np.int64(ids[start + j, column])
            rows[start + j] = _search(nodes, lo[j], hi[j], word, per_id * (hi[j] - lo[j]), guesses[j])


@exact_kernel
def first_without_context(nodes, rows):
    """The first k whose rows[k] is no context (``is_context``); the number of rows where there is none.

    nodes (M + 1, 4) uint32, of the rows' order.
    """
    for k in range(_U(rows.size)):
        if not is_context(nodes, _U(rows[k])):
            return k
    return _U(rows.size)


@exact_kernel
def follow_contexts(two_above, above, nodes, n_words, contexts_above, contexts):
    """contexts (M,) uint32, overwritten: for each node the row ``above`` of its n-gram without the newest word.

    two_above (B + 1, 4), above (A + 1, 4), nodes (M + 1, 2 or 4) uint32: three neighbouring orders.
    contexts_above (A,): the same for the rows above, in two_above.  MISSING where there is no such node:
    the context of a child is a child of its parent's context, with the same word.
    Returns how many n-grams have a context that cannot be one (``is_context``); blank nodes need none.
    """
    n_without = 0
    is_highest = nodes.shape[1] == 2
    two_above_at, above_at = _U(two_above.ctypes.data), _U(above.ctypes.data)
    n_parents = _U(contexts_above.size)
    per_id = 1.0 / n_words
    for parent in range(n_parents):
        ahead = parent + _U(2 * _AHEAD)
        if ahead < n_parents and contexts_above[ahead] != _MISSING:
            prefetch(two_above_at + _U(contexts_above[ahead]) * _ROW_BYTES)
        ahead = parent + _U(_AHEAD)
        if ahead < n_parents and contexts_above[ahead] != _MISSING:
            context = _U(contexts_above[ahead])
            lo, hi = _U(two_above[context, CHILD]), _U(two_above[context + _U(1), CHILD])
            guess = lo + _U(nodes[_U(above[ahead, CHILD]), WORD] * per_id * np.float64(hi - lo))
            prefetch(above_at + guess * _ROW_BYTES)
        context = _U(contexts_above[parent])
        lo, hi = _U(0), _U(0)
        if context != _MISSING:
            lo, hi = _U(two_above[context, CHILD]), _U(two_above[context + _U(1), CHILD])
        for row in range(_U(above[parent, CHILD]), _U(above[parent + _U(1), CHILD])):
            found = find_child(above, lo, hi, _U(nodes[row, WORD]), _U(n_words))
            contexts[row] = found
            if not is_context(above, found):
                n_without += is_highest or not _is_blank(nodes[row, PROB])
    return n_without


@exact_kernel
def _is_blank(prob):
    """Whether the float32 of these bits is above 0."""
    return np.uint32(0) < prob < np.uint32(0x80000000)


@exact_kernel
def is_context(nodes, row):
    """Whether n-grams can follow that of a row: it is there, no blank, and has a back-off weight."""
    return row != _MISSING and not _is_blank(nodes[row, PROB]) and nodes[row, BACKOFF] != _NO_BACKOFF
