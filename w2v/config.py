"""How word vectors are trained and phrases are found, as frozen values that are validated when they are made."""

from __future__ import annotations

import math
from dataclasses import dataclass

from corpora.jobs.record import Record, require
from corpora.settings import check, setting

ARCHITECTURES = ("cbow", "skipgram")
NEGATIVES = ("shared", "exact")
CBOW_UPDATES = ("original", "corrected")
DTYPES = ("float32", "float64")
ALPHA = {"cbow": 0.05, "skipgram": 0.025}
MIN_ALPHA = 1e-4  # share of alpha below which the learning rate never falls
MAX_WINDOW = 1000
MAX_SIZE = 100_000
DEFAULT_THRESHOLDS = {"word2phrase": 100.0, "npmi": 0.5}  # of phrases, by their score
SCORES = tuple(DEFAULT_THRESHOLDS)


@dataclass(frozen=True)
class TrainConfig(Record):
    """Settings of word2vec (Mikolov et al. 2013a, b), with the names and defaults of word2vec.c.

    ``negative`` drawn words per example, 0: none; ``hs``: hierarchical softmax, also beside them.
    ``sample``: the share above which words are subsampled, 0: none are.  ``ns_exponent``: of the counts, for drawing.
    ``negatives``: "exact", fresh ones for every example; "shared" by the examples of a chunk (docs/equations.md).
    ``cbow_update`` "original": the whole error goes to every context word; "corrected": divided by their number.
    ``fixed_window``: always ``window`` words to each side, not 1 to ``window`` drawn for each.
    ``alpha`` None: 0.025 for skip-gram, 0.05 for CBOW ("corrected": times the mean number of context words).
    """

    architecture: str = "cbow"  # one option for each
    size: int = setting(100, "Numbers in a vector.", low=1, high=MAX_SIZE, metavar="D")
    window: int = setting(
        5, "At most N words to each side are the context; how many is drawn for each word.",
        low=1, high=MAX_WINDOW, allowed=f"1 to {MAX_WINDOW} words to each side", metavar="N",
    )  # fmt: skip
    sample: float = setting(
        1e-3, "Words with a larger share of the text are left out at random; 0: none is.",
        low=0, high=1, allowed="0 (no subsampling) to 1", metavar="X", form="g",
    )  # fmt: skip
    hs: bool = setting(False, "Hierarchical softmax, beside negative sampling unless that is `negative` 0.")
    negative: int = setting(
        5, "Negative sampling: words drawn for each example; 0: off.",
        low=0, high=1000, allowed="0 (none) to 1000 drawn words", metavar="N",
    )  # fmt: skip
    negatives: str = setting(
        "shared", "Draw them for each example (exact, as word2vec.c), or let several share them.", choices=NEGATIVES
    )
    ns_exponent: float = setting(0.75, "Draw them by their counts to this power.", metavar="X")
    cbow_update: str = setting(
        "original", "CBOW: each context word gets the whole error, or (corrected) its share of it.",
        choices=CBOW_UPDATES, allowed=", ".join(CBOW_UPDATES),
    )  # fmt: skip
    fixed_window: bool = setting(False, "Always N words to each side.")
    iterations: int = setting(5, "Epochs: passes over the text.", low=1, metavar="N", option="--iter")
    alpha: float | None = setting(
        None, "Starting learning rate.  [default: 0.05 for CBOW, 0.025 for skip-gram; with `cbow_update` corrected "
        "0.05 times the mean number of context words]",
        low=0, above=True, metavar="X",
    )  # fmt: skip
    seed: int = setting(1, low=0)
    deterministic: bool = setting(False, "The same bytes whatever the number of threads.  One thread is always so.")
    dtype: str = setting("float32", "The numbers to compute with.", choices=DTYPES)

    def __post_init__(self):
        require(self.architecture in ARCHITECTURES, f"{self.architecture}: one of {', '.join(ARCHITECTURES)}")
        require(self.hs or self.negative != 0, "neither `hs` nor `negative`: there would be nothing to learn from")
        check(self)

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
        """For a word in the middle of a long sentence: 1 to ``window`` to each side, or always ``window``."""
        return 2 * self.window if self.fixed_window else self.window + 1


@dataclass(frozen=True)
class PhraseConfig(Record):
    """How phrases are found.

    ``thresholds``: of each pass, the last one for all further ones; empty: the default of the score.
    ``min_count``: of the words and the pair; also what word2phrase's score takes from the pair's count.
    ``connectors``: words that may stand inside a phrase, at most three in a row, and never begin or end one.
    ``across_lines``: the last word of a line and the first of the next count as a pair; they are never joined.
    ``compatible``: word2phrase's output to the byte: across lines, a pair and a word of the same name share their
    count, and every word has a space before it.
    """

    thresholds: tuple[float, ...] = ()
    passes: int = setting(
        1,
        "Join again what was joined, for longer phrases.  [default: 1, or one for each threshold]",
        low=1,
        metavar="N",
    )
    min_count: int = setting(5, "Least count of the pair and of its words.", low=1, metavar="N")
    score: str = setting(
        "word2phrase",
        "(count(a b) - min-count) / count(a) / count(b) * words, or normalised mutual information.",
        choices=SCORES,
    )
    separator: bytes = b"_"
    connectors: tuple[bytes, ...] = ()
    across_lines: bool = setting(False, "Count pairs across line ends, too, as word2phrase does.")
    compatible: bool = setting(False, "Write what word2phrase writes, to the byte.")

    def __post_init__(self):
        check(self)
        require(len(self.thresholds) <= self.passes, f"{len(self.thresholds)} thresholds for `passes` {self.passes}")
        for value in self.thresholds:
            require(math.isfinite(value), f"`threshold` {value}: not a finite number")
            require(
                self.score != "npmi" or -1 <= value <= 1, f"`threshold` {value:g}: `score` npmi is between -1 and 1"
            )
        require(bool(self.separator), "`separator`: at least one character")
        require(not set(self.separator) & set(b" \t\r\n"), "`separator`: without spaces and line ends")
        if self.compatible:
            require(self.score == "word2phrase", f"`compatible`: word2phrase has no `score` {self.score}")
            require(not self.connectors, "`compatible`: word2phrase has no `connectors`")

    def threshold(self, number: int) -> float:
        """The threshold of pass ``number``, from 0 on."""
        values = self.thresholds or (DEFAULT_THRESHOLDS[self.score],)
        return values[min(number, len(values) - 1)]
