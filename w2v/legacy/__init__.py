"""The command line of word2vec.c: ``w2v -train FILE -output FILE -cbow 1 -size 200 ...``.

Its options, defaults, files and what it prints; docs/compatibility.md says what is done differently.
Importing this loads neither NumPy nor Numba.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from corpora.command.c_options import single_dashes
from w2v.legacy.options import BY_NAME, NAMES, parse

__all__ = ["is_legacy", "main"]


def is_legacy(argv: Sequence[str]) -> bool:
    """Whether the arguments are for word2vec.c: the first one is an option of its, which has a single dash."""
    return bool(argv) and argv[0] in NAMES


def main(argv: Sequence[str]) -> int:
    """Do what word2vec.c would do with these arguments; the exit status.

    CorpusError, one line, for whatever cannot be done.
    """
    options, ignored = parse(argv)
    for argument in ignored:
        print(f"Warning: {argument}: not an option of word2vec; ignored, as there", file=sys.stderr)
    from w2v.legacy.train import train

    with single_dashes(BY_NAME):
        train(options)
    return 0
