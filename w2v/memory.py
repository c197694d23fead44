"""The memory that training takes, foretold from the settings and the counts: what is said, and refused where it lacks.

Legend: V words, ``width`` the length of a row in memory.  What a shard of the text touches is taken to be what it
would touch on average if the words of the text were drawn independently.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from corpora.compute.simd import padded
from corpora.huffman import join_nodes
from corpora.noise import negative_shares
from w2v import shards
from w2v.config import TrainConfig
from w2v.matrices import LANES, Matrices
from w2v.objectives.hierarchical import HierarchicalWork
from w2v.objectives.shared import Work
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
    if not config.negative:
        return _Shard(n, 0, kept, np.zeros_like(kept))
    if config.negatives == "shared":
        m = (int(n) // shards.chunk_of(config, len(counts)) + 1) * shards.drawn_of(config)
    else:
        m = int(n * config.negative * (1 if config.architecture == "cbow" else config.mean_contexts))
    return _Shard(n, m, kept, m * negative_shares(counts, config.ns_exponent))


def _tables(config: TrainConfig, counts: np.ndarray) -> int:
    """What all threads read."""
    n_words = len(counts)
    table = 4 * shards.TABLE + 20 * n_words if config.negative else 0  # while it is made
    return 4 * n_words + table + (5 * _length_of_paths(counts) + 8 * n_words if config.hs else 0)


def _length_of_paths(counts: np.ndarray, often: np.ndarray | float = 1.0) -> int:
    """Nodes on the paths of the words, each as ``often``: Huffman's code of a word is about -log2 of its share long."""
    counts = np.maximum(counts, 1).astype(np.float64)
    return int((often * (np.log2(counts.sum() / counts) + 0.5)).sum())


def _worker(config: TrainConfig, n_words: int, length: int, m: int, threads: int) -> int:
    """The scratch of a thread, or of a lane."""
    width, dtype = padded(config.size), np.dtype(config.dtype)
    n_bytes = 3 * 4 * length + 5 * m
    if config.negative and config.negatives == "shared":
        chunk, n_drawn = shards.chunk_of(config, n_words), shards.drawn_of(config)
        n_bytes += sum(array.nbytes for array in Work.create(chunk, n_drawn, config.window, width, dtype))
    if config.hs:
        path = int(np.log2(max(2, n_words))) + 4
        n_bytes += sum(array.nbytes for array in HierarchicalWork.create(path, config.window, width, dtype))
        if threads > 1 and not config.deterministic:
            n_bytes += 2 * min(shards.OWN_NODES, n_words) * width * dtype.itemsize
    return n_bytes


def _lanes(config: TrainConfig, counts: np.ndarray, shard: _Shard, lanes: int) -> int:
    """The copies of rows of all lanes, and the lists of them."""
    n_words, row = len(counts), padded(config.size) * np.dtype(config.dtype).itemsize
    is_input = -np.expm1(-shard.kept)
    is_there = -np.expm1(-shard.kept - shard.drawn)
    in_others = 1 - (1 - is_there) ** (lanes - 1)
    sizes = [is_input.sum(), is_there.sum()] if config.hs else [is_input @ in_others, is_there @ in_others]
    rows = sizes[:1] + sizes[1:] * (config.negative > 0)
    paths = 0
    if config.hs:
        rows.append(_nodes_met(counts, shard.n))
        paths = 5 * _length_of_paths(counts, is_input)
    copies = sum(lanes * (n * row + _HUGE_PAGE) for n in rows)
    lists = 2 * LANES * (4 * n_words + 7 * 4 * is_there.sum()) + len(rows) * 4 * n_words + 28 * lanes * sum(rows)
    return int(copies + lists + lanes * paths + 4 * n_words)


def _nodes_met(counts: np.ndarray, n: float) -> float:
    """How many nodes of the Huffman tree lie on the paths of n words."""
    weights = np.empty(2 * len(counts) - 1, np.int64)
    weights[: len(counts)] = np.maximum(counts, np.arange(len(counts)) > 0)
    join_nodes(weights, np.empty(weights.size, np.int32), np.empty(weights.size, np.uint8))
    return float(-np.expm1(-n * weights[len(counts) :] / max(1, int(counts.sum()))).sum())
