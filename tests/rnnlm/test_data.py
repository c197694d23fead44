"""Training and validation texts: what is held out, and what the vocabulary knows."""

import numpy as np
import pytest

import rnnlm.data
from corpora.errors import CorpusError
from corpora.text.stream import encode
from corpora.text.tokenizers import get_tokenizer
from rnnlm.data import VocabOptions, hold_out, read_texts, same_text


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(rnnlm.data, "_BLOCK", 64)


@pytest.fixture
def text(tmp_path, monkeypatch):
    """300 lines of words whose frequencies fall, some lines empty, one <unk> in the text itself."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(3)
    lines = [b" ".join(b"w%d" % min(w, 60) for w in rng.zipf(1.5, rng.integers(0, 9))) for _ in range(299)]
    (tmp_path / "text").write_bytes(b"".join(line + b"\n" for line in [*lines, b"w1 <unk> w2"]))
    return tmp_path / "text"


def lines_of(ids, vocab):
    words = vocab.words
    text = b" ".join(words[k] if k >= 0 else b"?" for k in ids.tolist())
    assert text.endswith(b"</s>")
    return [line.strip() for line in text.split(b"</s>")][:-1]


def read(*arguments, **options):
    return read_texts(["text"], *arguments, VocabOptions(), **options)


def test_every_sentence_is_either_trained_on_or_held_out_in_its_order(text):
    with encode(["text"], get_tokenizer()) as stream:
        kept, held, n = hold_out(stream, 0.2, 1)
        trained, out = (lines_of(spool.array(), stream.vocab) for spool in (kept, held))
    original = text.read_bytes().splitlines()
    assert (n, len(out), len(trained)) == (60, 60, 240)
    # order: each is a subsequence of the text, and together they are it
    rest = list(original)
    for lines in (trained, out):
        remaining = iter(original)
        assert all(line in remaining for line in lines)
    for line in trained + out:
        rest.remove(line)
    assert rest == []


def test_the_draw_is_the_seeds(text):
    def held(seed):
        with encode(["text"], get_tokenizer()) as stream:
            return hold_out(stream, 0.2, seed)[1].array().tolist()

    assert held(1) == held(1)
    assert held(1) != held(2)


def test_at_least_one_sentence_is_held_out_and_one_is_left(tmp_path):
    path = tmp_path / "two"
    path.write_bytes(b"a b\nc d\n")
    texts = read_texts([str(path)], [], VocabOptions(), share=0.01)
    assert texts.held_out == 1
    assert texts.train.size == 3
    path.write_bytes(b"a b\n")
    with pytest.raises(CorpusError, match="1 sentence is too few to hold some out for validation; give `valid`"):
        read_texts([str(path)], [], VocabOptions())


@pytest.mark.parametrize(("order", "keep_oov"), [("first", False), ("rnnlm", True)])
@pytest.mark.parametrize("limits", [{}, {"min_count": 3}, {"max_size": 12}, {"min_count": 2, "max_size": 30}], ids=str)
def test_the_vocabulary_is_that_of_the_training_part_read_alone(text, tmp_path, order, keep_oov, limits):
    options = VocabOptions(order=order, **limits)
    with encode(["text"], get_tokenizer()) as stream:
        spools = hold_out(stream, 0.2, 1)[:2]
        for spool, name in zip(spools, ("kept", "held"), strict=True):
            lines = lines_of(spool.array(), stream.vocab)
            (tmp_path / name).write_bytes(b"".join(line + b"\n" for line in lines))
    split = read_texts(["text"], [], options, share=0.2, seed=1, keep_oov=keep_oov)
    given = read_texts(["kept"], ["held"], options, keep_oov=keep_oov)
    assert list(split.vocab.words) == list(given.vocab.words)
    assert split.vocab.counts.tolist() == given.vocab.counts.tolist()
    assert split.train.tolist() == given.train.tolist()
    assert split.valid.tolist() == given.valid.tolist()
    if b"<unk>" not in split.vocab:
        assert (split.valid == -1).sum() > 0
    assert (split.held_out, given.held_out) == (60, 0)


def test_a_word_that_only_validation_has_is_unk_or_minus_1(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text").write_bytes(b"a a b\n" * 5)
    (tmp_path / "valid").write_bytes(b"a new b\n")
    assert read(["valid"]).valid.tolist() == [1, -1, 2, 0]
    with_unk = read_texts(["text"], ["valid"], VocabOptions(min_count=6))
    assert list(with_unk.vocab.words) == [b"</s>", b"a", b"<unk>"]
    assert with_unk.valid.tolist() == [1, 2, 2, 0]
    # 0.4b has no unknown word
    assert read_texts(["text"], ["valid"], VocabOptions(min_count=6), keep_oov=True).valid.tolist() == [1, -1, -1, 0]


def test_a_given_list_keeps_its_order_and_gets_the_counts_of_the_training_part(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text").write_bytes(b"a a b c\n" * 10)
    (tmp_path / "list").write_bytes(b"b 999\nzebra 5\na 7\n")
    for valid, n in ((["text"], 10), ([], 9)):
        texts = read_texts(["text"], valid, VocabOptions(file="list"), share=0.1)
        assert list(texts.vocab.words) == [b"</s>", b"b", b"zebra", b"a"]
        assert texts.vocab.counts.tolist() == [n, n, 0, 2 * n]
        assert (texts.train == -1).sum() == n
        assert texts.unknown_share(texts.train) == pytest.approx(0.2)


def test_a_text_without_a_known_word_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text").write_bytes(b"a a b c\n" * 10)
    (tmp_path / "list").write_bytes(b"d\ne\n")
    with pytest.raises(CorpusError, match=r"list: none of its words is in the training text \(text\)"):
        read_texts(["text"], ["text"], VocabOptions(file="list"))
    with pytest.raises(CorpusError, match="no word is left in the vocabulary after `min_count` 99"):
        read_texts(["text"], [], VocabOptions(min_count=99))


def test_unknown_words_are_counted_in_either_form(text):
    texts = read_texts(["text"], [], VocabOptions(min_count=5), share=0.3)
    unk = texts.vocab.unk_id
    assert unk > 0
    for ids in (texts.train, texts.valid):
        assert texts.unknown_share(ids) == pytest.approx(np.isin(ids, (-1, unk)).mean())


def test_the_tokenizer_is_a_spec(tmp_path):
    (tmp_path / "text").write_bytes(b"Well, WELL.\n" * 5)
    texts = read_texts([str(tmp_path / "text")], [], VocabOptions(), "word+lower", share=0.2)
    assert list(texts.vocab.words) == [b"</s>", b"well", b",", b"."]


def test_a_validation_text_that_is_the_training_text_is_noticed(text, tmp_path):
    (tmp_path / "copy").write_bytes(text.read_bytes())
    (tmp_path / "other").write_bytes(b"w1 w2\n")
    for valid, expected in (("text", True), ("./text", True), ("copy", True), ("other", False)):
        assert same_text(["text"], [valid], read([valid])) is expected
    assert same_text(["other", "text"], ["text"], read(["text"]))


def test_closing_gives_everything_back(text):
    for valid in ([], ["text"]):
        texts = read(valid)
        texts.close()
        assert texts.train is None
        assert texts.valid is None
