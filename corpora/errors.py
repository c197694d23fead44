"""The errors that a user's input can cause.  ``str(error)`` is the one line that a command prints."""

from __future__ import annotations

import os


class CorpusError(Exception):
    """A file, an option or a resource that cannot be used; the message says what to do."""


class FormatError(CorpusError):
    """A file whose content is wrong: ``path:line: reason``, or ``path: reason`` without a line."""

    def __init__(self, path: str | os.PathLike, line: int | None, reason: str):
        self.path, self.line, self.reason = os.fspath(path), line, reason
        place = self.path if line is None else f"{self.path}:{line}"
        super().__init__(f"{place}: {reason}")
