"""Memory that is given back to the system."""

from __future__ import annotations

import ctypes
import mmap
import os

import numpy as np
import pytest

from corpora.files.mapping import anonymous, discard, give_back
from corpora.jobs.system import trim_memory

PAGES = 64
SIZE = PAGES * mmap.PAGESIZE


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "numbers"
    path.write_bytes(bytes(range(1, 129)) * (SIZE // 128))
    with open(path, "rb") as file:
        os.fsync(file.fileno())
    return path


def test_what_is_discarded_in_memory_is_zeros_again():
    array = anonymous((SIZE,), np.uint8)
    array[:] = 7
    discard(array[mmap.PAGESIZE + 1 : 3 * mmap.PAGESIZE + 1])  # only one page lies in it as a whole
    expected = np.full(SIZE, 7, np.uint8)
    expected[2 * mmap.PAGESIZE : 3 * mmap.PAGESIZE] = 0
    assert np.array_equal(array, expected)


def test_an_array_in_no_mapping_is_left_alone():
    array = np.arange(10)
    discard(array)
    give_back(array)
    assert np.array_equal(array, np.arange(10))


def test_a_file_that_is_mapped_to_be_read_keeps_its_content(path):
    before = path.read_bytes()
    for mode in ("r", "c"):
        array = np.memmap(path, np.uint8, mode)
        discard(array)
        assert array.tobytes() == before
    assert path.read_bytes() == before


def test_what_is_given_back_of_a_file_stays_in_it(path):
    array = np.memmap(path, np.uint8, "r+")
    array[5] = 200
    give_back(array)
    assert array[5] == 200


def test_what_is_discarded_of_a_file_no_longer_takes_its_place(path):
    before, blocks = path.read_bytes(), path.stat().st_blocks
    array = np.memmap(path, np.uint8, "r+")
    half = SIZE // 2
    discard(array[:half])
    assert path.stat().st_size == SIZE
    assert path.read_bytes()[half:] == before[half:]
    if path.read_bytes()[:half] != before[:half]:  # where the file system can
        assert path.read_bytes()[:half] == bytes(half)
        assert path.stat().st_blocks < blocks or blocks == 0


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="the system does not tell")
def test_memory_that_was_freed_can_be_given_back():
    def resident() -> int:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * mmap.PAGESIZE

    pieces = [np.ones(4000) for _ in range(2000)]  # 64 MB, below what has pages of its own
    kept = pieces[-1]
    before = resident()
    del pieces
    trim_memory()
    assert kept.sum() == 4000
    if hasattr(ctypes.CDLL(None), "malloc_trim"):
        assert resident() < before - 40e6
