"""Output layers, one file each: the names and shapes of its parameters, and its kernels.

A new one is a file here with an ``OUTPUT``, and a line in ``OUTPUTS``; ``groups`` has what softmaxes share.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import NamedTuple

OUTPUTS = {"softmax": "rnnlm.outputs.softmax"}


class Output(NamedTuple):
    """From hidden states to probabilities of V words."""

    parameters: Callable  # (config, n_words) -> {name: cells.Parameter}, in the order in which they are drawn
    # (weights, shape, hidden_states (T, H), ids (T,), histories (T, order), class_of_word, class_start, log_prob (T,)):
    # natural logarithms
    log_probs: Callable
    # (weights, shape, hidden_states, histories, class_start, probabilities, entropy_bits, keep): see ``softmax``
    distributions: Callable


def output_of(config) -> Output:
    """The output layer of a ``ModelConfig``: a softmax over all words, or over classes and over the words of one."""
    return import_module(OUTPUTS["softmax"]).OUTPUT
