import math

import numpy as np
import pytest

from minnet import (
    BatchNorm,
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


def make(code):
    return eval(code)


# Several blocks, a last one that is not full, a sample that fills more than one, rows that do.
BLOCKS = [
    ("LayerNorm(300)", (500, 300)),
    ("LayerNorm(7)", (3, 10000, 7)),
    ("LayerNorm(70000)", (3, 70000)),
    ("RMSNorm(300)", (500, 300)),
    ("GroupNorm(4, 16)", (13, 20, 30, 16)),
    ("GroupNorm(3, 6)", (3, 20000, 6)),
    ("GroupNorm(2, 300)", (500, 300)),
]


@pytest.mark.rows(("code", "shape"), BLOCKS, ids=str)
@every_dtype
def test_large_arrays_are_normalized_as_their_parts_are(code, shape, dtype):
    layer, alone = make(code).astype(dtype), make(code).astype(dtype)
    for parameter, own in zip(layer.parameters(), alone.parameters()):
        own.data[:] = parameter.data[:] = normal(shape[-1], seed=2)
    x, dy = (3 * normal(*shape) + 5).astype(dtype), normal(*shape, seed=1).astype(dtype)
    near = {"rtol": 0, "atol": 2e-5 if dtype is np.float32 else 1e-12}
    y, dx = layer(x), layer.backward(dy)
    for part in np.array_split(np.arange(len(x)), min(len(x), 13)):
        np.testing.assert_allclose(alone(x[part]), y[part], **near)
        np.testing.assert_allclose(alone.backward(dy[part]), dx[part], **near)
    scale = math.sqrt(x.size / shape[-1])
    for parameter, own in zip(layer.parameters(), alone.parameters()):
        np.testing.assert_allclose(parameter.grad / scale, own.grad / scale, **near)


@pytest.mark.rows("layer", [LayerNorm(6), RMSNorm(6), GroupNorm(2, 6)], ids=repr)
@pytest.mark.rows("shape", [(4, 5, 6), (40, 500, 6)], ids=str)
def test_arrays_that_lie_in_memory_in_another_order_are_normalized_alike(layer, shape):
    x, dy = normal(*shape).astype(np.float32), normal(*shape, seed=1).astype(np.float32)
    y, dx = layer(x), layer.backward(dy)
    for turned in (np.asfortranarray, lambda a: np.repeat(a, 2, axis=1)[:, ::2]):
        np.testing.assert_allclose(layer(turned(x)), y, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(layer.backward(turned(dy)), dx, rtol=1e-5, atol=1e-5)


@pytest.mark.rows("layer", [LayerNorm(6), RMSNorm(6), GroupNorm(1, 6)], ids=repr)
def test_a_sample_that_is_not_a_number_leaves_the_others_alone(layer):
    x, dy = normal(9, 4, 6).copy(), normal(9, 4, 6, seed=1)
    y, dx = layer(x), layer.backward(dy)
    x[3, 1, 2] = np.nan
    others = np.arange(9) != 3
    broken = layer(x)
    assert np.isnan(broken[3, 1]).all()
    assert close(broken[others], y[others])
    assert close(layer.backward(dy)[others], dx[others])


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
@pytest.mark.rows("shape", [(5, 3), (33, 7, 3), (999, 3), (300, 100, 3)], ids=str)
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
def test_groups_that_are_constant_give_exactly_beta_though_each_has_another_value(dtype):
    layer = GroupNorm(3, 6).astype(dtype)
    layer.beta.data[:] = [0.5, -1, 3, 2, 0, 7]
    values = np.array([[0.1, 0.1, 1e4, 1e4, 1 / 3, 1 / 3], [7, 7, 0, 0, -0.3, -0.3]], dtype)
    x = np.repeat(values[:, None], 333, axis=1)
    assert (layer(x) == layer.beta.data).all()
    layer.backward(normal(2, 333, 6).astype(dtype))
    assert not layer.gamma.grad.any()


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


@pytest.mark.rows("shape", [(4,), (2, 0, 4)])
def test_group_norm_needs_a_batch_axis_and_positions(shape):
    with pytest.raises(ValueError) as caught:
        GroupNorm(2, 4)(np.ones(shape))
    assert str(caught.value) == f"GroupNorm(2, 4): expected x of shape (N, ..., 4) with positions, got {shape}"


@pytest.mark.rows("norm", [BatchNorm, LayerNorm, RMSNorm, lambda features, eps: GroupNorm(1, features, eps)])
@pytest.mark.rows("eps", [0, -1e-5])
def test_an_epsilon_that_is_not_above_zero_is_refused(norm, eps):
    with pytest.raises(ValueError, match=rf"^\w+Norm: expected eps to be above 0 and finite, got {eps}"):
        norm(3, eps=eps)


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
