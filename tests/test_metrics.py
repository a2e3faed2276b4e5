"""Metrics, against values counted by hand."""

import numpy as np
import pytest

from minnet import accuracy, confusion_matrix

TRUE = [0, 2, 1, 2, 2]
LABELS = [0, 2, 2, 1, 2]
SCORES = [[3, 1, 2], [0.1, 0.2, 0.7], [-9, -8, -7], [0, 5, 4], [1, 2, 3]]  # the largest are those of LABELS


@pytest.mark.parametrize("predicted", [LABELS, SCORES, np.array(LABELS, np.uint8), np.array(SCORES, np.float32)])
def test_accuracy_is_the_share_that_is_right_of_labels_or_of_scores(predicted):
    result = accuracy(TRUE, predicted)
    assert result == 0.6 and type(result) is float


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint64])
def test_labels_of_any_integer_dtype_are_compared_by_value(dtype):
    assert accuracy(np.array([0, 1, 200], dtype), np.array([0, 1, 200])) == 1.0


def test_positions_count_like_samples():
    true = [[0, 1], [1, 0]]
    assert accuracy(true, [[0, 1], [0, 0]]) == 0.75
    assert accuracy(true, [[[2, 1], [1, 2]], [[2, 1], [2, 1]]]) == 0.75


def test_negative_labels_are_labels_to_accuracy():
    assert accuracy([-1, 1], [-1, -1]) == 0.5


@pytest.mark.parametrize("predicted", [LABELS, SCORES])
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


@pytest.mark.parametrize("metric", [accuracy, confusion_matrix])
@pytest.mark.parametrize(
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


@pytest.mark.parametrize(("true", "predicted"), [([-1, 0], [0, 0]), ([0, 0], [0, -2])])
def test_the_confusion_matrix_has_no_place_for_negative_labels(true, predicted):
    with pytest.raises(ValueError, match=r"confusion_matrix: .*-[12]"):
        confusion_matrix(true, predicted)


@pytest.mark.parametrize("metric", [accuracy, confusion_matrix])
def test_errors_name_the_metric(metric):
    with pytest.raises(ValueError, match=f"{metric.__name__}: "):
        metric([0, 1], [0, 1, 1])
