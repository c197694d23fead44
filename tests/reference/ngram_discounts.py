"""How each smoothing takes probability away from what was seen: a part of the twin in ``ngram``.

Sources and legend: see there.  Discounts belong to an order as a whole.  Where they are undefined or out of
range, what is used instead is decided for that order and told in one warning.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

EPSILON = 3e-6  # a probability below it counts as nothing: SRILM's limit
SMALLEST_DISCOUNT = 1e-6
MODIFIED_FALLBACK = (0.5, 1.0, 1.5)  # lmplz --discount_fallback
SINGLE_FALLBACK = 0.75

Warn = Callable[[str], None]


@dataclass(frozen=True)
class Discount:
    """How one order is discounted: p(w | h) = coefficient * c / T + lower_weight * p(w | h').

    coefficient(c, T, N1); lower_weight(T, N1, N2, N3), where the orders are interpolated.
    ``makes_room``: whether a history that leaves nothing for other words is estimated again.
    """

    coefficient: Callable[[int, int, int], float]
    lower_weight: Callable[[int, int, int, int], float] = lambda T, N1, N2, N3: 0.0
    makes_room: bool = True
    text: str = ""


def modified_kneser_ney(n: Counter[int], warn: Warn) -> Discount:
    """A discount each for the counts 1, 2 and above."""
    D1, D2, D3 = modified_discounts(n, warn)
    return Discount(
        lambda c, T, N1: (c - (D1, D2, D3)[min(c, 3) - 1]) / c,
        lambda T, N1, N2, N3: (D1 * (N1 - N2) + D2 * (N2 - N3) + D3 * N3) / T,
        text=f"D1={D1:.6g} D2={D2:.6g} D3+={D3:.6g}",
    )


def modified_discounts(n: Counter[int], warn: Warn) -> tuple[float, float, float]:
    """Chen and Goodman (1998), eq. 26.  n_4 = 0 is no reason to fall back: KenLM takes it, SRILM does not."""
    fallback = "discounts " + " ".join(f"{D:g}" for D in MODIFIED_FALLBACK)
    for r in (1, 2, 3):
        if n[r] == 0:
            warn(f"no n-grams with count {r}: {fallback}")
            return MODIFIED_FALLBACK
    Y = n[1] / (n[1] + 2 * n[2])
    D1, D2, D3 = (r - (r + 1) * Y * n[r + 1] / n[r] for r in (1, 2, 3))
    if min(D1, D2, D3) < SMALLEST_DISCOUNT:  # the two programs: < 0; 0 can leave nothing for other words
        warn(f"discounts out of range ({D1:.4g} {D2:.4g} {D3:.4g}): {fallback}")
        return MODIFIED_FALLBACK
    return D1, D2, D3


def one_discount(D: float) -> Discount:
    """Absolute discounting: D from every count."""
    return Discount(lambda c, T, N1: (c - D) / c, lambda T, N1, N2, N3: D * N1 / T, D > 0, f"D={D:.6g}")


def estimated_discount(n: Counter[int], warn: Warn) -> Discount:
    """D = n1 / (n1 + 2 n2), of Ney, Essen and Kneser (1994): Kneser-Ney's."""
    if n[1] == 0 or n[2] == 0:
        warn(f"no n-grams with count {1 if n[1] == 0 else 2}: discount {SINGLE_FALLBACK}")
        return one_discount(SINGLE_FALLBACK)
    return one_discount(n[1] / (n[1] + 2 * n[2]))


def good_turing(n: Counter[int], max_count: int, warn: Warn) -> Discount:
    """Katz (1987): counts from 1 to M <= max_count are discounted in Good's and Turing's proportion.

    Without any, and where no mass is left although words were not seen, ``makes_room`` helps.
    """
    d = katz_coefficients(n, max_count, warn)
    return Discount(lambda c, T, N1: d[c - 1] if c <= len(d) else 1.0, text=" ".join(f"{x:.6g}" for x in d))


def katz_coefficients(n: Counter[int], max_count: int, warn: Warn) -> list[float]:
    """d_1 .. d_M, 1 where the formula fails.  Nothing is told for max_count 1: the formula always gives 0 there,

    which is out of range, and that is how SRILM's default leaves unigrams undiscounted.
    """
    told = warn if max_count > 1 else (lambda finding: None)
    M = max_count if n[1] else 0
    while M > 0 and n[M + 1] == 0:
        M -= 1
    if M == 0:
        told(f"no n-grams with count {2 if n[1] else 1}: not discounted")
        return []
    common = (M + 1) * n[M + 1] / n[1]
    coefficients = []
    for r in range(1, M + 1):
        turing = (r + 1) * n[r + 1] / (r * n[r]) if n[r] else 0.0
        katz = (turing - common) / (1 - common) if common != 1 else 0.0
        # SRILM lets pass what is above 1, which the sum over a history may be then, too
        coefficients.append(katz if n[r] and turing <= 1 and EPSILON < katz <= 1 else 1.0)
    failed = [str(r) for r, coefficient in enumerate(coefficients, start=1) if coefficient == 1]
    if failed:
        told(f"Good-Turing coefficient of count {', '.join(failed)} out of range: 1")
    return coefficients


def witten_bell() -> Discount:
    """Witten and Bell (1991), method C: as many new words as there were different ones."""
    return Discount(lambda c, T, N1: T / (T + N1), lambda T, N1, N2, N3: N1 / (T + N1))


def additive(delta: float, V: int) -> Discount:
    """p = (c + delta) / (T + V delta)."""
    return Discount(lambda c, T, N1: (1 + delta / c) / (1 + V * delta / T), makes_room=delta > 0)


def undiscounted() -> Discount:
    """Relative frequencies."""
    return Discount(lambda c, T, N1: 1.0, makes_room=False)
