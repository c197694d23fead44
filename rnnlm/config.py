"""What a model is and how it is trained, as frozen values that are validated when they are made."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from corpora.jobs.record import Record, require

CELLS = ("elman",)
ACTIVATIONS = ("logistic", "tanh", "relu", "elu")
INITIALISATIONS = ("mikolov", "normal", "xavier", "he")
DTYPES = ("float32", "float64")
MAX_DIRECT_ORDER = 20  # as rnnlm 0.4b
LARGEST_WEIGHT = 1e6  # in a mixture: a larger exponent leaves nothing but the most probable word


class Beginning(NamedTuple):
    """What training begins with, unless told otherwise, so that it converges with an activation.

    ``alpha``: the learning rate with up to 100 hidden units.  ``input``, ``recurrent``, ``output``: factors of the
    matrices that ``mikolov`` draws.  ``offset``: each unit's weights from all words are moved by one number in
    +-offset, a bias that units with a mean of zero lack.
    """

    alpha: float
    input: float = 1.0
    recurrent: float = 1.0
    output: float = 1.0
    offset: float = 0.0


# beside 0.4b's for the logistic function: chosen on 100 kB of Shakespeare by character and on Penn Treebank's
# validation text, 30 to 400 units.  Weak recurrence and strong input keep the states of unbounded units from growing
BEGINNINGS = {
    "logistic": Beginning(0.1),
    "tanh": Beginning(0.014, input=2.0, recurrent=0.1, output=0.3, offset=1.0),
    "relu": Beginning(0.005, input=5.0, recurrent=0.1, output=0.3),
    "elu": Beginning(0.002, input=10.0, recurrent=0.1, output=0.3),
}


def default_alpha(activation: str, hidden: int) -> float:
    """The learning rate to begin with; of other than logistic units, more than 100 have less each."""
    alpha = BEGINNINGS[activation].alpha
    return alpha if activation == "logistic" else alpha * 100 / max(hidden, 100)


@dataclass(frozen=True)
class ModelConfig(Record):
    """The architecture of a recurrent language model.

    ``classes`` 1 is the full softmax.  ``compression`` 0 is no compression layer.  ``direct`` is
    the number of hashed maximum-entropy weights (0: none), ``direct_order`` the longest feature:
    its number of context words plus one.  ``independent``: the state is reset after every sentence.
    """

    hidden: int = 100
    cell: str = "elman"
    activation: str = "logistic"
    classes: int = 100
    old_classes: bool = False
    compression: int = 0
    direct: int = 0
    direct_order: int = 3
    independent: bool = False
    dtype: str = "float32"

    def __post_init__(self):
        require(self.hidden >= 1, f"--hidden {self.hidden}: at least 1 unit is needed")
        require(self.cell in CELLS, f"cell {self.cell}: one of {', '.join(CELLS)}")
        require(self.activation in ACTIVATIONS, f"--activation {self.activation}: one of {', '.join(ACTIVATIONS)}")
        require(self.classes >= 1, f"--class {self.classes}: at least 1 (1 is the full softmax)")
        require(self.compression >= 0, f"--compression {self.compression}: 0 (none) or a size")
        require(self.direct >= 0, f"--direct {self.direct}: 0 (none) or a number of weights")
        require(self.direct % 2 == 0, f"--direct {self.direct}: an even number (one half for classes, one for words)")
        require(
            1 <= self.direct_order <= MAX_DIRECT_ORDER,
            f"--direct-order {self.direct_order}: 1 to {MAX_DIRECT_ORDER}",
        )
        require(self.dtype in DTYPES, f"--dtype {self.dtype}: one of {', '.join(DTYPES)}")


def parameter_shapes(config: ModelConfig, n_words: int) -> dict[str, tuple[int, ...]]:
    """The name and shape of every parameter: U W K O C D, in the order in which 0.4b draws them."""
    below = config.compression or config.hidden
    return {
        "U": (n_words, config.hidden),
        "W": (config.hidden, config.hidden),
        **({"K": (config.compression, config.hidden)} if config.compression else {}),
        "O": (n_words, below),
        "C": (config.classes, below),
        **({"D": (config.direct,)} if config.direct else {}),
    }


@dataclass(frozen=True)
class TrainConfig(Record):
    """How a model is trained: online stochastic gradient descent as in Mikolov's toolkit.

    ``bptt`` steps of error propagation before the block, 0 or 1: none; every ``bptt_block`` words
    the recurrent weights are updated.  ``gradient_cutoff`` clips every element of a propagated
    error, 0: off.  ``beta``: L2 decay, applied every tenth word.  ``alpha`` is halved from the epoch
    on whose validation log probability improved by less than the factor ``min_improvement``.
    ``compatible``: everything that changes a digit is done as rnnlm 0.4b does it (docs/compatibility.md).
    """

    alpha: float = 0.1
    beta: float = 1e-7
    bptt: int = 4
    bptt_block: int = 10
    gradient_cutoff: float = 15.0
    min_improvement: float = 1.003
    max_epochs: int = 100
    initialisation: str = "mikolov"
    scale: float = 1.0
    seed: int = 1
    compatible: bool = False

    def __post_init__(self):
        for name in ("alpha", "beta", "gradient_cutoff", "min_improvement", "scale"):
            require(math.isfinite(getattr(self, name)), f"--{name.replace('_', '-')}: not a finite number")
        require(self.alpha > 0, f"--alpha {self.alpha}: above 0")
        require(self.beta >= 0, f"--beta {self.beta}: 0 or above")
        require(self.bptt >= 0, f"--bptt {self.bptt}: 0 (none) or a number of steps")
        require(self.bptt_block >= 1, f"--bptt-block {self.bptt_block}: at least 1 word")
        require(self.gradient_cutoff >= 0, f"--gradient-cutoff {self.gradient_cutoff}: 0 (off) or above")
        require(self.max_epochs >= 1, f"--max-iter {self.max_epochs}: at least 1 epoch")
        require(self.scale > 0, f"--init-scale {self.scale}: above 0")
        require(self.seed >= 0, f"--seed {self.seed}: 0 or above")
        require(
            self.initialisation in INITIALISATIONS,
            f"--init {self.initialisation}: one of {', '.join(INITIALISATIONS)}",
        )
