"""Count files added up, line by line: what is held does not grow with the files, only with their number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import numpy as np

from corpora.compute.processors import available
from corpora.files.blocks import finisher, in_order
from corpora.files.checks import shown
from corpora.files.output import replace_file
from corpora.files.source import Source
from corpora.text.inputs import expand
from rnnlm.ngram.counting.files import CountLines, unlike
from rnnlm.ngram.trie import MAX_ORDER

_BUFFER = 1 << 20  # bytes


def merge_counts(paths: Sequence[str], path: str, *, threads: int | None = None) -> None:
    """Add up count files, sorted as ``write_counts`` leaves them, into one of the same order.

    The result has the same bytes whatever the order of the files, and those of the counts of the whole where
    the files are counts of its parts.  A file may be merged with others of lower or higher orders.
    FormatError with the line's number for a file that is not sorted, or is no count file.
    """
    files = unlike(expand(paths))
    finish = finisher(path)
    threads = threads or available()
    with ExitStack() as open_files:
        inputs = [CountLines(open_files.enter_context(Source(file))) for file in files]
        with replace_file(path) as file, ThreadPoolExecutor(threads) as pool:
            blocks = ((block,) for block in _merged(inputs))
            for block in in_order(pool, 2 * threads, finish, blocks):
                file.write(block)


def _merged(inputs: list[CountLines]) -> Iterator[bytes]:
    """The lines of all, in blocks."""
    from rnnlm.ngram.counting import join as j

    table = np.zeros((len(inputs), j.N_FIELDS), np.uint64)
    heap = np.array([i for i, lines in enumerate(inputs) if _refill(lines, table[i])], np.int64)
    state = np.zeros(j.N_STATE, np.int64)
    state[j.HEAP_SIZE] = heap.size
    pending_at, pending_lengths = np.zeros((2, MAX_ORDER), np.uint64)
    out = np.empty(_BUFFER, np.uint8)
    j.make_heap(table, heap, heap.size)
    while True:
        j.join(table, heap, pending_at, pending_lengths, out, state)
        stop = state[j.STOP]
        if stop == j.EMPTY:
            first = int(heap[0])
            if not _refill(inputs[first], table[first]):
                state[j.HEAP_SIZE] -= 1
                heap[0] = heap[state[j.HEAP_SIZE]]
        elif stop in (j.FULL, j.DONE):
            yield out[: state[j.WRITTEN]].tobytes()
            state[j.WRITTEN] = 0
            if stop == j.DONE:
                return
            if state[j.NEED] > out.size:
                out = np.empty(2 * int(state[j.NEED]), np.uint8)
        else:
            raise _complaint(j, inputs[heap[0]], table[heap[0]], out, pending_at, pending_lengths, state)


def _refill(lines: CountLines, row: np.ndarray) -> bool:
    """Take more lines, and enter them in the row of the table; False at the end of the file."""
    while lines.more():
        if lines.n_lines:
            arrays = lines.words_at, lines.lengths, lines.n_words, lines.counts
            row[:] = [*(array.ctypes.data for array in arrays), lines.n_lines, 0, 0]
            return True
    return False


def _complaint(j, lines: CountLines, row, out, pending_at, pending_lengths, state):
    n = int(state[j.PENDING])
    starts = (pending_at[:n] - np.uint64(out.ctypes.data)).astype(np.int64)
    ends = starts + pending_lengths[:n].astype(np.int64)
    before = shown(out[starts[0] : ends[-1]].tobytes(), 80)
    line = int(row[j.LINE])
    if state[j.STOP] == j.TOO_LARGE:
        return lines.error(
            line, f'the counts of "{before}" add up to {state[j.COUNT]}; at most {j.LARGEST} is possible'
        )
    found = shown(lines.ngram(line), 80)
    return lines.error(
        line, f'"{found}" after "{before}": not sorted by the bytes of the words; LC_ALL=C sort does that'
    )
