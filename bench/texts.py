"""The texts that are measured on, whole or their first part."""

from __future__ import annotations

from pathlib import Path

import common

MILLION = 1_000_000


def wiki() -> Path:
    """The training text, read once so that it is in the system's memory."""
    path = common.data("wiki/train.txt")
    with path.open("rb") as file:
        while file.read(1 << 20):
            pass
    return path


def first_words(path: Path, words: float, place: Path) -> Path:
    """The first lines of a text that have this many words together; the text itself if it has fewer."""
    part, n = place / f"{path.stem}-{words / MILLION:g}M.txt", 0
    with path.open("rb") as lines, part.open("wb") as out:
        for line in lines:
            if n >= words:
                return part
            n += len(line.split())
            out.write(line)
    part.unlink()
    return path


def n_words(path: Path) -> int:
    with path.open("rb") as lines:
        return sum(len(line.split()) for line in lines)
