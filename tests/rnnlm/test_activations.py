"""Every activation trains with its defaults: about as well as the logistic function, with which 0.4b does."""

from __future__ import annotations

from contextlib import closing

import numpy as np
import pytest

from rnnlm.config import ACTIVATIONS, BEGINNINGS, ModelConfig, TrainConfig, default_alpha
from rnnlm.data import VocabOptions, read_texts
from rnnlm.initial import initial_params
from rnnlm.model import RecurrentLM
from rnnlm.trainer import Trainer


def best_perplexity(texts, activation, seed):
    """Of five epochs of 100 units, by character."""
    config = ModelConfig(hidden=100, classes=1, activation=activation)
    rng = np.random.default_rng(seed)
    model = RecurrentLM.create(config, texts.vocab, initial_params(config, len(texts.vocab), rng))
    training = TrainConfig(alpha=default_alpha(activation, 100), max_epochs=5, seed=seed)
    return min(report.valid_perplexity for report in Trainer(model, training, texts.train, texts.valid).fit())


@pytest.fixture(scope="module")
def perplexities(shared_data, tmp_path_factory):
    """perplexities(seed) -> of each activation, on the first 100 kB of tinyshakespeare."""
    path = tmp_path_factory.mktemp("shakespeare") / "text"
    path.write_bytes((shared_data / "classics" / "tinyshakespeare.txt").read_bytes()[:100_000])

    def run(seed):
        texts = read_texts([str(path)], [], VocabOptions(None, 1, None, "first"), "char", seed=seed)
        with closing(texts):
            return {activation: best_perplexity(texts, activation, seed) for activation in ACTIVATIONS}

    return run


def test_defaults_train_each_activation_about_as_well_as_the_logistic_function(perplexities):
    found = perplexities(2)
    assert 6.0 < found["logistic"] < 7.2
    # the weights' last bits, which depend on the processor, move these by some percent
    assert max(found.values()) < 1.15 * found["logistic"], found


@pytest.mark.slow
def test_over_three_seeds_no_activation_is_a_tenth_worse(perplexities):
    found = [perplexities(seed) for seed in (1, 2, 3)]
    means = {name: np.mean([f[name] / f["logistic"] for f in found]) for name in ACTIVATIONS}
    assert max(means.values()) < 1.10, means


def test_initial_weights_fit_the_activation():
    n_words, hidden = 500, 80
    drawn = {
        name: initial_params(ModelConfig(hidden=hidden, activation=name), n_words, np.random.default_rng(1))
        for name in ACTIVATIONS
    }
    for name, begin in BEGINNINGS.items():
        for matrix, factor in (("W", begin.recurrent), ("O", begin.output), ("C", begin.output)):
            np.testing.assert_allclose(drawn[name][matrix], factor * drawn["logistic"][matrix], rtol=1e-6)
        added = drawn[name]["U"] - begin.input * drawn["logistic"]["U"]
        # one number for each unit, whatever the word
        np.testing.assert_allclose(added, np.broadcast_to(added[0], added.shape), atol=1e-6)
        assert np.abs(added).max() <= begin.offset + 1e-6
        assert (np.abs(added[0]).mean() > 0.3) == (begin.offset == 1)


def test_more_than_a_hundred_units_learn_at_a_lower_rate_but_for_logistic_ones():
    assert default_alpha("logistic", 500) == 0.1
    assert default_alpha("relu", 30) == default_alpha("relu", 100) == 0.005
    assert default_alpha("tanh", 200) == pytest.approx(0.007)
