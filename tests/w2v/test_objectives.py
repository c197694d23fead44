"""The registry of objectives: one that is registered is trained, also on inputs of several rows for each word."""

import numpy as np
import pytest

from tests.two_subjects import N_WORDS, SIZE, TEXT, config_of, counts_of, trainer_of
from w2v import objectives
from w2v.config import TrainConfig
from w2v.matrices import Matrices
from w2v.objectives.objective import WORDS, Inputs, Objective
from w2v.trainer import Trainer

pytestmark = pytest.mark.usefixtures("small_table")


class Counting(Objective):
    """Adds 1 to the rows of syn0 of each word that is kept, and to the word's row of its own matrix."""

    matrix = "counts"
    takes_inputs = True

    def is_chosen(self, config):
        return True

    def learner(self, config, n_words, tables, threads):
        return self

    def train(self, sampled, alpha, inputs, syn0, targets, tables, totals):
        for word in sampled.kept[: sampled.n]:
            syn0[inputs.of(word), 0] += 1
            targets[word, 0] += 1
        totals += 0.5 * sampled.n, sampled.n


@pytest.fixture
def counting(monkeypatch):
    monkeypatch.setattr(objectives, "OBJECTIVES", {"counting": Counting()})


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({}, ["shared"]),
        ({"negatives": "exact"}, ["exact"]),
        ({"hs": True, "negative": 0}, ["hierarchical"]),
        ({"hs": True}, ["shared", "hierarchical"]),
        ({"hs": True, "negative": 0, "negatives": "exact"}, ["hierarchical"]),
    ],
)
def test_the_settings_choose(settings, names):
    assert list(objectives.chosen(TrainConfig(**settings))) == names


@pytest.mark.parametrize("deterministic", [False, True])
def test_one_that_is_registered_has_its_matrix_and_learns(counting, deterministic):
    trainer = trainer_of(config_of(sample=0, iterations=1, deterministic=deterministic))
    before = trainer.matrices.syn0[:, 0].copy()
    (report,) = trainer.fit()
    words = np.bincount(TEXT[TEXT > 0], minlength=N_WORDS)
    assert (report.examples, report.loss) == (words.sum(), 0.5)
    assert set(trainer.matrices.outputs) == {"counts"}
    if not deterministic:  # whose copies are weighted when they are brought together
        np.testing.assert_array_equal(trainer.matrices.outputs["counts"][:, 0], words)
        np.testing.assert_allclose(trainer.matrices.syn0[:, 0] - before, words, atol=1e-3)


def test_a_word_learns_with_all_rows_that_are_its_input(counting):
    # word w has its own row and one of three that words share: N_WORDS + w % 3
    words = np.arange(N_WORDS)
    inputs = Inputs(2 * np.arange(N_WORDS + 1), np.stack([words, N_WORDS + words % 3], axis=1).ravel().astype(np.int32))
    config = config_of(sample=0, iterations=1)
    matrices = Matrices.create(N_WORDS, config, 1, inputs)
    assert matrices.vectors(SIZE).shape == (N_WORDS + 3, SIZE)
    before = matrices.syn0[:, 0].copy()
    list(Trainer(config, matrices, TEXT, counts_of(TEXT, N_WORDS), inputs=inputs).fit())
    often = np.bincount(TEXT[TEXT > 0], minlength=N_WORDS)
    shared = [often[k::3].sum() for k in range(3)]
    np.testing.assert_allclose(matrices.syn0[:, 0] - before, [*often, *shared], atol=1e-3)


def test_plain_words_have_no_map():
    assert WORDS.are_words
    assert WORDS.n_rows(7) == 7
    assert WORDS.of(3).tolist() == [3]


@pytest.mark.parametrize("name", ["cbow", "skipgram-hs", "cbow-exact"])
def test_objectives_that_know_words_only_refuse_other_inputs(name):
    inputs = Inputs(np.arange(N_WORDS + 1), np.arange(N_WORDS, dtype=np.int32))
    config = config_of(name)
    with pytest.raises(ValueError, match="learn from words"):
        Trainer(config, Matrices.create(N_WORDS, config, 1), TEXT, counts_of(TEXT, N_WORDS), inputs=inputs)
