"""What a block of words teaches is alpha times the gradient of its log likelihood: finite differences for every parameter.

Learning is online, so that the claim holds where alpha goes to zero: the mean of the updates with alpha and with
-alpha is free of terms of second order.  The block begins a text with the state 0: as in rnnlm 0.4b the state before
the oldest row of a back-propagation counts as 0, whatever it was.
"""

from itertools import product

import numpy as np
import pytest

from rnnlm.config import ACTIVATIONS
from tests.reference.online import ACTIVATIONS as FUNCTIONS
from tests.reference.online import feature_places
from tests.small_models import Learner, small_model

ALPHA, STEP = 1e-5, 1e-5
WORDS = np.array([3, 7, 0, 1, 3, 3, 6, 0, 2], np.int32)  # a word twice in a row, and </s> inside
N_WORDS, HIDDEN = 8, 4


def log_likelihoods(params, words, class_of_word, config, state=0.0):
    """(B,) sums over the words, for B settings of the parameters at once: each of ``params`` has a leading axis B."""
    f, sigmoid = FUNCTIONS[config.activation][0], FUNCTIONS["logistic"][0]
    hidden = np.full((len(params["W"]), config.hidden), state)
    total, last, history = 0.0, 0, [0] * 20
    for word in words:
        hidden = f(params["U"][:, last] + np.einsum("bi,bij->bj", hidden, params["W"]))
        below = sigmoid(np.einsum("bph,bh->bp", params["K"], hidden)) if "K" in params else hidden
        c = class_of_word[word]
        members = np.flatnonzero(class_of_word == c)
        for M, rows, target, group in (
            (params["C"], np.arange(config.classes), c, 0),
            (params["O"], members, word - members[0], c + 1),
        ):
            scores = np.einsum("brp,bp->br", M[:, rows], below)
            if "D" in params:
                places = feature_places(history, config.direct_order, group, len(rows), config.direct)
                scores = scores + np.stack([params["D"][:, at].sum(axis=1) for at in places], axis=1)
            total = total + scores[:, target] - np.log(np.exp(scores).sum(axis=1))
        last, history = word, [word, *history[:19]]
    return total


def gradient(params, words, class_of_word, config, state=0.0):
    """dict as ``params``: central differences, one parameter at a time."""
    flat = np.concatenate([values.ravel() for values in params.values()])
    settings = np.repeat(flat[None], 2 * flat.size, axis=0)
    every = np.arange(flat.size)
    settings[every, every] += STEP
    settings[flat.size + every, every] -= STEP
    shaped, at = {}, 0
    for name, values in params.items():
        shaped[name] = settings[:, at : at + values.size].reshape(-1, *values.shape)
        at += values.size
    up, down = np.split(log_likelihoods(shaped, words, class_of_word, config, state), 2)
    slopes = np.split((up - down) / (2 * STEP), np.cumsum([values.size for values in params.values()])[:-1])
    return {name: slope.reshape(params[name].shape) for name, slope in zip(params, slopes, strict=True)}


def learnt(config, words, state=0.0, **schedule):
    """dict: how far a unit of learning rate moves each parameter."""
    moved = []
    for alpha in (ALPHA, -ALPHA):
        learner = Learner(small_model(N_WORDS, **config), alpha=alpha, beta=0, cutoff=0, **schedule)
        learner.state.start_text(HIDDEN, state)
        learner.learn(words)
        moved.append({name: values.copy() for name, values in learner.lm.params.items()})
    up, down = moved
    return {name: (up[name] - down[name]) / (2 * ALPHA) for name in up}


def assert_learns_the_gradient(config, words, state=0.0, **schedule):
    lm = small_model(N_WORDS, **config)
    expected = gradient(lm.params, words, lm.class_of_word, lm.config, state)
    for name, values in learnt(config, words, state, **schedule).items():
        assert name == "D" or config["classes"] == 1 or np.abs(expected[name]).max() > 1e-3, (
            f"{name}: nothing to compare"
        )
        np.testing.assert_allclose(values, expected[name], rtol=1e-6, atol=1e-8, err_msg=name)


@pytest.mark.parametrize(
    ("activation", "classes", "compression", "direct"), list(product(ACTIVATIONS, (1, 3), (0, 3), (0, 40)))
)
def test_a_block_learns_the_gradient_of_its_log_likelihood(activation, classes, compression, direct):
    config = {
        "hidden": HIDDEN, "activation": activation, "classes": classes, "compression": compression, "direct": direct
    }  # fmt: skip
    assert_learns_the_gradient(config, WORDS, bptt=1, block=WORDS.size)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_steps_beyond_the_beginning_of_the_text_change_nothing(activation):
    config = {"hidden": HIDDEN, "activation": activation, "classes": 3}
    assert_learns_the_gradient(config, WORDS, bptt=12, block=WORDS.size)


@pytest.mark.parametrize("state", [0.1, 1.0])
def test_without_back_propagation_a_word_learns_from_the_state_that_it_was_given(state):
    config = {"hidden": HIDDEN, "classes": 3}
    assert_learns_the_gradient(config, WORDS[:1], state, bptt=0, block=10)


def test_bptt_of_one_word_at_a_time_leaves_the_past_out():
    # without BPTT the update after two words has no part through the first state; with it, it does
    config = {"hidden": HIDDEN, "classes": 3}
    lm = small_model(N_WORDS, **config)
    whole = gradient(lm.params, WORDS[:2], lm.class_of_word, lm.config)["U"]
    np.testing.assert_allclose(learnt(config, WORDS[:2], bptt=1, block=2)["U"], whole, rtol=1e-6, atol=1e-8)
    assert np.abs(learnt(config, WORDS[:2], bptt=0, block=1)["U"] - whole).max() > 1e-3


@pytest.mark.parametrize("independent", [False, True])
def test_the_second_block_reaches_bptt_words_into_the_first(independent):
    # blocks of 4 words that go back 6: errors of the second block's words flow to the first block's last two steps
    config = {"hidden": HIDDEN, "classes": 3, "independent": independent}
    words = np.array([3, 7, 1, 2, 3, 6, 5, 2], np.int32)
    lm = small_model(N_WORDS, **config)
    first = gradient(lm.params, words[:4], lm.class_of_word, lm.config)["W"]
    both = learnt(config, words, bptt=3, block=4)["W"]
    everything = gradient(lm.params, words, lm.class_of_word, lm.config)["W"]
    long = learnt(config, words, bptt=5, block=4)["W"]
    # 4 + 5 - 1 rows hold both blocks: the second block's whole gradient
    np.testing.assert_allclose(long, everything, rtol=1e-5, atol=1e-7)
    assert np.abs(both - everything).max() > 1e-5
    assert np.abs(both - first).max() > 1e-3
