"""The errors for arguments that do not fit."""

import math
from fractions import Fraction

import numpy as np
import pytest

import minnet
from minnet.arguments import (
    described,
    expect_gradient,
    number,
    positive_number,
    real_array,
    share,
    signed_number,
    whole_number,
)


@pytest.mark.rows(
    ("value", "text"),
    [
        (3, "3"),
        ("a", "'a'"),
        (None, "None"),
        (np.ones((1797, 64)), "an array of shape (1797, 64)"),
        (np.float32(0.5), "np.float32(0.5)"),
        ("x" * 100, "'" + "x" * 79 + "..."),
        (["a\nb", 1], r"['a\nb', 1]"),
    ],
)
def test_a_value_is_described_in_a_line(value, text):
    assert described(value) == text


def test_a_large_model_is_described_in_a_line():
    text = described(minnet.Sequential(*[minnet.Linear(3, 3) for _ in range(9)]))
    assert text.startswith("Sequential( 0: Linear(3, 3) 1: Linear(3, 3) ") and len(text) <= 83 and "\n" not in text


def test_errors_name_arrays_by_their_shape():
    with pytest.raises(TypeError, match=r"got an array of shape \(5, 2\)$"):
        whole_number("me", "size", np.ones((5, 2)), least=0)
    with pytest.raises(TypeError, match=r"got an array of shape \(5, 2\)$"):
        number("me", "rate", np.ones((5, 2)))


@pytest.mark.rows("value", [3, np.int64(3), np.uint8(3)])
def test_a_whole_number_is_an_int(value):
    assert whole_number("me", "size", value, least=3) == 3
    assert type(whole_number("me", "size", value, least=3)) is int


@pytest.mark.rows("value", [3.0, "3", None, True, np.float32(3), np.array([3])])
def test_what_is_no_whole_number_is_refused_by_name(value):
    with pytest.raises(TypeError, match=r"me: expected size to be an int, got "):
        whole_number("me", "size", value, least=0)


def test_a_whole_number_that_is_too_small_is_refused_by_name():
    with pytest.raises(ValueError, match="me: expected size to be at least 1, got 0"):
        whole_number("me", "size", 0, least=1)


every_kind_of_number = pytest.mark.rows("kind", [number, signed_number, positive_number, share])


@every_kind_of_number
@pytest.mark.rows("value", [0.5, np.float32(0.5), np.array(0.5), Fraction(1, 2)])
def test_a_number_is_a_float(kind, value):
    assert kind("me", "rate", value) == 0.5
    assert type(kind("me", "rate", value)) is float


@every_kind_of_number
@pytest.mark.rows("value", ["0.5", None, True, np.True_, np.array([0.5, 0.5]), np.array([0.5]), 1j, np.complex64(1)])
def test_what_is_no_number_is_refused_by_name(kind, value):
    with pytest.raises(TypeError, match="me: expected rate to be a number, got "):
        kind("me", "rate", value)


@pytest.mark.rows("value", [-0.1, math.nan, math.inf, -math.inf])
def test_a_number_out_of_range_is_refused_by_name(value):
    with pytest.raises(ValueError, match="me: expected rate to be at least 0 and finite, got "):
        number("me", "rate", value)
    with pytest.raises(ValueError, match="me: expected rate to be at least 0 and below 1, got 1"):
        number("me", "rate", 1.0, below=1.0)


@pytest.mark.rows(
    ("kind", "limits", "inside", "outside"),
    [
        (signed_number, "to be finite", [-1e300, 0, 1e300], []),
        (positive_number, "to be above 0 and finite", [5e-324, 1e300], [0, -0.0, -1]),
        (share, "from 0 to 1", [0, 1], [-1e-9, 1.0000001, 5]),
    ],
)
def test_numbers_of_other_limits_are_refused_by_name_outside_of_them(kind, limits, inside, outside):
    assert [kind("me", "rate", value) for value in inside] == inside
    for value in [*outside, math.nan, math.inf, -math.inf]:
        with pytest.raises(ValueError, match=f"me: expected rate {limits}, got "):
            kind("me", "rate", value)


def test_a_gradient_is_an_array_of_the_shape_of_y():
    layer = minnet.Linear(3, 2)
    expect_gradient(layer, np.ones((4, 2)), (4, 2))
    with pytest.raises(ValueError, match=r"^Linear\(3, 2\): expected dy of shape \(4, 2\), like y, got \[\[1, 2\]\]$"):
        expect_gradient(layer, [[1, 2]], (4, 2))


@pytest.mark.rows("data", [True, 1, 1.5, [1, 2.5], np.ones(2, np.float16), np.ones(2, np.uint8)])
def test_real_numbers_are_an_array(data):
    array = real_array("me", data)
    assert isinstance(array, np.ndarray)
    assert np.array_equal(array, data)


@pytest.mark.rows("data", ["a", [1j], [None], np.array(["1"]), np.array([1], object), np.datetime64("2000")])
def test_what_is_not_real_is_refused_by_name(data):
    with pytest.raises(TypeError, match="me: expected real numbers, got an array of dtype "):
        real_array("me", data)
