"""Which form a file has, from its content; the files of word2vec.c read and written again, byte for byte."""

import bz2
import gzip
import lzma
import os
import sys
import threading

import numpy as np
import pytest

import w2v
from corpora.errors import CorpusError, FormatError
from tests.vector_files import assert_same, loaded, some_vectors
from w2v import io
from w2v.model import WordVectors


@pytest.mark.parametrize(("name", "form"), [("skipgram.txt", "text"), ("cbow-hs.bin", "binary")])
def test_files_of_word2vec_come_back_byte_for_byte(name, form, golden, tmp_path):
    path = golden / "word2vec" / name
    assert io.sniff(path) == form
    v = w2v.load(path)
    assert (len(v), v.dim, v.words[0], v.words[1]) == (372, 8, b"</s>", b"the")
    io.save(v, tmp_path / name, form)
    assert (tmp_path / name).read_bytes() == path.read_bytes()
    io.save(v, tmp_path / "native")
    assert_same(io.load(tmp_path / "native"), v)


@pytest.mark.parametrize("form", io.FORMATS)
@pytest.mark.parametrize(("n", "dim"), [(1, 2), (20, 1), (400, 50), (3, 9000)])
def test_every_form_is_known_by_its_content(form, n, dim, tmp_path):
    if form == "glove" and dim == 1:
        return
    v = some_vectors(n, dim)
    io.save(v, tmp_path / "file", form)
    assert io.sniff(tmp_path / "file") == form
    found = io.peek(tmp_path / "file")
    assert (found["format"], found["words"], found["dimensions"]) == (form, n, dim)
    assert found["first_words"][:1] == [b"</s>"] or dim > 5000  # a line may be longer than what is looked at
    assert found["bytes"] == (tmp_path / "file").stat().st_size
    assert_same(io.load(tmp_path / "file"), v, 7e-7 if form in ("text", "glove") else 0)


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("form", io.FORMATS)
def test_compressed_files_are_read(form, pack, tmp_path):
    v = some_vectors()
    io.save(v, tmp_path / "plain", form)
    found = loaded(tmp_path, pack((tmp_path / "plain").read_bytes()))
    assert_same(found, io.load(tmp_path / "plain"))
    assert io.peek(tmp_path / "file")["compression"] in ("gzip", "bzip2", "xz")


@pytest.mark.parametrize("form", ["text", "binary", "glove"])
def test_names_in_gz_are_compressed(form, tmp_path):
    v = some_vectors(400, 400)
    io.save(v, tmp_path / "plain", form)
    io.save(v, tmp_path / "packed.gz", form)
    assert gzip.decompress((tmp_path / "packed.gz").read_bytes()) == (tmp_path / "plain").read_bytes()
    with pytest.raises(CorpusError, match=r"as \.gz only"):
        io.save(v, tmp_path / "packed.xz", form)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
@pytest.mark.parametrize("form", io.FORMATS)
def test_pipes_are_read(form, tmp_path):
    v = some_vectors(1000, 60)
    io.save(v, tmp_path / "file", form)
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=((tmp_path / "file").read_bytes(),))
    writer.start()
    assert_same(io.load(tmp_path / "pipe"), io.load(tmp_path / "file"))
    writer.join()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty, where a file of word vectors is expected"),
        (b"\n", "not word vectors"),
        (b"</s> 4000\nthe 12\n", "not word vectors"),
        (b"the cat sees a dog\n", "not word vectors"),
        (b"\x00" * 100, "not word vectors"),
        (b"-3 5\nthe 1 2 3 4 5\n", "not word vectors"),
        (b"word " * 100_000, "not word vectors"),
        (b"\xba\x16\x4f\x2f" + bytes(50), "a model of fastText"),
        (b"PK\x03\x04" + bytes(50), "a zip archive"),
        (b"\x80\x04\x95" + bytes(50), "save_word2vec_format"),
        (b"\xff\xfe1\x00 \x002\x00", "UTF-16"),
    ],
)
def test_other_files_are_told_as_such(content, reason, tmp_path):
    with pytest.raises(FormatError) as error:
        loaded(tmp_path, content)
    assert reason in str(error.value)
    assert "\n" not in str(error.value)


def test_random_bytes_are_one_line(tmp_path):
    rng = np.random.default_rng(8)
    for head in (b"", b"5 3\n", b"2 1\n", b"a 1 2 3\n", b"\x08\0\0\0\0\0\0\0{"):
        for _ in range(40):
            with pytest.raises(CorpusError) as error:
                loaded(tmp_path, head + rng.bytes(int(rng.integers(0, 200))))
            assert "\n" not in str(error.value)


def test_every_cut_of_a_file_is_one_line(tmp_path):
    for form in io.FORMATS:
        io.save(some_vectors(4, 2), tmp_path / "whole", form)
        content = (tmp_path / "whole").read_bytes()
        # the last newlines may be missing; what is left of a GloVe file may be a shorter one
        for size in range(0, len(content) - 2, 1 if form != "native" else 37):
            if form == "glove" and content[:size].count(b" ") >= 2:
                continue
            if form == "text" and size > len(content) - 12:  # within the last number
                continue
            with pytest.raises(FormatError) as error:
                loaded(tmp_path, content[:size])
            assert "\n" not in str(error.value)


def test_missing_files_and_directories(tmp_path):
    with pytest.raises(CorpusError, match="No such file"):
        io.load(tmp_path / "none")
    with pytest.raises(CorpusError, match="directory"):
        io.load(tmp_path)


def test_names_say_what_is_written():
    wanted = {"a.bin": "binary", "a.BIN": "binary", "a.bin.gz": "binary", "a.txt": "text", "a.vec.gz": "text"}
    wanted |= {"a.w2v": "native", "a": "native", "a.safetensors": "native", "bin": "native"}
    assert {name: io.format_for(name) for name in wanted} == wanted


def test_unknown_formats_and_dtypes(tmp_path):
    with pytest.raises(CorpusError, match="format word: one of native, text, binary, glove"):
        io.save(some_vectors(), tmp_path / "file", "word")
    with pytest.raises(ValueError, match="dtype float16"):
        io.load(tmp_path / "file", dtype="float16")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="memory is measured by the resource module")
@pytest.mark.parametrize("form", ["text", "binary", "glove"])
def test_there_is_one_matrix_in_memory_not_two(form, tmp_path):
    import subprocess

    v = WordVectors([b"%d" % i for i in range(60_000)], np.ones((60_000, 500), np.float32))  # 120 MB
    io.save(v, tmp_path / "file", form)
    code = (
        "import resource, sys; from w2v import io; import w2v.io.parse; peak = lambda: "
        "resource.getrusage(resource.RUSAGE_SELF).ru_maxrss; before = peak(); "
        f"v = io.load({str(tmp_path / 'file')!r}); print(peak() - before)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert int(run.stdout) < 180_000  # KiB
