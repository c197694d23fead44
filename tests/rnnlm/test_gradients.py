"""A block of words teaches alpha times the gradient of its log likelihood: finite differences over every parameter.

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


def log_likelihoods(params, words, class_of_word, config, state=0.0, frozen=None, first=0):
    """(B,) sums over words[first:], for B settings of the parameters at once: each of ``params`` has a leading axis B.

    ``frozen``: (n, U, W), what the first n steps of the hidden layer use instead.
    """
    f, sigmoid = FUNCTIONS[config.activation][0], FUNCTIONS["logistic"][0]
    hidden = np.full((len(params["W"]), config.hidden), state)
    total, last, history = 0.0, 0, [0] * 20
    for t, word in enumerate(words.tolist()):
        U, W = (frozen[1][None], frozen[2][None]) if frozen and t < frozen[0] else (params["U"], params["W"])
        hidden = f(U[:, last] + np.einsum("bi,bij->bj", hidden, np.broadcast_to(W, (len(hidden), *W.shape[1:]))))
        below = sigmoid(np.einsum("bph,bh->bp", params["K"], hidden)) if "K" in params else hidden
        c = int(class_of_word[word])
        members = np.flatnonzero(class_of_word == c)
        for M, rows, target, group in (
            (params["C"], np.arange(config.classes), c, 0),
            (params["O"], members, word - members[0], c + 1),
        ):
            scores = np.einsum("brp,bp->br", M[:, rows], below)
            if "D" in params:
                places = feature_places(history, config.direct_order, group, len(rows), config.direct)
                scores = scores + np.stack([params["D"][:, at].sum(axis=1) for at in places], axis=1)
            if t >= first:
                total = total + scores[:, target] - np.log(np.exp(scores).sum(axis=1))
        last, history = word, [word, *history[:19]]
    return total


def gradient(lm, words, **how):
    """dict as ``lm.params``: central differences, one parameter at a time.  ``how``: see log_likelihoods."""
    params = lm.params
    flat = np.concatenate([values.ravel() for values in params.values()])
    settings = np.repeat(flat[None], 2 * flat.size, axis=0)
    every = np.arange(flat.size)
    settings[every, every] += STEP
    settings[flat.size + every, every] -= STEP
    shaped, at = {}, 0
    for name, values in params.items():
        shaped[name] = settings[:, at : at + values.size].reshape(-1, *values.shape)
        at += values.size
    up, down = np.split(log_likelihoods(shaped, words, lm.class_of_word, lm.config, **how), 2)
    slopes = np.split((up - down) / (2 * STEP), np.cumsum([values.size for values in params.values()])[:-1])
    return {name: slope.reshape(params[name].shape) for name, slope in zip(params, slopes, strict=True)}


def learnt(config, words, state=0.0, **schedule):
    """dict: how far a unit of learning rate moves each parameter."""
    moved = []
    for alpha in (ALPHA, -ALPHA):
        learner = Learner(small_model(N_WORDS, **config), alpha=alpha, beta=0, cutoff=0, **schedule)
        learner.engine.start_text(state)
        learner.learn(words)
        moved.append({name: values.copy() for name, values in learner.lm.params.items()})
    up, down = moved
    return {name: (up[name] - down[name]) / (2 * ALPHA) for name in up}


def assert_learns_the_gradient(config, words, state=0.0, **schedule):
    lm = small_model(N_WORDS, **config)
    expected = gradient(lm, words, state=state)
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


@pytest.mark.parametrize("bptt", [1, 2, 3, 5])
def test_a_block_reaches_bptt_words_back_beyond_its_first(bptt):
    # two blocks of four words: the second one's errors flow through the 4 + bptt - 1 newest steps
    config, block = {"hidden": HIDDEN, "classes": 3}, 4
    words = np.array([3, 7, 1, 2, 3, 6, 5, 2], np.int32)
    lm = small_model(N_WORDS, **config)
    out_of_reach = (2 * block - (block + bptt - 1), lm.params["U"], lm.params["W"])
    first = gradient(lm, words[:block])
    second = gradient(lm, words, frozen=out_of_reach, first=block)
    both = learnt(config, words, bptt=bptt, block=block)
    for name, values in both.items():
        np.testing.assert_allclose(values, first[name] + second[name], rtol=1e-6, atol=1e-8, err_msg=name)


def test_without_back_propagation_an_error_stays_at_its_word():
    config, words = {"hidden": HIDDEN, "classes": 3}, WORDS[:3]
    lm = small_model(N_WORDS, **config)
    expected = sum(
        gradient(lm, words[: t + 1], frozen=(t, lm.params["U"], lm.params["W"]), first=t)["W"] for t in range(3)
    )
    np.testing.assert_allclose(learnt(config, words, bptt=0)["W"], expected, rtol=1e-6, atol=1e-8)
