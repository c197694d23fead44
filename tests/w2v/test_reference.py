"""The twins in plain NumPy: vectors that word2vec.c learnt, finite differences, and expectations in full.

V words, d size.  tests/golden/word2vec has what word2vec.c made of a text of 60 lines, and how it was called.
"""

from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from corpora.huffman import huffman
from corpora.noise import negative_shares
from corpora.text.vocab import Vocab
from tests.reference import word2vec as twin
from w2v.sampling import keep_probabilities

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "word2vec"
ALPHA, STEP = 1e-3, 1e-5
N_WORDS, SIZE = 7, 5


# --- word2vec.c itself


class Draws:
    """word2vec.c's random numbers."""

    def __init__(self, seed):
        self.state = seed

    def __call__(self):
        self.state = (self.state * 25214903917 + 11) % 2**64
        return self.state


def first_vectors(n_words, size):
    draw = Draws(1)
    values = [np.float32((draw() & 0xFFFF) / 65536) - np.float32(0.5) for _ in range(n_words * size)]
    return np.array([float(np.float32(x / np.float32(size))) for x in values]).reshape(n_words, size)


def last_places(counts, size=10**8):
    """Of each word in word2vec.c's table, from which it draws negative examples."""
    power = counts**0.75
    last, passed, place = [], 0.0, -1
    for share in power / power.sum():
        passed += share
        crossed = int(passed * size) - 2
        while crossed / size <= passed:
            crossed += 1
        place = max(place + 1, crossed)
        last.append(place)
    last[-1] = size - 1
    return np.array(last)


def from_table(score):
    """word2vec.c's sigmoid: 1000 values, rounded down, 0 and 1 beyond 6."""
    if abs(score) > 6:
        return float(score > 0)  # word2vec.c's rule for negative examples; no score of the inner nodes comes so far
    x = (int((np.float32(score) + np.float32(6)) * 83) / 1000 * 2 - 1) * 6
    return float(np.exp(x) / (np.exp(x) + 1))


def windows_of_word2vec(text, vocab, *, window, sample, negative):
    """(contexts, centre, a function that draws negatives) of one epoch on one thread, in word2vec.c's order."""
    keep = keep_probabilities(vocab.counts, sample, vocab.total)
    last, draw, n_words = last_places(vocab.counts), Draws(0), len(vocab)

    def negatives(target):
        for _ in range(negative):
            word = int(np.searchsorted(last, (draw() >> 16) % 10**8))
            if word == 0:
                word = draw.state % (n_words - 1) + 1
            if word != target:
                yield word

    for line in text.splitlines():
        words = [word for word in vocab.ids(line.split()).tolist() if word > 0]
        words = [word for word in words if (draw() & 0xFFFF) / 65536 <= keep[word]]
        if not words:
            draw()  # a window is drawn for a sentence of which nothing is left, too
        for i, target in enumerate(words):
            reach = window - draw() % window
            around = range(max(0, i - reach), min(len(words), i + reach + 1))
            contexts = [words[j] for j in around if j != i]
            yield contexts, target, lambda target=target: list(negatives(target))


@pytest.mark.parametrize("objective", ["negative", "hs", "both"])
@pytest.mark.parametrize("architecture", ["skipgram", "cbow"])
def test_the_twins_learn_the_vectors_of_word2vec(architecture, objective):
    vocab = Vocab.read(str(GOLDEN / "text.vocab.txt"))
    syn0 = first_vectors(len(vocab), 6)
    syn1, syn1neg = np.zeros_like(syn0), np.zeros_like(syn0)
    tree = huffman(vocab.counts)
    options = {"window": 3, "sample": 0.01, "negative": 0 if objective == "hs" else 4}
    for contexts, target, draw in windows_of_word2vec((GOLDEN / "text.txt").read_bytes(), vocab, **options):
        inputs = [[word] for word in contexts] if architecture == "skipgram" else [contexts] if contexts else []
        for words in inputs:
            outputs = twin.hierarchical_outputs(syn1, tree, target) if objective != "negative" else []
            if objective != "hs":
                outputs = outputs + twin.negative_outputs(syn1neg, target, draw())
            twin.learn(syn0, [twin.Example(words, outputs)], 0.2, sigmoid=from_table)
    rows = [line.split() for line in (GOLDEN / f"{architecture}-{objective}.txt").read_bytes().splitlines()]
    assert rows[0] == [b"%d" % len(vocab), b"6"]
    assert [row[0] for row in rows[1:]] == list(vocab.words)
    golden = np.array([[float(value) for value in row[1:]] for row in rows[1:]])
    assert np.abs(golden).max() > 0.5  # ten times the first vectors
    # six decimals, and single precision there
    np.testing.assert_allclose(syn0, golden, atol=2e-5)


# --- gradients


def log_sigmoid(x):
    return -np.log1p(np.exp(-x))


def exact_objective(m, examples, *, mean=True):
    """Of (inputs, target, negatives, weight): the objective of the paper; ``m`` may lack syn1 or syn1neg."""
    total = 0.0
    for inputs, target, negatives, weight in examples:
        h = m["syn0"][inputs].mean(axis=0) if mean else m["syn0"][inputs].sum(axis=0)
        if "syn1neg" in m:
            total -= log_sigmoid(m["syn1neg"][target] @ h)
            total -= weight * log_sigmoid(-m["syn1neg"][negatives] @ h).sum()
        if "syn1" in m:
            nodes, bits = TREE.path(target)
            total -= log_sigmoid((1 - 2.0 * bits) * (m["syn1"][nodes] @ h)).sum()
    return total


def shared_objective(m, centres, negatives, negative, *, skip_targets=False):
    """Of (inputs, targets): the drawn words stand beside each target, each with weight negative / N."""
    total = 0.0
    for inputs, targets in centres:
        h = m["syn0"][inputs].mean(axis=0)
        for target in targets:
            against = [word for word in negatives if not (skip_targets and word == target)]
            total -= log_sigmoid(m["syn1neg"][target] @ h)
            total -= negative / len(negatives) * log_sigmoid(-m["syn1neg"][against] @ h).sum()
    return total


TREE = huffman(np.array([9, 20, 7, 7, 5, 2, 1]))


def matrices(*names, seed=3):
    rng = np.random.default_rng(seed)
    return {name: rng.normal(0, 0.8, (N_WORDS, SIZE)) for name in names}


def slopes(objective, m):
    """dict as ``m``: central differences of the objective, one parameter at a time."""
    result = {}
    for name, values in m.items():
        result[name] = np.empty_like(values)
        for at in np.ndindex(values.shape):
            middle, ends = values[at], []
            for values[at] in (middle + STEP, middle - STEP):
                ends.append(objective(m))
            values[at] = middle
            result[name][at] = (ends[0] - ends[1]) / (2 * STEP)
    return result


def moved(learn, m):
    """The loss, and dict as ``m``: how far each parameter goes, down, for a unit of learning rate."""
    after = {name: values.copy() for name, values in m.items()}
    loss = learn(after)
    return loss, {name: (m[name] - after[name]) / ALPHA for name in m}


def assert_learns_the_gradient(learn, objective, m, n_examples):
    loss, changes = moved(learn, m)
    assert loss == pytest.approx(objective(m) / n_examples, rel=1e-12)
    for name, slope in slopes(objective, m).items():
        np.testing.assert_allclose(changes[name], slope, atol=1e-8, err_msg=name)
        assert np.abs(slope).max() > 0.1


WINDOW = ([2, 5, 2, 6], 1, [3, 4, 6], 1.0)  # a context word twice, and one that is drawn
PAIR = ([2], 1, [3, 4, 6], 1.0)


@pytest.mark.parametrize("weight", [1.0, 0.3])
def test_one_pair_teaches_the_gradient_of_skipgram_with_negatives(weight):
    word, target, negatives = 2, 1, [3, 4, 6]
    assert_learns_the_gradient(
        lambda m: twin.skipgram_negative(m["syn0"], m["syn1neg"], [(word, target, negatives, weight)], ALPHA),
        partial(exact_objective, examples=[([word], target, negatives, weight)]),
        matrices("syn0", "syn1neg"),
        1,
    )


@pytest.mark.parametrize(("mean", "update"), [(True, "corrected"), (False, "original"), (False, "corrected")])
def test_one_window_teaches_the_gradient_of_cbow_with_negatives(mean, update):
    assert_learns_the_gradient(
        lambda m: twin.cbow_negative(m["syn0"], m["syn1neg"], [WINDOW], ALPHA, mean=mean, update=update),
        partial(exact_objective, examples=[WINDOW], mean=mean),
        matrices("syn0", "syn1neg"),
        1,
    )


@pytest.mark.parametrize("target", range(N_WORDS))
def test_one_pair_teaches_the_gradient_of_skipgram_with_the_tree(target):
    assert_learns_the_gradient(
        lambda m: twin.skipgram_hierarchical(m["syn0"], m["syn1"], [(3, target)], TREE, ALPHA),
        partial(exact_objective, examples=[([3], target, [], 1.0)]),
        matrices("syn0", "syn1"),
        1,
    )


def test_one_window_teaches_the_gradient_of_cbow_with_the_tree():
    assert_learns_the_gradient(
        lambda m: twin.cbow_hierarchical(m["syn0"], m["syn1"], [WINDOW[:2]], TREE, ALPHA, update="corrected"),
        partial(exact_objective, examples=[WINDOW]),
        matrices("syn0", "syn1"),
        1,
    )


@pytest.mark.parametrize("example", [PAIR, WINDOW])
def test_one_example_teaches_the_gradient_of_both_objectives_together(example):
    assert_learns_the_gradient(
        lambda m: twin.both(m["syn0"], m["syn1"], m["syn1neg"], [example], TREE, ALPHA, update="corrected"),
        partial(exact_objective, examples=[example]),
        matrices("syn0", "syn1", "syn1neg"),
        1,
    )


# chunks with words that come back: as centres, as contexts, as drawn words twice, and drawn words that are targets
CHUNK = [(2, [1, 3, 3]), (4, [2]), (2, [5, 6, 1, 4])]
DRAWN = [6, 3, 3, 1]


@pytest.mark.parametrize("skip_targets", [False, True])
def test_a_chunk_teaches_the_gradient_of_skipgram_with_shared_negatives(skip_targets):
    how = {"negatives": DRAWN, "negative": 5, "skip_targets": skip_targets}
    assert_learns_the_gradient(
        lambda m: twin.skipgram_negative_shared(m["syn0"], m["syn1neg"], CHUNK, alpha=ALPHA, **how),
        partial(shared_objective, centres=[([word], contexts) for word, contexts in CHUNK], **how),
        matrices("syn0", "syn1neg"),
        sum(len(contexts) for _, contexts in CHUNK),
    )


@pytest.mark.parametrize("skip_targets", [False, True])
def test_a_chunk_teaches_the_gradient_of_cbow_with_shared_negatives(skip_targets):
    windows = [(contexts, word) for word, contexts in CHUNK] + [([1, 1], 3)]
    how = {"negatives": DRAWN, "negative": 5, "skip_targets": skip_targets}
    assert_learns_the_gradient(
        lambda m: twin.cbow_negative_shared(m["syn0"], m["syn1neg"], windows, alpha=ALPHA, update="corrected", **how),
        partial(shared_objective, centres=[(contexts, [word]) for contexts, word in windows], **how),
        matrices("syn0", "syn1neg"),
        len(windows),
    )


def test_the_original_update_of_cbow_gives_every_context_word_the_whole_error():
    m, changes = matrices("syn0", "syn1neg"), {}
    for update in ("original", "corrected"):
        learn = partial(twin.cbow_negative, windows=[WINDOW], alpha=ALPHA, update=update)
        changes[update] = moved(lambda m, learn=learn: learn(m["syn0"], m["syn1neg"]), m)[1]
    np.testing.assert_allclose(changes["original"]["syn0"], 4 * changes["corrected"]["syn0"], rtol=1e-9)
    assert np.array_equal(changes["original"]["syn1neg"], changes["corrected"]["syn1neg"])


def test_examples_are_learnt_one_after_another_unless_at_once():
    pairs = [(2, 1, [3, 3], 1.0), (2, 1, [3, 5], 1.0)]
    m = matrices("syn0", "syn1neg")
    together, singly, at_once = ({name: values.copy() for name, values in m.items()} for _ in range(3))
    mean = twin.skipgram_negative(together["syn0"], together["syn1neg"], pairs, 0.5)
    losses = [twin.skipgram_negative(singly["syn0"], singly["syn1neg"], [pair], 0.5) for pair in pairs]
    first = twin.skipgram_negative(at_once["syn0"], at_once["syn1neg"], pairs, 0.5, at_once=True)
    assert mean == pytest.approx(np.mean(losses))
    assert all(np.array_equal(together[name], singly[name]) for name in m)
    assert first == pytest.approx(exact_objective(m, [([w], t, n, x) for w, t, n, x in pairs]) / 2)
    assert first > mean  # the second example has not learnt from the first
    assert np.abs(together["syn0"] - at_once["syn0"]).max() > 1e-3


def test_an_output_row_that_is_drawn_twice_is_scored_after_its_first_step():
    # d = 1, by hand: h = 1, row 0 -> sigma = 1/2, step -1/2; then its score is -1/2
    syn0, syn1neg = np.array([[1.0], [0.0]]), np.array([[0.0], [0.0]])
    twin.skipgram_negative(syn0, syn1neg, [(0, 0, [1, 1], 1.0)], 1.0)
    second = 1 / (1 + np.exp(0.5))
    assert syn1neg[:, 0].tolist() == pytest.approx([0.5, -0.5 - second])
    assert syn0[0, 0] == pytest.approx(1 + second * 0.5)  # through the row as it was: 0, 0, then -1/2


# --- what sharing leaves the same


def expected_changes(sets, learn):
    """dict: the mean change of each matrix over [(probability, drawn words)]."""
    m = matrices("syn0", "syn1neg")
    total = {name: np.zeros_like(values) for name, values in m.items()}
    for probability, drawn in sets:
        for name, change in moved(partial(learn, drawn), m)[1].items():
            total[name] += probability * change
    return total


def all_draws(shares, n):
    for drawn in product(np.flatnonzero(shares), repeat=n):
        yield np.prod(shares[list(drawn)]), list(drawn)


SHARES = negative_shares(np.array([9, 20, 7, 5]), 0.75)


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("architecture", ["skipgram", "cbow"])
def test_the_mean_gradient_over_all_draws_is_that_of_fresh_negatives(architecture, skip):
    negative, centres = 2, [(2, [1, 3, 3]), (1, [2, 3])]

    def shared(drawn, m):
        args = m["syn0"], m["syn1neg"]
        if architecture == "skipgram":
            return twin.skipgram_negative_shared(*args, centres, drawn, negative, ALPHA, skip_targets=skip)
        windows = [(contexts, word) for word, contexts in centres]
        return twin.cbow_negative_shared(*args, windows, drawn, negative, ALPHA, skip_targets=skip, update="corrected")

    def fresh(inputs, target, drawn, m):
        against = [word for word in drawn if not (skip and word == target)]  # word2vec.c: skipped
        example = (inputs, target, against, 1.0)
        return twin.cbow_negative(m["syn0"], m["syn1neg"], [example], ALPHA, update="corrected", at_once=True)

    expected = {"syn0": 0.0, "syn1neg": 0.0}
    for word, contexts in centres:
        pairs = [([word], c) for c in contexts] if architecture == "skipgram" else [(contexts, word)]
        for inputs, target in pairs:
            of_pair = expected_changes(all_draws(SHARES, negative), partial(fresh, inputs, target))
            expected = {name: expected[name] + of_pair[name] for name in expected}
    for n in (1, 3):
        mean = expected_changes(all_draws(SHARES, n), shared)
        for name in mean:
            np.testing.assert_allclose(mean[name], expected[name], atol=1e-10)


# --- words, windows, learning rate


def test_windows_are_of_the_words_that_are_left():
    keep = np.array([1.0, 0.5, 1.0, 0.0, 1.0])
    ids = [2, 1, -1, 3, 4, 1, 0, 0, 4, 2]
    keep_draws = [0.9, 0.4, 0, 0, 0.9, 0.5, 0, 0.9, 0.9, 0.9]  # 0.4 < 0.5 stays, 0.5 does not; 3 never
    kept, lo, hi = twin.subsample_and_windows(ids, keep, 2, keep_draws, [0.99, 0.5, 0.0, 0.49, 0.5])
    assert kept.tolist() == [2, 1, 4, 4, 2]
    # they reach 2 2 1 1 2 words; the sentence end stands between places 2 and 3
    assert lo.tolist() == [0, 0, 1, 3, 3]
    assert hi.tolist() == [3, 3, 3, 5, 5]
    assert (kept.dtype, lo.dtype, hi.dtype) == (np.int32, np.int64, np.int64)


def test_fixed_windows_take_no_numbers():
    kept, lo, hi = twin.subsample_and_windows([1, 1, 1, 1], np.ones(2), 2, [0.5] * 4, [], fixed=True)
    assert kept.tolist() == [1, 1, 1, 1]
    assert list(zip(lo.tolist(), hi.tolist(), strict=True)) == [(0, 3), (0, 4), (0, 4), (1, 4)]


def test_a_text_of_which_nothing_is_left():
    kept, lo, hi = twin.subsample_and_windows([1, 0, -1], np.zeros(2), 2, [0.5] * 3, [])
    assert kept.size == lo.size == hi.size == 0


def test_the_learning_rate_falls_to_a_ten_thousandth():
    assert twin.learning_rate(0.05, 0, 999) == 0.05
    assert twin.learning_rate(0.05, 250, 999) == pytest.approx(0.0375)
    assert twin.learning_rate(0.05, 999_950, 999_999) == pytest.approx(0.05 * 1e-4)
    assert twin.learning_rate(0.05, 2000, 999) == pytest.approx(5e-6)
