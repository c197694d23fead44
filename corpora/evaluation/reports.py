"""What is printed of a text that was scored: a summary, one line per sentence, or one per word.

Formats: ``text`` to read; ``srilm``, the layouts of SRILM's ``ngram -ppl -debug 0, 1, 2``; ``tsv``
with a header line; ``json``, an object for the summary and JSON lines for the others.

Columns of the summary (tsv, json): ``SUMMARY_KEYS``; of a sentence: ``SENTENCE_COLUMNS``, the same
figures; of a word: ``WORD_COLUMNS``, where ``oov`` is 0 or 1 and ``log10_prob`` is what the OOV policy
counts, empty (null) for a word that is skipped and -inf (null) for a zero probability.  A model that
tells the length of the n-gram that it found (0: none, an OOV of a model without ``<unk>``) adds the column ``order``, a
mixture one for each of its n-gram models: ``order_1``, ``order_2``, ...
Sentence ends are rows of their own, ``</s>``.  Sentences and positions are numbered from 1.
How bytes that are not UTF-8 and missing values are written: ``corpora.evaluation.table_writer``.

SRILM's layouts differ from SRILM's output only where it says something else: an empty line of the
text is a sentence here; the note on the n-gram that was found, ``[2gram]``, stands only with models
that tell it; under the policies ``unk`` and ``floor`` an OOV is an ordinary word, as with ``-unk``.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from typing import BinaryIO

import numpy as np

from corpora.evaluation.language_model import Scored
from corpora.evaluation.perplexity import SUMMARY_KEYS, Block, Tally
from corpora.evaluation.table_writer import CHUNK, TableWriter, WordPositions, number_cells
from corpora.text.vocab import EOS, UNK, Vocab

REPORTS = ("summary", "sentence", "word")
FORMATS = ("text", "srilm", "tsv", "json")
SENTENCE_COLUMNS = {
    "sentence": b"%d",
    "words": b"%d",
    "oov": b"%d",
    "zeroprobs": b"%d",
    "log10_prob": b"%.9g",
    "perplexity": b"%.9g",
    "ppl1": b"%.9g",
    "perplexity_including_oov": b"%.9g",
    "bits_per_word": b"%.9g",
}
WORD_COLUMNS = {"sentence": b"%d", "position": b"%d", "word": None, "oov": b"%d", "log10_prob": b"%.9g"}


class Report:
    """Gets the blocks of a text in order, then its tally; writes to a binary file.  This one is the summary alone."""

    def __init__(self, sink: BinaryIO, vocab: Vocab, summary: Callable[[Tally], bytes]):
        """``vocab``: the text's own."""
        self.sink, self.vocab, self.summary = sink, vocab, summary

    def block(self, block: Block) -> None:
        """Write what is known of a block."""

    def finish(self, tally: Tally) -> None:
        """Write what is known at the end."""
        self.sink.write(self.summary(tally))


def make_report(report: str, form: str, sink: BinaryIO, vocab: Vocab, name: str | os.PathLike = "-") -> Report:
    """A report (``REPORTS``) in a format (``FORMATS``); ``vocab`` is the text's own, ``name`` the text's, for SRILM.

    Use: ``report.finish(evaluate(lm, stream, on_block=report.block))``.
    """
    if report not in REPORTS:
        raise ValueError(f"`report` {report}: one of {', '.join(REPORTS)}")
    if form not in FORMATS:
        raise ValueError(f"`format` {form}: one of {', '.join(FORMATS)}")
    if form == "srilm":
        title = b"file " + os.fsencode(name) + b": "
        made_by = {"summary": Report, "sentence": SrilmSentences, "word": SrilmWords}[report]
        return made_by(sink, vocab, lambda tally: title + srilm_totals(tally))
    if form == "text":
        return {"summary": Report, "sentence": TextSentences, "word": TextWords}[report](sink, vocab, summary_text)
    if report == "summary":
        return Report(sink, vocab, summary_tsv if form == "tsv" else summary_json)
    return (SentenceTable if report == "sentence" else WordTable)(sink, vocab, form)


def summary_text(tally: Tally) -> bytes:
    """The summary for reading."""
    share = f" ({100 * tally.oov / tally.words:.2f}% of words" if tally.words else " ("
    handled = {"skip": "skipped", "unk": "scored as <unk>", "floor": "scored by the floor"}[tally.oov_policy]
    lines = [
        ("sentences", f"{tally.sentences:,}", ""),
        ("words", f"{tally.words:,}", ""),
        ("OOVs", f"{tally.oov:,}", f"{share}, {handled})" if tally.oov else ""),
        ("log10 probability", f"{tally.log10_prob:.4f}", ""),
        ("perplexity", _figure(tally.perplexity), ""),
        ("  without sentence ends", _figure(tally.ppl1), ""),
        ("  including OOVs", _figure(tally.perplexity_including_oov), ""),
        ("bits per word", _figure(tally.bits_per_word), ""),
        ("words per second", f"{tally.words_per_second:,.0f}" if tally.seconds else "-", ""),
    ]
    if tally.zeroprobs:
        lines.insert(3, ("zero probabilities", f"{tally.zeroprobs:,}", " (left out)"))
    label, number = (max(len(line[column]) for line in lines) for column in (0, 1))
    return "".join(f"{a:<{label}}  {b:>{number}}{c}\n" for a, b, c in lines).encode()


def _figure(value: float) -> str:
    if math.isnan(value):
        return "undefined"
    return f"{value:.4f}" if value < 1e6 else f"{value:.6g}"


def summary_tsv(tally: Tally) -> bytes:
    """The summary as a header line and a row."""
    cells = []
    for key in SUMMARY_KEYS:
        value = getattr(tally, key)
        cells.append("" if value != value else f"{value:.12g}" if isinstance(value, float) else str(value))
    return ("\t".join(SUMMARY_KEYS) + "\n" + "\t".join(cells) + "\n").encode()


def summary_json(tally: Tally) -> bytes:
    """The summary as a JSON object on one line; infinite and undefined are null."""
    return json.dumps(tally.summary()).encode() + b"\n"


def srilm_totals(tally: Tally) -> bytes:
    """SRILM's two lines of totals; the second is missing where there is no token at all."""
    counts = (tally.sentences, tally.words, tally.skipped)
    return _srilm_totals(*counts, tally.zeroprobs, tally.log10_prob, tally.perplexity, tally.ppl1)


def _srilm_totals(sentences, words, oovs, zeroprobs, log10_prob, ppl, ppl1) -> bytes:
    first = b"%d sentences, %d words, %d OOVs\n" % (sentences, words, oovs)
    if not sentences + words:
        return first
    figures = tuple(b"undefined" if math.isnan(x) else b"%.7g" % x for x in (ppl, ppl1))
    return first + b"%d zeroprobs, logprob= %.7g ppl= %b ppl1= %b\n" % (zeroprobs, log10_prob + 0.0, *figures)


class _Sentences(Report):
    """Collects whole sentences: a block without a sentence end waits for the one that ends it."""

    def __init__(self, sink, vocab, summary):
        super().__init__(sink, vocab, summary)
        self.names = [*vocab.words, UNK]  # the last one is that of id -1
        self._waiting: list[Block] = []

    def block(self, block: Block) -> None:
        self._waiting.append(block)
        if block.ends.size:
            self._flush()

    def finish(self, tally: Tally) -> None:
        if self._waiting:
            self._flush()
        self.write_totals(tally)

    def _flush(self) -> None:
        block = _joined(self._waiting)
        self._waiting = []
        self.write_sentences(block, Tally.by_sentence(block))

    def write_sentences(self, block: Block, tally: Tally) -> None:
        """Write the sentences of a block, of which ``tally`` holds arrays."""
        raise NotImplementedError

    def write_totals(self, tally: Tally) -> None:
        self.sink.write(self.summary(tally))

    def write_words(self, ids: np.ndarray) -> None:
        """The words of these ids (n,), separated by spaces."""
        for start in range(0, len(ids), CHUNK):
            words = map(self.names.__getitem__, ids[start : start + CHUNK].tolist())
            self.sink.write((b" " if start else b"") + b" ".join(words))

    def bounds(self, block: Block) -> list[tuple[int, int, int]]:
        """For each sentence: its start, the end of its words, and its end with ``</s>``."""
        starts = block.starts
        stops = np.append(starts[1:], len(block))
        word_stops = stops - (block.ids[stops - 1] == 0)
        return list(zip(starts.tolist(), word_stops.tolist(), stops.tolist(), strict=True))


def _joined(blocks: list[Block]) -> Block:
    if len(blocks) == 1:
        return blocks[0]
    offsets = np.cumsum([0] + [len(block) for block in blocks[:-1]])
    return Block(
        np.concatenate([block.ids for block in blocks]),
        np.concatenate([block.ends + offset for block, offset in zip(blocks, offsets, strict=True)]),
        Scored.joined([block.scored for block in blocks]),
        np.concatenate([block.log10_prob for block in blocks]),
        np.concatenate([block.by_policy for block in blocks]),
    )


class SrilmSentences(_Sentences):
    """``-debug 1``: each sentence with its totals, then those of the file."""

    def write_sentences(self, block: Block, tally: Tally) -> None:
        columns = (tally.sentences, tally.words, tally.skipped, tally.zeroprobs)
        columns += (tally.log10_prob, tally.perplexity, tally.ppl1)
        figures = zip(*(column.tolist() for column in columns), strict=True)
        for (start, word_stop, stop), totals in zip(self.bounds(block), figures, strict=True):
            self.write_words(block.ids[start:word_stop])
            self.sink.write(b"\n")
            self.write_probabilities(block, start, stop)
            self.sink.write(_srilm_totals(*totals) + b"\n")

    def write_probabilities(self, block: Block, start: int, stop: int) -> None:
        """Write a line for each word of the sentence from ``start`` to ``stop``."""


class SrilmWords(SrilmSentences):
    """``-debug 2``: also each word with the word before it, its probability and log10 probability."""

    def write_probabilities(self, block: Block, start: int, stop: int) -> None:
        context = b"<s> "
        for lo in range(start, stop, CHUNK):
            part = slice(lo, min(lo + CHUNK, stop))
            ids = np.where(block.scored.oov[part], -1, block.ids[part]).tolist()
            words = list(map(self.names.__getitem__, ids))
            contexts = [context, *map(b"%b ...".__mod__, words[:-1])]
            context = words[-1] + b" ..."
            log10_prob = block.log10_prob[part] + 0.0  # + 0.0: no negative zero
            rows = zip(
                words, contexts, _notes(block, part), (10.0**log10_prob).tolist(), log10_prob.tolist(), strict=True
            )
            self.sink.writelines(map(b"\tp( %b | %b) \t= %b %.7g [ %.7g ]\n".__mod__, rows))


def _notes(block: Block, part: slice) -> list[bytes]:
    """SRILM's note on each word: the n-gram found by each component of a mixture, or that it is an OOV."""
    n, order = part.stop - part.start, block.scored.order
    rows = np.empty((n, 0), np.int32) if order is None else order[part].reshape(n, -1)
    notes = [b"".join([b"[%dgram]" % k if k else b"[OOV]" for k in row]) for row in rows.tolist()]
    for i in np.flatnonzero(block.by_policy[part]).tolist():
        notes[i] = b"[OOV]" * max(1, rows.shape[1])
    return notes


class TextSentences(_Sentences):
    """One line per sentence with its text, then the summary."""

    def __init__(self, sink, vocab, summary):
        super().__init__(sink, vocab, summary)
        self._sentence = 0

    def write_sentences(self, block: Block, tally: Tally) -> None:
        if not self._sentence:
            self.sink.write(b"sentence  words  OOVs   log10 prob  perplexity  text\n")
        figures = zip(
            tally.words.tolist(),
            tally.oov.tolist(),
            tally.log10_prob.tolist(),
            number_cells(tally.perplexity, b"%.4g", b"-", (b"inf", b"-inf")),
            strict=True,
        )
        for (start, word_stop, _), row in zip(self.bounds(block), figures, strict=True):
            self._sentence += 1
            self.sink.write(b"%8d %6d %5d %12.4f %11b  " % (self._sentence, *row))
            self.write_words(block.ids[start:word_stop])
            self.sink.write(b"\n")

    def write_totals(self, tally: Tally) -> None:
        self.sink.write(b"\n" + self.summary(tally))


class SentenceTable(_Sentences):
    """A row of ``SENTENCE_COLUMNS`` a sentence, as TSV or JSON lines."""

    def __init__(self, sink, vocab, form: str):
        super().__init__(sink, vocab, summary_tsv)
        self.writer = TableWriter(sink, SENTENCE_COLUMNS, form)
        self._sentences = 0

    def write_sentences(self, block: Block, tally: Tally) -> None:
        numbers = self._sentences + 1 + np.arange(len(tally.words))
        self._sentences += len(numbers)
        self.writer.write(numbers, *(getattr(tally, name) for name in list(SENTENCE_COLUMNS)[1:]))

    def write_totals(self, tally: Tally) -> None:
        self.writer.close()


class WordTable(Report):
    """A row of ``WORD_COLUMNS`` a word, and the orders of the n-grams found, as TSV or JSON lines."""

    def __init__(self, sink, vocab, form: str):
        super().__init__(sink, vocab, summary_tsv)
        self.form, self.names = form, [*vocab.words, UNK]
        self.writer: TableWriter | None = None  # the first block says whether there are orders
        self._positions = WordPositions()

    def block(self, block: Block) -> None:
        orders = _orders(block.scored.order)
        if self.writer is None:
            self._begin(orders)
        log10_prob = np.where(block.left_out & block.by_policy, np.nan, block.log10_prob)
        numbers = self._positions.number(len(block), block.ends)
        self.writer.write(*numbers, block.ids, block.scored.oov.astype(np.int8), log10_prob, *orders.values())

    def _begin(self, orders: dict[str, np.ndarray]) -> None:
        self.writer = TableWriter(self.sink, WORD_COLUMNS | dict.fromkeys(orders, b"%d"), self.form, self.names)

    def finish(self, tally: Tally) -> None:
        if self.writer is None:
            self._begin({})
        self.writer.close()


def _orders(order: np.ndarray | None) -> dict[str, np.ndarray]:
    """The columns of the n-grams that were found: of one model, or of k models of a mixture, (n, k)."""
    if order is None:
        return {}
    if order.ndim == 1:
        return {"order": order}
    return {f"order_{k}": column for k, column in enumerate(order.T, start=1)}


class TextWords(Report):
    """One line per word, a blank one after each sentence, then the summary."""

    def __init__(self, sink, vocab, summary):
        super().__init__(sink, vocab, summary)
        self.names = [*vocab.words, UNK]
        self._positions = WordPositions()
        self._header = b"sentence position   log10 prob       bits  word\n"

    def block(self, block: Block) -> None:
        numbers = self._positions.number(len(block), block.ends)
        log10_prob = np.where(block.left_out & block.by_policy, np.nan, block.log10_prob)
        for start in range(0, len(block), CHUNK):
            part = slice(start, start + CHUNK)
            words = list(map(self.names.__getitem__, block.ids[part].tolist()))
            for i in np.flatnonzero(block.scored.oov[part]).tolist():
                words[i] += b"  [OOV]"
            words = [word + b"\n" if word == EOS else word for word in words]
            columns = (
                *(number[part].tolist() for number in numbers),
                number_cells(log10_prob[part], b"%.4f", b"-", (b"inf", b"-inf")),
                number_cells(-log10_prob[part] * math.log2(10) + 0.0, b"%.4f", b"-", (b"inf", b"-inf")),
                words,
            )
            self.sink.write(self._header)
            self._header = b""
            self.sink.writelines(map(b"%8d %8d %12b %10b  %b\n".__mod__, zip(*columns, strict=True)))

    def finish(self, tally: Tally) -> None:
        self.sink.write(self.summary(tally))
