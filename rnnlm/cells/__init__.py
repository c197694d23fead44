"""Recurrent cells, one file each: the names, shapes and first values of its parameters, and its kernels.

A new cell is a file here with a ``CELL``, and a line in ``CELLS``; tests run over ``CELLS``.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import NamedTuple


class Registered(NamedTuple):
    """What is known of a cell before its kernels are loaded."""

    module: str
    lacks: tuple[str, ...] = ()  # settings that it cannot be combined with, unless they have their neutral value


CELLS = {
    "elman": Registered("rnnlm.cells.elman"),
    "jordan": Registered("rnnlm.cells.jordan", lacks=("classes", "compression", "direct", "compatible")),
}


class Parameter(NamedTuple):
    """An array of a model, as files hold it and as training begins with it."""

    shape: tuple[int, ...]
    fans: tuple[int, int]  # (into a unit, out of a unit)
    part: str = ""  # "input", "recurrent" or "output": whose factor in ``config.Beginning`` it is drawn with
    value: float | None = None  # what it begins with, where it is not drawn


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


def cell_of(name: str) -> Cell:
    """The cell of this name; its kernels are loaded with it."""
    return import_module(CELLS[name].module).CELL
