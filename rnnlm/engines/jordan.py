"""Jordan's network learnt from blocks of B streams: as ``engines.minibatch``, with the outputs inside each step."""

from __future__ import annotations

import numpy as np

from corpora.compute.matmul import multiply_across, panel_width, transpose
from corpora.compute.simd import aligned_zeros
from rnnlm.activations import KINDS
from rnnlm.cells.jordan_layer import JordanSteps, JordanWeights, jordan_layer_backward, jordan_layer_forward
from rnnlm.engines.minibatch import Minibatch
from rnnlm.layers import LayerShape, gather_rows
from rnnlm.updates import Dense, Rows


class JordanMinibatch(Minibatch):
    """The state of a stream is its last outputs (V,); O learns from its errors and from what comes back through it."""

    def _make_layers(self, net, weights, n: int) -> None:
        self.n_words, self.net_weights = len(self.model.vocab), weights
        limit = self.config.gradient_cutoff / self.streams  # as errors are
        self.own = JordanSteps.create(net, self.n_words, self.bptt, self.streams, limit)
        self.packed_weights = JordanWeights.room(self.n_words, net.hidden, np.dtype(net.dtype))
        self.no_bias = np.zeros(net.hidden, net.dtype)
        self.delta_across, self.hidden_across = (aligned_zeros((net.hidden, n), net.dtype) for _ in range(2))

    def _gradients(self, n: int) -> dict[str, Dense | Rows]:
        weights = self.net_weights
        return {"U": Rows(weights.U, n), "W": Dense(weights.W), "O": Dense(weights.O)}

    def _vectors(self):
        yield self.own.state[:, : self.n_words], 0

    def differentiate(self, targets: np.ndarray) -> np.ndarray:
        (B, T), net, weights, steps = targets.shape, self.model.config, self.net_weights, self.own
        n, words, V, H = B * T, np.ascontiguousarray(targets, np.int32), self.n_words, net.hidden
        inputs = np.concatenate([self.last[:, None], words[:, :-1]], 1).astype(np.int32).ravel()
        self.last[:] = words[:, -1]
        steps.is_reset[:n] = inputs == 0 if net.independent else 0
        shape, log_prob, scale = LayerShape(T, H, KINDS[net.activation], 0), np.zeros(n), self.real(1 / B)
        self.packed_weights.pack(weights.W, weights.O, V, H)
        flat = words.ravel()

        def there_and_back(begin, end, scratch):
            packed, rows = self.packed_weights._replace(tile=scratch.tile), (begin * T, end * T)
            gather_rows(weights.U, inputs, self.no_bias, steps.hidden, *rows)
            jordan_layer_forward(packed, steps, shape, V, flat, begin, end, log_prob)
            jordan_layer_backward(packed, steps, shape, V, flat, scale, begin, end)
            transpose(steps.delta, rows, H, self.delta_across)
            transpose(steps.hidden, rows, H, self.hidden_across)

        def sums(begin, end, scratch):
            columns = (begin, end)
            for name, across, D in (("W", self.delta_across, steps.before), ("O", self.hidden_across, steps.y)):
                multiply_across(self.gradients[name].values, across, D, H, n, 0, columns, scratch.room)

        self.workers.share(there_and_back, B)
        self.workers.share(sums, V, panel_width(net.dtype))
        self.gradients["U"].merge(self.workers, inputs, steps.delta[:n])
        return log_prob.reshape(B, T)


ENGINE = JordanMinibatch
