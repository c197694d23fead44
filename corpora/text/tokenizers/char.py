"""Every Unicode character is a token."""

from __future__ import annotations

from collections.abc import Sequence

from corpora.text.tokenizers.base import Tokenizer

SPACE = "▁"  # U+2581, as SentencePiece shows a space


class CharTokenizer(Tokenizer):
    """Characters.  The join of a ``▁`` that stood in the text itself is a space, too."""

    name = "char"

    def _split_line(self, line: str) -> str:
        return " ".join(line.replace("\r", "").replace(" ", SPACE).replace("\t", SPACE))

    def join(self, words: Sequence[bytes]) -> str:
        return b"".join(words).decode("utf-8", "replace").replace(SPACE, " ")
