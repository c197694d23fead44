"""learn_stream against its twin in plain NumPy, under every combination of options."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnlm.config import ACTIVATIONS
from tests.small_models import Learner, small_model, small_text

# how the recurrent weights learn: each is met by some of the architectures
SCHEDULES = [
    {"bptt": 4, "block": 10},
    {"bptt": 0, "block": 10},
    {"bptt": 1, "block": 1},
    {"bptt": 3, "block": 5, "beta": 0.1},
    {"bptt": 7, "block": 25, "cutoff": 0.02},
    {"bptt": 2, "block": 20, "cutoff": 0.0, "alpha": 0.5},
    {"bptt": 30, "block": 3, "beta": 0.03, "cutoff": 0.05},
]
ARCHITECTURES = [
    {"activation": activation, **dict(rest)}
    for activation, *rest in product(
        ACTIVATIONS,
        [("classes", 1), ("classes", 4)],
        [("compression", 0), ("compression", 3)],
        [("direct", 0), ("direct", 60)],
        [("independent", False), ("independent", True)],
    )
]


def name_of(options: dict) -> str:
    return "-".join(f"{name}={value}" for name, value in options.items() if value)


def assert_learns_as_the_twin(learner, texts, tolerance=1e-12):
    """Each text is an epoch; those after the first reach the kernel in pieces."""
    for epoch, (ids, cuts) in enumerate(texts):
        learner.start_text()
        mine, twins = learner.learn(ids, cuts=cuts), learner.learn_by_twin(ids)
        np.testing.assert_allclose(mine, twins, rtol=tolerance, atol=tolerance, err_msg=f"epoch {epoch}")
        assert (mine[ids < 0] == 0).all()
    for name, mine, twins in learner.parameters():
        np.testing.assert_allclose(mine, twins, rtol=tolerance, atol=tolerance, err_msg=name)


# 47 and 33 words: epochs end inside blocks, whose errors wait for the next one
def three_epochs(oov):
    return [
        (small_text(47, seed=2, oov=oov), []),
        (small_text(33, seed=3, oov=oov), [1, 2, 12, 29]),
        (small_text(4, seed=4, oov=oov), [0, 3]),
    ]


@pytest.mark.parametrize(("at", "architecture"), list(enumerate(ARCHITECTURES)), ids=map(name_of, ARCHITECTURES))
def test_every_architecture_learns_as_the_twin(at, architecture):
    learner = Learner(small_model(**architecture), **SCHEDULES[at % len(SCHEDULES)])
    assert_learns_as_the_twin(learner, three_epochs(oov=at % 3 == 0))


@pytest.mark.parametrize("schedule", SCHEDULES, ids=name_of)
@pytest.mark.parametrize("independent", [False, True])
@pytest.mark.parametrize("oov", [False, True])
def test_every_schedule_learns_as_the_twin(schedule, independent, oov):
    learner = Learner(small_model(independent=independent), **schedule)
    assert_learns_as_the_twin(learner, three_epochs(oov))


@pytest.mark.compiled
@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**32 - 1),
    n_words=st.integers(2, 40),
    hidden=st.integers(1, 35),
    classes=st.integers(1, 40),
    compression=st.sampled_from([0, 0, 1, 5, 33]),
    direct=st.sampled_from([0, 0, 2, 30, 4000]),
    direct_order=st.integers(1, 20),
    activation=st.sampled_from(["logistic", "tanh", "elu"]),
    independent=st.booleans(),
    oov=st.booleans(),
    bptt=st.integers(0, 9),
    block=st.integers(1, 30),
    beta=st.sampled_from([0.0, 1e-7, 0.05]),
    cutoff=st.sampled_from([0.0, 0.03, 15.0]),
    lengths=st.lists(st.integers(0, 45), min_size=1, max_size=3),
)
def test_any_combination_of_options_learns_as_the_twin(
    seed, n_words, hidden, classes, compression, direct, direct_order, activation, independent, oov, bptt, block, beta,
    cutoff, lengths,
):  # fmt: skip
    rng = np.random.default_rng(seed)
    lm = small_model(
        n_words, seed=seed, scale=2.0, counts=rng.integers(1, 50, n_words), hidden=hidden,
        classes=min(classes, n_words), compression=compression, direct=direct, direct_order=direct_order,
        activation=activation, independent=independent,
    )  # fmt: skip
    learner = Learner(lm, bptt=bptt, block=block, beta=beta, cutoff=cutoff)
    texts = [
        (small_text(n, n_words, seed=seed + i, oov=oov, sentence=5), sorted(rng.integers(0, n + 1, 3)))
        for i, n in enumerate(lengths)
    ]
    assert_learns_as_the_twin(learner, texts, tolerance=1e-10)


@pytest.mark.parametrize(
    "config", [{}, {"classes": 1}, {"compression": 3, "direct": 60, "activation": "tanh"}], ids=name_of
)
def test_float32_learns_nearly_as_the_twin(config):
    learner = Learner(small_model(dtype="float32", **config), bptt=3, block=7)
    assert_learns_as_the_twin(learner, three_epochs(oov=True), tolerance=2e-5)


def test_pieces_that_end_with_blocks_give_the_same_bits_as_one_call():
    # what lets an interrupted run end as one that was not
    one, two = Learner(small_model()), Learner(small_model())
    ids = small_text(60)
    np.testing.assert_array_equal(one.learn(ids), two.learn(ids, cuts=[10, 30, 40]))
    for a, b in zip(one.lm.weights, two.lm.weights, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("config", [{}, {"classes": 1}, {"compression": 3}, {"direct": 60}], ids=name_of)
def test_padding_stays_zero(config):
    # the kernels read whole vectors, so that anything there would count
    learner = Learner(small_model(**config), beta=0.1)
    learner.learn(small_text(60, oov=True))
    sizes = {name: array.shape for name, array in learner.lm.params.items()}
    for name, array in learner.lm.weights._asdict().items():
        rest = array.copy()
        rest[tuple(slice(n) for n in sizes.get(name, array.shape))] = 0
        assert not rest.any(), name
    n_hidden = learner.lm.config.hidden
    assert not learner.state.hidden[:, n_hidden:].any()
    assert not learner.state.error[:, n_hidden:].any()


# (words, architecture, schedule): the sizes at which a row too few would show
EXTREMES = [
    (14, {}, {"bptt": 6, "block": 12}),
    (14, {"independent": True, "classes": 1}, {"bptt": 6, "block": 12}),
    (2, {"hidden": 1, "classes": 1}, {"bptt": 0}),
    (2, {"hidden": 1, "classes": 2, "direct": 2, "direct_order": 20}, {"bptt": 1, "block": 1}),
    (33, {"hidden": 16, "classes": 33}, {"bptt": 50, "block": 2}),
    (33, {"hidden": 17, "classes": 33, "compression": 50, "direct": 4}, {"bptt": 4, "block": 10}),
    (200, {"hidden": 8, "classes": 1, "compression": 9, "direct": 1000, "direct_order": 20}, {"bptt": 9, "block": 17}),
    (200, {"hidden": 40, "classes": 3, "scale": 1.0}, {"bptt": 4, "block": 1000}),
    (97, {"hidden": 9, "classes": 1}, {"bptt": 2, "block": 1000}),
]


@pytest.mark.parametrize(("n_words", "config", "schedule"), EXTREMES)
def test_nothing_beyond_the_arrays_is_written(n_words, config, schedule):
    # every array stands between two stretches of bytes that must stay; compiled code checks no bounds
    learner = Learner(small_model(n_words, **config), **schedule)
    ids, guards = small_text(80, n_words, oov=True), []

    def guarded(array):
        room = np.full(array.nbytes + 2 * 4096, 0xA5, np.uint8)
        inside = room[4096 : 4096 + array.nbytes].view(array.dtype).reshape(array.shape)
        inside[...] = array
        guards.append((room[:4096], room[4096 + array.nbytes :]))
        return inside

    weights, state, scratch = (type(a)(*map(guarded, a)) for a in (learner.lm.weights, learner.state, learner.scratch))
    from rnnlm.cells.elman import learn_stream

    log_prob = guarded(np.zeros(ids.size))
    learn_stream(
        weights, state, scratch, learner.shape, guarded(ids),
        guarded(learner.lm.class_of_word), guarded(learner.lm.class_start), *learner.rates, log_prob,
    )  # fmt: skip
    np.testing.assert_array_equal(log_prob, learner.learn(ids))
    assert all((part == 0xA5).all() for pair in guards for part in pair)


def test_words_outside_the_vocabulary_teach_the_network_nothing():
    learner = Learner(small_model(), beta=0)
    before = {name: values.copy() for name, values in learner.lm.weights._asdict().items()}
    assert (learner.learn(np.full(10, -1, np.int32)) == 0).all()
    for name, values in learner.lm.weights._asdict().items():
        np.testing.assert_array_equal(values, before[name])


def test_no_words_change_nothing():
    learner = Learner(small_model())
    before = [array.copy() for array in (*learner.lm.weights, *learner.state)]
    assert learner.learn(np.zeros(0, np.int32)).size == 0
    for mine, old in zip((*learner.lm.weights, *learner.state), before, strict=True):
        np.testing.assert_array_equal(mine, old)
