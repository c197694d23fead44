"""Elman's network (Elman 1990; Mikolov et al. 2010): s_t = f(U[w_t] + s_{t-1} W).

T steps, B streams, H hidden, V words.  U (V, H) and W (H, H), row j of W: from previous unit j.
All matrices are padded as corpora.compute.simd says; a hidden row is ``width`` = padded(H) long, zero beyond H.

Learning is in the order of rnnlm 0.4b.  Output weights change at every word, after its error was taken; recurrent
weights at the end of every block of ``bptt_block`` words, and at every sentence end where sentences are independent.
Inside a block the recurrent weights stand still, so a segment of words is run forward at once, its outputs are learnt
with one pass over each matrix (outputs/groups.py), and the errors go back through time together.
"""

from __future__ import annotations

import numpy as np

from corpora.compute.jit import kernel, stage
from corpora.compute.simd import load, pointer, prefetch_row, scalar, store
from rnnlm.activations import activate, clip, scale_by_derivative
from rnnlm.arrays import (
    AFTER_RESET,
    CONTEXT_RESET,
    CONTEXT_START,
    DECAY_EVERY,
    DEPTH,
    FILLED,
    LAST_WORD,
    POSITION,
    Scratch,
    State,
    Weights,
)
from rnnlm.cells import Cell, Parameter
from rnnlm.config import MAX_DIRECT_ORDER
from rnnlm.matrix_loops import (
    add_scaled_rows,
    add_scaled_rows_alike,
    add_scaled_rows_to_each,
    dot_rows,
    dot_rows_downwards,
)
from rnnlm.outputs.softmax import learn_outputs


def parameters(config, n_words: int) -> dict[str, Parameter]:
    """U (V, H), W (H, H).  A unit's fan-in is H + 1: the units before it and the one word that is on."""
    fans = config.hidden + 1, config.hidden
    return {
        "U": Parameter((n_words, config.hidden), fans, "input"),
        "W": Parameter((config.hidden, config.hidden), fans, "recurrent"),
    }


@kernel
def elman_step(U, W, word, previous, p0, hidden, h0, n_hidden, width, kind, upwards):
    """hidden[h0:] = f(U[word] + previous[p0:] W), flat rows; word -1: no input.  Mikolov et al. (2010), eq. 1-3.

    ``upwards`` or downwards through the rows of W: callers alternate, so that what a step read last,
    which is still in the nearest cache, is what the next one reads first.
    """
    if word >= 0:
        u0 = word * width
        for i in range(width):
            store(hidden, h0 + i, load(U, u0 + i))
    else:
        for i in range(width):
            store(hidden, h0 + i, scalar(hidden, 0.0))
    zero, one = np.int64(0), np.int64(1)
    if upwards:
        add_scaled_rows(hidden, h0, previous, p0, one, W, zero, width, n_hidden, width)
    else:
        last = n_hidden - 1
        add_scaled_rows(hidden, h0, previous, p0 + last, -one, W, last * width, -width, n_hidden, width)
    activate(hidden, h0, n_hidden, kind)


@kernel
def elman_forward(U, W, ids, state, hidden_states, n_hidden, kind):
    """Run T steps of one stream.

    ids (T,) int32, -1: no input; state (width,) before, overwritten with the one after; hidden_states (T, width),
    overwritten.
    """
    width = hidden_states.shape[1]
    u, w, x, h = pointer(U), pointer(W), pointer(state), pointer(hidden_states)
    for t in range(ids.size):
        previous, p0 = h, (t - 1) * width
        if t == 0:
            previous, p0 = x, np.int64(0)
        if t + 1 < ids.size:
            prefetch_row(u, max(np.int64(ids[t + 1]), 0), width)
        elman_step(u, w, np.int64(ids[t]), previous, p0, h, t * width, n_hidden, width, kind, (t & 1) == 0)
    if ids.size:
        for i in range(width):  # an assignment of slices would compile the text of an error, two seconds of it
            state[i] = hidden_states[ids.size - 1, i]


@kernel
def elman_forward_streams(U, W, ids, state, hidden_states, n_hidden, kind):
    """Run T steps of B streams, each to the bit as ``elman_forward`` runs it alone.

    ids (T, B); state (B, width), overwritten; hidden_states (T, B, width), overwritten.
    """
    n_steps, n_streams, width = hidden_states.shape
    u, w, x, h = pointer(U), pointer(W), pointer(state), pointer(hidden_states)
    zero, one = np.int64(0), np.int64(1)
    last = n_hidden - 1
    for t in range(n_steps):
        row = t * n_streams * width
        for b in range(n_streams):
            word = np.int64(ids[t, b])
            for i in range(width):
                store(h, row + b * width + i, load(u, word * width + i) if word >= 0 else scalar(h, 0.0))
        previous, p0 = h, row - n_streams * width
        if t == 0:
            previous, p0 = x, zero
        if t & 1 == 0:
            add_scaled_rows_alike(h, row, width, n_streams, previous, p0, width, one, w, zero, width, n_hidden, width)
        else:
            add_scaled_rows_alike(
                h, row, width, n_streams, previous, p0 + last, width, -one, w, last * width, -width, n_hidden, width
            )
        for b in range(n_streams):
            activate(h, row + b * width, n_hidden, kind)
    if n_steps:
        for b in range(n_streams):
            for i in range(width):
                state[b, i] = hidden_states[n_steps - 1, b, i]


@kernel
def elman_bptt(weights, state, scratch, shape, newest, reset, rates):
    """Back-propagate through time from row ``newest`` and update U and W.  Mikolov et al. (2011), on BPTT.

    Rows of the state's arrays are in the order of time; ``error`` is dE/ds_t that came from the outputs.
    ``shape.steps`` rows are gone through, those older than the counter DEPTH hold nothing.  ``state.previous`` is the
    true input state of the newest row; ``reset``: it is not the row before.  W and the touched rows of U shrink by the
    factor 1 - decay.
    """
    U, W, words, hidden, error, delta = (
        weights.U, weights.W, state.words, state.hidden, state.error, scratch.delta,
    )  # fmt: skip
    n_hidden, width, kind, n_steps = shape.n_hidden, shape.width, shape.kind, shape.steps
    alpha, decay, _, cutoff = rates
    depth = load(state.counters, DEPTH)
    zero, one = np.int64(0), np.int64(1)
    live = min(n_steps, depth)
    first = newest - live + 1  # the oldest row with an error; row r of time is row r - first of delta
    for r in range(newest, first - 1, -1):
        d0 = (r - first) * width
        if r == newest:
            for i in range(width):
                store(delta, d0 + i, load(error, r * width + i))
        else:
            # the error that arrives from the next step, clipped as 0.4b does before the output's is added
            if (newest - r) & 1:
                dot_rows(delta, d0, W, zero, width, n_hidden, delta, d0 + width, width)
            else:
                dot_rows_downwards(delta, d0, W, zero, width, n_hidden, delta, d0 + width, width)
            clip(delta, d0, n_hidden, cutoff)
            for i in range(n_hidden):
                store(delta, d0 + i, load(delta, d0 + i) + load(error, r * width + i))
        for i in range(n_hidden, width):
            store(delta, d0 + i, scalar(delta, 0.0))
        scale_by_derivative(delta, d0, hidden, r * width, n_hidden, kind)

    for i in range(live * width):
        store(delta, i, load(delta, i) * alpha)
    keep = scalar(W, 1.0) - decay
    shrinks = keep != scalar(W, 1.0)
    inputs = first - 1  # row r was computed from row r - 1
    # a reset leaves the newest row with another input state than the row before it
    n_regular = live - 1 if reset else live
    if shrinks:
        for i in range(n_hidden * width):
            store(W, i, load(W, i) * keep)
    add_scaled_rows_to_each(
        W, zero, width, n_hidden, hidden, inputs * width, one, width, delta, zero, width, n_regular, width
    )
    if reset:
        add_scaled_rows_to_each(
            W, zero, width, n_hidden, state.previous, zero, one, zero, delta, n_regular * width, width, one, width
        )
    oldest = newest - n_steps + 1
    if shrinks:
        shrink_inputs(U, words, oldest, newest, width, keep, True)
    for r in range(first, newest + 1):
        word = np.int64(load(words, r))
        if word >= 0:
            for i in range(width):
                at = word * width + i
                store(U, at, load(U, at) + load(delta, (r - first) * width + i))
    if shrinks:
        shrink_inputs(U, words, oldest, newest, width, keep, False)


@kernel
def shrink_inputs(U, words, oldest, newest, width, keep, first_time):
    """U[word] *= keep for each of the words that has no newer occurrence (``first_time``), or for each that has.

    0.4b adds a row's update and its decay at the newest occurrence of the word, and decays it again at each
    older one.  Training amplifies the smallest difference, so the order is kept.
    """
    for r in range(newest, oldest - 1, -1):
        word = load(words, r)
        if word < 0:
            continue
        newer = False
        for later in range(r + 1, newest + 1):
            newer = newer or load(words, later) == word
        if newer != first_time:
            for i in range(np.int64(word) * width, np.int64(word + 1) * width):
                store(U, i, load(U, i) * keep)


@stage
def shift_rows(state, shape, drop):
    """Forget the oldest ``drop`` rows; the others move to the front."""
    moved = drop * shape.width
    for i in range((shape.rows - drop) * shape.width):
        store(state.hidden, i, load(state.hidden, i + moved))
        store(state.error, i, load(state.error, i + moved))
    for r in range(shape.rows - drop):
        store(state.words, r, load(state.words, r + drop))


@stage
def forget_block(state, shape, filled):
    """After an update: the newest ``past`` rows move to the front, and all errors have been used."""
    moved = filled * shape.width
    for i in range(shape.past * shape.width):
        store(state.hidden, i, load(state.hidden, i + moved))
    for r in range(shape.past):
        store(state.words, r, load(state.words, r + filled))
    for i in range((shape.past + filled) * shape.width):
        store(state.error, i, scalar(state.error, 0.0))


@stage
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


@stage
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


@stage
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
    dtype.  log_prob (n,) float64, overwritten: the natural log probability of each word before it was
    learnt, 0 where ids is -1.
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
    words, word_class, first_word, score = (
        pointer(ids),
        pointer(class_of_word),
        pointer(class_start),
        pointer(log_prob),
    )
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
        now = (alpha, decay, alpha * beta, cutoff)
        if load(words, k) < 0:
            for i in range(first * width, (first + 1) * width):
                store(state.error, i, scalar(state.error, 0.0))
        else:
            learn_outputs(w, state, scratch, shape, first_word, words, k, first, size, score, now)
        ended = shape.independent and load(words, k + size - 1) == 0
        flush = position % shape.block == 0 or ended
        if flush:
            elman_bptt(w, state, scratch, shape, newest, after_reset, now)
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


def forward(weights, shape, ids, state, hidden_states) -> None:
    elman_forward(weights.U, weights.W, ids, state, hidden_states, shape.n_hidden, shape.kind)


def forward_streams(weights, shape, ids, state, hidden_states) -> None:
    elman_forward_streams(weights.U, weights.W, ids, state, hidden_states, shape.n_hidden, shape.kind)


CELL = Cell(
    state_size=lambda config, n_words: config.hidden,
    parameters=parameters,
    start=CONTEXT_START,
    reset=CONTEXT_RESET,
    forward=forward,
    forward_streams=forward_streams,
    arrays=lambda shape, dtype: (State.create(shape, dtype), Scratch.create(shape, dtype)),
    learn=learn_stream,
)
