"""Pairs of words that people have scored for their similarity, as WordSim-353, MEN, or a table of several columns."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from corpora.errors import CorpusError, FormatError
from corpora.files.checks import shown
from corpora.text.inputs import open_text, text_lines

SCORE_COLUMN = 3


@dataclass(frozen=True)
class Pairs:
    """``words``: n pairs.  ``scores`` (n,) float64.  ``path`` is for messages and tables."""

    path: str
    words: list[tuple[bytes, bytes]]
    scores: np.ndarray

    def __len__(self) -> int:
        return len(self.words)


def read_pairs(path: str, *, column: str | int | None = None, lower: bool = False) -> Pairs:
    """The pairs of a file: two words, then their score and whatever else, separated by tabs, commas or spaces.

    The separator is that of the first line that is neither empty nor a comment (``#``); this line is a header if its
    score is no number.  ``column``: where the score is, counted from 1, or its name in the header; the third without.
    ``lower``: words are turned to lower case.
    FormatError with the line's number for a line that is too short, and for a score that is no finite number.
    """
    words: list[tuple[bytes, bytes]] = []
    scores: list[float] = []
    place = None
    for number, fields in _rows(path):
        if place is None:
            place, is_header = _score_column(path, number, fields, column)
            if is_header:
                continue
        if len(fields) <= place or not (fields[0] and fields[1]):
            wanted = "two words and a score" if place == 2 else f"two words, and a score in column {place + 1}"
            raise FormatError(path, number, f'expected {wanted}, found "{shown(b" ".join(fields))}"')
        score = _number(fields[place])
        if score is None:
            reason = f'expected a score in column {place + 1}, found "{shown(fields[place])}"'
            raise FormatError(path, number, f"{reason}; `column` says where it is")
        first, second = fields[:2]
        words.append((_lowered(first), _lowered(second)) if lower else (first, second))
        scores.append(score)
    if not words:
        raise FormatError(path, None, "no pairs: two words and a score a line")
    return Pairs(path, words, np.array(scores))


def _rows(path: str) -> Iterator[tuple[int, list[bytes]]]:
    """The fields of every line that has some, and its number."""
    split = None
    with open_text(path) as file:
        for number, line in enumerate(text_lines(path, file), 1):
            line = line.strip(b"\r\n")
            if not line.strip() or line.startswith(b"#"):
                continue
            if split is None:
                split = next((split for split in (_tabs, _commas) if len(split(line)) > 2), bytes.split)
            yield number, [field.strip() for field in split(line)]


def _tabs(line: bytes) -> list[bytes]:
    return line.split(b"\t")


def _commas(line: bytes) -> list[bytes]:
    if b'"' not in line:
        return line.split(b",")
    try:
        # Latin-1 has a character for every byte: the quotes are csv's matter, the words stay what they are
        return [field.encode("latin-1") for field in next(csv.reader([line.decode("latin-1")]))]
    except csv.Error:  # a field of more than 128 KiB
        return []


def _score_column(path: str, number: int, first: list[bytes], column: str | int | None) -> tuple[int, bool]:
    """The index of the score in a line, and whether this first line is a header."""
    name = str(SCORE_COLUMN if column is None else column)
    if name.isdecimal() and int(name) > 2:
        place = int(name) - 1
        # a line that is too short for its score is no header, but an error
        return place, len(first) > place and not _is_number(first[place])
    if name.isdecimal() or name.encode("utf-8", "surrogateescape") not in first[2:]:
        columns = b", ".join(first[2:])
        remedy = f' or one of "{shown(columns, 200)}"' if columns and not _is_number(first[2]) else ""
        raise CorpusError(f"{path}:{number}: `column` {shown(name)}: the number of a column from 3 on{remedy}")
    return first.index(name.encode("utf-8", "surrogateescape"), 2), True


def _is_number(field: bytes) -> bool:
    """Whether this is what Python takes as a number, also if it is infinite or NaN."""
    try:
        float(field)
    except ValueError:
        return False
    return True


def _number(field: bytes) -> float | None:
    if not _is_number(field) or b"_" in field or not math.isfinite(float(field)):
        return None
    return float(field)


def _lowered(word: bytes) -> bytes:
    return word.decode("utf-8", "surrogateescape").lower().encode("utf-8", "surrogateescape")
