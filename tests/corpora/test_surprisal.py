"""The surprisal table: its columns and units by hand, and the same whatever the blocks."""

from __future__ import annotations

import io
import json
import math
import time
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.errors import CorpusError
from corpora.evaluation.language_model import LanguageModel, Scored
from corpora.evaluation.surprisal import column_formats, model_names, surprisal_table
from corpora.text.vocab import Vocab


class Playback(LanguageModel):
    """Gives probabilities and entropies back, token after token; the state is the number of tokens read."""

    def __init__(self, words, prob, entropy_bits=None):
        self.vocab = Vocab([b"</s>", *words])
        with np.errstate(divide="ignore"):
            self.log10_prob = np.log10(np.asarray(prob, np.float64))
        self.entropy_bits = None if entropy_bits is None else np.asarray(entropy_bits, np.float64)

    def start(self):
        return 0

    def score_ids(self, ids, state, *, entropy=False):
        assert entropy
        stop = state + len(ids)
        bits = None if self.entropy_bits is None else self.entropy_bits[state:stop]
        return Scored(self.log10_prob[state:stop], ids < 0, entropy_bits=bits), stop


def text(*sentences: bytes):
    """A stream with its own vocabulary, in order of first appearance."""
    ids = {b"</s>": 0}
    stream = [ids.setdefault(word, len(ids)) for sentence in sentences for word in [*sentence.split(), b"</s>"]]
    return SimpleNamespace(ids=np.array(stream, np.int32), vocab=Vocab(list(ids)))


def table(models, stream, **options) -> bytes:
    sink = io.BytesIO()
    surprisal_table(models if isinstance(models, dict) else {"model": models}, stream, sink, **options)
    return sink.getvalue()


TEXT = text(b"a z b", b"b")
PROB = [0.5, 0.25, 0.125, 1.0, 0.5, 0.25]
ENTROPY = [3.0, 2.0, 2.5, 0.25, 3.0, 1.0]


def hand_model(unk=True):
    return Playback([b"a", b"b"] + [b"<unk>"] * unk, PROB if unk else [0.5, 0.0, 0.125, 1.0, 0.5, 0.25], ENTROPY)


def test_one_model():
    # reductions: 3 - 2, max(0, 2 - 2.5), 2.5 - 0.25, none at </s>; 3 - 1, none
    assert table(hand_model(), TEXT).decode().splitlines() == [
        "sentence\tposition\tword\toov\tsurprisal\tentropy\tentropy_reduction",
        "1\t1\ta\t0\t1.000000\t3.000000\t1.000000",
        "1\t2\tz\t1\t2.000000\t2.000000\t0.000000",
        "1\t3\tb\t0\t3.000000\t2.500000\t2.250000",
        "1\t4\t</s>\t0\t0.000000\t0.250000\t",
        "2\t1\tb\t0\t1.000000\t3.000000\t2.000000",
        "2\t2\t</s>\t0\t2.000000\t1.000000\t",
    ]


def test_several_models_have_columns_with_their_names():
    other = Playback([b"a", b"z", b"b"], [0.25] * 6, [2.0] * 6)
    header, first, second, *_ = table({"x": hand_model(), "y": other}, TEXT).decode().splitlines()
    assert header.split("\t") == [
        *("sentence", "position", "word", "oov"),
        *("oov_x", "surprisal_x", "entropy_x", "entropy_reduction_x"),
        *("oov_y", "surprisal_y", "entropy_y", "entropy_reduction_y"),
    ]
    assert header.split("\t") == list(column_formats(["x", "y"]))
    assert first == "1\t1\ta\t0\t0\t1.000000\t3.000000\t1.000000\t0\t2.000000\t2.000000\t0.000000"
    # z is outside x's vocabulary alone
    assert second == "1\t2\tz\t1\t1\t2.000000\t2.000000\t0.000000\t0\t2.000000\t2.000000\t0.000000"


def test_sentence_ends_can_be_left_out_and_still_count_for_the_reduction():
    whole = table(hand_model(), TEXT).splitlines()
    assert table(hand_model(), TEXT, sentence_ends=False).splitlines() == [row for row in whole if b"</s>" not in row]


def test_an_oov_has_an_empty_cell_where_the_model_has_no_unk():
    assert b"1\t2\tz\t1\t\t2.000000\t0.000000\n" in table(hand_model(unk=False), TEXT)
    assert b"1\t2\tz\t1\t\t2.000000\t0.000000\n" in table(hand_model(), TEXT, oov="skip")
    # 8 log2(10) bits
    assert b"1\t2\tz\t1\t26.575425\t2.000000\t0.000000\n" in table(hand_model(), TEXT, oov="floor")
    assert b"1\t2\tz\t1\t3.321928\t2.000000\t0.000000\n" in table(hand_model(), TEXT, oov="floor", floor=-1.0)
    with pytest.raises(CorpusError, match="no <unk>"):
        table(hand_model(unk=False), TEXT, oov="unk")


def test_a_zero_probability_is_infinite():
    lm = Playback([b"a"], [0.0, 1.0], [1.0, 1.0])
    assert b"1\t1\ta\t0\tinf\t1.000000\t0.000000\n" in table(lm, text(b"a"))
    assert json.loads(table(lm, text(b"a"), form="json").splitlines()[0])["surprisal"] is None


def test_a_model_without_entropies_has_empty_cells():
    assert b"1\t1\ta\t0\t1.000000\t\t\n" in table(Playback([b"a"], [0.5, 0.5]), text(b"a"))


def test_rounding_errors_do_not_print_as_negative_zero():
    lm = Playback([b"a"], [1.0 + 1e-12, 1.0], [-1e-12, 0.0])
    assert b"-" not in table(lm, text(b"a"))


def test_json_lines_hold_the_same():
    header, *rows = table(hand_model(), TEXT).decode().splitlines()
    objects = [json.loads(line) for line in table(hand_model(), TEXT, form="json").splitlines()]
    assert len(objects) == len(rows)
    for row, entry in zip(rows, objects, strict=True):
        assert list(entry) == header.split("\t")
        for cell, value in zip(row.split("\t"), entry.values(), strict=True):
            assert (cell == "") == (value is None)
            assert value is None or cell == value or float(cell) == value


def test_an_empty_text_is_a_header():
    assert (
        table(Playback([], [], []), text()) == b"sentence\tposition\tword\toov\tsurprisal\tentropy\tentropy_reduction\n"
    )
    assert table(Playback([], [], []), text(), form="json") == b""


@given(st.lists(st.integers(0, 3), max_size=40), st.integers(1, 10), st.booleans(), st.booleans())
def test_blocks_change_nothing(ids, size, two, sentence_ends):
    ids = np.array([*ids, 0], np.int32)
    stream = SimpleNamespace(ids=ids, vocab=Vocab([b"</s>", b"a", b"b", b"c"]))
    rng = np.random.default_rng(len(ids))
    prob, entropy = rng.uniform(0.01, 1, len(ids)), rng.uniform(0, 5, len(ids))
    models = {"x": Playback([b"a", b"b"], prob, entropy)}
    if two:
        models["y"] = Playback([b"a", b"c", b"<unk>"], prob[::-1], entropy[::-1])
    whole = table(models, stream, sentence_ends=sentence_ends)
    assert table(models, stream, sentence_ends=sentence_ends, block_size=size) == whole
    if sentence_ends and not two:
        # the reduction, told by a plain loop
        for i, row in enumerate(whole.decode().splitlines()[1:]):
            expected = "" if ids[i] == 0 else f"{max(0.0, entropy[i] - entropy[i + 1]):.6f}"
            assert row.split("\t")[6] == expected


def test_names_of_models_are_short_distinct_and_plain():
    assert model_names(["dir/elman.model", "other/elman.model", "lstm 2.bin", "x/elman_2.model"]) == [
        "elman",
        "elman_2",
        "lstm_2",
        "elman_2_2",
    ]


def test_no_model_and_unknown_formats_are_refused():
    with pytest.raises(ValueError, match="no model"):
        table({}, TEXT)
    with pytest.raises(ValueError, match="tsv, json"):
        table(hand_model(), TEXT, form="csv")


def test_a_hundred_thousand_rows_a_second():
    n = 100_000
    rng = np.random.default_rng(3)
    stream = SimpleNamespace(ids=rng.integers(0, 4, n).astype(np.int32), vocab=Vocab([b"</s>", b"a", b"b", b"c"]))
    lm = Playback([b"a", b"b", b"c"], rng.uniform(0.01, 1, n), rng.uniform(0, 5, n))
    best = math.inf
    for _ in range(3):
        began = time.process_time()
        table(lm, stream)
        best = min(best, time.process_time() - began)
    assert n / best > 100_000
