"""``w2v cluster``."""

import json

import pytest


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The current directory, with vectors of three directions."""
    monkeypatch.chdir(tmp_path)
    rows = [
        f"{name}{i} {x * (i + 1)} {y * (i + 1)}"
        for i in range(4)
        for name, x, y in (("a", 1, 0), ("b", 0, 1), ("c", -1, -1))
    ]
    (tmp_path / "vectors.txt").write_text("\n".join(["12 2", *rows]) + "\n")
    return tmp_path


def test_words_of_one_direction_are_in_one_class(here, w2v, w2v_done):
    code, out, err = w2v("cluster vectors.txt -k 3")
    assert code == 0
    assert err == "12 words, mean cosine 1.0000 after 2 iterations\n"
    classes = dict(line.split(" ") for line in out.splitlines())
    assert list(classes)[:4] == ["a0", "b0", "c0", "a1"]  # in the order of the file
    assert {len({classes[f"{name}{i}"] for i in range(4)}) for name in "abc"} == {1}
    assert set(classes.values()) == {"0", "1", "2"}
    w2v_done("cluster vectors.txt -k 3 -o classes.txt")
    assert (here / "classes.txt").read_text() == out


def test_sorted_by_class_the_order_of_the_file_stays_within_each(here, w2v_done):
    plain, by_class = (
        w2v_done(f"cluster vectors.txt -k 3 --sort {order}").splitlines() for order in ("vocab", "class")
    )
    assert by_class == sorted(plain, key=lambda line: line.split()[1])


def test_word2vecs_method_as_word2vec_would_number_the_classes(here, w2v_done):
    # it begins with a, b, c, a, ... in 0, 1, 2, 0, ..., which nothing changes
    assert w2v_done("cluster vectors.txt -k 3 --method word2vec").split()[1::2] == ["0", "1", "2"] * 4


def test_json_has_the_members_of_each_class(here, w2v_done):
    found = json.loads(w2v_done("cluster vectors.txt -k 3 --json --method word2vec --iterations 4"))
    assert found.pop("classes")[1] == {"class": 1, "size": 4, "words": ["b0", "b1", "b2", "b3"]}
    assert found == {"method": "word2vec", "seed": None, "iterations": 4, "mean_cosine": pytest.approx(1, abs=1e-6)}


def test_restrict_takes_the_first_words(here, w2v_done):
    assert w2v_done("cluster vectors.txt -k 1 --restrict 2") == "a0 0\nb0 0\n"


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        ("vectors.txt -k 13", 1, "vectors.txt: 12 words cannot be put into 13 classes; give a smaller -k"),
        ("vectors.txt -k 5 --restrict 4", 1, "4 words cannot be put into 5 classes"),
        ("vectors.txt -k 0", 2, "'-k': 0"),
        ("vectors.txt -k 2 --iterations 0", 2, "'--iterations': 0"),
        ("vectors.txt", 2, "Missing option '-k'"),
        ("missing.txt -k 2", 1, "missing.txt: No such file"),
        ("rubbish.txt -k 2", 1, "rubbish.txt:"),
        ("vectors.txt -k 2 -o vectors.txt", 1, "vectors.txt: already exists"),
        ("vectors.txt -k 2 -o vectors.txt -f", 1, "vectors.txt: is read in this run as well"),
    ],
)
def test_what_cannot_be_done_is_one_line(here, w2v, line, code, message):
    (here / "rubbish.txt").write_text("no vectors here\n")
    found, out, err = w2v(f"cluster {line}")
    assert (found, out) == (code, "")
    assert sum(text.startswith("Error: ") for text in err.splitlines()) == 1
    assert message in err
