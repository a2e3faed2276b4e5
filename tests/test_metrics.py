"""Metrics, against values counted by hand and those that scikit-learn gives."""

import re

import numpy as np
import pytest

from minnet import (
    SGD,
    BinaryCrossEntropy,
    Linear,
    MulticlassHinge,
    Sequential,
    SoftmaxCrossEntropy,
    accuracy,
    confusion_matrix,
    evaluate,
    fit,
    predict,
)
from minnet.metrics import classification_report, r2_score, top_k_accuracy

TRUE = [0, 2, 1, 2, 2]
LABELS = [0, 2, 2, 1, 2]
SCORES = [[3, 1, 2], [0.1, 0.2, 0.7], [-9, -8, -7], [0, 5, 4], [1, 2, 3]]  # the largest are those of LABELS


@pytest.mark.rows("predicted", [LABELS, SCORES, np.array(LABELS, np.uint8), np.array(SCORES, np.float32)])
def test_accuracy_is_the_share_that_is_right_of_labels_or_of_scores(predicted):
    result = accuracy(TRUE, predicted)
    assert result == 0.6 and type(result) is float


@pytest.mark.rows("dtype", [np.uint8, np.int16, np.uint64])
def test_labels_of_any_integer_dtype_are_compared_by_value(dtype):
    assert accuracy(np.array([0, 1, 200], dtype), np.array([0, 1, 200])) == 1.0


def test_positions_count_like_samples():
    true = [[0, 1], [1, 0]]
    assert accuracy(true, [[0, 1], [0, 0]]) == 0.75
    assert accuracy(true, [[[2, 1], [1, 2]], [[2, 1], [2, 1]]]) == 0.75


def test_negative_labels_are_labels_to_accuracy():
    assert accuracy([-1, 1], [-1, -1]) == 0.5


@pytest.mark.rows("predicted", [LABELS, SCORES])
def test_the_confusion_matrix_has_true_labels_down_and_predicted_ones_across(predicted):
    matrix = confusion_matrix(TRUE, predicted)
    assert matrix.tolist() == [[1, 0, 0], [0, 0, 1], [0, 1, 2]]
    assert np.issubdtype(matrix.dtype, np.integer)


def test_a_matrix_reaches_to_the_largest_label_on_either_side():
    assert confusion_matrix([0, 3], [0, 1]).shape == (4, 4)
    assert confusion_matrix([0, 1], [0, 3])[1, 3] == 1


def test_scores_tell_how_many_classes_there_are():
    assert confusion_matrix([0, 1], [[1, 0, 0, 0, 0], [0, 1, 0, 0, 0]]).tolist() == np.diag([1, 1, 0, 0, 0]).tolist()


def test_a_matrix_counts_every_prediction_and_its_diagonal_is_the_accuracy():
    rng = np.random.default_rng(0)
    true, predicted = rng.integers(0, 7, 500), rng.integers(0, 7, 500)
    matrix = confusion_matrix(true, predicted)
    assert matrix.sum() == 500
    assert matrix.sum(axis=1).tolist() == [int((true == label).sum()) for label in range(7)]
    assert matrix.trace() / 500 == accuracy(true, predicted)


def test_labels_in_bytes_may_be_of_many_classes():
    labels = np.arange(200, dtype=np.uint8)
    assert np.array_equal(confusion_matrix(labels, labels[::-1]), np.eye(200)[::-1])


@pytest.mark.rows("metric", [accuracy, confusion_matrix])
@pytest.mark.rows(
    ("true", "predicted", "error", "text"),
    [
        ([0, 1], [0, 1, 1], ValueError, r"shape \(2,\)"),
        ([0, 1], [[1, 2], [1, 2], [1, 2]], ValueError, r"\(3, 2\)"),
        ([[0], [1]], [0, 1], ValueError, r"shape \(2, 1\)"),
        ([0, 1], 1, ValueError, "shape"),
        ([], [], ValueError, "at least one"),
        ([], np.zeros((0, 3)), ValueError, r"\(0, 3\)"),
        ([0.0, 1.0], [0, 1], TypeError, "y_true"),
        ([0, 1], [0.2, 0.9], TypeError, "y_pred"),
        (["a", "b"], ["a", "b"], TypeError, "y_true"),
    ],
)
def test_what_are_not_labels_or_do_not_fit_is_refused(metric, true, predicted, error, text):
    with pytest.raises(error, match=text):
        metric(np.array(true), np.array(predicted))


@pytest.mark.rows(("true", "predicted"), [([-1, 0], [0, 0]), ([0, 0], [0, -2])])
def test_the_confusion_matrix_has_no_place_for_negative_labels(true, predicted):
    with pytest.raises(ValueError, match=r"confusion_matrix: .*-[12]"):
        confusion_matrix(true, predicted)


@pytest.mark.rows("metric", [accuracy, confusion_matrix])
def test_errors_name_the_metric(metric):
    with pytest.raises(ValueError, match=f"{metric.__name__}: "):
        metric([0, 1], [0, 1, 1])


OF_LABELS = pytest.mark.rows("metric", [accuracy, confusion_matrix, classification_report])


@pytest.mark.rows("dtype", [np.float32, np.float64])
def test_one_column_is_the_probability_of_class_one(dtype):
    true, p = [0, 1, 1, 0], np.array([[0.2], [0.51], [0.49], [0.5]], dtype)
    assert accuracy(true, p) == 0.75
    assert confusion_matrix(true, p).tolist() == [[2, 0], [1, 1]]
    assert classification_report(true, p)["1"]["recall"] == 0.5


def test_one_column_means_two_classes_even_if_one_never_occurs():
    assert confusion_matrix([0, 0], [[0.1], [0.2]]).tolist() == [[2, 0], [0, 0]]


@OF_LABELS
@pytest.mark.rows("dtype", [np.float32, np.float64, np.int64, np.uint8, bool])
def test_a_column_of_targets_goes_with_a_column_of_probabilities(metric, dtype):
    p = np.array([[0.2], [0.51], [0.49], [0.5]], np.float32)
    for true in ([[0], [1], [1], [0]], [0, 1, 1, 0]):
        np.testing.assert_equal(metric(np.array(true, dtype), p), metric([0, 1, 1, 0], p))


@pytest.mark.rows("dtype", [np.float32, np.int64])
def test_accuracy_is_what_fit_records_of_a_binary_classifier(dtype):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 3))
    y = (x[:, :1] + 0.5 * rng.normal(size=(50, 1)) > 0).astype(dtype)
    model = Sequential(Linear(3, 1, rng=0), BinaryCrossEntropy())
    metrics = {"acc": accuracy, "f1": lambda y, p: classification_report(y, p)["1"]["f1-score"]}
    history = fit(model, SGD(model.parameters(), 1.0), [(x, y)], 3, [(x, y)], metrics=metrics)
    assert history["val_acc"] == pytest.approx(history["val_accuracy"], rel=1e-12)
    assert len(set(history["val_acc"])) > 1 and 0 < history["val_f1"][-1] < 1
    assert accuracy(y, predict(model, x)) == history["val_acc"][-1]


def test_the_advice_for_several_questions_gives_what_fit_records():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 3))
    y = (x[:, :2] + 0.5 * rng.normal(size=(50, 2)) > 0).astype(np.float32)
    model = Sequential(Linear(3, 2, rng=0), BinaryCrossEntropy())
    p = predict(model, x)
    with pytest.raises(TypeError, match=re.escape("as a metric, lambda y, p: accuracy(y > 0.5, p > 0.5)")):
        accuracy(y, p)
    metrics = {"acc": lambda y, p: accuracy(y > 0.5, p > 0.5)}
    figures = evaluate(model, [(x, y)], metrics)
    assert figures["acc"] == pytest.approx(figures["accuracy"], rel=1e-12)


@OF_LABELS
@pytest.mark.rows("soft", [[[0.3], [1.0]], [[2.0], [1.0]], [[np.nan], [1.0]]])
def test_targets_that_are_neither_0_nor_1_are_refused_beside_probabilities(metric, soft):
    with pytest.raises(TypeError, match=f"{metric.__name__}: expected y_true to hold integer labels"):
        metric(soft, [[0.2], [0.9]])


@OF_LABELS
def test_labels_in_floats_are_refused_with_advice(metric):
    with pytest.raises(TypeError, match=r"expected y_true .* got float64; .* pass y_true.astype\(int\)$"):
        metric([0.0, 2.0], [0, 1])
    metric(np.array([0.0, 2.0]).astype(int), [0, 1])


@OF_LABELS
def test_a_single_sample_is_treated_as_several_are(metric):
    with pytest.raises(TypeError, match="for probabilities"):
        metric([1], [0.9])
    metric([1], [[0.9]])
    metric([[1]], [[0.9]])


@OF_LABELS
@pytest.mark.rows("column", [[[0], [1]], [[-3.0], [0.5]], [[0.5], [1.5]], [[0.5], [np.nan]]])
def test_one_column_of_anything_else_is_refused(metric, column):
    with pytest.raises(ValueError, match=rf"{metric.__name__}: .*\(2, 1\) to be probabilities of class 1"):
        metric([0, 1], column)


@OF_LABELS
def test_probabilities_in_the_shape_of_the_labels_are_refused_with_advice(metric):
    with pytest.raises(TypeError, match=rf"{metric.__name__}: expected y_pred .* pass y_pred > 0.5"):
        metric([0, 1], [0.2, 0.9])
    metric([0, 1], np.array([0.2, 0.9]) > 0.5)


@OF_LABELS
def test_scores_that_are_not_real_are_refused(metric):
    with pytest.raises(TypeError, match=f"{metric.__name__}: .*complex128"):
        metric([0, 1], [[1j, 0], [0, 1j]])


@OF_LABELS
@pytest.mark.rows(
    ("integer", "label", "dtype"),
    [(np.int32, 2**32, np.int64), (np.int32, 2**32, np.uint64), (np.int64, 2**63, np.uint64)],
)
def test_a_label_is_looked_at_by_its_value_however_many_bits_an_integer_has(monkeypatch, metric, integer, label, dtype):
    monkeypatch.setattr(np, "intp", integer)
    for true, predicted, name in (([0, label], [0, 0], "y_true"), ([0, 0], [0, label], "y_pred")):
        with pytest.raises(ValueError, match=rf"^{metric.__name__}: {name}: expected values that .* got {label}$"):
            metric(np.array(true, dtype), np.array(predicted, dtype))


@OF_LABELS
@pytest.mark.rows("texts", [["a", "b"], np.array(["a", "b"], object), np.array([b"a", b"b"])])
def test_labels_that_are_texts_are_told_how_to_be_numbered(metric, texts):
    advice = re.escape("with np.unique(labels, return_inverse=True)[1]")
    for true, predicted in ((texts, [0, 1]), ([0, 1], texts), (texts, texts), (texts, np.eye(2))):
        with pytest.raises(TypeError, match=rf"^{metric.__name__}: expected y_.* {advice}$"):
            metric(true, predicted)


@pytest.mark.rows("label", [10**9, 2**40, 2**63 - 1])
def test_a_matrix_of_more_classes_than_memory_holds_is_refused_with_how_to_number_them(label):
    with pytest.raises(ValueError, match=rf"few classes .* got {label + 1}; number .* with np.unique"):
        confusion_matrix([0, label], [0, 0])
    numbered = np.unique([0, label, 0, 0], return_inverse=True)[1]
    assert confusion_matrix(numbered[:2], numbered[2:]).tolist() == [[1, 0], [1, 0]]


class Sparse:
    """What is known of a sparse matrix: it makes itself dense."""

    def toarray(self):
        return np.eye(2)


@pytest.mark.rows(
    ("metric", "true", "predicted"),
    [
        (accuracy, [0, 1], [0, 1]),
        (confusion_matrix, [0, 1], [0, 1]),
        (classification_report, [0, 1], [0, 1]),
        (top_k_accuracy, [0, 1], [[1.0, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6]]),
        (r2_score, [1.0, 2.0], [1.0, 3.0]),
    ],
)
def test_what_an_array_would_lose_is_refused_with_what_to_do(metric, true, predicted):
    arrays = np.array(true), np.array(predicted)
    for i, array in enumerate(arrays):
        missing = array.astype(object)
        missing.flat[1] = None
        for bad, advice in (
            (np.ma.masked_array(array, np.arange(array.size).reshape(array.shape) == 1), "call its .filled(value)"),
            (Sparse(), "call its .toarray()"),
            (missing, "fill in or drop what is missing"),
            (tuple(np.atleast_1d(row) for row in array), "np.stack"),
        ):
            with pytest.raises(TypeError, match=re.escape(advice)) as caught:
                metric(*(bad if i == j else given for j, given in enumerate(arrays)))
            assert re.match(rf"{metric.__name__}: (expected )?{('y_true', 'y_pred')[i]}", str(caught.value))
        unmasked = [np.ma.masked_array(given) if i == j else given for j, given in enumerate(arrays)]
        np.testing.assert_equal(metric(*unmasked), metric(*arrays))


# The scores of five samples; the true label is the best, the second, the third, the last, the best again.
RANKED = ([0, 1, 2, 0, 2], [[5, 3, 1, 0], [0, 4, 1, 5], [9, 8, 7, 6], [1, 2, 3, 4], [0.1, 0.2, 0.5, 0.2]])


@pytest.mark.rows(("k", "expected"), [(1, 0.4), (2, 0.6), (3, 0.8), (np.int64(2), 0.6)])
def test_top_k_accuracy_asks_whether_the_label_is_among_the_best(k, expected):
    result = top_k_accuracy(*RANKED, k)
    assert result == expected and type(result) is float


def test_top_k_accuracy_looks_at_five_by_default():
    assert top_k_accuracy([0, 1], [[0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5]]) == 0.5


def test_top_k_accuracy_is_that_of_scikit_learn():
    true = [3, 4, 4, 2, 4, 4, 4, 0, 2, 3, 1, 1]
    scores = [
        [0.086, 0.237, 0.801, 0.582, 0.094],
        [0.433, 0.479, 0.16, 0.735, 0.114],
        [0.391, 0.517, 0.431, 0.587, 0.738],
        [0.956, 0.284, 0.649, 0.696, 0.293],
        [0.001, 0.973, 0.298, 0.314, 0.892],
        [0.585, 0.471, 0.773, 0.03, 0.707],
        [0.374, 0.091, 0.661, 0.931, 0.207],
        [0.63, 0.298, 0.742, 0.722, 0.219],
        [0.83, 0.658, 0.683, 0.82, 0.429],
        [0.759, 0.878, 0.102, 0.85, 0.394],
        [0.48, 0.146, 0.698, 0.292, 0.871],
        [0.275, 0.562, 0.4, 0.613, 0.197],
    ]
    # scikit-learn gives these for k from 1 to 4.
    expected = [0.08333333333333333, 0.5, 0.75, 0.8333333333333334]
    assert [top_k_accuracy(true, scores, k) for k in range(1, 5)] == pytest.approx(expected, rel=1e-15)


def test_of_equal_scores_the_first_is_the_highest_so_that_the_top_one_is_the_accuracy():
    assert [top_k_accuracy([label], [[1, 1, 1]], k=1) for label in range(3)] == [1, 0, 0]
    assert [top_k_accuracy([label], [[1, 1, 1]], k=2) for label in range(3)] == [1, 1, 0]
    rng = np.random.default_rng(0)
    true, scores = rng.integers(0, 4, 200), rng.integers(0, 3, (200, 4))
    assert top_k_accuracy(true, scores, k=1) == accuracy(true, scores)


def test_a_score_of_nan_is_no_hit():
    assert top_k_accuracy([0, 1], np.full((2, 4), np.nan), k=3) == 0.0


def test_top_k_accuracy_counts_positions_like_samples():
    true, scores = RANKED
    assert top_k_accuracy([true, true], [scores, scores], k=2) == 0.6


@pytest.mark.rows(
    ("true", "predicted", "k", "error", "text"),
    [
        ([0, 1], [0, 1], 1, ValueError, r"shape \(2, C\), got \(2,\)"),
        ([0, 1], [[0.1], [0.9]], 1, ValueError, r"shape \(2, C\), got \(2, 1\)"),
        ([0, 1], [[1, 2], [1, 2], [1, 2]], 1, ValueError, r"got \(3, 2\)"),
        ([], np.zeros((0, 3)), 1, ValueError, "at least one label"),
        ([0, 2], [[1, 2], [1, 2]], 1, ValueError, "from 0 to 1, got 0 to 2"),
        ([-1, 0], [[1, 2], [1, 2]], 1, ValueError, "got -1 to 0"),
        ([0.0, 1.0], [[1, 2], [1, 2]], 1, TypeError, "y_true"),
        ([0, 1], [["a", "b"], ["a", "b"]], 1, TypeError, "y_pred"),
        ([0, 1], [[1, 2], [1, 2]], 0, ValueError, "expected k .*got 0"),
        ([0, 1], [[1, 2], [1, 2]], 2, ValueError, "expected k below the 2 classes .*got 2"),
        ([0, 1], np.ones((2, 4)), 5, ValueError, "expected k below the 4 classes .*got 5"),
        ([0, 1], [[1, 2], [1, 2]], 1.0, TypeError, "expected k .*got 1.0"),
        ([0, 1], [[1, 2], [1, 2]], True, TypeError, "expected k .*got True"),
    ],
)
def test_what_has_no_top_k_is_refused(true, predicted, k, error, text):
    with pytest.raises(error, match=f"^top_k_accuracy: .*{text}"):
        top_k_accuracy(np.array(true), np.array(predicted), k)


# Label 1 is never predicted rightly, label 5 never predicted, and labels 3 and 4 do not occur.
REPORTED = ([0, 2, 1, 2, 2, 5, 0], [0, 2, 2, 1, 2, 0, 0])
TABLE = """\
              precision    recall  f1-score   support

           0       0.67      1.00      0.80         2
           1       0.00      0.00      0.00         1
           2       0.67      0.67      0.67         3
           5       0.00      0.00      0.00         1

    accuracy                           0.57         7
   macro avg       0.33      0.42      0.37         7
weighted avg       0.48      0.57      0.51         7"""


def test_the_report_has_the_numbers_of_scikit_learn():
    # scikit-learn gives these with output_dict=True and zero_division=0.
    expected = {
        "0": (0.6666666666666666, 1.0, 0.8, 2),
        "1": (0.0, 0.0, 0.0, 1),
        "2": (0.6666666666666666, 0.6666666666666666, 0.6666666666666666, 3),
        "5": (0.0, 0.0, 0.0, 1),
        "macro avg": (0.3333333333333333, 0.41666666666666663, 0.3666666666666667, 7),
        "weighted avg": (0.47619047619047616, 0.5714285714285714, 0.5142857142857143, 7),
    }
    report = classification_report(*REPORTED)
    assert list(report) == ["0", "1", "2", "5", "accuracy", "macro avg", "weighted avg"]
    assert report.pop("accuracy") == pytest.approx(0.5714285714285714, rel=1e-15)
    for name, row in report.items():
        assert list(row) == ["precision", "recall", "f1-score", "support"]
        assert tuple(row.values()) == pytest.approx(expected[name], rel=1e-15)


def test_the_report_prints_as_the_table_of_scikit_learn():
    assert str(classification_report(*REPORTED)) == TABLE
    assert repr(classification_report(*REPORTED)) == TABLE


def test_long_labels_widen_the_table():
    lines = str(classification_report([1234567890123, 0], [1234567890123, 0])).splitlines()
    assert lines[3].startswith("1234567890123  ") and len({len(line) for line in lines if line}) == 1


def test_the_report_takes_scores_positions_and_negative_labels():
    report = classification_report(TRUE, SCORES)
    assert isinstance(report, dict) and report == classification_report(TRUE, LABELS)
    assert classification_report([TRUE, TRUE], [LABELS, LABELS])["macro avg"]["support"] == 10
    assert list(classification_report([-1, 1], [1, 1]))[:2] == ["-1", "1"]


def test_a_report_of_perfect_predictions_is_one_throughout():
    report = classification_report([3, 1, 1], [3, 1, 1])
    assert report["accuracy"] == 1
    assert all(list(row.values())[:3] == [1, 1, 1] for name, row in report.items() if name != "accuracy")


def test_the_report_agrees_with_the_confusion_matrix():
    rng = np.random.default_rng(0)
    true, predicted = rng.integers(0, 6, 300), rng.integers(0, 6, 300)
    report, matrix = classification_report(true, predicted), confusion_matrix(true, predicted)
    for label in range(6):
        row, hits = report[str(label)], matrix[label, label]
        assert row["precision"] == pytest.approx(hits / matrix[:, label].sum())
        assert row["recall"] == pytest.approx(hits / matrix[label].sum())
        assert 1 / row["f1-score"] == pytest.approx((1 / row["precision"] + 1 / row["recall"]) / 2)
        assert row["support"] == matrix[label].sum()
    assert report["accuracy"] == report["weighted avg"]["recall"] == accuracy(true, predicted)


@pytest.mark.rows(
    ("true", "predicted", "expected"),
    [
        # scikit-learn gives these.
        ([3, -0.5, 2, 7], [2.5, 0, 2, 8], 0.9486081370449679),
        ([[0.5, 1], [-1, 1], [7, -6]], [[0, 2], [-1, 2], [8, -5]], 0.9368005266622779),
        ([[0.5, 3], [-1, 3], [7, 3]], [[0, 3], [-1, 3], [8, 3]], 0.9827188940092166),
        ([[0.5, 3], [-1, 3], [7, 3]], [[0, 3], [-1, 3], [8, 4]], 0.4827188940092166),
        # By hand.
        ([1, 2, 3], [1, 2, 3], 1),
        ([1, 2, 3], [2, 2, 2], 0),
        ([1, 2, 3], [3, 2, 1], -3),
        ([2, 2, 2], [2, 2, 2], 1),
        ([2, 2, 2], [2, 2, 3], 0),
        ([True, False], [1.0, 0.5], 0.5),
    ],
)
def test_r2_is_the_share_of_the_variance_that_is_explained(true, predicted, expected):
    result = r2_score(true, predicted)
    assert result == pytest.approx(expected, rel=1e-14, abs=1e-15) and type(result) is float


@pytest.mark.rows("n", [2, 3, 7, 100, 1000])
def test_a_constant_is_one_however_its_mean_is_rounded(n):
    for value in (0.1, 1 / 3, 1e-5, 123456.7):
        assert r2_score(np.full(n, value), np.full(n, value)) == 1.0
        assert r2_score(np.full(n, value), np.full(n, 2 * value)) == 0.0


@pytest.mark.rows("n", [2, 3, 7, 100, 1000])
def test_a_constant_is_one_beside_what_has_no_weight(n):
    weights = np.append(0, np.random.default_rng(0).uniform(size=n))
    for value in (0.1, 1 / 3, 1e-5, 123456.7):
        y = np.append(5.3, np.full(n, value))
        assert r2_score(y, y, sample_weight=weights) == 1.0
        assert r2_score(y, 2 * y, sample_weight=weights) == 0.0


def test_a_column_and_a_row_of_numbers_are_compared_one_by_one():
    y, p = np.array([1.0, 2, 3]), np.array([1.0, 2, 2])
    assert r2_score(y, p[:, None]) == r2_score(y[:, None], p) == r2_score(y, p) == 0.5


def test_small_integers_do_not_wrap_around():
    assert r2_score(np.array([0, 200], np.uint8), np.array([200, 0], np.uint8)) == -3.0
    assert r2_score(np.array([0, 2**31 - 1], np.int32), np.array([2**31 - 1, 0], np.int32)) == -3.0


def test_r2_of_float32_is_computed_in_float64():
    y = np.array([1e6, 1e6 + 1, 1e6 + 2], np.float32)
    assert r2_score(y, y + np.float32(1)) == -0.5


@pytest.mark.rows(
    ("true", "predicted", "error", "text"),
    [
        ([1, 2], [1, 2, 3], ValueError, r"\(2,\) and \(3,\)"),
        ([1, 2], [[1, 2], [1, 2]], ValueError, r"\(2,\) and \(2, 2\)"),
        ([1, 2], [[1, 2]], ValueError, r"\(2,\) and \(1, 2\)"),
        ([1], [1], ValueError, "at least two samples"),
        ([], [], ValueError, "at least two samples"),
        (1.0, 1.0, ValueError, "at least two samples"),
        (np.zeros((3, 0)), np.zeros((3, 0)), ValueError, "at least two samples"),
        ([1, np.nan], [1, 2], ValueError, "y_true to be finite"),
        ([1, 2], [1, np.inf], ValueError, "y_pred to be finite"),
        ([1, 2], [1j, 2], TypeError, "y_pred"),
        (["a", "b"], [1, 2], TypeError, "y_true"),
    ],
)
def test_what_has_no_variance_to_explain_is_refused(true, predicted, error, text):
    with pytest.raises(error, match=f"^r2_score: .*{text}"):
        r2_score(np.array(true), np.array(predicted))


# Sample weights. Of TRUE, LABELS are right at first, at second and at last.


@pytest.mark.rows("predicted", [LABELS, SCORES])
def test_a_weighted_accuracy_is_the_share_of_the_weights(predicted):
    assert accuracy(TRUE, predicted, sample_weight=[1, 2, 3, 4, 0]) == 0.3
    assert accuracy(TRUE, predicted, sample_weight=[1, 2, 0, 0, 4]) == 1.0
    assert accuracy(TRUE, predicted, sample_weight=np.full(5, 0.1)) == pytest.approx(0.6, rel=1e-15)


def test_weights_are_those_of_samples_or_of_positions():
    true, predicted = [[0, 1], [1, 0]], [[0, 1], [0, 0]]
    assert accuracy(true, predicted, sample_weight=[1, 3]) == 0.625
    assert accuracy(true, predicted, sample_weight=[[1, 2], [3, 4]]) == 0.7
    assert confusion_matrix(true, predicted, sample_weight=[1, 3]).tolist() == [[4, 0], [3, 1]]
    assert accuracy([[0], [1]], [[0.2], [0.4]], sample_weight=[3, 1]) == 0.75


@pytest.mark.rows(("k", "expected"), [(1, 0.1), (2, 0.3), (3, 0.6)])
def test_a_weighted_top_k_accuracy_is_the_share_of_the_weights(k, expected):
    assert top_k_accuracy(*RANKED, k, sample_weight=[1, 2, 3, 4, 0]) == expected


def test_a_weighted_confusion_matrix_has_sums_of_weights():
    matrix = confusion_matrix(TRUE, LABELS, sample_weight=[1, 2, 3, 4, 0.5])
    assert matrix.tolist() == [[1, 0, 0], [0, 0, 3], [0, 4, 2.5]]


def test_a_weighted_report_has_shares_and_supports_of_weights():
    report = classification_report(TRUE, LABELS, sample_weight=[1, 2, 3, 4, 0.5])
    rows = {name: row if name == "accuracy" else list(row.values()) for name, row in report.items()}
    assert rows.pop("accuracy") == pytest.approx(1 / 3, rel=1e-15)
    assert rows == {
        "0": [1.0, 1.0, 1.0, 1.0],
        "1": [0.0, 0.0, 0.0, 3.0],
        "2": pytest.approx([5 / 11, 5 / 13, 5 / 12, 6.5], rel=1e-15),
        "macro avg": pytest.approx([16 / 33, 6 / 13, 17 / 36, 10.5], rel=1e-15),
        "weighted avg": pytest.approx([87 / 231, 1 / 3, 89 / 252, 10.5], rel=1e-15),
    }
    assert type(report["0"]["support"]) is float
    assert type(classification_report(TRUE, LABELS)["0"]["support"]) is int
    tenths = str(classification_report([0, 0, 1], [0, 0, 1], sample_weight=[0.1, 0.2, 0.25])).splitlines()
    assert [line.split()[-1] for line in tenths if line][1:] == ["0.3", "0.25", "0.55", "0.55", "0.55"]


def test_a_class_whose_weights_are_all_zero_has_shares_of_zero():
    report = classification_report([0, 1, 1], [0, 1, 0], sample_weight=[2, 0, 0])
    assert list(report["1"].values()) == [0, 0, 0, 0] and report["accuracy"] == 1


@pytest.mark.rows(
    ("true", "predicted", "weights", "expected"),
    [
        ([1, 2, 3], [1, 2, 2], [1, 1, 2], 3 / 11),
        ([1, 2, 3], [1, 2, 2], [1, 1, 0], 1),
        ([[1, 1], [2, 2], [3, 3]], [[1, 1], [2, 2], [2, 3]], [1, 1, 2], 7 / 11),
        ([[1, 1], [2, 2], [3, 3]], [[1, 1], [2, 2], [2, 2]], [[1, 1], [1, 1], [2, 0]], 7 / 11),
        ([5, 0.1, 0.1, 0.1], [5, 0.1, 0.1, 0.1], [0, 1, 1, 1], 1),
        ([5, 0.1, 0.1, 0.1], [5, 0.2, 0.1, 0.1], [0, 1, 1, 1], 0),
    ],
)
def test_a_weighted_r2_is_the_share_of_the_weighted_variance(true, predicted, weights, expected):
    assert r2_score(true, predicted, sample_weight=weights) == pytest.approx(expected, rel=1e-14)


WEIGHED = pytest.mark.rows(
    ("metric", "true", "predicted"),
    [
        *[(metric, TRUE, LABELS) for metric in (accuracy, confusion_matrix, classification_report)],
        (lambda *arrays, **options: top_k_accuracy(*arrays, k=2, **options), *RANKED),
        (r2_score, [1.0, 2, 4, 3, 0], [1.5, 2, 3, 3, 1]),
    ],
)


@WEIGHED
@pytest.mark.rows("times", [[1, 2, 3, 1, 2], [3, 1, 1, 1, 1]])
def test_a_weight_is_how_often_a_sample_counts(metric, true, predicted, times):
    got = metric(true, predicted, sample_weight=times)
    expected = metric(np.repeat(true, times), np.repeat(predicted, times, axis=0))
    if isinstance(got, dict):
        assert got.pop("accuracy") == pytest.approx(expected.pop("accuracy"), rel=1e-14)
        got, expected = ([[*row.values()] for row in report.values()] for report in (got, expected))
    np.testing.assert_allclose(got, expected, rtol=1e-14)


@WEIGHED
@pytest.mark.rows(
    ("weights", "error", "text"),
    [
        ([1, 2], ValueError, r"expected sample_weight of shape \(5,\), got \(2,\)"),
        (1.0, ValueError, r"got \(\)"),
        ([[1], [1], [1], [1], [1]], ValueError, r"got \(5, 1\)"),
        ([1, -1, 1, 1, 1], ValueError, "finite and at least 0, and one above 0"),
        ([1, np.nan, 1, 1, 1], ValueError, "finite and at least 0"),
        ([1, np.inf, 1, 1, 1], ValueError, "finite and at least 0"),
        ([0, 0, 0, 0, 0], ValueError, "one above 0"),
        (["a", "b", "c", "d", "e"], TypeError, "sample_weight: expected real numbers"),
        (np.ma.masked_equal([1, 2, 3, 4, 5], 2), TypeError, "masked"),
        ([None, 1, 1, 1, 1], TypeError, "sample_weight: expected real numbers"),
    ],
)
def test_weights_that_are_none_or_do_not_fit_are_refused(metric, true, predicted, weights, error, text):
    with pytest.raises(error, match=text):
        metric(true, predicted, sample_weight=weights)


def test_each_output_of_r2_needs_a_weight():
    with pytest.raises(ValueError, match="a sample_weight above 0 for each output"):
        r2_score(np.eye(2), np.eye(2), sample_weight=[[1, 0], [1, 0]])


def test_with_weights_too_accuracy_is_what_evaluate_says():
    rng = np.random.default_rng(0)
    x, s = rng.normal(size=(50, 3)), rng.uniform(size=50) * (np.arange(50) % 2)
    y = (x[:, :1] + 0.5 * rng.normal(size=(50, 1)) > 0).astype(int)
    for target, loss in ((y, BinaryCrossEntropy()), (y[:, 0], SoftmaxCrossEntropy()), (y[:, 0], MulticlassHinge())):
        model = Sequential(Linear(3, 1 if target.ndim > 1 else 3, rng=0), loss)
        batches = [(x[:20], target[:20], s[:20]), (x[20:], target[20:], s[20:])]
        figures = evaluate(model, batches, {"acc": accuracy})
        assert figures["acc"] == pytest.approx(figures["accuracy"], rel=1e-12)
        assert figures["accuracy"] != pytest.approx(evaluate(model, [(x, target)])["accuracy"], rel=1e-3)


@pytest.mark.rows(
    ("metric", "true", "predicted"),
    [
        *[(metric, TRUE, SCORES) for metric in (accuracy, confusion_matrix, classification_report)],
        (top_k_accuracy, [0, 5], np.eye(6)[:2]),
        (classification_report, TRUE, LABELS),
        (r2_score, [1.0, 2.0, 3.0], [2.0, 2.0, 3.0]),
    ],
)
def test_metrics_write_into_nothing(metric, true, predicted):
    arrays = np.array(true), np.array(predicted)
    for array in arrays:
        array.flags.writeable = False
    metric(*arrays)


def test_the_advice_for_rows_of_probabilities_as_targets_gives_the_accuracy():
    y, p = np.eye(3)[[0, 1, 2, 2]], np.eye(3)[[0, 2, 2, 1]] * 0.8 + 0.05
    with pytest.raises(TypeError, match=r"lambda y, p: accuracy\(y.argmax\(axis=-1\), p\)"):
        accuracy(y, p)
    assert accuracy(y.argmax(axis=-1), p) == 0.5
