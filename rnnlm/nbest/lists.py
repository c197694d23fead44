"""n-best lists: the hypotheses of a recogniser, with its scores where it gave them.  U utterances, N hypotheses.

=========  ==========================================================================================
``nbest``  a line is the utterance's id and the words, as rnnlm 0.4b reads them
``tsv``    names of columns first, then one line per hypothesis: utterance, words, and, where there are any,
           acoustic and language score; the columns in any order, others among them
``srilm``  a line is ``acoustic language n_words words``, one file per utterance, named by its id
=========  ==========================================================================================

Scores are log10 probabilities.  ``<s>`` and ``</s>`` around the words are dropped, and are none of SRILM's n_words.
The hypotheses of an utterance follow each other, the best first if the recogniser sorted them.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import BinaryIO, NamedTuple

import numpy as np

from corpora.errors import CorpusError, FormatError
from corpora.text.inputs import LONGEST, STDIN, expand, open_text, text_lines
from corpora.text.vocab import EOS

BOS = b"<s>"
_LARGEST_SCORE = 1e30  # of either sign: totals and scaled scores of many stay finite
_LOOKED_AT = 100  # lines that are sniffed
_COMPRESSION = (".gz", ".bz2", ".xz")
# the names of tsv's columns, without capitals and with "_" for spaces and hyphens; the first is what is written
COLUMNS = {
    "utterance": ("utterance", "utt", "id", "utterance_id", "utt_id", "uttid"),
    "acoustic": ("acoustic", "acoustic_score", "am", "am_score", "ac", "ac_score", "acscore"),
    "language": ("language", "language_score", "language_model", "lm", "lm_score", "lmscore"),
    "words": ("words", "hypothesis", "hyp", "text", "sentence", "transcript"),
}
_SRILM_HEADS = (b"NBestList1.0", b"NBestList2.0")


@dataclass(frozen=True)
class NBest:
    """Lists in the order of the files; utterance u has the hypotheses starts[u] : starts[u + 1].

    ``acoustic``, ``language`` (N,) float64: log10; None where the lists have none.  ``header``, ``rows``: the lists as
    a table of cells separated by tabs, further columns included, as they were read.
    """

    form: str
    utterances: Sequence[bytes]
    starts: np.ndarray
    words: Sequence[tuple[bytes, ...]]
    acoustic: np.ndarray | None
    language: np.ndarray | None
    header: Sequence[bytes] = ()
    rows: Sequence[bytes] = field(default=(), repr=False)

    def __len__(self) -> int:
        """Hypotheses."""
        return len(self.words)

    @property
    def n_words(self) -> np.ndarray:
        """(N,) int64."""
        return np.fromiter(map(len, self.words), np.int64, len(self))

    @property
    def utterance_of(self) -> np.ndarray:
        """(N,) int64: the position of each hypothesis's utterance."""
        return np.repeat(np.arange(len(self.utterances)), np.diff(self.starts))

    def best(self, scores: np.ndarray) -> np.ndarray:
        """(U,) int64: the hypothesis of each utterance with the highest of the scores (N,), the first of equal ones."""
        return best_of(scores, self.starts)


def best_of(scores: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """(U,) int64: where in scores (N,) the highest of each of the groups starts[u] : starts[u + 1] is first."""
    top = np.maximum.reduceat(scores, starts[:-1])
    where = np.flatnonzero(scores == np.repeat(top, np.diff(starts)))
    return where[np.searchsorted(where, starts[:-1])]


# ---- reading


class _Hypothesis(NamedTuple):
    utterance: bytes
    words: tuple[bytes, ...]
    acoustic: float
    language: float
    row: bytes


def read(paths: Sequence[str], form: str | None = None, *, allow_empty: bool = False) -> NBest:
    """The lists in files, patterns, directories, or ``-``, plain or compressed.

    ``form``: one of FORMATS; None: what each file's content looks like, which must be the same for all of them.
    ``allow_empty``: take a hypothesis without words, which otherwise is an error.
    CorpusError or FormatError with the line's number for what is no list of the form.
    """
    if form is not None and form not in FORMATS:
        raise CorpusError(f"n-best format {form}: one of {', '.join(FORMATS)}")
    collected = _Collected(allow_empty)
    found, header = form, None
    for path in expand(paths):
        with open_text(path) as file:
            lines = _Lines(path, file)
            this = form or _sniff(lines)
            if found is not None and this != found:
                raise FormatError(path, None, f"looks like {this}, but the files before it are {found}: give `format`")
            found = this
            columns = FORMATS[this](lines, collected)
            if header is not None and columns != header:
                raise FormatError(path, 1, "the columns are not those of the file before")
            header = columns
    return collected.finish(found, header)


class _Lines:
    """The numbered lines of a file, without their ends, some of which can be looked at before they are read."""

    def __init__(self, path: str, file: BinaryIO):
        self.path = path
        self._lines = text_lines(path, file)
        self._ahead: list[bytes] = []

    def look(self, n: int) -> list[bytes]:
        """The first n lines, or those that LONGEST bytes have room for."""
        room = LONGEST
        while len(self._ahead) < n and room > 0 and (line := next(self._lines, b"")):
            self._ahead.append(line)
            room -= len(line)
        return [line.rstrip(b"\r\n") for line in self._ahead[:n]]

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        number = 0
        for lines in (self._ahead, self._lines):
            for line in lines:
                number += 1
                yield number, line.rstrip(b"\r\n")


def _fields(line: bytes) -> list[bytes]:
    """What spaces and tabs separate, as everywhere in a text."""
    return [word for word in line.replace(b"\t", b" ").replace(b"\r", b"").split(b" ") if word]


def _shown(text: bytes) -> str:
    shown = text.decode("utf-8", "backslashreplace")
    return shown if len(shown) <= 40 else shown[:37] + "..."


class _Collected:
    """Hypotheses as they are read, checked."""

    def __init__(self, allow_empty: bool):
        self._allow_empty = allow_empty
        self._hypotheses: list[_Hypothesis] = []
        self._starts: list[int] = []
        self._places: dict[bytes, str] = {}  # where each utterance begins
        self._interned: dict[bytes, bytes] = {}  # a list says the same words again and again
        self.has_acoustic = self.has_language = True

    def words(self, lines: _Lines, number: int, fields: list[bytes]) -> tuple[bytes, ...]:
        """The words without ``<s>`` and ``</s>`` around them."""
        if fields and fields[0] == BOS:
            fields = fields[1:]
        if fields and fields[-1] == EOS:
            fields = fields[:-1]
        for mark in (BOS, EOS):
            if mark in fields:
                raise FormatError(lines.path, number, f"{mark.decode()} inside a hypothesis")
        if not fields and not self._allow_empty:
            raise FormatError(lines.path, number, "empty hypothesis; `allow_empty` takes it as a sentence of no words")
        return tuple(self._interned.setdefault(word, word) for word in fields)

    def add(self, lines: _Lines, number: int, hypothesis: _Hypothesis) -> None:
        name = hypothesis.utterance
        if not self._hypotheses or self._hypotheses[-1].utterance != name:
            if name in self._places:
                raise FormatError(
                    lines.path, number,
                    f"utterance {_shown(name)} again, after others (it began at {self._places[name]}); "
                    "the hypotheses of an utterance must follow each other",
                )  # fmt: skip
            self._places[name] = f"{lines.path}:{number}"
            self._starts.append(len(self._hypotheses))
        self._hypotheses.append(hypothesis)

    def begin(self, lines: _Lines, name: bytes) -> None:
        """A file is a list of this utterance."""
        if name in self._places:
            raise FormatError(
                lines.path, None, f"utterance {_shown(name)} once more: {self._places[name]} has the same name"
            )

    def finish(self, form: str | None, header: Sequence[bytes] | None) -> NBest:
        hypotheses = self._hypotheses
        n = len(hypotheses)
        return NBest(
            form or "nbest",
            list(self._places),
            np.array([*self._starts, n], np.int64),
            [hypothesis.words for hypothesis in hypotheses],
            np.fromiter((h.acoustic for h in hypotheses), np.float64, n) if self.has_acoustic else None,
            np.fromiter((h.language for h in hypotheses), np.float64, n) if self.has_language else None,
            list(header or ()),
            [hypothesis.row for hypothesis in hypotheses],
        )


def _number(lines: _Lines, number: int, what: str, text: bytes) -> float:
    value = _as_number(text)
    if value is None:
        raise FormatError(lines.path, number, f'{what}: expected a finite number, found "{_shown(text)}"')
    if abs(value) > _LARGEST_SCORE:
        raise FormatError(lines.path, number, f"{what}: {value:g}, beyond the {_LARGEST_SCORE:g} that a score can be")
    return value


def _as_number(text: bytes) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and b"_" not in text else None


def _some(lines: _Lines) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank; FormatError where there are none."""
    empty = True
    for number, line in lines:
        if line.strip():
            empty = False
            yield number, line
    if empty:
        raise FormatError(lines.path, None, "no hypotheses")


def _read_nbest(lines: _Lines, collected: _Collected) -> list[bytes]:
    collected.has_acoustic = collected.has_language = False
    for number, line in _some(lines):
        fields = _fields(line)
        if line[:1] in (b" ", b"\t"):
            raise FormatError(lines.path, number, "the utterance's id is missing: the line begins with a space")
        words = collected.words(lines, number, fields[1:])
        collected.add(lines, number, _Hypothesis(fields[0], words, 0.0, 0.0, fields[0] + b"\t" + b" ".join(fields[1:])))
    return [b"utterance", b"words"]


def _read_srilm(lines: _Lines, collected: _Collected) -> list[bytes]:
    name = _utterance_of(lines.path)
    collected.begin(lines, name)
    for number, line in _some(lines):
        fields = _fields(line)
        if fields[0] in _SRILM_HEADS:
            raise FormatError(
                lines.path,
                number,
                f"{fields[0].decode()}: not read; `acoustic lm n_words words` is",
            )
        if len(fields) < 3:
            found = f"found {len(fields)} field{'s' * (len(fields) > 1)}"
            raise FormatError(lines.path, number, f'expected "acoustic lm n_words words", {found}')
        acoustic = _number(lines, number, "acoustic score", fields[0])
        language = _number(lines, number, "language score", fields[1])
        if not re.fullmatch(rb"[0-9]{1,18}", fields[2]):
            raise FormatError(lines.path, number, f'n_words: expected a number of words, found "{_shown(fields[2])}"')
        words = collected.words(lines, number, fields[3:])
        if int(fields[2]) != len(words):
            raise FormatError(
                lines.path, number,
                f"n_words is {int(fields[2])}, but there are {len(words)} words (<s> and </s> are not counted)",
            )  # fmt: skip
        row = b"\t".join([name, *fields[:2], b" ".join(fields[3:])])
        collected.add(lines, number, _Hypothesis(name, words, acoustic, language, row))
    return [b"utterance", b"acoustic", b"language", b"words"]


def _utterance_of(path: str) -> bytes:
    """The file's name without folder, compression's ending and ending."""
    if path == STDIN:
        return b"-"
    name = PurePath(path).name
    for ending in _COMPRESSION:
        name = name.removesuffix(ending)
    return os.fsencode(PurePath(name).stem)


def _read_tsv(lines: _Lines, collected: _Collected) -> list[bytes]:
    rows = _some(lines)
    number, head = next(rows)
    names = [cell.strip() for cell in head.split(b"\t")]
    at = _columns(lines.path, number, names)
    collected.has_acoustic &= "acoustic" in at
    collected.has_language &= "language" in at
    empty = True
    for number, line in rows:
        empty = False
        cells = line.split(b"\t")
        if len(cells) != len(names):
            raise FormatError(
                lines.path, number, f"{len(cells)} cell{'s' * (len(cells) > 1)}, but there are {len(names)} columns"
            )
        name = cells[at["utterance"]].strip()
        if not name:
            raise FormatError(lines.path, number, "the utterance's id is missing: its cell is empty")
        if b" " in name:
            raise FormatError(lines.path, number, f'utterance "{_shown(name)}": an id has no spaces')
        scores = {
            column: _number(lines, number, f"{column} score", cells[at[column]].strip()) if column in at else 0.0
            for column in ("acoustic", "language")
        }
        words = collected.words(lines, number, _fields(cells[at["words"]]))
        collected.add(lines, number, _Hypothesis(name, words, **scores, row=line))
    if empty:
        raise FormatError(lines.path, None, "no hypotheses after the names of the columns")
    return names


def _columns(path: str, number: int, names: list[bytes]) -> dict[str, int]:
    """Where utterance, words, acoustic and language score are."""
    at: dict[str, int] = {}
    for k, name in enumerate(names):
        column = _column_of(name)
        if column is None:
            continue
        if column in at:
            raise FormatError(
                path, number, f'columns "{_shown(names[at[column]])}" and "{_shown(name)}" are both {column}'
            )
        at[column] = k
    missing = [column for column in ("utterance", "words") if column not in at]
    if missing:
        raise FormatError(path, number, f"no column {' and no column '.join(missing)} (names are on the first line)")
    return at


def _column_of(name: bytes) -> str | None:
    simple = re.sub(r"[ -]+", "_", name.decode("utf-8", "replace").strip().lower())
    return next((column for column, names in COLUMNS.items() if simple in names), None)


FORMATS: dict[str, Callable[[_Lines, _Collected], list[bytes]]] = {
    "nbest": _read_nbest,
    "tsv": _read_tsv,
    "srilm": _read_srilm,
}


def _sniff(lines: _Lines) -> str:
    """What the first lines look like.

    ``tsv``: the first one names columns.  ``srilm``: most begin with two numbers and an integer, or have ``<s>``
    as the fourth word.  Lists whose ids and words are numbers can be taken for the latter: hence --format.
    """
    shown = [line for line in lines.look(_LOOKED_AT) if line.strip()]
    if shown and b"\t" in shown[0] and {"utterance", "words"} & set(map(_column_of, shown[0].split(b"\t"))):
        return "tsv"
    if shown and (shown[0].startswith(_SRILM_HEADS) or sum(map(_is_srilm, shown)) * 2 > len(shown)):
        return "srilm"
    return "nbest"


def _is_srilm(line: bytes) -> bool:
    fields = _fields(line)
    if len(fields) > 3 and fields[3] == BOS:
        return True
    scores = [_as_number(text) for text in fields[:2]]
    return len(fields) > 2 and None not in scores and re.fullmatch(rb"[0-9]+", fields[2]) is not None


# ---- references


def read_references(path: str, utterances: Sequence[bytes]) -> tuple[list[tuple[bytes, ...]], int]:
    """The reference of each of the utterances, from lines ``utterance words``; and how many others the file has.

    FormatError for an utterance that is there twice, or missing.
    """
    found: dict[bytes, tuple[bytes, ...]] = {}
    with open_text(path) as file:
        for number, line in enumerate(text_lines(path, file), 1):
            fields = _fields(line.rstrip(b"\r\n"))
            if not fields:
                continue
            if line[:1] in (b" ", b"\t"):
                raise FormatError(path, number, "the utterance's id is missing: the line begins with a space")
            name, words = fields[0], fields[1:]
            if name in found:
                raise FormatError(path, number, f"a second reference of utterance {_shown(name)}")
            found[name] = tuple(word for word in words if word not in (BOS, EOS))
    missing = [name for name in utterances if name not in found]
    if missing:
        others = f" and {len(missing) - 1} others" if len(missing) > 1 else ""
        raise FormatError(path, None, f"no reference of utterance {_shown(missing[0])}{others}")
    return [found[name] for name in utterances], len(found) - len(utterances)


# ---- writing


def write_table(file: BinaryIO, lists: NBest, added: dict[str, np.ndarray]) -> None:
    """The lists as a table with these columns (N,) float64 after their own; a column of that name is replaced."""
    drop = {k for k, name in enumerate(lists.header) if name.decode("utf-8", "replace") in added}
    header = [name for k, name in enumerate(lists.header) if k not in drop]
    file.write(b"\t".join([*header, *(name.encode() for name in added)]) + b"\n")
    ending = b"\t%.6f" * len(added) + b"\n"
    for row, *numbers in zip(lists.rows, *(column.tolist() for column in added.values()), strict=True):
        if drop:
            row = b"\t".join(cell for k, cell in enumerate(row.split(b"\t")) if k not in drop)
        file.write(row + ending % tuple(numbers))


def write_best(file: BinaryIO, lists: NBest, best: np.ndarray) -> None:
    """A line ``utterance words`` for the hypothesis best[u] of each utterance."""
    for name, k in zip(lists.utterances, best.tolist(), strict=True):
        file.write(b" ".join([name, *lists.words[k]]) + b"\n")


def write_srilm(file: BinaryIO, lists: NBest, utterance: int, language: np.ndarray) -> None:
    """SRILM's form of one utterance, with these language scores (N,) instead of the list's."""
    for k in range(lists.starts[utterance], lists.starts[utterance + 1]):
        acoustic = 0.0 if lists.acoustic is None else float(lists.acoustic[k])
        words = lists.words[k]
        head = b"%.4f %.6f %d " % (acoustic, language[k], len(words))
        file.write(head + b" ".join([BOS, *words, EOS]) + b"\n")
