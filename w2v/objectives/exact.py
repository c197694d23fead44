"""Negative sampling example by example, as word2vec.c does it: fresh drawn words for each, updates at once.

The reference for ``shared``.  Skip-gram's input is the context's row, its target the centre; a drawn word that is the
target is left out.
"""

from __future__ import annotations

import numpy as np

from corpora.compute.jit import exp, kernel, log32
from corpora.compute.simd import load, pointer, scalar, store
from w2v.rows import add_row, clear_row


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


@kernel
def _learn(x, x0, target, negatives, place, negative, alpha, syn1neg, width, gradient):
    """One example: updates the rows of the target and of the drawn words; the input's gradient; the loss."""
    one, most = scalar(x, 1.0), scalar(x, 30.0)
    clear_row(gradient, np.int64(0), width)
    loss = 0.0
    for d in range(negative + 1):
        word = target if d == 0 else np.int64(load(negatives, place + d - 1))
        if d > 0 and word == target:
            continue
        row = word * width
        product = min(max(_product(x, x0, syn1neg, row, width), -most), most)
        right = one / (one + exp(-product if d == 0 else product))
        loss -= np.float64(log32(np.float32(right)))
        step = alpha * (one - right)
        if d > 0:
            step = -step
        _add_scaled(gradient, np.int64(0), step, syn1neg, row, width)
        _add_scaled(syn1neg, row, step, x, x0, width)
    return loss


@kernel
def train_exact(
    kept, first, stop, n, cbow, divided, negatives, negative, alpha, syn0, syn1neg, width, gradient, hidden, totals
):
    """Train on a shard.  negatives: ``negative`` for each example, in order; of CBOW also for centres without contexts.

    gradient, hidden (>= width,): scratch.  The rest: ``shared.skipgram_shared``, ``shared.cbow_shared``.
    """
    syn0, syn1neg, gradient, hidden = pointer(syn0), pointer(syn1neg), pointer(gradient), pointer(hidden)
    kept, first, stop, negatives = pointer(kept), pointer(first), pointer(stop), pointer(negatives)
    one, zero = scalar(syn0, 1.0), np.int64(0)
    loss, n_examples, place = 0.0, zero, zero
    for i in range(n):
        centre, a, b = np.int64(load(kept, i)), np.int64(load(first, i)), np.int64(load(stop, i))
        if cbow:
            if b - a > 1:
                share = one / scalar(syn0, b - a - 1)
                clear_row(hidden, zero, width)
                for j in range(a, b):
                    if j != i:
                        _add_scaled(hidden, zero, share, syn0, np.int64(load(kept, j)) * width, width)
                loss += _learn(
                    hidden, zero, centre, negatives, place, negative, alpha, syn1neg, width, gradient
                )  # fmt: skip
                n_examples += 1
                for j in range(a, b):
                    if j != i:
                        row = np.int64(load(kept, j)) * width
                        _add_scaled(syn0, row, share if divided else one, gradient, zero, width)
            place += negative
        else:
            for j in range(a, b):
                if j != i:
                    row = np.int64(load(kept, j)) * width
                    loss += _learn(
                        syn0, row, centre, negatives, place, negative, alpha, syn1neg, width, gradient
                    )  # fmt: skip
                    n_examples += 1
                    place += negative
                    add_row(syn0, row, gradient, zero, width)
    totals[0] += loss
    totals[1] += n_examples
