"""What the tests of vector files share."""

import numpy as np
import pytest

from corpora.errors import FormatError
from w2v import io
from w2v.model import WordVectors


def some_vectors(n=50, dim=5, seed=0, dtype="float32") -> WordVectors:
    rng = np.random.default_rng(seed)
    words = [b"</s>", "日本".encode(), b"\xff\xfe", b"1", b"-0.5", b"e", *(b"word%d" % i for i in range(n))][:n]
    return WordVectors(words, rng.normal(size=(n, dim)).astype(dtype))


def assert_same(a: WordVectors, b: WordVectors, tolerance: float = 0) -> None:
    assert list(a.words) == list(b.words)
    assert a.vectors.dtype == b.vectors.dtype
    assert a.vectors.shape == b.vectors.shape
    assert np.abs(a.vectors - b.vectors).max() <= tolerance


def loaded(tmp_path, content: bytes, **options) -> WordVectors:
    (tmp_path / "file").write_bytes(content)
    return io.load(tmp_path / "file", **options)


def refusal(tmp_path, content: bytes, **options) -> str:
    """The error of a file of this content, without its name: ":line: reason"."""
    with pytest.raises(FormatError) as error:
        loaded(tmp_path, content, **options)
    message = str(error.value)
    assert message.startswith(f"{tmp_path / 'file'}:")
    assert "\n" not in message
    return message.removeprefix(str(tmp_path / "file"))
