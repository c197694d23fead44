"""Calls of compiled functions from Python: whatever may be passed arrives, and nothing else passes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

from corpora.compute.jit import exact_kernel

pytestmark = pytest.mark.compiled
ROOT = Path(__file__).resolve().parents[2]
Pair = namedtuple("Pair", "values scale")


@exact_kernel
def same(x):
    return x


@exact_kernel
def double(x, out):
    for i in range(out.size):
        out.flat[i] = 2 * x.flat[i]


@exact_kernel
def shape_of(x):
    return x.shape[0], x.shape[1], x.strides[0], x.strides[1], x[1, 2], x.size, x.itemsize


@exact_kernel
def of_pairs(pairs, k):
    return pairs[0].values[k] * pairs[0].scale, pairs[1].values[k], k


@exact_kernel
def nothing():
    pass


@exact_kernel
def allocating(n):
    squares = np.empty(n, np.int64)
    for i in range(n):
        squares[i] = i * i
    return squares.sum()


@exact_kernel
def failing(x):
    if x < 0:
        raise ValueError("below zero")
    return x


@pytest.mark.parametrize(
    ("x", "kind"),
    [
        (5, int), (-(2**63), int), (2**63 - 1, int), (2**63, int), (2**64 - 1, int), (True, bool), (False, bool),
        (0.1, float), (-0.0, float), (float("inf"), float), (np.float32(0.1), float), (np.uint64(2**64 - 1), int),
        (np.int64(-3), int), (np.int32(-3), int), (np.uint32(2**32 - 1), int), (np.int8(-128), int),
        (np.uint8(255), int), (np.int16(-7), int), (np.uint16(65535), int), (np.bool_(True), bool),
        (np.float64(1e300), float),
    ],
    ids=repr,
)  # fmt: skip
def test_numbers_come_back_as_they_were(x, kind):
    result = same(x)
    assert type(result) is kind
    assert result == x
    assert np.signbit(result) == np.signbit(x)


def test_nan_comes_back():
    assert np.isnan(same(float("nan")))


@pytest.mark.parametrize("dtype", ["?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"])
def test_arrays_of_every_kind_of_number(dtype):
    x = np.array([[0, 1, 0], [1, 1, 0]], dtype)
    out = np.zeros_like(x)
    double(x, out)
    np.testing.assert_array_equal(out, (x + x).astype(dtype))


@pytest.mark.parametrize(
    "x",
    [
        np.arange(12.0).reshape(3, 4),
        np.arange(12.0).reshape(4, 3).T,
        np.arange(48.0).reshape(6, 8)[::2, 1::2],
        np.arange(12.0).reshape(3, 4)[::-1, ::-1],
    ],
    ids=["C", "Fortran", "with gaps", "backwards"],
)
def test_shape_and_strides_are_those_of_the_array(x):
    assert shape_of(x) == (*x.shape, *x.strides, x[1, 2], x.size, x.itemsize)


def test_empty_arrays_arrays_that_cannot_be_written_and_mapped_ones(tmp_path):
    double(np.empty(0), np.empty(0))
    fixed, out = np.arange(3.0), np.empty(3)
    fixed.flags.writeable = False
    double(fixed, out)
    assert out.tolist() == [0, 2, 4]
    fixed.tofile(tmp_path / "numbers")
    double(np.memmap(tmp_path / "numbers", float, "r"), out)
    assert out.tolist() == [0, 2, 4]


def test_tuples_go_in_by_their_members_and_come_out():
    first, second = Pair(np.arange(3.0), 0.5), Pair(np.arange(3, dtype=np.int32), 7)
    assert of_pairs((first, second), 2) == (1.0, 2, 2)
    assert nothing() is None


def test_memory_that_a_kernel_takes_for_itself_is_given_back():
    import resource

    assert allocating(1000) == sum(i * i for i in range(1000))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(200):
        allocating(1_000_000)  # 8 MB each time
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def test_an_exception_comes_out_of_a_kernel_and_the_next_call_works():
    with pytest.raises(ValueError, match=r"^below zero$"):
        failing(-1.0)
    assert failing(1.0) == 1.0


@pytest.mark.parametrize("x", [None, "text", [1, 2], np.zeros(2, ">f8"), np.zeros(2, "c16"), same, 2**64])
def test_anything_else_is_refused(x):
    with pytest.raises((TypeError, OverflowError)):
        same(x)


def test_code_that_is_kept_is_loaded_without_numba(tmp_path):
    code = """
import sys
import numpy as np
from corpora.compute import libm
print(libm.log10(np.array([1000.0]))[0], "numba" in sys.modules)
"""
    env = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    lines = [
        subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert lines == ["3.0 True\n", "3.0 False\n"]
