"""The head of a model file of Mikolov's RNNLM toolkit: settings, sizes, and what they imply.

V words, C classes, H hidden, P compression (0: none), N direct connections.

The same "key: value" lines stand at the head of text and binary files.  Version 10 was written by
the releases 0.3e to 0.4b.  Version 9, of 0.3c and 0.3d, is the same but for two lines that it
lacks, "old classes" and "independent sentences mode": there both were left to the command line, and
here both are read as 0.  Older versions (3: 0.1, 6: 0.2, 7: 0.3b) have no "file format" line, no
compression layer and other direct connections, and are refused.  From the toolkit's releases.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from corpora.errors import FormatError
from corpora.files.checks import shown
from corpora.files.output import to_bytes
from rnnlm.config import MAX_DIRECT_ORDER, ModelConfig

VERSIONS = (9, 10)
FORM_NAMES = ("text", "binary")  # by the number in the file
_LONGEST_LINE = 1 << 16


def _integer(text: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        raise ValueError("an integer")
    return int(text)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError("a number") from None


# key in the file, name here, type, blank lines after it
_FIELDS = (
    ("version", "version", _integer, 0),
    ("file format", "format", _integer, 1),
    ("training data file", "train_file", str, 0),
    ("validation data file", "valid_file", str, 1),
    ("last probability of validation data", "valid_log10_prob", _number, 0),
    ("number of finished iterations", "iterations", _integer, 0),
    ("current position in training data", "train_position", _integer, 0),
    ("current probability of training data", "train_log10_prob", _number, 0),
    ("save after processing # words", "save_every", _integer, 0),
    ("# of training words", "train_words", _integer, 0),
    ("input layer size", "input", _integer, 0),
    ("hidden layer size", "hidden", _integer, 0),
    ("compression layer size", "compression", _integer, 0),
    ("output layer size", "output", _integer, 0),
    ("direct connections", "direct", _integer, 0),
    ("direct order", "direct_order", _integer, 0),
    ("bptt", "bptt", _integer, 0),
    ("bptt block", "bptt_block", _integer, 0),
    ("vocabulary size", "words", _integer, 0),
    ("class size", "classes", _integer, 0),
    ("old classes", "old_classes", _integer, 0),
    ("independent sentences mode", "independent", _integer, 0),
    ("starting learning rate", "starting_alpha", _number, 0),
    ("current learning rate", "alpha", _number, 0),
    ("learning rate decrease", "alpha_divide", _integer, 2),
)
_ONLY_IN_10 = ("old_classes", "independent")
_VOCABULARY = "Vocabulary"

# what is kept in RecurrentLM.training, with what a model that never saw the toolkit is given there
TRAINING = {
    "train_file": "-",
    "valid_file": "-",
    "valid_log10_prob": -100000000.0,  # as 0.4b starts with
    "iterations": 0,
    "train_position": 0,
    "train_log10_prob": 0.0,
    "save_every": 0,
    "train_words": 0,
    "bptt": 0,
    "bptt_block": 10,
    "starting_alpha": 0.1,
    "alpha": 0.1,
    "alpha_divide": 0,
}


MAX_BPTT = 100_000  # steps, and words of a block: rows of hidden states that are kept


def require_bptt(bptt: int, block: int) -> None:
    """ValueError unless a network can be trained so; the block means nothing without BPTT."""
    if not 0 <= bptt <= MAX_BPTT or (bptt > 1 and not 1 <= block <= MAX_BPTT):
        raise ValueError(f"bptt {bptt} with blocks of {block} words: 1 to {MAX_BPTT} are possible")


@dataclass(frozen=True)
class Header:
    """``values`` by the names above.  The vocabulary starts at byte ``end``, which is line ``line``."""

    values: dict
    end: int = 0
    line: int = 0

    @property
    def binary(self) -> bool:
        return FORM_NAMES[self.values["format"]] == "binary"

    @property
    def n_words(self) -> int:
        return self.values["words"]

    def sections(self) -> list[tuple[str, tuple[int, ...], int]]:
        """The arrays that follow the vocabulary: title in a text file, shape, decimals in a text file."""
        value = self.values
        v, c, h, p = value["words"], value["classes"], value["hidden"], value["compression"]
        layers = [("Weights 1->c", (p, h), 4), ("Weights c->2", (v + c, p), 4)]
        return [
            ("Hidden layer activation", (h,), 4),
            ("Weights 0->1", (h, v + h), 4),
            *(layers if p else [("Weights 1->2", (v + c, h), 4)]),
            ("Direct connections", (value["direct"],), 2),
        ]

    def n_weights(self) -> int:
        return sum(math.prod(shape) for _, shape, _ in self.sections())

    def config(self, dtype: str) -> ModelConfig:
        """The architecture.  ValueError for settings that are out of range."""
        value = self.values
        order = value["direct_order"]
        if not value["direct"] and not 1 <= order <= MAX_DIRECT_ORDER:
            order = ModelConfig.direct_order  # without direct connections it means nothing
        return ModelConfig(
            hidden=value["hidden"],
            classes=value["classes"],
            old_classes=bool(value["old_classes"]),
            compression=value["compression"],
            direct=value["direct"],
            direct_order=order,
            independent=bool(value["independent"]),
            dtype=dtype,
        )

    def training(self) -> dict:
        """What 0.4b needs to go on training; ``bptt`` is the file's number: the option's plus one, 0: none given."""
        kept = {name: self.values[name] for name in TRAINING}
        return kept | {"file_version": self.values["version"], "file_format": FORM_NAMES[self.values["format"]]}

    def to_bytes(self) -> bytes:
        """The head as 0.4b (version 10) and 0.3d (version 9) write it, to the line that starts the vocabulary."""
        lines = []
        for key, name, kind, blank in _FIELDS:
            if self.values["version"] == 10 or name not in _ONLY_IN_10:
                value = self.values[name]
                lines.append(f"{key}: " + (f"{value:f}" if kind is _number else str(value)) + "\n" * (blank + 1))
        return to_bytes(f"{''.join(lines)}{_VOCABULARY}:\n")


def read_header(path: str, data) -> Header:
    """The head of the file in ``data`` (bytes, or a mapped file), its settings and sizes checked against each other.

    FormatError, with the line, for another version, a line that is missing, is not a number or does not fit.
    """
    lines = _Lines(path, data)
    values: dict = dict.fromkeys(_ONLY_IN_10, 0)
    places = {}
    for key, name, kind, _ in _FIELDS:
        if values.get("version") == 9 and name in _ONLY_IN_10:
            continue
        text = lines.value_of(key).decode("utf-8", "surrogateescape")
        places[name] = lines.number
        try:
            values[name] = kind(text)
        except ValueError as error:
            raise lines.error(f'"{key}" is {error}, found "{shown(text)}"') from error
        if name == "version" and values[name] not in VERSIONS:
            raise FormatError(path, None, f"rnnlm version {values[name]}; versions 9 and 10 can be read")
        if name == "format" and values[name] not in (0, 1):
            raise lines.error(f"file format {values[name]}; 0 (text) and 1 (binary) can be read")
    lines.value_of(_VOCABULARY)
    header = Header(values, lines.position, lines.number + 1)
    _check(path, header, places)
    return header


def _check(path: str, header: Header, places: dict[str, int]) -> None:
    value = header.values
    for name, least in (("words", 1), ("hidden", 1), ("compression", 0), ("classes", 1), ("direct", 0)):
        if value[name] < least:
            key = next(key for key, field, *_ in _FIELDS if field == name)
            raise FormatError(path, places[name], f'"{key}" is {value[name]}, where at least {least} is needed')
    for name, parts in (("input", ("words", "hidden")), ("output", ("words", "classes"))):
        total = sum(value[part] for part in parts)
        if value[name] != total:
            named = " + ".join(f"{value[part]} {part}" for part in parts)
            raise FormatError(path, places[name], f"{name} layer size {value[name]}, where {named} make {total}")
    for name in ("starting_alpha", "alpha"):
        if not math.isfinite(value[name]):
            raise FormatError(path, places[name], f"the learning rate is {value[name]}")
    try:
        require_bptt(value["bptt"], value["bptt_block"])
    except ValueError as error:
        raise FormatError(path, places["bptt"], str(error)) from error
    try:
        header.config("float32")
    except ValueError as error:
        raise FormatError(path, places["direct"], str(error)) from error


class _Lines:
    """The lines of the head, one after another.  ``position``: after the last one.  ``number``: of the last one."""

    def __init__(self, path: str, data):
        self.path, self.data, self.position, self.number = path, data, 0, 0

    def value_of(self, key: str) -> bytes:
        """What follows "key:" in the next line that is not blank."""
        line = b""
        while not line:
            end = self.data.find(b"\n", self.position, self.position + _LONGEST_LINE)
            self.number += 1
            if end < 0:
                rest = self.data[self.position : self.position + _LONGEST_LINE]
                if len(rest) < _LONGEST_LINE:
                    raise self.error(f'expected "{key}:", the file ends here: cut short?')
                raise self.error(f'expected "{key}:", found a line of more than {_LONGEST_LINE} bytes')
            line = bytes(self.data[self.position : end]).strip()
            self.position = end + 1
        found, colon, value = line.partition(b":")
        if not colon or found.strip().lower() != key.lower().encode():
            raise self.error(f'expected "{key}:", found "{shown(line)}"')
        return value.strip()

    def error(self, reason: str) -> FormatError:
        return FormatError(self.path, self.number, reason)


def header_for(values: dict, config: ModelConfig, n_words: int, *, binary: bool, version: int) -> Header:
    """The head for a model of this architecture; ``values``: its RecurrentLM.training."""
    kept = {name: values.get(name, default) for name, default in TRAINING.items()}
    for name, default in TRAINING.items():
        kept[name] = type(default)(kept[name]) if kept[name] is not None else default
        if isinstance(default, str):
            # the toolkit reads names into 100 bytes, and a line break would end the line
            name_bytes = to_bytes(re.sub(r"[\r\n]", "_", kept[name]))
            kept[name] = name_bytes[-99:].decode("utf-8", "surrogateescape")
    return Header(
        kept
        | {
            "version": version,
            "format": int(binary),
            "input": n_words + config.hidden,
            "hidden": config.hidden,
            "compression": config.compression,
            "output": n_words + config.classes,
            "direct": config.direct,
            "direct_order": config.direct_order,
            "words": n_words,
            "classes": config.classes,
            "old_classes": int(config.old_classes),
            "independent": int(config.independent),
        }
    )
