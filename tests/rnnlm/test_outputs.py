"""Every output layer, as it scores and as it learns from blocks: twins in NumPy, finite differences, files."""

from __future__ import annotations

import numpy as np
import pytest

from rnnlm.config import ModelConfig, TrainConfig, require_fit
from rnnlm.defaults import filled_in
from rnnlm.engines import engine_of
from rnnlm.initial import initial_params
from rnnlm.io import load, save
from rnnlm.model import RecurrentLM
from rnnlm.outputs import OUTPUTS, batches
from rnnlm.outputs.sampled import Noise, SampledLearner
from rnnlm.threads import Workers
from rnnlm.trainer import Trainer
from rnnlm.updates import Dense
from tests.reference import outputs as twins
from tests.small_models import small_text, small_vocab

V, H, N = 23, 6, 40
COUNTS = np.array([30, 90, 70, 50, 41, 33, 20, 20, 17, 12, 9, 9, 9, 6, 5, 5, 3, 2, 2, 1, 1, 1, 1])
STACK = {"cell": "elman", "activation": "tanh", "embedding": 4}

# settings of a model, by the output layer of the registry that they choose
LAYERS = {
    "softmax": [
        {"classes": 1}, {"classes": 5}, {"classes": 1, "compression": 3}, {"classes": 4, "compression": 3},
        {"classes": 1, "direct": 90}, {"classes": 4, "direct": 90}, {"classes": 4, "direct": 40, "direct_order": 2},
        {"classes": 7, "compression": 4, "direct": 200, "direct_order": 5}, {**STACK, "classes": 5},
        {**STACK, "classes": 3, "compression": 3, "direct": 60},
    ],
    "full": [{**STACK, "classes": 1}, {**STACK, "classes": 1, "tied": True, "embedding": H}],
    "hierarchical": [
        {"output_layer": "hierarchical", "classes": 1}, {**STACK, "output_layer": "hierarchical", "classes": 1},
    ],
}  # fmt: skip
CONFIGS = [config for configs in LAYERS.values() for config in configs]


def name_of(config):
    return "-".join(f"{name}={value}" for name, value in config.items())


every_config = pytest.mark.parametrize("config", CONFIGS, ids=name_of)


def model_of(config, dtype="float64", seed=3, counts=COUNTS) -> RecurrentLM:
    config = ModelConfig(**{"hidden": H, "dtype": dtype} | config)
    rng = np.random.default_rng(seed)
    params = initial_params(config, V, rng, "uniform")
    for name, values in params.items():
        values[...] = rng.uniform(-0.8, 0.8, values.shape)
        if name == "D" and config.classes == 1:  # features of classes, which the full softmax never reads
            values[: values.size // 2] = 0
    return RecurrentLM.create(config, small_vocab(V, counts), params)


def rows_of(lm, n=N, seed=5):
    """(hidden (n, width), targets, histories, errors, log_prob): random, some words unknown."""
    rng = np.random.default_rng(seed)
    width, real = lm.shape.width, np.dtype(lm.config.dtype).type
    hidden = np.zeros((n, width), real)
    hidden[:, :H] = rng.uniform(-1, 1, (n, H))
    targets = rng.choice(V, n, p=COUNTS / COUNTS.sum()).astype(np.int32)
    targets[[3, n - 2]] = -1
    histories = rng.integers(-1, V, (n, max(1, lm.config.direct_order))).astype(np.int32)
    return hidden, targets, histories, np.full((n, width), np.nan, real), np.full(n, np.nan)


def output_params(lm):
    names = lm.output.parameters(lm.config, V)
    found = {name: np.array(lm.params[name], float) for name in names}
    return found | ({"O": np.array(lm.params["E"], float)} if lm.config.tied else {})


def by_twin(lm, params, hidden, targets, histories):
    if lm.config.output_layer == "hierarchical":
        return twins.hierarchical_softmax(params, hidden, targets, twins.huffman_paths(COUNTS))
    if "o" in params:
        return twins.full_softmax(params, hidden, targets)
    order = lm.config.direct_order
    return twins.class_softmax(params, hidden, targets, histories[:, :order], lm.class_of_word, order)


def in_full(gradient, like) -> np.ndarray:
    """A gradient as an array of the parameter's shape."""
    if isinstance(gradient, Dense):
        values = gradient.values
    else:
        values = np.zeros(gradient.weights.shape, gradient.values.dtype)
        assert np.unique(gradient.ids).size == gradient.ids.size
        values[gradient.ids] = gradient.values[: gradient.ids.size]
    if like.ndim == 1:
        return values.reshape(-1)[: like.size]
    return values[: like.shape[0], : like.shape[1]]


def gradients_of(learner, lm, params):
    names = {"E": "O"} if lm.config.tied else {}
    return {names.get(n, n): in_full(g, params[names.get(n, n)]) for n, g in learner.gradients.items()}


def learn(lm, learner, hidden, targets, histories, errors, log_prob, scale=1.0):
    scale = np.dtype(lm.config.dtype).type(scale)
    learner.learn(hidden, targets, histories, errors, log_prob, scale)
    return log_prob, errors[:, :H]


def differences(function, values, eps=1e-6):
    """The gradient of function() by central differences in every element of values, which it reads."""
    out = np.zeros_like(values)
    for at in np.ndindex(values.shape):
        old = values[at]
        values[at] = old + eps
        more = function()
        values[at] = old - eps
        out[at] = (more - function()) / (2 * eps)
        values[at] = old
    return out


def test_every_output_layer_is_tested():
    assert set(LAYERS) == set(OUTPUTS)
    for name, configs in LAYERS.items():
        for config in configs:
            lm = model_of(config)
            assert lm.output.learner.__module__.endswith(name) or name == "softmax"


# ---- scores


@every_config
def test_a_distribution_sums_to_one_and_has_the_scores_in_it(config):
    lm = model_of(config)
    state, ids = lm.score_ids(small_text(6, V), lm.start())[1], np.arange(V, dtype=np.int32)
    probabilities = lm.probabilities(state)
    # a class without words keeps what it has
    empty = lm.config.classes > 1 and (np.diff(lm.class_start) == 0).any()
    assert empty or probabilities.sum() == pytest.approx(1, abs=1e-9)
    for word in ids:
        log_prob, _, _ = lm.log_probs(np.array([word], np.int32), state)
        assert np.exp(log_prob[0]) == pytest.approx(probabilities[word], rel=1e-9)


@every_config
def test_the_entropy_is_that_of_the_distribution(config):
    lm = model_of(config)
    ids = small_text(9, V)
    _, bits, _ = lm.log_probs(ids, lm.start(), entropy=True)
    p = lm.distributions(ids, lm.start())
    np.testing.assert_allclose(bits, -(p * np.log2(p)).sum(1), rtol=1e-6)


# ---- gradients


@every_config
def test_a_block_is_learnt_as_by_the_twin(config):
    lm = model_of(config)
    rows, params = rows_of(lm), output_params(lm)
    hidden, targets, histories = rows[0][:, :H].copy(), rows[1], rows[2]
    learner = lm.output.learner(lm, TrainConfig(), N, Workers(1, "float64"))
    for scale in (1.0, 0.25):  # twice: nothing is left of the first
        log_prob, errors = learn(lm, learner, *rows, scale=scale)
        expected = by_twin(lm, params, hidden, targets, histories)
        np.testing.assert_allclose(log_prob, expected[0], rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(errors, scale * expected[1], rtol=1e-9, atol=1e-12)
        found = gradients_of(learner, lm, params)
        assert set(found) == set(params) - ({"C"} if lm.config.classes == 1 else set())
        for name, values in found.items():
            assert np.abs(values).max() > 1e-3
            np.testing.assert_allclose(values, scale * expected[2][name], rtol=1e-8, atol=1e-11, err_msg=name)


@pytest.mark.parametrize("config", [config for config in CONFIGS if "direct_order" not in config], ids=name_of)
def test_gradients_are_differences_of_the_scores(config):
    # every parameter of the network against its scores, by other kernels than those that learn
    lm = model_of(config)
    ids = small_text(12, V, oov=True)
    engine = engine_of(lm, TrainConfig(engine="minibatch", batch_size=1, bptt=ids.size, gradient_cutoff=0.0))
    log_prob = engine.differentiate(ids[None])
    expected, _, _ = lm.log_probs(ids, lm.state_from(lm.cell.start))
    np.testing.assert_allclose(log_prob[0], expected, rtol=1e-9, atol=1e-12)

    def score():
        lm.weights_have_changed()
        return lm.log_probs(ids, lm.state_from(lm.cell.start))[0].sum()

    for name, gradient in engine.gradients.items():
        values = lm.params[name]
        np.testing.assert_allclose(
            in_full(gradient, values), differences(score, values), rtol=1e-5, atol=1e-7, err_msg=name
        )


@every_config
def test_threads_and_float32(config):
    # the same bits on any number of threads; in float32 nearly the numbers of float64
    expected = None
    for threads in (1, 2, 3):
        lm = model_of(config, "float32")
        learner = lm.output.learner(lm, TrainConfig(), N, Workers(threads, "float32"))
        log_prob, errors = learn(lm, learner, *rows_of(lm))
        found = {"log_prob": log_prob, "errors": errors, **gradients_of(learner, lm, output_params(lm))}
        assert all(values.dtype == np.float32 for name, values in found.items() if name != "log_prob")
        expected = expected or {name: values.copy() for name, values in found.items()}
        for name, values in found.items():
            np.testing.assert_array_equal(values, expected[name], err_msg=name)
    lm = model_of(config)
    rows, params = rows_of(lm), output_params(lm)
    twin = by_twin(lm, params, rows[0][:, :H].copy(), *rows[1:3])
    np.testing.assert_allclose(expected["log_prob"], twin[0], rtol=1e-4, atol=1e-5)
    for name in set(expected) - {"log_prob", "errors"}:
        np.testing.assert_allclose(expected[name], twin[2][name], rtol=1e-3, atol=1e-5, err_msg=name)


@pytest.mark.parametrize(
    "config", [{"classes": 4, "direct": 90}, {"classes": 1}, {"classes": 1, "direct": 90}], ids=name_of
)
def test_rows_whose_scores_have_no_room_together_are_learnt_in_parts(config, monkeypatch):
    lm = model_of(config)
    expected = by_twin(lm, output_params(lm), rows_of(lm)[0][:, :H].copy(), *rows_of(lm)[1:3])
    monkeypatch.setattr(batches, "_MOST_SCORES", 7 * batches.whole(lm.shape.stride))
    learner = lm.output.learner(lm, TrainConfig(), N, Workers(2, "float64"))
    assert learner.rows == 7
    learn(lm, learner, *rows_of(lm))
    for name, values in gradients_of(learner, lm, output_params(lm)).items():
        np.testing.assert_allclose(values, expected[2][name], rtol=1e-8, atol=1e-11, err_msg=name)


def test_only_the_words_of_classes_that_occurred_have_gradients():
    lm = model_of({"classes": 5})
    hidden, targets, *rest = rows_of(lm)
    targets[:] = np.where(targets < 0, -1, 2)
    learner = lm.output.learner(lm, TrainConfig(), N, Workers(1, "float64"))
    learn(lm, learner, hidden, targets, *rest)
    members = np.flatnonzero(lm.class_of_word == lm.class_of_word[2])
    np.testing.assert_array_equal(np.sort(learner.gradients["O"].ids), members)
    targets[:] = -1
    log_prob, errors = learn(lm, learner, hidden, targets, *rest)
    assert learner.gradients["O"].ids.size == 0
    assert not log_prob.any()
    assert not errors.any()


def test_only_weights_of_features_that_occurred_have_gradients():
    lm = model_of({"classes": 4, "direct": 4000})
    rows, params = rows_of(lm, 6), output_params(lm)
    learner = lm.output.learner(lm, TrainConfig(), 6, Workers(1, "float64"))
    learn(lm, learner, *rows)
    touched = by_twin(lm, params, rows[0][:, :H].copy(), *rows[1:3])[2]["D"]
    assert set(np.flatnonzero(touched)) == set(learner.gradients["D"].ids.tolist())
    assert 0 < learner.gradients["D"].ids.size < 1000


# ---- the tree


def test_the_tree_of_three_words_by_hand():
    # counts 4, 2, 1: the lighter two are joined first (node 0), then word 0 with them (node 1, the root)
    config = ModelConfig(hidden=1, output_layer="hierarchical", classes=1, dtype="float64")
    params = initial_params(config, 3, np.random.default_rng(0), "uniform")
    lm = RecurrentLM.create(config, small_vocab(3, np.array([4, 2, 1])), params)
    N, n = lm.output_weights.N, lm.output_weights.bias
    N[:, 0], n[:] = [0.3, -0.7], [0.1, 0.2]
    hidden, out = np.array([[2.0] + [0.0] * (lm.shape.width - 1)]), np.zeros(3)
    below, root = (1 / (1 + np.exp(-x)) for x in (0.7, -1.2))
    lm.output.log_probs(
        lm.output_weights, lm.shape, np.repeat(hidden, 3, 0), np.arange(3, dtype=np.int32), None, None, None, out
    )
    paths = {0: 1 - root, 1: root * (1 - below), 2: root * below}
    np.testing.assert_allclose(np.exp(out), list(paths.values()), rtol=1e-12)


def test_one_word_is_no_tree():
    with pytest.raises(ValueError, match="`output_layer` hierarchical: a tree takes 2 words, the vocabulary has 1"):
        initial_params(ModelConfig(output_layer="hierarchical", classes=1), 1, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"classes": 100}, "`classes` 100: `output_layer` hierarchical has only 1"),
        ({"classes": 1, "compression": 3}, "`compression`: `output_layer` hierarchical has none"),
        ({"classes": 1, "direct": 30}, "`direct`: `output_layer` hierarchical has none"),
        ({"classes": 1, "embedding": 100, "tied": True}, "`tied`: `output_layer` hierarchical has none"),
        ({"classes": 1, "cell": "jordan"}, "`output_layer` hierarchical: `cell` jordan reads a softmax"),
    ],
)
def test_what_a_tree_cannot_be_combined_with_is_said_in_one_line(settings, message):
    with pytest.raises(ValueError, match=message) as caught:
        ModelConfig(output_layer="hierarchical", **settings)
    assert "\n" not in str(caught.value)


# ---- files


@every_config
def test_a_model_that_was_trained_is_read_as_it_was_written(config, tmp_path):
    lm = model_of(config, "float32")
    training = TrainConfig(engine="minibatch", batch_size=2, bptt=7, optimizer="adam", alpha=0.01, max_epochs=2)
    text = small_text(200, V)
    list(Trainer(lm, training, text, text[:50]).fit())
    save(lm, str(tmp_path / "m.rnnlm"), "native")
    again = load(str(tmp_path / "m.rnnlm"))
    np.testing.assert_array_equal(
        again.score_ids(text, again.start())[0].log10_prob, lm.score_ids(text, lm.start())[0].log10_prob
    )


# ---- losses that draw words


SAMPLED = [{**STACK, "classes": 1}, {**STACK, "classes": 1, "tied": True, "embedding": H}]
losses = pytest.mark.parametrize("loss", ["sampled", "nce"])
models = pytest.mark.parametrize("config", SAMPLED, ids=["own", "tied"])


def sampled_learner(lm, loss, threads=1, n=N, **settings) -> SampledLearner:
    settings = {"engine": "minibatch", "loss": loss, "samples": 30, "noise_power": 0.75, "log_z": 2.0} | settings
    return lm.output.learner(lm, TrainConfig(**settings), n, Workers(threads, lm.config.dtype))


def learnt_by_twin(loss, params, hidden, targets, drawn, shares, log_z=2.0):
    if loss == "sampled":
        return twins.sampled_softmax(params, hidden, targets, drawn, shares)
    return twins.contrast(params, hidden, targets, drawn, shares, log_z)


@losses
@models
def test_a_block_learns_from_its_noise_as_the_twin(config, loss):
    lm = model_of(config)
    rows, params = rows_of(lm), output_params(lm)
    learner = sampled_learner(lm, loss)
    for block in (0, 7):
        learner.block = block
        words, counts = learner.noise.draw(block)
        drawn = np.repeat(words, counts)
        assert drawn.size == 30
        assert counts.max() > 1
        assert np.isin(words, rows[1]).any()  # some rows have to leave a word out
        log_prob, errors = learn(lm, learner, *rows, scale=0.5)
        value, dhidden, dparams = learnt_by_twin(
            loss, params, rows[0][:, :H].copy(), rows[1], drawn, learner.noise.shares
        )
        if loss == "sampled":
            np.testing.assert_allclose(log_prob, value, rtol=1e-9, atol=1e-12)
        else:  # as if the scores were normalised by Z
            known = rows[1] >= 0
            scores = (params["O"][rows[1]] * rows[0][:, :H]).sum(1) + params["o"][rows[1]]
            np.testing.assert_allclose(log_prob, np.where(known, scores - 2.0, 0.0), rtol=1e-9)
        np.testing.assert_allclose(errors, 0.5 * dhidden, rtol=1e-9, atol=1e-12)
        for name, values in gradients_of(learner, lm, params).items():
            np.testing.assert_allclose(values, 0.5 * dparams[name], rtol=1e-8, atol=1e-11, err_msg=name)


@losses
def test_the_gradients_of_a_loss_are_its_differences(loss):
    lm = model_of(SAMPLED[0])
    hidden, targets = rows_of(lm)[0][:8, :H].copy(), rows_of(lm)[1][:8]
    params, noise = output_params(lm), Noise(COUNTS, 0.5, 20, 1)
    words, counts = noise.draw(3)
    arguments = targets, np.repeat(words, counts), noise.shares
    _, dhidden, dparams = learnt_by_twin(loss, params, hidden, *arguments)

    def value():
        return learnt_by_twin(loss, params, hidden, *arguments)[0].sum()

    np.testing.assert_allclose(dhidden, differences(value, hidden), rtol=1e-5, atol=1e-8)
    for name, values in params.items():
        np.testing.assert_allclose(dparams[name], differences(value, values), rtol=1e-5, atol=1e-8, err_msg=name)


def test_noise_that_has_every_word_as_often_as_expected_gives_the_full_softmax():
    lm = model_of(SAMPLED[0])
    rows, params = rows_of(lm), output_params(lm)
    learner = sampled_learner(lm, "sampled", samples=COUNTS.sum(), noise_power=1.0)
    learner.learn_from(np.arange(V, dtype=np.int32), COUNTS, rows[0], rows[1], rows[3], rows[4], 1.0)
    log_prob, errors, gradients = twins.full_softmax(params, rows[0][:, :H].copy(), rows[1])
    np.testing.assert_allclose(rows[4], log_prob, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(rows[3][:, :H], errors, rtol=1e-9, atol=1e-12)
    for name, values in gradients_of(learner, lm, params).items():
        np.testing.assert_allclose(values, gradients[name], rtol=1e-8, atol=1e-11, err_msg=name)


def test_noise_follows_the_power_of_the_counts_and_the_block():
    noise = Noise(np.array([0, 16, 4, 1]), 0.5, 60_000, seed=9)
    np.testing.assert_allclose(noise.shares, np.array([1, 4, 2, 1]) / 8, rtol=1e-12)  # a count of 0 is as 1
    words, counts = noise.draw(4)
    np.testing.assert_array_equal(words, np.arange(4))
    np.testing.assert_allclose(counts / 60_000, noise.shares, atol=0.01)
    np.testing.assert_array_equal(noise.draw(4)[1], counts)
    assert (noise.draw(5)[1] != counts).any()
    assert (Noise(np.array([0, 16, 4, 1]), 0.5, 60_000, seed=10).draw(4)[1] != counts).any()


@losses
@models
def test_the_engine_adds_the_gradients_of_both_sides(config, loss):
    # E gets those of its words as inputs too: against differences of the loss with the same noise
    lm = model_of(config)
    ids = small_text(12, V)
    settings = {"loss": loss, "samples": 30, "log_z": 2.0, "batch_size": 1, "bptt": ids.size, "gradient_cutoff": 0.0}
    engine = engine_of(lm, TrainConfig(engine="minibatch", **settings))
    engine.differentiate(ids[None])
    found = {name: in_full(gradient, lm.params[name]) for name, gradient in engine.gradients.items()}
    noise = engine.output.noise
    words, counts = noise.draw(0)
    inputs = np.concatenate([[0], ids[:-1]]).astype(np.int32)

    def value():
        p, state, below = lm.params, np.zeros(H), []
        for word in inputs:
            state = np.tanh(p["E"][word] @ p["U"] + state @ p["W"] + p["b"])
            below.append(state)
        own = {"O": p["E" if lm.config.tied else "O"], "o": p["o"]}
        return learnt_by_twin(loss, own, np.array(below), ids, np.repeat(words, counts), noise.shares)[0].sum()

    for name, values in found.items():
        np.testing.assert_allclose(values, differences(value, lm.params[name]), rtol=1e-5, atol=1e-7, err_msg=name)


@losses
@models
def test_sampled_training_has_the_same_bits_on_any_number_of_threads(config, loss):
    expected = None
    for threads in (1, 2, 3):
        lm = model_of(config, "float32")
        learner = sampled_learner(lm, loss, threads)
        log_prob, errors = learn(lm, learner, *rows_of(lm))
        found = {"log_prob": log_prob, "errors": errors, **gradients_of(learner, lm, output_params(lm))}
        expected = expected or {name: values.copy() for name, values in found.items()}
        for name, values in found.items():
            np.testing.assert_array_equal(values, expected[name], err_msg=name)


@losses
@models
def test_the_last_epochs_are_full_and_learn_as_without_a_loss(config, loss):
    def engine(**settings):
        lm = model_of(config)
        more = {"batch_size": 2, "bptt": 5, "gradient_cutoff": 0.0, "optimizer": "adam"}
        return lm, engine_of(lm, TrainConfig(engine="minibatch", **more | settings))

    text = small_text(20, V).reshape(2, 10)
    (full, full_engine), (lm, other) = engine(), engine(loss=loss, samples=9)
    other.use_all_words(True)
    np.testing.assert_array_equal(other.learn(text, 0.01), full_engine.learn(text, 0.01))
    for name, values in full.params.items():
        np.testing.assert_array_equal(lm.params[name], values, err_msg=name)
    other.use_all_words(False)
    assert (other.learn(text, 0.01) != full_engine.learn(text, 0.01)).any()


@pytest.mark.parametrize(
    ("max_epochs", "full_epochs", "valid", "expected"),
    [
        (4, 1, False, ["nce", "nce", "nce", "full"]),
        (4, 3, False, ["nce", "full", "full", "full"]),
        (3, 0, False, ["nce"] * 3),
        # a validation text that gets no better: halved after epoch 1, the end after epoch 2 but for the full epochs
        (9, 2, True, ["nce", "nce", "nce", "full", "full"]),
        (9, 0, True, ["nce", "nce", "nce"]),
    ],
)
def test_full_epochs_come_last(max_epochs, full_epochs, valid, expected):
    lm, text = model_of(SAMPLED[0], "float32"), small_text(60, V)
    training = TrainConfig(
        engine="minibatch", batch_size=2, bptt=5, loss="nce", samples=9, max_epochs=max_epochs,
        full_epochs=full_epochs, alpha=1e-9, min_improvement=1.01,
    )  # fmt: skip
    reports = list(Trainer(lm, training, text, text if valid else None).fit())
    assert [report.loss for report in reports] == expected
    assert [epoch.get("loss", "full") for epoch in lm.history] == expected


@losses
def test_a_run_that_was_interrupted_ends_in_the_same_bits(loss):
    text = small_text(90, V)
    training = TrainConfig(
        engine="minibatch", batch_size=2, bptt=5, loss=loss, samples=9, max_epochs=3, full_epochs=1, alpha=0.01,
        optimizer="adam",
    )  # fmt: skip
    whole = model_of(SAMPLED[1], "float32")
    list(Trainer(whole, training, text, None).fit())
    first = Trainer(model_of(SAMPLED[1], "float32"), training, text, None)
    first.engine.steps = 10  # words of a stream in one call: more places to stop at
    places = []

    def stop(trainer):
        places.append((trainer.progress.epoch, trainer.progress.position))
        if places[-1] in ((1, 40), (2, 20)):
            raise InterruptedError

    first.on_chunk = stop
    for place in ((1, 40), (2, 20)):
        with pytest.raises(InterruptedError):
            list(first.fit())
        assert places[-1] == place
        state = {name: values.copy() for name, values in first.engine.state().items()}
        again = Trainer(first.model, training, text, None)
        again.engine.restore(state)
        again.engine.steps, again.progress, again.on_chunk = 10, first.progress, stop
        places.clear()
        again.on_chunk = lambda trainer, skip=place: (
            None if (trainer.progress.epoch, trainer.progress.position) == skip else stop(trainer)
        )
        first = again
    list(first.fit())
    for name, values in whole.params.items():
        np.testing.assert_array_equal(first.model.params[name], values, err_msg=name)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"loss": "nce"}, "`loss` nce: only of `engine` minibatch"),
        ({"loss": "nce", "engine": "minibatch"}, "`loss` nce: only for a softmax over all words"),
        ({"loss": "sampled", "cell": "lstm", "classes": 9}, "`loss` sampled: only for a softmax over all words"),
        ({"loss": "sampled", "output_layer": "hierarchical"}, "`loss` sampled: only for a softmax over all words"),
        ({"loss": "sampled", "cell": "lstm", "samples": 0}, "`samples` 0: at least 1 word"),
        ({"cell": "lstm", "full_epochs": 2}, "`full_epochs` 2: only with `loss` sampled or nce"),
        (
            {"loss": "nce", "cell": "lstm", "full_epochs": 7, "max_epochs": 7},
            "`full_epochs` 7: fewer than `max_epochs` 7",
        ),
    ],
)
def test_losses_that_cannot_be_are_refused_in_one_line(settings, message):
    with pytest.raises(ValueError, match=message) as caught:
        require_fit(*filled_in(settings))
    assert "\n" not in str(caught.value)
