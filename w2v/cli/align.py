"""``w2v align``: the same words in two spaces."""

from __future__ import annotations

import json
import os

import click

from corpora.command import options
from corpora.command.options import note, print_text
from corpora.command.text_table import print_table, text_of


@click.command(short_help="The words whose vectors moved most from one file to another.")
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.option(
    "-n", "count", type=click.IntRange(min=0), default=20, show_default=True, metavar="N", help="Words shown."
)
@click.option("--word", "words", multiple=True, metavar="WORD", help="Show this word instead; may be repeated.")
@click.option("--words", "file", metavar="FILE", help="Show the words of this file instead.")
@click.option("--min-count", type=click.IntRange(min=1), default=1, metavar="N", help="Only words so frequent in both.")
@click.option(
    "--restrict", type=click.IntRange(min=1), metavar="N", help="Only words among the first N of both files.",
)  # fmt: skip
@click.option("--center", is_flag=True, help="Subtract the mean of the common words first.")
@click.option("-o", "--output", metavar="FILE", help="Write all words of B, turned into the space of A.")
@options.json_option
@options.force_option
@click.pass_context
def align(context, first, second, count, words, file, min_count, restrict, center, output, as_json, force) -> None:
    """Turn the vectors of B so that the words that A has, too, lie as near to those of A as can be, and print the
    words that still lie elsewhere: with vectors of texts from two times, those whose use changed.

    Columns: the word, the cosine between its two vectors, its counts in A and B (- where the file has none).
    --json prints one object: "shared", "mean_cosine", and "words", for each "word", "cosine", "count_a", "count_b".
    -o writes a native file, or word2vec's if FILE ends in .bin, .txt or .vec (.gz).

    \b
    Example:
      w2v align vectors.bin later.bin -n 10 --restrict 20000
      w2v align vectors.bin later.bin --word king --word queen -o turned.bin
    """
    from corpora.files.output import check_output

    for name in ("words", "file"):
        options.refuse_together(context, "count", name)
    if output == "-":
        raise click.UsageError("-o -: standard output has the words; give a file", context)
    read = [first, second, *([file] if file is not None else [])]
    if read.count("-") > 1:
        raise click.UsageError("standard input (-) can be read only once", context)
    if output is not None:
        check_output(output, force, read)
    import w2v
    from w2v.align import align as find
    from w2v.align import most_moved, turned
    from w2v.io import format_for, save

    wanted = _wanted(words, file)
    a, b = w2v.load(first), w2v.load(second)
    found = find(a, b, center=center, min_count=min_count, restrict=restrict)
    n_shared, mean = found.ids_a.size, float(found.cosines.mean())
    if n_shared < a.dim:
        note(f"Warning: {n_shared} words in common do not determine a rotation in {a.dim} dimensions")
    note(f"{n_shared} words in common, of {len(a)} and {len(b)}; mean cosine {mean:.4f}")
    places = most_moved(found, count) if wanted is None else _places(found, a, wanted)
    if output is not None:
        save(turned(b, found.rotation), output, format_for(output))
    rows = [
        (a.words[i], cosine, n_a, n_b)
        for i, cosine, n_a, n_b in zip(
            found.ids_a[places].tolist(), found.cosines[places].tolist(),
            _counts(a, found.ids_a[places]), _counts(b, found.ids_b[places]), strict=True,
        )
    ]  # fmt: skip
    if as_json:
        names = ("word", "cosine", "count_a", "count_b")
        listed = [dict(zip(names, (row[0].decode("utf-8", "backslashreplace"), *row[1:]), strict=True)) for row in rows]
        figures = {"shared": n_shared, "mean_cosine": mean, "words": listed}
        print_text(json.dumps(figures, ensure_ascii=False))
        return
    cells = [(text_of(word), f"{cosine:.4f}", *("-" if n is None else str(n) for n in n)) for word, cosine, *n in rows]
    print_table(("word", "cosine", "count_a", "count_b"), cells, left=["word"])


def _wanted(words, file: str | None) -> list[bytes] | None:
    """The words that are to be shown; None: those that moved most."""
    if not words and file is None:
        return None
    wanted = [os.fsencode(word) for word in words]
    if file is not None:
        from corpora.text.inputs import read_words

        wanted += read_words(file)
    return list(dict.fromkeys(wanted))


def _places(found, a, wanted: list[bytes]):
    """Where the words stand among those in common; a note for each that is not there."""
    import numpy as np

    ids = a.ids(wanted)
    places = np.searchsorted(found.ids_a, ids)
    there = found.ids_a[np.minimum(places, found.ids_a.size - 1)] == ids
    for word, is_there in zip(wanted, there.tolist(), strict=True):
        if not is_there:
            note(f"{text_of(word)}: not among the words in common")
    return places[there]


def _counts(vectors, ids) -> list[int | None]:
    if not vectors.counts.any():
        return [None] * len(ids)
    return vectors.counts[ids].tolist()
