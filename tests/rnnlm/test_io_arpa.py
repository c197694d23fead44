"""ARPA files: read as a plain Python reader does, written as printf does, and every fault named with its line."""

import bz2
import gzip
import io as bytes_io
import lzma
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.compute.bytes_simd import store8
from corpora.compute.jit import exact_kernel
from corpora.errors import CorpusError, FormatError
from corpora.text import lines
from corpora.text.numbers import parse_number
from corpora.text.vocab import Vocab
from rnnlm import io
from rnnlm.io import arpa_writer
from rnnlm.io.arpa_format import LONGEST_NUMBER, SLACK, write_number
from rnnlm.ngram.query.model import BackoffLM
from rnnlm.ngram.trie import START, ZERO
from tests.reference.trie import arrays, build_trie, closed_ngrams, ngrams_of, read_arpa
from tests.small_models import small_model

GOLDEN = [f"kenlm/mkn{n}" for n in (3, 5)] + [
    f"srilm/{name}" for name in ("ad3", "add01", "add1", "gt3", "mkn4", "ukn3", "ukn3bo", "wb3")
]
TINY = rb"""\data\
ngram 1=5
ngram 2=4
ngram 3=2

\1-grams:
-99	<s>	-0.5
-1.25	</s>
-0.75	the	-0.25
-1	cat	0.5
-2	<unk>

\2-grams:
-0.5	<s> the	-0.125
-0.25	the cat	0.0625
-0.5	cat </s>
-1.5	cat cat

\3-grams:
-0.03125	<s> the cat
-0.0625	the cat </s>

\end\
"""


def load(tmp_path, content: bytes) -> BackoffLM:
    (tmp_path / "model").write_bytes(content)
    return io.load(tmp_path / "model")


def ngrams(lm: BackoffLM) -> list[dict]:
    return ngrams_of(lm.trie, list(lm.vocab.words))


def refusal(tmp_path, content: bytes) -> str:
    """The error of a file, without its name: ":line: reason"."""
    with pytest.raises(FormatError) as error:
        load(tmp_path, content)
    message = str(error.value)
    assert message.startswith(f"{tmp_path / 'model'}:")
    assert "\n" not in message
    return message.removeprefix(str(tmp_path / "model"))


def seven_digits(orders: list[dict]) -> list[dict]:
    return [{ngram: tuple(f"{value:.7g}" for value in values) for ngram, values in ngrams.items()} for ngrams in orders]


def random_model(seed: int, order: int, words: list[bytes], n_longest: int = 60, keep: float = 0.5) -> BackoffLM:
    orders = closed_ngrams(np.random.default_rng(seed), len(words), order, n_longest, keep)
    return BackoffLM(Vocab(words), build_trie(arrays(orders), len(words)), {})


def same(a: BackoffLM, b: BackoffLM) -> bool:
    return a.vocab == b.vocab and all(map(np.array_equal, a.trie.nodes, b.trie.nodes))


# --- reading


@pytest.mark.parametrize("name", GOLDEN)
def test_the_files_of_srilm_and_kenlm_are_read(name, golden):
    path = golden / f"{name}.arpa.gz"
    lm = io.load(path)
    wanted = read_arpa(gzip.decompress(path.read_bytes()))
    assert ngrams(lm) == wanted
    # the vocabulary in the file's order, </s> first, <s> none
    words = [word for (word,) in wanted[0] if word not in (b"<s>", b"</s>")]
    assert list(lm.vocab.words) == [b"</s>", *words]
    assert io.sniff(path) == "arpa"
    facts = io.peek(path)
    assert (facts["order"], facts["ngrams"]) == (len(wanted), list(map(len, wanted)))


def test_a_file_by_hand(tmp_path):
    lm = load(tmp_path, TINY)
    assert list(lm.vocab.words) == [b"</s>", b"the", b"cat", b"<unk>"]
    assert ngrams(lm) == read_arpa(TINY)
    assert ngrams(lm)[1][b"the", b"cat"] == (-0.25, 0.0625)
    # "<s> the cat </s>": three n-grams that the file lists, the last one backed off to
    scored, _ = lm.score([b"the", b"cat", b"</s>"], lm.start())
    assert scored.log10_prob.tolist() == [-0.5, -0.03125, -0.0625]


DIALECTS = {
    "CRLF": TINY.replace(b"\n", b"\r\n"),
    "spaces": TINY.replace(b"\t", b"  ").replace(b"=", b" =   "),
    "SRILM's empty first line": b"\n" + TINY,
    "comments": b"\n# made by hand\n   \n#\n" + TINY,
    "empty lines everywhere": TINY.replace(b"\n", b"\n\n \t\n"),
    "no empty lines": TINY.replace(b"\n\n", b"\n"),
    "spaces at the ends": TINY.replace(b"\n", b" \t\n").replace(b"\n-", b"\n -"),
    "a byte order mark": b"\xef\xbb\xbf" + TINY,
    "no last newline": TINY[:-1],
    "a 0 in the highest order": TINY.replace(b"cat </s>\n\n", b"cat </s>\t0\n\n"),
    "<UNK>": TINY.replace(b"<unk>", b"<UNK>"),
    "exponents": TINY.replace(b"-0.25\tthe cat", b"-2.5E-01\tthe cat").replace(b"\t0.5\n", b"\t+5e-1\n"),
    "gzip": gzip.compress(TINY[:100]) + gzip.compress(TINY[100:]),
    "bzip2": bz2.compress(TINY),
    "xz": lzma.compress(TINY),
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_dialects_mean_the_same(dialect, tmp_path):
    assert same(load(tmp_path, DIALECTS[dialect]), load(tmp_path, TINY))


def test_a_weight_of_0_is_written_and_none_is_left_out(tmp_path):
    # KenLM writes the 0 of what no n-gram begins with, SRILM leaves it out
    with_0 = TINY.replace(b"cat </s>\n-1.5", b"cat </s>\t0\n-1.5").replace(b"\t-0.125\n", b"\t-0\n")
    lm = load(tmp_path, with_0)
    assert ngrams(lm) == read_arpa(with_0)
    io.save(lm, tmp_path / "again", "arpa")
    lines = set((tmp_path / "again").read_bytes().splitlines())
    assert {b"-0.5\tcat </s>\t0", b"-0.5\t<s> the\t0", b"-1.5\tcat cat", b"-1.25\t</s>"} <= lines
    io.save(lm, tmp_path / "native", "ngram")
    assert same(io.load(tmp_path / "native"), lm)


def test_minus_infinity_is_probability_zero(tmp_path):
    for infinity in (b"-inf", b"-Infinity", b"-INF", b"-1e99"):
        lm = load(tmp_path, TINY.replace(b"-2\t<unk>", infinity + b"\t<unk>"))
        assert ngrams(lm)[0][b"<unk>",] == (ZERO, 0.0)
    assert ngrams(load(tmp_path, TINY.replace(b"-2\t<unk>", b"-150\t<unk>")))[0][b"<unk>",] == (-150, 0.0)


def test_words_that_a_file_lacks(tmp_path):
    without_unk = load(tmp_path, TINY.replace(b"-2\t<unk>\n", b"").replace(b"1=5", b"1=4"))
    assert without_unk.vocab.unk_id == -1
    bigram = rb"""\data\
ngram 1=2
ngram 2=1
\1-grams:
-0.5 a -1
-0.5 b
\2-grams:
-0.5 a b
\end\
"""
    lm = load(tmp_path, bigram)
    assert list(lm.vocab.words) == [b"</s>", b"a", b"b"]
    assert ngrams(lm)[0][b"</s>",] == (ZERO, 0.0)
    assert lm.trie.log10_probs(1)[START] > 0  # no <s>: it is not counted and not written
    io.save(lm, tmp_path / "again", "arpa")
    assert b"<s>" not in (tmp_path / "again").read_bytes()
    assert b"\n-99\t</s>\n" in (tmp_path / "again").read_bytes()
    assert same(io.load(tmp_path / "again"), lm)


@pytest.mark.parametrize("order", [1, 2, 9])
def test_every_order(order, tmp_path):
    lm = random_model(order, order, [b"</s>", b"<unk>", "日本".encode(), b"\xff\x0b", b"x" * 100])
    io.save(lm, tmp_path / "model", "arpa")
    assert io.load(tmp_path / "model").order == order
    assert ngrams(io.load(tmp_path / "model")) == read_arpa((tmp_path / "model").read_bytes())


@pytest.mark.parametrize("size", [1, 7, 64, 300])
def test_pieces_of_any_size(size, tmp_path, monkeypatch):
    wanted = load(tmp_path, TINY)
    monkeypatch.setattr(lines, "PIECE", size)
    assert same(load(tmp_path, TINY), wanted)
    assert same(load(tmp_path, DIALECTS["empty lines everywhere"]), wanted)
    damaged = TINY.replace(b"cat cat", b"cat dog")
    assert refusal(tmp_path, damaged) == ':17: the word "dog" is not among the 1-grams'


def test_room_is_made_as_a_compressed_file_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr("rnnlm.io.arpa._MOST_AT_ONCE", 1)
    assert same(load(tmp_path, gzip.compress(TINY)), load(tmp_path, TINY))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_and_standard_input_are_read(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_bytes(TINY))
    writer.start()
    wanted = load(tmp_path, TINY)
    assert same(io.load(tmp_path / "pipe"), wanted)
    writer.join()
    monkeypatch.setattr("sys.stdin", bytes_io.TextIOWrapper(bytes_io.BytesIO(TINY)))
    assert same(io.load("-"), wanted)


def number(text: bytes) -> tuple[float, bool]:
    padded = np.frombuffer(text + bytes(16), np.uint8)
    return parse_number(padded.ctypes.data, len(text))


@settings(max_examples=300, deadline=None)
@given(st.floats(allow_nan=False, width=32) | st.floats(-100, 0), st.sampled_from(["%.7g", "%.9g", "%f", "%.3e", "%r"]))
def test_numbers_are_read_as_python_reads_them(value, form):
    text = (form % value).encode()
    found, good = number(text)
    assert good
    # double rounding, where float64 is not exact, can move a float32 by one unit in its last place
    assert found == pytest.approx(float(text), rel=1e-15)
    with np.errstate(over="ignore"):
        assert abs(np.float32(found).view(np.int32) - np.int64(np.float32(float(text)).view(np.int32))) <= 1


@pytest.mark.parametrize(
    "text", ["", "-", "+", ".", "e5", "-.e1", "1e", "1e+", "1.2.3", "1x", "--1", "0x10", "in", "nano"]
)
def test_what_is_no_number(text):
    assert not number(text.encode())[1]


# --- what is wrong


def changed(old: bytes, new: bytes) -> bytes:
    assert TINY.count(old) >= 1, old
    return TINY.replace(old, new, 1)


WRONG = {
    # the head
    b"": ": empty, where a model file is expected",
    b"\\data\\\n": ':1: expected "ngram 1=COUNT", found the end of the file: cut short?',
    b"\\data\\\n\n\\1-grams:\n\\end\\\n": ':3: expected "ngram 1=COUNT", found "\\1-grams:"',
    b"\\data\\\nngram 1=0\n\n\\1-grams:\n\n\\end\\\n": ":4: no words: the number of 1-grams is 0",
    b"\\data\\\nngram 0=3\n": ":2: n-grams of order 0; orders 1 to 9 can be read",
    b"\\data\\\n" + b"".join(b"ngram %d=0\n" % n for n in range(1, 11)): ":11: n-grams of order 10; orders 1 to 9",
    changed(b"ngram 2=4\n", b""): ':3: expected the count of order 2, found "ngram 3=2"',
    changed(b"ngram 2=4", b"ngram 1=4"): ':3: expected the count of order 2, found "ngram 1=4"',
    changed(b"ngram 2=4", b"ngram 2=four"): ':3: expected "ngram 2=COUNT" or "\\1-grams:", found "ngram 2=four"',
    changed(b"ngram 2=4", b"ngram 2=-4"): ':3: expected "ngram 2=COUNT"',
    changed(b"ngram 2=4", b"ngram 2=4000000000000"): ":3: cut short, or the count is wrong: 4000000000000 n-grams",
    b"an n-gram model\n" + TINY: ':1: an ARPA file with text before "\\data\\"',
    b"iARPA\n\n" + TINY: ": a file of IRSTLM with its own extensions; compile-lm --text=yes",
    # counts and sections
    changed(b"ngram 2=4", b"ngram 2=5"): ':19: the section "\\2-grams:" has 4 n-grams, where the head says 5',
    changed(b"ngram 2=4", b"ngram 2=3"): ":17: more 2-grams than the 3 that the head says",
    changed(b"ngram 1=5", b"ngram 1=4"): ":11: more 1-grams than the 4 that the head says",
    changed(b"\\2-grams:", b"\\3-grams:"): ':13: expected "\\2-grams:", found "\\3-grams:"',
    changed(b"\\1-grams:", b"\\2-grams:"): ':6: expected "\\1-grams:", found "\\2-grams:"',
    changed(b"\\end\\", b"\\4-grams:\n\\end\\"): ':23: expected "\\end\\", found "\\4-grams:"',
    changed(b"ngram 3=2\n", b""): ":13: a back-off weight, -0.125, in the highest order",
    changed(b"\\2-grams:", b"2-grams:"): ':13: more 1-grams than the 5 that the head says: "2-grams:"',
    changed(b"\n\\end\\\n", b""): ":21: the file ends after 2 of the 2 3-grams: cut short?",
    changed(b"\\end\\", b"\\fin\\"): ':23: expected "\\end\\", found "\\fin\\"',
    TINY + b"\nmore\n": ':25: expected nothing after "\\end\\", found "more"',
    # lines
    changed(b"-0.25\tthe cat", b"0.25\tthe cat"): ":15: the log10 probability is 0.25, above 0",
    changed(b"-0.25\tthe cat", b"nan\tthe cat"): ":15: the log10 probability is not a number (NaN)",
    changed(b"-0.25\tthe cat", b"inf\tthe cat"): ":15: the log10 probability is inf, above 0",
    changed(b"-0.25\tthe cat", b"x\tthe cat"): ':15: expected log10 probability and words, found "x" where',
    changed(b"-0.25\tthe cat\t0.0625", b"-0.25\tthe"): ":15: too few fields for a 2-gram: 2",
    changed(b"-0.25\tthe cat\t0.0625", b"-0.25\tthe cat 0.1 0.2"): ":15: too many fields for a 2-gram: 5",
    changed(b"cat\t0.0625", b"cat\tx"): ':15: expected a log10 back-off weight after the 2-gram, found "x"',
    changed(b"cat\t0.0625", b"cat\tinf"): ":15: the log10 back-off weight is inf, no finite number of at most 38",
    changed(b"cat\t0.0625", b"cat\t-1e40"): ":15: the log10 back-off weight is -1e40, no finite number of at most 38",
    changed(b"cat\t0.0625", b"cat\tNaN"): ":15: the log10 back-off weight is NaN, no finite number of at most 38",
    changed(b"the cat\n-0.0625", b"the cat\t-0.5\n-0.0625"): ":20: a back-off weight, -0.5, in the highest order",
    changed(b"cat cat", b"cat dog"): ':17: the word "dog" is not among the 1-grams',
    changed(b"cat cat", b"dog cat"): ':17: the word "dog" is not among the 1-grams',
    changed(b"-2\t<unk>", b"-2\tthe"): ':11: the word "the" is there twice',
    changed(b"-2\t<unk>", b"-2\t</s>"): ':11: the word "</s>" is there twice',
    changed(b"-2\t<unk>", b"-2\t<s>"): ':11: the word "<s>" is there twice',
    changed(b"cat cat", b"the cat"): ':17: "the cat": it is there twice',
    changed(b"the cat </s>", b"<s> the cat"): ':21: "<s> the cat": it is there twice',
    changed(b"the cat </s>", b"cat the cat"): ':21: "cat the cat": its context is not among the 2-grams',
    changed(b"cat\t0.0625", b"cat"): ':21: "the cat </s>": its context has no back-off weight; write 0 there if',
    changed(b"cat\t0.5", b"cat"): ':16: "cat </s>": its context has no back-off weight',
    changed(b"<s>\t-0.5", b"<s>"): ':14: "<s> the": its context has no back-off weight',
    changed(b"-99\t<s>", b"-99\ta"): ':14: the word "<s>" is not among the 1-grams',
    changed(b"-1.25\t</s>", b"-1.25\ta"): ':16: the word "</s>" is not among the 1-grams',
}  # fmt: skip


@pytest.mark.parametrize("content", WRONG, ids=lambda content: WRONG[content].replace("\\", "")[:50])
def test_a_fault_is_named_with_its_line(content, tmp_path):
    finding = WRONG[content]
    message = refusal(tmp_path, content)
    assert message.startswith(finding), message
    # the same in a compressed file, whose size is not known beforehand, and with other line ends
    if content and "cut short, or" not in finding:
        assert refusal(tmp_path, gzip.compress(content)).startswith(finding)
        assert refusal(tmp_path, content.replace(b"\n", b"\r\n")).startswith(finding)


def test_empty_lines_count_as_lines(tmp_path):
    spaced = changed(b"\n-0.25\tthe cat", b"\n\n \n-0.25\tthe cat")
    assert refusal(tmp_path, spaced.replace(b"cat cat", b"the cat")) == ':19: "the cat": it is there twice'
    assert refusal(tmp_path, spaced.replace(b"cat cat", b"cat dog")).startswith(":19: ")


def test_cut_short_anywhere(tmp_path):
    for size in range(1, len(TINY) - 2):
        message = refusal(tmp_path, TINY[:size])
        assert "cut short" in message or size < 6, (size, message)


def test_any_changed_byte_is_read_or_refused_in_one_line(tmp_path):
    rng = np.random.default_rng(7)
    for _ in range(400):
        content = bytearray(TINY)
        for place in rng.integers(0, len(TINY), rng.integers(1, 4)):
            content[place] = rng.integers(256)
        message = ""
        try:
            load(tmp_path, bytes(content))
        except CorpusError as error:
            message = str(error)
        assert "\n" not in message


def test_a_binary_file_of_kenlm_is_named(tmp_path):
    assert "a binary file of KenLM" in refusal(tmp_path, b"mmap lm http://kheafield.com/code format version 5\n\0")


# --- writing


@exact_kernel
def write_numbers(values, out):
    """values (n,) uint32, the bits of float32: one a line to out, uint8; the number of bytes."""
    base = np.uint64(out.ctypes.data)
    at = base
    for i in range(np.uint64(values.size)):
        at = write_number(np.uint64(values[i]), at)
        store8(at, np.uint64(10))
        at += np.uint64(1)
    return np.int64(at - base)


def printed(values: np.ndarray) -> list[bytes]:
    out = np.empty(values.size * (LONGEST_NUMBER + 1) + SLACK, np.uint8)
    return out[: write_numbers(values.view(np.uint32), out)].tobytes().splitlines()


@pytest.mark.parametrize("kind", ["any bits", "probabilities", "all sizes", "halves", "edges"])
def test_numbers_are_printed_as_printf_does(kind):
    rng = np.random.default_rng(11)
    values = {
        "any bits": rng.integers(0, 2**32, 50_000, dtype=np.uint32).view(np.float32),
        "probabilities": (-8 * rng.random(50_000)).astype(np.float32),
        "all sizes": (10 ** rng.uniform(-45, 38, 50_000)).astype(np.float32),
        "halves": (rng.integers(10**6, 10**7, 50_000) + 0.5).astype(np.float32),
        "edges": np.array(
            [0, -0.0, 1, -1, 10, -99, 9999999, 9999999.5, 1e7, 99999995, 1e-4, 9.9999995e-5, 9.9999994e-5, 1e-5, 1e-6,
             9.9999995e-7, np.inf, -np.inf, 1e-45, 1.1754944e-38, 3.4028235e38, 0.5, 0.1, 123456.75, 1234567.5],
            np.float32,
        ),
    }[kind]  # fmt: skip
    values = values[~np.isnan(values)]
    assert printed(values) == [b"%.7g" % value for value in values.tolist()]


@pytest.mark.parametrize("name", GOLDEN)
def test_a_file_that_was_read_is_written_with_the_same_lines(name, golden, tmp_path):
    content = gzip.decompress((golden / f"{name}.arpa.gz").read_bytes())
    io.save(io.load(golden / f"{name}.arpa.gz"), tmp_path / "model", "arpa")
    written = (tmp_path / "model").read_bytes()
    if name.startswith("srilm"):
        assert set(written.splitlines()) == set(content.splitlines())
    else:  # KenLM prints eight digits, and every back-off weight
        assert seven_digits(read_arpa(written)) == seven_digits(read_arpa(content))


@pytest.mark.parametrize("name", ["srilm/mkn4", "srilm/gt3"])
def test_a_model_comes_back_the_same(name, golden, tmp_path):
    lm = io.load(golden / f"{name}.arpa.gz")
    for path in (tmp_path / "model", tmp_path / "model.gz"):
        io.save(lm, path, "arpa")
        assert same(io.load(path), lm)
    assert gzip.decompress((tmp_path / "model.gz").read_bytes()) == (tmp_path / "model").read_bytes()


@pytest.mark.parametrize("seed", range(6))
def test_seven_digits_come_back(seed, tmp_path):
    words = [b"</s>", b"<unk>", b"a", b"of", b"\xc3\xa9t\xc3\xa9", b"w" * 17, b"0", b"-1.5"]
    lm = random_model(seed, 2 + seed, words)
    io.save(lm, tmp_path / "model", "arpa")
    back = io.load(tmp_path / "model")
    assert back.vocab == lm.vocab
    for wanted, found in zip(ngrams(lm), ngrams(back), strict=True):
        assert found.keys() == wanted.keys()
        np.testing.assert_allclose(list(found.values()), list(wanted.values()), rtol=6e-7)


def test_the_bytes_do_not_depend_on_threads_and_blocks(tmp_path, monkeypatch):
    lm = random_model(3, 4, [b"</s>", *(b"w%d" % i for i in range(50)), b"long" * 40], n_longest=2000)
    arpa_writer.write(lm, tmp_path / "one", threads=1)
    monkeypatch.setattr(arpa_writer, "_BLOCK", 37)
    monkeypatch.setattr(arpa_writer, "_BUFFER", 1)
    arpa_writer.write(lm, tmp_path / "many", threads=3)
    written = (tmp_path / "one").read_bytes()
    assert (tmp_path / "many").read_bytes() == written
    assert list(map(len, read_arpa(written))) == [lm.trie.n_ngrams(n) for n in range(1, 5)]


def test_the_order_of_lines(tmp_path):
    io.save(load(tmp_path, TINY), tmp_path / "model", "arpa")
    assert (
        (tmp_path / "model")
        .read_bytes()
        .startswith(
            b"\\data\\\nngram 1=5\nngram 2=4\nngram 3=2\n\n"
            b"\\1-grams:\n-1.25\t</s>\n-99\t<s>\t-0.5\n-0.75\tthe\t-0.25\n-1\tcat\t0.5\n-2\t<unk>\n\n\\2-grams:\n"
        )
    )
    assert (tmp_path / "model").read_bytes().endswith(b"\n\n\\end\\\n")


def test_to_standard_output(tmp_path, capfdbinary):
    lm = load(tmp_path, TINY)
    io.save(lm, tmp_path / "model", "arpa")
    io.save(lm, "-", "arpa")
    assert capfdbinary.readouterr().out == (tmp_path / "model").read_bytes()


def test_a_model_of_another_kind_is_refused(tmp_path):
    with pytest.raises(CorpusError, match="model: a recurrent model cannot be written as arpa, which is for an n-gram"):
        io.save(small_model(), tmp_path / "model", "arpa")
    ngram = random_model(1, 2, [b"</s>", b"a"])
    for form, shown in (("mikolov-text", "0.4b-text"), ("mikolov-binary", "0.4b-binary")):
        with pytest.raises(
            CorpusError, match=f"an n-gram model cannot be written as {shown}, which is for a recurrent"
        ):
            io.save(ngram, tmp_path / "model", form)
    assert not list(Path(tmp_path).iterdir())


def test_arrays_that_contradict_each_other_are_not_written(tmp_path):
    for column, value in ((1, 2**31), (0, 99)):
        lm = random_model(2, 3, [b"</s>", b"a", b"b"])
        lm.trie.nodes[1][1, column] = value
        with pytest.raises(CorpusError, match="contradict"):
            io.save(lm, tmp_path / "model", "arpa")
