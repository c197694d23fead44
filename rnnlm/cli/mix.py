"""``rnnlm mix``: mixtures of models, and the weights that fit a text best."""

from __future__ import annotations

import sys

import click

from corpora.command import options
from corpora.command.options import ABOVE_0
from rnnlm.cli.mixing import MixOptions, cache_options, log_linear_option, weights_option
from rnnlm.cli.shared import (
    dtype_option,
    encode_text,
    load_models,
    models_option,
    oov_option,
    scoring_tokenizer_options,
)


@click.command(short_help="Mix models; find the best weights.")
@models_option
@weights_option
@log_linear_option
@cache_options
@click.option("--tune", multiple=True, metavar="TEXT", help="Find the weights that suit this text best (by EM).")
@click.option("-o", "--output", metavar="MIX.json", help="Where to write the mixture, to be used as a model.")
@click.option(
    "--format", "form", type=click.Choice(["text", "srilm"]), default="text", show_default=True,
    help="What --tune prints; srilm: the layout of its compute-best-mix.",
)  # fmt: skip
@click.option(
    "--precision", type=ABOVE_0, default=1e-3, show_default=True, metavar="X",
    help="--tune ends when no weight changes by more.",
)  # fmt: skip
@oov_option("skip")
@scoring_tokenizer_options
@dtype_option
@options.scoring_threads_option
@options.tmp_option
@options.force_option
@click.pass_context
def mix(context, paths, tune, output, form, precision, oov, tokenizer, lower, dtype, threads, tmp, force, **o) -> None:
    """Mix models, with weights that are given or that suit a text best.

    With --tune, --weight are the weights to start from.  MIX.json names the model files by their
    paths from its own folder, so that all can be moved together.

    \b
    Example:
      rnnlm mix -m elman.rnnlm -m kn3.lm --tune sentences.txt -o mix.json
      rnnlm ppl -m mix.json sentences.txt
    """
    if not tune and output is None:
        raise click.UsageError("give --tune TEXT, -o MIX.json, or both", context)
    if tune:
        options.refuse_together(context, "tune", "log_linear")
    if output == "-":
        raise click.UsageError("-o -: its paths are those from its folder; give a file", context)
    chosen = MixOptions.of(context, len(paths), **o)
    from corpora.files.output import check_output
    from rnnlm.io import save

    if output is not None:
        check_output(output, force, paths)
    mixture = chosen.mixture(load_models(paths, dtype, None, threads), paths)
    if tune:
        mixture = _tuned(
            mixture, tune, chosen.weights, precision, oov or "skip", form, (tokenizer, lower, threads, tmp)
        )
    if output is not None:
        save(mixture, output, "mixture")


def _tuned(mixture, text, weights, precision: float, oov: str, form: str, reading):
    """The mixture with the weights that fit a text; prints how they were found."""
    from corpora.evaluation.perplexity import check_policy
    from corpora.jobs.progress import bar
    from rnnlm.mixtures.tuning import srilm_best_mix, tune

    check_policy(mixture, oov)
    with (
        encode_text(text, {"": mixture}, *reading) as stream,
        bar(stream.n_tokens, "scoring", unit=" words") as progress,
    ):
        mixture, fit = tune(
            mixture, stream, oov=oov, start=None if weights is None else mixture.weights, precision=precision,
            on_block=progress.update,
        )  # fmt: skip
    if form == "srilm":
        sys.stdout.buffer.write(srilm_best_mix(fit))
    else:
        click.echo(describe(mixture, fit))
    return mixture


def describe(mixture, fit) -> str:
    """The weights and what they are worth, for reading."""
    names = [_name(lm) if file is None else file for lm, file in zip(mixture.models, mixture.files, strict=True)]
    lines = [f"{weight:10.6f}  {name}" for weight, name in zip(mixture.weights.tolist(), names, strict=True)]
    before = fit.history[0][1]
    lines.append(f"perplexity {fit.perplexity:.4f} ({before:.4f} at the start), {fit.words} words")
    return "\n".join(lines)


def _name(lm) -> str:
    """What a component is called that is no file's."""
    from rnnlm.mixtures.cache import CacheLM

    return "cache" if isinstance(lm, CacheLM) else "neural cache"
