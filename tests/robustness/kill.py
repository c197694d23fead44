"""kill -9 at random moments of ``rnnlm train``, ``w2v train`` and ``rnnlm ngram``: nothing is lost, nothing is left.

    python tests/robustness/kill.py [--kills 150] [--seed 1]

A command runs, is killed after a random part of the time that it takes, and runs again, until it has ended.  Then its
output must be, to the bit, that of a command that was not killed; no other file may be there, and no error may have
been told.  At every kill, the output that a killed run had kept must still be whole.  Some of the kills come while
kernels are compiled: their cache is new then.  Prints one table; the exit status is 1 if anything was wrong.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WRONG = ("Traceback", "Error", "Exception", "Warning", "OMP", "Fatal")
EXPECTED = "discounts of modified Kneser-Ney"  # of a text of so few words
PATIENCE = 600.0  # seconds
COLD = 0.03  # of all kills: each may take a minute


@dataclass
class Job:
    """``sides``: what is written beside the output.  ``old``: a file that --force replaces."""

    name: str
    options: str
    output: str
    sides: tuple[str, ...] = ()
    old: str | None = None
    expected: dict[str, bytes] = field(default_factory=dict)  # of an undisturbed run
    expected_files: set[str] = field(default_factory=set)
    seconds: float = 0.0
    seen: Counter = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-m", *self.options.split()]


TRAIN = "rnnlm train text --valid valid -o m --hidden 30 --class 5 --max-iter 6 --threads 1"
VECTORS = "w2v train text -o v --size 60 --iter 40 --min-count 1"
JOBS = [
    Job("rnnlm train", f"{TRAIN} --log log --direct 0.5", "m", ("log",)),
    Job("rnnlm train, many checkpoints", f"{TRAIN} --checkpoint 0.001 --direct 0.5", "m"),
    Job("rnnlm train, --force, epochs not kept", f"{TRAIN} --force --alpha 1.5 --min-improvement 0.001", "m", old="m"),
    Job("w2v train", f"{VECTORS} --threads 1 --log log --save-vocab vocab", "v", ("log", "vocab")),
    Job("w2v train, many checkpoints", f"{VECTORS} --threads 1 --checkpoint 0.001", "v"),
    Job("w2v train, --deterministic, --force", f"{VECTORS} --threads 2 --deterministic --force", "v", old="v"),
    Job("rnnlm ngram", "rnnlm ngram text -o n.lm --order 5", "n.lm"),
    Job("rnnlm ngram, in files", "rnnlm ngram text -o n.arpa --order 4 --memory 200M --tmp tmp", "n.arpa"),
]


def write_texts(folder: Path) -> None:
    """Sentences of few words that follow one another by a rule, so that there is something to learn."""
    rng = random.Random(7)
    for name, n in (("text", 12_000), ("valid", 300)):
        lines = []
        for _ in range(n):
            word, line = rng.randrange(400), []
            for _ in range(rng.randrange(3, 15)):
                line.append(f"w{word}")
                word = (word * 7 + rng.randrange(4)) % 400
            lines.append(" ".join(line) + "\n")
        (folder / name).write_text("".join(lines))


class Place:
    """A folder with the texts, in which a job runs."""

    def __init__(self, texts: Path, cache: Path):
        self.folder = Path(tempfile.mkdtemp(prefix="place-", dir=texts.parent))
        self.errors = self.folder.with_suffix(".errors")
        for path in texts.iterdir():
            shutil.copy(path, self.folder)
        (self.folder / "tmp").mkdir()
        self.environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
            "NUMBA_CACHE_DIR": str(cache),
        }

    def start(self, job: Job) -> subprocess.Popen:
        with self.errors.open("wb") as errors:
            return subprocess.Popen(
                job.command, cwd=self.folder, env=self.environment, stdout=subprocess.DEVNULL, stderr=errors,
                start_new_session=True,
            )  # fmt: skip

    def finish(self, job: Job) -> int:
        return self.start(job).wait(PATIENCE)

    def said(self) -> str:
        return self.errors.read_text("utf-8", "replace")

    def files(self) -> set[str]:
        return {str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file()}

    def content(self, job: Job) -> dict[str, bytes]:
        return {name: self._timeless(name) for name in (job.output, *job.sides)}

    def _timeless(self, name: str) -> bytes:
        """A file without how long it took."""
        content = (self.folder / name).read_bytes()
        if name != "log":
            return content
        import json

        lines = [json.loads(line) for line in content.splitlines()]
        kept = [line for line in lines if line.get("kind") != "progress"]
        timeless = [{k: v for k, v in line.items() if k not in ("seconds", "words_per_second")} for line in kept]
        return json.dumps(timeless).encode()

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.errors.unlink(missing_ok=True)


def measure(job: Job, texts: Path, cache: Path) -> None:
    """What the job gives and how long it takes, undisturbed; the first time it compiles."""
    for _ in range(2):
        place = Place(texts, cache)
        _prepare(job, place)
        began = time.monotonic()
        if place.finish(job):
            sys.exit(f"{job.name}: {place.said()}")
        job.seconds = time.monotonic() - began
        job.expected = place.content(job)
        job.expected_files = place.files()
        place.remove()


def _prepare(job: Job, place: Place) -> None:
    if job.old is not None:
        (place.folder / job.old).write_bytes(b"an older file\n")


def kill_until_it_ends(job: Job, place: Place, rng: random.Random, kills: int, seconds: float) -> int:
    """Run the job, kill it up to ``kills`` times, then let it end; how often it was killed.

    Half of the moments are drawn from all of its time, half from its end, where files are written.
    """
    _prepare(job, place)
    killed = 0
    while killed < kills:
        process = place.start(job)
        share = rng.random() if rng.random() < 0.5 else rng.uniform(0.5, 1.1)
        try:
            code = process.wait(share * seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            code = process.wait()
        if code != -signal.SIGKILL:
            job.seen["ended before it was killed"] += 1
            _check_end(job, place, code)
            return killed
        killed += 1
        _look(job, place)
        if rng.random() < 0.25:
            break
    _check_end(job, place, place.finish(job))
    return killed


def _look(job: Job, place: Place) -> None:
    """What a kill has left: no error on the terminal, and an output that is whole."""
    _check_said(job, place, place.said())
    left = place.files() - job.expected_files
    for name in left:
        for kind in (".checkpoint", ".lock"):
            if name.endswith(kind):
                job.seen[f"left a {kind[1:]}"] += 1
        if ".part-" in name:
            job.seen["left an unfinished file"] += 1
    output = place.folder / job.output
    if output.exists() and output.read_bytes() != b"an older file\n":
        job.seen["left a model" if job.output == "m" else "left its output"] += 1
        _check_whole(job, place)
    elif job.old is not None and not output.exists():
        job.faults.append("the older file is gone")


def _check_whole(job: Job, place: Place) -> None:
    if job.output != "m":
        if place.content(job)[job.output] != job.expected[job.output]:
            job.faults.append(f"{job.output} is not what an undisturbed run writes")
        return
    from rnnlm import load

    try:
        load(place.folder / "m")
    except Exception as error:
        job.faults.append(f"the model is damaged: {error}")


def _check_end(job: Job, place: Place, code: int) -> None:
    said = place.said()
    refusal = f"Error: {job.output}: already exists; --force replaces it"
    if code == 1 and said.splitlines()[-1:] == [refusal]:
        job.seen["had ended when it was killed"] += 1  # so that the same command has nothing to do
    elif code:
        job.faults.append(f"exit status {code}: {said.strip()[-300:]}")
        return
    else:
        _check_said(job, place, said)
        job.seen["went on"] += "going on from" in said
    found = place.content(job)
    for name, content in job.expected.items():
        if found[name] != content:
            job.faults.append(f"{name} differs from that of an undisturbed run")
    files = place.files()
    if files != job.expected_files:
        job.faults.append(f"files: {sorted(files ^ job.expected_files)}")


def _check_said(job: Job, place: Place, said: str) -> None:
    for line in said.splitlines():
        if line.startswith(WRONG) and EXPECTED not in line:
            job.faults.append(f"said {line!r}")


def main(kills: int, seed: int, jobs: list[Job] = JOBS, cold: float = COLD, cache: Path | None = None) -> int:
    """``cold``: the share of kills while kernels are compiled.  ``cache``: those that are compiled already."""
    rng = random.Random(seed)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="kill-") as folder:
        texts, cache = Path(folder) / "texts", cache or Path(folder) / "cache"
        texts.mkdir()
        write_texts(texts)
        counts = Counter()
        for job in jobs:
            measure(job, texts, cache)
        compiling = round(kills * cold)
        for n in range(compiling):
            job = jobs[n * 3 % len(jobs)]
            new = Path(folder) / f"cache-{n}"
            place = Place(texts, new)
            counts[job.name] += kill_until_it_ends(job, place, rng, 1, max(30.0, 10 * job.seconds))
            job.seen["killed with a new cache"] += 1
            place.remove()
            shutil.rmtree(new, ignore_errors=True)
        while (left := kills - sum(counts.values())) > 0:
            job = min(jobs, key=lambda job: counts[job.name])
            place = Place(texts, cache)
            counts[job.name] += kill_until_it_ends(job, place, rng, min(left, 6), job.seconds)
            place.remove()
    _print(jobs, counts, time.monotonic() - began)
    return 1 if any(job.faults for job in jobs) else 0


def _print(jobs: list[Job], counts: Counter, seconds: float) -> None:
    print(f"{'':38} {'seconds':>7} {'killed':>6} {'faults':>6}  what the kills met")
    for job in jobs:
        seen = ", ".join(f"{what} {n}" for what, n in sorted(job.seen.items()) if n)
        print(f"{job.name:38} {job.seconds:7.1f} {counts[job.name]:6} {len(job.faults):6}  {seen}")
    faults = sum(len(job.faults) for job in jobs)
    print(f"{'total':38} {seconds:7.0f} {sum(counts.values()):6} {faults:6}")
    for job in jobs:
        for fault in job.faults:
            print(f"{job.name}: {fault}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=150)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    sys.exit(main(options.kills, options.seed))
