"""Every kind of model and option with two builds of this project: the same bytes, or the name of what differs.

    python bench/same_bytes.py OLD NEW [--only PART_OF_A_NAME]

OLD and NEW: the folders with the commands of two environments, such as ``old/.venv/bin .venv/bin``.  Both run each
command in a folder of their own; compared are all files that the commands leave and what they print, without times and
words per second.  Exit status 1 if anything differs.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import common
import numpy as np

NET = "rnnlm train train.txt --valid valid.txt -o OUT --max-iter 2 --hidden 20 --threads 1 "
VECTORS = "w2v train train.txt -o OUT --format native --iter 2 --size 24 --min-count 1 --alpha 0.05 --threads 1 "
NGRAMS = "rnnlm ngram train.txt -o OUT --order 4 "
SMOOTHINGS = (
    "modified-kneser-ney", "kneser-ney", "witten-bell", "good-turing", "absolute", "additive", "stupid-backoff",
    "maximum-likelihood",
)  # fmt: skip
_TIMES = re.compile(rb" +[\d.,]+k? words/s +[\d.]+ s\b|words per second +[\d,.]+|[\d,.]+ +words per second")


def commands() -> dict[str, str]:
    """Name to command; OUT is the name as a file."""
    found = {}
    for activation, dtype in itertools.product(("logistic", "tanh", "relu", "elu"), ("float32", "float64")):
        rate = "0.1" if activation == "logistic" else "0.001"
        found[f"net-{activation}-{dtype}"] = NET + f"--class 5 --activation {activation} --dtype {dtype} --alpha {rate}"
    for name, options in {
        "softmax": "--class 1", "old-classes": "--class 5 --old-classes", "no-bptt": "--class 5 --bptt 0",
        "long-bptt": "--class 5 --bptt 7 --bptt-block 20", "compression": "--class 5 --compression 10",
        "direct": "--class 5 --direct 0.001", "everything": "--class 5 --compression 10 --direct 0.001 --independent",
        "independent": "--class 5 --independent", "seed": "--class 5 --seed 7", "large": "--class 9 --hidden 130",
        "xavier": "--class 5 --init xavier", "beta": "--class 5 --beta 1e-5 --alpha 0.05",
        "compatible": "--class 5 --compatible --dtype float64 --direct 0.001",
        "held-out": "--class 5 --min-count 2",
    }.items():  # fmt: skip
        found[f"net-{name}"] = NET + options
    for architecture, kind in itertools.product(
        ("", "--skipgram"), ("", "--dtype float64", "--hs --negative 0", "--hs", "--negatives exact", "--negative 12",
                             "--fixed-window", "--sample 0", "--deterministic --threads 2", "--size 100 --window 8")
    ):  # fmt: skip
        name = f"vectors{architecture or '--cbow'}{kind}".replace(" ", "").replace("--", "-")
        found[name] = VECTORS + f"{architecture} {kind}"
    found["vectors-text"] = VECTORS.replace("native", "text")
    found["vectors-binary"] = VECTORS.replace("native", "binary")
    for smoothing in SMOOTHINGS:
        found[f"ngrams-{smoothing}"] = NGRAMS + f"--smoothing {smoothing}"
        found[f"arpa-{smoothing}"] = NGRAMS + f"--smoothing {smoothing} --to arpa"
    found |= {
        "ngrams-pruned": NGRAMS + "--prune 1e-4",
        "ngrams-order-6": NGRAMS.replace("4", "6"),
        "ngrams-unk": NGRAMS + "--unk kenlm",
        "ngrams-cut": NGRAMS + "--min-count 1,2,2,3",
        "counts": "rnnlm ngram count train.txt -o OUT --order 3",
        "phrases": "w2v phrases train.txt -o OUT --threshold 1",
        "mix": "rnnlm mix -m net-seed -m ngrams-kneser-ney --tune valid.txt -o OUT",
        "ppl": "rnnlm ppl -m net-seed -m ngrams-kneser-ney valid.txt --report word",
        "ppl-mix": "rnnlm ppl -m mix valid.txt",
        "ppl-dynamic": "rnnlm ppl -m net-direct valid.txt --dynamic 0.1",
        "ppl-arpa": "rnnlm ppl -m arpa-witten-bell valid.txt",
        "compare": "rnnlm ppl --compare -m net-seed -m mix valid.txt",
        "surprisal": "rnnlm surprisal -m net-everything -m ngrams-good-turing -m mix valid.txt",
        "generate": "rnnlm generate -m net-seed --words 50 --seed 3",
        "converted": "rnnlm convert net-compatible -o OUT --to 0.4b-text",
        "info": "rnnlm info net-everything",
        "vocabulary": "corpora vocab train.txt",
        "statistics": "corpora stats train.txt valid.txt",
    }
    return found


def write_texts(folder: Path) -> None:
    """A text of a few hundred words with the frequencies of a real one, and sentences of 1 to 20 words."""
    rng = np.random.default_rng(5)
    words = np.array([f"w{i}" for i in range(400)])
    shares = 1 / np.arange(1, 401)
    for name, n in (("train", 3000), ("valid", 200)):
        sentences = (rng.choice(words, rng.integers(1, 20), p=shares / shares.sum()) for _ in range(n))
        (folder / f"{name}.txt").write_text("".join(" ".join(sentence) + "\n" for sentence in sentences))


def run(line: str, name: str, programs: str, folder: Path) -> tuple[int, str]:
    """Exit status and a checksum of what a command prints."""
    program, *arguments = line.replace("OUT", name).split()
    environment = os.environ | {"PYTHONHASHSEED": "0"}
    command = [str(Path(programs).resolve() / program), *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True)
    said = _TIMES.sub(b"", done.stdout)
    return done.returncode, hashlib.sha256(said).hexdigest()[:12] + (
        "" if done.returncode == 0 else done.stderr.decode()[-200:]
    )


def files(folder: Path) -> dict[str, str]:
    """Checksums of all files below a folder."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".log"
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old")
    parser.add_argument("new")
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    print(common.environment())
    n_same, other = 0, []
    with tempfile.TemporaryDirectory() as top:
        folders = {"old": Path(top, "old"), "new": Path(top, "new")}
        for folder in folders.values():
            folder.mkdir()
            write_texts(folder)
        for name, line in commands().items():
            if options.only not in name:
                continue
            old, new = (run(line, name, getattr(options, build), folder) for build, folder in folders.items())
            if old == new and old[0] == 0:
                n_same += 1
            else:
                other.append(name)
                print(f"{name}: {old} and {new}: {line}", flush=True)
        old, new = map(files, folders.values())
    differing = sorted(path for path in old.keys() | new.keys() if old.get(path) != new.get(path))
    print(f"{n_same} commands print the same, {len(other)} do not or fail")
    print(f"{len(old.keys() & new.keys()) - len(set(differing) & old.keys() & new.keys())} files are the same")
    for path in differing:
        print(f"differs: {path}")
    return 1 if other or differing else 0


if __name__ == "__main__":
    sys.exit(main())
