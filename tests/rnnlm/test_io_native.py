"""Native model files: what was saved comes back, mapped; a bad file is one line, never a crash or an allocation."""

import json
import mmap
import struct
import tracemalloc

import numpy as np
import pytest
import safetensors.numpy

from corpora.errors import CorpusError, FormatError
from corpora.text.vocab import Vocab
from rnnlm import io
from rnnlm.config import ModelConfig
from rnnlm.io import native
from rnnlm.model import RecurrentLM

WORDS = [b"</s>", b"the", b"\xff\xfe", "日本".encode(), b"cat"]
ARCHITECTURES = {
    "full": {"classes": 1},
    "classes": {"classes": 3, "old_classes": True, "independent": True},
    "compression": {"classes": 2, "compression": 4, "activation": "tanh"},
    "direct": {"classes": 2, "direct": 10, "direct_order": 4},
    "float64": {"classes": 2, "compression": 1, "direct": 6, "dtype": "float64", "activation": "elu"},
}


def model(seed=0, hidden=3, **settings) -> RecurrentLM:
    rng = np.random.default_rng(seed)
    config = ModelConfig(hidden=hidden, **settings)
    shapes = native.parameter_shapes(config, len(WORDS))
    return RecurrentLM(
        config=config,
        vocab=Vocab(WORDS, [9, 7, 7, 2, 1]),
        params={name: rng.normal(size=shape).astype(config.dtype) for name, shape in shapes.items()},
        class_of_word=np.minimum(np.arange(len(WORDS)), config.classes - 1).astype(np.int32),
        start_hidden=rng.random(hidden).astype(config.dtype),
        training={"alpha": np.float64(0.1), "iterations": np.int64(3), "train_file": "caf\udce9.txt"},
        history=[{"epoch": 0, "valid_entropy": 7.25, "done": True}],
    )


def assert_same(a: RecurrentLM, b: RecurrentLM) -> None:
    assert (a.config, a.training, a.history) == (b.config, b.training, b.history)
    assert a.vocab == b.vocab
    assert a.vocab.counts.tolist() == b.vocab.counts.tolist()
    assert a.params.keys() == b.params.keys()
    pairs = [(a.params[name], b.params[name]) for name in a.params]
    for x, y in [*pairs, (a.class_of_word, b.class_of_word), (a.start_hidden, b.start_hidden)]:
        assert x.dtype == y.dtype
        assert np.array_equal(x, y)


def parts(path) -> tuple[dict, bytes]:
    content = path.read_bytes()
    end = 8 + struct.unpack("<Q", content[:8])[0]
    return json.loads(content[8:end]), content[end:]


def rewrite(path, entries, tensors: bytes) -> None:
    header = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + tensors)


def refusal(path) -> str:
    with pytest.raises(FormatError) as error:
        io.load(path)
    message = str(error.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_saved_model_comes_back_the_same(name, tmp_path):
    lm = model(**ARCHITECTURES[name])
    io.save(lm, tmp_path / "model")
    assert_same(io.load(tmp_path / "model"), lm)


def test_the_safetensors_package_reads_it(tmp_path):
    lm = model(**ARCHITECTURES["direct"])
    io.save(lm, tmp_path / "model")
    tensors = safetensors.numpy.load_file(tmp_path / "model")
    for name, values in lm.params.items():
        assert np.array_equal(tensors[name], values)
    assert tensors["vocab_blob"].tobytes() == b"".join(WORDS)
    with safetensors.safe_open(tmp_path / "model", "np") as file:
        assert file.metadata()["format"] == "rnnlm-native"
        assert json.loads(file.metadata()["config"])["direct"] == 10


def test_a_file_that_the_safetensors_package_wrote_is_read(tmp_path):
    lm = model(**ARCHITECTURES["compression"])
    io.save(lm, tmp_path / "ours")
    metadata = parts(tmp_path / "ours")[0]["__metadata__"]
    safetensors.numpy.save_file(safetensors.numpy.load_file(tmp_path / "ours"), tmp_path / "theirs", metadata)
    assert_same(io.load(tmp_path / "theirs"), lm)


def test_an_unaligned_file_is_read_into_aligned_arrays(tmp_path):
    io.save(model(), tmp_path / "model")
    entries, tensors = parts(tmp_path / "model")
    for pad in range(8):
        rewrite(tmp_path / "odd", json.dumps(entries).encode() + b" " * pad, tensors)
        lm = io.load(tmp_path / "odd")
        assert_same(lm, io.load(tmp_path / "model"))
        assert all(values.flags.aligned for values in lm.params.values())


def test_arrays_are_mapped_and_changing_them_leaves_the_file(tmp_path):
    io.save(model(), tmp_path / "model")
    before = (tmp_path / "model").read_bytes()
    lm = io.load(tmp_path / "model")
    base = lm.params["U"]
    while isinstance(base, np.ndarray):
        base = base.base
    assert isinstance(base.obj if isinstance(base, memoryview) else base, mmap.mmap)
    for values in lm.params.values():
        values += 1
    assert (tmp_path / "model").read_bytes() == before
    assert_same(io.load(tmp_path / "model"), model())


def test_a_model_can_be_saved_over_the_file_it_is_mapped_from(tmp_path):
    io.save(model(), tmp_path / "model")
    lm = io.load(tmp_path / "model")
    lm.params["U"][1] = 2
    io.save(lm, tmp_path / "model")
    assert_same(io.load(tmp_path / "model"), lm)


def test_another_dtype_on_request(tmp_path):
    io.save(model(), tmp_path / "model")
    lm = io.load(tmp_path / "model", dtype="float64")
    assert lm.config.dtype == "float64"
    assert {values.dtype.name for values in (*lm.params.values(), lm.start_hidden)} == {"float64"}
    assert np.array_equal(lm.params["W"], model().params["W"])


def test_a_checkpoint_keeps_extra_arrays_and_metadata(tmp_path):
    extra = {
        "optimizer.U": np.arange(6.0).reshape(2, 3),
        "random": np.array([1, 2**63], np.uint64),
        "U": np.zeros((0, 4), np.float32),
        "position": np.array(17, np.int64),
    }
    native.save(model(), tmp_path / "model", extra=extra, extra_meta={"epoch": 3, "best": [1.5, None]})
    lm, found, meta = io.load_checkpoint(tmp_path / "model")
    assert_same(lm, model())
    assert meta == {"epoch": 3, "best": [1.5, None]}
    assert found.keys() == extra.keys()
    for name, values in extra.items():
        assert (found[name].dtype, found[name].shape) == (values.dtype, values.shape)
        assert np.array_equal(found[name], values)
    assert_same(io.load(tmp_path / "model"), model())


def test_the_head_is_read_alone(tmp_path):
    io.save(model(**ARCHITECTURES["direct"]), tmp_path / "model.text")
    facts = io.peek(tmp_path / "model.text")
    assert (facts["format"], facts["n_words"], facts["history"][0]["epoch"]) == ("native", 5, 0)
    assert facts["config"] == model(**ARCHITECTURES["direct"]).config
    assert facts["n_parameters"] == 5 * 3 + 3 * 3 + 2 * 3 + 5 * 3 + 10


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    io.save(model(), tmp_path / "model")
    before = (tmp_path / "model").read_bytes()
    lm = model(1)
    lm.params["D2"] = np.zeros(1, np.complex64)  # has no place in the format
    with pytest.raises((KeyError, ValueError)):
        io.save(lm, tmp_path / "model")
    with pytest.raises(CorpusError):
        io.save(model(), tmp_path / "no" / "model")
    assert (tmp_path / "model").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_cut_short_anywhere(tmp_path):
    io.save(model(), tmp_path / "model")
    content = (tmp_path / "model").read_bytes()
    for size in [*range(100), *range(100, len(content), 11), len(content) - 1]:
        (tmp_path / "cut").write_bytes(content[:size])
        message = refusal(tmp_path / "cut")
        assert ("cut short" in message) == (size > 8), (size, message)


def test_rubbish_at_the_end(tmp_path):
    io.save(model(), tmp_path / "model")
    with open(tmp_path / "model", "ab") as file:
        file.write(b"x")
    assert "rubbish at the end" in refusal(tmp_path / "model")


def test_a_header_that_claims_the_world_allocates_nothing(tmp_path):
    io.save(model(), tmp_path / "model")
    entries, tensors = parts(tmp_path / "model")
    size = entries["U"]["data_offsets"]
    claims = [
        {"shape": [10**9, 10**9], "data_offsets": [size[0], size[0] + 4 * 10**18]},
        {"shape": [2**63, 2**63], "data_offsets": size},
        {"shape": [-5, -3], "data_offsets": size},
        {"shape": [5.0, 3], "data_offsets": size},
        {"shape": [True], "data_offsets": size},
        {"shape": [0, 2**63], "data_offsets": [0, 0]},
        {"shape": [1] * 100, "data_offsets": size},
        {"dtype": "F4", "shape": [5, 3], "data_offsets": size},
    ]
    tracemalloc.start()
    for claim in claims:
        rewrite(tmp_path / "bad", {**entries, "U": entries["U"] | claim}, tensors)
        refusal(tmp_path / "bad")
    (tmp_path / "bad").write_bytes(struct.pack("<Q", 99_000_000) + b"{" + b" " * 1000)
    assert "cut short" in refusal(tmp_path / "bad")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2e6


def _set(entries, key, **values):
    metadata = entries["__metadata__"]
    metadata[key] = json.dumps(json.loads(metadata[key]) | values)


BAD_HEADERS = {
    "version 2; this program reads version 1": lambda e: e["__metadata__"].update(format_version="2"),
    "not one of this program": lambda e: e["__metadata__"].update(format="pt"),
    '"U" is missing': lambda e: e.update({"extra.U": e.pop("U")}),
    'the tensor "V" has no place': lambda e: e.update(V=e.pop("U")),
    "overlap, or leave holes": lambda e: e["O"].update(data_offsets=e["U"]["data_offsets"]),
    "unknown setting depth": lambda e: _set(e, "config", depth=2),
    "hidden is 3.0": lambda e: _set(e, "config", hidden=3.0),
    "`activation`": lambda e: _set(e, "config", activation="a\nb"),
    "`cell` mgu: one of elman": lambda e: _set(e, "config", cell="mgu"),
    "where its configuration makes": lambda e: _set(e, "config", hidden=4),
    '"config" in its metadata': lambda e: e["__metadata__"].update(config="[]"),
    '"history" in its metadata': lambda e: e["__metadata__"].update(history="["),
    '"training" in its metadata': lambda e: e["__metadata__"].pop("training"),
    "float64": lambda e: _set(e, "config", dtype="float64"),
    'the tensor "\\ud800"': lambda e: e.update({"\ud800": 1}),
}


@pytest.mark.parametrize("finding", BAD_HEADERS)
def test_a_header_that_does_not_fit(finding, tmp_path):
    io.save(model(), tmp_path / "model")
    entries, tensors = parts(tmp_path / "model")
    BAD_HEADERS[finding](entries)
    rewrite(tmp_path / "model", entries, tensors)
    assert finding in refusal(tmp_path / "model")


@pytest.mark.parametrize(
    "header", [b"{" + b"[" * 100_000, b"{}", b"{\xff}", b'{"U": 1}', b'{"__metadata__": 3}', b"{1}"]
)
def test_a_header_that_is_no_safetensors_header(header, tmp_path):
    rewrite(tmp_path / "model", header, b"")
    refusal(tmp_path / "model")


def test_a_foreign_safetensors_file_is_named(tmp_path):
    safetensors.numpy.save_file({"weight": np.zeros(3, np.float32)}, tmp_path / "model.safetensors")
    assert "a safetensors file, but not one of this program" in refusal(tmp_path / "model.safetensors")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["U", "W", "K", "C", "O", "D", "start_hidden"])
def test_nan_or_infinity_inside(name, bad, tmp_path):
    lm = model(classes=2, compression=4, direct=10)
    (lm.params | {"start_hidden": lm.start_hidden})[name].flat[-1] = bad
    io.save(lm, tmp_path / "model")
    assert f'NaN or infinity in the tensor "{name}"' in refusal(tmp_path / "model")


@pytest.mark.parametrize("classes", [[0, 1, 0, 1, 1], [0, 0, 0, 0, 2], [-1, 0, 0, 0, 0]])
def test_classes_that_decrease_or_are_out_of_range(classes, tmp_path):
    lm = model(classes=2)
    lm.class_of_word = np.array(classes, np.int32)
    io.save(lm, tmp_path / "model")
    assert '"class_of_word"' in refusal(tmp_path / "model")


def test_a_vocabulary_that_does_not_fit_its_offsets(tmp_path):
    io.save(model(), tmp_path / "model")
    entries, tensors = parts(tmp_path / "model")
    begin, end = entries["vocab_offsets"]["data_offsets"]
    for offsets in ([0, 4, 3, 8, 14, 17], [0, 4, 7, 9, 15, 99], [1, 4, 7, 9, 15, 18], [0, 4, 4, 9, 15, 18]):
        changed = tensors[:begin] + np.array(offsets, "<i8").tobytes() + tensors[end:]
        rewrite(tmp_path / "bad", entries, changed)
        assert "vocabulary" in refusal(tmp_path / "bad")


def test_any_changed_byte_is_read_or_refused_in_one_line(tmp_path):
    io.save(model(classes=2, direct=4), tmp_path / "model")
    content = (tmp_path / "model").read_bytes()
    rng = np.random.default_rng(7)
    for _ in range(1000):
        changed = bytearray(content)
        for place in rng.integers(0, len(content), rng.integers(1, 4)):
            changed[place] = rng.integers(256)
        (tmp_path / "bad").write_bytes(changed)
        message = ""
        try:
            io.load(tmp_path / "bad")
        except CorpusError as error:
            message = str(error)
        assert "\n" not in message


@pytest.mark.parametrize("classes", [[0, 2147483647, -2, 0, 0], [0, 1, 0, 2, 2], [0, 1, 2, 3, 3], [-1, 0, 0, 1, 2]])
def test_classes_must_be_in_order_even_where_their_differences_would_wrap_around(classes, tmp_path):
    lm = model(classes=3)
    lm.class_of_word = np.array(classes, np.int32)
    io.save(lm, tmp_path / "m")
    with pytest.raises(FormatError, match='"class_of_word" decreases, or is outside 0 to 2'):
        io.load(tmp_path / "m")


@pytest.mark.parametrize(
    "training",
    [
        *({"bptt": "4"}, {"bptt": 5, "bptt_block": 0}, {"bptt": 1 << 40}, {"tokenizer": 3}, {"config": []}),
        *({"config": {"beta": "x"}}, {"valid_log10_prob": [1]}),
    ],
)
def test_what_the_metadata_says_must_be_of_its_type(training, tmp_path):
    lm = model()
    lm.training = training
    io.save(lm, tmp_path / "m")
    with pytest.raises(FormatError, match='"training" in its metadata: '):
        io.load(tmp_path / "m")
