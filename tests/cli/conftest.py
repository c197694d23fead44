"""What the tests of the rnnlm command share: a way to call it, small texts, and one trained model."""

import hashlib
import importlib
import io
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
TRAINING = "--hidden 6 --class 4 --max-iter 3 --seed 2"


def _called_in_process(package):
    def call(line, stdin=b""):
        run = importlib.import_module(f"{package}.cli").run
        streams = [io.TextIOWrapper(io.BytesIO(stdin)), *(io.TextIOWrapper(io.BytesIO(), "utf-8") for _ in range(2))]
        with pytest.MonkeyPatch.context() as patch:
            for name, stream in zip(("stdin", "stdout", "stderr"), streams, strict=True):
                patch.setattr(sys, name, stream)
            code = run(shlex.split(line))
            for stream in streams[1:]:
                stream.flush()
        return code, *(stream.buffer.getvalue().decode() for stream in streams[1:])

    return call


def _doing_well(command):
    def done(line, stdin=b""):
        code, out, err = command(line, stdin)
        assert code == 0, err
        return out

    return done


@pytest.fixture(scope="session")
def rnnlm():
    """rnnlm(line, stdin=b"") -> (exit code, output, errors): the command, in this process."""
    return _called_in_process("rnnlm")


@pytest.fixture(scope="session")
def done(rnnlm):
    """done(line, stdin=b"") -> output of a command that must do well."""
    return _doing_well(rnnlm)


@pytest.fixture(scope="session")
def start_rnnlm():
    """start_rnnlm(line, **options of Popen) -> the command as a process of its own."""

    def start(line, **options):
        command = [sys.executable, "-m", "rnnlm", *shlex.split(line)]
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        return subprocess.Popen(command, env=ENVIRONMENT, **{**pipes, **options})

    return start


@pytest.fixture(scope="session")
def trained(tmp_path_factory, rnnlm):
    """A folder: train.txt, valid.txt and test.txt by the grammar of Elman (1990), and small.rnnlm, trained on them."""
    from corpora.data.grammars import GRAMMARS

    folder = tmp_path_factory.mktemp("trained")
    rng = np.random.default_rng(5)
    for name, n in (("train", 2400), ("valid", 300), ("test", 200)):
        lines = (f"{sentence}\n" for sentence in GRAMMARS["elman1990"].generate(n, rng))
        (folder / f"{name}.txt").write_text("".join(lines), "ascii")
    text = f"{folder}/train.txt --valid {folder}/valid.txt"
    code, _, err = rnnlm(f"train {text} -o {folder}/small.rnnlm {TRAINING}")
    assert code == 0, err
    return folder


@pytest.fixture
def folder(trained, tmp_path, monkeypatch):
    """The current directory, with copies of these files."""
    for path in trained.iterdir():
        shutil.copy(path, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def more_models(trained, rnnlm, tmp_path_factory):
    """A folder: other.rnnlm, a recurrent model by another seed, and kn3.lm, n-grams of order 3."""
    more = tmp_path_factory.mktemp("more")
    text = f"{trained}/train.txt"
    for line in (
        f"train {text} --valid {trained}/valid.txt -o {more}/other.rnnlm {TRAINING.replace('--seed 2', '--seed 5')}",
        f"ngram {text} -o {more}/kn3.lm",
    ):
        code, _, err = rnnlm(line)
        assert code == 0, err
    return more


@pytest.fixture
def models(folder, more_models):
    """The current directory, with copies of these files too."""
    for path in more_models.iterdir():
        shutil.copy(path, folder)
    return folder


@pytest.fixture
def contents(folder):
    """contents() -> the files below the current directory and checksums of them."""

    def contents():
        return {
            str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in folder.rglob("*")
            if path.is_file()
        }

    return contents


@pytest.fixture
def refused(rnnlm, contents):
    """refused(line, code, *parts): the command ends with this code and one line that has the parts; no file changes."""

    def refused(line, code, *parts):
        before = contents()
        found, out, err = rnnlm(line)
        assert found == code, err
        errors = [text for text in err.splitlines() if text.startswith("Error: ")]
        assert len(errors) == 1
        assert "Traceback" not in err
        if code == 2:
            command = "ngram count" if line.startswith("ngram count") else line.split()[0]
            assert err == f"{errors[0]}\nTry 'rnnlm {command} --help'.\n"
        else:
            assert err.splitlines()[-1] == errors[0]
        assert out == ""
        for part in parts:
            assert part in errors[0]
        assert contents() == before

    return refused


@pytest.fixture(scope="session")
def w2v():
    """w2v(line, stdin=b"") -> (exit code, output, errors): the command, in this process."""
    return _called_in_process("w2v")


@pytest.fixture(scope="session")
def w2v_done(w2v):
    """w2v_done(line, stdin=b"") -> output of a command that must do well."""
    return _doing_well(w2v)
