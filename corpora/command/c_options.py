"""Single-dash options, as the C programs have them: the values on a command line, and messages that spell them so."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from corpora.errors import CorpusError
from corpora.settings import as_option, spelled

INT_MAX = 2**31 - 1


def as_text(name: str, value: str) -> str:
    """The value as it stands."""
    return value


def integer(name: str, value: str) -> int:
    """A value that fits C's ``int``.  CorpusError names the option for any other."""
    if not re.fullmatch(r"[+-]?[0-9]+", value):
        raise CorpusError(f'{name}: expected an integer, found "{value}"')
    if abs(int(value)) > INT_MAX:
        raise CorpusError(f"{name} {value}: at most {INT_MAX}")
    return int(value)


def real(name: str, value: str, kept: Callable[[float], float] = float) -> float:
    """A finite number, as ``kept`` leaves it.  CorpusError names the option for any other."""
    try:
        number = kept(float(value.replace("_", "?")))  # Python takes 1_000, C does not
    except ValueError:
        raise CorpusError(f'{name}: expected a number, found "{value}"') from None
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise CorpusError(f'{name}: expected a finite number, found "{value}"')
    return number


class Option(Protocol):
    """``read``: a function of the option and its value, as text; None for an option without a value."""

    name: str
    field: str
    read: Callable[[str, str], Any] | None


def values_of(argv: Sequence[str], options: Mapping[str, Option]) -> tuple[dict[str, Any], list[str]]:
    """The values by field, True for an option without one, and the arguments that the C programs would not look at.

    They take the first of two.  CorpusError for a value that is missing or cannot be read.
    """
    values: dict[str, Any] = {}
    ignored = []
    arguments = iter(argv)
    for name in arguments:
        if name not in options:
            ignored.append(name)
            continue
        option, value = options[name], True
        if option.read is not None:
            text = next(arguments, None)
            if text is None:
                raise CorpusError(f"{name}: its value is missing")
            value = option.read(name, text)
        values.setdefault(option.field, value)
    return values, ignored


@contextmanager
def single_dashes(options: Mapping[str, Option]) -> Iterator[None]:
    """Errors spell settings as these options, and others with a single dash as well."""
    names = {option.field: name for name, option in options.items()}
    try:
        yield
    except (CorpusError, ValueError) as error:
        message = spelled(str(error), lambda name: names.get(name) or as_option(name)[1:])
        if message == str(error):
            raise
        raise CorpusError(message) from error
