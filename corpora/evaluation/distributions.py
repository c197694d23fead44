"""Arithmetic with whole distributions, (V,) or (n, V) float64: the probabilities of all words."""

from __future__ import annotations

import numpy as np


def softmax(scores: np.ndarray) -> np.ndarray:
    """exp(scores) over its sum along the last axis, in place; the largest score of a row is finite."""
    scores -= scores.max(-1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(-1, keepdims=True)
    return scores


def entropy_bits(p: np.ndarray) -> np.ndarray:
    """The entropies of distributions p (..., V), bits."""
    terms = np.log2(p, out=np.zeros_like(p), where=p > 0)
    terms *= p
    return np.maximum(0.0, -terms.sum(-1))
