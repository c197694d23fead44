"""The kernel of expectation maximisation for mixture weights."""

from __future__ import annotations

import math

from corpora.compute.jit import exact_kernel

_ROWS = 4096  # whose sums are added up first: rounding does not grow with the text


@exact_kernel
def em_step(probabilities, weights, partial, sums):
    """sums[k] = sum_t w_k p_tk / sum_j w_j p_tj, overwritten; returns sum_t log sum_k w_k p_tk.

    probabilities (n, K) float64, the largest of each row 1, so that nothing underflows; partial (K,) is room.
    """
    n, n_models = probabilities.shape
    log_likelihood = 0.0
    sums[:] = 0.0
    for start in range(0, n, _ROWS):
        partial[:] = 0.0
        product, part = 1.0, 0.0
        for t in range(start, min(start + _ROWS, n)):
            total = 0.0
            for k in range(n_models):
                total += weights[k] * probabilities[t, k]
            if total <= 0.0:  # only a model of weight 0 allows this word
                return -math.inf
            inverse = 1.0 / total
            for k in range(n_models):
                partial[k] += probabilities[t, k] * inverse
            product *= total
            if product < 1e-100:  # one logarithm for many words
                part += math.log(product)
                product = 1.0
        log_likelihood += part + math.log(product)
        for k in range(n_models):
            sums[k] += weights[k] * partial[k]
    return log_likelihood
