"""Training of word vectors with the real kernels on a small text of two subjects: what its tests share."""

import numpy as np
import pytest

from w2v.config import TrainConfig
from w2v.matrices import Matrices
from w2v.trainer import Trainer

SIZE = 12
OBJECTIVES = {
    "skipgram": {"architecture": "skipgram"},
    "cbow": {"architecture": "cbow"},
    "skipgram-hs": {"architecture": "skipgram", "hs": True, "negative": 0},
    "cbow-hs": {"architecture": "cbow", "hs": True, "negative": 0},
    "skipgram-both": {"architecture": "skipgram", "hs": True},
    "cbow-both": {"architecture": "cbow", "hs": True, "cbow_update": "corrected"},
    "skipgram-exact": {"architecture": "skipgram", "negatives": "exact"},
    "cbow-exact": {"architecture": "cbow", "negatives": "exact"},
}
objectives = pytest.mark.parametrize("objective", OBJECTIVES)


def read_only(ids):
    ids = np.asarray(ids, np.int32)
    ids.setflags(write=False)  # as those of a mapped file: the kernels are compiled for these
    return ids


def counts_of(ids, n_words):
    return np.bincount(ids[ids >= 0], minlength=n_words)


def text_of_two_subjects(n_sentences=600, seed=0):
    """ids: each sentence is about the even or about the odd of the words 1 ... 30; some words are unknown."""
    rng = np.random.default_rng(seed)
    parts = []
    for subject in rng.integers(2, size=n_sentences):
        words = 1 + subject + 2 * np.minimum(rng.geometric(0.15, rng.integers(3, 14)) - 1, 14)
        words[rng.random(words.size) < 0.05] = -1
        parts += [words, [0]]
    return read_only(np.concatenate(parts))


TEXT = text_of_two_subjects()
N_WORDS = 31


def config_of(objective="cbow", **options):
    return TrainConfig(**{"size": SIZE, "window": 4, "iterations": 2, "sample": 0.05} | OBJECTIVES[objective] | options)


def trainer_of(config, ids=TEXT, *, n_words=N_WORDS, seed=None, **options):
    matrices = Matrices.create(n_words, config, config.seed if seed is None else seed)
    return Trainer(config, matrices, ids, counts_of(ids, n_words), **options)


def arrays(matrices):
    return list(matrices.by_name.values())


def bytes_of(trainer):
    return [values.tobytes() for values in arrays(trainer.matrices)]


def trained(config, ids=TEXT, **options):
    trainer = trainer_of(config, ids, **options)
    reports = list(trainer.fit())
    return bytes_of(trainer), reports
