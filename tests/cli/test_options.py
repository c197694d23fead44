"""From errors to one line and an exit code: the wrapper that every command runs in."""

import ctypes
import errno
import os
import signal
import sys
import time
import warnings

import click
import numpy as np
import pytest

from corpora.command import options
from corpora.errors import CorpusError, FormatError


def group_that(action):
    @click.group(name="tool", context_settings=options.HELP_OPTIONS)
    @options.version_option
    def tool():
        """A tool."""

    @tool.command()
    @click.option("--number", type=click.IntRange(1, 3), default=1)
    @click.option("--other", default=None)
    @options.seed_option
    @click.pass_context
    def do(context, number, other, seed):
        """Do it."""
        action(context)

    return tool


def run(action, capsys, *argv):
    code = options.run(group_that(action), argv or ["do"])
    out, err = capsys.readouterr()
    return code, out, err


def raising(error):
    def action(context):
        raise error

    return action


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (CorpusError("a.txt: no words"), "a.txt: no words"),
        (FormatError("a.vocab", 3, "bad count"), "a.vocab:3: bad count"),
        (ValueError("--hidden 0: at least 1"), "--hidden 0: at least 1"),
        (ValueError(), "ValueError"),
        (ValueError("two\n  lines"), "two lines"),
        (OSError(errno.ENOSPC, "No space left on device"), "the output: No space left on device"),
        (PermissionError(errno.EACCES, "Permission denied", "x.txt"), "x.txt: Permission denied"),
        (MemoryError(), "not enough memory"),
        (MemoryError("Unable to allocate 9 TiB"), "not enough memory: Unable to allocate 9 TiB"),
    ],
)
def test_an_error_is_one_line_and_exit_code_1(error, line, capsys):
    assert run(raising(error), capsys) == (1, "", f"Error: {line}\n")


def test_the_environment_can_ask_where_an_error_came_from(monkeypatch, capsys):
    monkeypatch.setenv("RNNLM_TRACEBACK", "1")
    with pytest.raises(ValueError, match="here"):
        run(raising(ValueError("here")), capsys)


def test_a_bug_is_not_hidden(capsys):
    with pytest.raises(ZeroDivisionError):
        run(raising(ZeroDivisionError()), capsys)


def test_ctrl_c_is_one_line_and_130(capsys):
    assert run(raising(KeyboardInterrupt()), capsys) == (130, "", "Interrupted.\n")


def in_a_callback(number):
    """The signal arrives while C calls Python, as LLVM does at the end of a compilation: what is raised is dropped."""
    ctypes.CFUNCTYPE(None)(lambda: signal.raise_signal(number))()


@pytest.mark.parametrize("fails", [False, True])
def test_ctrl_c_in_a_callback_of_compiled_code_is_not_lost(capsys, fails):
    def action(context):
        in_a_callback(signal.SIGINT)
        if fails:
            raise RuntimeError("no compiled object yet")
        for _ in range(200):
            time.sleep(0.05)

    assert run(action, capsys) == (130, "", "Interrupted.\n")


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_sigterm_in_a_callback_of_compiled_code_is_not_lost(capsys):
    def action(context):
        in_a_callback(signal.SIGTERM)
        raise RuntimeError("no compiled object yet")

    with pytest.raises(SystemExit) as ended:
        run(action, capsys)
    assert ended.value.code == 143


def test_other_errors_in_callbacks_are_reported_as_ever(capsys):
    def action(context):
        ctypes.CFUNCTYPE(None)(lambda: 1 / 0)()
        raise CorpusError("a.txt: no words")

    reported = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "unraisablehook", lambda unraisable: reported.append(unraisable.exc_type))
        assert run(action, capsys) == (1, "", "Error: a.txt: no words\n")
        assert sys.unraisablehook.__name__ == "<lambda>"
    assert reported == [ZeroDivisionError]


@pytest.mark.parametrize("asked_for", [False, True])
def test_warnings_of_numpy_are_not_for_the_terminal_unless_python_is_asked_for_them(monkeypatch, capsys, asked_for):
    monkeypatch.setattr(sys, "warnoptions", ["always"] if asked_for else [])
    warned = []
    monkeypatch.setattr(warnings, "showwarning", lambda message, *where: warned.append(str(message)))

    def action(context):
        np.float64(1e308) * np.float64(10.0)

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert run(action, capsys) == (0, "", "")
    assert bool(warned) == asked_for


def test_a_closed_pipe_is_silent(capsys):
    assert run(raising(BrokenPipeError(errno.EPIPE, "closed")), capsys) == (0, "", "")


@pytest.mark.parametrize(
    ("argv", "found"),
    [
        (["do", "--number", "4"], "'--number': 4 is not in the range 1<=x<=3"),
        (["do", "--nubmer", "1"], "--nubmer"),
        (["do", "x"], "unexpected extra argument (x)"),
        (["don't"], "No such command"),
        (["do", "--seed", "-1"], "0<=x<=4294967295"),
    ],
)
def test_wrong_usage_is_two_lines_and_exit_code_2(argv, found, capsys):
    code, out, err = run(lambda context: None, capsys, *argv)
    assert (code, out) == (2, "")
    first, second = err.splitlines()
    assert first.startswith("Error: ")
    assert found in first
    assert second.startswith("Try 'tool")
    assert second.endswith("--help'.")


def test_help_and_version_go_to_standard_output(capsys):
    code, out, err = run(None, capsys, "-h")
    assert (code, err) == (0, "")
    assert "A tool." in out
    code, out, err = run(None, capsys, "--version")
    assert (code, err) == (0, "")
    assert out.startswith("tool (rnnlm-w2v) ")


def test_options_that_exclude_each_other_are_named(capsys):
    def action(context):
        options.refuse_together(context, "number", "other")

    assert run(action, capsys, "do", "--number", "1")[0] == 0
    code, _, err = run(action, capsys, "do", "--number", "1", "--other", "x")
    assert code == 2
    assert err.startswith("Error: --number cannot be used with --other\n")


def test_an_error_of_the_arguments_themselves_is_wrong_usage(capsys):
    def action(context):
        with options.wrong_usage(context):
            raise CorpusError("foo: no such grammar")

    code, _, err = run(action, capsys)
    assert code == 2
    assert err == "Error: foo: no such grammar\nTry 'tool do --help'.\n"


def test_signal_handlers_are_put_back(capsys):
    inside = []
    run(lambda context: inside.append(signal.getsignal(signal.SIGTERM)), capsys)
    assert inside == [options._terminate]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_completion_for_shells_is_offered(monkeypatch, capsys):
    monkeypatch.setenv("_TOOL_COMPLETE", "zsh_source")
    code, out, _ = run(None, capsys, "do")
    assert code == 0
    assert "#compdef tool" in out
