"""Vectors written as lines "word x1 ... xd", with six decimals as word2vec.c and GloVe write them."""

from __future__ import annotations

import os

import numpy as np

from corpora.errors import CorpusError
from corpora.text.vocab import WordList
from w2v.io.writing import write_blocks
from w2v.model import WordVectors

_SEPARATORS = b" \t\n"
_FEW = 1 << 12  # numbers that are formatted before the compiler would be loaded
_TOO_LARGE = 2.0**32  # for the kernel


def write(vectors: WordVectors, path: str | os.PathLike) -> None:
    """Write word2vec's text form: the line "V d", and a space at the end of each other line."""
    head = b"%d %d\n" % (len(vectors), vectors.dim)
    write_blocks(vectors, path, head, _word2vec_lines, _SEPARATORS)


def write_glove(vectors: WordVectors, path: str | os.PathLike) -> None:
    """Write GloVe's form: no first line, no space at the end.  CorpusError also for vectors of one dimension."""
    if vectors.dim < 2:
        raise CorpusError(f"{os.fspath(path)}: GloVe's form is for vectors of two dimensions or more")
    write_blocks(vectors, path, b"", lines_of, _SEPARATORS)


def _word2vec_lines(words: WordList, first: int, rows: np.ndarray) -> bytes:
    return lines_of(words, first, rows, space_at_end=True)


def lines_of(words: WordList, first: int, rows: np.ndarray, space_at_end: bool = False) -> bytes:
    """The lines of rows (n, d) float32, finite: those of words[first] on."""
    n, dim = rows.shape
    if n * dim < _FEW or max(float(rows.max()), -float(rows.min())) >= _TOO_LARGE:
        end = b" \n" if space_at_end else b"\n"
        numbers = (b"".join(b" %.6f" % value for value in row) for row in rows.tolist())
        return b"".join(words[first + i] + text + end for i, text in enumerate(numbers))
    from w2v.io.format import LONGEST_NUMBER, format_rows

    blob = np.ascontiguousarray(words.blob)
    size = int(words.offsets[first + n] - words.offsets[first]) + n * (dim + 1) * LONGEST_NUMBER
    out = np.empty(size, np.uint8)
    n_bytes = format_rows(blob.ctypes.data, words.offsets, first, rows, space_at_end, out)
    return out[:n_bytes].tobytes()
