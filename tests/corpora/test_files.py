"""A file that is written appears whole or not at all."""

import errno
import io
import os
import re
import stat
import sys

import numpy as np
import pytest

from corpora.errors import CorpusError
from corpora.files import output as files
from corpora.files.output import check_output, replace_file, to_bytes, write_npy

posix = pytest.mark.skipif(os.name != "posix", reason="needs links, modes or devices of POSIX")


class FullDisk(io.FileIO):
    """A file whose device has no space after ``room`` bytes."""

    room = 10

    def write(self, data):
        if self.tell() + len(data) > self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(data)


@pytest.fixture
def full_disk(monkeypatch):
    monkeypatch.setattr(files, "_open", lambda path, mode: io.BufferedWriter(FullDisk(path, "w"), 4))


def fail_after_writing(file, error):
    file.write(b"new")
    raise error


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_name_appears_when_the_block_has_ended(tmp_path):
    path = tmp_path / "out"
    with replace_file(str(path)) as file:
        file.write(b"a\r\nb")
        assert not path.exists()
        (part,) = names(tmp_path)
        assert re.fullmatch(rf"out\.part-{os.getpid()}-[0-9a-f]{{16}}", part)
    assert path.read_bytes() == b"a\r\nb"
    assert names(tmp_path) == ["out"]


def test_text_mode_writes_utf8_with_newlines_of_one_byte(tmp_path):
    with replace_file(str(tmp_path / "out"), "w") as file:
        file.write("ä\n")
    assert (tmp_path / "out").read_bytes() == b"\xc3\xa4\n"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_after_any_failure_the_old_file_is_there_and_nothing_else(tmp_path, error):
    path = tmp_path / "out"
    path.write_bytes(b"old")
    with pytest.raises(error), replace_file(str(path)) as file:
        fail_after_writing(file, error)
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["out"]


def test_a_full_disk_is_one_line_and_keeps_the_old_file(tmp_path, full_disk):
    path = tmp_path / "out"
    path.write_bytes(b"old")
    with pytest.raises(CorpusError) as caught, replace_file(str(path)) as file:
        file.write(b"0123456789abcdef")
    message = str(caught.value)
    assert message.startswith(f"{path}: cannot be written (")
    assert message.endswith("; the old file is unchanged")
    assert "\n" not in message
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["out"]


def test_a_disk_that_is_found_full_only_at_the_end_is_no_success(tmp_path, full_disk, monkeypatch):
    monkeypatch.setattr(files, "_open", lambda path, mode: io.BufferedWriter(FullDisk(path, "w"), 1 << 16))
    with pytest.raises(CorpusError, match="cannot be written"), replace_file(str(tmp_path / "out")) as file:
        file.write(b"0123456789abcdef")  # stays in the buffer
    assert names(tmp_path) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")
def test_a_device_is_written_to_directly():
    check_output("/dev/full")
    with pytest.raises(CorpusError, match=r"^/dev/full: cannot be written"), replace_file("/dev/full") as file:
        file.write(b"x")
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode)


def test_an_error_of_another_file_is_not_blamed_on_this_one(tmp_path):
    with pytest.raises(FileNotFoundError), replace_file(str(tmp_path / "out")):
        (tmp_path / "missing").read_bytes()
    assert names(tmp_path) == []


@posix
def test_a_link_stays_a_link_and_the_mode_of_a_replaced_file_stays(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"old")
    target.chmod(0o640)
    link.symlink_to(target)
    with replace_file(str(link)) as file:
        file.write(b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_minus_is_standard_output(capsysbinary):
    check_output("-")
    with replace_file("-") as file:
        file.write(b"\xff\n")
    assert capsysbinary.readouterr().out == b"\xff\n"


def test_a_closed_pipe_is_left_to_the_command(monkeypatch):
    class Closed(io.RawIOBase):
        def writable(self):
            return True

        def write(self, data):
            raise BrokenPipeError(errno.EPIPE, "closed")

    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BufferedWriter(Closed())))
    with pytest.raises(BrokenPipeError), replace_file("-") as file:
        file.write(b"x")
    monkeypatch.undo()


def test_check_output_finds_what_would_fail_later(tmp_path):
    (tmp_path / "there").write_bytes(b"")
    check_output(str(tmp_path / "new"))
    check_output(str(tmp_path / "there"), force=True)
    with pytest.raises(CorpusError, match="already exists; `force` replaces it"):
        check_output(str(tmp_path / "there"))
    with pytest.raises(CorpusError, match="is a directory"):
        check_output(str(tmp_path), force=True)
    with pytest.raises(CorpusError, match="there is no directory"):
        check_output(str(tmp_path / "no" / "new"))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_check_output_finds_a_directory_that_may_not_be_written(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(CorpusError, match="permission denied"):
            check_output(str(tmp_path / "new"))
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.parametrize("n", [0, 1, (1 << 20) + 3])
def test_numpy_reads_what_write_npy_wrote(n):
    ids = np.arange(n, dtype=np.int32)
    file = io.BytesIO()
    write_npy(file, ids)
    file.seek(0)
    loaded = np.load(file)
    assert loaded.dtype == np.int32
    assert np.array_equal(loaded, ids)


def test_text_of_files_is_written_whatever_is_in_it():
    assert to_bytes("語 caf\udce9") == "語 caf".encode() + b"\xe9"  # as os.fsdecode had it
    assert to_bytes("half of a pair: \ud800") == b"half of a pair: \\ud800"
