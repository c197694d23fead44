"""Building tries: the arrays against a plain Python trie, whatever the order and the gaps of the n-grams."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnlm.ngram.query.build import NgramError, TrieBuilder
from rnnlm.ngram.query.search import MISSING, descend, find_child
from rnnlm.ngram.trie import (
    BLANK,
    CHILD,
    FIRST_WORD,
    MAX_WORDS,
    NONE,
    START,
    WORD,
    ZERO,
    Trie,
    internal_ids,
)
from tests.reference.trie import arrays, build_trie, closed_ngrams, nodes_of


def check(trie: Trie, orders: list[dict]) -> None:
    """The nodes are the n-grams and, blank, the suffixes that they lack; sorted by path; the sentinels close them."""
    wanted = [dict.fromkeys(ngrams) for ngrams in orders]
    for n in range(len(orders), 1, -1):
        for ngram in wanted[n - 1]:
            wanted[n - 2][ngram[1:]] = None
    for n, ngrams in enumerate(orders, 1):
        found = nodes_of(trie, n)
        if n == 1:
            assert found.pop((NONE,)) == (ZERO, 0.0)
        assert list(found) == sorted(found, key=lambda ngram: ngram[::-1])
        assert found.keys() == wanted[n - 1].keys()
        for ngram, values in found.items():
            prob, backoff = ngrams.get(ngram, (BLANK, 0.0))
            assert values == (prob, 0.0 if n == len(orders) > 1 else backoff)
        if n < len(orders):
            assert trie.nodes[n - 1][0, CHILD] == 0
            assert trie.nodes[n - 1][-1, CHILD] == len(trie.nodes[n]) - 1
        assert trie.n_ngrams(n) == len(ngrams)


@pytest.mark.compiled
@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1), n_words=st.integers(1, 40), order=st.integers(1, 9),
    n_longest=st.integers(0, 60), keep=st.sampled_from([0.0, 0.3, 1.0]),
)  # fmt: skip
def test_any_order_of_ngrams_gives_the_trie_of_them_and_their_missing_suffixes(seed, n_words, order, n_longest, keep):
    rng = np.random.default_rng(seed)
    orders = closed_ngrams(rng, n_words, order, n_longest, keep)
    check(build_trie(arrays(orders, rng), n_words), orders)


@pytest.mark.compiled
def test_sorted_and_shuffled_ngrams_give_the_same_arrays():
    rng = np.random.default_rng(5)
    orders = closed_ngrams(rng, 300, 4, 3000, 0.5)
    shuffled = build_trie(arrays(orders, rng), 300)
    by_path = [dict(sorted(ngrams.items(), key=lambda item: item[0][::-1])) for ngrams in orders]
    in_order = build_trie(arrays(by_path), 300)
    assert all(np.array_equal(a, b) for a, b in zip(shuffled.nodes, in_order.nodes, strict=True))
    check(shuffled, orders)


def test_many_siblings_are_sorted():
    n_words, rng = 5000, np.random.default_rng(3)
    unigrams = {(w,): (-1.0, 0.0) for w in range(START, n_words + FIRST_WORD)}
    bigrams = {(w, 7): (-np.float32(w), 0.0) for w in rng.permutation(np.arange(START, n_words + FIRST_WORD)).tolist()}
    check(build_trie(arrays([unigrams, bigrams]), n_words), [unigrams, bigrams])


def test_the_ngram_that_is_there_twice_is_named():
    rng = np.random.default_rng(1)
    orders = closed_ngrams(rng, 50, 3, 400, 1.0)
    columns = arrays(orders, rng)
    ids, probs, backoffs = columns[2]
    repeated = (np.concatenate([ids, ids[17:18]]), np.append(probs, 0), np.append(backoffs, 0))
    with pytest.raises(NgramError) as error:
        build_trie([*columns[:2], repeated], 50)
    assert (error.value.order, error.value.index) == (3, len(ids))
    assert "twice" in str(error.value)
    ids, probs, backoffs = columns[0]
    with pytest.raises(NgramError) as error:
        build_trie([(ids[[0, 1, 0]], probs[:3], backoffs[:3])], 50)
    assert (error.value.order, error.value.index) == (1, 2)


def test_the_first_ngram_without_its_context_is_named():
    rng = np.random.default_rng(2)
    orders = closed_ngrams(rng, 50, 3, 400, 0.0)
    *_, (ids, *values) = arrays(orders, rng)
    context = tuple(ids[31, :2].tolist())
    del orders[1][context]
    first = next(i for i, ngram in enumerate(ids.tolist()) if tuple(ngram[:2]) == context)
    columns = [*arrays(orders[:2]), (ids, *values)]
    with pytest.raises(NgramError, match="its context is not among the 2-grams") as error:
        build_trie(columns, 50)
    assert (error.value.order, error.value.index) == (3, first)


def test_a_blank_node_is_no_context():
    # "b c" is only on the way to "a b c", so that "b c d" has no context
    a, b, c, d = range(FIRST_WORD, FIRST_WORD + 4)
    unigrams = {(w,): (-1.0, 0.0) for w in range(START, FIRST_WORD + 4)}
    orders = [unigrams, {(a, b): (-1.0, 0.5)}, {(a, b, c): (-1.0, 0.0)}]
    check(build_trie(arrays(orders), 4), orders)
    orders[2][b, c, d] = (-1.0, 0.0)
    with pytest.raises(NgramError, match="context"):
        build_trie(arrays(orders), 4)


def test_what_no_trie_can_hold_is_refused():
    columns = np.zeros(4, np.float32), np.zeros(4, np.float32)
    for order in (0, 10):
        with pytest.raises(ValueError, match=r"order \d+: 1 to 9 are possible"):
            TrieBuilder(order, 2, *columns)
    with pytest.raises(ValueError, match="at most"):
        TrieBuilder(1, MAX_WORDS + 1, *columns)
    with pytest.raises(ValueError, match="id 4"):
        TrieBuilder(2, 2, *columns).add(np.array([[2, 4]], np.uint32), columns[0][:1])
    with pytest.raises(ValueError, match="1 of 2 orders"):
        TrieBuilder(2, 2, *columns).finish()


@pytest.mark.parametrize("spread", ["even", "start", "end", "two heaps", "powers"])
def test_a_child_is_found_however_its_siblings_are_spread(spread):
    n_words = 1 << 20
    words = {
        "even": np.arange(0, n_words, 37),
        "start": np.arange(1000),
        "end": np.arange(n_words - 1000, n_words),
        "two heaps": np.r_[np.arange(500), np.arange(n_words - 500, n_words)],
        "powers": 2 ** np.arange(20),
    }[spread]
    nodes = np.zeros((words.size + 8, 4), np.uint32)
    nodes[3 : 3 + words.size, WORD] = words
    lo, hi = np.uint64(3), np.uint64(3 + words.size)
    for row in range(0, words.size, max(1, words.size // 200)):
        assert find_child(nodes, lo, hi, np.uint64(words[row]), np.uint64(n_words)) == row + 3
    for word in set(range(0, n_words, 1009)) - set(words.tolist()):
        assert find_child(nodes, lo, hi, np.uint64(word), np.uint64(n_words)) == MISSING
    assert find_child(nodes, lo, lo, np.uint64(5), np.uint64(n_words)) == MISSING


def test_a_step_down_from_no_node_leads_nowhere():
    trie = build_trie(
        [(np.array([[1], [2], [3]]), np.full(3, -1.0), np.zeros(3)), (np.array([[2, 3]]), [-1.0], None)], 2
    )
    rows = np.array([3, 2, MISSING], np.uint32)
    descend(*trie.nodes, np.array([[2], [2], [2]], np.uint32), 0, len(internal_ids(2)) + 1, rows)
    assert rows.tolist() == [0, MISSING, MISSING]
