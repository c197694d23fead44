"""Objectives: what a training step of word vectors predicts, and its kernels.

A new one is a file with an ``Objective`` and a line in ``OBJECTIVES``.
"""

from __future__ import annotations

from w2v.config import TrainConfig
from w2v.objectives.exact import Exact
from w2v.objectives.hierarchical import Hierarchical
from w2v.objectives.objective import Objective
from w2v.objectives.shared import Shared

# files have their matrices in this order; of several objectives the last learns first
OBJECTIVES: dict[str, Objective] = {
    "shared": Shared(),
    "exact": Exact(),
    "hierarchical": Hierarchical(),
}


def chosen(config: TrainConfig) -> dict[str, Objective]:
    """The objectives that the settings ask for, by name."""
    return {name: objective for name, objective in OBJECTIVES.items() if objective.is_chosen(config)}
