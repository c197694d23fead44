"""Tables that follow from the counts of a vocabulary.  V words."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

_MOST_EXPONENT = 1e300  # more would overflow, and leave only the most frequent word all the same


def frequency_classes(counts: np.ndarray, n_classes: int, old: bool = False) -> np.ndarray:
    """Words in classes of about equal (root) frequency.  Mikolov et al. (2011), factorisation of the output.

    counts (V,) in the order of the vocabulary.  The words' shares, of sqrt(count) or with ``old``
    of the count itself, are summed in that order; a word at which the sum passes (class + 1) /
    n_classes is the last of its class.  This is rnnlm 0.4b's rule to the last bit: at most one
    class ends at a word, so with n_classes near V the last classes may stay empty.
    Returns class_of_word (V,) int32, non-decreasing.
    """
    if n_classes < 1:
        raise ValueError(f"{n_classes} classes: at least 1 is needed")
    counts = np.asarray(counts, np.float64)
    if counts.sum() <= 0:
        raise ValueError("classes by frequency need a vocabulary with counts")
    share = counts / counts.sum()
    if not old:
        root = np.sqrt(share)
        share = root / np.cumsum(root)[-1]  # cumsum adds one after another, as 0.4b does; sum does not
    passed = np.minimum(np.cumsum(share), 1.0)
    edges = np.arange(n_classes - 1)
    last = np.searchsorted(passed, (edges + 1) / n_classes, side="right")
    last = np.maximum.accumulate(last - edges) + edges
    return np.searchsorted(last, np.arange(counts.size), side="left").astype(np.int32)


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
    from corpora.huffman import join_nodes, measure_codes, write_codes

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


def keep_probabilities(counts: np.ndarray, sample: float, total: int) -> np.ndarray:
    """The probability (V,) float64 that an occurrence of a word is used, by the formula in word2vec.c.

    With t = sample * total it is sqrt(t / count) + t / count, at most 1.  (Mikolov et al. 2013b, eq. 5,
    has the first term alone.)  total: of the counts of all words, ``</s>`` included.
    ``sample`` 0: every word is used.  So is the sentence end, which is no word of a sentence.
    """
    keep = np.ones(len(counts))
    if sample > 0:
        counts = np.asarray(counts, np.float64)
        there = np.flatnonzero(counts > 0)
        ratio = sample * total / counts[there]
        keep[there] = np.minimum(np.sqrt(ratio) + ratio, 1.0)
        keep[0] = 1.0
    return keep


def negative_shares(counts: np.ndarray, exponent: float) -> np.ndarray:
    """The probability (V,) float64 of each word to be drawn as a negative example, as word2vec.c draws.

    A word is drawn in proportion to count**exponent.  Where that is ``</s>``, word 0, any other word is
    taken instead, each with the same probability; so word 0 has 0, the others p + p(0) / (V - 1).
    word2vec.c draws from a table of 10^8 places, in which every word has one at least and otherwise
    its share to within two places; here are the exact shares.
    """
    from corpora.compute import libm  # which loads the compiler; those who read a model only do without it

    counts = np.asarray(counts, np.float64)
    if counts.size < 2:
        raise ValueError("to draw negative examples takes two words at least")
    there = np.flatnonzero(counts > 0)
    if not there.size:
        raise ValueError("to draw negative examples takes a vocabulary with counts")
    logs = min(exponent, _MOST_EXPONENT) * libm.log(counts[there])
    shares = np.zeros(counts.size)
    shares[there] = libm.exp(logs - logs.max())  # a large exponent must not overflow
    shares /= shares.sum()
    shares[1:] += shares[0] / (counts.size - 1)
    shares[0] = 0.0
    return shares


def negative_table(counts: np.ndarray, exponent: float, size: int, seed) -> np.ndarray:
    """A shuffled table (size,) int32 of words to draw as negative examples; size: a power of two.

    A word whose share (``negative_shares``) of the table is x places has floor(x) or floor(x) + 1 of
    them, by ``seed`` (an int, or several), and x in the mean over seeds.  So a rare word, which would
    have a part of a place, is there in some tables and not in others, and none is left out always.
    """
    if size < 1 or size & (size - 1):
        raise ValueError(f"a table of {size} words: a power of two is needed")
    rng = np.random.default_rng(seed)
    ends = np.cumsum(negative_shares(counts, exponent))
    # one shift for all, so that each word is rounded by its own fraction; of few bits, so that size + shift is exact
    shift = rng.integers(1 << 20) / (1 << 20)
    places = np.diff(np.floor(size * (ends / ends[-1]) + shift).astype(np.int64), prepend=0)
    table = np.repeat(np.arange(places.size, dtype=np.int32), places)
    rng.shuffle(table)
    return table
