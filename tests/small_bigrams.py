"""A model that is a table, so that what is made of several models can be computed beside them."""

from __future__ import annotations

import numpy as np

from corpora.evaluation.language_model import ANY_TOKENIZER, LanguageModel, Scored
from corpora.text.vocab import Vocab


class Bigrams(LanguageModel):
    """P(word | word before) from a table (V, V) of random probabilities; its state is the id of the word before."""

    tokenizer = ANY_TOKENIZER

    def __init__(self, words: list[bytes], seed: int = 1, order: bool = False, counts=None):
        self.vocab = Vocab([b"</s>", *words], counts)
        table = np.random.default_rng(seed).random((len(self.vocab), len(self.vocab))) ** 3
        self.table = table / table.sum(1, keepdims=True)
        self.order = order

    def start(self) -> int:
        return 0

    def score_ids(self, ids, state, *, entropy=False):
        ids = np.asarray(ids, np.int32)
        oov, known = ids < 0, np.where(ids < 0, self.vocab.unk_id, ids)
        before = np.concatenate([[state], known[:-1]])
        with np.errstate(divide="ignore"):
            log10_prob = np.where(known < 0, -np.inf, np.log10(self.table[before, known]))
        order = np.where(known < 0, 0, 2).astype(np.int32) if self.order else None
        return Scored(log10_prob, oov, None, order), int(known[-1]) if ids.size else state

    def distribution(self, state):
        return self.table[state].copy()


def probability(lm: Bigrams, before: bytes, word: bytes) -> float:
    """P(word | before) for words that may be missing: <unk>'s where the model has it, else 0."""
    row, column = (lm.vocab.unk_id if lm.vocab.index(w) < 0 else lm.vocab.index(w) for w in (before, word))
    return 0.0 if column < 0 else float(lm.table[row, column])
