"""Schedules of the learning rate, one entry each.

The rate of a word is ``alpha`` times a factor that depends on the word's place among the words of all ``max_epochs``
only: a run that goes on has the rates of one that was not interrupted.

    halving   1; after each epoch the validation text may halve alpha   Mikolov et al. (2010), see ``trainer``
    constant  1
    linear    1 - x
    cosine    (1 + cos(pi x)) / 2                                       Loshchilov & Hutter (2017), eq. 5, one period
    onecycle  from 0.1 up to 1 and back, each in 45 % of the words, then down to 0.001   Smith & Topin (2018)

x goes from 0 to 1.  With ``warmup`` it begins after words in which the factor rises from 0 to 1 (Goyal et al. 2017).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

_RISE, _LOW, _END = 0.45, 0.1, 0.001  # of onecycle: the share of words of each slope, the first factor, the last one


class Schedule(NamedTuple):
    factor: Callable[[float], float]  # x in 0..1 -> what alpha is multiplied by
    max_epochs: int  # unless told
    follows_validation: bool = False  # alpha is halved, and training ends, by the validation text
    warms_up: bool = False  # has a warm-up of its own


def onecycle(x: float) -> float:
    """Linear from point to point."""
    if x <= 2 * _RISE:
        return 1 - (1 - _LOW) * abs(x - _RISE) / _RISE
    return _LOW - (_LOW - _END) * (x - 2 * _RISE) / (1 - 2 * _RISE)


SCHEDULES = {
    "halving": Schedule(lambda x: 1.0, 100, follows_validation=True),
    "constant": Schedule(lambda x: 1.0, 20),
    "linear": Schedule(lambda x: 1 - x, 20),
    "cosine": Schedule(lambda x: (1 + math.cos(math.pi * x)) / 2, 20),
    "onecycle": Schedule(onecycle, 10, warms_up=True),
}


def factor(config, epoch: int, begin: int, end: int, n_words: int) -> float:
    """What alpha is multiplied by for words ``begin`` to ``end`` of an epoch of ``n_words``: that in their middle.

    So it is above 0 at the first words of a warm-up, and at the last ones of all.
    """
    total = config.max_epochs * n_words
    warmup = config.warmup if config.warmup >= 1 else config.warmup * total
    done = epoch * n_words + (begin + end) / 2
    if done < warmup:
        return done / warmup
    return SCHEDULES[config.schedule].factor((done - warmup) / (total - warmup) if total > warmup else 0.0)
