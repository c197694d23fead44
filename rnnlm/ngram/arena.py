"""Where large arrays live: in memory, or in files without a name when a bound on memory is kept."""

from __future__ import annotations

import mmap
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from corpora.errors import CorpusError
from corpora.files.mapping import anonymous, discard, give_back

PIECE = 1 << 15  # rows
_OFTEN = 0.005  # seconds
_WORTH = 112 << 20  # bytes, some 90 MiB of which are the program itself


def _exceeds(limit: int) -> bool:
    """Whether the process has more than ``limit`` bytes resident, enough of them in mapped files to be worth it."""
    try:
        with open("/proc/self/statm", "rb") as file:
            resident, shared = (int(field) * mmap.PAGESIZE for field in file.read().split()[1:3])
    except (OSError, ValueError):
        return True
    return resident > limit and shared > _WORTH


class Rows:
    """A growing array (n, columns) uint32.

    Places are taken one after another; rows may be put there in any order and by several threads at once.
    """

    def __init__(self, columns: int, capacity: int, file=None, refused: Callable[[OSError], Exception] | None = None):
        self._file, self._refused, self.columns, self.size = file, refused, columns, 0
        self._lock = threading.Lock()
        # pages that are never written take no memory: the capacity may be far too large
        self._data = anonymous((capacity if file is None else 0, columns), np.uint32)

    @property
    def in_memory(self) -> bool:
        return self._file is None

    def take(self, n: int) -> int:
        """The place of the first of n more rows."""
        self.size += n
        return self.size - n

    @contextmanager
    def put(self, start: int, n: int, scratch: np.ndarray) -> Iterator[tuple[np.ndarray, int]]:
        """Gives the array that the n rows at this place are to be written to, and from where on.

        scratch (at least n * columns,) uint32: the memory of that, where rows live in a file.
        """
        if self._file is None:
            yield self._data, start
            return
        rows = scratch[: n * self.columns].reshape(n, self.columns)
        yield rows, 0
        self._write(rows, start)

    def first(self, n: int) -> np.ndarray:
        """(n, columns) view: the first rows, in memory."""
        return self._data[:n]

    def close(self, sentinel: tuple[int, ...]) -> np.ndarray:
        """Add the last row; all rows, writable."""
        if self._file is None:
            self._data[self.size] = sentinel
            self._data = self._data[: self.size + 1]
            return self._data
        self._write(np.array([sentinel], np.uint32), self.size)
        try:
            self._file.flush()
            return np.memmap(self._file, np.uint32, "r+").reshape(-1, self.columns)
        except OSError as error:
            raise self._refused(error) from error

    def _write(self, rows: np.ndarray, start: int) -> None:
        try:
            with self._lock:
                self._file.seek(start * self.columns * rows.itemsize)
                self._file.write(rows.reshape(-1).view(np.uint8).data)
        except OSError as error:
            raise self._refused(error) from error


class Arena:
    """Makes the arrays of one job.  ``spill``: in temporary files below ``directory`` instead of memory.

    ``limit``: bytes that may be resident, their pages included.  ``room``: bytes of memory for what is made of them.
    """

    def __init__(self, spill: bool = False, directory: str | None = None, limit: int = 0, room: int = 0):
        self.spill, self.limit, self.room = spill, limit, room
        self.directory = directory or tempfile.gettempdir()
        self._files: list = []
        self._maps: list[np.ndarray] = []

    def rows(self, columns: int, capacity: int) -> Rows:
        if not self.spill:
            return Rows(columns, capacity)
        return Rows(columns, capacity, self._temporary(), self._error)

    def zeros(self, n: int, dtype) -> np.ndarray:
        """An array (n,) of zeros, in a file where that is asked for."""
        dtype = np.dtype(dtype)
        if not self.spill or n == 0:
            return np.zeros(n, dtype)
        file, left = self._temporary(), n * dtype.itemsize
        try:
            # written, not only made longer: a full disk must be an error here and not a signal later
            while left:
                left -= file.write(bytes(min(left, 1 << 22)))
            file.flush()
            return self.keep(np.memmap(file, dtype, "r+"))
        except OSError as error:
            raise self._error(error) from error

    def keep(self, array: np.ndarray) -> np.ndarray:
        """Let ``drop`` know of a mapped array."""
        self._maps.append(array)
        return array

    def pieces(self, n: int, size: int = PIECE) -> Iterator[slice]:
        """n rows at once, or so many at a time that a bound on memory is kept, whose pages are then given back."""
        size = size if self.spill else max(n, 1)
        for start in range(0, n, size):
            yield slice(start, min(start + size, n))
            self.drop()

    def drop(self) -> None:
        """Give the pages of mapped files back to the system where they are many; their content stays in the files."""
        if self._maps and not _exceeds(self.limit):
            return
        for array in list(self._maps):
            give_back(array)

    def release(self, *arrays: np.ndarray) -> None:
        """Arrays of ``zeros`` are not needed any more: their place on the disk is given back."""
        self._maps = [kept for kept in self._maps if not any(kept is array for array in arrays)]
        for array in arrays:
            discard(array)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Drop again and again meanwhile: for kernels that go through mapped files at one go."""
        if not self.spill:
            yield
            return
        done = threading.Event()

        def watch() -> None:
            while not done.wait(_OFTEN):
                self.drop()

        thread = threading.Thread(target=watch, name="arena", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def close(self) -> None:
        """Forget the files; arrays over them stay good until they go."""
        self._maps.clear()
        for file in self._files:
            file.close()
        self._files.clear()

    def _temporary(self):
        try:
            file = tempfile.TemporaryFile(dir=self.directory)  # noqa: SIM115 - close() closes it
        except OSError as error:
            raise self._error(error) from error
        self._files.append(file)
        return file

    def _error(self, error: OSError) -> CorpusError:
        reason = error.strerror or os.strerror(error.errno or 0)
        return CorpusError(f"{self.directory}: {reason}, while keeping n-grams; `tmp` names another directory")
