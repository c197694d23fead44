"""What every shard of the text needs, and the scratch with which a thread trains on one after another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from w2v.config import MIN_ALPHA, TrainConfig
from w2v.objectives import chosen
from w2v.objectives.objective import WORDS, Inputs
from w2v.sampling import Sampled, draw_negatives, keep_probabilities, sample_windows, shard_state

SHORTEST = 1 << 8  # tokens of a shard
_SHARDS = 1 << 7  # that a short text has at least, so that the learning rate falls in small steps
_AHEAD = 64  # words beyond those of a shard that kernels look at


@dataclass(frozen=True)
class Plan:
    """The text in shards, and the tables that follow from the counts.

    A shard ends with a sentence where one ends soon after its length, so that hardly a window is cut.
    thresholds (V,) uint32: ``sampling.sample_windows``.  ``tables``: what each objective reads, by its name.
    """

    config: TrainConfig
    ids: np.ndarray
    length: int
    thresholds: np.ndarray
    tables: Mapping[str, object] = field(default_factory=dict)
    inputs: Inputs = WORDS

    @classmethod
    def create(cls, config: TrainConfig, ids: np.ndarray, counts: np.ndarray, inputs: Inputs = WORDS) -> Plan:
        """ValueError for inputs of which the objectives cannot learn."""
        objectives = chosen(config)
        knows_words_only = config.deterministic or not all(each.takes_inputs for each in objectives.values())
        if knows_words_only and not inputs.are_words:
            raise ValueError(f"{', '.join(objectives)}: learn from words, not from several rows for each")
        keep = keep_probabilities(counts, config.sample, int(counts.sum()))
        thresholds = np.minimum(keep * 2.0**32, 2.0**32 - 1).astype(np.uint32)
        tables = {name: objective.tables(config, counts) for name, objective in objectives.items()}
        return cls(config, ids, length_of(config, ids.size), thresholds, tables, inputs)

    @property
    def n_shards(self) -> int:
        return max(1, -(-self.ids.size // self.length))

    def begin(self, shard: int) -> int:
        """Where a shard begins in the text."""
        place = shard * self.length
        if shard == 0 or place >= self.ids.size:
            return min(place, self.ids.size)
        ends = np.flatnonzero(self.ids[place : place + self.length // 4] == 0)
        return place + (int(ends[0]) + 1 if ends.size else 0)

    def alpha(self, epoch: int, shard: int) -> float:
        """The learning rate of a shard: it falls with the share of all words that come before."""
        size = max(1, self.ids.size)
        done = (epoch * size + self.begin(shard)) / (self.config.iterations * size)
        return self.config.starting_alpha * max(1.0 - done, MIN_ALPHA)


def length_of(config: TrainConfig, n_ids: int) -> int:
    """Tokens of a shard, for a text of ``n_ids``."""
    objectives = chosen(config).values()
    longest = max(objective.longest(config) for objective in objectives)
    longest = min(longest, *(objective.most(config) for objective in objectives))
    return min(max(n_ids // _SHARDS, SHORTEST), longest)


class Worker:
    """The scratch of one of ``threads``."""

    def __init__(self, plan: Plan, threads: int = 1):
        config, n_words = plan.config, len(plan.thresholds)
        self.plan = plan
        room = plan.length * 5 // 4 + config.window + _AHEAD
        self._kept, self._first, self._stop = (np.zeros(room, np.int32) for _ in range(3))
        self._negatives = np.zeros(0, np.int32)
        self._objectives = chosen(config)
        self._learners = {
            name: objective.learner(config, n_words, plan.tables[name], threads)
            for name, objective in reversed(self._objectives.items())
        }

    def sample(self, epoch: int, shard: int) -> Sampled:
        """Choose the words of a shard, their windows and the words drawn for them."""
        plan, config = self.plan, self.plan.config
        ids = np.ascontiguousarray(plan.ids[plan.begin(shard) : plan.begin(shard + 1)])
        state = np.uint64(shard_state(config.seed, epoch, shard))
        n, state = sample_windows(
            ids, plan.thresholds, config.window, config.fixed_window, state, self._kept, self._first, self._stop
        )
        self._kept[n : n + config.window + _AHEAD] = 0
        drawn = 0
        for name, objective in self._objectives.items():
            size = objective.n_drawn(config, len(plan.thresholds), n, self._first, self._stop)
            if size > self._negatives.size:
                self._negatives = np.zeros(size + size // 4, np.int32)
            if size:
                draw_negatives(plan.tables[name], np.uint64(state), self._negatives[:size])
                drawn = size
        return Sampled(n, self._kept, self._first, self._stop, self._negatives[:drawn])

    def train(
        self, sampled: Sampled, alpha: float, matrices: Mapping[str, np.ndarray], tables: Mapping[str, object]
    ) -> tuple[float, int]:
        """Learn from a shard: the summed loss, and the number of examples of the objective that learns last."""
        totals, inputs, before = np.zeros(2), self.plan.inputs, 0.0
        for name, learner in self._learners.items():
            before = totals[1]
            targets = matrices[self._objectives[name].matrix]
            learner.train(sampled, alpha, inputs, matrices["syn0"], targets, tables[name], totals)
        return float(totals[0]), int(totals[1] - before)
