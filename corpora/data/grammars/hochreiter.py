"""Tasks with long time lags from Hochreiter & Schmidhuber (1997), Long short-term memory, written as text."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

from corpora.data.grammars.process import END, Arc, Machine, Sentence

if TYPE_CHECKING:
    import numpy as np

# experiments 6a and 6b: class of X X, X Y, Y X, Y Y and of X X X, X X Y, ... Y Y Y
CLASSES = {2: "QRSU", 3: "QRSUVABC"}
# where the relevant symbols stand, in hundredths of the length
WINDOWS = {2: ((10, 20), (50, 60)), 3: ((10, 20), (33, 43), (66, 76))}
DISTRACTORS = "abcd"


def temporal_order(symbols: int, length: int) -> Machine:
    """E, then symbols of a b c d except for two or three that are X or Y, then B, then the class of their order.

    Experiment 6: with ``length`` 100 the line up to B has 100 to 110 symbols, uniformly, and the
    relevant ones stand at 10..20 and 50..60 (of three: 10..20, 33..43, 66..76), counted from E = 1;
    other lengths scale these numbers.  The last word is the class; of three symbols one of the
    paper's classes is called B as the trigger is.  A state is (position, relevant symbols so far).
    """
    windows = [(low * length // 100, high * length // 100) for low, high in WINDOWS[symbols]]
    longest = length + length // 10
    label = dict(zip(product("XY", repeat=symbols), CLASSES[symbols], strict=True))

    def arcs(state):
        position, seen = state
        if position == "class":
            return [Arc(label[seen], 1.0, ("end", seen))]
        if position == "end":
            return [Arc(END, 1.0, None)]
        if position == 1:
            return [Arc("E", 1.0, (2, seen))]
        # a uniform choice among the places low..high, taken one place at a time
        now = stop = 0.0
        if len(seen) < symbols:
            low, high = windows[len(seen)]
            now = 1.0 / (high - position + 1) if position >= low else 0.0
        elif position >= length:
            stop = 1.0 / (longest - position + 1)
        relevant = [Arc(x, now / 2, (position + 1, (*seen, x))) for x in "XY"]
        other = [Arc(x, (1.0 - now - stop) / len(DISTRACTORS), (position + 1, seen)) for x in DISTRACTORS]
        return [*relevant, *other, Arc("B", stop, ("class", seen))]

    return Machine((1, ()), arcs)


class Adding:
    """Experiment 4, the adding problem: a line is ``value marker value marker ... target``.

    Pairs: ``length`` to 1.1 ``length`` of them, uniformly.  A value is drawn uniformly from -1 to 1
    in steps of ``10 ** -digits`` and printed with ``digits`` decimals ("-0.37"); a marker is 1 for the two
    pairs to add, -1 for the first and the last pair, else 0.  One of the first ten pairs is marked,
    then one of the pairs 1..length/2-1 that is not marked yet.  If that hits the first pair, its
    value is set to 0 and its marker stays -1, as the paper's "we set X1 to zero" is read here.
    The target is 0.5 + (X1 + X2) / 4 of the printed values, exact with ``digits + 2`` decimals.

    In the continuations of a value's place stands ``<value>``: any printed number from -1 to 1.
    Those of markers and of the target are given; probabilities and an entropy are not.
    """

    def __init__(self, length: int, digits: int):
        self.length, self.digits, self.scale = length, digits, 10**digits

    def sentence(self, rng: np.random.Generator, continuations: bool) -> Sentence:
        """One line of 2 n + 1 words."""

        def draw(n):
            return int(rng.random() * n)

        n_pairs = self.length + draw(self.length // 10 + 1)
        first = draw(10)
        candidates = [i for i in range(self.length // 2 - 1) if i != first]
        marked = {first, candidates[draw(len(candidates))]}
        values = [draw(2 * self.scale + 1) - self.scale for _ in range(n_pairs)]
        if 0 in marked:
            values[0] = 0
        markers = ["1" if i in marked else "0" for i in range(n_pairs)]
        markers[0] = markers[-1] = "-1"
        target = (2 * self.scale + sum(values[i] for i in marked)) / (4 * self.scale)

        words: list[str] = []
        for value, marker in zip(values, markers, strict=True):
            words += [f"{value / self.scale:.{self.digits}f}", marker]
        words.append(f"{target:.{self.digits + 2}f}")
        return Sentence(words, self._continuations(values, markers, words[-1])) if continuations else Sentence(words)

    def entropy(self) -> None:
        """Not defined: the values stand for real numbers."""
        return None

    def _continuations(self, values: list[int], markers: list[str], target: str) -> list[list[str]]:
        longest = self.length + self.length // 10
        # the pairs of places that could be the marked ones, given the markers so far
        possible = {(min(i, j), max(i, j)) for i in range(10) for j in range(self.length // 2 - 1) if i != j}
        if values[0] != 0:
            possible = {pair for pair in possible if pair[0] != 0}
        legal: list[list[str]] = []
        for i, marker in enumerate(markers):
            here = {pair for pair in possible if i > 0 and i in pair}
            markers_here = ["1"] if here else []
            if i == 0 or i + 1 >= self.length:
                markers_here.append("-1")
            if 0 < i < longest - 1 and len(here) < len(possible):
                markers_here.append("0")
            legal += [["<value>"], sorted(markers_here)]
            if i > 0:
                possible = here if marker == "1" else possible - here
        return [*legal, [target], [END]]


def adding_digits(length: int, values: int) -> Machine:
    """Digits, two of them marked by a ``+``, then ``=`` and the sum of the marked ones: ``3 +7 0 +5 2 = 12``.

    A discrete form of the adding problem, for models of words.  The paper's values are real numbers and its target is
    one; here a value is one of 0..``values``-1, all equally likely, and the answer a word.  A marker is part of its
    value's word, as it is part of one input in the paper, and ``=`` stands for the marker -1 of the last pair.

    Digits: ``length`` to 1.1 ``length`` of them, uniformly.  Marked are one of the first tenth of ``length`` and one of
    the rest of its first half, each uniformly; in the paper the second may stand before the first.
    A state is (digits so far, marked ones so far, their sum).
    """
    windows = (1, length // 10), (length // 10 + 1, length // 2)
    longest = length + length // 10

    def arcs(state):
        place, marked, total = state
        if place == "sum":
            return [Arc(f"{total}", 1.0, ("end", marked, 0))]
        if place == "end":
            return [Arc(END, 1.0, None)]
        # a uniform choice among the places low..high, taken one place at a time
        now = stop = 0.0
        if marked < 2:
            low, high = windows[marked]
            now = 1.0 / (high - place) if place + 1 >= low else 0.0
        elif place >= length:
            stop = 1.0 / (longest - place + 1)
        plain = (1.0 - now - stop) / values
        return [
            *(Arc(f"{x}", plain, (place + 1, marked, total)) for x in range(values)),
            *(Arc(f"+{x}", now / values, (place + 1, marked + 1, total + x)) for x in range(values)),
            Arc("=", stop, ("sum", marked, total)),
        ]

    return Machine((0, 0, 0), arcs)
