"""The classes of words that factorise the output layer.  V words."""

from __future__ import annotations

import numpy as np


def frequency_classes(counts: np.ndarray, n_classes: int, old: bool = False) -> np.ndarray:
    """Words in classes of about equal (root) frequency.  Mikolov et al. (2011), factorisation of the output.

    counts (V,) in the order of the vocabulary.  The words' shares, of sqrt(count) or with ``old``
    of the count itself, are summed in that order; a word at which the sum passes (class + 1) /
    n_classes is the last of its class.  This is rnnlm 0.4b's rule to the last bit: at most one
    class ends at a word, so with n_classes near V the last classes may stay empty.
    Returns class_of_word (V,) int32, non-decreasing.
    """
    if n_classes < 1:
        raise ValueError(f"{n_classes} classes: at least 1 is needed")
    counts = np.asarray(counts, np.float64)
    if counts.sum() <= 0:
        raise ValueError("classes by frequency need a vocabulary with counts")
    share = counts / counts.sum()
    if not old:
        root = np.sqrt(share)
        share = root / np.cumsum(root)[-1]  # cumsum adds one after another, as 0.4b does; sum does not
    passed = np.minimum(np.cumsum(share), 1.0)
    edges = np.arange(n_classes - 1)
    last = np.searchsorted(passed, (edges + 1) / n_classes, side="right")
    last = np.maximum.accumulate(last - edges) + edges
    return np.searchsorted(last, np.arange(counts.size), side="left").astype(np.int32)
