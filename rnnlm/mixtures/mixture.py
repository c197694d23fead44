"""Mixtures of language models: weighted sums of probabilities, and normalised products of their powers.

Legend: K components, n tokens, V words of the union vocabulary, V_i words of component i.

The vocabulary is the union of the components' vocabularies; the words of the first model come first, with its
counts.  How a component that lacks a word counts:

* linear, sum_i w_i p_i(word): zero, as in SRILM; its probability of ``<unk>`` stands for words that it does not
  know, and giving it to each of them would make the sum over the union exceed one.
* log-linear, prod_i p_i(word)^w_i / Z(history): by its probability of ``<unk>``, which is honest here, since Z sums
  over the union; zero for a component without ``<unk>``.  Klakow (1998).

A word is OOV (``Scored.oov``) where no component knows it; it costs the mixture of the probabilities of ``<unk>``.
So every distribution sums to one over the union, and all words of a text count under one rule.

Klakow, D. (1998). Log-linear interpolation of language models. ICSLP.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from corpora.compute import libm
from corpora.errors import CorpusError
from corpora.evaluation.distributions import entropy_bits, softmax
from corpora.evaluation.language_model import LanguageModel, Scored, tokenizers_of
from corpora.text.vocab import Vocab, WordList
from rnnlm.config import LARGEST_WEIGHT
from rnnlm.mixtures.cache import CacheLM

if TYPE_CHECKING:
    from corpora.text.stream import TokenStream

KINDS = ("linear", "log-linear")
CLOSE_TO_ONE = 1e-3  # sums of weights that are this near to 1 were meant to be 1
CACHE_WEIGHT = 0.1  # of a cache whose weight is not given
_CELLS = 1 << 19  # probabilities of whole distributions that are held at once, for each component: 4 MiB
_WORTH_THREADS = 1 << 10  # tokens
_LN10 = math.log(10)


def check_weights(weights: Sequence[float] | None, n_models: int, kind: str = "linear") -> np.ndarray:
    """The weights (K,) float64 of a mixture; None: equal ones.

    Linear weights are at least 0 and sum to 1; a sum within 1e-3 of it is taken for rounding, and mended.  Log-linear
    ones are exponents: at least 0, and not all of them 0.  CorpusError otherwise.
    """
    if kind not in KINDS:
        raise CorpusError(f"mixture of kind {kind}: one of {', '.join(KINDS)}")
    if weights is None:
        return np.full(n_models, 1.0 / n_models)
    values = np.asarray(weights, np.float64).reshape(-1)
    if values.size != n_models:
        times = "once" if values.size == 1 else f"{values.size} times"
        raise CorpusError(f"`weights` given {times} for {n_models} model{'s' * (n_models > 1)}")
    for value in values.tolist():
        if not 0 <= value <= LARGEST_WEIGHT:
            raise CorpusError(f"weight {value:g}: a number from 0 to {LARGEST_WEIGHT:g} is needed")
    total = float(values.sum())
    if kind == "log-linear":
        if total == 0:
            raise CorpusError("all weights are 0; a log-linear mixture needs one above 0")
        return values
    if abs(total - 1) > CLOSE_TO_ONE:
        raise CorpusError(f"the weights sum to {total:.6g}; those of a linear mixture must sum to 1")
    return values / total


class Mixture(LanguageModel):
    """A mixture of language models, itself one.  Its state is the tuple of theirs.

    ``kind``: "linear" costs no more than its components; entropies, and "log-linear" altogether, need the whole
    distribution of every component at every word, so that they score hundreds or a few thousand words a second.
    Tokens are scored in blocks; whole distributions take some (K + 4) * 4 MiB at a time.
    ``files``: where each component was read from, None for one that is no file; ``tuned``: how the weights were
    found.  Both are only kept for the mixture's own file.
    """

    def __init__(
        self,
        models: Sequence[LanguageModel],
        weights: Sequence[float] | None = None,
        kind: str = "linear",
        *,
        files: Sequence[str | None] | None = None,
        tuned: dict | None = None,
    ):
        """CorpusError for weights that do not fit, and for a component that the kind cannot have."""
        self.models = tuple(models)
        if not self.models:
            raise CorpusError("a mixture of no models")
        self.weights = check_weights(weights, len(self.models), kind)
        self.kind = kind
        self.files = tuple(files) if files is not None else (None,) * len(self.models)
        if len(self.files) != len(self.models):
            raise ValueError(f"{len(self.files)} files for {len(self.models)} models")
        self.tuned = tuned
        if kind == "log-linear":
            self._check_log_linear()
        self.vocab, self._ids_of = union_vocab([lm.vocab for lm in self.models])

    def _check_log_linear(self) -> None:
        for lm in self.models:
            if isinstance(lm, CacheLM):
                raise CorpusError(
                    "a cache gives most words probability 0, and so would a log-linear mixture with it; "
                    "mix the cache linearly with the mixture"
                )
            if not lm.has_distributions:
                raise CorpusError("a log-linear mixture needs whole distributions, which a file of probabilities lacks")

    # ---- what commands ask of any model

    @property
    def tokenizer(self) -> str:
        """The components' one; CorpusError where they were trained with different ones."""
        specs = tokenizers_of(self.models)
        if len(specs) > 1:
            found = ", ".join(specs)
            raise CorpusError(f"the models of the mixture were trained with different tokenizers ({found})")
        return specs[0]

    @property
    def threads(self) -> int:
        """The most that a component may use; above 1 components also score side by side.  Setting it sets theirs."""
        return max(lm.threads for lm in self.models)

    @threads.setter
    def threads(self, n: int) -> None:
        for lm in self.models:
            lm.threads = n

    def warm_up(self) -> None:
        """Compile what scoring needs, or load it, so that a clock can be started afterwards."""
        for lm in self.models:
            lm.warm_up()

    def check_text(self, stream: TokenStream) -> None:
        """Raise FormatError where a component is a file of probabilities of another text."""
        for lm in self.models:
            lm.check_text(stream)

    def with_weights(self, weights: Sequence[float], tuned: dict | None = None) -> Mixture:
        """The same components with other weights, and how these were found."""
        other = copy.copy(self)
        other.weights, other.tuned = check_weights(weights, len(self.models), self.kind), tuned
        return other

    @cached_property
    def has_distributions(self) -> bool:
        return all(lm.has_distributions for lm in self.models)

    # ---- scores and distributions

    def start(self) -> tuple:
        """The states of all components before a text."""
        return tuple(lm.start() for lm in self.models)

    def score_ids(self, ids: np.ndarray, state: tuple, *, entropy: bool = False) -> tuple[Scored, tuple]:
        """Score ids (n,) int32 of the union vocabulary, -1 for a word outside it; also the state after them.

        ``Scored.order`` (n, G): a column for each n-gram model among the components, those of inner mixtures
        included.  Entropies are None where a component is a file of probabilities.
        """
        ids = np.asarray(ids, np.int32)
        if self.kind == "log-linear" or (entropy and self.has_distributions):
            return self._score_by_distributions(ids, state, entropy)
        scored, state = self.score_components(ids, state)
        return Scored(*_linear(scored, self.weights), None, _orders(scored)), state

    def score_sentences(self, ids: np.ndarray, state: tuple) -> Scored:
        """As ``score_ids``, of whole sentences, each ended by ``</s>`` (id 0); every one begins at ``state``."""
        ids = np.asarray(ids, np.int32)
        if self.kind == "log-linear":
            return super().score_sentences(ids, state)
        parts = zip(self.models, state, strict=True)
        scored = [lm.score_sentences(self._component_ids(i, ids), s) for i, (lm, s) in enumerate(parts)]
        return Scored(*_linear(scored, self.weights), None, _orders(scored))

    def distribution(self, state: tuple) -> np.ndarray:
        """Probabilities (V,) float64 of the next word; they sum to one."""
        found = [np.asarray(lm.distribution(s), np.float64)[None] for lm, s in zip(self.models, state, strict=True)]
        return self._mixed(found)[0]

    def distributions(self, ids: np.ndarray, state: tuple) -> np.ndarray:
        """(n, V) float64: ``distribution`` before each of ids (n,), which are read one after another from ``state``."""
        return self.score_with_distributions(ids, state)[1]

    def score_with_distributions(self, ids: np.ndarray, state: tuple) -> tuple[Scored, np.ndarray, tuple]:
        """The scores of ids (n,), the distribution (n, V) float64 before each, and the state after them."""
        ids = np.asarray(ids, np.int32)
        distributions, scores = np.empty((ids.size, len(self.vocab))), []
        for part, scored, p, after in self._parts(ids, state):
            distributions[part] = p
            scores.append(scored)
            state = after
        return Scored.joined(scores), distributions, state

    # ---- how

    def score_components(self, ids: np.ndarray, state: tuple) -> tuple[list[Scored], tuple]:
        """What each component says of ids of the union vocabulary, and the state after them."""
        jobs = [
            (lm.score_ids, self._component_ids(i, ids), s)
            for i, (lm, s) in enumerate(zip(self.models, state, strict=True))
        ]
        if self.threads > 1 and len(jobs) > 1 and ids.size >= _WORTH_THREADS:
            with ThreadPoolExecutor(self.threads) as pool:
                results = [future.result() for future in [pool.submit(*job) for job in jobs]]
        else:
            results = [score(own_ids, s) for score, own_ids, s in jobs]
        return [scored for scored, _ in results], tuple(after for _, after in results)

    def _component_ids(self, i: int, ids: np.ndarray) -> np.ndarray:
        return ids if self._ids_of[i] is None else self._ids_of[i][ids]

    def _score_by_distributions(self, ids: np.ndarray, state: tuple, entropy: bool) -> tuple[Scored, tuple]:
        scores, bits = [], []
        for _, scored, p, after in self._parts(ids, state):
            scores.append(scored)
            bits.append(entropy_bits(p) if entropy else None)
            state = after
        return replace(Scored.joined(scores), entropy_bits=np.concatenate(bits) if entropy else None), state

    def _parts(self, ids: np.ndarray, state: tuple) -> Iterator[tuple[slice, Scored, np.ndarray, tuple]]:
        """For one part of ids after another: its slice, its scores, P (m, V), and the state after it.

        Without ids: one empty part.
        """
        rows = max(1, _CELLS // max(len(lm.vocab) for lm in (self, *self.models)))
        for start in range(0, max(ids.size, 1), rows):
            part = slice(start, min(start + rows, ids.size))
            found = [
                lm.score_with_distributions(self._component_ids(i, ids[part]), s)
                for i, (lm, s) in enumerate(zip(self.models, state, strict=True))
            ]
            state = tuple(after for _, _, after in found)
            scored, p = [scored for scored, _, _ in found], self._mixed([p for _, p, _ in found])
            # linear: to the last digit what is said without distributions
            log10_prob, oov = _linear(scored, self.weights)
            if self.kind == "log-linear":
                log10_prob = self._chosen(p, ids[part])
            yield part, Scored(log10_prob, oov, None, _orders(scored)), p, state

    def _chosen(self, p: np.ndarray, ids: np.ndarray) -> np.ndarray:
        """(m,): log10 of the element of each row of p (m, V) with its id; of <unk>, or -inf, for -1."""
        ids = self.vocab.with_unk(ids)
        return np.where(ids < 0, -np.inf, libm.log10(p[np.arange(ids.size), ids]))

    def _mixed(self, found: list[np.ndarray]) -> np.ndarray:
        """(m, V): the mixture of the components' distributions (m, V_i)."""
        combine = _sum_into if self.kind == "linear" else _log_product_into
        total = np.zeros((found[0].shape[0], len(self.vocab)))
        for lm, weight, own_ids, p in zip(self.models, self.weights.tolist(), self._ids_of, found, strict=True):
            if weight > 0:
                combine(total, weight, p, own_ids, lm.vocab.unk_id)
        if self.kind == "log-linear":
            if np.isneginf(total.max(1)).any():
                raise CorpusError("log-linear mixture: no word has a probability above 0 in all of its components")
            softmax(total)
        return total


def assemble(
    models: Sequence[LanguageModel],
    weights: Sequence[float] | None = None,
    kind: str = "linear",
    *,
    files: Sequence[str | None] | None = None,
    cache_size: int | None = None,
    cache_decay: float | None = None,
    cache_weight: float | None = None,
    neural_cache: int | None = None,
    neural_theta: float | None = None,
    neural_weight: float | None = None,
) -> Mixture:
    """A mixture of models and, where a size or a decay is given, a cache: (1 - weight) mixture + weight cache.

    That is SRILM's ``-cache size -cache-lambda cache_weight``.  With ``neural_cache``, a size, there is one over the
    states of the first recurrent network (``rnnlm.mixtures.neural_cache``), too.  A cache is one more component of a
    linear mixture, the last one; it is mixed linearly with a log-linear one.  CorpusError as ``Mixture`` and
    ``CacheLM``.
    """
    mixture = Mixture(models, weights, kind, files=files)
    if neural_cache is not None:
        mixture = _with_neural_cache(mixture, neural_cache, neural_theta, neural_weight)
    if cache_size is None and cache_decay is None:
        if cache_weight is not None:
            raise CorpusError("`cache_weight` without a cache: give `cache` or `cache_decay` too")
        return mixture
    share = CACHE_WEIGHT if cache_weight is None else cache_weight
    if not 0 <= share <= 1:
        raise CorpusError(f"`cache_weight` {share:g}: a number from 0 to 1 is needed")
    cache = CacheLM(mixture.vocab, cache_size, cache_decay)
    if kind == "log-linear":
        return Mixture([mixture, cache], [1 - share, share])
    return Mixture([*mixture.models, cache], [*(mixture.weights * (1 - share)), share], files=[*mixture.files, None])


def _with_neural_cache(mixture: Mixture, size: int, theta: float | None, weight: float | None) -> Mixture:
    """The mixture with a neural cache over its first recurrent network, as one more component."""
    from rnnlm.mixtures.neural_cache import THETA, NeuralCacheLM

    share = CACHE_WEIGHT if weight is None else weight
    if not 0 <= share <= 1:
        raise CorpusError(f"`neural_cache_weight` {share:g}: a number from 0 to 1 is needed")
    networks = [i for i, lm in enumerate(mixture.models) if lm.network is not None]
    if not networks:
        raise CorpusError("`neural_cache`: none of the models is a recurrent network")
    at = networks[0]
    static = mixture.models[at].network  # of one that learns meanwhile: the states that it had before
    cache = NeuralCacheLM(static, size, THETA if theta is None else theta, mixture.files[at])
    if mixture.kind == "log-linear":
        return Mixture([mixture, cache], [1 - share, share])
    return Mixture([*mixture.models, cache], [*(mixture.weights * (1 - share)), share], files=[*mixture.files, None])


def union_vocab(vocabs: list[Vocab]) -> tuple[Vocab, list[np.ndarray | None]]:
    """The union vocabulary, and for each one its ids of the union's words (V + 1,), or None where it is the same.

    They are as ``Vocab.translation`` gives them.
    """
    first = vocabs[0]
    if all(vocab is first or vocab == first for vocab in vocabs[1:]):
        return first, [None] * len(vocabs)
    counts = dict(zip(first.words, first.counts.tolist(), strict=True))
    for vocab in vocabs[1:]:
        for word, count in zip(vocab.words, vocab.counts.tolist(), strict=True):
            counts.setdefault(word, count)
    union = Vocab(WordList.of(list(counts)), list(counts.values()))
    same = [vocab == union for vocab in vocabs]
    return union, [None if equal else vocab.translation(union.words) for vocab, equal in zip(vocabs, same, strict=True)]


def _linear(scored: list[Scored], weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """log10_prob (n,) and oov (n,) of a linear mixture: of the components that know a word, or where none does, all."""
    oov = np.logical_and.reduce([s.oov for s in scored])
    terms = [
        np.where(s.oov & ~oov, -np.inf, s.log10_prob * _LN10 + math.log(w))
        for s, w in zip(scored, weights.tolist(), strict=True)
        if w > 0
    ]
    return libm.log_sum_exp(np.array(terms)) / _LN10, oov


def _orders(scored: list[Scored]) -> np.ndarray | None:
    """(n, G): the columns of the components that tell orders."""
    columns = [s.order.reshape(s.order.shape[0], -1) for s in scored if s.order is not None]
    return np.concatenate(columns, axis=1).astype(np.int32) if columns else None


def _sum_into(total: np.ndarray, weight: float, p: np.ndarray, own_ids: np.ndarray | None, unk_id: int) -> None:
    """total (m, V) += weight p; zero for words that the component lacks."""
    if own_ids is None:
        total += weight * p
        return
    known = np.flatnonzero(own_ids[:-1] >= 0)
    total[:, known] += weight * p[:, own_ids[known]]


def _log_product_into(total: np.ndarray, weight: float, p: np.ndarray, own_ids: np.ndarray | None, unk_id: int) -> None:
    """total (m, V) += weight log p; the logarithm of <unk> for words that the component lacks."""
    with np.errstate(divide="ignore"):
        log_p = weight * np.log(p)
    if own_ids is None:
        total += log_p
        return
    own = np.where(own_ids[:-1] < 0, unk_id, own_ids[:-1])  # -1 where there is no <unk> either
    total += np.where(own < 0, -np.inf, log_p[:, own])
