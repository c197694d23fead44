"""Scores of hypotheses: what a model says of each sentence alone, whatever stands beside it; and word error rates."""

from __future__ import annotations

import numpy as np
import pytest

from corpora.errors import CorpusError
from corpora.evaluation.language_model import LanguageModel, Scored
from corpora.text.tokenizers import get_tokenizer
from rnnlm.nbest.lists import NBest
from rnnlm.nbest.rescore import Scales, model_words, rescore, score_hypotheses
from rnnlm.nbest.wer import _halton, edits, report, tune
from tests.small_models import small_model, small_vocab

KINDS = {
    "plain": {},
    "full": {"classes": 1},
    "independent": {"independent": True},
    "direct": {"direct": 1000, "direct_order": 3},
    "compression": {"compression": 3},
    "float32": {"dtype": "float32"},
}


def lists_of(hypotheses, acoustic=None, language=None):
    """Lists u0, u1 ... of these hypotheses, as strings."""
    words = [tuple(text.encode().split()) for group in hypotheses for text in group]
    starts = np.cumsum([0, *map(len, hypotheses)])
    scores = (None if values is None else np.array(values, np.float64) for values in (acoustic, language))
    return NBest("tsv", [b"u%d" % u for u in range(len(hypotheses))], starts, words, *scores)


def random_sentences(n, seed=3, unknown=True):
    rng = np.random.default_rng(seed)
    words = [b"w%d" % i for i in range(1, 14)] + ([b"zzz"] if unknown else [])
    return [tuple(rng.choice(words, rng.integers(0, 12)).tolist()) for _ in range(n)]


class OneByOne(LanguageModel):
    """A model without a method for many sentences, whose score of a word is known."""

    vocab = small_vocab(unk=True)

    def start(self):
        return 0

    def score_ids(self, ids, state, *, entropy=False):
        assert state == 0
        assert ids[-1] == 0
        assert (ids[:-1] != 0).all()
        return Scored(-np.arange(1.0, ids.size + 1), ids < 0), ids.size


# ---- sums


@pytest.mark.parametrize("kind", KINDS)
def test_a_sentence_is_scored_as_if_it_were_alone(kind):
    lm = small_model(**KINDS[kind])
    sentences = random_sentences(100)
    found = score_hypotheses(lm, sentences, oov="floor", floor=-3.0)
    for sentence, score, unknown in zip(sentences, found.log10_prob, found.oov, strict=True):
        alone, _ = lm.score([*sentence, b"</s>"], lm.start())
        assert unknown == sentence.count(b"zzz") == alone.oov.sum()
        assert score == pytest.approx(np.where(alone.oov, -3.0, alone.log10_prob).sum(), rel=1e-5)


def test_the_state_before_a_sentence_counts():
    lm = small_model()
    state = lm.score([b"w1", b"w2", b"w3"], lm.start())[1]
    ids = lm.vocab.ids([b"w4", b"</s>", b"w5", b"w4", b"</s>"])
    together = lm.score_sentences(ids, state).log10_prob
    apart = np.concatenate([lm.score_ids(part, state)[0].log10_prob for part in (ids[:2], ids[2:])])
    assert together == pytest.approx(apart, rel=1e-12)
    assert together[:2] != pytest.approx(lm.score_sentences(ids, lm.start()).log10_prob[:2], rel=1e-6)


def test_equal_sentences_have_equal_scores_to_the_last_bit():
    sentences = random_sentences(40)
    doubled = [sentence for sentence in sentences for _ in range(2)] + sentences[::-1]
    scores = score_hypotheses(small_model(dtype="float32"), doubled, oov="floor").log10_prob
    assert (scores[0:80:2] == scores[1:80:2]).all()
    assert (scores[80:] == scores[0:80:2][::-1]).all()


def test_a_mixture_rescores_as_it_scores_words():
    from rnnlm.mixtures.mixture import Mixture

    mixture = Mixture([small_model(), OneByOne()], [0.25, 0.75])
    sentences = random_sentences(30)
    found = score_hypotheses(mixture, sentences)
    for sentence, score in zip(sentences, found.log10_prob, strict=True):
        assert score == pytest.approx(mixture.score([*sentence, b"</s>"], mixture.start())[0].log10_prob.sum())


def test_a_file_of_probabilities_cannot_rescore():
    class OfOneText(OneByOne):
        has_distributions = False

    with pytest.raises(CorpusError, match="belongs to one text"):
        score_hypotheses(OfOneText(), [(b"w2",)])


def test_any_model_can_rescore():
    # -1 for the first word, -2 for the next ...: n words and the sentence end make -(n+1)(n+2)/2
    sentences = [(), (b"w2",), (b"w2", b"w3"), (b"w2",)]
    assert score_hypotheses(OneByOne(), sentences).log10_prob.tolist() == [-1, -3, -6, -3]


@pytest.mark.parametrize(("oov", "score"), [("skip", -4), ("unk", -6), ("floor", -14), (None, -6)])
def test_an_unknown_word_costs_what_the_policy_says(oov, score):
    found = score_hypotheses(OneByOne(), [(b"w2", b"zzz")], oov=oov, floor=-10)
    assert (found.log10_prob.tolist(), found.oov.tolist()) == ([score], [1])


def test_without_unk_an_unknown_word_costs_the_floor():
    lm = small_model()
    known, unknown = score_hypotheses(lm, [(b"w1",), (b"zzz",)], floor=-5).log10_prob
    assert known > -8
    assert -13 < unknown < -5


def test_a_word_of_probability_zero_costs_the_floor():
    class Zero(OneByOne):
        def score_ids(self, ids, state, *, entropy=False):
            return Scored(np.full(ids.size, -np.inf), ids < 0), 0

    assert score_hypotheses(Zero(), [(b"w2",)], oov="skip", floor=-7).log10_prob.tolist() == [-14]


def test_what_cannot_be_scored_is_told():
    class Diverged(OneByOne):
        def score_ids(self, ids, state, *, entropy=False):
            return Scored(np.full(ids.size, np.nan), ids < 0), 0

    with pytest.raises(CorpusError, match="not a number"):
        score_hypotheses(Diverged(), [(b"w2",)])
    with pytest.raises(CorpusError, match="has no <unk>"):
        score_hypotheses(small_model(), [(b"w2",)], oov="unk")
    with pytest.raises(ValueError, match="floor"):
        score_hypotheses(small_model(), [(b"w2",)], floor=1.0)


def test_hypotheses_are_cut_as_the_model_wants_them():
    lists = lists_of([["W1 W2", "it's W3"], ["W1 W2"]])
    assert model_words(lists.words, get_tokenizer("whitespace", lower=True)) == [
        (b"w1", b"w2"), (b"it's", b"w3"), (b"w1", b"w2"),
    ]  # fmt: skip
    lm = small_model()
    lowered = rescore(lists, lm, tokenizer=get_tokenizer("whitespace", lower=True))
    assert lowered.oov.tolist() == [0, 1, 0]
    assert rescore(lists, lm).oov.tolist() == [2, 2, 2]


# ---- totals


def test_totals_by_hand():
    lists = lists_of([["a b", "a"]], acoustic=[-100, -90], language=[-4, -6])
    total = Scales(lm_scale=10, word_penalty=-0.5, weight=0.25).total(lists, np.array([-8.0, -2.0]))
    # -100 + 10 (0.75 * -4 + 0.25 * -8) - 0.5 * 2,  -90 + 10 (0.75 * -6 + 0.25 * -2) - 0.5
    assert total.tolist() == [-151, -140.5]


def test_without_language_scores_the_models_counts_alone():
    lists = lists_of([["a b", "a"]])
    assert Scales().total(lists, np.array([-8.0, -2.0])).tolist() == [-8, -2]
    with pytest.raises(CorpusError, match="no language scores"):
        Scales(weight=0.5).total(lists, np.zeros(2))


# ---- word errors


def levenshtein(a, b):
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        row, previous = [i], row
        for j, y in enumerate(b, 1):
            row.append(min(previous[j] + 1, row[-1] + 1, previous[j - 1] + (x != y)))
    return row[-1]


def test_edits_are_the_edit_distance():
    pytest.importorskip("jiwer")
    rng = np.random.default_rng(1)
    texts = [" ".join(rng.choice(["a", "b", "c", "\u00a0", "\u3000x"], rng.integers(0, 9))) for _ in range(120)]
    lists = lists_of([texts[k : k + 10] for k in range(0, 120, 10)])
    references = [tuple(" ".join(rng.choice(["a", "b", "c"], u % 6)).encode().split()) for u in range(12)]
    expected = [levenshtein(lists.words[k], references[u]) for k, u in enumerate(lists.utterance_of)]
    assert edits(lists, references).tolist() == expected


def small_lists():
    """Two utterances of which the list's scores choose wrongly, the model's score the first, and no scale of both."""
    lists = lists_of([["a", "b", "c"], ["a", "b"]], [-10, -11, -12, -10, -12], [-3, -2, -4, -1, -2])
    return lists, np.array([-4, -5, -1, -3, -1.0]), np.array([1, 1, 0, 1, 0])


def test_the_report_counts_by_hand():
    lists, ours, wrong = small_lists()
    rows, scales = report(lists, ours, wrong, 2, Scales(weight=1.0))
    # before: -13 -13 -16 | -11 -14, so the first of each; after: -14 -16 -13 | -13 -13: third, and the first of two
    assert {name: errors.errors for name, (errors, _) in rows.items()} == {
        "first": 2, "before": 2, "after": 1, "oracle": 0,
    }  # fmt: skip
    assert rows["first"][0].rate == 1
    assert scales == Scales(1.0, 0.0, 1.0)


def test_tuning_finds_the_scales_that_choose_best():
    lists, ours, wrong = small_lists()
    rows, scales = report(lists, ours, wrong, 2, Scales(), ("lm_scale", "word_penalty", "weight"))
    assert rows["after"][0].errors == 0
    assert scales == report(lists, ours, wrong, 2, Scales(), ("lm_scale", "word_penalty", "weight"))[1]
    assert scales.weight > 0.5
    kept = tune(lists, ours, wrong, Scales(weight=0.25), ("lm_scale",))
    assert (kept.word_penalty, kept.weight) == (0.0, 0.25)


def test_tuning_is_never_worse_than_what_it_began_with():
    rng = np.random.default_rng(2)
    for _ in range(3):
        lists = lists_of([["a b", "a", "b", "b b a"]] * 20, rng.normal(-50, 5, 80), rng.normal(-5, 2, 80))
        ours, wrong = rng.normal(-5, 2, 80), rng.integers(0, 4, 80)
        start = Scales(*rng.uniform(0.1, 5, 2), 0.5)
        tuned = tune(lists, ours, wrong, start)
        before, after = (wrong[lists.best(scales.total(lists, ours))].sum() for scales in (start, tuned))
        assert after <= before


def test_tuning_leaves_alone_what_makes_no_difference():
    lists = lists_of([["a b", "a"]] * 3)
    tuned = tune(lists, np.tile([-8.0, -6.0], 3), np.tile([0, 1], 3), Scales())
    assert (tuned.lm_scale, tuned.weight) == (1.0, 1.0)
    assert tuned.word_penalty > 2 - 1e-9  # two words against one must make up for 2 in log10, and ties go to the first


def test_search_points_fill_the_space_evenly():
    points = _halton(600, 3)
    assert points[:4, 0].tolist() == [0.5, 0.25, 0.75, 0.125]
    cells = np.unique((points * [4, 3, 5]).astype(int), axis=0, return_counts=True)[1]
    assert len(cells) == 60
    assert cells.max() - cells.min() <= 4
