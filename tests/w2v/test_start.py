"""The matrices that training begins with, fresh and from older vectors."""

import numpy as np
import pytest

from corpora.errors import CorpusError
from corpora.text.vocab import Vocab
from w2v import start
from w2v.config import TrainConfig
from w2v.model import WordVectors
from w2v.texts import Text

SIZE = 5


def text_of(words, counts, rows=None):
    return Text(Vocab(words, counts), np.zeros(3, np.int32), 0, None, None if rows is None else np.array(rows))


def older(words, counts, architecture="cbow", names=("syn1neg", "syn1")):
    def block(k):
        return k + np.arange(len(words) * SIZE, dtype=np.float32).reshape(-1, SIZE)

    state = {name: block(100 * k) for k, name in enumerate(names, 1)}
    return WordVectors(words, block(0), counts, state=state, training={"config": {"architecture": architecture}})


WORDS, COUNTS = [b"</s>", b"a", b"b"], [4, 6, 2]


def test_fresh_vectors_are_drawn_as_word2vec_draws_them_and_outputs_are_zeros():
    config = TrainConfig(size=SIZE, hs=True, seed=7)
    words = [b"</s>", *(b"w%d" % i for i in range(2000))]
    matrices, taken = start.create(config, text_of(words, np.ones(2001)))
    vectors = matrices.vectors(SIZE)
    assert taken == []
    assert vectors.shape == (2001, SIZE)
    # uniform in (-0.5, 0.5) / size: its standard deviation is 1 / (size sqrt 12)
    assert np.abs(vectors).max() <= 0.5 / SIZE
    assert vectors.std() == pytest.approx(1 / SIZE / np.sqrt(12), rel=0.03)
    assert set(matrices.state(SIZE)) == {"syn1neg", "syn1"}
    assert not any(values.any() for values in matrices.state(SIZE).values())
    again, _ = start.create(config, text_of(words, np.ones(2001)))
    assert np.array_equal(vectors, again.vectors(SIZE))


def test_older_vectors_are_taken_over_and_new_words_are_drawn():
    text = text_of([b"</s>", b"new", b"b", b"a"], [4, 3, 2, 1], [0, -1, 2, 1])
    initial = older(WORDS, COUNTS)
    config = TrainConfig(size=SIZE)
    matrices, taken = start.create(config, text, initial)
    fresh, _ = start.create(config, text)
    vectors = matrices.vectors(SIZE)
    assert np.array_equal(vectors[[0, 2, 3]], initial.vectors[[0, 2, 1]])
    assert np.array_equal(vectors[1], fresh.vectors(SIZE)[1])
    assert np.array_equal(matrices.state(SIZE)["syn1neg"][[0, 2, 3]], initial.state["syn1neg"][[0, 2, 1]])
    assert not matrices.state(SIZE)["syn1neg"][1].any()
    assert taken == ["syn0", "syn1neg"]


@pytest.mark.parametrize(
    ("counts", "is_same"),
    [([8, 12, 4], True), ([4, 6, 2], True), ([4, 7, 2], False)],
)
def test_outputs_of_the_tree_are_kept_where_it_is_the_same(counts, is_same):
    config = TrainConfig(size=SIZE, hs=True, negative=0)
    initial = older(WORDS, COUNTS)
    matrices, taken = start.create(config, text_of(WORDS, counts, [0, 1, 2]), initial)
    assert ("syn1" in taken) == is_same
    assert np.array_equal(matrices.state(SIZE)["syn1"], initial.state["syn1"]) == is_same
    assert matrices.state(SIZE)["syn1"].any() == is_same


def test_outputs_of_another_architecture_are_not_taken_over():
    text = text_of(WORDS, COUNTS, [0, 1, 2])
    matrices, taken = start.create(TrainConfig(size=SIZE, architecture="skipgram"), text, older(WORDS, COUNTS))
    assert taken == ["syn0"]
    assert not matrices.state(SIZE)["syn1neg"].any()


def test_files_of_other_programs_have_no_outputs():
    initial = WordVectors(WORDS, np.ones((3, SIZE), np.float32))
    matrices, taken = start.create(TrainConfig(size=SIZE), text_of(WORDS, COUNTS, [0, 1, 2]), initial)
    assert taken == ["syn0"]
    assert (matrices.vectors(SIZE) == 1).all()


def test_vectors_of_another_size_are_refused():
    with pytest.raises(CorpusError, match="old: vectors of size 5, where `size` is 6"):
        start.require_size("old", older(WORDS, COUNTS), 6)


def test_a_run_is_restored_with_all_its_numbers():
    config = TrainConfig(size=SIZE, hs=True, dtype="float64")
    matrices = start.restore(config, older(WORDS, COUNTS))
    assert np.array_equal(matrices.vectors(SIZE), older(WORDS, COUNTS).vectors)
    for name, values in older(WORDS, COUNTS).state.items():
        assert np.array_equal(matrices.state(SIZE)[name], values)
    with pytest.raises(ValueError, match="syn1neg is missing"):
        start.restore(config, older(WORDS, COUNTS, names=("syn1",)))
