"""Commands as whole processes: wall time, processor time and peak memory of each, in turns with their peers.

Whoever measures peaks must stay small: a child's peak is never less than what its parent takes.
"""

from __future__ import annotations

import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import common

CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))
# PYTHONSAFEPATH: `-m w2v` is the package, not the benchmark of that name, in whatever folder this is called
ENVIRONMENT = os.environ | {"PYTHONPATH": str(common.ROOT), "PYTHONSAFEPATH": "1"}


class Took(NamedTuple):
    """``peak``: MiB of resident memory.  ``cpu`` and ``peak`` are NaN where the system does not tell them."""

    seconds: float
    cpu: float
    peak: float


def core_counts() -> list[int]:
    return sorted({1, len(CORES)})


@contextmanager
def on_cores(n: int) -> Iterator[None]:
    """What is started here stays on n cores, where the system can be told so."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    os.sched_setaffinity(0, CORES[-n:])
    try:
        yield
    finally:
        os.sched_setaffinity(0, CORES)


def measure(command: list, *, cores: int, stdin: Path | None = None) -> Took:
    """Run a process to its end.  Where it fails the benchmark ends with what it said."""
    words = [str(word) for word in command]
    if hasattr(os, "sync"):
        os.sync()  # what others have written must not reach the disk at this one's expense
    with tempfile.TemporaryFile() as log, open(stdin or os.devnull, "rb") as text, on_cores(cores):
        began = time.perf_counter()
        process = subprocess.Popen(words, stdin=text, stdout=subprocess.DEVNULL, stderr=log, env=ENVIRONMENT)
        cpu = peak = math.nan
        if hasattr(os, "wait4"):
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            cpu = usage.ru_utime + usage.ru_stime
            peak = usage.ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)
        else:
            process.wait()
        seconds = time.perf_counter() - began
        if process.returncode:
            log.seek(0)
            sys.exit(f"{' '.join(words)}: exit {process.returncode}\n{log.read().decode(errors='replace')}")
    return Took(seconds, cpu, peak)


def output_of(code: str, *arguments) -> str:
    """What a Python program prints, in a process of its own."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, check=True, text=True, env=ENVIRONMENT).stdout


def alternate(cases: dict[str, Callable[[], Took]], runs: int) -> dict[str, list[Took]]:
    """All cases once, and again, as often as is asked for."""
    took = {name: [] for name in cases}
    for _ in range(runs):
        for name, case in cases.items():
            took[name].append(case())
    return took


def median(took: list[Took], field: str = "seconds") -> float:
    return statistics.median(getattr(one, field) for one in took)


def table(header: list[str], rows: list[list]) -> None:
    """A table in Markdown."""
    print(f"\n| {' | '.join(header)} |\n|{'---|' * len(header)}")
    for row in rows:
        print(f"| {' | '.join(map(str, row))} |", flush=True)


def yes(holds: bool) -> str:
    return "yes" if holds else "NO"
