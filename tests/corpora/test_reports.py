"""Reports: SRILM's files byte for byte, tables that read back as the tally, and bytes that survive."""

from __future__ import annotations

import gzip
import io
import json
import math
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.evaluation.language_model import LanguageModel, Scored
from corpora.evaluation.perplexity import SUMMARY_KEYS, evaluate
from corpora.evaluation.reports import FORMATS, REPORTS, SENTENCE_COLUMNS, WORD_COLUMNS, make_report
from corpora.text.vocab import Vocab
from tests.golden_files import GOLDEN


class Playback(LanguageModel):
    """Gives log10 probabilities (and orders) back, token after token; the state is the number of tokens read."""

    def __init__(self, words, log10_prob, order=None):
        self.vocab = Vocab([b"</s>", *words])
        self.log10_prob, self.order = np.asarray(log10_prob, np.float64), order

    def start(self):
        return 0

    def score_ids(self, ids, state, *, entropy=False):
        stop = state + len(ids)
        order = None if self.order is None else self.order[state:stop]
        return Scored(self.log10_prob[state:stop], ids < 0, order=order), stop


def text(*sentences: bytes):
    """A stream with its own vocabulary, in order of first appearance."""
    ids = {b"</s>": 0}
    stream = [ids.setdefault(word, len(ids)) for sentence in sentences for word in [*sentence.split(), b"</s>"]]
    return SimpleNamespace(ids=np.array(stream, np.int32), vocab=Vocab(list(ids)))


def printed(lm, stream, report, form, name="test.txt", **options) -> bytes:
    sink = io.BytesIO()
    writer = make_report(report, form, sink, stream.vocab, name)
    writer.finish(evaluate(lm, stream, on_block=writer.block, **options))
    return sink.getvalue()


# --- SRILM's files -----------------------------------------------------------------------------------------------


def arpa(path: Path):
    """n-gram -> (log10 probability, log10 back-off weight) in float32, as SRILM holds them; and the order."""
    ngrams, order = {}, 0
    for line in gzip.decompress(path.read_bytes()).split(b"\n"):
        heading = re.match(rb"\\(\d+)-grams:", line)
        fields = line.split(b"\t")
        if heading:
            order = int(heading[1])
        elif order and len(fields) >= 2:
            ngrams[tuple(fields[1].split())] = np.float32(fields[0]), np.float32(fields[2] if len(fields) > 2 else 0)
    return ngrams, order


def backoff(ngrams, order, word, history):
    """log10 probability in float32, back-off weights added from the shortest context on; and the order found."""
    history = tuple(history[max(0, len(history) - order + 1) :])
    weights = []
    while (*history, word) not in ngrams:
        if history in ngrams:
            weights.insert(0, ngrams[history][1])
        history = history[1:]
    return ngrams[(*history, word)][0] + sum(weights, np.float32(0)), len(history) + 1


def score_with_srilms_arithmetic(sentences, known, models, weights):
    log10_prob, orders = [], []
    for sentence in sentences:
        history = [b"<s>"]
        for word in [*sentence.split(), b"</s>"]:
            word = word if word in known else b"<unk>"
            found = [backoff(*model, word, history) for model in models]
            if len(found) == 1:
                log10_prob.append(found[0][0])
            else:
                mixed = sum(w * 10.0 ** float(x) for w, (x, _) in zip(weights, found, strict=True))
                log10_prob.append(np.float32(math.log(mixed) / math.log(10)))
            orders.append([order for _, order in found])
            history.append(word)
    return log10_prob, np.array(orders, np.int32)


@pytest.mark.parametrize(
    "name", ["gt3", "wb3", "ad3", "ukn3", "ukn3bo", "mkn4", "add01", "add1", "mix.mkn4-gt3.bayes0"]
)
def test_srilm_layouts_are_those_of_srilm_byte_for_byte(name):
    golden = gzip.decompress((GOLDEN / "srilm" / f"{name}.ppl.debug2.gz").read_bytes())
    sentences = (GOLDEN / "toy" / "test.txt").read_bytes().splitlines()
    components = ["mkn4", "gt3"] if name.startswith("mix") else [name]
    models = [arpa(GOLDEN / "srilm" / f"{component}.arpa.gz") for component in components]
    known = [ngram[0] for ngram in models[0][0] if len(ngram) == 1 and ngram[0] != b"</s>"]
    log10_prob, orders = score_with_srilms_arithmetic(sentences, {*known, b"</s>"}, models, [0.6, 0.4])
    lm = Playback(known, log10_prob, orders if len(models) > 1 else orders[:, 0])

    def ours(report, **options):
        return printed(lm, text(*sentences), report, "srilm", "toy/test.txt", oov="unk", **options)

    assert ours("word") == golden
    assert ours("word", block_size=5) == golden  # some sentences are longer than that
    lines = golden.splitlines(keepends=True)
    assert ours("sentence") == b"".join(line for line in lines if not line.startswith(b"\t"))
    assert ours("summary") == b"".join(lines[-2:])


def test_srilm_oov_lines():
    # a line of ngram -ppl -debug 2 with a closed vocabulary: only </s> has a probability
    lm = Playback([b"a"], [-math.inf, -1.2917431], np.array([0, 1]))
    totals = b"1 sentences, 1 words, 1 OOVs\n0 zeroprobs, logprob= -1.291743 ppl= 19.57686 ppl1= undefined\n"
    assert printed(lm, text(b"uhhuh"), "word", "srilm") == (
        b"uhhuh\n"
        b"\tp( <unk> | <s> ) \t= [OOV] 0 [ -inf ]\n"
        b"\tp( </s> | <unk> ...) \t= [1gram] 0.05108071 [ -1.291743 ]\n" + totals + b"\nfile test.txt: " + totals
    )


def test_srilm_layout_of_a_model_without_orders_has_no_note_but_for_oovs():
    lm = Playback([b"a", b"<unk>"], [-0.30103, -2.0, -math.inf, 0.0])
    assert printed(lm, text(b"a z a"), "word", "srilm") == (
        b"a z a\n"
        b"\tp( a | <s> ) \t=  0.5 [ -0.30103 ]\n"
        b"\tp( <unk> | a ...) \t= [OOV] 0 [ -inf ]\n"
        b"\tp( a | <unk> ...) \t=  0 [ -inf ]\n"
        b"\tp( </s> | a ...) \t=  1 [ 0 ]\n"
        b"1 sentences, 3 words, 1 OOVs\n"
        b"1 zeroprobs, logprob= -0.30103 ppl= 1.414214 ppl1= 2\n"
        b"\n"
        b"file test.txt: 1 sentences, 3 words, 1 OOVs\n"
        b"1 zeroprobs, logprob= -0.30103 ppl= 1.414214 ppl1= 2\n"
    )
    assert b"p( <unk> | a ...) \t=  0.01 [ -2 ]\n" in printed(lm, text(b"a z a"), "word", "srilm", oov="unk")
    floored = printed(lm, text(b"a z a"), "word", "srilm", oov="floor")
    assert b"p( <unk> | a ...) \t= [OOV] 1e-08 [ -8 ]\n" in floored
    assert b"3 words, 0 OOVs\n" in floored  # so that ppl is that of the counts beside it


def test_srilm_layout_of_empty_sentences_and_texts():
    assert printed(Playback([], [-1.0]), text(b""), "sentence", "srilm") == (
        b"\n1 sentences, 0 words, 0 OOVs\n0 zeroprobs, logprob= -1 ppl= 10 ppl1= undefined\n\n"
        b"file test.txt: 1 sentences, 0 words, 0 OOVs\n0 zeroprobs, logprob= -1 ppl= 10 ppl1= undefined\n"
    )
    assert printed(Playback([], []), text(), "word", "srilm") == b"file test.txt: 0 sentences, 0 words, 0 OOVs\n"


# --- tables ------------------------------------------------------------------------------------------------------

TWO_SENTENCES = text(b"a z b", b"b")
HAND = [-1.0, -math.inf, -2.0, -0.5, -0.25, -0.125]


def hand_model():
    return Playback([b"a", b"b"], HAND)


def test_sentence_table():
    assert printed(hand_model(), TWO_SENTENCES, "sentence", "tsv") == (
        b"sentence\twords\toov\tzeroprobs\tlog10_prob\tperplexity\tppl1\tperplexity_including_oov\tbits_per_word\n"
        b"1\t3\t1\t0\t-3.5\t14.6779927\t56.2341325\tinf\t3.87558278\n"
        b"2\t1\t0\t0\t-0.375\t1.53992653\t2.37137371\t1.53992653\t0.622861518\n"
    )


def test_word_table():
    assert printed(hand_model(), TWO_SENTENCES, "word", "tsv") == (
        b"sentence\tposition\tword\toov\tlog10_prob\n"
        b"1\t1\ta\t0\t-1\n1\t2\tz\t1\t\n1\t3\tb\t0\t-2\n1\t4\t</s>\t0\t-0.5\n2\t1\tb\t0\t-0.25\n2\t2\t</s>\t0\t-0.125\n"
    )
    zero = Playback([b"a"], [-math.inf, -1.0])
    assert b"1\t1\ta\t0\t-inf\n" in printed(zero, text(b"a"), "word", "tsv")
    assert json.loads(printed(zero, text(b"a"), "word", "json").splitlines()[0])["log10_prob"] is None


def test_word_table_of_n_gram_models_tells_the_order_that_was_found():
    lm = Playback([b"a", b"b"], HAND, np.array([2, 0, 1, 2, 1, 3]))
    assert printed(lm, TWO_SENTENCES, "word", "tsv", block_size=4) == (
        b"sentence\tposition\tword\toov\tlog10_prob\torder\n"
        b"1\t1\ta\t0\t-1\t2\n1\t2\tz\t1\t\t0\n1\t3\tb\t0\t-2\t1\n1\t4\t</s>\t0\t-0.5\t2\n"
        b"2\t1\tb\t0\t-0.25\t1\n2\t2\t</s>\t0\t-0.125\t3\n"
    )
    mixture = Playback([b"a"], [-1.0, -1.0], np.array([[2, 1], [3, 1]]))
    rows = [json.loads(line) for line in printed(mixture, text(b"a"), "word", "json").splitlines()]
    assert [(row["order_1"], row["order_2"]) for row in rows] == [(2, 1), (3, 1)]


def test_json_lines_hold_what_the_tables_hold():
    def cell(value) -> set[str]:
        if value is None:
            return {"", "inf", "-inf"}
        return {value if isinstance(value, str) else f"{value:.9g}"}

    for report, columns in (("sentence", SENTENCE_COLUMNS), ("word", WORD_COLUMNS)):
        header, *rows = printed(hand_model(), TWO_SENTENCES, report, "tsv").decode().splitlines()
        objects = [json.loads(line) for line in printed(hand_model(), TWO_SENTENCES, report, "json").splitlines()]
        assert header.split("\t") == list(columns) == list(objects[0])
        for row, entry in zip(rows, objects, strict=True):
            assert all(text in cell(x) for text, x in zip(row.split("\t"), entry.values(), strict=True))


def test_summaries_state_the_same():
    tally = evaluate(hand_model(), TWO_SENTENCES)
    summary = json.loads(printed(hand_model(), TWO_SENTENCES, "summary", "json"))
    assert tuple(summary) == SUMMARY_KEYS
    assert summary["perplexity"] == tally.perplexity
    header, row = printed(hand_model(), TWO_SENTENCES, "summary", "tsv").decode().splitlines()
    cells = dict(zip(header.split("\t"), row.split("\t"), strict=True))
    assert tuple(cells) == SUMMARY_KEYS
    assert float(cells["ppl1"]) == pytest.approx(tally.ppl1, rel=1e-11)
    assert (cells["perplexity_including_oov"], cells["oov_policy"]) == ("inf", "skip")
    lines = printed(hand_model(), TWO_SENTENCES, "summary", "text").decode().splitlines()
    lines = [" ".join(line.split()) for line in lines]  # the columns are as wide as the words a second need
    assert "OOVs 1 (25.00% of words, skipped)" in lines
    assert f"perplexity {tally.perplexity:.4f}" in lines


def test_text_reports_are_aligned():
    words = printed(hand_model(), TWO_SENTENCES, "word", "text").decode().splitlines()
    assert words[:6] == [
        "sentence position   log10 prob       bits  word",
        "       1        1      -1.0000     3.3219  a",
        "       1        2            -          -  z  [OOV]",
        "       1        3      -2.0000     6.6439  b",
        "       1        4      -0.5000     1.6610  </s>",
        "",
    ]
    sentences = printed(hand_model(), TWO_SENTENCES, "sentence", "text").decode().splitlines()
    assert sentences[:4] == [
        "sentence  words  OOVs   log10 prob  perplexity  text",
        "       1      3     1      -3.5000       14.68  a z b",
        "       2      1     0      -0.3750        1.54  b",
        "",
    ]


@pytest.mark.parametrize("report", REPORTS)
@pytest.mark.parametrize("form", FORMATS)
def test_every_report_of_every_format_is_the_same_for_any_block_size(report, form, monkeypatch):
    stopped_clock = SimpleNamespace(perf_counter=lambda: 0.0)  # the speed is one of the figures
    monkeypatch.setattr("corpora.evaluation.perplexity.time", stopped_clock)
    whole = printed(hand_model(), TWO_SENTENCES, report, form)
    for size in (1, 2, 3, 4, 5):
        assert printed(hand_model(), TWO_SENTENCES, report, form, block_size=size) == whole


@pytest.mark.parametrize("report", REPORTS)
@pytest.mark.parametrize("form", FORMATS)
def test_an_empty_text_has_a_report(report, form):
    output = printed(Playback([], []), text(), report, form)
    assert output.endswith(b"\n") or (form == "json" and report != "summary")


words = st.binary(min_size=1, max_size=6).filter(lambda word: not set(word) & set(b" \t\n\r") and word != b"</s>")


@given(st.lists(st.lists(words, max_size=5), min_size=1, max_size=5))
def test_any_bytes_survive_in_tsv_srilm_and_text_and_are_valid_json(sentences):
    tokens = [word for sentence in sentences for word in [*sentence, b"</s>"]]
    ids = {b"</s>": 0}
    stream = [ids.setdefault(word, len(ids)) for word in tokens]
    stream = SimpleNamespace(ids=np.array(stream, np.int32), vocab=Vocab(list(ids)))
    lm = Playback([word for word in ids if word != b"</s>"], [-1.0] * len(tokens))
    tsv = printed(lm, stream, "word", "tsv").split(b"\n")[1:-1]
    assert [row.split(b"\t")[2] for row in tsv] == tokens
    srilm = re.findall(rb"(?s)^\tp\( ([^ ]*) \|", printed(lm, stream, "word", "srilm"), re.M)
    assert srilm == tokens
    shown = [json.loads(line)["word"] for line in printed(lm, stream, "word", "json").split(b"\n")[:-1]]
    assert shown == [word.decode("utf-8", "backslashreplace") for word in tokens]
    for sentence in sentences:
        assert b"  " + b" ".join(sentence) + b"\n" in printed(lm, stream, "sentence", "text")


def test_a_name_may_be_any_path():
    assert printed(hand_model(), TWO_SENTENCES, "summary", "srilm", Path("dir") / "t.txt").startswith(b"file ")


def test_unknown_reports_and_formats_list_the_known_ones():
    with pytest.raises(ValueError, match="summary, sentence, word"):
        make_report("document", "text", io.BytesIO(), TWO_SENTENCES.vocab)
    with pytest.raises(ValueError, match="text, srilm, tsv, json"):
        make_report("word", "xml", io.BytesIO(), TWO_SENTENCES.vocab)
