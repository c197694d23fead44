"""The arrays of an n-gram model: a suffix trie, in memory or mapped from a file.

A node is an n-gram.  Its path from the root is its words from the newest, which is predicted, back to the
oldest: the parent of "a b c" is "b c", the n-gram that is backed off to, and one walk down finds the
longest n-gram that ends at a word, with the back-off weights that the word after it needs.

Legend: V words of the vocabulary, N the model's order, M nodes of one order.

Words have internal ids: NONE, START (``<s>``), then those of the vocabulary, permuted so that the ids of
any set of words are spread evenly: a child is found by interpolation among its sorted siblings, mostly in
one cache line, without a hash table.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from rnnlm.ngram.config import MAX_ORDER as MAX_ORDER  # for the kernels too

NONE, START = 0, 1
FIRST_WORD = 2  # the internal id of the first word of the vocabulary
MAX_WORDS = (1 << 24) - FIRST_WORD - 1
ZERO = -99.0  # log10 of a probability of zero, as SRILM writes it
LARGEST_BACKOFF = 38.0  # log10 of a back-off weight: even those of MAX_ORDER - 1 contexts make a float64
BLANK = 1.0  # in place of a log10 probability: no n-gram, only on the way to longer ones
NO_BACKOFF = -0.0  # in place of a back-off weight: none, for no longer n-gram begins with this one; counts as 0
NO_BACKOFF_BITS = 0x80000000  # the same, of float32
WORD, CHILD, PROB, BACKOFF = range(4)  # the columns of a node; the highest order has WORD and TOP_PROB only
TOP_PROB = 1

_GOLDEN = 0x9E3779B97F4A7C15  # 2^64 / golden ratio: multiples of it are spread as evenly as can be


def internal_ids(n_words: int) -> np.ndarray:
    """(n_words + 1,) uint32: the internal id of each word of a vocabulary; NONE at index -1, for words outside it."""
    spread = np.arange(1, n_words + 1, dtype=np.uint64) * np.uint64(_GOLDEN)  # modulo 2^64
    internal = np.zeros(n_words + 1, np.uint32)
    internal[np.argsort(spread)] = np.arange(FIRST_WORD, FIRST_WORD + n_words, dtype=np.uint32)
    return internal


@dataclass(frozen=True)
class Trie:
    """nodes[n - 1] (M + 1, 4) uint32, the n-grams of order n < N (and of order 1), sorted by their paths:

    WORD the oldest word, CHILD the row of the first child in the next order, PROB the log10 probability
    and BACKOFF the log10 back-off weight or NO_BACKOFF, both as the bits of a float32 (``floats``).  Order 1 has a row
    for every internal id.  The last row is a sentinel: its CHILD is the number of nodes of the next order.
    The highest order, if it is above 1, is (M + 1, 2): WORD and TOP_PROB.
    ``internal`` (V + 1,) uint32: ``internal_ids``.  ``listed``: ``n_ngrams`` of all orders, where it is known.
    """

    nodes: list[np.ndarray]
    internal: np.ndarray
    listed: tuple[int, ...] = ()

    @property
    def order(self) -> int:
        return len(self.nodes)

    @property
    def floats(self) -> list[np.ndarray]:
        """``nodes`` as float32, for the columns PROB and BACKOFF (TOP_PROB in the highest order)."""
        return [nodes.view(np.float32) for nodes in self.nodes]

    def log10_probs(self, order: int) -> np.ndarray:
        """(M,) float32 view of the log10 probabilities of one order, BLANK where there is no n-gram."""
        column = PROB if order < self.order or order == 1 else TOP_PROB
        return self.nodes[order - 1].view(np.float32)[:-1, column]

    def n_ngrams(self, order: int) -> int:
        """How many n-grams an ARPA file would list: blanks left out, <s> counted among the unigrams."""
        if self.listed:
            return self.listed[order - 1]
        probs = self.log10_probs(order)
        if order == 1:
            probs = probs[START:]
        return int(probs.size - np.count_nonzero(probs > 0))

    def is_whole(self) -> bool:
        """Whether the arrays fit each other, as those of a damaged file may not: a pass over all of them.

        ``rnnlm.ngram.query.backoff.walk`` bounds what it takes from them; whoever goes through all nodes asks first.
        """
        n_ids = self.internal.size - 1 + FIRST_WORD
        if len(self.nodes[0]) != n_ids + 1:
            return False
        for above, nodes in pairwise(self.nodes):
            children = above[:, CHILD]
            if children[0] != 0 or children[-1] != len(nodes) - 1 or (children[1:] < children[:-1]).any():
                return False
        if any(nodes[:-1, WORD].max(initial=0) >= n_ids for nodes in self.nodes):
            return False
        # NaN is neither
        probs = (self.log10_probs(n) for n in range(1, self.order + 1))
        backoffs = (nodes.view(np.float32)[:-1, BACKOFF] for nodes in self.nodes if nodes.shape[1] > BACKOFF)
        return all((column <= BLANK).all() for column in probs) and all(
            ((column > -np.inf) & (column <= LARGEST_BACKOFF)).all() for column in backoffs
        )
