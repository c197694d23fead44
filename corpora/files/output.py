"""Writing: a file appears whole under its name or not at all, and an old one stays until then.

``-`` is standard output.  Devices and pipes (``/dev/null``, ``>(gzip > x.gz)``) are written to directly.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, BinaryIO

from corpora.errors import CorpusError
from corpora.files import parts
from corpora.files.locks import try_lock

if TYPE_CHECKING:
    import numpy as np

STDOUT = "-"
_BLOCK = 1 << 20  # elements of an array that are written at once


def check_output(path: str, force: bool = False, inputs: Iterable[str] = ()) -> None:
    """Raise CorpusError where ``path`` could not be written, so that a long job fails before it begins.

    That is: it exists and ``force`` is not given, it is a directory, its directory is missing or
    does not permit a new file, or it is one of ``inputs``, the files that the job reads.
    """
    if path == STDOUT:
        return
    if os.path.isdir(path):
        raise CorpusError(f"{path}: is a directory; give the name of a file")
    if _is_special(path):
        return
    if os.path.exists(path) and not force:
        raise CorpusError(f"{path}: already exists; `force` replaces it")
    if os.path.realpath(path) in {os.path.realpath(read) for read in inputs if read != STDOUT}:
        raise CorpusError(f"{path}: is read in this run as well; give the output another name")
    directory = os.path.dirname(os.path.realpath(path))
    if not os.path.isdir(directory):
        raise CorpusError(f"{path}: there is no directory {os.path.dirname(path) or directory}")
    if not os.access(directory, os.W_OK | os.X_OK):
        raise CorpusError(f"{path}: cannot be written (permission denied)")


@contextmanager
def replace_file(path: str, mode: str = "wb", like: str | None = None) -> Iterator[IO]:
    """A file to write, in mode "wb" or "w" (UTF-8), that takes its name when the block has ended well.

    Until then it is ``path.part-PID-RANDOM`` beside it; where the block fails, that is removed and an old
    ``path`` stays as it was.  What killed processes have left of the kind is removed first.
    A link's target is replaced, not the link.  The new file has the permissions of the old one, of ``like`` if there
    is no old one, or else those of the umask.
    Raises CorpusError for a full disk and whatever else the system refuses.
    """
    if mode not in ("wb", "w"):
        raise ValueError(f'mode {mode}: "wb" or "w"')
    if path == STDOUT:
        with _refusals("standard output"):
            file = sys.stdout.buffer if mode == "wb" else sys.stdout
            yield file
            file.flush()
        return
    if _is_special(path):
        with _refusals(path), _open(path, mode) as file:
            yield file
        return
    target = os.path.realpath(path)
    consequence = "; the old file is unchanged" if os.path.exists(target) else ""
    parts.remove_left(target)
    with _refusals(path, consequence):
        descriptor, part = parts.create(target, like)
    try:
        with _refusals(path, consequence):
            with _open(descriptor, mode) as file:
                yield file
                file.flush()
                os.fsync(file.fileno())  # some file systems find out only now that they are full
                if os.name != "nt":  # while it is locked, but Windows does not rename what is open
                    os.replace(part, target)
            if os.name == "nt":
                os.replace(part, target)
    except BaseException:
        with suppress(OSError):
            os.remove(part)
        raise
    finally:
        parts.forget(part)


def open_log(path: str) -> BinaryIO:
    """A file to write lines to that can be read at once, emptied; unbuffered, so that a full disk shows at once.

    CorpusError where it cannot be written, or another process is writing it.
    """

    def without_emptying(name: str, flags: int) -> int:
        return os.open(name, flags & ~os.O_TRUNC, 0o666)

    with _refusals(path):
        file = open(path, "wb", buffering=0, opener=without_emptying)  # noqa: SIM115 - the caller closes it
        try:
            if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                if try_lock(file.fileno()) is False:
                    raise CorpusError(f"{path}: is being written by another run; give the log another name")
                file.truncate(0)
        except BaseException:
            file.close()
            raise
        return file


def to_bytes(text: str) -> bytes:
    """UTF-8.  What was bytes before becomes these again; half a pair of surrogates, as JSON can hold, an escape."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace")


def write_npy(file: BinaryIO, array: np.ndarray) -> None:
    """Write an array as NumPy's ``.npy``; unlike ``np.save`` also into a pipe, and a full disk is reported as such."""
    from numpy.lib import format

    format.write_array_header_1_0(file, format.header_data_from_array_1_0(array))
    flat = array.reshape(-1)
    for start in range(0, flat.size, _BLOCK):
        file.write(memoryview(flat[start : start + _BLOCK]).cast("B"))


def _open(path: str | int, mode: str) -> IO:
    if mode == "wb":
        return open(path, mode)
    return open(path, mode, encoding="utf-8", errors="surrogateescape", newline="\n")


def _is_special(path: str) -> bool:
    """Whether ``path`` is there and is neither a file nor a directory."""
    try:
        kind = os.stat(path).st_mode
    except OSError:
        return False
    return not stat.S_ISREG(kind) and not stat.S_ISDIR(kind)


@contextmanager
def _refusals(place: str, consequence: str = "") -> Iterator[None]:
    """The system's refusals to write, as one line that names the place.

    An error of a write has no file name; one of another file, which the block may read, has.
    A closed pipe is for the command to handle.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        own = error.filename is None or str(error.filename).startswith((place, os.path.realpath(place)))
        if not own:
            raise
        raise CorpusError(f"{place}: cannot be written ({error.strerror or error}){consequence}") from error
