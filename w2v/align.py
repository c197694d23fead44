"""Two spaces of word vectors laid upon each other, and the words that lie elsewhere: change of meaning over time.

The vectors of two trainings differ by a rotation that means nothing.  Orthogonal Procrustes finds the rotation R that
brings the words that both have as near together as can be: R = U V' of the singular value decomposition U S V' of B' A,
rows of length 1 (Schoenemann 1966; for words over time: Hamilton et al. 2016).  S words that both have, d dimensions.

Schönemann, P. (1966). A generalized solution of the orthogonal Procrustes problem. Psychometrika 31, 1-10.
Hamilton, W., Leskovec, J., and Jurafsky, D. (2016). Diachronic word embeddings reveal statistical laws of semantic
change. ACL.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np

from corpora.errors import CorpusError
from w2v.model import WordVectors

_BLOCK = 1 << 13  # words


class Alignment(NamedTuple):
    """``rotation`` (d, d) float64: rows of B times it lie in A's space.

    ``ids_a`` and ``ids_b`` (S,) int32: the words that both have, in A's order.  ``cosines`` (S,) float64: between the
    word in A and the rotated one of B.
    """

    rotation: np.ndarray
    ids_a: np.ndarray
    ids_b: np.ndarray
    cosines: np.ndarray


def align(
    a: WordVectors, b: WordVectors, *, center: bool = False, min_count: int = 1, restrict: int | None = None
) -> Alignment:
    """Rotate the vectors of ``b`` so that the words that both have lie nearest to those of ``a``.

    ``center``: the mean of these words is subtracted, in each space, from vectors of length 1 before all else.
    ``min_count``: only words with such counts in both.  ``restrict``: only among that many first words of both.
    Words whose vector is zero are left out.
    Raises CorpusError for different numbers of dimensions, no word in common, and counts that are not known.
    """
    if a.dim != b.dim:
        raise CorpusError(f"{a.dim} dimensions in the first file, {b.dim} in the second: they must be the same")
    ids_a, ids_b = _shared(a, b, min_count, restrict)
    mean_a, mean_b = (_mean(v, ids) if center else None for v, ids in ((a, ids_a), (b, ids_b)))
    product = np.zeros((a.dim, a.dim))
    for block in _blocks(ids_a.size):
        product += _unit(b, ids_b[block], mean_b).T @ _unit(a, ids_a[block], mean_a)
    left, _, right = np.linalg.svd(product)
    rotation = left @ right
    cosines = np.empty(ids_a.size)
    for block in _blocks(ids_a.size):
        turned = _unit(b, ids_b[block], mean_b) @ rotation
        cosines[block] = np.einsum("ij,ij->i", _unit(a, ids_a[block], mean_a), turned)
    return Alignment(rotation, ids_a, ids_b, np.clip(cosines, -1, 1))


def most_moved(found: Alignment, n: int) -> np.ndarray:
    """The places among the S words of the n with the lowest cosines, the lowest first, (n,) int64."""
    return np.argsort(found.cosines, kind="stable")[:n]


def turned(vectors: WordVectors, rotation: np.ndarray) -> WordVectors:
    """All the words, with their vectors times the rotation, as long as before; the state of a training is not kept."""
    rows = np.empty(vectors.vectors.shape, vectors.vectors.dtype)
    for block in _blocks(len(vectors)):
        rows[block] = vectors.vectors[block].astype(np.float64) @ rotation
    return WordVectors(vectors.words, rows, vectors.counts)


def _shared(a: WordVectors, b: WordVectors, min_count: int, restrict: int | None) -> tuple[np.ndarray, np.ndarray]:
    ids_b = b.ids(list(islice(a.words, restrict)))
    ids_a = np.flatnonzero(ids_b >= 0).astype(np.int32)
    ids_b = ids_b[ids_a]
    if not ids_a.size:
        raise CorpusError(
            "no word is in both files" if restrict is None else f"no word is in the first {restrict} of both"
        )
    good = (a.norms[ids_a] > 0) & (b.norms[ids_b] > 0)
    if restrict is not None:
        good &= ids_b < restrict
    if min_count > 1:
        for name, vectors in (("first", a), ("second", b)):
            if not vectors.counts.any():
                raise CorpusError(f"`min_count` {min_count}: the {name} file does not say how often its words occurred")
        good &= (a.counts[ids_a] >= min_count) & (b.counts[ids_b] >= min_count)
    if not good.any():
        raise CorpusError("no word of both files is left; allow more with `min_count` and `restrict`")
    return ids_a[good], ids_b[good]


def _blocks(n: int) -> Iterator[slice]:
    for start in range(0, n, _BLOCK):
        yield slice(start, min(start + _BLOCK, n))


def _mean(vectors: WordVectors, ids: np.ndarray) -> np.ndarray:
    total = np.zeros(vectors.dim)
    for block in _blocks(ids.size):
        total += _unit(vectors, ids[block], None).sum(0)
    return total / ids.size


def _unit(vectors: WordVectors, ids: np.ndarray, mean: np.ndarray | None) -> np.ndarray:
    """Rows (n, d) float64 of length 1; with a mean, of length 1 before and after it is subtracted."""
    rows = vectors.vectors[ids].astype(np.float64)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    if mean is not None:
        rows -= mean
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        np.divide(rows, lengths, out=rows, where=lengths > 0)
    return rows
