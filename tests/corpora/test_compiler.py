"""What the compiler makes: bitcode whose callees are its own, and machine code that needs nothing of Numba."""

from __future__ import annotations

import math

import llvmlite.binding as llvm
import numpy as np
import pytest

from corpora.compute.jit import exact_kernel

pytestmark = pytest.mark.compiled


@exact_kernel
def inner(x, n):  # large enough that it is not inlined
    for _ in range(n):
        for i in range(x.size):
            x[i] = x[i] * x[x.size - 1 - i] + x[(7 * i) % x.size] / (1.0 + x[i] * x[i])
            for k in range(i % 3):
                x[k] = math.sin(x[k]) + math.cos(x[i])


@exact_kernel
def outer(x):
    inner(x, 3)
    inner(x, 4)


def test_callees_are_local_and_the_function_itself_can_be_linked_to():
    from numba import types

    kind = types.Array(types.float64, 1, "C")
    outer.dispatcher.compile((kind,))
    compiled = outer.dispatcher.overloads[(kind,)]
    compiled.library._ensure_finalized()
    callees = [f for f in compiled.library.get_defined_functions() if "5inner" in f.name]
    assert callees
    assert {f.linkage for f in callees} == {llvm.Linkage.internal}
    own = compiled.fndesc.llvm_func_name
    assert compiled.library.get_function(own).linkage == llvm.Linkage.external
    # what others link in can be merged with another copy of itself
    assert compiled.library._get_module_for_linking().get_function(own).linkage == llvm.Linkage.linkonce_odr


def test_a_literal_compiles_no_copy_of_the_callee():
    outer(np.linspace(0, 1, 5))
    (signature,) = inner.dispatcher.overloads
    assert str(signature[1]) == "int64"


@exact_kernel
def joined(x):
    return str(x.size)


@exact_kernel
def made(x):
    return x + 1.0


@pytest.mark.parametrize("kernel", [joined, made])
def test_what_needs_numba_when_it_runs_is_refused_when_it_is_compiled(kernel):
    with pytest.raises(NotImplementedError):
        kernel(np.zeros(3))
