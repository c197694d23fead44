"""Tables of counts against hand values, rules spelled out, rnnlm 0.4b's models and word2vec.c's trees."""

import heapq
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.tables import (
    frequency_classes,
    huffman,
    keep_probabilities,
    negative_shares,
    negative_table,
)
from tests.golden_files import golden_bytes

OURS = Path(__file__).resolve().parents[1] / "golden" / "word2vec"


def classes_word_by_word(counts, n_classes, old):
    """0.4b's loop in double precision, one word after another."""
    total = float(sum(counts))
    shares = [count / total if old else math.sqrt(count / total) for count in counts]
    if not old:
        whole = 0.0
        for share in shares:
            whole += share
        shares = [share / whole for share in shares]
    result, df, a = [], 0.0, 0
    for share in shares:
        df = min(df + share, 1.0)
        result.append(a)
        if df > (a + 1) / n_classes and a < n_classes - 1:
            a += 1
    return result


def test_old_classes_by_hand():
    # shares 0.5 0.3 0.1 0.1: the sum passes 1/2 at the second word (0.5 itself is not above it)
    assert frequency_classes([5, 3, 1, 1], 2, old=True).tolist() == [0, 0, 1, 1]


def test_new_classes_by_hand():
    # roots of 16 4 1 1 are 4 2 1 1, shares 1/2 1/4 1/8 1/8: thirds are passed at words 1 and 2
    assert frequency_classes([16, 4, 1, 1], 3).tolist() == [0, 1, 2, 2]


def test_one_word_ends_one_class_at_most_so_that_later_classes_may_stay_empty():
    assert frequency_classes([1000, 1], 10).tolist() == [0, 1]


def test_one_class_is_the_full_softmax():
    assert frequency_classes([3, 2, 1], 1).tolist() == [0, 0, 0]


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=60), st.integers(1, 70), st.booleans())
def test_the_vectorised_rule_is_the_loop(counts, n_classes, old):
    counts[0] += 1
    classes = frequency_classes(np.array(counts), n_classes, old)
    assert classes.dtype == np.int32
    assert classes.tolist() == classes_word_by_word(counts, n_classes, old)


@pytest.mark.parametrize(
    ("model", "n_classes", "old"), [("classes", 10, False), ("oldclass", 10, True), ("full", 1, False)]
)
def test_classes_of_rnnlm_04b(model, n_classes, old):
    lines = golden_bytes(f"rnnlm/{model}.text").split(b"\n")
    start = lines.index(b"Vocabulary:") + 1
    rows = [line.split() for line in lines[start : lines.index(b"", start)]]
    assert len(rows) > 100
    counts = [int(row[1]) for row in rows]
    assert frequency_classes(counts, n_classes, old).tolist() == [int(row[3]) for row in rows]


def test_counts_of_nothing_and_no_classes_are_refused():
    with pytest.raises(ValueError, match="counts"):
        frequency_classes([0, 0], 2)
    with pytest.raises(ValueError, match="at least 1"):
        frequency_classes([1], 0)


def paths(counts):
    """[(nodes, bits as text)] of every word."""
    tree = huffman(np.array(counts, np.int64))
    return [(points.tolist(), "".join(map(str, codes))) for points, codes in (tree.path(w) for w in range(len(counts)))]


def tree_by_queues(counts):
    """The same from the description: two queues, the words from the last on, and the nodes as they are made."""
    words = [(count, w) for w, count in enumerate(counts)]  # the next one at the end
    inner, above = [], {}
    for node in range(len(counts) - 1):
        joined = []
        for bit in "01":
            take_word = words and (not inner or words[-1][0] < inner[0][0])
            joined.append(words.pop() if take_word else inner.pop(0))
            above[joined[-1][1]] = (node, bit)
        inner.append((joined[0][0] + joined[1][0], ("inner", node)))
    result = []
    for w in range(len(counts)):
        at, points, code = w, [], ""
        while at in above:
            node, bit = above[at]
            points, code, at = [node, *points], bit + code, ("inner", node)
        result.append((points, code))
    return result


def test_huffman_codes_by_hand():
    # 1 + 2 = 3 (node 0); the word with 3 is no lighter, so node 0 goes first: 3 + 3 = 6 (node 1); 4 + 6
    assert paths([4, 3, 2, 1]) == [([2], "0"), ([2, 1], "11"), ([2, 1, 0], "101"), ([2, 1, 0], "100")]


def test_the_sentence_end_waits_behind_all_words_however_rare_it_is():
    # as in a text of one line: 2 + 4 = 6 (node 0), 5 + 0 = 5 (node 1); no word is left: node 0 before node 1
    assert paths([0, 5, 4, 2]) == [([2, 1], "11"), ([2, 1], "10"), ([2, 0], "01"), ([2, 0], "00")]


def test_two_words_have_one_bit():
    assert paths([1, 1]) == [([0], "1"), ([0], "0")]


@settings(deadline=None)  # the first one compiles
@given(st.integers(0, 100), st.lists(st.integers(0, 100), min_size=1, max_size=40), st.booleans())
def test_the_tree_is_that_of_two_queues(first, others, is_sorted):
    counts = [first, *(sorted(others, reverse=True) if is_sorted else others)]
    assert paths(counts) == tree_by_queues(counts)


@settings(deadline=None)
@given(st.lists(st.integers(1, 10**9), min_size=2, max_size=60))
def test_codes_are_prefix_free_and_as_short_as_can_be(counts):
    counts.sort(reverse=True)
    codes = [code for _, code in paths(counts)]
    assert sum(2.0 ** -len(code) for code in codes) == 1
    assert len(set(codes)) == len(codes)
    assert sum(len(code) * n for code, n in zip(codes, counts, strict=True)) == least_length(counts)


def least_length(counts):
    """Of all codes: the sum of the inner nodes of any Huffman tree."""
    heap, total = list(counts), 0
    heapq.heapify(heap)
    while len(heap) > 1:
        joined = heapq.heappop(heap) + heapq.heappop(heap)
        total += joined
        heapq.heappush(heap, joined)
    return total


def test_codes_can_be_longer_than_the_40_bits_of_word2vec():
    counts = [1, 1]
    while len(counts) < 60:  # Fibonacci's numbers make the deepest tree
        counts.append(counts[-1] + counts[-2])
    assert max(len(code) for _, code in paths(counts[::-1])) == 59


@pytest.mark.parametrize("name", ["huffman.txt", "huffman-one-line.txt"])
def test_codes_and_nodes_are_those_of_word2vec(name):
    rows = [line.split() for line in (OURS / name).read_text().splitlines()]
    assert len(rows) > 100
    assert paths([int(row[0]) for row in rows]) == [([int(node) for node in row[2:]], row[1]) for row in rows]


@pytest.mark.compiled
def test_a_large_tree_keeps_its_types():
    counts = np.maximum(1, 1e7 / np.arange(1, 200_001)).astype(np.int64)
    tree = huffman(counts)
    assert [array.dtype for array in tree] == [np.int64, np.int32, np.uint8]
    lengths = np.diff(tree.offsets)
    assert (2.0 ** -lengths.astype(float)).sum() == 1
    assert (np.diff(lengths) >= 0).all()
    assert set(tree.points[tree.offsets[:-1]].tolist()) == {counts.size - 2}


@pytest.mark.parametrize("counts", [[], [5], [3, -1]])
def test_a_tree_that_cannot_be_is_refused(counts):
    with pytest.raises(ValueError, match="Huffman tree needs"):
        huffman(np.array(counts, np.int64))


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
