"""Analogies and similarities: equal to compute-accuracy, to plain loops, and to correlations by hand."""

import math

import numpy as np
import pytest

from corpora.errors import CorpusError
from w2v import evaluate
from w2v.analogy import EPSILON
from w2v.evaluate import accuracy, similarity
from w2v.model import WordVectors
from w2v.pairs import Pairs
from w2v.questions import Section

WORDS = [
    b"apple",
    b"Apple",
    b"BANANA",
    b"banana",
    b"cherry",
    b"Date",
    b"elder",
    b"FIG",
    b"fig",
    b"grape",
    b"\xc3\xa9t\xc3\xa9",
]


def angles(*degrees):
    """Unit vectors in the plane, and of other lengths: these must not matter."""
    radians = np.radians(degrees)
    lengths = np.linspace(0.5, 3, len(degrees))
    return (lengths * np.array([np.cos(radians), np.sin(radians)])).T.astype(np.float32)


def random_case(seed):
    """Vectors of words in mixed case, questions of which some are not known."""
    rng = np.random.default_rng(seed)
    vectors = WordVectors(WORDS, rng.normal(size=(len(WORDS), 3)).astype(np.float32))
    words = [word.lower() for word in WORDS] + [b"nothing"]
    names = [b"one", b"two", b"gram1-x", b"empty"]
    questions = [
        [tuple(words[i] for i in row) for row in rng.integers(0, len(words), (n, 4))] for n in (200, 150, 90, 0)
    ]
    return vectors, [Section(name, rows) for name, rows in zip(names, questions, strict=True)]


def plain_accuracy(vectors, sections, restrict, case, method):
    """compute-accuracy with loops: (correct, seen, total) of each section."""
    fold = bytes.upper if case == "upper" else bytes
    words = [fold(word) for word in vectors.words][:restrict]
    u = vectors.vectors[: len(words)] / np.linalg.norm(vectors.vectors[: len(words)], axis=1, keepdims=True)
    found = []
    for section in sections:
        correct = seen = 0
        for question in section.questions:
            folded = [fold(word) for word in question]
            if not all(word in words for word in folded):
                continue
            seen += 1
            a, b, c, d = (words.index(word) for word in folded)
            best, highest = None, 0.0
            for i in range(len(words)):
                if method == "3cosadd":
                    score = (u[b] - u[a] + u[c]) @ u[i]
                else:
                    x, y, z = ((u[j] @ u[i] + 1) / 2 for j in (a, b, c))
                    score = y * z / (x + EPSILON)
                if i not in (a, b, c) and score > highest:
                    best, highest = words[i], score
            correct += best == words[d]
        found.append((correct, seen, len(section.questions)))
    return found


@pytest.mark.parametrize("method", ["3cosadd", "3cosmul"])
@pytest.mark.parametrize("case", ["upper", "keep"])
@pytest.mark.parametrize("restrict", [None, 7])
def test_accuracy_is_that_of_plain_loops(method, case, restrict, monkeypatch):
    monkeypatch.setattr(evaluate, "_QUESTIONS", 32)
    monkeypatch.setattr(evaluate, "_WORDS", 4)
    done = []
    for seed in range(3):
        vectors, sections = random_case(seed)
        found = accuracy(vectors, sections, restrict=restrict, case=case, method=method, progress=done.append)
        expected = plain_accuracy(vectors, sections, restrict, case, method)
        assert [(part.correct, part.seen, part.total) for part in found.sections] == expected
        assert found.total.total == sum(done) == 440
        assert (found.total.correct, found.total.seen) == tuple(np.sum(expected, axis=0)[:2])
        assert (found.syntactic.seen, found.semantic.seen) == (expected[2][1], expected[0][1] + expected[1][1])
        done.clear()


def test_an_analogy_of_angles():
    # 10 is to 40 as 50 is to 80: in the plane b - a + c points somewhat above 65 degrees, and 80 is what is near
    vectors = WordVectors([b"a", b"b", b"c", b"d", b"e"], angles(10, 40, 50, 80, 200))
    right, wrong = (b"a", b"b", b"c", b"d"), (b"a", b"b", b"c", b"e")
    found = accuracy(vectors, [Section(b"x", [right, wrong, right])])
    assert (found.total.correct, found.total.seen, found.total.accuracy) == (2, 3, 2 / 3)
    assert math.isnan(found.syntactic.accuracy)


def test_vectors_of_zeros_neither_answer_nor_ask():
    rows = angles(10, 40, 50, 0, 80)
    rows[3] = 0
    vectors = WordVectors([b"a", b"b", b"c", b"zero", b"d"], rows)
    asked = [(b"a", b"b", b"c", b"d"), (b"zero", b"b", b"c", b"d"), (b"a", b"b", b"c", b"zero")]
    for method in ("3cosadd", "3cosmul"):
        found = accuracy(vectors, [Section(b"", asked)], method=method)
        assert (found.total.correct, found.total.seen) == (1, 3)


def test_no_question_seen_is_an_error():
    vectors = WordVectors([b"A", b"B"], np.eye(2, dtype=np.float32))
    questions = [Section(b"", [(b"a", b"b", b"c", b"d")] * 3)]
    with pytest.raises(CorpusError, match=r"^of 3 questions none has all its words in the vocabulary; `case` upper"):
        accuracy(vectors, questions, restrict=None, case="keep")
    with pytest.raises(CorpusError, match=r"^of 3 questions none has all its words in the first 1 words$"):
        accuracy(vectors, questions, restrict=1)


@pytest.mark.parametrize(("option", "message"), [({"case": "lower"}, "`case` lower"), ({"method": "x"}, "`method` x")])
def test_settings_are_known(option, message):
    with pytest.raises(ValueError, match=message):
        accuracy(*random_case(1), **option)


# ---- similarity


def pairs(*rows):
    return Pairs("pairs.txt", [(a, b) for a, b, _ in rows], np.array([score for *_, score in rows], float))


def test_correlations_by_hand():
    # cosines to the word at 0 degrees: cos 60 = 1/2, cos 90 = 0, cos 180 = -1; people's scores 3, 1, 2
    vectors = WordVectors([b"o", b"a", b"b", b"c"], angles(0, 60, 90, 180))
    found = similarity(vectors, pairs((b"o", b"a", 3), (b"b", b"o", 1), (b"o", b"c", 2), (b"o", b"x", 9)))
    # ranks 3, 2, 1 and 3, 1, 2: 1 - 6 (0 + 1 + 1) / (3 * 8)
    assert found.spearman == pytest.approx(0.5)
    # deviations 2/3, 1/6, -5/6 and 1, -1, 0: (2/3 - 1/6) / sqrt((16 + 1 + 25) / 36 * 2)
    assert found.pearson == pytest.approx(0.5 / math.sqrt(42 / 36 * 2))
    assert (found.used, found.oov, found.pairs, found.missing) == (3, 1, 4, [b"x"])


def test_ties_share_the_mean_of_their_ranks():
    # scores 1, 1, 2, 3: ranks 1.5, 1.5, 3, 4; cosines in the ranks 1, 2, 3, 4
    vectors = WordVectors([b"o", b"a", b"b", b"c", b"d"], angles(0, 100, 80, 60, 40))
    found = similarity(vectors, pairs((b"o", b"a", 1), (b"o", b"b", 1), (b"o", b"c", 2), (b"o", b"d", 3)))
    # Pearson of the ranks: sum of products of deviations 4.5, of squares 4.5 and 5
    assert found.spearman == pytest.approx(4.5 / math.sqrt(4.5 * 5))


@pytest.mark.parametrize(
    "rows", [[(b"a", b"b", 1)], [(b"a", b"b", 1), (b"b", b"c", 1)], [(b"a", b"b", 1), (b"b", b"a", 2)]]
)
def test_where_nothing_differs_there_is_no_correlation(rows):
    vectors = WordVectors([b"a", b"b", b"c"], angles(0, 10, 50))
    found = similarity(vectors, pairs(*rows))
    assert math.isnan(found.spearman)
    assert math.isnan(found.pearson)
    assert found.used == len(rows)


def test_a_vector_of_zeros_is_like_nothing():
    vectors = WordVectors([b"a", b"b", b"c"], np.array([[1, 0], [1, 1], [0, 0]], np.float32))
    found = similarity(vectors, pairs((b"a", b"b", 5), (b"a", b"c", 1), (b"c", b"b", 1)))
    assert found.spearman == pytest.approx(1)


def test_pairs_that_are_all_unknown_are_an_error():
    vectors = WordVectors([b"a", b"b"], np.eye(2, dtype=np.float32))
    with pytest.raises(CorpusError, match=r"^pairs.txt: of 1 pairs none has both words in the vocabulary; `lower`"):
        similarity(vectors, pairs((b"A", b"B", 1)))
    with pytest.raises(CorpusError, match="another language"):
        similarity(vectors, pairs((b"x", b"y", 1)))
