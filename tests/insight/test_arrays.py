import math

import numpy as np
import pytest

from minnet.insight.arrays import is_float_array, norm, not_finite, rms


def test_norm_and_root_mean_square_do_not_overflow():
    array = np.array([[3e30, -4e30]], np.float32)
    assert norm(array) == pytest.approx(5e30, rel=1e-6)
    assert rms(array) == pytest.approx(5e30 / math.sqrt(2), rel=1e-6)


@pytest.mark.rows(
    "value, expected",
    [(np.ones(2), True), (np.ones((), np.float32), True), (np.ones(0), False), (np.arange(3), False), (1.0, False)],
)
def test_only_floating_arrays_with_entries_are_float_arrays(value, expected):
    assert is_float_array(value) is expected


def test_the_root_mean_square_of_no_entries_is_0():
    assert rms(np.zeros((0, 3))) == 0.0


@pytest.mark.rows(
    "value, phrase",
    [
        (np.ones((2, 3)), ""),
        (np.array([[1, np.nan], [np.inf, 0]]), "2 of 4 values that are not finite, the first at (0, 1)"),
        (np.array(np.nan), "1 of 1 values that are not finite"),
        (np.inf, "1 of 1 values that are not finite"),
        (np.arange(3), ""),
        (None, ""),
    ],
)
def test_values_that_are_not_finite_are_counted_and_the_first_is_located(value, phrase):
    assert not_finite(value) == phrase
