"""Classes of words: as word2vec.c makes them, and better ones."""

from itertools import pairwise

import numpy as np
import pytest

import w2v
from corpora.errors import CorpusError
from tests.reference.classes import word2vec_classes
from w2v.cluster import METHODS, cluster, spherical_kmeans


def clouds(rng, n, k, d, spread=0.1):
    """n vectors of different lengths around k directions, and which one each is around."""
    of = rng.integers(k, size=n)
    directions = np.linalg.qr(rng.standard_normal((d, d)))[0][:k]
    rows = directions[of] + spread * rng.standard_normal((n, d))
    return (rows * rng.uniform(0.1, 10, (n, 1))).astype(np.float32), of


def same_partition(a, b):
    return len(set(zip(a.tolist(), b.tolist(), strict=True))) == len(set(a.tolist())) == len(set(b.tolist()))


@pytest.mark.parametrize("k", [1, 3, 10, 40])
@pytest.mark.parametrize("name", ["skipgram.txt", "cbow-hs.bin"])
def test_word2vec_gives_the_classes_that_its_source_says(golden, name, k):
    vectors = w2v.load(golden / "word2vec" / name).vectors
    assert spherical_kmeans(vectors, k, method="word2vec").tolist() == word2vec_classes(vectors, k)


@pytest.mark.parametrize("iterations", [1, 2, 7])
def test_word2vec_makes_as_many_iterations_as_asked_for(iterations):
    vectors, _ = clouds(np.random.default_rng(2), 300, 5, 8, spread=0.4)
    found = cluster(vectors, 7, method="word2vec", iterations=iterations)
    assert found.iterations == iterations
    assert found.classes.tolist() == word2vec_classes(vectors, 7, iterations)


def test_directions_that_stand_apart_are_found_whatever_the_lengths_and_the_seed():
    for seed in range(5):
        vectors, of = clouds(np.random.default_rng(seed), 1000, 8, 16, spread=0.05)
        assert same_partition(spherical_kmeans(vectors, 8, seed=seed), of)


def test_a_seed_gives_the_same_classes_again_and_another_may_not():
    vectors, _ = clouds(np.random.default_rng(1), 500, 10, 12, spread=0.5)
    first, again, other = (spherical_kmeans(vectors, 20, seed=seed) for seed in (3, 3, 4))
    assert first.tolist() == again.tolist() != other.tolist()


def test_the_mean_cosine_never_falls_and_ends_above_word2vecs():
    vectors, _ = clouds(np.random.default_rng(1), 800, 10, 12, spread=0.4)
    found = [cluster(vectors, 12, iterations=n).mean_cosine for n in range(1, 10)]
    assert all(b >= a - 1e-6 for a, b in pairwise(found))
    assert found[-1] >= cluster(vectors, 12, method="word2vec").mean_cosine


def test_at_the_end_every_word_is_with_the_centroid_nearest_to_it():
    vectors, _ = clouds(np.random.default_rng(8), 400, 6, 10, spread=0.3)
    found = cluster(vectors, 6, iterations=100)
    assert found.n_changed == 0
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    assert (unit @ found.centroids.T).argmax(1).tolist() == found.classes.tolist()
    means = np.array([unit[found.classes == c].mean(0) for c in range(6)])
    assert found.centroids == pytest.approx(means / np.linalg.norm(means, axis=1, keepdims=True), abs=1e-5)
    assert found.mean_cosine == pytest.approx(
        np.einsum("ij,ij->i", unit, found.centroids[found.classes]).mean(), abs=1e-6
    )


@pytest.mark.parametrize("k", [1, 2, 49, 50])
def test_no_class_is_empty_even_where_words_are_few_alike_or_zeros(k):
    rng = np.random.default_rng(0)
    for vectors in (
        rng.standard_normal((50, 4)),
        np.ones((50, 3)),
        np.vstack([np.zeros((30, 4)), np.eye(4).repeat(5, 0)]),
    ):
        classes = spherical_kmeans(vectors.astype(np.float32), k, seed=5)
        assert set(classes.tolist()) == set(range(k))
        assert classes.dtype == np.int32


def test_blocks_rows_of_a_wider_matrix_and_float64_change_nothing(monkeypatch):
    vectors, _ = clouds(np.random.default_rng(4), 700, 9, 12)
    wide = np.zeros((700, 16), np.float32)
    wide[:, :12] = vectors
    for method in METHODS:
        whole = spherical_kmeans(vectors, 9, method=method)
        assert whole.tolist() == spherical_kmeans(wide[:, :12], 9, method=method).tolist()
        assert whole.tolist() == spherical_kmeans(vectors.astype(np.float64), 9, method=method).tolist()
        monkeypatch.setattr("w2v.cluster._PRODUCT", 9 * 64)
        assert whole.tolist() == spherical_kmeans(vectors, 9, method=method).tolist()
        monkeypatch.undo()


def test_first_centroids_may_come_from_a_sample(monkeypatch):
    monkeypatch.setattr("w2v.cluster._SEEDS_DRAWN_FROM", 100)
    vectors, of = clouds(np.random.default_rng(6), 2000, 6, 10, spread=0.05)
    assert same_partition(spherical_kmeans(vectors, 6), of)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"k": 0}, "at least 1 class"),
        ({"k": 11}, r"more classes than words \(10\)"),
        ({"k": 2, "iterations": 0}, "`iterations` 0"),
        ({"k": 2, "method": "kmeans"}, "one of spherical, word2vec"),
    ],
)
def test_what_cannot_be_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        spherical_kmeans(np.ones((10, 3), np.float32), **arguments)


# ---- vectors at the ends of what float32 can hold


@pytest.mark.parametrize("method", ["spherical", "word2vec"])
def test_a_vector_that_is_longer_than_the_largest_number_is_named(method):
    vectors = np.array([[1, 0], [3e38, 3e38], [0, 1]], np.float32)
    with pytest.raises(CorpusError, match="vector 2 is longer than float32 has numbers for"):
        cluster(vectors, 2, method=method)


def test_a_vector_too_short_to_have_a_direction_counts_as_one_of_zeros():
    vectors = np.array([[1, 0], [0, 1], [1e-45, 1e-45]], np.float32)
    found = cluster(vectors, 2)
    assert np.isfinite(found.mean_cosine)
    assert found.classes[0] != found.classes[1]
