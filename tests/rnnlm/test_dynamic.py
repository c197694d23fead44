"""Dynamic evaluation against the twin of 0.4b's learning in plain NumPy."""

import numpy as np
import pytest

from corpora.errors import CorpusError
from corpora.evaluation.perplexity import evaluate
from corpora.text.stream import encode
from corpora.text.tokenizers import get_tokenizer
from rnnlm.arrays import Weights
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
    _, state = dynamic.score_ids(small_text(50), dynamic.start())
    learnt = dynamic.learnt(state)
    for name, values in before.items():
        assert np.array_equal(lm.params[name], values)
        assert not np.array_equal(learnt.params[name], values)


def test_what_was_learnt_stays_learnt_for_a_second_text_that_starts_with_it():
    lm, ids = small_model(), small_text(200)
    dynamic = DynamicLM(lm, 0.3)
    first, state = dynamic.score_ids(ids, dynamic.start())
    second, _ = dynamic.score_ids(ids, dynamic.start(state))
    assert second.log10_prob.sum() > first.log10_prob.sum()
    twin = twin_of(lm, alpha=0.3, bptt=0)
    scores_of_twin(twin, ids)
    twin.start_text()
    np.testing.assert_allclose(second.log10_prob, scores_of_twin(twin, ids), rtol=1e-9)


# ---- the state is a value


A, B, C = (small_text(n, seed=n, oov=True) for n in (33, 21, 17))


def fresh_scores(lm, *parts, entropy=False):
    """What a new model says of the last of ``parts``, which it reads one after another."""
    dynamic = DynamicLM(lm, 0.3, 1e-3, 2.0, bptt=3, bptt_block=5)
    state = dynamic.start()
    for part in parts:
        scored, state = dynamic.score_ids(part, state, entropy=entropy)
    return scored.log10_prob.tobytes()


@pytest.mark.parametrize("config", CONFIGURATIONS, ids=str)
def test_a_state_that_is_used_again_is_what_it_was(config):
    lm = small_model(**config)
    dynamic = DynamicLM(lm, 0.3, 1e-3, 2.0, bptt=3, bptt_block=5)

    def scores(part, state):
        scored, after = dynamic.score_ids(part, state)
        return scored.log10_prob.tobytes(), after

    start = dynamic.start()
    a, after_a = scores(A, start)
    b, after_b = scores(B, start)
    assert (a, b) == (fresh_scores(lm, A), fresh_scores(lm, B))
    # on from both, in turns, and back to states in the middle, twice
    for _ in range(2):
        assert scores(B, after_a)[0] == fresh_scores(lm, A, B)
        assert scores(C, after_b)[0] == fresh_scores(lm, B, C)
    _, middle = scores(B, after_a)
    _, end = scores(C, middle)
    assert end.position == A.size + B.size + C.size
    for part in (A, B, C):
        assert scores(part, middle)[0] == fresh_scores(lm, A, B, part)
        assert scores(part, start)[0] == fresh_scores(lm, part)
    assert scores(A, end)[0] == fresh_scores(lm, A, B, C, A)


def test_a_distribution_is_that_of_its_state_whatever_was_read_since():
    dynamic = DynamicLM(small_model(), 0.3)
    start = dynamic.start()
    _, middle = dynamic.score_ids(A, start)
    expected = [dynamic.distribution(state).tobytes() for state in (start, middle)]
    _, end = dynamic.score_ids(B, middle)
    assert [dynamic.distribution(state).tobytes() for state in (start, middle)] == expected
    assert dynamic.distribution(end).tobytes() != expected[1]


def test_words_that_were_learnt_one_by_one_are_read_again_one_by_one():
    lm = small_model(classes=1)  # where a run of words differs from single ones in the last bit
    dynamic = DynamicLM(lm, 0.3, 1e-3, 2.0, bptt=3, bptt_block=5)
    _, middle = dynamic.score_ids(A, dynamic.start(), entropy=True)
    for _ in range(3):
        scored, _ = dynamic.score_ids(B, middle, entropy=True)
        assert scored.log10_prob.tobytes() == fresh_scores(lm, A, B, entropy=True)


def test_a_second_text_may_be_read_again():
    dynamic = DynamicLM(small_model(), 0.3)
    _, state = dynamic.score_ids(A, dynamic.start())
    second = dynamic.start(state)
    first, again = (dynamic.score_ids(B, second)[0].log10_prob.tobytes() for _ in range(2))
    assert first == again
    assert first == dynamic.score_ids(B, dynamic.start(state))[0].log10_prob.tobytes()


def test_ids_that_change_afterwards_are_not_read_again():
    lm, ids = small_model(), A.copy()
    dynamic = DynamicLM(lm, 0.3, 1e-3, 2.0, bptt=3, bptt_block=5)
    _, middle = dynamic.score_ids(ids, dynamic.start())
    dynamic.score_ids(B, middle)
    ids[:] = 1
    assert dynamic.score_ids(B, middle)[0].log10_prob.tobytes() == fresh_scores(lm, A, B)


def test_a_text_read_in_order_copies_no_network(monkeypatch):
    dynamic = DynamicLM(small_model(), 0.3)
    monkeypatch.setattr(Weights, "copy", lambda weights: pytest.fail("a copy of the weights"))
    dynamic.warm_up()
    state = dynamic.start()
    for part in (A, B, C):
        dynamic.distribution(state)
        _, state = dynamic.score_ids(part, state, entropy=True)
    dynamic.score_with_distributions(A, dynamic.start(state))


def test_a_long_text_word_by_word_leaves_nothing_that_cannot_be_freed():
    dynamic = DynamicLM(small_model(), 0.01)
    state, word = dynamic.start(), np.array([1], np.int32)
    for _ in range(100_000):
        _, _, state = dynamic.log_probs(word, state)
    assert state.position == 100_000
    del state  # a chain of as many states: no recursion


def test_hidden_states_are_those_of_the_twin_after_each_word():
    lm = small_model()
    dynamic, ids = DynamicLM(lm, 0.3, 1e-3, 2.0, bptt=0), small_text(30)
    twin = twin_of(lm, alpha=0.3, beta=1e-3, cutoff=2.0, bptt=0)
    start = dynamic.start()
    found = dynamic.hidden_states(ids, start)
    assert found.shape == (30, 1, 5)
    for t, word in enumerate(ids):
        twin.learn(int(word))
        expected = twin.f(twin.p["U"][twin.last_word] + twin.state @ twin.p["W"])
        np.testing.assert_allclose(found[t, 0], expected, rtol=1e-10)
    expected = scores_of_twin(twin_of(lm, alpha=0.3, beta=1e-3, cutoff=2.0, bptt=0), ids)
    np.testing.assert_allclose(dynamic.score_ids(ids, start)[0].log10_prob, expected, rtol=1e-11)


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
    with pytest.raises(CorpusError, match=r"`dynamic` .*: a learning rate above 0"):
        DynamicLM(small_model(), alpha)


def test_divergence_is_said_with_its_place():
    dynamic = DynamicLM(small_model(activation="relu"), 1e150)
    with pytest.raises(CorpusError, match=r"diverged at word \d+: lower `dynamic` \(1e\+150\)"):
        dynamic.score_ids(small_text(200), dynamic.start())
