"""Dynamic evaluation against the twin of 0.4b's learning in plain NumPy."""

import numpy as np
import pytest

from corpora.errors import CorpusError
from corpora.evaluation.perplexity import evaluate
from corpora.text.stream import encode
from corpora.text.tokenizers import get_tokenizer
from rnnlm.dynamic import DynamicLM
from tests.reference.online import Online
from tests.small_models import small_model, small_text

CONFIGURATIONS = [
    {},
    {"classes": 1, "activation": "tanh"},
    {"compression": 3, "direct": 60},
    {"independent": True, "direct": 60},
]


def twin_of(lm, **options):
    config = lm.config
    twin = Online(
        {name: np.array(values, np.float64) for name, values in lm.params.items()}, lm.class_of_word,
        activation=config.activation, order=config.direct_order, independent=config.independent, **options,
    )  # fmt: skip
    twin.state = lm.start().hidden[: config.hidden].astype(np.float64)
    return twin


def scores_of_twin(twin, ids):
    return np.array([twin.learn(int(word)) for word in ids]) / np.log(10)


@pytest.mark.parametrize("schedule", [{}, {"bptt": 3, "block": 5}, {"bptt": 0}], ids=["given", "3-5", "none"])
@pytest.mark.parametrize("config", CONFIGURATIONS, ids=str)
def test_scores_and_learns_as_the_twin(config, schedule):
    lm, ids = small_model(**config), small_text(83, oov=True)
    names = {"bptt": "bptt", "block": "bptt_block"}
    dynamic = DynamicLM(lm, 0.3, 1e-3, 2.0, **{names[name]: n for name, n in schedule.items()})
    twin = twin_of(lm, alpha=0.3, beta=1e-3, cutoff=2.0, **({"bptt": 0} | schedule))  # small_model was never trained
    state, scores = dynamic.start(), []
    for part in np.split(ids, [1, 2, 30, 60]):
        scored, state = dynamic.score_ids(part, state)
        scores.append(scored.log10_prob)
        assert np.array_equal(scored.oov, part < 0)
    scores, expected = np.concatenate(scores), scores_of_twin(twin, ids)
    assert (scores[ids < 0] == -np.inf).all()
    np.testing.assert_allclose(scores[ids >= 0], expected[ids >= 0], rtol=1e-11)


def test_bptt_and_block_are_those_of_the_training():
    lm, ids = small_model(), small_text(60)
    lm.training = {"bptt": 4, "bptt_block": 6}  # as files say it: one more than --bptt
    expected = scores_of_twin(twin_of(lm, alpha=0.2, bptt=3, block=6), ids)
    dynamic = DynamicLM(lm, 0.2)
    np.testing.assert_allclose(dynamic.score_ids(ids, dynamic.start())[0].log10_prob, expected, rtol=1e-11)


@pytest.mark.parametrize("config", CONFIGURATIONS, ids=str)
def test_entropies_are_those_before_each_word_and_change_no_score(config):
    lm, ids = small_model(**config), small_text(40)
    plain, dynamic, stepwise = (DynamicLM(lm, 0.3) for _ in range(3))
    expected, _ = plain.score_ids(ids, plain.start())
    scored, _ = dynamic.score_ids(ids, dynamic.start(), entropy=True)
    np.testing.assert_allclose(scored.log10_prob, expected.log10_prob, rtol=1e-11)
    state = stepwise.start()
    for k, word in enumerate(ids):
        p = stepwise.distribution(state)
        assert p.sum() == pytest.approx(1)
        assert scored.entropy_bits[k] == pytest.approx(-(p * np.log2(p)).sum())
        assert np.log10(p[word]) == pytest.approx(expected.log10_prob[k])
        _, state = stepwise.score_ids(ids[k : k + 1], state)


def test_the_model_that_is_given_stays_as_it_is():
    lm = small_model(direct=60)
    before = {name: np.array(values) for name, values in lm.params.items()}
    dynamic = DynamicLM(lm, 0.5)
    dynamic.score_ids(small_text(50), dynamic.start())
    for name, values in before.items():
        assert np.array_equal(lm.params[name], values)
        assert not np.array_equal(dynamic.model.params[name], values)


def test_what_was_learnt_stays_learnt_for_a_second_text():
    lm, ids = small_model(), small_text(200)
    dynamic = DynamicLM(lm, 0.3)
    first = dynamic.score_ids(ids, dynamic.start())[0].log10_prob.sum()
    assert dynamic.score_ids(ids, dynamic.start())[0].log10_prob.sum() > first


def test_a_text_is_read_once_and_in_order():
    dynamic, ids = DynamicLM(small_model(), 0.1), small_text(20)
    start = dynamic.start()
    _, state = dynamic.score_ids(ids, start)
    assert state == 20
    with pytest.raises(ValueError, match="at word 20, asked for 0"):
        dynamic.score_ids(ids, start)
    dynamic.score_ids(ids, state)


def test_words_are_scored_as_their_ids():
    lm = small_model()
    by_words, by_ids = DynamicLM(lm, 0.1), DynamicLM(lm, 0.1)
    words = ["w1", b"w3", "nothing", "</s>"]
    first, _ = by_words.score(words, by_words.start())
    second, _ = by_ids.score_ids(np.array([1, 3, -1, 0]), by_ids.start())
    assert np.array_equal(first.log10_prob, second.log10_prob)


def test_a_word_outside_the_vocabulary_is_learnt_as_unk_where_there_is_one():
    lm, ids = small_model(unk=True), np.array([3, -1, 4, -1, 0], np.int32)
    dynamic = DynamicLM(lm, 0.3)
    scored, _ = dynamic.score_ids(ids, dynamic.start())
    expected = scores_of_twin(twin_of(lm, alpha=0.3, bptt=0), np.where(ids < 0, 1, ids))
    np.testing.assert_allclose(scored.log10_prob, expected, rtol=1e-11)
    assert scored.oov.tolist() == [False, True, False, True, False]


def test_the_evaluator_gets_one_pass_over_the_text(tmp_path):
    path = tmp_path / "text"
    path.write_bytes(b"w1 w2 w3\nw4 other w5\n" * 30)
    lm = small_model()
    with encode([str(path)], get_tokenizer()) as stream:
        tally = evaluate(DynamicLM(lm, 0.2), stream, block_size=16)
        ids = lm.vocab.ids(stream.vocab.words)[stream.ids]
    expected = scores_of_twin(twin_of(lm, alpha=0.2, bptt=0), ids)
    assert tally.log10_prob == pytest.approx(expected[ids >= 0].sum(), rel=1e-11)
    assert tally.oov == 30


def test_the_tokenizer_is_the_models():
    lm = small_model()
    lm.training = {"tokenizer": "word+lower"}
    assert DynamicLM(lm, 0.1).tokenizer == "word+lower"


@pytest.mark.parametrize("alpha", [0, -1, float("nan"), float("inf")])
def test_a_rate_that_cannot_be_learnt_with(alpha):
    with pytest.raises(CorpusError, match=r"--dynamic .*: a learning rate above 0"):
        DynamicLM(small_model(), alpha)


def test_divergence_is_said_with_its_place():
    dynamic = DynamicLM(small_model(activation="relu"), 1e150)
    with pytest.raises(CorpusError, match=r"diverged at word \d+: lower --dynamic \(1e\+150\)"):
        dynamic.score_ids(small_text(200), dynamic.start())
