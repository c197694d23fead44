"""A model file as a buffer of known size: mapped where it can be, decompressed where it must be."""

from __future__ import annotations

import io
import mmap
import os
import stat
import sys
import zlib
from collections.abc import Iterator
from functools import cached_property
from typing import BinaryIO

from corpora.errors import CorpusError, FormatError
from corpora.inputs import COMPRESSED, STDIN

PREFIX = 1 << 16  # bytes that are looked at to find out what a file is
_CHUNK = 1 << 22


class Source:
    """An open model file, plain or compressed (gzip, bzip2, xz, by magic bytes).

    ``prefix``: the first 64 KiB.  ``data``: the whole content as a writable buffer; a plain file is
    mapped copy-on-write, so that writing to arrays over it never reaches the file.  Pipes are read,
    and so is standard input, whose name is ``-``.
    Raises CorpusError where the file cannot be opened, FormatError for damaged compressed data.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = os.fspath(path)
        try:
            if os.path.isdir(self.path):
                raise CorpusError(f"{self.path}: a directory, where a model file is expected")
            # closed by close()
            self._raw = _open_stdin() if self.path == STDIN else open(self.path, "rb")  # noqa: SIM115
        except OSError as error:
            raise CorpusError(f"{self.path}: {error.strerror or error}") from error
        except ValueError as error:  # a NUL in the name
            raise CorpusError(f"{self.path!r}: {error}") from error
        self._stream, self.compression = self._raw, None
        try:
            head = self._raw.peek(max(map(len, COMPRESSED)))
            for magic, (name, opener) in COMPRESSED.items():
                if head.startswith(magic):
                    self._stream, self.compression = opener(self._raw), name
            self.prefix = self._read(PREFIX)
        except BaseException:
            self.close()
            raise

    @property
    def size(self) -> int:
        """Bytes of the file as it lies there; 0 for a pipe."""
        return self._status.st_size if self._status else 0

    @property
    def is_plain_file(self) -> bool:
        """Whether ``size`` is that of the content: neither compressed nor a pipe."""
        return bool(self._status) and stat.S_ISREG(self._status.st_mode) and not self.compression

    @cached_property
    def data(self) -> mmap.mmap | bytearray:
        if self.is_plain_file and self.prefix:
            try:
                return mmap.mmap(self._raw.fileno(), 0, access=mmap.ACCESS_COPY)
            except OSError:
                pass  # some network file systems cannot map: read on
        data = bytearray(self.prefix)
        while piece := self._read(_CHUNK):
            data += piece
        return data

    def pieces(self, size: int) -> Iterator[bytes]:
        """The content in pieces of at most ``size`` bytes, without ever holding it: once, and instead of ``data``."""
        for start in range(0, len(self.prefix), size):
            yield self.prefix[start : start + size]
        while piece := self._read(size):
            yield piece

    @cached_property
    def _status(self) -> os.stat_result | None:
        try:
            return os.fstat(self._raw.fileno())
        except OSError:  # standard input that a program has put in memory
            return None

    def _read(self, size: int) -> bytes:
        pieces = []
        try:
            # a pipe may give less than was asked for
            while size > 0 and (piece := self._stream.read(size)):
                pieces.append(piece)
                size -= len(piece)
        except (EOFError, OSError, zlib.error, ValueError) as error:
            raise self._damaged(error) from error
        except Exception as error:  # lzma.LZMAError, whose module is loaded for .xz only
            if self.compression is None:
                raise
            raise self._damaged(error) from error
        return b"".join(pieces)

    def _damaged(self, error: Exception) -> FormatError:
        damaged = f"damaged or cut-short {self.compression} data: " if self.compression else ""
        return FormatError(self.path, None, damaged + (getattr(error, "strerror", None) or str(error)))

    def close(self) -> None:
        """Close the file; arrays over ``data`` stay good."""
        if self._stream is not self._raw:
            self._stream.close()
        self._raw.close()

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *error) -> None:
        self.close()


def _open_stdin() -> BinaryIO:
    try:
        return open(sys.stdin.fileno(), "rb", closefd=False)
    except OSError:  # it is in memory
        return io.BufferedReader(sys.stdin.buffer)
