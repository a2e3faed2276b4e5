"""What copies of a model show when something in them is changed: learning by heart, wrong gradients, equal scores.

diagnose draws its conclusions from these. Neither the model nor any generator is changed.
"""

from __future__ import annotations

import copy
import math
from functools import partial
from typing import Any

import numpy as np
from numpy import ndarray as Array

from ..layer import Layer
from .arrays import is_float_array
from .observation import Observation, is_trained

STEPS = 300  # of learning a few samples by heart
GROWTH, SHRINKAGE = 1.5, 0.25  # of the learning rate, after a step that lowered the loss and after one that did not


def learn_by_heart(model: Layer, x: Any, y: Array) -> tuple[float, float]:
    """The loss of a few samples before and after plain gradient steps on them alone, by a copy of the model.

    The learning rate adapts: a step that does not lower the loss is undone, and the next one is smaller.
    """
    observation = Observation(model, x, y)
    trained = [p for p in observation.parameters if is_trained(p)]
    before = loss = observation.forward()
    observation.backward()
    rate, point = 0.1, [(p, p.data.copy(), np.array(p.grad)) for p in trained]
    for _ in range(STEPS):
        for p, w, g in point:
            p.data[...] = w - rate * g
        try:
            reached = observation.forward()
        except (ArithmeticError, ValueError):  # the loss has no value there
            reached = math.inf
        if reached < loss:
            loss, rate = reached, rate * GROWTH
            observation.backward()
            point = [(p, p.data.copy(), np.array(p.grad)) for p in trained]
        else:
            rate *= SHRINKAGE
    return before, loss


def loss_of_equal_scores(model: Layer, observation: Observation) -> float | None:
    """What the loss would be if all scores that a loss layer is given were 0; None if that can't be computed."""
    for watch in reversed(observation.called):
        if isinstance(watch.y, (float, np.floating)) and is_float_array(watch.x):
            scores, *rest = watch.inputs
            loss = copy.deepcopy(model.walk(Layer)[watch.name]).train()
            equal_scores = partial(loss.forward, np.zeros(scores.shape), *rest, **watch.options)
            try:
                return float(observation.call_and_reset(equal_scores))
            except Exception:  # it expects probabilities, or divides
                return None
    return None
