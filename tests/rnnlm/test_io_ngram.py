"""Native n-gram files: mapped, the same model as before, and one line for whatever is wrong."""

import gzip
import json
import mmap
import struct
import time
import tracemalloc

import numpy as np
import pytest
import safetensors.numpy

from corpora.errors import CorpusError, FormatError
from corpora.text.vocab import Vocab
from rnnlm import describe, io
from rnnlm.ngram.query.model import BackoffLM
from rnnlm.ngram.trie import BACKOFF, CHILD, PROB, WORD, Trie
from tests.reference.trie import arrays, build_trie, closed_ngrams

WORDS = [b"</s>", b"<unk>", b"\xff\xfe", "日本".encode(), b"cat", b"dog"]


def model(seed=0, order=3, words=WORDS, n_longest=40, keep=0.5) -> BackoffLM:
    orders = closed_ngrams(np.random.default_rng(seed), len(words), order, n_longest, keep)
    training = {"tokenizer": "word+lower", "smoothing": "witten-bell", "words": np.int64(17), "file": "caf\udce9"}
    vocab = Vocab(words, np.arange(len(words))[::-1])
    return BackoffLM(vocab, build_trie(arrays(orders), len(words)), training)


def assert_same(a: BackoffLM, b: BackoffLM) -> None:
    assert a.vocab == b.vocab
    assert a.vocab.counts.tolist() == b.vocab.counts.tolist()
    assert a.training == b.training
    for x, y in zip([*a.trie.nodes, a.trie.internal], [*b.trie.nodes, b.trie.internal], strict=True):
        assert x.dtype == y.dtype
        assert np.array_equal(x, y)


def refusal(path) -> str:
    with pytest.raises(FormatError) as error:
        io.load(path)
    message = str(error.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


def parts(path) -> tuple[dict, bytes]:
    content = path.read_bytes()
    end = 8 + struct.unpack("<Q", content[:8])[0]
    return json.loads(content[8:end]), content[end:]


def rewrite(path, entries, tensors: bytes) -> None:
    header = json.dumps(entries).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + tensors)


@pytest.mark.parametrize("order", [1, 2, 3, 9])
def test_a_saved_model_comes_back_the_same(order, tmp_path):
    lm = model(order=order)
    io.save(lm, tmp_path / "model")  # "native" is the form of its kind
    assert io.sniff(tmp_path / "model") == "ngram"
    assert_same(io.load(tmp_path / "model"), lm)
    assert_same(io.load(tmp_path / "model", dtype="float64"), lm)
    (tmp_path / "packed").write_bytes(gzip.compress((tmp_path / "model").read_bytes()))
    assert_same(io.load(tmp_path / "packed"), lm)


def test_the_safetensors_package_reads_it_and_writes_it(tmp_path):
    lm = model()
    io.save(lm, tmp_path / "ours")
    tensors = safetensors.numpy.load_file(tmp_path / "ours")
    assert tensors.keys() == {
        "nodes.1", "nodes.2", "nodes.3", "internal", "vocab_blob", "vocab_offsets", "vocab_counts",
    }  # fmt: skip
    assert np.array_equal(tensors["nodes.3"], lm.trie.nodes[2])
    metadata = parts(tmp_path / "ours")[0]["__metadata__"]
    safetensors.numpy.save_file(tensors, tmp_path / "theirs", metadata)
    assert_same(io.load(tmp_path / "theirs"), lm)


def test_rows_lie_in_one_cache_line(tmp_path):
    io.save(model(order=4), tmp_path / "model")
    for nodes in io.load(tmp_path / "model").trie.nodes:
        assert nodes.ctypes.data % nodes.strides[0] == 0
        assert nodes.flags.c_contiguous


def test_arrays_are_mapped_and_loading_takes_no_time(tmp_path):
    words = [b"</s>", *(b"w%d" % i for i in range(2000))]
    io.save(model(order=4, words=words, n_longest=20_000), tmp_path / "model")
    assert (tmp_path / "model").stat().st_size > 1e6
    io.load(tmp_path / "model")
    tracemalloc.start()
    start = time.process_time()
    lm = io.load(tmp_path / "model")
    assert time.process_time() - start < 0.1
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5e5
    for array in (*lm.trie.nodes, lm.trie.internal, lm.vocab.words.blob):
        base = array
        while isinstance(base, np.ndarray):
            base = base.base
        assert isinstance(base.obj if isinstance(base, memoryview) else base, mmap.mmap)
    io.save(lm, tmp_path / "model")  # over the file that it is mapped from
    assert_same(io.load(tmp_path / "model"), lm)


def test_the_head_is_read_alone(tmp_path):
    lm = model()
    io.save(lm, tmp_path / "model")
    counts = [lm.trie.n_ngrams(n) for n in (1, 2, 3)]
    head = io.peek(tmp_path / "model")
    assert (head["format"], head["order"], head["ngrams"], head["n_words"]) == ("ngram", 3, counts, len(WORDS))
    assert head["training"]["smoothing"] == "witten-bell"
    found = describe.facts(tmp_path / "model")
    assert json.loads(json.dumps(found))["ngrams"] == counts
    shown = describe.describe(found)
    assert "(native, " in shown
    for words in ("witten-bell", "word+lower", f"3-grams     {counts[2]}"):
        assert words in shown
    io.save(lm, tmp_path / "model.arpa", "arpa")
    assert f"3-grams     {counts[2]}" in describe.describe(describe.facts(tmp_path / "model.arpa"))


def test_a_failed_save_leaves_the_old_file(tmp_path):
    io.save(model(), tmp_path / "model")
    before = (tmp_path / "model").read_bytes()
    lm = model(1)
    lm.training["smoothing"] = object()
    with pytest.raises(AttributeError):
        io.save(lm, tmp_path / "model")
    with pytest.raises(CorpusError):
        io.save(model(), tmp_path / "no" / "model")
    assert (tmp_path / "model").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_cut_short_anywhere(tmp_path):
    io.save(model(), tmp_path / "model")
    content = (tmp_path / "model").read_bytes()
    for size in [*range(100), *range(100, len(content), 13), len(content) - 1]:
        (tmp_path / "cut").write_bytes(content[:size])
        assert ("cut short" in refusal(tmp_path / "cut")) == (size > 8), size
    (tmp_path / "long").write_bytes(content + b"x")
    assert "rubbish at the end" in refusal(tmp_path / "long")


BAD_HEADERS = {
    "rnnlm-ngram version 2; this program reads version 1": lambda e: e["__metadata__"].update(format_version="2"),
    '"order" in its metadata': lambda e: e["__metadata__"].update(order="10"),
    '"order" in its metadata is not': lambda e: e["__metadata__"].pop("order"),
    '"training" in its metadata': lambda e: e["__metadata__"].update(training="[]"),
    "rows of 4 are expected": lambda e: e["__metadata__"].update(order="4"),
    'the tensor "nodes.2" is missing': lambda e: e.update(extra=e.pop("nodes.2")),
    'the tensor "nodes.2" is (': lambda e: e["__metadata__"].update(order="2"),
    'the tensor "nodes.1" is (': lambda e: e.update({"nodes.1": e["nodes.2"], "nodes.2": e["nodes.1"]}),
    'the tensor "internal" is missing': lambda e: e.update(extra=e.pop("internal")),
    'the tensor "nodes.3" is float32': lambda e: e["nodes.3"].update(dtype="F32"),
    'the tensor "nodes.3" is (': lambda e: e["nodes.3"].update(shape=[e["nodes.3"]["shape"][0] * 2]),
    "overlap, or leave holes": lambda e: e["nodes.3"].update(e["internal"]),
}


@pytest.mark.parametrize("finding", BAD_HEADERS)
def test_a_header_that_does_not_fit(finding, tmp_path):
    io.save(model(), tmp_path / "model")
    entries, tensors = parts(tmp_path / "model")
    BAD_HEADERS[finding](entries)
    rewrite(tmp_path / "model", entries, tensors)
    assert finding in refusal(tmp_path / "model")


def test_counts_in_the_head_that_do_not_fit(tmp_path):
    io.save(model(), tmp_path / "model")
    entries, tensors = parts(tmp_path / "model")
    for counts in ("[1, 2]", "[1, 2, -3]", '[1, 2, "3"]', "3"):
        entries["__metadata__"]["ngrams"] = counts
        rewrite(tmp_path / "model", entries, tensors)
        with pytest.raises(FormatError, match='"ngrams" in its metadata'):
            io.peek(tmp_path / "model")


def test_orders_that_do_not_fit_each_other(tmp_path):
    for order, row in ((1, 0), (1, -1), (2, -1)):
        lm = model()
        lm.trie.nodes[order - 1][row, CHILD] += 1
        io.save(lm, tmp_path / "model")
        assert f'the tensors "nodes.{order}" and "nodes.{order + 1}" do not fit' in refusal(tmp_path / "model")
    for value in (0, 1, 2 + len(WORDS)):
        lm = model()
        lm.trie.internal[2] = value
        io.save(lm, tmp_path / "model")
        assert '"internal" does not have the id of each word once' in refusal(tmp_path / "model")


def test_any_changed_byte_of_the_head_is_read_or_refused_in_one_line(tmp_path):
    io.save(model(), tmp_path / "model")
    content = (tmp_path / "model").read_bytes()
    size = 8 + struct.unpack("<Q", content[:8])[0]
    rng = np.random.default_rng(7)
    for _ in range(300):
        changed = bytearray(content)
        for place in rng.integers(0, size, rng.integers(1, 4)):
            changed[place] = rng.integers(256)
        (tmp_path / "bad").write_bytes(changed)
        message = ""
        for use in (io.load, io.peek):
            try:
                use(tmp_path / "bad")
            except CorpusError as error:
                message = str(error)
            assert "\n" not in message


# ---- what a damaged file may hold: nothing outside of its arrays is read


def damaged(path, change) -> None:
    """Write a model whose arrays ``change`` has changed in place."""
    lm = model()
    lm.trie = Trie([nodes.copy() for nodes in lm.trie.nodes], lm.trie.internal.copy())
    change(lm.trie)
    io.save(lm, path)


@pytest.mark.parametrize("seed", range(20))
def test_queries_stay_inside_whatever_the_child_rows_and_words_are(seed, tmp_path):
    def change(trie):
        rng = np.random.default_rng(seed)
        for nodes in trie.nodes:
            for column in (WORD, CHILD)[: 2 if nodes.shape[1] == 4 else 1]:
                some = rng.random(len(nodes)) < rng.choice([0.1, 1])
                some[[0, -1]] = False
                wild = rng.choice(np.array([0, 1, 1 << 31, 0xFFFFFFFF, *rng.integers(1 << 32, size=8)]), len(nodes))
                nodes[some, column] = wild[some]

    path = tmp_path / "m.lm"
    damaged(path, change)
    lm = io.load(path)
    ids = np.random.default_rng(seed).integers(-1, len(WORDS), 500).astype(np.int32)
    scored, _ = lm.score_ids(ids, lm.start())
    assert scored.order.min() >= 0
    assert scored.order.max() <= lm.order


@pytest.mark.parametrize(
    "change",
    [
        lambda trie: trie.nodes[1].__setitem__((2, CHILD), 0xFFFFFFFF),
        lambda trie: trie.nodes[0].__setitem__((3, CHILD), 1 << 20),
        lambda trie: trie.nodes[1].__setitem__((1, WORD), 1000),
        lambda trie: trie.nodes[2].__setitem__((0, WORD), 0x80000000),
        lambda trie: trie.floats[0].__setitem__((3, PROB), np.nan),
        lambda trie: trie.floats[1].__setitem__((0, BACKOFF), 1e30),
        lambda trie: trie.floats[1].__setitem__((0, BACKOFF), np.nan),
    ],
)
def test_what_goes_through_all_nodes_says_that_they_are_damaged(change, tmp_path):
    path = tmp_path / "m.lm"
    damaged(path, change)
    lm = io.load(path)
    for use in (
        lambda: lm.distribution(lm.start()),
        lambda: lm.score_ids(np.zeros(3, np.int32), lm.start(), entropy=True),
    ):
        with pytest.raises(FormatError, match=r"m\.lm: damaged: its n-grams contradict each other"):
            use()
    with pytest.raises(CorpusError, match=r"a damaged file\?"):
        io.save(lm, tmp_path / "m.arpa", "arpa")


def test_an_id_that_two_words_have_is_refused(tmp_path):
    path = tmp_path / "m.lm"
    damaged(path, lambda trie: trie.internal.__setitem__(2, trie.internal[1]))
    assert refusal(path).endswith('the tensor "internal" does not have the id of each word once')
