"""``w2v phrases``, also with word2phrase's command line."""

import os

import pytest

from tests.golden_files import golden_bytes
from tests.reference import phrases as reference

TEXT = "she lives in new york city\nhe left new york\nthe bank of england\n" * 10


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text(TEXT)
    return tmp_path


def test_phrases_go_to_a_file_or_to_standard_output(here, w2v, w2v_done):
    code, out, err = w2v("phrases text.txt -o joined.txt --threshold 3")
    assert (code, out) == (0, "")
    assert err.splitlines() == ["140 words, 12 different, in 30 lines", "pass 1: 10 phrases; 70 words are left"]
    joined = (here / "joined.txt").read_text()
    assert joined.count("new_york\n") == 10
    assert w2v_done("phrases text.txt --threshold 3") == joined
    assert w2v_done("phrases - --threshold 3", TEXT.encode()) == joined


def test_the_table_has_the_phrases_of_all_passes(here, w2v_done):
    text = w2v_done("phrases text.txt --threshold 3,1 --connectors english --bigrams pairs.tsv --separator +")
    rows = [line.split("\t") for line in (here / "pairs.tsv").read_text().splitlines()]
    assert rows[0] == ["phrase", "count", "score", "pass"]
    # (10 - 5) / 10 / 10 * 140
    assert ["bank+of+england", "10", "7", "1"] in rows
    assert {row[3] for row in rows[1:]} == {"1", "2"}
    first = [float(row[2]) for row in rows[1:] if row[3] == "1"]
    assert first == sorted(first, reverse=True)
    assert "the bank+of+england\n" in text


def test_npmi_has_a_threshold_of_its_own(here, w2v_done):
    assert "\nhe_left new_york\nthe_bank of_england\n" in w2v_done("phrases text.txt --score npmi --threshold 0.9")
    assert "_" not in w2v_done("phrases text.txt --score npmi --threshold 1")
    assert w2v_done("phrases text.txt --score npmi") == w2v_done("phrases text.txt --score npmi --threshold .5")


def test_connectors_can_be_a_file(here, w2v_done):
    (here / "words").write_text("of in\nthe")
    assert "the bank_of_england\n" in w2v_done("phrases text.txt --threshold 3 --connectors words")


def test_other_tokens_than_those_between_spaces(here, w2v_done):
    text = "New York, new york.\n" * 6
    assert w2v_done("phrases - --tokenizer word --lower --threshold 2.2 --min-count 2", text.encode()) == (
        "new_york , new_york .\n" * 6
    )


def test_bytes_stay_what_they_are(here, w2v_done):
    source = b"caf\xe9 \xff\x00 caf\xe9 \xff\x00\n" * 3
    (here / "in").write_bytes(source)
    w2v_done("phrases in -o out")
    assert (here / "out").read_bytes() == source


@pytest.mark.parametrize("options", ["", "-threshold 2.5 -min-count 3", "-debug 2 -min-count 1 -threshold 10"])
def test_word2phrases_command_line_writes_word2phrases_output(here, w2v, options, golden):
    text = (golden / "toy" / "valid.txt").read_bytes()
    (here / "in.txt").write_bytes(text)
    (here / "out.txt").write_text("old")
    code, out, err = w2v(f"phrases -train in.txt -output out.txt {options}")
    assert (code, out) == (0, ""), err
    given = dict(zip(options.split()[::2], options.split()[1::2], strict=True))
    expected = reference.word2phrase(text, int(given.get("-min-count", 5)), float(given.get("-threshold", 100)))
    assert (here / "out.txt").read_bytes() == expected


def test_word2phrase_wrote_this_of_the_toy_text(here, w2v, golden):
    assert w2v(f"phrases -train {golden}/toy/train.txt -output out.txt")[0] == 0
    assert (here / "out.txt").read_bytes() == golden_bytes("word2vec/phrases.txt")


def test_word2phrases_first_of_two_options_counts_and_others_are_ignored(here, w2v):
    code, _, err = w2v("phrases -train text.txt -threshold 3 -output out.txt -threshold 999 -size 3")
    assert code == 0
    assert err.startswith("-size: not an option of word2phrase; ignored, as there\n3: ")
    assert "new_york" in (here / "out.txt").read_text()


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        ("missing.txt", 1, "missing.txt: no such file"),
        ("empty.txt", 1, "empty.txt: no words"),
        ("text.txt -o text.txt -f", 1, "text.txt: is read in this run as well"),
        ("text.txt -o old.txt", 1, "old.txt: already exists; --force replaces it"),
        ("text.txt -o new.txt --bigrams old.txt", 1, "old.txt: already exists"),
        ("text.txt -o no/dir.txt", 1, "there is no directory no"),
        ("text.txt --connectors nowhere", 1, "nowhere: no such file"),
        ("text.txt --threshold high", 2, "high is not a number, or a list such as 200,100"),
        ("text.txt --threshold nan", 2, "nan is not a number"),
        ("text.txt --threshold 1,,2", 2, "1,,2 is not a number"),
        ("text.txt --threshold 3,2 --passes 1", 2, "2 thresholds for --passes 1"),
        ("text.txt --score npmi --threshold 100", 2, "--score npmi is between -1 and 1"),
        ("text.txt --score npmi --compatible", 2, "--compatible: word2phrase has no --score npmi"),
        ("text.txt --separator ''", 2, "--separator: at least one character"),
        ("text.txt --bigrams -", 2, "-o and --bigrams cannot both be standard output"),
        ("text.txt -o new.txt --bigrams ./new.txt", 2, "-o and --bigrams are the same file, new.txt"),
        ("", 2, "Missing argument 'TEXT...'"),
        ("-train text.txt", 1, "-output FILE is missing"),
        ("-train text.txt -output", 1, "-output: its value is missing"),
        ("-train missing.txt -output new.txt", 1, "missing.txt: no such file"),
        ("-train text.txt -output new.txt -min-count 0", 2, "'--min-count': 0"),
    ],
)
def test_what_cannot_be_done_is_one_line(here, w2v, line, code, message):
    (here / "old.txt").write_text("old")
    (here / "empty.txt").write_text("\n\n")
    found, out, err = w2v(f"phrases {line}")
    assert (found, out) == (code, "")
    assert sum(text.startswith("Error: ") for text in err.splitlines()) == 1
    assert message in err
    assert sorted(os.listdir()) == ["empty.txt", "old.txt", "text.txt"]
    assert (here / "old.txt").read_text() == "old"
