"""Where queries come from: arguments, a prompt on a terminal, or lines of standard input; and how answers leave."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress

from corpora.command.options import note, print_text
from corpora.command.text_table import print_table, text_of
from corpora.errors import CorpusError
from corpora.text.inputs import LONGEST, STDIN, UTF8_BOM, too_long

_CHUNK = 1 << 16  # bytes
END = b"EXIT"  # as the original tools have it


def queries(arguments: Sequence[str], prompt: str) -> Iterator[list[tuple[int, bytes]]]:
    """Lists of queries with their numbers, from 1: all arguments, or the lines that are there, without empty ones.

    A pipe's lines come as soon as they are complete, many together where many are waiting: a program may write a line
    and wait for its answer.
    """
    if arguments:
        yield list(enumerate(map(os.fsencode, arguments), 1))
    elif sys.stdin.isatty():
        yield from _prompted(prompt)
    else:
        number = 1
        for lines in _arriving():
            batch = [(n, line.strip()) for n, line in enumerate(lines, number) if line.strip()]
            number += len(lines)
            if batch:
                yield batch


def is_prompted(arguments: Sequence[str]) -> bool:
    """Whether a person is asked for queries."""
    return not arguments and sys.stdin.isatty()


def _prompted(prompt: str) -> Iterator[list[tuple[int, bytes]]]:
    with suppress(ImportError):
        import readline  # noqa: F401 - input() then edits lines and remembers them
    if hasattr(sys.stdin, "reconfigure"):
        sys.stdin.reconfigure(errors="surrogateescape")
    number = 0
    while True:
        try:
            if sys.stdout.isatty():
                line = input(prompt)
            else:  # input() would write the prompt among the answers
                print(prompt, end="", file=sys.stderr, flush=True)
                line = input()
        except EOFError:
            note("")
            return
        number += 1
        query = line.strip().encode("utf-8", "surrogateescape")
        if query == END:
            return
        if query:
            yield [(number, query)]


def _arriving() -> Iterator[list[bytes]]:
    """The lines of standard input, those of a piece that could be read at once together."""
    # unbuffered: a buffered read waits for a whole block
    file = getattr(sys.stdin.buffer, "raw", sys.stdin.buffer)
    rest, is_first = b"", True
    while piece := file.read(_CHUNK):
        *lines, rest = (rest + piece).split(b"\n")
        if lines:
            if is_first:
                lines[0], is_first = lines[0].removeprefix(UTF8_BOM), False
            yield lines
        if len(rest) > LONGEST:
            raise too_long(STDIN, None)
    if rest:
        yield [rest.removeprefix(UTF8_BOM) if is_first else rest]


class Answers:
    """Prints the answers to queries: a table for each on a terminal, rows of one table in a pipe, or JSON lines."""

    def __init__(self, arguments: Sequence[str], score: str, as_json: bool):
        """``score``: what the numbers are, as the column's name."""
        self.score = score
        self.form = "json" if as_json else "table" if sys.stdout.isatty() else "tsv"
        self._is_only, self._is_prompted = len(arguments) == 1, is_prompted(arguments)
        self._asked = self._answered = 0

    def write(self, query: bytes, heading: str, found: Sequence[tuple[bytes, float]]) -> None:
        """The words and scores for a query, the best first; ``heading`` stands above a table."""
        self._asked += 1
        self._answered += 1
        if self.form == "json":
            self._print_json({"query": _json_text(query), "answers": self._objects(found)})
        elif self.form == "table":
            rows = [(str(rank), text_of(word), f"{score:.6f}") for rank, (word, score) in enumerate(found, 1)]
            print_text(f"{heading}\n")
            print_table(("rank", "word", self.score), rows, left=["word"])
            print_text("")
        else:
            if self._answered == 1:
                print_text(f"query\trank\tword\t{self.score}")
            for rank, (word, score) in enumerate(found, 1):
                print_text(f"{text_of(query)}\t{rank}\t{text_of(word)}\t{score:.6f}")

    def refuse(self, query: bytes, reason: str, missing: Sequence[bytes] = ()) -> None:
        """Say why a query has no answer, and go on; CorpusError where it is the only one."""
        if self._is_only:
            raise CorpusError(reason)
        self._asked += 1
        note(f"Warning: {reason}")
        if self.form == "json":
            self._print_json({"query": _json_text(query), "answers": [], "missing": list(map(_json_text, missing))})

    def flush(self) -> None:
        """Let the reader of a pipe have what was printed."""
        sys.stdout.flush()

    def close(self) -> None:
        """CorpusError where there were queries and none had an answer; at a prompt that was seen already."""
        if self._asked and not self._answered and not self._is_prompted:
            raise CorpusError("none of the queries could be answered")

    def _objects(self, found) -> list[dict]:
        return [{"word": _json_text(word), self.score: round(score, 9)} for word, score in found]

    def _print_json(self, value: dict) -> None:
        print_text(json.dumps(value, ensure_ascii=False))


def _json_text(word: bytes) -> str:
    return word.decode("utf-8", "backslashreplace")
