"""The figures of a text, against values by hand and against SciPy."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from corpora.data import stats
from corpora.data.stats import oov_stats, text_stats, zipf_exponent
from corpora.text.stream import encode
from corpora.text.tokenizers import get_tokenizer
from corpora.text.vocab import Vocab

PTB = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "ptb"


def stats_of(tmp_path, text, known=None, tokenizer="whitespace"):
    (tmp_path / "text").write_bytes(text)
    with encode([str(tmp_path / "text")], get_tokenizer(tokenizer)) as stream:
        return text_stats(stream, known)


def test_figures_by_hand(tmp_path):
    found = stats_of(tmp_path, b"a b a\n\nlonger b a c\na b c d\nx")
    assert found.to_dict() | {"zipf_exponent": None} == {
        "bytes": 29,
        "sentences": 5,
        "tokens": 12,  # a 4, b 3, c 2, longer 1, d 1, x 1
        "types": 6,
        "hapaxes": 3,
        "tokens_per_sentence": 12 / 5,
        "longest_line": 3,  # the first of two lines of four tokens
        "longest_line_tokens": 4,
        "longest_token_bytes": 6,
        "zipf_exponent": None,
    }


def test_oov_by_hand(tmp_path):
    known = Vocab([b"</s>", b"a", b"b"])
    found = stats_of(tmp_path, b"a b z\nz y\n", known).to_dict()
    # 5 tokens: z z y are unknown; 4 types: z and y
    assert (found["oov_tokens"], found["oov_rate"]) == (3, 3 / 5)
    assert (found["oov_types"], found["oov_type_rate"]) == (2, 2 / 4)


def test_a_literal_unk_is_known_where_the_vocabulary_has_it():
    text = Vocab([b"</s>", b"<unk>", b"a"], [1, 2, 2])
    assert oov_stats(text, Vocab([b"</s>", b"a"])).tokens == 2
    assert oov_stats(text, Vocab([b"</s>", b"a", b"<unk>"])).tokens == 0


def test_the_longest_line_is_found_across_blocks(tmp_path, monkeypatch):
    text = b"a\n" * 5 + b"a b c d e f g h\n" + b"a b\n" * 5
    for block in (1, 2, 3, 7, 1000):
        monkeypatch.setattr(stats, "_BLOCK", block)
        found = stats_of(tmp_path, text)
        assert (found.longest_line, found.longest_line_tokens) == (6, 8)


@pytest.mark.parametrize("s", [0.5, 1.0, 1.7])
def test_counts_made_with_an_exponent_give_that_exponent(s):
    counts = 1e9 * np.arange(1, 2001.0) ** -s
    assert zipf_exponent(counts) == pytest.approx(s, abs=1e-7)


@given(st.lists(st.integers(1, 500), min_size=2, max_size=30))
def test_no_other_exponent_is_likelier(counts):
    counts = np.sort(counts)[::-1]
    log_rank = np.log(np.arange(1, counts.size + 1))

    def cost(s):
        return s * (counts @ log_rank) + counts.sum() * np.log(np.exp(-s * log_rank).sum())

    best = minimize_scalar(cost, bounds=(0, 40), method="bounded", options={"xatol": 1e-8})
    assert cost(zipf_exponent(counts)) <= best.fun + 1e-6 * abs(best.fun)


def test_degenerate_distributions():
    assert zipf_exponent([7]) is None
    assert zipf_exponent([7, 7, 7]) == 0.0


@pytest.mark.skipif(not PTB.is_dir(), reason="../shared/data/ptb is not there")
def test_penn_treebank_as_published():
    # 82,430 test tokens with </s>, 10,000 words with <unk> and </s>: the figures of Mikolov's papers
    with encode([str(PTB / "ptb.train.txt")], get_tokenizer()) as train:
        known = train.vocab
    with encode([str(PTB / "ptb.test.txt")], get_tokenizer()) as stream:
        found = text_stats(stream, known)
    assert len(known) == 10_000
    assert found.tokens + found.sentences == 82_430
    assert found.oov.tokens == 0
