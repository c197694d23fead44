"""Locks of files, which the system gives back when a process ends, however it ends."""

from __future__ import annotations

import errno
import os
from contextlib import suppress

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None
    import msvcrt

_BEYOND = 1 << 30  # on Windows a locked byte cannot be read: one that no file of ours has
_TAKEN = (errno.EAGAIN, errno.EACCES, errno.EWOULDBLOCK, getattr(errno, "EDEADLK", errno.EAGAIN))


def try_lock(descriptor: int) -> bool | None:
    """Lock an open file for this process alone until it is closed.  False: another has it.  None: no locks here.

    Some file systems have none, and some only for files that are open for writing.
    """
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            place = os.lseek(descriptor, 0, os.SEEK_CUR)
            os.lseek(descriptor, _BEYOND, os.SEEK_SET)
            try:
                msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            finally:
                os.lseek(descriptor, place, os.SEEK_SET)
    except OSError as error:
        return False if error.errno in _TAKEN else None
    return True


def is_at(descriptor: int, path: str) -> bool:
    """Whether ``path`` still is the name of this open file."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except OSError:
        return False


def is_running(process: int) -> bool:
    """Whether there is a process of this number on this machine, as far as one can see."""
    if process <= 0:
        return False
    if os.name == "nt":  # where os.kill would end it
        import ctypes

        handle = ctypes.windll.kernel32.OpenProcess(0x1000, False, process)  # PROCESS_QUERY_LIMITED_INFORMATION
        if handle:
            ctypes.windll.kernel32.CloseHandle(handle)
        return bool(handle)
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # one of another user
        return True
    return True


def close(descriptor: int) -> None:
    """Close an open file, whatever the system says to it."""
    with suppress(OSError):
        os.close(descriptor)
