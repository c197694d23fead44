"""``w2v convert``, ``info`` and ``vectors``: files of word vectors, and what is in them."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator

import click

from corpora.command import options
from corpora.command.options import note, print_text
from corpora.errors import CorpusError
from corpora.text.inputs import LONGEST, STDIN, too_long

FORMATS = ("native", "text", "binary", "glove")
_MOST_SHOWN = 5  # missing words that are named


@click.command(short_help="Turn a file of vectors into another form.")
@click.argument("vectors", metavar="IN")
@click.argument("output", metavar="OUT")
@click.option(
    "--format", "form", type=click.Choice(FORMATS),
    help="The form to write.  [default: by OUT: .bin binary; .txt, .vec and - text; else native]",
)  # fmt: skip
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="The first N words only; the rest is not read.")
@options.force_option
def convert(vectors, output, form, limit, force) -> None:
    """Write vectors in another form; - is standard input or output.

    text and binary are word2vec's, glove is the text without the first line; with a name in .gz they are
    compressed.  Text has six decimals, as word2vec writes it.

    \b
    Example:
      w2v convert vectors.w2v vectors.bin
      w2v convert vectors.w2v vectors.txt.gz --limit 1000
    """
    from corpora.files.output import STDOUT, check_output
    from corpora.jobs.progress import bar
    from corpora.text.inputs import text_size
    from w2v.io import format_for, load, save

    check_output(output, force, inputs=[vectors])
    with bar(text_size([vectors]), "reading") as progress:
        found = load(vectors, limit=limit, warn=note, progress=progress.update)
    save(found, output, form or ("text" if output == STDOUT else format_for(output)))


@click.command(short_help="What is in a file of vectors.")
@click.argument("vectors")
@options.json_option
def info(vectors, as_json) -> None:
    """The form of a file, its words and dimensions, and, if it is a native one, how it was trained.

    \b
    Example:
      w2v info vectors.w2v
    """
    from w2v.describe import describe, facts

    found = facts(vectors)
    print_text(json.dumps(found, indent=2) if as_json else describe(found))


@click.command(short_help="The vectors of words, one per line.")
@click.argument("vectors")
@click.argument("word", nargs=-1, metavar="[WORD]...")
@click.option("--normalize", is_flag=True, help="Scale every vector to length 1.")
@click.option(
    "--missing", type=click.Choice(["skip", "zeros", "error"]), default="skip", show_default=True,
    help="What becomes of a word that has no vector.",
)  # fmt: skip
@click.option("--npy", is_flag=True, help="Write an array, (words, dimensions), as NumPy's .npy.")
@options.output_option("Where to write to.  [default: standard output]")
@options.force_option
@click.pass_context
def vectors(context, vectors, word, normalize, missing, npy, output, force) -> None:
    """Print "word x1 ... xd" for each WORD, or for each line of standard input, as it comes.

    How many words had no vector is said at the end.

    \b
    Example:
      w2v vectors vectors.w2v king queen
      cut -f1 words.tsv | w2v vectors vectors.w2v --normalize > rows.txt
    """
    if vectors == "-" and not word:
        raise click.UsageError("VECTORS is standard input, so the words must be given as arguments.", context)
    from corpora.files.output import STDOUT, check_output, replace_file, write_npy
    from w2v.io import load

    check_output(output, force, inputs=[vectors])
    rows = _Rows(vectors, load(vectors, warn=note), normalize, missing)
    batches = iter([list(map(os.fsencode, word))]) if word else _lines_of_stdin()
    with replace_file(output) as sink:
        if npy:
            write_npy(sink, rows.of([word for batch in batches for word in batch])[1])
        else:
            for batch in batches:
                sink.write(rows.lines(batch))
                if output == STDOUT:
                    sink.flush()  # whoever writes a word into the pipe waits for its line
    if rows.missing:
        shown = ", ".join(word.decode("utf-8", "backslashreplace") for word in rows.missing[:_MOST_SHOWN])
        rest = ", ..." if len(rows.missing) > _MOST_SHOWN else ""
        note(f"{len(rows.missing)} of {rows.asked} words have no vector: {shown}{rest}")


class _Rows:
    """Words to their vectors.  ``asked``: words so far; ``missing``: those without a vector."""

    def __init__(self, path: str, vectors, normalize: bool, policy: str):
        self._path, self._vectors, self._normalize, self._policy = path, vectors, normalize, policy
        self.asked, self.missing = 0, []

    def of(self, words: list[bytes]) -> tuple:
        """(words, vectors (n, d)) of those that have one, or zeros."""
        import numpy as np

        from w2v.model import lengths

        ids = self._vectors.ids(words)
        known = ids >= 0
        lacking = [words[i] for i in np.flatnonzero(~known)]
        if lacking and self._policy == "error":
            word = lacking[0].decode("utf-8", "backslashreplace")
            raise CorpusError(f'{self._path}: no vector for "{word}"; --missing skip leaves such words out')
        self.asked += len(words)
        self.missing += lacking
        if self._policy == "skip":
            words, ids = [words[i] for i in np.flatnonzero(known)], ids[known]
        rows = self._vectors.vectors[ids]  # a copy
        rows[ids < 0] = 0
        if self._normalize:
            norms = lengths(rows)
            rows /= np.where(norms > 0, norms, 1)[:, None]
        return words, rows

    def lines(self, words: list[bytes]) -> bytes:
        import numpy as np

        from corpora.files.checks import all_finite
        from corpora.text.vocab import WordList
        from w2v.io.text_writer import lines_of

        words, rows = self.of(words)
        if not all_finite(rows, np.float32):
            raise CorpusError(f"{self._path}: NaN or infinity in it")
        return lines_of(WordList.of(words), 0, np.ascontiguousarray(rows, np.float32)) if words else b""


def _lines_of_stdin() -> Iterator[list[bytes]]:
    """Lists of the words of standard input, one per line, as many as have arrived; empty lines are passed over."""
    if sys.stdin.isatty():
        note("reading words from standard input, one a line, up to its end (Ctrl-D)")
    rest = b""
    while piece := sys.stdin.buffer.read1(1 << 16):
        *lines, rest = (rest + piece).split(b"\n")
        if len(rest) > LONGEST:
            raise too_long(STDIN, None)
        yield [line for line in (line.removesuffix(b"\r") for line in lines) if line]
    if rest:
        yield [rest.removesuffix(b"\r")]
