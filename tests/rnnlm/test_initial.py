"""Initial parameters: the numbers of glibc's rand(), and the distributions that the papers name."""

import math

import numpy as np
import pytest

from rnnlm.config import INITIALISATIONS, ModelConfig, parameter_shapes
from rnnlm.initial import GlibcRandom, glibc_params, initial_params


# printed by a C program: srand(seed); rand() five times, with glibc
@pytest.mark.parametrize(
    ("seed", "numbers"),
    [
        (0, [1804289383, 846930886, 1681692777, 1714636915, 1957747793]),  # as 1
        (1, [1804289383, 846930886, 1681692777, 1714636915, 1957747793]),
        (2, [1505335290, 1738766719, 190686788, 260874575, 747983061]),
        (123456789, [1965102536, 1639725855, 706684578, 1926601937, 71238646]),
    ],
)
def test_the_numbers_are_those_of_glibc(seed, numbers):
    assert GlibcRandom(seed).integers(5).tolist() == numbers


@pytest.mark.parametrize("seed", [1, 7, 2**31 - 1, 2**31, 2**32 - 1, 2**32 + 5])
def test_the_stream_follows_its_recurrence_whatever_the_pieces(seed):
    # r[i] = r[i-3] + r[i-31] modulo 2^32, of which the lowest bit is dropped: known up to a carry
    whole, pieces = GlibcRandom(seed), GlibcRandom(seed)
    numbers = whole.integers(300)
    np.testing.assert_array_equal(np.concatenate([pieces.integers(n) for n in (1, 0, 30, 31, 32, 206)]), numbers)
    carry = (numbers[31:] - numbers[28:-3] - numbers[:-31]) % 2**31
    assert set(carry.tolist()) <= {0, 1}
    assert numbers.min() >= 0
    assert numbers.max() < 2**31


def test_seeds_count_modulo_2_to_the_32():
    np.testing.assert_array_equal(GlibcRandom(2**32 + 5).integers(9), GlibcRandom(5).integers(9))


def test_uniform_numbers_are_those_of_0_4b():
    # rand() / RAND_MAX * (max - min) + min with the first number of seed 1
    assert GlibcRandom(1).uniform(-0.1, 0.1, 1)[0] == 1804289383 / 2147483647 * (0.1 - -0.1) - 0.1


def test_a_weight_is_the_sum_of_three_numbers():
    drawn = GlibcRandom(3).uniform(-0.1, 0.1, 18)
    expected = drawn[0::3] + drawn[1::3] + drawn[2::3]
    np.testing.assert_array_equal(GlibcRandom(3).weights(2, 3), expected.reshape(2, 3))


def test_weights_are_drawn_in_the_order_of_0_4b():
    # into each hidden unit from every word, then from every unit; then into the compression layer; words, then classes
    config = ModelConfig(hidden=3, classes=2, compression=4, direct=10, dtype="float64")
    params = glibc_params(config, 5, GlibcRandom(9))
    drawn = GlibcRandom(9).weights(1, 3 * (5 + 3) + 4 * 3 + (5 + 2) * 4)[0]
    into_hidden, into_compression, out = np.split(drawn, [24, 36])
    for unit, row in enumerate(into_hidden.reshape(3, 8)):
        np.testing.assert_array_equal(params["U"][:, unit], row[:5])
        np.testing.assert_array_equal(params["W"][:, unit], row[5:])
    np.testing.assert_array_equal(params["K"], into_compression.reshape(4, 3))
    np.testing.assert_array_equal(params["O"], out.reshape(7, 4)[:5])
    np.testing.assert_array_equal(params["C"], out.reshape(7, 4)[5:])
    assert not params["D"].any()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("options", [{}, {"compression": 7}, {"direct": 20}, {"classes": 1}])
def test_both_ways_give_the_parameters_that_the_configuration_has(dtype, options):
    config = ModelConfig(**{"hidden": 5, "classes": 3, "dtype": dtype} | options)
    for params in (
        glibc_params(config, 11, GlibcRandom(1)),
        *(initial_params(config, 11, np.random.default_rng(1), how) for how in INITIALISATIONS),
    ):
        assert {name: values.shape for name, values in params.items()} == parameter_shapes(config, 11)
        assert all(values.dtype == dtype and values.flags.c_contiguous for values in params.values())


# (of which matrix, how spread in theory); H = 60 hidden units, 900 words, 40 units in the compression layer, 30 classes
CONFIG = ModelConfig(hidden=60, compression=40, classes=30, dtype="float64")
FAN = {"U": (61, 60), "W": (61, 60), "K": (60, 40), "O": (40, 900), "C": (40, 30)}
DEVIATION = {
    "mikolov": lambda fan_in, fan_out: 0.1,  # three uniforms in +-0.1, of variance 0.01 / 3 each
    "uniform": lambda fan_in, fan_out: 1 / math.sqrt(3 * 60),  # in +-1 / sqrt(H)
    "normal": lambda fan_in, fan_out: 0.1,
    "xavier": lambda fan_in, fan_out: math.sqrt(2 / (fan_in + fan_out)),
    "he": lambda fan_in, fan_out: math.sqrt(2 / fan_in),
}
# fourth moment over squared variance: normal 3, uniform 1.8, the mean of three uniforms 3 - 1.2 / 3
KURTOSIS = {"mikolov": 2.6, "uniform": 1.8, "normal": 3.0, "xavier": 1.8, "he": 3.0}


@pytest.mark.parametrize("how", INITIALISATIONS)
@pytest.mark.parametrize("scale", [1.0, 2.5])
def test_distributions_are_those_of_the_papers(how, scale):
    params = initial_params(CONFIG, 900, np.random.default_rng(0), how, scale)
    for name, values in params.items():
        deviation = DEVIATION[how](*FAN[name]) * scale
        error = 5 / math.sqrt(values.size)  # five standard errors
        assert abs(values.mean()) < error * deviation
        assert values.std() == pytest.approx(deviation, rel=error)
        assert (values**4).mean() / values.var() ** 2 == pytest.approx(KURTOSIS[how], rel=4 * error)
        if how == "mikolov":
            assert np.abs(values).max() <= 0.3 * scale
        if how in ("xavier", "uniform"):
            assert np.abs(values).max() <= deviation * math.sqrt(3)


@pytest.mark.parametrize("how", INITIALISATIONS)
def test_the_same_seed_gives_the_same_parameters_and_another_one_others(how):
    one, two, other = (initial_params(CONFIG, 50, np.random.default_rng(seed), how) for seed in (1, 1, 2))
    for name, values in one.items():
        np.testing.assert_array_equal(values, two[name])
        assert (values != other[name]).any()


def test_float32_parameters_are_the_rounded_float64_ones():
    single = ModelConfig(hidden=60, compression=40, classes=30, dtype="float32")
    for name, values in initial_params(single, 50, np.random.default_rng(1)).items():
        np.testing.assert_array_equal(values, initial_params(CONFIG, 50, np.random.default_rng(1))[name].astype("f4"))


@pytest.mark.compiled
def test_a_matrix_that_is_drawn_in_parts_has_no_repetition():
    # more than 2^22 elements are drawn a part at a time
    params = initial_params(ModelConfig(hidden=64, classes=1), 70_000, np.random.default_rng(1))
    U = params["U"]
    assert np.unique(U[:, 0]).size > 69_000
    assert U.std() == pytest.approx(0.1, rel=0.01)
