"""Unfinished files: nobody else reads them, foretells their names, or finds them once their process is gone."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from corpora.errors import CorpusError
from corpora.files import locks, parts
from corpora.files.output import open_log, replace_file

posix = pytest.mark.skipif(os.name != "posix", reason="needs modes, links and signals of POSIX")
ROOT = Path(__file__).resolve().parents[2]
GONE = 2**22 + 1  # beyond the largest number of a process


@pytest.fixture(autouse=True)
def in_the_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def run(code, **options):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment, **options)


@pytest.fixture
def writing():
    """A process that is writing ``out`` and has written 3 bytes of it."""
    code = (
        "import sys; from corpora.files.output import replace_file\n"
        "with replace_file('out') as file:\n"
        "    file.write(b'new'); file.flush(); print('there', flush=True); sys.stdin.read()\n"
    )
    with run(code, stdin=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"there\n"
        yield process
        process.kill()


# ---- permissions and names


@posix
@pytest.mark.parametrize("old", [0o600, 0o640, 0o666, 0o400])
def test_an_unfinished_file_has_the_permissions_of_the_old_one_from_its_first_byte(old):
    Path("out").touch()
    os.chmod("out", old)
    with replace_file("out") as file:
        (part,) = set(os.listdir()) - {"out"}
        assert mode(part) == old
        file.write(b"new")
    assert mode("out") == old


@posix
def test_a_file_is_created_with_its_permissions_and_not_given_them_afterwards(monkeypatch):
    Path("out").touch()
    os.chmod("out", 0o600)
    asked = []
    system_open = os.open

    def watched_open(path, flags, permissions=0o777, **options):
        asked.append((path, flags, permissions))
        return system_open(path, flags, permissions, **options)

    monkeypatch.setattr(os, "open", watched_open)
    descriptor, part = parts.create("out")
    os.close(descriptor)
    assert [(path, permissions) for path, _, permissions in asked] == [(part, 0o600)]
    assert asked[0][1] & (os.O_CREAT | os.O_EXCL) == os.O_CREAT | os.O_EXCL


@posix
def test_a_new_file_follows_the_umask_or_the_file_that_it_belongs_to():
    before = os.umask(0o027)
    try:
        with replace_file("out"):
            pass
        os.chmod("out", 0o600)
        with replace_file("out.checkpoint", like="out"):
            pass
        with replace_file("other", like="missing"):
            pass
    finally:
        os.umask(before)
    assert [mode(name) for name in ("out", "out.checkpoint", "other")] == [0o600, 0o600, 0o640]


def test_names_cannot_be_foretold():
    names = set()
    for _ in range(20):
        with replace_file("out"):
            names |= set(os.listdir()) - {"out"}
    assert len(names) == 20


@posix
def test_a_name_that_is_there_is_not_written_to(monkeypatch):
    """Even if somebody guesses it: a link that lies there leads nowhere."""
    random = iter([b"\1" * 8, b"\2" * 8])
    monkeypatch.setattr(os, "urandom", lambda n: next(random))
    Path("victim").write_bytes(b"old")
    guessed = f"out.part-{os.getpid()}-{'01' * 8}"
    os.symlink("victim", guessed)
    with replace_file("out") as file:
        file.write(b"new")
    assert Path("victim").read_bytes() == b"old"
    assert Path("out").read_bytes() == b"new"
    assert not os.path.islink("out")


# ---- what is left by a process that was killed


@posix
def test_the_file_of_a_killed_process_is_removed_by_the_next_one(writing):
    writing.send_signal(signal.SIGKILL)
    writing.wait()
    (left,) = os.listdir()
    assert left.startswith(f"out.part-{writing.pid}-")
    with replace_file("other"):
        pass
    assert left in os.listdir()  # of another file
    with replace_file("out"):
        pass
    assert sorted(os.listdir()) == ["other", "out"]


@posix
def test_the_file_of_a_living_process_is_not_touched(writing):
    with replace_file("out"):
        pass
    assert len(os.listdir()) == 2
    writing.communicate(b"")
    assert Path("out").read_bytes() == b"new"
    assert os.listdir() == ["out"]


def test_a_file_of_this_process_is_not_touched():
    with replace_file("out") as first:
        first.write(b"1")
        with replace_file("out") as second:
            second.write(b"2")
        first.write(b"1")
    assert Path("out").read_bytes() == b"11"
    assert os.listdir() == ["out"]


@posix
def test_only_what_has_the_form_of_such_names_is_removed():
    kept = ["out.part", "out.part-", "out.part-1x", f"out.part-{GONE}-0123", f"out.part-{os.getpid()}", "xout.part-7"]
    for name in kept:
        Path(name).touch()
    os.mkdir(f"out.part-{GONE}-0123456789abcdef")
    os.symlink("kept", f"out.part-{GONE}-1123456789abcdef")
    os.mkfifo(f"out.part-{GONE}-2123456789abcdef")
    kept = set(os.listdir())
    for name in (f"out.part-{GONE}", f"out.part-{GONE}-3123456789abcdef"):
        Path(name).touch()
    parts.remove_left("out")
    assert set(os.listdir()) == kept


@posix
def test_without_locks_the_number_of_the_process_tells(monkeypatch):
    monkeypatch.setattr(parts, "try_lock", lambda descriptor: None)
    for process in (GONE, os.getpid()):
        Path(f"out.part-{process}-0123456789abcdef").touch()
    with replace_file("out"):
        pass
    assert sorted(os.listdir()) == ["out", f"out.part-{os.getpid()}-0123456789abcdef"]


@posix
def test_a_lock_that_the_file_system_does_not_know_is_none(monkeypatch):
    def refuse(descriptor, operation):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(locks.fcntl, "flock", refuse)
    with open("file", "wb") as file:
        assert locks.try_lock(file.fileno()) is None


def test_whether_a_process_is_running():
    assert locks.is_running(os.getpid())
    assert locks.is_running(1) or os.name == "nt"  # of another user, mostly
    assert not locks.is_running(0)
    assert not locks.is_running(GONE)
    assert not locks.is_running(10**30)


# ---- logs


@posix
def test_a_log_has_one_writer_and_loses_nothing_to_the_second():
    with open_log("log") as log:
        log.write(b"line\n")
        with pytest.raises(CorpusError, match=r"^log: is being written by another run; give the log another name$"):
            open_log("log")
        assert Path("log").read_bytes() == b"line\n"
    open_log("log").close()
    assert Path("log").read_bytes() == b""


@posix
def test_a_device_is_no_log_that_is_taken():
    with open_log(os.devnull), open_log(os.devnull):
        pass
