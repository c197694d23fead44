"""Stacks of every cell and form: scoring against the twins, files, going on, threads, and learning.

A new form of a cell is a line in ``NETWORKS`` of test_minibatch.py, where its gradients are tested.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from rnnlm.cells import CELLS, layer_of
from rnnlm.config import ModelConfig, TrainConfig, parameter_shapes
from rnnlm.describe import describe, facts
from rnnlm.engines import engine_of
from rnnlm.initial import initial_params
from rnnlm.io import load, native, save
from rnnlm.layers import Errors, layer_shape, pack_recurrent, steps_for
from rnnlm.model import RecurrentLM
from rnnlm.trainer import Trainer
from rnnlm.updates import Dense
from tests.reference.online import ACTIVATIONS, softmax
from tests.rnnlm.test_minibatch import (
    NETWORKS,
    B,
    T,
    V,
    check_that_each_step_learns_alone,
    engine_for,
    every_network,
    gradient_in_full,
    model_of,
    text,
    twin_of,
)
from tests.small_models import small_vocab

# each cell once, with all that scoring and going on could stumble over
FORMS = ["elman", "lstm, peephole", "lstm, tied", "gru, 2 layers", "gru, before"]
every_form = pytest.mark.parametrize("name", FORMS)
both = pytest.mark.parametrize("independent", [False, True])


def wider_model_of(name, hidden, **more):
    """With as many units in the embedding, if there is one."""
    return model_of(name, hidden=hidden, embedding=hidden if "embedding" in NETWORKS[name] else 0, **more)


def test_every_cell_of_stacks_is_in_these_tests():
    for names in (NETWORKS, FORMS):
        assert {NETWORKS[name]["cell"] for name in names} == {cell for cell, known in CELLS.items() if known.layer}


# ---- scoring


@every_network
@both
def test_probabilities_are_those_of_the_twin(name, independent):
    lm, ids = model_of(name, independent=independent), text(40)
    ids[-1] = 3
    twin, known = twin_of(lm), ids >= 0
    steps, _ = twin.run(np.concatenate([[0], ids])[:, None])
    log_y = np.array([step.log_y[0] for step in steps[:-1]])
    hidden = np.array([np.concatenate(step.hidden) for step in steps])
    scored, end = lm.score_ids(ids, lm.start(), entropy=True)
    np.testing.assert_allclose(scored.log10_prob[known], log_y[known, ids[known]] / np.log(10), rtol=1e-10)
    np.testing.assert_allclose(scored.entropy_bits, -(np.exp(log_y) * log_y).sum(1) / np.log(2), rtol=1e-10)
    np.testing.assert_allclose(lm.distributions(ids, lm.start()), np.exp(log_y), rtol=1e-10)
    np.testing.assert_allclose(lm.distribution(end), np.exp(steps[-1].log_y[0]), rtol=1e-10)
    np.testing.assert_allclose(lm.hidden_states(ids, lm.start()), hidden[1:], rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(lm.hidden_state(lm.start()), hidden[0, -1], rtol=1e-10)
    _, before = twin.run(np.concatenate([[0], ids[:-1]])[:, None])
    np.testing.assert_allclose(end.hidden[: lm.state_size], np.concatenate([s.ravel() for s in before]), rtol=1e-9)


@every_form
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_text_can_be_scored_in_parts_on_two_threads_or_one(name, dtype):
    lm, ids = model_of(name, dtype=dtype), text(2500)
    whole, end = lm.score_ids(ids, lm.start(), entropy=True)
    lm.threads, state, parts = 1, lm.start(), []
    for part in np.split(ids, [3, 1024, 2048]):
        scored, state = lm.score_ids(part, state, entropy=True)
        parts.append(scored)
    assert np.concatenate([s.log10_prob for s in parts]).tobytes() == whole.log10_prob.tobytes()
    assert np.concatenate([s.entropy_bits for s in parts]).tobytes() == whole.entropy_bits.tobytes()
    assert state.hidden.tobytes() == end.hidden.tobytes()


@every_form
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_independent_sentences_score_together_as_one_by_one(name, dtype):
    lm, rng = model_of(name, dtype=dtype, independent=True), np.random.default_rng(0)
    sentences = [np.append(rng.integers(1, V, n), 0).astype(np.int32) for n in [*rng.integers(0, 20, 40), 1100]]
    ids = np.concatenate(sentences)
    together, _ = lm.score_ids(ids, lm.start(), entropy=True)
    alone = [lm.score_ids(ids, lm.start(), entropy=True)[0] for ids in sentences]
    assert together.log10_prob.tobytes() == np.concatenate([s.log10_prob for s in alone]).tobytes()
    assert together.entropy_bits.tobytes() == np.concatenate([s.entropy_bits for s in alone]).tobytes()
    assert lm.score_sentences(ids, lm.start()).log10_prob.tobytes() == together.log10_prob.tobytes()


@every_form
def test_hidden_states_in_parts_are_those_of_the_whole(name):
    lm, ids = model_of(name, dtype="float32"), text(1200)
    whole, state, parts = lm.hidden_states(ids, lm.start()), lm.start(), []
    for part in np.split(ids, [1, 600]):
        parts.append(lm.hidden_states(part, state))
        _, state = lm.score_ids(part, state)
    assert whole.dtype == np.float32
    assert np.concatenate(parts).tobytes() == whole.tobytes()


# ---- files, and going on


@every_network
@pytest.mark.parametrize("how", ["uniform", "xavier", "he", "normal"])
def test_parameters_are_those_that_the_entry_says(name, how):
    config = ModelConfig(**{"hidden": 6, "classes": 1} | NETWORKS[name])
    params = initial_params(config, V, np.random.default_rng(1), how)
    assert {name: values.shape for name, values in params.items()} == parameter_shapes(config, V)
    assert all(values.dtype == "float32" for values in params.values())
    drawn = [name for name in params if name.rstrip("0123456789") in "EUWO"]
    assert all(params[name].any() for name in drawn)
    for name in set(params) - set(drawn):  # biases and peepholes: 0, the forget gate's 1
        is_forget = config.cell == "lstm" and config.forget_gate and name.startswith("b")
        expected = np.zeros(params[name].shape)
        if is_forget:
            expected[6:12] = 1
        np.testing.assert_array_equal(params[name], expected)


@every_network
def test_a_file_gives_the_model_back(name, tmp_path):
    lm, ids = model_of(name, dtype="float32", seed=4), text(30)
    save(lm, tmp_path / "m")
    again = load(tmp_path / "m")
    assert again.config == lm.config
    scored, expected = again.score_ids(ids, again.start())[0], lm.score_ids(ids, lm.start())[0]
    assert scored.log10_prob.tobytes() == expected.log10_prob.tobytes()
    double = load(tmp_path / "m", dtype="float64")
    np.testing.assert_allclose(double.score_ids(ids, double.start())[0].log10_prob, expected.log10_prob, rtol=1e-4)
    found = facts(tmp_path / "m")
    assert found["architecture"] == lm.config.to_dict()
    assert found["parameters"] == sum(values.size for values in lm.params.values())


@pytest.mark.parametrize(
    ("name", "more", "said"),
    [
        ("elman", {}, "elman, 6 tanh hidden units, embedding of 4 units, softmax over all words"),
        ("elman, logistic", {}, "elman, 2 layers of 6 logistic hidden units, softmax over all words"),
        ("lstm", {}, "lstm, 6 hidden units, softmax over all words"),
        (
            "lstm, tied",
            {},
            "lstm, 2 layers of 6 hidden units, embedding of 6 units (tied to the output), softmax over all",
        ),
        ("lstm, carousel", {}, "lstm without forget gate, 2 layers of 6 hidden units, softmax over all words"),
        ("lstm, carousel, peephole", {}, "lstm without forget gate, with peepholes, 6 hidden units, softmax over all"),
        ("gru", {}, "gru that resets after the product, 6 hidden units, softmax over all words"),
        (
            "gru, before",
            {"layers": 3},
            "gru that resets before the product, 3 layers of 6 hidden units, softmax over all",
        ),
    ],
)
def test_info_says_what_the_network_is(name, more, said, tmp_path):
    save(model_of(name, **more), tmp_path / "m")
    assert f"network     {said}" in describe(facts(tmp_path / "m"))


def test_info_says_how_a_stack_was_trained(tmp_path):
    lm, config = (
        model_of("lstm"),
        TrainConfig(engine="minibatch", optimizer="adam", batch_size=20, bptt=35, alpha=0.002),
    )
    # as a run writes it (rnnlm/run.py): bptt is one more, as in 0.4b's files
    lm.training = {"config": config.to_dict(), "starting_alpha": 0.002, "alpha": 0.001, "bptt": 36, "bptt_block": 10}
    save(lm, tmp_path / "m")
    said = "learning    alpha 0.002, at last 0.001, adam, 20 streams in blocks of 35 words, seed 1"
    assert said in describe(facts(tmp_path / "m"))
    config = replace(config, schedule="linear", average=2, dropout=0.3, dropout_recurrent=0.1, locked=True, loss="nce")
    lm.training["config"] = config.to_dict()
    save(lm, tmp_path / "m")
    said = "words, schedule linear, average 2, dropout 0.3, dropout recurrent 0.1, locked, loss nce, seed 1"
    assert said in describe(facts(tmp_path / "m"))


@every_network
@both
def test_learning_goes_on_from_a_checkpoint_bit_for_bit(name, independent, tmp_path):
    ids, settings = text(4 * B * T).reshape(B, -1), {"optimizer": "adam", "clip_norm": 1.0, "dropout": 0.2}
    lm = model_of(name, dtype="float32", independent=independent)
    whole = engine_for(lm, **settings)
    whole.learn(ids[:, : 2 * T], 0.01)
    native.save(lm, tmp_path / "checkpoint", extra=whole.state(), extra_meta={})
    found, extra, _ = native.load_checkpoint(tmp_path / "checkpoint")
    other = engine_for(found, **settings)
    other.restore(extra)
    assert other.learn(ids[:, 2 * T :], 0.01).tobytes() == whole.learn(ids[:, 2 * T :], 0.01).tobytes()
    for each, values in lm.params.items():
        assert found.params[each].tobytes() == values.tobytes(), each


@every_form
def test_a_state_that_does_not_fit_is_refused(name):
    engine = engine_for(model_of(name, dtype="float32"), optimizer="adam")
    saved = {each: np.array(array) for each, array in engine.state().items()}
    engine.restore(saved)
    for each in saved:
        with pytest.raises(ValueError, match=f"{each} is missing"):
            engine.restore({key: array for key, array in saved.items() if key != each})
        with pytest.raises(ValueError, match=each):
            engine.restore(saved | {each: saved[each][..., :-1]})
        with pytest.raises(ValueError, match=each):
            engine.restore(saved | {each: saved[each].astype(np.float16)})
    for word in (V, -2):
        with pytest.raises(ValueError, match="words"):
            engine.restore(saved | {"last": np.full(B, word, np.int32)})
    with pytest.raises(ValueError, match="counters are"):
        engine.restore(saved | {"counters": np.array([-1])})


# ---- learning


@every_network
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_any_number_of_threads_learns_the_same_bits(name, dtype, monkeypatch):
    monkeypatch.setattr("rnnlm.engines.minibatch._FEW", 0)  # small as these blocks are, they are shared out
    ids, results = text(7 * 23, seed=3).reshape(7, 23), []
    for threads in (1, 2, 3):
        lm = wider_model_of(name, 18, dtype=dtype)
        engine = engine_for(lm, threads, batch_size=7, optimizer="adam", clip_norm=0.5, dropout=0.3)
        assert engine.workers.n == threads
        log_prob = engine.learn(ids, 0.01)
        results.append(log_prob.tobytes() + b"".join(values.tobytes() for values in lm.params.values()))
    assert results[1] == results[0]
    assert results[2] == results[0]


@every_form
@pytest.mark.parametrize("n", [1, 2, 3, 7, 16, 46, 100])
def test_every_word_of_a_text_is_learnt_once_however_short(name, n):
    engine, ids = engine_for(model_of(name), bptt=4), np.arange(n).astype(np.int32) % V
    engine.steps = 8
    position, taken = 0, []
    while position < n:
        words, position = engine.take(ids, position)
        assert words.shape[1] <= 8
        taken.append(words)
        log_prob = engine.learn(words, 0.1)
        assert (log_prob[words >= 0] < 0).all()
        assert (log_prob[words < 0] == 0).all()
    streams = np.concatenate(taken, 1)
    np.testing.assert_array_equal(streams.ravel()[:n], ids)  # one stream after another is the text
    assert (streams.ravel()[n:] == -1).all()


@every_form
def test_a_short_block_before_a_whole_one_changes_nothing(name):
    # the arrays of a block are those of the block before, which was shorter, or had other words in it
    lm, ids = model_of(name), text(B * 12).reshape(B, 12)
    engine, twin = engine_for(lm), twin_of(lm)
    states, last = None, np.zeros((1, B), int)
    for begin, end in pairwise([0, 5, 7, 12]):
        targets = ids[:, begin:end]
        inputs = np.concatenate([last, targets.T[:-1]])
        engine.differentiate(targets)
        for each, expected in twin.gradients(inputs, targets.T, states).items():
            found = gradient_in_full(engine.gradients[each])
            np.testing.assert_allclose(found, -expected / B, rtol=1e-8, atol=1e-10, err_msg=f"{each} {begin}")
        _, _, states = twin.forward(inputs, targets.T, states)
        last = targets.T[-1:]


@every_form
def test_words_outside_the_vocabulary_teach_nothing(name):
    engine = engine_for(model_of(name))
    log_prob = engine.differentiate(np.full((B, T), -1, np.int32))
    assert (log_prob == 0).all()
    for each, gradient in engine.gradients.items():
        assert not gradient_in_full(gradient).any(), each


def guarded(arrays, guards):
    """Copies of a tuple of arrays, each between two stretches of bytes that must stay: added to ``guards``."""
    copies = []
    for array in arrays:
        room = np.full(array.nbytes + 2 * 4096, 0xA5, np.uint8)
        inside = room[4096 : 4096 + array.nbytes].view(array.dtype).reshape(array.shape)
        inside[...] = array
        guards += [room[:4096], room[4096 + array.nbytes :]]
        copies.append(inside)
    return type(arrays)(*copies)


@pytest.mark.parametrize("name", ["elman", "lstm", "lstm, peephole", "lstm, carousel", "gru", "gru, before"])
@pytest.mark.parametrize("hidden", [1, 5, 17])
def test_nothing_beyond_the_arrays_of_a_layer_is_written(name, hidden):
    # compiled code checks no bounds
    lm, rng, guards, results = model_of(name, hidden=hidden, dtype="float32"), np.random.default_rng(0), [], []
    cell, config = layer_of(lm.config), lm.config
    extras = [lm.params[each] for each in cell.extras(config)]
    packed = pack_recurrent(cell, config, lm.params["W"], first=extras[0] if extras else None)
    steps, shape = steps_for(cell, config, T, B, 0.5), layer_shape(cell, config, T)
    steps.gates[...] = rng.normal(size=steps.gates.shape)
    steps.is_reset[::4] = 1
    errors = Errors(rng.normal(size=steps.hidden.shape).astype("f"), np.zeros_like(steps.state), np.full(1, 0.3, "f"))
    for use in (lambda arrays: type(arrays)(*(a.copy() for a in arrays)), lambda arrays: guarded(arrays, guards)):
        own, mine, theirs = use(packed), use(steps), use(errors)
        cell.forward(own, mine, shape, 0, B)
        cell.backward(own, mine, theirs, shape, 0, B)
        results.append(mine.hidden.tobytes() + mine.gates.tobytes() + mine.tape.tobytes() + theirs.state.tobytes())
    assert results[0] == results[1]
    assert all((part == 0xA5).all() for part in guards)


@pytest.mark.parametrize("name", ["elman", "gru, 2 layers", "gru, before"])  # an LSTM's cells are not clipped
def test_what_goes_back_through_time_is_clipped(name):
    # with a limit of next to nothing each step learns from its own error alone: the sum over blocks of one step each
    lm, ids = model_of(name), text(B * T).reshape(B, T)
    check_that_each_step_learns_alone(engine_for(lm, gradient_cutoff=1e-12), engine_for(lm, bptt=1), ids)


@every_network
def test_a_text_that_repeats_itself_is_learnt(name):
    lm = wider_model_of(name, 20, dtype="float32")
    words = np.tile(np.array([3, 1, 4, 1, 5, 9, 2, 6, 0], np.int32), 40)
    config = TrainConfig(
        engine="minibatch", batch_size=4, bptt=10, optimizer="adam", alpha=0.01, max_epochs=20, min_improvement=0.7
    )
    untaught = lm.score_ids(words[:90], lm.start())[0].log10_prob.mean()
    assert 10**-untaught > 3
    reports = list(Trainer(lm, config, words, words[:90]).fit())
    assert reports[-1].valid_perplexity < 1.1


# ---- one layer of Elman's cell, which the online engine learns, too


class SoftmaxInNumpy:
    """``outputs.Learner`` of O over all words."""

    def __init__(self, model, config, n_rows, workers):
        self.O, self.n = model.params["O"], model.config.hidden
        self.gradients = {"O": Dense(model.weights.O)}

    def learn(self, hidden, targets, histories, errors, log_prob, scale):
        x = hidden[:, : self.n]
        y = np.array([softmax(self.O @ row) for row in x])
        e = np.where(targets[:, None] >= 0, np.eye(len(self.O))[targets] - y, 0)
        log_prob[:] = np.where(targets >= 0, np.log(y[np.arange(len(y)), targets]), 0)
        self.gradients["O"].values[: len(self.O), : self.n] = scale * e.T @ x
        errors[:, : self.n] = scale * e @ self.O


def log_likelihood(params, words, f, start, reset):
    """The sum over words after </s>; each unit begins with ``start`` and, unless None, with ``reset`` after </s>."""
    state, last, total = np.full(params["W"].shape[0], start), 0, 0.0
    for word in words.tolist():
        if reset is not None and last == 0:
            state = np.full_like(state, reset)
        state = f((params["U"][last] if last >= 0 else 0) + state @ params["W"])
        total += np.log(softmax(params["O"] @ state)[word]) if word >= 0 else 0
        last = word
    return total


@pytest.mark.parametrize("activation", ["logistic", "tanh"])
@both
def test_one_stream_of_an_elman_network_learns_the_gradient_of_its_log_likelihood(activation, independent):
    # 0.4b's states: 0.1 in each unit before a text, 1 after each </s> of independent sentences
    words, rng = np.array([3, 5, 0, 1, 3, 3, 4, 0, 2, -1, 1, 2], np.int32), np.random.default_rng(2)
    config = ModelConfig(hidden=4, classes=1, activation=activation, independent=independent, dtype="float64")
    params = {name: rng.normal(0, 0.7, shape) for name, shape in parameter_shapes(config, 6).items()}
    lm = RecurrentLM.create(config, model_of().vocab, {name: values.copy() for name, values in params.items()})
    lm.output = lm.output._replace(learner=SoftmaxInNumpy)
    engine = engine_of(
        lm, TrainConfig(engine="minibatch", batch_size=1, bptt=words.size, gradient_cutoff=0.0, optimizer="sgd")
    )
    how = ACTIVATIONS[activation][0], 0.1, 1.0 if independent else None
    log_prob = engine.differentiate(words[None])
    assert log_prob.sum() == pytest.approx(log_likelihood(params, words, *how), rel=1e-12)
    for name in "UWO":
        slopes, values = np.empty(params[name].shape), params[name]
        for at in np.ndindex(values.shape):
            old, ends = values[at], []
            for moved in (old + 1e-5, old - 1e-5):
                values[at] = moved
                ends.append(log_likelihood(params, words, *how))
            values[at] = old
            slopes[at] = (ends[0] - ends[1]) / 2e-5
        gradient = gradient_in_full(engine.gradients[name])[: len(values), :4]
        assert np.abs(slopes).max() > 1e-3
        np.testing.assert_allclose(gradient, slopes, rtol=1e-6, atol=1e-8, err_msg=name)


def test_a_copy_of_the_weights_is_a_copy_of_direct_connections_too():
    config = ModelConfig(hidden=4, cell="lstm", embedding=3, classes=2, direct=20)
    params = {name: np.ones(shape, np.float32) for name, shape in parameter_shapes(config, V).items()}
    lm = RecurrentLM.create(config, small_vocab(V), params)
    copied = lm.weights.copy()
    for values in copied.arrays.values():
        values[...] = 2
    copied.outputs.D[:] = 3
    assert all((values == 1).all() for values in lm.params.values())
    assert (params["D"] == 1).all()
    assert (copied.arrays["D"] == 3).all()
