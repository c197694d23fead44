"""Text from a model: one word after another, drawn from its distribution."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from corpora.evaluation.distributions import softmax
from corpora.evaluation.language_model import LanguageModel
from corpora.text.vocab import EOS

MOST_EMPTY = 1000  # sentences without a word, one after another: the model has learnt nothing else


def sharpen(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """p^(1/T), normalised: below 1 nearer to the most probable word (0: only it), above 1 nearer to uniform."""
    if temperature == 1:
        return probabilities
    if temperature == 0:
        return (np.arange(probabilities.size) == probabilities.argmax()).astype(float)
    with np.errstate(divide="ignore", over="ignore"):
        logs = np.log(probabilities)
        return softmax((logs - logs.max()) / temperature)  # the largest is 0 however small the temperature


def generate(
    lm: LanguageModel,
    n_words: int,
    rng: np.random.Generator,
    temperature: float = 1.0,
    prefix: Sequence[bytes | str] = (),
    unknown: bool = True,
) -> Iterator[bytes]:
    """Draw ``n_words`` words and the sentence ends between them (``</s>``, not counted) after ``prefix``.

    Fewer where the model writes nothing but sentence ends.  ``unknown`` False: never ``<unk>``.  The prefix is
    read, not yielded.
    """
    state = lm.start()
    if prefix:
        _, state = lm.score(prefix, state)
    words, drawn, empty = lm.vocab.words, 0, 0
    while drawn < n_words and empty < MOST_EMPTY:
        p = lm.distribution(state)
        if not unknown and lm.vocab.unk_id >= 0:
            p[lm.vocab.unk_id] = 0.0
            p = p / p.sum()
        cumulative = np.cumsum(sharpen(p, temperature))
        choice = int(np.searchsorted(cumulative, rng.random() * cumulative[-1], side="right"))
        word = words[min(choice, len(words) - 1)]
        _, state = lm.score([word], state)
        drawn, empty = (drawn + 1, 0) if choice else (drawn, empty + 1)
        yield word


def sentences(words: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Cut words at sentence ends, which are left out; the last sentence may lack its own."""
    sentence: list[bytes] = []
    for word in words:
        if word == EOS:
            yield sentence
            sentence = []
        else:
            sentence.append(word)
    if sentence:
        yield sentence
