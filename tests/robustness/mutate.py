"""Damage files of every format, and use them: no command may die by a signal, show a traceback or hang.

    python -m tests.robustness.mutate [-n MUTATIONS] [--seed S] [--keep FOLDER] [FORMAT ...]

A good file of each format is damaged in MUTATIONS ways (bits, runs, blocks, numbers, fields, values of tensors), and
each result goes through the commands that read such files, in processes that are forked in batches.  A command may
read it, or refuse it in one line.  The table says how many were ``read`` by some command, and how many were
``refused`` by all; whatever else happened is an offence, whose file is kept in FOLDER with what was said.  Exit
status 1 if there was one.  The same seed makes the same mutations: ``-n 1 --first 17 ARPA`` tries number 17 again.
NUMBA_BOUNDSCHECK=1, with a NUMBA_CACHE_DIR of its own, also finds indices out of range that do no harm.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

if __name__ == "__main__":  # also as a file
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.robustness.mutating.trial import OUTCOMES, Tally, try_all

MUTATIONS = 500  # of each format


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("formats", nargs="*", metavar="FORMAT", help="by default all; a part of the name is enough")
    parser.add_argument("-n", type=int, default=MUTATIONS, metavar="MUTATIONS", help="of each format, %(default)s")
    parser.add_argument("--first", type=int, default=0, metavar="NUMBER", help="of the first mutation")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="for offending files; by default a temporary one")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    options = parser.parse_args(argv)
    folder = options.keep or Path(tempfile.mkdtemp(prefix="mutations-"))
    folder.mkdir(parents=True, exist_ok=True)
    tallies = run(
        options.formats, range(options.first, options.first + options.n), options.seed, folder, options.processes
    )
    offences = sum(len(tally.offences) for tally in tallies)
    if offences:
        print(f"{offences} offences; their files are in {folder}")
    elif options.keep is None:
        folder.rmdir()
    return int(offences > 0)


def run(formats: list[str], numbers: range, seed: int, folder: Path, processes: int) -> list[Tally]:
    """Try these mutations of the formats whose names contain one of ``formats`` (none: of all), and print the table."""
    from tests.robustness.mutating.samples import make, try_good

    with tempfile.TemporaryDirectory() as good:
        samples = make(Path(good))
        chosen = [s for s in samples.values() if not formats or any(part in s.name for part in formats)]
        for sample in chosen:
            try_good(sample, Path(good))
    print(f"{'format':22} {'mutations':>9} " + " ".join(f"{name:>10}" for name in OUTCOMES) + "   seconds")
    tallies = []
    for sample in chosen:
        began = time.monotonic()
        tally = try_all(sample, numbers, seed, folder, processes)
        tallies.append(tally)
        counts = " ".join(f"{tally.counts[name]:10d}" for name in OUTCOMES)
        print(f"{sample.name:22} {len(numbers):9d} {counts} {time.monotonic() - began:9.1f}", flush=True)
    return tallies


if __name__ == "__main__":
    sys.exit(main())
