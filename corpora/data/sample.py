"""Text that is on every machine with Python: its own reference documentation, cleaned to train on at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from corpora.errors import CorpusError
from corpora.text.tokenizers import get_tokenizer

_PARAGRAPHS = re.compile(r"\n(?:[ \t]*\n)+")
_LIST_MARK = re.compile(r"(?:[*•+-]|\d+\.|[a-z]\.|\[\d+\])\s+")
# grammar productions, sessions, tables, pseudo-code in braces, columns, an underlined title, assignments
_NOT_PROSE = re.compile(r"::=|>>>|\+--|(?m:^\s*[{}@|]|\S   |^\s*([*=~\-^\"])\1{2,}$)|\w = \w|^class \w+[(:]")
_WORD = re.compile(r"[A-Za-z]{2,}")
_SENTENCE_END = re.compile(r"(?<=[.?!])(?<!e\.g\.)(?<!i\.e\.)[)\"”]?\s+(?=[\"“(]?[A-Z])")


def python_docs() -> Iterator[list[str]]:
    """The topics of ``pydoc_data.topics``: each a list of sentences, words and marks divided by spaces, lower-cased.

    Only prose: titles, grammar productions, tables and code are left out, and so is the markup.
    Topics repeat one another, so the longest come first and a paragraph is given once, or
    held-out text would be found in the training text.  The text depends on the version of Python.
    """
    try:
        from pydoc_data.topics import topics
    except ImportError as error:
        raise CorpusError("python-docs: this Python comes without pydoc_data, its documentation") from error
    tokenizer = get_tokenizer("word", lower=True)
    seen: set[str] = set()
    for _, text in sorted(topics.items(), key=lambda topic: (-len(topic[1]), topic[0])):
        sentences = []
        for block in _PARAGRAPHS.split(text.strip("\n")):
            prose = _prose(block)
            if prose and prose not in seen:
                seen.add(prose)
                sentences += [tokenizer.split(s.encode()).decode() for s in _SENTENCE_END.split(prose)]
        if sentences:
            yield sentences


def _prose(block: str) -> str:
    """A paragraph as one line without markup, or nothing where it is no running text."""
    if _NOT_PROSE.search(block):
        return ""
    text = re.sub(r"(?<=[a-z]-)\n\s*(?=[a-z])", "", block)  # "built-", next line "in"
    text = " ".join(text.split())
    text = _LIST_MARK.sub("", text, count=1) if _LIST_MARK.match(text) else text
    text = re.sub(r"\s*\[\d+\]", "", text)  # footnotes
    text = re.sub(r"\*{1,2}(\w[^*]*)\*{1,2}", r"\1", text)  # *emphasis*, **strong**
    text = re.sub(r'"([^"\s]+?)\(\)"', r'"\1"', text)  # a function's name: "len()"
    text = re.sub(r'"([^"]+)"', r"\1", text)  # literals
    words = _WORD.findall(text)
    enough = len(words) >= 4 and sum(map(len, words)) >= 0.6 * len(text.replace(" ", ""))
    begins = text[:1].isalpha() or text[:1] in "“(_"
    ends = text.rstrip(")”’")[-1:] in tuple(".:;?!")
    return text if enough and begins and ends else ""


SAMPLES: dict[str, Callable[[], Iterator[list[str]]]] = {"python-docs": python_docs}
