"""Stacked recurrent language models in plain NumPy float64, written for reading: blocks of B streams, T steps each.

A cell is a class whose ``step`` computes one step of one layer and whose ``back`` takes an error back through it.  A
``Network`` puts layers above each other, between an embedding and a softmax, and back-propagates within a block.

T steps, B streams, V words, E embedding, H hidden, G gates, I inputs of a layer, L layers, S state vectors of a layer.
Arrays of a text are time-major: inputs (T, B), targets (T, B).  The gradient of ``x`` is ``dx``.
The logistic function is 0.4b's, whose argument stops at +-50.  Every layer computes

    sums = x @ U + h @ W + b        x (B, I), U (I, G*H), W (H, G*H), b (G*H,)

and the first share, ``a = x @ U + b``, is what its cell is given: a cell never sees words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from tests.reference.online import ACTIVATIONS

logistic = ACTIVATIONS["logistic"][0]


# ---- cells
# step(a (B, G*H), state) -> hidden (B, H), state after, tape
# back(tape, dhidden (B, H), dstate) -> da (B, G*H), dstate before, gradients of the cell's own parameters
# state and dstate are tuples of S arrays (B, H); dhidden comes from above, dstate from the step after.


class Elman:
    """h' = f(a + h W).  Elman (1990), "Finding structure in time"."""

    state_names = ("h",)

    def __init__(self, params, config):
        self.W = params["W"]
        self.f, self.df = ACTIVATIONS[config.activation]

    def step(self, a, state):
        (h,) = state
        h_new = self.f(a + h @ self.W)
        return h_new, (h_new,), (h, h_new)

    def back(self, tape, dhidden, dstate):
        h, h_new = tape
        da = (dhidden + dstate[0]) * self.df(h_new)
        return da, (da @ self.W.T,), {"W": h.T @ da}


class Jordan:
    """h' = f(a + y W), y the probabilities of all words at the step before.

    Jordan (1986), "Serial order: a parallel distributed processing approach".  W is (V, H), and the state is y (B, V).
    Only the network has the outputs: it makes y the state after a step, and takes dstate back through the softmax.
    """

    state_names = ("y",)

    def __init__(self, params, config):
        self.W = params["W"]
        self.f, self.df = ACTIVATIONS[config.activation]

    def step(self, a, state):
        (y,) = state
        hidden = self.f(a + y @ self.W)
        return hidden, None, (y, hidden)

    def back(self, tape, dhidden, dstate):
        y, hidden = tape
        da = dhidden * self.df(hidden)
        return da, (da @ self.W.T,), {"W": y.T @ da}


class LSTM:
    """c' = f c + i g, h' = o tanh(c'): i, f, o logistic and g tanh of their sums.  The order of the gates is i f g o.

    Hochreiter and Schmidhuber (1997), "Long short-term memory", has no forget gate: then f = 1 and the order is i g o.
    Gers, Schmidhuber and Cummins (2000), "Learning to forget", added it; Gers, Schraudolph and Schmidhuber (2002),
    "Learning precise timing with LSTM recurrent networks", the peepholes, p (3, H) in the order i f o (without the
    forget gate (2, H), i o): i and f see the old c, o the new one.
    """

    state_names = ("h", "c")

    def __init__(self, params, config):
        self.W, self.p = params["W"], params.get("p")
        self.gates = "ifgo" if config.forget_gate else "igo"
        self.peeping = self.gates.replace("g", "")
        self.peephole = dict.fromkeys("ifo", 0.0)
        if self.p is not None:
            self.peephole |= dict(zip(self.peeping, self.p, strict=True))

    def step(self, a, state):
        h, c = state
        sums = dict(zip(self.gates, np.split(a + h @ self.W, len(self.gates), axis=1), strict=True))
        i = logistic(sums["i"] + self.peephole["i"] * c)
        f = logistic(sums["f"] + self.peephole["f"] * c) if "f" in sums else np.ones_like(c)
        g = np.tanh(sums["g"])
        c_new = f * c + i * g
        o = logistic(sums["o"] + self.peephole["o"] * c_new)
        h_new = o * np.tanh(c_new)
        return h_new, (h_new, c_new), (h, c, i, f, g, o, c_new)

    def back(self, tape, dhidden, dstate):
        h, c, i, f, g, o, c_new = tape
        dh = dhidden + dstate[0]
        squashed = np.tanh(c_new)
        # the errors of the sums, o first: its peephole adds to the error of the new c
        dsum = {"o": dh * squashed * o * (1 - o)}
        dc = dstate[1] + dh * o * (1 - squashed**2) + dsum["o"] * self.peephole["o"]
        dsum["i"] = dc * g * i * (1 - i)
        dsum["f"] = dc * c * f * (1 - f)
        dsum["g"] = dc * i * (1 - g**2)
        dc_before = dc * f + dsum["i"] * self.peephole["i"] + dsum["f"] * self.peephole["f"]
        da = np.concatenate([dsum[gate] for gate in self.gates], axis=1)
        dparams = {"W": h.T @ da}
        if self.p is not None:
            seen = {"i": c, "f": c, "o": c_new}
            dparams["p"] = np.stack([(dsum[gate] * seen[gate]).sum(0) for gate in self.peeping])
        return da, (da @ self.W.T, dc_before), dparams


class GRUAfter:
    """h' = (1 - z) n + z h, with n = tanh(a_n + r (h W_n + c)): reset after the product.  The order is r z n.

    As most programs compute it; the published form is that of `GRUBefore`.  c (H,) is the second bias of n.
    """

    state_names = ("h",)

    def __init__(self, params, config):
        self.W, self.c = params["W"], params.get("c")

    def step(self, a, state):
        (h,) = state
        a_r, a_z, a_n = np.split(a, 3, axis=1)
        W_r, W_z, W_n = np.split(self.W, 3, axis=1)
        r = logistic(a_r + h @ W_r)
        z = logistic(a_z + h @ W_z)
        q = h @ W_n + (0.0 if self.c is None else self.c)
        n = np.tanh(a_n + r * q)
        h_new = (1 - z) * n + z * h
        return h_new, (h_new,), (h, r, z, q, n)

    def back(self, tape, dhidden, dstate):
        h, r, z, q, n = tape
        dh = dhidden + dstate[0]
        dsum_z = dh * (h - n) * z * (1 - z)
        dsum_n = dh * (1 - z) * (1 - n**2)
        dsum_r = dsum_n * q * r * (1 - r)
        dq = dsum_n * r
        # the product h W_n gets the error of q, the input's share that of n
        dproducts = np.concatenate([dsum_r, dsum_z, dq], axis=1)
        dparams = {"W": h.T @ dproducts}
        if self.c is not None:
            dparams["c"] = dq.sum(0)
        return np.concatenate([dsum_r, dsum_z, dsum_n], axis=1), (dh * z + dproducts @ self.W.T,), dparams


class GRUBefore:
    """h' = (1 - z) n + z h, with n = tanh(a_n + (r h) W_n): reset before the product.  The order is r z n.

    Cho et al. (2014), "Learning phrase representations using RNN encoder-decoder", eq. 5-8.
    """

    state_names = ("h",)

    def __init__(self, params, config):
        self.W = params["W"]

    def step(self, a, state):
        (h,) = state
        a_r, a_z, a_n = np.split(a, 3, axis=1)
        W_r, W_z, W_n = np.split(self.W, 3, axis=1)
        r = logistic(a_r + h @ W_r)
        z = logistic(a_z + h @ W_z)
        n = np.tanh(a_n + (r * h) @ W_n)
        h_new = (1 - z) * n + z * h
        return h_new, (h_new,), (h, r, z, n)

    def back(self, tape, dhidden, dstate):
        h, r, z, n = tape
        W_r, W_z, W_n = np.split(self.W, 3, axis=1)
        dh = dhidden + dstate[0]
        dsum_z = dh * (h - n) * z * (1 - z)
        dsum_n = dh * (1 - z) * (1 - n**2)
        dreset = dsum_n @ W_n.T  # the error of r h
        dsum_r = dreset * h * r * (1 - r)
        dW = np.concatenate([h.T @ dsum_r, h.T @ dsum_z, (r * h).T @ dsum_n], axis=1)
        dh_before = dh * z + dreset * r + dsum_r @ W_r.T + dsum_z @ W_z.T
        return np.concatenate([dsum_r, dsum_z, dsum_n], axis=1), (dh_before,), {"W": dW}


# ---- networks


@dataclass(frozen=True)
class Config:
    """What a network is.  ``embedding`` 0: a word's row of U is its input; ``tied``: O is E.

    ``reset_value`` fills every state vector at the start and, with ``independent``, before a step that reads word 0.
    """

    words: int
    hidden: int
    cell: str = "elman"  # elman, jordan, lstm, gru
    layers: int = 1
    embedding: int = 0
    tied: bool = False
    bias: bool = True  # b, and c of a GRU that resets after the product
    output_bias: bool = True
    activation: str = "tanh"  # elman, jordan
    forget_gate: bool = True  # lstm
    peephole: bool = False  # lstm
    reset: str = "after"  # gru: after, before
    independent: bool = False
    reset_value: float = 0.0

    def __post_init__(self):
        if self.cell == "jordan" and self.layers != 1:
            raise ValueError("Jordan's network has one layer")
        if self.tied and self.embedding != self.hidden:
            raise ValueError("tied: the embedding must be as wide as the hidden layer")

    @property
    def gates(self) -> int:
        return {"elman": 1, "jordan": 1, "lstm": 4 if self.forget_gate else 3, "gru": 3}[self.cell]

    @property
    def cell_class(self) -> type:
        gru = GRUAfter if self.reset == "after" else GRUBefore
        return {"elman": Elman, "jordan": Jordan, "lstm": LSTM, "gru": gru}[self.cell]

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of all parameters."""
        V, H, GH = self.words, self.hidden, self.gates * self.hidden
        found = {"E": (V, self.embedding)} if self.embedding else {}
        for layer in range(self.layers):
            below = H if layer else self.embedding or V
            found[numbered("U", layer)] = (below, GH)
            found[numbered("W", layer)] = (V if self.cell == "jordan" else H, GH)
            if self.bias:
                found[numbered("b", layer)] = (GH,)
            if self.cell == "lstm" and self.peephole:
                found[numbered("p", layer)] = (3 if self.forget_gate else 2, H)
            if self.cell == "gru" and self.reset == "after" and self.bias:
                found[numbered("c", layer)] = (H,)
        if not self.tied:
            found["O"] = (V, H)
        if self.output_bias:
            found["o"] = (V,)
        return found

    def draw(self, rng: np.random.Generator, scale: float = 0.7) -> dict[str, np.ndarray]:
        """Parameters from a normal distribution."""
        return {name: rng.normal(0.0, scale, shape) for name, shape in self.shapes().items()}


def numbered(name, layer):
    """The name of a parameter in a layer, counted from 0: U, U2, U3."""
    return f"{name}{layer + 1}" if layer else name


class Masks(NamedTuple):
    """Dropout masks, arrays that multiply: (T, B, n), or (B, n) if locked (the same at every step); None: no dropout.

    What a state hands to the next step is never masked.
    """

    input: np.ndarray | None = None  # n = E; without an embedding n = V, on the one-hot input, or 1
    between: tuple[np.ndarray | None, ...] = ()  # L - 1 masks: on what layer l hands to layer l + 1, n = H
    output: np.ndarray | None = None  # on what the last layer hands to the output, n = H

    def at(self, t: int, layer: int) -> np.ndarray | float:
        """What the input of a layer is multiplied by at step t; layer -1 stands for the output."""
        masks = (self.input, *self.between)
        mask = self.output if layer == -1 else masks[layer] if layer < len(masks) else None
        return 1.0 if mask is None else mask[t] if mask.ndim == 3 else mask


NO_DROPOUT = Masks()


class Step(NamedTuple):
    """One step of all layers, as back-propagation needs it."""

    one_hot: np.ndarray  # (B, V), a row of zeros where there is no input
    starts: np.ndarray  # (B,), whether the state before was the initial one
    inputs: list[np.ndarray]  # x of each layer, masked
    tapes: list[Any]  # of each layer's cell
    hidden: list[np.ndarray]  # of each layer, (B, H)
    below: np.ndarray  # (B, H), what the output sees: the last layer's hidden, masked
    log_y: np.ndarray  # (B, V), log probabilities of all words


class Network:
    """``params``: the arrays of ``config.shapes()`` by name."""

    def __init__(self, config, params):
        found = {name: np.shape(array) for name, array in params.items()}
        if found != config.shapes():
            raise ValueError(f"parameters {found}, not {config.shapes()}")
        self.config = config
        self.p = {name: np.asarray(array, np.float64) for name, array in params.items()}
        self.O = self.p["E"] if config.tied else self.p["O"]

    def cells(self):
        """The cell of each layer, which knows its parameters by their names without a number."""
        for layer in range(self.config.layers):
            own = {name: self.p.get(numbered(name, layer)) for name in "Wpc"}
            yield self.config.cell_class(own, self.config)

    def initial_states(self, n_streams):
        """For each layer an array (S, B, H); for Jordan's network (1, B, V)."""
        width = self.config.words if self.config.cell == "jordan" else self.config.hidden
        shape = (len(self.config.cell_class.state_names), n_streams, width)
        return [np.full(shape, self.config.reset_value) for _ in range(self.config.layers)]

    # ---- forward

    def forward(self, inputs, targets, states=None, masks=NO_DROPOUT):
        """The log probability of each target, the hidden states, and the states after the block.

        inputs, targets (T, B): -1 is no input, and a target that is not counted (0.0).  states: for each layer an
        array (S, B, H), from `initial_states` if there are none.  Returns log_prob (T, B), natural; hidden
        (L, T, B, H), without dropout; states.
        """
        steps, after = self.run(inputs, states, masks)
        log_prob = np.zeros(np.shape(targets))
        for t, b in np.argwhere(np.asarray(targets) >= 0):
            log_prob[t, b] = steps[t].log_y[b, targets[t][b]]
        hidden = np.array([step.hidden for step in steps]).swapaxes(0, 1)
        return log_prob, hidden, after

    def loss(self, inputs, targets, states=None, masks=NO_DROPOUT):
        """Minus the sum of the natural log probabilities of all targets that count."""
        return -self.forward(inputs, targets, states, masks)[0].sum()

    def run(self, inputs, states=None, masks=NO_DROPOUT):
        """A `Step` for each row of the inputs, and the states after the last."""
        inputs = np.asarray(inputs)
        initial = self.initial_states(inputs.shape[1])
        states = initial if states is None else states
        steps = []
        for t, ids in enumerate(inputs):
            starts = (ids == 0) & self.config.independent
            states = [np.where(starts[:, None], new, old) for new, old in zip(initial, states, strict=True)]
            step, states = self.step(t, ids, starts, states, masks)
            steps.append(step)
        return steps, states

    def step(self, t, ids, starts, states, masks):
        """Step t of all layers and of the output, and the states after it."""
        one_hot = np.eye(self.config.words)[ids] * (ids >= 0)[:, None]
        x = one_hot @ self.p["E"] if self.config.embedding else one_hot
        inputs, tapes, hidden, after = [], [], [], []
        for layer, cell in enumerate(self.cells()):
            x = x * masks.at(t, layer)
            a = x @ self.p[numbered("U", layer)] + self.p.get(numbered("b", layer), 0.0)
            inputs.append(x)
            x, state, tape = cell.step(a, tuple(states[layer]))
            tapes.append(tape)
            hidden.append(x)
            after.append(state)
        below = x * masks.at(t, -1)
        log_y = log_softmax(below @ self.O.T + self.p.get("o", 0.0))
        if self.config.cell == "jordan":
            after = [(np.exp(log_y),)]
        return Step(one_hot, starts, inputs, tapes, hidden, below, log_y), [np.stack(state) for state in after]

    # ---- backward

    def gradients(self, inputs, targets, states=None, masks=NO_DROPOUT):
        """The gradient of the loss in every parameter, by name.

        Back-propagation through time within the block: errors stop at its beginning, and where a state was reset.
        """
        steps, _ = self.run(inputs, states, masks)
        dscores = np.zeros((*np.shape(targets), self.config.words))
        for t, b in np.argwhere(np.asarray(targets) >= 0):
            dscores[t, b] = np.exp(steps[t].log_y[b])
            dscores[t, b, targets[t][b]] -= 1
        return self.back(steps, dscores, masks=masks)[0]

    def back(self, steps, dscores, dhidden=None, masks=NO_DROPOUT):
        """Take errors of the scores (T, B, V), and of the hidden states (L, T, B, H) if any, back through the steps.

        Returns the gradients by name, and for each layer the error (S, B, H) of the state before the block.
        """
        n_streams = len(steps[0].starts)
        grads = {name: np.zeros_like(array) for name, array in self.p.items()}
        dstates = [np.zeros_like(state) for state in self.initial_states(n_streams)]
        for t in reversed(range(len(steps))):
            step = steps[t]
            dz = dscores[t]
            if self.config.cell == "jordan":
                dz = dz + back_through_softmax(np.exp(step.log_y), dstates[0][0])
            grads["E" if self.config.tied else "O"] += dz.T @ step.below
            self.add(grads, "o", dz.sum(0))
            dx = dz @ self.O * masks.at(t, -1)
            for layer, cell in reversed(list(enumerate(self.cells()))):
                if dhidden is not None:
                    dx = dx + dhidden[layer][t]
                da, dstate, dparams = cell.back(step.tapes[layer], dx, tuple(dstates[layer]))
                dstates[layer] = np.where(step.starts[:, None], 0.0, np.stack(dstate))
                for name, value in dparams.items():
                    self.add(grads, numbered(name, layer), value)
                self.add(grads, numbered("U", layer), step.inputs[layer].T @ da)
                self.add(grads, numbered("b", layer), da.sum(0))
                dx = da @ self.p[numbered("U", layer)].T * masks.at(t, layer)
            if self.config.embedding:
                grads["E"] += step.one_hot.T @ dx
        return grads, dstates

    def add(self, grads, name, value):
        """Add to the gradient of a parameter, if the network has it."""
        if name in grads:
            grads[name] += value


def log_softmax(scores):
    """Log probabilities of each row."""
    shifted = scores - scores.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def back_through_softmax(y, dy):
    """The errors of the scores (B, V) from those of their softmax y: its Jacobian is diag(y) - y y'."""
    return y * (dy - (y * dy).sum(axis=1, keepdims=True))
