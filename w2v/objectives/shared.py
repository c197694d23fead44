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

from corpora.compute.jit import kernel, stage
from corpora.compute.simd import aligned_zeros, lanes_of, load, pointer, scalar, store
from w2v.config import TrainConfig
from w2v.objectives.losses import log_loss, probabilities
from w2v.objectives.objective import NegativeSampling, shape_of_row
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
from w2v.sampling import addresses_of_shard

CHUNK = 32  # centre words that share their drawn words, at most
_CHUNK_WINDOW = 5  # with wider windows a chunk is shorter: it has the more pairs, all of them with the same old rows
_CHUNK_WORDS = 6  # words of the vocabulary there must be for each centre of a chunk, or the same rows come too often
# words that are drawn for a chunk at least: with fewer, analogies lose (bench/RESULTS.md)
DRAWN = {"skipgram": 20, "cbow": 24}


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


class Scalars(NamedTuple):
    """The numbers that a shard is learnt with.  ``n_drawn``: N, a multiple of TILE; ``chunk``: C.

    negative, alpha: as the matrices.  divided: the gradient of a mean of rows goes to them divided by their number, as
    the derivative has it, and not whole to each of them, as in word2vec.c.
    """

    window: int
    n_drawn: int
    chunk: int
    width: int
    negative: float
    alpha: float
    divided: bool


class Chunk(NamedTuple):
    """Centre words ``begin`` to ``end`` of a shard, and the words that their windows lie within."""

    begin: int
    end: int
    window_start: int
    window_end: int


@stage
def addresses_of_work(work):
    """The arrays of a ``Work`` as pointers."""
    return Work(
        pointer(work.errors), pointer(work.hits), pointer(work.hidden), pointer(work.gradients), pointer(work.zeros),
        pointer(work.drawn), pointer(work.inputs), pointer(work.outputs), pointer(work.slots), pointer(work.counts),
        pointer(work.partners), pointer(work.sizes), pointer(work.shares),
    )  # fmt: skip


# ---- stages of both: shards and work by their addresses, matrices flat


@stage
def begin_chunk(shard, begin, numbers, of_centres, of_contexts, syn1neg, work):
    """The chunk that begins here; lists its drawn words, and asks for the rows of the next chunk.

    of_centres, of_contexts: the matrices that have the rows of these.  drawn, counts of ``work``: overwritten.
    """
    n_drawn, width, zero = numbers.n_drawn, numbers.width, np.int64(0)
    end = min(shard.n, begin + numbers.chunk)
    here = begin // numbers.chunk * n_drawn
    for k in range(n_drawn):
        store(work.drawn, k, np.int64(load(shard.negatives, here + k)) * width)
        ask_for_row(syn1neg, np.int64(load(shard.negatives, here + n_drawn + k)) * width, width)
    for j in range(end, min(shard.n, end + numbers.chunk)):
        ask_for_row(of_centres, np.int64(load(shard.kept, j)) * width, width)
        ask_for_row(of_contexts, np.int64(load(shard.kept, j + numbers.window)) * width, width)
    window_start, window_end = np.int64(load(shard.first, begin)), np.int64(load(shard.stop, begin))
    for i in range(begin, end):
        window_start = min(window_start, np.int64(load(shard.first, i)))
        window_end = max(window_end, np.int64(load(shard.stop, i)))
    for j in range(window_end - window_start):
        store(work.counts, j, zero)
    return Chunk(begin, end, window_start, window_end)


@stage
def add_partner(work, place, chunk_size, row):
    """Note that the word at ``place`` of the chunk's surroundings has the row of an input as partner; its slot."""
    count = load(work.counts, place)
    store(work.counts, place, count + 1)
    slot = place * chunk_size + count
    store(work.partners, slot, row)
    return slot


@stage
def count_contexts(shard, i):
    """The number of words in a centre's window beside itself."""
    return np.int64(load(shard.stop, i)) - np.int64(load(shard.first, i)) - 1


# ---- skip-gram


@stage
def pair_with_contexts(shard, chunk, numbers, syn0, syn1neg, work):
    """The products of each centre with its contexts, in hits; returns how many pairs there are.

    inputs, outputs, slots, partners, counts: overwritten.
    """
    width, n_pairs = numbers.width, np.int64(0)
    for i in range(chunk.begin, chunk.end):
        c = i - chunk.begin
        row = np.int64(load(shard.kept, i)) * width
        store(work.inputs, c, row)
        start = n_pairs
        for j in range(np.int64(load(shard.first, i)), np.int64(load(shard.stop, i))):
            if j != i:
                store(work.outputs, n_pairs, np.int64(load(shard.kept, j)) * width)
                store(work.slots, n_pairs, add_partner(work, j - chunk.window_start, numbers.chunk, row))
                n_pairs += 1
        whole = (n_pairs - start + TILE - 1) // TILE * TILE
        for k in range(n_pairs, start + whole):
            store(work.outputs, k, row)  # any row will do
        products(syn0, work.inputs, c, 1, syn1neg, work.outputs, start, whole, width, work.hits, start, whole)
    return n_pairs


@stage
def take_errors_of_pairs(shard, chunk, numbers, weight, n_pairs, loss, work):
    """From products in hits and errors to steps in them and in shares; returns the loss with the chunk's added.

    weight: what a drawn word counts.  Taken in here, it would be joined with other factors, and round differently.
    """
    errors, hits, n_drawn, alpha = work.errors, work.hits, numbers.n_drawn, numbers.alpha
    zero, one = np.int64(0), scalar(errors, 1.0)
    probabilities(hits, zero, n_pairs, 1.0)
    probabilities(errors, zero, (chunk.end - chunk.begin) * n_drawn, -1.0)
    loss += log_loss(hits, zero, n_pairs)
    start = zero
    for i in range(chunk.begin, chunk.end):
        c, n_contexts = i - chunk.begin, count_contexts(shard, i)
        factor = weight * scalar(errors, n_contexts)
        loss += np.float64(factor) * log_loss(errors, c * n_drawn, n_drawn)
        step = alpha * factor
        for k in range(c * n_drawn, (c + 1) * n_drawn):
            store(errors, k, step * (load(errors, k) - one))
        for k in range(start, start + n_contexts):
            share = alpha * (one - load(hits, k))
            store(hits, k, share)
            store(work.shares, load(work.slots, k), share)
        start += n_contexts
    return loss


@stage
def sum_gradients_of_pairs(shard, chunk, width, column, size, syn1neg, work):
    """What the contexts' rows add to the gradients of the centres: ``size`` vectors from ``column`` on."""
    zero = np.int64(0)
    start = zero
    for i in range(chunk.begin, chunk.end):
        n_contexts, y = count_contexts(shard, i), (i - chunk.begin) * width
        sum_part(
            work.gradients, y, work.zeros, zero, work.hits, start, 1, syn1neg, work.outputs, start, n_contexts, column,
            size,
        )  # fmt: skip
        start += n_contexts


@stage
def update_drawn_of_pairs(shard, chunk, numbers, syn0, syn1neg, work):
    """Sum the gradients of the centres, before any row changes, and update the drawn words' rows.

    A part of the columns after the other, two rows at once where rows are long.
    """
    zero, one, lanes = np.int64(0), scalar(work.errors, 1.0), lanes_of(work.errors)
    n_drawn, width, n = numbers.n_drawn, numbers.width, chunk.end - chunk.begin
    errors, gradients, drawn, inputs = work.errors, work.gradients, work.drawn, work.inputs
    left, column = width // lanes, zero
    while left > 0:
        size = np.int64(TWO) if left > WIDE else left
        sum_gradients_of_pairs(shard, chunk, width, column, size, syn1neg, work)
        if left > WIDE:
            for c in range(0, n, 2):
                other = min(c + 1, n - 1)
                y, y1 = c * width, other * width
                two_sums(
                    gradients, y, y1, gradients, y, y1, one, one, errors, c * n_drawn, other * n_drawn, 1,
                    syn1neg, drawn, zero, n_drawn, column,
                )  # fmt: skip
            for k in range(0, n_drawn, 2):
                y, y1 = load(drawn, k), load(drawn, k + 1)
                add_to_two(syn1neg, y, y1, errors, k, k + 1, n_drawn, syn0, inputs, zero, n, column)
        else:
            for c in range(n):
                add_part(
                    gradients, c * width, errors, c * n_drawn, 1, syn1neg, drawn, zero, n_drawn, column, size
                )  # fmt: skip
            for k in range(n_drawn):
                add_part(syn1neg, load(drawn, k), errors, k, n_drawn, syn0, inputs, zero, n, column, size)
        column += size * lanes
        left -= size


@stage
def update_contexts_and_centres(shard, chunk, numbers, syn0, syn1neg, work):
    """Add what a chunk has learnt to the rows of its contexts, then to those of its centres."""
    width, lanes = numbers.width, lanes_of(work.errors)
    left, column = width // lanes, np.int64(0)
    while left > 0:
        size = part_of(left)
        for j in range(chunk.window_end - chunk.window_start):
            y, slot = np.int64(load(shard.kept, chunk.window_start + j)) * width, j * numbers.chunk
            add_part(
                syn1neg, y, work.shares, slot, 1, syn0, work.partners, slot, load(work.counts, j), column, size
            )  # fmt: skip
        for c in range(chunk.end - chunk.begin):
            add_row(syn0, load(work.inputs, c) + column, work.gradients, c * width + column, size * lanes)
        column += size * lanes
        left -= size


@kernel
def skipgram_shared(shard, numbers, syn0, syn1neg, work, totals):
    """Train on a shard.  Mikolov et al. (2013b), eq. 4; the centre's row is the input, its contexts are the targets.

    shard: ``sampling.Sampled``, kept with zeros for ``window`` more; negatives (chunks + 1, N).  syn0, syn1neg:
    updated.  To totals (2,) float64 the loss and the number of pairs are added.
    """
    syn0, syn1neg = pointer(syn0), pointer(syn1neg)
    shard, work, zero = addresses_of_shard(shard), addresses_of_work(work), np.int64(0)
    n_drawn, width = numbers.n_drawn, numbers.width
    weight = numbers.negative / scalar(work.errors, n_drawn)
    loss, n_examples = 0.0, zero
    for begin in range(zero, shard.n, numbers.chunk):
        chunk = begin_chunk(shard, begin, numbers, syn0, syn1neg, syn1neg, work)
        n_pairs = pair_with_contexts(shard, chunk, numbers, syn0, syn1neg, work)
        n = chunk.end - chunk.begin
        products(syn0, work.inputs, zero, n, syn1neg, work.drawn, zero, n_drawn, width, work.errors, zero, n_drawn)
        loss = take_errors_of_pairs(shard, chunk, numbers, weight, n_pairs, loss, work)
        n_examples += n_pairs
        update_drawn_of_pairs(shard, chunk, numbers, syn0, syn1neg, work)
        update_contexts_and_centres(shard, chunk, numbers, syn0, syn1neg, work)
    totals[0] += loss
    totals[1] += n_examples


# ---- CBOW


@stage
def list_means(shard, chunk, numbers, work):
    """List the contexts of each centre that has some; returns how many centres have.

    slots: the contexts' rows, 2 ``window`` places for each centre.  hits: the part of each in the mean.  sizes, inputs,
    outputs, partners, counts, shares: overwritten.
    """
    width, size, one = numbers.width, np.int64(0), scalar(work.errors, 1.0)
    for i in range(chunk.begin, chunk.end):
        n_contexts = count_contexts(shard, i)
        if n_contexts == 0:
            continue
        share = one / scalar(work.errors, n_contexts)
        found = size * 2 * numbers.window
        for j in range(np.int64(load(shard.first, i)), np.int64(load(shard.stop, i))):
            if j != i:
                store(work.slots, found, np.int64(load(shard.kept, j)) * width)
                found += 1
                slot = add_partner(work, j - chunk.window_start, numbers.chunk, size * width)
                store(work.shares, slot, share if numbers.divided else one)
        store(work.hits, size, share)
        store(work.sizes, size, n_contexts)
        store(work.inputs, size, size * width)
        store(work.outputs, size, np.int64(load(shard.kept, i)) * width)
        size += 1
    return size


@stage
def take_means(size, numbers, syn0, work):
    """hidden: the means of the contexts' rows of the first ``size`` centres."""
    zero, lanes = np.int64(0), lanes_of(work.errors)
    left, column = numbers.width // lanes, zero
    while left > 0:
        part = part_of(left)
        for c in range(size):
            sum_part(
                work.hidden, c * numbers.width, work.zeros, zero, work.hits, c, 0,
                syn0, work.slots, c * 2 * numbers.window, load(work.sizes, c), column, part,
            )  # fmt: skip
        column += part * lanes
        left -= part


@stage
def take_errors_of_means(size, numbers, weight, syn1neg, loss, work):
    """Steps in hits and errors, from the products of the means; returns the loss with the chunk's added.

    weight: what a drawn word counts.
    """
    errors, hits, hidden, inputs = work.errors, work.hits, work.hidden, work.inputs
    n_drawn, width, zero, one = numbers.n_drawn, numbers.width, np.int64(0), scalar(work.errors, 1.0)
    for c in range(size, size + TILE):
        store(inputs, c, zero)
        store(work.outputs, c, zero)
    paired_products(hidden, inputs, zero, syn1neg, work.outputs, zero, size, width, hits, zero)
    products(hidden, inputs, zero, size, syn1neg, work.drawn, zero, n_drawn, width, errors, zero, n_drawn)
    probabilities(hits, zero, size, 1.0)
    probabilities(errors, zero, size * n_drawn, -1.0)
    loss += log_loss(hits, zero, size) + np.float64(weight) * log_loss(errors, zero, size * n_drawn)
    step = numbers.alpha * weight
    for k in range(size * n_drawn):
        store(errors, k, step * (load(errors, k) - one))
    for c in range(size):
        store(hits, c, numbers.alpha * (one - load(hits, c)))
    return loss


@stage
def update_drawn_of_means(size, numbers, syn1neg, work):
    """Sum the gradients of the means, before any row changes, and update the drawn words' rows.

    A part of the columns after the other, two rows at once where rows are long.
    """
    errors, hits, hidden, gradients, drawn = work.errors, work.hits, work.hidden, work.gradients, work.drawn
    zero, lanes, inputs, outputs = np.int64(0), lanes_of(work.errors), work.inputs, work.outputs
    n_drawn, width = numbers.n_drawn, numbers.width
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
                    gradients, y, work.zeros, zero, errors, c * n_drawn, 1, syn1neg, drawn, zero, n_drawn, column, part
                )  # fmt: skip
                add_part(gradients, y, hits, c, 1, syn1neg, outputs, c, 1, column, part)
            for k in range(n_drawn):
                add_part(syn1neg, load(drawn, k), errors, k, n_drawn, hidden, inputs, zero, size, column, part)
        column += part * lanes
        left -= part


@stage
def update_centres_and_contexts(shard, chunk, size, numbers, syn0, syn1neg, work):
    """Add what a chunk has learnt to the rows of its centres, then to those of its contexts."""
    width, lanes = numbers.width, lanes_of(work.errors)
    left, column = width // lanes, np.int64(0)
    while left > 0:
        part = part_of(left)
        for c in range(size):
            add_part(syn1neg, load(work.outputs, c), work.hits, c, 1, work.hidden, work.inputs, c, 1, column, part)
        for j in range(chunk.window_end - chunk.window_start):
            y, slot = np.int64(load(shard.kept, chunk.window_start + j)) * width, j * numbers.chunk
            add_part(
                syn0, y, work.shares, slot, 1, work.gradients, work.partners, slot, load(work.counts, j), column, part
            )  # fmt: skip
        column += part * lanes
        left -= part


@kernel
def cbow_shared(shard, numbers, syn0, syn1neg, work, totals):
    """As ``skipgram_shared``, where the input is the mean of the contexts' rows and the centre is the target.

    Centres without contexts are left out.  totals: the number of centres is added.
    """
    syn0, syn1neg = pointer(syn0), pointer(syn1neg)
    shard, work, zero = addresses_of_shard(shard), addresses_of_work(work), np.int64(0)
    weight = numbers.negative / scalar(work.errors, numbers.n_drawn)
    loss, n_examples = 0.0, zero
    for begin in range(zero, shard.n, numbers.chunk):
        chunk = begin_chunk(shard, begin, numbers, syn1neg, syn0, syn1neg, work)
        size = list_means(shard, chunk, numbers, work)
        take_means(size, numbers, syn0, work)
        loss = take_errors_of_means(size, numbers, weight, syn1neg, loss, work)
        n_examples += size
        update_drawn_of_means(size, numbers, syn1neg, work)
        update_centres_and_contexts(shard, chunk, size, numbers, syn0, syn1neg, work)
    totals[0] += loss
    totals[1] += n_examples


# ---- the entry in the registry


def chunk_of(config: TrainConfig, n_words: int) -> int:
    """Centre words that share their drawn words.

    All products of a chunk are of the rows as they are when it begins.  Where it has too many pairs for the words that
    there are, the sum of their gradients goes too far, to the point that training diverges.
    """
    window = 2 * config.window if config.fixed_window else config.window
    return max(1, min(CHUNK, CHUNK * _CHUNK_WINDOW // window, n_words // _CHUNK_WORDS))


def drawn_of(config: TrainConfig) -> int:
    """Words that are drawn for a chunk."""
    return max(DRAWN[config.architecture], -(-config.negative // TILE) * TILE)


class Shared(NegativeSampling):
    """Negative sampling with drawn words that a chunk of centres shares."""

    def is_chosen(self, config):
        return config.negative > 0 and config.negatives == "shared"

    def learner(self, config, n_words, tables, threads):
        return _Learner(config, n_words)

    def n_drawn(self, config, n_words, n, first, stop):
        return (-(-n // chunk_of(config, n_words)) + 1) * drawn_of(config)

    def bytes_of_learner(self, config, n_words, threads):
        return sum(array.nbytes for array in _work_of(config, n_words))

    def drawn_on_average(self, config, n_words, n):
        return (int(n) // chunk_of(config, n_words) + 1) * drawn_of(config)


def _work_of(config: TrainConfig, n_words: int) -> Work:
    return Work.create(chunk_of(config, n_words), drawn_of(config), config.window, *shape_of_row(config))


class _Learner:
    def __init__(self, config: TrainConfig, n_words: int):
        width, dtype = shape_of_row(config)
        self._train = cbow_shared if config.architecture == "cbow" else skipgram_shared
        self._work = _work_of(config, n_words)
        self._numbers = Scalars(
            config.window, drawn_of(config), chunk_of(config, n_words), width, dtype.type(config.negative),
            dtype.type(0), config.cbow_update == "corrected",
        )  # fmt: skip

    def train(self, sampled, alpha, inputs, syn0, targets, tables, totals):
        self._train(sampled, self._numbers._replace(alpha=syn0.dtype.type(alpha)), syn0, targets, self._work, totals)
