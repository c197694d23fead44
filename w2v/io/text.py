"""Vectors as lines "word x1 ... xd": word2vec's text form, with a first line "V d", and GloVe's, without it.

The last d fields of a line are its numbers, separated by spaces or tabs; what comes before them is the word, in
which spaces are possible (GloVe's largest files have such words).
"""

from __future__ import annotations

import re

import numpy as np

from corpora.errors import FormatError
from corpora.files.checks import shown
from corpora.files.source import Source
from corpora.text.inputs import LONGEST, UTF8_BOM, too_long
from w2v.io.header import n_numbers, read_header
from w2v.io.rows import Gathered, Wanted, Window
from w2v.model import WordVectors

_FIELD = re.compile(rb"[^ \t]+")
_FIRST = 10  # words that ``peek`` shows


def read(source: Source, wanted: Wanted) -> WordVectors:
    """The vectors of an open file of word2vec's text form.  FormatError with the line's number for anything else."""
    header = read_header(source, 2)
    lines = _Lines(source, wanted)
    lines.skip(header.length)
    n_rows = wanted.rows(header.n_words)
    gathered = Gathered(header.dim, wanted.dtype or "float32", n_rows if source.is_plain_file else None, n_rows)
    lines.read_rows(gathered, n_rows, header.dim)
    if gathered.n < n_rows:
        reason = f"the file ends after {gathered.n} words; its header says {header.n_words}"
        raise FormatError(source.path, lines.number, reason)
    if n_rows == header.n_words:
        lines.expect_end(f"more lines than the {header.n_words} words of its header")
    return WordVectors(*gathered.finish(source.path, wanted.warn))


def read_glove(source: Source, wanted: Wanted) -> WordVectors:
    """The vectors of an open file of GloVe's form; its first line says how many dimensions there are."""
    lines = _Lines(source, wanted)
    first = lines.first_line()
    dim = n_numbers(first)
    expected = source.size // len(first) * 9 // 8 + 1 if source.is_plain_file else None
    gathered = Gathered(dim, wanted.dtype or "float32", expected, wanted.limit)
    lines.read_rows(gathered, wanted.limit, dim)
    return WordVectors(*gathered.finish(source.path, wanted.warn))


def peek(source: Source) -> dict:
    """What the header says, and the first words."""
    header = read_header(source, 2)
    words = _first_words(source.prefix[header.length :], header.dim)
    return {"words": header.n_words, "dimensions": header.dim, "first_words": words}


def peek_glove(source: Source) -> dict:
    """As ``peek``; the lines must be counted for it."""
    prefix = source.prefix.removeprefix(UTF8_BOM)
    first, n_lines, last = b"", 0, b"\n"
    for piece in source.pieces(1 << 20):
        if not n_lines:
            first += piece.partition(b"\n")[0]
            if len(first) > LONGEST:
                raise too_long(source.path, 1)
        n_lines += piece.count(b"\n")
        last = piece[-1:]
    dim = n_numbers(first.removeprefix(UTF8_BOM))
    return {"words": n_lines + (last != b"\n"), "dimensions": dim, "first_words": _first_words(prefix, dim)}


def _first_words(rows: bytes, dim: int) -> list[bytes]:
    fields = (_FIELD.findall(line.rstrip(b"\r")) for line in rows.split(b"\n")[: _FIRST + 1][:-1])
    return [b" ".join(line[:-dim]) for line in fields if len(line) > dim]


class _Lines:
    """Lines of a source; ``number``: how many were taken."""

    def __init__(self, source: Source, wanted: Wanted):
        self.number = 0
        self._path, self._window = source.path, Window(source, wanted.progress)
        self._window.more()
        if self._window.buffer.startswith(UTF8_BOM):
            self._window.start = len(UTF8_BOM)

    def skip(self, length: int) -> None:
        """Take the first line, which ends ``length`` bytes from the content's beginning."""
        while self._window.end < length and self._window.more():
            pass
        self._window.start, self.number = length, 1

    def first_line(self) -> bytes:
        """The first line, which is not taken."""
        end = self._whole_lines()
        window = self._window
        return bytes(window.buffer[window.start : window.buffer.find(b"\n", window.start, end) + 1])

    def read_rows(self, gathered: Gathered, n_rows: int | None, dim: int) -> None:
        """Take ``n_rows`` rows, or, None or where there are fewer, all to the end."""
        from w2v.io.parse import BLOB, FULL, N_STATE, ODD, POSITION, ROWS, STOP, parse_lines

        window, state, dtype = self._window, np.zeros(N_STATE, np.int64), gathered.rows.dtype
        single = dtype == np.float32
        blob = ends = np.empty(0, np.uint8)
        while n_rows is None or gathered.n < n_rows:
            end = self._whole_lines()
            if not end:
                return
            if blob.size < end - window.start:
                blob, ends = np.empty(len(window.buffer), np.uint8), np.empty(len(window.buffer) // 2, np.int64)
            rows = gathered.rows[:n_rows]
            state[POSITION], state[ROWS] = window.start, gathered.n
            parse_lines(window.array.ctypes.data, end, rows, single, blob, ends, state)
            n_found = int(state[ROWS]) - gathered.n
            gathered.add(blob[: state[BLOB]], ends[:n_found])
            self.number += n_found
            window.start = int(state[POSITION])
            if state[STOP] == FULL and gathered.n != n_rows:
                gathered.grow()
            elif state[STOP] == ODD and not self._odd_line(end, gathered, dim, dtype):
                return

    def expect_end(self, reason: str, number: int | None = None) -> None:
        """FormatError, at line ``number`` or the one in question, where anything but empty lines is left."""
        while end := self._whole_lines():
            rest = bytes(self._window.buffer[self._window.start : end])
            content = rest.lstrip(b"\r\n \t")
            if content:
                found = self.number + 1 + rest[: -len(content)].count(b"\n")
                raise FormatError(self._path, number or found, reason)
            self.number += rest.count(b"\n")
            self._window.start = end

    def _whole_lines(self) -> int:
        """Where in the window the last whole line ends; reads on until there is one; 0 at the end of the content."""
        window = self._window
        end = window.buffer.rfind(b"\n", window.start, window.end) + 1
        while not end:
            if len(window) > LONGEST:
                raise too_long(self._path, self.number + 1)
            searched = len(window)
            if window.more():
                end = window.buffer.rfind(b"\n", window.start + searched, window.end) + 1
            elif searched:
                window.end_line()
                end = window.end
            else:
                return 0
        return end

    def _odd_line(self, end: int, gathered: Gathered, dim: int, dtype) -> bool:
        """Take a line that is not simply a word and d numbers; False where only empty lines were left."""
        window = self._window
        line_end = window.buffer.find(b"\n", window.start, end)
        line = bytes(window.buffer[window.start : line_end]).removesuffix(b"\r")
        if not line.strip(b" \t"):
            self.expect_end(f"an empty line, where a word and {dim} numbers are expected", self.number + 1)
            return False
        word, values = _row(self._path, self.number + 1, line, dim, dtype)
        if gathered.n == gathered.rows.shape[0]:
            gathered.grow()
        gathered.rows[gathered.n] = values
        gathered.add(np.frombuffer(word, np.uint8), np.array([len(word)], np.int64))
        self.number += 1
        window.start = line_end + 1
        return True


def _row(path: str, number: int, line: bytes, dim: int, dtype) -> tuple[bytes, np.ndarray]:
    """The word and the numbers (d,) of a line that ``parse_lines`` left; FormatError for one that is wrong."""
    values = _simple_row(line, dim, dtype)
    if values is not None:
        return _FIELD.match(line).group(), values
    fields = list(_FIELD.finditer(line))
    if len(fields) <= dim:
        raise FormatError(path, number, f"expected a word and {dim} numbers, found {len(fields)} fields")
    values = np.array([_number(path, number, field.group()) for field in fields[-dim:]])
    with np.errstate(over="ignore"):
        values = values.astype(dtype)
    if not np.isfinite(values).all():
        field = fields[int(np.flatnonzero(~np.isfinite(values))[0]) - dim].group()
        raise FormatError(path, number, f'"{shown(field)}" is not a finite number of {np.dtype(dtype).name}')
    if len(fields) > dim + 1 and _is_number(fields[-dim - 1].group()):
        raise FormatError(path, number, f"expected a word and {dim} numbers, found more numbers")
    return line[fields[0].start() : fields[-dim - 1].end()], values


def _simple_row(line: bytes, dim: int, dtype) -> np.ndarray | None:
    """The numbers of a word without spaces, quickly; None where anything is unusual."""
    fields = line.split(b" ")
    if not fields[-1]:
        fields.pop()
    if len(fields) != dim + 1 or b"_" in b"".join(fields[1:]) or b"\t" in line or not fields[0]:
        return None
    try:
        with np.errstate(over="ignore"):
            values = np.array(list(map(float, fields[1:]))).astype(dtype)
    except ValueError:
        return None
    return values if np.isfinite(values).all() else None


def _number(path: str, number: int, field: bytes) -> float:
    if not _is_number(field):
        raise FormatError(path, number, f'expected a number, found "{shown(field)}"')
    return float(field)


def _is_number(field: bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return b"_" not in field  # which Python's numbers may have
