"""A compiler whose kernels each carry their own callees, so that their bits depend on their source alone.

Numba links copies of a kernel's callees into its object code as weak symbols, and the linker takes the first copy that
the process has loaded, of whichever kernel.  Each copy was optimised in other surroundings: where fast-math flags let
sums be joined in another order, the copies round differently, and a kernel's results would depend on what the process
has compiled or loaded before.  Here the copies become local symbols once they are optimised.

This rests on internals of Numba; tests/corpora/test_local_callees.py sees when they change.
"""

from __future__ import annotations

import llvmlite.binding as llvm
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler


class _Library(JITCodeLibrary):
    def _finalize_final_module(self):
        # what others link in is written and read once, as it is when it comes from the cache: the same module, then
        shared = llvm.parse_bitcode(self._final_module.as_bitcode())
        for function in shared.functions:
            if not function.is_declaration and function.linkage == llvm.Linkage.external:
                function.linkage = llvm.Linkage.linkonce_odr
        self._shared_module = shared
        for function in self._final_module.functions:
            if not function.is_declaration and function.linkage == llvm.Linkage.linkonce_odr:
                function.linkage = llvm.Linkage.internal
        super()._finalize_final_module()


class LocalCallees(Compiler):
    """``njit(pipeline_class=LocalCallees)``: Numba's compiler, with callees local to each compiled function."""

    def define_pipelines(self):
        if self.state.library is None:
            codegen = self.state.targetctx.codegen()
            self.state.library = _Library(codegen, self.state.func_id.func_qualname)
            self.state.library.enable_object_caching()
        return super().define_pipelines()
