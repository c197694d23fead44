"""Tries of n-gram models, walked and made in plain Python."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from rnnlm.ngram.query.build import NgramError, TrieBuilder
from rnnlm.ngram.trie import (
    BACKOFF,
    BLANK,
    CHILD,
    FIRST_WORD,
    NO_BACKOFF,
    PROB,
    START,
    TOP_PROB,
    WORD,
    ZERO,
    Trie,
)


def nodes_of(trie: Trie, order: int) -> dict[tuple[int, ...], tuple[float, float]]:
    """{words, oldest first: (log10 probability, log10 back-off weight)} of one order, by walking the arrays down."""
    paths = [(word,) for word in trie.nodes[0][:-1, WORD].tolist()]
    for n in range(1, order):
        first = trie.nodes[n - 1][:, CHILD].tolist()
        words = trie.nodes[n][:, WORD].tolist()
        paths = [(words[child], *path) for row, path in enumerate(paths) for child in range(first[row], first[row + 1])]
    floats = trie.floats[order - 1][:-1]
    is_top = order == trie.order and order > 1
    assert len(paths) == len(floats)
    return {
        path: (float(row[TOP_PROB]), -0.0) if is_top else (float(row[PROB]), float(row[BACKOFF]))
        for path, row in zip(paths, floats, strict=True)
    }


def closed_ngrams(rng, n_words: int, order: int, n_longest: int, keep: float) -> list[dict]:
    """Random n-grams of each order whose contexts are there; of their suffixes only the share ``keep``."""
    orders = [{} for _ in range(order)]
    word = lambda: int(rng.integers(FIRST_WORD, n_words + FIRST_WORD))  # noqa: E731
    for _ in range(n_longest):
        ngram = tuple(word() for _ in range(order))
        for n in range(1, order + 1):  # the contexts of an n-gram are its beginnings
            orders[n - 1][ngram[:n]] = None
        for n in range(2, order):
            if rng.random() < keep:
                for m in range(1, n + 1):
                    orders[m - 1][ngram[order - n : order - n + m]] = None
    for w in range(START, n_words + FIRST_WORD):
        orders[0][(w,)] = None
    for ngrams in orders:
        for ngram in ngrams:
            ngrams[ngram] = (-np.float32(rng.random()), np.float32(rng.normal()))
    return orders


def arrays(orders: list[dict], rng=None) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """What ``build_trie`` takes, shuffled where there is a generator."""
    columns = []
    for n, ngrams in enumerate(orders, 1):
        keys = list(ngrams) if rng is None else [list(ngrams)[i] for i in rng.permutation(len(ngrams))]
        values = np.array([ngrams[key] for key in keys], np.float32).reshape(-1, 2)
        columns.append((np.array(keys, np.uint32).reshape(-1, n), values[:, 0].copy(), values[:, 1].copy()))
    return columns


def ngrams_of(trie: Trie, words: list[bytes]) -> list[dict[tuple[bytes, ...], tuple[float, float]]]:
    """{words: (log10 probability, log10 back-off weight)} of each order, without blank nodes.  ``words``: by id."""
    names = {int(internal): word for internal, word in zip(trie.internal, words, strict=False)} | {START: b"<s>"}
    return [
        {
            tuple(names[word] for word in ngram): values
            for ngram, values in nodes_of(trie, n).items()
            if values[0] <= 0 and ngram != (0,)
        }
        for n in range(1, trie.order + 1)
    ]


def read_arpa(text: bytes) -> list[dict[tuple[bytes, ...], tuple[float, float]]]:
    """The same, of an ARPA file that is right; -inf is -99, no back-off weight is -0.0, as floats of 32 bits."""
    orders: list[dict] = []
    for line in text.split(b"\n"):
        fields = [field for field in re.split(rb"[ \t\r]", line) if field]
        if line.startswith(b"\\") and line.endswith(b"-grams:"):
            orders.append({})
        elif orders and fields and not line.startswith(b"\\"):
            n = len(orders)
            prob, backoff = float(fields[0]), float(fields[n + 1]) if len(fields) == n + 2 else -0.0
            ngram = tuple(fields[1 : n + 1])
            orders[-1][ngram] = float(np.float32(max(prob, -99.0))), float(np.float32(backoff))
    return orders


def build_trie(ngrams: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray | None]], n_words: int) -> Trie:
    """The trie of (ids (M, n) uint32, log10_probs (M,), backoffs (M,) or None) for n = 1 ... N, as ``TrieBuilder.add``.

    Words that are not among the unigrams get no probability.  NgramError also for a unigram that is there twice.
    """
    ids, log10_probs, backoffs = ngrams[0]
    ids = np.asarray(ids)[:, 0]
    order, n_ids = len(ngrams), n_words + FIRST_WORD
    _, first = np.unique(ids, return_index=True)
    if first.size < ids.size:
        raise NgramError(1, int(np.setdiff1d(np.arange(ids.size), first)[0]), "it is there twice")
    columns = np.full(n_ids, ZERO, np.float32), np.full(n_ids, NO_BACKOFF, np.float32)
    columns[0][START] = BLANK
    for column, values in zip(columns, (log10_probs, backoffs), strict=True):
        if values is not None:
            column[ids] = values
    builder = TrieBuilder(order, n_words, *columns)
    for higher in ngrams[1:]:
        builder.add(*higher)
    return builder.finish()
