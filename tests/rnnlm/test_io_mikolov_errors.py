"""Model files of Mikolov's RNNLM toolkit that are cut short, changed or something else: one line each, no crash."""

import bz2
import gzip
import lzma
import tracemalloc

import numpy as np
import pytest

from corpora.errors import CorpusError, FormatError
from rnnlm import io
from tests.mikolov_files import TINY, loaded, refusal, tiny_10, tiny_binary


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
    "17: `direct` 3": (b"direct connections: 0", b"direct connections: 3"),
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
