"""Unigram caches: shares of the last words, with and without decay, compared with plain Python."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.errors import CorpusError
from corpora.evaluation.perplexity import evaluate
from corpora.text.stream import encode
from corpora.text.tokenizers import get_tokenizer
from corpora.text.vocab import Vocab
from rnnlm.mixtures.cache import CacheLM
from rnnlm.mixtures.mixture import assemble
from rnnlm.ngram.counting.counts import count_ids
from rnnlm.ngram.estimation.estimate import estimate
from rnnlm.ngram.query.model import BackoffLM
from tests.small_bigrams import Bigrams
from tests.small_models import N_WORDS, small_text, small_vocab

KINDS = [{"size": 1}, {"size": 5}, {"size": 10_000}, {"decay": 0.3}, {"decay": 0.01}, {"size": 4, "decay": 0.2}]


def weights_of(cache: CacheLM, read: list[int]) -> np.ndarray:
    """The weight of every word after the words ``read``, by the definition; -1 does not enter."""
    read = [word for word in read if word >= 0]
    weights = np.zeros(len(cache.vocab))
    for distance, word in enumerate(reversed(read), 1):
        if cache.size is None or distance <= cache.size:
            weights[word] += 1 if cache.decay is None else np.exp(-cache.decay * distance)
    return weights if read else np.ones(len(weights))


def test_the_cache_of_a_few_words_by_hand():
    cache = CacheLM(Vocab([b"</s>", b"a", b"b", b"c"]), 3)
    scored, state = cache.score([b"a", b"a", b"b", b"a", b"</s>", b"c", b"</s>"], cache.start())
    # nothing was read: 1/4; then shares of a | a a | a a b | a b a | b a </s> | a </s> c
    assert (10**scored.log10_prob).tolist() == pytest.approx([1 / 4, 1, 0, 2 / 3, 0, 0, 1 / 3])
    assert cache.distribution(state).tolist() == pytest.approx([2 / 3, 0, 0, 1 / 3])
    assert not scored.oov.any()


def test_the_decaying_cache_of_a_few_words_by_hand():
    # Clarkson and Robinson: exp(-alpha d) for a word d words ago, divided by the sum; alpha = log 2 halves each word
    cache = CacheLM(Vocab([b"</s>", b"a", b"b"]), decay=np.log(2))
    scored, state = cache.score([b"a", b"b", b"b", b"a"], cache.start())
    assert (10**scored.log10_prob).tolist() == pytest.approx([1 / 3, 0, (1 / 2) / (3 / 4), (1 / 8) / (7 / 8)])
    assert cache.distribution(state).tolist() == pytest.approx([0, 9 / 15, 6 / 15])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("unk", [False, True])
def test_scores_and_entropies_are_those_of_the_definition(kind, unk):
    cache = CacheLM(small_vocab(unk=unk), **kind)
    ids = small_text(300, oov=True)
    scored, _ = cache.score_ids(ids, cache.start(), entropy=True)
    read = np.where(ids < 0, cache.vocab.unk_id, ids).tolist()
    blocks = cache.distributions(ids, cache.start())
    for t, word in enumerate(read):
        p = weights_of(cache, read[:t])
        p /= p.sum()
        assert 10 ** scored.log10_prob[t] == pytest.approx(p[word] if word >= 0 else 0.0, abs=1e-12)
        assert scored.entropy_bits[t] == pytest.approx(-(p[p > 0] * np.log2(p[p > 0])).sum(), abs=1e-9)
        np.testing.assert_allclose(blocks[t], p, atol=1e-12)
    assert scored.oov.tolist() == (ids < 0).tolist()


@pytest.mark.parametrize("kind", KINDS)
@given(cuts=st.lists(st.integers(0, 80), max_size=5))
@settings(max_examples=10, deadline=None)
def test_a_text_may_be_scored_in_any_pieces(kind, cuts):
    cache = CacheLM(small_vocab(unk=True), **kind)
    ids = small_text(80, oov=True)
    whole, end = cache.score_ids(ids, cache.start(), entropy=True)
    state, p, bits = cache.start(), [], []
    for part in np.split(ids, sorted(cuts)):
        before = state.copy()
        scored, after = cache.score_ids(part, state, entropy=True)
        assert state.tolist() == before.tolist()
        assert cache.distribution(state).sum() == pytest.approx(1)
        state = after
        p.append(10**scored.log10_prob)
        bits.append(scored.entropy_bits)
    np.testing.assert_allclose(np.concatenate(p), 10**whole.log10_prob, atol=1e-12)
    np.testing.assert_allclose(np.concatenate(bits), whole.entropy_bits, atol=1e-9)
    assert state.tolist() == end.tolist()


def test_a_state_cannot_be_changed():
    cache = CacheLM(small_vocab(), 3)
    _, state = cache.score_ids(np.array([1, 2], np.int32), cache.start())
    with pytest.raises(ValueError, match="read-only"):
        state[0] = 5


def test_an_empty_cache_says_that_all_words_are_equally_likely():
    cache = CacheLM(small_vocab(), 3)
    assert cache.distribution(cache.start()).tolist() == pytest.approx([1 / N_WORDS] * N_WORDS)
    scored, _ = cache.score_ids(np.array([-1, 3], np.int32), cache.start(), entropy=True)  # an OOV does not fill it
    assert 10 ** scored.log10_prob[1] == pytest.approx(1 / N_WORDS)
    assert scored.entropy_bits.tolist() == pytest.approx([np.log2(N_WORDS)] * 2)


def test_a_cache_helps_where_words_come_again():
    lm = Bigrams([b"a", b"b", b"c", b"d"])
    text = [b"c", b"c", b"c", b"c", b"</s>"] * 20
    alone = lm.score(text, lm.start())[0].log10_prob.sum()
    mixture = assemble([lm], cache_size=10, cache_weight=0.5)
    assert mixture.score(text, mixture.start())[0].log10_prob.sum() > alone


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ({}, "needs a size"),
        ({"size": 0}, "`cache` 0"),
        ({"size": 1 << 40}, "from 1 to"),
        ({"decay": 0.0}, "`cache_decay` 0"),
        ({"decay": float("nan")}, "`cache_decay` nan"),
        ({"decay": 1e9}, "from 1e-06 to 100"),
    ],
)
def test_a_size_or_rate_that_is_none_is_refused(kind, message):
    with pytest.raises(CorpusError, match=message):
        CacheLM(small_vocab(), **kind)


def test_kneser_ney_with_a_cache_on_ptb_is_srilms(shared_data):
    # SRILM: ngram -lm kn5 -cache 500 -cache-lambda 0.1; 141.19 without the cache
    texts = [str(shared_data / "ptb" / f"ptb.{part}.txt") for part in ("train", "test")]
    with encode(texts[:1], get_tokenizer()) as train, encode(texts[1:], get_tokenizer()) as test:
        lm = BackoffLM(train.vocab, estimate(count_ids(np.array(train.ids), len(train.vocab), 5))[0])
        mixture = assemble([lm], cache_size=500, cache_weight=0.1)
        assert evaluate(mixture, test).perplexity == pytest.approx(127.94, abs=0.005)
