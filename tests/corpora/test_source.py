"""Model files as buffers: small ones are read, so that nothing another program does to the file can end this one."""

import mmap
import os

import numpy as np
import pytest

from corpora.files import source
from corpora.files.mapping import mapping_of
from corpora.files.source import PREFIX, Source

CONTENT = bytes(range(251)) * 1000


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "model"
    path.write_bytes(CONTENT)
    return path


def test_a_small_file_that_is_cut_off_while_it_is_in_use_stays_whole_in_memory(path):
    assert len(CONTENT) > PREFIX
    with Source(path) as opened:
        array = np.frombuffer(opened.data, np.uint8)
    os.truncate(path, 0)
    assert array.tobytes() == CONTENT


@pytest.mark.skipif(not hasattr(mmap, "MAP_ANONYMOUS"), reason="needs private pages of no file")
def test_arrays_lie_as_they_would_in_the_mapped_file_and_can_be_written(path):
    with Source(path) as opened:
        array = np.frombuffer(opened.data, np.uint8)
    assert array.ctypes.data % mmap.PAGESIZE == 0
    assert mapping_of(array) is not None
    array[0] = 77
    assert path.read_bytes() == CONTENT


def test_a_large_file_is_mapped_and_writing_to_it_does_not_reach_the_file(path, monkeypatch):
    monkeypatch.setattr(source, "MAPPED", 1 << 10)
    with Source(path) as opened:
        array = np.frombuffer(opened.data, np.uint8)
    array[0] = 77
    assert array[1:].tobytes() == CONTENT[1:]
    assert path.read_bytes() == CONTENT
