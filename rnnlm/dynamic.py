"""Dynamic evaluation: a model that goes on learning from the text it scores.  Mikolov et al. (2010), section 2."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from corpora.errors import CorpusError
from corpora.evaluation.language_model import LanguageModel, Scored
from rnnlm.arrays import LAST_WORD, Scratch, Shape, State
from rnnlm.model import LOG10_E, RecurrentLM, RnnState


class DynamicLM(LanguageModel):
    """Scores a word, then learns from it.  The weights are a copy; the model that is given stays as it is.

    It is one text's model: ``start()`` begins the text, and its words come once and in order; the state is the
    number of words read.  What it has learnt stays learnt when ``start()`` is called again.
    ``alpha``: the constant learning rate; ``bptt``, ``bptt_block``: as in training where they are not given.
    Words are counted from 1 for the blocks (0.4b never sets that counter here).
    """

    def __init__(
        self,
        lm: RecurrentLM,
        alpha: float,
        beta: float = 1e-7,
        cutoff: float = 15.0,
        bptt: int | None = None,
        bptt_block: int | None = None,
    ):
        if not (math.isfinite(alpha) and alpha > 0):
            raise CorpusError(f"--dynamic {alpha:g}: a learning rate above 0")
        self.vocab, self.tokenizer = lm.vocab, lm.tokenizer
        self.alpha, self.beta, self.cutoff = alpha, beta, cutoff
        self._start = lm.start()
        self.model = RecurrentLM(lm.config, lm.vocab, lm.params, lm.class_of_word, lm.start_hidden, lm.training)
        self.model.weights = lm.weights.copy()
        self.model.params = self.model.weights.views(lm.params)
        steps = lm.bptt if bptt is None else bptt
        block = lm.bptt_block if bptt_block is None else bptt_block
        self.shape = Shape.of(lm.config, lm.class_start, steps, block)
        self._dtype = np.dtype(lm.config.dtype)
        self._state = State.create(self.shape, self._dtype)
        self._scratch = Scratch.create(self.shape, self._dtype)
        self.position = 0

    def start(self) -> int:
        """Begin a text, from the state that the static model begins with."""
        self._state.start_text(self.shape.n_hidden, 0.0)
        self._state.previous[:] = self._start.hidden
        self.position = 0
        return 0

    def score(self, words: Sequence[bytes | str], state: int) -> tuple[Scored, int]:
        return self.score_ids(self.vocab.ids(words), state)

    def score_ids(self, ids: np.ndarray, state: int, *, entropy: bool = False) -> tuple[Scored, int]:
        """As RecurrentLM.score_ids.  With ``entropy`` words go one by one: several times slower."""
        if state != self.position:
            asked = f"at word {self.position}, asked for {state}"
            raise ValueError(f"a dynamic model reads a text once and in order: {asked}")
        ids = np.asarray(ids, np.int32)
        oov = ids < 0
        if self.vocab.unk_id >= 0:
            ids = np.where(oov, np.int32(self.vocab.unk_id), ids)
        bits = None
        if entropy:
            log_prob, bits = np.empty(ids.size), np.empty(ids.size)
            for k in range(ids.size):
                bits[k] = self.next_entropy()
                log_prob[k : k + 1] = self.learn(ids[k : k + 1])
        else:
            log_prob = self.learn(ids)
        log10_prob = log_prob * LOG10_E
        log10_prob[ids < 0] = -np.inf
        return Scored(log10_prob, oov, bits), self.position

    def learn(self, ids: np.ndarray) -> np.ndarray:
        """Natural log probabilities (n,) float64 of ids, 0 where -1, each before the word was learnt."""
        from rnnlm.engines.online import learn_stream

        real, log_prob = self._dtype.type, np.empty(ids.size)
        learn_stream(
            self.model.weights, self._state, self._scratch, self.shape, np.ascontiguousarray(ids, np.int32),
            self.model.class_of_word, self.model.class_start,
            real(self.alpha), real(self.beta), real(self.cutoff), log_prob,
        )  # fmt: skip
        if not np.isfinite(log_prob).all():
            word = self.position + int(np.flatnonzero(~np.isfinite(log_prob))[0]) + 1
            raise CorpusError(f"dynamic evaluation diverged at word {word}: lower --dynamic ({self.alpha:g})")
        self.position += ids.size
        return log_prob

    def warm_up(self) -> None:
        """Compile what learning needs, or load it from Numba's cache."""
        self.learn(np.empty(0, np.int32))

    def _static_state(self) -> RnnState:
        counters = self._state.counters
        return RnnState(self._state.previous.copy(), int(counters[LAST_WORD]), self._state.history.copy())

    def distribution(self, state: int) -> np.ndarray:
        """Probabilities (V,) float64 of the next word under the weights as they are now."""
        return self.model.distribution(self._static_state())

    def score_with_distributions(self, ids: np.ndarray, state: int) -> tuple[Scored, np.ndarray, int]:
        """The scores of ids (n,), the distribution (n, V) float64 before each, and the state after them."""
        distributions, parts = np.empty((ids.size, len(self.vocab))), []
        for t in range(ids.size):
            distributions[t] = self.distribution(state)
            scored, state = self.score_ids(ids[t : t + 1], state)
            parts.append(scored)
        return Scored.joined(parts) if parts else self.score_ids(ids, state)[0], distributions, state

    def next_entropy(self) -> float:
        """Bits of the next word's distribution."""
        p = self.distribution(self.position)
        p = p[p > 0]
        return float(-(p * np.log2(p)).sum())


def is_recurrent(lm: LanguageModel) -> bool:
    """Whether a model is a recurrent one, or a mixture that has one among its components."""
    return isinstance(lm, RecurrentLM) or any(map(is_recurrent, lm.models))


def learning(lm: LanguageModel, alpha: float) -> LanguageModel:
    """``lm`` with its recurrent models learning from the text: itself, or those of a mixture.

    The regularisation and the clipping are those that the model was trained with.
    """
    if isinstance(lm, RecurrentLM):
        trained = lm.training.get("config", {})
        return DynamicLM(lm, alpha, trained.get("beta", 1e-7), trained.get("gradient_cutoff", 15.0))
    from rnnlm.mixtures.mixture import Mixture  # not needed by those that have one model

    if isinstance(lm, Mixture):
        return Mixture([learning(part, alpha) for part in lm.models], lm.weights, lm.kind, files=lm.files)
    return lm
