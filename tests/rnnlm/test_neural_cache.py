"""The neural cache, by its definition."""

from __future__ import annotations

import numpy as np
import pytest

from corpora.errors import CorpusError
from rnnlm.io import load, save
from rnnlm.mixtures.mixture import Mixture, assemble
from rnnlm.mixtures.neural_cache import NeuralCacheLM
from tests.rnnlm.test_minibatch import V, model_of, text


def definition(lm, ids, size, theta):
    """(n, V): the share of exp(theta h_t . h_i) at places i < t of each word."""
    state, hidden, found, read = lm.start(), [], [], []
    for word in ids.tolist():
        h, p = lm.hidden_layers(state)[-1].astype(float), np.zeros(V)
        for i, before in read[-size:]:
            p[before] += np.exp(theta * h @ hidden[i])
        found.append(p / p.sum() if p.any() else np.full(V, 1 / V))
        if word >= 0:
            read.append((len(hidden), word))
        hidden.append(h)
        state = lm.advance(word, state)
    return np.array(found)


@pytest.mark.parametrize("independent", [False, True])
@pytest.mark.parametrize(("size", "theta"), [(1000, 0.0), (1000, 2.0), (20, 0.7), (1, 1.0)])
def test_a_neural_cache_is_its_definition(size, theta, independent):
    lm, ids = model_of("lstm, 2 layers", independent=independent), text(150)
    cache, expected = NeuralCacheLM(lm, size, theta), definition(lm, ids, size, theta)
    known = ids >= 0
    scored, end = cache.score_ids(ids, cache.start(), entropy=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        np.testing.assert_allclose(
            scored.log10_prob[known], np.log10(expected[known, ids[known]]), rtol=1e-9, atol=1e-9
        )
        bits = -np.nansum(expected * np.log2(expected), 1)
    assert np.isneginf(scored.log10_prob[~known]).all()
    np.testing.assert_allclose(scored.entropy_bits, bits, atol=1e-9)
    np.testing.assert_allclose(cache.distributions(ids, cache.start()), expected, atol=1e-12)
    first, middle = cache.score_ids(ids[:70], cache.start())
    second, _ = cache.score_ids(ids[70:], middle)
    np.testing.assert_allclose(np.concatenate([first.log10_prob, second.log10_prob]), scored.log10_prob, rtol=1e-12)
    assert end.words.size <= size
    assert cache.distribution(end).sum() == pytest.approx(1)


def test_states_before_words_are_those_from_which_they_are_predicted():
    lm, ids = model_of("lstm"), text(30)
    hidden, end = lm.states_before(ids, lm.start())
    np.testing.assert_array_equal(hidden[1:], lm.hidden_states(ids[:-1], lm.start())[:, -1])
    np.testing.assert_array_equal(hidden[0], lm.hidden_state(lm.start()))
    _, after = lm.score_ids(ids, lm.start())
    np.testing.assert_array_equal(end.hidden, after.hidden)


def test_a_mixture_with_a_neural_cache_is_read_again(tmp_path):
    lm, ids = model_of("lstm", dtype="float32"), text(40)
    save(lm, tmp_path / "lstm.rnnlm")
    files = [str(tmp_path / "lstm.rnnlm")]
    mixture = assemble([lm], files=files, neural_cache=30, neural_theta=0.5, neural_weight=0.25, cache_size=5)
    assert [type(part).__name__ for part in mixture.models] == ["RecurrentLM", "NeuralCacheLM", "CacheLM"]
    np.testing.assert_allclose(mixture.weights, [0.75 * 0.9, 0.25 * 0.9, 0.1])
    save(mixture, tmp_path / "mix.json", "mixture")
    again = load(tmp_path / "mix.json")
    np.testing.assert_array_equal(
        again.score_ids(ids, again.start())[0].log10_prob, mixture.score_ids(ids, mixture.start())[0].log10_prob
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [((0, 0.3), "`neural_cache` 0: a number of words"), ((5, -1.0), "`neural_cache_theta` -1: a number from 0")],
)
def test_settings_that_cannot_be_are_refused(settings, message):
    with pytest.raises(CorpusError, match=message):
        NeuralCacheLM(model_of("lstm"), *settings)


def test_a_neural_cache_needs_a_network():
    from rnnlm.mixtures.cache import CacheLM

    lm = model_of("lstm")
    with pytest.raises(CorpusError, match="none of the models is a recurrent network"):
        assemble([Mixture([CacheLM(lm.vocab, 5)])], neural_cache=5)


def test_with_theta_0_it_is_the_cache_of_as_many_words():
    from rnnlm.mixtures.cache import CacheLM

    lm, ids = model_of("lstm"), text(150)
    found, expected = (
        each.score_ids(ids, each.start())[0] for each in (NeuralCacheLM(lm, 20, 0.0), CacheLM(lm.vocab, 20))
    )
    np.testing.assert_allclose(found.log10_prob, expected.log10_prob, rtol=1e-12)
