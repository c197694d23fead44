"""The vector primitives against NumPy: small whole numbers, so that every sum is exact and is compared exactly.

Memory that must not count is NaN, and memory that must not change is a number that nothing computes.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.compute import simd
from corpora.compute.jit import kernel
from corpora.compute.simd import PAD, aligned_zeros, largest, load, padded, padded_matrix, pointer, scalar, store
from rnnlm.matrix_loops import (
    add_scaled_rows,
    add_scaled_rows_to_each,
    back_and_update_rows,
    dot_rows,
    dot_rows_downwards,
    dot_rows_each,
)
from tests.vector_length import assert_passes_with_vectors_of_the_other_length

DTYPES = ["float32", "float64"]
WIDTHS = range(PAD, 273, PAD)  # one vector to more than the registers hold
COUNTS = [0, 1, 2, 3, 7, 8, 9, 16, 21]
UNTOUCHED = -12345.0


# ---- the same functions by pointer, as inner functions get them


@kernel
def _add_by_pointer(y, y0, a, a0, step, M, m0, ld, n, width):
    add_scaled_rows(pointer(y), y0, pointer(a), a0, step, pointer(M), m0, ld, n, width)


@kernel
def _add_to_each_by_pointer(y, y0, y_next, n_y, a, a0, a_next, step, M, m0, ld, n, width):
    add_scaled_rows_to_each(pointer(y), y0, y_next, n_y, pointer(a), a0, a_next, step, pointer(M), m0, ld, n, width)


@kernel
def _back_and_update_by_pointer(y, y0, e, e0, x, x0, M, m0, ld, n, width):
    back_and_update_rows(pointer(y), y0, pointer(e), e0, pointer(x), x0, pointer(M), m0, ld, n, width)


@kernel
def _dot_by_pointer(out, o0, M, m0, ld, n, x, x0, width):
    dot_rows(pointer(out), o0, pointer(M), m0, ld, n, pointer(x), x0, width)


@kernel
def _dot_downwards_by_pointer(out, o0, M, m0, ld, n, x, x0, width):
    dot_rows_downwards(pointer(out), o0, pointer(M), m0, ld, n, pointer(x), x0, width)


@kernel
def _dot_each_by_pointer(out, o0, o_next, M, m0, ld, n, x, x0, x_next, n_x, width):
    dot_rows_each(pointer(out), o0, o_next, pointer(M), m0, ld, n, pointer(x), x0, x_next, n_x, width)


def kinds(by_pointer, by_arrays=None):
    """A function in the forms that are worth a compilation: arrays differ from pointers whatever the element."""
    forms = [pytest.param(by_pointer, dtype, id=f"pointers-{dtype}") for dtype in DTYPES]
    if by_arrays:
        forms.append(pytest.param(by_arrays, "float32", id="arrays-float32"))
    return pytest.mark.parametrize(("function", "dtype"), forms)


widths = pytest.mark.parametrize("width", WIDTHS)
add_kinds = kinds(_add_by_pointer, add_scaled_rows)
add_each_kinds = kinds(_add_to_each_by_pointer)
back_kinds = kinds(_back_and_update_by_pointer)
dot_kinds = kinds(_dot_by_pointer, dot_rows)
dot_each_kinds = kinds(_dot_each_by_pointer)


def whole(rng, *shape):
    """Small whole numbers: sums of a few hundred products of them are exact in float32 in any order."""
    return rng.integers(-8, 9, shape).astype(float)


def rows_in_nan(values, ld, dtype, before=3, after=0):
    """Flat memory with the rows of ``values`` at a distance of ``ld``, NaN around; and where the first one is."""
    n, width = values.shape
    flat = np.full(before + n * ld + after, np.nan, dtype)
    for r, row in enumerate(values):
        flat[before + r * ld : before + r * ld + width] = row
    return flat, before


# ---- layout


def test_rows_are_padded_to_whole_vectors():
    for n in range(1, 4 * PAD + 1):
        length = padded(n)
        assert n <= length < n + PAD
        for size in (4, 8):  # bytes of an element
            assert length * size % simd.VECTOR_BYTES == 0
    assert PAD >= 8  # dot_rows writes eight numbers at a time


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
@pytest.mark.parametrize("shape", [(1,), (7,), (3, 16), (2, 3, 5), (0, 16)])
def test_aligned_zeros_begin_at_a_cache_line(dtype, shape):
    a = aligned_zeros(shape, dtype)
    assert a.shape == shape
    assert a.dtype == dtype
    assert not a.any()
    assert a.size == 0 or a.ctypes.data % 64 == 0
    assert a.flags.c_contiguous
    assert a.flags.writeable


def test_a_padded_matrix_has_zeros_around_and_rows_enough_to_read_eight_at_a_time():
    values = np.arange(1.0, 16.0).reshape(3, 5)
    out = padded_matrix(values, "float32")
    assert out.dtype == np.float32
    assert out.shape == (padded(3) + PAD, padded(5))
    np.testing.assert_array_equal(out[:3, :5], values)
    assert out.sum() == values.sum()
    assert padded_matrix(values).dtype == values.dtype
    out[0, 0] = 99
    assert values[0, 0] == 1  # a copy


# ---- single elements


@kernel
def _move(a, b, i, j, value, by_pointer):
    # i: from a to b, and a constant of the element's type after it
    if by_pointer:
        p, q = pointer(a), pointer(b)
        store(q, j, load(p, i))
        store(q, j + 1, scalar(q, value))
    else:
        store(b, j, load(a, i))
        store(b, j + 1, scalar(b, value))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("by_pointer", [False, True])
def test_load_and_store_count_elements_of_flat_memory(dtype, by_pointer):
    a = np.arange(12, dtype=dtype).reshape(3, 4)
    b = np.full(8, UNTOUCHED, dtype)
    _move(a, b, 7, 2, 0.1, by_pointer)
    assert b[2] == a[1, 3]
    assert b[3] == np.dtype(dtype).type(0.1)
    assert (np.delete(b, [2, 3]) == UNTOUCHED).all()


@kernel
def _before(a, i):
    return load(pointer(a[3:]), i)


def test_a_negative_position_lies_before_and_does_not_wrap_around():
    assert _before(np.arange(10.0), -2) == 1.0


@kernel
def _largest(a, i, n):
    return largest(pointer(a), i, n)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_largest_of_a_part(dtype):
    rng = np.random.default_rng(3)
    for n in (1, PAD - 1, PAD, 2 * PAD + 3, 5 * PAD):
        a = np.full(n + 5, 9.0, dtype)
        a[3 : 3 + n] = rng.permutation(n) - 2.0 * n  # all negative, what lies around is larger
        assert _largest(a, 3, n) == -n - 1
        for at in range(n):
            a[3 + at] = at + 1
            assert _largest(a, 3, n) == at + 1


# ---- a vector times a matrix


@add_kinds
@widths
def test_add_scaled_rows_is_a_vector_times_a_matrix(function, dtype, width):
    rng = np.random.default_rng(width)
    for n in COUNTS:
        values, factors, start = whole(rng, n, width), whole(rng, n), whole(rng, width)
        M, m0 = rows_in_nan(values, width + 16, dtype)
        a, a0 = rows_in_nan(factors[:, None], 3, dtype)  # every third element
        y = np.full(width + 40, UNTOUCHED, dtype)
        y[5 : 5 + width] = start
        function(y, 5, a, a0, 3, M, m0, width + 16, n, width)
        np.testing.assert_array_equal(y[5 : 5 + width], start + factors @ values)
        assert (y[:5] == UNTOUCHED).all()
        assert (y[5 + width :] == UNTOUCHED).all()


@add_kinds
def test_rows_can_be_gone_through_from_the_last_to_the_first(function, dtype):
    rng = np.random.default_rng(0)
    for n in (1, 2, 9, 20):
        values, factors = whole(rng, n, 48), whole(rng, n)
        M, m0 = rows_in_nan(values, 48, dtype)
        y = np.zeros(48, dtype)
        function(y, 0, factors.astype(dtype), n - 1, -1, M, m0 + (n - 1) * 48, -48, n, 48)
        np.testing.assert_array_equal(y, factors @ values)


@add_each_kinds
@widths
def test_add_scaled_rows_to_each_is_a_product_of_matrices(function, dtype, width):
    rng = np.random.default_rng(width)
    for n, n_y in [(0, 3), (1, 1), (1, 2), (2, 5), (7, 0), (9, 4), (16, 3)]:
        values, factors, start = whole(rng, n, width), whole(rng, n_y, n), whole(rng, n_y, width)
        M, m0 = rows_in_nan(values, width, dtype)
        a, a0 = rows_in_nan(factors, n + 2, dtype)
        y = np.full((n_y + 2, width + 16), UNTOUCHED, dtype)
        y[1 : n_y + 1, :width] = start
        function(y, width + 16, width + 16, n_y, a, a0, n + 2, 1, M, m0, width, n, width)
        np.testing.assert_array_equal(y[1 : n_y + 1, :width], start + factors @ values)
        assert (y[0] == UNTOUCHED).all()
        assert (y[n_y + 1] == UNTOUCHED).all()
        assert (y[:, width:] == UNTOUCHED).all()


@add_each_kinds
def test_factors_can_be_the_columns_of_a_matrix(function, dtype):
    # as for the update of weights: row q of y takes column q of the errors
    rng = np.random.default_rng(0)
    errors, inputs, start = whole(rng, 6, 32), whole(rng, 6, 64), whole(rng, 21, 64)
    y = start.astype(dtype)
    function(y, 0, 64, 21, errors.astype(dtype), 0, 1, 32, inputs.astype(dtype), 0, 64, 6, 64)
    np.testing.assert_array_equal(y, start + errors[:, :21].T @ inputs)


@back_kinds
@widths
def test_back_and_update_reads_each_row_before_it_changes_it(function, dtype, width):
    rng = np.random.default_rng(width)
    for n in COUNTS:
        values, errors, inputs, start = whole(rng, n, width), whole(rng, n), whole(rng, width), whole(rng, width)
        M, m0 = rows_in_nan(values, width + 16, dtype)
        e, e0 = rows_in_nan(errors[None], n, dtype)
        x, x0 = rows_in_nan(inputs[None], width, dtype)
        y = np.full(width + 40, UNTOUCHED, dtype)
        y[5 : 5 + width] = start
        function(y, 5, e, e0, x, x0, M, m0, width + 16, n, width)
        np.testing.assert_array_equal(y[5 : 5 + width], start + errors @ values)
        changed, _ = rows_in_nan(values + np.outer(errors, inputs), width + 16, dtype)
        np.testing.assert_array_equal(M, changed)  # and what lies between the rows is as it was
        assert (y[:5] == UNTOUCHED).all()
        assert (y[5 + width :] == UNTOUCHED).all()


# ---- a matrix times a vector


@pytest.mark.parametrize("n", COUNTS)
def test_downwards_is_upwards_to_the_last_bit(n):
    rng = np.random.default_rng(n)
    M, x = padded_matrix(rng.normal(size=(n, 48)).astype("f4")), rng.normal(size=48).astype("f4")
    upwards, downwards = np.full((2, n + 16), UNTOUCHED, "f4")
    _dot_by_pointer(upwards, 3, M, 0, 48, n, x, 0, 48)
    _dot_downwards_by_pointer(downwards, 3, M, 0, 48, n, x, 0, 48)
    np.testing.assert_array_equal(downwards, upwards)


@dot_kinds
@widths
def test_dot_rows_is_a_matrix_times_a_vector(function, dtype, width):
    rng = np.random.default_rng(width)
    for n in COUNTS:
        values, vector = whole(rng, n, width), whole(rng, width)
        M, m0 = rows_in_nan(values, width + 16, dtype, after=7 * (width + 16))
        x, x0 = rows_in_nan(vector[None], width, dtype)
        out = np.full(4 + n + 16, UNTOUCHED, dtype)
        function(out, 4, M, m0, width + 16, n, x, x0, width)
        np.testing.assert_array_equal(out[4 : 4 + n], values @ vector)
        assert (out[:4] == UNTOUCHED).all()
        # rows go by eights: what is beyond the last eight is left alone
        assert (out[4 + (n + 7) // 8 * 8 :] == UNTOUCHED).all()


@dot_each_kinds
@widths
def test_dot_rows_each_is_a_product_of_matrices(function, dtype, width):
    rng = np.random.default_rng(width)
    for n, n_x in [(0, 2), (1, 1), (1, 2), (3, 5), (8, 2), (9, 0), (9, 4), (20, 3)]:
        values, vectors = whole(rng, n, width), whole(rng, n_x, width)
        M, m0 = rows_in_nan(values, width, dtype, after=7 * width)
        x, x0 = rows_in_nan(vectors, width + 16, dtype)
        stride = (n + 7) // 8 * 8 + 5
        out = np.full((n_x + 2, stride), UNTOUCHED, dtype)
        function(out, stride, stride, M, m0, width, n, x, x0, width + 16, n_x, width)
        np.testing.assert_array_equal(out[1 : n_x + 1, :n], vectors @ values.T)
        assert (out[0] == UNTOUCHED).all()
        assert (out[n_x + 1] == UNTOUCHED).all()
        assert (out[:, (n + 7) // 8 * 8 :] == UNTOUCHED).all()


@settings(deadline=None, max_examples=50, derandomize=True)
@given(blocks=st.integers(1, 33), n=st.integers(0, 40), n_each=st.integers(0, 7), seed=st.integers(0, 2**32 - 1))
def test_real_numbers_differ_from_numpys_by_rounding_only(blocks, n, n_each, seed):
    rng, width, dtype = np.random.default_rng(seed), PAD * blocks, np.float32
    values, vectors = rng.normal(size=(n, width)).astype(dtype), rng.normal(size=(n_each, width)).astype(dtype)
    factors = rng.normal(size=(n_each, n)).astype(dtype)
    M = padded_matrix(values)
    rounding = 2 * np.finfo(dtype).eps

    out = np.zeros((n_each, padded(n) + 16), dtype)
    _dot_each_by_pointer(out, 0, padded(n) + 16, M, 0, width, n, vectors, 0, width, n_each, width)
    exact = vectors.astype(float) @ values.astype(float).T
    size = np.abs(vectors).astype(float) @ np.abs(values).astype(float).T
    assert (np.abs(out[:, :n] - exact) <= rounding * np.sqrt(width) * size).all()

    y = np.zeros((n_each, width), dtype)
    _add_to_each_by_pointer(y, 0, width, n_each, factors, 0, n, 1, M, 0, width, n, width)
    exact = factors.astype(float) @ values.astype(float)
    size = np.abs(factors).astype(float) @ np.abs(values).astype(float)
    assert (np.abs(y - exact) <= rounding * (1 + np.sqrt(n)) * size).all()


@pytest.mark.slow
def test_vectors_of_the_other_length_give_the_same(tmp_path):
    assert_passes_with_vectors_of_the_other_length(
        tmp_path, "corpora/test_simd.py", "rnnlm/test_online.py", "rnnlm/test_model.py"
    )
