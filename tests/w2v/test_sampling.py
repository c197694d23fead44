"""Words that are kept, windows and drawn words: against the twin with the same random numbers, and as distributions.

A distribution is compared by Pearson's chi-square, which is about its degrees of freedom f, with a standard deviation
of sqrt(2 f); seeds are fixed.
"""

import math
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.noise import negative_shares, negative_table
from tests.reference import word2vec as twin
from w2v.config import TrainConfig
from w2v.sampling import draw_negatives, keep_probabilities, sample_windows, shard_state
from w2v.shards import Plan

N_WORDS = 12


def sample(ids, thresholds, window, *, fixed=False, state=1):
    """kept, first, stop of the kernel, and the state that it leaves."""
    ids = np.array(ids, np.int32)
    ids.setflags(write=False)  # as those of a mapped file
    lists = np.full((3, ids.size + 1), 77, np.int32)
    n, state = sample_windows(ids, np.asarray(thresholds, np.uint32), window, fixed, np.uint64(state), *lists)
    assert (lists[0, ids.size :] == 77).all()
    assert (lists[1:, n:] == 77).all()
    return *(values[:n] for values in lists), state


class Draws:
    """The generator: Knuth's MMIX constants; the upper 32 bits, as numbers in [0, 1)."""

    def __init__(self, state):
        self.state = state

    def __call__(self):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 32) / 2**32


def draws_of_a_text(ids, keep, draw, fixed):
    """The random numbers in the kernel's order, as the twin takes them: a sentence's words, then its windows."""
    of_words, of_windows, n = [], [], 0
    for word in [*ids, 0]:
        of_words.append(draw() if word > 0 else 0.0)
        n += word > 0 and of_words[-1] < keep[word]
        if word == 0:
            of_windows += [] if fixed else [draw() for _ in range(n)]
            n = 0
    return of_words[: len(ids)], of_windows


@settings(deadline=None, max_examples=150, derandomize=True)
@given(
    ids=st.lists(st.integers(-1, N_WORDS - 1) | st.just(0), max_size=60),
    window=st.integers(1, 1000) | st.integers(1, 5),
    fixed=st.booleans(),
    state=st.integers(0, 2**64 - 1),
)
def test_words_and_windows_are_those_of_the_twin_with_the_same_random_numbers(ids, window, fixed, state):
    thresholds = np.random.default_rng(state).choice([0, 1 << 30, 3 << 30, 2**32 - 1], N_WORDS)
    keep = (thresholds + 1) / 2**32
    draw = Draws(state)
    draws = draws_of_a_text(ids, keep, draw, fixed)
    expected = twin.subsample_and_windows(ids, keep, window, *draws, fixed=fixed)
    *found, after = sample(ids, thresholds, window, fixed=fixed, state=state)
    for values, twins in zip(found, expected, strict=True):
        assert values.tolist() == twins.tolist()
    assert after == draw.state


@pytest.mark.parametrize("fixed", [False, True])
def test_windows_end_with_the_sentence_and_hold_their_word(fixed):
    ids = np.random.default_rng(5).integers(-1, N_WORDS, 3000)
    kept, first, stop, _ = sample(ids, np.full(N_WORDS, 3 << 30), 4, fixed=fixed)
    sentence_of = np.repeat(np.cumsum(ids == 0), ids > 0)
    # which words stayed: the only ones if every word is a new one
    numbered = ids.copy()
    numbered[ids > 0] = 1 + np.arange((ids > 0).sum())
    same, *_ = sample(numbered, np.full(numbered.max() + 1, 3 << 30), 4, fixed=fixed)
    sentence = sentence_of[same - 1]
    places = np.arange(kept.size)
    assert (first <= places).all()
    assert (places < stop).all()
    assert (sentence[first] == sentence).all()
    assert (sentence[stop - 1] == sentence).all()
    assert np.maximum(places - first, stop - 1 - places).max() == 4


def test_words_outside_the_vocabulary_take_no_place():
    everything = np.full(N_WORDS, 2**32 - 1)
    with_others = sample([-1, 3, -1, -1, 4, 5, -1, 0, -1, 6], everything, 2, fixed=True)
    without = sample([3, 4, 5, 0, 6], everything, 2, fixed=True)
    for a, b in zip(with_others, without, strict=True):
        np.testing.assert_array_equal(a, b)
    assert without[0].tolist() == [3, 4, 5, 6]


@pytest.mark.parametrize("ids", [[], [0], [0, 0, 0], [-1], [-1, 0, -1]])
def test_a_text_without_words(ids):
    kept, first, stop, state = sample(ids, np.full(N_WORDS, 2**32 - 1), 5, state=9)
    assert kept.size == first.size == stop.size == 0
    assert state == 9


def test_words_stay_as_often_as_the_formula_of_word2vec_says():
    counts = np.array([1000, 60000, 20000, 7000, 3000, 1500, 400, 90, 10])
    ids = np.repeat(np.arange(counts.size), counts).astype(np.int32)
    keep = Plan.create(TrainConfig(sample=0.01, hs=True, negative=0), ids, counts).thresholds
    t = 0.01 * counts.sum()
    probability = (np.sqrt(counts / t) + 1) * t / counts  # as the code of word2vec.c has it
    n_texts, stayed = 20, np.zeros(counts.size)
    for shard in range(n_texts):
        kept, *_ = sample(ids, keep, 5, state=shard_state(1, 0, shard))
        stayed += np.bincount(kept, minlength=counts.size)
    always = probability >= 1
    assert always.tolist() == [True, *[False] * 4, *[True] * 4]
    np.testing.assert_array_equal(stayed[always][1:], n_texts * counts[always][1:])
    n, p = n_texts * counts[~always], probability[~always]
    assert (np.abs(stayed[~always] - n * p) < 4 * np.sqrt(n * p * (1 - p))).all()


@pytest.mark.parametrize("window", [1, 2, 5, 8, 100])
def test_a_window_reaches_one_to_window_words_with_equal_probability(window):
    n = 60_000
    _, first, stop, _ = sample(np.full(n, 3), np.full(4, 2**32 - 1), window, state=shard_state(2, 0, window))
    places = np.arange(n)[window : n - window]
    reach = places - first[places]
    np.testing.assert_array_equal(stop[places] - 1 - places, reach)
    found = np.bincount(reach, minlength=window + 1)
    assert found[0] == 0
    expected = places.size / window
    chi_square = ((found[1:] - expected) ** 2 / expected).sum()
    assert chi_square <= window - 1 + 4 * np.sqrt(2 * (window - 1))


def test_fixed_windows_reach_as_far_as_they_can():
    _, first, stop, _ = sample([3] * 20, np.full(4, 2**32 - 1), 6, fixed=True)
    places = np.arange(20)
    np.testing.assert_array_equal(first, np.maximum(places - 6, 0))
    np.testing.assert_array_equal(stop, np.minimum(places + 7, 20))


# ---- drawn words


@pytest.mark.parametrize(("n", "size"), [(0, 8), (5, 8), (8, 8), (23, 8), (3, 1)])
def test_drawn_words_are_read_from_the_table_round_and_round(n, size):
    table = np.arange(100, 100 + size, dtype=np.int32)
    negatives = np.zeros(n, np.int32)
    draw = Draws(7)
    state = draw_negatives(table, np.uint64(7), negatives)
    draw()
    begin = (draw.state >> 32) % size
    assert negatives.tolist() == [100 + (begin + k) % size for k in range(n)]
    assert state == draw.state


def test_words_are_drawn_in_their_shares_whatever_the_shard():
    counts = np.array([300, 5000, 1000, 1000, 300, 100, 30, 30, 10, 3, 1, 1])
    table = negative_table(counts, 0.75, 1 << 16, 1)
    shares = negative_shares(counts, 0.75)
    n, n_shards = 500, 800
    drawn, negatives = np.zeros(counts.size), np.zeros(n, np.int32)
    for shard in range(n_shards):
        draw_negatives(table, np.uint64(shard_state(3, 0, shard)), negatives)
        drawn += np.bincount(negatives, minlength=counts.size)
    assert drawn[0] == 0
    expected = n * n_shards * shares[1:]
    assert (np.abs(drawn[1:] - expected) < 4 * np.sqrt(expected) + 0.02 * expected).all()
    # and neighbours in the list have nothing to do with each other
    pairs = np.zeros((counts.size, counts.size))
    np.add.at(pairs, (table[:-1], table[1:]), 1)
    common = slice(1, 6)
    expected = table.size * np.outer(shares, shares)[common, common]
    chi_square = ((pairs[common, common] - expected) ** 2 / expected).sum()
    assert chi_square < 25 + 4 * np.sqrt(50)


# ---- states


def test_seeds_epochs_and_shards_have_states_of_their_own():
    states = {int(shard_state(*numbers)) for numbers in np.ndindex(20, 20, 200)}
    assert len(states) == 20 * 20 * 200
    huge = {int(shard_state(seed, 0, 0)) for seed in (2**31, 2**32 - 1, 2**32, 2**63 - 1)}
    assert len(huge) == 4


def test_states_of_neighbours_differ_in_half_of_their_bits():
    def distance(a, b):
        return (int(shard_state(*a)) ^ int(shard_state(*b))).bit_count()

    for step in ((1, 0, 0), (0, 1, 0), (0, 0, 1)):
        distances = [distance(at, np.add(at, step)) for at in np.ndindex(6, 6, 6)]
        assert np.mean(distances) == pytest.approx(32, abs=1.5)
        assert min(distances) > 12


def test_the_state_is_splitmix64_of_the_numbers_one_after_another():
    def mixed(z):
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
        return z ^ z >> 31

    assert mixed(0x9E3779B97F4A7C15) == 0xE220A8397B1DCDAF  # the first number of splitmix64 from 0, as published
    z = 0
    for number in (3, 1, 4):
        z = mixed((z + 0x9E3779B97F4A7C15 + number) % 2**64)
    assert shard_state(3, 1, 4) == z


# ---- bounds


@pytest.mark.slow
def test_no_index_is_out_of_bounds(tmp_path):
    # the same claims, and deterministic training, with every index of an array checked, compiled anew
    environment = {**os.environ, "NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path)}
    tests = [__file__, __file__.replace("test_sampling", "test_trainer")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", "-m", "not slow", *tests],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]


def test_keep_probabilities_by_hand():
    # t = 0.01 * 1000 = 10: sqrt(10/500) + 10/500; sqrt(10/160) + 10/160 = 0.25 + 0.0625; sqrt(1) + 1 is above 1
    keep = keep_probabilities([300, 500, 160, 10, 0], 0.01, 1000)
    assert keep.tolist() == pytest.approx([1, math.sqrt(0.02) + 0.02, 0.3125, 1, 1], rel=1e-15)
    assert keep.dtype == np.float64


def test_without_sample_all_words_are_kept():
    assert keep_probabilities([3, 2, 0], 0, 5).tolist() == [1, 1, 1]


def test_words_up_to_2_6_times_the_threshold_are_kept():
    # sqrt(x) + x = 1 at x = (3 - sqrt 5) / 2: not sample, as in the paper, but 2.618 times that
    total = 10**9
    at = total * 1e-3 * 2 / (3 - math.sqrt(5))
    below, above = keep_probabilities([0, int(at), int(at * 1.001)], 1e-3, total)[1:]
    assert below == 1
    assert 0.99 < above < 1
