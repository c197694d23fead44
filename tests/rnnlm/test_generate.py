"""Drawing text: the right distribution, temperature, prefixes, and an end in any case."""

from itertools import pairwise
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.evaluation.language_model import LanguageModel, Scored
from corpora.text.vocab import Vocab
from rnnlm.generate import MOST_EMPTY, generate, sentences, sharpen
from tests.small_models import small_model


class Bigram(LanguageModel):
    """A language model of three words whose next word depends on the last one; state: its id."""

    vocab = Vocab([b"</s>", b"<unk>", b"a", b"b"])
    table: ClassVar = np.array([[0.0, 0.3, 0.5, 0.2], [0.25] * 4, [0.1, 0.2, 0.0, 0.7], [0.6, 0.1, 0.3, 0.0]])

    def start(self):
        return 0

    def score(self, words, state):
        ids = self.vocab.ids(words)
        log10_prob = np.log10(self.table[[state, *ids[:-1]], ids])
        return Scored(log10_prob, ids < 0), int(ids[-1])

    def distribution(self, state):
        return self.table[state].copy()


class OnlyEnds(Bigram):
    table: ClassVar = np.array([[1.0, 0, 0, 0]] * 4)


def draw(*arguments, seed=1, lm=None, **options):
    return list(generate(lm or Bigram(), *arguments, np.random.default_rng(seed), **options))


def test_words_follow_each_other_as_often_as_the_model_says():
    words = [b"</s>", *draw(20_000)]
    ids = Bigram.vocab.ids(words)
    counts = np.zeros((4, 4))
    np.add.at(counts, (ids[:-1], ids[1:]), 1)
    expected = counts.sum(axis=1, keepdims=True) * Bigram.table
    possible = Bigram.table > 0
    assert (counts[~possible] == 0).all()
    # chi-square with 13 - 4 degrees of freedom: 33.7 in one of ten thousand draws
    assert ((counts - expected)[possible] ** 2 / expected[possible]).sum() < 33.7


def test_sentence_ends_come_but_do_not_count():
    words = draw(100)
    assert sum(word != b"</s>" for word in words) == 100
    assert words.count(b"</s>") > 5
    assert words[-1] != b"</s>"


def test_the_same_seed_draws_the_same():
    assert draw(50) == draw(50)
    assert draw(50) != draw(50, seed=2)


def test_temperature_0_takes_the_most_probable():
    assert draw(6, temperature=0) == [b"a", b"b", b"</s>", b"a", b"b", b"</s>", b"a", b"b"]


def test_the_prefix_is_read_but_not_returned():
    assert draw(1, temperature=0, prefix=["a"]) == [b"b"]
    assert draw(1, temperature=0, prefix=[b"a", b"b"]) == [b"</s>", b"a"]


def test_the_unknown_word_can_be_kept_out():
    assert b"<unk>" in draw(200)
    words = draw(2000, unknown=False)
    assert b"<unk>" not in words
    # after b: </s> 0.6, a 0.3 of what is left
    after = [second for first, second in pairwise(words) if first == b"b"]
    assert after.count(b"</s>") / len(after) == pytest.approx(2 / 3, abs=0.05)


def test_a_model_of_sentence_ends_alone_comes_to_an_end():
    assert draw(5, lm=OnlyEnds()) == [b"</s>"] * MOST_EMPTY


def test_a_real_model_is_drawn_from_its_distribution():
    lm = small_model(unk=True)
    first = [draw(1, lm=lm, seed=seed, prefix=["w3", "w5"])[0] for seed in range(400)]
    _, state = lm.score(["w3", "w5"], lm.start())
    p = lm.distribution(state)
    frequency = np.bincount(lm.vocab.ids(first), minlength=len(p)) / 400
    assert np.abs(frequency - p).max() < 4 * np.sqrt(p.max() * (1 - p.max()) / 400)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.floats(0, 1), min_size=2, max_size=8).filter(lambda p: sum(p) > 0.01),
    st.floats(0.05, 20),
)
def test_sharpening_is_the_power_of_the_inverse_temperature(values, temperature):
    p = np.array(values) / sum(values)
    expected = p ** (1 / temperature)
    np.testing.assert_allclose(sharpen(p, temperature), expected / expected.sum(), rtol=1e-9, atol=1e-300)


@pytest.mark.parametrize("temperature", [0, 1e-320, 1e-9])
def test_sharpening_ends_at_the_most_probable(temperature):
    assert sharpen(np.array([0.1, 0.5, 0.4, 0.0]), temperature).tolist() == [0, 1, 0, 0]


def test_words_are_cut_into_sentences():
    words = [b"a", b"b", b"</s>", b"</s>", b"c"]
    assert list(sentences(words)) == [[b"a", b"b"], [], [b"c"]]
    assert list(sentences(words[:3])) == [[b"a", b"b"]]
    assert list(sentences([])) == []
