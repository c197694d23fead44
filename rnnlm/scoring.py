"""Forward passes without learning: the probability of each word, and whole next-word distributions.

Legend: T words, H hidden, P units below the output (compression or hidden), V words, C classes.
"""

from __future__ import annotations

import math

import numpy as np

from corpora.compute.jit import exp, kernel
from corpora.compute.simd import load, pointer, scalar, store
from rnnlm.activations import LOGISTIC, activate
from rnnlm.config import MAX_DIRECT_ORDER
from rnnlm.features import add_features, feature_runs
from rnnlm.matrix_loops import dot_rows
from rnnlm.outputs.softmax import log_softmax_at, row_scores

BLOCK = 16  # words that share one pass over an output matrix


@kernel
def compress(K, hidden, h0, n_tokens, shape, below):
    """below[t] = logistic(K hidden[h0 + t]), the compression layer of Mikolov et al. (2011)."""
    for t in range(n_tokens):
        b = t * shape.below_width
        dot_rows(below, b, K, np.int64(0), shape.width, shape.n_below, hidden, (h0 + t) * shape.width, shape.width)
        for i in range(b + shape.n_below, b + shape.below_width):
            store(below, i, scalar(below, 0.0))
        activate(below, b, shape.n_below, LOGISTIC)


@kernel
def score_outputs(weights, shape, hidden, ids, histories, class_of_word, class_start, log_prob):
    """log_prob[t] (float64, natural) = log P(ids[t] | hidden[t]); 0 where ids[t] is -1.

    hidden (T, width); histories (T, order) int32: the words before each, newest first (direct connections only).
    """
    C, O, D = pointer(weights.C), pointer(weights.O), pointer(weights.D)
    zero = np.int64(0)
    n_classes, width = shape.n_classes, shape.below_width
    below_room = np.zeros((BLOCK, width), hidden.dtype)
    class_scores = np.zeros((BLOCK, (n_classes + 15) // 16 * 16 + 16), hidden.dtype)
    word_scores = np.zeros((BLOCK if n_classes == 1 else 1, shape.stride), hidden.dtype)
    starts_room, lengths_room = np.zeros(MAX_DIRECT_ORDER, np.int64), np.zeros(MAX_DIRECT_ORDER, np.int64)
    starts, lengths = pointer(starts_room), pointer(lengths_room)
    below, S, SW = pointer(below_room), pointer(class_scores), pointer(word_scores)
    class_stride = class_scores.shape[1]
    for k in range(zero, ids.size, BLOCK):
        size = min(BLOCK, ids.size - k)
        X, x0 = pointer(hidden), k
        if shape.compression:
            compress(pointer(weights.K), X, k, size, shape, below)
            X, x0 = below, zero
        if n_classes == 1:
            row_scores(O, zero, class_start[1], X, x0, size, width, SW, shape.stride, zero)
        else:
            row_scores(C, zero, n_classes, X, x0, size, width, S, class_stride, zero)
        for t in range(size):
            log_prob[k + t] = 0.0
            word = np.int64(ids[k + t])
            if word < 0:
                continue
            c = np.int64(class_of_word[word])
            base = class_start[c]
            n = class_start[c + 1] - base
            s0 = t * shape.stride if n_classes == 1 else 0
            if n_classes > 1:
                if shape.n_direct > 0:
                    feature_runs(histories[k + t], shape.order, 0, n_classes, shape.n_direct, starts, lengths)
                    add_features(S, t * class_stride, D, shape.order, starts, lengths)
                log_prob[k + t] = log_softmax_at(S, t * class_stride, n_classes, c)
                dot_rows(SW, zero, O, base * width, width, n, X, (x0 + t) * width, width)
            if shape.n_direct > 0:
                feature_runs(histories[k + t], shape.order, c + 1, n, shape.n_direct, starts, lengths)
                add_features(SW, s0, D, shape.order, starts, lengths)
            log_prob[k + t] += log_softmax_at(SW, s0, n, word - base)


@kernel
def softmax_in_place(S, s0, n):
    """S[s0 : s0+n] = softmax(S)."""
    top = load(S, s0)
    for i in range(1, n):
        top = max(top, load(S, s0 + i))
    part = scalar(S, 0.0)
    for i in range(s0, s0 + n):
        e = exp(load(S, i) - top)
        store(S, i, e)
        part += e
    factor = scalar(S, 1.0) / part
    for i in range(s0, s0 + n):
        store(S, i, load(S, i) * factor)


@kernel
def distributions(weights, shape, hidden, histories, class_start, probabilities, entropy_bits, keep):
    """P(w | hidden[t]) of every word, and its entropy in bits.

    hidden (T, width).  probabilities (max(T, 16) if keep else 16, padded(V) + 16), overwritten: with ``keep`` row t
    holds token t's distribution, else it is scratch.  entropy_bits (T,) float64.
    H(w) = H(class) + sum_c P(c) H(w | c); the sums run over float64.
    """
    C, O, D = pointer(weights.C), pointer(weights.O), pointer(weights.D)
    zero = np.int64(0)
    n_classes, width = shape.n_classes, shape.below_width
    n_words = class_start[n_classes]
    below_room = np.zeros((BLOCK, width), hidden.dtype)
    class_scores = np.zeros((BLOCK, (n_classes + 15) // 16 * 16 + 16), hidden.dtype)
    starts_room, lengths_room = np.zeros(MAX_DIRECT_ORDER, np.int64), np.zeros(MAX_DIRECT_ORDER, np.int64)
    starts, lengths = pointer(starts_room), pointer(lengths_room)
    below, S, P = pointer(below_room), pointer(class_scores), pointer(probabilities)
    class_stride, stride = class_scores.shape[1], probabilities.shape[1]
    for k in range(0, hidden.shape[0], BLOCK):
        size = min(BLOCK, hidden.shape[0] - k)
        p0 = k if keep else 0
        X, x0 = pointer(hidden), k
        if shape.compression:
            compress(pointer(weights.K), X, k, size, shape, below)
            X, x0 = below, zero
        row_scores(C, zero, n_classes, X, x0, size, width, S, class_stride, zero)
        row_scores(O, zero, n_words, X, x0, size, width, P, stride, p0)
        for t in range(size):
            if shape.n_direct > 0 and n_classes > 1:
                feature_runs(histories[k + t], shape.order, 0, n_classes, shape.n_direct, starts, lengths)
                add_features(S, t * class_stride, D, shape.order, starts, lengths)
            softmax_in_place(S, t * class_stride, n_classes)
            total, mass = 0.0, 0.0
            for c in range(n_classes):
                base = class_start[c]
                n = class_start[c + 1] - base
                if n == 0:
                    continue
                s0 = (p0 + t) * stride + base
                if shape.n_direct > 0:
                    feature_runs(histories[k + t], shape.order, c + 1, n, shape.n_direct, starts, lengths)
                    add_features(P, s0, D, shape.order, starts, lengths)
                p_class = load(S, t * class_stride + c)
                # within a class: entropy = log Z - sum_i p_i (s_i - top), with no logarithm a word
                top = load(P, s0)
                for i in range(s0 + 1, s0 + n):
                    top = max(top, load(P, i))
                z = scalar(P, 0.0)
                moment = scalar(P, 0.0)
                for i in range(s0, s0 + n):
                    d = load(P, i) - top
                    e = exp(d)
                    store(P, i, e)
                    z += e
                    moment += e * d
                within = math.log(np.float64(z)) - np.float64(moment) / np.float64(z)
                mass += np.float64(p_class)
                if p_class > 0:
                    total += np.float64(p_class) * (within - math.log(np.float64(p_class)))
                factor = p_class / z
                for i in range(s0, s0 + n):
                    store(P, i, load(P, i) * factor)
            # of the words: what the network gives to classes without words is shared out, as in model.distribution
            entropy_bits[k + t] = (total / mass + math.log(mass)) * 1.4426950408889634


@kernel
def word_histories(ids, before, histories):
    """histories[t] (T, order) = the words before ids[t], newest first; ``before`` (20,) those before ids[0]."""
    order = histories.shape[1]
    for t in range(ids.size):
        for a in range(order):
            histories[t, a] = ids[t - 1 - a] if a < t else before[a - t]
