"""Initial parameters: seeded NumPy generators, or the very numbers of rnnlm 0.4b on glibc."""

from __future__ import annotations

import math

import numpy as np

from corpora.compute.jit import exact_kernel
from rnnlm.cells import Parameter
from rnnlm.config import BEGINNINGS, Beginning, ModelConfig, parameter_shapes, parameters


def initial_params(
    config: ModelConfig, n_words: int, rng: np.random.Generator, initialisation: str = "mikolov", scale: float = 1.0
) -> dict[str, np.ndarray]:
    """Random parameters of ``config.dtype``; direct connections are zero.

    ``mikolov``: the sum of three uniforms in +-0.1 (0.4b), with units other than logistic ones times the factors of
    their ``config.Beginning``.  ``uniform``: in +-1/sqrt(H), embeddings and outputs in +-0.1.
    ``normal``: standard deviation 0.1.  ``xavier``: uniform
    in +-sqrt(6 / (fan_in + fan_out)) (Glorot & Bengio 2010).  ``he``: normal, variance 2 / fan_in (He et al. 2015).
    The fans are those that the cell and the output layer say.  All are times ``scale``.
    """
    params, known = {}, parameters(config, n_words)
    for name, parameter in known.items():
        if parameter.value is not None:
            params[name] = np.full(parameter.shape, parameter.value, config.dtype)
            continue
        fan_in, fan_out = parameter.fans
        values = np.empty(parameter.shape, config.dtype)
        for part in np.array_split(values, max(1, values.size // 2**22)):  # float64 draws of a part at a time
            if initialisation == "mikolov":
                drawn = rng.uniform(-0.1, 0.1, part.shape)
                for _ in range(2):
                    for row in drawn:  # one row at a time: three such arrays at once would be the run's peak of memory
                        row += rng.uniform(-0.1, 0.1, row.shape)
            elif initialisation == "uniform":
                bound = parameter.bound or 1 / math.sqrt(config.hidden)
                drawn = rng.uniform(-bound, bound, part.shape)
            elif initialisation == "normal":
                drawn = rng.normal(0.0, 0.1, part.shape)
            elif initialisation == "xavier":
                bound = math.sqrt(6 / (fan_in + fan_out))
                drawn = rng.uniform(-bound, bound, part.shape)
            else:
                drawn = rng.normal(0.0, math.sqrt(2 / fan_in), part.shape)
            drawn *= scale
            part[...] = drawn
        params[name] = values
    if initialisation == "mikolov":
        _fit(params, known, BEGINNINGS[config.activation], rng, scale)
    return params


def _fit(
    params: dict[str, np.ndarray],
    known: dict[str, Parameter],
    begin: Beginning,
    rng: np.random.Generator,
    scale: float,
) -> None:
    """Make what is drawn fit the activation: see ``Beginning``."""
    for name, values in params.items():
        part = known[name].part
        factor = getattr(begin, part) if part else 1
        if factor != 1:
            values *= values.dtype.type(factor)
        if part == "input" and begin.offset:
            values += scale * rng.uniform(-begin.offset, begin.offset, values.shape[1])


@exact_kernel
def _glibc_fill(ring, position, out):
    """out = the next numbers of glibc's additive feedback generator, r[i] = r[i-3] + r[i-31] mod 2^32, halved."""
    for i in range(out.size):
        j = position % 31
        ring[j] = np.uint32((ring[j] + ring[(position - 3) % 31]) & np.uint64(0xFFFFFFFF))
        out[i] = np.int64(ring[j] >> np.uint32(1))
        position += 1
    return position


class GlibcRandom:
    """``srand(seed)`` and ``rand()`` of glibc (TYPE_3): what every build of 0.4b on Linux drew from."""

    def __init__(self, seed: int):
        words = [seed % 2**32 or 1]
        word = words[0] - 2**32 if words[0] >= 2**31 else words[0]
        for _ in range(30):  # Park and Miller's 16807, by Schrage's method on signed numbers
            word = 16807 * (word % 127773 if word >= 0 else -((-word) % 127773)) - 2836 * int(word / 127773)
            if word < 0:
                word += 2**31 - 1
            words.append(word)
        self._ring = np.array([w % 2**32 for w in words], np.uint32)
        self._position = 34  # the recurrence begins at r[3] += r[0]
        self.integers(310)  # glibc throws these away

    def integers(self, n: int) -> np.ndarray:
        """(n,) int64 in 0 .. 2^31 - 1."""
        out = np.empty(n, np.int64)
        self._position = _glibc_fill(self._ring, self._position, out)
        return out

    def uniform(self, low: float, high: float, n: int) -> np.ndarray:
        """(n,) float64 as 0.4b's ``random``: both ends are possible."""
        return self.integers(n) / (2**31 - 1) * (high - low) + low

    def weights(self, rows: int, columns: int) -> np.ndarray:
        """(rows, columns): three uniforms in +-0.1 an element, row by row."""
        drawn = self.uniform(-0.1, 0.1, 3 * rows * columns).reshape(rows, columns, 3)
        return drawn[..., 0] + drawn[..., 1] + drawn[..., 2]


def glibc_params(config: ModelConfig, n_words: int, random: GlibcRandom) -> dict[str, np.ndarray]:
    """The parameters that 0.4b would begin with, drawn in its order."""
    shapes = parameter_shapes(config, n_words)
    hidden = random.weights(config.hidden, n_words + config.hidden)  # row b: into unit b, from words, then from units
    params = {"U": hidden[:, :n_words].T, "W": hidden[:, n_words:].T}
    if config.compression:
        params["K"] = random.weights(*shapes["K"])
    output = random.weights(n_words + config.classes, shapes["O"][1])
    params["O"], params["C"] = output[:n_words], output[n_words:]
    if config.direct:
        params["D"] = np.zeros(config.direct)
    return {name: np.ascontiguousarray(value, config.dtype) for name, value in params.items()}
