"""Skip-gram and CBOW with hierarchical softmax (Morin and Bengio 2005; Mikolov et al. 2013b, eq. 3).

The target is the centre word: a leaf of a Huffman tree, whose path's inner nodes each have a row of syn1.
All products of one centre with the nodes of its path are taken before any row changes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from corpora.compute.jit import kernel
from corpora.compute.simd import aligned_zeros, load, pointer, scalar, store
from w2v.objectives.losses import CERTAIN, log_loss, probabilities
from w2v.rows import TILE, add_row, add_rows, ask_for_row, clear_row, exchange_rows, products, scale, sum_rows

_SHALLOW = 7  # nodes of a path, from the root, that are in the cache anyway
_WHOLE = 64  # probabilities whose logarithms are taken without a loop over what is left
_AHEAD = 2  # centres between a prefetch and its use; its path is asked for as long before
_PATH = 32  # nodes of a path, at least, that are asked for


class HierarchicalWork(NamedTuple):
    """The scratch of one thread: C the most contexts, L the longest path in multiples of TILE."""

    errors: np.ndarray  # (C, L)
    gradients: np.ndarray  # (C, width)
    hidden: np.ndarray  # (width,)
    zeros: np.ndarray  # (width,)
    share: np.ndarray  # a factor
    signs: np.ndarray  # (L,): 1 for a label of 1, -1 for 0; 0 beyond the path
    offsets: np.ndarray  # (L,): 0; beyond the path what makes the probability 1
    steps: np.ndarray  # (L,): signs times the learning rate
    minus_steps: np.ndarray
    inputs: np.ndarray
    nodes: np.ndarray

    @classmethod
    def create(cls, longest: int, window: int, width: int, dtype) -> HierarchicalWork:
        contexts, longest = 2 * window + 1, -(-longest // TILE) * TILE
        errors = aligned_zeros((contexts * longest + _WHOLE,), dtype)
        matrices = (aligned_zeros((rows, width), dtype) for rows in (contexts, 1, 1))
        lists = (np.zeros(size + 16, np.int64) for size in (contexts, longest))
        share, *of_path = (aligned_zeros((size,), dtype) for size in (16, *[longest + 16] * 4))
        return cls(errors, *matrices, share, *of_path, *lists)


@kernel
def train_hierarchical(
    kept, first, stop, n, window, cbow, divided, offsets, points, codes, first_own, own_row, alpha, syn0, syn1, width,
    work, totals,
):  # fmt: skip
    """Train on a shard.  ``cbow``: the input is the mean of the contexts' rows, else each of them is one.

    kept, first, stop (n + window,) int32: ``sample_windows``; kept is 0 beyond n.  offsets, points, codes:
    ``corpora.huffman.HuffmanTree``.  Nodes from first_own on have rows of the thread's own, the first at own_row, in
    elements from the beginning of syn1.  divided: see ``shared.cbow_shared``.  alpha: as syn0.  syn0, syn1: flat,
    updated.  totals (2,) float64: the summed loss and the number of examples are added.
    """
    syn0, syn1 = pointer(syn0), pointer(syn1)
    errors, gradients, hidden, share = (
        pointer(work.errors), pointer(work.gradients), pointer(work.hidden), pointer(work.share)
    )  # fmt: skip
    signs, beyond, steps, minus_steps, inputs, nodes = (
        pointer(work.signs), pointer(work.offsets), pointer(work.steps), pointer(work.minus_steps),
        pointer(work.inputs), pointer(work.nodes),
    )  # fmt: skip
    kept, first, stop = pointer(kept), pointer(first), pointer(stop)
    offsets, points, codes = pointer(offsets), pointer(points), pointer(codes)
    zeros, one, zero = pointer(work.zeros), scalar(errors, 1.0), np.int64(0)
    loss, n_examples = 0.0, zero
    for i in range(n):
        if i + 2 * _AHEAD < n:
            its_path = load(offsets, np.int64(load(kept, i + 2 * _AHEAD)))
            ask_for_row(points, its_path, _PATH)
            ask_for_row(codes, its_path, 1)
        if i + _AHEAD < n:
            later = np.int64(load(kept, i + _AHEAD))
            for k in range(load(offsets, later) + _SHALLOW, load(offsets, later + 1)):
                ask_for_row(syn1, np.int64(load(points, k)) * width, width)
            ask_for_row(syn0, np.int64(load(kept, i + _AHEAD + window)) * width, width)
        n_contexts = zero
        for j in range(np.int64(load(first, i)), np.int64(load(stop, i))):
            if j != i:
                store(inputs, n_contexts, np.int64(load(kept, j)) * width)
                n_contexts += 1
        if n_contexts == 0:
            continue
        word = np.int64(load(kept, i))
        path = load(offsets, word)
        length = load(offsets, word + 1) - path
        whole = (length + TILE - 1) // TILE * TILE
        for k in range(length):
            node = np.int64(load(points, path + k))
            store(nodes, k, node * width if node < first_own else own_row + (node - first_own) * width)
            sign = one if load(codes, path + k) == 0 else -one
            store(signs, k, sign)
            store(beyond, k, scalar(errors, 0.0))
            store(steps, k, alpha * sign)
            store(minus_steps, k, -alpha * sign)
        for k in range(length, whole):
            store(nodes, k, zero)
            store(signs, k, scalar(errors, 0.0))
            store(beyond, k, scalar(errors, CERTAIN))
            store(steps, k, scalar(errors, 0.0))
            store(minus_steps, k, scalar(errors, 0.0))
        n_inputs = n_contexts
        if cbow:
            n_inputs = np.int64(1)
            store(share, zero, one / scalar(errors, n_contexts))
            sum_rows(hidden, zero, zeros, zero, share, zero, 0, syn0, inputs, zero, n_contexts, width)
            # the mean is a matrix of one row, whose list is the last element: 0
            store(nodes, whole, zero)
            products(hidden, nodes, whole, 1, syn1, nodes, zero, whole, width, errors, zero, whole)
        else:
            products(syn0, inputs, zero, n_inputs, syn1, nodes, zero, whole, width, errors, zero, whole)
        # ---- loss and errors
        size = n_inputs * whole
        for start in range(zero, size, whole):
            scale(errors, start, signs, beyond, whole)
        probabilities(errors, zero, size, 1.0)
        padded = (size + _WHOLE - 1) // _WHOLE * _WHOLE
        for k in range(size, padded):
            store(errors, k, one)
        loss += log_loss(errors, zero, padded)
        for start in range(zero, size, whole):
            scale(errors, start, minus_steps, steps, whole)
        n_examples += n_inputs
        if cbow:
            clear_row(gradients, zero, width)
            exchange_rows(gradients, zero, hidden, zero, errors, zero, syn1, nodes, zero, length, width)
            store(share, zero, one / scalar(errors, n_contexts) if divided else one)
            for j in range(n_contexts):
                add_rows(syn0, load(inputs, j), share, zero, 0, gradients, nodes, whole, 1, width)
            continue
        # ---- gradients of the inputs, before any row changes
        for j in range(n_inputs):
            sum_rows(gradients, j * width, zeros, zero, errors, j * whole, 1, syn1, nodes, zero, length, width)
        # ---- updates
        for k in range(length):
            add_rows(syn1, load(nodes, k), errors, k, whole, syn0, inputs, zero, n_inputs, width)
        for j in range(n_contexts):
            add_row(syn0, load(inputs, j), gradients, j * width, width)
    totals[0] += loss
    totals[1] += n_examples
