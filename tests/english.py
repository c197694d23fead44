"""Find the commonest slips of English in the pages, docstrings, comments and help texts: ``python tests/english.py``.

What it prints is ``file:line: found; what to write``; the exit status is 1 where there is anything.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("README.md", "CONTRIBUTING.md", "docs/*.md")
PACKAGES = ("corpora", "rnnlm", "w2v")
NOT_YET: tuple[str, ...] = ()  # what is still to be mended

_THING = (
    r"(?:centre|character|class|column|component|example|file|hypothesis|iteration|line|n-gram|node|object|page|"
    r"processor|row|section|sentence|shard|sorter|text|thread|token|utterance|word)"
)
_AMOUNT = (
    rf"(?:(?:an?|one|two|three|four|\d+) (?:JSON )?{_THING}|"
    r"one|bits|bytes|columns?|numbers?|objects?|products|rows?|tokens|words?)"
)
SLIPS = {
    rf"{_AMOUNT} an? {_THING}\b": "one X per Y",
    r"be (?:it|they)\b": "whether ... or",
    r"of which so many\b": "up to N of which",
    r"where (?:it is none|none is|none are)\b": "if there is none, unless",
    r"(?:that|which|what) (?:is|are) none\b": "that is not one",
    r"in the place of\b": "in place of, instead of",
    r"so many\b(?!.*\bthat\b)": "that many, N",
    r"whoever wants\b": "anyone who wants",
    r"(?-i:Of) (?!course\b|these\b|those\b)(?=\w)": 'begin with the subject, or with "In X, ...", "For X, ..."',
    r"(?!log\b)(\w{2,}) \1\b(?!\.\w)": "the word once",
    r"(?:general|initial|maxim|minim|normal|optim|recogn|regular|vector)iz(?:e[ds]?|ing|ation)\b": "-is-, as elsewhere",
}
# where a sentence begins
_SENTENCE = r"(?:^|(?<=[.!?] )|(?<=[.!?]  ))"
PATTERNS = [
    (re.compile((_SENTENCE if slip.startswith("(?-i:Of)") else r"(?<![\w./-])") + slip, re.IGNORECASE), remedy)
    for slip, remedy in SLIPS.items()
]
# titles of papers are their authors'
_REFERENCE = re.compile(r"\(\d{4}\)\. ")
_CODE = re.compile(r"``.+?``|`[^`]+`|\"[^\"]*\"")


def lines_of_page(text: str) -> Iterator[tuple[int, str]]:
    """The lines of prose of a page with their numbers: without code."""
    in_block = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("```"):
            in_block = not in_block
        elif not in_block and not line.startswith("    "):
            yield number, line


def lines_of_source(text: str) -> Iterator[tuple[int, str]]:
    """The lines of the comments, docstrings and help texts of a module."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string.lstrip("#: ")
    for node in ast.walk(ast.parse(text)):
        for string in strings_of(node):
            for number, line in enumerate(string.value.split("\n"), string.lineno):
                yield number, line.strip()


def strings_of(node: ast.AST) -> Iterator[ast.Constant]:
    """The docstring that an expression is; what a call is given as help."""
    found = []
    if isinstance(node, ast.Expr):
        found = [node.value]
    elif isinstance(node, ast.Call):
        found = [keyword.value for keyword in node.keywords if keyword.arg in ("help", "short_help")]
        if isinstance(node.func, ast.Name) and node.func.id == "setting":
            found += node.args[1:2]
    yield from (each for each in found if isinstance(each, ast.Constant) and isinstance(each.value, str))


def slips(line: str) -> Iterator[tuple[str, str]]:
    """What is wrong in a line of prose, and the remedy."""
    if _REFERENCE.search(line):
        return
    line = _CODE.sub("``", line)
    for pattern, remedy in PATTERNS:
        for found in pattern.finditer(line):
            yield found[0].strip(), remedy


def main() -> int:
    files = [path for pattern in PAGES for path in sorted(ROOT.glob(pattern))]
    files += [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    found = 0
    for path in files:
        if path.relative_to(ROOT).as_posix().startswith(NOT_YET):
            continue
        read = lines_of_page if path.suffix == ".md" else lines_of_source
        for number, line in sorted(read(path.read_text("utf-8"))):
            for slip, remedy in slips(line):
                found += 1
                print(f'{path.relative_to(ROOT)}:{number}: "{slip}"; write: {remedy}')
    return int(found > 0)


if __name__ == "__main__":
    sys.exit(main())
