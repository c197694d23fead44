"""``rnnlm rescore`` as a user runs it."""

from __future__ import annotations

import json
import sys

import pytest

from rnnlm.nbest.lists import read
from tests.tables import rows_of

LIST = "u1 man eat cookie\nu1 man eats the cookie\nu1 man eat eat\nu2 dog move\nu2 dog moves zzz\n"
TSV = (
    "utt\tam\tlm\twords\tsnr\n"
    "u1\t-101\t-5\tman eat cookie\t1\nu1\t-100\t-3\tman cookie eat\t1\nu2\t-50\t-2\tdog move\t2\n"
)
REFERENCES = "u1 man eat cookie\nu2 dog move\n"


@pytest.fixture
def lists(folder):
    (folder / "l").write_text(LIST)
    (folder / "t.tsv").write_text(TSV)
    (folder / "ref").write_text(REFERENCES)
    return folder


def log10_prob(done, text, line=""):
    return json.loads(done(f"ppl -m small.rnnlm - --oov floor --format json {line}", text.encode()))["log10_prob"]


def test_every_hypothesis_gets_the_models_score(lists, done):
    rows = rows_of(done("rescore -m small.rnnlm l"))
    assert [(row["utterance"], row["words"]) for row in rows] == [
        tuple(line.split(" ", 1)) for line in LIST.splitlines()
    ]
    for row in rows:
        assert float(row["log10_prob"]) == pytest.approx(log10_prob(done, row["words"] + "\n"), abs=2e-5)
        assert row["total"] == row["log10_prob"]


def test_the_total_follows_the_formula(lists, done):
    rows = rows_of(done("rescore -m small.rnnlm t.tsv --lm-scale 4 --word-penalty -0.5 --weight 0.25"))
    for row in rows:
        language = 0.75 * float(row["lm"]) + 0.25 * float(row["log10_prob"])
        expected = float(row["am"]) + 4 * language - 0.5 * len(row["words"].split())
        assert float(row["total"]) == pytest.approx(expected, abs=1e-5)
        assert row["snr"] == "12"[row["utt"] == "u2"]
    halves = rows_of(done("rescore -m small.rnnlm t.tsv"))
    assert halves == rows_of(done("rescore -m small.rnnlm t.tsv --weight 0.5 --lm-scale 1 --word-penalty 0"))


def test_the_best_of_each_utterance_are_a_list_again(lists, done):
    best = done("rescore -m small.rnnlm l --best")
    assert best == "u1 man eat cookie\nu2 dog move\n"
    assert len(rows_of(done("rescore -m small.rnnlm -", best.encode()))) == 2


def test_several_models_are_mixed(lists, done):
    done("train valid.txt --valid test.txt -o other --hidden 3 --class 2 --max-iter 1")
    alone = [float(row["log10_prob"]) for row in rows_of(done("rescore -m small.rnnlm l"))]
    weighted = "rescore -m small.rnnlm -m other l --model-weight"
    assert [float(row["log10_prob"]) for row in rows_of(done(f"{weighted} 1 --model-weight 0"))] == pytest.approx(alone)
    half = rows_of(done("rescore -m small.rnnlm -m other l"))
    assert half == rows_of(done(f"{weighted} 0.5 --model-weight 0.5"))
    assert half != rows_of(done("rescore -m other l"))


def test_lists_in_capitals_can_be_scored_in_lower_case(lists, done):
    rows = rows_of(done("rescore -m small.rnnlm l --lower"))
    capitals = rows_of(done("rescore -m small.rnnlm - --lower", LIST.upper().encode()))
    assert [row["log10_prob"] for row in capitals] == [row["log10_prob"] for row in rows]
    assert capitals[0]["words"] == "MAN EAT COOKIE"


def test_srilms_form_is_a_folder(lists, done, rnnlm):
    table = rows_of(done("rescore -m small.rnnlm t.tsv --weight 0.25"))
    done("rescore -m small.rnnlm t.tsv --weight 0.25 --to srilm -o out")
    found = read([str(lists / "out")])
    assert (found.form, found.utterances) == ("srilm", [b"u1", b"u2"])
    for row, acoustic, language in zip(table, found.acoustic, found.language, strict=True):
        assert acoustic == float(row["am"])
        assert language == pytest.approx(0.75 * float(row["lm"]) + 0.25 * float(row["log10_prob"]), abs=1e-5)
    code, _, err = rnnlm("rescore -m small.rnnlm t.tsv --to srilm -o out")
    assert code == 1
    assert err.endswith("already exists; --force replaces it\n")


# ---- word error rates


def test_word_error_rates_are_printed_and_the_lists_written_where_asked(lists, done):
    pytest.importorskip("jiwer")
    table = done("rescore -m small.rnnlm t.tsv --references ref --weight 1 --lm-scale 10 -o out.tsv")
    assert table.splitlines() == [
        "            WER  errors   words  lm-scale  word-penalty  weight",
        "first     0.00%       0       5",
        "before   40.00%       2       5        10             0       0",
        "after     0.00%       0       5        10             0       1",
        "oracle    0.00%       0       5",
    ]
    assert len(rows_of((lists / "out.tsv").read_text())) == 3


def test_tuned_scales_can_be_given_back(lists, done):
    pytest.importorskip("jiwer")
    tuned = json.loads(done("rescore -m small.rnnlm t.tsv --references ref --tune --json"))
    assert tuned["after"]["errors"] == tuned["oracle"]["errors"] == 0
    given = " ".join(
        f"--{name.replace('_', '-')} {tuned['after'][name]}" for name in ("lm_scale", "word_penalty", "weight")
    )
    again = json.loads(done(f"rescore -m small.rnnlm t.tsv --references ref --json {given}"))
    assert again["after"] == tuned["after"]
    kept = json.loads(done("rescore -m small.rnnlm t.tsv --references ref --tune --json --weight 0.125"))
    assert kept["after"]["weight"] == 0.125


def test_without_jiwer_one_line_says_what_to_install(lists, rnnlm, monkeypatch):
    monkeypatch.setitem(sys.modules, "jiwer", None)
    assert rnnlm("rescore -m small.rnnlm t.tsv --references ref") == (
        1, "", "Error: word error rates need jiwer: pip install jiwer\n",
    )  # fmt: skip


# ---- what does not work


@pytest.mark.parametrize(
    ("line", "code", "reason"),
    [
        ("none", 1, "none: no such file"),
        ("l --weight 0.5", 1, "--weight 0.5: the lists have no language scores beside the model's"),
        ("l --format srilm", 1, 'l:1: acoustic score: expected a finite number, found "u1"'),
        ("l --oov unk", 1, "--oov unk: the model's vocabulary has no <unk>"),
        ("bad", 1, "bad:2: empty hypothesis"),
        ("l --references bad", 1, "bad: no reference of utterance u2"),
        ("l -o nowhere/x", 1, "nowhere/x: there is no directory nowhere"),
        ("l -o l --force", 1, "l: is read in this run as well"),
        ("l -o ref", 1, "ref: already exists; --force replaces it"),
        ("slash --to srilm -o out", 1, "utterance a/b: its id cannot be the name of a file; use --to tsv"),
        ("", 2, "Missing argument 'LIST...'"),
        ("l --tune", 2, "--tune needs --references FILE"),
        ("l --json", 2, "--json: is for the word error rates"),
        ("l --to srilm", 2, "--to srilm needs -o FOLDER"),
        ("l --to srilm --best -o out", 2, "--best cannot be used with --to srilm"),
        ("l --references ref -o -", 2, "--output -: the table of --references goes to standard output"),
        ("l --model-weight 1 --model-weight 2", 2, "--model-weight given 2 times for 1 model"),
        ("l --weight 2", 2, "Invalid value for '--weight'"),
        ("l --word-penalty nan", 2, "Invalid value for '--word-penalty': nan is not a finite number."),
    ],
)
def test_what_cannot_be_done_is_one_line(line, code, reason, lists, rnnlm):
    if "--references bad" in line:
        pytest.importorskip("jiwer")
    (lists / "bad").write_text("u1 a\nu1\n" if line == "bad" else "u1 a\n")
    (lists / "slash").write_text("a/b man\n")
    found, out, err = rnnlm(f"rescore -m small.rnnlm {line}")
    assert (found, out) == (code, "")
    assert err.startswith(f"Error: {reason}")
    assert not (lists / "out").exists()
