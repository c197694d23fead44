"""``w2v cluster``: classes of words."""

from __future__ import annotations

import json

import click

from corpora.command import options
from corpora.command.options import note


@click.command(short_help="Put words into classes by their vectors.")
@click.argument("path", metavar="VECTORS")
@click.option("-k", "k", type=click.IntRange(min=1), required=True, metavar="N", help="How many classes.")
@options.output_option('Lines "word class".  [default: standard output]')
@click.option(
    "--method", type=click.Choice(["spherical", "word2vec"]), default="spherical", show_default=True,
    help="Spherical k-means from drawn centroids, or what word2vec.c does for -classes.",
)  # fmt: skip
@click.option(
    "--iterations", type=click.IntRange(min=1), metavar="N",
    help="At most N; word2vec: always N.  [default: 20; word2vec: 10]",
)  # fmt: skip
@options.seed_option
@click.option(
    "--sort", "order", type=click.Choice(["vocab", "class"]), default="vocab", show_default=True,
    help="Words in the order of the file, or class by class.",
)  # fmt: skip
@click.option("--restrict", type=click.IntRange(min=1), metavar="N", help="The first N words of the file only.")
@options.threads_option
@options.json_option
@options.force_option
def cluster(path, k, output, method, iterations, seed, order, restrict, threads, as_json, force) -> None:
    """Put the words of a vector file into classes 0 to N - 1: words of one class have vectors of similar directions.

    --json prints one object: "method", "seed", "iterations", "mean_cosine" of words with the centres of their
    classes, and "classes", for each "class", "size" and "words".

    \b
    Example:
      w2v cluster vectors.bin -k 50 -o classes.txt
      w2v cluster vectors.bin -k 50 --sort class --method word2vec
    """
    from corpora.errors import CorpusError
    from corpora.files.output import check_output, replace_file

    check_output(output, force, [path])
    from threadpoolctl import threadpool_limits

    import w2v
    from corpora.jobs.progress import bar
    from w2v.cluster import ITERATIONS
    from w2v.cluster import cluster as find

    vectors = w2v.load(path, limit=restrict)
    if k > len(vectors):
        raise CorpusError(f"{path}: {len(vectors)} words cannot be put into {k} classes; give a smaller -k")
    iterations = iterations or ITERATIONS[method]
    steps = iterations * len(vectors)
    with bar(steps, "clustering", unit=" words") as progress, threadpool_limits(threads, "blas"):
        found = find(
            vectors.vectors, k, iterations=iterations, seed=seed, method=method, progress=progress.update
        )  # fmt: skip
    changed = f"; {found.n_changed} words changed their class in the last one" if found.n_changed else ""
    note(f"{len(vectors)} words, mean cosine {found.mean_cosine:.4f} after {found.iterations} iterations{changed}")
    with replace_file(output) as file:
        if as_json:
            file.write(_json(vectors.words, found, k, method, seed).encode() + b"\n")
        else:
            _write_lines(file, vectors.words, found.classes, order)


def _write_lines(file, words, classes, order: str) -> None:
    if order == "class":
        by_class = classes.argsort(kind="stable")
        words, classes = words.take(by_class), classes[by_class]
    file.writelines(b"%b %d\n" % pair for pair in zip(words, classes.tolist(), strict=True))


def _json(words, found, k: int, method: str, seed: int) -> str:
    members: list[list[str]] = [[] for _ in range(k)]
    for word, c in zip(words, found.classes.tolist(), strict=True):
        members[c].append(word.decode("utf-8", "backslashreplace"))
    settings = {"method": method, "seed": seed if method == "spherical" else None}
    figures = {"iterations": found.iterations, "mean_cosine": found.mean_cosine}
    classes = [{"class": c, "size": len(names), "words": names} for c, names in enumerate(members)]
    return json.dumps(settings | figures | {"classes": classes}, ensure_ascii=False)
