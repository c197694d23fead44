"""Hierarchical softmax: a word is found by decisions between two branches, from the root of a Huffman tree to its leaf.

Morin & Bengio (2005), "Hierarchical probabilistic neural network language model"; Huffman's tree as in Mikolov et al.
(2013), "Distributed representations of words and phrases and their compositionality":

    P(w | h) = product over the nodes j on the path to w of  f(N_j . h + n_j) where the path takes branch 0,
                                                        1 - f(N_j . h + n_j) where it takes branch 1,  f logistic

so that both branches of a node together have what the node has, and all words one.  Weights: ``TreeWeights``.
Legend: n rows, P units below, V words, V - 1 nodes; the root is node V - 2, and children come before their parents.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from corpora.compute.jit import exact_kernel, exp, kernel, stage
from corpora.compute.matmul import multiply, room_for_products
from corpora.compute.simd import aligned_zeros, load, pointer, scalar, store
from corpora.huffman import huffman
from rnnlm.cells import Parameter
from rnnlm.outputs import Output
from rnnlm.updates import Rows, sort_rows


class Tree(NamedTuple):
    """The paths to all words, and of each node and word where it hangs."""

    offsets: np.ndarray  # (V + 1,) int64: word w's path is points[offsets[w] : offsets[w + 1]], from the root
    points: np.ndarray  # int32
    codes: np.ndarray  # uint8: the branch that is taken there
    parents: np.ndarray  # (V - 1,) int32: the node above each node; the root's is itself
    branches: np.ndarray  # (V - 1,) uint8: the branch by which it hangs there


class TreeWeights(NamedTuple):
    """Parameters, and the tree."""

    N: np.ndarray  # (V - 1, P)
    bias: np.ndarray  # (V - 1,)
    tree: Tree


class Paths(NamedTuple):
    """The decisions of a block: row r has those from starts[r] to starts[r + 1]."""

    starts: np.ndarray  # (n + 1,) int64
    nodes: np.ndarray  # int32
    rows: np.ndarray  # int32
    errors: np.ndarray  # of the score of each
    order: np.ndarray  # int64: the decisions sorted by node, and of one node by row
    node_starts: np.ndarray  # int64: those of the k-th node that occurs begin there in ``order``
    counts: np.ndarray  # (V - 1,) int64: scratch


def tree_of(counts: np.ndarray) -> Tree:
    """The tree of words with these counts; ValueError for less than two words."""
    offsets, points, codes = huffman(counts)
    lengths = np.diff(offsets)
    parents = np.arange(lengths.size - 1, dtype=np.int32)
    branches = np.zeros(parents.size, np.uint8)
    inner = np.ones(points.size, bool)
    inner[offsets[1:] - 1] = False  # the last decision of each path leads to a word
    above = np.flatnonzero(inner)
    parents[points[above + 1]], branches[points[above + 1]] = points[above], codes[above]
    return Tree(offsets, points, codes, parents, branches)


def parameters(config, n_words: int) -> dict[str, Parameter]:
    """N (V - 1, P) and n (V - 1,): of each node; ValueError where there is none."""
    if n_words < 2:
        raise ValueError(f"`output_layer` hierarchical: a tree takes 2 words, the vocabulary has {n_words}")
    n_nodes, below = n_words - 1, config.hidden
    return {
        "N": Parameter((n_nodes, below), (below, n_nodes), "output", bound=0.1),
        "n": Parameter((n_nodes,), (below, n_nodes), value=0.0),
    }


@stage
def log_logistic(x):
    """log f(x) in float64."""
    return min(x, 0.0) - math.log1p(math.exp(-abs(x)))


@stage
def node_score(N, n_below, bias, X, x0, node):
    total, at = load(bias, node), node * n_below
    for i in range(n_below):
        total += load(N, at + i) * load(X, x0 + i)
    return total


@kernel
def score_paths(weights, hidden, ids, log_prob):
    """log_prob[t] (float64, natural) = log P(ids[t] | hidden[t]), the path to that word only; 0 where it is -1."""
    tree, n_below, width = weights.tree, weights.N.shape[1], hidden.shape[1]
    N, bias, X = pointer(weights.N), pointer(weights.bias), pointer(hidden)
    for t in range(ids.size):
        total, word = 0.0, np.int64(ids[t])
        if word >= 0:
            for i in range(tree.offsets[word], tree.offsets[word + 1]):
                s = np.float64(node_score(N, n_below, bias, X, t * width, np.int64(tree.points[i])))
                total += log_logistic(-s if tree.codes[i] else s)
        log_prob[t] = total


@kernel
def spread_mass(scores, bias, tree, n, mass, probabilities, entropy_bits):
    """probabilities[:n] (n, V) of all words from scores (n, V - 1) without bias; entropy_bits (n,) float64.

    mass (V - 1,) float64: scratch, what each node has; from the root down, since children come before parents.
    """
    n_nodes, S, out = tree.parents.size, pointer(scores), pointer(probabilities)
    for t in range(n):
        at, to = t * scores.shape[1], t * probabilities.shape[1]
        for i in range(n_nodes):  # what branch 0 has of a node
            s = min(max(load(S, at + i) + load(bias, i), scalar(S, -80.0)), scalar(S, 80.0))
            store(S, at + i, scalar(S, 1.0) / (scalar(S, 1.0) + exp(-s)))
        mass[n_nodes - 1] = 1.0
        for back in range(1, n_nodes):
            node = n_nodes - 1 - back
            above = np.int64(tree.parents[node])
            share = np.float64(load(S, at + above))
            mass[node] = mass[above] * (1.0 - share if tree.branches[node] else share)
        entropy = 0.0
        for word in range(n_nodes + 1):
            last = tree.offsets[word + 1] - 1
            node = np.int64(tree.points[last])
            share = np.float64(load(S, at + node))
            p = mass[node] * (1.0 - share if tree.codes[last] else share)
            store(out, to + word, scalar(out, p))
            if p > 0.0:
                entropy -= p * math.log(p)
        entropy_bits[t] = entropy / math.log(2.0)


def log_probs(weights, shape, hidden_states, ids, histories, class_of_word, class_start, log_prob) -> None:
    score_paths(weights, hidden_states, ids, log_prob)


def distributions(weights, shape, hidden_states, histories, class_start, probabilities, entropy_bits, keep) -> None:
    N, n_nodes = weights.N, len(weights.N)
    rows, room = len(probabilities), room_for_products(N.dtype)
    scores, mass = aligned_zeros((min(rows, max(1, len(hidden_states))), n_nodes), N.dtype), np.empty(n_nodes)
    for first in range(0, len(hidden_states), len(scores)):
        n = min(len(scores), len(hidden_states) - first)
        hidden = hidden_states[first : first + n]
        multiply(scores, hidden, N, shape.n_hidden, 1, 0, (0, n), (0, n_nodes), 0, room)
        out = probabilities[first:] if keep else probabilities
        spread_mass(scores, weights.bias, weights.tree, n, mass, out, entropy_bits[first : first + n])


@exact_kernel
def lay_out_paths(targets, tree, paths, found):
    """Fill all of ``paths`` but the errors, from targets (n,); how many nodes occur, which are in ``found``."""
    total = np.int64(0)
    for r in range(targets.size):
        paths.starts[r] = total
        word = np.int64(targets[r])
        if word >= 0:
            for i in range(tree.offsets[word], tree.offsets[word + 1]):
                paths.nodes[total], paths.rows[total] = tree.points[i], r
                total += 1
    paths.starts[targets.size] = total
    return sort_rows(paths.nodes, total, paths.counts, paths.order, paths.node_starts, found)


@kernel
def learn_rows(weights, hidden, errors, targets, paths, scale, begin, end, log_prob):
    """Rows begin to end: their log probabilities, the errors of their decisions, and those of the layer below."""
    tree, n_below, width = weights.tree, weights.N.shape[1], hidden.shape[1]
    N, bias, X, E = pointer(weights.N), pointer(weights.bias), pointer(hidden), pointer(errors)
    for r in range(begin, end):
        at, total = r * width, 0.0
        for i in range(n_below):
            store(E, at + i, scalar(E, 0.0))
        first, n = paths.starts[r], paths.starts[r + 1] - paths.starts[r]
        codes = tree.offsets[max(np.int64(targets[r]), np.int64(0))]
        for k in range(n):
            node = np.int64(paths.nodes[first + k])
            s = np.float64(node_score(N, n_below, bias, X, at, node))
            code = np.float64(tree.codes[codes + k])
            total += log_logistic(-s if code > 0 else s)
            d = scalar(E, (1.0 - code) - 1.0 / (1.0 + math.exp(-s))) * scale
            paths.errors[first + k] = d
            for i in range(n_below):
                store(E, at + i, load(E, at + i) + d * load(N, node * n_below + i))
        log_prob[r] = total


@kernel
def learn_nodes(hidden, paths, dN, dbias, begin, end):
    """The gradients of the nodes that occur, begin to end: sums over their decisions, row after row."""
    n_below, width, X, out = dN.shape[1], hidden.shape[1], pointer(hidden), pointer(dN)
    for u in range(begin, end):
        first = paths.node_starts[u]
        total = scalar(out, 0.0)
        for i in range(n_below):
            store(out, u * n_below + i, scalar(out, 0.0))
        for k in range(first, paths.node_starts[u + 1]):
            decision = paths.order[k]
            d, at = paths.errors[decision], np.int64(paths.rows[decision]) * width
            total += d
            for i in range(n_below):
                store(out, u * n_below + i, load(out, u * n_below + i) + d * load(X, at + i))
        dbias[u, 0] = total


class TreeLearner:
    """Learns the nodes on the paths to the words of a block; see ``outputs.Learner``."""

    def __init__(self, model, config, n_rows: int, workers):
        self.weights, self.workers = model.output_weights, workers
        N, bias, self.tree = self.weights
        n_most = n_rows * int(np.diff(self.tree.offsets).max())
        self.ids = np.empty(len(N), np.int32)
        self.paths = Paths(
            np.empty(n_rows + 1, np.int64), np.empty(n_most, np.int32), np.empty(n_most, np.int32),
            np.empty(n_most, N.dtype), np.empty(n_most, np.int64), np.empty(len(N) + 1, np.int64),
            np.zeros(len(N), np.int64),
        )  # fmt: skip
        most = min(len(N), n_most)
        self.gradients = {"N": Rows(N, most), "n": Rows(bias.reshape(-1, 1), most)}

    def learn(self, hidden, targets, histories, errors, log_prob, scale) -> None:
        dN, dbias = (gradient.values for gradient in self.gradients.values())
        n_nodes = lay_out_paths(targets, self.tree, self.paths, self.ids)

        def rows(begin, end, _):
            learn_rows(self.weights, hidden, errors, targets, self.paths, scale, begin, end, log_prob)

        def nodes(begin, end, _):
            learn_nodes(hidden, self.paths, dN, dbias, begin, end)

        self.workers.share(rows, targets.size)
        self.workers.share(nodes, n_nodes)
        for gradient in self.gradients.values():
            gradient.ids = self.ids[:n_nodes]


def work(model) -> int:
    """Multiplications for the score of a word: the length of its path, on average, times the units below."""
    N, _, tree = model.output_weights
    counts = np.maximum(model.vocab.counts, 1)
    return int(N.shape[1] * (np.diff(tree.offsets) @ counts) / counts.sum())


OUTPUT = Output(parameters, log_probs, distributions, TreeLearner, work)
