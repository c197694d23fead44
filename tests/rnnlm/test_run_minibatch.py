"""Runs of the minibatch engine: stopped anywhere they end with the same bytes, on any number of threads."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from corpora.compute.kernels import Kernel, described
from corpora.errors import CorpusError
from rnnlm import updates
from rnnlm.data import Texts
from rnnlm.defaults import filled_in
from rnnlm.engines import minibatch
from rnnlm.io import native
from rnnlm.run import Run
from rnnlm.trainer import Diverged
from tests.small_models import small_text, small_vocab

posix = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
LSTM = {"cell": "lstm", "hidden": 6, "layers": 2, "embedding": 4}
KINDS = {
    "halving": LSTM | {"max_epochs": 5, "optimizer": "sgd", "momentum": 0.9, "alpha": 0.5},
    "everything": LSTM
    | {
        "embedding": 6, "tied": True, "schedule": "linear", "warmup": 0.1, "max_epochs": 4, "average": 2,
        "dropout": 0.2, "locked": True, "dropout_words": 0.1, "dropout_recurrent": 0.2, "weight_decay": 0.01,
    },
    "units": {"cell": "elman", "hidden": 6, "layers": 2, "schedule": "onecycle", "max_epochs": 3, "dropout": 0.3,
              "optimizer": "rmsprop", "independent": True},
    "gru": {"cell": "gru", "hidden": 6, "reset": "before", "schedule": "constant", "max_epochs": 3,
            "dropout_recurrent": 0.3, "gradient_cutoff": 0.05},
    "jordan": {"cell": "jordan", "hidden": 6, "schedule": "linear", "max_epochs": 3, "average": 2, "clip_norm": 0.1},
    "adagrad": {"cell": "lstm", "hidden": 6, "optimizer": "adagrad", "schedule": "cosine", "max_epochs": 3,
                "average": 1, "dtype": "float64"},
}  # fmt: skip
CHUNKS = 6  # of an epoch: 58 words of each stream, ten at a time


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(minibatch.Minibatch, "steps", property(lambda self: 10, lambda self, n: None), raising=False)
    monkeypatch.setattr(minibatch, "_FEW", 0)  # even these small blocks are shared by threads
    return tmp_path


def small_run(output="m", *, kind="everything", n_train=230, threads=1, say=lambda line: None, **settings) -> Run:
    texts = Texts(small_vocab(), small_text(n_train, seed=7), small_text(90, seed=8), 0, [])
    model, training = filled_in({"batch_size": 4, "bptt": 5} | KINDS[kind] | settings)
    return Run(output, model, training, texts, threads=threads, say=say, show=lambda text: None)


def stopped_at(call, **options) -> bool:
    """Run until the given call of ``on_chunk``, and stop as by Ctrl-C; whether it came so far."""
    run, calls = small_run(**options), [0]
    on_chunk = run._on_chunk

    def on_chunk_and_signal(trainer):
        if calls[0] == call:
            signal.raise_signal(signal.SIGINT)
        calls[0] += 1
        on_chunk(trainer)

    run._on_chunk = on_chunk_and_signal
    try:
        list(run.epochs())
    except KeyboardInterrupt:
        return True
    return False


@posix
@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_was_stopped_ends_with_the_bytes_of_one_that_was_not(kind):
    reports = list(small_run("whole", kind=kind).epochs())
    assert len(reports) >= 3
    whole = Path("whole").read_bytes()
    # before the first word, inside epochs, between the last word and the validation, and in the last epoch
    for place in (0, 2, 6, 10, len(reports) * (CHUNKS + 1) - 1):
        output = f"stopped-{place}"
        assert stopped_at(place, output=output, kind=kind)
        assert native.is_unfinished(output) or Path(f"{output}.checkpoint").exists()
        list(small_run(output, kind=kind).epochs())
        assert Path(output).read_bytes() == whole, place


@posix
@pytest.mark.parametrize("kind", KINDS)
def test_a_run_may_be_stopped_again_and_again_on_other_numbers_of_threads(kind):
    list(small_run("whole", kind=kind, threads=2).epochs())
    stops = 0
    while stopped_at(2, kind=kind, threads=1 + stops % 3):
        stops += 1
    assert stops >= 9
    assert Path("m").read_bytes() == Path("whole").read_bytes()


@posix
def test_a_run_that_is_stopped_while_the_mean_is_validated_adds_it_once():
    list(small_run("whole").epochs())
    for epoch in (2, 3):
        run, stopped = small_run(), []
        epochs = run.epochs()

        def validate(trainer=run, epoch=epoch, stopped=stopped):
            if trainer.trainer.progress.epoch == epoch and not stopped:
                stopped.append(epoch)
                signal.raise_signal(signal.SIGINT)
            return type(trainer.trainer).validate(trainer.trainer)

        begin = run._trainer

        def trainer_of(model, begin=begin, validate=validate):
            trainer = begin(model)
            trainer.validate = validate
            return trainer

        run._trainer = trainer_of
        with pytest.raises(KeyboardInterrupt):
            list(epochs)
        assert stopped == [epoch]
    list(small_run().epochs())
    assert Path("m").read_bytes() == Path("whole").read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_was_killed_goes_on_from_its_best_epoch(kind):
    list(small_run("whole", kind=kind).epochs())
    epochs = small_run(kind=kind).epochs()
    next(epochs)
    next(epochs)  # the generator is kept: nothing of the run is closed
    assert not Path("m.checkpoint").exists()
    list(small_run(kind=kind).epochs())
    assert Path("m").read_bytes() == Path("whole").read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_warming_up_compiles_all_that_training_calls_and_writes_to_nothing(kind, monkeypatch):
    run = small_run(kind=kind)
    trainer = run._begin()
    params, engine = trainer.model.params, trainer.engine
    params["U"].flat[0] = -0.0  # which adding 0 would change
    before = {name: values.tobytes() for name, values in (params | engine.state()).items()}
    wanted, prepare = [], Kernel._prepare

    def recorded(kernel, key):
        wanted.append((kernel.__name__, described(key)))
        return prepare(kernel, key)

    monkeypatch.setattr(Kernel, "_prepare", recorded)
    for kernel in (value for value in vars(updates).values() if isinstance(value, Kernel)):
        monkeypatch.setattr(kernel, "_loaded", {})  # by other tests
    trainer.warm_up()
    assert {name: values.tobytes() for name, values in (params | engine.state()).items()} == before
    known = set(wanted)
    assert {"update_all", "update_rows", "merge_rows", "sum_of_squares"} <= {name for name, _ in known}
    trainer.learn(*trainer.take(0))
    assert set(wanted) == known


def test_some_of_these_epochs_are_not_kept():
    assert not all(report.kept for report in small_run(kind="halving").epochs())


# ---- texts and settings that do not go together


@pytest.mark.parametrize(("n", "fits"), [(3, False), (4, True), (5, True)])
def test_there_are_no_more_parts_than_words(n, fits):
    run = small_run(n_train=n, max_epochs=2, average=0, warmup=0)
    if fits:
        assert len(list(run.epochs())) == 2
    else:
        with pytest.raises(
            CorpusError, match=r"^`batch_size` 4: more than the 3 words of the training text; lower it$"
        ):
            list(run.epochs())
        assert not os.listdir()


def test_snapshots_and_the_log_are_as_of_any_run():
    shown, run = [], small_run(kind="units")
    run.log, run.snapshot_words, run.show = "log", 100, shown.append
    reports = list(run.epochs())
    assert len(Path("log").read_text().splitlines()) == len(reports)
    assert len(shown) >= 2 * len(reports)
    assert all(text.startswith("--- epoch ") for text in shown)
    list(small_run("plain", kind="units").epochs())
    assert Path("m").read_bytes() == Path("plain").read_bytes()


@pytest.mark.parametrize(("clip", "said"), [(0.0, r"set `clip_norm` \(0: off\)"), (5.0, r"`clip_norm` \(5\)")])
def test_divergence_names_what_shortens_the_steps(clip, said):
    run = small_run(clip_norm=clip)
    begin = run._trainer

    def spoilt(model):
        model.params["o"][3] = np.nan
        return begin(model)

    run._trainer = spoilt
    with pytest.raises(Diverged, match=rf"diverged in epoch 0 near word 0: lower `alpha` \(0.002\) or {said}; nothing"):
        list(run.epochs())


def test_steps_that_are_far_too_long_are_noticed():
    with pytest.raises(
        Diverged, match=r"training diverged in epoch 0 .*lower `alpha` \(1e\+30\).*; nothing is written"
    ):
        list(small_run(kind="halving", alpha=1e30).epochs())
