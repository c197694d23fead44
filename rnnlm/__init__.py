"""Recurrent language models from Elman's network on.

lm = rnnlm.load("model.rnnlm")
state = lm.start()
scored, state = lm.score(["the", "cat", "sleeps", "</s>"], state)
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rnnlm.model import RecurrentLM

__all__ = ["load"]


def load(path: str | os.PathLike, *, dtype: str | None = None) -> RecurrentLM:
    """The model in a file: native, or of the RNNLM toolkit 0.4b in text or binary form; its content says which.

    ``dtype``: "float32" or "float64" to compute in; None: as trained (models of the toolkit: float64).
    CorpusError with one line where the file cannot be used.
    """
    from rnnlm.io import load as load_file  # NumPy is loaded with the first model, not with the package

    return load_file(path, dtype=dtype)
