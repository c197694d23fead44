"""Values of the single-dash options of the C programs, as text on a command line."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from corpora.errors import CorpusError

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
