"""Model files of Mikolov's RNNLM toolkit for tests: GOLDEN were written by release 0.4b, TINY by release 0.3d."""

from pathlib import Path

import numpy as np
import pytest

from corpora.errors import FormatError
from rnnlm import io
from rnnlm.model import RecurrentLM
from tests.golden_files import GOLDEN

# release 0.3d: rnnlm -train (lines "a b", "a a c", "b") -valid ("a b") -hidden 2 -class 2 -rand-seed 1
TINY = (
    b"version: 9\nfile format: 0\n\ntraining data file: tinytr\nvalidation data file: tinyva\n\n"
    b"last probability of validation data: -1.600834\nnumber of finished iterations: 20\n"
    b"current position in training data: 0\ncurrent probability of training data: -1.598417\n"
    b"save after processing # words: 0\n# of training words: 9\ninput layer size: 6\nhidden layer size: 2\n"
    b"compression layer size: 0\noutput layer size: 6\ndirect connections: 0\ndirect order: 3\nbptt: 0\n"
    b"bptt block: 10\nvocabulary size: 4\nclass size: 2\nstarting learning rate: 0.100000\n"
    b"current learning rate: 0.050000\nlearning rate decrease: 1\n\n\nVocabulary:\n"
    b"     0\t         3\t</s>\t0\n     1\t         3\ta\t0\n     2\t         2\tb\t1\n     3\t         1\tc\t1\n"
    b"\nHidden layer activation:\n0.5523\n0.4790\n"
    b"\nWeights 0->1:\n0.1530\n-0.2637\n0.1627\n0.1156\n0.0224\n0.1108\n"
    b"-0.1102\n-0.3876\n0.0249\n0.0497\n0.0579\n-0.0438\n"
    b"\n\nWeights 1->2:\n0.0519\n0.1842\n0.0149\n0.0453\n0.2996\n0.1368\n-0.3299\n-0.4403\n"
    b"0.4453\n0.3530\n-0.2935\n-0.3738\n\nDirect connections:\n"
)
AFTER_CLASS_SIZE = b"old classes: 0\nindependent sentences mode: 0\n"  # the two lines that version 10 added


def golden(name: str) -> Path:
    path = GOLDEN / "rnnlm" / name
    return path if path.exists() else Path(f"{path}.gz")


def tiny_10() -> bytes:
    return TINY.replace(b"version: 9", b"version: 10").replace(
        b"class size: 2\n", b"class size: 2\n" + AFTER_CLASS_SIZE
    )


def tiny_binary() -> bytes:
    head, _, _ = tiny_10().replace(b"file format: 0", b"file format: 1").partition(b"\nHidden")
    numbers = [float(line) for line in TINY[TINY.index(b"\nHidden") :].split(b"\n") if line and b":" not in line]
    return head + np.array(numbers, "<f4").tobytes()


def loaded(tmp_path, content: bytes, dtype: str | None = "float32") -> RecurrentLM:
    """In the precision of the toolkit's binary files, unless another is asked for (None: the default, float64)."""
    (tmp_path / "model").write_bytes(content)
    return io.load(tmp_path / "model", dtype=dtype)


def refusal(tmp_path, content: bytes) -> str:
    """What is said of a file, without its name."""
    (tmp_path / "model").write_bytes(content)
    with pytest.raises(FormatError) as error:
        io.load(tmp_path / "model")
    message = str(error.value)
    assert message.startswith(f"{tmp_path / 'model'}:")
    assert "\n" not in message
    return message.removeprefix(f"{tmp_path / 'model'}:").lstrip()
