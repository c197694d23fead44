"""Online learning on one stream, in the order of rnnlm 0.4b: what training and dynamic evaluation share.

Output weights change at every word, after its error was taken; recurrent weights at the end of every
block of ``bptt_block`` words, and at every sentence end where sentences are independent.  Inside a block
the recurrent weights stand still, so a segment of words is run forward at once, its outputs are learnt
with one pass over each matrix (outputs/softmax.py), and the errors go back through time together.

Legend: H hidden, P units below the output (compression or hidden), V words, C classes, T words of a segment.
"""

from __future__ import annotations

import numpy as np

from corpora.compute.jit import kernel
from corpora.compute.simd import PAD, load, pointer, prefetch_row, scalar, store
from rnnlm.activations import LOGISTIC, activate, scale_by_derivative
from rnnlm.arrays import (
    AFTER_RESET,
    CONTEXT_RESET,
    DEPTH,
    FILLED,
    LAST_WORD,
    POSITION,
    Scratch,
    State,
    Weights,
)
from rnnlm.cells.elman import clip, elman_bptt, elman_step
from rnnlm.config import MAX_DIRECT_ORDER
from rnnlm.features import add_features, feature_runs, update_features
from rnnlm.matrix_loops import add_scaled_rows, dot_rows
from rnnlm.outputs.softmax import backward_and_update, correct_scores, row_scores, softmax_error

DECAY_EVERY = 10  # rnnlm 0.4b regularises at every tenth word


@kernel
def learn_group(
    w, state, scratch, shape, M, m0, n, group, X, x0, E, e0, n_tokens, targets, t0, base, log_prob, at, rates
):
    """Score, learn and back-propagate one softmax group over the tokens of a segment.

    The group is the n rows of M from m0; targets[t0 + t] - base is the right one.  Row e0 + t of E becomes the error
    of row x0 + t of X; log_prob[at + t] grows by the log probability.
    """
    alpha, decay, direct_decay, _ = rates
    S, stride, width = scratch.scores, shape.stride, shape.below_width
    n_padded = (n + PAD - 1) // PAD * PAD
    row_scores(M, m0, n, X, x0, n_tokens, width, S, stride, np.int64(0))
    for i in range(n_tokens * width):
        store(scratch.scaled, i, load(X, x0 * width + i) * alpha)
    for t in range(n_tokens):
        for i in range(t * stride + n, t * stride + n_padded):
            store(S, i, scalar(S, 0.0))
        correct_scores(S, t, stride, n_padded, X, x0, scratch.scaled, scratch.gram, width)
        target = np.int64(load(targets, t0 + t)) - base
        if shape.n_direct > 0:
            feature_runs(state.history, shape.order, group, n, shape.n_direct, scratch.starts, scratch.lengths)
            if group == 0:
                for i in range(n):
                    store(S, t * stride + i, load(S, t * stride + i) + load(S, shape.segment * stride + i))
            else:
                add_features(S, t * stride, w.D, shape.order, scratch.starts, scratch.lengths)
        score = softmax_error(S, t * stride, n, target)
        store(log_prob, at + t, load(log_prob, at + t) + score)
        if shape.n_direct > 0:
            update_features(w.D, S, t * stride, shape.order, scratch.starts, scratch.lengths, alpha, direct_decay)
    backward_and_update(
        M, m0, n, X, x0, E, e0, n_tokens, width, S, stride, n_padded, scratch.scaled, scratch.gram, decay
    )


@kernel
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
        n = load(class_start, 1)
        learn_group(w, state, scratch, shape, w.O, zero, n, one, X, x0, E, e0, size, ids, k, zero, log_prob, k, rates)
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
            learn_group(
                w, state, scratch, shape, w.O, base, load(class_start, c + 1) - base, c + 1,
                X, x0 + t, E, e0 + t, one, ids, k + t, base, log_prob, k + t, now,
            )  # fmt: skip
        clip(E, e0 * below_width, size * below_width, cutoff)
        learn_group(
            w, state, scratch, shape, w.C, zero, shape.n_classes, zero,
            X, x0, scratch.class_error, zero, size, scratch.classes, zero, zero, log_prob, k, rates,
        )  # fmt: skip
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


@kernel
def shift_rows(state, shape, drop):
    """Forget the oldest ``drop`` rows; the others move to the front."""
    moved = drop * shape.width
    for i in range((shape.rows - drop) * shape.width):
        store(state.hidden, i, load(state.hidden, i + moved))
        store(state.error, i, load(state.error, i + moved))
    for r in range(shape.rows - drop):
        store(state.words, r, load(state.words, r + drop))


@kernel
def forget_block(state, shape, filled):
    """After an update: the newest ``past`` rows move to the front, and all errors have been used."""
    moved = filled * shape.width
    for i in range(shape.past * shape.width):
        store(state.hidden, i, load(state.hidden, i + moved))
    for r in range(shape.past):
        store(state.words, r, load(state.words, r + filled))
    for i in range((shape.past + filled) * shape.width):
        store(state.error, i, scalar(state.error, 0.0))


@kernel
def reset_context(state, shape):
    """Forget the sentence: state 1, features of </s> only.  As 0.4b, its last two states stay within reach of BPTT."""
    for i in range(shape.n_hidden):
        store(state.previous, i, scalar(state.previous, CONTEXT_RESET))
    for a in range(MAX_DIRECT_ORDER):
        store(state.history, a, np.int32(0))
    for i in range((shape.past - 2) * shape.width):
        store(state.hidden, i, scalar(state.hidden, 0.0))
    for r in range(shape.past - 1):
        store(state.words, r, np.int32(0))
    store(state.counters, DEPTH, min(load(state.counters, DEPTH), 2))
    store(state.counters, AFTER_RESET, 1)


@kernel
def forward_segment(w, state, scratch, shape, class_of_word, ids, k, first, size):
    """Run the hidden layer over ``size`` words into rows ``first``... and note their inputs and classes."""
    width = shape.width
    for t in range(size):
        row = first + t
        word = load(state.counters, LAST_WORD)
        target = np.int64(load(ids, k + t))
        store(state.words, row, np.int32(word))
        prefetch_row(w.U, max(target, 0), width)  # the next step's input
        before, b0 = state.hidden, (row - 1) * width
        if t == 0:
            before, b0 = state.previous, np.int64(0)
        elman_step(
            w.U, w.W, word, before, b0, state.hidden, row * width, shape.n_hidden, width, shape.kind, (row & 1) == 0
        )
        store(state.counters, LAST_WORD, target)
        store(scratch.classes, t, load(class_of_word, max(target, 0)))


@kernel
def segment_size(state, shape, ids, k, n):
    """Words until the next change of weights that forward steps use, or decay, or sentence end, or OOV."""
    position = load(state.counters, POSITION)
    size = min(n - k, shape.block - position % shape.block, DECAY_EVERY - position % DECAY_EVERY, shape.segment)
    for t in range(size):
        target = load(ids, k + t)
        if target < 0:
            return max(t, 1)
        if shape.independent and target == 0:
            return t + 1
    return size


@kernel
def learn_stream(
    weights, arrays, scratch_arrays, shape, ids, class_of_word, class_start, alpha, beta, cutoff, log_prob
):
    """Learn from the next words of a stream.  Mikolov et al. (2010, 2011), in the order of rnnlm 0.4b.

    ``weights`` (Weights) and ``arrays`` (State) change in place.  ids (n,) int32, -1: outside the vocabulary (nothing
    is learnt from it).  class_start (C + 1,) int64: the first word of each class.  alpha, beta, cutoff: of the weights'
    dtype.  log_prob (n,) float64, overwritten: the natural log probability of each word before it was learnt, 0 where
    ids is -1.
    """
    w = Weights(
        pointer(weights.U), pointer(weights.W), pointer(weights.K),
        pointer(weights.C), pointer(weights.O), pointer(weights.D),
    )  # fmt: skip
    state = State(
        pointer(arrays.hidden), pointer(arrays.error), pointer(arrays.words),
        pointer(arrays.previous), pointer(arrays.history), pointer(arrays.counters),
    )  # fmt: skip
    s = scratch_arrays
    scratch = Scratch(
        pointer(s.scores), pointer(s.scaled), pointer(s.gram), pointer(s.delta), pointer(s.below),
        pointer(s.below_error), pointer(s.class_error), pointer(s.classes), pointer(s.starts), pointer(s.lengths),
    )  # fmt: skip
    words, word_class, first_word, score = pointer(ids), pointer(class_of_word), pointer(class_start), pointer(log_prob)
    n, width, counters = ids.size, shape.width, state.counters
    for i in range(n):
        store(score, i, 0.0)
    k = np.int64(0)  # a literal, here and below, would compile every callee once more
    while k < n:
        size = segment_size(state, shape, words, k, n)
        excess = shape.past + load(counters, FILLED) + size - shape.rows
        if excess > 0:  # an epoch ended inside a block: its oldest words are out of reach
            shift_rows(state, shape, excess)
            store(counters, FILLED, load(counters, FILLED) - excess)
        first = shape.past + load(counters, FILLED)
        forward_segment(w, state, scratch, shape, word_class, words, k, first, size)
        newest = first + size - 1
        after_reset = load(counters, AFTER_RESET) == 1 and size == 1
        position = load(counters, POSITION) + size
        store(counters, POSITION, position)
        store(counters, AFTER_RESET, 0)
        store(counters, FILLED, load(counters, FILLED) + size)
        store(counters, DEPTH, min(load(counters, DEPTH) + size, shape.rows))

        decay = alpha * beta if position % DECAY_EVERY == 0 else alpha - alpha
        if load(words, k) < 0:
            for i in range(first * width, (first + 1) * width):
                store(state.error, i, scalar(state.error, 0.0))
        else:
            rates = (alpha, decay, alpha * beta, cutoff)
            learn_outputs(w, state, scratch, shape, first_word, words, k, first, size, score, rates)
        ended = shape.independent and load(words, k + size - 1) == 0
        flush = position % shape.block == 0 or ended
        if flush:
            elman_bptt(
                w.U, w.W, state.words, state.hidden, state.error, newest, shape.steps, load(counters, DEPTH),
                state.previous, after_reset, scratch.delta, shape.n_hidden, width, shape.kind, alpha, decay, cutoff,
            )  # fmt: skip
        for i in range(width):
            store(state.previous, i, load(state.hidden, newest * width + i))
        if flush:
            forget_block(state, shape, load(counters, FILLED))
            store(counters, FILLED, 0)
        if shape.n_direct > 0:
            for t in range(size):
                for a in range(MAX_DIRECT_ORDER - 1, 0, -1):
                    store(state.history, a, load(state.history, a - 1))
                store(state.history, 0, load(words, k + t))
        if ended:
            reset_context(state, shape)
        k += size
