"""Kernels as Python sees them: called with arrays and numbers, loaded from a file or compiled at the first call.

A call goes straight to machine code; Numba is imported only to compile.  What is passed is described by a key: for each
argument the type of an array's elements, its dimensions and layout, or the type of a number; a tuple by its class and
its members.  For each key there is one piece of code.
"""

from __future__ import annotations

import functools
import struct
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from corpora.compute import code_cache

if TYPE_CHECKING:
    from corpora.compute.native import Code

_PAUSE = 0.02  # seconds between looks at what another process compiles
_NUMBERS = {
    bool: "?", np.bool_: "?", float: "d", np.float64: "d", np.float32: "f", int: "q",
    **{np.dtype(code).type: code for code in "bBhHiIqQlL" if np.dtype(code).itemsize < 8},
    np.int64: "q", np.uint64: "Q",
}  # fmt: skip
_ELEMENTS = {np.dtype(code): np.dtype(code).str for code in ("?", "b", "B", "h", "H", "i", "I", "q", "Q", "f", "d")}
# of numpy's flags: C- and Fortran-contiguous, aligned, writeable
_C, _F, _ALIGNED, _WRITEABLE = 0x1, 0x2, 0x100, 0x400
_LAYOUTS = {
    flags | _ALIGNED | writeable: ("C" if flags & _C else "F" if flags else "A") + ("" if writeable else "r")
    for flags in (0, _C, _F, _C | _F)
    for writeable in (0, _WRITEABLE)
}
_FLAGS = _C | _F | _ALIGNED | _WRITEABLE
_lock = threading.RLock()


class Stats(NamedTuple):
    """How many pieces of code a kernel has loaded from files, and how many it has compiled."""

    loaded: int
    compiled: int


class Kernel:
    """A function that is compiled for the arguments it is called with.

    Arguments: arrays of numbers, numbers, and (named) tuples of these, by position.  Results: nothing, a number, or a
    tuple of numbers.  TypeError for anything else.
    """

    def __init__(self, function, fastmath: frozenset[str], is_optimised_alone: bool):
        """``is_optimised_alone``: before it becomes a part of kernels that call it, which rounding can depend on."""
        functools.update_wrapper(self, function)
        self.py_func, self.fastmath, self.is_optimised_alone = function, fastmath, is_optimised_alone
        self.stats = Stats(0, 0)
        self._loaded: dict[tuple, object] = {}
        self._dispatcher = None

    def __call__(self, *args):
        key, values = [], []
        _describe(args, key, values)
        key = tuple(key)
        code = self._loaded.get(key)
        if code is None:
            code = self._prepare(key)
        try:
            return code(values)
        except struct.error:
            return self._call_with_large_numbers(args)

    @property
    def dispatcher(self):
        """Numba's own object for this function: what a kernel that calls it is compiled with."""
        if self._dispatcher is None:
            from corpora.compute import compiler

            with _lock:
                if self._dispatcher is None:
                    self._dispatcher = compiler.dispatcher_of(self)
        return self._dispatcher

    @property
    def _numba_type_(self):
        """What Numba asks for when a kernel that it compiles calls this one."""
        from corpora.compute import compiler

        return compiler.type_of_kernel(self)

    def _prepare(self, key: tuple):
        """The code for one key: loaded, or compiled and kept."""
        from corpora.compute import ahead, native

        with _lock:
            if key in self._loaded:
                return self._loaded[key]
            code, was_compiled = code_of(self, described(key), ahead.compile_another)
            self.stats = Stats(self.stats.loaded + (not was_compiled), self.stats.compiled + was_compiled)
            self._loaded[key] = native.callable_of(code)
            return self._loaded[key]

    def _call_with_large_numbers(self, args):
        """A call with an integer of 64 bits that has no sign."""
        args = tuple(np.uint64(x) if type(x) is int and x >= 1 << 63 else x for x in args)
        key, values = [], []
        _describe(args, key, values)
        return self._prepare(tuple(key))(values)


def code_of(kernel: Kernel, words: tuple, meanwhile: Callable[[], bool]) -> tuple[Code, bool]:
    """The code of a kernel for a key in words, and whether it was compiled here and not loaded.

    While another process compiles it ``meanwhile`` is called, which returns whether it found something to do.
    """
    while True:
        if code := _kept(kernel, words):
            return code, False
        with code_cache.claimed(kernel, words) as is_free:
            if is_free:
                from corpora.compute import ahead, compiler

                if code := _kept(kernel, words):  # between looking and claiming
                    return code, False
                ahead.start()
                code = compiler.compile_entry(kernel, words)
                code_cache.save(kernel, words, code)
                return code, True
        if not meanwhile():
            time.sleep(_PAUSE)


def _kept(kernel: Kernel, words: tuple) -> Code | None:
    from corpora.compute.native import Code

    found = code_cache.load(kernel, words)
    return Code(*found) if found is not None and len(found) == len(Code._fields) else None


def _describe(args, key: list, values: list) -> None:
    """Append to a key what the arguments are, and to the values the addresses of arrays, and numbers."""
    for x in args:
        kind = type(x)
        if kind is np.ndarray:
            key.append((x.dtype, x.ndim, x.flags.num & _FLAGS))
            values.append(id(x))
        elif kind in _NUMBERS:
            key.append(kind)
            values.append(x)
        elif isinstance(x, tuple):
            key.append(kind)
            key.append(len(x))
            _describe(x, key, values)
        elif isinstance(x, np.ndarray):
            key.append((x.dtype, x.ndim, x.flags.num & _FLAGS))
            values.append(id(x))
        else:
            raise TypeError(f"a kernel takes arrays, numbers and tuples of them, not {kind.__name__}")


def described(key: tuple) -> tuple:
    """A key in words that are the same in every process: strings, and for tuples (class, members)."""
    rest = list(key)
    found = []
    while rest:
        found.append(_first(rest))
    return tuple(found)


def _first(rest: list):
    part = rest.pop(0)
    if isinstance(part, tuple):
        dtype, ndim, flags = part
        if dtype not in _ELEMENTS or flags not in _LAYOUTS:
            raise TypeError(f"a kernel takes aligned arrays of numbers, not of {dtype!r}")
        return f"{_ELEMENTS[dtype]} {ndim} {_LAYOUTS[flags]}"
    if part in _NUMBERS:
        return _NUMBERS[part]
    return f"{part.__module__}.{part.__qualname__}", tuple(_first(rest) for _ in range(rest.pop(0)))
