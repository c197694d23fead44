"""Optimizers, one entry each: how gradients of the log probability (to be climbed) change weights.

w weights, g gradient, r rate, t number of the step; m, v: the slots.  Every one may also shrink weights, each by
``decay`` times itself and the rate (Loshchilov & Hutter 2019, decoupled from the gradient).

    sgd      m = mu m + g, w += r m              Polyak (1964); without momentum there is no m
    adagrad  v += g^2, w += r g / sqrt(v)        Duchi et al. (2011)
    rmsprop  v = b v + (1 - b) g^2, as adagrad   Tieleman & Hinton (2012)
    adam     m = b1 m + (1 - b1) g, v = b2 v + (1 - b2) g^2, w += r' m / (sqrt(v) + e'),
             both corrected for their beginning   Kingma & Ba (2015)

Only those rows of an embedding change whose words occurred; the slots of the others stand still.
"""

from __future__ import annotations

from typing import NamedTuple

OPTIMIZERS = {"sgd": 0, "adagrad": 1, "rmsprop": 2, "adam": 3}  # the numbers that kernels know them by
EPSILON = 1e-8  # keeps the quotients finite


class Step(NamedTuple):
    """The numbers of one step."""

    kind: int
    rate: float
    factor: float  # of every gradient: what clipping leaves of it
    decay: float
    first: float  # mu, or b1
    first_new: float  # 1 - b1 as a number of its own: in float32, 1 - 0.999 would be off by 5e-5 of itself
    second: float  # b, or b2; of adagrad 1
    second_new: float  # 1 - b, or 1 - b2; of adagrad 1
    epsilon: float

    def in_reals(self, real: type) -> Step:
        """As kernels want it: products with float32 stay float32."""
        return Step(self.kind, *map(real, self[1:]))


def slots(config) -> int:
    """How many numbers an optimizer keeps for each weight."""
    return {"sgd": int(config.momentum > 0), "adagrad": 1, "rmsprop": 1, "adam": 2}[config.optimizer]


def step_of(config, rate: float, factor: float, t: int) -> Step:
    """Step t = 1, 2, ... of a ``TrainConfig``."""
    kind, epsilon, decay = OPTIMIZERS[config.optimizer], EPSILON, rate * config.weight_decay
    if config.optimizer == "adam":
        # rate' = rate sqrt(1 - b2^t) / (1 - b1^t), epsilon likewise: the moments need no correction of their own
        root = (1 - config.beta2**t) ** 0.5
        rate, epsilon = rate * root / (1 - config.beta1**t), epsilon * root
    first = config.momentum if config.optimizer == "sgd" else config.beta1
    second, second_new = (1.0, 1.0) if config.optimizer == "adagrad" else (config.beta2, 1 - config.beta2)
    return Step(kind, rate, factor, decay, first, 1 - config.beta1, second, second_new, epsilon)
