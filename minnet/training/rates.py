"""The rates of a schedule at a sample of steps, by which a checkpoint recognizes it.

To compare its code would be worse: bytecode differs between versions of Python, and leaves out the variables that it
reads. A schedule may end, as a table of rates does: its rate is None from there on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

Schedule = Callable[[int], float]
Rates = dict[str, float | None]  # by step, as in a file

STEPS = [*range(32), *(round(32 * 1.1**k) for k in range(87))]  # to beyond 100,000
EVEN = 128  # steps of those that a run has left, evenly spaced
MOST_DIGITS, MOST_STEPS = 12, 10_000  # of a step, and in all, that are accepted from a file


def rates_at(schedule: Schedule, steps: Iterable[str]) -> Rates:
    """The rates of a schedule at these steps."""
    return {step: _rate(schedule, int(step)) for step in steps}


def sample(schedule: Schedule, start: int = 0, end: int = 0) -> Rates:
    """The rates of a schedule at a sample of steps, and on both sides of where it begins or ceases to be constant.

    The steps are dense from start on, and evenly spaced up to end, where a run ends.
    """
    even = [start + (end - start) * i // EVEN for i in range(EVEN)] if end > start else []
    steps = sorted({*(start + step for step in STEPS), *even})
    found = {step: _rate(schedule, step) for step in steps}
    for before, low, high, after in zip(steps, steps[1:], steps[2:], steps[3:]):
        ceases, begins = found[before] == found[low], found[high] == found[after]
        if found[low] == found[high] or not (ceases or begins):
            continue
        constant, first, last = found[low] if ceases else found[high], low, high
        while last - first > 1:
            middle = (first + last) // 2
            found[middle] = _rate(schedule, middle)
            if (found[middle] == constant) == ceases:
                first = middle
            else:
                last = middle
    return {str(step): found[step] for step in sorted(found)}


def difference(here: Rates, there: Rates) -> list[tuple[str, str]]:
    """Both rates, in words, at the first step where they differ beyond rounding: a list of one pair, or an empty one.

    Steps at which one of them has ended are passed over; a schedule and a number differ too.
    """
    if not here or not there:
        return [("a schedule" if here else "a number", "a schedule" if there else "a number")] if here or there else []
    scale = max(abs(rate or 0.0) for rate in there.values())
    for step, other in there.items():
        own = here.get(step)
        if own is not None and other is not None and not math.isclose(own, other, rel_tol=1e-6, abs_tol=1e-9 * scale):
            return [(f"{own:.9g} at step {step}", f"{other:.9g} at step {step}")]
    return []


def are_rates(value: Any) -> bool:
    """Whether a value from a file can be rates; they are {} if there is no schedule."""
    return (
        isinstance(value, dict)
        and len(value) <= MOST_STEPS
        and all(step.isascii() and step.isdigit() and len(step) <= MOST_DIGITS for step in value)
        and all(rate is None or (type(rate) is float and math.isfinite(rate)) for rate in value.values())
    )


def _rate(schedule: Schedule, step: int) -> float | None:
    try:
        with np.errstate(all="ignore"):
            rate = float(schedule(step))
    except Exception:
        return None
    return rate if math.isfinite(rate) else None
