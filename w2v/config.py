"""How word vectors are trained, as a frozen value that is validated when it is made."""

from __future__ import annotations

import math
from dataclasses import dataclass

from corpora.jobs.record import Record, require

ARCHITECTURES = ("cbow", "skipgram")
NEGATIVES = ("shared", "exact")
CBOW_UPDATES = ("original", "corrected")
DTYPES = ("float32", "float64")
ALPHA = {"cbow": 0.05, "skipgram": 0.025}
MIN_ALPHA = 1e-4  # share of alpha below which the learning rate never falls
MAX_WINDOW = 1000
MAX_SIZE = 100_000


@dataclass(frozen=True)
class TrainConfig(Record):
    """Settings of word2vec (Mikolov et al. 2013a, b), with the names and defaults of word2vec.c.

    ``negative`` drawn words an example, 0: none; ``hs``: hierarchical softmax, also beside them.
    ``sample``: the share above which words are subsampled, 0: none are.  ``ns_exponent``: of the counts, for drawing.
    ``negatives``: "exact", fresh ones for every example; "shared" by the examples of a chunk (docs/equations.md).
    ``cbow_update`` "original": the whole error goes to every context word; "corrected": divided by their number.
    ``fixed_window``: always ``window`` words to each side, not 1 to ``window`` drawn for each.
    ``alpha`` None: 0.025 for skip-gram, 0.05 for CBOW ("corrected": times the mean number of context words).
    """

    architecture: str = "cbow"
    size: int = 100
    window: int = 5
    sample: float = 1e-3
    hs: bool = False
    negative: int = 5
    negatives: str = "shared"
    ns_exponent: float = 0.75
    cbow_update: str = "original"
    fixed_window: bool = False
    iterations: int = 5
    alpha: float | None = None
    seed: int = 1
    deterministic: bool = False
    dtype: str = "float32"

    def __post_init__(self):
        for name in ("sample", "ns_exponent", "alpha"):
            value = getattr(self, name)
            require(value is None or math.isfinite(value), f"--{name.replace('_', '-')}: not a finite number")
        require(self.architecture in ARCHITECTURES, f"{self.architecture}: one of {', '.join(ARCHITECTURES)}")
        require(1 <= self.size <= MAX_SIZE, f"--size {self.size}: 1 to {MAX_SIZE}")
        require(1 <= self.window <= MAX_WINDOW, f"--window {self.window}: 1 to {MAX_WINDOW} words to each side")
        require(0 <= self.sample <= 1, f"--sample {self.sample:g}: 0 (no subsampling) to 1")
        require(0 <= self.negative <= 1000, f"--negative {self.negative}: 0 (none) to 1000 drawn words")
        require(self.hs or self.negative > 0, "neither --hs nor --negative: there would be nothing to learn from")
        require(self.negatives in NEGATIVES, f"--negatives {self.negatives}: one of {', '.join(NEGATIVES)}")
        require(self.cbow_update in CBOW_UPDATES, f"--cbow-update {self.cbow_update}: {', '.join(CBOW_UPDATES)}")
        require(self.iterations >= 1, f"--iter {self.iterations}: at least 1")
        require(self.alpha is None or self.alpha > 0, f"--alpha {self.alpha}: above 0")
        require(self.seed >= 0, f"--seed {self.seed}: 0 or above")
        require(self.dtype in DTYPES, f"--dtype {self.dtype}: one of {', '.join(DTYPES)}")

    @property
    def starting_alpha(self) -> float:
        """``alpha``, or the default that fits the architecture."""
        if self.alpha is not None:
            return self.alpha
        if self.architecture == "cbow" and self.cbow_update == "corrected":
            return ALPHA["cbow"] * self.mean_contexts
        return ALPHA[self.architecture]

    @property
    def mean_contexts(self) -> int:
        """Of a word in the middle of a long sentence: 1 to ``window`` to each side, or always ``window``."""
        return 2 * self.window if self.fixed_window else self.window + 1
