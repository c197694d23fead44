"""Seconds of whole processes: ``rnnlm --help``, and ``rnnlm ppl`` on a small file with its kernels cached."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import common

RUNS = 7


def seconds(command: list[str], text: str | None = None) -> float:
    took = []
    for _ in range(RUNS + 1):
        began = time.perf_counter()
        subprocess.run(command, input=text, capture_output=True, text=True, check=True)
        took.append(time.perf_counter() - began)
    return statistics.median(took[1:])


def main() -> None:
    print(common.environment())
    rnnlm = str(Path(sys.executable).with_name("rnnlm"))
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / "text.txt"
        text.write_text("a b c d\nb c d a\n" * 50)
        model = str(Path(folder) / "model")
        train = [rnnlm, "train", str(text), "-o", model, "--hidden", "10", "--class", "2", "--max-iter", "1"]
        subprocess.run(train, capture_output=True, check=True)
        print(f"rnnlm --help          {seconds([rnnlm, '--help']):.3f} s")
        print(f"rnnlm ppl, cached     {seconds([rnnlm, 'ppl', '-m', model, str(text)]):.3f} s")
        print(f"rnnlm train, cached   {seconds([*train, '--force']):.3f} s")


if __name__ == "__main__":
    main()
