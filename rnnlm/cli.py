"""The ``rnnlm`` command: each subcommand parses, calls the library and prints.

Results go to standard output, everything else to standard error; ``-`` is standard input or output.
Modules that need time to load are imported where they are used, so that help is there at once.
"""

from __future__ import annotations

import json
import sys

import click

from corpora import options
from corpora.errors import CorpusError
from rnnlm.config import ACTIVATIONS, DTYPES, INITIALISATIONS, MAX_DIRECT_ORDER

model_option = click.option("-m", "--model", "paths", required=True, metavar="MODEL", help="A model file.")
models_option = click.option(
    "-m", "--model", "paths", required=True, multiple=True, metavar="MODEL", help="A model file; may be repeated."
)
texts_argument = click.argument("text", nargs=-1, metavar="[TEXT]...")
oov_option = click.option(
    "--oov",
    type=click.Choice(["skip", "unk", "floor"]),
    help="What a word outside the vocabulary costs: nothing, as the word <unk>, or --floor.",
)
floor_option = click.option(
    "--floor", type=float, default=-8.0, show_default=True, metavar="LOG10", help="With --oov floor: its log10 probability."
)
dynamic_option = click.option(
    "--dynamic", type=click.FloatRange(min=0, min_open=True), metavar="ALPHA",
    help="Go on learning from the text, at this constant rate (dynamic evaluation).",
)  # fmt: skip
dtype_option = click.option(
    "--dtype", type=click.Choice(DTYPES), help="Compute in it.  [default: as trained; 0.4b's models: float64]"
)


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
    "--valid-share", type=click.FloatRange(0, 0.5, min_open=True), default=0.05, show_default=True, metavar="SHARE",
    help="Without --valid: the share of the sentences that is held out.",
)  # fmt: skip
@click.option("-o", "--output", required=True, metavar="MODEL", help="The model file to write.")
@click.option("--hidden", type=click.IntRange(min=1), default=100, show_default=True, metavar="H", help="Hidden units.")
@click.option(
    "--class", "classes", type=click.IntRange(min=1), default=100, show_default=True, metavar="C",
    help="Word classes of the output layer; 1: softmax over all words.",
)  # fmt: skip
@click.option("--old-classes", is_flag=True, help="Classes of equal frequency, not of equal square root of it.")
@click.option("--compression", type=click.IntRange(min=0), default=0, metavar="P", help="A compression layer of P units.")
@click.option(
    "--direct", type=click.FloatRange(min=0), default=0, metavar="MILLIONS",
    help="Direct connections: millions of hashed n-gram weights.",
)  # fmt: skip
@click.option(
    "--direct-order", type=click.IntRange(1, MAX_DIRECT_ORDER), default=3, show_default=True, metavar="N",
    help="Longest n-gram of the direct connections.",
)  # fmt: skip
@click.option("--independent", is_flag=True, help="Reset the state after every sentence.")
@click.option("--activation", type=click.Choice(ACTIVATIONS), default="logistic", show_default=True, help="Of hidden units.")
@click.option("--init", type=click.Choice(INITIALISATIONS), default="mikolov", show_default=True, help="Initial weights.")
@click.option("--init-scale", type=float, default=1.0, show_default=True, metavar="X", help="Factor of the initial weights.")
@click.option(
    "--bptt", type=click.IntRange(min=0), default=4, show_default=True, metavar="N",
    help="Steps that errors go back through time, beyond the block; 0: none.",
)  # fmt: skip
@click.option(
    "--bptt-block", type=click.IntRange(min=1), default=10, show_default=True, metavar="N",
    help="Words between two updates of the recurrent weights.",
)  # fmt: skip
@click.option("--alpha", type=float, default=0.1, show_default=True, metavar="X", help="Starting learning rate.")
@click.option("--beta", type=float, default=1e-7, show_default=True, metavar="X", help="L2 regularisation.")
@click.option("--gradient-cutoff", type=float, default=15.0, show_default=True, metavar="X", help="Clip errors; 0: off.")
@click.option(
    "--min-improvement", type=float, default=1.003, show_default=True, metavar="X",
    help="Factor by which an epoch must improve the validation log probability, or alpha is halved.",
)  # fmt: skip
@click.option("--max-iter", type=click.IntRange(min=1), default=100, show_default=True, metavar="N", help="Most epochs.")
@options.seed_option
@click.option("--dtype", type=click.Choice(DTYPES), default="float32", show_default=True, help="Of the weights.")
@click.option(
    "--compatible", is_flag=True,
    help="As rnnlm 0.4b to the digit: its initial weights (glibc's rand), order of words, counts; with "
    "--dtype float64 also its order of every operation.",
)  # fmt: skip
@options.vocab_options
@options.tokenizer_options
@click.option("--log", metavar="FILE", help="One JSON line an epoch.")
@click.option(
    "--checkpoint", type=click.FloatRange(min=0, min_open=True), default=10.0, show_default=True, metavar="MINUTES",
    help="How often the whole state is saved beside the model.",
)  # fmt: skip
@click.option("--snapshot", type=click.IntRange(min=0), default=0, metavar="WORDS", help="Print generated text every WORDS.")
@options.threads_option
@options.tmp_option
@click.option("-f", "--force", is_flag=True, help="Replace the model, and start over where a checkpoint is.")
@click.pass_context
def train(context, **o) -> None:
    """Train Elman's network on texts, one word after another.

    The model of the best epoch on the validation text is kept.  Ctrl-C saves the state; the same command goes on
    from there.

    \b
    Example:
      corpora grammar elman1990 -n 2000 > sentences.txt
      rnnlm train sentences.txt -o elman.rnnlm --hidden 20 --class 1 --max-iter 3
    """
    options.refuse_together(context, "vocab_file", "min_count")
    options.refuse_together(context, "vocab_file", "max_vocab")
    if o["compatible"]:
        options.refuse_together(context, "compatible", "init")
        options.refuse_together(context, "compatible", "init_scale")
    from corpora.files import check_output
    from corpora.inputs import expand, text_size
    from corpora.progress import bar
    from corpora.tokenize import get_tokenizer
    from rnnlm.config import ModelConfig, TrainConfig

    if o["output"] == "-":
        raise click.UsageError("-o -: a model is not written to standard output; give a file", context)
    real = _c_float if o["compatible"] else float
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
    except ValueError as error:
        raise click.UsageError(str(error), context) from error
    from rnnlm.data import VocabOptions, read_texts, same_text
    from rnnlm.run import Run

    tokenizer = get_tokenizer(o["tokenizer"], o["lower"]).spec
    if not (_exists(o["output"] + ".checkpoint") and not o["force"]):
        check_output(o["output"], o["force"])  # before the time is spent
    if o["log"]:
        check_output(o["log"], True)
    vocab = VocabOptions(o["vocab_file"], o["min_count"], o["max_vocab"], "rnnlm" if o["compatible"] else "first")
    files = [*expand(o["text"]), *expand(o["valid"])]
    with bar(text_size(files), "reading") as progress:
        texts = read_texts(
            o["text"], o["valid"], vocab, tokenizer, share=o["valid_share"], seed=o["seed"],
            keep_oov=o["compatible"], threads=o["threads"], tmp=o["tmp"], progress=progress.update,
        )  # fmt: skip
    try:
        _note(f"{len(texts.vocab)} words in the vocabulary, {texts.train.size} to train on, {texts.valid.size} to validate")
        if texts.held_out:
            _note(f"held out for validation: {texts.held_out} sentences drawn with seed {o['seed']}")
        elif same_text(o["text"], o["valid"], texts):
            _note("Warning: the validation text is the training text; nothing will tell when to stop")
        run = Run(
            o["output"], model_config, train_config, texts, tokenizer, force=o["force"], log=o["log"],
            checkpoint_minutes=o["checkpoint"], snapshot_words=o["snapshot"], say=_note, show=click.echo,
        )  # fmt: skip
        for report in run.epochs():
            click.echo(_epoch_line(report))
    finally:
        texts.close()


def _epoch_line(report) -> str:
    return (
        f"epoch {report.epoch:2d}  alpha {report.alpha:.6f}  train {report.train_entropy:.4f} bits  "
        f"valid {report.valid_entropy:.4f} bits  perplexity {report.valid_perplexity:8.2f}  "
        f"{report.words_per_second / 1000:6.1f}k words/s  {report.seconds:.1f} s{'' if report.kept else '  (not kept)'}"
    )


def _c_float(x: float) -> float:
    """As 0.4b reads its options: through a C float."""
    import struct

    return struct.unpack("f", struct.pack("f", x))[0]


def _exists(path: str) -> bool:
    import os

    return os.path.exists(path)


def _note(line: str) -> None:
    click.echo(line, err=True)


def _load(path: str, dtype: str | None, dynamic: float | None):
    from rnnlm.io import load

    lm = load(path, dtype=dtype)
    if dynamic is None:
        return lm
    from rnnlm.dynamic import DynamicLM

    config = lm.training.get("config", {})
    return DynamicLM(lm, dynamic, config.get("beta", 1e-7), config.get("gradient_cutoff", 15.0))


def _tokenizer(models: dict, tokenizer: str | None, lower: bool):
    """The tokenizer that was asked for, or the one that the models were trained with."""
    from corpora.tokenize import from_spec, get_tokenizer

    if tokenizer is not None or lower:
        return get_tokenizer(tokenizer or "whitespace", lower)
    specs = {getattr(lm, "tokenizer", "whitespace") for lm in models.values()}
    if len(specs) > 1:
        raise CorpusError(f"the models were trained with different tokenizers ({', '.join(sorted(specs))}): give --tokenizer")
    return from_spec(specs.pop())


def _encode(text, models: dict, tokenizer, lower, threads, tmp):
    from corpora.inputs import expand, text_size
    from corpora.progress import bar
    from corpora.stream import encode

    text = text or ("-",)
    splitter = _tokenizer(models, tokenizer, lower)
    with bar(text_size(expand(text)), "reading") as progress:
        return encode(text, splitter, threads=threads, tmp=tmp, progress=progress.update)


scoring_tokenizer_options = options.apply(
    click.option("--tokenizer", metavar="NAME", help="What a token is.  [default: as the model was trained]"),
    click.option("--lower", is_flag=True, help="Turn the text to lower case first."),
)


@rnnlm.command(short_help="Perplexity of a text.")
@model_option
@texts_argument
@click.option(
    "--report", type=click.Choice(["summary", "sentence", "word"]), default="summary", show_default=True, help="How much."
)
@click.option(
    "--format", "form", type=click.Choice(["text", "srilm", "tsv", "json"]), default="text", show_default=True,
    help="srilm: as its ngram -debug 0, 1, 2.",
)  # fmt: skip
@oov_option
@floor_option
@dynamic_option
@dtype_option
@scoring_tokenizer_options
@options.threads_option
@options.tmp_option
def ppl(paths, text, report, form, oov, floor, dynamic, dtype, tokenizer, lower, threads, tmp) -> None:
    """Perplexity of texts, of each sentence or of each word.

    Without TEXT standard input is read.  Words outside the vocabulary are skipped unless --oov says otherwise.

    \b
    Example:
      rnnlm ppl -m elman.rnnlm sentences.txt --report sentence --format tsv
    """
    from corpora.perplexity import check_policy, evaluate
    from corpora.progress import bar
    from corpora.reports import make_report

    lm = _load(paths, dtype, dynamic)
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
@click.option("--format", "form", type=click.Choice(["tsv", "json"]), default="tsv", show_default=True, help="A table, or JSON lines.")
@oov_option
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

    models = dict(zip(model_names(paths), (_load(path, dtype, dynamic) for path in paths), strict=True))
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
@click.option("--words", type=click.IntRange(min=1), default=100, show_default=True, metavar="N", help="How many.")
@click.option(
    "--temperature", type=click.FloatRange(min=0), default=1.0, show_default=True, metavar="T",
    help="Below 1 safer, above 1 wilder; 0: always the most probable word.",
)  # fmt: skip
@options.seed_option
@click.option("--prefix", default="", metavar="TEXT", help="Words to go on from.")
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

    lm = _load(paths, dtype, None)
    tokenizer = from_spec(lm.tokenizer)
    before = tokenizer.split(prefix.encode("utf-8", "surrogateescape")).split()
    missing = [word for word in before if word not in lm.vocab]
    if missing:
        _note(f"Warning: {missing[0].decode('utf-8', 'replace')}: not in the vocabulary of {paths}")
    sentence = list(before)
    for word in draw(lm, words, np.random.default_rng(seed), temperature, before, unknown=not no_unk):
        if word == EOS:
            _print_sentence(tokenizer, sentence)
            sentence = []
        else:
            sentence.append(word)
    if sentence:
        _print_sentence(tokenizer, sentence)


def _print_sentence(tokenizer, words) -> None:
    click.echo(tokenizer.join(words).encode("utf-8", "surrogateescape"))


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
    click.echo(json.dumps(found, indent=2) if as_json else describe(found))


@rnnlm.command(short_help="Turn a model file into another format.")
@click.argument("model")
@click.option("-o", "--output", required=True, metavar="FILE", help="The file to write.")
@click.option(
    "--to", "form", type=click.Choice(["native", "0.4b-text", "0.4b-binary"]), required=True, help="The format to write."
)
@options.force_option
def convert(model, output, form, force) -> None:
    """Write a model in another format.  The text form of 0.4b keeps four decimals only.

    \b
    Example:
      rnnlm convert elman.rnnlm -o elman.txt --to 0.4b-text
    """
    from corpora.files import check_output
    from rnnlm.io import load, save

    check_output(output, force)
    # what comes from the toolkit's float32 stays float32
    dtype = None if _is_native(model) else "float32"
    save(load(model, dtype=dtype), output, {"0.4b-text": "mikolov-text", "0.4b-binary": "mikolov-binary"}.get(form, form))


def _is_native(model: str) -> bool:
    from rnnlm.io import sniff

    return sniff(model) == "native"


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


if __name__ == "__main__":
    sys.exit(run())
