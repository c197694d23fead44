"""Word vectors: words, one vector for each, and what is known of their training.  V words, d dimensions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np

from corpora.errors import CorpusError
from corpora.files.mapping import mapping_of
from corpora.text.vocab import WordList

DTYPES = ("float32", "float64")
_FEW = 16  # words are searched for in the list that many times, then a table of all words is made
_BLOCK = 1 << 16  # numbers that are squared at once: they stay in the second cache level


class WordVectors:
    """The words of a vector file and their vectors, which may be mapped from it.

    ``words``: V distinct ones.  ``vectors`` (V, d) float32 or float64, row after row, also a view of wider rows.
    ``counts`` (V,) int64: how often each was in the training text; zeros where that is not known.
    ``training``: how they were made, anything that JSON holds; {} for files of other programs.
    ``state``: arrays by name for going on with training; {} for files of other programs.
    """

    def __init__(
        self,
        words: WordList | Sequence[bytes],
        vectors: np.ndarray,
        counts: np.ndarray | None = None,
        *,
        training: dict | None = None,
        state: dict[str, np.ndarray] | None = None,
        norms: np.ndarray | None = None,
    ):
        self.words = words if isinstance(words, WordList) else WordList.of(words)
        n_words = len(self.words)
        if vectors.ndim != 2 or vectors.shape[0] != n_words or vectors.shape[1] < 1:
            raise ValueError(f"vectors of shape {vectors.shape} for {n_words} words")
        if vectors.dtype.name not in DTYPES:
            raise ValueError(f"vectors are {vectors.dtype}: one of {', '.join(DTYPES)}")
        self.vectors = vectors
        self.counts = np.zeros(n_words, np.int64) if counts is None else np.asarray(counts, np.int64)
        self.training = {} if training is None else training
        self.state = {} if state is None else state
        self._norms = norms
        self._searches = 0
        for name, values in (("counts", self.counts), ("norms", norms)):
            if values is not None and values.shape != (n_words,):
                raise ValueError(f"{name} of shape {values.shape} for {n_words} words")

    def __len__(self) -> int:
        return len(self.words)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.words)

    def __repr__(self) -> str:
        return f"WordVectors({len(self)} words, {self.dim} dimensions)"

    @property
    def dim(self) -> int:
        """The number of dimensions, d."""
        return self.vectors.shape[1]

    @property
    def bytes_in_memory(self) -> int:
        """What the vectors and the state take, unless they are mapped from a file."""
        arrays = (self.vectors, *self.state.values())
        return sum(array.nbytes for array in arrays if mapping_of(array) is None)

    @property
    def norms(self) -> np.ndarray:
        """The length of each vector, (V,) float32; from the file, or computed when it is first asked for."""
        if self._norms is None:
            self._norms = lengths(self.vectors)
        return self._norms

    @cached_property
    def _ids(self) -> dict[bytes, int]:
        return {word: i for i, word in enumerate(self.words)}

    def index(self, word: bytes | str) -> int:
        """The number of a word, -1 where it is not there.  The first few times no table of all words is made."""
        return int(self.ids([word])[0])

    def ids(self, words: Sequence[bytes | str]) -> np.ndarray:
        """The numbers of n words, (n,) int32; -1: not there."""
        self._searches += len(words)
        if "_ids" not in self.__dict__ and self._searches <= _FEW:
            found = (self.words.find(as_bytes(word)) for word in words)
        else:
            found = (self._ids.get(as_bytes(word), -1) for word in words)
        return np.fromiter(found, np.int32, len(words))

    def __contains__(self, word: bytes | str) -> bool:
        return self.index(word) >= 0

    def __getitem__(self, word: bytes | str) -> np.ndarray:
        """The vector of a word, (d,); KeyError where it is not there."""
        i = self.index(word)
        if i < 0:
            raise KeyError(word)
        return self.vectors[i]


def as_bytes(word: bytes | str) -> bytes:
    """A word as files hold it; what ``os.fsdecode`` made of other bytes becomes these again."""
    return word if isinstance(word, bytes) else word.encode("utf-8", "surrogateescape")


def lengths(vectors: np.ndarray) -> np.ndarray:
    """The Euclidean length of each row of vectors (n, d), (n,) float32; summed in float64, block by block."""
    n_rows, dim = vectors.shape
    found = np.empty(n_rows, np.float32)
    rows = max(1, _BLOCK // dim)
    with np.errstate(over="ignore"):  # of float64: infinite, as it is in float32
        for start in range(0, n_rows, rows):
            block = vectors[start : start + rows].astype(np.float64)
            found[start : start + rows] = np.sqrt(np.einsum("ij,ij->i", block, block))
    return found


def reciprocals(norms: np.ndarray, without: float, first: int = 0) -> np.ndarray:
    """1 / norms (n,); ``without`` for vectors without direction: zeros, and those so short that 1 / norm is no number.

    CorpusError where a vector, of which the first is number ``first``, is longer than the largest number.
    """
    if np.isinf(norms).any():
        number = first + int(np.isinf(norms).argmax()) + 1
        raise CorpusError(
            f"vector {number} is longer than {norms.dtype} has numbers for; divide all vectors by a number"
        )
    return np.divide(1, norms, out=np.full_like(norms, without), where=norms > 1 / np.finfo(norms.dtype).max)
