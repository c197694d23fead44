"""One run at a time writes an output; one that is killed is in nobody's way."""

import json
import os
import platform
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from corpora.errors import CorpusError
from corpora.files import locks
from corpora.jobs.resumable import check_outputs, checkpoint_of, claim, keeps_state, output_of

posix = pytest.mark.skipif(os.name != "posix", reason="needs links and signals of POSIX")
ROOT = Path(__file__).resolve().parents[2]
GONE = 2**22 + 1  # beyond the largest number of a process
CODE = """
import sys
from pathlib import Path
from corpora.jobs.resumable import check_outputs, claim
with claim("m") as claimed:
    check_outputs({"the model": "m", "the log": "log"}, claim=claimed)
    Path("log").write_text("begun")
    print("there", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def running():
    """A process that has begun a run with the output ``m`` and a log."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", CODE]
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"there\n"
        yield process
        process.kill()


def refusal(output):
    with pytest.raises(CorpusError) as caught, claim(output):
        pass
    return str(caught.value)


def lock_of(**content):
    return json.dumps({"kind": "lock of a run"} | content) + "\n"


# ---- one at a time


def test_a_second_run_is_refused_until_the_first_has_ended(running):
    expected = "m: is being written by another run (process {} on {}): wait until it has ended, or give another name"
    assert refusal("m") == expected.format(running.pid, platform.node())
    with claim("other"):
        pass
    running.communicate(b"")
    with claim("m"):
        pass
    assert os.listdir() == ["log"]


@posix
@pytest.mark.parametrize("name", ["link", "folder/m", "./m", "to/m"])
def test_another_name_of_the_same_output_is_no_way_around(running, name):
    os.symlink("m", "link")  # which need not exist yet
    os.mkdir("folder")
    os.symlink("../m", "folder/m")
    os.symlink(".", "to")
    assert refusal(name).startswith(f"{name}: is being written by another run")


def test_two_claims_of_one_process_are_two_runs():
    with claim("m"):
        assert "is being written" in refusal("m")


@posix
def test_a_run_that_was_killed_is_in_nobody_s_way(running):
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert sorted(os.listdir()) == ["log", "m.lock"]
    with claim("m") as claimed:
        check_outputs({"the model": "m", "the log": "log"}, claim=claimed)  # its log is not in the way either
        with pytest.raises(CorpusError, match=r"m\.lock: already exists"):
            check_outputs({"the model": "n", "the log": "m.lock"}, claim=claimed)  # but nothing else is replaced
    assert os.listdir() == ["log"]
    with claim("m") as claimed, pytest.raises(CorpusError, match="log: already exists"):
        check_outputs({"the model": "m", "the log": "log"}, claim=claimed)  # that run has ended


@posix
def test_a_run_killed_again_and_again_still_knows_its_log(running):
    running.send_signal(signal.SIGKILL)
    running.wait()
    for _ in range(2):
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        code = CODE.replace("sys.stdin.read()", "import os; os.kill(os.getpid(), 9)")
        ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False)
        assert (ended.returncode, ended.stderr) == (-9, b"")


@posix
def test_a_child_that_outlives_its_parent_does_not_keep_the_lock(running):
    running.kill()
    code = CODE.replace("sys.stdin.read()", "import os, time\nif os.fork(): os.kill(os.getpid(), 9)\ntime.sleep(60)")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", code], env=environment, start_new_session=True) as process:
        process.wait()
    try:
        with claim("m"):
            pass
    finally:
        os.killpg(process.pid, signal.SIGKILL)


# ---- what a lock is


def broken_off(error=ValueError):
    assert "m.lock" in os.listdir()
    raise error("broken off")


def test_a_lock_is_removed_however_the_run_ends():
    for error in (KeyboardInterrupt, ValueError):
        with pytest.raises(error), claim("m"):
            broken_off(error)
        assert os.listdir() == []


def test_a_run_that_is_broken_off_explains_the_log_that_it_leaves(folder):
    def run():
        with claim("m") as claimed:
            check_outputs({"the model": "m", "the log": "log"}, claim=claimed)
            (folder / "log").touch()
            broken_off()

    with pytest.raises(ValueError, match="broken"):
        run()
    assert sorted(os.listdir()) == ["log", "m.lock"]
    (folder / "m.checkpoint").touch()
    with pytest.raises(ValueError, match="broken"):
        run()
    assert sorted(os.listdir()) == ["log", "m.checkpoint"]  # which stands for the same


def test_an_older_log_is_not_a_killed_run_s(folder):
    (folder / "log").touch()
    with suppress(ValueError), claim("m") as claimed:
        check_outputs({"the model": "m", "the log": "log"}, force=True, claim=claimed)
        broken_off()
    with claim("m") as claimed, pytest.raises(CorpusError, match="log: already exists"):
        check_outputs({"the model": "m", "the log": "log"}, claim=claimed)


def test_a_file_of_another_program_is_not_taken_for_a_lock(folder):
    for content in (b"[packages]\n", b"{}", b"x" * 100):
        (folder / "m.lock").write_bytes(content)
        assert refusal("m").endswith(
            "m.lock: not a lock of this program: move it away, or give the output another name"
        )
        assert (folder / "m.lock").read_bytes() == content


@posix
def test_a_link_or_a_pipe_is_not_taken_for_a_lock(folder):
    (folder / "victim").write_bytes(b"")
    os.symlink("victim", "m.lock")
    assert "m.lock: cannot be written" in refusal("m")
    os.remove("m.lock")
    os.mkfifo("m.lock")
    assert "m.lock: " in refusal("m")


@pytest.mark.parametrize(
    "content", ["", '{"kind": "lock of', lock_of(), lock_of(begun=3), lock_of(begun=[1], process="x")]
)
def test_a_lock_that_was_being_written_by_a_killed_run_is_free(folder, content):
    (folder / "m.lock").write_text(content)
    with claim("m") as claimed:
        assert claimed.begun == frozenset()
    assert os.listdir() == []


@posix
def test_a_lock_that_is_removed_in_the_moment_before_it_is_taken_is_made_anew(monkeypatch):
    try_lock, calls = locks.try_lock, []

    def lock_late(descriptor):
        calls.append(descriptor)
        if len(calls) == 1:
            os.remove("m.lock")  # by the run that has just ended
        return try_lock(descriptor)

    monkeypatch.setattr(locks, "try_lock", lock_late)
    with claim("m"):
        assert os.path.exists("m.lock")
    assert len(calls) == 2


@pytest.mark.parametrize(
    ("process", "machine", "is_free"),
    [(GONE, platform.node(), True), (os.getppid(), platform.node(), False), (os.getppid(), "another", True)],
)
def test_without_locks_of_the_system_the_process_that_is_named_decides(folder, monkeypatch, process, machine, is_free):
    monkeypatch.setattr(locks, "try_lock", lambda descriptor: None)
    (folder / "m.lock").write_text(lock_of(process=process, machine=machine, begun=[]))
    if is_free:
        with claim("m"):
            assert json.loads((folder / "m.lock").read_text())["process"] == os.getpid()
        assert os.listdir() == []
    else:
        assert f"process {process} on" in refusal("m")


@pytest.mark.parametrize("output", ["-", os.devnull, "none/m", "."])
def test_what_has_no_place_for_a_lock_has_none(output):
    with claim(output):
        assert os.listdir() == []


def test_what_has_a_place_for_a_checkpoint(folder):
    (folder / "old").touch()
    assert keeps_state("old")
    assert keeps_state("new")
    assert not keeps_state("-")
    assert not keeps_state(os.devnull)
    assert output_of(checkpoint_of("m")) == "m"


def test_unfinished_files_of_killed_runs_are_removed_at_the_beginning(folder):
    for name in ("m", "m.checkpoint"):
        (folder / f"{name}.part-{GONE}-0123456789abcdef").touch()
    (folder / f"other.part-{GONE}-0123456789abcdef").touch()
    with claim("m"):
        assert sorted(os.listdir()) == ["m.lock", f"other.part-{GONE}-0123456789abcdef"]
