"""Huffman trees against hand values, the rule spelled out, and word2vec.c's trees."""

import heapq
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.huffman import huffman

OURS = Path(__file__).resolve().parents[1] / "golden" / "word2vec"


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
