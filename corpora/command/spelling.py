"""How the messages of a command spell a setting that the library names: as the option of that command."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import click

from corpora.settings import as_option


def spelling(group: click.Command, argv: Sequence[str]) -> Callable[[str], str]:
    """A function from a setting to its option: that of the called command, else of another one, else ``--name``."""
    called, command = [group], group
    for argument in argv:
        below = getattr(command, "commands", {})
        if argument not in below:
            break
        command = below[argument]
        called.insert(0, command)
    return _spelling([*called, *getattr(group, "commands", {}).values()])


def spelling_in(context: click.Context | None) -> Callable[[str], str]:
    """The same for the command that runs in this context."""
    if context is None:
        return as_option
    return _spelling([context.command, *getattr(context.find_root().command, "commands", {}).values()])


def _spelling(commands: Iterable[click.Command]) -> Callable[[str], str]:
    options = [each for command in commands for each in command.params if isinstance(each, click.Option)]
    names = {each.name: " or ".join([each.opts[-1], *each.secondary_opts]) for each in reversed(options)}
    return lambda name: names.get(name) or as_option(name)
