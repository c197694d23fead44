#!/bin/sh
# numba 0.68.1 with numpy 2.4.6: a.sum() and np.mean(a) of float32 inside a compiled function.
#
# The usual guess: they are NumPy's, which adds halves of halves, so that errors grow with the logarithm of the length.
# What happens: the numbers are added one after another in float32.  Once the sum is 2**21, a further 0.1 is less than half
# of the distance to the next float32, and the sum stands still.  Log probabilities of a large text, added so, lose
# all words after the first millions.  (Without fastmath, so whatever the processor.)
#
# Seen with Python 3.11.7, of 2**25 numbers 0.1:
#   numpy sum 3355443.75 mean 0.1000      numba sum 2097152.00 mean 0.0625
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check numba==0.68.1 numpy==2.4.6
"$folder/env/bin/python" - <<'END'
import numba
import numpy as np


def total(a):
    return a.sum()


def mean(a):
    return np.mean(a)


numbers = np.full(2**25, 0.1, np.float32)
for name, wrap in (("numpy", lambda function: function), ("numba", numba.njit)):
    print(f"{name} sum {wrap(total)(numbers):.2f} mean {wrap(mean)(numbers):.4f}")
assert abs(total(numbers) - 3355443.25) < 2
assert numba.njit(total)(numbers) == 2**21
assert numba.njit(mean)(numbers) == 2**-4
END
