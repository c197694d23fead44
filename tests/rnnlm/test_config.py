"""Configurations are checked when they are made; what is wrong is said in terms of the command's options."""

import math
from dataclasses import FrozenInstanceError

import pytest

from rnnlm.config import ModelConfig, TrainConfig, parameter_shapes


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden": 0}, "`hidden` 0: at least 1"),
        ({"hidden": -5}, "`hidden` -5"),
        ({"cell": "perceptron"}, "`cell` perceptron: one of elman, jordan"),
        ({"activation": "step"}, "`activation` step: one of logistic, tanh, relu, elu"),
        ({"classes": 0}, "`classes` 0: at least 1"),
        ({"compression": -1}, "`compression` -1"),
        ({"direct": -2}, "`direct` -2"),
        ({"direct": 7}, "`direct` 7: an even number"),
        ({"direct_order": 0}, "`direct_order` 0: 1 to 20"),
        ({"direct_order": 21}, "`direct_order` 21: 1 to 20"),
        ({"dtype": "float16"}, "`dtype` float16: one of float32, float64"),
    ],
)
def test_a_model_that_cannot_be_is_refused_with_the_option_and_the_remedy(settings, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(")) as caught:
        ModelConfig(**settings)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"alpha": 0}, "`alpha` 0: above 0"),
        ({"alpha": math.nan}, "`alpha`: not a finite number"),
        ({"alpha": math.inf}, "`alpha`: not a finite number"),
        ({"beta": -1e-9}, "`beta` -1e-09"),
        ({"bptt": -1}, "`bptt` -1"),
        ({"bptt_block": 0}, "`bptt_block` 0"),
        ({"gradient_cutoff": -1}, "`gradient_cutoff` -1"),
        ({"gradient_cutoff": math.nan}, "`gradient_cutoff`: not a finite number"),
        ({"min_improvement": math.inf}, "`min_improvement`: not a finite number"),
        ({"max_epochs": 0}, "`max_epochs` 0"),
        ({"initialisation": "zeros"}, "`initialisation` zeros: one of mikolov, uniform, normal, xavier, he"),
        ({"scale": 0}, "`scale` 0"),
        ({"seed": -1}, "`seed` -1"),
    ],
)
def test_training_that_cannot_be_is_refused_with_the_option_and_the_remedy(settings, message):
    with pytest.raises(ValueError, match=message) as caught:
        TrainConfig(**settings)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "settings", [{"hidden": 1}, {"classes": 1}, {"direct": 2, "direct_order": 1}, {"direct_order": 20}, {"direct": 0}]
)
def test_the_limits_themselves_are_allowed(settings):
    assert ModelConfig(**settings).to_dict() == ModelConfig().to_dict() | settings


@pytest.mark.parametrize("settings", [{"bptt": 0}, {"bptt_block": 1}, {"beta": 0}, {"gradient_cutoff": 0}, {"seed": 0}])
def test_what_switches_something_off_is_allowed(settings):
    assert TrainConfig(**settings).to_dict() == TrainConfig().to_dict() | settings


@pytest.mark.parametrize("config", [ModelConfig(), TrainConfig()], ids=["model", "training"])
def test_a_configuration_is_a_value(config):
    with pytest.raises(FrozenInstanceError):
        config.seed = 3
    assert type(config).from_dict(config.to_dict()) == config
    assert hash(config) == hash(type(config)())


@pytest.mark.parametrize("kind", [ModelConfig, TrainConfig])
def test_a_setting_of_a_newer_version_is_named(kind):
    with pytest.raises(ValueError, match="unknown setting attention, gates: written by a newer version"):
        kind.from_dict({"gates": 3, "attention": 1})


@pytest.mark.parametrize("kind", [ModelConfig, TrainConfig])
def test_a_setting_that_an_older_version_lacked_has_its_default(kind):
    assert kind.from_dict({}) == kind()


def test_defaults_of_training_are_those_of_0_4b():
    config = TrainConfig()
    assert (config.alpha, config.beta, config.gradient_cutoff, config.min_improvement) == (0.1, 1e-7, 15, 1.003)
    assert (config.bptt_block, config.seed) == (10, 1)


def test_the_parameters_of_a_model():
    config = ModelConfig(hidden=3, classes=2)
    assert parameter_shapes(config, 7) == {"U": (7, 3), "W": (3, 3), "O": (7, 3), "C": (2, 3)}
    config = ModelConfig(hidden=3, classes=2, compression=4, direct=10)
    assert parameter_shapes(config, 7) == {"U": (7, 3), "W": (3, 3), "K": (4, 3), "O": (7, 4), "C": (2, 4), "D": (10,)}
