import itertools
import math
import re

import numpy as np
import pytest

from minnet import (
    SGD,
    Linear,
    MulticlassHinge,
    Sequential,
    Softmax,
    SoftmaxCrossEntropy,
    check_layer,
    evaluate,
    fit,
    predict,
)
from minnet.losses import classification


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


SCORES = frozen([[1, 2, 3, 5], [4, 5, 2, 3], [0.5, -1, 2, 0]])
LABELS = frozen([3, 1, 0], np.int64)
SHARES = frozen([[0.1, 0.2, 0.3, 0.4], [0, 1, 0, 0], [0.25, 0.25, 0.5, 0]])
WEIGHT = [0.5, 2.0, 1.0, 3.0]

# PyTorch gives these for SCORES: options of cross_entropy, target, sample weights, loss, gradient. The sample weights
# multiply its unreduced losses, and the sum is divided by the sum of the products of all weights.
PYTORCH = [
    (
        {},
        LABELS,
        None,
        0.8225739111849432,
        [
            [0.005073142955, 0.013790232307, 0.03748573789, -0.056349113152],
            [0.078960939363, -0.118695246704, 0.010686201093, 0.029048106247],
            [-0.280518430162, 0.011784597803, 0.236699974295, 0.032033858063],
        ],
    ),
    (
        {"weight": WEIGHT},
        LABELS,
        None,
        0.4285639174779526,
        [
            [0.008301506653, 0.022565834684, 0.061340298366, -0.092207639703],
            [0.086139206578, -0.129485723677, 0.01165767392, 0.031688843179],
            [-0.076505026408, 0.003213981219, 0.064554538444, 0.008736506745],
        ],
    ),
    (
        {"label_smoothing": 0.1},
        LABELS,
        None,
        0.9517405778516099,
        [
            [-0.003260190379, 0.005456898974, 0.029152404557, -0.031349113152],
            [0.07062760603, -0.093695246704, 0.00235286776, 0.020714772914],
            [-0.255518430162, 0.00345126447, 0.228366640962, 0.02370052473],
        ],
    ),
    (
        {"weight": WEIGHT, "label_smoothing": 0.1},
        LABELS,
        None,
        0.5608902133124591,
        [
            [0.005648293659, 0.01244065817, 0.053983413479, -0.072072365308],
            [0.082251369182, -0.106603320904, 0.006893637989, 0.017458313733],
            [-0.066445930077, -0.005153782098, 0.074533855049, -0.002934142874],
        ],
    ),
    (
        {"ignore_index": -100},
        frozen([3, -100, 0], np.int64),
        None,
        1.0137660174968173,
        [
            [0.007609714432, 0.02068534846, 0.056228606835, -0.084523669728],
            [0, 0, 0, 0],
            [-0.420777645243, 0.017676896704, 0.355049961443, 0.048050787095],
        ],
    ),
    (
        {"ignore_index": 1, "weight": WEIGHT, "label_smoothing": 0.2},
        LABELS,
        None,
        0.7115216087365743,
        [
            [0.00470655533, 0.003638614031, 0.073270259215, -0.081615428576],
            [0, 0, 0, 0],
            [-0.0886078816, -0.021248142794, 0.132806412598, -0.022950388203],
        ],
    ),
    (
        {},
        SHARES,
        None,
        1.2309072445182767,
        [
            [-0.028260190379, -0.05287643436, -0.06251426211, 0.143650886848],
            [0.078960939363, -0.118695246704, 0.010686201093, 0.029048106247],
            [-0.030518430162, -0.07154873553, 0.070033307629, 0.032033858063],
        ],
    ),
    (
        {"weight": WEIGHT},
        SHARES,
        None,
        1.7713761532961245,
        [
            [-0.006774037905, -0.106442380335, -0.026902811114, 0.140119229354],
            [0.157921878727, -0.237390493408, 0.021372402187, 0.058096212495],
            [0.017750099401, -0.153408994138, 0.099620804416, 0.036038090321],
        ],
    ),
    (
        {"weight": WEIGHT, "label_smoothing": 0.1},
        SHARES,
        None,
        1.9154067985340657,
        [
            [-0.009438915051, -0.110223896218, -0.026454430929, 0.146117242198],
            [0.150794176834, -0.195439421657, 0.012638336312, 0.03200690851],
            [0.02039084456, -0.152819764248, 0.119789136464, 0.012639783224],
        ],
    ),
    (
        {},
        LABELS,
        [1, 0.5, 3],
        1.318294677567528,
        [
            [0.0033820953031, 0.0091934882047, 0.0249904919269, -0.0375660754347],
            [0.0263203131211, -0.0395650822347, 0.003562067031, 0.0096827020824],
            [-0.5610368603233, 0.0235691956058, 0.4733999485908, 0.0640677161267],
        ],
    ),
    (
        {"weight": WEIGHT},
        LABELS,
        [1, 0.5, 3],
        0.6835020781740665,
        [
            [0.0083015066532, 0.0225658346842, 0.061340298366, -0.0922076397033],
            [0.0430696032891, -0.0647428618386, 0.00582883696, 0.0158444215895],
            [-0.2295150792232, 0.0096419436569, 0.1936636153326, 0.0262095202337],
        ],
    ),
]


@pytest.mark.rows(("options", "target", "sample_weight", "value", "gradient"), PYTORCH)
def test_cross_entropy_and_its_gradient_have_the_values_that_pytorch_gives(
    options, target, sample_weight, value, gradient
):
    loss = SoftmaxCrossEntropy(**options)
    assert loss(SCORES, target, sample_weight) == pytest.approx(value, rel=1e-12)
    assert np.allclose(loss.backward(), gradient, rtol=0, atol=2e-12)


def test_cross_entropy_of_sequences_has_the_value_that_pytorch_gives():
    scores = 2 * np.sin(np.arange(24.0).reshape(2, 3, 4))
    loss = SoftmaxCrossEntropy(ignore_index=-100)
    # PyTorch gives this, with the classes moved to the second axis.
    assert loss(scores, [[0, 1, 2], [3, -100, 1]]) == pytest.approx(2.33052794716223, rel=1e-12)
    gradient = loss.backward()
    assert gradient.shape == (2, 3, 4)
    assert np.allclose(
        gradient[0, 1], [0.009447314785, -0.193694091868, 0.024544911101, 0.159701865982], rtol=0, atol=1e-12
    )
    assert gradient[1, 1].tolist() == [0, 0, 0, 0]


def test_cross_entropy_has_the_known_values():
    loss = SoftmaxCrossEntropy()
    scores = frozen([[1, 2, 3, 5], [4, 5, 2, 3]])
    # The known value is the sum over the two samples, and what minnet gives is the mean.
    assert 2 * loss(scores, [3, 1]) == pytest.approx(0.6253721511650081, rel=1e-14)
    difference = [[0.01521943, 0.0413707, 0.11245721, -0.16904734], [0.23688282, -0.35608574, 0.0320586, 0.08714432]]
    assert np.allclose(2 * loss.backward(), difference, rtol=0, atol=1e-8)


OPTIONS = list(
    itertools.product(
        [None, WEIGHT, [0, 1, 0, 4]], [0.0, 0.2, 1.0], [None, 1], ["labels", "shares"], [None, [0.5, 0, 2]]
    )
)


@pytest.mark.rows(("weight", "smoothing", "ignored", "kind", "sample_weight"), OPTIONS)
def test_the_gradient_is_that_of_the_value_reported(weight, smoothing, ignored, kind, sample_weight):
    loss = SoftmaxCrossEntropy(weight, smoothing, ignored)
    target = LABELS if kind == "labels" else SHARES
    expected = differences(loss, SCORES, target, sample_weight)
    loss(SCORES, target, sample_weight)
    gradient = loss.backward()
    assert np.allclose(gradient, expected, rtol=1e-6, atol=1e-9)
    assert np.allclose(gradient.sum(axis=1), 0, atol=1e-14)


def test_class_weights_weigh_rows_and_not_columns():
    plain, weighted = SoftmaxCrossEntropy(), SoftmaxCrossEntropy(WEIGHT)
    plain(SCORES, LABELS), weighted(SCORES, LABELS)
    # Labels 3, 1, 0 weigh 3, 2 and 0.5 of 5.5 together, where each weighed a third.
    assert np.allclose(
        weighted.backward(), 3 * plain.backward() * np.array([[3], [2], [0.5]]) / 5.5, rtol=1e-12, atol=1e-15
    )


# Extreme scores


@pytest.mark.rows("dtype", [np.float32, np.float64])
@pytest.mark.rows(("label", "value"), [(0, 0), (1, 20_000), (2, 10_000)])
def test_scores_of_ten_thousand_give_exact_values(dtype, label, value):
    loss = SoftmaxCrossEntropy()
    assert loss(frozen([[1e4, -1e4, 0]], dtype), [label]) == value
    expected = [1.0, 0.0, 0.0]
    expected[label] -= 1
    assert loss.backward().tolist() == [expected]
    assert loss(frozen([[1e4, -1e4, 0]], dtype)).tolist() == [[1, 0, 0]]


def test_scores_of_ten_thousand_give_exact_values_for_probabilities_and_smoothing():
    scores = frozen([[1e4, -1e4]])
    assert SoftmaxCrossEntropy()(scores, [[0.25, 0.75]]) == 15_000
    assert SoftmaxCrossEntropy(label_smoothing=0.5)(scores, [0]) == 5_000
    assert SoftmaxCrossEntropy()(frozen([[0, -800]]), [1]) == 800


def test_a_share_of_zero_where_the_score_is_lowest_costs_nothing():
    assert SoftmaxCrossEntropy()(frozen([[1e4, 1e4, -1e4]]), [[0.5, 0.5, 0]]) == pytest.approx(math.log(2), rel=1e-12)


# Targets


@pytest.mark.rows("dtype", [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64])
def test_labels_may_be_of_any_integer_dtype(dtype):
    loss = SoftmaxCrossEntropy()
    expected = loss(SCORES, [3, 1, 0])
    assert loss(SCORES, frozen([3, 1, 0], dtype)) == expected
    assert SoftmaxCrossEntropy(ignore_index=-100)(SCORES, frozen([3, 1, 0], dtype)) == expected


def test_small_integer_labels_do_not_overflow_among_many_classes():
    scores = frozen(np.random.default_rng(0).normal(size=(300, 300)))
    labels = np.arange(300) % 128
    loss = SoftmaxCrossEntropy()
    expected = loss(scores, labels), loss.backward()
    assert loss(scores, labels.astype(np.int8)) == expected[0]
    assert np.array_equal(loss.backward(), expected[1])


def test_labels_and_their_one_hot_rows_are_the_same_target():
    loss = SoftmaxCrossEntropy()
    value, gradient = loss(SCORES, LABELS), loss.backward()
    one_hot = [[0, 0, 0, 1], [0, 1, 0, 0], [1, 0, 0, 0]]
    for dtype in (np.int64, np.float32, bool):
        assert loss(SCORES, np.array(one_hot, dtype)) == pytest.approx(value, rel=1e-14)
        assert np.allclose(loss.backward(), gradient, rtol=1e-14, atol=1e-17)


def test_label_smoothing_moves_the_target_towards_the_uniform_distribution():
    smoothed, plain = SoftmaxCrossEntropy(label_smoothing=0.2), SoftmaxCrossEntropy()
    target = [[0.05, 0.05, 0.05, 0.85], [0.05, 0.85, 0.05, 0.05], [0.85, 0.05, 0.05, 0.05]]
    assert smoothed(SCORES, LABELS) == pytest.approx(plain(SCORES, target), rel=1e-12)
    assert np.allclose(smoothed.backward(), plain.backward(), rtol=1e-12, atol=1e-15)


@pytest.mark.rows("shape", [(4,), (3, 4), (2, 3, 4), (2, 1, 3, 4)])
@pytest.mark.rows("probabilities", [False, True])
def test_scores_may_have_any_rank(shape, probabilities):
    rng = np.random.default_rng(1)
    scores = frozen(rng.normal(size=shape))
    if probabilities:
        target = rng.dirichlet(np.ones(4), shape[:-1])
        flat = target.reshape(-1, 4)
    else:
        target = rng.integers(0, 4, shape[:-1])
        flat = np.reshape(target, -1)
    loss = SoftmaxCrossEntropy(WEIGHT)
    value, gradient = loss(scores, target), loss.backward()
    assert gradient.shape == shape
    assert value == pytest.approx(loss(scores.reshape(-1, 4), flat), rel=1e-14)
    assert np.allclose(gradient.reshape(-1, 4), loss.backward(), rtol=1e-14, atol=1e-15)


@pytest.mark.rows(
    ("options", "target", "kind", "parts"),
    [
        ({}, [0, 4, 1], ValueError, ["label 4 at (1,)", "4 classes 0 to 3"]),
        ({}, [0, 1, -1], ValueError, ["label -1 at (2,)", "4 classes 0 to 3"]),
        ({}, [0, 1, -100], ValueError, ["label -100 at (2,)"]),
        ({"ignore_index": -100}, [0, -100, -1], ValueError, ["label -1 at (2,)"]),
        ({"ignore_index": 7}, [7, 8, 0], ValueError, ["label 8 at (1,)"]),
        ({}, np.array([0, 2**64 - 1, 0], np.uint64), ValueError, ["label 18446744073709551615 at (1,)"]),
        ({}, [0.0, 1.0, 2.0], TypeError, ["integer labels", "float64"]),
        ({"ignore_index": 1}, [0.0, 1.0, 2.0], TypeError, ["integer labels", "float64"]),
        ({}, [True, False, True], TypeError, ["integer labels", "bool"]),
        ({}, ["a", "b", "c"], TypeError, ["integer labels", "<U1"]),
        ({}, [0, 1], ValueError, ["shape (3,) (labels)", "(3, 4) (probabilities)", "got (2,)"]),
        ({}, 1, ValueError, ["got ()"]),
        ({}, [[0], [1], [2]], ValueError, ["got (3, 1)"]),
        ({}, np.ones((3, 5)) / 5, ValueError, ["got (3, 5); one_hot(labels, 4) has a column for each class"]),
        ({}, [[1, 0, 0, 0], [0.5, 0.4, 0, 0], [1, 0, 0, 0]], ValueError, ["sum to 1", "[0.5, 0.4, 0.0, 0.0] at 1"]),
        ({}, [[1, 0, 0, 0], [1, 0, 0, 0], [1.5, -0.5, 0, 0]], ValueError, ["at 2"]),
        ({}, [[np.nan, 0, 0, 1], [1, 0, 0, 0], [1, 0, 0, 0]], ValueError, ["at 0"]),
        ({}, np.full((3, 4), 0.25j), TypeError, ["target", "complex128"]),
        ({}, np.full((3, 4), None), TypeError, ["target", "object"]),
    ],
)
def test_a_bad_target_is_refused_with_what_is_wrong(options, target, kind, parts):
    loss = SoftmaxCrossEntropy(**options)
    with pytest.raises(kind) as caught:
        loss(SCORES, target)
    message = str(caught.value)
    assert message.startswith(f"{loss!r}: ")
    assert [part for part in parts if part not in message] == []


LABEL_LOSSES = pytest.mark.rows(
    "loss", [SoftmaxCrossEntropy(), SoftmaxCrossEntropy(ignore_index=-1), MulticlassHinge()], ids=repr
)


@LABEL_LOSSES
@pytest.mark.rows(
    ("labels", "advice"),
    [
        ([0.0, 1.0, 2.0], "got float64; if they number classes, pass y.astype(int)"),
        (np.array([0, 1, 2], np.float32), "got float32; if they number classes, pass y.astype(int)"),
        ([True, False, True], "got bool; if they number classes, pass y.astype(int)"),
        (["no", "yes", "no"], "got <U3; number them with np.unique(y, return_inverse=True)[1]"),
        (np.array(["no", "yes", "no"], object), "got object; number them with np.unique(y, return_inverse=True)[1]"),
        (np.array(["2024-01", "2024-02", "2024-01"], "M8[M]"), "number them with np.unique"),
    ],
)
def test_labels_of_another_kind_are_refused_with_what_makes_integers_of_them(loss, labels, advice):
    with pytest.raises(TypeError) as caught:
        loss(SCORES, labels)
    assert str(caught.value).startswith(f"{loss!r}: expected integer labels, got ") and advice in str(caught.value)
    advised = np.unique(labels, return_inverse=True)[1] if "unique" in advice else np.asarray(labels).astype(int)
    loss(SCORES, advised)


@LABEL_LOSSES
def test_labels_in_a_column_are_refused_with_what_takes_the_axis_away(loss):
    labels = LABELS[:, None]
    with pytest.raises(ValueError, match=re.escape("got (3, 1); pass y[:, 0]") + "$"):
        loss(SCORES, labels)
    loss(SCORES, labels[:, 0])
    with pytest.raises(ValueError, match=re.escape("got (1, 3, 1); pass y[..., 0]") + "$"):
        loss(SCORES[None], labels[None])
    loss(SCORES[None], labels[None][..., 0])
    with pytest.raises(ValueError, match=re.escape("got (2, 2)") + "$"):
        loss(SCORES, np.zeros((2, 2), int))


@LABEL_LOSSES
@pytest.mark.rows("integer", [np.int32, np.int64])
@pytest.mark.rows(
    ("label", "dtype"),
    [(2**32, np.int64), (2**32 + 1, np.uint64), (-(2**32), np.int64), (2**63, np.uint64), (2**64 - 1, np.uint64)],
)
def test_a_label_is_checked_as_it_is_given_however_many_bits_an_integer_has(monkeypatch, loss, label, dtype, integer):
    monkeypatch.setattr(classification, "INTP", np.dtype(integer))
    monkeypatch.setattr(classification, "UINTP", np.dtype({np.int32: np.uint32, np.int64: np.uint64}[integer]))
    with pytest.raises(ValueError, match=re.escape(f"{loss!r}: label {label} at (1,) is not one of the 4 classes")):
        loss(SCORES, np.array([0, label, 1], dtype))


@pytest.mark.rows("integer", [np.int32, np.int64])
def test_a_label_to_ignore_may_have_more_bits_than_an_integer(monkeypatch, integer):
    expected = SoftmaxCrossEntropy(ignore_index=-1)(SCORES, [3, -1, 0])
    monkeypatch.setattr(classification, "INTP", np.dtype(integer))
    monkeypatch.setattr(classification, "UINTP", np.dtype({np.int32: np.uint32, np.int64: np.uint64}[integer]))
    for ignored, dtype in ((2**32, np.int64), (-(2**63), np.int64), (2**64 - 1, np.uint64)):
        loss = SoftmaxCrossEntropy(ignore_index=ignored)
        assert loss(SCORES, np.array([3, ignored, 0], dtype)) == expected
        assert loss.count_correct() == (1, 2)


@LABEL_LOSSES
def test_labels_of_another_byte_order_are_read_as_they_are_meant(loss):
    for dtype in (">i8", "<i4", ">u2", "<u8"):
        assert loss(SCORES, LABELS.astype(dtype)) == loss(SCORES, LABELS)
    with pytest.raises(ValueError, match=r"label -2 at \(1,\)"):
        loss(SCORES, np.array([0, -2, 1], ">i4"))


# Weights


@pytest.mark.rows(
    "options", [{}, {"weight": WEIGHT}, {"label_smoothing": 0.1}, {"weight": WEIGHT, "label_smoothing": 0.1}]
)
def test_a_sample_weight_of_two_is_as_good_as_the_sample_twice(options):
    loss = SoftmaxCrossEntropy(**options)
    value, gradient = loss(SCORES, LABELS, [2, 1, 0]), loss.backward()
    twice = [0, 0, 1]
    assert value == pytest.approx(loss(SCORES[twice], LABELS[twice]), rel=1e-12)
    rows = loss.backward()
    assert np.allclose(gradient, [rows[0] + rows[1], rows[2], [0] * 4], rtol=1e-12, atol=1e-17)


def test_a_sample_weight_may_be_given_for_each_position():
    rng = np.random.default_rng(2)
    scores, labels = rng.normal(size=(2, 3, 4)), rng.integers(0, 4, (2, 3))
    loss = SoftmaxCrossEntropy()
    each = loss(scores, labels, [[1, 1, 1], [2, 2, 2]])
    assert loss(scores, labels, [1, 2]) == pytest.approx(each, rel=1e-14)
    assert loss(scores, labels, [[0, 0, 0], [0, 1, 0]]) == pytest.approx(loss(scores[1, 1], labels[1, 1]), rel=1e-14)


@pytest.mark.rows("weight", [[1, -1], [np.nan, 1], [np.inf, 1], [[1, 2]], 3.0])
def test_bad_class_weights_are_value_errors(weight):
    with pytest.raises(ValueError, match="SoftmaxCrossEntropy: weight: expected"):
        SoftmaxCrossEntropy(weight)


def test_class_weights_that_are_not_real_are_type_errors():
    with pytest.raises(TypeError, match="SoftmaxCrossEntropy: weight"):
        SoftmaxCrossEntropy(["a", "b"])


def test_class_weights_must_be_as_many_as_the_classes():
    with pytest.raises(ValueError, match=r"SoftmaxCrossEntropy\(\[1, 2\]\): expected .*\(\.\.\., 2\), got \(3, 4\)"):
        SoftmaxCrossEntropy([1, 2])(SCORES, LABELS)


@pytest.mark.rows("smoothing", [-0.1, 1.1, np.nan, np.inf])
def test_label_smoothing_lies_between_0_and_1(smoothing):
    with pytest.raises(ValueError, match="SoftmaxCrossEntropy: expected label_smoothing"):
        SoftmaxCrossEntropy(label_smoothing=smoothing)


@pytest.mark.rows("smoothing", ["0.1", None, [0.1], 0.1j])
def test_a_label_smoothing_that_is_not_a_number_is_refused(smoothing):
    with pytest.raises(TypeError, match="SoftmaxCrossEntropy: expected label_smoothing to be a number"):
        SoftmaxCrossEntropy(label_smoothing=smoothing)


@pytest.mark.rows("ignored", [1.5, 1.0, "1", [1], True])
def test_a_label_to_ignore_that_is_not_an_integer_is_refused(ignored):
    with pytest.raises(TypeError, match="SoftmaxCrossEntropy: expected ignore_index to be an int"):
        SoftmaxCrossEntropy(ignore_index=ignored)


def test_the_class_weights_given_are_copied():
    weight = np.array(WEIGHT)
    loss = SoftmaxCrossEntropy(weight)
    before = loss(SCORES, LABELS)
    weight[:] = 1
    assert loss(SCORES, LABELS) == before


# What is ignored


@pytest.mark.rows("ignored", [-100, 0, 3, 77])
def test_ignored_samples_are_as_if_they_were_not_there(ignored):
    loss = SoftmaxCrossEntropy(ignore_index=ignored)
    labels = np.array([1, ignored, 2])
    value, gradient = loss(SCORES, labels), loss.backward()
    kept = [0, 2]
    assert value == pytest.approx(SoftmaxCrossEntropy()(SCORES[kept], labels[kept]), rel=1e-14)
    assert gradient[1].tolist() == [0] * 4
    assert gradient[kept].any(axis=1).all()


@pytest.mark.rows(
    "options", [{}, {"weight": WEIGHT}, {"label_smoothing": 0.1}, {"weight": WEIGHT, "label_smoothing": 0.1}]
)
@pytest.mark.rows("dtype", [np.float32, np.float64])
def test_a_batch_that_is_all_ignored_gives_zero(options, dtype):
    loss = SoftmaxCrossEntropy(ignore_index=-1, **options)
    scores = SCORES.astype(dtype)
    assert loss(scores, [-1, -1, -1]) == 0.0
    gradient = loss.backward()
    assert gradient.tolist() == np.zeros((3, 4)).tolist()
    assert gradient.dtype == dtype


def test_class_weights_that_are_all_zero_give_zero():
    assert SoftmaxCrossEntropy([0, 0, 1, 0])(SCORES, LABELS) == 0.0


@pytest.mark.rows("options", [{"weight": WEIGHT}, {"label_smoothing": 0.1}, {"ignore_index": 0}])
@pytest.mark.rows("target", [LABELS, SHARES], ids=["labels", "shares"])
def test_options_of_cross_entropy_keep_float32(options, target):
    loss = SoftmaxCrossEntropy(**options)
    loss(frozen(SCORES, np.float32), target)
    assert loss.backward().dtype == np.float32


def test_the_prediction_of_cross_entropy_is_the_softmax():
    p = SoftmaxCrossEntropy()(frozen([[1, 3, 5, 2, 4]]))
    assert np.allclose(p, [[0.01165623, 0.08612854, 0.63640865, 0.03168492, 0.23412166]], rtol=0, atol=5e-9)


def test_a_linear_softmax_classifier_has_the_gradient_of_the_derivation():
    rng = np.random.default_rng(3)
    X, y = frozen(rng.normal(size=(7, 4))), rng.integers(0, 3, 7)
    model = Sequential(Linear(4, 3, rng=0), SoftmaxCrossEntropy()).astype(np.float64)
    model(X, y)
    model.backward()
    W, b = model[0].W.data, model[0].b.data
    dW, db = [[0.0] * 3 for _ in range(4)], [0.0] * 3
    for n in range(7):
        e = [math.exp(sum(X[n, d] * W[d, k] for d in range(4)) + b[k]) for k in range(3)]
        for k in range(3):
            error = e[k] / sum(e) - (k == y[n])
            db[k] += error / 7
            for d in range(4):
                dW[d][k] += X[n, d] * error / 7
    assert np.allclose(model[0].W.grad, dW, rtol=0, atol=1e-15)
    assert np.allclose(model[0].b.grad, db, rtol=0, atol=1e-15)


def test_the_right_answers_are_counted_without_the_ignored():
    loss = SoftmaxCrossEntropy()
    loss(SCORES, [3, 1, 0])
    assert loss.count_correct() == (2, 3)
    loss(SCORES, SHARES)
    assert loss.count_correct() == (3, 3)
    loss = SoftmaxCrossEntropy(ignore_index=1, label_smoothing=0.1)
    loss(SCORES, [3, 1, 0])
    assert loss.count_correct() == (1, 2)


def test_a_sequence_is_counted_position_by_position():
    scores = np.eye(4)[[[0, 1, 2], [3, 3, 3]]]
    for loss in (SoftmaxCrossEntropy(), MulticlassHinge()):
        loss(scores, [[0, 1, 3], [3, 0, 3]])
        assert loss.count_correct() == (4, 6)
    loss = SoftmaxCrossEntropy(ignore_index=-100)
    loss(scores, [[0, 1, -100], [3, 0, -100]])
    assert loss.count_correct() == (3, 4)


def test_the_right_answers_count_as_much_as_their_sample_weights():
    for loss in (SoftmaxCrossEntropy(WEIGHT), MulticlassHinge()):
        loss(SCORES, [3, 1, 0], [1, 0.5, 3])  # the first two are right
        assert loss.count_correct() == (1.5, 4.5)
    scores = np.eye(4)[[[0, 1, 2], [3, 3, 3]]]
    for loss in (SoftmaxCrossEntropy(), MulticlassHinge()):
        loss(scores, [[0, 1, 3], [3, 0, 3]], [1, 4])
        assert loss.count_correct() == (10.0, 15.0)
        loss(scores, [[0, 1, 3], [3, 0, 3]], [[1, 2, 4], [8, 16, 32]])
        assert loss.count_correct() == (43.0, 63.0)


def test_an_ignored_label_counts_nothing_whatever_its_sample_weight():
    loss = SoftmaxCrossEntropy(WEIGHT, ignore_index=-100)
    loss(np.eye(4)[[[0, 1, 2], [3, 3, 3]]], [[0, 1, -100], [3, 0, -100]], [[1, 2, 4], [8, 16, 32]])
    assert loss.count_correct() == (11.0, 27.0)
    loss = SoftmaxCrossEntropy(ignore_index=1, label_smoothing=0.1)
    loss(SCORES, [3, 1, 0], [2, 5, 0.5])
    assert loss.count_correct() == (2.0, 2.5)


def test_probabilities_in_half_precision_are_smoothed_in_single():
    scores, loss = frozen(np.random.default_rng(0).normal(size=(3, 2000)), np.float32), SoftmaxCrossEntropy(None, 0.1)
    target = np.full((3, 2000), 1 / 2000, np.float16)
    assert loss(scores, target) == pytest.approx(loss(scores, target.astype(np.float64)), rel=1e-6)


def test_a_softmax_in_front_of_cross_entropy_is_refused():
    with pytest.raises(ValueError, match=r"Softmax\(\) in front of SoftmaxCrossEntropy\(\)"):
        Sequential(Linear(4, 3), Softmax(), SoftmaxCrossEntropy())


# The hinge


def test_the_hinge_has_the_values_of_the_lectures():
    # CS231n: a cat, a car and a frog, each with its scores of cat, car and frog, lose 2.9, 0 and 12.9.
    scores = frozen([[3.2, 5.1, -1.7], [1.3, 4.9, 2.0], [2.2, 2.5, -3.1]])
    loss = MulticlassHinge()
    for row, label, value in zip(scores, [0, 1, 2], [2.9, 0.0, 12.9]):
        assert loss(row, label) == pytest.approx(value, rel=1e-12)
    assert loss(scores, [0, 1, 2]) == pytest.approx(15.8 / 3, rel=1e-12)
    third = 1 / 3
    expected = [[-third, third, 0], [0, 0, 0], [third, third, -2 * third]]
    assert np.allclose(loss.backward(), expected, rtol=1e-14, atol=1e-15)
    # Its notes: scores of 13, −7 and 11 with a margin of 10 lose 8 where the first is right.
    assert MulticlassHinge(margin=10)(frozen([13, -7, 11]), 0) == 8


# PyTorch gives these, of which its multi_margin_loss reports a quarter: margin, sample weights, loss, gradient times
# the sum of the weights, and that sum.
PYTORCH_HINGE = [
    (1.0, None, 5 / 3, [[0, 0, 0, 0], [-1, 1, 0, 0], [-2, 0, 1, 1]], 3),
    (1.0, [1, 0.5, 3], 20 / 9, [[0, 0, 0, 0], [-0.5, 0.5, 0, 0], [-6, 0, 3, 3]], 4.5),
    (2.5, None, 13 / 3, [[0, 0, 1, -1], [-3, 1, 1, 1], [-3, 1, 1, 1]], 3),
    (2.5, [1, 0.5, 3], 97 / 18, [[0, 0, 1, -1], [-1.5, 0.5, 0.5, 0.5], [-9, 3, 3, 3]], 4.5),
]


@pytest.mark.rows(("margin", "sample_weight", "value", "gradient", "total"), PYTORCH_HINGE)
def test_the_hinge_and_its_gradient_have_the_values_that_pytorch_gives(margin, sample_weight, value, gradient, total):
    loss = MulticlassHinge(margin)
    assert loss(SCORES, [3, 0, 0], sample_weight) == pytest.approx(value, rel=1e-12)
    assert np.allclose(loss.backward(), np.array(gradient) / total, rtol=1e-12, atol=1e-17)


def test_the_hinge_and_its_gradient_are_those_of_a_plain_loop():
    rng = np.random.default_rng(4)
    scores, labels, weights = frozen(rng.normal(size=(9, 5))), rng.integers(0, 5, 9), rng.uniform(size=9)
    value, gradient = 0.0, np.zeros((9, 5))
    for x, y, s, dx in zip(scores, labels, weights, gradient):
        for c in range(5):
            if c != y and x[c] > x[y] - 1.5:
                value += s * (x[c] - x[y] + 1.5)
                dx[c] += s
                dx[y] -= s
    loss = MulticlassHinge(1.5)
    assert loss(scores, labels, weights) == pytest.approx(value / weights.sum(), rel=1e-12)
    assert np.allclose(loss.backward(), gradient / weights.sum(), rtol=1e-12, atol=1e-17)


@pytest.mark.rows("margin", [0, 0.3, 1.0, 7])
@pytest.mark.rows("sample_weight", [None, [0.5, 0, 2]])
def test_the_gradient_of_the_hinge_is_that_of_its_value(margin, sample_weight):
    loss = MulticlassHinge(margin)
    scores = frozen(np.random.default_rng(6).normal(size=(3, 4)))
    expected = differences(loss, scores, LABELS, sample_weight)
    loss(scores, LABELS, sample_weight)
    gradient = loss.backward()
    assert np.allclose(gradient, expected, rtol=1e-7, atol=1e-9)
    assert np.allclose(gradient.sum(axis=1), 0, atol=1e-15)


def test_a_right_score_that_leads_by_the_margin_costs_nothing():
    loss = MulticlassHinge(2.0)
    assert loss(frozen([[3, 1, 0], [1, 5, 3]]), [0, 1]) == 0.0
    assert loss.backward().tolist() == [[0, 0, 0], [0, 0, 0]]
    assert loss(frozen([[4.0]]), [0]) == 0.0
    assert loss.backward().tolist() == [[0]]


def test_a_margin_of_zero_counts_only_what_is_wrong():
    loss = MulticlassHinge(0)
    assert loss(frozen([[3, 1, 4], [1, 5, 3]]), [0, 1]) == 0.5
    assert loss.backward().tolist() == [[-0.5, 0, 0.5], [0, 0, 0]]


@pytest.mark.rows("dtype", [np.float32, np.float64])
@pytest.mark.rows(("label", "value", "gradient"), [(0, 0, [0, 0, 0]), (1, 30_002, [1, -2, 1]), (2, 10_001, [1, 0, -1])])
def test_the_hinge_of_scores_of_ten_thousand_is_exact(label, value, gradient, dtype):
    loss = MulticlassHinge()
    assert loss(frozen([[1e4, -1e4, 0]], dtype), [label]) == value
    assert loss.backward().tolist() == [gradient]


@pytest.mark.rows("dtype", [np.float32, np.float64])
@pytest.mark.rows(("score", "margin"), [(1e4, 0.1), (-1e4, 0.1), (1e4, 1e-4), (1e8, 1.0)])
def test_the_margin_is_not_lost_among_large_scores(score, margin, dtype):
    loss = MulticlassHinge(margin)
    assert loss(frozen([[score, score, score]], dtype), [1]) == pytest.approx(2 * margin, rel=1e-6)
    assert loss.backward().tolist() == [[1, -2, 1]]


def test_the_prediction_of_the_hinge_is_the_scores():
    assert MulticlassHinge()(SCORES).tolist() == SCORES.tolist()


def test_the_right_answers_of_the_hinge_are_counted():
    loss = MulticlassHinge()
    loss(SCORES, [3, 1, 0])
    assert loss.count_correct() == (2, 3)
    loss(SCORES[2], 2)
    assert loss.count_correct() == (1, 1)


@pytest.mark.rows("dtype", [np.int8, np.uint8, np.int32, np.uint64])
def test_labels_of_the_hinge_may_be_of_any_integer_dtype(dtype):
    loss = MulticlassHinge()
    assert loss(SCORES, frozen([3, 1, 0], dtype)) == loss(SCORES, [3, 1, 0])
    scores = np.random.default_rng(0).normal(size=(300, 300))
    labels = np.arange(300) % 128
    assert loss(scores, labels.astype(dtype)) == loss(scores, labels)


@pytest.mark.rows(
    ("target", "kind", "parts"),
    [
        ([0, 4, 1], ValueError, ["label 4 at (1,)", "4 classes 0 to 3"]),
        ([0, 1, -1], ValueError, ["label -1 at (2,)", "4 classes 0 to 3"]),
        ([0.0, 1.0, 2.0], TypeError, ["integer labels", "float64"]),
        ([True, False, True], TypeError, ["integer labels", "bool"]),
        (["a", "b", "c"], TypeError, ["integer labels", "<U1"]),
        ([0, 1], ValueError, ["expected a target of shape (3,) (labels)", "got (2,)"]),
        ([[0], [1], [2]], ValueError, ["(3,) (labels)", "got (3, 1)"]),
        (np.eye(4)[:3], ValueError, ["(3,) (labels)", "got (3, 4); pass y.argmax(axis=-1)"]),
    ],
)
def test_a_bad_target_of_the_hinge_is_refused_with_what_is_wrong(target, kind, parts):
    loss = MulticlassHinge(0.5)
    with pytest.raises(kind) as caught:
        loss(SCORES, target)
    message = str(caught.value)
    assert message.startswith("MulticlassHinge(0.5): ")
    assert [part for part in parts if part not in message] == []


@pytest.mark.rows("margin", [-1, -1e-9, math.nan, math.inf])
def test_a_margin_out_of_range_is_refused(margin):
    with pytest.raises(ValueError, match="MulticlassHinge: expected margin to be at least 0 and finite"):
        MulticlassHinge(margin)


@pytest.mark.rows("margin", ["1", None, True, [1.0], 1j])
def test_a_margin_that_is_not_a_number_is_refused(margin):
    with pytest.raises(TypeError, match="MulticlassHinge: expected margin to be a number"):
        MulticlassHinge(margin)


def test_check_layer_passes_where_the_hinge_has_its_kinks():
    report = check_layer(MulticlassHinge(), np.array([[4.0, 5.0, 2.0], [1.0, 1.0, 0.0]]), [1, 0])
    assert sum(row.comparison.kinks for row in report.gradients) > 0


@pytest.mark.rows("loss", [SoftmaxCrossEntropy(), MulticlassHinge()], ids=repr)
def test_both_linear_classifiers_learn_three_clouds(loss):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 90)
    x = (np.array([[3, 0], [-3, 3], [-3, -3]])[y] + rng.normal(size=(90, 2)) / 2).astype(np.float32)
    model = Sequential(Linear(2, 3, rng=0), loss)
    history = fit(model, SGD(model.parameters(), lr=0.1), [(x[:60], y[:60])], epochs=100, progress=False)
    assert history["loss"][-1] < history["loss"][0] / 10
    assert evaluate(model, [(x[60:], y[60:])])["accuracy"] == 1.0
    assert np.array_equal(predict(model, x).argmax(axis=1), y)


@pytest.mark.rows("dtype", [np.float32, np.float64])
def test_the_shares_of_a_batch_are_divided_once_but_dloss_scales_every_backward(dtype):
    loss = SoftmaxCrossEntropy()
    z = np.random.default_rng(0).normal(size=(7, 5)).astype(dtype)
    y = np.array([0, 4, 2, 2, 1, 3, 0])
    expected = np.exp(z.astype(np.float64))
    expected /= expected.sum(axis=1, keepdims=True)
    value = -np.log(expected[np.arange(7), y]).mean()
    expected[np.arange(7), y] -= 1
    loose = 2e-6 if dtype is np.float32 else 1e-14
    assert loss(z, y) == pytest.approx(value, rel=loose)
    for dloss in (1.0, -3.0, 0.0, np.float64(0.5), 1.0):
        dscores = loss.backward(dloss)
        assert dscores.dtype == dtype
        np.testing.assert_allclose(dscores, expected * float(dloss) / 7, rtol=loose, atol=loose)


def test_weights_whose_sum_is_out_of_float32_still_divide_the_loss():
    z, y = np.array([[1, 2, 0], [0, 3, 1]], np.float32), np.array([2, 1])
    for scale in (1e-60, 1.0, 1e60):
        loss = SoftmaxCrossEntropy()
        assert loss(z, y, np.array([1.0, 3.0]) * scale) == pytest.approx(0.729286, rel=1e-5)
        assert abs(loss.backward()).max() == pytest.approx(0.227492, rel=1e-5)
