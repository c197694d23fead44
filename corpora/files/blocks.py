"""Blocks of a text file that threads make and, where the file's name says so, compress; put down in order."""

from __future__ import annotations

import gzip
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

_LEVEL = 6  # of gzip


def finisher(path: str) -> Callable[[bytes | memoryview], bytes | memoryview]:
    """What is done to each block of a file of this name: a gzip member is made of it, or nothing."""
    return _compressed if path.endswith(".gz") else memoryview


def in_order(pool: ThreadPoolExecutor, ahead: int, work: Callable, tasks: Iterable[tuple]) -> Iterator:
    """Yield ``work(*task)`` in task order, keeping up to ``ahead`` tasks in flight."""
    waiting: deque = deque()
    try:
        for task in tasks:
            waiting.append(pool.submit(work, *task))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def _compressed(data) -> bytes:
    return gzip.compress(data, _LEVEL, mtime=0)
