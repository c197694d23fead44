"""Learning from a text that is scored, segment by segment: dynamic evaluation of stacks.  Krause et al. (2018).

A segment of ``bptt`` words is scored with the same weights, then learnt from.  g is its gradient, w(0) the weights of
the static model, lambda the ``decay``:

    plain        w += alpha g + lambda (w(0) - w)
    RMS-scaled   w += alpha g / (r + e) + lambda (w(0) - w) min(r / mean(r), 1 / lambda)

with r, the root of the mean squared gradient over the blocks of a text, the training text say (``root_mean_squares``).
The embeddings of words that were not read stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from corpora.compute.simd import aligned_zeros
from rnnlm.arrays import RnnState
from rnnlm.config import TrainConfig
from rnnlm.dynamic_kernels import Update, add_squared_rows, add_squares, dynamic_update, dynamic_update_rows
from rnnlm.engines.minibatch import Minibatch
from rnnlm.updates import Dense, norm

SEGMENT = 5  # words
_EPSILON = 1e-8
_GATHERED = (20, 35)  # streams and steps of the blocks whose gradients are squared


def root_mean_squares(lm, ids: np.ndarray, threads: int = 2) -> dict[str, np.ndarray]:
    """By parameter, the root of the mean over blocks of a text, ids (n,) int32, of the squared gradient."""
    streams, steps = _GATHERED
    streams = max(1, min(streams, ids.size // steps))
    engine = Minibatch(
        lm, TrainConfig(engine="minibatch", batch_size=streams, bptt=steps, gradient_cutoff=0.0), threads
    )
    squares = {name: aligned_zeros(each.weights.shape, each.weights.dtype) for name, each in engine.gradients.items()}
    position, blocks = 0, 0
    while position < ids.size:
        words, position = engine.take(ids, position)
        for t in range(0, words.shape[1], steps):
            engine.differentiate(words[:, t : t + steps])
            blocks += 1
            for name, gradient in engine.gradients.items():
                total = squares[name].reshape(-1)
                if isinstance(gradient, Dense):
                    add_squares(total, 0, gradient.values.reshape(-1), 0, total.size)
                else:
                    add_squared_rows(total, gradient.ids, gradient.values)
    return {name: np.sqrt(total / max(1, blocks), out=total) for name, total in squares.items()}


def _laid_out(values: np.ndarray, like: np.ndarray) -> np.ndarray:
    """``values`` in rows as long as those of ``like``, which output layers pad; themselves if they are so already."""
    if values.size == like.size:
        return values
    out = aligned_zeros(like.shape, like.dtype)
    out[tuple(slice(n) for n in values.shape)] = values
    return out


class Segments:
    """An engine for ``DynamicLM``: the words of an unfinished segment wait for the rest of it to be learnt."""

    streams = 1

    def __init__(
        self, lm, static, segment: int, decay: float, clip_norm: float, roots: Mapping[str, np.ndarray] | None
    ):
        """``static``: the arrays of the weights that are drawn back to, by name."""
        self.engine = Minibatch(
            lm, TrainConfig(engine="minibatch", batch_size=1, bptt=segment, gradient_cutoff=0.0), lm.threads
        )
        self.lm, self.segment, self.decay, self.clip_norm = lm, segment, decay, clip_norm
        self.static = {name: _laid_out(static[name], each.weights) for name, each in self.engine.gradients.items()}
        self.roots = roots or {}
        self.mean = 0.0
        if roots:
            n = sum(static[name].size for name in roots)  # without padding, whose roots are 0
            self.mean = float(sum(values.sum(dtype=np.float64) for values in roots.values()) / n)
        self.waiting = np.zeros(segment, np.int32)  # words of the unfinished segment
        self.n_waiting = np.zeros(1, np.int64)
        self._after: RnnState | None = None  # the state after them

    def start_text(self, context=None) -> None:
        self.engine.start_text(context)
        self.n_waiting[0] = 0

    def current(self) -> RnnState:
        if not self.n_waiting[0]:
            return self.engine.current()
        if self._after is None:
            self._score(self.waiting[: self.n_waiting[0]])
        return self._after

    def state(self) -> dict[str, np.ndarray]:
        self._after = None  # whoever asks may write to it
        return self.engine.state() | {"waiting": self.waiting, "n_waiting": self.n_waiting}

    def learn(self, ids: np.ndarray, alpha: float) -> np.ndarray:
        """Learn from ids (n,); their natural log probabilities, each before its segment was learnt."""
        waiting = int(self.n_waiting[0])
        words = np.concatenate([self.waiting[:waiting], np.asarray(ids, np.int32)])
        log_prob, whole = np.zeros(words.size), words.size // self.segment * self.segment
        for start in range(0, whole, self.segment):
            stop = start + self.segment
            log_prob[start:stop] = self.engine.differentiate(words[None, start:stop])[0]
            self._step(alpha)
        rest = words[whole:]
        self._after = None
        if rest.size and ids.size:
            log_prob[whole:] = self._score(rest)
        self.waiting[: rest.size], self.n_waiting[0] = rest, rest.size
        return log_prob[waiting:]

    def _score(self, words: np.ndarray) -> np.ndarray:
        """As ``differentiate``, from whose kernels it has its bits, but the engine stays where it stands."""
        kept = {name: np.array(values) for name, values in self.engine.state().items()}
        log_prob = self.engine.differentiate(words[None])[0]
        self._after = self.engine.current()
        self.engine.restore(kept)
        return log_prob

    def _step(self, alpha: float) -> None:
        engine, factor = self.engine, 1.0
        if self.clip_norm > 0:
            length = norm(engine.gradients.values(), engine.workers)
            factor = min(1.0, self.clip_norm / length) if length > 0 else 1.0
        most = 1 / self.decay if self.decay > 0 else 0.0
        update = Update(*map(engine.real, (alpha * factor, self.decay, self.mean, most, _EPSILON)))
        for name, gradient in engine.gradients.items():
            weights, values = gradient.weights.reshape(-1), gradient.values.reshape(-1)
            static = self.static[name].reshape(-1)
            roots = self.roots.get(name, static).reshape(-1)
            if isinstance(gradient, Dense):

                def some(begin, end, _, parts=(weights, values, static, roots)):
                    w, g, s, r = parts
                    dynamic_update(w, begin, g, begin, s, r, end - begin, update)

                engine.workers.share(some, weights.size, 16)
            else:
                dynamic_update_rows(weights, gradient.ids, gradient.values, static, roots, update)
        self.lm.weights_have_changed()
