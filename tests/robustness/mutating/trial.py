"""Trying mutations: in processes that are forked in batches, so that one that dies takes no other with it."""

from __future__ import annotations

import faulthandler
import json
import os
import shutil
import signal
import sys
import time
import traceback
import warnings
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tests.robustness.mutating.mutations import mutated

BATCH = 50  # mutations to a process
PATIENCE = 20.0  # seconds without a sign of life that are a hang
MEMORY = 6 << 30  # bytes that a process may ask for; beyond them "not enough memory" is an honest answer
OUTCOMES = ("read", "refused", "tracebacks", "warnings", "signals", "hangs")


@dataclass
class Sample:
    """A format.  ``files``: a good one and its companions, by name, of which ``target`` is mutated.

    ``commands``: (program, arguments, standard input), which are run in a folder of these files, one after another.
    ``wrap``, ``unwrap``: of compressed files, so that what is in them can be damaged as well.
    """

    name: str
    files: dict[str, bytes]
    target: str
    kind: str
    commands: list[tuple[str, list[str], bytes]]
    wrap: Callable[[bytes], bytes] | None = None
    unwrap: Callable[[bytes], bytes] | None = None

    def mutation(self, seed: int, number: int) -> bytes:
        rng = np.random.default_rng([seed, zlib.crc32(self.name.encode()), number])
        content = self.files[self.target]
        if self.wrap is None or rng.random() < 0.5:
            return mutated(content, "bytes" if self.wrap else self.kind, rng)
        return self.wrap(mutated(self.unwrap(content), self.kind, rng))


@dataclass
class Tally:
    """How many mutations of a format ended how; ``offences``: (number, outcome, what was said)."""

    name: str
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))
    offences: list[tuple[int, str, str]] = field(default_factory=list)

    def add(self, number: int, outcome: str, detail: str) -> None:
        self.counts[outcome] += 1
        if outcome not in ("read", "refused"):
            self.offences.append((number, outcome, detail))


def try_all(sample: Sample, numbers: range, seed: int, folder: Path, processes: int) -> Tally:
    """Try these mutations of a format; offending files stay in ``folder``, named by format and number."""
    tally, waiting, running = Tally(sample.name), [], []
    batches = [list(numbers[i : i + BATCH]) for i in range(0, len(numbers), BATCH)]
    waiting.extend(batches)
    while waiting or running:
        while waiting and len(running) < processes:
            running.append(_Batch(sample, waiting.pop(0), seed, folder))
        time.sleep(0.01)
        for batch in [batch for batch in running if batch.has_ended()]:
            running.remove(batch)
            for number, outcome, detail in batch.results():
                tally.add(number, outcome, detail)
                if outcome not in ("read", "refused"):
                    name = f"{sample.name}-{number}"
                    (folder / name).write_bytes(sample.mutation(seed, number))
                    (folder / f"{name}.said").write_text(f"{outcome}\n{detail}\n", "utf-8", "backslashreplace")
            if batch.left():
                waiting.append(batch.left())
    return tally


class _Batch:
    """A child process with some mutations; it writes a JSON line for each into a file, which the parent reads."""

    def __init__(self, sample: Sample, numbers: list[int], seed: int, folder: Path):
        self._numbers = numbers
        self._work = folder / f"work-{sample.name}-{numbers[0]}"
        shutil.rmtree(self._work, ignore_errors=True)
        (self._work / "in").mkdir(parents=True)
        self._log = self._work / "log"
        self._log.touch()
        self._hung, self._status = False, None
        sys.stdout.flush()
        sys.stderr.flush()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Python, about forking with threads: all of ours are at rest
            self._pid = os.fork()
        if not self._pid:
            try:
                _work(sample, numbers, seed, self._work, self._log)
            except BaseException:
                traceback.print_exc(file=sys.__stderr__)
                os._exit(77)
            os._exit(0)

    def has_ended(self) -> bool:
        pid, status = os.waitpid(self._pid, os.WNOHANG)
        if not pid and time.time() - self._log.stat().st_mtime > PATIENCE:
            self._hung = True
            os.kill(self._pid, signal.SIGKILL)
            pid, status = os.waitpid(self._pid, 0)
        if not pid:
            return False
        self._status = status
        lines = self._log.read_text("utf-8").splitlines()
        self._results = [tuple(json.loads(line)) for line in lines if line.startswith("[")]
        begun = [int(line) for line in lines if not line.startswith("[")]
        if status and len(begun) > len(self._results):
            number = begun[-1]
            command, errors = ((self._work / name).read_text("utf-8", "replace") for name in ("command", "stderr"))
            said = f"{command}\n{errors[:2000]}"
            how = f"no end after {PATIENCE:g} s" if self._hung else f"status {status}: " + (
                signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else "exit"
            )  # fmt: skip
            self._results.append((number, "hangs" if self._hung else "signals", f"{how}\n{said}"))
        elif status:
            raise RuntimeError(f"the process of a batch failed by itself (status {status})")
        shutil.rmtree(self._work, ignore_errors=True)
        return True

    def results(self) -> list[tuple[int, str, str]]:
        return self._results

    def left(self) -> list[int]:
        return self._numbers[len(self._results) :]


def _work(sample: Sample, numbers: list[int], seed: int, work: Path, log: Path) -> None:
    """The child: its standard streams are files, its memory is bounded."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for fd, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(work / name, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND), fd)
    faulthandler.enable(file=sys.__stderr__, all_threads=False)
    os.environ["RNNLM_TRACEBACK"] = "1"
    os.chdir(work / "in")
    with open(log, "a", buffering=1, encoding="utf-8") as out:
        for number in numbers:
            out.write(f"{number}\n")
            _lay_out(sample, sample.mutation(seed, number))
            outcome, detail = _tried(sample, log)
            out.write(json.dumps([number, outcome, detail]) + "\n")


def _lay_out(sample: Sample, content: bytes) -> None:
    """The current directory holds the sample's files, the target damaged, and nothing else."""
    for path in Path().iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name not in sample.files:
            path.unlink()
    for name, good in {**sample.files, sample.target: content}.items():
        with suppress(FileNotFoundError):
            os.unlink(name)
        Path(name).write_bytes(good)


def _tried(sample: Sample, log: Path) -> tuple[str, str]:
    outcome = "refused"
    for program, arguments, stdin in sample.commands:
        log.with_name("command").write_text(f"{program} {' '.join(arguments)}")
        os.utime(log)
        given = Path(stdin[1:].decode()).read_bytes() if stdin.startswith(b"@") else stdin
        how, detail = called(program, arguments, given)
        if how == "read":
            outcome = "read"
        elif how != "refused":
            return how, f"{program} {' '.join(arguments)}\n{detail}"
    return outcome, ""


def called(program: str, arguments: list[str], stdin: bytes = b"") -> tuple[str, str]:
    """Run a command in this process: how it ended, and what it said.  Its streams are the process's own."""
    import importlib

    from corpora.errors import CorpusError

    run = importlib.import_module(f"{program}.cli").run
    with open(".stdin", "wb") as file:
        file.write(stdin)
    fd = os.open(".stdin", os.O_RDONLY)
    os.dup2(fd, 0)
    os.close(fd)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    for fd in (1, 2):
        os.ftruncate(fd, 0)
    said = ""
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            code = run(arguments)
    except (CorpusError, MemoryError) as error:
        return _line("refused", str(error) or "memory", warned)
    except OSError as error:
        return _line("refused", str(error), warned) if error.strerror else ("tracebacks", traceback.format_exc())
    except SystemExit as error:
        return "refused", f"exit {error.code}"
    except BaseException:
        return "tracebacks", traceback.format_exc()
    sys.stderr.flush()
    if code:
        with open(2, "rb", closefd=False) as file:
            file.seek(0)
            said = file.read().decode("utf-8", "replace")
    return _line("refused" if code else "read", said, warned)


def _line(outcome: str, message: str, warned: list) -> tuple[str, str]:
    told = [w for w in warned if issubclass(w.category, RuntimeWarning | UserWarning)]
    if told:
        lines = dict.fromkeys(f"{w.filename}:{w.lineno}: {w.category.__name__}: {w.message}" for w in told)
        return "warnings", "\n".join(lines)
    return outcome, message
