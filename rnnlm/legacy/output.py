"""What is printed: results to standard output as bytes (words may be in any encoding), notes to standard error."""

from __future__ import annotations

import os
import sys

from rnnlm.legacy.options import OPTIONS, Options


def say(text: str | bytes) -> None:
    """Print as it is, without a line end of its own."""
    sys.stdout.buffer.write(text if isinstance(text, bytes) else os.fsencode(text))


def flush() -> None:
    sys.stdout.buffer.flush()


def warn(line: str) -> None:
    print(f"Warning: {line}", file=sys.stderr)


def echo(options: Options) -> None:
    """The options that were given, a line each, in 0.4b's order."""
    if options.debug <= 0:
        return
    for option in OPTIONS:
        if option.field in options.given and option.echo:
            value = getattr(options, option.field)
            shown = option.echo if option.read is None else option.echo % (value // option.unit if option.unit > 1 else value)
            say(f"{shown}\n")
