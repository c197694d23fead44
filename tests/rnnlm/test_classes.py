"""Classes by frequency against hand values, the rule spelled out, and rnnlm 0.4b's models."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlm.outputs.classes import frequency_classes
from tests.golden_files import golden_bytes


def classes_word_by_word(counts, n_classes, old):
    """0.4b's loop in double precision, one word after another."""
    total = float(sum(counts))
    shares = [count / total if old else math.sqrt(count / total) for count in counts]
    if not old:
        whole = 0.0
        for share in shares:
            whole += share
        shares = [share / whole for share in shares]
    result, df, a = [], 0.0, 0
    for share in shares:
        df = min(df + share, 1.0)
        result.append(a)
        if df > (a + 1) / n_classes and a < n_classes - 1:
            a += 1
    return result


def test_old_classes_by_hand():
    # shares 0.5 0.3 0.1 0.1: the sum passes 1/2 at the second word (0.5 itself is not above it)
    assert frequency_classes([5, 3, 1, 1], 2, old=True).tolist() == [0, 0, 1, 1]


def test_new_classes_by_hand():
    # roots of 16 4 1 1 are 4 2 1 1, shares 1/2 1/4 1/8 1/8: thirds are passed at words 1 and 2
    assert frequency_classes([16, 4, 1, 1], 3).tolist() == [0, 1, 2, 2]


def test_one_word_ends_one_class_at_most_so_that_later_classes_may_stay_empty():
    assert frequency_classes([1000, 1], 10).tolist() == [0, 1]


def test_one_class_is_the_full_softmax():
    assert frequency_classes([3, 2, 1], 1).tolist() == [0, 0, 0]


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=60), st.integers(1, 70), st.booleans())
def test_the_vectorised_rule_is_the_loop(counts, n_classes, old):
    counts[0] += 1
    classes = frequency_classes(np.array(counts), n_classes, old)
    assert classes.dtype == np.int32
    assert classes.tolist() == classes_word_by_word(counts, n_classes, old)


@pytest.mark.parametrize(
    ("model", "n_classes", "old"), [("classes", 10, False), ("oldclass", 10, True), ("full", 1, False)]
)
def test_classes_of_rnnlm_04b(model, n_classes, old):
    lines = golden_bytes(f"rnnlm/{model}.text").split(b"\n")
    start = lines.index(b"Vocabulary:") + 1
    rows = [line.split() for line in lines[start : lines.index(b"", start)]]
    assert len(rows) > 100
    counts = [int(row[1]) for row in rows]
    assert frequency_classes(counts, n_classes, old).tolist() == [int(row[3]) for row in rows]


def test_counts_of_nothing_and_no_classes_are_refused():
    with pytest.raises(ValueError, match="counts"):
        frequency_classes([0, 0], 2)
    with pytest.raises(ValueError, match="at least 1"):
        frequency_classes([1], 0)
