"""What is printed: results to standard output as bytes (words may be in any encoding), notes to standard error."""

from __future__ import annotations

import math
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
            if option.unit > 1:
                value //= option.unit
            say((option.echo if option.read is None else option.echo % value) + "\n")


def perplexity(log10_prob: float, n: int) -> float:
    """The perplexity of n words; NaN if n is 0, infinity where a word is impossible or the number too large."""
    if n == 0:
        return math.nan
    try:
        return math.pow(10, -log10_prob / n)
    except OverflowError:
        return math.inf
