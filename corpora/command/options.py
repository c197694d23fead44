"""What the commands share: options, and the way from an error to one line and an exit code.

Exit codes: 0 well, also when the reader of the output went away (``| head``); 1 an input or the system
does not allow it; 2 the command was called wrongly; 130 Ctrl-C; 143 terminated (SIGTERM), 129 (SIGHUP).
RNNLM_TRACEBACK=1 in the environment shows where an error came from.
"""

from __future__ import annotations

import errno
import math
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

import click

from corpora.command.entry import INTERRUPTED, postponed
from corpora.command.spelling import spelling, spelling_in
from corpora.errors import CorpusError
from corpora.files.output import to_bytes
from corpora.jobs.interrupts import heard_in_callbacks
from corpora.settings import spelled
from corpora.text.tokenizers import TOKENIZERS

FAILED, USAGE = 1, 2
MAX_SEED = 2**32 - 1
DISTRIBUTION = "rnnlm-w2v"
HELP_OPTIONS = {"help_option_names": ["-h", "--help"]}


def run(group: click.Group, argv: Sequence[str] | None = None) -> int:
    """Run the command that ``argv`` (default: the process's arguments) calls; the exit code."""
    _fill_missing_streams()
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        with _unwinding_when_terminated(), heard_in_callbacks(), _own_lines_only():
            code = _invoke(group, arguments)
        sys.stdout.flush()  # here, where its errors can still be told
        return code
    except click.ClickException as error:
        return _report_usage(error)
    except KeyboardInterrupt:
        _say("\nInterrupted." if sys.stderr.isatty() else "Interrupted.")
        return INTERRUPTED
    except (CorpusError, ValueError, OSError, MemoryError) as error:
        if _is_closed_pipe(error):
            return 0
        if os.environ.get("RNNLM_TRACEBACK") == "1":
            raise
        _say(f"Error: {spelled(_one_line(error), spelling(group, arguments))}")
        return FAILED
    finally:
        _let_go_of_output()


@contextmanager
def _own_lines_only() -> Iterator[None]:
    """The commands themselves report what overflows, in a line of their own: NumPy's warnings are not for readers.

    Python's own options for warnings (``python -W error``, PYTHONWARNINGS) bring them back.
    """
    with warnings.catch_warnings():
        if not sys.warnoptions:
            warnings.simplefilter("ignore", RuntimeWarning)
        yield


def _invoke(group: click.Group, argv: list[str]) -> int:
    # Group.main would turn Ctrl-C and closed pipes into its own messages and codes
    name = group.name or "command"
    instruction = os.environ.get(f"_{name}_COMPLETE".upper())
    if instruction:
        from click.shell_completion import shell_complete

        return shell_complete(group, {}, name, f"_{name}_COMPLETE".upper(), instruction)
    try:
        with group.make_context(name, argv) as context:
            group.invoke(context)
    except click.exceptions.Exit as leave:  # --help, --version
        return leave.exit_code
    return 0


def _report_usage(error: click.ClickException) -> int:
    if isinstance(error, getattr(click.exceptions, "NoArgsIsHelpError", ())):
        error.show()
        return USAGE
    _say(f"Error: {' '.join(error.format_message().split())}")
    context = getattr(error, "ctx", None)
    if context is not None:
        _say(f"Try '{context.command_path} --help'.")
    return error.exit_code


def _one_line(error: Exception) -> str:
    if isinstance(error, MemoryError):
        reason = f"not enough memory: {error}" if str(error) else "not enough memory"
    elif isinstance(error, OSError) and error.strerror:
        place = error.filename
        if place is None and error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", None)):
            place = "the output"  # all files are told by name
        reason = error.strerror if place is None else f"{place}: {error.strerror}"
    else:
        reason = str(error) or type(error).__name__
    return " ".join(line.strip() for line in reason.splitlines())


def _say(line: str) -> None:
    with suppress(OSError):  # standard error may be closed as well
        click.echo(line, err=True)


def print_report(line: str, *, err: bool = False) -> None:
    """Print a line about work whose result is a file: it goes on when nobody reads the line any more."""
    try:
        click.echo(line, err=err)
    except OSError as error:
        if not _is_closed_pipe(error):
            raise
        _let_go_of_output()


def _is_closed_pipe(error: Exception) -> bool:
    # Windows says EINVAL
    return isinstance(error, BrokenPipeError) or (
        sys.platform == "win32" and isinstance(error, OSError) and error.errno == errno.EINVAL and not error.filename
    )


def _let_go_of_output() -> None:
    """What is left in the buffer of a closed pipe must not fail once more when Python ends."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())
            os.close(nowhere)


def _fill_missing_streams() -> None:
    """A stream that was closed by the caller (``>&-``) is None; commands may rely on all three."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115


@contextmanager
def _unwinding_when_terminated() -> Iterator[None]:
    """SIGTERM (a batch system's time limit) unwinds as Ctrl-C does, so that no partial files stay behind."""
    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    if threading.current_thread() is not threading.main_thread():
        numbers = []
    changed = [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]  # nohup ignores SIGHUP
    for number in changed:
        signal.signal(number, _terminate)
    try:
        yield
    finally:
        for number in changed:
            signal.signal(number, signal.SIG_DFL)


def _terminate(number: int, frame: FrameType | None) -> None:
    if not postponed(number, frame):
        raise SystemExit(128 + number)


def apply(*options: Callable) -> Callable:
    """One decorator of several options, shown in this order."""

    def decorate(command: Callable) -> Callable:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


class Number(click.FloatRange):
    """A finite number in a range: NaN would pass every bound."""

    def convert(self, value, param, ctx):
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number

    def _describe_range(self) -> str:
        """As the help shows it: nothing if every number will do, where click writes "x<=None"."""
        return "" if self.min is None and self.max is None else super()._describe_range()


ABOVE_0 = Number(min=0, min_open=True)
FROM_0 = Number(min=0)

text_argument = click.argument("text", nargs=-1, required=True, metavar="TEXT...")
"""Files, patterns, directories or ``-``, as ``corpora.text.inputs.expand`` takes them."""

tokenizer_options = apply(
    click.option(
        "--tokenizer",
        type=click.Choice(list(TOKENIZERS)),
        default="whitespace",
        show_default=True,
        help="What a token is.",
    ),
    click.option("--lower", is_flag=True, help="Turn the text to lower case first."),
)

vocab_options = apply(
    click.option("--vocab", "vocab_file", metavar="FILE", help="Take the words of this list, do not learn them."),
    click.option(
        "--min-count",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        metavar="N",
        help="Rarer words become <unk>.",
    ),
    click.option(
        "--max-vocab",
        type=click.IntRange(min=3),
        metavar="N",
        help="At most N words, </s> and <unk> among them; the rarest others become <unk>.",
    ),
)

seed_option = click.option(
    "--seed", type=click.IntRange(0, MAX_SEED), default=1, show_default=True, metavar="N", help="Random seed."
)


def threads_option_that(use: str = "") -> Callable:
    """``--threads``; ``use``: what the threads are for, where they are not for all of the work."""
    text = f"At most N threads{use}.  [default: one for each processor]"
    return click.option("--threads", type=click.IntRange(min=1), metavar="N", help=text)


threads_option = threads_option_that()
scoring_threads_option = threads_option_that("; a recurrent model is scored by two")
tmp_option = click.option(
    "--tmp",
    type=click.Path(exists=True, file_okay=False),
    metavar="DIR",
    help="Where large temporary files go.  [default: the system's place]",
)
force_option = click.option("-f", "--force", is_flag=True, help="Replace an output file that exists.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def _print_version(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if not value or context.resilient_parsing:
        return
    from importlib.metadata import PackageNotFoundError, version

    try:
        number = version(DISTRIBUTION)
    except PackageNotFoundError:
        number = "(not installed)"
    click.echo(f"{context.find_root().info_name} ({DISTRIBUTION}) {number}")
    context.exit()


version_option = click.option(
    "--version", is_flag=True, expose_value=False, is_eager=True, callback=_print_version, help="Print the version."
)


def note(line: str) -> None:
    """Print a line on standard error; settings in it are spelled as the options of the command that runs."""
    click.echo(spelled(line, spelling_in(click.get_current_context(silent=True))), err=True)


def print_text(text: str) -> None:
    """Text that terminals and pipes of any encoding must take: as UTF-8."""
    click.echo(to_bytes(text))


def output_option(help: str, *, required: bool = False, metavar: str = "FILE") -> Callable:
    """``-o``; without it, where it is not required, ``-``: standard output."""
    presence = {"required": True} if required else {"default": "-"}
    return click.option("-o", "--output", metavar=metavar, help=help, **presence)


@contextmanager
def wrong_usage(context: click.Context, errors: tuple[type[Exception], ...] = (CorpusError,)) -> Iterator[None]:
    """Turn errors that speak of the arguments themselves into usage errors."""
    try:
        yield
    except errors as error:
        raise click.UsageError(spelled(str(error), spelling_in(context)), context) from error


def is_given(context: click.Context, name: str) -> bool:
    """Whether a parameter was given on the command line."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def refuse_together(context: click.Context, *names: str) -> None:
    """A usage error where more than one of these parameters were given on the command line."""
    given = [
        parameter.opts[-1]
        for parameter in context.command.get_params(context)
        if parameter.name in names and is_given(context, parameter.name)
    ]
    if len(given) > 1:
        raise click.UsageError(f"{given[0]} cannot be used with {' or '.join(given[1:])}", context)
