"""What several subcommands of ``rnnlm`` share: options, and the way from their values to models and texts."""

from __future__ import annotations

import sys

import click

from corpora.command import options
from corpora.command.options import ABOVE_0, Number, note
from corpora.compute import ahead
from corpora.errors import CorpusError
from corpora.text.tokenizers import TOKENIZERS
from rnnlm.config import DTYPES

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
    help="Recurrent models go on learning from the text, with this constant learning rate (dynamic evaluation).",
)  # fmt: skip
dynamic_options = options.apply(
    dynamic_option,
    click.option(
        "--dynamic-block", type=click.IntRange(min=1), metavar="N",
        help="With --dynamic: learn after every N words.  [default: as in training; stacks: 5]",
    ),
    click.option(
        "--dynamic-decay", type=Number(0, 1), metavar="X",
        help="With --dynamic, stacks: the share of what was learnt that is taken back at every step.",
    ),
    click.option(
        "--dynamic-rms", metavar="TEXT",
        help="With --dynamic, stacks: steps are scaled by the root mean square of the gradients on this text, such as "
        "the training text.",
    ),
)  # fmt: skip
dtype_option = click.option(
    "--dtype", type=click.Choice(DTYPES),
    help="The numbers that recurrent models compute with.  [default: as trained; float64 for models of 0.4b]",
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


def load_model(path: str, dtype: str | None = None, dynamic: float | None = None, threads: int | None = None):
    """As ``load_models``, of one file."""
    return load_models([path], dtype, dynamic, threads)[0]


def check_dynamic(context: click.Context, dynamic: float | None) -> None:
    """A usage error for options of dynamic evaluation without it."""
    for name in ("dynamic_block", "dynamic_decay", "dynamic_rms"):
        if dynamic is None and options.is_given(context, name):
            raise click.UsageError(f"--{name.replace('_', '-')}: without --dynamic nothing is learnt", context)


def load_models(
    paths,
    dtype: str | None = None,
    dynamic: float | None = None,
    threads: int | None = None,
    distributions: bool = False,
    **how,
) -> list:
    """The models in files.  ``dtype`` and ``dynamic`` are for the recurrent ones among them and inside of mixtures.

    ``distributions``: whether those of all words are going to be asked for, too.  ``how``: the other values of
    ``dynamic_options``.
    CorpusError where there is none that they could be for.
    """
    from rnnlm.io import load

    models = [load(path, dtype=dtype) for path in paths]
    if dtype is not None or dynamic is not None:
        from rnnlm.dynamic import is_recurrent, learning

        if not any(map(is_recurrent, models)):
            option = "--dtype" if dynamic is None else "--dynamic"
            raise CorpusError(f"{option}: for recurrent models only, and {' and '.join(paths)} is none")
        if dynamic is not None:
            models = [learning(lm, dynamic, **_how_to_learn(threads, **how)) for lm in models]
    if threads is not None:
        for lm in models:
            lm.threads = threads
    if dtype is None and dynamic is None:
        _expect(models, "distributions" if distributions else "scores")
    return models


def _how_to_learn(threads, *, dynamic_block=None, dynamic_decay=None, dynamic_rms=None) -> dict:
    found = {"bptt_block": dynamic_block, "decay": dynamic_decay or 0.0}
    return found | ({} if dynamic_rms is None else {"rms": lambda lm: _roots(lm, dynamic_rms, threads or 2)})


def _roots(lm, path: str, threads: int) -> dict:
    """The root mean squares of a network's gradients on a text."""
    from corpora.text.tokenizers import from_spec
    from rnnlm.segments import root_mean_squares

    with encode_text((path,), {"": lm}, None, False, threads, None) as stream:
        note(f"gradients: {stream.n_tokens} words of {path}")
        ids = lm.vocab.translation(stream.vocab.words).take(stream.ids, mode="wrap")
        return root_mean_squares(lm, lm.vocab.with_unk(ids), threads)


def _expect(models, what: str) -> None:
    """Say which kernels models are going to need: those of one type are the same whatever the model."""
    for lm in models:
        if lm.kernels:
            ahead.expect("corpora/text", f"rnnlm/{what}-{lm.kernels}")
        _expect(lm.models, what)


def tokenizer_of(models: dict, tokenizer: str | None, lower: bool):
    """The tokenizer that was asked for, or the one that the models were trained with."""
    from corpora.evaluation.language_model import tokenizers_of
    from corpora.text.tokenizers import from_spec, get_tokenizer

    if tokenizer is not None:
        return get_tokenizer(tokenizer, lower)
    specs = tokenizers_of(models.values())
    if len(specs) > 1:
        found = ", ".join(specs)
        raise CorpusError(f"the models were trained with different tokenizers ({found}): give --tokenizer")
    trained = from_spec(specs[0])
    return get_tokenizer(trained.name, lower=True) if lower else trained


def encode_text(text, models: dict, tokenizer, lower, threads, tmp):
    """The text, encoded once with a vocabulary of its own, for all models."""
    from corpora.jobs.progress import bar
    from corpora.text.inputs import expand, text_size
    from corpora.text.stream import encode

    if not text and sys.stdin.isatty():
        note("reading standard input, up to its end (Ctrl-D)")
    text = text or ("-",)
    splitter = tokenizer_of(models, tokenizer, lower)
    with bar(text_size(expand(text)), "reading") as progress:
        stream = encode(text, splitter, threads=threads, tmp=tmp, progress=progress.update)
    try:
        for lm in models.values():
            lm.check_text(stream)
    except BaseException:
        stream.close()
        raise
    return stream


def named(paths, models) -> dict:
    """The models by names that are unlike: those of their files without folder and ending."""
    from corpora.evaluation.surprisal import model_names

    return dict(zip(model_names(paths), models, strict=True))


def text_name(text) -> str:
    """What a report calls the texts of a command."""
    return text[0] if len(text) == 1 else "-" if not text else f"{len(text)} files"
