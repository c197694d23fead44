"""Several models as one, from the command line: mixtures, caches, their files and their comparison."""

import gzip
import json
import math
import re
from collections import deque

import numpy as np
import pytest

from tests.tables import rows_of

BOTH = "-m small.rnnlm -m kn3.lm"


def probabilities(done, models, text="test.txt"):
    """(n,) float64 of each word, by ppl's table."""
    rows = rows_of(done(f"ppl {models} {text} --report word --format tsv"))
    return 10.0 ** np.array([float(row["log10_prob"]) for row in rows])


def tokens(text):
    return [word for line in text.splitlines() for word in [*line.split(), "</s>"]]


def perplexity(done, models, text="test.txt"):
    return json.loads(done(f"ppl {models} {text} --format json"))["perplexity"]


# ---- several models


def test_a_mixture_is_the_weighted_sum_of_probabilities(models, done):
    one, two = probabilities(done, "-m small.rnnlm"), probabilities(done, "-m kn3.lm")
    mixed = probabilities(done, f"{BOTH} --weight 0.3 --weight 0.7")
    assert mixed == pytest.approx(0.3 * one + 0.7 * two, rel=1e-7)
    assert probabilities(done, BOTH) == pytest.approx((one + two) / 2, rel=1e-7)


def test_all_of_the_weight_on_one_model_is_that_model(models, done):
    assert probabilities(done, f"{BOTH} --weight 0 --weight 1") == pytest.approx(probabilities(done, "-m kn3.lm"))


def test_a_log_linear_mixture_is_the_normalised_product(models, done):
    # generated from both distributions word by word, in Python
    import rnnlm as library

    (models / "two.txt").write_text("".join((models / "test.txt").read_text().splitlines(keepends=True)[:2]))
    lms = [library.load("small.rnnlm"), library.load("kn3.lm")]
    vocab = lms[0].vocab
    states, expected = [lm.start() for lm in lms], []
    for word in tokens((models / "two.txt").read_text()):
        products = {
            w: math.prod(
                float(lm.distribution(s)[lm.vocab.index(w)]) ** x
                for lm, s, x in zip(lms, states, (0.8, 0.6), strict=True)
            )
            for w in vocab.words
        }
        expected.append(products[word.encode()] / sum(products.values()))
        states = [lm.score([word], s)[1] for lm, s in zip(lms, states, strict=True)]
    found = probabilities(done, f"{BOTH} --log-linear --weight 0.8 --weight 0.6", "two.txt")
    assert found == pytest.approx(expected, rel=1e-6)


def test_the_table_of_words_tells_the_n_gram_that_was_found(models, done):
    rows = rows_of(done("ppl -m kn3.lm test.txt --report word --format tsv"))
    assert {row["order"] for row in rows} <= {"1", "2", "3"}
    assert rows[0]["order"] == "2"  # <s> and a word that a sentence begins with
    assert "order" not in rows_of(done("ppl -m small.rnnlm test.txt --report word --format tsv"))[0]
    assert re.search(r"\tp\( \S+ \| <s> \) \t= \[2gram\] ", done("ppl -m kn3.lm test.txt --report word --format srilm"))


def test_dynamic_evaluation_is_for_the_recurrent_models_of_a_mixture(models, done):
    learning, fixed = probabilities(done, "-m small.rnnlm --dynamic 0.1"), probabilities(done, "-m kn3.lm")
    found = probabilities(done, f"{BOTH} --dynamic 0.1")
    assert found == pytest.approx((learning + fixed) / 2, rel=1e-7)
    done(f"mix {BOTH} -o mix.json")
    assert probabilities(done, "-m mix.json --dynamic 0.1") == pytest.approx(found, rel=1e-7)
    learning = probabilities(done, "-m small.rnnlm --dtype float64")
    assert probabilities(done, f"{BOTH} --dtype float64") == pytest.approx((learning + fixed) / 2, rel=1e-7)


# ---- caches


def cache_probabilities(words, size, decay=0.0):
    """The cache by itself, in plain Python: shares of words among the last ``size``, younger ones counting more."""
    last = deque(maxlen=size)
    for word in words:
        ages = [(math.exp(-decay * age), w) for age, w in enumerate(reversed(last), 1)]
        total = sum(weight for weight, _ in ages)
        yield sum(weight for weight, w in ages if w == word) / total if total else None
        last.append(word)


@pytest.mark.parametrize("decay", [0.0, 0.2])
def test_a_cache_takes_its_weight_from_the_model(models, done, decay):
    option = f"--cache 12 --cache-weight 0.25{f' --cache-decay {decay}' if decay else ''}"
    static = probabilities(done, "-m kn3.lm")
    cached = list(cache_probabilities(tokens((models / "test.txt").read_text()), 12, decay))
    expected = [0.75 * p + 0.25 * c for p, c in zip(static[1:], cached[1:], strict=True)]  # it begins empty
    assert probabilities(done, f"-m kn3.lm {option}")[1:] == pytest.approx(expected, rel=1e-6)
    one = probabilities(done, "-m small.rnnlm")
    mixed = probabilities(done, f"{BOTH} --weight 0.4 --weight 0.6 {option}")
    expected = [
        0.75 * (0.4 * a + 0.6 * b) + 0.25 * c
        for a, b, c in zip(one[1:], static[1:], cached[1:], strict=True)
    ]  # fmt: skip
    assert mixed[1:] == pytest.approx(expected, rel=1e-6)


# ---- rnnlm mix


def test_a_mixture_in_a_file_is_a_model_everywhere(models, done):
    done(f"mix {BOTH} --weight 0.3 --weight 0.7 -o mix.json")
    mixed = probabilities(done, f"{BOTH} --weight 0.3 --weight 0.7")
    assert probabilities(done, "-m mix.json") == pytest.approx(mixed, rel=1e-9)
    rows = rows_of(done("surprisal -m mix.json test.txt"))
    assert [float(row["surprisal"]) for row in rows] == pytest.approx(-np.log2(mixed), abs=1e-6)
    assert all(float(row["entropy"]) > 0 for row in rows)
    rows = rows_of(done("surprisal -m small.rnnlm -m mix.json test.txt"))
    assert float(rows[3]["surprisal_mix"]) == pytest.approx(-math.log2(mixed[3]), abs=1e-6)
    assert len(done("generate -m mix.json --words 20 --seed 4").split()) == 20
    assert "kn3.lm" in done("info mix.json")
    assert json.loads(done("info mix.json --json"))["format"] == "mixture"
    again = "-m mix.json -m small.rnnlm --weight 0.5 --weight 0.5"
    assert probabilities(done, again) == pytest.approx((mixed + probabilities(done, "-m small.rnnlm")) / 2, rel=1e-7)


def test_a_mixture_finds_its_models_from_its_own_folder(models, done, monkeypatch):
    (models / "deep").mkdir()
    (models / "deep" / "elsewhere").mkdir()
    done(f"mix {BOTH} -o deep/mix.json")
    expected = probabilities(done, BOTH)
    monkeypatch.chdir(models / "deep" / "elsewhere")
    assert probabilities(done, "-m ../mix.json", "../../test.txt") == pytest.approx(expected, rel=1e-9)


def test_a_cache_is_saved_with_its_mixture(models, done):
    options = f"{BOTH} --weight 0.4 --weight 0.6 --cache 30 --cache-weight 0.1"
    done(f"mix {options} -o mix.json")
    assert probabilities(done, "-m mix.json") == pytest.approx(probabilities(done, options), rel=1e-9)


def test_tuned_weights_suit_the_text_best(models, done):
    told = done(f"mix {BOTH} -m other.rnnlm --tune valid.txt -o mix.json --precision 1e-6")
    weights = [float(line.split()[0]) for line in told.splitlines()[:3]]
    assert sum(weights) == pytest.approx(1, abs=3e-6)
    assert [line.split()[1] for line in told.splitlines()[:3]] == ["small.rnnlm", "kn3.lm", "other.rnnlm"]
    best = perplexity(done, "-m mix.json", "valid.txt")
    assert float(re.search(r"^perplexity (\S+) ", told, re.M)[1]) == pytest.approx(best, rel=1e-5)
    a, b, c = weights
    for moved in ((a + 0.03, b - 0.03, c), (a, b + 0.03, c - 0.03), (a - 0.03, b, c + 0.03)):
        if min(moved) >= 0:
            options = " ".join(f"--weight {weight:.9f}" for weight in moved)
            assert perplexity(done, f"{BOTH} -m other.rnnlm {options}", "valid.txt") > best


def test_best_mix_in_srilms_layout(golden, tmp_path, monkeypatch, done):
    monkeypatch.chdir(tmp_path)
    files = " ".join(f"-m {golden}/srilm/{name}.arpa.gz" for name in ("mkn4", "gt3", "wb3"))
    found = done(f"mix {files} --tune {golden}/toy/valid.txt --format srilm --oov unk")
    expected = (golden / "srilm" / "best-mix.mkn4-gt3-wb3.valid").read_text()
    number = re.compile(r"[\d.]+(?:e-\d+)?")
    assert number.sub("0", found) == number.sub("0", expected)  # as many iterations, too
    # SRILM's weights come from probabilities that were printed with 7 digits
    numbers = [[float(x) for x in number.findall(text)] for text in (found, expected)]
    assert numbers[0] == pytest.approx(numbers[1], rel=2e-5)


def test_srilms_mixture_word_by_word(golden, tmp_path, monkeypatch, done):
    # ngram -lm mkn4 -mix-lm gt3 -lambda 0.6 -bayes 0 -ppl -debug 2
    monkeypatch.chdir(tmp_path)
    files = " ".join(f"-m {golden}/srilm/{name}.arpa.gz" for name in ("mkn4", "gt3"))
    line = f"ppl {files} --weight 0.6 --weight 0.4 {golden}/toy/test.txt --report word --format srilm --oov unk"
    expected = gzip.decompress((golden / "srilm" / "mix.mkn4-gt3.bayes0.ppl.debug2.gz").read_bytes()).decode()
    word = re.compile(r"^\t(p\( .* \) \t= (?:\[\dgram\])+) \S+ \[ (\S+) \]$", re.M)
    found, expected = word.findall(done(line)), word.findall(expected)
    assert [context for context, _ in found] == [context for context, _ in expected]
    assert [float(x) for _, x in found] == pytest.approx([float(x) for _, x in expected], abs=1e-5)


# ---- comparison


def test_models_are_compared_word_by_word(models, done):
    small, ngrams = (np.log10(probabilities(done, f"-m {name}")) for name in ("small.rnnlm", "kn3.lm"))
    rows = rows_of(done(f"ppl {BOTH} --compare test.txt --format tsv --report word"))
    assert [float(row["log10_prob_small"]) for row in rows] == pytest.approx(small, abs=1e-6)
    assert [float(row["gain_kn3"]) for row in rows] == pytest.approx((ngrams - small) * math.log2(10), abs=1e-5)
    rows = rows_of(done(f"ppl {BOTH} --compare test.txt --format tsv --report sentence"))
    assert sum(float(row["bits_kn3"]) for row in rows) == pytest.approx(-ngrams.sum() * math.log2(10), rel=1e-6)


def test_a_comparison_says_whether_the_difference_is_chance(models, done):
    small, ngrams = (perplexity(done, f"-m {name}") for name in ("small.rnnlm", "kn3.lm"))
    found = json.loads(done(f"ppl {BOTH} -m other.rnnlm --compare test.txt --format json"))
    assert found["models"] == ["small", "kn3", "other"]
    assert found["perplexities"][:2] == pytest.approx([small, ngrams], rel=1e-6)
    total = found["pairs"][0]["total"]
    assert total["ratio"] == pytest.approx(ngrams / small, rel=1e-6)
    assert total["ratio_interval"][0] < total["ratio"] < total["ratio_interval"][1]
    told = done(f"ppl {BOTH} --compare test.txt")
    assert "kn3 against small" in told
    same = json.loads(done("ppl -m small.rnnlm -m small.rnnlm --compare test.txt --format json"))["pairs"][0]["total"]
    assert (same["ratio"], same["gain_bits"], same["won"], same["lost"]) == (1, 0, 0, 0)


# ---- probabilities of outside models


def test_a_file_of_probabilities_is_a_model_of_its_text(models, done, refused):
    (models / "outside.tsv").write_text(done("ppl -m small.rnnlm test.txt --report word --format tsv"))
    found = probabilities(done, "-m outside.tsv -m kn3.lm --weight 0.3 --weight 0.7")
    assert found == pytest.approx(probabilities(done, f"{BOTH} --weight 0.3 --weight 0.7"), rel=1e-6)
    refused("ppl -m outside.tsv -m kn3.lm valid.txt", 1, "outside.tsv:")
    refused("ppl -m kn3.lm -m outside.tsv train.txt", 1, "outside.tsv")
    refused("generate -m outside.tsv", 1, "outside.tsv")
    assert "probabilities" in done("info outside.tsv")


# ---- bad input

WRONG_USAGE = [
    (f"ppl {BOTH} --weight 0.5 test.txt", "--weight given once for 2 models"),
    (f"ppl {BOTH} --weight 0.5 --weight 0.3 --weight 0.2 test.txt", "--weight given 3 times for 2 models"),
    (f"ppl {BOTH} --weight 0.5 --weight 0.6 test.txt", "the weights sum to 1.1"),
    (f"ppl {BOTH} --weight 1.5 --weight=-0.5 test.txt", "'--weight': -0.5 is not in the range x>=0"),
    (f"ppl {BOTH} --weight nan --weight 1 test.txt", "'--weight': nan is not a finite number"),
    (f"ppl {BOTH} --log-linear --weight 0 --weight 0 test.txt", "all weights are 0"),
    ("ppl -m kn3.lm --cache 0 test.txt", "'--cache': 0 is not in the range x>=1"),
    ("ppl -m kn3.lm --cache 9 --cache-weight 1.1 test.txt", "'--cache-weight': 1.1 is not in the range 0<=x<=1"),
    ("ppl -m kn3.lm --cache-weight 0.1 test.txt", "without --cache or --cache-decay there is no cache"),
    ("ppl -m kn3.lm --cache-decay 0 test.txt", "'--cache-decay': 0.0 is not in the range x>0"),
    ("ppl -m kn3.lm --compare test.txt", "--compare: needs several models"),
    (f"ppl {BOTH} --compare --weight 0.5 test.txt", "--weight cannot be used with --compare"),
    (f"ppl {BOTH} --compare --cache 100 test.txt", "--compare"),
    (f"ppl {BOTH} --compare --format srilm test.txt", "--compare has no --format srilm"),
    (f"ppl {BOTH} --compare --report word test.txt", "--report word: is a table; give --format tsv or json"),
    (f"mix {BOTH}", "give --tune TEXT, -o MIX.json, or both"),
    ("mix -o mix.json", "--model"),
    (f"mix {BOTH} -o -", "-o -: its paths are those from its folder; give a file"),
    (f"mix {BOTH} --tune valid.txt --log-linear", "--log-linear cannot be used with --tune"),
    (f"mix {BOTH} --tune valid.txt --precision 0", "'--precision'"),
    (f"mix {BOTH} --weight 1 -o mix.json", "--weight given once for 2 models"),
]


@pytest.mark.parametrize(("line", "part"), WRONG_USAGE, ids=[line for line, _ in WRONG_USAGE])
def test_wrong_usage_is_one_line_and_2(models, refused, line, part):
    refused(line, 2, part)


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("ppl -m kn3.lm --dynamic 0.1 test.txt", "--dynamic: for recurrent models only, and kn3.lm is none"),
        ("ppl -m kn3.lm --dtype float64 test.txt", "--dtype: for recurrent models only, and kn3.lm is none"),
        ("surprisal -m kn3.lm -m kn3.lm --dynamic 1 test.txt", "--dynamic: for recurrent models only"),
        ("generate -m kn3.lm --dtype float64", "--dtype: for recurrent models only"),
        (f"mix {BOTH} -o test.txt", "test.txt: already exists; --force replaces it"),
        (f"mix {BOTH} -o kn3.lm --force", "kn3.lm: is read in this run as well"),
        (f"mix {BOTH} -o no/mix.json", "there is no directory no"),
        (f"mix {BOTH} --tune nothing.txt", "nothing.txt: no such file"),
        ("mix -m nothing -m kn3.lm -o new.json", "nothing: No such file"),
        ("ppl -m bad.json test.txt", "bad.json"),
        ("ppl -m negative.json test.txt", "negative.json"),
        ("ppl -m gone.json test.txt", "gone.lm"),
        ("ppl -m kn3.lm --cache-decay 1e9 test.txt", "--cache-decay 1e+09: a rate a word is needed"),
    ],
)
def test_bad_input_is_one_line_and_1(models, done, refused, line, part):
    done(f"mix {BOTH} -o mix.json")
    text = (models / "mix.json").read_text()
    (models / "bad.json").write_text(text[: len(text) // 2])
    (models / "gone.json").write_text(text.replace("kn3.lm", "gone.lm"))
    (models / "negative.json").write_text(text.replace("0.5", "-0.5"))
    refused(line, 1, part)


def test_models_of_different_tokenizers_need_one_to_be_named(models, done, refused):
    done("ngram train.txt -o words.lm --tokenizer word")
    refused("ppl -m small.rnnlm -m words.lm test.txt", 1, "different tokenizers (whitespace, word)")
    assert done("ppl -m small.rnnlm -m words.lm test.txt --tokenizer whitespace")
