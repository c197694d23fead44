"""A training run as a library: what is checked beforehand, what is written on the way, how it ends early."""

import json
import os

import numpy as np
import pytest

import w2v as library
import w2v.run as run_module
from corpora.errors import CorpusError
from tests.small_trainer import SmallTrainer
from w2v import io
from w2v.checkpoint import Checkpoint, Settings, absolute
from w2v.config import TrainConfig
from w2v.run import Diverged, Run, require_writable
from w2v.texts import read_text


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run_module, "Trainer", SmallTrainer)
    rng = np.random.default_rng(3)
    words = rng.zipf(1.5, size=(300, 8)).clip(max=40)
    (tmp_path / "text").write_text("".join(" ".join(f"w{i}" for i in line) + "\n" for line in words))
    return tmp_path


@pytest.fixture
def small_run():
    """small_run(**options) -> a Run of three epochs with one thread, silent but for what is passed."""
    texts = []

    def make(config=None, settings=None, **options):
        texts.append(read_text(["text"]))
        config = TrainConfig(**{"size": 6, "iterations": 3} | (config or {}))
        options = {"say": lambda line: None, "threads": 1} | options
        return Run("v", config, Settings(["text"], **settings or {}), texts[-1], **options)

    yield make
    for text in texts:
        text.close()


def full(*args, **options):
    raise CorpusError("disk: cannot be written (No space left on device)")


# ---- what is checked before time is spent


@pytest.mark.parametrize(
    ("output", "format"), [("v.gz", "native"), ("v.xz", "native"), ("v.txt.bz2", "text"), ("v.bin.xz", "binary")]
)
def test_names_that_a_format_cannot_have(output, format):
    with pytest.raises(CorpusError, match=output):
        require_writable(output, Settings([], format=format))
    require_writable(output, Settings([], format=format, classes=3))


def test_paths_of_a_checkpoint_mean_the_same_everywhere(folder):
    assert absolute(None) is None
    assert absolute("-") == "-"
    assert absolute("a/*.txt") == str(folder / "a" / "*.txt")


def test_memory_is_told_before_it_is_taken(small_run, monkeypatch):
    said = []
    monkeypatch.setattr("corpora.jobs.run.available_memory", lambda: 10_000_000)
    with pytest.raises(CorpusError, match=r"needs about \d+ MB more of memory .*, 10 MB are free: lower `size`"):
        next(small_run(say=said.append).epochs())
    assert said == []
    monkeypatch.setattr("corpora.jobs.run.available_memory", lambda: None)  # the system does not say
    assert len(list(small_run(say=said.append).epochs())) == 3
    assert said[0].startswith("memory: about ")


# ---- what is written on the way


def test_the_output_is_there_when_the_last_report_was_taken(small_run):
    reports = []
    for report in small_run().epochs():
        assert not os.path.exists("v")
        reports.append(report)
    assert [report.epoch for report in reports] == [0, 1, 2]
    assert sorted(os.listdir()) == ["text", "v"]
    assert library.load("v").training["history"][2]["loss"] == reports[2].loss


def test_the_log_has_lines_of_progress_between_the_epochs(small_run, monkeypatch):
    monkeypatch.setattr(run_module, "LOG_SECONDS", 0.0)
    list(small_run(settings={"log": "log"}).epochs())
    with open("log") as file:
        lines = [json.loads(line) for line in file]
    progress = [line for line in lines if line["kind"] == "progress"]
    assert progress
    assert set(progress[0]) == {"kind", "epoch", "alpha", "loss", "words_per_second", "words_done"}
    done = [line["words_done"] for line in lines]
    assert done == sorted(done)


def test_checkpoints_are_written_on_the_way_and_removed_at_the_end(small_run):
    seen = []

    def watch(trainer):
        if os.path.exists("v.checkpoint"):
            seen.append(Checkpoint.load("v.checkpoint").progress["words"])

    list(small_run(checkpoint_minutes=1e-9, watch=watch).epochs())
    assert seen
    assert seen == sorted(seen)
    assert sorted(os.listdir()) == ["text", "v"]


def test_no_checkpoints_if_none_are_wanted(small_run, monkeypatch):
    monkeypatch.setattr(Checkpoint, "save", full)
    list(small_run(checkpoint_minutes=None).epochs())
    assert sorted(os.listdir()) == ["text", "v"]


def test_a_checkpoint_that_cannot_be_written_does_not_end_the_run(small_run, monkeypatch):
    said = []
    monkeypatch.setattr(Checkpoint, "save", full)
    assert len(list(small_run(checkpoint_minutes=1e-9, say=said.append).epochs())) == 3
    warning = "Warning: disk: cannot be written (No space left on device); training goes on without a new checkpoint"
    assert warning in said
    assert os.path.exists("v")


# ---- how it ends early


def test_who_stops_reading_the_reports_leaves_a_checkpoint(small_run):
    said = []
    epochs = small_run(say=said.append).epochs()
    next(epochs)
    epochs.close()
    assert said[-1] == "stopped; the same command goes on from v.checkpoint"
    assert sorted(os.listdir()) == ["text", "v.checkpoint"]
    resumed = Checkpoint.load("v.checkpoint")
    rest = list(small_run(resumed=resumed).epochs())
    assert [report.epoch for report in rest] == [1, 2]
    history = library.load("v").training["history"]
    assert [epoch["epoch"] for epoch in history] == [0, 1, 2]


@pytest.mark.parametrize("kind", ["progress", "epoch"])
def test_a_log_that_cannot_be_written_any_more_leaves_a_checkpoint(small_run, monkeypatch, kind):
    write = run_module.Log.write

    def write_some(self, name, line):
        (full if name == kind else write)(self, name, line)

    monkeypatch.setattr(run_module, "LOG_SECONDS", 0.0)
    monkeypatch.setattr(run_module.Log, "write", write_some)
    with pytest.raises(CorpusError, match="disk: cannot be written"):
        list(small_run(settings={"log": "log"}).epochs())
    assert sorted(os.listdir()) == ["log", "text", "v.checkpoint"]


@pytest.mark.filterwarnings("ignore")
def test_a_run_that_diverges_writes_nothing_and_says_what_to_lower(small_run):
    with pytest.raises(Diverged, match=r"training diverged in epoch \d .*: lower `alpha` \(1e\+300\); nothing is wri"):
        list(small_run(config={"alpha": 1e300}).epochs())
    assert os.listdir() == ["text"]


def test_vectors_with_nan_are_found_before_anything_is_replaced(small_run, folder):
    (folder / "v").write_text("old")

    def spoil(trainer):
        trainer.matrices.outputs["syn1neg"][1, 0] = np.nan

    run = small_run(watch=spoil, checkpoint_minutes=1e-9)
    with pytest.raises(Diverged, match="NaN or infinity in syn"):
        [spoil(run.trainer) for _ in run.epochs()]  # at the end of an epoch too
    assert (folder / "v").read_text() == "old"
    assert not os.path.exists("v.checkpoint")


# ---- what a checkpoint is


def test_a_checkpoint_is_a_native_vector_file(small_run):
    epochs = small_run().epochs()
    next(epochs)
    epochs.close()
    assert io.sniff("v.checkpoint") == "native"
    found = Checkpoint.load("v.checkpoint")
    assert found.settings == Settings(["text"])
    assert found.config == TrainConfig(size=6, iterations=3)
    assert found.progress["epoch"] == 1
    assert found.progress["words"] > 0


def test_a_checkpoint_of_a_newer_version_is_refused(small_run):
    epochs = small_run().epochs()
    next(epochs)
    epochs.close()
    found = Checkpoint.load("v.checkpoint")
    vectors = found.vectors
    vectors.training["config"]["new_setting"] = 3
    io.save(vectors, "other.checkpoint")
    reason = r"other\.checkpoint: damaged, or of another version of w2v train \(.*new_setting.*\): `force` starts over"
    with pytest.raises(CorpusError, match=reason):
        Checkpoint.load("other.checkpoint")
