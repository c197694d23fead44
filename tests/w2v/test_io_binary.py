"""word2vec's binary form, with and without the newlines: read record by record, written as word2vec.c writes it."""

import gzip
import struct

import numpy as np
import pytest

from corpora.errors import CorpusError
from tests.vector_files import assert_same, loaded, refusal, some_vectors
from w2v import io
from w2v.io import rows
from w2v.model import WordVectors


def records(v: WordVectors, newline: bytes = b"\n") -> list[bytes]:
    return [
        word + b" " + struct.pack(f"<{v.dim}f", *row) + newline
        for word, row in zip(v.words, v.vectors.tolist(), strict=True)
    ]


def binary(v: WordVectors, newline: bytes = b"\n") -> bytes:
    return b"%d %d\n" % v.vectors.shape + b"".join(records(v, newline))


@pytest.mark.parametrize("newline", [b"\n", b""])
@pytest.mark.parametrize(("n", "dim"), [(1, 1), (2, 7), (300, 40), (5000, 3)])
def test_both_kinds_of_records_are_read(newline, n, dim, tmp_path):
    v = some_vectors(n, dim)
    assert_same(loaded(tmp_path, binary(v, newline)), v)
    assert io.sniff(tmp_path / "file") == "binary"
    assert_same(loaded(tmp_path, gzip.compress(binary(v, newline))), v)


def test_records_of_both_kinds_in_one_file(tmp_path):
    v = some_vectors(60)
    mixed = [record[: len(record) - i % 2] for i, record in enumerate(records(v))]
    assert_same(loaded(tmp_path, b"60 5\n" + b"".join(mixed)), v)


@pytest.mark.parametrize("newline", [b"\n", b""])
@pytest.mark.parametrize("size", [8, 100, 1000])
def test_pieces_of_any_size_are_the_same_file(newline, size, tmp_path, monkeypatch):
    monkeypatch.setattr(rows.Window.__init__, "__defaults__", (*rows.Window.__init__.__defaults__[:-1], size))
    monkeypatch.setattr(rows, "_START", 1 << 10)
    v = some_vectors(300, 30)
    assert_same(loaded(tmp_path, binary(v, newline)), v)
    assert_same(loaded(tmp_path, gzip.compress(binary(v, newline))), v)


def test_it_is_written_as_word2vec_writes_it(tmp_path):
    v = some_vectors(3000, 100)
    io.save(v, tmp_path / "file", "binary")
    assert (tmp_path / "file").read_bytes() == binary(v)
    wide = np.zeros((3000, 112), np.float32)
    wide[:, :100] = v.vectors
    io.save(WordVectors(v.words, wide[:, :100]), tmp_path / "padded", "binary")
    assert (tmp_path / "padded").read_bytes() == binary(v)


def test_float64_is_rounded(tmp_path):
    v = some_vectors(dtype="float64")
    io.save(v, tmp_path / "file", "binary")
    assert np.array_equal(io.load(tmp_path / "file").vectors, v.vectors.astype(np.float32))
    assert io.load(tmp_path / "file", dtype="float64").vectors.dtype == np.float64
    v.vectors[3, 3] = 1e39
    with pytest.raises(CorpusError, match="as float32"):
        io.save(v, tmp_path / "large", "binary")


def test_words_of_any_bytes_but_space_and_newline(tmp_path):
    words = [bytes([byte]) for byte in range(256) if byte not in b" \n"]
    v = WordVectors(words, np.ones((len(words), 4), np.float32))
    io.save(v, tmp_path / "file", "binary")
    assert_same(io.load(tmp_path / "file"), v)
    with pytest.raises(CorpusError, match=r"word 1 .*has a space"):
        io.save(WordVectors([b"a b"], np.ones((1, 4), np.float32)), tmp_path / "other", "binary")


def with_row(row: bytes) -> bytes:
    return b"3 2\n" + b"a " + struct.pack("<2f", 0.1, 0.2) + b"\n" + row + b"c " + struct.pack("<2f", 0.1, 0.2) + b"\n"


GOOD = struct.pack("<2f", 0.1, 0.2)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (with_row(b"b " + struct.pack("<2f", 1, np.nan)), ': record 2 ("b"): NaN or infinity in its vector'),
        (with_row(b"b " + struct.pack("<2f", -np.inf, 1)), ': record 2 ("b"): NaN or infinity in its vector'),
        (with_row(b" " + GOOD), ": record 2: its word is empty"),
        (with_row(b"\n\nb " + GOOD), ": record 2: a newline in its word; the records before it do not fit the header"),
        (with_row(b"b " + GOOD) + b"\n\n", ": there is more behind the 3 words of 2 dimensions of its header"),
        (with_row(b"b " + GOOD) + b"d", ": there is more behind the 3 words of 2 dimensions of its header"),
        (with_row(b"longer " + GOOD)[:-3], ': record 3 ("c"): the file ends in it; its header says 3 words of 2 dim'),
        (with_row(b"much_longer " + GOOD)[:-10], ": record 3: the file ends in it"),
        (
            with_row(b"b " + GOOD)[:-6],
            ":1: its header says 3 words of 2 dimensions, 33 bytes or more, but the file has",
        ),
        (b"3 2\na " + GOOD + b"b" * 70000 + GOOD * 2, ": record 2: no word: no space in 65536 bytes"),
        (b"1000000 300\na " + GOOD, ":1: its header says 1000000 words of 300 dimensions, 1202"),
    ],
)
def test_what_is_wrong_is_told_with_its_record(content, reason, tmp_path):
    assert reason in refusal(tmp_path, content)


def test_a_pipe_that_ends_early_is_told(tmp_path):
    v = some_vectors(100)
    assert ': record 61 ("word54"): the file ends in it' in refusal(
        tmp_path, gzip.compress(b"100 5\n" + b"".join(records(v))[: len(b"".join(records(v)[:60])) + 15])
    )


def test_a_cut_gzip_file_is_told(tmp_path):
    content = gzip.compress(binary(some_vectors(2000, 50)))
    assert "damaged or cut-short gzip data" in refusal(tmp_path, content[: len(content) // 2])


def test_the_first_words_only(tmp_path):
    v = some_vectors(100)
    content = b"".join(records(v)[:10]) + b"rubbish"
    found = loaded(tmp_path, b"100 5\n" + content + bytes(4000), limit=10)
    assert_same(found, WordVectors(v.words[:10], v.vectors[:10]))


def test_of_a_word_that_comes_again_the_first_vector_counts(tmp_path):
    v = WordVectors([b"a", b"b", b"a", b"c"], np.arange(8, dtype=np.float32).reshape(4, 2))
    lines = []
    found = loaded(tmp_path, binary(v), warn=lines.append)
    assert_same(found, WordVectors([b"a", b"b", b"c"], v.vectors[[0, 1, 3]]))
    assert len(lines) == 1


def test_without_a_place_for_it_the_note_is_logged(tmp_path, caplog):
    loaded(tmp_path, b"a 1 2\na 1 2\n")
    assert "1 of 2 words are there again" in caplog.text
