"""The mean of the weights of the last epochs: its numbers, when it is the model, and from where training goes on."""

from __future__ import annotations

import numpy as np
import pytest

from rnnlm import averages
from rnnlm.averages import Average
from rnnlm.config import TrainConfig
from rnnlm.trainer import Trainer
from tests.small_models import small_model, small_text


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(averages, "_PART", 6)


def sets_of_weights(n, dtype="float64"):
    rng = np.random.default_rng(1)
    return [{"W": rng.normal(size=(5, 3)).astype(dtype), "b": rng.normal(size=7).astype(dtype)} for _ in range(n)]


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-15), ("float32", 3e-7)])
def test_the_mean_is_that_of_all_sets(small_parts, dtype, tolerance):
    sets = sets_of_weights(5, dtype)
    average = Average(sets[0])
    for n, params in enumerate(sets):
        average.add(params, n)
    for name, mean in average.arrays.items():
        expected = np.mean([params[name].astype(float) for params in sets], axis=0)
        np.testing.assert_allclose(mean, expected, rtol=tolerance, atol=tolerance)
        assert mean.dtype == dtype


def test_exchanged_twice_everything_is_where_it_was_to_the_bit(small_parts):
    params, others = sets_of_weights(2, "float32")
    average = Average(params)
    average.add(others, 0)
    before = {name: values.copy() for name, values in params.items()}
    average.exchange(params)
    for name in params:
        np.testing.assert_array_equal(params[name], others[name])
        np.testing.assert_array_equal(average.arrays[name], before[name])
    average.exchange(params)
    for name in params:
        np.testing.assert_array_equal(params[name], before[name])


def test_a_state_of_other_parameters_is_refused():
    params, others = sets_of_weights(2)
    average = Average(params)
    average.add(others, 0)
    other = Average(params)
    other.restore(average.state())
    for name, values in average.arrays.items():
        np.testing.assert_array_equal(other.arrays[name], values)
    with pytest.raises(ValueError, match=r"average.b is missing"):
        other.restore({"average.W": params["W"]})
    with pytest.raises(ValueError, match=r"average.W is float64 \(3, 5\)"):
        other.restore(average.state() | {"average.W": params["W"].T})


# ---- in a run


def weights_of_epochs(average, *, log10_probs=None, **more):
    """The weights after the last word of each epoch, and the model after its report; and the trainer."""
    lm, ends, models = small_model(), [], []

    def on_chunk(trainer):
        if trainer.progress.position == trainer.train.size:
            ends.append(copied(lm))

    config = TrainConfig(schedule="constant", max_epochs=4, average=average, **more)
    trainer = Trainer(lm, config, small_text(230, seed=7), small_text(90, seed=7), on_chunk=on_chunk)
    if log10_probs is not None:
        script = iter(log10_probs)
        trainer.validate = lambda: (next(script), 90, None)
    for _ in trainer.fit():
        models.append(copied(lm))
    return ends, models, trainer


def copied(lm):
    return {name: values.copy() for name, values in lm.params.items()}


def assert_same(mine, theirs):
    for name, values in mine.items():
        np.testing.assert_array_equal(values, theirs[name], err_msg=name)


BETTER = [-1000, -900, -800, -700]


def test_training_goes_on_from_the_weights_as_if_there_were_no_mean():
    plain, _, _ = weights_of_epochs(0, log10_probs=BETTER)
    ends, _, _ = weights_of_epochs(3, log10_probs=BETTER)
    for mine, theirs in zip(ends, plain, strict=True):
        assert_same(mine, theirs)


def test_the_model_is_the_mean_of_the_weights_of_the_last_epochs():
    ends, models, trainer = weights_of_epochs(3, log10_probs=BETTER)
    assert_same(models[0], ends[0])
    assert_same(models[1], ends[1])
    for name, values in models[2].items():
        np.testing.assert_allclose(values, (ends[1][name] + ends[2][name]) / 2, rtol=1e-14, atol=1e-15)
    for name, values in models[3].items():
        mean = (ends[1][name] + ends[2][name] + ends[3][name]) / 3
        np.testing.assert_allclose(values, mean, rtol=1e-14, atol=1e-15)
    assert trainer.progress.averaged == 3


def test_it_is_the_mean_that_is_validated():
    _, models, trainer = weights_of_epochs(2)
    valid, lm = trainer.valid, small_model()
    for values, report in zip(models, trainer.model.history, strict=True):
        if report["kept"]:
            for name, array in lm.params.items():
                array[...] = values[name]
            scored, _ = lm.score_ids(valid, lm.state_from(lm.cell.start))
            assert report["valid_entropy"] == pytest.approx(-scored.log10_prob.mean() / np.log10(2), rel=1e-12)
    assert all(report["kept"] for report in trainer.model.history)  # the text is a part of what is learnt


def test_where_the_mean_is_worse_than_an_epoch_before_the_model_is_that():
    ends, models, _ = weights_of_epochs(2, log10_probs=[-1000, -900, -950, -910])
    assert_same(models[3], ends[1])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"average": 1}, "`average` 1: `schedule` halving does not know its last epochs; choose another one"),
        ({"average": 4, "max_epochs": 3, "schedule": "linear"}, "`average` 4: more than `max_epochs` 3"),
        ({"average": -1, "schedule": "linear"}, r"`average` -1: 0 \(off\) or a number of epochs"),
    ],
)
def test_a_mean_that_cannot_be_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig(**settings)
