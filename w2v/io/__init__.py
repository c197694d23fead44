"""Files of word vectors: what a file is, is found out from its content, never from its name."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NamedTuple

from corpora.errors import CorpusError, FormatError
from corpora.files.checks import shown
from corpora.files.source import Source
from w2v.io import binary, native, text, text_writer
from w2v.io.header import form_of
from w2v.io.rows import Wanted
from w2v.model import DTYPES, WordVectors

__all__ = ["FORMATS", "Format", "format_for", "load", "peek", "save", "sniff"]


class Format(NamedTuple):
    """One kind of file.

    ``read(source, wanted)``: its vectors.  ``peek(source)``: what its head says.  ``write(vectors, path)``.
    """

    read: Callable
    peek: Callable
    write: Callable


FORMATS: dict[str, Format] = {
    "native": Format(native.read, native.peek, native.write),
    "text": Format(text.read, text.peek, text_writer.write),
    "binary": Format(binary.read, binary.peek, binary.write),
    "glove": Format(text.read_glove, text.peek_glove, text_writer.write_glove),
}
_ENDINGS = {".bin": "binary", ".txt": "text", ".vec": "text"}

# files that are given for vectors by mistake
_OTHERS = {
    b"\xba\x16\x4f\x2f": "a model of fastText; its .vec file can be read",
    b"PK\x03\x04": "a zip archive; unpack it first",
    b"\x28\xb5\x2f\xfd": "zstd-compressed; unpack it first (zstd -d)",
    b"\x80": "a pickle of Python, as gensim's save() writes it; save_word2vec_format() writes what can be read",
    b"\x93NUMPY": "an array of NumPy, which has no words",
    b"\xff\xfe": "UTF-16 text; convert it to UTF-8 (iconv -f UTF-16 -t UTF-8)",
    b"\xfe\xff": "UTF-16 text; convert it to UTF-8 (iconv -f UTF-16 -t UTF-8)",
}


def load(
    path: str | os.PathLike,
    *,
    limit: int | None = None,
    dtype: str | None = None,
    warn: Callable[[str], object] | None = None,
    progress: Callable[[int], object] | None = None,
) -> WordVectors:
    """The vectors in a file, plain or compressed (gzip, bzip2, xz); ``-`` is standard input.

    ``limit``: how many words are read, the first ones; None: all.  ``dtype``: "float32" or "float64", None: as the file
    has them, float32 in all but native files.  A large native file is mapped, not read.
    If a word is there several times its first vector counts; ``warn`` gets a line about it (None: the logger
    ``w2v`` is).  ``progress`` is called with the bytes of each piece that was read.
    CorpusError or FormatError, one line, for any other file.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"`limit` {limit}: at least 1 word")
    if dtype is not None and dtype not in DTYPES:
        raise ValueError(f"dtype {dtype}: one of {', '.join(DTYPES)}")
    given = {"limit": limit, "dtype": dtype, "warn": warn, "progress": progress}
    with Source(path) as source:
        wanted = Wanted(**{name: value for name, value in given.items() if value is not None})
        return FORMATS[_format_of(source)].read(source, wanted)


def sniff(path: str | os.PathLike) -> str:
    """The name in FORMATS of what a file is.  FormatError if it is something else."""
    with Source(path) as source:
        return _format_of(source)


def peek(path: str | os.PathLike) -> dict:
    """What the head of a file says, in no time whatever its size (but GloVe's lines must be counted).

    ``format``, ``compression`` (None, or its name), ``bytes``, ``words`` (their number), ``dimensions``,
    ``first_words``; of native files also ``dtype``, ``training`` and ``state``, shapes by name.
    """
    with Source(path) as source:
        name = _format_of(source)
        facts = {"format": name, "compression": source.compression, "bytes": source.size}
        return facts | FORMATS[name].peek(source)


def save(vectors: WordVectors, path: str | os.PathLike, format: str = "native", *, like: str | None = None) -> None:
    """Write vectors in one of FORMATS; ``-`` is standard output.

    All but "native" hold words and float32 only, compressed where the name ends in .gz; the text forms have six
    decimals.  The file that was there is replaced at the end, and stays if writing fails.
    ``like``: the file whose permissions a new native one gets.
    CorpusError for words that a form cannot hold (with a space, in all but native), and for NaN.
    """
    if format not in FORMATS:
        raise CorpusError(f"format {format}: one of {', '.join(FORMATS)}")
    if format == "native":
        native.write(vectors, path, like=like)
    else:
        FORMATS[format].write(vectors, path)


def format_for(path: str | os.PathLike) -> str:
    """What a name means where no format is given: .bin binary; .txt and .vec text, also with .gz; else native."""
    name = os.fspath(path).removesuffix(".gz").lower()
    return next((format for ending, format in _ENDINGS.items() if name.endswith(ending)), "native")


def _format_of(source: Source) -> str:
    prefix = source.prefix
    if not prefix:
        raise FormatError(source.path, None, "empty, where a file of word vectors is expected")
    if native.recognises(prefix):
        return "native"
    for magic, what in _OTHERS.items():
        if prefix.startswith(magic):
            raise FormatError(source.path, None, what)
    form = form_of(prefix)
    if form is None:
        expected = 'a native file, "words dimensions" as word2vec has it, or a word and its numbers as GloVe has them'
        raise FormatError(source.path, 1, f'not word vectors: {expected}; found "{shown(prefix[:40])}"')
    return form
