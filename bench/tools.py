"""The tools of word2vec beside ours: phrases, accuracy; and a question to a large file."""

from __future__ import annotations

import filecmp
import math
import re
import subprocess
import sys
from pathlib import Path

import common
import objectives
import quality
from objectives import MIN_COUNT
from processes import CORES, alternate, core_counts, measure, median, output_of, table, yes

SIZE = 100
THRESHOLD = 100  # of phrases
MANY, WIDE = 1_000_000, 300  # words and dimensions of the large file
WRITE_LARGE = """
import sys
import numpy as np
import w2v.io
from corpora.text.vocab import WordList
from w2v.model import WordVectors
path, n, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
vectors = np.random.default_rng(1).standard_normal((n, size), np.float32)
w2v.io.save(WordVectors(WordList.of([b"word%d" % i for i in range(n)]), vectors, None), path, "native")
"""


def run(text: Path, place: Path, runs: int) -> None:
    phrases(text, place, runs)
    accuracy(text, place, runs)
    nearest(place, runs)


def phrases(text: Path, place: Path, runs: int) -> None:
    program = common.peer("WORD2PHRASE")
    ours, same, theirs = (place / f"phrases-{name}.txt" for name in ("ours", "same", "theirs"))
    command = [sys.executable, "-m", "w2v", "phrases", text, "--threshold", THRESHOLD, "--force", "-o"]
    rows = []
    for cores in core_counts():
        cases = {
            "w2v phrases": lambda cores=cores: measure([*command, ours, "--threads", cores], cores=cores),
            "w2v phrases --compatible": lambda cores=cores: measure(
                [*command, same, "--compatible", "--threads", cores], cores=cores
            ),
        }
        for case in cases.values():
            case()  # compiles where that is needed
        if program and cores == 1:
            options = ["-output", theirs, "-threshold", THRESHOLD, "-min-count", MIN_COUNT, "-debug", 0]
            cases["word2phrase"] = lambda options=options: measure([program, "-train", text, *options], cores=1)
        took = alternate(cases, runs)
        peer = median(took["word2phrase"]) if "word2phrase" in took else math.nan
        for name, each in took.items():
            ratio = "-" if name == "word2phrase" or math.isnan(peer) else f"{peer / median(each):.1f}"
            rows.append([name, cores, f"{median(each):.2f}", f"{max(one.peak for one in each):,.0f}", ratio])
    table(["", "cores", "seconds", "peak MiB", "word2phrase / it"], rows)
    if program:
        equal = filecmp.cmp(same, theirs, shallow=False)
        print(f"\n--compatible writes the bytes of word2phrase: {yes(equal)}")


def accuracy(text: Path, place: Path, runs: int) -> None:
    """On vectors of one epoch; those that an earlier call left in the work folder are taken."""
    vectors, questions = place / f"{text.stem}-tools.bin", common.data("wordsim/questions-words.txt")
    program = common.peer("COMPUTE_ACCURACY")
    if not vectors.exists():
        command = objectives.w2v("cbow-ns", text, vectors, size=SIZE, epochs=1, threads=len(CORES))
        measure(command, cores=len(CORES))
    ours = [sys.executable, "-m", "w2v", "accuracy", vectors, questions, "--restrict", quality.RESTRICT, "--threads", 1]
    theirs = [program, vectors, quality.RESTRICT]
    cases = {"w2v accuracy": lambda: measure(ours, cores=1)}
    if program:
        cases["compute-accuracy"] = lambda: measure(theirs, cores=1, stdin=questions)
    took = alternate(cases, runs)
    rows = [[name, f"{median(each):.2f}", f"{max(one.peak for one in each):,.0f}"] for name, each in took.items()]
    table(["one core", "seconds", "peak MiB"], rows)
    found = quality.report("accuracy", vectors, questions, "--restrict", quality.RESTRICT)
    counts = [(part["correct"], part["seen"]) for part in found["sections"] if part["seen"]]
    print(f"\nw2v: {found['total']['correct']} of {found['total']['seen']} questions")
    if program:
        with questions.open("rb") as lines:
            out = subprocess.run([*map(str, theirs)], stdin=lines, capture_output=True).stdout.decode(errors="replace")
        equal = [(int(a), int(b)) for a, b in re.findall(r"TOP1: .*\((\d+) / (\d+)\)", out)]
        equal = [pair for pair in equal if pair != (0, 1)]  # its way of saying that nothing was seen
        print(f"compute-accuracy finds the same in every section: {yes(equal == counts)}")


def nearest(place: Path, runs: int) -> None:
    """Whole processes.  The file is in the system's memory, as far as that holds it."""
    large = place / "large.w2v"
    if not large.exists():
        output_of(WRITE_LARGE, large, MANY, WIDE)
    command = [sys.executable, "-m", "w2v", "nearest", large, "word4711"]
    measure(command, cores=len(CORES))
    cases = {cores: lambda cores=cores: measure(command, cores=cores) for cores in core_counts()}
    rows = [
        [
            cores,
            f"{median(each):.2f}",
            f"{max(one.seconds for one in each):.2f}",
            f"{max(one.peak for one in each):,.0f}",
        ]
        for cores, each in alternate(cases, runs).items()
    ]
    print(f"\nw2v nearest, one word of {MANY:,}, d={WIDE}, {large.stat().st_size / 1e6:,.0f} MB")
    table(["cores", "seconds", "slowest", "peak MiB"], rows)
