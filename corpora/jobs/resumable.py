"""Long jobs that may be interrupted or killed: what stands beside their output, and who may write it.

``OUTPUT.checkpoint`` holds the whole state of a run that has not ended; it stands for the right to write the outputs.
``OUTPUT.lock`` is there while a run goes on, so that there is one at a time.  It stays when a run is killed, and
tells the next one which of its other outputs (a log, a vocabulary) the killed run had begun: these are replaced.
"""

from __future__ import annotations

import json
import os
import platform
import stat
import weakref
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import combinations

from corpora.errors import CorpusError
from corpora.files import locks, parts
from corpora.files.output import STDOUT, check_output

_CHECKPOINT = ".checkpoint"
_KIND = "lock of a run"
_LONGEST = 1 << 20  # bytes of a lock; another file of that name may be of any size


def checkpoint_of(output: str) -> str:
    """The file beside an output that holds a whole interrupted run."""
    return output + _CHECKPOINT


def output_of(checkpoint: str) -> str:
    """The output that a checkpoint stands beside."""
    return checkpoint.removesuffix(_CHECKPOINT)


def keeps_state(output: str) -> bool:
    """Whether there can be files beside an output: standard output and devices have none."""
    return output != STDOUT and (not os.path.exists(output) or os.path.isfile(output))


class Claim:
    """The right to write an output.  ``begun``: other outputs that a run which was killed had begun."""

    def __init__(self, path: str | None = None, descriptor: int | None = None, begun: Iterable[str] = ()):
        self._path, self._descriptor = path, descriptor
        self.begun = frozenset(begun)
        self._ours = list(self.begun)

    def may_replace(self, path: str) -> bool:
        return os.path.realpath(path) in self.begun

    def begins(self, paths: Iterable[str]) -> None:
        """Write down which of these are this run's own: those that are not there yet, or were begun by a killed run.

        CorpusError is not raised: a full disk is reported when something is lost by it.
        """
        paths = [os.path.realpath(path) for path in paths if keeps_state(path)]
        self._ours = sorted(self.begun.union(path for path in paths if not os.path.exists(path)))
        if self._descriptor is not None:
            with suppress(OSError):
                _write(self._descriptor, self._ours)

    def release(self, *, explained: bool) -> None:
        """Remove the lock, unless the run has left something that only the lock explains."""
        if self._descriptor is None:
            return
        if explained or not any(map(os.path.exists, self._ours)):
            if os.name == "nt":  # where an open file cannot be removed
                locks.close(self._descriptor)
            with suppress(OSError):
                os.remove(self._path)
        locks.close(self._descriptor)
        self._descriptor = None

    def close_in_child(self) -> None:
        """A forked process must not keep the lock when this one is gone."""
        if self._descriptor is not None:
            locks.close(self._descriptor)
            self._descriptor = None


_claims: weakref.WeakSet[Claim] = weakref.WeakSet()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: [claim.close_in_child() for claim in list(_claims)])


@contextmanager
def claim(output: str) -> Iterator[Claim]:
    """Be the only run that writes ``output``, by this name or through a link.  CorpusError where there is another.

    What killed runs have left unfinished beside it is removed.
    """
    target = os.path.realpath(output)
    if not keeps_state(output) or not os.access(os.path.dirname(target), os.W_OK | os.X_OK):
        yield Claim()  # there is no place for a lock; whether there is one for the output, check_outputs tells
        return
    claim = _take(output, f"{target}.lock")
    _claims.add(claim)
    ended = False
    try:
        parts.remove_left(target)
        parts.remove_left(os.path.realpath(checkpoint_of(output)))
        yield claim
        ended = True
    finally:
        claim.release(explained=ended or os.path.exists(target) or os.path.exists(checkpoint_of(output)))


def _take(output: str, path: str) -> Claim:
    while True:
        try:
            descriptor, is_new = _open(path)
        except OSError as error:
            raise CorpusError(f"{path}: cannot be written ({error.strerror or error})") from error
        try:
            is_free = locks.try_lock(descriptor)
            if is_free and not locks.is_at(descriptor, path):
                locks.close(descriptor)  # the other run has just ended, and removed it
                continue
            found = {} if is_new else _read(path, descriptor)
            process = found.get("process")
            if is_free is None:  # a file system without locks
                is_running = isinstance(process, int) and process != os.getpid() and locks.is_running(process)
                is_free = not is_running or found.get("machine") != platform.node()
            if not is_free:
                whose = f" (process {process} on {found.get('machine')})" if process else ""
                raise CorpusError(
                    f"{output}: is being written by another run{whose}: wait until it has ended, or give another name"
                )
            begun = found.get("begun", [])
            begun = [each for each in begun if isinstance(each, str)] if isinstance(begun, list) else []
            with suppress(OSError):
                _write(descriptor, begun)
            return Claim(path, descriptor, begun)
        except BaseException:
            locks.close(descriptor)
            raise


def _open(path: str) -> tuple[int, bool]:
    """The lock's file, and whether it is new.  Links are not followed."""
    flags = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        return os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o666), True
    except FileExistsError:
        pass
    try:
        return os.open(path, flags), False
    except FileNotFoundError:
        return _open(path)  # it was removed in between
    except PermissionError:  # of another user, who may have been killed
        return os.open(path, flags & ~os.O_RDWR | os.O_RDONLY), False


def _read(path: str, descriptor: int) -> dict:
    """What the run that made the lock says; CorpusError for another program's file, which is not to be lost."""
    content = b""
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        with suppress(OSError):
            os.lseek(descriptor, 0, os.SEEK_SET)
            content = os.read(descriptor, _LONGEST)
    else:
        content = b"no file"
    start = json.dumps({"kind": _KIND})[:-1].encode()
    if not content.startswith(start) and not start.startswith(content):
        raise CorpusError(f"{path}: not a lock of this program: move it away, or give the output another name")
    with suppress(ValueError):
        found = json.loads(content.partition(b"\n")[0])
        if isinstance(found, dict):
            return found
    return {}  # its process was killed while it wrote it


def _write(descriptor: int, begun: list[str]) -> None:
    line = {"kind": _KIND, "process": os.getpid(), "machine": platform.node(), "begun": begun}
    text = json.dumps(line).encode() + b"\n"
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.write(descriptor, text)  # in one piece: a kill leaves the old line or the new one
    os.truncate(descriptor, len(text))


def check_outputs(
    outputs: Mapping[str, str | None],
    force: bool = False,
    inputs: Iterable[str] = (),
    *,
    resumes: bool = False,
    claim: Claim | None = None,
) -> None:
    """CorpusError where one of ``outputs``, paths by what they are called (None: not wanted), cannot be written.

    That is also: it is another one as well, or one of ``inputs``, the files that are read.  A run that ``resumes``
    finds outputs of its own; so does one whose ``claim`` tells what a killed run had begun.
    """
    wanted = {name: path for name, path in outputs.items() if path is not None}
    inputs = list(inputs)
    for path in wanted.values():
        check_output(path, force or resumes or (claim is not None and claim.may_replace(path)), inputs)
    for (first, path), (second, other) in combinations(wanted.items(), 2):
        if os.path.realpath(path) == os.path.realpath(other):
            raise CorpusError(f"{other}: both {first} and {second}; give one of them another name")
    if claim is not None:
        claim.begins(list(wanted.values())[1:])
