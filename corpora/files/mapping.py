"""Arrays in pages that the system was asked for: of files, or of none; what can be asked of it about them."""

from __future__ import annotations

import math
import mmap
from contextlib import suppress

import numpy as np

_POPULATE_READ = 22  # Linux 5.14; Python has no name for it


def mapping_of(array: np.ndarray) -> mmap.mmap | None:
    """The mapped file that an array is a view of; None where it lives in memory."""
    owner = array
    while owner is not None and not isinstance(owner, mmap.mmap):
        owner = owner.obj if isinstance(owner, memoryview) else getattr(owner, "base", None)
    return owner


def anonymous(shape: tuple[int, ...], dtype) -> np.ndarray:
    """Zeros in pages of their own, which ``discard`` gives back one by one; those never written take no memory."""
    dtype, n = np.dtype(dtype), math.prod(shape)
    mapping = pages(n * dtype.itemsize)
    return np.zeros(shape, dtype) if mapping is None else np.frombuffer(mapping, dtype, n).reshape(shape)


def pages(n_bytes: int) -> mmap.mmap | None:
    """Pages of no file, zeros until they are written; None of no bytes, and where the system has none that are private.

    MemoryError if there is no room.
    """
    if n_bytes == 0 or not hasattr(mmap, "MAP_ANONYMOUS"):
        return None
    try:
        mapping = mmap.mmap(-1, n_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except (OSError, OverflowError) as error:
        raise MemoryError(f"{n_bytes:,} bytes") from error
    with suppress(AttributeError, OSError):
        mapping.madvise(mmap.MADV_HUGEPAGE)  # as NumPy asks for its large arrays
    return mapping


def discard(array: np.ndarray) -> None:
    """Give the pages that lie in this part of an ``anonymous`` or mapped array back; what was in them is lost.

    A file loses it, too, and its place on the disk, where the array is writable and shared, and the system can.
    """
    mapping = mapping_of(array)
    if mapping is None or not hasattr(mapping, "madvise") or not array.size:
        return
    first, end = _place(mapping, array)
    first, end = -(-first // mmap.PAGESIZE) * mmap.PAGESIZE, end // mmap.PAGESIZE * mmap.PAGESIZE
    if end <= first:
        return
    for advice in ("MADV_REMOVE", "MADV_DONTNEED"):  # of no file, the first is refused
        with suppress(OSError, ValueError, AttributeError):
            mapping.madvise(getattr(mmap, advice), first, end - first)
            return


def give_back(array: np.ndarray) -> None:
    """Let the system take the pages of a mapped array; its content stays in the file."""
    _advise(array, getattr(mmap, "MADV_DONTNEED", None))


def populate(array: np.ndarray) -> None:
    """Map all pages of an array now: one by one, at their first use, takes many times as long."""
    _advise(array, _POPULATE_READ)


def _advise(array: np.ndarray, advice: int | None) -> None:
    mapping = mapping_of(array)
    if mapping is None or advice is None or not hasattr(mapping, "madvise") or not array.size:
        return
    first, end = _place(mapping, array)
    first -= first % mmap.PAGESIZE  # as madvise wants it
    with suppress(OSError, ValueError):  # not known to this system
        mapping.madvise(advice, first, end - first)


def _place(mapping: mmap.mmap, array: np.ndarray) -> tuple[int, int]:
    """Where an array begins and ends in its mapping, in bytes."""
    whole, _ = np.lib.array_utils.byte_bounds(np.frombuffer(mapping, np.uint8))
    first, end = np.lib.array_utils.byte_bounds(array)
    return first - whole, end - whole
