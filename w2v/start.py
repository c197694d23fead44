"""The matrices that training begins with: drawn, or those of older vectors with fresh rows for new words.

V words, d the size of vectors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from corpora.errors import CorpusError
from w2v.config import TrainConfig
from w2v.matrices import Matrices
from w2v.objectives import chosen

if TYPE_CHECKING:
    from w2v.model import WordVectors
    from w2v.texts import Text

_BLOCK = 1 << 12  # rows that are copied at a time


def require_size(path: str, vectors: WordVectors, size: int) -> None:
    """CorpusError where vectors of another size are to be trained on."""
    if vectors.dim != size:
        raise CorpusError(f"{path}: vectors of size {vectors.dim}, where `size` is {size}; change or omit it")


def create(config: TrainConfig, text: Text, initial: WordVectors | None = None) -> tuple[Matrices, list[str]]:
    """Matrices to begin with, and which of them hold what the ``initial`` vectors' file has.

    Rows that it lacks are drawn as for a fresh run.  Output vectors are taken over from a file that has them, of the
    same architecture; those that belong to no words (syn1: to a Huffman tree) only where the tree is still the same.
    """
    n_words = len(text.vocab)
    matrices = Matrices.create(n_words, config, config.seed)
    if initial is None:
        return matrices, []
    copy_rows(initial.vectors, matrices.vectors(config.size), text.rows)
    taken = ["syn0"]
    if (initial.training.get("config") or {}).get("architecture") != config.architecture:
        return matrices, taken
    fits = len(initial), initial.dim
    for objective in chosen(config).values():
        name = objective.matrix
        if name not in initial.state or not (objective.rows_are_words or _same_tree(text, initial)):
            continue
        if initial.state[name].shape != fits or initial.state[name].dtype.kind != "f":
            continue  # another program's
        copy_rows(initial.state[name], matrices.state(config.size)[name], text.rows)
        taken.append(name)
    return matrices, taken


def restore(config: TrainConfig, vectors: WordVectors) -> Matrices:
    """The matrices of an interrupted run.  ValueError where one is missing, or is not as it should be."""
    matrices = Matrices.create(len(vectors), config, config.seed)
    wanted = {"syn0": matrices.vectors(config.size), **matrices.state(config.size)}
    for name, target in wanted.items():
        saved = {"syn0": vectors.vectors, **vectors.state}.get(name)
        if saved is None or saved.shape != target.shape or saved.dtype.kind != "f":
            raise ValueError(f"{name} is {'missing' if saved is None else f'{saved.dtype} {saved.shape}'}")
        copy_rows(saved, target)
    return matrices


def copy_rows(source: np.ndarray, target: np.ndarray, rows: np.ndarray | None = None) -> None:
    """Set target (V, d) to rows (V,) of source (n, d), in their order if not given; -1: the target's row stays."""
    for start in range(0, len(target), _BLOCK):
        part = target[start : start + _BLOCK]
        if rows is None:
            part[...] = source[start : start + _BLOCK]
            continue
        wanted = rows[start : start + _BLOCK]
        found = wanted >= 0
        part[found] = source[wanted[found]]


def _same_tree(text: Text, initial: WordVectors) -> bool:
    """Whether the Huffman tree, which depends on the counts' proportions, is that of the initial vectors."""
    if text.rows is None or not np.array_equal(text.rows, np.arange(len(initial))):
        return False
    old, new = initial.counts.astype(np.float64), text.vocab.counts.astype(np.float64)
    return bool(old.any() and new.any()) and np.allclose(old / old.sum(), new / new.sum(), rtol=1e-12, atol=0)
