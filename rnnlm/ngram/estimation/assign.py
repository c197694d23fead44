"""Probabilities and back-off weights from counts, context by context.

Legend: n the order, x a context of n - 1 words (a node of order n - 1), k an n-gram after it (a node of order
n), its parent the same word after the context without its oldest word.  H contexts and I n-grams of a batch.

Contexts come in the order of the trie (``CountedTrie.transitions``).  The n-grams that end in a word lie in that
order, too: the next one of word w is always where a cursor of w stands.  So one pass finds the n-grams of every
context, sums them and gives them their probabilities, without a search.

There are two ways, which differ by rounding only, but where little probability is left that is a lot:

* KenLM's, for interpolated models without cutoffs: the back-off weight is the weight of the shorter
  context itself.  Probabilities are kept as float32 until the logarithms are taken at the end.
* SRILM's, for every method: probabilities are float32 logarithms from the start, and the back-off weight
  is (1 - sum of p) / (1 - sum of p under the shorter context) of these.

Each has a kernel of its own, ``assign_as_kenlm`` and ``assign_as_srilm``, so that only the one in use is compiled.
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
# state: the number of the context at hand and that of the context without its oldest word; whether the first can have
# n-grams; how many contexts and n-grams the batch has; where in its input the kernel is
CONTEXT, SHORTER, IS_OPEN, N_CONTEXTS, N_NGRAMS, AT = range(6)
_FOLLOWING = np.uint32((1 << 24) - 1)
_MASK = ~DROPPED
BATCH = 512  # n-grams: what they need fits the second cache level
_FAR = 32  # transitions between a prefetch of a cursor and its use
_LANES = 32  # numbers that a vectorised loop takes at a time, or a divisor of that
_TINY = 1e-300
_AT_ONCE = 512  # numbers that stay in the first cache level
_U = np.uint64
_LN10 = 2.302585092994046
_ZERO = np.float32(ZERO)
_NO_BACKOFF = np.float32(NO_BACKOFF)
# sums are of integers, so that they are the same in whatever order the n-grams of a context come
_TAKEN_UNIT = float(1 << 36)
_MASS_UNIT = float(1 << 60)


class OrderRule(NamedTuple):
    """How the counts of order n become probabilities: ``smoothing.Rule`` and what else holds for this order.

    ``min_count``: rarer n-grams are left out, as are those of whose count not more than ``smallest`` is left.
    ``makes_room``: if nothing is left for words that a context has not seen, first the shorter context is left out,
    then the total is made larger by one, as in SRILM and the CMU toolkit.  ``fixed``: a back-off weight for all, if it
    is positive.  ``n_words``: of the vocabulary.
    """

    n: int
    taken: np.ndarray
    per_type: float
    constant: float
    interpolate: bool
    min_count: int
    smallest: float
    makes_room: bool
    smooths: bool
    fixed: float
    n_words: int


class Batch(NamedTuple):
    """Contexts that are finished together, with all of their n-grams.

    found, parents (I,) uint32: the rows of the n-grams, and of the same words after the shorter contexts.
    owners (I,) uint32: which context of the batch each belongs to.
    first (H + 1,) uint32: where the n-grams of a context begin.  row (H,) uint32: the rows of the contexts.
    The rest is scratch: counted, lowers, p and logarithms (I,) of the n-grams; of the contexts ``masses`` (6, H) and
    ``units`` (2, H) int64.
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
    def create(cls, n_ids: int) -> Batch:
        """Room for BATCH n-grams and one context more, which has a word at most once."""
        n = -(-(BATCH + n_ids + 1) // _LANES) * _LANES
        integers = (np.zeros(n, np.uint32) for _ in range(4))
        reals = (np.zeros(n) for _ in range(3))
        room = BATCH + _LANES
        heads = (np.zeros(room, np.uint32) for _ in range(2))
        return cls(*integers, *reals, *heads, np.ones((6, room)), np.zeros((2, room), np.int64))


class Bigrams(NamedTuple):
    """The input of order 2, whose contexts are single words.

    contexts (C,) uint32; those of contexts[c] are rows (M,) uint32, with their newest words (M,) uint32, from
    ends[c - 1] or 0 to ends[c].
    """

    contexts: np.ndarray
    ends: np.ndarray
    rows: np.ndarray
    words: np.ndarray

    @classmethod
    def none(cls) -> Bigrams:
        of_words = np.empty(0, np.uint32)
        return cls(of_words, np.empty(0, np.int64), of_words, of_words)


class Longer(NamedTuple):
    """The input of the orders above 2.

    transitions (R,) uint32, as in ``CountedTrie``; a last one of 0 ends the context before it.  cursors (ids, 4)
    uint32: NEXT, the next n-gram of a word, NEXT_PARENT the same of order n - 1; SEEN and SEEN_SHORTER, the contexts
    that the word was last seen after.
    """

    transitions: np.ndarray
    cursors: np.ndarray

    @classmethod
    def none(cls) -> Longer:
        return cls(np.empty(0, np.uint32), np.empty((0, 4), np.uint32))


class Columns(NamedTuple):
    """What is read and written.  counts (M,) uint32 of order n become ``probs``, the same memory as float32.

    lower (rows,) float32: probabilities of order n - 1.  backoffs (contexts,) float32: overwritten.
    If n-grams can be left out, dropped (M,) and is_context (rows of order n - 1) uint8: set to 1 for those
    n-grams, and for the contexts of others; else of size 0.
    """

    counts: np.ndarray
    probs: np.ndarray
    lower: np.ndarray
    backoffs: np.ndarray
    dropped: np.ndarray
    is_context: np.ndarray


def start_state(first_context: int = 0) -> np.ndarray:
    """The state of a kernel that begins before a context."""
    state = np.zeros(6, np.int64)
    state[CONTEXT] = first_context - 1
    return state


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


# ---- from the input to a batch


@exact_kernel
def _collect_bigrams(bigrams, counts, lower, found, parents, owners, first, row, state):
    """Fill the batch with the next contexts and their n-grams, order 2; state[AT] is the number of a bigram.

    What they need of memory is asked for long before it is used.
    """
    contexts, ends, rows, words = bigrams
    count_at, lower_at = _U(counts.ctypes.data), _U(lower.ctypes.data)
    count_step, lower_step = _U(counts.strides[0]), _U(lower.strides[0])
    k, c, n_ngrams, n_contexts = _U(state[AT]), _U(state[CONTEXT] + 1), _U(0), _U(0)
    first[0] = 0
    while c < _U(contexts.size) and n_ngrams < _U(BATCH):
        while k < _U(ends[c]):
            prefetch(count_at + _U(rows[k]) * count_step)
            prefetch(lower_at + _U(words[k]) * lower_step)
            found[n_ngrams], parents[n_ngrams], owners[n_ngrams] = rows[k], words[k], n_contexts
            n_ngrams += _U(1)
            k += _U(1)
        row[n_contexts] = contexts[c]
        n_contexts += _U(1)
        first[n_contexts] = n_ngrams
        c += _U(1)
    state[AT], state[CONTEXT] = np.int64(k), np.int64(c) - 1
    state[N_CONTEXTS], state[N_NGRAMS] = np.int64(n_contexts), np.int64(n_ngrams)
    return c < _U(contexts.size)


@exact_kernel
def _collect(longer, n, counts, lower, found, parents, owners, first, row, state):
    """Fill the batch with the next contexts and their n-grams, n > 2; whether any transitions are left.

    Nothing that differs from transition to transition is decided by a branch: the cursor of word 0, which follows
    nothing, takes what must not count.
    """
    transitions, cursors = longer
    x, shorter, is_open = state[CONTEXT], np.uint32(state[SHORTER]), state[IS_OPEN] != 0
    n_contexts, n_ngrams = _U(state[N_CONTEXTS]), _U(state[N_NGRAMS])
    first[0] = 0
    cursor_at, count_at, lower_at = _U(cursors.ctypes.data), _U(counts.ctypes.data), _U(lower.ctypes.data)
    count_step, lower_step = _U(counts.strides[0]), _U(lower.strides[0])
    size = _U(transitions.size)
    r = _U(state[AT])
    while r < size:
        if r + _U(_FAR) < size:
            prefetch(cursor_at + (_U(transitions[r + _U(_FAR)] & _FOLLOWING) << _U(4)))
        transition = transitions[r]
        word = _U(transition & _FOLLOWING)
        common, length = np.int64(transition >> np.uint32(24)) & 15, np.int64(transition >> np.uint32(28))
        ends = common < n - 1
        # a context is complete; one that nothing follows needs nothing
        begin = first[n_contexts]
        row[n_contexts] = np.uint32(x)
        n_contexts += _U(ends & is_open & (n_ngrams > _U(begin)))
        first[n_contexts] = n_ngrams if ends else _U(begin)
        if ends and n_ngrams >= _U(BATCH):
            break  # this transition comes again, when the batch is empty
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
        found[n_ngrams], parents[n_ngrams], owners[n_ngrams] = k, parent, n_contexts
        n_ngrams += _U(is_new)
        r += _U(1)
    state[CONTEXT], state[SHORTER], state[IS_OPEN] = x, shorter, is_open
    state[N_CONTEXTS], state[N_NGRAMS], state[AT] = np.int64(n_contexts), np.int64(n_ngrams), np.int64(r)
    return r < size


@exact_kernel
def _look_up(counts, lower, found, parents, n_ngrams, counted, lowers):
    """The counts of the n-grams of a batch, and the probabilities of their parents."""
    for i in range(n_ngrams):
        counted[i] = counts[found[i]]
        lowers[i] = np.float64(lower[parents[i]])


@exact_kernel
def _keep_rest(found, parents, owners, n_ngrams, state):
    """The n-grams of the context that is not complete move to the beginning of the batch."""
    for i in range(n_ngrams, _U(state[N_NGRAMS])):
        found[i - n_ngrams], parents[i - n_ngrams], owners[i - n_ngrams] = found[i], parents[i], 0
    state[N_CONTEXTS], state[N_NGRAMS] = 0, state[N_NGRAMS] - np.int64(n_ngrams)


@exact_kernel
def _weigh(owners, counted, n_contexts, n_ngrams, rule, masses, units):
    """masses[0], [1] and [2]: the total of each context, the weight of the shorter one, and 1 / total.

    A pass over all n-grams: a loop over those of each context, mostly one or two, would end at a place that the
    processor guesses wrong.
    """
    taken, per_type, constant = rule.taken, rule.per_type, rule.constant
    last = np.uint32(taken.size - 1)
    for h in range(n_contexts):
        masses[0, h], units[0, h] = constant, 0
    for i in range(n_ngrams):
        h, count = _U(owners[i]), counted[i]
        masses[0, h] += np.float64(count) + per_type
        units[0, h] += np.int64((taken[min(count, last)] + per_type) * _TAKEN_UNIT)
    for h in range(n_contexts):
        total = masses[0, h]
        masses[1, h] = (constant + units[0, h] / _TAKEN_UNIT) / total if rule.interpolate else 0.0
        masses[2, h] = 1.0 / total


# ---- KenLM's way


@exact_kernel
def assign_as_kenlm(bigrams, longer, rule, columns, batch, state):
    """Give the n-grams of these contexts their probabilities, and the contexts their back-off weights: both linear.

    ``bigrams`` or ``longer`` is the input, the other one empty.  state: ``start_state``, or what the call before has
    left.  Returns how many n-grams were dropped: none.
    """
    counts, probs, lower, backoffs, _, _ = columns
    found, parents, owners, counted, lowers, _, _, first, row, masses, units = batch
    taken = rule.taken
    last = np.uint32(taken.size - 1)
    state[AT] = 0
    more = bigrams.contexts.size > 0 or longer.transitions.size > 0
    while more:
        if rule.n == 2:
            more = _collect_bigrams(bigrams, counts, lower, found, parents, owners, first, row, state)
        else:
            more = _collect(longer, rule.n, counts, lower, found, parents, owners, first, row, state)
        n_contexts = _U(state[N_CONTEXTS])
        n_ngrams = _U(first[n_contexts])
        _look_up(counts, lower, found, parents, n_ngrams, counted, lowers)
        _weigh(owners, counted, n_contexts, n_ngrams, rule, masses, units)
        for i in range(n_ngrams):
            h, count = _U(owners[i]), counted[i]
            p = (np.float64(count) - taken[min(count, last)]) * masses[2, h]
            probs[found[i]] = p + masses[1, h] * lowers[i]
        for h in range(n_contexts):
            backoffs[row[h]] = masses[1, h]
        _keep_rest(found, parents, owners, n_ngrams, state)
    return np.int64(0)


# ---- SRILM's way
# Exponentials and logarithms are taken of whole arrays, in whole vectors, so that no number is computed by other
# instructions than the same number elsewhere.


@exact_kernel
def _discount(owners, counted, n_ngrams, rule, masses, p, lowers, logarithms):
    """p and logarithms, 0 for what is left out; lowers become linear."""
    taken, min_count, smallest = rule.taken, rule.min_count, rule.smallest
    last = np.uint32(taken.size - 1)
    filled = _whole(n_ngrams)
    for i in range(n_ngrams, filled):
        lowers[i], p[i] = 0.0, 1.0
    for i in range(filled):
        lowers[i] = power10(np.float32(lowers[i]))
    for i in range(n_ngrams):
        h, count = _U(owners[i]), counted[i]
        rest = np.float64(count) - taken[min(count, last)]
        kept = not (count < min_count or rest <= smallest)
        p[i] = rest * masses[2, h] + masses[1, h] * lowers[i] if kept else 0.0
    for i in range(filled):
        logarithms[i] = log10(max(p[i], _TINY))


@exact_kernel
def _add_up(owners, p, lowers, logarithms, n_contexts, n_ngrams, units):
    """units[0] and [1]: the probability mass of each context, and that of its n-grams under the shorter one."""
    for h in range(n_contexts):
        units[0, h] = units[1, h] = 0
    for i in range(n_ngrams):
        h = _U(owners[i])
        # 10**rounded, from its distance to the logarithm of p
        rounded = np.float64(np.float32(logarithms[i]))
        units[0, h] += np.int64(p[i] * (1.0 + (rounded - logarithms[i]) * _LN10) * _MASS_UNIT)
        units[1, h] += np.int64(lowers[i] * _MASS_UNIT) if p[i] > 0.0 else np.int64(0)


@exact_kernel
def _redistribute(counted, lowers, first, stop, rule, total, weight, logarithms):
    """Give up the shorter context, then enlarge the total, until something is left for words that were not seen.

    The n-grams first to stop of the batch get new probabilities; returns the probability mass and that of the shorter
    context.
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
            count = counted[i]
            rest = np.float64(count) - taken[min(count, last)]
            if not (count < min_count or rest <= smallest):
                logarithm = log10(rest * factor)
                rounded = np.float32(logarithm)
                logarithms[i] = logarithm
                p = rest * factor * (1.0 + (np.float64(rounded) - logarithm) * _LN10)
                units += np.int64(p * _MASS_UNIT)
                lower_units += np.int64(lowers[i] * _MASS_UNIT)
        if units / _MASS_UNIT <= 1.0 - EPSILON:
            return units / _MASS_UNIT, lower_units / _MASS_UNIT


@exact_kernel
def _find_unseen(counted, lowers, first, n_contexts, rule, units, masses, logarithms):
    """masses[0]: the mass of each context; [2] and [3]: what it and the shorter one leave for words that were not seen.

    masses[4] and [5] are the logarithms of [2] and [3].
    """
    for h in range(n_contexts):
        mass, lower_mass = units[0, h] / _MASS_UNIT, units[1, h] / _MASS_UNIT
        if rule.makes_room and mass > 1.0 - EPSILON:
            start, stop = _U(first[h]), _U(first[h + _U(1)])
            if stop - start < _U(rule.n_words):
                mass, lower_mass = _redistribute(
                    counted, lowers, start, stop, rule, masses[0, h], masses[1, h], logarithms
                )
        unseen = 1.0 - mass
        if unseen < EPSILON and (unseen < 0.0 or not rule.smooths):
            unseen = 0.0
        masses[0, h], masses[2, h], masses[3, h] = mass, unseen, 1.0 - lower_mass
    for h in range(_whole(n_contexts)):
        masses[4, h] = log10(max(masses[2, h], _TINY))
        masses[5, h] = log10(max(masses[3, h], _TINY))


@exact_kernel
def _back_off(row, n_contexts, rule, masses, backoffs, is_context):
    """The back-off weights; masses[4] and [5]: these, and the logarithm of what probabilities are scaled with."""
    for h in range(n_contexts):
        mass, weight, unseen, lower_unseen = masses[0, h], masses[1, h], masses[2, h], masses[3, h]
        backoff, scale = _NO_BACKOFF, np.float32(0.0)
        if mass > 0.0:
            backoff = np.float32(0.0)
            if is_context.size > 0:
                is_context[row[h]] = 1
            if rule.fixed > 0.0:
                backoff = np.float32(log10(rule.fixed))
            elif lower_unseen >= EPSILON:
                backoff = _ZERO
                if unseen > 0.0:
                    backoff = np.float32(masses[4, h]) - np.float32(masses[5, h])
                elif weight > 0.0 and not rule.makes_room:
                    backoff = log10_or_zero(weight)  # all that rounding has left to be known
            elif unseen > EPSILON:
                # its words have all the probability of the shorter context: there is no use for the rest
                scale = np.float32(-log10(mass))
        backoffs[row[h]] = backoff
        masses[4, h], masses[5, h] = backoff, scale


@exact_kernel
def _write_logarithms(found, parents, owners, n_ngrams, p, logarithms, masses, lower, probs, dropped):
    """The probabilities; what is left out gets what is backed off to.  Returns how many n-grams that are."""
    n_dropped = 0
    for i in range(n_ngrams):
        h, k = _U(owners[i]), found[i]
        if p[i] > 0.0:
            probs[k] = np.float32(logarithms[i]) + np.float32(masses[5, h])
        else:
            dropped[k] = 1
            probs[k] = max(lower[parents[i]] + np.float32(masses[4, h]), _ZERO)
            n_dropped += 1
    return n_dropped


@exact_kernel
def assign_as_srilm(bigrams, longer, rule, columns, batch, state):
    """As ``assign_as_kenlm``, in SRILM's way: probabilities and back-off weights are logarithms."""
    counts, probs, lower, backoffs, dropped, is_context = columns
    found, parents, owners, counted, lowers, p, logarithms, first, row, masses, units = batch
    state[AT] = 0
    n_dropped = 0
    more = bigrams.contexts.size > 0 or longer.transitions.size > 0
    while more:
        if rule.n == 2:
            more = _collect_bigrams(bigrams, counts, lower, found, parents, owners, first, row, state)
        else:
            more = _collect(longer, rule.n, counts, lower, found, parents, owners, first, row, state)
        n_contexts = _U(state[N_CONTEXTS])
        n_ngrams = _U(first[n_contexts])
        _look_up(counts, lower, found, parents, n_ngrams, counted, lowers)
        _weigh(owners, counted, n_contexts, n_ngrams, rule, masses, units)
        _discount(owners, counted, n_ngrams, rule, masses, p, lowers, logarithms)
        _add_up(owners, p, lowers, logarithms, n_contexts, n_ngrams, units)
        _find_unseen(counted, lowers, first, n_contexts, rule, units, masses, logarithms)
        _back_off(row, n_contexts, rule, masses, backoffs, is_context)
        n_dropped += _write_logarithms(found, parents, owners, n_ngrams, p, logarithms, masses, lower, probs, dropped)
        _keep_rest(found, parents, owners, n_ngrams, state)
    return n_dropped


# ---- afterwards


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
