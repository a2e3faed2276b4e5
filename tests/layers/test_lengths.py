"""Which steps of a batch belong to a sequence."""

import re

import numpy as np
import pytest

from minnet import ReLU
from minnet.layers.lengths import checked_lengths, is_step, without_padding


def test_the_steps_before_its_length_belong_to_a_sequence():
    assert is_step(np.array([0, 2, 3]), 3).tolist() == [[False] * 3, [True, True, False], [True] * 3]


@pytest.mark.parametrize("x", [np.full((2, 3), 7), np.full((2, 3, 2), np.nan), np.full((2, 3, 1, 2), np.inf, "f4")])
def test_padding_becomes_zero_whatever_was_in_it_and_x_stays(x):
    before, lengths = x.copy(), np.array([1, 3])
    y = without_padding(x, lengths)
    np.testing.assert_array_equal(x, before)
    assert y.dtype == x.dtype and not y[0, 1:].any()
    np.testing.assert_array_equal(y[0, 0], x[0, 0])
    np.testing.assert_array_equal(y[1], x[1])


@pytest.mark.parametrize(
    ("lengths", "error", "told"),
    [
        ([1.0, 2.0], TypeError, "expected lengths to be ints, got float64"),
        ([True, False], TypeError, "expected lengths to be ints, got bool"),
        ([1, 2, 3], ValueError, "expected lengths of shape (2,), one for each sample, got (3,)"),
        ([[1], [2]], ValueError, "expected lengths of shape (2,), one for each sample, got (2, 1)"),
        (3, ValueError, "expected lengths of shape (2,), one for each sample, got ()"),
        ([1, 5], ValueError, "expected lengths from 0 to the 4 steps of x, got 1 to 5"),
        ([-1, 2], ValueError, "expected lengths from 0 to the 4 steps of x, got -1 to 2"),
    ],
)
def test_lengths_that_do_not_fit_are_refused(lengths, error, told):
    with pytest.raises(error, match=re.escape(f"ReLU(): {told}")):
        checked_lengths(ReLU(), lengths, (2, 4, 3))


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64])
def test_lengths_of_any_integer_type_count_steps(dtype):
    assert checked_lengths(ReLU(), np.array([0, 4], dtype), (2, 4, 3)).dtype == np.intp
