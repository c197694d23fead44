"""What is printed of a comparison: text to read, TSV, or JSON; a summary, one line per sentence, or one per word.

Summary, TSV: a row for each model after the first on all words, and one for each band; the columns of ``COLUMNS``.
JSON: one object, with the fields of ``rnnlm.mixtures.compare.Comparison``; undefined figures are null.
Sentences: ``sentence``, ``words`` (counted), ``bits_NAME`` of each model (-log2 probability of what was counted) and
``gain_NAME`` of each after the first.  Words: ``sentence``, ``position``, ``word``, ``log10_prob_NAME`` of each model
and ``gain_NAME`` of each after the first; empty (null) where the word was not counted.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import BinaryIO

import numpy as np

from corpora.evaluation.table_writer import TableWriter, WordPositions
from corpora.text.vocab import UNK, Vocab
from rnnlm.mixtures.compare import Comparison, Pair, Part, Words

FORMATS = ("text", "tsv", "json")
COLUMNS = (
    "against", "model", "part", "words", "perplexity_against", "perplexity", "ratio", "ratio_low", "ratio_high",
    "difference", "difference_low", "difference_high", "gain_bits", "gain_low", "gain_high", "better", "share",
    "won", "lost", "tied",
)  # fmt: skip
_LOG2_10 = math.log2(10)


def write_comparison(comparison: Comparison, sink: BinaryIO, form: str = "text") -> None:
    """Write the summary."""
    writers = {"text": summary_text, "tsv": summary_tsv, "json": summary_json}
    if form not in writers:
        raise ValueError(f"`format` {form}: one of {', '.join(FORMATS)}")
    sink.write(writers[form](comparison))


def summary_text(comparison: Comparison) -> bytes:
    """The summary for reading."""
    percent = f"{100 * comparison.confidence:g}%"
    left_out = f", {comparison.left_out:,} left out (OOV or impossible for one)" if comparison.left_out else ""
    width = max(map(len, comparison.models))
    lines = [f"{comparison.sentences:,} sentences, {comparison.words:,} words and sentence ends{left_out}", ""]
    lines.append(f"{'model':<{width}}  perplexity  {percent} interval")
    rows = zip(comparison.models, comparison.perplexities, comparison.perplexity_intervals, strict=True)
    lines.extend(f"{name:<{width}}  {_figure(value):>10}  {_interval(ends)}" for name, value, ends in rows)
    for pair in comparison.pairs:
        lines.extend(_pair_text(pair, percent))
    lines.append("")
    lines.append(f"Intervals: {comparison.samples:,} paired bootstrap samples of sentences, seed {comparison.seed}.")
    return ("\n".join(lines) + "\n").encode()


def _pair_text(pair: Pair, percent: str) -> list[str]:
    total = pair.total
    return [
        "",
        f"{pair.model} against {pair.against}",
        f"  perplexity ratio       {total.ratio:.4f}  {percent} {_interval(total.ratio_interval, 4)}",
        f"  perplexity difference  {_figure(total.difference)}  {percent} {_interval(total.difference_interval)}",
        f"  gain, bits a word      {total.gain_bits:.4f}  {percent} {_interval(total.gain_interval, 4)}",
        f"  better in              {_percent(total.better)} of the samples",
        f"  words                  {total.won:,} better, {total.lost:,} worse, {total.tied:,} equal",
        f"  sentences              {pair.sentences_won:,} better, {pair.sentences_lost:,} worse, "
        f"{pair.sentences_tied:,} equal",
        "",
        f"  {'trained on':<12} {'words':>10} {'perplexity':>11} {'against':>11} {'gain, bits':>11} "
        f"{percent + ' interval':>20} {'of the gain':>12}",
        *(_band_text(part) for part in pair.bands),
    ]


def _band_text(part: Part) -> str:
    label = {"0": "never"}.get(part.label, part.label)
    figures = f"{_figure(part.perplexity):>11} {_figure(part.perplexity_against):>11} {part.gain_bits:>11.4f}"
    return (
        f"  {label:<12} {part.words:>10,} {figures} {_interval(part.gain_interval, 4):>20} {_percent(part.share):>12}"
    )


def _figure(value: float) -> str:
    if math.isnan(value):
        return "undefined"
    return f"{value:.2f}" if abs(value) < 1e6 else f"{value:.4g}"


def _interval(ends: tuple[float, float], digits: int = 2) -> str:
    if math.isnan(ends[0]):
        return "undefined"
    return f"{ends[0]:.{digits}f} to {ends[1]:.{digits}f}"


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{100 * share:.1f}%"


def summary_tsv(comparison: Comparison) -> bytes:
    """The summary as a table: COLUMNS."""
    rows = ["\t".join(COLUMNS)]
    for pair in comparison.pairs:
        for part in (pair.total, *pair.bands):
            values = [
                part.words, part.perplexity_against, part.perplexity, part.ratio, *part.ratio_interval,
                part.difference, *part.difference_interval, part.gain_bits, *part.gain_interval, part.better,
                part.share, part.won, part.lost, part.tied,
            ]  # fmt: skip
            rows.append("\t".join([pair.against, pair.model, part.label, *map(_cell, values)]))
    return ("\n".join(rows) + "\n").encode("utf-8", "surrogateescape")


def _cell(value: float) -> str:
    return "" if value != value else f"{value:.9g}" if isinstance(value, float) else str(value)


def summary_json(comparison: Comparison) -> bytes:
    """The summary as one object on one line."""
    found = asdict(comparison)
    del found["sentence_words"], found["sentence_log10_prob"]
    return json.dumps(_finite(found)).encode() + b"\n"


def _finite(value):
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_sentences(comparison: Comparison, sink: BinaryIO, form: str = "tsv") -> None:
    """Write one row per sentence, as tsv or json (lines)."""
    names = comparison.models
    columns = {"sentence": b"%d", "words": b"%d"}
    columns |= {f"bits_{name}": b"%.6f" for name in names} | {f"gain_{name}": b"%.6f" for name in names[1:]}
    rows = TableWriter(sink, columns, form)
    bits = -comparison.sentence_log10_prob * _LOG2_10 + 0.0
    numbers = np.arange(1, len(bits) + 1)
    rows.write(numbers, comparison.sentence_words, *bits.T, *(bits[:, :1] - bits[:, 1:]).T)
    rows.close()


class WordDifferences:
    """Writes one row per word, as tsv or json (lines): ``compare(..., on_words=differences.write)``, then ``close``."""

    def __init__(self, sink: BinaryIO, form: str, vocab: Vocab, names: list[str]):
        """``vocab``: the text's own."""
        columns: dict[str, bytes | None] = {"sentence": b"%d", "position": b"%d", "word": None}
        columns |= {f"log10_prob_{name}": b"%.9g" for name in names} | {f"gain_{name}": b"%.6f" for name in names[1:]}
        self.writer = TableWriter(sink, columns, form, [*vocab.words, UNK])
        self._positions = WordPositions()

    def write(self, words: Words) -> None:
        """Write the words of a block."""
        numbers = self._positions.number(len(words.ids), words.ends)
        log10_prob = np.where(words.counted[:, None], words.log10_prob, np.nan)
        gains = (log10_prob[:, 1:] - log10_prob[:, :1]) * _LOG2_10 + 0.0
        self.writer.write(*numbers, words.ids, *log10_prob.T, *gains.T)

    def close(self) -> None:
        """Write what a table without rows has."""
        self.writer.close()
