"""The files of tests/golden, written by the reference programs; PROVENANCE.md there says how each was made."""

import gzip
from pathlib import Path

GOLDEN = Path(__file__).resolve().parent / "golden"


def golden_bytes(name: str) -> bytes:
    """Return the content of a file, or of the ``.gz`` that holds it."""
    path = GOLDEN / name
    return path.read_bytes() if path.exists() else gzip.decompress(Path(f"{path}.gz").read_bytes())
