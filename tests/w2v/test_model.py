"""WordVectors: look-up by search and by table, lengths, and what the constructor refuses."""

import numpy as np
import pytest

from corpora.text.vocab import WordList
from w2v.model import WordVectors, lengths

WORDS = [b"</s>", b"the", "köln".encode(), b"\xff\xfe", b"new york", b"th"]


def some(dim=3, dtype="float32") -> WordVectors:
    rows = np.arange(len(WORDS) * dim, dtype=dtype).reshape(-1, dim)
    return WordVectors(WORDS, rows)


def test_what_it_says_of_itself():
    v = some(4)
    assert (len(v), v.dim, list(v)) == (6, 4, WORDS)
    assert v.counts.tolist() == [0] * 6
    assert (v.training, v.state) == ({}, {})
    assert repr(v) == "WordVectors(6 words, 4 dimensions)"


@pytest.mark.parametrize("asked_before", [0, 1000])
def test_words_are_found_by_search_and_by_table(asked_before):
    v = some()
    v.ids([b"the"] * asked_before)
    assert [v.index(word) for word in WORDS] == list(range(6))
    assert v.index("köln") == 2
    assert v.index("\udcff\udcfe") == 3  # as the command line gives bytes that are not UTF-8
    assert [v.index(word) for word in (b"", b"t", b"thee", "Köln", b"\xff")] == [-1] * 5
    assert v.ids(["th", b"missing", b"new york"]).tolist() == [5, -1, 4]
    assert v.ids([]).dtype == np.int32


def test_a_few_searches_make_no_table_of_all_words():
    v = some()
    for word in WORDS:
        v.index(word)
    assert "_ids" not in vars(v)
    v.ids(WORDS * 5)
    assert "_ids" in vars(v)


def test_a_word_gives_its_vector():
    v = some()
    assert v["the"].tolist() == [3, 4, 5]
    assert v["the"].base is not None  # not a copy
    assert b"th" in v
    assert b"tho" not in v
    with pytest.raises(KeyError, match="tho"):
        v[b"tho"]


def test_lengths_are_those_of_numpy_in_float64():
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(1000, 257)).astype(np.float32)
    expected = np.linalg.norm(rows.astype(np.float64), axis=1)
    assert np.abs(lengths(rows) / expected - 1).max() < 1e-7
    assert np.array_equal(WordVectors(list(map(b"%d".__mod__, range(1000))), rows).norms, lengths(rows))
    wide = np.zeros((1000, 300), np.float32)
    wide[:, :257] = rows
    assert np.array_equal(lengths(wide[:, :257]), lengths(rows))


def test_lengths_of_large_numbers_do_not_overflow():
    # 3e30^2 is no float32: 3e30 * sqrt(4) = 6e30
    assert lengths(np.full((1, 4), 3e30, np.float32)).tolist() == pytest.approx([6e30])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"vectors": np.zeros((5, 3), np.float32)}, r"\(5, 3\) for 6 words"),
        ({"vectors": np.zeros((6, 0), np.float32)}, r"\(6, 0\)"),
        ({"vectors": np.zeros(6, np.float32)}, r"\(6,\)"),
        ({"vectors": np.zeros((6, 3), np.float16)}, "float16"),
        ({"counts": np.zeros(5, np.int64)}, "counts"),
        ({"norms": np.zeros(7, np.float32)}, "norms"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(change, reason):
    given = {"words": WordList.of(WORDS), "vectors": np.zeros((6, 3), np.float32), **change}
    with pytest.raises(ValueError, match=reason):
        WordVectors(**given)
