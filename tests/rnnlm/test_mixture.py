"""Mixtures: sums and products of probabilities over the union of vocabularies, and their weights by EM."""

import gzip
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.errors import CorpusError
from corpora.evaluation.distributions import entropy_bits
from corpora.evaluation.perplexity import evaluate
from corpora.text.stream import encode
from corpora.text.tokenizers import get_tokenizer
from rnnlm.dynamic import DynamicLM
from rnnlm.io import load
from rnnlm.mixtures.cache import CacheLM
from rnnlm.mixtures.mixture import Mixture, assemble, check_weights
from rnnlm.mixtures.tuning import (
    component_scores,
    default_start,
    fit_weights,
    round_to_seven_digits,
    srilm_best_mix,
    tune,
)
from tests.small_bigrams import Bigrams, probability
from tests.small_models import small_model, small_text

A = [b"<unk>", b"a", b"b", b"c"]
B = [b"b", b"<unk>", b"d", b"a"]
NO_UNK = [b"a", b"b", b"e"]
TEXT = [b"a", b"d", b"b", b"</s>", b"e", b"<unk>", b"zebra", b"c", b"</s>", b"b"]


def text_of(tmp_path, text: str):
    path = tmp_path / "text.txt"
    path.write_text(text)
    return encode([str(path)], get_tokenizer())


# ---- linear


def test_the_union_vocabulary_begins_with_the_first_models_words_and_counts():
    mixture = Mixture([Bigrams(A, counts=[9, 2, 5, 4, 3]), Bigrams(B, counts=[8, 40, 1, 7, 50])])
    assert list(mixture.vocab.words) == [b"</s>", b"<unk>", b"a", b"b", b"c", b"d"]
    assert mixture.vocab.counts.tolist() == [9, 2, 5, 4, 3, 7]


def test_a_linear_mixture_is_the_sum_over_the_models_that_know_the_word():
    models, weights = [Bigrams(A, 1), Bigrams(B, 2), Bigrams(NO_UNK, 3)], [0.5, 0.3, 0.2]
    scored, _ = (mixture := Mixture(models, weights)).score(TEXT, mixture.start())
    befores = [b"</s>", *TEXT[:-1]]
    for t in range(len(TEXT)):
        known = [lm for lm in models if TEXT[t] in lm.vocab] or models
        # NO_UNK scores a word after one it lacks from its last row (index -1): so does the model itself
        expected = sum(
            w * probability(lm, befores[t], TEXT[t]) for lm, w in zip(models, weights, strict=True) if lm in known
        )
        assert 10 ** scored.log10_prob[t] == pytest.approx(expected, rel=1e-12)
    assert [word for word, oov in zip(TEXT, scored.oov, strict=True) if oov] == [b"zebra"]


def test_an_oov_costs_the_mixture_of_unk_and_nothing_from_models_without_it():
    a, bare = Bigrams(A, 1), Bigrams(NO_UNK, 2)
    mixture = Mixture([a, bare], [0.25, 0.75])
    scored, _ = mixture.score([b"zebra"], mixture.start())
    assert scored.oov[0]
    assert 10 ** scored.log10_prob[0] == pytest.approx(0.25 * a.table[0, a.vocab.unk_id])
    assert 10 ** scored.log10_prob[0] == pytest.approx(mixture.distribution(mixture.start())[mixture.vocab.unk_id])


@pytest.mark.parametrize("kind", ["linear", "log-linear"])
def test_scores_are_those_of_the_distributions_which_sum_to_one(kind):
    mixture = Mixture([Bigrams(A, 1), Bigrams(B, 2)], [0.6, 0.4], kind)
    ids = mixture.vocab.ids(TEXT)
    scored, after = mixture.score_ids(ids, mixture.start(), entropy=True)
    state = mixture.start()
    for t, word in enumerate(ids.tolist()):
        p = mixture.distribution(state)
        assert p.sum() == pytest.approx(1)
        assert scored.log10_prob[t] == pytest.approx(np.log10(p[word if word >= 0 else mixture.vocab.unk_id]))
        assert scored.entropy_bits[t] == pytest.approx(-(p[p > 0] * np.log2(p[p > 0])).sum())
        _, state = mixture.score_ids(ids[t : t + 1], state)
    assert state == after
    assert mixture.distributions(ids, mixture.start())[0] == pytest.approx(mixture.distribution(mixture.start()))


def test_asking_for_entropies_does_not_change_the_scores():
    mixture = Mixture([small_model(seed=1), small_model(seed=2, hidden=3)], [0.3, 0.7])
    ids = small_text(200)
    plain, _ = mixture.score_ids(ids, mixture.start())
    with_entropy, _ = mixture.score_ids(ids, mixture.start(), entropy=True)
    assert with_entropy.log10_prob.tolist() == plain.log10_prob.tolist()
    assert plain.entropy_bits is None


@given(cuts=st.lists(st.integers(0, 60), max_size=4), kind=st.sampled_from(["linear", "log-linear"]))
@settings(max_examples=20, deadline=None)
def test_a_text_may_be_scored_in_any_pieces(cuts, kind):
    mixture = Mixture([Bigrams(A, 1), Bigrams(B, 2)], [0.5, 0.5], kind)
    ids = small_text(60, 5, oov=True)
    whole, _ = mixture.score_ids(ids, mixture.start())
    state, pieces = mixture.start(), []
    for part in np.split(ids, sorted(cuts)):
        scored, state = mixture.score_ids(part, state)
        pieces.append(scored.log10_prob)
    np.testing.assert_allclose(np.concatenate(pieces), whole.log10_prob, rtol=1e-12)


def test_probabilities_that_float64_cannot_hold_are_mixed_all_the_same():
    class Tiny(Bigrams):
        def score_ids(self, ids, state, *, entropy=False):
            scored, state = super().score_ids(ids, state)
            scored.log10_prob[:] = -400.0
            return scored, state

    mixture = Mixture([Tiny(A), Tiny(A)], [0.5, 0.5])
    assert mixture.score([b"a"], mixture.start())[0].log10_prob[0] == pytest.approx(-400)


def test_orders_have_a_column_for_every_ngram_model():
    mixture = Mixture([Bigrams(A, order=True), Bigrams(B), Mixture([Bigrams(NO_UNK, order=True)])])
    scored, _ = mixture.score([b"a", b"e"], mixture.start())
    assert scored.order.tolist() == [[2, 2], [2, 2]]
    assert Mixture([Bigrams(A), Bigrams(B)]).score([b"a"], (0, 0))[0].order is None


def test_one_model_of_weight_one_is_that_model():
    a, b = Bigrams(A, 1), Bigrams(B, 2)
    mixture = Mixture([a, b], [1, 0])
    np.testing.assert_allclose(
        mixture.score(TEXT[:3], (0, 0))[0].log10_prob[[0, 2]], a.score(TEXT[:3], 0)[0].log10_prob[[0, 2]]
    )


def test_models_score_side_by_side_with_the_same_result():
    ids = small_text(3000)
    mixture = Mixture([small_model(seed=k) for k in range(3)])
    mixture.threads = 2
    assert mixture.threads == 2
    many = mixture.score_ids(ids, mixture.start())[0].log10_prob
    mixture.threads = 1
    assert mixture.score_ids(ids, mixture.start())[0].log10_prob.tolist() == many.tolist()


@pytest.mark.parametrize("independent", [False, True])
@pytest.mark.parametrize("config", [{}, {"direct": 50, "direct_order": 2}, {"classes": 1}, {"compression": 3}])
def test_a_recurrent_models_distributions_in_blocks_are_those_word_by_word(independent, config):
    lm = small_model(unk=True, independent=independent, **config)
    ids = small_text(150, oov=True)
    ids[-1] = 0
    blocks, after = lm.score_with_distributions(ids, lm.start())[1:]
    state = lm.start()
    for t in range(ids.size):
        np.testing.assert_allclose(blocks[t], lm.distribution(state), rtol=1e-12)
        _, state = lm.score_ids(ids[t : t + 1], state)
    np.testing.assert_allclose(after.hidden, state.hidden, rtol=1e-12)


def test_sentences_that_all_begin_at_one_state():
    mixture = Mixture([small_model(seed=1), Bigrams([b"w%d" % i for i in range(1, 14)]), small_model(seed=2)])
    ids = np.append(small_text(40), 0).astype(np.int32)
    _, state = mixture.score_ids(small_text(5, seed=9), mixture.start())
    cuts = np.flatnonzero(ids == 0)[:-1] + 1
    expected = [mixture.score_ids(part, state)[0].log10_prob for part in np.split(ids, cuts)]
    np.testing.assert_allclose(mixture.score_sentences(ids, state).log10_prob, np.concatenate(expected), rtol=1e-10)


def test_a_component_may_learn_while_it_scores():
    text = small_text(30)
    alone = DynamicLM(small_model(), 0.1)
    expected = alone.score_ids(text, alone.start())[0].log10_prob
    for entropy in (False, True):
        mixture = Mixture([DynamicLM(small_model(), 0.1), small_model(seed=3)], [1, 0])
        scored, _ = mixture.score_ids(text, mixture.start(), entropy=entropy)
        np.testing.assert_allclose(scored.log10_prob, expected, rtol=1e-9)


# ---- log-linear


def test_a_log_linear_mixture_by_hand():
    # p ~ p1^2 p2^0.5 over three words
    a, b = Bigrams([b"a", b"b"], 1), Bigrams([b"a", b"b"], 2)
    product = a.table[0] ** 2 * b.table[0] ** 0.5
    mixture = Mixture([a, b], [2, 0.5], "log-linear")
    np.testing.assert_allclose(mixture.distribution((0, 0)), product / product.sum())
    assert mixture.score([b"b"], (0, 0))[0].log10_prob[0] == pytest.approx(np.log10(product[2] / product.sum()))


def test_log_linear_takes_unk_for_a_word_that_a_model_lacks():
    a, b = Bigrams(A, 1), Bigrams(B, 2)
    mixture = Mixture([a, b], [0.5, 0.5], "log-linear")
    product = np.array([(probability(a, b"</s>", w) * probability(b, b"</s>", w)) ** 0.5 for w in mixture.vocab.words])
    np.testing.assert_allclose(mixture.distribution((0, 0)), product / product.sum())
    # without <unk> the word is impossible
    bare = Mixture([a, Bigrams(NO_UNK, 2)], [0.5, 0.5], "log-linear")
    p = bare.distribution((0, 0))
    assert [word for word, x in zip(bare.vocab.words, p, strict=True) if x == 0] == [b"<unk>", b"c"]


def test_log_linear_refuses_what_has_no_distribution_or_almost_only_zeros(tmp_path):
    numbers = tmp_path / "numbers"
    numbers.write_text("0.5\n0.25\n")
    with pytest.raises(CorpusError, match="file of probabilities"):
        Mixture([Bigrams(A), load(numbers)], kind="log-linear")
    with pytest.raises(CorpusError, match="cache"):
        Mixture([Bigrams(A), CacheLM(Bigrams(A).vocab, 5)], kind="log-linear")


def test_models_that_have_nothing_in_common_are_told_so():
    a, b = Bigrams([b"a"]), Bigrams([b"b"])
    a.table[:], b.table[:] = [0, 1], [0, 1]
    mixture = Mixture([a, b], kind="log-linear")
    with pytest.raises(CorpusError, match="no word"):
        mixture.distribution(mixture.start())


# ---- weights


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([0.5, 0.5], "`weights` given 2 times for 3 models"),
        ([1.0], "`weights` given once for 3 models"),
        ([0.5, 0.6, -0.1], r"weight -0.1: a number from 0 to 1e\+06 is needed"),
        ([0.5, 0.5, float("nan")], "weight nan"),
        ([float("inf"), 0, 0], "weight inf"),
        ([0.5, 0.3, 0.1], "the weights sum to 0.9"),
        ([0, 0, 0], "the weights sum to 0"),
    ],
)
def test_weights_that_do_not_fit_are_refused(weights, message):
    with pytest.raises(CorpusError, match=message):
        check_weights(weights, 3)


def test_weights_that_were_rounded_are_mended_and_exponents_are_free():
    assert check_weights([0.333, 0.333, 0.333], 3).tolist() == pytest.approx([1 / 3] * 3)
    assert check_weights(None, 4).tolist() == [0.25] * 4
    assert check_weights([2, 0.5], 2, "log-linear").tolist() == [2, 0.5]
    with pytest.raises(CorpusError, match="all weights are 0"):
        check_weights([0, 0], 2, "log-linear")
    with pytest.raises(CorpusError, match="weight 2e\\+06: a number"):  # which no file of a mixture may hold
        check_weights([2e6, 1], 2, "log-linear")
    with pytest.raises(CorpusError, match="one of linear, log-linear"):
        check_weights([1], 1, "cubic")


def test_a_cache_is_one_more_component_and_is_mixed_linearly_with_products():
    models = [Bigrams(A, 1), Bigrams(B, 2)]
    linear = assemble(models, [0.6, 0.4], cache_size=3, cache_weight=0.2, files=["a", "b"])
    assert linear.weights.tolist() == pytest.approx([0.48, 0.32, 0.2])
    assert linear.files == ("a", "b", None)
    assert linear.models[2].vocab == linear.vocab
    product = assemble(models, [1, 1], "log-linear", cache_decay=0.1)
    assert (product.kind, product.models[0].kind) == ("linear", "log-linear")
    assert product.weights.tolist() == [0.9, 0.1]
    with pytest.raises(CorpusError, match="`cache_weight` without a cache"):
        assemble(models, cache_weight=0.1)
    with pytest.raises(CorpusError, match=r"`cache_weight` 1\.5"):
        assemble(models, cache_size=3, cache_weight=1.5)


def test_components_of_different_tokenizers_need_one_that_is_chosen():
    a, b = Bigrams(A), Bigrams(B)
    a.tokenizer = "char"
    assert Mixture([a, b]).tokenizer == "char"  # a cache or a file of probabilities has none
    b.tokenizer = "word"
    with pytest.raises(CorpusError, match="different tokenizers"):
        _ = Mixture([a, b]).tokenizer


# ---- EM


def test_em_by_hand():
    # two words; weights 0.5, 0.5.  Posteriors of the first model: .8/(.8+.2) = .8 and .1/(.1+.3) = .25; mean .525
    fit = fit_weights(np.log10([[0.8, 0.2], [0.1, 0.3]]), max_iterations=1)
    assert fit.weights.tolist() == pytest.approx([0.525, 0.475])
    assert fit.history[0][1] == pytest.approx((0.5 * 0.2) ** -0.5)
    assert fit.words == 2


@given(st.integers(0, 2**31), st.integers(2, 4))
@settings(max_examples=20, deadline=None)
def test_em_never_loses_and_ends_near_the_maximum(seed, n_models):
    p = np.random.default_rng(seed).dirichlet([0.5] * n_models, 200) + 1e-6
    fit = fit_weights(np.log10(p), precision=1e-10)
    perplexities = [perplexity for _, perplexity in fit.history]
    assert all(a >= b * (1 - 1e-12) for a, b in itertools.pairwise(perplexities))
    # at the maximum no model gains by more weight: mean of p_k / p is at most 1
    assert (p / (p @ fit.weights)[:, None]).mean(0).max() < 1 + 1e-3
    assert fit.weights.sum() == pytest.approx(1)


def test_words_that_no_model_allows_are_left_out_and_zeros_of_one_are_not():
    log10_probs = np.array([[-1.0, -np.inf], [-np.inf, -np.inf], [-2.0, -1.0]])
    fit = fit_weights(log10_probs, max_iterations=1)
    assert fit.words == 2
    assert fit.weights[0] == pytest.approx((1 + 0.01 / 0.11) / 2)
    assert fit.perplexity == pytest.approx(10 ** -np.mean(np.log10([fit.weights[0] * 0.1, fit.weights @ [0.01, 0.1]])))


def test_what_em_cannot_fit_is_refused():
    with pytest.raises(CorpusError, match="no word"):
        fit_weights(np.full((3, 2), -np.inf))
    with pytest.raises(CorpusError, match="word 2 of the text"):
        fit_weights(np.array([[-1.0, -1], [np.nan, -1]]))
    with pytest.raises(CorpusError, match="start weights"):
        fit_weights(np.array([[-np.inf, -1.0]]), [1, 0])
    with pytest.raises(CorpusError, match="`weights` given once for 2 models"):
        fit_weights(np.array([[-1.0, -1.0]]), [1])
    with pytest.raises(CorpusError, match="precision"):
        fit_weights(np.array([[-1.0, -1.0]]), precision=0)


def test_the_first_of_srilms_weights_is_a_half():
    assert default_start(1).tolist() == [1]
    assert default_start(3).tolist() == [0.5, 0.25, 0.25]


def arpa_probabilities(path):
    """An ARPA file as {n-gram: (log10 probability, log10 back-off)} in float32, SRILM's type, and its order."""
    table = {}
    with gzip.open(path) as file:
        for line in file:
            fields = line.rstrip(b"\n").split(b"\t")
            if len(fields) > 1:
                table[tuple(fields[1].split(b" "))] = np.float32(fields[0]), np.float32([*fields, b"0"][2])
    return table, max(map(len, table))


def arpa_scores(path, text):
    """log10 probability of every word and sentence end, with the seven digits that SRILM prints."""
    table, order = arpa_probabilities(path)
    for line in text.read_bytes().splitlines():
        words = [b"<s>", *(w if (w,) in table else b"<unk>" for w in line.split()), b"</s>"]
        for t in range(1, len(words)):
            context, backoff = tuple(words[max(0, t - order + 1) : t]), np.float32(0)
            while (*context, words[t]) not in table:
                backoff += table.get(context, (0, np.float32(0)))[1]
                context = context[1:]
            yield float(f"{table[*context, words[t]][0] + backoff:.7g}")


def test_em_prints_what_srilms_compute_best_mix_prints(golden):
    text = golden / "toy" / "valid.txt"
    scores = [list(arpa_scores(golden / "srilm" / f"{name}.arpa.gz", text)) for name in ("mkn4", "gt3", "wb3")]
    printed = srilm_best_mix(fit_weights(np.array(scores).T))
    assert printed == (golden / "srilm" / "best-mix.mkn4-gt3-wb3.valid").read_bytes()


def test_tuning_models_goes_step_by_step_as_srilm_goes(golden):
    models = [load(golden / "srilm" / f"{name}.arpa.gz") for name in ("mkn4", "gt3", "wb3")]
    with encode([str(golden / "toy" / "valid.txt")], get_tokenizer()) as stream:
        _, fit = tune(Mixture(models), stream, oov="unk")
    assert srilm_best_mix(fit) == (golden / "srilm" / "best-mix.mkn4-gt3-wb3.valid").read_bytes()


def test_seven_digits_are_those_that_printing_leaves():
    values = -np.exp(np.random.default_rng(1).normal(0, 3, (500, 2)))
    values[3] = [0, -np.inf]
    expected = [[float(f"{x:.7g}") for x in row] for row in values.tolist()]
    round_to_seven_digits(values)
    assert values.tolist() == expected


def test_the_mixture_of_two_models_is_srilms(golden):
    # made with -lambda 0.6: solved from the three files
    mkn4, gt3, mixed = (
        load(golden / "srilm" / f"{name}.ppl.debug2.gz") for name in ("mkn4", "gt3", "mix.mkn4-gt3.bayes0")
    )
    with encode([str(golden / "toy" / "test.txt")], get_tokenizer()) as stream:
        mixture = Mixture([mkn4, gt3], [0.6, 0.4])
        mixture.check_text(stream)
        scored, _ = mixture.score_ids(mixture.vocab.ids(stream.vocab.words)[stream.ids], mixture.start())
        np.testing.assert_allclose(scored.log10_prob, mixed.log10_prob, atol=2e-6)
        tally = evaluate(mixture, stream, oov="unk")
    assert tally.perplexity == pytest.approx(21.89252, abs=1e-5)
    assert tally.log10_prob == pytest.approx(-5331.696, abs=5e-4)


def test_tuned_weights_are_those_of_the_words_that_count(tmp_path):
    a, b = Bigrams(A, 1), Bigrams(B, 2)
    mixture = Mixture([a, b])
    with text_of(tmp_path, "a d b zebra c\nb a\n" * 20) as stream:
        scores = component_scores(mixture, stream)
        assert scores.shape == (9 * 20 - 20, 2)  # zebra does not count
        assert scores[1, 0] == -np.inf  # A lacks d
        assert len(component_scores(mixture, stream, oov="unk")) == 9 * 20
        tokens = []
        tuned, fit = tune(mixture, stream, on_block=tokens.append, precision=1e-8)
        assert sum(tokens) == stream.n_tokens
        assert evaluate(tuned, stream).perplexity == pytest.approx(fit.perplexity)
        assert tuned.tuned == fit.as_dict()
        aside = np.array([0.01, -0.01])
        for other in ([0.5, 0.5], fit.weights + aside, fit.weights - aside):
            assert evaluate(mixture.with_weights(other), stream).perplexity > fit.perplexity
        with pytest.raises(CorpusError, match="`tune`"):
            tune(Mixture([a, b], kind="log-linear"), stream)


def test_entropy_of_a_certain_word_is_zero():
    assert entropy_bits(np.array([[0, 1.0, 0], [0.5, 0.5, 0]])).tolist() == [0, 1]


def test_one_model_has_all_the_weight():
    printed = srilm_best_mix(fit_weights(np.array([[-1.0]])))
    assert printed.splitlines()[1:] == [b"1 non-oov words, best lambda (1)", b"pairwise cumulative lambda (1)"]
