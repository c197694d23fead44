"""What a model may offer beyond the LanguageModel protocol, and what is done where it does not.

=============================  =======================================================================================
``distributions``              (ids (n,), state) -> (n, V) float64: the distribution before each of ids
``score_with_distributions``   (ids, state) -> Scored, distributions, and the state after
``score_sentences``            (ids, state) -> Scored of whole sentences, every one of which begins at ``state``
``has_distribution``           False: there are no distributions
=============================  =======================================================================================
"""

from __future__ import annotations

from typing import Any

import numpy as np

from corpora.evaluation.language_model import LanguageModel, Scored


def has_distribution(lm: LanguageModel) -> bool:
    """Whether a model can give the probabilities of all words; a file of probabilities cannot."""
    return getattr(lm, "has_distribution", True)


def score_with_distributions(lm: LanguageModel, ids: np.ndarray, state: Any) -> tuple[Scored, np.ndarray, Any]:
    """The scores of ids (n,) int32 of a model, the distributions (n, V) float64 before each, and the state after."""
    if hasattr(lm, "score_with_distributions"):
        return lm.score_with_distributions(ids, state)
    if hasattr(lm, "distributions"):
        distributions = lm.distributions(ids, state)
        scored, state = lm.score_ids(ids, state)
        return scored, distributions, state
    distributions, parts = np.empty((ids.size, len(lm.vocab))), []
    for t in range(ids.size):
        distributions[t] = lm.distribution(state)
        scored, state = lm.score_ids(ids[t : t + 1], state)
        parts.append(scored)
    return joined(parts) if parts else lm.score_ids(ids, state)[0], distributions, state


def score_sentences(lm: LanguageModel, ids: np.ndarray, state: Any) -> Scored:
    """Score whole sentences, each ended by ``</s>`` (id 0), every one of which begins at ``state``."""
    return lm.score_sentences(ids, state) if hasattr(lm, "score_sentences") else sentence_by_sentence(lm, ids, state)


def sentence_by_sentence(lm: LanguageModel, ids: np.ndarray, state: Any) -> Scored:
    """As ``score_sentences``, by ``lm.score_ids``."""
    cuts = np.flatnonzero(ids == 0) + 1
    return joined([lm.score_ids(part, state)[0] for part in np.split(ids, cuts[cuts < ids.size])])


def joined(parts: list[Scored]) -> Scored:
    """The scores of parts of a text that follow each other; without entropies."""
    order = None if parts[0].order is None else np.concatenate([part.order for part in parts])
    log10_prob, oov = (np.concatenate([getattr(part, name) for part in parts]) for name in ("log10_prob", "oov"))
    return Scored(log10_prob, oov, None, order)


def entropy_bits(p: np.ndarray) -> np.ndarray:
    """(n,) bits: the entropies of distributions p (n, V)."""
    terms = np.log2(p, out=np.zeros_like(p), where=p > 0)
    terms *= p
    return np.maximum(0.0, -terms.sum(1))
