"""ONNX graphs of recurrent language models: recognised and written.  T steps, B streams, V words, H hidden, L layers.

    ids (T, B) int64, h (L, B, H), LSTM: c (L, B, H)
    Gather                        rows of the embedding (V, I)
    RNN, GRU or LSTM, Squeeze     one pair per layer, from its part of h and c, time first
    Transpose, MatMul, Add        the output (V, H), which may be the embedding, and its bias
    LogSoftmax                    log_probs (T, B, V), natural; h_out, c_out: the states after the last step

ONNX has its own orders of the gates: LSTM i o f c, GRU z r h; peepholes i o f.  Numbers are float32 always: runtimes
have these nodes for no other type.
"""

from __future__ import annotations

import os

import numpy as np

from corpora.errors import CorpusError
from corpora.files.output import replace_file
from rnnlm.io.exchange import Layer, Network, facts_about, network_of, obstacles
from rnnlm.model import RecurrentLM

OPSET = 22
IR_VERSION = 10  # of the same year
NODES = {"elman": "RNN", "gru": "GRU", "lstm": "LSTM"}
ACTIVATIONS = {"logistic": "Sigmoid", "tanh": "Tanh", "relu": "Relu", "elu": "Elu"}
# ONNX's gates, by their places in our order
ORDERS = {"elman": [0], "gru": [1, 0, 2], "lstm": [0, 3, 1, 2]}
PEEPHOLES = [0, 2, 1]  # i o f of i f o; the same the other way round
_SECOND_FIELDS = bytes(field << 3 | (0 if field == 5 else 2) for field in range(2, 9))  # with their types
_LARGEST = (1 << 31) - (1 << 20)  # bytes: protocol buffers end at 2 GiB


def onnx_package():
    """The package onnx; CorpusError with the remedy if it is not installed."""
    try:
        import onnx
        import onnx.helper
        import onnx.numpy_helper
    except ImportError as error:
        raise CorpusError("ONNX files need the package onnx: pip install onnx") from error
    return onnx


def recognises(prefix: bytes) -> bool:
    """Whether this begins as ONNX's protocol buffer: the version of the format, then another field of the model."""
    return len(prefix) > 2 and prefix[0] == 0x08 and 0 < prefix[1] < 0x40 and prefix[2] in _SECOND_FIELDS


def write(lm: RecurrentLM, path: str | os.PathLike) -> None:
    """Write a model; CorpusError, one line, for one that ONNX's nodes cannot compute, and without the package onnx."""
    onnx = onnx_package()
    for reason in obstacles(lm):
        raise CorpusError(f"{os.fspath(path)}: not possible as an ONNX graph: {reason}")
    network = network_of(lm)
    if 4 * sum(values.size for values in _arrays(network)) > _LARGEST:
        raise CorpusError(f"{os.fspath(path)}: not possible as an ONNX graph: its weights have 2 GiB or more")
    model = onnx.helper.make_model(
        _graph(onnx, network),
        producer_name="rnnlm",
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    onnx.helper.set_model_props(model, facts_about(lm))
    with replace_file(os.fspath(path)) as file:
        file.write(model.SerializeToString())


def _arrays(network: Network):
    for layer in network.layers:
        yield from (values for values in layer if values is not None)
    yield from (network.E, network.o, *([] if network.O is None else [network.O]))


def _graph(onnx, network: Network):
    helper, numbers = onnx.helper, onnx.TensorProto.FLOAT
    L, H = len(network.layers), len(network.layers[0].W)
    states = ["h", "c"] if network.cell == "lstm" else ["h"]
    nodes, arrays = [], {"embedding": network.E, "output_bias": network.o}
    nodes.append(helper.make_node("Gather", ["embedding", "ids"], ["inputs_1"]))
    parts = {state: [f"{state}_{at}" for at in range(1, L + 1)] for state in states}
    for state in states:
        nodes.append(helper.make_node("Split", [state], parts[state], axis=0, num_outputs=L))
    for at, layer in enumerate(network.layers, 1):
        arrays |= {f"{name}_{at}": values for name, values in _operands(network.cell, layer).items()}
        names = [f"inputs_{at}", f"W_{at}", f"R_{at}", f"B_{at}", "", *(parts[state][at - 1] for state in states)]
        if layer.p is not None:
            names.append(f"P_{at}")
        after = [f"hidden_{at}", *(f"{state}_out_{at}" for state in states)]
        nodes.append(helper.make_node(NODES[network.cell], names, after, hidden_size=H, **_attributes(network, layer)))
        nodes.append(helper.make_node("Squeeze", [f"hidden_{at}", "directions"], [f"inputs_{at + 1}"]))
    for state in states:
        ends = [f"{state}_out_{at}" for at in range(1, L + 1)]
        nodes.append(helper.make_node("Concat", ends, [f"{state}_out"], axis=0))
    if network.O is not None:
        arrays["output"] = network.O
    below = "embedding" if network.O is None else "output"
    nodes += [
        helper.make_node("Transpose", [below], ["output_weights"], perm=[1, 0]),
        helper.make_node("MatMul", [f"inputs_{L + 1}", "output_weights"], ["products"]),
        helper.make_node("Add", ["products", "output_bias"], ["scores"]),
        helper.make_node("LogSoftmax", ["scores"], ["log_probs"], axis=-1),
    ]
    floats = {name: np.ascontiguousarray(values, np.float32) for name, values in arrays.items()}
    initializers = [onnx.numpy_helper.from_array(values, name) for name, values in floats.items()]
    initializers.append(onnx.numpy_helper.from_array(np.array([1], np.int64), "directions"))
    inputs = [helper.make_tensor_value_info("ids", onnx.TensorProto.INT64, ["T", "B"])]
    outputs = [helper.make_tensor_value_info("log_probs", numbers, ["T", "B", len(network.E)])]
    for state in states:
        inputs.append(helper.make_tensor_value_info(state, numbers, [L, "B", H]))
        outputs.append(helper.make_tensor_value_info(f"{state}_out", numbers, [L, "B", H]))
    return helper.make_graph(nodes, "language_model", inputs, outputs, initializers)


def _attributes(network: Network, layer: Layer) -> dict:
    if network.cell == "gru":
        return {"linear_before_reset": int(layer.c is not None)}
    if network.cell == "lstm":
        return {}
    # ELU's alpha is 1 here, and the default there
    return {"activations": [ACTIVATIONS[network.activation]]}


def _operands(cell: str, layer: Layer) -> dict[str, np.ndarray]:
    """W (1, G*H, I), R (1, G*H, H), B (1, 2*G*H): both biases, and P (1, 3*H)."""
    order, H = ORDERS[cell], len(layer.W)
    gates = np.concatenate([np.arange(gate * H, (gate + 1) * H) for gate in order])
    second = np.zeros_like(layer.b)
    if layer.c is not None:
        second[-H:] = layer.c  # n is the last gate in both orders
    found = {
        "W": layer.U.T[gates][None],
        "R": layer.W.T[gates][None],
        "B": np.concatenate([layer.b[gates], second])[None],
    }
    if layer.p is not None:
        found["P"] = layer.p[PEEPHOLES].reshape(1, -1)
    return found
