"""``rnnlm ngram`` and its counts, run as a user runs them."""

import gzip
import json
import math
import re
from collections import Counter

import pytest

from rnnlm.cli.ngram import Size, discount_table
from rnnlm.ngram.config import MAX_ORDER, SMOOTHINGS


def counts_of(text, order):
    """n-grams of orders 1 to ``order`` in plain Python, as SRILM counts: <s> and </s> around each sentence."""
    counts = Counter()
    for line in text.splitlines():
        words = ["<s>", *line.split(), "</s>"]
        for n in range(1, order + 1):
            counts.update(" ".join(words[i : i + n]) for i in range(len(words) - n + 1))
    return counts


def counts_in(path):
    data = path.read_bytes()
    lines = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode().splitlines()
    return {ngram: int(count) for ngram, count in (line.split("\t") for line in lines)}


def log10_probs(done, model, text="test.txt"):
    table = done(f"ppl -m {model} {text} --report word --format json")
    return [json.loads(line)["log10_prob"] for line in table.splitlines()]


def test_the_command_knows_every_smoothing_and_order_of_the_library():
    from rnnlm.ngram import trie
    from rnnlm.ngram.estimation.smoothing import METHODS

    assert list(SMOOTHINGS) == list(METHODS)
    assert trie.MAX_ORDER == MAX_ORDER


# ---- estimating


def test_a_model_is_estimated_and_used(folder, done):
    done("ngram train.txt -o kn3.lm")
    found = json.loads(done("ppl -m kn3.lm test.txt --format json"))
    assert 1 < found["perplexity"] < 20  # uniform: 30
    rows = [line.split("\t") for line in done("surprisal -m kn3.lm test.txt").splitlines()]
    assert rows[0] == ["sentence", "position", "word", "oov", "surprisal", "entropy", "entropy_reduction"]
    assert all(float(row[5]) > 0 for row in rows[1:])
    assert len(done("generate -m kn3.lm --words 30 --seed 2").split()) == 30


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
def test_every_smoothing_gives_finite_probabilities(folder, done, smoothing):
    done(f"ngram train.txt -o m --order 2 --smoothing {smoothing}")
    values = [value for value in log10_probs(done, "m") if value is not None]
    assert values
    assert all(math.isfinite(value) and value <= 0 for value in values)


def test_additive_bigrams_by_hand(folder, done):
    done("ngram train.txt -o m --order 2 --smoothing additive --delta 0.5")
    counts = counts_of((folder / "train.txt").read_text(), 2)
    first = (folder / "test.txt").read_text().split()[0]
    n_words = len([ngram for ngram in counts if " " not in ngram])  # without <s>, which is never predicted; with <unk>
    expected = (counts[f"<s> {first}"] + 0.5) / (counts["<s>"] + 0.5 * n_words)
    assert log10_probs(done, "m")[0] == pytest.approx(math.log10(expected), abs=1e-5)


def test_the_name_or_an_option_decides_the_format(folder, done):
    done("ngram train.txt -o m.lm --order 2")
    for name, option in (("m.arpa", ""), ("m", "--to arpa")):
        done(f"ngram train.txt -o {name} --order 2 {option}")
        assert (folder / name).read_bytes().lstrip().startswith(b"\\data\\")
    done("ngram train.txt -o m.arpa.gz --order 2")
    assert gzip.decompress((folder / "m.arpa.gz").read_bytes()) == (folder / "m").read_bytes()
    done("ngram train.txt -o odd.arpa --order 2 --to native")
    assert (folder / "odd.arpa").read_bytes() == (folder / "m.lm").read_bytes()
    assert done("ngram train.txt -o - --order 2 --to arpa").encode() == (folder / "m").read_bytes()
    for name in ("m", "m.arpa.gz"):
        assert log10_probs(done, name) == pytest.approx(log10_probs(done, "m.lm"), abs=2e-6)


def test_srilms_model_of_order_4(golden, tmp_path, monkeypatch, done):
    # every word of ngram -ppl -debug 2 on a model of ngram-count -kndiscount -interpolate -gtNmin 1
    monkeypatch.chdir(tmp_path)
    done(f"ngram {golden}/toy/train.txt -o mkn4.lm --order 4")
    found = done(f"ppl -m mkn4.lm {golden}/toy/test.txt --report word --format srilm --oov unk")
    expected = gzip.decompress((golden / "srilm" / "mkn4.ppl.debug2.gz").read_bytes()).decode()
    word = re.compile(r"^\t(p\( .* \) \t= \[\dgram\]) \S+ \[ (\S+) \]$", re.M)
    found, expected = word.findall(found), word.findall(expected)
    assert [context for context, _ in found] == [context for context, _ in expected]
    assert [float(x) for _, x in found] == pytest.approx([float(x) for _, x in expected], abs=1e-5)


def test_discounts_are_printed(folder, done):
    table = done("ngram train.txt -o m --discounts")
    header, *rows = [line.split() for line in table.splitlines()]
    assert header == ["order", "n-grams", "n1", "n2", "n3", "n4", "discounts"]
    assert [row[0] for row in rows] == ["1", "2", "3"]
    counts = counts_of((folder / "train.txt").read_text(), 3)
    of_counts = Counter(count for ngram, count in counts.items() if ngram.count(" ") == 2)
    assert [int(cell) for cell in rows[2][2:6]] == [of_counts[k] for k in (1, 2, 3, 4)]
    n1, n2, n3, n4 = (of_counts[k] for k in (1, 2, 3, 4))
    y = n1 / (n1 + 2 * n2)  # Chen and Goodman (1998), eq. 26
    found = dict(zip(rows[2][6::2], map(float, rows[2][7::2]), strict=True))
    expected = {"D1": 1 - 2 * y * n2 / n1, "D2": 2 - 3 * y * n3 / n2, "D3+": 3 - 4 * y * n4 / n3}
    assert found == pytest.approx(expected, rel=1e-6)


def test_a_table_of_discounts_is_aligned():
    orders = [
        {"order": 1, "n_ngrams": 9, "counts_of_counts": [1, 20, 3, 4, 5], "discounts": {"D": 0.25}},
        {"order": 2, "n_ngrams": 1000, "counts_of_counts": [100, 2, 3, 4, 5], "discounts": {}},
    ]
    assert discount_table(orders) == (
        "order  n-grams   n1  n2  n3  n4  discounts\n"
        "    1        9    1  20   3   4  D 0.25\n"
        "    2     1000  100   2   3   4"
    )  # fmt: skip


def test_min_counts_and_pruning_leave_n_grams_out(folder, done):
    done("ngram train.txt -o m.arpa")
    counts = counts_of((folder / "train.txt").read_text(), 3)
    done("ngram train.txt -o cut.arpa --min-count 1,2,3")
    head = (folder / "cut.arpa").read_text()[:200]
    kept = Counter(ngram.count(" ") + 1 for ngram, n in counts.items() if n >= (1, 2, 3)[ngram.count(" ")])
    found = {int(n): int(count) for n, count in re.findall(r"ngram (\d)=(\d+)", head)}
    assert found[3] == kept[3]
    done("ngram train.txt -o pruned.arpa --prune 1e-3")
    assert (folder / "pruned.arpa").stat().st_size < (folder / "m.arpa").stat().st_size


def test_other_words_of_a_closed_vocabulary_are_unk(folder, done):
    (folder / "few.vocab").write_text("</s>\n<unk>\ncat\neat\ndog\n")
    done("ngram train.txt -o m --order 2 --vocab few.vocab")
    found = json.loads(done("ppl -m m test.txt --format json --oov unk"))
    assert found["oov"] > 0
    assert found["perplexity"] == pytest.approx(found["perplexity_including_oov"])


def test_threads_and_little_memory_change_nothing(folder, done, tmp_path):
    done("ngram train.txt -o m")
    done("ngram train.txt -o one --threads 1")
    done(f"ngram train.txt -o small --memory 220M --tmp {tmp_path}")
    assert (folder / "m").read_bytes() == (folder / "one").read_bytes() == (folder / "small").read_bytes()


def test_standard_input_is_a_text(folder, done):
    text = (folder / "train.txt").read_bytes()
    done("ngram train.txt -o m")
    done("ngram - -o stdin", text)
    assert log10_probs(done, "stdin") == log10_probs(done, "m")


# ---- counting


def test_counts_are_those_of_srilm(folder, done):
    done("ngram count train.txt --order 3 -o counts.gz")
    expected = counts_of((folder / "train.txt").read_text(), 3)
    assert counts_in(folder / "counts.gz") == dict(expected)


def test_counts_of_parts_merge_to_those_of_the_whole(folder, done):
    lines = (folder / "train.txt").read_bytes().splitlines(keepends=True)
    for name, part in (("a", lines[:700]), ("b", lines[700:])):
        (folder / f"{name}.txt").write_bytes(b"".join(part))
        done(f"ngram count {name}.txt --order 2 -o {name}.counts")
    done("ngram count --merge a.counts b.counts -o ab.counts")
    done("ngram count train.txt --order 2 -o whole.counts")
    assert counts_in(folder / "ab.counts") == counts_in(folder / "whole.counts")


def test_a_model_of_counts_is_the_model_of_the_text(folder, done):
    done("ngram count train.txt -o counts.gz")
    done("ngram --counts counts.gz -o of_counts")
    done("ngram train.txt -o of_text")
    assert log10_probs(done, "of_counts") == pytest.approx(log10_probs(done, "of_text"), abs=1e-6)


# ---- files


def test_info_tells_what_an_n_gram_model_is(folder, done):
    done("ngram train.txt -o m.lm")
    done("ngram train.txt -o m.arpa")
    native, arpa = (json.loads(done(f"info {name} --json")) for name in ("m.lm", "m.arpa"))
    assert (native["format"], arpa["format"]) == ("native", "arpa")
    sizes = re.findall(r"^ngram \d=(\d+)$", (folder / "m.arpa").read_text(), re.M)
    for name in ("m.lm", "m.arpa"):
        told = done(f"info {name}")
        assert all(size in told for size in sizes)


def test_models_are_converted_in_both_directions(folder, done):
    done("ngram train.txt -o m.lm")
    done("convert m.lm -o m.arpa --to arpa")
    done("convert m.arpa -o again.lm --to native")
    done("convert again.lm -o again.arpa")  # the name says it
    assert (folder / "again.arpa").read_bytes() == (folder / "m.arpa").read_bytes()
    assert log10_probs(done, "again.lm") == pytest.approx(log10_probs(done, "m.lm"), abs=1e-5)


# ---- bad input

WRONG_USAGE = [
    ("ngram train.txt -o m --order 0", "'--order': 0 is not in the range 1<=x<=9"),
    ("ngram train.txt -o m --order 10", "'--order': 10 is not in the range 1<=x<=9"),
    ("ngram train.txt -o m --order three", "'--order'"),
    ("ngram train.txt", "--output"),
    ("ngram -o m", "give texts, or --counts"),
    ("ngram train.txt --counts c -o m", "give texts, or --counts, not both"),
    ("ngram --counts c -o m --lower", "--counts cannot be used with --lower"),
    ("ngram train.txt -o -", "-o -: a native model is not written to standard output; give a file"),
    ("ngram train.txt -o - --to arpa --discounts", "-o -: a model beside --discounts"),
    ("ngram train.txt -o m --smoothing laplace", "'--smoothing'"),
    (
        "ngram train.txt -o m --min-count 1,x",
        "'--min-count': 1,x is not a list of numbers from 1 to 2147483647, such as 1,1,2",
    ),
    ("ngram train.txt -o m --min-count 1,,2", "'--min-count'"),
    ("ngram train.txt -o m --min-count 0", "'--min-count'"),
    ("ngram train.txt -o m --min-count 99999999999999999999", "'--min-count'"),
    ("ngram train.txt -o m --min-count=-1", "'--min-count'"),
    ("ngram train.txt -o m --min-count ''", "'--min-count'"),
    ("ngram train.txt -o m --min-count 1,1,2,2", "--min-count has 4 numbers for 3 orders"),
    ("ngram train.txt -o m --prune 0", "'--prune': 0.0 is not in the range 0<x<1"),
    ("ngram train.txt -o m --prune nan", "'--prune': nan is not a finite number"),
    ("ngram train.txt -o m --discount 0.5", "--discount is for --smoothing absolute only"),
    ("ngram train.txt -o m --smoothing absolute --discount 2", "'--discount': 2.0 is not in the range"),
    ("ngram train.txt -o m --delta 1", "--delta is for --smoothing additive only"),
    ("ngram train.txt -o m --smoothing additive --delta 0", "'--delta'"),
    ("ngram train.txt -o m --smoothing good-turing --gt-max 100000", "'--gt-max'"),
    ("ngram train.txt -o m --gt-max 7", "--gt-max is for --smoothing good-turing only"),
    ("ngram train.txt -o m --smoothing good-turing --interpolate", "--interpolate: good-turing has one form only"),
    ("ngram train.txt -o m --smoothing stupid-backoff --backoff", "--backoff: stupid-backoff has one form only"),
    ("ngram train.txt -o m --unk ignore", "'--unk'"),
    ("ngram train.txt -o m --to 0.4b-text", "'--to'"),
    ("ngram train.txt -o m --memory much", "'--memory': much is not a size: a number of bytes such as 300M or 2G"),
    ("ngram train.txt -o m --memory 0", "'--memory'"),
    ("ngram train.txt -o m --memory -1M", "'--memory'"),
    ("ngram train.txt -o m --tmp nowhere", "'--tmp': Directory 'nowhere' does not exist"),
    ("ngram train.txt -o m --threads 0", "'--threads'"),
    ("ngram count", "TEXT"),
    ("ngram count train.txt", "--output"),
    ("ngram count train.txt -o c --order 0", "'--order'"),
    ("ngram count a b --merge --order 2 -o c", "--order cannot be used with --merge"),
]


@pytest.mark.parametrize(("line", "part"), WRONG_USAGE, ids=[line for line, _ in WRONG_USAGE])
def test_wrong_usage_is_one_line_and_2(folder, refused, line, part):
    refused(line, 2, part)


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("ngram nothing.txt -o m", "nothing.txt: no such file"),
        ("ngram empty.txt -o m", "empty.txt: no words"),
        ("ngram train.txt -o test.txt", "test.txt: already exists; --force replaces it"),
        ("ngram train.txt -o train.txt --force", "train.txt: is read in this run as well"),
        ("ngram train.txt -o no/m", "there is no directory no"),
        ("ngram train.txt -o m --memory 1000", "memory"),
        ("ngram train.txt -o m --vocab nothing.vocab", "nothing.vocab"),
        ("ngram --counts bad.counts -o m", "bad.counts:2: "),
        ("ngram --counts nothing -o m", "nothing"),
        ("ngram count train.txt -o train.txt -f", "train.txt: is read in this run as well"),
        ("ngram count --merge bad.counts -o c", "bad.counts:2: "),
        ("ngram count --merge nothing -o c", "nothing"),
        ("convert small.rnnlm -o m --to arpa", "arpa"),
        ("convert kn2.lm -o m --to 0.4b-binary", "n-gram model"),
        ("ppl -m cut.arpa test.txt", "cut.arpa"),
    ],
)
def test_bad_input_is_one_line_and_1(folder, done, refused, line, part):
    (folder / "empty.txt").write_bytes(b"")
    (folder / "bad.counts").write_text("</s>\t3\na b\tmany\n")
    done("ngram train.txt -o kn2.lm --order 2")
    done("ngram train.txt -o cut.arpa --order 2")
    data = (folder / "cut.arpa").read_bytes()
    (folder / "cut.arpa").write_bytes(data[: len(data) // 2])
    refused(line, 1, part)


@pytest.mark.parametrize(
    ("text", "size"), [("300", 300), ("300M", 300 << 20), ("2g", 2 << 30), ("1.5K", 1536), ("4MiB", 4 << 20)]
)
def test_sizes(text, size):
    assert Size().convert(text, None, None) == size
