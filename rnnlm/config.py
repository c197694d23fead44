"""What a model is and how it is trained, as frozen values that are validated when they are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from corpora.jobs.record import Record, require
from corpora.settings import check, setting
from rnnlm.cells import CELLS, Parameter, cell_of
from rnnlm.optimizers import OPTIMIZERS
from rnnlm.outputs import is_full, output_of
from rnnlm.schedules import SCHEDULES

ACTIVATIONS = ("logistic", "tanh", "relu", "elu")
INITIALISATIONS = ("mikolov", "uniform", "normal", "xavier", "he")
RESETS = ("after", "before")
TRAINING_ENGINES = ("online", "minibatch")
OUTPUT_LAYERS = ("softmax", "hierarchical")
LOSSES = ("full", "sampled", "nce")
DTYPES = ("float32", "float64")
DROPOUT_PLACES = ("input", "between", "output")
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


_ALPHAS = ", ".join(f"{name} {begin.alpha:g}" for name, begin in BEGINNINGS.items() if name != "logistic")


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

    hidden: int = setting(100, "Hidden units.", low=1, allowed="at least 1 unit is needed", metavar="H")
    cell: str = setting(
        "elman", "What comes back at the next word: elman: the hidden units; jordan: the probabilities of all words, "
        "for small vocabularies (without classes, `compression`, `direct`, `compatible`); lstm, gru: gated units.",
        choices=tuple(CELLS),
    )  # fmt: skip
    layers: int = setting(1, "Hidden layers, one above the other.", low=1, allowed="at least 1 layer", metavar="L")
    embedding: int = setting(
        0, "Units of a linear layer between words and the first hidden layer; 0: none.",
        low=0, allowed="0 (none) or a size", metavar="E",
    )  # fmt: skip
    tied: bool = setting(False, "The embedding is the output matrix, too (without classes, `compression`, `direct`).")
    reset: str = setting("after", "gru: the reset gate acts after or before the recurrent product.", choices=RESETS)
    forget_gate: bool = setting(True, "lstm: cells can forget.")
    peephole: bool = setting(False, "lstm: gates see the cells.")
    activation: str = setting(
        "logistic", "Function of the hidden units.  [default: logistic; of stacks tanh]", choices=ACTIVATIONS
    )
    output_layer: str = setting(
        "softmax", "From hidden units to words: softmax: over all words, or over classes and the words of one; "
        "hierarchical: decisions in a Huffman tree (without classes, `compression`, `direct`, `tied`).",
        choices=OUTPUT_LAYERS,
    )  # fmt: skip
    classes: int = setting(
        100, "Word classes of the output layer; 1: softmax over all words.  [default: 100; jordan and stacks: 1]",
        low=1, allowed="at least 1 (1 is the full softmax)", metavar="C", option="--class",
    )  # fmt: skip
    old_classes: bool = setting(False, "Classes of equal frequency, not of equal square root of it.")
    compression: int = setting(
        0, "Units of a layer between hidden and output; 0: none.", low=0, allowed="0 (none) or a size", metavar="P"
    )
    direct: int = setting(
        0, "Direct connections (maximum entropy): millions of hashed n-gram weights; 0: none.",
        low=0, allowed="0 (none) or a number of weights", metavar="MILLIONS", unit=1_000_000,
    )  # fmt: skip
    direct_order: int = setting(
        3, "Longest n-gram of the direct connections.", low=1, high=MAX_DIRECT_ORDER, metavar="N"
    )
    independent: bool = setting(False, "Begin every sentence anew: nothing is carried over.")
    dtype: str = setting("float32", "The numbers to compute with.", choices=DTYPES)

    def __post_init__(self):
        check(self)
        require(self.direct % 2 == 0, f"`direct` {self.direct}: an even number (one half for classes, one for words)")
        lacks = CELLS[self.cell].lacks
        require("classes" not in lacks or self.classes == 1, f"`classes` {self.classes}: `cell` {self.cell} has only 1")
        for name in ("compression", "direct", "embedding"):
            value = getattr(self, name)
            require(name not in lacks or value == 0, f"`{name}` {value}: `cell` {self.cell} has none")
        require("layers" not in lacks or self.layers == 1, f"`layers` {self.layers}: `cell` {self.cell} has only 1")
        for name, neutral in (("reset", "after"), ("forget_gate", True), ("peephole", False)):
            value = getattr(self, name)
            has = name in CELLS[self.cell].has
            require(has or value == neutral, f"`{name}`: `cell` {self.cell} has no such choice")
        if self.output_layer == "hierarchical":
            require("output_layer" not in lacks, f"`output_layer` hierarchical: `cell` {self.cell} reads a softmax")
            require(self.classes == 1, f"`classes` {self.classes}: `output_layer` hierarchical has only 1")
            for name in ("compression", "direct", "tied"):
                require(not getattr(self, name), f"`{name}`: `output_layer` hierarchical has none")
        if self.tied:
            require(self.classes == 1, f"`tied`: only with a softmax over all words (`classes` 1), not {self.classes}")
            for name in ("compression", "direct"):
                require(not getattr(self, name), f"`tied`: only without `{name}`")
            require(
                self.embedding == self.hidden,
                f"`tied`: the embedding has {self.embedding} units, the layer below the output {self.hidden}: "
                "make `embedding` the same",
            )

    @property
    def is_stack(self) -> bool:
        """Whether it is another network than those of one layer that learn word by word."""
        is_other_cell, is_other_output = CELLS[self.cell].module == "", self.output_layer != "softmax"
        return is_other_cell or self.layers > 1 or self.embedding > 0 or is_other_output


def parameter_shapes(config: ModelConfig, n_words: int) -> dict[str, tuple[int, ...]]:
    """The name and shape of every parameter, in the order in which they are drawn."""
    return {name: parameter.shape for name, parameter in parameters(config, n_words).items()}


def parameters(config: ModelConfig, n_words: int) -> dict[str, Parameter]:
    """Those of the cell, then those of the output layer: of Elman's U W K O C D, the order of 0.4b."""
    cell, output = cell_of(config), output_of(config)
    return cell.parameters(config, n_words) | output.parameters(config, n_words)


@dataclass(frozen=True)
class TrainConfig(Record):
    """How a model is trained: online stochastic gradient descent as in Mikolov's toolkit.

    ``bptt`` steps of error propagation before the block, 0 or 1: none; every ``bptt_block`` words
    the recurrent weights are updated.  ``gradient_cutoff`` clips every element of a propagated
    error, 0: off.  ``beta``: L2 decay, applied every tenth word.  With ``schedule`` halving, ``alpha`` is
    halved from the epoch on whose validation log probability improved by less than ``min_improvement``.
    ``compatible``: everything that changes a digit is done as rnnlm 0.4b does it (docs/compatibility.md).
    """

    alpha: float = setting(
        0.1, f"Starting learning rate.  [default: 0.1; {_ALPHAS}, these times 100 / H where H is larger; minibatch: "
        "that of the optimizer]",
        low=0, above=True, metavar="X",
    )  # fmt: skip
    beta: float = setting(1e-7, "L2 regularisation.", low=0, metavar="X")
    bptt: int = setting(
        4, "Steps that errors go back through time, beyond the block; 0: no BPTT.  minibatch: the length of a block.  "
        "[default: 4; minibatch: 35]",
        low=0, allowed="0 (none) or a number of steps", metavar="N",
    )  # fmt: skip
    bptt_block: int = setting(
        10, "Words between two updates of the recurrent weights.", low=1, allowed="at least 1 word", metavar="N"
    )
    gradient_cutoff: float = setting(
        15.0, "Errors that go back are clipped to it, one by one; 0: off.  [default: 15; minibatch: 0]",
        low=0, allowed="0 (off) or above", metavar="X",
    )  # fmt: skip
    schedule: str = setting(
        "halving", "How the learning rate changes: halving: by the validation text, which also ends training; the "
        "others over the words of all `max_epochs`: constant; linear, cosine: down to 0; onecycle: up, and down to 0.",
        choices=tuple(SCHEDULES),
    )  # fmt: skip
    warmup: float = setting(
        0.0, "Words in which the rate rises from 0 to `alpha`; below 1: a share of those of all `max_epochs`; 0: none.",
        low=0, allowed="0 (none), a share, or a number of words", metavar="X",
    )  # fmt: skip
    min_improvement: float = setting(
        1.003, "halving: factor by which an epoch must improve the validation log probability; from the first that "
        "does not, alpha is halved at every epoch, and the next that does not is the last.",
        metavar="X",
    )  # fmt: skip
    max_epochs: int = setting(
        100, "At most N epochs.  [default: 100; constant, linear, cosine 20, onecycle 10]",
        low=1, allowed="at least 1 epoch", metavar="N", option="--max-iter",
    )  # fmt: skip
    average: int = setting(
        0, "The model is the mean of the weights after each of the last N epochs, from the first of them on; 0: off.  "
        "Not with `schedule` halving.",
        low=0, allowed="0 (off) or a number of epochs", metavar="N",
    )  # fmt: skip
    initialisation: str = setting(
        "mikolov", "How the initial weights are drawn; mikolov: to fit the activation.  [default: mikolov; of stacks "
        "uniform]",
        choices=INITIALISATIONS, option="--init",
    )  # fmt: skip
    scale: float = setting(1.0, "Factor of the initial weights.", low=0, above=True, metavar="X", option="--init-scale")
    engine: str = setting(
        "online", "online: every word changes the weights at once; minibatch: blocks of `bptt` words of several parts "
        "of the text do.  [default: online for one layer of elman or jordan with `batch_size` 1]",
        choices=TRAINING_ENGINES,
    )  # fmt: skip
    batch_size: int = setting(
        1, "Parts of the text that are learnt side by side.  [default: 1; minibatch: 20]",
        low=1, allowed="at least 1", metavar="B",
    )  # fmt: skip
    optimizer: str = setting(
        "sgd", "How gradients change the weights.  [default: sgd; minibatch: adam]", choices=tuple(OPTIMIZERS)
    )
    momentum: float = setting(
        0.0, "sgd: share of the step before that is taken once more.", low=0, high=1, below=True, metavar="X"
    )
    beta1: float = setting(0.9, "adam: decay of the mean gradient.", low=0, high=1, below=True, metavar="X")
    beta2: float = setting(
        0.999, "adam, rmsprop: decay of the mean squared gradient.", low=0, high=1, below=True, metavar="X"
    )
    clip_norm: float = setting(
        0.0, "The norm of all gradients together is at most this; 0: any.  [default: minibatch: 5]",
        low=0, allowed="0 (off) or above", metavar="X",
    )  # fmt: skip
    weight_decay: float = setting(0.0, "Share of each weight, times the rate, that a step takes.", low=0, metavar="X")
    dropout: float = setting(
        0.0, "Share of units that are left out: of embeddings, between layers, and below the output.",
        low=0, high=1, below=True, metavar="X",
    )  # fmt: skip
    dropout_input: float | None = setting(
        None, "The share of embeddings' units.  [default: that of `dropout`]", low=0, high=1, below=True, metavar="X"
    )
    dropout_between: float | None = setting(
        None, "The share between layers.  [default: that of `dropout`]", low=0, high=1, below=True, metavar="X"
    )
    dropout_output: float | None = setting(
        None, "The share below the output.  [default: that of `dropout`]", low=0, high=1, below=True, metavar="X"
    )
    dropout_words: float = setting(
        0.0, "Share of words whose embeddings are left out.", low=0, high=1, below=True, metavar="X"
    )
    dropout_recurrent: float = setting(
        0.0, "Share of the recurrent weights that are left out.", low=0, high=1, below=True, metavar="X"
    )
    locked: bool = setting(False, "The same units are left out at all steps of a block.")
    loss: str = setting(
        "full", "minibatch, with a softmax over all words: what it learns from.  full: all words; sampled: the next "
        "word and `samples` drawn ones, by importance sampling; nce: the same, by noise-contrastive estimation.  "
        "Perplexities of validation texts are those of all words.",
        choices=LOSSES,
    )  # fmt: skip
    samples: int = setting(
        512, "sampled, nce: words that are drawn for each block.", low=1, allowed="at least 1 word", metavar="K"
    )
    noise_power: float = setting(
        1.0, "sampled, nce: words are drawn in proportion to this power of their counts; 0: all alike.", low=0,
        metavar="X",
    )  # fmt: skip
    log_z: float = setting(
        9.0, "nce: natural logarithm of the sum that scores are taken to have.", low=0, high=50, metavar="X"
    )
    full_epochs: int = setting(
        0, "sampled, nce: epochs with the full softmax at the end.", low=0, allowed="0 (none) or a number of epochs",
        metavar="N",
    )  # fmt: skip
    seed: int = setting(1, low=0, old="-rand-seed")
    compatible: bool = setting(
        False, "As rnnlm 0.4b to the digit: its initial weights (glibc's rand), order of words, counts; with "
        "`dtype` float64 also its order of every operation.",
    )  # fmt: skip

    def __post_init__(self):
        check(self)
        warms_up = SCHEDULES[self.schedule].warms_up
        require(self.warmup == 0 or not warms_up, f"`warmup` {self.warmup:g}: `schedule` {self.schedule} has its own")
        knows_its_end = not SCHEDULES[self.schedule].follows_validation
        require(
            self.average == 0 or knows_its_end,
            f"`average` {self.average}: `schedule` {self.schedule} does not know its last epochs; choose another one",
        )
        require(
            self.average <= self.max_epochs,
            f"`average` {self.average}: more than `max_epochs` {self.max_epochs}",
        )
        drops = any(self.dropout_share(place) > 0 for place in DROPOUT_PLACES)
        require(drops or not self.locked, "`locked`: there is no `dropout`")
        require(
            self.full_epochs == 0 or self.loss != "full",
            f"`full_epochs` {self.full_epochs}: only with `loss` sampled or nce",
        )
        require(
            self.full_epochs < self.max_epochs or self.full_epochs == 0,
            f"`full_epochs` {self.full_epochs}: fewer than `max_epochs` {self.max_epochs}",
        )

    def dropout_share(self, place: str) -> float:
        """The share of units that are left out in a place of DROPOUT_PLACES."""
        own = getattr(self, f"dropout_{place}")
        return self.dropout if own is None else own


def require_fit(model: ModelConfig, training: TrainConfig) -> None:
    """ValueError for training that a model does not go with."""
    require_compatible(model, training)
    for name, value in (("schedule", "halving"), ("warmup", 0)):
        found = getattr(training, name)
        require(found == value or not training.compatible, f"`compatible`: rnnlm 0.4b has no `{name}` {found}")
    require(
        training.engine == "minibatch" or not model.is_stack,
        f"`engine` online: only for one layer of elman or jordan without an embedding, not for `cell` {model.cell}, "
        f"`layers` {model.layers}, `embedding` {model.embedding}",
    )
    require(
        training.engine == "minibatch" or training.batch_size == 1,
        f"`batch_size` {training.batch_size}: `engine` online learns from one word after another",
    )
    require(
        training.engine == "online" or not training.compatible, "`compatible`: rnnlm 0.4b has no `engine` minibatch"
    )
    require(training.engine == "online" or training.bptt > 0, f"`bptt` {training.bptt}: a block has at least 1 word")
    for name in ("dropout_input", "dropout_words"):
        share = getattr(training, name)
        require(model.embedding or not share, f"`{name}` {share}: only with an `embedding`")
    share = training.dropout_between
    require(model.layers > 1 or not share, f"`dropout_between` {share}: only with more than 1 of `layers`")
    if model.cell == "jordan":  # every setting with which units or weights are left out
        for name in (name for name in training.__dataclass_fields__ if "dropout" in name):
            value = getattr(training, name)
            require(not value, f"`{name}` {value}: `cell` jordan has none")
    require(
        training.engine == "minibatch" or training.loss == "full", f"`loss` {training.loss}: only of `engine` minibatch"
    )
    require(
        training.loss == "full" or is_full(model),
        f"`loss` {training.loss}: only for a softmax over all words with biases (`classes` 1, no `compression`, no "
        "`direct`; of elman with one layer, an `embedding`)",
    )


def require_compatible(model: ModelConfig, training: TrainConfig) -> None:
    """ValueError for a cell that rnnlm 0.4b lacks, in training that is to be as 0.4b's."""
    lacks = "compatible" in CELLS[model.cell].lacks
    require(not (training.compatible and lacks), f"`compatible`: rnnlm 0.4b has no `cell` {model.cell}")
