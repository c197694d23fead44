"""``w2v align``."""

import json

import numpy as np
import pytest

import w2v as library
from w2v.io import save
from w2v.model import WordVectors


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The current directory, with a.txt, and b.w2v: the same turned, but word 7, and all with counts."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(1)
    vectors = rng.standard_normal((60, 5))
    words = [b"w%d" % i for i in range(58)] + ["naïve".encode(), b"\xff"]
    save(WordVectors(words, vectors.astype(np.float32)), "a.txt", "text")
    vectors[7] = -vectors[7]
    turn = np.linalg.qr(rng.standard_normal((5, 5)))[0]
    counts = np.arange(60)[::-1] + 1
    save(WordVectors(words, (vectors @ turn).astype(np.float32), counts), "b.w2v", "native")
    return tmp_path


def test_the_word_that_moved_comes_first(here, w2v):
    code, out, err = w2v("align a.txt b.w2v -n 3")
    assert code == 0
    assert err.startswith("60 words in common, of 60 and 60; mean cosine 0.9")
    rows = [line.split() for line in out.splitlines()]
    assert rows[0] == ["word", "cosine", "count_a", "count_b"]
    assert rows[1][0] == "w7"
    assert rows[1][2:] == ["-", "53"]
    assert float(rows[1][1]) < -0.8
    assert all(float(row[1]) > 0.9 for row in rows[2:])
    assert len(rows) == 4


def test_words_that_are_asked_for_in_their_order(here, w2v):
    (here / "words").write_bytes("naïve\nw9 nowhere w3 w9\n".encode())
    code, out, err = w2v("align a.txt b.w2v --word w2 --words words")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()[1:]] == ["w2", "naïve", "w9", "w3"]
    assert "nowhere: not among the words in common\n" in err


def test_json(here, w2v_done):
    found = json.loads(w2v_done("align a.txt b.w2v -n 1 --json --center"))
    assert found["shared"] == 60
    assert 0.9 < found["mean_cosine"] < 1
    assert found["words"] == [{"word": "w7", "cosine": pytest.approx(-0.9, abs=0.1), "count_a": None, "count_b": 53}]


@pytest.mark.parametrize("name", ["turned.w2v", "turned.txt", "turned.bin"])
def test_the_second_file_can_be_written_in_the_space_of_the_first(here, w2v_done, name):
    w2v_done(f"align a.txt b.w2v --restrict 40 -o {name}")
    a, turned = library.load("a.txt"), library.load(name)
    assert list(turned) == list(a)
    others = np.arange(60) != 7
    # word 7 has its share in the rotation
    cosines = np.einsum("ij,ij->i", a.vectors, turned.vectors) / a.norms / turned.norms
    assert cosines[others].min() > 0.9
    assert turned.norms == pytest.approx(library.load("b.w2v").norms, abs=1e-4)


def test_too_few_words_are_warned_of(here, w2v):
    code, out, err = w2v("align a.txt b.w2v --restrict 3")
    assert code == 0
    assert err.startswith("Warning: 3 words in common do not determine a rotation in 5 dimensions\n")
    assert len(out.splitlines()) == 4


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        ("a.txt other.txt", 1, "5 dimensions in the first file, 2 in the second: they must be the same"),
        ("a.txt strangers.txt", 1, "no word is in both files"),
        ("a.txt b.w2v --min-count 5", 1, "--min-count 5: the first file does not say how often"),
        ("a.txt missing.txt", 1, "missing.txt: No such file"),
        ("a.txt b.w2v -n 3 --word w1", 2, "-n cannot be used with --word"),
        ("a.txt b.w2v -o -", 2, "-o -: standard output has the words"),
        ("- -", 2, "standard input (-) can be read only once"),
        ("a.txt b.w2v -o b.w2v", 1, "b.w2v: already exists"),
        ("a.txt b.w2v -o b.w2v -f", 1, "b.w2v: is read in this run as well"),
        ("a.txt b.w2v --words nowhere", 1, "nowhere: No such file"),
    ],
)
def test_what_cannot_be_done_is_one_line(here, w2v, line, code, message):
    (here / "other.txt").write_text("2 2\nw1 1 2\nw2 2 1\n")
    (here / "strangers.txt").write_text("2 5\nx 1 2 3 4 5\ny 5 4 3 2 1\n")
    found, out, err = w2v(f"align {line}")
    assert (found, out) == (code, "")
    assert sum(text.startswith("Error: ") for text in err.splitlines()) == 1
    assert message in err
