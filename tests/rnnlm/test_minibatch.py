"""Learning from blocks: log probabilities and gradients are the twins', the same on any number of threads."""

from __future__ import annotations

import numpy as np
import pytest

from corpora.text.vocab import Vocab
from rnnlm.config import ModelConfig, TrainConfig
from rnnlm.engines import engine_of
from rnnlm.initial import initial_params
from rnnlm.model import RecurrentLM
from rnnlm.updates import Dense
from tests.reference.networks import Config, Network

V, B, T = 13, 3, 5

NETWORKS = {
    "elman": {"cell": "elman", "activation": "tanh", "embedding": 4},
    "elman, logistic": {"cell": "elman", "layers": 2},
    "lstm": {"cell": "lstm"},
    "lstm, 2 layers": {"cell": "lstm", "layers": 2, "embedding": 4},
    "lstm, tied": {"cell": "lstm", "layers": 2, "embedding": 6, "tied": True},
    "lstm, carousel": {"cell": "lstm", "layers": 2, "forget_gate": False},
    "lstm, peephole": {"cell": "lstm", "layers": 2, "peephole": True, "embedding": 3},
    "lstm, carousel, peephole": {"cell": "lstm", "forget_gate": False, "peephole": True},
    "gru": {"cell": "gru"},
    "gru, 2 layers": {"cell": "gru", "layers": 2, "embedding": 4},
    "gru, tied": {"cell": "gru", "layers": 2, "embedding": 6, "tied": True},
    "gru, before": {"cell": "gru", "reset": "before"},
    "gru, before, 2 layers": {"cell": "gru", "reset": "before", "layers": 2, "embedding": 4},
}
every_network = pytest.mark.parametrize("name", NETWORKS)


def model_of(name="lstm", *, hidden=6, dtype="float64", seed=0, **more) -> RecurrentLM:
    config = ModelConfig(**{"hidden": hidden, "classes": 1, "dtype": dtype} | NETWORKS[name] | more)
    rng = np.random.default_rng(seed)
    params = initial_params(config, V, rng, "uniform")
    for values in params.values():  # biases, too
        values[...] = rng.uniform(-0.5, 0.5, values.shape)
    words = [b"</s>", *(b"%d" % k for k in range(1, V))]
    return RecurrentLM.create(config, Vocab(words, np.arange(V, 0, -1)), params)


def twin_of(lm: RecurrentLM) -> Network:
    config = lm.config
    return Network(
        Config(
            words=V, hidden=config.hidden, cell=config.cell, layers=config.layers, embedding=config.embedding,
            tied=config.tied, activation=config.activation, forget_gate=config.forget_gate, peephole=config.peephole,
            reset=config.reset, independent=config.independent,
        ),
        {name: np.array(values, float) for name, values in lm.params.items()},
    )  # fmt: skip


def engine_for(lm, threads=1, **settings):
    return engine_of(
        lm,
        TrainConfig(**{"engine": "minibatch", "batch_size": B, "bptt": T, "gradient_cutoff": 0.0} | settings),
        threads,
    )


def text(n, seed=1) -> np.ndarray:
    return np.random.default_rng(seed).integers(-1, V, n).astype(np.int32)


def gradient_in_full(gradient) -> np.ndarray:
    if isinstance(gradient, Dense):
        return gradient.values
    out = np.zeros(gradient.weights.shape)
    out[gradient.ids] = gradient.values[: gradient.ids.size]
    return out


def require_gradients_of_the_twin(lm, ids):
    """ids (blocks, B, T): log probabilities and gradients of block after block, whose states go on."""
    twin, engine = twin_of(lm), engine_for(lm, bptt=ids.shape[2])
    states, last = None, np.zeros((1, B), int)
    for targets in ids:
        inputs = np.concatenate([last, targets.T[:-1]])
        log_prob, _, states_after = twin.forward(inputs, targets.T, states)
        expected = twin.gradients(inputs, targets.T, states)
        np.testing.assert_allclose(engine.differentiate(targets), log_prob.T, rtol=1e-10, atol=1e-12)
        assert set(engine.gradients) == set(expected)
        for each, gradient in engine.gradients.items():
            assert np.abs(expected[each]).max() > 1e-3
            np.testing.assert_allclose(
                gradient_in_full(gradient), -expected[each] / B, rtol=1e-8, atol=1e-10, err_msg=each
            )
        states, last = states_after, targets.T[-1:]


def check_that_each_step_learns_alone(engine, single, ids):
    """A block's gradient is the sum over blocks of one step each, ids (B, T): ``engine`` lets next to nothing back."""
    engine.differentiate(ids)
    total = dict.fromkeys(engine.gradients, 0.0)
    for t in range(ids.shape[1]):
        single.differentiate(ids[:, t : t + 1])
        for each, gradient in single.gradients.items():
            total[each] = total[each] + gradient_in_full(gradient)
    for each, gradient in engine.gradients.items():
        np.testing.assert_allclose(gradient_in_full(gradient), total[each], rtol=1e-7, atol=1e-9, err_msg=each)


@every_network
@pytest.mark.parametrize("independent", [False, True])
def test_gradients_are_the_twins(name, independent):
    ids = text(2 * B * T).reshape(2, B, T)
    ids[1, 0, 2] = 0  # a sentence ends
    require_gradients_of_the_twin(model_of(name, independent=independent), ids)


@pytest.mark.parametrize("name", ["lstm", "gru", "gru, before"])
@pytest.mark.parametrize("hidden", [1, 16, 37])
def test_gradients_are_the_twins_whatever_part_of_a_register_the_units_fill(name, hidden):
    require_gradients_of_the_twin(model_of(name, hidden=hidden), text(B * T).reshape(1, B, T))
