"""The help of the w2v command: every example in it runs."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from corpora.cli import run as run_corpora
from w2v import io
from w2v.cli import w2v as group
from w2v.model import WordVectors

ROOT = Path(__file__).resolve().parents[2]
WORDS = ["</s>", "king", "queen", "man", "woman", "new", "york", *(f"word{i}" for i in range(60))]
TEXTS = {
    "text.txt": "the queen lives in new york\nthe bank of england is old\n" * 10,
    "questions-words.txt": ": family\nman woman king queen\n: gram1\nword1 word2 word3 word4\n",
    "pairs.tsv": "king\tqueen\t8\nking\tword1\t2\n",
    "words.tsv": "king\t1\nqueen\t2\n",
}
WRITTEN = {
    "train": {"sentences.txt", "elman.w2v"},
    "phrases": {"phrases.txt", "pairs.tsv", "joined.txt"},
    "cluster": {"classes.txt"},
    "align": {"turned.bin"},
    "vectors": {"rows.txt"},
    "convert": {"vectors.bin", "vectors.txt.gz"},
}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The current directory with the files that the examples speak of."""
    monkeypatch.chdir(tmp_path)
    for name, text in TEXTS.items():
        (tmp_path / name).write_text(text)
    rng = np.random.default_rng(1)
    words = [word.encode() for word in WORDS]
    for name in ("vectors.w2v", "vectors.bin", "later.bin"):
        io.save(WordVectors(words, rng.normal(size=(len(words), 6)).astype(np.float32)), name, io.format_for(name))
    return tmp_path


@pytest.mark.parametrize("name", list(group.commands))
def test_every_example_of_the_help_runs(name, here, w2v_done, capfdbinary):
    lines = [line.strip() for line in group.commands[name].help.rstrip().splitlines()]
    assert "Example:" in lines
    written = WRITTEN.get(name, set())
    for path in written:
        (here / path).unlink(missing_ok=True)
    before = {path.name for path in here.iterdir()}
    for line in lines[lines.index("Example:") + 1 :]:
        command, _, target = line.partition(" > ")
        source, _, command = command.rpartition(" | ")
        program, _, arguments = command.partition(" ")
        if program == "corpora":
            assert run_corpora(arguments.split()) == 0
            output = capfdbinary.readouterr().out
        else:
            assert program == "w2v"
            output = w2v_done(arguments, made_by(source)).encode()
        if target:
            (here / target).write_bytes(output)
    assert {path.name for path in here.iterdir()} - before == written


def made_by(command):
    """What the first half of a pipe writes: nothing, `echo` or `cut`."""
    if command == "cut -f1 words.tsv":
        return b"king\nqueen\n"
    return re.fullmatch(r'echo "(.*)"', command)[1].encode() + b"\n" if command else b""


def test_every_command_is_in_the_help(w2v_done):
    listing = w2v_done("--help")
    for name in group.commands:
        assert re.search(rf"^  {name} +\S", listing, re.M)
        assert w2v_done(f"{name} --help").startswith(f"Usage: w2v {name} ")


@pytest.mark.parametrize("line", ["--help", "train --help", "nearest --help", "--version"])
def test_help_loads_neither_numpy_nor_numba(line):
    script = (
        "import sys; from w2v.cli import run; code = run(sys.argv[1:]);"
        "heavy = {'numpy', 'numba', 'scipy', 'tqdm', 'safetensors'};"
        "print(code, sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    command = [sys.executable, "-c", script, *line.split()]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stderr.split() == ["0", "[]"]
