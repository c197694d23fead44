"""A text file in pieces of whole lines, for kernels, with line numbers and single lines on the way."""

from __future__ import annotations

import numpy as np

from corpora.files.source import Source
from corpora.text.chunks import PADDING
from corpora.text.inputs import LONGEST, UTF8_BOM, too_long

PIECE = 1 << 18  # bytes: a piece and what is found in it stay in the second cache level


class LinePieces:
    """The content of a source, one piece in memory at a time.

    ``buffer``: ``size`` bytes, whole lines, and PADDING more.  ``ends`` (``n_ends`` are good) uint32: where its
    separators are.  ``position``: what of it was taken; ``number``: the lines taken so far, of the whole file.
    """

    def __init__(self, source: Source):
        self.buffer, self.size, self.position, self.number = np.zeros(PADDING, np.uint8), 0, 0, 0
        self.ends, self.n_ends = np.empty(64, np.uint32), 0
        self._path, self._raw = source.path, source.pieces(PIECE)
        self._rest = b""
        self._unfinished = self._at_end = False
        self._is_first = True
        self._before = (0, 0)

    @property
    def is_open(self) -> bool:
        """Whether the last line, which was just taken, has no newline."""
        return self._at_end and self._unfinished and self.position >= self.size

    def more(self) -> bool:
        """Replace the piece by the next one; False at the file's end, where the old one stays."""
        from corpora.text.separators import find_separators

        parts = [self._rest]
        while True:
            raw = next(self._raw, b"")
            if self._is_first:
                raw, self._is_first = raw.removeprefix(UTF8_BOM), False
            cut = raw.rfind(b"\n") + 1
            if cut or not raw:
                break
            parts.append(raw)
            if sum(map(len, parts)) > LONGEST:
                raise too_long(self._path, self.number + 1)
        parts.append(raw[:cut])
        self._rest = raw[cut:]
        if not raw:
            if self._at_end or not any(parts):
                return False
            self._at_end = self._unfinished = True
            parts.append(b"\n")
        text = b"".join(parts)
        if self.buffer.size < len(text) + PADDING:
            self.buffer = np.zeros(2 * len(text) + PADDING, np.uint8)
            self.ends = np.empty(self.buffer.size + 64, np.uint32)
        self.buffer[: len(text)] = np.frombuffer(text, np.uint8)
        self.size, self.position = len(text), 0
        self.n_ends = int(find_separators(self.buffer.ctypes.data, self.size, self.ends))
        return True

    def line(self) -> bytes | None:
        """Take one line, as it is; None at the end."""
        if self.position >= self.size and not self.more():
            return None
        self._before = self.position, self.number
        text = self.buffer[self.position : self.size]
        length = 0
        for start in range(0, text.size, 1 << 12):
            found = np.flatnonzero(text[start : start + (1 << 12)] == 10)
            if found.size:
                length = start + int(found[0]) + 1
                break
        self.position += length
        self.number += 1
        return text[:length].tobytes()

    def step_back(self) -> None:
        """Give the line back that was taken last."""
        self.position, self.number = self._before

    def move(self, position: int, lines: int) -> None:
        """Say what was taken of the buffer: up to a position, and how many lines that is."""
        self.position = position
        self.number += lines
