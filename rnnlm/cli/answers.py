"""``rnnlm answers``: how often models know the word in which a line ends."""

from __future__ import annotations

import json

import click

from corpora.command import options
from corpora.command.options import note, print_text
from rnnlm.cli.shared import (
    dtype_option,
    encode_text,
    load_models,
    models_option,
    named,
    scoring_tokenizer_options,
    text_name,
    texts_argument,
)


@click.command(short_help="How often models know the last word of a line.")
@models_option
@texts_argument
@click.option(
    "--position", type=click.IntRange(max=-1), default=-1, show_default=True, metavar="N",
    help="Which word is the answer, counted from the end of the line.",
)  # fmt: skip
@options.json_option
@dtype_option
@scoring_tokenizer_options
@options.scoring_threads_option
@options.tmp_option
def answers(paths, text, position, as_json, dtype, tokenizer, lower, threads, tmp) -> None:
    """The share of lines whose last word is the one that a model finds most probable there, for each model.

    For lines that end in what follows from their other words: the class of `corpora grammar temporal-order`, the
    sum of `adding-digits`, with --position -2 the symbol that `embedded-reber` repeats.  Every line is begun anew.
    "probability" is the mean probability of the answers.  Without TEXT standard input is read.

    \b
    Example:
      rnnlm answers -m elman.rnnlm -m kn3.lm sentences.txt
      echo "man eat cookie" | rnnlm answers -m elman.rnnlm --position -2
    """
    from corpora.jobs.progress import bar
    from rnnlm.answers import answers as ask

    models = named(paths, load_models(paths, dtype, None, threads, distributions=True))
    found = {}
    with (
        encode_text(text, models, tokenizer, lower, threads, tmp) as stream,
        bar(stream.n_sentences * len(models), "asking", unit=" lines") as progress,
    ):
        for name, lm in models.items():
            found[name] = ask(lm, stream, position=position, name=text_name(text), on_line=progress.update)
    for name, each in found.items():
        if n := int(each.oov.sum()):
            note(f"Warning: {name}: counted as wrong because not in its vocabulary: {n} of {len(each)} answers")
    if as_json:
        print_text(json.dumps([_as_dict(name, each) for name, each in found.items()], indent=2, ensure_ascii=False))
        return
    from corpora.command.text_table import print_table

    rows = [
        (name, f"{len(each)}", f"{each.right.sum()}", f"{100 * each.share:.2f}%", f"{each.mean_probability:.4f}")
        for name, each in found.items()
    ]
    print_table(("model", "lines", "right", "share", "probability"), rows, left=["model"])


def _as_dict(name: str, found) -> dict:
    return {
        "model": name,
        "lines": len(found),
        "right": int(found.right.sum()),
        "share": found.share,
        "probability": found.mean_probability,
        "oov": int(found.oov.sum()),
    }
