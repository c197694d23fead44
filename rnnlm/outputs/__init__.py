"""Output layers, one file each: the names and shapes of its parameters, and its kernels.

A new one is a file here with an ``OUTPUT``, and a line in ``OUTPUTS``; ``groups`` has what softmaxes share.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from rnnlm.updates import Dense, Rows

OUTPUTS = {
    "softmax": "rnnlm.outputs.softmax",
    "full": "rnnlm.outputs.full",
    "hierarchical": "rnnlm.outputs.hierarchical",
}


class Output(NamedTuple):
    """From hidden states to probabilities of V words."""

    parameters: Callable  # (config, n_words) -> {name: cells.Parameter}, in the order in which they are drawn
    # (weights, shape, hidden_states (T, H), ids (T,), histories (T, order), class_of_word, class_start, log_prob (T,)):
    # natural logarithms
    log_probs: Callable
    # (weights, shape, hidden_states, histories, class_start, probabilities, entropy_bits, keep): see ``softmax``
    distributions: Callable
    # (model, config: TrainConfig, n_rows, workers) -> Learner, for ``engines.minibatch``
    learner: Callable
    work: Callable  # (model) -> multiplications for the scores that a word is learnt from


class Learner(Protocol):
    """An output layer that learns from blocks of up to n rows."""

    gradients: dict[str, Dense | Rows]  # by parameter, of the last block
    block: int  # number of the next one: what is drawn at random depends on it

    def learn(self, hidden, targets, histories, errors, log_prob, scale) -> None:
        """Fill gradients, errors (n, width) and log_prob (n,) float64 (natural; 0 where the target is -1).

        hidden (n, width), targets (n,) int32, histories as in ``Output.log_probs``.  Gradients and errors are those of
        the sum of log probabilities, times ``scale``.
        """
        ...


def is_full(config) -> bool:
    """Whether a ``ModelConfig`` has the plain softmax over all words, of a stack."""
    is_softmax = config.output_layer == "softmax" and not config.compression and not config.direct
    return config.is_stack and is_softmax and config.classes == 1


def output_of(config) -> Output:
    """The output layer of a ``ModelConfig``: a softmax over all words, over classes and the words of one, or a tree."""
    return import_module(OUTPUTS["full" if is_full(config) else config.output_layer]).OUTPUT
