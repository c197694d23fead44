"""Scoring: against what rnnlm 0.4b printed, against the twin in plain NumPy, and against itself in other pieces.

Golden files: ``-test test.txt -debug 2`` of release 0.4b with the models beside them.
"""

import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rnnlm
from rnnlm.config import ACTIVATIONS
from tests.golden_files import golden_bytes
from tests.reference.online import Online
from tests.small_models import N_WORDS, small_model, small_text

OPTION_SETS = ["full", "classes", "oldclass", "sentence", "direct", "compress"]
CONFIGS = {
    "classes": {},
    "full": {"classes": 1},
    "compression": {"compression": 3},
    "direct": {"direct": 60, "direct_order": 4},
    "full-direct-compression": {"classes": 1, "direct": 60, "compression": 3},
    "independent": {"independent": True},
    "independent-direct": {"independent": True, "direct": 60},
}
configs = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())


# ---- against rnnlm 0.4b


def printed(name):
    """(ids, probabilities, total log10 probability) of the test text; 0.4b prints -1 for a word it does not know."""
    text = golden_bytes(f"rnnlm/{name}.test.debug2").decode()
    rows = re.findall(r"^(-?\d+)\t(\S+)\t", text, re.MULTILINE)
    total = float(re.search(r"test log probability: (\S+)", text)[1])
    return np.array([int(i) for i, _ in rows]), np.array([float(p) for _, p in rows]), total


def toy_test(golden) -> list[bytes]:
    return (golden / "toy" / "test.txt").read_bytes().replace(b"\n", b" </s> ").split()


def score_golden(golden, file, dtype="float64"):
    lm = rnnlm.load(golden / "rnnlm" / file, dtype=dtype)
    scored, _ = lm.score(toy_test(golden), lm.start())
    return lm, scored


@pytest.mark.parametrize("name", OPTION_SETS)
def test_binary_models_give_the_probabilities_that_0_4b_printed(golden, name):
    lm, scored = score_golden(golden, f"{name}.binary" + (".gz" if name == "direct" else ""))
    ids, probabilities, total = printed(name)
    np.testing.assert_array_equal(lm.vocab.ids(toy_test(golden)), ids)
    np.testing.assert_array_equal(scored.oov, ids < 0)
    mine = 10.0 ** scored.log10_prob[~scored.oov]
    # ten decimals are printed
    np.testing.assert_allclose(mine, probabilities[ids >= 0], rtol=1e-6, atol=0.51e-10)
    assert f"{scored.log10_prob[~scored.oov].sum():.6f}" == f"{total:.6f}"


@pytest.mark.parametrize("name", ["full", "classes", "oldclass", "sentence", "compress"])
def test_text_models_give_them_as_far_as_four_decimals_go(golden, name):
    _, scored = score_golden(golden, f"{name}.text.gz")
    ids, probabilities, total = printed(name)
    np.testing.assert_array_equal(scored.oov, ids < 0)
    # weights are up to 5e-5 off: a score of H + 1 of them by some 5e-5 sqrt(H), and H states are off likewise
    error = np.abs(scored.log10_prob[ids >= 0] - np.log10(probabilities[ids >= 0]))
    assert error.max() < 2e-3
    assert scored.log10_prob[ids >= 0].sum() == pytest.approx(total, abs=0.3)


@pytest.mark.parametrize("name", ["classes", "direct"])
def test_float32_is_close_enough_to_float64(golden, name):
    _, scored = score_golden(golden, f"{name}.binary" + (".gz" if name == "direct" else ""), "float32")
    ids, probabilities, total = printed(name)
    np.testing.assert_allclose(10.0 ** scored.log10_prob[ids >= 0], probabilities[ids >= 0], rtol=2e-5, atol=1e-10)
    assert scored.log10_prob[ids >= 0].sum() == pytest.approx(total, abs=1e-3)


# ---- against the twin


def twin_scores(lm, ids, state):
    """Natural log probabilities from plain NumPy: learning with a learning rate of 0."""
    twin = Online(
        {name: np.array(values, np.float64) for name, values in lm.params.items()}, lm.class_of_word,
        activation=lm.config.activation, order=lm.config.direct_order, independent=lm.config.independent, alpha=0.0,
    )  # fmt: skip
    twin.state, twin.last_word, twin.history = (
        state.hidden[: lm.config.hidden].copy(),
        state.last_word,
        state.history.tolist(),
    )
    return np.array([twin.learn(int(word)) for word in ids])


@configs
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_scores_are_the_twins(config, activation):
    lm, ids = small_model(activation=activation, **config), small_text(50, oov=True)
    scored, _ = lm.score_ids(ids, lm.start())
    known = ids >= 0
    np.testing.assert_allclose(
        scored.log10_prob[known], twin_scores(lm, ids, lm.start())[known] / math.log(10), rtol=1e-12, atol=1e-12
    )


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**32 - 1),
    n_words=st.integers(2, 60),
    hidden=st.integers(1, 35),
    classes=st.integers(1, 40),
    compression=st.sampled_from([0, 0, 1, 20]),
    direct=st.sampled_from([0, 0, 2, 500]),
    direct_order=st.integers(1, 20),
    activation=st.sampled_from(ACTIVATIONS),
    independent=st.booleans(),
    oov=st.booleans(),
    lengths=st.lists(st.integers(0, 40), min_size=1, max_size=4),
)
def test_scores_entropies_and_pieces_of_any_model(
    seed, n_words, hidden, classes, compression, direct, direct_order, activation, independent, oov, lengths
):
    rng = np.random.default_rng(seed)
    lm = small_model(
        n_words, seed=seed, scale=2.0, counts=rng.integers(1, 50, n_words), hidden=hidden, classes=classes,
        compression=compression, direct=direct, direct_order=direct_order, activation=activation,
        independent=independent,
    )  # fmt: skip
    ids = small_text(sum(lengths), n_words, seed=seed, oov=oov, sentence=5)
    whole, _ = lm.score_ids(ids, lm.start(), entropy=True)
    expected = twin_scores(lm, ids, lm.start()) / math.log(10)
    np.testing.assert_allclose(whole.log10_prob[ids >= 0], expected[ids >= 0], rtol=1e-10, atol=1e-10)
    state, parts = lm.start(), []
    for part in np.split(ids, np.cumsum(lengths)[:-1]):
        scored, state = lm.score_ids(part, state, entropy=True)
        parts.append(scored)
    np.testing.assert_allclose(np.concatenate([p.log10_prob for p in parts]), whole.log10_prob, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(np.concatenate([p.entropy_bits for p in parts]), whole.entropy_bits, atol=1e-12)
    p = lm.distribution(state)
    assert p.sum() == pytest.approx(1, abs=1e-12)
    following, _ = lm.score_ids(np.zeros(1, np.int32), state, entropy=True)
    assert following.entropy_bits[0] == pytest.approx(-(p[p > 0] * np.log2(p[p > 0])).sum(), abs=1e-9)


# ---- distributions


def after(lm, ids):
    return lm.score_ids(np.asarray(ids, np.int32), lm.start())[1]


@configs
@pytest.mark.parametrize("before", [[], [3, 0, 5], [3, -1, 5, -1]])
def test_the_distribution_sums_to_one_and_is_the_score_of_each_word(config, before):
    lm = small_model(**config)
    state = after(lm, before)
    p = lm.distribution(state)
    assert p.shape == (N_WORDS,)
    assert p.dtype == np.float64
    assert p.sum() == pytest.approx(1, abs=1e-14)
    scores = [lm.score_ids(np.array([word], np.int32), state)[0].log10_prob[0] for word in range(N_WORDS)]
    np.testing.assert_allclose(p, 10.0 ** np.array(scores), rtol=1e-12)


@configs
def test_entropies_are_those_of_the_distributions(config):
    lm, ids = small_model(**config), small_text(40, oov=True)
    scored, _ = lm.score_ids(ids, lm.start(), entropy=True)
    for k in range(ids.size):
        p = lm.distribution(after(lm, ids[:k]))
        assert scored.entropy_bits[k] == pytest.approx(-(p * np.log2(p)).sum(), abs=1e-12)


@configs
def test_asking_for_entropies_changes_no_score(config):
    lm, ids = small_model(**config), small_text(40)
    plain, with_entropy = lm.score_ids(ids, lm.start())[0], lm.score_ids(ids, lm.start(), entropy=True)[0]
    assert plain.entropy_bits is None
    np.testing.assert_array_equal(plain.log10_prob, with_entropy.log10_prob)


def test_classes_without_words_get_nothing():
    # 0.4b's rule leaves the last classes empty where there are nearly as many classes as words
    lm = small_model(6, classes=6, counts=[1, 1, 1, 1, 1, 100])
    assert np.diff(lm.class_start).tolist() == [3, 3, 0, 0, 0, 0]
    p = lm.distribution(lm.start())
    assert p.sum() == pytest.approx(1, abs=1e-14)
    scored, _ = lm.score_ids(np.array([4], np.int32), lm.start(), entropy=True)
    assert scored.entropy_bits[0] == pytest.approx(-(p * np.log2(p)).sum(), abs=1e-12)
    # 0.4b's score keeps what its network gives to them
    assert 10 ** scored.log10_prob[0] < p[4]


# ---- state is a value


def same_state(a, b):
    return a.last_word == b.last_word and (a.hidden == b.hidden).all() and (a.history == b.history).all()


@configs
def test_one_call_is_many_calls(config):
    lm, ids = small_model(**config), small_text(60, oov=True)
    whole, end = lm.score_ids(ids, lm.start(), entropy=True)
    for cuts in ([1], [7, 8, 30], range(1, 60)):
        state, parts = lm.start(), []
        for part in np.split(ids, cuts):
            scored, state = lm.score_ids(part, state, entropy=True)
            parts.append(scored)
        np.testing.assert_allclose(np.concatenate([p.log10_prob for p in parts]), whole.log10_prob, rtol=1e-13)
        np.testing.assert_allclose(np.concatenate([p.entropy_bits for p in parts]), whole.entropy_bits, rtol=1e-12)
        np.testing.assert_array_equal(np.concatenate([p.oov for p in parts]), whole.oov)
        np.testing.assert_allclose(state.hidden, end.hidden, rtol=1e-12, atol=1e-14)
        np.testing.assert_array_equal(state.history, end.history)
        assert state.last_word == end.last_word


@pytest.mark.parametrize("config", [{}, {"direct": 60, "classes": 1}, {"independent": True, "direct": 60}])
def test_a_text_of_thousands_of_words_is_scored_as_its_pieces(config):
    # so long that a second thread scores while the first runs forward
    lm, ids = small_model(**config), small_text(6007, sentence=900, oov=True)
    whole, end = lm.score_ids(ids, lm.start(), entropy=True)
    state, parts = lm.start(), []
    for part in np.split(ids, range(61, ids.size, 61)):
        scored, state = lm.score_ids(part, state, entropy=True)
        parts.append(scored)
    np.testing.assert_allclose(np.concatenate([p.log10_prob for p in parts]), whole.log10_prob, rtol=1e-12)
    np.testing.assert_allclose(np.concatenate([p.entropy_bits for p in parts]), whole.entropy_bits, rtol=1e-12)
    np.testing.assert_allclose(state.hidden, end.hidden, rtol=1e-12, atol=1e-14)


@configs
def test_scoring_changes_neither_state_nor_model(config):
    lm, ids = small_model(**config), small_text(30, oov=True)
    state = after(lm, ids)
    kept = type(state)(state.hidden.copy(), state.last_word, state.history.copy())
    weights = lm.weights.copy()
    first, _ = lm.score_ids(ids, state, entropy=True)
    lm.distribution(state)
    lm.advance(3, state)
    second, _ = lm.score_ids(ids, state, entropy=True)
    assert same_state(state, kept)
    np.testing.assert_array_equal(first.log10_prob, second.log10_prob)
    for mine, old in zip(lm.weights, weights, strict=True):
        np.testing.assert_array_equal(mine, old)


@configs
@pytest.mark.parametrize("word", [0, 5, -1])
def test_to_advance_is_to_score_and_forget(config, word):
    lm = small_model(**config)
    state = after(lm, [4, 0, 2])
    assert same_state(lm.advance(word, state), lm.score_ids(np.array([word], np.int32), state)[1])


@configs
def test_no_words_leave_the_state_as_it_is(config):
    lm = small_model(**config)
    state = after(lm, [4, 2])
    scored, same = lm.score([], state)
    assert scored.log10_prob.size == 0
    assert same_state(same, state)


# ---- independent sentences


@pytest.mark.parametrize("direct", [0, 60])
@pytest.mark.parametrize("tail", [[], [5], [5, 6, 7]])
def test_independent_sentences_score_together_as_one_by_one(direct, tail):
    # more than run side by side, of many lengths, empty ones too; the last may have no end
    lm, rng = small_model(independent=True, direct=direct), np.random.default_rng(0)
    sentences = [np.append(rng.integers(1, N_WORDS, n), 0).astype(np.int32) for n in rng.integers(0, 20, 70)]
    sentences.append(np.array(tail, np.int32))
    together, end = lm.score_ids(np.concatenate(sentences), lm.start(), entropy=True)
    alone = [lm.score_ids(ids, lm.start(), entropy=True) for ids in sentences]
    assert together.log10_prob.tobytes() == np.concatenate([s.log10_prob for s, _ in alone]).tobytes()
    assert together.entropy_bits.tobytes() == np.concatenate([s.entropy_bits for s, _ in alone]).tobytes()
    assert end.hidden.tobytes() == alone[-1][1].hidden.tobytes()


# 1 to 8 registers of sums, and more, on any machine
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("hidden", [3, 10, 20, 37, 40, 50, 62, 70, 90, 100, 120, 130, 141])
@pytest.mark.parametrize("config", [{}, {"classes": 1}, {"compression": 20, "direct": 60}], ids=str)
def test_equal_independent_sentences_have_equal_probabilities(dtype, hidden, config):
    lm = small_model(independent=True, hidden=hidden, dtype=dtype, scale=0.5, **config)
    rng = np.random.default_rng(hidden)
    line = np.append(rng.integers(1, N_WORDS, 9), 0).astype(np.int32)
    # an odd number of streams, a stream alone, and neighbours of other lengths
    others = [np.append(rng.integers(1, N_WORDS, n), 0).astype(np.int32) for n in rng.integers(0, 15, 34)]
    text = [line, *others[:3], line, line, *others[3:], line]
    scored, _ = lm.score_ids(np.concatenate(text), lm.start(), entropy=True)
    apart = lm.score_sentences(np.concatenate(text), lm.start())
    alone = lm.score_ids(line, lm.start(), entropy=True)[0]
    p = lm.distributions(np.concatenate(text), lm.start())
    starts = np.cumsum([0, *map(len, text)])[:-1]
    for start in [s for s, part in zip(starts, text, strict=True) if part is line]:
        where = slice(start, start + line.size)
        assert scored.log10_prob[where].tobytes() == alone.log10_prob.tobytes()
        assert scored.entropy_bits[where].tobytes() == alone.entropy_bits.tobytes()
        assert apart.log10_prob[where].tobytes() == alone.log10_prob.tobytes()
        assert p[where].tobytes() == p[: line.size].tobytes()


def test_a_sentence_end_inside_a_text_of_independent_sentences_begins_a_new_one():
    lm = small_model(independent=True)
    scored, _ = lm.score_ids(np.array([4, 0, 5, 6], np.int32), lm.start())
    fresh, _ = lm.score_ids(np.array([5, 6], np.int32), lm.start())
    np.testing.assert_allclose(scored.log10_prob[2:], fresh.log10_prob, rtol=1e-13)


def test_the_first_independent_sentence_goes_on_from_the_state_it_was_given():
    lm = small_model(independent=True)
    middle = after(lm, [4, 5])
    scored, _ = lm.score_ids(np.array([6, 0, 5, 0], np.int32), middle)
    alone, _ = lm.score_ids(np.array([6, 0], np.int32), middle)
    np.testing.assert_allclose(scored.log10_prob[:2], alone.log10_prob, rtol=1e-13)
    assert scored.log10_prob[0] != pytest.approx(lm.score_ids(np.array([6], np.int32), lm.start())[0].log10_prob[0])


# ---- hidden states


@pytest.mark.parametrize("independent", [False, True])
@pytest.mark.parametrize("activation", ["logistic", "tanh"])
def test_hidden_states_are_those_of_the_network_after_each_word(activation, independent):
    lm, ids = small_model(activation=activation, independent=independent, unk=True), small_text(60, oov=True)
    f = {"logistic": lambda x: 1 / (1 + np.exp(-x)), "tanh": np.tanh}[activation]
    state = after(lm, [4, 5])
    found = lm.hidden_states(ids, state)
    assert found.shape == (60, 1, lm.config.hidden)
    U, W = lm.params["U"], lm.params["W"]
    hidden = f(U[5] + state.hidden[: lm.config.hidden] @ W)  # after the last word of the state
    for t, word in enumerate(np.where(ids < 0, 1, ids)):
        hidden = f(U[word] + (np.ones(5) if independent and word == 0 else hidden) @ W)
        np.testing.assert_allclose(found[t, 0], hidden, rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_hidden_states_are_those_that_scores_are_computed_from(dtype):
    lm, ids = small_model(dtype=dtype, classes=1), small_text(2050)
    found = lm.hidden_states(ids, lm.start())
    assert found.dtype == dtype
    scores = found[:-1, 0].astype(np.float64) @ lm.params["O"].T.astype(np.float64)
    log_prob = scores[np.arange(2049), ids[1:]] - np.log(np.exp(scores).sum(1))
    log10_prob = lm.score_ids(ids, lm.start())[0].log10_prob[1:]
    np.testing.assert_allclose(log10_prob, log_prob / np.log(10), rtol=1e-4 if dtype == "float32" else 1e-10)
    assert found[-2, 0].tobytes() == lm.score_ids(ids, lm.start())[1].hidden[: lm.config.hidden].tobytes()


def test_no_words_have_no_hidden_states():
    lm = small_model()
    assert lm.hidden_states(np.empty(0, np.int32), lm.start()).shape == (0, 1, 5)


# ---- words outside the vocabulary


def test_without_unk_a_word_outside_the_vocabulary_has_no_probability():
    lm = small_model()
    scored, state = lm.score([b"w3", b"zebra", b"w4"], lm.start())
    assert scored.oov.tolist() == [False, True, False]
    assert scored.log10_prob[1] == -math.inf
    assert np.isfinite(scored.log10_prob[[0, 2]]).all()
    # it is read as no input, as in 0.4b
    np.testing.assert_allclose(
        scored.log10_prob[[0, 2]] * math.log(10), twin_scores(lm, [3, -1, 4], lm.start())[[0, 2]]
    )
    assert state.last_word == 4


def test_with_unk_it_is_read_and_scored_as_that():
    lm = small_model(unk=True)
    scored, state = lm.score([b"w3", b"zebra", b"w4"], lm.start())
    as_unk, same = lm.score([b"w3", b"<unk>", b"w4"], lm.start())
    assert scored.oov.tolist() == [False, True, False]
    assert as_unk.oov.tolist() == [False, False, False]
    np.testing.assert_array_equal(scored.log10_prob, as_unk.log10_prob)
    assert same_state(state, same)


def test_words_can_be_bytes_or_text():
    lm = small_model()
    for words in ([b"w3", b"</s>"], ["w3", "</s>"]):
        np.testing.assert_array_equal(
            lm.score(words, lm.start())[0].log10_prob, lm.score_ids([3, 0], lm.start())[0].log10_prob
        )


# ---- parameters and start


def test_params_are_views_of_what_the_kernels_use():
    lm = small_model(compression=3, direct=60)
    before = {name: values.copy() for name, values in lm.params.items()}
    lm.weights.O[2, 1] = 99
    assert lm.params["O"][2, 1] == 99
    lm.params["O"][2, 1] = before["O"][2, 1]
    for name, values in lm.params.items():
        np.testing.assert_array_equal(values, before[name])


def test_a_text_begins_after_a_sentence_end_with_the_models_start_state():
    lm = small_model()
    assert lm.start().last_word == 0
    np.testing.assert_array_equal(lm.start().hidden[:5], 0.1)  # as 0.4b's at the beginning of training
    np.testing.assert_array_equal(small_model(independent=True).start().hidden[:5], 1.0)
    assert lm.start().hidden is not lm.start().hidden
