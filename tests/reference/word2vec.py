"""word2vec's learning in plain NumPy float64: written for reading, not for speed.

Mikolov et al. (2013a), "Efficient estimation of word representations in vector space"; (2013b), "Distributed
representations of words and phrases and their compositionality".  V words, d size, N negatives of a chunk.

An example has a hidden layer h, the mean of some rows of syn0, and outputs, each of them a row o of another
matrix with a label and a weight.  The objective of an example, which is to become small, is

    sum over outputs of  weight * -log sigma(h . o)    where the label is 1
                         weight * -log sigma(-h . o)   where it is 0

``learn`` does one step down for each example, everything else says which rows are its inputs and outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Output(NamedTuple):
    matrix: np.ndarray
    row: int
    label: int
    weight: float = 1.0


class Example(NamedTuple):
    inputs: Sequence[int]  # rows of syn0; a word may be there twice
    outputs: Sequence[Output]


def sigmoid(x):
    return 1 / (1 + np.exp(-x)) if x >= 0 else np.exp(x) / (1 + np.exp(x))


def loss_of(score, label):
    """-log sigma(score), or for label 0 -log sigma(-score)."""
    return np.logaddexp(0, -score if label else score)


def learn(syn0, examples, alpha, *, mean=True, update="original", at_once=False, sigmoid=sigmoid):
    """Learn the examples; the sum of their objectives, each before its own step.  All matrices change in place.

    As in word2vec.c an output row changes as soon as its score is known, and the inputs after all outputs.
    at_once: all scores are of the rows before the first example, and all changes are made after the last:
    alpha times the gradient of the sum of the objectives, with ``update`` "corrected".
    update "original": the whole error goes to every input; "corrected": divided by their number, as the mean's
    derivative demands.  With one input they are the same.  mean False: the inputs' sum, for which both are right.
    """
    matrices = [syn0, *{id(o.matrix): o.matrix for example in examples for o in example.outputs}.values()]
    read = {id(matrix): matrix.copy() if at_once else matrix for matrix in matrices}
    total = 0.0
    for inputs, outputs in examples:
        inputs = list(inputs)
        share = 1 / len(inputs) if mean else 1.0
        hidden = share * read[id(syn0)][inputs].sum(axis=0)
        error = np.zeros_like(hidden)
        for matrix, row, label, weight in outputs:
            score = hidden @ read[id(matrix)][row]
            total += weight * loss_of(score, label)
            step = alpha * weight * (label - sigmoid(score))
            error += step * read[id(matrix)][row]
            matrix[row] += step * hidden
        for word in inputs:
            syn0[word] += error * (share if update == "corrected" else 1.0)
    return total


def negative_outputs(syn1neg, target, negatives, weight=1.0):
    """The target word, and drawn words of this weight each.  word2vec.c leaves out those that are the target."""
    return [Output(syn1neg, target, 1), *(Output(syn1neg, word, 0, weight) for word in negatives)]


def hierarchical_outputs(syn1, tree, target):
    """The inner nodes on the way to the target; branch 0 has label 1."""
    return [Output(syn1, node, 1 - bit) for node, bit in zip(*tree.path(target), strict=True)]


# One example after another, as word2vec.c learns; they return the mean of the objective over the examples.


def skipgram_negative(syn0, syn1neg, pairs, alpha, **how):
    """pairs: (input, target, negatives, weight).  word2vec.c's input is the context word, its target the centre."""
    examples = [
        Example([word], negative_outputs(syn1neg, target, negatives, weight))
        for word, target, negatives, weight in pairs
    ]
    return learn(syn0, examples, alpha, **how) / len(examples)


def cbow_negative(syn0, syn1neg, windows, alpha, **how):
    """windows: (contexts, target, negatives, weight)."""
    examples = [
        Example(contexts, negative_outputs(syn1neg, target, negatives, weight))
        for contexts, target, negatives, weight in windows
    ]
    return learn(syn0, examples, alpha, **how) / len(examples)


def skipgram_hierarchical(syn0, syn1, pairs, tree, alpha, **how):
    """pairs: (input, target).  tree: a ``corpora.huffman.HuffmanTree``."""
    examples = [Example([word], hierarchical_outputs(syn1, tree, target)) for word, target in pairs]
    return learn(syn0, examples, alpha, **how) / len(examples)


def cbow_hierarchical(syn0, syn1, windows, tree, alpha, **how):
    """windows: (contexts, target)."""
    examples = [Example(contexts, hierarchical_outputs(syn1, tree, target)) for contexts, target in windows]
    return learn(syn0, examples, alpha, **how) / len(examples)


def both(syn0, syn1, syn1neg, windows, tree, alpha, **how):
    """windows: (inputs, target, negatives, weight).  One error of both objectives goes to the inputs, as in word2vec.c.

    Skip-gram where there is one input.
    """
    examples = [
        Example(
            inputs,
            hierarchical_outputs(syn1, tree, target) + negative_outputs(syn1neg, target, negatives, weight),
        )
        for inputs, target, negatives, weight in windows
    ]
    return learn(syn0, examples, alpha, **how) / len(examples)


# A chunk of centres at once, with one set of drawn words for all of them.


def skipgram_negative_shared(syn0, syn1neg, centres, negatives, negative, alpha, *, skip_targets=False):
    """centres: (word, contexts); negatives (N,), drawn for the chunk, standing for ``negative`` a pair.

    The input is the centre, the targets its n context words; each drawn word has the weight n * negative / N.
    skip_targets: a drawn word does not count for the pairs whose target it is.
    Returns the mean over pairs.
    """
    examples = []
    for word, contexts in centres:
        outputs = [Output(syn1neg, target, 1) for target in contexts]
        for drawn in negatives:
            n_pairs = sum(not (skip_targets and target == drawn) for target in contexts)
            outputs.append(Output(syn1neg, drawn, 0, n_pairs * negative / len(negatives)))
        examples.append(Example([word], outputs))
    n_pairs = sum(len(contexts) for _, contexts in centres)
    return learn(syn0, examples, alpha, at_once=True) / n_pairs


def cbow_negative_shared(
    syn0, syn1neg, centres, negatives, negative, alpha, *, skip_targets=False, mean=True, update="original"
):
    """centres: (contexts, target), those without contexts left out; negatives (N,), of weight negative / N each.

    Returns the mean over centres.
    """
    weight = negative / len(negatives)
    examples = [
        Example(
            contexts,
            negative_outputs(
                syn1neg, target, [word for word in negatives if not (skip_targets and word == target)], weight
            ),
        )
        for contexts, target in centres
    ]
    return learn(syn0, examples, alpha, mean=mean, update=update, at_once=True) / len(examples)


# What is learnt from: words that are kept, their windows, and the learning rate.


def subsample_and_windows(ids, keep, window, keep_draws, window_draws, *, fixed=False):
    """Choose words and windows: the words are chosen first, and a window is of words that are left.

    ids: 0 is a sentence end, -1 no word of the vocabulary.  keep (V,): probabilities.
    keep_draws (as ids): a word stays where its number, uniform in [0, 1), is below its probability.
    window_draws: a uniform number for each word that stays, in their order; it reaches 1 to ``window`` words, or
    always ``window`` where ``fixed``, to each side, and not beyond its sentence.
    Returns kept (n,), lo (n,), hi (n,): the window of word i is kept[lo[i]:hi[i]] without place i itself.
    """
    sentences = [[]]
    for word, draw in zip(ids, keep_draws, strict=True):
        if word == 0:
            sentences.append([])
        elif word > 0 and draw < keep[word]:
            sentences[-1].append(word)
    kept, lo, hi = [], [], []
    draws = iter(window_draws)
    for sentence in sentences:
        begin, end = len(kept), len(kept) + len(sentence)
        for i in range(begin, end):
            reach = window if fixed else 1 + int(next(draws) * window)
            lo.append(max(begin, i - reach))
            hi.append(min(end, i + reach + 1))
        kept += sentence
    return np.array(kept, np.int32), np.array(lo, np.int64), np.array(hi, np.int64)


def learning_rate(alpha, done, total):
    """word2vec.c's: falls in proportion to the words done of all ``total`` of all epochs, not below alpha / 10,000."""
    return max(alpha * (1 - done / (total + 1)), alpha * 1e-4)
