"""Work that is shared out among threads, evenly and in fixed places: kernels run without the interpreter's lock."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np

from corpora.compute.matmul import ROWS, panel_width, room_for_products
from corpora.compute.simd import aligned_zeros


class Workers:
    """``n`` threads, the calling one among them, each with scratch of its own: ``room`` and ``tile`` for products."""

    def __init__(self, n: int, dtype):
        self.n = max(1, n)
        self._pool = ThreadPoolExecutor(self.n - 1) if self.n > 1 else None
        self._scratch = [
            SimpleNamespace(
                room=room_for_products(dtype), tile=aligned_zeros((ROWS * panel_width(np.dtype(dtype)),), dtype)
            )
            for _ in range(self.n)
        ]

    def share(self, work: Callable, n: int, unit: int = 1) -> None:
        """``work(begin, end, scratch)`` for parts of 0 to n, whose bounds are multiples of ``unit``; returns after all.

        The parts depend on the number of threads, so that what is computed for one must not depend on its part.
        """
        if self.n == 1:  # small blocks come often
            if n > 0:
                work(0, n, self._scratch[0])
            return
        units = -(-n // unit)
        bounds = [min(n, -(-units * k // self.n) * unit) for k in range(self.n + 1)]
        jobs = [
            self._pool.submit(work, bounds[k], bounds[k + 1], self._scratch[k])
            for k in range(1, self.n)
            if bounds[k] < bounds[k + 1]
        ]
        try:
            if bounds[1] > 0:
                work(0, bounds[1], self._scratch[0])
        finally:
            for job in jobs:
                job.result()

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()
