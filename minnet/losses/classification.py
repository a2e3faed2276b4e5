"""The losses of classifiers, whose targets are labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import ndarray as Array
from numpy.typing import ArrayLike

from ..arguments import number, plain_array, real_array, whole_number
from ..layer import drop_cache, real_input
from ..numerics import as_rows, mean_weights, ones, row_starts, row_sum, softmax, with_column
from .loss import Loss, checked_mean_over, class_weights, position_weights, reshaping, weight_of

ALL = slice(None)
INTP, UINTP = np.dtype(np.intp), np.dtype(np.uintp)
NUMBERED = "np.unique(y, return_inverse=True)[1]"


class SoftmaxCrossEntropy(Loss):
    """The loss of a classifier, −log p of the target where p is the softmax of the scores, computed in log space.

    Forward     loss = −Σ A log p / Z,  p = softmax(scores)
    Backward    dscores = (p Σ_c A − A) / Z · dloss,  without weights (p − q) / N · dloss for N targets

    Shapes      scores (..., C)   target (...) integer labels or (..., C) probabilities   sample_weight (N,) or (...)

    A = s w q is the sample weight s times the class weight w times the target distribution q, one-hot for a label.
    Z is Σ s w_label for labels, smoothed or not, and Σ s for probabilities, as in PyTorch; if Z is 0, so is the loss.
    With mean_over="samples", Z is the number of targets not ignored, and weights also count in a batch of one.

    weight: w (C,), 1 by default.  label_smoothing: ε from 0 to 1, which makes q into (1 − ε) q + ε / C.
    ignore_index: a label, also one outside of 0 … C − 1, at whose positions s is 0.
    Without a target, forward returns the prediction p. Put no Softmax in front: the loss contains it.
    Raises TypeError for labels that are not integers; ValueError for labels outside of 0 … C − 1, probabilities that
    are negative or don't sum to 1, and a target or weight of another shape.
    Source: Bridle 1990; Szegedy et al. 2016 for the smoothing.
    """

    takes_scores = True

    def __init__(
        self,
        weight: ArrayLike | None = None,
        label_smoothing: float = 0.0,
        ignore_index: int | None = None,
        *,
        mean_over: str = "weights",
    ) -> None:
        name = "SoftmaxCrossEntropy"
        self.label_smoothing = number(name, "label_smoothing", label_smoothing)
        if label_smoothing > 1:
            raise ValueError(f"{name}: expected label_smoothing from 0 to 1, got {label_smoothing}")
        self.weight = None if weight is None else class_weights(f"{name}: weight", weight)
        self.ignore_index = None if ignore_index is None else whole_number(name, "ignore_index", ignore_index, -(2**63))
        self.mean_over = checked_mean_over(name, mean_over)

    def forward(self, scores: Array, target: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> Any:
        scores = real_input(self, scores)
        if self.weight is not None:
            _check_classes(self, scores.shape, len(self.weight))
        if target is None:
            drop_cache(self)
            return softmax(scores)
        shape, rows = scores.shape, as_rows(scores)
        lead, (N, C) = shape[:-1], rows.shape
        t = target if type(target) is Array and target.shape == lead else _fitting(self, target, lead, shape)
        s = None if sample_weight is None else position_weights(self, sample_weight, lead).reshape(-1)
        starts = row_starts(N, C)
        y, index, a, total = (
            self._from_labels(t, C, s, starts) if t.shape == lead else self._from_probabilities(t.reshape(-1, C), s)
        )
        a = mean_weights(N, rows.dtype) if a is None else _shares(a, total).astype(rows.dtype)
        a_sum = a if index is not ALL else row_sum(a.reshape(-1, C))[:, 0]
        best = rows.argmax(axis=1)
        z = with_column(np.subtract, rows, rows.ravel()[best + starts])
        target_sum = a.dot(z[index])
        exp_z = np.exp(z, z).reshape(N, C)
        sum_exp = exp_z.dot(ones(C, z.dtype))
        self.cache = shape, exp_z, sum_exp, best, y, s, index, a, a_sum, total
        return float(a_sum.dot(np.log(sum_exp)) - target_sum) if total else 0.0

    # log p = z − log Σ exp z; so with a = A / Z and a_sum = Σ_c a, loss = Σ a_sum log Σ exp z − Σ a z, whose slope is
    # p a_sum − a. Dividing by Z here instead takes 1.6 µs more, since a is cached for labels without weights.
    def backward(self, dloss: float = 1.0) -> Array:
        shape, exp_z, sum_exp, _, _, _, index, a, a_sum, _ = self.cache
        dscores = with_column(np.multiply, exp_z, a_sum / sum_exp)
        dscores[index] -= a
        if dloss != 1:
            dscores *= float(dloss)
        return dscores.reshape(shape)

    def count_correct(self) -> tuple[float, float]:
        """(correct, counted): how many of the last labels had the highest score, and how many were not ignored."""
        best, y, s = self.cache[3:6]
        counted = len(y) if s is None and self.ignore_index is None else weight_of(y >= 0, s)
        return weight_of(best == y, s), counted

    def total_weight(self) -> float:
        return self.cache[-1]

    def _from_labels(self, t: Array, C: int, s: Array | None, starts: Array) -> tuple[Array, Any, Any, float]:
        """The labels y, −1 where ignored; the index in the flat scores where A is not 0; A there, None if all 1; Z."""
        y, kept = _checked_labels(self, t, C, self.ignore_index)
        if kept is None and s is None and self.weight is None and not self.label_smoothing:
            return y, y + starts, None, float(len(y))
        count = len(y) if kept is None else np.count_nonzero(kept)
        if kept is not None:
            s = kept * (1.0 if s is None else s)
        a = s if self.weight is None else self.weight[y] * (1.0 if s is None else s)
        total = float(count if a is None or self.mean_over == "samples" else a.sum())
        index: Any = y + starts
        if self.label_smoothing:
            _, index, a, _ = self._from_probabilities(y[:, None] == np.arange(C), s)
        return y if kept is None else np.where(kept, y, -1), index, a, total

    def _from_probabilities(self, q: Array, s: Array | None) -> tuple[Array, Any, Any, float]:
        """The likeliest labels y; the index of all flat scores; A there; Z."""
        _check_probabilities(self, q)
        a = q * (1 - self.label_smoothing) + self.label_smoothing / q.shape[1]
        if self.weight is not None:
            a = a * self.weight
        if s is not None:
            a = a * s[:, None]
        total = float(len(q) if s is None or self.mean_over == "samples" else s.sum())
        return q.argmax(axis=1), ALL, a.reshape(-1), total


class MulticlassHinge(Loss):
    """The loss of a support vector machine: every wrong class must stay below the right one by a margin.

    Forward     loss = Σₙ s Σ_{c ≠ y} max(0, x_c − x_y + Δ) / Z,  y the label
    Backward    dx_c = s [x_c − x_y + Δ > 0] / Z · dloss for c ≠ y,  and dx_y = −Σ_{c ≠ y} dx_c

    Shapes      scores x (..., C)   target (...) integer labels   sample_weight s (N,) or (...)

    margin: Δ.  mean_over: Z, which is Σ s, or with "samples" the number of labels.
    Without a target, forward returns the scores, of which the largest is the prediction.
    Raises TypeError for labels that are not integers; ValueError for labels outside of 0 … C − 1, and for a target or
    weight of another shape.
    Source: Weston and Watkins 1999.
    """

    def __init__(self, margin: float = 1.0, *, mean_over: str = "weights") -> None:
        self.margin = number("MulticlassHinge", "margin", margin)
        self.mean_over = checked_mean_over("MulticlassHinge", mean_over)

    def forward(self, scores: Array, target: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> Any:
        scores = real_input(self, scores)
        if target is None:
            drop_cache(self)
            return scores
        lead, C = scores.shape[:-1], scores.shape[-1]
        t = target if type(target) is Array and target.shape == lead else _fitting(self, target, lead)
        y, _ = _checked_labels(self, t, C, None)
        x, index = as_rows(scores), row_starts(len(y), C) + y
        gap = np.subtract(x, x.reshape(-1)[index][:, None], order="C")  # so that its flat form is a view
        gap += self.margin
        gap.reshape(-1)[index] = 0
        active = (gap > 0).astype(x.dtype)
        loss, s, total = row_sum(gap * active)[:, 0], None, float(len(y))
        if sample_weight is not None:
            s = position_weights(self, sample_weight, lead).reshape(-1)
            total = float(s.sum()) if self.mean_over == "weights" else total
            weight = s.astype(x.dtype)
            loss, active = weight * loss, weight[:, None] * active
        self.cache = scores.shape, x, y, s, index, active, total
        return float(loss.sum()) / total if total else 0.0

    def backward(self, dloss: float = 1.0) -> Array:
        shape, *_, index, active, total = self.cache
        dscores = active * (float(dloss) / total if total else 0.0)
        dscores.reshape(-1)[index] = -row_sum(dscores)[:, 0]
        return dscores.reshape(shape)

    def count_correct(self) -> tuple[float, float]:
        """(correct, counted): how many of the last labels had the highest score, and how many there were."""
        _, x, y, s, *_ = self.cache
        return weight_of(x.argmax(axis=1) == y, s), len(y) if s is None else float(s.sum())

    def total_weight(self) -> float:
        return self.cache[-1]


def _check_classes(loss: Loss, shape: tuple[int, ...], classes: int) -> None:
    if shape[-1] != classes:
        raise ValueError(f"{loss!r}: expected scores of as many classes as weight, (..., {classes}), got {shape}")


def _fitting(loss: Loss, target: ArrayLike, *shapes: tuple[int, ...]) -> Array:
    """target as an array of one of the shapes: that of labels or, if there is a second, that of probabilities."""
    t = plain_array(repr(loss), "target", target)
    if t.shape not in shapes:
        expected = " or ".join(f"{shape} ({kind})" for shape, kind in zip(shapes, ("labels", "probabilities")))
        got = f"{t.shape}{reshaping(t.shape, shapes[0]) or _about_one_hot(t.shape, shapes)}"
        raise ValueError(f"{loss!r}: expected a target of shape {expected}, got {got}")
    return t.astype(np.float32) if t.dtype.char == "e" else t  # float16 would round what smoothing makes of it


def _about_one_hot(got: tuple[int, ...], shapes: tuple[tuple[int, ...], ...]) -> str:
    """What to do with one-hot rows that have another number of columns, or are not taken: the end of an error."""
    if not got or got[:-1] != shapes[0]:
        return ""
    columns = [shape[-1] for shape in shapes[1:]]
    return f"; one_hot(labels, {columns[0]}) has a column for each class" if columns else "; pass y.argmax(axis=-1)"


def _checked_labels(loss: Loss, labels: Array, classes: int, ignored: int | None) -> tuple[Array, Array | None]:
    """The labels, flat, checked, and 0 where ignored; and a mask of those not ignored, None if none can be."""
    y, kept = labels.ravel(), None
    if y.dtype is not INTP:
        y = _as_indices(loss, labels, y)
    if ignored is not None:
        kept = labels.reshape(-1) != ignored
        y = np.where(kept, y, 0)
    if len(y):
        worst = y.view(UINTP).argmax()  # a negative label is the largest of all when read as unsigned
        if not 0 <= y.item(worst) < classes:
            place = tuple(map(int, np.unravel_index(worst, labels.shape)))
            raise ValueError(
                f"{loss!r}: label {labels[place]} at {place} is not one of the {classes} classes 0 to {classes - 1}"
            )
    return y, kept


def _as_indices(loss: Loss, labels: Array, y: Array) -> Array:
    """Flat labels of another dtype as indices, -1 where one is too large."""
    if y.dtype.kind not in "iu":
        whole = plain_array(repr(loss), "target", labels).dtype.kind in "bf"
        advice = "if they number classes, pass y.astype(int)" if whole else f"number them with {NUMBERED}"
        raise TypeError(f"{loss!r}: expected integer labels, got {labels.dtype}; {advice}")
    indices = y.astype(INTP)
    if not np.can_cast(y.dtype, INTP):
        indices[indices != y] = -1
    return indices


def _shares(a: Array, total: float) -> Array:
    """a / total, or zeros if the total is 0."""
    return np.divide(a, total, dtype=np.float64) if total else 0 * a


def _check_probabilities(loss: Loss, q: Array) -> None:
    q = real_array(f"{loss!r}: target", q)
    off = np.flatnonzero(~((q >= 0).all(axis=1) & (abs(q.sum(axis=1) - 1) <= 1e-3)))
    if off.size:
        raise ValueError(
            f"{loss!r}: expected a target of probabilities that sum to 1, got {q[off[0]].tolist()} at {off[0]}"
        )
