"""Where the fields and lines of a text end."""

from __future__ import annotations

import numpy as np

from corpora.compute.bytes_simd import bit_count, separator_mask, trailing_zeros
from corpora.compute.jit import exact_kernel

_U = np.uint64


@exact_kernel
def find_separators(address, size, ends):
    """ends (size + 64,) uint32, overwritten: where the spaces, tabs and newlines of a piece are; their number."""
    n = _U(0)
    for position in range(_U(0), _U(size), _U(64)):
        mask = separator_mask(_U(address) + position)
        left = _U(size) - position
        if left < _U(64):
            mask &= (_U(1) << left) - _U(1)
        found = bit_count(mask)
        done = _U(0)
        while done < found:  # eight at a time whether there are or not: few mispredicted branches
            for k in range(_U(8)):
                ends[n + done + k] = np.uint32(position + trailing_zeros(mask))
                mask &= mask - _U(1)
            done += _U(8)
        n += found
    return n
