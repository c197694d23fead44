"""The way into a command and out of it: Ctrl-C is one line and status 130 at any moment, never a traceback.

An exception in the middle of a module that is being loaded could be taken for an error of its own; in a finalizer or
in a callback of LLVM it would be dropped: the signal is sent again a moment later, until it comes elsewhere.
When the work is done and Python takes itself down, there is nothing left to unwind, and the process ends at once.
"""

from __future__ import annotations

import _thread
import atexit
import os
import signal
import time
from types import FrameType

INTERRUPTED = 130
_LOADER = "<frozen importlib"
_LLVM = f"{os.sep}llvmlite{os.sep}"
_AGAIN = 0.02  # seconds
_is_heard = False
_arrivals = 0  # of signals, also those that were sent again


def command(module: str) -> int:
    """Run the command whose ``run`` is in this module; the exit status."""
    _on_ctrl_c(_interrupt)
    atexit.register(_on_ctrl_c, signal.SIG_IGN)  # the very last: the rest takes a moment, and cannot be interrupted
    try:
        from importlib import import_module

        try:
            return import_module(module).run()
        finally:
            _on_ctrl_c(_leave)
    except KeyboardInterrupt:  # before the command took care of it, or once more when it had
        _tell()
        return INTERRUPTED


def postponed(number: int, frame: FrameType | None) -> bool:
    """Whether a signal has come where nothing may be raised; it is then sent once more, and nothing is to be done."""
    global _arrivals
    _arrivals += 1
    while frame is not None:
        code = frame.f_code
        if code.co_filename.startswith(_LOADER) or _LLVM in code.co_filename or code.co_name == "__del__":
            _thread.start_new_thread(_send_again, (number, _thread.get_ident(), _arrivals))
            return True
        frame = frame.f_back
    return False


def _send_again(number: int, main_thread: int, arrivals: int) -> None:
    handler = signal.getsignal(number)
    while True:
        time.sleep(_AGAIN)
        if _arrivals != arrivals:
            return
        if hasattr(signal, "pthread_kill"):
            signal.pthread_kill(main_thread, number)
        else:
            _thread.interrupt_main(number)
        # once more if need be: in the moment before it waits for input, a thread notes a signal and waits nevertheless
        if signal.getsignal(number) is not handler:
            return


def _on_ctrl_c(handler) -> None:
    # what is ignored (& in a script) stays so
    if signal.getsignal(signal.SIGINT) in (signal.default_int_handler, _interrupt, _leave):
        signal.signal(signal.SIGINT, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    if not postponed(number, frame):
        global _is_heard
        _is_heard = True
        raise KeyboardInterrupt


def _leave(number: int, frame: FrameType | None) -> None:
    if not _is_heard:  # then the command has told
        _tell()
    os._exit(INTERRUPTED)


def _tell() -> None:
    try:  # noqa: SIM105 - contextlib takes a while to load
        os.write(2, b"Interrupted.\n")
    except OSError:  # standard error is closed
        pass
