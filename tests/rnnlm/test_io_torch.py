"""PyTorch's state dictionaries: its files are read as it computes, ours come back to the bit, others are refused."""

import json

import numpy as np
import pytest
import safetensors.numpy

from corpora.errors import CorpusError, FormatError
from rnnlm import io
from rnnlm.config import ModelConfig
from rnnlm.describe import describe, facts
from rnnlm.io import Missing
from tests.exchanged_models import BY_ONNX_ALONE, BY_TORCH, WORDS, assert_same, every, log_probs_after, model_of
from tests.golden_files import GOLDEN, golden_bytes

FOLDER = GOLDEN / "torch"
GOLDEN_WORDS = golden_bytes("torch/words.txt").split()  # <eos> is not the first


def golden_model(name, **more):
    return io.load(FOLDER / f"{name}.safetensors", missing=Missing(str(FOLDER / "words.txt"), **more))


def golden_tensors(name="gru"):
    return safetensors.numpy.load_file(FOLDER / f"{name}.safetensors")


def ours(lm):
    """(V,) the ids in a model of the golden words."""
    return lm.vocab.ids([b"</s>" if word == b"<eos>" else word for word in GOLDEN_WORDS])


@every(["lstm", "gru", "rnn"])
def test_a_network_of_pytorch_has_the_probabilities_that_pytorch_computed(name):
    expected = json.loads(golden_bytes("torch/log_probs.json"))
    lm = golden_model(name, **({"activation": "relu"} if name == "rnn" else {}))
    ids = ours(lm)
    found = log_probs_after(lm, ids[expected["ids"]].tolist())
    np.testing.assert_allclose(found[:, ids], expected[name], rtol=1e-6, atol=1e-6)
    assert lm.vocab.words[0] == b"</s>"
    assert lm.config.tied == (name == "lstm")


@every(["lstm", "gru", "rnn"])
def test_what_is_written_of_it_are_the_tensors_of_pytorch(name, tmp_path):
    lm = golden_model(name, **({"activation": "relu"} if name == "rnn" else {}))
    io.save(lm, tmp_path / "again", "torch")
    theirs, found, ids = golden_tensors(name), safetensors.numpy.load_file(tmp_path / "again"), ours(lm)
    assert found.keys() == theirs.keys()
    for tensor, values in theirs.items():
        if tensor.startswith("rnn.weight"):
            assert np.array_equal(found[tensor], values)
        elif not tensor.startswith("rnn"):
            assert np.array_equal(found[tensor][ids], values)
        else:
            other = tensor.replace("_ih_", "_xx_").replace("_hh_", "_ih_").replace("_xx_", "_hh_")
            same = slice(None) if name != "gru" else slice(8)  # those of r and z are added, those of n apart
            assert np.array_equal((found[tensor] + found[other])[same], (values + theirs[other])[same])
            if name == "gru":
                assert np.array_equal(found[tensor][8:], values[8:])


@every(BY_TORCH)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_model_comes_back_to_the_bit(name, dtype, tmp_path):
    lm = model_of(name, dtype=dtype)
    lm.weights  # noqa: B018 - parameters become views of padded rows, as after training
    io.save(lm, tmp_path / "m", "torch")
    assert io.sniff(tmp_path / "m") == "torch"
    assert_same(io.load(tmp_path / "m"), lm)
    assert io.load(tmp_path / "m", dtype="float64").config.dtype == "float64"


def test_the_safetensors_package_reads_transposed_matrices_right(tmp_path):
    lm = model_of("lstm")
    io.save(lm, tmp_path / "m", "torch")
    tensors = safetensors.numpy.load_file(tmp_path / "m")
    assert np.array_equal(tensors["rnn.weight_ih_l0"], lm.params["U"].T)
    assert np.array_equal(tensors["rnn.weight_hh_l1"], lm.params["W2"].T)
    assert np.array_equal(tensors["rnn.bias_ih_l1"], lm.params["b2"])
    assert not tensors["rnn.bias_hh_l1"].any()
    with safetensors.safe_open(tmp_path / "m", "np") as file:
        words = json.loads(file.metadata()["words"])
    assert [word.encode("utf-8", "surrogateescape") for word in words] == WORDS


def test_a_network_without_an_embedding_has_the_rows_of_u_and_the_identity(tmp_path):
    lm = model_of("plain")
    io.save(lm, tmp_path / "m", "torch")
    tensors = safetensors.numpy.load_file(tmp_path / "m")
    assert np.array_equal(tensors["encoder.weight"], lm.params["U"])
    assert np.array_equal(tensors["rnn.weight_ih_l0"], np.eye(6))
    with safetensors.safe_open(tmp_path / "m", "np") as file:
        assert json.loads(file.metadata()["rnnlm"])["start"] == lm.start_hidden.tolist()


def test_the_rows_of_a_table_above_the_identity_go_with_their_words(tmp_path):
    table = np.arange(6 * 12, dtype=np.float32).reshape(6, 12)
    changes = {"encoder.weight": table, "rnn.weight_ih_l0": np.eye(12, dtype=np.float32)}
    safetensors.numpy.save_file(golden_tensors("gru") | changes, tmp_path / "m")
    lm = io.load(tmp_path / "m", missing=Missing(str(FOLDER / "words.txt")))
    assert lm.config.embedding == 0
    assert np.array_equal(lm.params["U"][ours(lm)], table)
    assert np.array_equal(lm.params["O"][ours(lm)], golden_tensors("gru")["decoder.weight"])


def test_an_identity_with_biases_is_an_embedding_with_one_elman_layer(tmp_path):
    tensors = golden_tensors("rnn")
    tensors |= {"encoder.weight": np.ones((6, 4), np.float32), "rnn.weight_ih_l0": np.eye(4, dtype=np.float32)}
    safetensors.numpy.save_file(tensors, tmp_path / "m")
    lm = io.load(tmp_path / "m", missing=Missing(str(FOLDER / "words.txt"), "tanh"))
    assert lm.config.embedding == 4
    assert lm.params["b"].any()


def test_a_tied_matrix_is_there_once_and_the_other_name_in_the_metadata(tmp_path):
    lm = model_of("lstm, tied")
    io.save(lm, tmp_path / "m", "torch")
    tensors = safetensors.numpy.load_file(tmp_path / "m")
    assert "encoder.weight" not in tensors
    assert np.array_equal(tensors["decoder.weight"], lm.params["E"])
    with (
        safetensors.safe_open(tmp_path / "m", "np") as file,
        safetensors.safe_open(FOLDER / "lstm.safetensors", "np") as t,
    ):
        assert t.metadata() == {"encoder.weight": "decoder.weight"}  # save_model of safetensors wrote this
        assert file.metadata()["encoder.weight"] == "decoder.weight"


def test_a_tied_matrix_is_known_by_either_name_and_if_it_is_there_twice(tmp_path):
    tensors = golden_tensors("lstm")
    both = tensors | {"encoder.weight": tensors["decoder.weight"]}
    other = {name: values for name, values in both.items() if name != "decoder.weight"}
    for found, metadata in ((both, None), (other, {"decoder.weight": "encoder.weight"})):
        safetensors.numpy.save_file(found, tmp_path / "m", metadata)
        lm = io.load(tmp_path / "m", missing=Missing(str(FOLDER / "words.txt")))
        assert_same(lm, golden_model("lstm"))


def test_missing_biases_are_zero_and_half_precision_is_widened(tmp_path):
    tensors = {name: values for name, values in golden_tensors("lstm").items() if "bias" not in name}
    safetensors.numpy.save_file({name: values.astype(np.float16) for name, values in tensors.items()}, tmp_path / "m",
                                {"encoder.weight": "decoder.weight"})  # fmt: skip
    lm = io.load(tmp_path / "m", missing=Missing(str(FOLDER / "words.txt")))
    assert not any(lm.params[name].any() for name in ("b", "b2", "o"))
    assert np.array_equal(lm.params["W"].T, tensors["rnn.weight_hh_l0"].astype(np.float16).astype(np.float32))


def test_a_list_of_words_as_long_as_the_looked_at_beginning_does_not_hide_what_the_file_is(tmp_path):
    lm = model_of("elman")
    lm.training["train_file"] = "x" * 70_000
    io.save(lm, tmp_path / "m", "torch")
    assert_same(io.load(tmp_path / "m"), lm)


def test_info_tells_what_it_is_even_without_words():
    text = describe(facts(FOLDER / "lstm.safetensors"))
    assert "(torch, 2184 bytes)" in text
    assert "lstm, 2 layers of 4 hidden units, embedding of 4 units (tied to the output)" in text
    assert facts(FOLDER / "lstm.safetensors")["architecture"]["layers"] == 2
    # (V*E + V) + 2 layers of 4*4 * (4 + 4 + 1)
    assert facts(FOLDER / "lstm.safetensors")["parameters"] == 6 * 4 + 6 + 2 * 16 * 9


# ---- what does not fit

NOT_TORCH = {
    **BY_ONNX_ALONE,
    "jordan": {"cell": "jordan"},
    "carousel": {"cell": "lstm", "forget_gate": False, "embedding": 4},
    "classes": {"activation": "tanh", "classes": 3},
    "compression": {"activation": "tanh", "compression": 4},
    "direct": {"activation": "tanh", "direct": 8},
}
REASONS = {
    "lstm, peephole": "its gates see the cells",
    "gru, before": "its gates reset before the product",
    "elman, logistic": "its activation is logistic, not tanh or relu",
    "elman, elu": "its activation is elu",
    "plain, logistic": "its activation is logistic",
    "jordan": "its cell is jordan",
    "carousel": "no forget gate",
    "classes": "it has 3 classes of words",
    "compression": "a compression layer",
    "direct": "direct connections",
}


@every(NOT_TORCH)
def test_a_model_that_pytorch_lacks_is_refused_by_name(name, tmp_path):
    lm = model_of("plain")
    config = ModelConfig(**{"hidden": 6, "classes": 1} | NOT_TORCH[name])
    lm = type(lm)(config, lm.vocab, lm.params, lm.class_of_word, lm.start_hidden)
    with pytest.raises(CorpusError, match="not possible as a state dictionary of PyTorch") as error:
        io.save(lm, tmp_path / "m", "torch")
    assert REASONS[name] in str(error.value)
    assert not list(tmp_path.iterdir())


def test_parameters_that_have_no_place_are_refused_by_name(tmp_path):
    lm = model_of("lstm")
    lm.params["N"] = np.zeros(3, np.float32)
    with pytest.raises(CorpusError, match="there is no place for its parameter N"):
        io.save(lm, tmp_path / "m", "torch")


def zeros(*shape):
    return np.zeros(shape, np.float32)


CHANGES = {
    '"rnn.weight_ih_l0_reverse" is of a bidirectional network': {"rnn.weight_ih_l0_reverse": zeros(12, 3)},
    '"rnn.weight_hr_l0" is a projection': {"rnn.weight_hr_l0": zeros(2, 4)},
    '"attention.weight" is unknown; known are encoder.weight': {"attention.weight": zeros(2, 4)},
    '"rnn.weight_hh_l2" is missing': {"rnn.weight_ih_l2": zeros(12, 4)},
    '"decoder.weight" is missing': {"decoder.weight": None},
    '"encoder.weight" is missing': {"encoder.weight": None},
    '"rnn.weight_hh_l0": (8, 4) is not of RNN, GRU or LSTM': {"rnn.weight_hh_l0": zeros(8, 4)},
    '"rnn.weight_hh_l1": (16, 4) is not of': {"rnn.weight_hh_l1": zeros(16, 4)},
    '"rnn.bias_ih_l1": (12,), where (15,) would fit': {"rnn.weight_hh_l1": zeros(15, 5)},
    "the input weights of layer 2: (3, 12), where (4, 12) would fit": {"rnn.weight_ih_l1": zeros(12, 3)},
    '"rnn.bias_hh_l0": (11,), where (12,) would fit': {"rnn.bias_hh_l0": zeros(11)},
    "the output: (5, 4), where (6, 4) would fit": {"decoder.weight": zeros(5, 4)},
    "the bias of the output: (5,), where (6,) would fit": {"decoder.bias": zeros(5)},
    '"decoder.bias" has 2 dimensions, not 1': {"decoder.bias": zeros(6, 1)},
    'NaN or infinity in the tensor "decoder.bias"': {"decoder.bias": zeros(6) + np.nan},
    "its tensors are of float32, int64": {"decoder.bias": np.zeros(6, np.int64)},
    "its tensors are of float32, float64": {"decoder.bias": np.zeros(6)},
}


@pytest.mark.parametrize("finding", CHANGES)
def test_tensors_that_do_not_fit_are_refused_by_name(finding, tmp_path):
    tensors = {
        name: values for name, values in (golden_tensors("gru") | CHANGES[finding]).items() if values is not None
    }
    safetensors.numpy.save_file(tensors, tmp_path / "m")
    with pytest.raises(FormatError) as error:
        io.load(tmp_path / "m", missing=Missing(str(FOLDER / "words.txt")))
    assert str(error.value).startswith(f"{tmp_path / 'm'}: ")
    assert finding in str(error.value)


WORD_LISTS = {
    "5 words, where the network has 6": b"the\ncat\nsat\n</s>\nand\n",
    "neither </s> nor <eos> is among its words": b"the\ncat\nsat\nend\nand\n.\n",
    "the word cat is there twice": b"the\ncat\ncat\n</s>\nand\n.\n",
    "expected one word a line": b"the\nthe cat\ncat\n</s>\nand\n.\n",
}


@pytest.mark.parametrize("finding", WORD_LISTS)
def test_a_list_that_is_not_of_its_words_is_refused(finding, tmp_path):
    (tmp_path / "words").write_bytes(WORD_LISTS[finding])
    with pytest.raises(FormatError) as error:
        io.load(FOLDER / "lstm.safetensors", missing=Missing(str(tmp_path / "words")))
    assert finding in str(error.value)
    assert str(error.value).startswith(f"{tmp_path / 'words'}:")


def test_what_the_file_does_not_say_is_asked_for():
    with pytest.raises(FormatError, match=r"does not say its 6 words: .* as `vocab_file`"):
        io.load(FOLDER / "lstm.safetensors")
    with pytest.raises(FormatError, match=r"does not say the function of its units: .* with the right `activation`"):
        golden_model("rnn")


def test_what_the_file_says_is_not_asked_for(tmp_path):
    io.save(model_of("lstm"), tmp_path / "m")
    with pytest.raises(CorpusError, match="`vocab_file` is for files of PyTorch and ONNX"):
        io.load(tmp_path / "m", missing=Missing("words"))


BAD_METADATA = {
    "rnnlm": ["[]", '{"independent": 3}', '{"activation": "a\\nb"}', '{"start": [1.0]}', '{"start": [1e999]}', "{"],
    "words": ['["</s>"]', "[1]", "{}", json.dumps(["</s>"] * 11), json.dumps([""] * 11)],
    "counts": ["[1]", json.dumps([-1] * 11), json.dumps([1 << 70] * 11)],
    "training": ["[]", '{"bptt": "4"}'],
    "history": ["{}", '[{"epoch": "x"}]'],
}


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in BAD_METADATA.items() for value in values])
def test_metadata_that_are_not_what_they_should_be(key, value, tmp_path):
    io.save(model_of("elman"), tmp_path / "m", "torch")
    with safetensors.safe_open(tmp_path / "m", "np") as file:
        metadata = file.metadata()
    safetensors.numpy.save_file(safetensors.numpy.load_file(tmp_path / "m"), tmp_path / "bad", metadata | {key: value})
    with pytest.raises(FormatError) as error:
        io.load(tmp_path / "bad")
    assert "\n" not in str(error.value)


def test_any_changed_byte_is_read_or_refused_in_one_line(tmp_path):
    io.save(model_of("lstm, tied"), tmp_path / "m", "torch")
    content = (tmp_path / "m").read_bytes()
    rng = np.random.default_rng(7)
    for _ in range(500):
        changed = bytearray(content)
        for place in rng.integers(0, 2500, rng.integers(1, 4)):
            changed[place] = rng.integers(256)
        (tmp_path / "bad").write_bytes(changed)
        message = ""
        try:
            io.load(tmp_path / "bad")
        except CorpusError as error:
            message = str(error)
        assert "\n" not in message
