"""Values from files: of the types that are declared, or a ValueError that names the first that is not."""

from dataclasses import dataclass

import pytest

from corpora.jobs.record import is_a, made_of, require_types


@dataclass
class Place:
    epoch: int = 0
    alpha: float = 0.5
    name: str | None = None
    texts: list[str] | None = None
    finished: bool = False


@pytest.mark.parametrize(
    "values",
    [{}, {"epoch": 3, "alpha": 1, "name": None}, {"alpha": float("-inf"), "texts": ["a", "b"], "finished": True}],
)
def test_a_dataclass_is_made_of_what_fits_it(values):
    assert made_of(Place, values) == Place(**values)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"epoch": 3.0}, "epoch is 3.0"),
        ({"epoch": True}, "epoch is True"),
        ({"epoch": 1 << 63}, "epoch is 9223372036854775808"),
        ({"alpha": "1"}, "alpha is '1'"),
        ({"alpha": float("nan")}, "alpha is nan"),
        ({"alpha": 10**30}, "alpha is 1000"),
        ({"name": 1}, "name is 1"),
        ({"texts": "a"}, "texts is 'a'"),
        ({"texts": ["a", 1]}, r"texts is \['a', 1\]"),
        ({"finished": 1}, "finished is 1"),
        ({"later": 1}, "unknown setting later"),
        ([], "where settings are expected"),
        (None, "where settings are expected"),
    ],
)
def test_what_does_not_fit_is_named(values, reason):
    with pytest.raises(ValueError, match=reason):
        made_of(Place, values)


def test_only_what_is_read_must_be_of_its_type():
    hints = {"tokenizer": str | None, "words": int}
    require_types({"words": 3, "anything": [None]}, hints)
    for wrong, reason in (
        ({"words": 3, "tokenizer": 1}, "tokenizer is 1"),
        ({}, "words is None"),
        (7, "7 where names"),
    ):
        with pytest.raises(ValueError, match=reason):
            require_types(wrong, hints)


def test_an_object_and_a_list_are_types_too():
    assert is_a({}, dict)
    assert is_a([1], list | None)
    assert not is_a([], dict)
