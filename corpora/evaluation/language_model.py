"""What every model offers to the evaluator: words go in, log probabilities come out, state is the caller's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from corpora.text.vocab import Vocab


@dataclass(frozen=True)
class Scored:
    """The scores of n words in the order of the text.

    ``log10_prob`` (n,) float64: of a word outside the vocabulary, that of ``<unk>`` where the
    model has one and -inf where it has none.  ``oov`` (n,) bool.  ``entropy_bits`` (n,) float64,
    only where asked for: the entropy of the next-word distribution *before* the word.
    ``order`` int32, the length of the n-gram that was found: (n,) from an n-gram model, (n, G) from a mixture with G of
    them among its components, None from other models.
    """

    log10_prob: np.ndarray
    oov: np.ndarray
    entropy_bits: np.ndarray | None = None
    order: np.ndarray | None = None


class LanguageModel(Protocol):
    """A model that scores words one after another.  State is a value: nothing is hidden in the model.

    ``rnnlm.dynamic.DynamicLM``, which learns from what it scores, is the exception: it has one state, and refuses words
    that do not follow those that it has read.
    """

    vocab: Vocab

    def start(self) -> Any:
        """The state before the first word of a text."""

    def score(self, words: Sequence[bytes | str], state: Any) -> tuple[Scored, Any]:
        """Score ``words`` (a sentence end is the word ``</s>``) from ``state``; also the state after them."""

    def score_ids(self, ids: np.ndarray, state: Any, *, entropy: bool = False) -> tuple[Scored, Any]:
        """As ``score``, of ids (n,) int32 in the model's own vocabulary, -1 for a word outside it.

        The evaluator calls this with many whole sentences at a time, each ended by ``</s>`` (id 0).
        """

    def distribution(self, state: Any) -> np.ndarray:
        """Probabilities (V,) float64 of the next word; they sum to one."""
