"""The random generator: one for the package, or one of your own.

NumPy's global state is neither read nor written.
"""

from __future__ import annotations

from functools import cache
from typing import TypeAlias

import numpy as np

from .arguments import described

Rng: TypeAlias = "int | np.random.Generator | None"
EITHER = "a seed (an int) or a numpy.random.Generator"


@cache
def _package() -> np.random.Generator:
    """Made when it is first used, since numpy.random takes a tenth of the time of importing NumPy."""
    return np.random.default_rng()


def seed(n: int) -> None:
    """Restart the package's generator from n, for all who hold it: same seed, same machine, same bytes.

    Raises TypeError for what is no int, a generator too; ValueError for a negative int.
    """
    if isinstance(n, np.random.Generator):
        raise TypeError("seed: expected a seed (an int), got a Generator; pass that as rng= to what shall draw from it")
    _package().bit_generator.state = np.random.PCG64(_checked("seed", n, "a seed (an int)")).state


def generator(rng: Rng = None) -> np.random.Generator:
    """The package's generator, or a new one made from an int, or the one given.

    Raises TypeError for anything else, ValueError for a negative int.
    """
    if rng is None:
        return _package()
    return rng if isinstance(rng, np.random.Generator) else np.random.default_rng(_checked("rng", rng, EITHER))


def _checked(owner: str, n: int, expected: str) -> int:
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)):
        raise TypeError(f"{owner}: expected {expected}, got {described(n)}")
    if n < 0:
        raise ValueError(f"{owner}: expected a seed of at least 0, got {n}")
    return int(n)
