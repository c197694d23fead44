"""Pruning: SRILM's sums, the twin's decisions, and the divergence word by word."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.evaluation.perplexity import evaluate
from corpora.text.stream import encode
from corpora.text.tokenizers import get_tokenizer
from rnnlm.ngram.estimation.prune import prune
from rnnlm.ngram.query.model import BackoffLM
from rnnlm.ngram.trie import ZERO, Trie
from tests.reference import ngram as reference
from tests.small_ngrams import (
    PROPER,
    both,
    differences,
    ids_of,
    model_of,
    ngrams,
    random_sentences,
    recipes,
    text_of,
    twin_of,
    without_weight,
)

THRESHOLDS = (1e-6, 1e-4, 1e-2, 0.1, 0.5)

# What ngram-count (SRILM 1.7.3, built from source) made of toy/train.txt with -gtNmin and -prune: the number of
# n-grams of each order, the sum of log10 probabilities (without <s>) and the sum of log10 back-off weights.
SRILM = [
    ("modified-kneser-ney", None, [1, 1, 1], 1e-6, [618, 5234, 5354], -19210.925, -512.888),
    ("modified-kneser-ney", None, [1, 1, 1, 1], 1e-5, [618, 3386, 2425, 2029], -12472.982, -409.479),
    ("kneser-ney", False, [1, 1, 1], 1e-4, [618, 756, 961], -3661.914, 856.786),
    ("witten-bell", None, [1, 2, 1, 2], 3e-5, [618, 2297, 5000, 372], -16081.326, -269.919),
    ("absolute", None, [1, 1, 1], 1e-4, [618, 1373, 653], -5971.562, -128.375),
    ("good-turing", None, [1, 1, 2], 1e-5, [618, 5272, 1761], -14377.746, 640.908),
]


@pytest.mark.parametrize(("smoothing", "interpolate", "min_counts", "threshold", "sizes", "probs", "backoffs"), SRILM)
def test_what_is_left_is_what_srilm_leaves(
    golden, smoothing, interpolate, min_counts, threshold, sizes, probs, backoffs
):
    options = {"discount": 0.75} if smoothing == "absolute" else {}
    train = text_of(golden / "toy" / "train.txt")
    model = model_of(train, len(sizes), smoothing, interpolate, min_counts, threshold=threshold, **options)
    found = ngrams(model)
    by_order = Counter(map(len, found))
    assert [by_order[n] for n in range(1, len(sizes) + 1)] == sizes
    assert [model.trie.n_ngrams(n) for n in range(1, len(sizes) + 1)] == [sizes[0], *sizes[1:]]
    assert math.fsum(prob for prob, _ in found.values() if prob > ZERO) == pytest.approx(probs, abs=5e-3)
    assert math.fsum(weight for _, weight in found.values()) == pytest.approx(backoffs, abs=5e-3)


@settings(max_examples=80, deadline=None)
@given(recipes(PROPER), st.sampled_from(THRESHOLDS))
def test_every_n_gram_that_is_left_is_that_of_the_twin(recipe, threshold):
    model, pruned = both(recipe, threshold)
    assert differences(model, pruned) == {}


@settings(max_examples=80, deadline=None)
@given(recipes(PROPER), st.sampled_from(THRESHOLDS), st.integers(0, 1 << 20))
def test_a_pruned_model_is_finite_and_its_distributions_sum_to_one(recipe, threshold, seed):
    model, rng = model_of(**recipe, threshold=threshold), np.random.default_rng(seed)
    assert all(math.isfinite(value) for values in ngrams(model).values() for value in values)
    words = np.arange(len(model.vocab), dtype=np.int32)[:, None]
    for _ in range(4):
        _, state = model.score_ids(rng.integers(-1, len(words), rng.integers(0, 6)).astype(np.int32), model.start())
        total = math.fsum(10.0 ** float(model.score_ids(word, state)[0].log10_prob[0]) for word in words)
        assert total == pytest.approx(1, abs=5e-6)


@settings(max_examples=30, deadline=None)
@given(recipes(PROPER), st.sampled_from(THRESHOLDS))
def test_a_higher_threshold_keeps_a_part_and_every_history(recipe, threshold):
    whole, more, less = (ngrams(model_of(**recipe, threshold=t)) for t in (None, threshold, threshold * 10))
    assert less.keys() <= more.keys() <= whole.keys()
    for found in (more, less):
        histories = {ngram[:-1] for ngram in found if len(ngram) > 1}
        assert histories <= found.keys()
        assert recipe["order"] == 1 or without_weight(found) == found.keys() - histories


def test_unigrams_are_all_that_is_left_of_the_largest_threshold():
    model = model_of(random_sentences(2, 20, 100), 4, threshold=1e6)
    assert [model.trie.n_ngrams(n) for n in (2, 3, 4)] == [0, 0, 0]
    whole = model_of(random_sentences(2, 20, 100), 4)
    assert np.array_equal(model.trie.log10_probs(1), whole.trie.log10_probs(1))
    assert {weight for _, weight in ngrams(model).values()} == {0.0}


def test_a_model_of_order_1_has_nothing_to_prune():
    model = model_of(random_sentences(2, 20, 100), 1)
    before = ngrams(model)
    assert ngrams(BackoffLM(model.vocab, prune(model.trie, 0.1))) == before


def copy(trie: Trie) -> Trie:
    return Trie([nodes.copy() for nodes in trie.nodes], trie.internal)


def test_what_goes_is_what_changes_the_perplexity_least():
    # Stolcke (1998), eq. 2, word by word for every bigram alone: D(p || p') = p(h) sum_w p(w|h) log p(w|h) / p'(w|h)
    sentences = random_sentences(5, 8, 40)
    model = model_of(sentences, 2, "absolute", False, discount=0.5)
    found, words = ngrams(model), list(model.vocab.words)
    unigram = {word: 10 ** found[word,][0] for word in words}
    changes = {}
    for history in [*words, b"<s>"]:
        followers = {ngram[1] for ngram in found if len(ngram) == 2 and ngram[0] == history}
        p = {w: 10 ** found[history, w][0] for w in followers}
        rest = (1 - sum(p.values())) / (1 - sum(unigram[w] for w in followers)) if followers else 1.0
        p |= {w: rest * unigram[w] for w in words if w not in followers}
        for gone in followers:
            kept = followers - {gone}
            weight = (1 - sum(p[w] for w in kept)) / (1 - sum(unigram[w] for w in kept))
            after = {w: p[w] if w in kept else weight * unigram[w] for w in words}
            marginal = unigram[b"</s>" if history == b"<s>" else history]
            divergence = marginal * sum(p[w] * math.log(p[w] / after[w]) for w in words)
            changes[history, gone] = math.expm1(divergence)
    in_order = sorted(changes, key=changes.get)
    for n in (1, len(in_order) // 2, len(in_order) - 1):
        threshold = (changes[in_order[n - 1]] + changes[in_order[n]]) / 2
        left = ngrams(BackoffLM(model.vocab, prune(copy(model.trie), threshold)))
        assert {ngram for ngram in left if len(ngram) == 2} == set(in_order[n:])


def test_an_n_gram_stays_while_longer_ones_hang_on_it():
    sentences = random_sentences(5, 8, 40)
    twin = twin_of(sentences, 3, "witten-bell")
    changes = {
        (*history, word): change
        for history in twin.probs
        if len(history) == 2
        for word, change in reference.perplexity_changes(twin, history).items()
    }
    *_, second, first = sorted(changes, key=changes.get)
    model = model_of(sentences, 3, "witten-bell", threshold=(changes[second] + changes[first]) / 2)
    found = ngrams(model)
    assert [ngram for ngram in found if len(ngram) == 3] == [first]
    assert first[:2] in found


def test_the_perplexity_of_the_text_itself_rises_with_the_threshold():
    sentences = random_sentences(11, 60, 800)
    found = []
    for threshold in (None, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2):
        model = model_of(sentences, 3, threshold=threshold)
        scored, _ = model.score_ids(ids_of(sentences, model.vocab, -1), model.start())
        found.append((10 ** -scored.log10_prob.mean(), -sum(model.trie.n_ngrams(n) for n in (1, 2, 3))))
    perplexities, sizes = zip(*found, strict=True)
    assert list(perplexities) == sorted(perplexities)
    assert list(sizes) == sorted(sizes)
    assert perplexities[-1] > 1.5 * perplexities[0]


def test_the_perplexity_of_toy_rises_with_the_threshold(golden):
    train = text_of(golden / "toy" / "train.txt")
    with encode([str(golden / "toy" / "test.txt")], get_tokenizer()) as stream:
        perplexities = [
            evaluate(model_of(train, 4, threshold=threshold), stream, oov="unk").perplexity
            for threshold in (1e-8, 1e-6, 1e-5, 1e-4, 1e-3)
        ]
    assert perplexities == sorted(perplexities)
    assert perplexities[2] == pytest.approx(23.52, abs=0.01)
