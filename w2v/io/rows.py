"""What readers of vector files share: what is wanted, the bytes in memory, and the words and rows found so far."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from corpora.files.checks import shown
from corpora.files.source import Source
from corpora.text.chunks import PADDING
from corpora.text.vocab import WordList

PIECE = 1 << 19  # bytes that are read at once: they stay in the second cache level
_START = 1 << 24  # bytes of rows that are made room for where nobody knows how many there will be
_ROWS = 1 << 12  # rows that are moved at once


class Wanted(NamedTuple):
    """``limit``: only the first ``limit`` words.  ``dtype``: of the vectors, None: as the file has them.

    ``warn`` is called with a line about what was passed over, ``progress`` with the bytes of each piece of content.
    """

    limit: int | None = None
    dtype: str | None = None
    warn: Callable[[str], object] = logging.getLogger("w2v").warning
    progress: Callable[[int], object] = lambda n: None

    def rows(self, n_words: int) -> int:
        """How many of ``n_words`` words are to be read."""
        return n_words if self.limit is None else min(n_words, self.limit)


class Window:
    """The content of a source, a part of it in memory: of ``buffer`` the bytes start ... end are not taken yet.

    PADDING bytes behind ``end`` are readable.  ``array``: the buffer as uint8.
    """

    def __init__(self, source: Source, progress: Callable[[int], object] = lambda n: None, size: int = PIECE):
        self.buffer, self.start, self.end = bytearray(2 * size + PADDING), 0, 0
        self.array = np.frombuffer(self.buffer, np.uint8)
        self._pieces, self._progress = source.pieces(size), progress

    def __len__(self) -> int:
        return self.end - self.start

    def more(self) -> bool:
        """Put another piece behind what is left; False at the end of the content."""
        piece = next(self._pieces, b"")
        if not piece:
            return False
        self._progress(len(piece))
        left = len(self)
        if left + len(piece) + PADDING <= len(self.buffer):
            self.array[:left] = self.array[self.start : self.end]
        else:
            buffer = bytearray(2 * (left + len(piece)) + PADDING)
            buffer[:left] = self.array[self.start : self.end].data
            self.buffer, self.array = buffer, np.frombuffer(buffer, np.uint8)
        self.array[left : left + len(piece)] = np.frombuffer(piece, np.uint8)
        self.start, self.end = 0, left + len(piece)
        return True

    def end_line(self) -> None:
        """Add the newline that the last line lacks; there is always room for it."""
        self.buffer[self.end] = 10
        self.end += 1


class Gathered:
    """Words and rows of numbers, one matrix that grows in its place: there are never two of it.

    ``rows`` (capacity, d): to be written from row ``n`` on.
    """

    def __init__(self, dim: int, dtype: str, expected: int | None, most: int | None):
        """Room for the ``expected`` rows, None: not known; never for more than ``most`` of them, None: no bound."""
        self.n, self._dim, self._most = 0, dim, most
        if expected is None:
            expected = max(1, _START // (dim * np.dtype(dtype).itemsize))
        capacity = expected if most is None else min(expected, most)
        self._flat = np.empty(capacity * dim, dtype)
        self._blobs: list[bytes] = []
        self._ends: list[np.ndarray] = []
        self._blob_size = 0

    @property
    def rows(self) -> np.ndarray:
        return self._flat.reshape(-1, self._dim)

    def grow(self) -> None:
        """Make room for half as many rows again, at most for all; what ``rows`` gave before is no longer good."""
        wanted = self.rows.shape[0] * 3 // 2 + 1
        self._resize(wanted if self._most is None else min(wanted, self._most))

    def add(self, blob: np.ndarray, ends: np.ndarray) -> None:
        """The words of the next rows, which were written: their bytes and where each ends, (n,)."""
        self._blobs.append(blob.tobytes())
        self._ends.append(ends + self._blob_size)
        self._blob_size += blob.size
        self.n += ends.size

    def finish(self, path: str, warn: Callable[[str], object]) -> tuple[WordList, np.ndarray]:
        """The words and their rows (V, d).  If a word is there several times its first row counts."""
        blob = np.frombuffer(b"".join([*self._blobs, bytes(PADDING)]), np.uint8)
        self._blobs.clear()
        words = WordList(blob[: self._blob_size], np.concatenate([np.zeros(1, np.int64), *self._ends]))
        repeated = _repeated(blob, words)
        if repeated:
            first = shown(words[repeated[0]])
            warn(f'{path}: {len(repeated)} of {self.n} words are there again ("{first}" first): passed over')
            words = words.take(np.delete(np.arange(self.n), repeated))
            self._close_gaps(repeated)
        self._resize(self.n)
        return words, self.rows

    def _resize(self, n_rows: int) -> None:
        # in place where the system can move pages; nothing else refers to the array now
        self._flat.resize(n_rows * self._dim, refcheck=False)

    def _close_gaps(self, repeated: list[int]) -> None:
        rows, to = self.rows, repeated[0]
        for gap, end in zip(repeated, [*repeated[1:], self.n], strict=True):
            for start in range(gap + 1, end, _ROWS):  # block by block: NumPy copies what overlaps
                block = rows[start : min(start + _ROWS, end)]
                rows[to : to + len(block)] = block
                to += len(block)
        self.n = to


def _repeated(blob: np.ndarray, words: WordList) -> list[int]:
    """The numbers of words that were there before; blob: that of the words, with PADDING bytes."""
    from w2v.io.parse import hash_words

    hashes = np.empty(len(words), np.uint64)
    hash_words(blob.ctypes.data, words.offsets, hashes)
    ordered = np.sort(hashes)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    seen, repeated = set(), []
    for i in np.flatnonzero(np.isin(hashes, twice)).tolist() if twice.size else ():
        if words[i] in seen:
            repeated.append(i)
        seen.add(words[i])
    return repeated
