import copy
import itertools
import math
import re

import numpy as np
import pytest

from minnet import (
    SGD,
    Adam,
    Batches,
    BinaryCrossEntropy,
    Huber,
    Layer,
    Linear,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
    MulticlassHinge,
    Sequential,
    Softmax,
    SoftmaxCrossEntropy,
    check_layer,
    evaluate,
    fit,
    predict,
)


def frozen(values, dtype=np.float64):
    array = np.array(values, dtype)
    array.flags.writeable = False
    return array


def differences(loss, scores, *rest, h=1e-6):
    """The gradient of the value that the loss reports."""
    gradient = np.empty_like(scores)
    for index in np.ndindex(scores.shape):
        above, below = scores.copy(), scores.copy()
        above[index] += h
        below[index] -= h
        gradient[index] = (loss.forward(above, *rest) - loss.forward(below, *rest)) / (2 * h)
    return gradient


SCORES = frozen([[1, 2, 3, 5], [4, 5.5, 2, 3], [0.5, -1, 2, 0.25]])
LABELS = frozen([3, 1, 0], np.int64)
SHARES = frozen([[0.1, 0.2, 0.3, 0.4], [0, 1, 0, 0], [0.25, 0.25, 0.5, 0]])
WEIGHT = [0.5, 2.0, 1.0, 3.0]

# Every loss, and a target for SCORES.
LOSSES = [
    (SoftmaxCrossEntropy(), LABELS),
    (SoftmaxCrossEntropy(), SHARES),
    (SoftmaxCrossEntropy(WEIGHT, label_smoothing=0.1, ignore_index=1), LABELS),
    (MulticlassHinge(), LABELS),
    (MulticlassHinge(2.25), LABELS),
    (MeanSquaredError(), SHARES),
    (MeanAbsoluteError(), SHARES),
    (Huber(), SHARES),
    (Huber(delta=2.75), SHARES),
    (BinaryCrossEntropy(), SHARES),
    (BinaryCrossEntropy(pos_weight=3.0), SHARES),
    (BinaryCrossEntropy(WEIGHT), SHARES),
]
ELEMENTWISE = MeanSquaredError, MeanAbsoluteError, Huber, BinaryCrossEntropy
every_loss = pytest.mark.rows(("loss", "target"), LOSSES)
every_elementwise_loss = pytest.mark.rows(
    ("loss", "target"), [(loss, target) for loss, target in LOSSES if isinstance(loss, ELEMENTWISE)]
)


# Values of the losses that compare entry by entry

X = frozen([[0.5, -1.5], [2, 3], [-0.25, 0]])
YES = frozen([[1, 0], [0, 1], [1, 1]])
MAYBE = frozen([[0.9, 0.2], [0.5, 1], [0, 0.35]])
Y = frozen([[0.3, -2.1], [4, 1.25], [-0.6, 7]])
TRUTH = frozen([[0.7, -2], [1, 1.5], [-0.6, -3]])
POSITIONS = frozen([[1, 0], [2, 0.5], [0, 3]])

# PyTorch gives these: prediction, target, weights, loss, gradient row by row. The weights multiply its unreduced
# losses, and the sum is divided by the sum of the weights, each counted once for every entry that it weighs.
PYTORCH = [
    (
        BinaryCrossEntropy(),
        X,
        YES,
        None,
        0.7283487042030604,
        [-0.0629234447997, 0.0304042539677, 0.146799512996, -0.00790431219626, -0.093696083481, -0.0833333333333],
    ),
    (
        BinaryCrossEntropy(),
        X,
        YES,
        [1, 0.5, 3],
        0.7022786383097314,
        [-0.0419489631998, 0.0202695026452, 0.0489331709988, -0.00263477073209, -0.187392166962, -0.166666666667],
    ),
    (
        BinaryCrossEntropy(),
        X,
        MAYBE,
        None,
        0.5783487042030604,
        [-0.046256778133, -0.00292907936561, 0.063466179663, -0.00790431219626, 0.0729705831857, 0.025],
    ),
    (
        BinaryCrossEntropy(),
        X,
        MAYBE,
        [1, 0.5, 3],
        0.6022786383097315,
        [-0.0308378520887, -0.00195271957707, 0.021155393221, -0.00263477073209, 0.145941166371, 0.05],
    ),
    (
        BinaryCrossEntropy(3.0),
        X,
        YES,
        None,
        1.4089323496006063,
        [-0.188770334399, 0.0304042539677, 0.146799512996, -0.0237129365888, -0.281088250443, -0.25],
    ),
    (
        BinaryCrossEntropy(3.0),
        X,
        YES,
        [1, 0.5, 3],
        1.8257520741504745,
        [-0.125846889599, 0.0202695026452, 0.0489331709988, -0.00790431219626, -0.562176500886, -0.5],
    ),
    (
        BinaryCrossEntropy(3.0),
        X,
        MAYBE,
        None,
        0.9522169747530121,
        [-0.159518978772, -0.0574340444452, 0.0435990259926, -0.0237129365888, 0.0729705831857, -0.0333333333333],
    ),
    (
        BinaryCrossEntropy(3.0),
        X,
        MAYBE,
        [1, 0.5, 3],
        0.9468968959751098,
        [-0.106345985848, -0.0382893629635, 0.0145330086642, -0.00790431219626, 0.145941166371, -0.0666666666667],
    ),
    (
        BinaryCrossEntropy([0.5, 2.0]),
        X,
        YES,
        None,
        0.7436364258870958,
        [-0.0314617223998, 0.0304042539677, 0.146799512996, -0.0158086243925, -0.0468480417405, -0.166666666667],
    ),
    (
        BinaryCrossEntropy([0.5, 2.0]),
        X,
        YES,
        [1, 0.5, 3],
        0.7720328155939967,
        [-0.0209744815999, 0.0202695026452, 0.0489331709988, -0.00526954146417, -0.093696083481, -0.333333333333],
    ),
    (
        BinaryCrossEntropy([0.5, 2.0]),
        X,
        YES,
        POSITIONS,
        1.338209992170679,
        [-0.0290415899075, 0, 0.271014485532, -0.00729628818116, 0, -0.461538461538],
    ),
    (
        BinaryCrossEntropy([0.5, 2.0]),
        X,
        MAYBE,
        None,
        0.6427495166571409,
        [-0.0179412279732, -0.0301815619054, 0.0684329680806, -0.0158086243925, 0.0729705831857, -0.00416666666667],
    ),
    (
        BinaryCrossEntropy([0.5, 2.0]),
        X,
        MAYBE,
        [1, 0.5, 3],
        0.6981875523886143,
        [-0.0119608186488, -0.0201210412703, 0.0228109893602, -0.00526954146417, 0.145941166371, -0.00833333333333],
    ),
    (
        BinaryCrossEntropy([0.5, 2.0]),
        X,
        MAYBE,
        POSITIONS,
        0.8241488908776982,
        [-0.0165611335137, 0, 0.126337787226, -0.00729628818116, 0, -0.0115384615385],
    ),
    (
        MeanSquaredError(),
        Y,
        TRUTH,
        None,
        18.205416666666668,
        [-0.133333333333, -0.0333333333333, 1, -0.0833333333333, 0, 3.33333333333],
    ),
    (
        MeanSquaredError(),
        Y,
        TRUTH,
        [1, 0.5, 3],
        33.855694444444445,
        [-0.0888888888889, -0.0222222222222, 0.333333333333, -0.0277777777778, 0, 6.66666666667],
    ),
    (
        MeanSquaredError(),
        Y,
        TRUTH,
        POSITIONS,
        48.9525,
        [-0.123076923077, 0, 1.84615384615, -0.0384615384615, 0, 9.23076923077],
    ),
    (
        MeanAbsoluteError(),
        Y,
        TRUTH,
        None,
        2.2916666666666665,
        [-0.166666666667, -0.166666666667, 0.166666666667, -0.166666666667, 0, 0.166666666667],
    ),
    (
        MeanAbsoluteError(),
        Y,
        TRUTH,
        [1, 0.5, 3],
        3.5694444444444446,
        [-0.111111111111, -0.111111111111, 0.0555555555556, -0.0555555555556, 0, 0.333333333333],
    ),
    (
        MeanAbsoluteError(),
        Y,
        TRUTH,
        POSITIONS,
        5.619230769230769,
        [-0.153846153846, 0, 0.307692307692, -0.0769230769231, 0, 0.461538461538],
    ),
    (
        Huber(),
        Y,
        TRUTH,
        None,
        2.019375,
        [-0.0666666666667, -0.0166666666667, 0.166666666667, -0.0416666666667, 0, 0.166666666667],
    ),
    (
        Huber(),
        Y,
        TRUTH,
        [1, 0.5, 3],
        3.3167361111111107,
        [-0.0444444444444, -0.0111111111111, 0.0555555555556, -0.0138888888889, 0, 0.333333333333],
    ),
    (
        Huber(),
        Y,
        TRUTH,
        POSITIONS,
        5.168557692307692,
        [-0.0615384615385, 0, 0.307692307692, -0.0192307692308, 0, 0.461538461538],
    ),
    (
        Huber(0.35),
        Y,
        TRUTH,
        None,
        0.7570833333333332,
        [-0.0583333333333, -0.0166666666667, 0.0583333333333, -0.0416666666667, 0, 0.0583333333333],
    ),
    (
        Huber(0.35),
        Y,
        TRUTH,
        [1, 0.5, 3],
        1.2122222222222223,
        [-0.0388888888889, -0.0111111111111, 0.0194444444444, -0.0138888888889, 0, 0.116666666667],
    ),
    (
        Huber(0.35),
        Y,
        TRUTH,
        POSITIONS,
        1.9058653846153844,
        [-0.0538461538462, 0, 0.107692307692, -0.0192307692308, 0, 0.161538461538],
    ),
    (
        Huber(20.0),
        Y,
        TRUTH,
        None,
        9.102708333333334,
        [-0.0666666666667, -0.0166666666667, 0.5, -0.0416666666667, 0, 1.66666666667],
    ),
]


@pytest.mark.rows(("loss", "y", "target", "sample_weight", "value", "gradient"), PYTORCH)
def test_a_loss_and_its_gradient_have_the_values_that_pytorch_gives(loss, y, target, sample_weight, value, gradient):
    assert loss(y, target, sample_weight) == pytest.approx(value, rel=1e-12)
    assert np.allclose(loss.backward().reshape(-1), gradient, rtol=0, atol=1e-11)


def test_mean_squared_error_has_the_values_computed_by_hand():
    y, t = frozen([[1, 2], [3, 4.5]]), frozen([[0, 2.5], [1, 4]])  # errors 1, −1/2, 2, 1/2
    loss = MeanSquaredError()
    assert loss(y, t) == (1 + 0.25 + 4 + 0.25) / 4
    assert loss.backward().tolist() == [[0.5, -0.25], [1.0, 0.25]]
    assert loss(y, t, [1, 3]) == 1.75
    assert loss.backward().tolist() == [[0.25, -0.125], [1.5, 0.375]]


def test_mean_absolute_error_has_the_values_computed_by_hand():
    y, t = frozen([[1, 2], [3, 4.5]]), frozen([[0, 2.5], [1, 4]])
    loss = MeanAbsoluteError()
    assert loss(y, t) == (1 + 0.5 + 2 + 0.5) / 4
    assert loss.backward().tolist() == [[0.25, -0.25], [0.25, 0.25]]
    assert loss(y, t, [1, 3]) == 1.125
    assert loss.backward().tolist() == [[0.125, -0.125], [0.375, 0.375]]


def test_huber_has_the_values_computed_by_hand():
    y, t = frozen([[1, 2], [3, 4.5]]), frozen([[0, 2.5], [1, 4]])
    loss = Huber()
    assert loss(y, t) == (0.5 + 0.125 + 1.5 + 0.125) / 4
    assert loss.backward().tolist() == [[0.25, -0.125], [0.25, 0.125]]
    loss = Huber(delta=0.75)  # ¾ (1 − ⅜), ⅛, ¾ (2 − ⅜), ⅛
    assert loss(y, t) == (0.46875 + 0.125 + 1.21875 + 0.125) / 4
    assert loss.backward().tolist() == [[0.1875, -0.125], [0.1875, 0.125]]


def test_binary_cross_entropy_has_the_values_computed_by_hand():
    loss = BinaryCrossEntropy()
    # σ(log 3) is ¾; the two answers cost −log ¾ and −log ¼, half yes costs the mean of both.
    assert loss(frozen([math.log(3)]), [1]) == pytest.approx(math.log(4 / 3), rel=1e-14)
    assert loss.backward() == pytest.approx([-0.25], rel=1e-14)
    assert loss(frozen([math.log(3)]), [0]) == pytest.approx(math.log(4), rel=1e-14)
    assert loss.backward() == pytest.approx([0.75], rel=1e-14)
    assert loss(frozen([math.log(3)]), [0.5]) == pytest.approx(math.log(16 / 3) / 2, rel=1e-14)
    assert loss.backward() == pytest.approx([0.25], rel=1e-14)
    assert loss(frozen([0, 0]), [1, 0]) == pytest.approx(math.log(2), rel=1e-14)
    assert loss.backward().tolist() == [-0.25, 0.25]


def test_what_a_yes_counts_does_not_change_what_a_no_counts():
    scores = frozen([[math.log(3), -math.log(3)], [math.log(3), -math.log(3)]])
    loss = BinaryCrossEntropy([2, 5])
    value = loss(scores, [[1, 1], [0, 0]])
    assert value == pytest.approx(
        (2 * math.log(4 / 3) + 5 * math.log(4) + math.log(4) + math.log(4 / 3)) / 4, rel=1e-14
    )
    assert np.allclose(4 * loss.backward(), [[-0.5, -3.75], [0.75, 0.25]], rtol=1e-14, atol=1e-15)
    loss = BinaryCrossEntropy(0)
    assert loss(scores, [[1, 1], [1, 1]]) == 0.0
    assert not loss.backward().any()


def test_huber_with_a_large_delta_is_half_the_squared_error_and_with_a_small_one_delta_times_the_absolute():
    assert Huber(1e6)(Y, TRUTH) == pytest.approx(MeanSquaredError()(Y, TRUTH) / 2, rel=1e-12)
    assert Huber(1e-9)(Y, TRUTH) == pytest.approx(1e-9 * MeanAbsoluteError()(Y, TRUTH), rel=1e-8)


@pytest.mark.rows("e", [1.5, -1.5])
def test_huber_is_smooth_where_its_two_parts_meet(e):
    loss = Huber(1.5)
    values, slopes = [], []
    for nudge in (1 - 1e-9, 1, 1 + 1e-9):
        values.append(loss(frozen([e * nudge]), [0.0]))
        slopes.append(loss.backward()[0])
    assert values == pytest.approx([1.125] * 3, rel=1e-8)
    assert slopes == pytest.approx([e] * 3, rel=1e-8)


def test_where_nothing_is_wrong_the_slope_is_zero():
    for loss in (MeanSquaredError(), MeanAbsoluteError(), Huber()):
        assert loss(TRUTH, TRUTH) == 0.0
        assert loss.backward().tolist() == [[0, 0], [0, 0], [0, 0]]


# Predictions


def test_the_prediction_of_a_regression_is_its_input():
    for loss in (MeanSquaredError(), MeanAbsoluteError(), Huber()):
        assert loss(SCORES).tolist() == SCORES.tolist()


def test_the_prediction_of_binary_cross_entropy_is_the_probability_of_yes():
    for loss in (BinaryCrossEntropy(), BinaryCrossEntropy(pos_weight=[7, 8])):
        p = loss(frozen([[0, math.log(3)], [-math.log(4), math.log(9)]]))
        assert np.allclose(p, [[0.5, 0.75], [0.2, 0.9]], rtol=1e-14, atol=1e-15)


@every_loss
def test_the_prediction_leaves_no_cache_behind(loss, target):
    loss(SCORES, target)
    loss(SCORES)
    with pytest.raises(RuntimeError, match=r"\): backward before forward"):
        loss.backward()


# Extreme numbers


@pytest.mark.rows("dtype", [np.float32, np.float64])
@pytest.mark.rows(
    ("loss", "target", "value", "slope"),
    [
        (MeanSquaredError(), -1e4, 4e8, 4e4),
        (MeanAbsoluteError(), -1e4, 2e4, 1),
        (Huber(), -1e4, 19_999.5, 1),
        (Huber(2.0), -1e4, 39_998, 2),
        (Huber(32_768.0), -1e4, 2e8, 2e4),
        (BinaryCrossEntropy(), 1, 0, 0),
        (BinaryCrossEntropy(), 0, 10_000, 1),
        (BinaryCrossEntropy(), 0.25, 7_500, 0.75),
        (BinaryCrossEntropy(3), 1, 0, 0),
        (BinaryCrossEntropy(3), 0.25, 7_500, 0.75),
    ],
)
def test_scores_of_ten_thousand_give_exact_values(loss, target, value, slope, dtype):
    assert loss(frozen([1e4], dtype), [target]) == value
    assert loss.backward().tolist() == [slope]
    assert loss.backward().dtype == dtype


@pytest.mark.rows("dtype", [np.float32, np.float64])
@pytest.mark.rows("x", [800.0, 1e4])
def test_scores_far_below_zero_give_exact_values(x, dtype):
    plain, heavy = BinaryCrossEntropy(), BinaryCrossEntropy([3])
    for loss, target, value, slope in [
        (plain, 1, x, -1),
        (plain, 0, 0, 0),
        (plain, 0.25, x / 4, -0.25),
        (heavy, 1, 3 * x, -3),
        (heavy, 0, 0, 0),
        (heavy, 0.25, 3 * x / 4, -0.75),
    ]:
        assert loss(frozen([-x], dtype), [target]) == value
        assert loss.backward().tolist() == [slope]
    assert plain(frozen([-x, x], dtype)).tolist() == [0, 1]
    for loss in (MeanAbsoluteError(), Huber()):
        loss(frozen([-x], dtype), [x])
        assert loss.backward().tolist() == [-1]


def test_small_losses_keep_their_digits():
    loss = BinaryCrossEntropy()
    for x in (20.0, 40.0, 700.0):
        # log(1 + e⁻ˣ) is e⁻ˣ up to a relative e⁻ˣ/2; a small constant in the logarithm would drown it.
        assert loss(frozen([x]), [1]) == pytest.approx(math.exp(-x), rel=2e-9)
        assert loss.backward() == pytest.approx([-math.exp(-x)], rel=4e-9)
        assert loss(frozen([-x]), [0]) == pytest.approx(math.exp(-x), rel=2e-9)
        assert loss.backward() == pytest.approx([math.exp(-x)], rel=4e-9)
    assert Huber()(frozen([1e-9]), [0]) == pytest.approx(5e-19, rel=1e-12)


@every_loss
def test_what_is_not_a_number_is_not_hidden(loss, target):
    scores = SCORES.copy()
    scores[0, 1] = np.nan
    assert math.isnan(loss(scores, target))


# The gradient is that of the value


@every_loss
@pytest.mark.rows("sample_weight", [None, [1, 0.5, 3], [0, 2, 0]])
def test_the_gradient_is_that_of_the_value_reported(loss, target, sample_weight):
    expected = differences(loss, SCORES, target, sample_weight)
    loss(SCORES, target, sample_weight)
    assert np.allclose(loss.backward(), expected, rtol=1e-6, atol=1e-8)


@every_elementwise_loss
def test_the_gradient_is_that_of_the_value_where_each_entry_has_a_weight(loss, target):
    sample_weight = np.arange(12.0).reshape(3, 4)
    expected = differences(loss, SCORES, target, sample_weight)
    loss(SCORES, target, sample_weight)
    assert np.allclose(loss.backward(), expected, rtol=1e-6, atol=1e-8)


RANKS = [(4,), (3, 4), (2, 3, 4), (2, 1, 3, 4)]
OPTIONS = [
    *(SoftmaxCrossEntropy(*options) for options in itertools.product([None, WEIGHT], [0.0, 0.2, 1.0], [None, 1])),
    *map(MulticlassHinge, [0.0, 1.0, 2.5]),
    MeanSquaredError(),
    MeanAbsoluteError(),
    *map(Huber, [0.1, 1.0, 10.0]),
    *map(BinaryCrossEntropy, [None, 3.0, 0.0, WEIGHT]),
]


def targets(loss, shape):
    """Whatever kinds of targets a loss takes: labels, probabilities of classes, of a yes, or numbers."""
    rng = np.random.default_rng(3)
    labels, numbers = rng.integers(0, shape[-1], shape[:-1]), rng.normal(size=shape)
    if isinstance(loss, SoftmaxCrossEntropy):
        return [labels, rng.dirichlet(np.ones(shape[-1]), shape[:-1])]
    if isinstance(loss, MulticlassHinge):
        return [labels]
    return [rng.integers(0, 2, shape), rng.uniform(size=shape)] if isinstance(loss, BinaryCrossEntropy) else [numbers]


def weights(loss, shape):
    """No weights, one for each sample, and one for each position, some of them zero."""
    positions = shape if isinstance(loss, ELEMENTWISE) else shape[:-1]
    drawn = np.random.default_rng(4).integers(0, 3, positions) / 2
    return [(), (drawn[(slice(None), *(0,) * (drawn.ndim - 1))],), (drawn,)] if positions else [()]


def calls(loss, shape):
    """What a loss can be called with: scores, a target and perhaps weights."""
    scores = np.random.default_rng(5).normal(size=shape)
    return [(scores, target, *rest) for target in targets(loss, shape) for rest in weights(loss, shape)]


@pytest.mark.rows("i, loss", list(enumerate(OPTIONS)))
def test_check_layer_finds_nothing_wrong_with_any_option(i, loss):
    """Each with another rank; and of all the calls of a rank, with two."""
    some = calls(loss, RANKS[i % len(RANKS)])
    check_layer(loss, *some[i % len(some)])
    check_layer(loss, *some[-1])


@pytest.mark.long
@pytest.mark.rows("shape", RANKS, ids=str)
@pytest.mark.rows("loss", OPTIONS, ids=repr)
def test_check_layer_finds_nothing_wrong_with_any_option_target_weight_and_rank(loss, shape):
    for inputs in calls(loss, shape):
        check_layer(loss, *inputs)


# Means and weights


@every_loss
def test_a_loss_is_a_python_float_and_a_mean(loss, target):
    value, gradient = loss(SCORES, target), loss.backward()
    assert type(value) is float
    assert type(loss(SCORES.astype(np.float32), target)) is float
    assert loss(np.tile(SCORES, (4, 1)), np.concatenate([target] * 4)) == pytest.approx(value, rel=1e-12)
    assert np.allclose(4 * loss.backward()[:3], gradient, rtol=1e-12, atol=1e-15)


@every_loss
def test_a_sample_weight_of_two_is_as_good_as_the_sample_twice(loss, target):
    value, gradient = loss(SCORES, target, [2, 1, 0]), loss.backward()
    twice = [0, 0, 1]
    assert value == pytest.approx(loss(SCORES[twice], target[twice]), rel=1e-12)
    rows = loss.backward()
    assert np.allclose(gradient, [rows[0] + rows[1], rows[2], [0] * 4], rtol=1e-12, atol=1e-17)


@every_loss
def test_the_weights_matter_only_in_proportion(loss, target):
    value, gradient = loss(SCORES, target, [1, 2, 3]), loss.backward()
    for scale in (10, 1e-30, 1e30):
        assert loss(SCORES, target, np.array([1, 2, 3]) * scale) == pytest.approx(value, rel=1e-13)
        assert np.allclose(loss.backward(), gradient, rtol=1e-13, atol=1e-17)


@every_loss
def test_equal_weights_are_none(loss, target):
    value, gradient = loss(SCORES, target), loss.backward()
    assert loss(SCORES, target, [0.7, 0.7, 0.7]) == pytest.approx(value, rel=1e-13)
    assert np.allclose(loss.backward(), gradient, rtol=1e-13, atol=1e-17)


@every_loss
def test_a_weight_for_each_position_is_one_for_each_row(loss, target):
    scores, t = SCORES.reshape(1, 3, 4), target[None]
    assert loss(scores, t, [[1, 0.5, 3]]) == pytest.approx(loss(SCORES, target, [1, 0.5, 3]), rel=1e-13)
    expected = loss.backward()
    loss(scores, t, [[1, 0.5, 3]])
    assert np.allclose(loss.backward()[0], expected, rtol=1e-13, atol=1e-15)
    assert loss(scores, t, [5]) == pytest.approx(loss(SCORES, target), rel=1e-13)


@pytest.mark.rows("loss", [kind() for kind in ELEMENTWISE] + [BinaryCrossEntropy(3.0)], ids=repr)
def test_a_weight_for_each_entry_can_leave_entries_out(loss):
    value, gradient = loss(SCORES, SHARES, [[0, 0, 1, 0], [0, 0, 0, 0], [0, 0, 1, 0]]), loss.backward()
    assert value == pytest.approx(loss(SCORES[[0, 2], 2], SHARES[[0, 2], 2]), rel=1e-13)
    assert np.allclose(gradient[[0, 2], 2], loss.backward(), rtol=1e-13, atol=1e-15)
    assert np.count_nonzero(gradient) == 2


@every_loss
@pytest.mark.rows("dtype", [bool, np.int64, np.uint8, np.float32])
def test_weights_may_be_of_any_real_dtype(loss, target, dtype):
    assert loss(SCORES, target, np.array([1, 0, 1], dtype)) == loss(SCORES, target, [1.0, 0.0, 1.0])


@every_loss
def test_a_batch_whose_weights_are_all_zero_gives_zero(loss, target):
    assert loss(SCORES, target, [0, 0, 0]) == 0.0
    assert loss.backward().tolist() == np.zeros((3, 4)).tolist()


@every_loss
def test_an_empty_batch_gives_zero(loss, target):
    assert loss(SCORES[:0], target[:0]) == 0.0
    assert loss.backward().shape == (0, 4)
    assert loss(SCORES[:0]).shape == (0, 4)


@pytest.mark.rows(
    ("loss", "target", "plain", "weighted"),
    [  # with weights of 1, 0.5 and 3; the class weights of the labels 3, 1, 0 are 3, 2 and 0.5
        (SoftmaxCrossEntropy(), LABELS, 3, 4.5),
        (SoftmaxCrossEntropy(WEIGHT), LABELS, 5.5, 5.5),
        (SoftmaxCrossEntropy(WEIGHT, 0.1, 1), LABELS, 3.5, 4.5),
        (SoftmaxCrossEntropy(WEIGHT), SHARES, 3, 4.5),
        (MulticlassHinge(), LABELS, 3, 4.5),
        (MeanSquaredError(), SHARES, 12, 18),
        (MeanAbsoluteError(), SHARES, 12, 18),
        (Huber(), SHARES, 12, 18),
        (BinaryCrossEntropy(WEIGHT), SHARES, 12, 18),
    ],
)
def test_the_total_weight_is_what_the_sum_was_divided_by(loss, target, plain, weighted):
    loss(SCORES, target)
    assert loss.total_weight() == plain
    loss(SCORES, target, [1, 0.5, 3])
    assert loss.total_weight() == weighted


@pytest.mark.rows(
    ("loss", "target", "sample_weight", "value", "gradient", "total"),
    [
        # Errors 1, −1/2, 2, 1/2; the samples weigh 1 and 3, and there are four entries.
        (MeanSquaredError, [[0, 2.5], [1, 4]], [1, 3], 14 / 4, [[0.5, -0.25], [3, 0.75]], 4),
        (MeanAbsoluteError, [[0, 2.5], [1, 4]], [1, 3], 9 / 4, [[0.25, -0.25], [0.75, 0.75]], 4),
        (Huber, [[0, 2.5], [1, 4]], [1, 3], 5.5 / 4, [[0.25, -0.125], [0.75, 0.375]], 4),
        # The right scores lack 2 and lead by 1.5 of a margin of 1.
        (MulticlassHinge, [0, 1], [4, 3], 4, [[-2, 2], [0, 0]], 2),
    ],
)
def test_a_mean_over_samples_has_the_values_computed_by_hand(loss, target, sample_weight, value, gradient, total):
    loss = loss(mean_over="samples")
    assert loss(frozen([[1, 2], [3, 4.5]]), target, sample_weight) == value
    assert loss.backward().tolist() == gradient
    assert loss.total_weight() == total


def test_probabilities_of_one_half_have_the_mean_over_samples_computed_by_hand():
    # Each target costs log 2 times its weights.
    loss = BinaryCrossEntropy(5.0, mean_over="samples")
    assert loss(np.zeros((2, 2)), [[1, 0], [0, 0]], [1, 3]) == pytest.approx(12 / 4 * math.log(2), rel=1e-14)
    assert loss.backward().tolist() == [[-2.5 / 4, 0.5 / 4], [1.5 / 4, 1.5 / 4]]
    loss = SoftmaxCrossEntropy([1, 5], mean_over="samples", ignore_index=7)
    assert loss(np.zeros((4, 2)), [0, 1, 7, 0], [2, 3, 100, 1]) == pytest.approx(18 / 3 * math.log(2), rel=1e-14)
    expected = [[-1 / 3, 1 / 3], [7.5 / 3, -7.5 / 3], [0, 0], [-0.5 / 3, 0.5 / 3]]
    assert np.allclose(loss.backward(), expected, rtol=1e-14, atol=0)
    assert loss.total_weight() == 3
    assert loss(np.zeros((2, 2)), [[1, 0], [0.5, 0.5]], [2, 4]) == pytest.approx(14 / 2 * math.log(2), rel=1e-14)
    assert loss.total_weight() == 2


def remade(loss, **options):
    """The loss, made with further options."""
    args, kwargs = loss._arguments
    return type(loss)(*args, **kwargs, **options)


@every_loss
def test_a_mean_over_samples_is_the_mean_over_weights_times_their_mean(loss, target):
    other = remade(loss, mean_over="samples")
    for weights in ([], [[1, 0.5, 3]], [[0, 0, 2]]):
        value, gradient, total = loss(SCORES, target, *weights), loss.backward(), loss.total_weight()
        count = target.size if target.ndim == 1 or isinstance(loss, ELEMENTWISE) else 3
        count -= getattr(loss, "ignore_index", None) is not None
        assert other(SCORES, target, *weights) * count == pytest.approx(value * total, rel=1e-12)
        assert np.allclose(other.backward() * count, gradient * total, rtol=1e-12, atol=1e-15)
        assert other.total_weight() == count
    check_layer(other, SCORES, target, np.array([1, 0.5, 3]))


@every_loss
def test_in_batches_of_one_weights_count_in_a_mean_over_samples_only(loss, target):
    batch = SCORES[2:], target[2:]
    assert loss(*batch, [100]) == pytest.approx(loss(*batch), rel=1e-12)
    over_samples = remade(loss, mean_over="samples")
    assert over_samples(*batch, [100]) == pytest.approx(100 * over_samples(*batch), rel=1e-12) != 0


@every_loss
def test_evaluation_in_uneven_batches_gives_the_mean_over_all_samples(loss, target):
    loss, s = remade(loss, mean_over="samples"), np.array([1, 0.5, 3])
    batches = [(SCORES[:1], target[:1], s[:1]), (SCORES[1:], target[1:], s[1:])]
    assert evaluate(Sequential(loss), batches)["loss"] == pytest.approx(loss(SCORES, target, s), rel=1e-12)


@pytest.mark.rows("loss", sorted({type(loss) for loss, _ in LOSSES}, key=lambda kind: kind.__name__))
@pytest.mark.rows("word", ["sum", "Samples", "", None, True, 2, ["samples"], np.ones(2)])
def test_a_mean_over_anything_else_is_refused(loss, word):
    with pytest.raises(ValueError, match=f"{loss.__name__}: expected mean_over to be 'weights' or 'samples', got "):
        loss(mean_over=word)
    with pytest.raises(TypeError, match="positional"):
        loss(*[None] * 4, "samples")


def test_the_repr_of_a_loss_says_what_its_mean_is_over():
    assert repr(MeanSquaredError(mean_over="samples")) == "MeanSquaredError(mean_over='samples')"
    assert repr(Huber(0.5, mean_over="weights")) == "Huber(0.5, mean_over='weights')"


@pytest.mark.rows("kind", [MeanSquaredError, MeanAbsoluteError])
def test_a_subclass_with_an_init_of_its_own_has_a_mean_over_weights(kind):
    class Own(kind):
        def __init__(self):
            self.scale = 2.0

    assert Own()([[1.0], [2.0]], [[0.0], [0.0]], [3, 0]) == 1.0


@every_loss
def test_evaluation_in_uneven_batches_gives_the_loss_of_all(loss, target):
    batches = [(SCORES[:1], target[:1]), (SCORES[1:], target[1:])]
    assert evaluate(Sequential(loss), batches)["loss"] == pytest.approx(loss(SCORES, target), rel=1e-12)


# What every loss has in common


@every_loss
@pytest.mark.rows("sample_weight", [None, frozen([1, 2, 3])])
@pytest.mark.rows("dloss", [1.0, np.float64(0.5), 2])
def test_float32_stays_float32(loss, target, sample_weight, dloss):
    target = target if target.dtype.kind == "i" else target.astype(np.float32)
    loss(frozen(SCORES, np.float32), target, sample_weight)
    assert loss.backward(dloss).dtype == np.float32
    assert loss(frozen(SCORES, np.float32)).dtype == np.float32


@every_loss
def test_a_target_of_float64_does_not_make_float64_of_float32(loss, target):
    value = loss(frozen(SCORES, np.float32), target)
    assert loss.backward().dtype == np.float32
    assert value == pytest.approx(loss(SCORES, target), rel=1e-6)


@pytest.mark.rows(
    ("loss", "target"),
    [
        (Huber(np.float64(0.5)), SHARES),
        (BinaryCrossEntropy(np.float64(0.5)), SHARES),
        (BinaryCrossEntropy(np.array(WEIGHT)), SHARES),
        (MulticlassHinge(np.float64(0.5)), LABELS),
        (SoftmaxCrossEntropy(np.array(WEIGHT), np.float64(0.5)), LABELS),
        (SoftmaxCrossEntropy(np.array(WEIGHT), np.float64(0.5)), SHARES),
    ],
    ids=lambda value: repr(value) if isinstance(value, Loss) else "",
)
def test_options_of_float64_do_not_make_float64_of_float32(loss, target):
    loss(frozen(SCORES, np.float32), target, np.ones(3))
    assert loss.backward().dtype == np.float32


@every_loss
def test_integer_scores_are_taken_as_float32(loss, target):
    scores = np.array([[1, 2, 3, 5], [4, 7, 2, 3], [0, -1, 2, 9]])
    assert loss(scores, target) == loss(scores.astype(np.float32), target)
    assert loss.backward().dtype == np.float32


@every_loss
def test_dloss_scales_the_gradient(loss, target):
    loss(SCORES, target)
    assert np.allclose(loss.backward(-2.5), -2.5 * loss.backward(), rtol=1e-14, atol=1e-15)
    assert not loss.backward(0).any()


@every_loss
def test_backward_can_be_repeated_and_what_it_returned_may_be_written_to(loss, target):
    loss(SCORES, target)
    first = loss.backward()
    expected = first.copy()
    first[...] = 99
    assert np.array_equal(loss.backward(), expected)


@every_loss
def test_the_second_pass_is_like_a_first(loss, target):
    fresh = copy.deepcopy(loss)
    fresh.clear_cache()
    loss(SCORES[:2] - 1, target[:2], [1, 5])
    loss.backward()
    assert loss(SCORES, target) == fresh(SCORES, target)
    assert np.array_equal(loss.backward(), fresh.backward())


@every_loss
@pytest.mark.rows("sample_weight", [None, [1, 2, 3]])
def test_a_non_contiguous_input_gives_the_same(loss, target, sample_weight):
    value, gradient = loss(SCORES, target, sample_weight), loss.backward()
    wide, weights = np.zeros((3, 4, 2)), np.repeat([1.0, 2.0, 3.0], 2)[::2]
    wide[..., 0] = SCORES
    twice = np.repeat(target, 2, axis=0)[::2]
    for scores in (wide[..., 0], np.asfortranarray(SCORES), SCORES[:, ::-1][:, ::-1]):
        for t in (twice, np.asfortranarray(target)):
            assert loss(scores, t, sample_weight and weights) == pytest.approx(value, rel=1e-14)
            assert np.allclose(loss.backward(), gradient, rtol=1e-13, atol=1e-17)


@every_loss
def test_nothing_handed_in_is_written_to(loss, target):
    scores, t, sample_weight = SCORES.copy(), target.copy(), np.array([1.0, 2.0, 3.0])
    loss(scores, t, sample_weight)
    loss.backward()
    loss.backward()
    loss(scores)
    assert np.array_equal(scores, SCORES) and np.array_equal(t, target) and sample_weight.tolist() == [1, 2, 3]


@every_loss
@pytest.mark.rows("shape", [(4,), (2, 3, 4), (2, 1, 3, 4)])
def test_scores_may_have_any_rank(loss, target, shape):
    scores = frozen(np.random.default_rng(1).normal(size=shape))
    rows = len(scores.reshape(-1, 4))
    flat = np.concatenate([target] * 2)[:rows]
    value, gradient = loss(scores, flat.reshape(shape if flat.ndim == 2 else shape[:-1])), loss.backward()
    assert gradient.shape == shape
    assert value == pytest.approx(loss(scores.reshape(-1, 4), flat), rel=1e-13)
    assert np.allclose(gradient.reshape(-1, 4), loss.backward(), rtol=1e-13, atol=1e-15)


@pytest.mark.rows("loss", [MeanSquaredError(), MeanAbsoluteError(), Huber(), BinaryCrossEntropy()], ids=repr)
def test_a_score_for_each_sample_needs_no_second_axis(loss):
    value, gradient = loss(SCORES[:, :1], SHARES[:, :1], [1, 2, 3]), loss.backward()
    assert loss(SCORES[:, 0], SHARES[:, 0], [1, 2, 3]) == pytest.approx(value, rel=1e-14)
    assert loss.backward() == pytest.approx(gradient[:, 0], rel=1e-14)


def test_all_are_losses_and_those_with_a_softmax_or_sigmoid_inside_take_scores():
    for loss, _ in LOSSES:
        assert isinstance(loss, Loss) and loss.is_loss
        assert loss.takes_scores is isinstance(loss, (SoftmaxCrossEntropy, BinaryCrossEntropy))


def test_the_repr_is_how_a_loss_was_made():
    assert repr(BinaryCrossEntropy()) == "BinaryCrossEntropy()"
    assert repr(BinaryCrossEntropy(pos_weight=[1, 2.5])) == "BinaryCrossEntropy(pos_weight=[1, 2.5])"
    assert repr(Huber(0.5)) == "Huber(0.5)"
    assert repr(MulticlassHinge(margin=2)) == "MulticlassHinge(margin=2)"


# What is counted as right


def test_binary_answers_are_counted_entry_by_entry():
    loss = BinaryCrossEntropy()
    loss(frozen([[2, -1, 0.1], [-3, 0, 5]]), [[1, 0, 0], [0, 0, 1]])
    assert loss.count_correct() == (5, 6)
    loss(frozen([2, -1, 0.1, -3]), [0.9, 0.6, 0.51, 0.2])
    assert loss.count_correct() == (3, 4)


def test_binary_answers_count_as_much_as_their_sample_weights():
    loss = BinaryCrossEntropy(pos_weight=[10.0, 1.0])
    scores, target = frozen([[2, -1], [-3, 1], [4, 5]]), [[1, 0], [1, 0], [1, 0]]  # right: both, neither, the first
    loss(scores, target, [1, 0.5, 4])
    assert loss.count_correct() == (6.0, 11.0)
    loss(scores, target, [[1, 2], [4, 8], [16, 32]])
    assert loss.count_correct() == (19.0, 63.0)
    loss(scores, target)
    assert loss.count_correct() == (3, 6)


@pytest.mark.rows(
    ("loss", "scores", "target"),
    [
        (SoftmaxCrossEntropy([1, 5]), [[2, 1], [2, 1]], [0, 1]),
        (SoftmaxCrossEntropy(), [[2, 1], [2, 1]], [[0.9, 0.1], [0.2, 0.8]]),
        (MulticlassHinge(), [[2, 1], [2, 1]], [0, 1]),
        (BinaryCrossEntropy(5.0), [[-1], [-1]], [[0], [1]]),
    ],
)
def test_what_is_wrong_and_has_no_weight_is_not_in_the_accuracy(loss, scores, target):
    loss(frozen(scores), target, [1, 0])
    assert loss.count_correct() == (1.0, 1.0) and type(loss.count_correct()[0]) is float
    assert evaluate(Sequential(loss), [(frozen(scores), np.array(target), np.array([1, 0]))])["accuracy"] == 1.0
    loss(frozen(scores), target)
    assert loss.count_correct() == (1, 2) and [type(count) for count in loss.count_correct()] == [int, int]
    loss(frozen(scores), target, [0, 0])
    assert loss.count_correct() == (0.0, 0.0)


@pytest.mark.rows("loss", [SoftmaxCrossEntropy(), MulticlassHinge()], ids=repr)
def test_the_accuracy_is_never_above_one_however_weights_are_rounded(loss):
    s = np.random.default_rng(0).uniform(size=1000) * (np.arange(1000) % 3 > 0)
    loss(np.tile([2.0, 1.0], (1000, 1)), (np.arange(1000) % 3 == 0).astype(int), s)
    correct, counted = loss.count_correct()
    assert correct == counted > 0


def test_binary_accuracy_is_never_above_one_however_weights_are_rounded():
    s = np.random.default_rng(0).uniform(size=1001) * (np.arange(1001) % 3 > 0)
    loss = BinaryCrossEntropy()
    loss(np.ones((1001, 3)), np.repeat(np.arange(1001) % 3 > 0, 3).reshape(1001, 3), s)
    correct, counted = loss.count_correct()
    assert correct == counted > 0


@pytest.mark.rows("loss", [MeanSquaredError(), MeanAbsoluteError(), Huber(), Loss()], ids=repr)
def test_where_nothing_is_classified_nothing_is_counted(loss):
    assert loss.count_correct() is None


# What is refused


@pytest.mark.rows("loss", [MeanSquaredError(), MeanAbsoluteError(), Huber(0.5), BinaryCrossEntropy()], ids=repr)
@pytest.mark.rows(("y", "t"), [((3,), (3, 1)), ((3, 1), (3,)), ((3, 1), (3, 4)), ((3, 2), (2, 3)), ((3,), ())])
def test_a_target_is_not_broadcast(loss, y, t):
    message = f"{loss!r}: expected a target of shape {y}, like the prediction, got {t}"
    with pytest.raises(ValueError, match=re.escape(message)):
        loss(np.ones(y), np.ones(t))


@pytest.mark.rows("loss", [MeanSquaredError(), MeanAbsoluteError(), Huber(0.5), BinaryCrossEntropy()], ids=repr)
def test_integer_and_boolean_targets_are_taken_and_others_refused(loss):
    expected = loss(frozen([1.5, 2]), [1.0, 0.0])
    for dtype in (np.uint8, np.int64, bool, np.float32):
        assert loss(frozen([1.5, 2]), np.array([1, 0], dtype)) == expected
    for bad in ([1j, 0], ["a", "b"], [None, None]):
        with pytest.raises(TypeError, match=re.escape(f"{loss!r}: target: expected real numbers")):
            loss(frozen([1.5, 2]), bad)


@pytest.mark.rows("loss", [MeanSquaredError(), MeanAbsoluteError(), Huber(0.5), BinaryCrossEntropy()], ids=repr)
def test_a_target_without_its_last_axis_is_refused_with_what_adds_it(loss):
    for y, t, advice in (((3, 1), (3,), "y[:, None]"), ((3,), (3, 1), "y[:, 0]"), ((2, 3, 1), (2, 3), "y[..., None]")):
        with pytest.raises(ValueError, match=re.escape(f"got {t}; pass {advice}") + "$"):
            loss(np.ones(y), np.ones(t))
        loss(np.ones(y), eval(advice, {"y": np.ones(t)}))
    with pytest.raises(ValueError, match=re.escape("got (3,)") + "$"):
        loss(np.ones((3, 2)), np.ones(3))


@pytest.mark.rows("loss", [MeanSquaredError(), MeanAbsoluteError(), Huber(0.5)], ids=repr)
def test_a_target_that_the_dtype_of_the_scores_cannot_hold_is_refused(loss):
    with pytest.raises(
        ValueError, match=re.escape(f"{loss!r}: target: expected values that float32 can hold, got 1e+300")
    ):
        loss(np.ones(2, np.float32), [1.0, 1e300])
    loss(np.ones(2), [1.0, 1e100])


class Sparse:
    """What is known of a sparse matrix: it makes itself dense."""

    def toarray(self):
        return SHARES


@every_loss
def test_what_an_array_would_lose_is_refused_as_target_and_as_weights(loss, target):
    masked = np.ma.masked_array(target, np.arange(target.size).reshape(target.shape) == 1)
    for bad, advice in (
        (masked, "call its .filled(value)"),
        ([*masked[:2], masked[2]] if target.ndim > 1 else list(masked), "masked"),
        (Sparse(), "call its .toarray()"),
        (target.astype(object), "call its .astype(float)"),
        (tuple(target[:, None]), "np.stack"),
    ):
        with pytest.raises(TypeError, match=re.escape(advice)) as caught:
            loss(SCORES, bad)
        assert str(caught.value).startswith(repr(loss))
    for bad, advice in (
        (np.ma.masked_array([1.0, 2, 3], [False, True, False]), "call its .filled(value)"),
        (Sparse(), "call its .toarray()"),
        (np.array([1.0, None, 2.0]), "fill in or drop what is missing"),
    ):
        with pytest.raises(TypeError, match=re.escape(advice)) as caught:
            loss(SCORES, target, bad)
        assert str(caught.value).startswith(f"{loss!r}: sample_weight")
    assert loss(SCORES, np.ma.masked_array(target)) == loss(SCORES, target)


@pytest.mark.rows("make", [SoftmaxCrossEntropy, BinaryCrossEntropy], ids=["SoftmaxCrossEntropy", "BinaryCrossEntropy"])
def test_what_an_array_would_lose_is_refused_as_class_weights(make):
    for bad in (np.ma.masked_array([1.0, 2], [False, True]), Sparse(), np.array([1, None]), ["a", "b"]):
        with pytest.raises(TypeError, match=rf"{make.__name__}: (pos_)?weight: expected real numbers"):
            make(bad)


def test_scores_of_float16_are_summed_in_float32():
    y, t = np.ones(2**18, np.float16), np.zeros(2**18, np.float16)
    for loss, value in ((MeanSquaredError(), 1.0), (MeanAbsoluteError(), 1.0), (Huber(), 0.5)):
        assert loss(y, t) == value
        assert loss.backward().dtype == np.float32


@pytest.mark.rows("loss", [loss for loss, _ in LOSSES], ids=repr)
def test_bad_scores_are_refused_by_name(loss):
    for bad, kind in (
        (np.full((3, 4), 1j), TypeError),
        (np.full((3, 4), "a"), TypeError),
        (np.float64(1.0), ValueError),
    ):
        with pytest.raises(kind) as caught:
            loss(bad, [0, 1, 2])
        assert str(caught.value).startswith(repr(loss))


@pytest.mark.rows(
    ("target", "part"),
    [
        ([0, 1, -0.1], "got -0.1 to 1.0"),
        ([0, 1.1, 0], "got 0.0 to 1.1"),
        ([0, 2, 1], "got 0.0 to 2.0"),
        ([0, -1, 1], "got -1.0 to 1.0"),
        ([0, math.nan, 1], "got nan to nan"),
        ([0, math.inf, 1], "got 0.0 to inf"),
    ],
)
def test_binary_targets_outside_of_0_to_1_are_refused_with_what_they_are(target, part):
    loss = BinaryCrossEntropy()
    with pytest.raises(ValueError, match=re.escape(f"BinaryCrossEntropy(): expected targets from 0 to 1, {part}")):
        loss(frozen([1, 2, 3]), target)
    with pytest.raises(RuntimeError):
        loss.backward()


@pytest.mark.rows("weight", [-1, [1, -1], [math.nan], math.inf, [[1, 2]]])
def test_a_bad_weight_of_yes_is_refused(weight):
    with pytest.raises(ValueError, match="BinaryCrossEntropy: pos_weight: expected"):
        BinaryCrossEntropy(weight)


@pytest.mark.rows("weight", ["a", ["1", "2"], 1j, [None]])
def test_a_weight_of_yes_that_is_not_real_is_refused(weight):
    with pytest.raises(TypeError, match="BinaryCrossEntropy: pos_weight: expected real numbers"):
        BinaryCrossEntropy(weight)


@pytest.mark.rows("weight", [[1, 2], [1, 2, 3], [1, 2, 3, 4, 5]])
def test_the_weights_of_yes_must_be_as_many_as_the_features(weight):
    message = f"BinaryCrossEntropy({weight}): expected x of shape (..., {len(weight)}), like pos_weight, got (3, 4)"
    with pytest.raises(ValueError, match=re.escape(message)):
        BinaryCrossEntropy(weight)(SCORES, SHARES)


def test_the_weights_of_yes_are_copied():
    weight = np.array(WEIGHT)
    loss = BinaryCrossEntropy(weight)
    before = loss(SCORES, SHARES)
    weight[:] = 1
    assert loss(SCORES, SHARES) == before


@pytest.mark.rows("delta", [0, 0.0, -1, math.nan, math.inf])
def test_a_delta_out_of_range_is_refused(delta):
    with pytest.raises(ValueError, match="Huber: expected delta to be"):
        Huber(delta)


@pytest.mark.rows("delta", ["1", None, True, [1.0], 1j])
def test_a_delta_that_is_not_a_number_is_refused(delta):
    with pytest.raises(TypeError, match="Huber: expected delta to be a number"):
        Huber(delta)


@pytest.mark.rows(
    ("sample_weight", "kind", "part"),
    [
        ([1, 2], ValueError, "expected sample_weight of shape (3,)"),
        (1.0, ValueError, "got ()"),
        ([[1], [1], [1]], ValueError, "got (3, 1)"),
        ([1, -1, 1], ValueError, "at least 0"),
        ([1, np.nan, 1], ValueError, "finite"),
        ([1, np.inf, 1], ValueError, "finite"),
        (["a", "b", "c"], TypeError, "sample_weight: expected real numbers"),
        ([1, 1j, 1], TypeError, "sample_weight: expected real numbers"),
    ],
)
@every_loss
def test_a_bad_sample_weight_is_refused_by_name(loss, target, sample_weight, kind, part):
    with pytest.raises(kind, match=re.escape(part)) as caught:
        loss(SCORES, target, sample_weight)
    assert str(caught.value).startswith(repr(loss))


class Sigmoid(Layer):
    gives_probabilities = True

    def forward(self, x):
        self.cache = y = 1 / (1 + np.exp(-x))
        return y

    def backward(self, dy):
        y = self.cache
        return dy * y * (1 - y)


@pytest.mark.rows("loss", [BinaryCrossEntropy(), SoftmaxCrossEntropy()], ids=repr)
@pytest.mark.rows("layer", [Sigmoid(), Softmax()], ids=repr)
def test_probabilities_in_front_of_a_loss_that_takes_scores_are_refused(loss, layer):
    message = re.escape(f"{layer!r} in front of {loss!r}")
    with pytest.raises(ValueError, match=message):
        Sequential(Linear(4, 2), layer, loss)
    with pytest.raises(ValueError, match=message):
        Sequential(Sequential(Linear(4, 2), layer), loss)


@pytest.mark.rows("loss", [MeanSquaredError(), MeanAbsoluteError(), Huber()], ids=repr)
def test_a_regression_may_learn_probabilities(loss):
    Sequential(Linear(4, 2), Sigmoid(), loss)(np.ones((3, 4)), np.zeros((3, 2)))


# Training


def plane(seed=0):
    """x, and y that depends on it linearly."""
    x = np.random.default_rng(seed).normal(size=(64, 3)).astype(np.float32)
    return x, x @ np.array([[1.0], [-2.0], [0.5]], np.float32) + 0.25


@pytest.mark.rows("loss", [MeanSquaredError(), MeanAbsoluteError(), Huber(), Huber(0.1)], ids=repr)
def test_every_regression_finds_the_plane(loss):
    model = Sequential(Linear(3, 1, rng=0), loss)
    train = Batches(*plane(), batch_size=64, rng=0)
    history = fit(model, Adam(model.parameters(), lambda step: 0.1 * 0.98**step), train, epochs=300, progress=False)
    assert set(history) == {"loss", "lr", "seconds"}
    assert history["loss"][-1] < 1e-2 * history["loss"][0]
    np.testing.assert_allclose(model[0].W.data[:, 0], [1, -2, 0.5], atol=1e-2)
    np.testing.assert_allclose(model[0].b.data, [0.25], atol=1e-2)


def test_outliers_pull_the_squared_error_and_hardly_the_others():
    x, y = plane()
    y[::8] += 100
    errors = {}
    for loss in (MeanSquaredError(), MeanAbsoluteError(), Huber()):
        model = Sequential(Linear(3, 1, rng=0), loss)
        schedule = Adam(model.parameters(), lambda step: 0.1 * 0.995**step)
        fit(model, schedule, [(x, y)], epochs=1000, progress=False)
        errors[type(loss)] = abs(model[0].b.data[0] - 0.25)
    assert errors[MeanSquaredError] > 5 > 0.5 > max(errors[MeanAbsoluteError], errors[Huber])


def test_binary_cross_entropy_learns_to_say_yes():
    x, y = plane()
    answers = (y > 0).astype(np.int64)
    model = Sequential(Linear(3, 1, rng=0), BinaryCrossEntropy())
    history = fit(model, SGD(model.parameters(), lr=2.0), [(x, answers)], epochs=300, progress=False)
    assert history["accuracy"][-1] == evaluate(model, [(x, answers)])["accuracy"] == 1.0
    p = predict(model, x)
    assert p.shape == (64, 1) and ((p > 0.5) == answers).all()


def test_a_larger_weight_of_yes_makes_the_model_say_it_more_often():
    # With the bias alone, one yes that counts three times is as good as the three noes.
    x, answers = np.zeros((4, 1), np.float32), np.array([[1], [0], [0], [0]])
    model = Sequential(Linear(1, 1, rng=0), BinaryCrossEntropy(pos_weight=3))
    fit(model, SGD(model.parameters(), lr=1.0), [(x, answers)], epochs=200, progress=False)
    assert predict(model, x[:1])[0, 0] == pytest.approx(0.5, abs=1e-4)
