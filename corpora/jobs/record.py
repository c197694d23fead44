"""Settings and progress as values that are validated when they are made; files may hold anything in their place."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, fields
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

T = TypeVar("T")


def require(condition: bool, message: str) -> None:
    """ValueError with the message where the condition does not hold."""
    if not condition:
        raise ValueError(message)


def made_of(kind: type[T], values: object) -> T:
    """The dataclass ``kind`` of these values by name, as a file holds them.

    ValueError for names that it does not have, and for values of other types; a whole number may stand for a float.
    """
    if not isinstance(values, dict):
        raise ValueError(f"{values!r} where settings are expected")
    unknown = set(values) - {field.name for field in fields(kind)}
    require(not unknown, f"unknown setting {', '.join(sorted(unknown))}: written by a newer version")
    hints = get_type_hints(kind)
    for name, value in values.items():
        require(is_a(value, hints[name]), f"{name} is {value!r}")
    return kind(**values)


def require_types(values: object, hints: Mapping[str, Any]) -> None:
    """ValueError unless ``values`` is a dictionary whose entries of these names are of these types; others may be any.

    A name whose type can be None may be missing.
    """
    if not isinstance(values, dict):
        raise ValueError(f"{values!r} where names and values are expected")
    for name, hint in hints.items():
        require(is_a(values.get(name), hint), f"{name} is {values.get(name)!r}")


def is_a(value: object, hint: Any) -> bool:
    """Whether a value of JSON is of the type that is written as ``hint``: int, float | None, list[str] ...

    True is no number; whole numbers are those that fit 64 bits, and floats of any kind but NaN.
    """
    if isinstance(hint, UnionType):
        return any(is_a(value, one) for one in get_args(hint))
    if get_origin(hint) is list:
        return isinstance(value, list) and all(is_a(one, get_args(hint)[0]) for one in value)
    if hint in (None, NoneType):
        return value is None
    if isinstance(value, bool):
        return hint is bool
    if hint is float and isinstance(value, int | float):
        return abs(value) <= 1 << 63 or (isinstance(value, float) and not math.isnan(value))
    if hint is int and isinstance(value, int):
        return -(1 << 63) <= value < 1 << 63
    return isinstance(value, hint)


class Record:
    """To and from the plain dictionary that model files hold; unknown keys of newer versions are refused."""

    def to_dict(self) -> dict:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict):
        """ValueError as ``made_of``."""
        return made_of(cls, values)
