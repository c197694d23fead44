"""Commands that the documentation shows: they exist, and so do their options."""

import importlib
import re
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "examples").glob("*.sh")]
)
PROGRAMS = ("corpora", "rnnlm", "w2v")


def shell_lines(page: Path):
    """The lines of a script, or of a page's blocks of shell code and output, continued ones joined."""
    text = page.read_text("utf-8").replace("\\\n", " ")
    if page.suffix == ".md":
        blocks = re.findall(r"^```(?:sh|console)\n(.*?)^```", text, re.M | re.S)
        return [line for block in blocks for line in block.splitlines()]
    return text.splitlines()


def shown_commands(page: Path):
    """Lists of words of each call of a program with a subcommand."""
    for line in shell_lines(page):
        line = re.sub(r"\$\([^()]*(\([^()]*\)[^()]*)*\)", "X", line).replace('\\"', '"')
        for call in re.findall(rf"(?:^|[|;&$(\" ]\s*)((?:{'|'.join(PROGRAMS)}) [a-z]+ [^|;&>#]*)", line):
            try:
                words = shlex.split(call)
            except ValueError:  # a quotation mark that was opened before the call
                words = call.replace('"', " ").split()
            yield words


def options_of(words: list[str]):
    """The command that is called, None where there is none of this name, and the words after its name."""
    group = getattr(importlib.import_module(f"{words[0]}.cli"), words[0])
    command, rest = group.commands.get(words[1]), words[2:]
    while rest and rest[0] in getattr(command, "commands", {}):
        command, rest = command.commands[rest[0]], rest[1:]
    return command, rest


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_options_that_are_shown_exist(page):
    for words in shown_commands(page):
        command, rest = options_of(words)
        assert command is not None, words
        known = {name for option in command.params for name in (*option.opts, *option.secondary_opts)} | {"--help"}
        if rest and re.fullmatch(r"-[a-z]{2,}.*", rest[0]):
            continue  # the command line of another program
        for word in rest:
            if re.match(r"--?[a-zA-Z]", word):
                assert word.partition("=")[0] in known, (words, word)


@pytest.mark.parametrize("program", ["rnnlm", "w2v"])
def test_every_command_is_shown_somewhere(program):
    group = getattr(importlib.import_module(f"{program}.cli"), program)
    found = {words[1] for page in PAGES for words in shown_commands(page) if words[0] == program}
    assert set(group.commands) <= found
