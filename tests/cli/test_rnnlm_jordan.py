"""Jordan's network through the rnnlm command, on Elman's sentences."""

import math
from collections import Counter

import pytest

import rnnlm as library
from tests.tables import rows_of

LINE = "train train.txt --valid valid.txt -o j --cell jordan --hidden 20 --max-iter 8 --seed 1"


def words_of(path):
    return path.read_bytes().replace(b"\n", b" </s> ").split()


@pytest.mark.parametrize("options", ["", " --independent"])
def test_it_learns_scores_and_writes(folder, done, options):
    epochs = done(LINE + options).splitlines()
    assert len(epochs) == 8
    counts = Counter(words_of(folder / "train.txt"))
    words = words_of(folder / "test.txt")
    unigram = math.exp(-sum(math.log(counts[word] / counts.total()) for word in words) / len(words))
    report = done("ppl -m j test.txt").splitlines()
    perplexity = next(float(line.split()[-1]) for line in report if line.startswith("perplexity"))
    # the grammar's own is 4.17 (corpora grammar elman1990 --entropy)
    assert 4 < perplexity < 0.6 * unigram
    surprisals = [float(row["surprisal"]) for row in rows_of(done("surprisal -m j test.txt"))]
    assert 2 ** (sum(surprisals) / len(surprisals)) == pytest.approx(perplexity, rel=1e-3)
    assert "perplexity" in done("ppl -m j --dynamic 0.1 test.txt")
    assert len(done("generate -m j --words 30 --seed 1").split()) == 30
    info = done("info j")
    assert "jordan, 20 logistic hidden units, softmax over all words" in info
    assert ("independent" in info) == bool(options)
    lm = library.load("j")
    assert {name: values.shape for name, values in lm.params.items()} == {
        "U": (30, 20), "W": (30, 20), "O": (30, 20), "C": (1, 20)
    }  # fmt: skip


def test_rnnlm_0_4b_cannot_hold_it(folder, done, refused):
    done(LINE.replace("--max-iter 8", "--max-iter 1"))
    refused("convert j -o text --to 0.4b-text", 1, "its cell is jordan, not elman")
