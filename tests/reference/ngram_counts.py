"""Counting n-grams in dictionaries: a part of the twin in ``ngram``."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

START, END, UNKNOWN = b"<s>", b"</s>", b"<unk>"

Ngram = tuple[bytes, ...]


def count_ngrams(sentences: Iterable[Sequence[bytes]], order: int) -> list[Counter[Ngram]]:
    """Element n - 1: how often each n-gram occurs in <s> w1 .. wm </s>, <s> alone included."""
    counts: list[Counter[Ngram]] = [Counter() for _ in range(order)]
    for sentence in sentences:
        text = (START, *sentence, END)
        for n in range(1, order + 1):
            counts[n - 1].update(text[i : i + n] for i in range(len(text) - n + 1))
    return counts


def kneser_ney_counts(counts: list[Counter[Ngram]]) -> list[Counter[Ngram]]:
    """Below the highest order: how many different words precede an n-gram.

    One that begins with <s>, which nothing precedes, keeps its count.
    """
    modified = []
    for n, lower in enumerate(counts[:-1], start=1):
        preceded = Counter(ngram[1:] for ngram in counts[n])
        modified.append(Counter({g: c if g[0] == START else preceded[g] for g, c in lower.items()}))
    return [*modified, counts[-1]]


def counts_of_counts(counts: Counter[Ngram]) -> Counter[int]:
    """n_r of one order.  The unigram <s> is never predicted and does not count; "<s> a" does."""
    return Counter(count for ngram, count in counts.items() if ngram[-1] != START)


def slip(
    n_r: Counter[int],
    n: int,
    sentences: list[list[bytes]],
    order: int,
    counts: Counter[Ngram],
    raw_counts: Counter[Ngram],
) -> None:
    """lmplz's counts of counts: of each order below the highest, its last n-gram enters with the raw count.

    Last in the order of ids, which words get at their first appearance, read from the newest word back.  It ends
    in the text's last new word, which mostly occurs once: then both counts are 1.  Else n_r moves by one.
    """
    ids = {START: 0, END: 1}
    for sentence in sentences:
        for word in sentence:
            ids.setdefault(word, len(ids))
    padded = ([START] * (order - 1) + sentence + [END] for sentence in sentences)
    last = max(
        (text[i : i + order][::-1] for text in padded for i in range(len(text) - order + 1)),
        key=lambda g: [ids[w] for w in g],
    )
    ngram = tuple(last[:n][::-1])
    if ngram in counts:
        n_r[counts[ngram]] -= 1
        n_r[raw_counts[ngram]] += 1


def followers_of(counts: Counter[Ngram]) -> dict[Ngram, dict[bytes, int]]:
    """history -> word -> count, without the unigram <s>."""
    by_history: dict[Ngram, dict[bytes, int]] = defaultdict(dict)
    for ngram, count in counts.items():
        if ngram[-1] != START:
            by_history[ngram[:-1]][ngram[-1]] = count
    return by_history
