"""All benchmarks one after another, each in a process of its own: ``make bench``.  RESULTS.md says what they gave."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

for name in ("encode", "train", "score", "ngram", "w2v"):
    print(f"\n## bench/{name}.py", flush=True)
    subprocess.run([sys.executable, str(Path(__file__).with_name(f"{name}.py"))])
