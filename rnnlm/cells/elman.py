"""Elman's network (Elman 1990; Mikolov et al. 2010): s_t = f(U[w_t] + s_{t-1} W).

T steps, B streams, H hidden, V words.  U (V, H) and W (H, H), row j of W: from previous unit j.
All matrices are padded as corpora.compute.simd says; a hidden row is ``width`` = padded(H) long, zero beyond H.
"""

from __future__ import annotations

import numpy as np

from corpora.compute.jit import kernel
from corpora.compute.simd import load, pointer, prefetch_row, scalar, store
from rnnlm.activations import activate, scale_by_derivative
from rnnlm.matrix_loops import (
    add_scaled_rows,
    add_scaled_rows_alike,
    add_scaled_rows_to_each,
    dot_rows,
    dot_rows_downwards,
)


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
def elman_forward(U, W, ids, state, hidden, n_hidden, kind):
    """Run T steps of one stream.  ids (T,) int32, -1: no input; state (width,) before, overwritten with the one after;
    hidden (T, width), overwritten."""
    width = hidden.shape[1]
    u, w, x, h = pointer(U), pointer(W), pointer(state), pointer(hidden)
    for t in range(ids.size):
        previous, p0 = h, (t - 1) * width
        if t == 0:
            previous, p0 = x, np.int64(0)
        if t + 1 < ids.size:
            prefetch_row(u, max(np.int64(ids[t + 1]), 0), width)
        elman_step(u, w, np.int64(ids[t]), previous, p0, h, t * width, n_hidden, width, kind, (t & 1) == 0)
    if ids.size:
        for i in range(width):  # an assignment of slices would compile the text of an error, two seconds of it
            state[i] = hidden[ids.size - 1, i]


@kernel
def elman_forward_streams(U, W, ids, state, hidden, n_hidden, kind):
    """Run T steps of B streams, each to the bit as ``elman_forward`` runs it alone.

    ids (T, B); state (B, width), overwritten; hidden (T, B, width), overwritten.
    """
    n_steps, n_streams, width = hidden.shape
    u, w, x, h = pointer(U), pointer(W), pointer(state), pointer(hidden)
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
                state[b, i] = hidden[n_steps - 1, b, i]


@kernel
def clip(x, x0, n, limit):
    """Clamp x[x0 : x0+n] to +-limit, flat; 0: no limit."""
    if limit > 0:
        for i in range(x0, x0 + n):
            store(x, i, min(max(load(x, i), -limit), limit))


@kernel
def elman_bptt(
    U,
    W,
    words,
    hidden,
    error,
    newest,
    n_steps,
    depth,
    previous,
    reset,
    delta,
    n_hidden,
    width,
    kind,
    alpha,
    decay,
    cutoff,
):
    """Back-propagate through time from row ``newest`` and update U and W.  Mikolov et al. (2011), on BPTT.

    Rows of hidden, error (rows, width) and words (rows,) are flat, in the order of time; ``error`` is dE/ds_t that
    came from the outputs.  ``n_steps`` rows are gone through, those older than ``depth`` hold nothing.  ``previous``
    (width,) is the true input state of the newest row; ``reset``: it is not the row before.
    delta (n_steps, width) is scratch.  W and the touched rows of U shrink by the factor 1 - decay.
    """
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
            W, zero, width, n_hidden, previous, zero, one, zero, delta, n_regular * width, width, one, width
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
