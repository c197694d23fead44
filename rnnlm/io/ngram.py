"""The native file of an n-gram model: safetensors, mapped if it is large, as those of recurrent models.

    "__metadata__"   ``format``, ``format_version``, and as JSON ``order``, ``ngrams`` (how many of each order)
                     and ``training`` (tokenizer, smoothing and what else is known of its making)
    tensors          ``nodes.1`` ... ``nodes.N`` and ``internal``, as ``rnnlm.ngram.trie`` has them, and the
                     vocabulary as in native files of recurrent models

Loading takes no time whatever its size, so nodes are not looked at, but for their shapes, first and last: queries
bound what they take from them, and whoever goes through all of them looks first (``Trie.is_whole``).
"""

from __future__ import annotations

import os
from functools import partial
from itertools import pairwise

import numpy as np

from corpora.errors import FormatError
from corpora.files.checks import shown
from corpora.files.mapping import discard
from corpora.files.source import Source
from corpora.files.tensors import Header, read_array, read_header, read_vocab, to_json, vocab_tensors, write_tensors
from corpora.files.tensors import recognises as recognises_tensors
from corpora.jobs.record import require_types
from rnnlm.ngram.trie import CHILD, FIRST_WORD, MAX_ORDER, NONE, Trie

FORMAT = "rnnlm-ngram"
FORMAT_VERSION = 1

# what is read of the metadata; None: may be missing
_TRAINING = {
    **{"tokenizer": str | None, "smoothing": str | None, "interpolated": bool | None, "orders": list | None},
    **{"min_counts": list[int] | None, "prune": float | None, "train_words": int | None},
}

recognises = partial(recognises_tensors, format=FORMAT)


def peek(source: Source) -> dict:
    """What the header says: ``order``, ``ngrams``, ``n_words``, ``training``."""
    header = read_header(source, FORMAT, FORMAT_VERSION)
    counts = header.json(source.path, "ngrams", list)
    order = _order(source.path, header)
    if len(counts) != order or any(type(count) is not int or count < 0 for count in counts):
        raise FormatError(source.path, None, '"ngrams" in its metadata is not the number of n-grams of each order')
    return {
        "order": order,
        "ngrams": counts,
        "n_words": header.size("vocab_counts"),
        "training": _training(source.path, header),
    }


def read(source: Source, dtype: str | None = None):
    """The model of an open file, a BackoffLM over the mapped file.  ``dtype`` has no meaning here.

    FormatError for a file that is cut short, of a newer version, or whose tensors do not fit each other.
    """
    from rnnlm.ngram.query.model import BackoffLM

    header = read_header(source, FORMAT, FORMAT_VERSION)
    order = _order(source.path, header)
    vocab = read_vocab(source, header)
    internal = read_array(source, header, "internal", np.uint32, (len(vocab) + 1,))
    if not _is_permutation(internal, len(vocab)):
        raise FormatError(source.path, None, 'the tensor "internal" does not have the id of each word once')
    nodes = [_nodes(source, header, n, order, len(vocab)) for n in range(1, order + 1)]
    for n, (above, below) in enumerate(pairwise(nodes), 1):
        if above[0, CHILD] != 0 or above[-1, CHILD] != len(below) - 1:
            raise FormatError(source.path, None, f'the tensors "nodes.{n}" and "nodes.{n + 1}" do not fit each other')
    return BackoffLM(vocab, Trie(nodes, internal), _training(source.path, header), path=source.path)


def _training(path: str, header: Header) -> dict:
    training = header.json(path, "training", dict, _TRAINING)
    try:
        for order in training.get("orders") or []:
            require_types(order, {"discounts": dict})
            require_types(order["discounts"], dict.fromkeys(order["discounts"], float))
    except ValueError as error:
        raise FormatError(path, None, f'"orders" in its metadata: {shown(str(error), 100)}') from error
    return {name: value for name, value in training.items() if value is not None}


def _is_permutation(internal: np.ndarray, n_words: int) -> bool:
    """Whether the words have the ids from FIRST_WORD on, each one once, and what is no word NONE."""
    ids = internal[:-1]
    if internal[-1] != NONE or ids.min() < FIRST_WORD or ids.max() >= FIRST_WORD + n_words:
        return False
    seen = np.zeros(n_words, bool)
    seen[ids - np.uint32(FIRST_WORD)] = True
    return bool(seen.all())


def _order(path: str, header: Header) -> int:
    text = header.metadata.get("order", "")
    if text not in map(str, range(1, MAX_ORDER + 1)):
        raise FormatError(path, None, f'"order" in its metadata is not a number from 1 to {MAX_ORDER}')
    return int(text)


def _nodes(source: Source, header: Header, n: int, order: int, n_words: int) -> np.ndarray:
    nodes = read_array(source, header, f"nodes.{n}", np.uint32)
    columns = 2 if n == order > 1 else 4
    rows = n_words + FIRST_WORD + 1 if n == 1 else max(len(nodes), 1) if nodes.ndim else 1
    if nodes.shape != (rows, columns):
        expected = f"{rows} rows of {columns} are expected"
        raise FormatError(source.path, None, f'the tensor "nodes.{n}" is {nodes.shape}, where {expected}')
    return nodes


def save(lm, path: str | os.PathLike, *, consume: bool = False) -> None:
    """Write a BackoffLM.  Large arrays go to the file one after another, without a copy in memory.

    ``consume``: the model is of no use afterwards; its memory is given back while the file is written.
    """
    trie = lm.trie
    orders = range(1, trie.order + 1)
    # rows of 16 bytes first, from a multiple of 64 on: none lies in two cache lines
    tensors = {f"nodes.{n}": trie.nodes[n - 1] for n in orders}
    blob, offsets, counts = vocab_tensors(lm.vocab).items()
    tensors |= dict([offsets, counts, ("internal", trie.internal), blob])
    metadata = {
        "order": str(trie.order),
        "ngrams": to_json([trie.n_ngrams(n) for n in orders]),
        "training": to_json(lm.training),
    }

    def written(block: np.ndarray) -> None:
        if consume:
            discard(block)
        elif lm.arena is not None:
            lm.arena.drop()

    write_tensors(path, FORMAT, FORMAT_VERSION, metadata, tensors, written)
