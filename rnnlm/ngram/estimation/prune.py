"""Pruning by relative entropy: Stolcke (1998), Entropy-based pruning of backoff language models, section 3.

Legend: n the order, k an n-gram (h, w), x its context h, its parent (h', w), h' without the oldest word.

Without an n-gram its probability is that of the parent times the back-off weight that results.  It is
removed if that raises the perplexity of the model by less than the threshold:

    D = -p(h) (p(w|h) (log p(w|h') + log a' - log p(w|h)) + (1 - sum_w p(w|h)) (log a' - log a))

with the back-off weight a of h before and a' after.  As in SRILM the orders are done from the highest
down, decisions do not see each other, an n-gram that longer ones have as (the end of) their context
stays, and in p(h) <s> has the probability of </s>.
"""

from __future__ import annotations

import numpy as np

from corpora.compute.jit import exact_kernel, log10
from rnnlm.ngram.estimation.assign import EPSILON, log10_or_zero, power10, unmark
from rnnlm.ngram.orders import DROPPED, compact
from rnnlm.ngram.query.contexts import Contexts
from rnnlm.ngram.trie import BACKOFF, NO_BACKOFF, PROB, START, TOP_PROB, WORD, ZERO, Trie

_U = np.uint64
_NO_BACKOFF = np.float32(NO_BACKOFF)


@exact_kernel
def _add_masses(gone, log_probs, upper_log_probs, parents, contexts, sums):
    """sums (contexts, 2) float64 += the probabilities of the n-grams that are left, and those of their parents."""
    for k in range(_U(gone.size)):
        if not gone[k]:
            x = _U(contexts[k])
            sums[x, 0] += power10(log_probs[k])
            sums[x, 1] += power10(upper_log_probs[parents[k]])


@exact_kernel
def _context_log_probs(log_probs, contexts, upper, out):
    """out (M,) float64: log10 of the probability of all words of each context of n words."""
    for k in range(_U(out.size)):
        out[k] = np.float64(log_probs[k]) + upper[contexts[k]]


@exact_kernel
def _remove(gone, protected, log_probs, upper_log_probs, parents, contexts, sums, backoffs, history, threshold):
    """Mark in ``gone`` the n-grams whose removal raises the perplexity by less than ``threshold``; how many."""
    n = 0
    for k in range(_U(gone.size)):
        if gone[k] or protected[k]:
            continue
        x = _U(contexts[k])
        left, lower_left = 1.0 - sums[x, 0], 1.0 - sums[x, 1]
        log_p, log_q = np.float64(log_probs[k]), np.float64(upper_log_probs[parents[k]])
        p, q = power10(log_probs[k]), power10(upper_log_probs[parents[k]])
        if p == 0.0 or q == 0.0:  # nothing would stand in for it
            continue
        # as in SRILM: what rounding leaves over is nothing
        left, lower_left = left if left >= EPSILON else 0.0, lower_left if lower_left >= EPSILON else 0.0
        after = log10(left + p) - log10(lower_left + q)
        change = p * (log_q + after - log_p)
        if left > 0.0:
            change += left * (after - backoffs[x])
        if 10.0 ** (-(10.0 ** history[x]) * change) - 1.0 < threshold:
            gone[k] = True
            n += 1
    return n


@exact_kernel
def _mark_contexts(gone, contexts, marks):
    """Mark the contexts of the n-grams that are left."""
    for k in range(_U(gone.size)):
        if not gone[k]:
            marks[contexts[k]] = True


@exact_kernel
def _protect_parents(protected, parents, upper_protected):
    """An n-gram that longer contexts end in is protected with them."""
    for k in range(_U(protected.size)):
        if protected[k]:
            upper_protected[parents[k]] = True


@exact_kernel
def _new_backoffs(sums, followed, backoffs):
    """backoffs (contexts,) float32: log10; ``sums`` becomes log10 of what probabilities are scaled with, mostly 0.

    followed (contexts,) bool: whether any n-gram is left after it.
    """
    for x in range(_U(backoffs.size)):
        mass, left, lower_left = sums[x, 0], 1.0 - sums[x, 0], 1.0 - sums[x, 1]
        if left < EPSILON and backoffs[x] <= np.float32(ZERO):
            left = 0.0  # as before: what rounding leaves over is nothing
        sums[x, 0] = 0.0
        backoffs[x] = np.float32(0.0) if followed[x] else _NO_BACKOFF
        if mass > 0.0:
            if lower_left < EPSILON:
                if left > EPSILON:
                    sums[x, 0] = -log10(mass)
            else:
                backoffs[x] = log10_or_zero(left) - log10_or_zero(lower_left) if left > 0.0 else np.float32(ZERO)


@exact_kernel
def _refresh(gone, log_probs, upper_log_probs, parents, contexts, backoffs, sums):
    """Scale the probabilities that are left; those of n-grams that are gone are backed off to."""
    for k in range(_U(gone.size)):
        x = contexts[k]
        if gone[k]:
            log_probs[k] = backoffs[x] + upper_log_probs[parents[k]]
        else:
            log_probs[k] += np.float32(sums[x, 0])


def prune(trie: Trie, threshold: float) -> Trie:
    """The model without the n-grams that change its perplexity by less than ``threshold``.  Overwrites it."""
    order = trie.order
    found = Contexts(trie)
    backoffs = [nodes.view(np.float32)[:-1, BACKOFF] for nodes in trie.nodes[: order - 1]]
    gone = [np.array(trie.log10_probs(n)) > 0 for n in range(1, order + 1)]
    context_log_probs = _log_probs_of_contexts(found, order)
    protected = np.zeros(gone[-1].size, bool)
    for n in range(order, 1, -1):
        upper, sums = found.log_probs[n - 2], np.zeros((gone[n - 2].size, 2))
        links = (found.log_probs[n - 1], upper, found.parents[n - 1], found.contexts[n - 1])
        _add_masses(gone[n - 1], *links, sums)
        _remove(gone[n - 1], protected, *links, sums, backoffs[n - 2], context_log_probs[n - 2], threshold)
        upper_protected = np.zeros(gone[n - 2].size, bool)
        _mark_contexts(gone[n - 1], found.contexts[n - 1], upper_protected)
        _protect_parents(protected, found.parents[n - 1], upper_protected)
        protected = upper_protected
    for n in range(2, order + 1):
        sums = np.zeros((gone[n - 2].size, 2))
        links = (found.log_probs[n - 1], found.log_probs[n - 2], found.parents[n - 1], found.contexts[n - 1])
        _add_masses(gone[n - 1], *links, sums)
        followed = np.zeros(gone[n - 2].size, bool)
        _mark_contexts(gone[n - 1], found.contexts[n - 1], followed)
        _new_backoffs(sums, followed, backoffs[n - 2])
        _refresh(gone[n - 1], *links, backoffs[n - 2], sums)
    return _without(trie, found, gone)


def _log_probs_of_contexts(found: Contexts, order: int) -> list[np.ndarray]:
    """For n from 1 to N - 1 (M,) float64: log10 p(h) of every context of n words."""
    first = found.log_probs[0].astype(np.float64)
    first[START] = first[found.trie.internal[0]]
    log_probs = [first]
    for n in range(2, order):
        out = np.empty(found.log_probs[n - 1].size)
        _context_log_probs(found.log_probs[n - 1], found.contexts[n - 1], log_probs[-1], out)
        log_probs.append(out)
    return log_probs


def _without(trie: Trie, found: Contexts, gone: list[np.ndarray]) -> Trie:
    nodes = list(trie.nodes)
    for n in range(2, trie.order + 1):
        column = PROB if nodes[n - 1].shape[1] == 4 else TOP_PROB
        nodes[n - 1].view(np.float32)[:-1, column] = found.log_probs[n - 1]
        nodes[n - 1][:-1, WORD][gone[n - 1]] |= DROPPED
    for n in range(trie.order, 1, -1):
        nodes[n - 1] = nodes[n - 1][: compact(nodes[n - 1], nodes[n - 2]) + 1]
        unmark(nodes[n - 1][:-1], PROB if nodes[n - 1].shape[1] == 4 else TOP_PROB)
    return Trie(nodes, trie.internal)
