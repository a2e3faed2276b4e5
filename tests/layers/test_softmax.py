"""The softmax and its logarithm; what holds for all activations is tested with those."""

import math

import numpy as np
import pytest

from minnet import (
    LogSoftmax,
    ReLU,
    Softmax,
)


def frozen(values, dtype=np.float64):
    array = np.array(values, dtype)
    array.flags.writeable = False
    return array


def test_softmax_and_its_gradient_have_the_values_that_pytorch_gives():
    layer = Softmax()
    p = layer(frozen([1, 3, 5, 2, 4]))
    # PyTorch gives these for dy = (1, −2, 0.5, 3, 0).
    expected = [
        0.011656230956039609,
        0.08612854443626873,
        0.6364086465588309,
        0.031684920796124276,
        0.23412165725273668,
    ]
    gradient = [0.00871118830042691, -0.1940181742686034, 0.15741044251426387, 0.08704930645358405, -0.0591527629996715]
    assert np.allclose(p, expected, rtol=1e-13, atol=1e-15)
    assert np.allclose(layer.backward(frozen([1, -2, 0.5, 3, 0])), gradient, rtol=1e-12, atol=1e-15)


def test_log_softmax_and_its_gradient_have_the_values_that_pytorch_gives():
    layer = LogSoftmax()
    y = layer(frozen([1, 3, 5, 2, 4]))
    # PyTorch gives these for dy = (1, −2, 0.5, 3, 0).
    expected = [-4.451914395937593, -2.4519143959375933, -0.45191439593759325, -3.4519143959375933, -1.4519143959375933]
    gradient = [0.970859422609901, -2.215321361090672, -1.0910216163970772, 2.9207876980096894, -0.5853041431318415]
    assert np.allclose(y, expected, rtol=1e-13, atol=1e-15)
    assert np.allclose(layer.backward(frozen([1, -2, 0.5, 3, 0])), gradient, rtol=1e-12, atol=1e-15)


def test_the_jacobian_of_softmax_is_full():
    layer = Softmax()
    layer(np.log(frozen([0.5, 0.3, 0.2])))
    rows = [layer.backward(dy) for dy in np.eye(3)]
    # p(1 − p) on the diagonal: 0.5·0.5, 0.3·0.7, 0.2·0.8; −pᵢ pⱼ off it.
    expected = [[0.25, -0.15, -0.1], [-0.15, 0.21, -0.06], [-0.1, -0.06, 0.16]]
    assert np.allclose(rows, expected, rtol=1e-12, atol=1e-15)


@pytest.mark.rows("layer", [Softmax(), LogSoftmax()], ids=repr)
def test_moving_all_scores_together_changes_nothing(layer):
    rng = np.random.default_rng(1)
    layer(rng.normal(size=(4, 6)))
    assert np.allclose([math.fsum(row) for row in layer.backward(rng.normal(size=(4, 6))).tolist()], 0, atol=1e-14)


@pytest.mark.rows("dtype", [np.float32, np.float64])
def test_scores_of_ten_thousand_are_exact(dtype):
    x, dy = frozen([[1e4, -1e4, 0]], dtype), frozen([[1, 2, 3]], dtype)
    layer = Softmax()
    assert layer(x).tolist() == [[1, 0, 0]]
    assert layer.backward(dy).tolist() == [[0, 0, 0]]
    layer = LogSoftmax()
    assert layer(x).tolist() == [[0, -2e4, -1e4]]
    # dy − p Σ dy with p = (1, 0, 0).
    assert layer.backward(dy).tolist() == [[-5, 2, 3]]


@pytest.mark.rows("layer", [Softmax(), LogSoftmax()], ids=repr)
def test_a_single_number_has_no_axis_to_normalise(layer):
    with pytest.raises(ValueError, match=r"Softmax\(\): expected x of shape"):
        layer(np.float64(1))


def test_only_softmax_gives_probabilities():
    assert [layer.gives_probabilities for layer in (Softmax(), LogSoftmax(), ReLU())] == [True, False, False]
