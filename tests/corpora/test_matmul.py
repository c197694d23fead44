"""Products of matrices: NumPy's in float64, and the same bits however the work is cut."""

from __future__ import annotations

import numpy as np
import pytest

from corpora.compute.matmul import (
    DEPTH,
    ROWS,
    multiply,
    multiply_across,
    multiply_packed,
    pack,
    packed_size,
    panel_width,
    room_for_products,
    transpose,
)
from corpora.compute.simd import aligned_zeros

SIZES = [(1, 1, 1), (3, 5, 7), (ROWS, 16, 32), (ROWS + 1, 33, 17), (2 * ROWS + 5, 40, 65), (20, 100, 80), (7, 9, 48)]


def of(*shape, dtype="float64", seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(dtype)


def product(A, B, *, transposed=False, onto=None, rows=None, columns=None):
    (m, k), n = A.shape, B.shape[0] if transposed else B.shape[1]
    C = np.full((m, n), np.nan, A.dtype) if onto is None else onto.copy()
    multiply(
        C, A, B, k, int(transposed), int(onto is not None), rows or (0, m), columns or (0, n), 0,
        room_for_products(A.dtype),
    )  # fmt: skip
    return C


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("m", "k", "n"), SIZES)
def test_a_product_is_numpys(m, k, n, dtype):
    A, B, onto = of(m, k, dtype=dtype), of(k, n, dtype=dtype), of(m, n, dtype=dtype, seed=1)
    tolerance = {"rtol": 1e-12, "atol": 1e-13} if dtype == "float64" else {"rtol": 1e-4, "atol": 1e-5}
    expected = A.astype(float) @ B.astype(float)
    np.testing.assert_allclose(product(A, B), expected, **tolerance)
    np.testing.assert_allclose(product(A, np.ascontiguousarray(B.T), transposed=True), expected, **tolerance)
    np.testing.assert_allclose(product(A, B, onto=onto), expected + onto, **tolerance)


def test_long_sums_go_through_several_packings():
    A, B = of(3, 2 * DEPTH + 5), of(2 * DEPTH + 5, 20)
    np.testing.assert_allclose(product(A, B), A @ B, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_part_has_the_bits_of_the_whole(dtype):
    A, B = of(53, 70, dtype=dtype), of(70, 81, dtype=dtype)
    whole = product(A, B)
    for row in (0, 17, 52):
        assert product(A[row : row + 1].copy(), B).tobytes() == whole[row].tobytes()
    for columns in ((0, 5), (5, 40), (33, 81)):
        part = product(A, B, columns=columns)
        np.testing.assert_array_equal(part[:, slice(*columns)], whole[:, slice(*columns)])
        part[:, slice(*columns)] = np.nan
        assert np.isnan(part).all()
    part = product(A, B, rows=(10, 31))
    np.testing.assert_array_equal(part[10:31], whole[10:31])
    assert np.isnan(part[:10]).all()
    assert np.isnan(part[31:]).all()


def test_a_sum_in_two_halves_is_the_sum():
    A, B = of(9, 40, dtype="float32"), of(40, 33, dtype="float32")
    first = product(A[:, :25].copy(), B[:25].copy())
    np.testing.assert_array_equal(product(A[:, 25:].copy(), B[25:].copy(), onto=first), product(A, B))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [1, 16, 17, 33, 64])
def test_a_packed_factor_gives_the_same_bits(n, dtype):
    A, B = of(14, 30, dtype=dtype), of(30, n, dtype=dtype)
    P, C = aligned_zeros((packed_size(30, n, dtype),), dtype), np.full((14, n), np.nan, dtype)
    tile = np.zeros(ROWS * panel_width(dtype), dtype)
    for values, transposed in ((B, 0), (np.ascontiguousarray(B.T), 1)):
        P[:] = 5
        pack(values, 0, 30, n, transposed, P, 0)
        multiply_packed(C, 0, n, 14, n, A, 0, 30, 30, P, 0, tile, 0, 0)
        np.testing.assert_array_equal(C, product(A, B))


def test_some_columns_are_packed_after_others():
    B = of(30, 40)
    for first, k, transposed, expected in ((5, 30, 0, B[:, 5:16]), (5, 11, 1, B[:, 5:16].T)):
        n = expected.shape[1]
        P, C = aligned_zeros((16 + packed_size(k, n, B.dtype),), B.dtype), np.full((k, n), np.nan)
        pack(B, first, k, n, transposed, P, 16)
        multiply_packed(C, 0, n, k, n, np.eye(k), 0, k, k, P, 16, np.zeros(ROWS * panel_width(B.dtype)), 0, 0)
        np.testing.assert_array_equal(C, expected)


def test_what_lies_beyond_the_columns_of_a_wider_array_stays():
    A, B, C = of(13, 20), of(20, 40), np.full((13, 50), 7.0)
    multiply(C, A, B, 20, 0, 0, (0, 13), (0, 40), 0, room_for_products("float64"))
    np.testing.assert_allclose(C[:, :40], A @ B, rtol=1e-12)
    assert (C[:, 40:] == 7).all()


def test_columns_of_the_product_may_lie_elsewhere_than_those_of_the_factor():
    A, B, C = of(13, 20), of(20, 10), np.full((13, 50), 7.0)
    multiply(C, A, B, 20, 0, 0, (0, 13), (31, 41), 31, room_for_products("float64"))
    np.testing.assert_allclose(C[:, 31:41], A @ B, rtol=1e-12)
    assert (C[:, :31] == 7).all()
    assert (C[:, 41:] == 7).all()


@pytest.mark.parametrize(("m", "k", "n"), [*SIZES, (5, DEPTH + 7, 40)])
def test_a_product_can_be_written_transposed(m, k, n):
    A, B, onto = of(m, k), of(k, n), of(m, n, seed=1)
    room, cut = room_for_products("float64"), n // 3
    for accumulate, expected in ((0, A @ B), (1, A @ B + onto)):
        C = onto.T.copy(order="C")
        for columns in ((0, cut), (cut, n)):
            multiply_across(C, A, B, m, k, accumulate, columns, room)
        np.testing.assert_allclose(C.T, expected, rtol=1e-10, atol=1e-10)
        np.testing.assert_array_equal(C.T, product(A, B, onto=onto if accumulate else None))


def test_a_product_of_nothing_is_zero():
    assert not product(np.zeros((3, 0)), np.zeros((0, 4)), onto=np.zeros((3, 4))).any()
    assert product(np.zeros((0, 3)), np.zeros((3, 4))).shape == (0, 4)


@pytest.mark.parametrize("shape", [(1, 1), (5, 40), (33, 17), (64, 16)])
def test_transposing(shape):
    X = of(*shape, dtype="float32")
    out = np.full((shape[1], shape[0]), np.nan, np.float32)
    middle = shape[0] // 3
    transpose(X, (0, middle), shape[1], out)
    transpose(X, (middle, shape[0]), shape[1], out)
    np.testing.assert_array_equal(out, X.T)
