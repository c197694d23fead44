"""Phrases equal word2phrase's and those of plain twins, whatever the text and the memory."""

import tempfile
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from corpora.errors import CorpusError
from tests.golden_files import golden_bytes
from tests.reference import phrases as reference
from w2v.pair_table import Coding, count_tables
from w2v.phrases import ENGLISH, PhraseConfig, npmi_score, word2phrase_score, write_phrases

LIMITS = [-0.713, -0.217, 0.0137, 0.413, 0.931]  # which no score of a small text is near to
TWINS = {"word2phrase": reference.original_score, "npmi": reference.npmi_score}


def joined(text: bytes, **config) -> tuple[bytes, list[list[bytes]]]:
    """The text with its phrases joined, and the rows of the table of phrases."""
    with tempfile.TemporaryDirectory() as folder:
        source, output, table = (str(Path(folder) / name) for name in ("in", "out", "table"))
        Path(source).write_bytes(text)
        write_phrases([source], output, PhraseConfig(**config), bigrams_file=table, threads=1)
        return Path(output).read_bytes(), [row.split(b"\t") for row in Path(table).read_bytes().splitlines()]


def as_bytes(lines) -> bytes:
    return "".join(" ".join(line) + "\n" for line in lines).encode()


texts = st.lists(
    st.lists(st.sampled_from(["a", "b", "c", "a_b", "b_c", "d", "of", "the", "rare"]), max_size=12),
    min_size=1,
    max_size=30,
).filter(any)


def test_the_text_that_word2phrase_wrote_is_written_to_the_byte(golden):
    text = (golden / "toy" / "train.txt").read_bytes()
    assert joined(text, compatible=True)[0] == golden_bytes("word2vec/phrases.txt")


@pytest.mark.parametrize(("min_count", "threshold"), [(1, 3.0), (5, 2.0), (5, 10.0), (10, 5.0)])
def test_thresholds_that_join_much_give_what_word2phrase_gives(golden, min_count, threshold):
    text = (golden / "toy" / "train.txt").read_bytes()
    expected = reference.word2phrase(text, min_count, threshold)
    assert expected.count(b"_") > 900
    assert joined(text, compatible=True, min_count=min_count, thresholds=(threshold,))[0] == expected


@given(texts, st.integers(1, 4), st.sampled_from([0.5, 1.0, 2.5]))
@settings(max_examples=60, deadline=None)
def test_two_passes_are_word2phrase_run_twice_with_the_counts_that_names_share(lines, min_count, threshold):
    text = as_bytes(lines)
    twice = reference.word2phrase(reference.word2phrase(text, min_count, threshold), min_count, threshold / 2)
    config = {"compatible": True, "passes": 2, "min_count": min_count, "thresholds": (threshold, threshold / 2)}
    assert joined(text, **config)[0] == twice


@given(texts, st.integers(1, 3), st.sampled_from(list(TWINS)), st.sampled_from(LIMITS), st.booleans(), st.booleans())
@settings(max_examples=80, deadline=None)
@example([["a", "a", "a"], ["a", "a"]], 1, "word2phrase", -0.713, False, True)
def test_two_passes_equal_the_twin(lines, min_count, score, threshold, with_connectors, across):
    connectors = ("of", "the") if with_connectors else ()
    rows, expected = lines, []
    for number in (1, 2):
        rows, found = reference.join(rows, TWINS[score], min_count, threshold, connectors, "+", across)
        expected += [(str(number), name, value) for name, value in found]
    text, table = joined(
        as_bytes(lines), min_count=min_count, score=score, thresholds=(threshold,), passes=2, separator=b"+",
        connectors=tuple(word.encode() for word in connectors), across_lines=across,
    )  # fmt: skip
    assert text == as_bytes(rows)
    assert table[0] == [b"phrase", b"count", b"score", b"pass"]
    found = sorted((number.decode(), name.decode(), float(value)) for name, _, value, number in table[1:])
    assert found == [(*row, pytest.approx(value, rel=1e-5)) for *row, value in sorted(expected)]


def test_scores_by_hand():
    pairs, first, second = (np.array([n]) for n in (8, 10, 20))
    assert word2phrase_score(pairs, first, second, 1000, 5) == pytest.approx([(8 - 5) / 10 / 20 * 1000])
    # p(ab) = .008, p(a) = .01, p(b) = .02: ln(.008 / .0002) / -ln .008
    assert npmi_score(pairs, first, second, 1000, 5) == pytest.approx([np.log(40) / -np.log(0.008)])
    same = np.array([4])
    assert npmi_score(same, same, same, 4, 1) == [1.0]  # always and only together
    assert npmi_score(same, same, same, 400, 1) == pytest.approx([1.0])


def test_connectors_stand_inside_phrases_and_nowhere_else():
    text = b"the bank of england said bank of england\n" * 6
    found, table = joined(text, connectors=tuple(ENGLISH), thresholds=(0.5,), min_count=2)
    assert found.startswith(b"the bank_of_england")
    assert all(not name.startswith((b"the_", b"of_")) and not name.endswith(b"_of") for name, *_ in table)
    # a connector is no word of its own: without the list "bank of" would be the phrase
    assert joined(text, thresholds=(0.5,), min_count=2)[0].startswith(b"the_bank of_england")


def test_a_joined_word_begins_no_other_phrase_until_the_next_pass():
    text = b"x new york city y\nz new york city w\n" * 20
    once, twice = (joined(text, passes=n, thresholds=(2.0,))[0] for n in (1, 2))
    # (20 - 5) / 20 / 40 * 200 = 3.75 for "x new" and (40 - 5) / 40 / 40 * 200 = 4.375 for "new york", which comes later
    assert once == b"x_new york_city y\nz_new york_city w\n" * 20
    # (20 - 5) / 20 / 40 * 120 = 2.25
    assert twice == b"x_new_york_city y\nz_new_york_city w\n" * 20


def test_pairs_across_lines_count_only_where_asked_and_are_never_joined():
    text = b"a b\n" * 10 + b"q a\nb r\n" * 10
    table = joined(text, min_count=1, thresholds=(0.0,))[1]
    across = joined(text, min_count=1, thresholds=(0.0,), across_lines=True)
    counts, across_counts = ({name: int(n) for name, n, *_ in rows[1:]} for rows in (table, across[1]))
    assert counts[b"a_b"] == 10
    assert across_counts[b"a_b"] == 20
    assert across[0].endswith(b"q_a\nb_r\n")


def test_lines_words_and_bytes_stay():
    text = b"\n  a\tb  \n\n\xff\xfe c\r\n" + b"w" * 4_000_000 + b" end"
    assert joined(text)[0] == b"\na b\n\n\xff\xfe c\n" + b"w" * 4_000_000 + b" end\n"
    assert joined(b"a b\n", compatible=True)[0] == b" a b\n"


@pytest.mark.parametrize("slots", [256, 1024, 1 << 20])
@pytest.mark.parametrize("across", [False, True])
def test_pairs_are_counted_exactly_in_a_table_of_any_size(slots, across):
    rng = np.random.default_rng(3)
    ids = rng.zipf(1.3, 30_000).clip(max=400).astype(np.int32) - 1
    codes = np.arange(400, dtype=np.int32)
    codes[350:] = 0
    done = 0.0

    def progress(n):
        nonlocal done
        done += n

    found = Counter()
    for keys, counts in count_tables(
        ids, Coding(codes, 350, 0), across_lines=across, most_slots=slots, progress=progress
    ):
        first, second, _ = Coding(codes, 350, 0).split(keys)
        for pair, n in zip(zip(first.tolist(), second.tolist(), strict=True), counts.tolist(), strict=True):
            assert pair not in found
            found[pair] = n
    words = ids[ids > 0] if across else ids
    expected = Counter(pair for pair in pairwise(words.tolist()) if min(pair) > 0 and max(pair) < 350)
    assert found == expected
    assert done == pytest.approx(ids.size)


def test_too_many_connectors_for_the_words_are_refused():
    assert Coding(np.zeros(1, np.int32), 1 << 20, 200).fits
    assert not Coding(np.zeros(1, np.int32), 1 << 24, 300).fits
    words = [b"w%d" % i for i in range(40_000)]
    with pytest.raises(CorpusError, match="4000 connectors are too many for 36000 words; give fewer"):
        joined(b" ".join(words), min_count=1, connectors=tuple(words[:4000]))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"thresholds": (1.5,), "score": "npmi"}, "between -1 and 1"),
        ({"thresholds": (float("nan"),)}, "not a finite number"),
        ({"thresholds": (1.0, 2.0)}, "2 thresholds for `passes` 1"),
        ({"passes": 0}, "`passes` 0"),
        ({"min_count": 0}, "`min_count` 0"),
        ({"separator": b""}, "`separator`"),
        ({"separator": b"a b"}, "`separator`"),
        ({"compatible": True, "connectors": (b"of",)}, "no `connectors`"),
        ({"compatible": True, "score": "npmi"}, "no `score` npmi"),
        ({"score": "pmi"}, "one of word2phrase, npmi"),
    ],
)
def test_settings_that_make_no_sense_are_refused(config, message):
    with pytest.raises(ValueError, match=message):
        PhraseConfig(**config)
