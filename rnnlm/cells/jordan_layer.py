"""Jordan's network over blocks of B streams: s_t = f(U[w_t] + y_{t-1} W), y_t = softmax(O s_t).  Jordan (1986).

As what comes back is the output, the softmax is a part of each step, forward and back: there are no layers above.

n = T * B rows in the order of streams, then of time; rows of H are padded to ``width``, rows of V to ``span``.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from corpora.compute.jit import kernel, stage
from corpora.compute.matmul import ROWS, multiply_packed, pack, packed_size, panel_width
from corpora.compute.simd import aligned_zeros, load, padded, pointer, scalar, store
from rnnlm.activations import activate, clip, scale_by_derivative
from rnnlm.outputs.full import exponentials


class JordanWeights(NamedTuple):
    """W (V, H) and O (V, H) in panels, for both directions."""

    W: np.ndarray
    W_back: np.ndarray  # W^T
    O: np.ndarray  # O^T: from hidden units to scores
    O_back: np.ndarray
    tile: np.ndarray  # for ``multiply_packed``, one for each thread

    @classmethod
    def room(cls, n_words: int, n_hidden: int, dtype) -> JordanWeights:
        down, up = packed_size(n_words, n_hidden, dtype), packed_size(n_hidden, n_words, dtype)
        sizes = down, up, up, down, ROWS * panel_width(dtype)
        return cls(*(aligned_zeros((size,), dtype) for size in sizes))

    def pack(self, W: np.ndarray, O: np.ndarray, n_words: int, n_hidden: int) -> None:
        for matrix, down, up in ((W, self.W, self.W_back), (O, self.O_back, self.O)):
            pack(matrix, 0, n_words, n_hidden, 0, down, 0)
            pack(matrix, 0, n_hidden, n_words, 1, up, 0)


class JordanSteps(NamedTuple):
    """What happens in a block."""

    before: np.ndarray  # (n, span) the outputs that go into each step
    hidden: np.ndarray  # (n, width) the rows of U that are read, then s
    y: np.ndarray  # (n, span) probabilities; going back, errors of the scores
    delta: np.ndarray  # (n, width) errors of the sums before f
    state: np.ndarray  # (B, span) the outputs before the first step, then of the last
    state_errors: np.ndarray  # (B, span) scratch
    is_reset: np.ndarray  # (n,) uint8: the step begins with zeros in place of the outputs before it
    limit: np.ndarray  # (1,) errors of outputs that go back through time are clipped to it; 0: not

    @classmethod
    def create(cls, config, n_words: int, n_steps: int, n_streams: int, limit: float) -> JordanSteps:
        n, dtype = n_steps * n_streams, config.dtype
        shapes = dict.fromkeys(("hidden", "delta"), (n, padded(config.hidden)))
        shapes |= dict.fromkeys(("before", "y"), (n, padded(n_words)))
        shapes |= dict.fromkeys(("state", "state_errors"), (n_streams, padded(n_words)))
        arrays = {name: aligned_zeros(shape, dtype) for name, shape in shapes.items()}
        return cls(**arrays, is_reset=np.zeros(n, np.uint8), limit=np.full(1, limit, dtype))


@stage
def outputs_before(steps, shape, n_words, t, begin, end):
    """Fill ``before`` of step t."""
    span = steps.before.shape[1]
    before, y, state = pointer(steps.before), pointer(steps.y), pointer(steps.state)
    for b in range(begin, end):
        row = b * shape.n_steps + t
        at = row * span
        if steps.is_reset[row]:
            for i in range(n_words):
                store(before, at + i, scalar(before, 0.0))
        elif t == 0:
            for i in range(n_words):
                store(before, at + i, load(state, b * span + i))
        else:
            for i in range(n_words):
                store(before, at + i, load(y, at - span + i))


@stage
def softmax_in_place(y, at, n, target):
    """y[at : at+n] = softmax of it; returns the target's natural log probability (float64), 0 for -1."""
    top = load(y, at)
    for i in range(at + 1, at + n):
        top = max(top, load(y, i))
    score = np.float64(load(y, at + target) - top) if target >= 0 else 0.0
    total = exponentials(y, at, n, top)
    factor = scalar(y, 1.0) / total
    for i in range(at, at + n):
        store(y, i, load(y, i) * factor)
    return score - math.log(np.float64(total)) if target >= 0 else 0.0


@kernel
def jordan_layer_forward(weights, steps, shape, n_words, targets, begin, end, log_prob):
    """Run streams begin to end of a block, and fill log_prob (n,) of their targets (n,); ``state`` goes on."""
    width, span, T, H = steps.hidden.shape[1], steps.y.shape[1], shape.n_steps, shape.n_hidden
    hidden, before, y, state = pointer(steps.hidden), pointer(steps.before), pointer(steps.y), pointer(steps.state)
    tile, zero, one, m = pointer(weights.tile), np.int64(0), np.int64(1), end - begin
    for t in range(T):
        outputs_before(steps, shape, n_words, t, begin, end)
        row = begin * T + t
        multiply_packed(
            hidden, row * width, T * width, m, H, before, row * span, T * span, n_words, pointer(weights.W), zero,
            tile, zero, one,
        )  # fmt: skip
        for b in range(begin, end):
            activate(hidden, (b * T + t) * width, H, shape.kind)
        multiply_packed(
            y, row * span, T * span, m, n_words, hidden, row * width, T * width, H, pointer(weights.O), zero,
            tile, zero, zero,
        )  # fmt: skip
        for b in range(begin, end):
            at = b * T + t
            log_prob[at] = softmax_in_place(y, at * span, n_words, np.int64(targets[at]))
    for b in range(begin, end):
        for i in range(n_words):
            store(state, b * span + i, load(y, (b * T + T - 1) * span + i))


@stage
def score_errors(steps, shape, n_words, targets, scale, t, begin, end):
    """y of step t becomes the errors of its scores: those of its target, and those that come back from step t + 1.

    The latter go through the softmax, whose Jacobian is diag(y) - y y'.
    """
    span, T = steps.y.shape[1], shape.n_steps
    y, back = pointer(steps.y), pointer(steps.state_errors)
    for b in range(begin, end):
        row = b * T + t
        at, target, from_next = row * span, np.int64(targets[row]), b * span
        share = scale if target >= 0 else scale - scale
        mean = scalar(y, 0.0)
        for i in range(n_words):
            mean += load(y, at + i) * load(back, from_next + i)
        for i in range(n_words):
            store(y, at + i, load(y, at + i) * (load(back, from_next + i) - mean - share))
        if target >= 0:
            store(y, at + target, load(y, at + target) + scale)


@kernel
def jordan_layer_backward(weights, steps, shape, n_words, targets, scale, begin, end):
    """Send errors back through streams begin to end: fills ``delta``, and ``y`` with the errors of scores.

    They are those of the sum of log probabilities, times ``scale``.
    """
    width, span, T, H = steps.hidden.shape[1], steps.y.shape[1], shape.n_steps, shape.n_hidden
    hidden, delta, y, back = (
        pointer(steps.hidden), pointer(steps.delta), pointer(steps.y), pointer(steps.state_errors)
    )  # fmt: skip
    tile, zero, m = pointer(weights.tile), np.int64(0), end - begin
    for i in range(begin * span, end * span):
        store(back, i, scalar(back, 0.0))
    for done in range(T):
        t = T - 1 - done
        row = begin * T + t
        score_errors(steps, shape, n_words, targets, scale, t, begin, end)
        multiply_packed(
            delta, row * width, T * width, m, H, y, row * span, T * span, n_words, pointer(weights.O_back), zero,
            tile, zero, zero,
        )  # fmt: skip
        for b in range(begin, end):
            scale_by_derivative(delta, (b * T + t) * width, hidden, (b * T + t) * width, H, shape.kind)
        multiply_packed(
            back, begin * span, span, m, n_words, delta, row * width, T * width, H, pointer(weights.W_back), zero,
            tile, zero, zero,
        )  # fmt: skip
        for b in range(begin, end):
            if steps.is_reset[b * T + t]:
                for i in range(b * span, (b + 1) * span):
                    store(back, i, scalar(back, 0.0))
            else:
                clip(back, b * span, n_words, steps.limit[0])
