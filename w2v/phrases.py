"""Phrases: words that stand together more often than by chance become one word, as word2phrase makes them.

The text is encoded once; a pass counts its pairs of words, scores them, and joins those above a threshold, greedily
from left to right, in the ids themselves.  The next pass works on what this one left, so phrases get longer.

Mikolov, T., Sutskever, I., Chen, K., Corrado, G., and Dean, J. (2013). Distributed representations of words and
phrases and their compositionality. NIPS 26.
Bouma, G. (2009). Normalized (pointwise) mutual information in collocation extraction. GSCL.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import BinaryIO, NamedTuple

import numpy as np

from corpora.compute import libm
from corpora.errors import CorpusError
from corpora.files.output import replace_file
from corpora.text.inputs import expand, text_size
from corpora.text.stream import TokenStream, encode
from corpora.text.tokenizers import get_tokenizer
from corpora.text.vocab import WordList
from w2v import bigrams
from w2v.config import PhraseConfig
from w2v.pair_names import SharedNames, with_separator
from w2v.pair_table import MOST_SLOTS, Coding, Table, count_tables

ENGLISH = b"a an the for of with without at from to in on by and or".split()
"""Articles, prepositions and conjunctions that stand inside of phrases (gensim's list)."""
HEADER = b"phrase\tcount\tscore\tpass\n"
_BLOCK = 1 << 20  # ids
_OUT = 1 << 22  # bytes

Progress = Callable[[str, "int | None"], Callable[[float], object]]


class Found(NamedTuple):
    """The n phrases that a pass found, by descending score: names, counts (n,) int64 and scores (n,) of their pairs."""

    names: list[bytes]
    counts: np.ndarray
    scores: np.ndarray


def word2phrase_score(pairs, first, second, n_words: int, min_count: int) -> np.ndarray:
    """(count(ab) - min_count) / count(a) / count(b) * n_words, all counts (n,): Mikolov et al. (2013), eq. 6.

    In the single precision and the order of word2phrase, so that no pair is decided otherwise.
    """
    f = np.float32
    return (pairs - min_count).astype(f) / first.astype(f) / second.astype(f) * f(n_words)


def npmi_score(pairs, first, second, n_words: int, min_count: int) -> np.ndarray:
    """ln(p(ab) / p(a) p(b)) / -ln p(ab), between -1 and 1: Bouma (2009), with p = count / n_words; counts (n,)."""
    log_p = libm.log(pairs / n_words)
    # one quotient: independent words have exactly 0
    mutual = libm.log((pairs.astype(np.float64) * n_words) / (first.astype(np.float64) * second))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(log_p < 0, np.minimum(mutual / -log_p, 1.0), 1.0)  # log_p 0: a text of nothing but one pair


_SCORERS = {"word2phrase": word2phrase_score, "npmi": npmi_score}


class PhraseText:
    """An encoded text whose phrases are joined, pass after pass: its ids, words and counts change.

    ids (N,) int32, 0: line end.  counts (V,) int64.  ``stream`` must have been encoded with all its words; its ids
    are written to.  ``most_slots``: of 16 bytes, of the table in which pairs are counted; a power of two.
    """

    def __init__(self, stream: TokenStream, config: PhraseConfig, most_slots: int = MOST_SLOTS):
        self.config, self.words = config, stream.vocab.words
        self.ids, self.counts = stream.ids, stream.vocab.counts.copy()
        self._most_slots = most_slots
        self._named = {self.words[i]: i for i in with_separator(self.words, config.separator).tolist()}
        known = [self.words.find(word) for word in dict.fromkeys(config.connectors)]
        self._connectors = np.array([word for word in known if word > 0], np.int64)

    @property
    def n_words(self) -> int:
        """How many words the text has now; line ends are none."""
        return self.ids.size - int(self.counts[0])

    def join(self, threshold: float, progress: Callable[[float], object] = lambda n: None) -> Found:
        """One pass: find the phrases and join them.  ``progress`` gets numbers of ids, in all twice those there are."""
        coding, word_of_rank = self._coding()
        keys, pair_counts, scores = self._above(threshold, coding, word_of_rank, progress)
        names = self._names(keys, coding, word_of_rank)
        self._replace(keys, self._enter(names), coding, progress)
        return Found(names, pair_counts, scores)

    def write(self, file: BinaryIO, progress: Callable[[float], object] = lambda n: None) -> None:
        """The text, a line for each line that was read."""
        padding = np.zeros(bigrams.PADDING, np.uint8)
        blob = np.concatenate([self.words.blob, padding])
        longest = int(np.diff(self.words.offsets).max())
        out = np.empty(max(_OUT, longest + 1) + bigrams.PADDING, np.uint8)
        position, fresh = 0, True
        while position < self.ids.size:
            begin = position
            position, n, fresh = bigrams.write_words(
                self.ids, begin, blob, self.words.offsets, self.config.compatible, fresh, out
            )
            file.write(out[:n].data)
            progress(position - begin)

    def _coding(self) -> tuple[Coding, np.ndarray]:
        """Which words can begin and end phrases, and the id of each rank (R,) int64."""
        # with shared counts a rare word can become frequent
        usable = self.counts >= (0 if self.config.compatible else self.config.min_count)
        usable[0] = False
        usable[self._connectors] = False
        word_of_rank = np.concatenate([[0], np.flatnonzero(usable)])
        codes = np.zeros(len(self.words), np.int32)
        codes[word_of_rank[1:]] = np.arange(1, word_of_rank.size)
        codes[self._connectors] = -np.arange(1, self._connectors.size + 1)
        coding = Coding(codes, word_of_rank.size, self._connectors.size)
        if not coding.fits:
            reason = f"{coding.n_connectors} connectors are too many for {coding.ranks - 1} words"
            raise CorpusError(f"{reason}; give fewer, or raise `min_count`")
        return coding, word_of_rank

    def _above(self, threshold: float, coding: Coding, word_of_rank: np.ndarray, progress):
        """Keys, counts and scores of the pairs above the threshold, by descending score."""
        config, counts = self.config, self.counts
        sharing = SharedNames(self.words, config.separator, counts) if config.compatible else None
        across = config.across_lines or config.compatible
        pieces = []
        for keys, n in count_tables(
            self.ids, coding, across_lines=across, most_slots=self._most_slots, progress=progress
        ):
            keep = n >= config.min_count
            if sharing is not None:
                keep |= sharing.concerns(*self._ends(keys, coding, word_of_rank))
            pieces.append((keys[keep], n[keep]))
        keys, pairs = (np.concatenate(columns) for columns in zip(*pieces, strict=True))
        first, second = self._ends(keys, coding, word_of_rank)
        if sharing is not None:
            counts, pairs = sharing.totals(first, second, pairs)
        firsts, seconds = counts[first], counts[second]
        scores = _SCORERS[config.score](pairs, firsts, seconds, self.n_words, config.min_count)
        frequent = np.minimum(np.minimum(firsts, seconds), pairs) >= config.min_count
        largest = float(np.finfo(scores.dtype).max)  # scores may be float32
        above = np.flatnonzero(frequent & (scores > min(max(threshold, -largest), largest)))
        above = above[np.lexsort((keys[above], -scores[above]))]
        return keys[above], pairs[above], scores[above]

    @staticmethod
    def _ends(keys: np.ndarray, coding: Coding, word_of_rank: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        first, second, _ = coding.split(keys)
        return word_of_rank[first], word_of_rank[second]

    def _names(self, keys: np.ndarray, coding: Coding, word_of_rank: np.ndarray) -> list[bytes]:
        first, second = (self.words.take(ids) for ids in self._ends(keys, coding, word_of_rank))
        infixes, which = np.unique(coding.split(keys)[2], return_inverse=True)
        inside = [[self.words[self._connectors[k - 1]] for k in coding.connectors(i)] for i in infixes.tolist()]
        join = self.config.separator.join
        return [join([a, *inside[i], b]) for a, i, b in zip(first, which.tolist(), second, strict=True)]

    def _enter(self, names: list[bytes]) -> np.ndarray:
        """The ids of these words (n,), those that a word of the text has or new ones."""
        new: list[bytes] = []
        for name in names:
            if name not in self._named:
                self._named[name] = len(self.words) + len(new)
                new.append(name)
        more = WordList.of(new)
        self.words = WordList(
            np.concatenate([self.words.blob, more.blob]),
            np.concatenate([self.words.offsets, self.words.offsets[-1] + more.offsets[1:]]),
        )
        self.counts = np.concatenate([self.counts, np.zeros(len(new), np.int64)])
        return np.fromiter((self._named[name] for name in names), np.int64, len(names))

    def _replace(self, keys: np.ndarray, joined: np.ndarray, coding: Coding, progress) -> None:
        table = Table.of(keys, joined)
        written = 0
        for start, end in _blocks_of_lines(self.ids):
            written = bigrams.join_pairs(
                self.ids, start, end, written, coding.codes, coding.ranks, coding.n_connectors,
                table.rows, table.shift, self.counts,
            )  # fmt: skip
            progress(end - start)
        self.ids = self.ids[:written]


def _blocks_of_lines(ids: np.ndarray) -> Iterator[tuple[int, int]]:
    """Where to cut ids (N,) into blocks of whole lines."""
    start = end = 0
    while end < ids.size:
        begin, end = end, min(end + _BLOCK, ids.size)
        cuts = np.flatnonzero(ids[begin:end] == 0)
        if cuts.size or end == ids.size:
            cut = begin + int(cuts[-1]) + 1 if end < ids.size else end
            yield start, cut
            start = end = cut


def write_phrases(
    texts: Sequence[str],
    output: str,
    config: PhraseConfig,
    *,
    bigrams_file: str | None = None,
    tokenizer: str = "whitespace",
    lower: bool = False,
    threads: int | None = None,
    tmp: str | None = None,
    say: Callable[[str], None] = lambda line: None,
    progress: Progress = lambda what, total: lambda n: None,
) -> None:
    """Write texts (files, patterns, directories, ``-``) to ``output`` with their phrases joined.

    ``bigrams_file``: the phrases of all passes as TSV with the columns of HEADER, by descending score; a phrase is
    listed if its score is above the threshold, even if another one always took a word of it.
    ``threads``, ``tmp``: for encoding.  ``say`` gets notes; ``progress(what, total)`` gives a function of steps done.
    Raises CorpusError for input that cannot be used.
    """
    files = expand(texts)
    reading = progress("reading", text_size(files))
    with encode(files, get_tokenizer(tokenizer, lower), threads=threads, tmp=tmp, progress=reading) as stream:
        text = PhraseText(stream, config)
        say(f"{text.n_words} words, {len(text.words) - 1} different, in {stream.n_sentences} lines")
        with ExitStack() as open_files:
            table = open_files.enter_context(replace_file(bigrams_file)) if bigrams_file is not None else None
            if table is not None:
                table.write(HEADER)
            for number in range(config.passes):
                found = text.join(config.threshold(number), progress(f"pass {number + 1}", 2 * text.ids.size))
                say(f"pass {number + 1}: {len(found.names)} phrases; {text.n_words} words are left")
                if table is not None:
                    write_table(table, found, number + 1)
            file = open_files.enter_context(replace_file(output))
            text.write(file, progress("writing", text.ids.size))
        text.ids = None  # the stream's file cannot be closed while it is mapped


def write_table(file: BinaryIO, found: Found, number: int) -> None:
    """The phrases of pass ``number`` as rows of the table of which HEADER is the first line."""
    rows = zip(found.names, found.counts.tolist(), found.scores.tolist(), strict=True)
    file.writelines(b"%b\t%d\t%.6g\t%d\n" % (*row, number) for row in rows)
