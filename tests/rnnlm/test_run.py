"""A training run as a library: what is checked beforehand, what is kept, and signals."""

import json
import os
import signal
from dataclasses import replace

import numpy as np
import pytest

import corpora.jobs.system as system
import rnnlm as library
import rnnlm.run as run_module
from corpora.errors import CorpusError, FormatError
from corpora.jobs.system import available_memory, polite_interrupt, readable_size
from corpora.text.vocab import Vocab
from rnnlm import trainer as trainer_module
from rnnlm.config import ModelConfig, TrainConfig
from rnnlm.data import Texts
from rnnlm.engines import online
from rnnlm.io import native
from rnnlm.run import Run, check_outputs
from tests.small_models import N_WORDS, small_text, small_vocab

posix = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(online, "CHUNK", 50)
    return tmp_path


def small_run(vocab=None, n_train=230, model=None, **options):
    """A Run on 230 random words (five chunks), silent but for what is passed."""
    texts = Texts(vocab or small_vocab(), small_text(n_train, seed=7), small_text(90, seed=8), 0, [])
    training = TrainConfig(max_epochs=options.pop("epochs", 3), min_improvement=0.001, alpha=options.pop("alpha", 0.1))
    config = ModelConfig(**{"hidden": 5, "classes": 4, "dtype": "float64"} | (model or {}))
    options = {"say": lambda line: None, "show": lambda text: None} | options
    return Run(options.pop("output", "m"), config, training, texts, **options)


# ---- what is checked before time is spent


def test_whether_there_is_a_run_to_go_on_with(folder):
    assert check_outputs("m") is False
    (folder / "m.checkpoint").touch()
    assert check_outputs("m") is True
    (folder / "m").touch()
    assert check_outputs("m") is True
    assert check_outputs("m", force=True) is True
    (folder / "m.checkpoint").unlink()
    with pytest.raises(CorpusError, match="already exists"):
        check_outputs("m")
    assert check_outputs("m", force=True) is False


def test_the_model_of_a_run_that_has_not_ended_is_gone_on_from(folder):
    epochs = small_run().epochs()
    next(epochs)  # the generator is kept: nothing of the run is closed
    assert not os.path.exists("m.checkpoint")
    assert native.is_unfinished("m")
    assert check_outputs("m") is True
    said = []
    assert [report.epoch for report in small_run(say=said.append).epochs()] == [1, 2]
    assert "going on from m: epoch 1, word 0 of 230" in said
    assert not native.is_unfinished("m")
    with pytest.raises(CorpusError, match="m: already exists; `force` replaces it"):
        check_outputs("m")
    assert check_outputs("m", force=True) is False


@pytest.mark.parametrize(
    ("model", "training"),
    [
        ({"cell": "lstm", "classes": 1}, {}),
        ({"cell": "lstm", "classes": 1, "embedding": 5, "tied": True}, {"loss": "sampled", "full_epochs": 1}),
        ({"cell": "lstm", "classes": 1}, {"loss": "nce", "full_epochs": 2}),
        ({"output_layer": "hierarchical", "classes": 1}, {}),
        ({"direct": 40}, {"optimizer": "adam"}),
    ],
    ids=str,
)
def test_a_run_in_batches_goes_on_to_the_same_bytes(folder, model, training):
    def run(output):
        first = small_run(model=model, output=output)
        batches = {"engine": "minibatch", "batch_size": 4, "bptt": 5, "samples": 6, "alpha": 0.01}
        first.train_config = replace(first.train_config, **batches | training)
        return first

    list(run("whole").epochs())
    for _ in range(2):
        epochs = run("m").epochs()
        next(epochs)
        epochs.close()  # as when reports are not read any more
    assert [report.epoch for report in run("m").epochs()] == [2]
    assert (folder / "m").read_bytes() == (folder / "whole").read_bytes()


@posix
def test_nobody_may_read_more_of_an_unfinished_run_than_of_its_model(folder):
    (folder / "m").touch(mode=0o600)
    run = small_run(force=True)
    epochs = run.epochs()
    next(epochs)
    run._save_checkpoint()
    assert [(folder / name).stat().st_mode & 0o777 for name in ("m", "m.checkpoint")] == [0o600] * 2
    epochs.close()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("old",), "old: already exists; `force` replaces it"),
        (("new", "old"), "old: already exists; `force` replaces it"),
        (("sub",), "sub: is a directory"),
        (("none/m",), "none/m: there is no directory none"),
        (("old", None, True, ["./old"]), "old: is read in this run as well"),
        (("new", "sub/../old", True, ["x", "old"]), "old: is read in this run as well"),
        (("new", "./new"), "./new: both the model and the log"),
        ((os.devnull,), "not an ordinary file"),
    ],
)
def test_outputs_that_cannot_be_written(folder, arguments, reason):
    (folder / "old").touch()
    (folder / "sub").mkdir()
    with pytest.raises(CorpusError) as caught:
        check_outputs(*arguments)
    assert reason in str(caught.value)


def test_standard_input_is_no_file_called_minus(folder):
    assert check_outputs("m", None, False, ["-"]) is False


def test_the_memory_is_said_and_refused_where_there_is_less(monkeypatch):
    said = []
    run = small_run(say=said.append, epochs=1)
    monkeypatch.setattr("corpora.jobs.run.resident_memory", lambda: 100_000_000)
    list(run.epochs())
    # 14 x 5 + 5 x 5 + 14 x 5 + 4 x 5 numbers of 8 bytes; 230 + 90 ids of 4; 10 MiB of kernels
    assert "memory: about 110 MB (1 KB of parameters, 1 KB of ids)" in said
    monkeypatch.setattr("corpora.jobs.run.available_memory", lambda: 10_000_000)
    with pytest.raises(CorpusError, match=r"needs about 10 MB more of memory \(.*\), 10 MB are free: lower `hidden`"):
        list(small_run(force=True).epochs())
    monkeypatch.setattr("corpora.jobs.run.available_memory", lambda: None)  # a system that does not tell
    assert list(small_run(force=True, epochs=1).epochs())


def test_more_classes_than_words():
    with pytest.raises(CorpusError, match="`classes` 15: more classes than the 14 words of the vocabulary"):
        list(small_run(model={"classes": 15}).epochs())
    assert list(small_run(model={"classes": N_WORDS}, epochs=1).epochs())


# ---- what is kept


def test_the_model_file_holds_the_best_epoch_at_every_moment():
    run = small_run(epochs=8, alpha=1.0)
    best, kept = None, []
    for report in run.epochs():
        kept.append(report.kept)
        if report.kept:
            best = {name: np.array(values) for name, values in run.trainer.model.params.items()}
        found = library.load("m")
        for name, values in best.items():
            assert np.array_equal(found.params[name], values)
            assert np.array_equal(run.trainer.model.params[name], values)  # a worse epoch is taken back
    assert kept.count(False) > 0
    assert [epoch["kept"] for epoch in library.load("m").history] == kept


def test_the_file_tells_about_the_training():
    reports = list(small_run(tokenizer="char").epochs())
    lm = library.load("m")
    assert lm.tokenizer == "char"
    assert (lm.bptt, lm.bptt_block) == (4, 10)
    assert lm.training["iterations"] == len(reports) == 3
    assert (lm.training["train_words"], lm.training["valid_words"]) == (230, 90)
    assert TrainConfig.from_dict(lm.training["config"]) == TrainConfig(max_epochs=3, min_improvement=0.001)
    times = ("seconds", "words_per_second")  # which would make each file another one
    assert lm.history == [
        {key: value for key, value in report.to_dict().items() if key not in times} for report in reports
    ]


def test_the_log_is_written_as_the_run_goes(folder):
    for n, report in enumerate(small_run(log="log").epochs(), 1):
        lines = [json.loads(line) for line in (folder / "log").read_text().splitlines()]
        assert len(lines) == n
        assert lines[-1] == report.to_dict()


def test_leaving_the_loop_leaves_a_checkpoint():
    said = []
    run = small_run(say=said.append)
    epochs = run.epochs()
    next(epochs)
    epochs.close()
    assert said[-1] == "stopped; the same command goes on from m.checkpoint"
    assert [report.epoch for report in small_run().epochs()] == [1, 2]
    assert not os.path.exists("m.checkpoint")


def test_a_checkpoint_is_saved_by_the_clock(monkeypatch):
    now, saved = [0.0], []
    monkeypatch.setattr(run_module.time, "monotonic", lambda: now[0])
    run = small_run(checkpoint_minutes=2, epochs=1)
    save = run._save_checkpoint
    monkeypatch.setattr(run, "_save_checkpoint", lambda: (saved.append(run.trainer.progress.position), save()))
    on_chunk = run._on_chunk

    def a_minute_later(trainer):
        now[0] += 60.5
        on_chunk(trainer)

    monkeypatch.setattr(run, "_on_chunk", a_minute_later)
    list(run.epochs())
    assert saved == [50, 150, 230]  # after 121 s, 242 s, 363 s


def test_force_forgets_the_checkpoint_only_when_the_run_can_begin(folder):
    epochs = small_run().epochs()
    next(epochs)
    epochs.close()
    with pytest.raises(CorpusError):
        list(small_run(force=True, model={"classes": 15}).epochs())
    assert os.path.exists("m.checkpoint")
    list(small_run(force=True, epochs=1).epochs())
    assert not os.path.exists("m.checkpoint")


def test_force_starts_over_where_a_checkpoint_is_damaged():
    run = small_run()
    epochs = run.epochs()
    next(epochs)
    run.trainer.progress.alpha = -1.0
    epochs.close()
    with pytest.raises(FormatError, match=r"m\.checkpoint: damaged, .*progress is .* `force` starts over"):
        list(small_run().epochs())
    said = []
    assert [report.epoch for report in small_run(force=True, say=said.append).epochs()] == [0, 1, 2]
    assert any(line.startswith("starting over (m.checkpoint: damaged") for line in said)


def test_a_checkpoint_of_another_vocabulary_is_refused():
    epochs = small_run().epochs()
    next(epochs)
    epochs.close()
    other = Vocab([b"</s>", *(b"v%d" % i for i in range(1, N_WORDS))], small_vocab().counts)
    with pytest.raises(CorpusError, match="of a run on other texts, or with another vocabulary"):
        list(small_run(vocab=other).epochs())


@pytest.mark.parametrize(("words", "expected"), [(1, 15), (60, 11), (230, 3), (300, 2), (10_000, 0)])
def test_snapshots_come_at_the_first_stop_after_so_many_words(words, expected):
    shown = []
    list(small_run(snapshot_words=words, show=shown.append).epochs())
    # stops: 50 100 150 200 230 in each of three epochs
    assert len(shown) == expected
    for text in shown:
        title, *lines = text.splitlines()
        assert title.startswith("--- epoch ")
        assert set(" ".join(lines).split()) <= {word.decode() for word in small_vocab().words}


@pytest.mark.parametrize("epoch", [1, 2])
def test_a_signal_does_not_wait_for_a_long_validation_text(monkeypatch, epoch):
    list(small_run(output="whole").epochs())
    validate = trainer_module.Trainer.validate

    def is_stopped(trainer):
        if trainer.progress.epoch == epoch:
            signal.raise_signal(signal.SIGINT)
        return validate(trainer)

    said = []
    with monkeypatch.context() as patch:
        patch.setattr(trainer_module.Trainer, "validate", is_stopped)
        with pytest.raises(KeyboardInterrupt):
            list(small_run(say=said.append).epochs())
    assert said[-1] == "stopped; the same command goes on from m.checkpoint"
    assert [report.epoch for report in small_run().epochs()] == [*range(epoch, 3)]
    mine, theirs = library.load("m"), library.load("whole")
    for name, values in theirs.params.items():
        np.testing.assert_array_equal(mine.params[name], values)


# ---- the system


@posix
def test_signals_are_noted_and_a_second_ctrl_c_interrupts():
    with polite_interrupt() as interrupt:
        assert interrupt.number is None
        signal.raise_signal(signal.SIGTERM)
        assert interrupt.number == signal.SIGTERM
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@posix
def test_what_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # nohup
    try:
        with polite_interrupt() as interrupt:
            signal.raise_signal(signal.SIGHUP)
            assert interrupt.number is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_sizes_are_readable():
    assert [readable_size(n) for n in (0, 999, 1000, 1_500_000, 2_340_000_000, 10**15)] == [
        "0 bytes", "999 bytes", "1 KB", "2 MB", "2.3 GB", "1000000.0 GB",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("files", "left"),
    [
        ({"memory.max": "3000", "memory.current": "1000", "memory.stat": "anon 900\nfile 100\n"}, 2100),
        ({"memory.max": "max", "memory.current": "1000", "memory.stat": "file 100\n"}, None),
        ({"memory/memory.limit_in_bytes": "500", "memory/memory.usage_in_bytes": "900"}, 0),
        (
            {
                "memory/memory.limit_in_bytes": "5000",
                "memory/memory.usage_in_bytes": "900",
                "memory/memory.stat": "cache 7",
            },
            4107,
        ),
        ({}, None),
    ],
)
def test_the_limit_of_a_container_counts(folder, monkeypatch, files, left):
    (folder / "memory").mkdir()
    for name, content in files.items():
        (folder / name).write_text(content)
    monkeypatch.setattr(system, "_left_in_machine", lambda: 1_000_000)
    monkeypatch.setattr(system, "CONTROL_GROUP", str(folder))
    assert available_memory() == (1_000_000 if left is None else left)


def test_memory_that_is_left_is_a_plausible_number():
    free = available_memory()
    assert free is None or 10**7 < free < 10**15
