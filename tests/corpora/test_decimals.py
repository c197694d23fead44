"""Numbers as C's printf writes them and as text says them: corpora.text.decimals."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from corpora.text.decimals import NotANumber, format_decimals, parse_decimals


@settings(max_examples=300, deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=8), st.sampled_from([2, 4]))
@example([0.0, -0.0, -1e-9, 0.00005, -0.00015, 0.03125, 99999.99995, 0.125, 2.5e-5], 4)  # halves, exact and nearly
@example([1e11, 99999999999.99, 1e15, -123456789.125], 2)
def test_numbers_are_formatted_as_printf_does(values, decimals):
    written = format_decimals(np.array(values), decimals)
    assert written == b"".join(b"%.*f\n" % (decimals, value) for value in values)
    assert parse_decimals(written).tolist() == [float(line) for line in written.split()]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(width=32, min_value=-50, max_value=50), min_size=1, max_size=20))
def test_float32_weights_are_formatted_as_printf_does(values):
    written = format_decimals(np.array(values, np.float32), 4)
    assert written == b"".join(b"%.4f\n" % value for value in values)
    assert np.signbit(parse_decimals(written)).tolist() == [b"-" in line for line in written.split()]


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="0123456789.-+e\n \tnaif", max_size=30))
def test_any_text_is_parsed_as_float_does_or_refused(text):
    tokens = text.split()
    try:
        expected = [float(token) for token in tokens]
        good = all(np.isfinite(expected))
    except ValueError:
        good = False
    content = text.encode() + b"\n"
    if good:
        assert parse_decimals(content).tolist() == expected
    else:
        with pytest.raises(NotANumber) as error:
            parse_decimals(content)
        assert content[error.value.offset :].startswith(error.value.token)
