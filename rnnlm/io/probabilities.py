"""Files of per-word probabilities, so that any outside model can be mixed and compared.

What a file is, is known from its first lines:

* ``plain``: a probability a line for every word and sentence end, as 0.4b's ``-lm-prob`` reads it; 0 is an OOV.
* ``tsv``, ``json``: what ``rnnlm ppl --report word`` writes.
* ``srilm``: ``ngram -ppl -debug 2``, and ``rnnlm ppl --report word --format srilm``.
* ``rnnlm``: what 0.4b's ``-test -debug 2`` prints; a word is an OOV where its index is -1.
* ``kenlm``: what its ``query`` prints of every word; id 0 is an OOV.

All but the first have the words too, so that a file about another text is found out.  Where SRILM prints ``<unk>``
and 0.4b ``OOV`` the word itself is not known, and any will do.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from corpora.errors import CorpusError, FormatError
from corpora.files.checks import shown
from corpora.files.source import Source
from corpora.text.vocab import EOS, UNK, Vocab

if TYPE_CHECKING:
    from rnnlm.mixtures.playback import PlayedBack

_LOWEST = -1e30  # of a probability that is not 0: sums of many stay finite
_ROUNDING = 1e-6  # log10 probabilities this little above 0 are 0
_TSV_HEADER = b"sentence\tposition\tword\toov\tlog10_prob"
_SRILM = re.compile(rb"^\tp\( (\S+) \| .*\) \t= (.*?)(\S+) \[ (\S+) \]$")
_KENLM = re.compile(rb"^(\S+)=(\d+) \d+ (\S+)$")
_ESCAPED_BYTE = re.compile(rb"\\x([89a-f][0-9a-f])")

Token = tuple[int, bytes | None, float, bool]
"""Line, word (None: the file does not say it), log10 probability, whether it is an OOV."""


class Layout(NamedTuple):
    """``recognises(prefix)``: by the first bytes of a file.  ``tokens(path, lines)``: what its lines say."""

    recognises: Callable[[bytes], bool]
    tokens: Callable[[str, Iterator[bytes]], Iterator[Token]]


def recognises(prefix: bytes) -> bool:
    """Whether a file of these first bytes holds per-word probabilities."""
    return any(layout.recognises(prefix) for layout in LAYOUTS.values())


def read(source: Source, dtype: str | None = None) -> PlayedBack:
    """The probabilities in a file.  FormatError with the line for anything else."""
    from rnnlm.mixtures.playback import PlayedBack

    layout = LAYOUTS[_layout_of(source)]
    ids: dict[bytes, int] = {EOS: 0}
    expected, log10_prob, oov, numbers = [], [], [], []
    for number, word, value, unknown in layout.tokens(source.path, (line.rstrip(b"\r") for line in source.lines())):
        if not value <= 0:
            if not value <= _ROUNDING:
                raise FormatError(source.path, number, f"log10 probability {value:g}; it cannot be above 0")
            value = 0.0
        if -math.inf < value < _LOWEST:
            raise FormatError(source.path, number, f"log10 probability {value:g}: below {_LOWEST:g}, and not 0")
        expected.append(-1 if word is None else ids.setdefault(word, len(ids)))
        log10_prob.append(value)
        oov.append(unknown)
        numbers.append(number)
    if not numbers:
        raise FormatError(source.path, None, "no probabilities")
    return PlayedBack(
        source.path, Vocab(list(ids)), np.array(expected, np.int32), np.array(log10_prob), np.array(oov, bool),
        np.array(numbers, np.int64),
    )  # fmt: skip


def peek(source: Source) -> dict:
    """The layout, under ``probabilities``; nothing else is known without reading the file."""
    return {"probabilities": _layout_of(source)}


def write(lm, path) -> None:
    raise CorpusError("a model cannot be converted to probabilities of words: rnnlm ppl --report word prints those")


def _layout_of(source: Source) -> str:
    for name, layout in LAYOUTS.items():
        if layout.recognises(source.prefix):
            return name
    raise FormatError(source.path, None, "not a file of per-word probabilities")


def _first_lines(prefix: bytes) -> list[bytes]:
    """The first whole lines of a file."""
    lines = prefix.replace(b"\r\n", b"\n").split(b"\n")
    return lines[:1] if len(lines) == 1 else lines[:-1]


def _log10(probability: float) -> float:
    return math.log10(probability) if probability > 0 else -math.inf


def _number(path: str, number: int, field: bytes, what: str) -> float:
    try:
        value = float(field)
    except ValueError:
        value = math.nan
    if math.isnan(value):
        raise FormatError(path, number, f'expected {what}, found "{shown(field)}"')
    return value


def _probability(path: str, number: int, field: bytes) -> float:
    value = _number(path, number, field, "a probability")
    if not 0 <= value <= 1 + 3 * _ROUNDING:
        raise FormatError(path, number, f"probability {value:g}; it must be from 0 to 1")
    return min(value, 1.0)


# ---- plain


def _is_plain(prefix: bytes) -> bool:
    try:
        return 0 <= float(_first_lines(prefix)[0]) <= 1
    except ValueError:
        return False


def _plain_tokens(path: str, lines: Iterator[bytes]) -> Iterator[Token]:
    for number, line in enumerate(lines, 1):
        value = _probability(path, number, line)
        yield number, None, _log10(value), value == 0


# ---- rnnlm ppl --report word


def _is_tsv(prefix: bytes) -> bool:
    return prefix.startswith(_TSV_HEADER)


def _tsv_tokens(path: str, lines: Iterator[bytes]) -> Iterator[Token]:
    width = next(lines).count(b"\t") + 1
    for number, line in enumerate(lines, 2):
        cells = line.split(b"\t")
        if len(cells) != width:
            raise FormatError(path, number, f"expected {width} columns, found {len(cells)}")
        yield number, cells[2], _cell(path, number, cells[4]), _flag(path, number, cells[3])


def _cell(path: str, number: int, cell: bytes) -> float:
    return _number(path, number, cell, "a log10 probability") if cell else -math.inf


def _flag(path: str, number: int, cell) -> bool:
    if cell in (b"0", b"1", 0, 1):
        return bool(int(cell))
    raise FormatError(path, number, f'expected 0 or 1 for "oov", found "{shown(str(cell))}"')


def _is_json(prefix: bytes) -> bool:
    first = _first_lines(prefix)[0]
    return first.startswith(b'{"sentence": ') and b'"position": ' in first and b'"log10_prob": ' in first


def _json_tokens(path: str, lines: Iterator[bytes]) -> Iterator[Token]:
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            word, value, oov = row["word"], row["log10_prob"], row["oov"]
        except (ValueError, KeyError, TypeError) as error:
            raise FormatError(path, number, "expected an object with word, oov and log10_prob") from error
        if not isinstance(word, str) or isinstance(value, bool) or not isinstance(value, int | float | None):
            raise FormatError(path, number, "expected a string for word and a number or null for log10_prob")
        # a byte that is not UTF-8 was written as \xHH
        name = _ESCAPED_BYTE.sub(lambda found: bytes([int(found[1], 16)]), word.encode("utf-8", "surrogatepass"))
        yield number, name, -math.inf if value is None else float(value), _flag(path, number, oov)


# ---- SRILM


def _is_srilm(prefix: bytes) -> bool:
    return any(map(_SRILM.match, _first_lines(prefix)))


def _srilm_tokens(path: str, lines: Iterator[bytes]) -> Iterator[Token]:
    for number, line in enumerate(lines, 1):
        if not line.startswith(b"\tp( "):
            continue
        found = _SRILM.match(line)
        if not found:
            raise FormatError(path, number, f'expected "p( word | ...) = probability [ log10 ]", found "{shown(line)}"')
        word, note, _, value = found.groups()
        log10_prob = _number(path, number, value, "a log10 probability")
        yield number, word, log10_prob, log10_prob == -math.inf and (word == UNK or b"[OOV]" in note)


# ---- RNNLM toolkit 0.4b


def _is_rnnlm(prefix: bytes) -> bool:
    return any(re.match(rb"Index\s+P\(NET\)\s+Word$", line.strip()) for line in _first_lines(prefix)[:5])


def _rnnlm_tokens(path: str, lines: Iterator[bytes]) -> Iterator[Token]:
    table = False
    for number, line in enumerate(lines, 1):
        if not table:
            table = line.startswith(b"-----")
            continue
        if not line:  # the totals follow
            return
        cells = line.split(b"\t")
        if len(cells) < 3:
            raise FormatError(path, number, f'expected index, probability and word, found "{shown(line)}"')
        if cells[0] == b"-1":
            yield number, None, -math.inf, True
        else:
            yield number, cells[-1], _log10(_probability(path, number, cells[1])), False


# ---- KenLM


def _is_kenlm(prefix: bytes) -> bool:
    return bool(_KENLM.match(_first_lines(prefix)[0].split(b"\t")[0]))


def _kenlm_tokens(path: str, lines: Iterator[bytes]) -> Iterator[Token]:
    for number, line in enumerate(lines, 1):
        for cell in line.split(b"\t"):
            found = _KENLM.match(cell)
            if found:
                word, index, value = found.groups()
                yield number, word, _number(path, number, value, "a log10 probability"), index == b"0"
            elif cell and not cell.startswith((b"Total:", b"Perplexity", b"OOVs:", b"Tokens:", b"Name:")):
                raise FormatError(path, number, f'expected "word=id length log10", found "{shown(cell)}"')


LAYOUTS: dict[str, Layout] = {
    "tsv": Layout(_is_tsv, _tsv_tokens),
    "json": Layout(_is_json, _json_tokens),
    "srilm": Layout(_is_srilm, _srilm_tokens),
    "rnnlm": Layout(_is_rnnlm, _rnnlm_tokens),
    "kenlm": Layout(_is_kenlm, _kenlm_tokens),
    "plain": Layout(_is_plain, _plain_tokens),
}
