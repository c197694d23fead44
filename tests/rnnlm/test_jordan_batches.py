"""Jordan's network learnt from blocks of several streams: against the twin, and the online engine's definition."""

from __future__ import annotations

import numpy as np
import pytest

from corpora.text.vocab import Vocab
from rnnlm.activations import KINDS
from rnnlm.config import ACTIVATIONS, ModelConfig, TrainConfig, parameter_shapes
from rnnlm.defaults import filled_in
from rnnlm.engines import engine_of
from rnnlm.io import native
from rnnlm.model import RecurrentLM
from rnnlm.trainer import Trainer
from tests.reference.networks import Config, Network
from tests.rnnlm.test_minibatch import check_that_each_step_learns_alone, gradient_in_full
from tests.rnnlm.test_stack import guarded

V, B, T = 13, 3, 5


def model_of(hidden=6, n_words=V, **more) -> RecurrentLM:
    config = ModelConfig(**{"cell": "jordan", "hidden": hidden, "classes": 1, "dtype": "float64"} | more)
    rng = np.random.default_rng(0)
    params = {
        name: rng.uniform(-1.5, 1.5, shape).astype(config.dtype)
        for name, shape in parameter_shapes(config, n_words).items()
    }
    words = [b"</s>", *(b"%d" % k for k in range(1, n_words))]
    return RecurrentLM.create(config, Vocab(words, np.arange(n_words, 0, -1)), params)


def twin_of(lm: RecurrentLM) -> Network:
    config = lm.config
    return Network(
        Config(
            words=len(lm.vocab), hidden=config.hidden, cell="jordan", bias=False, output_bias=False,
            activation=config.activation, independent=config.independent,
        ),
        {name: np.array(values, float) for name, values in lm.params.items() if name != "C"},
    )  # fmt: skip


def engine_for(lm, threads=1, **settings):
    settings = {"engine": "minibatch", "batch_size": B, "bptt": T, "gradient_cutoff": 0.0} | settings
    return engine_of(lm, TrainConfig(**settings), threads)


def text(n, n_words=V, seed=1) -> np.ndarray:
    return np.random.default_rng(seed).integers(-1, n_words, n).astype(np.int32)


@pytest.mark.parametrize("independent", [False, True])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(("hidden", "n_words"), [(6, 13), (1, 2), (17, 40)])
def test_gradients_are_the_twins(activation, independent, hidden, n_words):
    assert set(ACTIVATIONS) == set(KINDS)
    lm = model_of(hidden, n_words, activation=activation, independent=independent)
    twin, engine, states, last = twin_of(lm), engine_for(lm), None, np.zeros((1, B), int)
    for length in (T, 2, T):
        targets = text(B * length, n_words, seed=length).reshape(B, length)
        targets[0, 1] = 0  # a sentence ends
        inputs = np.concatenate([last, targets.T[:-1]])
        log_prob, _, states_after = twin.forward(inputs, targets.T, states)
        expected = twin.gradients(inputs, targets.T, states)
        np.testing.assert_allclose(engine.differentiate(targets), log_prob.T, rtol=1e-9, atol=1e-11)
        assert set(engine.gradients) == set(expected)
        for each, values in expected.items():
            found = gradient_in_full(engine.gradients[each])
            np.testing.assert_allclose(
                found[: values.shape[0], : values.shape[1]], -values / B, rtol=1e-7, atol=1e-9, err_msg=each
            )
            assert found.sum() == pytest.approx(-values.sum() / B, rel=1e-6, abs=1e-8)  # nothing in the padding
        states, last = states_after, targets.T[-1:]
    np.testing.assert_allclose(engine.current().hidden[:n_words], states[0][0, 0], rtol=1e-9)


def test_what_comes_back_from_the_next_step_teaches_the_outputs():
    # two steps, the first of an unknown word: all that O learns from it goes through the second one
    engine = engine_for(model_of(), batch_size=1)
    engine.differentiate(np.array([[-1, 3]], np.int32))
    both = gradient_in_full(engine.gradients["O"]).copy()
    own = engine.own
    alone = own.y[1, :V, None] * own.hidden[1, None, :6]
    assert np.abs(both[:V, :6] - alone).max() > 1e-3


def test_errors_that_go_back_through_time_are_clipped():
    lm, ids = model_of(), text(B * T).reshape(B, T)
    check_that_each_step_learns_alone(engine_for(lm, gradient_cutoff=1e-13), engine_for(lm, bptt=1), ids)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_any_number_of_threads_learns_the_same_bits(dtype, monkeypatch):
    monkeypatch.setattr("rnnlm.engines.minibatch._FEW", 0)
    ids, results = text(7 * 23, 40).reshape(7, 23), []
    for threads in (1, 2, 3):
        lm = model_of(18, 40, dtype=dtype)
        engine = engine_for(lm, threads, batch_size=7, optimizer="adam", clip_norm=0.5)
        assert engine.workers.n == threads
        log_prob = engine.learn(ids, 0.01)
        results.append(log_prob.tobytes() + b"".join(values.tobytes() for values in lm.params.values()))
    assert results[1] == results[0]
    assert results[2] == results[0]


@pytest.mark.parametrize(("hidden", "n_words"), [(1, 2), (5, 13), (17, 33)])
def test_nothing_beyond_the_arrays_is_written(hidden, n_words):
    engines, guards, ids = [], [], text(B * T, n_words).reshape(B, T)
    for guards_them in (False, True):
        engine = engine_for(model_of(hidden, n_words, dtype="float32", independent=True), gradient_cutoff=0.1)
        if guards_them:
            engine.own, engine.packed_weights = (guarded(a, guards) for a in (engine.own, engine.packed_weights))
        log_prob = engine.differentiate(ids)
        engines.append((log_prob.tobytes(), *(gradient.values.tobytes() for gradient in engine.gradients.values())))
    assert engines[0] == engines[1]
    assert all((part == 0xA5).all() for part in guards)


def test_the_padding_of_weights_stays_zero():
    lm = model_of(dtype="float32")
    engine_for(lm, optimizer="adam", weight_decay=0.1).learn(text(B * 4 * T).reshape(B, -1), 0.01)
    for name, array in lm.weights._asdict().items():
        if name in "UWO":
            rest = array.copy()
            rest[: len(lm.params[name]), : lm.config.hidden] = 0
            assert not rest.any(), name


@pytest.mark.parametrize("independent", [False, True])
def test_learning_goes_on_from_a_checkpoint_bit_for_bit(independent, tmp_path):
    ids, lm = text(4 * B * T).reshape(B, -1), model_of(dtype="float32", independent=independent)
    whole = engine_for(lm, optimizer="adam")
    whole.learn(ids[:, : 2 * T], 0.01)
    native.save(lm, tmp_path / "checkpoint", extra=whole.state(), extra_meta={})
    found, extra, _ = native.load_checkpoint(tmp_path / "checkpoint")
    other = engine_for(found, optimizer="adam")
    with pytest.raises(ValueError, match=r"vectors\.0"):
        other.restore(extra | {"vectors.0": extra["vectors.0"][:, :-1]})
    other.restore(extra)
    assert other.learn(ids[:, 2 * T :], 0.01).tobytes() == whole.learn(ids[:, 2 * T :], 0.01).tobytes()
    for each, values in lm.params.items():
        assert found.params[each].tobytes() == values.tobytes(), each


def test_a_text_that_repeats_itself_is_learnt():
    lm, words = model_of(20, dtype="float32"), np.tile(np.array([3, 1, 4, 8, 5, 9, 2, 6, 0], np.int32), 40)
    model, config = filled_in({"cell": "jordan", "batch_size": 4, "bptt": 10, "max_epochs": 40, "alpha": 0.02})
    assert (model.cell, config.engine, config.optimizer) == ("jordan", "minibatch", "adam")
    untaught = lm.score_ids(words[:90], lm.start())[0].log10_prob.mean()
    assert 10**-untaught > 3
    reports = list(Trainer(lm, config, words, words[:90]).fit())
    assert reports[-1].valid_perplexity < 1.1


def test_what_jordan_cannot_be_combined_with_in_batches_is_named():
    with pytest.raises(ValueError, match=r"`dropout` 0\.2: `cell` jordan has none"):
        engine_for(model_of(), dropout=0.2)
