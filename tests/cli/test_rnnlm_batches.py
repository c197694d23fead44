"""rnnlm train with the minibatch engine: what it writes scores as it said, and its options reach what they are for."""

from __future__ import annotations

import json
import re

import pytest

import rnnlm as library
from rnnlm.engines.minibatch import Minibatch

TRAIN = "train train.txt --valid valid.txt -o m --cell lstm --hidden 8 --batch-size 5 --bptt 10 --seed 3 "
KINDS = {
    "halving": "--max-iter 4",
    "linear, mean": "--schedule linear --max-iter 4 --average 2 --embedding 8 --tied --dropout 0.1",
    "onecycle, sgd": "--schedule onecycle --max-iter 3 --optimizer sgd --momentum 0.9 --layers 2 --dropout 0.1",
}


@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
def test_the_model_of_the_best_epoch_scores_as_the_training_said(folder, done, options):
    epochs = done(TRAIN + options).splitlines()
    best = min(float(re.search(r"perplexity +([\d.]+)", line)[1]) for line in epochs)
    found = json.loads(done("ppl -m m valid.txt --format json"))
    assert found["perplexity"] == pytest.approx(best, abs=0.006)  # printed with two decimals
    history = library.load("m").history
    assert min(epoch["valid_perplexity"] for epoch in history) == pytest.approx(found["perplexity"], rel=1e-6)
    assert len(history) == len(epochs)
    assert best < 20  # 30 words; those of a sentence follow from each other


def test_threads_are_those_of_the_engine(folder, done, monkeypatch):
    asked, of = [], Minibatch.of.__func__

    def recorded(cls, model, config, threads=2):
        asked.append(threads)
        return of(cls, model, config, threads)

    monkeypatch.setattr(Minibatch, "of", classmethod(recorded))
    for threads in (1, 3):
        done(f"{TRAIN} --max-iter 1 --force --threads {threads}")
    assert asked == [1, 3]
    assert "--engine minibatch learns" in " ".join(done("train --help").split())


def test_the_log_has_the_rates_of_the_schedule(folder, done):
    done(TRAIN + "--schedule linear --max-iter 2 --alpha 0.01 --log log")
    rates = [json.loads(line)["alpha"] for line in (folder / "log").read_text().splitlines()]
    assert rates == pytest.approx([0.0075, 0.0025])  # in the middle of each epoch


def test_snapshots_change_nothing(folder, done):
    out = done(TRAIN + "--max-iter 2 --snapshot 5000")
    assert "--- epoch 1, word " in out
    with_snapshots = (folder / "m").read_bytes()
    done(TRAIN + "--max-iter 2 --force")
    assert (folder / "m").read_bytes() == with_snapshots
