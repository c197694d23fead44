"""Online learning on one stream: output weights change at every word, recurrent ones at the end of every block."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import numpy as np

from rnnlm.arrays import LAST_WORD, RnnState, Shape, restore, unpadded
from rnnlm.config import MAX_DIRECT_ORDER
from rnnlm.engines import Rate, rate_of

CHUNK = 10_000  # words of one call, at most; part of the result, as segments of updates end there
_PARTS = (1, 10, 100, 1000)  # of a chunk
_MOST_WORK = 6e9  # multiplications of one call: a second or two


class Online:
    """Learns as the model's cell does: its kernel, its arrays."""

    streams = 1
    slowness = 1  # of a multiplication

    def __init__(self, model, bptt: int, block: int, beta: float, cutoff: float):
        config = model.config
        self.model, self.bptt, self.block = model, bptt, block
        self.shape = Shape.of(config, model.class_start, bptt, block)
        self.real = np.dtype(config.dtype).type
        self.beta, self.cutoff = self.real(beta), self.real(cutoff)
        self.arrays, self.scratch = model.cell.arrays(self.shape, np.dtype(config.dtype))
        self.kernel = self._kernel()
        self.start_text()

    @classmethod
    def of(cls, model, config, threads: int = 1) -> Online:
        return cls(model, config.bptt, config.bptt_block, config.beta, config.gradient_cutoff)

    def _kernel(self):
        return self.model.cell.learn

    def take(self, train: np.ndarray, position: int) -> tuple[np.ndarray, int]:
        last = min(train.size, (position // self.steps + 1) * self.steps)
        return train[position:last], last

    def learn(self, ids: np.ndarray, alpha: Rate) -> np.ndarray:
        model, log_prob, rate = self.model, np.empty(ids.size), rate_of(alpha, 0, ids.size)
        self.kernel(
            model.weights, self.arrays, self.scratch, self.shape, np.ascontiguousarray(ids, np.int32),
            model.class_of_word, model.class_start, self.real(rate), self.beta, self.cutoff, log_prob,
        )  # fmt: skip
        return log_prob

    def start_text(self, context: float | np.ndarray | None = None) -> None:
        self.arrays.start_text(self.shape, self.model.cell.start if context is None else context)

    def current(self) -> RnnState:
        history = getattr(self.arrays, "history", np.zeros(MAX_DIRECT_ORDER, np.int32))
        return RnnState(self.arrays.previous.copy(), int(self.arrays.counters[LAST_WORD]), history.copy())

    def state(self) -> dict[str, np.ndarray]:
        return unpadded(self.arrays, self.shape)

    def restore(self, saved: Mapping[str, np.ndarray]) -> None:
        restore(self.arrays, saved, self.shape)

    @cached_property
    def steps(self) -> int:
        """It follows from the network, not from the time: the same training has the same stops everywhere."""
        model = self.model
        config, sizes, counts = model.config, np.diff(model.class_start), model.vocab.counts
        hidden, below = config.hidden, config.compression or config.hidden
        outputs = config.classes + float(sizes[model.class_of_word] @ counts) / max(1, int(counts.sum()))
        through_time = 1 + 2 * (self.bptt + self.block) / self.block
        work = hidden * model.state_size * through_time + 3 * below * (outputs + hidden * (config.compression > 0))
        parts = next((n for n in _PARTS if work * CHUNK <= n * _MOST_WORK / self.slowness), _PARTS[-1])
        return max(1, CHUNK // parts)


ENGINE = Online
