"""A training run whose epochs take milliseconds: the signal and the clock are looked at between epochs as well."""

import os
import signal

import numpy as np
import pytest

from w2v import io
from w2v.checkpoint import Checkpoint, Settings
from w2v.config import TrainConfig
from w2v.run import Run
from w2v.texts import VocabOptions, read_text

pytestmark = pytest.mark.usefixtures("small_table")
posix = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
EPOCHS = 8
HOW = {"one thread": {}, "deterministic": {"deterministic": True}}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text").write_text("the cat sees the dog\nthe dog sees a cat\n" * 20)
    return tmp_path


@pytest.fixture
def short_run():
    """short_run(config, **options) -> a Run of epochs of 240 words, or of so many ``iterations``."""
    texts = []

    def make(config, iterations=EPOCHS, **options):
        texts.append(read_text(["text"], options=VocabOptions(min_count=1)))
        config = TrainConfig(size=6, iterations=iterations, **config)
        threads = 2 if config.deterministic else 1
        options = {"say": lambda line: None, "threads": threads} | options
        return Run(options.pop("output", "v"), config, Settings(["text"]), texts[-1], **options)

    yield make
    for text in texts:
        text.close()


def arrives_after(reports, n, name):
    """Take reports; after the n-th the signal arrives.  How many there were."""
    taken = 0
    for _ in reports:
        taken += 1
        if taken == n:
            signal.raise_signal(getattr(signal, name))
    return taken


@pytest.mark.parametrize("config", HOW.values(), ids=HOW)
@pytest.mark.parametrize("name", ["SIGINT", pytest.param("SIGTERM", marks=posix)])
def test_a_signal_ends_the_run_at_the_next_epoch_and_nothing_is_lost(short_run, config, name):
    said = []
    list(short_run(config, output="whole").epochs())
    with pytest.raises((KeyboardInterrupt, SystemExit)) as stopped:
        arrives_after(short_run(config, say=said.append).epochs(), 3, name)
    assert name == "SIGINT" or stopped.value.code == 128 + signal.SIGTERM
    assert said[-2:] == [
        "stopping: the state goes to v.checkpoint (Ctrl-C once more: at once, without it)",
        "stopped; the same command goes on from v.checkpoint",
    ]
    assert not os.path.exists("v")
    found = Checkpoint.load("v.checkpoint")
    assert len(found.history) == 3  # the fourth epoch is learnt, and reported by whoever goes on
    rest = [report.epoch for report in short_run(config, resumed=found).epochs()]
    assert rest == [3, 4, 5, 6, 7]
    assert np.array_equal(io.load("v").vectors, io.load("whole").vectors)


def test_a_signal_after_the_last_epoch_leaves_a_checkpoint_of_all_of_them(short_run):
    with pytest.raises(KeyboardInterrupt):
        arrives_after(short_run({}).epochs(), EPOCHS, "SIGINT")
    assert sorted(os.listdir()) == ["text", "v.checkpoint"]
    assert list(short_run({}, resumed=Checkpoint.load("v.checkpoint")).epochs()) == []
    assert sorted(os.listdir()) == ["text", "v"]


@pytest.mark.parametrize("config", HOW.values(), ids=HOW)
def test_the_clock_saves_a_checkpoint(short_run, config):
    seen = [
        Checkpoint.load("v.checkpoint").progress["words"]
        for _ in short_run(config, checkpoint_minutes=1e-9).epochs()
    ]  # fmt: skip
    assert seen == [240 * (epoch + 1) for epoch in range(EPOCHS)]
