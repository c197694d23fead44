"""Skip-gram and CBOW with negative sampling; a chunk of centre words shares its drawn words.

Legend: n words of a shard that subsampling has kept, C centres in a chunk, N words drawn for a chunk, ``width`` the
length of a row in memory.

All products of a chunk are taken with the rows as they stand when it begins, and the gradients are added
at its end (docs/equations.md, "Shared negatives").  Each drawn word stands for ``negative`` / N of those that
every example would have by itself.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from corpora.compute.jit import kernel
from corpora.compute.simd import aligned_zeros, lanes_of, load, pointer, scalar, store
from w2v.objectives.losses import log_loss, probabilities
from w2v.rows import (
    TILE,
    TWO,
    WIDE,
    add_part,
    add_row,
    add_to_two,
    ask_for_row,
    paired_products,
    part_of,
    products,
    sum_part,
    two_sums,
)


class Work(NamedTuple):
    """The scratch of one thread.  Lists of rows int64, the others as the matrices."""

    errors: np.ndarray  # (C, N): of the drawn words
    hits: np.ndarray  # of the true pairs
    hidden: np.ndarray  # (C, width): the inputs of CBOW
    gradients: np.ndarray  # (C, width)
    zeros: np.ndarray  # (width,)
    drawn: np.ndarray
    inputs: np.ndarray
    outputs: np.ndarray
    slots: np.ndarray  # of each pair, where it stands in ``partners``
    counts: np.ndarray  # of each position around the chunk: how many partners it has
    partners: np.ndarray  # their rows
    sizes: np.ndarray  # (C,): how many contexts a centre has
    shares: np.ndarray  # and the factors of these

    @classmethod
    def create(cls, chunk: int, n_drawn: int, window: int, width: int, dtype) -> Work:
        """Room for chunks of ``chunk`` centres with ``n_drawn`` words, and windows of ``window`` to each side."""
        span = chunk + 2 * window
        pairs = chunk * (2 * window + 2 * TILE)
        lists = (n_drawn, chunk + 1, max(pairs, span), pairs, span, span * chunk, chunk)
        integers = [np.zeros(size + 16, np.int64) for size in lists]
        reals = [aligned_zeros((size + 16,), dtype) for size in (chunk * n_drawn, pairs)]
        matrices = [aligned_zeros((rows, width), dtype) for rows in (chunk, chunk, 1)]
        return cls(*reals, *matrices, *integers, aligned_zeros((max(span * chunk, 2 * window) + 16,), dtype))


@kernel
def skipgram_shared(
    kept, first, stop, n, window, negatives, n_drawn, chunk, negative, alpha, syn0, syn1neg, width, work, totals
):
    """Train on a shard.  Mikolov et al. (2013b), eq. 4; the centre's row is the input, its contexts are the targets.

    kept, first, stop int32: ``sample_windows``; kept goes on with zeros for ``window`` more.  negatives (chunks + 1, N)
    int32, N a multiple of TILE.  negative, alpha: as syn0.  syn0, syn1neg: flat, updated.  To totals (2,) float64
    the loss and the number of pairs are added.
    """
    syn0, syn1neg = pointer(syn0), pointer(syn1neg)
    errors, hits, gradients = pointer(work.errors), pointer(work.hits), pointer(work.gradients)
    drawn, inputs, outputs = pointer(work.drawn), pointer(work.inputs), pointer(work.outputs)
    slots, counts, partners = pointer(work.slots), pointer(work.counts), pointer(work.partners)
    shares, kept, first, stop, negatives = (
        pointer(work.shares), pointer(kept), pointer(first), pointer(stop), pointer(negatives)
    )  # fmt: skip
    zeros, one = pointer(work.zeros), scalar(errors, 1.0)
    weight = negative / scalar(errors, n_drawn)
    zero, lanes = np.int64(0), lanes_of(errors)
    loss, n_examples = 0.0, zero
    for begin in range(zero, n, chunk):
        end = min(n, begin + chunk)
        here = begin // chunk * n_drawn
        for k in range(n_drawn):
            store(drawn, k, np.int64(load(negatives, here + k)) * width)
            ask_for_row(syn1neg, np.int64(load(negatives, here + n_drawn + k)) * width, width)
        for j in range(end, min(n, end + chunk)):
            ask_for_row(syn0, np.int64(load(kept, j)) * width, width)
            ask_for_row(syn1neg, np.int64(load(kept, j + window)) * width, width)
        # ---- products: of each centre with its contexts, and with the drawn words
        n_pairs = zero
        window_start, window_end = np.int64(load(first, begin)), np.int64(load(stop, begin))
        for i in range(begin, end):
            window_start = min(window_start, np.int64(load(first, i)))
            window_end = max(window_end, np.int64(load(stop, i)))
        for j in range(window_end - window_start):
            store(counts, j, zero)
        for i in range(begin, end):
            c = i - begin
            row = np.int64(load(kept, i)) * width
            store(inputs, c, row)
            start = n_pairs
            for j in range(np.int64(load(first, i)), np.int64(load(stop, i))):
                if j != i:
                    store(outputs, n_pairs, np.int64(load(kept, j)) * width)
                    place = j - window_start
                    count = load(counts, place)
                    store(counts, place, count + 1)
                    store(partners, place * chunk + count, row)
                    store(slots, n_pairs, place * chunk + count)
                    n_pairs += 1
            whole = (n_pairs - start + TILE - 1) // TILE * TILE
            for k in range(n_pairs, start + whole):
                store(outputs, k, row)  # any row will do
            products(syn0, inputs, c, 1, syn1neg, outputs, start, whole, width, hits, start, whole)
        products(syn0, inputs, zero, end - begin, syn1neg, drawn, zero, n_drawn, width, errors, zero, n_drawn)
        probabilities(hits, zero, n_pairs, 1.0)
        probabilities(errors, zero, (end - begin) * n_drawn, -1.0)
        # ---- loss and errors
        loss += log_loss(hits, zero, n_pairs)
        start = zero
        for i in range(begin, end):
            c = i - begin
            n_contexts = np.int64(load(stop, i)) - np.int64(load(first, i)) - 1
            factor = weight * scalar(errors, n_contexts)
            loss += np.float64(factor) * log_loss(errors, c * n_drawn, n_drawn)
            step = alpha * factor
            for k in range(c * n_drawn, (c + 1) * n_drawn):
                store(errors, k, step * (load(errors, k) - one))
            for k in range(start, start + n_contexts):
                share = alpha * (one - load(hits, k))
                store(hits, k, share)
                store(shares, load(slots, k), share)
            start += n_contexts
        n_examples += n_pairs
        # ---- a part of the columns after the other: gradients of the inputs, before any row changes; then drawn words
        left, column = width // lanes, zero
        while left > 0:
            size = np.int64(TWO) if left > WIDE else left
            start = zero
            for i in range(begin, end):
                n_contexts = np.int64(load(stop, i)) - np.int64(load(first, i)) - 1
                y = (i - begin) * width
                sum_part(gradients, y, zeros, zero, hits, start, 1, syn1neg, outputs, start, n_contexts, column, size)
                start += n_contexts
            if left > WIDE:
                for c in range(0, end - begin, 2):
                    other = min(c + 1, end - begin - 1)
                    y, y1 = c * width, other * width
                    two_sums(
                        gradients, y, y1, gradients, y, y1, one, one, errors, c * n_drawn, other * n_drawn, 1,
                        syn1neg, drawn, zero, n_drawn, column,
                    )  # fmt: skip
                for k in range(0, n_drawn, 2):
                    y, y1 = load(drawn, k), load(drawn, k + 1)
                    add_to_two(
                        syn1neg, y, y1, errors, k, k + 1, n_drawn, syn0, inputs, zero, end - begin, column
                    )  # fmt: skip
            else:
                for c in range(end - begin):
                    y = c * width
                    add_part(gradients, y, errors, c * n_drawn, 1, syn1neg, drawn, zero, n_drawn, column, size)
                for k in range(n_drawn):
                    y = load(drawn, k)
                    add_part(syn1neg, y, errors, k, n_drawn, syn0, inputs, zero, end - begin, column, size)
            column += size * lanes
            left -= size
        # ---- the rows of the contexts and of the inputs
        left, column = width // lanes, zero
        while left > 0:
            size = part_of(left)
            for j in range(window_end - window_start):
                y = np.int64(load(kept, window_start + j)) * width
                add_part(syn1neg, y, shares, j * chunk, 1, syn0, partners, j * chunk, load(counts, j), column, size)
            for c in range(end - begin):
                add_row(syn0, load(inputs, c) + column, gradients, c * width + column, size * lanes)
            column += size * lanes
            left -= size
    totals[0] += loss
    totals[1] += n_examples


@kernel
def cbow_shared(
    kept, first, stop, n, window, negatives, n_drawn, chunk, negative, alpha, divided, syn0, syn1neg, width, work,
    totals,
):  # fmt: skip
    """As ``skipgram_shared``, where the input is the mean of the contexts' rows and the centre is the target.

    divided: the gradient of the mean goes to its rows divided by their number, as the derivative has it, and not whole
    to each of them, as in word2vec.c.  Centres without contexts are left out.  totals: the number of centres is added.
    """
    syn0, syn1neg = pointer(syn0), pointer(syn1neg)
    errors, hits, gradients, hidden = (
        pointer(work.errors), pointer(work.hits), pointer(work.gradients), pointer(work.hidden)
    )  # fmt: skip
    drawn, inputs, outputs = pointer(work.drawn), pointer(work.inputs), pointer(work.outputs)
    contexts, counts, partners, sizes = (
        pointer(work.slots), pointer(work.counts), pointer(work.partners), pointer(work.sizes)
    )  # fmt: skip
    shares, kept, first, stop, negatives = (
        pointer(work.shares), pointer(kept), pointer(first), pointer(stop), pointer(negatives)
    )  # fmt: skip
    zeros, one = pointer(work.zeros), scalar(errors, 1.0)
    weight = negative / scalar(errors, n_drawn)
    zero, lanes = np.int64(0), lanes_of(errors)
    loss, n_examples = 0.0, zero
    for begin in range(zero, n, chunk):
        end = min(n, begin + chunk)
        here = begin // chunk * n_drawn
        for k in range(n_drawn):
            store(drawn, k, np.int64(load(negatives, here + k)) * width)
            ask_for_row(syn1neg, np.int64(load(negatives, here + n_drawn + k)) * width, width)
        for j in range(end, min(n, end + chunk)):
            ask_for_row(syn1neg, np.int64(load(kept, j)) * width, width)
            ask_for_row(syn0, np.int64(load(kept, j + window)) * width, width)
        window_start, window_end = np.int64(load(first, begin)), np.int64(load(stop, begin))
        for i in range(begin, end):
            window_start = min(window_start, np.int64(load(first, i)))
            window_end = max(window_end, np.int64(load(stop, i)))
        for j in range(window_end - window_start):
            store(counts, j, zero)
        # ---- the means
        size = zero
        for i in range(begin, end):
            a, b = np.int64(load(first, i)), np.int64(load(stop, i))
            n_contexts = b - a - 1
            if n_contexts == 0:
                continue
            share = one / scalar(errors, n_contexts)
            found = size * 2 * window
            for j in range(a, b):
                if j != i:
                    store(contexts, found, np.int64(load(kept, j)) * width)
                    found += 1
                    place = j - window_start
                    count = load(counts, place)
                    store(counts, place, count + 1)
                    store(partners, place * chunk + count, size * width)
                    store(shares, place * chunk + count, share if divided else one)
            store(hits, size, share)
            store(sizes, size, n_contexts)
            store(inputs, size, size * width)
            store(outputs, size, np.int64(load(kept, i)) * width)
            size += 1
        left, column = width // lanes, zero
        while left > 0:
            part = part_of(left)
            for c in range(size):
                n_contexts, y = load(sizes, c), c * width
                sum_part(
                    hidden, y, zeros, zero, hits, c, 0, syn0, contexts, c * 2 * window, n_contexts, column, part
                )  # fmt: skip
            column += part * lanes
            left -= part
        # ---- products, loss and errors
        for c in range(size, size + TILE):
            store(inputs, c, zero)
            store(outputs, c, zero)
        paired_products(hidden, inputs, zero, syn1neg, outputs, zero, size, width, hits, zero)
        products(hidden, inputs, zero, size, syn1neg, drawn, zero, n_drawn, width, errors, zero, n_drawn)
        probabilities(hits, zero, size, 1.0)
        probabilities(errors, zero, size * n_drawn, -1.0)
        loss += log_loss(hits, zero, size) + np.float64(weight) * log_loss(errors, zero, size * n_drawn)
        n_examples += size
        step = alpha * weight
        for k in range(size * n_drawn):
            store(errors, k, step * (load(errors, k) - one))
        for c in range(size):
            store(hits, c, alpha * (one - load(hits, c)))
        # ---- a part of the columns after the other: gradients of the means, before any row changes; then drawn words
        left, column = width // lanes, zero
        while left > 0:
            part = np.int64(TWO) if left > WIDE else left
            if left > WIDE:
                for c in range(0, size, 2):
                    other = min(c + 1, size - 1)
                    two_sums(
                        gradients, c * width, other * width, syn1neg, load(outputs, c), load(outputs, other),
                        load(hits, c), load(hits, other), errors, c * n_drawn, other * n_drawn, 1,
                        syn1neg, drawn, zero, n_drawn, column,
                    )  # fmt: skip
                for k in range(0, n_drawn, 2):
                    y, y1 = load(drawn, k), load(drawn, k + 1)
                    add_to_two(syn1neg, y, y1, errors, k, k + 1, n_drawn, hidden, inputs, zero, size, column)
            else:
                for c in range(size):
                    y = c * width
                    sum_part(
                        gradients, y, zeros, zero, errors, c * n_drawn, 1, syn1neg, drawn, zero, n_drawn, column, part
                    )  # fmt: skip
                    add_part(gradients, y, hits, c, 1, syn1neg, outputs, c, 1, column, part)
                for k in range(n_drawn):
                    add_part(syn1neg, load(drawn, k), errors, k, n_drawn, hidden, inputs, zero, size, column, part)
            column += part * lanes
            left -= part
        # ---- the rows of the centres and of the contexts
        left, column = width // lanes, zero
        while left > 0:
            part = part_of(left)
            for c in range(size):
                add_part(syn1neg, load(outputs, c), hits, c, 1, hidden, inputs, c, 1, column, part)
            for j in range(window_end - window_start):
                y = np.int64(load(kept, window_start + j)) * width
                add_part(syn0, y, shares, j * chunk, 1, gradients, partners, j * chunk, load(counts, j), column, part)
            column += part * lanes
            left -= part
    totals[0] += loss
    totals[1] += n_examples
