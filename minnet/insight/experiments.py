"""What copies of a model show when something in them is changed: learning by heart, wrong gradients, equal scores.

diagnose draws its conclusions from these. Neither the model nor any generator is changed.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy import ndarray as Array

from ..layer import Layer
from ..random import generator
from .arrays import is_float_array, norm, rms
from .differences import Differences, Slope
from .observation import Observation

STEPS = 300  # of learning a few samples by heart
GROWTH, SHRINKAGE = 1.5, 0.25  # of the learning rate, after a step that lowered the loss and after one that did not
TOLERANCE = 1e-2  # of a gradient's relative error: a smaller one keeps no model from learning
NEGLIGIBLE = 1e-7  # of what the layer's output changes the loss by: the rest of what cancels out is rounding
OFF_KINK = 1e-2  # how far from its values an array is moved off a kink, relative to their root mean square


def learn_by_heart(model: Layer, x: Array, y: Array) -> tuple[float, float]:
    """The loss of a few samples before and after plain gradient steps on them alone, by a copy of the model.

    The learning rate adapts: a step that does not lower the loss is undone, and the next one is smaller.
    """
    observation = Observation(model, x, y)
    parameters = observation.model.parameters()
    before = loss = observation.forward()
    observation.backward()
    rate, point = 0.1, [(p, p.data.copy(), p.grad.copy()) for p in parameters]
    for _ in range(STEPS):
        for p, w, g in point:
            p.data[...] = w - rate * g
        reached = observation.forward()
        if reached < loss:
            loss, rate = reached, rate * GROWTH
            observation.backward()
            point = [(p, p.data.copy(), p.grad.copy()) for p in parameters]
        else:
            rate *= SHRINKAGE
    return before, loss


def wrong_gradient(model: Layer, x: Array, y: Array) -> str | None:
    """The first gradient, going back from the loss, that differences of the loss contradict; None if there is none."""
    double = [array.astype(np.float64) if array.dtype.kind == "f" else array for array in (x, y)]
    observation = Observation(model, *double)
    observation.model.astype(np.float64)
    observation.forward()
    observation.backward()
    giver = "the rest of the model"
    for watch in reversed(list(observation.called)):
        size = 0.0
        if is_float_array(watch.y) and is_float_array(watch.dy):
            size = norm(watch.dy) * rms(watch.y)
            watch.held = watch.y.copy()
            if _is_wrong(observation, watch.held, partial(getattr, watch, "dy")):
                return f"the gradient that {giver} hands back to {watch.title}"
            watch.held = None
        for name, p in watch.own.items():
            if _is_wrong(observation, p.data, partial(getattr, p, "grad"), NEGLIGIBLE * size):
                return f"the gradient of {name} of {watch.title}"
        giver = watch.title
    return None


# On a kink of ReLU or of max, any gradient between the slopes of the two sides is right. The loss adds up many kinks,
# and its own two slopes do not show those, so on a kink the gradient is compared again at a point a little off it.
def _is_wrong(observation: Observation, array: Array, gradient: Callable[[], Array], negligible: float = 0.0) -> bool:
    """Whether differences of the loss along a random direction contradict the gradient with respect to an array.

    negligible: a slope that counts as 0, as that of a bias in front of a batch norm is.
    """
    before, rng = array.copy(), generator(0)
    here = _slope(observation, array, gradient, rng)
    if (here.error <= TOLERANCE and not here.on_kink) or max(abs(here.analytic), abs(here.numeric)) < negligible:
        return False
    array += OFF_KINK * (rms(before) or 1.0) * rng.normal(size=array.shape)
    off_kink = _slope(observation, array, gradient, generator(0))  # along the same direction: it has shown a difference
    array[...] = before
    if math.isfinite(off_kink.numeric):
        return off_kink.wrong or off_kink.on_kink
    return here.wrong and math.isfinite(here.numeric)  # since the loss has no value off the kink


def _slope(observation: Observation, array: Array, gradient: Callable[[], Array], rng: np.random.Generator) -> Slope:
    """The slope of the loss along a random direction of an array; NaN by differences where the loss has no value."""

    def loss() -> float:
        try:
            return observation.forward()
        except Exception:  # it expects probabilities, or divides by a norm of 0
            return math.nan

    differences = Differences(loss, 1.0, rng, TOLERANCE)
    if math.isfinite(differences.y):
        observation.backward()
    return differences.compare_direction(array, gradient())


def loss_of_equal_scores(model: Layer, observation: Observation) -> float | None:
    """What the loss would be if all scores that a loss layer is given were 0; None if that can't be computed."""
    for watch in reversed(observation.called):
        if isinstance(watch.y, (float, np.floating)) and is_float_array(watch.x):
            scores, *rest = watch.inputs
            loss = copy.deepcopy(model.walk(Layer)[watch.name]).train()
            equal_scores = partial(loss.forward, np.zeros(scores.shape), *rest, **watch.options)
            try:
                return float(observation.call_and_reset(equal_scores))
            except ValueError:  # it expects probabilities, for example
                return None
    return None
