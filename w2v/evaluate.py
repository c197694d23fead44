"""How good vectors are: the share of analogies they solve, and how their cosines agree with people's judgements."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from corpora.errors import CorpusError
from corpora.files.mapping import populate
from w2v.analogy import check_method, multiplied
from w2v.neighbours import cosines, unit
from w2v.pairs import Pairs
from w2v.questions import Section

if TYPE_CHECKING:
    from w2v.model import WordVectors

CASES = ("upper", "keep")
RESTRICT = 30_000  # what the authors of compute-accuracy use
# questions and words whose scores are held at once: 4 MB for float32, and twice that for what they are made of
_QUESTIONS, _WORDS = 512, 2048


@dataclass(frozen=True)
class Solved:
    """Of ``total`` questions ``seen`` have all four words in the vocabulary, and ``correct`` are answered correctly."""

    name: bytes
    correct: int
    seen: int
    total: int

    @property
    def accuracy(self) -> float:
        """Of those seen, 0 to 1; NaN where none was."""
        return self.correct / self.seen if self.seen else math.nan


@dataclass(frozen=True)
class Accuracy:
    """Each section by itself, those of meaning and those of grammar together, and all."""

    sections: list[Solved]
    semantic: Solved
    syntactic: Solved
    total: Solved


def accuracy(
    vectors: WordVectors,
    sections: Sequence[Section],
    *,
    restrict: int | None = RESTRICT,
    case: str = "upper",
    method: str = "3cosadd",
    progress: Callable[[int], object] = lambda n: None,
) -> Accuracy:
    """Solve analogies, with the figures of ``compute-accuracy`` (docs/compatibility.md).

    ``restrict``: questions and answers are among that many first words, None: all.  ``case`` "upper": ASCII letters
    are upper-cased, and of words that become equal the first counts; "keep": words are compared as they are.
    Questions with a word that is not there are left out; CorpusError where all are.
    ``progress`` is called with numbers of questions, of all in the end.
    """
    check_method(method)
    if case not in CASES:
        raise ValueError(f"`case` {case}: one of {', '.join(CASES)}")
    stop = min(len(vectors), restrict or len(vectors))
    first_of, ids_of = _fold(vectors, stop, case)
    asked = [[ids_of(question) for question in section.questions] for section in sections]
    seen = [[ids for ids in rows if min(ids) >= 0] for rows in asked]
    sizes = [len(rows) for rows in seen]
    if not any(sizes):
        n, which = sum(map(len, asked)), f"the first {stop} words" if stop == restrict else "the vocabulary"
        remedy = "; `case` upper takes words of any case" if case == "keep" else ""
        raise CorpusError(f"of {n} questions none has all its words in {which}{remedy}")
    questions = np.array([ids for rows in seen for ids in rows], np.int64).reshape(-1, 4)
    correct = np.empty(len(questions), bool)
    progress(sum(map(len, asked)) - len(questions))
    populate(vectors.vectors[:stop])
    for start in range(0, len(questions), _QUESTIONS):
        part = questions[start : start + _QUESTIONS]
        answers = _answers(vectors, part[:, :3], stop, method)
        correct[start : start + _QUESTIONS] = (answers >= 0) & (first_of[answers] == part[:, 3])
        progress(len(part))
    ends = np.cumsum(sizes)
    solved = [
        Solved(section.name, int(correct[end - size : end].sum()), size, len(section.questions))
        for section, size, end in zip(sections, sizes, ends.tolist(), strict=True)
    ]
    by_kind = [
        [one for one, section in zip(solved, sections, strict=True) if section.is_syntactic == kind]
        for kind in (False, True)
    ]
    return Accuracy(solved, _sum(b"semantic", by_kind[0]), _sum(b"syntactic", by_kind[1]), _sum(b"total", solved))


def _sum(name: bytes, parts: Iterable[Solved]) -> Solved:
    counts = [(part.correct, part.seen, part.total) for part in parts]
    return Solved(name, *map(sum, zip(*counts, strict=True))) if counts else Solved(name, 0, 0, 0)


def _fold(vectors: WordVectors, stop: int, case: str):
    """(stop,) int64: for each word the first that is equal to it; and a function: ids of a question's words, or -1."""
    if case == "keep":
        words = {word: i for i, word in enumerate(vectors.words[:stop])}
        return np.arange(stop), lambda question: [words.get(word, -1) for word in question]
    words: dict[bytes, int] = {}
    first_of = np.fromiter((words.setdefault(w.upper(), i) for i, w in enumerate(vectors.words[:stop])), np.int64, stop)
    return first_of, lambda question: [words.get(word.upper(), -1) for word in question]


def _answers(vectors: WordVectors, questions: np.ndarray, stop: int, method: str) -> np.ndarray:
    """(n,) int64: the best of the first ``stop`` words for questions (n, 3), -1: there is none.

    All questions are made of the cosines between the few words that occur in them and every other word: one product
    for these words, not one for the questions.
    """
    n = len(questions)
    words, rows = np.unique(questions, return_inverse=True)
    a, b, c = rows.reshape(n, 3).T
    directions = unit(vectors.vectors[words]).astype(vectors.vectors.dtype)
    dead = np.isnan(directions).any(axis=1)[rows.reshape(n, 3)].any(axis=1)  # a vector of zeros has no direction
    directions = np.nan_to_num(directions)
    best, highest = np.full(n, -1, np.int64), np.zeros(n, directions.dtype)
    buffers = np.empty((3, n, _WORDS), directions.dtype)
    every = np.arange(n)
    for start in range(0, stop, _WORDS):
        end = min(start + _WORDS, stop)
        table = cosines(vectors, directions, start, end)
        lacking = np.flatnonzero(np.isnan(table[0]))
        table[:, lacking] = 0
        scores = _combine(table, (a, b, c), buffers[:, :, : end - start], method)
        scores[:, lacking] = 0
        for column in questions.T:
            inside = np.flatnonzero((column >= start) & (column < end))
            scores[inside, column[inside] - start] = 0
        found = scores.argmax(axis=1)
        # from 0 on, as in compute-accuracy: an answer must have a positive score.  The first of equal ones stays
        better = scores[every, found] > highest
        best[better], highest[better] = found[better] + start, scores[every, found][better]
    best[dead] = -1
    return best


def _combine(table: np.ndarray, rows: tuple, buffers: np.ndarray, method: str) -> np.ndarray:
    """Scores (n, B) from the cosines of words, table (u, B), and their rows for a, b and c; in buffers (3, n, B)."""
    for buffer, row in zip(buffers, rows, strict=True):
        np.take(table, row, axis=0, out=buffer, mode="clip")  # "raise" would make one more copy
    if method == "3cosmul":
        return multiplied(buffers)
    a, scores, c = buffers
    scores -= a
    scores += c
    return scores


@dataclass(frozen=True)
class Similarity:
    """Agreement with people's scores; ``used`` of ``pairs`` have both words in the vocabulary.

    ``missing``: the words that are not, each once.  Correlations are NaN where they are undefined: of a single pair,
    and where all scores, or all cosines, are equal.
    """

    path: str
    spearman: float
    pearson: float
    used: int
    pairs: int
    missing: list[bytes]

    @property
    def oov(self) -> int:
        """Pairs that were left out."""
        return self.pairs - self.used


def similarity(vectors: WordVectors, pairs: Pairs) -> Similarity:
    """Spearman's rank correlation (ties share the mean of their ranks) and Pearson's, of cosines and scores.

    CorpusError where no pair has both words in the vocabulary.
    """
    distinct = list(dict.fromkeys(word for pair in pairs.words for word in pair))
    id_of = dict(zip(distinct, vectors.ids(distinct).tolist(), strict=True))
    ids = np.array([[id_of[first], id_of[second]] for first, second in pairs.words], np.int64)
    known = (ids >= 0).all(axis=1)
    missing = [word for word, i in id_of.items() if i < 0]
    if not known.any():
        lower = any(word.lower() != word for word in missing)
        remedy = "; `lower` turns them to lower case" if lower else "; are these vectors of another language?"
        raise CorpusError(f"{pairs.path}: of {len(pairs)} pairs none has both words in the vocabulary{remedy}")
    # a vector of zeros has the cosine 0 to all
    first, second = (np.nan_to_num(unit(vectors.vectors[column])) for column in ids[known].T)
    found, scores = (first * second).sum(axis=1), pairs.scores[known]
    return Similarity(pairs.path, *_correlations(found, scores), int(known.sum()), len(pairs), missing)


def _correlations(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    if x.size < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return math.nan, math.nan
    from scipy import stats

    return float(stats.spearmanr(x, y).statistic), float(stats.pearsonr(x, y).statistic)
