"""The softmax over all words, or over classes and the words of one; a compression layer and direct connections.

Mikolov et al. (2011).  Legend: T words, H hidden, P units below the output (compression or hidden), V words, C classes.
"""

from __future__ import annotations

import math

import numpy as np

from corpora.compute.jit import exp, kernel, stage
from corpora.compute.simd import PAD, load, pointer, scalar, store
from rnnlm.activations import LOGISTIC, activate, clip, scale_by_derivative
from rnnlm.cells import Parameter
from rnnlm.config import MAX_DIRECT_ORDER
from rnnlm.features import add_features, feature_runs, update_features
from rnnlm.matrix_loops import add_scaled_rows, dot_rows
from rnnlm.outputs import Output
from rnnlm.outputs.groups import (
    Below,
    Group,
    backward_and_update,
    correct_scores,
    log_softmax_at,
    row_scores,
    softmax_error,
    softmax_in_place,
)

TOKENS = 16  # that share one pass over an output matrix when they are scored


def parameters(config, n_words: int) -> dict[str, Parameter]:
    """K (P, H) with a compression layer, O (V, P), C (C, P), D with direct connections: in 0.4b's order."""
    below = config.compression or config.hidden
    return {
        **({"K": Parameter((config.compression, config.hidden), (config.hidden, config.compression))}
           if config.compression else {}),
        "O": Parameter((n_words, below), (below, n_words), "output"),
        "C": Parameter((config.classes, below), (below, config.classes), "output"),
        **({"D": Parameter((config.direct,), (0, 0), value=0.0)} if config.direct else {}),
    }  # fmt: skip


@stage
def compress(K, hidden, h0, n_tokens, shape, below):
    """below[t] = logistic(K hidden[h0 + t]), the compression layer of Mikolov et al. (2011)."""
    for t in range(n_tokens):
        b = t * shape.below_width
        dot_rows(below, b, K, np.int64(0), shape.width, shape.n_below, hidden, (h0 + t) * shape.width, shape.width)
        for i in range(b + shape.n_below, b + shape.below_width):
            store(below, i, scalar(below, 0.0))
        activate(below, b, shape.n_below, LOGISTIC)


@kernel
def score_outputs(weights, shape, hidden_states, ids, histories, class_of_word, class_start, log_prob):
    """log_prob[t] (float64, natural) = log P(ids[t] | hidden_states[t]); 0 where ids[t] is -1.

    hidden_states (T, width); histories (T, order) int32: the words before each, newest first (direct connections only).
    """
    C, O, D = pointer(weights.C), pointer(weights.O), pointer(weights.D)
    zero = np.int64(0)
    n_classes, width = shape.n_classes, shape.below_width
    below_room = np.zeros((TOKENS, width), hidden_states.dtype)
    class_scores = np.zeros((TOKENS, (n_classes + 15) // 16 * 16 + 16), hidden_states.dtype)
    word_scores = np.zeros((TOKENS if n_classes == 1 else 1, shape.stride), hidden_states.dtype)
    starts_room, lengths_room = np.zeros(MAX_DIRECT_ORDER, np.int64), np.zeros(MAX_DIRECT_ORDER, np.int64)
    starts, lengths = pointer(starts_room), pointer(lengths_room)
    below, S, SW = pointer(below_room), pointer(class_scores), pointer(word_scores)
    class_stride = class_scores.shape[1]
    for k in range(zero, ids.size, TOKENS):
        size = min(TOKENS, ids.size - k)
        X, x0 = pointer(hidden_states), k
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
def distributions(weights, shape, hidden_states, histories, class_start, probabilities, entropy_bits, keep):
    """P(w | hidden_states[t]) of every word, and its entropy in bits.

    hidden_states (T, width).  probabilities (max(T, 16) if keep else 16, padded(V) + 16), overwritten: with ``keep``
    row t holds token t's distribution, else it is scratch.  entropy_bits (T,) float64.
    H(w) = H(class) + sum_c P(c) H(w | c); the sums run over float64.
    """
    C, O, D = pointer(weights.C), pointer(weights.O), pointer(weights.D)
    zero = np.int64(0)
    n_classes, width = shape.n_classes, shape.below_width
    n_words = class_start[n_classes]
    below_room = np.zeros((TOKENS, width), hidden_states.dtype)
    class_scores = np.zeros((TOKENS, (n_classes + 15) // 16 * 16 + 16), hidden_states.dtype)
    starts_room, lengths_room = np.zeros(MAX_DIRECT_ORDER, np.int64), np.zeros(MAX_DIRECT_ORDER, np.int64)
    starts, lengths = pointer(starts_room), pointer(lengths_room)
    below, S, P = pointer(below_room), pointer(class_scores), pointer(probabilities)
    class_stride, stride = class_scores.shape[1], probabilities.shape[1]
    for k in range(0, hidden_states.shape[0], TOKENS):
        size = min(TOKENS, hidden_states.shape[0] - k)
        p0 = k if keep else 0
        X, x0 = pointer(hidden_states), k
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
                # within a class: entropy = log Z - sum_i p_i (s_i - top), with no logarithm per word
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


@stage
def learn_group(w, state, scratch, shape, group, below, targets, t0, log_prob, at, rates):
    """Score, learn and back-propagate one softmax group over the tokens of a segment.

    targets[t0 + t] - group.base is the right row.  Row e0 + t of ``below.E`` becomes the error of row x0 + t of
    ``below.X``; log_prob[at + t] grows by the log probability.
    """
    alpha, decay, direct_decay, _ = rates
    S, stride, width = scratch.scores, shape.stride, shape.below_width
    n, X, x0 = group.n, below.X, below.x0
    n_padded = (n + PAD - 1) // PAD * PAD
    row_scores(group.M, group.m0, n, X, x0, below.size, width, S, stride, np.int64(0))
    for i in range(below.size * width):
        store(scratch.scaled, i, load(X, x0 * width + i) * alpha)
    for t in range(below.size):
        for i in range(t * stride + n, t * stride + n_padded):
            store(S, i, scalar(S, 0.0))
        correct_scores(S, t, stride, n_padded, X, x0, scratch.scaled, scratch.gram, width)
        target = np.int64(load(targets, t0 + t)) - group.base
        if shape.n_direct > 0:
            feature_runs(state.history, shape.order, group.number, n, shape.n_direct, scratch.starts, scratch.lengths)
            if group.number == 0:
                for i in range(n):
                    store(S, t * stride + i, load(S, t * stride + i) + load(S, shape.segment * stride + i))
            else:
                add_features(S, t * stride, w.D, shape.order, scratch.starts, scratch.lengths)
        score = softmax_error(S, t * stride, n, target)
        store(log_prob, at + t, load(log_prob, at + t) + score)
        if shape.n_direct > 0:
            update_features(w.D, S, t * stride, shape.order, scratch.starts, scratch.lengths, alpha, direct_decay)
    backward_and_update(group, below, scratch, width, stride, n_padded, decay)


@stage
def learn_outputs(w, state, scratch, shape, class_start, ids, k, first, size, log_prob, rates):
    """Learn the output layers from ``size`` words; their errors go to rows ``first``... of state.error.

    The words of a class come before the classes, and errors are clipped after each: the order of 0.4b.
    """
    alpha, decay, direct_decay, cutoff = rates
    width, below_width = shape.width, shape.below_width
    zero, one = np.int64(0), np.int64(1)
    X, x0, E, e0 = state.hidden, first, state.error, first
    if shape.compression:
        X, x0, E, e0 = scratch.below, zero, scratch.below_error, zero
        dot_rows(X, zero, w.K, zero, width, shape.n_below, state.hidden, first * width, width)
        for i in range(shape.n_below, below_width):
            store(X, i, scalar(X, 0.0))
        activate(X, zero, shape.n_below, LOGISTIC)
    if shape.n_classes == 1:
        group = Group(w.O, zero, load(class_start, 1), zero, one)
        learn_group(w, state, scratch, shape, group, Below(X, x0, E, e0, size), ids, k, log_prob, k, rates)
        clip(E, e0 * below_width, size * below_width, cutoff)
    else:
        if shape.n_direct > 0:
            # read into a spare row before those of words change: where the halves of D meet they share weights
            S, spare = scratch.scores, shape.segment * shape.stride
            for i in range(shape.n_classes):
                store(S, spare + i, scalar(S, 0.0))
            feature_runs(
                state.history, shape.order, zero, shape.n_classes, shape.n_direct, scratch.starts, scratch.lengths
            )
            add_features(S, spare, w.D, shape.order, scratch.starts, scratch.lengths)
        for t in range(size):
            c = np.int64(load(scratch.classes, t))
            base = load(class_start, c)
            # the weights decay at the last word of a segment, if at all
            now = (alpha, decay if t == size - 1 else decay - decay, direct_decay, cutoff)
            group = Group(w.O, base, load(class_start, c + 1) - base, base, c + 1)
            below = Below(X, x0 + t, E, e0 + t, one)
            learn_group(w, state, scratch, shape, group, below, ids, k + t, log_prob, k + t, now)
        clip(E, e0 * below_width, size * below_width, cutoff)
        group, below = Group(w.C, zero, shape.n_classes, zero, zero), Below(X, x0, scratch.class_error, zero, size)
        learn_group(w, state, scratch, shape, group, below, scratch.classes, zero, log_prob, k, rates)
        e = e0 * below_width
        for i in range(size * below_width):
            store(E, e + i, load(E, e + i) + load(scratch.class_error, i))
        clip(E, e, size * below_width, cutoff)
    if shape.compression:
        scale_by_derivative(E, 0, X, 0, shape.n_below, LOGISTIC)
        h = first * width
        for i in range(width):
            store(state.error, h + i, scalar(E, 0.0))
            store(scratch.scaled, i, load(state.hidden, h + i) * alpha)
        add_scaled_rows(state.error, h, E, zero, one, w.K, zero, width, shape.n_below, width)
        clip(state.error, h, width, cutoff)
        for r in range(shape.n_below):
            add_scaled_rows(w.K, r * width, E, r, one, scratch.scaled, zero, width, one, width)


def learner(model, config, n_rows, workers):
    from rnnlm.outputs.batches import SoftmaxLearner

    return SoftmaxLearner(model, config, n_rows, workers)


def work(model) -> int:
    """Multiplications for the scores of the classes, of the words of one class, and for the compression layer."""
    config, sizes, counts = model.config, np.diff(model.class_start), np.maximum(model.vocab.counts, 1)
    words = float(sizes[model.class_of_word] @ counts) / counts.sum()
    below = config.compression or config.hidden
    return int(below * (config.classes + words) + config.hidden * config.compression)


OUTPUT = Output(parameters, score_outputs, distributions, learner, work)
