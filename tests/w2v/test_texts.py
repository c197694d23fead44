"""Which words are trained, in which order, with which counts; and the ids of a text for them."""

import numpy as np
import pytest

from corpora.errors import CorpusError
from corpora.text.vocab import Vocab
from w2v.model import WordVectors
from w2v.texts import VocabOptions, read_text

TEXT = b"a b a c\nb a d a <unk>\n\nc b e\n"  # a 4, b 3, c 2, </s> 4, the others once


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text").write_bytes(TEXT)
    return tmp_path


def words_of(text):
    return dict(zip(text.vocab.words, text.vocab.counts.tolist(), strict=True))


def decoded(text):
    """The text that the ids mean, ? for words that are not trained."""
    words = [*text.vocab.words, b"?"]
    return b" ".join(words[i] for i in text.ids.tolist())


def vectors_of(words, counts=None):
    values = np.arange(2 * len(words), dtype=np.float32).reshape(-1, 2)
    return WordVectors(words, values, counts)


def test_rare_words_are_left_out_and_nothing_stands_for_them():
    with read_text(["text"], options=VocabOptions(min_count=2)) as text:
        assert list(words_of(text).items()) == [(b"</s>", 4), (b"a", 4), (b"b", 3), (b"c", 2)]
        assert decoded(text) == b"a b a c </s> b a ? a ? </s> </s> c b ? </s>"
        assert text.n_unknown == 3
        assert text.rows is None


def test_the_literal_unk_is_a_word_like_others():
    with read_text(["text"], options=VocabOptions(min_count=1)) as text:
        assert words_of(text)[b"<unk>"] == 1
        assert text.n_unknown == 0


def test_a_vocabulary_may_be_limited_to_the_most_frequent_words():
    with read_text(["text"], options=VocabOptions(min_count=1, max_size=3)) as text:
        assert list(text.vocab.words) == [b"</s>", b"a", b"b"]
        assert text.n_unknown == 5


# ---- a list of words


def test_a_list_with_counts_is_used_as_it_is_and_sorted(folder):
    (folder / "list").write_bytes(b"c 50\na 7\nnever 9\nb 3\n</s> 1\n")
    with read_text(["text"], options=VocabOptions("list", min_count=5)) as text:
        # as word2vec.c: sorted, and the minimum is that of the list's counts
        assert list(words_of(text).items()) == [(b"</s>", 1), (b"c", 50), (b"never", 9), (b"a", 7)]
        assert decoded(text) == b"a ? a c </s> ? a ? a ? </s> </s> c ? ? </s>"
        assert text.n_unknown == 6


def test_words_of_a_list_without_counts_are_counted_in_the_text(folder):
    (folder / "list").write_bytes(b"c\nnever\na\nb\n")
    with read_text(["text"], options=VocabOptions("list", min_count=2)) as text:
        assert list(words_of(text).items()) == [(b"</s>", 4), (b"a", 4), (b"b", 3), (b"c", 2)]


# ---- older vectors


def test_the_words_of_older_vectors_are_trained_and_no_others():
    old = vectors_of([b"x", b"b", b"</s>", b"a"])
    with read_text(["text"], initial=old) as text:
        assert list(words_of(text).items()) == [(b"</s>", 4), (b"a", 4), (b"b", 3), (b"x", 0)]
        assert text.rows.tolist() == [2, 3, 1, 0]
        assert decoded(text) == b"a b a ? </s> b a ? a ? </s> </s> ? b ? </s>"


def test_counts_of_older_vectors_and_of_the_text_are_added():
    old = vectors_of([b"</s>", b"x", b"b", b"a"], [10, 6, 5, 1])
    with read_text(["text"], initial=old) as text:
        assert list(words_of(text).items()) == [(b"</s>", 14), (b"b", 8), (b"x", 6), (b"a", 5)]


@pytest.mark.parametrize("eos", [[b"</s>"], []], ids=["with </s>", "without"])
def test_a_vocabulary_grows_by_the_frequent_words_that_are_new(eos):
    old = vectors_of([*eos, b"d", b"b"])
    with read_text(["text"], options=VocabOptions(min_count=2, grow=True), initial=old) as text:
        # d is old, however rare; a and c are new; e and <unk> are too rare
        assert list(words_of(text).items()) == [(b"</s>", 4), (b"a", 4), (b"b", 3), (b"c", 2), (b"d", 1)]
        first = len(eos)
        assert text.rows.tolist() == [0 if eos else -1, -1, first + 1, -1, first]
        assert decoded(text) == b"a b a c </s> b a d a ? </s> </s> c b ? </s>"
        assert text.n_unknown == 2


def test_a_growing_vocabulary_may_be_limited():
    old = vectors_of([b"</s>", b"d", b"b"])
    with read_text(["text"], options=VocabOptions(min_count=2, max_size=4, grow=True), initial=old) as text:
        assert sorted(text.vocab.words) == [b"</s>", b"a", b"b", b"d"]


# ---- texts of interrupted runs, large texts, texts without use


def test_a_known_vocabulary_is_taken_as_it_is():
    known = Vocab([b"</s>", b"c", b"a"], [1, 2, 3])
    with read_text(["text"], known=known) as text:
        assert words_of(text) == {b"</s>": 1, b"c": 2, b"a": 3}
        assert decoded(text) == b"a ? a c </s> ? a ? a ? </s> </s> c ? ? </s>"


@pytest.mark.parametrize("options", [VocabOptions("list", 1), VocabOptions(min_count=2)])
def test_ids_that_are_kept_in_a_file_are_the_same(folder, options):
    (folder / "list").write_bytes(b"c\na\n")
    with read_text(["text"], options=options) as small, read_text(["text"], options=options, memory_limit=8) as large:
        assert isinstance(large.ids, np.memmap)
        assert np.array_equal(small.ids, large.ids)
        assert large.bytes_in_memory == 0 < small.bytes_in_memory


@pytest.mark.parametrize(
    ("content", "options", "reason"),
    [
        (b"a a a\n", VocabOptions(min_count=1), "text: 1 word is left to train, at least 2 are needed"),
        (b"a a b\n", VocabOptions(min_count=3), "no word is left in the vocabulary after `min_count` 3"),
        (b"a a b\n", VocabOptions("list", 1), "text: none of the words to train is in this text"),
        (b"a a b\n", VocabOptions("list", 9), "list: 0 words are left to train"),
        (b"\n\n", VocabOptions(min_count=1), "text"),
    ],
)
def test_a_text_without_two_words_to_train_is_refused(folder, content, options, reason):
    (folder / "text").write_bytes(content)
    (folder / "list").write_bytes(b"x 5\ny 5\n")
    with pytest.raises(CorpusError, match=reason):
        read_text(["text"], options=options)
