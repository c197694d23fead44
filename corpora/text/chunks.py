"""Texts in pieces that end where a word or a line ends, for encoding.

Carriage returns are dropped here, as the C tools do, and the last line of every file gets its
newline where it has none; so what follows knows only spaces, tabs and newlines.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence

from corpora.errors import FormatError
from corpora.text.inputs import LONGEST, open_text

PADDING = 64  # bytes that are readable beyond the end of a piece, for kernels that read vectors
_TAIL = 1 << 12  # bytes to look for a separator in before looking everywhere


class ChunkReader:
    """Pieces of texts in buffers that are used again.

    Iterating gives (buffer, n): n bytes of text in a bytearray that is longer by PADDING or more.
    They end in a space, tab or newline; with ``whole_lines`` in a newline, but for lines longer than ``size``,
    unless ``divisible`` is False.  A word, or a line that is not divisible, that is longer than ``size`` gets a
    buffer as long as it needs; FormatError for more than LONGEST bytes.  ``give_back`` returns a buffer when its
    text is no longer needed.  ``progress`` is called with the bytes of each piece.
    """

    def __init__(
        self,
        paths: Sequence[str],
        size: int,
        whole_lines: bool = False,
        divisible: bool = True,
        progress: Callable[[int], object] | None = None,
    ):
        self.text_bytes = 0  # read so far, decompressed, with carriage returns
        self._paths, self._size, self._progress = paths, size, progress
        self._whole_lines, self._divisible = whole_lines, divisible
        self._free: deque[bytearray] = deque()  # its append and pop are atomic: other threads give back

    def give_back(self, buffer: bytearray) -> None:
        self._free.append(buffer)

    def __iter__(self) -> Iterator[tuple[bytearray, int]]:
        for path in self._paths:
            yield from self._pieces(path)

    def _pieces(self, path: str) -> Iterator[tuple[bytearray, int]]:
        rest = b""  # the beginning of a word or line whose end was not read yet
        line_is_open, begin = False, self.text_bytes
        with open_text(path) as file:
            while True:
                buffer = self._take(len(rest))
                buffer[: len(rest)] = rest
                end = self._read(file, buffer, len(rest))
                if end is None:
                    break
                cut = self._last_separator(buffer, end) + 1
                rest = bytes(memoryview(buffer)[cut:end])
                if cut:
                    line_is_open = buffer[cut - 1] != 10
                    yield buffer, cut
                else:
                    self.give_back(buffer)
                    if end > LONGEST:
                        raise self._too_long(path, begin, end)
        if rest or line_is_open:
            buffer[len(rest)] = 10
            yield buffer, len(rest) + 1
        else:
            self.give_back(buffer)

    def _take(self, filled: int) -> bytearray:
        # twice what is there already: a word of n bytes is copied O(n) bytes in all
        size = max(self._size, min(2 * filled, LONGEST + 1)) + PADDING
        while self._free:
            buffer = self._free.pop()
            if len(buffer) >= size:
                return buffer
        return bytearray(size)

    def _read(self, file, buffer: bytearray, filled: int) -> int | None:
        """Read behind what is filled; the new end without carriage returns, None at the end of the file."""
        with memoryview(buffer) as view:
            n = file.readinto(view[filled : len(buffer) - PADDING])
        if not n:
            return None
        self.text_bytes += n
        if self._progress is not None:
            self._progress(n)
        end = filled + n
        if buffer.find(b"\r", filled, end) >= 0:
            kept = buffer[filled:end].replace(b"\r", b"")
            end = filled + len(kept)
            buffer[filled:end] = kept
        return end

    def _last_separator(self, buffer: bytearray, end: int) -> int:
        if self._whole_lines:
            found = buffer.rfind(b"\n", 0, end)
            if found >= 0 or end < self._size or not self._divisible:
                return found
        found = -1
        for start in (max(0, end - _TAIL), 0):
            found = max(buffer.rfind(separator, start, end) for separator in (b" ", b"\n", b"\t"))
            if found >= 0:
                break
        return found

    def _too_long(self, path: str, begin: int, end: int) -> FormatError:
        place = f"about {self.text_bytes - begin - end:,} bytes from the beginning"
        if self._whole_lines and not self._divisible:
            reason = f"a line of more than {LONGEST:,} bytes, {place}: this tokenizer reads whole lines"
        else:
            reason = f"a word of more than {LONGEST:,} bytes, {place}: is this text?"
        return FormatError(path, None, reason)
