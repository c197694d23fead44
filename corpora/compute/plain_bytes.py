"""What the intrinsics of ``corpora.compute.bytes_simd`` do, on memory by its address: see ``corpora.compute.plain``."""

from __future__ import annotations

import ctypes

import numpy as np

_U = np.uint64
_ALL = (1 << 64) - 1


def load64(address):
    return _U(int.from_bytes(ctypes.string_at(int(address), 8), "little"))


def load8(address):
    return _U(ctypes.string_at(int(address), 1)[0])


def load32(address):
    return _U(int.from_bytes(ctypes.string_at(int(address), 4), "little"))


def load_float32(address):
    return np.frombuffer(ctypes.string_at(int(address), 4), np.float32)[0]


def below(rows: int):
    def below(address, limit):
        first = np.frombuffer(ctypes.string_at(int(address), 64), np.uint32)[:: 16 // rows]
        return _U(sum(1 << k for k, word in enumerate(first) if word < limit))

    return below


def store64(address, x):
    ctypes.memmove(int(address), int(x).to_bytes(8, "little"), 8)


def store8(address, x):
    ctypes.memmove(int(address), bytes([int(x) & 255]), 1)


def separator_mask(address):
    return _U(sum(1 << k for k, byte in enumerate(ctypes.string_at(int(address), 64)) if byte in b" \t\n"))


def trailing_zeros(x):
    x = int(x)
    return _U((x & -x).bit_length() - 1 if x else 64)


def leading_zeros(x):
    return _U(64 - int(x).bit_length())


def bit_count(x):
    return _U(int(x).bit_count())


def multiply_mix(x, y):
    product = int(x) * int(y)
    return _U((product ^ product >> 64) & _ALL)


def prefetch(address):
    pass
