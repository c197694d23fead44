"""Skip-gram and CBOW with hierarchical softmax (Morin and Bengio 2005; Mikolov et al. 2013b, eq. 3).

The target is the centre word: a leaf of a Huffman tree, whose path's inner nodes each have a row of syn1.
All products of one centre with the nodes of its path are taken before any row changes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from corpora.compute.jit import kernel, stage
from corpora.compute.simd import aligned_zeros, load, pointer, scalar, store
from corpora.huffman import HuffmanTree, huffman, join_nodes
from w2v.config import TrainConfig
from w2v.copies import forget, length_of_paths, own_paths
from w2v.objectives.losses import CERTAIN, log_loss, probabilities
from w2v.objectives.objective import Objective, shape_of_row
from w2v.rows import TILE, add_row, add_rows, ask_for_row, clear_row, exchange_rows, products, scale, sum_rows
from w2v.sampling import addresses_of_shard

_SHALLOW = 7  # nodes of a path, from the root, that are in the cache anyway
_WHOLE = 64  # probabilities whose logarithms are taken without a loop over what is left
_AHEAD = 2  # centres between a prefetch and its use; its path is asked for as long before
_PATH = 32  # nodes of a path, at least, that are asked for
OWN_NODES = 256  # nodes near the root, which every word changes, of which each thread has its own rows
_LONGEST_OF_LANES = 1 << 15  # tokens of a shard of CBOW: fewer copies of rows for the same text


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


class Scalars(NamedTuple):
    """The numbers that a shard is learnt with.  ``cbow``: the input is the mean of the contexts, else each of them.

    divided: see ``shared.Scalars``.  alpha: as the matrices.  Nodes from first_own on have rows of the thread's own,
    the first at own_row, in elements from the beginning of syn1.
    """

    window: int
    width: int
    cbow: bool
    divided: bool
    first_own: int
    own_row: int
    alpha: float


@stage
def addresses_of_tree(tree):
    """The arrays of a ``HuffmanTree`` as pointers."""
    return HuffmanTree(pointer(tree.offsets), pointer(tree.points), pointer(tree.codes))


@stage
def addresses_of_work(work):
    """The arrays of a ``HierarchicalWork`` as pointers."""
    return HierarchicalWork(
        pointer(work.errors), pointer(work.gradients), pointer(work.hidden), pointer(work.zeros), pointer(work.share),
        pointer(work.signs), pointer(work.offsets), pointer(work.steps), pointer(work.minus_steps),
        pointer(work.inputs), pointer(work.nodes),
    )  # fmt: skip


# ---- stages: shards, trees and work by their addresses, matrices flat


@stage
def ask_for_later_rows(shard, i, numbers, tree, syn0, syn1):
    """Ask for the path of a centre some way ahead of i, and for the rows of one that is nearer."""
    width = numbers.width
    if i + 2 * _AHEAD < shard.n:
        its_path = load(tree.offsets, np.int64(load(shard.kept, i + 2 * _AHEAD)))
        ask_for_row(tree.points, its_path, _PATH)
        ask_for_row(tree.codes, its_path, 1)
    if i + _AHEAD < shard.n:
        later = np.int64(load(shard.kept, i + _AHEAD))
        for k in range(load(tree.offsets, later) + _SHALLOW, load(tree.offsets, later + 1)):
            ask_for_row(syn1, np.int64(load(tree.points, k)) * width, width)
        ask_for_row(syn0, np.int64(load(shard.kept, i + _AHEAD + numbers.window)) * width, width)


@stage
def list_contexts(shard, i, width, work):
    """inputs: the rows of the contexts of centre i; returns how many there are."""
    n_contexts = np.int64(0)
    for j in range(np.int64(load(shard.first, i)), np.int64(load(shard.stop, i))):
        if j != i:
            store(work.inputs, n_contexts, np.int64(load(shard.kept, j)) * width)
            n_contexts += 1
    return n_contexts


@stage
def list_path(word, numbers, tree, work):
    """The nodes of a word's path, with their signs and steps, filled up to a multiple of TILE; returns their number."""
    path, alpha, width, errors = load(tree.offsets, word), numbers.alpha, numbers.width, work.errors
    length, one, zero = load(tree.offsets, word + 1) - path, scalar(errors, 1.0), np.int64(0)
    for k in range(length):
        node, first_own = np.int64(load(tree.points, path + k)), numbers.first_own
        store(work.nodes, k, node * width if node < first_own else numbers.own_row + (node - first_own) * width)
        sign = one if load(tree.codes, path + k) == 0 else -one
        store(work.signs, k, sign)
        store(work.offsets, k, scalar(errors, 0.0))
        store(work.steps, k, alpha * sign)
        store(work.minus_steps, k, -alpha * sign)
    for k in range(length, (length + TILE - 1) // TILE * TILE):
        store(work.nodes, k, zero)
        store(work.signs, k, scalar(errors, 0.0))
        store(work.offsets, k, scalar(errors, CERTAIN))
        store(work.steps, k, scalar(errors, 0.0))
        store(work.minus_steps, k, scalar(errors, 0.0))
    return length


@stage
def multiply_with_path(n_contexts, whole, numbers, syn0, syn1, work):
    """errors: the products of the inputs with the path's nodes; returns the number of inputs, 1 with CBOW."""
    errors, nodes, width, zero = work.errors, work.nodes, numbers.width, np.int64(0)
    if not numbers.cbow:
        products(syn0, work.inputs, zero, n_contexts, syn1, nodes, zero, whole, width, errors, zero, whole)
        return n_contexts
    store(work.share, zero, scalar(errors, 1.0) / scalar(errors, n_contexts))
    sum_rows(work.hidden, zero, work.zeros, zero, work.share, zero, 0, syn0, work.inputs, zero, n_contexts, width)
    # the mean is a matrix of one row, whose list is the last element: 0
    store(nodes, whole, zero)
    products(work.hidden, nodes, whole, 1, syn1, nodes, zero, whole, width, errors, zero, whole)
    return np.int64(1)


@stage
def take_errors(n_inputs, whole, work):
    """errors: from products to steps; returns the loss."""
    errors, zero, size = work.errors, np.int64(0), n_inputs * whole
    for start in range(zero, size, whole):
        scale(errors, start, work.signs, work.offsets, whole)
    probabilities(errors, zero, size, 1.0)
    padded = (size + _WHOLE - 1) // _WHOLE * _WHOLE
    for k in range(size, padded):
        store(errors, k, scalar(errors, 1.0))
    loss = log_loss(errors, zero, padded)
    for start in range(zero, size, whole):
        scale(errors, start, work.minus_steps, work.steps, whole)
    return loss


@stage
def update_with_the_mean(n_contexts, length, whole, numbers, syn0, syn1, work):
    """Update the path's rows, and the contexts' with the gradient of their mean."""
    gradients, nodes, width, zero = work.gradients, work.nodes, numbers.width, np.int64(0)
    one = scalar(work.errors, 1.0)
    clear_row(gradients, zero, width)
    exchange_rows(gradients, zero, work.hidden, zero, work.errors, zero, syn1, nodes, zero, length, width)
    store(work.share, zero, one / scalar(work.errors, n_contexts) if numbers.divided else one)
    for j in range(n_contexts):
        add_rows(syn0, load(work.inputs, j), work.share, zero, 0, gradients, nodes, whole, 1, width)


@stage
def update_with_each_context(n_contexts, length, whole, numbers, syn0, syn1, work):
    """Update the path's rows and the contexts', whose gradients are summed before any row changes."""
    errors, gradients, inputs, nodes = work.errors, work.gradients, work.inputs, work.nodes
    width, zero = numbers.width, np.int64(0)
    for j in range(n_contexts):
        sum_rows(gradients, j * width, work.zeros, zero, errors, j * whole, 1, syn1, nodes, zero, length, width)
    for k in range(length):
        add_rows(syn1, load(nodes, k), errors, k, whole, syn0, inputs, zero, n_contexts, width)
    for j in range(n_contexts):
        add_row(syn0, load(inputs, j), gradients, j * width, width)


@kernel
def train_hierarchical(shard, numbers, tree, syn0, syn1, work, totals):
    """Train on a shard.

    shard: ``sampling.Sampled``, kept with zeros for ``window`` more.  syn0, syn1: updated.  totals (2,) float64: the
    summed loss and the number of examples are added.
    """
    syn0, syn1 = pointer(syn0), pointer(syn1)
    shard, tree, work = addresses_of_shard(shard), addresses_of_tree(tree), addresses_of_work(work)
    loss, n_examples = 0.0, np.int64(0)
    for i in range(shard.n):
        ask_for_later_rows(shard, i, numbers, tree, syn0, syn1)
        n_contexts = list_contexts(shard, i, numbers.width, work)
        if n_contexts == 0:
            continue
        length = list_path(np.int64(load(shard.kept, i)), numbers, tree, work)
        whole = (length + TILE - 1) // TILE * TILE
        n_inputs = multiply_with_path(n_contexts, whole, numbers, syn0, syn1, work)
        loss += take_errors(n_inputs, whole, work)
        n_examples += n_inputs
        if numbers.cbow:
            update_with_the_mean(n_contexts, length, whole, numbers, syn0, syn1, work)
        else:
            update_with_each_context(n_contexts, length, whole, numbers, syn0, syn1, work)
    totals[0] += loss
    totals[1] += n_examples


# ---- the entry in the registry


class Hierarchical(Objective):
    """Hierarchical softmax: the rows of syn1 belong to the inner nodes of a Huffman tree."""

    matrix = "syn1"
    rows_are_words = False

    def is_chosen(self, config):
        return config.hs

    def learner(self, config, n_words, tables, threads):
        return _Learner(config, n_words, tables, threads)

    def tables(self, config, counts):
        return huffman(counts)

    def longest(self, config):
        wide = config.deterministic and config.architecture == "cbow"
        return _LONGEST_OF_LANES if wide else super().longest(config)

    def localise(self, tables, words, n_words, word_hits, numbers, rows, hits):
        size = length_of_paths(words, n_words, tables.offsets)
        own = HuffmanTree(np.empty(n_words + 1, np.int64), np.empty(size, np.int32), np.empty(size, np.uint8))
        n_nodes = own_paths(words, n_words, word_hits, tables, numbers, rows, hits, own)
        forget(rows, n_nodes, numbers)
        return own, n_nodes

    def bytes_of_tables(self, config, counts):
        return 5 * _nodes_on_paths(counts) + 8 * len(counts)

    def bytes_of_learner(self, config, n_words, threads):
        width, dtype = shape_of_row(config)
        path = int(np.log2(max(2, n_words))) + 4
        n_bytes = sum(array.nbytes for array in HierarchicalWork.create(path, config.window, width, dtype))
        if threads > 1 and not config.deterministic:
            n_bytes += 2 * min(OWN_NODES, n_words) * width * dtype.itemsize
        return n_bytes

    def rows_on_average(self, counts, n):
        weights = np.empty(2 * len(counts) - 1, np.int64)
        weights[: len(counts)] = np.maximum(counts, np.arange(len(counts)) > 0)
        join_nodes(weights, np.empty(weights.size, np.int32), np.empty(weights.size, np.uint8))
        return float(-np.expm1(-n * weights[len(counts) :] / max(1, int(counts.sum()))).sum())

    def bytes_of_local_tables(self, counts, is_there):
        return 5 * _nodes_on_paths(counts, is_there)


def _nodes_on_paths(counts: np.ndarray, often: np.ndarray | float = 1.0) -> int:
    """Nodes on the paths of the words, each as ``often``: Huffman's code of a word is about -log2 of its share long."""
    counts = np.maximum(counts, 1).astype(np.float64)
    return int((often * (np.log2(counts.sum() / counts) + 0.5)).sum())


class _Learner:
    """With several threads, each has rows of its own for the nodes near the root.

    Threads would contend for these, which every word changes.  What one has changed in a shard becomes the change of
    all.
    """

    def __init__(self, config: TrainConfig, n_words: int, tree: HuffmanTree, threads: int):
        width, dtype = shape_of_row(config)
        self._threads = threads
        self._work = HierarchicalWork.create(int(np.diff(tree.offsets).max()), config.window, width, dtype)
        n_own = 0 if threads == 1 else min(OWN_NODES, n_words - 1)
        self._own, self._own_before = (aligned_zeros((n_own, width), dtype) for _ in range(2))
        cbow, divided = config.architecture == "cbow", config.cbow_update == "corrected"
        self._numbers = Scalars(config.window, width, cbow, divided, n_words - 1 - n_own, 0, dtype.type(0))

    def train(self, sampled, alpha, inputs, syn0, targets, tables, totals):
        real, first_own = syn0.dtype.type, self._numbers.first_own
        everyones = targets[first_own : first_own + len(self._own)]
        self._own_before[:] = everyones
        self._own[:] = self._own_before
        own_row = (self._own.ctypes.data - targets.ctypes.data) // syn0.itemsize if self._own.size else 0
        numbers = self._numbers._replace(own_row=own_row, alpha=real(alpha))
        train_hierarchical(sampled, numbers, tables, syn0, targets, self._work, totals)
        # each thread has gone the whole way by itself: the mean of them
        everyones += (self._own - self._own_before) / real(self._threads)
