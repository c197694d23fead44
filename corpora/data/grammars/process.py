"""What a generated corpus is made by: a stochastic automaton over words, read from left to right.

In every state the next symbol decides the next state.  So what may legally follow, with which
probability, and how many bits a perfect model needs are read off the automaton and not estimated.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from numbers import Real
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from corpora.errors import CorpusError

if TYPE_CHECKING:
    import numpy as np

END = "</s>"
"""The symbol after the last word: a sentence is one line of text, and its end is predicted too."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """One line: n words and, where asked for, what the grammar allows before each of them.

    ``continuations`` has n + 1 entries: entry i is the sorted list of the symbols that may stand at
    position i after ``words[:i]``; the last one is that of the end and holds ``</s>``.
    ``probabilities`` has the same shape: their true probabilities (None where a grammar has none).
    """

    words: list[str]
    continuations: list[list[str]] | None = None
    probabilities: list[list[float]] | None = None

    def __str__(self) -> str:
        return " ".join(self.words)


class Entropy(NamedTuple):
    """The floor of a grammar: no model that knows only the sentence so far needs fewer bits on average.

    A symbol is a word or the sentence end, so ``2 ** bits_per_symbol`` is the lowest perplexity that
    ``rnnlm ppl`` can print (but for chance: a sample's own floor scatters around this one).
    """

    bits_per_sentence: float
    symbols_per_sentence: float
    bits_per_symbol: float


class Process(Protocol):
    """A grammar whose options are set."""

    def sentence(self, rng: np.random.Generator, continuations: bool) -> Sentence:
        """Draw one sentence; the words are the same whether continuations are asked for or not."""

    def entropy(self) -> Entropy | None:
        """The exact floor; None where it is not defined."""


class Arc(NamedTuple):
    """One way out of a state.  The state after ``</s>`` is None."""

    symbol: str
    probability: float
    state: Hashable


class _State(NamedTuple):
    arcs: tuple[Arc, ...]
    cumulative: list[float]
    symbols: list[str]  # sorted
    probabilities: list[float]  # in the order of symbols
    bits: float


class Machine:
    """A stochastic automaton: a start state and the arcs out of every state, as a function.

    The arcs of a state have different symbols and probabilities that sum to one; those of
    probability 0 are left out.  States are made when they are met, so there may be very many.
    """

    def __init__(self, start: Hashable, arcs: Callable[[Any], Sequence[Arc]]):
        self.start = start
        self._arcs = arcs
        # bounded: a grammar with deep recursion has more states than memory should hold
        self._state = lru_cache(maxsize=1 << 16)(self._make_state)

    def _make_state(self, state: Hashable) -> _State:
        arcs = tuple(arc for arc in self._arcs(state) if arc.probability > 0.0)
        legal = sorted((arc.symbol, arc.probability) for arc in arcs)
        return _State(
            arcs,
            list(accumulate(arc.probability for arc in arcs)),
            [symbol for symbol, _ in legal],
            [probability for _, probability in legal],
            -sum(p * math.log2(p) for _, p in legal),
        )

    def sentence(self, rng: np.random.Generator, continuations: bool) -> Sentence:
        """One walk from the start to ``</s>``."""
        words: list[str] = []
        legal: list[list[str]] = []
        probabilities: list[list[float]] = []
        state = self.start
        while True:
            here = self._state(state)
            if continuations:
                legal.append(list(here.symbols))
                probabilities.append(list(here.probabilities))
            if len(here.arcs) == 1:
                arc = here.arcs[0]
            else:
                # scaled by the last sum, which rounding may leave beside 1
                choice = bisect_right(here.cumulative, rng.random() * here.cumulative[-1])
                arc = here.arcs[min(choice, len(here.arcs) - 1)]
            if arc.symbol == END:
                break
            words.append(arc.symbol)
            state = arc.state
        return Sentence(words, legal, probabilities) if continuations else Sentence(words)

    def distribution(self, words: Sequence[str]) -> dict[str, float]:
        """The true probabilities of what follows ``words``; a ValueError where these are not legal."""
        state = self.start
        for position, word in enumerate(words):
            following = [arc.state for arc in self._state(state).arcs if arc.symbol == word and word != END]
            if not following:
                raise ValueError(f"word {position + 1}, {word!r}: the grammar does not allow it there")
            state = following[0]
        here = self._state(state)
        return dict(zip(here.symbols, here.probabilities, strict=True))

    def entropy(self, tolerance: float = 1e-12) -> Entropy:
        """Bits and symbols a sentence, summed over the probability of being in each state at each step.

        Walks that are longer than all but ``tolerance`` of the probability are left out.
        """
        mass = {self.start: 1.0}
        bits = symbols = 0.0
        while sum(mass.values()) > tolerance:
            following: dict[Hashable, float] = {}
            for state, probability in mass.items():
                here = self._state(state)
                bits += probability * here.bits
                symbols += probability
                for arc in here.arcs:
                    reached = probability * arc.probability
                    # states this improbable would only make the table long
                    if arc.symbol != END and reached > tolerance * 1e-3:
                        following[arc.state] = following.get(arc.state, 0.0) + reached
            mass = following
        return Entropy(bits, symbols, bits / symbols)


class Option(NamedTuple):
    """A number that can be set, between ``low`` and ``high`` (inclusive), of the type of its default."""

    default: int | float
    low: int | float
    high: int | float
    help: str

    def parse(self, place: str, value: object) -> int | float:
        """``value`` (a number, or text as the command line has it) checked; ``place`` heads the error."""
        kind = type(self.default)
        wanted = f"{'a whole number' if kind is int else 'a number'} from {self.low} to {self.high}"
        if isinstance(value, (str, Real)) and not isinstance(value, bool):
            try:
                number = kind(value)
            except (ValueError, OverflowError):
                number = math.nan
            # int() would cut 2.5; a NaN fails every comparison
            if self.low <= number <= self.high and (isinstance(value, str) or number == value):
                return number
        raise CorpusError(f"{place}: {value} is not {wanted}")


@dataclass(frozen=True)
class Grammar:
    """A corpus that can be generated: what it is, where it is from, and what can be set."""

    name: str
    description: str
    source: str
    build: Callable[..., Process]
    options: Mapping[str, Option]

    def process(self, **options: object) -> Process:
        """The grammar with its options set; an unknown or wrong option is a CorpusError."""
        for name in options:
            if name not in self.options:
                known = ", ".join(self.options) or "none"
                raise CorpusError(f"{self.name}: no option {name}; options of this grammar: {known}")
        return self.build(
            **{
                name: option.parse(f"{self.name}: {name}", options.get(name, option.default))
                for name, option in self.options.items()
            }
        )

    def generate(
        self, n: int, rng: np.random.Generator, *, continuations: bool = False, **options: object
    ) -> Iterator[Sentence]:
        """Draw ``n`` sentences.  The same generator state gives the same sentences on every machine.

        Options are checked at once, not when the first sentence is taken.
        """
        if n < 0:
            raise CorpusError(f"{self.name}: {n} sentences asked for; give 0 or more")
        process = self.process(**options)
        return (process.sentence(rng, continuations) for _ in range(n))

    def entropy(self, **options: object) -> Entropy | None:
        """The exact entropy floor of the text; None where it is not defined (``adding``)."""
        return self.process(**options).entropy()
