"""Recurrent layers one above the other, on words or on their embeddings, as one network.

Legend: V words, E units of the embedding, H hidden units, L layers, G gates; I inputs of a layer: V, E or H.
Parameters: ``E`` (V, E); of layer 1 ``U`` (I, G*H) from its inputs, ``W`` (H, G*H) from its state, ``b`` (G*H,) and
what else its cell has; of layer l the same names with l: ``U2``, ``W2``, ``b2``.
The state of the network is that of its layers, one after another, and of these the vectors of its cell.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from corpora.compute.matmul import multiply, room_for_products
from corpora.compute.simd import aligned_zeros
from rnnlm.arrays import Weights
from rnnlm.cells import Cell, Parameter, layer_of
from rnnlm.layers import Recurrent, Steps, gather_rows, layer_shape, pack_recurrent, spread_row, steps_for

if TYPE_CHECKING:
    from rnnlm.outputs.hierarchical import Tree

_ROWS = 512  # of a forward run, at most (one step of all streams, at least): its arrays stay in the cache


def name_in(layer: int, name: str) -> str:
    """A parameter's name in layer 0, 1, ...: that of the first has no number."""
    return name if layer == 0 else f"{name}{layer + 1}"


def parameters(config, n_words: int) -> dict[str, Parameter]:
    """Those of the embedding and of all layers."""
    layer, H = layer_of(config), config.hidden
    width, bound = layer.gates(config) * H, 1 / np.sqrt(H)
    found = {}
    if config.embedding:
        found["E"] = Parameter((n_words, config.embedding), (1, config.embedding), "input", bound=0.1)
    for at in range(config.layers):
        inputs = (config.embedding or n_words) if at == 0 else H
        fan_in = H + (1 if at == 0 and not config.embedding else inputs)
        found[name_in(at, "U")] = Parameter((inputs, width), (fan_in, H), "input", bound=bound)
        found[name_in(at, "W")] = Parameter((H, width), (fan_in, H), "recurrent", bound=bound)
        found[name_in(at, "b")] = Parameter((width,), (fan_in, H), value=layer.bias(config))
        for name, (shape, fans) in layer.extras(config).items():
            found[name_in(at, name)] = Parameter(shape, fans, value=0.0)
    return found


@dataclass
class StackWeights:
    """All parameters of a stack in memory, by name; ``outputs``: those of the output layer as its kernels want them.

    ``tree``: of a hierarchical softmax.
    """

    config: object
    arrays: dict[str, np.ndarray]
    outputs: object = None
    tree: Tree | None = None
    _packed: list[Recurrent] = field(default_factory=list)

    @classmethod
    def pack(cls, config, params: dict[str, np.ndarray], tree: Tree | None = None) -> StackWeights:
        from rnnlm.outputs import is_full

        arrays = {name: _aligned(values) for name, values in params.items()}
        if config.output_layer == "hierarchical":
            from rnnlm.outputs.hierarchical import TreeWeights

            return cls(config, arrays, TreeWeights(arrays["N"], arrays["n"], tree), tree)
        if is_full(config):
            return cls(config, arrays, (arrays["E" if config.tied else "O"], arrays["o"]))
        own = {name: arrays[name] for name in "KCOD" if name in arrays}  # copies: D is not padded, thus taken as it is
        outputs = Weights.pack(own, np.dtype(config.dtype))
        return cls(config, arrays | outputs.views(own), outputs)

    def views(self, like: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {name: self.arrays[name] for name in like}

    def copy(self) -> StackWeights:
        return StackWeights.pack(self.config, self.arrays, self.tree)

    def assign(self, other: StackWeights) -> None:
        for name, values in self.arrays.items():
            values[...] = other.arrays[name]
        self.have_changed()

    def have_changed(self) -> None:
        """What was packed of the recurrent matrices is not theirs any more."""
        self._packed = []

    def recurrent(self) -> list[Recurrent]:
        """The recurrent matrices of all layers in panels, to score with."""
        if not self._packed:
            layer, config = layer_of(self.config), self.config
            extras = layer.extras(config)
            self._packed = [
                pack_recurrent(
                    layer, config, self.of(at, "W"), first=self.of(at, next(iter(extras))) if extras else None,
                    learns=False,
                )
                for at in range(config.layers)
            ]  # fmt: skip
        return self._packed

    def of(self, layer: int, name: str) -> np.ndarray:
        return self.arrays[name_in(layer, name)]


def _aligned(values: np.ndarray) -> np.ndarray:
    out = aligned_zeros(values.shape, values.dtype)
    out[...] = values
    return out


def state_size(config, n_words: int) -> int:
    return config.layers * layer_of(config).states * config.hidden


class ForwardRun:
    """Layers that read B streams, ``steps`` at a time; their states go on from one call to the next."""

    def __init__(self, weights: StackWeights, n_streams: int, n_steps: int):
        config = weights.config
        self.weights, self.config, self.layer = weights, config, layer_of(config)
        self.n_streams, self.n_steps = n_streams, n_steps
        self.layers = [steps_for(self.layer, config, n_steps, n_streams, 0.0) for _ in range(config.layers)]
        self.room = room_for_products(config.dtype)
        inputs = config.embedding if config.embedding else 1
        self.embedded = aligned_zeros((n_steps * n_streams, inputs), config.dtype)

    def set_state(self, state: np.ndarray) -> None:
        """state (B, S): those of all layers, of every stream."""
        H, n = self.config.hidden, self.layer.states
        for at, steps in enumerate(self.layers):
            for s in range(n):
                first = (at * n + s) * H
                steps.state[s, :, :H] = state[:, first : first + H]

    def get_state(self, state: np.ndarray) -> None:
        """The states after the words so far, into state (B, S)."""
        H, n = self.config.hidden, self.layer.states
        for at, steps in enumerate(self.layers):
            for s in range(n):
                first = (at * n + s) * H
                state[:, first : first + H] = steps.state[s, :, :H]

    def read(self, ids: np.ndarray) -> list[Steps]:
        """The layers' arrays after ids (B, T), T <= ``steps``: row b*T + t."""
        config, weights, (B, T) = self.config, self.weights, ids.shape
        n, ids = B * T, np.ascontiguousarray(ids, np.int32).ravel()
        shape = layer_shape(self.layer, config, T)
        inputs, n_inputs = self.embedded, config.embedding
        for at, (steps, recurrent) in enumerate(zip(self.layers, weights.recurrent(), strict=True)):
            if at == 0 and not config.embedding:
                gather_rows(weights.of(0, "U"), ids, weights.of(0, "b"), steps.gates, 0, n)
            else:
                if at == 0:
                    gather_rows(weights.arrays["E"], ids, np.zeros(n_inputs, config.dtype), inputs, 0, n)
                spread_row(weights.of(at, "b"), steps.gates, 0, n)
                columns = (0, steps.gates.shape[1])
                multiply(steps.gates, inputs, weights.of(at, "U"), n_inputs, 0, 1, (0, n), columns, 0, self.room)
            self.layer.forward(recurrent, steps, shape, 0, B)
            inputs, n_inputs = steps.hidden, config.hidden
        return self.layers


def forward_streams(weights: StackWeights, shape, ids, state, hidden_states) -> None:
    """ids (T, B) int32; state (B, S), overwritten with the one after; hidden_states (T, B, width) of the last layer."""
    n_steps, n_streams = ids.shape
    run = ForwardRun(weights, n_streams, max(1, min(n_steps, _ROWS // n_streams)))
    run.set_state(state)
    for start in range(0, n_steps, run.n_steps):
        part = ids[start : start + run.n_steps].T
        hidden = run.read(part)[-1].hidden[: part.size]
        hidden_states[start : start + part.shape[1]] = hidden.reshape(*part.shape, -1).swapaxes(0, 1)
    run.get_state(state)


def forward(weights: StackWeights, shape, ids, state, hidden_states) -> None:
    forward_streams(weights, shape, ids[:, None], state[None], hidden_states[:, None])


def all_hidden_states(weights: StackWeights, ids, state) -> np.ndarray:
    """(T, L, H): every layer after each of ids (T,), read from state (S,) on, which is overwritten."""
    config = weights.config
    run, out = ForwardRun(weights, 1, min(max(1, ids.size), _ROWS)), np.empty((ids.size, config.layers, config.hidden))
    run.set_state(state[None])
    for start in range(0, ids.size, run.n_steps):
        part = ids[start : start + run.n_steps]
        for at, steps in enumerate(run.read(part[None])):
            out[start : start + part.size, at] = steps.hidden[: part.size, : config.hidden]
    run.get_state(state[None])
    return out.astype(config.dtype)


def _learns_in_batches(*_):
    raise NotImplementedError("a stack learns from batches only")


CELL = Cell(
    state_size=state_size,
    parameters=parameters,
    start=0.0,
    reset=0.0,
    forward=forward,
    forward_streams=forward_streams,
    arrays=_learns_in_batches,
    learn=_learns_in_batches,
)
