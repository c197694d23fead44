"""Training that stops and goes on: at rest, after an error, with all its threads."""

import gc
import threading
import time
from copy import deepcopy
from dataclasses import astuple

import pytest

from tests.two_subjects import N_WORDS, SIZE, TEXT, bytes_of, config_of, counts_of, objectives, trained, trainer_of
from w2v import trainer as trainer_module
from w2v.matrices import Matrices
from w2v.shards import Plan, Worker
from w2v.trainer import Trainer

pytestmark = pytest.mark.usefixtures("small_table")


@pytest.fixture
def often(monkeypatch):
    """Ticks follow one another at once, and a shard takes longer than some of them."""
    train = Worker.train

    def slowly(worker, *args):
        result = train(worker, *args)
        time.sleep(0.001)
        return result

    monkeypatch.setattr(Worker, "train", slowly)
    monkeypatch.setattr(trainer_module, "_TICK", 1e-4)


def states_at_rest(config, threads=1):
    """(progress, matrices) each time that training rests, about once a shard or round; and the bytes at the end."""
    states, seen = [], [0]

    def on_tick(trainer):
        return trainer.progress.shard + 1000 * trainer.progress.epoch > seen[0]

    def at_rest(trainer):
        states.append(deepcopy((trainer.progress, trainer.matrices)))
        seen[0] = trainer.progress.shard + 1000 * trainer.progress.epoch

    trainer = trainer_of(config, on_tick=on_tick, at_rest=at_rest, threads=threads)
    list(trainer.fit())
    return states, bytes_of(trainer)


@objectives
@pytest.mark.parametrize("deterministic", [False, True])
def test_training_goes_on_from_any_rest_bit_for_bit(objective, deterministic, often):
    config = config_of(objective, deterministic=deterministic)
    through, reports = trained(config)
    states, rested = states_at_rest(config)
    assert rested == through
    assert {progress.epoch for progress, _ in states} == {0, 1}
    for progress, matrices in [states[0], states[1], states[len(states) // 2], states[-1]]:
        fresh = Matrices.create(N_WORDS, config, 99)
        for name, values in matrices.by_name.items():
            fresh.assign(name, values[:, :SIZE])
        trainer = Trainer(config, fresh, TEXT, counts_of(TEXT, N_WORDS), threads=2 if deterministic else 1)
        trainer.progress = deepcopy(progress)
        rest = list(trainer.fit())
        assert bytes_of(trainer) == through
        assert [report.epoch for report in rest] == [0, 1][progress.epoch :]
        for report, expected in zip(rest, reports[progress.epoch :], strict=True):
            assert (report.loss, report.examples, report.words) == (expected.loss, expected.examples, expected.words)


def test_at_rest_all_shards_that_were_begun_are_done(often):
    # whatever the number of threads: words and shards fit each other
    config = config_of("skipgram")
    states, _ = states_at_rest(config, threads=3)
    plan = Plan.create(config, TEXT, counts_of(TEXT, N_WORDS))
    assert len(states) >= 2
    for progress, _ in states:
        assert progress.words == progress.epoch * TEXT.size + plan.begin(progress.shard)


class Stop(Exception):
    pass


def raises(*args):
    raise Stop


@pytest.mark.parametrize("deterministic", [False, True])
@pytest.mark.parametrize("where", ["on_tick", "at_rest"])
def test_what_a_caller_raises_passes_through_with_all_threads_at_rest(where, deterministic, often):
    before = set(threading.enumerate())
    hooks = {"on_tick": raises} if where == "on_tick" else {"on_tick": lambda trainer: True, "at_rest": raises}
    config = config_of("skipgram", deterministic=deterministic, iterations=50)
    trainer = trainer_of(config, threads=3, **hooks)
    with pytest.raises(Stop):
        list(trainer.fit())
    progress, matrices = astuple(trainer.progress), bytes_of(trainer)
    assert progress[2] < 50 * TEXT.size
    time.sleep(0.05)
    assert (astuple(trainer.progress), bytes_of(trainer)) == (progress, matrices)
    if deterministic:
        return  # its threads wait for work
    assert not set(threading.enumerate()) - before
    # and it can go on
    trainer.on_tick = lambda trainer: False
    assert next(trainer.fit()).words == TEXT.size


@pytest.mark.parametrize("deterministic", [False, True])
def test_an_error_in_a_worker_passes_through(deterministic, monkeypatch):
    before, train, calls = set(threading.enumerate()), Worker.train, []

    def fails_later(worker, *args):
        calls.append(worker)
        if len(calls) > 5:
            raise Stop
        return train(worker, *args)

    monkeypatch.setattr(Worker, "train", fails_later)
    trainer = trainer_of(config_of("skipgram", deterministic=deterministic), threads=3)
    with pytest.raises(Stop):
        list(trainer.fit())
    assert len(calls) < 6 + 4
    if not deterministic:
        assert not set(threading.enumerate()) - before
    # where it goes on, no shard is left out
    progress, plan = trainer.progress, trainer.plan
    assert progress.shard < 6
    assert progress.words == plan.begin(progress.shard)
    monkeypatch.undo()
    assert next(trainer.fit()).words == TEXT.size


def test_threads_of_deterministic_training_end_with_the_trainer():
    before = set(threading.enumerate())
    trainer = trainer_of(config_of("skipgram", deterministic=True), threads=3)
    list(trainer.fit())
    lanes = set(threading.enumerate()) - before
    assert 1 <= len(lanes) <= 3
    del trainer
    gc.collect()
    for thread in lanes:
        thread.join(5)
        assert not thread.is_alive()


@pytest.mark.parametrize("deterministic", [False, True])
def test_warming_up_learns_nothing(deterministic):
    config = config_of("skipgram-both", deterministic=deterministic)
    trainer, untouched = trainer_of(config), bytes_of(trainer_of(config))
    assert trainer.warm_up() >= 0
    assert bytes_of(trainer) == untouched
    assert trainer.progress.words == trainer.progress.examples == 0
    list(trainer.fit())
    assert bytes_of(trainer) == trained(config)[0]
