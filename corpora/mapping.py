"""What can be asked of the system about arrays that are mapped from files."""

from __future__ import annotations

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


def give_back(array: np.ndarray) -> None:
    """Let the system take the pages of a mapped array; its content stays in the file."""
    _advise(array, getattr(mmap, "MADV_DONTNEED", None))


def populate(array: np.ndarray) -> None:
    """Map all pages of an array's file now: one by one, at their first use, takes many times as long."""
    _advise(array, _POPULATE_READ)


def _advise(array: np.ndarray, advice: int | None) -> None:
    mapping = mapping_of(array)
    if mapping is not None and advice is not None and hasattr(mapping, "madvise"):
        with suppress(OSError, ValueError):  # not known to this system
            mapping.madvise(advice)
