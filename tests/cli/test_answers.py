"""rnnlm answers: the table and the JSON, and what it says to mistakes."""

import json

import pytest

# after a: b 0.7, c 0.2, 0.1 for the others; after b: a 0.6, 0.4 for the others; after c: 1/2, 1/4, 1/8, 1/8
ARPA = """\\data\\
ngram 1=5
ngram 2=3

\\1-grams:
-99\t<s>
-0.3010300\t</s>
-0.6020600\ta\t-0.8750613
-0.9030900\tb\t-0.2730013
-0.9030900\tc

\\2-grams:
-0.1549020\ta b
-0.6989700\ta c
-0.2218487\tb a

\\end\\
"""
# 0.7 right, 0.2 wrong, 0.6 right, 0.125 wrong (</s> has 1/2); d is not in the vocabulary
LINES = "a b\na c\nb a\nc b\nb d\n"


@pytest.fixture
def by_hand(folder):
    (folder / "hand.arpa").write_text(ARPA)
    (folder / "lines.txt").write_text(LINES)
    # after b: a 0.3, less than </s> with half of the other 0.7 * 4/3
    other = ARPA.replace("-0.2218487\tb a", "-0.5228787\tb a").replace("-0.2730013", "-0.0299632")
    (folder / "other.arpa").write_text(other)
    return folder


def test_models_are_judged_side_by_side(by_hand, rnnlm):
    code, out, err = rnnlm("answers -m hand.arpa -m other.arpa lines.txt")
    assert code == 0
    assert [line.split() for line in out.splitlines()] == [
        ["model", "lines", "right", "share", "probability"],
        ["hand", "5", "2", "40.00%", "0.3250"],
        ["other", "5", "1", "20.00%", "0.2650"],
    ]
    for name in ("hand", "other"):
        assert f"Warning: {name}: counted as wrong because not in its vocabulary: 1 of 5 answers\n" in err


def test_answers_as_json(by_hand, rnnlm):
    code, out, _ = rnnlm("answers -m hand.arpa --json", LINES.encode())
    assert code == 0
    (found,) = json.loads(out)
    assert found.pop("probability") == pytest.approx(0.325, abs=1e-6)
    assert found == {"model": "hand", "lines": 5, "right": 2, "share": 0.4, "oov": 1}


def test_the_position_of_the_answer(by_hand, done):
    # the words after it do not matter
    (found,) = json.loads(done("answers -m hand.arpa --position -2 --json", b"a b c\na c d\n"))
    assert (found["right"], found["oov"]) == (1, 0)
    assert found["probability"] == pytest.approx(0.45, abs=1e-6)


def test_a_recurrent_model_begins_every_line_anew(folder, done):
    # so that a line has the same answer wherever it stands
    text = (folder / "test.txt").read_bytes().splitlines(keepends=True)[:40]
    whole = json.loads(done("answers -m small.rnnlm --json", b"".join(text)))[0]
    turned = json.loads(done("answers -m small.rnnlm --json", b"".join(text[::-1])))[0]
    alone = [json.loads(done("answers -m small.rnnlm --json", line))[0] for line in text[:5]]
    first = json.loads(done("answers -m small.rnnlm --json", b"".join(text[:5])))[0]
    assert turned["right"] == whole["right"]
    assert turned["probability"] == pytest.approx(whole["probability"], rel=1e-12)
    assert first["right"] == sum(each["right"] for each in alone)
    assert first["probability"] == pytest.approx(sum(each["probability"] for each in alone) / 5, rel=1e-12)


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        ("answers -m hand.arpa one.txt", 1, "one.txt:2: a line of 1 word; with --position -1 it needs 2 or more"),
        ("answers -m hand.arpa lines.txt --position -2", 1, "lines.txt:1: a line of 2 words; with --position -2"),
        ("answers -m hand.arpa lines.txt --position 0", 2, "--position"),
        ("answers -m hand.arpa lines.txt --dtype float32", 1, "--dtype: for recurrent models only"),
        ("answers lines.txt", 2, "-m"),
    ],
)
def test_what_is_refused(by_hand, refused, line, code, message):
    (by_hand / "one.txt").write_text("a b\na\n")
    refused(line, code, message)


def test_a_file_of_probabilities_has_no_other_words(by_hand, refused):
    (by_hand / "played.txt").write_text("0.5\n" * 15)
    refused("answers -m played.txt lines.txt", 1, "a file of probabilities belongs to one text")
