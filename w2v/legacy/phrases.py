"""The command line of word2phrase: ``w2v phrases -train FILE -output FILE -threshold 100 -min-count 5``."""

from __future__ import annotations

from collections.abc import Sequence

from corpora.errors import CorpusError

_NEW_NAMES = {"-train": "", "-output": "-o", "-min-count": "--min-count", "-threshold": "--threshold", "-debug": None}


def is_legacy_phrases(argv: Sequence[str]) -> bool:
    """Whether the arguments of ``w2v phrases`` are word2phrase's: the first one is an option of its."""
    return bool(argv) and argv[0] in _NEW_NAMES


def options(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """The arguments of ``w2v phrases`` that do the same, and those that word2phrase would not look at.

    CorpusError for a value that is missing, and without -train or -output.
    """
    values: dict[str, str] = {}
    ignored = []
    arguments = iter(argv)
    for name in arguments:
        if name not in _NEW_NAMES:
            ignored.append(name)
            continue
        value = next(arguments, None)
        if value is None:
            raise CorpusError(f"{name}: its value is missing")
        values.setdefault(name, value)  # word2phrase takes the first of two
    for name in ("-train", "-output"):
        if not values.get(name):
            raise CorpusError(f"{name} FILE is missing")
    # it overwrites its output
    found = ["--compatible", "--force"]
    for name, value in values.items():
        if _NEW_NAMES[name]:
            found.append(f"{_NEW_NAMES[name]}={value}" if name != "-output" else f"-o{value}")
    return [*found, "--", values["-train"]], ignored
