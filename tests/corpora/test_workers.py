"""Tokenizing in processes: the same tokens as in one thread, and nothing left behind however it ends."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import corpora.text.workers
from corpora.errors import CorpusError
from corpora.text.stream import encode
from corpora.text.tokenizers import TOKENIZERS, get_tokenizer

ROOT = Path(__file__).resolve().parents[2]
TEXT = "Er sagte: „Nein!“, 3,5-mal. It's\t<unk> \xa0吾輩は猫である。\n\n".encode() + b"caf\xe9 \x00 </s> x\r\n" + b"end"
needs_fugashi = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("fugashi", "unidic_lite"))), reason="the extra `ja` is not installed"
)
on_linux = pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="looks for processes in /proc")
kinds = [
    *(pytest.param(name, lower, marks=needs_fugashi if name == "japanese" else ())
      for name in TOKENIZERS for lower in (False, True) if name != "whitespace" or lower)
]  # fmt: skip


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text"
    path.write_bytes(TEXT * 100)
    return str(path)


@pytest.fixture
def eager(monkeypatch):
    """Processes for a text of any size; the list of those that were started."""
    started = []

    class Recorded(subprocess.Popen):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            started.append(self)

    monkeypatch.setattr(corpora.text.workers.subprocess, "Popen", Recorded)
    for cls in TOKENIZERS.values():
        monkeypatch.setattr(cls, "worth_processes", 0)
    return started


def result(text, tokenizer, **options):
    with encode([text], tokenizer, **options) as stream:
        return stream.ids.tolist(), list(stream.vocab.words), stream.n_sentences, stream.text_bytes


@pytest.mark.parametrize(("name", "lower"), kinds)
def test_processes_give_what_one_thread_gives(text, eager, name, lower):
    tokenizer = get_tokenizer(name, lower)
    alone = result(text, tokenizer, threads=1, chunk_size=1000)
    assert eager == []  # one means one
    assert result(text, tokenizer, threads=2, chunk_size=1000) == alone
    assert 1 <= len(eager) <= 2
    assert all(process.poll() is not None for process in eager)


def test_a_small_text_does_not_wait_for_processes(text, monkeypatch):
    monkeypatch.setattr(corpora.text.workers.subprocess, "Popen", None)  # calling it would fail
    result(text, get_tokenizer("word"), threads=4, chunk_size=1000)


def test_processes_start_when_more_text_comes_than_its_size_said(text, eager, monkeypatch):
    monkeypatch.setattr(TOKENIZERS["word"], "worth_processes", 4000)
    monkeypatch.setattr("corpora.text.stream.text_size", lambda files: None)  # a pipe's
    alone = result(text, get_tokenizer("word"), threads=1, chunk_size=1000)
    assert result(text, get_tokenizer("word"), threads=2, chunk_size=1000) == alone
    assert eager


@pytest.mark.parametrize("how", ["no processes", "another program", "no such tokenizer there"])
def test_where_no_process_can_help_the_thread_does_it(text, eager, monkeypatch, how):
    tokenizer = get_tokenizer("word")
    alone = result(text, tokenizer, threads=1)
    if how == "no processes":
        monkeypatch.setattr(corpora.text.workers.subprocess, "Popen", refusing)
    elif how == "another program":
        monkeypatch.setattr(corpora.text.workers, "_START", "print('something else')")
    else:
        monkeypatch.setattr(type(tokenizer), "spec", "of-a-script")
    assert result(text, tokenizer, threads=2) == alone


def refusing(*arguments, **options):
    raise BlockingIOError(11, "Resource temporarily unavailable")


def test_a_process_that_is_killed_is_one_line(text, eager, monkeypatch):
    is_ready = corpora.text.workers._Worker.is_ready

    def is_ready_and_killed(self):
        found = is_ready(self)
        self._process.kill()
        return found

    monkeypatch.setattr(corpora.text.workers._Worker, "is_ready", is_ready_and_killed)
    with pytest.raises(CorpusError, match=r"^a process that tokenizes the text .*; `threads` 1 does without such"):
        result(text, get_tokenizer("word"), threads=2, chunk_size=100)
    assert all(process.poll() is not None for process in eager)


def test_an_error_there_is_told_here(text, eager, monkeypatch):
    broken = "import corpora.text.tokenizers as t; t.WordTokenizer._split_line = lambda self, line: 1 / 0; "
    monkeypatch.setattr(corpora.text.workers, "_START", corpora.text.workers._START.replace("from", broken + "from", 1))
    with pytest.raises(CorpusError, match=r"^ZeroDivisionError: division by zero$"):
        result(text, get_tokenizer("word"), threads=2)


def test_a_script_needs_no_main_guard(text):
    script = f"""
from corpora.text.stream import encode
from corpora.text.tokenizers import get_tokenizer, WordTokenizer
WordTokenizer.worth_processes = 0
with encode([{text!r}], get_tokenizer("word"), threads=2, chunk_size=1000) as stream:
    print(stream.n_sentences)
"""
    done = subprocess.run([sys.executable, "-"], input=script.encode(), cwd=ROOT, capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")
    assert int(done.stdout) == 4 * 100 + 1  # a literal </s> ends a sentence, too


@on_linux
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_process_outlives_the_command(tmp_path, number):
    command = [sys.executable, "-m", "corpora", "vocab", "-", "--tokenizer", "word", "--threads", "2"]
    with subprocess.Popen(
        [*command, "-o", str(tmp_path / "vocab")], cwd=ROOT, stdin=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        workers = []
        while len(workers) < 2:
            process.stdin.write(b"word " * 100_000 + b"\n")
            workers = children(process.pid)
        process.send_signal(number)
        error = process.stderr.read().decode()
        code = process.wait(20)
    if number == signal.SIGKILL:
        assert code == -signal.SIGKILL
    else:
        assert code == (130 if number == signal.SIGINT else 143)
        assert error.splitlines()[-1:] == (["Interrupted."] if number == signal.SIGINT else [])
    assert os.listdir(tmp_path) == []
    deadline = time.monotonic() + 10
    while any(map(is_alive, workers)):
        assert time.monotonic() < deadline, "a worker is still there"
        time.sleep(0.01)


def children(pid: int) -> list[int]:
    return [
        int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
    ]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
