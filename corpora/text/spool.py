"""Token ids that are written once and then used: in memory while they are few, else in a memory-mapped file."""

from __future__ import annotations

import tempfile

import numpy as np

from corpora.errors import CorpusError

MEMORY_LIMIT = 1 << 28  # bytes of ids; a larger text is one that may not fit into memory


class Spool:
    """A growing sequence of int32.

    Its file has no name from the start (on Windows: is removed when it is closed), so that nothing
    stays behind, however the process ends.  ``at_most``: how many ids are to be expected at most.
    """

    def __init__(self, directory: str | None = None, at_most: int | None = None, memory_limit: int = MEMORY_LIMIT):
        self._directory = directory
        limit = memory_limit // 4
        # room for all at once: pages that are never written are never taken, and nothing is copied to grow
        self._memory = np.empty(limit if at_most is None else min(at_most, limit), np.int32)
        self._size = 0
        self._file = None

    def append(self, ids: np.ndarray) -> None:
        """Add ids (n,) int32 at the end."""
        start, self._size = self._size, self._size + ids.size
        if self._file is None and self._size <= self._memory.size:
            self._memory[start : self._size] = ids
            return
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=self._directory)  # noqa: SIM115 - close() closes it
                self._file.write(self._memory[:start].data)
                self._memory = None
            self._file.write(ids.data)
        except OSError as error:
            raise self._error(error) from error

    def array(self) -> np.ndarray:
        """All that was appended, (n,) int32, writable."""
        if self._file is None:
            return self._memory[: self._size]
        try:
            self._file.flush()
            return np.memmap(self._file, np.int32, "r+")
        except OSError as error:
            raise self._error(error) from error

    def close(self) -> None:
        """Give memory and file back, once no array of it is in use."""
        self._memory = None
        if self._file is not None:
            self._file.close()

    def _error(self, error: OSError) -> CorpusError:
        directory = self._directory or tempfile.gettempdir()
        reason = error.strerror or error
        return CorpusError(f"{directory}: {reason}, while keeping the encoded text; `tmp` names another directory")
