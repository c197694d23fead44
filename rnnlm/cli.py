"""The ``rnnlm`` command: each subcommand parses, calls the library and prints.

Results go to standard output, everything else to standard error; ``-`` is standard input or output.
Modules that need time to load are imported where they are used, so that help is there at once.
"""

from __future__ import annotations

import json
import math
import sys
from contextlib import closing
from itertools import chain

import click

from corpora import options
from corpora.errors import CorpusError
from corpora.tokenize import TOKENIZERS
from rnnlm.config import ACTIVATIONS, DTYPES, INITIALISATIONS, MAX_DIRECT_ORDER
from rnnlm.describe import FORMAT_NAMES


class Number(click.FloatRange):
    """A finite number in a range: NaN would pass every bound."""

    def convert(self, value, param, ctx):
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


ABOVE_0 = Number(min=0, min_open=True)
FROM_0 = Number(min=0)

model_option = click.option("-m", "--model", "paths", required=True, metavar="MODEL", help="A model file.")
models_option = click.option(
    "-m", "--model", "paths", required=True, multiple=True, metavar="MODEL", help="A model file; may be repeated."
)
texts_argument = click.argument("text", nargs=-1, metavar="[TEXT]...")
floor_option = click.option(
    "--floor", type=Number(max=0), default=-8.0, show_default=True, metavar="LOG10",
    help="With --oov floor: the log10 probability of such a word.",
)  # fmt: skip
dynamic_option = click.option(
    "--dynamic", type=ABOVE_0, metavar="ALPHA",
    help="Go on learning from the text, with this constant learning rate (dynamic evaluation).",
)  # fmt: skip
dtype_option = click.option(
    "--dtype", type=click.Choice(DTYPES),
    help="The numbers to compute with.  [default: as trained; float64 for models of 0.4b]",
)  # fmt: skip
scoring_tokenizer_options = options.apply(
    click.option(
        "--tokenizer", type=click.Choice(list(TOKENIZERS)), help="What a token is.  [default: as the model was trained]"
    ),
    click.option("--lower", is_flag=True, help="Turn the text to lower case first.  [default: as in training]"),
)


def oov_option(default: str):
    """``--oov``; ``default``: what happens without it, in words."""
    return click.option(
        "--oov", type=click.Choice(["skip", "unk", "floor"]),
        help="What a word outside the vocabulary costs: nothing (it is left out), as much as <unk>, or --floor.  "
        f"[default: {default}]",
    )  # fmt: skip


@click.group(name="rnnlm", context_settings=options.HELP_OPTIONS)
@options.version_option
def rnnlm() -> None:
    """Recurrent neural network language models: train, evaluate and use them.

    TEXT is a file, a pattern, a directory or - for standard input; .gz, .bz2 and .xz are read as well.
    MODEL is a file of `rnnlm train`, or of the RNNLM toolkit 0.4b in text or binary form.
    The toolkit's own command line, `rnnlm -train FILE -rnnlm MODEL ...`, works unchanged.
    """


@rnnlm.command(short_help="Train a model.")
@options.text_argument
@click.option("--valid", multiple=True, metavar="TEXT", help="Validation text; may be repeated.")
@click.option(
    "--valid-share", type=Number(0, 0.5, min_open=True), default=0.05, show_default=True, metavar="SHARE",
    help="Without --valid: the share of the training sentences that is held out.",
)  # fmt: skip
@click.option("-o", "--output", required=True, metavar="MODEL", help="The model file to write.")
@click.option("--hidden", type=click.IntRange(min=1), default=100, show_default=True, metavar="H", help="Hidden units.")
@click.option(
    "--class", "classes", type=click.IntRange(min=1), default=100, show_default=True, metavar="C",
    help="Word classes of the output layer; 1: softmax over all words.",
)  # fmt: skip
@click.option("--old-classes", is_flag=True, help="Classes of equal frequency, not of equal square root of it.")
@click.option(
    "--compression", type=click.IntRange(min=0), default=0, metavar="P",
    help="Units of a layer between hidden and output; 0: none.",
)  # fmt: skip
@click.option(
    "--direct", type=FROM_0, default=0, metavar="MILLIONS",
    help="Direct connections (maximum entropy): millions of hashed n-gram weights; 0: none.",
)  # fmt: skip
@click.option(
    "--direct-order", type=click.IntRange(1, MAX_DIRECT_ORDER), default=3, show_default=True, metavar="N",
    help="Longest n-gram of the direct connections.",
)  # fmt: skip
@click.option("--independent", is_flag=True, help="Begin every sentence anew: nothing is carried over.")
@click.option(
    "--activation", type=click.Choice(ACTIVATIONS), default="logistic", show_default=True,
    help="Of the hidden units.",
)  # fmt: skip
@click.option(
    "--init", type=click.Choice(INITIALISATIONS), default="mikolov", show_default=True,
    help="How the initial weights are drawn.",
)  # fmt: skip
@click.option(
    "--init-scale", type=ABOVE_0, default=1.0, show_default=True, metavar="X",
    help="Factor of the initial weights.",
)  # fmt: skip
@click.option(
    "--bptt", type=click.IntRange(min=0), default=4, show_default=True, metavar="N",
    help="Steps that errors go back through time, beyond the block; 0: no BPTT.",
)  # fmt: skip
@click.option(
    "--bptt-block", type=click.IntRange(min=1), default=10, show_default=True, metavar="N",
    help="Words between two updates of the recurrent weights.",
)  # fmt: skip
@click.option("--alpha", type=ABOVE_0, default=0.1, show_default=True, metavar="X", help="Starting learning rate.")
@click.option("--beta", type=FROM_0, default=1e-7, show_default=True, metavar="X", help="L2 regularisation.")
@click.option(
    "--gradient-cutoff", type=FROM_0, default=15.0, show_default=True, metavar="X",
    help="Errors are clipped to it; 0: off.",
)  # fmt: skip
@click.option(
    "--min-improvement", type=ABOVE_0, default=1.003, show_default=True, metavar="X",
    help="Factor by which an epoch must improve the validation log probability; from the first that does not, alpha is "
    "halved at every epoch, and the next that does not is the last.",
)  # fmt: skip
@click.option(
    "--max-iter", type=click.IntRange(min=1), default=100, show_default=True, metavar="N",
    help="At most N epochs.",
)  # fmt: skip
@options.seed_option
@click.option(
    "--dtype", type=click.Choice(DTYPES), default="float32", show_default=True,
    help="The numbers to compute with.",
)  # fmt: skip
@click.option(
    "--compatible", is_flag=True,
    help="As rnnlm 0.4b to the digit: its initial weights (glibc's rand), order of words, counts; with "
    "--dtype float64 also its order of every operation.",
)  # fmt: skip
@options.vocab_options
@options.tokenizer_options
@click.option("--log", metavar="FILE", help="Write one JSON line an epoch.")
@click.option(
    "--checkpoint", type=ABOVE_0, default=10.0, show_default=True, metavar="MINUTES",
    help="How often the whole state is saved to MODEL.checkpoint.",
)  # fmt: skip
@click.option(
    "--snapshot", type=click.IntRange(min=1), metavar="WORDS",
    help="Print some generated text each time that WORDS more words were read.",
)  # fmt: skip
@options.threads_option
@options.tmp_option
@click.option("-f", "--force", is_flag=True, help="Replace the model and the log, and forget a checkpoint.")
@click.pass_context
def train(context, **o) -> None:
    """Train Elman's network on texts, one word after another.

    The model of the epoch that does best on the validation text is kept.  Ctrl-C saves the state to
    MODEL.checkpoint; the same command goes on from there.

    \b
    Example:
      corpora grammar elman1990 -n 2000 > sentences.txt
      rnnlm train sentences.txt -o elman.rnnlm --hidden 20 --class 1 --max-iter 3
    """
    options.refuse_together(context, "vocab_file", "min_count")
    options.refuse_together(context, "vocab_file", "max_vocab")
    options.refuse_together(context, "valid", "valid_share")
    if o["compatible"]:
        options.refuse_together(context, "compatible", "init")
        options.refuse_together(context, "compatible", "init_scale")
    for name in ("output", "log"):
        if o[name] == "-":
            raise click.UsageError(f"--{name} -: is not written to standard output; give a file", context)
    if [*o["text"], *o["valid"]].count("-") > 1:
        raise click.UsageError("standard input (-) can be read once only", context)
    from corpora.inputs import expand, text_size
    from corpora.progress import bar
    from corpora.tokenize import get_tokenizer

    model_config, train_config = _configs(context, o)
    from rnnlm.data import VocabOptions, read_texts, same_text
    from rnnlm.run import Run, check_outputs

    tokenizer = get_tokenizer(o["tokenizer"], o["lower"]).spec
    vocab = VocabOptions(o["vocab_file"], o["min_count"], o["max_vocab"], "rnnlm" if o["compatible"] else "first")
    train_files, valid_files = expand(o["text"]), expand(o["valid"])
    files = [*train_files, *valid_files]
    # before the time is spent
    check_outputs(o["output"], o["log"], o["force"], files if vocab.file is None else [*files, vocab.file])
    with bar(text_size(files), "reading") as progress:
        texts = read_texts(
            o["text"], o["valid"], vocab, tokenizer, share=o["valid_share"], seed=o["seed"],
            keep_oov=o["compatible"], threads=o["threads"], tmp=o["tmp"], progress=progress.update,
        )  # fmt: skip
    try:
        if texts.held_out:
            _note(f"held out for validation: {texts.held_out} sentences drawn with seed {o['seed']}")
        elif same_text(train_files, valid_files, texts):
            _note("Warning: the validation text is the training text, so that nothing tells when to stop")
        _note(f"vocabulary: {len(texts.vocab)} words")
        for name, ids in (("training", texts.train), ("validation", texts.valid)):
            _note(f"{name}: {ids.size} words and sentence ends, {100 * texts.unknown_share(ids):.2f}% unknown")
        run = Run(
            o["output"], model_config, train_config, texts, tokenizer, force=o["force"], log=o["log"],
            checkpoint_minutes=o["checkpoint"], snapshot_words=o["snapshot"] or 0, say=_note, show=_print_text,
        )  # fmt: skip
        with closing(run.epochs()) as epochs:
            for report in epochs:
                click.echo(_epoch_line(report))
    finally:
        texts.close()


def _configs(context, o: dict):
    """The ModelConfig and the TrainConfig of train's options."""
    from rnnlm.config import ModelConfig, TrainConfig
    from rnnlm.legacy.options import c_float

    real = c_float if o["compatible"] else float
    try:
        model_config = ModelConfig(
            hidden=o["hidden"], activation=o["activation"], classes=o["classes"], old_classes=o["old_classes"],
            compression=o["compression"], direct=2 * round(o["direct"] * 500_000), direct_order=o["direct_order"],
            independent=o["independent"], dtype=o["dtype"],
        )  # fmt: skip
        train_config = TrainConfig(
            alpha=real(o["alpha"]), beta=real(o["beta"]), bptt=o["bptt"], bptt_block=o["bptt_block"],
            gradient_cutoff=real(o["gradient_cutoff"]), min_improvement=real(o["min_improvement"]),
            max_epochs=o["max_iter"], initialisation=o["init"], scale=o["init_scale"], seed=o["seed"],
            compatible=o["compatible"],
        )  # fmt: skip
    except (ValueError, OverflowError) as error:
        raise click.UsageError(str(error), context) from error
    return model_config, train_config


def _epoch_line(report) -> str:
    return (
        f"epoch {report.epoch:2d}  alpha {report.alpha:.6f}  train {report.train_entropy:.4f} bits  "
        f"valid {report.valid_entropy:.4f} bits  perplexity {report.valid_perplexity:8.2f}  "
        f"{report.words_per_second / 1000:6.1f}k words/s  {report.seconds:.1f} s{'' if report.kept else '  (not kept)'}"
    )


def _note(line: str) -> None:
    click.echo(line, err=True)


def _print_text(text: str) -> None:
    """Text that terminals and pipes of any encoding must take: as UTF-8."""
    click.echo(text.encode("utf-8", "surrogateescape"))


def _load(path: str, dtype: str | None, dynamic: float | None, threads: int | None = None):
    from rnnlm.io import load

    lm = load(path, dtype=dtype)
    lm.threads = threads or lm.threads
    if dynamic is None:
        return lm
    from rnnlm.dynamic import DynamicLM

    config = lm.training.get("config", {})
    return DynamicLM(lm, dynamic, config.get("beta", 1e-7), config.get("gradient_cutoff", 15.0))


def _tokenizer(models: dict, tokenizer: str | None, lower: bool):
    """The tokenizer that was asked for, or the one that the models were trained with."""
    from corpora.tokenize import from_spec, get_tokenizer

    if tokenizer is not None:
        return get_tokenizer(tokenizer, lower)
    specs = {getattr(lm, "tokenizer", "whitespace") for lm in models.values()}
    if len(specs) > 1:
        found = ", ".join(sorted(specs))
        raise CorpusError(f"the models were trained with different tokenizers ({found}): give --tokenizer")
    trained = from_spec(specs.pop())
    return get_tokenizer(trained.name, lower=True) if lower else trained


def _encode(text, models: dict, tokenizer, lower, threads, tmp):
    from corpora.inputs import expand, text_size
    from corpora.progress import bar
    from corpora.stream import encode

    if not text and sys.stdin.isatty():
        _note("reading standard input, up to its end (Ctrl-D)")
    text = text or ("-",)
    splitter = _tokenizer(models, tokenizer, lower)
    with bar(text_size(expand(text)), "reading") as progress:
        return encode(text, splitter, threads=threads, tmp=tmp, progress=progress.update)


@rnnlm.command(short_help="Perplexity of a text.")
@model_option
@texts_argument
@click.option(
    "--report", type=click.Choice(["summary", "sentence", "word"]), default="summary", show_default=True,
    help="How much to tell.",
)  # fmt: skip
@click.option(
    "--format", "form", type=click.Choice(["text", "srilm", "tsv", "json"]), default="text", show_default=True,
    help="srilm: the layouts of its ngram -ppl -debug 0, 1, 2.",
)  # fmt: skip
@oov_option("skip")
@floor_option
@dynamic_option
@dtype_option
@scoring_tokenizer_options
@options.threads_option
@options.tmp_option
def ppl(paths, text, report, form, oov, floor, dynamic, dtype, tokenizer, lower, threads, tmp) -> None:
    """Perplexity of texts, of each sentence or of each word.

    Without TEXT standard input is read.

    \b
    Example:
      rnnlm ppl -m elman.rnnlm sentences.txt --report sentence --format tsv
    """
    from corpora.perplexity import check_policy, evaluate
    from corpora.progress import bar
    from corpora.reports import make_report

    lm = _load(paths, dtype, dynamic, threads)
    check_policy(lm, oov or "skip", floor)
    with _encode(text, {paths: lm}, tokenizer, lower, threads, tmp) as stream:
        name = text[0] if len(text) == 1 else "-" if not text else f"{len(text)} files"
        out = make_report(report, form, sys.stdout.buffer, stream.vocab, name=name)
        if hasattr(lm, "warm_up"):
            lm.warm_up()  # load the compiled kernels before the clock starts
        with bar(stream.n_tokens, "scoring", unit=" words") as progress:

            def on_block(block) -> None:
                out.block(block)
                progress.update(len(block))

            out.finish(evaluate(lm, stream, oov=oov or "skip", floor=floor, on_block=on_block))


@rnnlm.command(short_help="Surprisal and entropy of every word.")
@models_option
@texts_argument
@click.option(
    "--format", "form", type=click.Choice(["tsv", "json"]), default="tsv", show_default=True,
    help="A table, or JSON lines.",
)  # fmt: skip
@oov_option("unk for a model that has <unk>, else its cells are empty")
@floor_option
@dynamic_option
@dtype_option
@click.option("--no-ends", is_flag=True, help="Leave out the rows of sentence ends.")
@scoring_tokenizer_options
@options.threads_option
@options.tmp_option
def surprisal(paths, text, form, oov, floor, dynamic, dtype, no_ends, tokenizer, lower, threads, tmp) -> None:
    """One row a word: surprisal, entropy before the word, and its reduction, in bits, under every model.

    Without TEXT standard input is read.  docs/formats.md says what the columns are.

    \b
    Example:
      echo "man eat cookie" | rnnlm surprisal -m elman.rnnlm
    """
    from corpora.perplexity import check_policy
    from corpora.progress import bar
    from corpora.surprisal import model_names, surprisal_table

    models = dict(zip(model_names(paths), (_load(path, dtype, dynamic, threads) for path in paths), strict=True))
    if oov is not None:
        for lm in models.values():
            check_policy(lm, oov, floor)
    with (
        _encode(text, models, tokenizer, lower, threads, tmp) as stream,
        bar(stream.n_tokens, "scoring", unit=" words") as progress,
    ):
        surprisal_table(
            models, stream, sys.stdout.buffer, form=form, oov=oov, floor=floor, sentence_ends=not no_ends,
            on_block=lambda block: progress.update(len(block)),
        )  # fmt: skip


@rnnlm.command(short_help="Text drawn from a model.")
@model_option
@click.option("--words", type=click.IntRange(min=1), default=100, show_default=True, metavar="N", help="Their number.")
@click.option(
    "--temperature", type=FROM_0, default=1.0, show_default=True, metavar="T",
    help="Below 1 safer, above 1 wilder; 0: always the most probable word.",
)  # fmt: skip
@options.seed_option
@click.option("--prefix", default="", metavar="TEXT", help="Text to go on from; it is printed as well.")
@click.option("--no-unk", is_flag=True, help="Never draw <unk>.")
@dtype_option
def generate(paths, words, temperature, seed, prefix, no_unk, dtype) -> None:
    """Let a model write.

    \b
    Example:
      rnnlm generate -m elman.rnnlm --words 20 --seed 3
    """
    import numpy as np

    from corpora.tokenize import from_spec
    from corpora.vocab import EOS
    from rnnlm.generate import generate as draw
    from rnnlm.generate import sentences

    lm = _load(paths, dtype, None)
    tokenizer = from_spec(lm.tokenizer)
    before = _words(tokenizer.split(prefix.encode("utf-8", "surrogateescape")))
    missing = [word for word in before if word not in lm.vocab]
    if missing:
        _note(f"Warning: {missing[0].decode('utf-8', 'replace')}: not in the vocabulary of {paths}")
    drawn = draw(lm, words, np.random.default_rng(seed), temperature, before, unknown=not no_unk)
    n = before.count(EOS) - len(before)
    for sentence in sentences(chain(before, drawn)):
        _print_text(tokenizer.join(sentence))
        n += len(sentence)
    if n < words:
        _note(f"stopped after {n} words: the model writes nothing but sentence ends from here on")


def _words(text: bytes) -> list[bytes]:
    """The words of tokenized text, and a sentence end between its lines."""
    lines = text.replace(b"\r", b"").replace(b"\t", b" ").split(b"\n")
    return [word for word in b" </s> ".join(lines).split(b" ") if word]


@rnnlm.command(short_help="What is in a model file.")
@click.argument("model")
@options.json_option
def info(model, as_json) -> None:
    """Architecture, vocabulary, parameters and training history of a model file.

    \b
    Example:
      rnnlm info elman.rnnlm
    """
    from rnnlm.describe import describe, facts

    found = facts(model)
    _print_text(json.dumps(found, indent=2) if as_json else describe(found))


@rnnlm.command(short_help="Turn a model file into another format.")
@click.argument("model")
@click.option("-o", "--output", required=True, metavar="FILE", help="The file to write.")
@click.option(
    "--to", "form", type=click.Choice(list(FORMAT_NAMES.values())), required=True, help="The format to write."
)
@options.force_option
def convert(model, output, form, force) -> None:
    """Write a model in another format.  The text form of 0.4b keeps four decimals only.

    \b
    Example:
      rnnlm convert elman.rnnlm -o elman.txt --to 0.4b-text
    """
    from corpora.files import check_output
    from rnnlm.io import load, save, sniff

    check_output(output, force)
    # the toolkit's files hold float32: as such they are kept, though they are computed with in float64
    lm = load(model, dtype=None if sniff(model) == "native" else "float32")
    if form != "native" and lm.tokenizer != "whitespace":
        tokenizer = lm.tokenizer.replace("+", " --")
        _note(f"Warning: {output} will not know its tokenizer: give --tokenizer {tokenizer} wherever it is used")
    save(lm, output, next(name for name, shown in FORMAT_NAMES.items() if shown == form))


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
