"""Tokenizers: whole lines of bytes in, the same lines out with their tokens separated by single spaces.

======================  ======================================================================
``whitespace``          the C tools' and the default: tokens are what space and tab separate
``word``                Unicode words, numbers, and each punctuation mark by itself
``char``                every Unicode character is a token; a space or a tab is the token ``▁``
``japanese``            words by MeCab (fugashi and a dictionary: the ``ja`` extra)
======================  ======================================================================

Bytes that are not UTF-8 go through unchanged: ``word`` takes them as letters, ``char`` as one token
a byte.  The literals ``<s>``, ``</s>`` and ``<unk>`` stay single tokens, but for ``char``, which
spells them out.  ``lower`` turns the text to lower case first.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise

from corpora.errors import CorpusError

SPACE = "▁"  # U+2581, as SentencePiece shows a space
LITERALS = ("<s>", "</s>", "<unk>")


class Tokenizer:
    """Splitting on whitespace: the text as it is.  The other tokenizers derive from it."""

    name = "whitespace"
    worth_processes = 1 << 23  # bytes of text: of fewer, starting processes would take longer than they save
    divides_lines = True  # a line that is cut after a space or a tab has the same tokens

    def __init__(self, lower: bool = False):
        self.lower = lower

    @property
    def spec(self) -> str:
        """``name`` or ``name+lower``: what a model file keeps; ``from_spec`` reads it."""
        return f"{self.name}+lower" if self.lower else self.name

    @property
    def is_identity(self) -> bool:
        """Whether ``split`` returns its argument, so that text need not be cut at line ends."""
        return self.name == "whitespace" and not self.lower

    def split(self, text: bytes) -> bytes:
        """Whole lines, with or without the last line end, to the same lines with separated tokens."""
        if self.is_identity:
            return text
        decoded = text.decode("utf-8", "surrogateescape")
        decoded = decoded.lower() if self.lower else decoded
        return "\n".join(map(self._split_line, decoded.split("\n"))).encode("utf-8", "surrogateescape")

    def _split_line(self, line: str) -> str:
        return line

    def join(self, words: Sequence[bytes]) -> str:
        """The words of a sentence as readable text; what is not UTF-8 is shown as U+FFFD."""
        return self._join([word.decode("utf-8", "replace") for word in words])

    def _join(self, words: list[str]) -> str:
        return " ".join(words)

    def __repr__(self) -> str:
        return f"Tokenizer({self.spec})"


class WordTokenizer(Tokenizer):
    """Words with inner apostrophes and hyphens (don't, well-known), numbers (1,234.5), punctuation marks."""

    name = "word"

    def __init__(self, lower: bool = False):
        super().__init__(lower)
        self._tokens, self._tokens_of_ascii = (pattern.findall for pattern in _word_patterns())

    def _split_line(self, line: str) -> str:
        return " ".join(self._tokens_of_ascii(line) if line.isascii() else self._tokens(line))

    def _join(self, words: list[str]) -> str:
        text, glue = [], True
        inside_quotes = False
        for word in words:
            if word == '"':
                text.append(word if inside_quotes or glue else " " + word)
                glue, inside_quotes = not inside_quotes, not inside_quotes
                continue
            text.append(word if glue or word in _CLOSING else " " + word)
            glue = word in _OPENING
        return "".join(text)


_CLOSING = frozenset(".,;:!?%)]}’”»…、。！？」』）")
_OPENING = frozenset("([{‘“«$£€¿¡「『（")


class CharTokenizer(Tokenizer):
    """Characters.  The join of a ``▁`` that stood in the text itself is a space, too."""

    name = "char"

    def _split_line(self, line: str) -> str:
        return " ".join(line.replace("\r", "").replace(" ", SPACE).replace("\t", SPACE))

    def join(self, words: Sequence[bytes]) -> str:
        return b"".join(words).decode("utf-8", "replace").replace(SPACE, " ")


class JapaneseTokenizer(Tokenizer):
    """Words as MeCab divides the text, with the dictionary that is installed for fugashi."""

    name = "japanese"
    worth_processes = 1 << 21
    divides_lines = False

    def __init__(self, lower: bool = False):
        super().__init__(lower)
        self._tagger = _mecab()

    def _split_line(self, line: str) -> str:
        return " ".join(token for piece in _NOT_FOR_MECAB.split(line) for token in self._words(piece))

    def _words(self, piece: str) -> list[str]:
        if not piece or _NOT_FOR_MECAB.fullmatch(piece):
            return [piece] if piece else []
        words = []
        while piece:
            end = len(piece)
            if end > _MECAB_LIMIT:
                end = 1 + max(piece.rfind(mark, 0, _MECAB_LIMIT) for mark in "。！？、 ") or _MECAB_LIMIT
            words += str(self._tagger.parse(piece[:end])).split()
            piece = piece[end:]
        return words

    def _join(self, words: list[str]) -> str:
        text = "".join(words[:1])
        for left, right in pairwise(words):
            text += " " + right if left[-1:].isascii() and right[:1].isascii() else right
        return text


# NUL would end MeCab's text, and bytes that are not UTF-8 cannot enter it: they are tokens by themselves
_NOT_FOR_MECAB = re.compile("(" + "|".join(LITERALS) + "|[\x00\udc80-\udcff]+)")
_MECAB_LIMIT = 1 << 14  # characters: it takes a kilobyte for each, and a line of a million crashes it


@cache
def _marks() -> str:
    """Combining marks as ranges for a character class: Python's ``\\w`` lacks them, and most Indic words have some."""
    ranges, start = [], None
    for code in (*range(0x300, 0x20000), *range(0xE0100, 0xE0200)):  # the planes between have none
        is_mark = unicodedata.category(chr(code))[0] == "M"
        if is_mark and start is None:
            start = code
        elif not is_mark and start is not None:
            ranges.append(f"{chr(start)}-{chr(code - 1)}")
            start = None
    return "".join(ranges)


@cache
def _word_patterns() -> tuple[re.Pattern, re.Pattern]:
    """What a token is, for any line; and for a line of ASCII the same, which is twice as fast."""
    # \udc80-\udcff: the bytes that are not UTF-8; U+200C, U+200D: the joiners inside Persian and Indic words
    letter = rf"[\w{_marks()}\u200c\u200d\udc80-\udcff]"
    inner = r"(?:['’‐‑-]|(?<=\d)[.,](?=\d))"
    literal = "|".join(LITERALS)
    return tuple(re.compile(rf"{each}+(?:{inner}{each}+)*|{literal}|\S") for each in (letter, r"\w"))


@cache
def _mecab():
    try:
        import fugashi

        return fugashi.Tagger("-Owakati")
    except (ImportError, RuntimeError) as error:
        remedy = "pip install fugashi unidic-lite"
        raise CorpusError(f"`tokenizer` japanese: fugashi and a dictionary are needed: {remedy}") from error


TOKENIZERS: dict[str, Callable[[bool], Tokenizer]] = {
    cls.name: cls for cls in (Tokenizer, WordTokenizer, CharTokenizer, JapaneseTokenizer)
}


def get_tokenizer(name: str = "whitespace", lower: bool = False) -> Tokenizer:
    """The tokenizer of that name; CorpusError where there is none, or what it needs is not installed."""
    if name not in TOKENIZERS:
        raise CorpusError(f"`tokenizer` {name}: one of {', '.join(TOKENIZERS)}")
    return TOKENIZERS[name](lower)


def from_spec(spec: str) -> Tokenizer:
    """The tokenizer that ``Tokenizer.spec`` named."""
    name, plus, rest = spec.partition("+")
    if plus and rest != "lower":
        raise CorpusError(f'tokenizer "{spec}": only "+lower" can follow a name')
    return get_tokenizer(name, lower=bool(plus))
