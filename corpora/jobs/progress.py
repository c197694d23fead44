"""A progress bar on standard error, where that is a terminal; nothing at all elsewhere."""

from __future__ import annotations

import os
import sys


def bar(total: int | float | None, desc: str, unit: str = "B", disable: bool | None = None):
    """A bar with ``update(n)``, ``set_postfix_str(text)`` and ``close()``, to be used in ``with``.

    ``total`` None: unknown, only what was done is counted.  ``unit`` "B" is shown in steps of 1000.
    ``disable`` None: shown where standard error is a terminal.
    """
    if disable is None:
        disable = sys.stderr is None or not sys.stderr.isatty()
    if disable:
        return Silent()
    from tqdm import tqdm

    tqdm.monitor_interval = 0  # no thread of its own, which Ctrl-C would have to wait for
    return tqdm(total=total, desc=desc, unit=unit, unit_scale=True, leave=False, file=sys.stderr, **_shape())


def _shape() -> dict:
    """What tqdm must know of the terminal; one that tells no size (a bare pseudo-terminal) would show nothing."""
    try:
        known = min(os.get_terminal_size(sys.stderr.fileno())) > 0
    except (OSError, ValueError):
        known = False
    return {"dynamic_ncols": True} if known else {"ncols": 80, "nrows": 24}


class Silent:
    """The bar that is not shown."""

    def update(self, n: int | float = 1) -> None:
        """Nothing."""

    def set_postfix_str(self, text: str = "", refresh: bool = True) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""

    def __enter__(self) -> Silent:
        return self

    def __exit__(self, *error) -> None:
        """Nothing."""
