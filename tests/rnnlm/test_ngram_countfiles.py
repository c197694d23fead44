"""Count files: against counting in plain Python, merged in parts, read into models, and what is wrong with them."""

import bz2
import gzip
import io
import sys
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.errors import CorpusError, FormatError
from corpora.text.vocab import WordList
from rnnlm.ngram.counting import merge as countmerge
from rnnlm.ngram.counting.counts import count_rows
from rnnlm.ngram.counting.files import read_counted, write_counts
from rnnlm.ngram.counting.merge import merge_counts
from rnnlm.ngram.counting.vocabulary import by_bytes, by_count, inverse, reverse
from rnnlm.ngram.counting.word_sort import bytewise_order
from rnnlm.ngram.estimation.smoothing import METHODS
from rnnlm.ngram.run import estimate_model
from rnnlm.ngram.trie import FIRST_WORD, START, internal_ids

# words of all lengths; bytes below and above those of <s> and </s>, beginnings of one another
WORDS = [*b"a b ab < </ ! z <unk> \x01 a\x01b \xff\x00".split(b" "), b"long" * 9, b"long" * 8]
lines_of_words = st.lists(st.lists(st.sampled_from(WORDS), max_size=6), min_size=1, max_size=12)


def counted(sentences, order) -> Counter:
    """n-grams in plain Python, of <s> and </s> around each sentence."""
    counts = Counter()
    for words in sentences:
        words = (b"<s>", *words, b"</s>")
        for n in range(1, order + 1):
            counts.update(words[i : i + n] for i in range(len(words) - n + 1))
    return counts


def as_lines(counts) -> bytes:
    return b"".join(b"%b\t%d\n" % (b" ".join(ngram), counts[ngram]) for ngram in sorted(counts))


def write(path, content: bytes) -> str:
    path.write_bytes(content)
    return str(path)


def text_of(sentences) -> bytes:
    return b"".join(b" ".join(words) + b"\n" for words in sentences)


def ngrams_in(vocab, trie) -> list[dict]:
    """The counts of each order by words, read from the trie's arrays."""
    names = {1: b"<s>"} | {int(i): word for i, word in zip(trie.internal[:-1], vocab.words, strict=True)}
    found = [{(names[i],): int(c) for i, c in enumerate(trie.counts(1)) if c}]
    paths = [(names.get(i),) for i in range(len(trie.nodes[0]) - 1)]
    for above, nodes in zip(trie.nodes, trie.nodes[1:], strict=False):
        starts = above[:, 1]
        parents = np.repeat(np.arange(len(above) - 1), np.diff(starts.astype(np.int64)))
        paths = [(names[int(word)], *paths[parent]) for word, parent in zip(nodes[:-1, 0], parents, strict=True)]
        found.append(dict(zip(paths, trie.counts(len(found) + 1).tolist(), strict=True)))
    return found


@settings(max_examples=60, deadline=None)
@given(sentences=lines_of_words, order=st.integers(1, 9), threads=st.integers(1, 3))
def test_a_texts_counts_are_those_of_plain_python_sorted_by_words(tmp_path_factory, sentences, order, threads):
    folder = tmp_path_factory.mktemp("counts")
    sentences.append([b"a"])
    write_counts([write(folder / "text", text_of(sentences))], str(folder / "c"), order, threads=threads)
    assert (folder / "c").read_bytes() == as_lines(counted(sentences, order))


@settings(max_examples=40, deadline=None)
@given(parts=st.lists(lines_of_words, min_size=1, max_size=5), order=st.integers(1, 5), data=st.data())
def test_counts_of_parts_in_any_order_merge_to_the_bytes_of_the_whole(tmp_path_factory, parts, order, data):
    folder = tmp_path_factory.mktemp("merge")
    paths = [write(folder / f"{i}", as_lines(counted(part, order))) for i, part in enumerate(parts)]
    merge_counts(data.draw(st.permutations(paths)), str(folder / "merged"))
    whole = [words for part in parts for words in part] + [[b"a"]]
    write_counts([write(folder / "text", text_of(whole))], str(folder / "whole"), order)
    merge_counts(
        [write(folder / "last", as_lines(counted([[b"a"]], order))), str(folder / "merged")], str(folder / "m")
    )
    assert (folder / "m").read_bytes() == (folder / "whole").read_bytes()


@settings(max_examples=40, deadline=None)
@given(sentences=lines_of_words, order=st.integers(1, 5), seed=st.integers(0, 99))
def test_what_is_read_is_what_was_counted_whatever_the_order_of_lines(tmp_path_factory, sentences, order, seed):
    folder = tmp_path_factory.mktemp("read")
    counts = counted([*sentences, [b"a"] * 5], order)
    lines = as_lines(counts).splitlines(keepends=True)
    np.random.default_rng(seed).shuffle(lines)
    half = len(lines) // 2
    # some lines twice, tabs for spaces, Windows' line ends, empty lines, nothing at the end of the last line
    other = lines[half:] + lines[:3]
    first = write(folder / "a", b"\n".join(lines[:half]).replace(b" ", b"\t"))
    second = write(folder / "b.bz2", bz2.compress(b"".join(other).replace(b"\n", b"\r\n")[:-2]))
    vocab, trie = read_counted([first, second], order)
    for line in lines[:3]:
        ngram, count = line[:-1].split(b"\t")
        counts[tuple(ngram.split(b" "))] += int(count) if line in lines[:half] or line in lines[half:] else 0
    expected = [{g: c for g, c in counts.items() if len(g) == n} for n in range(1, order + 1)]
    assert ngrams_in(vocab, trie) == expected
    assert vocab.words[0] == b"</s>"
    by_rule = sorted((w for w in {g[0] for g in expected[0]} - {b"<s>", b"</s>"}), key=lambda w: (-counts[(w,)], w))
    assert list(vocab.words)[1:] == by_rule + [b"<unk>"] * ((b"<unk>",) not in counts)
    assert vocab.counts.tolist() == [counts[(w,)] for w in vocab.words]


def model_bytes(model):
    return [*(nodes.tobytes() for nodes in model.trie.nodes), *(a.tobytes() for a in model.vocab.to_arrays())]


@pytest.fixture(scope="module")
def zipf(tmp_path_factory):
    """A text whose counts of counts are as they should be, and its counts in two halves."""
    folder = tmp_path_factory.mktemp("zipf")
    rng = np.random.default_rng(1)
    sentences = [[b"w%d" % w for w in rng.zipf(1.3, rng.integers(0, 12)) if w < 400] for _ in range(1500)]
    write(folder / "text", text_of(sentences))
    write(folder / "one", text_of(sentences[:500]))
    write(folder / "two", text_of(sentences[500:]))
    for name in ("one", "two"):
        write_counts([str(folder / name)], str(folder / f"{name}.gz"), 4)
    return folder


@pytest.mark.parametrize("smoothing", METHODS)
@pytest.mark.parametrize("closed", [False, True])
def test_a_model_of_counts_is_that_of_the_text_bit_for_bit(zipf, smoothing, closed):
    vocab_file = write(zipf / "vocab", b"</s>\nw1\nw9\n<unk>\nw7\nunseen\n") if closed else None
    common = {"order": 3, "smoothing": smoothing, "vocab_file": vocab_file}
    of_text = estimate_model([str(zipf / "text")], **common)
    of_counts = estimate_model([], counts=[str(zipf / "two.gz"), str(zipf / "one.gz")], **common)
    assert model_bytes(of_counts) == model_bytes(of_text)
    assert of_counts.vocab.counts.tolist() == of_text.vocab.counts.tolist()
    assert of_counts.training == of_text.training


@pytest.mark.parametrize("closed", [False, True])
def test_in_kenlms_way_too(zipf, closed):
    vocab_file = write(zipf / "vocab", b"</s>\nw1\nw9\n<unk>\nw7\nunseen\n") if closed else None
    common = {"order": 3, "unk": "kenlm", "vocab_file": vocab_file}
    of_text = estimate_model([str(zipf / "text")], **common)
    of_counts = estimate_model([], counts=[str(zipf / "one.gz"), str(zipf / "two.gz")], **common)
    assert model_bytes(of_counts) == model_bytes(of_text)


def test_a_model_does_not_depend_on_the_order_of_the_sentences(zipf):
    forth = estimate_model([str(zipf / "one"), str(zipf / "two")])
    back = estimate_model([str(zipf / "two"), str(zipf / "one")])
    assert model_bytes(forth) == model_bytes(back)


def test_real_text_in_pieces_and_within_a_bound_on_memory(shared_data, tmp_path):
    text = (shared_data / "ptb" / "ptb.valid.txt").read_bytes()
    path = write(tmp_path / "text", text)
    expected = as_lines(counted([line.split() for line in text.splitlines()], 3))
    write_counts([path], str(tmp_path / "c.gz"), 3)
    assert gzip.decompress((tmp_path / "c.gz").read_bytes()) == expected
    write_counts([path], str(tmp_path / "bounded"), 3, memory=220 << 20, tmp=str(tmp_path))
    assert (tmp_path / "bounded").read_bytes() == expected
    merge_counts([str(tmp_path / "bounded")] * 2, str(tmp_path / "twice.gz"))
    doubled = [line.rsplit(b"\t", 1) for line in expected.splitlines()]
    doubled = b"".join(b"%b\t%d\n" % (words, 2 * int(count)) for words, count in doubled)
    assert gzip.decompress((tmp_path / "twice.gz").read_bytes()) == doubled


def test_a_line_longer_than_all_buffers(tmp_path, monkeypatch):
    monkeypatch.setattr(countmerge, "_BUFFER", 64)
    words = [b"x" * 300_000, b"y"]
    path = write(tmp_path / "text", text_of([words, [b"x", b"y"]]))
    write_counts([path], str(tmp_path / "c"), 2)
    assert (tmp_path / "c").read_bytes() == as_lines(counted([words, [b"x", b"y"]], 2))
    merge_counts([str(tmp_path / "c")], str(tmp_path / "m"))
    assert (tmp_path / "m").read_bytes() == (tmp_path / "c").read_bytes()
    vocab, _ = read_counted([str(tmp_path / "m")], 2)
    assert set(vocab.words) == {b"</s>", b"<unk>", b"x", *words}


def test_standard_input_is_read(tmp_path, monkeypatch):
    lines = as_lines(counted([[b"a", b"b"]], 2))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines)))
    merge_counts(["-", write(tmp_path / "c", lines)], str(tmp_path / "m"))
    assert (tmp_path / "m").read_bytes() == lines.replace(b"\t1\n", b"\t2\n")
    with pytest.raises(CorpusError, match="standard input can be read only once"):
        merge_counts(["-", "-"], str(tmp_path / "m"))


def test_longer_n_grams_are_ignored_and_shorter_ones_taken_as_they_stand(tmp_path):
    path = write(tmp_path / "c", b"a\t7\nb\t5\na b\t2\nb a\t1\nz z z\t9\nz z\t0\n")
    vocab, trie = read_counted([path], 2)
    assert list(vocab.words) == [b"</s>", b"a", b"b", b"<unk>"]
    assert ngrams_in(vocab, trie) == [{(b"a",): 7, (b"b",): 5}, {(b"a", b"b"): 2, (b"b", b"a"): 1}]


def test_an_n_gram_that_only_ends_others_has_the_sum_of_these(tmp_path):
    path = write(tmp_path / "c", b"q\t1\na b\t1\na b c\t2\nd b\t1\nd b c\t3\ne c\t10\n")
    vocab, trie = read_counted([path], 3)
    unigrams, bigrams, _ = ngrams_in(vocab, trie)
    assert bigrams == {(b"b", b"c"): 5, (b"e", b"c"): 10, (b"a", b"b"): 1, (b"d", b"b"): 1}
    assert unigrams == {(b"q",): 1, (b"c",): 15, (b"b",): 2}


def test_rows_given_twice_add_up_wherever_they_are():
    internal = internal_ids(3)
    a, b = int(internal[1]), int(internal[2])
    rows = [[a, b, 0], [a, 0, 0], [b, 0, 0], [a, b, START], [a, b, 0], [a, 0, 0], [START, 0, 0], [b, START, 0]]
    trie = count_rows(np.array(rows, np.uint32), np.array([1, 2, 4, 8, 16, 32, 64, 128]), 3)
    assert trie.counts(1)[[a, b, START]].tolist() == [34, 4, 64]
    assert sorted(trie.counts(2).tolist()) == [17, 128]
    assert trie.counts(3).tolist() == [8]


BAD = {
    b"a b 3\nab": (2, 'expected words, a tab and their count, found "ab" alone'),
    b"a\t1\n\nb c\tmany\n": (3, 'expected a count after the words, found "many"'),
    b"a\t1.5": (1, "expected a count after the words"),
    b"a\t-2": (1, "the count is -2, below 0"),
    b"a\t-": (1, "expected a count after the words"),
    b"a\t4294967296": (1, "the count is 4294967296; at most 4294967295 is possible"),
    b"a\t99999999999999999999999999": (1, "at most 4294967295"),
    b"1 2 3 4 5 6 7 8 9 10\t1": (1, "an n-gram of 10 words; orders 1 to 9 can be read"),
    b"a  b\t1": (1, "an empty word"),
    b"\t1": (1, "an empty word"),
    b"a\t1 \n": (1, "an empty word"),
    b"a <s> b\t1": (1, "<s> can only be the first word of an n-gram"),
    b"</s> a\t1": (1, "</s> can only be the last word of an n-gram"),
    b"a\t1\r\n\x00 <s>\t1\r\n": (2, r'"\x00 <s>\t1": <s> can only be the first word'),
}


@pytest.mark.parametrize("content", BAD)
def test_what_is_wrong_with_a_line_is_said_with_its_number(content, tmp_path):
    line, reason = BAD[content]
    path = write(tmp_path / "c", content)
    for use in (lambda: read_counted([path], 1), lambda: merge_counts([path], str(tmp_path / "m"))):
        with pytest.raises(FormatError) as caught:
            use()
        assert caught.value.line == line
        assert reason in str(caught.value)
    assert not (tmp_path / "m").exists()


def test_the_line_of_an_error_far_into_a_file(tmp_path):
    content = b"".join(b"w%07d\t1\n" % i for i in range(100_000)) + b"x\tx\n"
    for use in (lambda p: read_counted([p], 1), lambda p: merge_counts([p], str(tmp_path / "m"))):
        with pytest.raises(FormatError, match=r"c:100001: expected a count"):
            use(write(tmp_path / "c", content))


def test_a_file_that_is_not_sorted_is_not_merged(tmp_path):
    sorted_ = write(tmp_path / "s", b"a\t1\n\nc\t1\n")
    path = write(tmp_path / "c", b"a\t1\n\na b\t1\na a\t1\n")
    with pytest.raises(FormatError, match=r'c:4: "a a" after "a b": not sorted .* LC_ALL=C sort does that'):
        merge_counts([sorted_, path], str(tmp_path / "m"))


def test_counts_that_are_too_large_together(tmp_path):
    path = write(tmp_path / "c", b"a\t4294967295\nb\t3\n")
    with pytest.raises(FormatError, match=r'c:1: the counts of "a" add up to 8589934590'):
        merge_counts([path, path], str(tmp_path / "m"))
    with pytest.raises(CorpusError, match=r'1-grams that end in "a" add up to 8589934590'):
        read_counted([path, path], 1)
    vocab, trie = read_counted([path], 1)
    assert ngrams_in(vocab, trie) == [{(b"a",): 4294967295, (b"b",): 3}]


def test_an_order_without_n_grams(tmp_path):
    path = write(tmp_path / "c", b"a\t1\nb\t1\na b\t1\n")
    with pytest.raises(CorpusError, match=r"c: no 3-grams; `order` 2 is the highest"):
        read_counted([path], 3)
    with pytest.raises(CorpusError, match=r"no 2-grams, which a model needs as well"):
        read_counted([write(tmp_path / "d", b"a\t1\na b c\t1\n")], 3)
    with pytest.raises(CorpusError, match=r"no n-grams"):
        read_counted([write(tmp_path / "e", b"\n")], 1)
    with pytest.raises(CorpusError, match=r"no such file"):
        merge_counts([path, str(tmp_path / "missing")], str(tmp_path / "m"))


def test_a_text_with_the_start_of_sentences_in_it(tmp_path):
    with pytest.raises(CorpusError, match="has the word <s>"):
        write_counts([write(tmp_path / "text", b"<s> a </s>\n")], str(tmp_path / "c"), 2)


@settings(deadline=None)
@given(words=st.sets(st.binary(min_size=1, max_size=30) | st.text("ab", min_size=1).map(str.encode)))
def test_words_are_sorted_as_python_sorts_bytes(words):
    given_ = list(words)
    assert [given_[i] for i in bytewise_order(WordList.of(given_))] == sorted(given_)


def test_many_words_that_begin_alike_are_sorted():
    words = [b"beginning%d" % i for i in np.random.default_rng(2).permutation(20_000)]
    assert [words[i] for i in bytewise_order(WordList.of(words))] == sorted(words)


def test_vocabularies_by_count_and_by_bytes():
    words = WordList.of([b"</s>", b"c", b"a", b"b", b"<unk>"])
    counts = np.array([1, 5, 2, 5, 0])
    vocab, old = by_count(words, counts)
    assert list(vocab.words) == [b"</s>", b"b", b"c", b"a", b"<unk>"]
    assert vocab.counts.tolist() == [1, 5, 5, 2, 0]
    assert [list(words)[i] for i in old] == list(vocab.words)
    assert old[inverse(old)].tolist() == list(range(5))
    vocab, _ = by_bytes(words, counts)
    internal = internal_ids(5)
    others = sorted(range(1, 5), key=lambda i: internal[i])
    assert [vocab.words[i] for i in others] == [b"<unk>", b"a", b"b", b"c"]
    assert vocab.words[0] == b"</s>"
    assert min(internal[:-1]) == FIRST_WORD


@pytest.mark.parametrize("n", [0, 1, 2, 7, 3_000_001])
def test_an_array_is_turned_round_in_place(n):
    ids = np.arange(n)
    reverse(ids)
    assert np.array_equal(ids, np.arange(n)[::-1])


def test_n_grams_must_have_counts_of_what_they_begin_with(tmp_path):
    # "b c" ends "a b c", so that its count is a sum; nothing tells how often "<s> a" was there
    lines = [b"a\t2", b"b\t2", b"c\t2", b"<s> a\t1", b"a b\t2", b"<s> a b\t1", b"a b c\t2"]
    assert len(read_counted([write(tmp_path / "whole", b"\n".join(lines))], 3)[1].nodes[1]) > 1
    del lines[3]
    with pytest.raises(CorpusError, match=r'c: no count of "<s> a", with which longer n-grams begin'):
        read_counted([write(tmp_path / "c", b"\n".join(lines))], 3)
