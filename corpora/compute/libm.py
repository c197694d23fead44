"""Logarithms and exponentials by the C library: the same digits on every processor.

NumPy's own are vector code that differs in the last bit from one processor to another (AVX2, AVX-512).  Whatever is
promised to the digit, or decides what is drawn or written to a file, is computed here.  Arrays are float64 or float32
of any shape; for float32 these are the C library's float functions.
"""

from __future__ import annotations

import math

import numpy as np

from corpora.compute.jit import exact_kernel


@exact_kernel
def _exp_into(out, x):
    for i in range(x.size):
        out[i] = math.exp(x[i])


@exact_kernel
def _log_into(out, x):
    for i in range(x.size):
        out[i] = math.log(x[i])


@exact_kernel
def _log10_into(out, x):
    for i in range(x.size):
        out[i] = math.log10(x[i])


@exact_kernel
def _power10_into(out, x):
    for i in range(x.size):
        out[i] = math.pow(10.0, x[i])


@exact_kernel
def _log_sum_exp_into(out, terms):
    for i in range(out.size):
        top = -math.inf
        for k in range(terms.shape[0]):
            top = max(top, terms[k, i])
        shift = top if top > -math.inf else 0.0  # the largest term becomes 1: nothing underflows
        total = 0.0
        for k in range(terms.shape[0]):
            total += math.exp(terms[k, i] - shift)
        out[i] = math.log(total) + shift


def exp(x: np.ndarray) -> np.ndarray:
    """e**x of each element."""
    return _each(_exp_into, x)


def log(x: np.ndarray) -> np.ndarray:
    """The natural logarithm of each element; -inf for 0."""
    return _each(_log_into, x)


def log10(x: np.ndarray) -> np.ndarray:
    """The logarithm to base 10 of each element; -inf for 0."""
    return _each(_log10_into, x)


def power10(x: np.ndarray) -> np.ndarray:
    """10**x of each element of a float64 array."""
    return _each(_power10_into, x)


def log_sum_exp(terms: np.ndarray) -> np.ndarray:
    """log sum_k exp(terms[k, i]) for each i, (n,) float64, of natural logarithms (K, n) float64; NaN where one is."""
    out = np.empty(terms.shape[1])
    _log_sum_exp_into(out, terms)
    return out


def _each(kernel, x: np.ndarray) -> np.ndarray:
    out = np.empty(x.shape, x.dtype)
    kernel(out.reshape(-1), np.ascontiguousarray(x).reshape(-1))
    return out
