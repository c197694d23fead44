"""``w2v train``."""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import replace

import click

from corpora.command import options
from corpora.command.options import ABOVE_0, FROM_0, note, print_report
from corpora.command.settings import setting_option, settings_options, values_of
from corpora.compute import ahead
from w2v.config import TrainConfig

FORMATS = ("native", "text", "binary")
# what may be given beside --resume: the rest is in the checkpoint
_WITH_RESUME = {"text", "output", "resume", "threads", "tmp", "checkpoint"}


@click.command(short_help="Train vectors.")
@click.argument("text", nargs=-1, metavar="TEXT...")
@click.option(
    "-o", "--output", required=True, metavar="VECTORS",
    help="The file to write; -: standard output, as text.",
)  # fmt: skip
@click.option(
    "--format", type=click.Choice(FORMATS),
    help="Form of VECTORS.  [default: by its name: .bin binary, .txt and .vec text, else native]",
)  # fmt: skip
@click.option("--binary", is_flag=True, help="Short for --format binary.")
@click.option(
    "--cbow/--skipgram", "architecture", default=True, show_default=True,
    callback=lambda context, parameter, is_cbow: "cbow" if is_cbow else "skipgram",
    help="Predict a word by those around it, or those by the word.",
)  # fmt: skip
@settings_options(TrainConfig, "size", "window", "fixed_window", "sample", "negative", "hs", "negatives")
@setting_option(TrainConfig, "ns_exponent", type=FROM_0)
@settings_options(TrainConfig, "cbow_update", "iterations", "alpha")
@click.option(
    "--min-count", type=click.IntRange(min=1), default=5, show_default=True, metavar="N",
    help="Rarer words are left out.",
)  # fmt: skip
@click.option(
    "--max-vocab", type=click.IntRange(min=3), metavar="N",
    help="At most N words, </s> among them; the rarest others are left out.",
)  # fmt: skip
@click.option(
    "--vocab", "--read-vocab", "vocab_file", metavar="FILE",
    help="Train the words of this list, with its counts where it has them; --min-count applies to these.",
)  # fmt: skip
@click.option("--save-vocab", metavar="FILE", help="Write the words and their counts.")
@click.option("--init", metavar="VECTORS", help="Train on from these vectors: their words, and their size.")
@click.option("--grow-vocab", is_flag=True, help="With --init: words that are new in the text are added.")
@click.option(
    "--classes", type=click.IntRange(min=1), metavar="N",
    help="Write a class of N for every word, by k-means, in place of the vectors.",
)  # fmt: skip
@options.seed_option
@settings_options(TrainConfig, "deterministic", "dtype")
@options.tokenizer_options
@click.option("--log", metavar="FILE", help="Write JSON lines: one an epoch, one every ten seconds.")
@click.option(
    "--checkpoint", type=ABOVE_0, default=10.0, show_default=True, metavar="MINUTES",
    help="How often the whole state is saved to VECTORS.checkpoint.",
)  # fmt: skip
@click.option(
    "--resume", is_flag=True,
    help="Go on from VECTORS.checkpoint, with the options of that run, and its text if none is given.",
)  # fmt: skip
@options.threads_option
@options.tmp_option
@click.option("-f", "--force", is_flag=True, help="Replace outputs that exist, and a checkpoint of another run.")
@click.pass_context
def train(context, **o) -> None:
    """Train word vectors on texts, by the methods of word2vec.

    Ctrl-C saves the state to VECTORS.checkpoint; the same command goes on from there, or
    `w2v train --resume -o VECTORS`. VECTORS keeps all that is needed to train on if it is native.

    \b
    Example:
      corpora grammar elman1990 -n 2000 > sentences.txt
      w2v train sentences.txt -o elman.w2v --size 20 --iter 2
    """
    _check_usage(context, o)
    if o["dtype"] == "float32" and not o["hs"] and o["negatives"] == "shared":
        ahead.expect("corpora/text", f"w2v/{o['architecture']}")
    from corpora.jobs.resumable import claim

    with claim(o["output"]) as claimed:
        _train(_resumed(o, claimed) if o["resume"] else _started(context, o, claimed))


def _train(run) -> None:
    to_errors = "-" in (run.output, run.settings.log, run.settings.save_vocab)
    try:
        with closing(run.epochs()) as epochs:
            for report in epochs:
                print_report(_epoch_line(report), err=to_errors)
    finally:
        run.text.close()


def _check_usage(context, o: dict) -> None:
    options.refuse_together(context, "format", "binary")
    options.refuse_together(context, "classes", "format")
    options.refuse_together(context, "classes", "binary")
    options.refuse_together(context, "vocab_file", "max_vocab")
    options.refuse_together(context, "vocab_file", "init")
    options.refuse_together(context, "resume", "force")
    if o["resume"]:
        for parameter in context.command.get_params(context):
            if parameter.name not in _WITH_RESUME:
                options.refuse_together(context, "resume", parameter.name)
    elif not o["text"]:
        raise click.UsageError("Missing argument 'TEXT...'.", context)
    if o["grow_vocab"] and not o["init"]:
        raise click.UsageError("--grow-vocab needs --init VECTORS", context)
    if o["text"].count("-") + (o["init"] == "-") + (o["vocab_file"] == "-") > 1:
        raise click.UsageError("standard input (-) can be read once only", context)
    if [o["output"], o["log"], o["save_vocab"]].count("-") > 1:
        raise click.UsageError("two outputs to standard output (-); give files", context)


def _started(context, o: dict, claimed):
    """The Run of the options, or of its checkpoint if it was interrupted."""
    initial = None
    if o["init"] is not None:
        size_is_given = context.get_parameter_source("size").name == "COMMANDLINE"
        initial = _initial(o["init"], o["size"] if size_is_given else None)
        o["size"] = initial.dim
    with options.wrong_usage(context, (ValueError,)):
        config = TrainConfig(architecture=o["architecture"], **values_of(TrainConfig, o))

    from corpora.jobs.resumable import check_outputs, checkpoint_of, keeps_state
    from corpora.text.inputs import expand
    from corpora.text.tokenizers import get_tokenizer
    from w2v.checkpoint import Settings, absolute
    from w2v.run import Run, require_writable
    from w2v.texts import VocabOptions

    output = o["output"]
    settings = Settings(
        text=[absolute(path) for path in o["text"]], tokenizer=get_tokenizer(o["tokenizer"], o["lower"]).spec,
        vocab=absolute(o["vocab_file"]), min_count=o["min_count"], max_vocab=o["max_vocab"], init=absolute(o["init"]),
        grow_vocab=o["grow_vocab"], format=_format(o), classes=o["classes"] or 0, log=absolute(o["log"]),
        save_vocab=absolute(o["save_vocab"]), threads=o["threads"],
    )  # fmt: skip
    files = [*expand(o["text"]), *filter(None, (o["vocab_file"], o["init"]))]
    # before the time is spent
    require_writable(output, settings)
    resumes = keeps_state(output) and os.path.exists(checkpoint_of(output))
    check_outputs(_outputs(output, settings), o["force"], files, resumes=resumes, claim=claimed)
    interrupted = _interrupted(o, config, settings) if resumes else None
    if interrupted is not None:
        return interrupted
    words = VocabOptions(o["vocab_file"], o["min_count"], o["max_vocab"], o["grow_vocab"])
    text = _read(o, o["text"], settings, options=words, initial=initial)
    return Run(
        output, config, settings, text, _threads(settings), initial=initial, checkpoint_minutes=o["checkpoint"],
        say=note,
    )  # fmt: skip


def _interrupted(o: dict, config, settings):
    """The Run of the checkpoint; None with --force, where it is not that of the same run on the same text."""
    from corpora.errors import CorpusError
    from corpora.jobs.resumable import checkpoint_of
    from w2v.checkpoint import Checkpoint

    path = checkpoint_of(o["output"])
    try:
        checkpoint = Checkpoint.load(path)
        checkpoint.require_same(config, settings)
    except CorpusError as error:
        if not o["force"]:
            raise
        note(f"starting over ({error})")
        return None
    run = _going_on(o, checkpoint, settings, o["text"])
    if not o["force"] or checkpoint.is_of(run.text.ids):
        return run
    run.text.close()
    if "-" in o["text"]:
        raise CorpusError(f"{path}: of a run on another text; standard input cannot be read again: remove it first")
    note(f"starting over ({path}: of a run on another text)")
    return None


def _resumed(o: dict, claimed):
    """The Run of a checkpoint, which has all settings in it; only the text and the threads may be given."""
    from corpora.jobs.resumable import check_outputs, checkpoint_of
    from corpora.text.inputs import expand
    from w2v.checkpoint import Checkpoint

    checkpoint = Checkpoint.load(checkpoint_of(o["output"]))
    settings = replace(checkpoint.settings, threads=o["threads"] or checkpoint.settings.threads)
    paths = o["text"] or settings.text
    check_outputs(_outputs(o["output"], settings), inputs=expand(paths), resumes=True, claim=claimed)
    return _going_on(o, checkpoint, settings, paths)


def _threads(settings) -> int:
    from corpora.compute.processors import available

    return settings.threads or available()


def _outputs(output: str, settings) -> dict[str, str | None]:
    return {"the vectors": output, "the log": settings.log, "the vocabulary": settings.save_vocab}


def _going_on(o: dict, checkpoint, settings, paths):
    from w2v.run import Run

    text = _read(o, paths, settings, known=checkpoint.vocab)
    return Run(
        o["output"], checkpoint.config, settings, text, _threads(settings), resumed=checkpoint,
        checkpoint_minutes=o["checkpoint"], say=note,
    )  # fmt: skip


def _read(o: dict, paths, settings, **words):
    """The encoded text, and the list of its words if it is wanted."""
    from corpora.files.output import replace_file
    from corpora.jobs.progress import bar
    from corpora.text.inputs import expand, text_size
    from w2v.texts import read_text

    with bar(text_size(expand(paths)), "reading") as progress:
        text = read_text(
            paths, settings.tokenizer, threads=settings.threads, tmp=o["tmp"], progress=progress.update, **words
        )  # fmt: skip
    try:
        note(f"vocabulary: {len(text.vocab)} words")
        note(f"text: {text.ids.size} words and sentence ends, {100 * text.n_unknown / text.ids.size:.2f}% not trained")
        if settings.save_vocab is not None:
            with replace_file(settings.save_vocab) as file:
                text.vocab.write(file)
    except BaseException:
        text.close()
        raise
    return text


def _initial(path: str, size: int | None):
    """The vectors to train on; their size is the one that is asked for, if any is."""
    from corpora.jobs.progress import bar
    from corpora.text.inputs import text_size
    from w2v import io
    from w2v.start import require_size

    with bar(text_size([path]), "reading vectors") as progress:
        vectors = io.load(path, progress=progress.update, warn=note)
    if size is not None:
        require_size(path, vectors, size)
    return vectors


def _format(o: dict) -> str:
    if o["binary"]:
        return "binary"
    if o["format"] is not None:
        return o["format"]
    if o["output"] == "-":
        return "text"
    from w2v.io import format_for

    return format_for(os.fspath(o["output"]))


def _epoch_line(report) -> str:
    return (
        f"epoch {report.epoch:2d}  alpha {report.alpha:.6f}  loss {report.loss:.4f}  "
        f"{report.words_per_second / 1000:8.1f}k words/s  {report.seconds:.1f} s"
    )
