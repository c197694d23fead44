"""``rnnlm -test`` of 0.4b: the probability of every word, and the totals, in its layout.

It begins with the hidden state that the model file holds, which is where training left off.  Words outside
the vocabulary are none of the total, also where the vocabulary has ``<unk>``.  With ``-lm-prob`` such a word counts
if the other model knows it: 10^-8 for the network, and for the mixture what the other model gives to it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from corpora.compute import libm
from corpora.text.stream import encode
from corpora.text.tokenizers import get_tokenizer
from rnnlm.io import load
from rnnlm.legacy.options import Options
from rnnlm.legacy.other import Totals, log10_mixed, open_other
from rnnlm.legacy.output import say
from rnnlm.model import LOG10_E, RecurrentLM

_BLOCK = 1 << 16  # words that are scored at a time
_OOV_LOG10_PROB = -8.0
_HEAD = "Index   P(NET)          Word\n----------------------------------\n"
_HEAD_OF_TWO = "Index   P(NET)          P(LM)           Word\n--------------------------------------------------\n"


def test(options: Options) -> None:
    """Score ``options.test`` with the model ``options.rnnlm``, in float64; with -dynamic it learns meanwhile."""
    lm = load(options.rnnlm, dtype="float64")
    table = options.debug > 1
    log_probs = _scorer(lm, options)
    other, totals = open_other(options), Totals()
    try:
        with encode([options.test], get_tokenizer(), lm.vocab, keep_oov=True) as text:
            words = list(lm.vocab.words)
            if table:
                say(_HEAD if other is None else _HEAD_OF_TWO)
            for start in range(0, text.n_tokens, _BLOCK):
                ids = text.ids[start : start + _BLOCK]
                log_prob = log_probs(ids)
                elsewhere = None if other is None else other.take(ids.size)
                if table:
                    say(_rows(ids, libm.exp(log_prob), elsewhere, words))
                _count(totals, options.weight, ids, log_prob, elsewhere)
    finally:
        if other is not None:
            other.close()
    totals.show(options)


def _scorer(lm: RecurrentLM, options: Options) -> Callable[[np.ndarray], np.ndarray]:
    """A function that takes the next ids of the text to their natural log probabilities, 0 where -1."""
    if options.dynamic > 0:
        from rnnlm.dynamic import DynamicLM

        # 0.4b: the default cutoff, whatever -gradient-cutoff says
        lm = DynamicLM(lm, options.dynamic, options.beta)
    state = lm.start()

    def log_probs(ids: np.ndarray) -> np.ndarray:
        nonlocal state
        scores, _, state = lm.log_probs(ids, state)
        return scores

    return log_probs


def _count(totals: Totals, weight: float, ids, log_prob, elsewhere: np.ndarray | None) -> None:
    known = ids >= 0
    totals.network += float(log_prob.sum()) * LOG10_E
    totals.words += int(np.count_nonzero(known))
    if elsewhere is None:
        return
    found = ~known & (elsewhere > 0)
    totals.network += _OOV_LOG10_PROB * int(np.count_nonzero(found))
    totals.words += int(np.count_nonzero(found))
    counted = known | found
    totals.other += float(libm.log10(elsewhere[counted]).sum())
    network = np.where(known, libm.exp(log_prob), 0.0)
    totals.mixed += float(log10_mixed(weight, network[counted], elsewhere[counted]).sum())


def _rows(ids: np.ndarray, probabilities: np.ndarray, elsewhere: np.ndarray | None, words: list[bytes]) -> bytes:
    if elsewhere is None:
        return b"".join(
            b"%d\t%.10f\t%b\n" % (i, p, words[i]) if i >= 0 else b"-1\t0\t\tOOV\n"
            for i, p in zip(ids.tolist(), probabilities.tolist(), strict=True)
        )
    return b"".join(
        b"%d\t%.10f\t%.10f\t%b\n" % (i, p, q, words[i]) if i >= 0 else b"-1\t0\t\t0\t\tOOV\n"
        for i, p, q in zip(ids.tolist(), probabilities.tolist(), elsewhere.tolist(), strict=True)
    )
