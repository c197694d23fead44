"""Queries: every word that SRILM and KenLM scored, the twin on any model, and that a state is a value."""

from __future__ import annotations

import gzip
import math
import re

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from corpora.evaluation.perplexity import evaluate
from corpora.text.stream import encode
from corpora.text.tokenizers import get_tokenizer
from corpora.text.vocab import UNK, Vocab
from rnnlm.ngram.query import model as model_module
from rnnlm.ngram.query.model import BackoffLM
from tests.reference.trie import arrays, build_trie, closed_ngrams, nodes_of
from tests.small_ngrams import (
    KENLM,
    PROPER,
    SRILM,
    both,
    float32_is_enough,
    ids_of,
    model_of,
    random_sentences,
    recipes,
    text_of,
)


@pytest.fixture(scope="module")
def models(golden):
    """models(name): the product's model of the toy corpus, estimated once."""
    train = text_of(golden / "toy" / "train.txt")
    made: dict[str, BackoffLM] = {}

    def get(name: str) -> BackoffLM:
        if name not in made:
            made[name] = model_of(train, **(SRILM | KENLM)[name])
        return made[name]

    return get


@pytest.fixture(scope="module")
def toy(golden):
    with encode([str(golden / "toy" / "test.txt")], get_tokenizer()) as stream:
        yield stream


def toy_ids(golden, model: BackoffLM, missing: int) -> np.ndarray:
    return ids_of(text_of(golden / "toy" / "test.txt"), model.vocab, missing)


@pytest.fixture(scope="module")
def small() -> BackoffLM:
    """A pruned model of order 4 with blank nodes, and one word that the text lacks."""
    model = model_of(random_sentences(4, 30, 300), 4, vocab=[b"w%d" % n for n in range(31)], threshold=2e-4)
    assert any((model.trie.log10_probs(n) > 0).any() for n in (2, 3))
    assert model.trie.n_ngrams(4)
    return model


def some_ids(model: BackoffLM, n: int, seed: int = 1) -> np.ndarray:
    """(n,) int32, sentence ends and words outside the vocabulary among them."""
    text = ids_of(random_sentences(seed, 33, n), model.vocab, -1)
    return text[:n]


# ---- the reference programs


@pytest.mark.parametrize("name", SRILM)
def test_srilms_debug_2_is_reproduced_word_by_word(golden, models, toy, name):
    printed = gzip.decompress((golden / "srilm" / f"{name}.ppl.debug2.gz").read_bytes())
    theirs = re.findall(rb"\tp\( (\S+) \| .*\) \t= \[(\d)gram\] \S+ \[ (\S+) \]", printed)
    model = models(name)
    ids = toy_ids(golden, model, -1)
    scored, _ = model.score_ids(ids, model.start())
    words = [model.vocab.words[id_ if id_ >= 0 else model.vocab.unk_id] for id_ in ids.tolist()]
    assert words == [word for word, _, _ in theirs]
    assert scored.order.tolist() == [int(length) for _, length, _ in theirs]
    assert scored.log10_prob.tolist() == pytest.approx([float(x) for *_, x in theirs], rel=0, abs=1e-5)
    assert np.array_equal(scored.oov, ids < 0)
    tally = evaluate(model, toy, oov="unk")
    log10_prob, ppl, ppl1 = map(float, re.findall(rb"logprob= (\S+) ppl= (\S+) ppl1= (\S+)", printed)[-1])
    assert (tally.words, tally.sentences, tally.zeroprobs) == (3578, 400, 0)
    assert tally.log10_prob == pytest.approx(log10_prob, abs=6e-3)  # seven digits
    assert (tally.perplexity, tally.ppl1) == pytest.approx((ppl, ppl1), rel=3e-6)


@pytest.mark.parametrize("name", KENLM)
def test_kenlms_query_is_reproduced_word_by_word(golden, models, toy, name):
    printed = gzip.decompress((golden / "kenlm" / f"{name}.query.word.gz").read_bytes())
    theirs = re.findall(rb"\S+=(\d+) (\d) (-\S+)", printed)
    model = models(name)
    ids = toy_ids(golden, model, -1)
    scored, _ = model.score_ids(ids, model.start())
    assert scored.oov.tolist() == [word == b"0" for word, _, _ in theirs]
    assert scored.order.tolist() == [int(length) for _, length, _ in theirs]
    assert scored.log10_prob.tolist() == pytest.approx([float(x) for *_, x in theirs], rel=0, abs=2e-6)
    summary = dict(line.split(":\t") for line in (golden / "kenlm" / f"{name}.query.summary").read_text().splitlines())
    tally = evaluate(model, toy, oov="skip")
    assert tally.perplexity_including_oov == pytest.approx(float(summary["Perplexity including OOVs"]), rel=1e-6)
    assert tally.perplexity == pytest.approx(float(summary["Perplexity excluding OOVs"]), rel=1e-6)
    assert (tally.oov, tally.words + tally.sentences) == (int(summary["OOVs"]), int(summary["Tokens"]))


# ---- the twin


@settings(max_examples=60, deadline=None)
@given(recipes(PROPER), st.sampled_from([None, None, 1e-4, 0.05]), st.integers(0, 1 << 20))
def test_scores_and_lengths_are_those_of_the_twin(recipe, threshold, seed):
    model, twin = both(recipe, threshold)
    assume(float32_is_enough(twin))
    rng, words = np.random.default_rng(seed), list(model.vocab.words)
    for _ in range(3):
        sentence = [words[id_] for id_ in rng.integers(1, len(words), 8)]
        scored, _ = model.score([*sentence, b"</s>"], model.start())
        theirs = twin.score(sentence)
        assert scored.order.tolist() == [length for *_, length in theirs]
        # zero is -99 in the arrays, and about that when weights were added to it
        log10_probs = [max(log10, -90.0) for _, log10, _ in theirs]
        assert np.maximum(scored.log10_prob, -90.0).tolist() == pytest.approx(log10_probs, abs=1e-4)


def katz(ngrams: list[dict], text: list[int], at: int) -> tuple[float, int]:
    """Of the word ``text[at]``: what ARPA files mean, by definition."""
    order = len(ngrams)
    start = max([0, at - order + 1, *(i for i in range(at) if text[i] == 1)])
    weight = 0.0
    for first in range(start, at + 1):
        if (found := tuple(text[first : at + 1])) in ngrams[at - first]:
            return weight + ngrams[at - first][found][0], at - first + 1
        weight += ngrams[at - first - 1].get(tuple(text[first:at]), (0.0, 0.0))[1] if at > first else 0.0
    raise AssertionError("no unigram")


@pytest.mark.parametrize("order", [1, 2, 3, 5, 9])
@pytest.mark.parametrize("keep", [0.0, 0.5])
def test_what_arpa_files_mean_by_definition_with_blank_nodes_between(order, keep):
    # of the ends of n-grams only some are n-grams; 1 is <s>, 2 and above the words
    rng = np.random.default_rng(order)
    ngrams = closed_ngrams(rng, 8, order, 60, keep)
    trie = build_trie(arrays(ngrams), 8)
    blanks = sum(int((trie.log10_probs(n) > 0).sum()) for n in range(2, order + 1))
    assert blanks or keep or order < 3
    model = BackoffLM(Vocab([b"</s>", *(b"%d" % n for n in range(7))]), trie)
    end, internal = int(trie.internal[0]), trie.internal.tolist()
    # one text in three parts of n-grams that are there, so that long ones are found
    known = [ngram for ngram in ngrams[-1] if end not in ngram and 1 not in ngram]
    picked = [known[i] for i in rng.integers(0, len(known), 40)] if known else []
    ids = np.array([internal.index(word) for ngram in picked for word in ngram] + [0, 3, 0], np.int32)
    text = [1]
    expected = []
    for id_ in ids.tolist():
        text.append(internal[id_])
        expected.append(katz(ngrams, text, len(text) - 1))
        if id_ == 0:
            text.append(1)
    scored, _ = model.score_ids(ids, model.start())
    assert scored.log10_prob.tolist() == pytest.approx([log10 for log10, _ in expected], abs=2e-6)
    assert scored.order.tolist() == [length for _, length in expected]
    assert max(scored.order) == order or not known


@pytest.mark.parametrize(("order", "before"), [(2, 0), (3, 0), (3, 1), (5, 0), (6, 1), (7, 1)])
@pytest.mark.parametrize("where", ["low", "high", "both ends", "everywhere"])
def test_siblings_that_are_not_spread_evenly_are_found(order, before, where):
    # guesses are far off: the siblings, before which there are 0 or 1 words more, are in a corner of 40,000 ids
    n_words, rng = 40_000, np.random.default_rng(7)
    corners = {"low": [(3, 3000)], "high": [(37_000, n_words)], "both ends": [(3, 1500), (38_500, n_words)]}
    ids = np.concatenate([np.arange(*corner) for corner in corners.get(where, [(3, n_words)])])
    siblings = np.sort(rng.choice(ids, 1000, replace=False))
    unigrams = {(word,): (-5.0, -0.25) for word in range(1, n_words)}
    first = 2
    after = order - 1 - before

    def ngram_of(word):
        return (*[first] * before, word, *[first] * after)

    longest = {ngram_of(word): (-0.5 - k / 1000, 0.0) for k, word in enumerate(siblings.tolist())}
    middle = [
        {ngram[i : i + n]: (-1.0, -0.125) for ngram in [*longest, (first,) * order] for i in range(order - n + 1)}
        for n in range(2, order)
    ]
    trie = build_trie(arrays([unigrams, *middle, longest]), n_words)
    model = BackoffLM(Vocab([b"</s>", *(b"%d" % n for n in range(n_words - 1))]), trie)
    id_of = {word: id_ for id_, word in enumerate(trie.internal[:-1].tolist())}
    others = set(rng.choice(np.arange(3, n_words), 5000, replace=False).tolist()) - set(siblings.tolist())
    words = [*siblings.tolist(), *(word for word in sorted(others) if id_of[word] > 0)]
    text = np.array([id_of[word] for sibling in words for word in ngram_of(sibling)], np.int32)
    scored, _ = model.score_ids(text, model.start())
    last = slice(order - 1, None, order)
    assert scored.order[last].tolist() == [order] * 1000 + [after] * (len(words) - 1000)
    assert scored.log10_prob[last][:1000] == pytest.approx(-0.5 - np.arange(1000) / 1000, abs=1e-6)


# ---- the state


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_scoring_in_pieces_is_scoring_at_once(small, size):
    ids = some_ids(small, 400)
    whole, end = small.score_ids(ids, small.start())
    state, parts = small.start(), []
    for start in range(0, len(ids), size):
        before = state.copy()
        part, after = small.score_ids(ids[start : start + size], state)
        assert np.array_equal(state, before)  # a value: the model does not write into it
        state = after
        parts.append(part)
    assert np.array_equal(state, end)
    for column in ("log10_prob", "oov", "order"):
        assert np.array_equal(np.concatenate([getattr(part, column) for part in parts]), getattr(whole, column))


def test_nothing_scored_leaves_the_state_as_it_was(small):
    _, state = small.score_ids(some_ids(small, 50), small.start())
    scored, after = small.score_ids(np.empty(0, np.int32), state)
    assert scored.log10_prob.size == scored.oov.size == scored.order.size == 0
    assert np.array_equal(after, state)


def test_a_sentence_end_forgets_what_was_before(small):
    _, state = small.score_ids(np.append(some_ids(small, 30), np.int32(0)), small.start())
    assert np.array_equal(state[-1:], small.start()[-1:])
    ids = some_ids(small, 40, seed=3)
    assert np.array_equal(small.score_ids(ids, state)[0].log10_prob, small.score_ids(ids, small.start())[0].log10_prob)


def test_more_positions_than_go_down_together(small):
    ids = some_ids(small, 5000)
    whole, _ = small.score_ids(ids, small.start())
    state, parts = small.start(), []
    for start in range(0, len(ids), 700):
        part, state = small.score_ids(ids[start : start + 700], state)
        parts.append(part)
    assert np.array_equal(np.concatenate([part.log10_prob for part in parts]), whole.log10_prob)
    assert np.array_equal(np.concatenate([part.order for part in parts]), whole.order)


@pytest.mark.parametrize("block", [1, 2, 3, 64])
@pytest.mark.parametrize("threads", [1, 3])
def test_blocks_and_threads_change_nothing(small, block, threads, monkeypatch):
    ids = some_ids(small, 500)
    whole, state = small.score_ids(ids, small.start(), entropy=True)
    monkeypatch.setattr(model_module, "_BLOCK", block)
    monkeypatch.setattr(model_module, "_WORTH_THREADS", 1)
    found, after = BackoffLM(small.vocab, small.trie, {}, threads).score_ids(ids, small.start(), entropy=True)
    assert np.array_equal(found.log10_prob, whole.log10_prob)
    assert np.array_equal(found.order, whole.order)
    assert np.array_equal(found.entropy_bits, whole.entropy_bits)
    assert np.array_equal(after, state)


def test_words_are_bytes_or_text(small):
    words = [b"w3", b"w1", b"outside", b"w0", b"</s>"]
    by_ids, end = small.score_ids(small.vocab.ids(words), small.start())
    for form in (words, [word.decode() for word in words]):
        scored, state = small.score(form, small.start())
        assert np.array_equal(scored.log10_prob, by_ids.log10_prob)
        assert np.array_equal(state, end)


# ---- words outside the vocabulary


def test_an_oov_is_unk_where_the_model_has_it(small):
    ids = some_ids(small, 300)
    assert (ids < 0).any()
    scored, state = small.score_ids(ids, small.start())
    as_unk, after = small.score_ids(np.where(ids < 0, small.vocab.unk_id, ids).astype(np.int32), small.start())
    assert np.array_equal(scored.log10_prob, as_unk.log10_prob)
    assert np.array_equal(state, after)
    assert np.array_equal(scored.oov, ids < 0)
    assert not as_unk.oov.any()


def without_unk() -> BackoffLM:
    """By hand: <s> a, a a, a b; b has no n-grams of its own.  1 is <s>."""
    end, a, b = (
        int(x) for x in build_trie([(np.array([[2]], np.uint32), np.zeros(1, np.float32), None)], 3).internal[:3]
    )
    unigrams = {(1,): (-99.0, -0.5), (end,): (-1.0, 0.0), (a,): (-0.25, -0.125), (b,): (-0.75, 0.0)}
    bigrams = {(1, a): (-0.0625, 0.0), (a, a): (-0.375, 0.0), (a, b): (-0.4375, 0.0)}
    return BackoffLM(Vocab([b"</s>", b"a", b"b"]), build_trie(arrays([unigrams, bigrams]), 3))


def test_an_oov_is_impossible_where_there_is_no_unk_and_nothing_is_remembered_of_it():
    model = without_unk()
    scored, _ = model.score([b"a", b"zebra", b"a", b"b", b"</s>"], model.start())
    # a | <s>: there; zebra: never; a after nothing: its unigram; b | a: there; </s> | b: backed off at no cost
    assert scored.log10_prob.tolist() == [-0.0625, -math.inf, -0.25, -0.4375, -1.0]
    assert scored.order.tolist() == [2, 0, 1, 2, 1]
    assert scored.oov.tolist() == [False, True, False, False, False]
    # </s> | a is backed off to: -0.125 - 1
    assert model.score([b"a", b"</s>"], model.start())[0].log10_prob.tolist() == [-0.0625, -1.125]


def test_a_text_of_oovs_only():
    model = without_unk()
    scored, state = model.score([b"x", b"y", b"z"], model.start())
    assert np.isneginf(scored.log10_prob).all()
    assert scored.order.tolist() == [0, 0, 0]
    assert model.distribution(state) == pytest.approx(
        np.array([0.1, 10**-0.25, 10**-0.75]) / (0.1 + 10**-0.25 + 10**-0.75)
    )


def test_a_word_without_a_probability_is_impossible_but_known():
    model = model_of([[b"a", b"b"], [b"b"]], 2, "maximum-likelihood", vocab=[b"a", b"b", b"never"])
    scored, _ = model.score([b"never", b"a", b"a"], model.start())
    assert np.isneginf(scored.log10_prob[[0, 2]]).all()  # "a a" was not seen, and nothing is backed off to
    assert not scored.oov.any()


# ---- order 1


def test_unigrams_need_no_history():
    sentences = random_sentences(6, 12, 80)
    model = model_of(sentences, 1, "witten-bell")
    ids = some_ids(model, 200)
    scored, _ = model.score_ids(ids, model.start(), entropy=True)
    p = 10.0 ** model.trie.log10_probs(1)[model.trie.internal].astype(np.float64)
    p[-1] = p[model.vocab.unk_id]
    assert scored.log10_prob == pytest.approx(np.log10(p[ids]), abs=1e-6)
    assert (scored.order == 1).all()
    p = p[:-1]
    assert model.distribution(model.start()) == pytest.approx(p / p.sum())
    assert scored.entropy_bits == pytest.approx(np.full(len(ids), -(p * np.log2(p)).sum()), abs=1e-5)


# ---- distributions and entropies


def entropies_of(distributions: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return -np.where(distributions > 0, distributions * np.log2(distributions), 0.0).sum(1)


@pytest.mark.parametrize(
    "recipe",
    [
        {"order": 1},
        {"order": 2, "smoothing": "good-turing"},
        {"order": 3, "unk": "kenlm"},
        {"order": 4, "smoothing": "witten-bell", "min_counts": [1, 2, 1, 2]},
        {"order": 4, "smoothing": "absolute", "interpolate": False},
        {"order": 4, "threshold": 1e-3},
        {"order": 3, "smoothing": "additive", "threshold": 0.02},
        {"order": 3, "smoothing": "maximum-likelihood"},
    ],
    ids=str,
)
def test_distributions_are_what_the_words_score_and_entropies_are_theirs(recipe):
    model = model_of(random_sentences(8, 25, 200), **recipe)
    ids, n_words = some_ids(model, 60), len(model.vocab)
    scored, _ = model.score_ids(ids, model.start(), entropy=True)
    distributions = model.distributions(ids, model.start())
    assert distributions.shape == (60, n_words)
    assert distributions.sum(1) == pytest.approx(np.ones(60), abs=1e-12)
    assert scored.entropy_bits == pytest.approx(entropies_of(distributions), abs=2e-4)
    state, words = model.start(), np.arange(n_words, dtype=np.int32)
    for i, id_ in enumerate(ids):
        one = model.distribution(state)
        assert np.array_equal(one, distributions[i])
        scores = [model.score_ids(word, state)[0].log10_prob[0] for word in words[:, None]]
        assert one == pytest.approx(10.0 ** np.array(scores), abs=2e-6)
        _, state = model.score_ids(np.array([id_], np.int32), state)


def test_entropies_of_stupid_backoff_are_those_of_its_scores_made_to_sum_to_one():
    model = model_of(random_sentences(8, 25, 200), 3, "stupid-backoff")
    ids = some_ids(model, 60)
    scored, _ = model.score_ids(ids, model.start(), entropy=True)
    assert scored.entropy_bits == pytest.approx(entropies_of(model.distributions(ids, model.start())), abs=2e-4)


def test_entropies_are_not_there_unless_asked_for(small):
    assert small.score_ids(some_ids(small, 10), small.start())[0].entropy_bits is None


def test_after_an_oov_without_unk_comes_the_unigram_distribution():
    model = without_unk()
    p = np.array([0.1, 10**-0.25, 10**-0.75])
    ids = np.array([-1, 1], np.int32)
    scored, _ = model.score_ids(ids, model.start(), entropy=True)
    expected = model.distributions(ids, model.start())
    assert expected[1] == pytest.approx(p / p.sum())
    assert scored.entropy_bits == pytest.approx(entropies_of(expected), abs=1e-5)


def test_a_sample_of_a_distribution_that_is_known_by_hand():
    # a | <s> 10^-0.0625, the others backed off: 10^-0.5 times their unigrams; then made to sum to one
    p = np.array([10**-1.5, 10**-0.0625, 10**-1.25])
    model = without_unk()
    assert model.distribution(model.start()) == pytest.approx(p / p.sum(), rel=1e-6)


def test_blank_nodes_are_walked_through_and_not_found(small):
    blanks = [ngram for n in (2, 3) for ngram, (p, _) in nodes_of(small.trie, n).items() if p > 0]
    names = {int(internal): id_ for id_, internal in enumerate(small.trie.internal[:-1])}
    inner = [ngram for ngram in blanks if 1 not in ngram and small.trie.internal[0] not in ngram]
    assert inner
    for ngram in inner[:20]:
        ids = np.array([names[word] for word in ngram], np.int32)
        scored, _ = small.score_ids(ids, np.zeros_like(small.start()))
        assert scored.order[-1] < len(ngram)
        assert scored.log10_prob[-1] < 0


def test_unk_is_the_last_word_of_these_vocabularies(small):
    assert small.vocab.words[-1] == UNK
    assert small.unknown == small.trie.internal[len(small.vocab) - 1]
