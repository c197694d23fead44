"""``w2v convert``, ``info`` and ``vectors``: files and pipes, and one line for what is wrong."""

import io as streams
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from w2v import io
from w2v.cli.files import FORMATS
from w2v.model import WordVectors

ROOT = Path(__file__).resolve().parents[2]
WORDS = [b"</s>", b"king", b"queen", "größe".encode(), b"\xff\xfe", b"zero"]
ROWS = np.array([[0, 0.5], [3, 4], [-1, 0.25], [1, 1], [2, 2], [0, 0]], np.float32)
CONFIG = {"architecture": "skipgram", "window": 5, "negative": 5, "negatives": "shared", "hs": False, "sample": 1e-3}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The current directory: v.w2v, v.bin and v.txt."""
    monkeypatch.chdir(tmp_path)
    training = {"config": CONFIG, "train_words": 1000}
    v = WordVectors(WORDS, ROWS, [9, 5, 4, 3, 2, 1], training=training, state={"syn1neg": ROWS})
    for name in ("v.w2v", "v.bin", "v.txt"):
        io.save(v, name, io.format_for(name))
    return tmp_path


def test_every_form_can_be_asked_for():
    assert tuple(io.FORMATS) == FORMATS


def test_convert_by_the_names_ending_and_back(here, w2v_done):
    for line in ("v.w2v a.bin", "a.bin a.vec", "a.vec a.txt.gz", "a.txt.gz a.w2v", "a.w2v b.glove --format glove"):
        assert w2v_done(f"convert {line}") == ""
    assert Path("a.bin").read_bytes() == Path("v.bin").read_bytes()
    assert Path("a.vec").read_bytes() == Path("v.txt").read_bytes()
    assert [io.sniff(name) for name in ("a.txt.gz", "a.w2v", "b.glove")] == ["text", "native", "glove"]
    assert np.array_equal(io.load("b.glove").vectors, ROWS)


def test_a_native_copy_keeps_what_training_needs(here, w2v_done):
    w2v_done("convert v.w2v copy")
    assert Path("copy").read_bytes() == Path("v.w2v").read_bytes()


def test_convert_in_pipes(here):
    command = [sys.executable, "-m", "w2v", "convert", "-", "-"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for name, more in (("v.bin", []), ("v.w2v", []), ("v.txt", ["--format", "binary"])):
        with open(name, "rb") as file:
            run = subprocess.run([*command, *more], stdin=file, capture_output=True, env=environment, check=True)
        assert run.stdout == Path("v.bin" if more else "v.txt").read_bytes()
        assert run.stderr == b""


def test_convert_the_first_words_only(here, w2v_done):
    out = w2v_done("convert v.w2v - --limit 2")
    assert out == "2 2\n</s> 0.000000 0.500000 \nking 3.000000 4.000000 \n"


def test_convert_notes_words_that_come_again(here, w2v):
    Path("twice").write_bytes(b"a 1 2\nb 1 2\na 3 4\n")
    code, out, err = w2v("convert twice -")
    assert (code, out) == (0, "2 2\na 1.000000 2.000000 \nb 1.000000 2.000000 \n")
    assert err == 'twice: 1 of 3 words are there again ("a" first): passed over\n'


@pytest.mark.parametrize(
    ("line", "code", "reason"),
    [
        ("convert v.w2v v.bin", 1, "v.bin: already exists; --force replaces it"),
        ("convert v.bin v.bin -f", 1, "v.bin: is read in this run as well"),
        ("convert none a.bin", 1, "none: No such file"),
        ("convert bad.txt a.bin", 1, 'bad.txt:3: "nan" is not a finite number of float32'),
        ("convert space.w2v a.bin", 1, 'a.bin: not written, because word 1 ("a b") has a space in it'),
        ("convert v.w2v a.bin --limit 0", 2, "--limit"),
        ("convert v.w2v a.bin --format gensim", 2, "--format"),
        ("info rubbish", 1, "rubbish:1: not word vectors"),
        ("vectors rubbish king", 1, "rubbish:1: not word vectors"),
        ("vectors - ", 2, "VECTORS is standard input"),
        ("vectors v.bin king emperor --missing error", 1, 'v.bin: no vector for "emperor"; --missing skip leaves'),
        ("vectors v.bin king -o v.txt", 1, "v.txt: already exists"),
    ],
)
def test_what_is_wrong_is_one_line(line, code, reason, here, w2v):
    Path("bad.txt").write_bytes(b"2 2\na 1 2\nb 1 nan\n")
    Path("rubbish").write_bytes(b"neither\nnor\n")
    io.save(WordVectors([b"a b"], np.ones((1, 2), np.float32)), "space.w2v")
    before = {path.name: path.read_bytes() for path in here.iterdir()}
    found, out, err = w2v(line)
    assert (found, out) == (code, "")
    assert err.startswith("Error: ")
    assert reason in err
    assert len(err.splitlines()) == (1 if code == 1 else 2)
    assert {path.name: path.read_bytes() for path in here.iterdir()} == before


def test_info_of_a_native_file(here, w2v_done):
    out = w2v_done("info v.w2v")
    assert re.search(r"^words +6$", out, re.M)
    assert re.search(r"^dimensions +2 \(float32\)$", out, re.M)
    assert re.search(r"^architecture +skip-gram, 5 negatives \(shared\)$", out, re.M)
    assert re.search(r"^settings +window 5, sample 0.001$", out, re.M)
    assert "train words  1000" in out
    assert "can go on: the file has syn1neg" in out
    found = json.loads(w2v_done("info v.w2v --json"))
    assert found["training"]["config"] == CONFIG
    assert (found["format"], found["words"], found["dimensions"]) == ("native", 6, 2)
    assert found["first_words"] == ["</s>", "king", "queen", "größe", "\\xff\\xfe", "zero"]


def test_info_of_foreign_files(here, w2v_done):
    w2v_done("convert v.bin v.glove --format glove")
    for name, form in (("v.bin", "binary"), ("v.txt", "text"), ("v.glove", "glove")):
        found = json.loads(w2v_done(f"info {name} --json"))
        assert (found["format"], found["words"], found["dimensions"]) == (form, 6, 2)
        assert found["bytes"] == Path(name).stat().st_size
        assert "king" in w2v_done(f"info {name}")


@pytest.mark.parametrize("name", ["v.w2v", "v.bin", "v.txt"])
def test_vectors_of_words(name, here, w2v):
    rows = "king 3.000000 4.000000\ngröße 1.000000 1.000000\n"
    assert w2v(f"vectors {name} king größe") == (0, rows, "")
    assert w2v(f"vectors {name}", "king\r\n\ngröße".encode()) == (0, rows, "")
    assert w2v(f"vectors {name} king zero --normalize") == (0, "king 0.600000 0.800000\nzero 0.000000 0.000000\n", "")


def test_words_without_a_vector(here, w2v):
    note = "2 of 3 words have no vector: a, b\n"
    assert w2v("vectors v.w2v a queen b") == (0, "queen -1.000000 0.250000\n", note)
    code, out, err = w2v("vectors v.w2v a queen b --missing zeros")
    assert (code, err) == (0, note)
    assert out == "a 0.000000 0.000000\nqueen -1.000000 0.250000\nb 0.000000 0.000000\n"
    assert w2v("vectors v.w2v a b c d e f g")[2] == "7 of 7 words have no vector: a, b, c, d, e, ...\n"


def test_vectors_as_an_array(here, w2v):
    assert w2v("vectors v.w2v king none queen --npy -o rows.npy --normalize")[0] == 0
    # (-1, 1/4) / sqrt(17/16)
    assert np.load("rows.npy") == pytest.approx(np.array([[0.6, 0.8], [-0.970143, 0.242536]]), rel=1e-5)
    w2v("vectors v.w2v --npy -o zeros.npy --missing zeros", b"none\nking\n")
    assert np.load("zeros.npy").tolist() == [[0, 0], [3, 4]]
    command = [sys.executable, "-m", "w2v", "vectors", "v.w2v", "king", "--npy"]
    run = subprocess.run(command, capture_output=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)
    assert np.load(streams.BytesIO(run.stdout)).tolist() == [[3, 4]]


def test_a_line_comes_as_soon_as_its_word_was_written(here):
    command = [sys.executable, "-m", "w2v", "vectors", "v.w2v"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "env": {**os.environ, "PYTHONPATH": str(ROOT)}}
    with subprocess.Popen(command, **pipes) as run:
        for word, row in ((b"king", b"king 3.000000 4.000000\n"), (b"\xff\xfe", b"\xff\xfe 2.000000 2.000000\n")):
            run.stdin.write(word + b"\n")
            run.stdin.flush()
            assert run.stdout.readline() == row
        run.stdin.close()
        assert run.wait(timeout=20) == 0
