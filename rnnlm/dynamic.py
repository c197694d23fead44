"""Dynamic evaluation: a model that goes on learning from the text it scores.  Mikolov et al. (2010), section 2."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from corpora.errors import CorpusError
from corpora.evaluation.distributions import entropy_bits
from corpora.evaluation.language_model import LanguageModel, Scored
from rnnlm.arrays import Weights
from rnnlm.engines.online import Online
from rnnlm.model import RecurrentLM, RnnState, scores_of

if TYPE_CHECKING:
    from rnnlm.stack import StackWeights

_LEAST = -1024 * math.log(2)  # natural log probability of a word, below which learning has diverged: 1024 bits


class DynamicState:
    """Where a text stands: a value, as the state of every model is, though the network learns in place.

    A state lends its network to the one after it, so that a text that is read once and in order is read without a
    copy; all that states keep of it are its words, four bytes each.  A state that is used again gets its network back
    by reading once more, as it was read, what came before it; then it keeps the network, and lends copies.
    ``position``: the number of words read since ``DynamicLM.start``.
    """

    __slots__ = ("_before", "_ids", "_lent", "_network", "_singly", "position")

    def __init__(self, before: DynamicState | None, ids: np.ndarray | None, singly: bool, network: _Network | None):
        """The state after ``before`` and ids, None: the beginning of another text; ``singly``: learnt one by one."""
        self._before, self._ids, self._singly = before, ids, singly
        self.position = 0 if before is None or ids is None else before.position + ids.size
        self._network, self._lent = network, False


class _Network:
    """A network that learns: its weights, and the engine that changes them."""

    def __init__(self, lm: RecurrentLM, make_engine: Callable, start: np.ndarray):
        """With a copy of the weights of ``lm``, before a text whose first state is ``start`` (S,)."""
        self.lm = RecurrentLM(lm.config, lm.vocab, lm.params, lm.class_of_word, lm.start_hidden, lm.training)
        self.lm.threads = lm.threads
        self.lm.weights = lm.weights.copy()
        self.lm.params = self.lm.weights.views(lm.params)
        self._make_engine, self._start = make_engine, start
        self.engine = make_engine(self.lm)
        self.begin_text()

    @property
    def weights(self) -> Weights | StackWeights:
        return self.lm.weights

    def begin_text(self) -> None:
        """Forget the words, but not what was learnt from them."""
        self.engine.start_text(self._start)

    def copy(self) -> _Network:
        """A network that stands where this one does."""
        other, stands = _Network(self.lm, self._make_engine, self._start), self.engine.state()
        for name, array in other.engine.state().items():
            array[...] = stands[name]
        return other

    def static_state(self) -> RnnState:
        """The state from which ``lm`` goes on without learning."""
        return self.engine.current()

    def distribution(self) -> np.ndarray:
        """(V,) float64 of the next word."""
        return self.lm.distribution(self.static_state())


class DynamicLM(LanguageModel):
    """Scores a word, then learns from it.  The weights are a copy; the model that is given stays as it is.

    Going back to an earlier state costs a copy of the network and, the first time, the time in which the text up to
    there was read (``DynamicState``).
    ``alpha``: the constant learning rate; ``bptt``, ``bptt_block``: as in training where they are not given.
    Words are counted from 1 for the blocks (0.4b never sets that counter here).
    A stack learns from segments of ``bptt_block`` words (5), is drawn back by ``decay``, and its updates are scaled by
    ``roots`` where they are given: see ``rnnlm.segments``.
    """

    def __init__(
        self,
        lm: RecurrentLM,
        alpha: float,
        beta: float = 1e-7,
        cutoff: float = 15.0,
        bptt: int | None = None,
        bptt_block: int | None = None,
        *,
        decay: float = 0.0,
        clip_norm: float = 0.0,
        roots: Mapping[str, np.ndarray] | None = None,
    ):
        if not (math.isfinite(alpha) and alpha > 0):
            raise CorpusError(f"`dynamic` {alpha:g}: a learning rate above 0")
        self.vocab, self.tokenizer = lm.vocab, lm.tokenizer
        self.alpha, self.beta, self.cutoff = alpha, beta, cutoff
        self.static = lm
        steps = lm.bptt if bptt is None else bptt
        if lm.config.is_stack:
            from rnnlm.segments import SEGMENT, Segments

            arrays = lm.weights.arrays
            self._make_engine = lambda own: Segments(own, arrays, bptt_block or SEGMENT, decay, clip_norm, roots)
        else:
            block = lm.bptt_block if bptt_block is None else bptt_block
            self._make_engine = lambda own: Online(own, steps, block, beta, cutoff)
        self._spare: _Network | None = None
        self._spare = self._first()  # copied here, where no clock counts it

    @property
    def network(self) -> RecurrentLM:
        return self.static

    def start(self, after: DynamicState | None = None) -> DynamicState:
        """The beginning of a text, where the static model begins; with what was learnt up to ``after``, if given."""
        if after is None:
            return DynamicState(None, None, False, None)
        network = self._borrow(after)
        network.begin_text()
        return DynamicState(after, None, False, network)

    def score_ids(self, ids: np.ndarray, state: DynamicState, *, entropy: bool = False) -> tuple[Scored, DynamicState]:
        """As RecurrentLM.score_ids.  With ``entropy`` words go one by one: several times slower."""
        ids = np.asarray(ids, np.int32)
        known = self.vocab.with_unk(ids)
        log_prob, bits, state = self.log_probs(known, state, entropy=entropy)
        return scores_of(known, log_prob, ids < 0, bits), state

    def log_probs(
        self, ids: np.ndarray, state: DynamicState, *, entropy: bool = False
    ) -> tuple[np.ndarray, np.ndarray | None, DynamicState]:
        """Natural log probabilities (n,) float64 of ids, 0 where -1, each before the word was learnt.

        Also the entropies in bits, if asked for, and the state after the words.
        """
        ids = np.array(ids, np.int32)  # its own: the state after them remembers them
        network = self._borrow(state)
        log_prob, bits = self._learn(network, ids, state.position, singly=entropy, entropy=entropy)
        return log_prob, bits, DynamicState(state, ids, entropy, network)

    def distribution(self, state: DynamicState) -> np.ndarray:
        """Probabilities (V,) float64 of the next word under the weights as they are then."""
        return self._network_of(state).distribution()

    def score_with_distributions(self, ids: np.ndarray, state: DynamicState) -> tuple[Scored, np.ndarray, DynamicState]:
        """The scores of ids (n,), the distribution (n, V) float64 before each, and the state after them."""
        distributions, parts = np.empty((ids.size, len(self.vocab))), []
        for t in range(ids.size):
            distributions[t] = self.distribution(state)
            scored, state = self.score_ids(ids[t : t + 1], state)
            parts.append(scored)
        return Scored.joined(parts) if parts else self.score_ids(ids, state)[0], distributions, state

    def hidden_states(self, ids: np.ndarray, state: DynamicState) -> np.ndarray:
        """(n, layers, H): the hidden layers after each of ids (n,), each of which is learnt before the next is read."""
        ids = self.vocab.with_unk(np.asarray(ids, np.int32))
        network = self._network_of(state).copy()
        config = self.static.config
        hidden_states = np.empty((ids.size, config.layers, config.hidden), config.dtype)
        for t in range(ids.size):
            self._learn(network, ids[t : t + 1], state.position + t)
            hidden_states[t] = network.lm.hidden_layers(network.static_state())
        return hidden_states

    def learnt(self, state: DynamicState) -> RecurrentLM:
        """The network as it is at a state: a model of its own, which learns no more."""
        return self._network_of(state).copy().lm

    def warm_up(self) -> None:
        """Compile what learning needs, or load it."""
        network = self._first()
        self._learn(network, np.empty(0, np.int32), 0)
        self._spare = network  # it has learnt nothing

    # ---- how

    def _learn(self, network: _Network, ids: np.ndarray, position: int, *, singly: bool = False, entropy: bool = False):
        """Learn from ids (n,), the first of them word ``position`` + 1; their log probabilities, and entropies."""
        bits = np.empty(ids.size) if entropy else None
        if singly:
            log_prob = np.empty(ids.size)
            for k in range(ids.size):
                if bits is not None:
                    p = network.distribution()
                    bits[k] = entropy_bits(p[p > 0])
                log_prob[k : k + 1] = network.engine.learn(ids[k : k + 1], self.alpha)
                self._check(log_prob[k : k + 1], position + k)
        else:
            log_prob = network.engine.learn(ids, self.alpha)
            self._check(log_prob, position)
        return log_prob, bits

    def _check(self, log_prob: np.ndarray, position: int) -> None:
        is_likely = log_prob > _LEAST  # not NaN either
        if not is_likely.all():
            word = position + int(np.flatnonzero(~is_likely)[0]) + 1
            raise CorpusError(f"dynamic evaluation diverged at word {word}: lower `dynamic` ({self.alpha:g})")

    def _network_of(self, state: DynamicState) -> _Network:
        """The network at a state, to look at; where it was lent, another one that has read the same."""
        if state._network is None:
            read, at = [], state
            while at._network is None and at._before is not None:
                read.append(at)
                at = at._before
            network = self._first() if at._network is None else at._network.copy()
            for then in reversed(read):
                if then._ids is None:
                    network.begin_text()
                else:
                    self._learn(network, then._ids, then.position - then._ids.size, singly=then._singly)
            state._network = network
        return state._network

    def _borrow(self, state: DynamicState) -> _Network:
        """The network at a state, to learn with: its own the first time, then copies."""
        network = self._network_of(state)
        if state._lent and state._before is not None:
            return network.copy()
        state._network, state._lent = None, True  # of a first state: a copy is as soon made of the static model
        return network

    def _first(self) -> _Network:
        """A network that has read nothing."""
        network, self._spare = self._spare, None
        return network or _Network(self.static, self._make_engine, self.static.start().hidden[: self.static.state_size])


def is_recurrent(lm: LanguageModel) -> bool:
    """Whether a model is a recurrent one, or a mixture that has one among its components."""
    return isinstance(lm, RecurrentLM) or any(map(is_recurrent, lm.models))


def learning(lm: LanguageModel, alpha: float, **how) -> LanguageModel:
    """``lm`` with its recurrent models learning from the text: itself, or those of a mixture.

    The regularisation and the clipping are those that the model was trained with.  ``how``: ``bptt_block``, ``decay``
    and ``rms``, a function that gives the ``roots`` of a stack; CorpusError where a network has no use for them.
    """
    if isinstance(lm, RecurrentLM):
        trained, how = lm.training.get("config", {}), dict(how)
        make_roots = how.pop("rms", None)
        if not lm.config.is_stack and (how.get("decay") or make_roots):
            raise CorpusError(
                "`dynamic_decay`, `dynamic_rms`: only for networks with several layers, gates or an embedding; "
                "this one learns word by word"
            )
        return DynamicLM(
            lm, alpha, trained.get("beta", 1e-7), trained.get("gradient_cutoff", 15.0),
            clip_norm=trained.get("clip_norm", 0.0), roots=make_roots(lm) if make_roots else None, **how,
        )  # fmt: skip
    from rnnlm.mixtures.mixture import Mixture  # not needed by those that have one model

    if isinstance(lm, Mixture):
        return Mixture([learning(part, alpha, **how) for part in lm.models], lm.weights, lm.kind, files=lm.files)
    return lm
