"""Modules that are imported when something is taken from them: loading compiled code needs no compiler."""

from __future__ import annotations

from importlib import import_module


class LazyModule:
    """Stands for a module until an attribute of it is asked for."""

    def __init__(self, name: str):
        self._name = name

    def __getattr__(self, attribute: str):
        value = getattr(import_module(self._name), attribute)
        setattr(self, attribute, value)
        return value


types = LazyModule("numba.core.types")
cgutils = LazyModule("numba.core.cgutils")
ir = LazyModule("llvmlite.ir")
llvm = LazyModule("corpora.compute.llvm")
