"""Each compiled function holds its own callees, under names that no other object file sees."""

from __future__ import annotations

import llvmlite.binding as llvm
import numpy as np

from corpora.compute.jit import exact_kernel


@exact_kernel
def inner(x, n):  # large enough that it is not inlined
    for _ in range(n):
        for i in range(x.size):
            x[i] = x[i] * x[x.size - 1 - i] + x[(7 * i) % x.size] / (1.0 + x[i] * x[i])
        x.sort()


@exact_kernel
def outer(x):
    inner(x, 3)
    inner(x, 4)


def test_callees_are_local_and_the_function_itself_can_be_linked_to():
    outer(np.linspace(0, 1, 5))
    (compiled,) = outer.overloads.values()
    callees = [f for f in compiled.library.get_defined_functions() if "5inner" in f.name]
    assert callees
    assert {f.linkage for f in callees} == {llvm.Linkage.internal}
    own = compiled.fndesc.llvm_func_name
    assert compiled.library.get_function(own).linkage == llvm.Linkage.external
    # what others link in can be merged with another copy of itself
    assert compiled.library._get_module_for_linking().get_function(own).linkage == llvm.Linkage.linkonce_odr
