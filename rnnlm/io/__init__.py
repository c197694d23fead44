"""Model files: what a file is, is found out from its content, never from its name."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from corpora.errors import CorpusError, FormatError
from rnnlm.io import mikolov, native
from rnnlm.io.checks import shown
from rnnlm.io.native import load_checkpoint
from rnnlm.io.source import Source

__all__ = ["FORMATS", "Format", "load", "load_checkpoint", "peek", "save", "sniff"]


class Format(NamedTuple):
    """One kind of model file.

    ``recognises(prefix)``: whether a file of these first bytes (decompressed) is of this kind.
    ``read(source, dtype)``: its model.  ``peek(source)``: what its head says.  ``write(lm, path)``.
    """

    recognises: Callable
    read: Callable
    peek: Callable
    write: Callable


FORMATS: dict[str, Format] = {
    "native": Format(native.recognises, native.read, native.peek, native.save),
    "mikolov-text": Format(mikolov.recognises_text, mikolov.read, mikolov.peek, partial(mikolov.write, binary=False)),
    "mikolov-binary": Format(
        mikolov.recognises_binary, mikolov.read, mikolov.peek, partial(mikolov.write, binary=True)
    ),
}

# files that are given for a model by mistake, or whose format has no reader yet
_OTHERS = {
    b"\\data\\": "an n-gram model in ARPA form",
    b"mmap lm http://kheafield.com/code": "a binary file of KenLM",
    b"PK\x03\x04": "a zip archive (PyTorch and NumPy's .npz are that inside)",
}


def load(path: str | os.PathLike, *, dtype: str | None = None):
    """The model in a file, plain or compressed.

    ``dtype``: "float32" or "float64" for parameters of that type; None: as the file has them, and
    for the toolkit's files float64, in which the toolkit computes.  A native file is mapped, not
    read: on Windows it cannot be replaced while its model is in use.
    CorpusError or FormatError, one line, for any other file.
    """
    with Source(path) as source:
        return FORMATS[_format_of(source)].read(source, dtype)


def sniff(path: str | os.PathLike) -> str:
    """The name in FORMATS of what a file is.  FormatError where it is no model."""
    with Source(path) as source:
        return _format_of(source)


def peek(path: str | os.PathLike) -> dict:
    """What the head of a model file says, in no time whatever its size.

    ``format``, ``compression`` (None, or its name), ``bytes``, ``config``, ``n_words``, ``n_parameters``,
    ``training``, ``history``.
    """
    with Source(path) as source:
        name = _format_of(source)
        facts = {"format": name, "compression": source.compression, "bytes": source.size}
        return facts | FORMATS[name].peek(source)


def save(lm, path: str | os.PathLike, format: str = "native") -> None:
    """Write a model in one of FORMATS.  The file that was there is replaced at the end, and stays if writing fails."""
    if format not in FORMATS:
        raise CorpusError(f"model format {format}: one of {', '.join(FORMATS)}")
    FORMATS[format].write(lm, path)


def _format_of(source: Source) -> str:
    prefix = source.prefix
    for name, format in FORMATS.items():
        if format.recognises(prefix):
            return name
    if not prefix:
        raise FormatError(source.path, None, "empty, where a model file is expected")
    for magic, what in _OTHERS.items():
        if prefix.lstrip().startswith(magic):
            raise FormatError(source.path, None, f"{what}, not a recurrent model")
    start = shown(prefix[:40])
    raise FormatError(source.path, None, f'not a model: a native file or one of the RNNLM toolkit, found "{start}"')
