"""The lines of count files, made from the counts of a text that was counted from its end.

Legend: N the order; order m + 1 of the trie is level m.

In such a trie a path goes from the oldest word to the newest, and siblings are sorted by the bytes of their
words, but for START, which stands for </s>: it is the first of its siblings and is put in its place here.
Addresses are uint64.  A node of the highest order is read as 8 bytes, word and count; others are four
columns: word, first child, count, nothing.
"""

from __future__ import annotations

import numpy as np

from corpora.compute.bytes_simd import load64, store8, store64
from corpora.compute.jit import exact_kernel
from rnnlm.ngram.trie import START

LONGEST_COUNT = 10  # digits
SLACK = 8  # bytes beyond a line that are written to, and beyond a word that are read

# state: the item at hand, the level in it (0: it is not begun), bytes written
ITEM, LEVEL, WRITTEN = range(3)
# of the siblings at a level: the row of the first, how many, the place of START among them (-1: it is not
# there), which of them is at hand
FIRST, SIZE, START_PLACE, PLACE = range(4)

_U = np.uint64
_LOW = _U(0xFFFFFFFF)
_DIGIT_0, _SPACE, _TAB, _NEWLINE = (_U(c) for c in b"0 \t\n")
_START = _U(START)


@exact_kernel
def write_count(count, at):
    """Write a number in decimal to an address; the address behind it."""
    n, rest = _U(1), count // _U(10)
    while rest > _U(0):
        n += _U(1)
        rest //= _U(10)
    for k in range(n):
        rest = count // _U(10)
        store8(at + n - _U(1) - k, _DIGIT_0 + count - rest * _U(10))
        count = rest
    return at + n


@exact_kernel
def write_word(word_at, length, at):
    """Copy a word to an address; the address behind it.  SLACK more bytes are read and written."""
    for done in range(_U(0), _U(length), _U(8)):
        store64(at + done, load64(word_at + done))
    return at + length


@exact_kernel
def _word(table, is_short, row):
    return load64(table + row * (_U(8) if is_short else _U(16))) & _LOW


@exact_kernel
def _open(tables, order, level, parent, end_place, siblings):
    """siblings (4,) int64, overwritten: the children, at ``level``, of a row of the level above."""
    above, table = tables[level - 1], tables[level]
    is_short = level + 1 == order
    first = load64(above + parent * _U(16)) >> _U(32)
    behind = load64(above + (parent + _U(1)) * _U(16)) >> _U(32)
    siblings[FIRST], siblings[SIZE] = first, behind - first
    siblings[START_PLACE], siblings[PLACE] = -1, 0
    if behind > first and _word(table, is_short, first) == _START:
        lo, hi = first + _U(1), behind  # where the words begin that come after </s>
        while lo < hi:
            middle = (lo + hi) >> _U(1)
            if _word(table, is_short, middle) < _U(end_place):
                lo = middle + _U(1)
            else:
                hi = middle
        siblings[START_PLACE] = lo - first - _U(1)


@exact_kernel
def _row(siblings):
    """The row of the sibling at hand."""
    place, start = siblings[PLACE], siblings[START_PLACE]
    if place < start:
        place += 1
    elif place == start:
        place = 0
    return _U(siblings[FIRST] + place)


@exact_kernel
def _write_line(tables, order, level, path, words_at, word_starts, at):
    """The line of the n-gram at the rows path[: level + 1], of which path[0] is a word."""
    for m in range(level + 1):
        word = path[0] if m == 0 else _word(tables[m], m + 1 == order, path[m])
        start = _U(word_starts[word])
        at = write_word(_U(words_at) + start, _U(word_starts[word + _U(1)]) - start, at)
        store8(at, _TAB if m == level else _SPACE)
        at += _U(1)
    if level > 0 and level + 1 == order:
        count = load64(tables[level] + path[level] * _U(8)) >> _U(32)
    else:
        count = load64(tables[level] + path[level] * _U(16) + _U(8)) & _LOW
    at = write_count(count, at)
    store8(at, _NEWLINE)
    return at + _U(1)


@exact_kernel
def write_counts(
    tables, roots, items, end_place, words_at, word_starts, longest_line, last, path, siblings, out, state
):
    """Write lines to ``out``, as many as it has room for, up to item ``last``, which state[ITEM] is when all are done.

    tables (N,) uint64: the addresses of the nodes of all orders.  roots (R,) int64: the words in the order of
    the lines.  items (R + 1,) int64: a root is an item and so is each bigram that begins with it, with all
    that begins with that; the first item of each root.  end_place: internal ids from here on come after </s>.
    words_at: the address of the words by internal id, word_starts (ids + 1,) int64 where they begin.
    longest_line: bytes that a line may need, with SLACK.
    path (N,) uint64 and siblings (N, 4) int64: scratch, kept from call to call.  state (3,) int64.
    """
    order = tables.size
    base = _U(out.ctypes.data)
    at, limit = base, base + _U(out.size) - _U(longest_line)
    item, level = state[ITEM], state[LEVEL]
    r = np.searchsorted(items, item, side="right") - 1
    while item < last and at <= limit:
        if level == 0:
            while items[r + 1] <= item:
                r += 1
            path[0] = _U(roots[r])
            if item == items[r]:
                at = _write_line(tables, order, 0, path, words_at, word_starts, at)
                item += 1
                continue
            level = 1
            _open(tables, order, 1, path[0], end_place, siblings[1])
            siblings[1, PLACE] = item - items[r] - 1
        path[level] = _row(siblings[level])
        at = _write_line(tables, order, level, path, words_at, word_starts, at)
        if level + 1 < order:
            _open(tables, order, level + 1, path[level], end_place, siblings[level + 1])
            if siblings[level + 1, SIZE] > 0:
                level += 1
                continue
        while level > 1:
            siblings[level, PLACE] += 1
            if siblings[level, PLACE] < siblings[level, SIZE]:
                break
            level -= 1
        if level == 1:
            level = 0
            item += 1
    state[ITEM], state[LEVEL], state[WRITTEN] = item, level, np.int64(at - base)
