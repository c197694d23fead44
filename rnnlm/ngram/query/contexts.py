"""What follows each context of a model: whole distributions, and the entropy of every one of them.

Legend: V words, N the order, M nodes of one order, x a context, k an n-gram after it.

A context that is not in the model has the distribution of its longest end that is.  Distributions are
those of the words of the vocabulary, made to sum to one.
"""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np

from corpora.compute import libm
from corpora.compute.jit import exact_kernel, exp
from rnnlm.ngram.estimation.assign import power10
from rnnlm.ngram.query.backoff import ABSENT
from rnnlm.ngram.query.search import follow_contexts
from rnnlm.ngram.trie import BACKOFF, CHILD, FIRST_WORD, PROB, TOP_PROB, WORD, Trie

_U = np.uint64
_LN10 = math.log(10)


@exact_kernel
def _parents(upper, out):
    """out (M,) uint32: the parent of every node of an order."""
    for j in range(_U(upper.shape[0] - 1)):
        for k in range(_U(upper[j, CHILD]), _U(upper[j + _U(1), CHILD])):
            out[k] = j


@exact_kernel
def _newest_words(parents, upper_words, out):
    """out (M,) uint32: the newest word of every node, which is that of its parent."""
    for k in range(_U(out.size)):
        out[k] = upper_words[parents[k]]


@exact_kernel
def _fill_blanks(log_probs, parents, contexts, upper_log_probs, upper_backoffs):
    """Give nodes that are BLANK the log10 probability that is backed off to."""
    for k in range(_U(log_probs.size)):
        if log_probs[k] > np.float32(0.0):
            log_probs[k] = upper_backoffs[contexts[k]] + upper_log_probs[parents[k]]


@exact_kernel
def _sort_by_context(contexts, newest, starts, rows, words):
    """Counting sort.  starts (contexts + 1,) uint32; rows, words (M,) uint32: nodes and newest words by context."""
    for k in range(_U(contexts.size)):
        starts[_U(contexts[k]) + _U(1)] += np.uint32(1)
    for x in range(_U(1), _U(starts.size)):
        starts[x] += starts[x - _U(1)]
    for k in range(_U(contexts.size)):
        x = _U(contexts[k])
        at = starts[x]
        rows[at] = k
        words[at] = newest[k]
        starts[x] = at + np.uint32(1)
    for x in range(starts.size - 1, 0, -1):
        starts[x] = starts[x - 1]
    starts[0] = 0


@exact_kernel
def _override(p, start, stop, rows, words, log_probs, shift):
    """p[word] = probability of the n-grams start to stop, times 10**shift; p (ids,) float64."""
    for s in range(_U(start), _U(stop)):
        log_p = log_probs[rows[s]]
        if log_p <= np.float32(0.0):
            p[words[s]] = power10(log_p) * exp(shift * _LN10) if shift > -90.0 else 0.0


@exact_kernel
def _add_entropy_terms(nodes, column, log_probs, parents, contexts, upper_log_probs, sums):
    """sums (contexts, 4) float64 += p log p, p, q log q, q: p of the n-gram, q of the shorter one, natural logs."""
    values = nodes.view(np.float32)
    for k in range(_U(contexts.size)):
        if values[k, column] > np.float32(0.0):
            continue
        x = _U(contexts[k])
        log_p, log_q = log_probs[k], upper_log_probs[parents[k]]
        p, q = power10(log_p), power10(log_q)
        sums[x, 0] += p * log_p * _LN10
        sums[x, 1] += p
        sums[x, 2] += q * log_q * _LN10
        sums[x, 3] += q


@exact_kernel
def _entropies(sums, backoffs, parents, shorter, out):
    """The terms of contexts, sums[:, :2], from those of their ends, ``shorter`` (rows, 2): sum of p log p, and of p.

    out (contexts,) float32: entropy in bits of p made to sum to one.
    """
    for x in range(_U(out.size)):
        j = _U(parents[x])
        b = power10(backoffs[x])
        rest = max(shorter[j, 1] - sums[x, 3], 0.0)
        if b > 0.0:
            sums[x, 0] += b * ((shorter[j, 0] - sums[x, 2]) + backoffs[x] * _LN10 * rest)
            sums[x, 1] += b * rest
        mass = sums[x, 1]
        out[x] = max(np.log(mass) - sums[x, 0] / mass, 0.0) / 0.6931471805599453 if mass > 0.0 else 0.0


class Contradiction(Exception):
    """An n-gram whose context is nowhere: the arrays are damaged."""


class Contexts:
    """The contexts of all n-grams of a trie.  Made once for a model, in time and memory that grow with it.

    Contradiction where the trie, which must be whole (``Trie.is_whole``), lacks one.
    """

    def __init__(self, trie: Trie):
        self.trie = trie
        unigrams = trie.nodes[0]
        n_ids = len(unigrams) - 1
        none = np.empty(0, np.uint32)
        self.parents, self.contexts = [none], [none]  # by order; order 1 has neither
        self.log_probs = [np.ascontiguousarray(trie.log10_probs(1))]
        newest = np.arange(n_ids, dtype=np.uint32)
        self.newest = [newest]
        for n in range(2, trie.order + 1):
            upper, nodes = trie.nodes[n - 2], trie.nodes[n - 1]
            size = len(nodes) - 1
            parents = np.empty(size, np.uint32)
            _parents(upper, parents)
            if n == 2:
                contexts = np.ascontiguousarray(nodes[:-1, WORD])
            else:
                contexts = np.empty(size, np.uint32)
                follow_contexts(trie.nodes[n - 3], upper, nodes, n_ids, self.contexts[-1], contexts)
                if (contexts == ABSENT).any():
                    raise Contradiction
            words = np.empty(size, np.uint32)
            _newest_words(parents, newest, words)
            log_probs = np.array(trie.log10_probs(n))
            backoffs = upper.view(np.float32)[:-1, BACKOFF]
            _fill_blanks(log_probs, parents, contexts, self.log_probs[-1], backoffs)
            newest = words
            self.parents.append(parents)
            self.contexts.append(contexts)
            self.log_probs.append(log_probs)
            self.newest.append(words)

    def _backoffs(self, order: int) -> np.ndarray:
        """(M,) float32 view: log10 back-off weights of the n-grams of an order."""
        return self.trie.nodes[order - 1].view(np.float32)[:-1, BACKOFF]

    # ---- distributions

    @cached_property
    def _unigram_probs(self) -> np.ndarray:
        p = libm.power10(self.log_probs[0].astype(np.float64))
        p[:FIRST_WORD] = 0.0
        return p

    @cached_property
    def _following(self) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """For contexts of each length from 1 on: starts, rows and words of the n-grams that follow each of them."""
        following = []
        for n in range(2, self.trie.order + 1):
            starts = np.zeros(len(self.trie.nodes[n - 2]), np.uint32)
            rows, words = np.empty_like(self.contexts[n - 1]), np.empty_like(self.contexts[n - 1])
            _sort_by_context(self.contexts[n - 1], self.newest[n - 1], starts, rows, words)
            following.append((starts, rows, words))
        return following

    def distribution(self, path: np.ndarray) -> np.ndarray:
        """Probabilities (V,) float64 after a context; path (>= N - 1,) uint32: the rows of its ends, shortest first.

        NaN where no word has any.
        """
        lengths = [m for m, row in enumerate(path.tolist()[: self.trie.order - 1], 1) if row != ABSENT]
        backoffs = [float(self._backoffs(m)[path[m - 1]]) for m in lengths]
        shift = sum(backoffs)
        p = self._unigram_probs * (10.0**shift if shift > -90 else 0.0)
        for m, backoff in zip(lengths, backoffs, strict=True):
            shift -= backoff
            starts, rows, words = self._following[m - 1]
            row = int(path[m - 1])
            _override(p, starts[row], starts[row + 1], rows, words, self.log_probs[m], shift)
        p = p[self.trie.internal[:-1]]
        with np.errstate(invalid="ignore", over="ignore"):
            return p / p.sum()

    # ---- entropies

    @cached_property
    def entropies(self) -> list[np.ndarray]:
        """Bits: [0] (1,) after no word, [m] (M,) float32 after every n-gram of m words, m < N."""
        p = self._unigram_probs[FIRST_WORD:]
        mass = float(p.sum())
        term = float((p[p > 0] * libm.log(p[p > 0])).sum())
        bits = (math.log(mass) - term / mass) / math.log(2) if mass > 0 else math.nan
        entropies = [np.array([bits], np.float32)]
        shorter, parents = np.array([[term, mass]]), np.zeros(len(self.trie.nodes[0]) - 1, np.uint32)
        for n in range(2, self.trie.order + 1):
            nodes = self.trie.nodes[n - 1]
            column = PROB if nodes.shape[1] == 4 else TOP_PROB
            sums = np.zeros((len(self.trie.nodes[n - 2]) - 1, 4))
            _add_entropy_terms(
                nodes, column, self.log_probs[n - 1], self.parents[n - 1], self.contexts[n - 1], self.log_probs[n - 2],
                sums,
            )  # fmt: skip
            out = np.empty(len(sums), np.float32)
            _entropies(sums, self._backoffs(n - 1), parents, shorter, out)
            entropies.append(out)
            shorter, parents = sums[:, :2].copy(), self.parents[n - 1]
        return entropies

    def entropies_after(self, path: np.ndarray) -> np.ndarray:
        """Bits (n,) float64 of the distributions after n positions; path (n, >= N - 1) as in ``distribution``."""
        bits = np.full(len(path), self.entropies[0][0], np.float64)
        for m in range(1, self.trie.order):
            there = path[:, m - 1] != ABSENT
            bits[there] = self.entropies[m][path[there, m - 1]]
        return bits
