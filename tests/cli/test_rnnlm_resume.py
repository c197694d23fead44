"""rnnlm train interrupted, killed and gone on with: the model ends bit for bit as that of a run that was not."""

import json
import os
import re
import shutil
import signal
from contextlib import contextmanager
from itertools import count

import numpy as np
import pytest

import rnnlm as library
from corpora.errors import CorpusError
from rnnlm.io import native
from rnnlm.run import Run
from rnnlm.trainer import Trainer

posix = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
TIMES = {"seconds", "words_per_second"}
COMMAND = "train train.txt --valid valid.txt -o m --log log --max-iter 5 "
CONFIGURATIONS = {
    "classes": "--hidden 6 --class 4",
    # at this rate some epochs are worse than the one before, so that the best weights come back from the model file
    "not kept": "--hidden 6 --class 4 --alpha 1.6 --min-improvement 0.001",
    "everything": "--hidden 6 --class 4 --compression 5 --direct 0.001 --independent --bptt 3 --bptt-block 7",
    "jordan": "--cell jordan --hidden 6 --independent --bptt 3 --bptt-block 7",
    "0.4b": "--hidden 6 --class 4 --compatible --dtype float64 --direct 0.001",
}


def without_times(history):
    return [{key: value for key, value in epoch.items() if key not in TIMES} for epoch in history]


def assert_same_model(path, other):
    first, second = library.load(path), library.load(other)
    for name, values in first.params.items():
        assert np.array_equal(values, second.params[name]), name
    assert np.array_equal(first.start_hidden, second.start_hidden)
    assert without_times(first.history) == without_times(second.history)
    assert first.training == second.training


def history_of_log(path="log"):
    with open(path) as file:
        return [json.loads(line) for line in file]


@pytest.fixture
def long_text(folder):
    """Texts of which an epoch is three chunks, so that there are places to stop at inside it."""
    text = (folder / "train.txt").read_text()
    (folder / "train.txt").write_text(text * 3)
    return folder


@pytest.fixture(scope="session")
def uninterrupted(trained, tmp_path_factory, rnnlm):
    """uninterrupted(options) -> the model of COMMAND with these options; each is trained once."""
    models = {}

    def train(options):
        if options not in models:
            folder = tmp_path_factory.mktemp("whole")
            (folder / "train.txt").write_text((trained / "train.txt").read_text() * 3)
            shutil.copy(trained / "valid.txt", folder)
            with pytest.MonkeyPatch.context() as patch:
                patch.chdir(folder)
                code, _, err = rnnlm(COMMAND + options)
            assert code == 0, err
            models[options] = folder / "m"
        return models[options]

    return train


@contextmanager
def when_learning(at, action):
    """While the at-th chunk (from 0) of the process is learnt, ``action()`` is called."""
    learn, calls = Trainer.learn, count(-1)  # -1: the call that compiles

    def learn_and_act(self, *arguments):
        learn(self, *arguments)
        if next(calls) == at:
            action()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "learn", learn_and_act)
        yield


def arrives(number):
    return lambda: signal.raise_signal(number)


# ---- Ctrl-C


@pytest.mark.parametrize("at", [0, 4, 8, 14])
@pytest.mark.parametrize("options", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_an_interrupted_run_ends_as_one_that_was_not(long_text, rnnlm, uninterrupted, at, options):
    with when_learning(at, arrives(signal.SIGINT)):
        code, out, err = rnnlm(COMMAND + options)
    assert code == 130
    assert err.splitlines()[-2:] == ["stopped; the same command goes on from m.checkpoint", "Interrupted."]
    assert len(out.splitlines()) == at // 3
    code, out, err = rnnlm(COMMAND + options)
    assert code == 0, err
    assert f"going on from m.checkpoint: epoch {at // 3}, word " in err
    assert_same_model("m", uninterrupted(options))
    assert without_times(history_of_log()) == without_times(library.load("m").history)
    assert sorted(os.listdir()) == ["log", "m", "small.rnnlm", "test.txt", "train.txt", "valid.txt"]


def test_the_run_in_which_epochs_are_not_kept_has_such_epochs(uninterrupted):
    kept = [epoch["kept"] for epoch in library.load(uninterrupted(CONFIGURATIONS["not kept"])).history]
    assert kept[-1] or not all(kept)
    assert not all(kept)


def test_a_run_may_be_interrupted_again_and_again(long_text, rnnlm, uninterrupted):
    options = CONFIGURATIONS["everything"]
    for _ in range(7):
        with when_learning(1, arrives(signal.SIGINT)):
            assert rnnlm(COMMAND + options)[0] == 130
    assert rnnlm(COMMAND + options)[0] == 0
    assert_same_model("m", uninterrupted(options))


def test_standard_input_can_be_given_again(long_text, rnnlm, uninterrupted):
    text = (long_text / "train.txt").read_bytes()
    options = CONFIGURATIONS["classes"]
    command = (COMMAND + options).replace("train.txt", "-")
    with when_learning(5, arrives(signal.SIGINT)):
        assert rnnlm(command, text)[0] == 130
    assert rnnlm(command, text)[0] == 0
    assert_same_model("m", uninterrupted(options))


@posix
@pytest.mark.parametrize(("number", "expected"), [("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_terminated_run_is_gone_on_with_too(long_text, rnnlm, uninterrupted, number, expected):
    options = CONFIGURATIONS["classes"]
    with when_learning(4, arrives(getattr(signal, number))), pytest.raises(SystemExit) as leaving:
        rnnlm(COMMAND + options)
    assert leaving.value.code == expected
    assert rnnlm(COMMAND + options)[0] == 0
    assert_same_model("m", uninterrupted(options))


def test_a_second_ctrl_c_stops_at_once_and_keeps_the_old_checkpoint(long_text, rnnlm, uninterrupted, monkeypatch):
    options = CONFIGURATIONS["classes"]
    with when_learning(4, arrives(signal.SIGINT)):
        rnnlm(COMMAND + options)
    old = (long_text / "m.checkpoint").read_bytes()

    def twice():
        signal.raise_signal(signal.SIGINT)
        # once more while the state is saved
        monkeypatch.setattr(native, "_json", lambda value: signal.raise_signal(signal.SIGINT))

    json_of = native._json
    with when_learning(0, twice):
        code, _, err = rnnlm(COMMAND + options)
    monkeypatch.setattr(native, "_json", json_of)
    assert code == 130
    assert err.splitlines()[-2:] == [
        "stopping: the state goes to m.checkpoint (Ctrl-C once more: at once, without it)",
        "Interrupted.",
    ]
    assert (long_text / "m.checkpoint").read_bytes() == old
    assert rnnlm(COMMAND + options)[0] == 0
    assert_same_model("m", uninterrupted(options))


def test_handlers_of_signals_are_put_back(folder, done):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    done("train train.txt --valid valid.txt -o m --hidden 4 --class 1 --max-iter 1")
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


@posix
def test_ctrl_c_of_a_process(long_text, start_rnnlm, rnnlm):
    line = "train train.txt --valid valid.txt --hidden 6 --class 4 --max-iter 60 --min-improvement 0.001"
    with start_rnnlm(f"{line} -o m") as process:
        for _ in range(3):
            assert process.stdout.readline().startswith(b"epoch")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.endswith(b"stopped; the same command goes on from m.checkpoint\nInterrupted.\n")
    assert b"Traceback" not in err
    assert len(out.splitlines()) < 57
    for output in ("m", "whole"):
        assert rnnlm(f"{line} -o {output}")[0] == 0
    assert_same_model("m", "whole")


# ---- killed, and other ways to end


class Killed(BaseException):
    """As if the process had ended: nothing of it may run any more."""


def kill():
    raise Killed


@pytest.mark.parametrize("at", [4, 6, 9, 13])
@pytest.mark.parametrize("options", [CONFIGURATIONS["not kept"], CONFIGURATIONS["0.4b"]], ids=["not kept", "0.4b"])
def test_a_killed_run_goes_on_from_its_last_checkpoint(long_text, rnnlm, uninterrupted, at, options):
    options += " --checkpoint 1e-9"  # at every chunk
    with when_learning(at, kill), pytest.raises(Killed):
        rnnlm(COMMAND + options)
    code, _, err = rnnlm(COMMAND + options)
    assert code == 0, err
    assert f"going on from m.checkpoint: epoch {at // 3}, word {at % 3 * 10_000} of" in err
    assert_same_model("m", uninterrupted(options.replace(" --checkpoint 1e-9", "")))
    assert without_times(history_of_log()) == without_times(library.load("m").history)


def test_a_run_killed_between_model_and_checkpoint_goes_on(long_text, rnnlm, uninterrupted, monkeypatch):
    options = CONFIGURATIONS["classes"]
    with when_learning(4, arrives(signal.SIGINT)):
        rnnlm(COMMAND + options)
    # the epoch's model is written, the checkpoint is still that of the epoch's middle
    try_checkpoint = Run._try_checkpoint
    monkeypatch.setattr(Run, "_try_checkpoint", lambda self: kill())
    with pytest.raises(Killed):
        rnnlm(COMMAND + options)
    monkeypatch.setattr(Run, "_try_checkpoint", try_checkpoint)
    assert len(library.load("m").history) == 2
    assert rnnlm(COMMAND + options)[0] == 0
    assert_same_model("m", uninterrupted(options))


@posix
def test_who_stops_reading_gets_the_same_model(long_text, start_rnnlm, rnnlm):
    line = "train train.txt --valid valid.txt --hidden 6 --class 4 --max-iter 60 --min-improvement 0.001"
    with start_rnnlm(f"{line} -o m") as process:
        assert process.stdout.readline().startswith(b"epoch  0")
        process.stdout.close()
        err = process.stderr.read()
    assert process.returncode == 0
    assert b"Error" not in err
    assert b"stopped" not in err
    assert rnnlm(f"{line} -o whole")[0] == 0
    assert_same_model("m", "whole")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_log_that_cannot_be_written_stops_with_a_checkpoint(long_text, rnnlm, uninterrupted):
    options = CONFIGURATIONS["classes"]
    code, _, err = rnnlm((COMMAND + options).replace("--log log", "--log /dev/full"))
    assert code == 1
    assert err.splitlines()[-1] == "Error: /dev/full: cannot be written (No space left on device)"
    assert rnnlm(COMMAND + options)[0] == 0
    assert_same_model("m", uninterrupted(options))
    assert without_times(history_of_log()) == without_times(library.load("m").history)


def test_a_checkpoint_that_cannot_be_saved_is_warned_of(long_text, rnnlm, uninterrupted, monkeypatch):
    options = CONFIGURATIONS["classes"]
    save = native.save

    def full(lm, path, **extra):
        if path == "m.checkpoint":
            raise CorpusError(f"{path}: cannot be written (No space left on device)")
        save(lm, path, **extra)

    monkeypatch.setattr(native, "save", full)
    code, _, err = rnnlm(COMMAND + options + " --checkpoint 1e-9")
    assert code == 0
    warning = "m.checkpoint: cannot be written (No space left on device); training goes on without a new checkpoint"
    assert f"\nWarning: {warning}\n" in err
    assert_same_model("m", uninterrupted(options))


# ---- what does not fit


@pytest.fixture
def interrupted(long_text, rnnlm):
    """A folder with the checkpoint of a run of COMMAND with "classes", and the model of its first epochs."""
    with when_learning(7, arrives(signal.SIGINT)):
        assert rnnlm(COMMAND + CONFIGURATIONS["classes"])[0] == 130
    return long_text


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (" --hidden 7", "of a run with another --hidden (6, now 7): give the same options to go on"),
        (" --class 5", "of a run with another --class (4, now 5): give the same options to go on"),
        (" --alpha 0.2", "of a run with another --alpha (0.1, now 0.2): give the same options to go on"),
        (" --max-iter 9", "of a run with another --max-iter (5, now 9): give the same options to go on"),
        (" --init normal", "of a run with another --init (mikolov, now normal): give the same options to go on"),
        (" --direct 0.5", "of a run with another --direct (0, now 0.5): give the same options to go on"),
        (" --min-count 900", "of a run on other texts, or with another vocabulary: give the same texts and options"),
        (" --valid test.txt", "of a run on other texts, or with another vocabulary: give the same texts and options"),
    ],
)
def test_a_checkpoint_of_other_options_is_refused(interrupted, rnnlm, change, reason):
    before = {path.name: path.read_bytes() for path in interrupted.iterdir()}
    code, out, err = rnnlm(COMMAND + CONFIGURATIONS["classes"] + change)
    assert (code, out) == (1, "")
    assert err.splitlines()[-1].startswith(f"Error: m.checkpoint: {reason}")
    assert err.splitlines()[-1].endswith("or --force to start over")
    assert {path.name: path.read_bytes() for path in interrupted.iterdir()} == before


@pytest.mark.parametrize("change", ["--seed 3", "--valid test.txt"])
def test_force_starts_over_where_another_run_has_stopped(interrupted, rnnlm, change):
    command = COMMAND.replace("-o m", "-o {}") + CONFIGURATIONS["classes"] + " " + change
    code, out, err = rnnlm(command.format("m") + " --force")
    assert code == 0, err
    assert "\nstarting over (m.checkpoint: of a run " in err
    assert "going on" not in err
    assert out.startswith("epoch  0")
    assert rnnlm(command.format("whole --force"))[0] == 0
    assert_same_model("m", "whole")
    assert not os.path.exists("m.checkpoint")


def test_force_goes_on_with_the_same_run(interrupted, rnnlm, uninterrupted):
    code, out, err = rnnlm(COMMAND + CONFIGURATIONS["classes"] + " --force")
    assert code == 0, err
    assert "going on from m.checkpoint: epoch 2, word 20000" in err
    assert_same_model("m", uninterrupted(CONFIGURATIONS["classes"]))
    assert without_times(history_of_log()) == without_times(library.load("m").history)
    # which has ended now
    code, out, _ = rnnlm(COMMAND + CONFIGURATIONS["classes"] + " --force --max-iter 1")
    assert (code, len(out.splitlines())) == (0, 1)


@pytest.mark.parametrize("force", ["", " --force"])
@pytest.mark.parametrize("at", [1, 4, 13])
@pytest.mark.parametrize("options", [CONFIGURATIONS["not kept"], CONFIGURATIONS["0.4b"]], ids=["not kept", "0.4b"])
def test_a_run_killed_without_a_checkpoint_goes_on_from_its_best_epoch(
    long_text, rnnlm, uninterrupted, at, options, force
):
    if force:
        shutil.copy("small.rnnlm", "m")  # an older model
    with when_learning(at, kill), pytest.raises(Killed):
        rnnlm(COMMAND + options + force)
    assert not os.path.exists("m.checkpoint")
    code, _, err = rnnlm(COMMAND + options + force)
    assert code == 0, err
    assert ("going on from m: epoch " in err) == (at >= 3)
    assert_same_model("m", uninterrupted(options))
    assert without_times(history_of_log()) == without_times(library.load("m").history)


def test_a_model_of_an_unfinished_run_is_not_replaced_by_another(long_text, rnnlm, contents):
    with when_learning(4, kill), pytest.raises(Killed):
        rnnlm(COMMAND + CONFIGURATIONS["classes"])
    before = contents()
    code, out, err = rnnlm(COMMAND + CONFIGURATIONS["classes"] + " --seed 3")
    assert (code, out) == (1, "")
    assert err.splitlines()[-1] == (
        "Error: m: of a run with another --seed (1, now 3): give the same options to go on, or --force to start over"
    )
    assert contents() == before
    assert rnnlm(COMMAND + CONFIGURATIONS["classes"] + " --seed 3 --force")[0] == 0


def test_a_checkpoint_of_another_run_s_first_epoch_does_not_need_its_model(long_text, rnnlm, uninterrupted):
    """--force over the unfinished model of another run, interrupted before the first epoch's end."""
    with when_learning(4, kill), pytest.raises(Killed):
        rnnlm(COMMAND + CONFIGURATIONS["classes"] + " --seed 3")
    command = COMMAND + CONFIGURATIONS["classes"] + " --force"
    with when_learning(1, arrives(signal.SIGINT)):
        assert rnnlm(command)[0] == 130
    code, _, err = rnnlm(command)
    assert code == 0
    assert "going on from m.checkpoint: epoch 0, word 20000" in err
    assert_same_model("m", uninterrupted(CONFIGURATIONS["classes"]))


@pytest.mark.parametrize(
    "replace", [lambda: os.remove("m"), lambda: shutil.copy("small.rnnlm", "m")], ids=["gone", "other"]
)
def test_the_best_epoch_must_be_where_it_was(interrupted, rnnlm, replace):
    replace()
    code, _, err = rnnlm(COMMAND + CONFIGURATIONS["classes"])
    assert code == 1
    line = r"Error: m: (missing|another model), where m\.checkpoint needs the best epoch of its run: .* --force .*"
    assert re.fullmatch(line, err.splitlines()[-1])


def test_a_damaged_checkpoint_is_one_line(interrupted, rnnlm):
    data = (interrupted / "m.checkpoint").read_bytes()
    for wrong in (
        data[:3000],
        data[: len(data) // 2],
        b"rubbish" * 100,
        b"",
        (interrupted / "small.rnnlm").read_bytes(),
    ):
        (interrupted / "m.checkpoint").write_bytes(wrong)
        code, _, err = rnnlm(COMMAND + CONFIGURATIONS["classes"])
        assert code == 1
        assert err.splitlines()[-1].startswith("Error: m.checkpoint: ")
        assert "Traceback" not in err
    assert rnnlm(COMMAND + CONFIGURATIONS["classes"] + " --force")[0] == 0


def test_a_checkpoint_is_a_model_file(interrupted, done):
    assert json.loads(done("info m.checkpoint --json"))["training"]["iterations"] == 2
    assert json.loads(done("ppl -m m.checkpoint test.txt --format json"))["perplexity"] < 10
