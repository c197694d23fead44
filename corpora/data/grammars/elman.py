"""The two languages of Elman's papers: simple sentences (1990), and embedded clauses with agreement (1993)."""

from __future__ import annotations

from functools import cache
from itertools import product

from corpora.data.grammars.process import END, Arc, Machine
from corpora.errors import CorpusError

# ---- Elman (1990), Finding structure in time, Cognitive Science 14 ----------------------------
# The names of the categories and the first two words of each (one for VERB-EAT) are those of the
# paper's table of lexical items, which prints "break" for the food "bread".  That table gives
# examples only; the further words are the rest of the 29 leaves of the paper's cluster diagram, put
# where their meaning belongs: boy girl, dog, car, lion, sandwich, exist, like.  (The text speaks of
# 13 categories; its table prints these 12.)
CATEGORIES = {
    "NOUN-HUM": ("man", "woman", "boy", "girl"),
    "NOUN-ANIM": ("cat", "mouse", "dog"),
    "NOUN-INANIM": ("book", "rock", "car"),
    "NOUN-AGRESS": ("dragon", "monster", "lion"),
    "NOUN-FRAG": ("glass", "plate"),
    "NOUN-FOOD": ("cookie", "bread", "sandwich"),
    "VERB-INTRAN": ("think", "sleep", "exist"),
    "VERB-TRAN": ("see", "chase", "like"),
    "VERB-AGPAT": ("move", "break"),
    "VERB-PERCEPT": ("smell", "see"),
    "VERB-DESTROY": ("break", "smash"),
    "VERB-EAT": ("eat",),
}

# the paper's table of templates for the sentence generator, all 16 rows
FRAMES = (
    ("NOUN-HUM", "VERB-EAT", "NOUN-FOOD"),
    ("NOUN-HUM", "VERB-PERCEPT", "NOUN-INANIM"),
    ("NOUN-HUM", "VERB-DESTROY", "NOUN-FRAG"),
    ("NOUN-HUM", "VERB-INTRAN"),
    ("NOUN-HUM", "VERB-TRAN", "NOUN-HUM"),
    ("NOUN-HUM", "VERB-AGPAT", "NOUN-INANIM"),
    ("NOUN-HUM", "VERB-AGPAT"),
    ("NOUN-ANIM", "VERB-EAT", "NOUN-FOOD"),
    ("NOUN-ANIM", "VERB-TRAN", "NOUN-ANIM"),
    ("NOUN-ANIM", "VERB-AGPAT", "NOUN-INANIM"),
    ("NOUN-ANIM", "VERB-AGPAT"),
    ("NOUN-INANIM", "VERB-AGPAT"),
    ("NOUN-AGRESS", "VERB-DESTROY", "NOUN-FRAG"),
    ("NOUN-AGRESS", "VERB-EAT", "NOUN-HUM"),
    ("NOUN-AGRESS", "VERB-EAT", "NOUN-ANIM"),
    ("NOUN-AGRESS", "VERB-EAT", "NOUN-FOOD"),
)


def elman1990() -> Machine:
    """Frames are equally likely, and the words of a category: 2.75 words per sentence are expected.

    (The paper's 10,000 sentences had 27,534 words.)  The paper joins its sentences without a mark
    between them; here each is a line.
    A state is the sentence so far, because several frames may agree with it.
    """
    mass: dict[tuple[str, ...], float] = {}  # of all sentences that begin so
    following: dict[tuple[str, ...], dict[str, None]] = {}  # a dict, for its order
    for frame in FRAMES:
        sentences = list(product(*(CATEGORIES[category] for category in frame)))
        share = 1.0 / (len(FRAMES) * len(sentences))
        for sentence in sentences:
            symbols = (*sentence, END)
            for i, symbol in enumerate(symbols):
                following.setdefault(symbols[:i], {})[symbol] = None
            for i in range(len(symbols) + 1):
                mass[symbols[:i]] = mass.get(symbols[:i], 0.0) + share

    def arcs(prefix):
        return [
            Arc(symbol, mass[(*prefix, symbol)] / mass[prefix], None if symbol == END else (*prefix, symbol))
            for symbol in following[prefix]
        ]

    return Machine((), arcs)


# ---- Elman (1993), Learning and development in neural networks: the importance of starting small,
# Cognition 48; the same grammar as in Elman (1991), Machine Learning 7 ------------------------------
#     S -> NP VP "."          NP -> PropN | N | N RC      VP -> V (NP)
#     RC -> who NP VP | who VP (NP)
# with agreement in number between a verb and its subject (also of a relative clause's verb with the
# head that is its subject), and three kinds of verbs.  In "who NP VP" the head is the object of the
# clause, so its verb must be able to have one and shows none.
NAMES = ("John", "Mary")
NOUNS = {"singular": ("boy", "girl", "cat", "dog"), "plural": ("boys", "girls", "cats", "dogs")}
VERBS = {
    "needs object": {"singular": ("chases", "feeds"), "plural": ("chase", "feed")},
    "may have object": {"singular": ("sees", "hears"), "plural": ("see", "hear")},
    "no object": {"singular": ("walks", "lives"), "plural": ("walk", "live")},
}


def _noun_arcs(probability, depth, max_depth, below):
    """Arcs of a noun phrase: any of the ten nouns and names.  ``below(number)`` is the stack under it."""
    p = probability / (len(NAMES) + sum(map(len, NOUNS.values())))
    arcs = [Arc(name, p, below("singular")) for name in NAMES]
    for number, nouns in NOUNS.items():
        clause = (("clause?", number, depth),) if depth < max_depth else ()
        arcs += [Arc(noun, p, below(number) + clause) for noun in nouns]
    return arcs


def _verb_arcs(probability, number, depth, gap, below):
    """Arcs of a verb; with ``gap`` the object is the head of the clause: it must be possible and is not said."""
    kinds = [kind for kind in VERBS if not (gap and kind == "no object")]
    p = probability / sum(len(VERBS[kind][number]) for kind in kinds)
    needed = {"needs object": (("object", depth),), "may have object": (("object?", depth),), "no object": ()}
    return [Arc(verb, p, below + (() if gap else needed[kind])) for kind in kinds for verb in VERBS[kind][number]]


def _item_arcs(item, below, relative, max_depth):
    """Arcs of what is awaited next, the top of the stack; what their probabilities lack is that of leaving it out."""
    kind = item[0]
    if kind == "subject":
        _, depth, gap = item
        return _noun_arcs(1.0, depth, max_depth, lambda number: (*below, ("verb", number, depth, gap)))
    if kind == "object":
        return _noun_arcs(1.0, item[1], max_depth, lambda number: below)
    if kind == "object?":
        return _noun_arcs(0.5, item[1], max_depth, lambda number: below)
    if kind == "verb":
        return _verb_arcs(1.0, *item[1:], below)
    if kind == "clause?":
        return [Arc("who", relative, (*below, ("clause", item[1], item[2] + 1)))]
    if kind == "clause":
        _, number, depth = item
        head_is_object = _noun_arcs(0.5, depth, max_depth, lambda n: (*below, ("verb", n, depth, True)))
        return _verb_arcs(0.5, number, depth, False, below) + head_is_object
    return [Arc(".", 1.0, below)]


def elman1993(relative: float, depth: int, complex: float) -> Machine:
    """A share of ``complex`` of the sentences has a relative clause at least, the others have none.

    The phases of "starting small" are the shares 0, 0.25, 0.5, 0.75 and 1.  A noun takes a clause with
    probability ``relative`` (then weighted so that the share comes out), a noun in a clause likewise,
    ``depth`` deep at most.  No probability is from the papers: nouns and names, verbs, the two kinds
    of clauses, and an optional object or none, are equally likely here; with the default options a
    sentence has 6.2 words with its full stop (the papers: 3 to 16, 6 on average).
    A state is (clause seen, stack of what is awaited), the top of the stack last.
    """
    left_out = {"clause?": 1.0 - relative, "object?": 0.5}  # probability; everything else must come

    def plain_arcs(stack):
        if not stack:
            return [Arc(END, 1.0, None)]
        arcs, skipped = [], 1.0
        while skipped > 0.0:
            item, stack = stack[-1], stack[:-1]
            arcs += [Arc(word, skipped * p, to) for word, p, to in _item_arcs(item, stack, relative, depth)]
            skipped *= left_out.get(item[0], 0.0)
        return arcs

    @cache
    def becomes_complex(stack):
        if not stack:
            return 0.0
        return sum(p * (1.0 if word == "who" else becomes_complex(to)) for word, p, to in plain_arcs(stack))

    start = (".",), ("subject", 0, False)
    plain_share = becomes_complex(start)
    if complex > 0.0 and plain_share == 0.0:
        raise CorpusError(
            "elman1993: complex above 0 needs relative and depth above 0; for simple sentences set complex to 0"
        )

    def weight(seen, stack):
        """How much likelier sentences that go on from here are than without the condition on the share."""
        chance = 1.0 if seen else becomes_complex(stack)
        simple = (1.0 - chance) * (1.0 - complex) / (1.0 - plain_share)
        return simple + chance * complex / plain_share if complex > 0.0 else simple

    def arcs(state):
        seen, stack = state
        if seen or not stack:
            return [Arc(word, p, (seen, to)) for word, p, to in plain_arcs(stack)]
        here = weight(seen, stack)
        following = ((word, p, (word == "who", to)) for word, p, to in plain_arcs(stack))
        return [Arc(word, p * weight(*to) / here, to) for word, p, to in following]

    return Machine((False, start), arcs)
