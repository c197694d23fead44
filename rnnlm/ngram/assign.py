"""Probabilities and back-off weights from counts, history by history.

Legend: n the order, x a history of n - 1 words (a node of order n - 1), k an n-gram after it (a node of order
n), its parent the same word after the history without its oldest word.

Histories come in the order of the trie (``CountedTrie.records``).  The n-grams of a word lie in that order,
too: the next one of word w is always where a cursor of w stands.  So one pass finds the n-grams of
every history, sums them and gives them their probabilities, without a search.

There are two ways, which differ by rounding only, but where little probability is left that is a lot:

* KenLM's, for interpolated models without cutoffs: the back-off weight is the weight of the shorter
  history itself.  Probabilities are kept as float32 until the logarithms are taken at the end.
* SRILM's, for every method: probabilities are float32 logarithms from the start, and the back-off weight
  is (1 - sum of p) / (1 - sum of p under the shorter history) of these.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from corpora.bytes_simd import prefetch
from corpora.jit import exact_kernel, exp, log10
from rnnlm.ngram.orders import DROPPED
from rnnlm.ngram.trie import BLANK, PROB, WORD, ZERO

NEXT, SEEN, NEXT_PARENT, SEEN_SHORTER = range(4)  # columns of a word's cursor
NOT_SEEN = np.uint32(0xFFFFFFFF)
EPSILON = 3e-6  # what SRILM takes for no probability mass
_FOLLOWING = np.uint32((1 << 24) - 1)
_MASK = ~DROPPED
_FAR, _NEAR = 32, 12  # records between a prefetch of a cursor, of what it points to, and their use
_U = np.uint64
_LN10 = 2.302585092994046
_ZERO = np.float32(ZERO)
# sums are of integers, so that they are the same in whatever order the n-grams of a history come
_TAKEN_UNIT = float(1 << 36)
_MASS_UNIT = float(1 << 60)


class Rule(NamedTuple):
    """How the counts of one order become probabilities, as the kernel wants it; see ``smoothing.Rule``.

    ``exact``: KenLM's way.  ``min_count``: rarer n-grams are left out, as are those of whose count not more than
    ``smallest`` is left.  ``makes_room``: where nothing is left for words that a history has not seen, first
    the shorter history is left out, then the total is made larger by one, as in SRILM and the CMU toolkit.
    ``fixed``: a back-off weight for all, if it is positive.
    """

    n: int
    taken: np.ndarray
    per_type: float
    constant: float
    interpolate: bool
    exact: bool
    min_count: int
    smallest: float
    makes_room: bool
    smooths: bool
    fixed: float
    n_words: int


class Columns(NamedTuple):
    """What is read and written.  counts (M,) uint32 of order n become ``probs``, the same memory as float32.

    lower (rows,) float32: probabilities of order n - 1.  backoffs (histories,) float32: overwritten.
    With SRILM's way, dropped (M,) and histories (rows of order n - 1) uint8: set to 1 for n-grams that are
    left out, and for histories of n-grams that are not.
    """

    counts: np.ndarray
    probs: np.ndarray
    lower: np.ndarray
    backoffs: np.ndarray
    dropped: np.ndarray
    histories: np.ndarray


@exact_kernel
def log10_or_zero(p):
    """log10 p as float32; ZERO for 0."""
    return np.float32(log10(p)) if p > 0.0 else _ZERO


@exact_kernel
def power10(x):
    """10**x of a float32 logarithm; 0 for ZERO."""
    return exp(np.float64(x) * _LN10) if x > _ZERO else 0.0


@exact_kernel
def assign(records, rule, columns, cursors, state, rows, found, parents, counted, lowers):
    """Give the n-grams of these histories their probabilities, and the histories their back-off weights.

    records (R,) uint32; a last one of 0 ends the history before it.  cursors (ids, 4) uint32: NEXT, the next
    n-gram of a word, NEXT_PARENT the same of order n - 1.  state (3,) int64: the number of the history at hand, that of
    the history without its oldest word, how many n-grams were found.  rows: the rows of histories by number,
    if they are not their numbers.  Scratch: found, parents, counted (ids,) uint32, lowers (ids,) float64.
    Returns how many n-grams were dropped.
    """
    n, taken, per_type, constant, interpolate, exact, min_count, smallest, makes_room, smooths, fixed, n_words = rule
    counts, probs, lower, backoffs, dropped, histories = columns
    x, shorter, m = state[0], np.uint32(state[1]), _U(state[2])
    is_open = x >= 0 and state[2] >= 0
    last, n_dropped = np.uint32(taken.size - 1), 0
    cursor_at, count_at, lower_at = _U(cursors.ctypes.data), _U(counts.ctypes.data), _U(lower.ctypes.data)
    count_step, lower_step = _U(counts.strides[0]), _U(lower.strides[0])
    size = _U(records.size)
    for r in range(size):
        if r + _U(_FAR) < size:
            prefetch(cursor_at + (_U(records[r + _U(_FAR)] & _FOLLOWING) << _U(4)))
            word = _U(records[r + _U(_NEAR)] & _FOLLOWING)
            prefetch(count_at + _U(cursors[word, NEXT]) * count_step)
            prefetch(lower_at + _U(cursors[word, NEXT_PARENT]) * lower_step)
        record = records[r]
        word = _U(record & _FOLLOWING)
        common, length = np.int64(record >> np.uint32(24)) & 15, np.int64(record >> np.uint32(28))
        if common < n - 1:
            if is_open:
                at = _U(rows[_U(x)]) if rows.size > 0 else _U(x)
                # ---- the history is complete: what follows it is in found[:m]
                total, left_units = constant, np.int64(0)
                for i in range(m):
                    count = counts[found[i]]
                    counted[i] = count
                    total += np.float64(count) + per_type
                    left_units += np.int64((taken[min(count, last)] + per_type) * _TAKEN_UNIT)
                left = constant + left_units / _TAKEN_UNIT
                if exact:
                    weight = left / total if interpolate and m > _U(0) else 0.0
                    factor = 1.0 / total
                    for i in range(m):
                        count = counted[i]
                        p = (np.float64(count) - taken[min(count, last)]) * factor
                        probs[found[i]] = p + weight * np.float64(lower[parents[i]])
                    backoffs[at] = weight if m > _U(0) else 1.0
                else:
                    for i in range(m):
                        lowers[i] = power10(lower[parents[i]])
                    weight = left / total if interpolate and m > _U(0) else 0.0
                    mass, lower_mass = 0.0, 0.0
                    while True:
                        units, lower_units = np.int64(0), np.int64(0)
                        factor = 1.0 / total
                        for i in range(m):
                            k, count = found[i], counted[i]
                            rest = np.float64(count) - taken[min(count, last)]
                            if count < min_count or rest <= smallest:
                                dropped[k] = 1
                            else:
                                p = rest * factor + weight * lowers[i]
                                logarithm = log10(p)
                                rounded = np.float32(logarithm)
                                probs[k] = rounded
                                # 10**rounded, from its distance to the logarithm of p
                                p *= 1.0 + (np.float64(rounded) - logarithm) * _LN10
                                units += np.int64(p * _MASS_UNIT)
                                lower_units += np.int64(lowers[i] * _MASS_UNIT)
                        mass, lower_mass = units / _MASS_UNIT, lower_units / _MASS_UNIT
                        if not makes_room or m >= _U(n_words) or mass <= 1.0 - EPSILON:
                            break
                        if weight > 0.0:
                            weight = 0.0
                        else:
                            total += 1.0
                    backoff, scale = np.float32(0.0), np.float32(0.0)
                    if mass > 0.0:
                        histories[at] = 1
                        unseen, lower_unseen = 1.0 - mass, 1.0 - lower_mass
                        if unseen < EPSILON and (unseen < 0.0 or not smooths):
                            unseen = 0.0
                        if fixed > 0.0:
                            backoff = np.float32(log10(fixed))
                        elif lower_unseen >= EPSILON:
                            backoff = _ZERO
                            if unseen > 0.0:
                                backoff = log10_or_zero(unseen) - log10_or_zero(lower_unseen)
                            elif weight > 0.0 and not makes_room:
                                backoff = log10_or_zero(weight)  # all that rounding has left to be known
                        elif unseen > EPSILON:
                            # its words have all the probability of the shorter history: there is no use for the rest
                            scale = np.float32(-log10(mass))
                    backoffs[at] = backoff
                    for i in range(m):
                        k = found[i]
                        if dropped[k] != 0:
                            probs[k] = max(lower[parents[i]] + backoff, _ZERO)
                            n_dropped += 1
                        elif scale != np.float32(0.0):
                            probs[k] += scale
            is_open = length >= n - 1
            m = _U(0)
            if is_open:
                x += 1
            if common < n - 2 and length >= n - 2:
                shorter += np.uint32(1)
        if word == _U(0) or length < n - 2:
            continue
        parent = np.uint32(word)
        if n > 2:
            if cursors[word, SEEN_SHORTER] != shorter:
                cursors[word, SEEN_SHORTER] = shorter
                cursors[word, NEXT_PARENT] += np.uint32(1)
            parent = cursors[word, NEXT_PARENT] - np.uint32(1)
        if is_open and cursors[word, SEEN] != np.uint32(x):
            cursors[word, SEEN] = np.uint32(x)
            k = cursors[word, NEXT]
            cursors[word, NEXT] = k + np.uint32(1)
            found[m] = k
            parents[m] = parent
            m += _U(1)
    state[0], state[1], state[2] = x, shorter, np.int64(m) if is_open else -1
    return n_dropped


@exact_kernel
def take_logs(nodes, column, ceiling, out):
    """Replace the float32 in a column by their log10, ZERO for 0.  out (rows,) float64 is scratch."""
    values = nodes.view(np.float32)
    for i in range(_U(nodes.shape[0])):
        out[i] = log10(max(np.float64(values[i, column]), 1e-300))
    for i in range(_U(nodes.shape[0])):
        # + 0: no negative zero
        values[i, column] = min(max(np.float32(out[i]), _ZERO), np.float32(ceiling)) + np.float32(0.0)


@exact_kernel
def unmark(nodes, column):
    """Make nodes that are DROPPED blank; no probability above 1 may be left by rounding.  BACKOFF follows PROB."""
    values = nodes.view(np.float32)
    for i in range(_U(nodes.shape[0])):
        if nodes[i, WORD] & DROPPED:
            values[i, column] = BLANK
            if column == PROB:
                values[i, column + 1] = 0.0
        else:
            values[i, column] = min(values[i, column], np.float32(0.0)) + np.float32(0.0)
        nodes[i, WORD] &= _MASK
