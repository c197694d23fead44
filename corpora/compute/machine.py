"""The processor that kernels are compiled for, and what the environment says about compiling; known without Numba."""

from __future__ import annotations

import os
import re
from functools import cache
from importlib.util import find_spec

import llvmlite
import llvmlite.binding as llvm

# what of the environment changes compiled code
_SETTINGS = (
    "BOUNDSCHECK",
    "OPT",
    "LOOP_VECTORIZE",
    "SLP_VECTORIZE",
    "ENABLE_AVX",
    "DEBUGINFO",
    "CPU_NAME",
    "CPU_FEATURES",
)


def setting(name: str) -> str:
    """What the environment says of one of Numba's settings; "" where nothing."""
    return os.environ.get(f"NUMBA_{name}", "")


def _has_avx512() -> bool:
    """Whether kernels may use AVX-512: what NUMBA_CPU_FEATURES says, or else what the processor has."""
    chosen = setting("CPU_FEATURES")
    return "+avx512f" in chosen.split(",") if chosen else bool(llvm.get_host_cpu_features().get("avx512f"))


# one register: wider vectors would be split and spilled, narrower ones leave the machine idle
VECTOR_BYTES = 64 if _has_avx512() else 32


@cache
def compiler_versions() -> tuple[str, str]:
    """The versions of Numba and llvmlite."""
    spec = find_spec("numba")
    version = ""
    if spec is not None and spec.origin:
        # numba/_version.py is generated: the version as JSON
        path = os.path.join(os.path.dirname(spec.origin), "_version.py")
        with open(path, encoding="utf-8") as file:
            found = re.search(r"""["']version["']: ["']([^"']+)["']""", file.read())
        version = found[1] if found else f"{path} {os.stat(path).st_mtime_ns}"
    return version, llvmlite.__version__


@cache
def description() -> tuple:
    """Everything but the source that compiled code depends on."""
    features = llvm.get_host_cpu_features().flatten()
    return (
        llvm.get_process_triple(), llvm.get_host_cpu_name(), features, compiler_versions(),
        tuple(setting(name) for name in _SETTINGS), object.__basicsize__,
    )  # fmt: skip
