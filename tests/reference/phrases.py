"""Phrases, the slow way: strings and Counters."""

import math
from collections import Counter
from itertools import pairwise

import numpy as np

LONGEST = 3  # connectors in a row


def word2phrase(text: bytes, min_count: int, threshold: float) -> bytes:
    """What word2phrase writes for a text that ends in a newline.

    One table of counts holds words and pairs, the pair as its name; pairs are counted across line ends, and joined
    within lines; a joined word does not begin another phrase.  All scores are C's floats.
    """
    f = np.float32
    lines = [line.split() for line in text.split(b"\n")[:-1]]
    words = [word for line in lines for word in line]
    counts = Counter(words) + Counter(a + b"_" + b for a, b in pairwise(words))
    written = []
    for line in lines:
        before = None
        for word in line:
            joined = False
            if before is not None:
                name = before + b"_" + word
                if min(counts[name], counts[before], counts[word]) >= min_count:
                    score = f(counts[name] - min_count) / f(counts[before]) / f(counts[word]) * f(len(words))
                    joined = bool(score > f(threshold))
            written += [b"_" if joined else b" ", word]
            before = None if joined else word
        written.append(b"\n")
    return b"".join(written)


def original_score(pair, first, second, n, min_count):
    f = np.float32
    return f(pair - min_count) / f(first) / f(second) * f(n)


def npmi_score(pair, first, second, n, min_count):
    if pair == n:
        return 1.0
    return math.log(pair * n / (first * second)) / -math.log(pair / n)


def _candidates(words, connectors):
    """(begin, end) of all places where a phrase could stand: two words with up to LONGEST connectors between them."""
    begin = None
    for i, word in enumerate(words):
        if word in connectors:
            continue
        if begin is not None and i - begin - 1 <= LONGEST:
            yield begin, i
        begin = i


def join(lines, score, min_count, threshold, connectors=(), separator="_", across=False):
    """One pass over lines of words: the lines with their phrases joined, and the names and scores of the phrases."""
    counts = Counter(word for line in lines for word in line)
    n = counts.total()
    whole = [[word for line in lines for word in line]] if across else lines

    def rare(word):
        return word not in connectors and counts[word] < min_count

    pairs = Counter(
        tuple(line[i : j + 1])
        for line in whole
        for i, j in _candidates(line, connectors)
        if not any(map(rare, line[i : j + 1]))
    )
    scores = {
        pair: score(count, counts[pair[0]], counts[pair[-1]], n, min_count)
        for pair, count in pairs.items()
        if count >= min_count
    }
    above = {pair: value for pair, value in scores.items() if value > threshold}
    joined = []
    for line in lines:
        found, taken_to = [], 0
        rest = 0
        for i, j in _candidates(line, connectors):
            if i >= taken_to and tuple(line[i : j + 1]) in above:
                found += [*line[rest:i], separator.join(line[i : j + 1])]
                rest = taken_to = j + 1
        joined.append(found + line[rest:])
    # different pairs can have one name: "a+b" with "c", "a" with "b+c"
    return joined, [(separator.join(pair), value) for pair, value in above.items()]
