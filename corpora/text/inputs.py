"""Where text comes from: files, globs, directories and standard input, plain or compressed.

A path is text as it was typed; ``-`` is standard input.  Compression is known by a file's first
bytes, never by its name.  Every error is one line that names the path.
"""

from __future__ import annotations

import glob
import io
import os
import stat
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO

from corpora.errors import CorpusError, FormatError

STDIN = "-"
# bytes of a word, and of a line where lines are read as a whole: a few hundred compressed bytes could otherwise
# become a word that takes all memory
LONGEST = 1 << 22


def _open_gzip(file: BinaryIO) -> BinaryIO:
    import gzip

    return gzip.GzipFile(fileobj=file, mode="rb")


def _open_bzip2(file: BinaryIO) -> BinaryIO:
    import bz2

    return bz2.BZ2File(file, "rb")


def _open_xz(file: BinaryIO) -> BinaryIO:
    import lzma

    return lzma.LZMAFile(file, "rb")


COMPRESSED: dict[bytes, tuple[str, Callable[[BinaryIO], BinaryIO]]] = {
    b"\x1f\x8b": ("gzip", _open_gzip),
    b"BZh": ("bzip2", _open_bzip2),
    b"\xfd7zXZ\x00": ("xz", _open_xz),
}
NOT_TEXT = {
    b"\x28\xb5\x2f\xfd": "zstd-compressed; give the text, for example by zstd -dc FILE | ... -",
    b"PK\x03\x04": "a zip archive; unpack it first",
}
UTF8_BOM = b"\xef\xbb\xbf"
UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")
_HEAD = 6  # bytes: the longest of the magic numbers above
_PLACES = 8  # of a file that are looked at for a sample


def expand(paths: Sequence[str]) -> list[str]:
    """The files that ``paths`` mean, in the order given.

    A directory means all files below it, sorted, without hidden ones; a pattern (``*``, ``?``,
    ``[...]``, ``**``) the sorted files that it matches; ``-`` stands for itself.
    Raises CorpusError for what is missing, empty or unreadable.
    """
    return [file for path in paths for file in _expand_one(path)]


def _expand_one(path: str) -> list[str]:
    if path == STDIN:
        return [STDIN]
    if os.path.isdir(path):
        return _files_below(path)
    if os.path.exists(path):
        return [_readable(path)]
    if glob.has_magic(path):
        found = sorted(glob.glob(path, recursive=True))
        if not found:
            raise CorpusError(f"{path}: no file matches this pattern")
        files = [match for match in found if not os.path.isdir(match)]
        # "texts/*" of nothing but directories means these directories
        return [_readable(file) for file in files] or [file for match in found for file in _files_below(match)]
    raise CorpusError(f"{path}: no such file")


def _files_below(directory: str) -> list[str]:
    files = []
    for folder, subfolders, names in os.walk(directory, onerror=_raise_unreadable):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        files.extend(os.path.join(folder, name) for name in names if not name.startswith("."))
    if not files:
        raise CorpusError(f"{directory}: no files in this directory")
    return [_readable(file) for file in sorted(files)]


def _raise_unreadable(error: OSError) -> None:
    raise CorpusError(f"{error.filename}: {error.strerror or error}")


def _readable(path: str) -> str:
    if not os.access(path, os.R_OK):
        raise CorpusError(f"{path}: cannot be read (permission denied)")
    return path


def open_text(path: str) -> BinaryIO:
    """The bytes of a text: decompressed (gzip, bzip2, xz), a UTF-8 byte order mark skipped.

    Raises CorpusError where the file cannot be opened, FormatError for UTF-16, for archives, and,
    while reading, for damaged compressed data.
    """
    raw = _open_raw(path)
    stream = _Joined(path, b"", raw, own=path != STDIN)
    try:
        stream.head = _read_exactly(stream, _HEAD)  # through the stream, whose errors name the path
        for magic, remark in NOT_TEXT.items():
            if stream.head.startswith(magic):
                raise FormatError(path, None, remark)
        for magic, (name, opener) in COMPRESSED.items():
            if stream.head.startswith(magic):
                compressed = io.BufferedReader(stream, 1 << 18)
                stream = _Joined(path, b"", opener(compressed), own=True, beneath=compressed, compression=name)
                stream.head = _read_exactly(stream, _HEAD)
                break
        if stream.head.startswith(UTF16_BOMS):
            raise FormatError(path, None, "UTF-16 text; convert it to UTF-8 (iconv -f UTF-16 -t UTF-8)")
        stream.head = stream.head.removeprefix(UTF8_BOM)
    except BaseException:
        stream.close()
        raise
    return io.BufferedReader(stream, 1 << 16)


def text_lines(path: str, file: BinaryIO) -> Iterator[bytes]:
    """The lines of an open text, with their ends.  FormatError for one of more than LONGEST bytes."""
    number = 0
    while line := file.readline(LONGEST + 1):
        number += 1
        if len(line) > LONGEST:
            raise too_long(path, number)
        yield line


def read_words(path: str) -> list[bytes]:
    """The different words of a text, what white space separates, in the order in which they come first."""
    with open_text(path) as file:
        return list(dict.fromkeys(word for line in text_lines(path, file) for word in line.split()))


def too_long(path: str, number: int | None, what: str = "line") -> FormatError:
    """The error of a line, or what else there is, that LONGEST forbids."""
    return FormatError(path, number, f"a {what} of more than {LONGEST:,} bytes")


def sample(path: str, size: int) -> tuple[bytes, int]:
    """Some bytes of a text, about ``size``, and about how many bytes of the file they are.

    From several places, or, of a compressed file, from its beginning.
    """
    whole = os.path.getsize(path)
    with open_text(path) as file:
        if file.raw.compression is None and whole > size:
            pieces = []
            with _open_raw(path) as raw:
                for k in range(_PLACES):
                    raw.seek((whole - size // _PLACES) * k // (_PLACES - 1))
                    pieces.append(_read_exactly(raw, size // _PLACES))
            text = b"".join(pieces)
            return text, len(text)
        text = file.read(size)
        return text, whole if len(text) < size else file.raw.position()


def is_compressed(path: str) -> bool:
    """Whether a text is decompressed where it is read."""
    with open_text(path) as file:
        return file.raw.compression is not None


def text_size(paths: Sequence[str]) -> int | None:
    """Bytes of these files on the disk, for a progress bar; None where a pipe or standard input is among them."""
    total = 0
    for path in paths:
        if path == STDIN or not os.path.isfile(path):
            return None
        total += os.path.getsize(path)
    return total


def _open_raw(path: str) -> BinaryIO:
    if path == STDIN:
        # unbuffered: a Ctrl-C between two reads of the buffered one would wait for more input
        return getattr(sys.stdin.buffer, "raw", sys.stdin.buffer)
    try:
        return open(path, "rb", buffering=0)
    except OSError as error:
        raise CorpusError(f"{path}: {error.strerror or error}") from error


def _version(file: BinaryIO) -> tuple[int, int] | None:
    """Size and time of the last change of an open file; None for pipes and what else is no file on a disk."""
    try:
        status = os.fstat(file.fileno())
    except (OSError, ValueError, AttributeError):  # it is in memory
        return None
    return (status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else None


def _read_exactly(file: BinaryIO, size: int) -> bytes:
    """``size`` bytes, fewer only at the end: a pipe may give one byte at a time."""
    pieces = []
    while size > 0 and (piece := file.read(size)):
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


class _Joined(io.RawIOBase):
    """The bytes ``head`` that were read ahead, then what is left of ``file``; its errors name the path."""

    def __init__(self, path, head, file, *, own, beneath=None, compression=None):
        super().__init__()
        self.path, self.head, self.compression = path, head, compression
        self._file, self._own, self._beneath = file, own, beneath
        self._before = _version(file) if beneath is None else None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        if self.head:
            size = min(len(buffer), len(self.head))
            buffer[:size] = self.head[:size]
            self.head = self.head[size:]
            return size
        try:
            n = self._file.readinto(buffer) or 0
            if n == 0 and self._before is not None:
                self._require_unchanged()
            return n
        except FormatError:
            raise
        except (EOFError, OSError, zlib.error) as error:
            raise self._error(error) from error
        except Exception as error:  # lzma.LZMAError, whose module is loaded for .xz only
            if self.compression is None:
                raise
            raise self._error(error) from error

    def _require_unchanged(self) -> None:
        """FormatError where a file is another one at its end than it was at its beginning."""
        after = _version(self._file)
        if after != self._before:
            same_size = after is None or after[0] == self._before[0]
            finding = "written to" if same_size else f"{self._before[0]} bytes, then {after[0]}"
            raise FormatError(
                self.path, None, f"changed while it was read ({finding}); begin again when it is complete"
            )

    def position(self) -> int:
        """How many bytes of the file were read, compressed ones where it is compressed."""
        if self._beneath is None:
            return self._file.tell()
        ahead = len(self._beneath.peek(1))  # which may read on
        return self._beneath.raw.position() - ahead

    def _error(self, error: Exception) -> FormatError:
        reason = getattr(error, "strerror", None) or str(error)
        damaged = f"damaged or cut-short {self.compression} data: " if self.compression else ""
        return FormatError(self.path, None, damaged + reason)

    def close(self) -> None:
        if not self.closed:
            super().close()
            if self._own:
                self._file.close()
            if self._beneath is not None:
                self._beneath.close()
