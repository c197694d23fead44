"""Elman's cell as a layer of a stack: h' = f(x U + h W + b).  Elman (1990).  No tape: f' is known from h'."""

from __future__ import annotations

import numpy as np

from corpora.compute.jit import kernel, stage
from corpora.compute.simd import load, pointer, store
from rnnlm.activations import activate, scale_by_derivative
from rnnlm.cells import Layer
from rnnlm.layers import (
    add_recurrent,
    begin_step,
    clear_state_errors,
    finish_step_back,
    keep_states,
    send_back,
)


@kernel
def elman_layer_forward(weights, steps, shape, begin, end):
    """Run streams begin to end; see ``cells.Layer``."""
    ld, width, zero = steps.gates.shape[1], steps.hidden.shape[1], np.int64(0)
    gates, hidden = pointer(steps.gates), pointer(steps.hidden)
    for t in range(shape.n_steps):
        begin_step(steps, shape, t, begin, end)
        add_recurrent(steps, shape, t, begin, end, weights.forward, zero, zero, shape.n_hidden, weights.tile)
        for b in range(begin, end):
            row = b * shape.n_steps + t
            for i in range(shape.n_hidden):
                store(hidden, row * width + i, load(gates, row * ld + i))
            activate(hidden, row * width, shape.n_hidden, shape.kind)
    keep_states(steps, shape, begin, end)


@stage
def elman_step_back(steps, errors, shape, t, begin, end):
    """The errors of the sums of step t, in place of the gates."""
    ld, width = steps.gates.shape[1], steps.hidden.shape[1]
    gates, hidden, above, state = (
        pointer(steps.gates), pointer(steps.hidden), pointer(errors.hidden), pointer(errors.state)
    )  # fmt: skip
    for b in range(begin, end):
        row = b * shape.n_steps + t
        for i in range(shape.n_hidden):
            store(gates, row * ld + i, load(above, row * width + i) + load(state, b * width + i))
        scale_by_derivative(gates, row * ld, hidden, row * width, shape.n_hidden, shape.kind)


@kernel
def elman_layer_backward(weights, steps, errors, shape, begin, end):
    """Send errors back through streams begin to end; see ``cells.Layer``."""
    ld, T, zero = steps.gates.shape[1], shape.n_steps, np.int64(0)
    clear_state_errors(errors, begin, end)
    for back in range(shape.n_steps):
        t = shape.n_steps - 1 - back
        elman_step_back(steps, errors, shape, t, begin, end)
        send_back(
            pointer(steps.gates), (begin * T + t) * ld, T * ld, shape.n_hidden, errors, shape, t, begin, end,
            weights.backward, zero, weights.tile, zero,
        )  # fmt: skip
        finish_step_back(steps, errors, shape, t, begin, end)


LAYER = Layer(
    gates=lambda config: 1,
    states=1,
    tape=lambda config: 0,
    bias=lambda config: np.zeros(config.hidden),
    variant=lambda config: 0,
    extras=lambda config: {},
    parts=lambda config: [(0, config.hidden)],
    forward=elman_layer_forward,
    backward=elman_layer_backward,
    operands=lambda config, steps: [(steps.before[0], steps.gates, 0, config.hidden, 0)],
)
