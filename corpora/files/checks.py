"""What every reader of model files checks and shows."""

from __future__ import annotations

import numpy as np

_BLOCK = 1 << 20


def all_finite(values: np.ndarray, dtype=None) -> bool:
    """Whether an array, or what it is as ``dtype``, has neither NaN nor infinity; in blocks, without a second array."""
    flat = values.reshape(-1)
    with np.errstate(over="ignore"):
        return all(
            np.isfinite(flat[i : i + _BLOCK].astype(dtype or flat.dtype, copy=False)).all()
            for i in range(0, flat.size, _BLOCK)
        )


def shown(text: bytes | str, longest: int = 40) -> str:
    """What a file holds, as an error message quotes it: printable, one line, not too long."""
    decoded = text[: 5 * longest] if isinstance(text, str) else text[: 5 * longest].decode("utf-8", "backslashreplace")
    printable = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in decoded)
    return printable if len(printable) <= longest else printable[: longest - 3] + "..."
