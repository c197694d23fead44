"""Tokenizing in processes of their own, because threads of one Python tokenize one after another.

A worker is a second Python that reads pieces of text from a pipe and answers each with its tokens.  It loads
neither NumPy nor the caller's main module (as multiprocessing would, where it spawns), so that it is there in a
tenth of a second and scripts need no ``if __name__ == "__main__"``.  It ends when its pipe does: none outlives the
process that started it, however that ends.

    request   8 bytes, the length (little-endian), and the text
    answer    a byte, 0 or FAILED, 8 bytes, the length, and the tokens or, FAILED, a line that says what is wrong
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from contextlib import suppress

from corpora.errors import CorpusError
from corpora.jobs import second_python
from corpora.text.tokenizers import Tokenizer, from_spec

_HELLO = b"tokenizing\n"
_FAILED = 1
_START = "from corpora.text.workers import serve; serve(sys.argv[1])"
_PATIENCE = 10.0  # seconds for a process that was told to end


class Workers:
    """Splits pieces of a text for several threads, each with a worker of its own from piece ``first`` on.

    Earlier pieces are split in the thread itself, and all of them where processes cannot be started.
    """

    def __init__(self, tokenizer: Tokenizer, first: int):
        self._tokenizer, self._first = tokenizer, first
        self._thread = threading.local()
        self._lock = threading.Lock()
        self._workers: list[_Worker] = []
        self._closed = False

    def split(self, number: int, text: bytes) -> bytes:
        """The tokens of piece ``number``.  CorpusError where the worker has come to an end."""
        if number < self._first:
            return self._tokenizer.split(text)
        if not hasattr(self._thread, "worker"):
            self._thread.worker = self._start()
        worker = self._thread.worker
        return self._tokenizer.split(text) if worker is None else worker.split(text)

    def close(self) -> None:
        """End all workers, whatever they are doing."""
        with self._lock:
            self._closed = True
        for worker in self._workers:
            worker.end()

    def _start(self) -> _Worker | None:
        with self._lock:
            if self._closed:
                raise CorpusError("the text is no longer needed")
            try:
                worker = _Worker(self._tokenizer.spec)
            except OSError:  # too many processes, or no Python to start
                return None
            self._workers.append(worker)
        return worker if worker.is_ready() else None


class _Worker:
    def __init__(self, spec: str):
        self._process = second_python.start(_START, spec, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def is_ready(self) -> bool:
        """Whether it has begun to serve: waits for that."""
        return self._process.stdout.read(len(_HELLO)) == _HELLO

    def split(self, text: bytes) -> bytes:
        requests, answers = self._process.stdin, self._process.stdout
        status, answer = b"", b""
        with suppress(OSError, ValueError):  # a pipe that has no other end; one that end() closed
            requests.write(len(text).to_bytes(8, "little"))
            requests.write(text)
            requests.flush()
            status, answer = answers.read(1), _read_frame(answers)
        if not status or answer is None:
            raise CorpusError(f"{self._last_words()}; `threads` 1 does without such processes")
        if status[0] == _FAILED:
            raise CorpusError(answer.decode("utf-8", "replace"))
        return answer

    def end(self) -> None:
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                pipe.close()
        self._process.wait()

    def _last_words(self) -> str:
        try:
            code = self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            return "a process that tokenizes the text does not answer"
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit status {code}"
        return f"a process that tokenizes the text {how}"


def _read_frame(pipe) -> bytes | None:
    """A length and what it announces; None where the pipe ends before."""
    head = pipe.read(8)
    if len(head) < 8:
        return None
    size = int.from_bytes(head, "little")
    content = pipe.read(size)
    return content if len(content) == size else None


def serve(spec: str) -> None:
    """What a worker does until its standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    tokenizer = from_spec(spec)
    with suppress(OSError):  # whoever asked is gone
        answers.write(_HELLO)
        answers.flush()
        while (text := _read_frame(requests)) is not None:
            status, answer = 0, b""
            try:
                answer = tokenizer.split(text)
            except Exception as error:
                status, answer = _FAILED, f"{type(error).__name__}: {error}".encode("utf-8", "replace")
            answers.write(bytes([status]) + len(answer).to_bytes(8, "little"))
            answers.write(answer)
            answers.flush()
