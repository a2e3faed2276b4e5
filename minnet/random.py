"""The random generator: one for the package, or one of your own.

NumPy's global state is neither read nor written.
"""

from __future__ import annotations

from functools import cache
from typing import TypeAlias

import numpy as np

from .arguments import described

Rng: TypeAlias = "int | np.random.Generator | None"
SEED_OR_GENERATOR = "a seed (an int) or a numpy.random.Generator"


@cache
def _package() -> np.random.Generator:
    """The package's generator, made at first use: importing numpy.random takes a tenth as long as importing NumPy."""
    return np.random.default_rng()


def seed(n: int) -> None:
    """Restart the package's generator from n, also for layers that already hold it.

    The same seed gives the same bytes on the same machine, with the same number of threads for matrix products.
    Raises TypeError for anything but an int, also for a generator; ValueError for a negative int.
    """
    if isinstance(n, np.random.Generator):
        raise TypeError("seed: expected a seed (an int), got a Generator; pass that as rng= to whatever draws from it")
    _package().bit_generator.state = np.random.PCG64(_checked_seed("seed", n, "a seed (an int)")).state


def generator(rng: Rng = None) -> np.random.Generator:
    """The package's generator, or a new one made from an int, or the one given.

    Raises TypeError for anything else, ValueError for a negative int.
    """
    if rng is None:
        return _package()
    if isinstance(rng, np.random.Generator):
        return rng
    return np.random.default_rng(_checked_seed("rng", rng, SEED_OR_GENERATOR))


def _checked_seed(owner: str, n: int, expected: str) -> int:
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)):
        raise TypeError(f"{owner}: expected {expected}, got {described(n)}")
    if n < 0:
        raise ValueError(f"{owner}: expected a seed of at least 0, got {n}")
    return int(n)
