"""Every cell that learns word by word: against its twin and its definition, scoring, files, and going on.

Stacks, which learn in batches, are in test_stack.py.  A new cell needs a line in ``OPTIONS`` and ``DEFINITIONS`` here
and a twin in ``tests.small_models.TWINS``.
"""

from dataclasses import replace

import numpy as np
import pytest

from corpora.text.vocab import Vocab
from rnnlm.arrays import restore
from rnnlm.cells import CELLS
from rnnlm.config import ACTIVATIONS, ModelConfig, TrainConfig, parameter_shapes, require_compatible
from rnnlm.describe import describe, facts
from rnnlm.dynamic import DynamicLM
from rnnlm.engines import engine_of
from rnnlm.initial import initial_params
from rnnlm.io import load, native, save
from rnnlm.model import RecurrentLM
from rnnlm.trainer import Trainer
from tests.reference.online import ACTIVATIONS as FUNCTIONS
from tests.reference.online import softmax
from tests.small_models import Learner, small_model, small_text

# what each cell can be combined with beside activations and independent sentences
OPTIONS = {
    "elman": [{"classes": 1}, {"classes": 4}, {"compression": 3}, {"direct": 60}],
    "jordan": [{"classes": 1}],
}
SCHEDULES = [
    {"bptt": 4, "block": 10},
    {"bptt": 0, "block": 10},
    {"bptt": 1, "block": 1, "beta": 0.1},
    {"bptt": 3, "block": 5, "beta": 0.1},
    {"bptt": 7, "block": 25, "cutoff": 0.02},
    {"bptt": 30, "block": 3, "beta": 0.03, "cutoff": 0.0},
]
ONLINE = [cell for cell, known in CELLS.items() if known.module]
CONFIGS = [{"cell": cell, **options} for cell in ONLINE for options in OPTIONS[cell]]
every_cell = pytest.mark.parametrize("cell", ONLINE)
every_config = pytest.mark.parametrize("config", CONFIGS, ids=lambda c: "-".join(map(str, c.values())))


def model_of(cell, **config):
    return small_model(**{"classes": 1, "cell": cell} | config)


# ---- learning


@every_config
@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
@pytest.mark.parametrize("independent", [False, True])
def test_a_cell_learns_as_its_twin(config, schedule, independent):
    activation = ACTIVATIONS[SCHEDULES.index(schedule) % len(ACTIVATIONS)]
    learner = Learner(small_model(independent=independent, activation=activation, **config), **schedule)
    for ids, cuts in [(small_text(47, oov=True), []), (small_text(33, seed=3), [1, 2, 12, 29])]:
        learner.start_text()
        mine, twins = learner.learn(ids, cuts=cuts), learner.learn_by_twin(ids)
        np.testing.assert_allclose(mine, twins, rtol=1e-11, atol=1e-11)
        assert (mine[ids < 0] == 0).all()
    for name, values, twins in learner.parameters():
        np.testing.assert_allclose(values, twins, rtol=1e-11, atol=1e-11, err_msg=name)


@every_config
def test_float32_learns_nearly_as_the_twin(config):
    learner = Learner(small_model(dtype="float32", **config), bptt=3, block=7)
    ids = small_text(60, oov=True)
    np.testing.assert_allclose(learner.learn(ids), learner.learn_by_twin(ids), rtol=2e-5, atol=2e-5)
    for name, values, twins in learner.parameters():
        np.testing.assert_allclose(values, twins, rtol=2e-5, atol=2e-5, err_msg=name)


def elman(params, f, word, state):
    hidden = f((params["U"][word] if word >= 0 else 0) + state @ params["W"])
    return hidden, softmax(params["O"] @ hidden), hidden


def jordan(params, f, word, state):
    hidden = f((params["U"][word] if word >= 0 else 0) + state @ params["W"])
    y = softmax(params["O"] @ hidden)
    return hidden, y, y


# one step by its equation, with the softmax over all words: (hidden, probabilities, next state)
DEFINITIONS = {"elman": elman, "jordan": jordan}


def log_likelihood(lm, words, params, frozen=None, n_frozen=0, first=0):
    """Of words[first:] from the state 0, with the parameters ``frozen`` in the first ``n_frozen`` steps."""
    f, state, last, total = FUNCTIONS[lm.config.activation][0], np.zeros(lm.state_size), 0, 0.0
    for t, word in enumerate(words.tolist()):
        hidden, y, state = DEFINITIONS[lm.config.cell](frozen if t < n_frozen else params, f, last, state)
        if t < n_frozen:
            y = softmax(params["O"] @ hidden)
        if t >= first and word >= 0:
            total += np.log(y[word])
        last = word
    return total


def gradient(lm, words, step=1e-5, **how):
    """Central differences, one parameter after another."""
    params = {name: values.copy() for name, values in lm.params.items() if name != "C"}
    slopes = {name: np.empty(values.shape) for name, values in params.items()}
    for name, values in params.items():
        for at in np.ndindex(values.shape):
            old, ends = values[at], []
            for moved in (old + step, old - step):
                values[at] = moved
                ends.append(log_likelihood(lm, words, params, frozen=lm.params, **how))
            values[at] = old
            slopes[name][at] = (ends[0] - ends[1]) / (2 * step)
    return slopes


def learnt(make_model, words, alpha=1e-5, **schedule):
    """How far a unit of learning rate moves each parameter: the mean of steps up and down, free of second order."""
    moved = []
    for rate in (alpha, -alpha):
        learner = Learner(make_model(), alpha=rate, beta=0, cutoff=0, **schedule)
        learner.engine.start_text(0.0)
        learner.learn(words)
        moved.append({name: values.copy() for name, values in learner.lm.params.items()})
    return {name: (moved[0][name] - moved[1][name]) / (2 * alpha) for name in moved[0]}


WORDS = np.array([3, 5, 0, 1, 3, 3, 4, 0, 2, -1, 1, 2], np.int32)  # a word twice in a row, </s> and an unknown inside


@every_cell
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_block_learns_the_gradient_of_its_log_likelihood(cell, activation):
    def make_model():
        return model_of(cell, n_words=6, hidden=4, activation=activation, seed=3)

    expected = gradient(make_model(), WORDS)
    for name, values in learnt(make_model, WORDS, bptt=1, block=WORDS.size).items():
        if name != "C":
            assert np.abs(expected[name]).max() > 1e-3
            np.testing.assert_allclose(values, expected[name], rtol=1e-6, atol=1e-8, err_msg=name)


@every_cell
@pytest.mark.parametrize("bptt", [1, 2, 3, 5])
def test_a_block_reaches_bptt_words_back_beyond_its_first(cell, bptt):
    # two blocks of four words: the second one's errors flow through the 4 + bptt - 1 newest steps
    words, block = np.array([3, 5, 1, 2, 3, 4, 5, 2], np.int32), 4

    def make_model():
        return model_of(cell, n_words=6, hidden=4, seed=3)

    lm, out_of_reach = make_model(), 2 * block - (block + bptt - 1)
    one, two = gradient(lm, words[:block]), gradient(lm, words, n_frozen=out_of_reach, first=block)
    for name, values in learnt(make_model, words, bptt=bptt, block=block).items():
        if name != "C":
            np.testing.assert_allclose(values, one[name] + two[name], rtol=1e-6, atol=1e-8, err_msg=name)


@every_config
def test_pieces_that_end_with_blocks_give_the_same_bits_as_one_call(config):
    one, two = Learner(small_model(**config)), Learner(small_model(**config))
    ids = small_text(60)
    np.testing.assert_array_equal(one.learn(ids), two.learn(ids, cuts=[10, 30, 40]))
    for a, b in zip(one.lm.weights, two.lm.weights, strict=True):
        np.testing.assert_array_equal(a, b)


@every_config
def test_padding_stays_zero(config):
    learner = Learner(small_model(**config), beta=0.1)
    learner.learn(small_text(60, oov=True))
    sizes = {name: array.shape for name, array in learner.lm.params.items()}
    for name, array in learner.lm.weights._asdict().items():
        rest = array.copy()
        rest[tuple(slice(n) for n in sizes.get(name, array.shape))] = 0
        assert not rest.any(), name
    for name, length in learner.state.lengths(learner.shape).items():
        assert not getattr(learner.state, name)[..., length:].any(), name


@every_cell
@pytest.mark.parametrize(
    ("n_words", "hidden", "schedule"),
    [
        (2, 1, {"bptt": 0}),
        (14, 5, {"bptt": 6, "block": 12}),
        (33, 17, {"bptt": 50, "block": 2}),
        (97, 9, {"bptt": 2, "block": 1000}),
    ],
)
@pytest.mark.parametrize("independent", [False, True])
def test_nothing_beyond_the_arrays_is_written(cell, n_words, hidden, schedule, independent):
    # every array stands between two stretches of bytes that must stay; compiled code checks no bounds
    learner = Learner(model_of(cell, n_words=n_words, hidden=hidden, independent=independent), **schedule)
    ids, guards = small_text(80, n_words, oov=True), []

    def guarded(array):
        room = np.full(array.nbytes + 2 * 4096, 0xA5, np.uint8)
        inside = room[4096 : 4096 + array.nbytes].view(array.dtype).reshape(array.shape)
        inside[...] = array
        guards.append((room[:4096], room[4096 + array.nbytes :]))
        return inside

    weights, state, scratch = (type(a)(*map(guarded, a)) for a in (learner.lm.weights, learner.state, learner.scratch))
    log_prob = guarded(np.zeros(ids.size))
    learner.engine.kernel(
        weights, state, scratch, learner.shape, guarded(ids), guarded(learner.lm.class_of_word),
        guarded(learner.lm.class_start), *learner.rates, log_prob,
    )  # fmt: skip
    np.testing.assert_array_equal(log_prob, learner.learn(ids))
    assert all((part == 0xA5).all() for pair in guards for part in pair)


# ---- scoring


@every_cell
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_probabilities_are_those_of_the_definition(cell, activation):
    lm, ids = model_of(cell, activation=activation), small_text(40, oov=True)
    f, state = FUNCTIONS[activation][0], lm.start().hidden[: lm.state_size].copy()
    inputs, expected, hidden = np.concatenate([[0], ids[:-1]]), [], []
    for word in inputs.tolist():
        h, y, state = DEFINITIONS[cell](lm.params, f, word, state)
        expected.append(y)
        hidden.append(h)
    expected = np.array(expected)
    np.testing.assert_allclose(lm.hidden_states(ids[:-1], lm.start())[:, 0], hidden[1:], rtol=1e-11)
    np.testing.assert_allclose(lm.hidden_state(lm.start()), hidden[0], rtol=1e-11)
    scored, end = lm.score_ids(ids, lm.start(), entropy=True)
    known = ids >= 0
    np.testing.assert_allclose(scored.log10_prob[known], np.log10(expected[known, ids[known]]), rtol=1e-11)
    np.testing.assert_allclose(scored.entropy_bits, -(expected * np.log2(expected)).sum(1), rtol=1e-11)
    np.testing.assert_allclose(lm.distributions(ids, lm.start()), expected, rtol=1e-10)
    np.testing.assert_allclose(end.hidden[: lm.state_size], state, rtol=1e-11)
    assert lm.distribution(end).sum() == pytest.approx(1, abs=1e-12)


@every_config
def test_a_text_can_be_scored_in_parts_on_two_threads_or_one(config):
    lm, ids = small_model(**config), small_text(2500, oov=True)
    whole, end = lm.score_ids(ids, lm.start())
    lm.threads, state, parts = 1, lm.start(), []
    for part in np.split(ids, [1024, 2048]):
        scored, state = lm.score_ids(part, state)
        parts.append(scored.log10_prob)
    np.testing.assert_array_equal(np.concatenate(parts), whole.log10_prob)
    np.testing.assert_array_equal(state.hidden, end.hidden)


@every_config
def test_independent_sentences_score_together_as_one_by_one(config):
    lm, rng = small_model(independent=True, **config), np.random.default_rng(0)
    sentences = [np.append(rng.integers(1, 14, n), 0).astype(np.int32) for n in rng.integers(0, 20, 40)]
    together, _ = lm.score_ids(np.concatenate(sentences), lm.start(), entropy=True)
    alone = [lm.score_ids(ids, lm.start(), entropy=True)[0] for ids in sentences]
    assert together.log10_prob.tobytes() == np.concatenate([s.log10_prob for s in alone]).tobytes()
    assert together.entropy_bits.tobytes() == np.concatenate([s.entropy_bits for s in alone]).tobytes()


@every_config
@pytest.mark.parametrize("independent", [False, True])
def test_a_model_that_goes_on_learning_learns_as_in_training(config, independent):
    lm, ids = small_model(independent=independent, **config), small_text(60, oov=True)
    lm.training = {"bptt": 4, "bptt_block": 6}  # as files say it: one more than --bptt
    dynamic, learner = DynamicLM(lm, 0.2), Learner(lm, bptt=3, block=6, alpha=0.2)
    learner.engine.start_text(lm.start().hidden[: lm.state_size])
    state = dynamic.start()
    p = dynamic.distribution(state)
    scored, _ = dynamic.score_ids(ids, state)
    log_prob = learner.learn(ids)
    np.testing.assert_allclose(scored.log10_prob[ids >= 0], (log_prob / np.log(10))[ids >= 0], rtol=1e-12)
    assert np.log(p[ids[0]]) == pytest.approx(log_prob[0], rel=1e-10)


# ---- files, and going on


@every_config
@pytest.mark.parametrize("how", ["mikolov", "xavier", "he", "normal"])
def test_parameters_are_those_that_the_entry_says(config, how):
    config = ModelConfig(**{"hidden": 5, "classes": 3, "activation": "tanh"} | config)
    params = initial_params(config, 11, np.random.default_rng(1), how)
    assert {name: values.shape for name, values in params.items()} == parameter_shapes(config, 11)
    assert all(values.dtype == "float32" and values.any() for name, values in params.items() if name != "D")


@every_config
@pytest.mark.parametrize("independent", [False, True])
def test_a_file_gives_the_model_back(config, independent, tmp_path):
    lm, ids = small_model(independent=independent, dtype="float32", **config), small_text(30)
    save(lm, tmp_path / "m")
    again = load(tmp_path / "m")
    assert again.config == lm.config
    np.testing.assert_array_equal(
        again.score_ids(ids, again.start())[0].log10_prob, lm.score_ids(ids, lm.start())[0].log10_prob
    )
    double = load(tmp_path / "m", dtype="float64")
    np.testing.assert_allclose(
        double.score_ids(ids, double.start())[0].log10_prob, lm.score_ids(ids, lm.start())[0].log10_prob, rtol=1e-4
    )
    found = facts(tmp_path / "m")
    assert found["architecture"]["cell"] == config["cell"]
    assert found["parameters"] == sum(values.size for values in lm.params.values())
    assert f"{config['cell']}, 5 logistic hidden units" in describe(found)


@every_config
@pytest.mark.parametrize("independent", [False, True])
def test_learning_goes_on_from_a_checkpoint_bit_for_bit(config, independent, tmp_path):
    ids = small_text(90, oov=True)

    def engine_and_model():
        lm = small_model(independent=independent, **config)
        return engine_of(lm, TrainConfig(bptt=3, bptt_block=7)), lm

    whole, lm = engine_and_model()
    whole.learn(ids[:33], 0.1)
    native.save(lm, tmp_path / "checkpoint", extra=whole.state(), extra_meta={})
    found, extra, _ = native.load_checkpoint(tmp_path / "checkpoint")
    other = engine_of(found, TrainConfig(bptt=3, bptt_block=7))
    other.restore(extra)
    np.testing.assert_array_equal(other.learn(ids[33:], 0.1), whole.learn(ids[33:], 0.1))
    for name, values in lm.params.items():
        np.testing.assert_array_equal(found.params[name], values, err_msg=name)


@every_cell
def test_a_state_that_kernels_could_not_follow_is_refused(cell):
    engine = engine_of(model_of(cell, dtype="float32"), TrainConfig())
    saved = {name: np.array(array) for name, array in engine.state().items()}
    engine.restore(saved)
    for name in saved:
        with pytest.raises(ValueError, match=f"{name} is missing"):
            engine.restore({key: array for key, array in saved.items() if key != name})
        with pytest.raises(ValueError, match=name):
            engine.restore(saved | {name: saved[name][..., :-1]})
    for at, value in ((1, 1000), (2, -1), (3, 14), (3, -2)):
        damaged = saved["counters"].copy()
        damaged[at] = value
        with pytest.raises(ValueError, match="counters are"):
            restore(engine.arrays, saved | {"counters": damaged}, engine.shape)


@every_cell
def test_a_text_that_repeats_itself_is_learnt(cell):
    lm = model_of(cell, hidden=20, scale=1.0)
    words = np.tile(np.array([3, 1, 4, 8, 5, 9, 2, 6, 0], np.int32), 40)
    reports = list(Trainer(lm, TrainConfig(max_epochs=60, min_improvement=1.0), words, words[:90]).fit())
    assert reports[0].valid_perplexity > 3
    assert reports[-1].valid_perplexity < 1.1


# ---- Jordan's network


def test_jordan_remembers_by_what_it_predicted():
    # after 3 comes 5 if 1 was before it, and 6 if 2 was; 1 foretells 3 alone, 2 foretells 3 or 4
    sentences = [[1, 3, 5, 0], [2, 3, 6, 0], [2, 4, 6, 0]]
    rng = np.random.default_rng(1)
    words = np.concatenate([sentences[i] for i in rng.integers(0, 3, 2000)]).astype(np.int32)
    lm = model_of("jordan", n_words=7, hidden=10, scale=1.0, independent=True)
    list(Trainer(lm, TrainConfig(max_epochs=10), words, words[:400]).fit())
    for before, after in ((1, 5), (2, 6)):
        p = lm.distribution(lm.score_ids(np.array([before, 3], np.int32), lm.start())[1])
        assert p[after] > 0.95


def test_jordan_cannot_tell_apart_what_it_predicted_alike():
    # 4 and 5 come after 1 by turns, but 1 was certain both times: one bit is lost in each nine words
    lm = model_of("jordan", hidden=20, scale=1.0)
    words = np.tile(np.array([3, 1, 4, 1, 5, 9, 2, 6, 0], np.int32), 40)
    reports = list(Trainer(lm, TrainConfig(max_epochs=60, min_improvement=1.0), words, words[:90]).fit())
    assert 2 ** (2 / 9) * 0.99 < reports[-1].valid_perplexity < 2 ** (2 / 9) * 1.05


def test_jordan_is_the_network_of_other_programs():
    # written out in torch and jax; weights w(s) = ((7 k + s) mod 19 - 9) / 10.  Its biases: of the hidden units in the
    # rows of words, of the outputs through a third unit that is always 1
    def w(s, rows, columns):
        return ((7 * np.arange(rows * columns) + s) % 19 - 9).reshape(rows, columns) / 10

    x = np.array([[0.5, -1], [1, 0.25], [-0.75, 0.5]])
    params = {
        "U": np.hstack([x @ w(0, 2, 2).T + w(5, 1, 2), np.full((3, 1), 30.0)]),
        "W": np.hstack([w(6, 2, 3).T, np.zeros((3, 1))]),
        "O": np.hstack([w(8, 3, 2), w(1, 3, 1)]),
        "C": np.zeros((1, 3)),
    }
    config = ModelConfig(hidden=3, cell="jordan", activation="tanh", classes=1, dtype="float64")
    lm = RecurrentLM.create(config, Vocab([b"</s>", b"a", b"b"], np.array([3, 2, 1])), params)
    y = [[0.2637441, 0.4625120, 0.2737438], [0.2323580, 0.5399507, 0.2276913], [0.1103510, 0.2355942, 0.6540548]]
    np.testing.assert_allclose(lm.distributions(np.array([1, 2, 0]), lm.start()), y, atol=1e-7)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"classes": 4}, "`classes` 4: `cell` jordan has only 1"),
        ({"classes": 1, "compression": 3}, "`compression` 3: `cell` jordan has none"),
        ({"classes": 1, "direct": 60}, "`direct` 60: `cell` jordan has none"),
    ],
)
def test_what_jordan_cannot_be_combined_with_is_named(settings, message):
    with pytest.raises(ValueError, match=message):
        ModelConfig(cell="jordan", **settings)


def test_rnnlm_0_4b_has_no_jordan():
    lm = model_of("jordan")
    with pytest.raises(ValueError, match=r"`compatible`: rnnlm 0\.4b has no `cell` jordan"):
        engine_of(lm, TrainConfig(compatible=True))
    require_compatible(replace(lm.config, cell="elman"), TrainConfig(compatible=True))
