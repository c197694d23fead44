"""What users give by mistake to the rnnlm command: one line, an exit code, and nothing half-written."""

import errno
import os
import signal

import numpy as np
import pytest

import rnnlm as library
from corpora.files import output as files
from rnnlm.model import RecurrentLM
from rnnlm.trainer import Trainer

posix = pytest.mark.skipif(os.name != "posix", reason="signals, pipes and devices of POSIX")
TRAIN = "train train.txt --valid valid.txt -o m --hidden 4 --class 1 --max-iter 2"


@pytest.fixture
def files_of_all_kinds(folder):
    """The folder with files and a directory that cannot be what they are taken for."""
    (folder / "empty.txt").write_bytes(b"")
    (folder / "blank.txt").write_bytes(b"\n \n\t\n")
    (folder / "unknown.txt").write_bytes(b"<unk>\n" * 30)
    (folder / "one.txt").write_bytes(b"a sentence\n")
    (folder / "utf16.txt").write_bytes("a text\n".encode("utf-16"))
    (folder / "rubbish").write_bytes(bytes(np.random.default_rng(1).integers(0, 256, 5000, dtype=np.uint8)))
    (folder / "damaged.gz").write_bytes(b"\x1f\x8b\x08\x00" + b"rubbish" * 20)
    (folder / "archive.zip").write_bytes(b"PK\x03\x04" + bytes(100))
    (folder / "twice.vocab").write_bytes(b"</s>\ncat\neat\ncat\n")
    (folder / "foreign.vocab").write_bytes(b"</s>\nkatze\nhund\n")
    data = (folder / "small.rnnlm").read_bytes()
    for n in (5, 300, len(data) // 2, len(data) - 1):
        (folder / f"cut{n}.rnnlm").write_bytes(data[:n])
    (folder / "cut").write_bytes(data[:2000])
    (folder / "longer.rnnlm").write_bytes(data + b"more")
    (folder / "model.arpa").write_bytes(b"\\data\\\nngram 1=3\n")
    (folder / "texts").mkdir()
    return folder


BAD_INPUT = [
    # texts
    ("train nothing.txt -o m", "nothing.txt: no such file"),
    ("train 'no*.txt' -o m", "no*.txt: no file matches this pattern"),
    ("train texts -o m", "texts: no files in this directory"),
    ("train train.txt --valid nothing.txt -o m", "nothing.txt: no such file"),
    ("train empty.txt -o m", "empty.txt: no words"),
    ("train blank.txt -o m", "blank.txt: no words"),
    ("train train.txt --valid empty.txt -o m", "empty.txt: no words"),
    ("train one.txt -o m --class 1", "1 sentence is too few to hold some out for validation; give --valid"),
    ("train utf16.txt -o m", "utf16.txt: UTF-16 text; convert it to UTF-8"),
    ("train damaged.gz -o m", "damaged.gz: damaged or cut-short gzip data"),
    ("train archive.zip -o m", "archive.zip: a zip archive; unpack it first"),
    ("ppl -m small.rnnlm nothing.txt", "nothing.txt: no such file"),
    ("ppl -m small.rnnlm empty.txt", "empty.txt: no words"),
    ("ppl -m small.rnnlm blank.txt", "blank.txt: no words"),
    ("ppl -m small.rnnlm", "-: no words"),
    ("surprisal -m small.rnnlm utf16.txt", "utf16.txt: UTF-16 text"),
    # vocabularies
    ("train unknown.txt -o m --class 1", "unknown.txt: no words to train on"),
    ("train train.txt --min-count 100000 -o m", "no word is left in the vocabulary after --min-count 100000"),
    (
        "train train.txt --valid valid.txt --min-count 100000 -o m",
        "no word is left in the vocabulary after --min-count",
    ),
    ("train train.txt --vocab twice.vocab -o m", "twice.vocab:4: the word cat is there twice"),
    ("train train.txt --vocab empty.txt -o m", "empty.txt: no words"),
    (
        "train train.txt --vocab foreign.vocab -o m --class 1",
        "foreign.vocab: none of its words is in the training text",
    ),
    (
        "train one.txt --valid valid.txt -o m --cell lstm",
        "--batch-size 20: more than the 3 words of the training text; lower it",
    ),
    ("train train.txt --class 31 -o m", "--class 31: more classes than the 30 words of the vocabulary; lower it"),
    # what is written
    ("train train.txt -o small.rnnlm", "small.rnnlm: already exists; --force replaces it"),
    ("train train.txt -o m --log valid.txt", "valid.txt: already exists; --force replaces it"),
    ("train train.txt -o texts", "texts: is a directory; give the name of a file"),
    ("train train.txt -o no/m", "no/m: there is no directory no"),
    ("train train.txt -o train.txt --force", "train.txt: is read in this run as well"),
    ("train train.txt -o m --log ./train.txt --force", "train.txt: is read in this run as well"),
    ("train train.txt --vocab twice.vocab -o twice.vocab -f", "twice.vocab: is read in this run as well"),
    ("train train.txt -o m --log m", "m: both the model and the log"),
    ("train train.txt -o /dev/null", "/dev/null: not an ordinary file"),
    ("convert small.rnnlm -o train.txt --to 0.4b-text", "train.txt: already exists; --force replaces it"),
    # models
    ("ppl -m nothing.rnnlm test.txt", "nothing.rnnlm: No such file or directory"),
    ("ppl -m texts test.txt", "texts: a directory, where a model file is expected"),
    ("ppl -m empty.txt test.txt", "empty.txt: empty, where a model file is expected"),
    ("ppl -m train.txt test.txt", "train.txt: not a model"),
    ("ppl -m rubbish test.txt", "rubbish: not a model"),
    ("ppl -m model.arpa test.txt", 'model.arpa:2: expected "\\1-grams:", found the end of the file: cut short?'),
    ("ppl -m damaged.gz test.txt", "damaged.gz: damaged or cut-short gzip data"),
    ("ppl -m cut5.rnnlm test.txt", "cut5.rnnlm: "),
    ("ppl -m cut300.rnnlm test.txt", "cut300.rnnlm: cut short"),
    ("ppl -m longer.rnnlm test.txt", "longer.rnnlm: rubbish at the end"),
    ("surprisal -m small.rnnlm -m cut test.txt", "cut: cut short"),
    ("generate -m cut", "cut: cut short"),
    ("info cut", "cut: cut short"),
    ("info rubbish", "rubbish: not a model"),
    ("convert cut -o m --to native", "cut: cut short"),
    ("ppl -m small.rnnlm test.txt --oov unk", "--oov unk: the model's vocabulary has no <unk>; use --oov skip"),
]


@pytest.mark.parametrize(("line", "part"), BAD_INPUT, ids=[line for line, _ in BAD_INPUT])
def test_bad_input_is_one_line_and_1(files_of_all_kinds, refused, line, part):
    refused(line, 1, part)


WRONG_USAGE = [
    ("train", "TEXT"),
    ("train train.txt", "--output"),
    ("train train.txt -o -", "--output -: is not written to standard output; give a file"),
    ("train train.txt -o m --log -", "--log -: is not written to standard output; give a file"),
    ("train - --valid - -o m", "standard input (-) can be read once only"),
    ("train train.txt -o m --hidden 0", "'--hidden': 0 is not in the range x>=1"),
    ("train train.txt -o m --class 0", "'--class'"),
    ("train train.txt --output-layer hierarchical --class 5 -o m", "--class 5: --output-layer hierarchical"),
    ("train train.txt --loss nce -o m", "--loss nce: only of --engine minibatch"),
    ("train train.txt --engine minibatch --loss nce -o m", "--loss nce: only for a softmax over all words"),
    ("train train.txt --cell lstm --full-epochs 2 -o m", "--full-epochs 2: only with --loss sampled or nce"),
    ("train train.txt --cell lstm --loss nce --log-z 1e30 -o m", "'--log-z'"),
    ("train train.txt -o m --cell perceptron", "'--cell': 'perceptron' is not one of 'elman', 'jordan'"),
    ("train train.txt -o m --cell jordan --class 5", "--class 5: --cell jordan has only 1"),
    ("train train.txt -o m --cell jordan --compression 5", "--compression 5: --cell jordan has none"),
    ("train train.txt -o m --cell jordan --direct 1", "--direct 1000000: --cell jordan has none"),
    ("train train.txt -o m --cell jordan --compatible", "--compatible: rnnlm 0.4b has no --cell jordan"),
    ("train train.txt -o m --alpha -0.1", "'--alpha': -0.1 is not in the range x>0"),
    ("train train.txt -o m --alpha 0", "'--alpha'"),
    ("train train.txt -o m --alpha nan", "'--alpha': nan is not a finite number"),
    ("train train.txt -o m --alpha inf", "'--alpha'"),
    ("train train.txt -o m --alpha 1e-60 --compatible", "--alpha 0.0: above 0"),
    ("train train.txt -o m --alpha 1e60 --compatible", "--alpha: not a finite number"),
    ("train train.txt -o m --alpha fast", "'--alpha': 'fast' is not a valid float"),
    ("train train.txt -o m --beta -1", "'--beta'"),
    ("train train.txt -o m --gradient-cutoff -1", "'--gradient-cutoff'"),
    ("train train.txt -o m --min-improvement 0", "'--min-improvement'"),
    ("train train.txt -o m --init-scale 0", "'--init-scale'"),
    ("train train.txt -o m --direct nan", "'--direct'"),
    ("train train.txt -o m --direct inf", "'--direct'"),
    ("train train.txt -o m --direct -1", "'--direct'"),
    ("train train.txt -o m --direct-order 0", "'--direct-order': 0 is not in the range 1<=x<=20"),
    ("train train.txt -o m --direct-order 21", "'--direct-order': 21 is not in the range 1<=x<=20"),
    ("train train.txt -o m --bptt -1", "'--bptt'"),
    ("train train.txt -o m --bptt-block 0", "'--bptt-block'"),
    ("train train.txt -o m --max-iter 0", "'--max-iter'"),
    ("train train.txt -o m --valid-share 0.9", "'--valid-share'"),
    ("train train.txt -o m --valid valid.txt --valid-share 0.1", "--valid cannot be used with --valid-share"),
    ("train train.txt -o m --vocab v --min-count 2", "--vocab cannot be used with --min-count"),
    ("train train.txt -o m --compatible --init he", "--init cannot be used with --compatible"),
    ("train train.txt -o m --checkpoint 0", "'--checkpoint'"),
    # layers, batches, optimizers, schedules, dropout
    ("train train.txt -o m --layers 0", "'--layers': 0 is not in the range x>=1"),
    ("train train.txt -o m --batch-size 0", "'--batch-size': 0 is not in the range x>=1"),
    (
        "train train.txt -o m --batch-size 4 --engine online",
        "--batch-size 4: --engine online learns from one word after",
    ),
    ("train train.txt -o m --cell lstm --engine online", "--engine online: only for one layer of elman or jordan"),
    ("train train.txt -o m --cell lstm --bptt 0", "--bptt 0: a block has at least 1 word"),
    ("train train.txt -o m --cell lstm --compatible", "--compatible: rnnlm 0.4b has no --cell lstm"),
    ("train train.txt -o m --cell lstm --beta 1e-6", "--beta: --engine minibatch has no use for it"),
    ("train train.txt -o m --cell lstm --bptt-block 5", "--bptt-block: --engine minibatch has no use for it"),
    (
        "train train.txt -o m --cell lstm --tied --embedding 7",
        "--tied: the embedding has 7 units, the layer below the output 100: make --embedding the same",
    ),
    (
        "train train.txt -o m --cell lstm --tied --class 9",
        "--tied: only with a softmax over all words (--class 1), not 9",
    ),
    (
        "train train.txt -o m --optimizer adamw",
        "'--optimizer': 'adamw' is not one of 'sgd', 'adagrad', 'rmsprop', 'adam'",
    ),
    ("train train.txt -o m --optimizer adam", "--optimizer: --engine online has no use for it"),
    ("train train.txt -o m --cell lstm --momentum 0.9", "--momentum: --optimizer adam has no use for it"),
    ("train train.txt -o m --cell lstm --optimizer sgd --beta1 0", "--beta1: --optimizer sgd has no use for it"),
    ("train train.txt -o m --cell lstm --samples 9", "--samples: --loss full has no use for it"),
    ("train train.txt -o m --cell lstm --loss sampled --log-z 8", "--log-z: --loss sampled has no use for it"),
    ("train train.txt -o m --cell gru --activation relu", "--activation: --cell gru has no use for it"),
    ("train train.txt -o m --class 1 --old-classes", "--old-classes: --class 1 has no use for it"),
    ("train train.txt -o m --direct-order 4", "--direct-order: --direct 0 has no use for it"),
    ("train train.txt -o m --cell lstm --tied --compression 9", "--tied: only without --compression"),
    ("train train.txt -o m --cell lstm --beta1 1", "'--beta1': 1.0 is not in the range 0<=x<1"),
    ("train train.txt -o m --cell lstm --beta2 1", "'--beta2': 1.0 is not in the range 0<=x<1"),
    ("train train.txt -o m --cell lstm --clip-norm -1", "'--clip-norm'"),
    ("train train.txt -o m --schedule stairs", "'--schedule': 'stairs' is not one of 'halving', 'constant'"),
    ("train train.txt -o m --schedule linear --min-improvement 2", "--min-improvement: --schedule linear has no use"),
    ("train train.txt -o m --schedule onecycle --warmup 0.1", "--warmup 0.1: --schedule onecycle has its own"),
    ("train train.txt -o m --warmup -1", "'--warmup'"),
    ("train train.txt -o m --schedule cosine --compatible", "--compatible: rnnlm 0.4b has no --schedule cosine"),
    (
        "train train.txt -o m --average 2",
        "--average 2: --schedule halving does not know its last epochs; choose another",
    ),
    ("train train.txt -o m --schedule linear --average 21", "--average 21: more than --max-iter 20"),
    ("train train.txt -o m --cell lstm --dropout 1", "'--dropout': 1.0 is not in the range 0<=x<1"),
    ("train train.txt -o m --cell lstm --dropout-recurrent 1", "'--dropout-recurrent'"),
    ("train train.txt -o m --dropout 0.5", "--dropout: --engine online has no use for it"),
    ("train train.txt -o m --cell lstm --locked", "--locked: there is no --dropout"),
    ("train train.txt -o m --cell lstm --dropout-input 0.1", "--dropout-input 0.1: only with an --embedding"),
    ("train train.txt -o m --cell lstm --dropout-words 0.1", "--dropout-words 0.1: only with an --embedding"),
    (
        "train train.txt -o m --cell lstm --dropout-between 0.1",
        "--dropout-between 0.1: only with more than 1 of --layers",
    ),
    ("train train.txt -o m --snapshot 0", "'--snapshot'"),
    ("train train.txt -o m --tmp nowhere", "'--tmp': Directory 'nowhere' does not exist"),
    ("train train.txt -o m --tokenizer words", "'--tokenizer': 'words' is not one of"),
    ("train train.txt -o m --activation sigmoid", "'--activation'"),
    ("train train.txt -o m --learning-rate 1", "--learning-rate"),
    ("ppl test.txt", "--model"),
    ("ppl -m small.rnnlm --tokenizer words", "'--tokenizer': 'words' is not one of"),
    ("ppl -m small.rnnlm --report all", "'--report'"),
    ("ppl -m small.rnnlm --dynamic 0", "'--dynamic': 0.0 is not in the range x>0"),
    ("ppl -m small.rnnlm --dynamic nan", "'--dynamic'"),
    ("ppl -m small.rnnlm --oov floor --floor 1", "'--floor'"),
    ("ppl -m small.rnnlm --oov floor --floor=-inf", "'--floor'"),
    ("generate -m small.rnnlm --temperature -1", "'--temperature'"),
    ("generate -m small.rnnlm --temperature nan", "'--temperature'"),
    ("generate -m small.rnnlm --words 0", "'--words'"),
    ("convert small.rnnlm -o m", "the format of m is to be said: --to native, arpa, 0.4b-text, 0.4b-binary"),
    ("convert small.rnnlm -o m --to keras", "'--to'"),
    ("convert small.rnnlm -o m --to native --activation logistic", "'--activation'"),
]


@pytest.mark.parametrize(("line", "part"), WRONG_USAGE, ids=[line for line, _ in WRONG_USAGE])
def test_wrong_usage_is_one_line_with_the_way_to_help_and_2(folder, refused, line, part):
    refused(line, 2, part)


def test_an_unreadable_file(folder, rnnlm, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may read everything
    assert rnnlm("train train.txt -o m") == (1, "", "Error: train.txt: cannot be read (permission denied)\n")


# ---- texts that are odd, but texts


def test_rubbish_goes_through_as_words(files_of_all_kinds, rnnlm, done):
    code, _, err = rnnlm("train rubbish --valid rubbish -o m --hidden 4 --class 1 --max-iter 1 --min-count 1")
    assert code == 0, err
    assert done("ppl -m m rubbish")
    done("generate -m m --words 50")
    assert "OOVs" in done("ppl -m small.rnnlm rubbish")


def test_a_vocabulary_of_one_word(folder, done):
    (folder / "a.txt").write_bytes(b"a a\n" * 50)
    done("train a.txt --valid a.txt -o m --hidden 3 --class 1 --max-iter 20")
    assert set(library.load("m").vocab.words) == {b"</s>", b"a"}
    assert set(done("generate -m m --words 9").split()) == {"a"}
    (folder / "cat.vocab").write_bytes(b"cat\n")
    done("train train.txt --valid valid.txt --vocab cat.vocab -o cat --hidden 3 --class 2 --max-iter 1")
    assert list(library.load("cat").vocab.words) == [b"</s>", b"cat"]


@pytest.mark.parametrize(
    "text", ["train.txt --valid train.txt", "train.txt --valid ./train.txt", "'tr*' --valid copy.txt"]
)
def test_validation_on_the_training_text_is_warned_of(folder, rnnlm, text):
    (folder / "copy.txt").write_bytes((folder / "train.txt").read_bytes())
    code, _, err = rnnlm(f"train {text} -o m --hidden 4 --class 1 --max-iter 1")
    assert code == 0
    assert "Warning: the validation text is the training text, so that nothing tells when to stop\n" in err
    assert "Warning" not in rnnlm(TRAIN + " --force")[2]


def test_models_of_different_tokenizers_need_one_to_be_named(folder, refused, rnnlm):
    assert rnnlm(f"{TRAIN} --tokenizer word")[0] == 0
    both = "surprisal -m small.rnnlm -m m test.txt"
    refused(both, 1, "different tokenizers (whitespace, word): give --tokenizer")
    assert rnnlm(f"{both} --tokenizer whitespace")[0] == 0


# ---- full disks, little memory, divergence


class Full:
    """A file on a disk that is full."""

    def __init__(self, file):
        self._file = file

    def write(self, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    def __getattr__(self, name):
        return getattr(self._file, name)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._file.close()


def test_a_full_disk_leaves_the_old_file(folder, contents, rnnlm, monkeypatch):
    opened = files._open
    monkeypatch.setattr(files, "_open", lambda path, mode: Full(opened(path, mode)))
    before = contents()
    reason = "cannot be written (No space left on device)"
    for line in ("convert small.rnnlm -o m --to 0.4b-text", "convert small.rnnlm -o m --to native", TRAIN):
        code, out, err = rnnlm(line)
        assert (code, out, err.splitlines()[-1]) == (1, "", f"Error: m: {reason}")
        assert contents() == before
    for line in ("convert small.rnnlm -o test.txt -f --to native", TRAIN.replace("-o m", "-o test.txt -f")):
        code, out, err = rnnlm(line)
        assert (code, out, err.splitlines()[-1]) == (1, "", f"Error: test.txt: {reason}; the old file is unchanged")
        assert contents() == before


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_device_that_is_full(folder, rnnlm, start_rnnlm):
    assert rnnlm("convert small.rnnlm -o /dev/full --to native") == (
        1, "", "Error: /dev/full: cannot be written (No space left on device)\n",
    )  # fmt: skip
    with open("/dev/full", "wb") as full, start_rnnlm("surprisal -m small.rnnlm test.txt", stdout=full) as process:
        err = process.stderr.read()
    assert process.returncode == 1
    assert err == b"Error: the output: No space left on device\n"


def test_too_little_memory_is_refused_with_the_figures(folder, refused, rnnlm, monkeypatch):
    monkeypatch.setattr("corpora.jobs.run.available_memory", lambda: 300_000_000)
    assert rnnlm(TRAIN)[0] == 0
    for options, figure in (("--direct 1000", "4.0 GB"), ("--hidden 10000", "815 MB")):
        line = f"train train.txt --valid valid.txt -o m2 --class 1 {options}"
        refused(
            line, 1,
            f"training needs about {figure} more of memory (",
            "300 MB are free: lower --hidden, --direct or --max-vocab",
        )  # fmt: skip


def test_direct_connections_beyond_all_memory(folder, refused):
    refused("train train.txt -o m --class 1 --direct 1e9", 1, "training needs about", "lower --hidden")


def test_divergence_says_what_to_lower(folder, contents, refused, rnnlm):
    line = "train train.txt --valid valid.txt -o m --hidden 4 --class 1 --alpha 1e6 --activation relu"
    refused(line, 1, "training diverged in epoch 0", "lower --alpha (1e+06)", "; nothing is written")
    before = contents()
    code, _, err = rnnlm(line.replace("-o m", "-o small.rnnlm --force"))
    assert (code, contents()) == (1, before)
    assert err.splitlines()[-1].endswith("; nothing is written")


@pytest.mark.parametrize("where", ["O", "U"])
def test_divergence_keeps_the_best_epoch(folder, rnnlm, done, monkeypatch, where):
    learn = Trainer.learn

    def learn_and_spoil(self, *arguments):
        learn(self, *arguments)
        if self.progress.epoch == 1:
            # in O it is found by the scores, in the input row of a word that no text has by looking at it
            self.model.params[where][0 if where == "O" else self.model.vocab.index("zebra")] = np.nan

    monkeypatch.setattr(Trainer, "learn", learn_and_spoil)
    (folder / "list.vocab").write_bytes(b"\n".join(library.load("small.rnnlm").vocab.words) + b"\nzebra\n")
    code, out, err = rnnlm(f"{TRAIN} --vocab list.vocab")
    assert code == 1
    assert err.splitlines()[-1].startswith("Error: training diverged in epoch 1")
    assert err.splitlines()[-1].endswith("; m holds the best epoch")
    assert "lower --alpha (0.1)" in err
    assert len(out.splitlines()) == 1
    assert len(library.load("m").history) == 1
    assert done("ppl -m m test.txt")


def test_dynamic_evaluation_that_diverges(folder, refused, rnnlm):
    assert rnnlm(f"{TRAIN} --activation relu")[0] == 0
    refused("ppl -m m test.txt --dynamic 1e9", 1, "diverged at word", "lower --dynamic (1e+09)")


# ---- ended from outside


@posix
def test_a_closed_pipe_is_no_error(folder, start_rnnlm):
    (folder / "long.txt").write_text((folder / "train.txt").read_text() * 3)
    with start_rnnlm("surprisal -m small.rnnlm long.txt") as process:
        assert process.stdout.readline().startswith(b"sentence\tposition")
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


@posix
def test_ctrl_c_while_text_is_read(folder, start_rnnlm):
    with start_rnnlm("ppl -m small.rnnlm") as process:
        process.stdin.write(b"cat eat dog\n" * 100_000)  # more than a pipe holds: it is reading
        process.stdin.flush()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, b"", b"Interrupted.\n")


@pytest.mark.parametrize(
    "line", ["ppl -m small.rnnlm test.txt", "surprisal -m small.rnnlm test.txt", "generate -m small.rnnlm"]
)
def test_ctrl_c_while_the_model_works(folder, rnnlm, monkeypatch, line):
    monkeypatch.setattr(RecurrentLM, "_outputs", lambda *arguments: signal.raise_signal(signal.SIGINT))
    code, _, err = rnnlm(line)
    assert (code, err) == (130, "Interrupted.\n")


def test_ctrl_c_before_training_begins_leaves_nothing(folder, contents, rnnlm, monkeypatch):
    monkeypatch.setattr(Trainer, "warm_up", lambda self: signal.raise_signal(signal.SIGINT))
    before = contents()
    code, out, err = rnnlm(TRAIN)
    assert (code, out, err.splitlines()[-1]) == (130, "", "Interrupted.")
    assert contents() == before
