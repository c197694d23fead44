"""word2vec's binary form: a line "V d", then for each word the word, a space, d float32 (little-endian).

word2vec.c writes a newline after each of these records, gensim does not; reading takes both, record by record.
"""

from __future__ import annotations

import os

import numpy as np

from corpora.errors import FormatError
from corpora.files.checks import shown
from corpora.files.source import Source
from corpora.text.vocab import WordList
from w2v.io.header import Header, read_header
from w2v.io.rows import Gathered, Wanted, Window
from w2v.io.writing import write_blocks
from w2v.model import WordVectors

_FIRST = 10  # words that ``peek`` shows


def read(source: Source, wanted: Wanted) -> WordVectors:
    """The vectors of an open file.  FormatError with the number of the record where something is wrong."""
    header = read_header(source, 4)
    n_rows = wanted.rows(header.n_words)
    window = Window(source, wanted.progress)
    while window.end < header.length and window.more():
        pass
    window.start = header.length
    gathered = Gathered(header.dim, "<f4", n_rows if source.is_plain_file else None, n_rows)
    _read_records(source.path, window, gathered, n_rows, header)
    if n_rows == header.n_words:
        _expect_end(source.path, window, header)
    words, vectors = gathered.finish(source.path, wanted.warn)
    return WordVectors(words, vectors.astype(wanted.dtype or "float32", copy=False))


def peek(source: Source) -> dict:
    """What the header says, and the first words."""
    header = read_header(source, 4)
    words, at = [], header.length
    while len(words) < min(_FIRST, header.n_words):
        at += source.prefix[at : at + 1] == b"\n"
        space = source.prefix.find(b" ", at)
        if space < 0:
            break
        words.append(source.prefix[at:space])
        at = space + 1 + 4 * header.dim
    return {"words": header.n_words, "dimensions": header.dim, "first_words": words}


def write(vectors: WordVectors, path: str | os.PathLike) -> None:
    """Write it as word2vec.c does, compressed where the name ends in .gz.

    CorpusError for words with a space or a newline in them, for NaN and infinity.
    """
    write_blocks(vectors, path, b"%d %d\n" % (len(vectors), vectors.dim), _records, b" \n")


def _records(words: WordList, first: int, rows: np.ndarray) -> bytes:
    size = 4 * rows.shape[1]
    numbers = rows.astype("<f4", copy=False).tobytes()
    block = words[first : first + len(rows)]
    return b"".join(b"%b %b\n" % (word, numbers[i * size : (i + 1) * size]) for i, word in enumerate(block))


def _read_records(path: str, window: Window, gathered: Gathered, n_rows: int, header: Header) -> None:
    from w2v.io.parse import BLOB, CUT, DONE, N_STATE, POSITION, ROWS, STOP, copy_records

    state = np.zeros(N_STATE, np.int64)
    blob = ends = np.empty(0, np.uint8)
    while True:
        if blob.size < len(window):
            blob = np.empty(len(window.buffer), np.uint8)
            ends = np.empty(len(window.buffer) // (4 * header.dim) + 1, np.int64)
        rows = gathered.rows.view(np.uint32)
        state[POSITION], state[ROWS] = window.start, gathered.n
        last = min(n_rows, len(rows))
        copy_records(window.array.ctypes.data, window.end, last, rows, blob, ends, state)
        gathered.add(blob[: state[BLOB]], ends[: int(state[ROWS]) - gathered.n])
        window.start = int(state[POSITION])
        if gathered.n == n_rows:
            return
        if state[STOP] == DONE:
            gathered.grow()
        elif state[STOP] != CUT or not window.more():
            raise _wrong(path, int(state[STOP]), window, gathered.n, header)


def _wrong(path: str, stop: int, window: Window, n: int, header: Header) -> FormatError:
    """The error of record n + 1, at which the kernel stopped."""
    from w2v.io.parse import CUT, EMPTY, ENDLESS, LONGEST_WORD, NEWLINE, NOT_FINITE

    start = bytes(window.buffer[window.start : min(window.end, window.start + 256)]).lstrip(b"\n")
    word = f' ("{shown(start.partition(b" ")[0])}")' if stop in (CUT, NOT_FINITE) and b" " in start else ""
    reasons = {
        CUT: f"the file ends in it; its header says {header.n_words} words of {header.dim} dimensions",
        EMPTY: "its word is empty",
        NEWLINE: "a newline in its word; the records before it do not fit the header",
        ENDLESS: f"no word: no space in {LONGEST_WORD} bytes",
        NOT_FINITE: "NaN or infinity in its vector",
    }
    return FormatError(path, None, f"record {n + 1}{word}: {reasons[stop]}")


def _expect_end(path: str, window: Window, header: Header) -> None:
    if len(window) <= 1:
        window.more()
    rest = bytes(window.buffer[window.start : min(window.end, window.start + 2)])
    if rest not in (b"", b"\n"):
        reason = f"there is more behind the {header.n_words} words of {header.dim} dimensions of its header"
        raise FormatError(path, None, reason)
