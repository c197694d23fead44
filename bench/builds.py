"""Two builds of this project against each other, whole commands on one core, in runs that alternate.

    python bench/builds.py OLD NEW [--runs N] [--only PART_OF_A_NAME]

OLD and NEW: the folders with the commands of two environments, such as ``old/.venv/bin .venv/bin``.  Prints the medians
of CPU seconds and the median of the ratios of neighbouring runs; a command that one build cannot run is left out.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import tempfile
from pathlib import Path

import common

COMMANDS = {
    "rnnlm train, PTB, 1 epoch": "rnnlm train TRAIN --valid VALID -o OUT.rnnlm -f --max-iter 1 --threads 1",
    "rnnlm train --independent": "rnnlm train VALID --valid LINES -o OUT.ind -f --max-iter 2 --independent",
    "rnnlm ppl, network, PTB train": "rnnlm ppl -m OUT.rnnlm TRAIN --threads 1",
    "rnnlm ppl, independent, PTB train": "rnnlm ppl -m OUT.ind TRAIN --threads 1",
    "rnnlm surprisal, 500 lines": "rnnlm surprisal -m OUT.rnnlm LINES",
    "rnnlm ngram, order 5, PTB": "rnnlm ngram TRAIN -o OUT.lm -f --order 5 --threads 1",
    "rnnlm ppl, n-grams, PTB train": "rnnlm ppl -m OUT.lm TRAIN --threads 1",
    "rnnlm ppl, mixture, PTB test": "rnnlm ppl -m OUT.lm -m OUT.rnnlm TEST --threads 1",
    "w2v train --skipgram, 1 epoch": "w2v train WIKI -o OUT.bin -f --skipgram --iter 1 --threads 1 --sample 1e-4",
    "w2v train, CBOW, 1 epoch": "w2v train WIKI -o OUT.bin -f --iter 1 --threads 1 --sample 1e-4",
    "w2v train --hs, 1 epoch, PTB": "w2v train TRAIN -o OUT.bin -f --hs --negative 0 --iter 1 --threads 1",
    "rnnlm ppl, n-grams, one line": "rnnlm ppl -m OUT.lm LINE",
    "rnnlm ppl, network, one line": "rnnlm ppl -m OUT.rnnlm LINE",
    "rnnlm --help": "rnnlm --help",
}


def run(line: str, folder: str, names: dict[str, str]) -> float | None:
    """CPU seconds of a command from ``folder``, None if it fails."""
    program, *arguments = line.split()
    command = [str(Path(folder) / program), *(names.get(argument, argument) for argument in arguments)]
    command = [argument.replace("OUT", names["OUT"]) for argument in command]
    before = os.times()
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = os.times()
    if done.returncode:
        return None
    return after.children_user + after.children_system - before.children_user - before.children_system


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old")
    parser.add_argument("new")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    print(common.environment())
    common.one_core()
    with tempfile.TemporaryDirectory() as folder:
        names = {name.upper(): str(common.data(f"ptb/ptb.{name}.txt")) for name in ("train", "valid", "test")}
        names |= {"WIKI": str(common.data("wiki/train.txt")), "LINES": f"{folder}/lines", "LINE": f"{folder}/line"}
        lines = Path(names["TEST"]).read_bytes().splitlines(keepends=True)
        Path(names["LINES"]).write_bytes(b"".join(lines[:500]))
        Path(names["LINE"]).write_bytes(lines[0])
        builds = {name: names | {"OUT": f"{folder}/{name}"} for name in ("old", "new")}
        print(f"{'':36}{'old':>8}{'new':>8}   new / old")
        for name, line in COMMANDS.items():
            took = {build: [run(line, getattr(options, build), its)] for build, its in builds.items()}
            if options.only not in name:
                continue  # but for its file, which others may use
            for _ in range(options.runs):
                for build, its in builds.items():
                    took[build].append(run(line, getattr(options, build), its))
            if None in [*took["old"], *took["new"]]:
                print(f"{name:36}left out: it fails")
                continue
            pairs = list(zip(took["old"][1:], took["new"][1:], strict=True))
            old, new = (statistics.median(column) for column in zip(*pairs, strict=True))
            print(f"{name:36}{old:8.2f}{new:8.2f}   {statistics.median(n / o for o, n in pairs):.3f}", flush=True)


if __name__ == "__main__":
    main()
