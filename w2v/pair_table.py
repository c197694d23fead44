"""All pairs of words of a text that are frequent enough, in bounded memory.

They are counted in a hash table that grows up to a limit.  When it is full, it keeps the pairs of one half of the
hash values, which are all counted so far, and goes on with these; the other half has a scan of its own later,
where it may be halved again.  So counts are exact for a text of any size, and the limit only costs scans.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from w2v import bigrams

MOST_SLOTS = 1 << 24  # of 16 bytes
_FIRST_SLOTS = 1 << 16
_FULL = 0.75  # from here on searches in the table become long
_BLOCK = 1 << 20  # tokens between two signs of life, and slots that are looked at together


class Coding(NamedTuple):
    """How ids become ranks and connectors: ``codes`` (V,) int32 and the sizes, as ``w2v.bigrams`` describes them."""

    codes: np.ndarray
    ranks: int
    n_connectors: int

    @property
    def infixes(self) -> int:
        return (self.n_connectors + 1) ** bigrams.LONGEST

    @property
    def fits(self) -> bool:
        """Whether keys fit into 64 bits."""
        return self.ranks * self.ranks * self.infixes < 1 << 64

    def split(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The ranks of the first and the second word and the infix of each key (n,), all int64."""
        pairs, infix = np.divmod(keys, np.uint64(self.infixes))
        first, second = np.divmod(pairs, np.uint64(self.ranks))
        return first.astype(np.int64), second.astype(np.int64), infix.astype(np.int64)

    def connectors(self, infix: int) -> list[int]:
        """The numbers, from 1 on, of the connectors of an infix, in their order."""
        found = []
        while infix:
            infix, number = divmod(infix, self.n_connectors + 1)
            found.insert(0, number)
        return found


class Table:
    """Keys and values, (S, 2) uint64; S a power of two."""

    def __init__(self, slots: int):
        self.rows = np.zeros((slots, 2), np.uint64)
        self.shift = np.uint64(64 - (slots.bit_length() - 1))

    @classmethod
    def of(cls, keys: np.ndarray, values: np.ndarray) -> Table:
        table = cls(max(2, 1 << (2 * keys.size).bit_length()))
        bigrams.fill_table(keys, values.astype(np.uint64), table.rows, table.shift)
        return table

    @property
    def limit(self) -> int:
        """How many entries it may have."""
        return int(_FULL * len(self.rows))

    def part(self, part: int, mask: int, slots: int) -> tuple[Table, int]:
        """A table of those entries whose hash, under ``mask``, is ``part``, and their number."""
        new = Table(slots)
        return new, bigrams.copy_entries(self.rows, part, mask, new.rows, new.shift)


def count_tables(
    ids: np.ndarray,
    coding: Coding,
    *,
    across_lines: bool = False,
    most_slots: int = MOST_SLOTS,
    progress: Callable[[float], object] = lambda n: None,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Keys (n,) uint64 and counts (n,) int64 of all pairs in ids (N,): each pair once, in one of the pieces.

    ``progress`` is called with numbers of tokens, N in all.
    """
    waiting = [(0, 0)]  # the part and the number of bits that decide on it
    while waiting:
        part, bits = waiting.pop()
        table = Table(min(_FIRST_SLOTS, most_slots))
        state = np.zeros(bigrams.STATE, np.int64)
        end = 0
        while end < ids.size:
            begin, end = end, min(end + _BLOCK, ids.size)
            while state[bigrams.POSITION] < end:
                mask = (1 << bits) - 1
                _count(ids, end, coding, across_lines, part, mask, table, state)
                if state[bigrams.POSITION] == end:
                    break
                slots = 2 * len(table.rows)
                if slots > most_slots:
                    waiting.append((part | 1 << bits, bits + 1))
                    bits, slots = bits + 1, most_slots
                    progress(-begin / (1 << bits))  # what was done was for one half only
                table, state[bigrams.ENTRIES] = table.part(part, (1 << bits) - 1, slots)
            progress((end - begin) / (1 << bits))
        for start in range(0, len(table.rows), _BLOCK):
            rows = table.rows[start : start + _BLOCK]
            rows = rows[rows[:, 0] != 0]
            yield rows[:, 0], rows[:, 1].astype(np.int64)


def _count(ids, end, coding, across_lines, part, mask, table, state) -> None:
    bigrams.count_pairs(
        ids, end, coding.codes, coding.ranks, coding.n_connectors, across_lines, part, mask, table.limit,
        table.rows, table.shift, state,
    )  # fmt: skip
