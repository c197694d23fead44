"""Engines: how a network learns from streams of words.  Each owns its kernels, its scratch arrays and its state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from rnnlm.cells import CELLS
from rnnlm.config import require_fit

if TYPE_CHECKING:
    import numpy as np

    from rnnlm.arrays import RnnState
    from rnnlm.config import TrainConfig

ENGINES = {
    "online": "rnnlm.engines.online",
    "exact": "rnnlm.engines.exact",
    "minibatch": "rnnlm.engines.minibatch",  # unless a cell has one of its own
}


# a learning rate, or a function of (begin, end): that of these words of a call
Rate = float | Callable[[int, int], float]


def rate_of(alpha: Rate, begin: int, end: int) -> float:
    """The rate for words begin to end of a call; of several streams together, whose words are side by side."""
    return alpha(begin, end) if callable(alpha) else alpha


class Engine(Protocol):
    """What a ``Trainer`` asks of whatever changes the weights of its model."""

    steps: int  # words of a stream that take a second or two at most; from one look at the clock to the next
    streams: int  # that are learnt side by side

    def take(self, train: np.ndarray, position: int) -> tuple[np.ndarray, int]:
        """The next words of a text (n,) at a position that this returned before, or 0: for ``learn``, and the position
        after them; n at the end."""
        ...

    def learn(self, ids: np.ndarray, alpha: Rate) -> np.ndarray:
        """Learn from the next words, ids int32, -1: outside the vocabulary; (n,) of one stream, (B, T) of several.

        Their natural log probabilities (as ids) float64, each before the word was learnt; 0 where -1.
        """
        ...

    def start_text(self, context: float | np.ndarray | None = None) -> None:
        """Begin an epoch or a text, with the state that the cell begins with or with this one."""
        ...

    def current(self) -> RnnState:
        """The state before the next word."""
        ...

    def state(self) -> dict[str, np.ndarray]:
        """Where learning stands: views by name, without padding; with the weights, all that a checkpoint needs."""
        ...

    def restore(self, saved: Mapping[str, np.ndarray]) -> None:
        """Go on where ``state`` was taken.  ValueError where that is of another network, or is damaged."""
        ...


def engine_of(model, config: TrainConfig, threads: int = 2) -> Engine:
    """The engine that trains a model as ``config`` says: only float64 can follow 0.4b's order of operations.

    ValueError where there is none.
    """
    require_fit(model.config, config)
    exact = config.compatible and model.config.dtype == "float64"
    if config.engine == "minibatch":
        module = CELLS[model.config.cell].engine
    else:
        module = ENGINES["exact" if exact else config.engine]
    engine = import_module(module).ENGINE
    return engine.of(model, config, threads)
