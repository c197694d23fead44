"""``rnnlm train``."""

from __future__ import annotations

import time
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
from rnnlm.recipes import RECIPES


def unset_options(config: type, *names: str):
    """Options without a default: it depends on others, see ``rnnlm.defaults``."""
    return options.apply(*(setting_option(config, name, default=None, show_default=False) for name in names))


@click.command(short_help="Train a model.")
@click.argument("text", nargs=-1, metavar="TEXT...")
@click.option("--valid", multiple=True, metavar="TEXT", help="Validation text; may be repeated.")
@click.option(
    "--valid-share", type=Number(0, 0.5, min_open=True), default=0.05, show_default=True, metavar="SHARE",
    help="Without --valid: the share of the training sentences that is held out.",
)  # fmt: skip
@click.option("-o", "--output", metavar="MODEL", help="The model file to write.  [required]")
@click.option(
    "--recipe", type=click.Choice(tuple(RECIPES)),
    help="Settings for a purpose; other options change them.",
)  # fmt: skip
@click.option("--show", is_flag=True, help="With --recipe: print its settings, and end.")
@click.option(
    "--time", metavar="TIME",
    help="30m, 1h30m: choose width, epochs and schedule so that training takes so long, by rates that are measured.",
)  # fmt: skip
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
    help="Print some generated text each time that WORDS more words were read, or soon after: training stops to look "
    "every 10,000 words, with --engine minibatch about once a second.",
)  # fmt: skip
@options.threads_option_that(" that read the text, and that --engine minibatch learns with; --engine online has one")
@options.tmp_option
@click.option("-f", "--force", is_flag=True, help="Replace outputs that exist, and what another run left unfinished.")
@click.pass_context
def train(context, **o) -> None:
    """Train a recurrent network on texts: Elman's, Jordan's, LSTM or GRU.

    The model of the epoch that does best on the validation text is kept.  Ctrl-C saves the state to
    MODEL.checkpoint; the same command goes on from there.

    \b
    Example:
      corpora grammar elman1990 -n 2000 > sentences.txt
      rnnlm train sentences.txt -o elman.rnnlm --hidden 20 --class 1 --max-iter 3
      rnnlm train sentences.txt -o lstm.rnnlm --cell lstm --hidden 20 --embedding 10 --max-iter 3
      rnnlm train sentences.txt -o best.rnnlm --time 5s
      rnnlm train --recipe small --show
    """
    began = time.perf_counter()
    if o["show"]:
        return _show(context, o)
    for name, missing in (("TEXT...", not o["text"]), ("--output", o["output"] is None)):
        if missing:
            raise click.UsageError(f"{name} is missing", context)
    options.refuse_together(context, "time", "recipe")
    plain = o["cell"] == "elman" and o["layers"] == 1 and not (o["embedding"] or o["tied"] or o["engine"])
    plain = plain and o["output_layer"] == "softmax" and o["time"] is None and o["recipe"] is None
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

    given = _given(context, o)
    configs = None if o["time"] is not None else _configs(context, given)
    with options.wrong_usage(context, (ValueError,)):
        seconds = None if o["time"] is None else planning().seconds_of(o["time"])
    with claim(o["output"]) as claimed:
        _train(context, o, given, configs, began, seconds, claimed)


def _train(context, o: dict, given: dict, configs, began: float, seconds: float | None, claimed) -> None:
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
        configs = configs or _planned(context, o, given, texts, began, seconds)
        run = Run(
            o["output"], *configs, texts, tokenizer, force=o["force"], log=o["log"],
            checkpoint_minutes=o["checkpoint"], snapshot_words=o["snapshot"] or 0, threads=o["threads"] or available(),
            seconds=seconds, gone=time.perf_counter() - began, say=note, show=print_text,
        )  # fmt: skip
        with closing(run.epochs()) as epochs:
            for report in epochs:
                print_report(_epoch_line(report))
    finally:
        texts.close()


def planning():
    """The module that plans, which few need."""
    from rnnlm import planning as module

    return module


def _given(context, o: dict) -> dict:
    """The settings that options say, and a recipe; with --time, only what was given."""
    given = values_of(ModelConfig, o) | values_of(TrainConfig, o)
    given["direct"] = 2 * round(o["direct"] * 500_000)  # half of them are for classes
    if o["time"] is not None:
        return {name: value for name, value in given.items() if options.is_given(context, name)}
    if o["recipe"] is not None:
        recipe = RECIPES[o["recipe"]]
        for values, into in ((recipe.settings, given), (recipe.options, o)):
            into.update({name: value for name, value in values.items() if not options.is_given(context, name)})
    return given


def _show(context, o: dict) -> None:
    """Print a recipe, with the options that change it, as a command."""
    if o["recipe"] is None:
        raise click.UsageError("--show: which one?  --recipe NAME", context)
    recipe = RECIPES[o["recipe"]]
    configs = _configs(context, _given(context, o))
    of_texts = [f"--{name.replace('_', '-')} {o[name]}" for name in recipe.options]
    command = ["rnnlm train TEXT --valid TEXT -o MODEL", *of_texts, *as_options(configs)]
    print_text(f"# {o['recipe']}: {recipe.purpose}\n" + " \\\n  ".join(command))


def as_options(configs: tuple[ModelConfig, TrainConfig]) -> list[str]:
    """Configurations as they are typed, without what has no influence on them."""
    left_out, parts = unused(*configs), []
    for config in configs:
        for name, setting in settings_of(type(config)).items():
            value = getattr(config, name)
            is_hidden = not setting.help and value == setting.default
            if value is None or name in left_out or is_hidden:
                continue
            if setting.kind is bool:
                default = setting.default
                parts += [] if value == default else [setting.option if value else f"--no-{setting.option[2:]}"]
            else:
                parts.append(f"{setting.option} {setting.shown(value)}")
    return parts


def _planned(context, o: dict, given: dict, texts, began: float, seconds: float) -> tuple[ModelConfig, TrainConfig]:
    """The configurations for a time: of an unfinished run, or of a new plan."""
    from corpora.compute.processors import available
    from rnnlm.run import unfinished_configs

    if not o["force"] and (found := unfinished_configs(o["output"], given)) is not None:
        return found
    note("measuring how fast networks learn here")
    with options.wrong_usage(context, (ValueError,)):
        plan = planning().Plan(texts, given, seconds - (time.perf_counter() - began), o["threads"] or available())
        configs = plan.find()
        require_fit(*configs)
    _refuse_unused(context, *configs)
    gone = time.perf_counter() - began
    if gone >= seconds:
        shown = planning().shown
        note(f"Warning: {shown(gone)} of {shown(seconds)} are gone before anything was learnt: give more `time`")
    note(f"plan: about {planning().shown(plan.foreseen())} of training: {' '.join(as_options(configs))}")
    return configs


def _configs(context, given: dict) -> tuple[ModelConfig, TrainConfig]:
    """The configurations of train's options."""
    from rnnlm.legacy.options import c_float

    with options.wrong_usage(context, (ValueError, OverflowError)):
        model, training = filled_in(given)
        if training.compatible:
            floats = {name: c_float(value) for name, value in vars(training).items() if isinstance(value, float)}
            training = replace(training, **floats)
        require_fit(model, training)
    _refuse_unused(context, model, training)
    return model, training


def _refuse_unused(context, model: ModelConfig, training: TrainConfig) -> None:
    """A usage error for an option that is given though nothing reads it."""
    known, values = settings_of(ModelConfig) | settings_of(TrainConfig), vars(model) | vars(training)
    for name, because in unused(model, training).items():
        if options.is_given(context, name):
            reason = f"{known[because].option} {values[because]} has no use for it"
            raise click.UsageError(f"{known[name].option}: {reason}", context)


def _epoch_line(report) -> str:
    about = "" if report.loss == "full" else "about "  # an estimate: words were drawn
    return (
        f"epoch {report.epoch:2d}  alpha {report.alpha:.6f}  train {about}{report.train_entropy:.4f} bits  "
        f"valid {report.valid_entropy:.4f} bits  perplexity {report.valid_perplexity:8.2f}  "
        f"{report.words_per_second / 1000:6.1f}k words/s  {report.seconds:.1f} s{'' if report.kept else '  (not kept)'}"
    )
