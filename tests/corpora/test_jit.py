"""exp and log32 of corpora.compute.jit against the C library's long double."""

import numpy as np
import pytest

from corpora.compute.jit import exp, kernel, log32

DTYPES = ["float32", "float64"]


@kernel
def _exps(x, out):
    for i in range(x.size):
        out[i] = exp(x[i])


def exps(values, dtype):
    x = np.asarray(values, dtype)
    out = np.full_like(x, -1)
    _exps(x, out)
    return x, out


# where it clamps, and what its documentation promises
LIMITS = {"float32": (-87.0, 88.0), "float64": (-700.0, 700.0)}
PROMISED = {"float32": 2e-7, "float64": 4e-16}


@pytest.mark.compiled
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("span", [1.0, 1e-3, 1e-9])
def test_the_relative_error_of_exp_is_as_small_as_promised(dtype, span):
    low, high = LIMITS[dtype]
    x, mine = exps(np.random.default_rng(0).uniform(low * span, high * span, 200_000), dtype)
    exact = np.exp(x.astype(np.longdouble))
    error = np.abs(mine.astype(np.longdouble) / exact - 1).max()
    # where long double is no longer than double the reference itself is half a unit off
    assert error < PROMISED[dtype] + np.finfo(np.longdouble).eps


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_relative_error_is_as_small_where_the_range_reduction_changes(dtype):
    # half-way between two multiples of log 2, and at its multiples
    low, high = LIMITS[dtype]
    middles = np.arange(np.ceil(2 * low / np.log(2)), np.floor(2 * high / np.log(2))) * np.log(2) / 2
    x = np.asarray(middles, dtype)
    x, mine = exps(np.concatenate([x, np.nextafter(x, x.dtype.type(0))]), dtype)
    error = np.abs(mine.astype(np.longdouble) / np.exp(x.astype(np.longdouble)) - 1).max()
    assert error < PROMISED[dtype] + np.finfo(np.longdouble).eps


@pytest.mark.parametrize("dtype", DTYPES)
def test_exp_of_zero_is_one(dtype):
    _, mine = exps([0.0, -0.0], dtype)
    assert (mine == 1).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_arguments_beyond_the_limits_count_as_the_limits(dtype):
    low, high = LIMITS[dtype]
    huge = np.finfo(dtype).max
    _, mine = exps([low, low - 1, -huge, -np.inf, high, high + 1, huge, np.inf], dtype)
    np.testing.assert_array_equal(mine[:4], mine[0])
    np.testing.assert_array_equal(mine[4:], mine[4])
    assert np.isfinite(mine).all()
    assert mine.min() > np.finfo(dtype).tiny  # a normal number: subnormal ones are slow
    np.testing.assert_allclose(mine[[0, 4]].astype(float), np.exp(np.array([low, high])), rtol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 5, 16, 67])
def test_nan_stays_nan_alone_and_among_numbers(dtype, n):
    # in the vector part of a loop and in what is left over
    for at in range(n):
        x = np.zeros(n)
        x[at] = np.nan
        _, mine = exps(x, dtype)
        assert np.isnan(mine[at])
        assert np.isfinite(np.delete(mine, at)).all()


@pytest.mark.compiled
@pytest.mark.parametrize("dtype", DTYPES)
def test_exp_never_falls_where_its_argument_grows(dtype):
    # a step of at least the promised error, so that rounding cannot turn the order
    low, high = LIMITS[dtype]
    x, mine = exps(np.linspace(low, high, 400_000), dtype)
    grows = np.diff(x.astype(float)) > 4 * PROMISED[dtype]
    assert (np.diff(mine)[grows] > 0).all()


def test_outside_a_kernel_exp_is_numpys():
    x = np.linspace(-3, 3, 7)
    np.testing.assert_array_equal(exp(x), np.exp(x))


# ---- the logarithm of float32


@kernel
def _logs(x, out):
    for i in range(x.size):
        out[i] = log32(x[i])


def logs(values):
    x = np.asarray(values, "float32")
    out = np.full_like(x, -1)
    _logs(x, out)
    return x, out


def floats(first, last, step=1):
    """The float32 from first to last, every ``step``-th of them."""
    ends = np.array([first, last], "float32").view(np.uint32)
    return np.arange(*ends, step, dtype=np.uint32).view("float32")


@pytest.mark.compiled
@pytest.mark.parametrize(
    "x",
    [
        pytest.param(floats(0.5, 4.0, 11), id="around 1"),  # where the error is largest, beside 1.42 and 2.81
        pytest.param(floats(1 - 1e-3, 1 + 1e-3), id="next to 1"),
        pytest.param(floats(2**0.5 - 1e-3, 2**0.5 + 1e-3), id="where the mantissa's range ends"),
        pytest.param(floats(np.finfo("float32").tiny, np.finfo("float32").max, 2111), id="all normal numbers"),
    ],
)
def test_the_error_of_log32_is_as_small_as_promised(x):
    x, mine = logs(x)
    exact = np.log(x.astype(np.longdouble))
    assert x.size > 10_000
    assert (np.abs(mine - exact) / np.maximum(1, np.abs(exact))).max() < 1.5e-7


def test_log32_of_one_is_zero():
    assert logs([1.0] * 9)[1].tolist() == [0.0] * 9


@pytest.mark.parametrize("n", [1, 5, 16, 67])
def test_log32_of_nan_is_nan_alone_and_among_numbers(n):
    for at in range(n):
        x = np.ones(n)
        x[at] = np.nan
        _, mine = logs(x)
        assert np.isnan(mine[at])
        assert (np.delete(mine, at) == 0).all()
