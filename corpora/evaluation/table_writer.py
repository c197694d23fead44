"""Tables that are written row by row: TSV with a header line, or JSON lines, from columns of a block of rows.

Words are bytes.  TSV holds them as they are (a token contains no tab and no newline; nothing is
quoted, so read it with quoting off).  JSON is UTF-8: a byte that is not becomes the four characters
``\\xHH``.  A value that is not there (NaN) is an empty cell, or null; infinity is ``inf``, or null.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import BinaryIO

import numpy as np

ROW_FORMATS = ("tsv", "json")
CHUNK = 1 << 14  # rows: every cell is a Python object while it is formatted


def json_word(word: bytes) -> bytes:
    """A word as a JSON string."""
    return json.dumps(word.decode("utf-8", "backslashreplace"), ensure_ascii=False).encode("utf-8")


def number_cells(
    values: np.ndarray, form: bytes, missing: bytes = b"", infinite: tuple[bytes, ...] = ()
) -> list[bytes]:
    """Numbers (n,) by a %-format; NaN as ``missing``; +inf and -inf as the two of ``infinite``, or as missing."""
    cells = list(map(form.__mod__, values.tolist()))
    if values.dtype.kind == "f":
        positive, negative = infinite or (missing, missing)
        for i in np.flatnonzero(~np.isfinite(values)).tolist():
            cells[i] = missing if np.isnan(values[i]) else positive if values[i] > 0 else negative
    return cells


class TableWriter:
    """Rows of named columns, written to a binary file.

    ``columns``: name to the %-format of its numbers, or None for a column of words, which are given
    as ids and looked up in ``words``.  The header is written before the first row, or by ``close``.
    """

    def __init__(self, sink: BinaryIO, columns: dict[str, bytes | None], form: str, words: Sequence[bytes] = ()):
        if form not in ROW_FORMATS:
            raise ValueError(f"`format` {form}: one of {', '.join(ROW_FORMATS)}")
        self.sink, self.formats = sink, list(columns.values())
        names = [name.encode("utf-8", "surrogateescape") for name in columns]
        if form == "tsv":
            self.words = list(words)
            self.missing, self.infinite = b"", (b"inf", b"-inf")
            self._header = b"\t".join(names) + b"\n"
            self._row = b"\t".join([b"%b"] * len(names)) + b"\n"
        else:
            self.words = list(map(json_word, words))
            self.missing, self.infinite = b"null", ()
            self._header = b""
            fields = [json_word(name).replace(b"%", b"%%") + b": %b" for name in names]
            self._row = b"{" + b", ".join(fields) + b"}\n"

    def write(self, *columns: np.ndarray) -> None:
        """One row for every element of the columns (n,)."""
        for start in range(0, len(columns[0]), CHUNK):
            part = slice(start, start + CHUNK)
            cells = [self._cells(column[part], form) for column, form in zip(columns, self.formats, strict=True)]
            self._write_header()
            self.sink.writelines(map(self._row.__mod__, zip(*cells, strict=True)))

    def close(self) -> None:
        """Write what a table without rows has."""
        self._write_header()

    def _write_header(self) -> None:
        if self._header:
            self.sink.write(self._header)
            self._header = b""

    def _cells(self, values: np.ndarray, form: bytes | None) -> list[bytes]:
        if form is None:
            return list(map(self.words.__getitem__, values.tolist()))
        return number_cells(values, form, self.missing, self.infinite)


class WordPositions:
    """Numbers the words of a text block by block: sentence and position in it, both from 1."""

    def __init__(self):
        self.sentence, self.position = 1, 0  # the sentence that the next token belongs to; its tokens so far

    def number(self, n: int, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """sentence (n,), position (n,) int64 of n tokens whose sentence ends are at ``ends`` (s,)."""
        index = np.arange(n)
        starts_after = np.zeros(n + 1, np.int64)
        starts_after[ends + 1] = 1
        within = np.cumsum(starts_after[:n])  # sentences that began in this block
        starts = np.concatenate([[-self.position], ends + 1])
        sentence, position = self.sentence + within, index - starts[within] + 1
        self.sentence += len(ends)
        self.position = n - starts[-1]
        return sentence, position
