"""Machine code in the memory of this process: object files are loaded by LLVM's linker and called through ctypes."""

from __future__ import annotations

import ctypes
import pickle
import struct
import threading
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import llvmlite.binding as llvm

_SIGNATURE = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_char_p, ctypes.c_void_p)  # releases the GIL
_lock = threading.Lock()


class Code(NamedTuple):
    """An object file with one function, ``symbol(arguments, results)``, both of 8 bytes for each value.

    ``arguments``: their format for ``struct``; of an array, the address of the Python object.  ``results``: likewise.
    ``is_tuple``: whether several results are returned as a tuple, also one or none.
    """

    symbol: str
    arguments: str
    results: str
    is_tuple: bool
    machine_code: bytes


class _Failure(ctypes.Structure):
    """What compiled code leaves of an exception: a pickled class and arguments."""

    _fields_ = (("pickled", ctypes.c_void_p), ("size", ctypes.c_int32))


@cache
def _engine():
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_triple(llvm.get_process_triple())
    machine = target.create_target_machine(jit=True)
    return llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)


def callable_of(code: Code) -> Callable[[list], object]:
    """Load code; returns a function of a list of values."""
    with _lock:
        engine = _engine()
        engine.add_object_file(llvm.ObjectFileRef.from_data(code.machine_code))
        engine.finalize_object()
        function = _SIGNATURE(engine.get_function_address(code.symbol))
    pack = struct.Struct(code.arguments).pack
    results = struct.Struct(code.results)
    unpack, room = results.unpack_from, max(8, results.size)
    has_results, is_tuple = bool(code.results), code.is_tuple

    def call(values: list):
        out = ctypes.create_string_buffer(room)
        if function(pack(*values), out):
            raise _exception(out)
        if is_tuple:
            return unpack(out)
        return unpack(out)[0] if has_results else None

    return call


def _exception(out) -> Exception:
    address = ctypes.c_void_p.from_buffer(out).value
    if not address:
        return RuntimeError("a kernel has failed")
    failure = _Failure.from_address(address)
    kind, arguments, *_ = pickle.loads(ctypes.string_at(failure.pickled, failure.size))
    return kind(*(arguments or ()))
