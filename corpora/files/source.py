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
from corpora.files.mapping import pages
from corpora.text.inputs import COMPRESSED, LONGEST, STDIN, too_long

PREFIX = 1 << 16  # bytes that are looked at to find out what a file is
MAPPED = 1 << 26  # bytes from which on a file is mapped: reading fewer takes a hundredth of a second
_CHUNK = 1 << 22


class Source:
    """An open model file, plain or compressed (gzip, bzip2, xz, by magic bytes).

    ``prefix``: the first 64 KiB.  ``data``: the whole content as a writable buffer; a plain file of 64 MiB and
    more is mapped copy-on-write, so that writing to arrays over it never reaches the file.  If another program cuts
    such a file off in its place, the system ends whoever uses the pages that are gone (SIGBUS); a smaller one is
    read.  Pipes are read, and so is standard input, whose name is ``-``.  Of these, and of compressed files, ``upto``
    reads only as much as the reader has found to be right: a tiny compressed file can become any size.
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
        self._held, self._ended = bytearray(), False  # of what is not mapped: what was read, and whether it is all
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

    @property
    def data(self) -> mmap.mmap | bytearray:
        return self.upto(None)

    def upto(self, n: int | None) -> mmap.mmap | bytearray:
        """``data``, of which at least the first n bytes (None: all) are there, or what the content has of them.

        It is one buffer that grows, so that no array may be made over it before it is complete.
        """
        if self._plain is not None:
            return self._plain
        if not self._held:
            self._held += self.prefix
        while not self._ended and (n is None or len(self._held) < n):
            piece = self._read(_CHUNK if n is None else min(n - len(self._held), _CHUNK))
            self._held += piece
            self._ended = not piece
        return self._held

    @cached_property
    def _plain(self) -> mmap.mmap | bytearray | None:
        """The content of a plain file: a copy of a small one, a large one mapped; None: it must be read."""
        if self.is_plain_file and self.prefix:
            if self.size < MAPPED:
                return self._copy()
            try:
                return mmap.mmap(self._raw.fileno(), 0, access=mmap.ACCESS_COPY)
            except OSError:
                pass  # some network file systems cannot map: it is read
        return None

    def _copy(self) -> mmap.mmap | bytearray:
        """The content in pages of its own, where arrays lie as they would in the mapped file."""
        data = pages(self.size)
        if data is None:
            data = bytearray(self.size)
        n = min(len(self.prefix), len(data))
        data[:n] = self.prefix[:n]
        with memoryview(data) as view:
            try:
                while n < len(data) and (more := self._raw.readinto(view[n:])):
                    n += more
            except OSError as error:
                raise self._damaged(error) from error
        if n < len(data):
            raise FormatError(self.path, None, f"cut short while it was read: {n} of {len(data)} bytes")
        return data

    def pieces(self, size: int) -> Iterator[bytes]:
        """The content in pieces of at most ``size`` bytes, without ever holding it: once, and instead of ``data``."""
        for start in range(0, len(self.prefix), size):
            yield self.prefix[start : start + size]
        while piece := self._read(size):
            yield piece

    def lines(self) -> Iterator[bytes]:
        """The lines without their ends, a piece of the content in memory: once, and instead of ``data``.

        FormatError for one of more than LONGEST bytes.
        """
        number, rest = 0, b""
        for piece in self.pieces(PREFIX):
            *lines, rest = (rest + piece).split(b"\n")
            yield from lines
            number += len(lines)
            if len(rest) > LONGEST:
                raise too_long(self.path, number + 1)
        if rest:
            yield rest

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
