"""Corpora that are generated from a grammar, for teaching and for tests with a known answer.

``GRAMMARS[name].generate(n, rng)`` draws sentences; with ``continuations=True`` each comes with what
may legally stand at every position, and with the true probabilities.
"""

from __future__ import annotations

import difflib

from corpora.data.grammars.elman import elman1990, elman1993
from corpora.data.grammars.hochreiter import Adding, adding_digits, temporal_order
from corpora.data.grammars.process import END, Entropy, Grammar, Option, Sentence
from corpora.data.grammars.reber import embedded_reber, reber
from corpora.errors import CorpusError

__all__ = ["END", "GRAMMARS", "Entropy", "Grammar", "Option", "Sentence", "get_grammar"]

GRAMMARS: dict[str, Grammar] = {
    grammar.name: grammar
    for grammar in (
        Grammar(
            "reber",
            "Reber's finite-state grammar over B T S X P V E",
            "Reber (1967); Cleeremans, Servan-Schreiber & McClelland (1989)",
            reber,
            {},
        ),
        Grammar(
            "embedded-reber",
            "Reber strings between two symbols that must agree: B T ... T E or B P ... P E",
            "Hochreiter & Schmidhuber (1997), experiment 1",
            embedded_reber,
            {"lag": Option(5, 5, 1000, "fewest symbols of the inner string, which the agreement spans")},
        ),
        Grammar(
            "elman1990",
            "two- and three-word sentences of 29 words by lexical categories and sentence frames",
            "Elman (1990), Finding structure in time",
            elman1990,
            {},
        ),
        Grammar(
            "elman1993",
            "sentences with embedded relative clauses, number agreement and verb argument structure",
            "Elman (1993), The importance of starting small; Elman (1991)",
            elman1993,
            {
                "relative": Option(0.25, 0.0, 1.0, "probability that a common noun takes a relative clause"),
                "depth": Option(3, 0, 6, "deepest clause in a clause; 0: none at all"),
                "complex": Option(0.75, 0.0, 1.0, "share of sentences with a relative clause or more"),
            },
        ),
        Grammar(
            "temporal-order",
            "long strings of a b c d; the order of two or three symbols X or Y in them decides the last word",
            "Hochreiter & Schmidhuber (1997), experiments 6a and 6b",
            temporal_order,
            {
                "symbols": Option(2, 2, 3, "number of relevant symbols: 4 classes, or 8"),
                "length": Option(100, 20, 100_000, "length of the shortest line up to its trigger"),
            },
        ),
        Grammar(
            "adding",
            "pairs of a value and a marker; the last word is 0.5 + (sum of the two marked values) / 4",
            "Hochreiter & Schmidhuber (1997), experiment 4",
            Adding,
            {
                "length": Option(100, 20, 10_000, "smallest number of pairs"),
                "digits": Option(2, 1, 6, "decimals of a value"),
            },
        ),
        Grammar(
            "adding-digits",
            "digits, two of them marked, as in 3 +7 0 +5 2 = 12; the last word is the sum of the two",
            "a discrete form of Hochreiter & Schmidhuber (1997), experiment 4",
            adding_digits,
            {
                "length": Option(100, 20, 100_000, "smallest number of digits"),
                "values": Option(10, 2, 20, "how many there are, from 0 on"),
            },
        ),
    )
}


def get_grammar(name: str) -> Grammar:
    """The grammar called ``name``, or a CorpusError that lists those there are."""
    if name in GRAMMARS:
        return GRAMMARS[name]
    close = difflib.get_close_matches(name, GRAMMARS, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    raise CorpusError(f"{name}: no such grammar; {hint}there are {', '.join(GRAMMARS)}")
