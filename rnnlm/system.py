"""What a long job asks of the system: signals that let it end well, and how much memory is left."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class Interrupt:
    """``number``: the signal that asks to stop, None: none did."""

    number: int | None = None


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
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def readable_size(n: float) -> str:
    """Bytes with a unit, for a reader."""
    for unit in ("bytes", "KB", "MB"):
        if n < 1000:
            return f"{n:.0f} {unit}"
        n /= 1000
    return f"{n:.1f} GB"
