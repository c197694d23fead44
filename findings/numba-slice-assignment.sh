#!/bin/sh
# Numba 0.68.1: what a[:] = b compiles.
#
# The usual guess: an assignment of slices is a loop over the elements, or a call of memcpy, and compiles as fast as the
# loop that one would write.
# What happens: the shapes are compared, and the text of the error for unequal ones is put together in compiled code: some
# fifteen functions for Unicode strings are compiled with the kernel, and more that these need.  It takes many times as
# long as the loop, and the compiled code needs Numba's memory management, where the loop needs none.
#
# Seen with Python 3.11.7 and numpy 2.4.6, times of one machine:
#   loop: 1 function compiled, 0 of them of Unicode
#   a[:] = b: 38 functions compiled, 15 of them of Unicode; 34 times as long
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check numba==0.68.1 numpy==2.4.6
"$folder/env/bin/python" - <<'END'
import time

import numpy as np
from numba import njit
from numba.core import event


class Names(event.Listener):
    def __init__(self):
        self.found = []

    def on_start(self, happening):
        self.found.append(happening.data["dispatcher"].py_func.__module__)

    def on_end(self, happening):
        pass


def loop(a, b):
    for i in range(a.size):
        a[i] = b[i]


def slices(a, b):
    a[:] = b


a, b = np.zeros(3), np.ones(3)
njit(lambda x: x + 1.0)(a)  # what Numba loads with the first function
counts, times = {}, {}
for function in (loop, slices):
    names = Names()
    began = time.perf_counter()
    with event.install_listener("numba:compile", names):
        njit(function)(a, b)
    times[function] = time.perf_counter() - began
    of_unicode = sum("unicode" in name for name in names.found)
    counts[function] = len(names.found), of_unicode
    print(f"{function.__name__}: {len(names.found)} functions compiled, {of_unicode} of them of Unicode")
print(f"the second takes {times[slices] / times[loop]:.0f} times as long")
assert counts[loop] == (1, 0)
assert counts[slices][1] >= 10
END
