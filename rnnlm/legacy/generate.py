"""``rnnlm -gen`` of 0.4b: text from the model, with its random numbers."""

from __future__ import annotations

import math

import numpy as np

from rnnlm.config import parameter_shapes
from rnnlm.initial import GlibcRandom
from rnnlm.io import load
from rnnlm.legacy.options import Options
from rnnlm.legacy.output import say
from rnnlm.model import RecurrentLM

_DRAWN_AT_ONCE = 1 << 20


def generate(options: Options) -> None:
    """Print ``options.gen`` words of the model ``options.rnnlm``, a line for every sentence."""
    lm = load(options.rnnlm, dtype="float64")
    random = GlibcRandom(options.seed)
    _skip(random, _numbers_before(lm))
    state = lm.state_from(lm.start_hidden)
    words = lm.vocab.words
    for _ in range(options.gen):
        word = _draw(lm.probabilities(state), lm.class_start, random)
        say(words[word] + b" " if word else b"\n")
        state = lm.advance(word, state)


def _numbers_before(lm: RecurrentLM) -> int:
    """How many random numbers 0.4b has used when it begins to write: its initial weights, three each, then replaced."""
    shapes = parameter_shapes(lm.config, len(lm.vocab))
    return 3 * sum(math.prod(shape) for name, shape in shapes.items() if name != "D")


def _skip(random: GlibcRandom, n: int) -> None:
    for start in range(0, n, _DRAWN_AT_ONCE):
        random.integers(min(_DRAWN_AT_ONCE, n - start))


def _draw(probabilities: np.ndarray, class_start: np.ndarray, random: GlibcRandom) -> int:
    """A word, by two uniform numbers: the first picks its class, the second the word within it."""
    f, g = random.uniform(0, 1, 1)[0], random.uniform(0, 1, 1)[0]
    sums = np.concatenate([[0.0], np.cumsum(probabilities)])
    class_ends = sums[class_start[1:]]
    c = min(int(np.searchsorted(class_ends, f)), len(class_ends) - 1)  # the first class with an end >= f
    if class_start[c] == class_start[c + 1]:
        return 0  # a class without words, as there can be with more classes than the vocabulary fills
    first, end = int(class_start[c]), int(class_start[c + 1])
    within = np.cumsum(probabilities[first:end])
    word = int(np.searchsorted(within, g * within[-1], side="right"))  # the first with a sum > g
    return first + min(word, end - first - 1)
