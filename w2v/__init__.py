"""Word vectors in the line of word2vec: CBOW and skip-gram (Mikolov et al. 2013a, b).

vectors = w2v.load("vectors.bin")
vectors["king"]
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # of typing, which takes a while to load: Ctrl-C is provided for only then
if TYPE_CHECKING:
    from w2v.model import WordVectors

__all__ = ["load"]


def load(path: str | os.PathLike, *, limit: int | None = None, dtype: str | None = None) -> WordVectors:
    """The vectors in a file: native, of word2vec (text or binary) or of GloVe, plain or compressed.

    ``limit``: only the first ``limit`` words.  ``dtype``: "float32" or "float64"; by default as the file has them.
    Raises CorpusError or FormatError (``corpora.errors``) for any other file.
    """
    from w2v import io  # NumPy is loaded with the first file

    return io.load(path, limit=limit, dtype=dtype)
