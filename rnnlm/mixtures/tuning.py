"""Mixture weights from a text: expectation maximisation, step by step as SRILM's ``compute-best-mix`` goes.

Legend: K components, n words.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from corpora.compute import libm
from corpora.errors import CorpusError
from corpora.evaluation.perplexity import BLOCK, blocks, check_policy
from rnnlm.mixtures.mixture import Mixture, check_weights

if TYPE_CHECKING:
    from corpora.text.stream import TokenStream

PRECISION = 1e-3  # compute-best-mix's: it ends when no weight changes by more
MAX_ITERATIONS = 10_000
_ROWS = 1 << 16


@dataclass(frozen=True)
class Fit:
    """Weights (K,) that were fitted to ``words`` words, and their perplexity there.

    ``history``: at each iteration the weights (K,) that it began with, and their perplexity.
    """

    weights: np.ndarray
    perplexity: float
    words: int
    history: list[tuple[np.ndarray, float]] = field(repr=False)
    precision: float = PRECISION

    def as_dict(self) -> dict:
        """What a mixture's file keeps of it."""
        return {
            "words": self.words,
            "perplexity": self.perplexity,
            "iterations": len(self.history),
            "precision": self.precision,
        }


def default_start(n_models: int) -> np.ndarray:
    """(K,): compute-best-mix begins with 0.5 for the first model, and the others share the rest."""
    if n_models == 1:
        return np.ones(1)
    return np.array([0.5] + [0.5 / (n_models - 1)] * (n_models - 1))


def fit_weights(
    log10_probs: np.ndarray,
    start: Sequence[float] | None = None,
    *,
    precision: float = PRECISION,
    max_iterations: int = MAX_ITERATIONS,
) -> Fit:
    """The weights that make a text likeliest, from the log10 probabilities (n, K) of its words under K models.

    Every iteration sets each weight to the mean share of its model in the words' probabilities.  It ends when no
    weight changes by ``precision`` or more; with the default one the result is compute-best-mix's to the last digit,
    which can be some way from the maximum: EM is slow where weights go to 0.
    Words that no model allows (all -inf) are left out.  A weight that starts at 0 stays there.
    ``log10_probs`` is not changed; one array of its size is made.  CorpusError for NaN, for start weights that do not
    fit, and for no words at all.
    """
    log10_probs = np.asarray(log10_probs)
    if log10_probs.ndim != 2 or not log10_probs.shape[1]:
        raise ValueError(f"log10 probabilities of shape {log10_probs.shape}, where (words, models) is needed")
    if not precision > 0:
        raise CorpusError(f"`precision` {precision:g}: a number above 0 is needed")
    n_models = log10_probs.shape[1]
    weights = default_start(n_models) if start is None else check_weights(start, n_models)
    probabilities, shift = _scaled(log10_probs)
    if not len(probabilities):
        raise CorpusError("there is no word that a model knows: nothing to fit weights to")
    history: list[tuple[np.ndarray, float]] = []
    while True:
        posteriors, perplexity = _step(probabilities, weights, shift)
        if (history and np.abs(weights - history[-1][0]).max() < precision) or len(history) >= max_iterations:
            return Fit(weights, perplexity, len(probabilities), history, precision)
        history.append((weights, perplexity))
        weights = posteriors / posteriors.sum()


def _scaled(log10_probs: np.ndarray) -> tuple[np.ndarray, float]:
    """Probabilities (m, K) of the words that are possible, divided by the row's largest; the sum of its logarithms."""
    probabilities, shifts, n = np.empty(log10_probs.shape), [], 0
    for k in range(0, len(log10_probs), _ROWS):
        rows = np.asarray(log10_probs[k : k + _ROWS], np.float64)
        top = rows.max(1)
        if np.isnan(top).any():
            word = k + int(np.isnan(top).argmax()) + 1
            raise CorpusError(f"word {word} of the text: the probability under a model is not a number")
        possible = np.isfinite(top)
        rows, top = rows[possible], top[possible]
        probabilities[n : n + len(rows)] = libm.power10(rows - top[:, None])
        shifts.append(float(top.sum()) * math.log(10))
        n += len(rows)
    return probabilities[:n], math.fsum(shifts)


def _step(probabilities: np.ndarray, weights: np.ndarray, shift: float) -> tuple[np.ndarray, float]:
    """The sums of posteriors (K,) under the weights, and the weights' perplexity."""
    from rnnlm.mixtures.em import em_step

    sums = np.empty(weights.size)
    log_likelihood = em_step(probabilities, weights, np.empty(weights.size), sums) + shift
    if not math.isfinite(log_likelihood):
        raise CorpusError("the start weights give probability 0 to a word that a model with weight 0 allows")
    return sums, math.exp(-log_likelihood / len(probabilities))


def srilm_best_mix(fit: Fit) -> bytes:
    """What SRILM's ``compute-best-mix`` prints for the same."""
    lines = [
        f"iteration {number}, lambda = {_tuple(weights)}, ppl = {perplexity:.6g}\n"
        for number, (weights, perplexity) in enumerate(fit.history, 1)
    ]
    sums = np.cumsum(fit.weights)
    pairwise = np.divide(fit.weights, sums, out=np.zeros_like(sums), where=sums > 0)
    lines.append(f"{fit.words} non-oov words, best lambda {_tuple(fit.weights)}\n")
    lines.append(f"pairwise cumulative lambda {_tuple(pairwise)}\n")
    return "".join(lines).encode()


def _tuple(weights: np.ndarray) -> str:
    return "(" + " ".join(f"{weight:.6g}" for weight in weights.tolist()) + ")"


def component_scores(
    mixture: Mixture,
    stream: TokenStream,
    *,
    oov: str = "skip",
    on_block: Callable[[int], object] | None = None,
    block_size: int = BLOCK,
) -> np.ndarray:
    """log10 probabilities (n, K) of the words of a text that count, under each component: what ``fit_weights`` takes.

    ``oov`` "unk": words that no component knows count as ``<unk>``; otherwise they do not count.  ``on_block`` gets
    the number of tokens of each block.  Takes 8 K bytes per token.
    """
    check_policy(mixture, oov)
    mixture.check_text(stream)
    own_ids = mixture.vocab.translation(stream.vocab.words)
    scores, n, state = np.empty((stream.n_tokens, len(mixture.models))), 0, mixture.start()
    for ids, _ in blocks(stream.ids, block_size):
        scored, state = mixture.score_components(own_ids[ids], state)
        unknown = np.logical_and.reduce([s.oov for s in scored])
        counted = np.ones(ids.size, bool) if oov == "unk" else ~unknown
        m = int(np.count_nonzero(counted))
        for k, s in enumerate(scored):
            # a component that lacks a word which another has gives it nothing, as in the mixture
            scores[n : n + m, k] = np.where(s.oov & ~unknown, -np.inf, s.log10_prob)[counted]
        n += m
        if on_block is not None:
            on_block(ids.size)
    return scores[:n]


def round_to_seven_digits(values: np.ndarray) -> None:
    """Round what is finite in values (n, K), in place, as printing it with %.7g would."""
    for k in range(0, len(values), _ROWS):
        rows = values[k : k + _ROWS]
        rounded = np.isfinite(rows) & (rows != 0)
        x = rows[rounded]
        scale = libm.power10(6 - np.floor(libm.log10(np.abs(x))))
        rows[rounded] = np.rint(x * scale) / scale


def tune(
    mixture: Mixture,
    stream: TokenStream,
    *,
    oov: str = "skip",
    start: Sequence[float] | None = None,
    precision: float = PRECISION,
    on_block: Callable[[int], object] | None = None,
) -> tuple[Mixture, Fit]:
    """The mixture with the weights that suit a text best, and how they were found.

    The scores count with the seven digits that SRILM prints of them, so that every step is compute-best-mix's.
    CorpusError for a log-linear mixture, whose weights EM does not find.
    """
    if mixture.kind != "linear":
        raise CorpusError("`tune` fits the weights of linear mixtures; give those of a log-linear one by `weights`")
    scores = component_scores(mixture, stream, oov=oov, on_block=on_block)
    round_to_seven_digits(scores)
    fit = fit_weights(scores, start, precision=precision)
    return mixture.with_weights(fit.weights, fit.as_dict()), fit
