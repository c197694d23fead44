"""The kernels of recurrent layers against numbers of other programs, and of a plain loop in float64, to 7 digits.

Programs: torch 2.14.1, keras 3.15.1, jax 0.10.2 with flax 0.12.8, equinox 0.13.8, onnxruntime 1.32.0; each test names
those whose number it is.  Weights are w(s) = ((7 k + s) mod 19 - 9) / 10, k counting in row order; 2 inputs, 2 units.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from corpora.text.vocab import Vocab
from rnnlm.cells import layer_of
from rnnlm.config import ModelConfig, TrainConfig, parameter_shapes
from rnnlm.engines import engine_of
from rnnlm.layers import Errors, layer_shape, pack_recurrent, steps_for
from rnnlm.model import RecurrentLM
from rnnlm.stack import ForwardRun

X = np.array([[0.5, -1], [1, 0.25], [-0.75, 0.5]])  # three steps of one stream


def w(s, *shape):
    return ((7 * np.arange(math.prod(shape)) + s) % 19 - 9).reshape(shape) / 10


def layer(U, W, **others):
    """Weights of torch's layout, from columns to rows, in ours."""
    return {"U": np.ascontiguousarray(U.T), "W": np.ascontiguousarray(W.T), **others}


LSTM = layer(w(0, 8, 2), w(4, 8, 2), b=w(9, 8))
ABOVE = {f"{name}2": values for name, values in layer(w(11, 8, 2), w(15, 8, 2), b=w(17, 8)).items()}
GRU_INPUT, GRU_RECURRENT = w(9, 6), w(12, 6)
# r and z have the sum of both biases; where the reset comes after the product, n has its own two
GRU_AFTER = layer(
    w(0, 6, 2), w(4, 6, 2), b=GRU_INPUT + np.append(GRU_RECURRENT[:4], [0, 0]), c=GRU_RECURRENT[4:].copy()
)
GRU_BEFORE = layer(w(0, 6, 2), w(4, 6, 2), b=GRU_INPUT + GRU_RECURRENT)


def model(params, **config) -> RecurrentLM:
    """A network that has X as its embedding, unless ``params`` have another; what else it lacks is 0."""
    config = ModelConfig(**{"hidden": 2, "embedding": 2, "classes": 1, "dtype": "float64"} | config)
    params = {"E": X} | params
    n_words = len(params["E"])
    shapes = parameter_shapes(config, n_words)
    assert set(params) <= set(shapes)
    words = [b"</s>", *(b"%d" % k for k in range(1, n_words))]
    full = {name: np.array(params.get(name, np.zeros(shape))) for name, shape in shapes.items()}
    return RecurrentLM.create(config, Vocab(words, np.arange(n_words, 0, -1)), full)


def run(params, **config):
    """Hidden states (T, H) of the last layer of a network that reads X, and the network's state after it."""
    lm = model(params, **config)
    reading, after = ForwardRun(lm.weights, 1, 3), np.empty((1, lm.state_size))
    hidden = reading.read(np.arange(3, dtype=np.int32)[None])[-1].hidden[:, :2]
    reading.get_state(after)
    return hidden, after[0]


def gradients_of_all_hidden(params, **config):
    """The gradients of the sum of all hidden states in x, and in the parameters of the one layer."""
    lm = model(params, **config)
    cell, config = layer_of(lm.config), lm.config
    steps, shape = steps_for(cell, config, 3, 1, 0.0), layer_shape(cell, config, 3)
    steps.gates[:] = X @ params["U"] + params["b"]
    extras = list(cell.extras(config))
    recurrent = pack_recurrent(cell, config, params["W"], first=params[extras[0]] if extras else None)
    cell.forward(recurrent, steps, shape, 0, 1)
    errors = Errors(np.zeros_like(steps.hidden), np.zeros_like(steps.state), np.zeros(1))
    errors.hidden[:, :2] = 1
    cell.backward(recurrent, steps, errors, shape, 0, 1)
    found = {"x": steps.gates @ params["U"].T, "b": steps.gates.sum(0), "W": np.full_like(params["W"], np.nan)}
    for A, D, begin, end, first in cell.operands(config, steps):
        found["W"][:, begin:end] = A[:, :2].T @ D[:, begin - first : end - first]
    found |= {name: np.full_like(params[name], np.nan) for name in extras}
    if extras:
        cell.extra_gradients(steps, shape, 3, [found[name] for name in extras])
    return found


def near(values, expected):
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("activation", "expected"),
    [
        ("tanh", [[-0.5716700, 0.8482836], [-0.7269222, -0.1699833], [0.5328773, -0.7345528]]),
        ("logistic", [[0.3429895, 0.7772999], [0.1857201, 0.6430144], [0.5319239, 0.3696707]]),
    ],
)
def test_elman_is_that_of_torch_and_onnxruntime(activation, expected):
    near(run(layer(w(0, 2, 2), w(3, 2, 2), b=w(5, 2)), cell="elman", activation=activation)[0], expected)


def test_jordan_is_that_written_out_in_torch_and_jax():
    # its biases: of the hidden units in the rows of words, of the outputs through a third unit that is always 1
    params = {
        "U": np.hstack([X @ w(0, 2, 2).T + w(5, 1, 2), np.full((3, 1), 30.0)]),
        "W": np.hstack([w(6, 2, 3).T, np.zeros((3, 1))]),
        "O": np.hstack([w(8, 3, 2), w(1, 3, 1)]),
        "C": np.zeros((1, 3)),
    }
    config = ModelConfig(hidden=3, cell="jordan", activation="tanh", classes=1, dtype="float64")
    lm = RecurrentLM.create(config, Vocab([b"</s>", b"1", b"2"], np.array([3, 2, 1])), params)
    engine = engine_of(lm, TrainConfig(engine="minibatch", bptt=3))
    log_prob = engine.differentiate(np.array([[1, 2, 0]], np.int32))  # after X one by one
    near(np.exp(log_prob), [[0.4625120, 0.2276913, 0.1103510]])
    near(engine.current().hidden[:3], [0.1103510, 0.2355942, 0.6540548])


def test_lstm_is_that_of_torch_keras_flax_and_onnxruntime():
    hidden, after = run(LSTM, cell="lstm")
    near(hidden, [[0.1688451, 0.1082386], [0.2357239, 0.0447534], [0.1098360, -0.0917985]])
    near(after, [0.1098360, -0.0917985, 0.1602794, -0.2224174])


def test_gradients_of_the_lstm_are_those_of_torch_and_jax():
    gradient = gradients_of_all_hidden(LSTM, cell="lstm")
    near(gradient["x"], [[-0.0804892, -0.1397701], [-0.0173656, -0.1904856], [0.4116578, -0.0999826]])
    db = [0.3002579, -0.0397546, 0.1434539, 0.0753676, 0.4864299, 0.6372568, 0.2292218, 0.0469519]
    near(gradient["b"], db)
    near(gradient["W"].sum(), 0.3511990)


def test_peepholes_are_those_of_onnxruntime():
    i, f, o = [-0.7, 0.0], [0.2, 0.9], [0.7, -0.5]
    hidden, after = run(LSTM | {"p": np.array([i, f, o])}, cell="lstm", peephole=True)
    near(hidden, [[0.1961657, 0.0885938], [0.2387965, 0.0523071], [0.1065895, -0.0667182]])
    near(after[2:], [0.1508367, -0.1531478])


def test_gru_that_resets_after_is_that_of_torch_keras_equinox_and_onnxruntime():
    hidden, after = run(GRU_AFTER, cell="gru")
    near(hidden, [[0.6894402, 0.2646064], [0.8121834, 0.2344278], [0.0455562, 0.0372775]])
    near(after, hidden[-1])


def test_gradients_of_the_gru_are_those_of_torch_and_jax():
    gradient = gradients_of_all_hidden(GRU_AFTER, cell="gru")
    near(gradient["x"], [[0.7647173, -0.7475149], [0.4850945, -0.6421034], [0.4104015, 0.0603071]])
    near(gradient["b"][4:], [0.9749222, 1.2613528])
    near(gradient["c"], [0.4959984, 0.8124738])


def test_gru_that_resets_before_is_that_of_keras_and_onnxruntime():
    hidden, _ = run(GRU_BEFORE, cell="gru", reset="before")
    near(hidden, [[0.5934420, 0.2646064], [0.6812668, 0.1427787], [-0.0787594, -0.0276083]])


def test_stacked_lstms_are_those_of_torch_and_keras():
    hidden, after = run(LSTM | ABOVE, cell="lstm", layers=2)
    near(hidden, [[-0.0202957, 0.0862331], [-0.0521358, 0.1177284], [-0.1050896, 0.1324020]])
    near(after[:4], [0.1098360, -0.0917985, 0.1602794, -0.2224174])
    near(after[4:6], hidden[-1])


def test_a_tied_output_is_that_of_torch_and_jax():
    # the example's x are not rows of its E: here they are three further words, which the softmax leaves out
    lm = model(LSTM | {"E": np.concatenate([w(13, 3, 2), X])}, cell="lstm", tied=True)
    start = replace(lm.start(), last_word=3)
    p = lm.distributions(np.array([4, 5, 0]), start)[:, :3]
    expected = [
        [-1.0987709, -1.0316594, -1.1702012],
        [-1.0183985, -1.0736057, -1.2138443],
        [-0.9773245, -1.1607604, -1.1697791],
    ]
    near(np.log(p / p.sum(1, keepdims=True)), expected)
