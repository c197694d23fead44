"""Generated corpora against recognisers and counts that are written here by hand."""

import math
import re
from collections import Counter, defaultdict
from functools import cache
from itertools import islice, product

import numpy as np
import pytest
from scipy.stats import chisquare

from corpora.data.grammars import END, GRAMMARS, get_grammar
from corpora.data.grammars.elman import CATEGORIES, FRAMES
from corpora.errors import CorpusError

# Reber's graph as drawn in Cleeremans et al. (1989): upper row T-S-X, lower row P-T-V, exits S and V
REBER_EDGES = {
    ("begin", "B"): "fork",
    ("fork", "T"): "upper left",
    ("fork", "P"): "lower left",
    ("upper left", "S"): "upper left",
    ("upper left", "X"): "upper right",
    ("lower left", "T"): "lower left",
    ("lower left", "V"): "lower right",
    ("upper right", "S"): "join",
    ("upper right", "X"): "lower left",
    ("lower right", "V"): "join",
    ("lower right", "P"): "upper right",
    ("join", "E"): "done",
    ("done", END): None,
}


def draw(name, n, seed=7, **options):
    return list(GRAMMARS[name].generate(n, np.random.default_rng(seed), **options))


def follow_reber(words):
    """The sorted symbols that may stand at every position of a Reber string, by the edges above."""
    node, legal = "begin", []
    for word in [*words, END]:
        legal.append(sorted(symbol for start, symbol in REBER_EDGES if start == node))
        node = REBER_EDGES[node, word]
    return legal


@pytest.mark.parametrize("name", GRAMMARS)
def test_the_same_seed_gives_the_same_text_and_continuations_do_not_change_it(name):
    plain = draw(name, 30, seed=3)
    assert plain == draw(name, 30, seed=3)
    assert plain != draw(name, 30, seed=4)
    detailed = draw(name, 30, seed=3, continuations=True)
    assert [s.words for s in detailed] == [s.words for s in plain]
    assert plain[0].continuations is None
    assert str(plain[0]).split(" ") == plain[0].words


@pytest.mark.parametrize("name", GRAMMARS)
def test_continuations_hold_the_word_that_came_and_their_probabilities_sum_to_one(name):
    for sentence in draw(name, 40, continuations=True):
        assert len(sentence.continuations) == len(sentence.words) + 1
        for word, legal in zip([*sentence.words, END], sentence.continuations, strict=True):
            assert legal == sorted(set(legal))
            assert word in legal or (legal == ["<value>"] and re.fullmatch(r"-?[01]\.\d\d", word))
        if name != "adding":
            assert all(math.isclose(sum(p), 1.0) for p in sentence.probabilities)
            assert [len(p) for p in sentence.probabilities] == [len(c) for c in sentence.continuations]


def test_a_known_seed_gives_known_text():
    # the stream of PCG64 is fixed by NumPy, and only Generator.random() is used
    assert [str(s) for s in draw("reber", 3, seed=1)] == KNOWN["reber"]
    assert [str(s) for s in draw("elman1990", 3, seed=1)] == KNOWN["elman1990"]
    assert [str(s) for s in draw("elman1993", 3, seed=1)] == KNOWN["elman1993"]


def test_reber_strings_and_continuations_follow_the_graph():
    for sentence in draw("reber", 500, continuations=True):
        assert sentence.continuations == follow_reber(sentence.words)


def test_reber_string_frequencies():
    # two choices of 1/2 each after B and the branch: B T X S E 1/8, B P V V E 1/8, B T S X S E 1/16,
    # B P T V V E 1/16, B P V P S E 1/16, all others 9/16
    expected = {"BTXSE": 1 / 8, "BPVVE": 1 / 8, "BTSXSE": 1 / 16, "BPTVVE": 1 / 16, "BPVPSE": 1 / 16}
    n = 4000
    counts = Counter("".join(s.words) for s in draw("reber", n))
    observed = [counts[string] for string in expected]
    probabilities = list(expected.values())
    result = chisquare([*observed, n - sum(observed)], [n * p for p in [*probabilities, 1 - sum(probabilities)]])
    assert result.pvalue > 0.01


def test_reber_entropy_by_hand():
    # expected visits of the five states with a choice: fork 1, upper left .5 / (1 - .5) = 1, lower left
    # 2, lower right 1, upper right 1: 6 bits.  Symbols: B, the six choices, E and </s>: 9.
    floor = GRAMMARS["reber"].entropy()
    assert floor == pytest.approx((6.0, 9.0, 6 / 9), abs=1e-9)
    # embedded: one bit more, and four symbols more: B, T or P, T or P again, E
    assert GRAMMARS["embedded-reber"].entropy() == pytest.approx((7.0, 13.0, 7 / 13), abs=1e-9)


@pytest.mark.parametrize("name", ["reber", "embedded-reber", "elman1990", "elman1993"])
def test_the_entropy_floor_is_what_a_sample_costs_under_the_true_probabilities(name):
    n, cost, symbols = 4000, [], 0
    for sentence in draw(name, n, continuations=True):
        words = [*sentence.words, END]
        lookup = [
            dict(zip(c, p, strict=True)) for c, p in zip(sentence.continuations, sentence.probabilities, strict=True)
        ]
        cost.append(-sum(math.log2(here[word]) for here, word in zip(lookup, words, strict=True)))
        symbols += len(words)
    floor = GRAMMARS[name].entropy()
    assert abs(np.mean(cost) - floor.bits_per_sentence) < 4 * np.std(cost) / math.sqrt(n)
    assert symbols / n == pytest.approx(floor.symbols_per_sentence, rel=0.03)


def test_embedded_reber_repeats_its_second_symbol_before_the_last():
    firsts = Counter()
    for sentence in draw("embedded-reber", 500, continuations=True):
        words = sentence.words
        assert (words[0], words[-1]) == ("B", "E")
        assert words[1] == words[-2]
        inner = follow_reber(words[2:-2])
        assert sentence.continuations[:2] == [["B"], ["P", "T"]]
        assert sentence.continuations[2:-3] == inner[:-1]
        # where the inner string would end, the only thing that may follow is the symbol to remember
        assert sentence.continuations[-3:] == [[words[1]], ["E"], [END]]
        firsts[words[1]] += 1
    assert chisquare([firsts["T"], firsts["P"]]).pvalue > 0.01


def reber_strings(longest):
    """Every Reber string of at most ``longest`` symbols, with its probability: 1/2 for each choice."""
    waiting = [("begin", (), 1.0)]
    while waiting:
        node, words, probability = waiting.pop()
        following = [(symbol, to) for (start, symbol), to in REBER_EDGES.items() if start == node]
        if node == "done":
            yield words, probability
        elif len(words) < longest:
            waiting += [(to, (*words, symbol), probability / len(following)) for symbol, to in following]


def test_embedded_reber_with_a_lag_by_hand():
    # without the shortest inner strings, B T X S E and B P V V E (1/8 each), all others are 4/3 as likely
    distribution = GRAMMARS["embedded-reber"].process(lag=6).distribution
    # T: in 1/4 of its strings X S E follow; of the other 3/4, 2/4 begin with S
    assert distribution(list("BPBT")) == pytest.approx({"S": 2 / 3, "X": 1 / 3})
    assert distribution(list("BPBTX")) == {"X": 1.0}
    assert distribution(list("BPBTSX")) == {"S": 0.5, "X": 0.5}
    assert distribution(list("BPBTSXSE")) == {"P": 1.0}
    # inner strings: 6 bits = H(1/4) + 1/4 * 1 bit (two equally likely) + 3/4 * x; 8 symbols = 1/4 * 5 + 3/4 * 9;
    # beside them B, T or P (1 bit), T or P again, E and </s>
    quarter = -(math.log2(1 / 4) / 4 + 3 * math.log2(3 / 4) / 4)
    bits, symbols = 1 + (6 - quarter - 1 / 4) * 4 / 3, 9 + 5
    assert GRAMMARS["embedded-reber"].entropy(lag=6) == pytest.approx((bits, symbols, bits / symbols), abs=1e-9)


def test_embedded_reber_with_a_lag_is_the_same_language_without_its_shorter_strings():
    lag = 14
    shorter = sum(probability for _, probability in reber_strings(lag - 1))
    lengths = set()
    for sentence in draw("embedded-reber", 300, lag=lag, continuations=True):
        inner = sentence.words[2:-2]
        choices = sum(len(legal) > 1 for legal in follow_reber(inner))
        probability = 1.0
        for word, legal, p in zip(sentence.words, sentence.continuations, sentence.probabilities, strict=False):
            probability *= p[legal.index(word)]
        assert probability == pytest.approx(0.5**choices / (1 - shorter) / 2, rel=1e-12)
        assert sentence.words[1] == sentence.words[-2]
        # the answer is announced by the end of the inner string, and nothing else may stand there
        assert sentence.continuations[-3] == [sentence.words[1]]
        lengths.add(len(inner))
    assert min(lengths) == lag


def test_the_lag_of_embedded_reber_may_be_a_thousand():
    for sentence in draw("embedded-reber", 3, lag=1000):
        inner = sentence.words[2:-2]
        follow_reber(inner)
        assert 1000 <= len(inner) < 1100


def test_elman1990_has_29_words_in_12_categories_and_16_frames():
    words = {word for category in CATEGORIES.values() for word in category}
    assert (len(words), len(CATEGORIES), len(FRAMES)) == (29, 12, 16)
    assert {word for s in draw("elman1990", 3000) for word in s.words} == words


def test_elman1990_continuations_are_those_of_all_sentences_of_all_frames():
    language = {s for frame in FRAMES for s in product(*(CATEGORIES[c] for c in frame))}
    following = defaultdict(set)
    for sentence in language:
        for i, word in enumerate([*sentence, END]):
            following[sentence[:i]].add(word)
    for sentence in draw("elman1990", 1000, continuations=True):
        assert tuple(sentence.words) in language
        assert sentence.continuations == [
            sorted(following[tuple(sentence.words[:i])]) for i in range(len(sentence.words) + 1)
        ]


def test_elman1990_frames_are_equally_likely():
    # frames told apart by their words: no sentence belongs to two of them with these categories
    def frames_of(words):
        return [
            f for f in FRAMES if len(f) == len(words) and all(w in CATEGORIES[c] for w, c in zip(words, f, strict=True))
        ]

    counts = Counter()
    for sentence in draw("elman1990", 4000):
        (frame,) = frames_of(sentence.words)
        counts[frame] += 1
    assert len(counts) == 16
    assert chisquare(list(counts.values())).pvalue > 0.01


def test_elman1990_probability_of_a_sentence_by_hand():
    # "cat eat ...": frame 1/16, cat 1/3 of NOUN-ANIM, and 4 of the 16 frames begin with NOUN-ANIM
    distribution = GRAMMARS["elman1990"].process().distribution
    assert distribution([])["cat"] == pytest.approx(4 / 16 / 3)
    # after "cat": VERB-EAT 1/4; break is one of two words of VERB-AGPAT in two of the four frames
    assert distribution(["cat"])["eat"] == pytest.approx(1 / 4)
    assert distribution(["cat"])["break"] == pytest.approx(1 / 4)
    # "cat move" ends, or takes one of three inanimate objects
    assert distribution(["cat", "move"]) == pytest.approx({END: 1 / 2, "book": 1 / 6, "rock": 1 / 6, "car": 1 / 6})
    with pytest.raises(ValueError, match="word 2"):
        distribution(["cat", "think"])


# ---- elman1993: a recogniser by recursive descent, and the language enumerated top down --------------
SINGULAR = {"John", "Mary", "boy", "girl", "cat", "dog"}
PLURAL = {"boys", "girls", "cats", "dogs"}
KIND = {"chase": "needs", "feed": "needs", "see": "may", "hear": "may", "walk": "none", "live": "none"}


def verb(word):
    """(kind, number) of a verb form, or None."""
    if word in KIND:
        return KIND[word], "plural"
    return (KIND[word[:-1]], "singular") if word[-1:] == "s" and word[:-1] in KIND else None


class Parser:
    """Accepts a sentence of elman1993, or raises; ``deepest`` is how deep its clauses are nested."""

    def __init__(self, words):
        self.words, self.at, self.deepest = words, 0, 0
        self.clause(None, 0, gap=False)
        assert self.words[self.at :] == ["."]

    def next(self):
        return self.words[self.at]

    def noun_phrase(self, depth):
        noun = self.next()
        assert noun in SINGULAR | PLURAL
        number = "singular" if noun in SINGULAR else "plural"
        self.at += 1
        if self.next() == "who":
            assert noun not in {"John", "Mary"}
            self.at += 1
            self.deepest = max(self.deepest, depth + 1)
            if verb(self.next()):
                self.clause(number, depth + 1, gap=False)
            else:
                self.clause(None, depth + 1, gap=True)
        return number

    def clause(self, number, depth, gap):
        number = number or self.noun_phrase(depth)
        kind, verb_number = verb(self.next())
        assert verb_number == number
        self.at += 1
        has_object = self.next() in SINGULAR | PLURAL
        if gap:
            assert kind != "none"
            assert not has_object
        else:
            assert {"needs": has_object, "may": True, "none": not has_object}[kind]
        if has_object:
            self.noun_phrase(depth)


def test_the_parser_knows_right_from_wrong():
    for good in ("boys who Mary chases feed cats .", "dog who chases cat sees .", "John walks ."):
        Parser(good.split())
    for bad in ("boys who Mary chase feed cats .", "boys who Mary walks feed cats .", "John feeds .", "boys walks .",
                "boys who Mary chases dogs feed cats .", "Mary who walks lives .", "dog lives cat ."):  # fmt: skip
        with pytest.raises((AssertionError, TypeError, IndexError)):
            Parser(bad.split())


@pytest.mark.parametrize(
    ("relative", "depth", "complex"), [(0.25, 3, 0.75), (0.6, 5, 1.0), (0.5, 1, 0.5), (0.3, 3, 0.0)]
)
def test_elman1993_agrees_and_is_nested_and_complex_as_asked(relative, depth, complex):
    n = 1500
    deepest = [Parser(s.words).deepest for s in draw("elman1993", n, relative=relative, depth=depth, complex=complex)]
    assert max(deepest) == (depth if complex else 0)
    share = sum(d > 0 for d in deepest) / n
    assert abs(share - complex) <= 4 * math.sqrt(complex * (1 - complex) / n)


def enumerate_elman1993(max_depth):
    """Every sentence with one word for each class: John, boy, boys, chase(s), see(s), walk(s)."""
    s = {"singular": "s", "plural": ""}

    def noun_phrases(depth):
        yield "singular", ("John",)
        for number, noun in (("singular", "boy"), ("plural", "boys")):
            yield number, (noun,)
            if depth < max_depth:
                for clause in clauses(number, depth + 1):
                    yield number, (noun, "who", *clause)

    def predicates(number, depth):
        objects = [words for _, words in noun_phrases(depth)]
        yield from (("chase" + s[number], *words) for words in objects)
        yield from (("see" + s[number], *words) for words in [(), *objects])
        yield ("walk" + s[number],)

    def clauses(number, depth):
        yield from predicates(number, depth)
        for own_number, words in noun_phrases(depth):
            yield from ((*words, stem + s[own_number]) for stem in ("chase", "see"))

    for number, words in noun_phrases(0):
        yield from ((*words, *rest, ".") for rest in predicates(number, 0))


@pytest.mark.parametrize(("complex", "wanted"), [(0.75, (True, False)), (1.0, (True,)), (0.0, (False,))])
def test_elman1993_continuations_are_those_of_the_enumerated_language(complex, wanted):
    classes = {
        "Mary": "John",
        "girl": "boy",
        "cat": "boy",
        "dog": "boy",
        "girls": "boys",
        "cats": "boys",
        "dogs": "boys",
    }
    for stem, representative in (("feed", "chase"), ("hear", "see"), ("live", "walk")):
        classes |= {stem: representative, stem + "s": representative + "s"}
    following = defaultdict(set)
    language = [s for s in enumerate_elman1993(1) if ("who" in s) in wanted]
    for sentence in language:
        for i, word in enumerate([*sentence, END]):
            following[sentence[:i]].add(word)
    words_of = defaultdict(set)
    for word in [*SINGULAR, *PLURAL, *KIND, *(k + "s" for k in KIND), "who", ".", END]:
        words_of[classes.get(word, word)].add(word)
    for sentence in draw("elman1993", 400, depth=1, complex=complex, continuations=True):
        prefix = tuple(classes.get(word, word) for word in sentence.words)
        for i, legal in enumerate(sentence.continuations):
            assert set(legal) == set().union(*(words_of[word] for word in following[prefix[:i]]))


def test_elman1993_probabilities_of_all_sentences_sum_to_one():
    # one word stands for its class: times the number of words of the class
    size = {"John": 2, "boy": 4, "boys": 4} | {v + s: 2 for v in ("chase", "see", "walk") for s in ("", "s")}
    distribution = cache(GRAMMARS["elman1993"].process(depth=1, complex=0.4).distribution)
    total = {True: 0.0, False: 0.0}
    for sentence in enumerate_elman1993(1):
        probability = 1.0
        for i, word in enumerate([*sentence, END]):
            probability *= distribution(sentence[:i])[word] * size.get(word, 1)
        total["who" in sentence] += probability
    assert total == pytest.approx({True: 0.4, False: 0.6}, abs=1e-9)


# ---- temporal order and adding -------------------------------------------------------------------
@pytest.mark.parametrize(
    ("symbols", "windows", "classes"),
    [
        (2, [(10, 20), (50, 60)], {"XX": "Q", "XY": "R", "YX": "S", "YY": "U"}),
        (3, [(10, 20), (33, 43), (66, 76)],
         {"XXX": "Q", "XXY": "R", "XYX": "S", "XYY": "U", "YXX": "V", "YXY": "A", "YYX": "B", "YYY": "C"}),
    ],
)  # fmt: skip
def test_temporal_order_is_laid_out_as_in_the_paper(symbols, windows, classes):
    counts, places, lengths = Counter(), Counter(), Counter()
    for sentence in draw("temporal-order", 800, symbols=symbols):
        *line, label = sentence.words
        assert (line[0], line[-1]) == ("E", "B")
        assert 100 <= len(line) <= 110
        relevant = [(i, word) for i, word in enumerate(line, start=1) if word in "XY"]
        assert len(relevant) == symbols
        assert all(low <= i <= high for (i, _), (low, high) in zip(relevant, windows, strict=True))
        assert set(line[1:-1]) <= set("abcdXY")
        assert label == classes["".join(word for _, word in relevant)]
        counts[label] += 1
        places[relevant[0][0]] += 1
        lengths[len(line)] += 1
    for observed, size in ((counts, len(classes)), (places, 11), (lengths, 11)):
        assert len(observed) == size
        assert chisquare(list(observed.values())).pvalue > 0.01


def test_temporal_order_entropy_by_hand():
    # 11 places twice, 11 lengths, X or Y twice, and 2 bits for each of a b c d: of E, two relevant, B and
    # 105 symbols on average 101 are drawn from a b c d; then the class and </s> follow for free
    floor = GRAMMARS["temporal-order"].entropy()
    assert floor.bits_per_sentence == pytest.approx(3 * math.log2(11) + 2 + 2 * 101, abs=1e-6)
    assert floor.symbols_per_sentence == pytest.approx(107, abs=1e-6)


def test_adding_is_laid_out_as_documented():
    first, second = Counter(), Counter()
    for sentence in draw("adding", 600):
        *pairs, target = sentence.words
        values, markers = [float(v) for v in pairs[::2]], pairs[1::2]
        assert 100 <= len(markers) <= 110
        assert (markers[0], markers[-1]) == ("-1", "-1")
        assert all(-1 <= v <= 1 for v in values)
        marked = [i for i, m in enumerate(markers) if m == "1"]
        # in the rare case that the first pair was drawn, it shows as value 0 and marker -1
        assert len(marked) == 2 or (len(marked) == 1 and values[0] == 0)
        assert set(markers[1:-1]) <= {"0", "1"}
        assert min(marked) < 49
        assert float(target) == (200 + round(100 * sum(values[i] for i in marked))) / 400
        first[min(marked)] += 1
        second[max(marked)] += 1
    assert max(second) <= 48
    assert len(first) > 9


def test_adding_continuations_by_enumeration_of_the_marked_pairs():
    # length 20: marked are one of the pairs 1..10 and another of the pairs 1..9; 20, 21 or 22 pairs
    possible = {frozenset((i, j)) for i in range(10) for j in range(9) if i != j}
    lines = set()
    for pair in possible:
        for n in (20, 21, 22):
            markers = ["1" if i in pair else "0" for i in range(n)]
            markers[0] = markers[-1] = "-1"
            lines.add((0 in pair, tuple(markers)))
    for sentence in draw("adding", 300, continuations=True, length=20, digits=1):
        zero_first = float(sentence.words[0]) == 0
        markers = tuple(sentence.words[1:-1:2])
        allowed = [line for hit, line in lines if zero_first or not hit]
        assert sentence.continuations[:-2:2] == [["<value>"]] * len(markers)
        assert sentence.continuations[-2:] == [[sentence.words[-1]], [END]]
        for i in range(len(markers)):
            legal = {line[i] for line in allowed if len(line) > i and line[:i] == markers[:i]}
            assert sentence.continuations[2 * i + 1] == sorted(legal)


@pytest.mark.parametrize(("length", "values", "tenth", "half"), [(100, 10, 10, 50), (25, 3, 2, 12)])
def test_adding_digits_is_laid_out_as_documented(length, values, tenth, half):
    first, second, lengths, sums = Counter(), Counter(), Counter(), Counter()
    for sentence in draw("adding-digits", 1200, length=length, values=values):
        *digits, sign, answer = sentence.words
        assert sign == "="
        one, two = (i for i, word in enumerate(digits, start=1) if word[0] == "+")
        numbers = [int(word.removeprefix("+")) for word in digits]
        assert set(numbers) <= set(range(values))
        assert answer == str(numbers[one - 1] + numbers[two - 1])
        first[one] += 1
        second[two] += 1
        lengths[len(digits)] += 1
        sums[int(answer)] += 1
    for observed, places in (
        (first, range(1, tenth + 1)),
        (second, range(tenth + 1, half + 1)),
        (lengths, range(length, length + length // 10 + 1)),
    ):
        assert set(observed) == set(places)
        assert len(places) == 1 or chisquare(list(observed.values())).pvalue > 0.01
    # of values * values pairs, values - |s - (values - 1)| have the sum s
    expected = [1200 * (values - abs(s - values + 1)) / values**2 for s in range(2 * values - 1)]
    assert chisquare([sums[s] for s in range(2 * values - 1)], expected).pvalue > 0.01


def test_adding_digits_probabilities_and_entropy_by_hand():
    # length 20: marked are one of the digits 1 and 2 and one of 3..10, then 20, 21 or 22 digits
    distribution = GRAMMARS["adding-digits"].process(length=20, values=2).distribution
    assert distribution([]) == pytest.approx(dict.fromkeys(["0", "1", "+0", "+1"], 1 / 4))
    assert distribution(["0"]) == pytest.approx({"+0": 1 / 2, "+1": 1 / 2})
    assert distribution(["+1", "0"]) == pytest.approx({"0": 7 / 16, "1": 7 / 16, "+0": 1 / 16, "+1": 1 / 16})
    line = ["+1", "0", "+1", *"00000000000000000"]
    assert distribution(line) == pytest.approx({"0": 1 / 3, "1": 1 / 3, "=": 1 / 3})
    assert distribution([*line, "="]) == {"2": 1.0}
    assert distribution([*line, "=", "2"]) == {END: 1.0}
    # 10 places and 40 places, 11 lengths, 105 digits on average; then =, the sum and </s> for 1 + 1 + 1 symbols
    floor = GRAMMARS["adding-digits"].entropy()
    assert floor.bits_per_sentence == pytest.approx(math.log2(10 * 40 * 11) + 105 * math.log2(10), abs=1e-6)
    assert floor.symbols_per_sentence == pytest.approx(108, abs=1e-6)


# ---- the registry and its options -------------------------------------------------------------------
def test_generation_is_lazy_and_options_are_checked_at_once():
    assert len(list(islice(GRAMMARS["reber"].generate(10**12, np.random.default_rng(1)), 3))) == 3
    with pytest.raises(CorpusError, match=r"^reber: no option depth; options of this grammar: none$"):
        GRAMMARS["reber"].generate(1, np.random.default_rng(1), depth=2)
    with pytest.raises(CorpusError, match="-1 sentences"):
        GRAMMARS["reber"].generate(-1, np.random.default_rng(1))


@pytest.mark.parametrize("value", ["2.5", "x", "", 2.5, 7, -1, float("nan"), True, None, "1e99"])
def test_a_wrong_value_of_an_option_is_one_line(value):
    with pytest.raises(CorpusError, match=r"^elman1993: depth: .* is not a whole number from 0 to 6$"):
        GRAMMARS["elman1993"].process(depth=value)


def test_options_may_be_text_as_the_command_line_has_them():
    assert draw("elman1993", 20, depth="1", complex="0.5") == draw("elman1993", 20, depth=1, complex=0.5)
    assert draw("elman1993", 5, depth=np.int64(2)) == draw("elman1993", 5, depth=2)


def test_a_share_that_cannot_be_had_is_refused():
    with pytest.raises(CorpusError, match="complex above 0 needs"):
        GRAMMARS["elman1993"].process(relative=0, complex=0.5)
    assert draw("elman1993", 5, relative=0, complex=0)


def test_an_unknown_grammar_names_a_close_one():
    assert get_grammar("reber") is GRAMMARS["reber"]
    with pytest.raises(CorpusError, match=r"^elman1991: no such grammar; did you mean elman199\d\? there are reber"):
        get_grammar("elman1991")


KNOWN = {
    "reber": ["B P V P S E", "B T S X X V P S E", "B P T V P X T T T T V P X V V E"],
    "elman1990": ["cat break book", "lion eat cat", "dragon eat mouse"],
    "elman1993": ["dog walks .", "boy walks .", "girl who boys chase hears John ."],
}
