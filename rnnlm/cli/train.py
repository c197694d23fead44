"""``rnnlm train``."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import click

from corpora.command import options
from corpora.command.options import ABOVE_0, Number, note, print_report, print_text
from corpora.command.settings import setting_option, settings_options, values_of
from corpora.compute import ahead
from corpora.settings import settings_of
from rnnlm.config import ModelConfig, TrainConfig, require_fit
from rnnlm.defaults import filled_in, unused


def unset_options(config: type, *names: str):
    """Options without a default: it depends on others, see ``rnnlm.defaults``."""
    return options.apply(*(setting_option(config, name, default=None, show_default=False) for name in names))


@click.command(short_help="Train a model.")
@options.text_argument
@click.option("--valid", multiple=True, metavar="TEXT", help="Validation text; may be repeated.")
@click.option(
    "--valid-share", type=Number(0, 0.5, min_open=True), default=0.05, show_default=True, metavar="SHARE",
    help="Without --valid: the share of the training sentences that is held out.",
)  # fmt: skip
@click.option("-o", "--output", required=True, metavar="MODEL", help="The model file to write.")
@settings_options(ModelConfig, "cell", "hidden", "layers")
@setting_option(ModelConfig, "embedding", default=None)  # of ``tied``
@settings_options(ModelConfig, "tied", "reset")
@setting_option(ModelConfig, "forget_gate", option="--forget-gate/--no-forget-gate", default=True)
@settings_options(ModelConfig, "peephole")
@settings_options(ModelConfig, "output_layer")
@setting_option(ModelConfig, "classes", default=None, show_default=False)  # of the cell
@settings_options(ModelConfig, "old_classes", "compression", "direct", "direct_order")
@settings_options(ModelConfig, "independent")
@unset_options(ModelConfig, "activation")
@unset_options(TrainConfig, "engine", "batch_size", "initialisation")
@settings_options(TrainConfig, "scale")
@unset_options(TrainConfig, "bptt")
@settings_options(TrainConfig, "bptt_block")
@unset_options(TrainConfig, "alpha", "optimizer")
@settings_options(TrainConfig, "momentum", "beta1", "beta2", "weight_decay")
@settings_options(TrainConfig, "dropout", "dropout_input", "dropout_between", "dropout_output")
@settings_options(TrainConfig, "dropout_words", "dropout_recurrent", "locked")
@unset_options(TrainConfig, "gradient_cutoff", "clip_norm")
@settings_options(TrainConfig, "loss", "samples", "noise_power", "log_z", "full_epochs")
@settings_options(TrainConfig, "beta")
@settings_options(TrainConfig, "schedule", "warmup")
@setting_option(TrainConfig, "min_improvement", type=ABOVE_0)
@unset_options(TrainConfig, "max_epochs")
@settings_options(TrainConfig, "average")
@options.seed_option
@settings_options(ModelConfig, "dtype")
@settings_options(TrainConfig, "compatible")
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
@options.threads_option_that(" that read the text, and that --engine minibatch learns with; --engine online has one")
@options.tmp_option
@click.option("-f", "--force", is_flag=True, help="Replace outputs that exist, and what another run left unfinished.")
@click.pass_context
def train(context, **o) -> None:
    """Train Elman's network, or Jordan's, on texts, one word after another.

    The model of the epoch that does best on the validation text is kept.  Ctrl-C saves the state to
    MODEL.checkpoint; the same command goes on from there.

    \b
    Example:
      corpora grammar elman1990 -n 2000 > sentences.txt
      rnnlm train sentences.txt -o elman.rnnlm --hidden 20 --class 1 --max-iter 3
      rnnlm train sentences.txt -o lstm.rnnlm --cell lstm --hidden 20 --embedding 10 --max-iter 3
    """
    plain = o["cell"] == "elman" and o["layers"] == 1 and not (o["embedding"] or o["tied"] or o["engine"])
    plain = plain and o["output_layer"] == "softmax"
    if o["dtype"] == "float32" and not o["compatible"] and plain and o["batch_size"] in (None, 1):
        ahead.expect("corpora/text", "rnnlm/train")
    options.refuse_together(context, "vocab_file", "min_count")
    options.refuse_together(context, "vocab_file", "max_vocab")
    options.refuse_together(context, "valid", "valid_share")
    if o["compatible"]:
        options.refuse_together(context, "compatible", "initialisation")
        options.refuse_together(context, "compatible", "scale")
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
    from corpora.compute.processors import available
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
            checkpoint_minutes=o["checkpoint"], snapshot_words=o["snapshot"] or 0, threads=o["threads"] or available(),
            say=note, show=print_text,
        )  # fmt: skip
        with closing(run.epochs()) as epochs:
            for report in epochs:
                print_report(_epoch_line(report))
    finally:
        texts.close()


def _configs(context, o: dict) -> tuple[ModelConfig, TrainConfig]:
    """The configurations of train's options."""
    from rnnlm.legacy.options import c_float

    given = values_of(ModelConfig, o) | values_of(TrainConfig, o)
    given["direct"] = 2 * round(o["direct"] * 500_000)  # half of them are for classes
    with options.wrong_usage(context, (ValueError, OverflowError)):
        model, training = filled_in(given)
        if training.compatible:
            floats = {name: c_float(value) for name, value in vars(training).items() if isinstance(value, float)}
            training = replace(training, **floats)
        require_fit(model, training)
    known = settings_of(TrainConfig)
    for name, because in unused(training).items():
        if options.is_given(context, name):
            reason = f"{known[because].option} {getattr(training, because)} has no use for it"
            raise click.UsageError(f"{known[name].option}: {reason}", context)
    return model, training


def _epoch_line(report) -> str:
    about = "" if report.loss == "full" else "about "  # an estimate: words were drawn
    return (
        f"epoch {report.epoch:2d}  alpha {report.alpha:.6f}  train {about}{report.train_entropy:.4f} bits  "
        f"valid {report.valid_entropy:.4f} bits  perplexity {report.valid_perplexity:8.2f}  "
        f"{report.words_per_second / 1000:6.1f}k words/s  {report.seconds:.1f} s{'' if report.kept else '  (not kept)'}"
    )
