"""How good predictions are: metric(y_true, y_pred), as in scikit-learn.

For classes, y_pred is what a model returns: labels; scores or probabilities with a last axis for the classes; or, for
two classes, the probability of class 1 with a last axis of length 1, where more than 0.5 predicts class 1. The accuracy
that fit records without sample weights is `lambda y, p: accuracy(y > 0.5, p > 0.5)` for several yes-or-no outputs, and
for targets that are rows of probabilities `lambda y, p: accuracy(y.argmax(axis=-1), p)`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import ndarray as Array
from numpy.typing import ArrayLike

from .arguments import REAL, cast_array, plain_array, real_array

NUMBERED = "np.unique(labels, return_inverse=True)[1]"


def accuracy(y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None) -> float:
    """The share of predictions that are right, from 0 to 1; with weights, the share of their weights.

    Shapes      y_true (...) integer labels   y_pred (...) labels, (..., C) scores, or (..., 1) probabilities of class 1
                with the last, y_true may be (..., 1) too, and hold 0.0 and 1.0
                sample_weight (N,) or (...)

    Given labels and the result of predict, this is the accuracy that fit records, also for a BinaryCrossEntropy with
    one output.
    Raises TypeError for labels that are not integers, ValueError for shapes that don't fit or no labels at all.

    >>> accuracy([2, 0, 1, 1], [2, 0, 1, 0])
    0.75
    >>> accuracy([[0.0], [1.0]], [[0.2], [0.9]])
    1.0
    """
    true, predicted, _ = _labels("accuracy", y_true, y_pred)
    return _mean(true == predicted, _weights("accuracy", sample_weight, np.shape(y_true)))


def top_k_accuracy(
    y_true: ArrayLike, y_pred: ArrayLike, k: int = 5, *, sample_weight: ArrayLike | None = None
) -> float:
    """The share of samples whose label is among the k classes with the highest scores, from 0 to 1.

    Shapes      y_true (...) integer labels   y_pred (..., C) scores or probabilities   sample_weight (N,) or (...)

    Ties go to the first class, as in accuracy, which this equals for k = 1; in scikit-learn they go to the last.
    Raises TypeError for labels or a k that are not integers; ValueError for shapes that don't fit, no labels, labels
    outside of 0 … C − 1, or a k outside of 1 … C − 1: with k = C it would always be 1.

    >>> top_k_accuracy([2, 0], [[0.5, 0.2, 0.3], [0.1, 0.6, 0.3]], k=2)
    0.5
    """
    true, scores = (plain_array("top_k_accuracy", *pair) for pair in (("y_true", y_true), ("y_pred", y_pred)))
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)):
        raise TypeError(f"top_k_accuracy: expected k to be an int, got {k!r}")
    if k < 1:
        raise ValueError(f"top_k_accuracy: expected k to be at least 1, got {k}")
    if scores.shape[:-1] != true.shape or scores.ndim == 0 or scores.shape[-1] < 2:
        raise ValueError(f"top_k_accuracy: expected y_pred of shape {_with_classes(true.shape)}, got {scores.shape}")
    if scores.dtype.kind not in REAL:
        raise TypeError(f"top_k_accuracy: expected y_pred to hold scores, got {scores.dtype}")
    if k >= (C := scores.shape[-1]):
        raise ValueError(f"top_k_accuracy: expected k below the {C} classes of y_pred, got {k}; with all it is 1")
    y, scores = _flat("top_k_accuracy", "y_true", true), scores.reshape(-1, scores.shape[-1])
    if y.min() < 0 or y.max() >= C:
        raise ValueError(f"top_k_accuracy: expected labels from 0 to {C - 1}, got {y.min()} to {y.max()}")
    label_score = np.take_along_axis(scores, y[:, None], axis=1)
    # Not "higher" but "not lower", so that a score of NaN is never a hit.
    ahead = np.where(np.arange(C) < y[:, None], ~(scores < label_score), ~(scores <= label_score))
    ahead[np.arange(len(y)), y] = False
    return _mean(ahead.sum(axis=1) < k, _weights("top_k_accuracy", sample_weight, true.shape))


def confusion_matrix(y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None) -> Array:
    """How often each label was predicted as each: entry (i, j) counts labels i that were predicted as j.

    Shapes      y_true, y_pred, sample_weight as in accuracy: labels, or scores or probabilities as predictions
                result (C, C); if both are labels, C is one more than the largest that occurs

    The entries are ints; with weights, floats, the sums of the weights.

    Raises TypeError for labels that are not integers, ValueError for shapes that don't fit, negative or no labels.

    >>> confusion_matrix([0, 1, 1], [0, 1, 0])
    array([[1, 0],
           [1, 1]])
    """
    true, predicted, given = _labels("confusion_matrix", y_true, y_pred)
    if min(true.min(), predicted.min()) < 0:
        raise ValueError(f"confusion_matrix: expected labels of at least 0, got {min(true.min(), predicted.min())}")
    w = _weights("confusion_matrix", sample_weight, np.shape(y_true))
    classes = max(int(true.max()) + 1, int(predicted.max()) + 1, given)
    try:
        counts = np.bincount(true * classes + predicted, w, minlength=classes**2)
    except (MemoryError, OverflowError, ValueError):
        raise ValueError(
            f"confusion_matrix: expected so few classes that their matrix fits into memory, got {classes}; number the "
            f"labels of both with {NUMBERED}"
        ) from None
    return counts.reshape(classes, classes)


class ClassificationReport(dict[str, Any]):
    """What classification_report found: a dict with scikit-learn's keys that prints as its table."""

    def __str__(self) -> str:
        width = max(map(len, self))
        lines = [f"{'':>{width}}  {'precision':>9} {'recall':>9} {'f1-score':>9} {'support':>9}", ""]
        for name, row in self.items():
            if name == "accuracy":
                lines += [
                    "",
                    f"{name:>{width}}  {'':>9} {'':>9} {row:>9.2f} {round(self['macro avg']['support'], 2):>9}",
                ]
            else:
                *shares, support = row.values()
                shown = " ".join(f"{share:>9.2f}" for share in shares)
                lines.append(f"{name:>{width}}  {shown} {round(support, 2):>9}")
        return "\n".join(lines)

    __repr__ = __str__


def classification_report(
    y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None
) -> ClassificationReport:
    """Precision, recall and F1 score of each class, and their averages.

    Shapes      y_true, y_pred, sample_weight as in accuracy: labels, or scores or probabilities as predictions

    For each label that occurs in either, by its name ("0"), a dict of
        precision   the share of its predictions that are right
        recall      the share of its samples that are predicted correctly
        f1-score    2 · precision · recall / (precision + recall)
        support     the number of its samples, or the sum of their weights
    Each share is from 0 to 1, and 0 if there is nothing to take a share of. "accuracy" is the share of all predictions
    that are right; "macro avg" has the means over the labels, "weighted avg" those weighted by support.
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
    w, right = _weights("classification_report", sample_weight, np.shape(y_true)), true == predicted
    support, predictions = (np.bincount(part, w, len(names)) for part in np.split(index, 2))
    correct = np.bincount(index[: len(true)][right], None if w is None else w[right], len(names))
    # F1 as 2 correct / (predictions + support), which is 0 only where all weights are.
    f1 = _share(2 * correct, predictions + support)
    shares = np.stack([_share(correct, predictions), _share(correct, support), f1])
    rows = [*shares.T, shares.mean(axis=1), shares @ support / support.sum()]
    counts = [*support, support.sum(), support.sum()]  # ints, or floats if there are weights
    keys = ("precision", "recall", "f1-score")
    tables = [dict(zip(keys, map(float, row))) | {"support": count.item()} for row, count in zip(rows, counts)]
    return ClassificationReport(
        dict(zip(map(str, names.tolist()), tables))
        | {"accuracy": float(correct.sum() / support.sum()), "macro avg": tables[-2], "weighted avg": tables[-1]}
    )


def r2_score(y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None) -> float:
    """The share of the variance of a target that a regression explains: at most 1, and 0 for predicting the mean.

    Score       1 − Σ w (y − ŷ)² / Σ w (y − ȳ)²,  ȳ = Σ w y / Σ w,  averaged over several outputs

    Shapes      y_true, y_pred (N, ...), or one of them (N,) and the other (N, 1)   sample_weight w (N,) or (N, ...)

    A constant target scores 1 if predicted exactly, else 0, as in scikit-learn, except that rounding there turns the
    score of some constants into a large negative number.
    Raises TypeError for what is not real; ValueError for shapes that don't fit, fewer than two samples, or values
    that are not finite.

    >>> r2_score([1.0, 2.0, 3.0], [1.0, 2.0, 2.0])
    0.5
    """
    y, p = real_array("r2_score: y_true", y_true), real_array("r2_score: y_pred", y_pred)
    if y.shape != p.shape and {y.shape, p.shape} != {(y.size,), (y.size, 1)}:
        raise ValueError(f"r2_score: expected y_true and y_pred of one shape, got {y.shape} and {p.shape}")
    if y.ndim == 0 or len(y) < 2 or not y.size:
        raise ValueError(f"r2_score: expected at least two samples, got shape {y.shape}")
    for name, values in (("y_true", y), ("y_pred", p)):
        if not np.isfinite(values).all():
            raise ValueError(f"r2_score: expected {name} to be finite")
    weights = _weights("r2_score", sample_weight, y.shape)
    w = np.ones((len(y), y[0].size)) if weights is None else weights.reshape(len(y), -1)
    if not w.any(axis=0).all():
        raise ValueError("r2_score: expected a sample_weight above 0 for each output")
    y, p = (cast_array("r2_score", values.reshape(len(y), -1), np.dtype(np.float64)) for values in (y, p))
    residual = (w * (y - p) ** 2).sum(axis=0)
    y = y - np.take_along_axis(y, w.argmax(axis=0)[None], axis=0)  # so that a constant becomes 0, however rounded
    total = (w * (y - (w * y).sum(axis=0) / w.sum(axis=0)) ** 2).sum(axis=0)
    unexplained = np.divide(residual, total, out=(residual > 0).astype(np.float64), where=total > 0)
    return float((1 - unexplained).mean())


def _labels(metric: str, y_true: ArrayLike, y_pred: ArrayLike) -> tuple[Array, Array, int]:
    """y_true and y_pred as flat integer labels, and the number of classes that y_pred has an axis for, or 0."""
    true, predicted, classes = plain_array(metric, "y_true", y_true), plain_array(metric, "y_pred", y_pred), 0
    advice = "; for labels stored as floats, pass y_true.astype(int)" if true.dtype.kind == "f" else ""
    if true.shape == predicted.shape and predicted.dtype.kind == "f":
        advice = f"; for probabilities, pass y_pred > 0.5: as a metric, lambda y, p: {metric}(y > 0.5, p > 0.5)"
        if true.ndim > 1 and true.shape[-1] == 1:
            true = true[..., 0]
        elif true.ndim > 1 and true.dtype.kind in REAL and (true.sum(axis=-1) == 1).all():
            advice = f"; for one-hot targets, use lambda y, p: {metric}(y.argmax(axis=-1), p)"
    if predicted.ndim == true.ndim + 1 and predicted.size:
        if predicted.shape[-1] == 1 and true.dtype.kind == "f" and ((true == 0) | (true == 1)).all():
            true = true.astype(np.intp)
        predicted, classes = _predicted_labels(metric, predicted)
    if true.shape != predicted.shape:
        expected = f"{true.shape} or {_with_classes(true.shape)}"
        raise ValueError(f"{metric}: expected y_pred of shape {expected}, got {np.shape(y_pred)}")
    return _flat(metric, "y_true", true, advice), _flat(metric, "y_pred", predicted, advice), classes


def _predicted_labels(metric: str, scores: Array) -> tuple[Array, int]:
    """The predicted labels, and the number of classes."""
    if scores.dtype.kind not in REAL:
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
        if labels.dtype.kind in "USTO":
            advice = f"; number texts as the labels in training, with {NUMBERED}"
        raise TypeError(f"{metric}: expected {name} to hold integer labels, got {labels.dtype}{advice}")
    return cast_array(f"{metric}: {name}", labels.reshape(-1), np.dtype(np.intp))


def _weights(metric: str, sample_weight: ArrayLike | None, shape: tuple[int, ...]) -> Array | None:
    """sample_weight, of one weight per sample or per label, for labels of a shape: flat, as float64."""
    if sample_weight is None:
        return None
    owner = f"{metric}: sample_weight"
    w = cast_array(owner, real_array(owner, sample_weight), np.dtype(np.float64))
    if w.shape != shape[: w.ndim] or (w.ndim == 0 and shape):
        expected = f"{shape[:1]} or {shape}" if shape[1:] else f"{shape}"
        raise ValueError(f"{metric}: expected sample_weight of shape {expected}, got {w.shape}")
    if not (np.isfinite(w) & (w >= 0)).all() or not w.any():
        raise ValueError(f"{metric}: expected every sample_weight to be finite and at least 0, and one above 0")
    return np.broadcast_to(w.reshape(w.shape + (1,) * (len(shape) - w.ndim)), shape).reshape(-1)


def _mean(values: Array, w: Array | None) -> float:
    return float(values.mean() if w is None else (w * values).sum() / w.sum())


def _share(part: Array, whole: Array) -> Array:
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)


def _with_classes(shape: tuple[int, ...]) -> str:
    return f"({', '.join([*map(str, shape), 'C'])})"
