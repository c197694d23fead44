"""Words and pairs of words of the same name: "new_york" may be a word of the text, or "new" before "york".

word2phrase keeps one count for both, which matters from its second pass on: where "new_york" is frequent, what is
left of "new york" becomes it, too.  Names are compared by 64-bit hashes.
"""

from __future__ import annotations

import re

import numpy as np

from corpora.text.vocab import WordList
from w2v.bigrams import hash_words

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


def with_separator(words: WordList, separator: bytes) -> np.ndarray:
    """The ids (n,) int64 of the words that have ``separator`` in them."""
    found = re.finditer(re.escape(separator), words.blob.tobytes())
    places = np.fromiter((match.start() for match in found), np.int64)
    ids = np.searchsorted(words.offsets, places, side="right") - 1
    inside = places + len(separator) <= words.offsets[ids + 1]
    return np.unique(ids[inside])


class SharedNames:
    """Counts of names, of a text whose words (V,) have counts (V,) int64."""

    def __init__(self, words: WordList, separator: bytes, counts: np.ndarray):
        self._counts = counts
        self._lengths = np.diff(words.offsets)
        self._hashes = np.empty(len(words), np.uint64)
        hash_words(words.blob, words.offsets, _MULTIPLIER, self._hashes)
        joint = WordList.of([separator])
        self._joint = np.empty(1, np.uint64)
        hash_words(joint.blob, joint.offsets, _MULTIPLIER, self._joint)
        powers = np.full(int(self._lengths.max(initial=0)) + len(separator) + 1, _MULTIPLIER)
        powers[0] = 1
        self._powers = np.cumprod(powers, dtype=np.uint64)  # modulo 2^64
        self._separator_length = len(separator)
        self._marked = with_separator(words, separator)
        self._is_marked = np.zeros(len(words), bool)
        self._is_marked[self._marked] = True
        self._marked_hashes = np.sort(self._hashes[self._marked])

    def concerns(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Whether the pairs of words (n,) can have the name of a word or of another pair, (n,) bool."""
        concerned = self._is_marked[first] | self._is_marked[second]
        if self._marked.size:
            hashes = self._of_pairs(first, second)
            places = np.searchsorted(self._marked_hashes, hashes) % self._marked.size
            concerned |= self._marked_hashes[places] == hashes
        return concerned

    def totals(self, first: np.ndarray, second: np.ndarray, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The counts (V,) of all words and (n,) of these pairs, each with those of the same name added."""
        concerned = np.flatnonzero(self.concerns(first, second))
        hashes = self._of_pairs(first[concerned], second[concerned])
        names, which = np.unique(np.concatenate([self._hashes[self._marked], hashes]), return_inverse=True)
        own = np.concatenate([self._counts[self._marked], pairs[concerned]])
        totals = np.zeros(names.size, np.int64)
        np.add.at(totals, which, own)
        counts, pairs = self._counts.copy(), pairs.copy()
        counts[self._marked] = totals[which[: self._marked.size]]
        pairs[concerned] = totals[which[self._marked.size :]]
        return counts, pairs

    def _of_pairs(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """The hashes (n,) uint64 of the names of pairs."""
        length = self._lengths[second]
        front = self._hashes[first] * self._powers[self._separator_length + length]
        return front + self._joint[0] * self._powers[length] + self._hashes[second]
