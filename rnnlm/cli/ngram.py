"""``rnnlm ngram``: n-gram models and counts from texts."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager

import click

from corpora.command import options
from corpora.command.options import Number, note
from corpora.command.settings import settings_options
from corpora.compute import ahead
from rnnlm.formats import ARPA_ENDINGS
from rnnlm.ngram.config import NgramConfig, Options

FOR_ONE_SMOOTHING = {"discount": "absolute", "delta": "additive", "gt_max": "good-turing"}
UNITS = {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}


class Size(click.ParamType):
    """A number of bytes, such as 300M or 1.5G; K, M, G and T are powers of 1024."""

    name = "size"

    def convert(self, value, param, ctx):
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGT]?)(?:i?B)?", value.strip(), re.IGNORECASE)
        size = int(float(found[1]) * 2 ** UNITS[found[2].upper()]) if found else 0
        if not size:
            self.fail(f"{value} is not a size: a number of bytes such as 300M or 2G.", param, ctx)
        return size


class PerOrder(click.ParamType):
    """Numbers from 1 with commas between them, one for each order; the last holds for all higher orders."""

    name = "list"

    def __init__(self, largest: int):
        self.largest = largest

    def convert(self, value, param, ctx):
        if isinstance(value, tuple):
            return value
        numbers = tuple(int(item) if re.fullmatch(r"\d{1,18}", item) else 0 for item in value.split(","))
        if not all(1 <= number <= self.largest for number in numbers):
            self.fail(f"{value} is not a list of numbers from 1 to {self.largest}, such as 1,1,2.", param, ctx)
        return numbers


class CommandWithSubcommands(click.Command):
    """A command with arguments of its own that steps back where the first one is the name of a subcommand."""

    def __init__(self, *args, subcommands: Iterable[click.Command] = (), **kwargs):
        super().__init__(*args, **kwargs)
        self.commands = {command.name: command for command in subcommands}

    def make_context(self, info_name, args, parent=None, **extra):
        if args and args[0] in self.commands:
            return self.commands[args[0]].make_context(f"{info_name} {args[0]}", args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)

    def format_options(self, ctx, formatter) -> None:
        super().format_options(ctx, formatter)
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.get_short_help_str()) for name, command in self.commands.items()])


order_option = settings_options(NgramConfig, "order")
memory_option = click.option(
    "--memory", type=Size(), metavar="SIZE",
    help="Use files in --tmp for what would take more bytes than this (300M, 2G).  [default: what is needed]",
)  # fmt: skip


@click.command("count", short_help="Count n-grams, or add up counts.")
@click.argument("inputs", nargs=-1, required=True, metavar="TEXT...")
@click.option("-o", "--output", required=True, metavar="FILE", help="The counts; compressed if it ends in .gz.")
@order_option
@click.option("--merge", is_flag=True, help="TEXT... are files of counts: add them up.")
@options.tokenizer_options
@memory_option
@options.threads_option
@options.tmp_option
@options.force_option
@click.pass_context
def count(context, inputs, output, order, merge, tokenizer, lower, memory, threads, tmp, force) -> None:
    """Count the n-grams of texts, orders 1 to N: a line "w1 w2<TAB>count" each, as SRILM writes them.

    Texts can be counted in parts, on several machines, and the counts added up by --merge: they are
    those of the whole.  `rnnlm ngram --counts FILE` makes a model of them.

    \b
    Example:
      rnnlm ngram count sentences.txt --order 3 -o counts.gz
      rnnlm ngram count --merge counts.gz counts.gz -o twice.gz
    """
    from corpora.files.output import check_output
    from corpora.text.inputs import expand

    if merge:
        for name in ("order", "tokenizer", "lower", "memory", "tmp"):
            options.refuse_together(context, "merge", name)
    check_output(output, force, expand(inputs))
    if merge:
        from rnnlm.ngram.counting.merge import merge_counts

        merge_counts(inputs, output, threads=threads)
        return
    from rnnlm.ngram.counting.files import write_counts

    _say_where_from(inputs)
    with stages() as progress:
        write_counts(
            inputs, output, order, tokenizer=_spec(tokenizer, lower), memory=memory, threads=threads, tmp=tmp,
            say=note, progress=progress,
        )  # fmt: skip


@click.command(
    "ngram", cls=CommandWithSubcommands, subcommands=[count], short_help="Estimate an n-gram model, or count n-grams."
)
@click.argument("text", nargs=-1, metavar="[TRAIN]...")
@click.option("-o", "--output", required=True, metavar="MODEL", help="The model file to write.")
@order_option
@settings_options(NgramConfig, "smoothing")
@click.option(
    "--interpolate/--backoff", default=None,
    help="Shorter n-grams always contribute, or only where the longer one was not seen.  "
    "[default: interpolate where the smoothing can]",
)  # fmt: skip
@click.option(
    "--min-count", "min_counts", type=PerOrder(2**31 - 1), metavar="LIST",
    help="Leave out n-grams that are rarer: 1,1,2 for the orders 1, 2 and from 3 on.  "
    "[default: 1; good-turing: 1,1,2]",
)  # fmt: skip
@click.option(
    "--prune", type=Number(0, 1, min_open=True, max_open=True), metavar="THRESHOLD",
    help="Leave out n-grams without which the perplexity grows by a smaller share than this (relative entropy).",
)  # fmt: skip
@settings_options(Options, "discount", "delta")
@click.option(
    "--gt-max", type=PerOrder(10_000), default="1,7", show_default=True, metavar="LIST",
    help="For good-turing: the highest count that is discounted, for the orders 1, 2 and so on.",
)  # fmt: skip
@click.option("--discounts", is_flag=True, help="Print counts of counts and discounts.")
@settings_options(NgramConfig, "unk")
@click.option("--vocab", "vocab_file", metavar="FILE", help="A closed vocabulary: other words are <unk>.")
@click.option("--counts", multiple=True, metavar="FILE", help="Estimate from counts, not from a text; may be repeated.")
@options.tokenizer_options
@click.option(
    "--to", "form", type=click.Choice(["native", "arpa"]),
    help="The format of MODEL.  [default: arpa if it ends in .arpa or .arpa.gz, else native]",
)  # fmt: skip
@memory_option
@options.threads_option
@options.tmp_option
@options.force_option
@click.pass_context
def ngram(context, text, output, form, discounts, force, **o) -> None:
    """Estimate an n-gram model from texts.

    With `count` for the first argument: count n-grams (`rnnlm ngram count --help`).

    \b
    Example:
      rnnlm ngram sentences.txt -o kn3.lm --order 3
      rnnlm ngram sentences.txt -o gt2.arpa --order 2 --smoothing good-turing --discounts
      rnnlm ngram --counts counts.gz -o wb3.lm --smoothing witten-bell
    """
    if bool(text) == bool(o["counts"]):
        raise click.UsageError("give texts, or --counts" + (", not both" if text else ""), context)
    if o["counts"]:
        for name in ("tokenizer", "lower", "memory", "tmp"):
            options.refuse_together(context, "counts", name)
    _check_smoothing(context, o)
    form = form or ("arpa" if output.endswith(ARPA_ENDINGS) else "native")
    if output == "-" and (form == "native" or discounts):
        what = "a native model" if form == "native" else "a model beside --discounts"
        raise click.UsageError(f"-o -: {what} is not written to standard output; give a file", context)
    if text:
        ahead.expect("corpora/text", "rnnlm/ngram")
    from corpora.files.output import check_output
    from corpora.text.inputs import expand

    read = expand([*text, *o["counts"]])
    # before the time is spent
    check_output(output, force, read if o["vocab_file"] is None else [*read, o["vocab_file"]])
    from rnnlm.io import save
    from rnnlm.ngram.run import estimate_model

    smoothing_options = Options(**{name: o.pop(name) for name in Options.__dataclass_fields__})
    o["tokenizer"] = _spec(o.pop("tokenizer"), o.pop("lower"))
    _say_where_from(text)
    with stages() as progress:
        lm = estimate_model(text, options=smoothing_options, **o, say=note, progress=progress)
    if discounts:
        click.echo(discount_table(lm.training["orders"]))
    save(lm, output, form, consume=True)


def _check_smoothing(context, o: dict) -> None:
    """A usage error for options that another smoothing has."""
    given = {name for name in o if context.get_parameter_source(name).name == "COMMANDLINE"}
    for name, smoothing in FOR_ONE_SMOOTHING.items():
        if name in given and o["smoothing"] != smoothing:
            raise click.UsageError(f"--{name.replace('_', '-')} is for --smoothing {smoothing} only", context)
    if o["min_counts"] and len(o["min_counts"]) > o["order"]:
        raise click.UsageError(f"--min-count has {len(o['min_counts'])} numbers for {o['order']} orders", context)
    if o["interpolate"] is not None:
        from rnnlm.ngram.estimation.smoothing import METHODS

        if METHODS[o["smoothing"]].interpolates is None:
            option = "--interpolate" if o["interpolate"] else "--backoff"
            raise click.UsageError(f"{option}: {o['smoothing']} has one form only", context)


def discount_table(orders: list[dict]) -> str:
    """What is known of each order, for reading: n-grams of the model, counts of counts and discounts."""
    from corpora.command.text_table import aligned

    rows = []
    for found in orders:
        discounts = "  ".join(f"{name} {value:.7g}" for name, value in found["discounts"].items())
        rows.append(tuple(map(str, (found["order"], found["n_ngrams"], *found["counts_of_counts"][:4], discounts))))
    header = ("order", "n-grams", "n1", "n2", "n3", "n4", "discounts")
    return "\n".join(aligned(header, rows, left=["discounts"]))


@contextmanager
def stages() -> Iterator[Callable]:
    """progress(what, total) -> a function of steps done: a bar for each stage, one after another."""
    from corpora.jobs.progress import bar

    with ExitStack() as shown:

        def begin(what: str, total: int | None):
            shown.close()  # the stage before
            return shown.enter_context(bar(total, what, unit="B" if what == "reading" else "")).update

        yield begin


def _spec(tokenizer: str, lower: bool) -> str:
    from corpora.text.tokenizers import get_tokenizer

    return get_tokenizer(tokenizer, lower).spec


def _say_where_from(inputs) -> None:
    if "-" in inputs and sys.stdin.isatty():
        note("reading standard input, up to its end (Ctrl-D)")
