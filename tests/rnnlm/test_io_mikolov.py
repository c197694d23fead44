"""Model files of Mikolov's RNNLM toolkit: the same bytes as it writes, the same numbers."""

import bz2
import errno
import gzip
import lzma
import os
import threading

import numpy as np
import pytest

from corpora.errors import CorpusError
from corpora.text.vocab import Vocab
from rnnlm import io
from rnnlm.config import ModelConfig
from rnnlm.io import mikolov
from rnnlm.io.native import parameter_shapes
from rnnlm.model import RecurrentLM
from rnnlm.outputs.classes import frequency_classes
from tests.golden_files import golden_bytes
from tests.mikolov_files import TINY, golden, loaded, tiny_10, tiny_binary

GOLDEN_MODELS = [
    *(
        f"{name}.{form}"
        for name in ("full", "classes", "oldclass", "sentence", "compress")
        for form in ("text", "binary")
    ),
    "direct.binary",
]


def of_cell(lm: RecurrentLM, cell: str) -> None:
    object.__setattr__(lm.config, "cell", cell)  # a cell of a later version: ModelConfig refuses it


def random_model(seed: int = 0, n_words: int = 40, hidden: int = 5, scale: float = 1.0, **options) -> RecurrentLM:
    rng = np.random.default_rng(seed)
    config = ModelConfig(hidden=hidden, **options)
    counts = np.sort(rng.integers(1, 500, n_words))[::-1].copy()
    shapes = parameter_shapes(config, n_words)
    return RecurrentLM(
        config=config,
        vocab=Vocab([b"</s>", *(b"w\xe9%d" % i for i in range(1, n_words))], counts),
        params={name: (scale * rng.normal(size=shape)).astype(config.dtype) for name, shape in shapes.items()},
        class_of_word=frequency_classes(counts, config.classes, config.old_classes),
        start_hidden=rng.random(hidden).astype(config.dtype),
        training={"train_file": "a.txt", "alpha": 0.05, "iterations": 7, "bptt": 5, "valid_log10_prob": -12.5},
    )


def by_hand(lm: RecurrentLM) -> bytes:
    """The text file of a model, number by number as C's printf would."""
    p, config, v = lm.params, lm.config, len(lm.vocab)
    h, c, below = config.hidden, config.classes, config.compression or config.hidden
    lines = [
        "version: 10",
        "file format: 0\n",
        "training data file: a.txt",
        "validation data file: -\n",
        "last probability of validation data: -12.500000",
        "number of finished iterations: 7",
        "current position in training data: 0",
        "current probability of training data: 0.000000",
        "save after processing # words: 0",
        "# of training words: 0",
        f"input layer size: {v + h}",
        f"hidden layer size: {h}",
        f"compression layer size: {config.compression}",
        f"output layer size: {v + c}",
        f"direct connections: {config.direct}",
        f"direct order: {config.direct_order}",
        "bptt: 5",
        "bptt block: 10",
        f"vocabulary size: {v}",
        f"class size: {c}",
        f"old classes: {int(config.old_classes)}",
        f"independent sentences mode: {int(config.independent)}",
        "starting learning rate: 0.100000",
        "current learning rate: 0.050000",
        "learning rate decrease: 0\n\n",
        "Vocabulary:",
    ]
    for i in range(v):
        word = lm.vocab.words[i].decode("latin-1")
        lines.append(f"{i:6d}\t{lm.vocab.counts[i]:10d}\t{word}\t{lm.class_of_word[i]}")
    lines.append("\nHidden layer activation:")
    lines += [f"{x:.4f}" for x in lm.start_hidden]
    lines.append("\nWeights 0->1:")
    for b in range(h):
        lines += [f"{p['U'][w, b]:.4f}" for w in range(v)] + [f"{p['W'][j, b]:.4f}" for j in range(h)]
    if config.compression:
        lines.append("\n\nWeights 1->c:")
        lines += [f"{p['K'][b, a]:.4f}" for b in range(below) for a in range(h)]
    lines.append("\n\nWeights c->2:" if config.compression else "\n\nWeights 1->2:")
    lines += [f"{p[name][b, a]:.4f}" for name, n in (("O", v), ("C", c)) for b in range(n) for a in range(below)]
    lines.append("\nDirect connections:")
    lines += [f"{x:.2f}" for x in p.get("D", [])]
    return "".join(line + "\n" for line in lines).encode("latin-1")


# --- what is read


def test_the_toolkits_models_are_computed_in_its_precision(tmp_path):
    lm = loaded(tmp_path, TINY, dtype=None)
    assert lm.config.dtype == "float64"
    assert lm.params["W"][1, 1] == -0.0438


@pytest.mark.parametrize("content", [TINY, tiny_10(), tiny_binary()], ids=["version 9", "version 10", "binary"])
def test_where_every_weight_goes_by_hand(content, tmp_path):
    lm = loaded(tmp_path, content)
    # columns 0-3 of the rows of 0->1 are the words, 4-5 the hidden units before
    assert lm.params["U"][:, 0].tolist() == np.float32([0.1530, -0.2637, 0.1627, 0.1156]).tolist()
    assert lm.params["W"].tolist() == np.float32([[0.0224, 0.0579], [0.1108, -0.0438]]).tolist()
    assert lm.params["O"][2].tolist() == np.float32([0.2996, 0.1368]).tolist()
    assert lm.params["C"].tolist() == np.float32([[0.4453, 0.3530], [-0.2935, -0.3738]]).tolist()
    assert lm.start_hidden.tolist() == np.float32([0.5523, 0.4790]).tolist()
    assert sorted(lm.params) == ["C", "O", "U", "W"]
    assert all(values.flags.c_contiguous for values in lm.params.values())
    assert list(lm.vocab.words) == [b"</s>", b"a", b"b", b"c"]
    assert lm.vocab.counts.tolist() == [3, 3, 2, 1]
    assert lm.class_of_word.tolist() == [0, 0, 1, 1]
    assert lm.config == ModelConfig(hidden=2, classes=2, direct_order=3)


def test_what_training_needs_to_go_on(tmp_path):
    assert loaded(tmp_path, TINY).training == {
        "train_file": "tinytr",
        "valid_file": "tinyva",
        "valid_log10_prob": -1.600834,
        "iterations": 20,
        "train_position": 0,
        "train_log10_prob": -1.598417,
        "save_every": 0,
        "train_words": 9,
        "bptt": 0,
        "bptt_block": 10,
        "starting_alpha": 0.1,
        "alpha": 0.05,
        "alpha_divide": 1,
        "file_version": 9,
        "file_format": "text",
    }


def test_text_numbers_are_exact_in_float64(tmp_path):
    lm = loaded(tmp_path, TINY, dtype="float64")
    assert lm.config.dtype == lm.params["U"].dtype == lm.start_hidden.dtype == "float64"
    assert lm.params["W"].tolist() == [[0.0224, 0.0579], [0.1108, -0.0438]]


def test_text_and_binary_of_a_golden_model_agree_to_four_decimals():
    for name in ("full", "classes", "compress"):
        text, binary = (io.load(golden(f"{name}.{form}"), dtype="float64") for form in ("text", "binary"))
        assert text.config == binary.config
        assert text.params.keys() == binary.params.keys()
        for key, values in binary.params.items():
            assert np.abs(text.params[key] - values).max() <= 0.5e-4 + 3e-7  # the binary file was rounded to float32


def test_golden_settings():
    assert io.load(golden("oldclass.text")).config.old_classes
    assert io.load(golden("sentence.binary")).config.independent
    compress = io.load(golden("compress.text"))
    assert (compress.config.compression, compress.params["K"].shape, compress.params["C"].shape) == (
        6,
        (6, 16),
        (10, 6),
    )
    assert compress.training["bptt"] == 5  # -bptt 4
    direct = io.load(golden("direct.binary"))
    assert (direct.config.direct, direct.config.direct_order, direct.params["D"].size) == (10**6, 3, 10**6)
    assert direct.params["D"].any()


def test_classes_without_words_are_kept(tmp_path):
    content = (
        tiny_10().replace(b"class size: 2", b"class size: 3").replace(b"output layer size: 6", b"output layer size: 7")
    )
    content = content.replace(b"b\t1\n", b"b\t2\n").replace(b"c\t1\n", b"c\t2\n")
    lm = loaded(tmp_path, content.replace(b"\n\nDirect", b"\n0.5\n0.5\n\nDirect"))
    assert lm.class_of_word.tolist() == [0, 0, 2, 2]
    assert lm.params["C"].shape == (3, 2)


def test_other_spellings_of_numbers_and_line_ends_are_read(tmp_path):
    content = TINY.replace(b"0.5523\n", b" +5.523e-1\n").replace(b"-0.0438", b"-.0438 ").replace(b"\n", b"\r\n")
    a, b = loaded(tmp_path, content), loaded(tmp_path, TINY)
    assert all(np.array_equal(a.params[name], b.params[name]) for name in b.params)
    assert a.start_hidden.tolist() == b.start_hidden.tolist()
    assert a.vocab == b.vocab


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("content", [TINY, tiny_binary()])
def test_compressed_files_are_read_whatever_their_name(compress, content, tmp_path):
    lm = loaded(tmp_path, compress(content))
    assert lm.params["W"][1, 1] == np.float32(-0.0438)
    (tmp_path / "native").write_bytes(b"")
    io.save(lm, tmp_path / "native")
    again = loaded(tmp_path, compress((tmp_path / "native").read_bytes()))
    assert np.array_equal(again.params["U"], lm.params["U"])
    again.params["U"] += 1  # writable also where nothing is mapped


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_bytes(tiny_binary()))
    writer.start()
    assert io.load(tmp_path / "pipe").params["W"][1, 1] == np.float32(-0.0438)
    writer.join()


def test_what_a_file_is_comes_from_its_content(tmp_path):
    lm = loaded(tmp_path, TINY)
    for name in ("native", "mikolov-text", "mikolov-binary"):
        path = tmp_path / "model.safetensors.txt.gz"
        io.save(lm, path, name)
        assert io.sniff(path) == name
        facts = io.peek(path)
        assert (facts["format"], facts["n_words"], facts["n_parameters"]) == (name, 4, 24)
        assert facts["config"] == lm.config
        assert facts["bytes"] == path.stat().st_size
    with pytest.raises(CorpusError, match=r"model format srilm: one of .*native, mikolov-text"):
        io.save(lm, path, "srilm")


# --- what is written


@pytest.mark.parametrize("name", GOLDEN_MODELS)
def test_a_golden_model_is_written_byte_for_byte(name, tmp_path):
    content = golden_bytes(f"rnnlm/{name}")
    lm = io.load(golden(name))
    io.save(lm, tmp_path / "native")  # what the native file keeps is enough to write the original again
    for model in (lm, io.load(tmp_path / "native")):
        mikolov.write(model, tmp_path / "written", binary=".binary" in name)
        assert (tmp_path / "written").read_bytes() == content


@pytest.mark.parametrize("content", [TINY, tiny_10(), tiny_binary()], ids=["version 9", "version 10", "binary"])
def test_a_tiny_model_is_written_byte_for_byte(content, tmp_path):
    lm = loaded(tmp_path, content)
    version, form = lm.training["file_version"], lm.training["file_format"]
    mikolov.write(lm, tmp_path / "written", binary=form == "binary", version=version)
    assert (tmp_path / "written").read_bytes() == content


@pytest.mark.parametrize(
    "options",
    [
        {"classes": 1},
        {"classes": 7, "independent": True},
        {"classes": 40, "old_classes": True},  # most classes are empty
        {"classes": 3, "compression": 4, "direct": 50, "direct_order": 2},
        {"classes": 3, "direct": 20, "scale": 1000.0},
        {"classes": 3, "scale": 1e-5},  # mostly 0.0000 and -0.0000
        {"classes": 3, "dtype": "float64", "direct": 6},
    ],
)
def test_a_text_model_is_written_as_printf_would(options, tmp_path):
    lm = random_model(**options)
    mikolov.write(lm, tmp_path / "model", binary=False)
    assert (tmp_path / "model").read_bytes() == by_hand(lm)
    again = io.load(tmp_path / "model", dtype=lm.config.dtype)
    assert again.config == lm.config
    assert again.vocab == lm.vocab
    for name, values in lm.params.items():
        assert np.allclose(again.params[name], values, rtol=1e-6, atol=0.5001e-2 if name == "D" else 0.5001e-4)
    mikolov.write(lm, tmp_path / "model", binary=True)
    again = io.load(tmp_path / "model")
    for name, values in lm.params.items():
        assert np.array_equal(again.params[name], values.astype(np.float32))


UNFIT = {
    "its cell is gru": lambda lm: of_cell(lm, "gru"),
    "its activation is tanh": lambda lm: setattr(lm, "config", ModelConfig(hidden=5, classes=3, activation="tanh")),
    "above 2^31 - 1": lambda lm: lm.vocab.counts.__setitem__(0, 2**31),
    "a NUL byte or white space": lambda lm: setattr(
        lm, "vocab", Vocab([*list(lm.vocab.words)[:-1], b"a\0b"], lm.vocab.counts)
    ),
    "its classes are not those": lambda lm: lm.class_of_word.__setitem__(slice(None), 0),
    "U has NaN": lambda lm: lm.params["U"].__setitem__((3, 1), np.nan),
    "start_hidden has NaN": lambda lm: lm.start_hidden.__setitem__(0, np.inf),
}


@pytest.mark.parametrize("reason", UNFIT)
def test_a_model_that_the_toolkit_cannot_hold_is_refused(reason, tmp_path):
    (tmp_path / "model").write_bytes(b"old")
    lm = random_model(classes=3)
    UNFIT[reason](lm)
    for binary in (False, True):
        with pytest.raises(CorpusError, match=reason.replace("^", r"\^")) as error:
            mikolov.write(lm, tmp_path / "model", binary=binary)
        assert "\n" not in str(error.value)
    assert (tmp_path / "model").read_bytes() == b"old"


def test_beyond_float32_is_refused(tmp_path):
    lm = random_model(classes=3, dtype="float64")
    lm.params["O"][0, 0] = 1e39
    with pytest.raises(CorpusError, match="O has NaN, infinity, or values beyond float32"):
        mikolov.write(lm, tmp_path / "model", binary=True)


def test_version_9_cannot_say_independent(tmp_path):
    with pytest.raises(CorpusError, match="version 9 does not say independent"):
        mikolov.write(random_model(classes=3, independent=True), tmp_path / "model", binary=False, version=9)


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    (tmp_path / "model").write_bytes(b"old")

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(mikolov, "format_decimals", full)
    with pytest.raises(CorpusError, match="model: cannot be written"):
        mikolov.write(random_model(classes=3), tmp_path / "model", binary=False)
    assert (tmp_path / "model").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
