"""Settings that are declared once, with all that commands, old command lines and error messages say about them.

A configuration is a frozen dataclass whose fields are made by ``setting``.  Derived from them are the range checks and
their messages (``check``), the options of the commands (``corpora.command.settings``), the tables of the old command
lines, and what is said about a checkpoint of other settings (``require_same``).

Messages name a setting in backquotes: "`max_epochs` 0: at least 1 epoch".  Whoever prints them replaces that by the
option as it is typed, ``--max-iter`` (``spelled``).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from typing import Any, get_args, get_type_hints

from corpora.errors import CorpusError
from corpora.jobs.record import require


@dataclass(frozen=True)
class Setting:
    """What is known of a field: its name, type and default, and what ``setting`` declared.

    ``help``: of its option; without it there is none.  ``low``, ``high``: the range; ``above``: without ``low`` itself,
    ``below``: without ``high`` itself.
    ``allowed``: the range in words, where the bounds alone do not say why.  ``option``, ``old``: how commands and old
    command lines spell it.  ``unit``: they give it in these, such as millions.  ``form``: as messages show the value.
    """

    help: str = ""
    low: float | None = None
    high: float | None = None
    above: bool = False
    below: bool = False
    choices: tuple[str, ...] = ()
    allowed: str = ""
    metavar: str | None = None
    option: str = ""
    old: str = ""
    unit: int = 1
    form: str = ""
    name: str = ""
    kind: type = str
    default: Any = None

    def allows(self, value: Any) -> bool:
        """Whether the value is in the range, or one of the choices."""
        if self.choices:
            return value in self.choices
        is_above = self.low is None or (value > self.low if self.above else value >= self.low)
        is_below = self.high is None or (value < self.high if self.below else value <= self.high)
        return is_above and is_below

    def in_words(self) -> str:
        """What is allowed, as a message says it."""
        if self.allowed:
            return self.allowed
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        if self.high is not None:
            return f"{self.low} or above, below {self.high}" if self.below else f"{self.low} to {self.high}"
        return f"above {self.low}" if self.above else "0 or above" if self.low == 0 else f"at least {self.low}"

    def shown(self, value: Any) -> Any:
        """The value as it would be given to a command."""
        return f"{value / self.unit:g}" if self.unit != 1 and isinstance(value, int) else value


def setting(default: Any, help: str = "", **declared: Any) -> Any:
    """A field of a configuration; ``declared``: attributes of ``Setting``."""
    return field(default=default, metadata={"setting": Setting(help, **declared)})


@cache
def settings_of(config: type) -> dict[str, Setting]:
    """The settings of a configuration by name, in the order of its fields."""
    hints = get_type_hints(config)
    found = {}
    for each in fields(config):
        if "setting" not in each.metadata:
            continue
        declared = each.metadata["setting"]
        option = declared.option or as_option(each.name)
        found[each.name] = replace(
            declared, option=option, old=declared.old or option[1:], name=each.name,
            kind=next(iter(get_args(hints[each.name])), hints[each.name]),  # of float | None: float
            default=each.default,
        )  # fmt: skip
    return found


def check(config: Any) -> None:
    """ValueError for the first setting that is out of its range; None, where it is a default, is in every range."""
    values = [(each, getattr(config, name)) for name, each in settings_of(type(config)).items()]
    given = [(each, value) for each, value in values if value is not None]
    for each, value in given:
        require(each.kind is not float or math.isfinite(value), f"`{each.name}`: not a finite number")
    for each, value in given:
        require(each.allows(value), f"`{each.name}` {value:{each.form}}: {each.in_words()}")


def require_same(path: str, config: type, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> None:
    """CorpusError if the run of a checkpoint, ``path``, had other settings, ``theirs``, than the run that goes on."""
    known = settings_of(config)
    for name, now in ours.items():
        before = theirs.get(name)
        if before != now:
            shown = known[name].shown if name in known else lambda value: value
            raise CorpusError(
                f"{path}: of a run with another `{name}` ({shown(before)}, now {shown(now)}): "
                "give the same options to go on, or `force` to start over"
            )


_NAMED = re.compile(r'"[^"]*"|`([a-z]\w*)`')  # what is quoted is the content of a file


def spelled(message: str, spell: Callable[[str], str]) -> str:
    """A message with every setting in backquotes replaced by ``spell(name)``."""
    return _NAMED.sub(lambda found: spell(found[1]) if found[1] else found[0], message)


def as_option(name: str) -> str:
    """A setting as options are spelled by default."""
    return f"--{name.replace('_', '-')}"
