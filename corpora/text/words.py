"""Lists of words, as bytes in one blob with offsets: as they lie in model files.  V words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

EOS = b"</s>"
UNK = b"<unk>"
_TAKE_BLOCK = 1 << 16


class WordList(Sequence):
    """A sequence of bytes over blob (n,) uint8 and offsets (V + 1,) int64; each word is made when it is asked for."""

    def __init__(self, blob: np.ndarray, offsets: np.ndarray):
        self.blob, self.offsets = blob, offsets

    @classmethod
    def of(cls, words: Sequence[bytes]) -> WordList:
        offsets = np.zeros(len(words) + 1, np.int64)
        np.cumsum(np.fromiter(map(len, words), np.int64, len(words)), out=offsets[1:])
        return cls(np.frombuffer(b"".join(words), np.uint8), offsets)

    def __len__(self) -> int:
        return self.offsets.size - 1

    def __getitem__(self, i):
        if isinstance(i, slice):
            return [self[k] for k in range(*i.indices(len(self)))]
        if not -len(self) <= i < len(self):
            raise IndexError(f"word {i} of {len(self)}")
        i %= len(self)
        return self.blob[self.offsets[i] : self.offsets[i + 1]].tobytes()

    def __iter__(self) -> Iterator[bytes]:
        blob, start = self.blob.tobytes(), 0
        for end in self.offsets[1:].tolist():
            yield blob[start:end]
            start = end

    def find(self, word: bytes) -> int:
        """The first position of a word, or -1: a scan without making the look-up table."""
        starts = self.offsets[:-1][np.diff(self.offsets) == len(word)]
        same = np.ones(starts.size, bool)
        for k, byte in enumerate(word):
            same &= self.blob[starts + k] == byte
        found = np.flatnonzero(same)
        return int(np.searchsorted(self.offsets[:-1], starts[found[0]], side="left")) if found.size else -1

    def take(self, ids: np.ndarray) -> WordList:
        """The words of these ids (n,), in their order."""
        lengths = np.diff(self.offsets)[ids]
        offsets = np.zeros(len(ids) + 1, np.int64)
        np.cumsum(lengths, out=offsets[1:])
        shift = self.offsets[:-1][ids] - offsets[:-1]
        blob = np.empty(offsets[-1], np.uint8)
        for lo in range(0, len(ids), _TAKE_BLOCK):  # the index of a whole blob would be eight times its size
            hi = min(lo + _TAKE_BLOCK, len(ids))
            place = np.arange(offsets[lo], offsets[hi])
            blob[offsets[lo] : offsets[hi]] = self.blob[np.repeat(shift[lo:hi], lengths[lo:hi]) + place]
        return WordList(blob, offsets)
