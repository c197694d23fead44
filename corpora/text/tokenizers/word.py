"""Unicode words, numbers, and each punctuation mark by itself."""

from __future__ import annotations

import re
import unicodedata
from functools import cache

from corpora.text.tokenizers.base import LITERALS, Tokenizer

_CLOSING = frozenset(".,;:!?%)]}’”»…、。！？」』）")
_OPENING = frozenset("([{‘“«$£€¿¡「『（")


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
