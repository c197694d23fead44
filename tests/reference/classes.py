"""What word2vec.c does for its option -classes, written for reading."""

import numpy as np


def word2vec_classes(vectors, k, iterations=10):
    """The class of each row of vectors (V, d): a list of V numbers below k."""
    classes = [i % k for i in range(len(vectors))]
    for _ in range(iterations):
        centroids = np.zeros((k, vectors.shape[1]), np.float32)
        for row, c in zip(vectors, classes, strict=True):
            centroids[c] += row
        with np.errstate(invalid="ignore"):  # a class without words is NaN, which nothing is near to
            centroids /= np.sqrt((centroids * centroids).sum(1, keepdims=True))
        for i, row in enumerate(vectors):
            best, nearest = -10.0, 0
            for c in range(k):
                product = float(centroids[c] @ row)
                if product > best:
                    best, nearest = product, c
            classes[i] = nearest
    return classes
