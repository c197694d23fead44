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

from collections.abc import Callable

from corpora.errors import CorpusError
from corpora.text.tokenizers.base import Tokenizer
from corpora.text.tokenizers.char import CharTokenizer
from corpora.text.tokenizers.japanese import JapaneseTokenizer
from corpora.text.tokenizers.word import WordTokenizer

__all__ = [
    "TOKENIZERS",
    "CharTokenizer",
    "JapaneseTokenizer",
    "Tokenizer",
    "WordTokenizer",
    "from_spec",
    "get_tokenizer",
]

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
