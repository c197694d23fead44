"""How long commands take to start, with two builds of this project: at their first use, and with what they keep.

    python bench/startup.py OLD NEW [--runs N]

OLD and NEW: the folders with the commands of two environments, such as ``old/.venv/bin .venv/bin``.  Whole processes,
in runs that alternate.  First use: an empty cache of compiled code, wall-clock seconds with all processors and with
one, one run each.  Warm: medians on one core, and the peak of memory.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import common

FIRST = {
    "rnnlm train": "rnnlm train text --valid text -o net -f --hidden 20 --class 2 --max-iter 1",
    "rnnlm ngram": "rnnlm ngram text -o ngrams -f",
    "w2v train": "w2v train text -o vectors -f --min-count 1 --size 20 --iter 1 --format native",
    "rnnlm ppl, network": "rnnlm ppl -m net text",
    "rnnlm surprisal, n-grams": "rnnlm surprisal -m ngrams text",
}
WARM = {
    "rnnlm --help": "rnnlm --help",
    "rnnlm ppl, network, one line": "rnnlm ppl -m net line",
    "rnnlm ppl, n-grams, one line": "rnnlm ppl -m ngrams line",
    "rnnlm surprisal, network, one line": "rnnlm surprisal -m net line",
    "rnnlm surprisal, n-grams, one line": "rnnlm surprisal -m ngrams line",
    "rnnlm rescore, network, one list": "rnnlm rescore -m net list",
    "rnnlm generate, 20 words": "rnnlm generate -m net --words 20",
    "rnnlm train, 100 lines": "rnnlm train text --valid text -o net -f --hidden 20 --class 2 --max-iter 1",
    "w2v train, 100 lines": "w2v train text -o vectors -f --min-count 1 --size 20 --iter 1 --format native",
}
MEASURE = """
import resource, subprocess, sys, time
began = time.perf_counter()
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
print(time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""


def run(line: str, programs: str, folder: str, cache: str, cores: set[int]) -> tuple[float, float]:
    """Wall-clock seconds and the peak in MiB of a command; what it started and left running is waited for."""
    program, *arguments = line.split()
    command = [sys.executable, "-c", MEASURE, str(Path(programs).resolve() / program), *arguments]
    done = subprocess.run(
        command, cwd=folder, env=os.environ | {"NUMBA_CACHE_DIR": cache}, capture_output=True, text=True, check=True,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )  # fmt: skip
    seconds, peak = done.stdout.split()
    return float(seconds), int(peak) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old")
    parser.add_argument("new")
    parser.add_argument("--runs", type=int, default=11)
    options = parser.parse_args()
    print(common.environment())
    everywhere = os.sched_getaffinity(0)
    builds = {"old": options.old, "new": options.new}
    with tempfile.TemporaryDirectory() as top:
        for build in builds:
            os.mkdir(f"{top}/{build}")
            Path(top, build, "text").write_text("a b c d\nb c d a\n" * 50)
            Path(top, build, "line").write_text("a b c d\n")
            Path(top, build, "list").write_text("u1 a b c\nu1 a b d\n")
        for cores, many in ((everywhere, f"{len(everywhere)} cores"), ({max(everywhere)}, "one core")):
            print(f"\n{'first use, ' + many:36}{'old':>8}{'new':>8}   new / old")
            for name, line in FIRST.items():
                took = {}
                for build, programs in builds.items():
                    with tempfile.TemporaryDirectory() as cache:
                        took[build], _ = run(line, programs, f"{top}/{build}", cache, cores)
                        if build == "new":
                            time.sleep(4)  # a second process may still be compiling
                print(f"{name:36}{took['old']:8.2f}{took['new']:8.2f}   {took['new'] / took['old']:.2f}", flush=True)
        print(f"\n{'warm, one core':36}{'old':>8}{'new':>8}   new / old   peak, MiB")
        for name, line in WARM.items():
            took = {build: [] for build in builds}
            for _ in range(options.runs + 2):
                for build, programs in builds.items():
                    took[build].append(run(line, programs, f"{top}/{build}", f"{top}/code-{build}", {max(everywhere)}))
            old, new = (statistics.median(seconds for seconds, _ in took[build][2:]) for build in builds)
            peaks = [max(peak for _, peak in took[build][2:]) for build in builds]
            print(f"{name:36}{old:8.3f}{new:8.3f}   {new / old:9.2f}   {peaks[0]:.0f} and {peaks[1]:.0f}", flush=True)


if __name__ == "__main__":
    main()
