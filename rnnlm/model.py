"""A recurrent language model: configuration, parameters and vocabulary; it scores words and predicts the next.

Legend: V words, H hidden units, S elements of the state (Elman's: H), P units below the output (the compression layer,
or H), C classes.
"""

from __future__ import annotations

import math
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from corpora.compute.simd import aligned_zeros, padded
from corpora.evaluation.language_model import LanguageModel, Scored
from corpora.text.vocab import Vocab
from rnnlm.arrays import RnnState, Shape, Weights
from rnnlm.cells import Cell, cell_of
from rnnlm.config import MAX_DIRECT_ORDER, ModelConfig
from rnnlm.outputs import Output, output_of

if TYPE_CHECKING:
    from rnnlm.stack import StackWeights

LOG10_E = math.log10(math.e)
# both are even: forward steps go to and fro through the weights, so a chunk begins as a sentence does
_CHUNK = 1024  # words whose hidden states are held at once: they stay in the cache
_AHEAD = 4  # chunks whose outputs may wait
_DISTRIBUTIONS = 64  # whole distributions that are computed at once
_STREAMS = 32  # independent sentences that run side by side


def scores_of(ids: np.ndarray, log_prob: np.ndarray, oov: np.ndarray, bits: np.ndarray | None) -> Scored:
    """The scores of words with natural log probabilities (n,); no probability where the id is -1."""
    log10_prob = log_prob * LOG10_E
    log10_prob[ids < 0] = -np.inf
    return Scored(log10_prob, oov, bits)


@dataclass
class RecurrentLM(LanguageModel):
    """A model in memory.  ``params``, all of ``config.dtype``, possibly views of padded rows:

    those of its cell (``U`` (V, H) input rows, ``W`` (S, H) recurrent: row j from element j of the state before), and
    of its output layer (``K`` (P, H) into the compression layer, only with one; ``C`` (C, P) class rows; ``O`` (V, P)
    word rows; ``D`` (direct,) hashed maximum-entropy weights, only with them).
    ``class_of_word`` (V,) int32, non-decreasing.  ``start_hidden`` (S,): the state of ``start()``.
    ``threads``: 1 or 2, which score a long text; the result is the same.
    """

    config: ModelConfig
    vocab: Vocab
    params: dict[str, np.ndarray]
    class_of_word: np.ndarray
    start_hidden: np.ndarray
    training: dict = field(default_factory=dict)
    history: list[dict] = field(default_factory=list)
    threads: int = 2

    @property
    def network(self) -> RecurrentLM:
        return self

    @property
    def kernels(self) -> str:
        """The cell, of networks in float32."""
        return self.config.cell if self.config.dtype == "float32" else ""

    @classmethod
    def create(cls, config: ModelConfig, vocab: Vocab, params: dict[str, np.ndarray]) -> RecurrentLM:
        """A model with these initial parameters; classes are made from the vocabulary's counts."""
        from rnnlm.outputs.classes import frequency_classes

        classes = frequency_classes(vocab.counts, config.classes, old=config.old_classes)
        cell = cell_of(config)
        start = np.full(cell.state_size(config, len(vocab)), cell.start, config.dtype)
        return cls(config, vocab, params, classes, start)

    @property
    def tokenizer(self) -> str:
        """How text becomes the model's words (``Tokenizer.spec``)."""
        return self.training.get("tokenizer", "whitespace")

    @property
    def bptt(self) -> int:
        """Steps of error propagation before a block, as ``--bptt`` (0.4b's files hold one more, 0 for none)."""
        return max(self.training.get("bptt", 0) - 1, 0)

    @property
    def bptt_block(self) -> int:
        return self.training.get("bptt_block", 10)

    @cached_property
    def cell(self) -> Cell:
        return cell_of(self.config)

    @cached_property
    def output(self) -> Output:
        return output_of(self.config)

    @cached_property
    def state_size(self) -> int:
        """S, the elements of the state."""
        return self.cell.state_size(self.config, len(self.vocab))

    @cached_property
    def class_start(self) -> np.ndarray:
        """(C + 1,) int64: the first word of each class."""
        return np.searchsorted(self.class_of_word, np.arange(self.config.classes + 1)).astype(np.int64)

    @property
    def tree(self):
        """The Huffman tree of a hierarchical softmax, from the counts of the vocabulary; None: another output layer."""
        if self.config.output_layer != "hierarchical":
            return None
        from rnnlm.outputs.hierarchical import tree_of

        return tree_of(self.vocab.counts)

    @cached_property
    def shape(self) -> Shape:
        return Shape.of(self.config, self.class_start, 0, 1)

    @cached_property
    def weights(self) -> Weights | StackWeights:
        """The parameters as the kernels want them; ``params`` become views of them."""
        if self.config.is_stack:
            from rnnlm.stack import StackWeights

            weights = StackWeights.pack(self.config, self.params, self.tree)
        else:
            weights = Weights.pack(self.params, np.dtype(self.config.dtype))
        self.params = weights.views(self.params)
        return weights

    def weights_have_changed(self) -> None:
        """To be called where ``params`` were written to: copies of them in other shapes are made anew."""
        if self.config.is_stack:
            self.weights.have_changed()

    @property
    def output_weights(self):
        """Those of them that the output layer wants."""
        return self.weights.outputs if self.config.is_stack else self.weights

    # ---- as every LanguageModel

    def start(self) -> RnnState:
        """The state before a text: for a model of 0.4b that of its file, else the one that training began with."""
        context = self.cell.reset if self.config.independent else self.start_hidden
        return self.state_from(context)

    def state_from(self, context: float | np.ndarray) -> RnnState:
        """The state with these numbers, after a sentence end."""
        hidden = aligned_zeros((padded(self.state_size),), self.config.dtype)
        hidden[: self.state_size] = context
        return RnnState(hidden, 0, np.zeros(MAX_DIRECT_ORDER, np.int32))

    def score_ids(self, ids: np.ndarray, state: RnnState, *, entropy: bool = False) -> tuple[Scored, RnnState]:
        """Score ids (n,) int32, -1 for a word outside the vocabulary; also the state after them.

        Such a word is read, and scored, as ``<unk>`` where the vocabulary has it.
        """
        ids = np.asarray(ids, np.int32)
        known = self.vocab.with_unk(ids)
        log_prob, bits, state = self.log_probs(known, state, entropy=entropy)
        return scores_of(known, log_prob, ids < 0, bits), state

    def score_sentences(self, ids: np.ndarray, state: RnnState) -> Scored:
        """As ``score_ids``, of whole sentences, each ended by ``</s>`` (id 0), every one of which begins at ``state``.

        Many run side by side, so that this is the way to score the hypotheses of n-best lists.
        """
        ids = np.asarray(ids, np.int32)
        known, log_prob = self.vocab.with_unk(ids), np.zeros(ids.size)
        ends = np.flatnonzero(ids == 0) + 1
        self._score_apart(known, np.concatenate([[0], ends[:-1]]), ends, state, log_prob, None)
        return scores_of(known, log_prob, ids < 0, None)

    def log_probs(
        self, ids: np.ndarray, state: RnnState, *, entropy: bool = False
    ) -> tuple[np.ndarray, np.ndarray | None, RnnState]:
        """Natural log probabilities (n,) float64 of ids (0 where -1), entropies in bits, and the state after them."""
        log_prob = np.zeros(ids.size)
        bits = np.zeros(ids.size) if entropy else None
        if self.config.independent and (ids[:-1] == 0).any():
            return self._score_sentences(ids, state, log_prob, bits)
        return log_prob, bits, self._score_stream(ids, state, log_prob, bits)

    def distribution(self, state: RnnState) -> np.ndarray:
        """Probabilities (V,) float64 of the next word; they sum to one."""
        probabilities = self.probabilities(state).astype(np.float64)
        return probabilities / probabilities.sum()

    def probabilities(self, state: RnnState) -> np.ndarray:
        """(V,) of ``config.dtype``: as ``distribution``, but a class without words keeps what it has, as in 0.4b.

        The sum is below one by that, and by rounding.
        """
        return self._probabilities(np.zeros(1, np.int32), state)[0]

    def distributions(self, ids: np.ndarray, state: RnnState) -> np.ndarray:
        """(n, V) float64: ``distribution`` before each of ids (n,), which are read one after another from ``state``."""
        ids = self.vocab.with_unk(np.asarray(ids, np.int32))
        result = np.empty((ids.size, len(self.vocab)))
        # independent sentences: the state after an end is another one
        ends = np.flatnonzero(ids == 0) + 1 if self.config.independent else np.empty(0, np.int64)
        cuts = np.unique(np.concatenate([[0], ends, [ids.size]]))
        for begin, end in zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True):
            for start in range(begin, end, _DISTRIBUTIONS):
                stop = min(start + _DISTRIBUTIONS, end)
                result[start:stop] = self._probabilities(ids[start:stop], state)
                state = self._score_stream(ids[start:stop], state, None, None)
        return result / result.sum(1, keepdims=True)

    def hidden_states(self, ids: np.ndarray, state: RnnState) -> np.ndarray:
        """(n, layers, H) of ``config.dtype``: the hidden layers after each of ids (n,), read from ``state`` on.

        Row t is what the word after ids[t] is predicted from; with independent sentences, that is after ``</s>`` the
        layer of a sentence's first word.
        """
        ids = self.vocab.with_unk(np.asarray(ids, np.int32))
        inputs = np.concatenate([[state.last_word], ids]).astype(np.int32)
        if self.config.is_stack:
            return self._all_layers(inputs, state.hidden.copy())[1:]
        hidden_states = aligned_zeros((inputs.size, self.shape.width), self.config.dtype)
        # as in scoring, what follows a sentence end is a beginning where sentences are independent
        ends = np.flatnonzero(ids == 0) + 1 if self.config.independent else np.empty(0, np.int64)
        before = state.hidden.copy()
        for begin, end in pairwise([0, *ends.tolist(), inputs.size]):
            self.cell.forward(self.weights, self.shape, inputs[begin:end], before, hidden_states[begin:end])
            before = self.state_from(self.cell.reset).hidden
        return hidden_states[1:, None, : self.config.hidden]

    def _all_layers(self, inputs: np.ndarray, before: np.ndarray) -> np.ndarray:
        """(n, layers, H) of a stack after each of its inputs (n,), from the state ``before`` on."""
        from rnnlm.stack import all_hidden_states

        ends = np.flatnonzero(inputs[1:] == 0) + 1 if self.config.independent else np.empty(0, np.int64)
        parts = []
        for begin, end in pairwise([0, *ends.tolist(), inputs.size]):
            parts.append(all_hidden_states(self.weights, inputs[begin:end], before))
            before = self.state_from(self.cell.reset).hidden
        return np.concatenate(parts)

    def hidden_state(self, state: RnnState) -> np.ndarray:
        """(H,) of ``config.dtype``: the hidden layer from which the next word is predicted."""
        hidden_states = aligned_zeros((1, self.shape.width), self.config.dtype)
        last = np.array([state.last_word], np.int32)
        self.cell.forward(self.weights, self.shape, last, state.hidden.copy(), hidden_states)
        return hidden_states[0, : self.config.hidden]

    def hidden_layers(self, state: RnnState) -> np.ndarray:
        """(layers, H): all hidden layers, from the last of which the next word is predicted."""
        if self.config.is_stack:
            return self._all_layers(np.array([state.last_word], np.int32), state.hidden.copy())[0]
        return self.hidden_state(state)[None]

    def states_before(self, ids: np.ndarray, state: RnnState) -> tuple[np.ndarray, RnnState]:
        """(n, H): the last hidden layer, from which each of ids (n,) is predicted; and the state after them.

        An id outside the vocabulary is -1; it is not replaced by ``<unk>``.
        """
        hidden_states = aligned_zeros((ids.size, self.shape.width), self.config.dtype)
        inputs = np.concatenate([[state.last_word], ids[:-1]]).astype(np.int32)
        ends = np.flatnonzero(ids == 0) + 1 if self.config.independent else np.empty(0, np.int64)
        before, reset = state.hidden.copy(), None
        for begin, end in pairwise(np.unique([0, *ends.tolist(), ids.size]).tolist()):
            self.cell.forward(self.weights, self.shape, inputs[begin:end], before, hidden_states[begin:end])
            reset = self.state_from(self.cell.reset) if end in ends else None
            before = before if reset is None else reset.hidden.copy()
        if reset is not None or not ids.size:
            return hidden_states[:, : self.config.hidden], state if reset is None else reset
        history = np.concatenate([ids[::-1][:MAX_DIRECT_ORDER], state.history])[:MAX_DIRECT_ORDER].astype(np.int32)
        return hidden_states[:, : self.config.hidden], RnnState(before, int(ids[-1]), history)

    def advance(self, word: int, state: RnnState) -> RnnState:
        """The state after reading the word with this id (-1: one outside the vocabulary)."""
        return self._score_stream(np.array([word], np.int32), state, None, None)

    def warm_up(self) -> None:
        """Compile what scoring needs, or load it, so that a clock can be started afterwards."""
        self.log_probs(np.zeros(1, np.int32), self.start())
        if self.config.independent:
            self.log_probs(np.zeros(2, np.int32), self.start())

    # ---- how

    def _probabilities(self, ids: np.ndarray, state: RnnState) -> np.ndarray:
        """(n, V): ``probabilities`` before each of ids, which end no independent sentence but the last one of them."""
        hidden_states = aligned_zeros((ids.size, self.shape.width), self.config.dtype)
        inputs = np.concatenate([[state.last_word], ids[:-1]]).astype(np.int32)
        self.cell.forward(self.weights, self.shape, inputs, state.hidden.copy(), hidden_states)
        room, histories, bits = (
            self._distribution_rows(ids.size),
            self._histories(ids, state.history),
            np.empty(ids.size),
        )
        self.output.distributions(
            self.output_weights, self.shape, hidden_states, histories, self.class_start, room, bits, True
        )  # fmt: skip
        return room[: ids.size, : len(self.vocab)]

    def _distribution_rows(self, n: int) -> np.ndarray:
        return aligned_zeros((max(n, 16), padded(len(self.vocab)) + 16), self.config.dtype)

    def _outputs(self, hidden_states, ids, histories, log_prob, bits, room) -> np.ndarray:
        """Fill log_prob and bits (views) from the hidden states of ids; these, which can be overwritten."""
        weights, shape, starts = self.output_weights, self.shape, self.class_start
        if log_prob is not None:
            self.output.log_probs(weights, shape, hidden_states, ids, histories, self.class_of_word, starts, log_prob)
        if bits is not None:
            states = hidden_states[: ids.size]
            self.output.distributions(weights, shape, states, histories, starts, room, bits, False)
        return hidden_states

    def _histories(self, ids: np.ndarray, before: np.ndarray) -> np.ndarray:
        """(n, order): the words before each of ids, or one row of zeros a word that nothing reads."""
        from rnnlm.features import word_histories

        if not self.config.direct:
            return np.zeros((ids.size, 1), np.int32)
        histories = np.empty((ids.size, self.config.direct_order), np.int32)
        word_histories(ids, before, histories)
        return histories

    def _score_stream(self, ids, state, log_prob, bits) -> RnnState:
        """Run one stream; the outputs of a chunk are scored on a second thread while the next runs forward."""
        width = self.shape.width
        running = state.hidden.copy()
        last_word, history = state.last_word, state.history
        scored = log_prob is not None or bits is not None
        room = self._distribution_rows(16) if bits is not None else None
        # a thread costs more than a few words; a short text is scored here
        worthwhile = scored and ids.size > _CHUNK and self.threads > 1
        with ThreadPoolExecutor(1) if worthwhile else nullcontext() as pool:
            pending = deque()
            free = [
                aligned_zeros((min(ids.size, _CHUNK), width), self.config.dtype) for _ in range(_AHEAD if pool else 1)
            ]
            for k in range(0, ids.size, _CHUNK):
                part = ids[k : k + _CHUNK]
                if not free:
                    free.append(pending.popleft().result())
                hidden_states = free.pop()
                inputs = np.concatenate([[last_word], part[:-1]]).astype(np.int32)
                self.cell.forward(self.weights, self.shape, inputs, running, hidden_states[: part.size])
                if scored:
                    where = slice(k, k + part.size)
                    scores, entropies = (None if out is None else out[where] for out in (log_prob, bits))
                    job = (hidden_states, part, self._histories(part, history), scores, entropies, room)
                    if pool is None:
                        self._outputs(*job)
                    else:
                        pending.append(pool.submit(self._outputs, *job))
                if pool is None:
                    free.append(hidden_states)
                last_word = int(part[-1])
                history = np.concatenate([part[::-1][:MAX_DIRECT_ORDER], history])[:MAX_DIRECT_ORDER].astype(np.int32)
            for job in pending:
                job.result()
        if self.config.independent and ids.size and last_word == 0:
            return self.state_from(self.cell.reset)
        return RnnState(running, last_word, history)

    def _score_sentences(self, ids, state, log_prob, bits):
        """Independent sentences: the first goes on from ``state``, what follows a sentence end is a beginning."""
        ends = np.flatnonzero(ids == 0) + 1
        first = slice(0, ends[0])
        state = self._score_stream(ids[first], state, log_prob[first], None if bits is None else bits[first])
        self._score_apart(ids, ends[:-1], ends[1:], state, log_prob, bits)
        if ends[-1] < ids.size:
            rest = slice(ends[-1], ids.size)
            state = self._score_stream(ids[rest], state, log_prob[rest], None if bits is None else bits[rest])
        return log_prob, bits, state

    def _score_apart(self, ids, starts, ends, initial, log_prob, bits) -> None:
        """Score ids[starts[s] : ends[s]] from ``initial`` for each s, ``_STREAMS`` at a time, like lengths together."""
        lengths = ends - starts
        order = np.argsort(lengths, kind="stable")
        width, room = self.shape.width, self._distribution_rows(16) if bits is not None else None
        for s in order[lengths[order] > _CHUNK]:  # the states of 32 lines of a million words would fill the memory
            where = slice(starts[s], ends[s])
            self._score_stream(ids[where], initial, log_prob[where], None if bits is None else bits[where])
        order = order[lengths[order] <= _CHUNK]
        for k in range(0, order.size, _STREAMS):
            batch = order[k : k + _STREAMS]
            longest = int((ends[batch] - starts[batch]).max())
            inputs = np.full((longest, batch.size), -1, np.int32)
            for b, s in enumerate(batch):
                n = ends[s] - starts[s]
                inputs[0, b] = initial.last_word
                inputs[1:n, b] = ids[starts[s] : ends[s] - 1]
            hidden_states = aligned_zeros((longest, batch.size, width), self.config.dtype)
            states = np.repeat(initial.hidden[None], batch.size, axis=0)
            self.cell.forward_streams(self.weights, self.shape, inputs, states, hidden_states)
            words = np.concatenate([ids[starts[s] : ends[s]] for s in batch])
            rows = np.concatenate([hidden_states[: ends[s] - starts[s], b] for b, s in enumerate(batch)])
            histories = np.concatenate([self._histories(ids[starts[s] : ends[s]], initial.history) for s in batch])
            scores, entropies = np.empty(words.size), np.empty(words.size) if bits is not None else None
            self._outputs(rows, words, histories, scores, entropies, room)
            at = np.concatenate([np.arange(starts[s], ends[s]) for s in batch])
            log_prob[at] = scores
            if bits is not None:
                bits[at] = entropies
