"""Kernels of caches: how much of what was read lately is the next word.

Legend: h words of history, n words to score, V words of the vocabulary.
"""

from __future__ import annotations

import math

import numpy as np

from corpora.compute.jit import exact_kernel, exp

_LOG2_E = 1.4426950408889634


@exact_kernel
def score_window(words, h, size, counts, probabilities, entropy_bits):
    """probabilities[t] (n,) = share of words[h + t] among the ``size`` words before it; 1 / V where there is none.

    words (h + n,) int32, h <= size; counts (V,) int64, zeros, overwritten; entropy_bits (n,) float64 is filled
    where it has elements.  Kuhn and De Mori (1990).
    """
    n_words = counts.size
    moment = 0.0  # sum of c log2 c
    for t in range(words.size):
        word = words[t]
        total = min(t, size)
        if t >= h:
            probabilities[t - h] = counts[word] / total if total > 0 else 1.0 / n_words
            if entropy_bits.size > 0:
                left = math.log2(total) - moment / total if total > 0 else math.log2(n_words)
                entropy_bits[t - h] = max(0.0, left)
        moment += _x_log2_x(counts[word] + 1.0) - _x_log2_x(np.float64(counts[word]))
        counts[word] += 1
        if t >= size:
            word = words[t - size]
            moment += _x_log2_x(counts[word] - 1.0) - _x_log2_x(np.float64(counts[word]))
            counts[word] -= 1


@exact_kernel
def _x_log2_x(x):
    return x * math.log2(x) if x > 0 else 0.0


@exact_kernel
def score_decayed(words, h, size, powers, counts, weights, seen, probabilities, entropy_bits):
    """As ``score_window``, where a word that was read d words ago counts exp(-alpha d).  Clarkson and Robinson (1997).

    powers (size + 1,): powers[d] = exp(-alpha d).  counts (V,) int64, weights (V,) float64 and seen (V,) int64 are
    zeros, overwritten: a word's occurrences in the window, and their weight as it was when position ``seen`` was read.
    """
    n_words = counts.size
    factor, log_factor = powers[1], math.log(powers[1])
    total, moment = 0.0, 0.0  # sums of w and of w log w over the weights w at position t
    for t in range(words.size):
        word = words[t]
        weight = weights[word] * powers[t - seen[word]] if counts[word] > 0 else 0.0
        if t >= h:
            probabilities[t - h] = min(1.0, weight / total) if t > 0 else 1.0 / n_words
            if entropy_bits.size > 0:
                left = (math.log(total) - moment / total) * _LOG2_E if t > 0 else math.log2(n_words)
                entropy_bits[t - h] = max(0.0, left)
        moment += _x_log_x(weight + 1.0) - _x_log_x(weight)
        total += 1.0
        counts[word] += 1
        weights[word], seen[word] = weight + 1.0, t
        if t >= size:
            word = words[t - size]
            weight = weights[word] * powers[t - seen[word]]
            counts[word] -= 1
            rest = max(0.0, weight - powers[size]) if counts[word] > 0 else 0.0
            moment += _x_log_x(rest) - _x_log_x(weight)
            total += rest - weight
            weights[word], seen[word] = rest, t
        moment = factor * (moment + log_factor * total)
        total *= factor


@exact_kernel
def _x_log_x(x):
    return x * math.log(x) if x > 0 else 0.0


@exact_kernel
def score_likeness(likeness, firsts, lasts, words, chosen, n_words, probabilities, bits, room):
    """probabilities[t] = the share of exp(likeness[t, first:last]) at places whose word is chosen[t], 0 where it is -1.

    ``bits`` (n,) is filled where it has elements: the entropy over words; room (V,) float64, zeros, stays so.
    """
    for t in range(chosen.size):
        first, last = firsts[t], lasts[t]
        if first == last:
            probabilities[t] = 1.0 / n_words
            if bits.size > 0:
                bits[t] = math.log2(n_words)
            continue
        top = likeness[t, first]
        for i in range(first + 1, last):
            top = max(top, likeness[t, i])
        total, same = 0.0, 0.0
        for i in range(first, last):
            weight = np.float64(exp(likeness[t, i] - top))
            total += weight
            if words[i] == chosen[t]:
                same += weight
            if bits.size > 0:
                room[words[i]] += weight
        probabilities[t] = same / total
        if bits.size > 0:
            moment = 0.0
            for i in range(first, last):
                share = room[words[i]] / total
                room[words[i]] = 0.0
                if share > 0:
                    moment -= share * math.log2(share)
            bits[t] = moment
