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


def peak_and_said(text, options):
    """Both in MB, of a process that loads its kernels."""
    command = [sys.executable, "-m", "w2v", "train", str(text), "-o", os.devnull, "--format", "binary", "--iter", "1"]
    for _ in range(2):  # the first may have to compile them, which takes more
        with subprocess.Popen([*command, *options.split()], env=ENVIRONMENT, stderr=subprocess.PIPE) as process:
            errors = process.stderr.read().decode()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0, errors
        if "compiled in" not in errors:
            break
    return usage.ru_maxrss * 1024 / MEGABYTE, float(re.search(r"memory: about (\d+) MB", errors)[1])


@pytest.mark.parametrize("options", RUNS.values(), ids=RUNS)
def test_the_peak_is_within_a_fifth_of_what_is_said(text, options):
    peak, said = peak_and_said(text, options)
    assert peak / said == pytest.approx(1.0, abs=0.2)
