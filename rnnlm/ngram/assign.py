"""Probabilities and back-off weights from counts and the sums over contexts; legend: rnnlm.ngram.contexts.

There are two ways, which differ by rounding only, but where little probability is left that is a lot:

* KenLM's, for interpolated models without cutoffs: the back-off weight is the weight of the shorter
  history itself.  Probabilities are kept as float32 until the logarithms are taken at the end.
* SRILM's, for every method: probabilities are float32 logarithms from the start, and the back-off weight
  is (1 - sum of p) / (1 - sum of p under the shorter history) of these.
"""

from __future__ import annotations

import numpy as np

from corpora.bytes_simd import prefetch
from corpora.jit import exact_kernel, exp, log10
from rnnlm.ngram.contexts import DROPPED, HISTORY, TAKEN, TOTAL, TYPES
from rnnlm.ngram.trie import BLANK, CHILD, PROB, WORD, ZERO

FACTOR, WEIGHT, MASS, LOWER_MASS = 0, 1, 2, 3  # columns of a context's sums after ``weigh``
EPSILON = 3e-6  # what SRILM takes for no probability mass
_AGAIN = -1.0  # in WEIGHT: the context is done again without the shorter history
_MASK = np.uint32((1 << 30) - 1)
_AHEAD = 16  # n-grams between a prefetch and its use
_U = np.uint64
_LN10 = 2.302585092994046
_ZERO = np.float32(ZERO)


@exact_kernel
def log10_or_zero(p):
    """log10 p as float32; ZERO for 0."""
    return np.float32(log10(p)) if p > 0.0 else _ZERO


@exact_kernel
def power10(x):
    """10**x of a float32 logarithm; 0 for ZERO."""
    return exp(np.float64(x) * _LN10) if x > _ZERO else 0.0


@exact_kernel
def weigh(sums, constant, interpolate):
    """Turn TOTAL and TAKEN of contexts into FACTOR (1 / total) and the WEIGHT of the shorter history."""
    for x in range(_U(sums.shape[0])):
        if sums[x, TYPES] > 0.0:
            total = sums[x, TOTAL] + constant
            sums[x, WEIGHT] = (sums[x, TAKEN] + constant) / total if interpolate else 0.0
            sums[x, FACTOR] = 1.0 / total


@exact_kernel
def assign(nodes, column, upper, upper_probs, lo, hi, bigrams, words, links, first_context, taken, sums):
    """KenLM's way: replace the counts of a cut's nodes by probabilities, float32, no logarithms.

    column: of the counts.  upper_probs (rows,) float32: the probabilities of order n - 1.  lo, hi: of the
    parents; with ``bigrams`` (n = 2), where words are the parents, of the nodes.
    """
    probs = nodes.view(np.float32)
    t = _U(0)
    address, n = _U(sums.ctypes.data), _U(links.size)
    last = np.uint32(taken.size - 1)
    for word in range(_U(words[0]), _U(words[1])):
        first, stop = _U(lo[word]), _U(hi[word])
        if bigrams:
            first, stop = _U(word), _U(word) + _U(1)
        for j in range(first, stop):
            k, end = _U(upper[j, CHILD]), _U(upper[j + _U(1), CHILD])
            if bigrams:
                k, end = _U(lo[word]), _U(hi[word])
            lower = np.float64(upper_probs[j])
            while k < end:
                if t + _U(_AHEAD) < n:
                    prefetch(address + ((_U(links[t + _U(_AHEAD)]) - _U(first_context)) << _U(5)))
                x = _U(links[t]) - _U(first_context)
                count = nodes[k, column]
                p = (np.float64(count) - taken[min(count, last)]) * sums[x, FACTOR] + sums[x, WEIGHT] * lower
                probs[k, column] = p
                t += _U(1)
                k += _U(1)


@exact_kernel
def back_off(sums, backoff):
    """KenLM's way: backoff (contexts,) float32, the weight of the shorter history; 1 where nothing follows."""
    for x in range(_U(sums.shape[0])):
        backoff[x] = sums[x, WEIGHT] if sums[x, FACTOR] != 0.0 else 1.0


@exact_kernel
def assign_logs(
    nodes, column, upper, upper_probs, lo, hi, bigrams, words, links, first_context, taken, min_count, smallest, sums,
    counts, again,
):  # fmt: skip
    """SRILM's way: replace the counts of a cut's nodes by log10 probabilities, and sum both probabilities.

    As ``assign``.  sums (contexts, 4): MASS and LOWER_MASS must be 0; counts (links.size,) uint32 gets the
    counts.  An n-gram below ``min_count``, or of whose count not more than ``smallest`` is left, is DROPPED
    and gets the probability of the shorter history.
    ``again``: from ``counts``, only contexts of WEIGHT _AGAIN, which are without the shorter history.
    Returns how many were dropped.
    """
    probs = nodes.view(np.float32)
    t = _U(0)
    address, n = _U(sums.ctypes.data), _U(links.size)
    last = np.uint32(taken.size - 1)
    n_dropped = 0
    for word in range(_U(words[0]), _U(words[1])):
        first, stop = _U(lo[word]), _U(hi[word])
        if bigrams:
            first, stop = _U(word), _U(word) + _U(1)
        for j in range(first, stop):
            k, end = _U(upper[j, CHILD]), _U(upper[j + _U(1), CHILD])
            if bigrams:
                k, end = _U(lo[word]), _U(hi[word])
            if k == end:
                continue
            lower_log = upper_probs[j]
            lower = power10(lower_log)
            while k < end:
                if t + _U(_AHEAD) < n:
                    prefetch(address + ((_U(links[t + _U(_AHEAD)]) - _U(first_context)) << _U(5)))
                x = _U(links[t]) - _U(first_context)
                weight = sums[x, WEIGHT]
                if again:
                    if weight != _AGAIN:
                        t += _U(1)
                        k += _U(1)
                        continue
                    weight = 0.0
                    count = counts[t]
                else:
                    count = nodes[k, column]
                    counts[t] = count
                rest = np.float64(count) - taken[min(count, last)]
                if count < min_count or rest <= smallest:
                    nodes[k, WORD] |= DROPPED
                    probs[k, column] = lower_log
                    n_dropped += 1
                else:
                    p = rest * sums[x, FACTOR] + weight * lower
                    exact = log10(p)
                    log_p = np.float32(exact)
                    probs[k, column] = log_p
                    # 10**log_p, from its distance to the logarithm of p
                    sums[x, MASS] += p * (1.0 + (np.float64(log_p) - exact) * _LN10)
                    sums[x, LOWER_MASS] += lower
                t += _U(1)
                k += _U(1)
    return n_dropped


@exact_kernel
def do_again(sums, kept, constant, n_words):
    """Which contexts have no probability left for words that they have not seen; returns how many.

    As in SRILM and the CMU toolkit: first the shorter history is left out, then the total is made larger
    by one.  kept (contexts, 3) float64: TOTAL, TAKEN and TYPES of the contexts.
    """
    n = 0
    for x in range(_U(sums.shape[0])):
        types = kept[x, TYPES]
        if types == 0.0 or types >= n_words or sums[x, MASS] <= 1.0 - EPSILON:
            if sums[x, WEIGHT] == _AGAIN:
                sums[x, WEIGHT] = 0.0
            continue
        total = kept[x, TOTAL] + constant
        if sums[x, WEIGHT] == 0.0 or sums[x, WEIGHT] == _AGAIN:
            kept[x, TOTAL] += 1.0
            total += 1.0
        sums[x, WEIGHT] = _AGAIN
        sums[x, FACTOR] = 1.0 / total
        sums[x, MASS] = 0.0
        sums[x, LOWER_MASS] = 0.0
        n += 1
    return n


@exact_kernel
def back_off_logs(sums, fixed, smooths, upper, first_context, backoff):
    """SRILM's way: backoff (contexts,) float32, log10; returns how many contexts are to be scaled.

    ``fixed``: a weight for all, if it is positive.  Without ``smooths`` what rounding leaves is nothing.
    Where the words of a context have all the probability of the shorter history, what is left has no use:
    they are scaled to sum to one; FACTOR becomes the log10 of that factor, 0 elsewhere.  Contexts that
    n-grams have are marked as HISTORY.
    """
    n_scaled = 0
    for x in range(_U(sums.shape[0])):
        backoff[x] = 0.0
        scale = 0.0
        if sums[x, FACTOR] != 0.0 and sums[x, MASS] > 0.0:
            at = _U(first_context) + x
            upper[at, WORD] = (upper[at, WORD] | HISTORY) & ~DROPPED
            left, lower_left = 1.0 - sums[x, MASS], 1.0 - sums[x, LOWER_MASS]
            if left < EPSILON and (left < 0.0 or not smooths):
                left = 0.0
            if fixed > 0.0:
                backoff[x] = log10(fixed)
            elif lower_left < EPSILON:
                if left > EPSILON:
                    scale = -log10(sums[x, MASS])
                    n_scaled += 1
            else:
                backoff[x] = log10_or_zero(max(left, 0.0)) - log10_or_zero(lower_left) if left > 0.0 else _ZERO
        sums[x, FACTOR] = scale
    return n_scaled


@exact_kernel
def amend_logs(nodes, column, lo, hi, words, links, first_context, sums, backoff):
    """Scale what ``back_off_logs`` says, and give n-grams that are DROPPED the probability that is backed off to."""
    probs = nodes.view(np.float32)
    t = _U(0)
    for word in range(_U(words[0]), _U(words[1])):
        for k in range(_U(lo[word]), _U(hi[word])):
            x = _U(links[t]) - _U(first_context)
            if nodes[k, WORD] & DROPPED:
                probs[k, column] = max(probs[k, column] + backoff[x], _ZERO)
            elif sums[x, FACTOR] != 0.0:
                probs[k, column] += np.float32(sums[x, FACTOR])
            t += _U(1)


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
