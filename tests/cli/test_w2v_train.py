"""w2v train: what it writes and prints, for every option; what it refuses."""

import json
import re
import signal

import numpy as np
import pytest

import w2v as library
from corpora.text.vocab import Vocab
from w2v.run import Run

SMALL = "--size 8 --min-count 2 --iter 2 --threads 1"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The current directory: text, of 40 words, and more, which has others too."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(3)
    for name, first in (("text", 0), ("more", 20)):
        words = first + rng.zipf(1.5, size=(300, 8)).clip(max=40)
        (tmp_path / name).write_text("".join(" ".join(f"w{i}" for i in line) + "\n" for line in words))
    return tmp_path


def files(folder):
    return sorted(path.name for path in folder.iterdir())


# ---- what is written


def test_a_native_file_has_vectors_and_what_training_on_needs(folder, w2v):
    code, _, err = w2v(f"train text -o v {SMALL} --seed 3 --lower")
    assert code == 0, err
    vectors = library.load("v")
    assert vectors.dim == 8
    assert vectors.words[0] == b"</s>"
    assert vectors.counts[0] == 300
    assert (np.diff(vectors.counts[1:]) <= 0).all()
    assert list(vectors.state) == ["syn1neg"]
    assert vectors.state["syn1neg"].shape == vectors.vectors.shape
    assert vectors.training["config"]["seed"] == 3
    assert vectors.training["tokenizer"] == "whitespace+lower"
    assert [epoch["epoch"] for epoch in vectors.training["history"]] == [0, 1]
    assert files(folder) == ["more", "text", "v"]


@pytest.mark.parametrize(
    ("options", "state"),
    [("", {"syn1neg"}), ("--hs", {"syn1", "syn1neg"}), ("--hs --negative 0", {"syn1"})],
)
@pytest.mark.parametrize("architecture", ["--cbow", "--skipgram"])
def test_the_four_objectives_and_both_together(w2v_done, architecture, options, state):
    w2v_done(f"train text -o v {SMALL} {architecture} {options}")
    vectors = library.load("v")
    assert set(vectors.state) == state
    assert all(values.any() for values in vectors.state.values())
    assert vectors.training["config"]["architecture"] == architecture[2:]


@pytest.fixture(scope="module")
def plain():
    """The vectors of the text with SMALL alone, once they are trained."""
    return {}


@pytest.mark.parametrize(
    "options",
    ["--skipgram", "--negatives exact", "--cbow-update corrected", "--fixed-window", "--window 1", "--sample 1e-5",
     "--negative 2", "--hs", "--ns-exponent 0", "--alpha 0.01", "--iter 1", "--seed 2"],
)  # fmt: skip
def test_options_of_training_change_the_vectors(w2v_done, plain, options):
    if not plain:
        w2v_done(f"train text -o plain {SMALL}")
        plain["vectors"] = np.array(library.load("plain").vectors)
    w2v_done(f"train text -o other {SMALL} {options}")
    other = library.load("other")
    assert other.vectors.shape == plain["vectors"].shape
    assert np.isfinite(other.vectors).all()
    assert not np.array_equal(plain["vectors"], other.vectors)


@pytest.mark.parametrize("size", [1, 5, 16, 33])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_vectors_of_any_size_and_dtype(w2v_done, size, dtype):
    w2v_done(f"train text -o v {SMALL} --size {size} --dtype {dtype}")
    vectors = library.load("v").vectors
    assert vectors.shape[1] == size
    assert vectors.dtype == dtype


def test_the_number_of_threads_cannot_be_seen_with_deterministic(w2v_done):
    one, two, three = (w2v_done(f"train text -o - {SMALL} --deterministic --threads {n}") for n in (1, 2, 3))
    assert one == two == three


@pytest.mark.parametrize(
    ("options", "format"),
    [("-o v", "native"), ("-o v.w2v", "native"), ("-o v.bin", "binary"), ("-o v.txt", "text"), ("-o v.vec", "text"),
     ("-o v.txt.gz", "text"), ("-o v --binary", "binary"), ("-o v.bin --format text", "text"),
     ("-o v.txt --format native", "native")],
)  # fmt: skip
def test_the_format_is_that_of_the_option_or_of_the_name(w2v_done, options, format):
    from w2v import io as formats

    w2v_done(f"train text {SMALL} {options}")
    assert formats.sniff(options.split()[1]) == format


def test_seeds_make_runs_repeatable(w2v_done):
    first, second, third = (
        w2v_done(f"train text -o - {SMALL} --seed {seed}") for seed in (5, 5, 6)
    )  # fmt: skip
    assert first == second != third


def test_standard_input_and_output(folder, w2v):
    code, out, err = w2v(f"train - -o - {SMALL}", (folder / "text").read_bytes())
    assert code == 0
    head, first, *_ = out.splitlines()
    n_words = int(head.split()[0])
    assert head == f"{n_words} 8"
    assert first.startswith("</s> ")
    assert len(out.splitlines()) == n_words + 1
    assert "epoch  1" in err
    assert files(folder) == ["more", "text"]


def test_several_texts_and_patterns(folder, w2v_done):
    w2v_done(f"train text more -o both {SMALL}")
    w2v_done(f"train '[mt]*' -o pattern {SMALL}")
    assert sorted(library.load("both").words) == sorted(library.load("pattern").words)
    assert b"w45" in library.load("both")


def test_classes_are_written_in_place_of_vectors(folder, w2v_done):
    w2v_done(f"train text -o classes {SMALL} --classes 4 --save-vocab vocab")
    found = [line.split() for line in (folder / "classes").read_text().splitlines()]
    assert [word.encode() for word, _ in found] == list(Vocab.read("vocab").words)
    assert {int(label) for _, label in found} <= set(range(4))


def test_a_vocabulary_is_saved_and_read_again(folder, w2v_done):
    w2v_done(f"train text -o one {SMALL} --save-vocab vocab")
    for option in ("--vocab", "--read-vocab"):
        w2v_done(f"train text -o two {SMALL} -f {option} vocab")
        one, two = library.load("one"), library.load("two")
        assert list(one.words) == list(two.words)
        assert np.array_equal(one.vectors, two.vectors)


def test_a_vocabulary_may_be_limited(w2v_done):
    w2v_done(f"train text -o v {SMALL} --max-vocab 5")
    assert len(library.load("v")) == 5


# ---- what is printed


def test_a_line_an_epoch_on_standard_output_and_notes_beside(w2v):
    _, out, err = w2v(f"train text -o v {SMALL}")
    pattern = r"epoch +(\d+)  alpha \d\.\d{6}  loss \d+\.\d{4}  +\d+\.\dk words/s  \d+\.\d s"
    assert [re.fullmatch(pattern, line)[1] for line in out.splitlines()] == ["0", "1"]
    lines = [line for line in err.splitlines() if not line.startswith("compiled in ")]
    assert re.fullmatch(r"vocabulary: \d+ words", lines[0])
    assert re.fullmatch(r"text: 2700 words and sentence ends, \d\.\d\d% not trained", lines[1])
    assert re.fullmatch(r"memory: about \d+ MB \(.+ of vectors, .+ of copies and tables, .+ of ids\)", lines[2])
    assert re.fullmatch(r"v: \d+ vectors of size 8, native", lines[3])
    assert len(lines) == 4


def test_the_log_has_a_line_an_epoch(w2v_done):
    w2v_done(f"train text -o v {SMALL} --log log")
    with open("log") as file:
        lines = [json.loads(line) for line in file]
    epochs = [line for line in lines if line["kind"] == "epoch"]
    assert [line["epoch"] for line in epochs] == [0, 1]
    assert all(line["loss"] > 0 and line["words_per_second"] > 0 for line in epochs)
    assert epochs[0]["alpha"] > epochs[1]["alpha"]
    assert epochs[1]["words_done"] == 2 * epochs[0]["words_done"]
    history = library.load("v").training["history"]
    times = {"kind", "seconds", "words_per_second"}
    assert history == [{key: value for key, value in line.items() if key not in times} for line in epochs]


@pytest.mark.parametrize(
    "threads", [("--threads 1", "--threads 1"), ("--deterministic --threads 2", "--deterministic")]
)
def test_the_same_training_gives_the_same_file(folder, w2v_done, threads):
    for name, options in zip("ab", threads, strict=True):
        w2v_done(f"train text -o {name} {SMALL} {options}")
    assert (folder / "a").read_bytes() == (folder / "b").read_bytes()


# ---- interrupted in earnest (test_w2v_resume.py has the rest, in steps that can be counted)


@pytest.mark.parametrize("options", ["--threads 1 --hs", "--threads 2 --deterministic --skipgram"])
@pytest.mark.parametrize("share", [0.0, 0.4])
def test_an_interrupted_run_ends_bit_for_bit_as_one_that_was_not(folder, w2v, monkeypatch, options, share):
    (folder / "text").write_text((folder / "text").read_text() * 40)
    command = f"train text -o v --size 8 --iter 3 {options}"
    assert w2v(command.replace("-o v", "-o whole"))[0] == 0
    on_tick, done = Run._on_tick, []

    def interrupt_once(run, trainer):
        if trainer.progress.words >= share * 3 * trainer.total_words and not done:
            done.append(trainer.progress.words)
            signal.raise_signal(signal.SIGINT)
        return on_tick(run, trainer)

    monkeypatch.setattr(Run, "_on_tick", interrupt_once)
    monkeypatch.setattr("w2v.trainer._TICK", 1e-4)
    code, _, err = w2v(command)
    assert code == 130, err
    assert w2v(command)[0] == 0
    whole, resumed = library.load("whole"), library.load("v")
    assert np.array_equal(whole.vectors, resumed.vectors)
    for name, values in whole.state.items():
        assert np.array_equal(values, resumed.state[name]), name
    losses = [[epoch["loss"] for epoch in vectors.training["history"]] for vectors in (whole, resumed)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-12)


# ---- older vectors


def test_training_on_begins_with_the_vectors_of_the_file(w2v_done):
    """At a rate of next to nothing the vectors stay where they were."""
    w2v_done(f"train text -o old {SMALL}")
    w2v_done(f"train text -o new {SMALL} --init old --alpha 1e-30")
    old, new = library.load("old"), library.load("new")
    assert list(old.words) == list(new.words)
    assert np.array_equal(old.vectors, new.vectors)
    assert np.array_equal(old.state["syn1neg"], new.state["syn1neg"])
    assert np.array_equal(2 * old.counts, new.counts)


def test_new_words_are_added_if_wanted_and_others_keep_their_vectors(w2v):
    assert w2v(f"train text -o old {SMALL}")[0] == 0
    assert w2v(f"train more -o fixed {SMALL} --init old")[0] == 0
    code, _, err = w2v(f"train more -o grown {SMALL} --init old --grow-vocab")
    assert code == 0
    old, fixed, grown = (library.load(name) for name in ("old", "fixed", "grown"))
    assert set(fixed.words) == set(old.words) < set(grown.words)
    assert b"w21" in grown
    new = len(grown) - len(old)
    assert f"syn0, syn1neg; {new} words are new" in err
    for vectors in (fixed, grown):
        assert np.array_equal(vectors[b"w1"], old[b"w1"])  # more does not have it
    if b"w22" in old:
        assert not np.array_equal(fixed[b"w22"], old[b"w22"])


@pytest.mark.parametrize("name", ["old.bin", "old.txt", "old.txt.gz"])
def test_vectors_of_other_programs_are_trained_on(w2v_done, name):
    w2v_done(f"train text -o {name} {SMALL}")
    w2v_done(f"train text -o new {SMALL.replace('--size 8', '')} --init {name} --alpha 1e-30 --hs")
    assert np.allclose(library.load(name).vectors, library.load("new").vectors, atol=1e-6)


# ---- what is refused


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("train none -o v", "none: no such file"),
        ("train text -o text", "text: already exists; --force replaces it"),
        ("train text -o text -f", "text: is read in this run as well"),
        ("train text -o none/v", "none/v: there is no directory none"),
        ("train text -o v --log v", "v: both the vectors and the log"),
        ("train text -o v --save-vocab v", "v: both the vectors and the vocabulary"),
        ("train text -o v.w2v.gz", "v.w2v.gz: the native format is not compressed"),
        ("train text -o v.txt.xz --format text", "v.txt.xz: compressed files are written as .gz only"),
        ("train text -o v --min-count 5000", "no word is left in the vocabulary after --min-count 5000"),
        ("train text -o v --vocab none", "none: No such file"),
        ("train text -o v --vocab more", "more:1: expected"),
        ("train text -o v --init none", "none: No such file"),
        ("train text -o v --init text", "text:1: not word vectors"),
        ("train text -o v --classes 4000", "--classes 4000: more classes than the"),
        ("train --resume -o v", "v.checkpoint: no such file"),
        ("train empty -o v", "empty"),
        ("train one -o v --min-count 1", "one: 1 word is left to train, at least 2 are needed"),
        ("train text -o v --vocab list", "none of the words to train is in this text"),
        ("train text -o v --init v3 --size 8", "v3: vectors of size 3, where --size is 8"),
    ],
)
def test_bad_input_is_one_line(folder, w2v, line, reason):
    (folder / "empty").touch()
    (folder / "one").write_text("a a a\n")
    (folder / "list").write_text("x 9\ny 8\n")
    (folder / "v3").write_text("2 3\nw1 1 2 3\nw2 4 5 6\n")
    before = files(folder)
    code, out, err = w2v(line)
    assert code == 1
    *_, last = err.splitlines()
    assert last.startswith("Error: ")
    assert reason in last
    assert "Traceback" not in err
    assert out == ""
    assert files(folder) == before


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ("--size 0", "--size"),
        ("--size -3", "--size"),
        ("--window 0", "--window"),
        ("--sample 1.5", "--sample"),
        ("--sample -1", "--sample"),
        ("--negative 0", "neither --hs nor --negative"),
        ("--negative -1", "--negative"),
        ("--iter 0", "--iter"),
        ("--alpha 0", "--alpha"),
        ("--alpha nan", "--alpha"),
        ("--min-count 0", "--min-count"),
        ("--classes 0", "--classes"),
        ("--threads 0", "--threads"),
        ("--binary --format text", "--format cannot be used with --binary"),
        ("--classes 3 --binary", "--classes"),
        ("--vocab a --init b", "--read-vocab cannot be used with --init"),
        ("--vocab a --max-vocab 9", "cannot be used with"),
        ("--grow-vocab", "--grow-vocab needs --init"),
        ("--resume --size 5", "--size cannot be used with --resume"),
        ("--resume --force", "cannot be used with"),
        ("--log - --save-vocab -", "two outputs to standard output"),
    ],
)
def test_wrong_usage(folder, w2v, options, reason):
    code, _, err = w2v(f"train text -o v {options}")
    assert code == 2
    first, second = err.splitlines()
    assert first.startswith("Error: ")
    assert reason in first
    assert second == "Try 'w2v train --help'."
    assert files(folder) == ["more", "text"]


def test_a_text_is_needed_but_for_going_on(w2v):
    assert w2v("train -o v")[0] == 2


def test_standard_input_is_read_once_only(w2v):
    assert w2v("train - - -o v")[0] == 2
    assert w2v("train - --vocab - -o v")[0] == 2


def test_too_little_memory_is_told_before_it_is_taken(folder, w2v, monkeypatch):
    monkeypatch.setattr("corpora.jobs.run.available_memory", lambda: 1 << 20)
    code, _, err = w2v(f"train text -o v {SMALL}")
    assert code == 1
    assert "training needs about" in err
    assert "lower --size or --max-vocab, or raise --min-count" in err
    assert files(folder) == ["more", "text"]


@pytest.mark.filterwarnings("ignore")
def test_vectors_that_are_no_numbers_are_not_written(folder, w2v):
    code, _, err = w2v(f"train text -o v {SMALL} --alpha 1e300 --dtype float32")
    assert code == 1
    assert re.search(
        r"Error: training diverged in epoch \d+ \(.+\): lower --alpha \(1e\+300\); nothing is written$", err
    )
    assert files(folder) == ["more", "text"]


def test_an_output_that_fails_leaves_the_old_one(folder, w2v, monkeypatch):
    (folder / "v").write_text("old")

    def full(*args, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("w2v.io.native.write_tensors", full)
    code, _, err = w2v(f"train text -o v {SMALL} -f")
    assert code == 1
    assert "No space left on device" in err
    assert (folder / "v").read_text() == "old"
