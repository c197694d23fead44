"""Kernels as plain Python, for NUMBA_DISABLE_JIT=1: to step through, and to measure which lines tests reach.

What compiled code does and Python does not is made up for where a kernel is entered: numbers are NumPy's, so that
they have 64 bits and wrap around; elements of narrower integers are read as wide ones; nothing is said of overflow.
"""

from __future__ import annotations

import functools
import math
import os
import threading
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np

DISABLED = os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")


class Intrinsic:
    """What Numba compiles by a ``definition`` of ours, with a twin that does the same to arrays and NumPy's scalars."""

    def __init__(self, definition: Callable, twin: Callable):
        functools.update_wrapper(self, definition)
        self.definition, self.plain = definition, twin

    @functools.cached_property
    def _numba_type_(self):
        """What Numba asks for when a kernel that it compiles calls this."""
        from corpora.compute import compiler

        return compiler.type_of_intrinsic(self.definition)


def intrinsic(twin: Callable):
    """Numba's ``intrinsic``, made when it is compiled; with NUMBA_DISABLE_JIT=1, the twin in its place."""
    return lambda definition: twin if DISABLED else Intrinsic(definition, twin)


class Widened(np.ndarray):
    """Integers below 64 bits: as operands they are extended, as in compiled code."""

    def __getitem__(self, at):
        """An element as a Python integer, if it is unsigned, so that the other operand decides; else as an int64.

        Two unsigned elements do not wrap around, which in compiled code happens below 0 and beyond 64 bits.
        """
        value = super().__getitem__(at)
        if not isinstance(value, np.integer):
            return value
        return int(value) if self.dtype.kind == "u" else np.int64(value)


def flat(a: np.ndarray) -> np.ndarray:
    """What a kernel sees at an array's address: its elements in the order of memory."""
    if not a.flags.c_contiguous:
        raise ValueError("a kernel takes the address of an array that is not contiguous")
    return a if a.ndim == 1 else a.reshape(-1)


def _array_argument(a):
    return a.view(Widened) if a.dtype.kind in "iu" and a.dtype.itemsize < 8 else a


def _tuple_argument(values):
    return _tuple_of(type(values), map(_argument, values))


def _tuple_of(kind, values):
    return kind._make(values) if hasattr(kind, "_make") else kind(values)


_ARGUMENTS = {
    int: lambda x: np.int64(x) if x < 1 << 63 else np.uint64(x),
    float: np.float64,
    np.ndarray: _array_argument,
    np.memmap: lambda a: _array_argument(a.view(np.ndarray)),
    tuple: _tuple_argument,
    **dict.fromkeys((np.int8, np.int16, np.int32), np.int64),
    **dict.fromkeys((np.uint8, np.uint16, np.uint32), np.uint64),
}


def _argument(value):
    make = _ARGUMENTS.get(type(value))
    if make is None:
        return _tuple_argument(value) if isinstance(value, tuple) else value
    return make(value)


def _result(value):
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Widened):
        return value.view(np.ndarray)
    return _tuple_of(type(value), map(_result, value)) if isinstance(value, tuple) else value


def _as_in_c(function, of_arrays):
    """A function of ``math`` that gives inf or nan where Python raises, and a float32 of a float32."""

    def call(*values):
        try:
            result = np.float64(function(*values))
        except (ValueError, OverflowError):
            result = of_arrays(*map(np.float64, values))
        return np.float32(result) if all(isinstance(value, np.float32) for value in values) else result

    return call


_CALLS = ("exp", "expm1", "log", "log10", "log1p", "log2", "pow", "sqrt")
_MATH = SimpleNamespace(**vars(math) | {name: _as_in_c(getattr(math, name), getattr(np, name)) for name in _CALLS})

_entered = threading.local()


def plain_kernel(function):
    """The function with arguments and results as if it were compiled."""
    if function.__globals__.get("math") is math:
        function.__globals__["math"] = _MATH  # so that a debugger sees the function itself, not a copy with other names

    @functools.wraps(function)
    def run(*args):
        args = map(_argument, args)
        if getattr(_entered, "inside", False):
            return function(*args)
        _entered.inside = True
        try:
            with np.errstate(all="ignore"):
                return _result(function(*args))
        finally:
            _entered.inside = False

    return run
