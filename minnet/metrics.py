"""How good predictions are: metric(y_true, y_pred), as in scikit-learn."""

from __future__ import annotations

import numpy as np
from numpy import ndarray as Array
from numpy.typing import ArrayLike


def accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """The share of predictions that are right, from 0 to 1.

    Shapes      y_true (...) integer labels   y_pred (...) labels, or (..., C) scores or probabilities

    Raises TypeError for labels that are not integers, ValueError for shapes that don't fit or no labels at all.

    >>> accuracy([2, 0, 1, 1], [2, 0, 1, 0])
    0.75
    """
    true, predicted = _labels("accuracy", y_true, y_pred)
    return float((true == predicted).mean())


def confusion_matrix(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """How often each label was taken for each: entry (i, j) counts labels i that were predicted as j.

    Shapes      y_true (...) integer labels   y_pred (...) labels, or (..., C) scores or probabilities
                result (C, C), without given C up to the largest label that occurs

    Raises TypeError for labels that are not integers, ValueError for shapes that don't fit, negative or no labels.

    >>> confusion_matrix([0, 1, 1], [0, 1, 0])
    array([[1, 0],
           [1, 1]])
    """
    true, predicted = _labels("confusion_matrix", y_true, y_pred)
    if min(true.min(), predicted.min()) < 0:
        raise ValueError(f"confusion_matrix: expected labels of at least 0, got {min(true.min(), predicted.min())}")
    given = np.shape(y_pred)[-1] if np.ndim(y_pred) > np.ndim(y_true) else 0
    classes = int(max(true.max() + 1, predicted.max() + 1, given))
    return np.bincount(true * classes + predicted, minlength=classes**2).reshape(classes, classes)


def _labels(metric: str, y_true: ArrayLike, y_pred: ArrayLike) -> tuple[Array, Array]:
    """Both as flat integer labels."""
    true, predicted = np.asarray(y_true), np.asarray(y_pred)
    if predicted.ndim == true.ndim + 1 and predicted.size:
        predicted = predicted.argmax(axis=-1)
    if true.shape != predicted.shape:
        with_classes = f"({', '.join([*map(str, true.shape), 'C'])})"
        raise ValueError(f"{metric}: expected y_pred of shape {true.shape} or {with_classes}, got {np.shape(y_pred)}")
    if not true.size:
        raise ValueError(f"{metric}: expected at least one label, got none")
    for name, y in (("y_true", true), ("y_pred", predicted)):
        if y.dtype.kind not in "iu":
            raise TypeError(f"{metric}: expected {name} to hold integer labels, got {y.dtype}")
    return true.reshape(-1).astype(np.intp), predicted.reshape(-1).astype(np.intp)
