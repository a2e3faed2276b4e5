"""Losses: the last layer of a model. With a target they give the loss, without one the prediction.

All are means: the sum over the samples, each with its effective weight, divided by the sum of those weights.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import ndarray as Array
from numpy.typing import ArrayLike

from .arguments import real_array
from .layer import Layer, real_input
from .numerics import as_rows, ones, row_max, row_starts, row_sum, softmax

ALL = slice(None)


class Loss(Layer):
    """The base of losses, also of your own: a layer whose forward takes a target too and returns a float.

    `forward(scores, target=None, sample_weight=None)` returns the loss, or without a target the prediction;
    `backward(dloss=1.0)` returns dscores, where dloss is what the loss is multiplied by afterwards.
    `takes_scores = True` on a loss that contains a softmax or a sigmoid keeps a second one from standing in front.
    """

    is_loss = True


class MeanSquaredError(Loss):
    """The mean of the squared errors; the prediction is the input itself.

    Forward     loss = Σ s (y − t)² / Σ s
    Backward    dy = 2 s (y − t) / Σ s · dloss

    Shapes      y, target t (N, ...)   sample_weight s (N,) or more leading axes of t; sums over every entry of t

    Raises ValueError if y and t differ in shape, or if s is negative or fits neither.
    """

    def forward(self, y: Array, target: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> Any:
        y = real_input(self, y)
        if target is None:
            self.clear_cache()
            return y
        t = real_array(f"{self!r}: target", target).astype(y.dtype, copy=False)
        if t.shape != y.shape:
            raise ValueError(f"{self!r}: expected a target of shape {y.shape}, like the prediction, got {t.shape}")
        error, total = y - t, float(y.size)
        s: Any = 1.0
        if sample_weight is not None:
            weights = _sample_weights(self, sample_weight, y.shape)
            s, total = weights.astype(y.dtype), float(weights.sum())
        self.cache = s * error, total
        return float((s * error * error).sum()) / total if total else 0.0

    def backward(self, dloss: float = 1.0) -> Array:
        weighted_error, total = self.cache
        return weighted_error * (2 * float(dloss) / total if total else 0.0)

    def total_weight(self) -> float:
        return self.cache[1]


class SoftmaxCrossEntropy(Loss):
    """The loss of a classifier, −log p of the target where p is the softmax of the scores, computed in log space.

    Forward     loss = −Σ A log p / Z,  p = softmax(scores)
    Backward    dscores = (p Σ_c A − A) / Z · dloss,  which without any weights is (P − Y) / N

    Shapes      scores (..., C)   target (...) integer labels or (..., C) probabilities   sample_weight (N,) or (...)

    A = s w q is the sample weight s times the class weight w times the target distribution q, one-hot for a label.
    Z is Σ s w_label for labels, smoothed or not, and Σ s for probabilities, as in PyTorch; if Z is 0, so is the loss.

    weight: w (C,), 1 by default.  label_smoothing: ε from 0 to 1, which makes q into (1 − ε) q + ε / C.
    ignore_index: a label, also one outside of 0 … C − 1, at whose positions s is 0.
    Without a target, forward returns the prediction p. A Softmax in front would be one too many.
    Raises TypeError for labels that are not integers; ValueError for labels outside of 0 … C − 1, probabilities that
    are negative or don't sum to 1, and a target or weight of another shape.
    Source: Bridle 1990; Szegedy et al. 2016 for the smoothing.
    """

    takes_scores = True

    def __init__(
        self, weight: ArrayLike | None = None, label_smoothing: float = 0.0, ignore_index: int | None = None
    ) -> None:
        if not 0 <= label_smoothing <= 1:
            raise ValueError(f"SoftmaxCrossEntropy: expected label_smoothing from 0 to 1, got {label_smoothing}")
        self.weight = None if weight is None else _class_weights(weight)
        self.label_smoothing = label_smoothing
        self.ignore_index = ignore_index

    def forward(self, scores: Array, target: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> Any:
        scores = real_input(self, scores, None if self.weight is None else len(self.weight))
        if target is None:
            self.clear_cache()
            return softmax(scores)
        t, lead, C = np.asarray(target), scores.shape[:-1], scores.shape[-1]
        s = None if sample_weight is None else _sample_weights(self, sample_weight, lead).reshape(-1)
        if t.shape == lead:
            y, at, a, total = self._from_labels(t, C, s)
        elif t.shape == scores.shape:
            y, at, a, total = self._from_probabilities(t.reshape(-1, C), s)
        else:
            raise ValueError(
                f"{self!r}: expected a target of shape {lead} (labels) or {scores.shape} (probabilities), got {t.shape}"
            )
        a = ones(len(y), scores.dtype) if a is None else a.astype(scores.dtype)
        mass = row_sum(a.reshape(-1, C))[:, 0] if at is ALL else a
        rows = as_rows(scores)
        z = np.subtract(rows, row_max(rows), order="C")  # so that its flat form, and that of dscores, is a view
        exp_z = np.exp(z)
        sum_exp = row_sum(exp_z)[:, 0]
        self.cache = scores.shape, exp_z, sum_exp, y, at, a, mass, total
        loss = mass.dot(np.log(sum_exp)) - a.dot(z.reshape(-1)[at])
        return float(loss) / total if total else 0.0

    # log p = z − log Σ exp z, so loss · Z = Σ (Σ_c A) log Σ exp z − Σ A z, and ∂ log Σ exp z / ∂z = p.
    def backward(self, dloss: float = 1.0) -> Array:
        shape, exp_z, sum_exp, _, at, a, mass, total = self.cache
        scale = float(dloss) / total if total else 0.0
        dscores = exp_z * (scale * mass / sum_exp)[:, None]
        dscores.reshape(-1)[at] -= scale * a
        return dscores.reshape(shape)

    def count_correct(self) -> tuple[int, int]:
        """How many of the last labels had the highest score, and how many were not ignored."""
        _, exp_z, _, y, *_ = self.cache
        counted = len(y) if self.ignore_index is None else np.count_nonzero(y >= 0)
        return int(np.count_nonzero(exp_z.argmax(axis=1) == y)), int(counted)

    def total_weight(self) -> float:
        return self.cache[-1]

    def _from_labels(self, t: Array, C: int, s: Array | None) -> tuple[Array, Any, Any, float]:
        """The labels, −1 where ignored; where A is not zero in the flat scores, and its values there; Z."""
        y, kept = _labels(self, t, C, self.ignore_index)
        if kept is not None:
            s = kept * (1.0 if s is None else s)
        a = s if self.weight is None else self.weight[y] * (1.0 if s is None else s)
        total = float(len(y) if a is None else a.sum())
        at: Any = y + row_starts(len(y), C)
        if self.label_smoothing:
            q = np.zeros((len(y), C))
            q.reshape(-1)[at] = 1
            _, at, a, _ = self._from_probabilities(q, s)
        return y if kept is None else np.where(kept, y, -1), at, a, total

    def _from_probabilities(self, q: Array, s: Array | None) -> tuple[Array, Any, Any, float]:
        """The likeliest labels; A, which fills the whole of the flat scores; Z."""
        _check_probabilities(self, q)
        a = q * (1 - self.label_smoothing) + self.label_smoothing / q.shape[1]
        if self.weight is not None:
            a = a * self.weight
        if s is not None:
            a = a * s[:, None]
        return q.argmax(axis=1), ALL, a.reshape(-1), float(len(q) if s is None else s.sum())


def _labels(loss: Loss, labels: Array, classes: int, ignored: int | None) -> tuple[Array, Array | None]:
    """The labels as flat indices, 0 where ignored, once all are known to be in 0 … classes − 1; and which count."""
    if labels.dtype.kind not in "iu":
        raise TypeError(f"{loss!r}: expected integer labels, got {labels.dtype}")
    y, kept = labels.reshape(-1).astype(np.intp, copy=False), None
    if ignored is not None:
        kept = labels.reshape(-1) != ignored
        y = np.where(kept, y, 0)
    if y.size:
        worst = y.view(np.uintp).argmax()  # a negative label is the largest of all when read as unsigned
        if not 0 <= y[worst] < classes:
            place = tuple(map(int, np.unravel_index(worst, labels.shape)))
            raise ValueError(
                f"{loss!r}: label {labels[place]} at {place} is not one of the {classes} classes 0 to {classes - 1}"
            )
    return y, kept


def _check_probabilities(loss: Loss, q: Array) -> None:
    q = real_array(f"{loss!r}: target", q)
    off = np.flatnonzero(~((q >= 0).all(axis=1) & (abs(q.sum(axis=1) - 1) <= 1e-3)))
    if off.size:
        raise ValueError(
            f"{loss!r}: expected a target of probabilities that sum to 1, got {q[off[0]].tolist()} at {off[0]}"
        )


def _class_weights(weight: ArrayLike) -> Array:
    w = real_array("SoftmaxCrossEntropy: weight", weight).astype(np.float64)
    if not (w.ndim == 1 and np.isfinite(w).all() and (w >= 0).all()):
        raise ValueError(
            f"SoftmaxCrossEntropy: expected weight to be a finite number of at least 0 for each class, got {weight!r}"
        )
    return w


def _sample_weights(loss: Loss, sample_weight: ArrayLike, shape: tuple[int, ...]) -> Array:
    """A weight for each position of shape, from one a sample or one a position."""
    s = real_array(f"{loss!r}: sample_weight", sample_weight).astype(np.float64)
    if s.shape != shape[: s.ndim] or (s.ndim == 0 and shape):
        expected = f"{shape[:1]} or {shape}" if shape[1:] else f"{shape}"
        raise ValueError(f"{loss!r}: expected sample_weight of shape {expected}, got {s.shape}")
    if not (np.isfinite(s) & (s >= 0)).all():
        raise ValueError(f"{loss!r}: expected every sample_weight to be finite and at least 0")
    return np.broadcast_to(s.reshape(s.shape + (1,) * (len(shape) - s.ndim)), shape)
