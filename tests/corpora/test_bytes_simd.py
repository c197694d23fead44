"""The intrinsics against Python's integers."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.compute import bytes_simd as simd
from corpora.compute.jit import exact_kernel

words = st.integers(0, 2**64 - 1)
compiles = settings(deadline=None)  # at its first call


@exact_kernel
def _separators(text):
    return simd.separator_mask(np.uint64(text.ctypes.data))


@exact_kernel
def _loads(text):
    address = np.uint64(text.ctypes.data) + np.uint64(1)
    simd.prefetch(address)
    return simd.load8(address), simd.load64(address)


@exact_kernel
def _bits(x, y):
    return simd.trailing_zeros(x), simd.bit_count(x), simd.multiply_mix(x, y)


@compiles
@given(st.lists(st.sampled_from(b" \t\n\r\x0b\x00a\x20\xa0\x89"), min_size=64, max_size=64))
def test_separators_are_space_tab_and_newline(text):
    expected = sum(1 << i for i, byte in enumerate(text) if byte in b" \t\n")
    assert _separators(np.array(text, np.uint8)) == expected


@compiles
@given(st.binary(min_size=9, max_size=9))
def test_loads_need_no_alignment_and_the_first_byte_is_lowest(text):
    array = np.frombuffer(text, np.uint8).copy()
    assert _loads(array) == (text[1], int.from_bytes(text[1:9], "little"))


@compiles
@given(words, words)
def test_bit_operations(x, y):
    zeros, ones, mixed = _bits(np.uint64(x), np.uint64(y))
    assert zeros == ((x & -x).bit_length() - 1 if x else 64)
    assert ones == x.bit_count()
    assert mixed == (x * y >> 64) ^ (x * y & (2**64 - 1))
