"""Races between implementations of the same arithmetic: interleaved, and told as ratios.

A ratio is taken within each round, in which everybody runs once, in a random order: what disturbs the machine
disturbs both sides. Medians and quartiles over the rounds are what is printed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

import numpy as np
from machine import matrix_product_rate
from numpy import ndarray as Array
from worker import Contestant, Worker

# Root mean square, per array. Adam moves an entry by its full rate even where the gradient is no more than rounding:
# two steps of a large perceptron move the weights by 2e-3, and single ones of JAX as far from ours; all by 3e-5.
TOLERANCE = 1e-4
ROUNDS = 3, 200  # at least and at most; in between, it's the time that a race may take

Quartiles = tuple[float, float, float]


@dataclass
class Race:
    """What is compared: each of `contestants` makes a Contestant, or raises ImportError where its library is missing.

    steps: how many steps there are in a run; times are per step.  unit: what a step is called, in `scale` seconds, or
    in `scale` of what the contestants measure themselves.  rounds: at least and at most.  warm_up: whether there is an
    untimed run before each.
    operations: of the matrix products in a step of a contestant; its share of the machine's rate is then told.
    """

    name: str
    title: str
    contestants: dict[str, Callable[[], Contestant]]
    steps: int = 1
    unit: str = "µs"
    scale: float = 1e-6
    rounds: tuple[int, int] = ROUNDS
    warm_up: bool = True
    operations: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Goal:
    """The figure of `subject` is to be at most `limit` times that of `other`."""

    other: str
    limit: float
    subject: str = "minnet"


@dataclass
class Result:
    """What was measured of each contestant, seconds a step as a rule, once for each round."""

    race: Race
    figures: dict[str, list[float]]
    goals: tuple[Goal, ...] = ()
    remarks: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    def ratio(self, name: str, other: str) -> Quartiles:
        """The lower quartile, the median and the upper quartile of name / other."""
        return quartiles(np.array(self.figures[name]) / np.array(self.figures[other]))

    def subjects(self) -> list[str]:
        return [name for name in self.figures if name.startswith("minnet")]

    def judged(self) -> list[tuple[Goal, Quartiles]]:
        """The goals that can be judged here, with the ratio that was measured; its median decides."""
        measured = [goal for goal in self.goals if {goal.subject, goal.other} <= self.figures.keys()]
        return [(goal, self.ratio(goal.subject, goal.other)) for goal in measured]

    def figure(self, name: str) -> Quartiles:
        """The quartiles in the unit of the race."""
        low, middle, high = quartiles(self.figures[name])
        return low / self.race.scale, middle / self.race.scale, high / self.race.scale

    def share_of_rate(self, name: str) -> float:
        """Of the machine's matrix-product rate, from 0 to 1."""
        return self.race.operations[name] / quartiles(self.figures[name])[1] / (matrix_product_rate() * 1e9)

    def as_dict(self) -> dict[str, object]:
        ratios = {name: {other: self.ratio(name, other) for other in self.figures} for name in self.subjects()}
        goals = [asdict(goal) | {"ratio": ratio, "held": ratio[1] <= goal.limit} for goal, ratio in self.judged()]
        shares = {name: self.share_of_rate(name) for name in self.race.operations}
        own = {"name": self.race.name, "title": self.race.title, "unit": self.race.unit, "scale": self.race.scale}
        return own | {"figures": self.figures, "ratios": ratios, "goals": goals, "shares of the rate": shares}

    def __str__(self) -> str:
        shares = ["of the rate"] if self.race.operations else []
        rows = [["", self.race.unit, "quartiles", *shares, *(f"{name} / it" for name in self.subjects())]]
        for name in self.figures:
            low, middle, high = (number(value) for value in self.figure(name))
            shares = [f"{self.share_of_rate(name):.0%}"] if self.race.operations else []
            ratios = [spread(self.ratio(subject, name)) for subject in self.subjects()]
            rows.append([name, middle, f"{low} to {high}", *shares, *ratios])
        widths = [max(map(len, column)) for column in zip(*rows)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
        notes = [f"  {name}: {remark}" for name, remark in self.remarks.items()]
        goals = [f"  goal: {goal.subject} {verdict(goal, ratio)} of {goal.other}" for goal, ratio in self.judged()]
        return "\n".join([f"{self.race.title} ({self.race.name})", *lines, *notes, *goals])


def quartiles(values: list[float] | Array) -> Quartiles:
    low, middle, high = np.percentile(values, [25, 50, 75]).tolist()
    return low, middle, high


def number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def spread(ratio: Quartiles) -> str:
    low, middle, high = map(times, ratio)
    return f"{middle} ({low} to {high})"


def times(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio >= 0.2 else f"{ratio:.3f}"


def verdict(goal: Goal, ratio: Quartiles) -> str:
    return f"{spread(ratio)} {'≤' if ratio[1] <= goal.limit else '>'} {goal.limit:.2f}"


def hold(race: Race, goals: tuple[Goal, ...], budget: float) -> Result:
    """Check that the contestants compute the same, then time them round by round, for so many seconds."""
    workers: dict[str, Worker] = {}
    missing = []
    try:
        for name, make in race.contestants.items():
            try:
                workers[name] = Worker(make)
            except ImportError as error:
                missing.append(f"{name} ({error})")
        check_equal(race.name, {name: worker.parameters() for name, worker in workers.items()})
        figures = run_rounds(race, workers, budget)
    finally:
        for worker in workers.values():
            worker.stop()
    return Result(race, figures, goals, {name: w.remark for name, w in workers.items() if w.remark}, missing)


def run_rounds(race: Race, workers: dict[str, Worker], budget: float) -> dict[str, list[float]]:
    order, end = np.random.default_rng(0), time.perf_counter() + budget
    figures: dict[str, list[float]] = {name: [] for name in workers}
    least, most = race.rounds
    for done in range(most):
        if done >= least and time.perf_counter() > end:
            break
        for name in order.permutation(list(workers)).tolist():
            figures[name].append(workers[name].timed(race.warm_up) / race.steps)
    return figures


def check_equal(race: str, parameters: dict[str, list[Array] | None]) -> None:
    """Whether all have the same parameters after the same steps; a race of unequals would mean nothing."""
    found = {name: arrays for name, arrays in parameters.items() if arrays}
    for name, arrays in found.items():
        first, expected = next(iter(found.items()))
        worst = max(float(np.sqrt(np.mean((a - e) ** 2))) for a, e in zip(arrays, expected, strict=True))
        if not worst <= TOLERANCE:
            raise AssertionError(f"{race}: the parameters of {name} differ from those of {first} by {worst:.1e}")
