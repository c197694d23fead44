"""The arrays and integers that the kernels share, bundled: a network's weights, where learning stands, scratch.

Numba takes named tuples of arrays as they are.  Legend: H hidden, P units below the output (compression or
hidden), V words, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from corpora.compute.simd import aligned_zeros, padded, padded_matrix
from rnnlm.activations import KINDS
from rnnlm.config import MAX_DIRECT_ORDER, ModelConfig

SEGMENT = 16  # words whose output updates are done together; more gain nothing and cost quadratic corrections
DECAY_EVERY = 10  # rnnlm 0.4b regularises at every tenth word
CONTEXT_RESET = 1.0  # the state after a sentence end of independent sentences (0.4b)
CONTEXT_START = 0.1  # the state before the first word of a text (0.4b)

# positions in State.counters
POSITION, FILLED, DEPTH, LAST_WORD, AFTER_RESET = range(5)
N_COUNTERS = 5


class Weights(NamedTuple):
    """The parameters as the kernels want them: padded and aligned, one row per word, class or unit."""

    U: np.ndarray  # (V, H) input
    W: np.ndarray  # (S, H) recurrent: a row for each element of the state
    K: np.ndarray  # (P, H) into the compression layer
    C: np.ndarray  # (C, P) classes
    O: np.ndarray  # (V, P) words
    D: np.ndarray  # (n_direct,) direct connections

    @classmethod
    def pack(cls, params: dict[str, np.ndarray], dtype) -> Weights:
        """``params`` in aligned rows; what a model lacks is a row of zeros.  D is copied only if its type differs."""
        none = np.zeros((1, 1), dtype)
        direct = np.asarray(params.get("D", np.zeros(1)), dtype)
        return cls(*(padded_matrix(params.get(name, none), dtype) for name in "UWKCO"), direct)

    def views(self, like: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The parts of these arrays with the names and shapes of ``like``: not copies."""
        return {name: getattr(self, name)[tuple(slice(n) for n in old.shape)] for name, old in like.items()}

    def copy(self) -> Weights:
        out = []
        for array in self:
            fresh = aligned_zeros(array.shape, array.dtype)
            fresh[...] = array
            out.append(fresh)
        return Weights(*out)

    def assign(self, other: Weights) -> None:
        for mine, theirs in zip(self, other, strict=True):
            mine[...] = theirs


class State(NamedTuple):
    """Where learning stands between two calls: with the weights, all that a checkpoint needs."""

    hidden: np.ndarray  # (rows, width) states in the order of time; the newest is row past + filled - 1
    error: np.ndarray  # (rows, width) their errors from the outputs, until the next back-propagation
    words: np.ndarray  # (rows,) int32 the input word of each
    previous: np.ndarray  # (width,) the state that goes into the next step
    history: np.ndarray  # (20,) int32 last words, newest first, for direct connections
    counters: np.ndarray  # (5,) int64

    @classmethod
    def create(cls, shape: Shape, dtype) -> State:
        return cls(
            aligned_zeros((shape.rows, shape.width), dtype),
            aligned_zeros((shape.rows, shape.width), dtype),
            np.zeros(shape.rows, np.int32),
            aligned_zeros((shape.width,), dtype),
            np.zeros(MAX_DIRECT_ORDER, np.int32),
            np.zeros(N_COUNTERS, np.int64),
        )

    @staticmethod
    def lengths(shape: Shape) -> dict[str, int]:
        """How long the rows are that are padded."""
        return dict.fromkeys(("hidden", "error", "previous"), shape.n_hidden)

    def start_text(self, shape: Shape, context: float | np.ndarray) -> None:
        """Begin an epoch or a text: as 0.4b, old states and errors stay in the buffer and their words become </s>."""
        self.words[:] = 0
        self.history[:] = 0
        self.previous[: shape.n_hidden] = context
        self.counters[[POSITION, LAST_WORD]] = 0
        self.counters[AFTER_RESET] = 1


class Shape(NamedTuple):
    """The integers that the kernels want to know."""

    n_words: int
    n_hidden: int
    width: int  # a row of hidden
    n_below: int  # units below the output
    below_width: int
    n_classes: int
    stride: int  # a row of scores
    n_direct: int
    order: int  # of the direct connections
    kind: int  # activation
    compression: int  # 0 or 1
    independent: int  # 0 or 1
    steps: int  # rows that each update of the recurrent weights goes back
    block: int  # words between two updates
    past: int  # rows of State before those of the current block
    rows: int  # of State
    segment: int  # most words whose output updates are done together

    @classmethod
    def of(cls, config: ModelConfig, class_start: np.ndarray, bptt: int, block: int) -> Shape:
        steps, block = bptt_shape(bptt, block)
        n_classes = len(class_start) - 1
        n_below = config.compression or config.hidden
        return cls(
            n_words=int(class_start[-1]),
            n_hidden=config.hidden,
            width=padded(config.hidden),
            n_below=n_below,
            below_width=padded(n_below),
            n_classes=n_classes,
            stride=padded(max(n_classes, int(np.diff(class_start).max()))) + 16,
            n_direct=config.direct,
            order=config.direct_order,
            kind=KINDS[config.activation],
            compression=int(config.compression > 0),
            independent=int(config.independent),
            steps=steps,
            block=block,
            past=steps + 1,
            rows=steps + 1 + 2 * block,  # an epoch can end inside a block, whose errors wait for the next
            # a compression layer and direct connections change at every word, so that words go one by one
            segment=1 if config.compression or config.direct else SEGMENT,
        )


class Scratch(NamedTuple):
    """Room that the kernels write in; holds nothing between two calls."""

    scores: np.ndarray  # (segment, stride)
    scaled: np.ndarray
    gram: np.ndarray
    delta: np.ndarray
    below: np.ndarray  # (segment, width below the output)
    below_error: np.ndarray
    class_error: np.ndarray
    classes: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray

    @classmethod
    def create(cls, shape: Shape, dtype) -> Scratch:
        rows = shape.segment + 16  # dot_rows reads and writes up to seven rows too many
        widest = max(shape.width, shape.below_width)
        return cls(
            aligned_zeros((rows, shape.stride), dtype),
            aligned_zeros((rows, widest), dtype),
            aligned_zeros((rows,), dtype),
            aligned_zeros((shape.steps + 2, shape.width), dtype),
            aligned_zeros((rows, shape.below_width), dtype),
            aligned_zeros((rows, shape.below_width), dtype),
            aligned_zeros((rows, widest), dtype),
            np.zeros(rows, np.int32),
            np.zeros(MAX_DIRECT_ORDER, np.int64),
            np.zeros(MAX_DIRECT_ORDER, np.int64),
        )


@dataclass(frozen=True)
class RnnState:
    """The state of a recurrent model before its next word: a value, never changed."""

    hidden: np.ndarray  # (padded S,) the state before ``last_word`` is read
    last_word: int  # id, -1: a word outside the vocabulary
    history: np.ndarray  # (20,) int32 last words, newest first, for direct connections


def unpadded(arrays: NamedTuple, shape: Shape) -> dict[str, np.ndarray]:
    """Views of a cell's State by name, without the padding of rows."""
    lengths = arrays.lengths(shape)
    return {name: array[..., : lengths[name]] if name in lengths else array for name, array in arrays._asdict().items()}


def restore(arrays: NamedTuple, saved: Mapping[str, np.ndarray], shape: Shape) -> None:
    """Take over what ``unpadded`` gave; rows may be padded in any way, as those of older checkpoints are.

    ValueError where they are not those of such a network, or say what kernels could not follow.
    """
    lengths = arrays.lengths(shape)
    for name, array in arrays._asdict().items():
        found, length = saved.get(name), lengths.get(name)
        if found is None or found.dtype != array.dtype or found.ndim != array.ndim:
            raise ValueError(f"{name} is {'missing' if found is None else f'{found.dtype} {found.shape}'}")
        if length is not None and found.shape[-1] >= length:
            found = found[..., :length]
            array[...] = 0
            array = array[..., :length]
        if found.shape != array.shape or not np.isfinite(found).all():
            raise ValueError(f"{name} is {found.shape}, or has NaN or infinity in it")
        array[...] = found
    position, filled, depth, last_word, after_reset = arrays.counters.tolist()
    good = 0 <= position < 1 << 62 and 0 <= filled <= shape.rows - shape.past and 0 <= depth <= shape.rows
    if not good or after_reset not in (0, 1) or not -1 <= last_word < shape.n_words:
        raise ValueError(f"counters are {arrays.counters.tolist()}")
    for words in (arrays.words, *([arrays.history] if hasattr(arrays, "history") else [])):
        if words.min() < -1 or words.max() >= shape.n_words:
            raise ValueError(f"words from {words.min()} to {words.max()}, of {shape.n_words}")


def bptt_shape(bptt: int, block: int) -> tuple[int, int]:
    """(rows gone back at each update, words between updates) for ``--bptt`` and ``--bptt-block``.

    A block of n words and bptt steps before it: 0.4b goes n + bptt - 1 rows back.  Without BPTT the
    recurrent weights change at every word by the error of that word alone.
    """
    return (bptt + block - 1, block) if bptt else (1, 1)
