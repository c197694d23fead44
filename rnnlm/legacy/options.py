"""The options of rnnlm 0.4b: names, values, defaults, limits and how each is echoed."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from corpora.command.c_options import INT_MAX, as_text, integer, real
from corpora.errors import CorpusError
from rnnlm.config import MAX_DIRECT_ORDER

_SHORTEST_SAVE = 10_000  # words; 0.4b raises a smaller -anti-kasparek to this
_MILLION = 1_000_000


def c_float(value: float) -> float:
    """As a variable of C's type ``float`` keeps it: 0.4b reads its real-valued options through one."""
    return ctypes.c_float(value).value  # infinity beyond its range; struct refuses such numbers from Python 3.15 on


def _real(name: str, value: str) -> float:
    return real(name, value, kept=c_float)


class Option(NamedTuple):
    """``read``: how its value is read, None for an option without one.  ``echo``: C's format; ``unit`` divides."""

    name: str
    field: str
    read: Callable | None
    echo: str
    unit: int = 1


# in the order in which 0.4b looks for them, which is that of its echo
OPTIONS = (
    Option("-debug", "debug", integer, "debug mode: %d"),
    Option("-train", "train", as_text, "train file: %s"),
    Option("-one-iter", "one_iter", None, "Training for one iteration"),
    Option("-max-iter", "max_iter", integer, "Maximum number of iterations: %d"),
    Option("-valid", "valid", as_text, "valid file: %s"),
    Option("-nbest", "nbest", None, "Processing test data as list of nbests"),
    Option("-test", "test", as_text, "test file: %s"),
    Option("-class", "classes", integer, "class size: %d"),
    Option("-old-classes", "old_classes", None, "Old algorithm for computing classes will be used"),
    Option("-lambda", "weight", _real, "Lambda (interpolation coefficient between rnnlm and other lm): %f"),
    Option("-gradient-cutoff", "gradient_cutoff", _real, "Gradient cutoff: %f"),
    Option("-dynamic", "dynamic", _real, "Dynamic learning rate: %f"),
    Option("-gen", "gen", integer, "Generating # words: %d"),
    Option("-independent", "independent", None, "Sentences will be processed independently..."),
    Option("-alpha", "alpha", _real, "Starting learning rate: %f"),
    Option("-beta", "beta", _real, "Regularization: %f"),
    Option("-min-improvement", "min_improvement", _real, "Min improvement: %f"),
    Option("-anti-kasparek", "save_every", integer, "Model will be saved after each # words: %d"),
    Option("-hidden", "hidden", integer, "Hidden layer size: %d"),
    Option("-compression", "compression", integer, "Compression layer size: %d"),
    Option("-direct", "direct", integer, "Direct connections: %dM", _MILLION),
    Option("-direct-order", "direct_order", integer, "Order of direct connections: %d"),
    Option("-bptt", "bptt", integer, "BPTT: %d"),
    Option("-bptt-block", "bptt_block", integer, "BPTT block: %d"),
    Option("-rand-seed", "seed", integer, "Rand seed: %d"),
    Option("-lm-prob", "lm_prob", as_text, "other lm probabilities specified in: %s"),
    Option("-binary", "binary", None, "Model will be saved in binary format"),
    Option("-rnnlm", "rnnlm", as_text, "rnnlm file: %s"),
    Option("-exact", "exact", None, ""),  # not of 0.4b, so not echoed: float64, every operation in its order
)
_BY_NAME = {option.name: option for option in OPTIONS}
NAMES = frozenset(_BY_NAME)

# what 0.4b makes of a value that is out of range; -direct is in millions
_LIMITS: dict[str, Callable[[int], int]] = {
    "save_every": lambda n: max(n, _SHORTEST_SAVE) if n else 0,
    "direct": lambda n: max(n, 0) * _MILLION,
    "direct_order": lambda n: min(n, MAX_DIRECT_ORDER),
    "bptt": lambda n: max(n, 0),
    "bptt_block": lambda n: max(n, 1),
}


@dataclass(frozen=True)
class Options:
    """The values of one command line; ``given`` names the fields that it sets.  Reals are C floats, widened.

    ``weight``: of the network, beside the model whose probabilities are in ``lm_prob`` (``-lambda``).
    """

    debug: int = 1
    train: str | None = None
    one_iter: bool = False
    max_iter: int = INT_MAX
    valid: str | None = None
    nbest: bool = False
    test: str | None = None
    classes: int = 100
    old_classes: bool = False
    weight: float = 0.75
    gradient_cutoff: float = 15.0
    dynamic: float = 0.0
    gen: int = 0
    independent: bool = False
    alpha: float = c_float(0.1)
    beta: float = c_float(1e-7)
    min_improvement: float = c_float(1.003)
    save_every: int = 0
    hidden: int = 30
    compression: int = 0
    direct: int = 0
    direct_order: int = 3
    bptt: int | None = None
    bptt_block: int = 10
    seed: int = 1
    lm_prob: str | None = None
    binary: bool = False
    rnnlm: str | None = None
    exact: bool = False
    given: frozenset[str] = field(default_factory=frozenset)

    @property
    def stored_bptt(self) -> int:
        """As model files hold it: the option's value plus one, 0 without the option."""
        return 0 if self.bptt is None else self.bptt + 1


def parse(argv: Sequence[str]) -> tuple[Options, list[str]]:
    """The options, and the arguments that 0.4b would not look at.  CorpusError for what cannot be done."""
    values, ignored = _values(argv)
    options = Options(**values, given=frozenset(values))
    _check(options)
    return options, ignored


def _values(argv: Sequence[str]) -> tuple[dict, list[str]]:
    values: dict = {}
    ignored = []
    arguments = iter(argv)
    for name in arguments:
        option = _BY_NAME.get(name)
        if option is None:
            ignored.append(name)
            continue
        value = True
        if option.read is not None:
            text = next(arguments, None)
            if text is None:
                raise CorpusError(f"{name}: its value is missing")
            value = option.read(name, text)
            value = _LIMITS.get(option.field, lambda n: n)(value)
        values.setdefault(option.field, value)  # 0.4b takes the first of two
    return values, ignored


def _check(options: Options) -> None:
    training = options.train is not None
    if training and options.valid is None and not options.one_iter:
        raise CorpusError("-train needs -valid FILE, or -one-iter for one pass without validation")
    if not training and options.test is None and options.gen <= 0:
        raise CorpusError("nothing to do: give -train FILE, -test FILE or -gen WORDS")
    if options.rnnlm is None:
        raise CorpusError("-rnnlm MODEL is missing: the model file to write or to read")
    if options.rnnlm == "-":
        raise CorpusError("-rnnlm -: a model is read from and written to a file")
    for name, path in (("-train", options.train), ("-valid", options.valid), ("-test", options.test)):
        # before hours of training, as 0.4b does
        if path is not None and path != "-" and not os.path.exists(path):
            raise CorpusError(f"{name} {path}: no such file")
    if options.lm_prob is not None and not os.path.exists(options.lm_prob):
        raise CorpusError(f"-lm-prob {options.lm_prob}: no such file")
    if not training and not os.path.exists(options.rnnlm):
        raise CorpusError(f"-rnnlm {options.rnnlm}: no such model file")
    if options.dynamic < 0:
        raise CorpusError(f"-dynamic {options.dynamic:g}: a learning rate above 0, or 0 for none")
    if not 0 <= options.weight <= 1:
        raise CorpusError(f"-lambda {options.weight:g}: the weight of the network, between 0 and 1")
