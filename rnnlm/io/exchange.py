"""Recurrent networks on their way to and from other programs: one form for the files of PyTorch and of ONNX.

Legend: V words, I inputs of a layer, H hidden units, G gates.  Gates come in this program's order: LSTM i f g o, GRU
r z n.  A network without an embedding gets one from there: the rows of U, (V, G*H), which its first layer passes on
as they are, times the identity.

What these files have no place for is kept as strings beside the weights, so that the same model comes back:

    rnnlm      JSON: ``activation``, ``independent``, ``start`` (the state before a text, unless it is zero)
    training, history    as in a native file
    words, counts        JSON lists in the order of the ids; a byte that is not UTF-8 is half a pair of surrogates
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from corpora.errors import FormatError
from corpora.files.checks import shown
from corpora.files.output import to_bytes
from corpora.files.tensors import Header, to_json
from corpora.jobs.record import is_a
from corpora.text.vocab import EOS, Vocab, read_list
from rnnlm.cells import cell_of
from rnnlm.config import ModelConfig, parameter_shapes
from rnnlm.io import native
from rnnlm.model import RecurrentLM
from rnnlm.stack import name_in

GATES = {"elman": 1, "gru": 3, "lstm": 4}
OTHER_END = b"<eos>"  # how the usual examples of PyTorch write the end of a sentence
_FACTS = {"activation": str | None, "independent": bool | None, "start": list[float] | None}


class Missing(NamedTuple):
    """What a file of another program does not say, and whoever reads it must.

    ``vocab_file``: a list of the words in the order of its ids.  ``activation`` of Elman's units.
    """

    vocab_file: str | None = None
    activation: str | None = None


class Layer(NamedTuple):
    """The weights of one recurrent layer."""

    U: np.ndarray  # (I, G*H)
    W: np.ndarray  # (H, G*H)
    b: np.ndarray  # (G*H,)
    c: np.ndarray | None = None  # (H,): a GRU's second bias of n, if it resets after the product
    p: np.ndarray | None = None  # (3, H): peepholes in the order i f o


class Network(NamedTuple):
    """All weights of a network.  ``activation`` of Elman's units, "" if a file does not say which."""

    cell: str
    activation: str
    E: np.ndarray  # (V, I)
    layers: list[Layer]
    O: np.ndarray | None  # (V, H); None: it is E
    o: np.ndarray  # (V,)


def obstacles(lm: RecurrentLM) -> Iterator[str]:
    """What of this model neither PyTorch nor ONNX has."""
    config = lm.config
    if config.cell not in GATES:
        yield f"its cell is {config.cell}"
    if config.cell == "lstm" and not config.forget_gate:
        yield "its cells have no forget gate"
    if config.classes > 1:
        yield f"it has {config.classes} classes of words, not a softmax over all words"
    if config.compression:
        yield "it has a compression layer"
    if config.direct:
        yield "it has direct connections"
    known = {"E", "O", "o", "C"} | {name_in(at, name) for at in range(config.layers) for name in "UWbcp"}
    for name in sorted(set(lm.params) - known):
        yield f"there is no place for its parameter {name}"


def network_of(lm: RecurrentLM) -> Network:
    """The weights of a model without ``obstacles``; views of its own, but for what it lacks."""
    config, params = lm.config, lm.params
    width = GATES[config.cell] * config.hidden
    none = np.zeros(width, config.dtype)
    layers = [
        Layer(
            params[name_in(at, "U")] if at or config.embedding else np.eye(width, dtype=config.dtype),
            params[name_in(at, "W")],
            params.get(name_in(at, "b"), none),
            params.get(name_in(at, "c")),
            params.get(name_in(at, "p")),
        )
        for at in range(config.layers)
    ]
    bias = params.get("o", np.zeros(len(lm.vocab), config.dtype))
    table = params["E" if config.embedding else "U"]
    return Network(config.cell, config.activation, table, layers, params.get("O"), bias)


def facts_about(lm: RecurrentLM) -> dict[str, str]:
    """What ``model_of`` wants to know beside the weights."""
    start = lm.start().hidden[: lm.state_size]
    facts = {"activation": lm.config.activation, "independent": lm.config.independent}
    if start.any():
        facts["start"] = start.tolist()
    return {
        "rnnlm": to_json(facts),
        "training": to_json(lm.training),
        "history": to_json(lm.history),
        "words": json.dumps([word.decode("utf-8", "surrogateescape") for word in lm.vocab.words]),
        "counts": to_json(lm.vocab.counts.tolist()),
    }


def model_of(path: str, network: Network, header: Header, missing: Missing) -> RecurrentLM:
    """The model of a network that was read, with what ``header`` says in its metadata, or the reader's ``missing``.

    Words are numbered as everywhere here, ``</s>`` first.  FormatError for a network that does not fit together.
    """
    config = config_of(path, network, header, missing)
    words, counts = _words(path, header, len(network.E), missing)
    end = words.index(EOS)
    order = np.array([end, *range(end), *range(end + 1, len(words))])
    params = {name: _permuted(values, order) for name, values in _by_words(network, config).items()}
    for at, layer in enumerate(network.layers):
        params |= {name_in(at, name): values for name, values in layer._asdict().items() if values is not None}
    if not config.embedding:
        params["U"] = _permuted(network.E, order)
    params["C"] = np.zeros((1, config.hidden), config.dtype)
    shapes = parameter_shapes(config, len(words))
    try:
        vocab = Vocab([words[i] for i in order], counts[order])
    except ValueError as error:
        raise FormatError(path, None, str(error)) from error
    n_states = cell_of(config).state_size(config, len(words))
    start = _facts(path, header).get("start") or [0.0] * n_states
    if len(start) != n_states or not np.isfinite(start).all():
        raise FormatError(path, None, f'"start" in its metadata is not {n_states} numbers')
    return RecurrentLM(
        config,
        vocab,
        {name: params[name] for name in shapes},
        np.zeros(len(words), np.int32),
        np.array(start, config.dtype),
        *told(path, header),
    )


def config_of(path: str, network: Network, header: Header, missing: Missing) -> ModelConfig:
    """What a network is, by its arrays and by what ``header`` and ``missing`` say."""
    _require_shapes(path, network)
    facts, first = _facts(path, header), network.layers[0]
    activation = facts.get("activation") or "logistic"
    if network.cell == "elman":
        activation = network.activation or facts.get("activation") or missing.activation
        if not activation:
            remedy = "convert it with the right `activation`"
            raise FormatError(path, None, f"does not say the function of its units: {remedy}")
    try:
        return ModelConfig(
            hidden=len(first.W), cell=network.cell, layers=len(network.layers),
            embedding=0 if _has_no_embedding(network) else len(first.U), tied=network.O is None,
            reset="before" if network.cell == "gru" and first.c is None else "after", peephole=first.p is not None,
            activation=activation, classes=1, independent=facts.get("independent") or False,
            dtype=first.W.dtype.name,
        )  # fmt: skip
    except ValueError as error:
        raise FormatError(path, None, shown(str(error), 200)) from error


def peeked(path: str, network: Network, header: Header) -> dict:
    """What ``Format.peek`` returns for a network that was read."""
    # a state dictionary of Elman's units that does not say their function is described as PyTorch's default
    config = config_of(path, network, header, Missing(activation="tanh"))
    training, history = told(path, header)
    return {
        "config": config,
        "n_words": len(network.E),
        "n_parameters": sum(math.prod(shape) for shape in parameter_shapes(config, len(network.E)).values()),
        "training": training,
        "history": history,
    }


def told(path: str, header: Header) -> tuple[dict, list]:
    """``training`` and ``history`` of the metadata, where this program wrote them."""
    training = native.training_of(path, header) if "training" in header.metadata else {}
    return training, header.json(path, "history", list, native.HISTORY) if "history" in header.metadata else []


def _facts(path: str, header: Header) -> dict:
    return header.json(path, "rnnlm", dict, _FACTS) if "rnnlm" in header.metadata else {}


def _permuted(values: np.ndarray, order: np.ndarray) -> np.ndarray:
    """The rows in this order; the array itself if it is theirs already."""
    return values if (order[1:] > order[:-1]).all() else values[order]


def _by_words(network: Network, config: ModelConfig) -> dict[str, np.ndarray]:
    found = {"O": network.O, "o": network.o, "E": network.E if config.embedding else None}
    return {name: values for name, values in found.items() if values is not None}


def _has_no_embedding(network: Network) -> bool:
    """Whether the table has the rows of U: the first layer takes them as they are."""
    first = network.layers[0]
    if network.O is None or len(first.U) != first.U.shape[1] or not np.array_equal(first.U, np.eye(len(first.U))):
        return False
    # one layer of Elman's units without an embedding has no biases
    return network.cell != "elman" or len(network.layers) > 1 or not (first.b.any() or network.o.any())


def _require_shapes(path: str, network: Network) -> None:
    """FormatError unless all arrays fit together."""
    H, G = len(network.layers[0].W), GATES[network.cell]
    V, inputs = network.E.shape
    wanted = [("embedding", network.E, (V, inputs)), ("bias of the output", network.o, (V,))]
    if network.O is not None:
        wanted.append(("output", network.O, (V, H)))
    elif inputs != H:
        wanted.append(("embedding, which is the output too,", network.E, (V, H)))
    for at, layer in enumerate(network.layers, 1):
        shapes = {"U": (inputs, G * H), "W": (H, G * H), "b": (G * H,), "c": (H,), "p": (3, H)}
        names = {"U": "input weights", "W": "recurrent weights", "b": "bias", "c": "second bias", "p": "peepholes"}
        arrays = layer._asdict()
        wanted += [(f"{names[x]} of layer {at}", arrays[x], shapes[x]) for x in shapes if arrays[x] is not None]
        inputs = H
    for name, values, shape in wanted:
        if values.shape != shape or 0 in shape:
            raise FormatError(path, None, f"the {name}: {values.shape}, where {shape} would fit the others")
        if values.dtype != network.E.dtype:
            raise FormatError(path, None, f"the {name}: {values.dtype}, where others are {network.E.dtype}")
    if any((layer.c is None, layer.p is None) != (network.layers[0].c is None, network.layers[0].p is None)
           for layer in network.layers):  # fmt: skip
        raise FormatError(path, None, "its layers are of different kinds")


def _words(path: str, header: Header, n_words: int, missing: Missing) -> tuple[list[bytes], np.ndarray]:
    """The words in the order of the file's ids, one of which is ``</s>``, and their counts (V,)."""
    if missing.vocab_file is not None:
        found, place = read_list(missing.vocab_file), missing.vocab_file
        words, counts = list(found), list(found.values())
    elif "words" in header.metadata:
        place = path
        words = header.json(path, "words", list)
        counts = header.json(path, "counts", list) if "counts" in header.metadata else [0] * len(words)
        if not is_a(words, list[str]) or not is_a(counts, list[int]) or len(words) != len(counts) or "" in words:
            raise FormatError(path, None, '"words" or "counts" in its metadata are not what they should be')
        words = [to_bytes(word) for word in words]
    else:
        remedy = "convert it with a list of them, one per line in the order of its ids, as `vocab_file`"
        raise FormatError(path, None, f"does not say its {n_words} words: {remedy}")
    if len(words) != n_words:
        raise FormatError(place, None, f"{len(words)} words, where the network has {n_words}")
    if len(set(words)) != n_words:
        raise FormatError(place, None, "a word is there twice")
    if EOS not in words:
        if OTHER_END not in words:
            raise FormatError(place, None, "neither </s> nor <eos> is among its words: which of them ends a sentence?")
        words[words.index(OTHER_END)] = EOS
    return words, np.array(counts, np.int64)
