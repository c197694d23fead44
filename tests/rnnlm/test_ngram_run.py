"""From texts to models: memory that is bounded, vocabularies, <unk>, what is refused, and the figures on PTB."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import re
import subprocess
import sys
import time
from collections import Counter, namedtuple
from pathlib import Path

import numpy as np
import pytest

from corpora.errors import CorpusError
from corpora.evaluation.perplexity import evaluate
from corpora.text.stream import encode, expected_tokens
from corpora.text.tokenizers import get_tokenizer
from corpora.text.vocab import UNK, Vocab
from rnnlm.io import save
from rnnlm.ngram import run
from rnnlm.ngram.arena import Arena
from rnnlm.ngram.config import NgramConfig
from rnnlm.ngram.estimation.smoothing import METHODS, Options
from rnnlm.ngram.run import count_texts, estimate_model
from tests.reference import ngram as reference
from tests.reference.ngram_counts import count_ngrams
from tests.small_ngrams import differences, ngrams, random_sentences, walk

MIB = 1 << 20


def write(path, sentences) -> str:
    path.write_bytes(b"".join(b" ".join(sentence) + b"\n" for sentence in sentences))
    return str(path)


@pytest.fixture(scope="module")
def text(tmp_path_factory) -> str:
    return write(tmp_path_factory.mktemp("ngram") / "train.txt", random_sentences(3, 50, 300))


def bits(model) -> list[bytes]:
    return [nodes.tobytes() for nodes in model.trie.nodes]


def counts_by_words(vocab: Vocab, counted) -> Counter:
    """{words: count} of the trie that ``count_texts`` gives, oldest word first."""
    names = {int(id_): word for id_, word in zip(counted.internal[:-1], vocab.words, strict=True)} | {1: b"<s>"}
    orders = walk(counted)
    return Counter({tuple(names[w] for w in reversed(path)): c for found in orders for path, c in found.items()})


# ---- texts


def test_the_model_of_a_file_is_that_of_its_sentences(text):
    sentences = random_sentences(3, 50, 300)
    model = estimate_model([text], order=3, smoothing="witten-bell")
    assert differences(model, reference.estimate(sentences, 3, "witten-bell")) == {}
    assert model.vocab.words[0] == b"</s>"
    assert UNK in model.vocab
    expected = Counter(word for sentence in sentences for word in sentence)
    assert dict(zip(model.vocab.words, model.vocab.counts.tolist(), strict=True)) == expected | {b"</s>": 300, UNK: 0}


def test_several_texts_are_one_after_the_other(text, tmp_path):
    lines = random_sentences(3, 50, 300)
    parts = [write(tmp_path / "a.txt", lines[:120]), write(tmp_path / "b.txt", lines[120:])]
    assert bits(estimate_model(parts)) == bits(estimate_model([text]))


def test_what_the_training_was_is_kept(text):
    told = estimate_model([text], order=2, smoothing="kneser-ney", min_counts=(1, 2), tokenizer="whitespace").training
    assert (told["smoothing"], told["interpolated"], told["unk"]) == ("kneser-ney", True, "word")
    assert (told["min_counts"], told["prune"], told["tokenizer"]) == ([1, 2], 0.0, "whitespace")
    assert told["train_words"] == sum(len(sentence) + 1 for sentence in random_sentences(3, 50, 300))
    assert [order["order"] for order in told["orders"]] == [1, 2]
    assert told["orders"][1]["discounts"].keys() == {"D"}
    assert not estimate_model([text], order=2, smoothing="good-turing").training["interpolated"]


def test_a_pruned_model_says_how_many_n_grams_are_left(text):
    model = estimate_model([text], order=3, prune=3e-4)
    sizes = [order["n_ngrams"] for order in model.training["orders"]]
    assert sizes == [model.trie.n_ngrams(n) for n in (1, 2, 3)]
    assert sizes == list(Counter(map(len, ngrams(model))).values())
    assert sizes[2] < estimate_model([text], order=3).training["orders"][2]["n_ngrams"]


def test_progress_gets_as_far_as_it_said(text):
    totals, done = {}, Counter()

    def progress(what, total):
        totals[what] = total
        return lambda steps: done.update({what: steps})

    estimate_model([text], order=4, progress=progress)
    assert set(totals) == {"reading", "counting", "estimating"}
    assert done == totals


def test_a_tokenizer_makes_the_words(tmp_path):
    path = tmp_path / "text"
    path.write_bytes(b"Ab\n")
    model = estimate_model([str(path)], order=2, tokenizer="char+lower", smoothing="witten-bell")
    assert set(model.vocab.words) == {b"</s>", b"a", b"b", UNK}
    assert model.tokenizer == "char+lower"


# ---- memory


@pytest.mark.parametrize("smoothing", METHODS)
def test_with_files_instead_of_memory_the_model_is_the_same_bytes(text, smoothing, tmp_path):
    for order in (1, 2, 4):
        for more in ({}, {"min_counts": (1, 2, 2)[:order]}, {"unk": "kenlm"}):
            whole = estimate_model([text], order=order, smoothing=smoothing, **more)
            told: list[str] = []
            spilt = estimate_model(
                [text], order=order, smoothing=smoothing, memory=215 * MIB, tmp=str(tmp_path), say=told.append, **more
            )
            assert bits(spilt) == bits(whole)
            assert re.fullmatch(f"n-grams go to files in {tmp_path}: up to about [0-9]+ KB", told[0])
            assert sum("go to files" in line for line in told) == 1
    assert list(tmp_path.iterdir()) == []  # the files have no names: nothing stays behind


@pytest.mark.parametrize("smoothing", ["modified-kneser-ney", "good-turing"])
def test_threads_and_pruning_leave_bounded_memory_alone(text, smoothing, monkeypatch):
    whole = estimate_model([text], order=4, smoothing=smoothing, prune=1e-4, threads=1)
    monkeypatch.setattr("rnnlm.ngram.counting.counts._WORTH_THREADS", 1)
    monkeypatch.setattr("rnnlm.ngram.counting.counts.SHARD", 64)  # positions: many shards take turns
    monkeypatch.setattr("rnnlm.ngram.counting.texts._A_THREAD", 1 << 20)
    bounded = estimate_model([text], order=4, smoothing=smoothing, prune=1e-4, threads=3, memory=215 * MIB)
    assert bits(bounded) == bits(whole)


@pytest.mark.parametrize("memory", [None, 215 * MIB])
def test_a_model_that_is_consumed_while_it_is_written_is_the_same_file(text, memory, tmp_path):
    for name, consume in (("kept", False), ("consumed", True)):
        save(estimate_model([text], order=3, memory=memory), tmp_path / name, consume=consume)
    assert (tmp_path / "consumed").read_bytes() == (tmp_path / "kept").read_bytes()


def test_a_model_in_files_scores_and_predicts_like_one_in_memory(text):
    spilt, whole = estimate_model([text], order=3, memory=215 * MIB), estimate_model([text], order=3)
    ids = np.random.default_rng(1).integers(-1, len(whole.vocab), 300).astype(np.int32)
    found, expected = (lm.score_ids(ids, lm.start(), entropy=True)[0] for lm in (spilt, whole))
    assert np.array_equal(found.log10_prob, expected.log10_prob)
    assert np.array_equal(found.entropy_bits, expected.entropy_bits)


def test_too_little_memory_is_refused_with_what_is_needed(text):
    with pytest.raises(CorpusError, match=r"^`memory` 100M is too little for this text: 185M at least$"):
        estimate_model([text], memory=100 * MIB)
    assert estimate_model([text], memory=185 * MIB).order == 3


def test_a_large_vocabulary_needs_memory_too(text, monkeypatch):
    monkeypatch.setattr("rnnlm.ngram.counting.texts._A_WORD", MIB)
    with pytest.raises(CorpusError, match=r"^`memory` 190M is too little for this text: 237M at least$"):
        estimate_model([text], memory=190 * MIB)


def test_a_directory_that_is_not_there_is_named(text, tmp_path):
    with pytest.raises(CorpusError, match=r"nowhere: .*`tmp` names another directory"):
        estimate_model([text], memory=215 * MIB, tmp=str(tmp_path / "nowhere"))


def test_too_little_memory_or_space_is_told_before_the_text_is_read(text, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda directory: usage(10000, 9000, 1000))
    short = r"1 KB are free, up to [0-9]+ KB are needed for n-grams; `tmp` names another directory$"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(Path(text).read_bytes())))
    with pytest.raises(CorpusError, match=short):  # of a pipe nothing is known before
        estimate_model(["-"], memory=215 * MIB, tmp=str(tmp_path))
    monkeypatch.setattr("rnnlm.ngram.counting.texts.encode", None)
    with pytest.raises(CorpusError, match=short):
        estimate_model([text], memory=215 * MIB, tmp=str(tmp_path))
    with pytest.raises(CorpusError, match="`memory` 100M is too little"):
        estimate_model([text], memory=100 * MIB, tmp=str(tmp_path))
    # enough memory for n-grams, but not for the text: its file needs room, too
    monkeypatch.setattr("rnnlm.ngram.counting.texts.MEMORY_LIMIT", 1000)
    monkeypatch.setattr("rnnlm.ngram.counting.texts._Needs.fit", lambda self, n: n < 5000)
    with pytest.raises(CorpusError, match=r"1 KB are free, up to [0-9]+ KB are needed for the encoded text;"):
        estimate_model([text], tmp=str(tmp_path))
    monkeypatch.undo()
    monkeypatch.setattr("shutil.disk_usage", lambda directory: usage(10000, 9000, 1000))
    assert estimate_model([text], memory=1 << 30, tmp=str(tmp_path)).order == 3  # which no file is needed for


@pytest.mark.parametrize("compress", [bytes, gzip.compress, lzma.compress, bz2.compress])
def test_the_number_of_tokens_is_about_known_beforehand(compress, tmp_path, monkeypatch):
    rng = np.random.default_rng(4)
    lines = b"".join(b" ".join(b"%d" % word for word in rng.integers(0, 10**5, 20)) + b"\n" for _ in range(20000))
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(compress(lines))
    files = [str(tmp_path / name) for name in ("a", "b")]
    n = 2 * 21 * 20000
    for size in (1 << 21, 1 << 22):  # a part, and all of it
        monkeypatch.setattr("corpora.text.stream._SAMPLE", size)
        expected, certain = expected_tokens(files, get_tokenizer("whitespace"))
        assert expected == pytest.approx(n, rel=0.15)  # bzip2 is read in blocks
        assert n / 5 < certain <= 0.55 * n
    assert expected_tokens(files, get_tokenizer("char"))[0] > 2 * len(lines) * 0.8


def test_texts_that_are_not_alike_are_not_taken_for_too_large(tmp_path):
    whitespace = get_tokenizer("whitespace")
    short, long = b"a b c d\n" * 300_000, b"unbelievably long words\n" * 200_000
    (tmp_path / "a").write_bytes(short + long)  # short words only at the beginning
    assert expected_tokens([str(tmp_path / "a")], whitespace)[0] == pytest.approx(5 * 300_000 + 4 * 200_000, rel=0.2)
    (tmp_path / "b.gz").write_bytes(gzip.compress(b"a b\n" * 1_000_000 + np.random.default_rng(1).bytes(1 << 20)))
    (tmp_path / "c").write_bytes(long)
    expected, certain = expected_tokens([str(tmp_path / name) for name in ("a", "b.gz", "c")], whitespace)
    assert certain < 2_300_000 + 3_000_000 + 800_000
    assert expected > certain
    (tmp_path / "empty").write_bytes(b"")
    assert expected_tokens([str(tmp_path / "empty")], whitespace) == (1, 0)
    assert expected_tokens([], whitespace) == (0, 0)


def test_what_takes_more_memory_than_the_bound_says_so(text, tmp_path, monkeypatch):
    monkeypatch.setattr("rnnlm.ngram.counting.texts._Needs.plan", lambda *args: (100, Arena(True, str(tmp_path)), 1))
    told: list[str] = []
    estimate_model([text], order=3, min_counts=(1, 2, 2), say=told.append)
    assert [line for line in told if re.search("leaving n-grams out takes up to [0-9]+ (KB|bytes) beside", line)]
    monkeypatch.setattr("rnnlm.ngram.run._TO_PRUNE", 1 << 20)
    estimate_model([text], order=3, prune=1e-4, memory=300 * MIB, say=told.append)
    assert re.fullmatch(r"Warning: `prune` takes [0-9.]+ GB beside what `memory` bounds", told[-1])


def test_a_bigram_that_is_most_of_the_text(tmp_path, monkeypatch):
    path = write(tmp_path / "text", [[b"a"]] * 3000 + [[b"b", b"c"]] * 5)
    monkeypatch.setattr("rnnlm.ngram.counting.counts.SHARD", 64)
    whole = estimate_model([path], order=3)
    monkeypatch.setattr("rnnlm.ngram.counting.texts._Needs.plan", lambda *args: (100, Arena(True, str(tmp_path)), 1))
    assert bits(estimate_model([path], order=3)) == bits(whole)


# ---- vocabularies


def test_words_outside_a_given_vocabulary_are_unk(tmp_path):
    sentences = [b"a b zebra a".split(), b"b quagga".split()]
    words = tmp_path / "words"
    words.write_bytes(b"b\na\nnever\n")
    path = write(tmp_path / "text", sentences)
    model = estimate_model([path], order=2, smoothing="witten-bell", vocab_file=str(words))
    twin = reference.estimate(sentences, 2, "witten-bell", vocab=[b"a", b"b", b"never"])
    assert set(model.vocab.words) == {b"</s>", b"a", b"b", b"never", UNK}
    assert model.vocab.counts[model.vocab.unk_id] == 2
    assert differences(model, twin) == {}


def test_a_vocabulary_without_any_word_of_the_text_still_makes_a_model(tmp_path):
    (tmp_path / "words").write_bytes(b"x\ny\n")
    model = estimate_model([write(tmp_path / "text", [[b"a", b"b"]] * 3)], order=2, vocab_file=str(tmp_path / "words"))
    scored, _ = model.score([b"x", b"a", b"</s>"], model.start())
    assert np.isfinite(scored.log10_prob).all()
    assert 10 ** scored.log10_prob[1] > 10 ** scored.log10_prob[0]


# ---- <unk> and <s> in the text


def test_kenlms_way_leaves_gaps_where_unk_is(tmp_path):
    sentences = [b"a b <unk> b c".split(), b"<unk> a".split(), b"a b".split()]
    path, told = write(tmp_path / "text", sentences), []
    vocab, counted, n = count_texts([path], 3, unk="kenlm", say=told.append)
    # pieces: "<s> a b" and "b c </s>", "<s>" and "a </s>", "<s> a b </s>"
    expected = Counter()
    for piece in ("<s> a b", "b c </s>", "a </s>", "<s> a b </s>"):
        words = tuple(word.encode() for word in piece.split())
        expected.update(words[i : i + m] for m in (1, 2, 3) for i in range(len(words) - m + 1))
    expected[b"<s>",] = 3
    assert counts_by_words(vocab, counted) == expected
    assert n == 12
    assert told == ["Warning: 2 words of the text are <unk>: they are not counted (`unk` word counts <unk>)"]


def test_unk_is_a_word_like_others_by_default(tmp_path):
    sentences = [b"a b <unk> b c".split(), b"<unk> a".split(), b"a b".split()]
    told: list[str] = []
    vocab, counted, _ = count_texts([write(tmp_path / "text", sentences)], 3, say=told.append)
    assert counts_by_words(vocab, counted) == sum(count_ngrams(sentences, 3), Counter())
    assert told == []


def test_a_text_of_unk_alone_gives_a_model_of_sentence_ends(tmp_path):
    model = estimate_model([write(tmp_path / "text", [[UNK, UNK]] * 4)], order=2, unk="kenlm")
    scored, _ = model.score([b"</s>", UNK], model.start())
    assert np.isfinite(scored.log10_prob).all()
    assert 10.0 ** scored.log10_prob.sum() > 0


@pytest.mark.parametrize("unk", ["word", "kenlm"])
def test_a_text_with_a_sentence_start_is_refused_with_the_place(tmp_path, unk):
    path = write(tmp_path / "text", [[b"a"], [b"a", b"<s>", b"b"]])
    with pytest.raises(CorpusError, match=r"text: sentence 2 has the word <s>, .*take <s> and </s> out of the text"):
        estimate_model([path], unk=unk)


def test_a_text_without_words_is_refused(tmp_path):
    with pytest.raises(CorpusError, match="no words"):
        estimate_model([write(tmp_path / "text", [[], []])])


def test_warnings_are_said_with_the_order(tmp_path):
    told: list[str] = []
    estimate_model([write(tmp_path / "text", [[b"a"]])], order=2, say=told.append)
    used = "(counts of counts 2, 0, 0, 0): 0.5, 1 and 1.5 are used"
    name = "the discounts of modified Kneser-Ney are undefined"
    assert told == [f"Warning: order {n}: {name} {used}" for n in (1, 2)]


# ---- options


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"order": 0}, "`order` 0: from 1 to 9"),
        ({"order": 10}, "`order` 10: from 1 to 9"),
        ({"smoothing": "laplace"}, "`smoothing` laplace: one of modified-kneser-ney, "),
        ({"min_counts": ()}, "`min_count` "),
        ({"min_counts": (0,)}, "`min_count` 0: at most one number an order, from 1 on"),
        ({"min_counts": (1, 1, 1, 1)}, "`min_count` 1,1,1,1: at most one number an order, from 1 on"),
        ({"prune": -0.1}, "`prune` -0.1: a threshold from 0 to 1"),
        ({"prune": 1.0}, "`prune` 1.0: a threshold from 0 to 1"),
        ({"prune": float("nan")}, "`prune` nan: a threshold from 0 to 1"),
        ({"prune": 1e-8, "smoothing": "stupid-backoff"}, "`prune` with `smoothing` stupid-backoff: "),
        ({"unk": "skip"}, "`unk` skip: one of word, kenlm"),
    ],
)
def test_options_that_do_not_fit_are_refused_before_anything_is_read(options, part):
    with pytest.raises(ValueError, match=f"^{part}"):
        estimate_model(["there is no such file"], **options)


def test_options_that_fit():
    for order in range(1, 10):
        NgramConfig(order, "good-turing", (1,) * order, 0.5, "kenlm")


def test_the_memory_that_is_left_bounds_the_work_unless_it_is_said(text, monkeypatch):
    # nothing is said, and nothing is left: the n-grams go to files
    monkeypatch.setattr(run, "free_memory", lambda: 210 * MIB)
    told: list[str] = []
    model = estimate_model([text], order=3, say=told.append)
    assert told[0].startswith("n-grams go to files in ")
    monkeypatch.undo()
    assert bits(model) == bits(estimate_model([text], order=3))


# ---- Penn Treebank and Wikipedia

SRILM_ON_PTB = [
    # every cutoff at 1 but Good-Turing's, which are SRILM's own
    (3, "good-turing", 165.23),
    (5, "good-turing", 162.25),
    (3, "modified-kneser-ney", 148.28),
    (5, "modified-kneser-ney", 141.19),
    (3, "kneser-ney", 150.60),
    (5, "kneser-ney", 143.51),
]


@pytest.fixture(scope="module")
def ptb_test(shared_data):
    with encode([str(shared_data / "ptb" / "ptb.test.txt")], get_tokenizer()) as stream:
        yield stream


@pytest.mark.parametrize(("order", "smoothing", "perplexity"), SRILM_ON_PTB)
def test_srilms_perplexities_on_ptb(shared_data, ptb_test, order, smoothing, perplexity):
    model = estimate_model([str(shared_data / "ptb" / "ptb.train.txt")], order=order, smoothing=smoothing)
    tally = evaluate(model, ptb_test, oov="skip")
    assert tally.perplexity == pytest.approx(perplexity, abs=0.005)
    assert (tally.words, tally.sentences, tally.oov, tally.zeroprobs) == (78669, 3761, 0, 0)


@pytest.mark.slow
def test_kenlms_perplexities_on_wikipedia(shared_data):
    model = estimate_model([str(shared_data / "wiki" / "train.txt")], order=5, unk="kenlm")
    with encode([str(shared_data / "wiki" / "valid.txt")], get_tokenizer()) as stream:
        tally = evaluate(model, stream, oov="skip")
    assert tally.perplexity == pytest.approx(217.51, abs=0.005)
    assert tally.perplexity_including_oov == pytest.approx(254.13, abs=0.005)


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="no /proc here")
@pytest.mark.parametrize(
    ("text", "options", "bound"),
    [
        ("ptb/ptb.train.txt", "--order 5", 210),
        ("ptb/ptb.train.txt", "--order 5 --smoothing good-turing", 210),
        ("ptb/ptb.train.txt", "--order 9 --smoothing witten-bell", 230),
        ("wiki/train.txt", "--order 5", 400),
    ],
)
def test_the_bound_on_memory_is_kept(text, options, bound, shared_data, tmp_path):
    command = [sys.executable, "-m", "rnnlm", "ngram", str(shared_data / text), "-o", str(tmp_path / "m.lm")]
    process = subprocess.Popen([*command, *options.split(), "--memory", f"{bound}M", "--tmp", str(tmp_path)])
    peak = 0
    while process.poll() is None:
        # everything that is resident, the program and mapped pages of its files included
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())
        peak = int(found[1]) if found else peak
        time.sleep(0.01)
    assert process.returncode == 0
    assert 0 < peak <= 1.05 * bound * 1024


@pytest.mark.slow
def test_bounded_memory_on_ptb(shared_data, ptb_test, tmp_path):
    path = str(shared_data / "ptb" / "ptb.train.txt")
    whole = estimate_model([path], order=5, smoothing="kneser-ney", options=Options(interpolate=False))
    for threads in (1, 2):
        spilt = estimate_model(
            [path], order=5, smoothing="kneser-ney", options=Options(interpolate=False), memory=215 * MIB,
            threads=threads, tmp=str(tmp_path),
        )  # fmt: skip
        assert bits(spilt) == bits(whole)
