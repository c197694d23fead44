"""A second Python beside this one: it finds the same modules, and nothing of the folder that a user stands in."""

from __future__ import annotations

import subprocess
import sys

# "python -c" looks for modules in the working folder first: that of a text can hold a select.py
_BEGIN = "import sys; n = int(sys.argv.pop(1)); sys.path[:] = sys.argv[n + 1:]; del sys.argv[n + 1:]; "


def start(code: str, *arguments: str, stdin: int, stdout: int) -> subprocess.Popen:
    """Start a process that runs ``code`` with ``sys.argv[1:]`` as given; OSError where there is none to start.

    It is no part of the terminal's foreground group: Ctrl-C is for the process that started it.
    """
    if not sys.executable or getattr(sys, "frozen", False):
        raise OSError("there is no interpreter to start")
    if sys.platform == "win32":
        apart = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    else:
        apart = {"start_new_session": True}
    command = [sys.executable, "-c", _BEGIN + code, str(len(arguments)), *arguments, *sys.path]
    return subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=subprocess.DEVNULL, **apart)
