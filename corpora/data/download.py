"""One file of known size and SHA-256 by HTTP, continued where an earlier attempt stopped.

What has come so far lies beside ``FILE`` as ``FILE.RANDOM.part``: created exclusively and without following links,
under a name that nobody can foretell, and locked while a process writes it.  Whatever comes from wherever, no more
is written than the file has, and it takes its name only if it is the right one.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from corpora.errors import CorpusError
from corpora.files.locks import is_at, try_lock

CHUNK = 1 << 14  # bytes; less than one is lost when a connection breaks
_RANDOM_PART = re.compile(r"\.[0-9a-f]{16}\.part")
_NO_LINKS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | _NO_LINKS
_CONTINUE = os.O_RDWR | _NO_LINKS | getattr(os, "O_NONBLOCK", 0)  # a pipe of that name must not make us wait


class Exact(NamedTuple):
    """What a file must be."""

    size: int
    sha256: str


class _Broken(Exception):
    """The connection ended before the file did; what came is kept."""


def download(
    url: str, path: Path, exact: Exact, *, progress: Callable | None = None, timeout: float = 30.0, retries: int = 3
) -> Path:
    """Bring ``url`` to a file beside ``path`` and return its name once it is complete and what it must be.

    A server that does not know Range sends the whole again.  After a broken connection it goes on up to
    ``retries`` times; where old and new parts do not make the right file together, it starts over once.
    A CorpusError says URL, reason and what is kept.
    """
    try:
        file, part = open_part(path)
        with file:
            try:
                reason = _bring(url, path, exact, file, progress, timeout, retries)
            finally:
                if not os.fstat(file.fileno()).st_size:
                    with suppress(PermissionError):  # on Windows, where the next attempt will take it
                        os.remove(part)
        if reason is None:
            return part
        bad = path.with_name(path.name + ".bad")
        os.replace(part, bad)
    except OSError as error:  # requests' own errors are dealt with where they arise
        raise CorpusError(f"{error.filename or path}: {error.strerror or error}") from error
    raise CorpusError(f"{url}: {reason}; kept as {bad}")


def _bring(
    url: str, path: Path, exact: Exact, file: BinaryIO, progress: Callable | None, timeout: float, retries: int
) -> str | None:
    """Complete ``file``; None, or why it is not the right one.  CorpusError where it could not be completed."""
    attempt = 0
    while True:
        earlier = os.fstat(file.fileno()).st_size
        if earlier > exact.size:
            file.truncate(0)
            earlier = 0
        try:
            if earlier < exact.size:
                earlier = _attempt(url, path.name, file, earlier, exact.size, progress, timeout)
        except _Broken as error:
            if attempt == retries:
                raise CorpusError(f"{url}: {error}") from error
            time.sleep(0.1 * 2**attempt)
            attempt += 1
            continue
        if (found := sha256_of(file)) == exact.sha256:
            return None
        if not earlier:
            return f"SHA-256 is {found}, expected {exact.sha256} as published"
        file.truncate(0)  # the parts are of two versions


def open_part(path: Path) -> tuple[BinaryIO, Path]:
    """A file beside ``path`` to be completed, and its name: one that an earlier run has left, or a new one.

    It is no link, belongs to this user, and no other process is writing it.
    """
    for name in sorted(os.listdir(path.parent)):
        if name.startswith(path.name) and _RANDOM_PART.fullmatch(name, len(path.name)):
            part = path.with_name(name)
            with suppress(OSError):
                descriptor = os.open(part, _CONTINUE)
                if _is_ours(descriptor) and try_lock(descriptor) is not False and is_at(descriptor, part):
                    return os.fdopen(descriptor, "r+b"), part
                os.close(descriptor)
    while True:
        part = path.with_name(f"{path.name}.{os.urandom(8).hex()}.part")
        with suppress(FileExistsError):
            descriptor = os.open(part, _CREATE, 0o666)
            try_lock(descriptor)
            return os.fdopen(descriptor, "r+b"), part


def _is_ours(descriptor: int) -> bool:
    """Whether an open file is a plain one of this user, and not also a file of another name."""
    status = os.fstat(descriptor)
    own = not hasattr(os, "geteuid") or status.st_uid == os.geteuid()
    return stat.S_ISREG(status.st_mode) and status.st_nlink == 1 and own


def sha256_of(file: BinaryIO) -> str:
    """The SHA-256 of an open file."""
    file.flush()
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()


def _attempt(
    url: str, name: str, file: BinaryIO, have: int, size: int, progress: Callable | None, timeout: float
) -> int:
    """One request, from byte ``have`` on, where ``file`` ends; how much of that was used.  Raises unless whole."""
    import requests

    # "identity": a compressed transfer would make lengths and offsets mean something else
    headers = {"Accept-Encoding": "identity", "User-Agent": "rnnlm-w2v"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        response = requests.get(url, headers=headers, stream=True, timeout=timeout)
    except (requests.exceptions.RequestException, OSError) as error:
        raise CorpusError(f"{url}: {_reason(error, timeout)}") from error
    with response:
        if response.status_code not in (200, 206, 416):
            raise CorpusError(f"{url}: HTTP {response.status_code} {response.reason or ''}".rstrip())
        total = _length(response, have)
        if response.status_code != 200 and total != size:
            file.truncate(0)
            raise _Broken("the server's file is not what it was")
        if total not in (None, size):
            raise CorpusError(f"{url}: {total:,} bytes, where {size:,} are expected")
        if response.status_code == 200:
            have = 0
            file.truncate(0)
        _receive(response, name, file, have, size, progress, timeout)
    return have


def _receive(
    response: Any, name: str, file: BinaryIO, have: int, size: int, progress: Callable | None, timeout: float
) -> None:
    """Write the body behind the first ``have`` bytes of ``file``, and no more than ``size`` in all."""
    import requests

    bar = progress(size, name, "B") if progress else None
    try:
        if bar and have:
            bar.update(have)
        file.seek(have)
        body = response.iter_content(CHUNK)
        while True:
            try:
                chunk = next(body, b"")
            except requests.exceptions.RequestException as error:
                raise _Broken(f"{_reason(error, timeout)} after {have:,} of {size:,} bytes") from error
            if not chunk:
                break
            if have + len(chunk) > size:
                file.truncate(0)
                raise CorpusError(f"{response.url}: more than the {size:,} bytes that are expected")
            file.write(chunk)
            have += len(chunk)
            if bar:
                bar.update(len(chunk))
    finally:
        file.flush()
        if bar:
            bar.close()
    if have != size:
        raise _Broken(f"the connection ended after {have:,} of {size:,} bytes")


def _length(response: Any, have: int) -> int | None:
    """Bytes of the whole file; None where the server does not say or continues at another place."""
    if response.status_code == 206:
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
        return int(match[2]) if match and int(match[1]) == have else None
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdigit() else None


def _reason(error: Exception, timeout: float) -> str:
    """A few words for what requests says in many."""
    from requests import exceptions

    text = str(error)
    if isinstance(error, exceptions.Timeout) or "timed out" in text:
        return f"no answer within {timeout:g} s"
    if isinstance(error, exceptions.SSLError):
        return "the server's certificate is not accepted"
    if isinstance(error, exceptions.ProxyError):
        return "the proxy does not answer"
    if isinstance(error, exceptions.ChunkedEncodingError):
        return "the connection ended"
    if "NameResolutionError" in text or "getaddrinfo" in text:
        return "the host's name is not known; is there a network?"
    if "refused" in text:
        return "connection refused"
    if isinstance(error, exceptions.ConnectionError):
        return "no connection; is there a network?"
    return " ".join(text.split()) or type(error).__name__
