"""Back-off queries: the probability of every word of a text.  Katz (1987), the recursion of every ARPA file.

    log p(w | h) = log p(h w)                  where the n-gram h w is in the model
                   backoff(h) + log p(w | h')  where it is not; h' is h without its oldest word

Legend: n positions of a block, N the order, m the length of the n-grams at hand.

The positions of a block go down the trie together, one order after the other, and every step is a pass
over all of them: what the next pass needs is fetched from memory meanwhile, and no pass waits for what it
has just asked for.  Nothing in a pass is decided by a branch that could be guessed wrong, which would end
what the processor does ahead of time; the passes are therefore short, and there are five to an order.

The n-gram that ends at a word is also the history of the next word, so the way down finds its back-off
weights as well.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from corpora.compute.bytes_simd import below_of_4, below_of_8, bit_count, load32, load_float32, prefetch
from corpora.compute.jit import exact_kernel
from rnnlm.ngram.trie import BACKOFF, CHILD, NONE, PROB, START, TOP_PROB, WORD, ZERO

ABSENT = np.uint32(0xFFFFFFFF)
_U = np.uint64
_BATCH = 1 << 7  # positions to a pass: most of what they ask for is still in the first cache level when it is used
_LINE = _U(64)  # bytes of a cache line
_MANY = 4  # longer n-grams have few siblings: the first guess is good
_FRACTION = _U(38)  # bits of a share of all ids: with those of an id and of a number of siblings fewer than 64
_ROW, _TOP_ROW = _U(4), _U(3)  # a row of nodes has 2 to the power of this many bytes
_ZERO = np.float32(ZERO)


class _Active(NamedTuple):
    """Positions that go on to longer n-grams, (batch,) arrays; the children of the n-gram found are rows lo to hi.

    ``word``: the next one back.  ``guess``: about which row has it, lo <= guess < hi; ``place``: an address there.
    """

    position: np.ndarray
    lo: np.ndarray
    hi: np.ndarray
    word: np.ndarray
    guess: np.ndarray
    place: np.ndarray


@exact_kernel
def _field(column):
    """Where a column is in a row, in bytes."""
    return _U(4 * column)


@exact_kernel
def _first_guess(word, lo, hi, per_id):
    """The row of a word if the siblings lo to hi are spread evenly; per_id: 1 / number of ids, as a ``_FRACTION``."""
    return lo + np.uint32((_U(word) * per_id * _U(hi - lo)) >> _FRACTION)


@exact_kernel
def _below_in(line, first, stop, row, word):
    """Among the siblings (rows from the address ``first`` to ``stop``) that are in a cache line:

    how many are below ``word``, how many they are, and the address of the first of them.
    """
    bits = below_of_4(line, word) if row == _ROW else below_of_8(line, word)
    begin = max(line, first)
    n = (min(line + _LINE, stop) - begin) >> row
    n_below = bit_count((bits >> ((begin - line) >> row)) & ((_U(1) << n) - _U(1)))
    return n_below, n, begin


@exact_kernel
def _gallop(siblings, row, lo, hi, word, at):
    """The first row that is not below ``word``, ``at`` being a guess: in steps that double, then by halves.

    ``siblings``: the address of row 0.  All numbers are uint64.
    """
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
def _children(place, n_children):
    """The rows of the children of the node at an address, first to stop; there are some if first < stop.

    ``stop`` is bounded: a damaged file may say anything.
    """
    stop = min(np.uint32(load32(place + (_U(1) << _ROW) + _field(CHILD))), n_children)
    return np.uint32(load32(place + _field(CHILD))), stop


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
def _refine(active, n, nodes, row, per_id):
    """Better guesses from the words that stand where the first ones are."""
    for a in range(n):
        guess, lo, hi = np.int64(active.guess[a]), np.int64(active.lo[a]), np.int64(active.hi[a])
        distance = np.int64(active.word[a]) - np.int64(load32(nodes + (_U(guess) << row)))
        guess += (distance * np.int64(per_id) * (hi - lo)) >> np.int64(_FRACTION)
        guess = min(max(guess, lo), hi - 1)
        active.guess[a] = guess
        prefetch(nodes + (_U(guess) << row))


@exact_kernel
def _choose_lines(active, n, nodes, row):
    """place: the cache line of each guess; or the one after it or before it, if the word must be there."""
    for a in range(n):
        first, stop = nodes + (_U(active.lo[a]) << row), nodes + (_U(active.hi[a]) << row)
        line = (nodes + (_U(active.guess[a]) << row)) & ~(_LINE - _U(1))
        n_below, n_in, _ = _below_in(line, first, stop, row, _U(active.word[a]))
        after, before = (n_below == n_in) & (line + _LINE < stop), (n_below == _U(0)) & (line > first)
        line += _LINE * _U(after) - _LINE * _U(before)
        prefetch(line)
        active.place[a] = line


@exact_kernel
def _find(active, n, nodes, row, is_chosen):
    """place: the address of the first sibling that is not below the word, ``hi``'s if all are.

    is_chosen: ``_choose_lines`` said where to look; otherwise that is the line of the guess.
    """
    for a in range(n):
        lo, hi, word = _U(active.lo[a]), _U(active.hi[a]), _U(active.word[a])
        first, stop = nodes + (lo << row), nodes + (hi << row)
        guess = nodes + (_U(active.guess[a]) << row)
        line = active.place[a] if is_chosen else guess & ~(_LINE - _U(1))
        n_below, n_in, begin = _below_in(line, first, stop, row, word)
        place = begin + (n_below << row)
        beyond = ((line > guess) | (not is_chosen)) & (n_below == n_in) & (line + _LINE < stop)
        short = ((line + _LINE <= guess) | (not is_chosen)) & (n_below == _U(0)) & (line > first)
        if beyond | short:  # seldom
            place = nodes + (_gallop(nodes, row, lo, hi, word, _U(active.guess[a])) << row)
        prefetch(place + _LINE // _U(2))  # the row after it ends its children
        active.place[a] = place


@exact_kernel
def _keep(active, n, nodes, m, n_children, words, start, log_prob, order, backoffs, path, reached, per_id):
    """Write down the n-grams of m words that were found, m below the order; returns how many positions go on.

    n_children: nodes of the next order.
    """
    left = _U(0)
    for a in range(n):
        i = _U(active.position[a])
        at = _U(start) + i
        stop = nodes + (_U(active.hi[a]) << _ROW)
        place = active.place[a]
        place -= _U(place == stop) << _ROW  # any row: it is not the word's
        found = load32(place + _field(WORD)) == _U(active.word[a])
        p, backoff = load_float32(place + _field(PROB)), load_float32(place + _field(BACKOFF))
        counts = found & (p <= np.float32(0.0))
        log_prob[i] = p if counts else log_prob[i]
        order[i] = m if counts else order[i]
        backoffs[m - 1, i] = backoff if found else np.float32(0.0)
        if path.size:
            path[i, m - 1] = (place - nodes) >> _ROW if found else _U(ABSENT)
        reached[i + _U(1)] = m - 1 + found
        first, stop = _children(place, n_children)
        reaches = at >= _U(m)
        before = words[at - _U(m) if reaches else _U(0)]
        # the history of a longer n-gram is in the trie, too
        history = reached[i] >= m
        active.position[left] = i
        active.lo[left], active.hi[left], active.word[left] = first, stop, before
        active.guess[left] = _first_guess(before, first, stop, per_id)
        left += _U(found & (first < stop) & reaches & (before != np.uint32(NONE)) & history)
    return left


@exact_kernel
def _keep_highest(active, n, nodes, m, log_prob, order):
    """Write down the n-grams of the highest order that were found."""
    for a in range(n):
        i = _U(active.position[a])
        place = active.place[a]
        place -= _U(place == nodes + (_U(active.hi[a]) << _TOP_ROW)) << _TOP_ROW
        p = load_float32(place + _field(TOP_PROB))
        counts = (load32(place + _field(WORD)) == _U(active.word[a])) & (p <= np.float32(0.0))
        log_prob[i] = p if counts else log_prob[i]
        order[i] = m if counts else order[i]


@exact_kernel
def _enter(active, begin, end, unigrams, n_children, words, start, log_prob, order, backoffs, path, reached, per_id):
    """The unigrams of the positions begin to end; returns how many go on.  n_children: nodes of order 2."""
    for i in range(begin, end):
        prefetch(unigrams + (_U(words[_U(start) + i]) << _ROW))
    left = _U(0)
    for i in range(begin, end):
        at = _U(start) + i
        word = words[at]
        place = unigrams + (_U(word) << _ROW)
        is_word = word != np.uint32(NONE)
        log_prob[i], order[i] = load_float32(place + _field(PROB)), np.int32(is_word)
        backoffs[0, i] = load_float32(place + _field(BACKOFF))
        if path.size:
            path[i, 0] = word if is_word else ABSENT
        reached[i + _U(1)] = is_word
        first, stop = _children(place, n_children)
        before = words[at - _U(at > _U(0))]
        active.position[left] = i
        active.lo[left], active.hi[left], active.word[left] = first, stop, before
        active.guess[left] = _first_guess(before, first, stop, per_id)
        left += _U((word > np.uint32(START)) & (at > _U(0)) & (first < stop) & (before != np.uint32(NONE)))
    return left


@exact_kernel
def walk(nodes, sizes, words, start, log_prob, order, backoffs, path):
    """Find the longest n-gram that ends at each of the positions start, start + 1, ... of ``words``.

    nodes (N,) uint64: the addresses of the trie's arrays; sizes (N + 1,) uint32: their rows, sentinels apart, and 0.
    Whatever is in the arrays, nothing else is read: the rows of children are bounded, words must be below sizes[0].
    Overwritten: log_prob (n,) float32, order (n,) int32, of that n-gram; backoffs (N, n or more) float32, the
    weights of all n-grams that end at a position, 0 where there is none; path (n, N) uint32, their rows, or
    ABSENT, if it is not empty.  The highest order, if it is above 1, has neither.
    """
    highest = nodes.size
    per_id = (_U(1) << _FRACTION) // _U(sizes[0])
    active = _Active(
        np.empty(_BATCH, np.uint32),
        np.empty(_BATCH, np.uint32),
        np.empty(_BATCH, np.uint32),
        np.empty(_BATCH, np.uint32),
        np.empty(_BATCH, np.uint32),
        np.empty(_BATCH, np.uint64),
    )
    reached = np.empty(order.size + 1, np.uint8)
    reached[0] = highest  # by the position before the first, of which nothing is known
    backoffs[:] = 0.0
    path[:] = ABSENT
    n = _U(order.size)
    for begin in range(_U(0), n, _U(_BATCH)):
        end = min(begin + _U(_BATCH), n)
        left = _enter(
            active, begin, end, nodes[0], sizes[1], words, start, log_prob, order, backoffs, path, reached, per_id
        )
        for m in range(2, highest + 1):
            at, row = nodes[_U(m - 1)], _TOP_ROW if m == highest else _ROW
            for a in range(left):
                prefetch(at + (_U(active.guess[a]) << row))
            choose = m <= _MANY
            if choose:
                for _ in range(2 if m <= 3 else 1):
                    _refine(active, left, at, row, per_id)
                _choose_lines(active, left, at, row)
            _find(active, left, at, row, choose)
            if m == highest:
                _keep_highest(active, left, at, m, log_prob, order)
            else:
                left = _keep(
                    active, left, at, m, sizes[_U(m)], words, start, log_prob, order, backoffs, path, reached, per_id
                )


@exact_kernel
def _add_weights(weights, m, order, total, lowest):
    """Add the weights of contexts of m words where they count; ``lowest`` is that of all that did."""
    for i in range(total.size):
        weight, sum_before, lowest_before = weights[i], total[i], lowest[i]
        weight = weight if m >= order[i] else np.float32(0.0)
        total[i] = sum_before + weight
        lowest[i] = min(weight, lowest_before)


@exact_kernel
def add_backoffs(words, start, log_prob, order, backoffs, out, out_order):
    """out (tokens,) float64, out_order (tokens,) int32 of the positions after the first, START left out.

    The others are as ``walk`` has them.  The back-off weights of a word's history stand one position before it; they
    are added in float32 from the shortest on, as SRILM does.  Returns how many tokens there were.
    """
    log_prob, order = log_prob[1:], order[1:]
    total, lowest = np.zeros_like(log_prob), log_prob.copy()
    for m in range(1, backoffs.shape[0]):
        _add_weights(backoffs[m - 1], np.int32(m), order, total, lowest)
    n_tokens = _U(0)
    for i in range(_U(order.size)):
        # a weight above 1 must not make a probability of a zero
        out[n_tokens] = np.float64(total[i] + log_prob[i]) if lowest[i] > _ZERO else -np.inf
        out_order[n_tokens] = order[i]
        n_tokens += _U(words[_U(start) + i + _U(1)] != START)
    return n_tokens
