import math

import numpy as np
import pytest

from minnet import Concatenate, Conv1d, Conv2d, ConvTranspose2d, Linear, Sequential, check_layer, seed
from minnet.layers.correlation import flipped, unfolding_dy_is_faster


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def frozen(values, dtype=np.float64):
    array = np.array(values, dtype)
    array.flags.writeable = False
    return array


def image(rows):
    """One sample with one channel."""
    return frozen(np.array(rows)[None, ..., None])


def signal(values):
    return frozen(np.array(values)[None, :, None])


def known(layer, W, b=None):
    """The layer in float64, with these values in the order in which they lie in memory."""
    layer.astype(np.float64)
    layer.W.data[...] = np.reshape(W, layer.W.data.shape)
    if b is not None:
        layer.b.data[...] = b
    return layer


def randomized(layer):
    layer.astype(np.float64)
    for i, parameter in enumerate(layer.parameters()):
        parameter.data[...] = random(*parameter.data.shape, seed=10 + i)
    return layer


def in_full(kernel, stride=1, padding=0, dilation=1, groups=1, bias=True):
    """A layer's options as the plain convolution takes them: a number for each axis, and the zeros on both sides."""
    stride, dilation = (n if isinstance(n, tuple) else (n,) * len(kernel) for n in (stride, dilation))
    if padding == "same":
        total = [d * (k - 1) for d, k in zip(dilation, kernel)]
        return stride, dilation, [(n // 2, n - n // 2) for n in total], groups
    both = padding if isinstance(padding, tuple) else (padding,) * len(kernel)
    return stride, dilation, [(n, n) for n in both], groups


def assert_computes(layer, x, dy, y, dx, dW):
    """The layer gives y + b, dx and dW, and db = Σ dy."""
    b, tolerance = layer.b.data if layer.bias else 0, {"rtol": 1e-10, "atol": 1e-12}
    np.testing.assert_allclose(layer(x), y + b, **tolerance)
    np.testing.assert_allclose(layer.backward(dy), dx, **tolerance)
    np.testing.assert_allclose(layer.W.grad, dW, **tolerance)
    if layer.bias:
        np.testing.assert_allclose(layer.b.grad, dy.reshape(-1, len(b)).sum(axis=0), **tolerance)


# A large stride with more padding than the kernel reaches makes windows that lie in the padding alone.
# Channels and kernel of a Conv2d, its options, x, and how many places y has.
IMAGES = [
    ((2, 3, 3), {}, (2, 5, 6, 2), (3, 4)),
    ((1, 1, 1), {}, (1, 3, 2, 1), (3, 2)),
    ((3, 2, 1), {"stride": 2}, (2, 4, 5, 3), (2, 3)),
    ((2, 1, (2, 3)), {}, (2, 4, 5, 2), (3, 3)),
    ((1, 2, 2), {"bias": False}, (3, 4, 3, 1), (3, 2)),
    ((2, 2, 3), {"stride": 2}, (1, 6, 7, 2), (2, 3)),
    ((2, 2, 2), {"stride": 3}, (2, 7, 6, 2), (2, 2)),
    ((1, 2, (1, 2)), {"stride": (3, 2)}, (2, 6, 5, 1), (2, 2)),
    ((2, 3, 3), {"padding": 1}, (1, 4, 3, 2), (4, 3)),
    ((1, 2, 3), {"padding": (0, 2)}, (2, 3, 2, 1), (1, 4)),
    ((1, 2, 2), {"padding": 3}, (1, 2, 1, 1), (7, 6)),
    ((2, 1, 3), {"stride": 2, "padding": 1}, (2, 5, 4, 2), (3, 2)),
    ((1, 1, 1), {"stride": 2, "padding": 2}, (1, 2, 3, 1), (3, 4)),
    ((1, 2, 1), {"stride": 7, "padding": (2, 1)}, (2, 1, 3, 1), (1, 1)),
    ((2, 3, 3), {"padding": "same"}, (2, 4, 3, 2), (4, 3)),
    ((1, 2, (2, 4)), {"padding": "same"}, (2, 3, 2, 1), (3, 2)),
    ((1, 2, (2, 3)), {"padding": "same", "dilation": (3, 2)}, (1, 4, 3, 1), (4, 3)),
    ((2, 2, 3), {"dilation": 2}, (1, 5, 6, 2), (1, 2)),
    ((1, 2, 2), {"stride": 2, "padding": 1, "dilation": (1, 3)}, (2, 4, 5, 1), (3, 2)),
    ((4, 6, 2), {"groups": 2}, (2, 3, 4, 4), (2, 3)),
    ((3, 3, 3), {"padding": 1, "groups": 3}, (2, 3, 4, 3), (3, 4)),
    ((2, 6, 2), {"groups": 2, "bias": False}, (1, 3, 3, 2), (2, 2)),
    ((4, 2, (3, 2)), {"stride": (1, 2), "padding": (2, 0), "dilation": (2, 1), "groups": 2}, (2, 4, 5, 4), (4, 2)),
    ((2, 2, (4, 5)), {}, (2, 4, 5, 2), (1, 1)),
    ((1, 1, 3), {"stride": 1000000000}, (2, 4, 4, 1), (1, 1)),
]
# The same for Conv1d.
SIGNALS = [
    ((2, 3, 3), {}, (2, 6, 2), (4,)),
    ((1, 1, 1), {}, (1, 1, 1), (1,)),
    ((2, 1, 2), {"stride": 3, "bias": False}, (2, 7, 2), (2,)),
    ((1, 2, (4,)), {"padding": 2}, (2, 5, 1), (6,)),
    ((1, 2, 4), {"padding": "same"}, (2, 5, 1), (5,)),
    ((2, 2, 3), {"padding": "same", "dilation": 4}, (1, 5, 2), (5,)),
    ((4, 2, 2), {"stride": 2, "padding": 1, "dilation": 2, "groups": 2}, (2, 6, 4), (3,)),
    ((3, 6, 3), {"groups": 3}, (2, 4, 3), (2,)),
    ((1, 1, 1), {"stride": 9, "padding": 3}, (1, 2, 1), (1,)),
]
# The same for ConvTranspose2d.
TRANSPOSED = [
    ((2, 3, 3), {}, (2, 2, 3, 2), (4, 5)),
    ((1, 1, 1), {}, (1, 1, 1, 1), (1, 1)),
    ((2, 1, 2), {"stride": 2}, (2, 3, 2, 2), (6, 4)),
    ((1, 2, 3), {"stride": 2}, (2, 2, 3, 1), (5, 7)),
    ((1, 2, 2), {"stride": 3, "bias": False}, (1, 2, 3, 1), (5, 8)),
    ((2, 2, 3), {"stride": 2, "padding": 1}, (2, 3, 2, 2), (5, 3)),
    ((1, 2, (2, 3)), {"stride": (1, 2), "padding": (1, 0)}, (2, 3, 2, 1), (2, 5)),
    ((1, 1, 2), {"stride": 3, "padding": 2}, (2, 3, 4, 1), (4, 7)),
]


every_convolution = pytest.mark.rows(
    ("kind", "sizes", "options", "shape", "places"),
    [(Conv2d, *row) for row in IMAGES] + [(Conv1d, *row) for row in SIGNALS],
)
every_image = pytest.mark.rows(("sizes", "options", "shape", "places"), IMAGES)
every_signal = pytest.mark.rows(("sizes", "options", "shape", "places"), SIGNALS)
every_transposed = pytest.mark.rows(("sizes", "options", "shape", "places"), TRANSPOSED)


# By hand


X = [[1, 2, 3], [4, 5, 6], [7, 8, 9]]


def test_a_convolution_of_one_channel_has_the_values_found_by_hand():
    layer = known(Conv2d(1, 1, 2), [[1, 2], [3, 4]], 0.5)
    # The first is 1·1 + 2·2 + 3·4 + 4·5 + 0.5: the kernel is not flipped around.
    assert layer(image(X))[0, ..., 0].tolist() == [[37.5, 47.5], [67.5, 77.5]]
    dx = layer.backward(image([[1, 0], [0, 10]]))
    assert dx[0, ..., 0].tolist() == [[1, 2, 0], [3, 14, 20], [0, 30, 40]]
    assert layer.W.grad[..., 0, 0].tolist() == [[1 + 50, 2 + 60], [4 + 80, 5 + 90]]
    assert layer.b.grad.tolist() == [11]


def test_stride_and_padding_have_the_values_found_by_hand():
    layer = known(Conv2d(1, 1, 2, stride=2, padding=1), [[1, 2], [3, 4]], 0)
    assert layer(image(X))[0, ..., 0].tolist() == [[4, 3 * 2 + 4 * 3], [8 + 28, 5 + 12 + 24 + 36]]
    dx = layer.backward(image([[1, 10], [100, 1000]]))
    assert dx[0, ..., 0].tolist() == [[4, 30, 40], [200, 1000, 2000], [400, 3000, 4000]]
    assert layer.W.grad[..., 0, 0].tolist() == [[5000, 6400], [8020, 9731]]


def test_dilation_of_a_signal_has_the_values_found_by_hand():
    layer = known(Conv1d(1, 1, 2, dilation=3), [1, 10], 0)
    assert layer(signal([1, 2, 3, 4, 5])).reshape(-1).tolist() == [41, 52]
    assert layer.backward(signal([1, 2])).reshape(-1).tolist() == [1, 2, 0, 10, 20]
    assert layer.W.grad.reshape(-1).tolist() == [1 + 4, 4 + 10]


def test_channels_are_added_up_for_each_output_channel():
    layer = known(Conv1d(2, 3, 1), [[1, 2, 3], [10, 20, 30]], [0.5, 0, -0.5])
    assert layer(frozen([[[1, 2], [3, 4]]])).tolist() == [[[21.5, 42, 62.5], [43.5, 86, 128.5]]]
    assert layer.backward(frozen([[[1, 0, 0], [0, 1, 1]]])).tolist() == [[[1, 10], [5, 50]]]
    assert layer.W.grad[0].tolist() == [[1, 3, 3], [2, 4, 4]]
    assert layer.b.grad.tolist() == [1, 1, 1]


def test_same_padding_puts_the_odd_zero_of_an_even_kernel_at_the_end():
    assert known(Conv1d(1, 1, 2, padding="same"), [1, 10], 0)(signal([1, 2, 3])).reshape(-1).tolist() == [21, 32, 3]
    layer = known(Conv1d(1, 1, 4, padding="same"), [1, 10, 100, 1000], 0)
    # One zero in front and two behind.
    assert layer(signal([1, 2, 3])).reshape(-1).tolist() == [3210, 321, 32]


def test_groups_with_stride_padding_and_dilation_have_the_values_that_pytorch_gives():
    def pattern(*shape, below):
        return (np.arange(np.prod(shape)) * 5 % below - below // 2).reshape(shape)

    layer = Conv2d(4, 2, (2, 3), stride=(2, 1), padding=1, dilation=(2, 1), groups=2)
    # PyTorch's kernel is (out, in, h, w) and its image (N, C, h, w).
    W = pattern(2, 3, 2, 2, below=5)
    y = known(layer, W, [0.5, -1])(pattern(1, 5, 4, 4, below=7))
    assert y.tolist() == [
        [
            [[12.5, -13], [10.5, -13], [8.5, -1], [0.5, 3]],
            [[18.5, -17], [18.5, -13], [0.5, 11], [-5.5, 15]],
            [[6.5, -5], [8.5, -1], [-7.5, 11], [-5.5, 11]],
        ]
    ]


def test_a_transposed_convolution_paints_kernels_that_overlap():
    layer = known(ConvTranspose2d(1, 1, 2), [[1, 2], [3, 4]], 0.5)
    assert layer(image([[1, 10], [100, 0]]))[0, ..., 0].tolist() == [
        [1.5, 12.5, 20.5],
        [103.5, 234.5, 40.5],
        [300.5, 400.5, 0.5],
    ]
    assert layer.backward(image(X))[0, ..., 0].tolist() == [[37, 47], [67, 77]]
    assert layer.W.grad[..., 0, 0].tolist() == [[1 + 20 + 400, 2 + 30 + 500], [4 + 50 + 700, 5 + 60 + 800]]
    assert layer.b.grad.tolist() == [45]


def test_stride_of_a_transposed_convolution_spreads_and_padding_cuts_off():
    W = [[1, 2], [3, 4]]
    apart = known(ConvTranspose2d(1, 1, 2, stride=3, bias=False), W)
    assert apart(image([[1, 10]]))[0, ..., 0].tolist() == [[1, 2, 0, 10, 20], [3, 4, 0, 30, 40]]
    cut = known(ConvTranspose2d(1, 1, 2, stride=3, padding=(0, 1), bias=False), W)
    assert cut(image([[1, 10]]))[0, ..., 0].tolist() == [[2, 0, 10], [4, 0, 30]]


# Against the plain one


@pytest.mark.rows("fold", [0, 1.5, math.inf], ids=["of x", "as is fastest", "of dy"])
@every_convolution
def test_a_convolution_and_its_gradients_are_those_of_the_plain_one(
    kind, sizes, options, shape, places, fold, plain_convolution, monkeypatch
):
    monkeypatch.setattr("minnet.layers.correlation.FOLDED_DX", fold)
    layer, x = randomized(kind(*sizes, **options)), random(*shape)
    W, dy = layer.W.data, random(shape[0], *places, sizes[1], seed=1)
    y, dx, dW = plain_convolution(x, W, dy, *in_full(W.shape[:-2], **options))
    assert_computes(layer, x, dy, y, dx, dW)


@every_transposed
def test_a_transposed_convolution_computes_y_as_the_plain_one_computes_dx(
    sizes, options, shape, places, plain_convolution
):
    layer, x = randomized(ConvTranspose2d(*sizes, **options)), random(*shape)
    W, dy = layer.W.data.swapaxes(2, 3), random(shape[0], *places, sizes[1], seed=1)
    dx, y, dW = plain_convolution(dy, W, x, *in_full(W.shape[:-2], **options))
    assert_computes(layer, x, dy, y, dx, dW.swapaxes(2, 3))


@pytest.mark.rows("block", [1, 500, 10**6])
@pytest.mark.rows(
    "kind, options",
    [(Conv2d, (2, 4, 3, 1, 1, 1, 2)), (Conv2d, (2, 3, 3, 2)), (ConvTranspose2d, (2, 3, 3, 2, 1))],
)
def test_samples_computed_in_blocks_are_those_computed_together(kind, options, block, monkeypatch):
    layer, x = randomized(kind(*options)), random(5, 4, 6, 2)
    y = layer(x)
    dy = random(*y.shape, seed=1)
    dx, gradients = layer.backward(dy), [p.grad.copy() for p in layer.parameters()]
    monkeypatch.setattr("minnet.layers.windows.BLOCK", block)
    layer.zero_grad()
    np.testing.assert_allclose(layer(x), y, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(layer.backward(dy), dx, rtol=1e-12, atol=1e-14)
    for p, gradient in zip(layer.parameters(), gradients):
        np.testing.assert_allclose(p.grad, gradient, rtol=1e-12, atol=1e-14)


@pytest.mark.rows("groups", [1, 2, 4])
@pytest.mark.rows("kernel", [(1,), (2, 3)])
def test_a_kernel_flipped_twice_is_itself_and_flipped_once_has_its_last_position_first(kernel, groups):
    W = random(*kernel, 8 // groups, 12)
    once = flipped(W, groups)
    assert once.shape == (*kernel, 12 // groups, 8)
    assert np.array_equal(flipped(once, groups), W)
    first, last = (0,) * len(kernel), (-1,) * len(kernel)
    for k in range(12):
        g = k // (12 // groups)
        for c in range(8 // groups):
            assert once[(*first, k % (12 // groups), g * (8 // groups) + c)] == W[(*last, c, k)]


def test_the_windows_of_dy_are_unfolded_where_it_has_no_more_channels_or_places_than_is_worth_it():
    def of_dy(in_channels, out_channels, *options, size=28):
        layer = Conv2d(in_channels, out_channels, *options)
        y = layer(np.ones((1, size, size, in_channels), np.float32))
        return unfolding_dy_is_faster((1, size, size, in_channels), y.shape, layer.strips)

    assert of_dy(32, 64, 3, 1, 1) and of_dy(64, 16, 3, 1, 1)
    assert not of_dy(3, 64, 3, 1, 1) and not of_dy(6, 16, 5, size=14) and not of_dy(32, 32, 3, 2, 1)


# The contract


@pytest.mark.long
@every_image
def test_the_contract_holds_for_images(sizes, options, shape, places):
    check_layer(Conv2d(*sizes, **options), random(*shape))


@pytest.mark.long
@every_signal
def test_the_contract_holds_for_signals(sizes, options, shape, places):
    check_layer(Conv1d(*sizes, **options), random(*shape))


@pytest.mark.long
@every_transposed
def test_the_contract_holds_for_transposed_convolutions(sizes, options, shape, places):
    check_layer(ConvTranspose2d(*sizes, **options), random(*shape))


# What must be so, whatever the numbers


@every_image
def test_the_gradient_of_the_input_is_the_adjoint(sizes, options, shape, places):
    layer, x = randomized(Conv2d(*sizes, **options | {"bias": False})), random(*shape)
    y = layer(x)
    dy = random(*y.shape, seed=1)
    assert (y * dy).sum() == pytest.approx((x * layer.backward(dy)).sum(), rel=0, abs=1e-13 * abs(y * dy).sum())


@every_transposed
def test_a_transposed_convolution_is_the_way_back_through_a_convolution(sizes, options, shape, places):
    (C, K, kernel), stride, padding = sizes, options.get("stride", 1), options.get("padding", 0)
    there = randomized(Conv2d(K, C, kernel, stride, padding, bias=False))
    back = known(ConvTranspose2d(C, K, kernel, stride, padding, bias=False), there.W.data.swapaxes(2, 3))
    image, x = random(shape[0], *places, K, seed=1), random(*shape)
    y = there(image)
    np.testing.assert_allclose(back(x), there.backward(x), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(back.backward(image), y, rtol=1e-10, atol=1e-12)


def test_a_kernel_of_one_place_is_a_linear_layer():
    x, dy = random(2, 3, 4, 5), random(2, 3, 4, 6, seed=1)
    layer, linear = randomized(Conv2d(5, 6, 1)), Linear(5, 6).astype(np.float64)
    linear.load_state_dict({"W": layer.W.data[0, 0], "b": layer.b.data})
    np.testing.assert_allclose(layer(x), linear(x), rtol=1e-12)
    np.testing.assert_allclose(layer.backward(dy), linear.backward(dy), rtol=1e-12)
    np.testing.assert_allclose(layer.W.grad[0, 0], linear.W.grad, rtol=1e-12)


def test_a_kernel_as_large_as_the_image_is_a_linear_layer_of_all_of_it():
    x = random(3, 4, 5, 2)
    layer = randomized(Conv2d(2, 6, (4, 5)))
    expected = x.reshape(3, -1) @ layer.W.data.reshape(-1, 6) + layer.b.data
    np.testing.assert_allclose(layer(x)[:, 0, 0], expected, rtol=1e-12)


def test_groups_are_convolutions_side_by_side():
    layer, x = randomized(Conv2d(4, 6, 3, padding=1, groups=2)), random(2, 4, 5, 4)
    y = layer(x)
    dy = random(*y.shape, seed=1)
    dx = layer.backward(dy)
    for part, (c, k) in enumerate([(slice(0, 2), slice(0, 3)), (slice(2, 4), slice(3, 6))]):
        alone = known(Conv2d(2, 3, 3, padding=1), layer.W.data[..., k], layer.b.data[k])
        np.testing.assert_allclose(y[..., k], alone(x[..., c]), rtol=1e-10, err_msg=str(part))
        np.testing.assert_allclose(dx[..., c], alone.backward(dy[..., k]), rtol=1e-10)
        np.testing.assert_allclose(layer.W.grad[..., k], alone.W.grad, rtol=1e-10)


@pytest.mark.rows("padding", [0, 1, 2, 5])
def test_an_image_moved_by_a_stride_moves_its_convolution_by_one_place(padding):
    layer, x = randomized(Conv2d(1, 2, 3, stride=2, padding=padding)), np.zeros((1, 11, 11, 1))
    x[:, 4:6, 4:6] = random(1, 2, 2, 1)
    moved = np.roll(x, (2, 2), axis=(1, 2))
    np.testing.assert_allclose(layer(moved)[:, 1:, 1:], layer(x)[:, :-1, :-1], rtol=1e-12, atol=1e-14)


def test_samples_do_not_touch_each_other():
    layer, x = randomized(Conv2d(2, 3, 3, padding=1)), random(3, 4, 4, 2)
    y = layer(x)
    for n in range(3):
        np.testing.assert_allclose(layer(x[n : n + 1])[0], y[n], rtol=1e-12)


def test_rows_that_no_window_reaches_get_no_gradient():
    layer = randomized(Conv2d(1, 2, 2, stride=3))
    dx = layer.backward(np.ones_like(layer(random(1, 6, 7, 1))))
    assert not dx[:, [2, 5]].any()
    assert not dx[:, :, [2, 5, 6]].any()
    assert dx[:, [[0], [1], [3], [4]], [0, 1, 3, 4]].all()


LAYERS = [
    lambda: Conv2d(2, 3, 3, stride=2, padding=1),
    lambda: Conv2d(2, 4, (1, 2), dilation=2, groups=2, bias=False),
    lambda: Conv2d(2, 3, 1),
    lambda: ConvTranspose2d(2, 3, 3, stride=2, padding=1),
]
every_layer = pytest.mark.rows("make", LAYERS, ids=["strided", "grouped", "one place", "transposed"])


@every_layer
def test_the_second_training_step_is_right_for_images_of_another_size(make):
    layer, fresh = randomized(make()), make().astype(np.float64)
    layer.backward(np.ones_like(layer(random(3, 4, 4, 2))))
    for p in layer.parameters():
        p.data -= 0.1 * p.grad
        p.grad.fill(0)
    fresh.load_state_dict(layer.state_dict())
    x = random(2, 5, 7, 2, seed=1)
    y = layer(x)
    assert np.array_equal(y, fresh(x))
    dy = random(*y.shape, seed=2)
    assert np.array_equal(layer.backward(dy), fresh.backward(dy))
    assert all(np.array_equal(a.grad, b.grad) and a.grad.any() for a, b in zip(layer.parameters(), fresh.parameters()))


@every_layer
def test_gradients_add_up_over_two_passes(make):
    layer, first, second = (randomized(make()) for _ in range(3))
    for seed_of_x, alone in ((1, first), (2, second)):
        x = random(2, 5, 4, 2, seed=seed_of_x)
        for passed in (layer, alone):
            passed.backward(np.cos(passed(x)))
    for summed, a, b in zip(layer.parameters(), first.parameters(), second.parameters()):
        np.testing.assert_allclose(summed.grad, a.grad + b.grad, rtol=1e-10, atol=1e-12)


@every_layer
def test_float32_stays_float32_and_bytes_are_cast(make):
    layer = make()
    x = np.random.default_rng(0).integers(0, 256, (2, 5, 4, 2)).astype(np.uint8)
    y = layer(x)
    assert y.dtype == np.float32
    assert layer.backward(np.ones_like(y)).dtype == np.float32
    assert {p.grad.dtype for p in layer.parameters()} == {np.dtype(np.float32)}
    assert np.array_equal(y, layer(x.astype(np.float64)))


@every_layer
def test_neither_pass_writes_into_what_it_was_handed(make):
    layer = randomized(make())
    x = frozen(random(2, 5, 4, 2))
    before = [p.data.copy() for p in layer.parameters()]
    y = layer(x)
    y.flags.writeable = False
    layer.backward(frozen(random(*y.shape)))
    assert all(np.array_equal(p.data, data) for p, data in zip(layer.parameters(), before))


@every_layer
def test_arrays_that_lie_otherwise_in_memory_give_the_same(make):
    layer, x = randomized(make()), random(2, 5, 4, 2)
    y = layer(x)
    dy = random(*y.shape, seed=1)
    dx = layer.backward(dy)
    gradients = [p.grad.copy() for p in layer.parameters()]
    for order in (np.asfortranarray, lambda a: np.repeat(a, 2, axis=2)[:, :, ::2], lambda a: a[::-1].copy()[::-1]):
        layer.zero_grad()
        np.testing.assert_allclose(layer(order(x)), y, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(layer.backward(order(dy)), dx, rtol=1e-12, atol=1e-14)
        for p, gradient in zip(layer.parameters(), gradients):
            np.testing.assert_allclose(p.grad, gradient, rtol=1e-12, atol=1e-14)


@every_layer
def test_dx_is_not_even_computed_where_nobody_will_use_it(make, same_sums):
    layer, plain, x = randomized(make()), randomized(make()), random(2, 5, 4, 2)
    dy = random(*layer(x).shape, seed=1)
    plain(x)
    plain.backward(dy)
    # The values of W serve dx alone: backward must do without them.
    layer.W.data = None
    layer.input_gradient = False
    assert layer.backward(dy) is None
    same_sums([p.grad for p in layer.parameters()], [p.grad for p in plain.parameters()])
    assert all(p.grad.any() for p in layer.parameters())
    layer.input_gradient = True
    with pytest.raises((AttributeError, TypeError)):
        layer.backward(dy)


def test_a_first_convolution_of_a_model_does_not_compute_the_gradient_of_the_images():
    model = Sequential(randomized(Conv2d(1, 2, 3)), randomized(Conv2d(2, 2, 3)))
    y = model(random(1, 6, 6, 1))
    model[0].W.data = None
    assert model.backward(np.ones_like(y), input_gradient=False) is None
    assert model[0].W.grad.any()
    assert model[1].W.grad.any()


@every_layer
def test_an_empty_batch_gives_an_empty_output_and_no_gradient(make):
    layer = make()
    y = layer(np.zeros((0, 5, 4, 2)))
    assert y.shape == (0, *layer(np.zeros((1, 5, 4, 2))).shape[1:])
    layer(np.zeros((0, 5, 4, 2)))
    assert layer.backward(y).shape == (0, 5, 4, 2)
    assert not any(p.grad.any() for p in layer.parameters())


def test_two_branches_of_kernels_of_another_size_fit_together():
    check_layer(Concatenate(Conv2d(1, 2, 1), Conv2d(1, 1, 4, padding="same")), random(1, 3, 4, 1))


# Parameters


@pytest.mark.rows(
    ("layer", "shape"),
    [
        (Conv2d(4, 6, (3, 5), groups=2), (3, 5, 2, 6)),
        (Conv1d(4, 6, 3, groups=2), (3, 2, 6)),
        (ConvTranspose2d(4, 6, (3, 5)), (3, 5, 4, 6)),
    ],
    ids=repr,
)
def test_arrays_have_the_documented_names_shapes_and_decay(layer, shape):
    assert {name: p.data.shape for name, p in layer.named_parameters().items()} == {"W": shape, "b": (6,)}
    assert [p.decay for p in layer.parameters()] == [True, False]
    assert layer.b.data.tolist() == [0] * 6


@pytest.mark.rows("kind", [Conv2d, Conv1d, ConvTranspose2d])
def test_without_a_bias_there_is_no_b(kind):
    assert list(kind(2, 3, 3, bias=False).named_parameters()) == ["W"]


# Fans are the positions times the channels: limit = √(6 / (positions · (in + out))), groups seeing a part of in.
@pytest.mark.rows(
    ("make", "limit"),
    [
        (lambda rng: Conv2d(20, 40, 10, rng=rng), 0.0316228),
        (lambda rng: Conv2d(40, 20, 10, rng=rng), 0.0316228),
        (lambda rng: Conv2d(30, 120, (1, 4), rng=rng), 0.1),
        (lambda rng: Conv2d(60, 120, (1, 4), groups=2, rng=rng), 0.1),
        (lambda rng: Conv1d(50, 100, 4, rng=rng), 0.1),
        (lambda rng: ConvTranspose2d(20, 40, 10, rng=rng), 0.0316228),
    ],
)
def test_weights_start_glorot_uniform_with_the_fans_of_the_kernel(make, limit):
    W = make(0).W.data
    assert 0.999 * limit < abs(W).max() <= limit * (1 + 1e-5)
    # The standard deviation of a uniform distribution is its half width over the root of three.
    assert W.std() == pytest.approx(0.57735 * limit, rel=0.02)
    assert np.array_equal(W, make(np.random.default_rng(0)).W.data)
    seed(0)
    assert np.array_equal(W, make(None).W.data)


# Errors


@pytest.mark.rows(
    ("layer", "shape"),
    [
        (Conv2d(2, 3, 3), (5, 5, 2)),
        (Conv2d(2, 3, 3), (1, 1, 5, 5, 2)),
        (Conv1d(2, 3, 3), (5, 2)),
        (Conv1d(2, 3, 3), (1, 5, 5, 2)),
        (ConvTranspose2d(2, 3, 3), (5, 5, 2)),
    ],
    ids=repr,
)
def test_another_rank_is_refused_by_the_layer(layer, shape):
    with pytest.raises(ValueError) as caught:
        layer(np.zeros(shape))
    assert str(caught.value).startswith(f"{layer!r}: expected x of shape (N, ")
    assert str(caught.value).endswith(f", got {shape}")


@pytest.mark.rows("layer", [Conv2d(2, 3, 3), Conv2d(2, 4, 1, groups=2), ConvTranspose2d(2, 3, 3)], ids=repr)
def test_another_number_of_channels_is_refused_by_the_layer(layer):
    for shape in [(1, 5, 5, 3), (1, 2, 5, 5), (5, 5)]:
        with pytest.raises(ValueError) as caught:
            layer(np.zeros(shape))
        assert str(caught.value).startswith(f"{layer!r}: expected x of shape (N, h, w, 2), got {shape}")


@pytest.mark.rows(
    ("layer", "shape"),
    [
        (Conv2d(1, 1, 3), (1, 2, 5, 1)),
        (Conv2d(1, 1, 3), (1, 5, 2, 1)),
        (Conv2d(1, 1, (1, 4), padding=(5, 1)), (1, 1, 1, 1)),
        (Conv2d(1, 1, 2, dilation=5), (1, 5, 6, 1)),
        (Conv2d(1, 1, 3), (1, 0, 5, 1)),
        (Conv1d(1, 1, 3), (1, 2, 1)),
        (ConvTranspose2d(1, 1, 2, padding=1), (1, 1, 2, 1)),
        (ConvTranspose2d(1, 1, 1, padding=1), (1, 2, 2, 1)),
        (ConvTranspose2d(1, 1, 3), (1, 0, 5, 1)),
    ],
    ids=repr,
)
def test_an_image_without_room_for_a_window_is_refused_by_the_layer(layer, shape):
    with pytest.raises(ValueError) as caught:
        layer(np.zeros(shape))
    assert str(caught.value).startswith(f"{layer!r}: expected x")
    assert str(caught.value).endswith(f"got shape {shape}")


@pytest.mark.rows("kind", [Conv2d, Conv1d])
@pytest.mark.rows(("channels", "groups"), [((3, 4), 2), ((4, 3), 2), ((4, 4), 0), ((4, 4), -2), ((2, 2), 4)])
def test_groups_that_dont_divide_the_channels_are_refused(kind, channels, groups):
    with pytest.raises(ValueError, match=rf"^{kind.__name__}: expected groups to .* got {groups}$"):
        kind(*channels, 3, groups=groups)


@pytest.mark.rows("kind", [Conv2d, Conv1d])
@pytest.mark.rows("groups", [2.0, "2", None])
def test_groups_that_are_no_int_are_refused(kind, groups):
    with pytest.raises(TypeError, match=rf"^{kind.__name__}: expected groups to be an int"):
        kind(4, 4, 3, groups=groups)


@pytest.mark.rows("kind", [Conv2d, Conv1d, ConvTranspose2d])
@pytest.mark.rows("name", ["kernel_size", "stride", "padding", "dilation"])
def test_options_that_are_too_small_or_no_ints_are_refused(kind, name):
    if kind is ConvTranspose2d and name == "dilation":
        name = "stride"
    least = 0 if name == "padding" else 1
    options = {"kernel_size": 3} | {name: least - 1}
    with pytest.raises(ValueError, match=rf"^{kind.__name__}: expected {name} to be at least {least}, got"):
        kind(4, 4, **options)
    for bad in (2.0, None, (1, 1, 1), True):
        options[name] = bad
        with pytest.raises(TypeError, match=rf"^{kind.__name__}: expected {name} to be an int or a tuple of"):
            kind(4, 4, **options)


@pytest.mark.rows("kind", [Conv2d, Conv1d])
@pytest.mark.rows("padding", ["valid", "SAME", ""])
def test_a_word_for_the_padding_that_is_not_same_is_refused(kind, padding):
    with pytest.raises(ValueError, match=rf'^{kind.__name__}: expected padding to be numbers or "same", got'):
        kind(4, 4, 3, padding=padding)


@pytest.mark.rows("kind", [Conv2d, Conv1d, ConvTranspose2d])
@pytest.mark.rows("channels", [(0, 4), (4, 0), (-4, 4)])
def test_a_layer_without_channels_is_refused(kind, channels):
    with pytest.raises(ValueError):
        kind(*channels, 3)
