"""The memory that ``w2v train`` says it takes is what the process has at its peak."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest

from tests.cli.conftest import ENVIRONMENT

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak is asked of Linux")
MEGABYTE = 1e6
# of 3,000 words: the vectors are a small part of what is needed
RUNS = {
    "cbow, lanes": "--size 3000 --deterministic --threads 3",
    "skip-gram and tree, lanes": "--size 3000 --deterministic --skipgram --hs",
    "wide windows, threads": "--size 3000 --window 400 --hs --negative 0 --threads 6",
}


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("memory") / "text"
    words = np.random.default_rng(1).zipf(1.1, size=100_000) % 3000
    path.write_text("\n".join(" ".join(f"w{i}" for i in words[k : k + 50]) for k in range(0, words.size, 50)))
    return path


# Starts a command and prints its peak in KiB.  A process begins with the memory of the one that starts it: a small one
MEASURE = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""


def peak_and_said(text, options):
    """Both in MB, of a process that loads its kernels."""
    command = [sys.executable, "-c", MEASURE, sys.executable, "-m", "w2v", "train", str(text), "-o", os.devnull]
    command += ["--format", "binary", "--iter", "1", *options.split()]
    peaks = []
    for _ in range(3):  # the first may have to compile them, and the second what was left, which takes more
        done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        peaks.append(int(done.stdout.splitlines()[-1]))
    return min(peaks) * 1024 / MEGABYTE, float(re.search(r"memory: about (\d+) MB", done.stderr)[1])


@pytest.mark.parametrize("options", RUNS.values(), ids=RUNS)
def test_the_peak_is_within_a_fifth_of_what_is_said(text, options):
    peak, said = peak_and_said(text, options)
    assert peak / said == pytest.approx(1.0, abs=0.2)
