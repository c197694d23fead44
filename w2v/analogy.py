"""A is to B as C is to ?  By the sum of cosines (Mikolov et al. 2013c) or their product (Levy and Goldberg 2014)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from w2v.neighbours import nearest, search, unit

if TYPE_CHECKING:
    from w2v.model import WordVectors

METHODS = ("3cosadd", "3cosmul")
EPSILON = 0.001  # Levy and Goldberg (2014), eq. 4: it only prevents division by zero


def analogies(
    vectors: WordVectors,
    questions: np.ndarray,
    k: int,
    method: str = "3cosadd",
    *,
    restrict: int | None = None,
    exclude: Sequence[Sequence[int]] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The k best answers to each question, ids (n, 3) of A, B and C: ids (n, k) and scores (n, k) as ``nearest`` has.

    "3cosadd": the score is the cosine to b - a + c, of unit vectors.  "3cosmul": cos(b) cos(c) / (cos(a) + EPSILON),
    cosines shifted to 0...1.  Words of the question are no answers; ``exclude`` None: only these.
    """
    check_method(method)
    exclude = questions if exclude is None else exclude
    a, b, c = (unit(vectors.vectors[ids]) for ids in np.asarray(questions, np.int64).reshape(-1, 3).T)
    if method == "3cosadd":
        return nearest(vectors, b - a + c, k, restrict=restrict, exclude=exclude)
    return search(vectors, np.stack([a, b, c]), multiplied, k, restrict=restrict, exclude=exclude)


def check_method(method: str) -> None:
    """ValueError for a method that is not of ``METHODS``."""
    if method not in METHODS:
        raise ValueError(f"`method` {method}: one of {', '.join(METHODS)}")


def multiplied(cosines: np.ndarray) -> np.ndarray:
    """3CosMul of the cosines to a, b and c, (3, ...), which are overwritten."""
    cosines += 1
    cosines /= 2
    a, b, c = cosines
    b *= c
    a += EPSILON
    b /= a
    return b
