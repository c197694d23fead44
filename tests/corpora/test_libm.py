"""Logarithms and exponentials are the C library's, to the bit."""

from __future__ import annotations

import ctypes
import ctypes.util
import math

import numpy as np
import pytest

from corpora.compute import libm

X = np.concatenate([np.random.default_rng(1).uniform(1e-9, 1, 4000), np.geomspace(1e-300, 1e300, 999), [1.0, 10.0]])


@pytest.mark.parametrize(
    ("function", "reference", "x"),
    [
        (libm.log, math.log, X),
        (libm.log10, math.log10, X),
        (libm.exp, math.exp, np.random.default_rng(2).uniform(-700, 700, 4000)),
        (libm.power10, lambda x: math.pow(10.0, x), np.random.default_rng(3).uniform(-300, 300, 4000)),
    ],
    ids=["log", "log10", "exp", "power10"],
)
def test_of_float64_they_are_pythons_math(function, reference, x):
    assert function(x).tolist() == [reference(value) for value in x.tolist()]


@pytest.mark.compiled
def test_of_float32_they_are_the_c_librarys_float_functions():
    path = ctypes.util.find_library("m")
    if path is None:
        pytest.skip("no C library of mathematics to ask")
    log10f = ctypes.CDLL(path).log10f
    log10f.argtypes, log10f.restype = [ctypes.c_float], ctypes.c_float
    x = np.random.default_rng(4).uniform(1e-6, 1, 5000).astype(np.float32)
    found = libm.log10(x)
    assert found.dtype == np.float32
    assert found.tolist() == [log10f(value) for value in x.tolist()]


def test_shapes_stay_and_zero_has_the_logarithm_minus_infinity():
    x = np.array([[0.0, 1.0], [100.0, 0.1]])
    assert libm.log10(x).tolist() == [[-math.inf, 0.0], [2.0, -1.0]]
    assert libm.log10(x.T).tolist() == [[-math.inf, 2.0], [0.0, -1.0]]
    assert libm.log(np.empty(0)).shape == (0,)


def test_sums_of_exponentials_neither_overflow_nor_underflow():
    terms = np.log([[0.25, 1e-300], [0.5, 3e-300]])
    assert libm.log_sum_exp(terms) == pytest.approx([math.log(0.75), math.log(4e-300)], abs=1e-12)
    assert libm.log_sum_exp(np.array([[-2000.0, -math.inf], [-2000.0, -math.inf]])).tolist() == [
        -2000.0 + math.log(2),
        -math.inf,
    ]
