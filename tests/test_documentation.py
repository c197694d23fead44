"""What the documentation shows: commands and their options exist, and so do files, links and parts of pages."""

import importlib
import re
import shlex
from pathlib import Path

import click
import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "examples").glob("*.sh")]
)
PROGRAMS = ("corpora", "rnnlm", "w2v")


BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.M | re.S)


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return BLOCK.sub("", page.read_text("utf-8"))


def code_in_prose(page: Path) -> list[str]:
    return re.findall(r"(?<!`)`([^`\n]+)`(?!`)", prose(page))


def shell_lines(page: Path):
    """The lines of a script, or of a page's shell code: of blocks, of indented lines, and between back quotes."""
    text = page.read_text("utf-8").replace("\\\n", " ")
    if page.suffix != ".md":
        return text.splitlines()
    blocks = [block for language, block in BLOCK.findall(text) if language in ("sh", "console")]
    indented = re.findall(rf"^    ((?:{'|'.join(PROGRAMS)}) .*)", prose(page), re.M)
    return [line for block in blocks for line in block.splitlines()] + indented + code_in_prose(page)


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


every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@every_page
def test_commands_and_options_that_are_shown_exist(page):
    commands = list(shown_commands(page))
    assert commands, "this test finds none on this page"
    for words in commands:
        command, rest = options_of(words)
        assert command is not None, words
        parameters = command.get_params(click.Context(command))  # those of grammars are found only when asked for
        known = {name for option in parameters for name in (*option.opts, *option.secondary_opts)}
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


MARKDOWN = [page for page in PAGES if page.suffix == ".md"]
every_markdown_page = pytest.mark.parametrize("page", MARKDOWN, ids=lambda page: page.name)
SOURCES = {
    path.relative_to(ROOT).as_posix()
    for folder in (*PROGRAMS, "tests", "bench", "docs", "examples", "findings", ".")
    for path in (ROOT / folder).glob("*" if folder == "." else "**/*")
    if path.is_file() and path.suffix in (".py", ".md", ".sh", ".toml")
}


@every_markdown_page
def test_files_that_are_named_exist(page):
    """A name with a folder from the root, a name without one below one of the folders that its line names, if any."""
    for line in prose(page).splitlines():
        names = re.findall(r"`([\w./-]+\.(?:py|md|sh|toml))`", line)
        folders = {name.split("/")[0] for name in re.findall(r"`([\w-]+/[\w./-]*)`", line)} & {
            *PROGRAMS,
            "tests",
            "bench",
        }
        for name in names:
            if re.search(r"\bNAME\b", name):
                name = str(Path(name).parent)
                assert (ROOT / name).is_dir(), (line, name)
            elif "/" in name:
                assert name in SOURCES, (line, name)
            else:
                places = [source for source in SOURCES if Path(source).name == name]
                assert [source for source in places if not folders or source.split("/")[0] in folders], (line, name)


def anchors(page: Path) -> set[str]:
    """The parts of a page, by the names that links to them have."""
    titles = re.findall(r"^#+ +(.*)$", prose(page), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@every_markdown_page
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", prose(page)):
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target


def test_every_finding_has_a_row_and_pins_what_it_installs():
    listed = re.findall(r"^\| `([\w-]+\.sh)` \|", (ROOT / "findings" / "README.md").read_text("utf-8"), re.M)
    scripts = sorted(path.name for path in (ROOT / "findings").glob("*.sh") if path.name != "run.sh")
    assert sorted(listed) == scripts
    for name in scripts:
        installs = re.findall(r"pip\" install (.*)", (ROOT / "findings" / name).read_text("utf-8"))
        packages = [word for line in installs for word in line.split() if not word.startswith("-")]
        assert packages, name
        assert all("==" in word for word in packages), name
