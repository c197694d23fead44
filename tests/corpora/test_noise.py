"""Words to draw as negative examples: their shares by hand, and tables of them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.noise import negative_shares, negative_table


def test_negative_shares_by_hand():
    # 16^.75 = 8, 81^.75 = 27, 1: of 36 the sentence end has 8, of which the two others get 4 each
    assert negative_shares([16, 81, 1], 0.75).tolist() == pytest.approx([0, 31 / 36, 5 / 36], rel=1e-14)


def test_other_exponents():
    assert negative_shares([5, 3, 2], 1).tolist() == pytest.approx([0, 0.55, 0.45])
    assert negative_shares([5, 3, 2], 0).tolist() == pytest.approx([0, 0.5, 0.5])
    assert negative_shares([0, 1, 2], -1).tolist() == pytest.approx([0, 2 / 3, 1 / 3])
    assert negative_shares([0, 10**9, 1], 500).tolist() == [0, 1, 0]
    assert negative_shares([0, 10**9, 1], 1e308).tolist() == [0, 1, 0]


def test_shares_without_counts_or_words_are_refused():
    with pytest.raises(ValueError, match="with counts"):
        negative_shares([0, 0, 0], 0.75)
    with pytest.raises(ValueError, match="two words"):
        negative_shares([3], 0.75)


counts_of_words = st.lists(st.integers(0, 10**6), min_size=2, max_size=200).filter(any)


@given(counts_of_words, st.sampled_from([0.75, 1.0, 0.0]), st.sampled_from([1, 2, 64, 4096]), st.integers(0, 9))
def test_a_word_has_its_places_rounded_down_or_up(counts, exponent, size, seed):
    table = negative_table(counts, exponent, size, seed)
    assert table.dtype == np.int32
    places = np.bincount(table, minlength=len(counts))
    assert places.sum() == size
    exact = size * negative_shares(counts, exponent)
    assert (np.abs(places - exact) < 1 + 1e-9).all()
    assert (places[exact == 0] == 0).all()


def test_rare_words_have_their_part_of_a_place_in_the_mean_over_seeds():
    # 300 words of 0.08 places each: 24 of them are in a table, others in the next
    counts = np.array([50, *[1000] * 10, *[1] * 300])
    size, tables = 1024, 1000
    places = sum(np.bincount(negative_table(counts, 1.0, size, (7, k)), minlength=counts.size) for k in range(tables))
    exact = size * negative_shares(counts, 1.0)
    # a place is 0 or 1 more than the whole number below: the variance of the mean is at most 1/4 a table
    assert (np.abs(places / tables - exact) < 5 * 0.5 / math.sqrt(tables)).all()
    assert places[11:].min() > 0


def test_a_table_is_shuffled_by_its_seed():
    counts = np.arange(100, 0, -1)
    one, again, other = (negative_table(counts, 0.75, 1 << 14, seed) for seed in (1, 1, 2))
    assert one.tolist() == again.tolist()
    assert one.tolist() != other.tolist()
    halves = [np.bincount(half, minlength=100) for half in np.split(one, 2)]
    # two halves of a shuffled table differ by chance only: hypergeometric, variance about half of the binomial
    expected = (halves[0] + halves[1]) / 2
    chi2 = ((halves[0] - expected)[1:] ** 2 / (expected[1:] / 2)).sum()
    assert 50 < chi2 < 160  # 98 degrees of freedom: mean 98, deviation 14


@pytest.mark.parametrize("size", [0, 3, 1000])
def test_a_table_whose_size_is_no_power_of_two_is_refused(size):
    with pytest.raises(ValueError, match="power of two"):
        negative_table([1, 1], 0.75, size, 1)


def test_the_tables_words_are_within_two_places_of_word2vecs():
    # word2vec.c goes on to the next word after the first place a with a / size > the sum of shares up to the word
    size = 4096
    counts = np.maximum(1, 5000 / np.arange(1, 301)).astype(np.int64)
    power = counts**0.75 / (counts**0.75).sum()
    table, word, passed = [], 0, power[0]
    for a in range(size):
        table.append(word)
        if a / size > passed:
            word += 1
            passed += power[min(word, counts.size - 1)]
        word = min(word, counts.size - 1)
    places = np.bincount(table, minlength=counts.size)
    assert (np.abs(places - size * power) < 2 + 1e-9).all()
    shares = places / size
    shares[1:] += shares[0] / (counts.size - 1)
    assert np.abs(shares[1:] - negative_shares(counts, 0.75)[1:]).max() < 2.01 / size
