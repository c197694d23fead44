"""Back-off queries: the probability of every word of a text.  Katz (1987), the recursion of every ARPA file.

    log p(w | h) = log p(h w)                  where the n-gram h w is in the model
                   backoff(h) + log p(w | h')  where it is not; h' is h without its oldest word

Legend: n positions of a block, N the order, m the length of the n-grams at hand.

The positions of a block go down the trie together, one order after the other: what the next ones need
is fetched from memory while the present one is looked at.  The n-gram that ends at a word is also the
history of the next word, so the way down finds its back-off weights as well.
"""

from __future__ import annotations

import numpy as np

from corpora.bytes_simd import below_of_4, below_of_8, bit_count, load32, prefetch
from corpora.jit import exact_kernel
from rnnlm.ngram.trie import BACKOFF, CHILD, NONE, PROB, START, TOP_PROB, WORD, ZERO

ABSENT = np.uint32(0xFFFFFFFF)
_U = np.uint64
_FEW = 8  # siblings among which a better guess is not worth its trouble
_AHEAD, _SOON = 16, 8  # positions between a prefetch and its use, and a better one
_LINE, _LINES = _U(64), 3  # bytes of a cache line, and how many are looked at before the search is by halves
_ZERO = np.float32(ZERO)


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
        bits = below_of_4(line, word) if row == _U(4) else below_of_8(line, word)
        n_below = bit_count((bits >> skip) & ((_U(1) << n) - _U(1)))
        place = first + n_below
        if n_below == n and place < hi:
            line += _LINE
        elif n_below == _U(0) and first > lo:
            line -= _LINE
            if load32(siblings + ((first - _U(1)) << row)) < word:
                return place
        else:
            return place
    return _search(siblings, row, lo, hi, word, min(place, hi - _U(1)))


@exact_kernel
def _search(siblings, row, lo, hi, word, at):
    """``find`` where the guess is far off: in steps that double, then by halves."""
    step = _U(8)
    if load32(siblings + (at << row)) < word:
        lo = at + _U(1)
        while lo < hi:
            at = lo + step - _U(1)
            if at >= hi:
                break
            if load32(siblings + (at << row)) >= word:
                hi = at
                break
            lo = at + _U(1)
            step += step
    else:
        hi = at
        while hi >= lo + step:
            at = hi - step
            if load32(siblings + (at << row)) < word:
                lo = at + _U(1)
                break
            hi = at
            step += step
    while lo < hi:
        at = (lo + hi) >> _U(1)
        if load32(siblings + (at << row)) < word:
            lo = at + _U(1)
        else:
            hi = at
    return lo


@exact_kernel
def lay_out(ids, internal, unknown, eos, words):
    """words (>= 2 n,) uint32: the internal ids of ids (n,) int32, and START after every sentence end.

    ``unknown``: the internal id of words outside the vocabulary.  Returns how many were written.
    """
    at = _U(0)
    for i in range(_U(ids.size)):
        word = np.uint32(unknown) if ids[i] < 0 else internal[_U(ids[i])]
        words[at] = word
        at += _U(1)
        if word == eos:
            words[at] = START
            at += _U(1)
    return at


@exact_kernel
def enter(unigrams, words, start, log_prob, order, backoffs, path, active, rows, guesses):
    """The unigrams of the positions start, start + 1, ... of ``words``; those that go on, whose number is returned.

    log_prob (n,) float32, order (n,) int32, backoffs (n, N) float32: overwritten.  path (n, N) uint32: the rows
    of the n-grams that end at each position, ABSENT beyond the longest.  active (n,) int32: positions that go
    on; rows (n, 2) uint32: the range of their children; guesses (n,) uint32: where to look there.
    """
    values = unigrams.view(np.float32)
    address = _U(unigrams.ctypes.data)
    per_id = 1.0 / (unigrams.shape[0] - 1)
    n, n_active = _U(order.size), _U(0)
    backoffs[:] = 0.0
    path[:] = ABSENT
    deeper = backoffs.shape[1] > 1
    for i in range(n):
        at = _U(start) + i
        if i + _U(_AHEAD) < n:
            prefetch(address + (_U(words[at + _U(_AHEAD)]) << _U(4)))
        word = _U(words[at])
        log_prob[i] = values[word, PROB]
        order[i] = 0 if word == _U(NONE) else 1
        backoffs[i, 0] = values[word, BACKOFF]
        if word != _U(NONE):
            path[i, 0] = word
        if not deeper or word <= _U(START) or at == _U(0):
            continue
        first, stop = unigrams[word, CHILD], unigrams[word + _U(1), CHILD]
        before = words[at - _U(1)]
        if first != stop and before != NONE:
            active[n_active] = i
            rows[n_active, 0], rows[n_active, 1] = first, stop
            guesses[n_active] = first + np.uint32(before * per_id * (stop - first))
            n_active += _U(1)
    return n_active


@exact_kernel
def descend(nodes, m, n_ids, words, start, log_prob, order, backoffs, path, n_active, active, rows, guesses):
    """Go on to the n-grams of m words; ``nodes`` are theirs.  As ``enter``; returns how many go on."""
    values = nodes.view(np.float32)
    top = nodes.shape[1] == 2
    column = TOP_PROB if top else PROB
    address, row_bits = _U(nodes.ctypes.data), _U(3) if top else _U(4)
    per_id = 1.0 / n_ids
    left = _U(0)
    for a in range(_U(n_active)):
        if a + _U(_AHEAD) < _U(n_active):
            prefetch(address + (_U(guesses[a + _U(_AHEAD)]) << row_bits))
            # the one that comes soon was fetched: from what stands there, where its word will be
            soon = a + _U(_SOON)
            at, lo, hi = np.int64(guesses[soon]), np.int64(rows[soon, 0]), np.int64(rows[soon, 1])
            if hi - lo > _FEW:
                distance = np.int64(words[_U(start) + _U(active[soon]) + _U(1) - _U(m)])
                distance -= np.int64(load32(address + (_U(at) << row_bits)))
                at = min(max(at + np.int64(distance * per_id * (hi - lo)), lo), hi - 1)
                guesses[soon] = at
                prefetch(address + (_U(at) << row_bits))
        i = _U(active[a])
        at = _U(start) + i
        word = _U(words[at + _U(1) - _U(m)])
        lo, hi, guess = _U(rows[a, 0]), _U(rows[a, 1]), _U(guesses[a])
        row = find(address, row_bits, lo, hi, word, guess)
        if row >= hi or _U(nodes[row, WORD]) != word:
            continue
        p = values[row, column]
        if p <= np.float32(0.0):
            log_prob[i] = p
            order[i] = m
        path[i, m - 1] = row
        if not top:
            backoffs[i, m - 1] = values[row, BACKOFF]
            first, stop = nodes[row, CHILD], nodes[row + _U(1), CHILD]
            if first != stop and at >= _U(m):
                before = words[at - _U(m)]
                # the history of a longer n-gram is in the trie, too; of the first position it is not known
                if before != NONE and (i == _U(0) or path[i - _U(1), m - 1] != ABSENT):
                    active[left] = i
                    rows[left, 0], rows[left, 1] = first, stop
                    guesses[left] = first + np.uint32(before * per_id * (stop - first))
                    left += _U(1)
    return left


@exact_kernel
def add_backoffs(words, start, log_prob, order, backoffs, out, out_order):
    """out (tokens,) float64, out_order (tokens,) int32 of the positions after the first, START left out.

    The back-off weights of a word's history stand one position before it; they are added in float32
    from the shortest on, as SRILM does.  Returns how many tokens there were.
    """
    n_tokens = _U(0)
    for i in range(_U(1), _U(order.size)):
        if words[_U(start) + i] == START:
            continue
        length = order[i]
        total = np.float32(0.0)
        lowest = log_prob[i]  # a weight above 1 must not make a probability of a zero
        for m in range(max(length, 1), backoffs.shape[1]):
            weight = backoffs[i - _U(1), m - 1]
            total += weight
            lowest = min(lowest, weight)
        total += log_prob[i]
        out[n_tokens] = np.float64(total) if lowest > _ZERO else -np.inf
        out_order[n_tokens] = length
        n_tokens += _U(1)
    return n_tokens
