"""Ctrl-C and SIGTERM that arrive where Python cannot pass an exception on: in a callback from compiled code.

While a kernel is compiled a signal nearly always arrives there, as LLVM returns to Python by a callback only.  What the
signal's handler raises is dropped then, and what waits for the callback's work fails with an error of its own.
"""

from __future__ import annotations

import _thread
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_AGAIN = 0.05  # seconds


@contextmanager
def heard_in_callbacks() -> Iterator[None]:
    """Within this block a signal whose exception was dropped arrives once more, a moment later.

    An error that comes before that moment is the signal's: KeyboardInterrupt or SystemExit takes its place.
    """
    report, dropped, timers = sys.unraisablehook, [], []

    def hear(unraisable) -> None:
        error = unraisable.exc_value
        number = _number_of(error)
        if number is None:
            report(unraisable)
            return
        dropped.append(error)
        timers.append(threading.Timer(_AGAIN, _thread.interrupt_main, (number,)))
        timers[-1].daemon = True
        timers[-1].start()

    sys.unraisablehook = hear
    try:
        yield
    except Exception as error:
        if dropped:
            raise dropped[0] from error
        raise
    finally:
        sys.unraisablehook = report
        for timer in timers:
            timer.cancel()


def _number_of(error: BaseException | None) -> int | None:
    """The signal whose handler raised this, None where none did."""
    if isinstance(error, KeyboardInterrupt):
        return signal.SIGINT
    if isinstance(error, SystemExit) and isinstance(error.code, int) and error.code > 128:
        return error.code - 128
    return None
