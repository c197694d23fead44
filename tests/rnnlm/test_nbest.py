"""Reading and writing n-best lists: what each form says, and what is wrong with those that say nothing sensible."""

from __future__ import annotations

import gzip
import io

import numpy as np
import pytest

from corpora.errors import CorpusError, FormatError
from rnnlm.nbest import lists as nbest
from rnnlm.nbest.lists import best_of, read, read_references

NBEST = b"u1 a b\nu1 a c d\nu2 b\n"
TSV = b"words\tsnr\tLM score\tutt\tAcoustic\na b\t7\t-1.5\tu1\t-10\na c d\t7\t-2\tu1\t-9.25\nb\t8\t-1\tu2\t-3\n"
SRILM = {"u1.nbest": b"-10 -1.5 2 <s> a b </s>\n-9.25 -2 3 <s> a c d </s>\n", "u2.nbest": b"-3 -1 1 b\n"}


def lists_of(folder, files, **options):
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return read([str(folder / name) for name in files], **options)


@pytest.mark.parametrize(
    ("files", "form"), [({"l": NBEST}, "nbest"), ({"l": TSV}, "tsv"), (SRILM, "srilm")], ids=["nbest", "tsv", "srilm"]
)
def test_the_three_forms_say_the_same(files, form, tmp_path):
    lists = lists_of(tmp_path, files)
    assert lists.form == form
    assert lists.utterances == [b"u1", b"u2"]
    assert lists.starts.tolist() == [0, 2, 3]
    assert lists.words == [(b"a", b"b"), (b"a", b"c", b"d"), (b"b",)]
    assert lists.n_words.tolist() == [2, 3, 1]
    assert lists.utterance_of.tolist() == [0, 0, 1]
    if form == "nbest":
        assert lists.acoustic is None
        assert lists.language is None
    else:
        assert lists.acoustic.tolist() == [-10, -9.25, -3]
        assert lists.language.tolist() == [-1.5, -2, -1]


def test_compressed_lists_and_lists_with_carriage_returns_are_the_same(tmp_path):
    plain = lists_of(tmp_path, {"l": TSV})
    (tmp_path / "z.gz").write_bytes(gzip.compress(TSV.replace(b"\n", b"\r\n")))
    other = read([str(tmp_path / "z.gz")])
    assert other.words == plain.words
    assert other.rows == plain.rows


def test_an_utterance_of_srilm_is_named_by_its_file(tmp_path):
    (tmp_path / "AMI.u3.nbest.gz").write_bytes(gzip.compress(b"-1 -2 1 <s> a </s>\n"))
    assert read([str(tmp_path / "AMI.u3.nbest.gz")]).utterances == [b"AMI.u3"]


def test_sentence_marks_around_the_words_are_no_words(tmp_path):
    lists = lists_of(tmp_path, {"l": b"u1 <s> a b </s>\nu1 a b </s>\nu1 a b\n"})
    assert lists.words == [(b"a", b"b")] * 3


def test_scores_may_be_missing_from_a_table(tmp_path):
    lists = lists_of(tmp_path, {"l": b"id\ttext\tac\nu\ta b\t-2\n"})
    assert lists.language is None
    assert lists.acoustic.tolist() == [-2]


def test_several_files_are_one_collection(tmp_path):
    lists = lists_of(tmp_path, {"1": b"u1 a\nu1 b\n", "2": b"u2 a\n"})
    assert lists.utterances == [b"u1", b"u2"]


def test_the_form_can_be_forced_where_content_misleads(tmp_path):
    digits = {"l": b"1 2 1 4\n1 2 1 5\n"}  # ids and words are numbers: it looks like scores
    assert lists_of(tmp_path, digits).form == "srilm"
    assert lists_of(tmp_path, digits, form="nbest").words == [(b"2", b"1", b"4"), (b"2", b"1", b"5")]


def test_the_lists_of_real_speech_agree_in_both_forms(shared_data):
    folder = shared_data / "nbest"
    scored, plain = read([str(folder / "*.nbest")]), read([str(folder / "ami_nbest.txt")])
    assert (scored.form, plain.form) == ("srilm", "nbest")
    assert scored.words == plain.words
    assert scored.starts.tolist() == plain.starts.tolist() == [0, 50, 100, 150, 200, 250]
    assert scored.acoustic[0] == -10511.7244


@pytest.mark.parametrize(
    ("content", "options", "reason"),
    [
        (b"", {}, "no hypotheses"),
        (b"\n\n", {}, "no hypotheses"),
        (b"u1 a\n b c\n", {}, "2: the utterance's id is missing: the line begins with a space"),
        (b"u1 a\nu1\n", {}, "2: empty hypothesis; `allow_empty` takes it as a sentence of no words"),
        (b"u1 a\nu1 <s> </s>\n", {}, "2: empty hypothesis"),
        (b"u1 a\nu2 a\nu1 b\n", {}, "3: utterance u1 again, after others (it began at"),
        (b"u1 a </s> b\n", {}, "1: </s> inside a hypothesis"),
        (b"u1 a <s>\n", {}, "1: <s> inside a hypothesis"),
        (b"id\twords\nu1\ta\n\tb\n", {}, "3: the utterance's id is missing: its cell is empty"),
        (b"id\twords\nu1\ta\nu1\t\n", {}, "3: empty hypothesis"),
        (b"id\twords\nu1\ta\tb\n", {}, "2: 3 cells, but there are 2 columns"),
        (b"id\twords\nu 1\ta\n", {}, '2: utterance "u 1": an id has no spaces'),
        (b"id\twords\n", {}, "no hypotheses after the names of the columns"),
        (b"id\twords\tlm\nu1\ta\tx\n", {}, '2: language score: expected a finite number, found "x"'),
        (b"id\twords\tam\nu1\ta\tnan\n", {}, '2: acoustic score: expected a finite number, found "nan"'),
        (b"id\twords\tam\nu1\ta\t\n", {}, '2: acoustic score: expected a finite number, found ""'),
        (b"id\twords\tam\nu1\ta\t1_0\n", {}, "2: acoustic score"),
        (b"id\tlm\nu1\t1\n", {}, "1: no column words (names are on the first line)"),
        (b"words\tlm\nu1\t1\n", {}, "1: no column utterance"),
        (b"id\tutt\twords\nu\tu\ta\n", {}, '1: columns "id" and "utt" are both utterance'),
        (b"u1 a\n", {"form": "tsv"}, "1: no column utterance and no column words"),
        (b"-1 -2 2 a b\n-1 -2 3 a b\n", {}, "2: n_words is 3, but there are 2 words (<s> and </s> are not counted)"),
        (b"-1 -2 2 a b\n-1 x 1 a\n-1 -2 1 a\n", {}, '2: language score: expected a finite number, found "x"'),
        (b"-1 -2 2 a b\ny -2 1 a\n-1 -2 1 a\n", {}, '2: acoustic score: expected a finite number, found "y"'),
        (b"x -2 2 <s> a b </s>\n", {}, '1: acoustic score: expected a finite number, found "x"'),
        (b"-1 -2 2 a b\n-1 -2 1.5 a\n-1 -2 1 a\n", {}, '2: n_words: expected a number of words, found "1.5"'),
        (b"-1 -2 2 a b\n-1 inf 1 a\n-1 -2 1 a\n", {}, '2: language score: expected a finite number, found "inf"'),
        (b"-1 -2 0 <s> </s>\n", {}, "1: empty hypothesis"),
        (b"-1 -2\n", {"form": "srilm"}, '1: expected "acoustic lm n_words words", found 2 fields'),
        (b"NBestList2.0\n(-1) a ( st: 0 )\n", {}, "1: NBestList2.0: not read; `acoustic lm n_words words` is"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(content, options, reason, tmp_path):
    with pytest.raises(FormatError) as error:
        lists_of(tmp_path, {"l": content}, **options)
    message = str(error.value)
    assert message.startswith(f"{tmp_path / 'l'}:{'' if reason[0].isdigit() else ' '}{reason}")
    assert "\n" not in message


def test_empty_hypotheses_can_be_allowed(tmp_path):
    lists = lists_of(tmp_path, {"l": b"u1 a\nu1\n"}, allow_empty=True)
    assert lists.words == [(b"a",), ()]


def test_two_lists_of_one_utterance_and_two_forms_are_refused(tmp_path):
    (tmp_path / "other").mkdir()
    with pytest.raises(FormatError, match="utterance u1 once more"):
        lists_of(tmp_path, {"u1.nbest": SRILM["u1.nbest"], "other/u1.nbest": SRILM["u1.nbest"]})
    with pytest.raises(FormatError, match="looks like nbest, but the files before it are srilm"):
        lists_of(tmp_path, {"u1.nbest": SRILM["u1.nbest"], "l": NBEST})
    with pytest.raises(FormatError, match="the columns are not those of the file before"):
        lists_of(tmp_path, {"1": TSV, "2": b"id\twords\nu9\ta\n"})
    with pytest.raises(CorpusError, match="n-best format xml: one of"):
        lists_of(tmp_path, {"1": TSV}, form="xml")


def test_the_first_of_equal_scores_is_the_best():
    assert best_of(np.array([1.0, 3, 3, -np.inf, -np.inf, 2]), np.array([0, 3, 5, 6])).tolist() == [1, 3, 5]


# ---- references


def test_references_come_in_the_order_of_the_lists(tmp_path):
    (tmp_path / "r").write_bytes(b"u2 b\nu3 x\n\nu1 <s> a b </s>\nu4\n")
    found, others = read_references(str(tmp_path / "r"), [b"u1", b"u2", b"u4"])
    assert found == [(b"a", b"b"), (b"b",), ()]
    assert others == 1


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"u1 a\nu1 b\n", ":2: a second reference of utterance u1"),
        (b"u1 a\n", ": no reference of utterance u2 and 1 others"),
        (b"u1 a\n u2 b\n", ":2: the utterance's id is missing"),
    ],
)
def test_references_that_do_not_fit_are_told(content, reason, tmp_path):
    (tmp_path / "r").write_bytes(content)
    with pytest.raises(FormatError) as error:
        read_references(str(tmp_path / "r"), [b"u1", b"u2", b"u3"])
    assert str(error.value).startswith(f"{tmp_path / 'r'}{reason}")


# ---- writing


def written(write, *arguments):
    file = io.BytesIO()
    write(file, *arguments)
    return file.getvalue()


def test_a_table_keeps_its_columns_and_gets_new_ones(tmp_path):
    lists = lists_of(tmp_path, {"l": TSV})
    table = written(nbest.write_table, lists, {"log10_prob": np.array([-1, -2, -3.5])}).splitlines()
    assert table == [
        line + end
        for line, end in zip(TSV.splitlines(), [b"\tlog10_prob", b"\t-1.000000", b"\t-2.000000", b"\t-3.500000"],
                             strict=True)
    ]  # fmt: skip


def test_a_table_that_is_scored_again_has_new_scores_in_the_old_columns(tmp_path):
    once = written(nbest.write_table, lists_of(tmp_path, {"l": TSV}), {"total": np.zeros(3)})
    twice = written(nbest.write_table, lists_of(tmp_path, {"l": once}), {"total": np.ones(3)})
    assert twice == once.replace(b"\t0.000000", b"\t1.000000")


def test_srilms_form_is_read_as_it_was_written(tmp_path):
    lists = lists_of(tmp_path, SRILM)
    again = {f"{u}.again": written(nbest.write_srilm, lists, u, lists.language) for u in range(2)}
    other = lists_of(tmp_path, again)
    assert (other.words, other.acoustic.tolist()) == (lists.words, lists.acoustic.tolist())
    assert other.language.tolist() == lists.language.tolist()


def test_the_best_are_lines_of_id_and_words(tmp_path):
    lists = lists_of(tmp_path, {"l": NBEST})
    assert written(nbest.write_best, lists, lists.best(np.array([0.0, 1, 0]))) == b"u1 a c d\nu2 b\n"
