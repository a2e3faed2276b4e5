import math

import numpy as np
import pytest

from minnet import (
    BatchNorm,
    Conv2d,
    GroupNorm,
    LayerNorm,
    Linear,
    MeanSquaredError,
    ReLU,
    RMSNorm,
    Sequential,
    check_layer,
)

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


# BatchNorm


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


@pytest.mark.rows("norm", [BatchNorm, LayerNorm, RMSNorm, lambda features, eps: GroupNorm(1, features, eps)])
@pytest.mark.rows("eps", [0, -1e-5])
def test_an_epsilon_that_is_not_above_zero_is_refused(norm, eps):
    with pytest.raises(ValueError, match=rf"^\w+Norm: expected eps to be above 0 and finite, got {eps}"):
        norm(3, eps=eps)


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


# Several blocks, a last one that is not full, lines of one and of many rows, more features than a line takes.
BLOCKS = [(40000, 3), (4099, 33), (9, 31, 29, 16), (64, 2048), (33, 5000), (2, 1), (70001, 1)]


@pytest.mark.rows("shape, dtype", [*((shape, np.float32) for shape in BLOCKS), (BLOCKS[1], np.float64)], ids=str)
def test_batch_norm_in_blocks_is_that_of_the_whole(shape, dtype):
    rng = np.random.default_rng(0)
    x, dy = (rng.normal(size=shape) * 3 + 5).astype(dtype), rng.normal(size=shape).astype(dtype)
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
    np.testing.assert_allclose(y, expected * layer.gamma.data + layer.beta.data, **near)


@pytest.mark.rows("odd", [slice(0, 1), slice(None, None, 8), slice(0, 4000)], ids=str)
@pytest.mark.rows("away", [1e2, 1e4])
def test_rows_far_from_all_others_cost_no_digits(odd, away):
    x = np.random.default_rng(0).normal(size=(8000, 2)).astype(np.float32)
    x[odd] += np.float32(away)
    dy = np.random.default_rng(1).normal(size=x.shape).astype(np.float32)
    layer = BatchNorm(2)
    y, dx, dgamma, dbeta = in_one_piece(x, dy, 1, 0, layer.eps)
    # float32 holds 1e4 to 1e-3, and the scale of y is that of the distance.
    np.testing.assert_allclose(layer(x), y, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(layer.backward(dy), dx, rtol=1e-4, atol=1e-5 * abs(dx).max())
    np.testing.assert_allclose(layer.gamma.grad, dgamma, rtol=1e-4, atol=1e-2)
    np.testing.assert_allclose(layer.beta.grad, dbeta, rtol=1e-4, atol=1e-2)


# LayerNorm, RMSNorm, GroupNorm


def test_layer_norm_has_the_values_that_pytorch_gives():
    layer = loaded(LayerNorm(3), gamma=[2, -1, 0.5], beta=[0.5, 0.25, -1])
    y, dx = layer(frozen([[1, 2, 4], [3, -1, 0]])), layer.backward(frozen([[1, -2, 0.5], [3, -1, 0.25]]))
    # PyTorch gives these.
    assert close(
        y, [[-1.638083062901, 0.5172603828626, -0.3318490428436], [3.245621139902, 1.230578978536, -1.196115795707]]
    )
    assert close(
        dx, [[-0.2004409919184, 0.3006690045275, -0.1002280126091], [0.1923510548952, 0.57702821658, -0.7693792714752]]
    )
    assert close(layer.gamma.grad, [3.049390178403, 1.515099744262, 0.5700930593028])
    assert close(layer.beta.grad, [4, -3, 0.75])


def test_rms_norm_has_the_values_that_pytorch_gives():
    layer = loaded(RMSNorm(3), gamma=[2, -1, 0.5])
    y, dx = layer(frozen([[1, 2, 4], [3, -1, 0]])), layer.backward(frozen([[1, -2, 0.5], [3, -1, 0.25]]))
    # PyTorch gives these, with an eps of 1e-6.
    assert close(y, [[0.7559288920235, -0.7559288920235, 0.7559288920235], [3.286334852081, 0.5477224753468, 0]])
    assert close(
        dx, [[0.6299407613513, 0.503952630679, -0.4094614111862], [0.4929510658273, 1.478850404098, 0.06846530941835]]
    )
    assert close(layer.gamma.grad, [5.307466724133, -0.9641353087003, 0.7559288920235])


def test_group_norm_has_the_values_that_pytorch_gives():
    layer = loaded(GroupNorm(2, 4), gamma=[2, -1, 0.5, 1.5], beta=[0.5, 0.25, -1, 0])
    y = layer(frozen([[[5, 1, 3, -2], [0, 4, 8, 6]]]))
    dx = layer.backward(frozen([[[1, -2, 0.5, 3], [-1, 0.25, 2, -0.5]]]))
    expected = [
        [2.925353397008, 0.9776060191024, -1.099558461653, -2.289844618026],
        [-1.925353397008, -0.4776060191024, -0.4358353839645, 0.8960261548799],
    ]
    gradient = [
        [0.285336805733, 1.041474615064, -0.3479428768827, 0.23069538314],
        [-0.7097736502094, -0.6170377705878, 0.4008650184721, -0.2836175247294],
    ]
    # PyTorch gives these, with the channels moved.
    assert close(y, [expected])
    assert close(dx, [gradient])
    assert close(layer.gamma.grad, [2.425353397008, 1.63711354298, 2.157100002489, -4.878364621013])
    assert close(layer.beta.grad, [0, -1.75, 2.5, 2.5])


@pytest.mark.rows("shape", [(5,), (1, 5), (7, 5), (2, 3, 5), (2, 1, 3, 5)], ids=str)
def test_layer_norm_gives_every_position_mean_zero_and_variance_one(shape):
    y = LayerNorm(5, eps=1e-30).astype(np.float64)(3 * normal(*shape) + 4)
    for row in y.reshape(-1, 5).tolist():
        assert math.fsum(row) == pytest.approx(0, abs=1e-9)
        assert math.fsum(v * v for v in row) == pytest.approx(5, rel=1e-9)


@pytest.mark.rows("shape", [(5,), (1, 5), (7, 5), (2, 3, 5), (2, 1, 3, 5)], ids=str)
def test_rms_norm_gives_every_position_mean_square_one_and_keeps_directions(shape):
    x = 3 * normal(*shape) + 4
    y = RMSNorm(5, eps=1e-30).astype(np.float64)(x)
    for row, before in zip(y.reshape(-1, 5).tolist(), x.reshape(-1, 5).tolist()):
        assert math.fsum(v * v for v in row) == pytest.approx(5, rel=1e-9)
        assert np.allclose(np.divide(row, before), row[0] / before[0], rtol=1e-9)


@pytest.mark.rows("groups", [1, 2, 3, 6])
@pytest.mark.rows("shape", [(4, 3, 6), (1, 5, 6), (2, 3, 2, 6), (2, 2, 1, 3, 6)], ids=str)
def test_group_norm_gives_every_group_of_neighbours_mean_zero_and_variance_one(groups, shape):
    y, size = GroupNorm(groups, 6, eps=1e-30).astype(np.float64)(3 * normal(*shape) + 4), 6 // groups
    for sample in y.reshape(len(y), -1, 6):
        for start in range(0, 6, size):
            group = sample[:, start : start + size].reshape(-1).tolist()
            assert math.fsum(group) / len(group) == pytest.approx(0, abs=1e-9)
            assert math.fsum(v * v for v in group) / len(group) == pytest.approx(1, rel=1e-9)


def test_group_norm_of_one_group_and_no_positions_is_layer_norm():
    group, layer = GroupNorm(1, 5).astype(np.float64), LayerNorm(5).astype(np.float64)
    x, dy = normal(4, 5), normal(4, 5, seed=1)
    assert close(group(x), layer(x))
    assert close(group.backward(dy), layer.backward(dy))


@pytest.mark.rows("layer", [LayerNorm(6), RMSNorm(6), GroupNorm(2, 6), GroupNorm(6, 6)], ids=repr)
def test_samples_have_nothing_to_do_with_each_other(layer):
    layer.astype(np.float64)
    x, dy = normal(4, 3, 6), normal(4, 3, 6, seed=1)
    y, dx = layer(x), layer.backward(dy)
    for n in range(4):
        assert close(layer(x[n : n + 1]), y[n : n + 1])
        assert close(layer.backward(dy[n : n + 1]), dx[n : n + 1])


@pytest.mark.rows("layer", [LayerNorm(6), RMSNorm(6), GroupNorm(2, 6)], ids=repr)
def test_both_modes_are_alike_where_nothing_is_remembered(layer):
    layer.astype(np.float64)
    x, dy = normal(4, 3, 6), normal(4, 3, 6, seed=1)
    y, dx = layer.train()(x), layer.backward(dy)
    assert np.array_equal(layer.eval()(x), y)
    assert np.array_equal(layer.backward(dy), dx)


# All of them

LAYERS = [
    ("BatchNorm(6)", [(2, 6), (7, 6), (3, 2, 6), (1, 5, 6), (2, 3, 1, 6)]),
    ("BatchNorm(1, momentum=0.5, eps=1e-3)", [(5, 1), (2, 3, 1)]),
    ("LayerNorm(6)", [(6,), (1, 6), (7, 6), (2, 3, 6), (2, 1, 3, 6)]),
    ("LayerNorm(1)", [(3, 1)]),
    ("LayerNorm(2, eps=0.1)", [(3, 2)]),
    ("RMSNorm(6)", [(6,), (1, 6), (7, 6), (2, 3, 6), (2, 1, 3, 6)]),
    ("RMSNorm(1, eps=0.1)", [(3, 1)]),
    ("GroupNorm(1, 6)", [(1, 6), (3, 6), (2, 3, 6)]),
    ("GroupNorm(2, 6)", [(1, 6), (3, 6), (2, 3, 6), (2, 3, 1, 6), (1, 2, 2, 2, 6)]),
    ("GroupNorm(6, 6)", [(2, 3, 6)]),
    ("GroupNorm(3, 3, eps=0.1)", [(2, 1, 3)]),
]


def make(code):
    return eval(code)


@pytest.mark.rows(("code", "shape"), [(code, shapes[-1]) for code, shapes in LAYERS], ids=str)
def test_every_norm_keeps_the_contract(code, shape):
    check_layer(make(code), 2 * normal(*shape) + 1)


@pytest.mark.long
@pytest.mark.rows(("code", "shape"), [(code, shape) for code, shapes in LAYERS for shape in shapes], ids=str)
def test_every_norm_keeps_the_contract_in_any_rank(code, shape):
    check_layer(make(code), 2 * normal(*shape) + 1)


every_norm = pytest.mark.rows("code", ["BatchNorm(3)", "LayerNorm(3)", "RMSNorm(3)", "GroupNorm(1, 3)"])
every_centred_norm = pytest.mark.rows("code", ["BatchNorm(3)", "LayerNorm(3)", "GroupNorm(1, 3)", "GroupNorm(3, 3)"])


@every_norm
@every_dtype
def test_outputs_and_gradients_keep_the_dtype_of_the_parameters(code, dtype):
    for given in (np.uint8, np.float32, np.float64):
        layer = make(code).astype(dtype)
        assert layer(frozen([[1, 2, 4], [3, 0, 9]], given)).dtype == dtype
        assert layer.backward(frozen([[1, 2, 4], [3, 0, 9]], dtype)).dtype == dtype
        assert {p.grad.dtype for p in layer.parameters()} == {np.dtype(dtype)}
        assert layer.eval()(frozen([[1, 2, 4]], given)).dtype == dtype


@every_centred_norm
@every_dtype
@pytest.mark.rows("value", [0.0, 0.1, 1 / 3, -1e4, 1e4, 1e-20])
@pytest.mark.rows("shape", [(5, 3), (33, 7, 3), (999, 3)], ids=str)
def test_constant_input_gives_exactly_beta_and_finite_gradients(code, dtype, value, shape):
    layer = make(code).astype(dtype)
    layer.gamma.data[:], layer.beta.data[:] = 2, [0.5, -1, 3]
    x = frozen(np.full(shape, value), dtype)
    assert (layer(x) == np.array([0.5, -1, 3], dtype)).all()
    dx = layer.backward(normal(*shape).astype(dtype))
    assert dx.dtype == dtype
    assert np.isfinite(dx).all()
    assert not layer.gamma.grad.any()


@every_dtype
def test_features_that_are_constant_do_not_disturb_the_others(dtype):
    layer, x = BatchNorm(2).astype(dtype), frozen([[1e4, 1], [1e4, 3], [1e4, 2]], dtype)
    # The second feature has the variance 2/3.
    assert np.allclose(layer(x), [[0, -1.224736], [0, 1.224736], [0, 0]], atol=1e-5)


@every_dtype
def test_rms_norm_of_constant_input_is_its_sign(dtype):
    layer = RMSNorm(3).astype(dtype)
    assert np.allclose(
        layer(frozen([[1e4] * 3, [-1e4] * 3, [0.1] * 3], dtype)), [[1] * 3, [-1] * 3, [1] * 3], rtol=1e-4
    )
    assert np.isfinite(layer.backward(frozen(np.ones((3, 3)), dtype))).all()
    assert layer(frozen([[0, 0, 0]], dtype)).tolist() == [[0, 0, 0]]
    # At zero the slope is 1/√ε.
    assert np.allclose(layer.backward(frozen([[1, 0, 0]], dtype)), [[1000, 0, 0]])


@every_norm
@every_dtype
def test_inputs_of_ten_thousand_stay_finite(code, dtype):
    layer = make(code).astype(dtype)
    x = frozen(1e4 * np.random.default_rng(0).choice([-1, 1], (8, 4, 3)), dtype)
    for mode in (True, False):
        y = layer.train(mode)(x)
        assert np.isfinite(y).all()
        assert np.isfinite(layer.backward(y)).all()


@every_centred_norm
def test_a_large_mean_costs_no_digits(code):
    x = np.random.default_rng(4).integers(-8, 9, (16, 3, 3)).astype(np.float32)
    dy = normal(16, 3, 3).astype(np.float32)
    near, far = make(code), make(code)
    assert np.allclose(far(x + 1e4), near(x), rtol=0, atol=2e-6)
    assert np.allclose(far.backward(dy), near.backward(dy), rtol=0, atol=2e-6)


@every_centred_norm
def test_moving_all_inputs_together_changes_nothing_so_the_gradients_cancel(code):
    layer = make(code).astype(np.float64)
    layer.gamma.data[:] = [2, -1, 0.5]
    x, dy = normal(6, 3), normal(6, 3, seed=1)
    if code == "GroupNorm(3, 3)":
        x, dy = x.reshape(1, 6, 3), dy.reshape(1, 6, 3)
    assert np.allclose(layer(x + 5), layer(x), atol=1e-12)
    axis = 0 if code == "BatchNorm(3)" else 1
    dx = layer.backward(dy)
    assert np.allclose(dx.sum(axis=axis), 0, atol=1e-12)
    assert abs(dx).max() > 0.1


@every_norm
def test_gradients_add_up_and_the_second_step_is_right(code):
    layer, x, x2, dy = make(code).astype(np.float64), normal(4, 3), normal(7, 3, seed=1), normal(7, 3, seed=2)
    layer(x), layer.backward(dy[:4])
    first = {name: p.grad.copy() for name, p in layer.named_parameters().items()}
    for p in layer.parameters():
        p.data -= 0.3 * p.grad
    fresh = make(code).astype(np.float64)
    fresh.load_state_dict(layer.state_dict())
    assert np.array_equal(layer(x2), fresh(x2))
    assert np.array_equal(layer.backward(dy), fresh.backward(dy))
    for name, p in fresh.named_parameters().items():
        assert np.allclose(layer.named_parameters()[name].grad, first[name] + p.grad, rtol=1e-12)


@every_norm
def test_the_parameters_have_the_documented_names_and_are_not_decayed(code):
    layer = make(code)
    parameters = layer.named_parameters()
    assert list(parameters) == (["gamma"] if code == "RMSNorm(3)" else ["gamma", "beta"])
    assert all(p.data.shape == (3,) and not p.decay for p in parameters.values())
    assert layer.gamma.data.tolist() == [1, 1, 1]
    assert code == "RMSNorm(3)" or layer.beta.data.tolist() == [0, 0, 0]


def test_the_default_eps_is_that_of_the_sources():
    assert [layer.eps for layer in (BatchNorm(2), LayerNorm(2), GroupNorm(1, 2))] == [1e-5] * 3
    assert RMSNorm(2).eps == 1e-6
    assert BatchNorm(2).momentum == 0.1


@pytest.mark.rows("code", ["BatchNorm(3)", "LayerNorm(3)", "RMSNorm(3)", "GroupNorm(3, 3)"])
@pytest.mark.rows("shape", [(2, 4), (3, 2), (2, 3, 1), (2, 3, 4), ()], ids=str)
def test_another_last_axis_is_refused_by_name(code, shape):
    with pytest.raises(ValueError) as caught:
        make(code)(np.ones(shape))
    assert str(caught.value).startswith(f"{code}: expected x of shape (..., 3), got {shape}")


def test_group_norm_needs_a_batch_axis():
    with pytest.raises(ValueError, match=r"GroupNorm\(2, 4\): expected x of shape \(N, \.\.\., 4\), got \(4,\)"):
        GroupNorm(2, 4)(np.ones(4))


@every_norm
@pytest.mark.rows("shape", [(0, 3), (0, 4, 3)], ids=str)
def test_an_empty_batch_gives_an_empty_output_in_evaluation(code, shape):
    layer = make(code).eval()
    assert layer(np.zeros(shape)).shape == shape
    assert layer.backward(np.zeros(shape)).shape == shape
    assert not layer.gamma.grad.any()


@pytest.mark.rows(("groups", "features"), [(3, 4), (8, 4), (0, 4), (-2, 4), (4, 6)])
def test_groups_that_do_not_divide_the_features_are_refused(groups, features):
    with pytest.raises(ValueError, match=rf"GroupNorm: expected groups to .*, got {groups}"):
        GroupNorm(groups, features)


@pytest.mark.rows(("groups", "features"), [(2.5, 5), (2.0, 4), (2, 4.0), ("2", 4)])
def test_groups_and_features_that_are_no_ints_are_type_errors(groups, features):
    with pytest.raises(TypeError):
        GroupNorm(groups, features)


@pytest.mark.rows("kind", [BatchNorm, LayerNorm, RMSNorm, lambda features: GroupNorm(1, features)])
@pytest.mark.rows(("features", "error"), [(0, ValueError), (-1, ValueError), (2.5, TypeError), ("3", TypeError)])
def test_impossible_numbers_of_features_are_refused(kind, features, error):
    with pytest.raises(error):
        kind(features)


def test_norms_train_inside_a_model():
    model = Sequential(
        Linear(4, 6, rng=0),
        BatchNorm(6),
        ReLU(),
        LayerNorm(6),
        GroupNorm(2, 6),
        RMSNorm(6),
        Linear(6, 2, rng=1),
        MeanSquaredError(),
    ).astype(np.float64)
    x, target = normal(12, 4), normal(12, 2, seed=1)
    losses = []
    for _ in range(60):
        losses.append(model(x, target))
        model.backward()
        for p in model.parameters():
            p.data -= 0.05 * p.grad
        model.zero_grad()
    assert losses[-1] < 0.6 * losses[0]
