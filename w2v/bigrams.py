"""Counting, joining and writing pairs of words: the kernels of ``phrases``.

N tokens, V words, R ranks, C connectors, G infixes, S slots
ids    (N,) int32: the text; 0 is a line end
codes  (V,) int32: 0, the word takes part in no phrase; 1 ... R - 1, the rank of one that can begin or end a
       phrase; -1 ... -C, a connector, which can only stand inside one.  codes[0] is 0
infix  the run of connectors between the two words as a number to the base C + 1, 0 for none; at most LONGEST
       connectors, so G = (C + 1)^LONGEST; a longer run separates
key    (first rank * R + second rank) * G + infix, never 0
table  (S, 2) uint64, S a power of two, open addressing: key and value; key 0 is a free slot
"""

from __future__ import annotations

import numpy as np

from corpora.compute.bytes_simd import load64, multiply_mix, prefetch, store8, store64
from corpora.compute.jit import exact_kernel

POSITION, ENTRIES, FIRST, INFIX = range(4)
STATE = 4
LONGEST = 3
PADDING = 8  # bytes that may be read and written beyond the last word

_U = np.uint64
_K0, _K1 = _U(0xA0761D6478BD642F), _U(0xE7037ED1A0B428DB)  # wyhash's: odd, half of the bits set
_SLOT_BYTES = _U(16)
_BATCH = 64  # keys whose cache lines are asked for together


@exact_kernel
def _hash(key):
    return multiply_mix(key ^ _K0, _K1)


@exact_kernel
def _slot_of(key, hashed, table, shift):
    """The slot of a key, or the free one where it belongs."""
    last = _U(table.shape[0] - 1)
    slot = hashed >> shift
    while table[slot, 0] != key and table[slot, 0] != _U(0):
        slot = (slot + _U(1)) & last
    return slot


@exact_kernel
def _longer_infix(infix, connector, n_connectors):
    """The run of connectors with one more, -1 where that is one too many."""
    base = n_connectors + 1
    if infix < 0 or infix >= base ** (LONGEST - 1):
        return np.int64(-1)
    return infix * base + connector


@exact_kernel
def count_pairs(ids, end, codes, ranks, n_connectors, across, part, mask, limit, table, shift, state):
    """Count the pairs of ids[state[POSITION]:end] whose hash, under ``mask``, is ``part``.

    ``across``: a line end does not separate.  table: values are counts.  state: FIRST is the rank before
    the position (0: none) and INFIX what stood after it; both, POSITION and ENTRIES are kept between calls.
    Returns with state[POSITION] < end where the table might have more than ``limit`` entries.
    """
    keys = np.empty(_BATCH, np.uint64)
    hashes = np.empty(_BATCH, np.uint64)
    infixes = _U((n_connectors + 1) ** LONGEST)
    position, first, infix = _U(state[POSITION]), np.int64(state[FIRST]), np.int64(state[INFIX])
    at = _U(table.ctypes.data)
    while position < _U(end) and state[ENTRIES] + _BATCH <= limit:
        n = _U(0)
        while position < _U(end) and n < _U(_BATCH):
            word = ids[position]
            position += _U(1)
            code = np.int64(codes[word])
            if code > 0:
                if first > 0 and infix >= 0:
                    key = (_U(first) * _U(ranks) + _U(code)) * infixes + _U(infix)
                    hashed = _hash(key)
                    if hashed & _U(mask) == _U(part):
                        keys[n] = key
                        hashes[n] = hashed
                        prefetch(at + (hashed >> shift) * _SLOT_BYTES)
                        n += _U(1)
                first = code
                infix = np.int64(0)
            elif code < 0:
                infix = _longer_infix(infix, -code, n_connectors)
            elif word != 0 or not across:
                first = np.int64(0)
        for j in range(n):
            slot = _slot_of(keys[j], hashes[j], table, shift)
            if table[slot, 0] == _U(0):
                table[slot, 0] = keys[j]
                state[ENTRIES] += 1
            table[slot, 1] += _U(1)
    state[POSITION], state[FIRST], state[INFIX] = position, first, infix


@exact_kernel
def copy_entries(table, part, mask, new, shift):
    """Enter the entries of a table whose hash, under ``mask``, is ``part`` into an empty one; their number."""
    entries = 0
    for old in range(_U(table.shape[0])):
        key = table[old, 0]
        if key != _U(0):
            hashed = _hash(key)
            if hashed & _U(mask) == _U(part):
                slot = _slot_of(key, hashed, new, shift)
                new[slot, 0] = key
                new[slot, 1] = table[old, 1]
                entries += 1
    return entries


@exact_kernel
def fill_table(keys, values, table, shift):
    """Enter keys (n,) uint64, all different, with their values (n,) into an empty table."""
    for i in range(_U(keys.size)):
        slot = _slot_of(keys[i], _hash(keys[i]), table, shift)
        table[slot, 0] = keys[i]
        table[slot, 1] = values[i]


@exact_kernel
def join_pairs(ids, start, end, written, codes, ranks, n_connectors, table, shift, counts):
    """Put one word in place of each pair in the table, greedily from left to right, in ids[start:end].

    start is the beginning of a line, and ids[end - 1] the end of one, or the text's.  A joined word begins no
    other pair, and no pair crosses a line end.  table: values are the ids of joined words.
    ids from ``written`` <= start on, overwritten; counts (words after joining,) int64: brought up to date.
    Returns the new end of what is written.
    """
    infixes = _U((n_connectors + 1) ** LONGEST)
    w = _U(written)
    first, infix, begin = np.int64(0), np.int64(0), _U(0)
    for position in range(_U(start), _U(end)):
        word = ids[position]
        code = np.int64(codes[word])
        if code > 0 and first > 0 and infix >= 0:
            key = (_U(first) * _U(ranks) + _U(code)) * infixes + _U(infix)
            slot = _slot_of(key, _hash(key), table, shift)
            if table[slot, 0] != _U(0):
                counts[word] -= 1
                for k in range(begin, w):
                    counts[ids[k]] -= 1
                ids[begin] = table[slot, 1]
                counts[ids[begin]] += 1
                w = begin + _U(1)
                first = np.int64(0)
                continue
        if code >= 0:
            first, infix, begin = code, np.int64(0), w
        else:
            infix = _longer_infix(infix, -code, n_connectors)
        ids[w] = word
        w += _U(1)
    return np.int64(w)


@exact_kernel
def write_words(ids, start, blob, offsets, space_first, fresh, out):
    """Write the words of ids[start:] with a space before each, line ends as newlines, into out (uint8).

    ``space_first``: also before the first word of a line.  ``fresh``: whether a line begins at start.
    blob, the words at offsets (V + 1,) int64, and out have PADDING bytes more than count.
    Returns the next position, the bytes written and the new ``fresh``: it ends early where the next word does not fit.
    """
    source, target = _U(blob.ctypes.data), _U(out.ctypes.data)
    room = _U(out.size - PADDING)
    o = _U(0)
    for i in range(_U(start), _U(ids.size)):
        word = _U(ids[i])
        if word == _U(0):
            if o + _U(1) > room:
                return np.int64(i), np.int64(o), fresh
            store8(target + o, _U(10))
            o += _U(1)
            fresh = True
            continue
        address = source + _U(offsets[word])
        length = _U(offsets[word + _U(1)] - offsets[word])
        if o + length + _U(1) > room:
            return np.int64(i), np.int64(o), fresh
        if space_first or not fresh:
            store8(target + o, _U(32))
            o += _U(1)
        fresh = False
        for k in range(_U(0), length, _U(8)):
            store64(target + o + k, load64(address + k))
        o += length
    return np.int64(ids.size), np.int64(o), fresh


@exact_kernel
def hash_words(blob, offsets, multiplier, hashes):
    """hashes (V,) uint64, overwritten: the polynomial of each word's bytes, the last one's power 0, modulo 2^64."""
    for i in range(_U(hashes.size)):
        value = _U(0)
        for k in range(_U(offsets[i]), _U(offsets[i + _U(1)])):
            value = value * multiplier + _U(blob[k]) + _U(1)
        hashes[i] = value
