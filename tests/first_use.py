"""Write the lists of what commands compile at their first use: ``first_use.txt`` of each package.

    python -m tests.first_use          writes the lists
    python -m tests.first_use COMMAND  runs a command and prints what it called: seconds, module, kernel, key

Each command runs in a process and with a cache of its own.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PREFIX = "needs\t"
TEXT = "a b c d\nb c d a\n" * 50
# the group, and the command; a command can use what the ones before it have made
COMMANDS = {
    "rnnlm/train": "rnnlm train text -o net --valid text --hidden 10 --class 2 --max-iter 1",
    "rnnlm/scores-elman": "rnnlm ppl -m net text",
    "rnnlm/distributions-elman": "rnnlm surprisal -m net text",
    "rnnlm/ngram": "rnnlm ngram text -o ngrams",
    "rnnlm/scores-ngrams": "rnnlm ppl -m ngrams text",
    "rnnlm/distributions-ngrams": "rnnlm surprisal -m ngrams text",
    "w2v/cbow": "w2v train text -o vectors --min-count 1 --size 10 --iter 1 --threads 1",
    "w2v/skipgram": "w2v train text -o others --min-count 1 --size 10 --iter 1 --threads 1 --skipgram",
}
SHARED = "corpora/text"  # what is needed of corpora, whatever the command


def run_and_print(program: str, *arguments: str) -> None:
    from corpora.compute import kernels

    code_of = kernels.code_of

    def told(kernel, words, meanwhile):
        began = time.process_time()
        found = code_of(kernel, words, lambda: False)
        took = time.process_time() - began
        print(f"{PREFIX}{took:.3f}\t{kernel.__module__}\t{kernel.__qualname__}\t{words!r}", file=sys.stderr)
        return found

    kernels.code_of = told
    sys.exit(importlib.import_module(f"{program}.cli").run(list(arguments)))


def needed(folder: Path, command: str, cache: str) -> list[tuple[float, str]]:
    """Seconds and the line of a list for each entry that a command calls."""
    env = os.environ | {"NUMBA_CACHE_DIR": cache, "PYTHONPATH": str(ROOT)}
    line = [sys.executable, "-m", "tests.first_use", *command.split()]
    run = subprocess.run(line, cwd=folder, env=env, capture_output=True, text=True, check=True)
    rows = [row.removeprefix(PREFIX).split("\t", 1) for row in run.stderr.splitlines() if row.startswith(PREFIX)]
    return [(float(seconds), rest) for seconds, rest in rows]


def groups(cache: str | None = None) -> dict[str, list[str]]:
    """The lines of each group, what takes longest first; ``cache``: the same for all, in place of an empty one each."""
    found: dict[str, dict[str, float]] = defaultdict(dict)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "text").write_text(TEXT)
        for group, command in COMMANDS.items():
            for seconds, line in needed(Path(folder), command, cache or f"{folder}/{group}"):
                package = line.split(".")[0]
                place = SHARED if package == "corpora" else group
                found[place][line] = max(seconds, found[place].get(line, 0.0))
    return {group: sorted(lines, key=lines.get, reverse=True) for group, lines in found.items()}


def main() -> None:
    if len(sys.argv) > 1:
        run_and_print(*sys.argv[1:])
    texts: dict[str, str] = defaultdict(str)
    for group, lines in groups().items():
        package, name = group.split("/")
        texts[package] += f"[{name}]\n" + "".join(f"{line}\n" for line in lines) + "\n"
    for package, text in texts.items():
        (ROOT / package / "first_use.txt").write_text(text.rstrip("\n") + "\n")


if __name__ == "__main__":
    main()
