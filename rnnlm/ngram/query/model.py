"""A back-off n-gram model: vocabulary and trie; it scores words and predicts the next.

Legend: V words, N the order, n tokens.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import numpy as np

from corpora.compute.processors import available
from corpora.errors import FormatError
from corpora.evaluation.language_model import LanguageModel, Scored
from corpora.files.mapping import populate
from corpora.text.vocab import Vocab
from rnnlm.ngram.arena import Arena
from rnnlm.ngram.trie import NONE, START, Trie

_BLOCK = 1 << 14  # positions of one walk at most: their state stays in the second cache level
_WORTH_THREADS = 1 << 15  # tokens
_WORTH_MAPPING = 50_000  # tokens at a time: scoring that many uses most pages of the file


@dataclass
class BackoffLM(LanguageModel):
    """A model in memory, or mapped from a file.  ``training``: how it was made (smoothing, discounts, tokenizer).

    ``arena``: who keeps the arrays, if they live in temporary files.  ``path``: the native file that they are from.
    Its state is the history: (N - 1,) uint32 internal ids, the newest last, NONE before the first word.
    ``threads`` score a long text; the result is the same.
    """

    vocab: Vocab
    trie: Trie
    training: dict = field(default_factory=dict)
    threads: int = field(default_factory=available)
    arena: Arena | None = None
    path: str | None = None
    _mapped: bool = field(default=False, init=False, repr=False)
    kernels = "ngrams"

    @property
    def order(self) -> int:
        return self.trie.order

    @property
    def tokenizer(self) -> str:
        """How text becomes the model's words (``Tokenizer.spec``)."""
        return self.training.get("tokenizer", "whitespace")

    @cached_property
    def unknown(self) -> int:
        """The internal id of words outside the vocabulary: that of ``<unk>``, or NONE."""
        unk = self.vocab.unk_id
        return NONE if unk < 0 else int(self.trie.internal[unk])

    @property
    def _eos(self) -> int:
        return int(self.trie.internal[0])

    # ---- as every LanguageModel

    def start(self) -> np.ndarray:
        """The history at the beginning of a sentence: ``<s>``."""
        state = np.full(max(self.order - 1, 1), NONE, np.uint32)
        state[-1] = START
        return state

    def score_ids(self, ids: np.ndarray, state: np.ndarray, *, entropy: bool = False) -> tuple[Scored, np.ndarray]:
        """Score ids (n,) int32, -1: a word outside the vocabulary; also the state after them.

        ``Scored.order``: the length of the n-gram that was found, 0 for a word that the model has no
        probability for.  ``entropy``: also the entropies of the distributions, which takes a pass over all
        n-grams the first time.
        """
        if ids.size >= _WORTH_MAPPING:
            self._map_all()
        words, n = self._words(ids, state)
        threads = self.threads if ids.size >= _WORTH_THREADS else 1
        first, last = state.size - 1, n - 1
        rounds = -(-(last - first) // (threads * _BLOCK))
        edges = np.linspace(first, last, rounds * threads + 1).astype(np.int64).tolist()
        # every span begins with the word before it, for its back-off weights
        spans = [(a, b + 1) for a, b in pairwise(edges) if a < b]
        if threads > 1:
            with ThreadPoolExecutor(threads) as pool:
                parts = list(pool.map(lambda t: self._score_spans(words, spans[t::threads], entropy), range(threads)))
            parts = [parts[k % threads][k // threads] for k in range(len(spans))]
        else:
            parts = self._score_spans(words, spans, entropy)
        oov = ids < 0
        columns = [np.concatenate(column) for column in zip(*parts, strict=True)] if parts else [
            np.empty(0), np.empty(0, np.int32), np.empty(0)
        ]  # fmt: skip
        log10_prob, order, entropies = columns
        if self.unknown == NONE:
            log10_prob[oov] = -np.inf
        return Scored(log10_prob, oov, entropies if entropy else None, order), words[n - state.size :].copy()

    def distribution(self, state: np.ndarray) -> np.ndarray:
        """Probabilities (V,) float64 of the next word; they sum to one."""
        walk = _Walk(self.trie, 1)
        walk.go(state, state.size - 1, state.size)
        return self._distribution(walk.path[0])

    def distributions(self, ids: np.ndarray, state: np.ndarray) -> np.ndarray:
        """Probabilities (n, V) float64 before each of ids (n,) int32, the first of which follows ``state``."""
        words, n = self._words(ids, state)
        before = np.flatnonzero(words[state.size :] != START) + state.size - 1
        walk = _Walk(self.trie, words.size)
        walk.go(words, 0, n)
        known: dict[bytes, np.ndarray] = {}
        out = np.empty((ids.size, len(self.vocab)))
        for i, position in enumerate(before.tolist()):
            path = walk.path[position]
            key = path[: max(self.order - 1, 1)].tobytes()
            if key not in known:
                known[key] = self._distribution(path)
            out[i] = known[key]
        return out

    def score_sentences(self, ids: np.ndarray, state: np.ndarray) -> Scored:
        """Score whole sentences, each from its own beginning: with histories of one sentence that is ``score_ids``."""
        return self.score_ids(ids, state)[0]

    def warm_up(self) -> None:
        """Load the compiled kernels, or compile them."""
        state = np.full(max(self.order - 1, 1), int(self.trie.internal[0]), np.uint32)
        self.score_ids(np.zeros(1, np.int32), state)

    # ---- what it is made of

    def _map_all(self) -> None:
        if not self._mapped:
            self._mapped = True
            for nodes in self.trie.nodes:
                populate(nodes)

    def _words(self, ids: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, int]:
        """The history and the internal ids of a text, with START after each sentence end, and how many they are."""
        from rnnlm.ngram.query.backoff import lay_out

        ids = np.ascontiguousarray(ids, np.int32)
        words = np.empty(state.size + 2 * ids.size, np.uint32)
        words[: state.size] = state
        n = state.size + int(lay_out(ids, self.trie.internal, self.unknown, self._eos, words[state.size :]))
        return words[:n], n

    @cached_property
    def contexts(self):
        """The contexts of all n-grams, for distributions and entropies; made when it is first asked for.

        FormatError where the arrays are those of a damaged file.
        """
        from rnnlm.ngram.query.contexts import Contexts, Contradiction

        try:
            if self.path is not None and not self.trie.is_whole():
                raise Contradiction
            return Contexts(self.trie)
        except Contradiction as error:
            raise self._error("damaged: its n-grams contradict each other") from error

    def _distribution(self, path: np.ndarray) -> np.ndarray:
        p = self.contexts.distribution(path)
        if not np.isfinite(p).all():
            raise self._error("no word has a probability after some history")
        return p

    def _error(self, reason: str) -> FormatError:
        return FormatError(self.path or "the n-gram model", None, reason)

    def _score_spans(self, words: np.ndarray, spans, entropy: bool) -> list[tuple[np.ndarray, ...]]:
        """log10_prob, order and entropy_bits (empty if not asked for) of each span of positions, its first left out."""
        from rnnlm.ngram.query.backoff import add_backoffs

        walk = _Walk(self.trie, min(_BLOCK + 1, words.size), paths=entropy)
        parts = []
        for a, b in spans:
            walk.go(words, a, b)
            n = b - a
            out, orders = np.empty(n - 1), np.empty(n - 1, np.int32)
            n_tokens = int(add_backoffs(words, a, walk.log_prob[:n], walk.order[:n], walk.backoffs, out, orders))
            bits = np.empty(0)
            if entropy:
                bits = self.contexts.entropies_after(walk.path[: n - 1])[words[a + 1 : b] != START]
                if np.isnan(bits).any():
                    raise self._error("no word has a probability after some history")
            parts.append((out[:n_tokens], orders[:n_tokens], bits))
        return parts


class _Walk:
    """The way of a block of positions down the trie, and its ends: the arrays of ``rnnlm.ngram.query.backoff.walk``.

    ``paths``: also the rows of all n-grams on the way, which distributions and entropies need.
    """

    def __init__(self, trie: Trie, largest: int, *, paths: bool = True):
        self._addresses = np.array([nodes.ctypes.data for nodes in trie.nodes], np.uint64)
        self._sizes = np.array([*(len(nodes) - 1 for nodes in trie.nodes), 0], np.uint32)
        self._trie = trie  # keeps the arrays
        self.log_prob, self.order = np.empty(largest, np.float32), np.empty(largest, np.int32)
        self.backoffs = np.empty((trie.order, largest), np.float32)
        self.path = np.empty((largest if paths else 0, trie.order), np.uint32)

    def go(self, words: np.ndarray, start: int, stop: int) -> None:
        """Walk from the positions start to stop of ``words``, which may look back at all before them."""
        from rnnlm.ngram.query.backoff import walk

        n = stop - start
        found = (self.log_prob[:n], self.order[:n], self.backoffs, self.path[:n])
        walk(self._addresses, self._sizes, words, start, *found)
