"""The options of rnnlm 0.4b: names, values, defaults, limits and how each is echoed."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from corpora.command.c_options import INT_MAX, as_text, integer, real, values_of
from corpora.errors import CorpusError
from corpora.settings import settings_of
from rnnlm.config import MAX_DIRECT_ORDER, ModelConfig, TrainConfig

_SHORTEST_SAVE = 10_000  # words; 0.4b raises a smaller -anti-kasparek to this


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


def _setting(config: type, name: str, echo: str) -> Option:
    setting = settings_of(config)[name]
    read = {bool: None, int: integer, float: _real}[setting.kind]
    return Option(setting.old, name, read, echo, setting.unit)


# in the order in which 0.4b looks for them, which is that of its echo
OPTIONS = (
    Option("-debug", "debug", integer, "debug mode: %d"),
    Option("-train", "train", as_text, "train file: %s"),
    Option("-one-iter", "one_iter", None, "Training for one iteration"),
    _setting(TrainConfig, "max_epochs", "Maximum number of iterations: %d"),
    Option("-valid", "valid", as_text, "valid file: %s"),
    Option("-nbest", "nbest", None, "Processing test data as list of nbests"),
    Option("-test", "test", as_text, "test file: %s"),
    _setting(ModelConfig, "classes", "class size: %d"),
    _setting(ModelConfig, "old_classes", "Old algorithm for computing classes will be used"),
    Option("-lambda", "weight", _real, "Lambda (interpolation coefficient between rnnlm and other lm): %f"),
    _setting(TrainConfig, "gradient_cutoff", "Gradient cutoff: %f"),
    Option("-dynamic", "dynamic", _real, "Dynamic learning rate: %f"),
    Option("-gen", "gen", integer, "Generating # words: %d"),
    _setting(ModelConfig, "independent", "Sentences will be processed independently..."),
    _setting(TrainConfig, "alpha", "Starting learning rate: %f"),
    _setting(TrainConfig, "beta", "Regularization: %f"),
    _setting(TrainConfig, "min_improvement", "Min improvement: %f"),
    Option("-anti-kasparek", "save_every", integer, "Model will be saved after each # words: %d"),
    _setting(ModelConfig, "hidden", "Hidden layer size: %d"),
    _setting(ModelConfig, "compression", "Compression layer size: %d"),
    _setting(ModelConfig, "direct", "Direct connections: %dM"),
    _setting(ModelConfig, "direct_order", "Order of direct connections: %d"),
    _setting(TrainConfig, "bptt", "BPTT: %d"),
    _setting(TrainConfig, "bptt_block", "BPTT block: %d"),
    _setting(TrainConfig, "seed", "Rand seed: %d"),
    Option("-lm-prob", "lm_prob", as_text, "other lm probabilities specified in: %s"),
    Option("-binary", "binary", None, "Model will be saved in binary format"),
    Option("-rnnlm", "rnnlm", as_text, "rnnlm file: %s"),
    Option("-exact", "exact", None, ""),  # not of 0.4b, so not echoed: float64, every operation in its order
)
BY_NAME = {option.name: option for option in OPTIONS}
NAMES = frozenset(BY_NAME)

# what 0.4b makes of a value that is out of range; -direct is in millions
_LIMITS: dict[str, Callable[[int], int]] = {
    "save_every": lambda n: max(n, _SHORTEST_SAVE) if n else 0,
    "direct": lambda n: max(n, 0) * settings_of(ModelConfig)["direct"].unit,
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
    max_epochs: int = INT_MAX
    valid: str | None = None
    nbest: bool = False
    test: str | None = None
    classes: int = ModelConfig.classes
    old_classes: bool = False
    weight: float = 0.75
    gradient_cutoff: float = TrainConfig.gradient_cutoff
    dynamic: float = 0.0
    gen: int = 0
    independent: bool = False
    alpha: float = c_float(TrainConfig.alpha)
    beta: float = c_float(TrainConfig.beta)
    min_improvement: float = c_float(TrainConfig.min_improvement)
    save_every: int = 0
    hidden: int = 30
    compression: int = ModelConfig.compression
    direct: int = ModelConfig.direct
    direct_order: int = ModelConfig.direct_order
    bptt: int | None = None
    bptt_block: int = TrainConfig.bptt_block
    seed: int = TrainConfig.seed
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
    values, ignored = values_of(argv, BY_NAME)
    values |= {name: limit(values[name]) for name, limit in _LIMITS.items() if name in values}
    options = Options(**values, given=frozenset(values))
    _check(options)
    return options, ignored


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
