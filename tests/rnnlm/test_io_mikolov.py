"""Model files of Mikolov's RNNLM toolkit: the same bytes as it writes, the same numbers, and no crash on bad ones.

The files of ../shared/golden/rnnlm were written by release 0.4b, TINY by release 0.3d.
"""

import bz2
import errno
import gzip
import lzma
import os
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from corpora.decimals import NotANumber, format_decimals, parse_decimals
from corpora.errors import CorpusError, FormatError
from corpora.tables import frequency_classes
from corpora.vocab import Vocab
from rnnlm import io
from rnnlm.config import ModelConfig
from rnnlm.io import mikolov
from rnnlm.io.native import parameter_shapes
from rnnlm.model import RecurrentLM

GOLDEN = Path(__file__).resolve().parents[2].parent / "shared" / "golden" / "rnnlm"
GOLDEN_MODELS = [
    *(
        f"{name}.{form}"
        for name in ("full", "classes", "oldclass", "sentence", "compress")
        for form in ("text", "binary")
    ),
    "direct.binary.gz",
]

# release 0.3d: rnnlm -train (lines "a b", "a a c", "b") -valid ("a b") -hidden 2 -class 2 -rand-seed 1
TINY = (
    b"version: 9\nfile format: 0\n\ntraining data file: tinytr\nvalidation data file: tinyva\n\n"
    b"last probability of validation data: -1.600834\nnumber of finished iterations: 20\n"
    b"current position in training data: 0\ncurrent probability of training data: -1.598417\n"
    b"save after processing # words: 0\n# of training words: 9\ninput layer size: 6\nhidden layer size: 2\n"
    b"compression layer size: 0\noutput layer size: 6\ndirect connections: 0\ndirect order: 3\nbptt: 0\n"
    b"bptt block: 10\nvocabulary size: 4\nclass size: 2\nstarting learning rate: 0.100000\n"
    b"current learning rate: 0.050000\nlearning rate decrease: 1\n\n\nVocabulary:\n"
    b"     0\t         3\t</s>\t0\n     1\t         3\ta\t0\n     2\t         2\tb\t1\n     3\t         1\tc\t1\n"
    b"\nHidden layer activation:\n0.5523\n0.4790\n"
    b"\nWeights 0->1:\n0.1530\n-0.2637\n0.1627\n0.1156\n0.0224\n0.1108\n"
    b"-0.1102\n-0.3876\n0.0249\n0.0497\n0.0579\n-0.0438\n"
    b"\n\nWeights 1->2:\n0.0519\n0.1842\n0.0149\n0.0453\n0.2996\n0.1368\n-0.3299\n-0.4403\n"
    b"0.4453\n0.3530\n-0.2935\n-0.3738\n\nDirect connections:\n"
)
AFTER_CLASS_SIZE = b"old classes: 0\nindependent sentences mode: 0\n"  # the two lines that version 10 added


def golden(name: str) -> Path:
    if not (GOLDEN / name).exists():
        pytest.skip(f"{GOLDEN / name} is not there")
    return GOLDEN / name


def tiny_10() -> bytes:
    return TINY.replace(b"version: 9", b"version: 10").replace(
        b"class size: 2\n", b"class size: 2\n" + AFTER_CLASS_SIZE
    )


def tiny_binary() -> bytes:
    head, _, _ = tiny_10().replace(b"file format: 0", b"file format: 1").partition(b"\nHidden")
    numbers = [float(line) for line in TINY[TINY.index(b"\nHidden") :].split(b"\n") if line and b":" not in line]
    return head + np.array(numbers, "<f4").tobytes()


def loaded(tmp_path, content: bytes, dtype: str | None = "float32") -> RecurrentLM:
    """In the precision of the toolkit's binary files, unless another is asked for (None: the default, float64)."""
    (tmp_path / "model").write_bytes(content)
    return io.load(tmp_path / "model", dtype=dtype)


def of_cell(lm: RecurrentLM, cell: str) -> None:
    object.__setattr__(lm.config, "cell", cell)  # a cell of a later version: ModelConfig refuses it


def test_the_toolkits_models_are_computed_in_its_precision(tmp_path):
    lm = loaded(tmp_path, TINY, dtype=None)
    assert lm.config.dtype == "float64"
    assert lm.params["W"][1, 1] == -0.0438


def refusal(tmp_path, content: bytes) -> str:
    """What is said of a file, without its name."""
    (tmp_path / "model").write_bytes(content)
    with pytest.raises(FormatError) as error:
        io.load(tmp_path / "model")
    message = str(error.value)
    assert message.startswith(f"{tmp_path / 'model'}:")
    assert "\n" not in message
    return message.removeprefix(f"{tmp_path / 'model'}:").lstrip()


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
    direct = io.load(golden("direct.binary.gz"))
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
    content = golden(name).read_bytes()
    content = gzip.decompress(content) if name.endswith(".gz") else content
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


# --- decimals


@settings(max_examples=300, deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=8), st.sampled_from([2, 4]))
@example([0.0, -0.0, -1e-9, 0.00005, -0.00015, 0.03125, 99999.99995, 0.125, 2.5e-5], 4)  # halves, exact and nearly
@example([1e11, 99999999999.99, 1e15, -123456789.125], 2)
def test_numbers_are_formatted_as_printf_does(values, decimals):
    written = format_decimals(np.array(values), decimals)
    assert written == b"".join(b"%.*f\n" % (decimals, value) for value in values)
    assert parse_decimals(written).tolist() == [float(line) for line in written.split()]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(width=32, min_value=-50, max_value=50), min_size=1, max_size=20))
def test_float32_weights_are_formatted_as_printf_does(values):
    written = format_decimals(np.array(values, np.float32), 4)
    assert written == b"".join(b"%.4f\n" % value for value in values)
    assert np.signbit(parse_decimals(written)).tolist() == [b"-" in line for line in written.split()]


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="0123456789.-+e\n \tnaif", max_size=30))
def test_any_text_is_parsed_as_float_does_or_refused(text):
    tokens = text.split()
    try:
        expected = [float(token) for token in tokens]
        good = all(np.isfinite(expected))
    except ValueError:
        good = False
    content = text.encode() + b"\n"
    if good:
        assert parse_decimals(content).tolist() == expected
    else:
        with pytest.raises(NotANumber) as error:
            parse_decimals(content)
        assert content[error.value.offset :].startswith(error.value.token)


# --- bad files


@pytest.mark.parametrize("content", [TINY, tiny_binary()], ids=["text", "binary"])
def test_cut_short_anywhere(content, tmp_path):
    for size in range(len(content)):
        refusal(tmp_path, content[:size])


def test_a_cut_compressed_file(tmp_path):
    for compress in (gzip.compress, bz2.compress, lzma.compress):
        content = compress(TINY)
        for size in range(len(content) // 2, len(content) - 8, 7):
            refusal(tmp_path, content[:size])


BAD = {
    "rnnlm version 6; versions 9 and 10 can be read": (b"version: 10", b"version: 6"),
    "rnnlm version 11;": (b"version: 10", b"version: 11"),
    '1: "version" is an integer, found "ten"': (b"version: 10", b"version: ten"),
    "2: file format 2;": (b"file format: 0", b"file format: 2"),
    '4: expected "training data file:", found "train file: x"': (b"training data file: tinytr", b"train file: x"),
    "13: input layer size 7, where 4 words + 2 hidden make 6": (b"input layer size: 6", b"input layer size: 7"),
    "16: output layer size 5, where 4 words + 2 classes make 6": (b"output layer size: 6", b"output layer size: 5"),
    '14: "hidden layer size" is 0': (b"hidden layer size: 2", b"hidden layer size: 0"),
    '15: "compression layer size" is -1': (b"compression layer size: 0", b"compression layer size: -1"),
    "17: --direct 3": (b"direct connections: 0", b"direct connections: 3"),
    '25: "starting learning rate" is a number, found "fast"': (b"rate: 0.100000", b"rate: fast"),
    "26: the learning rate is nan": (b"rate: 0.050000", b"rate: nan"),
    '31: the first word is not </s>: "x"': (b"</s>", b"x"),
    '32: expected "index, count, word, class"': (b"     1\t", b"     1 "),
    "32: expected word 1, found word 7": (b"     1\t", b"     7\t"),
    "32: the count is -3": (b"3\ta\t", b"-3\ta\t"),
    '33: the word is there twice: "a"': (b"\tb\t", b"\ta\t"),
    '33: no word: ""': (b"\tb\t", b"\t\t"),
    "34: classes must not decrease and be below their number, found class 0 after class 1, of 2": (b"c\t1", b"c\t0"),
    "34: classes must not decrease and be below their number, found class 2": (b"c\t1", b"c\t2"),
    '37: expected a number, found "x"': (b"0.5523", b"x"),
    '38: expected a number, found "nan"': (b"0.4790", b"nan"),
    '40: "Weights 0->1:" needs 12 numbers by the sizes at the head, found 11': (b"0.1627\n", b""),
    '40: "Weights 0->1:" needs 12 numbers by the sizes at the head, found at least 13': (b"0.1627\n", b"0.1\n0.2\n"),
    '55: expected "Weights 1->2:", found "Weights 1->c:"': (b"Weights 1->2", b"Weights 1->c"),
    '35: expected "Hidden layer activation:", found "4': (b"c\t1\n", b"c\t1\n4\t5\td\t1\n"),
    "needs 0 numbers by the sizes at the head, found at least 1": (
        b"Direct connections:\n",
        b"Direct connections:\n1\n",
    ),
    '70: expected a number, found "rubbish:"': (b"Direct connections:\n", b"Direct connections:\nrubbish: 3\n"),
}


@pytest.mark.parametrize("finding", BAD)
def test_a_text_file_that_contradicts_itself_names_the_line(finding, tmp_path):
    old, new = BAD[finding]
    assert old in tiny_10()
    message = refusal(tmp_path, tiny_10().replace(old, new, 1))
    assert message.startswith(finding) or (finding[0] == "n" and finding in message), message


def test_binary_files_of_another_length_or_with_nan(tmp_path):
    content = tiny_binary()
    assert "rubbish at the end: " in refusal(tmp_path, content + b"\0")
    assert "cut short" in refusal(tmp_path, content[:-4])
    for bad in (np.nan, np.inf):
        changed = content[:-4] + np.array(bad, "<f4").tobytes()
        assert 'NaN or infinity in "Weights 1->2"' in refusal(tmp_path, changed)


def test_infinity_after_rounding_to_float32_is_refused(tmp_path):
    content = tiny_10().replace(b"-0.0438", b"1e39")
    with pytest.raises(FormatError, match='NaN or infinity in "Weights 0->1"'):
        loaded(tmp_path, content)
    assert loaded(tmp_path, content, dtype="float64").params["W"][1, 1] == 1e39


@pytest.mark.parametrize("content", [tiny_10(), tiny_binary()], ids=["text", "binary"])
def test_sizes_that_claim_the_world_allocate_nothing(content, tmp_path):
    claims = {
        b"hidden layer size: 2": b"hidden layer size: 1000000000",
        b"input layer size: 6": b"input layer size: 1000000004",
        b"direct connections: 0": b"direct connections: 100000000000000000",
    }
    tracemalloc.start()
    first = content
    for old, new in claims.items():
        first = first.replace(old, new)
    assert "cut short, or its sizes are wrong" in refusal(tmp_path, first)
    second = content.replace(b"direct connections: 0", b"direct connections: 1000000000")
    assert "cut short, or its sizes are wrong" in refusal(tmp_path, second)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2e6


@pytest.mark.parametrize("content", [TINY, tiny_binary()], ids=["text", "binary"])
def test_any_changed_byte_is_read_or_refused_in_one_line(content, tmp_path):
    rng = np.random.default_rng(5)
    for _ in range(500):
        changed = bytearray(content)
        for place in rng.integers(0, len(content), rng.integers(1, 4)):
            changed[place] = rng.integers(256)
        message = ""
        try:
            loaded(tmp_path, changed)
        except CorpusError as error:
            message = str(error)
        assert "\n" not in message


def test_what_is_not_a_model_is_said_in_one_line(tmp_path):
    cases = {
        b"": "empty, where a model file is expected",
        b"the cat sat\non the mat\n": "not a model: a native file, one of the RNNLM toolkit or an ARPA file, found",
        bytes(range(256)) * 9: "not a model",
        b"mmap lm http://kheafield.com/code": "a binary file of KenLM, which cannot be read; give the ARPA file",
        b"PK\x03\x04abc": "a zip archive",
        gzip.compress(b"rubbish" * 100): "not a model: a native file, one of the RNNLM toolkit or an ARPA file, found",
        b"\x1f\x8brubbish that is no gzip": "damaged or cut-short gzip data",
        b"BZhrubbish": "damaged or cut-short bzip2 data",
        b"\xfd7zXZ\x00rubbish": "damaged or cut-short xz data",
        b"version: '3'\nservices:\n": '1: "version" is an integer',
        b"version:" + b"1" * 100_000: '1: expected "version:", found a line of more than',
    }
    for content, finding in cases.items():
        assert refusal(tmp_path, content).startswith(finding)
    for path, finding in ((tmp_path, "a directory, where a model file is expected"), (tmp_path / "no", "No such file")):
        for use in (io.load, io.sniff, io.peek):
            with pytest.raises(CorpusError, match=finding):
                use(path)
