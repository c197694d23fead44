"""The first time on a machine: what a command is going to need is compiled by a second process meanwhile.

A package lists in ``first_use.txt`` what its commands need, in groups: ``make first-use`` writes these lists, and a
test compares them with what is needed.  What stands in no list is compiled when it is called.  A command says which
groups it expects; with the first kernel that has to be compiled, a process is started that compiles the others, the
largest first, and this one takes those that are left.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from corpora.compute.processors import available

if TYPE_CHECKING:
    import subprocess

_CODE = "from corpora.compute import ahead; ahead.main()"
_expected: list[str] = []
_helper: subprocess.Popen | None = None
_is_helper = False
_done: set[tuple[str, str, str]] = set()


def expect(*groups: str) -> None:
    """Say which groups the command is going to need: the name of a package, a slash and the group's."""
    _expected.extend(group for group in groups if group not in _expected)


def start() -> None:
    """Start a process that compiles what is expected, unless there is one, or no processor for it."""
    global _helper
    if _helper is None and _expected and not _is_helper and available() > 1:
        from subprocess import DEVNULL

        from corpora.jobs import second_python

        with suppress(OSError):
            _helper = second_python.start(_CODE, str(os.getpid()), *_expected, stdin=DEVNULL, stdout=DEVNULL)


def compile_another() -> bool:
    """Compile one thing that is expected and that no other process is compiling; False if there is none."""
    from corpora.compute import code_cache, compiler

    for line in _lines(tuple(_expected)):
        if line in _done:
            continue
        import ast

        module, name, words = line
        kernel, key = getattr(import_module(module), name, None), ast.literal_eval(words)
        if kernel is None or code_cache.load(kernel, key) is not None:
            _done.add(line)
            continue
        with code_cache.claimed(kernel, key) as is_free:
            if is_free:
                _done.add(line)
                code_cache.save(kernel, key, compiler.compile_entry(kernel, key))
                return True
    return False


def main() -> None:
    """What the second process does: compile what is expected, as long as the command that started it lives."""
    global _is_helper
    _is_helper = True
    parent, *groups = sys.argv[1:]
    expect(*groups)
    while os.getppid() == int(parent) and compile_another():
        pass


@cache
def _lines(groups: tuple[str, ...]) -> tuple[tuple[str, str, str], ...]:
    """Module, kernel and key of each entry of groups."""
    return tuple(line for group in groups for line in _listed(*group.split("/")))


def _listed(package: str, group: str) -> Iterator[tuple[str, str, str]]:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        return
    with suppress(OSError), open(os.path.join(os.path.dirname(spec.origin), "first_use.txt"), encoding="utf-8") as file:
        current = ""
        for line in file:
            if line.startswith("["):
                current = line.strip()[1:-1]
            elif current == group and line.strip():
                module, name, words = line.rstrip("\n").split("\t")
                yield module, name, words
