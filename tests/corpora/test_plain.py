"""Kernels as plain Python: the same numbers, of the same types, as from compiled code."""

import ast
import math
import os
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

from corpora.compute.jit import exact_kernel
from corpora.compute.plain import plain_kernel

ROOT = Path(__file__).resolve().parents[2]


def of_bytes(text, limit):
    return text[1] - text[0], text[1] + text[2], text[1] << 40, text[2] - 300, text[0] < limit, text[1] * text[2]


def of_words(ids, hash_):
    return ids[0] * ids[1], ids[0] + 1, hash_ * hash_, hash_ - np.uint64(12), hash_ >> np.uint64(60)


def wrapping(x):
    return x * x, x + x, x << 1


def dividing(x, zero):
    return x / zero, -x / zero, zero / zero, x // 3, -x % 3


def of_floats(values, factor):
    values[1] = values[0] * factor
    return values[0] * factor, values[0] * values[0]


Pair = namedtuple("Pair", "values scale")


def of_tuple(pair, positions):
    first, last = positions
    return pair.values[first] * pair.scale, pair.values[last], last


def beyond(zero, large, narrow):
    return (
        math.log(zero),
        math.log(-large),
        math.exp(large),
        math.pow(10.0, large),
        math.sqrt(-large),
        math.exp(narrow[0]),
    )


def nothing(values):
    values[values > 0] = 0


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (of_bytes, (np.array([3, 200, 255], np.uint8), -1)),
        (of_words, (np.array([2**31 - 1, -(2**31)], np.int32), np.uint64(2**64 - 59))),
        (wrapping, (2**62 + 12345,)),
        (dividing, (7, 0)),
        (dividing, (7.5, 0.0)),
        (of_floats, (np.array([0.1, 0.0], np.float32), 0.3)),
        (of_tuple, (Pair(np.array([5, 6], np.uint32), 0.5), (0, 1))),
        (beyond, (0.0, 1e5, np.array([0.5], np.float32))),
        (nothing, (np.arange(5),)),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_numbers_and_types_are_those_of_compiled_code(function, arguments, monkeypatch):
    if os.environ.get("NUMBA_DISABLE_JIT"):
        pytest.skip("there is no compiled code to compare with")
    expected = exact_kernel(function)(*arguments)
    monkeypatch.setitem(globals(), "math", math)  # what a plain kernel replaces comes back
    found = plain_kernel(function)(*arguments)
    assert repr(found) == repr(expected)  # nan is nan, and 1 is not 1.0


def test_a_plain_kernel_leaves_the_callers_arrays_what_they_were():
    array = np.array([1, 2], np.int32)
    assert type(plain_kernel(lambda a: a)(array)) is np.ndarray
    assert isinstance(plain_kernel(lambda a: a[0])(array), int)


def test_a_division_by_zero_outside_kernels_is_still_reported():
    with np.errstate(all="raise"):
        assert plain_kernel(lambda x: x / 0)(1.0) == math.inf
        with pytest.raises(FloatingPointError):
            np.float64(1.0) / np.float64(0.0)


def test_every_intrinsic_says_what_it_does_without_the_compiler():
    """They are all made by ``corpora.compute.plain.intrinsic``, which takes a twin."""
    for package in ("corpora", "rnnlm", "w2v"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom) and node.module == "numba.extending":
                    assert path.name == "compiler.py", path


def test_kernels_pass_their_tests_without_the_compiler():
    """A few; ``make test-plain`` runs them all."""
    tests = (
        "corpora/test_bytes_simd.py", "rnnlm/test_initial.py",
        "corpora/test_simd.py::test_a_negative_position_lies_before_and_does_not_wrap_around",
        "w2v/test_kernels.py::test_sentences_of_one_word_teach_nothing",
        "w2v/test_kernels.py::test_nodes_with_rows_of_the_threads_own_learn_there_as_in_the_matrix",
    )  # fmt: skip
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-m", "not slow and not compiled",
         *(str(ROOT / "tests" / name) for name in tests)],
        cwd=ROOT, env=os.environ | {"NUMBA_DISABLE_JIT": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
