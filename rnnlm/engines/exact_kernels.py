"""The learning of rnnlm.cells.elman once more, every floating-point operation in rnnlm 0.4b's own order.

Training is chaotic: a difference in the last bit grows to the third printed digit within two passes over
40,000 words, in 0.4b itself when a compiler reorders its sums.  Anyone who wants its training logs to the digit
(``--compatible --dtype float64``) gets these plain loops: no fused multiply-add, no vectors across a sum, exp
from the C library.  Legend as there; the order of every sum is the comment's business.
"""

from __future__ import annotations

import math

import numpy as np

from corpora.compute.jit import exact_kernel
from rnnlm.activations import ELU, LOGISTIC, RELU, TANH
from rnnlm.arrays import AFTER_RESET, CONTEXT_RESET, DECAY_EVERY, DEPTH, FILLED, LAST_WORD, POSITION
from rnnlm.features import feature_runs


@exact_kernel
def copy(to, values):
    """to = values, as a loop: an assignment of slices would need Numba's own memory and the text of an error."""
    for i in range(to.size):
        to[i] = values[i]


@exact_kernel
def activate(x, kind):
    if kind == LOGISTIC:
        return 1 / (1 + math.exp(-min(max(x, -50.0), 50.0)))
    if kind == TANH:
        return math.tanh(x)
    if kind == RELU:
        return max(x, 0.0)
    return x if x > 0 else math.exp(x) - 1


@exact_kernel
def times_derivative(error, h, kind):
    if kind == LOGISTIC:
        return error * h * (1 - h)
    if kind == TANH:
        return error * (1 - h * h)
    if kind == RELU:
        return error if h > 0 else 0.0
    if kind == ELU:
        return error * (1 + min(h, 0.0))
    return error


@exact_kernel
def rows_times(M, m0, n, x, width, out):
    """out[r] = M[m0 + r] . x, each sum from the first column to the last."""
    for r in range(n):
        total = 0.0
        for i in range(width):
            total += x[i] * M[m0 + r, i]
        out[r] = total


@exact_kernel
def add_transposed(M, m0, n, e, width, out, cutoff):
    """out += e M[m0 : m0+n], clipped.  0.4b sums columns by eights apart, the last few in place."""
    apart = width // 8 * 8
    for i in range(apart):
        total = 0.0
        for r in range(n):
            total += e[r] * M[m0 + r, i]
        out[i] += total
    for i in range(apart, width):
        for r in range(n):
            out[i] += e[r] * M[m0 + r, i]
    if cutoff > 0:
        for i in range(width):
            out[i] = min(max(out[i], -cutoff), cutoff)


@exact_kernel
def softmax(s, n):
    top = s[0]
    for i in range(1, n):
        top = max(top, s[i])
    total = 0.0
    for i in range(n):
        total += math.exp(s[i] - top)
    for i in range(n):
        s[i] = math.exp(s[i] - top) / total


@exact_kernel
def add_features(s, D, shape, scratch):
    for a in range(shape.order):
        for i in range(scratch.lengths[a]):
            s[i] += D[scratch.starts[a] + i]


@exact_kernel
def update_features(D, e, shape, scratch, alpha, decay):
    for i in range(scratch.lengths[0]):
        for a in range(shape.order):
            if i < scratch.lengths[a]:
                at = scratch.starts[a] + i
                D[at] += alpha * e[i] - D[at] * decay


@exact_kernel
def update_rows(M, m0, n, e, x, width, alpha, decay):
    for r in range(n):
        rate = alpha * e[r]
        if decay > 0:
            for i in range(width):
                M[m0 + r, i] += rate * x[i] - M[m0 + r, i] * decay
        else:
            for i in range(width):
                M[m0 + r, i] += rate * x[i]


@exact_kernel
def learn_word(weights, state, scratch, shape, class_start, word, c, hidden, error, alpha, beta, decay, cutoff):
    """Learn the outputs from one word; ``error`` (width,) is overwritten.  Returns its natural log probability."""
    base = class_start[c]
    n, n_classes = class_start[c + 1] - base, shape.n_classes
    below, below_error = hidden, error
    error[:] = 0
    if shape.compression:
        below, below_error = scratch.below[0], scratch.below_error[0]
        rows_times(weights.K, 0, shape.n_below, hidden, shape.n_hidden, below)
        for i in range(shape.n_below):
            below[i] = activate(below[i], LOGISTIC)
        below_error[:] = 0
    classes, words = scratch.scores[1], scratch.scores[0]
    rows_times(weights.C, 0, n_classes, below, shape.n_below, classes)
    rows_times(weights.O, base, n, below, shape.n_below, words)
    direct = shape.n_direct > 0
    if direct:
        feature_runs(state.history, shape.order, 0, n_classes, shape.n_direct, scratch.starts, scratch.lengths)
        add_features(classes, weights.D, shape, scratch)
        feature_runs(state.history, shape.order, c + 1, n, shape.n_direct, scratch.starts, scratch.lengths)
        add_features(words, weights.D, shape, scratch)
    softmax(classes, n_classes)
    softmax(words, n)
    log_prob = math.log(classes[c] * words[word - base])
    for i in range(n):
        words[i] = 0 - words[i]
    words[word - base] += 1
    for i in range(n_classes):
        classes[i] = 0 - classes[i]
    classes[c] += 1
    if direct:
        update_features(weights.D, words, shape, scratch, alpha, alpha * beta)
        feature_runs(state.history, shape.order, 0, n_classes, shape.n_direct, scratch.starts, scratch.lengths)
        update_features(weights.D, classes, shape, scratch, alpha, alpha * beta)
    add_transposed(weights.O, base, n, words, shape.n_below, below_error, cutoff)
    update_rows(weights.O, base, n, words, below, shape.n_below, alpha, decay)
    add_transposed(weights.C, 0, n_classes, classes, shape.n_below, below_error, cutoff)
    update_rows(weights.C, 0, n_classes, classes, below, shape.n_below, alpha, decay)
    if shape.compression:
        for i in range(shape.n_below):
            below_error[i] = below_error[i] * below[i] * (1 - below[i])
        add_transposed(weights.K, 0, shape.n_below, below_error, shape.n_hidden, error, cutoff)
        update_rows(weights.K, 0, shape.n_below, below_error, hidden, shape.n_hidden, alpha, 0.0)
    return log_prob


@exact_kernel
def bptt(weights, state, shape, newest, depth, after_reset, alpha, decay, cutoff):
    """Back-propagation through time; the updates of all steps are summed before they are added, newest first."""
    U, W, n = weights.U, weights.W, shape.n_hidden
    dW = np.zeros((n, n))
    dU = np.zeros((shape.steps, n))
    owner = np.empty(shape.steps, np.int64)  # the newest step with the same word
    delta, arriving = np.empty(n), np.zeros(n)
    oldest = newest - shape.steps + 1
    for r in range(newest, oldest - 1, -1):
        s = newest - r
        owner[s] = s
        for earlier in range(s):
            if state.words[newest - earlier] == state.words[r]:
                owner[s] = earlier
                break
        if s >= depth:
            continue
        for i in range(n):
            delta[i] = times_derivative(arriving[i] + state.error[r, i], state.hidden[r, i], shape.kind)
            dU[owner[s], i] += alpha * delta[i]
        for j in range(n):
            total = 0.0
            for i in range(n):
                total += delta[i] * W[j, i]
            arriving[j] = min(max(total, -cutoff), cutoff) if cutoff > 0 else total
            before = state.previous[j] if r == newest and after_reset else state.hidden[r - 1, j]
            for i in range(n):
                dW[j, i] += alpha * delta[i] * before
    for j in range(n):
        for i in range(n):
            W[j, i] += dW[j, i] - W[j, i] * decay if decay > 0 else dW[j, i]
    for s in range(shape.steps):
        word = state.words[newest - s]
        if word >= 0:
            for i in range(n):
                step = dU[s, i] if owner[s] == s else 0.0
                U[word, i] += step - U[word, i] * decay if decay > 0 else step


@exact_kernel
def learn_stream_exact(weights, state, scratch, shape, ids, class_of_word, class_start, alpha, beta, cutoff, log_prob):
    """As ``rnnlm.cells.elman.learn_stream``, with the same arguments, in float64 and word by word."""
    counters, n = state.counters, shape.n_hidden
    for k in range(ids.size):
        word, last = np.int64(ids[k]), counters[LAST_WORD]
        if shape.past + counters[FILLED] >= shape.rows:
            for r in range(shape.rows - 1):
                copy(state.hidden[r], state.hidden[r + 1])
                copy(state.error[r], state.error[r + 1])
                state.words[r] = state.words[r + 1]
            counters[FILLED] -= 1
        newest = shape.past + counters[FILLED]
        hidden = state.hidden[newest]
        for b in range(n):
            total = 0.0
            for a in range(n):
                total += state.previous[a] * weights.W[a, b]
            if last >= 0:
                total += weights.U[last, b]
            hidden[b] = activate(total, shape.kind)
        state.words[newest] = last
        counters[FILLED] += 1
        counters[POSITION] += 1
        counters[DEPTH] = min(counters[DEPTH] + 1, shape.rows)
        position = counters[POSITION]
        decay = alpha * beta if position % DECAY_EVERY == 0 else 0.0
        log_prob[k] = 0.0
        state.error[newest] = 0
        if word >= 0:
            log_prob[k] = learn_word(
                weights, state, scratch, shape, class_start, word, class_of_word[word], hidden, state.error[newest],
                alpha, beta, decay, cutoff,
            )  # fmt: skip
        ended = shape.independent and word == 0
        if position % shape.block == 0 or ended:
            bptt(weights, state, shape, newest, counters[DEPTH], counters[AFTER_RESET] == 1, alpha, decay, cutoff)
        copy(state.previous, hidden)
        counters[AFTER_RESET] = 0
        counters[LAST_WORD] = word
        if position % shape.block == 0 or ended:
            state.error[:] = 0
            moved = counters[FILLED]
            for r in range(shape.rows - moved):
                copy(state.hidden[r], state.hidden[r + moved])
                state.words[r] = state.words[r + moved]
            counters[FILLED] = 0
        for a in range(state.history.size - 1, 0, -1):
            state.history[a] = state.history[a - 1]
        state.history[0] = word
        if ended:
            state.previous[:n] = CONTEXT_RESET
            state.history[:] = 0
            state.hidden[: shape.past - 2] = 0
            state.words[: shape.past - 1] = 0
            counters[DEPTH] = min(counters[DEPTH], 2)
            counters[AFTER_RESET] = 1
