"""Sums over the members of clusters: a kernel.  B rows of a block, d dimensions, k clusters."""

from __future__ import annotations

import numpy as np

from corpora.compute.jit import kernel

_U = np.uint64


@kernel
def add_members(rows, scales, classes, sums, counts):
    """Add rows (B, d), each times its scale (B,), to the sums (k, d) float64 of their classes (B,); count them.

    sums and counts (k,) int64: brought up to date.
    """
    for i in range(_U(rows.shape[0])):
        c = _U(classes[i])
        scale = np.float64(scales[i])
        counts[c] += 1
        for j in range(_U(rows.shape[1])):
            sums[c, j] += scale * np.float64(rows[i, j])
