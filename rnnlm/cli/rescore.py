"""``rnnlm rescore``: n-best lists under a model, the best hypothesis of each, word error rates."""

from __future__ import annotations

import json
import math
import os

import click

from corpora.command import options
from corpora.command.options import FROM_0, Number, note, print_text
from corpora.errors import CorpusError
from rnnlm.cli.shared import (
    dtype_option,
    floor_option,
    load_models,
    models_option,
    named,
    oov_option,
    scoring_tokenizer_options,
    tokenizer_of,
)


class Finite(click.types.FloatParamType):
    """Any finite number."""

    def convert(self, value, param, ctx):
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


@click.command(short_help="Score the hypotheses of n-best lists.")
@models_option
@click.argument("lists", nargs=-1, required=True, metavar="LIST...")
@click.option(
    "--model-weight", "weights", type=FROM_0, multiple=True, metavar="X",
    help="With several models: the weight of each in their mixture, in the order of -m.  [default: equal ones]",
)  # fmt: skip
@click.option(
    "--format", "form", type=click.Choice(["nbest", "tsv", "srilm"]),
    help="The form of the lists.  [default: as their content looks]",
)  # fmt: skip
@click.option("--allow-empty", is_flag=True, help="Take hypotheses without words, which otherwise are an error.")
@click.option(
    "--lm-scale", type=FROM_0, default=1.0, show_default=True, metavar="X",
    help="What language scores are multiplied by, beside acoustic scores.",
)  # fmt: skip
@click.option(
    "--word-penalty", type=Finite(), default=0.0, show_default=True, metavar="X",
    help="What each word adds to the total; below 0 it favours short hypotheses.",
)  # fmt: skip
@click.option(
    "--weight", type=Number(0, 1), metavar="X",
    help="Weight of the model's score, beside the list's own language score.  [default: 0.5; 1 if the list has none]",
)  # fmt: skip
@oov_option("unk for a model that has <unk>, else floor")
@floor_option
@click.option(
    "--best", is_flag=True, help="Write only the best hypothesis of each utterance: its id and the words, a line each."
)
@click.option(
    "--to", type=click.Choice(["tsv", "srilm"]), default="tsv", show_default=True,
    help="tsv: one table.  srilm: -o is a folder with a file for each utterance.",
)  # fmt: skip
@click.option(
    "-o", "--output", metavar="FILE",
    help="Where the lists go.  [default: standard output; with --references, whose table goes there, nowhere]",
)  # fmt: skip
@options.force_option
@click.option("--references", metavar="FILE", help="Print word error rates; lines of id and words, as --best writes.")
@click.option(
    "--tune", is_flag=True,
    help="Fit to the references what is not given of --lm-scale, --word-penalty and --weight.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the word error rates as JSON.")
@dtype_option
@scoring_tokenizer_options
@options.scoring_threads_option
@click.pass_context
def rescore(context, paths, lists, **o) -> None:
    """Score the hypotheses of a recogniser with a model and rank them anew.

    LIST has one hypothesis per line: `utterance words`; or a table with names of columns on its first line,
    `utterance`, `acoustic`, `language` and `words`; or SRILM's `acoustic lm n_words words`, one file per utterance.
    Scores are log10.  The total is

    \b
      acoustic + word-penalty * words
               + lm-scale * ((1 - weight) * language + weight * model)

    Several models are mixed, word by word.

    \b
    Example:
      echo "u1 man eat cookie" | rnnlm rescore -m elman.rnnlm -
    """
    _check(context, paths, o)
    from corpora.files.output import check_output
    from corpora.jobs.progress import bar
    from corpora.text.inputs import expand
    from rnnlm.nbest.lists import read, read_references
    from rnnlm.nbest.rescore import Scales, rescore

    if o["output"] is not None and o["to"] == "tsv":
        check_output(o["output"], o["force"], [*expand(lists), *paths, *filter(None, [o["references"]])])
    nbest = read(lists, o["form"], allow_empty=o["allow_empty"])
    scales = Scales(o["lm_scale"], o["word_penalty"], o["weight"]).fitted(nbest)
    wrong, n_reference_words = None, 0
    if o["references"] is not None:  # before the time for scoring is spent
        from rnnlm.nbest.wer import edits

        references, others = read_references(o["references"], nbest.utterances)
        if others:
            note(f"{o['references']}: {others} references are of utterances that the lists lack")
        wrong, n_reference_words = edits(nbest, references), sum(map(len, references))
    files = _files(nbest, o, expand(lists)) if o["to"] == "srilm" else []
    models = load_models(paths, o["dtype"], None, o["threads"])
    tokenizer = tokenizer_of(named(paths, models), o["tokenizer"], o["lower"])
    with bar(None, "scoring", unit=" words") as progress:
        found = rescore(
            nbest, _mixture(models, o["weights"]), tokenizer=tokenizer, oov=o["oov"], floor=o["floor"],
            progress=progress.update,
        )  # fmt: skip
    if found.oov.any():
        n = int(nbest.n_words.sum())
        note(f"{int(found.oov.sum())} of {n} words are not in the model's vocabulary")
    if wrong is not None:
        scales = _report(context, nbest, found.log10_prob, wrong, n_reference_words, scales, o)
    if files:
        _write_folder(files, nbest, scales.language(nbest, found.log10_prob))
    elif o["output"] is not None or wrong is None:
        _write(o["output"] or "-", nbest, found.log10_prob, scales.total(nbest, found.log10_prob), o["best"])


def _check(context: click.Context, paths, o: dict) -> None:
    if o["tune"] and o["references"] is None:
        raise click.UsageError("--tune needs --references FILE", context)
    if o["as_json"] and o["references"] is None:
        raise click.UsageError("--json: is for the word error rates of --references FILE", context)
    if o["to"] == "srilm":
        if o["best"]:
            raise click.UsageError("--best cannot be used with --to srilm", context)
        if o["output"] in (None, "-"):
            raise click.UsageError("--to srilm needs -o FOLDER", context)
    if o["references"] is not None and o["output"] == "-":
        raise click.UsageError("--output -: the table of --references goes to standard output; give a file", context)
    if o["weights"]:
        from rnnlm.mixtures.mixture import check_weights

        with options.wrong_usage(context):
            check_weights(o["weights"], len(paths))


def _mixture(models, weights):
    if len(models) == 1:
        return models[0]
    from rnnlm.mixtures.mixture import Mixture

    return Mixture(models, weights or None)


def _report(context, nbest, log10_prob, wrong, n_reference_words, scales, o: dict):
    """Print the word error rates; the scales, tuned where that was asked for."""
    from rnnlm.nbest.wer import TUNABLE, report

    given = [name for name in TUNABLE if context.get_parameter_source(name).name == "COMMANDLINE"]
    free = [name for name in TUNABLE if name not in given] if o["tune"] else []
    rows, scales = report(nbest, log10_prob, wrong, n_reference_words, scales, free)
    if o["as_json"]:
        print_text(json.dumps({name: _as_dict(errors, used) for name, (errors, used) in rows.items()}, indent=2))
    else:
        print_text("            WER  errors   words  lm-scale  word-penalty  weight")
        for name, (errors, used) in rows.items():
            how = "" if used is None else f"  {used.lm_scale:8.4g}  {used.word_penalty:12.4g}  {used.weight:6.4g}"
            print_text(f"{name:7s} {100 * errors.rate:6.2f}% {errors.errors:7d} {errors.words:7d}{how}")
    return scales


def _as_dict(errors, scales) -> dict:
    found = {"wer": errors.rate if errors.words else None, "errors": errors.errors, "words": errors.words}
    if scales is None:
        return found
    return found | {"lm_scale": scales.lm_scale, "word_penalty": scales.word_penalty, "weight": scales.weight}


def _write(path: str, nbest, log10_prob, total, best: bool) -> None:
    from corpora.files.output import replace_file
    from rnnlm.nbest.lists import write_best, write_table

    with replace_file(path) as file:
        if best:
            write_best(file, nbest, nbest.best(total))
        else:
            write_table(file, nbest, {"log10_prob": log10_prob, "total": total})


def _files(nbest, o: dict, inputs: list[str]) -> list[str]:
    """The files of the folder, one for each utterance; CorpusError where one could not be written."""
    from corpora.files.output import check_output

    folder, files = o["output"], []
    for name in nbest.utterances:
        shown = os.fsdecode(name)
        if os.path.basename(shown) != shown or "\0" in shown:
            raise CorpusError(f"utterance {shown}: its id cannot be the name of a file; use --to tsv")
        files.append(os.path.join(folder, f"{shown}.nbest"))
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise CorpusError(f"{folder}: {error.strerror or error}") from error
    for file in files:
        check_output(file, o["force"], inputs)
    return files


def _write_folder(files: list[str], nbest, language) -> None:
    from corpora.files.output import replace_file
    from rnnlm.nbest.lists import write_srilm

    for u, path in enumerate(files):
        with replace_file(path) as file:
            write_srilm(file, nbest, u, language)
