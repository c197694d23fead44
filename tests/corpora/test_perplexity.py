"""evaluate(): what is counted, by hand values, by KenLM's own output, and as properties."""

from __future__ import annotations

import gzip
import json
import math
import re
import time
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.errors import CorpusError
from corpora.evaluation.language_model import LanguageModel, Scored
from corpora.evaluation.perplexity import SUMMARY_KEYS, Tally, blocks, evaluate, score_blocks
from corpora.text.vocab import Vocab
from tests.golden_files import GOLDEN, golden_bytes


class Playback(LanguageModel):
    """Gives log10 probabilities back, token after token; the state is the number of tokens read."""

    def __init__(self, words, log10_prob, oov=None):
        self.vocab = Vocab([b"</s>", *words])
        self.log10_prob = np.asarray(log10_prob, np.float64)
        self.oov = oov
        self.seen = []

    def start(self):
        return 0

    def score_ids(self, ids, state, *, entropy=False):
        self.seen.append(ids.tolist())
        stop = state + len(ids)
        return Scored(self.log10_prob[state:stop], ids < 0 if self.oov is None else self.oov[state:stop]), stop


def text(*sentences: bytes):
    """A stream with its own vocabulary, in order of first appearance."""
    ids = {b"</s>": 0}
    stream = [ids.setdefault(word, len(ids)) for sentence in sentences for word in [*sentence.split(), b"</s>"]]
    return SimpleNamespace(ids=np.array(stream, np.int32), vocab=Vocab(list(ids)))


# three words, of which z is unknown, and a sentence end; a model with <unk> gives z 10^-3
HAND = [-1.0, -3.0, -2.0, -0.5]


def hand_model(unk=True):
    return Playback([b"a", b"b"] + [b"<unk>"] * unk, HAND if unk else [-1.0, -np.inf, -2.0, -0.5])


def test_skip_leaves_oovs_out_of_the_sum_and_the_denominators():
    tally = evaluate(hand_model(), text(b"a z b"))
    assert (tally.sentences, tally.words, tally.oov, tally.zeroprobs) == (1, 3, 1, 0)
    assert tally.log10_prob == -3.5
    assert tally.perplexity == pytest.approx(10 ** (3.5 / 3))  # a, b, </s>
    assert tally.ppl1 == pytest.approx(10 ** (3.5 / 2))
    assert tally.perplexity_including_oov == pytest.approx(10 ** (6.5 / 4))
    assert tally.bits_per_word == pytest.approx(3.5 / 3 * math.log2(10))


def test_unk_counts_an_oov_as_the_ordinary_word_unk():
    tally = evaluate(hand_model(), text(b"a z b"), oov="unk")
    assert (tally.oov, tally.skipped, tally.log10_prob) == (1, 0, -6.5)
    assert tally.perplexity == tally.perplexity_including_oov == pytest.approx(10 ** (6.5 / 4))
    assert tally.ppl1 == pytest.approx(10 ** (6.5 / 3))


def test_floor_counts_an_oov_as_given():
    tally = evaluate(hand_model(), text(b"a z b"), oov="floor")
    assert tally.log10_prob == -11.5
    assert tally.perplexity == pytest.approx(10 ** (11.5 / 4))
    assert tally.perplexity_including_oov == pytest.approx(10 ** (6.5 / 4))  # KenLM's does not depend on the policy
    assert evaluate(hand_model(), text(b"a z b"), oov="floor", floor=-2.0).log10_prob == -5.5


def test_without_unk_the_perplexity_including_oovs_is_infinite_and_null():
    tally = evaluate(hand_model(unk=False), text(b"a z b"))
    assert tally.perplexity_including_oov == math.inf
    assert tally.summary()["perplexity_including_oov"] is None
    assert tally.zeroprobs == 0  # an OOV is no zeroprob
    assert tally.log10_prob == -3.5


def test_zero_probabilities_of_known_words_are_left_out_and_counted():
    tally = evaluate(Playback([b"a", b"b"], [-1.0, -np.inf, -2.0, -0.5]), text(b"a b b"))
    assert (tally.oov, tally.zeroprobs, tally.log10_prob) == (0, 1, -3.5)
    assert tally.perplexity == pytest.approx(10 ** (3.5 / 3))
    assert tally.ppl1 == pytest.approx(10 ** (3.5 / 2))


def test_nothing_but_oovs_has_an_undefined_ppl1():
    tally = evaluate(Playback([b"a"], [-np.inf, -1.291743]), text(b"uhhuh"))
    assert tally.perplexity == pytest.approx(19.57686, rel=1e-6)  # as SRILM prints for this logprob
    assert math.isnan(tally.ppl1)
    assert tally.summary()["ppl1"] is None


def test_an_empty_line_is_a_sentence_and_an_empty_stream_is_nothing():
    assert evaluate(Playback([], [-1.0, -1.0]), text(b"", b"")).summary()["sentences"] == 2
    tally = evaluate(Playback([], []), text())
    assert tally.summary() | {"words_per_second": None} == {
        **dict.fromkeys(SUMMARY_KEYS),
        **dict.fromkeys(("sentences", "words", "oov", "zeroprobs", "log10_prob"), 0),
        "oov_policy": "skip",
    }


def test_a_perplexity_beyond_float64_is_infinite_and_not_an_error():
    assert evaluate(Playback([b"a"], [-1000.0, -1000.0]), text(b"a")).perplexity == math.inf


def test_summary_is_json_under_the_documented_keys():
    summary = evaluate(hand_model(), text(b"a z b")).summary()
    assert tuple(json.loads(json.dumps(summary))) == SUMMARY_KEYS


def test_words_are_mapped_to_the_models_ids_and_minus_one_stays():
    lm = Playback([b"b", b"a"], [-1.0] * 5)
    evaluate(lm, text(b"a b", b"z"))
    assert lm.seen == [[2, 1, 0, -1, 0]]
    stream = SimpleNamespace(ids=np.array([1, -1, 0], np.int32), vocab=Vocab([b"</s>", b"a"]))
    lm = Playback([b"b", b"a"], [-1.0] * 3)
    assert evaluate(lm, stream).oov == 1
    assert lm.seen == [[2, -1, 0]]


def test_a_literal_unk_is_an_ordinary_word_of_a_model_that_has_it():
    assert evaluate(Playback([b"<unk>"], [-1.0, -1.0]), text(b"<unk>")).oov == 0


def test_policies_that_cannot_be_followed_say_what_to_do():
    with pytest.raises(CorpusError, match="no <unk>; use `oov` skip"):
        evaluate(hand_model(unk=False), text(b"a"), oov="unk")
    with pytest.raises(ValueError, match="skip, unk, floor"):
        evaluate(hand_model(), text(b"a"), oov="ignore")
    for floor in (1.0, math.nan, -math.inf):
        with pytest.raises(ValueError, match="log10 probability"):
            evaluate(hand_model(), text(b"a"), oov="floor", floor=floor)


def test_a_probability_that_is_not_a_number_is_an_error_with_its_place():
    with pytest.raises(CorpusError, match="token 3 of the text"):
        evaluate(Playback([b"a"], [-1.0, -1.0, np.nan, -1.0]), text(b"a", b"a"), block_size=2)


@given(st.lists(st.integers(0, 3), max_size=60), st.integers(1, 20))
def test_blocks_are_whole_sentences_unless_one_is_longer_than_a_block(ids, size):
    ids = np.array(ids, np.int32)
    cut = list(blocks(ids, size))
    assert [i for block, _ in cut for i in block] == ids.tolist()
    for k, (block, ends) in enumerate(cut):
        assert 1 <= len(block) <= size
        assert ends.tolist() == [i for i, word in enumerate(block) if word == 0]
        if k < len(cut) - 1 and 0 in block:
            assert block[-1] == 0


@st.composite
def scored_texts(draw):
    ids = np.array([*draw(st.lists(st.integers(0, 4), max_size=80)), 0], np.int32)
    numbers = st.one_of(st.floats(-12, 0), st.just(-math.inf))
    log10_prob = np.array(draw(st.lists(numbers, min_size=len(ids), max_size=len(ids))))
    stream = SimpleNamespace(ids=ids, vocab=Vocab([b"</s>", b"a", b"b", b"c", b"d"]))
    return stream, log10_prob


@given(scored_texts(), st.integers(1, 30), st.sampled_from(["skip", "unk", "floor"]))
def test_block_sizes_change_nothing_and_sentences_sum_to_the_whole(scored, size, oov):
    stream, log10_prob = scored
    words = [b"a", b"c", b"<unk>"]  # b and d are unknown
    whole = evaluate(Playback(words, log10_prob), stream, oov=oov)
    cut = evaluate(Playback(words, log10_prob), stream, oov=oov, block_size=size)
    (block,) = score_blocks(Playback(words, log10_prob), stream, oov=oov)
    by_sentence = Tally.by_sentence(block)
    for name in ("sentences", "words", "oov", "skipped", "zeroprobs"):
        assert getattr(whole, name) == getattr(cut, name) == getattr(by_sentence, name).sum()
    for name in ("log10_prob", "all_log10_prob"):
        assert getattr(cut, name) == pytest.approx(getattr(whole, name), abs=1e-9)
        assert getattr(by_sentence, name).sum() == pytest.approx(getattr(whole, name), abs=1e-9)
    assert by_sentence.perplexity.shape == (whole.sentences,)


@given(scored_texts(), st.sampled_from(["skip", "unk", "floor"]))
def test_counts_agree_with_a_plain_loop(scored, oov):
    stream, log10_prob = scored
    total = tokens = words = oovs = zeroprobs = 0
    for word, x in zip(stream.ids.tolist(), log10_prob.tolist(), strict=True):
        words += word != 0
        unknown = word in (2, 4)
        oovs += unknown
        if unknown and oov == "skip":
            continue
        x = -8.0 if unknown and oov == "floor" else x
        if x == -math.inf:
            zeroprobs += 1
        else:
            total, tokens = total + x, tokens + 1
    tally = evaluate(Playback([b"a", b"c", b"<unk>"], log10_prob), stream, oov=oov)
    assert (tally.words, tally.oov, tally.zeroprobs, tally.tokens) == (words, oovs, zeroprobs, tokens)
    assert tally.log10_prob == pytest.approx(total, abs=1e-9)
    if tokens:
        assert tally.perplexity == pytest.approx(10 ** (-total / tokens))
        assert 2**tally.bits_per_word == pytest.approx(tally.perplexity)


def test_a_million_tiny_log_probabilities_are_summed_exactly():
    # in float32 the sum of a million 1e-7 after -1e4 would be lost altogether
    n = 1_000_000
    log10_prob = np.full(n, -1e-7)
    log10_prob[0] = -1e4
    stream = SimpleNamespace(ids=np.ones(n, np.int32), vocab=Vocab([b"</s>", b"a"]))
    tally = evaluate(Playback([b"a"], log10_prob), stream)
    assert abs(tally.log10_prob - math.fsum(log10_prob)) < 1e-9


def test_on_block_sees_every_token_in_order():
    stream, seen = text(b"a b", b"c", b"a"), []
    evaluate(Playback([b"a"], [-1.0] * 7), stream, on_block=seen.append, block_size=3)
    assert [len(block) for block in seen] == [3, 2, 2]
    assert np.array_equal(np.concatenate([block.ids for block in seen]), stream.ids)


def test_the_evaluator_adds_less_than_a_tenth_of_a_microsecond_a_word():
    n = 1_000_000
    ids = np.random.default_rng(1).integers(0, 10, n).astype(np.int32)
    stream = SimpleNamespace(ids=ids, vocab=Vocab([b"</s>", *(b"%d" % i for i in range(9))]))
    scored = Scored(np.full(n, -1.0), np.zeros(n, bool))

    class Instant(LanguageModel):
        vocab = stream.vocab

        def start(self):
            return 0

        def score_ids(self, ids, state, *, entropy=False):
            stop = state + len(ids)
            return Scored(scored.log10_prob[state:stop], scored.oov[state:stop]), stop

    best = math.inf
    for _ in range(5):
        began = time.process_time()
        evaluate(Instant(), stream)
        best = min(best, time.process_time() - began)
    assert best / n < 1e-7


@pytest.mark.parametrize("name", ["mkn3", "mkn5"])
def test_kenlm_summary_from_its_own_word_probabilities(name):
    fields = gzip.decompress((GOLDEN / "kenlm" / f"{name}.query.word.gz").read_bytes()).split()
    assert len(fields) % 3 == 0
    words, word_ids = zip(*(field.rsplit(b"=", 1) for field in fields[::3]), strict=True)
    log10_prob = np.array(fields[2::3], np.float32)
    oov = np.array(word_ids) == b"0"
    known = [word for word in dict.fromkeys(words) if word != b"</s>"]
    stream = text(*b" ".join(words).replace(b" </s>", b"\n").splitlines())
    summary = dict(line.split(":\t") for line in (GOLDEN / "kenlm" / f"{name}.query.summary").read_text().splitlines())
    tally = evaluate(Playback([*known, b"<unk>"], log10_prob, oov), stream)
    assert tally.words + tally.sentences == int(summary["Tokens"])
    assert tally.oov == int(summary["OOVs"])
    # KenLM adds the words of a sentence up in float32, so its printed digits agree to some 1e-8
    assert tally.perplexity_including_oov == pytest.approx(float(summary["Perplexity including OOVs"]), rel=1e-7)
    assert tally.perplexity == pytest.approx(float(summary["Perplexity excluding OOVs"]), rel=1e-7)


@pytest.mark.parametrize("name", ["full", "classes", "oldclass", "sentence", "direct", "compress"])
def test_skip_gives_the_total_and_the_perplexity_of_rnnlm_0_4b(name):
    head, totals = golden_bytes(f"rnnlm/{name}.test.debug2").decode().split("\n\n", 1)
    rows = [line.split() for line in head.split("----\n")[1].splitlines()]  # index (-1: OOV), probability, word
    prob = np.array([row[1] for row in rows], np.float64)
    oov = np.array([row[0] for row in rows]) == "-1"
    words = " ".join(row[2] for row in rows).replace(" </s>", "\n").encode()
    with np.errstate(divide="ignore"):
        tally = evaluate(Playback([b"OOV"], np.log10(prob), oov), text(*words.splitlines()))
    assert tally.log10_prob == pytest.approx(float(re.search(r"log probability: (\S+)", totals)[1]), rel=1e-7)
    assert tally.perplexity == pytest.approx(float(re.search(r"PPL net: (\S+)", totals)[1]), rel=1e-6)
