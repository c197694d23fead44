"""A softmax over all words as products of matrices: P(w | h) = exp(h . O_w + o_w) / sum.  V words, P units below.

Weights: (O (V, P), o (V,)); O may be the embedding (tied: Inan et al. 2017, Press & Wolf 2017).
"""

from __future__ import annotations

import math

import numpy as np

from corpora.compute.jit import exp, kernel, stage
from corpora.compute.matmul import multiply, multiply_across, panel_width, room_for_products, transpose
from corpora.compute.simd import aligned_zeros, largest, load, pointer, scalar, store
from rnnlm.cells import Parameter
from rnnlm.layers import sum_rows
from rnnlm.outputs import Output
from rnnlm.updates import Dense

_MOST_SCORES = 1 << 24  # of all words and rows together that are held while learning
_TOKENS = 64  # whose scores of all words are held at once, in scoring


def parameters(config, n_words: int) -> dict[str, Parameter]:
    """O (V, P), unless it is the embedding, and o (V,)."""
    below = config.hidden
    tied = {} if config.tied else {"O": Parameter((n_words, below), (below, n_words), "output", bound=0.1)}
    return tied | {"o": Parameter((n_words,), (below, n_words), value=0.0)}


@stage
def add_bias(S, at, bias, n):
    """S[at : at+n] += bias; returns the largest of them."""
    for i in range(n):
        store(S, at + i, load(S, at + i) + load(bias, i))
    return largest(S, at, n)


@stage
def exponentials(S, at, n, top):
    """S[at : at+n] = exp(S - top); returns their sum."""
    total = scalar(S, 0.0)
    for i in range(n):
        e = exp(load(S, at + i) - top)
        store(S, at + i, e)
        total += e
    return total


@kernel
def softmax_scores(scores, bias, targets, first, n, log_prob):
    """log_prob[first + t] (float64, natural) = log softmax(scores[t] + bias)[targets[first + t]], t < n; 0 for -1.

    scores (>= n, V), overwritten.
    """
    n_words, ld = bias.size, scores.shape[1]
    S, b = pointer(scores), pointer(bias)
    for t in range(n):
        word = np.int64(targets[first + t])
        log_prob[first + t] = 0.0
        if word >= 0:
            top = add_bias(S, t * ld, b, n_words)
            score = np.float64(load(S, t * ld + word) - top)
            log_prob[first + t] = score - math.log(np.float64(exponentials(S, t * ld, n_words, top)))


@kernel
def softmax_errors(scores, bias, targets, first, begin, end, scale, log_prob):
    """As ``softmax_scores`` of rows begin to end; they become scale * (onehot - softmax), zero where the target is -1.

    Row t of the scores is that of targets[first + t].
    """
    n_words, ld = bias.size, scores.shape[1]
    S, b = pointer(scores), pointer(bias)
    for t in range(begin, end):
        word, at = np.int64(targets[first + t]), t * ld
        log_prob[first + t] = 0.0
        if word >= 0:
            top = add_bias(S, at, b, n_words)
            score = np.float64(load(S, at + word) - top)
            total = exponentials(S, at, n_words, top)
            log_prob[first + t] = score - math.log(np.float64(total))
            factor = -scale / total
            for i in range(at, at + n_words):
                store(S, i, load(S, i) * factor)
            store(S, at + word, load(S, at + word) + scale)
        else:
            for i in range(at, at + n_words):
                store(S, i, scalar(S, 0.0))


@kernel
def softmax_rows(scores, bias, n, entropy_bits):
    """scores[:n] (n, V) = softmax(scores + bias); entropy_bits (n,) float64."""
    n_words, ld = bias.size, scores.shape[1]
    S, b = pointer(scores), pointer(bias)
    for t in range(n):
        at = t * ld
        top = add_bias(S, at, b, n_words)
        total = 0.0
        weighted = 0.0  # sum of e^s s
        for i in range(at, at + n_words):
            s = load(S, i) - top
            e = exp(s)
            store(S, i, e)
            total += np.float64(e)
            weighted += np.float64(e) * np.float64(s)
        entropy_bits[t] = (math.log(total) - weighted / total) / math.log(2.0)
        factor = scalar(S, 1.0 / total)
        for i in range(at, at + n_words):
            store(S, i, load(S, i) * factor)


def log_probs(weights, shape, hidden_states, ids, histories, class_of_word, class_start, log_prob) -> None:
    (O, bias), n_below = weights, shape.n_hidden
    scores, room = aligned_zeros((min(_TOKENS, max(1, ids.size)), O.shape[0]), O.dtype), room_for_products(O.dtype)
    for first in range(0, ids.size, _TOKENS):
        n = min(_TOKENS, ids.size - first)
        multiply(scores, hidden_states[first : first + n], O, n_below, 1, 0, (0, n), (0, O.shape[0]), 0, room)
        softmax_scores(scores, bias, ids, first, n, log_prob)


def distributions(weights, shape, hidden_states, histories, class_start, probabilities, entropy_bits, keep) -> None:
    (O, bias), n_below = weights, shape.n_hidden
    rows, room = len(probabilities), room_for_products(O.dtype)
    for first in range(0, len(hidden_states), rows):
        n = min(rows, len(hidden_states) - first)
        hidden = hidden_states[first : first + n]
        multiply(probabilities, hidden, O, n_below, 1, 0, (0, n), (0, O.shape[0]), 0, room)
        softmax_rows(probabilities, bias, n, entropy_bits[first : first + n])


def rows_at_once(n_rows: int, n_words: int) -> int:
    """Rows whose scores of all words are held together while learning."""
    return min(n_rows, max(1, _MOST_SCORES // n_words))


class FullLearner:
    """Learns O and o from blocks of rows: every word's score of every row is computed, some rows at a time."""

    def __init__(self, model, config, n_rows: int, workers):
        O, self.bias = model.output_weights
        self.O, self.n_below, self.workers = O, model.config.hidden, workers
        self.rows = rows_at_once(n_rows, O.shape[0])
        self.scores = aligned_zeros((self.rows, O.shape[0]), O.dtype)
        self.below = aligned_zeros((self.n_below, self.rows), O.dtype)  # transposed
        self.gradients = {"E" if model.config.tied else "O": Dense(O), "o": Dense(self.bias)}

    def learn(self, hidden, targets, histories, errors, log_prob, scale) -> None:
        (O, bias), n, V = (self.O, self.bias), targets.size, self.O.shape[0]
        dO, dbias = (gradient.values for gradient in self.gradients.values())
        for first in range(0, n, self.rows):
            rows = min(self.rows, n - first)
            X, E = hidden[first : first + rows], errors[first : first + rows]

            def score(begin, end, scratch, X=X, E=E, first=first):
                part, room = (begin, end), scratch.room
                multiply(self.scores, X, O, self.n_below, 1, 0, part, (0, V), 0, room)
                softmax_errors(self.scores, bias, targets, first, begin, end, scale, log_prob)
                multiply(E, self.scores, O, V, 0, 0, part, (0, self.n_below), 0, room)
                transpose(X, part, self.n_below, self.below)

            def change(begin, end, scratch, rows=rows, adds=int(first > 0)):
                multiply_across(dO, self.below, self.scores, self.n_below, rows, adds, (begin, end), scratch.room)
                sum_rows(self.scores, rows, begin, adds, dbias[begin:end])

            self.workers.share(score, rows)
            self.workers.share(change, V, panel_width(O.dtype))


def work(model) -> int:
    """Multiplications for the scores of all words."""
    return model.output_weights[0].size


def learner(model, config, n_rows: int, workers):
    def full():
        return FullLearner(model, config, n_rows, workers)

    if config.loss == "full":
        return full()
    from rnnlm.outputs.sampled import SampledLearner

    return SampledLearner(model, config, n_rows, workers, full)


OUTPUT = Output(parameters, log_probs, distributions, learner, work)
