"""The native model file: safetensors, so that other programs can read it too.

    8 bytes        length of the header, little-endian
    header         JSON: for every tensor dtype, shape and place; "__metadata__" with ``format``, ``format_version``,
                   and as JSON ``config``, ``training``, ``history`` (``extra_meta`` in a checkpoint)
    tensors        the parameters by name, ``class_of_word``, ``start_hidden``, and the vocabulary as
                   ``vocab_blob`` (uint8), ``vocab_offsets`` (V + 1,) and ``vocab_counts`` (V,);
                   ``extra.NAME`` in a checkpoint

The file is mapped copy-on-write: loading takes no time whatever its size, and an array that is
changed (by dynamic evaluation, or by going on with training) leaves the file as it is.  The safetensors
package's reader for NumPy copies every tensor, so header and places are read here.
"""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import NamedTuple

import numpy as np

from corpora.errors import FormatError
from corpora.files import replace_file
from corpora.vocab import Vocab
from rnnlm.config import ModelConfig, parameter_shapes
from rnnlm.io.checks import all_finite, shown
from rnnlm.io.source import Source
from rnnlm.model import RecurrentLM

FORMAT = "rnnlm-native"
FORMAT_VERSION = 1
DTYPES = {
    **{"F64": "<f8", "I64": "<i8", "U64": "<u8", "F32": "<f4", "I32": "<i4", "U32": "<u4"},
    **{"F16": "<f2", "I16": "<i2", "U16": "<u2", "I8": "|i1", "U8": "|u1", "BOOL": "|b1"},
}
UNCHECKED = 1 << 26  # from this many direct connections on, looking for NaN would take longer than all the rest
_NAMES = {np.dtype(code): name for name, code in DTYPES.items()}
_EXTRA = "extra."
_FIXED = ("class_of_word", "start_hidden", "vocab_blob", "vocab_offsets", "vocab_counts")
_LONGEST_HEADER = 100_000_000  # as the safetensors package
_ALIGNMENT = 64


class Header(NamedTuple):
    """``metadata``: strings by name.  ``tensors``: (dtype, shape, first byte in the file) by name."""

    metadata: dict[str, str]
    tensors: dict[str, tuple[np.dtype, tuple[int, ...], int]]

    def json(self, path: str, key: str, kind: type):
        """An entry of the metadata, a JSON object (``kind`` dict) or list."""
        try:
            value = json.loads(self.metadata[key])
            if not isinstance(value, kind):
                raise ValueError(f"not a {kind.__name__}")
            return value
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise FormatError(path, None, f'"{key}" in its metadata is missing, or not what it should be') from error

    def config(self, path: str) -> ModelConfig:
        values = self.json(path, "config", dict)
        try:
            config = ModelConfig.from_dict(values)
            for name, default in asdict(ModelConfig()).items():
                if type(getattr(config, name)) is not type(default):
                    raise ValueError(f"{name} is {getattr(config, name)!r}")
        except (TypeError, ValueError) as error:
            raise FormatError(path, None, f"its configuration cannot be used: {shown(str(error), 200)}") from error
        return config


def recognises(prefix: bytes) -> bool:
    """Whether this looks like a safetensors file: the length of a header, then JSON."""
    return len(prefix) > 8 and prefix[8:9] == b"{" and 2 <= struct.unpack("<Q", prefix[:8])[0] <= _LONGEST_HEADER


def read(source: Source, dtype: str | None = None) -> RecurrentLM:
    """The model of an open file, its arrays mapped; copied and converted where ``dtype`` is another than the file's.

    FormatError for a file that is cut short, of a newer version, whose tensors do not fit its
    configuration, or that has NaN or infinity in it (not looked for in ``D`` above 2^26 weights).
    """
    return _model(source, _read_header(source), dtype)


def load_checkpoint(path: str | os.PathLike) -> tuple[RecurrentLM, dict[str, np.ndarray], dict]:
    """The model, the extra arrays and the extra metadata that ``save`` was given."""
    with Source(path) as source:
        if not recognises(source.prefix):
            raise FormatError(source.path, None, "not a checkpoint of rnnlm train")
        header = _read_header(source)
        extra = {
            name.removeprefix(_EXTRA): _array(source, header, name)
            for name in header.tensors
            if name.startswith(_EXTRA)
        }
        extra_meta = header.json(source.path, "extra_meta", dict) if "extra_meta" in header.metadata else {}
        return _model(source, header), extra, extra_meta


def peek(source: Source) -> dict:
    """What the header says, without touching the tensors: ``config``, ``n_words``, ``training``, ``history``."""
    path, header = source.path, _read_header(source)
    shapes = {name: shape for name, (_, shape, _) in header.tensors.items()}
    return {
        "config": header.config(path),
        "n_words": math.prod(shapes.get("vocab_counts", (0,))),
        "n_parameters": sum(
            math.prod(shape) for name, shape in shapes.items() if name not in _FIXED and not name.startswith(_EXTRA)
        ),
        "training": header.json(path, "training", dict),
        "history": header.json(path, "history", list),
    }


def _read_header(source: Source) -> Header:
    path, data = source.path, source.data
    length = struct.unpack("<Q", bytes(data[:8]))[0]
    start = 8 + length
    if start > len(data):
        raise FormatError(path, None, f"cut short: its header has {length} bytes, the file {len(data)}")
    try:
        entries = json.loads(bytes(data[8:start]))
        metadata = entries.pop("__metadata__", {})
        is_ours = metadata.get("format") == FORMAT
    except (ValueError, RecursionError, AttributeError, TypeError) as error:
        raise FormatError(path, None, "its header is not the JSON of a safetensors file") from error
    if not is_ours:
        raise FormatError(path, None, f"a safetensors file, but not a language model ({FORMAT}) of this program")
    version = metadata.get("format_version")
    if version != str(FORMAT_VERSION):
        raise FormatError(
            path,
            None,
            f"{FORMAT} version {shown(str(version))}; this program reads version {FORMAT_VERSION}: update it",
        )
    return Header(metadata, _places(path, entries, start, len(data)))


def _places(path: str, entries: dict, start: int, size: int) -> dict[str, tuple[np.dtype, tuple[int, ...], int]]:
    """The tensors of a header, which must fill the file from byte ``start`` to its end, ``size``, without holes."""
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
    if size != expected:
        finding = "cut short" if size < expected else "rubbish at the end"
        raise FormatError(path, None, f"{finding}: {size} bytes, where its header says {expected}")
    places.sort()
    if [0, *(end for _, end in places)] != [*(begin for begin, _ in places), size - start]:
        raise FormatError(path, None, "its tensors overlap, or leave holes")
    return tensors


def _array(source: Source, header: Header, name: str, dtype=None, shape=None) -> np.ndarray:
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


def _model(source: Source, header: Header, dtype: str | None = None) -> RecurrentLM:
    path = source.path
    config = header.config(path)
    n_words = math.prod(header.tensors["vocab_counts"][1]) if "vocab_counts" in header.tensors else 0
    names = [name for name in header.tensors if name not in _FIXED and not name.startswith(_EXTRA)]
    try:
        shapes = parameter_shapes(config, n_words)
    except ValueError as error:
        raise FormatError(path, None, str(error)) from error
    if unknown := sorted(set(names) - set(shapes)):
        raise FormatError(path, None, f'the tensor "{shown(unknown[0])}" has no place in its configuration')
    params = {name: _array(source, header, name, config.dtype, shape) for name, shape in shapes.items()}
    start_hidden = _array(source, header, "start_hidden", config.dtype, (config.hidden,))
    for name, values in {**params, "start_hidden": start_hidden}.items():
        if not (name == "D" and values.size >= UNCHECKED) and not all_finite(values):
            raise FormatError(path, None, f'NaN or infinity in the tensor "{name}"')
    class_of_word = _array(source, header, "class_of_word", np.int32, (n_words,))
    if class_of_word.size and (
        class_of_word[0] < 0 or class_of_word[-1] >= config.classes or (np.diff(class_of_word) < 0).any()
    ):
        raise FormatError(path, None, f'"class_of_word" decreases, or is outside 0 to {config.classes - 1}')
    lm = RecurrentLM(
        config=config,
        vocab=_vocab(source, header, n_words),
        params=params,
        class_of_word=class_of_word,
        start_hidden=start_hidden,
        training=header.json(path, "training", dict),
        history=header.json(path, "history", list),
    )
    return lm if dtype in (None, config.dtype) else converted(lm, dtype)


def _vocab(source: Source, header: Header, n_words: int) -> Vocab:
    blob = _array(source, header, "vocab_blob", np.uint8)
    offsets = _array(source, header, "vocab_offsets", np.int64, (n_words + 1,))
    counts = _array(source, header, "vocab_counts", np.int64, (n_words,))
    try:
        if (counts < 0).any():
            raise ValueError("vocabulary: a count is below 0")
        return Vocab.from_arrays(blob, offsets, counts)
    except ValueError as error:
        raise FormatError(source.path, None, str(error)) from error


def converted(lm: RecurrentLM, dtype: str) -> RecurrentLM:
    """The same model with parameters (copied) of another dtype."""
    return replace(
        lm,
        config=replace(lm.config, dtype=dtype),
        params={name: values.astype(dtype) for name, values in lm.params.items()},
        start_hidden=lm.start_hidden.astype(dtype),
    )


def save(
    lm: RecurrentLM,
    path: str | os.PathLike,
    *,
    extra: Mapping[str, np.ndarray] | None = None,
    extra_meta: Mapping | None = None,
) -> None:
    """Write a model; with ``extra`` arrays and ``extra_meta`` (anything that JSON holds), a checkpoint.

    Written beside and renamed at the end: what was at ``path`` stays until then, and if writing fails.
    Arrays go to the file one after another, without a copy in memory.
    """
    blob, offsets = lm.vocab.to_arrays()
    tensors = {
        **lm.params,
        "start_hidden": lm.start_hidden,
        "class_of_word": lm.class_of_word.astype(np.int32, copy=False),
        "vocab_blob": blob,
        "vocab_offsets": offsets.astype(np.int64, copy=False),
        "vocab_counts": lm.vocab.counts.astype(np.int64, copy=False),
        **{_EXTRA + name: np.asarray(values) for name, values in (extra or {}).items()},
    }
    for name, shape in parameter_shapes(lm.config, len(lm.vocab)).items():
        if lm.params[name].shape != shape or lm.params[name].dtype != lm.config.dtype:
            raise ValueError(f"parameter {name} is {lm.params[name].dtype} {lm.params[name].shape}, not {shape}")
    # the widest items first, so that each lies at a multiple of its size
    ordered = sorted(tensors.items(), key=lambda item: -item[1].dtype.itemsize)
    metadata = {
        "format": FORMAT,
        "format_version": str(FORMAT_VERSION),
        "config": _json(lm.config.to_dict()),
        "training": _json(lm.training),
        "history": _json(lm.history),
        **({} if extra_meta is None else {"extra_meta": _json(extra_meta)}),
    }
    entries, end = {"__metadata__": metadata}, 0
    for name, values in ordered:
        begin, end = end, end + values.nbytes
        dtype = _NAMES[values.dtype.newbyteorder("<")]
        entries[name] = {"dtype": dtype, "shape": list(values.shape), "data_offsets": [begin, end]}
    header = json.dumps(entries).encode()
    header += b" " * (-(8 + len(header)) % _ALIGNMENT)
    with replace_file(os.fspath(path)) as file:
        file.write(struct.pack("<Q", len(header)) + header)
        for _, values in ordered:
            little = np.ascontiguousarray(values.astype(values.dtype.newbyteorder("<"), copy=False))
            file.write(little.reshape(-1).view(np.uint8))


def _json(value) -> str:
    return json.dumps(value, default=lambda number: number.item())  # NumPy's scalars
