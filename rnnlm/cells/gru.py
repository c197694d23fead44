"""Gated recurrent units: h' = (1 - z) n + z h.  Cho et al. (2014), Chung et al. (2014).

r, z = logistic(x U + h W + b), in the order r z n.  The candidate n sees what the reset gate r leaves of the state:

    reset before the product    n = tanh(x U_n + b_n + (r h) W_n)            Cho et al., eq. 5-8
    reset after it              n = tanh(x U_n + b_n + r (h W_n + c))        c (H,): a second bias

After is the form of most programs: the three products of the state are one.  z has the sense of Cho et al.: it keeps
the state; that of Chung et al. lets the candidate in.

Tape: h W_n + c, going back its error; or r h.
"""

from __future__ import annotations

import numpy as np

from corpora.compute.jit import exp, kernel, stage
from corpora.compute.matmul import multiply_packed
from corpora.compute.simd import lanes_of, load, pointer, scalar, store
from rnnlm.cells import Layer
from rnnlm.layers import (
    add_recurrent,
    begin_step,
    clear_state_errors,
    finish_step_back,
    keep_states,
    send_back,
    sum_rows,
)

BEFORE = 1  # bit of LayerShape.variant


def variant(config) -> int:
    return BEFORE * (config.reset == "before")


def extras(config) -> dict:
    return {"c": ((config.hidden,), (1, 1))} if config.reset == "after" else {}


@stage
def packed_after(packed, k, n):
    """Where the second part of a matrix begins, if the first one is (k, n): ``matmul.packed_size``."""
    width = 2 * lanes_of(packed)
    return k * ((n + width - 1) // width * width)


@stage
def open_gates(steps, shape, t, begin, end):
    """Activate r and z."""
    H, ld = shape.n_hidden, steps.gates.shape[1]
    gates = pointer(steps.gates)
    one = scalar(gates, 1.0)
    for b in range(begin, end):
        at = (b * shape.n_steps + t) * ld
        for k in range(at, at + 2 * H):
            store(gates, k, one / (one + exp(-load(gates, k))))


@stage
def multiply_state(weights, steps, shape, t, begin, end):
    """Tape = h W_n."""
    H, width, T = shape.n_hidden, steps.hidden.shape[1], shape.n_steps
    row, packed, zero = begin * T + t, pointer(weights.forward), np.int64(0)
    multiply_packed(
        pointer(steps.tape), row * width, T * width, end - begin, H, pointer(steps.before), row * width, T * width, H,
        packed, packed_after(packed, H, 2 * H), pointer(weights.tile), zero, zero,
    )  # fmt: skip


@stage
def reset_product(steps, shape, t, begin, end, bias):
    """Add the bias c to the tape, and what r leaves of it to the sum of n."""
    H, width, ld = shape.n_hidden, steps.hidden.shape[1], steps.gates.shape[1]
    gates, tape, c = pointer(steps.gates), pointer(steps.tape), pointer(bias)
    for b in range(begin, end):
        row = b * shape.n_steps + t
        at, product = row * ld, row * width
        for k in range(H):
            q = load(tape, product + k) + load(c, k)
            store(tape, product + k, q)
            store(gates, at + 2 * H + k, load(gates, at + 2 * H + k) + load(gates, at + k) * q)


@stage
def multiply_reset_state(weights, steps, shape, t, begin, end):
    """Tape = r h; the sum of n += (r h) W_n."""
    H, width, ld, T = shape.n_hidden, steps.hidden.shape[1], steps.gates.shape[1], shape.n_steps
    gates, before, tape = pointer(steps.gates), pointer(steps.before), pointer(steps.tape)
    for b in range(begin, end):
        row = b * T + t
        for k in range(H):
            store(tape, row * width + k, load(gates, row * ld + k) * load(before, row * width + k))
    row, packed = begin * T + t, pointer(weights.forward)
    multiply_packed(
        gates, row * ld + 2 * H, T * ld, end - begin, H, tape, row * width, T * width, H, packed,
        packed_after(packed, H, 2 * H), pointer(weights.tile), np.int64(0), np.int64(1),
    )  # fmt: skip


@stage
def new_states(steps, shape, t, begin, end):
    """Activate n, and write h'."""
    H, width, ld = shape.n_hidden, steps.hidden.shape[1], steps.gates.shape[1]
    gates, before, hidden = pointer(steps.gates), pointer(steps.before), pointer(steps.hidden)
    one, two = scalar(gates, 1.0), scalar(gates, 2.0)
    for b in range(begin, end):
        row = b * shape.n_steps + t
        at, h = row * ld, row * width
        for k in range(at + 2 * H, at + 3 * H):
            store(gates, k, two / (one + exp(-two * load(gates, k))) - one)
        for k in range(H):
            z, n = load(gates, at + H + k), load(gates, at + 2 * H + k)
            store(hidden, h + k, (one - z) * n + z * load(before, h + k))


@kernel
def gru_forward(weights, steps, shape, begin, end):
    """Run streams begin to end; see ``cells.Layer``."""
    zero = np.int64(0)
    for t in range(shape.n_steps):
        begin_step(steps, shape, t, begin, end)
        add_recurrent(steps, shape, t, begin, end, weights.forward, zero, zero, 2 * shape.n_hidden, weights.tile)
        open_gates(steps, shape, t, begin, end)
        if shape.variant & BEFORE:
            multiply_reset_state(weights, steps, shape, t, begin, end)
        else:
            multiply_state(weights, steps, shape, t, begin, end)
            reset_product(steps, shape, t, begin, end, weights.first)
        new_states(steps, shape, t, begin, end)
    keep_states(steps, shape, begin, end)


@stage
def states_back(steps, errors, shape, t, begin, end):
    """The errors of the sums of z and n, in their place, and of h as far as z kept it."""
    H, width, ld = shape.n_hidden, steps.hidden.shape[1], steps.gates.shape[1]
    gates, before = pointer(steps.gates), pointer(steps.before)
    above, state, one = pointer(errors.hidden), pointer(errors.state), scalar(gates, 1.0)
    for b in range(begin, end):
        row = b * shape.n_steps + t
        at, h = row * ld, row * width
        for k in range(H):
            d, z, n = (
                load(above, h + k) + load(state, b * width + k),
                load(gates, at + H + k),
                load(gates, at + 2 * H + k),
            )
            store(gates, at + H + k, d * (load(before, h + k) - n) * z * (one - z))
            store(gates, at + 2 * H + k, d * (one - z) * (one - n * n))
            store(state, b * width + k, d * z)


@stage
def product_back(weights, steps, errors, shape, t, begin, end):
    """Reset after the product: the error of the sum of r; that of the product on the tape, and from there to h."""
    H, width, ld, T = shape.n_hidden, steps.hidden.shape[1], steps.gates.shape[1], shape.n_steps
    gates, tape, one = pointer(steps.gates), pointer(steps.tape), scalar(pointer(steps.gates), 1.0)
    for b in range(begin, end):
        row = b * T + t
        at, product = row * ld, row * width
        for k in range(H):
            d, r = load(gates, at + 2 * H + k), load(gates, at + k)
            store(gates, at + k, d * load(tape, product + k) * r * (one - r))
            store(tape, product + k, d * r)
    packed = pointer(weights.backward)
    send_back(
        tape, (begin * T + t) * width, T * width, H, errors, shape, t, begin, end,
        weights.backward, packed_after(packed, 2 * H, H), weights.tile, np.int64(1),
    )  # fmt: skip


@stage
def reset_state_back(weights, steps, errors, shape, t, begin, end):
    """Reset before the product: the errors of r h, then of the sum of r and of h.

    The first one takes the place of what came from above, which has been used.
    """
    H, width, ld, T = shape.n_hidden, steps.hidden.shape[1], steps.gates.shape[1], shape.n_steps
    gates, before, one = pointer(steps.gates), pointer(steps.before), scalar(pointer(steps.gates), 1.0)
    reset, state, packed = pointer(errors.hidden), pointer(errors.state), pointer(weights.backward)
    first = begin * T + t
    multiply_packed(
        reset, first * width, T * width, end - begin, H, gates, first * ld + 2 * H, T * ld, H, packed,
        packed_after(packed, 2 * H, H), pointer(weights.tile), np.int64(0), np.int64(0),
    )  # fmt: skip
    for b in range(begin, end):
        row = b * T + t
        at, h = row * ld, row * width
        for k in range(H):
            d, r = load(reset, h + k), load(gates, at + k)
            store(gates, at + k, d * load(before, h + k) * r * (one - r))
            store(state, b * width + k, load(state, b * width + k) + d * r)


@kernel
def gru_backward(weights, steps, errors, shape, begin, end):
    """Send errors back through streams begin to end; see ``cells.Layer``."""
    ld, T = steps.gates.shape[1], shape.n_steps
    clear_state_errors(errors, begin, end)
    for back in range(T):
        t = T - 1 - back
        states_back(steps, errors, shape, t, begin, end)
        if shape.variant & BEFORE:
            reset_state_back(weights, steps, errors, shape, t, begin, end)
        else:
            product_back(weights, steps, errors, shape, t, begin, end)
        send_back(
            pointer(steps.gates), (begin * T + t) * ld, T * ld, 2 * shape.n_hidden, errors, shape, t, begin, end,
            weights.backward, np.int64(0), weights.tile, np.int64(1),
        )  # fmt: skip
        finish_step_back(steps, errors, shape, t, begin, end)


def operands(config, steps):
    H = config.hidden
    gates = (steps.before[0], steps.gates, 0, 2 * H, 0)
    if config.reset == "before":
        return [gates, (steps.tape[0], steps.gates, 2 * H, 3 * H, 2 * H)]
    return [gates, (steps.before[0], steps.tape[0], 2 * H, 3 * H, 0)]


def extra_gradients(steps, shape, n_rows, gradients) -> None:
    for gradient in gradients:
        sum_rows(steps.tape[0], n_rows, 0, 0, gradient)


LAYER = Layer(
    gates=lambda config: 3,
    states=1,
    tape=lambda config: 1,
    bias=lambda config: np.zeros(3 * config.hidden),
    variant=variant,
    extras=extras,
    parts=lambda config: [(0, 2 * config.hidden), (2 * config.hidden, 3 * config.hidden)],
    forward=gru_forward,
    backward=gru_backward,
    operands=operands,
    extra_gradients=extra_gradients,
)
