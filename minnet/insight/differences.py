"""The gradient check: a gradient is compared with central differences, for any function of an array."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy import ndarray as Array

from .arrays import rms

EPS = float(np.finfo(np.float64).eps)
STEP = EPS ** (1 / 3)  # relative to the value; balances the truncation of a central difference against its rounding
TOLERANCE = 1e-6  # of a relative error
SHRINKS = (1, 8, 64, 512)  # of the step, where it is too large for the curvature, or steps across a kink
ALL_ENTRIES_UP_TO = 100
SAMPLED_ENTRIES = 24


@dataclass(frozen=True)
class Slope:
    """A directional derivative, by backward (analytic) and by differences (numeric)."""

    analytic: float
    numeric: float
    error: float
    on_kink: bool = False
    wrong: bool = False


@dataclass(frozen=True)
class Comparison:
    """One gradient, compared. error: the worst relative one, of the entries that are not on a kink."""

    checked: str
    error: float
    kinks: int
    complaint: str


class Differences:
    """Central differences of L = Σ dy ⊙ f(), where f depends on arrays that are moved a little and put back.

    f: returns a float64 array or a float, the same whenever nothing was moved.
    dy: the upstream gradient, shaped like f().
    rng: what draws directions, and the sample of entries of a large array.
    tolerance: of a relative error.
    """

    def __init__(self, f: Callable[[], Any], dy: Any, rng: np.random.Generator, tolerance: float = TOLERANCE) -> None:
        self.f, self.dy, self.rng, self.tolerance = f, dy, rng, tolerance
        self.y = np.array(f())

    def compare(self, array: Array, gradient: Array) -> Comparison:
        """Compare the gradient with respect to an array in each entry; if it is large, in a sample and a direction."""
        moves, large = _moves(array, self.rng), array.size > ALL_ENTRIES_UP_TO
        slopes = self.slopes(array, gradient, moves)
        worst, where, move = max(
            zip(slopes, *zip(*moves)), key=lambda item: (item[0].wrong, item[0].error), default=(None, None, None)
        )
        return Comparison(
            checked=f"{len(moves) - large} of {array.size}{' and a direction' if large else ''}",
            error=max((slope.error for slope in slopes), default=0.0),
            kinks=sum(slope.on_kink for slope in slopes),
            complaint=_complaint(worst, where, move) if worst and worst.wrong else "",
        )

    def compare_direction(self, array: Array, gradient: Array) -> Slope:
        """Compare the gradient with respect to an array along a random direction: three to nine evaluations of f."""
        return self.slopes(array, gradient, [_direction(array, self.rng)])[0]

    def slopes(self, array: Array, gradient: Array, moves: list[tuple[Any, Any]]) -> list[Slope]:
        """The derivatives along moves, each given as (which entries, by how much)."""
        at_zero = self.moved(array, ..., 0.0)  # a loss near zero is the difference of larger terms
        size = np.maximum(abs(self.y), np.where(np.isfinite(at_zero), abs(at_zero), 0.0))
        rounding = 4 * EPS * float((abs(self.dy) * size).sum()) / STEP
        floor = 1e-2 * rms(gradient * _scale(array))
        return [self.slope(array, gradient, where, move, floor, rounding) for where, move in moves]

    # Truncation falls with the step and rounding grows, and a kink or the edge of the domain may lie within one step
    # but not within a smaller one: so the gradient is right if it agrees at any of a few steps. The smallest change
    # from one step to the next estimates the error of the numeric derivative. On a kink the slopes of the two sides
    # stay apart however small the step is, and any slope between them is right; of a sum, any sum of such slopes.
    def slope(self, array: Array, gradient: Array, where: Any, move: Any, floor: float, rounding: float) -> Slope:
        """The derivative along a move of the entries at `where`. A relative error is at least relative to floor."""
        analytic = float((gradient[where] * move).sum())
        before, doubt, best = math.inf, math.inf, math.nan
        for shrink in SHRINKS:
            left, right = self.sides(array, where, move, STEP / shrink)
            numeric = float((left + right).sum()) / 2
            allowed = self.tolerance * max(abs(analytic), abs(numeric), floor) + rounding
            if abs(analytic - numeric) <= allowed:
                return Slope(analytic, numeric, _relative(analytic, numeric, max(floor, rounding / self.tolerance)))
            if abs(numeric - before) < doubt:
                doubt, best = abs(numeric - before), numeric
            before = numeric
        if abs(analytic - best) <= 4 * doubt:
            return Slope(analytic, best, _relative(analytic, best, floor))
        lowest, highest = float(np.minimum(left, right).sum()), float(np.maximum(left, right).sum())
        if lowest - allowed <= analytic <= highest + allowed:
            return Slope(analytic, best, 0.0, on_kink=True)
        return Slope(analytic, best, _relative(analytic, best, 0.0), wrong=True)

    def sides(self, array: Array, where: Any, move: Any, h: float) -> tuple[Array, Array]:
        """The slopes of each term of L to the left and to the right along the move."""
        low, high = (self.moved(array, where, array[where] + t * move) for t in (-h, h))
        return self.dy * (self.y - low) / h, self.dy * (high - self.y) / h

    def moved(self, array: Array, where: Any, values: Any) -> Array:
        """f() with `values` at `where` in the array, which is restored; silently NaN outside of the domain of f."""
        before = np.array(array[where])
        array[where] = values
        try:
            with np.errstate(all="ignore"):
                return np.array(self.f())
        finally:
            array[where] = before


def _moves(array: Array, rng: np.random.Generator) -> list[tuple[Any, Any]]:
    """Moves of each entry; of a large array, of a sample of entries, and of all in a random direction."""
    large, scale = array.size > ALL_ENTRIES_UP_TO, _scale(array)
    entries = np.sort(rng.choice(array.size, SAMPLED_ENTRIES, replace=False)) if large else np.arange(array.size)
    places = [np.unravel_index(i, array.shape) for i in entries]
    moves: list[tuple[Any, Any]] = [(place, scale[place]) for place in places]
    return [*moves, _direction(array, rng)] if large else moves


def _direction(array: Array, rng: np.random.Generator) -> tuple[Any, Array]:
    """A move of all entries."""
    return ..., _scale(array) * rng.normal(size=array.shape)


def _scale(array: Array) -> Array:
    """What the steps are relative to: the size of each value, or that of all if it is larger."""
    return np.maximum(abs(array), rms(array) or 1.0)


def _complaint(slope: Slope, where: Any, move: Any) -> str:
    place, unit = ("along a random direction", 1.0) if where is ... else (f"at {tuple(map(int, where))}", float(move))
    digits = ".9g" if slope.error < 1e-2 else "#.3g"
    return (
        f"{place}: backward gives {slope.analytic / unit:{digits}}, differences give {slope.numeric / unit:{digits}} "
        f"(relative error {slope.error:.1e})"
    )


def _relative(a: float, b: float, floor: float) -> float:
    return abs(a - b) / (max(abs(a), abs(b), floor) or 1.0)
