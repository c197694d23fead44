"""What the tests of training word vectors share."""

import pytest

from w2v.objectives import objective


@pytest.fixture
def small_table(monkeypatch):
    """4 million places are shuffled in some time; small texts need less of them."""
    monkeypatch.setattr(objective, "TABLE", 1 << 14)
