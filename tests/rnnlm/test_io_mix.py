"""Mixtures as JSON files: what is written is read back, and what is wrong is one clear line."""

import json
import os

import numpy as np
import pytest

from corpora.errors import CorpusError, FormatError
from rnnlm.io import load, peek, save, sniff
from rnnlm.mixtures.cache import CacheLM
from rnnlm.mixtures.mixture import Mixture, assemble
from tests.small_bigrams import Bigrams
from tests.small_models import small_model, small_text

TUNED = {"words": 10, "perplexity": 5.5, "iterations": 3, "precision": 0.001}


@pytest.fixture
def files(tmp_path):
    """Two models in a folder of their own."""
    folder = tmp_path / "models"
    folder.mkdir()
    paths = [str(folder / name) for name in ("a.rnnlm", "b.rnnlm")]
    for seed, path in enumerate(paths, 1):
        save(small_model(seed=seed, unk=True), path)
    return paths


def written(tmp_path, content, name="mix.json") -> str:
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


def mixture_of(*components, **others) -> dict:
    return {"format": "rnnlm mixture", "version": 1, "kind": "linear", "components": list(components)} | others


def test_a_mixture_is_read_back_as_it_was_written(tmp_path, files):
    models = [load(path) for path in files]
    mixture = assemble(models, [0.7, 0.3], files=files, cache_size=5, cache_decay=0.25, cache_weight=0.2)
    mixture = mixture.with_weights(mixture.weights, TUNED)
    path = str(tmp_path / "mix.json")
    save(mixture, path, "mixture")
    back = load(path)
    assert back.weights.tolist() == mixture.weights.tolist()
    assert back.tuned == TUNED
    assert (back.models[2].size, back.models[2].decay) == (5, 0.25)
    ids = small_text(60)
    expected, found = (lm.score_ids(ids, lm.start())[0].log10_prob for lm in (mixture, back))
    assert found.tolist() == expected.tolist()
    assert sniff(path) == "mixture"
    assert peek(path)["components"][1] == {"weight": pytest.approx(0.24), "model": "models/b.rnnlm"}
    assert peek(path)["tuned"] == TUNED


def test_paths_are_those_from_the_files_folder_so_that_both_can_be_moved(tmp_path, files, monkeypatch):
    (tmp_path / "deep").mkdir()
    monkeypatch.chdir(tmp_path / "models")
    save(Mixture([load("a.rnnlm")], files=["a.rnnlm"]), "../deep/mix.json", "mixture")
    assert json.loads((tmp_path / "deep" / "mix.json").read_text())["components"][0]["model"] == "../models/a.rnnlm"
    monkeypatch.chdir(tmp_path)
    os.rename("models", "elsewhere")
    os.mkdir("models")
    os.rename("elsewhere/a.rnnlm", "models/a.rnnlm")
    assert load("deep/mix.json").weights.tolist() == [1]


def test_a_mixture_of_products_and_a_cache_is_one_file(tmp_path, files):
    mixture = assemble([load(path) for path in files], [1.5, 0.5], "log-linear", files=files, cache_size=9)
    path = str(tmp_path / "mix.json")
    save(mixture, path, "mixture")
    back = load(path)
    assert (back.kind, back.models[0].kind) == ("linear", "log-linear")
    assert back.models[0].weights.tolist() == [1.5, 0.5]
    assert isinstance(back.models[1], CacheLM)
    np.testing.assert_allclose(back.distribution(back.start()), mixture.distribution(mixture.start()))


def test_a_mixture_may_have_a_mixture_and_a_file_twice_is_loaded_once(tmp_path, files):
    inner = written(tmp_path / "models", mixture_of({"weight": 1, "model": "a.rnnlm"}), "inner.json")
    path = written(
        tmp_path,
        mixture_of({"weight": 0.5, "model": "models/inner.json"}, {"weight": 0.5, "model": "models/a.rnnlm"}),
    )
    mixture = load(path, dtype="float32")
    assert mixture.models[0].models[0] is mixture.models[1]
    assert mixture.models[1].config.dtype == "float32"
    assert os.path.samefile(mixture.files[0], inner)
    save(mixture, str(tmp_path / "again.json"), "mixture")
    assert peek(tmp_path / "again.json")["components"] == peek(path)["components"]


def test_a_mixture_cannot_be_part_of_itself(tmp_path, files):
    path = written(tmp_path, mixture_of({"weight": 1, "model": "models/b.json"}), "a.json")
    written(tmp_path / "models", mixture_of({"weight": 1, "model": "../a.json"}), "b.json")
    with pytest.raises(FormatError, match=r"component 1: the mixture would be part of itself \(a.json -> b.json -> a"):
        load(path)


def test_a_missing_component_is_told_with_where_it_was_looked_for(tmp_path):
    path = written(tmp_path, mixture_of({"weight": 1, "model": "gone.rnnlm"}))
    with pytest.raises(FormatError) as error:
        load(path)
    place = os.path.join(os.path.realpath(tmp_path), "gone.rnnlm")
    assert str(error.value) == f"{path}: component 1: {place}: no such file (paths are those from the mixture's folder)"


MODEL, CACHE = {"weight": 1, "model": "models/a.rnnlm"}, {"weight": 1, "cache": {"size": 3, "decay": None}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"format": "rnnlm mixture",\n "version": 1,\n "kind" "x"}', 'mix.json:3: not JSON: Expecting .* delimiter'),
        ('{"format": "rnnlm mixture", "version": NaN}', "not JSON: NaN is not a number"),
        ('{"format": "rnnlm mixture", "version": 1, "version": 1}', 'the key "version" is there twice'),
        (mixture_of(MODEL, version=2), "mixture of version 2; version 1 can be read"),
        (mixture_of(MODEL, format="other", note="rnnlm mixture"), 'not a mixture: "format" is not'),
        (mixture_of(), '"components" is not a list of components'),
        (mixture_of(MODEL, kind="cubic"), "mixture of kind cubic"),
        (mixture_of(MODEL, weigths=[1]), 'unknown key "weigths"'),
        (mixture_of(MODEL, tuned=3), '"tuned" is not an object'),
        (mixture_of(3), "component 1: not an object"),
        (mixture_of(MODEL, {"weight": 1}), 'component 2: expected "weight" and one of model, cache, neural_cache'),
        (mixture_of(MODEL | CACHE), "component 1: expected"),
        (mixture_of(MODEL | {"weight": "1"}), 'component 1: "weight" is not a number'),
        (mixture_of(MODEL | {"weight": True}), 'component 1: "weight" is not a number'),
        (mixture_of(MODEL | {"weight": -0.5}), "weight -0.5: a number from 0 to"),
        (mixture_of(MODEL | {"weight": 0.5}), "the weights sum to 0.5"),
        (mixture_of(MODEL | {"model": 3}), 'component 1: "model" is not a path'),
        (mixture_of(CACHE), "a cache needs a model beside it"),
        (mixture_of(MODEL | {"weight": 0}, {"weight": 1, "cache": {"size": 0}}), "`cache` 0"),
        (mixture_of(MODEL, {"weight": 0, "cache": {"size": 2.5}}), 'component 2: the "size" of a cache'),
        (mixture_of(MODEL, {"weight": 0, "cache": {"decay": "x"}}), 'component 2: the "decay" of a cache'),
        (mixture_of(MODEL, {"weight": 0, "cache": 500}), "component 2: expected an object"),
        (mixture_of(MODEL, {"weight": 0, "mixture": {"kind": "linear"}}), 'component 2: "components" is not a list'),
        (mixture_of(MODEL, {"weight": 0, "mixture": 3}), "component 2: not an object"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_file_is_one_line_that_names_it(tmp_path, files, content, message):
    path = written(tmp_path, content)
    with pytest.raises(FormatError, match=message) as error:
        load(path)
    assert str(error.value).startswith(path)
    assert "\n" not in str(error.value)


def test_what_cannot_be_named_cannot_be_saved(tmp_path):
    path = tmp_path / "mix.json"
    with pytest.raises(CorpusError, match="this Bigrams is not from one"):
        save(Mixture([Bigrams([b"a"])]), path, "mixture")
    with pytest.raises(CorpusError, match="not a mixture"):
        save(Bigrams([b"a"]), path, "mixture")
    assert not path.exists()
