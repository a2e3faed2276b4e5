"""Races between implementations of the same arithmetic: interleaved in one process, and told as ratios.

A ratio is taken within each round, in which everybody runs once, in a random order: what disturbs the machine
disturbs both sides. Medians and quartiles over the rounds are what is printed.
"""

from __future__ import annotations

import gc
import os
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import metadata
from importlib.util import find_spec

import numpy as np
from numpy import ndarray as Array

TOLERANCE = 1e-4
THREADS = 2


@dataclass
class Contestant:
    """One implementation, ready to run.

    run: what is timed; it may return the seconds that it took, if it measures them itself.
    parameters: the weights after a run, in minnet's layout; without them the arithmetic is not compared.
    remark: what is different, if it is.
    """

    run: Callable[[], float | None]
    parameters: Callable[[], list[Array]] | None = None
    remark: str = ""


@dataclass
class Race:
    """What is compared: each of `contestants` makes a Contestant, or raises ImportError where its library is missing.

    steps: how many steps there are in a run; times are per step.  unit: what a step is called, in `scale` seconds.
    """

    name: str
    title: str
    contestants: dict[str, Callable[[], Contestant]]
    rounds: int
    steps: int = 1
    unit: str = "µs a step"
    scale: float = 1e-6


@dataclass
class Result:
    """Seconds a step of each contestant, one for each round."""

    race: Race
    seconds: dict[str, list[float]]
    remarks: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    def ratio(self, name: str, other: str) -> tuple[float, float, float]:
        """The lower quartile, the median and the upper quartile of name / other."""
        return quartiles(np.array(self.seconds[name]) / np.array(self.seconds[other]))

    def subjects(self) -> list[str]:
        return [name for name in self.seconds if name.startswith("minnet")]

    def as_dict(self) -> dict[str, object]:
        ratios = {name: {other: self.ratio(name, other) for other in self.seconds} for name in self.subjects()}
        return {"name": self.race.name, "title": self.race.title, "seconds": self.seconds, "ratios": ratios}

    def __str__(self) -> str:
        rows = [["", self.race.unit, "quartiles", *(f"{name} / it" for name in self.subjects())]]
        for name, seconds in self.seconds.items():
            low, middle, high = (value / self.race.scale for value in quartiles(seconds))
            ratios = [self.ratio(subject, name) for subject in self.subjects()]
            cells = [f"{mid:.2f} ({lo:.2f} to {hi:.2f})" for lo, mid, hi in ratios]
            rows.append([name, f"{middle:.1f}", f"{low:.1f} to {high:.1f}", *cells])
        widths = [max(map(len, column)) for column in zip(*rows)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
        notes = [f"  {name}: {remark}" for name, remark in self.remarks.items()]
        return "\n".join([f"{self.race.title} ({self.race.name})", *lines, *notes])


def quartiles(values: list[float] | Array) -> tuple[float, float, float]:
    low, middle, high = np.percentile(values, [25, 50, 75]).tolist()
    return low, middle, high


def hold(race: Race) -> Result:
    """Check that the contestants compute the same, then time them round by round."""
    contestants, missing = {}, []
    for name, make in race.contestants.items():
        try:
            contestants[name] = make()
        except ImportError as error:
            missing.append(f"{name} ({error})")
    for contestant in contestants.values():
        contestant.run()
    check_equal(race, contestants)
    gc.collect()
    gc.freeze()  # or each collection between two runs walks through all of torch
    order = np.random.default_rng(0)
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(race.rounds):
        for i in order.permutation(len(contestants)):
            name = list(contestants)[i]
            seconds[name].append(timed(contestants[name].run) / race.steps)
    return Result(race, seconds, {name: c.remark for name, c in contestants.items() if c.remark}, missing)


def timed(run: Callable[[], float | None]) -> float:
    gc.collect()
    gc.disable()
    try:
        start = time.perf_counter()
        own = run()
        elapsed = time.perf_counter() - start
    finally:
        gc.enable()
    return elapsed if own is None else own


def check_equal(race: Race, contestants: dict[str, Contestant]) -> None:
    """Whether all have the same parameters after the same steps; a race of unequals would mean nothing."""
    found = {name: c.parameters() for name, c in contestants.items() if c.parameters}
    for name, arrays in found.items():
        first, expected = next(iter(found.items()))
        worst = max(float(abs(np.asarray(a) - e).max()) for a, e in zip(arrays, expected, strict=True))
        if not worst <= TOLERANCE:
            raise AssertionError(f"{race.name}: the parameters of {name} differ from those of {first} by {worst:.1e}")


def environment() -> dict[str, object]:
    """The machine and the versions, as far as they can be found."""
    versions = {}
    for package in ("numpy", "minnet", "torch", "scikit-learn", "jax"):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "threads": dict(threads()),
        "versions": versions,
        "float32 matrix product, GFLOP/s": round(matrix_product_rate()),
    }


def threads() -> Iterator[tuple[str, int | str]]:
    """How many threads each library may use; torch is told, and JAX decides for itself."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        yield "BLAS", os.environ.get("OPENBLAS_NUM_THREADS", "its default")
    else:
        for pool in threadpool_info():
            yield f"{pool['internal_api']} of {pool['prefix']}", pool["num_threads"]
    if find_spec("torch"):
        yield "torch", THREADS


def matrix_product_rate(n: int = 1024) -> float:
    """The best of several products of n × n matrices, in GFLOP/s."""
    a = np.random.default_rng(0).random((n, n), np.float32)
    product = np.empty_like(a)

    def run() -> None:
        np.dot(a, a, out=product)

    return 2 * n**3 / min(timed(run) for _ in range(10)) / 1e9
