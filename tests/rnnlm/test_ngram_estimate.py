"""Estimation: SRILM's and KenLM's files to the digit, the plain Python twin, hand values, and what a model must be."""

from __future__ import annotations

import gzip
import math
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from corpora.text.vocab import UNK
from rnnlm.ngram.arena import Arena
from rnnlm.ngram.counting import counts as counts_module
from rnnlm.ngram.counting.counts import count_rows
from rnnlm.ngram.estimation import estimate as estimate_module
from rnnlm.ngram.estimation.estimate import estimate
from rnnlm.ngram.estimation.smoothing import METHODS, katz_coefficients, ratio_discount
from rnnlm.ngram.trie import BLANK, PROB, START, TOP_PROB, ZERO
from tests.reference import ngram as reference
from tests.reference.ngram_counts import count_ngrams
from tests.reference.trie import read_arpa
from tests.small_ngrams import (
    KENLM,
    PROPER,
    SMOOTHINGS,
    SRILM,
    both,
    differences,
    model_of,
    ngrams,
    random_sentences,
    recipes,
    text_of,
    twin_of,
    vocab_of,
    without_weight,
)

END = b"</s>"
TINY = [b"a b a b a c".split(), b"a b".split(), b"c a b".split()]


def probability(model, *ngram: bytes) -> float:
    return 10 ** ngrams(model)[ngram][0]


def backoff(model, *ngram: bytes) -> float:
    return 10 ** ngrams(model)[ngram][1]


def bits(model) -> list[bytes]:
    return [nodes.tobytes() for nodes in model.trie.nodes]


# ---- the reference programs

GOLDEN = {f"srilm/{name}": recipe for name, recipe in SRILM.items()}
GOLDEN |= {f"kenlm/{name}": recipe for name, recipe in KENLM.items()}


@pytest.mark.parametrize("name", GOLDEN)
def test_the_arpa_file_of_the_reference_program_is_reproduced(golden, name):
    ours = ngrams(model_of(text_of(golden / "toy" / "train.txt"), **GOLDEN[name]))
    orders = read_arpa(gzip.decompress((golden / f"{name}.arpa.gz").read_bytes()))
    theirs = {ngram: values for order in orders for ngram, values in order.items()}
    assert ours.keys() == theirs.keys()
    if name.startswith("srilm"):  # KenLM always writes one
        assert without_weight(ours) == without_weight(theirs)
    ours, theirs = (np.array([found[ngram] for ngram in theirs]) for found in (ours, theirs))
    # SRILM prints 7 digits, KenLM 8; both columns: probabilities and back-off weights
    assert np.abs(ours - theirs).max() <= 1e-6


# What ngram-count (SRILM 1.7.3, built from source) made of toy/train.txt with -gtNmin: the number of n-grams of
# each order, the sum of log10 probabilities (without <s>) and the sum of log10 back-off weights.
CUT = [
    ("modified-kneser-ney", True, [1, 2, 2], [618, 2321, 4216], -11561.847, -515.479),
    ("modified-kneser-ney", True, [2, 3, 2], [618, 1755, 4216], -10578.32, -493.931),
    ("modified-kneser-ney", False, [1, 2, 1, 3], [618, 5630, 14783, 1433], -38563.636, 2449.244),
    ("kneser-ney", True, [1, 1, 2, 2], [618, 5852, 3842, 3406], -19395.947, -1348.739),
    ("witten-bell", True, [2, 3, 2], [618, 1907, 4216], -10938.488, -699.183),
    ("absolute", False, [1, 2, 1, 3], [618, 5678, 14783, 1433], -39617.34, 3334.18),
    ("additive", None, [1, 2, 1], [618, 5678, 14783], -48740.089, 1055.463),
    ("good-turing", None, [2, 2, 1, 3], [618, 5678, 14783, 1433], -38442.339, 3188.583),
]


@pytest.mark.parametrize(("smoothing", "interpolate", "min_counts", "sizes", "probs", "backoffs"), CUT)
def test_cutoffs_are_those_of_srilm(golden, smoothing, interpolate, min_counts, sizes, probs, backoffs):
    options = {"absolute": {"discount": 0.75}, "additive": {"delta": 0.3}}.get(smoothing, {})
    train = text_of(golden / "toy" / "train.txt")
    found = ngrams(model_of(train, len(sizes), smoothing, interpolate, min_counts, **options))
    by_order = Counter(map(len, found))
    assert [by_order[n] for n in range(1, len(sizes) + 1)] == sizes
    assert math.fsum(prob for prob, _ in found.values() if prob > ZERO) == pytest.approx(probs, abs=5e-3)
    assert math.fsum(weight for _, weight in found.values()) == pytest.approx(backoffs, abs=5e-3)


# ---- the twin


@settings(max_examples=120, deadline=None)
@given(recipes())
@example({"sentences": [[]], "order": 3})
@example({"sentences": [[b"a"]], "order": 4, "unk": "kenlm"})
@example({"sentences": TINY * 40, "order": 4, "smoothing": "good-turing", "min_counts": [1]})
@example({"sentences": random_sentences(1, 300, 400), "order": 5})
@example({"sentences": random_sentences(2, 300, 400), "order": 5, "smoothing": "good-turing"})
def test_every_n_gram_is_that_of_the_twin(recipe):
    model, twin = both(recipe)
    assert differences(model, twin) == {}


# ---- what a model must be


@settings(max_examples=60, deadline=None)
@given(recipes())
def test_nothing_is_infinite_and_only_relative_frequencies_have_zeros(recipe):
    model = model_of(**recipe)
    for n, nodes in enumerate(model.trie.nodes, 1):
        columns = [TOP_PROB] if nodes.shape[1] == 2 else [PROB, PROB + 1]
        values = nodes.view(np.float32)[START + 1 if n == 1 else 0 : -1, columns]
        assert np.isfinite(values).all()
        assert ((values[:, 0] <= 0) | (values[:, 0] == BLANK)).all()  # what is left out may have longer ones
        assert (values > (ZERO if recipe["smoothing"] != "maximum-likelihood" else ZERO - 1)).all()


@settings(max_examples=60, deadline=None)
@given(recipes(PROPER), st.integers(0, 1 << 20))
def test_every_distribution_sums_to_one(recipe, seed):
    model, rng = model_of(**recipe), np.random.default_rng(seed)
    for _ in range(5):
        history = rng.integers(-1, len(model.vocab), rng.integers(0, 6)).astype(np.int32)
        assert sum_after(model, history) == pytest.approx(1, abs=5e-6), history


def sum_after(model, history: np.ndarray) -> float:
    """The sum over the vocabulary of what words score; ``distribution`` would make it one."""
    _, state = model.score_ids(history, model.start())
    words = np.arange(len(model.vocab), dtype=np.int32)[:, None]
    return math.fsum(10.0 ** float(model.score_ids(word, state)[0].log10_prob[0]) for word in words)


def test_scores_of_stupid_backoff_are_no_distribution():
    # after "c": "a" 1/2 and </s> 1/2, seen; "b" 0.4 * 4/14 and "c" 0.4 * 2/14 besides
    model = model_of(TINY, 2, "stupid-backoff")
    unseen = 0.4 * (4 / 14 + 2 / 14 + 0.4 / 5)
    history = np.array([model.vocab.index(b"c")], np.int32)
    assert sum_after(model, history) == pytest.approx(1 + unseen, abs=1e-6)


@settings(max_examples=50, deadline=None)
@given(recipes())
@example({"sentences": [b"a b c d".split(), b"a b".split(), [b"x"]], "order": 4, "min_counts": [1, 3, 3, 1]})
@example({"sentences": [b"a b b".split(), b"a b b".split(), b"a a x a b b".split()], "order": 4, "min_counts": [3]})
def test_the_history_of_every_n_gram_is_an_n_gram(recipe):
    # also where cutoffs took it away: ARPA files hold back-off weights beside probabilities
    found = ngrams(model_of(**recipe))
    histories = {ngram[:-1] for ngram in found if len(ngram) > 1}
    assert histories <= found.keys() - without_weight(found)


# ---- however the work is cut up


class SmallPieces(Arena):
    """Gives pages back after every few rows."""

    def pieces(self, n, size=0):
        return super().pieces(n, 30)


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
@pytest.mark.parametrize("unk", ["word", "kenlm"])
def test_threads_pieces_and_files_give_the_same_bytes(smoothing, unk, monkeypatch, tmp_path):
    sentences = random_sentences(7, 60, 150)
    for order, min_counts in ((1, None), (2, None), (4, None), (4, [1, 2])):
        recipe = {"order": order, "smoothing": smoothing, "min_counts": min_counts, "unk": unk}
        whole = model_of(sentences, **recipe)
        with monkeypatch.context() as patch:
            patch.setattr(counts_module, "SHARD", 50)
            for name, value in (("_WORTH_THREADS", 1), ("_PIECE", 70)):
                patch.setattr(counts_module, name, value)
            for name, value in (("_WORTH_THREADS", 1), ("_WORDS", 3), ("_TRANSITIONS", 50), ("_LEAST", 500)):
                patch.setattr(estimate_module, name, value)
            assert bits(model_of(sentences, **recipe)) == bits(whole)
            assert bits(model_of(sentences, **recipe, threads=3)) == bits(whole)
            for room in (0, 1 << 20):  # many ranges of histories; one for each thread
                arena = SmallPieces(True, str(tmp_path), room=room)
                with arena.watched():
                    assert bits(model_of(sentences, **recipe, threads=2, arena=arena)) == bits(whole)
                arena.close()


def test_counts_that_are_given_make_the_model_of_the_text():
    vocab = vocab_of(TINY)
    whole = model_of(TINY, 3)
    names = dict(zip(vocab.words, whole.trie.internal.tolist(), strict=False)) | {b"<s>": START}
    found = {ngram: count for counter in count_ngrams(TINY, 3) for ngram, count in counter.items()}
    rows = [[names[word] for word in reversed(ngram)] + [0] * (3 - len(ngram)) for ngram in found]
    counted = count_rows(np.array(rows, np.uint32), np.array(list(found.values()), np.int64), len(vocab))
    assert [nodes.tobytes() for nodes in estimate(counted)[0].nodes] == bits(whole)


# ---- by hand: TINY has a 5, b 4, c 2, </s> 3 times; V = 5 with <unk>


def test_relative_frequencies():
    model = model_of(TINY, 2, "maximum-likelihood")
    assert probability(model, b"a") == pytest.approx(5 / 14)
    assert probability(model, b"a", b"b") == pytest.approx(4 / 5)
    assert ngrams(model)[b"a",][1] == ZERO  # nothing else may follow
    assert ngrams(model)[UNK,][0] == ZERO


def test_additive_smoothing():
    model = model_of(TINY, 2, "additive", delta=0.5)
    assert probability(model, b"a") == pytest.approx((5 + 0.5) / (14 + 0.5 * 5))
    assert probability(model, UNK) == pytest.approx(0.5 / (14 + 0.5 * 5))
    assert probability(model, b"a", b"b") == pytest.approx((4 + 0.5) / (5 + 0.5 * 5))
    # a word that has not followed "a", </s>, also has 0.5 / 7.5, but in the ratio of the unigrams
    left = 1 - (4.5 + 1.5) / 7.5
    assert backoff(model, b"a") == pytest.approx(left / (1 - (4.5 + 2.5) / 16.5))


def test_absolute_discounting_interpolated():
    # after "a": b 4 times, c once
    model = model_of(TINY, 2, "absolute", discount=0.5)
    p_b = (4 - 0.5) / 14 + 0.5 * 4 / 14 / 5
    assert probability(model, b"b") == pytest.approx(p_b)
    assert probability(model, b"a", b"b") == pytest.approx((4 - 0.5) / 5 + 0.5 * 2 / 5 * p_b)
    assert backoff(model, b"a") == pytest.approx(0.5 * 2 / 5)


def test_absolute_discounting_backing_off():
    model = model_of(TINY, 2, "absolute", False, discount=0.5)
    p_b, p_c = (4 - 0.5) / 14, (2 - 0.5) / 14
    assert probability(model, UNK) == pytest.approx(4 * 0.5 / 14)  # what is left of the four words
    assert probability(model, b"a", b"b") == pytest.approx((4 - 0.5) / 5)
    assert backoff(model, b"a") == pytest.approx((2 * 0.5 / 5) / (1 - p_b - p_c))


def test_witten_bell():
    # after "b": a twice, </s> twice; unigrams: 14 tokens, 4 types
    model = model_of(TINY, 2, "witten-bell")
    p_a = (5 + 4 / 5) / 18
    assert probability(model, b"a") == pytest.approx(p_a)
    assert probability(model, b"b", b"a") == pytest.approx((2 + 2 * p_a) / (4 + 2))
    assert backoff(model, b"b") == pytest.approx(2 / 6)


def test_kneser_ney_counts_the_words_before():
    # before a: <s>, b, c; before b: a; before c: a, <s>; before </s>: c, b.  n1 = 1, n2 = 2: D = 1/5
    model = model_of(TINY, 2, "kneser-ney")
    p_b = (1 - 0.2) / 8 + 4 * 0.2 / 8 / 5
    assert probability(model, b"b") == pytest.approx(p_b)
    # bigrams: n1 = 4 ("<s> c", "a c", "c a", "c </s>"), n2 = 3 ("<s> a", "b a", "b </s>"), "a b" 4: D = 4/10
    assert probability(model, b"a", b"b") == pytest.approx((4 - 0.4) / 5 + 2 * 0.4 / 5 * p_b)
    assert backoff(model, b"a") == pytest.approx(2 * 0.4 / 5)


def test_modified_kneser_ney_with_discounts_that_are_undefined():
    # as above, but no bigram has count 3: 0.5, 1, 1.5
    model = model_of(TINY, 2)
    p_b = probability(model, b"b")
    assert probability(model, b"a", b"b") == pytest.approx((4 - 1.5) / 5 + (1.5 + 0.5) / 5 * p_b)
    assert backoff(model, b"a") == pytest.approx((1.5 + 0.5) / 5)


def test_what_begins_a_sentence_keeps_its_count():
    # Kneser-Ney, order 3: "<s> a" twice and nothing is before it; "<s> c" once
    model = model_of(TINY, 3, "kneser-ney")
    # continuation counts of bigrams: "<s> a" 2, "<s> c" 1, "a b" 3, "b a" 1, "a c" 1, "c a" 1, "b </s>" 1, "c </s>" 1
    D = 6 / (6 + 2 * 1)
    p_a = (3 - 0.2) / 8 + 4 * 0.2 / 8 / 5
    assert probability(model, b"<s>", b"a") == pytest.approx((2 - D) / 3 + 2 * D / 3 * p_a)


def test_good_turing_discounts_small_counts():
    # n1 = 10, n2 = 4, n3 = 2, n4 = 1, k = 3: A = 4*1/10; d1 = (2*4/10 - A)/(1 - A), ..
    coefficients = katz_coefficients(np.array([0, 10, 4, 2, 1, 0, 0]), 3, pytest.fail)
    assert coefficients == pytest.approx([(0.8 - 0.4) / 0.6, (0.75 - 0.4) / 0.6, (2 / 3 - 0.4) / 0.6])


def test_the_discount_of_ney_et_al():
    assert ratio_discount(np.array([0, 6, 2, 5])) == pytest.approx(6 / (6 + 2 * 2))
    assert ratio_discount(np.array([0, 0, 2, 5])) is None
    assert ratio_discount(np.array([0, 6, 0, 5])) is None


def test_stupid_backoff_pays_0_4_a_step():
    model = model_of(TINY, 3, "stupid-backoff")
    assert probability(model, b"c", b"a", b"b") == pytest.approx(1)
    assert backoff(model, b"c", b"a") == pytest.approx(0.4)
    assert backoff(model, b"a") == pytest.approx(0.4)
    assert probability(model, UNK) == pytest.approx(0.4 / 5)


def test_a_count_below_the_minimum_is_no_n_gram():
    found = ngrams(model_of(TINY, 2, "witten-bell", False, [1, 2]))
    assert {ngram for ngram in found if len(ngram) == 2} == {
        (b"<s>", b"a"),
        (b"a", b"b"),
        (b"b", b"a"),
        (b"b", END),
    }
    # after "a": 4 of (5 + 2), the rest goes to all but "b", whose unigram has 4 of (14 + 4)
    assert 10 ** found[b"a",][1] == pytest.approx((1 - 4 / 7) / (1 - 4 / 18))


def test_unk_gets_its_part_of_the_interpolated_unigrams_in_kenlms_way():
    # words before a: 3, b: 1, c and </s>: 2; so n1 = 1, n2 = 2, n3 = 1, n4 = 0 and Y = 1/5
    model = model_of(TINY, 2, unk="kenlm")
    d1, d2, d3 = 1 - 2 / 5 * 2 / 1, 2 - 3 / 5 * 1 / 2, 3 - 0
    assert probability(model, UNK) == pytest.approx((d1 + 2 * d2 + d3) / 8 / 5)
    assert ngrams(model)[b"<s>",][0] == 0  # as lmplz writes it


# ---- discounts that are undefined


@pytest.mark.parametrize(
    ("sentences", "smoothing", "warnings"),
    [
        (
            [[b"a"]],
            "modified-kneser-ney",
            [
                f"order {n}: the discounts of modified Kneser-Ney are undefined (counts of counts 2, 0, 0, 0): "
                "0.5, 1 and 1.5 are used"
                for n in (1, 2)
            ],
        ),
        (
            [[b"a"], [b"a"]],
            "absolute",
            [
                f"order {n}: the discount of absolute discounting is undefined (counts of counts 0, 2): 0.75 is used"
                for n in (1, 2)
            ],
        ),
        (
            [[b"a"], [b"a"]],
            "kneser-ney",
            [
                "order 1: the discount of Kneser-Ney is undefined (counts of counts 2, 0): 0.75 is used",
                "order 2: the discount of Kneser-Ney is undefined (counts of counts 0, 2): 0.75 is used",
            ],
        ),
        ([[b"a", b"b"]], "good-turing", ["order 2: no n-gram has count 2: Good-Turing discounts none"]),
        ([[b"a", b"b"]], "witten-bell", []),
        ([[b"a", b"b"]], "additive", []),
        ([[b"a", b"b"]], "maximum-likelihood", []),
        ([[b"a", b"b"]], "stupid-backoff", []),
    ],
)
def test_one_warning_an_order_says_what_was_used(sentences, smoothing, warnings):
    told: list[str] = []
    model_of(sentences, 2, smoothing, warn=told.append)
    assert told == warnings


def test_good_turing_coefficients_out_of_range_are_one():
    told: list[str] = []
    # (2*6)/4 > 1, and n3 = 0
    assert katz_coefficients(np.array([0, 4, 6, 0, 1, 0]), 3, told.append) == [1.0, 1.0, 1.0]
    assert told == ["the Good-Turing coefficient of count 1, 2, 3 is out of range: 1 is used"]


@settings(max_examples=50, deadline=None)
@given(recipes([name for name in SMOOTHINGS if name != "good-turing"]))
def test_one_warning_an_order_where_the_twin_has_one(recipe):
    # Good-Turing tells besides how far counts are discounted
    told: list[str] = []
    model = model_of(**recipe, warn=told.append)
    ours = [int(line.split(":")[0].removeprefix("order ")) for line in told]
    theirs = [int(line.split("order ")[1].split(":")[0]) for line in twin_of(**recipe).warnings]
    # no sentence may be as long as an order
    assert [n for n in ours if len(model.trie.nodes[n - 1]) > 1 or n in theirs] == theirs


def test_reports_have_counts_of_counts_discounts_and_sizes(golden):
    found = []
    model = model_of(text_of(golden / "toy" / "train.txt"), 4, reports=found.extend)
    twin = reference.estimate(text_of(golden / "toy" / "train.txt"), 4)
    assert [report.order for report in found] == [1, 2, 3, 4]
    assert [report.n_ngrams for report in found] == [model.trie.n_ngrams(n) for n in range(1, 5)]
    printed = [" ".join(f"{name}={value:.6g}" for name, value in report.discounts.items()) for report in found]
    assert printed == twin.discounts


def test_counts_of_counts_are_those_that_the_discounts_are_made_of():
    found = []
    model_of(TINY, 2, reports=found.extend)
    assert found[0].counts_of_counts[:4] == [1, 2, 1, 0]  # of continuation counts: b 1, c and </s> 2, a 3
    assert found[1].counts_of_counts[:4] == [4, 3, 0, 1]


# ---- options


def test_every_method_of_the_table_is_a_smoothing_of_the_twin():
    assert set(METHODS) == set(reference.SMOOTHINGS)


def test_a_last_minimum_holds_for_all_higher_orders():
    sentences = random_sentences(3, 8, 60)
    assert bits(model_of(sentences, 4, min_counts=[1, 2])) == bits(model_of(sentences, 4, min_counts=[1, 2, 2, 2]))


def test_good_turing_has_srilms_cutoffs_of_its_own():
    sentences = random_sentences(3, 8, 60)
    usual = model_of(sentences, 4, "good-turing")
    assert bits(usual) == bits(model_of(sentences, 4, "good-turing", min_counts=[1, 1, 2, 2]))
    assert bits(usual) != bits(model_of(sentences, 4, "good-turing", min_counts=[1]))


def test_gt_max_bounds_what_is_discounted():
    sentences = random_sentences(3, 8, 60)
    for gt_max in ((1, 3), (2, 5, 1)):
        twin = reference.estimate(sentences, 3, "good-turing", max_counts=gt_max, float32=True)
        assert differences(model_of(sentences, 3, "good-turing", gt_max=gt_max), twin) == {}


# ---- indices

BOUNDS = """
from tests.small_ngrams import SMOOTHINGS, model_of, random_sentences
import numpy as np

for order in (1, 2, 3, 5):
    for number, smoothing in enumerate(SMOOTHINGS):
        for sentences in ([[]], [[b"a"]], random_sentences(number, 20, 40)):
            model = model_of(
                sentences, order, smoothing, None, [1, 1, 2][: order - number % 2 or 1],
                unk="kenlm" if number % 3 else "word",
                threshold=None if smoothing == "stupid-backoff" else [1e-6, 0.02][number % 2],
            )
            ids = np.random.default_rng(1).integers(-1, len(model.vocab), 50).astype(np.int32)
            model.score_ids(ids, model.start(), entropy=True)
            model.distributions(ids[:5], model.start())
    model_of(random_sentences(9, 20, 40), order, unk="kenlm")
"""


def test_no_index_is_out_of_bounds():
    folder = Path(os.environ["NUMBA_CACHE_DIR"]) / "bounds"  # code with checks must not meet code without
    root = str(Path(__file__).resolve().parents[2])
    environment = os.environ | {"NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(folder), "PYTHONPATH": root}
    done = subprocess.run([sys.executable, "-c", BOUNDS], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
