"""The first line of word2vec's files, "V d", and which foreign form a file has.  V words, d dimensions."""

from __future__ import annotations

import re
from typing import NamedTuple

from corpora.errors import FormatError
from corpora.files.source import PREFIX, Source
from corpora.text.inputs import UTF8_BOM, UTF16_BOMS
from corpora.text.vocab_order import MAX_TYPES

MOST_DIMENSIONS = 1_000_000  # more than that is no file of vectors
_HEADER = re.compile(rb"([0-9]{1,18})[ \t]+([0-9]{1,18})[ \t]*(?:\r?\n|\r?\Z)")
_FIELD = re.compile(rb"[^ \t]+")
_NUMBER = re.compile(rb"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?|nan|inf(?:inity)?)", re.IGNORECASE)
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f\x7f]")
_FEWEST = 2  # numbers in a line of GloVe's: a word with one number is a line of a vocabulary list


class Header(NamedTuple):
    """``length``: bytes of the line, with what comes before it."""

    n_words: int
    dim: int
    length: int


def form_of(prefix: bytes) -> str | None:
    """ "text", "binary" or "glove" for a file that begins so; None for another one."""
    text = prefix.removeprefix(UTF8_BOM)
    if text.startswith(UTF16_BOMS):
        return None
    header = _HEADER.match(text)
    if header:
        return "text" if _is_text(text[header.end() :], int(header[2])) else "binary"
    line = text.partition(b"\n")[0]
    return "glove" if n_numbers(line, cut=len(line) == len(text) and len(prefix) == PREFIX) >= _FEWEST else None


def n_numbers(line: bytes, cut: bool = False) -> int:
    """The dimensions of a first line "word x1 ... xd": how many numbers it ends in, one field left for the word.

    ``cut``: the line goes on, so that its last field may be a part only.
    """
    fields = _FIELD.findall(line.rstrip(b"\r\n"))
    if cut:
        fields.pop()
    n = 0
    while n < len(fields) - 1 and _NUMBER.fullmatch(fields[-1 - n]):
        n += 1
    return n


def read_header(source: Source, least_row: int) -> Header:
    """The header of a file whose rows have at least ``least_row`` bytes a dimension and two more.

    FormatError for sizes of 0, for absurd ones, and for a plain file that is too small for them.
    """
    path, prefix = source.path, source.prefix
    bom = len(prefix) - len(prefix.removeprefix(UTF8_BOM))
    match = _HEADER.match(prefix, bom)
    n_words, dim = int(match[1]), int(match[2])
    found = f"its header says {n_words} words of {dim} dimensions"
    if n_words < 1 or dim < 1:
        raise FormatError(path, 1, f"{found}: there is nothing in it")
    if n_words >= MAX_TYPES or dim > MOST_DIMENSIONS:
        raise FormatError(path, 1, f"{found}: at most {MAX_TYPES - 1} words of {MOST_DIMENSIONS} are possible")
    needed = match.end() + n_words * (least_row * dim + 2) - 1
    if source.is_plain_file and source.size < needed:
        raise FormatError(path, 1, f"{found}, {needed} bytes or more, but the file has {source.size}: is it cut short?")
    return Header(n_words, dim, match.end())


def _is_text(rows: bytes, dim: int) -> bool:
    """Whether rows in text or in binary form follow a header."""
    line, newline, _ = rows.partition(b"\n")
    if n_numbers(line, cut=not newline and len(rows) > PREFIX // 2) >= min(dim, PREFIX // 100):
        return True
    # a text with a bad first row should be told as such; four bytes a dimension would hardly all be characters
    sample = rows[: rows.find(b" ") + 1 + 4 * dim]
    if _CONTROL.search(sample):
        return False
    try:
        sample[: PREFIX // 2].decode("utf-8")
    except UnicodeDecodeError as error:
        return error.end == len(sample)  # a character that was cut
    return True
