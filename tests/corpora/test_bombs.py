"""A few hundred compressed bytes that become gigabytes: one line, and little memory, whatever they are given for."""

import bz2
import importlib
import struct
import tracemalloc

import pytest

from corpora.errors import CorpusError
from corpora.text.inputs import LONGEST, read_words
from corpora.text.stream import encode
from corpora.text.tokenizers import get_tokenizer
from corpora.text.vocab import Vocab

MANY = 2000  # times half a mebibyte: nobody reads so far
MEBIBYTE = 1 << 20


def bomb(path, head: bytes, filling: bytes) -> str:
    """A small file that becomes ``head`` and a gigabyte of ``filling``."""
    block = bz2.compress(filling * (MEBIBYTE // 2 // len(filling)))
    path.write_bytes(bz2.compress(head) + block * MANY)
    assert path.stat().st_size < MANY * 100
    return str(path)


def reader(name, *arguments, **options):
    module, function = name.rsplit(".", 1)
    return lambda path: getattr(importlib.import_module(module), function)(
        *({None: path, "files": [path]}.get(argument, argument) for argument in arguments or (None,)), **options
    )


def encoded(tokenizer):
    def read(path):
        with encode([path], get_tokenizer(tokenizer), threads=2) as stream:
            return stream

    return read


def listed(name):
    read = reader(name)
    return lambda path: list(read(path))


SAFETENSORS = struct.pack("<Q", 90_000_000) + b'{"__metadata__": {"format": "%b", "format_version": "1"}, "x": "'
TENSORS = b'{"__metadata__": {"format": "rnnlm-native", "format_version": "1"}}'
MIKOLOV = b"""version: 10
file format: %d

training data file: -
validation data file: -

last probability of validation data: 0
number of finished iterations: 0
current position in training data: 0
current probability of training data: 0
save after processing # words: 0
# of training words: 0
input layer size: %d
hidden layer size: 1
compression layer size: 0
output layer size: %d
direct connections: 0
direct order: 0
bptt: 0
bptt block: 0
vocabulary size: %d
class size: 1
old classes: 0
independent sentences mode: 0
starting learning rate: 0.1
current learning rate: 0.1
learning rate decrease: 0


Vocabulary:
"""
A_WORD = b"     0\t         1\t</s>\t0\n"
lm, vectors = reader("rnnlm.io.load"), reader("w2v.load")
CASES = {
    "words": (encoded("whitespace"), b"", b"a"),
    "NULs": (encoded("whitespace"), b"a b\n", b"\0"),
    "characters": (encoded("char"), b"", b"a"),
    "a vocabulary": (Vocab.read, b"", b"a"),
    "words of a list": (read_words, b"", b"a"),
    "n-best lists": (reader("rnnlm.nbest.lists.read", "files"), b"u1 a b\n", b"a "),
    "references": (reader("rnnlm.nbest.lists.read_references", None, ()), b"u1 a b\n", b"a "),
    "0.4b's n-best list": (listed("rnnlm.legacy.nbest.read_list"), b"u1 a b\n", b"a "),
    "probabilities": (lm, b"0.5\n", b"0"),
    "probabilities in a table": (lm, b"sentence\tposition\tword\toov\tlog10_prob\n", b"1\t"),
    "an ARPA file": (lm, b"\\data\\\nngram 1=9\n\n\\1-grams:\n", b"a"),
    "an ARPA file's head": (lm, b"\\data\\\n", b"ngram "),
    "counts": (reader("rnnlm.ngram.counting.files.read_counted", "files", 2), b"a\t1\n", b"a "),
    "a mixture": (lm, b'{"format": "rnnlm-mixture", "x": "', b"a"),
    "a header": (lm, SAFETENSORS % b"rnnlm-native", b"a"),
    "n-grams": (lm, SAFETENSORS % b"rnnlm-ngram", b"a"),
    "tensors": (lm, struct.pack("<Q", len(TENSORS)) + TENSORS, b"\0"),
    "0.4b's words": (lm, MIKOLOV % (0, 10**9 + 1, 10**9 + 1, 10**9), b"\0"),
    "0.4b's numbers": (lm, MIKOLOV % (0, 2, 2, 1) + A_WORD + b"\nHidden layer activation:\n", b"0"),
    "0.4b's lines": (lm, MIKOLOV % (0, 2, 2, 1) + A_WORD, b"\n"),
    "0.4b's bytes": (lm, MIKOLOV % (1, 2, 2, 1) + A_WORD, b"\0"),
    "vectors in text": (vectors, b"1000000000 100\n", b"1 "),
    "vectors of many dimensions": (vectors, b"1000 1000000\n", b"1"),
    "binary vectors": (vectors, b"1000000000 1000\n", b"\1"),
    "binary vectors' rows": (vectors, b"9 3\na \0\0\0\0\0\0\0\0\0\0\0\0\n", b"\0"),
    "GloVe's vectors": (vectors, b"word 0.5", b" 1"),
    "GloVe's dimensions": (reader("w2v.io.peek"), b"word 0.5", b" 1"),
    "native vectors": (vectors, SAFETENSORS % b"w2v-native", b"a"),
    "questions": (reader("w2v.questions.read_questions"), b": a\n", b"a "),
    "pairs": (reader("w2v.pairs.read_pairs"), b"a b 1\n", b"a "),
}


@pytest.mark.parametrize("name", CASES)
def test_a_tiny_file_takes_little_memory(tmp_path, name):
    read, head, filling = CASES[name]
    path = bomb(tmp_path / "bomb", head, filling)
    tracemalloc.start()
    try:
        with pytest.raises(CorpusError) as error:
            read(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "bomb" in str(error.value)
    assert "\n" not in str(error.value)
    assert peak < 100 * MEBIBYTE, str(error.value)


def of_length(n: int) -> bytes:
    return b"x" * n + b" y\n"


@pytest.mark.parametrize("tokenizer", ["whitespace", "word"])
def test_the_longest_word_is_read_and_one_byte_more_is_refused(tmp_path, tokenizer):
    path = tmp_path / "text"
    path.write_bytes(b"a\n" + of_length(LONGEST))
    with encode([str(path)], get_tokenizer(tokenizer)) as stream:
        assert stream.n_tokens == 5
    path.write_bytes(b"a\n" + of_length(LONGEST + 1))
    with pytest.raises(CorpusError, match=r"text: a word of more than 4,194,304 bytes, about 2 bytes from the beginn"):
        encode([str(path)], get_tokenizer(tokenizer))


@pytest.mark.parametrize("name", ["word", "char", "whitespace"])
def test_lines_of_any_length_are_tokenized_in_pieces(tmp_path, name):
    """One line, as text8 is, has the tokens that it has as a whole."""
    tokenizer = get_tokenizer(name, lower=True)
    line = "Don't  STOP, ΌΣΟΣ 3.5\t日本語。 <unk> ".encode() * 50 + b"end"
    path = tmp_path / "text"
    path.write_bytes(line)
    words = [word for word in tokenizer.split(line).replace(b"\t", b" ").split(b" ") if word]
    with encode([str(path)], tokenizer, chunk_size=100) as stream:
        found = list(stream.vocab.words)
        assert [found[i] for i in stream.ids] == [*words, b"</s>"]


def test_a_tokenizer_of_whole_lines_says_which_line_is_too_long(tmp_path, monkeypatch):
    monkeypatch.setattr(type(get_tokenizer("word")), "divides_lines", False)  # as japanese
    (tmp_path / "text").write_bytes(b"a b\n" + b"a " * (LONGEST // 2 + 1))
    with pytest.raises(CorpusError, match=r"a line of more than 4,194,304 bytes, about 4 bytes .* reads whole lines"):
        encode([str(tmp_path / "text")], get_tokenizer("word"))
