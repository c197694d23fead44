"""The help of the rnnlm command: complete, quick, and every example of it runs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from corpora.cli import run as run_corpora
from rnnlm.cli import rnnlm as group

ROOT = Path(__file__).resolve().parents[2]


def commands():
    """(name, command) of all, those that belong to another before it."""
    for name, command in group.commands.items():
        for below, subcommand in getattr(command, "commands", {}).items():
            yield f"{name} {below}", subcommand
        yield name, command


def help_examples():
    for name, command in commands():
        lines = [line.strip() for line in command.help.rstrip().splitlines()]
        examples = lines[lines.index("Example:") + 1 :]
        assert examples, f"the help of {name} has no example"
        yield from examples


def test_every_example_of_the_help_runs_in_the_order_of_the_commands(folder, rnnlm, monkeypatch, capfdbinary):
    for path in folder.iterdir():
        path.unlink()
    for line in help_examples():
        if line.startswith("corpora"):
            arguments, target = line.removeprefix("corpora ").split(" > ")
            assert run_corpora(arguments.split()) == 0
            (folder / target).write_bytes(capfdbinary.readouterr().out)
        else:
            before, _, command = line.rpartition(" | ")
            stdin = re.fullmatch(r'echo "(.*)"', before)[1].encode() + b"\n" if before else b""
            code, _, err = rnnlm(command.removeprefix("rnnlm "), stdin)
            assert code == 0, (line, err)
    assert {path.name for path in folder.iterdir()} == {
        "sentences.txt", "elman.rnnlm", "elman.txt", "lstm.rnnlm", "best.rnnlm", "lstm.safetensors", "kn3.lm",
        "kn3.arpa.gz", "gt2.arpa", "wb3.lm", "mix.json", "counts.gz", "twice.gz",
    }  # fmt: skip


def test_every_command_is_in_the_help(done):
    listing = done("--help")
    for name in group.commands:
        assert re.search(rf"^  {name} +\S", listing, re.M)
    for name, _ in commands():
        assert done(f"{name} --help").startswith(f"Usage: rnnlm {name} ")


@pytest.mark.parametrize("line", ["--help", "train --help", "--version"])
def test_help_loads_neither_numpy_nor_numba(line):
    script = (
        "import sys, time; from rnnlm.cli import run; code = run(sys.argv[1:]);"
        "print(code, [m for m in ('numpy', 'numba', 'scipy', 'tqdm', 'safetensors', 'pooch') if m in sys.modules],"
        " time.process_time(), file=sys.stderr)"
    )
    times = []
    for _ in range(3):  # the best of several, because other work of the machine must not fail this
        command = [sys.executable, "-c", script, *line.split()]
        found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        code, modules, seconds = found.stderr.split()
        assert (code, modules) == ("0", "[]")
        times.append(float(seconds))
    assert min(times) < 0.2
