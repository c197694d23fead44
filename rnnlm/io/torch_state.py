"""PyTorch's state dictionary of a word language model, as safetensors: written and read without PyTorch.

The names are those of the usual example (encoder, rnn, decoder): V words, I inputs of a layer, H hidden units, G gates

    encoder.weight    (V, I)         decoder.weight    (V, H)         decoder.bias      (V,)
    rnn.weight_ih_l0  (G*H, I)       rnn.weight_hh_l0  (G*H, H)       rnn.bias_ih_l0, rnn.bias_hh_l0    (G*H,)

and ``l1`` ... for further layers.  The order of the gates is this program's: LSTM i f g o, GRU r z n, which resets
after the product.  The two biases are added: ours is the first, the second is the GRU's ``c`` and zeros.
A matrix that is embedding and output is there once, under the name that comes first in the alphabet; the metadata has
the other one, {"encoder.weight": "decoder.weight"}, as safetensors' ``save_model`` writes it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import numpy as np

from corpora.errors import CorpusError, FormatError
from corpora.files import tensors
from corpora.files.checks import all_finite, shown
from corpora.files.source import Source
from corpora.files.tensors import Header, read_any_header, read_array, write_tensors
from rnnlm.formats import TORCH_ACTIVATIONS
from rnnlm.io.exchange import GATES, Layer, Missing, Network, facts_about, model_of, network_of, obstacles, peeked
from rnnlm.io.native import converted
from rnnlm.model import RecurrentLM

FORMAT, FORMAT_VERSION = "pt", 1  # the mark of PyTorch's files, for programs that look for it; and of our additions
ENCODER, DECODER, BIAS = "encoder.weight", "decoder.weight", "decoder.bias"
# our metadata, which come before the names of the tensors, or one of these
_MARK = re.compile(rb'"rnnlm"\s*:\s*"|"rnn\.weight_ih_l0"\s*:\s*\{')
_OF_RNN = re.compile(r"rnn\.(weight_ih|weight_hh|bias_ih|bias_hh)_l(0|[1-9]\d{0,3})")
_WIDENED = {np.dtype(np.float16): np.dtype(np.float32)}


def recognises(prefix: bytes) -> bool:
    return tensors.recognises(prefix) and bool(_MARK.search(prefix))


def write(lm: RecurrentLM, path: str | os.PathLike) -> None:
    """Write a model; CorpusError, one line, for one that PyTorch's modules cannot compute."""
    for reason in [*obstacles(lm), *_obstacles(lm)]:
        raise CorpusError(f"{os.fspath(path)}: not possible as a state dictionary of PyTorch: {reason}")
    network = network_of(lm)
    metadata = facts_about(lm) | ({ENCODER: DECODER} if network.O is None else {})
    arrays = {} if network.O is None else {ENCODER: network.E}
    for at, layer in enumerate(network.layers):
        second = np.zeros_like(layer.b)
        if layer.c is not None:
            second[-layer.c.size :] = layer.c
        named = {"weight_ih": layer.U.T, "weight_hh": layer.W.T, "bias_ih": layer.b, "bias_hh": second}
        arrays |= {f"rnn.{name}_l{at}": values for name, values in named.items()}
    arrays |= {DECODER: network.E if network.O is None else network.O, BIAS: network.o}
    write_tensors(path, FORMAT, FORMAT_VERSION, metadata, arrays)


def _obstacles(lm: RecurrentLM) -> Iterator[str]:
    config = lm.config
    if config.cell == "elman" and config.activation not in TORCH_ACTIVATIONS:
        yield f"its activation is {config.activation}, not {' or '.join(TORCH_ACTIVATIONS)}"
    if config.peephole:
        yield "its gates see the cells (`peephole`)"
    if config.cell == "gru" and config.reset != "after":
        yield "its gates reset before the product (`reset`), not after it"


def read(source: Source, dtype: str | None = None, missing: Missing = Missing()) -> RecurrentLM:  # noqa: B008
    """The model of an open file.  FormatError for tensors that are missing, unknown, or do not fit together."""
    header = read_any_header(source)
    lm = model_of(source.path, _network(source, header), header, missing)
    return lm if dtype in (None, lm.config.dtype) else converted(lm, dtype)


def peek(source: Source) -> dict:
    header = read_any_header(source)
    return peeked(source.path, _network(source, header), header)


def _network(source: Source, header: Header) -> Network:
    path, names = source.path, set(header.tensors)
    for name in sorted(names - {ENCODER, DECODER, BIAS}):
        if not _OF_RNN.fullmatch(name):
            raise FormatError(path, None, f'the tensor "{shown(name, 60)}" {_why_not(name)}')
    numbers = {int(_OF_RNN.fullmatch(name)[2]) for name in names - {ENCODER, DECODER, BIAS}}
    n_layers = max(numbers, default=0) + 1
    dtypes = {_WIDENED.get(dtype, dtype) for dtype, _, _ in header.tensors.values()}
    if len(dtypes) != 1 or not dtypes <= {np.dtype(np.float32), np.dtype(np.float64)}:
        found = ", ".join(sorted(map(str, dtypes)))
        raise FormatError(path, None, f"its tensors are of {found}: all of float32, or of float64, can be read")
    dtype = dtypes.pop()

    def array(name: str, n_dimensions: int) -> np.ndarray:
        values = read_array(source, header, name)
        if values.ndim != n_dimensions:
            raise FormatError(path, None, f'the tensor "{name}" has {values.ndim} dimensions, not {n_dimensions}')
        if not all_finite(values):
            raise FormatError(path, None, f'NaN or infinity in the tensor "{name}"')
        return values.astype(dtype, copy=False)

    layers, cell = [], ""
    for at in range(n_layers):
        W = array(f"rnn.weight_hh_l{at}", 2)
        gates = len(W) / max(1, W.shape[1])
        found = next((name for name, n in GATES.items() if n == gates), None)
        if found is None or found != (cell or found):
            raise FormatError(path, None, f'the tensor "rnn.weight_hh_l{at}": {W.shape} is not of RNN, GRU or LSTM')
        cell = found
        U = array(f"rnn.weight_ih_l{at}", 2)
        biases = []
        for name in (f"rnn.bias_ih_l{at}", f"rnn.bias_hh_l{at}"):
            biases.append(array(name, 1) if name in names else np.zeros(len(W), dtype))
            if biases[-1].shape != (len(W),):
                reason = f"{biases[-1].shape}, where {(len(W),)} would fit the recurrent weights"
                raise FormatError(path, None, f'the tensor "{name}": {reason}')
        layers.append(_layer(cell, np.ascontiguousarray(U.T), np.ascontiguousarray(W.T), *biases))
    E, O = _words(path, header, array)
    bias = array(BIAS, 1) if BIAS in names else np.zeros(len(E), dtype)
    return Network(cell, "", E, layers, O, bias)


def _layer(cell: str, U, W, first, second) -> Layer:
    """Both biases as one, but for that of a GRU's n that the reset gate multiplies."""
    if cell != "gru":
        return Layer(U, W, first + second)
    H = len(W)
    return Layer(U, W, first + np.concatenate([second[: 2 * H], np.zeros(H, second.dtype)]), second[2 * H :].copy())


def _words(path: str, header: Header, array) -> tuple[np.ndarray, np.ndarray | None]:
    """The embedding, and the output matrix unless it is the same."""
    names = {ENCODER, DECODER} & set(header.tensors)
    if len(names) == 2:
        E, O = array(ENCODER, 2), array(DECODER, 2)
        # what PyTorch saves of a tied module has both
        return E, None if E.shape == O.shape and np.array_equal(E, O) else O
    one, other = (ENCODER, DECODER) if ENCODER in names else (DECODER, ENCODER)
    if one in names and header.metadata.get(other) == one:
        return array(one, 2), None
    raise FormatError(path, None, f'the tensor "{other if one in names else ENCODER}" is missing')


def _why_not(name: str) -> str:
    if "_reverse" in name:
        return "is of a bidirectional network: a language model reads forwards"
    if ".weight_hr_l" in name:
        return "is a projection (proj_size), which networks here do not have"
    known = f"{ENCODER}, {DECODER}, {BIAS}, and rnn.weight_ih_l0 and its like"
    return f"is unknown; known are {known}"
