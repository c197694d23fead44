"""Vocabularies: order, min-count, look-up, arrays and list files."""

import io
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.errors import CorpusError, FormatError
from corpora.text.vocab import EOS, UNK, Vocab, WordList
from corpora.text.vocab_order import selection_order, sorted_order
from tests.golden_files import GOLDEN

WORDS = [b"b", b"a", EOS, b"c", b"d"]

texts = st.lists(st.sampled_from([b"a", b"b", b"c", b"d", b"e", b"f", UNK, EOS, b"\x00", b"\xff"]), min_size=1)


def selection_sort(counts):
    """rnnlm 0.4b's sort, step by step: swap the first of the largest to the front."""
    standing = list(range(len(counts)))
    for a in range(len(standing)):
        best = max(range(a, len(standing)), key=lambda i: (counts[standing[i]], -i))
        standing[a], standing[best] = standing[best], standing[a]
    return standing


def vocab_of(tokens, **options) -> Vocab:
    counts = Counter(tokens)  # keys in order of first appearance
    return Vocab.from_counts(list(counts), list(counts.values()), **options)


@given(st.lists(st.integers(0, 6), max_size=40))
def test_selection_order_is_the_selection_sort(counts):
    assert selection_order(np.array(counts, np.int64)).tolist() == selection_sort(counts)


@given(st.lists(st.one_of(st.integers(0, 5), st.integers(0xFFFE, 0x10001), st.integers(0, 2**62)), max_size=40))
def test_sorted_order_is_stable(counts):
    assert sorted_order(np.array(counts, np.int64)).tolist() == sorted(range(len(counts)), key=lambda i: -counts[i])


def test_ties_stay_in_order_of_first_appearance_and_the_sentence_end_comes_first():
    vocab = Vocab.from_counts(WORDS, [1, 2, 1, 2, 1])
    assert list(vocab.words) == [EOS, b"a", b"c", b"b", b"d"]
    assert vocab.counts.tolist() == [1, 2, 2, 1, 1]


def test_ties_of_rnnlm_by_hand():
    # counts 1 2 2 1: the first 2 is swapped with b, which falls behind it; the next 2 with b again
    vocab = Vocab.from_counts([b"b", b"d", b"a", b"c"], [1, 1, 2, 2], order="rnnlm")
    assert list(vocab.words) == [EOS, b"a", b"c", b"b", b"d"]
    # 1 3 1 2: 3 <-> 1 gives 3 1 1 2; 2 <-> the first 1 gives 3 2 1 1, with that one last
    vocab = Vocab.from_counts([b"w", b"x", b"y", b"z"], [1, 3, 1, 2], order="rnnlm")
    assert list(vocab.words) == [EOS, b"x", b"z", b"y", b"w"]


@given(texts, st.integers(1, 4), st.sampled_from(["first", "rnnlm"]))
def test_min_count_is_the_vocabulary_of_the_text_with_unk_in_the_rare_words_places(tokens, min_count, order):
    counts = Counter(tokens)
    replaced = [word if counts[word] >= min_count or word in (EOS, UNK) else UNK for word in tokens]
    if replaced != tokens and not set(replaced) - {EOS, UNK}:
        with pytest.raises(CorpusError, match="no word is left"):
            vocab_of(tokens, min_count=min_count, order=order)
        return
    vocab, expected = vocab_of(tokens, min_count=min_count, order=order), vocab_of(replaced, order=order)
    assert list(vocab.words) == list(expected.words)
    assert vocab.counts.tolist() == expected.counts.tolist()
    assert vocab.total == len(tokens)


@given(texts, st.integers(3, 9), st.sampled_from(["first", "rnnlm"]))
def test_max_size_keeps_the_most_frequent_words(tokens, max_size, order):
    everything = vocab_of(tokens, order=order)
    vocab = vocab_of(tokens, max_size=max_size, order=order)
    assert vocab.total == len(tokens)
    if len(everything) <= max_size:
        assert list(vocab.words) == list(everything.words)
        return
    assert len(vocab) == max_size
    kept = [count for word, count in zip(vocab.words, vocab.counts, strict=True) if word not in (EOS, UNK)]
    ranked = [c for word, c in zip(everything.words, everything.counts, strict=True) if word not in (EOS, UNK)]
    assert kept == ranked[: max_size - 2]
    assert vocab.counts[vocab.unk_id] == sum(ranked[max_size - 2 :]) + Counter(tokens)[UNK]


@given(texts, st.integers(1, 4), st.one_of(st.none(), st.integers(2, 9)), st.sampled_from(["first", "rnnlm"]))
def test_rare_words_that_are_dropped_leave_the_rest_as_it_was(tokens, min_count, max_size, order):
    everything = Counter(tokens)
    ranked = [(word, n) for word, n in everything.most_common() if word != EOS and n >= min_count]
    ranked = ranked[: None if max_size is None else max_size - 1]
    if not ranked and set(tokens) - {EOS}:
        with pytest.raises(CorpusError, match="no word is left"):
            vocab_of(tokens, min_count=min_count, max_size=max_size, order=order, rare="drop")
        return
    vocab = vocab_of(tokens, min_count=min_count, max_size=max_size, order=order, rare="drop")
    assert vocab.words[0] == EOS
    assert vocab.counts[0] == everything[EOS]
    if order == "first":
        assert list(vocab.words[1:]) == [word for word, _ in ranked]  # a literal <unk> among them
    assert vocab.counts[1:].tolist() == [n for _, n in ranked]


def test_new_ids_of_dropped_words_by_hand():
    words = WordList.of([b"r", UNK, EOS, b"a", b"s"])
    vocab, new_id = Vocab.arrange(words, [1, 2, 5, 3, 1], min_count=2, rare="drop")
    assert list(vocab.words) == [EOS, b"a", UNK]
    assert new_id.tolist() == [-1, 2, 0, 1, -1]
    assert new_id.dtype == np.int32
    vocab, new_id = Vocab.arrange(words, [1, 2, 5, 3, 1], max_size=2, rare="drop")
    assert list(vocab.words) == [EOS, b"a"]
    assert new_id.tolist() == [-1, -1, 0, 1, -1]
    # a tie at the limit: the word that appeared first stays
    vocab, new_id = Vocab.arrange(words, [1, 2, 5, 3, 1], max_size=4, rare="drop")
    assert list(vocab.words) == [EOS, b"a", UNK, b"r"]
    assert new_id.tolist() == [3, 2, 0, 1, -1]


def test_dropping_needs_room_for_a_word_and_has_two_names():
    with pytest.raises(CorpusError, match=r"`max_vocab` 1: at least 2 \(</s> and a word\)"):
        Vocab.from_counts(WORDS, [1] * 5, max_size=1, rare="drop")
    with pytest.raises(ValueError, match="one of unk, drop"):
        Vocab.from_counts(WORDS, [1] * 5, rare="keep")


def test_a_vocabulary_with_room_for_no_word_is_refused():
    with pytest.raises(CorpusError, match="at least 3"):
        Vocab.from_counts(WORDS, [1] * 5, max_size=2)
    with pytest.raises(CorpusError, match="`min_count` 9"):
        Vocab.from_counts(WORDS, [1] * 5, min_count=9)


def test_look_up_takes_bytes_and_text():
    vocab = Vocab([EOS, "wörd".encode(), b"\xff", UNK])
    assert vocab.index("wörd") == vocab.index("wörd".encode()) == 1
    assert vocab.index("\udcff") == vocab.index(b"\xff") == 2
    assert vocab.index("nothing") == -1
    assert b"\xff" in vocab
    assert "" not in vocab
    ids = vocab.ids(["wörd", b"x", EOS, "<unk>"])
    assert ids.dtype == np.int32
    assert ids.tolist() == [1, -1, 0, 3]
    assert vocab.unk_id == 3
    assert Vocab([EOS, b"<unk>."]).unk_id == -1


def test_words_are_a_sequence():
    words = Vocab([EOS, b"a", b"b"]).words
    assert words[0] == EOS
    assert words[-1] == b"b"
    assert words[1:] == [b"a", b"b"]
    assert len(words) == len(list(words)) == 3
    with pytest.raises(IndexError):
        words[3]


def test_arrays_are_not_copied_and_those_that_do_not_fit_are_refused():
    vocab = Vocab([EOS, b"a", b"bc"], [1, 2, 3])
    blob, offsets = vocab.to_arrays()
    again = Vocab.from_arrays(blob, offsets, vocab.counts)
    assert list(again.words) == [EOS, b"a", b"bc"]
    assert np.shares_memory(again.to_arrays()[0], blob)
    for bad in ([0, 4, 5, 8], [1, 4, 5, 7], [0, 5, 4, 7], [0, 4, 4, 7], [0]):
        with pytest.raises(ValueError, match="vocabulary"):
            Vocab.from_arrays(blob, np.array(bad), vocab.counts)
    with pytest.raises(ValueError, match="counts"):
        Vocab.from_arrays(blob, offsets, vocab.counts[:2])


@pytest.mark.parametrize("words", [[], [b"a", EOS]])
def test_a_vocabulary_begins_with_the_sentence_end(words):
    with pytest.raises(ValueError, match="</s>"):
        Vocab(words)


def test_a_word_that_is_there_twice_is_found_at_look_up():
    with pytest.raises(FormatError, match="the word a is there twice"):
        Vocab([EOS, b"a", b"a"]).index(b"a")


@pytest.mark.parametrize("form", ["word2vec", "srilm"])
def test_what_is_written_is_read_again(tmp_path, form):
    vocab = Vocab([EOS, b"a\x00", b"\xff", b"123"], [9, 3, 2, 1])
    with (tmp_path / "v").open("wb") as file:
        vocab.write(file, form)
    again = Vocab.read(str(tmp_path / "v"))
    assert again == vocab
    assert again.counts.tolist() == ([9, 3, 2, 1] if form == "word2vec" else [0, 0, 0, 0])


def test_forms_by_hand():
    vocab, file = Vocab([EOS, b"a"], [2, 1]), io.BytesIO()
    vocab.write(file)
    assert file.getvalue() == b"</s> 2\na 1\n"
    with pytest.raises(ValueError, match="one of word2vec, srilm"):
        vocab.write(file, "arpa")


def test_a_list_without_a_sentence_end_gets_one_in_front(tmp_path):
    (tmp_path / "v").write_bytes(b"b\t5\r\n\n<unk> 3\n</s> 7\n")
    vocab = Vocab.read(str(tmp_path / "v"))
    assert list(vocab.words) == [EOS, b"b", UNK]
    assert vocab.counts.tolist() == [7, 5, 3]
    (tmp_path / "v").write_bytes(b"b")
    assert list(Vocab.read(str(tmp_path / "v")).words) == [EOS, b"b"]


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        (b"a 1\nb x\n", 2, 'expected a count after the word, found "x"'),
        (b"a 1\nb -1\n", 2, 'found "-1"'),
        (b"a 1\nb 9223372036854775808\n", 2, "expected a count"),
        (b"a 1\nb\n", 2, 'expected "word count" a line, found 1 fields'),
        (b"a\nb 1\n", 2, "expected one word a line, found 2 fields"),
        (b"a b 1\n", 1, "found 3 fields"),
        (b"a 1\n\na 2\n", 3, "the word a is there twice"),
        (b"\n \n", None, "no words"),
        (b"", None, "no words"),
    ],
)
def test_bad_lists_are_refused_with_the_line(tmp_path, text, line, reason):
    path = tmp_path / "v"
    path.write_bytes(text)
    with pytest.raises(FormatError) as error:
        Vocab.read(str(path))
    assert error.value.line == line
    assert reason in str(error.value)


def test_the_vocabulary_file_of_word2vec():
    path = GOLDEN / "word2vec" / "vocab.txt"
    vocab = Vocab.read(str(path))
    counts = Counter((GOLDEN / "toy" / "train.txt").read_bytes().split())
    assert vocab.words[0] == EOS
    assert vocab.counts.tolist()[1:] == [counts[word] for word in vocab.words[1:]]


@pytest.mark.parametrize("offsets", [[0, 4, 4, 6], [0, 5, 4, 6], [0, 1 << 62, -(1 << 62) - 2, 6], [0, 4, 5, 7]])
def test_offsets_must_rise_even_where_their_differences_would_wrap_around(offsets):
    blob = np.frombuffer(b"</s>ab", np.uint8)
    with pytest.raises(ValueError, match="the offsets do not fit the words"):
        Vocab.from_arrays(blob, np.array(offsets), np.zeros(3, np.int64))


@pytest.mark.parametrize(
    ("counts", "reason"), [([1, -1], "a count is below 0"), ([1 << 61, 1 << 61], "add up to more than 2")]
)
def test_counts_whose_sum_would_wrap_around_are_refused(counts, reason):
    with pytest.raises(ValueError, match=reason):
        Vocab([b"</s>", b"a"], counts)
