import math

import numpy as np
import pytest

from minnet import LayerNorm, Linear, MultiHeadAttention, Residual, Sequential, check_layer, seed


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


def known(layer, q=0.0, k=0.0, v=0.0, b=0.0):
    """The layer in float64 with these matrices, the identity as W_o and no b_o."""
    layer.astype(np.float64)
    D = len(layer.W_o.data)
    for i, block in enumerate((q, k, v)):
        layer.W_qkv.data[:, i * D : (i + 1) * D] = block
    layer.b_qkv.data[...] = b
    layer.W_o.data[...] = np.eye(D)
    layer.b_o.data[...] = 0
    return layer


both = pytest.mark.rows("causal", [False, True], ids=["all", "causal"])
# N, T, D, heads
every_size = pytest.mark.rows(
    "sizes", [(1, 1, 1, 1), (2, 1, 4, 2), (1, 5, 3, 1), (2, 3, 4, 4), (2, 4, 6, 2), (3, 2, 6, 3)], ids=str
)


def looped(x, W_qkv, b_qkv, W_o, b_o, heads, causal):
    """y of one sample, with sums of plain numbers."""
    T, D = x.shape
    d = D // heads
    qkv = [[sum(x[t, i] * W_qkv[i, j] for i in range(D)) + b_qkv[j] for j in range(3 * D)] for t in range(T)]
    y = np.zeros((T, D))
    for t in range(T):
        taken = [0.0] * D
        for head in range(heads):
            columns = range(head * d, (head + 1) * d)
            seen = range(t + 1) if causal else range(T)
            weights = [math.exp(sum(qkv[t][j] * qkv[s][D + j] for j in columns) / math.sqrt(d)) for s in seen]
            for j in columns:
                taken[j] = sum(weight * qkv[s][2 * D + j] for weight, s in zip(weights, seen)) / sum(weights)
        for j in range(D):
            y[t, j] = sum(taken[i] * W_o[i, j] for i in range(D)) + b_o[j]
    return y


@both
@every_size
def test_attention_is_that_of_a_loop(sizes, causal):
    N, T, D, heads = sizes
    layer, x = randomized(MultiHeadAttention(D, heads, causal)), random(N, T, D)
    y = layer(x)
    assert y.shape == (N, T, D)
    for n in range(N):
        expected = looped(x[n], *(p.data for p in layer.parameters()), heads, causal)
        np.testing.assert_allclose(y[n], expected, rtol=1e-10, atol=1e-12)


@pytest.mark.long
@both
@every_size
def test_the_contract_holds(sizes, causal):
    N, T, D, heads = sizes
    check_layer(MultiHeadAttention(D, heads, causal), random(N, T, D))


# PyTorch gives these for x, dy and parameters that are waves.
EXPECTED = {
    False: (
        [
            [-1.73420974, -0.52066942, 2.15057901, 0.69095202],
            [-1.7352122, -0.52705046, 2.14796134, 0.695848],
            [-1.73476287, -0.52089259, 2.15100552, 0.69141717],
        ],
        [
            [0.07821461, -0.81632154, 1.03202105, -0.58727558],
            [0.41557278, -0.94158899, 0.8650325, -0.23489585],
            [0.0721389, -0.77162215, 0.97730349, -0.55755652],
        ],
        [0.01329898, 0.01903486, -0.01347182, -0.00396995, 0, 0, 0, 0, -1.33767319, -1.013447, 0.51053411, 1.43012662],
        [1.53638246, -1.77428883, 1.9766828, -2.13951344],
    ),
    True: (
        [
            [-1.68312499, -0.63169597, 2.03650619, 0.73726229],
            [-1.78440633, -0.49494192, 2.21537143, 0.70198285],
            [-1.73476287, -0.52089259, 2.15100552, 0.69141717],
        ],
        [
            [-0.02359299, -1.18386839, 1.63370963, -1.03805348],
            [0.47778549, -0.97470755, 0.84786258, -0.1784254],
            [0.10925221, -0.37130634, 0.39574186, -0.16692118],
        ],
        [0.0117527, 0.01643166, -0.01235917, -0.0032975, 0, 0, 0, 0, -1.33767319, -1.013447, 0.51053411, 1.43012662],
        [1.53656962, -1.7809056, 1.98959674, -2.15846609],
    ),
}


@both
def test_attention_and_its_gradients_have_the_values_that_pytorch_gives(causal):
    layer = MultiHeadAttention(4, 2, causal).astype(np.float64)
    for parameter, step in zip(layer.parameters(), (7, 5, 5, 3)):
        parameter.data[...] = wave(step, *parameter.data.shape)
    y, dx, db_qkv, first_row_of_dW_o = EXPECTED[causal]
    assert np.allclose(layer(wave(7, 1, 3, 4)), y, rtol=0, atol=1e-8)
    assert np.allclose(layer.backward(wave(3, 1, 3, 4)), dx, rtol=0, atol=1e-8)
    assert np.allclose(layer.b_qkv.grad, db_qkv, rtol=0, atol=1e-8)
    assert np.allclose(layer.W_o.grad[0], first_row_of_dW_o, rtol=0, atol=1e-8)
    assert np.allclose(layer.b_o.grad, [1.74778378, -2.01843437, 2.24868598, -2.43393013], rtol=0, atol=1e-8)


# By hand


def test_without_queries_every_step_takes_the_mean_of_all():
    layer = known(MultiHeadAttention(2, 1), v=np.eye(2))
    y = layer(frozen([[[3, 0], [0, 6], [0, 0]]]))
    np.testing.assert_allclose(y, [[[1, 2]] * 3], rtol=1e-12)
    dx = layer.backward(frozen([[[3, 0], [0, 0], [0, 9]]]))
    np.testing.assert_allclose(dx, [[[1, 3]] * 3], rtol=1e-12)


def test_without_queries_a_causal_step_takes_the_mean_so_far():
    layer = known(MultiHeadAttention(2, 2, causal=True), v=np.eye(2))
    y = layer(frozen([[[3, 0], [1, 6], [2, 0]]]))
    np.testing.assert_allclose(y, [[[3, 0], [2, 3], [2, 2]]], rtol=1e-12, atol=1e-15)
    dx = layer.backward(frozen([[[1, 0], [2, 0], [3, 0]]]))
    np.testing.assert_allclose(dx[..., 0], [[1 + 1 + 1, 1 + 1, 1]], rtol=1e-12)


def test_scores_are_divided_by_the_root_of_the_features_of_a_head():
    # Each head has 4 of the 8 features, so q k = 4 log 9 / 2 makes a score of 2 log 9 / √4 = log 9: nine parts of ten.
    layer = known(MultiHeadAttention(8, 2), v=np.eye(8), b=[1] * 8 + [0] * 16)
    layer.W_qkv.data[:, 8:16] = np.eye(8)
    x = np.zeros((1, 2, 8))
    x[0, 0] = math.log(9) / 2
    np.testing.assert_allclose(layer(x)[0], np.full((2, 8), 0.9 * math.log(9) / 2), rtol=1e-12)


def test_queries_and_keys_that_match_pick_one_step():
    layer = known(MultiHeadAttention(3, 1), q=100 * np.eye(3), k=np.eye(3), v=np.diag([1, 10, 100]))
    # Each step asks for its like; of those that are equal it takes the mean.
    y = layer(frozen([[[1, 0, 0], [0, 1, 0], [1, 0, 0], [0, 0, 1]]]))
    np.testing.assert_allclose(y[0], [[1, 0, 0], [0, 10, 0], [1, 0, 0], [0, 0, 100]], atol=1e-12)


def test_a_head_is_some_neighbouring_columns_of_each_of_q_k_v():
    layer, alone = randomized(MultiHeadAttention(6, 3)), MultiHeadAttention(6, 1)
    # One head of two features, with zeros for the other columns, and a q that makes up for the root of 6 in place of 2.
    layer.W_o.data[...], layer.b_o.data[...] = np.eye(6), 0
    x = random(2, 4, 6)
    y = layer(x)
    for head in range(3):
        columns = np.arange(2 * head, 2 * head + 2)
        known(alone)
        for first, scale in ((0, math.sqrt(3)), (6, 1), (12, 1)):
            alone.W_qkv.data[:, first + columns] = scale * layer.W_qkv.data[:, first + columns]
            alone.b_qkv.data[first + columns] = scale * layer.b_qkv.data[first + columns]
        np.testing.assert_allclose(alone(x)[..., columns], y[..., columns], rtol=1e-10)


@both
def test_a_single_step_sees_itself_whatever_the_queries_are(causal):
    layer, x = randomized(MultiHeadAttention(4, 2, causal)), random(3, 1, 4)
    expected = (x @ layer.W_qkv.data[:, 8:] + layer.b_qkv.data[8:]) @ layer.W_o.data + layer.b_o.data
    np.testing.assert_allclose(layer(x), expected, rtol=1e-12)
    layer.backward(np.ones((3, 1, 4)))
    assert abs(layer.W_qkv.grad[:, :8]).max() <= 1e-14
    assert layer.W_qkv.grad[:, 8:].all()


@both
@pytest.mark.rows("N, T", [(1, 1), (3, 5), (2, 7)])
def test_each_query_weighs_the_values_by_the_softmax_of_its_scores(causal, N, T):
    layer, x = randomized(MultiHeadAttention(6, 2, causal)), random(N, T, 6)
    y = layer(x)
    for n in range(N):
        q, k, v = np.split(x[n] @ layer.W_qkv.data + layer.b_qkv.data, 3, axis=1)
        o = np.zeros((T, 6))
        for head in (slice(0, 3), slice(3, 6)):
            for t in range(T):
                seen = t + 1 if causal else T
                weights = [math.exp(float(q[t, head].dot(k[s, head])) / math.sqrt(3)) for s in range(seen)]
                o[t, head] = sum(w * v[s, head] for s, w in enumerate(weights)) / sum(weights)
        np.testing.assert_allclose(y[n], o @ layer.W_o.data + layer.b_o.data, rtol=1e-12, atol=1e-14)


@both
def test_attention_of_arrays_that_are_not_contiguous_is_the_same(causal):
    x, dy = random(5, 4, 2), random(5, 4, 2)
    results = []
    for arrays in ([x.T, dy.T], [np.ascontiguousarray(x.T), np.ascontiguousarray(dy.T)]):
        layer = randomized(MultiHeadAttention(5, 5, causal))
        results.append([layer(arrays[0]), layer.backward(arrays[1]), *(p.grad for p in layer.parameters())])
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)


def test_a_bias_of_the_keys_changes_nothing():
    layer, x = randomized(MultiHeadAttention(4, 2)), random(2, 3, 4)
    y = layer(x)
    layer.b_qkv.data[4:8] += 3
    np.testing.assert_allclose(layer(x), y, rtol=1e-10)


# Who sees whom


def test_a_causal_step_sees_no_later_one():
    layer, x = randomized(MultiHeadAttention(4, 2, causal=True)), random(2, 6, 4)
    y = layer(x)
    for T in range(1, 6):
        later = x.copy()
        later[:, T:] = 100 * random(2, 6 - T, 4, seed=T)
        np.testing.assert_allclose(layer(later)[:, :T], y[:, :T], rtol=1e-10)
        assert not np.isclose(layer(later)[:, T:], y[:, T:]).any()
        np.testing.assert_allclose(layer(x[:, :T]), y[:, :T], rtol=1e-10)


def test_a_causal_step_gives_later_ones_no_gradient():
    layer = randomized(MultiHeadAttention(4, 2, causal=True))
    layer(random(2, 6, 4))
    for t in range(6):
        dy = np.zeros((2, 6, 4))
        dy[:, t] = 1
        dx = layer.backward(dy)
        assert dx[:, : t + 1].all()
        assert not dx[:, t + 1 :].any()


def test_without_causal_every_step_sees_every_other():
    layer = randomized(MultiHeadAttention(4, 2))
    layer(random(2, 4, 4))
    for t in range(4):
        dy = np.zeros((2, 4, 4))
        dy[:, t] = 1
        assert layer.backward(dy).all()


def test_the_order_of_the_steps_is_that_of_the_output_and_nothing_else():
    layer, x = randomized(MultiHeadAttention(6, 3)), random(2, 5, 6)
    order = np.array([3, 0, 4, 1, 2])
    y = layer(x)
    dy = random(2, 5, 6, seed=1)
    dx = layer.backward(dy)
    dW = layer.W_qkv.grad.copy()
    layer.zero_grad()
    np.testing.assert_allclose(layer(x[:, order]), y[:, order], rtol=1e-10)
    np.testing.assert_allclose(layer.backward(dy[:, order]), dx[:, order], rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(layer.W_qkv.grad, dW, rtol=1e-10, atol=1e-12)


def test_with_causal_the_order_matters():
    layer, x = randomized(MultiHeadAttention(6, 3, causal=True)), random(2, 5, 6)
    assert not np.isclose(layer(x[:, ::-1])[:, ::-1], layer(x)).any()


@both
def test_samples_do_not_touch_each_other(causal):
    layer, x, dy = randomized(MultiHeadAttention(4, 2, causal)), random(3, 4, 4), random(3, 4, 4, seed=1)
    y, dx = layer(x), layer.backward(dy)
    for n in range(3):
        np.testing.assert_allclose(layer(x[n : n + 1])[0], y[n], rtol=1e-10)
        np.testing.assert_allclose(layer.backward(dy[n : n + 1])[0], dx[n], rtol=1e-10, atol=1e-13)


# Numbers


@both
@pytest.mark.rows("dtype", [np.float32, np.float64])
def test_extreme_scores_give_finite_outputs_and_gradients(causal, dtype):
    layer = MultiHeadAttention(4, 2, causal, rng=0).astype(dtype)
    y = layer((1e4 * random(2, 5, 4)).astype(dtype))
    assert np.isfinite(y).all()
    assert np.isfinite(layer.backward(np.ones_like(y))).all()
    assert all(np.isfinite(p.grad).all() for p in layer.parameters())


@both
def test_equal_steps_give_equal_outputs(causal):
    layer = randomized(MultiHeadAttention(4, 2, causal))
    y = layer(np.repeat(random(2, 1, 4), 5, axis=1))
    np.testing.assert_allclose(y, np.repeat(y[:, :1], 5, axis=1), rtol=1e-10)


@both
def test_float32_stays_float32_and_float64_is_cast(causal):
    layer = MultiHeadAttention(6, 2, causal, rng=0)
    y = layer(random(2, 4, 6).astype(np.float32))
    assert y.dtype == np.float32
    assert layer.backward(np.ones_like(y)).dtype == np.float32
    assert {p.grad.dtype for p in layer.parameters()} == {np.dtype(np.float32)}
    assert np.array_equal(layer(random(2, 4, 6)), y)


@both
def test_the_second_training_step_is_right_for_a_batch_of_another_shape(causal):
    layer, fresh = randomized(MultiHeadAttention(4, 2, causal)), MultiHeadAttention(4, 2, causal).astype(np.float64)
    layer.backward(np.ones_like(layer(random(3, 6, 4))))
    for p in layer.parameters():
        p.data -= 0.01 * p.grad
        p.grad.fill(0)
    fresh.load_state_dict(layer.state_dict())
    x, dy = random(2, 3, 4, seed=1), random(2, 3, 4, seed=2)
    assert np.array_equal(layer(x), fresh(x))
    assert np.array_equal(layer.backward(dy), fresh.backward(dy))
    assert all(np.array_equal(a.grad, b.grad) and a.grad.any() for a, b in zip(layer.parameters(), fresh.parameters()))


@both
def test_a_second_backward_adds_the_same_again(causal):
    layer = randomized(MultiHeadAttention(4, 2, causal))
    layer(frozen(random(2, 3, 4)))
    dy = frozen(random(2, 3, 4, seed=1))
    dx = layer.backward(dy)
    once = [p.grad.copy() for p in layer.parameters()]
    assert np.array_equal(layer.backward(dy), dx)
    assert all(np.array_equal(p.grad, 2 * gradient) for p, gradient in zip(layer.parameters(), once))


@both
def test_arrays_that_lie_otherwise_in_memory_give_the_same(causal):
    layer, x, dy = randomized(MultiHeadAttention(4, 2, causal)), random(2, 5, 4), random(2, 5, 4, seed=1)
    y, dx = layer(x), layer.backward(dy)
    for order in (np.asfortranarray, lambda a: np.repeat(a, 2, axis=1)[:, ::2], lambda a: a[::-1].copy()[::-1]):
        np.testing.assert_allclose(layer(order(x)), y, rtol=1e-10)
        np.testing.assert_allclose(layer.backward(order(dy)), dx, rtol=1e-10, atol=1e-13)


@both
def test_dx_is_not_even_computed_where_nobody_will_use_it(causal, same_sums):
    layer, plain = (randomized(MultiHeadAttention(4, 2, causal)) for _ in range(2))
    x, dy = random(2, 3, 4), random(2, 3, 4, seed=1)
    layer(x), plain(x)
    plain.backward(dy)
    # The values of W_qkv serve dx alone: backward must do without them.
    layer.W_qkv.data = None
    layer.input_gradient = False
    assert layer.backward(dy) is None
    same_sums([p.grad for p in layer.parameters()], [p.grad for p in plain.parameters()])
    assert all(p.grad.any() for p in layer.parameters())
    layer.input_gradient = True
    with pytest.raises((AttributeError, TypeError)):
        layer.backward(dy)


@both
def test_an_empty_batch_gives_an_empty_output_and_no_gradient(causal):
    layer = MultiHeadAttention(4, 2, causal)
    y = layer(np.zeros((0, 3, 4)))
    assert y.shape == (0, 3, 4)
    assert layer.backward(y).shape == (0, 3, 4)
    assert not any(p.grad.any() for p in layer.parameters())


def test_a_block_of_a_transformer_holds_the_contract():
    block = Sequential(
        Residual(LayerNorm(4), MultiHeadAttention(4, 2, causal=True)), Residual(LayerNorm(4), Linear(4, 4))
    )
    check_layer(block, random(1, 3, 4))


# Parameters


def test_arrays_have_the_documented_names_shapes_and_decay():
    parameters = MultiHeadAttention(4, 2).named_parameters()
    shapes = {"W_qkv": (4, 12), "b_qkv": (12,), "W_o": (4, 4), "b_o": (4,)}
    assert {name: p.data.shape for name, p in parameters.items()} == shapes
    assert {name: p.decay for name, p in parameters.items()} == {name: name.startswith("W") for name in shapes}
    assert not parameters["b_qkv"].data.any()
    assert not parameters["b_o"].data.any()


def test_weights_start_glorot_uniform_each_square_with_fans_of_its_own():
    layer = MultiHeadAttention(75, 3, rng=0)
    for W in (*np.split(layer.W_qkv.data, 3, axis=1), layer.W_o.data):
        # √(6 / (75 + 75)), and for the standard deviation of a uniform distribution that over √3.
        assert 0.199 < abs(W).max() <= 0.2 * (1 + 1e-6)
        assert W.std() == pytest.approx(0.2 / math.sqrt(3), rel=0.03)
    again = MultiHeadAttention(75, 3, rng=np.random.default_rng(0))
    seed(0)
    for a, b, c in zip(layer.parameters(), again.parameters(), MultiHeadAttention(75, 3).parameters()):
        assert np.array_equal(a.data, b.data)
        assert np.array_equal(a.data, c.data)


def test_the_number_of_heads_changes_nothing_about_the_parameters():
    x = random(2, 3, 4)
    one, two = MultiHeadAttention(4, 1, rng=0), MultiHeadAttention(4, 2, rng=0)
    assert all(np.array_equal(a.data, b.data) for a, b in zip(one.parameters(), two.parameters()))
    assert not np.allclose(one(x), two(x))


# Errors


@pytest.mark.rows("heads", [4, 0, -2, 12])
def test_heads_that_dont_divide_the_features_are_refused(heads):
    with pytest.raises(ValueError, match=rf"^MultiHeadAttention: expected heads to .*, got {heads}$"):
        MultiHeadAttention(6, heads)


@pytest.mark.rows("heads", [2.0, "2", None])
def test_heads_that_are_no_int_are_refused(heads):
    with pytest.raises(TypeError, match=r"^MultiHeadAttention: expected heads to be an int"):
        MultiHeadAttention(6, heads)


@pytest.mark.rows(("features", "error"), [(0, ValueError), (-4, ValueError), (4.0, TypeError)])
def test_features_that_are_no_count_are_refused(features, error):
    with pytest.raises(error):
        MultiHeadAttention(features, 2)


@both
@pytest.mark.rows("shape", [(4,), (3, 4), (1, 2, 3, 4), (2, 0, 4)])
def test_another_rank_or_no_steps_are_refused_by_the_layer(causal, shape):
    layer = MultiHeadAttention(4, 2, causal)
    with pytest.raises(ValueError) as caught:
        layer(np.zeros(shape))
    assert str(caught.value) == f"{layer!r}: expected x of shape (N, T, 4), got {shape}"


def test_another_number_of_features_is_refused_by_the_layer():
    with pytest.raises(ValueError, match=r"^MultiHeadAttention\(4, 2\): expected x of shape \(.*4\), got \(2, 3, 5\)"):
        MultiHeadAttention(4, 2)(np.zeros((2, 3, 5)))
