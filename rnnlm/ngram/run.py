"""From texts or count files to an n-gram model: what ``rnnlm ngram`` does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict

import numpy as np

from corpora.compute.processors import available
from corpora.files.mapping import discard
from corpora.jobs.system import readable_size
from rnnlm.ngram.config import NgramConfig, Options
from rnnlm.ngram.counting.files import read_counted
from rnnlm.ngram.counting.texts import PROGRAM, count_texts, free_memory
from rnnlm.ngram.estimation.estimate import OrderReport, estimate
from rnnlm.ngram.estimation.smoothing import METHODS
from rnnlm.ngram.query.model import BackoffLM
from rnnlm.ngram.trie import FIRST_WORD

_TO_PRUNE = 25  # bytes for an n-gram


def estimate_model(
    texts: Sequence[str],
    *,
    order: int = 3,
    smoothing: str = "modified-kneser-ney",
    options: Options | None = None,
    min_counts: tuple[int, ...] | None = None,
    prune: float | None = None,
    unk: str = "word",
    vocab_file: str | None = None,
    tokenizer: str = "whitespace",
    memory: int | None = None,
    threads: int | None = None,
    tmp: str | None = None,
    counts: Sequence[str] = (),
    say: Callable[[str], None] = lambda line: None,
    progress: Callable[[str, int | None], Callable[[int], object]] | None = None,
) -> BackoffLM:
    """Count the n-grams of texts (or read ``counts``, files of SRILM's form) and estimate a back-off model.

    ``min_counts``: n-grams below are left out, per order (None: what is usual for the method).
    ``prune``: relative change of perplexity below which an n-gram is removed (Stolcke 1998).
    ``unk``: "word", ``<unk>`` is a word of the text like others, and words outside ``vocab_file`` are it;
    "kenlm", it is not counted, no n-gram crosses it, and its probability is that of the interpolated unigrams.
    ``tokenizer``: a spec.  ``memory``: bytes that may be resident; beyond them n-grams go to files in ``tmp``.
    ``say`` gets notes and warnings; ``progress(what, total)`` gives a function of steps done.
    Raises CorpusError for input that cannot be used, ValueError for options that do not fit.
    """
    options = options or Options()
    NgramConfig(order, smoothing, min_counts, prune, unk)  # ValueError for what no model can be made with
    threads = threads or available()
    budget = memory or free_memory()
    step = progress or (lambda what, total: lambda n: None)
    if counts:
        vocab, counted = read_counted(counts, order, vocab_file, unk=unk, threads=threads)
        n_tokens = int(counted.counts(1)[FIRST_WORD:].astype(np.int64).sum())  # without <s>
        arena = counted.arena
    else:
        vocab, counted, n_tokens = count_texts(
            texts, order, unk=unk, vocab_file=vocab_file, tokenizer=tokenizer, memory=memory, budget=budget,
            threads=threads, tmp=tmp, say=say, progress=step, continuation=METHODS[smoothing].continuation,
        )  # fmt: skip
        arena = counted.arena
    with arena.watched():
        trie, reports = estimate(
            counted, smoothing, options=options, min_counts=min_counts, unk=unk, threads=threads,
            warn=lambda line: say(f"Warning: {line}"),
            progress=step("estimating", sum(len(nodes) for nodes in counted.nodes)),
        )  # fmt: skip
    discard(counted.transitions)
    if prune:
        from rnnlm.ngram.estimation.prune import prune as remove

        n_bytes = _TO_PRUNE * sum(map(len, trie.nodes))
        model = 0 if arena.spill else sum(nodes.nbytes for nodes in trie.nodes)
        if memory is not None and n_bytes + model > memory - PROGRAM:
            say(f"Warning: `prune` takes {readable_size(n_bytes)} beside what `memory` bounds")
        with arena.watched():
            trie = remove(trie, prune)
        reports = [OrderReport(r.order, r.counts_of_counts, r.discounts, trie.n_ngrams(r.order)) for r in reports]
    training = {
        "tokenizer": tokenizer,
        "smoothing": smoothing,
        "interpolated": _interpolated(smoothing, options),
        "unk": unk,
        "min_counts": list(min_counts or METHODS[smoothing].min_counts),
        "prune": prune or 0.0,
        "train_words": n_tokens,
        "orders": [asdict(report) for report in reports],
    }
    return BackoffLM(vocab, trie, training, threads=threads, arena=arena)


def _interpolated(smoothing: str, options: Options) -> bool:
    default = METHODS[smoothing].interpolates
    return bool(default if options.interpolate is None or default is None else options.interpolate)
