"""Reading ONNX graphs of recurrent language models: what ``onnx_graph`` writes, and PyTorch's exports of such models.

The graph is followed from the Gather of the embedding to the output.  On that way there may be nothing but the nodes
of ``onnx_graph`` and what changes no number; what remains must make states, or sizes.
"""

from __future__ import annotations

import numpy as np

from corpora.errors import FormatError
from corpora.files.checks import all_finite, shown
from corpora.files.source import Source
from corpora.files.tensors import Header
from rnnlm.io.exchange import Layer, Missing, Network, model_of, peeked
from rnnlm.io.native import converted
from rnnlm.io.onnx_graph import ACTIVATIONS, NODES, ORDERS, PEEPHOLES, onnx_package
from rnnlm.model import RecurrentLM

_CELLS = {node: cell for cell, node in NODES.items()}
_USUAL = {"RNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"]}
# what makes states, ids and sizes
_BESIDE = {
    "Shape", "Gather", "Slice", "Split", "Concat", "Squeeze", "Unsqueeze", "Expand", "ConstantOfShape", "Identity",
    "Cast",
}  # fmt: skip
_HINTS = {
    "Transpose": " (a batch that comes first?)",
    "MatMul": " (torch.onnx.export writes nn.RNN as a node with dynamo=False, else step by step)",
}
_FACTS = ("rnnlm", "training", "history", "words", "counts")


def read(source: Source, dtype: str | None = None, missing: Missing = Missing()) -> RecurrentLM:  # noqa: B008
    """The model of an open file.  FormatError for a graph that computes anything else, and without words."""
    network, header = _parse(source)
    lm = model_of(source.path, network, header, missing)
    return lm if dtype in (None, lm.config.dtype) else converted(lm, dtype)


def peek(source: Source) -> dict:
    return peeked(source.path, *_parse(source))


def _parse(source: Source) -> tuple[Network, Header]:
    onnx = onnx_package()
    try:
        model = onnx.load_model_from_string(bytes(source.data))
    except Exception as error:  # DecodeError of protobuf, which comes with onnx
        raise FormatError(source.path, None, "begins as an ONNX graph, but is none, or is cut short") from error
    metadata = {entry.key: entry.value for entry in model.metadata_props if entry.key in _FACTS}
    try:
        return _Graph(onnx, source.path, model.graph).network(), Header(metadata, {})
    except (AttributeError, IndexError, TypeError, ValueError) as error:  # inputs or values that every node has
        raise FormatError(source.path, None, "a node of its graph is damaged") from error


class _Graph:
    """A graph, its constants and the nodes that read each value."""

    def __init__(self, onnx, path: str, graph):
        self.onnx, self.path, self.nodes = onnx, path, list(graph.node)
        self.tensors = {tensor.name: tensor for tensor in graph.initializer}
        self.producers = {name: node for node in self.nodes for name in node.output if name}
        self.left = {id(node): node for node in self.nodes if node.op_type != "Constant"}

    def wrong(self, finding: str) -> FormatError:
        return FormatError(self.path, None, f"a graph that cannot be read as a language model: {finding}")

    def network(self) -> Network:
        start = self._embedding()
        E, value = self.constant(start.input[0], 2), start.output[0]
        layers, kinds, output, bias, before = [], [], None, None, start
        is_flat = scored = False  # (T*B, H): no layer can follow
        while (node := self._next(value)) is not None:
            kind = node.op_type
            if kind in _CELLS and output is None and not is_flat and node.input[0] == value:
                layers.append(self._layer(node))
                kinds.append((kind, self._activation(node)))
            elif kind in ("MatMul", "Gemm") and layers and output is None and node.input[0] == value:
                output = self._output(node)
                if kind == "Gemm" and len(node.input) > 2:
                    bias = self.constant(node.input[2], 1)
            elif kind == "Add" and output is not None and bias is None and not scored:
                bias = self.constant(next(name for name in node.input if name != value), 1)
            elif kind in ("LogSoftmax", "Softmax") and output is not None and self._attribute(node, "axis", -1) != 0:
                scored = True
            elif kind == "Reshape" and layers:
                is_flat = is_flat or before.op_type != "Transpose"
            elif not self._is_neutral(node, before):
                hint = _HINTS.get(kind, "")
                raise self.wrong(f"its node {_name(node)} between the embedding and the output{hint}")
            value, before = node.output[0], node
        if not layers or output is None:
            raise self.wrong(f"no {'output matrix' if layers else 'RNN, GRU or LSTM'} after its embedding")
        if len(set(kinds)) > 1:
            raise self.wrong("its layers are of different kinds")
        for node in self.left.values():
            if node.op_type not in _BESIDE:
                raise self.wrong(f"its node {_name(node)}, which is not on the way to the output")
        O = np.ascontiguousarray(output.T)
        tied = O.shape == E.shape and np.array_equal(O, E)
        bias = np.zeros(len(O), E.dtype) if bias is None else bias
        return Network(_CELLS[kinds[0][0]], kinds[0][1], E, layers, None if tied else O, bias)

    def _embedding(self):
        """The Gather that begins it: of rows of a matrix of numbers."""
        found = [
            node for node in self.nodes
            if node.op_type == "Gather" and node.input[0] in self.tensors and len(self.tensors[node.input[0]].dims) == 2
        ]  # fmt: skip
        if len(found) != 1 or self._attribute(found[0], "axis", 0) != 0:
            raise self.wrong(f"{len(found)} embeddings (Gather), not one")
        self.left.pop(id(found[0]))
        return found[0]

    def _next(self, value: str):
        """The node that computes on with a value; None at the end."""
        found = [node for node in self.left.values() if value in node.input and node.op_type != "Shape"]
        if not found:
            return None
        if len(found) > 1:
            raise self.wrong(f"{_name(found[0])} and {_name(found[1])} both read {shown(value)}")
        if found[0].domain not in ("", "ai.onnx"):
            raise self.wrong(f"its node {_name(found[0])} is of {shown(found[0].domain)}")
        return self.left.pop(id(found[0]))

    def constant(self, name: str, n_dimensions: int | None = None) -> np.ndarray:
        """The array of a value that depends on no input: float32, or float64, if ``n_dimensions`` is given."""
        values = self._constant(name)
        if n_dimensions is not None:
            if values.dtype == np.float16:
                values = values.astype(np.float32)
            if values.ndim != n_dimensions or values.dtype not in (np.float32, np.float64):
                reason = f"{shown(name)} is {values.dtype} with {values.ndim} dimensions, not {n_dimensions}"
                raise self.wrong(reason)
            if not all_finite(values):
                raise FormatError(self.path, None, f"NaN or infinity in {shown(name)}")
        return values

    def _constant(self, name: str) -> np.ndarray:
        if name in self.tensors:
            return self._array(self.tensors[name])
        node = self.producers.get(name)
        kind = node.op_type if node is not None else ""
        if kind == "Constant" and len(node.attribute) == 1 and node.attribute[0].name == "value":
            return self._array(node.attribute[0].t)
        if kind in ("Transpose", "Identity") and node.input[0] in self.tensors:
            self.left.pop(id(node), None)
            values = self._array(self.tensors[node.input[0]])
            if kind == "Transpose":
                values = values.transpose(self._perm(node))
            return values
        raise self.wrong(f'"{shown(name)}" is computed, where weights are expected')

    def _output(self, node) -> np.ndarray:
        """The matrix (H, V) of a MatMul or Gemm."""
        values = self.constant(node.input[1], 2)
        if node.op_type == "MatMul":
            return values
        if (self._attribute(node, "alpha", 1.0), self._attribute(node, "beta", 1.0)) != (1.0, 1.0):
            raise self.wrong(f"{_name(node)} has an alpha or a beta")
        return values.T if self._attribute(node, "transB", 0) else values

    def _is_neutral(self, node, before) -> bool:
        """Whether a node hands on the same numbers in the same order."""
        if node.op_type in ("Squeeze", "Transpose") and before.op_type in _CELLS:  # there is one direction
            return self._axes(node) == [1] if node.op_type == "Squeeze" else self._perm(node) == [0, 2, 1, 3]
        return node.op_type == "Identity" or (node.op_type == "Dropout" and self._is_idle(node))

    def _perm(self, node) -> list[int] | None:
        return self._attribute(node, "perm", None)

    def _axes(self, node) -> list[int]:
        """Those of a Squeeze."""
        if len(node.input) > 1:
            return self.constant(node.input[1]).tolist()
        return self._attribute(node, "axes", [])

    def _is_idle(self, node) -> bool:
        """Whether a Dropout leaves nothing out: it was written for use, not for training."""
        return len(node.input) < 3 or not node.input[2] or not self.constant(node.input[2]).any()

    def _attribute(self, node, name: str, default):
        """An attribute of a node; lists as lists."""
        for attribute in node.attribute:
            if attribute.name == name:
                value = self.onnx.helper.get_attribute_value(attribute)
                if isinstance(value, bytes):
                    return value.decode("utf-8", "replace")
                return value if isinstance(value, int | float) else list(value)
        return default

    def _array(self, tensor) -> np.ndarray:
        if tensor.data_location == self.onnx.TensorProto.EXTERNAL:
            raise FormatError(self.path, None, "its weights are in another file: save it as one, without external data")
        try:
            return self.onnx.numpy_helper.to_array(tensor)
        except (ValueError, TypeError, KeyError) as error:
            raise self.wrong(f"{shown(tensor.name)} is damaged") from error

    def _layer(self, node) -> Layer:
        """The weights of an RNN, GRU or LSTM, whose gates get our order."""
        cell, name = _CELLS[node.op_type], _name(node)
        inputs = [*node.input, *[""] * 8]
        if inputs[4]:
            raise self.wrong(f"{name} has lengths of sequences")
        for setting, neutral in (("direction", "forward"), ("layout", 0), ("clip", 0.0), ("input_forget", 0)):
            if (found := self._attribute(node, setting, neutral)) != neutral:
                raise self.wrong(f"{name} has {setting} {found}")
        W, R = self.constant(inputs[1], 3), self.constant(inputs[2], 3)
        n_gates, H = len(ORDERS[cell]), R.shape[2]
        if R.shape != (1, n_gates * H, H) or W.shape[:2] != R.shape[:2]:
            raise self.wrong(f"{name} has weights {W.shape} and {R.shape}")
        B = self.constant(inputs[3], 2) if inputs[3] else np.zeros((1, 2 * n_gates * H), W.dtype)
        P = self.constant(inputs[7], 2) if inputs[7] else None
        if B.shape != (1, 2 * n_gates * H) or (P is not None and P.shape != (1, 3 * H)):
            raise self.wrong(f"{name} has a bias of {B.shape}{'' if P is None else f' and peepholes of {P.shape}'}")
        places = np.argsort(ORDERS[cell])
        gates = np.concatenate([np.arange(at * H, (at + 1) * H) for at in places])
        first, second = B.reshape(2, -1)[:, gates]
        c = None
        if cell == "gru" and self._attribute(node, "linear_before_reset", 0):
            c, second = second[-H:].copy(), np.concatenate([second[:-H], np.zeros(H, second.dtype)])
        return Layer(
            np.ascontiguousarray(W[0, gates].T),
            np.ascontiguousarray(R[0, gates].T),
            first + second,
            c,
            None if P is None else P.reshape(3, H)[PEEPHOLES],
        )

    def _activation(self, node) -> str:
        """Elman's function; "" for other cells, which must have the usual ones."""
        usual = _USUAL[node.op_type]
        found = [name.decode("utf-8", "replace") for name in self._attribute(node, "activations", [])] or usual
        ours = {name.lower(): activation for activation, name in ACTIVATIONS.items()}
        if node.op_type == "RNN" and found[0].lower() in ours and len(found) == 1:
            if found[0].lower() == "elu" and self._attribute(node, "activation_alpha", [1.0]) != [1.0]:
                raise self.wrong(f"{_name(node)} has an alpha of Elu other than 1")
            return ours[found[0].lower()]
        if [name.lower() for name in found] != [name.lower() for name in usual]:
            raise self.wrong(f"{_name(node)} has the activations {shown(', '.join(found))}")
        return ""


def _name(node) -> str:
    return f"{shown(node.op_type)} {shown(node.name)}" if node.name else shown(node.op_type)
