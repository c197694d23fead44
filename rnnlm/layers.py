"""The arrays of a recurrent layer that reads B streams for T steps, and what its kernels share.

Legend: n = T * B rows in the order of streams, then of time (row b*T + t), so that the streams of a thread lie
together; H hidden units in rows of ``width`` = padded(H); G gates, S state vectors, K vectors of the tape.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from corpora.compute.jit import kernel, stage
from corpora.compute.matmul import ROWS, multiply_packed, pack, packed_size, panel_width
from corpora.compute.simd import aligned_zeros, load, padded, pointer, scalar, store
from rnnlm.activations import KINDS
from rnnlm.cells import Layer


class LayerShape(NamedTuple):
    """The integers that the kernels want to know."""

    n_steps: int  # T, or fewer: the rows of a stream; arrays may have more rows than these take
    n_hidden: int
    kind: int  # activation of Elman's units
    variant: int  # which form of the cell: its own bits


class Recurrent(NamedTuple):
    """The weights that a layer's own kernels read."""

    forward: np.ndarray  # W (H, G*H) in panels, part by part
    backward: np.ndarray  # each part transposed, in panels
    first: np.ndarray  # the first further parameter, or zeros
    tile: np.ndarray  # for ``multiply_packed``, one for each thread


class Steps(NamedTuple):
    """What happens in a layer."""

    gates: np.ndarray  # (n, G*H) sums of inputs, then of all that goes into a gate, then activated
    before: np.ndarray  # (S, n, width) states that go into each step
    hidden: np.ndarray  # (n, width) what comes of it
    tape: np.ndarray  # (K, n, width)
    state: np.ndarray  # (S, B, width) before the first step, then after the last
    is_reset: np.ndarray  # (n,) uint8: the step begins with ``reset`` instead of the state before it
    reset: np.ndarray  # (1,) each element of that state


class Errors(NamedTuple):
    """Gradients of the sum of log probabilities."""

    hidden: np.ndarray  # (n, width) from above
    state: np.ndarray  # (S, B, width) from the next step; scratch
    limit: np.ndarray  # (1,) elements of what goes back through time are clipped to it; 0: not


def steps_for(layer: Layer, config, n_steps: int, n_streams: int, reset: float, learns: bool = True) -> Steps:
    """Arrays of zeros for a block; without ``learns``, as small as a forward run allows."""
    width, n, dtype = padded(config.hidden), n_steps * n_streams, np.dtype(config.dtype)
    return Steps(
        aligned_zeros((n, layer.gates(config) * config.hidden), dtype),
        aligned_zeros((layer.states, n, width), dtype),
        aligned_zeros((n, width), dtype),
        aligned_zeros((max(1, layer.tape(config)), n, width), dtype),
        aligned_zeros((layer.states, n_streams, width), dtype),
        np.zeros(n, np.uint8),
        np.full(1, reset, dtype),
    )


def layer_shape(layer: Layer, config, n_steps: int) -> LayerShape:
    return LayerShape(n_steps, config.hidden, KINDS[config.activation], layer.variant(config))


def pack_recurrent(
    layer: Layer, config, W: np.ndarray, into: Recurrent | None = None, first=None, learns: bool = True
) -> Recurrent:
    """W as the kernels want it; ``into``: an earlier result for the same shapes, which is overwritten.

    Without ``learns`` nothing is there for the way back.
    """
    H, dtype = config.hidden, W.dtype
    if into is None:
        parts = layer.parts(config)
        sizes = [
            sum(packed_size(*shape, dtype) for shape in shapes)
            for shapes in ([(H, b - a) for a, b in parts], [(b - a, H) for a, b in parts])
        ]
        into = Recurrent(
            *(aligned_zeros((size if goes else 1,), dtype) for size, goes in zip(sizes, (True, learns), strict=True)),
            np.zeros((1, 1), dtype) if first is None else np.atleast_2d(first),  # one key of compiled code
            aligned_zeros((ROWS * panel_width(dtype),), dtype),
        )
    ahead, back = 0, 0
    for a, b in layer.parts(config):
        more = packed_size(H, b - a, dtype), packed_size(b - a, H, dtype)
        pack(W, a, H, b - a, 0, into.forward, ahead)
        if learns:
            pack(W, a, b - a, H, 1, into.backward, back)
        ahead, back = ahead + more[0], back + more[1]
    return into


@stage
def begin_step(steps, shape, t, begin, end):
    """Fill ``before`` of step t with the state that goes into it, for streams begin to end."""
    n_states, n_rows, width = steps.before.shape
    before, state, hidden = pointer(steps.before), pointer(steps.state), pointer(steps.hidden)
    n_streams, reset = steps.state.shape[1], steps.reset[0]
    for s in range(n_states):
        for b in range(begin, end):
            row = b * shape.n_steps + t
            at, old = (s * n_rows + row) * width, (s * n_streams + b) * width
            if steps.is_reset[row]:
                for i in range(shape.n_hidden):
                    store(before, at + i, reset)
            elif t == 0:
                for i in range(shape.n_hidden):
                    store(before, at + i, load(state, old + i))
            elif s == 0:
                for i in range(shape.n_hidden):
                    store(before, at + i, load(hidden, (row - 1) * width + i))
            else:
                tape = pointer(steps.tape)  # the cell keeps its further states there, from the first vector on
                for i in range(shape.n_hidden):
                    store(before, at + i, load(tape, ((s - 1) * n_rows + row - 1) * width + i))


@stage
def keep_states(steps, shape, begin, end):
    """After the last step: the states from which the next block goes on."""
    n_states, n_rows, width = steps.before.shape
    state, hidden, tape = pointer(steps.state), pointer(steps.hidden), pointer(steps.tape)
    n_streams = steps.state.shape[1]
    for s in range(n_states):
        for b in range(begin, end):
            row = b * shape.n_steps + shape.n_steps - 1
            at = (s * n_streams + b) * width
            for i in range(shape.n_hidden):
                if s == 0:
                    store(state, at + i, load(hidden, row * width + i))
                else:
                    store(state, at + i, load(tape, ((s - 1) * n_rows + row) * width + i))


@stage
def add_recurrent(steps, shape, t, begin, end, packed, p0, first, last, tile):
    """gates[:, first:last] of step t += ``before`` times that part of W."""
    width, ld, T = steps.hidden.shape[1], steps.gates.shape[1], shape.n_steps
    row = begin * T + t
    multiply_packed(
        pointer(steps.gates), row * ld + first, T * ld, end - begin, last - first, pointer(steps.before), row * width,
        T * width, shape.n_hidden, pointer(packed), p0, pointer(tile), np.int64(0), np.int64(1),
    )  # fmt: skip


@stage
def clear_state_errors(errors, begin, end):
    n_states, n_streams, width = errors.state.shape
    state = pointer(errors.state)
    for s in range(n_states):
        for i in range((s * n_streams + begin) * width, (s * n_streams + end) * width):
            store(state, i, scalar(state, 0.0))


@stage
def send_back(D, d0, ldd, n_columns, errors, shape, t, begin, end, packed, p0, tile, accumulate):
    """Error of the state before step t (+)= D, the errors of what W made, times W^T; flat, from stream to stream."""
    width = errors.hidden.shape[1]
    multiply_packed(
        pointer(errors.state), begin * width, width, end - begin, shape.n_hidden, D, d0, ldd, n_columns,
        pointer(packed), p0, pointer(tile), np.int64(0), accumulate,
    )  # fmt: skip


@stage
def finish_step_back(steps, errors, shape, t, begin, end):
    """What goes back from step t is clipped; where the state was reset, nothing does."""
    n_states, n_streams, width = errors.state.shape
    state, limit = pointer(errors.state), errors.limit[0]
    for s in range(n_states):
        for b in range(begin, end):
            at = (s * n_streams + b) * width
            if steps.is_reset[b * shape.n_steps + t]:
                for i in range(shape.n_hidden):
                    store(state, at + i, scalar(state, 0.0))
            elif limit > 0 and s == 0:
                for i in range(shape.n_hidden):
                    store(state, at + i, min(max(load(state, at + i), -limit), limit))


@kernel
def gather_rows(table, ids, bias, out, begin, end):
    """out[r] = table[ids[r]] + bias, r from begin to end; id -1: the bias alone."""
    n, lds, ldo = bias.size, table.shape[1], out.shape[1]
    source, y, b = pointer(table), pointer(out), pointer(bias)
    for r in range(begin, end):
        word = np.int64(ids[r])
        if word >= 0:
            for i in range(n):
                store(y, r * ldo + i, load(source, word * lds + i) + load(b, i))
        else:
            for i in range(n):
                store(y, r * ldo + i, load(b, i))


@kernel
def spread_row(bias, out, begin, end):
    """out[r, :n] = bias (n,), r from begin to end."""
    n, ld = bias.size, out.shape[1]
    y, b = pointer(out), pointer(bias)
    for r in range(begin, end):
        for i in range(n):
            store(y, r * ld + i, load(b, i))


@kernel
def sum_rows(X, n_rows, first, accumulate, out):
    """out[i] (+)= the sum of X[:n_rows, first + i], row after row."""
    n, ld = out.size, X.shape[1]
    x, y = pointer(X), pointer(out)
    if not accumulate:
        for i in range(n):
            store(y, i, scalar(y, 0.0))
    for r in range(n_rows):
        for i in range(n):
            store(y, i, load(y, i) + load(x, r * ld + first + i))
