r"""N-gram models in ARPA form, as SRILM, KenLM and IRSTLM write them: recognised and read.

    \data\                      empty lines and comments (#) may come before
    ngram 1=4                   how many n-grams of each order there are
    ngram 2=3

    \1-grams:
    -1.2 <tab> the <tab> -0.3   log10 probability, the words, log10 back-off weight
    ...
    \end\

Only n-grams that no longer one begins with can do without a back-off weight; IRSTLM leaves out others that are 0.
What is between fields may be tabs or spaces.  What is wrong is an error with the line's number, as strictly
as KenLM has it.  ``<UNK>`` is the word ``<unk>``; ``<s>`` is no word of the vocabulary, only a context.
Writing is in ``arpa_writer``.
"""

from __future__ import annotations

import re
from bisect import bisect_right

import numpy as np

from corpora.errors import FormatError
from corpora.files.checks import shown
from corpora.files.source import Source
from corpora.text.inputs import UTF8_BOM
from corpora.text.lines import LinePieces
from corpora.text.vocab import EOS, UNK, Vocab, WordList
from rnnlm.ngram.trie import (
    BLANK,
    FIRST_WORD,
    LARGEST_BACKOFF,
    MAX_ORDER,
    MAX_WORDS,
    NO_BACKOFF,
    NONE,
    START,
    ZERO,
    internal_ids,
)

START_WORD = b"<s>"
OTHER_UNK = b"<UNK>"
_DATA, _END = b"\\data\\", b"\\end\\"
_COUNT = re.compile(rb"ngram\s+(\d{1,9})\s*=\s*(\d{1,18})")
_MOST_AT_ONCE = 1 << 20  # n-grams that room is made for before the file has shown that it has them


def recognises(prefix: bytes) -> bool:
    """Whether the first line that is neither empty nor a comment is ``\\data\\``."""
    for line in prefix.removeprefix(UTF8_BOM).split(b"\n"):
        line = line.strip()
        if line and not line.startswith(b"#"):
            return line == _DATA
    return False


def peek(source: Source) -> dict:
    """What the head says: ``ngrams``, the number of n-grams of each order, ``order``, ``n_words``, ``training``."""
    counts = _Reader(source).head()
    return {"order": len(counts), "ngrams": counts, "n_words": counts[0], "training": {}}


def read(source: Source, dtype: str | None = None):
    """The model of an open file, a BackoffLM.  ``dtype`` has no meaning here: probabilities are float32.

    ``</s>`` becomes word 0, with a probability of zero where the file lacks it; the other words stay in
    the file's order.  FormatError with the line's number for a file that is not as it should be.
    """
    from rnnlm.ngram.query.model import BackoffLM

    return BackoffLM(*_Reader(source).model(), {})


class _Reader:
    """One pass over a file."""

    def __init__(self, source: Source):
        self._path, self._source = source.path, source
        self._pieces = LinePieces(source)
        self._counts: list[int] = []

    def model(self):
        """vocab, trie."""
        from rnnlm.ngram.query.build import NgramError, TrieBuilder

        counts = self.head()
        order = len(counts)
        self._expect(b"\\1-grams:")
        vocab, columns = self._unigrams(counts[0], order == 1)
        try:
            builder = TrieBuilder(order, len(vocab), *columns)
            for n, count in enumerate(counts[1:], 2):
                self._expect(b"\\%d-grams:" % n)
                section = _Section(self, n, n == order, count)
                section.parse(self._table.lookup, self._internal)
                try:
                    builder.add(section.ids, section.log10_probs, section.backoffs)
                except NgramError as error:
                    words = b" ".join(map(self._word, section.ids[error.index].tolist()))
                    raise self.error(f'"{shown(words, 80)}": {error.reason}', section.line(error.index)) from error
                del section  # its arrays, before room is made for the next order's
        except ValueError as error:
            raise self.error(str(error), None) from error
        self._finish()
        return vocab, builder.finish()

    def head(self) -> list[int]:
        """Read the counts, up to the head of the first section, which is not taken."""
        line = self._next()
        while line is not None and line.startswith(b"#"):
            line = self._next()
        if line != _DATA:
            raise self._expected(_DATA, line)
        counts = self._counts
        bytes_needed = 0
        while (line := self._next()) is not None and not line.startswith(b"\\"):
            match = _COUNT.fullmatch(line)
            if not match:
                raise self.error(f'expected "ngram {len(counts) + 1}=COUNT" or "\\1-grams:", found "{shown(line)}"')
            order, count = map(int, match.groups())
            if not 1 <= order <= MAX_ORDER:
                raise self.error(f"n-grams of order {order}; orders 1 to {MAX_ORDER} can be read")
            if order != len(counts) + 1:
                raise self.error(f'expected the count of order {len(counts) + 1}, found "{shown(line)}"')
            counts.append(count)
            bytes_needed += count * len(b"0" + b" a" * order + b"\n")
            if self._source.is_plain_file and bytes_needed > self._source.size:
                size = f"{bytes_needed} bytes at least, and the file has {self._source.size}"
                raise self.error(f"cut short, or the count is wrong: {count} n-grams of order {order} make it {size}")
        if not counts:
            raise self._expected(b"ngram 1=COUNT", line)
        if not counts[0]:
            raise self.error("no words: the number of 1-grams is 0")
        if counts[0] > MAX_WORDS:
            raise self.error(f"{counts[0]} words; at most {MAX_WORDS} are possible in an n-gram model")
        if line is not None:
            self._pieces.step_back()
        return counts

    def _unigrams(self, count: int, highest: bool) -> tuple[Vocab, tuple[np.ndarray, np.ndarray]]:
        """The vocabulary, and log10 probabilities and back-offs by internal id.

        Also what higher orders look their words up in.
        """
        from corpora.text.word_hash import WordHash

        section = _Section(self, 1, highest, count)
        section.parse(WordHash().lookup, np.zeros(1, np.uint32))
        words = section.words()
        places = {word: words.find(word) for word in (EOS, START_WORD, UNK, OTHER_UNK)}
        if places[OTHER_UNK] >= 0:
            at = words.offsets[places[OTHER_UNK]]
            words.blob[at : at + len(UNK)] = np.frombuffer(UNK, np.uint8)
        # </s> first, wherever it was; where it was not, it is appended, at position `count`
        extended = WordList(
            np.concatenate([words.blob, np.frombuffer(EOS, np.uint8)]),
            np.append(words.offsets, words.offsets[-1] + len(EOS)),
        )
        eos = places[EOS] if places[EOS] >= 0 else count
        rows = np.concatenate([[eos], np.setdiff1d(np.arange(count), [eos, places[START_WORD]])])
        vocab = Vocab(extended.take(rows))
        internal = internal_ids(len(vocab))[:-1]
        table_ids = [internal]
        try:
            table = WordHash.of(vocab.words)
            if places[START_WORD] >= 0:
                table.add(WordList.of([START_WORD]))
                table_ids.append([START])
            if vocab.unk_id >= 0:
                table.add(WordList.of([OTHER_UNK]))
                table_ids.append([internal[vocab.unk_id]])
        except ValueError as error:
            raise self._repetition(words, section) from error
        self._table, self._internal = table, np.concatenate(table_ids).astype(np.uint32)
        if places[EOS] < 0:
            self._internal[0] = NONE
        log10_probs = np.full(len(vocab) + FIRST_WORD, ZERO, np.float32)
        log10_probs[START] = BLANK  # no n-gram, unless the file has it
        backoffs = np.full(len(vocab) + FIRST_WORD, NO_BACKOFF, np.float32)
        by_row = np.empty(count + 1, np.int64)  # one more for a </s> that is not there
        by_row[rows] = internal
        if places[START_WORD] >= 0:
            by_row[places[START_WORD]] = START
        log10_probs[by_row[:count]] = section.log10_probs
        if not highest:
            backoffs[by_row[:count]] = section.backoffs
        return vocab, (log10_probs, backoffs)

    def _repetition(self, words: WordList, section: _Section) -> FormatError:
        first_row: dict[bytes, int] = {}
        for row, word in enumerate(words):
            if first_row.setdefault(word, row) != row:
                break
        return self.error(f'the word "{shown(word)}" is there twice', section.line(row))

    def _word(self, internal_id: int) -> bytes:
        word = int(np.flatnonzero(self._internal == internal_id)[0])
        return self._table.words(np.array([word]))[0]

    def _finish(self) -> None:
        self._expect(_END)
        if (line := self._next()) is not None:
            raise self.error(f'expected nothing after "\\end\\", found "{shown(line)}"')

    def _expect(self, wanted: bytes) -> None:
        line = self._next()
        if line != wanted:
            raise self._expected(wanted, line)

    def _expected(self, wanted: bytes, line: bytes | None) -> FormatError:
        if line is None:
            return self.error(f'expected "{wanted.decode()}", found the end of the file: cut short?')
        return self.error(f'expected "{wanted.decode()}", found "{shown(line)}"')

    def _next(self) -> bytes | None:
        """The next line that is not empty, without white space around it; None at the end."""
        while (line := self._pieces.line()) is not None and not (line := line.strip()):
            pass
        return line

    def error(self, reason: str, line: int | None = -1) -> FormatError:
        """An error in the line that was read last, or in another one, or in none (None)."""
        if line == -1:
            line = self._pieces.number
            if self._pieces.is_open and "cut short" not in reason:
                reason += "; the file ends in this line: cut short?"
        return FormatError(self._path, line, reason)


class _Section:
    """The n-grams of one order: ids (M, n) uint32, log10_probs (M,), backoffs (M,) or, in the highest order, None."""

    def __init__(self, reader: _Reader, order: int, highest: bool, count: int):
        self._reader, self._pieces = reader, reader._pieces
        self.order, self.highest, self.count = order, highest, count
        capacity = count if reader._source.is_plain_file else min(count, _MOST_AT_ONCE)
        self.ids = np.empty((capacity if order > 1 else 0, order), np.uint32)
        self.log10_probs = np.empty(capacity, np.float32)
        self.backoffs = None if highest else np.empty(capacity, np.float32)
        self._word_ends = np.empty(capacity if order == 1 else 0, np.int64)
        self._blob = np.empty(0, np.uint8)
        self._first_line = self._pieces.number + 1
        self._empty_before: list[int] = []  # for every empty line, how many n-grams were before it

    def parse(self, lookup: tuple, internal: np.ndarray) -> None:
        """Read up to the head that follows.  lookup, internal: as ``parse_lines`` takes them."""
        from rnnlm.io import arpa_parse as p

        state = np.zeros(p.N_STATE, np.int64)
        pieces = self._pieces
        no_floats = np.empty(0, np.float32)
        state[p.STOP] = p.DONE
        while True:
            if state[p.STOP] == p.DONE and pieces.position >= pieces.size and not pieces.more():
                raise self._reader.error(
                    f"the file ends after {state[p.ROWS]} of the {self.count} {self.order}-grams: cut short?"
                )
            self._make_room(pieces.size, int(state[p.BLOB]))
            state[p.POSITION], state[p.LINES] = pieces.position, 0
            backoffs = no_floats if self.highest else self.backoffs
            out = p.Lines(self.ids, self.log10_probs, backoffs, self._blob, self._word_ends)
            p.parse_lines(
                pieces.buffer.ctypes.data, pieces.ends, pieces.n_ends, self.order, self.highest, lookup, internal, out,
                state,
            )  # fmt: skip
            pieces.move(int(state[p.POSITION]), int(state[p.LINES]))
            rows, stop = int(state[p.ROWS]), int(state[p.STOP])
            if stop == p.EMPTY:
                self._empty_before.append(rows)
            elif stop == p.HEAD:
                break
            elif stop == p.FULL and rows < self.count:
                self._grow(min(self.count, 2 * rows))
            elif stop != p.DONE:
                raise self._complaint(p, stop, int(state[p.WORD]))
        if rows < self.count:
            pieces.line()
            raise self._reader.error(
                f'the section "\\{self.order}-grams:" has {rows} n-grams, where the head says {self.count}'
            )

    def line(self, row: int) -> int:
        """The line's number of an n-gram."""
        return self._first_line + row + bisect_right(self._empty_before, row)

    def words(self) -> WordList:
        """The words of the unigrams, which may be changed in place."""
        offsets = np.concatenate([[0], self._word_ends[: self.count]])
        return WordList(self._blob[: offsets[-1]], offsets)

    def _make_room(self, n_bytes: int, used: int) -> None:
        if self.order == 1 and self._blob.size < used + n_bytes:
            self._blob.resize(2 * self._blob.size + n_bytes, refcheck=False)

    def _grow(self, capacity: int) -> None:
        # in place: for large arrays the system moves pages, not bytes
        self.log10_probs.resize(capacity, refcheck=False)
        if not self.highest:
            self.backoffs.resize(capacity, refcheck=False)
        if self.order > 1:
            self.ids.resize((capacity, self.order), refcheck=False)
        else:
            self._word_ends.resize(capacity, refcheck=False)

    def _complaint(self, p, stop: int, word: int) -> FormatError:
        """What is wrong with the line at the pieces' position."""
        line = self._pieces.line()
        fields = re.split(rb"[ \t]+", line.strip(b" \t\r\n"))
        n = self.order
        prob, last = shown(fields[0]), shown(fields[-1])
        wanted = "log10 probability and word" + ("s" if n > 1 else "")
        reasons = {
            p.FULL: f'more {n}-grams than the {self.count} that the head says: "{shown(line.strip())}"',
            p.FEW: f"too few fields for a {n}-gram: {len(fields)}",
            p.MANY: f"too many fields for a {n}-gram: {len(fields)}",
            p.PROB_NUMBER: f'expected {wanted}, found "{prob}" where the number should be',
            p.PROB_NAN: "the log10 probability is not a number (NaN)",
            p.PROB_POSITIVE: f"the log10 probability is {prob}, above 0",
            p.BACKOFF_NUMBER: f'expected a log10 back-off weight after the {n}-gram, found "{last}"',
            p.BACKOFF_RANGE: f"the log10 back-off weight is {last}, no finite number of at most {LARGEST_BACKOFF:g}",
            p.HIGHEST_BACKOFF: f"a back-off weight, {last}, in the highest order, where none can be",
        }
        if stop == p.UNKNOWN:
            reason = f'the word "{shown(fields[1 + word])}" is not among the 1-grams'
        else:
            reason = reasons[stop]
        return self._reader.error(reason)
