"""The log of a training run: JSON lines, one an epoch and one every few seconds between."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable

from corpora.errors import CorpusError
from corpora.files.output import STDOUT, open_log

PROGRESS, EPOCH = "progress", "epoch"


class Log:
    """Lines with ``kind`` and ``words_done``, the words of all epochs so far; written at once, so that they can be
    followed.

    ``epochs``: the lines of the epochs that an interrupted run has behind it, and ``words_done`` its place: its log is
    gone on with such that no line is missing and none is there twice.
    """

    def __init__(self, path: str | None, epochs: Iterable[dict] = (), words_done: int = 0):
        self._path, self._file = path, None
        if path is None:
            return
        older = _progress_lines(path, words_done) if words_done else []
        lines = [*older, *({"kind": EPOCH} | epoch for epoch in epochs)]
        self._file = sys.stdout.buffer if path == STDOUT else open_log(path)
        for line in sorted(lines, key=lambda line: line["words_done"]):
            self._write(line)

    def write(self, kind: str, line: dict) -> None:
        """CorpusError where that is not possible (a full disk)."""
        if self._file is not None:
            self._write({"kind": kind} | line)

    def close(self) -> None:
        if self._path not in (None, STDOUT):
            self._file.close()

    def _write(self, line: dict) -> None:
        try:
            self._file.write(json.dumps(line).encode() + b"\n")
            self._file.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise self._error(error) from error

    def _error(self, error: OSError) -> CorpusError:
        return CorpusError(f"{self._path}: cannot be written ({error.strerror or error})")


def _progress_lines(path: str, words_done: int) -> list[dict]:
    """Those of a log that is there, up to this place; what is no such line, as one that was cut short, is left out."""
    if path == STDOUT or not os.path.isfile(path):
        return []
    found = []
    with open(path, "rb") as file:
        for text in file:
            try:
                line = json.loads(text)
                if line["kind"] == PROGRESS and line["words_done"] <= words_done:
                    found.append(line)
            except (ValueError, KeyError, TypeError):
                continue
    return found
