"""Recurrent models of every kind that other programs can have, and their log probabilities after given words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from corpora.text.vocab import Vocab
from rnnlm.config import ModelConfig
from rnnlm.initial import initial_params
from rnnlm.model import RecurrentLM

WORDS = [b"</s>", b"\xff\xfe", "日本".encode(), b'"', *(b"%d" % k for k in range(4, 11))]
BY_TORCH = {  # what PyTorch has too
    "lstm": {"cell": "lstm", "layers": 2, "embedding": 4},
    "lstm, tied": {"cell": "lstm", "layers": 2, "embedding": 6, "tied": True},
    "lstm, no embedding": {"cell": "lstm"},
    "lstm, independent": {"cell": "lstm", "embedding": 4, "independent": True},
    "gru": {"cell": "gru", "layers": 2, "embedding": 4},
    "gru, no embedding": {"cell": "gru"},
    "elman": {"activation": "tanh", "embedding": 4},
    "elman, relu": {"activation": "relu", "layers": 3},
    "plain": {"activation": "tanh"},
}
BY_ONNX_ALONE = {
    "lstm, peephole": {"cell": "lstm", "peephole": True, "layers": 2, "embedding": 4},
    "gru, before": {"cell": "gru", "reset": "before", "layers": 2, "embedding": 4},
    "elman, logistic": {"layers": 2, "embedding": 4},
    "elman, elu": {"activation": "elu", "embedding": 4},
    "plain, logistic": {},
}
NETWORKS = BY_TORCH | BY_ONNX_ALONE


def every(names):
    """Parametrise a test by ``name``."""
    return pytest.mark.parametrize("name", names)


def model_of(name: str, **more) -> RecurrentLM:
    config = ModelConfig(**{"hidden": 6, "classes": 1} | NETWORKS[name] | more)
    rng = np.random.default_rng(1)
    params = initial_params(config, len(WORDS), rng, "uniform")
    for values in params.values():  # biases, too
        values[...] = rng.uniform(-0.7, 0.7, values.shape)
    if "C" in params:
        params["C"][...] = 0  # with one class nothing reads it
    lm = RecurrentLM.create(config, Vocab(WORDS, np.arange(len(WORDS), 0, -1)), params)
    lm.training, lm.history = {"tokenizer": "char"}, [{"epoch": 0, "valid_entropy": 7.25}]
    return lm


def log_probs_after(lm: RecurrentLM, ids: list[int]) -> np.ndarray:
    """(T, V) natural logarithms after each of ids (T,), none of which ends an independent sentence."""
    state = replace(lm.start(), last_word=ids[0])
    return np.log(lm.distributions(np.array([*ids[1:], 1], np.int32), state))


def assert_same(a: RecurrentLM, b: RecurrentLM) -> None:
    assert (a.config, a.training, a.history) == (b.config, b.training, b.history)
    assert a.vocab == b.vocab
    assert a.vocab.counts.tolist() == b.vocab.counts.tolist()
    assert a.params.keys() == b.params.keys()
    for name, values in a.params.items():
        assert values.dtype == b.params[name].dtype
        assert np.array_equal(values, b.params[name]), name
    assert np.array_equal(a.start().hidden, b.start().hidden)
