"""The memory that training takes, foretold from the settings: it is said, and refused where there is less.

Legend: V words, B streams, T steps, n = B * T rows; H hidden units, G gates, S states, K vectors of the tape.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from corpora.compute.matmul import packed_size
from corpora.compute.simd import padded
from rnnlm.cells import layer_of
from rnnlm.config import ModelConfig, TrainConfig, parameter_shapes
from rnnlm.optimizers import slots
from rnnlm.outputs import is_full

_SCORED = 4096  # words whose hidden states are held at once in validation
_SCORED_FULLY = 64  # words whose scores of all V are


class Need(NamedTuple):
    """Bytes.  parameters: of the model.  learning: what their changes take beside them.  block: the arrays of a block.

    drawn: of the parameters, once more while they are drawn, before all else is there.
    """

    parameters: int
    drawn: int
    learning: int
    block: int

    @property
    def peak(self) -> int:
        return self.parameters + max(self.drawn, self.learning + self.block)


def needed(model: ModelConfig, training: TrainConfig, n_words: int) -> Need:
    """What training takes; the online engine needs little beside the parameters."""
    item = np.dtype(model.dtype).itemsize
    sizes = {name: int(np.prod(shape)) for name, shape in parameter_shapes(model, n_words).items()}
    parameters = sum(sizes.values())
    copies = int(training.average > 0)
    learning, block = parameters * copies, 0
    if training.engine == "minibatch":
        rows = training.batch_size * training.bptt
        # gradients of the words that a block has, where no more can be
        sparse = "E" if model.embedding else "U"
        width = sizes[sparse] // n_words
        gradients = parameters + rows * width - (0 if model.tied else sizes[sparse])
        if training.loss != "full":  # gradients of words that were drawn, and those of all only at the end
            gradients += (min(training.samples, n_words) + rows * (1 + model.tied)) * model.hidden
            gradients -= 0 if training.full_epochs else sizes["E" if model.tied else "O"]
        learning += gradients + parameters * slots(training)
        if model.cell == "jordan":
            block = _jordan(model, rows, n_words)
        else:
            block = _layers(model, training) + _outputs(model, training, rows, n_words)
        block += _SCORED * padded(model.hidden) + (_SCORED_FULLY * n_words if is_full(model) else 0)
    # direct connections are zeros, which take no memory before they are written to
    return Need(*(item * n for n in (parameters, parameters - model.direct, learning, block)))


def _layers(model: ModelConfig, training: TrainConfig) -> int:
    """Numbers that all layers hold of a block, and their recurrent weights in other forms."""
    layer, H, width = layer_of(model), model.hidden, padded(model.hidden)
    rows, GH = training.batch_size * training.bptt, layer.gates(model) * H
    per_row = GH + (layer.states + 2 + max(1, layer.tape(model))) * width  # + 2: hidden units and their errors
    per_row += H * len(layer.parts(model))  # across
    total = 0
    for at in range(model.layers):
        place = "output" if at == model.layers - 1 else "between"
        dropped = width if training.dropout_share(place) else 0
        below = model.embedding if at == 0 else H
        # W in panels: for both ways of learning, and for the validation text
        total += rows * (per_row + below + dropped) + 3 * packed_size(H, GH, model.dtype)
        total += H * GH if training.dropout_recurrent else 0
    return total + 2 * rows * model.embedding


def _jordan(model: ModelConfig, rows: int, n_words: int) -> int:
    """Numbers of a block whose states are outputs: those, what is hidden, and W and O in other forms."""
    return rows * (2 * padded(n_words) + 2 * (padded(model.hidden) + model.hidden)) + 4 * n_words * model.hidden


def _outputs(model: ModelConfig, training: TrainConfig, rows: int, n_words: int) -> int:
    """Numbers that the output layer holds of a block; of classes, that they are equally large."""
    from rnnlm.outputs.batches import whole
    from rnnlm.outputs.full import rows_at_once

    H, below = model.hidden, padded(model.compression or model.hidden)
    if training.loss != "full":
        drawn = min(training.samples, n_words)
        of_all = rows_at_once(rows, n_words) * (n_words + H) if training.full_epochs else 0
        return drawn * H + rows * (drawn + H) + (drawn + rows) * H + of_all
    if is_full(model):
        return rows_at_once(rows, n_words) * (n_words + H)
    if model.output_layer != "softmax":  # a tree: the nodes on the path to each word
        return 4 * rows * math.ceil(2 * math.log2(n_words))
    size = max(model.classes, -(-n_words // model.classes))
    held = rows_at_once(rows, size)
    total = held * (whole(size) + 2 * below + H) + held * (whole(model.classes) if model.classes > 1 else 0)
    total += rows * (2 * below + H) if model.compression else 0
    return total + model.direct // 4  # which of them a block has touched
