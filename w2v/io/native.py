"""The native file of word vectors: safetensors, so that other programs can read it too.

    "__metadata__"   ``format``, ``format_version``, and as JSON ``training``
    tensors          ``vectors`` (V, d), ``norms`` (V,) float32: their lengths; the words as ``vocab_blob`` (uint8),
                     ``vocab_offsets`` (V + 1,) and ``vocab_counts`` (V,) int64; and by any other name what is needed
                     to go on with training, such as ``syn1neg`` and ``syn1`` (V, d)

A large file is mapped copy-on-write: loading takes no time whatever its size, and an array that is changed (by
going on with training) leaves the file as it is.
"""

from __future__ import annotations

import math
import os

import numpy as np

from corpora.errors import CorpusError, FormatError
from corpora.files.checks import all_finite, shown
from corpora.files.source import Source
from corpora.files.tensors import (
    VOCABULARY,
    Header,
    read_array,
    read_header,
    recognises,
    to_json,
    write_tensors,
)
from corpora.jobs.record import require_types
from corpora.text.vocab import WordList, require_counts
from w2v.io.rows import Wanted
from w2v.model import DTYPES, WordVectors, lengths

__all__ = ["peek", "read", "recognises", "write"]

FORMAT = "w2v-native"
FORMAT_VERSION = 1
UNCHECKED = 1 << 23  # from that many numbers on, looking for NaN in all would take longer than an answer may
_OWN = ("vectors", "norms", *VOCABULARY)
# what is read of the metadata; None: may be missing
_TRAINING = {"config": dict | None, "tokenizer": str | None, "history": list | None, "checkpoint": dict | None}
_FIRST = 10  # words that ``peek`` shows


def read(source: Source, wanted: Wanted) -> WordVectors:
    """The vectors of an open file, mapped; converted where another dtype is wanted than the file's.

    With fewer words than the file has, ``state`` is left out: it belongs to all of them.
    FormatError for a file that is cut short, of a newer version, whose tensors do not fit each other, or
    with NaN or infinity in it (in tensors of more than 2^23 numbers only the lengths tell of them).
    """
    path, header, limit = source.path, read_header(source, FORMAT, FORMAT_VERSION), wanted.limit
    n_words, dim = _shape(path, header)
    found_dtype = header.tensors["vectors"][0]
    vectors = read_array(source, header, "vectors", found_dtype, (n_words, dim))
    norms = read_array(source, header, "norms", np.float32, (n_words,)) if "norms" in header.tensors else None
    state = {name: read_array(source, header, name) for name in header.tensors if name not in _OWN}
    for name, values in {"vectors": vectors, "norms": norms, **state}.items():
        small = values is not None and values.dtype.kind == "f" and (name == "norms" or values.size < UNCHECKED)
        if small and not all_finite(values):
            raise FormatError(path, None, f'NaN or infinity in the tensor "{shown(name)}"')
    if norms is not None and not _are_lengths(norms, vectors):
        raise FormatError(path, None, 'the tensor "norms" does not hold the lengths of its vectors')
    counts = read_array(source, header, "vocab_counts", np.int64, (n_words,))
    try:
        require_counts(counts)
    except ValueError as error:
        raise FormatError(path, None, str(error)) from error
    words = _words(source, header, n_words)
    if limit is not None and limit < n_words:
        words = WordList(words.blob[: words.offsets[limit]], words.offsets[: limit + 1])
        vectors, counts, norms, state = vectors[:limit], counts[:limit], None if norms is None else norms[:limit], {}
    if wanted.dtype is not None and found_dtype != wanted.dtype:
        vectors = vectors.astype(wanted.dtype)
    training = _training(path, header)
    return WordVectors(words, vectors, counts, training=training, state=state, norms=norms)


def peek(source: Source) -> dict:
    """What the header says, and the first words, without touching the vectors."""
    path, header = source.path, read_header(source, FORMAT, FORMAT_VERSION)
    n_words, dim = _shape(path, header)
    return {
        "words": n_words,
        "dimensions": dim,
        "dtype": header.tensors["vectors"][0].name,
        "first_words": _words(source, header, n_words)[:_FIRST],
        "training": _training(path, header),
        "state": {name: list(shape) for name, (_, shape, _) in header.tensors.items() if name not in _OWN},
    }


def write(vectors: WordVectors, path: str | os.PathLike, *, like: str | None = None) -> None:
    """Write all that is known; the arrays go to the file one after another, without a copy in memory.

    ``like``: the file whose permissions a new one gets.
    CorpusError where a vector has NaN or infinity in it.
    """
    path = os.fspath(path)
    if path.endswith((".gz", ".bz2", ".xz")):
        raise CorpusError(f"{path}: a native file is mapped, not unpacked: give a name without this ending")
    norms = vectors.norms
    if not all_finite(norms):
        word = shown(vectors.words[int(np.flatnonzero(~np.isfinite(norms))[0])])
        raise CorpusError(f'{path}: not written, because the vector of "{word}" has NaN or infinity in it')
    words = vectors.words
    columns = words.blob, words.offsets.astype(np.int64, copy=False), vectors.counts
    vocabulary = dict(zip(VOCABULARY, columns, strict=True))
    tensors = {"vectors": vectors.vectors, "norms": norms, **vectors.state, **vocabulary}
    # the widest items first, so that each lies at a multiple of its size
    ordered = dict(sorted(tensors.items(), key=lambda item: -item[1].dtype.itemsize))
    write_tensors(path, FORMAT, FORMAT_VERSION, {"training": to_json(vectors.training)}, ordered, like=like)


def _training(path: str, header: Header) -> dict:
    training = header.json(path, "training", dict, _TRAINING)
    try:
        require_types(training.get("config") or {}, {"architecture": str | None})
    except ValueError as error:
        raise FormatError(path, None, f'"training" in its metadata: {shown(str(error), 100)}') from error
    return {name: value for name, value in training.items() if value is not None}


def _are_lengths(norms: np.ndarray, vectors: np.ndarray) -> bool:
    """Whether norms (V,) can be the lengths of vectors (V, d); of many vectors only the signs are looked at."""
    if vectors.size >= UNCHECKED:
        return bool((norms >= 0).all())
    return np.allclose(norms, lengths(vectors), rtol=1e-4, atol=1e-30)


def _shape(path: str, header: Header) -> tuple[int, int]:
    """(V, d) of a header, FormatError where the vectors are no matrix of numbers."""
    dtype, shape, _ = header.tensors.get("vectors", (np.dtype(np.uint8), (), 0))
    if dtype.name not in DTYPES or len(shape) != 2 or math.prod(shape) == 0:
        reason = f"is {dtype.name} {shape}" if "vectors" in header.tensors else "is missing"
        raise FormatError(path, None, f'the tensor "vectors" {reason}; a matrix of {" or ".join(DTYPES)} is needed')
    return shape


def _words(source: Source, header: Header, n_words: int) -> WordList:
    blob = read_array(source, header, "vocab_blob", np.uint8)
    offsets = read_array(source, header, "vocab_offsets", np.int64, (n_words + 1,))
    if blob.ndim != 1 or offsets[0] != 0 or offsets[-1] != blob.size or (offsets[1:] <= offsets[:-1]).any():
        raise FormatError(source.path, None, "the offsets of its words do not fit them")
    return WordList(blob, offsets)
