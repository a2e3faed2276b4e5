"""Winograd's convolutions against the plain loop in conftest.py."""

import numpy as np
import pytest

from minnet import Conv1d, Conv2d, check_layer
from minnet.layers import winograd
from minnet.layers.correlation import correlate, correlate_and_gradient, correlate_transposed, flipped
from minnet.layers.windows import Strips


def use_it_wherever_it_applies(monkeypatch):
    monkeypatch.setattr(winograd, "is_faster", lambda shape, K, strips: winograd.applies(strips))


def random(*shape, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def strips_of(kernel, padding):
    ones = (1,) * len(kernel)
    return Strips(kernel, ones, ones, *(tuple(side) for side in zip(*padding)))


# Tiles that fit and that reach beyond y, one place alone, margins that differ, and wider than the kernel.
EVERY = pytest.mark.rows(
    ("positions", "kernel", "padding"),
    [
        ((8, 8), (3, 3), [(1, 1), (1, 1)]),
        ((7, 10), (3, 3), [(0, 0), (1, 1)]),
        ((3, 3), (3, 3), [(0, 0), (0, 0)]),
        ((5, 6), (2, 4), [(0, 1), (1, 2)]),
        ((6, 5), (5, 3), [(2, 2), (4, 0)]),
        ((2, 3), (2, 2), [(3, 2), (2, 3)]),
        ((11,), (3,), [(1, 1)]),
        ((9,), (5,), [(0, 3)]),
        ((6,), (4,), [(1, 2)]),
    ],
)


@EVERY
@pytest.mark.rows("block", [1, 2000, 10**6])
def test_y_and_its_gradients_are_those_of_the_plain_convolution(
    positions, kernel, padding, block, plain_convolution, monkeypatch
):
    use_it_wherever_it_applies(monkeypatch)
    monkeypatch.setattr(winograd, "BLOCK", block)
    x, W, strips = random(5, *positions, 3), random(*kernel, 3, 4, seed=1), strips_of(kernel, padding)
    dy = random(5, *strips.places(positions), 4, seed=2)
    y, dx, dW = plain_convolution(x, W, dy, strips.stride, strips.dilation, padding)
    near = {"rtol": 1e-11, "atol": 1e-11}
    np.testing.assert_allclose(correlate(x, W, strips), y, **near)
    np.testing.assert_allclose(correlate_transposed(dy, W, strips, x.shape), dx, **near)
    for array, expected in zip(correlate_and_gradient(x, dy, W, strips), (y, dW)):
        np.testing.assert_allclose(array, expected, **near)
    for array, expected in zip(correlate_and_gradient(dy, x, flipped(W, 1), strips.reversed()), (dx, flipped(dW, 1))):
        np.testing.assert_allclose(array, expected, **near)


@pytest.mark.rows("kernel, shape", [((3, 3), (8, 14, 14)), ((2, 5), (8, 14, 14)), ((3,), (8, 60))])
def test_float32_is_off_by_a_few_units_in_its_sixth_digit(kernel, shape, plain_convolution, monkeypatch):
    use_it_wherever_it_applies(monkeypatch)
    x, W = random(*shape, 32), random(*kernel, 32, 16, seed=1)
    strips = strips_of(kernel, [(0, 0)] * len(kernel))
    dy = random(shape[0], *strips.places(shape[1:]), 16, seed=2)
    y, _, dW = plain_convolution(x, W, dy, strips.stride, strips.dilation, [(0, 0)] * len(kernel))
    single = [array.astype(np.float32) for array in (x, dy, W)]
    for array, expected in zip(correlate_and_gradient(*single, strips), (y, dW)):
        assert array.dtype == np.float32
        assert abs(array - expected).max() < 5e-6 * abs(expected).max()


@pytest.mark.rows(
    "layer, x",
    [
        (Conv2d(2, 3, 3, padding="same", rng=0), random(2, 5, 4, 2)),
        (Conv2d(2, 2, (2, 5), padding=(0, 2), rng=0), random(2, 4, 5, 2)),
        (Conv1d(3, 2, 4, rng=0), random(2, 7, 3)),
    ],
)
def test_check_layer_finds_its_gradients_right(layer, x, monkeypatch):
    use_it_wherever_it_applies(monkeypatch)
    assert check_layer(layer, x)


def test_a_frozen_layer_has_the_same_dx(monkeypatch):
    use_it_wherever_it_applies(monkeypatch)
    layer, x = Conv2d(2, 3, 3, padding=1, rng=0).astype(np.float64), random(2, 6, 5, 2)
    dy = random(*layer(x).shape, seed=1)
    dx = layer.backward(dy)
    layer.freeze()(x)
    np.testing.assert_allclose(layer.backward(dy), dx, rtol=1e-12, atol=1e-12)


def test_a_value_that_is_not_finite_stays_in_the_tiles_of_its_windows(monkeypatch):
    use_it_wherever_it_applies(monkeypatch)
    x = random(2, 20, 20, 3)
    x[0, 9, 13] = np.nan
    y = Conv2d(3, 4, 3, padding=1, rng=0).astype(np.float64)(x)
    places = np.argwhere(np.isnan(y).any(axis=-1))
    assert (places[:, 0] == 0).all()
    # The windows of rows 8 to 10 and columns 12 to 14 see it: tiles of 4, which begin at multiples of 4.
    assert set(places[:, 1]) == set(range(8, 12)) and set(places[:, 2]) == set(range(12, 16))


def test_channels_enough_for_it_are_told_from_few_and_from_small_batches():
    same = strips_of((3, 3), [(1, 1), (1, 1)])
    assert winograd.is_faster((64, 28, 28, 32), 64, same)
    assert not winograd.is_faster((64, 28, 28, 1), 6, same)
    assert not winograd.is_faster((1, 8, 8, 64), 64, same)
    assert not winograd.is_faster((0, 28, 28, 32), 64, same)


@pytest.mark.rows("options", [{"stride": (1, 2)}, {"dilation": (2, 1)}, {"groups": 2}, {"kernel_size": (3, 1)}])
def test_other_convolutions_are_left_to_strips(options):
    layer = Conv2d(64, 64, **({"kernel_size": 3} | options))
    assert not winograd.applies(layer.strips)


def test_an_image_of_zeros_gives_exactly_the_bias(monkeypatch):
    use_it_wherever_it_applies(monkeypatch)
    layer = Conv2d(2, 3, 3, rng=0)
    layer.b.data[:] = 1, 2, 3
    assert (layer(np.zeros((2, 9, 9, 2))) == layer.b.data).all()
