"""n-best lists and another model's probabilities on 0.4b's command line: printed as the toolkit printed it.

tests/golden/PROVENANCE.md says how the files of tests/golden/rnnlm were made.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from corpora.errors import FormatError
from corpora.text.inputs import open_text
from rnnlm import cli
from rnnlm.legacy import main
from rnnlm.legacy.nbest import read_list

EXPECTED = Path(__file__).resolve().parents[1] / "golden" / "rnnlm"


@pytest.fixture
def folder(golden, tmp_path, monkeypatch):
    """A working directory with list, list.prob, t (the beginning of a text) and t.prob."""
    monkeypatch.chdir(tmp_path)
    for name, source in (("list", "nbest.list"), ("list.prob", "nbest.prob"), ("t.prob", "mixed.prob")):
        Path(name).write_bytes((EXPECTED / source).read_bytes())
    text = (golden / "toy" / "test.txt").read_bytes().splitlines(keepends=True)
    Path("t").write_bytes(b"".join(text[:60]))
    return tmp_path


@pytest.fixture
def model(golden, folder):
    """model(name): the model of this name, as the file m."""

    def copy(name):
        with open_text(str(golden / "rnnlm" / f"{name}.binary{'.gz' if name == 'direct' else ''}")) as file:
            Path("m").write_bytes(file.read())

    return copy


@pytest.fixture
def printed(capsysbinary):
    def run(line):
        capsysbinary.readouterr()
        assert main(line.split()) == 0
        return capsysbinary.readouterr().out

    return run


@pytest.mark.parametrize("name", ["classes", "sentence", "direct"])
def test_an_nbest_list_is_scored_as_the_toolkit_does_byte_for_byte(name, model, printed):
    model(name)
    assert printed("-rnnlm m -test list -nbest") == (EXPECTED / f"nbest.{name}.out").read_bytes()


@pytest.mark.parametrize("name", ["classes", "sentence", "direct"])
def test_another_models_probabilities_are_mixed_with_hypotheses_byte_for_byte(name, model, printed):
    model(name)
    line = "-rnnlm m -test list -nbest -lm-prob list.prob -lambda 0.6"
    assert printed(line) == (EXPECTED / f"nbest.mixed.{name}.out").read_bytes()


def test_another_models_probabilities_are_mixed_with_a_text_byte_for_byte(model, printed):
    model("classes")
    assert printed("-rnnlm m -test t -lm-prob t.prob -debug 2") == (EXPECTED / "mixed.out").read_bytes()


def test_the_list_may_come_from_standard_input(model, printed, monkeypatch):
    import io
    import sys

    model("classes")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(Path("list").read_bytes())))
    out = printed("-rnnlm m -test - -nbest -debug 0")
    scores = [line for line in (EXPECTED / "nbest.classes.out").read_bytes().splitlines() if line[:1] == b"-"]
    assert out.splitlines() == scores


def test_with_weight_0_the_other_model_counts_alone(model, printed):
    # 0.4b does not even run the network then, and its total of the network is left over from something else
    model("classes")
    out = printed("-rnnlm m -test list -nbest -lm-prob list.prob -lambda 0").decode().splitlines()
    totals = dict(line.rsplit(": ", 1) for line in out if ": " in line and line[0].islower())
    mixed = totals["test log probability 0.000000*rnn + 1.000000*other_lm"]
    assert float(mixed) == pytest.approx(float(totals["test log probability given by other lm"]), abs=1e-4)
    alone = printed("-rnnlm m -test list -nbest -lm-prob list.prob -lambda 1")
    assert f"test log probability: {totals['test log probability']}".encode() in alone


def test_the_lines_of_a_list(tmp_path):
    (tmp_path / "l").write_bytes(b"u a b\n\nu\n  v\tc\r\nw d </s> x e\n")
    assert list(read_list(str(tmp_path / "l"))) == [
        (b"u", [b"a", b"b", b"</s>"]),
        (b"u", [b"</s>"]),
        (b"v", [b"c", b"</s>"]),
        (b"w", [b"d", b"</s>"]),
        (b"x", [b"e", b"</s>"]),
    ]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"0.5\n0.5 x\n", "p: too few lines: the text goes on after these 2 words"),
        (b"0.5\nhalf\n" + b"0.5\n" * 9, 'p:2: expected a probability, found "half"'),
        (b"0.5\n\n1.5\n" + b"0.5\n" * 9, 'p:3: expected a probability, found "1.5"'),
        (b"nan\n" + b"0.5\n" * 9, 'p:1: expected a probability, found "nan"'),
    ],
)
def test_probabilities_that_do_not_fit_are_told(content, reason, model, capfd):
    model("classes")
    Path("s").write_bytes(b"a b c\n")
    Path("p").write_bytes(content)
    with pytest.raises(FormatError) as error:
        main(["-rnnlm", "m", "-test", "s", "-lm-prob", "p"])
    assert str(error.value) == reason


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("-rnnlm t -test t -lm-prob none", "-lm-prob none: no such file"),
        ("-rnnlm t -test t -lambda 1.5", "-lambda 1.5: the weight of the network, between 0 and 1"),
        ("-rnnlm t -test t -lambda x", '-lambda: expected a number, found "x"'),
        ("-rnnlm t -test none -nbest", "-test none: no such file"),
        ("-rnnlm t -nbest", "nothing to do"),
    ],
)
def test_what_cannot_be_done_is_one_line(line, reason, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    Path("t").write_bytes(b"a\n")
    assert cli.run(line.split()) == 1
    assert capfd.readouterr().err.startswith(f"Error: {reason}")
