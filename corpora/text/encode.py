"""Bytes to word ids: the kernels over the hash table of ``word_hash``.

A word of at most 15 bytes is its own key of 16 bytes: the bytes, and the length in the last one.  A
longer word's key is a 64-bit hash with its length, and its bytes lie in an arena to compare.  Text is
taken in batches: first all separators are found, 64 bytes at a time, then all keys are made and the
table's lines asked for, then all words are looked up, when the lines have arrived.

The table, as these kernels see it (E entries, a power of two of S slots; entry 0 means "none"):
    slots    (S,) uint32: the entry at each hash value, or at the next free place after it
    shift    64 - log2(S): the upper bits of a hash are its slot
    records  (E, 4) uint64: low key, high key, count, place in the arena (of long words)
    arena    uint8: the bytes of long words
    first    (E,) int64: where in the text a word appeared first
    state    (6,) int64: the fields named below, kept from one call to the next
Address arithmetic is in uint64 throughout; texts have PADDING readable bytes beyond their end.
"""

from __future__ import annotations

import numpy as np

from corpora.compute.bytes_simd import (
    bit_count,
    load8,
    load64,
    multiply_mix,
    prefetch,
    separator_mask,
    store64,
    trailing_zeros,
)
from corpora.compute.jit import exact_kernel

POSITION, ENTRIES, ARENA_TOP, WRITTEN, UNKNOWN, ARENA_NEED = range(6)

BATCH = 192  # separators: the cache lines that they ask for must fit into the first level
_BLOCK = 64  # bytes whose separators are found at once; all of them may be separators
# every separator can end a word and be a newline; the ends are written eight at a time
ROOM = 2 * (BATCH + _BLOCK) + 8  # new words of one batch at most

_U = np.uint64
_K0, _K1 = _U(0xA0761D6478BD642F), _U(0xE7037ED1A0B428DB)  # wyhash's: odd, half of the bits set
_SHORT = _U(15)
_LONG = _U(16)  # in place of a short word's length
_LENGTH_SHIFT = _U(56)
_LOW_MASK = np.array([(1 << 8 * min(length, 8)) - 1 for length in range(16)], np.uint64)
_HIGH_MASK = np.array([(1 << 8 * max(length - 8, 0)) - 1 for length in range(16)], np.uint64)
_COUNT, _PLACE = _U(2), _U(3)
_RECORD_BYTES, _SLOT_BYTES = _U(32), _U(4)


@exact_kernel
def _short_key(address, length):
    low = load64(address) & _LOW_MASK[length]
    high = load64(address + _U(8)) & _HIGH_MASK[length]
    return low, high | (length << _LENGTH_SHIFT)


@exact_kernel
def _long_key(address, length):
    hash_ = _K0 ^ length
    left = length
    while left >= _U(8):
        hash_ = multiply_mix(hash_ ^ load64(address), _K1)
        address += _U(8)
        left -= _U(8)
    tail = load64(address) & _LOW_MASK[left]
    return multiply_mix(hash_ ^ tail, _K1), (_LONG << _LENGTH_SHIFT) | length


@exact_kernel
def _key(address, length):
    """The key (low, high) of the word of ``length`` bytes at an address."""
    if length > _SHORT:
        return _long_key(address, length)
    return _short_key(address, length)


@exact_kernel
def _home(low, high, shift):
    """The slot where the search for a key begins."""
    return multiply_mix(low ^ _K0, high ^ _K1) >> shift


@exact_kernel
def _is_long(high):
    return high >> _LENGTH_SHIFT == _LONG


@exact_kernel
def _length(high):
    if _is_long(high):
        return high ^ (_LONG << _LENGTH_SHIFT)
    return high >> _LENGTH_SHIFT


@exact_kernel
def _same_bytes(arena, place, address, length):
    for i in range(length):  # noqa: SIM110 - a generator would not compile to a loop
        if _U(arena[place + i]) != load8(address + i):
            return False
    return True


@exact_kernel
def _find(low, high, address, home, slots, records, arena):
    """The entry of a word and its slot; entry 0 and a free slot where it is not in the table."""
    last = _U(slots.size - 1)
    slot = home
    while True:
        e = _U(slots[slot])
        if e == _U(0):
            return e, slot
        same_key = records[e, 0] == low and records[e, 1] == high
        # two long words of one hash are told apart by their bytes
        if same_key and (not _is_long(high) or _same_bytes(arena, records[e, _PLACE], address, _length(high))):
            return e, slot
        slot = (slot + _U(1)) & last


@exact_kernel
def _add(low, high, address, slot, slots, records, arena, state):
    """A new entry, with count 0, in a free slot.  There must be room in all arrays."""
    e = _U(state[ENTRIES])
    state[ENTRIES] += 1
    slots[slot] = e
    records[e, 0] = low
    records[e, 1] = high
    records[e, _COUNT] = _U(0)
    records[e, _PLACE] = _U(0)
    if _is_long(high):
        place, length = _U(state[ARENA_TOP]), _length(high)
        state[ARENA_TOP] += np.int64(length)
        records[e, _PLACE] = place
        for i in range(length):
            arena[place + i] = load8(address + i)
    return e


@exact_kernel
def _find_ends(base, position, size, ends):
    """The positions of the next BATCH separators, or of some more, or of all that are left; their number."""
    n = _U(0)
    while n < _U(BATCH) and position < size:
        mask = separator_mask(base + position)
        left = size - position
        if left < _U(_BLOCK):
            mask &= (_U(1) << left) - _U(1)
        found = bit_count(mask)
        done = _U(0)
        while done < found:  # eight at a time whether there are or not: few mispredicted branches
            for k in range(_U(8)):
                ends[n + done + k] = position + trailing_zeros(mask)
                mask &= mask - _U(1)
            done += _U(8)
        n += found
        position += _U(_BLOCK)
    return n


@exact_kernel
def _make_keys(base, start, ends, n_ends, eos_low, eos_high, shift, slots, records, starts, low, high, homes, entries):
    """The keys and likely entries of the words that end at ``ends``, the first of which begins at ``start``.

    An empty word is none; a newline is the word ``</s>``.
    Returns the number of words, how many bytes the long ones have, and where the next word begins.
    """
    slots_at, records_at = _U(slots.ctypes.data), _U(records.ctypes.data)
    eos_home = _home(eos_low, eos_high, shift)
    n_words = _U(0)
    long_bytes = _U(0)
    for j in range(n_ends):
        end = ends[j]
        length = end - start
        address = base + start
        if length > _SHORT:
            lo, hi = _long_key(address, length)
            long_bytes += length
        else:
            lo, hi = _short_key(address, length)
        home = _home(lo, hi, shift)
        starts[n_words] = address
        low[n_words] = lo
        high[n_words] = hi
        homes[n_words] = home
        prefetch(slots_at + home * _SLOT_BYTES)
        n_words += _U(length != _U(0))
        if load8(base + end) == _U(10):
            low[n_words] = eos_low
            high[n_words] = eos_high
            homes[n_words] = eos_home
            n_words += _U(1)
        start = end + _U(1)
    for j in range(n_words):
        e = _U(slots[homes[j]])
        entries[j] = e
        prefetch(records_at + e * _RECORD_BYTES)
    return n_words, long_bytes, start


@exact_kernel
def encode_text(address, n, learn, missing, eos, slots, shift, records, first, first_base, arena, out, state):
    """Encode the n bytes at an address, of which the last is a separator, from state[POSITION] on.

    With ``learn`` a new word gets the next entry, first[entry] = first_base + its place in ``out``,
    and all are counted; otherwise nothing but out and state changes, and a word that the table lacks
    is written as ``missing`` and counted in state[UNKNOWN].  eos (2,): the key of ``</s>``.
    out (n,) int32: entry - 1 of every word, from state[WRITTEN] on.
    Returns with state[POSITION] < n where records, or arena to state[ARENA_NEED], have to grow first.
    """
    ends = np.empty(ROOM, np.uint64)
    starts = np.empty(ROOM, np.uint64)
    low = np.empty(ROOM, np.uint64)
    high = np.empty(ROOM, np.uint64)
    homes = np.empty(ROOM, np.uint64)
    entries = np.empty(ROOM, np.uint64)
    base, size = _U(address), _U(n)
    position = _U(state[POSITION])
    o = _U(state[WRITTEN])
    while position < size:
        if learn and state[ENTRIES] + ROOM > records.shape[0]:
            break
        n_ends = _find_ends(base, position, size, ends)
        n_words, long_bytes, next_position = _make_keys(
            base, position, ends, n_ends, eos[0], eos[1], shift, slots, records, starts, low, high, homes, entries
        )
        if learn and state[ARENA_TOP] + np.int64(long_bytes) > arena.size:
            state[ARENA_NEED] = state[ARENA_TOP] + np.int64(long_bytes)
            break
        for j in range(n_words):
            lo, hi, e = low[j], high[j], entries[j]
            if ((records[e, 0] ^ lo) | (records[e, 1] ^ hi)) != _U(0) or _is_long(hi):
                # not the first word of its hash, a long one, or one that is new in this batch
                e, slot = _find(lo, hi, starts[j], homes[j], slots, records, arena)
                if e == _U(0):
                    if not learn:
                        state[UNKNOWN] += 1
                        out[o] = missing
                        o += _U(1)
                        continue
                    e = _add(lo, hi, starts[j], slot, slots, records, arena, state)
                    first[e] = first_base + np.int64(o)
            if learn:
                records[e, _COUNT] += _U(1)
            out[o] = np.int32(e - _U(1))
            o += _U(1)
        position = next_position
    state[POSITION] = np.int64(position)
    state[WRITTEN] = np.int64(o)


@exact_kernel
def fill_slots(slots, shift, records, n_entries):
    """Enter the entries 1 ... n_entries - 1 into free slots."""
    last = _U(slots.size - 1)
    for e in range(_U(1), _U(n_entries)):
        slot = _home(records[e, 0], records[e, 1], shift)
        while slots[slot] != 0:
            slot = (slot + _U(1)) & last
        slots[slot] = e


@exact_kernel
def add_words(blob, offsets, slots, shift, records, arena, state):
    """Enter the words blob[offsets[i]:offsets[i + 1]], padded; False where one is in the table already."""
    base = _U(blob.ctypes.data)
    for i in range(offsets.size - 1):
        address, length = base + _U(offsets[i]), _U(offsets[i + 1] - offsets[i])
        low, high = _key(address, length)
        e, slot = _find(low, high, address, _home(low, high, shift), slots, records, arena)
        if e != _U(0):
            return False
        _add(low, high, address, slot, slots, records, arena, state)
    return True


@exact_kernel
def find_words(addresses, lengths, n, slots, shift, records, arena, ids):
    """ids (n,) int32, overwritten: the words of addresses and lengths (n or more,) uint64; -1: not in the table."""
    low = np.empty(BATCH, np.uint64)
    high = np.empty(BATCH, np.uint64)
    homes = np.empty(BATCH, np.uint64)
    slots_at, records_at = _U(slots.ctypes.data), _U(records.ctypes.data)
    for start in range(_U(0), _U(n), _U(BATCH)):
        m = min(_U(BATCH), _U(n) - start)
        for j in range(m):
            low[j], high[j] = _key(addresses[start + j], lengths[start + j])
            homes[j] = _home(low[j], high[j], shift)
            prefetch(slots_at + homes[j] * _SLOT_BYTES)
        for j in range(m):
            prefetch(records_at + _U(slots[homes[j]]) * _RECORD_BYTES)
        for j in range(m):
            e, _ = _find(low[j], high[j], addresses[start + j], homes[j], slots, records, arena)
            ids[start + j] = np.int32(np.int64(e) - 1)


@exact_kernel
def merge_tables(records2, first2, arena2, n_entries2, slots, shift, records, first, arena, state, entry_of):
    """Add another table's words and counts to this one; entry_of (n_entries2,) int64: their entries here.

    The earlier first place counts, so that tables merged in any order give the same words.
    """
    base = _U(arena2.ctypes.data)
    for e2 in range(_U(1), _U(n_entries2)):
        low, high = records2[e2, 0], records2[e2, 1]
        address = base + records2[e2, _PLACE]
        e, slot = _find(low, high, address, _home(low, high, shift), slots, records, arena)
        if e == _U(0):
            e = _add(low, high, address, slot, slots, records, arena, state)
            first[e] = first2[e2]
        records[e, _COUNT] += records2[e2, _COUNT]
        first[e] = min(first[e], first2[e2])
        entry_of[e2] = np.int64(e)


@exact_kernel
def word_lengths(records, entries, lengths):
    """lengths (n,) int64, overwritten: in bytes, of the words of entries (n,) int64."""
    for i in range(entries.size):
        lengths[i] = _length(records[_U(entries[i]), 1])


@exact_kernel
def copy_words(records, arena, entries, offsets, blob):
    """blob, overwritten: the words of entries (n,) int64 at offsets (n + 1,) int64, one after the other.

    It is 16 bytes or more longer than they are: short words are written with what comes after them.
    """
    for i in range(entries.size):
        e, o = _U(entries[i]), _U(offsets[i])
        low, high = records[e, 0], records[e, 1]
        if _is_long(high):
            place = records[e, _PLACE]
            for k in range(_length(high)):
                blob[o + k] = arena[place + k]
        else:
            at = _U(blob.ctypes.data) + o
            store64(at, low)
            store64(at + _U(8), high)


@exact_kernel
def replace_ids(ids, new_id):
    """ids (n,) int32, overwritten: new_id (V,) int32 of each."""
    for i in range(ids.size):
        ids[i] = new_id[_U(ids[i])]
