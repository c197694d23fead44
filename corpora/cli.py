"""The ``corpora`` command: each subcommand parses, calls the library and prints.

Results go to standard output, everything else to standard error; ``-`` is standard input or output.
Modules that need time to load are imported where they are used, so that help is there at once.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack, contextmanager

import click

from corpora.command import options
from corpora.errors import CorpusError
from corpora.files.output import check_output, replace_file, write_npy
from corpora.jobs.progress import bar
from corpora.text.inputs import expand, text_size
from corpora.text.tokenizers import get_tokenizer

order_option = click.option(
    "--order",
    type=click.Choice(["first", "rnnlm"]),
    default="first",
    show_default=True,
    help="Words of the same count: by first appearance, or as the sort of rnnlm 0.4b leaves them.",
)


@click.group(name="corpora", context_settings=options.HELP_OPTIONS)
@options.version_option
def corpora() -> None:
    """Texts for language models: vocabularies, encoding, figures, splits, samples, grammars, downloads.

    TEXT is a file, a pattern, a directory or - for standard input; .gz, .bz2 and .xz are read as well.
    """


@corpora.command(short_help="Words and counts of a text.")
@options.text_argument
@options.output_option("Where to write the list.  [default: standard output]")
@options.vocab_options
@order_option
@click.option(
    "--form",
    type=click.Choice(["word2vec", "srilm"]),
    default="word2vec",
    show_default=True,
    help="One word per line, with its count or without.",
)
@options.tokenizer_options
@options.threads_option
@options.tmp_option
@options.force_option
@click.pass_context
def vocab(context, text, output, vocab_file, min_count, max_vocab, order, form, tokenizer, lower, threads, tmp, force):
    """List the words of a text and how often they occur, the most frequent first.

    The first word is always </s>, the line ends.  With --vocab the words of that list are counted,
    in its order, all others as its <unk> if it has one.

    \b
    Examples:
      corpora vocab train.txt -o train.vocab
      corpora vocab train.txt --tokenizer word --lower --min-count 2 --max-vocab 10000
    """
    _refuse_vocab_and_limits(context)
    check_output(output, force)
    known = _read_vocab(vocab_file)
    limits = {"min_count": min_count, "max_vocab": max_vocab, "order": order}
    with _encode(text, tokenizer, lower, threads, tmp, known, **limits) as stream:
        words = stream.vocab if known is None else known.with_counts(stream.counts())
    with replace_file(output) as file:
        words.write(file, form)


@corpora.command(short_help="A text as numbers: ids of its words.")
@options.text_argument
@options.output_option("The ids: a one-dimensional .npy file of int32.", required=True, metavar="IDS.npy")
@options.vocab_options
@click.option("--save-vocab", metavar="FILE", help="Where to write the vocabulary learnt from this text.")
@order_option
@options.tokenizer_options
@options.threads_option
@options.tmp_option
@options.force_option
@click.pass_context
def encode(
    context, text, output, vocab_file, min_count, max_vocab, save_vocab, order, tokenizer, lower, threads, tmp, force
):
    """Turn a text into numbers: the place of every word in the vocabulary, counted from 0.

    Every line ends in 0, which is </s>.  A word that --vocab lacks gets the id of its <unk>, or -1
    if it has none.  Read the ids with numpy.load(IDS.npy, mmap_mode="r").

    \b
    Examples:
      corpora encode train.txt --save-vocab train.vocab -o train.npy
      corpora encode test.txt --vocab words.vocab -o test.npy
    """
    _refuse_vocab_and_limits(context)
    options.refuse_together(context, "vocab_file", "save_vocab")
    if vocab_file is None and save_vocab is None:
        raise click.UsageError("ids mean nothing without their words: --vocab or --save-vocab is needed", context)
    if output == save_vocab:
        raise click.UsageError("-o and --save-vocab name the same file", context)
    check_output(output, force)
    if save_vocab is not None:
        check_output(save_vocab, force)
    known = _read_vocab(vocab_file)
    limits = {"min_count": min_count, "max_vocab": max_vocab, "order": order}
    with (
        _encode(text, tokenizer, lower, threads, tmp, known, **limits) as stream,
        ExitStack() as out,
    ):
        write_npy(out.enter_context(replace_file(output)), stream.ids)
        if save_vocab is not None:
            stream.vocab.write(out.enter_context(replace_file(save_vocab)))
        summary = (
            f"{stream.n_tokens} tokens, {stream.n_sentences} of them </s>; "
            f"{len(stream.vocab)} words in the vocabulary; {stream.n_oov} OOVs"
        )
    _note(summary)


@corpora.command(short_help="Size, types, longest line, Zipf exponent, OOV rate.")
@options.text_argument
@click.option("--against", metavar="TEXT", help="Count the words that this text does not have.")
@click.option("--vocab", "vocab_file", metavar="FILE", help="Count the words that this list does not have.")
@options.json_option
@options.tokenizer_options
@options.threads_option
@options.tmp_option
@click.pass_context
def stats(context, text, against, vocab_file, as_json, tokenizer, lower, threads, tmp):
    """Print the figures of a text: size, tokens, types, longest line, Zipf exponent, OOV rate.

    Tokens and types are without sentence ends.  The Zipf exponent s is the likeliest one where the
    word of rank r has the probability r^-s / (1^-s + 2^-s + ... + V^-s).  OOV rates are shares of
    the tokens and of the types, from 0 to 1.

    \b
    Examples:
      corpora stats train.txt
      corpora stats test.txt --against train.txt --json
    """
    options.refuse_together(context, "against", "vocab_file")
    from corpora.data.stats import text_stats

    known = _read_vocab(vocab_file)
    if against is not None:
        with _encode([against], tokenizer, lower, threads, tmp) as stream:
            known = stream.vocab
    with _encode(text, tokenizer, lower, threads, tmp) as stream:
        values = text_stats(stream, known).to_dict()
    if as_json:
        click.echo(json.dumps(values))
        return
    for key, value in values.items():
        shown = "-" if value is None else f"{value:.6g}" if isinstance(value, float) else value
        click.echo(f"{key.replace('_', ' '):<21}{shown}")


@corpora.command(short_help="Training, validation and test parts.")
@options.text_argument
@options.output_option("Write PREFIX.train.txt, PREFIX.valid.txt, PREFIX.test.txt.", required=True, metavar="PREFIX")
@click.option("--valid", type=click.FloatRange(0, 1, max_open=True), default=0.05, show_default=True, metavar="SHARE")
@click.option("--test", type=click.FloatRange(0, 1, max_open=True), default=0.05, show_default=True, metavar="SHARE")
@click.option(
    "--by",
    type=click.Choice(["line", "document"]),
    default="line",
    show_default=True,
    help="What stays together; documents are separated by empty lines.",
)
@options.seed_option
@options.force_option
@click.pass_context
def split(context, text, output, valid, test, by, seed, force):
    """Divide a text into a training, a validation and a test part.

    Every line goes unchanged to one of the files, in the order of the text.  The held-out lines or
    documents are drawn evenly over the whole text; the same seed draws the same ones.  A part whose
    share is 0 is not written.

    \b
    Examples:
      corpora split train.txt --valid 0.1 --test 0.1 -o parts
      corpora sample python-docs --documents | corpora split - --by document -o docs
    """
    from corpora.data.split import split as split_text

    if valid + test >= 1:
        raise click.UsageError(f"--valid {valid:g} and --test {test:g} leave nothing to train on", context)
    if output == "-":
        raise click.UsageError("-o takes the beginning of three file names; they cannot go to standard output", context)
    shares = {"valid": valid, "test": test}
    paths = {part: f"{output}.{part}.txt" for part in ("train", "valid", "test") if shares.get(part, 1) > 0}
    for path in paths.values():
        check_output(path, force)
    with ExitStack() as stack:
        progress = stack.enter_context(_reading(text))
        files = {part: stack.enter_context(replace_file(path)) for part, path in paths.items()}
        sizes = split_text(text, files, shares, by=by, seed=seed, progress=progress)
    for part, path in paths.items():
        size = sizes[part]
        documents = f"{size.units} documents, " if by == "document" else ""
        _note(f"{path}: {documents}{size.lines} lines, {size.bytes} bytes")


@corpora.command(short_help="A text that is on this machine.")
@click.argument("name")
@options.output_option("Where to write the text.  [default: standard output]")
@click.option("--documents", is_flag=True, help="An empty line after every topic.")
@options.force_option
@click.pass_context
def sample(context, name, output, documents, force):
    """Print a text that is on this machine: python-docs, about 50,000 words.

    python-docs is the prose of the reference documentation that Python carries: one sentence a
    line, in lower case, words and punctuation separated by spaces, so the default tokenizer fits.
    It differs a little between versions of Python.

    \b
    Example:
      corpora sample python-docs -o docs.txt
    """
    from corpora.data.sample import SAMPLES

    if name not in SAMPLES:
        raise click.UsageError(f"{name}: no such sample; there is {', '.join(SAMPLES)}", context)
    check_output(output, force)
    with replace_file(output) as file:
        for sentences in SAMPLES[name]():
            end = "\n\n" if documents else "\n"
            file.write(("\n".join(sentences) + end).encode())


class _GrammarCommand(click.Command):
    """Its options are those of all grammars, which are loaded only for this command."""

    def get_params(self, context: click.Context) -> list[click.Parameter]:
        from corpora.data.grammars import GRAMMARS

        uses: dict[str, list[str]] = {}
        for grammar in GRAMMARS.values():
            for name, option in grammar.options.items():
                uses.setdefault(name, []).append(f"{grammar.name}: {option.help} [default: {option.default}]")
        extra = [click.Option([f"--{name}"], metavar="NUMBER", help="; ".join(lines)) for name, lines in uses.items()]
        *own, help_option = super().get_params(context)
        return [*own, *extra, help_option]


@corpora.command(cls=_GrammarCommand, short_help="Texts by Reber's, Elman's and other grammars.")
@click.argument("name", required=False)
@click.option("--list", "list_them", is_flag=True, help="Print what grammars there are.")
@click.option("-n", "n", type=click.IntRange(min=1), default=1000, show_default=True, metavar="N", help="Sentences.")
@options.seed_option
@click.option("--continuations", is_flag=True, help="JSON lines, with what may legally follow at every position.")
@click.option("--entropy", is_flag=True, help="Print no text but the lowest perplexity that a model can reach on it.")
@options.output_option("Where to write the text.  [default: standard output]")
@options.force_option
@click.pass_context
def grammar(context, name, list_them, n, seed, continuations, entropy, output, force, **settings):
    """Generate a text by a grammar: reber, elman1993, temporal-order and others, which --list describes.

    One sentence per line.  With --continuations each line is a JSON object: "words"; "continuations",
    for every position, the end included, the list of words that may stand there (</s> is the end);
    and "probabilities", those of these words, or null where a grammar has none.

    \b
    Examples:
      corpora grammar reber -n 500 -o reber.txt
      corpora grammar elman1993 -n 5 --complex 0.5 --seed 7 --continuations
      corpora grammar embedded-reber --lag 50 -n 500
      corpora grammar embedded-reber --entropy
      corpora grammar --list
    """
    from corpora.data.grammars import GRAMMARS, get_grammar

    if list_them:
        for each in GRAMMARS.values():
            click.echo(f"{each.name:<16}{each.description}\n{'':<16}{each.source}")
        return
    chosen = {key: value for key, value in settings.items() if value is not None}
    with options.wrong_usage(context):
        grammar = get_grammar(_required(context, name))
        grammar.process(**chosen)
    check_output(output, force)
    if entropy:
        floor = grammar.entropy(**chosen)
        if floor is None:
            raise CorpusError(f"{name}: its lowest perplexity is not defined, because its words stand for real numbers")
        text = [
            f"bits per sentence    {floor.bits_per_sentence:.6g}",
            f"symbols per sentence {floor.symbols_per_sentence:.6g}",
            f"bits per symbol      {floor.bits_per_symbol:.6g}",
            f"perplexity           {2**floor.bits_per_symbol:.6g}",
        ]
    else:
        import numpy as np

        sentences = grammar.generate(n, np.random.default_rng(seed), continuations=continuations, **chosen)
        text = map(_sentence_as_json, sentences) if continuations else map(str, sentences)
    with replace_file(output) as file:
        file.writelines(f"{line}\n".encode() for line in text)


def _sentence_as_json(sentence) -> str:
    return json.dumps(
        {
            "words": sentence.words,
            "continuations": sentence.continuations,
            "probabilities": sentence.probabilities,
        }
    )


@corpora.command(short_help="Download a known corpus.")
@click.argument("name", required=False)
@click.option("--list", "list_them", is_flag=True, help="Print what can be fetched, from where, and where it goes.")
@click.option("--to", "directory", metavar="DIR", help="Put the files here.  [default: a folder of the user's cache]")
@click.option("--mirror", metavar="URL", help="Take the files from below this address.")
@options.json_option
@click.pass_context
def fetch(context, name, list_them, directory, mirror, as_json):
    """Download a known corpus once: ptb, text8, enwik8, wikitext-2, tiny-shakespeare.

    Prints file, SHA-256, and whether that was verified or, for a file that was there and has no published one,
    recorded for the next time.  Nothing is downloaded that has another size or SHA-256 than is known.
    A download that broke off is continued; files that are there are only verified.

    \b
    Example:
      corpora fetch --list
    """
    from corpora.data import datasets

    if list_them:
        _print_datasets(datasets.listing(), as_json)
        return
    with options.wrong_usage(context):
        datasets.get_dataset(_required(context, name))
    fetched = datasets.fetch(name, directory, base_url=mirror, progress=bar)
    if as_json:
        click.echo(json.dumps([{**vars(file), "path": str(file.path)} for file in fetched]))
        return
    for file in fetched:
        click.echo(f"{file.path}\t{file.sha256}\t{file.checksum}")
    if any(file.checksum == "recorded" for file in fetched):
        _note(f"Note: not all checksums of {name} are published; those of the files there were recorded")


def _print_datasets(rows: list, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([{**row._asdict(), "directory": str(row.directory)} for row in rows]))
        return
    for row in rows:
        where = "is in" if row.present else "goes to"
        click.echo(f"{row.name}: {row.description}")
        click.echo(f"    licence   {row.licence}")
        click.echo(f"    files     {', '.join(row.files)} ({row.download_bytes / 1e6:.1f} MB to download)")
        for url in row.urls:
            click.echo(f"    source    {url}")
        click.echo(f"    {where:<9} {row.directory}")


def _required(context: click.Context, name: str | None) -> str:
    if name is None:
        raise click.UsageError("NAME is missing; --list prints the names", context)
    return name


def _refuse_vocab_and_limits(context: click.Context) -> None:
    for limit in ("min_count", "max_vocab", "order"):
        options.refuse_together(context, "vocab_file", limit)


def _read_vocab(path: str | None):
    if path is None:
        return None
    from corpora.text.vocab import Vocab

    return Vocab.read(path)


@contextmanager
def _reading(text: Sequence[str]):
    """A progress bar over the bytes of these texts: what to call with numbers of bytes."""
    with bar(text_size(expand(text)), "reading") as progress:
        yield progress.update


def _encode(text, tokenizer, lower, threads, tmp, known=None, **limits):
    """The token stream of the texts, with a progress bar; a warning where they hold NUL bytes.

    ``limits``: of a vocabulary that is learnt, not used with a ``known`` one.
    """
    from corpora.text.stream import encode as encode_text

    with _reading(text) as progress:
        tokens = get_tokenizer(tokenizer, lower)
        stream = encode_text(text, tokens, known, threads=threads, tmp=tmp, progress=progress, **limits)
    if known is None and not stream.vocab.to_arrays()[0].all():
        _note(f"Warning: {', '.join(text)}: there are NUL bytes in words; is this text?")
    return stream


def _note(line: str) -> None:
    click.echo(line, err=True)


def run(argv: Sequence[str] | None = None) -> int:
    """The console script."""
    return options.run(corpora, argv)
