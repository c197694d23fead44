"""``w2v accuracy`` and ``similarity``: how good vectors are."""

from __future__ import annotations

import json
import math

import click

from corpora.command import options
from corpora.command.options import note, print_text
from corpora.command.text_table import print_table, text_of
from corpora.errors import CorpusError


@click.command(short_help="The share of analogies that vectors solve.")
@click.argument("path", metavar="VECTORS")
@click.argument("file", metavar="QUESTIONS")
@click.option(
    "--restrict", type=click.IntRange(min=0), default=30_000, show_default=True, metavar="N",
    help="Questions and answers among the first N words of the file only, the most frequent; 0: all.",
)  # fmt: skip
@click.option(
    "--case", type=click.Choice(["upper", "keep"]), default="upper", show_default=True,
    help="upper: all words in upper case, as compute-accuracy has it; keep: as they are.",
)  # fmt: skip
@click.option(
    "--method", type=click.Choice(["3cosadd", "3cosmul"]), default="3cosadd", show_default=True,
    help="How questions are solved, as in w2v analogy.",
)  # fmt: skip
@options.threads_option
@options.json_option
def accuracy(path, file, restrict, case, method, threads, as_json) -> None:
    """Solve the analogies of a file, section by section: the figures of word2vec's compute-accuracy.

    QUESTIONS has four words per line, "athens greece tokyo japan", under headings ": name".  Sections whose names begin
    with "gram" are syntactic, the others semantic.  Questions with words that the vectors lack are not seen.

    \b
    Example:
      w2v accuracy vectors.bin questions-words.txt
      w2v accuracy vectors.bin questions-words.txt --restrict 0 --method 3cosmul --json
    """
    from threadpoolctl import threadpool_limits

    import w2v
    from corpora.jobs.progress import bar
    from w2v.evaluate import accuracy as solve
    from w2v.questions import read_questions

    sections = read_questions(file)
    vectors = w2v.load(path, limit=restrict or None)
    n_questions = sum(len(section.questions) for section in sections)
    with bar(n_questions, "solving", unit=" questions") as progress, threadpool_limits(threads, "blas"):
        try:
            found = solve(
                vectors, sections, restrict=restrict or None, case=case, method=method, progress=progress.update
            )  # fmt: skip
        except CorpusError as error:
            raise CorpusError(f"{file}: {error}") from error
    totals = {"semantic": found.semantic, "syntactic": found.syntactic, "total": found.total}
    if as_json:
        sections = [{"section": _text(part.name), **_counts(part)} for part in found.sections]
        settings = {"restrict": restrict or None, "case": case, "method": method}
        sums = {name: _counts(part) for name, part in totals.items()}
        print_text(json.dumps({"sections": sections, **sums, **settings}, indent=2, ensure_ascii=False))
        return
    named = [*((text_of(part.name) or "-", part) for part in found.sections), *totals.items()]
    rows = [(name, _percent(part.accuracy), f"{part.correct}", f"{part.seen}", f"{part.total}") for name, part in named]
    print_table(("section", "accuracy", "correct", "seen", "questions"), rows, left=["section"])


def _counts(part) -> dict:
    share = None if math.isnan(part.accuracy) else part.accuracy
    return {"accuracy": share, "correct": part.correct, "seen": part.seen, "questions": part.total}


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{100 * share:.2f}%"


def _text(word: bytes) -> str:
    return word.decode("utf-8", "backslashreplace")


@click.command(short_help="How vectors agree with people on the similarity of words.")
@click.argument("path", metavar="VECTORS")
@click.argument("files", nargs=-1, required=True, metavar="PAIRS...")
@click.option(
    "--column", metavar="N|NAME",
    help="Where the score is: the column's number, counted from 1, or its name in the header.  [default: 3]",
)  # fmt: skip
@click.option("--lower", is_flag=True, help="Turn the words of the pairs to lower case first.")
@options.json_option
def similarity(path, files, column, lower, as_json) -> None:
    """Correlations between people's scores of pairs of words and the cosines of the vectors: Spearman's and Pearson's.

    PAIRS has two words and a score a line, separated by tabs, commas or spaces, with or without a header; lines that
    begin with # are comments.  Pairs with a word that the vectors lack are left out and counted (oov).

    \b
    Example:
      w2v similarity vectors.bin pairs.tsv
      w2v similarity vectors.bin pairs.tsv --column 3 --lower --json
    """
    import w2v
    from corpora.text.inputs import expand
    from w2v.evaluate import similarity as correlate
    from w2v.pairs import read_pairs

    pairs = [read_pairs(file, column=column, lower=lower) for file in expand(files)]
    vectors = w2v.load(path)
    found = [correlate(vectors, one) for one in pairs]
    if as_json:
        print_text(json.dumps([_as_dict(one) for one in found], indent=2, ensure_ascii=False))
        return
    rows = [
        (one.path, _figure(one.spearman), _figure(one.pearson), f"{one.used}", f"{one.oov}", f"{one.pairs}")
        for one in found
    ]
    print_table(("file", "spearman", "pearson", "used", "oov", "pairs"), rows, left=["file"])
    if any(math.isnan(one.spearman) for one in found):
        note("Warning: without two pairs that differ there is no correlation (-)")


def _as_dict(one) -> dict:
    correlations = {
        name: None if math.isnan(value) else value
        for name, value in (("spearman", one.spearman), ("pearson", one.pearson))
    }
    counts = {"used": one.used, "oov": one.oov, "pairs": one.pairs}
    return {"file": one.path, **correlations, **counts, "missing": list(map(_text, one.missing))}


def _figure(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4f}"
