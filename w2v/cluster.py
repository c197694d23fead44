"""Classes of words: spherical k-means over their vectors.  V words, d dimensions, k classes.

``word2vec``: as the -classes option of word2vec.c.  It begins with word i in class i mod k.  A centroid is the sum of
the vectors of its class as they are, long ones counting more, made to length 1; a class that loses all its words stays
empty; there are always as many iterations as asked for.

``spherical`` (Dhillon and Modha 2001) maximises the mean cosine between words and their centroids.  Every vector counts
as one of length 1, the first centroids are drawn by k-means++ (Arthur and Vassilvitskii 2007; the best of a few draws
each), an empty class gets the word that fits its own worst, and it ends when no word changes its class any more.

Dhillon, I. S., and Modha, D. S. (2001). Concept decompositions for large sparse text data using clustering.
Machine Learning 42, 143-175.
Arthur, D., and Vassilvitskii, S. (2007). k-means++: the advantages of careful seeding. SODA.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from w2v.model import lengths, reciprocals

METHODS = ("spherical", "word2vec")
ITERATIONS = {"spherical": 20, "word2vec": 10}
_PRODUCT = 1 << 22  # elements of the matrix of a block's products with all centroids
_LONGEST_BLOCK = 1 << 14  # rows
_SEEDS_DRAWN_FROM = 32_768  # words, or this many for each class:
_SEEDS_FOR_EACH = 16
_SAME = 1e-6  # 1 - cosine of vectors that only rounding tells apart
_NO_CENTROID = -10.0  # word2vec.c: a word whose products are all below belongs to class 0


class Clusters(NamedTuple):
    """``classes`` (V,) int32; ``centroids`` (k, d) float32 of length 1, zeros for a class without words.

    ``mean_cosine`` of words with their centroids; ``iterations``: how many were needed; ``n_changed``: how many words
    changed their class in the last one.
    """

    classes: np.ndarray
    centroids: np.ndarray
    mean_cosine: float
    iterations: int
    n_changed: int


def spherical_kmeans(
    vectors: np.ndarray, k: int, *, iterations: int | None = None, seed: int = 1, method: str = "spherical"
) -> np.ndarray:
    """The classes (V,) int32 of vectors (V, d), 0 to k - 1.  ``cluster`` says more about them."""
    return cluster(vectors, k, iterations=iterations, seed=seed, method=method).classes


def cluster(
    vectors: np.ndarray,
    k: int,
    *,
    iterations: int | None = None,
    seed: int = 1,
    method: str = "spherical",
    progress: Callable[[int], object] = lambda n: None,
) -> Clusters:
    """Put vectors (V, d) into k classes.

    ``iterations``: the most there may be (spherical), or their number (word2vec); None: 20 or 10.
    ``progress`` is called with numbers of words, V in each iteration.
    The vectors are read in blocks and never copied as a whole.
    Raises ValueError where k is not between 1 and V.
    """
    if method not in METHODS:
        raise ValueError(f"`method` {method}: one of {', '.join(METHODS)}")
    if k < 1:
        raise ValueError(f"-k {k}: at least 1 class")
    if k > len(vectors):
        raise ValueError(f"-k {k}: more classes than words ({len(vectors)})")
    iterations = ITERATIONS[method] if iterations is None else iterations
    if iterations < 1:
        raise ValueError(f"`iterations` {iterations}: at least 1")
    work = _Work(vectors, k, progress)
    if method == "word2vec":
        return work.as_word2vec(iterations)
    return work.spherical(iterations, np.random.default_rng(seed))


class _Work:
    def __init__(self, vectors: np.ndarray, k: int, progress: Callable[[int], object]):
        self.vectors, self.k, self.progress = vectors, k, progress
        self.dtype = np.float64 if vectors.dtype == np.float64 else np.float32
        # of each vector to length 1; 0 for a vector of zeros
        self.scales = reciprocals(lengths(vectors), 0.0)

    def blocks(self) -> Iterator[slice]:
        rows = max(1, min(_LONGEST_BLOCK, _PRODUCT // self.k))
        for start in range(0, len(self.vectors), rows):
            yield slice(start, min(start + rows, len(self.vectors)))

    def as_word2vec(self, iterations: int) -> Clusters:
        classes = (np.arange(len(self.vectors)) % self.k).astype(np.int32)
        weights = np.ones(len(self.vectors), np.float32)
        for _ in range(iterations):
            centroids, counts = self.centroids(classes, weights)
            before = classes.copy()
            total = 0.0
            for block in self.blocks():
                products = self.vectors[block] @ centroids.T
                products[:, counts == 0] = -np.inf  # an empty class stays empty
                best = products.argmax(1)
                value = np.take_along_axis(products, best[:, None], 1)[:, 0]
                classes[block] = np.where(value > _NO_CENTROID, best, 0)
                total += float((value * self.scales[block]).sum(dtype=np.float64))
                self.progress(best.size)
        changed = int(np.count_nonzero(classes != before))
        return Clusters(classes, centroids, total / len(classes), iterations, changed)

    def spherical(self, iterations: int, rng: np.random.Generator) -> Clusters:
        centroids = self.first_centroids(rng)
        classes = np.full(len(self.vectors), -1, np.int32)
        cosines = np.empty(len(self.vectors), np.float32)
        done, changed = 0, -1
        while changed and done < iterations:
            done, changed = done + 1, 0
            for block in self.blocks():
                products = self.vectors[block] @ centroids.T
                best = products.argmax(1)
                cosines[block] = np.take_along_axis(products, best[:, None], 1)[:, 0] * self.scales[block]
                changed += int(np.count_nonzero(classes[block] != best))
                classes[block] = best
                self.progress(best.size)
            changed += self.fill_empty(classes, cosines)
            centroids, _ = self.centroids(classes, self.scales)
        return Clusters(classes, centroids, self.mean_cosine(classes, centroids), done, changed)

    def centroids(self, classes: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The sums of the vectors times their weights (V,) for each class, to length 1, (k, d); counts (k,)."""
        from w2v.centroids import add_members

        sums, counts = np.zeros((self.k, self.vectors.shape[1])), np.zeros(self.k, np.int64)
        for block in self.blocks():
            add_members(np.ascontiguousarray(self.vectors[block]), weights[block], classes[block], sums, counts)
        norms = np.linalg.norm(sums, axis=1, keepdims=True)
        np.divide(sums, norms, out=sums, where=norms > 0)
        return sums.astype(self.dtype), counts

    def first_centroids(self, rng: np.random.Generator) -> np.ndarray:
        """k words by k-means++ on 1 - cosine, each the best of a few drawn; of a sample where there are very many."""
        n = min(len(self.vectors), max(_SEEDS_DRAWN_FROM, _SEEDS_FOR_EACH * self.k))
        ids = np.sort(rng.choice(len(self.vectors), n, replace=False)) if n < len(self.vectors) else np.arange(n)
        rows = self.vectors[ids] * self.scales[ids, None]
        centroids = np.empty((self.k, rows.shape[1]), self.dtype)
        distances = np.where(self.scales[ids] > 0, 1, 0).astype(self.dtype)  # vectors of zeros are not drawn
        drawn_at_once = 2 + int(np.log(self.k))
        for j in range(self.k):
            total = np.cumsum(distances, dtype=np.float64)
            if total[-1] > 0:
                drawn = np.searchsorted(total, rng.random(drawn_at_once) * total[-1], side="right").clip(max=n - 1)
            else:  # fewer different directions than classes
                drawn = rng.integers(n, size=1)
            apart = 1 - rows[drawn] @ rows.T
            apart[apart < _SAME] = 0
            np.minimum(apart, distances, out=apart)
            best = int(apart.sum(1, dtype=np.float64).argmin())
            centroids[j], distances = rows[drawn[best]], apart[best]
        return centroids

    def fill_empty(self, classes: np.ndarray, cosines: np.ndarray) -> int:
        """Give each empty class the word with the lowest cosine among those that are not alone; how many there were."""
        counts = np.bincount(classes, minlength=self.k)
        empty = np.flatnonzero(counts == 0)
        if not empty.size:
            return 0
        moved = iter(np.argsort(np.where(self.scales > 0, cosines, 2), kind="stable").tolist())
        for c in empty.tolist():
            word = next(i for i in moved if counts[classes[i]] > 1)
            counts[classes[word]] -= 1
            classes[word], cosines[word], counts[c] = c, 1.0, 1
        return int(empty.size)

    def mean_cosine(self, classes: np.ndarray, centroids: np.ndarray) -> float:
        total = 0.0
        for block in self.blocks():
            products = np.einsum("ij,ij->i", self.vectors[block], centroids[classes[block]])
            total += float((products * self.scales[block]).sum(dtype=np.float64))
        return total / len(classes)
