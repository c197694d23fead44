"""Optimizers: steps by hand and of twins in NumPy, whole arrays and rows, clipping, and the settings that are refused.

The twins are written as the papers have the equations, in float64; weights climb.
"""

from __future__ import annotations

import numpy as np
import pytest

from rnnlm.config import TrainConfig
from rnnlm.optimizers import EPSILON, OPTIMIZERS, slots, step_of
from rnnlm.threads import Workers
from rnnlm.updates import PIECE, Dense, Rows, norm

every_optimizer = pytest.mark.parametrize("optimizer", OPTIMIZERS)
every_dtype = pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-13), ("float32", 2e-6)])


# ---- twins: (w, g, t, slots of the step before, settings) -> w, slots


def sgd(w, g, t, slots, *, rate, decay, momentum, **_):
    m = momentum * slots.get("m", 0.0) + g
    return w - rate * decay * w + rate * m, {"m": m}


def adagrad(w, g, t, slots, *, rate, decay, **_):
    G = slots.get("G", 0.0) + g**2
    return w - rate * decay * w + rate * g / (np.sqrt(G) + EPSILON), {"G": G}


def rmsprop(w, g, t, slots, *, rate, decay, beta2, **_):
    v = beta2 * slots.get("v", 0.0) + (1 - beta2) * g**2
    return w - rate * decay * w + rate * g / (np.sqrt(v) + EPSILON), {"v": v}


def adam(w, g, t, slots, *, rate, decay, beta1, beta2, **_):
    """Kingma & Ba (2015), algorithm 1, with the decay of Loshchilov & Hutter (2019), algorithm 2, line 12."""
    m = beta1 * slots.get("m", 0.0) + (1 - beta1) * g
    v = beta2 * slots.get("v", 0.0) + (1 - beta2) * g**2
    m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
    return w - rate * decay * w + rate * m_hat / (np.sqrt(v_hat) + EPSILON), {"m": m, "v": v}


TWINS = {"sgd": sgd, "adagrad": adagrad, "rmsprop": rmsprop, "adam": adam}


def test_every_optimizer_has_a_twin():
    assert set(TWINS) == set(OPTIMIZERS)


def settings_of(config):
    return {"decay": config.weight_decay, "momentum": config.momentum, "beta1": config.beta1, "beta2": config.beta2}


def slots_for(config, weights):
    """m and v, as an engine has them: only those that the optimizer has are of the weights' shape."""
    n = slots(config)
    return [np.zeros_like(weights) if k < n else np.zeros(1, weights.dtype) for k in range(2)]


def take(gradient, m, v, config, rate, t, factor=1.0, threads=1):
    real = gradient.weights.dtype.type
    gradient.update(Workers(threads, real), m, v, step_of(config, rate, factor, t).in_reals(real))


@every_optimizer
@every_dtype
@pytest.mark.parametrize("more", [{}, {"momentum": 0.9, "beta1": 0.8, "beta2": 0.95, "weight_decay": 0.1}])
def test_a_whole_array_takes_the_steps_of_the_twin(optimizer, dtype, tolerance, more):
    config, rng = TrainConfig(optimizer=optimizer, **more), np.random.default_rng(1)
    weights = rng.normal(size=(7, 9)).astype(dtype)
    expected, kept = weights.astype(float), {}
    gradient, (m, v) = Dense(weights), slots_for(config, weights)
    for t in range(1, 6):
        gradient.values[...] = rng.normal(size=weights.shape)
        rate, g = 0.1 / t, gradient.values.astype(float)
        expected, kept = TWINS[optimizer](expected, g, t, kept, rate=rate, **settings_of(config))
        take(gradient, m, v, config, rate, t)
        np.testing.assert_allclose(weights, expected, rtol=tolerance, atol=tolerance)


@every_optimizer
@every_dtype
def test_rows_take_the_steps_of_the_twin_and_all_others_stand_still(optimizer, dtype, tolerance):
    config = TrainConfig(optimizer=optimizer, momentum=0.5, weight_decay=0.1)
    rng = np.random.default_rng(2)
    weights = rng.normal(size=(6, 5)).astype(dtype)
    expected, kept = weights.astype(float), {}
    gradient, (m, v) = Rows(weights, 4), slots_for(config, weights)
    for t, ids in enumerate(([3, 1, 3, -1], [1, 1, 1, 0], [-1, -1, -1, -1]), 1):
        D = rng.normal(size=(4, 5)).astype(dtype)
        gradient.merge(Workers(1, dtype), np.array(ids, np.int32), D)
        for word in {word for word in ids if word >= 0}:
            g = D[np.array(ids) == word].astype(float).sum(0)
            expected[word], kept[word] = TWINS[optimizer](
                expected[word], g, t, kept.get(word, {}), rate=0.1, **settings_of(config)
            )
        take(gradient, m, v, config, 0.1, t)
        np.testing.assert_allclose(weights, expected, rtol=tolerance, atol=tolerance)
    never = [2, 4, 5]
    for slot in (m, v)[: slots(config)]:
        assert not slot[never].any()
        assert slot[[0, 1, 3]].all()


BY_HAND = {
    # w = 1, g = 2 and then -1, rate 0.1
    "sgd": ({}, [1.2, 1.1]),
    # m = 2, then 0.5 * 2 - 1 = 0
    "sgd with momentum": ({"momentum": 0.5}, [1.2, 1.2]),
    # every step first takes 0.1 * 0.5 of the weight: 0.95 + 0.2, then 0.95 * 1.15 - 0.1
    "sgd with decay": ({"weight_decay": 0.5}, [1.15, 0.9925]),
    # sums of squares 4 and 5: + 0.1 * 2 / 2, then - 0.1 / sqrt(5)
    "adagrad": ({}, [1.1, 1.1 - 0.1 / 5**0.5]),
    # v = 0.5 * 4 = 2, then 0.5 * 2 + 0.5 * 1 = 1.5
    "rmsprop": ({"beta2": 0.5}, [1 + 0.2 / 2**0.5, 1 + 0.2 / 2**0.5 - 0.1 / 1.5**0.5]),
    # the first step is rate * sign; m = 1, then 0.5 - 0.5 = 0: the second is none
    "adam": ({"beta1": 0.5}, [1.1, 1.1]),
}


@every_dtype
@pytest.mark.parametrize("name", BY_HAND)
def test_two_steps_by_hand(name, dtype, tolerance):
    more, expected = BY_HAND[name]
    config, weights = TrainConfig(optimizer=name.split()[0], **more), np.ones((1, 1), dtype)
    gradient, (m, v) = Dense(weights), slots_for(config, weights)
    for t, (g, value) in enumerate(zip((2.0, -1.0), expected, strict=True), 1):
        gradient.values[...] = g
        take(gradient, m, v, config, 0.1, t)
        assert weights[0, 0] == pytest.approx(value, rel=max(tolerance, 2e-8))  # EPSILON is not in these numbers


@every_optimizer
@pytest.mark.parametrize("threads", [2, 3])
def test_steps_are_the_same_on_any_number_of_threads(optimizer, threads):
    config, rng = TrainConfig(optimizer=optimizer, momentum=0.9, weight_decay=0.1), np.random.default_rng(3)
    start, g = rng.normal(size=(2, 11, 13)).astype(np.float32)
    found = []
    for n in (1, threads):
        weights = start.copy()
        dense, rows = Dense(weights), Rows(weights, 11)
        dense.values[...] = g
        rows.merge(Workers(n, np.float32), np.arange(11, dtype=np.int32) // 3, g)
        for t, gradient in enumerate((dense, rows), 1):
            take(gradient, *slots_for(config, weights), config, 0.1, t, threads=n)
        found.append(weights)
    np.testing.assert_array_equal(*found)


# ---- clipping


def test_the_norm_is_that_of_all_gradients_together():
    dense, rows = Dense(np.zeros((2, 2))), Rows(np.zeros((5, 2)), 4)
    dense.values[...] = [[1, 2], [2, 0]]
    rows.merge(Workers(1, float), np.array([4, 1, 4, -1], np.int32), np.array([[1.0, 2], [3, 0], [1, 2], [9, 9]]))
    # 1 + 4 + 4, row 1: 9, row 4: 2^2 + 4^2; what is left of the rows from a block before does not count
    assert norm([dense, rows], Workers(1, float)) == pytest.approx((9 + 9 + 20) ** 0.5, rel=1e-15)
    rows.merge(Workers(1, float), np.full(4, -1, np.int32), np.ones((4, 2)))
    assert norm([dense, rows], Workers(1, float)) == 3


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_norm_has_the_same_bits_on_any_number_of_threads(dtype):
    gradient = Dense(np.zeros((3, PIECE + 5), dtype))
    gradient.values[...] = np.random.default_rng(4).normal(size=gradient.values.shape)
    norms = {norm([gradient], Workers(n, dtype)) for n in (1, 2, 3, 5)}
    assert len(norms) == 1
    assert norms.pop() == pytest.approx(np.linalg.norm(gradient.values.astype(float)), rel=1e-13)


@every_dtype
def test_what_clipping_leaves_is_the_gradient_times_a_factor(dtype, tolerance):
    config, weights = TrainConfig(), np.zeros((1, 2), dtype)
    gradient = Dense(weights)
    gradient.values[...] = [3, 4]
    take(gradient, *slots_for(config, weights), config, 1.0, 1, factor=0.5)
    np.testing.assert_allclose(weights, [[1.5, 2]], rtol=tolerance)


# ---- settings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"optimizer": "adamw"}, "`optimizer` adamw: one of sgd, adagrad, rmsprop, adam"),
        ({"momentum": 1.0}, "`momentum` 1.0: 0 or above, below 1"),
        ({"beta1": 1.0}, "`beta1` 1.0: 0 or above, below 1"),  # the correction of the mean would divide by 0
        ({"beta2": 1.0}, "`beta2` 1.0: 0 or above, below 1"),
        ({"beta2": -0.1}, "`beta2` -0.1: 0 or above, below 1"),
        ({"clip_norm": -1.0}, r"`clip_norm` -1.0: 0 \(off\) or above"),
        ({"weight_decay": -0.1}, "`weight_decay` -0.1: 0 or above"),
    ],
)
def test_an_optimizer_that_cannot_be_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig(**settings)
