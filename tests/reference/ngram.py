"""n-gram estimation, back-off query and pruning in plain Python: the twin of ``rnnlm.ngram``, written for reading.

Probabilities are float64 in dictionaries.  The numbers are those of SRILM's ``ngram-count -unk`` and, with
``unk="kenlm"``, of KenLM's ``lmplz``; where those two give up (discounts that are undefined), the fall-backs
are ours and a warning says so.

Sources: Chen and Goodman (1998), An Empirical Study of Smoothing Techniques for Language Modeling, TR-10-98
(all smoothings, Kneser-Ney's modified discounts: eq. 26); Katz (1987); Witten and Bell (1991); Brants et al.
(2007), stupid back-off; Stolcke (1998), Entropy-based Pruning of Backoff Language Models; the documentation
of ngram-count(1), ngram-discount(7) and lmplz.

Legend: V words that can be predicted (the vocabulary, </s> and <unk>, without <s>).  Of one history h:
T sum of its followers' counts, N1 how many followers, N2 and N3 how many of them have counts >= 2 and >= 3,
all before cutoffs.  n_r: how many n-grams of one order have the count r.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from tests.reference import ngram_discounts as discounts
from tests.reference.ngram_counts import (
    END,
    START,
    UNKNOWN,
    Ngram,
    count_ngrams,
    counts_of_counts,
    followers_of,
    kneser_ney_counts,
    slip,
)
from tests.reference.ngram_discounts import EPSILON, Discount, Warn

ZERO = -99.0  # log10 of zero, as SRILM writes it
STUPID_WEIGHT = 0.4  # Brants et al. (2007)

SMOOTHINGS = (
    "modified-kneser-ney",
    "kneser-ney",
    "witten-bell",
    "good-turing",
    "absolute",
    "additive",
    "stupid-backoff",
    "maximum-likelihood",
)
KNESER_NEY = ("modified-kneser-ney", "kneser-ney")
INTERPOLATED = (*KNESER_NEY, "witten-bell", "absolute")


@dataclass
class Model:
    """A back-off model.  probs[history][word] and backoffs[history] are linear; a history's oldest word is first.

    ``backoffs`` has every history with followers and every suffix of one; others back off at no cost.
    """

    order: int
    vocab: frozenset[bytes]
    probs: dict[Ngram, dict[bytes, float]] = field(default_factory=dict)
    backoffs: dict[Ngram, float] = field(default_factory=dict)
    start_log10_prob: float = ZERO
    warnings: list[str] = field(default_factory=list)
    discounts: list[str] = field(default_factory=list)
    float32: bool = False

    @property
    def ngrams(self) -> dict[Ngram, tuple[float, float]]:
        """What an ARPA file lists: n-gram -> (log10 probability, log10 back-off weight, 0 for none)."""
        listed = {
            (*history, word): (_log10(prob), _log10(self.backoffs.get((*history, word), 1.0)))
            for history, words in self.probs.items()
            for word, prob in words.items()
        }
        listed[(START,)] = (self.start_log10_prob, _log10(self.backoffs.get((START,), 1.0)))
        return listed

    def prob(self, word: bytes, history: Ngram) -> tuple[float, int]:
        """p(word | history) and the length of the n-gram that it was found in, 0 for none."""
        if len(history) >= self.order:
            history = history[len(history) - self.order + 1 :]
        weight = 1.0
        while True:
            prob = self.probs.get(history, {}).get(word)
            if prob is not None:
                return (prob if weight == 1 else self._stored(weight * prob)), len(history) + 1
            if not history:
                return 0.0, 0
            weight *= self.backoffs.get(history, 1.0)
            history = history[1:]

    def distribution(self, history: Ngram) -> dict[bytes, float]:
        """p(w | history) for every word of the vocabulary."""
        return {word: self.prob(word, history)[0] for word in self.vocab}

    def score(self, words: Sequence[bytes]) -> list[tuple[bytes, float, int]]:
        """(word, log10 probability, n-gram length) of each word of a sentence and its end; words outside: <unk>."""
        known = [word if word in self.vocab else UNKNOWN for word in words] + [END]
        text = (START, *known)
        scored = []
        for i, word in enumerate(known):
            prob, length = self.prob(word, text[max(0, i + 2 - self.order) : i + 1])
            scored.append((word, _log10(prob), length))
        return scored

    def insert(self, history: Ngram, probs: dict[bytes, float]) -> None:
        """Give a history its followers."""
        self.probs[history] = {word: self._stored(prob) for word, prob in probs.items()}
        for i in range(len(history)):
            self.backoffs.setdefault(history[i:], 1.0)

    def _stored(self, prob: float) -> float:
        """SRILM keeps log10 in 32 bits; that shows where little is left: 1 - (a sum near 1)."""
        if not self.float32 or prob <= 0:
            return prob
        return 10.0 ** float(np.float32(math.log10(prob)))


def _log10(prob: float) -> float:
    return math.log10(prob) if prob > 0 else ZERO


# -------------------------------------------------------------------------------------------- estimation


def estimate(
    sentences: Iterable[Sequence[bytes]],
    order: int,
    smoothing: str = "modified-kneser-ney",
    interpolate: bool | None = None,
    min_counts: Sequence[int] | None = None,
    unk: str = "word",
    vocab: Iterable[bytes] | None = None,
    *,
    discount: float | None = None,
    delta: float = 1.0,
    max_counts: Sequence[int] = (1, 7),
    float32: bool | None = None,
    kenlm_slip: bool = False,
) -> Model:
    """An n-gram model of ``order`` from sentences without <s> and </s>.

    interpolate  mix each order with the lower ones (None: where the smoothing can) or only back off
    min_counts   for each order, SRILM's gtNmin: n-grams with lower (Kneser-Ney: modified) counts are left out;
                 None: 1, 1, 2, 2, .. for good-turing, 1 for others; the last stands for all above it
    unk          "word": <unk> is a word like any other, one without a count shares what unigrams leave over;
                 "kenlm": it gets its part of the interpolated uniform distribution, and weights are lmplz's
    vocab        a closed vocabulary: other words become <unk>
    discount     of "absolute"; None: n1 / (n1 + 2 n2), for each order
    delta        of "additive"
    max_counts   of "good-turing", for each order, SRILM's gtNmax
    float32      round every stored log10 probability to 32 bits, as SRILM does; None: unless unk="kenlm"
    kenlm_slip   count one n-gram of each order as lmplz does: see ``ngram_counts.slip``
    """
    interpolate = smoothing in INTERPOLATED and interpolate is not False
    minima = _spread(min_counts or ([1, 1, 2] if smoothing == "good-turing" else [1]), order)
    maxima = _spread(max_counts, order)
    sentences, words = _encode(sentences, vocab)
    if unk == "kenlm" and any(UNKNOWN in sentence for sentence in sentences):
        raise ValueError("the text has <unk>, which unk='kenlm' leaves no count for")
    model = Model(order, frozenset(words | {END, UNKNOWN}), float32=unk == "word" if float32 is None else float32)
    model.start_log10_prob = 0.0 if unk == "kenlm" else ZERO
    raw_counts = count_ngrams(sentences, order)
    counts = kneser_ney_counts(raw_counts) if smoothing in KNESER_NEY else raw_counts

    for n in range(1, order + 1):
        if not counts[n - 1]:  # no sentence is that long
            continue
        n_r = counts_of_counts(counts[n - 1])
        if kenlm_slip and n < order:
            slip(n_r, n, sentences, order, counts[n - 1], raw_counts[n - 1])
        warn = lambda finding, n=n: model.warnings.append(f"{smoothing}, order {n}: {finding}")  # noqa: E731
        rule = _discount(smoothing, n_r, discount, delta, maxima[n - 1], len(model.vocab), warn)
        model.discounts.append(rule.text)
        for history, followers in followers_of(counts[n - 1]).items():
            _estimate_history(model, history, followers, smoothing, rule, interpolate, minima[n - 1], unk)
    _insert_missing_prefixes(model)
    return model


def _spread(values: Sequence[int], order: int) -> list[int]:
    """One value an order; the last stands for all above it."""
    return [values[min(n, len(values) - 1)] for n in range(order)]


def _encode(
    sentences: Iterable[Sequence[bytes]], vocab: Iterable[bytes] | None
) -> tuple[list[list[bytes]], set[bytes]]:
    """The sentences with <unk> for words outside the vocabulary, and the vocabulary: by default, all words."""
    sentences = [list(sentence) for sentence in sentences]
    words = {word for sentence in sentences for word in sentence}
    if not sentences:
        raise ValueError("no sentences")
    if words & {START, END}:
        raise ValueError("sentences have neither <s> nor </s>: they are added")
    if vocab is None:
        return sentences, words
    closed = set(vocab) - {START}
    return [[word if word in closed else UNKNOWN for word in sentence] for sentence in sentences], closed


def _discount(
    smoothing: str, n_r: Counter[int], D: float | None, delta: float, max_count: int, V: int, warn: Warn
) -> Discount:
    if smoothing == "modified-kneser-ney":
        return discounts.modified_kneser_ney(n_r, warn)
    if smoothing == "absolute" and D is not None:
        return discounts.one_discount(D)
    if smoothing in ("kneser-ney", "absolute"):
        return discounts.estimated_discount(n_r, warn)
    if smoothing == "witten-bell":
        return discounts.witten_bell()
    if smoothing == "good-turing":
        return discounts.good_turing(n_r, max_count, warn)
    if smoothing == "additive":
        return discounts.additive(delta, V)
    if smoothing in ("maximum-likelihood", "stupid-backoff"):
        return discounts.undiscounted()
    raise ValueError(f"no smoothing {smoothing}")


def _estimate_history(
    model: Model,
    history: Ngram,
    followers: dict[bytes, int],
    smoothing: str,
    rule: Discount,
    interpolate: bool,
    min_count: int,
    unk: str,
) -> None:
    """The probabilities of what follows ``history``, and its back-off weight."""
    kenlm = unk == "kenlm" and interpolate
    probs, lower_weight = _history_probs(model, history, followers, rule, interpolate, min_count, kenlm)
    if history and not probs:
        return
    model.insert(history, probs)
    if smoothing == "stupid-backoff" and history:
        model.backoffs[history] = STUPID_WEIGHT
    elif smoothing == "stupid-backoff":
        _give(model, STUPID_WEIGHT / len(model.vocab), model.vocab - set(probs))
    elif not history:
        _share_left_over(model, 0.0 if kenlm else EPSILON)
    elif kenlm and min_count == 1:
        model.backoffs[history] = lower_weight
    else:
        _normalise(model, history, EPSILON if rule.makes_room else 0.0)


def _history_probs(
    model: Model,
    history: Ngram,
    followers: dict[bytes, int],
    rule: Discount,
    interpolate: bool,
    min_count: int,
    kenlm: bool,
) -> tuple[dict[bytes, float], float]:
    """p(w | history) of the words with counts of at least ``min_count``, and the lower order's weight."""
    T = sum(followers.values())
    N1, N2, N3 = (sum(c >= r for c in followers.values()) for r in (1, 2, 3))
    V = len(model.vocab)
    while True:
        lower_weight = rule.lower_weight(T, N1, N2, N3) if interpolate else 0.0
        probs = {}
        for word, c in followers.items():
            coefficient = rule.coefficient(c, T, N1)
            if c < min_count or (coefficient == 0 and not kenlm):  # SRILM: 0 leaves the n-gram out, as a cutoff does
                continue
            probs[word] = coefficient * c / T
            if lower_weight:
                lower = model.prob(word, history[1:])[0] if history else model._stored(1 / V)
                probs[word] += lower_weight * lower
        full = rule.makes_room and N1 < V and sum(probs.values()) > 1 - EPSILON
        if kenlm or not full:
            return probs, lower_weight
        if interpolate:  # mixing in the lower order has used up what the discount freed
            interpolate = False
        else:
            T += 1


def _share_left_over(model: Model, smallest: float) -> None:
    """What unigrams leave over goes to the words without a probability or, if all have one, to all."""
    unigrams = model.probs[()]
    left = 1 - math.fsum(unigrams.values())
    if left < smallest:
        left = 0.0
    without = [word for word in model.vocab if unigrams.get(word, 0.0) == 0]
    receivers = without or list(unigrams)
    _give(model, left / len(receivers), receivers)


def _give(model: Model, prob: float, words: Iterable[bytes]) -> None:
    """Add to the unigram probability of each of the words."""
    unigrams = model.probs[()]
    for word in words:
        unigrams[word] = model._stored(unigrams.get(word, 0.0) + prob)


def _normalise(model: Model, history: Ngram, smallest: float = 0.0) -> None:
    """The back-off weight with which p(. | history) sums to one.

    Where the lower order has nothing left for other words, the probabilities themselves are scaled.  ``smallest``
    is what is kept at least where it has: room was made for that much, but rounding may have taken some of it.
    """
    kept, backed_off = _left_masses(model, history)
    if backed_off > 0 == kept:
        kept = smallest
    if backed_off == 0 < kept:
        words = model.probs[history]
        model.probs[history] = {word: model._stored(prob / (1 - kept)) for word, prob in words.items()}
        kept = 0.0
    weight = kept / backed_off if backed_off > 0 else 1.0
    model.backoffs[history] = model._stored(weight)


def _left_masses(model: Model, history: Ngram) -> tuple[float, float]:
    """1 - the sum over the followers of p(w | history), and of the lower order's p(w | history[1:])."""
    words = model.probs[history]
    kept = 1 - math.fsum(words.values())
    backed_off = 1 - math.fsum(model.prob(word, history[1:])[0] for word in words)
    return tuple(0.0 if mass < EPSILON else mass for mass in (kept, backed_off))


def _insert_missing_prefixes(model: Model) -> None:
    """ARPA files hold back-off weights beside probabilities: every history must be an n-gram.

    Those that were left out, and their prefixes, get the probability that backing off gives them.
    """
    missing = {
        history[:n]
        for history in model.backoffs
        for n in range(1, len(history) + 1)
        if history[:n] != (START,) and history[n - 1] not in model.probs.get(history[: n - 1], {})
    }
    for ngram in sorted(missing, key=len):
        prob = model._stored(model.prob(ngram[-1], ngram[:-1])[0])
        model.probs.setdefault(ngram[:-1], {})[ngram[-1]] = prob
        model.backoffs.setdefault(ngram[:-1], 1.0)


# ----------------------------------------------------------------------------------------------- pruning


def history_prob(model: Model, history: Ngram) -> float:
    """How probable a history is anywhere in a text: the chain rule with the model itself; <s> counts as </s>."""
    product = 1.0
    for i, word in enumerate(history):
        product *= model.prob(END if word == START and i == 0 else word, history[:i])[0]
    return product


def prune(model: Model, threshold: float) -> Model:
    """Leave out n-grams that change the perplexity on the model's own text by less than ``threshold`` (relative).

    Stolcke (1998): each is judged alone, with the back-off weight of its history adapted.  Higher orders
    first; one that longer n-grams still hang on stays.
    """
    pruned = Model(
        model.order,
        model.vocab,
        {history: dict(words) for history, words in model.probs.items()},
        dict(model.backoffs),
        model.start_log10_prob,
        warnings=list(model.warnings),
        discounts=list(model.discounts),
        float32=model.float32,
    )
    for length in range(model.order - 1, 0, -1):
        needed = {h[i:] for h, words in pruned.probs.items() if words for i in range(len(h)) if len(h) > length}
        for history in [h for h in pruned.probs if len(h) == length]:
            for word, change in perplexity_changes(model, history).items():
                if change < threshold and (*history, word) not in needed:
                    del pruned.probs[history][word]
    pruned.probs = {h: words for h, words in pruned.probs.items() if words}
    pruned.backoffs = {}
    for history in sorted(pruned.probs, key=len):
        pruned.insert(history, pruned.probs[history])
        if history:
            _normalise(pruned, history)
    return pruned


def perplexity_changes(model: Model, history: Ngram) -> dict[bytes, float]:
    """The relative rise of perplexity if the n-gram (history, word) alone is left out: 10^(D(p || p')) - 1.

    What it is left out of is p(. | history): its own probability backs off, and the history's back-off weight,
    with which that of all words without an n-gram changes, is adapted.
    """
    kept, backed_off = _left_masses(model, history)
    old, marginal = model.backoffs[history], history_prob(model, history)
    changes = {}
    for word, prob in model.probs[history].items():
        lower = model.prob(word, history[1:])[0]
        if lower == 0:  # only "maximum-likelihood" with cutoffs: nothing would stand in for it
            changes[word] = math.inf
            continue
        new = (kept + prob) / (backed_off + lower)
        gain = prob * math.log10(lower * new / prob)
        if kept > 0:
            gain += kept * math.log10(new / old)
        changes[word] = 10 ** (-marginal * gain) - 1
    return changes
