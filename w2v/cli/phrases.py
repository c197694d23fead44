"""``w2v phrases``: words that belong together become one."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import click

from corpora.command import options
from corpora.command.options import note
from corpora.command.settings import setting_option, settings_options
from w2v.config import PhraseConfig

ENGLISH = "english"


class Numbers(click.ParamType):
    """Finite numbers with commas between them."""

    name = "list"

    def convert(self, value, param, ctx):
        if isinstance(value, tuple):
            return value
        try:
            numbers = tuple(float(item.replace("_", "?")) for item in value.split(","))
        except ValueError:
            numbers = (math.nan,)
        if not all(map(math.isfinite, numbers)):
            self.fail(f"{value} is not a number, or a list such as 200,100.", param, ctx)
        return numbers


class PhrasesCommand(click.Command):
    """A command that also takes the command line of word2phrase."""

    def parse_args(self, ctx, args):
        from w2v.legacy.phrases import is_legacy_phrases
        from w2v.legacy.phrases import options as new_options

        if is_legacy_phrases(args):
            args, ignored = new_options(args)
            for argument in ignored:
                note(f"{argument}: not an option of word2phrase; ignored, as there")
        return super().parse_args(ctx, args)


@click.command(cls=PhrasesCommand, short_help="Join words that belong together.")
@options.text_argument
@options.output_option("The text with its phrases joined.  [default: standard output]")
@settings_options(PhraseConfig, "score")
@click.option(
    "--threshold", type=Numbers(), default=(), metavar="LIST",
    help="Join pairs of a higher score; 200,100 for the first pass and the others.  [default: 100; npmi: 0.5]",
)  # fmt: skip
@settings_options(PhraseConfig, "min_count")
@setting_option(PhraseConfig, "passes", default=None, show_default=False)  # those of the thresholds
@click.option(
    "--connectors", metavar="FILE",
    help="Words such as `of` that may stand inside a phrase: a file of them, or `english`.",
)  # fmt: skip
@click.option("--separator", default="_", show_default=True, metavar="TEXT", help="Between the words of a phrase.")
@click.option("--bigrams", metavar="FILE", help="Write the phrases here, with counts and scores.")
@settings_options(PhraseConfig, "across_lines", "compatible")
@options.tokenizer_options
@options.threads_option
@options.tmp_option
@options.force_option
@click.pass_context
def phrases(context, text, output, bigrams, connectors, threshold, passes, separator, force, **o) -> None:
    """Find phrases in texts and write the texts with each phrase as one word: new_york.

    Pairs are joined from left to right, within lines.  word2phrase's own command line,
    `w2v phrases -train FILE -output FILE ...`, works unchanged.

    \b
    Example:
      w2v phrases text.txt -o phrases.txt --threshold 200,100 --connectors english
      w2v phrases text.txt --score npmi --threshold 0.4 --bigrams pairs.tsv -o joined.txt
    """
    if output == "-" and bigrams == "-":
        raise click.UsageError("-o and --bigrams cannot both be standard output", context)
    if bigrams not in (None, "-") and os.path.realpath(bigrams) == os.path.realpath(output):
        raise click.UsageError(f"-o and --bigrams are the same file, {output}", context)
    from corpora.files.output import check_output
    from corpora.text.inputs import expand

    files = expand([*text, *([connectors] if connectors not in (None, ENGLISH) else [])])
    for path in (output, bigrams):
        if path is not None:
            check_output(path, force, files)  # before the time is spent
    from w2v.phrases import write_phrases

    passed = {name: o.pop(name) for name in ("tokenizer", "lower", "threads", "tmp")}
    with options.wrong_usage(context, (ValueError,)):
        config = PhraseConfig(
            thresholds=threshold,
            passes=passes or max(1, len(threshold)),
            separator=os.fsencode(separator),
            connectors=_connectors(connectors),
            **o,
        )
    with stages() as progress:
        write_phrases(text, output, config, bigrams_file=bigrams, **passed, say=note, progress=progress)


def _connectors(source: str | None) -> tuple[bytes, ...]:
    if source is None:
        return ()
    if source == ENGLISH:
        from w2v.phrases import ENGLISH as words

        return tuple(words)
    from corpora.text.inputs import read_words

    return tuple(read_words(source))


@contextmanager
def stages() -> Iterator[Callable]:
    """progress(what, total) -> a function of steps done: a bar for each stage, one after another."""
    from corpora.jobs.progress import bar

    with ExitStack() as shown:

        def begin(what: str, total: int | None):
            shown.close()  # the stage before
            return shown.enter_context(bar(total, what, unit="B" if what == "reading" else "")).update

        yield begin
