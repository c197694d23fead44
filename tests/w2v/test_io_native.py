"""Native files of word vectors: what was saved comes back, mapped; a bad file is one line."""

import json
import mmap
import struct

import numpy as np
import pytest
import safetensors.numpy

from corpora.errors import CorpusError
from corpora.files import tensors
from corpora.files.mapping import mapping_of
from tests.vector_files import assert_same, loaded, refusal, some_vectors
from w2v import io
from w2v.io import native
from w2v.model import WordVectors

TRAINING = {"config": {"architecture": "cbow", "window": 5}, "words": 1234, "alpha": np.float64(0.05)}


def trained(dtype="float32", n=50) -> WordVectors:
    v = some_vectors(n, dtype=dtype)
    state = {"syn1neg": v.vectors[::-1].copy(), "syn1": v.vectors * 2}
    return WordVectors(v.words, v.vectors, np.arange(n)[::-1], training=TRAINING, state=state)


def parts(path) -> tuple[dict, bytes]:
    content = path.read_bytes()
    end = 8 + struct.unpack("<Q", content[:8])[0]
    return json.loads(content[8:end]), content[end:]


def rebuilt(entries: dict, content: bytes) -> bytes:
    header = json.dumps(entries).encode()
    return struct.pack("<Q", len(header)) + header + content


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_everything_comes_back(dtype, tmp_path):
    v = trained(dtype)
    io.save(v, tmp_path / "file")
    found = io.load(tmp_path / "file")
    assert_same(found, v)
    assert found.counts.tolist() == v.counts.tolist()
    assert found.training == {**TRAINING, "alpha": 0.05}
    assert found.state.keys() == v.state.keys()
    assert all(np.array_equal(found.state[name], values) for name, values in v.state.items())
    assert np.array_equal(found.norms, v.norms)
    io.save(found, tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "file").read_bytes()


def test_words_that_no_other_form_holds(tmp_path):
    words = [b"new york", b"a\nb", b"\t", b"\x00"]
    io.save(WordVectors(words, np.ones((4, 1), np.float32)), tmp_path / "file")
    assert list(io.load(tmp_path / "file").words) == words


def test_the_safetensors_package_reads_it(tmp_path):
    v = trained()
    io.save(v, tmp_path / "file")
    arrays = safetensors.numpy.load_file(tmp_path / "file")
    assert np.array_equal(arrays["vectors"], v.vectors)
    assert np.array_equal(arrays["norms"], v.norms)
    assert arrays["vocab_blob"].tobytes() == b"".join(v.words)
    safetensors.numpy.save_file(arrays, tmp_path / "theirs", parts(tmp_path / "file")[0]["__metadata__"])
    assert_same(io.load(tmp_path / "theirs"), v)


def test_arrays_are_mapped_and_changing_them_leaves_the_file(tmp_path):
    io.save(trained(), tmp_path / "file")
    before = (tmp_path / "file").read_bytes()
    v = io.load(tmp_path / "file")
    for array in (v.vectors, v.norms, v.counts, v.words.blob, v.words.offsets, v.state["syn1"]):
        assert isinstance(mapping_of(array), mmap.mmap)
    v.vectors[:] = 0
    v.state["syn1"][:] = 0
    assert (tmp_path / "file").read_bytes() == before


def test_the_first_words_only_and_no_state_which_is_of_all(tmp_path):
    io.save(trained(), tmp_path / "file")
    v = io.load(tmp_path / "file", limit=7)
    assert_same(v, WordVectors(trained().words[:7], trained().vectors[:7]))
    assert (v.counts.tolist(), v.state, v.norms.size) == (list(range(49, 42, -1)), {}, 7)
    io.save(v, tmp_path / "seven")
    assert_same(io.load(tmp_path / "seven"), v)
    assert io.load(tmp_path / "file", limit=50).state


def test_another_dtype(tmp_path):
    io.save(trained("float64"), tmp_path / "file")
    v = io.load(tmp_path / "file", dtype="float32")
    assert np.array_equal(v.vectors, trained("float64").vectors.astype(np.float32))


@pytest.mark.parametrize("block", [8, 100, 1 << 24])
def test_views_of_wider_rows_are_written_block_by_block(block, tmp_path, monkeypatch):
    monkeypatch.setattr(tensors, "_BLOCK", block)
    v = trained()
    io.save(v, tmp_path / "file")
    wide = np.full((50, 16), np.nan, np.float32)
    wide[:, :5] = v.vectors
    state = {"syn1neg": np.asfortranarray(v.state["syn1neg"]), "syn1": v.state["syn1"].astype(">f4")}
    io.save(WordVectors(v.words, wide[:, :5], v.counts, training=TRAINING, state=state), tmp_path / "padded")
    assert (tmp_path / "padded").read_bytes() == (tmp_path / "file").read_bytes()


def test_peek_tells_the_header(tmp_path):
    io.save(trained(), tmp_path / "file")
    found = io.peek(tmp_path / "file")
    assert found["training"]["config"] == TRAINING["config"]
    assert (found["words"], found["dimensions"], found["dtype"]) == (50, 5, "float32")
    assert found["state"] == {"syn1neg": [50, 5], "syn1": [50, 5]}
    assert found["first_words"] == trained().words[:10]


def changed(tmp_path, change) -> bytes:
    io.save(some_vectors(4), tmp_path / "good")
    entries, content = parts(tmp_path / "good")
    content = bytearray(content)
    change(entries, content)
    return rebuilt(entries, bytes(content))


def place(entries, name) -> int:
    return entries[name]["data_offsets"][0]


def put(name, at, form, value):
    def change(entries, content):
        struct.pack_into(form, content, place(entries, name) + at, value)

    return change


def rename(old, new):
    def change(entries, content):
        entries[new] = entries.pop(old)

    return change


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (put("vectors", 8, "<f", np.nan), 'NaN or infinity in the tensor "vectors"'),
        (put("norms", 4, "<f", np.inf), 'NaN or infinity in the tensor "norms"'),
        (put("vocab_offsets", 8, "<q", -1), "the offsets of its words do not fit them"),
        (put("vocab_offsets", 8, "<q", 1 << 40), "the offsets of its words do not fit them"),
        (put("vocab_offsets", 0, "<q", 1), "the offsets of its words do not fit them"),
        (rename("vectors", "vektors"), 'the tensor "vectors" is missing'),
        (rename("vocab_counts", "x"), 'the tensor "vocab_counts" is missing'),
        (lambda entries, content: entries["vectors"].update(shape=[5, 4]), 'the tensor "norms" is float32 (4,)'),
        (
            lambda entries, content: entries["vectors"].update(shape=[20]),
            'the tensor "vectors" is float32 (20,); a matr',
        ),
        (lambda entries, content: entries["__metadata__"].pop("training"), '"training" in its metadata is missing'),
        (lambda entries, content: entries["__metadata__"].update(format_version="2"), "w2v-native version 2; this"),
        (lambda entries, content: entries["__metadata__"].update(format="other"), "not one of this program's"),
        (lambda entries, content: content.pop(), "cut short"),
        (lambda entries, content: content.append(0), "rubbish at the end"),
    ],
)
def test_what_is_wrong_is_told(change, reason, tmp_path):
    assert reason in refusal(tmp_path, changed(tmp_path, change))


def test_nan_in_a_large_file_is_told_by_its_lengths(tmp_path, monkeypatch):
    monkeypatch.setattr(native, "UNCHECKED", 10)
    assert "norms" in refusal(tmp_path, changed(tmp_path, put("norms", 4, "<f", np.nan)))
    loaded(tmp_path, changed(tmp_path, put("vectors", 4, "<f", np.nan)))


def test_it_is_not_compressed(tmp_path):
    with pytest.raises(CorpusError, match="is mapped, not unpacked"):
        io.save(some_vectors(), tmp_path / "file.gz")


@pytest.mark.parametrize("value", [-1.0, 0.0, 1e-45, 1e30])
def test_lengths_that_are_not_those_of_the_vectors_are_refused(value, tmp_path):
    v = trained()
    norms = v.norms.copy()
    norms[3] = value
    io.save(WordVectors(v.words, v.vectors, v.counts, training=v.training, norms=norms), tmp_path / "v")
    with pytest.raises(CorpusError, match='"norms" does not hold the lengths of its vectors'):
        io.load(tmp_path / "v")
