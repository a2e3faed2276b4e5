import numpy as np
import pytest

from minnet import AvgPool2d, GlobalAveragePool, MaxPool2d, check_layer


def image(rows, dtype=np.float64):
    """One sample with one channel."""
    x = np.array(rows, dtype)[None, ..., None]
    x.flags.writeable = False
    return x


def rows_of(x):
    assert (x.shape[0], x.shape[-1]) == (1, 1)
    return x[0, ..., 0].tolist()


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def pairs(kernel, stride=None, padding=0):
    stride = kernel if stride is None else stride
    return [(option, option) if isinstance(option, int) else option for option in (kernel, stride, padding)]


def looped(x, dy, kernel, stride, padding, is_max):
    """y and dx, place by place."""
    _, h, w, _ = x.shape
    y, dx = np.zeros(dy.shape), np.zeros(x.shape)
    for n, i, j, c in np.ndindex(dy.shape):
        places = []
        for u in range(kernel[0]):
            for v in range(kernel[1]):
                k, m = stride[0] * i + u - padding[0], stride[1] * j + v - padding[1]
                if 0 <= k < h and 0 <= m < w:
                    places.append((n, k, m, c))
        values = [x[place] for place in places]
        if is_max:
            y[n, i, j, c] = max(values)
            dx[places[values.index(max(values))]] += dy[n, i, j, c]
        else:
            y[n, i, j, c] = sum(values) / (kernel[0] * kernel[1])
            for place in places:
                dx[place] += dy[n, i, j, c] / (kernel[0] * kernel[1])
    return y, dx


# Options, x, and how many windows there are.
CONFIGURATIONS = [
    ((2,), (2, 4, 6, 3), (2, 3)),
    ((2,), (2, 5, 7, 3), (2, 3)),
    ((3, 2), (2, 7, 8, 2), (3, 3)),
    ((3, 1), (1, 5, 4, 1), (3, 2)),
    ((3, 2, 1), (2, 5, 6, 2), (3, 3)),
    (((2, 3), (1, 2)), (2, 4, 6, 2), (3, 2)),
    (((3, 2), (2, 1), (1, 0)), (1, 4, 5, 3), (2, 4)),
    (((1, 3), None, (0, 1)), (2, 3, 5, 1), (3, 2)),
    ((2, 3), (2, 6, 7, 2), (2, 2)),
    ((1,), (2, 3, 3, 2), (3, 3)),
    ((4, 4, 2), (1, 1, 1, 1), (1, 1)),
    ((3,), (2, 3, 3, 2), (1, 1)),
    ((2, 10**9), (2, 5, 5, 1), (1, 1)),
]
every_configuration = pytest.mark.rows(("options", "shape", "places"), CONFIGURATIONS)
both_kinds = pytest.mark.rows("kind", [MaxPool2d, AvgPool2d])


@every_configuration
@both_kinds
def test_pooling_and_its_gradient_are_those_of_a_loop(kind, options, shape, places):
    layer = kind(*options)
    x, dy = random(*shape), random(shape[0], *places, shape[-1], seed=1)
    y, dx = looped(x, dy, *pairs(*options), kind is MaxPool2d)
    np.testing.assert_allclose(layer(x), y, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(layer.backward(dy), dx, rtol=1e-12, atol=1e-14)


@pytest.mark.long
@every_configuration
@both_kinds
def test_the_contract_holds(kind, options, shape, places):
    check_layer(kind(*options), random(*shape))


X = [[-11, -6, -1, -7, -2], [-8, -3, -9, -4, -10], [-5, -11, -6, -1, -7], [-2, -8, -3, -9, -4]]


def test_the_maximum_of_negative_padded_windows_is_what_pytorch_gives():
    layer = MaxPool2d(3, stride=2, padding=1)
    assert rows_of(layer(image(X))) == [[-3, -1, -2], [-2, -1, -1]]
    assert rows_of(layer.backward(image([[-2, 3, 1], [-1, 4, 2]]))) == [
        [0, 0, 3, 0, 1],
        [0, -2, 0, 0, 0],
        [0, 0, 0, 6, 0],
        [-1, 0, 0, 0, 0],
    ]


def test_the_mean_of_padded_windows_counts_the_padding_as_pytorch_does():
    layer = AvgPool2d(3, stride=2, padding=1)
    # PyTorch gives these, in ninths.
    assert np.allclose(9 * layer(image(X))[0, ..., 0], [[-28, -30, -23], [-37, -54, -35]])
    assert np.allclose(
        9 * layer.backward(image([[-2, 3, 1], [-1, 4, 2]]))[0, ..., 0],
        [[-2, 1, 3, 4, 1], [-3, 4, 7, 10, 3], [-1, 3, 4, 6, 2], [-1, 3, 4, 6, 2]],
    )


# The maximum


def test_a_tied_maximum_gives_its_gradient_to_the_first_alone():
    layer = MaxPool2d(2)
    assert rows_of(layer(image([[5, 5, 1, 2], [5, 5, 2, 2]]))) == [[5, 2]]
    assert rows_of(layer.backward(image([[3, 4]]))) == [[3, 0, 0, 4], [0, 0, 0, 0]]


@pytest.mark.rows("value", [0, -3, 7])
def test_of_an_image_that_is_all_equal_the_first_place_of_each_window_gets_the_gradient(value):
    layer = MaxPool2d(3, stride=1, padding=1)
    assert rows_of(layer(image(np.full((3, 3), value)))) == np.full((3, 3), value).tolist()
    # The windows of row i begin at row i − 1, those of the first row at row 0; columns alike.
    assert rows_of(layer.backward(image([[1, 2, 3], [4, 5, 6], [7, 8, 9]]))) == [[12, 9, 0], [15, 9, 0], [0, 0, 0]]


def test_the_padding_never_wins():
    layer = MaxPool2d(2, padding=1)
    assert rows_of(layer(image([[-1, -2], [-3, -1e30]]))) == [[-1, -2], [-3, -1e30]]
    assert rows_of(layer.backward(image([[1, 2], [3, 4]]))) == [[1, 2], [3, 4]]


def test_windows_that_share_their_maximum_add_up_their_gradients():
    layer = MaxPool2d(2, stride=1)
    assert rows_of(layer(image([[0, 0, 0], [0, 9, 0], [0, 0, 0]]))) == [[9, 9], [9, 9]]
    assert rows_of(layer.backward(image([[1, 2], [3, 4]]))) == [[0, 0, 0], [0, 10, 0], [0, 0, 0]]


def test_a_window_of_more_places_than_a_byte_can_count_finds_its_maximum():
    x = np.zeros((17, 17))
    x[16, 15] = 1
    layer = MaxPool2d(17)
    assert rows_of(layer(image(x))) == [[1]]
    assert np.array_equal(layer.backward(image([[2]]))[0, ..., 0], 2 * x)


def test_the_channels_of_a_sample_have_maxima_of_their_own():
    x = np.array([[[1, 8], [2, 7]], [[3, 6], [4, 5]]], np.float64)[None]
    layer = MaxPool2d(2)
    assert layer(x).tolist() == [[[[4, 8]]]]
    assert layer.backward(np.array([[[[1.0, 2.0]]]])).tolist() == [[[[0, 2], [0, 0]], [[0, 0], [1, 0]]]]


def test_the_maximum_of_a_constant_moves_with_it():
    x = random(2, 4, 4, 2)
    np.testing.assert_allclose(MaxPool2d(3, 1, 1)(x - 100), MaxPool2d(3, 1, 1)(x) - 100, rtol=1e-12)


# The mean


def test_without_padding_the_mean_of_a_constant_is_the_constant():
    layer = AvgPool2d(2)
    assert rows_of(layer(image(np.full((4, 5), 3)))) == [[3, 3], [3, 3]]
    # Row and column that no window reaches get no gradient.
    assert rows_of(layer.backward(image([[4, 8], [12, 16]]))) == [
        [1, 1, 2, 2, 0],
        [1, 1, 2, 2, 0],
        [3, 3, 4, 4, 0],
        [3, 3, 4, 4, 0],
    ]


@pytest.mark.rows(("options", "shape", "places"), [c for c in CONFIGURATIONS if c[0] != (2, 10**9)])
def test_the_gradient_of_the_mean_is_its_adjoint(options, shape, places):
    layer = AvgPool2d(*options)
    x, dy = random(*shape), random(shape[0], *places, shape[-1], seed=1)
    y = layer(x)
    assert (y * dy).sum() == pytest.approx((x * layer.backward(dy)).sum(), rel=0, abs=1e-13 * abs(y * dy).sum())


def test_both_poolings_of_single_places_are_the_image():
    x = random(2, 3, 4, 2)
    for layer in (MaxPool2d(1), AvgPool2d(1)):
        assert np.array_equal(layer(x), x)
        assert np.array_equal(layer.backward(x), x)


# The mean of all places


@pytest.mark.rows("shape", [(2, 3), (2, 4, 3), (2, 4, 5, 3), (1, 1, 1, 1), (2, 3, 2, 2, 2)])
def test_global_pooling_leaves_samples_and_channels_of_any_rank(shape):
    layer = GlobalAveragePool()
    y = layer(random(*shape))
    assert y.shape == (shape[0], shape[-1])
    for n, c in np.ndindex(y.shape):
        values = random(*shape)[n, ..., c].reshape(-1).tolist()
        assert y[n, c] == pytest.approx(sum(values) / len(values), rel=1e-12)


@pytest.mark.rows("shape", [(2, 4, 3), (1, 1, 1, 1), (2, 3, 2, 2, 2)])
def test_the_contract_of_global_pooling_holds_for_any_rank(shape):
    check_layer(GlobalAveragePool(), random(*shape))


def test_every_place_gets_its_share_of_the_gradient_of_a_global_mean():
    layer = GlobalAveragePool()
    assert layer(np.array([[[1, 10], [3, 20]]], np.float64)).tolist() == [[2, 15]]
    dx = layer.backward(np.array([[4.0, 6.0]]))
    assert dx.tolist() == [[[2, 3], [2, 3]]]
    dx += 1
    assert dx.tolist() == [[[3, 4], [3, 4]]]


@pytest.mark.rows("shape", [(3,), (3, 0, 2), (3, 2, 0), ()])
def test_global_pooling_needs_a_batch_and_places(shape):
    with pytest.raises(ValueError, match=r"^GlobalAveragePool\(\): expected x of shape \("):
        GlobalAveragePool()(np.zeros(shape))


# Types, steps, empty batches


LAYERS = [lambda: MaxPool2d(3, 2, 1), lambda: AvgPool2d(3, 2, 1), GlobalAveragePool]
every_layer = pytest.mark.rows("make", LAYERS, ids=["MaxPool2d", "AvgPool2d", "GlobalAveragePool"])


@every_layer
@pytest.mark.rows("dtype", [np.float32, np.float64])
def test_a_floating_dtype_is_kept(make, dtype):
    layer = make()
    y = layer(random(2, 5, 5, 3).astype(dtype))
    assert y.dtype == dtype
    assert layer.backward(np.ones(y.shape, dtype)).dtype == dtype


@every_layer
def test_images_of_bytes_become_float32(make):
    x = np.random.default_rng(0).integers(0, 256, (2, 5, 5, 3)).astype(np.uint8)
    y = make()(x)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, make()(x.astype(np.float64)), rtol=1e-6)


@every_layer
def test_the_second_step_is_right_for_a_batch_of_another_size(make):
    layer, fresh = make(), make()
    layer.backward(np.ones_like(layer(random(3, 6, 6, 2))))
    x = random(2, 5, 7, 3, seed=1)
    y = layer(x)
    assert np.array_equal(y, fresh(x))
    dy = random(*y.shape, seed=2)
    assert np.array_equal(layer.backward(dy), fresh.backward(dy))


@every_layer
def test_an_empty_batch_gives_an_empty_output(make):
    layer = make()
    y = layer(np.zeros((0, 5, 5, 2)))
    assert y.shape in [(0, 3, 3, 2), (0, 2)]
    assert layer.backward(y).shape == (0, 5, 5, 2)


# Errors


@both_kinds
@pytest.mark.rows("shape", [(5, 5), (5, 5, 2), (1, 1, 5, 5, 2)])
def test_another_rank_is_refused(kind, shape):
    with pytest.raises(ValueError, match=rf"^{kind.__name__}\(2\): expected x of shape \(N, h, w, C\)"):
        kind(2)(np.zeros(shape))


@both_kinds
@pytest.mark.rows("shape", [(1, 2, 5, 1), (1, 5, 2, 1), (1, 0, 5, 1)])
def test_an_image_smaller_than_the_window_is_refused(kind, shape):
    with pytest.raises(ValueError, match=rf"^{kind.__name__}\(3\): expected x with room for at least one window"):
        kind(3)(np.zeros(shape))
    assert kind(3, 1, 1)(np.zeros((1, 1, 1, 1))).shape == (1, 1, 1, 1)


@both_kinds
@pytest.mark.rows("options", [(0,), (2, 0), (2, (1, 0)), (2, 2, -1)])
def test_options_that_are_too_small_are_refused(kind, options):
    with pytest.raises(ValueError, match=rf"^{kind.__name__}: expected (kernel_size|stride|padding) to be at least"):
        kind(*options)


@both_kinds
@pytest.mark.rows("options", [(2, 1, 2), (3, 1, 2), (1, 1, 1), ((2, 4), 1, 2), ((4, 1), 1, (2, 1))])
def test_padding_of_more_than_half_the_window_is_refused(kind, options):
    with pytest.raises(ValueError, match=rf"^{kind.__name__}: expected padding of at most half of kernel_size"):
        kind(*options)


@both_kinds
@pytest.mark.rows("options", [(2.0,), ("2",), (None,), ((2, 2, 2),), (2, 1.5), (2, 1, "same"), (2, 1, True)])
def test_options_that_are_not_ints_are_refused(kind, options):
    with pytest.raises(TypeError, match=rf"^{kind.__name__}: expected (kernel_size|stride|padding) to be an int"):
        kind(*options)
