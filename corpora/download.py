"""One file by HTTP, continued where an earlier attempt stopped.

Beside ``FILE`` lie ``FILE.part``, what has come so far, and ``FILE.part.json``: from where, how long the
whole is and the server's mark of this version (ETag or Last-Modified), so that two versions are
never joined.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from corpora.errors import CorpusError

CHUNK = 1 << 14  # bytes; less than one is lost when a connection breaks


class _Broken(Exception):
    """The connection ended before the file did; what came is kept."""


def download(
    url: str, path: Path, *, progress: Callable | None = None, timeout: float = 30.0, retries: int = 3
) -> Path:
    """Bring ``url`` to ``FILE.part`` beside ``path`` and return that name once it is complete.

    A server that does not know Range, or has another version now, sends the whole again.  After a broken
    connection it goes on up to ``retries`` times.  A CorpusError says URL, reason and what is kept.
    """
    part = path.with_name(path.name + ".part")
    note = path.with_name(path.name + ".part.json")
    for attempt in range(retries + 1):
        try:
            _attempt(url, path.name, part, note, progress, timeout)
            note.unlink(missing_ok=True)
            return part
        except _Broken as error:
            reason = str(error)
        except OSError as error:  # requests' own errors are dealt with where they arise
            raise CorpusError(f"{part}: {error.strerror or error}") from error
        if attempt < retries:
            time.sleep(0.1 * 2**attempt)
    raise CorpusError(f"{url}: {reason}")


def _attempt(url: str, name: str, part: Path, note: Path, progress: Callable | None, timeout: float) -> None:
    """One request, from where ``part`` ends.  Returns when the file is complete, else raises."""
    import requests

    earlier = _read_note(note, url)
    have = part.stat().st_size if earlier and part.exists() else 0
    # "identity": a compressed transfer would make lengths and offsets mean something else
    headers = {"Accept-Encoding": "identity", "User-Agent": "rnnlm-w2v"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if earlier["version"]:
            headers["If-Range"] = earlier["version"]
    try:
        response = requests.get(url, headers=headers, stream=True, timeout=timeout)
    except (requests.exceptions.RequestException, OSError) as error:
        raise CorpusError(f"{url}: {_reason(error, timeout)}") from error
    with response:
        if have and response.status_code == 416 and have == earlier["size"]:
            return  # it was complete
        total = _length(response, have)
        if have and (response.status_code == 416 or (response.status_code == 206 and total != earlier["size"])):
            part.unlink()
            raise _Broken("the server's file changed during the download")
        if response.status_code not in (200, 206):
            raise CorpusError(f"{url}: HTTP {response.status_code} {response.reason or ''}".rstrip())
        if response.status_code == 200:
            have = 0
            note.write_text(json.dumps({"url": url, "size": total, "version": _version(response)}), encoding="utf-8")
        _receive(response, name, part, have, total, progress, timeout)


def _receive(
    response: Any, name: str, part: Path, have: int, total: int | None, progress: Callable | None, timeout: float
) -> None:
    """Append the body to the first ``have`` bytes of ``part``."""
    import requests

    bar = progress(total, name, "B") if progress else None
    try:
        if bar and have:
            bar.update(have)
        with part.open("ab" if have else "wb") as out:
            body = response.iter_content(CHUNK)
            while True:
                try:
                    chunk = next(body, b"")
                except requests.exceptions.RequestException as error:
                    place = f"{have:,} of {total:,} bytes" if total else f"{have:,} bytes"
                    raise _Broken(f"{_reason(error, timeout)} after {place}") from error
                if not chunk:
                    break
                out.write(chunk)
                have += len(chunk)
                if bar:
                    bar.update(len(chunk))
    finally:
        if bar:
            bar.close()
    if total is not None and have != total:
        if have > total:
            part.unlink()
        raise _Broken(f"the connection ended after {have:,} of {total:,} bytes")


def _read_note(note: Path, url: str) -> dict | None:
    """What is known of an earlier attempt at the same URL; None where it cannot be continued."""
    try:
        earlier = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    usable = isinstance(earlier, dict) and earlier.get("url") == url and isinstance(earlier.get("size"), int)
    return earlier | {"version": earlier.get("version")} if usable else None


def _length(response: Any, have: int) -> int | None:
    """Bytes of the whole file; None where the server does not say or continues at another place."""
    if response.status_code == 206:
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
        return int(match[2]) if match and int(match[1]) == have else None
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdigit() else None


def _version(response: Any) -> str | None:
    """What If-Range takes: a strong ETag, or the date."""
    etag = response.headers.get("ETag", "")
    return etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified")


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
