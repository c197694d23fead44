"""What a language model has by default, beside a table that says what must come out."""

import numpy as np
import pytest

from corpora.errors import CorpusError
from corpora.evaluation.distributions import entropy_bits, softmax
from corpora.evaluation.language_model import ANY_TOKENIZER, LanguageModel, Scored, tokenizers_of
from corpora.text.vocab import Vocab

P = np.array([[0.2, 0.5, 0.3], [0.1, 0.6, 0.3], [1.0, 0.0, 0.0]])


class Table(LanguageModel):
    """P(word | word before) by hand; what a model must define, and no more."""

    vocab = Vocab([b"</s>", b"a", b"b"])

    def start(self):
        return 0

    def score_ids(self, ids, state, *, entropy=False):
        before = np.array([state, *ids[:-1]])[: len(ids)]
        with np.errstate(divide="ignore"):
            log10_prob = np.where(ids < 0, -np.inf, np.log10(P[before, ids]))
        return Scored(log10_prob, ids < 0), int(ids[-1]) if len(ids) else state

    def distribution(self, state):
        return P[state]


IDS = np.array([1, 2, 0, 1, 0], np.int32)


def test_words_are_scored_as_their_ids():
    scored, state = Table().score(["a", b"b", "</s>", "zzz"], 0)
    assert scored.log10_prob.tolist() == [np.log10(0.5), np.log10(0.3), 0.0, -np.inf]
    assert scored.oov.tolist() == [False, False, False, True]
    assert state == -1


def test_distributions_are_those_before_each_word():
    assert Table().distributions(IDS, 2).tolist() == P[[2, 1, 2, 0, 1]].tolist()
    scored, distributions, state = Table().score_with_distributions(IDS, 2)
    assert distributions.tolist() == P[[2, 1, 2, 0, 1]].tolist()
    assert (scored.log10_prob[1:] == np.log10([0.3, 1, 0.5, 0.1])).all()
    assert state == 0
    nothing, none, state = Table().score_with_distributions(IDS[:0], 2)
    assert (len(nothing.log10_prob), none.shape, state) == (0, (0, 3), 2)


def test_sentences_all_begin_at_one_state():
    # from "b", which only </s> follows, each first word is impossible
    assert Table().score_sentences(IDS, 2).log10_prob.tolist() == [-np.inf, np.log10(0.3), 0, -np.inf, np.log10(0.1)]
    assert Table().score_sentences(IDS, 0).log10_prob.tolist() == np.log10([0.5, 0.3, 1, 0.5, 0.1]).tolist()


def test_what_a_model_says_of_itself_unless_it_says_more():
    lm = Table()
    assert (lm.tokenizer, lm.threads, lm.has_distributions, list(lm.models)) == ("whitespace", 1, True, [])
    lm.warm_up()
    lm.check_text(None)
    with pytest.raises(CorpusError, match="Table: this model has no hidden states"):
        lm.hidden_states(IDS, 0)


def test_the_tokenizers_of_several_models():
    models = [Table() for _ in range(4)]
    assert tokenizers_of(models) == ["whitespace"]
    for lm, spec in zip(models, ["word+lower", ANY_TOKENIZER, "char", "char"], strict=True):
        lm.tokenizer = spec
    assert tokenizers_of(models) == ["char", "word+lower"]
    assert tokenizers_of(models[1:2]) == ["whitespace"]


def test_scores_of_parts_are_joined_and_what_a_part_lacks_is_left_out():
    one, two = np.array([-1.0]), np.array([-2.0, -3.0])
    oov = np.array([False]), np.array([True, False])
    order = np.array([1], np.int32), np.array([2, 3], np.int32)
    whole = Scored.joined([Scored(one, oov[0], one, order[0]), Scored(two, oov[1], None, order[1])])
    assert whole.log10_prob.tolist() == [-1, -2, -3]
    assert whole.oov.tolist() == [False, True, False]
    assert whole.entropy_bits is None
    assert whole.order.tolist() == [1, 2, 3]


def test_entropies_by_hand():
    assert entropy_bits(np.array([0.5, 0.25, 0.25])) == 1.5
    assert entropy_bits(np.array([[0, 1.0], [0.5, 0.5]])).tolist() == [0, 1]


def test_a_softmax_is_overwritten_and_takes_any_scores():
    scores = np.log([[1.0, 2.0, 5.0], [3.0, 3.0, 2.0]]) + 1000
    found = softmax(scores)
    assert found is scores
    np.testing.assert_allclose(found, [[0.125, 0.25, 0.625], [0.375, 0.375, 0.25]], rtol=1e-13)
    assert softmax(np.array([-np.inf, 0.0])).tolist() == [0, 1]
