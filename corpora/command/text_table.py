"""Tables for readers of a terminal: columns that stay aligned whatever the script of their words."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from corpora.command.options import print_text


def aligned(header: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[str]) -> list[str]:
    """Lines of rows under a header, columns apart by two spaces; those of ``left`` to the left, others to the right.

    Nothing is cut or wrapped.  Where no cell is empty or has spaces, programs can take the columns apart, too.
    """
    table = [header, *rows]
    sizes = [max(map(width, column)) for column in zip(*table, strict=True)]
    lines = []
    for row in table:
        cells = [
            cell + " " * (size - width(cell)) if name in left else " " * (size - width(cell)) + cell
            for name, size, cell in zip(header, sizes, row, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[str]) -> None:
    """Print what ``aligned`` makes of a header and rows."""
    for line in aligned(header, rows, left):
        print_text(line)


def width(text: str) -> int:
    """How many columns of a terminal a text takes: two for each character of East Asian scripts, none for accents."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def text_of(word: bytes) -> str:
    """A word for a table: bytes that are not UTF-8 stay what they are on the way to the terminal."""
    return word.decode("utf-8", "surrogateescape")
