"""A rotation is found and undone, and words that moved by themselves are what is left."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.errors import CorpusError
from w2v.align import align, most_moved, turned
from w2v.model import WordVectors


def space(vectors, names=None, counts=None):
    vectors = np.asarray(vectors, np.float32)
    return WordVectors([b"w%d" % i for i in names or range(len(vectors))], vectors, counts)


def rotation(rng, d):
    """An orthogonal matrix, (d, d): a rotation, or one with a reflection."""
    return np.linalg.qr(rng.standard_normal((d, d)))[0]


@given(st.integers(0, 1000), st.integers(2, 20), st.booleans())
@settings(max_examples=25, deadline=None)
def test_a_rotated_copy_has_cosine_1_everywhere(seed, d, center):
    rng = np.random.default_rng(seed)
    vectors, turn = rng.standard_normal((3 * d, d)), rotation(rng, d)
    order = rng.permutation(3 * d)
    scaled = vectors[order] * rng.uniform(0.1, 9, (3 * d, 1))  # lengths do not count
    a, b = space(vectors), space(scaled @ turn, order.tolist())
    found = align(a, b, center=center)
    assert found.cosines == pytest.approx(1, abs=1e-5)
    assert found.rotation == pytest.approx(turn.T, abs=1e-4)
    assert turned(b, found.rotation).vectors == pytest.approx(scaled, abs=1e-3)


@given(st.integers(0, 1000), st.booleans())
@settings(max_examples=25, deadline=None)
def test_a_word_that_moved_is_found_first(seed, center):
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((200, 10))
    later = vectors + 0.05 * rng.standard_normal(vectors.shape)
    moved = int(rng.integers(200))
    later[moved] = -vectors[moved]
    found = align(space(vectors), space(later @ rotation(rng, 10)), center=center)
    assert found.ids_a[most_moved(found, 1)].tolist() == [moved]
    assert found.cosines[most_moved(found, 2)[1]] > 0.9


def test_the_rotation_is_the_best_there_is():
    rng = np.random.default_rng(3)
    a, b = rng.standard_normal((2, 50, 4))
    found = align(space(a), space(b))
    assert found.rotation @ found.rotation.T == pytest.approx(np.eye(4), abs=1e-12)
    unit_a, unit_b = (m / np.linalg.norm(m, axis=1, keepdims=True) for m in (a, b))

    def mean_cosine(turn):
        return np.einsum("ij,ij->i", unit_a, unit_b @ turn).mean()

    assert mean_cosine(found.rotation) == pytest.approx(found.cosines.mean(), abs=1e-6)
    assert all(mean_cosine(rotation(rng, 4)) <= found.cosines.mean() for _ in range(300))


def test_rotation_equals_scipys_procrustes():
    linalg = pytest.importorskip("scipy.linalg")
    rng = np.random.default_rng(4)
    a, b = rng.standard_normal((2, 60, 5))
    a, b = (m / np.linalg.norm(m, axis=1, keepdims=True) for m in (a, b))
    assert align(space(a), space(b)).rotation == pytest.approx(linalg.orthogonal_procrustes(b, a)[0], abs=1e-5)


def test_words_are_matched_by_name_in_the_order_of_the_first_file():
    rng = np.random.default_rng(5)
    a = space(rng.standard_normal((6, 3)), [0, 1, 2, 3, 4, 5])
    b = space(rng.standard_normal((5, 3)), [9, 4, 1, 8, 0])
    found = align(a, b)
    assert found.ids_a.tolist() == [0, 1, 4]
    assert found.ids_b.tolist() == [4, 2, 1]


def test_restrict_and_min_count_hold_in_both_files_and_zeros_are_left_out():
    rng = np.random.default_rng(6)
    vectors = rng.standard_normal((6, 3))
    a = space(vectors, [0, 1, 2, 3, 4, 5], np.array([9, 8, 7, 6, 5, 4]))
    b = space(vectors, [5, 4, 3, 2, 1, 0], np.array([60, 50, 40, 5, 20, 10]))
    assert align(a, b, restrict=4).ids_a.tolist() == [2, 3]
    assert align(a, b, min_count=6).ids_a.tolist() == [0, 1, 3]
    vectors[2] = 0
    assert align(a, space(vectors)).ids_a.tolist() == [0, 1, 3, 4, 5]


def test_blocks_change_nothing(monkeypatch):
    a, b = np.random.default_rng(7).standard_normal((2, 40, 4))
    whole = align(space(a), space(b), center=True)
    monkeypatch.setattr("w2v.align._BLOCK", 7)
    assert align(space(a), space(b), center=True).cosines == pytest.approx(whole.cosines, abs=1e-12)


def test_what_cannot_be_aligned_is_refused():
    a = space(np.ones((3, 2)))
    for other, options, message in (
        (space(np.ones((3, 4))), {}, "2 dimensions in the first file, 4 in the second"),
        (space(np.ones((3, 2)), [7, 8, 9]), {}, "no word is in both files"),
        (space(np.ones((3, 2)), [2, 1, 0]), {"restrict": 1}, "is left"),
        (a, {"min_count": 2}, "the first file does not say how often"),
        (space(np.zeros((3, 2))), {}, "no word of both files is left"),
    ):
        with pytest.raises(CorpusError, match=message):
            align(a, other, **options)
