import math

import numpy as np
import pytest

from minnet import GRU, LSTM, RNN, LastStep, Linear, Sequential, check_layer, seed


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def wave(step, *shape):
    """sin of step, 2 step, 3 step …"""
    return np.sin(step * np.arange(1, np.prod(shape) + 1)).reshape(shape)


def frozen(array):
    array = np.array(array, np.float64)
    array.flags.writeable = False
    return array


def randomized(layer):
    layer.astype(np.float64)
    for i, parameter in enumerate(layer.parameters()):
        parameter.data[...] = random(*parameter.data.shape, seed=10 + i)
    return layer


def waving(layer):
    """The layer with the values that PyTorch was given for its literals."""
    layer.astype(np.float64)
    for parameter, step in zip(layer.parameters(), (7, 5, 3)):
        parameter.data[...] = wave(step, *parameter.data.shape)
    return layer


def known(layer, **arrays):
    """The layer in float64 with these arrays, and zeros in the others."""
    layer.astype(np.float64)
    for name, parameter in layer.named_parameters().items():
        parameter.data[...] = arrays.get(name, 0)
    return layer


every_kind = pytest.mark.rows("kind", [RNN, LSTM, GRU])
# N, T, D, H
every_size = pytest.mark.rows(
    "sizes", [(1, 1, 1, 1), (2, 1, 3, 2), (1, 4, 2, 3), (3, 5, 1, 2), (2, 3, 4, 1), (2, 7, 5, 4)], ids=str
)


# By loops


def dot(vector, matrix, column):
    return sum(vector[i] * matrix[i, column] for i in range(len(vector)))


def sigmoid(a):
    return 1 / (1 + math.exp(-a))


def looped_rnn(x, W, U, b):
    H = len(U)
    h, states = [0] * H, []
    for x_t in x:
        h = [math.tanh(dot(x_t, W, j) + dot(h, U, j) + b[j]) for j in range(H)]
        states.append(h)
    return states


def looped_lstm(x, W, U, b):
    H = len(U)
    h, c, states = [0] * H, [0] * H, []
    for x_t in x:
        a = [dot(x_t, W, j) + dot(h, U, j) + b[j] for j in range(4 * H)]
        i, f, g, o = a[:H], a[H : 2 * H], a[2 * H : 3 * H], a[3 * H :]
        c = [sigmoid(f[j]) * c[j] + sigmoid(i[j]) * math.tanh(g[j]) for j in range(H)]
        h = [sigmoid(o[j]) * math.tanh(c[j]) for j in range(H)]
        states.append(h)
    return states


def looped_gru(x, W, U, b, c):
    H = len(U)
    h, states = [0] * H, []
    for x_t in x:
        r = [sigmoid(dot(x_t, W, j) + b[j] + dot(h, U, j)) for j in range(H)]
        z = [sigmoid(dot(x_t, W, j) + b[j] + dot(h, U, j)) for j in range(H, 2 * H)]
        inside = [dot(h, U, 2 * H + j) + c[j] for j in range(H)]
        n = [math.tanh(dot(x_t, W, 2 * H + j) + b[2 * H + j] + r[j] * inside[j]) for j in range(H)]
        h = [(1 - z[j]) * n[j] + z[j] * h[j] for j in range(H)]
        states.append(h)
    return states


@every_size
@pytest.mark.rows(
    ("kind", "looped"), [(RNN, looped_rnn), (LSTM, looped_lstm), (GRU, looped_gru)], ids=["RNN", "LSTM", "GRU"]
)
def test_the_states_are_those_of_a_loop(kind, looped, sizes):
    N, T, D, H = sizes
    layer, x = randomized(kind(D, H)), random(N, T, D)
    y = layer(x)
    assert y.shape == (N, T, H)
    for n in range(N):
        np.testing.assert_allclose(y[n], looped(x[n], *(p.data for p in layer.parameters())), rtol=1e-10)


@pytest.mark.long
@every_size
@every_kind
def test_the_contract_holds(kind, sizes):
    N, T, D, H = sizes
    check_layer(kind(D, H), random(N, T, D))


# As PyTorch has them: x, dy and the parameters are waves, and its second bias is zero but for c.


def test_rnn_and_its_gradients_have_the_values_that_pytorch_gives():
    layer = waving(RNN(2, 2))
    y = [[0.88568593, 0.56473716], [0.4098096, 0.57603878], [-0.72843664, -0.57094287]]
    assert np.allclose(layer(wave(7, 1, 3, 2)), y, rtol=0, atol=1e-8)
    dx = [[-0.35715492, -0.08110387], [-0.31383994, 0.1299893], [-0.30089577, 0.11824613]]
    assert np.allclose(layer.backward(wave(3, 1, 3, 2)), dx, rtol=0, atol=1e-8)
    assert np.allclose(layer.W.grad, [[0.16071055, -0.47846231], [-0.16577816, -0.05464311]], rtol=0, atol=1e-8)
    assert np.allclose(layer.U.grad, [[0.41603004, -0.68099611], [0.36133862, -0.59353419]], rtol=0, atol=1e-8)
    assert np.allclose(layer.b.grad, [0.65894617, -1.41812942], rtol=0, atol=1e-8)


def test_lstm_and_its_gradients_have_the_values_that_pytorch_gives():
    layer = waving(LSTM(2, 2))
    y = [[0.09298679, -0.06589459], [0.16916945, -0.14496639], [0.28761739, -0.15585775]]
    assert np.allclose(layer(wave(7, 1, 3, 2)), y, rtol=0, atol=1e-8)
    dx = [[-0.05547882, 0.02212576], [-0.10638187, -0.01316633], [0.08060866, 0.11874491]]
    assert np.allclose(layer.backward(wave(3, 1, 3, 2)), dx, rtol=0, atol=1e-8)
    dW = [
        [0.0136945, 0.03263636, -0.00633628, -0.0108845, 0.26480994, 0.02138625, 0.03976084, 0.04244268],
        [-0.01835333, 0.01681506, -0.03943398, -0.06396198, 0.13316674, 0.06318728, 0.00440152, -0.01379442],
    ]
    assert np.allclose(layer.W.grad, dW, rtol=0, atol=1e-8)
    dU = [
        [0.01283318, 0.00406913, 0.00971248, 0.01563142, 0.0442074, -0.01407273, 0.00809983, 0.01403939],
        [-0.01069487, -0.00306303, -0.00808822, -0.01302614, -0.03468292, 0.01192166, -0.00624346, -0.01112474],
    ]
    assert np.allclose(layer.U.grad, dU, rtol=0, atol=1e-8)
    db = [0.12024777, 0.05308464, 0.06507793, 0.10444892, 0.56055328, -0.09305428, 0.07984264, 0.12405267]
    assert np.allclose(layer.b.grad, db, rtol=0, atol=1e-8)


def test_gru_and_its_gradients_have_the_values_that_pytorch_gives():
    layer = waving(GRU(2, 2))
    layer.c.data[...] = [0.3, -0.2]
    y = [[0.22057703, -0.2462791], [0.34055479, -0.5484421], [0.38521088, -0.73875559]]
    assert np.allclose(layer(wave(7, 1, 3, 2)), y, rtol=0, atol=1e-8)
    dx = [[0.0974569, -0.24547365], [-0.03492167, -0.12345074], [0.05970566, 0.087435]]
    assert np.allclose(layer.backward(wave(3, 1, 3, 2)), dx, rtol=0, atol=1e-8)
    dW = [
        [-0.01532668, 0.00639003, -0.08766575, -0.19408005, -0.05676098, -0.1250427],
        [-0.04823053, -0.00088028, -0.07545442, -0.12670429, -0.24753984, -0.06151558],
    ]
    assert np.allclose(layer.W.grad, dW, rtol=0, atol=1e-8)
    dU = [
        [0.02158508, 0.00627735, -0.01600605, -0.04846649, 0.08010779, -0.02785517],
        [-0.03369883, -0.00937129, 0.01989656, 0.061028, -0.12410509, 0.04031691],
    ]
    assert np.allclose(layer.U.grad, dU, rtol=0, atol=1e-8)
    db = [0.06826023, 0.03107292, -0.13856528, -0.32057053, 0.41188159, -0.46452827]
    assert np.allclose(layer.b.grad, db, rtol=0, atol=1e-8)
    assert np.allclose(layer.c.grad, [0.25920392, -0.19208762], rtol=0, atol=1e-8)


# What each gate does. A gate's σ is 1 to the last digit of what follows at 50, and 0 at −50.


OPEN, CLOSED = 50, -50
ONES = np.ones((1, 3, 1))


def one_lstm(i, f, g, o):
    """The states of an LSTM of one feature whose gates and candidate depend on nothing."""
    return known(LSTM(1, 1), b=[i, f, g, o])(ONES).reshape(-1)


def test_an_open_lstm_adds_its_candidate_to_the_cell_at_every_step():
    g = math.tanh(0.3)
    np.testing.assert_allclose(one_lstm(OPEN, OPEN, 0.3, OPEN), [math.tanh(k * g) for k in (1, 2, 3)], rtol=1e-12)


def test_a_closed_forget_gate_leaves_only_the_last_candidate():
    expected = [math.tanh(math.tanh(0.3))] * 3
    np.testing.assert_allclose(one_lstm(OPEN, CLOSED, 0.3, OPEN), expected, rtol=1e-12)


def test_a_closed_input_gate_writes_nothing():
    np.testing.assert_allclose(one_lstm(CLOSED, OPEN, 0.3, OPEN), [0, 0, 0], atol=1e-12)


def test_a_closed_output_gate_shows_nothing_but_the_cell_goes_on():
    assert abs(one_lstm(OPEN, OPEN, 0.3, CLOSED)).max() < 1e-12
    # Open at the last step only, through x.
    layer = known(LSTM(1, 1), b=[OPEN, OPEN, 0.3, CLOSED], W=[[0, 0, 0, 2 * OPEN]])
    y = layer(np.array([[[0.0], [0], [1]]])).reshape(-1)
    np.testing.assert_allclose(y, [0, 0, math.tanh(3 * math.tanh(0.3))], atol=1e-12)


def test_half_open_gates_of_an_lstm_have_the_values_found_by_hand():
    # All of W, U, b are zero but b of g: i = f = o = ½, so c = ½ c + ½ tanh 1.
    g = math.tanh(1)
    expected = [math.tanh(share * g) / 2 for share in (0.5, 0.75, 0.875)]
    np.testing.assert_allclose(one_lstm(0, 0, 1, 0), expected, rtol=1e-12)


def one_gru(r, z, n, c=0.0, U=(0.0, 0.0, 0.0)):
    return known(GRU(1, 1), b=[r, z, n], c=c, U=[U])(ONES).reshape(-1)


def test_an_open_update_gate_keeps_the_state():
    np.testing.assert_allclose(one_gru(0, OPEN, 1), [0, 0, 0], atol=1e-12)


def test_a_closed_update_gate_takes_the_candidate():
    np.testing.assert_allclose(one_gru(0, CLOSED, 1), [math.tanh(1)] * 3, rtol=1e-12)


def test_a_half_open_update_gate_goes_half_the_way():
    g = math.tanh(1)
    np.testing.assert_allclose(one_gru(0, 0, 1), [g / 2, 3 * g / 4, 7 * g / 8], rtol=1e-12)


def test_a_closed_reset_gate_shuts_out_the_product_and_c():
    np.testing.assert_allclose(one_gru(CLOSED, CLOSED, 1, c=3, U=(0, 0, 5)), [math.tanh(1)] * 3, rtol=1e-12)


def test_an_open_reset_gate_lets_the_product_and_c_in():
    first = math.tanh(1 + 0.5)
    second = math.tanh(1 + 0.5 + 2 * first)
    third = math.tanh(1 + 0.5 + 2 * second)
    np.testing.assert_allclose(one_gru(OPEN, CLOSED, 1, c=0.5, U=(0, 0, 2)), [first, second, third], rtol=1e-12)


def test_the_reset_gate_comes_after_the_product_so_that_it_scales_c_too():
    # r = ½: the candidate is tanh(0 + ½ (0 + 2)).
    np.testing.assert_allclose(one_gru(0, CLOSED, 0, c=2), [math.tanh(1)] * 3, rtol=1e-12)


def test_an_rnn_without_recurrent_weights_is_a_tanh_of_each_step():
    layer = known(RNN(2, 1), W=[[1], [2]], b=[0.5])
    y = layer(frozen([[[1, 0], [0, 1], [-1, -1]]])).reshape(-1)
    np.testing.assert_allclose(y, [math.tanh(1.5), math.tanh(2.5), math.tanh(-2.5)], rtol=1e-12)


# Time


@every_kind
def test_a_state_depends_on_no_later_step(kind):
    layer, x = randomized(kind(2, 3)), random(2, 6, 2)
    y = layer(x).copy()
    later = x.copy()
    later[:, 4:] += 10
    assert np.array_equal(layer(later)[:, :4], y[:, :4])
    assert not np.isclose(layer(later)[:, 4:], y[:, 4:]).any()


@every_kind
def test_a_state_depends_on_all_earlier_steps(kind):
    layer, x = randomized(kind(2, 3)), random(1, 5, 2)
    layer(x)
    dy = np.zeros((1, 5, 3))
    dy[:, 3] = 1
    dx = layer.backward(dy)
    assert dx[:, :4].all()
    assert not dx[:, 4].any()


@every_kind
def test_a_shorter_sequence_has_the_same_states(kind):
    layer, x = randomized(kind(2, 3)), random(2, 6, 2)
    y = layer(x)
    for T in (1, 3):
        np.testing.assert_allclose(layer(x[:, :T]), y[:, :T], rtol=1e-12)


@every_kind
def test_every_forward_starts_from_a_zero_state(kind):
    layer, x = randomized(kind(2, 3)), random(2, 4, 2)
    y = layer(x).copy()
    assert np.array_equal(layer(x), y)
    layer(100 * x)
    assert np.array_equal(layer(x), y)


@every_kind
def test_the_first_step_gives_the_recurrent_weights_no_gradient(kind):
    layer = randomized(kind(2, 3))
    layer.backward(np.ones_like(layer(random(4, 1, 2))))
    assert not layer.U.grad.any()
    assert layer.W.grad.any()


@every_kind
def test_samples_do_not_touch_each_other(kind):
    layer, x = randomized(kind(2, 3)), random(3, 4, 2)
    y = layer(x)
    dy = random(*y.shape, seed=1)
    dx = layer.backward(dy)
    for n in range(3):
        np.testing.assert_allclose(layer(x[n : n + 1])[0], y[n], rtol=1e-12)
        np.testing.assert_allclose(layer.backward(dy[n : n + 1])[0], dx[n], rtol=1e-10, atol=1e-14)


@every_kind
def test_a_long_sequence_stays_finite_and_bounded(kind):
    layer = kind(2, 8, rng=0)
    y = layer(10 * random(2, 500, 2))
    assert abs(y).max() <= 1
    assert np.isfinite(layer.backward(np.ones_like(y))).all()
    assert all(np.isfinite(p.grad).all() for p in layer.parameters())


@every_kind
@pytest.mark.rows("dtype", [np.float32, np.float64])
@pytest.mark.rows("scale", [1e4, -1e4])
def test_extreme_input_gives_finite_states_and_gradients(kind, dtype, scale):
    layer = kind(2, 3, rng=0).astype(dtype)
    y = layer((scale * random(2, 4, 2)).astype(dtype))
    assert np.isfinite(y).all()
    assert np.isfinite(layer.backward(np.ones_like(y))).all()
    assert all(np.isfinite(p.grad).all() for p in layer.parameters())


def test_an_open_lstm_carries_its_gradient_over_many_steps():
    layer = known(LSTM(1, 1), b=[0, OPEN, 0, 0], W=[[0, 0, 1, 0]])
    y = layer(np.full((1, 200, 1), 1e-3))
    dy = np.zeros_like(y)
    dy[:, -1] = 1
    dx = layer.backward(dy)
    # o (1 − tanh² c) i (1 − g²) = ¼ but for the little that has been added up: 200 · ½ · 10⁻³.
    np.testing.assert_allclose(dx, np.full_like(dx, 0.25 * (1 - math.tanh(0.1) ** 2)), rtol=1e-4)


# Steps, types, layouts


@every_kind
def test_the_second_training_step_is_right_for_a_batch_of_another_shape(kind):
    layer, fresh = randomized(kind(2, 3)), kind(2, 3).astype(np.float64)
    layer.backward(np.ones_like(layer(random(4, 6, 2))))
    for p in layer.parameters():
        p.data -= 0.1 * p.grad
        p.grad.fill(0)
    fresh.load_state_dict(layer.state_dict())
    x, dy = random(2, 3, 2, seed=1), random(2, 3, 3, seed=2)
    assert np.array_equal(layer(x), fresh(x))
    assert np.array_equal(layer.backward(dy), fresh.backward(dy))
    assert all(np.array_equal(a.grad, b.grad) and a.grad.any() for a, b in zip(layer.parameters(), fresh.parameters()))


@every_kind
def test_a_second_backward_adds_the_same_again(kind):
    layer = randomized(kind(2, 3))
    y = layer(frozen(random(2, 4, 2)))
    dy = frozen(random(*y.shape, seed=1))
    dx = layer.backward(dy)
    once = [p.grad.copy() for p in layer.parameters()]
    assert np.array_equal(layer.backward(dy), dx)
    assert all(np.array_equal(p.grad, 2 * gradient) for p, gradient in zip(layer.parameters(), once))


@every_kind
def test_what_is_returned_can_be_written_to_without_harm(kind):
    layer, plain, x = randomized(kind(2, 3)), randomized(kind(2, 3)), random(2, 4, 2)
    expected = plain(x)
    layer(x)[...] = 7
    dy = random(2, 4, 3, seed=1)
    np.testing.assert_array_equal(layer.backward(dy), plain.backward(dy))
    np.testing.assert_array_equal(layer(x), expected)


@every_kind
def test_float32_stays_float32_and_float64_is_cast(kind):
    layer = kind(2, 3, rng=0)
    y = layer(random(2, 4, 2).astype(np.float32))
    assert y.dtype == np.float32
    assert layer.backward(np.ones_like(y)).dtype == np.float32
    assert {p.grad.dtype for p in layer.parameters()} == {np.dtype(np.float32)}
    assert np.array_equal(layer(random(2, 4, 2)), y)
    np.testing.assert_allclose(layer.astype(np.float64)(random(2, 4, 2)), y, atol=1e-6)


@every_kind
def test_arrays_that_lie_otherwise_in_memory_give_the_same(kind):
    layer, x, dy = randomized(kind(2, 3)), random(4, 5, 2), random(4, 5, 3, seed=1)
    y, dx = layer(x), layer.backward(dy)
    gradients = [p.grad.copy() for p in layer.parameters()]
    for order in (np.asfortranarray, lambda a: np.repeat(a, 2, axis=1)[:, ::2], lambda a: a[::-1].copy()[::-1]):
        layer.zero_grad()
        np.testing.assert_allclose(layer(order(x)), y, rtol=1e-12)
        np.testing.assert_allclose(layer.backward(order(dy)), dx, rtol=1e-10, atol=1e-14)
        for p, gradient in zip(layer.parameters(), gradients):
            np.testing.assert_allclose(p.grad, gradient, rtol=1e-10, atol=1e-14)


@every_kind
def test_dx_is_not_even_computed_where_nobody_will_use_it(kind, same_sums):
    layer, plain, x, dy = randomized(kind(2, 3)), randomized(kind(2, 3)), random(2, 4, 2), random(2, 4, 3, seed=1)
    layer(x), plain(x)
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


@every_kind
def test_an_empty_batch_gives_an_empty_output_and_no_gradient(kind):
    layer = kind(2, 3)
    y = layer(np.zeros((0, 4, 2)))
    assert y.shape == (0, 4, 3)
    assert layer.backward(y).shape == (0, 4, 2)
    assert not any(p.grad.any() for p in layer.parameters())


def test_layers_stack_and_end_in_their_last_step():
    check_layer(Sequential(RNN(2, 3), GRU(3, 2), LSTM(2, 1), LastStep(), Linear(1, 2)), random(1, 3, 2))


# Parameters


@pytest.mark.rows(
    ("kind", "shapes"),
    [
        (RNN, {"W": (2, 3), "U": (3, 3), "b": (3,)}),
        (LSTM, {"W": (2, 12), "U": (3, 12), "b": (12,)}),
        (GRU, {"W": (2, 9), "U": (3, 9), "b": (9,), "c": (3,)}),
    ],
    ids=["RNN", "LSTM", "GRU"],
)
def test_arrays_have_the_documented_names_shapes_and_decay(kind, shapes):
    parameters = kind(2, 3).named_parameters()
    assert {name: p.data.shape for name, p in parameters.items()} == shapes
    assert {name: p.decay for name, p in parameters.items()} == {name: name in ("W", "U") for name in shapes}
    assert not any(p.data.any() for name, p in parameters.items() if name in ("b", "c"))


@every_kind
def test_recurrent_weights_start_orthogonal_gate_by_gate(kind):
    H = 6
    U = kind(4, H, rng=0).U.data
    blocks = [U[:, first : first + H] for first in range(0, U.shape[1], H)]
    assert len(blocks) == {RNN: 1, LSTM: 4, GRU: 3}[kind]
    for block in blocks:
        np.testing.assert_allclose(block.T @ block, np.eye(H), atol=1e-6)
    assert all(abs(a - b).max() > 0.1 for i, a in enumerate(blocks) for b in blocks[:i])


@every_kind
@pytest.mark.rows(("D", "H", "limit"), [(200, 40, 0.1581139), (40, 200, 0.1581139), (80, 70, 0.2)])
def test_input_weights_start_glorot_uniform_with_the_fans_of_one_gate(kind, D, H, limit):
    W = kind(D, H, rng=0).W.data
    for first in range(0, W.shape[1], H):
        block = W[:, first : first + H]
        assert 0.99 * limit < abs(block).max() <= limit * (1 + 1e-6)
        # The standard deviation of a uniform distribution is its half width over the root of three.
        assert block.std() == pytest.approx(0.57735 * limit, rel=0.03)


@every_kind
def test_what_is_drawn_comes_from_the_rng(kind):
    first, again = kind(3, 4, rng=0), kind(3, 4, rng=np.random.default_rng(0))
    seed(0)
    seeded = kind(3, 4)
    for name, array in first.state_dict().items():
        assert np.array_equal(array, again.state_dict()[name])
        assert np.array_equal(array, seeded.state_dict()[name])
    assert not np.array_equal(first.W.data, kind(3, 4, rng=1).W.data)
    assert not np.array_equal(first.U.data, kind(3, 4, rng=1).U.data)


def test_the_forget_bias_starts_at_zero_unless_the_constructor_says_otherwise():
    assert not LSTM(2, 3).b.data.any()
    layer = LSTM(2, 3, forget_bias=1.5)
    assert layer.b.data.tolist() == [0, 0, 0, 1.5, 1.5, 1.5, 0, 0, 0, 0, 0, 0]
    assert repr(layer) == "LSTM(2, 3, forget_bias=1.5)"
    # Without input or candidate, only what the gate lets through of an earlier candidate is left.
    open_longer = known(LSTM(1, 1), b=[0, 1.5, 0, 0], W=[[0, 0, 1, 0]])
    c = math.tanh(1) / 2
    kept = c / (1 + math.exp(-1.5))
    y = open_longer(np.array([[[1.0], [0]]])).reshape(-1)
    np.testing.assert_allclose(y, [math.tanh(c) / 2, math.tanh(kept) / 2], rtol=1e-12)


# Errors


@every_kind
@pytest.mark.rows("shape", [(2,), (4, 2), (1, 2, 4, 2), (3, 0, 2)])
def test_another_rank_or_no_steps_are_refused_by_the_layer(kind, shape):
    with pytest.raises(ValueError) as caught:
        kind(2, 3)(np.zeros(shape))
    assert str(caught.value) == f"{kind.__name__}(2, 3): expected x of shape (N, T, 2), got {shape}"


@every_kind
def test_another_number_of_features_is_refused_by_the_layer(kind):
    with pytest.raises(ValueError, match=rf"^{kind.__name__}\(2, 3\): expected x of shape \(.*2\), got \(1, 2, 4\)"):
        kind(2, 3)(np.zeros((1, 2, 4)))


@every_kind
@pytest.mark.rows("sizes", [(0, 3), (3, 0), (-1, 3)])
def test_no_features_are_refused(kind, sizes):
    with pytest.raises(ValueError):
        kind(*sizes)


@every_kind
@pytest.mark.rows("sizes", [(2.0, 3), (2, 3.0), ("2", 3)])
def test_sizes_that_are_no_ints_are_refused(kind, sizes):
    with pytest.raises(TypeError):
        kind(*sizes)
