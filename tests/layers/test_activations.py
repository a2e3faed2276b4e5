import copy
import math

import numpy as np
import pytest

from minnet import (
    ELU,
    GELU,
    LeakyReLU,
    LogSoftmax,
    PReLU,
    ReLU,
    Sequential,
    Sigmoid,
    SiLU,
    Softmax,
    SoftmaxCrossEntropy,
    Softplus,
    Tanh,
    check_layer,
)

ELEMENTWISE = [
    ReLU(),
    LeakyReLU(),
    LeakyReLU(0.3),
    ELU(),
    ELU(alpha=0.7),
    GELU(),
    GELU("tanh"),
    SiLU(),
    Sigmoid(),
    Tanh(),
    Softplus(),
]
WITHOUT_PARAMETERS = [*ELEMENTWISE, Softmax(), LogSoftmax()]
every_layer = pytest.mark.rows("layer", WITHOUT_PARAMETERS, ids=repr)
SHAPES = [(1,), (4,), (3, 4), (2, 3, 5), (2, 1, 3, 2)]


def frozen(values, dtype=np.float64):
    array = np.array(values, dtype)
    array.flags.writeable = False
    return array


def differences(layer, x, dy, h=1e-6):
    """The gradient of Σ dy · forward(x), by central differences."""
    dx = np.empty_like(x)
    for index in np.ndindex(x.shape):
        above, below = x.copy(), x.copy()
        above[index] += h
        below[index] -= h
        dx[index] = ((layer.forward(above) - layer.forward(below)) * dy).sum() / (2 * h)
    return dx


def test_relu_is_the_positive_part_and_passes_gradients_where_it_is_positive():
    layer = ReLU()
    assert layer(frozen([[-2, -0.5, 0.5, 3]])).tolist() == [[0, 0, 0.5, 3]]
    assert layer.backward(frozen([[1, 2, 3, -4]])).tolist() == [[0, 0, 3, -4]]


@pytest.mark.rows("zero", [0.0, -0.0])
def test_relu_takes_a_slope_between_its_two_at_zero(zero):
    layer = ReLU()
    assert layer(frozen([zero])).tolist() == [0]
    assert 0 <= layer.backward(frozen([1]))[0] <= 1


@every_layer
@pytest.mark.rows("shape", SHAPES)
def test_gradients_agree_with_differences_in_any_rank(layer, shape):
    rng = np.random.default_rng(0)
    x, dy = frozen(rng.normal(size=shape)), frozen(rng.normal(size=shape))
    expected = differences(layer, x, dy)
    y = layer(x)
    y.flags.writeable = False
    dx = layer.backward(dy)
    assert y.shape == dx.shape == shape
    assert np.allclose(dx, expected, rtol=1e-6, atol=1e-8)


@every_layer
@pytest.mark.rows("dtype", [np.float32, np.float64])
def test_float32_and_float64_are_kept(layer, dtype):
    assert layer(frozen([[1, -2, 3]], dtype)).dtype == dtype
    assert layer.backward(frozen([[1, 2, 3]], dtype)).dtype == dtype


@every_layer
def test_integers_become_float32_and_lists_are_arrays(layer):
    assert layer([[1, -2, 3]]).dtype == np.float32
    assert np.allclose(layer(np.array([[1, -2, 3]], np.int8)), layer.forward(np.array([[1.0, -2, 3]])))


@every_layer
def test_the_second_pass_is_like_a_first(layer):
    rng = np.random.default_rng(2)
    x, dy = rng.normal(size=(2, 3)), rng.normal(size=(2, 3))
    layer(rng.normal(size=(5, 4)))
    layer.backward(rng.normal(size=(5, 4)))
    y, dx = layer(x), layer.backward(dy)
    fresh = copy.deepcopy(layer)
    fresh.clear_cache()
    assert np.array_equal(y, fresh(x))
    assert np.array_equal(dx, fresh.backward(dy))


@every_layer
def test_a_non_contiguous_input_gives_the_same(layer):
    rng = np.random.default_rng(3)
    x, dy = rng.normal(size=(4, 3)).T, rng.normal(size=(3, 8))[:, ::2]
    y, dx = layer(x), layer.backward(dy)
    assert np.allclose(layer(x.copy()), y, rtol=1e-14, atol=1e-15)
    assert np.allclose(layer.backward(dy.copy()), dx, rtol=1e-14, atol=1e-15)


# At x = −3, −1, −0.5, 0.5, 1, 2.5, with dy = 1, −2, 3, −4, 5, 0.5.
AS_PYTORCH_GIVES = [
    (
        LeakyReLU(0.3),
        [-0.9, -0.3, -0.15, 0.5, 1, 2.5],
        [0.3, -0.6, 0.9, -4, 5, 0.5],
    ),
    (
        ELU(),
        [-0.95021293163214, -0.63212055882856, -0.39346934028737, 0.5, 1.0, 2.5],
        [0.04978706836786, -0.73575888234288, 1.8195919791379, -4.0, 5.0, 0.5],
    ),
    (
        ELU(0.7),
        [-0.6651490521425, -0.44248439117999, -0.27542853820116, 0.5, 1.0, 2.5],
        [0.0348509478575, -0.51503121764002, 1.27371438539653, -4.0, 5.0, 0.5],
    ),
    (
        GELU(),
        [-0.00404969409489, -0.15865525393146, -0.15426876936299, 0.34573123063701, 0.84134474606854, 2.48447583668556],
        [-0.01194564720418, 0.16663094117537, 0.39751462603151, -3.46998049862465, 5.41657735293843, 0.51880554295407],
    ),
    (
        GELU("tanh"),
        [-0.00363739208177, -0.15880800939172, -0.15428599017486, 0.34571400982514, 0.84119199060828, 2.48491573391],
        [-0.01158416663097, 0.16592816769157, 0.39789028939607, -3.46947961413857, 5.41482041922891, 0.51897578810633],
    ),
    (
        SiLU(),
        [-0.1422776195327, -0.26894142137, -0.18877033439907, 0.31122966560093, 0.73105857863, 2.31035454994689],
        [-0.08810410601517, -0.14465897625703, 0.78011643809204, -2.95984474921061, 4.63835255935743, 0.54970055567076],
    ),
    (
        Sigmoid(),
        [0.04742587317757, 0.26894142137, 0.37754066879815, 0.62245933120185, 0.73105857863, 0.92414181997876],
        [0.04517665973091, -0.39322386648296, 0.70501113660478, -0.94001484880638, 0.98305966620741, 0.03505185827255],
    ),
    (
        Tanh(),
        [-0.99505475368673, -0.76159415595576, -0.46211715726001, 0.46211715726001, 0.76159415595576, 0.98661429815143],
        [0.00986603716544, -0.83994868322805, 2.35934319889778, -3.14579093186371, 2.09987170807013, 0.01329611334158],
    ),
    (
        Softplus(),
        [0.04858735157374, 0.31326168751822, 0.47407698418011, 0.97407698418011, 1.31326168751822, 2.57888973429255],
        [0.04742587317757, -0.53788284273999, 1.13262200639444, -2.48983732480742, 3.65529289315002, 0.46207090998938],
    ),
]


@pytest.mark.rows(("layer", "y", "dx"), AS_PYTORCH_GIVES, ids=[repr(row[0]) for row in AS_PYTORCH_GIVES])
def test_activations_and_their_gradients_have_the_values_that_pytorch_gives(layer, y, dx):
    assert np.allclose(layer(frozen([-3, -1, -0.5, 0.5, 1, 2.5])), y, rtol=0, atol=2e-14)
    assert np.allclose(layer.backward(frozen([1, -2, 3, -4, 5, 0.5])), dx, rtol=0, atol=2e-14)


def test_the_default_arguments_are_those_of_pytorch():
    x = frozen([-2.0])
    assert LeakyReLU()(x).tolist() == [-0.02]
    assert ELU()(x)[0] == pytest.approx(math.exp(-2) - 1)
    assert GELU()(x).tolist() == GELU("none")(x).tolist() != GELU("tanh")(x).tolist()
    assert PReLU().a.data.tolist() == [0.25]


@every_layer
@pytest.mark.rows("shape", [(3,), (2, 1, 3, 2)], ids=str)
def test_every_activation_keeps_the_contract_in_any_rank(layer, shape):
    check_layer(layer, 2 * np.random.default_rng(4).normal(size=shape))


@pytest.mark.rows("layer", [LeakyReLU(), LeakyReLU(-0.5), PReLU(), ELU(0.7)], ids=repr)
@pytest.mark.rows("zero", [0.0, -0.0])
def test_a_slope_between_the_two_is_taken_at_the_kink(layer, zero):
    assert layer(frozen([zero])).tolist() == [0]
    assert min(0.7, getattr(layer, "negative_slope", 0.25)) <= layer.backward(frozen([1]))[0] <= 1


# What the values and the slopes tend to at −10⁴ and at 10⁴.
LIMITS = [
    (ReLU(), [0, 1e4], [0, 1]),
    (LeakyReLU(), [-100, 1e4], [0.01, 1]),
    (PReLU(), [-2500, 1e4], [0.25, 1]),
    (ELU(), [-1, 1e4], [0, 1]),
    (ELU(0.7), [-0.7, 1e4], [0, 1]),
    (GELU(), [0, 1e4], [0, 1]),
    (GELU("tanh"), [0, 1e4], [0, 1]),
    (SiLU(), [0, 1e4], [0, 1]),
    (Sigmoid(), [0, 1], [0, 0]),
    (Tanh(), [-1, 1], [0, 0]),
    (Softplus(), [0, 1e4], [0, 1]),
]


@pytest.mark.rows(("layer", "y", "slopes"), LIMITS, ids=[repr(row[0]) for row in LIMITS])
@pytest.mark.rows("dtype", [np.float32, np.float64])
@pytest.mark.rows("further", [1, 1e26])
def test_inputs_of_ten_thousand_and_more_give_the_limits(layer, y, slopes, dtype, further):
    layer.astype(dtype)
    y = [limit * further if abs(limit) > 1 else limit for limit in y]
    assert np.allclose(layer(frozen([-1e4 * further, 1e4 * further], dtype)), y, rtol=1e-6, atol=0)
    assert np.allclose(layer.backward(frozen([1, 1], dtype)), slopes, rtol=1e-6, atol=0)


@every_layer
@pytest.mark.rows("dtype", [np.float32, np.float64])
def test_nan_stays_and_infinity_is_no_nan_where_a_limit_is_known(layer, dtype):
    assert np.isnan(layer(frozen([[np.nan], [np.nan]], dtype))).all()
    if isinstance(layer, (ReLU, LeakyReLU, ELU, Sigmoid, Tanh, Softplus)):
        assert layer(frozen([np.inf], dtype))[0] == (1 if isinstance(layer, (Sigmoid, Tanh)) else np.inf)


@pytest.mark.rows("layer", ELEMENTWISE, ids=repr)
@pytest.mark.rows("shape", [(0, 3), (300, 257)], ids=str)
def test_many_numbers_have_the_values_of_each_row_and_none_has_none(layer, shape):
    rng = np.random.default_rng(6)
    x, dy = frozen(rng.normal(size=shape), np.float32), frozen(rng.normal(size=shape), np.float32)
    y, dx = layer(x), layer.backward(dy)
    assert y.shape == dx.shape == shape and y.dtype == dx.dtype == np.float32
    for k, row in enumerate(x):
        np.testing.assert_allclose(layer(row), y[k], rtol=1e-6)
        np.testing.assert_allclose(layer.backward(dy[k]), dx[k], rtol=1e-6, atol=1e-6)


@pytest.mark.rows("layer", ELEMENTWISE, ids=repr)
def test_float32_is_right_to_its_own_precision(layer):
    x, dy = np.linspace(-9, 9, 9001, dtype=np.float32), np.linspace(2, -1, 9001, dtype=np.float32)
    y, dx = layer(x), layer.backward(dy)
    np.testing.assert_allclose(y, layer(x.astype(np.float64)), rtol=5e-7, atol=5e-7)
    np.testing.assert_allclose(dx, layer.backward(dy.astype(np.float64)), rtol=5e-7, atol=2e-6)


@every_layer
@pytest.mark.rows("dtype", [np.float32, np.float64])
def test_nothing_overflows_on_the_way_to_the_limits(layer, dtype):
    x = frozen(np.linspace(-1000, 1000, 2001)[:, None] * [1, -0.5, 0], dtype)
    y = layer(x)
    assert np.isfinite(y).all()
    assert np.isfinite(layer.backward(np.ones_like(y))).all()


@every_layer
def test_half_precision_does_not_overflow_at_a_hundred(layer):
    x = frozen([[-100, -10, -7, -3, 0, 3, 7, 10, 100]], np.float16)
    expected = layer(x.astype(np.float64))
    gradient = layer.backward(x.astype(np.float64))
    assert np.allclose(layer(x), expected, rtol=1e-2, atol=1e-2)
    assert np.allclose(layer.backward(x), gradient, rtol=1e-2, atol=5e-2)


def test_small_values_keep_their_digits():
    tiny, low = frozen([-1e-12]), frozen([-50.0])
    # exp(x) − 1 = x + x²/2 + …, and log(1 + exp x) = exp(x) − …, as far as sixteen digits go.
    assert ELU()(tiny)[0] == pytest.approx(-1e-12, rel=1e-11, abs=0)
    assert Softplus()(low)[0] == pytest.approx(math.exp(-50), rel=1e-14, abs=0)
    assert Sigmoid()(low)[0] == pytest.approx(math.exp(-50), rel=1e-14, abs=0)


def test_small_values_keep_their_digits_in_float32():
    x = np.array([-30, -20, -1e-3, -1e-6], np.float32)
    exact = [math.exp(v) for v in x.tolist()]
    assert np.allclose(Sigmoid()(x[:2]), [v / (1 + v) for v in exact[:2]], rtol=4e-7, atol=0)
    assert np.allclose(SiLU()(x[:2]), [-30 * exact[0], -20 * exact[1]], rtol=4e-7, atol=0)
    assert np.allclose(Softplus()(x[:2]), exact[:2], rtol=4e-7, atol=0)
    assert np.allclose(ELU()(x[2:]), [math.expm1(v) for v in x[2:].tolist()], rtol=4e-7, atol=0)


@pytest.mark.rows(("slope", "below"), [(3, -6), (1, -2), (0.5, -1), (0, 0), (-0.5, 1)])
def test_a_leaky_slope_is_that_below_zero_whether_it_is_more_or_less_than_that_above(slope, below):
    layer = LeakyReLU(slope)
    assert layer(frozen([-2, 5])).tolist() == [below, 5]
    assert layer.backward(frozen([1, 1])).tolist() == [slope, 1]


def test_a_leaky_slope_of_zero_gives_zero_for_minus_infinity():
    assert LeakyReLU(0)(frozen([-np.inf, np.inf])).tolist() == [0, np.inf]


def test_elu_has_a_slope_below_zero():
    layer = ELU()
    layer(np.log(frozen([0.5, 0.25])))
    assert np.allclose(layer.backward(frozen([1, 1])), [0.5, 0.25])


def test_the_two_forms_of_gelu_are_close_to_each_other_but_not_the_same():
    x = np.linspace(-6, 6, 201)
    gap = abs(GELU()(x) - GELU("tanh")(x)).max()
    assert 1e-4 < gap < 1e-3


def test_exact_gelu_is_x_times_the_share_of_the_normal_distribution_below_it():
    # 84.13 % of a normal distribution lie below one deviation, 97.725 % below two, 99.865 % below three.
    assert np.allclose(GELU()(frozen([1, 2, 3])), [0.841345, 2 * 0.977250, 3 * 0.998650], atol=2e-6)


@pytest.mark.rows("word", ["Tanh", "", None, True, "quick"])
def test_gelu_knows_two_words_only(word):
    with pytest.raises(ValueError, match=r'GELU: expected approximate to be "none" or "tanh", got'):
        GELU(word)


def test_sigmoid_gives_probabilities_and_is_kept_from_a_loss_that_takes_scores():
    assert Sigmoid().gives_probabilities
    with pytest.raises(ValueError, match=r"Sigmoid\(\) in front of SoftmaxCrossEntropy\(\)"):
        Sequential(Sigmoid(), SoftmaxCrossEntropy())


# PReLU


def test_prelu_has_the_values_that_pytorch_gives_with_a_slope_for_each_feature():
    layer = PReLU(2).astype(np.float64)
    layer.a.data[:] = [0.1, 0.6]
    # PyTorch gives these.
    assert np.allclose(layer(frozen([[1, -2], [-0.5, 3]])), [[1, -1.2], [-0.05, 3]])
    assert np.allclose(layer.backward(frozen([[1, 2], [3, -4]])), [[1, 1.2], [0.3, -4]])
    assert np.allclose(layer.a.grad, [-1.5, -4])


def test_prelu_has_the_values_that_pytorch_gives_with_one_slope_for_all():
    layer = PReLU().astype(np.float64)
    layer.a.data[:] = 0.3
    # PyTorch gives these.
    assert np.allclose(layer(frozen([[1, -2], [-0.5, 3]])), [[1, -0.6], [-0.15, 3]])
    assert np.allclose(layer.backward(frozen([[1, 2], [3, -4]])), [[1, 0.6], [0.9, -4]])
    assert np.allclose(layer.a.grad, [-5.5])


@pytest.mark.rows("features, shape", [(1, (2, 1, 2, 3)), (3, (3,)), (3, (1, 3)), (3, (2, 1, 2, 3))], ids=str)
def test_prelu_keeps_the_contract(features, shape):
    check_layer(PReLU(features), np.random.default_rng(5).normal(size=shape))


def test_prelu_has_one_undecayed_parameter_and_computes_in_its_dtype():
    layer = PReLU(4)
    assert {name: p.data.shape for name, p in layer.named_parameters().items()} == {"a": (4,)}
    assert not layer.a.decay
    assert layer(np.ones((2, 4))).dtype == np.float32
    assert layer.backward(np.ones((2, 4), np.float32)).dtype == np.float32
    assert layer.a.grad.dtype == np.float32
    assert PReLU().astype(np.float64)(np.ones((2, 4), np.float32)).dtype == np.float64


def test_prelu_with_one_slope_takes_any_number_of_features():
    assert PReLU()(frozen([[-4, 2, -8]])).tolist() == [[-1, 2, -2]]


@pytest.mark.rows("shape", [(4,), (2, 4), (3, 2), (3, 1), ()], ids=str)
def test_prelu_with_several_slopes_refuses_other_features_by_name(shape):
    with pytest.raises(ValueError, match=r"PReLU\(3\): expected x of shape \(\.\.\., 3\), got"):
        PReLU(3)(np.ones(shape))


@pytest.mark.rows(("features", "kind"), [(0, ValueError), (-1, ValueError), (1.5, TypeError), ("2", TypeError)])
def test_prelu_refuses_a_bad_number_of_features(features, kind):
    with pytest.raises(kind):
        PReLU(features)


def test_prelu_adds_its_gradients_up_over_two_steps():
    layer = PReLU()
    layer(frozen([-1, 2], np.float32)), layer.backward(frozen([3, 4], np.float32))
    layer.a.data -= 0.05
    # The second step has the slope 0.2.
    assert np.allclose(layer(frozen([-10, -20], np.float32)), [-2, -4])
    assert np.allclose(layer.backward(frozen([1, 1], np.float32)), [0.2, 0.2])
    assert np.allclose(layer.a.grad, [-3 - 10 - 20])
