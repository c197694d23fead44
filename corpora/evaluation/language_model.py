"""What every model offers to the evaluator: words go in, log probabilities come out, state is the caller's.

Legend: n words, V words of the model's vocabulary, H hidden units.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from corpora.errors import CorpusError

if TYPE_CHECKING:
    from corpora.text.stream import TokenStream
    from corpora.text.vocab import Vocab

ANY_TOKENIZER = ""  # of a model that takes the words of any: a cache, a file of probabilities


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

    @classmethod
    def joined(cls, parts: Sequence[Scored]) -> Scored:
        """The scores of parts of a text that follow each other, at least one; None for what a part lacks."""

        def join(columns: list[np.ndarray | None]) -> np.ndarray | None:
            return None if any(column is None for column in columns) else np.concatenate(columns)

        return cls(
            join([part.log10_prob for part in parts]),
            join([part.oov for part in parts]),
            join([part.entropy_bits for part in parts]),
            join([part.order for part in parts]),
        )


class LanguageModel:
    """A model that scores words one after another.  State is a value: nothing is hidden in the model.

    A model has ``vocab`` and defines ``start``, ``score_ids`` and ``distribution``.  All else has a default, which it
    replaces where it can do better.

    ``tokenizer``: how text becomes the model's words (``Tokenizer.spec``), or ANY_TOKENIZER.
    ``threads``: how many score a long text; the result is the same.
    ``has_distributions``: False where the probabilities of all words cannot be had; entropies are then None.
    ``models``: the components of a model that is made of others.
    """

    vocab: Vocab
    tokenizer: str = "whitespace"
    threads: int = 1
    has_distributions: bool = True
    models: Sequence[LanguageModel] = ()

    @property
    def network(self) -> LanguageModel | None:
        """The recurrent network that it is, or that learns in it, as it is in its file; None where there is none."""
        return None

    @property
    def kernels(self) -> str:
        """What its kernels are called in the lists of what is compiled at first use (corpora.compute.ahead)."""
        return ""

    # ---- what a model defines

    def start(self) -> Any:
        """The state before the first word of a text."""
        raise NotImplementedError

    def score_ids(self, ids: np.ndarray, state: Any, *, entropy: bool = False) -> tuple[Scored, Any]:
        """Score ids (n,) int32 of the model's own vocabulary, -1 for a word outside it; also the state after them.

        The evaluator calls this with many whole sentences at a time, each ended by ``</s>`` (id 0).
        """
        raise NotImplementedError

    def distribution(self, state: Any) -> np.ndarray:
        """Probabilities (V,) float64 of the next word; they sum to one."""
        raise NotImplementedError

    # ---- what follows from it

    def score(self, words: Sequence[bytes | str], state: Any) -> tuple[Scored, Any]:
        """Score ``words`` (a sentence end is the word ``</s>``) from ``state``; also the state after them."""
        return self.score_ids(self.vocab.ids(words), state)

    def score_sentences(self, ids: np.ndarray, state: Any) -> Scored:
        """As ``score_ids``, of whole sentences, each ended by ``</s>`` (id 0); every one begins at ``state``."""
        cuts = np.flatnonzero(ids == 0) + 1
        return Scored.joined([self.score_ids(part, state)[0] for part in np.split(ids, cuts[cuts < ids.size])])

    def distributions(self, ids: np.ndarray, state: Any) -> np.ndarray:
        """(n, V) float64: ``distribution`` before each of ids (n,), which are read one after another from ``state``."""
        found = np.empty((ids.size, len(self.vocab)))
        for t in range(ids.size):
            found[t] = self.distribution(state)
            _, state = self.score_ids(ids[t : t + 1], state)
        return found

    def score_with_distributions(self, ids: np.ndarray, state: Any) -> tuple[Scored, np.ndarray, Any]:
        """The scores of ids (n,), the distribution (n, V) float64 before each, and the state after them."""
        distributions = self.distributions(ids, state)
        scored, state = self.score_ids(ids, state)
        return scored, distributions, state

    def hidden_states(self, ids: np.ndarray, state: Any) -> np.ndarray:
        """(n, layers, H): the hidden layers after each of ids (n,), which are read one after another from ``state``.

        Row t is what the word after ids[t] is predicted from.  CorpusError from a model that has no hidden layer.
        """
        raise CorpusError(f"{type(self).__name__}: this model has no hidden states; only recurrent networks have them")

    def warm_up(self) -> None:
        """Compile what scoring needs, or load it, so that a clock can be started afterwards."""

    def check_text(self, stream: TokenStream) -> None:
        """Raise FormatError where the model is about one text only, and this is another."""


def tokenizers_of(models: Iterable[LanguageModel]) -> list[str]:
    """The different tokenizers that models were trained with, sorted; "whitespace" where all take the words of any."""
    return sorted({lm.tokenizer for lm in models} - {ANY_TOKENIZER}) or ["whitespace"]
