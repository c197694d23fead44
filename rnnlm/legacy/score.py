"""``rnnlm -test`` of 0.4b: the probability of every word, and the totals, in its layout.

It begins with the hidden state that the model file holds, which is where training left off.  Words outside
the vocabulary are none of the total, also where the vocabulary has ``<unk>``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from corpora.stream import encode
from corpora.tokenize import get_tokenizer
from rnnlm.io import load
from rnnlm.legacy.options import Options
from rnnlm.legacy.output import perplexity, say
from rnnlm.model import LOG10_E, RecurrentLM

_BLOCK = 1 << 16  # words that are scored at a time
_OOV = b"-1\t0\t\tOOV\n"


def test(options: Options) -> None:
    """Score ``options.test`` with the model ``options.rnnlm``, in float64; with -dynamic it learns meanwhile."""
    lm = load(options.rnnlm, dtype="float64")
    table, totals = options.debug > 1, options.debug > 0
    log_probs = _scorer(lm, options)
    log10_prob, n = 0.0, 0
    with encode([options.test], get_tokenizer(), lm.vocab, keep_oov=True) as text:
        words = list(lm.vocab.words)
        if table:
            say("Index   P(NET)          Word\n----------------------------------\n")
        for start in range(0, text.n_tokens, _BLOCK):
            ids = text.ids[start : start + _BLOCK]
            log_prob = log_probs(ids)
            if table:
                say(_rows(ids, np.exp(log_prob), words))
            log10_prob += float(log_prob.sum()) * LOG10_E
            n += int(np.count_nonzero(ids >= 0))
    if totals:
        say(f"\ntest log probability: {log10_prob:f}\n\nPPL net: {perplexity(log10_prob, n):f}\n")


def _scorer(lm: RecurrentLM, options: Options) -> Callable[[np.ndarray], np.ndarray]:
    """A function that takes the next ids of the text to their natural log probabilities, 0 where -1."""
    if options.dynamic > 0:
        from rnnlm.dynamic import DynamicLM

        # 0.4b: the default cutoff, whatever -gradient-cutoff says
        dynamic = DynamicLM(lm, options.dynamic, options.beta)
        dynamic.start()
        return dynamic.learn
    state = lm.start()

    def log_probs(ids: np.ndarray) -> np.ndarray:
        nonlocal state
        scores, _, state = lm.log_probs(ids, state)
        return scores

    return log_probs


def _rows(ids: np.ndarray, probabilities: np.ndarray, words: list[bytes]) -> bytes:
    return b"".join(
        b"%d\t%.10f\t%b\n" % (i, p, words[i]) if i >= 0 else _OOV
        for i, p in zip(ids.tolist(), probabilities.tolist(), strict=True)
    )
