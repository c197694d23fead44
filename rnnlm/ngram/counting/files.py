"""Counts of n-grams as text: written from texts, read for models; SRILM's form, one line per n-gram.

    the cat <tab> 17

Lines are sorted by their words, these by their bytes, and an n-gram comes before those that it begins, as
SRILM's ``ngram-count -sort`` has it: so files can be merged without holding them (``countmerge``), and the
file of a text is that of its parts merged, in any order.  In reading, lines may come in any order.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from corpora.compute.processors import available
from corpora.errors import CorpusError, FormatError
from corpora.files.blocks import finisher, in_order
from corpora.files.checks import shown
from corpora.files.output import replace_file
from corpora.files.source import Source
from corpora.text.chunks import PADDING
from corpora.text.inputs import STDIN, expand
from corpora.text.lines import LinePieces
from corpora.text.vocab import EOS, UNK, Vocab, WordList
from rnnlm.ngram.counting.counts import CountedTrie, NoContext, count_rows
from rnnlm.ngram.counting.texts import count_texts
from rnnlm.ngram.counting.vocabulary import by_count, inverse, with_unk
from rnnlm.ngram.trie import CHILD, FIRST_WORD, MAX_ORDER, MAX_WORDS, NONE, PROB, START, internal_ids

START_WORD = b"<s>"
_BLOCK = 1 << 12  # bigrams whose lines, and those of all that they begin, one thread formats at a time
_BUFFER = 1 << 20  # bytes
_ROWS = 1 << 16  # n-grams that there is room for to begin with


def write_counts(
    texts: Sequence[str],
    path: str,
    order: int,
    *,
    tokenizer: str = "whitespace",
    memory: int | None = None,
    threads: int | None = None,
    tmp: str | None = None,
    say: Callable[[str], None] = lambda line: None,
    progress: Callable = lambda what, total: lambda n: None,
) -> None:
    """Count the n-grams of orders 1 to N of texts into a file, compressed where its name ends in ``.gz``.

    The options are those of ``rnnlm.ngram.run.estimate_model``.  The file appears whole or not at all, and has
    the same bytes on any number of threads.  CorpusError for what cannot be read or written.
    """
    if not 1 <= order <= MAX_ORDER:
        raise ValueError(f"`order` {order}: from 1 to {MAX_ORDER}")
    threads = threads or available()
    vocab, counted, _ = count_texts(
        texts, order, tokenizer=tokenizer, memory=memory, threads=threads, tmp=tmp, say=say, progress=progress,
        backwards=True,
    )  # fmt: skip
    lines = _Lines(vocab, counted, finisher(path))
    done = progress("writing", lines.n_items)
    with replace_file(path) as file, ThreadPoolExecutor(threads) as pool:
        for n_items, blocks in in_order(pool, 2 * threads, lines.block, lines.tasks()):
            file.writelines(blocks)
            done(n_items)
            counted.arena.drop()


class _Lines:
    """Formats blocks of the n-grams of a text that was counted backwards, from any number of threads."""

    def __init__(self, vocab: Vocab, counted: CountedTrie, finish: Callable[[bytes], bytes]):
        from rnnlm.ngram.counting.format import LONGEST_COUNT, SLACK

        self._finish, self._nodes = finish, counted.nodes
        internal = counted.internal[:-1].astype(np.int64)
        # the words by internal id: nothing for NONE; the trie runs backwards, so <s> and </s> change places
        by_internal = np.empty(internal.size, np.int64)
        by_internal[internal - FIRST_WORD] = np.arange(internal.size)
        ordinary = vocab.words.take(by_internal[by_internal != 0])
        eos_row = int(internal[0])
        n_below = eos_row - FIRST_WORD  # words whose internal ids are below that of the vocabulary's </s>
        words = [*ordinary]
        rows = np.delete(np.arange(FIRST_WORD, internal.size + FIRST_WORD), n_below)
        all_words = WordList.of([b"", EOS, *words[:n_below], START_WORD, *words[n_below:]])
        self._blob = np.concatenate([all_words.blob, np.zeros(SLACK, np.uint8)])
        self._starts = all_words.offsets
        self._longest = counted.order * (int(np.diff(self._starts).max()) + 1) + LONGEST_COUNT + 1 + SLACK
        places = [bisect_left(words, marker) for marker in (EOS, START_WORD)]
        self._end_place = int(rows[places[0]]) if places[0] < rows.size else internal.size + FIRST_WORD
        roots = np.insert(rows, places, [START, eos_row])
        unigrams = counted.nodes[0]
        roots = roots[unigrams[roots, PROB] > 0]
        n_children = unigrams[roots + 1, CHILD].astype(np.int64) - unigrams[roots, CHILD]
        self._roots = roots
        self._items = np.concatenate([[0], np.cumsum(1 + n_children * (counted.order > 1))])
        self._tables = np.array([nodes.ctypes.data for nodes in self._nodes], np.uint64)
        self.n_items = int(self._items[-1])

    def tasks(self) -> Iterator[tuple[int, int]]:
        for first in range(0, self.n_items, _BLOCK):
            yield first, min(first + _BLOCK, self.n_items)

    def block(self, first: int, last: int) -> tuple[int, list[bytes | memoryview]]:
        """How many items there are from one to another, and their lines."""
        from rnnlm.ngram.counting.format import ITEM, WRITTEN, write_counts

        order = self._tables.size
        path, siblings = np.empty(order, np.uint64), np.zeros((order, 4), np.int64)
        state = np.array([first, 0, 0], np.int64)
        words_at = np.uint64(self._blob.ctypes.data)
        pieces = []
        while state[ITEM] < last:
            out = np.empty(max(_BUFFER, 4 * self._longest), np.uint8)
            write_counts(
                self._tables, self._roots, self._items, self._end_place, words_at, self._starts, self._longest, last,
                path, siblings, out, state,
            )  # fmt: skip
            pieces.append(self._finish(out[: state[WRITTEN]].data))
        return last - first, pieces


class CountLines:
    """The lines of an open count file, one piece of it in memory at a time.

    After ``more``: words_at, lengths (W,), n_words, counts, lines (L,) uint64, as ``parse_counts`` leaves them,
    for ``n_words_in_all`` W and ``n_lines`` L; they are good until the next call.
    """

    def __init__(self, source: Source):
        self._path, self._pieces = source.path, LinePieces(source)
        self._first_line = 1
        self.n_lines = self.n_words_in_all = 0
        self._make_room(0)

    @property
    def text(self) -> np.ndarray:
        """The bytes of the piece."""
        return self._pieces.buffer

    def more(self, longest: int = MAX_ORDER) -> bool:
        """Take the next piece, of it the n-grams of at most ``longest`` words; False at the end.

        FormatError for a line that cannot stand in a count file.
        """
        from rnnlm.ngram.counting import parse as p

        pieces = self._pieces
        self._first_line = pieces.number + 1
        if not pieces.more():
            return False
        if self.words_at.size < pieces.n_ends:
            self._make_room(2 * pieces.n_ends)
        state = np.zeros(p.N_STATE, np.int64)
        p.parse_counts(
            pieces.buffer.ctypes.data, pieces.ends, pieces.n_ends, longest, self.words_at, self.lengths, self.n_words,
            self.counts, self.lines, state,
        )  # fmt: skip
        self.n_lines, self.n_words_in_all = int(state[p.N_LINES]), int(state[p.N_WORDS])
        stop = int(state[p.STOP])
        if stop != p.DONE:
            raise self._complaint(p, stop, int(state[p.LINES]))
        pieces.move(pieces.size, int(state[p.LINES]))
        return True

    def ngram(self, line: int) -> bytes:
        """The words of a line of the piece."""
        first = int(self.n_words[:line].sum())
        last = first + int(self.n_words[line]) - 1
        start = int(self.words_at[first]) - self._pieces.buffer.ctypes.data
        end = int(self.words_at[last] + self.lengths[last]) - self._pieces.buffer.ctypes.data
        return self._pieces.buffer[start:end].tobytes()

    def error(self, line: int, reason: str) -> FormatError:
        """An error in a line of the piece that was kept."""
        return FormatError(self._path, self._first_line + int(self.lines[line]), reason)

    def _make_room(self, n: int) -> None:
        self.words_at, self.lengths, self.n_words, self.counts, self.lines = np.empty((5, n), np.uint64)

    def _complaint(self, p, stop: int, line: int) -> FormatError:
        content = self._pieces.buffer[: self._pieces.size].tobytes().split(b"\n", line + 1)[line].removesuffix(b"\r")
        fields = content.replace(b"\t", b" ").split(b" ")
        count = shown(fields[-1])
        reasons = {
            p.EMPTY_WORD: f'an empty word in "{shown(content)}": expected words, single spaces between, a tab, a count',
            p.NO_COUNT: f'expected words, a tab and their count, found "{count}" alone',
            p.NOT_A_NUMBER: f'expected a count after the words, found "{count}"',
            p.NEGATIVE: f"the count is {count}, below 0",
            p.TOO_LARGE: f"the count is {count}; at most {p.LARGEST} is possible",
            p.TOO_LONG: f"an n-gram of {len(fields) - 1} words; orders 1 to {MAX_ORDER} can be read",
            p.START_INSIDE: f'"{shown(content)}": <s> can only be the first word of an n-gram',
            p.END_INSIDE: f'"{shown(content)}": </s> can only be the last word of an n-gram',
        }
        return FormatError(self._path, self._first_line + line, reasons[stop])


def read_counted(
    paths: Sequence[str], order: int, vocab_file: str | None = None, *, unk: str = "word", threads: int = 1
) -> tuple[Vocab, CountedTrie]:
    """The vocabulary (with ``<unk>``) and the n-grams of orders 1 to N of count files, which are added up.

    The vocabulary is that of the text, by descending count, ties by bytes; or ``vocab_file``: then other words
    are ``<unk>`` (``unk`` "word"), or n-grams with them are left out ("kenlm", and those with ``<unk>``).
    Counts of shorter n-grams are taken as they stand.  A shorter n-gram that is missing has the sum of what it ends.
    FormatError with the line's number for what is wrong, CorpusError where there are no n-grams of an order, or there
    is no count of what n-grams begin with.
    """
    files = unlike(expand(paths))
    reader = _Rows(order, None if vocab_file is None else with_unk(Vocab.read(vocab_file)), unk == "kenlm")
    for path in files:
        with Source(path) as source:
            reader.read(CountLines(source))
    place = ", ".join(paths)
    vocab, rows, weights = reader.finish(place)
    try:
        return vocab, count_rows(rows, weights, len(vocab), threads=threads)
    except NoContext as error:
        known = {START: START_WORD, **dict(zip(internal_ids(len(vocab)).tolist(), vocab.words, strict=False))}
        ngram = shown(b" ".join(known[word] for word in error.words[::-1].tolist()), 80)
        raise CorpusError(
            f'{place}: no count of "{ngram}", with which longer n-grams begin: a file was damaged, or is missing'
        ) from error


def unlike(files: list[str]) -> list[str]:
    """The files, of which standard input can be one only."""
    if files.count(STDIN) > 1:
        raise CorpusError("-: standard input can be read only once")
    return files


class _Rows:
    """Collects the n-grams of count files as rows of word numbers.

    A word's number is its id in a table, plus 1.  The table has the words of a given vocabulary and then <s>, or
    </s>, <s> and then all words that are met.
    """

    def __init__(self, order: int, given: Vocab | None, leaves_out: bool):
        from corpora.text.word_hash import WordHash

        self._order, self._given, self._leaves_out = order, given, leaves_out
        self._table = WordHash() if given is None else WordHash.of(given.words)
        self._start = self._table.find(START_WORD)
        if self._start < 0:
            self._start = len(self._table)
            self._table.add(WordList.of([START_WORD]))
        self._rows = np.empty((_ROWS, order), np.uint32)
        self._weights = np.empty(_ROWS, np.int64)
        self._n = 0
        self._counts = np.zeros(1, np.int64)  # of single words, by id

    def read(self, lines: CountLines) -> None:
        """Add the n-grams of a file."""
        from corpora.text.encode import find_words
        from rnnlm.ngram.counting.parse import store_rows

        ids = np.empty(0, np.int32)
        while lines.more(self._order):
            n = lines.n_words_in_all
            if ids.size < n:
                ids = np.empty(2 * n, np.int32)
            find_words(lines.words_at, lines.lengths, n, *self._table.lookup, ids)
            self._meet_unknown(lines, ids, n)
            self._add_counts(lines, ids)
            self._make_room(lines.n_lines)
            left_out = self._table.find(UNK) if self._leaves_out else -1
            self._n = int(
                store_rows(
                    ids, lines.n_words, lines.counts, lines.n_lines, left_out, self._rows, self._weights, self._n
                )
            )

    def finish(self, place: str) -> tuple[Vocab, np.ndarray, np.ndarray]:
        """The vocabulary, the rows (M, N) by internal ids and their counts (M,)."""
        from rnnlm.ngram.counting.parse import LARGEST, add_weights, replace_words

        rows, weights = self._rows[: self._n], self._weights[: self._n]
        sums, n_rows = np.zeros((self._order, len(self._table) + 1), np.int64), np.zeros(self._order, np.int64)
        add_weights(rows, weights, sums, n_rows)
        if not n_rows.all():
            raise self._missing(place, n_rows)
        vocab, internal = self._vocabulary()
        if len(vocab) > MAX_WORDS:
            raise CorpusError(f"{len(vocab)} different words; {MAX_WORDS} are possible: a `vocab` with fewer helps")
        for n, of_order in enumerate(sums, 1):
            if (word := int(of_order.argmax())) and of_order[word] > LARGEST:
                shown_word = shown(self._table.words(np.array([word - 1]))[0])
                raise CorpusError(
                    f'{place}: the counts of {n}-grams that end in "{shown_word}" add up to {of_order[word]}; '
                    f"at most {LARGEST} is possible"
                )
        replace_words(rows, internal)
        return vocab, rows, weights

    def _vocabulary(self) -> tuple[Vocab, np.ndarray]:
        """The vocabulary, and the internal id of each word number."""
        n = len(self._table)
        counts = np.zeros(n, np.int64)
        counts[: self._counts.size] = self._counts[:n]
        of_word = np.zeros(n + 1, np.uint32)
        of_word[0] = NONE
        if self._given is not None:
            vocab = self._given.with_counts(counts[: len(self._given)])
            of_word[1 : len(vocab) + 1] = internal_ids(len(vocab))[:-1]
        else:
            ids = np.delete(np.arange(n), self._start)
            learnt = with_unk(Vocab(self._table.words(ids), counts[ids]))
            vocab, old = by_count(learnt.words, learnt.counts)
            of_word[1 + ids] = internal_ids(len(vocab))[:-1][inverse(old)[: ids.size]]
        of_word[1 + self._start] = START
        return vocab, of_word

    def _missing(self, place: str, n_rows: np.ndarray) -> CorpusError:
        missing = 1 + int(np.flatnonzero(n_rows == 0)[0])
        found = np.flatnonzero(n_rows)
        if not found.size:
            return CorpusError(f"{place}: no n-grams")
        if missing > found[-1] + 1:
            return CorpusError(
                f"{place}: no {self._order}-grams; `order` {found[-1] + 1} is the highest that these are enough for"
            )
        return CorpusError(f"{place}: no {missing}-grams, which a model needs as well as the longer ones")

    def _meet_unknown(self, lines: CountLines, ids: np.ndarray, n: int) -> None:
        """Give an id to the words that the table lacks."""
        from rnnlm.ngram.counting.parse import copy_unknown, fill_unknown

        n_unknown = int(np.count_nonzero(ids[:n] < 0))
        if not n_unknown:
            return
        if self._given is not None:
            if not self._leaves_out:
                ids[:n][ids[:n] < 0] = self._given.unk_id
            return
        text = np.zeros(lines.text.size + n_unknown + PADDING, np.uint8)
        size = copy_unknown(lines.words_at, lines.lengths, ids, n, text)
        found = np.empty(size, np.int32)
        self._table.encode(text, size, found)
        fill_unknown(ids, n, found)

    def _add_counts(self, lines: CountLines, ids: np.ndarray) -> None:
        n_words = lines.n_words[: lines.n_lines].astype(np.int64)
        single = n_words == 1
        words = ids[(np.cumsum(n_words) - n_words)[single]]
        counts = lines.counts[: lines.n_lines][single].astype(np.int64)[words >= 0]
        if self._counts.size < len(self._table):
            self._counts = np.append(self._counts, np.zeros(2 * len(self._table) - self._counts.size, np.int64))
        np.add.at(self._counts, words[words >= 0], counts)

    def _make_room(self, n_lines: int) -> None:
        needed = self._n + n_lines + 1  # one more: a row is written before it is known whether it stays
        if needed > len(self._rows):
            # in place: for large arrays the system moves pages, not bytes
            self._rows.resize((max(needed, 2 * len(self._rows)), self._order), refcheck=False)
            self._weights.resize(len(self._rows), refcheck=False)
