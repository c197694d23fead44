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

from corpora.compute.bytes_simd import prefetch
from corpora.compute.jit import exact_kernel, exp, log10
from rnnlm.ngram.orders import DROPPED
from rnnlm.ngram.trie import BLANK, NO_BACKOFF, PROB, WORD, ZERO

NEXT, SEEN, NEXT_PARENT, SEEN_SHORTER = range(4)  # columns of a word's cursor
NOT_SEEN = np.uint32(0xFFFFFFFF)
EPSILON = 3e-6  # what SRILM takes for no probability mass
_FOLLOWING = np.uint32((1 << 24) - 1)
_MASK = ~DROPPED
BLOCK = 512  # n-grams: what they need fits the second cache level
_FAR = 32  # records between a prefetch of a cursor and its use
_LANES = 32  # numbers that a vectorised loop takes at a time, or a divisor of that
_TINY = 1e-300
_AT_ONCE = 512  # numbers that stay in the first cache level
_U = np.uint64
_LN10 = 2.302585092994046
_ZERO = np.float32(ZERO)
_NO_BACKOFF = np.float32(NO_BACKOFF)
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


class Block(NamedTuple):
    """Histories that are finished together; H histories, I n-grams.

    found, parents (I,) uint32: the rows of their n-grams, and of the same words after the shorter histories.
    owners (I,) uint32: which history of the block each belongs to.
    first (H + 1,) uint32: where the n-grams of a history begin.  row (H,) uint32: the rows of the histories.
    The rest is scratch; ``masses`` (6, H) and ``units`` (2, H) int64.
    """

    found: np.ndarray
    parents: np.ndarray
    owners: np.ndarray
    counted: np.ndarray
    lowers: np.ndarray
    p: np.ndarray
    logarithms: np.ndarray
    first: np.ndarray
    row: np.ndarray
    masses: np.ndarray
    units: np.ndarray

    @classmethod
    def create(cls, n_ids: int) -> Block:
        """Room for BLOCK n-grams and one history more, which has a word at most once."""
        n = -(-(BLOCK + n_ids + 1) // _LANES) * _LANES
        integers = (np.zeros(n, np.uint32) for _ in range(4))
        reals = (np.zeros(n) for _ in range(3))
        room = BLOCK + _LANES
        heads = (np.zeros(room, np.uint32) for _ in range(2))
        return cls(*integers, *reals, *heads, np.ones((6, room)), np.zeros((2, room), np.int64))


class Columns(NamedTuple):
    """What is read and written.  counts (M,) uint32 of order n become ``probs``, the same memory as float32.

    lower (rows,) float32: probabilities of order n - 1.  backoffs (histories,) float32: overwritten.
    Where n-grams can be left out, dropped (M,) and histories (rows of order n - 1) uint8: set to 1 for those
    n-grams, and for histories of others; else of size 0.
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
def _whole(n):
    """The next multiple of _LANES."""
    return (n + _U(_LANES - 1)) & ~_U(_LANES - 1)


@exact_kernel
def _redistribute(block, first, stop, rule, total, weight):
    """Give up the shorter history, then enlarge the total, until something is left for words that were not seen.

    Items first to stop of the block get new probabilities; returns the probability mass and that of the shorter
    history.
    """
    taken, smallest, min_count = rule.taken, rule.smallest, rule.min_count
    last = np.uint32(taken.size - 1)
    while True:
        if weight > 0.0:
            weight = 0.0
        else:
            total += 1.0
        factor = 1.0 / total
        units, lower_units = np.int64(0), np.int64(0)
        for i in range(first, stop):
            count = block.counted[i]
            rest = np.float64(count) - taken[min(count, last)]
            if not (count < min_count or rest <= smallest):
                logarithm = log10(rest * factor)
                rounded = np.float32(logarithm)
                block.logarithms[i] = logarithm
                p = rest * factor * (1.0 + (np.float64(rounded) - logarithm) * _LN10)
                units += np.int64(p * _MASS_UNIT)
                lower_units += np.int64(block.lowers[i] * _MASS_UNIT)
        if units / _MASS_UNIT <= 1.0 - EPSILON:
            return units / _MASS_UNIT, lower_units / _MASS_UNIT


@exact_kernel
def _weigh(block, n_histories, n_items, rule):
    """masses[0], [1] and [2]: the total of each history, the weight of the shorter one, and 1 / total.

    A pass over all n-grams: a loop over those of each history, mostly one or two, would end at a place that the
    processor guesses wrong.
    """
    taken, per_type, constant = rule.taken, rule.per_type, rule.constant
    owners, counted, masses, units = block.owners, block.counted, block.masses, block.units
    last = np.uint32(taken.size - 1)
    for h in range(_U(n_histories)):
        masses[0, h], units[0, h] = constant, 0
    for i in range(_U(n_items)):
        h, count = _U(owners[i]), counted[i]
        masses[0, h] += np.float64(count) + per_type
        units[0, h] += np.int64((taken[min(count, last)] + per_type) * _TAKEN_UNIT)
    for h in range(_U(n_histories)):
        total = masses[0, h]
        masses[1, h] = (constant + units[0, h] / _TAKEN_UNIT) / total if rule.interpolate else 0.0
        masses[2, h] = 1.0 / total


@exact_kernel
def _finish_as_kenlm(block, n_histories, n_items, rule, columns):
    """KenLM's way; see above.  The probabilities stay linear."""
    taken = rule.taken
    probs, backoffs = columns.probs, columns.backoffs
    row, found, owners, counted, lowers, masses = (
        block.row, block.found, block.owners, block.counted, block.lowers, block.masses
    )  # fmt: skip
    last = np.uint32(taken.size - 1)
    _weigh(block, n_histories, n_items, rule)
    for i in range(_U(n_items)):
        h, count = _U(owners[i]), counted[i]
        p = (np.float64(count) - taken[min(count, last)]) * masses[2, h]
        probs[found[i]] = p + masses[1, h] * lowers[i]
    for h in range(_U(n_histories)):
        backoffs[row[h]] = masses[1, h]


@exact_kernel
def _finish_as_srilm(block, n_histories, n_items, rule, columns):
    """SRILM's way; see above.  Returns how many n-grams were dropped.

    Exponentials and logarithms are taken of whole arrays, in whole vectors, so that no number is computed by
    other instructions than the same number elsewhere.
    """
    taken, min_count, smallest, makes_room = rule.taken, rule.min_count, rule.smallest, rule.makes_room
    probs, lower, backoffs = columns.probs, columns.lower, columns.backoffs
    dropped, histories = columns.dropped, columns.histories
    first, row, found, parents = block.first, block.row, block.found, block.parents
    owners, counted, units = block.owners, block.counted, block.units
    p, lowers, logarithms, masses = block.p, block.lowers, block.logarithms, block.masses
    last, n_dropped = np.uint32(taken.size - 1), 0
    filled = _whole(_U(n_items))
    for i in range(_U(n_items), filled):
        lowers[i], p[i] = 0.0, 1.0
    for i in range(filled):
        lowers[i] = power10(np.float32(lowers[i]))
    _weigh(block, n_histories, n_items, rule)
    for i in range(_U(n_items)):
        h, count = _U(owners[i]), counted[i]
        rest = np.float64(count) - taken[min(count, last)]
        kept = not (count < min_count or rest <= smallest)
        p[i] = rest * masses[2, h] + masses[1, h] * lowers[i] if kept else 0.0
    for i in range(filled):
        logarithms[i] = log10(max(p[i], _TINY))
    for h in range(_U(n_histories)):
        units[0, h] = units[1, h] = 0
    for i in range(_U(n_items)):
        h = _U(owners[i])
        # 10**rounded, from its distance to the logarithm of p
        rounded = np.float64(np.float32(logarithms[i]))
        units[0, h] += np.int64(p[i] * (1.0 + (rounded - logarithms[i]) * _LN10) * _MASS_UNIT)
        units[1, h] += np.int64(lowers[i] * _MASS_UNIT) if p[i] > 0.0 else np.int64(0)
    for h in range(_U(n_histories)):
        mass, lower_mass = units[0, h] / _MASS_UNIT, units[1, h] / _MASS_UNIT
        if makes_room and mass > 1.0 - EPSILON:
            start, stop = _U(first[h]), _U(first[h + _U(1)])
            if stop - start < _U(rule.n_words):
                mass, lower_mass = _redistribute(block, start, stop, rule, masses[0, h], masses[1, h])
        unseen = 1.0 - mass
        if unseen < EPSILON and (unseen < 0.0 or not rule.smooths):
            unseen = 0.0
        masses[0, h], masses[2, h], masses[3, h] = mass, unseen, 1.0 - lower_mass
    for h in range(_whole(_U(n_histories))):
        masses[4, h] = log10(max(masses[2, h], _TINY))
        masses[5, h] = log10(max(masses[3, h], _TINY))
    for h in range(_U(n_histories)):
        mass, weight, unseen, lower_unseen = masses[0, h], masses[1, h], masses[2, h], masses[3, h]
        backoff, scale = _NO_BACKOFF, np.float32(0.0)
        if mass > 0.0:
            backoff = np.float32(0.0)
            if histories.size > 0:
                histories[row[h]] = 1
            if rule.fixed > 0.0:
                backoff = np.float32(log10(rule.fixed))
            elif lower_unseen >= EPSILON:
                backoff = _ZERO
                if unseen > 0.0:
                    backoff = np.float32(masses[4, h]) - np.float32(masses[5, h])
                elif weight > 0.0 and not makes_room:
                    backoff = log10_or_zero(weight)  # all that rounding has left to be known
            elif unseen > EPSILON:
                # its words have all the probability of the shorter history: there is no use for the rest
                scale = np.float32(-log10(mass))
        backoffs[row[h]] = backoff
        masses[4, h], masses[5, h] = backoff, scale
    for i in range(_U(n_items)):
        h, k = _U(owners[i]), found[i]
        if p[i] > 0.0:
            probs[k] = np.float32(logarithms[i]) + np.float32(masses[5, h])
        else:
            dropped[k] = 1
            probs[k] = max(lower[parents[i]] + np.float32(masses[4, h]), _ZERO)
            n_dropped += 1
    return n_dropped


@exact_kernel
def _finish(block, n_histories, n_items, rule, columns):
    """Do what ``assign`` does for the histories of a block; what comes after them moves to its beginning."""
    counts, lower, found, parents = columns.counts, columns.lower, block.found, block.parents
    counted, lowers, done = block.counted, block.lowers, _U(block.first[n_histories])
    for i in range(done):
        counted[i] = counts[found[i]]
        lowers[i] = np.float64(lower[parents[i]])
    n_dropped = 0
    if rule.exact:
        _finish_as_kenlm(block, n_histories, done, rule, columns)
    else:
        n_dropped = _finish_as_srilm(block, n_histories, done, rule, columns)
    for i in range(done, _U(n_items)):
        found[i - done], parents[i - done], block.owners[i - done] = found[i], parents[i], 0
    return n_dropped


@exact_kernel
def assign_bigrams(contexts, ends, rows, words, rule, columns, block):
    """As ``assign``, of order 2: histories are single words, whose bigrams are at hand.

    contexts (C,) uint32: the histories; those of contexts[c] are rows (M,) uint32, with their newest words (M,) uint32,
    from ends[c - 1] or 0 to ends[c].
    """
    n_items, n_histories, n_dropped, k = _U(0), _U(0), 0, _U(0)
    count_at, lower_at = _U(columns.counts.ctypes.data), _U(columns.lower.ctypes.data)
    count_step, lower_step = _U(columns.counts.strides[0]), _U(columns.lower.strides[0])
    block.first[0] = 0
    for c in range(_U(contexts.size)):
        while k < _U(ends[c]):
            prefetch(count_at + _U(rows[k]) * count_step)
            prefetch(lower_at + _U(words[k]) * lower_step)
            block.found[n_items], block.parents[n_items], block.owners[n_items] = rows[k], words[k], n_histories
            n_items += _U(1)
            k += _U(1)
        block.row[n_histories] = contexts[c]
        n_histories += _U(1)
        block.first[n_histories] = n_items
        if n_items >= _U(BLOCK):
            n_dropped += _finish(block, n_histories, n_items, rule, columns)
            n_histories, n_items = _U(0), _U(0)
    return n_dropped + _finish(block, n_histories, n_items, rule, columns)


@exact_kernel
def assign(records, rule, columns, cursors, state, block):
    """Give the n-grams of these histories, n > 2, their probabilities, and the histories their back-off weights.

    records (R,) uint32; a last one of 0 ends the history before it.  cursors (ids, 4) uint32: NEXT, the next
    n-gram of a word, NEXT_PARENT the same of order n - 1.  state (3,) int64: the number of the history at hand, that of
    the history without its oldest word, how many of its n-grams are in the block (-1: it is none).  Histories are
    collected in a block, so that what they need of memory is asked for long before it is used, and finished together.
    Nothing that differs from record to record is decided by a branch: the cursor of word 0, which follows nothing,
    takes what must not count.
    Returns how many n-grams were dropped.
    """
    n = rule.n
    x, shorter = state[0], np.uint32(state[1])
    is_open = x >= 0 and state[2] >= 0
    n_items, n_histories, n_dropped = _U(max(state[2], 0)), _U(0), 0
    found, parents, owners, first, row = block.found, block.parents, block.owners, block.first, block.row
    first[0] = 0
    cursor_at, count_at, lower_at = (
        _U(cursors.ctypes.data), _U(columns.counts.ctypes.data), _U(columns.lower.ctypes.data)
    )  # fmt: skip
    count_step, lower_step = _U(columns.counts.strides[0]), _U(columns.lower.strides[0])
    size = _U(records.size)
    for r in range(size):
        if r + _U(_FAR) < size:
            prefetch(cursor_at + (_U(records[r + _U(_FAR)] & _FOLLOWING) << _U(4)))
        record = records[r]
        word = _U(record & _FOLLOWING)
        common, length = np.int64(record >> np.uint32(24)) & 15, np.int64(record >> np.uint32(28))
        ends = common < n - 1
        # a history is complete; one that nothing follows needs nothing
        begin = first[n_histories]
        row[n_histories] = np.uint32(x)
        n_histories += _U(ends & is_open & (n_items > _U(begin)))
        first[n_histories] = n_items if ends else _U(begin)
        if ends and n_items >= _U(BLOCK):
            n_dropped += _finish(block, n_histories, n_items, rule, columns)
            n_histories, n_items = _U(0), _U(0)
        is_open = (length >= n - 1) if ends else is_open
        x += np.int64(ends & is_open)
        shorter += np.uint32((common < n - 2) & (length >= n - 2))
        word = word if length >= n - 2 else _U(0)
        next_parent = cursors[word, NEXT_PARENT] + np.uint32(cursors[word, SEEN_SHORTER] != shorter)
        cursors[word, SEEN_SHORTER], cursors[word, NEXT_PARENT] = shorter, next_parent
        seen, k = cursors[word, SEEN], cursors[word, NEXT]
        parent = next_parent - np.uint32(1)
        is_new = is_open & (seen != np.uint32(x)) & (word != _U(0))
        cursors[word, SEEN], cursors[word, NEXT] = np.uint32(x) if is_open else seen, k + np.uint32(is_new)
        prefetch(count_at + _U(k) * count_step)
        prefetch(lower_at + _U(parent) * lower_step)
        found[n_items], parents[n_items], owners[n_items] = k, parent, n_histories
        n_items += _U(is_new)
    n_dropped += _finish(block, n_histories, n_items, rule, columns)
    state[0], state[1] = x, shorter
    state[2] = np.int64(n_items - _U(block.first[n_histories])) if is_open else -1
    return n_dropped


@exact_kernel
def take_logs(nodes, column, ceiling):
    """Replace the float32 in a column by their log10, ZERO for 0."""
    values = nodes.view(np.float32)
    some = np.empty(_AT_ONCE)
    n = _U(nodes.shape[0])
    # what is read and written in steps apart from what is computed in whole vectors
    for start in range(_U(0), n, _U(_AT_ONCE)):
        size = min(_U(_AT_ONCE), n - start)
        for i in range(size):
            some[i] = max(np.float64(values[start + i, column]), _TINY)
        for i in range(_whole(size)):
            some[i] = log10(some[i])
        for i in range(size):
            # + 0: no negative zero
            values[start + i, column] = min(max(np.float32(some[i]), _ZERO), np.float32(ceiling)) + np.float32(0.0)


@exact_kernel
def unmark(nodes, column):
    """Make nodes that are DROPPED blank; no probability above 1 may be left by rounding.  BACKOFF follows PROB."""
    values = nodes.view(np.float32)
    for i in range(_U(nodes.shape[0])):
        if nodes[i, WORD] & DROPPED:
            values[i, column] = BLANK
            if column == PROB:
                values[i, column + 1] = 0.0
            nodes[i, WORD] &= _MASK
        elif values[i, column] >= 0:  # few: what is not written need not go to a file again
            values[i, column] = 0.0  # nor negative
