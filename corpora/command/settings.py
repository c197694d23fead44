"""Options of the settings that a configuration declares."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click

from corpora.command.options import Number, apply
from corpora.settings import Setting, as_option, settings_of, spelled


def setting_option(config: type, name: str, **changed: Any) -> Callable:
    """The option of a setting, with its spelling, type, default and help.

    ``changed``: what ``click.option`` gets instead of that, where the command allows less, or has a default of its
    own.  A default of 0 is not shown: the help says what 0 means.
    """
    known = settings_of(config)
    setting = known[name]
    made: dict[str, Any] = {
        "help": spelled(setting.help, lambda other: known[other].option if other in known else as_option(other))
    }
    if setting.kind is bool:
        made["is_flag"] = True
    else:
        made |= {"type": _type(setting), "metavar": setting.metavar}
        made |= {"default": setting.default, "show_default": bool(setting.default)}
    option = changed.pop("option", setting.option)
    return click.option(option, name, **(made | changed))


def settings_options(config: type, *names: str) -> Callable:
    """One decorator with the options of several settings, shown in this order."""
    return apply(*(setting_option(config, name) for name in names))


def values_of(config: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Those values of a command's options that are settings of the configuration."""
    return {name: values[name] for name in settings_of(config) if name in values}


def _type(setting: Setting) -> click.ParamType:
    if setting.choices:
        return click.Choice(setting.choices)
    if setting.kind is float or setting.unit != 1:
        return Number(setting.low, setting.high, min_open=setting.above, max_open=setting.below)
    return click.IntRange(setting.low, setting.high)
