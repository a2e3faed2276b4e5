"""A gradient held against central differences: what check_layer rests on, for any function of an array."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy import ndarray as Array

EPS = float(np.finfo(np.float64).eps)
STEP = EPS ** (1 / 3)  # relative to the value; balances the truncation of a central difference against its rounding
TOLERANCE = 1e-6  # of a relative error
SHRINKS = (1, 8, 64, 512)  # of the step, where it is too large for the curvature, or steps across a kink
ALL_ENTRIES_UP_TO = 100
SAMPLED_ENTRIES = 24


@dataclass(frozen=True)
class Slope:
    """A derivative by backward (given) and by differences (taken)."""

    given: float
    taken: float
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
    """Differences of L = Σ dy ⊙ f(), where f depends on arrays that are moved a little and put back.

    f: returns a float64 array, the same whenever nothing was moved.  dy: the upstream gradient, shaped like f().
    rng: what draws the sample of entries of a large array.
    """

    def __init__(self, f: Callable[[], Array], dy: Any, rng: np.random.Generator) -> None:
        self.f, self.dy, self.rng = f, dy, rng
        self.y = np.array(f())

    def compare(self, array: Array, gradient: Array) -> Comparison:
        """Hold the gradient with respect to an array against differences.

        All entries are compared, or of a large array a sample of them and a random direction.
        """
        scale = np.maximum(abs(array), _rms(array) or 1.0)  # the step follows the size of each value
        large = array.size > ALL_ENTRIES_UP_TO
        entries = (
            np.sort(self.rng.choice(array.size, SAMPLED_ENTRIES, replace=False)) if large else np.arange(array.size)
        )
        moves: list[tuple[Any, Any]] = [
            (place, scale[place]) for place in (np.unravel_index(i, array.shape) for i in entries)
        ]
        if large:
            moves.append((..., scale * self.rng.normal(size=array.shape)))
        at_zero = self.moved(array, ..., 0.0)  # a loss near zero is the difference of larger terms
        size = np.maximum(abs(self.y), np.where(np.isfinite(at_zero), abs(at_zero), 0.0))
        self.rounding = 4 * EPS * float((abs(self.dy) * size).sum()) / STEP
        floor = 1e-2 * _rms(gradient * scale)
        slopes = [self.slope(array, gradient, where, move, floor) for where, move in moves]
        worst, where, move = max(
            zip(slopes, *zip(*moves)), key=lambda item: (item[0].wrong, item[0].error), default=(None, None, None)
        )
        return Comparison(
            checked=f"{len(entries)} of {array.size}{' and a direction' if large else ''}",
            error=max((slope.error for slope in slopes), default=0.0),
            kinks=sum(slope.on_kink for slope in slopes),
            complaint=_complaint(worst, where, move) if worst and worst.wrong else "",
        )

    # Truncation falls with the step and rounding grows, and a kink or the edge of the domain may lie within one step
    # but not within a smaller one: so the gradient is right if it agrees at any of a few steps. Where two neighbouring
    # steps agree best, what they differ by bounds what can be known. On a kink the slopes of the two sides stay apart
    # however small the step is, and any slope between them is right; of a sum, any sum of such slopes.
    def slope(self, array: Array, gradient: Array, where: Any, move: Any, floor: float) -> Slope:
        """The derivative along a move of the entries at `where`. A relative error is at least relative to floor."""
        given = float((gradient[where] * move).sum())
        before, doubt, best = math.inf, math.inf, math.nan
        for shrink in SHRINKS:
            left, right = self.sides(array, where, move, STEP / shrink)
            taken = float((left + right).sum()) / 2
            tolerance = TOLERANCE * max(abs(given), abs(taken), floor) + self.rounding
            if abs(given - taken) <= tolerance:
                return Slope(given, taken, _relative(given, taken, max(floor, self.rounding / TOLERANCE)))
            if abs(taken - before) < doubt:
                doubt, best = abs(taken - before), taken
            before = taken
        if abs(given - best) <= 4 * doubt:
            return Slope(given, best, _relative(given, best, floor))
        lowest, highest = float(np.minimum(left, right).sum()), float(np.maximum(left, right).sum())
        if lowest - tolerance <= given <= highest + tolerance:
            return Slope(given, best, 0.0, on_kink=True)
        return Slope(given, best, _relative(given, best, 0.0), wrong=True)

    def sides(self, array: Array, where: Any, move: Any, h: float) -> tuple[Array, Array]:
        """The slopes of each term of L to the left and to the right along the move."""
        low, high = (self.moved(array, where, array[where] + t * move) for t in (-h, h))
        return self.dy * (self.y - low) / h, self.dy * (high - self.y) / h

    def moved(self, array: Array, where: Any, values: Any) -> Array:
        """f() with other values of an array; not a number, silently, where it has none."""
        before = np.array(array[where])
        array[where] = values
        try:
            with np.errstate(all="ignore"):
                return np.array(self.f())
        finally:
            array[where] = before


def _complaint(slope: Slope, where: Any, move: Any) -> str:
    place, unit = ("along a random direction", 1.0) if where is ... else (f"at {tuple(map(int, where))}", float(move))
    digits = ".9g" if slope.error < 1e-2 else "#.3g"
    return (
        f"{place}: backward gives {slope.given / unit:{digits}}, differences give {slope.taken / unit:{digits}} "
        f"(relative error {slope.error:.1e})"
    )


def _relative(a: float, b: float, floor: float) -> float:
    return abs(a - b) / (max(abs(a), abs(b), floor) or 1.0)


def _rms(array: Array) -> float:
    return math.sqrt(float(np.mean(np.square(array)))) if array.size else 0.0
