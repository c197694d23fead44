"""What each smoothing method takes away from counts, and how what was taken is given to shorter n-grams.

For a history h with the total T(h) = sum_w c(hw) and N(h) different words after it, every method gives

    p(w | h) = (c(hw) - D(c)) / T'(h) + weight(h) p(w | h'),        T'(h) = T(h) + a N(h) + b

where h' is h without its oldest word; D, a and b are the method's, and the weight is 0 without
interpolation.  With it, the weight is what was taken away, (sum_w D(c) + a N(h) + b) / T'(h).

=====================  ==============================  =====  =======================================
method                 D(c)                            a, b   source
=====================  ==============================  =====  =======================================
modified-kneser-ney    D1, D2, D3+                     0, 0   Chen & Goodman (1998), eq. 26
kneser-ney             D                               0, 0   Kneser & Ney (1995); Ney et al. (1994)
absolute               D                               0, 0   Ney et al. (1994)
witten-bell            0                               1, 0   Witten & Bell (1991), method C
good-turing            c - d_c c for c <= k            0, 0   Katz (1987)
additive               -delta                          0, *   Lidstone; b = delta V
maximum-likelihood     0                               0, 0
stupid-backoff         0; 0.4 p(w | h') where unseen   0, 0   Brants et al. (2007), eq. 5: not a probability
=====================  ==============================  =====  =======================================

Both kinds of Kneser-Ney replace the counts of all orders but the highest by the number of different
words before the n-gram; those that begin with <s> keep theirs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from rnnlm.ngram.config import Options

MAX_COUNT = 32  # counts of counts are kept up to here
STUPID = 0.4  # Brants et al. (2007)
_EPSILON = 3e-6  # a coefficient below it counts as zero


@dataclass(frozen=True)
class Rule:
    """How one order is smoothed.  ``taken`` (K,) float64: D(c), its last entry for all counts from K - 1 on.

    ``per_type``, ``constant``: a and b above.  ``backoff``: a fixed back-off weight instead of one that
    makes probabilities sum to one.  ``discounts``: for people, by name.
    """

    taken: np.ndarray
    per_type: float = 0.0
    constant: float = 0.0
    interpolate: bool = False
    backoff: float | None = None
    smooths: bool = True
    discounts: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Method:
    """``rule(n, counts_of_counts, n_words, options, warn)``: the Rule of order n.

    ``continuation``: lower orders count the words before an n-gram.  ``interpolates``: by default;
    None where there is nothing to choose.  ``min_counts``: the default per order.
    """

    rule: Callable[[int, np.ndarray, int, Options, Callable[[str], None]], Rule]
    continuation: bool = False
    interpolates: bool | None = None
    min_counts: tuple[int, ...] = (1,)


def ratio_discount(counts_of_counts: np.ndarray) -> float | None:
    """n1 / (n1 + 2 n2), Ney et al. (1994); None where it is not strictly between 0 and 1."""
    n1, n2 = counts_of_counts[1:3].tolist()
    if not n1 or not n2:
        return None
    return n1 / (n1 + 2 * n2)


def _modified_kneser_ney(n, counts_of_counts, n_words, options, warn) -> Rule:
    n1, n2, n3, n4 = counts_of_counts[1:5].tolist()
    found = None
    if n1 and n2 and n3:
        y = n1 / (n1 + 2 * n2)
        d = [1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3]
        if all(0 < value <= c for c, value in enumerate(d, 1)):
            found = d
    if found is None:
        found = [0.5, 1.0, 1.5]
        warn(
            f"order {n}: the discounts of modified Kneser-Ney are undefined (counts of counts {n1}, {n2}, {n3}, {n4}): "
            "0.5, 1 and 1.5 are used"
        )
    discounts = dict(zip(("D1", "D2", "D3+"), found, strict=True))
    return Rule(np.array([0.0, *found]), interpolate=_chosen(options, True), discounts=discounts)


def _one_discount(name: str):
    def rule(n, counts_of_counts, n_words, options, warn) -> Rule:
        discount = options.discount if name == "absolute discounting" else None
        if discount is None:
            discount = ratio_discount(counts_of_counts)
        if discount is None:
            discount = 0.75
            n1, n2 = counts_of_counts[1:3].tolist()
            warn(f"order {n}: the discount of {name} is undefined (counts of counts {n1}, {n2}): 0.75 is used")
        return Rule(np.array([0.0, discount]), interpolate=_chosen(options, True), discounts={"D": discount})

    return rule


def _witten_bell(n, counts_of_counts, n_words, options, warn) -> Rule:
    return Rule(np.zeros(1), per_type=1.0, interpolate=_chosen(options, True))


def _good_turing(n, counts_of_counts, n_words, options, warn) -> Rule:
    highest = options.gt_max[min(n, len(options.gt_max)) - 1]
    coefficients = katz_coefficients(counts_of_counts, highest, lambda finding: warn(f"order {n}: {finding}"))
    counts = np.arange(len(coefficients) + 1)
    taken = np.concatenate([[0.0], counts[1:] * (1 - np.array(coefficients))]) if coefficients else np.zeros(1)
    names = {f"d{c}": value for c, value in enumerate(coefficients, 1)}
    return Rule(np.append(taken, 0.0), interpolate=False, discounts=names)


def katz_coefficients(counts_of_counts: np.ndarray, highest: int, warn: Callable[[str], None]) -> list[float]:
    """d_1 ... d_k of Katz (1987): what a count c <= k is multiplied with; k is lowered until k + 1 is a count."""
    n = counts_of_counts.astype(np.float64)
    asked = highest
    while highest and (n[1] == 0 or n[highest + 1] == 0):
        highest -= 1
    if highest < asked and asked > 1:  # with 1, nothing is discounted anyway
        missing = 1 if n[1] == 0 else highest + 2
        rest = f"counts up to {highest} only" if highest else "none"
        warn(f"no n-gram has count {missing}: Good-Turing discounts {rest}")
    if not highest:
        return []
    common = (highest + 1) * n[highest + 1] / n[1]
    coefficients, odd = [], []
    for c in range(1, highest + 1):
        raw = (c + 1) * n[c + 1] / (c * n[c]) if n[c] else math.inf
        value = (raw - common) / (1 - common) if common != 1 else math.nan
        if not math.isfinite(value) or not _EPSILON < value <= 1 or raw > 1:
            # with k = 1 it always is: unigrams are not discounted, by convention
            odd += [c] if asked > 1 else []
            value = 1.0
        coefficients.append(float(value))
    if odd:
        counts = ", ".join(map(str, odd))
        warn(f"the Good-Turing coefficient of count {counts} is out of range: 1 is used")
    return coefficients


def _additive(n, counts_of_counts, n_words, options, warn) -> Rule:
    return Rule(np.full(1, -options.delta), constant=options.delta * n_words, discounts={"delta": options.delta})


def _maximum_likelihood(n, counts_of_counts, n_words, options, warn) -> Rule:
    return Rule(np.zeros(1), smooths=False)


def _stupid_backoff(n, counts_of_counts, n_words, options, warn) -> Rule:
    return Rule(np.zeros(1), smooths=False, backoff=STUPID, discounts={"backoff": STUPID})


def _chosen(options: Options, default: bool) -> bool:
    return default if options.interpolate is None else options.interpolate


METHODS: dict[str, Method] = {
    "modified-kneser-ney": Method(_modified_kneser_ney, continuation=True, interpolates=True),
    "kneser-ney": Method(_one_discount("Kneser-Ney"), continuation=True, interpolates=True),
    "witten-bell": Method(_witten_bell, interpolates=True),
    "good-turing": Method(_good_turing, min_counts=(1, 1, 2)),
    "absolute": Method(_one_discount("absolute discounting"), interpolates=True),
    "additive": Method(_additive),
    "stupid-backoff": Method(_stupid_backoff),
    "maximum-likelihood": Method(_maximum_likelihood),
}
