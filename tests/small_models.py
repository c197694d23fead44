"""Models and texts of a few words, on which plain Python can follow what the kernels do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from corpora.text.vocab import Vocab
from rnnlm.config import ModelConfig
from rnnlm.engines.online import Online as Engine
from rnnlm.initial import initial_params
from rnnlm.model import RecurrentLM
from tests.reference.jordan import Jordan
from tests.reference.online import Online

TWINS = {"elman": Online, "jordan": Jordan}

N_WORDS = 14


def small_vocab(n_words: int = N_WORDS, counts=None, unk: bool = False) -> Vocab:
    """</s>, <unk> where asked for, w1 w2 ...; counts fall from 3 n_words on."""
    words = [b"</s>", *(b"w%d" % i for i in range(1, n_words))]
    if unk:
        words[1] = b"<unk>"
    return Vocab(words, np.arange(n_words, 0, -1) * 3 if counts is None else counts)


def small_model(
    n_words: int = N_WORDS, *, seed: int = 1, scale: float = 3.0, counts=None, unk: bool = False, **config
) -> RecurrentLM:
    """A model with random weights, large enough that every unit matters; direct connections are random too."""
    config = ModelConfig(**{"hidden": 5, "classes": 4, "dtype": "float64"} | config)
    rng = np.random.default_rng(seed)
    # as for logistic units, whatever they are: weights of several times the size would bend too much for differences
    params = initial_params(replace(config, activation="logistic"), n_words, rng, scale=scale)
    if "D" in params:
        params["D"][:] = rng.normal(0, 0.3, config.direct)
        if config.classes == 1:  # features of classes, which the full softmax never reads
            params["D"][: config.direct // 2] = 0
    return RecurrentLM.create(config, small_vocab(n_words, counts, unk), params)


def small_text(n: int, n_words: int = N_WORDS, *, seed: int = 2, sentence: int = 7, oov: bool = False) -> np.ndarray:
    """(n,) int32: random words, an end after about every ``sentence``; with ``oov`` some are -1."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(1, n_words, n).astype(np.int32)
    ids[rng.random(n) < 1 / sentence] = 0
    if oov:
        ids[rng.random(n) < 0.15] = -1
    return ids


class Learner:
    """A model with what ``learn_stream`` needs beside it, and its twin in plain Python with the same weights."""

    def __init__(self, lm: RecurrentLM, *, bptt=4, block=10, alpha=0.1, beta=1e-7, cutoff=15.0):
        self.lm, self.dtype = lm, np.dtype(lm.config.dtype)
        self.rates = tuple(self.dtype.type(x) for x in (alpha, beta, cutoff))
        self.engine = Engine(lm, bptt, block, beta, cutoff)
        self.shape, self.state, self.scratch = self.engine.shape, self.engine.arrays, self.engine.scratch
        self.twin = TWINS[lm.config.cell](
            {name: np.array(values, np.float64) for name, values in lm.params.items()},
            lm.class_of_word,
            activation=lm.config.activation, order=lm.config.direct_order, independent=lm.config.independent,
            bptt=bptt, block=block, alpha=alpha, beta=beta, cutoff=cutoff,
        )  # fmt: skip

    def start_text(self) -> None:
        self.engine.start_text()
        self.twin.start_text()

    def learn(self, ids: np.ndarray, learn=None, cuts=()) -> np.ndarray:
        """Log probabilities from the kernel, called once for each part of ``ids`` between two cuts."""
        learn, out = learn or self.engine.kernel, []
        for part in np.split(ids, cuts):
            log_prob = np.full(part.size, np.nan)
            learn(
                self.lm.weights, self.state, self.scratch, self.shape, np.ascontiguousarray(part),
                self.lm.class_of_word, self.lm.class_start, *self.rates, log_prob,
            )  # fmt: skip
            out.append(log_prob)
        return np.concatenate(out)

    def learn_by_twin(self, ids: np.ndarray) -> np.ndarray:
        return np.array([self.twin.learn(int(word)) for word in ids])

    def parameters(self):
        """(name, the kernel's, the twin's).  The full softmax has one class, whose row nothing reads."""
        for name, twins in self.twin.p.items():
            if name != "C" or self.lm.config.classes > 1:
                yield name, self.lm.params[name], twins
