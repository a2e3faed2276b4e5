"""How good predictions are: metric(y_true, y_pred), as in scikit-learn.

Of classes, y_pred is what a model gives: labels like those of y_true; scores or probabilities with one axis more, for
the classes; or for two classes that axis of length 1, the probability of class 1, which is predicted above 0.5; y_true
may have it then too. Of several questions, yes or no, `lambda y, p: accuracy(y > 0.5, p > 0.5)` is the accuracy that
fit records, and of rows of probabilities as targets `lambda y, p: accuracy(y.argmax(axis=-1), p)`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import ndarray as Array
from numpy.typing import ArrayLike


def accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """The share of predictions that are right, from 0 to 1.

    Shapes      y_true (...) integer labels   y_pred (...) labels, (..., C) scores, or (..., 1) probabilities of class 1
                or beside the latter y_true (..., 1), also as 0.0 and 1.0

    With labels and what predict gives, it is the accuracy that fit records: for a BinaryCrossEntropy of one question
    too.
    Raises TypeError for labels that are not integers, ValueError for shapes that don't fit or no labels at all.

    >>> accuracy([2, 0, 1, 1], [2, 0, 1, 0])
    0.75
    >>> accuracy([[0.0], [1.0]], [[0.2], [0.9]])
    1.0
    """
    true, predicted, _ = _labels("accuracy", y_true, y_pred)
    return float((true == predicted).mean())


def top_k_accuracy(y_true: ArrayLike, y_pred: ArrayLike, k: int = 5) -> float:
    """The share of samples whose label is among the k classes with the highest scores, from 0 to 1.

    Shapes      y_true (...) integer labels   y_pred (..., C) scores or probabilities

    Of equal scores the first is the highest, as in accuracy, which this is for k = 1; scikit-learn takes the last.
    Raises TypeError for labels or a k that are not integers; ValueError for shapes that don't fit, no labels, labels
    outside of 0 … C − 1, or a k outside of 1 … C − 1: with k = C it would always be 1.

    >>> top_k_accuracy([2, 0], [[0.5, 0.2, 0.3], [0.1, 0.6, 0.3]], k=2)
    0.5
    """
    true, scores = np.asarray(y_true), np.asarray(y_pred)
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)):
        raise TypeError(f"top_k_accuracy: expected k to be an int, got {k!r}")
    if k < 1:
        raise ValueError(f"top_k_accuracy: expected k to be at least 1, got {k}")
    if scores.shape[:-1] != true.shape or scores.ndim == 0 or scores.shape[-1] < 2:
        raise ValueError(f"top_k_accuracy: expected y_pred of shape {_with_classes(true.shape)}, got {scores.shape}")
    if scores.dtype.kind not in "biuf":
        raise TypeError(f"top_k_accuracy: expected y_pred to hold scores, got {scores.dtype}")
    if k >= (C := scores.shape[-1]):
        raise ValueError(f"top_k_accuracy: expected k below the {C} classes of y_pred, got {k}; with all it is 1")
    y, scores = _flat("top_k_accuracy", "y_true", true), scores.reshape(-1, scores.shape[-1])
    if y.min() < 0 or y.max() >= C:
        raise ValueError(f"top_k_accuracy: expected labels from 0 to {C - 1}, got {y.min()} to {y.max()}")
    own = np.take_along_axis(scores, y[:, None], axis=1)
    # Not "higher" but "not lower", so that a score of NaN is never a hit.
    ahead = np.where(np.arange(C) < y[:, None], ~(scores < own), ~(scores <= own))
    ahead[np.arange(len(y)), y] = False
    return float((ahead.sum(axis=1) < k).mean())


def confusion_matrix(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """How often each label was taken for each: entry (i, j) counts labels i that were predicted as j.

    Shapes      y_true, y_pred as in accuracy: labels, or scores or probabilities as predictions
                result (C, C), without given C up to the largest label that occurs

    Raises TypeError for labels that are not integers, ValueError for shapes that don't fit, negative or no labels.

    >>> confusion_matrix([0, 1, 1], [0, 1, 0])
    array([[1, 0],
           [1, 1]])
    """
    true, predicted, given = _labels("confusion_matrix", y_true, y_pred)
    if min(true.min(), predicted.min()) < 0:
        raise ValueError(f"confusion_matrix: expected labels of at least 0, got {min(true.min(), predicted.min())}")
    classes = int(max(true.max() + 1, predicted.max() + 1, given))
    return np.bincount(true * classes + predicted, minlength=classes**2).reshape(classes, classes)


class ClassificationReport(dict[str, Any]):
    """What classification_report found: a dict with scikit-learn's keys that prints as its table."""

    def __str__(self) -> str:
        width = max(map(len, self))
        lines = [f"{'':>{width}}  {'precision':>9} {'recall':>9} {'f1-score':>9} {'support':>9}", ""]
        for name, row in self.items():
            if name == "accuracy":
                lines += ["", f"{name:>{width}}  {'':>9} {'':>9} {row:>9.2f} {self['macro avg']['support']:>9}"]
            else:
                *shares, support = row.values()
                lines.append(f"{name:>{width}}  {' '.join(f'{share:>9.2f}' for share in shares)} {support:>9}")
        return "\n".join(lines)

    __repr__ = __str__


def classification_report(y_true: ArrayLike, y_pred: ArrayLike) -> ClassificationReport:
    """How well each class is found, and how much of what is taken for it is right.

    Shapes      y_true, y_pred as in accuracy: labels, or scores or probabilities as predictions

    For each label that occurs in either, by its name ("0"), a dict of
        precision   the share of its predictions that are right
        recall      the share of its samples that are predicted as it
        f1-score    2 · precision · recall / (precision + recall)
        support     the number of its samples
    each share from 0 to 1, and 0 where there is nothing to take a share of. "accuracy" is the share of all that is
    right; "macro avg" has the means over the labels, "weighted avg" those weighted by support.
    Raises TypeError for labels that are not integers, ValueError for shapes that don't fit or no labels at all.

    >>> report = classification_report([0, 1, 1, 2], [0, 1, 2, 2])
    >>> report["1"]["recall"]
    0.5
    >>> print(report)
                  precision    recall  f1-score   support
    <BLANKLINE>
               0       1.00      1.00      1.00         1
               1       1.00      0.50      0.67         2
               2       0.50      1.00      0.67         1
    <BLANKLINE>
        accuracy                           0.75         4
       macro avg       0.83      0.83      0.78         4
    weighted avg       0.88      0.75      0.75         4
    """
    true, predicted, _ = _labels("classification_report", y_true, y_pred)
    names, index = np.unique(np.concatenate([true, predicted]), return_inverse=True)
    taken, support = (np.bincount(part, minlength=len(names)) for part in (index[len(true) :], index[: len(true)]))
    right = np.bincount(index[: len(true)][true == predicted], minlength=len(names))
    # 2 right / (taken + support) is the f1-score without the quotients in it, so that only "never seen" divides by 0.
    shares = np.stack([_share(right, taken), _share(right, support), _share(2 * right, taken + support)])
    rows = [*shares.T, shares.mean(axis=1), shares @ support / support.sum()]
    counts = [*support, support.sum(), support.sum()]
    keys = ("precision", "recall", "f1-score")
    tables = [dict(zip(keys, map(float, row))) | {"support": int(count)} for row, count in zip(rows, counts)]
    return ClassificationReport(
        dict(zip(map(str, names.tolist()), tables))
        | {"accuracy": float(right.sum() / len(true)), "macro avg": tables[-2], "weighted avg": tables[-1]}
    )


def r2_score(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """The share of the variance of a target that a regression explains: at most 1, and 0 for predicting the mean.

    Score       1 − Σ (y − ŷ)² / Σ (y − ȳ)², of several outputs the mean

    Shapes      y_true, y_pred (N, ...), or one of them (N,) and the other (N, 1)

    For a target that is constant, the score is 1 if it is met exactly and 0 if not, as in scikit-learn, whose sums
    make a large negative number of some constants.
    Raises TypeError for what is not real; ValueError for shapes that don't fit, fewer than two samples, or values
    that are not finite.

    >>> r2_score([1.0, 2.0, 3.0], [1.0, 2.0, 2.0])
    0.5
    """
    y, p = np.asarray(y_true), np.asarray(y_pred)
    if y.shape != p.shape and {y.shape, p.shape} != {(y.size,), (y.size, 1)}:
        raise ValueError(f"r2_score: expected y_true and y_pred of one shape, got {y.shape} and {p.shape}")
    if y.ndim == 0 or len(y) < 2 or not y.size:
        raise ValueError(f"r2_score: expected at least two samples, got shape {y.shape}")
    for name, values in (("y_true", y), ("y_pred", p)):
        if values.dtype.kind not in "biuf":
            raise TypeError(f"r2_score: expected {name} to hold real numbers, got {values.dtype}")
        if not np.isfinite(values).all():
            raise ValueError(f"r2_score: expected {name} to be finite")
    y, p = (values.reshape(len(y), -1).astype(np.float64) for values in (y, p))
    left = ((y - p) ** 2).sum(axis=0)
    y = y - y[0]  # so that of constants nothing is left, however their mean is rounded
    whole = ((y - y.mean(axis=0)) ** 2).sum(axis=0)
    unexplained = np.divide(left, whole, out=(left > 0).astype(np.float64), where=whole > 0)
    return float((1 - unexplained).mean())


def _labels(metric: str, y_true: ArrayLike, y_pred: ArrayLike) -> tuple[Array, Array, int]:
    """Both as flat integer labels, and how many classes y_pred has an axis for, or 0."""
    true, predicted, classes = np.asarray(y_true), np.asarray(y_pred), 0
    advice = "; of labels in floats, pass y_true.astype(int)" if true.dtype.kind == "f" else ""
    if true.shape == predicted.shape and predicted.dtype.kind == "f":
        advice = f"; of probabilities, pass y_pred > 0.5: as a metric, lambda y, p: {metric}(y > 0.5, p > 0.5)"
        if true.ndim > 1 and true.shape[-1] == 1:
            true = true[..., 0]
        elif true.ndim > 1 and true.dtype.kind in "biuf" and (true.sum(axis=-1) == 1).all():
            advice = f"; of one row of 0 and 1 a sample, lambda y, p: {metric}(y.argmax(axis=-1), p)"
    if predicted.ndim == true.ndim + 1 and predicted.size:
        if predicted.shape[-1] == 1 and true.dtype.kind == "f" and ((true == 0) | (true == 1)).all():
            true = true.astype(np.intp)
        predicted, classes = _decided(metric, predicted)
    if true.shape != predicted.shape:
        expected = f"{true.shape} or {_with_classes(true.shape)}"
        raise ValueError(f"{metric}: expected y_pred of shape {expected}, got {np.shape(y_pred)}")
    return _flat(metric, "y_true", true, advice), _flat(metric, "y_pred", predicted, advice), classes


def _decided(metric: str, scores: Array) -> tuple[Array, int]:
    """The likeliest labels, and of how many classes."""
    if scores.dtype.kind not in "biuf":
        raise TypeError(f"{metric}: expected y_pred to hold scores, got {scores.dtype}")
    if scores.shape[-1] > 1:
        return scores.argmax(axis=-1), scores.shape[-1]
    if scores.dtype.kind != "f" or not ((scores >= 0) & (scores <= 1)).all():
        raise ValueError(
            f"{metric}: expected y_pred of shape {scores.shape} to be probabilities of class 1, floats from 0 to 1; "
            "drop the last axis if they are labels"
        )
    return (scores[..., 0] > 0.5).astype(np.intp), 2


def _flat(metric: str, name: str, labels: Array, advice: str = "") -> Array:
    if not labels.size:
        raise ValueError(f"{metric}: expected at least one label, got none")
    if labels.dtype.kind not in "biu":
        raise TypeError(f"{metric}: expected {name} to hold integer labels, got {labels.dtype}{advice}")
    return labels.reshape(-1).astype(np.intp)


def _share(part: Array, whole: Array) -> Array:
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)


def _with_classes(shape: tuple[int, ...]) -> str:
    return f"({', '.join([*map(str, shape), 'C'])})"
