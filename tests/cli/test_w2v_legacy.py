"""The command line of word2vec.c: options, defaults, what it prints, which files it writes."""

import re

import numpy as np
import pytest

import w2v as library
from corpora.errors import CorpusError
from corpora.text.vocab import Vocab
from w2v.legacy import is_legacy
from w2v.legacy.options import Options, parse

SMALL = "-size 8 -min-count 2 -iter 2 -threads 1 -output vectors.bin"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(3)
    words = rng.zipf(1.5, size=(300, 8)).clip(max=40)
    (tmp_path / "text").write_text("".join(" ".join(f"w{i}" for i in line) + "\n" for line in words))
    return tmp_path


def parsed(line):
    return parse(f"-train text {line}".split())[0]


# ---- options


def test_the_first_argument_decides():
    assert is_legacy(["-train", "x"])
    assert is_legacy(["-size", "5", "-train", "x"])
    assert not is_legacy(["train", "x"])
    assert not is_legacy(["--size", "5"])
    assert not is_legacy(["-h"])
    assert not is_legacy([])


def test_defaults_are_those_of_word2vec():
    config = parsed("").config
    assert (config.architecture, config.size, config.window, config.sample) == ("cbow", 100, 5, 1e-3)
    assert (config.hs, config.negative, config.iterations, config.starting_alpha) == (False, 5, 5, 0.05)
    assert (parsed("").threads, parsed("").min_count, parsed("").debug) == (12, 5, 2)
    assert parsed("-cbow 0").config.starting_alpha == 0.025


def test_every_option_of_a_script():
    options = parsed(
        "-output vectors.bin -cbow 0 -size 200 -window 8 -negative 25 -hs 1 -sample 1e-4 -threads 20 -binary 1 "
        "-iter 15 -alpha 0.03 -min-count 10 -classes 7 -debug 0 -save-vocab v"
    )
    assert options == Options(
        train="text", output="vectors.bin", cbow=0, size=200, window=8, negative=25, hs=1, sample=1e-4, threads=20,
        binary=1, iterations=15, alpha=0.03, min_count=10, classes=7, debug=0, save_vocab="v",
    )  # fmt: skip
    config = options.config
    assert (config.architecture, config.hs, config.negative, config.alpha) == ("skipgram", True, 25, 0.03)


def test_the_first_of_two_counts_and_what_is_no_option_is_ignored():
    options, ignored = parse(["-train", "text", "-size", "8", "-size", "9", "--windows", "3"])
    assert options.size == 8
    assert ignored == ["--windows", "3"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("-size", "-size: its value is missing"),
        ("-size x", '-size: expected an integer, found "x"'),
        ("-sample x", '-sample: expected a number, found "x"'),
        ("-alpha nan", "-alpha: expected a finite number"),
        ("-threads 0", "-threads 0: at least 1"),
        ("-classes -1", "-classes -1"),
        ("-read-vocab none", "-read-vocab none: no such file"),
        ("-output -", "-output -: standard output has the progress"),
    ],
)
def test_options_that_cannot_be_used(line, reason):
    with pytest.raises(CorpusError, match=re.escape(reason)):
        parsed(line)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("-train none -output v", "-train none: no such file"),
        ("-output v", "-train FILE is missing"),
        ("-train text -output v -window 0", "-window 0: 1 to"),
        ("-train text -output v -size -3", "-size -3: 1 to"),
        ("-train text -output v -negative 0", "neither -hs nor -negative"),
        ("-train text -output v -sample 2", "-sample 2: 0"),
        ("-train text -output v -iter 0", "-iter 0: at least 1"),
        ("-train text -output text", "text: is read in this run as well"),
        ("-train text -output none/v", "none/v: there is no directory none"),
        ("-train text -output v -classes 500 -min-count 1", "-classes 500: more classes than the"),
        ("-train text -output v -min-count 5000", "no word is left in the vocabulary after -min-count 5000"),
    ],
)
def test_bad_input_is_one_line(folder, w2v, line, reason):
    code, _, err = w2v(line)
    assert code == 1
    assert err.startswith(f"Error: {reason}")
    assert err.count("\n") == 1
    assert [path.name for path in folder.iterdir()] == ["text"]


# ---- what is printed and written


def test_output_lines_are_those_that_scripts_look_for(w2v_done):
    out = w2v_done(f"-train text {SMALL} -binary 1")
    first, second, third, progress = out.split("\n")
    assert first == "Starting training using file text"
    assert re.fullmatch(r"Vocab size: \d+", second)
    assert re.fullmatch(r"Words in train file: \d+", third)
    steps = progress.split("\r")
    assert steps[0] == ""
    pattern = r"Alpha: \d\.\d{6}  Progress: (\d+\.\d\d)%  Words/thread/sec: \d+\.\d\dk  "
    shares = [float(re.fullmatch(pattern, step)[1]) for step in steps[1:]]
    assert shares == sorted(shares)
    assert shares[-1] > 99.9


def test_less_is_printed_with_debug_1_and_0(w2v_done):
    assert w2v_done(f"-train text {SMALL} -debug 1").count("\n") == 3
    assert w2v_done(f"-train text {SMALL} -debug 0") == "Starting training using file text\n"


def test_the_two_forms_have_the_words_in_the_order_of_their_counts(folder, w2v_done):
    w2v_done(f"-train text {SMALL} -binary 1 -save-vocab vocab")
    w2v_done(f"-train text {SMALL.replace('.bin', '.txt')} -binary 0")
    vocab = Vocab.read("vocab")
    binary, text = library.load("vectors.bin"), library.load("vectors.txt")
    assert list(binary.words) == list(text.words) == list(vocab.words)
    assert vocab.words[0] == b"</s>"
    assert vocab.counts[0] == 300
    assert (np.diff(vocab.counts[1:]) <= 0).all()
    assert vocab.counts[1:].min() >= 2
    assert np.allclose(binary.vectors, text.vectors, atol=1e-6)
    assert (folder / "vectors.txt").read_bytes().startswith(b"%d 8\n</s> " % len(vocab))
    assert sorted(path.name for path in folder.iterdir()) == ["text", "vectors.bin", "vectors.txt", "vocab"]


def test_files_are_overwritten_as_there(folder, w2v_done):
    (folder / "vectors.bin").write_text("old")
    w2v_done(f"-train text {SMALL}")
    assert library.load("vectors.bin").dim == 8


def test_without_output_the_vocabulary_is_learnt_only(folder, w2v_done):
    out = w2v_done("-train text -save-vocab vocab -min-count 1")
    assert out.count("\n") == 3
    assert sorted(path.name for path in folder.iterdir()) == ["text", "vocab"]


def test_a_vocabulary_is_read_with_its_counts(folder, w2v_done):
    (folder / "vocab").write_text("</s> 300\nw2 9\nw1 50\nw3 2\n")
    out = w2v_done(f"-train text {SMALL} -min-count 3 -read-vocab vocab")
    assert "Vocab size: 4\nWords in train file: 361\n" in out  # -min-count 2 stands before
    out = w2v_done("-train text -min-count 3 -read-vocab vocab")
    assert "Vocab size: 3\nWords in train file: 359\n" in out


def test_classes_are_written_in_place_of_vectors(folder, w2v_done):
    w2v_done(f"-train text {SMALL} -classes 4 -save-vocab vocab")
    found = [line.split() for line in (folder / "vectors.bin").read_text().splitlines()]
    assert [word.encode() for word, _ in found] == list(Vocab.read("vocab").words)
    assert {int(label) for _, label in found} <= set(range(4))


def test_unknown_options_are_ignored_with_a_warning(w2v):
    code, _, err = w2v(f"-train text {SMALL} -windows 3")
    assert code == 0
    assert err == "".join(f"Warning: {it}: not an option of word2vec; ignored, as there\n" for it in ("-windows", "3"))


def test_the_vocabulary_is_that_of_the_reference_program(golden, folder, w2v_done):
    w2v_done(f"-train {golden}/toy/train.txt -save-vocab vocab")
    assert (folder / "vocab").read_bytes() == (golden / "word2vec" / "vocab.txt").read_bytes()


def test_a_vocabulary_that_is_read_is_saved_as_it_was(golden, folder, w2v_done):
    known = golden / "word2vec" / "vocab.txt"
    w2v_done(f"-train {golden}/toy/train.txt -read-vocab {known} -save-vocab vocab")
    assert (folder / "vocab").read_bytes() == known.read_bytes()
