"""Dividing a text into training, validation and test parts: one pass, nothing kept in memory.

A unit, a line or a document, goes to one part as a whole.  Documents are separated by empty lines
(of nothing but white space), which stay with the document before them; a file begins a new document.
No byte is changed: only where the last line of a file has no end and another file follows, one is added.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from corpora.errors import CorpusError
from corpora.text.inputs import expand, open_text

PARTS = ("train", "valid", "test")
UNITS = ("line", "document")
_PIECE = 1 << 20  # bytes of a line read at once


@dataclass
class PartSize:
    """What went to a part."""

    units: int = 0
    lines: int = 0
    bytes: int = 0


def split(
    paths: Sequence[str],
    outputs: Mapping[str, BinaryIO],
    shares: Mapping[str, float],
    *,
    by: str = "line",
    seed: int = 1,
    progress: Callable[[int], object] | None = None,
) -> dict[str, PartSize]:
    """Write every line of the texts, unchanged, to one of ``outputs`` in the order of the texts.

    ``shares``: those of "valid" and "test"; the rest is "train".  From every ``1 / smallest share`` units
    on end each part gets its exact share, at places drawn from ``seed``: so the parts are spread
    evenly, their sizes are right to one unit, and the same seed gives the same parts anywhere.
    ``progress(n)`` is called for n more bytes.  Raises CorpusError where a part would be empty.
    """
    if by not in UNITS:
        raise ValueError(f"split by {by}: one of {', '.join(UNITS)}")
    sizes = {part: PartSize() for part in PARTS if part == "train" or shares.get(part, 0) > 0}
    drawn = draw_parts(shares, seed)
    part = ""
    for starts_unit, starts_line, piece in _line_pieces(paths, by):
        if starts_unit:
            part = next(drawn)
            sizes[part].units += 1
        sizes[part].lines += starts_line
        sizes[part].bytes += len(piece)
        outputs[part].write(piece)
        if progress is not None:
            progress(len(piece))
    if not part:
        raise CorpusError(f"{', '.join(paths)}: no text")
    _require_all(sizes, by, shares)
    return sizes


def _require_all(sizes: dict[str, PartSize], by: str, shares: Mapping[str, float]) -> None:
    n = sum(size.units for size in sizes.values())
    for part, size in sizes.items():
        if size.units == 0:
            found = f"{n} {by}{'s' if n != 1 else ''}"
            share = f"`{part}` {shares[part]:g}" if part in shares else "the training part"
            hint = "; documents are separated by empty lines" if by == "document" else ""
            raise CorpusError(f"{found}: too few for {share}, which would be empty{hint}")


def draw_parts(shares: Mapping[str, float], seed: int) -> Iterator[str]:
    """The part of one unit after another, without end: draws without replacement from one stratum after another.

    A stratum is ceil(1 / smallest share) units; what its shares lack of whole units is carried over.
    """
    held_out = {part: share for part, share in shares.items() if share > 0}
    total = math.fsum(held_out.values())
    if any(share < 0 for share in shares.values()) or total >= 1:
        raise CorpusError("`valid` and `test`: shares from 0 whose sum is below 1")
    if not held_out:
        while True:
            yield "train"
    stratum = math.ceil(1 / min(held_out.values()) - 1e-9)
    rng = random.Random(seed)  # its random() is the same in all versions of Python
    done = 0
    while True:
        # running totals are rounded, and "test" is the difference of two of them: so errors do not add up,
        # and the shares never ask for more than the stratum has
        left, before = {}, 0
        share = 0.0
        for part in held_out:
            share += held_out[part]
            until = _round((done + stratum) * share) - _round(done * share)
            left[part], before = max(0, until - before), until
        for remaining in range(stratum, 0, -1):
            place = rng.random() * remaining
            chosen = "train"
            for part, count in left.items():
                if place < count:
                    chosen = part
                    left[part] -= 1
                    break
                place -= count
            yield chosen
        done += stratum


def _round(x: float) -> int:
    return math.floor(x + 0.5)


def _line_pieces(paths: Sequence[str], by: str) -> Iterator[tuple[bool, bool, bytes]]:
    """Pieces of lines with their line ends: (a unit begins, a line begins, the bytes)."""
    unfinished = False
    for path in expand(paths):
        with open_text(path) as file:
            first, has_text, after_empty, begins = True, False, False, True
            while piece := file.readline(_PIECE):
                if unfinished:  # the last line of the text before this one
                    yield False, False, b"\n"
                    unfinished = False
                empty = begins and not piece.strip()
                starts_document = first or (begins and after_empty and not empty)
                yield (begins if by == "line" else starts_document), begins, piece
                if begins:
                    has_text = has_text or not empty
                    after_empty = empty and has_text  # empty lines at the top belong to the first document
                first, begins = False, piece.endswith(b"\n")
            unfinished = not begins
