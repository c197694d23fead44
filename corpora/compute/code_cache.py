"""Compiled code in files, in place of Numba's cache: one file for each kernel, its types, the processor and the source.

* A file is read only for the source it was compiled from: that of the kernel's module and of all modules of ours that
  it imports, as their kernels may be part of the code.
* Its name says all that it depends on, and it carries a checksum.  So two processes can write at once, and what is
  damaged is compiled anew.
* Folders that cannot be written do no harm: see ``cache_place``.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import re
import sys
import time
import zlib
from contextlib import suppress
from functools import cache

import llvmlite
import numba
from numba import config
from numba.core.caching import NullCache
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps

from corpora.compute import cache_place
from corpora.compute.llvm import VECTOR_BYTES

FORMAT = 1  # to be raised when code that was compiled before must not be used
_MAGIC = b"kernel\r\n"
_PACKAGES = {"corpora", "rnnlm", "w2v"}
_STARTED = time.time()
_IMPORTS = re.compile(rb"^(?:from +([\w.]+) +import +(\([^)]*\)|[^\n#]*)|import +([^\n#]*))", re.MULTILINE)


class CodeCache(NullCache):
    """What a dispatcher of Numba asks for code, in place of its own cache."""

    def __init__(self, function):
        self._function = function
        self._path = os.path.abspath(function.__code__.co_filename)
        self._folder = os.path.dirname(self._path)

    @property
    def cache_path(self):
        """The folder that comes first."""
        return cache_place.lasting_folders(self._folder)[0][0]

    def load_overload(self, sig, target_context):
        """The compiled function for argument types, None where it is not there or of no use."""
        name = self._name(sig, target_context.codegen())
        if name is None:
            return None
        target_context.refresh()
        for content in cache_place.read(self._folder, name):
            start = len(_MAGIC) + 4
            if content[: len(_MAGIC)] != _MAGIC or content[len(_MAGIC) : start] != _checksum(content[start:]):
                continue
            # whatever goes wrong with code that is whole: it can be compiled anew
            with suppress(Exception):
                known, reduced = pickle.loads(content[start:])
                if known == sig:
                    return CompileResult._rebuild(target_context, *reduced)
        return None

    def save_overload(self, sig, data):
        """Keep a compiled function, if there is a place."""
        name = self._name(sig, data.codegen)
        if name is None or data.lifted or data.library.has_dynamic_globals:
            return
        content = dumps((sig, data._reduce()))
        folder = cache_place.write(self._folder, name, _MAGIC + _checksum(content) + content)
        if folder is not None:
            self._remove_older(folder, name)

    def _name(self, sig, codegen) -> str | None:
        stamp = source_stamp(self._path)
        if stamp is None:
            return None
        function, code = self._function, self._function.__code__
        closed_over = dumps(tuple(cell.cell_contents for cell in function.__closure__ or ()))
        key = (
            str(sig), codegen.magic_tuple(), VECTOR_BYTES, _settings(),
            code.co_firstlineno, code.co_code, repr(code.co_consts), code.co_names, closed_over,
        )  # fmt: skip
        module = os.path.splitext(os.path.basename(self._path))[0]
        name = re.sub(r"[<>]", "", f"{module}.{function.__qualname__}")
        return f"{name}.{sys.implementation.cache_tag}.{stamp}.{_digest(repr(key).encode())}.nbc"

    def _remove_older(self, folder: str, name: str) -> None:
        """Remove what was compiled from an older state of the source."""
        prefix, stamp, *_ = name.rsplit(".", 3)
        with suppress(OSError):
            for other in os.listdir(folder):
                if other.startswith(prefix + ".") and other.endswith(".nbc"):
                    before, its, *_ = other.rsplit(".", 3)
                    if before == prefix and its != stamp:
                        os.unlink(os.path.join(folder, other))


def _checksum(content) -> bytes:
    return zlib.crc32(content).to_bytes(4, "little")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


@cache
def _settings() -> tuple:
    """What the environment changes in compiled code."""
    names = ("BOUNDSCHECK", "OPT", "LOOP_VECTORIZE", "SLP_VECTORIZE", "ENABLE_AVX", "DEBUGINFO_DEFAULT")
    return tuple(str(getattr(config, name, None)) for name in names)


@cache
def source_stamp(path: str) -> str | None:
    """A digest of a module's source, of the modules of ours that it needs, and of the compiler; None: not known.

    Not known is also what has changed since this process started: it may not be what is running.
    """
    known, waiting = {}, [path]
    try:
        while waiting:
            at = waiting.pop()
            if at not in known:
                known[at], needed = _source(at)
                waiting.extend(needed)
    except OSError:
        return None
    versions = (FORMAT, numba.__version__, llvmlite.__version__)
    return _digest(repr((versions, [known[at] for at in sorted(known)])).encode())


@cache
def _source(path: str) -> tuple[str, tuple[str, ...]]:
    """The digest of a file and the files of the modules of ours that it imports at once."""
    if _STARTED < os.stat(path).st_mtime <= time.time():
        raise OSError(f"{path} has changed")
    with open(path, "rb") as file:
        source = file.read()
    names = set()
    for module, members, modules in _IMPORTS.findall(source):
        if module:
            names.add(module.decode())
            names.update(f"{module.decode()}.{member.decode()}" for member in re.findall(rb"\w+", members))
        else:
            names.update(re.findall(r"[\w.]+", modules.decode()))
    found = (sys.modules.get(name) for name in names if name.split(".")[0] in _PACKAGES)
    files = (getattr(module, "__file__", None) for module in found if module is not None)
    return hashlib.sha256(source).hexdigest(), tuple(os.path.abspath(file) for file in files if file)
