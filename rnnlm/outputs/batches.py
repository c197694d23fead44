"""The softmax of ``rnnlm.outputs.softmax`` learnt from blocks of rows, all with the same weights.

Rows of a block are sorted by the class of their target, so that the words of a class are one product for all its rows.
Threads share rows, columns or whole classes, and every sum has one order whatever their number.

Legend: n rows, H hidden, P units below the output (compression or hidden), V words, C classes.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from corpora.compute.jit import exact_kernel, exp, kernel, stage
from corpora.compute.matmul import multiply, multiply_across, panel_width, transpose
from corpora.compute.simd import PAD, aligned_zeros, largest, load, pointer, scalar, store
from rnnlm.activations import LOGISTIC, activate, scale_by_derivative
from rnnlm.config import MAX_DIRECT_ORDER
from rnnlm.features import add_features, feature_runs
from rnnlm.matrix_loops import add_scaled_rows_to_each
from rnnlm.outputs.groups import row_scores, tile_rows
from rnnlm.updates import Dense, Rows

_MOST_SCORES = 1 << 24  # of a softmax, for all rows together, that are held at once
WHOLE = 64  # rows of scores are filled up to a multiple: what loops do in one go, without a rest element by element


class Block(NamedTuple):
    """Rows that are learnt together."""

    X: np.ndarray  # (n, width) the layer below
    E: np.ndarray  # (n, width) its errors
    targets: np.ndarray  # (n,) int32 words, -1: none
    histories: np.ndarray  # (n, order) int32 the words before each, newest first
    log_prob: np.ndarray  # (n,) float64


class Group(NamedTuple):
    """A softmax over all rows of a matrix."""

    M: np.ndarray  # C, or O without classes
    D: np.ndarray  # (n_direct,)
    S: np.ndarray  # (n, rows of M) scores, then errors
    across: np.ndarray  # (P, n): X transposed


class Classes(NamedTuple):
    """The rows of a block by the class of their target: place i is row ``order[i]``.

    Class ``number[k]`` has the places starts[k] to starts[k + 1]; the gradients of its words begin at row first[k].
    """

    order: np.ndarray  # (n,) int64
    number: np.ndarray  # (n,) int64
    starts: np.ndarray  # (n + 1,) int64
    first: np.ndarray  # (n,) int64
    is_new: np.ndarray  # (n,) uint8: 0 where an earlier part of the block had this class
    place: np.ndarray  # (C,) int64: the first row of each class's gradients, -1: none so far
    counts: np.ndarray  # (C,) int64: scratch


class Sorted(NamedTuple):
    """Arrays in the order of places."""

    X: np.ndarray  # (n, width)
    E: np.ndarray  # (n, width)
    S: np.ndarray  # (n, stride) scores of the words of a class, then errors


class Touched(NamedTuple):
    """Sums of errors by weight of the direct connections."""

    sums: np.ndarray  # (n_direct,), zero between two blocks
    is_touched: np.ndarray  # (n_direct,) uint8, likewise
    ids: np.ndarray  # int64 the weights that have one, in the order in which they were first met


def whole(n: int) -> int:
    """The length of a row of n scores in memory."""
    return (n + WHOLE - 1) // WHOLE * WHOLE


@stage
def softmax_errors(S, at, n, target, scale):
    """S[at : at+n] = scale * (onehot(target) - softmax(S)), flat; returns the natural log probability of the target.

    Up to WHOLE - 1 elements beyond n are overwritten.
    """
    end = at + (n + WHOLE - 1) // WHOLE * WHOLE
    for i in range(at + n, end):
        store(S, i, scalar(S, -1e30))
    top = largest(S, at, end - at)
    score = np.float64(load(S, at + target) - top)
    total = scalar(S, 0.0)
    for i in range(at, end):
        e = exp(load(S, i) - top)
        store(S, i, e)
        total += e
    factor = -scale / total
    for i in range(at, end):
        store(S, i, load(S, i) * factor)
    store(S, at + target, load(S, at + target) + scale)
    return score - math.log(np.float64(total))


@kernel
def compress_rows(K, hidden, below, n_hidden, n_below, begin, end, room):
    """below[r] = logistic(K hidden[r]), r from begin to end."""
    multiply(
        below, hidden, K, n_hidden, np.int64(1), np.int64(0), (begin, end), (np.int64(0), n_below), np.int64(0), room
    )
    for r in range(begin, end):
        activate(pointer(below), r * below.shape[1], n_below, LOGISTIC)


@kernel
def decompress_rows(K, hidden, below, below_errors, errors, across, n_hidden, n_below, begin, end, room):
    """``below_errors`` become those of what K makes; errors of hidden; hidden transposed."""
    width = below.shape[1]
    for r in range(begin, end):
        scale_by_derivative(pointer(below_errors), r * width, pointer(below), r * width, n_below, LOGISTIC)
    zero = np.int64(0)
    multiply(errors, below_errors, K, n_below, zero, zero, (begin, end), (zero, n_hidden), zero, room)
    transpose(hidden, (begin, end), n_hidden, across)


@kernel
def learn_rows(group, block, shape, number, n, targets, scale, begin, end, room):
    """Rows begin to end of one softmax over n rows of ``group.M``: scores, log probabilities, errors.

    ``number`` of the group as in ``features``: 0 for classes.  log_prob and E are overwritten, S becomes
    scale * (onehot - softmax).
    """
    S, stride, zero, one = pointer(group.S), group.S.shape[1], np.int64(0), np.int64(1)
    starts_room, lengths_room = np.zeros(MAX_DIRECT_ORDER, np.int64), np.zeros(MAX_DIRECT_ORDER, np.int64)
    starts, lengths = pointer(starts_room), pointer(lengths_room)
    part = (begin, end)
    # whole vectors, of which the last ones hold zeros: M has as many rows, and rows as long
    n_whole, width = (n + PAD - 1) // PAD * PAD, block.X.shape[1]
    multiply(group.S, block.X, group.M, shape.n_below, one, zero, part, (zero, n_whole), zero, room)
    for r in range(begin, end):
        target, at = np.int64(targets[r]), r * stride
        block.log_prob[r] = 0.0
        if target < 0:
            for i in range(at, at + n):
                store(S, i, scalar(S, 0.0))
        else:
            if shape.n_direct > 0:
                feature_runs(block.histories[r], shape.order, number, n, shape.n_direct, starts, lengths)
                add_features(S, at, group.D, shape.order, starts, lengths)
            block.log_prob[r] = softmax_errors(S, at, n, target, scale)
    multiply(block.E, group.S, group.M, n, zero, zero, part, (zero, width), zero, room)
    transpose(block.X, part, shape.n_below, group.across)


@exact_kernel
def sort_by_class(targets, class_of_word, class_start, n_known, ids, classes):
    """Fill ``classes``; (how many there are, words in them).  The words of a new class are added to ids[n_known:]."""
    n_classes = classes.counts.size
    for c in range(n_classes):
        classes.counts[c] = 0
    for r in range(targets.size):
        if targets[r] >= 0:
            classes.counts[class_of_word[targets[r]]] += 1
    n, total = np.int64(0), np.int64(0)
    for c in range(n_classes):
        size = classes.counts[c]
        if size == 0:
            continue
        classes.number[n], classes.starts[n] = c, total
        classes.is_new[n] = 0
        if classes.place[c] < 0:
            classes.place[c], classes.is_new[n] = n_known, 1
            for word in range(class_start[c], class_start[c + 1]):
                ids[n_known] = word
                n_known += 1
        classes.first[n] = classes.place[c]
        classes.counts[c] = total
        total += size
        n += 1
    classes.starts[n] = total
    for r in range(targets.size):
        if targets[r] >= 0:
            c = class_of_word[targets[r]]
            classes.order[classes.counts[c]] = r
            classes.counts[c] += 1
    return n, n_known


@stage
def score_class(O, D, block, rows, classes, shape, class_start, k, scale, starts, lengths):
    """The k-th class: its scores of all its rows, their log probabilities, and errors instead of them."""
    c, a, b = classes.number[k], classes.starts[k], classes.starts[k + 1]
    base = class_start[c]
    n, width, stride, S = class_start[c + 1] - base, rows.X.shape[1], rows.S.shape[1], pointer(rows.S)
    X, below = pointer(rows.X), pointer(block.X)
    for i in range(a, b):
        at = classes.order[i] * width
        for j in range(width):
            store(X, i * width + j, load(below, at + j))
    row_scores(pointer(O), base, n, X, a, b - a, width, S, stride, a)
    for i in range(a, b):
        r = classes.order[i]
        if shape.n_direct > 0:
            feature_runs(block.histories[r], shape.order, c + 1, n, shape.n_direct, starts, lengths)
            add_features(S, i * stride, D, shape.order, starts, lengths)
        block.log_prob[r] += softmax_errors(S, i * stride, n, np.int64(block.targets[r]) - base, scale)


@stage
def send_class_back(O, block, rows, classes, class_start, k, dO):
    """The k-th class: the gradients of its words, and what its errors add to those of the layer below."""
    c, a, b = classes.number[k], classes.starts[k], classes.starts[k + 1]
    n, width, stride, S = class_start[c + 1] - class_start[c], rows.X.shape[1], rows.S.shape[1], pointer(rows.S)
    one, first = np.int64(1), classes.first[k] * width
    G, E, X, out = pointer(dO), pointer(rows.E), pointer(rows.X), pointer(block.E)
    for i in range(a * width, b * width):
        store(E, i, scalar(E, 0.0))
    tile = tile_rows(width)  # words whose rows stay in the nearest cache
    for done in range(np.int64(0), n, tile):
        some, s, g, o = min(tile, n - done), a * stride + done, first + done * width, (class_start[c] + done) * width
        if classes.is_new[k]:
            for i in range(g, g + some * width):
                store(G, i, scalar(G, 0.0))
        add_scaled_rows_to_each(G, g, width, some, S, s, one, stride, X, a * width, width, b - a, width)
        add_scaled_rows_to_each(E, a * width, width, b - a, S, s, stride, one, pointer(O), o, width, some, width)
    for i in range(a, b):
        at = classes.order[i] * width
        for j in range(width):
            store(out, at + j, load(out, at + j) + load(E, i * width + j))


@kernel
def learn_classes(O, D, block, rows, classes, shape, class_start, scale, begin, end, dO):
    """Classes begin to end of ``classes``: log_prob and E grow, the gradients of their words go to dO."""
    starts_room, lengths_room = np.zeros(MAX_DIRECT_ORDER, np.int64), np.zeros(MAX_DIRECT_ORDER, np.int64)
    for k in range(begin, end):
        score_class(
            O, D, block, rows, classes, shape, class_start, k, scale, pointer(starts_room), pointer(lengths_room)
        )
        send_class_back(O, block, rows, classes, class_start, k, dO)


@stage
def touch(touched, S, s0, order, starts, lengths, count):
    """Add a row's errors to the sums of its features' weights; how many weights have one now."""
    sums, is_touched, ids = pointer(touched.sums), pointer(touched.is_touched), pointer(touched.ids)
    for a in range(order):
        start, n = load(starts, a), load(lengths, a)
        for i in range(n):
            store(sums, start + i, load(sums, start + i) + load(S, s0 + i))
        for at in range(start, start + n):
            if load(is_touched, at) == 0:
                store(is_touched, at, np.uint8(1))
                store(ids, count, at)
                count += 1
    return count


@kernel
def touch_rows(S, histories, targets, shape, number, n, count, touched):
    """The errors S of a softmax over one group, row after row; how many weights have a sum then."""
    starts_room, lengths_room = np.zeros(MAX_DIRECT_ORDER, np.int64), np.zeros(MAX_DIRECT_ORDER, np.int64)
    starts, lengths, stride = pointer(starts_room), pointer(lengths_room), S.shape[1]
    for r in range(targets.size):
        if targets[r] >= 0:
            feature_runs(histories[r], shape.order, number, n, shape.n_direct, starts, lengths)
            count = touch(touched, pointer(S), r * stride, shape.order, starts, lengths, count)
    return count


@kernel
def touch_classes(S, histories, classes, n_classes, shape, class_start, count, touched):
    """As ``touch_rows``, of the words of classes, place after place."""
    starts_room, lengths_room = np.zeros(MAX_DIRECT_ORDER, np.int64), np.zeros(MAX_DIRECT_ORDER, np.int64)
    starts, lengths, stride = pointer(starts_room), pointer(lengths_room), S.shape[1]
    for k in range(n_classes):
        c = classes.number[k]
        n = class_start[c + 1] - class_start[c]
        for i in range(classes.starts[k], classes.starts[k + 1]):
            feature_runs(histories[classes.order[i]], shape.order, c + 1, n, shape.n_direct, starts, lengths)
            count = touch(touched, pointer(S), i * stride, shape.order, starts, lengths, count)
    return count


@exact_kernel
def take_touched(touched, n, values):
    """values[:n] = the sums, which become zero again."""
    sums, is_touched, out = pointer(touched.sums), pointer(touched.is_touched), pointer(values)
    for u in range(n):
        at = touched.ids[u]
        store(out, u, load(sums, at))
        store(sums, at, scalar(sums, 0.0))
        store(is_touched, at, np.uint8(0))


class _WholeSoftmax:
    """A softmax over all rows of a matrix: over the classes, or over all words where there are none."""

    def __init__(self, M, D, n: int, number: int, n_rows: int, shape, workers):
        self.n, self.number, self.shape, self.workers = n, number, shape, workers
        dtype = M.dtype
        self.group = Group(
            M, D, aligned_zeros((n_rows, whole(n)), dtype), aligned_zeros((shape.n_below, n_rows), dtype)
        )
        self.gradient = Dense(M)

    def learn(self, block: Block, targets: np.ndarray, scale, adds: int) -> None:
        group, n, rows = self.group, self.n, targets.size

        def score(begin, end, scratch):
            learn_rows(group, block, self.shape, self.number, n, targets, scale, begin, end, scratch.room)

        def change(begin, end, scratch):
            multiply_across(
                self.gradient.values, group.across, group.S, self.shape.n_below, rows, adds, (begin, end), scratch.room
            )

        self.workers.share(score, rows)
        self.workers.share(change, n, panel_width(group.M.dtype))


class _WordsOfClasses:
    """A softmax for each class, over its words."""

    def __init__(self, model, n_rows: int, workers):
        weights, shape, dtype = model.output_weights, model.shape, model.output_weights.O.dtype
        self.weights, self.shape, self.workers = weights, shape, workers
        self.class_of_word, self.class_start = np.array(model.class_of_word), model.class_start
        n_classes, width = shape.n_classes, shape.below_width
        places, kinds = (np.empty(n_rows + 1, np.int64) for _ in range(4)), np.empty(n_rows + 1, np.uint8)
        self.classes = Classes(*places, kinds, np.empty(n_classes, np.int64), np.empty(n_classes, np.int64))
        stride = whole(int(np.diff(self.class_start).max()))
        self.rows = Sorted(*(aligned_zeros((n_rows, size), dtype) for size in (width, width, stride)))
        self.ids = np.empty(shape.n_words, np.int32)
        self.gradient = Rows(weights.O, shape.n_words)
        self.n_found = 0

    def begin(self) -> None:
        self.classes.place[:] = -1
        self.gradient.ids = self.ids[:0]

    def learn(self, block: Block, scale) -> None:
        O, D, values = self.weights.O, self.weights.D, self.gradient.values
        self.n_found, n_words = sort_by_class(
            block.targets, self.class_of_word, self.class_start, self.gradient.ids.size, self.ids, self.classes
        )
        self.gradient.ids = self.ids[:n_words]

        def work(begin, end, _):
            learn_classes(
                O, D, block, self.rows, self.classes, self.shape, self.class_start, scale, begin, end, values
            )  # fmt: skip

        self.workers.share(work, self.n_found)

    def most_touched(self) -> int:
        """Weights of direct connections that the rows of the last call can touch."""
        classes, sizes = self.classes, np.diff(self.class_start)
        n = self.n_found
        return int(sizes[classes.number[:n]] @ np.diff(classes.starts[: n + 1])) * self.shape.order


class _Direct:
    """The gradient of direct connections: one sum for each weight that any row has touched."""

    def __init__(self, D: np.ndarray, shape):
        self.shape, self.count = shape, 0
        self.gradient = Rows(D.reshape(-1, 1), 0)
        self.touched = Touched(aligned_zeros(D.shape, D.dtype), np.zeros(D.size, np.uint8), np.empty(0, np.int64))

    def make_room(self, more: int) -> None:
        """For that many weights beside those so far."""
        size = min(self.touched.sums.size, self.count + more)
        if self.touched.ids.size < size:
            ids = np.empty(size, np.int64)
            ids[: self.count] = self.touched.ids[: self.count]
            self.touched = self.touched._replace(ids=ids)
            self.gradient.values = aligned_zeros((size, 1), self.touched.sums.dtype)

    def add_group(self, part: _WholeSoftmax, block: Block, targets: np.ndarray) -> None:
        self.make_room(targets.size * part.n * self.shape.order)
        self.count = touch_rows(
            part.group.S, block.histories, targets, self.shape, part.number, part.n, self.count, self.touched
        )

    def add_classes(self, part: _WordsOfClasses, block: Block) -> None:
        self.make_room(part.most_touched())
        self.count = touch_classes(
            part.rows.S, block.histories, part.classes, part.n_found, self.shape, part.class_start, self.count,
            self.touched,
        )  # fmt: skip

    def finish(self) -> None:
        take_touched(self.touched, self.count, self.gradient.values)
        self.gradient.ids, self.count = self.touched.ids[: self.count], 0


class SoftmaxLearner:
    """Learns K, C, O and D, whichever a model has, from blocks of up to n rows; see ``outputs.Learner``."""

    def __init__(self, model, config, n_rows: int, workers):
        self.shape, self.workers, self.weights = model.shape, workers, model.output_weights
        shape, weights, dtype = self.shape, self.weights, model.output_weights.O.dtype
        self.class_of_word = np.array(model.class_of_word)
        self.rows = min(n_rows, max(1, _MOST_SCORES // whole(shape.stride)))
        self.gradients = {}
        if shape.compression:
            self.below, self.below_errors = (aligned_zeros((n_rows, shape.below_width), dtype) for _ in range(2))
            self.hidden_across = aligned_zeros((shape.n_hidden, n_rows), dtype)
            self.gradients["K"] = Dense(weights.K)
        has_classes = shape.n_classes > 1
        matrix, n, number = (weights.C, shape.n_classes, 0) if has_classes else (weights.O, shape.n_words, 1)
        self.whole = _WholeSoftmax(matrix, weights.D, n, number, self.rows, shape, workers)
        self.words = _WordsOfClasses(model, self.rows, workers) if has_classes else None
        self.direct = _Direct(weights.D, shape) if shape.n_direct else None
        self.gradients["O"] = self.words.gradient if has_classes else self.whole.gradient
        if has_classes:
            self.gradients["C"] = self.whole.gradient
        if self.direct:
            self.gradients["D"] = self.direct.gradient

    def learn(self, hidden, targets, histories, errors, log_prob, scale) -> None:
        X, E = hidden, errors
        if self.shape.compression:
            X, E = self._compress(hidden)
        if self.words:
            self.words.begin()
        for first in range(0, targets.size, self.rows):
            part = slice(first, first + self.rows)
            block = Block(X[part], E[part], targets[part], histories[part], log_prob[part])
            self._learn(block, scale, int(first > 0))
        if self.direct:
            self.direct.finish()
        if self.shape.compression:
            self._decompress(hidden, errors)

    def _learn(self, block: Block, scale, adds: int) -> None:
        targets = block.targets
        if self.words:
            targets = np.where(targets < 0, np.int32(-1), self.class_of_word[targets])
        self.whole.learn(block, targets, scale, adds)
        if self.direct:
            self.direct.add_group(self.whole, block, targets)
        if self.words:
            self.words.learn(block, scale)
            if self.direct:
                self.direct.add_classes(self.words, block)

    def _compress(self, hidden):
        shape, K, below, errors = self.shape, self.weights.K, self.below, self.below_errors

        def work(begin, end, scratch):
            compress_rows(K, hidden, below, shape.n_hidden, shape.n_below, begin, end, scratch.room)

        self.workers.share(work, len(hidden))
        return below[: len(hidden)], errors[: len(hidden)]

    def _decompress(self, hidden, errors) -> None:
        shape, K, across, n = self.shape, self.weights.K, self.hidden_across, len(hidden)
        dK = self.gradients["K"].values

        def back(begin, end, scratch):
            decompress_rows(
                K, hidden, self.below, self.below_errors, errors, across, shape.n_hidden, shape.n_below, begin, end,
                scratch.room,
            )  # fmt: skip

        def change(begin, end, scratch):
            multiply_across(dK, across, self.below_errors, shape.n_hidden, n, 0, (begin, end), scratch.room)

        self.workers.share(back, n)
        self.workers.share(change, shape.n_below, panel_width(K.dtype))
