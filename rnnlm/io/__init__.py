"""Model files: what a file is, is found out from its content, never from its name."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from corpora.errors import CorpusError, FormatError
from corpora.files.checks import shown
from corpora.files.source import Source
from rnnlm.formats import FORMAT_NAMES
from rnnlm.io import arpa, arpa_writer, mikolov, mix, native, ngram, onnx_graph, onnx_reader, probabilities, torch_state
from rnnlm.io.exchange import Missing
from rnnlm.io.native import load_checkpoint
from rnnlm.model import RecurrentLM

__all__ = ["FORMATS", "Format", "Missing", "load", "load_checkpoint", "peek", "save", "sniff"]


class Format(NamedTuple):
    """One kind of model file.

    ``recognises(prefix)``: whether a file of these first bytes (decompressed) is of this kind.
    ``read(source, dtype)``: its model.  ``peek(source)``: what its head says.  ``write(lm, path)``.
    ``holds``: the kind of model that can be written; "" where ``write`` says it itself.
    ``is_foreign``: ``read`` also takes a ``Missing``, for what the file may not say.
    """

    recognises: Callable
    read: Callable
    peek: Callable
    write: Callable
    holds: str = ""
    is_foreign: bool = False


RECURRENT, NGRAM = "a recurrent model", "an n-gram model"

FORMATS: dict[str, Format] = {
    "ngram": Format(ngram.recognises, ngram.read, ngram.peek, ngram.save, NGRAM),
    "torch": Format(
        torch_state.recognises, torch_state.read, torch_state.peek, torch_state.write, RECURRENT, is_foreign=True
    ),
    # after it: any other safetensors file is refused there
    "native": Format(native.recognises, native.read, native.peek, native.save, RECURRENT),
    "mikolov-text": Format(
        mikolov.recognises_text, mikolov.read, mikolov.peek, partial(mikolov.write, binary=False), RECURRENT
    ),
    "mikolov-binary": Format(
        mikolov.recognises_binary, mikolov.read, mikolov.peek, partial(mikolov.write, binary=True), RECURRENT
    ),
    "onnx": Format(
        onnx_graph.recognises, onnx_reader.read, onnx_reader.peek, onnx_graph.write, RECURRENT, is_foreign=True
    ),
    "arpa": Format(arpa.recognises, arpa.read, arpa.peek, arpa_writer.write, NGRAM),
    "mixture": Format(mix.recognises, lambda source, dtype: mix.read(source, dtype, load), mix.peek, mix.write),
    # last: a list of numbers has no mark of its own
    "probabilities": Format(probabilities.recognises, probabilities.read, probabilities.peek, probabilities.write),
}

# files that are given for a model by mistake, or whose format has no reader yet
_OTHERS = {
    b"mmap lm http://kheafield.com/code": "a binary file of KenLM, which cannot be read; give the ARPA file it is from",
    b"blmt": "a binary file of IRSTLM; compile-lm --text=yes makes an ARPA file of it",
    b"iARPA": "a file of IRSTLM with its own extensions; compile-lm --text=yes makes an ARPA file of it",
    b"PK\x03\x04": "a zip archive (NumPy's .npz is one, and what torch.save writes: save the state dictionary with "
    "safetensors.torch.save_file instead), not a model of this program",
}


def load(path: str | os.PathLike, *, dtype: str | None = None, as_stored: bool = False, missing: Missing | None = None):
    """The model in a file, plain or compressed.

    ``dtype``: "float32" or "float64" for parameters of that type; None: as the file has them, and
    for the toolkit's files float64, in which the toolkit computes.  ``as_stored``: float32 for these, which is what
    they hold.  A large native file is mapped, not read: on Windows it cannot be replaced while its model is in use.
    CorpusError or FormatError, one line, for any other file.
    """
    with Source(path) as source:
        name = _format_of(source)
        if as_stored and name.startswith("mikolov"):
            dtype = "float32"
        given = [setting for setting, value in (missing or Missing())._asdict().items() if value is not None]
        if FORMATS[name].is_foreign:
            return FORMATS[name].read(source, dtype, missing or Missing())
        if given:
            raise CorpusError(f"{source.path}: says that itself: `{given[0]}` is for files of PyTorch and ONNX")
        return FORMATS[name].read(source, dtype)


def sniff(path: str | os.PathLike) -> str:
    """The name in FORMATS of what a file is.  FormatError where it is no model."""
    with Source(path) as source:
        return _format_of(source)


def peek(path: str | os.PathLike) -> dict:
    """What the head of a model file says, in no time whatever its size.

    ``format``, ``compression`` (None, or its name), ``bytes``; of recurrent models ``config``, ``n_words``,
    ``n_parameters``, ``training``, ``history``; of n-gram models ``order``, ``ngrams``, ``n_words`` (in ARPA
    files ``<s>`` is one of them), ``training``.
    """
    with Source(path) as source:
        name = _format_of(source)
        facts = {"format": name, "compression": source.compression, "bytes": source.size}
        return facts | FORMATS[name].peek(source)


def save(lm, path: str | os.PathLike, format: str = "native", *, consume: bool = False) -> None:
    """Write a model in one of FORMATS; "native" is the one that its kind of model has.

    The file that was there is replaced at the end, and stays if writing fails.
    ``consume``: the model is of no use afterwards, so that its memory can be given back on the way.
    CorpusError for a model that a format cannot hold.
    """
    if format not in FORMATS:
        raise CorpusError(f"model format {format}: one of {', '.join(FORMATS)}")
    kind = _kind_of(lm)
    if format == "native" and kind == NGRAM:
        format = "ngram"
    holds = FORMATS[format].holds
    if format == "native" and holds != kind:
        raise CorpusError(f"{os.fspath(path)}: {kind} has no native form; only single models have one")
    if holds and holds != kind:
        form = FORMAT_NAMES.get(format, format)
        raise CorpusError(f"{os.fspath(path)}: {kind} cannot be written as {form}, which is for {holds}")
    if consume and format == "ngram":
        ngram.save(lm, path, consume=True)
    else:
        FORMATS[format].write(lm, path)


def _kind_of(lm) -> str:
    from rnnlm.ngram.query.model import BackoffLM

    kinds = {RecurrentLM: RECURRENT, BackoffLM: NGRAM}
    names = {"Mixture": "a mixture of models", "PlayedBack": "a file of probabilities"}
    other = names.get(type(lm).__name__, f"a {type(lm).__name__}")
    return next((kind for model, kind in kinds.items() if isinstance(lm, model)), other)


def _format_of(source: Source) -> str:
    prefix = source.prefix
    for name, format in FORMATS.items():
        if format.recognises(prefix):
            return name
    if not prefix:
        raise FormatError(source.path, None, "empty, where a model file is expected")
    for magic, what in _OTHERS.items():
        if prefix.lstrip().startswith(magic):
            raise FormatError(source.path, None, what)
    if b"\n\\data\\" in prefix:
        reason = 'an ARPA file with text before "\\data\\", where only empty lines and comments (#) can be'
        raise FormatError(source.path, 1, reason)
    start = shown(prefix[:40])
    expected = "a native file, one of the RNNLM toolkit or an ARPA file"
    raise FormatError(source.path, None, f'not a model: {expected}, found "{start}"')
