"""``rnnlm -nbest -test LIST`` of 0.4b: the log10 probability of every hypothesis, a line each, then the totals.

A line of the list is the name of an utterance and the words of a hypothesis; lines of one utterance follow each other.
All hypotheses of an utterance begin with the same hidden state: the one after the first hypothesis of the utterance
before, which is taken for what was said.  The features of direct connections, though, go on from the line before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from corpora.compute import libm
from corpora.text.inputs import open_text, text_lines
from corpora.text.vocab import EOS
from rnnlm.io import load
from rnnlm.legacy.options import Options
from rnnlm.legacy.other import OtherModel, Totals, log10_mixed, open_other
from rnnlm.legacy.output import say
from rnnlm.model import LOG10_E, RecurrentLM, RnnState

OOV_LOG10_PROB = -5.0  # of a word that neither the network nor the other model knows


def rescore(options: Options) -> None:
    """Score the list ``options.test`` with the model ``options.rnnlm``, in float64."""
    lm = load(options.rnnlm, dtype="float64")
    other, totals = open_other(options), Totals()
    try:
        utterance, state = None, _start(lm)
        context = following = state
        for name, words in read_list(options.test):
            first = name != utterance
            if first:
                utterance, context = name, following
            state = replace(context, history=state.history)
            ids = lm.vocab.ids(words)
            log_prob, _, state = lm.log_probs(ids, state)
            if first:
                following = state
            say(f"{_count(totals, options, ids, log_prob, other):f}\n")
    finally:
        if other is not None:
            other.close()
    totals.show(options)


def _start(lm: RecurrentLM) -> RnnState:
    """The first context: before the list 0.4b reads a sentence end, from hidden units that are all 0."""
    ended = lm.advance(-1, lm.state_from(0.0))
    return replace(ended, last_word=0, history=np.zeros_like(ended.history))


def read_list(path: str) -> Iterator[tuple[bytes, Sequence[bytes]]]:
    """The name of the utterance and the words, ``</s>`` last, of each hypothesis.

    A ``</s>`` within a line ends a hypothesis too: the next word is then the name of an utterance, as for 0.4b.
    """
    with open_text(path) as file:
        for line in text_lines(path, file):
            words = line.replace(b"\r", b"").split()
            while words:
                end = words.index(EOS, 1) if EOS in words[1:] else len(words)
                yield words[0], [*words[1:end], EOS]
                words = words[end + 1 :]


def _count(totals: Totals, options: Options, ids, log_prob, other: OtherModel | None) -> float:
    """Add a hypothesis to the totals; its own log10 probability.

    A word that the network does not know has the other model's probability, whatever -lambda is.
    """
    known = ids >= 0
    network = log_prob * LOG10_E
    if other is None:
        network[~known] = OOV_LOG10_PROB
        elsewhere = mixed = network
    else:
        # a C float here, unlike in -test, and so are their logarithms
        probabilities = other.take(ids.size).astype(np.float32)
        elsewhere = libm.log10(probabilities).astype(np.float64)
        probabilities = probabilities.astype(np.float64)
        unknown = np.where(probabilities > 0, elsewhere, OOV_LOG10_PROB)
        mixed = np.where(known, log10_mixed(options.weight, libm.exp(log_prob), probabilities), unknown)
        network, elsewhere = np.where(known, network, unknown), np.where(known, elsewhere, unknown)
    score = float(mixed.sum())
    totals.network += float(network.sum())
    totals.other += float(elsewhere.sum())
    totals.mixed += score
    totals.words += ids.size
    return score
