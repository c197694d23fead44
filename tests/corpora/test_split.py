"""Splitting: a partition of the lines, in order, of exact size, drawn from a seed."""

import io
import math
from collections import Counter
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.data.split import draw_parts, split
from corpora.errors import CorpusError


def split_bytes(tmp_path, *texts, valid=0.0, test=0.0, **options):
    paths = []
    for i, text in enumerate(texts):
        paths.append(str(tmp_path / f"text{i}"))
        (tmp_path / f"text{i}").write_bytes(text)
    outputs = {part: io.BytesIO() for part in ("train", "valid", "test")}
    sizes = split(paths, outputs, {"valid": valid, "test": test}, **options)
    return {part: out.getvalue() for part, out in outputs.items()}, sizes


@given(
    lines=st.lists(st.binary(max_size=8).map(lambda line: line.replace(b"\n", b"")), min_size=60, max_size=90),
    last=st.sampled_from([b"", b"no end", b"\r"]),
    seed=st.integers(0, 9),
)
def test_the_parts_are_a_partition_of_the_lines_in_order(tmp_path_factory, lines, last, seed):
    text = b"".join(b"%d %b\n" % (i, line) for i, line in enumerate(lines)) + last
    parts, sizes = split_bytes(tmp_path_factory.mktemp("s"), text, valid=0.1, test=0.05, seed=seed)
    pieces = {part: content.splitlines(keepends=True) for part, content in parts.items()}
    # \r alone divides lines for splitlines, so count the bytes of line ends
    assert Counter(b"".join(parts.values())) == Counter(text)
    assert sum(size.lines for size in sizes.values()) == len(text.split(b"\n")) - (not last)
    assert sum(size.bytes for size in sizes.values()) == len(text)
    for part in pieces:
        numbers = [int(line.split()[0]) for line in parts[part].split(b"\n") if line[:1].isdigit()]
        assert numbers == sorted(numbers)
    together = [line for content in parts.values() for line in content.split(b"\n") if line]
    assert sorted(together) == sorted(line for line in text.split(b"\n") if line)


@given(valid=st.floats(0.01, 0.45), test=st.floats(0.01, 0.45), seed=st.integers(0, 99))
def test_after_every_stratum_each_share_is_right_to_one_unit(valid, test, seed):
    stratum = math.ceil(1 / min(valid, test) - 1e-9)  # 1 / (1 / 24) is a little more than 24
    drawn = draw_parts({"valid": valid, "test": test}, seed)
    counts = Counter()
    for i in range(1, 8):
        counts.update(islice(drawn, stratum))
        assert abs(counts["valid"] - i * stratum * valid) <= 1
        assert abs(counts["test"] - i * stratum * test) <= 1


def test_every_place_of_a_stratum_is_drawn_equally_often():
    places = Counter()
    for seed in range(4000):
        places[list(islice(draw_parts({"valid": 0.2}, seed), 5)).index("valid")] += 1
    # 4000 draws of 1/5: 800 with a standard deviation of 25
    assert all(abs(places[place] - 800) < 5 * 25 for place in range(5))


def test_the_same_seed_draws_the_same_lines_on_every_machine():
    # random.Random(7).random() * 4, then * 3 ...: worked out with a hand-written loop over random.Random
    import random

    rng = random.Random(7)
    expected = []
    for _ in range(3):
        chosen = None
        for i in range(4):
            if chosen is None and rng.random() * (4 - i) < 1:
                chosen = i
            elif chosen is not None:
                rng.random()
        expected += ["valid" if i == chosen else "train" for i in range(4)]
    assert list(islice(draw_parts({"valid": 0.25}, 7), 12)) == expected


def test_documents_stay_whole_with_their_empty_lines(tmp_path):
    documents = [b"".join(b"d%d line %d\n" % (d, i) for i in range(d % 3 + 1)) + b"\n" * (d % 2 + 1) for d in range(40)]
    parts, sizes = split_bytes(tmp_path, b"\n" + b"".join(documents), valid=0.25, by="document")
    assert (sizes["train"].units, sizes["valid"].units) == (30, 10)
    assert parts["train"] + parts["valid"] != b"\n" + b"".join(documents)
    for document in documents:
        assert (document in parts["train"]) != (document in parts["valid"])


def test_a_file_begins_a_new_document_and_a_missing_line_end_is_added_between_files(tmp_path):
    parts, sizes = split_bytes(tmp_path, b"one\ntwo", b"three", b"four\n", b"five", valid=0.25, by="document", seed=3)
    assert sorted(b"\n".join(parts.values()).split()) == [b"five", b"four", b"one", b"three", b"two"]
    assert (sizes["train"].units, sizes["valid"].units) == (3, 1)
    whole = [b"one\ntwo\n", b"three\n", b"four\n", b"five"]
    assert parts["train"] in [b"".join(whole[:i] + whole[i + 1 :]) for i in range(4)]


def test_a_line_longer_than_a_piece_is_one_line(tmp_path):
    long = b"x" * (3 << 20) + b"\n"
    parts, sizes = split_bytes(tmp_path, (b"a\n" + long) * 4, valid=0.5, seed=5)
    assert sizes["train"].lines == sizes["valid"].lines == 4
    assert set(b"".join(parts.values()).split()) == {b"a", long.strip()}


def test_a_share_of_zero_is_no_part(tmp_path):
    parts, sizes = split_bytes(tmp_path, b"a\nb\n")
    assert parts["train"] == b"a\nb\n"
    assert list(sizes) == ["train"]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (b"a\n", {"valid": 0.5}, "1 line: too few for"),
        (b"a\nb\n", {"valid": 0.5, "by": "document"}, "documents are separated by empty lines"),
        (b"", {"valid": 0.5}, "no text"),
        (b"a\nb\n", {"valid": 0.5, "test": 0.5}, "below 1"),
    ],
)
def test_a_part_that_would_be_empty_is_an_error(tmp_path, text, options, message):
    with pytest.raises(CorpusError, match=message):
        split_bytes(tmp_path, text, **options)
