"""Recurrent cells, one file each: the names, shapes and first values of its parameters, and its kernels.

A new cell is a file here with a ``CELL`` (learns word by word) or a ``LAYER`` (in stacks, from blocks), and a line in
``CELLS``; tests run over ``CELLS``.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np


class Registered(NamedTuple):
    """What is known of a cell before its kernels are loaded."""

    module: str  # of its CELL, a network that learns word by word; "" where there is none
    layer: str  # of its LAYER, for batches and stacks
    lacks: tuple[str, ...] = ()  # settings that it cannot be combined with, unless they have their neutral value
    has: tuple[str, ...] = ()  # settings that others lack
    engine: str = "rnnlm.engines.minibatch"  # for batches


CELLS = {
    "elman": Registered("rnnlm.cells.elman", "rnnlm.cells.elman_layer", has=("activation",)),
    "jordan": Registered(
        "rnnlm.cells.jordan",
        "",
        lacks=("classes", "compression", "direct", "compatible", "layers", "embedding", "output_layer"),
        has=("activation",),
        engine="rnnlm.engines.jordan",
    ),
    "lstm": Registered("", "rnnlm.cells.lstm", lacks=("compatible",), has=("forget_gate", "peephole")),
    "gru": Registered("", "rnnlm.cells.gru", lacks=("compatible",), has=("reset",)),
}


class Parameter(NamedTuple):
    """An array of a model, as files hold it and as training begins with it."""

    shape: tuple[int, ...]
    fans: tuple[int, int]  # (into a unit, out of a unit)
    part: str = ""  # "input", "recurrent" or "output": whose factor in ``config.Beginning`` it is drawn with
    value: float | np.ndarray | None = None  # what it begins with, where it is not drawn
    bound: float = 0.0  # ``uniform`` draws it in +-bound


class Cell(NamedTuple):
    """A recurrent layer of H units over V words; its state has S elements, rows of arrays are padded.

    Kernels take ``Weights`` and ``Shape``; the state and scratch arrays of learning are the cell's own named tuples.
    """

    state_size: Callable  # (config, n_words) -> S
    parameters: Callable  # (config, n_words) -> {name: Parameter}, in the order in which they are drawn
    start: float  # each element of the state before a text
    reset: float  # each element of the state after a sentence end, where sentences are independent
    # (weights, shape, ids (T,), state (S,), hidden_states (T, H)): run T steps; both arrays are overwritten
    forward: Callable
    # the same for B streams: ids (T, B), state (B, S), hidden_states (T, B, H); each to the bit as alone
    forward_streams: Callable
    # (shape, dtype) -> (State, Scratch): a State has the methods of ``arrays.State`` and its fields ``words``,
    # ``previous`` and ``counters``
    arrays: Callable
    # (weights, state, scratch, shape, ids (n,), class_of_word, class_start, alpha, beta, cutoff, log_prob (n,)): learn
    # from words of one stream
    learn: Callable


class Layer(NamedTuple):
    """A recurrent layer of H units in a stack, learnt from blocks of B streams of T steps.

    G gates, S state vectors (LSTM: h and c), K numbers per unit and step that going back needs.  Rows of arrays are in
    the order of streams, then of time.  See ``rnnlm.layers`` for the tuples that kernels take.
    """

    gates: Callable  # (config) -> G
    states: int  # S; the first one is the layer's output
    tape: Callable  # (config) -> K
    bias: Callable  # (config) -> (G*H,): what the biases begin with
    variant: Callable  # (config) -> which form of the cell, for its kernels
    # (config) -> {name: (shape, fans)} of further parameters; their gradients come from ``extra_gradients``
    extras: Callable
    # (config) -> [(from, to)]: columns of W (H, G*H) that are multiplied, and packed, together
    parts: Callable
    # (weights: Recurrent, steps: Steps, shape: LayerShape, begin, end): run streams begin to end
    forward: Callable
    # (weights, steps, errors: Errors, shape, begin, end): ``steps.gates`` become the errors of what was summed there
    backward: Callable
    # (config, steps) -> [(A (n, H), D, from, to, first)]: W[:, from:to] has the gradient A^T D[:, first:]
    operands: Callable
    # (steps, shape, n_rows, gradients): overwrites the gradients of ``extras``, in their order
    extra_gradients: Callable | None = None


def layer_of(config) -> Layer:
    """The cell of a ``ModelConfig`` as a layer of a stack; its kernels are loaded with it."""
    return import_module(CELLS[config.cell].layer).LAYER


def cell_of(config) -> Cell:
    """The cell of a ``ModelConfig``, or all its layers as one; kernels are loaded with it."""
    return import_module("rnnlm.stack" if config.is_stack else CELLS[config.cell].module).CELL
