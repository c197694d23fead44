"""Negative sampling example by example, as word2vec.c does it: fresh drawn words for each, updates at once.

The reference for ``shared``.  Skip-gram's input is the context's row, its target the centre; a drawn word that is the
target is left out.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from corpora.compute.jit import exp, kernel, log32, stage
from corpora.compute.simd import aligned_zeros, load, pointer, scalar, store
from w2v.config import TrainConfig
from w2v.objectives.objective import NegativeSampling, shape_of_row
from w2v.rows import add_row, clear_row
from w2v.sampling import addresses_of_shard

_MOST_DRAWN = 1 << 23  # words for a shard


class ExactWork(NamedTuple):
    """The scratch of one thread, each (width,)."""

    gradient: np.ndarray
    hidden: np.ndarray

    @classmethod
    def create(cls, width: int, dtype) -> ExactWork:
        return cls(*aligned_zeros((2, width), dtype))


class Scalars(NamedTuple):
    """The numbers that a shard is learnt with.  ``negative`` drawn words for each example; alpha: as the matrices.

    ``cbow``: the input is the mean of the contexts, else each of them.  divided: see ``shared.Scalars``.
    """

    cbow: bool
    divided: bool
    negative: int
    alpha: float
    width: int


@stage
def addresses_of_work(work):
    """The arrays of an ``ExactWork`` as pointers."""
    return ExactWork(pointer(work.gradient), pointer(work.hidden))


@kernel
def _product(x, x0, z, z0, width):
    total = scalar(x, 0.0)
    for i in range(width):
        total += load(x, x0 + i) * load(z, z0 + i)
    return total


@kernel
def _add_scaled(y, y0, factor, x, x0, width):
    for i in range(width):
        store(y, y0 + i, load(y, y0 + i) + factor * load(x, x0 + i))


@stage
def _learn(x, x0, target, negatives, place, numbers, syn1neg, gradient):
    """One example: updates the rows of the target and of the drawn words; the input's gradient; the loss."""
    one, most, width = scalar(x, 1.0), scalar(x, 30.0), numbers.width
    clear_row(gradient, np.int64(0), width)
    loss = 0.0
    for d in range(numbers.negative + 1):
        word = target if d == 0 else np.int64(load(negatives, place + d - 1))
        if d > 0 and word == target:
            continue
        row = word * width
        product = min(max(_product(x, x0, syn1neg, row, width), -most), most)
        right = one / (one + exp(-product if d == 0 else product))
        loss -= np.float64(log32(np.float32(right)))
        step = numbers.alpha * (one - right)
        if d > 0:
            step = -step
        _add_scaled(gradient, np.int64(0), step, syn1neg, row, width)
        _add_scaled(syn1neg, row, step, x, x0, width)
    return loss


@stage
def _learn_from_the_mean(shard, i, place, numbers, syn0, syn1neg, work):
    """The example of centre i, whose input is the mean of its contexts' rows; the loss."""
    width, zero, one = numbers.width, np.int64(0), scalar(syn0, 1.0)
    a, b = np.int64(load(shard.first, i)), np.int64(load(shard.stop, i))
    centre, share = np.int64(load(shard.kept, i)), one / scalar(syn0, b - a - 1)
    clear_row(work.hidden, zero, width)
    for j in range(a, b):
        if j != i:
            _add_scaled(work.hidden, zero, share, syn0, np.int64(load(shard.kept, j)) * width, width)
    loss = _learn(work.hidden, zero, centre, shard.negatives, place, numbers, syn1neg, work.gradient)
    for j in range(a, b):
        if j != i:
            row = np.int64(load(shard.kept, j)) * width
            _add_scaled(syn0, row, share if numbers.divided else one, work.gradient, zero, width)
    return loss


@kernel
def train_exact(shard, numbers, syn0, syn1neg, work, totals):
    """Train on a shard.  negatives: ``negative`` for each example, in order; of CBOW also for centres without contexts.

    The rest: ``shared.skipgram_shared``, ``shared.cbow_shared``.
    """
    syn0, syn1neg, zero = pointer(syn0), pointer(syn1neg), np.int64(0)
    shard, work = addresses_of_shard(shard), addresses_of_work(work)
    negative, width = numbers.negative, numbers.width
    loss, n_examples, place = 0.0, zero, zero
    for i in range(shard.n):
        centre, a, b = np.int64(load(shard.kept, i)), np.int64(load(shard.first, i)), np.int64(load(shard.stop, i))
        if numbers.cbow:
            if b - a > 1:
                loss += _learn_from_the_mean(shard, i, place, numbers, syn0, syn1neg, work)
                n_examples += 1
            place += negative
            continue
        for j in range(a, b):
            if j != i:
                row = np.int64(load(shard.kept, j)) * width
                loss += _learn(syn0, row, centre, shard.negatives, place, numbers, syn1neg, work.gradient)
                n_examples += 1
                place += negative
                add_row(syn0, row, work.gradient, zero, width)
    totals[0] += loss
    totals[1] += n_examples


# ---- the entry in the registry


class Exact(NegativeSampling):
    """Negative sampling as word2vec.c does it: drawn words for every example."""

    def is_chosen(self, config):
        return config.negative > 0 and config.negatives == "exact"

    def learner(self, config, n_words, tables, threads):
        return _Learner(config)

    def most(self, config):
        examples = 1 if config.architecture == "cbow" else config.mean_contexts
        return max(1, _MOST_DRAWN // (examples * config.negative))

    def n_drawn(self, config, n_words, n, first, stop):
        n_examples = n if config.architecture == "cbow" else int((stop[:n] - first[:n] - 1).sum())
        return n_examples * config.negative

    def drawn_on_average(self, config, n_words, n):
        return int(n * config.negative * (1 if config.architecture == "cbow" else config.mean_contexts))


class _Learner:
    def __init__(self, config: TrainConfig):
        width, dtype = shape_of_row(config)
        self._work = ExactWork.create(width, dtype)
        cbow, divided = config.architecture == "cbow", config.cbow_update == "corrected"
        self._numbers = Scalars(cbow, divided, config.negative, dtype.type(0), width)

    def train(self, sampled, alpha, inputs, syn0, targets, tables, totals):
        train_exact(sampled, self._numbers._replace(alpha=syn0.dtype.type(alpha)), syn0, targets, self._work, totals)
