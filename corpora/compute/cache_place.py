"""The folders where compiled code is kept, so that a full disk or a folder without permission stops no command.

Code lasts in NUMBA_CACHE_DIR, if that is set, else beside its source or in the user's cache.  Where none of these can
be written it goes into a private folder of the temporary place.  As code that is loaded is code that runs, nothing is
read from a folder there that somebody else could have prepared.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache

import platformdirs

from corpora.compute import machine
from corpora.files import locks

_closed: dict[str, OSError] = {}  # folders that could not be written, in this process, and why
_told = False


@cache
def lasting_folders(source_folder: str) -> tuple[tuple[str, str], ...]:
    """Where code of a source folder lasts, the best first: the folder, and which one a reader of the note knows."""
    name = _name_of(source_folder)
    chosen = machine.setting("CACHE_DIR")
    if chosen:
        return ((os.path.join(chosen, name), chosen),)
    own = platformdirs.user_cache_dir("numba", appauthor=False)
    beside = os.path.join(source_folder, "__pycache__")
    return (beside, beside), (os.path.join(own, name), own)


def _name_of(source_folder: str) -> str:
    return (
        f"{os.path.basename(source_folder)}_{hashlib.sha1(source_folder.encode(errors='surrogateescape')).hexdigest()}"
    )


def read(source_folder: str, name: str):
    """Yield the contents of the files of a name, of the best folder first."""
    for folder, root in lasting_folders(source_folder):
        if not _is_foreign(folder, root):
            yield from _contents(os.path.join(folder, name))
    private = _private_folder(False)
    if private:
        yield from _contents(os.path.join(private, _name_of(source_folder), name))


def _is_foreign(folder: str, root: str) -> bool:
    """Whether a folder is there that others could have prepared: HOME can be /tmp.  What the user names is trusted."""
    chosen = bool(machine.setting("CACHE_DIR")) or folder == root  # beside its source, code is as safe as the source
    return not chosen and os.path.lexists(folder) and not is_trusted(folder)


def _contents(path: str):
    with suppress(OSError), open(path, "rb") as file:
        yield file.read()


def write(source_folder: str, name: str, content: bytes) -> str | None:
    """Write a file into the first folder that takes it; returns the folder, None if none does."""
    lasting = lasting_folders(source_folder)
    for folder, root in lasting:
        if root not in _closed and _written(folder, root, name, content):
            return folder
    private = _private_folder(True)
    if private and private not in _closed:
        folder = os.path.join(private, _name_of(source_folder))
        if _written(folder, private, name, content):
            _tell(lasting[-1][1], f"it is kept in {private}")
            return folder
    _tell(lasting[-1][1], "every process compiles it anew")
    return None


def _written(folder: str, root: str, name: str, content: bytes) -> bool:
    if _is_foreign(folder, root):
        _closed[root] = PermissionError(errno.EPERM, "it is not this user's")
        return False
    path = os.path.join(folder, name)
    beside = f"{path}.{uuid.uuid4().hex}"
    try:
        os.makedirs(folder, exist_ok=True)
        try:
            # complete under its name or not there at all, also where two processes write it at once
            with open(beside, "xb") as file:
                file.write(content)
            os.replace(beside, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(beside)
            raise
    except OSError as error:
        if os.name == "nt" and error.errno == errno.EACCES and os.path.exists(path):
            return True  # another process reads or has just written it
        _closed[root] = error
        return False
    return True


@contextmanager
def claimed(source_folder: str, name: str) -> Iterator[bool]:
    """Whether this process alone may make the file of a name now; True also where there is no place for locks."""
    path, descriptor = "", None
    for folder, root in lasting_folders(source_folder):
        if descriptor is None and root not in _closed and not _is_foreign(folder, root):
            path = os.path.join(folder, f"{name}.lock")
            with suppress(OSError):
                os.makedirs(folder, exist_ok=True)
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    is_free = descriptor is None or locks.try_lock(descriptor) is not False
    if descriptor is not None and is_free and not locks.is_at(descriptor, path):
        is_free = False  # it was removed in between; the next attempt makes another
    try:
        yield is_free
    finally:
        if descriptor is not None:
            if is_free:
                with suppress(OSError):
                    os.unlink(path)
            locks.close(descriptor)


def _tell(folder: str, instead: str) -> None:
    global _told
    if _told or sys.stderr is None:
        return
    _told = True
    reason = _closed[folder].strerror or _closed[folder]
    print(
        f"Note: compiled code cannot be kept in {folder}: {reason}; {instead}. Set NUMBA_CACHE_DIR to another folder.",
        file=sys.stderr,
    )


def is_trusted(folder: str) -> bool:
    """Whether a folder is the user's or the administrator's, no link, and not for everybody to write."""
    try:
        status = os.lstat(folder)
    except OSError:
        return False
    if not stat.S_ISDIR(status.st_mode):
        return False
    if not hasattr(os, "geteuid"):
        return True  # Windows: the user's cache and temporary folders are the user's own
    return status.st_uid in (os.geteuid(), 0) and not status.st_mode & stat.S_IWOTH


def _private_folder(create: bool) -> str | None:
    """This user's folder in the temporary place, found by its owner and mode; its name cannot be foretold."""
    found = _found_private_folder()
    if found or not create:
        return found
    place = _temporary_place()
    if place is None:
        return None
    with suppress(OSError):
        tempfile.mkdtemp(prefix=_prefix(), dir=place)  # mode 0700
    _found_private_folder.cache_clear()
    return _found_private_folder()


def _prefix() -> str:
    return f"rnnlm-w2v-code-{os.geteuid() if hasattr(os, 'geteuid') else 'own'}-"


@cache
def _found_private_folder() -> str | None:
    place = _temporary_place()
    if place is None:
        return None
    try:
        names = sorted(name for name in os.listdir(place) if name.startswith(_prefix()))
    except OSError:
        return None
    return next((path for name in names if _is_private(path := os.path.join(place, name))), None)


def _is_private(folder: str) -> bool:
    if not is_trusted(folder):
        return False
    if not hasattr(os, "geteuid"):
        return True
    status = os.lstat(folder)  # group and others have no say in a folder like this
    return status.st_uid == os.geteuid() and stat.S_IMODE(status.st_mode) == 0o700


@cache
def _temporary_place() -> str | None:
    """The system's place for temporary files, unless it is only the working folder or others can exchange folders."""
    try:
        place = tempfile.gettempdir()
        status = os.stat(place)
    except OSError:
        return None
    if status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX and hasattr(os, "geteuid"):
        return None
    usual = {os.environ.get(name) for name in ("TMPDIR", "TEMP", "TMP")} | {"/tmp", "/var/tmp", "/usr/tmp"}
    return None if place == os.getcwd() and place not in usual else place
