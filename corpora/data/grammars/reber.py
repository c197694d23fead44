"""Reber's grammar, and the same grammar embedded between two symbols that must agree.

Reber (1967), Implicit learning of artificial grammars; symbols and start as in Cleeremans,
Servan-Schreiber & McClelland (1989), Finite state automata and simple recurrent networks.
Embedded: Hochreiter & Schmidhuber (1997), Long short-term memory, experiment 1.
Where a state has two arcs, each is taken with probability 1/2.
"""

from __future__ import annotations

from corpora.data.grammars.process import END, Arc, Machine

# state -> (symbol, next state), ...
REBER = {
    0: (("B", 1),),
    1: (("T", 2), ("P", 3)),
    2: (("S", 2), ("X", 4)),
    3: (("T", 3), ("V", 5)),
    4: (("X", 3), ("S", 6)),
    5: (("P", 4), ("V", 6)),
    6: (("E", 7),),
    7: ((END, None),),
}


def reber() -> Machine:
    """States 0..7 of the graph."""
    return Machine(0, lambda state: [Arc(symbol, 1.0 / len(REBER[state]), to) for symbol, to in REBER[state]])


def embedded_reber() -> Machine:
    """States ("outer", step, first) around ("inner", state of the graph, first): first is the T or P to repeat."""

    def arcs(state):
        place, step, first = state
        if place == "inner":
            if REBER[step] == ((END, None),):
                return arcs(("outer", 2, first))
            return [Arc(symbol, 1.0 / len(REBER[step]), ("inner", to, first)) for symbol, to in REBER[step]]
        if step == 0:
            return [Arc("B", 1.0, ("outer", 1, None))]
        if step == 1:
            return [Arc(symbol, 0.5, ("inner", 0, symbol)) for symbol in ("T", "P")]
        if step == 2:
            return [Arc(first, 1.0, ("outer", 3, None))]
        if step == 3:
            return [Arc("E", 1.0, ("outer", 4, None))]
        return [Arc(END, 1.0, None)]

    return Machine(("outer", 0, None), arcs)
