"""Long short-term memory: c' = f c + i g, h' = o tanh(c').  Hochreiter & Schmidhuber (1997), Gers et al. (2000).

i, f, o = logistic(x U + h W + b), g = tanh(...), in the order i f g o, with one bias each.  Without the forget gate,
the constant error carousel of 1997: f is 1 and the order i g o.  Peepholes (Gers & Schmidhuber 2000): i and f see the
cell before, o the new one, each through a weight p (3, H), in the order i f o (or i o).
The forget bias begins at 1 (Gers et al. 2000; Jozefowicz et al. 2015).

Tape: c', tanh(c').
"""

from __future__ import annotations

import numpy as np

from corpora.compute.jit import exp, kernel, stage
from corpora.compute.simd import load, pointer, scalar, store
from rnnlm.cells import Layer
from rnnlm.layers import (
    add_recurrent,
    begin_step,
    clear_state_errors,
    finish_step_back,
    keep_states,
    send_back,
)

FORGETS, PEEPS = 1, 2  # bits of LayerShape.variant


def variant(config) -> int:
    return FORGETS * config.forget_gate + PEEPS * config.peephole


def gates(config) -> int:
    return 4 if config.forget_gate else 3


def bias(config) -> np.ndarray:
    values = np.zeros((gates(config), config.hidden))
    if config.forget_gate:
        values[1] = 1
    return values.ravel()


def extras(config) -> dict:
    return {"p": ((gates(config) - 1, config.hidden), (1, 1))} if config.peephole else {}


@stage
def peep(steps, shape, t, begin, end, peepholes, from_gate, to_gate, of_new):
    """Add p c to gates; ``of_new``: the new cell."""
    H, n_rows, width, ld = shape.n_hidden, steps.hidden.shape[0], steps.hidden.shape[1], steps.gates.shape[1]
    gates, p = pointer(steps.gates), pointer(peepholes)
    for b in range(begin, end):
        row = b * shape.n_steps + t
        if of_new:
            c, at = pointer(steps.tape), row * width
        else:
            c, at = pointer(steps.before), (n_rows + row) * width
        for k in range(from_gate, to_gate):
            gate = row * ld + k * H
            which = k
            if of_new:
                gate = row * ld + ld - H
                which = ld // H - 2
            for i in range(H):
                store(gates, gate + i, load(gates, gate + i) + load(p, which * H + i) * load(c, at + i))


@stage
def new_cells(steps, shape, t, begin, end):
    """Activate i, f and g, and write c' and tanh(c')."""
    H, n_rows, width, ld = shape.n_hidden, steps.hidden.shape[0], steps.hidden.shape[1], steps.gates.shape[1]
    gates, before, tape = pointer(steps.gates), pointer(steps.before), pointer(steps.tape)
    one, two = scalar(gates, 1.0), scalar(gates, 2.0)
    for b in range(begin, end):
        row = b * shape.n_steps + t
        at, old, new, squashed = row * ld, (n_rows + row) * width, row * width, (n_rows + row) * width
        if shape.variant & FORGETS:
            for k in range(at, at + 2 * H):
                store(gates, k, one / (one + exp(-load(gates, k))))
            for k in range(at + 2 * H, at + 3 * H):
                store(gates, k, two / (one + exp(-two * load(gates, k))) - one)
            for k in range(H):
                c = load(gates, at + H + k) * load(before, old + k) + load(gates, at + k) * load(gates, at + 2 * H + k)
                store(tape, new + k, c)
        else:
            for k in range(at, at + H):
                store(gates, k, one / (one + exp(-load(gates, k))))
            for k in range(at + H, at + 2 * H):
                store(gates, k, two / (one + exp(-two * load(gates, k))) - one)
            for k in range(H):
                store(tape, new + k, load(before, old + k) + load(gates, at + k) * load(gates, at + H + k))
        for k in range(H):
            store(tape, squashed + k, two / (one + exp(-two * load(tape, new + k))) - one)


@stage
def put_out(steps, shape, t, begin, end):
    """Activate o, and write h'."""
    H, n_rows, width, ld = shape.n_hidden, steps.hidden.shape[0], steps.hidden.shape[1], steps.gates.shape[1]
    gates, tape, hidden = pointer(steps.gates), pointer(steps.tape), pointer(steps.hidden)
    one = scalar(gates, 1.0)
    for b in range(begin, end):
        row = b * shape.n_steps + t
        at, squashed = row * ld + ld - H, (n_rows + row) * width
        for k in range(H):
            o = one / (one + exp(-load(gates, at + k)))
            store(gates, at + k, o)
            store(hidden, row * width + k, o * load(tape, squashed + k))


@kernel
def lstm_forward(weights, steps, shape, begin, end):
    """Run streams begin to end; see ``cells.Layer``."""
    ld, zero = steps.gates.shape[1], np.int64(0)
    for t in range(shape.n_steps):
        begin_step(steps, shape, t, begin, end)
        add_recurrent(steps, shape, t, begin, end, weights.forward, zero, zero, ld, weights.tile)
        if shape.variant & PEEPS:
            n_seeing = ld // shape.n_hidden - 2
            peep(steps, shape, t, begin, end, weights.first, zero, n_seeing, 0)
        new_cells(steps, shape, t, begin, end)
        if shape.variant & PEEPS:
            peep(steps, shape, t, begin, end, weights.first, zero, np.int64(1), 1)
        put_out(steps, shape, t, begin, end)
    keep_states(steps, shape, begin, end)


@stage
def step_back(weights, steps, errors, shape, t, begin, end):
    """The errors of what was summed in the gates of step t, in their place, and of the cell before it."""
    H, n_rows, width, ld = shape.n_hidden, steps.hidden.shape[0], steps.hidden.shape[1], steps.gates.shape[1]
    gates, before, tape = pointer(steps.gates), pointer(steps.before), pointer(steps.tape)
    above, state, p = pointer(errors.hidden), pointer(errors.state), pointer(weights.first)
    n_streams, one, peeps = errors.state.shape[1], scalar(gates, 1.0), shape.variant & PEEPS
    for b in range(begin, end):
        row = b * shape.n_steps + t
        at, old, h = row * ld, (n_rows + row) * width, row * width
        dh, dc = b * width, (n_streams + b) * width
        for k in range(H):
            d = load(above, h + k) + load(state, dh + k)
            o, squashed = load(gates, at + ld - H + k), load(tape, old + k)
            store(state, dc + k, load(state, dc + k) + d * o * (one - squashed * squashed))
            store(gates, at + ld - H + k, d * squashed * o * (one - o))
        if peeps:
            for k in range(H):
                error = load(gates, at + ld - H + k) * load(p, (ld // H - 2) * H + k)
                store(state, dc + k, load(state, dc + k) + error)
        if shape.variant & FORGETS:
            for k in range(H):
                d, i, f, g = (
                    load(state, dc + k), load(gates, at + k), load(gates, at + H + k), load(gates, at + 2 * H + k)
                )  # fmt: skip
                store(gates, at + k, d * g * i * (one - i))
                store(gates, at + H + k, d * load(before, old + k) * f * (one - f))
                store(gates, at + 2 * H + k, d * i * (one - g * g))
                store(state, dc + k, d * f)
        else:
            for k in range(H):
                d, i, g = load(state, dc + k), load(gates, at + k), load(gates, at + H + k)
                store(gates, at + k, d * g * i * (one - i))
                store(gates, at + H + k, d * i * (one - g * g))
        if peeps:
            for gate in range(ld // H - 2):
                for k in range(H):
                    error = load(gates, at + gate * H + k) * load(p, gate * H + k)
                    store(state, dc + k, load(state, dc + k) + error)


@kernel
def lstm_backward(weights, steps, errors, shape, begin, end):
    """Send errors back through streams begin to end; see ``cells.Layer``."""
    ld, T, zero = steps.gates.shape[1], shape.n_steps, np.int64(0)
    clear_state_errors(errors, begin, end)
    for back in range(shape.n_steps):
        t = shape.n_steps - 1 - back
        step_back(weights, steps, errors, shape, t, begin, end)
        send_back(
            pointer(steps.gates), (begin * T + t) * ld, T * ld, ld, errors, shape, t, begin, end,
            weights.backward, zero, weights.tile, zero,
        )  # fmt: skip
        finish_step_back(steps, errors, shape, t, begin, end)


@kernel
def peephole_gradient(steps, shape, begin, end, gradient):
    """gradient (2 or 3, H) = the sums over rows begin to end of errors of gates times the cells that they saw."""
    H, n_rows, width, ld = shape.n_hidden, steps.hidden.shape[0], steps.hidden.shape[1], steps.gates.shape[1]
    gates, before, tape, out = pointer(steps.gates), pointer(steps.before), pointer(steps.tape), pointer(gradient)
    n_seeing = ld // H - 2
    for i in range((n_seeing + 1) * H):
        store(out, i, scalar(out, 0.0))
    for row in range(begin, end):
        for gate in range(n_seeing):
            for k in range(H):
                d = load(gates, row * ld + gate * H + k) * load(before, (n_rows + row) * width + k)
                store(out, gate * H + k, load(out, gate * H + k) + d)
        for k in range(H):
            d = load(gates, row * ld + ld - H + k) * load(tape, row * width + k)
            store(out, n_seeing * H + k, load(out, n_seeing * H + k) + d)


def operands(config, steps):
    return [(steps.before[0], steps.gates, 0, gates(config) * config.hidden, 0)]


def extra_gradients(steps, shape, n_rows, gradients) -> None:
    for gradient in gradients:
        peephole_gradient(steps, shape, 0, n_rows, gradient)


LAYER = Layer(
    gates=gates,
    states=2,
    tape=lambda config: 2,
    bias=bias,
    variant=variant,
    extras=extras,
    parts=lambda config: [(0, gates(config) * config.hidden)],
    forward=lstm_forward,
    backward=lstm_backward,
    operands=operands,
    extra_gradients=extra_gradients,
)
