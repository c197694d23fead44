"""The same training gives the same bytes whatever its process has compiled, loaded or run before."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.every_training import INTERRUPTED, KINDS, SCORES, path_of

PROGRAM = Path(__file__).resolve().parents[1] / "every_training.py"
# kernels that are called from Python; what they call stays compiled
ENTRIES = ("learn_stream", "learn_stream_exact", "train_exact", "train_hierarchical", "score_outputs", "assign")


def run(folder: Path, cache: Path, *flags: str) -> dict[str, str]:
    env = os.environ | {"NUMBA_CACHE_DIR": str(cache)}
    command = [sys.executable, str(PROGRAM), str(folder), *flags]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(line.split() for line in done.stdout.splitlines())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    from corpora.data.grammars import GRAMMARS

    folder = tmp_path_factory.mktemp("bytes")
    rng = np.random.default_rng(5)
    for name, n in (("train", 4000), ("valid", 300)):
        lines = (f"{sentence}\n" for sentence in GRAMMARS["elman1990"].generate(n, rng))
        (folder / f"{name}.txt").write_text("".join(lines), "ascii")
    return folder


@pytest.fixture(scope="module")
def cache(folder):
    return folder / "cache"


@pytest.fixture(scope="module")
def compiled(folder, cache):
    """What a process gives that compiles everything; it leaves runs that were interrupted."""
    found = run(folder, cache, "--interrupt")
    assert found.keys() == {path_of(kind) for kind in [*KINDS, *SCORES]}
    return found


def test_a_process_that_loads_what_another_compiled_gives_the_same_bytes_and_so_do_runs_that_it_resumes(
    folder, cache, compiled
):
    assert run(folder, cache, "--resume") == compiled
    for kind in INTERRUPTED:
        whole, resumed = folder / path_of(kind), folder / f"{path_of(kind)}-resumed"
        assert whole.read_bytes() == resumed.read_bytes(), kind


def test_a_process_that_used_inner_kernels_first_gives_the_same_bytes(folder, cache, compiled):
    assert run(folder, cache, "--inner-first") == compiled


def test_a_process_that_compiles_only_what_is_called_from_python_gives_the_same_bytes(folder, cache, compiled):
    partly = folder / "partly"
    shutil.copytree(cache, partly)
    gone = [path for name in ENTRIES for path in partly.rglob(f"*.{name}.*.nbc")]
    assert len(gone) >= len(ENTRIES)
    for path in gone:
        path.unlink()
    assert run(folder, partly) == compiled
