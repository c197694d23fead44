"""w2v train interrupted, killed and gone on with: it ends as a run that was not."""

import json
import os
import re
import signal
import tempfile
from contextlib import contextmanager
from itertools import count

import numpy as np
import pytest

import w2v as library
from corpora.errors import CorpusError
from tests.small_trainer import SmallTrainer
from w2v import io as formats
from w2v.run import Run

posix = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
COMMAND = "train text -o v --log log --iter 4 --min-count 2 --size 6 --threads 1 "
TIMES = {"seconds", "words_per_second"}
CONFIGURATIONS = {
    "cbow": "",
    "skip-gram, both": "--skipgram --hs --save-vocab vocab",
    "float64, tree": "--hs --negative 0 --dtype float64",
    "exact, threads": "--negatives exact --deterministic --threads 2",
}


@pytest.fixture(scope="module", autouse=True)
def small_steps():
    """Every 200 words there is a place to stop at."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("w2v.run.Trainer", SmallTrainer)
        yield


@pytest.fixture(scope="module")
def text():
    rng = np.random.default_rng(3)
    words = rng.zipf(1.5, size=(400, 8)).clip(max=40)
    return "".join(" ".join(f"w{i}" for i in line) + "\n" for line in words)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text").write_text(text)
    return tmp_path


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, w2v, text):
    """uninterrupted(options) -> the vectors of COMMAND with these options; each is trained once."""
    found = {}

    def train(options):
        if options not in found:
            folder = tmp_path_factory.mktemp("whole")
            (folder / "text").write_text(text)
            with pytest.MonkeyPatch.context() as patch:
                patch.chdir(folder)
                code, _, err = w2v(COMMAND + options)
            assert code == 0, err
            found[options] = folder / "v"
        return found[options]

    return train


@contextmanager
def when_ticking(at, action):
    """At the at-th tick (from 0) of the run ``action()`` is called."""
    on_tick, ticks = Run._on_tick, count()

    def tick_and_act(self, trainer):
        if next(ticks) == at:
            action()
        return on_tick(self, trainer)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "_on_tick", tick_and_act)
        yield


def arrives(number):
    return lambda: signal.raise_signal(number)


def without_times(history):
    return [{key: value for key, value in epoch.items() if key not in TIMES} for epoch in history]


def assert_same_vectors(path, other):
    first, second = library.load(path), library.load(other)
    assert list(first.words) == list(second.words)
    assert np.array_equal(first.counts, second.counts)
    assert np.array_equal(first.vectors, second.vectors)
    assert set(first.state) == set(second.state)
    for name, values in first.state.items():
        assert np.array_equal(values, second.state[name]), name
    assert without_times(first.training.pop("history")) == without_times(second.training.pop("history"))
    assert first.training == second.training


@pytest.fixture
def interrupted(w2v):
    with when_ticking(20, arrives(signal.SIGINT)):
        assert w2v(COMMAND)[0] == 130


# ---- Ctrl-C


@pytest.mark.parametrize("at", [0, 7, 40])
@pytest.mark.parametrize("options", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_an_interrupted_run_ends_as_one_that_was_not(w2v, uninterrupted, at, options):
    with when_ticking(at, arrives(signal.SIGINT)):
        code, _, err = w2v(COMMAND + options)
    assert code == 130
    assert err.splitlines()[-3:] == [
        "stopping: the state goes to v.checkpoint (Ctrl-C once more: at once, without it)",
        "stopped; the same command goes on from v.checkpoint",
        "Interrupted.",
    ]
    assert not os.path.exists("v")
    code, _, err = w2v(COMMAND + options)
    assert code == 0, err
    assert re.search(r"going on from v.checkpoint: epoch \d, \d+\.\d% of all words done", err)
    assert_same_vectors("v", uninterrupted(options))
    assert not os.path.exists("v.checkpoint")
    with open("log") as file:
        logged = [line for line in map(json.loads, file) if line.pop("kind") == "epoch"]
    assert without_times(logged) == without_times(library.load("v").training["history"])


def test_the_rest_of_the_options_is_in_the_checkpoint(w2v, uninterrupted, tmp_path_factory, folder, monkeypatch):
    options = CONFIGURATIONS["skip-gram, both"]
    with when_ticking(20, arrives(signal.SIGINT)):
        assert w2v(COMMAND + options)[0] == 130
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    code, _, err = w2v(f"train --resume -o {folder}/v --threads 1")
    assert code == 0, err
    assert_same_vectors(folder / "v", uninterrupted(options))
    assert sorted(os.listdir(folder)) == ["log", "text", "v", "vocab"]


def test_the_threads_are_those_of_the_run_unless_others_are_given(w2v, interrupted, monkeypatch):
    used = []

    def trainer(*args, threads, **options):
        used.append(threads)
        return SmallTrainer(*args, threads=threads, **options)

    monkeypatch.setattr("w2v.run.Trainer", trainer)
    with when_ticking(20, arrives(signal.SIGINT)):
        assert w2v("train --resume -o v")[0] == 130
    assert w2v("train --resume -o v --threads 3")[0] == 0
    assert used == [1, 3]


def test_the_text_may_be_given_again(w2v, uninterrupted, interrupted):
    os.rename("text", "moved")
    code, _, err = w2v("train --resume -o v")  # with one thread, as the run that was interrupted
    assert code == 1
    assert "text: no such file" in err
    assert w2v("train moved --resume -o v --threads 1")[0] == 0
    assert_same_vectors("v", uninterrupted(""))


def test_standard_input_can_be_given_again(w2v, uninterrupted, folder):
    text = (folder / "text").read_bytes()
    command = COMMAND.replace("text", "-")
    with when_ticking(20, arrives(signal.SIGINT)):
        assert w2v(command, text)[0] == 130
    assert w2v("train --resume -o v --threads 1", text)[0] == 0
    assert_same_vectors("v", uninterrupted(""))


def test_a_run_may_be_interrupted_again_and_again(w2v, uninterrupted):
    for _ in range(5):
        with when_ticking(3, arrives(signal.SIGINT)):
            assert w2v(COMMAND)[0] == 130
    assert w2v(COMMAND)[0] == 0
    assert_same_vectors("v", uninterrupted(""))


@pytest.mark.parametrize("name", ["v.txt", "v.bin"])
def test_all_formats_have_the_same_numbers_in_the_end(w2v, uninterrupted, name):
    command = COMMAND.replace("-o v", f"-o {name}")
    with when_ticking(20, arrives(signal.SIGINT)):
        assert w2v(command)[0] == 130
    assert w2v(f"train --resume -o {name} --threads 1")[0] == 0
    assert np.allclose(library.load(name).vectors, library.load(uninterrupted("")).vectors, atol=1e-6)


def test_training_on_from_older_vectors_can_be_interrupted(w2v, folder):
    """The older vectors are not needed any more then."""
    (folder / "more").write_text((folder / "text").read_text().replace("w1", "x1"))
    assert w2v(COMMAND.replace("-o v", "-o old"))[0] == 0
    command = COMMAND.replace("train text", "train more").replace("--size 6", "") + "-f --init old --grow-vocab"
    assert w2v(command.replace("-o v", "-o whole"))[0] == 0
    with when_ticking(20, arrives(signal.SIGINT)):
        assert w2v(command)[0] == 130
    os.remove("old")
    assert w2v("train --resume -o v")[0] == 0
    assert_same_vectors("v", "whole")


@posix
@pytest.mark.parametrize(("number", "expected"), [("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_terminated_run_is_gone_on_with_too(w2v, uninterrupted, number, expected):
    with when_ticking(20, arrives(getattr(signal, number))), pytest.raises(SystemExit) as leaving:
        w2v(COMMAND)
    assert leaving.value.code == expected
    assert w2v(COMMAND)[0] == 0
    assert_same_vectors("v", uninterrupted(""))


def test_a_killed_run_goes_on_from_its_last_checkpoint(w2v, uninterrupted):
    class Killed(BaseException):
        pass

    def kill():
        raise Killed

    # a checkpoint at every tick
    with when_ticking(20, kill), pytest.raises(Killed):
        w2v(COMMAND + "--checkpoint 1e-9")
    assert w2v(COMMAND)[0] == 0
    assert_same_vectors("v", uninterrupted(""))


@pytest.mark.parametrize("force", ["", " --force"])
def test_a_run_killed_before_its_first_checkpoint_is_not_in_the_way_of_its_command(w2v, uninterrupted, folder, force):
    """What it has begun, log and vocabulary, is replaced; what others have written is not."""

    class Killed(BaseException):
        pass

    def kill():
        raise Killed

    options = CONFIGURATIONS["skip-gram, both"]
    (folder / "other").touch()
    with when_ticking(20, kill), pytest.raises(Killed):
        w2v(COMMAND + options + force)
    assert sorted(os.listdir()) == ["log", "other", "text", "v.lock", "vocab"]
    code, _, err = w2v((COMMAND + options).replace("--log log", "--log other"))
    assert code == 1
    assert "other: already exists" in err
    assert w2v(COMMAND + options + force)[0] == 0
    assert_same_vectors("v", uninterrupted(options))
    assert sorted(os.listdir()) == ["log", "other", "text", "v", "vocab"]


def test_without_a_place_for_a_checkpoint_ctrl_c_just_ends(w2v, folder):
    with when_ticking(20, arrives(signal.SIGINT)):
        code, out, err = w2v(COMMAND.replace("-o v", "-o -"))
    assert (code, out) == (130, "")
    assert err.splitlines()[-1] == "Interrupted."
    assert "checkpoint" not in err
    assert sorted(os.listdir()) == ["log", "text"]


def test_word2vec_s_command_line_keeps_no_checkpoints(w2v):
    with when_ticking(20, arrives(signal.SIGINT)):
        code, _, err = w2v("-train text -output v -iter 4 -min-count 2 -size 6 -threads 1")
    assert (code, err) == (130, "Interrupted.\n")
    assert sorted(os.listdir()) == ["text"]


# ---- at the end


def test_vectors_that_cannot_be_saved_at_the_end_are_in_the_checkpoint(w2v, uninterrupted):
    save = formats.save

    def save_small(vectors, path, format, **options):
        if path == "v":
            raise CorpusError("v: cannot be written (No space left on device)")
        save(vectors, path, format, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(formats, "save", save_small)
        code, _, err = w2v(COMMAND)
    assert code == 1
    assert err.splitlines()[-1] == (
        "Error: v: cannot be written (No space left on device); v.checkpoint has all that was learnt: make room, and "
        "the same command writes it"
    )
    assert w2v(COMMAND)[0] == 0
    assert_same_vectors("v", uninterrupted(""))


@pytest.mark.parametrize("at_the_end", [True, False])
def test_on_a_full_disk_the_state_goes_to_a_temporary_place(w2v, uninterrupted, tmp_path_factory, at_the_end):
    elsewhere, save = tmp_path_factory.mktemp("elsewhere"), formats.save

    def save_elsewhere(vectors, path, format, **options):
        if not str(path).startswith(str(elsewhere)):
            raise CorpusError(f"{path}: cannot be written (No space left on device)")
        save(vectors, path, format, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(formats, "save", save_elsewhere)
        patch.setattr(tempfile, "tempdir", str(elsewhere))
        if at_the_end:
            code, _, err = w2v(COMMAND)
        else:
            with when_ticking(20, arrives(signal.SIGINT)):
                code, _, err = w2v(COMMAND)
    (place,) = elsewhere.rglob("v.checkpoint")
    assert "Warning: v.checkpoint: cannot be written (No space left on device)" in err
    if at_the_end:
        assert code == 1
        assert err.splitlines()[-1] == (
            f"Error: v: cannot be written (No space left on device); {place} has all that was learnt: make room, "
            "move that to v.checkpoint, and the same command writes it"
        )
    else:
        assert code == 130
        assert f"stopped; move {place} there: the same command goes on from v.checkpoint" in err
    os.rename(place, "v.checkpoint")
    assert w2v(COMMAND)[0] == 0
    assert_same_vectors("v", uninterrupted(""))


def test_where_nothing_can_be_written_the_output_is_named(w2v, monkeypatch):
    def full(vectors, path, format, **options):
        raise CorpusError(f"{os.path.basename(path)}: cannot be written (No space left on device)")

    monkeypatch.setattr(formats, "save", full)
    code, _, err = w2v(COMMAND)
    assert code == 1
    assert err.splitlines()[-1] == (
        "Error: v: cannot be written (No space left on device); neither can the state, and what was learnt is lost: "
        "v.checkpoint: cannot be written (No space left on device)"
    )


def test_ctrl_c_while_classes_are_made_loses_nothing(w2v, uninterrupted):
    def interrupt(*args, **options):
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("w2v.cluster.spherical_kmeans", interrupt)
        assert w2v(COMMAND + "--classes 3")[0] == 130
    code, out, err = w2v(COMMAND)
    assert code == 0
    assert out == ""  # no epoch is left
    assert "100.0% of all words done" in err
    assert_same_vectors("v", uninterrupted(""))


# ---- checkpoints that are not gone on from


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("--size 7", "with another --size (6, now 7)"),
        ("--skipgram", "with another --cbow or --skipgram (cbow, now skipgram)"),
        ("--iter 5", "with another --iter (4, now 5)"),
        ("--min-count 3", "with another --min-count (2, now 3)"),
        ("--lower", "with another --tokenizer (whitespace, now whitespace+lower)"),
        ("--max-vocab 10", "with another --max-vocab (None, now 10)"),
        ("--seed 2", "with another --seed (1, now 2)"),
    ],
)
def test_a_checkpoint_of_other_options_is_refused(interrupted, w2v, change, reason):
    code, _, err = w2v(COMMAND + change)
    assert code == 1
    assert f"Error: v.checkpoint: of a run {reason}: give the same options to go on, or --force" in err
    assert w2v(COMMAND + change + " -f")[0] == 0
    assert not os.path.exists("v.checkpoint")


def test_force_goes_on_with_the_same_run(interrupted, w2v, uninterrupted):
    code, _, err = w2v(COMMAND + "--force")
    assert code == 0
    assert "going on from v.checkpoint" in err
    assert_same_vectors("v", uninterrupted(""))


def test_force_starts_over_on_another_text(interrupted, w2v, folder):
    other = (folder / "text").read_text().replace("w1 w2", "w2 w1")
    (folder / "text").write_text(other)
    assert w2v(COMMAND.replace("-o v", "-o whole").replace("--log log", ""))[0] == 0
    code, _, err = w2v(COMMAND.replace("text", "-") + "--force", other.encode())
    assert code == 1
    assert "v.checkpoint: of a run on another text; standard input cannot be read again: remove it first" in err
    code, _, err = w2v(COMMAND + "--force")
    assert code == 0
    assert "starting over (v.checkpoint: of a run on another text)" in err
    assert_same_vectors("v", "whole")


def test_a_checkpoint_of_another_text_is_refused(interrupted, w2v, folder):
    (folder / "text").write_text((folder / "text").read_text().replace("w1 w2", "w2 w1"))
    for command in (COMMAND, "train --resume -o v"):
        code, _, err = w2v(command)
        assert code == 1
        assert "Error: v.checkpoint: of a run on another text" in err


def test_the_output_may_get_another_form(interrupted, w2v):
    assert w2v(COMMAND + "--classes 3")[0] == 0
    with open("v") as file:
        assert all(len(line.split()) == 2 for line in file)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "v.checkpoint: empty"), (b"rubbish", "v.checkpoint:1: not word vectors"), (None, "not a checkpoint")],
)
def test_a_file_that_is_no_checkpoint_is_refused(w2v, folder, content, reason):
    if content is None:
        assert w2v(COMMAND)[0] == 0
        os.rename("v", "v.checkpoint")
    else:
        (folder / "v.checkpoint").write_bytes(content)
    for command in (COMMAND, "train --resume -o v"):
        code, _, err = w2v(command)
        assert code == 1
        assert err.startswith("Error: v.checkpoint:")
        assert reason in err
        assert err.count("\n") == 1
    assert w2v(COMMAND + "--force")[0] == 0


def test_a_checkpoint_that_was_cut_short_is_refused(interrupted, w2v, folder):
    path = folder / "v.checkpoint"
    path.write_bytes(path.read_bytes()[:-100])
    code, _, err = w2v(COMMAND)
    assert code == 1
    assert "cut short" in err
