"""Ctrl-C at any moment from the first instruction of a command to its last: one line, 130, and no traceback."""

import os
import signal
import subprocess
import sys
import time

import pytest

from corpora.command import entry
from corpora.command.options import _terminate
from tests.cli.conftest import ENVIRONMENT

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")

# Ctrl-C when so many functions have been called or left
AT = """
import signal, sys
from importlib import import_module
at, package = int(sys.argv[1]), sys.argv[2]
sys.argv[:] = sys.argv[2:]
main = import_module(package + ".__main__").main
n = 0
def count(frame, event, argument):
    global n
    n += 1
    if n == at:
        sys.setprofile(None)
        signal.raise_signal(signal.SIGINT)
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.setprofile(count)
sys.exit(main())
"""
AT_THE_END = """
import atexit, signal, sys, {package}.__main__
sys.argv[:] = ["{package}", "--version"]
signal.signal(signal.SIGINT, signal.default_int_handler)
code = {package}.__main__.main()
atexit.register(signal.raise_signal, signal.SIGINT)
sys.exit(code)
"""


def python(code, *arguments, **options):
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, check=False, **options)
    return done.returncode, done.stdout, done.stderr


# from the command's own modules to the compiler, which this command loads before it waits for input
@pytest.mark.parametrize("at", [2, 5, 30, 300, 3000, 20_000, 60_000, 200_000, 300_000])
def test_ctrl_c_while_modules_are_loaded(at):
    reader, writer = os.pipe()
    try:
        found = python(AT, str(at), "corpora", "stats", "-", stdin=reader, timeout=100)
    finally:
        os.close(reader)
        os.close(writer)
    assert found == (130, b"", b"Interrupted.\n")


@pytest.mark.parametrize("package", ["corpora", "rnnlm", "w2v"])
def test_ctrl_c_while_python_ends(package):
    code, out, err = python(AT_THE_END.format(package=package))
    assert (code, err) == (130, b"Interrupted.\n")
    assert out.startswith(package.encode())  # all that was done is there


def test_a_signal_waits_while_a_module_is_loaded(tmp_path, monkeypatch):
    (tmp_path / "slow_module.py").write_text(
        "import signal, time\nsignal.raise_signal(number)\nloaded = True\n".replace("number", str(int(signal.SIGTERM)))
    )
    monkeypatch.syspath_prepend(tmp_path)
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        with pytest.raises(SystemExit) as leaving:
            load_and_wait()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert leaving.value.code == 143
    assert sys.modules.pop("slow_module").loaded


def load_and_wait():
    import slow_module  # noqa: F401

    time.sleep(30)


def test_a_signal_waits_for_a_finalizer(monkeypatch):
    monkeypatch.setattr(entry, "_send_again", lambda *arguments: None)
    found = []

    class Finalized:
        def __del__(self):
            found.append(entry.postponed(signal.SIGINT, sys._getframe()))

    Finalized()
    assert found == [True]
    assert not entry.postponed(signal.SIGINT, sys._getframe())


def test_what_is_ignored_stays_ignored():
    """As for a command that a script has started in the background."""
    code = "import signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); from corpora.__main__ import main\n"
    code += "sys.argv[1:] = ['--version']; code = main(); signal.raise_signal(signal.SIGINT); sys.exit(code)"
    code, _, err = python(code)
    assert (code, err) == (0, b"")
