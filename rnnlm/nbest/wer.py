"""Word error rates of n-best lists, and the scales that make them lowest.  U utterances, N hypotheses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from corpora.compute import libm
from corpora.errors import CorpusError
from rnnlm.nbest.lists import NBest, best_of
from rnnlm.nbest.rescore import Scales

TUNABLE = ("lm_scale", "word_penalty", "weight")
# where they are looked for: lm_scale in octaves around its start, the penalty of a word in units of lm_scale (log10)
_RANGES = {"lm_scale": (-4.0, 7.0), "word_penalty": (-2.0, 2.0), "weight": (0.0, 1.0)}
_LOOKS = 200_000_000  # hypotheses that are looked at in all, within
_POINTS = (1_000, 6_000)
_ROUNDS, _CENTRES = 6, 4


@dataclass(frozen=True)
class WordErrors:
    """Substitutions, deletions and insertions, and the words of the references."""

    errors: int
    words: int

    @property
    def rate(self) -> float:
        """NaN without words."""
        return self.errors / self.words if self.words else float("nan")


def edits(lists: NBest, references: Sequence[tuple[bytes, ...]]) -> np.ndarray:
    """(N,) int64: the word errors of each hypothesis against the reference of its utterance, counted by jiwer.

    CorpusError where jiwer is not installed.
    """
    try:
        import jiwer
    except ImportError:
        raise CorpusError("word error rates need jiwer: pip install jiwer") from None
    pairs = list(zip(lists.utterance_of.tolist(), lists.words, strict=True))
    counted: dict[tuple, int] = {}
    names: dict[bytes, str] = {}  # numbers for words: jiwer would strip and cut bytes that are spaces to Unicode
    for u, words in pairs:
        if not words or not references[u]:
            counted[u, words] = max(len(words), len(references[u]))  # jiwer wants words
    waiting = [pair for pair in dict.fromkeys(pairs) if pair not in counted]

    def text(words: tuple[bytes, ...]) -> str:
        return " ".join(names.setdefault(word, str(len(names))) for word in words)

    if waiting:
        found = jiwer.process_words([text(references[u]) for u, _ in waiting], [text(words) for _, words in waiting])
        for pair, alignment in zip(waiting, found.alignments, strict=True):
            counted[pair] = sum(_errors(chunk) for chunk in alignment)
    return np.fromiter((counted[pair] for pair in pairs), np.int64, len(pairs))


def _errors(chunk) -> int:
    if chunk.type == "equal":
        return 0
    return max(chunk.ref_end_idx - chunk.ref_start_idx, chunk.hyp_end_idx - chunk.hyp_start_idx)


def tune(
    lists: NBest, log10_prob: np.ndarray, wrong: np.ndarray, start: Scales, free: Sequence[str] = TUNABLE
) -> Scales:
    """The scales with the fewest errors, by direct search: points all over the space, then around the best of them.

    ``wrong`` (N,): the errors of each hypothesis.  What is not ``free`` keeps the value of ``start``, which is one of
    the points, so that the result has no more errors than it.  Among points with as many errors the one with the lower
    expected number is taken, where a hypothesis has a probability proportional to 10^(total / lm_scale).
    lm_scale is not free where there are no acoustic scores, weight not where the list has no language scores.
    The same input gives the same result: the points are Halton's (1960).
    """
    start = start.fitted(lists)
    missing = [name for name, scores in (("lm_scale", lists.acoustic), ("weight", lists.language)) if scores is None]
    free = [name for name in TUNABLE if name in free and name not in missing]
    search = _Search(lists, log10_prob, wrong, start, free)
    if not free:
        return start
    n = min(max(_LOOKS // max(len(lists), 1), _POINTS[0]), _POINTS[1]) // 2
    search.look(_halton(n, len(free)))
    width = 1.0
    for _ in range(_ROUNDS):
        width /= 2
        box = (_halton(n // (_ROUNDS * _CENTRES), len(free)) - 0.5) * width
        for centre in search.best(_CENTRES):
            search.look(np.clip(centre + box, 0, 1))
    return search.result()


def _halton(n: int, dimensions: int) -> np.ndarray:
    """n points (n, dimensions) spread evenly in the unit cube; without the first one, which is 0."""
    from scipy.stats import qmc  # which takes a while to load

    return qmc.Halton(dimensions, scramble=False).random(n + 1)[1:]


class _Search:
    """Points of the unit cube, an axis for each free parameter, and what they are worth: errors, expected errors."""

    def __init__(self, lists: NBest, log10_prob, wrong, start: Scales, free: Sequence[str]):
        self._log10_prob, self._wrong, self._lists = log10_prob, wrong, lists
        self._start, self._free = start, free
        self._starts, self._lengths, self._n_words = lists.starts, np.diff(lists.starts), lists.n_words
        self._points: list[np.ndarray] = []
        self._fewest = np.iinfo(np.int64).max
        self._worth = [self._worth_of(start)]  # of start, then of the points

    def look(self, points: np.ndarray) -> None:
        for point in points:
            self._points.append(point)
            self._worth.append(self._worth_of(self._scales(point)))

    def best(self, n: int) -> list[np.ndarray]:
        """The n best points, the first found of equal ones."""
        order = sorted(range(len(self._points)), key=lambda k: self._worth[k + 1])
        return [self._points[k] for k in order[:n]]

    def result(self) -> Scales:
        where = self._worth.index(min(self._worth))
        return self._scales(self._points[where - 1]) if where else self._start

    def _scales(self, point: np.ndarray) -> Scales:
        at = {name: low + x * (high - low) for name, x in zip(self._free, point.tolist(), strict=True)
              for low, high in [_RANGES[name]]}  # fmt: skip
        scale, penalty = self._start.lm_scale, self._start.word_penalty
        if "lm_scale" in at:
            scale = (scale or 1.0) * 2 ** at["lm_scale"]
        if "word_penalty" in at:
            penalty = at["word_penalty"] * (scale or 1.0)
        return Scales(scale, penalty, at.get("weight", self._start.weight))

    def _worth_of(self, scales: Scales) -> tuple[int, float]:
        """Errors, and the expected number for points that have no more errors than those before."""
        language = scales.language(self._lists, self._log10_prob)
        total = scales.lm_scale * language + scales.word_penalty * self._n_words
        if self._lists.acoustic is not None:
            total += self._lists.acoustic
        errors = int(self._wrong[best_of(total, self._starts)].sum())
        if errors > self._fewest:
            return errors, np.inf
        self._fewest = errors
        return errors, self._expected(total / (scales.lm_scale or 1.0))

    def _expected(self, log10_score: np.ndarray) -> float:
        top = np.maximum.reduceat(log10_score, self._starts[:-1])
        p = libm.power10(log10_score - np.repeat(top, self._lengths))
        sums = np.add.reduceat(np.stack([p, p * self._wrong]), self._starts[:-1], axis=1)
        return float((sums[1] / sums[0]).sum())


def report(
    lists: NBest, log10_prob: np.ndarray, wrong: np.ndarray, n_words: int, scales: Scales, free: Sequence[str] = ()
) -> tuple[dict[str, tuple[WordErrors, Scales | None]], Scales]:
    """Word errors of the choices that can be made, with the scales of each; and the scales that were used.

    ``first``: the first hypothesis of each list.  ``before``: by the list's own scores alone (weight 0), for lists that
    have both.  ``after``: with the model.  ``oracle``: the best choice that there is.  ``wrong`` (N,), ``n_words``: the
    errors of each hypothesis, and the words of the references.  ``free``: what is tuned, before and after, on these.
    """
    scales = scales.fitted(lists)
    found: dict[str, tuple[WordErrors, Scales | None]] = {}

    def add(name: str, chosen: np.ndarray, used: Scales | None) -> None:
        found[name] = WordErrors(int(wrong[chosen].sum()), n_words), used

    add("first", lists.starts[:-1], None)
    if lists.acoustic is not None and lists.language is not None:
        before = replace(scales, weight=0.0)
        if free:
            before = tune(lists, log10_prob, wrong, before, [name for name in free if name != "weight"])
        add("before", lists.best(before.total(lists, log10_prob)), before)
    if free:
        scales = tune(lists, log10_prob, wrong, scales, free)
    add("after", lists.best(scales.total(lists, log10_prob)), scales)
    add("oracle", lists.best(-wrong), None)
    return found, scales
