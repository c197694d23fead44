"""The ``w2v`` command: each subcommand parses, calls the library and prints.

Results go to standard output, everything else to standard error; ``-`` is standard input or output.
Modules that need time to load are imported where they are used, so that help is there at once.
"""

from __future__ import annotations

import sys

import click

from corpora.command import options
from w2v.cli.align import align
from w2v.cli.cluster import cluster
from w2v.cli.evaluation import accuracy, similarity
from w2v.cli.files import convert, info, vectors
from w2v.cli.phrases import phrases
from w2v.cli.queries import analogy, nearest
from w2v.cli.train import train


@click.group(name="w2v", context_settings=options.HELP_OPTIONS)
@options.version_option
def w2v() -> None:
    """Word vectors: train them by CBOW and skip-gram, ask them, judge them.

    TEXT is a file, a pattern, a directory or - for standard input; .gz, .bz2 and .xz are read as well.
    VECTORS is a file of `w2v train`, of word2vec (text or binary), or of GloVe.
    word2vec's own command line, `w2v -train FILE -output FILE ...`, works unchanged.
    """


for command in (train, nearest, analogy, accuracy, similarity, phrases, cluster, align, vectors, convert, info):
    w2v.add_command(command)


def run(argv: list[str] | None = None) -> int:
    """The entry point: a subcommand, or the command line of word2vec.c."""
    from w2v.legacy import is_legacy

    arguments = sys.argv[1:] if argv is None else argv
    if is_legacy(arguments):
        return options.run(_legacy_command(arguments), [])
    return options.run(w2v, arguments)


def _legacy_command(arguments: list[str]) -> click.Group:
    """word2vec's command line as a group that does its work when it is called without a subcommand."""

    @click.group(name="w2v", invoke_without_command=True)
    @click.pass_context
    def command(context) -> None:
        from w2v.legacy import main

        context.exit(main(arguments))

    return command
