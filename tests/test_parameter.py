"""Parameters and buffers: what they make of data."""

import numpy as np
import pytest

from minnet import (
    Buffer,
    Parameter,
)


def p(*values):
    return Parameter(np.array(values))


@pytest.mark.rows("data", [[1, 2], np.array([1.0, 2.0]), np.array([1, 2], np.uint8), np.array([1, 2], np.float32)])
def test_a_parameter_is_a_float32_copy_with_a_gradient_of_zeros(data):
    parameter = Parameter(data)
    assert parameter.data.dtype == parameter.grad.dtype == np.float32
    assert parameter.data.tolist() == [1, 2]
    assert parameter.grad.tolist() == [0, 0]
    parameter.data[0] = 9
    assert data[0] == 1


def test_a_parameter_decays_unless_told_otherwise():
    assert p(1).decay is True
    assert Parameter([1], decay=False).decay is False


@pytest.mark.rows("kind", [Parameter, Buffer])
@pytest.mark.rows("data", [[1j], ["a"], np.array([None]), None])
def test_arrays_that_are_not_real_are_refused(kind, data):
    with pytest.raises(TypeError, match=f"{kind.__name__}: expected real numbers"):
        kind(data)


def test_a_buffer_makes_float32_of_floats_and_keeps_integers():
    assert Buffer([1.5]).data.dtype == np.float32
    assert Buffer(np.array([1, 2], np.int64)).data.dtype == np.int64
    original = np.array([1.0], np.float32)
    Buffer(original).data[0] = 5
    assert original[0] == 1
