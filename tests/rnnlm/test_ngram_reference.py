"""The n-gram twin is right: what SRILM and KenLM print, numbers by hand, and properties of any back-off model."""

from __future__ import annotations

import gzip
import itertools
import math
import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reference import ngram_discounts
from tests.reference.ngram import (
    END,
    SMOOTHINGS,
    START,
    UNKNOWN,
    ZERO,
    Model,
    count_ngrams,
    counts_of_counts,
    estimate,
    history_prob,
    kneser_ney_counts,
    perplexity_changes,
    prune,
)

SRILM = {
    "gt3": {"order": 3, "smoothing": "good-turing"},
    "wb3": {"order": 3, "smoothing": "witten-bell"},
    "ad3": {"order": 3, "smoothing": "absolute", "discount": 0.75},
    "ukn3": {"order": 3, "smoothing": "kneser-ney"},
    "ukn3bo": {"order": 3, "smoothing": "kneser-ney", "interpolate": False},
    "mkn4": {"order": 4},
    "add01": {"order": 2, "smoothing": "additive", "delta": 0.1},
    "add1": {"order": 2, "smoothing": "additive", "delta": 1.0},
}
KENLM = {"mkn3": {"order": 3, "unk": "kenlm"}, "mkn5": {"order": 5, "unk": "kenlm"}}


def _text(path: Path) -> list[list[bytes]]:
    return [line.split() for line in path.read_bytes().splitlines()]


@pytest.fixture(scope="module")
def models(golden):
    """name -> the twin's model, estimated once."""
    train = _text(golden / "toy" / "train.txt")
    made: dict[str, Model] = {}

    def get(name: str) -> Model:
        if name not in made:
            made[name] = estimate(train, **(SRILM | KENLM)[name])
        return made[name]

    return get


def _read_arpa(path: Path) -> dict[tuple[bytes, ...], tuple[float, float]]:
    ngrams = {}
    for line in gzip.decompress(path.read_bytes()).split(b"\n"):
        columns = line.split(b"\t")
        if len(columns) >= 2:
            backoff = float(columns[2]) if len(columns) > 2 else 0.0
            ngrams[tuple(columns[1].split(b" "))] = float(columns[0]), backoff
    return ngrams


def _assert_same_ngrams(ours: dict, theirs: dict, tolerance: float) -> None:
    assert ours.keys() == theirs.keys()
    for column in (0, 1):
        worst = max(theirs, key=lambda ngram: abs(ours[ngram][column] - theirs[ngram][column]))
        assert ours[worst][column] == pytest.approx(theirs[worst][column], abs=tolerance), worst


# --------------------------------------------------------------------------------- the reference programs


@pytest.mark.parametrize("name", SRILM)
def test_every_number_of_srilm_is_reproduced_to_its_last_digit(golden, models, name):
    _assert_same_ngrams(models(name).ngrams, _read_arpa(golden / "srilm" / f"{name}.arpa.gz"), tolerance=6e-7)
    assert models(name).warnings == []


@pytest.mark.parametrize("name", KENLM)
def test_every_number_of_lmplz_is_reproduced(golden, models, name):
    _assert_same_ngrams(models(name).ngrams, _read_arpa(golden / "kenlm" / f"{name}.arpa.gz"), tolerance=5e-7)


@pytest.mark.parametrize("name", SRILM)
def test_every_word_of_srilm_ppl_debug_2_is_reproduced(golden, models, name):
    printed = gzip.decompress((golden / "srilm" / f"{name}.ppl.debug2.gz").read_bytes())
    theirs = re.findall(rb"\tp\( (\S+) \| .*\) \t= \[(\d)gram\] \S+ \[ (\S+) \]", printed)
    scored = [word for sentence in _text(golden / "toy" / "test.txt") for word in models(name).score(sentence)]
    assert [(word, length) for word, _, length in scored] == [(word, int(length)) for word, length, _ in theirs]
    assert [log10 for _, log10, _ in scored] == pytest.approx([float(x) for *_, x in theirs], rel=0, abs=5e-6)
    total = float(re.findall(rb"logprob= (\S+)", printed)[-1])
    assert math.fsum(log10 for _, log10, _ in scored) == pytest.approx(total, abs=6e-3)  # seven digits


@pytest.mark.parametrize("name", KENLM)
def test_every_word_of_kenlm_query_is_reproduced(golden, models, name):
    printed = gzip.decompress((golden / "kenlm" / f"{name}.query.word.gz").read_bytes())
    theirs = re.findall(rb"(\S+)=(\d+) (\d) (-\S+)", printed)
    scored = [word for sentence in _text(golden / "toy" / "test.txt") for word in models(name).score(sentence)]
    assert [(word, length) for word, _, length in scored] == [
        (word if word_id != b"0" else UNKNOWN, int(length)) for word, word_id, length, _ in theirs
    ]
    assert [log10 for _, log10, _ in scored] == pytest.approx([float(x) for *_, x in theirs], rel=0, abs=2e-6)


# What ngram-count (SRILM 1.7.3, built from source) made of toy/train.txt with -gtNmin and -prune: the number of
# n-grams of each order, the sum of log10 probabilities (without <s>) and the sum of log10 back-off weights.
CUT = [
    ("modified-kneser-ney", True, [1, 2, 2], None, [618, 2321, 4216], -11561.847, -515.479),
    ("modified-kneser-ney", True, [2, 3, 2], None, [618, 1755, 4216], -10578.32, -493.931),
    ("modified-kneser-ney", False, [1, 2, 1, 3], None, [618, 5630, 14783, 1433], -38563.636, 2449.244),
    ("kneser-ney", True, [1, 1, 2, 2], None, [618, 5852, 3842, 3406], -19395.947, -1348.739),
    ("witten-bell", True, [2, 3, 2], None, [618, 1907, 4216], -10938.488, -699.183),
    ("absolute", False, [1, 2, 1, 3], None, [618, 5678, 14783, 1433], -39617.34, 3334.18),
    ("additive", False, [1, 2, 1], None, [618, 5678, 14783], -48740.089, 1055.463),
    ("good-turing", False, [2, 2, 1, 3], None, [618, 5678, 14783, 1433], -38442.339, 3188.583),
    ("modified-kneser-ney", True, [1, 1, 1], 1e-6, [618, 5234, 5354], -19210.925, -512.888),
    ("modified-kneser-ney", True, [1, 1, 1, 1], 1e-5, [618, 3386, 2425, 2029], -12472.982, -409.479),
    ("kneser-ney", False, [1, 1, 1], 1e-4, [618, 756, 961], -3661.914, 856.786),
    ("witten-bell", True, [1, 2, 1, 2], 3e-5, [618, 2297, 5000, 372], -16081.326, -269.919),
    ("absolute", True, [1, 1, 1], 1e-4, [618, 1373, 653], -5971.562, -128.375),
    ("good-turing", False, [1, 1, 2], 1e-5, [618, 5272, 1761], -14377.746, 640.908),
]


@pytest.mark.parametrize(("smoothing", "interpolate", "min_counts", "threshold", "sizes", "probs", "backoffs"), CUT)
def test_cutoffs_and_pruning_are_those_of_srilm(
    golden, smoothing, interpolate, min_counts, threshold, sizes, probs, backoffs
):
    discount = 0.75 if smoothing == "absolute" else None
    train = _text(golden / "toy" / "train.txt")
    model = estimate(train, len(sizes), smoothing, interpolate, min_counts, discount=discount, delta=0.3)
    if threshold:
        model = prune(model, threshold)
    by_order = Counter(len(ngram) for ngram in model.ngrams)
    assert [by_order[n] for n in range(1, len(sizes) + 1)] == sizes
    assert math.fsum(prob for prob, _ in model.ngrams.values() if prob > ZERO) == pytest.approx(probs, abs=5e-3)
    assert math.fsum(backoff for _, backoff in model.ngrams.values()) == pytest.approx(backoffs, abs=5e-3)


# ---------------------------------------------------------------------------------------------- by hand

TINY = [b"a b a b a c".split(), b"a b".split(), b"c a b".split()]


def test_kneser_ney_counts_are_numbers_of_different_words_before():
    counts = kneser_ney_counts(count_ngrams(TINY, 3))
    assert counts[0][(b"a",)] == 3  # <s>, b, c
    assert counts[0][(b"b",)] == 1  # a
    assert counts[0][(b"c",)] == 2  # a, <s>
    assert counts[1][(b"a", b"b")] == 3  # after <s>, b, c
    assert counts[1][(START, b"a")] == 2  # twice at a beginning: nothing is before it
    assert counts[2][(START, b"a", b"b")] == 2  # the highest order is not modified


def test_good_turing_coefficients_by_hand():
    # n1=10, n2=4, n3=2, n4=1, M=3: A = 4*1/10; d1 = (2*4/10 - A)/(1 - A), d2 = (3*2/(2*4) - A)/(1 - A), ..
    d = ngram_discounts.katz_coefficients(Counter({1: 10, 2: 4, 3: 2, 4: 1}), 3, pytest.fail)
    assert d == pytest.approx([(0.8 - 0.4) / 0.6, (0.75 - 0.4) / 0.6, (2 / 3 - 0.4) / 0.6])


def test_modified_discounts_by_hand():
    # Y = 10/18; D1 = 1 - 2*Y*4/10, D2 = 2 - 3*Y*2/4, D3+ = 3 - 4*Y*1/2
    found = ngram_discounts.modified_discounts(Counter({1: 10, 2: 4, 3: 2, 4: 1}), pytest.fail)
    assert list(found) == pytest.approx([1 - 8 / 18, 2 - 15 / 18, 3 - 20 / 18])


def test_witten_bell_by_hand():
    # after b: a, </s>, </s>: T = 3, N1 = 2.  Unigrams: T = 14, N1 = 4, V = 5: p(a) = (5 + 4/5) / 18
    model = estimate(TINY, 2, "witten-bell", float32=False)
    p_a = (5 + 4 / 5) / 18
    assert model.prob(b"a", ())[0] == pytest.approx(p_a)
    assert model.prob(b"a", (b"b",)) == pytest.approx(((2 + 2 * p_a) / 6, 2))
    assert model.prob(UNKNOWN, (b"zzz",)) == pytest.approx((4 / 5 / 18, 1))


def test_stupid_backoff_pays_0_4_for_each_step_down():
    model = estimate(TINY, 3, "stupid-backoff", float32=False)
    assert model.prob(b"b", (b"c", b"a"))[0] == pytest.approx(1)  # "c a b" 1 of 1
    assert model.prob(b"c", (b"c", b"a"))[0] == pytest.approx(0.4 * 1 / 5)  # "a c" 1 of 5
    assert model.prob(b"a", (b"c", b"a"))[0] == pytest.approx(0.4 * 0.4 * 5 / 14)
    assert model.prob(UNKNOWN, ())[0] == pytest.approx(0.4 / 5)


def test_maximum_likelihood_is_relative_frequency():
    model = estimate(TINY, 2, "maximum-likelihood", float32=False)
    assert model.prob(b"b", (b"a",))[0] == pytest.approx(4 / 5)
    assert model.ngrams[(b"b",)][1] == ZERO  # what never followed b never will
    assert model.prob(UNKNOWN, ()) == (0, 1)


def test_words_without_a_count_share_what_unigrams_leave_over():
    model = estimate(TINY, 1, "witten-bell", False, vocab=[b"a", b"b", b"d", b"e"], float32=False)
    # d and e; "c" became <unk>, </s> is always there: T = 14, N1 = 4, so 4/18 are left
    assert model.vocab == {b"a", b"b", b"d", b"e", END, UNKNOWN}
    assert model.prob(b"d", ())[0] == model.prob(b"e", ())[0] == pytest.approx(4 / 18 / 2)
    assert model.prob(UNKNOWN, ())[0] == pytest.approx(2 / 18)


def test_a_history_that_was_cut_is_put_back_with_its_backed_off_probability():
    model = estimate(TINY, 3, "witten-bell", False, [1, 3, 1], float32=False)
    assert (b"c", b"a") in model.ngrams  # seen once, but "c a b" stays
    assert 10 ** model.ngrams[(b"c", b"a")][0] == pytest.approx(model.prob(b"a", ())[0])
    assert (b"a", b"c") not in model.ngrams or (b"a", b"c", END) in model.ngrams


# ------------------------------------------------------------------------- discounts that are undefined


@pytest.mark.parametrize(
    ("sentences", "smoothing", "warnings"),
    [
        (
            [[b"a"]],
            "modified-kneser-ney",
            [
                "modified-kneser-ney, order 1: no n-grams with count 2: discounts 0.5 1 1.5",
                "modified-kneser-ney, order 2: no n-grams with count 2: discounts 0.5 1 1.5",
            ],
        ),
        (
            [[b"a"], [b"a"]],
            "absolute",
            [f"absolute, order {n}: no n-grams with count 1: discount 0.75" for n in (1, 2)],
        ),
        ([[b"a", b"b"]], "good-turing", ["good-turing, order 2: no n-grams with count 2: not discounted"]),
        ([[b"a", b"b"]], "witten-bell", []),
    ],
)
def test_undefined_discounts_fall_back_with_one_warning_an_order(sentences, smoothing, warnings):
    assert estimate(sentences, 2, smoothing).warnings == warnings


def test_discounts_out_of_range_fall_back():
    warnings: list[str] = []
    assert ngram_discounts.modified_discounts(Counter({1: 5, 2: 1, 3: 9, 4: 1}), warnings.append) == (0.5, 1.0, 1.5)
    # D1 = 5/7, D2 = 2 - 3*(5/7)*9/1, D3+ = 3 - 4*(5/7)*1/9
    assert warnings == ["discounts out of range (0.7143 -17.29 2.683): discounts 0.5 1 1.5"]


def test_good_turing_coefficients_out_of_range_are_one():
    warnings: list[str] = []
    # d0(1) = 2*6/4 > 1, n3 = 0
    assert ngram_discounts.katz_coefficients(Counter({1: 4, 2: 6, 4: 1}), 3, warnings.append) == [1.0, 1.0, 1.0]
    assert warnings == ["Good-Turing coefficient of count 1, 2, 3 out of range: 1"]


def test_a_history_without_mass_left_gets_a_larger_denominator():
    # good-turing, not discounted: after b always </s>, 1 of 1 -> 1 of 2
    model = estimate([[b"a", b"b"]], 2, "good-turing", float32=False)
    assert model.prob(END, (b"b",))[0] == pytest.approx(1 / 2)


# ------------------------------------------------------------------------------------------- properties

WORDS = [b"a", b"b", b"c", b"d", b"<unk>"]
sentences_of = lambda words: st.lists(st.lists(st.sampled_from(words), max_size=8), min_size=1, max_size=12)  # noqa: E731


@st.composite
def estimated(draw, smoothings=SMOOTHINGS) -> Model:
    unk = draw(st.sampled_from(["word", "kenlm"]))
    vocab = draw(st.sampled_from([None, [b"a", b"b", b"never"]])) if unk == "word" else None
    order = draw(st.integers(1, 4))
    return estimate(
        draw(sentences_of(WORDS if unk == "word" else WORDS[:-1])),
        order,
        draw(st.sampled_from(smoothings)),
        draw(st.booleans()),
        draw(st.lists(st.sampled_from([1, 1, 2, 3]), min_size=order, max_size=order)),
        unk,
        vocab,
        delta=draw(st.sampled_from([0.1, 1.0])),
        float32=draw(st.booleans()),
    )


def _histories(model: Model):
    words = (*sorted(model.vocab - {END}), b"outside")
    for n in range(model.order):
        yield from itertools.product(words, repeat=n)
        if n:
            yield from ((START, *rest) for rest in itertools.product(words, repeat=n - 1))


def _assert_proper(model: Model) -> None:
    for history in itertools.islice(_histories(model), 150):
        assert math.fsum(model.distribution(history).values()) == pytest.approx(1, abs=1e-5), history


PROPER = [smoothing for smoothing in SMOOTHINGS if smoothing != "stupid-backoff"]


@settings(max_examples=150, deadline=None)
@given(model=estimated(PROPER))
def test_every_distribution_sums_to_one(model):
    _assert_proper(model)


@settings(max_examples=100, deadline=None)
@given(model=estimated([smoothing for smoothing in SMOOTHINGS if smoothing != "maximum-likelihood"]))
def test_nothing_is_impossible_and_nothing_infinite(model):
    numbers = {ngram: values for ngram, values in model.ngrams.items() if ngram != (START,)}
    assert all(ZERO < prob <= 1e-6 and ZERO < backoff < 10 for prob, backoff in numbers.values())
    assert all((word,) in numbers for word in model.vocab)


@settings(max_examples=50, deadline=None)
@given(model=estimated())
def test_every_history_is_an_ngram_and_so_are_its_prefixes(model):
    listed = model.ngrams
    assert all(ngram[:-1] in listed for ngram in listed if len(ngram) > 1)
    assert all(history in listed for history in model.backoffs)


@settings(max_examples=50, deadline=None)
@given(model=estimated(PROPER), threshold=st.sampled_from([1e-9, 1e-3, 0.05, 10.0]))
def test_pruned_models_are_proper_and_keep_the_prefixes(model, threshold):
    pruned = prune(model, threshold)
    _assert_proper(pruned)
    assert pruned.ngrams.keys() <= model.ngrams.keys()
    assert all(ngram[:-1] in pruned.ngrams for ngram in pruned.ngrams if len(ngram) > 1)
    if threshold == 10.0:
        assert {len(ngram) for ngram in pruned.ngrams} == {1}


# --------------------------------------------------------------------------------------------- pruning


def test_perplexity_change_is_the_divergence_computed_word_by_word():
    """D(p || p') = P(h) sum_w p(w|h) log p(w|h) / p'(w|h): nothing else changes when a highest-order n-gram goes."""
    model = estimate(TINY * 3 + [b"b c a a c".split()], 2, "absolute", False, discount=0.5, float32=False)
    for history, word in [((b"a",), b"b"), ((b"a",), b"c"), ((b"b",), END), ((START,), b"a")]:
        before = model.distribution(history)
        lower = model.distribution(())
        kept = {w: p for w, p in before.items() if (*history, w) in model.ngrams and w != word}
        weight = (1 - sum(kept.values())) / (1 - sum(lower[w] for w in kept))
        after = {w: kept.get(w, weight * lower[w]) for w in model.vocab}
        assert sum(after.values()) == pytest.approx(1)
        marginal = lower[END] if history == (START,) else lower[history[0]]
        divergence = marginal * sum(p * math.log10(p / after[w]) for w, p in before.items())
        assert divergence > 0
        assert perplexity_changes(model, history)[word] == pytest.approx(10**divergence - 1, rel=1e-6)
    assert history_prob(model, (b"a", b"b")) == pytest.approx(lower[b"a"] * model.prob(b"b", (b"a",))[0])


def _changes(model: Model, n: int) -> dict[tuple[bytes, ...], float]:
    histories = [history for history in model.probs if len(history) == n - 1]
    return {(*h, word): change for h in histories for word, change in perplexity_changes(model, h).items()}


def test_pruning_leaves_out_what_is_below_the_threshold_and_nothing_else():
    model = estimate(TINY, 2, "witten-bell", float32=False)
    changes = _changes(model, 2)
    threshold = sorted(changes.values())[len(changes) // 2]
    kept = {ngram for ngram in prune(model, threshold).ngrams if len(ngram) == 2}
    assert kept == {ngram for ngram, change in changes.items() if change >= threshold}


def test_an_ngram_stays_while_longer_ones_hang_on_it():
    model = estimate(TINY, 3, "witten-bell", float32=False)
    changes = _changes(model, 3)
    top = max(changes, key=changes.get)
    pruned = prune(model, changes[top])  # of the highest order, this one is left
    assert [ngram for ngram in pruned.ngrams if len(ngram) == 3] == [top]
    assert top[:2] in pruned.ngrams


def test_the_counts_of_counts_are_those_of_lmplz_with_its_slip():
    # lmplz -o 3 --discount_fallback printed for this text: order 1 D1=0.333333 D2=1 D3+=3, order 2 0.142857 1.85714 3
    text = [b"w0 w0".split(), b"w0 w1 w0 w0 w0 w0 w1 w0".split()]
    assert counts_of_counts(kneser_ney_counts(count_ngrams(text, 3))[0]) == {1: 2, 3: 1}  # which has no D1
    model = estimate(text, 3, unk="kenlm", kenlm_slip=True)
    assert model.discounts[:2] == ["D1=0.333333 D2=1 D3+=3", "D1=0.142857 D2=1.85714 D3+=3"]
    # and in the file
    assert model.ngrams[(UNKNOWN,)][0] == pytest.approx(-0.7367586, abs=1e-6)
    assert model.ngrams[(START, b"w0", b"w1")][0] == pytest.approx(-0.3850239, abs=1e-6)
