"""What the benchmarks share: where the texts are, what the machine is, the peer programs if they are there."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
DATA = Path(os.environ.get("RNNLM_W2V_DATA", ROOT.parent / "shared" / "data"))


def data(name: str) -> Path:
    """A corpus file below the data folder (RNNLM_W2V_DATA); without it the benchmark is left out."""
    path = DATA / name
    if not path.exists():
        sys.exit(f"{path} is missing: left out")
    return path


def peer(variable: str) -> str | None:
    """The program that an environment variable names, for example RNNLM04B=/path/to/rnnlm; None: not compared."""
    path = os.environ.get(variable)
    return path if path and os.access(path, os.X_OK) else None


def commit() -> str:
    """The short name of the commit that is measured."""
    found = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return found.stdout.strip()


def environment() -> str:
    """One line for RESULTS.md: commit, machine, versions."""
    cpu = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo") as file:
            models = [line.split(":")[1].strip() for line in file if line.startswith("model name")]
        cpu = f"{models[0]} x{len(models)}"
    packages = ", ".join(f"{name} {version(name)}" for name in ("numba", "numpy", "scipy"))
    return f"commit {commit()}, {cpu}, Python {platform.python_version()}, {packages}"


def one_core() -> None:
    """Stay on one core, as far as the system allows, so that ratios are per core."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
