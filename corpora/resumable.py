"""Long jobs that may be interrupted: ``OUTPUT.checkpoint`` beside what they write holds their whole state."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from itertools import combinations

from corpora.errors import CorpusError
from corpora.files import check_output


def checkpoint_of(output: str) -> str:
    """The file beside an output that holds a whole interrupted run."""
    return f"{output}.checkpoint"


def check_outputs(outputs: Mapping[str, str | None], force: bool = False, inputs: Iterable[str] = ()) -> bool:
    """Whether there is a checkpoint to go on from: that of the first of ``outputs``, paths by what they are called.

    CorpusError where one of them (None: not wanted) cannot be written, is another one as well, or is one of
    ``inputs``, the files that are read.  With a checkpoint the outputs may be there: they are of the same run.
    """
    wanted = {name: path for name, path in outputs.items() if path is not None}
    inputs = list(inputs)
    resumes = os.path.exists(checkpoint_of(next(iter(wanted.values())))) and not force
    for path in wanted.values():
        check_output(path, force or resumes, inputs)
    for (first, path), (second, other) in combinations(wanted.items(), 2):
        if os.path.realpath(path) == os.path.realpath(other):
            raise CorpusError(f"{other}: both {first} and {second}; give one of them another name")
    return resumes
