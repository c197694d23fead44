"""A recurrent language model: configuration, parameters and vocabulary.

Legend: V words, H hidden units, P units below the output (the compression layer, or H), C classes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from corpora.vocab import Vocab
from rnnlm.config import ModelConfig


@dataclass
class RecurrentLM:
    """``params``, all of ``config.dtype`` and C-contiguous:

    ``U`` (V, H) input rows, ``W`` (H, H) recurrent (row j: from previous unit j), ``K`` (P, H) into
    the compression layer (only with one), ``C`` (C, P) class rows, ``O`` (V, P) word rows,
    ``D`` (direct,) hashed maximum-entropy weights (only with them).
    ``class_of_word`` (V,) int32, non-decreasing.  ``start_hidden`` (H,): the state of ``start()``.
    """

    config: ModelConfig
    vocab: Vocab
    params: dict[str, np.ndarray]
    class_of_word: np.ndarray
    start_hidden: np.ndarray
    training: dict = field(default_factory=dict)
    history: list[dict] = field(default_factory=list)
