"""Words in the order of their bytes, by whole arrays: a kernel would take longer to load than most words to sort."""

from __future__ import annotations

import numpy as np

_CHUNK = 8  # bytes that are compared at a time
# by the bytes that a word has left: those of the number that are its own, the first in the highest place
_OWN = np.array([0] + [((1 << 8 * n) - 1) << 8 * (_CHUNK - n) for n in range(1, _CHUNK + 1)], np.uint64)


def bytewise_order(words) -> np.ndarray:
    """The positions (V,) int64 of the words of a ``WordList``, all different, sorted by their bytes.

    Eight bytes are compared at a time; words that agree in them are sorted by the next ones.
    """
    lengths = np.diff(words.offsets)
    padded = np.concatenate([words.blob, np.zeros(_CHUNK, np.uint8)])
    # the number that begins at each byte
    numbers = np.ndarray(words.blob.size + 1, ">u8", padded, strides=(1,))
    order = np.argsort(_keys(numbers, words.offsets[:-1], lengths))
    keys = _keys(numbers, words.offsets[:-1][order], lengths[order])
    places, runs = _alike(keys, np.zeros(order.size, np.int64))
    common = _CHUNK
    while places.size:
        some = order[places]
        left = np.maximum(lengths[some] - common, 0)
        keys = _keys(numbers, np.minimum(words.offsets[:-1][some] + common, words.blob.size), left)
        if not left.any():  # they differ in zero bytes at their ends
            keys = lengths[some].astype(np.uint64)
        sorted_ = np.lexsort((keys, runs))
        order[places] = some[sorted_]
        kept, runs = _alike(keys[sorted_], runs)
        places = places[kept]
        common += _CHUNK
    return order


def _keys(numbers: np.ndarray, starts: np.ndarray, left: np.ndarray) -> np.ndarray:
    """(n,) uint64 that compare as the next bytes of words do, of which ``left`` are left, zeros behind the last one."""
    return numbers[starts].astype(np.uint64) & _OWN[np.minimum(left, _CHUNK)]


def _alike(keys: np.ndarray, runs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where neighbours of one run have the same key, and the numbers of the runs that they make."""
    same = (keys[1:] == keys[:-1]) & (runs[1:] == runs[:-1])
    begins = np.append(True, ~same)
    number = np.cumsum(begins)
    alike = np.append(same, False) | ~begins
    return np.flatnonzero(alike), number[alike]
