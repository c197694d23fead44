"""N-gram models of a few sentences: by ``rnnlm.ngram``, and the same by its twin in plain Python."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from corpora.text.vocab import EOS, UNK, Vocab
from rnnlm.ngram.arena import Arena
from rnnlm.ngram.counting.counts import CountedTrie, count_ids
from rnnlm.ngram.estimation.estimate import OrderReport, estimate
from rnnlm.ngram.estimation.prune import prune
from rnnlm.ngram.estimation.smoothing import METHODS, Options
from rnnlm.ngram.query.model import BackoffLM
from rnnlm.ngram.trie import CHILD, WORD
from tests.reference import ngram as reference
from tests.reference.trie import ngrams_of

Sentences = Sequence[Sequence[bytes]]
SMOOTHINGS = tuple(METHODS)
PROPER = tuple(name for name in SMOOTHINGS if name != "stupid-backoff")  # whose scores are no probabilities

SRILM = {
    "gt3": {"order": 3, "smoothing": "good-turing"},
    "wb3": {"order": 3, "smoothing": "witten-bell"},
    "ad3": {"order": 3, "smoothing": "absolute", "discount": 0.75},
    "ukn3": {"order": 3, "smoothing": "kneser-ney"},
    "ukn3bo": {"order": 3, "smoothing": "kneser-ney", "interpolate": False},
    "mkn4": {"order": 4},
    "add01": {"order": 2, "smoothing": "additive", "delta": 0.1},
    "add1": {"order": 2, "smoothing": "additive"},
}
KENLM = {"mkn3": {"order": 3, "unk": "kenlm"}, "mkn5": {"order": 5, "unk": "kenlm"}}


def text_of(path: Path) -> list[list[bytes]]:
    return [line.split() for line in path.read_bytes().splitlines()]


def vocab_of(sentences: Sentences, words: Sequence[bytes] | None = None) -> Vocab:
    """The words of a text, or these, between ``</s>`` and ``<unk>``."""
    known = dict.fromkeys([EOS, *(words or (word for sentence in sentences for word in sentence))])
    return Vocab(list(known | {UNK: None}))


def ids_of(sentences: Sentences, vocab: Vocab, missing: int) -> np.ndarray:
    """(n,) int32, every sentence ended by 0; ``missing`` for words outside the vocabulary."""
    known = {word: id_ for id_, word in enumerate(vocab.words)}
    ids = [[*(known.get(word, missing) for word in sentence), 0] for sentence in sentences]
    return np.array([id_ for sentence in ids for id_ in sentence], np.int32)


def walk(trie: CountedTrie) -> list[dict[tuple[int, ...], int]]:
    """{internal ids, newest first: count} of each order, from the arrays, whose form it checks.

    Words without a count are left out, as they have rows whether they are there or not.
    """
    paths = [(word,) for word in trie.nodes[0][:-1, WORD].tolist()]
    assert paths == [(word,) for word in range(len(paths))]
    found = []
    for n in range(1, trie.order + 1):
        counts = trie.counts(n).tolist()
        assert all(a < b for a, b in pairwise(paths))
        found.append(dict(zip(paths, counts, strict=True)))
        if n < trie.order:
            first, words = trie.nodes[n - 1][:, CHILD].tolist(), trie.nodes[n][:, WORD].tolist()
            assert first[0] == 0
            paths = [(*path, words[k]) for j, path in enumerate(paths) for k in range(first[j], first[j + 1])]
    found[0] = {path: count for path, count in found[0].items() if count}
    return found


def model_of(
    sentences: Sentences,
    order: int,
    smoothing: str = "modified-kneser-ney",
    interpolate: bool | None = None,
    min_counts: Sequence[int] | None = None,
    unk: str = "word",
    vocab: Sequence[bytes] | None = None,
    *,
    threshold: float | None = None,
    threads: int = 1,
    arena: Arena | None = None,
    warn: Callable[[str], None] = lambda line: None,
    reports: Callable[[list[OrderReport]], object] = lambda found: None,
    **options,
) -> BackoffLM:
    """The product's model, pruned where there is a ``threshold``; ``options``: those of ``smoothing.Options``."""
    words = vocab_of(sentences, vocab)
    ids = ids_of(sentences, words, words.unk_id)
    counted = count_ids(ids, len(words), order, threads=threads, arena=arena, batch=40 if arena else None)
    trie, found = estimate(
        counted,
        smoothing,
        options=Options(interpolate=interpolate, **options),
        min_counts=None if min_counts is None else tuple(min_counts),
        unk=unk,
        threads=threads,
        warn=warn,
    )
    reports(found)
    return BackoffLM(words, trie if threshold is None else prune(trie, threshold), {}, threads)


def twin_of(
    sentences: Sentences,
    order: int,
    smoothing: str = "modified-kneser-ney",
    interpolate: bool | None = None,
    min_counts: Sequence[int] | None = None,
    unk: str = "word",
    vocab: Sequence[bytes] | None = None,
    *,
    threshold: float | None = None,
    **options,
) -> reference.Model:
    """The same by the twin.  It rounds to float32 where the product does while it estimates."""
    mixes = smoothing in reference.INTERPOLATED and interpolate is not False
    exact = unk == "kenlm" and mixes and max(min_counts or [1]) == 1
    model = reference.estimate(
        sentences, order, smoothing, interpolate, min_counts, unk, vocab, float32=not exact, **options
    )
    if threshold is None:
        return model
    model.float32 = True
    return reference.prune(model, threshold)


def both(recipe: dict, threshold: float | None = None) -> tuple[BackoffLM, reference.Model]:
    """The product's model and the twin's; without an example where rounding decides what they are."""
    smoothing = recipe.get("smoothing", "modified-kneser-ney")
    twin = twin_of(**recipe)
    assume(_digits_decide(twin, smoothing))
    if threshold is not None:
        histories = [history for history in twin.probs if history]
        changes = [change for history in histories for change in reference.perplexity_changes(twin, history).values()]
        assume(all(abs(change - threshold) > 1e-3 * threshold + 1e-7 for change in changes))
        twin = twin_of(**recipe, threshold=threshold)
        assume(_digits_decide(twin, smoothing))
    return model_of(**recipe, threshold=threshold), twin


def ngrams(model: BackoffLM) -> dict[tuple[bytes, ...], tuple[float, float]]:
    """What an ARPA file would list: {words: (log10 probability, log10 back-off weight)}."""
    orders = ngrams_of(model.trie, list(model.vocab.words))
    return {ngram: values for order in orders for ngram, values in order.items()}


def without_weight(found: dict[tuple[bytes, ...], tuple[float, float]]) -> set[tuple[bytes, ...]]:
    """The n-grams of ``ngrams`` or ``read_arpa`` that have no back-off weight, not even one of 0."""
    return {ngram for ngram, (_, weight) in found.items() if weight == 0 and math.copysign(1, weight) < 0}


def differences(model: BackoffLM, twin: reference.Model, tolerance: float = 1e-5) -> dict:
    """{n-gram: (ours, the twin's)} where log10 probabilities or back-off weights differ, or one lacks the n-gram.

    A weight is the ratio of what two sums leave of 1: where that is little, the seven digits of the
    probabilities say less about it.
    """
    ours, theirs = ngrams(model), twin.ngrams
    found = {ngram: (ours.get(ngram), theirs.get(ngram)) for ngram in ours.keys() ^ theirs.keys()}
    for ngram in ours.keys() & theirs.keys():
        masses = _left(twin, ngram) if ngram in twin.probs else (1.0,)
        slack = tolerance + 1e-6 / min([1.0, *(mass for mass in masses if mass > 1e-6)])
        (p, b), (q, c) = ours[ngram], theirs[ngram]
        if not (abs(p - q) <= tolerance and abs(b - c) <= slack):
            found[ngram] = ours[ngram], theirs[ngram]
    return found


def _digits_decide(twin: reference.Model, smoothing: str) -> bool:
    """Whether no history leaves so little that rounding decides if it is more than SRILM's limit, 3e-6, or nothing.

    With rules that make room, what is left is never nothing while there are words for it: it is 3e-6 in the
    twin, and whatever it is in the product.
    """
    for masses in (_left(twin, history) for history in twin.probs if history):
        if any(1e-6 < mass < 1e-5 for mass in masses):
            return False
        if smoothing != "maximum-likelihood" and masses[0] < 1e-5 < masses[1]:
            return False
    return True


def float32_is_enough(twin: reference.Model) -> bool:
    """Whether no history leaves so little that weights of back-off, differences from 1 in float32, lose four digits."""
    masses = (mass for history in twin.probs if history for mass in _left(twin, history))
    return not any(1e-6 < mass < 1e-3 for mass in masses)


def _left(twin: reference.Model, history: tuple[bytes, ...]) -> tuple[float, float]:
    """What p(. | history) leaves for words that have not followed it, and what the shorter history does."""
    words = twin.probs[history]
    lower = math.fsum(twin.prob(word, history[1:])[0] for word in words)
    return 1 - math.fsum(words.values()), 1 - lower


# ---- corpora for hypothesis

WORDS = [b"a", b"b", b"c", b"d", UNK]


def random_sentences(seed: int, n_words: int, n_sentences: int) -> list[list[bytes]]:
    """Few words that are frequent and many that are rare, so that most counts of counts are there."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 9, n_sentences).tolist()
    return [[b"w%d" % min(int(w), n_words - 1) for w in rng.exponential(n_words / 4, n)] for n in lengths]


few = st.lists(st.lists(st.sampled_from(WORDS), max_size=8), min_size=1, max_size=12)
many = st.builds(
    random_sentences, st.integers(0, 1 << 20), st.sampled_from([2, 3, 10, 40]), st.sampled_from([3, 30, 150])
)


@st.composite
def recipes(draw, smoothings: Sequence[str] = SMOOTHINGS, max_order: int = 4) -> dict:
    """Arguments of ``model_of`` and ``twin_of``."""
    smoothing = draw(st.sampled_from(smoothings))
    order = draw(st.integers(1, max_order))
    sentences = draw(st.one_of(few, many))
    has_unk = any(UNK in sentence for sentence in sentences)
    unk = "word" if has_unk else draw(st.sampled_from(["word", "kenlm"]))
    options = {}
    if smoothing == "absolute":
        options["discount"] = draw(st.sampled_from([None, 0.4, 1.0]))
    if smoothing == "additive":
        options["delta"] = draw(st.sampled_from([0.1, 1.0]))
    return {
        "sentences": sentences,
        "order": order,
        "smoothing": smoothing,
        "interpolate": draw(st.sampled_from([None, True, False])) if smoothing in reference.INTERPOLATED else None,
        "min_counts": draw(st.none() | st.lists(st.sampled_from([1, 1, 2, 3]), min_size=1, max_size=order)),
        "unk": unk,
        "vocab": draw(st.sampled_from([None, None, [b"a", b"b", b"w1", b"never"]])) if unk == "word" else None,
        **options,
    }
