"""The native file of a recurrent model: safetensors, so that other programs can read it too.

    "__metadata__"   ``format``, ``format_version``, and as JSON ``config``, ``training``, ``history``
                     (``extra_meta`` in a checkpoint, and in the model of a run that has not ended)
    tensors          the parameters by name, ``class_of_word``, ``start_hidden``, and the vocabulary as
                     ``vocab_blob`` (uint8), ``vocab_offsets`` (V + 1,) and ``vocab_counts`` (V,);
                     ``extra.NAME`` where there is ``extra_meta``

A large file is mapped copy-on-write: loading takes no time whatever its size, and an array that is
changed (by dynamic evaluation, or by going on with training) leaves the file as it is.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from corpora.errors import CorpusError, FormatError
from corpora.files.checks import all_finite, shown
from corpora.files.source import Source
from corpora.files.tensors import (
    VOCABULARY,
    Header,
    read_array,
    read_header,
    read_vocab,
    recognises,
    vocab_tensors,
    write_tensors,
)
from corpora.files.tensors import to_json as _json
from corpora.jobs.record import require_types
from rnnlm.cells import cell_of
from rnnlm.config import ModelConfig, parameter_shapes
from rnnlm.io import mikolov_header
from rnnlm.model import RecurrentLM

FORMAT = "rnnlm-native"
FORMAT_VERSION = 1
UNCHECKED = 1 << 26  # from this many direct connections on, looking for NaN would take longer than all the rest
_EXTRA = "extra."
_FIXED = ("class_of_word", "start_hidden", *VOCABULARY)
# what is read of the metadata; None: may be missing
TRAINING = {
    "tokenizer": str | None,
    "config": dict | None,
    "valid_words": int | None,
    **{name: type(default) | None for name, default in mikolov_header.TRAINING.items()},
}
TRAIN_CONFIG = {
    **{"beta": float | None, "gradient_cutoff": float | None, "seed": int | None},
    **{"engine": str | None, "optimizer": str | None, "batch_size": int | None},
}
HISTORY = {
    **{"epoch": int | None, "kept": bool | None},
    **dict.fromkeys(("alpha", "train_entropy", "valid_entropy", "valid_perplexity", "words_per_second"), float | None),
}


def read(source: Source, dtype: str | None = None) -> RecurrentLM:
    """The model of an open file, its arrays mapped; copied and converted where ``dtype`` is another than the file's.

    FormatError for a file that is cut short, of a newer version, whose tensors do not fit its
    configuration, or that has NaN or infinity in it (not looked for in ``D`` above 2^26 weights).
    """
    return _model(source, read_header(source, FORMAT, FORMAT_VERSION), dtype)


def load_checkpoint(path: str | os.PathLike) -> tuple[RecurrentLM, dict[str, np.ndarray], dict]:
    """The model, the extra arrays and the extra metadata that ``save`` was given."""
    with Source(path) as source:
        if not recognises(source.prefix):
            raise FormatError(source.path, None, "not a checkpoint of rnnlm train")
        header = read_header(source, FORMAT, FORMAT_VERSION)
        extra = {
            name.removeprefix(_EXTRA): read_array(source, header, name)
            for name in header.tensors
            if name.startswith(_EXTRA)
        }
        extra_meta = header.json(source.path, "extra_meta", dict) if "extra_meta" in header.metadata else {}
        return _model(source, header), extra, extra_meta


def is_unfinished(path: str | os.PathLike) -> bool:
    """Whether there is a file with the state of a training run, by its head: not a model of one that has ended."""
    if not os.path.isfile(path):
        return False
    try:
        with Source(path) as source:
            return recognises(source.prefix) and "extra_meta" in read_header(source, FORMAT, FORMAT_VERSION).metadata
    except (CorpusError, OSError):
        return False


def peek(source: Source) -> dict:
    """What the header says, without touching the tensors: ``config``, ``n_words``, ``training``, ``history``."""
    path, header = source.path, read_header(source, FORMAT, FORMAT_VERSION)
    shapes = {name: shape for name, (_, shape, _) in header.tensors.items()}
    return {
        "config": _config(path, header),
        "n_words": header.size("vocab_counts"),
        "n_parameters": sum(
            math.prod(shape) for name, shape in shapes.items() if name not in _FIXED and not name.startswith(_EXTRA)
        ),
        "training": training_of(path, header),
        "history": header.json(path, "history", list, HISTORY),
    }


def _config(path: str, header: Header) -> ModelConfig:
    values = header.json(path, "config", dict)
    try:
        config = ModelConfig.from_dict(values)
    except ValueError as error:
        raise FormatError(path, None, f"its configuration cannot be used: {shown(str(error), 200)}") from error
    return config


def training_of(path: str, header: Header) -> dict:
    training = header.json(path, "training", dict, TRAINING)
    try:
        require_types(training.get("config") or {}, TRAIN_CONFIG)
        mikolov_header.require_bptt(training.get("bptt") or 0, training.get("bptt_block") or 0)
    except ValueError as error:
        raise FormatError(path, None, f'"training" in its metadata: {shown(str(error), 100)}') from error
    return {name: value for name, value in training.items() if value is not None}


def _model(source: Source, header: Header, dtype: str | None = None) -> RecurrentLM:
    path = source.path
    config = _config(path, header)
    n_words = header.size("vocab_counts")
    names = [name for name in header.tensors if name not in _FIXED and not name.startswith(_EXTRA)]
    try:
        shapes = parameter_shapes(config, n_words)
        state_shape = (cell_of(config).state_size(config, n_words),)
    except ValueError as error:
        raise FormatError(path, None, str(error)) from error
    if unknown := sorted(set(names) - set(shapes)):
        raise FormatError(path, None, f'the tensor "{shown(unknown[0])}" has no place in its configuration')
    params = {name: read_array(source, header, name, config.dtype, shape) for name, shape in shapes.items()}
    start_hidden = read_array(source, header, "start_hidden", config.dtype, state_shape)
    for name, values in {**params, "start_hidden": start_hidden}.items():
        if not (name == "D" and values.size >= UNCHECKED) and not all_finite(values):
            raise FormatError(path, None, f'NaN or infinity in the tensor "{name}"')
    class_of_word = read_array(source, header, "class_of_word", np.int32, (n_words,))
    if class_of_word.size and (
        class_of_word[0] < 0 or class_of_word[-1] >= config.classes or (class_of_word[1:] < class_of_word[:-1]).any()
    ):
        raise FormatError(path, None, f'"class_of_word" decreases, or is outside 0 to {config.classes - 1}')
    lm = RecurrentLM(
        config=config,
        vocab=read_vocab(source, header),
        params=params,
        class_of_word=class_of_word,
        start_hidden=start_hidden,
        training=training_of(path, header),
        history=header.json(path, "history", list, HISTORY),
    )
    return lm if dtype in (None, config.dtype) else converted(lm, dtype)


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
    like: str | None = None,
) -> None:
    """Write a model; with ``extra`` arrays and ``extra_meta`` (anything that JSON holds), a checkpoint.

    ``like``: the file whose permissions a new one gets.
    Written beside and renamed at the end: what was at ``path`` stays until then, and if writing fails.
    Arrays go to the file one after another, without a copy in memory.
    """
    tensors = {
        **lm.params,
        "start_hidden": lm.start_hidden,
        "class_of_word": lm.class_of_word.astype(np.int32, copy=False),
        **vocab_tensors(lm.vocab),
        **{_EXTRA + name: np.asarray(values) for name, values in (extra or {}).items()},
    }
    for name, shape in parameter_shapes(lm.config, len(lm.vocab)).items():
        if lm.params[name].shape != shape or lm.params[name].dtype != lm.config.dtype:
            raise ValueError(f"parameter {name} is {lm.params[name].dtype} {lm.params[name].shape}, not {shape}")
    metadata = {
        "config": _json(lm.config.to_dict()),
        "training": _json(lm.training),
        "history": _json(lm.history),
        **({} if extra_meta is None else {"extra_meta": _json(extra_meta)}),
    }
    # the widest items first, so that each lies at a multiple of its size
    ordered = dict(sorted(tensors.items(), key=lambda item: -item[1].dtype.itemsize))
    write_tensors(path, FORMAT, FORMAT_VERSION, metadata, ordered, like=like)
