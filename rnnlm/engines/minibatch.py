"""Learning from blocks of T words of B parts of the text, side by side: back-propagation through time, truncated.

Each stream reads its part of the text from the beginning to the end.  In a block all words are predicted with the same
weights; then errors go back through its T steps (Williams & Peng 1990), and an optimizer changes the weights by the sum
of the gradients over time, divided by B: with one stream, the gradient of the online definition.  States go on from
block to block; where sentences are independent, they begin anew after each ``</s>``.

Threads share the streams, and then the columns of what is changed.  Every sum has one order whatever their number.
Legend: see ``rnnlm.layers``; n = B * T.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from corpora.compute.matmul import multiply, panel_width, transpose
from corpora.compute.simd import aligned_zeros, padded
from rnnlm.arrays import RnnState
from rnnlm.cells import layer_of
from rnnlm.config import MAX_DIRECT_ORDER, ModelConfig, TrainConfig
from rnnlm.dropout import Dropout
from rnnlm.engines import Rate, rate_of
from rnnlm.layers import (
    Errors,
    gather_rows,
    layer_shape,
    pack_recurrent,
    spread_row,
    steps_for,
    sum_rows,
)
from rnnlm.optimizers import slots, step_of
from rnnlm.stack import name_in
from rnnlm.threads import Workers
from rnnlm.updates import Dense, Rows, norm

_MOST_WORK = 2e10  # multiplications of one call: a second or less
_FEW = 3e7  # multiplications of a block that one thread does as fast as two


class Minibatch:
    """Learns a model in place.  ``steps``: words of a stream in one call, a multiple of ``bptt``."""

    def __init__(self, model, config: TrainConfig, threads: int = 2):
        self.model, self.config = model, config
        self.streams, self.bptt = config.batch_size, config.bptt
        self.real = np.dtype(model.config.dtype).type
        net, weights, n = model.config, model.weights, self.streams * self.bptt
        recurrent = {name: a.size for name, a in model.params.items() if name not in "UE"}
        own = model.output.parameters(net, len(model.vocab))
        work = 3 * n * (sum(size for name, size in recurrent.items() if name not in own) + model.output.work(model))
        self.workers = Workers(threads if work > _FEW else 1, net.dtype)
        self.steps = self.bptt * max(1, int(_MOST_WORK / max(1, work)))
        self.dropout = Dropout(net, config)
        self._make_layers(net, weights, n)
        self.gradients = self._gradients(n)
        n_slots, tiny = slots(config), np.zeros(1, net.dtype)
        self.slots = {
            name: [aligned_zeros(gradient.weights.shape, net.dtype) for _ in range(n_slots)]
            for name, gradient in self.gradients.items()
        }
        self._no_slot = tiny
        self.counters = np.zeros(1, np.int64)  # steps of the optimizer so far
        self.last = np.zeros(self.streams, np.int32)
        self.histories = np.zeros((self.streams, MAX_DIRECT_ORDER), np.int32)
        self.start_text()

    @classmethod
    def of(cls, model, config: TrainConfig, threads: int = 2) -> Minibatch:
        return cls(model, config, threads)

    def _make_layers(self, net: ModelConfig, weights, n: int) -> None:
        T, B, width, dtype = self.bptt, self.streams, padded(net.hidden), net.dtype
        self.layer = layer_of(net)
        cell, gates = self.model.cell, self.layer.gates(net) * net.hidden
        self.layers = [steps_for(self.layer, net, T, B, cell.reset) for _ in range(net.layers)]
        # errors are divided by B: what is clipped of a stream does not depend on how many there are beside it
        limit = np.full(1, self.config.gradient_cutoff / B, dtype)
        self.errors = [
            Errors(aligned_zeros((n, width), dtype), aligned_zeros((self.layer.states, B, width), dtype), limit)
            for _ in range(net.layers)
        ]
        arrays = weights.arrays if net.is_stack else weights._asdict()
        self.arrays = arrays
        self.packed = [self._pack(at) for at in range(net.layers)]
        self.thinned = [np.zeros_like(arrays[name_in(at, "W")]) for at in range(net.layers) if self.dropout.recurrent]
        self.no_bias = np.zeros(gates, dtype)
        self.no_input = np.zeros(max(1, net.embedding), dtype)
        self.embedded = aligned_zeros((n, max(1, net.embedding)), dtype)
        self.embedded_errors = aligned_zeros((n, max(1, net.embedding)), dtype)
        # inputs of layers 2, 3, ... and of the output layer: the hidden units below, or what dropout leaves of them
        self.above = [
            aligned_zeros((n, width), dtype) if self.dropout.drops(at + 1) else steps.hidden
            for at, steps in enumerate(self.layers)
        ]
        self.operands = [self.layer.operands(net, steps) for steps in self.layers]
        self.operands_across = [[aligned_zeros((net.hidden, n), dtype) for _ in some] for some in self.operands]
        sizes = [net.embedding, *[net.hidden] * (net.layers - 1)]
        self.inputs_across = [aligned_zeros((max(1, size), n), dtype) for size in sizes]

    def _pack(self, at: int, into=None):
        W = self.arrays[name_in(at, "W")]
        if self.dropout.recurrent and into is not None:
            W = self._thin(at, W, self.thinned[at])
        extras = [self.arrays[name_in(at, name)] for name in self.layer.extras(self.model.config)]
        return pack_recurrent(self.layer, self.model.config, W, into, extras[0] if extras else None)

    def _thin(self, at: int, W: np.ndarray, out: np.ndarray) -> np.ndarray:
        """``out``, what dropout leaves of recurrent weights W, or of their gradient."""
        columns = self.layers[at].gates.shape[1]
        self.dropout.weights(at, int(self.counters[0]), W, out, columns, self.workers)
        return out

    def _gradients(self, n: int) -> dict[str, Dense | Rows]:
        """By parameter, room for a block of n rows."""
        self.output = self.model.output.learner(self.model, self.config, n, self.workers)
        net, found = self.model.config, {}
        if net.embedding and not net.tied:
            found["E"] = Rows(self.arrays["E"], n)
        self.embedding_rows = Rows(self.arrays["E"], n) if net.tied else found.get("E")
        for at in range(net.layers):
            own = [name_in(at, name) for name in ("U", "W", "b", *self.layer.extras(net))]
            for name in own:
                if name in self.arrays:
                    one_hot = name == "U" and not net.embedding
                    found[name] = Rows(self.arrays[name], n) if one_hot else Dense(self.arrays[name])
        return found | self.output.gradients

    # ---- as every Engine

    def take(self, train: np.ndarray, position: int) -> tuple[np.ndarray, int]:
        """The next words of all streams of the text, (B, up to ``steps``), and the position after them.

        -1 fills the streams up where the text ends before the last of them does.
        """
        n, B = train.size, self.streams
        length = -(-n // B)
        first = position // B
        last = min(length, (first // self.steps + 1) * self.steps)
        at = np.arange(first, last) + length * np.arange(B)[:, None]
        ids = np.where(at < n, train[np.minimum(at, n - 1)], np.int32(-1)).astype(np.int32)
        return ids, n if last == length else last * B

    def learn(self, ids: np.ndarray, alpha: Rate) -> np.ndarray:
        """Learn from the next words of every stream, ids (B, steps) int32, or (n,) of one; see ``Engine``.

        Without words, the kernels are compiled, or loaded.
        """
        if not ids.size:
            self._warm_up()
        streams = np.ascontiguousarray(ids if ids.ndim == 2 else ids[None], np.int32)
        log_prob = np.zeros(streams.shape)
        for t in range(0, streams.shape[1], self.bptt):
            part = streams[:, t : t + self.bptt]
            begin = t * len(part)
            log_prob[:, t : t + self.bptt] = self.learn_block(part, rate_of(alpha, begin, begin + part.size))
        return log_prob if ids.ndim == 2 else log_prob[0]

    def _warm_up(self) -> None:
        small = type(self)(self.model, replace(self.config, batch_size=1, bptt=1), 1)
        small.differentiate(np.zeros((1, 1), np.int32))
        # a step in arrays of one number: neither are weights written to, nor do slots take memory twice
        tiny, step = aligned_zeros((1, 1), self.real), step_of(self.config, 0.0, 1.0, 1).in_reals(self.real)
        dense, rows = Dense(tiny), Rows(tiny, 1)
        rows.merge(self.workers, np.zeros(1, np.int32), tiny)
        norm([dense, rows], self.workers)
        for gradient in (dense, rows):
            gradient.update(self.workers, *self._both([tiny] * slots(self.config)), step)

    def start_text(self, context: float | np.ndarray | None = None) -> None:
        net = self.model.config
        start = self.model.cell.start if context is None else context
        if net.independent and context is None:
            start = self.model.cell.reset
        values = np.broadcast_to(np.asarray(start, net.dtype), (self.model.state_size,))
        for vectors, at in self._vectors():
            vectors[:] = values[at : at + vectors.shape[1]]
        self.last[:] = 0
        self.histories[:] = 0

    def _vectors(self):
        """(B, elements) views of all vectors of the state, each with its place in the state of the network."""
        H, states = self.model.config.hidden, self.layer.states
        for at, steps in enumerate(self.layers):
            for s in range(states):
                yield steps.state[s, :, :H], (at * states + s) * H

    def current(self) -> RnnState:
        """That of the first stream."""
        hidden = aligned_zeros((padded(self.model.state_size),), self.model.config.dtype)
        for vectors, at in self._vectors():
            hidden[at : at + vectors.shape[1]] = vectors[0]
        return RnnState(hidden, int(self.last[0]), self.histories[0].copy())

    def state(self) -> dict[str, np.ndarray]:
        net = self.model.config
        vectors = [vectors for vectors, _ in self._vectors()]
        found = {f"vectors.{k}": values for k, values in enumerate(vectors)}
        for name, arrays in self.slots.items():
            like = self.model.params["E" if name == "E" else name]
            for k, array in enumerate(arrays):
                found[f"slot.{k}.{name}"] = array[tuple(slice(n) for n in like.shape)]
        histories = {"histories": self.histories} if net.direct else {}
        return found | {"counters": self.counters, "last": self.last} | histories

    def restore(self, saved: Mapping[str, np.ndarray]) -> None:
        for name, values in self.state().items():
            if name not in saved:
                raise ValueError(f"{name} is missing")
            if saved[name].shape != values.shape or saved[name].dtype != values.dtype:
                raise ValueError(f"{name} is {saved[name].dtype} {saved[name].shape}, not {values.shape}")
            values[...] = saved[name]
        n_words = len(self.model.vocab)
        words = np.concatenate([self.last, self.histories.ravel()])
        if self.counters[0] < 0 or (words < -1).any() or (words >= n_words).any():
            raise ValueError(f"counters are {self.counters.tolist()}, words {words.tolist()[:5]}")

    def use_all_words(self, whether: bool) -> None:
        """Whether the output layer learns from all words, where its loss (``sampled``) draws some."""
        self.output.use_all(whether)
        self.gradients.update(self.output.gradients)

    # ---- a block

    def learn_block(self, targets: np.ndarray, alpha: float) -> np.ndarray:
        """Learn from targets (B, T); their natural log probabilities (B, T)."""
        log_prob = self.differentiate(targets)
        self.step(alpha)
        return log_prob

    def differentiate(self, targets: np.ndarray) -> np.ndarray:
        """Read and predict targets (B, T): fills the gradients, and returns log probabilities; the states go on."""
        (B, T), net = targets.shape, self.model.config
        n, words = B * T, np.ascontiguousarray(targets, np.int32)
        inputs = np.concatenate([self.last[:, None], words[:, :-1]], 1).astype(np.int32).ravel()
        histories = self._next_histories(words)
        self.last[:] = words[:, -1]
        for steps in self.layers:
            steps.is_reset[:n] = inputs == 0 if net.independent else 0
        inputs = self.dropout.inputs(int(self.counters[0]), inputs)
        shape, log_prob = layer_shape(self.layer, net, T), np.zeros(n)
        for at, packed in enumerate(self.packed):
            self._pack(at, packed)
        self.workers.share(lambda begin, end, scratch: self._forward(shape, inputs, begin, end, scratch), B)
        self.output.block = int(self.counters[0])
        self.output.learn(
            self.above[-1][:n], words.ravel(), histories, self.errors[-1].hidden[:n], log_prob, self.real(1 / B)
        )
        self.workers.share(lambda begin, end, scratch: self._backward(shape, begin, end, scratch), B)
        self._sum_gradients(shape, inputs, n)
        return log_prob.reshape(B, T)

    def _next_histories(self, words: np.ndarray) -> np.ndarray:
        """(n, order): the words before each, newest first; a row of zeros each where nothing reads them."""
        net, (B, T) = self.model.config, words.shape
        if not net.direct:
            return np.zeros((B * T, 1), np.int32)
        line = np.concatenate([self.histories[:, ::-1], words], 1)
        windows = np.lib.stride_tricks.sliding_window_view(line, MAX_DIRECT_ORDER, axis=1)[:, :, ::-1]
        self.histories = np.ascontiguousarray(windows[:, -1])
        return np.ascontiguousarray(windows[:, :T, : net.direct_order]).reshape(B * T, -1)

    def _drop(self, site: int, X, out, rows, n: int, shape) -> None:
        """Leave out some of X[rows, :n]; the same ones each time within a block."""
        self.dropout.units(site, int(self.counters[0]), X, out, rows, n, shape.n_steps)

    def _forward(self, shape, inputs, begin: int, end: int, scratch) -> None:
        net, H = self.model.config, self.model.config.hidden
        rows = begin * shape.n_steps, end * shape.n_steps
        below, n_below = self.embedded, net.embedding
        for at, (steps, packed) in enumerate(zip(self.layers, self.packed, strict=True)):
            bias = self.arrays.get(name_in(at, "b"), self.no_bias)
            if at == 0 and not net.embedding:
                gather_rows(self.arrays["U"], inputs, bias, steps.gates, *rows)
            else:
                if at == 0:
                    gather_rows(self.arrays["E"], inputs, self.no_input, below, *rows)
                    self._drop(0, below, below, rows, n_below, shape)
                spread_row(bias, steps.gates, *rows)
                columns = (0, steps.gates.shape[1])
                U = self.arrays[name_in(at, "U")]
                multiply(steps.gates, below, U, n_below, 0, 1, rows, columns, 0, scratch.room)
            self.layer.forward(packed._replace(tile=scratch.tile), steps, shape, begin, end)
            self._drop(at + 1, steps.hidden, self.above[at], rows, H, shape)
            below, n_below = self.above[at], H

    def _backward(self, shape, begin: int, end: int, scratch) -> None:
        net, H = self.model.config, self.model.config.hidden
        rows = begin * shape.n_steps, end * shape.n_steps
        for at in reversed(range(net.layers)):
            steps, errors = self.layers[at], self.errors[at]
            self._drop(at + 1, errors.hidden, errors.hidden, rows, H, shape)
            self.layer.backward(self.packed[at]._replace(tile=scratch.tile), steps, errors, shape, begin, end)
            for (A, *_), across in zip(self.operands[at], self.operands_across[at], strict=True):
                transpose(A, rows, H, across)
            below = net.embedding if at == 0 else H
            if below:
                into = self.embedded_errors if at == 0 else self.errors[at - 1].hidden
                U, n = self.arrays[name_in(at, "U")], steps.gates.shape[1]
                multiply(into, steps.gates, U, n, 1, 0, rows, (0, below), 0, scratch.room)
                X = self.embedded if at == 0 else self.above[at - 1]
                transpose(X, rows, below, self.inputs_across[at])
                if at == 0:
                    self._drop(0, into, into, rows, below, shape)

    def _sum_gradients(self, shape, inputs, n: int) -> None:
        net, H = self.model.config, self.model.config.hidden
        unit = panel_width(net.dtype)
        for at, steps in enumerate(self.layers):
            below = net.embedding if at == 0 else H
            dW, dU, db = (self.gradients.get(name_in(at, name)) for name in ("W", "U", "b"))

            def sums(begin, end, scratch, at=at, steps=steps, below=below, dU=dU, db=db):
                if below:
                    multiply(
                        dU.values, self.inputs_across[at], steps.gates, n, 0, 0, (0, below), (begin, end), 0,
                        scratch.room,
                    )  # fmt: skip
                if db is not None:
                    sum_rows(steps.gates, n, begin, 0, db.values[begin:end])

            self.workers.share(sums, steps.gates.shape[1], unit)
            for (_, D, first, last, at_D), across in zip(self.operands[at], self.operands_across[at], strict=True):

                def recurrent(begin, end, scratch, across=across, D=D, first=first, shift=first - at_D, dW=dW):
                    columns = (first + begin, first + end)
                    multiply(dW.values, across, D, n, 0, 0, (0, H), columns, shift, scratch.room)

                self.workers.share(recurrent, last - first, unit)
            if self.dropout.recurrent:
                self._thin(at, dW.values, dW.values)
            if self.layer.extra_gradients:
                own = [self.gradients[name_in(at, name)].values for name in self.layer.extras(net)]
                self.layer.extra_gradients(steps, shape, n, own)
        if not net.embedding:
            self.gradients["U"].merge(self.workers, inputs, self.layers[0].gates[:n])
        else:
            self.embedding_rows.merge(self.workers, inputs, self.embedded_errors[:n])
            if net.tied:
                self.gradients["E"].add(self.workers, self.embedding_rows)

    def _both(self, own: list[np.ndarray]) -> list[np.ndarray]:
        """The slots m and v, the optimizer's own and what stands for those that it lacks."""
        return [*own, self._no_slot, self._no_slot][:2]

    def step(self, alpha: float) -> None:
        """Change the weights by the gradients."""
        config = self.config
        factor = 1.0
        if config.clip_norm > 0:
            length = norm(self.gradients.values(), self.workers)
            factor = min(1.0, config.clip_norm / length) if length > 0 else 1.0
        self.counters[0] += 1
        step = step_of(config, alpha, factor, int(self.counters[0])).in_reals(self.real)
        for name, gradient in self.gradients.items():
            gradient.update(self.workers, *self._both(self.slots[name]), step)
        self.model.weights_have_changed()


ENGINE = Minibatch
