"""The four objectives of word2vec, and how each program is asked for them.

Programs other than ours are named by the environment: GENSIM_PYTHON a Python that has gensim, WORD2VEC a binary of
word2vec.c.  gensim is also taken from the Python of the benchmark.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

import common

SAMPLE, WINDOW, NEGATIVE, MIN_COUNT = 1e-4, 5, 5, 5
PEER = Path(__file__).with_name("gensim_peer.py")


class Objective(NamedTuple):
    title: str
    skipgram: bool
    hs: bool

    @property
    def negative(self) -> int:
        return 0 if self.hs else NEGATIVE

    @property
    def alpha(self) -> float:
        return 0.025 if self.skipgram else 0.05


OBJECTIVES = {
    "sg-ns": Objective(f"skip-gram, {NEGATIVE} negatives", skipgram=True, hs=False),
    "cbow-ns": Objective(f"CBOW, {NEGATIVE} negatives", skipgram=False, hs=False),
    "sg-hs": Objective("skip-gram, hierarchical softmax", skipgram=True, hs=True),
    "cbow-hs": Objective("CBOW, hierarchical softmax", skipgram=False, hs=True),
}


def config(name: str, size: int, **more) -> dict:
    """The arguments of ``w2v.config.TrainConfig``."""
    objective = OBJECTIVES[name]
    return {
        "architecture": "skipgram" if objective.skipgram else "cbow", "size": size, "window": WINDOW, "sample": SAMPLE,
        "hs": objective.hs, "negative": objective.negative, "alpha": objective.alpha,
    } | more  # fmt: skip


def w2v(name: str, text: Path, vectors: Path, *more, size: int, epochs: int, threads: int, seed: int = 1) -> list:
    """The command that trains by ``w2v train``."""
    objective = OBJECTIVES[name]
    return [
        sys.executable, "-m", "w2v", "train", text, "-o", vectors, "--force",
        "--skipgram" if objective.skipgram else "--cbow", "--size", size, "--window", WINDOW, "--sample", SAMPLE,
        "--negative", objective.negative, *(["--hs"] if objective.hs else []), "--min-count", MIN_COUNT,
        "--alpha", objective.alpha, "--iter", epochs, "--threads", threads, "--seed", seed, *more,
    ]  # fmt: skip


@cache
def gensim_python() -> str | None:
    """A Python that has gensim; None, which is said, if there is none."""
    python = os.environ.get("GENSIM_PYTHON") or sys.executable
    try:
        found = subprocess.run(
            [python, "-c", "import gensim; print(gensim.__version__)"], capture_output=True, text=True
        )
    except OSError:
        found = None
    if found is None or found.returncode:
        print("\ngensim is left out: GENSIM_PYTHON names no Python that has it")
        return None
    print(f"\ngensim {found.stdout.strip()}")
    return python


def gensim_settings(name: str, size: int, epochs: int, workers: int, seed: int = 1) -> str:
    objective = OBJECTIVES[name]
    settings = {
        "sg": int(objective.skipgram), "hs": int(objective.hs), "negative": objective.negative,
        "vector_size": size, "window": WINDOW, "sample": SAMPLE, "min_count": MIN_COUNT,
        "alpha": objective.alpha, "epochs": epochs, "workers": workers, "seed": seed,
    }  # fmt: skip
    return json.dumps(settings)


def gensim(name: str, text: Path, vectors: Path, *, size: int, epochs: int, threads: int, seed: int = 1) -> list:
    """The command that trains by gensim, from a file of sentences to a binary file of vectors."""
    return [gensim_python(), PEER, "train", text, vectors, gensim_settings(name, size, epochs, threads, seed)]


def word2vec(name: str, text: Path, vectors: Path, *, size: int, epochs: int, threads: int, seed: int = 1) -> list:
    """The command that trains by word2vec.c, which has no seed: its threads alone make runs differ."""
    objective = OBJECTIVES[name]
    return [
        common.peer("WORD2VEC"), "-train", text, "-output", vectors, "-binary", 1, "-cbow", int(not objective.skipgram),
        "-hs", int(objective.hs), "-negative", objective.negative, "-size", size, "-window", WINDOW,
        "-sample", SAMPLE, "-min-count", MIN_COUNT, "-alpha", objective.alpha, "-iter", epochs, "-threads", threads,
    ]  # fmt: skip
