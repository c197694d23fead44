"""The nearest words: equal to plain float64 arithmetic over all words, and to what the original tools print."""

import re

import numpy as np
import pytest

import w2v
from w2v import neighbours
from w2v.analogy import EPSILON, analogies
from w2v.model import WordVectors
from w2v.neighbours import nearest, phrase, unit


def vectors_of(rows, dtype=np.float32):
    rows = np.asarray(rows, dtype)
    return WordVectors([b"w%d" % i for i in range(len(rows))], rows)


def plain_cosines(vectors, query):
    """(V,): by the definition, word by word."""
    query = np.asarray(query, float)
    rows = vectors.vectors.astype(float)
    return np.array([row @ query / np.sqrt(row @ row) / np.sqrt(query @ query) for row in rows])


def plain_nearest(scores, k, excluded=()):
    ids = [i for i in range(len(scores)) if i not in set(excluded)]
    return sorted(ids, key=lambda i: (-scores[i], i))[:k]


@pytest.fixture
def small_blocks(monkeypatch):
    """So that a small vocabulary has many blocks, and a few queries are many."""
    monkeypatch.setattr(neighbours, "_BLOCK", 7)
    monkeypatch.setattr(neighbours, "_QUERIES", 3)
    monkeypatch.setattr(neighbours, "_CANDIDATES", 2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_neighbours_are_those_of_plain_arithmetic_over_all_words(small_blocks, dtype):
    rng = np.random.default_rng(1)
    vectors = vectors_of(rng.normal(size=(100, 8)) * rng.uniform(0.1, 10, (100, 1)), dtype)
    queries = rng.normal(size=(10, 8)) * 3
    exclude = [rng.choice(100, i, replace=False) for i in range(10)]
    ids, cosines = nearest(vectors, queries, 5, exclude=exclude)
    for i, query in enumerate(queries):
        expected = plain_cosines(vectors, query)
        assert ids[i].tolist() == plain_nearest(expected, 5, exclude[i])
        np.testing.assert_allclose(cosines[i], expected[ids[i]], rtol=1e-12)


def test_distance_prints_the_same_neighbours_and_cosines(golden):
    # `distance` on the binary file of the same folder, asked for "cat"
    printed = re.findall(r"^ +(\S+)\t\t(\S+)$", (golden / "word2vec" / "distance.cat.txt").read_text(), re.M)
    assert len(printed) == 40
    vectors = w2v.load(golden / "word2vec" / "cbow-hs.bin")
    cat = vectors.index("cat")
    (ids,), (cosines,) = nearest(vectors, phrase(vectors, [cat])[None], 40, exclude=[[cat]])
    found = [(vectors.words[i].decode(), f"{x:.6f}") for i, x in zip(ids, cosines, strict=True)]
    assert found == printed


def test_equal_cosines_come_in_the_order_of_the_vocabulary(small_blocks):
    # the same direction at every length; products in float32 do not give exactly the same cosine for all of them
    rng = np.random.default_rng(2)
    direction = rng.normal(size=50).astype(np.float32)
    vectors = vectors_of([direction * 2.0 ** (i % 5) for i in range(60)])
    ids, _ = nearest(vectors, rng.normal(size=(1, 50)), 20)
    assert ids[0].tolist() == list(range(20))


def test_an_answer_does_not_depend_on_what_else_is_asked_or_on_the_blocks(monkeypatch):
    rng = np.random.default_rng(3)
    vectors = vectors_of(rng.normal(size=(500, 30)))
    queries = rng.normal(size=(9, 30))
    together = nearest(vectors, queries, 10)
    monkeypatch.setattr(neighbours, "_BLOCK", 33)
    for i in range(9):
        for values, one in zip(together, nearest(vectors, queries[i : i + 1], 10), strict=True):
            np.testing.assert_array_equal(values[i], one[0])


def test_restricting_looks_at_the_first_words_only():
    vectors = vectors_of(np.random.default_rng(4).normal(size=(50, 4)))
    query = vectors.vectors[49:]
    assert nearest(vectors, query, 1)[0].tolist() == [[49]]
    ids, _ = nearest(vectors, query, 50, restrict=20)
    assert sorted(ids[0]) == list(range(20))


def test_what_lacks_is_marked(small_blocks):
    vectors = vectors_of([[1, 0], [0, 0], [0, 1], [-1, 0]])
    ids, cosines = nearest(vectors, np.array([[2.0, 0], [0, 0]]), 9, exclude=[[2], []])
    # the second word has no direction, nor has the second query
    assert ids.tolist() == [[0, 3, -1, -1], [-1] * 4]
    np.testing.assert_array_equal(cosines, [[1, -1, np.nan, np.nan], [np.nan] * 4])


@pytest.mark.parametrize("asked", [{"k": 0}, {"k": 1, "restrict": 0}])
def test_no_neighbours_cannot_be_asked_for(asked):
    with pytest.raises(ValueError, match="at least one neighbour"):
        nearest(vectors_of([[1, 2]]), np.ones((1, 2)), **asked)


def test_a_phrase_is_the_sum_of_unit_vectors():
    vectors = vectors_of([[3, 4], [0, 5]])
    np.testing.assert_allclose(phrase(vectors, [0, 1]), [0.6, 1.8])


# ---- analogies


def test_3cosadd_is_the_cosine_to_b_minus_a_plus_c():
    rng = np.random.default_rng(5)
    vectors = vectors_of(rng.normal(size=(60, 6)) * rng.uniform(0.1, 10, (60, 1)))
    questions = [[3, 5, 7], [0, 1, 2]]
    ids, scores = analogies(vectors, questions, 4)
    for (a, b, c), found, values in zip(questions, ids, scores, strict=True):
        u = unit(vectors.vectors)
        expected = plain_cosines(vectors, u[b] - u[a] + u[c])
        assert found.tolist() == plain_nearest(expected, 4, (a, b, c))
        np.testing.assert_allclose(values, expected[found], rtol=1e-12)


def test_3cosmul_is_the_product_of_shifted_cosines(small_blocks):
    # Levy and Goldberg (2014), eq. 4
    rng = np.random.default_rng(6)
    vectors = vectors_of(rng.normal(size=(60, 6)))
    questions = [[3, 5, 7], [0, 1, 2], [9, 9, 4]]
    ids, scores = analogies(vectors, questions, 4, "3cosmul")
    for question, found, values in zip(questions, ids, scores, strict=True):
        a, b, c = ((plain_cosines(vectors, vectors.vectors[i]) + 1) / 2 for i in question)
        expected = b * c / (a + EPSILON)
        assert found.tolist() == plain_nearest(expected, 4, question)
        np.testing.assert_allclose(values, expected[found], rtol=1e-10)


def test_methods_are_known():
    with pytest.raises(ValueError, match="`method` sum: one of 3cosadd, 3cosmul"):
        analogies(vectors_of([[1, 2]] * 4), [[0, 1, 2]], 1, "sum")


def test_no_questions_have_no_answers():
    for method in ("3cosadd", "3cosmul"):
        ids, scores = analogies(vectors_of([[1, 2]] * 4), np.empty((0, 3), np.int64), 2, method)
        assert ids.shape == scores.shape == (0, 2)
