"""The memory that training takes, foretold from the settings and the counts: what is said, and refused where it lacks.

Legend: V words, ``width`` the length of a row in memory.  What a shard of the text touches is taken to be what it
would touch on average if the words of the text were drawn independently.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from corpora.compute.simd import padded
from corpora.noise import negative_shares
from w2v import shards
from w2v.config import TrainConfig
from w2v.matrices import LANES, Matrices
from w2v.objectives import chosen
from w2v.sampling import keep_probabilities

_HUGE_PAGE = 2 << 20  # bytes that the system gives at once


class Need(NamedTuple):
    """Bytes.  vectors: the matrices.  beside: tables, the scratch of all threads, the copies of all lanes."""

    vectors: int
    beside: int


class _Shard(NamedTuple):
    """What a shard has: n words that are kept, m words drawn for them; how often each is there, (V,) float64."""

    n: float
    m: int
    kept: np.ndarray
    drawn: np.ndarray


def needed(config: TrainConfig, counts: np.ndarray, n_ids: int, threads: int) -> Need:
    """What training takes for a text of ``n_ids`` ids whose words have these counts (V,)."""
    n_words = len(counts)
    vectors = Matrices.bytes_needed(n_words, config)
    length = shards.length_of(config, n_ids)
    shard = _shard(config, counts, length)
    n_shards = max(1, -(-n_ids // length))
    lanes = min(LANES, n_shards)
    workers = 2 * lanes if config.deterministic else min(threads, n_shards)
    beside = _tables(config, counts) + workers * _worker(config, n_words, length, shard.m, threads)
    if config.deterministic:
        beside += _lanes(config, counts, shard, lanes)
    return Need(vectors, beside)


def _shard(config: TrainConfig, counts: np.ndarray, length: int) -> _Shard:
    total = max(1, int(counts.sum()))
    kept = counts * keep_probabilities(counts, config.sample, total) * (length / total)
    kept[0] = 0.0
    n = float(kept.sum())
    m = sum(each.drawn_on_average(config, len(counts), n) for each in chosen(config).values())
    return _Shard(n, m, kept, m * negative_shares(counts, config.ns_exponent) if m else np.zeros_like(kept))


def _tables(config: TrainConfig, counts: np.ndarray) -> int:
    """What all threads read."""
    return 4 * len(counts) + sum(each.bytes_of_tables(config, counts) for each in chosen(config).values())


def _worker(config: TrainConfig, n_words: int, length: int, m: int, threads: int) -> int:
    """The scratch of a thread, or of a lane."""
    learners = sum(each.bytes_of_learner(config, n_words, threads) for each in chosen(config).values())
    return 3 * 4 * length + 5 * m + learners


def _lanes(config: TrainConfig, counts: np.ndarray, shard: _Shard, lanes: int) -> int:
    """The copies of rows of all lanes, and the lists of them."""
    n_words, row = len(counts), padded(config.size) * np.dtype(config.dtype).itemsize
    is_input = -np.expm1(-shard.kept)
    is_there = -np.expm1(-shard.kept - shard.drawn)
    in_others = 1 - (1 - is_there) ** (lanes - 1)
    objectives = chosen(config).values()
    if all(each.rows_are_words for each in objectives):  # else the lane has copies of all its words (``w2v.lanes``)
        inputs, targets = is_input @ in_others, is_there @ in_others
    else:
        inputs, targets = is_input.sum(), is_there.sum()
    of_objectives = (targets if each.rows_are_words else each.rows_on_average(counts, shard.n) for each in objectives)
    rows = [inputs, *of_objectives]
    paths = sum(each.bytes_of_local_tables(counts, is_input) for each in objectives)
    copies = sum(lanes * (n * row + _HUGE_PAGE) for n in rows)
    lists = 2 * LANES * (4 * n_words + 7 * 4 * is_there.sum()) + len(rows) * 4 * n_words + 28 * lanes * sum(rows)
    return int(copies + lists + lanes * paths + 4 * n_words)
