"""Japanese words by MeCab, which is loaded when a tokenizer is made, not before."""

from __future__ import annotations

import re
from functools import cache
from itertools import pairwise

from corpora.errors import CorpusError
from corpora.text.tokenizers.base import LITERALS, Tokenizer

# NUL would end MeCab's text, and bytes that are not UTF-8 cannot enter it: they are tokens by themselves
_NOT_FOR_MECAB = re.compile("(" + "|".join(LITERALS) + "|[\x00\udc80-\udcff]+)")
_MECAB_LIMIT = 1 << 14  # characters: it takes a kilobyte for each, and a line of a million crashes it


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


@cache
def _mecab():
    try:
        import fugashi

        return fugashi.Tagger("-Owakati")
    except (ImportError, RuntimeError) as error:
        remedy = "pip install fugashi unidic-lite"
        raise CorpusError(f"`tokenizer` japanese: fugashi and a dictionary are needed: {remedy}") from error
