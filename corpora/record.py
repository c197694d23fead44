"""Settings as frozen values that are validated when they are made."""

from __future__ import annotations

from dataclasses import asdict, fields


def require(condition: bool, message: str) -> None:
    """ValueError with the message where the condition does not hold."""
    if not condition:
        raise ValueError(message)


class Record:
    """To and from the plain dictionary that model files hold; unknown keys of newer versions are refused."""

    def to_dict(self) -> dict:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict):
        unknown = set(values) - {field.name for field in fields(cls)}
        require(not unknown, f"unknown setting {', '.join(sorted(unknown))}: written by a newer version")
        return cls(**values)
