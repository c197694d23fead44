"""Mixtures as files: a small JSON object that names its components' files, each by its path from the object's folder.

    {
      "format": "rnnlm mixture",
      "version": 1,
      "kind": "linear",
      "components": [
        {"weight": 0.5, "model": "elman.rnnlm"},
        {"weight": 0.3, "model": "kn5.lm"},
        {"weight": 0.1, "cache": {"size": 500, "decay": null}},
        {"weight": 0.1, "neural_cache": {"model": "lstm.rnnlm", "size": 2000, "theta": 0.3}}
      ],
      "tuned": {"words": 73760, "perplexity": 101.2, "iterations": 14, "precision": 0.001}
    }

A component is a ``model`` (a file of any format, another mixture too), a ``cache``, or a ``mixture``: an object with
a kind and components of its own.  ``tuned`` is there where the weights were fitted to a text, and only tells of it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from corpora.errors import CorpusError, FormatError
from corpora.files.checks import shown
from corpora.files.output import replace_file
from corpora.files.source import Source
from corpora.text.inputs import LONGEST, too_long
from rnnlm.config import LARGEST_WEIGHT

if TYPE_CHECKING:
    from rnnlm.mixtures.mixture import Mixture

FORMAT, VERSION = "rnnlm mixture", 1
_LARGEST_THETA = 1e300  # whole numbers of JSON may be larger than any float
PARTS = ("model", "cache", "neural_cache", "mixture")


def recognises(prefix: bytes) -> bool:
    """Whether a file of these first bytes is a JSON object that calls itself a mixture."""
    return prefix.lstrip()[:1] == b"{" and f'"{FORMAT}"'.encode() in prefix


def peek(source: Source) -> dict:
    """What the file says: ``kind``, ``components`` (as in the file), ``tuned`` (None: the weights were given)."""
    found = _Reader(source.path).parse(source)
    return {"kind": found["kind"], "components": found["components"], "tuned": found.get("tuned")}


def read(source: Source, dtype: str | None, load: Callable) -> Mixture:
    """The mixture of an open file, with its components loaded by ``load(path, dtype=dtype)``.

    FormatError for what is no mixture (JSON errors with the line), for components that are not there, and for a
    mixture that is its own component; the components' files have errors of their own.
    """
    return _Reader(source.path, dtype, load).mixture(source)


def write(lm: Mixture, path: str | os.PathLike) -> None:
    """Write a mixture.  CorpusError where a component is neither a file's nor a cache."""
    from rnnlm.mixtures.mixture import Mixture

    if not isinstance(lm, Mixture):
        raise CorpusError("not a mixture: nothing but a mixture can be written as one")
    folder = os.path.dirname(os.path.realpath(path))
    content = {"format": FORMAT, "version": VERSION, **_as_dict(lm, folder)}
    if lm.tuned is not None:
        content["tuned"] = lm.tuned
    with replace_file(os.fspath(path), "w") as file:
        json.dump(content, file, indent=2)
        file.write("\n")


def _as_dict(mixture: Mixture, folder: str) -> dict:
    parts = zip(mixture.weights.tolist(), mixture.models, mixture.files, strict=True)
    components = [{"weight": weight, **_part(lm, file, folder)} for weight, lm, file in parts]
    return {"kind": mixture.kind, "components": components}


def _part(lm, file: str | None, folder: str) -> dict:
    from rnnlm.mixtures.cache import CacheLM
    from rnnlm.mixtures.mixture import Mixture
    from rnnlm.mixtures.neural_cache import NeuralCacheLM

    if file is not None:
        return {"model": _relative(file, folder)}
    if isinstance(lm, NeuralCacheLM) and lm.file is not None:
        return {"neural_cache": {"model": _relative(lm.file, folder), "size": lm.size, "theta": lm.theta}}
    if isinstance(lm, CacheLM):
        return {"cache": {"size": lm.size, "decay": lm.decay}}
    if isinstance(lm, Mixture):
        return {"mixture": _as_dict(lm, folder)}
    raise CorpusError(f"a mixture's file names files, and this {type(lm).__name__} is not from one; save it first")


def _relative(file: str, folder: str) -> str:
    # the folder's links are followed, a link that is the model file itself stays
    place = os.path.join(os.path.realpath(os.path.dirname(os.path.abspath(file))), os.path.basename(file))
    try:
        return os.path.relpath(place, folder).replace(os.sep, "/")
    except ValueError:  # another drive of Windows
        return place


class _Reader:
    """Reads one file.  ``chain``: the mixtures that are being read, outermost first; ``loaded``: models by path.

    ``load(path, dtype=dtype)`` reads the files of other kinds.
    """

    def __init__(
        self, path: str, dtype: str | None = None, load: Callable | None = None, chain: tuple[str, ...] = (),
        loaded: dict | None = None,
    ):  # fmt: skip
        self.path, self.dtype, self._load_file = path, dtype, load
        self.real = os.path.realpath(path)
        self.chain = (*chain, self.real)
        self.loaded = {} if loaded is None else loaded

    def parse(self, source: Source) -> dict:
        """The object in a file, and in it a list of components, each an object with a weight."""
        data = source.upto(LONGEST + 1)
        if len(data) > LONGEST:
            raise too_long(self.path, None, "mixture")
        try:
            text = bytes(data).decode("utf-8")
            found = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_no_repetition)
        except UnicodeDecodeError as error:
            raise FormatError(self.path, data[: error.start].count(b"\n") + 1, "not UTF-8") from error
        except json.JSONDecodeError as error:
            raise FormatError(self.path, error.lineno, f"not JSON: {error.msg} (column {error.colno})") from error
        except (ValueError, RecursionError) as error:
            raise FormatError(self.path, None, f"not JSON: {error}") from error
        if found.get("format") != FORMAT:
            self._refuse(f'not a mixture: "format" is not "{FORMAT}"')
        if found.get("version") != VERSION:
            self._refuse(f"mixture of version {shown(str(found.get('version')))}; version {VERSION} can be read")
        self._check(found, "", {"format", "version", "tuned"})
        if not isinstance(found.get("tuned"), dict | None):
            self._refuse('"tuned" is not an object')
        return found

    def mixture(self, source: Source) -> Mixture:
        found = self.parse(source)
        return self._build(found, "", found.get("tuned"))

    def _check(self, found: Any, place: str, others: set[str]) -> None:
        """Raise FormatError unless an object has a kind and a list of components, and no keys but ``others`` beside."""
        if not isinstance(found, dict):
            self._refuse(f"{place}not an object")
        for key in found.keys() - others - {"kind", "components"}:
            self._refuse(f'{place}unknown key "{shown(key)}"')
        if not isinstance(found.get("kind"), str):
            self._refuse(f'{place}"kind" is missing, or not the name of a kind of mixture')
        components = found.get("components")
        if not isinstance(components, list) or not components:
            self._refuse(f'{place}"components" is not a list of components')
        for number, component in enumerate(components, 1):
            here = f"{place}component {number}: "
            if not isinstance(component, dict):
                self._refuse(f"{here}not an object")
            kinds = [key for key in PARTS if key in component]
            if len(kinds) != 1 or component.keys() - {"weight", *kinds}:
                keys = shown(", ".join(component))
                self._refuse(f'{here}expected "weight" and one of {", ".join(PARTS)}; found {keys}')
            weight = component.get("weight")
            if isinstance(weight, bool) or not isinstance(weight, int | float) or abs(weight) > LARGEST_WEIGHT:
                self._refuse(f'{here}"weight" is not a number that a weight can be')
            if kinds == ["mixture"]:
                self._check(component["mixture"], here, set())
            elif kinds == ["cache"]:
                self._check_cache(component["cache"], here)
            elif kinds == ["neural_cache"]:
                self._check_neural_cache(component["neural_cache"], here)
            else:
                self._check_path(component, here)

    def _check_cache(self, found: Any, place: str) -> None:
        if not isinstance(found, dict) or found.keys() - {"size", "decay"}:
            self._refuse(f'{place}expected an object with "size" and "decay" for a cache')
        size, decay = found.get("size"), found.get("decay")
        if isinstance(size, bool) or not isinstance(size, int | None):
            self._refuse(f'{place}the "size" of a cache is a whole number or null')
        if isinstance(decay, bool) or not isinstance(decay, int | float | None):
            self._refuse(f'{place}the "decay" of a cache is a number or null')

    def _check_neural_cache(self, found: Any, place: str) -> None:
        if not isinstance(found, dict) or found.keys() != {"model", "size", "theta"}:
            self._refuse(f'{place}expected an object with "model", "size" and "theta" for a neural cache')
        size, theta = found["size"], found["theta"]
        if isinstance(size, bool) or not isinstance(size, int):
            self._refuse(f'{place}the "size" of a neural cache is a whole number')
        if isinstance(theta, bool) or not isinstance(theta, int | float) or abs(theta) > _LARGEST_THETA:
            self._refuse(f'{place}the "theta" of a neural cache is a number')
        self._check_path(found, place)

    def _check_path(self, found: dict, place: str) -> None:
        if not isinstance(found["model"], str) or not found["model"]:
            self._refuse(f'{place}"model" is not a path')

    def _build(self, found: dict, place: str, tuned: dict | None) -> Mixture:
        from rnnlm.mixtures.cache import CacheLM
        from rnnlm.mixtures.mixture import Mixture, union_vocab

        components = found["components"]
        models, files = [], []
        for number, component in enumerate(components, 1):
            lm, file = self._component(component, f"{place}component {number}: ")
            models.append(lm)
            files.append(file)
        vocabs = [lm.vocab for lm in models if lm is not None]
        if not vocabs:
            self._refuse(f"{place}a cache needs a model beside it, whose words it counts")
        union = union_vocab(vocabs)[0] if len(vocabs) < len(models) else None
        try:
            for k, component in enumerate(components):
                if models[k] is None:
                    models[k] = CacheLM(union, **component["cache"])
            weights = [component["weight"] for component in components]
            return Mixture(models, weights, found["kind"], files=files, tuned=tuned)
        except FormatError:
            raise
        except CorpusError as error:
            raise FormatError(self.path, None, f"{place}{error}") from error

    def _component(self, component: dict, place: str) -> tuple[Any, str | None]:
        """The model of a component and its file; None and None for a cache, which waits for the others' words."""
        if "mixture" in component:
            return self._build(component["mixture"], place, None), None
        if "cache" in component:
            return None, None
        if "neural_cache" in component:
            return self._neural_cache(component["neural_cache"], place), None
        path = self._path(component)
        return self._load(path, place), path

    def _neural_cache(self, found: dict, place: str) -> Any:
        from rnnlm.mixtures.neural_cache import NeuralCacheLM

        path = self._path(found)
        try:
            return NeuralCacheLM(self._load(path, place), found["size"], float(found["theta"]), path)
        except FormatError:
            raise
        except CorpusError as error:
            raise FormatError(self.path, None, f"{place}{error}") from error

    def _path(self, found: dict) -> str:
        return os.path.join(os.path.dirname(self.real), found["model"])

    def _load(self, path: str, place: str) -> Any:
        real = os.path.realpath(path)
        if real in self.chain:
            ring = [*self.chain[self.chain.index(real) :], real]
            self._refuse(f"{place}the mixture would be part of itself ({' -> '.join(map(os.path.basename, ring))})")
        if not os.path.exists(path):
            self._refuse(f"{place}{path}: no such file (paths are those from the mixture's folder)")
        if real not in self.loaded:
            with Source(path) as source:
                if recognises(source.prefix):
                    inner = _Reader(path, self.dtype, self._load_file, self.chain, self.loaded)
                    self.loaded[real] = inner.mixture(source)
            if real not in self.loaded:
                self.loaded[real] = self._load_file(path, dtype=self.dtype)
        return self.loaded[real]

    def _refuse(self, reason: str) -> NoReturn:
        raise FormatError(self.path, None, reason)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number of JSON")


def _no_repetition(pairs: list[tuple[str, Any]]) -> dict:
    found = dict(pairs)
    if len(found) < len(pairs):
        repeated = next(key for i, (key, _) in enumerate(pairs) if key in {earlier for earlier, _ in pairs[:i]})
        raise ValueError(f'the key "{shown(repeated)}" is there twice')
    return found
