"""``rnnlm train``."""

from __future__ import annotations

from contextlib import closing

import click

from corpora.command import options
from corpora.command.options import ABOVE_0, FROM_0, Number, note, print_report, print_text
from rnnlm.config import ACTIVATIONS, BEGINNINGS, DTYPES, INITIALISATIONS, MAX_DIRECT_ORDER


@click.command(short_help="Train a model.")
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
    help="How the initial weights are drawn; mikolov: to fit the activation.",
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
@click.option(
    "--alpha", type=ABOVE_0, metavar="X",
    help="Starting learning rate.  [default: 0.1; "
    + ", ".join(f"{name} {begin.alpha:g}" for name, begin in BEGINNINGS.items() if name != "logistic")
    + ", these times 100 / H where H is larger]",
)  # fmt: skip
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
@options.threads_option_that(" that read the text; one learns")
@options.tmp_option
@click.option("-f", "--force", is_flag=True, help="Replace outputs that exist, and what another run left unfinished.")
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
    from corpora.jobs.resumable import claim

    configs = _configs(context, o)
    with claim(o["output"]) as claimed:
        _train(o, *configs, claimed)


def _train(o: dict, model_config, train_config, claimed) -> None:
    from corpora.jobs.progress import bar
    from corpora.text.inputs import expand, text_size
    from corpora.text.tokenizers import get_tokenizer
    from rnnlm.data import VocabOptions, read_texts, same_text
    from rnnlm.run import Run, check_outputs

    tokenizer = get_tokenizer(o["tokenizer"], o["lower"]).spec
    vocab = VocabOptions(o["vocab_file"], o["min_count"], o["max_vocab"], "rnnlm" if o["compatible"] else "first")
    train_files, valid_files = expand(o["text"]), expand(o["valid"])
    files = [*train_files, *valid_files]
    read = files if vocab.file is None else [*files, vocab.file]
    check_outputs(o["output"], o["log"], o["force"], read, claimed)  # before the time is spent
    with bar(text_size(files), "reading") as progress:
        texts = read_texts(
            o["text"], o["valid"], vocab, tokenizer, share=o["valid_share"], seed=o["seed"],
            keep_oov=o["compatible"], threads=o["threads"], tmp=o["tmp"], progress=progress.update,
        )  # fmt: skip
    try:
        if texts.held_out:
            note(f"held out for validation: {texts.held_out} sentences drawn with seed {o['seed']}")
        elif same_text(train_files, valid_files, texts):
            note("Warning: the validation text is the training text, so that nothing tells when to stop")
        note(f"vocabulary: {len(texts.vocab)} words")
        for name, ids in (("training", texts.train), ("validation", texts.valid)):
            note(f"{name}: {ids.size} words and sentence ends, {100 * texts.unknown_share(ids):.2f}% unknown")
        run = Run(
            o["output"], model_config, train_config, texts, tokenizer, force=o["force"], log=o["log"],
            checkpoint_minutes=o["checkpoint"], snapshot_words=o["snapshot"] or 0, say=note, show=print_text,
        )  # fmt: skip
        with closing(run.epochs()) as epochs:
            for report in epochs:
                print_report(_epoch_line(report))
    finally:
        texts.close()


def _configs(context, o: dict):
    """The ModelConfig and the TrainConfig of train's options."""
    from rnnlm.config import ModelConfig, TrainConfig, default_alpha
    from rnnlm.legacy.options import c_float

    real = c_float if o["compatible"] else float
    alpha = default_alpha(o["activation"], o["hidden"]) if o["alpha"] is None else o["alpha"]
    try:
        model_config = ModelConfig(
            hidden=o["hidden"], activation=o["activation"], classes=o["classes"], old_classes=o["old_classes"],
            compression=o["compression"], direct=2 * round(o["direct"] * 500_000), direct_order=o["direct_order"],
            independent=o["independent"], dtype=o["dtype"],
        )  # fmt: skip
        train_config = TrainConfig(
            alpha=real(alpha), beta=real(o["beta"]), bptt=o["bptt"], bptt_block=o["bptt_block"],
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
