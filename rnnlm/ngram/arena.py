"""Where large arrays live: in memory, or in files without a name when a bound on memory is kept."""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress

import numpy as np

from corpora.errors import CorpusError


class Rows:
    """A growing array (n, columns) uint32.  ``data``: its rows, once all were added."""

    def __init__(self, columns: int, capacity: int, file=None, refused: Callable[[OSError], Exception] | None = None):
        self._file, self._refused, self._columns, self.size = file, refused, columns, 0
        # pages that are never written take no memory: the capacity may be far too large
        self.data = np.empty((capacity, columns), np.uint32) if file is None else np.empty((0, columns), np.uint32)

    @property
    def in_memory(self) -> bool:
        return self._file is None

    def write(self, rows: np.ndarray) -> None:
        """Append rows to the file."""
        try:
            self._file.write(np.ascontiguousarray(rows).reshape(-1).view(np.uint8).data)
        except OSError as error:
            raise self._refused(error) from error

    def close(self, sentinel: tuple[int, ...]) -> np.ndarray:
        """Add the last row; all rows, writable."""
        if self._file is None:
            self.data[self.size] = sentinel
            self.data = self.data[: self.size + 1]
            return self.data
        self.write(np.array([sentinel], np.uint32))
        try:
            self._file.flush()
            self.data = np.memmap(self._file, np.uint32, "r+").reshape(-1, self._columns)
        except OSError as error:
            raise self._refused(error) from error
        return self.data


class Arena:
    """Makes the arrays of one job.  ``spill``: in temporary files below ``directory`` instead of memory."""

    def __init__(self, spill: bool = False, directory: str | None = None):
        self.spill = spill
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

    def drop(self) -> None:
        """Give the pages of mapped files back to the system; their content stays in the files."""
        for array in self._maps:
            mapped = array
            while not isinstance(mapped, mmap.mmap) and mapped is not None:
                mapped = getattr(mapped, "_mmap", None) or getattr(mapped, "base", None)
            if mapped is not None and hasattr(mapped, "madvise"):
                with suppress(OSError, ValueError):
                    mapped.madvise(mmap.MADV_DONTNEED)

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
        return CorpusError(f"{self.directory}: {reason}, while keeping n-grams; --tmp names another directory")
