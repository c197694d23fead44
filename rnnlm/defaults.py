"""The settings that depend on others: what training takes unless it is told."""

from __future__ import annotations

from collections.abc import Mapping

from corpora.jobs.record import require
from corpora.settings import settings_of
from rnnlm.cells import CELLS
from rnnlm.config import ModelConfig, TrainConfig, default_alpha
from rnnlm.schedules import SCHEDULES

# settings that only one engine reads
ONLINE_ONLY = ("beta", "bptt_block", "compatible")
BATCH_ONLY = (
    "optimizer", "momentum", "beta1", "beta2", "clip_norm", "weight_decay", "dropout", "dropout_input",
    "dropout_between", "dropout_output", "dropout_words", "dropout_recurrent", "locked", "loss", "samples",
    "noise_power", "log_z", "full_epochs",
)  # fmt: skip

# settings that only some optimizers read
OPTIMIZERS_ONLY = {"momentum": ("sgd",), "beta1": ("adam",), "beta2": ("adam", "rmsprop")}

# settings that only some losses read
LOSSES_ONLY = {
    "samples": ("sampled", "nce"), "noise_power": ("sampled", "nce"), "log_z": ("nce",),
}  # fmt: skip

# settings without one default: what they are depends on others
DEPENDENT = (
    "embedding", "classes", "activation", "engine", "batch_size", "initialisation", "bptt", "alpha", "optimizer",
    "gradient_cutoff", "clip_norm", "max_epochs",
)  # fmt: skip

# the rate of each optimizer; gradients are sums over time, means over the batch
ALPHAS = {"sgd": 1.0, "adagrad": 0.1, "rmsprop": 0.002, "adam": 0.002}


def filled_in(given: Mapping[str, object]) -> tuple[ModelConfig, TrainConfig]:
    """The configurations of settings by name, where None or nothing stands for what fits the others.

    ValueError where they do not go together.
    """
    chosen = {name: value for name, value in given.items() if value is not None}
    for name, declared in (settings_of(ModelConfig) | settings_of(TrainConfig)).items():
        if declared.choices and name in chosen:  # there are defaults for the choices only
            require(declared.allows(chosen[name]), f"`{name}` {chosen[name]}: {declared.in_words()}")
    if chosen.get("tied"):
        chosen.setdefault("embedding", chosen.get("hidden", ModelConfig.hidden))
    cell = chosen.get("cell", ModelConfig.cell)
    plain = CELLS[cell].module != "" and chosen.get("layers", 1) == 1 and not chosen.get("embedding")
    plain = plain and chosen.get("output_layer", "softmax") == "softmax"
    in_batches = not plain or chosen.get("batch_size", 1) > 1
    engine = chosen.setdefault("engine", "minibatch" if in_batches else "online")
    chosen.setdefault("classes", 1 if not plain or "classes" in CELLS[cell].lacks else ModelConfig.classes)
    chosen.setdefault("activation", "logistic" if plain or cell != "elman" else "tanh")
    chosen.setdefault("initialisation", "mikolov" if plain else "uniform")
    if engine == "minibatch":
        for name, value in (("batch_size", 20), ("bptt", 35), ("gradient_cutoff", 0.0), ("clip_norm", 5.0)):
            chosen.setdefault(name, value)
        chosen.setdefault("alpha", ALPHAS[chosen.setdefault("optimizer", "adam")])
    else:
        chosen.setdefault("alpha", default_alpha(chosen["activation"], chosen.get("hidden", ModelConfig.hidden)))
    chosen.setdefault("max_epochs", SCHEDULES[chosen.get("schedule", TrainConfig.schedule)].max_epochs)
    model, training = (
        {name: value for name, value in chosen.items() if name in config.__dataclass_fields__}
        for config in (ModelConfig, TrainConfig)
    )
    return ModelConfig(**model), TrainConfig(**training)


def unused(model: ModelConfig, training: TrainConfig) -> dict[str, str]:
    """The settings that nothing reads, each with the setting because of which that is so."""
    found = {name: "optimizer" for name, users in OPTIMIZERS_ONLY.items() if training.optimizer not in users}
    found |= {name: "loss" for name, users in LOSSES_ONLY.items() if training.loss not in users}
    if not SCHEDULES[training.schedule].follows_validation:
        found["min_improvement"] = "schedule"
    if "activation" not in CELLS[model.cell].has:
        found["activation"] = "cell"
    if model.classes == 1:
        found["old_classes"] = "classes"
    if model.direct == 0:
        found["direct_order"] = "direct"
    return found | dict.fromkeys(ONLINE_ONLY if training.engine == "minibatch" else BATCH_ONLY, "engine")
