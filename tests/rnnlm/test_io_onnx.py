"""ONNX graphs: onnxruntime computes what the model does, ours come back to the bit, PyTorch's exports are read."""

import json
import sys

import numpy as np
import pytest

from corpora.errors import CorpusError, FormatError
from rnnlm import io
from rnnlm.config import ModelConfig
from rnnlm.describe import facts
from rnnlm.io import Missing
from tests.exchanged_models import NETWORKS, WORDS, assert_same, every, log_probs_after, model_of
from tests.golden_files import GOLDEN, golden_bytes

onnx = pytest.importorskip("onnx", reason="the extra `onnx` is not installed")

FOLDER = GOLDEN / "torch"
MISSING = Missing(str(FOLDER / "words.txt"))
TEXT = [3, 1, 10, 4, 4, 7, 5, 2, 8, 9]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "m.onnx"


def graph_of(name, path, **more):
    """The graph of a model, to be changed."""
    io.save(model_of(name, **more), path, "onnx")
    return onnx.load(path)


def refusal(model, path):
    path.write_bytes(model.SerializeToString())
    with pytest.raises(FormatError) as error:
        io.load(path, missing=MISSING)
    message = str(error.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


# ---- what is written


@every(NETWORKS)
def test_a_model_comes_back_to_the_bit(name, path):
    lm = model_of(name)
    lm.weights  # noqa: B018 - parameters become views of padded rows, as after training
    io.save(lm, path, "onnx")
    onnx.checker.check_model(onnx.load(path), full_check=True)
    assert io.sniff(path) == "onnx"
    assert_same(io.load(path), lm)


@every(NETWORKS)
def test_onnxruntime_computes_the_probabilities_of_the_model(name, path):
    runtime = pytest.importorskip("onnxruntime")
    lm = model_of(name)
    io.save(lm, path, "onnx")
    session = runtime.InferenceSession(path)
    inputs = [value.name for value in session.get_inputs()]
    config = lm.config
    assert inputs == ["ids", "h", "c"][: 3 if config.cell == "lstm" else 2]
    ids = np.array([TEXT, TEXT[::-1], TEXT[5:] + TEXT[:5]]).T
    states = lm.start().hidden[: lm.state_size].reshape(config.layers, -1, 1, config.hidden)
    feed = {each: states[:, i].repeat(3, axis=1) for i, each in enumerate(inputs[1:])}
    log_probs, *after = session.run(None, {"ids": ids} | feed)
    for b in range(3):
        np.testing.assert_allclose(log_probs[:, b], log_probs_after(lm, ids[:, b].tolist()), atol=1e-6)
    # the states after the first part are those from which the second one goes on
    _, *between = session.run(None, {"ids": ids[:4]} | feed)
    second, *ends = session.run(None, {"ids": ids[4:]} | dict(zip(inputs[1:], between, strict=True)))
    np.testing.assert_allclose(second, log_probs[4:], atol=1e-6)
    for found, expected in zip(ends, after, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_gates_are_in_the_order_of_onnx(path):
    """LSTM: i o f c of i f g o; peepholes i o f of i f o."""
    lm = model_of("lstm, peephole", hidden=2)
    io.save(lm, path, "onnx")
    found = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}
    for ours, theirs in (("U", "W_1"), ("W", "R_1")):
        i, f, g, o = np.split(lm.params[ours].T, 4)
        assert np.array_equal(found[theirs][0], np.concatenate([i, o, f, g]))
    i, f, o = lm.params["p"]
    assert np.array_equal(found["P_1"][0], np.concatenate([i, o, f]))
    assert not found["B_1"][0, 8:].any()


def test_a_tied_matrix_is_there_once(path):
    names = {tensor.name: list(tensor.dims) for tensor in graph_of("lstm, tied", path).graph.initializer}
    assert names["embedding"] == [len(WORDS), 6]
    assert "output" not in names


def test_numbers_are_float32_always(path):
    lm = model_of("lstm", dtype="float64")
    io.save(lm, path, "onnx")
    found = io.load(path)
    assert found.config.dtype == "float32"
    assert np.array_equal(found.params["U"], lm.params["U"].astype(np.float32))
    assert io.load(path, dtype="float64").config.dtype == "float64"


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"cell": "jordan"}, "its cell is jordan"),
        ({"cell": "lstm", "forget_gate": False}, "its cells have no forget gate"),
        ({"classes": 3}, "it has 3 classes of words"),
        ({"compression": 4}, "a compression layer"),
        ({"direct": 8}, "direct connections"),
    ],
)
def test_a_model_that_onnx_lacks_is_refused_by_name(settings, reason, path):
    lm = model_of("plain")
    lm = type(lm)(
        ModelConfig(**{"hidden": 6, "classes": 1} | settings), lm.vocab, lm.params, lm.class_of_word, lm.start_hidden
    )
    with pytest.raises(CorpusError, match="not possible as an ONNX graph") as error:
        io.save(lm, path, "onnx")
    assert reason in str(error.value)
    assert not path.exists()


def test_without_the_package_the_remedy_is_said(path, monkeypatch):
    io.save(model_of("lstm"), path, "onnx")
    monkeypatch.setitem(sys.modules, "onnx", None)
    for action in (lambda: io.load(path), lambda: io.save(model_of("lstm"), path, "onnx")):
        with pytest.raises(CorpusError, match="ONNX files need the package onnx: pip install onnx"):
            action()
    assert io.sniff(path) == "onnx"


# ---- what PyTorch exports


@every(["lstm-old", "lstm-new", "gru-old", "gru-new"])
def test_an_export_of_pytorch_is_the_network_of_its_state_dictionary(name):
    """By its exporter through TorchScript (old) and by that through torch.export (new)."""
    assert_same(
        io.load(FOLDER / f"{name}.onnx", missing=MISSING),
        io.load(FOLDER / f"{name[:-4]}.safetensors", missing=MISSING),
    )


def test_an_export_of_pytorch_has_the_probabilities_that_pytorch_computed():
    expected = json.loads(golden_bytes("torch/log_probs.json"))
    lm = io.load(FOLDER / "lstm-new.onnx", missing=MISSING)
    ids = lm.vocab.ids([b"</s>" if word == b"<eos>" else word for word in golden_bytes("torch/words.txt").split()])
    np.testing.assert_allclose(log_probs_after(lm, ids[expected["ids"]].tolist())[:, ids], expected["lstm"], atol=1e-6)


def test_an_export_has_no_words_of_its_own_but_is_described():
    with pytest.raises(FormatError, match=r"does not say its 6 words: .* as `vocab_file`"):
        io.load(FOLDER / "lstm-old.onnx")
    found = facts(FOLDER / "lstm-old.onnx")
    assert (found["format"], found["words"], found["architecture"]["cell"]) == ("onnx", 6, "lstm")


def node(model, kind):
    return next(node for node in model.graph.node if node.op_type == kind)


def replaced(model, kind, *nodes):
    """The graph with nodes in place of the first one of a kind."""
    kept = []
    for each in model.graph.node:
        kept += nodes if each is node(model, kind) else [each]
    del model.graph.node[:]
    model.graph.node.extend(kept)
    return model


def test_a_gemm_on_flat_rows_is_an_output_matrix_too(path):
    model, make = graph_of("lstm", path), onnx.helper.make_node
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([-1, 6]), "flat"))
    replaced(
        model, "MatMul",
        make("Reshape", ["inputs_3", "flat"], ["rows"]),
        make("Gemm", ["rows", "output", "output_bias"], ["scores"], transB=1),
    )  # fmt: skip
    for kind in ("Transpose", "Add"):
        replaced(model, kind)
    path.write_bytes(model.SerializeToString())
    assert_same(io.load(path), model_of("lstm"))


def test_what_changes_no_number_may_stand_between(path):
    model, make = graph_of("lstm", path), onnx.helper.make_node
    replaced(model, "Gather", make("Gather", ["embedding", "ids"], ["a"]), make("Dropout", ["a"], ["b"]),
             make("Identity", ["b"], ["inputs_1"]))  # fmt: skip
    replaced(model, "LogSoftmax")
    path.write_bytes(model.SerializeToString())
    assert_same(io.load(path), model_of("lstm"))


# ---- what is refused


def attribute(kind, **values):
    def change(model):
        node(model, kind).attribute.extend(onnx.helper.make_attribute(*item) for item in values.items())

    return change


def input_of(kind, place, name):
    def change(model):
        inputs = node(model, kind).input
        inputs.extend([""] * (place + 1 - len(inputs)))
        inputs[place] = name

    return change


def between(kind, **values):
    """A node of this kind between the embedding and the first layer."""
    make = onnx.helper.make_node
    gather = ["Gather", ["embedding", "ids"], ["a"]]
    return lambda model: replaced(model, "Gather", make(*gather), make(kind, ["a"], ["inputs_1"], **values))


def elsewhere(model):
    model.graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL


def cut(model):
    model.graph.initializer[0].raw_data = b"123"


def with_nan(model):
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == "W_2")
    tensor.raw_data = np.full(tensor.dims, np.nan, np.float32).tobytes()


REFUSED = {
    "LSTM has direction reverse": attribute("LSTM", direction="reverse"),
    "LSTM has layout 1": attribute("LSTM", layout=1),
    "LSTM has clip 3.0": attribute("LSTM", clip=3.0),
    "LSTM has input_forget 1": attribute("LSTM", input_forget=1),
    "LSTM has the activations Sigmoid, Relu, Tanh": attribute("LSTM", activations=["Sigmoid", "Relu", "Tanh"]),
    "LSTM has lengths of sequences": input_of("LSTM", 4, "lengths"),
    '"ids" is computed, where weights are expected': input_of("LSTM", 1, "ids"),
    "LSTM has weights (1, 24, 6) and (1, 24, 4)": lambda model: (
        input_of("LSTM", 1, "R_1")(model), input_of("LSTM", 2, "W_1")(model)
    ),
    "its node Relu between the embedding and the output": between("Relu"),
    "its node Transpose between the embedding and the output (a batch that": between("Transpose", perm=[1, 0, 2]),
    "its node MatMul between the embedding and the output (torch.onnx.export": between("MatMul"),
    "no output matrix after its embedding": lambda model: replaced(model, "MatMul"),
    "no RNN, GRU or LSTM after its embedding": lambda model: replaced(model, "LSTM"),
    "0 embeddings (Gather), not one": lambda model: replaced(model, "Gather"),
    "its node Relu, which is not on the way": lambda model: model.graph.node.append(
        onnx.helper.make_node("Relu", ["h"], ["x"])
    ),
    "LogSoftmax and Relu both read scores": lambda model: model.graph.node.append(
        onnx.helper.make_node("Relu", ["scores"], ["x"])
    ),
    "its weights are in another file": elsewhere,
    "embedding is damaged": cut,
    "NaN or infinity in W_2": with_nan,
}  # fmt: skip


@pytest.mark.parametrize("finding", REFUSED)
def test_a_graph_that_computes_anything_else_is_refused_by_name(finding, path):
    model = graph_of("lstm", path)
    REFUSED[finding](model)
    assert finding in refusal(model, path)


def test_layers_of_different_kinds_are_refused(path):
    model = graph_of("elman", path, layers=2)
    del node(model, "RNN").attribute[:]
    attribute("RNN", hidden_size=6, activations=["Relu"])(model)
    assert "its layers are of different kinds" in refusal(model, path)


def test_any_changed_byte_is_read_or_refused_in_one_line(path):
    io.save(model_of("lstm, peephole"), path, "onnx")
    content = path.read_bytes()
    rng = np.random.default_rng(7)
    for n in range(500):
        changed = bytearray(content)
        for place in rng.integers(0, len(content), rng.integers(1, 4)):
            changed[place] = rng.integers(256)
        path.write_bytes(changed if n % 10 else content[: rng.integers(3, len(content))])
        message = ""
        try:
            io.load(path)
        except CorpusError as error:
            message = str(error)
        assert "\n" not in message
