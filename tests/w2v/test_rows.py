"""Products and sums of rows against NumPy: small whole numbers, so that every sum is exact and is compared exactly.

Rows lie anywhere.  Memory that must not count is NaN, and memory that must not change is a number
that nothing computes.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.compute.jit import kernel
from corpora.compute.machine import VECTOR_BYTES
from corpora.compute.simd import PAD, pointer
from w2v.rows import (
    TILE,
    TWO,
    add_row,
    add_rows,
    add_to_two,
    ask_for_row,
    clear_row,
    exchange_rows,
    paired_products,
    products,
    two_sums,
)

# one vector to three blocks of registers, and the lengths where their division changes
WIDTHS = [PAD * blocks for blocks in (*range(1, 15), 17, 25, 26, 27, 33, 38)]
COUNTS = [0, 1, 2, 3, 4, 5, 8, 11]
UNTOUCHED = -12345.0

dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])
widths = pytest.mark.parametrize("width", WIDTHS)


@kernel
def _products(x, x_rows, x0, n_x, z, z_rows, z0, n_z, width, out, o0, o_next):
    products(
        pointer(x), pointer(x_rows), x0, n_x, pointer(z), pointer(z_rows), z0, n_z, width, pointer(out), o0, o_next
    )


@kernel
def _paired_products(x, x_rows, x0, z, z_rows, z0, n, width, out, o0):
    paired_products(pointer(x), pointer(x_rows), x0, pointer(z), pointer(z_rows), z0, n, width, pointer(out), o0)


@kernel
def _exchange_rows(y, y0, x, x0, c, c0, m, rows, r0, n, width):
    exchange_rows(pointer(y), y0, pointer(x), x0, pointer(c), c0, pointer(m), pointer(rows), r0, n, width)


@kernel
def _add_rows(y, y0, c, c0, step, m, rows, r0, n, width):
    add_rows(pointer(y), y0, pointer(c), c0, step, pointer(m), pointer(rows), r0, n, width)


@kernel
def _two_sums(y, y0, y1, base, b0, b1, f0, f1, c, c0, c1, step, m, rows, r0, n, column):
    y, base, c, m, rows = pointer(y), pointer(base), pointer(c), pointer(m), pointer(rows)
    two_sums(y, y0, y1, base, b0, b1, f0, f1, c, c0, c1, step, m, rows, r0, n, column)


@kernel
def _add_to_two(y, y0, y1, c, c0, c1, step, m, rows, r0, n, column):
    add_to_two(pointer(y), y0, y1, pointer(c), c0, c1, step, pointer(m), pointer(rows), r0, n, column)


@kernel
def _single_rows(y, y0, x, x0, width, cleared):
    ask_for_row(pointer(x), np.int64(1) << 40, width)  # a wish: nothing is read there
    ask_for_row(pointer(x), x0, width)
    add_row(pointer(y), y0, pointer(x), x0, width)
    clear_row(pointer(y), cleared, width)


def whole(rng, *shape):
    """Small whole numbers: sums of a few hundred products of them are exact in float32 in any order."""
    return rng.integers(-8, 9, shape).astype(float)


def scattered(rng, values, dtype):
    """Flat memory with the rows of ``values`` in any order, at odd places, NaN around; and where each is."""
    n, width = values.shape
    gap = width + 3
    flat = np.full(5 + n * gap, np.nan, dtype)
    places = 5 + rng.permutation(n) * gap
    for place, row in zip(places, values, strict=True):
        flat[place : place + width] = row
    return flat, places


def listed(places, before, after=0):
    """A list of rows (int64) within another; whatever is read beyond it is a row that there is not."""
    return np.concatenate([np.full(before, 1 << 50), places, np.full(after, places[0] if len(places) else 0)])


@dtypes
@widths
def test_products_are_those_of_all_pairs_of_rows(dtype, width):
    rng = np.random.default_rng(width)
    x_values, z_values = whole(rng, 6, width), whole(rng, 9, width)
    x, x_places = scattered(rng, x_values, dtype)
    z, z_places = scattered(rng, z_values, dtype)
    for n_x in (0, 1, 2, 3, 6):
        for n_z in (0, TILE, 2 * TILE, 3 * TILE, 5 * TILE):
            x_rows, z_rows = rng.integers(6, size=n_x), rng.integers(9, size=n_z)  # some more than once
            o_next = n_z + (n_x + n_z) % 3
            out = np.full(7 + n_x * o_next + 40, UNTOUCHED, dtype)
            expected = out.copy()
            for i, row in enumerate(x_values[x_rows] @ z_values[z_rows].T):
                expected[7 + i * o_next : 7 + i * o_next + n_z] = row
            lists = listed(x_places[x_rows], 2), listed(z_places[z_rows], 3)
            _products(x, lists[0], 2, n_x, z, lists[1], 3, n_z, width, out, 7, o_next)
            np.testing.assert_array_equal(out, expected)


@dtypes
@widths
def test_paired_products_are_those_of_rows_in_the_same_place_of_two_lists(dtype, width):
    rng = np.random.default_rng(width)
    x_values, z_values = whole(rng, 6, width), whole(rng, 9, width)
    x, x_places = scattered(rng, x_values, dtype)
    z, z_places = scattered(rng, z_values, dtype)
    for n in COUNTS:
        x_rows, z_rows = rng.integers(6, size=n), rng.integers(9, size=n)
        out = np.full(7 + n + 40, UNTOUCHED, dtype)
        lists = listed(x_places[x_rows], 2, TILE - 1), listed(z_places[z_rows], 3, TILE - 1)
        _paired_products(x, lists[0], 2, z, lists[1], 3, n, width, out, 7)
        np.testing.assert_array_equal(out[7 : 7 + n], (x_values[x_rows] * z_values[z_rows]).sum(axis=1))
        assert (out[:7] == UNTOUCHED).all()
        assert (out[7 + -(-n // TILE) * TILE :] == UNTOUCHED).all()


@dtypes
@widths
def test_add_rows_is_a_vector_times_a_matrix_of_scattered_rows(dtype, width):
    rng = np.random.default_rng(width)
    values, start = whole(rng, 7, width), whole(rng, width)
    m, places = scattered(rng, values, dtype)
    for n in COUNTS:
        rows = rng.integers(7, size=n)
        for step in (0, 1, 3):
            factors = np.full(4 + max(1, n) * 3, np.nan)
            own = whole(rng, n) if step else np.repeat(whole(rng, 1), n)
            factors[4 + step * np.arange(n)] = own
            y = np.full(width + 40, UNTOUCHED, dtype)
            y[5 : 5 + width] = start
            _add_rows(y, 5, factors.astype(dtype), 4, step, m, listed(places[rows], 2), 2, n, width)
            np.testing.assert_array_equal(y[5 : 5 + width], start + own @ values[rows])
            assert (y[:5] == UNTOUCHED).all()
            assert (y[5 + width :] == UNTOUCHED).all()


@dtypes
@pytest.mark.parametrize("n", COUNTS)
@pytest.mark.parametrize(("c0", "c1", "step"), [(4, 5, 2), (4, 20, 1), (9, 9, 1)])
def test_two_sums_are_each_a_scaled_row_and_a_vector_times_a_matrix(dtype, n, c0, c1, step):
    rng = np.random.default_rng(n)
    part = TWO * VECTOR_BYTES // np.dtype(dtype).itemsize
    values, bases = whole(rng, 7, part + 16), whole(rng, 2, part + 16)
    m, places = scattered(rng, values, dtype)
    base, base_places = scattered(rng, bases, dtype)
    rows, factors, column = rng.integers(7, size=n), whole(rng, 40), 8
    starts = 5, part + 40
    y = np.full(2 * part + 60, UNTOUCHED, dtype)
    real = np.dtype(dtype).type
    _two_sums(
        y, *(start - column for start in starts), base, *base_places, real(2.0), real(-3.0), factors.astype(dtype),
        c0, c1, step, m, listed(places[rows], 2), 2, n, column,
    )  # fmt: skip
    columns = slice(column, column + part)
    expected = np.full_like(y, UNTOUCHED)
    for start, factor, row, first in zip(starts, (2.0, -3.0), bases, (c0, c1), strict=True):
        own = factors[first + step * np.arange(n)]
        expected[start : start + part] = factor * row[columns] + own @ values[rows][:, columns]
    np.testing.assert_array_equal(y, expected)


@dtypes
@pytest.mark.parametrize("starts", [(5, 150), (150, 5), (5, 5)])
def test_what_is_added_to_two_rows_is_added_to_both_also_where_they_are_the_same(dtype, starts):
    rng = np.random.default_rng(1)
    part = TWO * VECTOR_BYTES // np.dtype(dtype).itemsize
    values, start = whole(rng, 7, part), whole(rng, 300)
    m, places = scattered(rng, values, dtype)
    rows, factors = rng.integers(7, size=5), whole(rng, 40)
    y, expected = start.astype(dtype), start.copy()
    _add_to_two(y, *starts, factors.astype(dtype), 3, 4, 2, m, listed(places[rows], 2), 2, 5, 0)
    for at, first in zip(starts, (3, 4), strict=True):
        expected[at : at + part] += factors[first + 2 * np.arange(5)] @ values[rows]
    np.testing.assert_array_equal(y, expected)


@dtypes
@widths
def test_exchange_rows_sums_rows_as_they_were_and_adds_the_other_vector_to_them(dtype, width):
    rng = np.random.default_rng(width)
    values, start, x = whole(rng, 7, width), whole(rng, width), whole(rng, width)
    for n in (0, 1, 2, 5, 7):
        rows = rng.permutation(7)[:n]
        m, places = scattered(rng, values, dtype)
        own = whole(rng, n)
        factors = np.concatenate([np.full(4, np.nan), own, np.full(3, np.nan)]).astype(dtype)
        y = np.full(width + 40, UNTOUCHED, dtype)
        y[5 : 5 + width] = start
        other = np.concatenate([np.full(6, np.nan), x]).astype(dtype)
        _exchange_rows(y, 5, other, 6, factors, 4, m, listed(places[rows], 2), 2, n, width)
        np.testing.assert_array_equal(y[5 : 5 + width], start + own @ values[rows])
        assert (y[:5] == UNTOUCHED).all()
        assert (y[5 + width :] == UNTOUCHED).all()
        expected = values.copy()
        expected[rows] += np.outer(own, x)
        found = np.stack([m.reshape(-1)[place : place + width] for place in places])
        np.testing.assert_array_equal(found, expected)


@dtypes
@widths
def test_a_row_is_added_and_a_row_is_cleared_and_nothing_else(dtype, width):
    rng = np.random.default_rng(width)
    start, row = whole(rng, width), whole(rng, width)
    x = np.full(width + 9, np.nan, dtype)
    x[3 : 3 + width] = row
    y = np.full(2 * width + 60, UNTOUCHED, dtype)
    y[5 : 5 + width] = start
    expected = y.copy()
    expected[5 : 5 + width] += row
    expected[width + 15 : 2 * width + 15] = 0
    _single_rows(y, 5, x, 3, width, width + 15)
    np.testing.assert_array_equal(y, expected)


@settings(deadline=None, max_examples=40, derandomize=True)
@given(blocks=st.integers(1, 38), n_x=st.integers(0, 7), tiles=st.integers(0, 6), seed=st.integers(0, 2**32 - 1))
def test_real_numbers_differ_from_numpys_by_rounding_only(blocks, n_x, tiles, seed):
    rng, width, n_z = np.random.default_rng(seed), PAD * blocks, TILE * tiles
    x, z = (rng.normal(size=(n, width)).astype("float32") for n in (n_x + 1, n_z + 1))
    x_rows, z_rows = width * np.arange(n_x), width * np.arange(n_z)
    rounding = 2 * np.finfo("float32").eps

    out = np.zeros((n_x, n_z), "float32")
    _products(x, x_rows, 0, n_x, z, z_rows, 0, n_z, width, out, 0, n_z)
    exact, size = (f(x[:n_x].astype(float)) @ f(z[:n_z].astype(float)).T for f in (np.positive, np.abs))
    assert (np.abs(out - exact) <= rounding * np.sqrt(width) * size).all()

    for factors in rng.normal(size=(2, n_z)).astype("float32"):
        y = np.zeros(width, "float32")
        _add_rows(y, 0, factors, 0, 1, z, z_rows, 0, n_z, width)
        exact, size = (f(factors.astype(float)) @ f(z[:n_z].astype(float)) for f in (np.positive, np.abs))
        assert (np.abs(y - exact) <= rounding * (1 + np.sqrt(n_z)) * size).all()
