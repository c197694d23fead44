"""The words nearest to a direction, by the cosine.  V words, d dimensions, n queries of g vectors, B words a block.

The vectors are read block by block, where they lie, and divided by their norms after the product: nothing the size of
the matrix is made.  Products in float32 choose the candidates; the scores of these are computed again in float64, so
that neither the blocks, nor the threads of BLAS, nor what else is asked at the same time can change an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from corpora.files.mapping import populate
from w2v.model import reciprocals

if TYPE_CHECKING:
    from w2v.model import WordVectors

Score = Callable[[np.ndarray], np.ndarray]

_BLOCK = 1 << 14  # words
_QUERIES = 64  # that are answered together: the scores of a block are 4 MB for each cosine
_ROUNDING = 1e-4  # far more than products in float32 are wrong by
_CANDIDATES = 1 << 12  # rows that are held in float64 at once


def nearest(
    vectors: WordVectors,
    queries: np.ndarray,
    k: int,
    *,
    restrict: int | None = None,
    exclude: Sequence[Sequence[int]] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The k words nearest to each query (n, d): ids (n, k) int64 and cosines (n, k) float64, the best first.

    Among equal ones the more frequent comes first.  ``restrict``: how many words are looked at, the first ones.
    ``exclude``: for each query, ids that are no answer.  Vectors of zeros have no direction: as queries they have no
    answers, as words they are none.  Where answers are lacking, the id is -1 and the cosine NaN.
    """
    return search(vectors, np.asarray(queries)[None], _cosine, k, restrict=restrict, exclude=exclude)


def search(
    vectors: WordVectors,
    queries: np.ndarray,
    score: Score,
    k: int,
    *,
    restrict: int | None = None,
    exclude: Sequence[Sequence[int]] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """As ``nearest``, by any score of the cosines between a word and the g vectors of a query, queries (g, n, d).

    ``score``: cosines (g, m, B) -> scores (m, B), the higher the better.
    """
    if k < 1 or (restrict is not None and restrict < 1):
        raise ValueError("at least one neighbour, of at least one word, can be asked for")
    stop = min(len(vectors), restrict or len(vectors))
    n = queries.shape[1]
    excluded = [()] * n if exclude is None else exclude
    populate(vectors.vectors[:stop])
    ids, scores = np.full((n, min(k, stop)), -1, np.int64), np.full((n, min(k, stop)), np.nan)
    for first in range(0, n, _QUERIES):
        part = unit(queries[:, first : first + _QUERIES])
        left_out = [np.asarray(row, np.int64) for row in excluded[first : first + _QUERIES]]
        for i, found in enumerate(_candidates(vectors, part, score, ids.shape[1], stop, left_out), first):
            best, values = _best(vectors, part[:, i - first], score, ids.shape[1], found)
            ids[i, : best.size], scores[i, : best.size] = best, values
    return ids, scores


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows (..., d) of length 1, float64; those of zeros are NaN."""
    rows = np.asarray(rows, np.float64)
    with np.errstate(invalid="ignore"):
        return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def cosines(vectors: WordVectors, directions: np.ndarray, start: int, stop: int) -> np.ndarray:
    """(m, stop - start): the cosines of unit vectors (m, d) to the words from start to stop.

    In the numbers of the vectors; NaN for words whose vectors are zeros.
    """
    factors = reciprocals(vectors.norms[start:stop], np.nan, start)
    found = directions.astype(vectors.vectors.dtype, copy=False) @ vectors.vectors[start:stop].T
    found *= factors
    return found


def phrase(vectors: WordVectors, ids: Sequence[int]) -> np.ndarray:
    """(d,) float64: the sum of the vectors of words, each divided by its length, as ``distance`` adds them."""
    return unit(vectors.vectors[np.asarray(ids, np.int64)]).sum(0)


def _cosine(cosines: np.ndarray) -> np.ndarray:
    return cosines[0]


def _candidates(vectors, directions, score: Score, k: int, stop: int, left_out: list[np.ndarray]) -> list[np.ndarray]:
    """For each of m queries, directions (g, m, d), the ids that can be among its k best, in ascending order."""
    g, m, d = directions.shape
    rows = directions.reshape(g * m, d).astype(vectors.vectors.dtype)
    kept = [(np.empty(0, np.int64), np.empty(0, rows.dtype)) for _ in range(m)]
    lowest = np.full(m, -np.inf)
    for start in range(0, stop, _BLOCK):
        end = min(start + _BLOCK, stop)
        scores = score(cosines(vectors, rows, start, end).reshape(g, m, end - start))
        for i in range(m):
            excluded = left_out[i]
            scores[i, excluded[(excluded >= start) & (excluded < end)] - start] = -np.inf
            found = np.flatnonzero(scores[i] > lowest[i])
            if not found.size:
                continue
            ids = np.concatenate([kept[i][0], found + start])
            values = np.concatenate([kept[i][1], scores[i, found]])
            if ids.size > k:
                lowest[i] = np.partition(values, -k)[-k] - _ROUNDING
                good = values > lowest[i]
                ids, values = ids[good], values[good]
            kept[i] = ids, values
    return [ids for ids, _ in kept]


def _best(vectors, directions: np.ndarray, score: Score, k: int, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Among candidates (c,), ascending, the k best for a query, directions (g, d), and their scores, in float64."""
    scores = np.empty(ids.size)
    for start in range(0, ids.size, _CANDIDATES):
        rows = unit(vectors.vectors[ids[start : start + _CANDIDATES]])
        # each row by itself: a product's last digits would depend on the row's place among the others
        cosines = (directions[:, None] * rows).sum(-1)
        scores[start : start + _CANDIDATES] = score(np.clip(cosines, -1, 1)[:, None])[0]
    order = np.argsort(-scores, kind="stable")[:k]
    return ids[order], scores[order]
