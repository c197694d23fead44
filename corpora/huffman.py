"""The Huffman tree of word counts.  V words, n bits of all codes together.

Nodes are numbered as word2vec.c numbers them: words 0 ... V - 1, then inner nodes V ... 2V - 2 in the
order in which they are made, so that the root is 2V - 2 and every parent comes after its children.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from corpora.compute.jit import exact_kernel

_NOT_MADE = np.iinfo(np.int64).max


class HuffmanTree(NamedTuple):
    """The paths from the root to every word: word w's is at offsets[w]:offsets[w + 1].  n bits of all codes together.

    offsets (V + 1,) int64.  points (n,) int32: the inner nodes on the way, 0 ... V - 2, first the root, V - 2.
    codes (n,) uint8: at each of them the branch to take, 0 or 1.
    """

    offsets: np.ndarray
    points: np.ndarray
    codes: np.ndarray

    def path(self, word: int) -> tuple[np.ndarray, np.ndarray]:
        """points and codes of one word."""
        span = slice(self.offsets[word], self.offsets[word + 1])
        return self.points[span], self.codes[span]


def huffman(counts: np.ndarray) -> HuffmanTree:
    """The binary Huffman code of word2vec.c, to the last tie.

    counts (V,) in the order of the vocabulary: ``</s>``, then descending.  The algorithm takes that
    order for granted: ``</s>`` is the last word to be joined, however rare it is, and counts in
    another order give a code that is valid, but longer than need be.
    Codes are as long as they come; word2vec.c has room for 40 bits.
    """
    n_words = len(counts)
    if n_words < 2:
        raise ValueError("a Huffman tree needs two words at least")
    weights = np.empty(2 * n_words - 1, np.int64)
    weights[:n_words] = counts
    if weights[:n_words].min() < 0:
        raise ValueError("a Huffman tree needs counts of 0 and above")
    parents, bits = np.empty(weights.size, np.int32), np.empty(weights.size, np.uint8)
    join_nodes(weights, parents, bits)
    depths = np.empty(weights.size, np.int32)
    measure_codes(parents, depths)
    offsets = np.zeros(n_words + 1, np.int64)
    np.cumsum(depths[:n_words], out=offsets[1:])
    points, codes = np.empty(offsets[-1], np.int32), np.empty(offsets[-1], np.uint8)
    write_codes(parents, bits, offsets, points, codes)
    return HuffmanTree(offsets, points, codes)


@exact_kernel
def join_nodes(weights, parents, bits):
    """Join the two lightest nodes until one is left.  Ties and all are those of word2vec.c.

    weights (2V - 1,) int64: the words' counts; those of the inner nodes are overwritten.
    parents (2V - 1,) int32, bits (2V - 1,) uint8, overwritten: of each node, bits 1 for the heavier of two.

    The words wait in one queue, from the last to the first, the inner nodes in another, in the order
    in which they are made; at equal weight the inner node goes first.  Where the counts descend this
    is Huffman's algorithm.  </s> stands in front whatever its count is, and so it waits longest.
    """
    n_words = (weights.size + 1) // 2
    word, inner = n_words - 1, n_words
    for node in range(n_words, weights.size):
        weights[node] = _NOT_MADE
    for node in range(bits.size):
        bits[node] = 0
    for node in range(n_words, weights.size):
        total = np.int64(0)
        for bit in range(2):
            if word >= 0 and weights[word] < weights[inner]:
                lightest = word
                word -= 1
            else:
                lightest = inner
                inner += 1
            parents[lightest] = node
            bits[lightest] = bit
            total += weights[lightest]
        weights[node] = total
    parents[weights.size - 1] = -1


@exact_kernel
def measure_codes(parents, depths):
    """depths (2V - 1,) int32, overwritten: how far each node is from the root; of a word, the length of its code."""
    root = parents.size - 1
    depths[root] = 0
    for i in range(root):
        node = root - 1 - i
        depths[node] = depths[parents[node]] + 1


@exact_kernel
def write_codes(parents, bits, offsets, points, codes):
    """points (n,) int32, codes (n,) uint8, overwritten: the paths from the root, word w's at offsets[w] (V + 1,)."""
    n_words = offsets.size - 1
    for w in range(n_words):
        node = np.int64(w)
        for i in range(offsets[w + 1] - offsets[w]):
            at = offsets[w + 1] - 1 - i
            codes[at] = bits[node]
            node = np.int64(parents[node])
            points[at] = node - n_words
