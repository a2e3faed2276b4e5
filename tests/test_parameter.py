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


@pytest.mark.rows(
    "use",
    [
        lambda p: p * 2,
        lambda p: 2 * p,
        lambda p: np.ones(2) * p,
        lambda p: p @ np.ones(2),
        lambda p: np.ones((2, 2)) @ p,
        lambda p: p - p,
        lambda p: 1 / p,
        lambda p: p**2,
        lambda p: -p,
        lambda p: np.exp(p),
        lambda p: np.einsum("i,i->", np.ones(2), p),
        lambda p: np.asarray(p),
        lambda p: np.where([True, False], p, 0),
    ],
)
@pytest.mark.rows("kind", [Parameter, Buffer])
def test_arithmetic_with_the_object_instead_of_its_array_is_a_type_error(use, kind):
    with pytest.raises(TypeError):
        use(kind([1.0, 2.0]))


@pytest.mark.rows("use", [lambda p: p * 2, lambda p: np.ones(2) * p, lambda p: np.einsum("i->", p)])
def test_its_text_says_to_use_data(use):
    with pytest.raises(TypeError, match=r"use \.data, the array in it"):
        use(Parameter([1.0, 2.0]))


@pytest.mark.rows("value", [1.0, [1.0, 2.0]])
def test_zero_grad_reaches_scalars_and_read_only_gradients(value):
    parameter = Parameter(value)
    parameter.grad = parameter.grad + 1  # of a 0-d array, a NumPy scalar
    parameter.zero_grad()
    assert isinstance(parameter.grad, np.ndarray) and not parameter.grad.any()
    parameter.grad += 1
    parameter.grad.flags.writeable = False
    parameter.zero_grad()
    parameter.grad += 1
    assert (parameter.grad == 1).all()


def test_zero_grad_keeps_the_array():
    parameter = Parameter([1.0])
    grad = parameter.grad
    grad += 1
    parameter.zero_grad()
    assert parameter.grad is grad and grad[0] == 0


def test_what_arrives_read_only_from_another_process_can_be_written_to():
    parameter, buffer = Parameter([1.0, 2.0]), Buffer([1.0])
    states = [dict(vars(held)) for held in (parameter, buffer)]
    for held, state in zip((Parameter.__new__(Parameter), Buffer.__new__(Buffer)), states):
        for array in state.values():
            if isinstance(array, np.ndarray):
                array.flags.writeable = False
        held.__setstate__(state)
        held.data += 1
        assert held.data[0] == 2
