"""The mean of the weights after each of the last epochs.  Izmailov et al. (2018); Polyak & Juditsky (1992)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

_PART = 1 << 20  # elements that are computed at once, so that little memory is taken


class Average:
    """A running mean of parameters, beside a model whose weights go on changing.

    The two can change places (``exchange``): then the model holds the mean, and ``arrays`` the weights.
    """

    def __init__(self, params: Mapping[str, np.ndarray]):
        self.arrays = {name: np.zeros_like(values, order="C") for name, values in params.items()}

    def add(self, params: Mapping[str, np.ndarray], n: int) -> None:
        """The mean of n + 1 sets of weights, of which ``params`` is the last."""
        for name, mean in self.arrays.items():
            for part, values in _parts(mean, params[name]):
                part += (values - part) / np.asarray(n + 1, part.dtype)

    def exchange(self, params: Mapping[str, np.ndarray]) -> None:
        for name, own in self.arrays.items():
            for part, values in _parts(own, params[name]):
                kept = part.copy()
                part[...] = values
                values[...] = kept

    def state(self) -> dict[str, np.ndarray]:
        return {f"average.{name}": values for name, values in self.arrays.items()}

    def restore(self, saved: Mapping[str, np.ndarray]) -> None:
        """ValueError where ``saved`` is not the ``state`` of such parameters."""
        for name, values in self.state().items():
            found = saved.get(name)
            if found is None or found.shape != values.shape or found.dtype != values.dtype:
                raise ValueError(f"{name} is {'missing' if found is None else f'{found.dtype} {found.shape}'}")
            values[...] = found


def _parts(*arrays: np.ndarray):
    """Views of some rows of all of them, one after another."""
    first = arrays[0]
    rows = max(1, _PART * len(first) // max(1, first.size))
    for begin in range(0, len(first), rows):
        yield tuple(array[begin : begin + rows] for array in arrays)
