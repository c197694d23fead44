"""What every test needs: a compilation cache that is fresh whenever the source is, and shared data if there is any."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"


def _cache_directory() -> str:
    """One folder for each state of the source: Numba's cache does not see a change in a callee of another module."""
    digest = hashlib.sha256()
    for package in ("corpora", "rnnlm", "w2v"):
        for path in sorted((ROOT / package).rglob("*.py")):
            digest.update(path.read_bytes())
    return str(
        Path(tempfile.gettempdir())
        / f"rnnlm-w2v-tests-{os.getuid() if hasattr(os, 'getuid') else 0}"
        / digest.hexdigest()[:16]
    )


# before anything imports Numba, and for the processes that tests start
os.environ.setdefault("NUMBA_CACHE_DIR", _cache_directory())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without the compiler, what needs it is skipped: it is too slow, or about compiled code."""
    if os.environ.get("NUMBA_DISABLE_JIT", "0") != "0":
        skip = pytest.mark.skip(reason="needs compiled code, which NUMBA_DISABLE_JIT=1 forbids")
        for item in items:
            if "compiled" in item.keywords:
                item.add_marker(skip)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Names of tests are the same in every process that collects them: compressed data can hold the time of day."""
    if isinstance(val, bytes) and not (val.isascii() and val.decode().isprintable()):
        return argname
    return None


@pytest.fixture(scope="session")
def golden() -> Path:
    """The outputs of the reference programs: tests/golden, see PROVENANCE.md there."""
    return ROOT / "tests" / "golden"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real corpora."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip(f"no {folder.name} folder beside the checkout: real corpora are read there")
    return folder
