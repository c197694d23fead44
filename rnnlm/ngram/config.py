"""What an n-gram model is and how it is estimated, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass

from corpora.jobs.record import require
from corpora.settings import check, setting

MAX_ORDER = 9
SMOOTHINGS = (
    "modified-kneser-ney",
    "kneser-ney",
    "witten-bell",
    "good-turing",
    "absolute",
    "additive",
    "stupid-backoff",
    "maximum-likelihood",
)
UNKS = ("word", "kenlm")


@dataclass(frozen=True)
class NgramConfig:
    """``min_counts``: per order, None for what is usual with the smoothing.  ``prune``: None or 0 for no pruning."""

    order: int = setting(
        3, f"Words in the longest n-gram, at most {MAX_ORDER}.",
        low=1, high=MAX_ORDER, allowed=f"from 1 to {MAX_ORDER}", metavar="N",
    )  # fmt: skip
    smoothing: str = setting(
        SMOOTHINGS[0], f"{', '.join(SMOOTHINGS[:-1])} or {SMOOTHINGS[-1]}.", choices=SMOOTHINGS, metavar="NAME"
    )
    min_counts: tuple[int, ...] | None = None
    prune: float | None = None
    unk: str = setting(
        "word", "<unk> is a word of the text like others, or has what the interpolated unigrams leave (as in KenLM).",
        choices=UNKS,
    )  # fmt: skip

    def __post_init__(self):
        check(self)
        counts, prune = self.min_counts, self.prune
        require(
            counts is None or (bool(counts) and min(counts) >= 1 and len(counts) <= self.order),
            f"`min_count` {','.join(map(str, counts or ()))}: at most one number an order, from 1 on",
        )
        require(prune is None or 0 <= prune < 1, f"`prune` {prune}: a threshold from 0 to 1, for example 1e-8")
        require(
            not prune or self.smoothing != "stupid-backoff",
            "`prune` with `smoothing` stupid-backoff: pruning needs probabilities, which it has not",
        )


@dataclass(frozen=True)
class Options:
    """What single smoothings have: ``discount`` (D, None: estimated) is for absolute, ``delta`` for additive.

    ``interpolate``: None for the method's own way.  ``gt_max``: per order, the highest count that Good-Turing
    discounts (the last one holds for all higher orders).
    """

    interpolate: bool | None = None
    discount: float | None = setting(
        None, "For absolute: what is taken from every count.  [default: estimated for each order]",
        low=0, high=1, metavar="D",
    )  # fmt: skip
    delta: float = setting(1.0, "For additive: what is added.", low=0, above=True, metavar="X")
    gt_max: tuple[int, ...] = (1, 7)
