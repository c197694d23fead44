"""The rnnlm command with models of RNNLM 0.4b: their training, probabilities and files, as that program has them."""

import gzip
import json
import re
from pathlib import Path

import numpy as np
import pytest

import rnnlm as library
from tests.golden_files import golden_bytes
from tests.tables import objects, rows_of

GOLDEN_MODELS = ("full", "classes", "oldclass", "sentence", "direct", "compress")


def golden_model(golden, name):
    path = golden / "rnnlm" / f"{name}.binary"
    return path if path.exists() else path.with_suffix(".binary.gz")


def golden_words(name):
    """(probability, word) of each word in the output of 0.4b's -test -debug 2, None for both of an OOV; its total."""
    text = golden_bytes(f"rnnlm/{name}.test.debug2").decode()
    rows = re.findall(r"^(-?\d+)\t(\S+)\t+(\S+)$", text, re.M)
    words = [(None, None) if index == "-1" else (float(p), word) for index, p, word in rows]
    return words, float(re.search(r"test log probability: (\S+)", text)[1])


@pytest.mark.parametrize("name", GOLDEN_MODELS)
def test_every_epoch_of_0_4b_with_its_own_initial_weights(folder, golden, done, name):
    assert compatible_log(golden, name, done) == golden_log(golden, name)
    done("convert m -o m.binary --to 0.4b-binary")
    mine, theirs = library.load("m.binary"), library.load(golden_model(golden, name))
    for key, values in theirs.params.items():
        np.testing.assert_allclose(mine.params[key], values, rtol=1e-5, atol=1e-7)


def compatible_log(golden, name, done):
    commands = dict(line.split(": ", 1) for line in (golden / "rnnlm" / "COMMANDS.txt").read_text().splitlines())
    given = re.sub(r" -(\w)", r" --\1", commands[name].split("-valid valid.txt")[1]).replace("--rand-seed", "--seed")
    bptt = "" if "--bptt" in given else "--bptt 0"
    toy = golden / "toy"
    text = f"{toy}/train.txt --valid {toy}/valid.txt"
    done(f"train {text} -o m --compatible --dtype float64 --log log {bptt} {given}")
    figures = [(e["alpha"], e["train_entropy"], e["valid_entropy"]) for e in objects(Path("log").read_text())]
    return [(f"{alpha:f}", f"{train:.4f}", f"{valid:.4f}") for alpha, train, valid in figures]


def golden_log(golden, name):
    text = (golden / "rnnlm" / f"{name}.binary.log").read_text()
    return re.findall(r"Alpha: ([\d.]+).*?TRAIN entropy: ([\d.]+).*?VALID entropy: ([\d.]+)", text)


@pytest.mark.parametrize("name", GOLDEN_MODELS)
def test_a_binary_model_of_0_4b_gives_its_probabilities(golden, done, name):
    expected, total = golden_words(name)
    ppl = f"ppl -m {golden_model(golden, name)} {golden}/toy/test.txt --oov skip"
    rows = rows_of(done(f"{ppl} --report word --format tsv"))
    for row, (probability, word) in zip(rows, expected, strict=True):
        if probability is None:
            assert (row["oov"], row["log10_prob"]) == ("1", "")
        else:  # 0.4b prints ten decimals
            assert (row["oov"], row["word"]) == ("0", word)
            assert 10 ** float(row["log10_prob"]) == pytest.approx(probability, rel=1e-6, abs=6e-11)
    assert json.loads(done(f"{ppl} --format json"))["log10_prob"] == pytest.approx(total, abs=1e-4)


def test_a_text_model_of_0_4b_gives_what_four_decimals_allow(golden, done):
    for name in ("full", "classes", "compress"):
        total = golden_words(name)[1]
        found = json.loads(done(f"ppl -m {golden}/rnnlm/{name}.text.gz {golden}/toy/test.txt --format json"))
        assert found["log10_prob"] == pytest.approx(total, rel=1e-3)


def test_surprisal_is_the_log_probability_in_bits(folder, golden, done):
    expected, _ = golden_words("classes")
    rows = rows_of(done(f"surprisal -m {golden_model(golden, 'classes')} {golden}/toy/test.txt"))
    assert list(rows[0]) == ["sentence", "position", "word", "oov", "surprisal", "entropy", "entropy_reduction"]
    for row, (probability, word) in zip(rows, expected, strict=True):
        if probability is None:
            assert (row["oov"], row["surprisal"]) == ("1", "")
        else:
            assert (row["oov"], row["word"]) == ("0", word)
            # six decimals of bits here, ten of the probability there
            assert 2 ** -float(row["surprisal"]) == pytest.approx(probability, rel=1e-6, abs=6e-11)


@pytest.mark.parametrize("name", GOLDEN_MODELS)
def test_info_of_models_of_0_4b(golden, done, name):
    found = json.loads(done(f"info {golden_model(golden, name)} --json"))
    assert found["format"] == "0.4b-binary"
    assert found["words"] == 616
    assert found["architecture"]["independent"] == (name == "sentence")
    assert "validation  log10 probability -4" in done(f"info {golden_model(golden, name)}")


@pytest.mark.parametrize("name", GOLDEN_MODELS)
def test_a_model_of_0_4b_comes_back_byte_for_byte_from_the_native_form(folder, golden, done, name):
    original = golden_model(golden, name)
    done(f"convert {original} -o native --to native")
    done("convert native -o back --to 0.4b-binary")
    data = original.read_bytes()
    assert (folder / "back").read_bytes() == (gzip.decompress(data) if original.suffix == ".gz" else data)
    done("convert - -o piped --to native", data)
    assert (folder / "piped").read_bytes() == (folder / "native").read_bytes()


def test_a_native_model_comes_back_from_0_4bs_forms(folder, done):
    done("convert small.rnnlm -o binary --to 0.4b-binary")
    done("convert binary -o back --to native")
    first, last = library.load("small.rnnlm"), library.load("back")
    assert list(first.vocab.words) == list(last.vocab.words)
    for name, values in first.params.items():
        assert np.array_equal(values, last.params[name])
    done("convert small.rnnlm -o text --to 0.4b-text")
    for name, values in library.load("text").params.items():
        np.testing.assert_allclose(values, first.params[name], atol=5.1e-5)
    scores = [
        json.loads(done(f"ppl -m {m} test.txt --format json"))["perplexity"] for m in ("small.rnnlm", "back", "text")
    ]
    assert scores[1] == scores[0]
    assert scores[2] == pytest.approx(scores[0], rel=1e-3)
