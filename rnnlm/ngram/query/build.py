"""A trie from n-grams in any order: as files list them, not as a text is counted.

Legend: V words, N the order, M n-grams of one order.

Orders are added one after another, so that the n-grams of one order only are in memory beside the
trie.  Each n-gram looks up its suffix, which is its parent in the trie, going down one order at a time
for thousands of n-grams together.  The number of children per parent says where every n-gram belongs,
so that only siblings are left to be sorted, and only where they are not in order already.  That every
n-gram's context is there, with a back-off weight, is then seen in one pass over the sorted nodes.
"""

from __future__ import annotations

import numpy as np

from rnnlm.ngram.query.place import count_children, insert_blanks, place_nodes, sort_siblings
from rnnlm.ngram.query.search import MISSING, descend, first_without_context, follow_contexts
from rnnlm.ngram.trie import (
    BACKOFF,
    CHILD,
    FIRST_WORD,
    MAX_ORDER,
    MAX_WORDS,
    NO_BACKOFF_BITS,
    PROB,
    TOP_PROB,
    WORD,
    Trie,
    internal_ids,
)

_CHUNK = 1 << 13  # n-grams whose rows are looked up in one go: they stay in the second cache level
MAX_NODES = MISSING - 1  # of one order: rows are uint32


class NgramError(ValueError):
    """An n-gram that cannot be in a trie.  ``order``, ``index``: which one, in the array that was given."""

    def __init__(self, order: int, index: int, reason: str):
        self.order, self.index, self.reason = order, index, reason
        super().__init__(f"{order}-gram {index}: {reason}")


class TrieBuilder:
    """Makes a Trie of order N from its n-grams, the shorter ones first."""

    def __init__(self, order: int, n_words: int, log10_probs: np.ndarray, backoffs: np.ndarray):
        """The unigrams: log10_probs, backoffs (V + 2,) float32 by internal id, ZERO and NO_BACKOFF for what is no word.

        <s> may be BLANK: no n-gram of the model begins with it.

        ValueError for an order outside 1 ... 9 and for more words than a trie can have.
        """
        if not 1 <= order <= MAX_ORDER:
            raise ValueError(f"order {order}: 1 to {MAX_ORDER} are possible")
        if n_words > MAX_WORDS:
            raise ValueError(f"{n_words} words: at most {MAX_WORDS} are possible in an n-gram model")
        self.order, self._n_ids = order, n_words + FIRST_WORD
        self._internal = internal_ids(n_words)
        unigrams = np.zeros((self._n_ids + 1, 4), np.uint32)
        unigrams[:-1, WORD] = np.arange(self._n_ids)
        unigrams[:-1, PROB] = _bits(log10_probs)
        unigrams[:-1, BACKOFF] = _bits(backoffs)
        self._nodes = [unigrams]
        self._n_blanks = 0
        self._contexts = np.empty(0, np.uint32)  # of the highest order so far: the row of each node's context

    def add(self, ids: np.ndarray, log10_probs: np.ndarray, backoffs: np.ndarray | None = None) -> None:
        """Add all n-grams of the next order: ids (M, n) uint32, internal, oldest word first, in any order.

        log10_probs, backoffs (M,) float32; the highest order has no backoffs.
        NgramError for an n-gram that is there twice, and for one whose context is no n-gram or has NO_BACKOFF.
        """
        n = len(self._nodes) + 1
        ids = np.ascontiguousarray(ids, np.uint32)
        if n > self.order or ids.ndim != 2 or ids.shape[1] != n:
            raise ValueError(f"n-grams of shape {ids.shape}, where order {n} of {self.order} is expected")
        if len(ids) > MAX_NODES:
            raise ValueError(f"{len(ids)} n-grams of order {n}: at most {MAX_NODES} are possible")
        if ids.size and ids.max() >= self._n_ids:
            raise ValueError(f"a word has the id {ids.max()}, above {self._n_ids - 1}")
        n_blanks = self._n_blanks
        parents = self._make_suffixes(ids)
        if self._n_blanks > n_blanks:  # they have moved rows
            self._contexts = self._all_contexts()
        above = self._nodes[-1]
        count_children(above, parents)
        nodes = np.empty((len(ids) + 1, 2 if n == self.order else 4), np.uint32)
        nodes[-1] = 0
        bits = _bits(log10_probs)
        place_nodes(above[:-1, CHILD].copy(), parents, ids, bits, bits if n == self.order else _bits(backoffs), nodes)
        if twice := sort_siblings(above, nodes):
            raise self._repetition(ids, parents, int(twice), int(nodes[twice, WORD]))
        self._nodes.append(nodes)
        self._contexts, n_without = self._contexts_of(n, self._contexts)
        if n_without:
            raise self._without_context(ids)

    def finish(self) -> Trie:
        """The trie, once all orders were added."""
        if len(self._nodes) != self.order:
            raise ValueError(f"{len(self._nodes)} of {self.order} orders were added")
        return Trie(self._nodes, self._internal)

    def _contexts_of(self, n: int, contexts_above: np.ndarray) -> tuple[np.ndarray, int]:
        """(M,) uint32: for every node of order n the row of its n-gram without the newest word; how many have none.

        Every n-gram needs one that is an n-gram and has a back-off weight: a query goes on from there.
        """
        above, nodes = self._nodes[n - 2], self._nodes[n - 1]
        if n == 2:
            contexts = nodes[:-1, WORD].copy()
            probs = nodes.view(np.float32)[:-1, TOP_PROB if nodes.shape[1] == 2 else PROB]
            no_context = (above.view(np.float32)[:-1, PROB] > 0) | (above[:-1, BACKOFF] == NO_BACKOFF_BITS)
            without = no_context[contexts] & (probs <= 0)
            return contexts, int(np.count_nonzero(without))
        contexts = np.empty(len(nodes) - 1, np.uint32)
        two_above = self._nodes[n - 3]
        return contexts, int(follow_contexts(two_above, above, nodes, self._n_ids, contexts_above, contexts))

    def _all_contexts(self) -> np.ndarray:
        contexts = np.empty(0, np.uint32)
        for n in range(2, len(self._nodes) + 1):
            contexts, _ = self._contexts_of(n, contexts)
        return contexts

    def _without_context(self, ids: np.ndarray) -> NgramError:
        """The first n-gram, in the order that was given, whose context is none or has no back-off weight."""
        n = ids.shape[1]
        nodes = self._nodes[n - 2]
        for start in range(0, len(ids), _CHUNK):
            rows = self._rows(ids[start : start + _CHUNK], 0, n - 1)
            if (first := int(first_without_context(nodes, rows))) < rows.size:
                break
        row = int(rows[first])
        if row == MISSING or nodes.view(np.float32)[row, PROB] > 0:
            return NgramError(n, start + first, f"its context is not among the {n - 1}-grams")
        return NgramError(n, start + first, "its context has no back-off weight; write 0 there if that is meant")

    def _make_suffixes(self, ids: np.ndarray) -> np.ndarray:
        """(M,) uint32: the row of each n-gram without its oldest word; what is missing there is put in as a blank."""
        n = ids.shape[1]
        rows = np.empty(len(ids), np.uint32)
        for attempt in range(2):
            complete = True
            for start in range(0, len(ids), _CHUNK):
                part = self._rows(ids[start : start + _CHUNK], 1, n)
                rows[start : start + _CHUNK] = part
                complete = complete and not (part == MISSING).any()
            if complete:
                break
            if attempt == 0:
                self._add_blanks(np.ascontiguousarray(ids[rows == MISSING, 1:]))
        return rows

    def _add_blanks(self, ids: np.ndarray) -> None:
        """Put blank nodes for ids (K, n), which have none, into order n; also for their suffixes."""
        n = ids.shape[1]
        parents = self._make_suffixes(ids)
        keys = np.unique(parents.astype(np.uint64) << np.uint64(32) | ids[:, 0])
        above, nodes = self._nodes[n - 2], self._nodes[n - 1]
        if len(nodes) + keys.size > MAX_NODES:
            raise ValueError(f"more than {MAX_NODES} nodes of order {n}")
        self._n_blanks += keys.size
        merged = np.empty((len(nodes) + keys.size, 4), np.uint32)
        parents = (keys >> np.uint64(32)).astype(np.uint32)
        insert_blanks(above, nodes, parents, keys.astype(np.uint32), merged)
        self._nodes[n - 1] = merged

    def _rows(self, ids: np.ndarray, first: int, last: int) -> np.ndarray:
        """(K,) uint32: the nodes of the words ids[:, first:last], MISSING where there is none."""
        rows = ids[:, last - 1].copy()  # a unigram's row is its internal id
        for column in range(last - 2, first - 1, -1):
            depth = last - 1 - column
            descend(self._nodes[depth - 1], self._nodes[depth], ids, column, self._n_ids, rows)
        return rows

    def _repetition(self, ids: np.ndarray, parents: np.ndarray, row: int, word: int) -> NgramError:
        parent = np.searchsorted(self._nodes[-1][:, CHILD], row, side="right") - 1
        places = np.flatnonzero((parents == parent) & (ids[:, 0] == word))
        return NgramError(ids.shape[1], int(places[1]), "it is there twice")


def _bits(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values, np.float32).view(np.uint32)
