"""Models compared on one text: differences word by word, whether they are chance, and which words they come from.

Legend: n words, K models, S sentences, U units of resampling, B bands of frequency.

Every model is compared with the first one, over the words that all of them give a probability (an OOV of any that is
skipped is left out for all).  gain = log2 p_model(word) - log2 p_first(word), bits: above 0 where the model is better.

Whether a difference is chance: paired bootstrap.  Sentences, with all their words and the scores of all models, are
drawn with replacement, as many as the text has; the interval is that of the percentiles over the samples.  Texts of
more than 20,000 sentences are drawn in runs of consecutive ones, which also respects that neighbours are alike.
Koehn (2004); Efron and Tibshirani (1993), chapter 13.

Koehn, P. (2004). Statistical significance tests for machine translation evaluation. EMNLP.
Efron, B. and Tibshirani, R. (1993). An introduction to the bootstrap. Chapman & Hall.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from corpora.errors import CorpusError
from corpora.evaluation.language_model import LanguageModel
from corpora.evaluation.perplexity import BLOCK, FLOOR, perplexity, score_blocks

if TYPE_CHECKING:
    from corpora.text.stream import TokenStream

SAMPLES = 1000
CONFIDENCE = 0.95
BAND_STARTS = (0, 1, 2, 10, 100, 1000, 10_000, 100_000)  # training counts; sentence ends are a band of their own
ENDS = "</s>"
MOST_UNITS = 20_000
_TIE = 1e-9  # bits: smaller differences are rounding
_DRAWN = 1 << 22  # numbers of units that are held at once
_LOG2_10 = math.log2(10)


@dataclass(frozen=True)
class Words:
    """n words of the text as they were compared, for a report of every word.

    ``ids`` (n,) int32 in the text's own vocabulary; ``ends`` (s,): positions of sentence ends; ``log10_prob`` (n, K);
    ``counted`` (n,) bool.
    """

    ids: np.ndarray
    ends: np.ndarray
    log10_prob: np.ndarray
    counted: np.ndarray


@dataclass(frozen=True)
class Part:
    """A model against another on some of the words.  Intervals are (low, high), NaN where they are undefined."""

    label: str
    words: int
    perplexity_against: float
    perplexity: float
    ratio: float  # perplexity / perplexity_against
    ratio_interval: tuple[float, float]
    difference: float  # perplexity - perplexity_against
    difference_interval: tuple[float, float]
    gain_bits: float  # mean
    gain_interval: tuple[float, float]
    better: float  # the share of samples in which the model is better: near 1 or 0, the sign is no chance
    share: float  # of the whole gain that is made here
    won: int  # words that the model gives more
    lost: int
    tied: int


@dataclass(frozen=True)
class Pair:
    """A model against the first one: on all words, by frequency, and how many sentences it says better."""

    against: str
    model: str
    total: Part
    bands: list[Part]
    sentences_won: int
    sentences_lost: int
    sentences_tied: int


@dataclass(frozen=True)
class Comparison:
    """What K models give a text.  ``words``: counted, sentence ends included; ``left_out``: those that were not.

    ``sentence_words`` (S,) int64 and ``sentence_log10_prob`` (S, K): of what was counted in each sentence.
    """

    models: list[str]
    sentences: int
    words: int
    left_out: int
    perplexities: list[float]
    perplexity_intervals: list[tuple[float, float]]
    pairs: list[Pair]
    samples: int
    confidence: float
    seed: int
    oov_policy: str
    sentence_words: np.ndarray = field(repr=False)
    sentence_log10_prob: np.ndarray = field(repr=False)


def compare(
    models: dict[str, LanguageModel],
    stream: TokenStream,
    *,
    oov: str = "skip",
    floor: float = FLOOR,
    samples: int = SAMPLES,
    confidence: float = CONFIDENCE,
    seed: int = 1,
    on_words: Callable[[Words], object] | None = None,
    block_size: int = BLOCK,
) -> Comparison:
    """Compare models by name, the first one with each of the others, on an encoded text.

    ``oov``, ``floor``: as in ``evaluate``.  ``on_words`` gets the words of each block.  Bands are those of the training
    counts of the first model that has any.  CorpusError for fewer than two models, texts of which nothing counts,
    and as ``score_blocks``.
    """
    if len(models) < 2:
        raise CorpusError("`compare` needs two models or more")
    if samples < 1 or not 0 < confidence < 1:
        raise CorpusError(
            f"{samples} samples at confidence {confidence:g}: at least 1, and between 0 and 1, are needed"
        )
    for lm in models.values():
        lm.check_text(stream)
    sums = _Sums(stream, len(models), _bands(models, stream))
    for blocks in zip(
        *(score_blocks(lm, stream, oov=oov, floor=floor, block_size=block_size) for lm in models.values()), strict=True
    ):
        log10_prob = np.stack([block.log10_prob for block in blocks], axis=1)
        words = Words(blocks[0].ids, blocks[0].ends, log10_prob, np.isfinite(log10_prob).all(1))
        sums.add(words)
        if on_words is not None:
            on_words(words)
    if not sums.tokens:
        raise CorpusError("there is no word that all of the models know: nothing to compare")
    return sums.comparison(list(models), samples, confidence, seed, oov)


def _bands(models: dict[str, LanguageModel], stream: TokenStream) -> tuple[np.ndarray, list[str]]:
    """The band of each word of the text's vocabulary (V + 1,), the last that of id -1; their labels.

    One band of all words where no model has counts.
    """
    vocab = next((lm.vocab for lm in models.values() if lm.vocab.counts.any()), None)
    if vocab is None:
        bands, labels = np.zeros(len(stream.vocab) + 1, np.int64), ["words"]
    else:
        own_ids = vocab.translation(stream.vocab.words)
        counts = np.where(own_ids < 0, 0, vocab.counts[own_ids])
        bands = np.searchsorted(BAND_STARTS, counts, side="right") - 1
        labels = [_label(k) for k in range(len(BAND_STARTS))]
    bands[0] = len(labels)
    return bands, [*labels, ENDS]


def _label(k: int) -> str:
    if k + 1 == len(BAND_STARTS):
        return f"{BAND_STARTS[k]}+"
    low, high = BAND_STARTS[k], BAND_STARTS[k + 1] - 1
    return str(low) if low == high else f"{low}-{high}"


class _Sums:
    """What is added up: log10 probabilities and words by unit and band, and by sentence."""

    def __init__(self, stream: TokenStream, n_models: int, bands: tuple[np.ndarray, list[str]]):
        self.band_of, self.labels = bands
        self.n_sentences = stream.n_sentences
        self.n_units = min(self.n_sentences, MOST_UNITS)
        # the last column counts words
        self.units = np.zeros((self.n_units, len(self.labels), n_models + 1))
        self.sentence_sums = np.zeros((self.n_sentences, n_models + 1))
        self.outcomes = np.zeros((len(self.labels), n_models, 3), np.int64)  # won, lost, tied
        self.sentence = 0
        self.tokens = self.left_out = 0

    def add(self, words: Words) -> None:
        n = words.ids.size
        ended = np.zeros(n + 1, np.int64)
        ended[words.ends + 1] = 1
        sentence = self.sentence + np.cumsum(ended)[:n]
        self.sentence += len(words.ends)
        counted = words.counted
        values = np.concatenate([words.log10_prob[counted], np.ones((np.count_nonzero(counted), 1))], axis=1)
        sentence, band = sentence[counted], self.band_of[words.ids[counted]]
        self.tokens += len(values)
        self.left_out += n - len(values)
        unit = sentence * self.n_units // self.n_sentences
        _add_rows(self.units.reshape(-1, values.shape[1]), unit * len(self.labels) + band, values)
        _add_rows(self.sentence_sums, sentence, values)
        gain = (values[:, :-1] - values[:, :1]) * _LOG2_10
        for k in range(1, gain.shape[1]):
            for i, outcome in enumerate(_outcomes(gain[:, k])):
                self.outcomes[:, k, i] += np.bincount(band[outcome], minlength=len(self.labels))

    def comparison(self, names: list[str], samples: int, confidence: float, seed: int, oov: str) -> Comparison:
        drawn = resample(self.units, samples, np.random.default_rng(seed)) if self.n_units > 1 else None
        whole = self.units.sum(0)
        interval = _Interval(confidence)
        everything = whole.sum(0)
        all_drawn = None if drawn is None else drawn.sum(1)
        perplexities = [perplexity(everything[k], everything[-1]) for k in range(len(names))]
        intervals = [
            interval(None if all_drawn is None else perplexity(all_drawn[:, k], all_drawn[:, -1]))
            for k in range(len(names))
        ]
        pairs = []
        for k in range(1, len(names)):
            gain = float(everything[k] - everything[0])
            parts = [
                _part(label, whole[b], None if drawn is None else drawn[:, b], k, gain, self.outcomes[b, k], interval)
                for b, label in enumerate(self.labels)
                if whole[b, -1]
            ]
            total = _part("all", everything, all_drawn, k, gain, self.outcomes[:, k].sum(0), interval)
            difference = (self.sentence_sums[:, k] - self.sentence_sums[:, 0])[self.sentence_sums[:, -1] > 0]
            sentences = (int(np.count_nonzero(which)) for which in _outcomes(difference * _LOG2_10))
            pairs.append(Pair(names[0], names[k], total, parts, *sentences))
        return Comparison(
            names, self.n_sentences, self.tokens, self.left_out, perplexities, intervals, pairs,
            samples, confidence, seed, oov, self.sentence_sums[:, -1].astype(np.int64), self.sentence_sums[:, :-1],
        )  # fmt: skip


def resample(units: np.ndarray, samples: int, rng: np.random.Generator) -> np.ndarray:
    """(samples, ...): the sums over U units drawn with replacement from units (U, ...), for each sample."""
    n = len(units)
    flat = units.reshape(n, -1)
    sums, step = np.empty((samples, flat.shape[1])), max(1, _DRAWN // n)
    for start in range(0, samples, step):
        rows = min(step, samples - start)
        drawn = rng.integers(0, n, (rows, n)) + np.arange(rows)[:, None] * n
        times = np.bincount(drawn.reshape(-1), minlength=rows * n).reshape(rows, n)
        sums[start : start + rows] = times.astype(np.float64) @ flat
    return sums.reshape(samples, *units.shape[1:])


def _add_rows(sums: np.ndarray, rows: np.ndarray, values: np.ndarray) -> None:
    """sums[rows[i]] += values[i], rows in any order."""
    if not rows.size:
        return
    first = rows.min()
    size = int(rows.max() - first) + 1
    for column in range(values.shape[1]):
        sums[first : first + size, column] += np.bincount(rows - first, values[:, column], size)


def _outcomes(gain: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which gains are won, lost and tied."""
    won, lost = gain > _TIE, gain < -_TIE
    return won, lost, ~(won | lost)


class _Interval:
    """Percentiles of a statistic over samples; of samples that lack the words it is about, the rest."""

    def __init__(self, confidence: float):
        self.ends = ((1 - confidence) / 2, (1 + confidence) / 2)

    def __call__(self, values: np.ndarray | None) -> tuple[float, float]:
        if values is None:
            return math.nan, math.nan
        values = values[np.isfinite(values)]
        if not values.size:
            return math.nan, math.nan
        low, high = np.quantile(values, self.ends).tolist()
        return low, high


def _part(label, sums, drawn, k: int, whole_gain: float, outcomes, interval: _Interval) -> Part:
    """Model k against the first; sums (K + 1,), drawn (samples, K + 1) or None."""
    first, own, gain = _figures(sums[0], sums[k], sums[-1])
    if drawn is None:
        ratios = differences = gains = None
        better = math.nan
    else:
        drawn_first, drawn_own, gains = _figures(drawn[:, 0], drawn[:, k], drawn[:, -1])
        ratios, differences = 2.0**-gains, drawn_own - drawn_first
        defined = gains[np.isfinite(gains)]
        better = float(np.mean(defined > 0)) if defined.size else math.nan
    return Part(
        label, int(sums[-1]), float(first), float(own), float(2.0**-gain), interval(ratios), float(own - first),
        interval(differences), float(gain), interval(gains), better,
        float(sums[k] - sums[0]) / whole_gain if whole_gain else math.nan, *map(int, outcomes),
    )  # fmt: skip


def _figures(log10_first, log10_own, words):
    """Perplexities of the two, and the mean gain in bits; NaN where there are no words."""
    with np.errstate(invalid="ignore", divide="ignore"):
        gain = (np.asarray(log10_own) - log10_first) / np.asarray(words, np.float64) * _LOG2_10
    return perplexity(log10_first, words), perplexity(log10_own, words), gain
