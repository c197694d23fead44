"""Training kernels against their twins in plain NumPy, and against finite differences of the twins' losses.

V = 30 words.  ``run`` calls a kernel as a worker does, in scratch whose surroundings must stay as they are.
"""

from typing import NamedTuple

import numpy as np
import pytest

from corpora.compute.jit import kernel
from corpora.compute.simd import aligned_zeros, padded, pointer
from corpora.huffman import huffman
from tests.vector_length import assert_passes_with_vectors_of_the_other_length
from tests.word2vec_shards import (
    drawn_matrices,
    learn_exact,
    learn_shared,
    learn_tree,
    padded_copies,
    windows_of,
)
from w2v.objectives import exact, hierarchical, shared
from w2v.objectives.exact import ExactWork, train_exact
from w2v.objectives.hierarchical import HierarchicalWork, train_hierarchical
from w2v.objectives.losses import CERTAIN, log_loss, probabilities
from w2v.objectives.shared import Work, cbow_shared, skipgram_shared
from w2v.sampling import Sampled, sample_windows

N_WORDS, CHUNK, N_DRAWN, NEGATIVE = 30, 8, 8, 5
TOLERANCE = {"float32": 1e-5, "float64": 1e-12}
OBJECTIVES = [
    f"{kind}-{update}"
    for kind in ("skipgram-shared", "cbow-shared", "skipgram-hs", "cbow-hs", "skipgram-exact", "cbow-exact")
    for update in ("original", "corrected")
    if not kind.startswith("skipgram") or update == "original"
]
objectives = pytest.mark.parametrize("objective", OBJECTIVES)
# some words follow from a few others, so that many paths are as long as there are inner nodes
TREE = huffman(np.maximum(3 ** np.arange(N_WORDS)[::-1] // 3**14, 1))


class Shard(NamedTuple):
    n: int
    kept: np.ndarray
    first: np.ndarray
    stop: np.ndarray
    negatives: np.ndarray  # enough for every objective

    @property
    def windows(self):
        return windows_of(self.kept[: self.n], self.first[: self.n], self.stop[: self.n])


def shard_of(ids, window, *, fixed=False, seed=1, n_words=N_WORDS):
    """A shard of a text of which every word stays but a quarter of the last ten."""
    ids = np.array(ids, np.int32)
    ids.setflags(write=False)
    thresholds = np.full(n_words, 0xFFFFFFFF, np.uint32)
    thresholds[20:] = 0xC0000000
    kept, first, stop = (np.full(ids.size + window + 64, 77, np.int32) for _ in range(3))
    n, _ = sample_windows(ids, thresholds, window, fixed, np.uint64(seed), kept, first, stop)
    kept[n:] = 0
    size = max((-(-n // CHUNK) + 1) * N_DRAWN, int((stop[:n] - first[:n]).sum()) * NEGATIVE, n * NEGATIVE)
    negatives = np.random.default_rng(seed).integers(1, n_words, size).astype(np.int32)
    return Shard(n, kept, first, stop, negatives)


def random_ids(seed=1, size=83):
    """Sentences of some words, with words outside the vocabulary; one of a single word."""
    return np.append(np.random.default_rng(seed).integers(-1, N_WORDS, size), [0, 3, 0, 0, 5, 6, 7])


# ---- a kernel's run


GUARD = 32


def guarded(work):
    """A copy of a named tuple of arrays, each in the middle of memory that nothing may change; and a check of that."""
    around = []

    def wrap(array):
        whole = aligned_zeros((array.size + 2 * GUARD,), array.dtype)
        whole[:] = -9876
        around.append((whole[:GUARD], whole[GUARD + array.size :]))
        inner = whole[GUARD : GUARD + array.size].reshape(array.shape)
        inner[:] = array
        return inner

    copy = type(work)(*map(wrap, work))
    return copy, lambda: all((part == -9876).all() for parts in around for part in parts)


def run(objective, m, shard, window, alpha, dtype, tree=TREE):
    """dict of the matrices (V, size) that the kernel makes of m's; the loss and the number of examples."""
    architecture, kind, update = objective.split("-")
    cbow, divided = architecture == "cbow", update == "corrected"
    size = m["syn0"].shape[1]
    width, real = padded(size), np.dtype(dtype).type
    copies = padded_copies(m, width, dtype)
    totals = np.array([100.0, 1000.0])  # the kernels add to what is there
    sampled, alpha = Sampled(*shard), real(alpha)
    if kind == "shared":
        work, is_whole = guarded(Work.create(CHUNK, N_DRAWN, window, width, dtype))
        numbers = shared.Scalars(window, N_DRAWN, CHUNK, width, real(NEGATIVE), alpha, divided)
        train = cbow_shared if cbow else skipgram_shared
        train(sampled, numbers, copies["syn0"], copies["syn1neg"], work, totals)
    elif kind == "hs":
        work, is_whole = guarded(HierarchicalWork.create(int(np.diff(tree.offsets).max()), window, width, dtype))
        numbers = hierarchical.Scalars(window, width, cbow, divided, len(copies["syn1"]), 0, alpha)
        train_hierarchical(sampled, numbers, tree, copies["syn0"], copies["syn1"], work, totals)
    else:
        work, is_whole = guarded(ExactWork.create(width, dtype))
        numbers = exact.Scalars(cbow, divided, NEGATIVE, alpha, width)
        train_exact(sampled, numbers, copies["syn0"], copies["syn1neg"], work, totals)
    assert is_whole()
    for values in copies.values():
        assert np.isnan(totals[0]) or not values[:, size:].any(), "rows are zero beyond their end"
    return {name: values[:, :size] for name, values in copies.items()}, totals[0] - 100, totals[1] - 1000


def learn(objective, m, shard, alpha, tree=TREE):
    """The same by the twin, in place."""
    architecture, kind, update = objective.split("-")
    how = {"cbow": architecture == "cbow", "update": update}
    if kind == "shared":
        negatives = shard.negatives[: shard.negatives.size // N_DRAWN * N_DRAWN].reshape(-1, N_DRAWN)
        return learn_shared(m, shard.windows, negatives, alpha, chunk=CHUNK, negative=NEGATIVE, **how)
    if kind == "exact":
        return learn_exact(m, shard.windows, shard.negatives, alpha, negative=NEGATIVE, **how)
    return learn_tree(m, shard.windows, tree, alpha, **how)


def matrices(objective, size, seed=1, n_words=N_WORDS):
    names = ("syn0", "syn1" if "-hs-" in objective else "syn1neg")
    return drawn_matrices(np.random.default_rng(seed), names, n_words, size)


def assert_equals_the_twin(objective, shard, window, size, dtype, tree=TREE, n_words=N_WORDS):
    m = matrices(objective, size, n_words=n_words)
    alpha = 0.05 if window < 10 else 0.2 / min(window, shard.n)  # so that no product is beyond CERTAIN
    result, loss, n_examples = run(objective, m, shard, window, alpha, dtype, tree)
    twin_loss, twin_examples = learn(objective, m, shard, alpha, tree)
    for name in m:
        np.testing.assert_allclose(result[name], m[name], rtol=0, atol=TOLERANCE[dtype], err_msg=name)
    assert loss == pytest.approx(twin_loss, rel=1e-6)
    assert n_examples == twin_examples
    return n_examples


# ---- the twins


@objectives
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [5, 100, 300])
def test_a_kernel_learns_what_its_twin_learns(objective, dtype, size):
    assert assert_equals_the_twin(objective, shard_of(random_ids(), 3), 3, size, dtype) > 40


@objectives
@pytest.mark.parametrize(("window", "fixed"), [(1, False), (1, True), (5, True), (70, False), (1000, True)])
def test_windows_of_any_size_also_beyond_the_sentence(objective, window, fixed):
    ids = [*random_ids(2, 20), *np.random.default_rng(3).integers(1, N_WORDS, 40)]  # the last sentence is a long one
    assert_equals_the_twin(objective, shard_of(ids, window, fixed=fixed), window, 9, "float32")


@objectives
@pytest.mark.parametrize("n", [*range(5), CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK])
def test_a_text_of_any_length(objective, n):
    ids = np.random.default_rng(n).integers(1, 20, n)  # words that stay
    shard = shard_of(ids, 2)
    assert shard.n == n
    n_examples = assert_equals_the_twin(objective, shard, 2, 9, "float32")
    assert (n_examples > 0) == (n > 1)


@objectives
@pytest.mark.parametrize("ids", [[4, 0] * 20, [-1] * 9, [0] * 9, [25, -1, 0, -1, 25]])
def test_sentences_of_one_word_teach_nothing(objective, ids):
    m = matrices(objective, 9)
    result, loss, n_examples = run(objective, m, shard_of(ids, 4), 4, 0.05, "float32")
    assert (loss, n_examples) == (0, 0)
    for name, values in m.items():
        np.testing.assert_array_equal(result[name], values)


@pytest.mark.compiled
@objectives
def test_scratch_has_room_for_windows_that_are_full_on_both_sides(objective):
    # what lies around it is looked at by ``run``
    window = 300
    shard = shard_of(np.random.default_rng(0).integers(1, 20, 2 * window + 60), window, fixed=True)
    assert (shard.stop - shard.first)[: shard.n].max() == 2 * window + 1
    m = matrices(objective, 9)
    result, loss, _ = run(objective, m, shard, window, 1e-4, "float32")
    assert np.isfinite(loss)
    for name in m:
        assert 0 < np.abs(result[name] - m[name]).max() < 30


@objectives
def test_one_word_that_is_repeated(objective):
    # its row is input, target and drawn word, again and again, in one chunk
    assert_equals_the_twin(objective, shard_of([3] * 21, 4), 4, 9, "float32")


@objectives
def test_a_vocabulary_of_two_words(objective):
    ids, tree = [1, 1, 0, 1, 1, 1], huffman(np.array([1, 5]))
    shard = shard_of(ids, 2, n_words=2)
    assert_equals_the_twin(objective, shard, 2, 9, "float32", tree, n_words=2)


@objectives
def test_a_matrix_with_huge_values_has_the_loss_of_what_is_certain(objective):
    # each product counts as CERTAIN, whatever it is
    m = matrices(objective, 9)
    for values in m.values():
        values[:] = 1e3
    _, loss, n_examples = run(objective, m, shard_of([1, 2], 1, fixed=True), 1, 1e-3, "float64")
    per_example = loss / n_examples
    assert CERTAIN / 2 < per_example < (N_WORDS + NEGATIVE) * CERTAIN
    assert per_example == pytest.approx(CERTAIN * round(per_example / CERTAIN), rel=1e-6)


@objectives
@pytest.mark.parametrize("n", [2, 3, 40])
def test_the_loss_shows_that_a_row_is_no_number(objective, n):
    m = matrices(objective, 9)
    m["syn0"][7] = np.nan
    ids = np.full(n, 4)
    ids[n // 2] = 7
    for dtype in ("float32", "float64"):
        _, loss, _ = run(objective, m, shard_of(ids, 2, fixed=True), 2, 0.05, dtype)
        assert np.isnan(loss)


# ---- gradients


STEP = 1e-5


def slopes(objective, m, shard):
    """dict as ``m``: central differences of the twin's summed loss, one parameter at a time."""
    result = {}
    for name, values in m.items():
        result[name] = np.empty_like(values)
        for at in np.ndindex(values.shape):
            middle, losses = values[at], []
            for values[at] in (middle + STEP, middle - STEP):
                losses.append(learn(objective, m, shard, 0.0, SMALL_TREE)[0])
            values[at] = middle
            result[name][at] = (losses[0] - losses[1]) / (2 * STEP)
    return result


SMALL_TREE = huffman(np.array([9, 20, 7, 7, 5, 2, 1]))


@pytest.mark.parametrize("objective", [o for o in OBJECTIVES if o.startswith("skipgram") or o.endswith("corrected")])
def test_a_small_step_goes_down_the_gradient(objective):
    # a word comes back, is drawn twice, and is drawn where it is the target
    shard = shard_of([2, 5, 2, 6, 0, 1, 2], 2, fixed=True, n_words=7)
    m = matrices(objective, 3, n_words=7)
    alpha = 1e-7  # so that what is learnt later is learnt from nearly the same rows
    result, _, _ = run(objective, m, shard, 2, alpha, "float64", SMALL_TREE)
    for name, slope in slopes(objective, m, shard).items():
        np.testing.assert_allclose((m[name] - result[name]) / alpha, slope, atol=1e-5, err_msg=name)
        assert np.abs(slope).max() > 0.1


# ---- losses


@kernel
def _probabilities(values, first, n, sign):
    probabilities(pointer(values), first, n, sign)


@kernel
def _log_loss(right, first, n):
    return log_loss(pointer(right), first, n)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_probabilities_are_logistic_and_certain_at_most(dtype):
    x = np.array([-1e9, -31, -30, -3, 0, 2.5, 30, 31, np.inf, np.nan], dtype)
    for sign in (1.0, -1.0):
        values = np.concatenate([[5], x, np.zeros(15), [5]]).astype(dtype)
        _probabilities(values, 1, x.size, sign)
        expected = 1 / (1 + np.exp(-np.clip(sign * x.astype(float), -CERTAIN, CERTAIN)))
        np.testing.assert_allclose(values[1 : x.size + 1], expected, rtol=3e-7 if dtype == "float32" else 1e-14)
        assert values[0] == values[-1] == 5


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [0, 1, 2, 3, 64, 127, 128, 129, 1001])
def test_the_loss_is_the_sum_of_the_logarithms(dtype, n):
    right = 1 / (1 + np.exp(-np.random.default_rng(n).uniform(-CERTAIN, 8, n + 6))).astype(dtype)
    expected = -np.log(right[3 : 3 + n].astype(float)).sum()
    assert _log_loss(right, 3, n) == pytest.approx(expected, rel=1e-6, abs=1e-7)


# ---- other machines


@pytest.mark.slow
def test_vectors_of_the_other_length_give_the_same(tmp_path):
    assert_passes_with_vectors_of_the_other_length(tmp_path, "w2v/test_rows.py", "w2v/test_kernels.py")


@pytest.mark.parametrize("cbow", [False, True])
def test_nodes_with_rows_of_the_threads_own_learn_there_as_in_the_matrix(cbow):
    rng = np.random.default_rng(3)
    width, first_own = padded(20), N_WORDS - 1 - 6
    syn0, syn1 = (aligned_zeros((N_WORDS, width), "float32") for _ in range(2))
    syn0[:, :20], syn1[:, :20] = rng.normal(size=(2, N_WORDS, 20)) / 4
    own = aligned_zeros((6, width), "float32")
    own[:] = syn1[first_own : first_own + 6]
    n = 40
    kept, first, stop = np.zeros(n + 16, np.int32), np.zeros(n, np.int32), np.zeros(n, np.int32)
    kept[:n] = rng.integers(1, N_WORDS, n)
    first[:], stop[:] = np.maximum(np.arange(n) - 2, 0), np.minimum(np.arange(n) + 3, n)
    work = HierarchicalWork.create(int(np.diff(TREE.offsets).max()), 2, width, "float32")
    found = {}
    for where in ("matrix", "own"):
        m0, m1 = (aligned_zeros(m.shape, "float32") for m in (syn0, syn1))
        m0[:], m1[:] = syn0, syn1
        place = (N_WORDS, 0) if where == "matrix" else (first_own, (own.ctypes.data - m1.ctypes.data) // 4)
        totals = np.zeros(2)
        numbers = hierarchical.Scalars(2, width, cbow, False, *place, np.float32(0.05))
        sampled = Sampled(n, kept, first, stop, np.zeros(0, np.int32))
        train_hierarchical(sampled, numbers, TREE, m0, m1, work, totals)
        found[where] = m0, m1, totals
    in_matrix, with_own = found["matrix"], found["own"]
    np.testing.assert_array_equal(in_matrix[0], with_own[0])
    np.testing.assert_array_equal(in_matrix[1][:first_own], with_own[1][:first_own])
    np.testing.assert_array_equal(in_matrix[1][first_own : first_own + 6], own)
    np.testing.assert_array_equal(with_own[1][first_own:], syn1[first_own:])
    np.testing.assert_array_equal(in_matrix[2], with_own[2])
