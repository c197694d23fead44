"""Tokenizers: what becomes a token, and that nothing is lost."""

import importlib.util
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.errors import CorpusError
from corpora.text.tokenizers import TOKENIZERS, from_spec, get_tokenizer, japanese, word
from corpora.text.tokenizers.char import SPACE

needs_fugashi = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("fugashi", "unidic_lite"))), reason="the extra `ja` is not installed"
)
names = [name if name != "japanese" else pytest.param(name, marks=needs_fugashi) for name in TOKENIZERS]


def split(name: str, text: str, lower: bool = False) -> list[str]:
    return get_tokenizer(name, lower).split(text.encode()).decode().split(" ")


@given(st.binary())
def test_whitespace_is_the_identity_on_any_bytes(text):
    assert get_tokenizer().split(text) is text


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Don't stop.", "Don't stop ."),
        ("the well-known ‘dogs’ teeth, it’s", "the well-known ‘ dogs ’ teeth , it’s"),
        ('"Quoted" (1,234.5%)', '" Quoted " ( 1,234.5 % )'),
        ("end.Next a.b 3.x", "end . Next a . b 3 . x"),
        ("--dash-- -5", "- - dash - - - 5"),
        ("naïve cafe\u0301 हिन्दी", "naïve cafe\u0301 हिन्दी"),  # combining marks belong to their words
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("日本、語。", "日本 、 語 。"),
        ("a\u00a0b\u3000c\td", "a b c d"),
        ("x<unk>y </s> <s> <S>", "x <unk> y </s> <s> < S >"),
        ("snake_case #1 @x", "snake_case # 1 @ x"),
        ("😀👍", "😀 👍"),
    ],
)
def test_words(text, tokens):
    assert split("word", text) == tokens.split(" ")


def test_marks_are_all_that_unicode_has():
    pattern = word._word_patterns()[0]
    marks = [chr(code) for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code))[0] == "M"]
    assert all(pattern.fullmatch("a" + mark + "b") for mark in marks)


def test_a_line_of_ascii_has_the_same_words_beside_one_that_is_not():
    general, ascii_only = word._word_patterns()
    text = "".join(map(chr, range(128))) * 2 + "a-b 3.14,15 it's <unk></s><s>"
    assert general.findall(text) == ascii_only.findall(text)


def test_bytes_that_are_not_utf8_are_letters_of_words_and_characters_by_themselves():
    text = b"caf\xe9 \xff\xfe. a\x00b\n"
    assert get_tokenizer("word").split(text) == b"caf\xe9 \xff\xfe . a \x00 b\n"
    assert get_tokenizer("char").split(b"\xe9\xffa\x00\n") == b"\xe9 \xff a \x00\n"


def test_lower_case_is_of_the_text_and_literals_stay():
    assert split("word", "Ärger <unk> ÉTÉ", lower=True) == ["ärger", "<unk>", "été"]
    assert get_tokenizer("whitespace", lower=True).split("ÄB \tc\xa0\n".encode()) == "äb \tc\xa0\n".encode()


def test_characters_with_spaces_shown():
    assert split("char", "ab c\t日<s>") == ["a", "b", "▁", "c", "▁", "日", "<", "s", ">"]


@pytest.mark.parametrize("name", names)
@given(text=st.text(st.sampled_from("ab' -.1日本語。 \t\x00ा\udcff<s>/\x0b\u2028\x85")))
def test_lines_stay_lines_and_no_character_but_space_is_lost(name, text):
    tokenizer = get_tokenizer(name)
    given_text = f"{text}\n\n{text}"
    result = tokenizer.split(given_text.encode("utf-8", "surrogateescape"))
    assert result.count(b"\n") == 2
    decoded = result.decode("utf-8", "surrogateescape").replace(SPACE, "")
    assert "".join(decoded.split()) == "".join(given_text.split())
    if name != "whitespace":
        assert b"  " not in result
        assert not any(line.startswith(b" ") or line.endswith(b" ") for line in result.split(b"\n"))


@pytest.mark.parametrize("name", names)
@pytest.mark.parametrize("lower", [False, True])
def test_spec_names_a_tokenizer(name, lower):
    tokenizer = from_spec(get_tokenizer(name, lower).spec)
    assert (tokenizer.name, tokenizer.lower) == (name, lower)


def test_unknown_names_are_refused_with_the_known_ones():
    with pytest.raises(CorpusError, match="one of whitespace, word, char, japanese"):
        get_tokenizer("words")
    with pytest.raises(CorpusError, match=r'"word\+upper"'):
        from_spec("word+upper")


@pytest.mark.parametrize(
    ("name", "words", "text"),
    [
        ("whitespace", "a b . \xff", "a b . \xff"),
        ("word", 'He said , " no ! " ( 5 % ) .', 'He said, "no!" (5%).'),
        ("char", "a ▁ b", "a b"),
        pytest.param("japanese", "吾輩 は Python 3 で ある", "吾輩はPython 3である", marks=needs_fugashi),
    ],
)
def test_join_makes_readable_text(name, words, text):
    assert get_tokenizer(name).join([word.encode() for word in words.split(" ")]) == text
    assert get_tokenizer(name).join([]) == ""
    assert get_tokenizer(name).join([b"\xff"]) == "\ufffd"


@needs_fugashi
def test_japanese_words():
    assert split("japanese", "吾輩は猫である。<unk>") == ["吾輩", "は", "猫", "で", "ある", "。", "<unk>"]


@needs_fugashi
def test_a_long_japanese_line_is_cut_between_sentences_and_kept_whole():
    sentence = "吾輩は猫である。"
    assert split("japanese", sentence * 5000) == split("japanese", sentence) * 5000
    unbroken = "猫" * 40_000
    assert "".join(split("japanese", unbroken)) == unbroken


def test_without_fugashi_one_line_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "fugashi", None)
    japanese._mecab.cache_clear()
    with pytest.raises(CorpusError, match="pip install fugashi unidic-lite"):
        get_tokenizer("japanese")
    japanese._mecab.cache_clear()
