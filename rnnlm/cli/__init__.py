"""The ``rnnlm`` command: each subcommand parses, calls the library and prints.

Results go to standard output, everything else to standard error; ``-`` is standard input or output.
Modules that need time to load are imported where they are used, so that help is there at once.
"""

from __future__ import annotations

import sys

import click

from corpora.command import options
from rnnlm.cli.answers import answers
from rnnlm.cli.mix import mix
from rnnlm.cli.models import convert, info
from rnnlm.cli.ngram import ngram
from rnnlm.cli.rescore import rescore
from rnnlm.cli.scoring import generate, ppl, surprisal
from rnnlm.cli.train import train


@click.group(name="rnnlm", context_settings=options.HELP_OPTIONS)
@options.version_option
def rnnlm() -> None:
    """Language models, recurrent and n-gram: train, evaluate and use them.

    TEXT is a file, a pattern, a directory or - for standard input; .gz, .bz2 and .xz are read as well.
    MODEL is a file of `rnnlm train`, `rnnlm ngram` or `rnnlm mix`, a file in ARPA form, or one of the RNNLM toolkit
    0.4b in text or binary form.
    The toolkit's own command line, `rnnlm -train FILE -rnnlm MODEL ...`, works unchanged.
    """


for command in (train, ngram, mix, ppl, surprisal, answers, rescore, generate, info, convert):
    rnnlm.add_command(command)


def run(argv: list[str] | None = None) -> int:
    """The entry point: a subcommand, or the command line of rnnlm 0.4b."""
    from rnnlm.legacy import is_legacy

    arguments = sys.argv[1:] if argv is None else argv
    if is_legacy(arguments):
        return options.run(_legacy_command(arguments), [])
    return options.run(rnnlm, arguments)


def _legacy_command(arguments: list[str]) -> click.Group:
    """0.4b's command line as a group that does its work when it is called without a subcommand."""

    @click.group(name="rnnlm", invoke_without_command=True)
    @click.pass_context
    def command(context) -> None:
        from rnnlm.legacy import main

        context.exit(main(arguments))

    return command
