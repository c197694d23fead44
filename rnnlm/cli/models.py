"""``rnnlm info`` and ``convert``: model files."""

from __future__ import annotations

import json

import click

from corpora.command import options
from corpora.command.options import note, print_text
from rnnlm.formats import ENDINGS, FORMAT_NAMES, KEEPING_TOKENIZERS, TORCH_ACTIVATIONS

_FORMATS = list(dict.fromkeys(FORMAT_NAMES.values()))


@click.command(short_help="What is in a model file.")
@click.argument("model")
@options.json_option
def info(model, as_json) -> None:
    """What a model file says of itself: architecture, sizes, training history, components.

    \b
    Example:
      rnnlm info elman.rnnlm
    """
    from rnnlm.describe import describe, facts

    found = facts(model)
    print_text(json.dumps(found, indent=2) if as_json else describe(found))


@click.command(short_help="Turn a model file into another format.")
@click.argument("model")
@click.option("-o", "--output", required=True, metavar="FILE", help="The file to write.")
@click.option(
    "--to", "form", type=click.Choice(_FORMATS),
    help="The format to write: arpa for n-gram models; 0.4b's, torch (a state dictionary as safetensors) and onnx "
    "for recurrent ones; native for both.  [default: arpa if FILE ends in .arpa or .arpa.gz, onnx if in .onnx]",
)  # fmt: skip
@click.option(
    "--vocab", "vocab_file", metavar="FILE",
    help="The words of a model of PyTorch or ONNX, one per line in the order of its ids, </s> or <eos> among them.",
)  # fmt: skip
@click.option(
    "--activation", type=click.Choice(TORCH_ACTIVATIONS),
    help="The function of the units of PyTorch's RNN, which its files do not say.",
)  # fmt: skip
@options.force_option
def convert(model, output, form, vocab_file, activation, force) -> None:
    """Write a model in another format.  The text form of 0.4b keeps four decimals only.

    \b
    Example:
      rnnlm convert elman.rnnlm -o elman.txt --to 0.4b-text
      rnnlm convert lstm.rnnlm -o lstm.safetensors --to torch
      rnnlm convert kn3.lm -o kn3.arpa.gz
    """
    from corpora.evaluation.language_model import tokenizers_of
    from corpora.files.output import check_output
    from rnnlm.io import Missing, load, save

    form = form or next((form for ending, form in ENDINGS.items() if output.endswith(ending)), None)
    if form is None:
        raise click.UsageError(f"the format of {output} is to be said: --to {', '.join(_FORMATS)}")
    check_output(output, force)
    lm = load(model, as_stored=True, missing=Missing(vocab_file, activation))
    spec = tokenizers_of([lm])[0]
    if form not in KEEPING_TOKENIZERS and spec != "whitespace":
        tokenizer = spec.replace("+", " --")
        note(f"Warning: {output} will not know its tokenizer: give --tokenizer {tokenizer} wherever it is used")
    save(lm, output, next(name for name, shown in FORMAT_NAMES.items() if shown == form))
