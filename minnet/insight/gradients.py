"""Whose gradient is wrong: each layer of a model is compared with differences of its own forward, by itself.

Differences of the loss would come back through all layers after it, where a small step crosses many kinks and what is
left of a gradient may be less than rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy import ndarray as Array

from ..layer import Layer
from ..parts import each_part
from ..random import generator
from .alone import Alone, Dependence, Source, floats
from .arrays import norm, rms
from .differences import Differences, Slope
from .observation import Observation, Watch, is_trained

TOLERANCE = 1e-2  # of a gradient's relative error: a smaller one keeps no model from learning
TOLERANCE_AT_ONCE = 1e-6  # of all gradients together, where a large one may hide a small one
DIRECTIONS_AT_ONCE = 2
DIRECTIONS = 6  # in which an array by itself is moved, since a small part may weigh too little along one
TYPICAL = 0.3  # of the norm of a gradient: where the slope along a direction is less, the error is relative to this
LARGER = 1e3  # times the usual step, for a layer that computes in float32 by itself
OFF_KINK = 1e-2  # how far from its values an array is moved off a kink, relative to their root mean square
NUDGE = 1e-3  # of a parameter, relative to its size, to see what depends on it


def wrong_gradient(model: Layer, x: Any, y: Array) -> str | None:
    """A sentence about a gradient that differences contradict; None if there is none.

    Layers with none inside come first, from the loss back: what is wrong in one spoils what those around it do.
    """
    observation = Observation(model, each_part(_in_float64, x), _in_float64(y))
    observation.model.astype(np.float64)
    observation.forward()
    observation.backward()
    depends = _dependence(observation)
    ended = list(dict.fromkeys(observation.forwards))
    inside = {watch: [w for w in ended if w.caller is watch and w.calls == 1] for watch in ended if watch.returns}
    given = {id(array): watch for watch in reversed(ended) for array in floats(watch.y)}
    givers = {watch: given[id(watch.x)] for watch in ended if id(watch.x) in given}
    writers: list[Watch] = []
    for watch in [*(w for w in reversed(ended) if not inside.get(w)), *(w for w in ended if inside.get(w))]:
        if watch not in inside:
            continue
        if inside[watch]:
            observation.forward()  # the last comparison has left other inputs and caches behind
        alone = Alone(observation, watch, inside[watch], depends)
        try:
            found = Comparison(alone).first_wrong()
        except Exception:  # it can't be run by itself
            found = None
        finally:
            alone.release()
        if found:
            return _about_writing(watch, writers) or _about(watch, *found, givers.get(watch))
        writers += [watch] * alone.writes
    return None


def _dependence(observation: Observation) -> Dependence:
    """What depends on a trained parameter: what changes if all of them do a little."""
    before = {watch: (floats(watch.inputs), floats(watch.y)) for watch in observation.watches}
    trained, rng = [p for p in observation.parameters if is_trained(p)], generator(0)
    values = [p.data.copy() for p in trained]
    for p in trained:
        p.data += NUDGE * (rms(p.data) or 1.0) * rng.normal(size=p.data.shape)
    try:
        observation.forward()
        after = {watch: (floats(watch.inputs), floats(watch.y)) for watch in observation.watches}
    except Exception:  # the model has no value there
        after = {}
    for p, value in zip(trained, values):
        p.data[...] = value
    observation.forward()
    return {
        watch: (_changed(x, after.get(watch, ([], []))[0]), _changed(y, after.get(watch, ([], []))[1]))
        for watch, (x, y) in before.items()
    }


def _changed(before: list[Any], after: list[Any]) -> list[bool]:
    """Which values have changed; any may have where there are none to compare with."""
    if len(before) != len(after):
        return [True] * len(before)
    return [not np.array_equal(*pair, equal_nan=True) for pair in zip(before, after)]


def _about(watch: Watch, source: Source, gradient: Array, giver: Watch | None) -> str:
    """The sentence about a gradient that is wrong."""
    if source.name and not gradient.any():
        return f"{source.name} of {watch.title} gets no gradient, though the layer does; see its backward"
    receiver = source.receiver or giver
    what = f"the gradient of {source.name} of {watch.title}"
    if not source.name:
        what = f"the gradient that {watch.title} hands back{f' to {receiver.title}' if receiver else ''}"
    return f"{what} is wrong, as differences show; check_layer says more of a layer"


def _about_writing(watch: Watch, writers: list[Watch]) -> str | None:
    """The sentence about a layer that spoils a gradient for the layer around it, if there is one."""
    inside = set(watch.layer.walk(Layer).values())
    for writer in writers:
        if writer.layer in inside:
            return f"{writer.title} writes into the gradient that it is given, which {watch.title} needs afterwards"
    return None


class Comparison:
    """The gradients of a layer by itself, compared with differences."""

    def __init__(self, alone: Alone) -> None:
        self.alone = alone
        alone.forward()
        self.dy = alone.backward()
        self.sources = [(source, np.array(source.gradient())) for source in alone.sources()]
        self.differences = _differences(alone.forward, self.dy, TOLERANCE)

    def first_wrong(self) -> tuple[Source, Array] | None:
        """The first source whose gradient is wrong, with that gradient; None if there is none."""
        some = [(source, gradient) for source, gradient in self.sources if gradient.any()]
        agree = self._agree_at_once(some)
        for source, gradient in self.sources:
            if not (agree and gradient.any()) and self._is_wrong(source, gradient):
                return source, gradient
        return None

    # In a model of 100 layers, the outermost has as many sources: it takes seconds to go through them one by one.
    def _agree_at_once(self, sources: list[tuple[Source, Array]]) -> bool:
        """Whether the gradients agree to many digits where all arrays move, each so far that all count alike."""
        before = [source.array.copy() for source, _ in sources]
        sizes = [norm(gradient * _scale(source.array)) for source, gradient in sources]
        largest, t, rng = max(sizes, default=0.0), np.zeros(1), generator(0)
        for _ in range(DIRECTIONS_AT_ONCE):
            moves = [
                largest / size * _scale(array) * rng.normal(size=array.shape) for array, size in zip(before, sizes)
            ]
            moved = partial(self._moved, before, moves, t)
            differences = _differences(moved, self.dy, TOLERANCE_AT_ONCE)
            slope = sum(float((gradient * move).sum()) for (_, gradient), move in zip(sources, moves))
            (found,) = differences.slopes(t, np.array([slope]), [(..., np.ones(1))])
            moved()
            if found.on_kink or not found.error <= TOLERANCE_AT_ONCE:  # it may be NaN
                return False
        return True

    def _moved(self, before: list[Array], moves: list[Array], t: Array) -> Array:
        """All that leaves the layer where t of its move is added to each array that has a gradient."""
        arrays = [source.array for source, gradient in self.sources if gradient.any()]
        for array, value, move in zip(arrays, before, moves):
            array[...] = value + t * move
        return self.alone.forward()

    # On a kink of ReLU or of max, any gradient between the slopes of the two sides is right. What leaves the layer may
    # add up many kinks, and two slopes do not show those, so the gradient is compared again a little off it.
    def _is_wrong(self, source: Source, gradient: Array) -> bool:
        here = _odd_slope(self.differences, source.array, gradient)
        if here is None:
            return False
        array, before = source.array, source.array.copy()
        for seed in (1, 2):
            array += OFF_KINK * (rms(before) or 1.0) * generator(seed).normal(size=array.shape)
            try:
                there = self._slope_off_kink(source)
            except Exception:  # it expects probabilities, or divides by a norm of 0
                there = Slope(0.0, math.nan, 0.0, wrong=True)
            finally:
                array[...] = before
            if there is None or there.on_kink:
                return False
            if not math.isfinite(there.numeric):
                return here.wrong and math.isfinite(here.numeric)
        return True

    def _slope_off_kink(self, source: Source) -> Slope | None:
        self.alone.forward()
        dy = self.alone.backward()
        differences = _differences(self.alone.forward, dy, TOLERANCE)
        return _odd_slope(differences, source.array, np.array(source.gradient()))


def _differences(forward: Callable[[], Array], dy: Array, tolerance: float) -> Differences:
    """Differences of what leaves a layer; NaN where its forward raises, or gives other shapes."""

    def f() -> Array:
        try:
            y = forward()
        except Exception:
            y = np.zeros(0)
        return y if y.shape == dy.shape else np.full(dy.shape, math.nan)

    return Differences(f, dy, generator(0), tolerance)


def _odd_slope(differences: Differences, array: Array, gradient: Array) -> Slope | None:
    """Along some directions, a slope that contradicts the gradient, else one on a kink; None if there is neither."""
    scale, odd = _scale(array), None
    moves = scale * generator(0).normal(size=(DIRECTIONS, *array.shape))
    floor = TYPICAL * norm(gradient * scale)
    for move, slope in zip(moves, differences.slopes(array, gradient, [(..., move) for move in moves])):
        if _agrees(slope, floor):
            continue
        (again,) = differences.slopes(array, gradient, [(..., LARGER * move)])
        if (again.wrong and not _agrees(again, LARGER * floor)) or (again.on_kink and slope.wrong):
            return slope if slope.wrong else again
        odd = slope if slope.on_kink and again.on_kink else odd
    return odd


def _agrees(slope: Slope, floor: float) -> bool:
    """Whether a slope by backward and one by differences agree, the error being at least relative to floor."""
    error, size = abs(slope.analytic - slope.numeric), max(abs(slope.analytic), abs(slope.numeric), floor)
    return not slope.on_kink and (slope.error <= TOLERANCE or error <= TOLERANCE * size)


def _scale(array: Array) -> Array:
    """What moves are relative to: the size of each value, or that of all if it is larger."""
    return np.maximum(abs(array), rms(array) or 1.0)


def _in_float64(array: Array) -> Array:
    return array.astype(np.float64) if array.dtype.kind == "f" else array
