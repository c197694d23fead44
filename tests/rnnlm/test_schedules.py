"""Schedules of the learning rate: factors by hand, warm-up, what ends training, and that a resumed run has the same."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rnnlm.config import ModelConfig, TrainConfig, require_fit
from rnnlm.defaults import filled_in
from rnnlm.engines import online
from rnnlm.schedules import SCHEDULES, factor
from rnnlm.trainer import Trainer
from tests.small_models import small_model, small_text

BY_HAND = {  # x: factor
    "halving": {0: 1, 0.3: 1, 1: 1},
    "constant": {0: 1, 0.3: 1, 1: 1},
    "linear": {0: 1, 0.25: 0.75, 1: 0},
    "cosine": {0: 1, 1 / 3: 0.75, 0.5: 0.5, 1: 0},
    "onecycle": {0: 0.1, 0.225: 0.55, 0.45: 1, 0.675: 0.55, 0.9: 0.1, 0.95: 0.0505, 1: 0.001},
}


def test_every_schedule_is_known_by_hand():
    assert set(BY_HAND) == set(SCHEDULES)


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_factors_are_those_by_hand(name):
    for x, expected in BY_HAND[name].items():
        assert SCHEDULES[name].factor(x) == pytest.approx(expected, abs=1e-15)


def test_x_is_the_share_of_the_words_of_all_epochs_in_the_middle_of_what_is_learnt():
    config = TrainConfig(schedule="linear", max_epochs=4)
    # words 20 to 40 of the third epoch of 100: 230 of 400 are done
    assert factor(config, 2, 20, 40, 100) == pytest.approx(1 - 230 / 400)
    assert factor(config, 0, 0, 2, 100) == pytest.approx(1 - 1 / 400)
    assert factor(config, 3, 98, 100, 100) == pytest.approx(1 / 400)


@pytest.mark.parametrize("warmup", [40, 0.1])
def test_the_rate_rises_to_alpha_and_the_schedule_has_the_words_that_are_left(warmup):
    config = TrainConfig(schedule="linear", max_epochs=4, warmup=warmup)
    assert factor(config, 0, 0, 20, 100) == pytest.approx(10 / 40)
    assert factor(config, 0, 30, 40, 100) == pytest.approx(35 / 40)
    assert factor(config, 0, 40, 40, 100) == 1
    assert factor(config, 2, 20, 20, 100) == pytest.approx(1 - 180 / 360)


def test_a_warm_up_that_is_longer_than_the_run_never_gets_to_alpha():
    config = TrainConfig(schedule="cosine", max_epochs=1, warmup=1000)
    assert factor(config, 0, 99, 101, 100) == pytest.approx(0.1)


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_text_without_words_has_a_rate(name):
    assert factor(TrainConfig(schedule=name), 0, 0, 0, 0) == SCHEDULES[name].factor(0)


# ---- in a run


@pytest.fixture
def short_chunks(monkeypatch):
    monkeypatch.setattr(online, "CHUNK", 50)


def trainer_of(lm=None, *, log10_probs=None, **settings):
    config = TrainConfig(**settings)
    trainer = Trainer(lm or small_model(), config, small_text(230, seed=7), small_text(90, seed=8))
    if log10_probs is not None:
        script = iter(log10_probs)
        trainer.validate = lambda: (next(script), 90, None)
    return trainer


def rates_of(trainer) -> list[float]:
    """The rate of every call of the kernel, which goes on as it would."""
    engine, rates = trainer.engine, []
    kernel = engine.kernel

    def recorded(*arguments):
        rates.append(float(arguments[7]))
        return kernel(*arguments)

    engine.kernel = recorded
    list(trainer.fit())
    return rates


def test_each_call_of_the_engine_has_its_own_rate(short_chunks):
    rates = rates_of(trainer_of(schedule="linear", max_epochs=2, alpha=0.5))
    middles = np.array([25, 75, 125, 175, 215])
    np.testing.assert_allclose(rates, 0.5 * (1 - np.concatenate([middles, 230 + middles]) / 460), rtol=1e-12)


def test_warm_up_goes_before_halving(short_chunks):
    rates = rates_of(trainer_of(max_epochs=2, warmup=100, alpha=0.5))
    np.testing.assert_allclose(rates, [0.125, 0.375, *[0.5] * 8], rtol=1e-12)


def test_other_schedules_end_after_max_epochs_whatever_the_validation_text_says():
    for name in ("constant", "linear", "cosine", "onecycle"):
        trainer = trainer_of(schedule=name, max_epochs=5, log10_probs=[-1000, -1100, -1000, -1200, -1300])
        reports = list(trainer.fit())
        assert [report.kept for report in reports] == [True, False, True, False, False]
        assert not trainer.progress.halving


def test_a_report_has_the_rate_of_the_middle_of_its_epoch():
    reports = list(trainer_of(schedule="linear", max_epochs=2, alpha=0.4).fit())
    assert [report.alpha for report in reports] == pytest.approx([0.3, 0.1])


def test_other_schedules_go_on_from_a_worse_epoch_and_end_with_the_best():
    lm = small_model()
    trainer = trainer_of(lm, schedule="constant", max_epochs=3, log10_probs=[-1000, -1200, -1100])
    after = []
    for _ in trainer.fit():
        after.append({name: values.copy() for name, values in lm.params.items()})
    for name, first in after[0].items():
        assert (after[1][name] != first).any()  # nothing was taken back
        np.testing.assert_array_equal(after[2][name], first)


# ---- settings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"schedule": "exponential"}, "`schedule` exponential: one of halving, constant, linear, cosine, onecycle"),
        ({"warmup": -1.0}, r"`warmup` -1.0: 0 \(none\), a share, or a number of words"),
        ({"warmup": math.inf}, "`warmup`: not a finite number"),
        ({"warmup": 0.1, "schedule": "onecycle"}, "`warmup` 0.1: `schedule` onecycle has its own"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig(**settings)


@pytest.mark.parametrize(
    ("settings", "what"), [({"schedule": "cosine"}, "schedule` cosine"), ({"warmup": 5}, "warmup` 5")]
)
def test_0_4b_has_one_schedule(settings, what):
    with pytest.raises(ValueError, match=f"`compatible`: rnnlm 0.4b has no `{what}"):
        require_fit(ModelConfig(), TrainConfig(compatible=True, **settings))


@pytest.mark.parametrize(("name", "epochs"), [("halving", 100), ("constant", 20), ("linear", 20), ("cosine", 20)])
def test_a_schedule_says_how_many_epochs_it_is_for(name, epochs):
    assert filled_in({"schedule": name})[1].max_epochs == epochs
    assert filled_in({"schedule": name, "max_epochs": 3})[1].max_epochs == 3
