"""What every shard of the text needs, and the scratch with which a thread trains on one after another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from corpora.compute.simd import aligned_zeros, padded
from corpora.huffman import HuffmanTree, huffman
from corpora.noise import negative_table
from w2v.config import MIN_ALPHA, TrainConfig
from w2v.objectives import exact, hierarchical, shared
from w2v.objectives.exact import ExactWork, train_exact
from w2v.objectives.hierarchical import HierarchicalWork, train_hierarchical
from w2v.objectives.shared import Work, cbow_shared, skipgram_shared
from w2v.rows import TILE
from w2v.sampling import Sampled, draw_negatives, keep_probabilities, sample_windows, shard_state

LONGEST, SHORTEST = 1 << 14, 1 << 8  # tokens of a shard
# of deterministic training: the longer, the less of the time goes into copies, but the older are the rows learnt from
LONGEST_OF_LANES = {"skipgram": 1 << 14, "cbow": 1 << 14, "skipgram-hs": 1 << 14, "cbow-hs": 1 << 15}
_SHARDS = 1 << 7  # that a short text has at least, so that the learning rate falls in small steps
CHUNK = 32  # centre words that share their drawn words, at most
_CHUNK_WINDOW = 5  # with wider windows a chunk is shorter: it has the more pairs, all of them with the same old rows
_CHUNK_WORDS = 6  # words of the vocabulary there must be for each centre of a chunk, or the same rows come too often
_EXACT = 1 << 23  # drawn words of a shard, where every example has its own
# words that are drawn for a chunk at least: with fewer, analogies lose (bench/RESULTS.md)
DRAWN = {"skipgram": 20, "cbow": 24}
TABLE = 1 << 22  # places of the table of words to draw
OWN_NODES = 256  # nodes near the root, which every word changes, of which each thread has its own rows
_AHEAD = 64  # words beyond those of a shard that kernels look at


@dataclass(frozen=True)
class Plan:
    """The text in shards, and the tables that follow from the counts.

    A shard ends with a sentence where one ends soon after its length, so that hardly a window is cut.
    thresholds (V,) uint32: ``sampling.sample_windows``.  table: None without negative sampling.  tree: None without
    hierarchical softmax.
    """

    config: TrainConfig
    ids: np.ndarray
    length: int
    thresholds: np.ndarray
    table: np.ndarray | None
    tree: HuffmanTree | None

    @classmethod
    def create(cls, config: TrainConfig, ids: np.ndarray, counts: np.ndarray) -> Plan:
        keep = keep_probabilities(counts, config.sample, int(counts.sum()))
        thresholds = np.minimum(keep * 2.0**32, 2.0**32 - 1).astype(np.uint32)
        table = negative_table(counts, config.ns_exponent, TABLE, config.seed) if config.negative else None
        tree = huffman(counts) if config.hs else None
        return cls(config, ids, length_of(config, ids.size), thresholds, table, tree)

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

    @property
    def chunk(self) -> int:
        return chunk_of(self.config, len(self.thresholds))

    @property
    def n_drawn(self) -> int:
        return drawn_of(self.config)


def length_of(config: TrainConfig, n_ids: int) -> int:
    """Tokens of a shard, of a text of so many."""
    kind = config.architecture + ("-hs" if config.hs else "")
    longest = LONGEST_OF_LANES[kind] if config.deterministic else LONGEST
    if config.negative and config.negatives == "exact":
        examples = 1 if config.architecture == "cbow" else config.mean_contexts
        longest = min(longest, max(1, _EXACT // (examples * config.negative)))
    return min(max(n_ids // _SHARDS, SHORTEST), longest)


def chunk_of(config: TrainConfig, n_words: int) -> int:
    """Centre words that share their drawn words.

    All products of a chunk are of the rows as they are when it begins.  Where it has too many pairs for the words that
    there are, the sum of their gradients goes too far, to the point that training diverges.
    """
    window = 2 * config.window if config.fixed_window else config.window
    return max(1, min(CHUNK, CHUNK * _CHUNK_WINDOW // window, n_words // _CHUNK_WORDS))


def drawn_of(config: TrainConfig) -> int:
    """Words that are drawn for a chunk."""
    return max(DRAWN[config.architecture], -(-config.negative // TILE) * TILE)


class Worker:
    """The scratch of one of so many threads.

    Of hierarchical softmax, more than one would wait all the time for each other's changes of the nodes near the root:
    each has rows of its own for these, whose changes in a shard become those of all.
    """

    def __init__(self, plan: Plan, threads: int = 1):
        config = plan.config
        self._threads = threads
        self.plan, self.width, self.dtype = plan, padded(config.size), np.dtype(config.dtype)
        room = plan.length * 5 // 4 + config.window + _AHEAD
        self._kept, self._first, self._stop = (np.zeros(room, np.int32) for _ in range(3))
        self._negatives = np.zeros(0, np.int32)
        if config.negative and config.negatives == "shared":
            self._work = Work.create(plan.chunk, plan.n_drawn, config.window, self.width, self.dtype)
        self._exact_work = ExactWork.create(self.width, self.dtype)
        if plan.tree is not None:
            longest = int(np.diff(plan.tree.offsets).max())
            self._tree_work = HierarchicalWork.create(longest, config.window, self.width, self.dtype)
            n_own = 0 if threads == 1 else min(OWN_NODES, len(plan.thresholds) - 1)
            self._own, self._own_before = (aligned_zeros((n_own, self.width), self.dtype) for _ in range(2))

    def sample(self, epoch: int, shard: int) -> Sampled:
        """Choose the words of a shard, their windows and the words drawn for them."""
        plan, config = self.plan, self.plan.config
        ids = np.ascontiguousarray(plan.ids[plan.begin(shard) : plan.begin(shard + 1)])
        state = np.uint64(shard_state(config.seed, epoch, shard))
        n, state = sample_windows(
            ids, plan.thresholds, config.window, config.fixed_window, state, self._kept, self._first, self._stop
        )
        self._kept[n : n + config.window + _AHEAD] = 0
        size = 0
        if config.negative:
            if config.negatives == "shared":
                size = (-(-n // plan.chunk) + 1) * plan.n_drawn
            else:
                pairs = n if config.architecture == "cbow" else int((self._stop[:n] - self._first[:n] - 1).sum())
                size = pairs * config.negative
            if size > self._negatives.size:
                self._negatives = np.zeros(size + size // 4, np.int32)
            draw_negatives(plan.table, np.uint64(state), self._negatives[:size])
        return Sampled(n, self._kept, self._first, self._stop, self._negatives[:size])

    def train(self, sampled: Sampled, alpha: float, syn0, syn1neg, syn1, tree: HuffmanTree | None) -> tuple[float, int]:
        """Learn from a shard: the summed loss and the number of examples."""
        config, width = self.plan.config, self.width
        totals = np.zeros(2)
        cbow, divided = config.architecture == "cbow", config.cbow_update == "corrected"
        alpha, negative = self.dtype.type(alpha), self.dtype.type(config.negative)
        if config.hs:
            first_own = len(self.plan.thresholds) - 1 - len(self._own)
            rows = syn1[first_own : first_own + len(self._own)]
            self._own_before[:] = rows
            self._own[:] = self._own_before
            own_row = (self._own.ctypes.data - syn1.ctypes.data) // self.dtype.itemsize if self._own.size else 0
            numbers = hierarchical.Scalars(config.window, width, cbow, divided, first_own, own_row, alpha)
            train_hierarchical(sampled, numbers, tree, syn0, syn1, self._tree_work, totals)
            # each thread has gone the whole way by itself: the mean of them
            rows += (self._own - self._own_before) / self.dtype.type(self._threads)
        n_examples = totals[1]
        if config.negative and config.negatives == "exact":
            numbers = exact.Scalars(cbow, divided, config.negative, alpha, width)
            train_exact(sampled, numbers, syn0, syn1neg, self._exact_work, totals)
        elif config.negative:
            plan = self.plan
            numbers = shared.Scalars(config.window, plan.n_drawn, plan.chunk, width, negative, alpha, divided)
            train = cbow_shared if cbow else skipgram_shared
            train(sampled, numbers, syn0, syn1neg, self._work, totals)
        return float(totals[0]), int(totals[1] - n_examples if config.negative else n_examples)
