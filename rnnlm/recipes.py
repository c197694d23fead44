"""Settings for a purpose, under one name each: ``rnnlm train --recipe NAME``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Recipe(NamedTuple):
    """What it is for, and the settings by name that differ from what they would be."""

    purpose: str
    settings: Mapping[str, object]
    # options of texts and vocabularies, by the name of their parameter in the command
    options: Mapping[str, object] = {}


RECIPES = {
    "ptb-hour": Recipe(
        "A text of about a million words, an hour on two cores: one large LSTM, tied, with much dropout; drawn words "
        "first, the full softmax in the last epochs.",
        {
            "cell": "lstm", "hidden": 512, "layers": 2, "tied": True, "batch_size": 20, "bptt": 35, "dropout": 0.5,
            "optimizer": "adam", "alpha": 0.002, "clip_norm": 5.0, "schedule": "cosine", "loss": "sampled",
            "samples": 1024, "max_epochs": 22, "full_epochs": 3,
        },
    ),
    "small": Recipe(
        "A text of up to some hundred thousand words, a minute or two: a small LSTM.",
        {
            "cell": "lstm", "hidden": 128, "layers": 1, "tied": True, "batch_size": 10, "bptt": 20, "dropout": 0.4,
            "optimizer": "adam", "alpha": 0.004, "schedule": "cosine", "max_epochs": 20,
        },
    ),
    "char": Recipe(
        "Characters instead of words: two layers of LSTM on longer blocks.",
        {
            "cell": "lstm", "hidden": 256, "layers": 2, "embedding": 64, "batch_size": 32, "bptt": 64, "dropout": 0.2,
            "optimizer": "adam", "alpha": 0.003, "schedule": "cosine", "max_epochs": 20,
        },
        {"tokenizer": "char"},
    ),
}  # fmt: skip
