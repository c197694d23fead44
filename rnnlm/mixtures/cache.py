"""Unigram caches: what was read lately is likely to come again.  A component of mixtures.

* ``size``: the share of a word among the last ``size`` words.  Kuhn and De Mori (1990); SRILM's ``ngram -cache``.
* ``decay`` alpha: a word that was read d words ago counts exp(-alpha d), divided by the sum of these weights.
  Clarkson and Robinson (1997).  Its half-life is log 2 / alpha words; the weights below 1e-16 of the newest one
  are left out (37 / alpha words ago).  With ``size`` too, only the last ``size`` words count.

What enters the cache is what SRILM lets enter: every word that is scored, sentence ends included, after it was
scored; a word outside the vocabulary as ``<unk>`` where the vocabulary has it, else not at all.  Sentence ends
do not clear it.  An empty cache, at the first word of a text, says that all words are equally likely (SRILM: that
none is possible), so that the distribution always sums to one.

Kuhn, R. and De Mori, R. (1990). A cache-based natural language model for speech recognition. IEEE PAMI 12(6).
Clarkson, P. and Robinson, A. (1997). Language model adaptation using mixtures and an exponentially decaying cache.
ICASSP.
"""

from __future__ import annotations

import math

import numpy as np

from corpora.compute import libm
from corpora.errors import CorpusError
from corpora.evaluation.distributions import entropy_bits
from corpora.evaluation.language_model import ANY_TOKENIZER, LanguageModel, Scored
from corpora.text.vocab import Vocab

LARGEST_SIZE = (1 << 31) - 1
SMALLEST_DECAY, LARGEST_DECAY = 1e-6, 100.0
_NEGLIGIBLE = 37.0  # exp(-37) is below the rounding of 1 in float64


class CacheLM(LanguageModel):
    """A cache over the words of ``vocab``.  Its state is the words that count, (h,) int32, oldest first, read-only."""

    tokenizer = ANY_TOKENIZER

    def __init__(self, vocab: Vocab, size: int | None = None, decay: float | None = None):
        """CorpusError for a size or a rate that cannot be one."""
        self.vocab, self.size, self.decay = vocab, size, decay
        if size is None and decay is None:
            raise CorpusError("a cache needs a size, a decay, or both")
        if size is not None and not 1 <= size <= LARGEST_SIZE:
            raise CorpusError(f"`cache` {size}: a number of words from 1 to {LARGEST_SIZE} is needed")
        if decay is not None and not SMALLEST_DECAY <= decay <= LARGEST_DECAY:
            bounds = f"from {SMALLEST_DECAY:g} to {LARGEST_DECAY:g}"
            raise CorpusError(f"`cache_decay` {decay:g}: a rate a word is needed, {bounds}")
        longest = math.inf if decay is None else math.ceil(_NEGLIGIBLE / decay)
        self.window = int(min(math.inf if size is None else size, longest))
        self._powers = None if decay is None else np.exp(-decay * np.arange(self.window + 1))

    def start(self) -> np.ndarray:
        """The empty cache."""
        return _fixed(np.empty(0, np.int32))

    def score_ids(self, ids: np.ndarray, state: np.ndarray, *, entropy: bool = False) -> tuple[Scored, np.ndarray]:
        """Score ids (n,) int32, -1 for a word outside the vocabulary; also the state after them."""
        from rnnlm.mixtures.cache_counts import score_decayed, score_window

        ids = np.asarray(ids, np.int32)
        oov = ids < 0
        known = self.vocab.with_unk(ids)
        entering = np.flatnonzero(known >= 0)
        words = np.concatenate([state, known[entering]])
        probabilities, bits = np.empty(entering.size), np.empty(entering.size if entropy else 0)
        counts = np.zeros(len(self.vocab), np.int64)
        if self._powers is None:
            score_window(words, state.size, self.window, counts, probabilities, bits)
        else:
            weights, seen = np.zeros(counts.size), np.zeros(counts.size, np.int64)
            score_decayed(words, state.size, self.window, self._powers, counts, weights, seen, probabilities, bits)
        log10_prob = np.full(ids.size, -np.inf)
        log10_prob[entering] = libm.log10(probabilities)
        entropies = self._spread(ids, entering, words, bits) if entropy else None
        return Scored(log10_prob, oov, entropies), _fixed(words[max(0, words.size - self.window) :])

    def distribution(self, state: np.ndarray) -> np.ndarray:
        """Probabilities (V,) float64 of the next word; they sum to one."""
        if not state.size:
            return np.full(len(self.vocab), 1.0 / len(self.vocab))
        weights = None if self._powers is None else self._powers[state.size : 0 : -1]
        counts = np.bincount(state, weights, minlength=len(self.vocab))
        return counts / (state.size if weights is None else counts.sum())

    def distributions(self, ids: np.ndarray, state: np.ndarray) -> np.ndarray:
        """(n, V) float64: ``distribution`` before each of ids (n,), which are read one after another from ``state``."""
        ids = self.vocab.with_unk(np.asarray(ids, np.int32))
        words = np.concatenate([state, ids[ids >= 0]])
        ends = state.size + np.cumsum(ids >= 0) - (ids >= 0)
        result = np.empty((ids.size, len(self.vocab)))
        for t, end in enumerate(ends.tolist()):
            result[t] = self.distribution(words[max(0, end - self.window) : end])
        return result

    def warm_up(self) -> None:
        """Compile what scoring needs, or load it."""
        self.score_ids(np.zeros(1, np.int32), self.start())

    def _spread(self, ids: np.ndarray, entering: np.ndarray, words: np.ndarray, bits: np.ndarray) -> np.ndarray:
        """(n,): the entropy before a word that does not enter is the one before the next that does."""
        if entering.size == ids.size:
            return bits
        h = max(0, words.size - self.window)
        p = self.distribution(words[h:])
        after = entropy_bits(p[p > 0])
        following = np.searchsorted(entering, np.arange(ids.size))
        return np.append(bits, after)[following]


def _fixed(words: np.ndarray) -> np.ndarray:
    words = words.astype(np.int32)
    words.flags.writeable = False
    return words
