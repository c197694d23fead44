"""Where text comes from: files, directories, patterns, standard input, compressed or not."""

import bz2
import gzip
import io
import lzma
import os
import sys

import pytest

from corpora.errors import CorpusError, FormatError
from corpora.text.inputs import expand, open_text, text_size

TEXT = "ein Wort\nゑ\n".encode() * 1000


def read(path) -> bytes:
    with open_text(str(path)) as file:
        return file.read()


def write(path, data: bytes):
    path.write_bytes(data)
    return path


class OneByteAtATime(io.RawIOBase):
    """A pipe whose writer is slow."""

    def __init__(self, data):
        self.data = data

    def readable(self):
        return True

    def readinto(self, buffer):
        part, self.data = self.data[:1], self.data[1:]
        buffer[: len(part)] = part
        return len(part)


@pytest.fixture
def stdin(monkeypatch):
    def give(data: bytes):
        file = io.BufferedReader(OneByteAtATime(data))
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(file))
        return file

    return give


def test_a_directory_is_all_its_files_sorted_without_hidden_ones(tmp_path):
    for name in ("b.txt", "a.txt", ".hidden", "sub/c.txt", ".git/d.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write(tmp_path / name, b"x\n")
    found = [os.path.relpath(path, tmp_path).replace(os.sep, "/") for path in expand([str(tmp_path)])]
    assert found == ["a.txt", "b.txt", "sub/c.txt"]


def test_a_pattern_is_its_matches_sorted_and_a_file_named_like_a_pattern_is_itself(tmp_path):
    for name in ("2.txt", "1.txt", "3.dat", "[1].txt"):
        write(tmp_path / name, b"x\n")
    assert expand([str(tmp_path / "?.txt")]) == [str(tmp_path / "1.txt"), str(tmp_path / "2.txt")]
    assert expand([str(tmp_path / "[1].txt")]) == [str(tmp_path / "[1].txt")]


def test_paths_keep_their_order_and_may_repeat(tmp_path):
    a, b = (str(write(tmp_path / name, b"x\n")) for name in "ab")
    assert expand([b, "-", a, b]) == [b, "-", a, b]


@pytest.mark.parametrize(
    ("name", "finding"),
    [("missing.txt", "no such file"), ("*.nothing", "no file matches"), ("empty", "no files in this directory")],
)
def test_what_is_not_there_is_one_line_with_its_name(tmp_path, name, finding):
    (tmp_path / "empty").mkdir()
    with pytest.raises(CorpusError, match=finding) as error:
        expand([str(tmp_path / name)])
    assert str(error.value).startswith(str(tmp_path / name))
    assert "\n" not in str(error.value)


def test_opening_a_directory_or_a_missing_file_is_a_corpus_error(tmp_path):
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(CorpusError, match=str(path.name)):
            open_text(str(path))


@pytest.mark.parametrize("compress", [bytes, gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_compression_goes_by_content_and_a_byte_order_mark_is_skipped(tmp_path, compress, mark):
    assert read(write(tmp_path / "no-ending", compress(mark + TEXT))) == TEXT


@pytest.mark.parametrize("compress", [bytes, gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("text", [b"", b"a", b"\xef\xbb\xbf", b"\xef\xbbx", TEXT[:50]])
def test_standard_input_that_comes_byte_by_byte_is_read_whole_and_stays_open(stdin, compress, text):
    file = stdin(compress(text))
    assert read("-") == text.removeprefix(b"\xef\xbb\xbf")
    assert not file.closed


def test_only_the_first_byte_order_mark_goes(tmp_path):
    mark = b"\xef\xbb\xbf"
    assert read(write(tmp_path / "t", mark + mark + b"a")) == mark + b"a"


def test_two_gzip_files_in_one_are_read_as_one(tmp_path):
    assert read(write(tmp_path / "t", gzip.compress(b"a\n") + gzip.compress(b"b\n"))) == b"a\nb\n"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-16-le"])
def test_utf16_is_refused_with_what_to_do(tmp_path, encoding):
    text = ("" if encoding == "utf-16" else "\ufeff") + "text\n"
    with pytest.raises(FormatError, match="UTF-16 text; convert it to UTF-8"):
        open_text(str(write(tmp_path / "t", text.encode(encoding))))


@pytest.mark.parametrize(("magic", "what"), [(b"PK\x03\x04", "zip"), (b"\x28\xb5\x2f\xfd", "zstd")])
def test_archives_are_not_taken_for_text(tmp_path, magic, what):
    with pytest.raises(FormatError, match=what):
        open_text(str(write(tmp_path / "t", magic + bytes(100))))


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda data: data[:20] + b"??" + data[22:]])
def test_damaged_compressed_data_is_a_format_error_of_that_file(tmp_path, compress, damage):
    path = write(tmp_path / "t", damage(compress(os.urandom(5000))))
    with pytest.raises(FormatError, match="damaged or cut-short") as error:
        read(path)
    assert error.value.path == str(path)


def pieces_of(path, size=1 << 20):
    """The bytes of a text in pieces of at most ``size``."""
    with open_text(str(path)) as file:
        while piece := file.read(size):
            yield piece


def test_a_text_is_read_in_pieces(tmp_path):
    path = write(tmp_path / "t", TEXT)
    pieces = list(pieces_of(path, 100))
    assert b"".join(pieces) == TEXT
    assert max(map(len, pieces)) == 100


def test_the_size_of_pipes_is_not_known(tmp_path):
    path = str(write(tmp_path / "t", TEXT))
    assert text_size([path, path]) == 2 * len(TEXT)
    assert text_size([path, "-"]) is None


# ---- files that change while they are read


def longer(path):
    with open(path, "ab") as file:
        file.write(b"one more line\n")


def cut(path):
    os.truncate(path, 1 << 20)


def other(path):
    status = os.stat(path)
    with open(path, "r+b") as file:
        file.write(b"other")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000_000))


@pytest.mark.parametrize(
    ("change", "finding"),
    [(longer, "3000000 bytes, then 3000014"), (cut, "3000000 bytes, then 1048576"), (other, "written to")],
)
def test_a_text_that_changes_while_it_is_read_is_refused(tmp_path, change, finding):
    path = tmp_path / "text"
    path.write_bytes(b"a text of so many words, a sentence a line.\n"[:30] * 100_000)
    pieces = pieces_of(path)
    next(pieces)
    change(path)
    with pytest.raises(FormatError) as error:
        list(pieces)
    assert str(error.value) == f"{path}: changed while it was read ({finding}); begin again when it is complete"


def test_a_compressed_text_that_grows_while_it_is_read_is_refused(tmp_path):
    path = tmp_path / "text.gz"
    path.write_bytes(gzip.compress(os.urandom(3_000_000).hex().encode()))
    pieces = pieces_of(path)
    next(pieces)
    with open(path, "ab") as file:
        file.write(gzip.compress(b"one more line\n"))
    with pytest.raises(FormatError, match=r"text\.gz: changed while it was read"):
        list(pieces)
