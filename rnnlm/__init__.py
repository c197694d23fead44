"""Language models: recurrent ones from Elman's network on, n-grams, mixtures.

lm = rnnlm.load("model.rnnlm")
state = lm.start()
scored, state = lm.score(["the", "cat", "sleeps", "</s>"], state)
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # of typing, which takes a while to load: Ctrl-C is provided for only then
if TYPE_CHECKING:
    from corpora.evaluation.language_model import LanguageModel

__all__ = ["load"]


def load(path: str | os.PathLike, *, dtype: str | None = None) -> LanguageModel:
    """The model in a file; its content says of which kind.

    A ``rnnlm.model.RecurrentLM`` from a native file or one of the RNNLM toolkit, a
    ``rnnlm.ngram.query.model.BackoffLM`` from a native n-gram file or ARPA, a ``rnnlm.mixtures.mixture.Mixture``, or
    a ``rnnlm.mixtures.playback.PlayedBack`` from the probabilities of the words of one text.
    ``dtype``: what recurrent networks compute in, "float32" or "float64"; None: as trained (of the toolkit: float64).
    CorpusError with one line where the file cannot be used.
    """
    from rnnlm.io import load as load_file  # NumPy is loaded with the first model, not with the package

    return load_file(path, dtype=dtype)
