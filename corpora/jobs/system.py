"""What a long job asks of the system: signals that let it end well, and how much memory is left."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

CONTROL_GROUP = "/sys/fs/cgroup"


@dataclass
class Interrupt:
    """``number``: the signal that asks to stop, None: none did."""

    number: int | None = None
    raises: bool = False

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Within this block, which must leave nothing half done, a signal that was noted raises KeyboardInterrupt."""
        self.raises = True
        try:
            if self.number is not None:
                raise KeyboardInterrupt
            yield
        finally:
            self.raises = False


@contextmanager
def polite_interrupt() -> Iterator[Interrupt]:
    """Ctrl-C, SIGTERM and SIGHUP are noted, to be looked at between two chunks; a second Ctrl-C interrupts at once."""
    interrupt = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return

    def handle(number, frame):
        if number == signal.SIGINT and interrupt.number is not None:
            raise KeyboardInterrupt
        interrupt.number = number
        if interrupt.raises:
            raise KeyboardInterrupt

    before = {}
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        # what is ignored (nohup, & in a script) or not Python's stays so
        if number is not None and signal.getsignal(number) not in (signal.SIG_IGN, None):
            before[number] = signal.signal(number, handle)
    try:
        yield interrupt
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def available_memory() -> int | None:
    """Bytes that can be taken without swapping, None where the system does not say."""
    known = [n for n in (_left_in_machine(), _left_in_container()) if n is not None]
    return min(known, default=None)


def resident_memory() -> int | None:
    """Bytes of memory that this process has now, None where the system does not say."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError, AttributeError):
        return None


def _left_in_machine() -> int | None:
    free = _entry("/proc/meminfo", "MemAvailable:")
    if free is not None:
        return free * 1024
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def _left_in_container() -> int | None:
    """What a control group's limit leaves, where there is one: /proc/meminfo tells of the whole machine."""
    for limit, used, cache in (
        ("memory.max", "memory.current", "file"),  # version 2
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "cache"),  # version 1
    ):
        most, now = (_entry(os.path.join(CONTROL_GROUP, name)) for name in (limit, used))
        if most is not None and now is not None:
            # files that were read count as used, but give way
            stat = os.path.join(CONTROL_GROUP, os.path.dirname(limit), "memory.stat")
            return max(0, most - now + (_entry(stat, cache) or 0))
    return None


def _entry(path: str, key: str | None = None) -> int | None:
    """The number in a file of one number, or after a key in one of many; None where there is none."""
    try:
        with open(path, encoding="ascii") as file:
            for line in file:
                fields = line.split()
                if key is None or fields[:1] == [key]:
                    return int(fields[0 if key is None else 1])
    except (OSError, ValueError, IndexError):
        pass
    return None


def trim_memory() -> None:
    """Give what the C library keeps of freed memory back to the system, where it can (glibc)."""
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def readable_size(n: float) -> str:
    """Bytes with a unit, for a reader."""
    for unit in ("bytes", "KB", "MB"):
        if n < 1000:
            return f"{n:.0f} {unit}"
        n /= 1000
    return f"{n:.1f} GB"
