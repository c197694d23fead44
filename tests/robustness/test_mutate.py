"""A few of the mutations of ``tests/robustness/mutate.py``: what a file holds is read, or refused in one line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FORMATS = ["rnnlm native", "rnnlm checkpoint", "0.4b binary", "native .lm", "ARPA", "mix.json", "w2v checkpoint"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="mutations are tried in forked processes")
def test_damaged_files_are_read_or_refused_in_one_line(tmp_path):
    command = [sys.executable, "-m", "tests.robustness.mutate", "-n", "12", "--seed", "7", "--keep", str(tmp_path)]
    done = subprocess.run([*command, *FORMATS], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    for name in FORMATS:
        assert f"\n{name} " in done.stdout
    assert list(tmp_path.iterdir()) == []
