"""n-best lists under a language model: a score for each hypothesis, and totals to rank them by.

A hypothesis is scored from ``lm.start()``, with its sentence end, whatever was said before.  Its total is

    acoustic + lm_scale * ((1 - weight) * language + weight * log10_prob) + word_penalty * n_words

where language is the score of the list and log10_prob that of the model.  It is a log-linear mixture of two sentence
probabilities: a list has one number per hypothesis, and the sum of the probabilities themselves would in most cases be
the larger of the two alone.  Models that are mixed word by word make a ``Mixture`` first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from corpora.errors import CorpusError
from corpora.evaluation.language_model import LanguageModel
from corpora.evaluation.perplexity import FLOOR, check_policy
from rnnlm.nbest.lists import NBest

DEFAULT_WEIGHT = 0.5  # of the model, beside the language score of a list that has one
_BLOCK = 1 << 18  # tokens that are scored in one call


class Scores(NamedTuple):
    """``log10_prob`` (n,) float64, with the sentence ends; ``oov`` (n,) int64: words outside the vocabulary."""

    log10_prob: np.ndarray
    oov: np.ndarray


def default_policy(lm: LanguageModel) -> str:
    """What an OOV costs where nothing is said: as much as ``<unk>``, or the floor in a model without it.

    Not "skip", SRILM's rule for perplexity: among hypotheses the one with the most unknown words would win.
    """
    return "unk" if lm.vocab.unk_id >= 0 else "floor"


def score_hypotheses(
    lm: LanguageModel,
    sentences: Sequence[tuple[bytes, ...]],
    *,
    oov: str | None = None,
    floor: float = FLOOR,
    progress: Callable[[int], object] = lambda n: None,
) -> Scores:
    """Scores of n sentences, words without ``</s>``, each from ``lm.start()``.

    Equal sentences are scored once, and so have the same score to the last bit.  A model that can score many side by
    side does.  ``oov``: skip | unk | floor, None: ``default_policy``.  A word that the model
    knows and gives probability zero to costs ``floor`` too: a sum of -inf would not rank anything.
    ``progress`` is called with how many tokens were scored.
    Raises as ``check_policy``; CorpusError where a probability is not a number, and for a model of one text only.
    """
    policy = oov or default_policy(lm)
    check_policy(lm, policy, floor)
    if not (math.isfinite(floor) and floor <= 0):
        raise ValueError(f"floor {floor:g}: a log10 probability, finite and at most 0")
    if not lm.has_distributions:
        raise CorpusError("a file of probabilities belongs to one text; it cannot rescore n-best lists")
    number: dict[tuple[bytes, ...], int] = {}
    which = np.fromiter((number.setdefault(s, len(number)) for s in sentences), np.int64, len(sentences))
    log10_prob, unknown = np.zeros(len(number)), np.zeros(len(number), np.int64)
    done = 0
    for ids, ends in _batches(lm, list(number)):
        scored = lm.score_sentences(ids, lm.start())
        p = np.asarray(scored.log10_prob, np.float64)
        if np.isnan(p).any():
            raise CorpusError("the model's probability of a word is not a number; the model diverged in training")
        p = np.where(np.isneginf(p), floor, p)
        if policy != "unk":
            p = np.where(scored.oov, floor if policy == "floor" else 0.0, p)
        here = slice(done, done + ends.size)
        starts = np.concatenate([[0], ends[:-1]])
        log10_prob[here] = np.add.reduceat(p, starts)
        unknown[here] = np.add.reduceat(scored.oov.astype(np.int64), starts)
        done += ends.size
        progress(ids.size)
    return Scores(log10_prob[which], unknown[which])


def _batches(lm: LanguageModel, sentences: list[tuple[bytes, ...]]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """ids (n,) int32 of some sentences, each with its end (0), and where each is over, (s,)."""
    lengths = np.fromiter(map(len, sentences), np.int64, len(sentences)) + 1
    position = np.cumsum(lengths)
    first = 0
    while first < len(sentences):
        before = position[first] - lengths[first]
        last = max(int(np.searchsorted(position, before + _BLOCK, side="right")), first + 1)
        ends = position[first:last] - before
        ids = np.zeros(ends[-1], np.int32)
        inside = np.ones(ends[-1], bool)
        inside[ends - 1] = False
        ids[inside] = lm.vocab.ids([word for sentence in sentences[first:last] for word in sentence])
        yield ids, ends
        first = last


@dataclass(frozen=True)
class Scales:
    """How scores become a total, by the formula above.  ``weight`` None: DEFAULT_WEIGHT, or 1 without a choice."""

    lm_scale: float = 1.0
    word_penalty: float = 0.0
    weight: float | None = None

    def fitted(self, lists: NBest) -> Scales:
        """With the weight that these lists need.  CorpusError for one that they cannot have."""
        if lists.language is None:
            if self.weight is not None and self.weight != 1:
                raise CorpusError(f"`weight` {self.weight:g}: the lists have no language scores beside the model's")
            return Scales(self.lm_scale, self.word_penalty, 1.0)
        return Scales(self.lm_scale, self.word_penalty, DEFAULT_WEIGHT if self.weight is None else self.weight)

    def language(self, lists: NBest, log10_prob: np.ndarray) -> np.ndarray:
        """(N,): the language scores of list and model mixed."""
        weight = self.fitted(lists).weight
        return log10_prob if lists.language is None else (1 - weight) * lists.language + weight * log10_prob

    def total(self, lists: NBest, log10_prob: np.ndarray) -> np.ndarray:
        """(N,): what hypotheses are ranked by, higher is better."""
        scores = self.lm_scale * self.language(lists, log10_prob) + self.word_penalty * lists.n_words
        return scores if lists.acoustic is None else lists.acoustic + scores


def rescore(
    lists: NBest,
    lm: LanguageModel,
    *,
    tokenizer=None,
    oov: str | None = None,
    floor: float = FLOOR,
    progress: Callable[[int], object] = lambda n: None,
) -> Scores:
    """The scores (N,) of all hypotheses, as ``score_hypotheses``; ``tokenizer``: how their words become the model's."""
    return score_hypotheses(lm, model_words(lists.words, tokenizer), oov=oov, floor=floor, progress=progress)


def model_words(words: Sequence[tuple[bytes, ...]], tokenizer=None) -> Sequence[tuple[bytes, ...]]:
    """The words of each hypothesis as a tokenizer (``corpora.text.tokenizers``) cuts them; None: as they are."""
    if tokenizer is None or tokenizer.is_identity:
        return words
    distinct = list(dict.fromkeys(words))
    lines = tokenizer.split(b"\n".join(map(b" ".join, distinct))).split(b"\n")
    cut = {
        before: tuple(word for word in line.split(b" ") if word) for before, line in zip(distinct, lines, strict=True)
    }
    return [cut[hypothesis] for hypothesis in words]
