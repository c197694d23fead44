"""N-gram models in ARPA form: written.

Numbers have seven digits, as C's "%.7g" prints them.  Unigrams come in the order of the vocabulary, ``<s>``
after ``</s>``; longer n-grams in the trie's order.  A back-off weight that is NO_BACKOFF is left out, as SRILM
does; one of 0 is written.  With a name in .gz the file is a row of gzip members, one for each block of lines.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from corpora.compute.processors import available
from corpora.errors import CorpusError
from corpora.files.blocks import finisher, in_order
from corpora.files.output import replace_file
from corpora.text.vocab import WordList
from rnnlm.ngram.trie import FIRST_WORD, START, Trie

_BLOCK = 1 << 15  # n-grams that one thread formats at a time; smaller pieces are written far more slowly
_BUFFER = 1 << 21  # bytes


def write(lm, path: str | os.PathLike, threads: int | None = None) -> None:
    """Write a BackoffLM; ``path`` "-" is standard output.  The file appears whole or not at all.

    The bytes are the same on any number of ``threads`` (by default all processors).
    CorpusError for a model whose arrays do not fit together, and for what the system refuses.
    """
    path = os.fspath(path)
    trie = lm.trie
    if len(lm.vocab) + 1 != trie.internal.size or not trie.is_whole():
        raise CorpusError(f"{path}: not written, because the model's arrays contradict each other: a damaged file?")
    finish = finisher(path)
    lines = _Lines(lm.vocab, trie, finish)
    head = b"\\data\\\n" + b"".join(b"ngram %d=%d\n" % (n, trie.n_ngrams(n)) for n in range(1, trie.order + 1))
    threads = threads or available()
    with replace_file(path) as file, ThreadPoolExecutor(threads) as pool:
        file.write(finish(head))
        for n in range(1, trie.order + 1):
            file.write(finish(b"\n\\%d-grams:\n" % n))
            for blocks in in_order(pool, 2 * threads, lines.block, lines.tasks(n)):
                file.writelines(blocks)
                lines.give_back(blocks)
        file.write(finish(b"\n\\end\\\n"))


class _Lines:
    """Formats blocks of n-grams, from any number of threads."""

    def __init__(self, vocab, trie: Trie, finish: Callable[[bytes], bytes]):
        from rnnlm.io.arpa_format import LONGEST_NUMBER, SLACK, make_slots

        self._finish, self._order = finish, trie.order
        self._free: deque[np.ndarray] = deque()
        internal = trie.internal[:-1]
        # the words by internal id: nothing for NONE, <s> for START
        by_internal = np.empty(internal.size, np.int64)
        by_internal[internal - FIRST_WORD] = np.arange(internal.size)
        words = vocab.words.take(by_internal)
        special = WordList.of([b"", b"<s>"])
        self._blob = np.concatenate([special.blob, words.blob, np.zeros(SLACK, np.uint8)])  # kernels get addresses
        starts = np.concatenate([special.offsets[:-1], words.offsets + special.blob.size])
        self._slots = np.empty((starts.size - 1, 2), np.uint64)
        make_slots(np.uint64(self._blob.ctypes.data), starts, self._slots)
        longest = int(np.diff(starts).max())
        self._longest_line = [
            2 * (LONGEST_NUMBER + 1) + n * (longest + 1) + SLACK + 1 for n in range(1, trie.order + 1)
        ]
        self._nodes = [np.ascontiguousarray(nodes) for nodes in trie.nodes]
        self._tables = np.array([nodes.ctypes.data for nodes in self._nodes], np.uint64)
        self._sizes = np.array([len(nodes) - 1 for nodes in self._nodes], np.uint64)
        self._unigrams = np.concatenate([internal[:1], [START], internal[1:]]).astype(np.int64)

    def tasks(self, order: int) -> Iterator[tuple[int, int, int]]:
        """(order, first row, the row behind the last) of each block of an order."""
        size = self._unigrams.size if order == 1 else int(self._sizes[order - 1])
        for first in range(0, size, _BLOCK):
            yield order, first, min(first + _BLOCK, size)

    def give_back(self, pieces: list[bytes | memoryview]) -> None:
        """The buffers of pieces that were written can be used again."""
        self._free.extend(piece.obj for piece in pieces if isinstance(piece, memoryview))

    def _buffer(self) -> np.ndarray:
        try:
            return self._free.pop()
        except IndexError:
            return np.empty(max(_BUFFER, 4 * self._longest_line[-1]), np.uint8)

    def block(self, order: int, first: int, last: int) -> list[bytes | memoryview]:
        """The lines of a block, to be given back."""
        from rnnlm.io.arpa_format import write_lines, write_unigrams

        longest = self._longest_line[order - 1]
        n_bytes = np.zeros(1, np.int64)
        slots = np.uint64(self._slots.ctypes.data)
        pieces = []
        while first < last:
            common, out = (slots, longest, first), self._buffer()
            if order == 1:
                rows = self._unigrams[:last]
                first = write_unigrams(self._tables, self._order == 1, rows, *common, out, n_bytes)
            else:
                tables, is_highest = self._tables[:order], order == self._order
                first = write_lines(tables, self._sizes, order, is_highest, *common, last, out, n_bytes)
            pieces.append(self._finish(out[: n_bytes[0]].data))
        return pieces
