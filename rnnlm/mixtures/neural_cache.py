"""A neural cache: words that came in a state like this one are likely to come again.  Grave et al. (2017).

    p(w | t) = sum over i < t with w_i = w of exp(theta h_t . h_i) / sum over i < t of the same

over the last ``size`` words; h_i is the last hidden layer of a recurrent network before w_i.  It is a component of
mixtures, beside the network itself.  What enters it, and what it says while it is empty, is as for ``CacheLM``.

Grave, E., Joulin, A. and Usunier, N. (2017). Improving neural language models with a continuous cache. ICLR.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from corpora.compute import libm
from corpora.compute.jit import exact_kernel, exp
from corpora.compute.matmul import multiply, room_for_products
from corpora.errors import CorpusError
from corpora.evaluation.language_model import LanguageModel, Scored
from rnnlm.model import RecurrentLM, RnnState

LARGEST_SIZE = 1 << 20
THETA = 0.3
_ROWS = 64  # words whose likeness to all that is in the cache is computed at once


class NeuralState(NamedTuple):
    """The network's state, and what is in the cache, oldest first."""

    network: RnnState
    hidden: np.ndarray  # (h, H)
    words: np.ndarray  # (h,) int32


class NeuralCacheLM(LanguageModel):
    """A cache over the hidden states of a recurrent network."""

    def __init__(self, lm: RecurrentLM, size: int, theta: float = THETA, file: str | None = None):
        """``file``: where the network was read from, for a mixture that is saved.  CorpusError for settings."""
        if not isinstance(lm, RecurrentLM):
            raise CorpusError("`neural_cache`: over a recurrent network, and no other kind of model")
        if not 1 <= size <= LARGEST_SIZE:
            raise CorpusError(f"`neural_cache` {size}: a number of words from 1 to {LARGEST_SIZE} is needed")
        if not (math.isfinite(theta) and theta >= 0):
            raise CorpusError(f"`neural_cache_theta` {theta:g}: a number from 0 is needed")
        self.lm, self.size, self.theta, self.file = lm, size, theta, file
        self.vocab = lm.vocab

    @property
    def tokenizer(self) -> str:
        return self.lm.tokenizer

    def start(self) -> NeuralState:
        """The empty cache."""
        return self._state(self.lm.start(), np.empty((0, self.lm.config.hidden), self.lm.config.dtype), np.empty(0))

    def score_ids(self, ids: np.ndarray, state: NeuralState, *, entropy: bool = False) -> tuple[Scored, NeuralState]:
        """Score ids (n,) int32, -1 for a word outside the vocabulary; also the state after them."""
        ids = np.asarray(ids, np.int32)
        known, p, bits = self.vocab.with_unk(ids), np.zeros(ids.size), np.zeros(ids.size if entropy else 0)
        room = np.zeros(len(self.vocab) if entropy else 0)
        for rows, firsts, lasts, likeness, words, after in self._parts(known, state):
            chosen, state = known[rows], after
            some_bits = bits[rows] if entropy else bits
            score_likeness(likeness, firsts, lasts, words, chosen, len(self.vocab), p[rows], some_bits, room)
        log10_prob = np.full(ids.size, -np.inf)
        log10_prob[known >= 0] = libm.log10(p[known >= 0])
        return Scored(log10_prob, ids < 0, bits if entropy else None), state

    def distribution(self, state: NeuralState) -> np.ndarray:
        """Probabilities (V,) float64 of the next word; they sum to one."""
        return self.distributions(np.array([-1], np.int32), state)[0]

    def distributions(self, ids: np.ndarray, state: NeuralState) -> np.ndarray:
        """(n, V) float64: ``distribution`` before each of ids (n,), which are read one after another from ``state``."""
        known, n_words = self.vocab.with_unk(np.asarray(ids, np.int32)), len(self.vocab)
        found = np.empty((known.size, n_words))
        for rows, firsts, lasts, likeness, words, _ in self._parts(known, state):
            for row, first, last, values in zip(range(rows.start, rows.stop), firsts, lasts, likeness, strict=False):
                if first == last:
                    found[row] = 1 / n_words
                    continue
                weights = np.exp(values[first:last].astype(np.float64) - values[first:last].max())
                counts = np.bincount(words[first:last], weights, minlength=n_words)
                found[row] = counts / counts.sum()
        return found

    def warm_up(self) -> None:
        """Compile what scoring needs, or load it."""
        self.score_ids(np.zeros(2, np.int32), self.start())

    def _parts(self, known: np.ndarray, state: NeuralState):
        """For some words after another: their slice, from where to where in the cache each of them looks, theta times
        the products (m, k) with all k states there, their words, and the state after them."""
        H, dtype, room = self.lm.config.hidden, np.dtype(self.lm.config.dtype), room_for_products(self.lm.config.dtype)
        for start in range(0, known.size, _ROWS):
            rows = slice(start, min(start + _ROWS, known.size))
            part = known[rows]
            hidden, network = self.lm.states_before(part, state.network)
            entering = part >= 0
            keys = np.concatenate([state.hidden, hidden[entering]])
            words = np.concatenate([state.words, part[entering]])
            lasts = state.words.size + np.cumsum(entering) - entering
            firsts = np.maximum(0, lasts - self.size)
            likeness = np.empty((part.size, len(keys)), dtype)
            queries = np.ascontiguousarray(hidden * dtype.type(self.theta))
            multiply(likeness, queries, keys, H, 1, 0, (0, part.size), (0, len(keys)), 0, room)
            state = self._state(network, keys[max(0, len(keys) - self.size) :], words[max(0, words.size - self.size) :])
            yield rows, firsts, lasts, likeness, words, state

    @staticmethod
    def _state(network: RnnState, hidden: np.ndarray, words: np.ndarray) -> NeuralState:
        hidden, words = np.array(hidden), words.astype(np.int32)
        hidden.flags.writeable = words.flags.writeable = False
        return NeuralState(network, hidden, words)


@exact_kernel
def score_likeness(likeness, firsts, lasts, words, chosen, n_words, probabilities, bits, room):
    """probabilities[t] = the share of exp(likeness[t, first:last]) at places whose word is chosen[t], 0 where it is -1.

    ``bits`` (n,) is filled where it has elements: the entropy over words; room (V,) float64, zeros, stays so.
    """
    for t in range(chosen.size):
        first, last = firsts[t], lasts[t]
        if first == last:
            probabilities[t] = 1.0 / n_words
            if bits.size > 0:
                bits[t] = math.log2(n_words)
            continue
        top = likeness[t, first]
        for i in range(first + 1, last):
            top = max(top, likeness[t, i])
        total, same = 0.0, 0.0
        for i in range(first, last):
            weight = np.float64(exp(likeness[t, i] - top))
            total += weight
            if words[i] == chosen[t]:
                same += weight
            if bits.size > 0:
                room[words[i]] += weight
        probabilities[t] = same / total
        if bits.size > 0:
            moment = 0.0
            for i in range(first, last):
                share = room[words[i]] / total
                room[words[i]] = 0.0
                if share > 0:
                    moment -= share * math.log2(share)
            bits[t] = moment
