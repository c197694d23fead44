"""Jordan's network (Jordan 1986): s_t = f(U[w_t] + y_{t-1} W), y_t = softmax(O s_t): what comes back is the output.

T steps, B streams, H hidden, V words.  U (V, H); W (V, H), row j: from the probability of word j; O (V, H).  The
state is y (V,), 0 before a text.  Rows of H are padded to ``width``, rows of V to ``span``, with zeros.

Jordan's state units also keep a share of what they held before; here that share is 0.

Learning: O changes at every word by its own error, as in rnnlm.cells.elman; at the end of a block the errors go back
through time: out of s_t into y_{t-1}, through its softmax and O into s_{t-1}.  With ``bptt`` 0 they go back a single
step, and y_{t-1} counts as an input.  Nothing goes back beyond the beginning of a text, or of a sentence where
sentences are independent; what is left of a block when a text ends has changed O only.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from corpora.compute.jit import exp, kernel, stage
from corpora.compute.simd import PAD, aligned_zeros, load, padded, pointer, scalar, store
from rnnlm.activations import activate, clip, scale_by_derivative
from rnnlm.arrays import DECAY_EVERY, DEPTH, FILLED, LAST_WORD, N_COUNTERS, POSITION, Shape, Weights
from rnnlm.cells import Cell, Parameter
from rnnlm.matrix_loops import add_scaled_rows, add_scaled_rows_to_each, back_and_update_rows, dot_rows


class State(NamedTuple):
    """Where learning stands.  Rows are in the order of time; the newest is ``shape.past`` + filled - 1."""

    inputs: np.ndarray  # (rows, span) the outputs that went into each step
    hidden: np.ndarray  # (rows, width) what came of it
    error: np.ndarray  # (rows, width) its errors from the outputs, until the next back-propagation
    words: np.ndarray  # (rows,) int32 the input word of each step
    previous: np.ndarray  # (span,) the outputs that go into the next step
    counters: np.ndarray  # as in arrays.State

    @classmethod
    def create(cls, shape: Shape, dtype) -> State:
        span = padded(shape.n_words)
        return cls(
            aligned_zeros((shape.rows, span), dtype),
            aligned_zeros((shape.rows, shape.width), dtype),
            aligned_zeros((shape.rows, shape.width), dtype),
            np.zeros(shape.rows, np.int32),
            aligned_zeros((span,), dtype),
            np.zeros(N_COUNTERS, np.int64),
        )

    @staticmethod
    def lengths(shape: Shape) -> dict[str, int]:
        """How long the rows are that are padded."""
        return dict.fromkeys(("inputs", "previous"), shape.n_words) | dict.fromkeys(("hidden", "error"), shape.n_hidden)

    def start_text(self, shape: Shape, context: float | np.ndarray) -> None:
        """Begin an epoch or a text, of which nothing goes back into the one before."""
        self.previous[: shape.n_words] = context
        self.error[:] = 0
        self.counters[:] = 0


class Scratch(NamedTuple):
    """Room that the kernels write in."""

    scores: np.ndarray  # (span + 16,): dot_rows writes up to seven elements too many
    scaled: np.ndarray  # (width,)
    delta: np.ndarray  # (steps, width) errors of the sums before f, and
    dscores: np.ndarray  # (steps, span) of those before the softmax, each of what comes back from the next step

    @classmethod
    def create(cls, shape: Shape, dtype) -> Scratch:
        span = padded(shape.n_words)
        return cls(
            aligned_zeros((span + 16,), dtype),
            aligned_zeros((shape.width,), dtype),
            aligned_zeros((shape.steps, shape.width), dtype),
            aligned_zeros((shape.steps, span), dtype),
        )


def parameters(config, n_words: int) -> dict[str, Parameter]:
    """U (V, H), W (V, H).  A unit's fan-in is V + 1: the outputs before it and the one word that is on."""
    fans = n_words + 1, config.hidden
    return {
        "U": Parameter((n_words, config.hidden), fans, "input"),
        "W": Parameter((n_words, config.hidden), fans, "recurrent"),
    }


@stage
def jordan_step(U, W, word, y, y0, hidden, h0, n_words, n_hidden, width, kind):
    """hidden[h0:] = f(U[word] + y[y0:] W), flat rows; word -1: no input."""
    for i in range(width):
        store(hidden, h0 + i, load(U, word * width + i) if word >= 0 else scalar(hidden, 0.0))
    zero, one = np.int64(0), np.int64(1)
    add_scaled_rows(hidden, h0, y, y0, one, W, zero, width, n_words, width)
    activate(hidden, h0, n_hidden, kind)


@stage
def softmax_into(scores, n, y, y0):
    """y[y0 : y0+n] = softmax(scores[:n]), flat; returns the logarithm of the sum of the scores' exponentials."""
    top = load(scores, 0)
    for i in range(1, n):
        top = max(top, load(scores, i))
    part = scalar(y, 0.0)
    for i in range(n):
        e = exp(load(scores, i) - top)
        store(y, y0 + i, e)
        part += e
    factor = scalar(y, 1.0) / part
    for i in range(y0, y0 + n):
        store(y, i, load(y, i) * factor)
    return np.float64(top) + math.log(np.float64(part))


@kernel
def jordan_forward(U, W, O, ids, state, hidden_states, n_words, n_hidden, kind):
    """Run T steps of B streams.

    ids (T, B) int32, -1: no input; state (B, span) before, overwritten with the one after; hidden_states (T, B, width),
    overwritten.
    """
    n_steps, n_streams, width = hidden_states.shape
    span, zero = state.shape[1], np.int64(0)
    scores_room = np.zeros(span + 16, hidden_states.dtype)
    scores = pointer(scores_room)
    u, w, o, y, h = pointer(U), pointer(W), pointer(O), pointer(state), pointer(hidden_states)
    for b in range(n_streams):
        for t in range(n_steps):
            row = (t * n_streams + b) * width
            jordan_step(u, w, np.int64(ids[t, b]), y, b * span, h, row, n_words, n_hidden, width, kind)
            dot_rows(scores, zero, o, zero, width, n_words, h, row, width)
            softmax_into(scores, n_words, y, b * span)


@stage
def learn_output(O, state, scratch, shape, row, target, alpha, decay):
    """Teach O one word, whose probability is in ``state.previous``; the error goes to this row of ``state.error``."""
    zero, width, n_words = np.int64(0), shape.width, shape.n_words
    e, at = scratch.scores, row * width
    for i in range(n_words):
        store(e, i, -load(state.previous, i))
    store(e, target, load(e, target) + scalar(e, 1.0))
    for i in range(width):
        store(state.error, at + i, scalar(e, 0.0))
        store(scratch.scaled, i, load(state.hidden, at + i) * alpha)
    back_and_update_rows(state.error, at, e, zero, scratch.scaled, zero, O, zero, width, n_words, width)
    if decay > 0:
        for r in range(n_words):
            for i in range(width):
                now = load(O, r * width + i)
                # what is learnt at this word does not shrink
                store(O, r * width + i, now - decay * (now - load(e, r) * load(scratch.scaled, i)))


@stage
def jordan_bptt(w, state, scratch, shape, newest, alpha, decay, cutoff):
    """Back-propagate through time from row ``newest`` and update U, W and O; U and W shrink by the factor 1 - decay."""
    zero, one = np.int64(0), np.int64(1)
    U, W, O, scores, delta, dscores = w.U, w.W, w.O, scratch.scores, scratch.delta, scratch.dscores
    n_words, n_hidden, width = shape.n_words, shape.n_hidden, shape.width
    span = (n_words + PAD - 1) // PAD * PAD
    live = min(shape.steps, load(state.counters, DEPTH))
    first = newest - live + 1  # row r of time is row r - first of delta and dscores
    for r in range(newest, first - 1, -1):
        d = (r - first) * width
        for i in range(width):
            store(delta, d + i, scalar(delta, 0.0))
        if r < newest:
            y, z = (r + 1) * span, (r - first) * span  # the outputs of row r went into row r + 1
            dot_rows(scores, zero, W, zero, width, n_words, delta, d + width, width)
            mean = scalar(delta, 0.0)
            for i in range(n_words):
                mean += load(scores, i) * load(state.inputs, y + i)
            for i in range(n_words):
                store(dscores, z + i, load(state.inputs, y + i) * (load(scores, i) - mean))
            add_scaled_rows(delta, d, dscores, z, one, O, zero, width, n_words, width)
            clip(delta, d, n_hidden, cutoff)
        for i in range(n_hidden):
            store(delta, d + i, load(delta, d + i) + load(state.error, r * width + i))
        scale_by_derivative(delta, d, state.hidden, r * width, n_hidden, shape.kind)
    for i in range(live * width):
        store(delta, i, load(delta, i) * alpha)
    for i in range((live - 1) * span):
        store(dscores, i, load(dscores, i) * alpha)
    if decay > 0:
        shrink(U, W, state.words, first, newest, n_words, width, scalar(W, 1.0) - decay)
    add_scaled_rows_to_each(
        W, zero, width, n_words, state.inputs, first * span, one, span, delta, zero, width, live, width
    )
    add_scaled_rows_to_each(
        O, zero, width, n_words, dscores, zero, one, span, state.hidden, first * width, width, live - 1, width
    )
    for r in range(first, newest + 1):
        word = np.int64(load(state.words, r))
        if word >= 0:
            for i in range(width):
                at = word * width + i
                store(U, at, load(U, at) + load(delta, (r - first) * width + i))


@stage
def shrink(U, W, words, first, newest, n_words, width, keep):
    """W *= keep, and so the rows of U that the words of rows ``first`` to ``newest`` have read, each once."""
    for i in range(n_words * width):
        store(W, i, load(W, i) * keep)
    for r in range(first, newest + 1):
        word, newer = np.int64(load(words, r)), False
        for later in range(r + 1, newest + 1):
            newer = newer or np.int64(load(words, later)) == word
        if word >= 0 and not newer:
            for i in range(word * width, (word + 1) * width):
                store(U, i, load(U, i) * keep)


@stage
def forget_block(state, shape, filled):
    """After an update: the newest ``past`` rows move to the front, and all errors have been used."""
    span, width = (shape.n_words + PAD - 1) // PAD * PAD, shape.width
    for i in range(shape.past * span):
        store(state.inputs, i, load(state.inputs, i + filled * span))
    for i in range(shape.past * width):
        store(state.hidden, i, load(state.hidden, i + filled * width))
    for r in range(shape.past):
        store(state.words, r, load(state.words, r + filled))
    for i in range(shape.rows * width):
        store(state.error, i, scalar(state.error, 0.0))


@kernel
def learn_stream_jordan(
    weights, arrays, scratch_arrays, shape, ids, class_of_word, class_start, alpha, beta, cutoff, log_prob
):
    """Learn from the next words of a stream: as ``rnnlm.cells.elman.learn_stream``, word by word."""
    w = Weights(
        pointer(weights.U), pointer(weights.W), pointer(weights.K),
        pointer(weights.C), pointer(weights.O), pointer(weights.D),
    )  # fmt: skip
    state = State(
        pointer(arrays.inputs), pointer(arrays.hidden), pointer(arrays.error),
        pointer(arrays.words), pointer(arrays.previous), pointer(arrays.counters),
    )  # fmt: skip
    s = scratch_arrays
    scratch = Scratch(pointer(s.scores), pointer(s.scaled), pointer(s.delta), pointer(s.dscores))
    counters, zero = state.counters, np.int64(0)
    n_words, n_hidden, width, span = shape.n_words, shape.n_hidden, shape.width, arrays.previous.size
    for k in range(ids.size):
        word, target, filled = load(counters, LAST_WORD), np.int64(ids[k]), load(counters, FILLED)
        newest = shape.past + filled
        h = newest * width
        store(state.words, newest, np.int32(word))
        for i in range(span):
            store(state.inputs, newest * span + i, load(state.previous, i))
        jordan_step(w.U, w.W, word, state.previous, zero, state.hidden, h, n_words, n_hidden, width, shape.kind)
        dot_rows(scratch.scores, zero, w.O, zero, width, n_words, state.hidden, h, width)
        log_sum = softmax_into(scratch.scores, n_words, state.previous, zero)
        position = load(counters, POSITION) + 1
        store(counters, POSITION, position)
        store(counters, LAST_WORD, target)
        store(counters, FILLED, filled + 1)
        store(counters, DEPTH, min(load(counters, DEPTH) + 1, shape.rows))

        decay = alpha * beta if position % DECAY_EVERY == 0 else alpha - alpha
        log_prob[k] = 0.0
        if target >= 0:
            log_prob[k] = np.float64(load(scratch.scores, target)) - log_sum
            learn_output(w.O, state, scratch, shape, newest, target, alpha, decay)
            clip(state.error, h, width, cutoff)
        else:
            for i in range(h, h + width):
                store(state.error, i, scalar(state.error, 0.0))
        ended = shape.independent and target == 0
        if position % shape.block == 0 or ended:
            jordan_bptt(w, state, scratch, shape, newest, alpha, decay, cutoff)
            forget_block(state, shape, filled + 1)
            store(counters, FILLED, zero)
        if ended:
            for i in range(span):
                store(state.previous, i, scalar(state.previous, 0.0))
            store(counters, DEPTH, zero)


def forward_streams(weights, shape, ids, state, hidden_states) -> None:
    w = weights
    jordan_forward(w.U, w.W, w.O, ids, state, hidden_states, shape.n_words, shape.n_hidden, shape.kind)


def forward(weights, shape, ids, state, hidden_states) -> None:
    forward_streams(weights, shape, ids[:, None], state[None], hidden_states[:, None])


CELL = Cell(
    state_size=lambda config, n_words: n_words,
    parameters=parameters,
    start=0.0,
    reset=0.0,
    forward=forward,
    forward_streams=forward_streams,
    arrays=lambda shape, dtype: (State.create(shape, dtype), Scratch.create(shape, dtype)),
    learn=learn_stream_jordan,
)
