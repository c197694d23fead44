"""Counting n-grams: the trie is what a dictionary of all n-grams says, however the work was cut up."""

from __future__ import annotations

import os
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from corpora.errors import CorpusError
from rnnlm.ngram.arena import Arena
from rnnlm.ngram.counting import counts
from rnnlm.ngram.counting.counts import CountedTrie, count_ids, count_rows
from rnnlm.ngram.trie import NONE, START, WORD, internal_ids
from tests.small_ngrams import walk

GAP = -1


def brute_counts(ids, n_words: int, order: int) -> list[Counter]:
    """Element n - 1: {internal ids, newest first: count}; <s> counts the sentences that end."""
    internal = internal_ids(n_words)
    found = [Counter() for _ in range(order)]
    history = [START]
    for id_ in np.asarray(ids).tolist():
        if id_ == GAP:
            history = []
            continue
        history.append(int(internal[id_]))
        for n in range(1, min(order, len(history)) + 1):
            found[n - 1][tuple(history[: -n - 1 : -1])] += 1
        if id_ == 0:
            history = [START]
            found[0][(START,)] += 1
    return found


def same_arrays(a: CountedTrie, b: CountedTrie) -> bool:
    return all(map(np.array_equal, a.nodes, b.nodes))


@st.composite
def texts(draw, gaps: bool = True):
    """ids (n,) int32 of a text that ends a sentence, and the number of words."""
    n_words = draw(st.integers(1, 12))
    ids = draw(st.lists(st.integers(GAP if gaps else 0, n_words - 1), max_size=120))
    return np.array([*ids, 0], np.int32), n_words


def random_ids(seed: int, n: int, n_words: int, gaps: float = 0.02) -> np.ndarray:
    rng = np.random.default_rng(seed)
    ids = np.minimum(rng.exponential(n_words / 5, n), n_words - 1).astype(np.int32)
    ids[rng.random(n) < gaps] = GAP
    ids[-1] = 0
    return ids


@settings(max_examples=50, deadline=None)
@given(texts(), st.integers(1, 9))
@example((np.array([0], np.int32), 1), 3)  # an empty sentence: </s> after <s>
@example((np.array([GAP, GAP, 0], np.int32), 2), 2)
@example((np.array([1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0], np.int32), 2), 9)
def test_the_nodes_are_the_n_grams_of_the_text_with_their_counts(text, order):
    ids, n_words = text
    assert walk(count_ids(ids.copy(), n_words, order)) == brute_counts(ids, n_words, order)


@settings(max_examples=50, deadline=None)
@given(texts(), st.integers(1, 6))
@example((np.array([1, 2, 0, 2, 0], np.int32), 3), 3)  # words after <s>, and gaps: nothing comes before
def test_continuation_counts_are_numbers_of_different_words_before(text, order):
    ids, n_words = text
    expected = brute_counts(ids, n_words, order)
    for shorter, longer in pairwise(expected[1:]):
        shorter.update({key: n - shorter[key] for key, n in Counter(key[:-1] for key in longer).items()})
    assert walk(count_ids(ids.copy(), n_words, order, continuation=True)) == expected


def test_counts_by_hand():
    # <s> a b a </s>, <s> a </s>: a 1, b 2
    internal = internal_ids(3).tolist()
    end, a, b = internal[:3]
    assert walk(count_ids(np.array([1, 2, 1, 0, 1, 0], np.int32), 3, 2)) == [
        {(START,): 2, (end,): 2, (a,): 3, (b,): 1},
        {(a, START): 2, (b, a): 1, (a, b): 1, (end, a): 2},
    ]


def test_no_n_gram_crosses_a_gap():
    # a ? b </s>: "b" has nothing before it, and nothing begins at <s> but "a"
    internal = internal_ids(3).tolist()
    end, a, b = internal[:3]
    found = walk(count_ids(np.array([1, GAP, 2, 0], np.int32), 3, 3))
    assert found == [{(START,): 1, (end,): 1, (a,): 1, (b,): 1}, {(a, START): 1, (end, b): 1}, {}]


@pytest.mark.compiled
def test_what_can_be_counted_with_ids_of_all_sizes():
    # 22 bits a word: two words a key instead of three
    n_words = (1 << 21) + 5
    few = np.array([0, 7, 2_000_000, n_words - 1], np.int32)
    ids = random_ids(3, 400, 4)
    small = count_ids(ids.copy(), 4, 5)
    large = count_ids(np.where(ids < 0, ids, few[ids]), n_words, 5)
    to_small = dict(zip(internal_ids(n_words)[few].tolist(), internal_ids(4)[:-1].tolist(), strict=True))
    to_small |= {START: START}
    for n in range(2, 6):
        counts_of = lambda trie: Counter(trie.counts(n).tolist())  # noqa: B023, E731
        assert counts_of(small) == counts_of(large)
    top = large.nodes[-1]
    assert Counter(to_small[word] for word in top[:-1, WORD].tolist()) == Counter(small.nodes[-1][:-1, WORD].tolist())


# ---- however the work is cut up


@pytest.fixture
def small_pieces(monkeypatch):
    """small_pieces(records): shards of this size, and threads however short the text is."""

    def set_sizes(records: int) -> None:
        monkeypatch.setattr(counts, "SHARD", records)
        monkeypatch.setattr(counts, "_WORTH_THREADS", 1)

    return set_sizes


@pytest.mark.compiled
@pytest.mark.parametrize("records", [1, 5, 64])
@pytest.mark.parametrize("order", [1, 2, 3, 6, 9])
def test_shards_threads_batches_and_files_give_the_same_arrays(order, records, small_pieces, tmp_path):
    ids = random_ids(order, 900, 40)
    whole = count_ids(ids.copy(), 40, order)
    assert walk(whole) == brute_counts(ids, 40, order)
    small_pieces(records)
    for threads in (1, 2, 5):
        assert same_arrays(whole, count_ids(ids.copy(), 40, order, threads=threads))
        assert same_arrays(whole, count_ids(ids.copy(), 40, order, threads=threads, batch=30))
        arena = Arena(True, str(tmp_path))
        assert same_arrays(whole, count_ids(ids.copy(), 40, order, threads=threads, arena=arena, batch=30))
        arena.close()
    assert list(tmp_path.iterdir()) == []  # the files have no names


@pytest.mark.compiled
@pytest.mark.parametrize(("n", "n_words"), [(5_000, 2), (20_000, 3), (20_000, 3_000)])
def test_many_equal_and_many_different_records_in_a_shard(n, n_words):
    # runs of equal keys of all lengths: insertion, quick and radix sort
    ids = random_ids(n_words, n, n_words)
    assert walk(count_ids(ids.copy(), n_words, 5)) == brute_counts(ids, n_words, 5)


def test_one_word_over_and_over_is_a_chain(small_pieces):
    ids = np.append(np.ones(3_000, np.int32), np.int32(0))
    chain = count_ids(ids.copy(), 2, 9)
    assert walk(chain) == brute_counts(ids, 2, 9)
    small_pieces(100)
    assert same_arrays(chain, count_ids(ids.copy(), 2, 9, threads=3))


def test_progress_counts_every_position():
    ids, steps = random_ids(1, 500, 10, gaps=0), []
    count_ids(ids, 10, 3, progress=steps.append)
    assert sum(steps) == 500


def test_an_error_in_a_thread_is_the_error_of_all(small_pieces, monkeypatch):
    small_pieces(4)
    monkeypatch.setattr(counts.Sorter, "text", lambda *arguments: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        count_ids(random_ids(1, 500, 10), 10, 3, threads=3)


def test_a_directory_that_is_not_there_is_an_error_with_its_name(tmp_path):
    with pytest.raises(CorpusError, match=r"nowhere: .*; `tmp` names another directory"):
        count_ids(random_ids(1, 500, 10), 10, 3, arena=Arena(True, str(tmp_path / "nowhere")))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_full_disk_is_an_error_that_says_so(monkeypatch):
    monkeypatch.setattr("tempfile.TemporaryFile", lambda dir: open("/dev/full", "w+b", buffering=0))  # noqa: SIM115
    with pytest.raises(CorpusError, match="No space left on device, while keeping n-grams"):
        count_ids(random_ids(1, 500, 10), 10, 3, arena=Arena(True))


# ---- n-grams with counts of their own


def rows_of(found: list[Counter], order: int) -> tuple[np.ndarray, np.ndarray]:
    """(M, order) uint32 and (M,) int64, as count files have them: all n-grams, longest and shortest mixed."""
    rows = [[*ngram, *[NONE] * (order - len(ngram))] for counter in found for ngram in counter]
    weights = [count for counter in found for count in counter.values()]
    return np.array(rows, np.uint32).reshape(-1, order), np.array(weights, np.int64)


@settings(max_examples=50, deadline=None)
@given(texts(), st.integers(1, 9), st.randoms(use_true_random=False))
def test_the_counts_of_a_text_give_the_trie_of_the_text(text, order, random):
    ids, n_words = text
    rows, weights = rows_of(brute_counts(ids, n_words, order), order)
    shuffled = random.sample(range(len(rows)), len(rows))
    trie = count_rows(rows[shuffled], weights[shuffled], n_words)
    assert same_arrays(trie, count_ids(ids.copy(), n_words, order))


@settings(max_examples=50, deadline=None)
@given(texts(), texts(), st.integers(1, 5))
def test_counts_of_two_texts_are_those_of_both_together(text, other, order):
    # most rows are there twice
    n_words = max(text[1], other[1])
    parts = [rows_of(brute_counts(ids, n_words, order), order) for ids, _ in (text, other)]
    rows, weights = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    both = np.concatenate([text[0], other[0]])
    assert same_arrays(count_rows(rows, weights, n_words), count_ids(both, n_words, order))


@settings(max_examples=50, deadline=None)
@given(texts(), st.integers(2, 6))
def test_an_n_gram_that_is_no_row_has_the_sum_of_those_that_end_in_it(text, order):
    # all but those that are only there as ends of longer ones: what a gap or the order cuts off is given
    ids, n_words = text
    found = brute_counts(ids, n_words, order)
    longest = [Counter() for _ in found]
    inner = Counter()
    for n in range(order, 0, -1):
        for ngram, count in found[n - 1].items():
            inner[ngram[:-1]] += count
            if count > inner[ngram]:
                longest[n - 1][ngram] = count
    rows, weights = rows_of(longest, order)
    assert same_arrays(count_rows(rows, weights, n_words), count_ids(ids.copy(), n_words, order))


def test_rows_are_cut_into_shards_and_dealt_to_threads_without_a_trace(small_pieces, tmp_path):
    ids = random_ids(5, 2_000, 60)
    rows, weights = rows_of(brute_counts(ids, 60, 4), 4)
    whole = count_ids(ids.copy(), 60, 4)
    small_pieces(16)
    for threads in (1, 3):
        assert same_arrays(whole, count_rows(rows, weights, 60, threads=threads))
        arena = Arena(True, str(tmp_path))
        assert same_arrays(whole, count_rows(rows, weights, 60, threads=threads, arena=arena))
        arena.close()


def test_no_rows_are_a_trie_without_n_grams():
    trie = count_rows(np.zeros((0, 3), np.uint32), np.zeros(0, np.int64), 4)
    assert walk(trie) == [{}, {}, {}]
