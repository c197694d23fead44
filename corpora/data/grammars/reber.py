"""Reber's grammar, and the same grammar embedded between two symbols that must agree.

Reber (1967), Implicit learning of artificial grammars; symbols and start as in Cleeremans,
Servan-Schreiber & McClelland (1989), Finite state automata and simple recurrent networks.
Embedded: Hochreiter & Schmidhuber (1997), Long short-term memory, experiment 1.
Where a state has two arcs, each is taken with probability 1/2; inner strings may be asked to be long.
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


def embedded_reber(lag: int) -> Machine:
    """B, then T or P, a Reber string, the same T or P again, E.

    ``lag``: the fewest symbols of the inner string, which are those between the two that agree.  The paper's grammar
    has 5, the length of the shortest Reber string.  With more, the language lacks its shorter strings; the others keep
    their probabilities, divided by their sum.  (Several inner strings in a row would make a lag as well, but a model
    would have to count them to know where the symbol comes back.)

    States ("outer", step, first) around ("inner", state of the graph, first, symbols needed): first is the T or P.
    """
    longer = _chances(lag)

    def arcs(state):
        place, step, first, *rest = state
        if place == "inner":
            (needed,) = rest
            if REBER[step] == ((END, None),):
                return arcs(("outer", 2, first))
            after = max(needed - 1, 0)
            here = longer[needed][step] * len(REBER[step])
            return [Arc(symbol, longer[after][to] / here, ("inner", to, first, after)) for symbol, to in REBER[step]]
        if step == 0:
            return [Arc("B", 1.0, ("outer", 1, None))]
        if step == 1:
            return [Arc(symbol, 0.5, ("inner", 0, symbol, lag)) for symbol in ("T", "P")]
        if step == 2:
            return [Arc(first, 1.0, ("outer", 3, None))]
        if step == 3:
            return [Arc("E", 1.0, ("outer", 4, None))]
        return [Arc(END, 1.0, None)]

    return Machine(("outer", 0, None), arcs)


def _chances(n: int) -> list[dict[int, float]]:
    """For each of 0..n and every state: the probability that a string has that many symbols or more from there on."""
    chances = [dict.fromkeys(REBER, 1.0)]
    for _ in range(n):
        shorter = chances[-1]
        chances.append(
            {
                state: sum(shorter[to] for symbol, to in following if symbol != END) / len(following)
                for state, following in REBER.items()
            }
        )
    return chances
