"""What the targets ask of a model, and whether its last layers can give it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy import ndarray as Array

from .arrays import is_float_array
from .observation import Watch


def about_targets(called: list[Watch], y: Array) -> Iterator[str]:
    """Targets that are all the same, and scores that can't be negative."""
    if len(y) > 1 and (y == y[:1]).all():
        yield f"all {len(y)} targets in y are the same: any model learns to give that; look at how y is loaded"
    for before, after in pairwise(called):
        cuts = not before.own and is_float_array(before.x) and np.any(before.x < 0) and np.all(before.y >= 0)
        if cuts and after.layer.takes_scores:
            yield f"{before.title} leaves no score below 0 to {after.title}, so none can become unlikely; leave it out"
