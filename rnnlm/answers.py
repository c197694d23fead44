"""The share of right answers: of lines whose last word, say, follows from the others, how many does a model complete?

Such lines are those of ``corpora grammar``: the class of ``temporal-order``, the sum of ``adding-digits``, and of
``embedded-reber`` the last word but one, which repeats the second.
Legend: m lines.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from corpora.errors import CorpusError, FormatError
from corpora.evaluation.language_model import LanguageModel

if TYPE_CHECKING:
    from corpora.text.stream import TokenStream


@dataclass(frozen=True)
class Answers:
    """What a model says to m lines.

    ``right`` (m,) bool: every other word of the vocabulary is less probable than the answer.  ``probability`` (m,)
    float64, of the answer.  ``oov`` (m,) bool: an answer outside the model's vocabulary, which is wrong and has
    probability 0, also where there is an ``<unk>``.
    """

    right: np.ndarray
    probability: np.ndarray
    oov: np.ndarray

    def __len__(self) -> int:
        return len(self.right)

    @property
    def share(self) -> float:
        """The share of right answers, from 0 to 1."""
        return float(self.right.mean())

    @property
    def mean_probability(self) -> float:
        """What the share would be on average if the model drew its answers from its distributions."""
        return float(self.probability.mean())


def answers(
    lm: LanguageModel,
    stream: TokenStream,
    *,
    position: int = -1,
    name: str = "the text",
    on_line: Callable[[int], None] | None = None,
) -> Answers:
    """Ask a model for one word of every line, after those before it; each line begins at ``lm.start()``.

    ``stream``: the text, encoded with a vocabulary of its own.  ``position``: of the answer, counted from the end: -1
    is the last word.  ``name``: what errors call the text.  ``on_line`` is called with 1 after each line.
    ValueError for a position that is not below 0; FormatError for a line without a word before its answer; CorpusError
    for a model without distributions, or one that diverged.
    """
    starts, places = _places(stream, position, name)
    if not lm.has_distributions:
        raise CorpusError("a file of probabilities belongs to one text; it cannot say what else might have followed")
    ids = lm.vocab.translation(stream.vocab.words).take(stream.ids, mode="wrap")
    found = Answers(np.zeros(len(places), bool), np.zeros(len(places)), ids[places] < 0)
    for line, (start, place) in enumerate(zip(starts.tolist(), places.tolist(), strict=True)):
        _, state = lm.score_ids(ids[start:place], lm.start())
        p = lm.distribution(state)
        if not np.isfinite(p).all():
            raise CorpusError(f"{name}:{line + 1}: a probability is not a number; the model diverged in training")
        if not found.oov[line]:
            found.probability[line] = p[ids[place]]
            # of several most probable words none is *the* answer: which comes first says nothing about the model
            found.right[line] = np.count_nonzero(p >= p[ids[place]]) == 1
        if on_line is not None:
            on_line(1)
    return found


def _places(stream: TokenStream, position: int, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Where in the text its lines begin (m,), and where their answers are (m,)."""
    if position >= 0:
        raise ValueError(f"`position` {position}: counted from the end of a line, -1 is its last word")
    ends = stream.sentence_ends()
    starts = np.concatenate([[0], ends[:-1] + 1])
    places = ends + position
    wrong = np.flatnonzero(places <= starts)
    if wrong.size:
        line = int(wrong[0])
        n = int(ends[line] - starts[line])
        found = f"a line of {n} word{'' if n == 1 else 's'}"
        raise FormatError(name, line + 1, f"{found}; with `position` {position} it needs {1 - position} or more")
    return starts, places
