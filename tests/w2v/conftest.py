"""What the tests of training word vectors share."""

import pytest

from w2v import shards


@pytest.fixture
def small_table(monkeypatch):
    """4 million places are shuffled in some time; small texts need less of them."""
    monkeypatch.setattr(shards, "TABLE", 1 << 14)
