"""What writers of word2vec's and GloVe's forms share: words and numbers that these can hold, blocks of rows."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np

from corpora.errors import CorpusError
from corpora.files.blocks import finisher, in_order
from corpora.files.checks import all_finite, shown
from corpora.files.output import replace_file
from corpora.text.vocab import WordList
from w2v.model import WordVectors

_BLOCK = 1 << 17  # numbers that are written at once


def write_blocks(
    vectors: WordVectors,
    path: str | os.PathLike,
    head: bytes,
    block: Callable[[WordList, int, np.ndarray], bytes],
    forbidden: bytes,
) -> None:
    """Write ``head`` and, for each block of rows, what ``block(words, first, rows)`` makes of them, on all processors.

    rows (n, d) float32 are those of words[first] on.  Compressed where the name ends in .gz.  Numbers of float64 are
    rounded to float32, which these forms hold.
    CorpusError for words that are empty or have one of the ``forbidden`` bytes in them, for NaN and infinity.
    """
    from concurrent.futures import ThreadPoolExecutor

    from corpora.compute.processors import available

    path = os.fspath(path)
    if path.endswith((".bz2", ".xz")):
        raise CorpusError(f"{path}: compressed files are written as .gz only")
    _check_words(vectors.words, path, forbidden)
    finish, threads = finisher(path), available()

    def work(first: int, last: int) -> bytes:
        with np.errstate(over="ignore"):
            rows = np.ascontiguousarray(vectors.vectors[first:last], np.float32)
        if not all_finite(rows):
            bad = first + int(np.flatnonzero(~np.isfinite(rows).all(axis=1))[0])
            reason = f'the vector of "{shown(vectors.words[bad])}" has NaN or infinity in it (as float32)'
            raise CorpusError(f"{path}: not written, because {reason}")
        return finish(block(vectors.words, first, rows))

    step = max(1, _BLOCK // vectors.dim)
    tasks = ((first, min(first + step, len(vectors))) for first in range(0, len(vectors), step))
    with replace_file(path) as file, ThreadPoolExecutor(threads) as pool:
        file.write(finish(head))
        for text in in_order(pool, 2 * threads, work, tasks):
            file.write(text)


def _check_words(words: WordList, path: str, forbidden: bytes) -> None:
    bad = np.isin(words.blob, np.frombuffer(forbidden, np.uint8))
    empty = np.flatnonzero(words.offsets[1:] == words.offsets[:-1])
    if not bad.any() and not empty.size:
        return
    if empty.size:
        number = int(empty[0])
    else:
        number = int(np.searchsorted(words.offsets, np.argmax(bad), side="right")) - 1
    names = {32: "a space", 9: "a tab", 10: "a newline"}
    reason = "is empty" if empty.size else f"has {names[int(words.blob[np.argmax(bad)])]} in it"
    found = f'word {number + 1} ("{shown(words[number])}") {reason}'
    raise CorpusError(f"{path}: not written, because {found}; only the native form can hold it")
