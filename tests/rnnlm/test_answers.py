"""The share of right answers, under a model whose every distribution is written here."""

from __future__ import annotations

import numpy as np
import pytest

from corpora.errors import CorpusError, FormatError
from corpora.evaluation.language_model import LanguageModel, Scored
from corpora.text.stream import encode
from corpora.text.tokenizers import get_tokenizer
from corpora.text.vocab import Vocab
from rnnlm.answers import answers

WORDS = [b"</s>", b"<unk>", b"a", b"b", b"c"]


class Table(LanguageModel):
    """Distributions by what was read; its state is that, so a line that is not begun anew would not be found."""

    def __init__(self, table, words=WORDS):
        self.vocab, self.table, self.asked = Vocab(words), table, []

    def start(self):
        return ""

    def score_ids(self, ids, state, *, entropy=False):
        words = [self.vocab.words[int(i)].decode() if i >= 0 else "?" for i in ids]
        return Scored(np.zeros(len(ids)), ids < 0), " ".join([*filter(None, [state]), *words])

    def distribution(self, state):
        self.asked.append(state)
        return np.array(self.table[state])


# what was read: P(</s>), P(<unk>), P(a), P(b), P(c)
TABLE = {
    "a b": [0.1, 0.1, 0.5, 0.1, 0.2],
    "a": [0.0, 0.0, 0.4, 0.4, 0.2],
    "b c": [0.6, 0.1, 0.1, 0.1, 0.1],
    "? b": [0.0, 0.5, 0.2, 0.1, 0.2],
    "c b": [0.125, 0.25, 0.125, 0.25, 0.25],
}


def stream_of(text, folder):
    (folder / "text").write_text(text)
    return encode([str(folder / "text")], get_tokenizer("whitespace", False))


def ask(text, folder, lm=None, **options):
    with stream_of(text, folder) as stream:
        return answers(lm or Table(TABLE), stream, **options)


def test_an_answer_is_right_if_every_other_word_is_less_probable(tmp_path):
    lm = Table(TABLE)
    found = ask("a b a\na b c\nb c a\na b a\n", tmp_path, lm)
    assert lm.asked == ["a b", "a b", "b c", "a b"]  # the words before the answer, of this line alone
    assert found.right.tolist() == [True, False, False, True]  # after "b c" the most probable word is </s>
    assert found.probability.tolist() == [0.5, 0.2, 0.1, 0.5]
    assert (len(found), found.share) == (4, 0.5)
    assert found.mean_probability == pytest.approx(1.3 / 4)
    assert not found.oov.any()


def test_of_two_words_that_are_equally_probable_neither_is_the_answer(tmp_path):
    found = ask("a a\na b\nc b c\n", tmp_path)
    assert found.right.tolist() == [False, False, False]
    assert found.probability.tolist() == [0.4, 0.4, 0.25]


def test_an_answer_outside_the_vocabulary_is_wrong_even_where_unk_is_most_probable(tmp_path):
    found = ask("zzz b yyy\nzzz b <unk>\na b zzz\n", tmp_path)
    assert found.right.tolist() == [False, True, False]
    assert found.probability.tolist() == [0.0, 0.5, 0.0]
    assert found.oov.tolist() == [True, False, True]
    assert found.share == pytest.approx(1 / 3)


def test_the_answer_may_stand_before_the_last_word(tmp_path):
    lm = Table(TABLE)
    found = ask("a b a c\nb c a zzz\n", tmp_path, lm, position=-2)
    assert lm.asked == ["a b", "b c"]
    assert found.right.tolist() == [True, False]
    assert found.probability.tolist() == [0.5, 0.1]
    assert ask("a b a c c b\n", tmp_path, position=-4).right.tolist() == [True]


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        ("a b a\nb\na b a\n", -1, "t:2: a line of 1 word; with `position` -1 it needs 2 or more"),
        ("a b a\n\n", -1, "t:2: a line of 0 words; with `position` -1 it needs 2 or more"),
        ("a b a c\na b\nc\n", -2, "t:2: a line of 2 words; with `position` -2 it needs 3 or more"),
        ("a b", -9, "t:1: a line of 2 words; with `position` -9 it needs 10 or more"),
    ],
)
def test_a_line_without_a_word_before_its_answer_is_an_error_that_names_it(text, position, message, tmp_path):
    lm = Table(TABLE)
    with pytest.raises(FormatError) as error:
        ask(text, tmp_path, lm, position=position, name="t")
    assert str(error.value) == message
    assert lm.asked == []


def test_a_position_from_the_beginning_is_refused(tmp_path):
    for position in (0, 1):
        with pytest.raises(ValueError, match=f"`position` {position}: counted from the end"):
            ask("a b a\n", tmp_path, position=position)


def test_a_model_that_diverged_and_one_without_distributions_are_refused(tmp_path):
    with pytest.raises(CorpusError, match=r"^t:2: a probability is not a number; the model diverged"):
        ask("a b a\nb c a\n", tmp_path, Table(TABLE | {"b c": [np.nan] * 5}), name="t")
    lm = Table(TABLE)
    lm.has_distributions = False
    with pytest.raises(CorpusError, match="a file of probabilities belongs to one text"):
        ask("a b a\n", tmp_path, lm)


def test_each_line_is_told(tmp_path):
    told = []
    ask("a b a\na b c\n", tmp_path, on_line=told.append)
    assert told == [1, 1]
