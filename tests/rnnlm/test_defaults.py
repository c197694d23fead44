"""What training takes unless it is told: a table of claims, and what depends on what."""

from __future__ import annotations

import pytest

from corpora.settings import settings_of
from rnnlm.cells import CELLS
from rnnlm.config import ModelConfig, TrainConfig, require_fit
from rnnlm.defaults import ALPHAS, BATCH_ONLY, DEPENDENT, LOSSES_ONLY, ONLINE_ONLY, OPTIMIZERS_ONLY, filled_in, unused
from rnnlm.optimizers import OPTIMIZERS
from rnnlm.schedules import SCHEDULES


def settings(**given) -> dict:
    model, training = filled_in(given)
    return vars(model) | vars(training)


ONLINE = {
    "engine": "online", "batch_size": 1, "bptt": 4, "bptt_block": 10, "gradient_cutoff": 15.0, "clip_norm": 0.0,
    "alpha": 0.1, "max_epochs": 100, "schedule": "halving",
}  # fmt: skip
BATCHES = {
    "engine": "minibatch", "batch_size": 20, "bptt": 35, "gradient_cutoff": 0.0, "clip_norm": 5.0,
    "optimizer": "adam", "alpha": 0.002, "schedule": "halving", "max_epochs": 100,
}  # fmt: skip

CLAIMS = {
    "nothing said: rnnlm 0.4b's": ({}, ONLINE | {"cell": "elman", "hidden": 100, "classes": 100, "embedding": 0}),
    "its activation and first weights": ({}, {"activation": "logistic", "initialisation": "mikolov"}),
    "None is nothing said": ({"alpha": None, "classes": None, "max_epochs": None}, ONLINE | {"classes": 100}),
    "tanh units learn slower": ({"activation": "tanh"}, ONLINE | {"alpha": 0.014}),
    "many of them slower still": ({"activation": "tanh", "hidden": 200}, {"alpha": 0.007}),
    "Jordan's network has no classes": ({"cell": "jordan"}, ONLINE | {"classes": 1, "activation": "logistic"}),
    "an LSTM learns from batches": ({"cell": "lstm"}, BATCHES | {"classes": 1, "initialisation": "uniform"}),
    "so do layers": ({"layers": 2}, BATCHES | {"classes": 1, "activation": "tanh", "initialisation": "uniform"}),
    "so does what has an embedding": ({"embedding": 30}, BATCHES | {"classes": 1, "activation": "tanh"}),
    "so does 0.4b's network if asked": (
        {"batch_size": 8},
        BATCHES | {"batch_size": 8, "classes": 100, "activation": "logistic", "initialisation": "mikolov"},
    ),
    "or by name": ({"engine": "minibatch"}, BATCHES | {"classes": 100}),
    "an engine that is named stays": ({"engine": "online", "activation": "relu"}, ONLINE | {"alpha": 0.005}),
    "one part of the text is a batch, too": ({"cell": "lstm", "batch_size": 1}, BATCHES | {"batch_size": 1}),
    "tied: the embedding is as wide as the layer": ({"cell": "lstm", "tied": True, "hidden": 70}, {"embedding": 70}),
    "or as wide as usual": ({"cell": "lstm", "tied": True}, {"embedding": 100, "hidden": 100}),
    "what is said stays": (
        {"cell": "lstm", "alpha": 1.0, "bptt": 5, "clip_norm": 0.0, "classes": 9, "gradient_cutoff": 1.0},
        {"alpha": 1.0, "bptt": 5, "clip_norm": 0.0, "classes": 9, "gradient_cutoff": 1.0},
    ),
    "sgd has its rate": ({"cell": "lstm", "optimizer": "sgd"}, BATCHES | {"optimizer": "sgd", "alpha": 1.0}),
    "adagrad has": ({"cell": "lstm", "optimizer": "adagrad"}, {"alpha": 0.1}),
    "rmsprop has": ({"cell": "lstm", "optimizer": "rmsprop"}, {"alpha": 0.002}),
    "a schedule has its epochs": ({"schedule": "cosine"}, ONLINE | {"schedule": "cosine", "max_epochs": 20}),
    "one cycle is short": ({"cell": "lstm", "schedule": "onecycle"}, {"max_epochs": 10, "alpha": 0.002}),
    "nothing is left out": ({"cell": "lstm"}, {"dropout": 0.0, "locked": False, "weight_decay": 0.0, "average": 0}),
}


@pytest.mark.parametrize("claim", CLAIMS)
def test_unless_told_otherwise(claim):
    given, expected = CLAIMS[claim]
    found = settings(**given)
    for name, value in expected.items():
        assert found[name] == (pytest.approx(value, rel=1e-12) if isinstance(value, float) else value), name


@pytest.mark.parametrize("claim", CLAIMS)
def test_defaults_go_with_each_other(claim):
    model, training = filled_in(CLAIMS[claim][0])
    require_fit(model, training)


def test_only_dependent_settings_differ_from_what_they_declare():
    for given, _ in CLAIMS.values():
        found = settings(**given)
        for kind in (ModelConfig, TrainConfig):
            for name, declared in settings_of(kind).items():
                if name not in given and name not in DEPENDENT:
                    assert found[name] == declared.default, (given, name)


def test_every_optimizer_has_a_rate_and_every_schedule_its_epochs():
    assert set(ALPHAS) == set(OPTIMIZERS)
    assert {schedule.max_epochs for schedule in SCHEDULES.values()} == {100, 20, 10}


def test_settings_of_one_engine_are_not_those_of_the_other():
    assert not set(ONLINE_ONLY) & set(BATCH_ONLY)
    assert set(ONLINE_ONLY) | set(BATCH_ONLY) | set(DEPENDENT) <= {*settings_of(ModelConfig), *settings_of(TrainConfig)}


LSTM_LACKS = (*ONLINE_ONLY, "activation", "old_classes", "direct_order")  # with a softmax over all words


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({}, {*BATCH_ONLY, *OPTIMIZERS_ONLY, "direct_order"}),
        ({"cell": "lstm"}, {*LSTM_LACKS, *LOSSES_ONLY, "momentum"}),
        ({"cell": "lstm", "optimizer": "sgd"}, {*LSTM_LACKS, *LOSSES_ONLY, "beta1", "beta2"}),
        ({"cell": "lstm", "optimizer": "rmsprop"}, {*LSTM_LACKS, *LOSSES_ONLY, "momentum", "beta1"}),
        ({"cell": "lstm", "optimizer": "adagrad"}, {*LSTM_LACKS, *LOSSES_ONLY, "momentum", "beta1", "beta2"}),
        ({"cell": "lstm", "schedule": "linear"}, {*LSTM_LACKS, *LOSSES_ONLY, "momentum", "min_improvement"}),
        ({"cell": "lstm", "loss": "sampled"}, {*LSTM_LACKS, "momentum", "log_z"}),
        ({"cell": "lstm", "loss": "nce"}, {*LSTM_LACKS, "momentum"}),
        ({"cell": "lstm", "classes": 9, "direct": 200}, {*ONLINE_ONLY, *LOSSES_ONLY, "momentum", "activation"}),
        ({"layers": 2}, {*ONLINE_ONLY, *LOSSES_ONLY, "momentum", "old_classes", "direct_order"}),
    ],
)
def test_what_nothing_reads(given, names):
    assert set(unused(*filled_in(given))) == names


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"cell": "perceptron"}, "`cell` perceptron: one of"),
        ({"activation": "step"}, "`activation` step: one of logistic, tanh, relu, elu"),
        ({"schedule": "stairs"}, "`schedule` stairs: one of halving, constant, linear, cosine, onecycle"),
        ({"optimizer": "adamw", "cell": "lstm"}, "`optimizer` adamw: one of sgd, adagrad, rmsprop, adam"),
        ({"cell": "lstm", "tied": True, "embedding": 50}, "`tied`: the embedding has 50 units, the layer below .* 100"),
        ({"cell": "lstm", "tied": True, "compression": 5}, "`tied`: only without `compression`"),
        ({"cell": "lstm", "tied": True, "direct": 200}, "`tied`: only without `direct`"),
    ],
)
def test_what_cannot_be_is_one_line(given, message):
    with pytest.raises(ValueError, match=message) as caught:
        filled_in(given)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"cell": "lstm", "engine": "online"}, "`engine` online: only for one layer of elman or jordan without"),
        ({"engine": "online", "batch_size": 2}, "`batch_size` 2: `engine` online learns from one word after another"),
        ({"cell": "lstm", "bptt": 0}, "`bptt` 0: a block has at least 1 word"),
        ({"cell": "lstm", "compatible": True}, "`compatible`: rnnlm 0.4b has no `cell` lstm"),
        ({"layers": 2, "compatible": True}, "`compatible`: rnnlm 0.4b has no `engine` minibatch"),
        ({"cell": "jordan", "engine": "minibatch", "dropout": 0.5}, "`dropout` 0.5: `cell` jordan has none"),
    ],
)
def test_what_does_not_go_together_is_one_line(given, message):
    with pytest.raises(ValueError, match=message):
        require_fit(*filled_in(given))


@pytest.mark.parametrize("cell", [name for name, known in CELLS.items() if known.layer])
def test_every_cell_of_stacks_is_a_network_of_its_own(cell):
    model, training = filled_in({"cell": cell, "layers": 2, "embedding": 10})
    assert model.is_stack
    assert training.engine == "minibatch"
