"""The arithmetic of convolutions: test_convolution.py holds it to the plain loop; here it meets PyTorch's numbers."""

from pathlib import Path

import numpy as np
import pytest

from minnet import Conv1d, Conv2d, ConvTranspose2d, Padded, Sequential, check_layer

DATA = np.load(Path(__file__).parents[1] / "data" / "convolutions.npz")
RNG = np.random.default_rng(0)


def cases(kind):
    return sorted({name.rsplit(" ", 1)[0] for name in DATA if name.startswith(kind)})


def expect_numbers(layer, case):
    layer.astype(np.float64).W.data[...] = DATA[f"{case} W"]
    np.testing.assert_allclose(layer(DATA[f"{case} x"]), DATA[f"{case} y"], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(layer.backward(DATA[f"{case} dy"]), DATA[f"{case} dx"], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(layer.W.grad, DATA[f"{case} dW"], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("case", cases("transposed"))
def test_output_padding_gives_the_numbers_of_pytorch(case):
    stride, padding, more = map(int, case.split()[1:])
    expect_numbers(ConvTranspose2d(2, 3, 3, stride, padding, bias=False, output_padding=more), case)


@pytest.mark.parametrize("case", cases("same"))
def test_same_padding_with_strides_gives_the_numbers_of_a_padded_convolution(case):
    n, kernel, stride, dilation = map(int, case.split()[1:])
    layer = Conv2d(2, 3, kernel, stride, "same", dilation, bias=False)
    expect_numbers(layer, case)
    assert layer(np.ones((1, n, n, 2))).shape[1:3] == (-(-n // stride),) * 2


def test_same_padding_with_strides_pads_even_images_at_their_end_only():
    layer = Conv1d(1, 1, 3, stride=2, padding="same", bias=False)
    layer.W.data[:, 0, 0] = 1, 10, 100
    assert layer(np.array([[[1], [2], [3], [4]]]))[0, :, 0].tolist() == [321, 43]
    assert layer(np.array([[[1], [2], [3]]]))[0, :, 0].tolist() == [210, 32]


@pytest.mark.parametrize(
    ("build", "x"),
    [
        (lambda: Conv2d(2, 2, 3, stride=2, padding="same"), RNG.normal(size=(2, 4, 5, 2))),
        (lambda: Conv1d(2, 2, 2, stride=3, padding="same", groups=2), RNG.normal(size=(2, 7, 2))),
        (lambda: ConvTranspose2d(2, 1, 3, stride=(2, 3), output_padding=(1, 2)), RNG.normal(size=(2, 2, 3, 2))),
    ],
)
def test_the_gradients_of_strided_same_padding_and_output_padding_are_right(build, x):
    assert check_layer(build(), x)


@pytest.mark.parametrize("more", [2, (1, 2), 3])
def test_output_padding_of_a_stride_or_more_is_refused(more):
    with pytest.raises(ValueError, match=r"expected output_padding below the stride \(2, 2\)"):
        ConvTranspose2d(1, 1, 3, stride=2, output_padding=more)


LENGTHS = np.array([6, 3, 0, 1])


@pytest.mark.parametrize("value", [1e6, np.nan])
def test_a_convolution_over_time_reads_nothing_behind_the_end_of_a_sequence(value):
    x, inside = RNG.normal(size=(4, 6, 2)), np.arange(6) < LENGTHS[:, None]
    layer = Conv1d(2, 3, 4, padding="same", dilation=2).astype(np.float64)
    y = layer(np.where(inside[..., None], x, value), LENGTHS)
    dy = RNG.normal(size=y.shape)
    dx = layer.backward(np.where(inside[..., None], dy, value))
    together = layer.W.grad.copy(), layer.b.grad.copy()
    assert not y[~inside].any() and not dx[~inside].any()
    layer.zero_grad()
    for n, length in enumerate(LENGTHS):
        if length:
            np.testing.assert_allclose(layer(x[n : n + 1, :length])[0], y[n, :length], rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(layer.backward(dy[n : n + 1, :length])[0], dx[n, :length], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(layer.W.grad, together[0], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(layer.b.grad, together[1], rtol=1e-9, atol=1e-12)


def test_a_convolution_in_padded_is_checked_with_its_lengths():
    assert check_layer(Padded(Conv1d(2, 3, 3, padding="same"), Sequential()), (RNG.normal(size=(4, 6, 2)), LENGTHS))


# In the second, 3 steps give 3, but 1 step alone gives 2.
@pytest.mark.parametrize(
    ("layer", "steps", "told"),
    [
        (Conv1d(2, 3, 3), 6, "got a stride of 1 and 4 of 6 steps"),
        (Conv1d(2, 3, 1, stride=2, padding=1), 3, "got a stride of 2 and 3 of 3 steps"),
        (Conv1d(2, 3, 3, stride=2, padding="same"), 6, "got a stride of 2 and 3 of 6 steps"),
    ],
)
def test_lengths_are_refused_where_steps_of_y_are_not_those_of_x(layer, steps, told):
    with pytest.raises(ValueError, match=f"expected a stride of 1 and a y of as many steps as x .*{told}"):
        layer(np.ones((2, steps, 2)), np.array([steps, 1]))
