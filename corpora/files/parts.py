"""Files that are being written: ``NAME.part-PID-RANDOM`` beside NAME, until they are whole and take its name.

Created exclusively and without following links, under a name that nobody can foretell, with the permissions that
NAME has.  A process holds a lock on what it writes, so that the next one knows what a killed one has left.
"""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress

from corpora.files.locks import close, is_at, is_running, try_lock

_ENDING = re.compile(r"\.part-(\d{1,10})(-[0-9a-f]{16})?")
_NO_LINKS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)  # nor waiting for the reader of a pipe
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_own: set[str] = set()  # what this process is writing


def create(target: str, like: str | None = None) -> tuple[int, str]:
    """An empty file beside ``target``, open for writing: its descriptor and its name.

    Its permissions are those of ``target``, or if there is none those of ``like``, from the beginning; else they
    follow the umask.
    """
    old = next(filter(None, map(_status, filter(None, (target, like)))), None)
    permissions = 0o666 if old is None else stat.S_IMODE(old.st_mode)
    while True:
        part = f"{target}.part-{os.getpid()}-{os.urandom(8).hex()}"
        _own.add(part)
        try:
            descriptor = os.open(part, _CREATE, permissions & 0o777)
        except FileExistsError:
            _own.discard(part)
            continue
        except BaseException:
            _own.discard(part)
            raise
        try_lock(descriptor)
        if is_at(descriptor, part):  # and was not taken for a killed one's before it was locked
            break
        close(descriptor)
        _own.discard(part)
    if old is not None:
        _take_after(descriptor, part, old)
    return descriptor, part


def forget(part: str) -> None:
    """``part`` has been renamed or removed."""
    _own.discard(part)


def remove_left(target: str) -> None:
    """Remove the unfinished files beside ``target`` of processes that were killed."""
    directory, name = os.path.split(target)
    found = []
    with suppress(OSError), os.scandir(directory or ".") as entries:
        for entry in entries:
            if entry.name.startswith(name) and (match := _ENDING.fullmatch(entry.name, len(name))):
                found.append((os.path.join(directory, entry.name), int(match[1]), match[2] is not None))
    for path, process, is_locked in found:
        if path not in _own:
            with suppress(OSError):
                _remove_if_left(path, process, is_locked)


def _remove_if_left(path: str, process: int, is_locked: bool) -> None:
    """``is_locked``: by its writer; files of the first version are not."""
    if os.name == "nt":  # where an open file cannot be removed, nor renamed
        if not is_running(process):
            os.remove(path)
        return
    descriptor = _open_found(path)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return
        is_free = try_lock(descriptor)
        if is_free is None or (is_free and not is_locked):
            is_free = not is_running(process)
        if is_free and is_at(descriptor, path):
            os.remove(path)
    finally:
        close(descriptor)


def _open_found(path: str) -> int:
    try:
        return os.open(path, os.O_RDWR | _NO_LINKS)
    except PermissionError:
        return os.open(path, os.O_RDONLY | _NO_LINKS)


def _status(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except OSError:
        return None


def _take_after(descriptor: int, part: str, old: os.stat_result) -> None:
    """Owner, group and permissions of the file that is to be replaced, as far as they may be given."""
    permissions = stat.S_IMODE(old.st_mode)
    if hasattr(os, "fchown"):
        new = os.fstat(descriptor)
        if new.st_gid != old.st_gid:
            try:
                os.fchown(descriptor, -1, old.st_gid)
            except OSError:  # what the old group may do, another one may not for that
                permissions &= ~0o2070 | (permissions & 0o7) << 3
        if new.st_uid != old.st_uid:
            with suppress(OSError):
                os.fchown(descriptor, old.st_uid, -1)
    with suppress(OSError):
        if hasattr(os, "fchmod"):
            os.fchmod(descriptor, permissions)
        else:
            os.chmod(part, permissions)
