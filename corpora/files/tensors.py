"""Safetensors files, mapped: what the native model formats share.

    8 bytes        length of the header, little-endian
    header         JSON: for every tensor dtype, shape and place; "__metadata__" with strings by name,
                   ``format`` and ``format_version`` first
    tensors        little-endian, row after row, without holes

The safetensors package's reader for NumPy copies every tensor, so header and places are read here.
"""

from __future__ import annotations

import json
import math
import os
import re
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from corpora.errors import FormatError
from corpora.files.checks import shown
from corpora.files.output import replace_file
from corpora.files.source import Source
from corpora.jobs.record import require_types
from corpora.text.vocab import Vocab

DTYPES = {
    **{"F64": "<f8", "I64": "<i8", "U64": "<u8", "F32": "<f4", "I32": "<i4", "U32": "<u4"},
    **{"F16": "<f2", "I16": "<i2", "U16": "<u2", "I8": "|i1", "U8": "|u1", "BOOL": "|b1"},
}
VOCABULARY = ("vocab_blob", "vocab_offsets", "vocab_counts")
_NAMES = {np.dtype(code): name for name, code in DTYPES.items()}
_LONGEST_HEADER = 100_000_000  # as the safetensors package
_LONGEST_COMPRESSED = 1 << 24  # bytes of a header that is decompressed; those of this program have thousands
_ALIGNMENT = 64
_BLOCK = 1 << 24  # bytes that are written at once


class Header(NamedTuple):
    """``metadata``: strings by name.  ``tensors``: (dtype, shape, first byte in the file) by name."""

    metadata: dict[str, str]
    tensors: dict[str, tuple[np.dtype, tuple[int, ...], int]]

    def json(self, path: str, key: str, kind: type, hints: Mapping[str, Any] | None = None):
        """An entry of the metadata, a JSON object (``kind`` dict) or list.

        ``hints``: the types of the object's values, or of those of each object of the list (``require_types``).
        """
        try:
            value = json.loads(self.metadata[key])
            if not isinstance(value, kind):
                raise ValueError(f"not a {kind.__name__}")
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise FormatError(path, None, f'"{key}" in its metadata is missing, or not what it should be') from error
        try:
            for one in [] if hints is None else value if kind is list else [value]:
                require_types(one, hints)
        except ValueError as error:
            raise FormatError(path, None, f'"{key}" in its metadata: {shown(str(error), 100)}') from error
        return value

    def size(self, name: str) -> int:
        """How many elements a tensor has; 0 where it is missing."""
        return math.prod(self.tensors[name][1]) if name in self.tensors else 0


def recognises(prefix: bytes, format: str | None = None) -> bool:
    """Whether this looks like a safetensors file (the length of a header, then JSON), with ``format`` of that one."""
    if len(prefix) <= 8 or prefix[8:9] != b"{" or not 2 <= struct.unpack("<Q", prefix[:8])[0] <= _LONGEST_HEADER:
        return False
    return format is None or bool(re.search(rb'"format"\s*:\s*"%b"' % format.encode(), prefix))


def read_header(source: Source, format: str, version: int) -> Header:
    """The header of an open file of ``format``; FormatError for any other file, and for one that is cut short."""
    path, (metadata, entries, start) = source.path, _entries(source)
    if metadata.get("format") != format:
        raise FormatError(path, None, f"a safetensors file, but not one of this program's ({format})")
    found = metadata.get("format_version")
    if found != str(version):
        raise FormatError(
            path, None, f"{format} version {shown(str(found))}; this program reads version {version}: update it"
        )
    return Header(metadata, _places(source, entries, start))


def read_any_header(source: Source) -> Header:
    """The header of an open safetensors file, whatever program wrote it."""
    metadata, entries, start = _entries(source)
    return Header(metadata, _places(source, entries, start))


def _entries(source: Source) -> tuple[dict, dict, int]:
    """The metadata, the entries of the tensors, and the byte with which the first tensor begins."""
    path = source.path
    length = struct.unpack("<Q", source.prefix[:8])[0]
    start = 8 + length
    if length > _LONGEST_COMPRESSED and not source.is_plain_file:
        most = _LONGEST_COMPRESSED
        raise FormatError(path, None, f"its header has {length} bytes; at most {most} can be read from such a file")
    data = source.upto(start)
    if start > len(data):
        raise FormatError(path, None, f"cut short: its header has {length} bytes, the file {len(data)}")
    try:
        entries = json.loads(bytes(data[8:start]))
        metadata = entries.pop("__metadata__", {})
        metadata.get("format")  # it is a dictionary
    except (ValueError, RecursionError, AttributeError, TypeError) as error:
        raise FormatError(path, None, "its header is not the JSON of a safetensors file") from error
    return metadata, entries, start


def _places(source: Source, entries: dict, start: int) -> dict[str, tuple[np.dtype, tuple[int, ...], int]]:
    """The tensors of a header, which must fill the file from byte ``start`` to its end without holes."""
    path = source.path
    tensors, places = {}, []
    for name, entry in entries.items():
        try:
            dtype, shape, (begin, end) = np.dtype(DTYPES[entry["dtype"]]), tuple(entry["shape"]), entry["data_offsets"]
            good = len(shape) <= 32 and all(type(n) is int and n >= 0 for n in (*shape, begin, end))
            good = good and math.prod(n or 1 for n in shape) < 1 << 48
            good = good and end - begin == math.prod(shape) * dtype.itemsize
        except (KeyError, TypeError, ValueError):
            good = False
        if not good:
            raise FormatError(path, None, f'dtype, shape and place of the tensor "{shown(name)}" do not fit')
        tensors[name] = (dtype, shape, start + begin)
        places.append((begin, end))
    expected = start + max((end for _, end in places), default=0)
    size = len(source.upto(expected + 1))  # all of it, unless there is more than its header says
    if size != expected:
        finding = f"cut short: {size} bytes" if size < expected else "rubbish at the end: more bytes"
        raise FormatError(path, None, f"{finding}, where its header says {expected}")
    places.sort()
    if [0, *(end for _, end in places)] != [*(begin for begin, _ in places), size - start]:
        raise FormatError(path, None, "its tensors overlap, or leave holes")
    return tensors


def read_array(source: Source, header: Header, name: str, dtype=None, shape=None) -> np.ndarray:
    """A tensor over the mapped file, writable; checked against a dtype and a shape."""
    if name not in header.tensors:
        raise FormatError(source.path, None, f'the tensor "{name}" is missing')
    found_dtype, found_shape, place = header.tensors[name]
    wanted = np.dtype(dtype or found_dtype)
    if found_dtype != wanted or (shape is not None and found_shape != shape):
        reason = f"is {found_dtype.name} {found_shape}, where its configuration makes {wanted.name} {shape}"
        raise FormatError(source.path, None, f'the tensor "{name}" {reason}')
    if not math.prod(found_shape):
        return np.empty(found_shape, found_dtype)
    array = np.frombuffer(source.data, found_dtype, math.prod(found_shape), place).reshape(found_shape)
    # other programs may write a header of any length; kernels are compiled for aligned arrays
    return array if array.flags.aligned else array.copy()


def read_vocab(source: Source, header: Header) -> Vocab:
    """The vocabulary of a file, which ``vocab_tensors`` made."""
    n_words = header.size("vocab_counts")
    blob = read_array(source, header, "vocab_blob", np.uint8)
    offsets = read_array(source, header, "vocab_offsets", np.int64, (n_words + 1,))
    counts = read_array(source, header, "vocab_counts", np.int64, (n_words,))
    try:
        vocab = Vocab.from_arrays(blob, offsets, counts)
        vocab.path = source.path
        return vocab
    except ValueError as error:
        raise FormatError(source.path, None, str(error)) from error


def vocab_tensors(vocab: Vocab) -> dict[str, np.ndarray]:
    """The tensors that keep a vocabulary, VOCABULARY by name."""
    blob, offsets = vocab.to_arrays()
    columns = blob, offsets.astype(np.int64, copy=False), vocab.counts.astype(np.int64, copy=False)
    return dict(zip(VOCABULARY, columns, strict=True))


def write_tensors(
    path: str | os.PathLike,
    format: str,
    version: int,
    metadata: Mapping[str, str],
    tensors: Mapping[str, np.ndarray],
    written: Callable[[np.ndarray], object] = lambda block: None,
    like: str | None = None,
) -> None:
    """Write a file of ``format``: the tensors in the order given, one after another, without a copy in memory
    (of arrays that are views, a copy of a few MiB at a time).

    Written beside and renamed at the end: what was at ``path`` stays until then, and if writing fails.
    ``written`` is called with every few MiB (a view, where the array is contiguous) that are in the file, so that
    their pages can be given back.  ``like``: the file whose permissions a new one gets.
    The first tensor begins at a multiple of 64 bytes: with the widest items first, each lies at a multiple of its size.
    """
    entries: dict = {"__metadata__": {"format": format, "format_version": str(version), **metadata}}
    end = 0
    for name, values in tensors.items():
        begin, end = end, end + values.nbytes
        dtype = _NAMES[values.dtype.newbyteorder("<")]
        entries[name] = {"dtype": dtype, "shape": list(values.shape), "data_offsets": [begin, end]}
    header = json.dumps(entries).encode()
    header += b" " * (-(8 + len(header)) % _ALIGNMENT)
    with replace_file(os.fspath(path), like=like) as file:
        file.write(struct.pack("<Q", len(header)) + header)
        for values in tensors.values():
            for block in _blocks(values):
                file.write(block)
                written(block)


def _blocks(values: np.ndarray) -> Iterator[np.ndarray]:
    """The bytes of an array, row after row, some MiB at a time; a view, as of padded rows, is copied block by block."""
    little = values.dtype.newbyteorder("<")
    if values.flags.c_contiguous and values.dtype == little:
        flat = values.reshape(-1).view(np.uint8)
        for start in range(0, flat.size, _BLOCK):
            yield flat[start : start + _BLOCK]
    elif values.ndim == 0:
        yield values.astype(little).reshape(1).view(np.uint8)
    elif values.size:
        rows = max(1, _BLOCK * len(values) // values.nbytes)
        for start in range(0, len(values), rows):
            yield np.ascontiguousarray(values[start : start + rows], little).reshape(-1).view(np.uint8)


def to_json(value) -> str:
    """A value of the metadata; NumPy's scalars are numbers."""
    return json.dumps(value, default=lambda number: number.item())
