"""Losses that compare the next word with some words drawn as noise instead of with all: for training only.

K words are drawn once for each block, with replacement, in proportion to count^power (q: the shares); all rows share
them.  c_j is how often word j was drawn; a row leaves its own target out of them.  s_j = O_j . h + o_j.

    sampled  log P~(w) = s_w - log Z~,  Z~ = exp(s_w) + sum over drawn j of c_j / (K q_j) exp(s_j)
             importance sampling of the sum over all words: Z~ is right in the mean.  Bengio & Senecal (2008),
             "Adaptive importance sampling to accelerate training of a neural probabilistic language model"; Jean et
             al. (2015), "On using very large target vocabulary for neural machine translation"
    nce      log f(d_w) + sum over drawn j of c_j log(1 - f(d_j)),  d_j = s_j - log Z - log(K q_j), f logistic
             noise-contrastive estimation: which is the word, which is noise?  Mnih & Teh (2012), "A fast and simple
             algorithm for training neural probabilistic language models"; Z is fixed, as in Chen et al. (2015),
             "Recurrent neural network language model training with noise contrastive estimation"

Legend: n rows, P units below, U different words of the noise.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from corpora.compute.jit import exp, kernel, stage
from corpora.compute.matmul import multiply, multiply_across, panel_width, transpose
from corpora.compute.simd import aligned_zeros, largest, load, pointer, scalar, store
from rnnlm.layers import gather_rows, sum_rows
from rnnlm.updates import Rows

_KINDS = {"sampled": 0, "nce": 1}


class Noise:
    """Words in proportion to a power of their counts: with the seed, block t always has the same ones."""

    def __init__(self, counts: np.ndarray, power: float, n: int, seed: int):
        """counts (V,), those of 0 as if 1: a word that is never drawn would never lose; ``n`` words are drawn."""
        weights = np.maximum(np.asarray(counts, np.float64), 1.0) ** power
        self.shares, self.n, self.seed = weights / weights.sum(), n, seed
        self._ends = np.cumsum(self.shares)

    def draw(self, block: int) -> tuple[np.ndarray, np.ndarray]:
        """(words (U,) int32, ascending; how often each was drawn (U,))."""
        drawn = np.random.default_rng([self.seed, block]).random(self.n) * self._ends[-1]
        words = np.searchsorted(self._ends, drawn, side="right")
        words, counts = np.unique(np.minimum(words, self.shares.size - 1), return_counts=True)
        return words.astype(np.int32), counts


class Drawn(NamedTuple):
    """The noise of a block, U words."""

    ids: np.ndarray  # (U,) int32
    bias: np.ndarray  # (U,) o_j plus what the loss adds to a score: log(c_j / (K q_j)), or -log Z - log(K q_j)
    weights: np.ndarray  # (U,) c_j


class Targets(NamedTuple):
    """The rows' own words."""

    ids: np.ndarray  # (n,) int32, -1: none
    shift: np.ndarray  # (n,) what the loss adds to the score: 0, or -log Z - log(K q_w)
    errors: np.ndarray  # (n,) of the scores


@stage
def importance_errors(S, at, drawn, target, score, scale):
    """Errors of the drawn words instead of their scores; (error of the target, log P~)."""
    n = drawn.ids.size
    for i in range(n):
        s = load(S, at + i) + drawn.bias[i]
        store(S, at + i, scalar(S, -1e30) if drawn.ids[i] == target else s)
    top = max(score, largest(S, at, n))
    own = exp(score - top)
    total = own
    for i in range(n):
        e = exp(load(S, at + i) - top)
        if drawn.ids[i] == target:
            e = scalar(S, 0.0)
        store(S, at + i, e)
        total += e
    factor = -scale / total
    for i in range(n):
        store(S, at + i, load(S, at + i) * factor)
    return scale + own * factor, np.float64(score - top) - math.log(np.float64(total))


@stage
def contrast_errors(S, at, drawn, target, score, scale):
    """Errors of the drawn words instead of their scores; the error of the target."""
    one, limit = scalar(S, 1.0), scalar(S, 80.0)
    for i in range(drawn.ids.size):
        s = min(max(load(S, at + i) + drawn.bias[i], -limit), limit)
        e = -scale * drawn.weights[i] / (one + exp(-s))
        store(S, at + i, scalar(S, 0.0) if drawn.ids[i] == target else e)
    return scale / (one + exp(min(max(score, -limit), limit)))


@kernel
def learn_rows(
    kind, O, bias, hidden, errors, noise, scores, across, drawn, targets, scale, log_z, begin, end, log_prob, room
):
    """Rows begin to end: scores of the noise (U, P) and of their targets, log probabilities, errors of both and below.

    log_prob of ``nce`` is s_w - log Z, which is right as far as the model has learnt to be normalised.
    """
    n_below, width, n, stride = O.shape[1], hidden.shape[1], drawn.ids.size, scores.shape[1]
    S, X, E, M, zero = pointer(scores), pointer(hidden), pointer(errors), pointer(O), np.int64(0)
    part = (begin, end)
    multiply(scores, hidden, noise, n_below, np.int64(1), zero, part, (zero, n), zero, room)
    for r in range(begin, end):
        word, at = np.int64(targets.ids[r]), r * stride
        log_prob[r] = 0.0
        targets.errors[r] = scalar(S, 0.0)
        if word < 0:
            for i in range(at, at + n):
                store(S, i, scalar(S, 0.0))
        else:
            score = load(bias, word)
            for i in range(n_below):
                score += load(M, word * n_below + i) * load(X, r * width + i)
            if kind == 0:
                error, value = importance_errors(S, at, drawn, word, score, scale)
                targets.errors[r], log_prob[r] = error, value
            else:
                targets.errors[r] = contrast_errors(S, at, drawn, word, score + targets.shift[r], scale)
                log_prob[r] = np.float64(score) - log_z
    multiply(errors, scores, noise, n, zero, zero, part, (zero, n_below), zero, room)
    for r in range(begin, end):
        word, d = max(np.int64(targets.ids[r]), zero), targets.errors[r]
        for i in range(n_below):
            store(E, r * width + i, load(E, r * width + i) + d * load(M, word * n_below + i))
    transpose(hidden, part, n_below, across)


@kernel
def scale_rows(hidden, factors, out, out_bias, first, begin, end):
    """out[first + r] = factors[r] hidden[r]; out_bias[first + r] = factors[r], r from begin to end."""
    n, ldx, ldo, X, y = out.shape[1], hidden.shape[1], out.shape[1], pointer(hidden), pointer(out)
    for r in range(begin, end):
        factor = factors[r]
        out_bias[first + r, 0] = factor
        for i in range(n):
            store(y, (first + r) * ldo + i, factor * load(X, r * ldx + i))


class SampledLearner:
    """Learns O and o of a softmax over all words by one of these losses, or from all words: see ``use_all``.

    ``make_full()``: the learner that does that, which takes room for the scores of all words.
    """

    def __init__(self, model, config, n_rows: int, workers, make_full):
        O, self.bias = model.output_weights
        self.O, self.workers, self.make_full = O, workers, make_full
        self.kind, self.log_z = _KINDS[config.loss], config.log_z
        self.noise = Noise(model.vocab.counts, config.noise_power, config.samples, config.seed)
        self.log_expected = np.log(self.noise.n * self.noise.shares)  # of each word, how often it is drawn
        most, dtype, P = min(config.samples, O.shape[0]), O.dtype, O.shape[1]
        self.rows = aligned_zeros((most, P), dtype)
        self.no_bias = np.zeros(P, dtype)
        self.scores, self.across = aligned_zeros((n_rows, most), dtype), aligned_zeros((P, n_rows), dtype)
        self.errors = np.zeros(n_rows, dtype)
        # gradients of the noise, then those of the rows' targets
        self.parts, self.bias_parts = aligned_zeros((most + n_rows, P), dtype), aligned_zeros((most + n_rows, 1), dtype)
        name = "E" if model.config.tied else "O"
        room = most + n_rows * (2 if model.config.tied else 1)  # rows of the embedding's inputs come to it
        self.own = {name: Rows(O, room), "o": Rows(self.bias.reshape(-1, 1), room)}
        self.block, self.full, self.uses_all = 0, None, False

    @property
    def gradients(self):
        return self.full.gradients if self.uses_all else self.own

    def use_all(self, whether: bool) -> None:
        """Learn from all words, as without a loss of this kind, from now on; or not."""
        self.uses_all = whether
        if whether and self.full is None:
            self.full = self.make_full()

    def learn(self, hidden, targets, histories, errors, log_prob, scale) -> None:
        if self.uses_all:
            self.full.learn(hidden, targets, histories, errors, log_prob, scale)
        else:
            self.learn_from(*self.noise.draw(self.block), hidden, targets, errors, log_prob, scale)

    def learn_from(self, words, counts, hidden, targets, errors, log_prob, scale) -> None:
        """Learn with this noise: words (U,) int32 without repetition, drawn ``counts`` (U,) times."""
        O, bias, n, n_noise, n_below = self.O, self.bias, targets.size, words.size, self.O.shape[1]
        real = O.dtype.type
        added = np.log(counts) if self.kind == 0 else np.full(n_noise, -self.log_z)
        shift = np.zeros(n) if self.kind == 0 else -self.log_z - self.log_expected[targets]
        drawn = Drawn(words, (bias[words] + added - self.log_expected[words]).astype(real), counts.astype(real))
        own = Targets(targets, shift.astype(real), self.errors[:n])
        # arrays of other noise have other shapes: rows of the scores keep their length, what lies beyond is not read
        noise, parts, bias_parts = self.rows[:n_noise], self.parts[: n_noise + n], self.bias_parts[: n_noise + n]

        def gather(begin, end, _):
            gather_rows(O, words, self.no_bias, noise, begin, end)

        def rows(begin, end, scratch):
            learn_rows(
                self.kind, O, bias, hidden, errors, noise, self.scores, self.across, drawn, own, scale, self.log_z,
                begin, end, log_prob, scratch.room,
            )  # fmt: skip
            scale_rows(hidden, own.errors, parts, bias_parts, n_noise, begin, end)

        def change(begin, end, scratch):
            multiply_across(parts, self.across, self.scores, n_below, n, 0, (begin, end), scratch.room)
            sum_rows(self.scores, n, begin, 0, bias_parts[begin:end, 0])

        self.workers.share(gather, n_noise)
        self.workers.share(rows, n)
        self.workers.share(change, n_noise, panel_width(O.dtype))
        ids = np.concatenate([words, targets])
        for gradient, values in zip(self.own.values(), (parts, bias_parts), strict=True):
            gradient.merge(self.workers, ids, values)
