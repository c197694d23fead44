#!/bin/sh
# numba 0.68.1 with numpy 2.4.6: the type of an array times a Python number, inside a compiled function.
#
# The usual guess: that of NumPy 2, where a Python number takes the type of the array beside it.
# What happens: a number with a point counts as float64, one without as an integer.  So a float32 array times 0.5 is
# float64, twice the memory; divided by 2 it stays float32.  An element of uint64 plus 1 is signed:
# from 2**63 on it is negative, where NumPy 2 keeps uint64.
#
# Seen with Python 3.11.7:
#   a * 0.5        numpy float32  numba float64
#   a / 2          numpy float32  numba float32
#   (2**63 + 1) + 1   numpy 9223372036854775810   numba -9223372036854775806
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check numba==0.68.1 numpy==2.4.6
"$folder/env/bin/python" - <<'END'
import numba
import numpy as np


def times_half(a):
    return a * 0.5


def halved(a):
    return a / 2


def next_to_first(u):
    return u[0] + 1


a, u = np.ones(3, np.float32), np.array([2**63 + 1], np.uint64)
for function, numpys, numbas in ((times_half, "float32", "float64"), (halved, "float32", "float32")):
    found = function(a).dtype, numba.njit(function)(a).dtype
    print(f"{function.__name__}: numpy {found[0]}, numba {found[1]}")
    assert found == (numpys, numbas)
found = int(next_to_first(u)), numba.njit(next_to_first)(u)
print(f"{next_to_first.__name__}: numpy {found[0]}, numba {found[1]}")
assert found == (2**63 + 2, 2**63 + 2 - 2**64)
END
