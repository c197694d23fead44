"""Run the tests of modules with kernels as on a processor that has AVX2 but no AVX-512.

    python tests/avx2.py [OPTIONS OF PYTEST] [TESTS]

Vectors of our kernels, of NumPy and of its BLAS are limited.  Without TESTS: those of kernels and of whatever is
promised to the digit.  On a processor without AVX-512 there is nothing to do.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TESTS = (
    "corpora/test_jit.py",
    "corpora/test_libm.py",
    "corpora/test_simd.py",
    "corpora/test_bytes_simd.py",
    "corpora/test_stream.py",
    "corpora/test_vocab.py",
    "rnnlm",
    "w2v/test_kernels.py",
    "w2v/test_reference.py",
    "w2v/test_rows.py",
    "w2v/test_trainer.py",
    "cli/test_legacy.py",
    "cli/test_legacy_nbest.py",
    "cli/test_rnnlm_golden.py",
)


def environment() -> dict[str, str] | None:
    """What limits a process to AVX2; None where there is no AVX-512."""
    import llvmlite.binding as llvm
    from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

    features = llvm.get_host_cpu_features()
    if not features.get("avx512f"):
        return None
    for name in features:
        if name.startswith(("avx512", "avx10")):
            features[name] = False
    wide = [name for name in __cpu_dispatch__ if __cpu_features__.get(name) and ("AVX512" in name or name == "X86_V4")]
    return {
        "NUMBA_CPU_NAME": "haswell",
        "NUMBA_CPU_FEATURES": features.flatten(),
        "NPY_DISABLE_CPU_FEATURES": " ".join(wide),
        "OPENBLAS_CORETYPE": "Haswell",
    }


def main(arguments: list[str]) -> int:
    limits = environment()
    if limits is None:
        print("This processor has no AVX-512: the tests ran with AVX2 already.")
        return 0
    os.environ.update(limits)
    os.chdir(ROOT)
    if not any(Path(argument.partition("::")[0]).exists() for argument in arguments):
        arguments += [str(ROOT / "tests" / name) for name in TESTS]
    os.execv(sys.executable, [sys.executable, "-m", "pytest", *arguments])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
