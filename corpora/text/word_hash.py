"""The hash table of words that texts are encoded with."""

from __future__ import annotations

import numpy as np

from corpora.errors import CorpusError
from corpora.text.chunks import PADDING
from corpora.text.encode import (
    ARENA_NEED,
    ARENA_TOP,
    ENTRIES,
    POSITION,
    ROOM,
    UNKNOWN,
    WRITTEN,
    add_words,
    copy_words,
    encode_text,
    fill_slots,
    find_words,
    merge_tables,
    word_lengths,
)
from corpora.text.vocab_order import MAX_TYPES
from corpora.text.words import EOS, WordList

_EOS_KEY = np.array([int.from_bytes(EOS, "little"), len(EOS) << 56], np.uint64)
_COUNT = 2


class WordHash:
    """Words and counts; it grows.  Ids go up from 0, which is ``</s>``, in order of first appearance.

    The arrays are those that ``corpora.text.encode`` describes; the word of id i is in entry i + 1.
    """

    def __init__(self, capacity: int = 1 << 13):
        """Room for ``capacity`` words, a power of two, to begin with."""
        self._records = np.zeros((capacity, 4), np.uint64)
        self._first = np.zeros(capacity, np.int64)
        self._arena = np.zeros(1 << 12, np.uint8)
        self._state = np.array([0, 1, 0, 0, 0, 0], np.int64)
        self._make_slots()
        self.add(WordList.of([EOS]))

    @classmethod
    def of(cls, words: WordList) -> WordHash:
        """The table of a vocabulary, ``</s>`` first.  ValueError where a word is there twice."""
        table = cls()
        table.add(WordList(words.blob, words.offsets[1:]))
        return table

    def __len__(self) -> int:
        return int(self._state[ENTRIES]) - 1

    @property
    def counts(self) -> np.ndarray:
        """(V,) int64, by id."""
        return self._records[1 : len(self) + 1, _COUNT].astype(np.int64)

    @property
    def first_places(self) -> np.ndarray:
        """Where each word appeared first, (V,) int64 by id, as ``encode`` was told; 0 for ``</s>``."""
        return self._first[1 : len(self) + 1]

    @property
    def lookup(self) -> tuple:
        """(slots, shift, records, arena), as ``find_words`` takes them; good until a word is added."""
        return self._slots, self._shift, self._records, self._arena

    def encode(self, text: np.ndarray, n: int, out: np.ndarray, *, first_base=0, learn=True, missing=-1):
        """The ids of text (n + PADDING or more,) uint8, whose n bytes end in a separator.

        out (n or more,) int32: the ids are written here.  With ``learn`` new words enter the table,
        and first_base + t is kept as the place in the whole text of a word first met as token t;
        without it nothing in the table changes, and several threads can share it.
        Returns the number of tokens, and how many words were missing.
        """
        state = self._state if learn else self._state.copy()
        state[[POSITION, WRITTEN, UNKNOWN, ARENA_NEED]] = 0
        while True:
            encode_text(
                text.ctypes.data,
                n,
                learn,
                missing,
                _EOS_KEY,
                self._slots,
                self._shift,
                self._records,
                self._first,
                first_base,
                self._arena,
                out,
                state,
            )
            if state[POSITION] >= n:
                return int(state[WRITTEN]), int(state[UNKNOWN])
            self._reserve(ROOM, int(state[ARENA_NEED] - state[ARENA_TOP]))
            state[ARENA_NEED] = 0

    def add(self, words: WordList) -> None:
        """Enter new words with the next ids; ValueError where one is in the table already."""
        padded = np.concatenate([words.blob, np.zeros(PADDING, np.uint8)])
        self._reserve(len(words), words.blob.size)
        if not add_words(padded, words.offsets, self._slots, self._shift, self._records, self._arena, self._state):
            raise ValueError("vocabulary: a word is there twice")

    def merge(self, other: WordHash) -> np.ndarray:
        """Add another table's words and counts; the ids here, (V of other,) int64, of its ids."""
        n_entries = len(other) + 1
        self._reserve(n_entries, int(other._state[ARENA_TOP]))
        entry_of = np.empty(n_entries, np.int64)
        merge_tables(
            other._records,
            other._first,
            other._arena,
            n_entries,
            self._slots,
            self._shift,
            self._records,
            self._first,
            self._arena,
            self._state,
            entry_of,
        )
        return entry_of[1:] - 1

    def words(self, ids: np.ndarray) -> WordList:
        """The words of these ids (n,), in their order."""
        entries = np.asarray(ids, np.int64) + 1
        offsets = np.zeros(entries.size + 1, np.int64)
        word_lengths(self._records, entries, offsets[1:])
        np.cumsum(offsets, out=offsets)
        blob = np.empty(offsets[-1] + PADDING, np.uint8)
        copy_words(self._records, self._arena, entries, offsets, blob)
        return WordList(blob[: offsets[-1]], offsets)

    def ids(self, words: WordList) -> np.ndarray:
        """The ids of n words, (n,) int32; -1: not in the table."""
        padded = np.concatenate([words.blob, np.zeros(PADDING, np.uint8)])
        starts = (padded.ctypes.data + words.offsets[:-1]).astype(np.uint64)
        ids = np.empty(len(words), np.int32)
        find_words(starts, np.diff(words.offsets).astype(np.uint64), len(words), *self.lookup, ids)
        return ids

    def find(self, word: bytes) -> int:
        """The id of a word of at most 15 bytes, or -1."""
        low, high = int.from_bytes(word[:8], "little"), int.from_bytes(word[8:], "little") | len(word) << 56
        records = self._records[1 : len(self) + 1]
        candidates = np.flatnonzero(records[:, 0] == low)
        found = candidates[records[candidates, 1] == high]
        return int(found[0]) if found.size else -1

    def _reserve(self, n_words: int, n_bytes: int) -> None:
        """Make room for more words, and for more bytes of long words."""
        needed = int(self._state[ENTRIES]) + n_words
        if needed > self._records.shape[0]:
            if needed > MAX_TYPES:
                raise CorpusError(f"more than {MAX_TYPES} different words: no vocabulary can be that large")
            capacity = 1 << (needed - 1).bit_length()
            self._records = _grown(self._records, capacity)
            self._first = _grown(self._first, capacity)
            self._make_slots()
        needed = int(self._state[ARENA_TOP]) + n_bytes
        if needed > self._arena.size:
            self._arena = _grown(self._arena, max(needed, 2 * self._arena.size))

    def _make_slots(self) -> None:
        """Twice as many slots as records, so that half of them stay free."""
        bits = self._records.shape[0].bit_length()
        self._slots = _zeros(1 << bits, np.uint32)
        self._shift = np.uint64(64 - bits)
        fill_slots(self._slots, self._shift, self._records, int(self._state[ENTRIES]))


def _zeros(shape, dtype) -> np.ndarray:
    # not np.zeros: NumPy asks for huge pages in np.empty only, and random access wants them
    array = np.empty(shape, dtype)
    array[...] = 0
    return array


def _grown(array: np.ndarray, size: int) -> np.ndarray:
    grown = np.empty((size, *array.shape[1:]), array.dtype)
    grown[: len(array)] = array
    grown[len(array) :] = 0
    return grown
