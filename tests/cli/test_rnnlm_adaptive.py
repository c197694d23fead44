"""Options with which a model adapts to the text that it scores: dynamic evaluation of stacks, neural caches."""

from __future__ import annotations

import json

import numpy as np
import pytest

import rnnlm as library
from rnnlm.dynamic import DynamicLM
from rnnlm.io import load
from rnnlm.mixtures.mixture import assemble
from rnnlm.mixtures.neural_cache import NeuralCacheLM
from rnnlm.segments import root_mean_squares
from tests.cli.test_mix import perplexity, probabilities, tokens
from tests.tables import rows_of

LSTM = "train train.txt --valid valid.txt -o lstm.rnnlm --cell lstm --hidden 8 --batch-size 10 --bptt 10 --max-iter 3"


@pytest.fixture(scope="module")
def lstm(trained, rnnlm, tmp_path_factory):
    folder = tmp_path_factory.mktemp("lstm")
    text = LSTM
    for name in ("train.txt", "valid.txt"):
        text = text.replace(name, str(trained / name))
    code, _, err = rnnlm(text.replace("lstm.rnnlm", str(folder / "lstm.rnnlm")))
    assert code == 0, err
    return (folder / "lstm.rnnlm").read_bytes()


@pytest.fixture
def files(models, lstm):
    """The current directory: texts, small.rnnlm (plain), kn3.lm, and lstm.rnnlm."""
    (models / "lstm.rnnlm").write_bytes(lstm)
    return models


def ids_of(lm, path):
    return np.array([lm.vocab.index(word.encode()) for word in tokens(open(path).read())], np.int32)


def scored(lm, ids):
    return 10.0 ** lm.score_ids(ids, lm.start())[0].log10_prob


# ---- dynamic evaluation of stacks


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        ("", {}),
        ("--dynamic-block 12", {"bptt_block": 12}),
        ("--dynamic-decay 0.02", {"decay": 0.02}),
        ("--dynamic-rms train.txt --dynamic-decay 0.02 --dynamic-block 3", {"decay": 0.02, "bptt_block": 3}),
    ],
)
def test_dynamic_evaluation_is_that_of_the_library(files, done, options, settings):
    lm = load("lstm.rnnlm")
    if "rms" in options:
        settings = settings | {"roots": root_mean_squares(lm, ids_of(lm, "train.txt"))}
    # the norm of gradients is clipped as in training, at 5
    expected = scored(DynamicLM(lm, 0.01, clip_norm=5.0, **settings), ids_of(lm, "test.txt"))
    found = probabilities(done, f"-m lstm.rnnlm --dynamic 0.01 {options}")
    assert found == pytest.approx(expected, rel=1e-5)
    assert not np.allclose(found, probabilities(done, "-m lstm.rnnlm"), rtol=1e-3)
    rows = rows_of(done(f"surprisal -m lstm.rnnlm --dynamic 0.01 {options} test.txt"))
    assert [float(row["surprisal"]) for row in rows] == pytest.approx(-np.log2(expected), abs=1e-4)


def test_a_plain_network_has_blocks_of_its_own_length(files, done):
    lm = load("small.rnnlm")
    found = probabilities(done, "-m small.rnnlm --dynamic 0.1 --dynamic-block 3")
    assert found == pytest.approx(
        scored(DynamicLM(lm, 0.1, 1e-7, 15.0, bptt_block=3), ids_of(lm, "test.txt")), rel=1e-5
    )
    assert not np.allclose(found, probabilities(done, "-m small.rnnlm --dynamic 0.1"), rtol=1e-4)


def test_the_stacks_in_a_mixture_learn(files, done):
    learning, fixed = (probabilities(done, f"-m {m}") for m in ("lstm.rnnlm --dynamic 0.01", "kn3.lm"))
    found = probabilities(done, "-m lstm.rnnlm -m kn3.lm --dynamic 0.01 --dynamic-block 5")
    assert found == pytest.approx((learning + fixed) / 2, rel=1e-6)


# ---- neural caches


def test_a_neural_cache_is_that_of_the_library(files, done):
    lm = load("lstm.rnnlm")
    ids = ids_of(lm, "test.txt")
    static, cached = scored(lm, ids), scored(NeuralCacheLM(lm, 40, 0.7), ids)
    options = "--neural-cache 40 --neural-cache-theta 0.7 --neural-cache-weight 0.2"
    assert probabilities(done, f"-m lstm.rnnlm {options}") == pytest.approx(0.8 * static + 0.2 * cached, rel=1e-5)
    cached = scored(NeuralCacheLM(lm, 40), ids)  # theta 0.3, a tenth of the weight
    assert probabilities(done, "-m lstm.rnnlm --neural-cache 40") == pytest.approx(
        0.9 * static + 0.1 * cached, rel=1e-5
    )


def test_a_neural_cache_looks_at_the_first_recurrent_network(files, done):
    lm, ngrams = load("lstm.rnnlm"), load("kn3.lm")
    ids = ids_of(lm, "test.txt")
    parts = [scored(ngrams, ids_of(ngrams, "test.txt")), scored(lm, ids), scored(NeuralCacheLM(lm, 40), ids)]
    found = probabilities(
        done, "-m kn3.lm -m lstm.rnnlm -m small.rnnlm --weight 0.5 --weight 0.5 --weight 0 --neural-cache 40"
    )
    assert found == pytest.approx(np.array([0.45, 0.45, 0.1]) @ parts, rel=1e-5)


def test_a_network_and_its_cache_learn_together(files, done):
    # the cache looks at the states of the network as it was trained
    lm = load("lstm.rnnlm")
    ids = ids_of(lm, "test.txt")
    expected = 0.9 * scored(DynamicLM(lm, 0.01, clip_norm=5.0), ids) + 0.1 * scored(NeuralCacheLM(lm, 40), ids)
    assert probabilities(done, "-m lstm.rnnlm --dynamic 0.01 --neural-cache 40") == pytest.approx(expected, rel=1e-5)


def test_a_mixture_with_a_neural_cache_is_tuned_saved_and_read_again(files, done):
    line = "mix -m lstm.rnnlm -m kn3.lm --neural-cache 60 --neural-cache-theta 0.5 --tune valid.txt -o mix.json"
    *weights, last = done(line).splitlines()
    assert [row.split()[1:] for row in weights] == [["lstm.rnnlm"], ["kn3.lm"], ["neural", "cache"]]
    found = [float(row.split()[0]) for row in weights]
    assert sum(found) == pytest.approx(1, abs=2e-6)
    assert perplexity(done, "-m mix.json", "valid.txt") == pytest.approx(float(last.split()[1]), rel=1e-4)
    written = json.loads((files / "mix.json").read_text())["components"]
    assert written[2]["neural_cache"] == {"model": "lstm.rnnlm", "size": 60, "theta": 0.5}
    # no other weights nearby are better: the likelihood of a mixture has one maximum
    models = [load("lstm.rnnlm"), load("kn3.lm")]
    whole = assemble(models, neural_cache=60, neural_theta=0.5)
    parts = np.array([scored(lm, ids_of(lm, "valid.txt")) for lm in whole.models])
    best = np.log(np.array(found) @ parts).mean()
    for k in range(3):
        other = np.array(found) * 0.9
        other[k] += 0.1
        assert np.log(other @ parts).mean() < best + 1e-4  # EM ends where no weight changes by 0.001
    # and the file is a model
    expected = np.array(found) @ [scored(lm, ids_of(lm, "test.txt")) for lm in whole.models]
    assert probabilities(done, "-m mix.json") == pytest.approx(expected, rel=1e-4)
    assert library.load("mix.json").models[2].theta == 0.5


def test_info_tells_of_a_neural_cache(files, done):
    done("mix -m lstm.rnnlm -m kn3.lm --weight 0.25 --weight 0.75 --neural-cache 60 --cache 20 -o mix.json")
    told = done("info mix.json").splitlines()
    assert [line.split(maxsplit=1) for line in told[2:]] == [
        ["0.202500", "lstm.rnnlm"],
        ["0.607500", "kn3.lm"],
        ["0.090000", "neural cache, size 60, theta 0.3, lstm.rnnlm"],
        ["0.100000", "cache, size 20"],
    ]
    found = json.loads(done("info mix.json --json"))["components"][2]
    assert found["neural_cache"] == {"model": "lstm.rnnlm", "size": 60, "theta": 0.3}


def test_a_cache_of_a_log_linear_mixture_is_mixed_with_it_linearly(files, done):
    done("mix -m lstm.rnnlm -m kn3.lm --log-linear --neural-cache 9 -o mix.json")
    assert "log-linear mixture (" in done("info mix.json")
    assert "neural cache, size 9" in done("info mix.json")


# ---- bad input

WRONG_USAGE = [
    ("ppl -m lstm.rnnlm --dynamic-block 5 test.txt", "--dynamic-block: without --dynamic nothing is learnt"),
    ("ppl -m lstm.rnnlm --dynamic-decay 0.1 test.txt", "--dynamic-decay: without --dynamic nothing is learnt"),
    ("surprisal -m lstm.rnnlm --dynamic-rms train.txt test.txt", "--dynamic-rms: without --dynamic nothing is learnt"),
    ("ppl -m lstm.rnnlm --dynamic 0.1 --dynamic-block 0 test.txt", "'--dynamic-block': 0 is not in the range x>=1"),
    (
        "ppl -m lstm.rnnlm --dynamic 0.1 --dynamic-decay 2 test.txt",
        "'--dynamic-decay': 2.0 is not in the range 0<=x<=1",
    ),
    ("ppl -m lstm.rnnlm --dynamic 0.1 --dynamic-decay nan test.txt", "'--dynamic-decay': nan is not a finite number"),
    ("ppl -m lstm.rnnlm --neural-cache 0 test.txt", "'--neural-cache': 0 is not in the range x>=1"),
    ("ppl -m lstm.rnnlm --neural-cache-theta 1 test.txt", "--neural-cache-theta: without --neural-cache there is none"),
    (
        "ppl -m lstm.rnnlm --neural-cache-weight 0 test.txt",
        "--neural-cache-weight: without --neural-cache there is none",
    ),
    ("ppl -m lstm.rnnlm --neural-cache 5 --neural-cache-theta=-1 test.txt", "'--neural-cache-theta': -1.0 is not in"),
    ("ppl -m lstm.rnnlm --neural-cache 5 --neural-cache-weight 1.5 test.txt", "'--neural-cache-weight': 1.5 is not in"),
    ("mix -m lstm.rnnlm --neural-cache-theta 1 -o mix.json", "--neural-cache-theta: without --neural-cache"),
    ("ppl -m lstm.rnnlm -m kn3.lm --compare --neural-cache 5 test.txt", "--neural-cache cannot be used with --compare"),
]


@pytest.mark.parametrize(("line", "part"), WRONG_USAGE, ids=[line for line, _ in WRONG_USAGE])
def test_wrong_usage_is_one_line_and_2(files, refused, line, part):
    refused(line, 2, part)


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("ppl -m small.rnnlm --dynamic 0.1 --dynamic-decay 0.1 test.txt", "--dynamic-decay, --dynamic-rms: only for"),
        ("ppl -m small.rnnlm --dynamic 0.1 --dynamic-rms train.txt test.txt", "--dynamic-decay, --dynamic-rms: only"),
        ("surprisal -m lstm.rnnlm -m small.rnnlm --dynamic 1 --dynamic-decay 1 test.txt", "--dynamic-decay, --dynamic"),
        ("ppl -m lstm.rnnlm --dynamic 0.1 --dynamic-rms nothing.txt test.txt", "nothing.txt: no such file"),
        ("ppl -m lstm.rnnlm --dynamic 1e38 test.txt", "diverged at word"),
        ("ppl -m kn3.lm --dynamic 0.1 --dynamic-block 3 test.txt", "--dynamic: for recurrent models only"),
        ("ppl -m kn3.lm --neural-cache 5 test.txt", "--neural-cache: none of the models is a recurrent network"),
        (
            "ppl -m lstm.rnnlm --neural-cache 100000000 test.txt",
            "--neural-cache 100000000: a number of words from 1 to",
        ),
        ("mix -m kn3.lm --neural-cache 5 -o mix.json", "--neural-cache: none of the models is a recurrent network"),
        ("ppl -m bad.json test.txt", 'bad.json: component 2: the "size" of a neural cache is a whole number'),
        ("info bad.json", 'bad.json: component 2: the "size" of a neural cache is a whole number'),
        ("ppl -m gone.json test.txt", "gone.json: component 2: "),
    ],
)
def test_bad_input_is_one_line_and_1(files, done, refused, line, part):
    done("mix -m lstm.rnnlm --neural-cache 60 -o mix.json.good")
    text = (files / "mix.json.good").read_text()
    (files / "mix.json.good").unlink()
    (files / "bad.json").write_text(text.replace("60", '"60"'))
    (files / "gone.json").write_text('"model": "gone.rnnlm"'.join(text.rsplit('"model": "lstm.rnnlm"', 1)))
    refused(line, 1, part)
