"""rnnlm train --time, --recipe and --show: settings that are chosen for whoever trains."""

from __future__ import annotations

import importlib
import json
import re
import shlex
import signal
import time

import click
import pytest

import rnnlm as library
from rnnlm import planning
from rnnlm.recipes import RECIPES
from rnnlm.run import unfinished_configs
from tests.cli.test_rnnlm_resume import arrives, posix, when_learning

command = importlib.import_module("rnnlm.cli.train")  # of which rnnlm.cli has the function of that name
TRAIN = "train train.txt --valid valid.txt -o m "
TIMED = TRAIN + "--hidden 16 --batch-size 4 --bptt 10 --time "


@pytest.fixture
def measured(monkeypatch):
    """Plans with a machine on which every network learns 2,000 words a second; the calls of ``_measure``."""
    calls = []

    def measure(plan, config, training):
        calls.append(config.hidden)
        return 1 / 2000, 1 / 2000, 0.01

    monkeypatch.setattr(planning.Plan, "_measure", measure)
    return calls


def configs_of(line):
    """The configurations that the command's parser and ``_configs`` make of a line."""
    words = shlex.split(line.replace("\\\n", " "))[2:]
    with command.train.make_context("train", words) as context:
        return command._configs(context, command._given(context, dict(context.params)))


# ---- a given time


def test_a_run_of_some_seconds_takes_about_that_long_and_leaves_a_model(folder, rnnlm):
    done_before = time.perf_counter()
    code, out, err = rnnlm(TRAIN + "--time 6s --cell lstm")
    assert code == 0, err
    assert time.perf_counter() - done_before < 60  # compilation, and machines that do other things
    assert re.search(r"plan: about .* of training: --hidden \d+ --cell lstm ", err)
    found = json.loads(library.load("m") and rnnlm("ppl -m m valid.txt --format json")[1])
    best = min(float(re.search(r"perplexity +([\d.]+)", line)[1]) for line in out.splitlines())
    assert found["perplexity"] == pytest.approx(best, abs=0.006)  # printed with two decimals
    assert not (folder / "m.checkpoint").exists()


def test_a_plan_is_shown_as_options_that_make_it(folder, rnnlm, measured):
    code, _, err = rnnlm(TIMED + "20s --max-iter 1")
    assert code == 0, err
    options = re.search(r"plan: about .* of training: (.*)", err)[1]
    model = library.load("m")
    found, training = configs_of(f"rnnlm {TRAIN} {options}")
    assert found == model.config
    assert training.to_dict() == model.training["config"]


@posix
def test_a_stopped_run_goes_on_with_its_plan(folder, rnnlm, measured):
    with when_learning(1, arrives(signal.SIGINT)):
        code, _, err = rnnlm(TIMED + "60s --max-iter 2")
    assert code == 130, err
    assert measured == [16]
    configs = unfinished_configs("m", {})
    assert (configs[0].hidden, configs[1].max_epochs, configs[1].batch_size) == (16, 2, 4)
    code, _, err = rnnlm(TIMED + "60s --max-iter 2")
    assert code == 0, err
    assert measured == [16]
    assert "going on from m.checkpoint" in err
    model = library.load("m")
    assert (model.config, model.training["config"]) == (configs[0], configs[1].to_dict())


@posix
def test_a_stopped_run_goes_on_with_other_options_only_where_force_says_so(folder, rnnlm, measured):
    with when_learning(1, arrives(signal.SIGINT)):
        assert rnnlm(TIMED + "60s --max-iter 2")[0] == 130
    code, _, err = rnnlm(TIMED.replace("16", "24") + "60s --max-iter 2")
    assert code == 1
    assert "m.checkpoint: of a run with another --hidden (16, now 24)" in err
    code, _, err = rnnlm(TIMED.replace("16", "24") + "60s --max-iter 1 --force")
    assert code == 0, err
    assert measured == [16, 24]
    assert library.load("m").config.hidden == 24


@posix
def test_the_time_before_an_interruption_is_not_there_any_more(folder, rnnlm, measured):
    with when_learning(1, arrives(signal.SIGINT)):
        assert rnnlm(TIMED + "60s --max-iter 50")[0] == 130
    code, out, err = rnnlm(TIMED + "0.001s --max-iter 50")  # less than what it has had
    assert code == 0, err
    assert len(out.splitlines()) == 1


def test_there_is_no_unfinished_run_in_files_of_other_kinds(folder):
    assert unfinished_configs("nothing", {}) is None
    assert unfinished_configs("train.txt", {}) is None
    assert unfinished_configs("small.rnnlm", {}) is None  # it has ended


def test_too_little_time_is_told_and_still_makes_a_model(folder, rnnlm, measured):
    code, out, err = rnnlm(TIMED + "0.001s")
    assert code == 0, err
    assert "are gone before anything was learnt: give more --time" in err
    assert len(out.splitlines()) == 1
    assert library.load("m").config.hidden == 16


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ("--time x", "x: expected a time such as 90s, 30m or 1h30m"),
        ("--time 0", "0: expected a time such as 90s, 30m or 1h30m"),
        ("--time -5", "-5: expected a time such as 90s, 30m or 1h30m"),
        ("--time 5s --recipe small", "--recipe cannot be used with --time"),
        ("--time 5s --engine online", "--time: only with --engine minibatch"),
        ("--time 5s --compatible", "--compatible: rnnlm 0.4b has no --time"),
        ("--time 5s --bptt-block 3", "--bptt-block: --engine minibatch has no use for it"),
        ("--time 5s --tied --class 5", "--tied: only with a softmax over all words"),
        ("--recipe large", "'--recipe': 'large' is not one of 'ptb-hour', 'small', 'char'"),
        ("--recipe small --beta 1e-3", "--beta: --engine minibatch has no use for it"),
        ("--show", "--show: which one?  --recipe NAME"),
    ],
)
def test_wrong_usage_is_one_line_and_2(folder, rnnlm, measured, options, part):
    code, out, err = rnnlm(TRAIN + options)
    assert (code, out) == (2, "")
    assert [line for line in err.splitlines() if line.startswith("Error: ")] == [err.splitlines()[-2]]
    assert " ".join(part.split()) in err
    assert not (folder / "m").exists()


# ---- recipes


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_shown_as_a_command_that_has_the_same_settings(done, name):
    purpose, *lines = done(f"train --recipe {name} --show").splitlines()
    assert purpose == f"# {name}: {RECIPES[name].purpose}"
    line = "\n".join(lines)
    assert line.startswith("rnnlm train TEXT --valid TEXT -o MODEL ")
    assert configs_of(line) == configs_of(f"rnnlm train TEXT -o MODEL --recipe {name}")
    found = vars(configs_of(line)[0]) | vars(configs_of(line)[1])
    for setting, value in RECIPES[name].settings.items():
        assert found[setting] == value, setting


@pytest.mark.parametrize("name", RECIPES)
def test_options_of_a_recipe_are_options_of_the_command(name):
    parameters = {each.name: each for each in command.train.params if isinstance(each, click.Option)}
    for option, value in RECIPES[name].options.items():
        assert parameters[option].type.convert(value, None, None) == value


def test_given_options_win_over_a_recipe(done):
    line = "train --recipe small --hidden 48 --dropout 0 --seed 7 --optimizer sgd --alpha 0.5"
    shown = done(f"{line} --show").split("\n", 1)[1]
    model, training = configs_of(shown)
    assert (model.hidden, model.embedding, model.tied) == (48, 48, True)
    assert (training.dropout, training.seed, training.optimizer, training.alpha) == (0, 7, "sgd", 0.5)
    assert training.max_epochs == RECIPES["small"].settings["max_epochs"]
    assert "--tokenizer word" in done("train --recipe char --tokenizer word --show")
    assert "--tokenizer char" in done("train --recipe char --show")


def test_a_recipe_trains(folder, done):
    done(TRAIN + "--recipe char --hidden 12 --embedding 6 --max-iter 1")
    model = library.load("m")
    assert (model.config.cell, model.config.layers, model.config.hidden) == ("lstm", 2, 12)
    assert model.training["tokenizer"] == "char"
    assert b"cat" not in model.vocab.words
