"""L-BFGS, for smooth problems that are small enough to evaluate as a whole: it trains them to their optimum.

Unlike the first-order methods it evaluates the model itself, as often as its line search needs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy import ndarray as Array

from ..arguments import number, whole_number
from .optimizer import LearningRate, Optimizer
from .vectors import Parameters

Closure = Callable[[], float]
Evaluate = Callable[..., "_Point"]

C1, C2 = 1e-4, 0.9  # c₁ and c₂ of the strong Wolfe conditions
EXPANSIONS, SECTIONS = 10, 25  # how often at most a line search extends its step, and how often it narrows an interval
MARGIN, STRIDE = 0.1, 10.0  # the share of an interval that a new α keeps from its ends; the most that α grows by


class LBFGS(Optimizer):
    """Newton's method, with the curvature estimated from the last m changes of the gradient.

    Update      w ← w + α p,  p = −H g,  with pairs s = w₊ − w, y = g₊ − g, and ρ = 1 / yᵀs
    Direction   q = g;  newest pair to oldest: a = ρ sᵀq, q ← q − a y;  r = γ q, γ = sᵀy / yᵀy of the newest;
                oldest pair to newest: β = ρ yᵀr, r ← r + (a − β) s;  p = −r
    Line search α with φ(α) ≤ φ(0) + c₁ α φ'(0) and |φ'(α)| ≤ −c₂ φ'(0), the strong Wolfe conditions; φ(α) = f(w + α p)

    lr: the first α to try, times min(1, 1 / Σ |g|) as long as there is no pair.  max_iter: the most updates in a step.
    history_size: m; the pairs are kept from one step to the next, and are part of the state.
    tolerance_grad: a step ends where no entry of g is larger.  tolerance_change: it ends after an update that changes
    f, or every entry of w, by no more.  weight_decay: λ; f is the loss plus λ/2 ‖w‖² of all parameters that decay.
    The same as PyTorch's with line_search_fn="strong_wolfe", except for how the line search interpolates and gives up.
    Source: Nocedal and Wright 2006, algorithms 7.4, 3.5 and 3.6.
    """

    def __init__(
        self,
        parameters: Parameters,
        lr: LearningRate = 1.0,
        max_iter: int = 20,
        history_size: int = 10,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, lr, weight_decay)
        self.max_iter = whole_number(self.name, "max_iter", max_iter, least=1)
        self.tolerance_grad = number(self.name, "tolerance_grad", tolerance_grad)
        self.tolerance_change = number(self.name, "tolerance_change", tolerance_change)
        m = whole_number(self.name, "history_size", history_size, least=1)
        self.moments = {name: np.zeros((m, len(self._w)), self._w.dtype) for name in ("s", "y")}
        self.moments["pairs"] = np.zeros((), np.int64)  # how many pairs there have been; number i is in row i % m

    def _checked_lr(self, lr: Any) -> float:
        return _positive(super()._checked_lr(lr))

    def step(self, closure: Closure | None = None) -> float:  # type: ignore[override]
        """Make up to max_iter updates. Returns the objective f that is reached, which is never above the first.

        closure: runs forward and backward and returns the loss; within a step, the same loss for the same w.
        Gradients are zero whenever it is called, and at the end. If it raises an exception, w stays as it was after the
        last update. A step also ends if the line search finds nothing lower.
        Raises TypeError unless closure is a function that returns a float; FloatingPointError if f or its gradient is
        not finite before the first update.
        """
        lr = self.lr_at(self.steps)
        self.gather()
        self._make_writable()
        current = _Point(0.0, self._w.copy(), self._g, math.inf, math.nan)
        try:
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                evaluate = partial(self._evaluate, _checked_closure(closure))
                current = _checked_start(evaluate(current.w))
                for _ in range(self.max_iter):
                    if abs(current.g).max() <= self.tolerance_grad:
                        break
                    before, current = current, _update(evaluate, current, lr, *self.moments.values())
                    if min(before.phi - current.phi, abs(current.w - before.w).max()) <= self.tolerance_change:
                        break
        finally:
            self._w[...] = current.w
            self._g.fill(0)
        self.steps += 1
        return current.phi

    def _evaluate(self, closure: Closure, w: Array, alpha: float = 0.0, p: Array | None = None) -> _Point:
        """f and its gradient at w, which is α p from the start of the line search; f is ∞ unless both are finite."""
        self._w[...] = w
        self.zero_grad()
        f = closure()
        if not isinstance(f, (float, np.floating)):
            raise TypeError(f"LBFGS: expected the closure to return the loss, a float, got {type(f).__name__}")
        self.gather()
        if self.weight_decay:
            f += self.weight_decay / 2 * sum(float(np.vdot(w_p, w_p)) for p_, w_p, _ in self._views if p_.decay)
            self.decay(self._w, self._g, 1.0)
        g = self._g.copy()
        phi = float(f) if math.isfinite(f) and np.isfinite(g).all() else math.inf
        return _Point(alpha, w, g, phi, math.nan if p is None else _dot(p, g))


@dataclass(frozen=True, eq=False)
class _Point:
    """A point of a line search: α, w + α p, the gradient g there, φ(α) and φ'(α) = pᵀg."""

    alpha: float
    w: Array
    g: Array
    phi: float
    slope: float


def _update(evaluate: Evaluate, current: _Point, lr: float, s: Array, y: Array, pairs: Array) -> _Point:
    """The point that a line search along p finds, whose pair is stored; `current` if it finds nothing lower."""
    p = _direction(current.g, s, y, int(pairs))
    start = replace(current, alpha=0.0, slope=_dot(p, current.g))
    noise = float(np.finfo(p.dtype).eps) * abs(current.phi)  # a change of f that is smaller says nothing
    alpha = lr if pairs else lr * min(1.0, 1 / float(abs(current.g).sum(dtype=np.float64)))
    found = start
    if start.slope < (-noise if pairs else 0):
        found = _line_search(lambda a: evaluate(current.w + a * p, a, p), start, alpha, noise)
    if found is not start:
        _store_pair(found.w - current.w, found.g - current.g, s, y, pairs)
        return found
    if not pairs:
        return current
    pairs.fill(0)  # pairs of another objective, or from beyond a kink, can mislead: along −g, then
    return _update(evaluate, current, lr, s, y, pairs)


def _store_pair(new_s: Array, new_y: Array, s: Array, y: Array, pairs: Array) -> None:
    """Overwrite the oldest pair, unless the curvature of the new one is lost in rounding."""
    if _dot(new_s, new_y) > np.finfo(s.dtype).eps * math.sqrt(_dot(new_s, new_s) * _dot(new_y, new_y)):
        row = pairs % len(s)
        s[row], y[row] = new_s, new_y
        pairs += 1


def _direction(g: Array, s: Array, y: Array, pairs: int) -> Array:
    """p = −H g by the two loops, which never form H."""
    rows = [i % len(s) for i in range(max(0, pairs - len(s)), pairs)]
    rho, a, r = 1 / np.einsum("ij,ij->i", y, s), np.empty_like(s[:, 0]), g.copy()
    for i in reversed(rows):
        a[i] = rho[i] * s[i].dot(r)
        r -= a[i] * y[i]
    if rows:
        newest = rows[-1]
        r *= 1 / (rho[newest] * y[newest].dot(y[newest]))
    for i in rows:
        r += (a[i] - rho[i] * y[i].dot(r)) * s[i]
    return np.negative(r, out=r)


def _line_search(phi: Callable[[float], _Point], start: _Point, alpha: float, noise: float) -> _Point:
    """Algorithm 3.5: extends the step until it meets the conditions, or goes beyond one that does, which _zoom finds.

    Returns a point that meets them; if none is found, one that is only lower than start, or start itself.
    """
    low, point = start, phi(alpha)
    for _ in range(EXPANSIONS):
        if not _is_low_enough(point, start) or point.phi > low.phi:
            return _zoom(phi, start, low, point, noise)
        if abs(point.slope) <= -C2 * start.slope:
            return point
        if point.slope >= 0:
            return _zoom(phi, start, point, low, noise)
        nearest = point.alpha + MARGIN * (point.alpha - low.alpha)
        low, point = point, phi(_clamped(nearest, STRIDE * point.alpha, _cubic(low, point)))
    return low


def _zoom(phi: Callable[[float], _Point], start: _Point, low: _Point, high: _Point, noise: float) -> _Point:
    """Algorithm 3.6: narrows the interval from low, the lowest point so far, to high, beyond the step it looks for."""
    for _ in range(SECTIONS):
        width = high.alpha - low.alpha
        if abs(width * low.slope) <= noise:
            break
        if high.phi == math.inf:
            point = phi(low.alpha + MARGIN * width)
        else:
            point = phi(_clamped(low.alpha + MARGIN * width, high.alpha - MARGIN * width, _cubic(low, high)))
        if not _is_low_enough(point, start) or point.phi >= low.phi:
            high = point
            continue
        if abs(point.slope) <= -C2 * start.slope:
            return point
        if point.slope * width >= 0:
            high = low
        low = point
    return low


def _is_low_enough(point: _Point, start: _Point) -> bool:
    return point.phi <= start.phi + C1 * point.alpha * start.slope


def _clamped(one: float, other: float, alpha: float) -> float:
    """α, moved into the interval between the two; its middle if α is not finite."""
    return min(max(alpha, min(one, other)), max(one, other)) if math.isfinite(alpha) else (one + other) / 2


def _cubic(left: _Point, right: _Point) -> float:
    """The α at the minimum of the cubic through two points with their slopes, equation 3.59; NaN if it has none."""
    width = right.alpha - left.alpha
    if not width:
        return math.nan
    d1 = left.slope + right.slope + 3 * (left.phi - right.phi) / width
    square = d1 * d1 - left.slope * right.slope
    if not square >= 0:
        return math.nan
    d2 = math.copysign(math.sqrt(square), width)
    denominator = right.slope - left.slope + 2 * d2
    return right.alpha - width * (right.slope + d2 - d1) / denominator if denominator else math.nan


def _dot(a: Array, b: Array) -> float:
    product = float(a.dot(b))
    return product if math.isfinite(product) else float(a.astype(np.float64).dot(b))


def _checked_closure(closure: Any) -> Closure:
    if not callable(closure):
        raise TypeError(
            "LBFGS: expected step(closure), where closure() runs model and backward and returns the loss, "
            f"got {closure!r}"
        )
    return closure


def _checked_start(start: _Point) -> _Point:
    if start.phi == math.inf:
        raise FloatingPointError(
            "LBFGS: the objective or its gradient is not finite before the first update; "
            "look for such values in the data and in the parameters"
        )
    return start


def _positive(lr: float) -> float:
    if not lr:
        raise ValueError("LBFGS: expected lr to be above 0, got 0")
    return lr
