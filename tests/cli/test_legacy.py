"""rnnlm 0.4b's own command line: what it printed and saved is printed and saved.

Compared with files that the toolkit wrote: those of tests/golden/rnnlm (PROVENANCE.md there).
"""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from corpora.errors import CorpusError, FormatError
from rnnlm import cli
from rnnlm.legacy import is_legacy, main
from rnnlm.legacy.options import Options, c_float, parse
from tests.golden_files import golden_bytes

EXPECTED = Path(__file__).resolve().parents[1] / "golden" / "rnnlm"
NETWORK = "-hidden 16 -class 10 -bptt 4 -bptt-block 10 -rand-seed 1"
SETS = {
    "full": "-hidden 12 -class 1 -bptt 0 -rand-seed 1",
    "classes": NETWORK,
    "oldclass": "-hidden 16 -class 10 -old-classes -bptt 3 -bptt-block 5 -rand-seed 2",
    "sentence": "-hidden 16 -class 10 -bptt 4 -bptt-block 10 -independent -rand-seed 3",
    "direct": "-hidden 8 -class 10 -bptt 4 -bptt-block 10 -direct 1 -direct-order 3 -rand-seed 4",
    "compress": "-hidden 16 -compression 6 -class 10 -bptt 4 -bptt-block 10 -rand-seed 5",
}
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[2])}
TRAIN = "-train train.txt -valid valid.txt -rnnlm m"


@pytest.fixture
def toy(golden, tmp_path, monkeypatch):
    """A working directory with the toy corpus in it."""
    for path in (golden / "toy").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def printed(capsysbinary):
    """Run a command line; what it printed, without the times."""

    def run(line: str, *more: str) -> bytes:
        capsysbinary.readouterr()
        assert main([*line.split(), *more]) == 0
        return re.sub(rb"Words/sec: [0-9.]+", b"Words/sec: X", capsysbinary.readouterr().out)

    return run


def small_text(folder: Path, name: str, n: int = 40) -> str:
    (folder / name).write_bytes(b"a b c\nb c d e\n" * n)
    return name


# ---- which command line it is


@pytest.mark.parametrize("first", ["-train", "-rnnlm", "-test", "-debug", "-hidden", "-gen", "-nbest", "-binary"])
def test_a_single_dash_long_option_of_the_toolkit_comes_first(first):
    assert is_legacy([first, "x"])


@pytest.mark.parametrize("argv", [[], ["-h"], ["--help"], ["train", "-train"], ["--train"], ["-x"], ["-m"], [""]])
def test_all_else_is_the_new_command_line(argv):
    assert not is_legacy(argv)


def test_deciding_loads_neither_numpy_nor_numba():
    code = """
import sys
from rnnlm.legacy import is_legacy, parse
is_legacy(["-train"]), parse(["-gen", "1", "-rnnlm", sys.executable])
print([name for name in ("numpy", "numba") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env=ENVIRONMENT)
    assert done.stdout.strip() == b"[]"


# ---- options


def parsed(line: str, folder: Path) -> Options:
    path = small_text(folder, "t")
    return parse([*line.split(), "-train", str(folder / path), "-one-iter", "-rnnlm", "m"])[0]


def test_real_numbers_pass_through_a_c_float(tmp_path):
    options = parsed("-alpha 0.3 -min-improvement 1.01", tmp_path)
    assert (options.alpha, options.min_improvement) == (float(np.float32(0.3)), float(np.float32(1.01)))
    assert options.beta == float(np.float32(1e-7))
    assert c_float(0.1) == 0.10000000149011612
    assert (c_float(1e60), c_float(-1e60)) == (math.inf, -math.inf)


@pytest.mark.parametrize(
    ("line", "field", "value"),
    [
        ("-bptt 4", "stored_bptt", 5),
        ("-bptt -3", "stored_bptt", 1),
        ("", "stored_bptt", 0),
        ("-bptt-block 0", "bptt_block", 1),
        ("-direct 2", "direct", 2_000_000),
        ("-direct -2", "direct", 0),
        ("-direct-order 21", "direct_order", 20),
        ("-anti-kasparek 5", "save_every", 10_000),
        ("-anti-kasparek 0", "save_every", 0),
        ("-hidden 5 -hidden 6", "hidden", 5),
    ],
)
def test_values_are_limited_as_the_toolkit_does(line, field, value, tmp_path):
    assert getattr(parsed(line, tmp_path), field) == value


def test_options_are_echoed_in_the_toolkits_order(toy, capsysbinary):
    model = small_text(toy, "none")  # no model: only the echo is printed
    with pytest.raises(FormatError):
        main(f"-rnnlm {model} -direct 2 -beta 1e-5 -gen 3 -independent -test test.txt -debug 1".split())
    assert capsysbinary.readouterr().out == (
        b"debug mode: 1\ntest file: test.txt\nGenerating # words: 3\nSentences will be processed independently...\n"
        b"Regularization: 0.000010\nDirect connections: 2M\nrnnlm file: none\n"
    )


def test_what_the_toolkit_would_not_look_at_is_told_and_ignored(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    small_text(tmp_path, "t")
    line = "-train t -one-iter -rnnlm m -hiden 5 -class 2 -hidden 2 -debug 0"
    assert main(line.split()) == 0
    assert capsys.readouterr().err.splitlines() == [
        "Warning: -hiden: not an option of rnnlm 0.4b; ignored, as there",
        "Warning: 5: not an option of rnnlm 0.4b; ignored, as there",
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("-train none -valid t -rnnlm m", "-train none: no such file"),
        ("-train t -valid none -rnnlm m", "-valid none: no such file"),
        ("-train t -rnnlm m", "-train needs -valid FILE, or -one-iter for one pass without validation"),
        ("-train t -valid t", "-rnnlm MODEL is missing: the model file to write or to read"),
        ("-rnnlm m", "nothing to do: give -train FILE, -test FILE or -gen WORDS"),
        ("-rnnlm none -test t", "-rnnlm none: no such model file"),
        ("-rnnlm t -test t", "t: not a model"),
        ("-hidden", "-hidden: its value is missing"),
        ("-train t -valid t -rnnlm m -hidden 1x", '-hidden: expected an integer, found "1x"'),
        ("-train t -valid t -rnnlm m -hidden 0", "-hidden 0: at least 1 unit is needed"),
        ("-train t -valid t -rnnlm m -hidden 9999999999", "-hidden 9999999999: at most 2147483647"),
        ("-train t -valid t -rnnlm m -class 0", "-class 0: at least 1"),
        ("-train t -valid t -rnnlm m -alpha nan", '-alpha: expected a finite number, found "nan"'),
        ("-train t -valid t -rnnlm m -beta 1e99", '-beta: expected a finite number, found "1e99"'),
        ("-train t -valid t -rnnlm m -alpha one", '-alpha: expected a number, found "one"'),
        ("-train t -valid t -rnnlm nowhere/m", "nowhere/m: there is no directory nowhere"),
        ("-train t -valid t -rnnlm .", ".: is a directory"),
        ("-train t -valid t -rnnlm t", "t: not a model"),
        ("-train empty -valid t -rnnlm m", "empty: no words"),
    ],
)
def test_what_cannot_be_done_is_one_line_on_stderr_and_exit_1(line, reason, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    small_text(tmp_path, "t")
    (tmp_path / "empty").touch()
    assert cli.run(line.split()) == 1
    error = capfd.readouterr().err
    assert error.startswith(f"Error: {reason}")
    assert error.count("\n") == 1
    assert not (tmp_path / "m").exists()


# ---- training


def test_a_training_run_prints_and_saves_what_the_toolkit_did(toy, printed):
    assert printed(f"{TRAIN} -debug 2 -exact {NETWORK}") == (EXPECTED / "train.out").read_bytes()
    assert Path("m.output.txt").read_bytes() == (EXPECTED / "train.output.txt").read_bytes()
    theirs = golden_bytes("rnnlm/classes.text").replace(b": toy/", b": ")
    assert Path("m").read_bytes() == theirs
    assert sorted(p.name for p in toy.iterdir()) == ["m", "m.output.txt", "test.txt", "train.txt", "valid.txt"]


@pytest.mark.parametrize("name", SETS)
def test_models_and_logs_are_equal_to_the_digit(name, golden, tmp_path, monkeypatch, printed):
    monkeypatch.chdir(golden)
    line = f"-train toy/train.txt -valid toy/valid.txt -binary -exact {SETS[name]}"
    log = printed(line, "-rnnlm", str(tmp_path / "m")).decode()
    entropies = re.compile(r"(Iter: +\d+)\tAlpha: ([\d.]+)\t   TRAIN entropy: ([\d.]+) .*VALID entropy: ([\d.]+)")
    assert entropies.findall(log) == entropies.findall((golden / "rnnlm" / f"{name}.binary.log").read_text())
    assert (tmp_path / "m").read_bytes() == golden_bytes(f"rnnlm/{name}.binary")


@pytest.mark.parametrize("name", SETS)
def test_the_fast_kernels_end_near_the_toolkit(name, golden, tmp_path, monkeypatch, printed):
    # 0.02 bits, but for direct connections: on so small a text the halving can come an epoch later by a difference
    # in the last digit.  0.4b itself, built in float instead of double, is up to 0.09 bits apart after an epoch there
    monkeypatch.chdir(golden)
    log = printed(
        f"-train toy/train.txt -valid toy/valid.txt -debug 0 {SETS[name]}", "-rnnlm", str(tmp_path / "m")
    ).decode()
    ours, theirs = (
        float(re.findall(r"VALID entropy: ([\d.]+)", text)[-1])
        for text in (log, (golden / "rnnlm" / f"{name}.binary.log").read_text())
    )
    assert abs(ours - theirs) < (0.05 if name == "direct" else 0.02)


def test_a_model_that_exists_is_trained_on(toy, printed):
    printed(f"{TRAIN} -exact -max-iter 1 -debug 2 {NETWORK}")
    # its architecture is the file's; -alpha is the command line's
    assert printed(f"{TRAIN} -debug 2 -exact -max-iter 3 -alpha 0.2") == (EXPECTED / "resume.out").read_bytes()
    assert Path("m.output.txt").read_bytes() == (EXPECTED / "resume.output.txt").read_bytes()


def test_an_interrupted_epoch_goes_on_from_the_saved_word(toy, printed, monkeypatch, capsysbinary):
    import rnnlm.legacy.train as module

    saved, save = [], module.save_model

    def save_twice(lm, *where):
        save(lm, *where)
        saved.append(lm.training["train_position"])
        if len(saved) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(module, "save_model", save_twice)
    with pytest.raises(KeyboardInterrupt):
        main(f"{TRAIN} -exact -anti-kasparek 12000 -independent -binary {NETWORK}".split())
    assert saved == [12000, 24000]
    monkeypatch.setattr(module, "save_model", save)
    assert printed(f"{TRAIN} -debug 2 -max-iter 1 -exact") == (EXPECTED / "interrupted.out").read_bytes()
    assert b"save after processing # words: 12000\n" in Path("m").read_bytes()


def test_one_iteration_needs_no_validation_text_and_is_not_counted(toy, printed):
    out = printed("-train valid.txt -one-iter -rnnlm m -hidden 5 -class 4 -debug 0")
    assert out.count(b"Iter:   0") == 2
    assert b"VALID" not in out
    head = Path("m").read_bytes()[:1000]
    assert b"validation data file: \n" in head
    assert b"number of finished iterations: 0\n" in head
    assert not Path("m.output.txt").exists()
    again = printed("-train valid.txt -one-iter -rnnlm m -debug 0")
    first, second = (float(re.search(rb"TRAIN entropy: ([\d.]+)", log)[1]) for log in (out, again))
    assert second < first


def test_no_iteration_is_done_beyond_max_iter(toy, printed):
    printed(f"{TRAIN} -max-iter 1 -hidden 4 -class 4")
    before = Path("m").read_bytes()
    assert b"Iter" not in printed(f"{TRAIN} -max-iter 1")
    assert Path("m").read_bytes() == before


def test_more_classes_than_words_are_warned_of(tmp_path, monkeypatch, printed):
    monkeypatch.chdir(tmp_path)
    small_text(tmp_path, "t")
    assert b"WARNING: number of classes exceeds vocabulary size!\n" in printed("-train t -one-iter -rnnlm m -hidden 2")
    assert len(printed("-rnnlm m -gen 20 -debug 0")) > 0


def test_a_run_that_diverges_leaves_the_model_as_it_was(toy, printed, capsysbinary):
    printed(f"{TRAIN} -max-iter 1 -hidden 4 -class 4")
    before = Path("m").read_bytes()
    assert cli.run(f"{TRAIN} -alpha 1e30 -gradient-cutoff 0".split()) == 1
    error = capsysbinary.readouterr().err
    assert re.fullmatch(
        rb"Error: training diverged in epoch 1 near word \d+: lower -alpha .* or set -gradient-cutoff \(0: off\)\n",
        error,
    )
    assert Path("m").read_bytes() == before


def test_a_native_model_is_not_overwritten_by_training(toy, printed, capsysbinary):
    from rnnlm.io import load, save

    printed("-train valid.txt -one-iter -rnnlm m -hidden 4 -class 4")
    save(load("m"), "m", "native")
    before = Path("m").read_bytes()
    assert cli.run(TRAIN.split()) == 1
    assert b"a native model; -train goes on with those of the RNNLM toolkit only" in capsysbinary.readouterr().err
    assert Path("m").read_bytes() == before


# ---- testing


@pytest.mark.parametrize("name", SETS)
def test_the_test_output_is_equal_byte_for_byte(name, golden, monkeypatch, printed):
    monkeypatch.chdir(golden)
    model = f"rnnlm/{name}.binary" + (".gz" if name == "direct" else "")
    out = printed(f"-rnnlm {model} -test toy/test.txt -debug 2").replace(b".binary.gz\n", b".binary\n")
    assert out == golden_bytes(f"rnnlm/{name}.test.debug2")


def test_less_is_printed_at_lower_levels(golden, monkeypatch, printed):
    monkeypatch.chdir(golden)
    line = "-rnnlm rnnlm/full.text.gz -test toy/test.txt -debug"
    assert printed(f"{line} 0") == b""
    assert re.fullmatch(
        rb"debug mode: 1\ntest file: .*\nrnnlm file: .*\n\ntest log probability: -\d+\.\d{6}\n\nPPL net: \d+\.\d{6}\n",
        printed(f"{line} 1"),
    )


def test_unknown_words_are_no_unk(tmp_path, monkeypatch, printed):
    monkeypatch.chdir(tmp_path)
    Path("t").write_bytes(b"a <unk> b\n" * 30)
    Path("other").write_bytes(b"a zzz b\n")
    printed("-train t -one-iter -rnnlm m -hidden 3 -class 2")
    rows = printed("-rnnlm m -test other -debug 2").splitlines()
    assert b"-1\t0\t\tOOV" in rows
    assert not any(row.endswith(b"<unk>") for row in rows)


@pytest.mark.parametrize(("name", "expected"), [("classes", b"-5595.187777"), ("direct", b"-5280.465516")])
def test_dynamic_evaluation_learns_from_what_it_scores(name, expected, golden, toy, printed):
    # the totals of 0.4b with its counter of words set to 0 before the text (it is not initialised there)
    lines = (toy / "train.txt").read_bytes().splitlines(keepends=True)
    (toy / "tail").write_bytes(b"".join(lines[-500:]))
    model = golden / "rnnlm" / (f"{name}.binary" + (".gz" if name == "direct" else ""))
    assert b"\ntest log probability: " + expected + b"\n" in printed("-test tail -dynamic 0.1 -rnnlm", str(model))


# ---- generating


@pytest.mark.parametrize("name", ["classes", "sentence", "direct"])
def test_the_generated_text_is_the_toolkits(name, golden, printed):
    model = golden / "rnnlm" / (f"{name}.binary" + (".gz" if name == "direct" else ""))
    assert printed("-gen 200 -rand-seed 7 -debug 0 -rnnlm", str(model)) == (EXPECTED / f"gen.{name}.out").read_bytes()


def test_a_compression_layer_is_used_in_generating(golden, printed):
    # 0.4b leaves it out; a text that the model finds as probable as real text shows that it is not left out here
    from rnnlm.io import load

    model = golden / "rnnlm" / "compress.binary"
    text = printed("-gen 3000 -rand-seed 3 -debug 0 -rnnlm", str(model)).replace(b"\n", b" </s> ").split()
    lm = load(model)
    scored, _ = lm.score(text, lm.state_from(lm.start_hidden))
    drawn = -scored.log10_prob.mean() / np.log10(2)
    real = 3.7745  # bits a word of the validation text, compress.binary.log
    assert abs(drawn - real) < 0.25


# ---- the way there


def test_the_command_takes_the_old_command_line(toy):
    code = "import sys; from rnnlm.cli import run; sys.exit(run())"
    line = "-train valid.txt -one-iter -rnnlm m -hidden 4 -class 4 -debug 0 -gen 5"
    done = subprocess.run([sys.executable, "-c", code, *line.split()], capture_output=True, env=ENVIRONMENT)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(b"Starting training using file valid.txt\nIter:   0\tAlpha: 0.100000\t   \rIter:")
    done = subprocess.run([sys.executable, "-c", code, "-test"], capture_output=True, env=ENVIRONMENT)
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"Error: -test: its value is missing\n")


def test_errors_are_raised_for_the_callers_of_main():
    with pytest.raises(CorpusError, match="nothing to do"):
        main(["-debug", "2"])
