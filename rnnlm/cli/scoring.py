"""``rnnlm ppl``, ``surprisal`` and ``generate``: what a model says of a text, and a text of its own."""

from __future__ import annotations

import sys
from itertools import chain

import click

from corpora.command import options
from corpora.command.options import FROM_0, note, print_text
from rnnlm.cli.mixing import MixOptions, cache_options, log_linear_option, weights_option
from rnnlm.cli.shared import (
    check_dynamic,
    dtype_option,
    dynamic_options,
    encode_text,
    floor_option,
    load_model,
    load_models,
    model_option,
    models_option,
    named,
    oov_option,
    scoring_tokenizer_options,
    text_name,
    texts_argument,
    tokenizer_of,
)


@click.command(short_help="Perplexity of a text, or models compared.")
@models_option
@texts_argument
@weights_option
@log_linear_option
@cache_options
@click.option("--compare", is_flag=True, help="Do not mix several models: show where each does better than the first.")
@click.option(
    "--report", type=click.Choice(["summary", "sentence", "word"]), default="summary", show_default=True,
    help="How much to tell.",
)  # fmt: skip
@click.option(
    "--format", "form", type=click.Choice(["text", "srilm", "tsv", "json"]), default="text", show_default=True,
    help="srilm: the layouts of its ngram -ppl -debug 0, 1, 2.",
)  # fmt: skip
@oov_option("skip")
@floor_option
@dynamic_options
@dtype_option
@scoring_tokenizer_options
@options.scoring_threads_option
@options.tmp_option
@click.pass_context
def ppl(context, paths, text, compare, report, form, oov, floor, dynamic, dtype, tokenizer, lower, threads, tmp, **o):
    """Perplexity of texts, of each sentence or of each word, under a model or a mixture of several.

    Without TEXT standard input is read.

    \b
    Example:
      rnnlm ppl -m elman.rnnlm sentences.txt --report sentence --format tsv
      rnnlm ppl -m elman.rnnlm -m kn3.lm --weight 0.4 --weight 0.6 --cache 100 sentences.txt
      rnnlm ppl -m kn3.lm -m elman.rnnlm --compare sentences.txt
    """
    if compare:
        _check_comparison(context, paths, report, form)
    check_dynamic(context, dynamic)
    how = {name: o.pop(name) for name in [*o] if name.startswith("dynamic_")}
    mix = MixOptions.of(context, len(paths), **o)
    from corpora.evaluation.perplexity import check_policy

    loaded = load_models(paths, dtype, dynamic, threads, **how)
    models = named(paths, loaded) if compare else {"": mix.model(loaded)}
    for lm in models.values():
        check_policy(lm, oov or "skip", floor)
    with encode_text(text, models, tokenizer, lower, threads, tmp) as stream:
        for lm in models.values():
            lm.warm_up()  # load the compiled kernels before the clock starts
        (_compare if compare else _evaluate)(models, stream, text_name(text), report, form, oov or "skip", floor)


def _check_comparison(context, paths, report: str, form: str) -> None:
    for name in ("weights", "log_linear", "cache", "cache_weight", "cache_decay", "neural_cache"):
        options.refuse_together(context, "compare", name)
    if len(paths) < 2:
        raise click.UsageError("--compare: needs several models (-m)", context)
    if form == "srilm":
        raise click.UsageError("--compare has no --format srilm: text, tsv or json", context)
    if form == "text" and report != "summary":
        raise click.UsageError(f"--compare --report {report}: is a table; give --format tsv or json", context)


def _evaluate(models, stream, name: str, report: str, form: str, oov: str, floor: float) -> None:
    from corpora.evaluation.perplexity import evaluate
    from corpora.evaluation.reports import make_report
    from corpora.jobs.progress import bar

    (lm,) = models.values()
    out = make_report(report, form, sys.stdout.buffer, stream.vocab, name=name)
    with bar(stream.n_tokens, "scoring", unit=" words") as progress:

        def on_block(block) -> None:
            out.block(block)
            progress.update(len(block))

        out.finish(evaluate(lm, stream, oov=oov, floor=floor, on_block=on_block))


def _compare(models, stream, name: str, report: str, form: str, oov: str, floor: float) -> None:
    from corpora.jobs.progress import bar
    from rnnlm.mixtures.compare import compare
    from rnnlm.mixtures.compare_report import WordDifferences, write_comparison, write_sentences

    sink = sys.stdout.buffer
    table = WordDifferences(sink, form, stream.vocab, list(models)) if report == "word" else None
    with bar(stream.n_tokens, "scoring", unit=" words") as progress:

        def on_words(words) -> None:
            if table is not None:
                table.write(words)
            progress.update(len(words.ids))

        comparison = compare(models, stream, oov=oov, floor=floor, on_words=on_words)
    if table is not None:
        table.close()
    elif report == "sentence":
        write_sentences(comparison, sink, form)
    else:
        write_comparison(comparison, sink, form)


@click.command(short_help="Surprisal and entropy of every word.")
@models_option
@texts_argument
@click.option(
    "--format", "form", type=click.Choice(["tsv", "json"]), default="tsv", show_default=True,
    help="A table, or JSON lines.",
)  # fmt: skip
@oov_option("unk for a model that has <unk>, else its cells are empty")
@floor_option
@dynamic_options
@dtype_option
@click.option("--no-ends", is_flag=True, help="Leave out the rows of sentence ends.")
@scoring_tokenizer_options
@options.scoring_threads_option
@options.tmp_option
@click.pass_context
def surprisal(context, paths, text, form, oov, floor, dynamic, dtype, no_ends, tokenizer, lower, threads, tmp, **how):
    """One row per word: surprisal, entropy before the word, and its reduction, in bits, under every model.

    Without TEXT standard input is read.  docs/formats.md says what the columns are.

    \b
    Example:
      echo "man eat cookie" | rnnlm surprisal -m elman.rnnlm
    """
    from corpora.evaluation.perplexity import check_policy
    from corpora.evaluation.surprisal import surprisal_table
    from corpora.jobs.progress import bar

    check_dynamic(context, dynamic)
    models = named(paths, load_models(paths, dtype, dynamic, threads, distributions=True, **how))
    if oov is not None:
        for lm in models.values():
            check_policy(lm, oov, floor)
    with (
        encode_text(text, models, tokenizer, lower, threads, tmp) as stream,
        bar(stream.n_tokens, "scoring", unit=" words") as progress,
    ):
        surprisal_table(
            models, stream, sys.stdout.buffer, form=form, oov=oov, floor=floor, sentence_ends=not no_ends,
            on_block=lambda block: progress.update(len(block)),
        )  # fmt: skip


@click.command(short_help="Text drawn from a model.")
@model_option
@click.option("--words", type=click.IntRange(min=1), default=100, show_default=True, metavar="N", help="Their number.")
@click.option(
    "--temperature", type=FROM_0, default=1.0, show_default=True, metavar="T",
    help="Below 1 safer, above 1 wilder; 0: always the most probable word.",
)  # fmt: skip
@options.seed_option
@click.option("--prefix", default="", metavar="TEXT", help="Text to go on from; it is printed as well.")
@click.option("--no-unk", is_flag=True, help="Never draw <unk>.")
@dtype_option
def generate(paths, words, temperature, seed, prefix, no_unk, dtype) -> None:
    """Let a model write.

    \b
    Example:
      rnnlm generate -m elman.rnnlm --words 20 --seed 3
    """
    import numpy as np

    from corpora.text.vocab import EOS
    from rnnlm.generate import generate as draw
    from rnnlm.generate import sentences

    lm = load_model(paths, dtype, None)
    tokenizer = tokenizer_of({"": lm}, None, False)
    before = _words(tokenizer.split(prefix.encode("utf-8", "surrogateescape")))
    missing = [word for word in before if word not in lm.vocab]
    if missing:
        note(f"Warning: {missing[0].decode('utf-8', 'replace')}: not in the vocabulary of {paths}")
    drawn = draw(lm, words, np.random.default_rng(seed), temperature, before, unknown=not no_unk)
    n = before.count(EOS) - len(before)
    for sentence in sentences(chain(before, drawn)):
        print_text(tokenizer.join(sentence))
        n += len(sentence)
    if n < words:
        note(f"stopped after {n} words: the model writes nothing but sentence ends from here on")


def _words(text: bytes) -> list[bytes]:
    """The words of tokenized text, and a sentence end between its lines."""
    lines = text.replace(b"\r", b"").replace(b"\t", b" ").split(b"\n")
    return [word for word in b" </s> ".join(lines).split(b" ") if word]
