"""Compiled code in files, in place of Numba's cache: one file for each kernel, its types, the processor and the source.

There are two kinds: entries, which Python calls, and the bitcode of functions, which the compiler links into others.

* A file is read only for the source it was compiled from: that of the kernel's module and of all modules of ours that
  it imports, as their kernels may be part of the code, and of the compiler.
* Its name says all that it depends on, and it carries a checksum.  So two processes can write at once, and what is
  damaged is compiled anew.
* Folders that cannot be written do no harm: see ``cache_place``.
"""

from __future__ import annotations

import hashlib
import marshal
import os
import pickle
import re
import sys
import time
import zlib
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from corpora.compute import cache_place, machine

FORMAT = 2  # to be raised when code that was compiled before must not be used
_MAGIC = b"kernel\r\n"
_PACKAGES = {"corpora", "rnnlm", "w2v"}
_STARTED = time.time()
_IMPORTS = re.compile(rb"^(?:from +([\w.]+) +import +(\([^)]*\)|[^\n#]*)|import +([^\n#]*))", re.MULTILINE)
_COMPILER = [str(path) for path in Path(__file__).parent.glob("*.py")]


def load(kernel, key) -> tuple | None:
    """An entry, as it was given to ``save``: a tuple of text, numbers and bytes; None where there is none of use."""
    for content in _contents(kernel, "nbc", repr(key)):
        with suppress(ValueError, EOFError, TypeError):
            return marshal.loads(content)
    return None


def save(kernel, key, code: tuple) -> None:
    """Keep an entry, if there is a place."""
    _keep(kernel, "nbc", repr(key), marshal.dumps(tuple(code)))


@contextmanager
def claimed(kernel, key):
    """Whether this process alone may compile an entry now: another one may be doing it."""
    name = _name(kernel, "nbc", repr(key))
    if name is None:
        yield True
        return
    with cache_place.claimed(os.path.dirname(_path_of(kernel)), name) as is_free:
        yield is_free


def load_bitcode(kernel, key: str):
    """The bitcode of a function and what Numba knows of it; None where there is none of use."""
    for content in _contents(kernel, "bc", key):
        # whatever goes wrong with what is whole: it can be compiled anew
        with suppress(Exception):
            return pickle.loads(content)
    return None


def save_bitcode(kernel, key: str, content) -> None:
    """Keep the bitcode of a function, if there is a place."""
    from numba.core.serialize import dumps

    _keep(kernel, "bc", key, dumps(content))


def folder_of(kernel) -> str:
    """The folder that comes first for a kernel's code."""
    return cache_place.lasting_folders(os.path.dirname(_path_of(kernel)))[0][0]


def _path_of(kernel) -> str:
    return os.path.abspath(kernel.py_func.__code__.co_filename)


def _contents(kernel, kind: str, key: str):
    """Yield what the files of a name hold, if it is whole."""
    name = _name(kernel, kind, key)
    if name is not None:
        start = len(_MAGIC) + 4
        for content in cache_place.read(os.path.dirname(_path_of(kernel)), name):
            if content[: len(_MAGIC)] == _MAGIC and content[len(_MAGIC) : start] == _checksum(content[start:]):
                yield content[start:]


def _keep(kernel, kind: str, key: str, content: bytes) -> None:
    name = _name(kernel, kind, key)
    if name is not None:
        folder = cache_place.write(os.path.dirname(_path_of(kernel)), name, _MAGIC + _checksum(content) + content)
        if folder is not None:
            _remove_older(folder, name)


def _name(kernel, kind: str, key: str) -> str | None:
    path = _path_of(kernel)
    stamp = source_stamp(path)
    if stamp is None:
        return None
    function, code = kernel.py_func, kernel.py_func.__code__
    closed_over = [_shown(cell.cell_contents) for cell in function.__closure__ or ()]
    depends_on = (
        kind, key, sorted(kernel.fastmath), kernel.is_optimised_alone, machine.VECTOR_BYTES, machine.description(),
        code.co_firstlineno, code.co_code, repr(code.co_consts), code.co_names, closed_over,
    )  # fmt: skip
    module = os.path.splitext(os.path.basename(path))[0]
    name = re.sub(r"[<>]", "", f"{module}.{function.__qualname__}")
    return f"{name}.{sys.implementation.cache_tag}.{stamp}.{digest(repr(depends_on))}.{kind}"


def _shown(value) -> str:
    """What a function has closed over, in words that are the same in every process."""
    return f"{value.__module__}.{value.__qualname__}" if hasattr(value, "__qualname__") else repr(value)


def _remove_older(folder: str, name: str) -> None:
    """Remove what was compiled from an older state of the source."""
    prefix, stamp, _, kind = name.rsplit(".", 3)
    with suppress(OSError):
        for other in os.listdir(folder):
            if other.startswith(prefix + ".") and other.count(".") >= 3:
                before, its, _, ending = other.rsplit(".", 3)
                if before == prefix and its != stamp and ending == kind:
                    os.unlink(os.path.join(folder, other))


def _checksum(content) -> bytes:
    return zlib.crc32(content).to_bytes(4, "little")


def digest(content: str) -> str:
    """A short name for a text, the same in every process."""
    return hashlib.sha256(content.encode()).hexdigest()[:16]


@cache
def source_stamp(path: str) -> str | None:
    """A digest of a module's source, of the modules of ours that it needs, and of the compiler; None: not known.

    Not known is also what has changed since this process started: it may not be what is running.
    """
    known, waiting = {}, [path, *_COMPILER]
    try:
        while waiting:
            at = waiting.pop()
            if at not in known:
                known[at], needed = _source(at)
                waiting.extend(needed)
    except OSError:
        return None
    return digest(repr((FORMAT, [known[at] for at in sorted(known)])))


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
