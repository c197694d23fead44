"""Tests run again as on a machine with vectors of the other length."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from corpora.compute import machine

ROOT = Path(__file__).resolve().parents[1]


def assert_passes_with_vectors_of_the_other_length(cache: Path, *modules: str) -> None:
    """Run test modules, named from ``tests``, with AVX-512 where there is none, and without where there is.

    LLVM splits vectors that are too long.  ``cache``: an empty folder for what is compiled.
    """
    wide = machine.VECTOR_BYTES != 64
    code = f"""
import sys
import llvmlite.binding as llvm
import pytest

class Features(llvm.FeatureMap):
    def get(self, name, default=None):  # what corpora.compute.machine asks; the compiler goes on knowing the truth
        return {wide} if name == "avx512f" else super().get(name, default)

features = Features(llvm.get_host_cpu_features())
llvm.get_host_cpu_features = lambda: features
import corpora.compute.machine
assert corpora.compute.machine.VECTOR_BYTES == {64 if wide else 32}
sys.exit(pytest.main(["-m", "not slow", "-p", "no:cacheprovider", *sys.argv[1:]]))
"""
    env = os.environ | {"NUMBA_CACHE_DIR": str(cache), "PYTHONPATH": str(ROOT)}
    tests = [str(ROOT / "tests" / module) for module in modules]
    run = subprocess.run(
        [sys.executable, "-c", code, *tests], env=env, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
