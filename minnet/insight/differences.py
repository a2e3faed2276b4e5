"""The gradient check: a gradient is compared with central differences, for any function of an array."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy import ndarray as Array

from .arrays import rms

EPS = float(np.finfo(np.float64).eps)
STEP = EPS ** (1 / 3)  # relative to the value; balances the truncation of a central difference against its rounding
TOLERANCE = 1e-6  # of a relative error
SHRINKS = (1, 8, 64, 512)  # of the step, where it is too large for the curvature, or steps across a kink
FURTHER = (8**4, 8**5, 8**6, 8**7, 8**8)  # where the slope still grows, as it does after a hundred batch norms
ALL_ENTRIES_UP_TO = 100
SAMPLED_ENTRIES = 24
SETTLED = 1 / 64  # the change of a slope by the next smaller step, relative to it, where that has come to an end
DIRECTIONS = 3  # of all entries at once, which stand for them where there are many arrays
TINY, PAIRS = 64 * EPS, 6  # moves that change L by rounding alone, relative to the value, and how many are tried


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
    """One gradient, compared. error: the worst relative one, of the entries that are not on a kink.

    numeric: where there is a complaint, the gradient by differences, NaN in entries that were not sampled.
    """

    checked: str
    error: float
    kinks: int
    complaint: str
    numeric: Array | None = field(default=None, compare=False, repr=False)


class Limits:
    """How far a right derivative may be from differences.

    tolerance: of the relative error.  floor: what that is at least relative to.  rounding: the least absolute error.
    noise: computes another such error, which is asked for once, where the rest does not do.
    """

    def __init__(self, tolerance: float, floor: float, rounding: float, noise: Callable[[], float]) -> None:
        self.tolerance, self.floor, self.rounding = tolerance, floor, rounding
        self.noise: Callable[[], float] | None = noise

    def allowed(self, analytic: float, numeric: float) -> float:
        """By how much these two may differ."""
        return self.tolerance * max(abs(analytic), abs(numeric), self.floor) + self.rounding

    def agree(self, analytic: float, numeric: float) -> bool:
        """Whether these two do not differ by more."""
        if abs(analytic - numeric) <= self.allowed(analytic, numeric):
            return True
        if self.noise is None:
            return False
        self.rounding, self.noise = max(self.rounding, self.noise()), None
        return abs(analytic - numeric) <= self.allowed(analytic, numeric)

    def is_steep(self, numerics: list[float]) -> bool:
        """Whether the slope grows as the step shrinks, by more than rounding makes it."""
        best, doubt = _settled(numerics)
        return doubt > SETTLED * abs(best) and abs(numerics[-1]) > 8 * self.rounding * 8 ** len(numerics)

    def least(self) -> float:
        """What an error is relative to where both derivatives are smaller."""
        return max(self.floor, self.rounding / self.tolerance)


class Terms:
    """The terms of L = Σ dy ⊙ f(), where f depends on arrays that are moved a little and put back."""

    def __init__(self, f: Callable[[], Any], dy: Any, arrays: Iterable[Array]) -> None:
        self.f, self.dy, self.arrays = f, dy, list(arrays)
        self.y = np.array(f())

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

    def rounding(self, array: Array) -> float:
        """How much the rounding of its terms changes L."""
        at_zero = self.moved(array, ..., 0.0)  # a loss near zero is the difference of larger terms
        size = np.maximum(abs(self.y), np.where(np.isfinite(at_zero), abs(at_zero), 0.0))
        return 4 * EPS * float((abs(self.dy) * size).sum())

    # A deep net can make much of the rounding in each of its layers, so that it is not known from the size of L. But it
    # is all that is left of the second difference for moves that are tiny.
    def noise(self, array: Array, rng: np.random.Generator) -> float:
        """How much rounding changes L when an array moves, in the part of f from there on."""
        place = next((i for i, other in enumerate(self.arrays) if other is array), None)
        arrays = [array] if place is None else self.arrays[place:]
        before, changes = [array.copy() for array in arrays], []
        try:
            for _ in range(PAIRS):
                moves = [TINY * _scale(array) * rng.normal(size=array.shape) for array in before]
                ends = []
                for sign in (-1, 1):
                    for array, at, move in zip(arrays, before, moves):
                        array[...] = at + sign * move
                    with np.errstate(all="ignore"):
                        ends.append(self.dy * (np.array(self.f()) - self.y))
                changes.append(float(sum(ends).sum()))
        finally:
            for array, at in zip(arrays, before):
                array[...] = at
        return 4 * rms(np.array(changes))


class Differences(Terms):
    """Gradients of L = Σ dy ⊙ f(), compared with central differences.

    f: returns a float64 array or a float, the same whenever nothing was moved.  dy: of the shape of f().
    rng: what draws directions, and the sample of entries of a large array.
    tolerance: of a relative error.
    arrays: all that f depends on, in the order in which it uses them: those after one round what moves with that.
    """

    def __init__(
        self,
        f: Callable[[], Any],
        dy: Any,
        rng: np.random.Generator,
        tolerance: float = TOLERANCE,
        arrays: Iterable[Array] = (),
    ) -> None:
        super().__init__(f, dy, arrays)
        self.rng, self.tolerance = rng, tolerance

    def compare_along_directions(self, array: Array, gradient: Array) -> Comparison:
        """Compare the gradient along a few random directions; if it does not agree, as compare does."""
        slopes = self.slopes(array, gradient, [_direction(array, self.rng) for _ in range(DIRECTIONS)])
        if any(slope.wrong or slope.on_kink for slope in slopes):
            return self.compare(array, gradient)
        return Comparison(f"{array.size} along {DIRECTIONS} directions", max(slope.error for slope in slopes), 0, "")

    def compare(self, array: Array, gradient: Array) -> Comparison:
        """Compare the gradient with respect to an array in each entry; if it is large, in a sample and a direction."""
        moves, large = _moves(array, self.rng), array.size > ALL_ENTRIES_UP_TO
        slopes = self.slopes(array, gradient, moves)
        worst, where, move = max(
            zip(slopes, *zip(*moves)), key=lambda item: (item[0].wrong, item[0].error), default=(None, None, None)
        )
        wrong = worst is not None and worst.wrong
        return Comparison(
            checked=f"{len(moves) - large} of {array.size}{' and a direction' if large else ''}",
            error=max((slope.error for slope in slopes), default=0.0),
            kinks=sum(slope.on_kink for slope in slopes),
            complaint=_complaint(worst, where, move) if wrong else "",
            numeric=_numeric(array, slopes, moves) if wrong else None,
        )

    def compare_direction(self, array: Array, gradient: Array) -> Slope:
        """Compare the gradient with respect to an array along a random direction: four or more evaluations."""
        return self.slopes(array, gradient, [_direction(array, self.rng)])[0]

    def slopes(self, array: Array, gradient: Array, moves: list[tuple[Any, Any]]) -> list[Slope]:
        """The derivatives along moves, each given as (which entries, by how much)."""
        limits = Limits(
            self.tolerance,
            floor=1e-2 * rms(gradient * _scale(array)),
            rounding=self.rounding(array) / STEP,
            noise=lambda: self.noise(array, self.rng) / STEP,
        )
        return [self.slope(array, gradient, where, move, limits) for where, move in moves]

    # Truncation falls with the step and rounding grows, and a kink or the edge of the domain may lie within one step
    # but not within a smaller one: so the gradient is right if it agrees at any of a few steps. The smallest change
    # from one step to the next estimates the error of the numeric derivative. On a kink the slopes of the two sides
    # stay apart however small the step is, and any slope between them is right; of a sum, any sum of such slopes.
    def slope(self, array: Array, gradient: Array, where: Any, move: Any, limits: Limits) -> Slope:
        """The derivative along a move of the entries at `where`."""
        analytic = float((gradient[where] * move).sum())
        numerics: list[float] = []
        for shrink in SHRINKS + FURTHER:
            if shrink in FURTHER and not limits.is_steep(numerics):
                break
            left, right = self.sides(array, where, move, STEP / shrink)
            numerics.append(float((left + right).sum()) / 2)
            if limits.agree(analytic, numerics[-1]):
                return Slope(analytic, numerics[-1], _relative(analytic, numerics[-1], limits.least()))
        best, doubt = _settled(numerics)
        if abs(analytic - best) <= 4 * doubt:
            return Slope(analytic, best, _relative(analytic, best, limits.floor))
        allowed = limits.allowed(analytic, numerics[-1])
        lowest, highest = float(np.minimum(left, right).sum()), float(np.maximum(left, right).sum())
        if lowest - allowed <= analytic <= highest + allowed:
            return Slope(analytic, best, 0.0, on_kink=True)
        return Slope(analytic, best, _relative(analytic, best, 0.0), wrong=True)


def _settled(numerics: list[float]) -> tuple[float, float]:
    """Of derivatives by ever smaller steps the one that changes least from that before, and by how much it does."""
    changes = [(abs(after - before), after) for before, after in pairwise(numerics) if math.isfinite(after - before)]
    if len(numerics) > len(SHRINKS):  # which grow, so that a small change is one that is small beside them
        doubt, best = min(changes, key=lambda change: change[0] / (abs(change[1]) or 1.0))
        if doubt <= SETTLED * abs(best):
            return best, doubt
    doubt, best = min(changes[: len(SHRINKS) - 1], default=(math.inf, math.nan))
    return best, doubt


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


def _numeric(array: Array, slopes: list[Slope], moves: list[tuple[Any, Any]]) -> Array:
    """The derivatives by differences, each at its entry."""
    numeric = np.full(array.shape, np.nan)
    for slope, (where, move) in zip(slopes, moves):
        if where is not ...:
            numeric[where] = slope.numeric / move
    return numeric


def _complaint(slope: Slope, where: Any, move: Any) -> str:
    place, unit = ("along a random direction", 1.0) if where is ... else (f"at {tuple(map(int, where))}", float(move))
    digits = ".9g" if slope.error < 1e-2 else "#.3g"
    return (
        f"{place}: backward gives {slope.analytic / unit:{digits}}, differences give {slope.numeric / unit:{digits}} "
        f"(relative error {slope.error:.1e})"
    )


def _relative(a: float, b: float, floor: float) -> float:
    return abs(a - b) / (max(abs(a), abs(b), floor) or 1.0)
