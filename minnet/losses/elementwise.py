"""Losses that compare a prediction with a target entry by entry: those of regression, and of yes-or-no questions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import ndarray as Array
from numpy.typing import ArrayLike

from ..arguments import cast_array, number, real_array
from ..layer import drop_cache, real_input
from ..numerics import sigmoid, softplus
from .loss import Loss, checked_mean_over, class_weights, position_weights, reshaping, weight_of


class _Elementwise(Loss):
    """The base of losses that compare every entry of a prediction with one of a target."""

    mean_over = "weights"  # of a subclass, too, that has an __init__ of its own

    def __init__(self, *, mean_over: str = "weights") -> None:
        self.mean_over = checked_mean_over(type(self).__name__, mean_over)

    def compare(self, y: Array, t: Array) -> tuple[Array, Array]:
        """The loss of each entry, and its derivative with respect to y."""
        raise NotImplementedError(f"{self!r}: has no compare")

    def predict(self, y: Array) -> Array:
        """The prediction that y stands for."""
        return y

    def forward(self, y: Array, target: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> Any:
        y = real_input(self, y)
        if target is None:
            drop_cache(self)
            return self.predict(y)
        t: Any = target
        if type(t) is not Array or t.dtype != y.dtype:
            t = cast_array(f"{self!r}: target", real_array(f"{self!r}: target", t), y.dtype)
        if t.shape != y.shape:
            got = f"{t.shape}{reshaping(t.shape, y.shape)}"
            raise ValueError(f"{self!r}: expected a target of shape {y.shape}, like the prediction, got {got}")
        loss, slope = self.compare(y, t)
        s, total = None, float(y.size)
        if sample_weight is not None:
            s = position_weights(self, sample_weight, y.shape)
            total = float(s.sum()) if self.mean_over == "weights" else total
            weight = s.astype(y.dtype)
            loss, slope = weight * loss, weight * slope
        self.cache = y, t, s, slope, total
        return float(loss.sum()) / total if total else 0.0

    def backward(self, dloss: float = 1.0) -> Array:
        *_, slope, total = self.cache
        return slope * (float(dloss) / total if total else 0.0)

    def total_weight(self) -> float:
        return self.cache[-1]


class MeanSquaredError(_Elementwise):
    """The mean of the squared errors; the prediction is the input itself.

    Forward     loss = Σ s (y − t)² / Z
    Backward    dy = 2 s (y − t) / Z · dloss

    Shapes      y, target t (N, ...)   sample_weight s (N,) or more leading axes of t; sums over every entry of t

    mean_over: Z, which is Σ s, or with "samples" the number of entries of t.
    Raises ValueError if y and t differ in shape, or if s is negative or does not fit t.
    """

    def compare(self, y: Array, t: Array) -> tuple[Array, Array]:
        e = y - t
        return e * e, 2 * e


class MeanAbsoluteError(_Elementwise):
    """The mean of the absolute errors; the prediction is the input itself.

    Forward     loss = Σ s |y − t| / Z
    Backward    dy = s sign(y − t) / Z · dloss, 0 where y = t

    Shapes      as in MeanSquaredError

    mean_over: Z, which is Σ s, or with "samples" the number of entries of t.
    Raises ValueError if y and t differ in shape, or if s is negative or does not fit t.
    """

    def compare(self, y: Array, t: Array) -> tuple[Array, Array]:
        e = y - t
        return abs(e), np.sign(e)


class Huber(_Elementwise):
    """Squared for small errors, linear for large ones, which bounds an outlier's gradient; the prediction is the input.

    Forward     loss = Σ s ρ(y − t) / Z,  ρ(e) = e² / 2 where |e| ≤ δ, else δ (|e| − δ / 2)
    Backward    dy = s clip(y − t, −δ, δ) / Z · dloss

    Shapes      as in MeanSquaredError

    delta: δ, above 0.  mean_over: Z, which is Σ s, or with "samples" the number of entries of t.
    Raises ValueError if y and t differ in shape, or if s is negative or does not fit t.
    Source: Huber 1964.
    """

    def __init__(self, delta: float = 1.0, *, mean_over: str = "weights") -> None:
        super().__init__(mean_over=mean_over)
        self.delta = number("Huber", "delta", delta)
        if not delta:
            raise ValueError("Huber: expected delta to be above 0, got 0")

    # With c = clip(e, −δ, δ): c (e − c / 2) is e² / 2 inside, and δ (|e| − δ / 2) outside.
    def compare(self, y: Array, t: Array) -> tuple[Array, Array]:
        e = y - t
        c = np.clip(e, -self.delta, self.delta)
        return c * (e - c / 2), c


class BinaryCrossEntropy(_Elementwise):
    """The loss of yes-or-no questions: −log of the target's probability, yes having σ(score); computed in log space.

    Forward     loss = −Σ s (w t log p + (1 − t) log(1 − p)) / Z,  p = σ(x)
    Backward    dx = s ((1 − t) p − w t (1 − p)) / Z · dloss,  which without w is s (p − t) / Z

    Shapes      scores x, target t (N, ...)   sample_weight s (N,) or more leading axes of t; sums over every entry of t

    pos_weight: w, the weight of a yes: a number, or one for each feature of the last axis.
    mean_over: Z, which is Σ s, or with "samples" the number of entries of t.
    Targets are probabilities of yes, from 0 to 1. Without a target, forward returns the prediction p. Put no Sigmoid in
    front: the loss contains it.
    Raises ValueError if x and t differ in shape, for targets outside of 0 … 1, or if s is negative or does not fit t.
    """

    takes_scores = True

    def __init__(self, pos_weight: ArrayLike | None = None, *, mean_over: str = "weights") -> None:
        super().__init__(mean_over=mean_over)
        self.pos_weight = class_weights(
            "BinaryCrossEntropy: pos_weight", np.atleast_1d(1.0 if pos_weight is None else pos_weight)
        )

    # log p = −softplus(−x) and log(1 − p) = −softplus(x), which don't overflow where p rounds to 0 or 1.
    def compare(self, y: Array, t: Array) -> tuple[Array, Array]:
        if not ((t >= 0) & (t <= 1)).all():
            raise ValueError(f"{self!r}: expected targets from 0 to 1, got {t.min()} to {t.max()}")
        w = self.pos_weight.astype(t.dtype)
        if len(w) not in (1, t.shape[-1]):
            raise ValueError(f"{self!r}: expected x of shape (..., {len(w)}), like pos_weight, got {t.shape}")
        yes = w * t
        p = sigmoid(y)
        return yes * softplus(-y) + (1 - t) * softplus(y), (1 - t) * p - yes * sigmoid(-y)

    def predict(self, y: Array) -> Array:
        return sigmoid(y)

    def count_correct(self) -> tuple[float, float]:
        """(correct, counted): the answer is yes for a score above 0, the target is yes above 0.5."""
        y, t, s, *_ = self.cache
        right = (y > 0) == (t > 0.5)
        return weight_of(right, s), y.size if s is None else weight_of(np.ones_like(right), s)
