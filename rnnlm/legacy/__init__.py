"""The command line of Mikolov's RNNLM toolkit 0.4b: ``rnnlm -train FILE -valid FILE -rnnlm MODEL ...``.

Its options, model files, ``MODEL.output.txt``, random numbers and what it prints; where 0.4b has a
defect, docs/compatibility.md says what is done here.  Importing this loads neither NumPy nor Numba.
"""

from __future__ import annotations

from collections.abc import Sequence

from corpora.command.c_options import single_dashes
from rnnlm.legacy.options import BY_NAME, NAMES, Options, parse

__all__ = ["is_legacy", "main"]


def is_legacy(argv: Sequence[str]) -> bool:
    """Whether the arguments are for 0.4b: the first one is an option of its, which has a single dash."""
    return bool(argv) and argv[0] in NAMES


def main(argv: Sequence[str]) -> int:
    """Do what 0.4b would do with these arguments; the exit status.

    Results go to standard output.  CorpusError, one line, for whatever cannot be done (0.4b prints
    such errors to standard output and mostly exits with 0).
    """
    options, ignored = parse(argv)
    from rnnlm.legacy.output import echo, warn

    for argument in ignored:
        warn(f"{argument}: not an option of rnnlm 0.4b; ignored, as there")
    echo(options)
    with single_dashes(BY_NAME):
        _work(options)
    return 0


def _work(options: Options) -> None:
    # the order in which 0.4b works where several things are asked for
    if options.train is not None:
        from rnnlm.legacy.train import train

        train(options)
    if options.test is not None and options.nbest:
        from rnnlm.legacy.nbest import rescore

        rescore(options)
    elif options.test is not None:
        from rnnlm.legacy.score import test

        test(options)
    if options.gen > 0:
        from rnnlm.legacy.generate import generate

        generate(options)
