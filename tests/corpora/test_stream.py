"""Encoding against a plain Python twin, for any text, piece size and number of threads."""

import gzip
import io
import os
import subprocess
import sys
import threading
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import corpora.text.stream
from corpora.errors import CorpusError
from corpora.text.spool import Spool
from corpora.text.stream import encode
from corpora.text.tokenizers import get_tokenizer
from corpora.text.vocab import EOS, UNK, Vocab

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
WHITESPACE = get_tokenizer()

# words of every length around the limits of keys (8, 15, 16 bytes), some of them alike at their ends
pieces = st.sampled_from(
    [
        b" ",
        b"\n",
        b"\t",
        b"\r",
        b"\r\n",
        b"a",
        b"b",
        b"\x00",
        b"\xff",
        b"\xe2\x96\x81",
        b"\x0b",
        b"\xa0",
        EOS,
        UNK,
        b"<s>",
    ]
    + [b"x" * n for n in (7, 8, 9, 14, 15, 16, 17, 31, 32, 100)]
    + [b"y" + b"x" * 15, b"x" * 16 + b"\x00", b" and ", b"the\n"]
)
texts = st.lists(pieces, max_size=60).map(b"".join)
sizes = st.sampled_from([1, 2, 3, 7, 16, 64, 1000])
many = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def tokens_of(text: bytes) -> list[bytes]:
    """What the C tools' reader makes of a text; a last line without newline is a line here."""
    lines = text.replace(b"\r", b"").split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    return [word for line in lines for word in [*line.replace(b"\t", b" ").split(b" "), EOS] if word]


def write(directory, *texts: bytes) -> list[str]:
    paths = []
    for number, text in enumerate(texts):
        path = directory / f"text{number}"
        path.write_bytes(text)
        paths.append(str(path))
    return paths


def words_of(stream) -> list[bytes]:
    words = list(stream.vocab.words)
    return [words[i] if i >= 0 else None for i in stream.ids]


@many
@given(st.lists(texts, min_size=1, max_size=3), sizes, st.integers(1, 4))
def test_ids_and_vocabulary_are_those_of_the_twin(tmp_path, contents, chunk_size, threads):
    expected = [token for text in contents for token in tokens_of(text)]
    paths = write(tmp_path, *contents)
    if not set(expected) - {EOS}:
        with pytest.raises(CorpusError, match="no words"):
            encode(paths, WHITESPACE, chunk_size=chunk_size, threads=threads)
        return
    counts = Counter(expected)
    vocab = Vocab.from_counts(list(counts), list(counts.values()))
    with encode(paths, WHITESPACE, chunk_size=chunk_size, threads=threads) as stream:
        assert list(stream.vocab.words) == list(vocab.words)
        assert stream.vocab.counts.tolist() == vocab.counts.tolist()
        assert stream.ids.dtype == np.int32
        assert stream.ids.tolist() == vocab.ids(expected).tolist()
        assert stream.n_tokens == len(expected)
        assert stream.n_sentences == counts[EOS]
        assert stream.sentence_ends().tolist() == [i for i, token in enumerate(expected) if token == EOS]
        assert stream.n_oov == 0
        assert stream.text_bytes == sum(map(len, contents))


@many
@given(
    texts,
    st.integers(1, 4),
    st.sampled_from([None, 3, 5]),
    st.sampled_from(["first", "rnnlm"]),
    sizes,
    st.integers(1, 4),
)
def test_a_limited_vocabulary_replaces_words_in_the_ids(
    tmp_path, text, min_count, max_vocab, order, chunk_size, threads
):
    expected = tokens_of(text)
    counts = Counter(expected)
    limits = {"min_count": min_count, "order": order}
    arguments = {**limits, "max_vocab": max_vocab, "chunk_size": chunk_size, "threads": threads}
    try:
        vocab = Vocab.from_counts(list(counts), list(counts.values()), max_size=max_vocab, **limits)
    except CorpusError as error:
        with pytest.raises(CorpusError, match=str(error)):
            encode(write(tmp_path, text), WHITESPACE, **arguments)
        return
    if not set(expected) - {EOS}:
        return
    with encode(write(tmp_path, text), WHITESPACE, **arguments) as stream:
        assert stream.vocab == vocab
        assert words_of(stream) == [word if word in vocab else UNK for word in expected]
        assert stream.n_oov == sum(word not in vocab for word in expected)
        assert stream.counts().tolist() == stream.vocab.counts.tolist() == vocab.counts.tolist()


@many
@given(
    texts,
    st.lists(pieces.filter(lambda p: not set(p) & set(b" \t\r\n")), unique=True),
    st.booleans(),
    sizes,
    st.integers(1, 4),
)
def test_a_given_vocabulary_is_looked_up_in(tmp_path, text, words, keep_oov, chunk_size, threads):
    vocab = Vocab([EOS, *(word for word in words if word != EOS)])
    expected = tokens_of(text)
    if not set(expected) - {EOS}:
        return
    paths = write(tmp_path, text)
    with encode(paths, WHITESPACE, vocab, keep_oov=keep_oov, chunk_size=chunk_size, threads=threads) as stream:
        assert stream.vocab is vocab
        missing = -1 if keep_oov else vocab.index(UNK)
        assert stream.ids.tolist() == [vocab.index(word) if word in vocab else missing for word in expected]
        assert stream.n_oov == sum(word not in vocab for word in expected)
        assert stream.n_sentences == expected.count(EOS)


@many
@given(texts, st.integers(1, 4), st.sampled_from([None, 2, 5]), sizes, st.integers(1, 4))
def test_rare_words_can_be_dropped_and_the_sentence_ends_stay(
    tmp_path, text, min_count, max_vocab, chunk_size, threads
):
    expected = tokens_of(text)
    words = Counter(token for token in expected if token != EOS)
    if not words:
        return
    # by count, ties by first appearance; a literal <unk> is a word like others
    kept = [word for word, count in words.most_common() if count >= min_count]
    kept = kept[: None if max_vocab is None else max_vocab - 1]
    arguments = {"min_count": min_count, "max_vocab": max_vocab, "rare": "drop"}
    if not kept:
        with pytest.raises(CorpusError, match="no word is left"):
            encode(write(tmp_path, text), WHITESPACE, **arguments)
        return
    with encode(write(tmp_path, text), WHITESPACE, **arguments, chunk_size=chunk_size, threads=threads) as stream:
        assert list(stream.vocab.words) == [EOS, *kept]
        assert stream.vocab.counts.tolist() == [expected.count(EOS), *(words[word] for word in kept)]
        assert words_of(stream) == [token if token in stream.vocab else None for token in expected]
        assert stream.n_oov == sum(words.values()) - sum(words[word] for word in kept)
        assert stream.n_sentences == expected.count(EOS)
        assert stream.counts().tolist() == stream.vocab.counts.tolist()


def test_a_given_vocabulary_with_unk_drops_too(tmp_path):
    vocab = Vocab([EOS, b"a", UNK])
    with encode(write(tmp_path, b"a <unk> b\n"), WHITESPACE, vocab, rare="drop") as stream:
        assert stream.ids.tolist() == [1, 2, -1, 0]
        assert stream.n_oov == 1


def test_the_vocabulary_is_that_of_word2vec(golden):
    # sorted there by count alone; the C library that it ran on left ties in order of first appearance, too
    with encode([str(golden / "toy" / "train.txt")], WHITESPACE, min_count=5, rare="drop") as stream:
        written = io.BytesIO()
        stream.vocab.write(written)
        assert written.getvalue() == (golden / "word2vec" / "vocab.txt").read_bytes()


@pytest.mark.compiled
def test_growing_tables_and_long_words_keep_every_word(tmp_path):
    # 60,000 types from 1 to 40 bytes: records, slots and arena grow several times, in every thread
    numbers = np.random.default_rng(1).integers(0, 60_000, 300_000).tolist()
    text = b" ".join(str(n).encode() * (1 + n % 8) for n in numbers)
    expected = tokens_of(text)
    counts = Counter(expected)
    paths = write(tmp_path, text)
    streams = [
        encode(paths, WHITESPACE, threads=threads, chunk_size=size) for threads, size in ((1, 1 << 19), (3, 50_000))
    ]
    vocab = Vocab.from_counts(list(counts), list(counts.values()))
    for stream in streams:
        assert stream.vocab == vocab
        assert stream.ids.tolist() == vocab.ids(expected).tolist()
    again = encode(paths, WHITESPACE, vocab, threads=2, chunk_size=50_000)
    assert again.ids.tolist() == streams[0].ids.tolist()


@pytest.mark.compiled
def test_a_token_of_100_kb_and_a_line_of_a_million_words(tmp_path):
    token = os.urandom(75_000).translate(bytes(range(33, 256)) + bytes(range(128, 161)))[:50_000] * 2
    text = b"a " * 1_000_000 + token + b" " + token[:-1] + b"b " + token
    for threads in (1, 2):
        with encode(write(tmp_path, text), WHITESPACE, threads=threads, chunk_size=1 << 16) as stream:
            assert list(stream.vocab.words) == [EOS, b"a", token, token[:-1] + b"b"]
            assert stream.vocab.counts.tolist() == [1, 1_000_000, 2, 1]
            assert stream.ids[-4:].tolist() == [2, 3, 2, 0]


def test_a_carriage_return_is_dropped_anywhere_and_is_no_word_alone(tmp_path):
    with encode(write(tmp_path, b"a\rb\r\n\r \r\r\nab\r"), WHITESPACE) as stream:
        assert words_of(stream) == [b"ab", EOS, EOS, b"ab", EOS]


def test_only_space_tab_and_newline_separate(tmp_path):
    with encode(write(tmp_path, b"a\x0bb a\x00 a\xc2\xa0b\x1c\ta\x00"), WHITESPACE) as stream:
        assert words_of(stream) == [b"a\x0bb", b"a\x00", b"a\xc2\xa0b\x1c", b"a\x00", EOS]


def test_every_file_ends_its_last_line(tmp_path):
    with encode(write(tmp_path, b"a", b"b \n", b"", b"c "), WHITESPACE) as stream:
        assert words_of(stream) == [b"a", EOS, b"b", EOS, b"c", EOS]


@pytest.mark.parametrize("name", ["word", "char"])
@pytest.mark.parametrize("threads", [1, 3])
def test_other_tokenizers_see_whole_lines(tmp_path, name, threads):
    tokenizer = get_tokenizer(name, lower=True)
    text = "Don't stop, 日本 – don't\r\n\n".encode() * 20 + b"caf\xe9 Un \xe2\x96"
    expected = tokens_of(tokenizer.split(text.replace(b"\r", b"")))
    for chunk_size in (5, 64, 1 << 19):
        with encode(write(tmp_path, text), tokenizer, threads=threads, chunk_size=chunk_size) as stream:
            assert words_of(stream) == expected


def test_standard_input_and_compressed_files_are_the_same_text(tmp_path, monkeypatch):
    text = b"one two\ntwo three\n" * 100
    (tmp_path / "t.gz").write_bytes(gzip.compress(text))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    with encode(["-"], WHITESPACE) as piped, encode([str(tmp_path / "t.gz")], WHITESPACE) as packed:
        assert words_of(piped) == words_of(packed) == tokens_of(text)


@pytest.mark.parametrize("text", [b"", b"\n\n", b" \t\r\n", b"</s>\n"])
def test_a_text_without_words_is_refused_by_name(tmp_path, text):
    (path,) = write(tmp_path, text)
    with pytest.raises(CorpusError, match="no words") as error:
        encode([path], WHITESPACE)
    assert str(error.value).startswith(path)


def test_no_text_at_all_is_refused():
    with pytest.raises(CorpusError, match="no text"):
        encode([], WHITESPACE)


@pytest.fixture
def small_memory(monkeypatch):
    monkeypatch.setattr(corpora.text.stream, "Spool", partial(Spool, memory_limit=40))


@pytest.mark.parametrize("threads", [1, 2])
def test_many_ids_are_mapped_from_a_file_that_nobody_sees(tmp_path, small_memory, threads):
    paths = write(tmp_path, b"a b b\n" * 1000)
    tmp = tmp_path / "spool"
    tmp.mkdir()
    with encode(paths, WHITESPACE, tmp=str(tmp), threads=threads, chunk_size=100) as stream:
        assert isinstance(stream.ids, np.memmap)
        assert stream.ids.tolist() == [2, 1, 1, 0] * 1000
        if os.name == "posix":
            assert list(tmp.iterdir()) == []
    assert list(tmp.iterdir()) == []


@pytest.mark.parametrize("threads", [1, 2])
def test_ctrl_c_leaves_no_file_and_no_thread(tmp_path, small_memory, threads):
    seen = []

    def interrupt(n):
        seen.append(n)
        if sum(seen) > 2000:
            raise KeyboardInterrupt

    paths = write(tmp_path, b"a b b\n" * 1000)
    tmp = tmp_path / "spool"
    tmp.mkdir()
    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        encode(paths, WHITESPACE, tmp=str(tmp), threads=threads, chunk_size=100, progress=interrupt)
    assert list(tmp.iterdir()) == []
    assert threading.active_count() == before


def test_a_spool_directory_that_cannot_be_used_is_named(tmp_path, small_memory):
    paths = write(tmp_path, b"a b b\n" * 1000)
    with pytest.raises(CorpusError, match="`tmp` names another directory") as error:
        encode(paths, WHITESPACE, tmp=str(tmp_path / "missing"))
    assert str(error.value).startswith(str(tmp_path / "missing"))


def test_a_full_disk_is_one_line(tmp_path, small_memory, monkeypatch):
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    with open("/dev/full", "r+b", buffering=0) as full:
        monkeypatch.setattr("tempfile.TemporaryFile", lambda dir: full)
        with pytest.raises(CorpusError, match="No space left"):
            encode(write(tmp_path, b"a b b\n" * 1000), WHITESPACE, tmp=str(tmp_path))


def test_an_error_in_a_thread_comes_out(tmp_path):
    class Broken(type(WHITESPACE)):
        is_identity = False

        def split(self, text):
            raise CorpusError("broken")

    with pytest.raises(CorpusError, match="broken"):
        encode(write(tmp_path, b"a\n" * 1000), Broken(), threads=2, chunk_size=10)


def test_progress_adds_up_to_the_text(tmp_path):
    seen = []
    text = b"a\r\n" * 1000
    encode(write(tmp_path, text), WHITESPACE, progress=seen.append, chunk_size=100).close()
    assert sum(seen) == len(text)


def need(path: Path) -> str:
    if not path.exists():
        pytest.skip(f"{path} is not there")
    return str(path)


@pytest.mark.compiled
def test_ptb_has_its_published_size():
    with encode([need(DATA / "ptb" / "ptb.train.txt")], WHITESPACE) as train:
        # Mikolov et al. (2010): 10,000 words; with one </s> a line 929,589 tokens
        assert (train.n_tokens, len(train.vocab), train.n_sentences) == (929_589, 10_000, 42_068)
        with encode([need(DATA / "ptb" / "ptb.valid.txt")], WHITESPACE, train.vocab) as valid:
            assert (valid.n_tokens, valid.n_oov) == (73_760, 0)


@pytest.mark.slow
def test_wikipedia_is_the_same_on_any_number_of_threads():
    path = need(DATA / "wiki" / "train.txt")
    one, three = (encode([path], WHITESPACE, threads=threads) for threads in (1, 3))
    assert len(one.vocab) == 309_492 + 1  # and </s>
    assert one.vocab == three.vocab
    assert np.array_equal(one.ids, three.ids)
    counts = Counter(Path(path).read_bytes().split())
    assert dict(zip(one.vocab.words[1:], one.vocab.counts[1:].tolist(), strict=True)) == dict(counts)


@pytest.mark.slow
def test_kernels_stay_within_their_arrays(tmp_path):
    # the same claims with every index checked, compiled anew
    environment = {**os.environ, "NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path)}
    claims = "twin or limited or given or dropped or growing or token_of_100"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", __file__, "-k", claims],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
