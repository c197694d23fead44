"""What the intrinsics of ``corpora.compute.simd`` do, on arrays: see ``corpora.compute.plain``."""

from __future__ import annotations

import ctypes

import numpy as np

from corpora.compute.machine import VECTOR_BYTES
from corpora.compute.plain import flat


def pointer(a):
    return flat(a)


def scalar(a, value):
    return a.dtype.type(value)


def load(a, i):
    a = flat(a)
    return a[i] if 0 <= i < a.size else part(a, i, 1)[0]


def store(a, i, value):
    a = flat(a)
    if 0 <= i < a.size:
        a[i] = value
    else:
        part(a, i, 1)[0] = value


def part(a, at, width):
    """A view of ``width`` elements from a position on; like an address, it can lie outside of the array."""
    a = flat(a)
    if at >= 0 and at + width <= a.size:
        return a[at : at + width]
    memory = (ctypes.c_char * int(width * a.itemsize)).from_address(a.ctypes.data + int(at) * a.itemsize)
    return np.frombuffer(memory, a.dtype).view(type(a))


def prefetch_at(a, i):
    pass


def lanes_of(a):
    return np.int64(VECTOR_BYTES // a.dtype.itemsize)


def largest(a, i, n):
    return part(a, i, n).max()
