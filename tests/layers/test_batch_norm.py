import math

import numpy as np
import pytest

from minnet import BatchNorm, Conv2d, ReLU, Sequential, check_layer

every_dtype = pytest.mark.rows("dtype", [np.float32, np.float64])


def frozen(values, dtype=np.float64):
    array = np.array(values, dtype)
    array.flags.writeable = False
    return array


def normal(*shape, seed=0):
    return frozen(np.random.default_rng(seed).normal(size=shape))


def close(got, expected):
    return np.shape(got) == np.shape(expected) and np.allclose(got, expected, rtol=1e-11, atol=1e-11)


def loaded(layer, **arrays):
    """The layer in float64 with these values."""
    layer.astype(np.float64)
    layer.load_state_dict(layer.state_dict() | arrays)
    return layer


def two():
    """A BatchNorm whose gamma and beta are no longer what they were at first."""
    return loaded(BatchNorm(2), gamma=[2, -1], beta=[0.5, 0.25])


X, X2, DY = [[1, 2], [3, -1], [0, 4]], [[2, 0], [-1, 1], [5, 3]], [[1, -2], [0.5, 3], [-1, 0.25]]


def test_batch_norm_has_the_values_that_pytorch_gives_in_two_training_steps_and_in_evaluation():
    layer = two()
    # PyTorch gives these, for three passes of one BatchNorm1d.
    y = layer(frozen(X))
    dx = layer.backward(frozen(DY))
    assert close(
        y,
        [[-0.03452076572515, 0.08777877097321], [3.172603828626, 1.547769832214], [-1.638083062901, -0.8855486031875]],
    )
    assert close(
        dx, [[1.546290865204, 1.072581397632], [-0.515423988733, -0.4290344224579], [-1.030866876472, -0.6435469751738]]
    )
    assert close(layer.gamma.grad, [1.469932105744, -3.9338648039])
    assert close(layer.beta.grad, [0.5, 1.25])
    assert close(layer.running_mean.data, [0.1333333333333333, 0.1666666666666667])
    assert close(layer.running_var.data, [1.1333333333333333, 1.5333333333333333])
    layer.zero_grad()
    y = layer(frozen(X2))
    dx = layer.backward(frozen(DY))
    assert close(y, [[0.5, 1.31904153145], [-1.949487701544, 0.5172603828626], [2.949487701544, -1.086301914313]])
    assert close(
        dx, [[0.680413250429, 1.460390160091], [-0.3402056045963, -2.190579871101], [-0.3402076458327, 0.7301897110098]]
    )
    assert close(layer.gamma.grad, [-1.837115776158, 1.670377392891])
    assert close(layer.running_mean.data, [0.32, 0.2833333333333333])
    assert close(layer.running_var.data, [1.92, 1.6133333333333333])
    layer.zero_grad()
    y = layer.eval()(frozen(X))
    dx = layer.backward(frozen(DY))
    assert close(
        y, [[1.481492901655, -1.101520305195], [4.36823673005, 1.260359839806], [0.03812098745666, -2.67610706853]]
    )
    assert close(
        dx, [[1.443371914198, 1.574586763334], [0.721685957099, -2.361880145002], [-1.443371914198, -0.1968233454168]]
    )
    assert close(layer.gamma.grad, [1.688745139612, -5.002593362677])
    assert close(layer.beta.grad, [0.5, 1.25])
    assert close(layer.running_mean.data, [0.32, 0.2833333333333333])
    assert close(layer.running_var.data, [1.92, 1.6133333333333333])


def test_batch_norm_of_images_has_the_values_that_pytorch_gives():
    layer = loaded(BatchNorm(2, momentum=0.3), gamma=[2, -1], beta=[0.5, 0.25])
    x = frozen([5, 1, 3, -2, 0, 4, 8, 6]).reshape(2, 2, 1, 2)
    y, dx = layer(x), layer.backward(frozen([1, -2, 0.5, 3, -1, 0.25, 2, -0.5]).reshape(2, 2, 1, 2))
    # PyTorch gives these, for a BatchNorm2d with the channels moved.
    expected = [
        [1.185993937044, 0.6623928249898, -0.1859939370443, 1.652135604965],
        [-2.243975748177, -0.3273499549857, 3.243975748177, -0.9871784749693],
    ]
    gradient = [
        [0.005044369776334, 0.8528394409018, 0.1664541144847, -0.4819670658498],
        [-0.1059267212359, -0.2042324372871, -0.0655717630252, -0.1666399377648],
    ]
    assert close(y.reshape(2, 4), expected)
    assert close(dx.reshape(2, 4), gradient)
    assert close(layer.gamma.grad, [4.287462106527, -3.855872913654])
    assert close(layer.beta.grad, [2.5, 0.75])
    assert close(layer.running_mean.data, [1.2, 0.675])
    assert close(layer.running_var.data, [4.1, 4.375])


def test_running_statistics_move_by_the_momentum_and_take_the_unbiased_variance():
    layer = BatchNorm(1).astype(np.float64)
    layer([[1], [3]])
    # The mean is 2; the variance over n − 1 is 2, over n it would be 1.
    assert close(layer.running_mean.data, [0.1 * 2])
    assert close(layer.running_var.data, [0.9 * 1 + 0.1 * 2])
    layer([[5], [5]])
    assert close(layer.running_mean.data, [0.9 * 0.2 + 0.1 * 5])
    assert close(layer.running_var.data, [0.9 * 1.1])


@pytest.mark.rows(("momentum", "mean", "variance"), [(0.0, 0, 1), (0.25, 0.5, 1.25), (1.0, 2, 2)])
def test_momentum_is_the_share_of_the_new_batch(momentum, mean, variance):
    layer = BatchNorm(1, momentum).astype(np.float64)
    layer([[1], [3]])
    assert close(layer.running_mean.data, [mean])
    assert close(layer.running_var.data, [variance])


@pytest.mark.rows("shape", [(2, 3), (9, 3), (4, 5, 3), (3, 2, 5, 3), (1, 4, 3), (2, 1, 1, 1, 3)], ids=str)
def test_every_feature_gets_mean_zero_and_variance_one_over_the_batch_and_all_positions(shape):
    y = BatchNorm(3, eps=1e-30).astype(np.float64)(normal(*shape) * [1, 10, 0.1] + [0, 5, -7]).reshape(-1, 3)
    for column in y.T.tolist():
        assert math.fsum(column) / len(column) == pytest.approx(0, abs=1e-9)
        assert math.fsum(v * v for v in column) / len(column) == pytest.approx(1, rel=1e-9)


def test_positions_are_only_more_rows():
    layer, flat = two(), two()
    x, dy = normal(2, 3, 4, 2), normal(2, 3, 4, 2, seed=1)
    for mode in (True, False):
        layer.train(mode), flat.train(mode)
        assert close(layer(x).reshape(-1, 2), flat(x.reshape(-1, 2)))
        assert close(layer.backward(dy).reshape(-1, 2), flat.backward(dy.reshape(-1, 2)))
    for name, array in layer.state_dict().items():
        assert close(array, flat.state_dict()[name])
    assert close(layer.gamma.grad, flat.gamma.grad)


def test_batch_norm_after_a_convolution_has_one_mean_for_a_channel():
    model = Sequential(Conv2d(2, 3, 3, padding=1, rng=0), BatchNorm(3), ReLU())
    assert model(normal(4, 5, 6, 2)).shape == (4, 5, 6, 3)
    assert model[1].running_mean.data.shape == (3,)
    check_layer(model, normal(2, 3, 2, 2))


def test_evaluation_uses_the_running_statistics_forward_and_backward():
    layer = loaded(BatchNorm(1, eps=1.0), gamma=[6], beta=[0.5], running_mean=[1], running_var=[3]).eval()
    # √(3 + 1) = 2, so y = 6 (x − 1) / 2 + 0.5, whose slope is 3 whatever else is in the batch.
    assert layer(frozen([[3], [-1], [1]])).tolist() == [[6.5], [-5.5], [0.5]]
    assert layer.backward(frozen([[1], [1], [2]])).tolist() == [[3], [3], [6]]
    assert layer.gamma.grad.tolist() == [1 - 1 + 0]
    assert layer.beta.grad.tolist() == [4]


def test_evaluation_takes_single_rows_and_changes_nothing():
    layer = loaded(BatchNorm(2), running_mean=[1, 2], running_var=[4, 9]).eval()
    before = layer.state_dict()
    row = layer(frozen([[3, 5]]))
    assert np.allclose(row, [[1, 1]], rtol=1e-5)
    assert np.allclose(layer(frozen([3, 5])), row[0], rtol=1e-12)
    assert layer.backward(frozen([1, 1])).shape == (2,)
    assert layer(np.zeros((0, 2))).shape == (0, 2)
    np.testing.assert_equal(layer.state_dict(), before)


def test_backward_uses_the_statistics_of_its_forward_whatever_the_mode_is_now():
    layer, x, dy = two(), frozen(X), frozen(DY)
    layer(x)
    expected = layer.backward(dy)
    assert np.array_equal(layer.eval().backward(dy), expected)
    layer(x)
    expected = layer.backward(dy)
    assert np.array_equal(layer.train().backward(dy), expected)


def test_the_mode_of_one_batch_norm_is_not_that_of_another():
    first, second = BatchNorm(2), BatchNorm(2)
    first.eval()
    second(frozen(X)), first(frozen(X))
    assert second.running_mean.data.any()
    assert not first.running_mean.data.any()


@pytest.mark.rows("shape", [(1, 2), (2,), (1, 1, 2), (1, 1, 1, 2), (0, 2)], ids=str)
def test_a_single_row_has_no_variance_and_is_refused_while_training(shape):
    layer = BatchNorm(2)
    with pytest.raises(ValueError, match=r"BatchNorm\(2\): expected at least two rows while training.*drop_last=True"):
        layer(np.ones(shape))
    assert layer.running_mean.data.tolist() == [0, 0]
    assert layer.running_var.data.tolist() == [1, 1]


def test_one_sample_with_several_positions_can_be_trained_on():
    assert BatchNorm(2)(normal(1, 3, 2)).shape == (1, 3, 2)


def test_buffers_are_saved_but_not_trained():
    layer = BatchNorm(3)
    assert list(layer.state_dict()) == ["gamma", "beta", "running_mean", "running_var"]
    assert list(layer.named_parameters()) == ["gamma", "beta"]
    assert layer.running_var.data.tolist() == layer.gamma.data.tolist() == [1, 1, 1]
    layer(normal(5, 3))
    other = BatchNorm(3)
    other.load_state_dict(layer.state_dict())
    assert np.array_equal(other.eval()(normal(4, 3)), layer.eval()(normal(4, 3)))


@every_dtype
def test_running_statistics_keep_the_dtype(dtype):
    layer = BatchNorm(3).astype(dtype)
    layer(normal(5, 3))
    assert layer.running_mean.data.dtype == layer.running_var.data.dtype == dtype


@pytest.mark.rows("read_only", ["running_mean", "running_var"])
def test_running_statistics_that_are_read_only_move_like_others(read_only):
    layer, other = loaded(BatchNorm(2)), loaded(BatchNorm(2))
    getattr(layer, read_only).data.flags.writeable = False
    for x in (normal(4, 2), normal(5, 2)):
        layer(x)
        other(x)
    np.testing.assert_equal(layer.state_dict(), other.state_dict())
    assert layer.running_mean.data.any()


@pytest.mark.rows("momentum", [-0.1, 1.5, 5])
def test_a_momentum_outside_of_zero_to_one_is_refused(momentum):
    with pytest.raises(ValueError, match=rf"BatchNorm: expected momentum from 0 to 1, got {momentum}"):
        BatchNorm(3, momentum=momentum)


def test_running_statistics_come_close_to_those_of_the_data():
    layer, rng = BatchNorm(2), np.random.default_rng(3)
    for _ in range(200):
        layer(rng.normal([3, -1], [2, 0.5], (256, 2)))
    assert np.allclose(layer.running_mean.data, [3, -1], atol=0.1)
    assert np.allclose(layer.running_var.data, [4, 0.25], rtol=0.1)


def in_one_piece(x, dy, gamma, beta, eps):
    """y, dx, dγ and dβ over whole arrays in float64, dx from the Jacobian's three terms."""
    x, dy = (a.reshape(-1, x.shape[-1]).astype(np.float64) for a in (x, dy))
    xhat = (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + eps)
    slope = gamma / np.sqrt(x.var(axis=0) + eps)
    dx = slope * (dy - dy.mean(axis=0) - xhat * (dy * xhat).mean(axis=0))
    return gamma * xhat + beta, dx, (dy * xhat).sum(axis=0), dy.sum(axis=0)


# Several blocks, a last one that is not full, lines of one and of many rows, more features than a line takes; and what
# fits into one block, by little.
BLOCKS = [(40000, 3), (4099, 33), (9, 31, 29, 16), (64, 2048), (33, 5000), (9, 9000), (2, 1), (70001, 1), (8, 16, 512)]


@pytest.mark.rows("shape, dtype", [*((shape, np.float32) for shape in BLOCKS), (BLOCKS[1], np.float64)], ids=str)
@pytest.mark.rows("far", [0, 500])
def test_batch_norm_in_blocks_is_that_of_the_whole(shape, dtype, far):
    rng = np.random.default_rng(0)
    x, dy = (rng.normal(size=shape) * 3 + 5).astype(dtype), rng.normal(size=shape).astype(dtype)
    x[..., ::2] += dtype(far)
    layer = BatchNorm(shape[-1]).astype(dtype)
    layer.gamma.data[:], layer.beta.data[:] = rng.normal(size=(2, shape[-1]))
    y, dx, dgamma, dbeta = in_one_piece(x, dy, layer.gamma.data, layer.beta.data, layer.eps)
    near = {"rtol": 0, "atol": 2e-5 if dtype is np.float32 else 1e-11}
    np.testing.assert_allclose(layer(x).reshape(y.shape), y, **near)
    np.testing.assert_allclose(layer.backward(dy).reshape(dx.shape), dx, **near)
    scale = math.sqrt(len(dx))
    np.testing.assert_allclose(layer.gamma.grad / scale, dgamma / scale, **near)
    np.testing.assert_allclose(layer.beta.grad / scale, dbeta / scale, **near)
    rows = x.reshape(-1, shape[-1]).astype(np.float64)
    np.testing.assert_allclose(layer.running_mean.data, 0.1 * rows.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(layer.running_var.data, 0.9 + 0.1 * rows.var(axis=0, ddof=1), rtol=1e-5)
    y = layer.eval()(x).reshape(y.shape)
    expected = (rows - layer.running_mean.data) / np.sqrt(layer.running_var.data + layer.eps)
    np.testing.assert_allclose(y, expected * layer.gamma.data + layer.beta.data, **near | {"rtol": 1e-6})


@pytest.mark.rows("rows", [100, 8000, 40000])
@pytest.mark.rows("odd", [slice(0, 1), slice(None, None, 8), slice(0, 4000)], ids=str)
@pytest.mark.rows("away", [1e2, 1e4])
def test_rows_far_from_all_others_cost_no_digits(rows, odd, away):
    x = np.random.default_rng(0).normal(size=(rows, 2)).astype(np.float32)
    x[odd] += np.float32(away)
    dy = np.random.default_rng(1).normal(size=x.shape).astype(np.float32)
    layer = BatchNorm(2)
    y, dx, dgamma, dbeta = in_one_piece(x, dy, 1, 0, layer.eps)
    # float32 holds 1e4 to 1e-3, and the scale of y is that of the distance.
    np.testing.assert_allclose(layer(x), y, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(layer.backward(dy), dx, rtol=1e-4, atol=1e-5 * abs(dx).max())
    np.testing.assert_allclose(layer.gamma.grad, dgamma, rtol=1e-4, atol=1e-2)
    np.testing.assert_allclose(layer.beta.grad, dbeta, rtol=1e-4, atol=1e-2)


def noise(rows, features):
    return np.random.default_rng(0).normal(size=(rows, features)).astype(np.float32)


# Sums of so many rows one after the other would be off by 5e-7 to 2e-6 in y, by 5e-6 in dγ, which nearly cancels.
@pytest.mark.rows(
    "x",
    [
        noise(32768, 2),
        noise(8192, 8) + np.linspace(1e4, 1e4 + 1, 8192, dtype=np.float32)[:, None],
        noise(16384, 4) + np.where(np.arange(16384) == 0, np.float32(1e4), np.float32(0))[:, None],
        noise(300, 64),
    ],
    ids=["plain", "sorted, far from 0", "an outlier in the first row", "some"],
)
def test_many_rows_of_few_features_cost_no_digits(x):
    dy = np.random.default_rng(1).normal(size=x.shape).astype(np.float32)
    layer, exact = BatchNorm(x.shape[1]), BatchNorm(x.shape[1]).astype(np.float64)
    got = layer(x), layer.backward(dy), layer.running_var.data, layer.gamma.grad, layer.beta.grad
    expected = (
        exact(x),
        exact.backward(dy.astype(np.float64)),
        exact.running_var.data,
        exact.gamma.grad,
        exact.beta.grad,
    )
    for array, other, near in zip(got, expected, (4.5e-7, 4.5e-7, 4.5e-7, 2e-6, 2e-6)):
        assert abs(array - other).max() < near * abs(other).max()


@pytest.mark.rows("rows", [250, 512])
def test_a_first_row_far_from_hundreds_of_others_costs_no_digits(rows):
    x = noise(rows, 128)
    x[0] += np.float32(1e4)
    layer, exact = BatchNorm(128), BatchNorm(128).astype(np.float64)
    for got, expected in (
        (layer(x), exact(x)),
        (layer.backward(x[::-1]), exact.backward(x[::-1].astype(np.float64))),
        (layer.running_mean.data, exact.running_mean.data),
        (layer.gamma.grad, exact.gamma.grad),
    ):
        assert abs(got - expected).max() < 5e-6 * abs(expected).max()


@pytest.mark.rows("rows", [10, 3000, 40000])
@pytest.mark.rows("frozen", [False, True])
def test_the_dtype_is_that_of_the_layer_whatever_the_size_and_dy(rows, frozen):
    layer, x = BatchNorm(3), noise(rows, 3)
    if frozen:
        layer.freeze()
    assert layer(x).dtype == layer.backward(x.astype(np.float64)).dtype == np.float32


@pytest.mark.rows("shape", [(12, 20, 6), (40, 500, 6)], ids=str)
def test_arrays_that_lie_in_memory_in_another_order_are_normalized_alike(shape):
    x, dy = normal(*shape).astype(np.float32), normal(*shape, seed=1).astype(np.float32)
    layer, other = BatchNorm(shape[-1]), BatchNorm(shape[-1])
    y, dx = layer(x), layer.backward(dy)
    for turned in (np.asfortranarray, lambda a: np.repeat(a, 2, axis=1)[:, ::2]):
        other.zero_grad()
        # Means of other rows may stand for the mean at first.
        np.testing.assert_allclose(other(turned(x)), y, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(other.backward(turned(dy)), dx, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(other.gamma.grad, layer.gamma.grad, rtol=1e-4, atol=1e-3)


@pytest.mark.rows("rows", [50, 40000])
def test_a_feature_that_is_not_a_number_leaves_the_others_alone(rows):
    x, layer, other = normal(rows, 2).astype(np.float32), BatchNorm(2), BatchNorm(2)
    without = layer(x), layer.backward(x)
    x[1, 0] = np.nan
    for broken, right in zip((other(x), other.backward(x)), without):
        assert np.isnan(broken[:, 0]).all()
        np.testing.assert_allclose(broken[:, 1], right[:, 1], rtol=1e-5, atol=1e-5)


@pytest.mark.rows("rows", [50, 40000])
@pytest.mark.rows("mean", [0, 100])
def test_large_and_small_batches_are_evaluated_alike_near_zero_and_far_from_it(rows, mean):
    x = (normal(rows, 2) + mean).astype(np.float32)
    layer = loaded(BatchNorm(2, eps=1e-30), gamma=[2, -1], running_mean=[mean, mean + 1], running_var=[4, 0.25])
    layer.astype(np.float32).eval()
    np.testing.assert_array_equal(layer(x), np.array([1, -2], np.float32) * (x - layer.running_mean.data))
    assert layer.backward(x).tolist() == (x * [1, -2]).tolist()
    np.testing.assert_allclose(layer.beta.grad, x.sum(axis=0, dtype=np.float64), rtol=1e-4, atol=1e-2)


@every_dtype
def test_features_that_are_constant_do_not_disturb_the_others(dtype):
    layer, x = BatchNorm(2).astype(dtype), frozen([[1e4, 1], [1e4, 3], [1e4, 2]], dtype)
    # The second feature has the variance 2/3.
    assert np.allclose(layer(x), [[0, -1.224736], [0, 1.224736], [0, 0]], atol=1e-5)
