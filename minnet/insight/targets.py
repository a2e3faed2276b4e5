"""What the targets ask of a model, and whether its last layers can give it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy import ndarray as Array

from ..random import generator
from .arrays import is_float_array, rms
from .observation import Watch, copied

LARGE = 10.0  # the root mean square of targets, above 1 and above that of what the model gives
SIZES, LARGER_SIZE = (0.1, 1.0, 10.0, 100.0), 1000.0  # of what layers are given, to see between which values they stay
ROWS = 256
MARGIN = 0.01  # of the range of values, by which a target may lie outside


def about_targets(called: list[Watch], y: Array) -> Iterator[str]:
    """Targets that are all the same, that are too large or out of reach, and scores that can't be negative."""
    if len(y) > 1 and (y == y[:1]).all():
        yield f"all {len(y)} targets in y are the same: any model learns to give that; look at how y is loaded"
    for before, after in pairwise(called):
        cuts = not before.own and is_float_array(before.x) and np.any(before.x < 0) and np.all(before.y >= 0)
        if cuts and after.layer.takes_scores:
            yield f"{before.title} leaves no score below 0 to {after.title}, so none can become unlikely; leave it out"
    yield from _about_reach(called) or _about_scale(called)


def too_large(called: list[Watch]) -> bool:
    """Whether the targets are far larger than what the model gives."""
    return bool(_about_scale(called))


def _about_scale(called: list[Watch]) -> list[str]:
    """Targets that are far larger than what the model gives, where the loss compares the two as they are."""
    given, target = _compared(called)
    if rms(target) <= LARGE * max(rms(given), 1.0):
        return []
    return [
        f"the size of y is {rms(target):.3g} (root mean square), what the model gives is of size {rms(given):.2g}: "
        "scale the targets, e.g. Standardize, and what the model predicts back"
    ]


def _about_reach(called: list[Watch]) -> list[str]:
    """Targets outside of what the layers behind the last parameters can give."""
    _, target = _compared(called)
    last = _behind_the_last_parameters(called)
    if not target.size or not last:
        return []
    low, high = _bounds(last)
    margin = MARGIN * (high - low if np.isfinite(high - low) else rms(target))
    outside = (target < low - margin) | (target > high + margin)
    if not outside.any():
        return []
    title = next((watch.title for watch in reversed(last) if not np.array_equal(watch.x, watch.y)), last[-1].title)
    limits = [f"{word} {limit:.3g}" for word, limit in (("below", low), ("above", high)) if np.isfinite(limit)]
    return [
        f"{title} gives no value {' or '.join(limits)}, but {outside.sum()} of {target.size} targets are, they go from "
        f"{target.min():.3g} to {target.max():.3g}: leave it out, or scale the targets into its range"
    ]


def _compared(called: list[Watch]) -> tuple[Array, Array]:
    """What a loss that does not classify compares entry by entry: what the model gives, and the targets; or nothing."""
    for watch in reversed(called):
        if watch.layer.is_loss and len(watch.inputs) > 1:
            given, target = np.asarray(watch.x), np.asarray(watch.inputs[1])
            numbers = given.dtype.kind == "f" and target.dtype.kind in "iuf" and given.shape == target.shape
            if numbers and not watch.layer.takes_scores and _gives_back(watch):
                return given, target.astype(np.float64)
            break
    return np.zeros(0), np.zeros(0)


def _gives_back(watch: Watch) -> bool:
    """Whether the prediction of a loss is what it is given."""
    try:
        return np.array_equal(watch.forward(copied(watch.x)), watch.x)
    except Exception:  # it has no prediction
        return False


def _behind_the_last_parameters(called: list[Watch]) -> list[Watch]:
    """The layers without parameters that come last before the loss, each given what the one before gave."""
    chain: list[Watch] = []
    after = next((watch for watch in reversed(called) if watch.layer.is_loss), None)
    for watch in reversed(called):
        if after and watch.y is after.x and is_float_array(watch.x) and len(watch.inputs) == 1 and not watch.own:
            chain, after = [watch, *chain], watch
    return chain if any(watch.own for watch in called) else []


def _bounds(layers: list[Watch]) -> tuple[float, float]:
    """The least and largest value that layers give, one after the other; infinite where it grows with what they get."""
    lows, highs, rng = [], [], generator(0)
    try:
        for size in (*SIZES, LARGER_SIZE):
            x = size * rng.normal(size=(max(ROWS, len(layers[0].x)), *layers[0].x.shape[1:]))
            for watch in layers:
                x = watch.forward(x)
            lows.append(float(x.min()))
            highs.append(float(x.max()))
    except Exception:  # such values are not for them
        return -np.inf, np.inf
    low, high = min(lows[:-1]), max(highs[:-1])
    margin = MARGIN * (high - low)
    return (
        round(low, 6) if lows[-1] >= low - margin else -np.inf,
        round(high, 6) if highs[-1] <= high + margin else np.inf,
    )
