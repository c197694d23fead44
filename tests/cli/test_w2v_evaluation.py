"""w2v accuracy and w2v similarity, run as a user runs them."""

import json
import re

import numpy as np
import pytest

from w2v import io
from w2v.model import WordVectors

DEGREES = {"</s>": 300, "Man": 0, "Woman": 30, "king": 60, "queen": 90, "boy": 5, "girl": 35, "big": 200, "bigger": 230}
QUESTIONS = """: family
man woman king queen
boy girl man woman
man woman boy prince
: gram3-comparative
big bigger man queen
"""


@pytest.fixture
def files(tmp_path, monkeypatch):
    """vectors.bin, questions-words.txt and pairs.tsv in the current directory."""
    radians = np.radians(list(DEGREES.values()))
    rows = (np.array([np.cos(radians), np.sin(radians)]) * np.linspace(1, 4, len(DEGREES))).T
    monkeypatch.chdir(tmp_path)
    io.save(WordVectors([word.encode() for word in DEGREES], rows.astype(np.float32)), "vectors.bin", "binary")
    (tmp_path / "questions-words.txt").write_text(QUESTIONS)
    (tmp_path / "pairs.tsv").write_text("word1\tword2\tscore\nboy\tgirl\t9\nKING\tgirl\t8\nboy\tbig\t1\ndog\tcat\t5\n")
    return tmp_path


def test_a_table_of_sections_and_totals(files, w2v_done):
    # by angles: 0 to 30 as 60 to 90; 5 to 35 as 0 to 30; 200 to 230 as 0 to 30, and not to 90
    assert w2v_done("accuracy vectors.bin questions-words.txt") == (
        "section            accuracy  correct  seen  questions\n"
        "family              100.00%        2     2          3\n"
        "gram3-comparative     0.00%        0     1          1\n"
        "semantic            100.00%        2     2          3\n"
        "syntactic             0.00%        0     1          1\n"
        "total                66.67%        2     3          4\n"
    )


def test_the_same_as_json(files, w2v_done):
    found = json.loads(w2v_done("accuracy vectors.bin questions-words.txt --json --restrict 7 --threads 1"))
    family = {"accuracy": 1.0, "correct": 2, "seen": 2, "questions": 3}
    nothing = {"accuracy": None, "correct": 0, "seen": 0, "questions": 1}
    assert found == {
        "sections": [{"section": "family", **family}, {"section": "gram3-comparative", **nothing}],
        "semantic": family,
        "syntactic": nothing,
        "total": family | {"questions": 4},
        "restrict": 7,
        "case": "upper",
        "method": "3cosadd",
    }


def test_questions_from_standard_input_without_a_heading(files, w2v_done):
    out = w2v_done("accuracy vectors.bin - --case keep --method 3cosmul --restrict 0", b"boy girl king queen\n")
    assert out.splitlines()[1].split() == ["-", "100.00%", "1", "1", "1"]


def test_compute_accuracy_prints_the_same(golden, w2v_done):
    # what compute-accuracy, compiled from the original source, printed for these questions and the first 200 words:
    # ACCURACY TOP1 of both sections, and "Questions seen / total"
    words = re.findall(r"^(\S+) \d+$", (golden / "word2vec" / "vocab.txt").read_text(), re.M)[1:221]
    questions = [words[i : i + 4] for i in range(216)]
    half = "\n".join(" ".join(question) for question in questions[:108])
    rest = "\n".join(" ".join(question) for question in questions[108:])
    stdin = f": one\n{half}\n: gram1\n{rest}\n".encode()
    found = json.loads(w2v_done(f"accuracy {golden}/word2vec/cbow-hs.bin - --restrict 200 --json", stdin))
    assert [(part["correct"], part["seen"]) for part in found["sections"]] == [(3, 108), (1, 88)]
    assert (found["total"]["seen"], found["total"]["questions"]) == (196, 216)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b": a\nman woman king\n", '-:2: expected four words or a heading ": name", found 3 words: "man woman king"'),
        (b"", "-: no questions"),
        (b"a b c d\n", "-: of 1 questions none has all its words in the vocabulary"),
    ],
)
def test_questions_that_cannot_be_asked(files, w2v, text, message):
    code, out, err = w2v("accuracy vectors.bin -", text)
    assert (code, out) == (1, "")
    assert err.startswith(f"Error: {message}")
    assert len(err.splitlines()) == 1


# ---- similarity


def test_correlations_of_pairs(files, w2v_done):
    out = w2v_done("similarity vectors.bin pairs.tsv")
    # cosines of 30 and 195 degrees, scores of 9 and 1: two pairs lie on a line
    assert out == ("file       spearman  pearson  used  oov  pairs\npairs.tsv    1.0000   1.0000     2    2      4\n")


def test_pairs_as_json_in_lower_case(files, w2v_done):
    (found,) = json.loads(w2v_done("similarity vectors.bin pairs.tsv --lower --json"))
    x, y = np.cos(np.radians([30, 25, 195])), np.array([9, 8, 1])
    assert found == {
        "file": "pairs.tsv",
        "spearman": pytest.approx(0.5),
        "pearson": pytest.approx(np.corrcoef(x, y)[0, 1]),
        "used": 3,
        "oov": 1,
        "pairs": 4,
        "missing": ["dog", "cat"],
    }


def test_several_files_and_a_column(files, w2v, w2v_done):
    (files / "more.csv").write_text("boy,girl,x,1\nboy,king,x,2\n")
    reason = 'expected a score in column 3, found "x"; --column says where it is'
    assert w2v("similarity vectors.bin pairs.tsv more.csv") == (1, "", f"Error: more.csv:2: {reason}\n")
    out = w2v_done("similarity vectors.bin more.csv more.csv --column 4")
    assert [line.split() for line in out.splitlines()[1:]] == [["more.csv", "-1.0000", "-1.0000", "2", "0", "2"]] * 2


def test_one_pair_has_no_correlation(files, w2v):
    code, out, err = w2v("similarity vectors.bin -", b"boy girl 5\n")
    assert (code, out.splitlines()[1].split()) == (0, ["-", "-", "-", "1", "0", "1"])
    assert err.startswith("Warning: ")
    (found,) = json.loads(w2v("similarity vectors.bin - --json", b"boy girl 5\n")[1])
    assert found["spearman"] is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"dog cat 1\n", "-: of 1 pairs none has both words in the vocabulary"),
        (b"boy girl 1\nboy girl\n", '-:2: expected two words and a score, found "boy girl"'),
        (b"boy girl x\n", "-: no pairs"),
        (b"", "-: no pairs"),
    ],
)
def test_pairs_that_cannot_be_used(files, w2v, text, message):
    code, out, err = w2v("similarity vectors.bin -", text)
    assert (code, out) == (1, "")
    assert err.startswith(f"Error: {message}")
    assert len(err.splitlines()) == 1
