"""word2vec's and GloVe's text: read as Python's float() reads, written as printf writes, every fault with its line."""

import bz2
import gzip
import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.errors import CorpusError
from corpora.text.vocab import WordList
from tests.vector_files import assert_same, loaded, refusal, some_vectors
from w2v import io
from w2v.io import rows, text_writer
from w2v.io.format import LONGEST_NUMBER, format_rows
from w2v.io.parse import N_STATE, ODD, POSITION, ROWS, STOP, parse_lines
from w2v.model import WordVectors

TWO = b"2 3\nthe 1 -2.5 3e-05 \ncat 0.5 .25 -1.\n"
NUMBERS = {
    b"0": 0, b"-0.0": -0.0, b"+1.5": 1.5, b".5": 0.5, b"5.": 5, b"1e3": 1000, b"1E+03": 1000, b"12e-22": 12e-22,
    b"0.1": 0.1, b"123456789012345678": 123456789012345678, b"0.000000000000000000000000001": 1e-27,
    b"3.4028235e38": 3.4028235e38, b"1e-45": 1e-45, b"1e-400": 0, b"0e999999": 0, b"00000000000000000000.25": 0.25,
}  # fmt: skip


def parsed(numbers: list[bytes], dtype) -> tuple[np.ndarray, bool]:
    """A line of a word and these numbers through the kernel: the numbers, and whether it took the line."""
    line = b"word " + b" ".join(numbers) + b"\n"
    text = np.frombuffer(line + bytes(64), np.uint8)
    out, state = np.zeros((1, len(numbers)), dtype), np.zeros(N_STATE, np.int64)
    blob, ends = np.empty(len(line), np.uint8), np.empty(1, np.int64)
    parse_lines(text.ctypes.data, len(line), out, dtype == "float32", blob, ends, state)
    took = state[STOP] != ODD
    assert state[POSITION] == (len(line) if took else 0)
    assert state[ROWS] == took
    return out[0], bool(took)


def test_a_header_words_and_numbers(tmp_path):
    v = loaded(tmp_path, TWO)
    assert list(v.words) == [b"the", b"cat"]
    assert v.vectors.tolist() == np.array([[1, -2.5, 3e-05], [0.5, 0.25, -1]], np.float32).tolist()
    assert v.vectors.dtype == np.float32
    assert (v.training, v.state, v.counts.tolist()) == ({}, {}, [0, 0])


@pytest.mark.parametrize(
    "content",
    [
        TWO.replace(b" \n", b"\n"),
        TWO.replace(b"\n", b"\r\n"),
        TWO[:-1],
        TWO + b"\n  \n\n",
        TWO.replace(b" -", b"\t-"),
        TWO.replace(b" -", b"  -"),
        b"\xef\xbb\xbf" + TWO,
        TWO.split(b"\n", 1)[1],  # GloVe's
        b"\xef\xbb\xbf" + TWO.split(b"\n", 1)[1],
    ],
)
def test_layouts_that_are_the_same_vectors(content, tmp_path):
    assert_same(loaded(tmp_path, content), loaded(tmp_path, TWO))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("text", "value"), NUMBERS.items())
def test_numbers_in_every_notation(text, value, dtype, tmp_path):
    found = loaded(tmp_path, b"word 1 %b\n" % text, dtype=dtype).vectors[0, 1]
    assert found == np.dtype(dtype).type(value)
    assert math.copysign(1, found) == math.copysign(1, value)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.floats(-1e18, 1e18) | st.floats(-2, 2), min_size=1, max_size=5),
    st.sampled_from(["r", ".6f", ".9g", ".17e"]),
)
def test_numbers_are_rightly_rounded(values, form):
    texts = [(repr(value) if form == "r" else format(value, form)).encode() for value in values]
    for dtype in ("float32", "float64"):
        found, took = parsed(texts, dtype)
        if took:  # what it leaves is read by float()
            expected = np.array([float(text) for text in texts]).astype(dtype)
            assert found.tobytes() == expected.tobytes()


@settings(max_examples=200, deadline=None)
@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_float32_comes_back_from_its_own_digits(value):
    found, took = parsed([b"%.9g" % value], "float32")
    if 1e-12 < abs(value) < 1e12:
        assert took
    assert not took or found[0] == value


def test_gensims_digits_and_those_of_python_are_read_by_the_kernel():
    values = np.random.default_rng(1).normal(scale=0.3, size=3000).astype(np.float32)
    for texts in ([str(x).encode() for x in values], [repr(x).encode() for x in values.tolist()]):
        found, took = parsed(texts, "float32")
        assert took
        assert np.array_equal(found, values)


def test_words_are_bytes_to_the_end(tmp_path):
    words = [b"\xff\xfe", b"a\x00b", "日本".encode(), b"\xc2\x85", b"\xc2\xa0", b"1.5", b"nan", b"#", b"\x0b\x0c", b"_"]
    content = b"%d 2\n" % len(words) + b"".join(b"%b 1 2\n" % word for word in words)
    assert list(loaded(tmp_path, content).words) == words


def test_words_with_spaces_as_in_gloves_largest_file(tmp_path):
    content = b"the 1 2 3\n. . . 1 2 3\nat name@domain.com 1 2 3\n  x 1 2 3\n"
    v = loaded(tmp_path, content)
    assert list(v.words) == [b"the", b". . .", b"at name@domain.com", b"x"]
    assert v.vectors.tolist() == [[1, 2, 3]] * 4
    assert list(loaded(tmp_path, b". . 1 2 3\nthe 1 2 3\n").words) == [b". .", b"the"]  # the first line, too
    assert list(loaded(tmp_path, b"1 2 3\n4 5 6\n").words) == [b"1", b"4"]
    assert list(loaded(tmp_path, b"1 2\nnew york 1 2\n").words) == [b"new york"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"2 3\nthe 1 2 3\ncat 1 2\n", ":3: expected a word and 3 numbers, found 3 fields"),
        (b"2 3\nthe 1 2 3\ncat 1 2 3 4\n", ":3: expected a word and 3 numbers, found more numbers"),
        (b"the 1 2 3\ncat 1 2 3 4\n", ":2: expected a word and 3 numbers, found more numbers"),
        (b"2 3\nthe 1 2 3\ncat 1 x2 3\n", ':3: expected a number, found "x2"'),
        (b"2 3\nthe 1 1_0 3\ncat 1 2 3\n", ':2: expected a number, found "1_0"'),
        (b"2 3\nthe 1 2 3\ncat 1 nan 3\n", ':3: "nan" is not a finite number of float32'),
        (b"2 3\nthe 1 -inf 3\ncat 1 2 3\n", ':2: "-inf" is not a finite number of float32'),
        (b"2 3\nthe 1 1e39 3\ncat 1 2 3\n", ':2: "1e39" is not a finite number of float32'),
        (b"2 3\nthe 1 0x10 3\ncat 1 2 3\n", ':2: expected a number, found "0x10"'),
        (b"2 3\nthe 1 - 3\ncat 1 2 3\n", ':2: expected a number, found "-"'),
        (b"2 3\nthe 1 1e 3\ncat 1 2 3\n", ':2: expected a number, found "1e"'),
        (b"2 3\nthe 1 1.2.3 3\ncat 1 2 3\n", ':2: expected a number, found "1.2.3"'),
        (b"2 3\n\nthe 1 2 3\ncat 1 2 3\n", ":2: an empty line, where a word and 3 numbers are expected"),
        (b"2 3\nthe 1 2 3\n\n\ncat 1 2 3\n", ":3: an empty line, where a word and 3 numbers are expected"),
        (b"2 3\n 1 2 3\ncat 1 2 3\n", ":2: expected a word and 3 numbers, found 3 fields"),
        (b"2 3\nthe 1 2 3\ncat 1 2 3\ndog 1 2 3\n", ":4: more lines than the 2 words of its header"),
        (b"2 3\nthe 1 2 3\ncat 1 2 3\n\n\nx", ":6: more lines than the 2 words of its header"),
        (b"3 3\nthe 1 2 3.123456\ncat 1 2 3.123456\n", ":3: the file ends after 2 words; its header says 3"),
        (b"3 30\nthe 1 2 3\n", ":1: its header says 3 words of 30 dimensions, 190 bytes or more, but the file has 15"),
        (b"0 3\n", ":1: its header says 0 words of 3 dimensions: there is nothing in it"),
        (b"3 0\na \nb \nc \n", ":1: its header says 3 words of 0 dimensions"),
        (b"3 4\n", ":1: its header says 3 words of 4 dimensions, 33 bytes or more, but the file has 4"),
        (b"999999999999999 300\nthe 1 2\n", ":1: its header says 999999999999999 words of 300 dimensions: at most"),
        (b"2 2000000\nthe 1 2\n", ":1: its header says 2 words of 2000000 dimensions: at most"),
        (b"1000000000 300\nthe 1 2\n", "bytes or more, but the file has 23: is it cut short?"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(content, reason, tmp_path):
    assert reason in refusal(tmp_path, content)


def test_a_header_is_not_believed_where_the_content_is_of_unknown_size(tmp_path):

    content = bz2.compress(b"2000000000 1000\nthe " + b"1 " * 1000 + b"\n")
    tracemalloc.start()
    assert ":2: the file ends after 1 words" in refusal(tmp_path, content)
    assert tracemalloc.get_traced_memory()[1] < 1e8
    tracemalloc.stop()


@pytest.mark.parametrize("header", [b"300 40\n", b""])
@pytest.mark.parametrize("size", [64, 1000, 1 << 19])
def test_pieces_of_any_size_are_the_same_file(header, size, tmp_path, monkeypatch):
    v = some_vectors(300, 40)
    io.save(v, tmp_path / "whole", "text" if header else "glove")
    content = (tmp_path / "whole").read_bytes()
    expected = [[float(x) for x in line.split()[-40:]] for line in content.splitlines()[bool(header) :]]
    monkeypatch.setattr(rows.Window.__init__, "__defaults__", (*rows.Window.__init__.__defaults__[:-1], size))
    monkeypatch.setattr(rows, "_START", 1 << 10)
    for compress in (bytes, gzip.compress):
        found = loaded(tmp_path, compress(content[:-1]))
        assert found.vectors.tolist() == np.array(expected, np.float32).tolist()
        assert list(found.words) == list(v.words)


def test_the_first_words_only(tmp_path):
    v = loaded(tmp_path, TWO.replace(b"cat 0.5", b"cat rubbish"), limit=1)  # the rest is not looked at
    assert (list(v.words), v.vectors.shape) == ([b"the"], (1, 3))
    assert len(loaded(tmp_path, TWO, limit=5)) == 2
    assert list(loaded(tmp_path, b"a 1 2\nb 1 2\nrubbish\n", limit=2).words) == [b"a", b"b"]
    with pytest.raises(ValueError, match="`limit` 0"):
        loaded(tmp_path, TWO, limit=0)


def test_of_a_word_that_comes_again_the_first_vector_counts(tmp_path):
    content = b"".join(b"%b %d 0\n" % (word, i) for i, word in enumerate(b"a b a c d b a e".split()))
    for head in (b"8 2\n", b""):
        lines = []
        v = loaded(tmp_path, head + content, warn=lines.append)
        assert list(v.words) == [b"a", b"b", b"c", b"d", b"e"]
        assert v.vectors[:, 0].tolist() == [0, 1, 3, 4, 7]
        assert lines == [f'{tmp_path / "file"}: 3 of 8 words are there again ("a" first): passed over']


def test_many_words_that_come_again(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "_ROWS", 3)
    words = np.random.default_rng(4).integers(0, 200, 400)
    v = loaded(tmp_path, b"".join(b"w%d %d 1\n" % (word, i) for i, word in enumerate(words)), warn=len)
    _, first = np.unique(words, return_index=True)
    assert v.vectors[:, 0].tolist() == sorted(first)
    assert list(v.words) == [b"w%d" % words[i] for i in sorted(first)]


# --- writing


def printf(v: WordVectors, space: bytes) -> bytes:
    return b"".join(
        word + b" " + b" ".join(b"%.6f" % x for x in row) + space + b"\n"
        for word, row in zip(v.words, v.vectors.astype(np.float32).tolist(), strict=True)
    )


@pytest.mark.parametrize("n", [1, 50, 3000])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_lines_are_those_of_printf(n, dtype, tmp_path):
    v = some_vectors(n, 4, dtype=dtype)
    io.save(v, tmp_path / "text", "text")
    io.save(v, tmp_path / "glove", "glove")
    assert (tmp_path / "text").read_bytes() == b"%d 4\n" % n + printf(v, b" ")
    assert (tmp_path / "glove").read_bytes() == printf(v, b"")
    assert_same(io.load(tmp_path / "text", dtype=dtype), v, 7e-7)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.floats(-(2.0**31), 2.0**31, width=32) | st.integers(-(10**6), 10**6).map(lambda n: n / 2**20), min_size=1
    )
)
def test_the_kernel_prints_as_printf(values):
    numbers = np.array([values], np.float32)
    out = np.empty(4 + LONGEST_NUMBER * (len(values) + 1), np.uint8)
    words = WordList.of([b"word"])
    n_bytes = format_rows(words.blob.ctypes.data, words.offsets, 0, numbers, False, out)
    assert out[:n_bytes].tobytes() == printf(WordVectors(words, numbers), b"")


def test_halves_go_to_the_even_digit():
    # 1/128 = .0078125 and 3/128 = .0234375 lie between two of six decimals
    assert (
        text_writer.lines_of(WordList.of([b"a"]), 0, np.array([[1 / 128, 3 / 128]], np.float32))
        == b"a 0.007812 0.023438\n"
    )


def test_large_numbers(tmp_path):
    v = WordVectors([b"a"] * 1, np.full((1, 5000), 1e38, np.float32))
    io.save(v, tmp_path / "large", "text")
    assert (tmp_path / "large").read_bytes() == b"1 5000\n" + printf(v, b" ")
    assert_same(io.load(tmp_path / "large"), v)


@pytest.mark.parametrize("form", ["text", "glove"])
@pytest.mark.parametrize(
    ("word", "reason"),
    [
        (b"new york", 'word 2 ("new york") has a space in it; only the native form can hold it'),
        (b"a\tb", "has a tab in it"),
        (b"a\nb", 'word 2 ("a\\nb") has a newline in it'),
        (b"", 'word 2 ("") is empty'),
    ],
)
def test_words_that_text_cannot_hold_are_refused(form, word, reason, tmp_path):
    v = WordVectors([b"one", word, b"three"], np.ones((3, 2), np.float32))
    with pytest.raises(CorpusError) as error:
        io.save(v, tmp_path / "file", form)
    assert str(error.value).startswith(f"{tmp_path / 'file'}: not written, because word 2 ")
    assert reason in str(error.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("form", ["text", "glove", "binary", "native"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_none_are_refused(form, bad, tmp_path):
    v = some_vectors(20)
    v.vectors[7, 2] = bad
    with pytest.raises(CorpusError, match='"word1" has NaN or infinity in it'):
        io.save(v, tmp_path / "file", form)
    assert not list(tmp_path.iterdir())


def test_gloves_form_is_not_for_one_dimension(tmp_path):
    with pytest.raises(CorpusError, match="two dimensions"):
        io.save(some_vectors(3, 1), tmp_path / "file", "glove")
    io.save(some_vectors(3, 1), tmp_path / "file", "text")
    assert_same(io.load(tmp_path / "file"), some_vectors(3, 1), 6e-7)
