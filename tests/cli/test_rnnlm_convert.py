"""``rnnlm convert`` from and to PyTorch and ONNX."""

import json
from importlib.util import find_spec

import pytest

from tests.golden_files import GOLDEN

TORCH = GOLDEN / "torch"
needs_onnx = pytest.mark.skipif(not find_spec("onnx"), reason="the extra `onnx` is not installed")


@pytest.fixture(scope="module")
def an_lstm(trained, rnnlm, tmp_path_factory):
    path = tmp_path_factory.mktemp("lstm") / "lstm.rnnlm"
    text = f"{trained}/train.txt --valid {trained}/valid.txt"
    code, _, err = rnnlm(f"train {text} -o {path} --cell lstm --hidden 6 --embedding 4 --max-iter 1 --lower")
    assert code == 0, err
    return path


@pytest.mark.parametrize("name", ["m.safetensors --to torch", pytest.param("m.onnx", marks=needs_onnx)])
def test_what_was_converted_is_a_model_like_others_and_comes_back(name, an_lstm, folder, rnnlm, done):
    code, out, err = rnnlm(f"convert {an_lstm} -o {name}")
    assert (code, out, err) == (0, "", "")  # it knows its tokenizer
    path = name.split()[0]
    done(f"convert {path} -o back.rnnlm --to native")
    expected = done(f"surprisal -m {an_lstm} test.txt")
    assert done(f"surprisal -m {path} test.txt") == expected
    assert done("surprisal -m back.rnnlm test.txt") == expected
    told, original = (json.loads(done(f"info {each} --json")) for each in (path, an_lstm))
    assert told["format"] == ("onnx" if path == "m.onnx" else "torch")
    for key in ("architecture", "words", "parameters", "training", "history"):
        assert told[key] == original[key]


def test_the_toolkits_network_goes_to_onnx(folder, done):
    pytest.importorskip("onnx")
    done("train train.txt --valid valid.txt -o plain.rnnlm --hidden 4 --class 1 --max-iter 1")
    done("convert plain.rnnlm -o plain.onnx")
    assert done("surprisal -m plain.onnx test.txt") == done("surprisal -m plain.rnnlm test.txt")


def test_a_model_of_pytorch_gets_its_words_from_a_list(folder, done):
    done(f"convert {TORCH}/lstm.safetensors -o m.rnnlm --to native --vocab {TORCH}/words.txt")
    assert done("ppl -m m.rnnlm --report word --format tsv", b"the cat sat\n").count("\n") == 5
    done(f"convert {TORCH}/rnn.safetensors -o r.rnnlm --to native --vocab {TORCH}/words.txt --activation relu")
    assert "elman, 4 relu hidden units" in done("info r.rnnlm")


def test_what_is_missing_is_said_with_the_option_that_gives_it(folder, refused):
    refused(f"convert {TORCH}/lstm.safetensors -o m --to native", 1, "does not say its 6 words", "as --vocab")
    refused(f"ppl -m {TORCH}/lstm.safetensors test.txt", 1, "does not say its 6 words")
    rnn = f"convert {TORCH}/rnn.safetensors -o m --to native"
    refused(f"{rnn} --vocab {TORCH}/words.txt", 1, "convert it with the right --activation")
    refused(f"{rnn} --vocab nothing.txt --activation tanh", 1, "nothing.txt: No such file")
    refused(f"{rnn} --vocab test.txt --activation tanh", 1, "test.txt:1: expected")


def test_what_does_not_fit_is_refused(folder, models, refused):
    refused("convert small.rnnlm -o m --to torch", 1, "m: not possible as a state dictionary of PyTorch: ")
    refused("convert small.rnnlm -o m --to native --vocab words.txt", 1, "--vocab is for files of PyTorch and ONNX")
    refused("convert kn3.lm -o m --to torch", 1, "an n-gram model cannot be written as torch")
    (folder / "saved.pt").write_bytes(b"PK\x03\x04" + bytes(100))
    refused("convert saved.pt -o m --to native", 1, "save the state dictionary with safetensors.torch.save_file")


@needs_onnx
def test_a_model_that_onnx_lacks_is_refused(folder, refused):
    refused("convert small.rnnlm -o m.onnx", 1, "m.onnx: not possible as an ONNX graph: it has 4 classes")
