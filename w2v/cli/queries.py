"""``w2v nearest`` and ``analogy``: which words lie where."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import click

from corpora.command import options
from corpora.command.text_table import text_of
from corpora.errors import FormatError
from w2v.cli.asking import Answers, queries

if TYPE_CHECKING:
    import numpy as np

n_option = click.option(
    "-n", "count", type=click.IntRange(min=1), default=40, show_default=True, metavar="N", help="How many words."
)
restrict_option = click.option(
    "--restrict", type=click.IntRange(min=1), metavar="N",
    help="Look among the first N words of the file only, the most frequent.  [default: all]",
)  # fmt: skip


@click.command(short_help="The words nearest to a word, a phrase or a vector.")
@click.argument("path", metavar="VECTORS")
@click.argument("words", nargs=-1, metavar="[WORD]...")
@click.option(
    "--vector", "as_vectors", is_flag=True,
    help="Lines of standard input are vectors: a number for each dimension, perhaps with a word before them.",
)  # fmt: skip
@n_option
@restrict_option
@options.json_option
@click.pass_context
def nearest(context, path, words, as_vectors, count, restrict, as_json) -> None:
    """The words whose vectors have the largest cosines to that of a word.

    Several words in one argument, or on one line, are one query: the sum of their vectors, each divided by its length.
    Without WORD, queries are lines of standard input, or asked for on a terminal, until EXIT or Ctrl-D.
    Into a pipe goes one table for all queries: query, rank, word, cosine.

    \b
    Example:
      w2v nearest vectors.bin king -n 5
      w2v nearest vectors.bin king "new york" --restrict 30000 --json
      echo "king queen" | w2v nearest vectors.bin
    """
    if as_vectors and words:
        raise click.UsageError("--vector reads standard input: give no words", context)
    import numpy as np

    import w2v
    from w2v.neighbours import nearest as find

    loaded = w2v.load(path)

    def solve(asked):
        directions = np.array([one.direction for one in asked])
        return find(loaded, directions, count, restrict=restrict, exclude=[one.ids for one in asked])

    answers = Answers(words, "cosine", as_json)
    for batch in queries(words, "Vector (EXIT ends): " if as_vectors else "Word or phrase (EXIT ends): "):
        asked = _vectors(batch, loaded.dim) if as_vectors else _phrases(loaded, batch, path)
        _respond(loaded, asked, solve, answers)
    answers.close()


@click.command(short_help="A is to B as C is to ?")
@click.argument("path", metavar="VECTORS")
@click.argument("words", nargs=-1, metavar="[A B C]")
@click.option(
    "--method", type=click.Choice(["3cosadd", "3cosmul"]), default="3cosadd", show_default=True,
    help="The cosine to b - a + c, or cos(b) cos(c) / cos(a), of cosines shifted to 0...1.",
)  # fmt: skip
@n_option
@restrict_option
@options.json_option
@click.pass_context
def analogy(context, path, words, method, count, restrict, as_json) -> None:
    """The words that are to C as B is to A: man is to king as woman is to ?

    Without words, questions are lines of three words on standard input, or asked for on a terminal, until EXIT or
    Ctrl-D.  The words of the question are no answers.  Into a pipe goes one table: query, rank, word, and the cosine
    or, with 3cosmul, the score.

    \b
    Example:
      w2v analogy vectors.bin man king woman -n 3
      echo "man king woman" | w2v analogy vectors.bin --method 3cosmul
    """
    if words and len(words) != 3:
        raise click.UsageError(f"{len(words)} words where three are needed: A B C", context)
    import w2v
    from w2v.analogy import analogies

    loaded = w2v.load(path)

    def solve(asked):
        return analogies(loaded, [one.ids for one in asked], count, method, restrict=restrict)

    questions = [" ".join(words)] if words else []
    answers = Answers(questions, "cosine" if method == "3cosadd" else "score", as_json)
    for batch in queries(questions, "Three words, A B C (EXIT ends): "):
        _respond(loaded, _analogies(loaded, batch, path), solve, answers)
    answers.close()


class Asked(NamedTuple):
    """A query with the numbers of its words and the direction it means; or the reason why it cannot be answered.

    ``heading`` stands above its answers in a terminal; ``missing``: words that have no vector.
    """

    query: bytes
    heading: str = ""
    ids: Sequence[int] = ()
    direction: np.ndarray | None = None
    refusal: str | None = None
    missing: Sequence[bytes] = ()


def _respond(vectors, asked: list[Asked], solve: Callable, answers: Answers) -> None:
    """Print what ``solve`` finds for the queries that can be answered, and why for the others, in their order."""
    good = [one for one in asked if one.refusal is None]
    rows = zip(*(found.tolist() for found in solve(good)), strict=True) if good else iter(())
    for one in asked:
        if one.refusal is None:
            found = [(vectors.words[i], score) for i, score in zip(*next(rows), strict=True) if i >= 0]
            answers.write(one.query, one.heading, found)
        else:
            answers.refuse(one.query, one.refusal, one.missing)
    answers.flush()


def _look_up(vectors, batch, path: str) -> list[Asked]:
    """Queries of words, which all must have vectors."""
    from corpora.files.checks import shown

    words = [query.split() for _, query in batch]
    ids = iter(vectors.ids([word for query in words for word in query]).tolist())
    asked = []
    for parts in words:
        found = [next(ids) for _ in parts]
        missing = [word for word, i in zip(parts, found, strict=True) if i < 0]
        zeros = [word for word, i in zip(parts, found, strict=True) if i >= 0 and not vectors.vectors[i].any()]
        if missing:
            reason = _not_there(vectors, missing, path)
        else:
            reason = f"{shown(zeros[0])}: its vector is all zeros, which is no direction" if zeros else None
        asked.append(Asked(b" ".join(parts), ids=found, refusal=reason, missing=missing))
    return asked


def _not_there(vectors, missing: list[bytes], path: str) -> str:
    from corpora.files.checks import shown

    words = ", ".join(map(shown, dict.fromkeys(missing)))
    first = text_of(missing[0])
    remedy = f"; {first.lower()} is" if first.lower() != first and first.lower() in vectors else ""
    return f"{words}: not in the vocabulary of {path}{remedy}"


def _phrases(vectors, batch, path: str) -> list[Asked]:
    """Queries of one word or several."""
    from w2v.neighbours import phrase

    asked = []
    for one in _look_up(vectors, batch, path):
        if one.refusal is None:
            places = ", ".join(f"{i:,}" for i in one.ids)
            heading = f"{text_of(one.query)}  (position {places} of {len(vectors):,})"
            one = one._replace(heading=heading, direction=phrase(vectors, one.ids))
        asked.append(one)
    return asked


def _analogies(vectors, batch, path: str) -> list[Asked]:
    """Queries of three words."""
    from corpora.files.checks import shown

    asked = []
    for (number, _), one in zip(batch, _look_up(vectors, batch, path), strict=True):
        parts = list(map(text_of, one.query.split()))
        if len(parts) == 3:
            a, b, c = parts
            asked.append(one._replace(heading=f"{a} : {b} = {c} : ?"))
        else:
            reason = f"query {number}: three words are needed, A B C, found {len(parts)}: {shown(one.query)}"
            asked.append(one._replace(refusal=reason, missing=()))
    return asked


def _vectors(batch, dim: int) -> list[Asked]:
    """Queries of ``dim`` numbers, perhaps with a word before them; FormatError for anything else."""
    import numpy as np

    from corpora.files.checks import shown
    from corpora.text.decimals import NotANumber, parse_decimals

    asked = []
    for number, line in batch:
        fields = line.split()
        if len(fields) not in (dim, dim + 1):
            reason = f"expected {dim} numbers, perhaps with a word before them, found {len(fields)} fields"
            raise FormatError("-", number, reason)
        label = b"%d" % number if len(fields) == dim else fields[0]
        try:
            direction = parse_decimals(b"\n".join(fields[-dim:]))
        except NotANumber as error:
            raise FormatError("-", number, f'expected a number, found "{shown(error.token)}"') from error
        with np.errstate(over="ignore"):
            length = np.linalg.norm(direction)
        found = "zeros" if length == 0 else "numbers that are too large"
        refusal = None if 0 < length < np.inf else f"-:{number}: a vector of {found}, which is no direction"
        asked.append(Asked(label, text_of(label), direction=direction, refusal=refusal))
    return asked
