"""diagnose: what a good teacher looks at first when a model doesn't learn."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from operator import itemgetter
from typing import Any

import numpy as np
from numpy import ndarray as Array
from numpy.typing import ArrayLike

from ..arguments import described, number, plain_array
from ..layer import Layer
from ..naming import one_line
from ..parts import each_part, is_several, named_parts
from .arrays import is_float_array
from .diagnosis import Diagnosis, LayerDiagnosis, layer_diagnosis
from .experiments import STEPS, learn_by_heart, loss_of_equal_scores
from .findings import (
    about_dead_units,
    about_gradients,
    about_no_training,
    about_sameness,
    about_sizes,
    about_updates,
    frozen_part,
)
from .gradients import wrong_gradient
from .observation import Observation, Watch, first_not_finite
from .plain_arrays import untrained_arrays
from .shared import about_shared_layers
from .targets import about_targets, too_large

SAMPLES = 32  # that a model should be able to learn by heart
MANY_DEAD = 0.5  # of the units of a layer
MAYBE = "plain steps may be too slow for it: try Adam; or it may be too small: try more units"
HALF, FEW = 0.5, 0.1  # of a loss, after learning by heart: more is not learned at all, or slowly


def diagnose(model: Layer, x: Any, y: ArrayLike, lr: float = 0.01) -> Diagnosis:
    """What stands in the way of training a model, as far as one batch shows it.

    model: called as model(x, y) for the loss, as in fit.  x, y: a batch, of some dozens of samples or more; x may be a
    tuple of arrays.
    lr: the learning rate, for the size of updates by a plain gradient step.

    It looks for: values that are not finite; plain arrays that ought to be parameters; samples or targets that are all
    alike; targets that the model can't give, or that are far larger than what it gives; scores that can't be negative;
    inputs and activations that are too large; an initial loss above that of a guess; units that are 0 for every sample;
    gradients that vanish or explode; a learning rate that is far off; a layer that is called twice before backward and
    has one cache; whether the model can learn up to 32 of the samples by heart; and gradients that differences
    contradict: each layer is run by itself, in float64, also a little off where its slope jumps (ReLU at 0, tied
    maxima).
    Everything runs on copies, in training mode, from one random state: neither the model nor a generator changes, and
    the report is always the same. What is frozen stays as it is. It takes 300 passes with 32 samples, and a dozen of
    each layer.
    Returns a report that prints as a table. Raises TypeError and ValueError for arguments that don't fit.
    """
    if not isinstance(model, Layer):
        raise TypeError(f"diagnose: expected model to be a Layer, got {described(model)}")
    x = tuple(_samples(*part) for part in named_parts(x).items()) if is_several(x) else _samples("x", x)
    y, lr = _samples("y", y), number("diagnose", "lr", lr)
    _expect_rows(*named_parts(x).values(), y)
    with np.errstate(all="ignore"):
        observation = Observation(model, x, y)
        loss = observation.forward()
        shared = _backward(model, observation)
        called = observation.called
        rows = [layer_diagnosis(watch, lr) for watch in called if is_float_array(watch.y)]
        equal_scores, chance = _without_learning(observation, y, loss)
        if broken := first_not_finite(observation, loss):
            return Diagnosis(one_line(model), loss, chance, None, broken[0], rows, [broken[1]])
        findings = shared or untrained_arrays(model, partial(_pass, x, y))
        findings += [*about_sameness(x), *about_targets(called, y), *about_sizes(called, x, loss, chance)]
        overfit, untrained = None, about_no_training(observation.parameters)
        if untrained or shared:  # the rest would follow from it
            findings += untrained
        else:
            overfit, by_heart = _by_heart(observation, equal_scores)
            if not any(about_sameness(x)):
                learned = loss < (chance[1] if chance else equal_scores or 0.0) / 2
                findings += _about_passes(called, rows, lr, learned, slow=by_heart > FEW)
            findings += _about_learning(observation, by_heart > HALF, overfit, others=bool(findings))
    frozen = frozen_part(observation.watches)
    return Diagnosis(one_line(model), loss, chance, overfit, None, rows, findings, frozen)


def _expect_rows(*parts: Array) -> None:
    """Raises ValueError unless all have as many rows, at least one."""
    if not all(part.ndim and len(part) for part in parts) or len(set(map(len, parts))) > 1:
        got = " and ".join(str(part.shape) for part in parts)
        raise ValueError(f"diagnose: expected x and y with one row for each of some samples, got shapes {got}")


def _samples(name: str, data: Any) -> Array:
    """A copy of x or y; float16 becomes float32, as in a layer."""
    array = np.array(plain_array("diagnose", name, data))
    return array.astype(np.float32) if array.dtype == np.float16 else array


def _pass(x: Any, y: Array, model: Layer) -> Any:
    """What a model gives for its loss, after its backward."""
    loss = model(x, y)
    model.backward()
    return loss


def _backward(model: Layer, observation: Observation) -> list[str]:
    """Run backward. Returns findings about layers whose gradients it can't have computed."""
    try:
        observation.backward()
    except RuntimeError:  # a cache can't be used twice
        if shared := list(about_shared_layers(model, observation)):
            return shared
        raise
    return list(about_shared_layers(model, observation))


def _without_learning(observation: Observation, y: Array, loss: float) -> tuple[float | None, tuple[str, float] | None]:
    """The loss of equal scores, and that of a guess; None where the loss is a sum of several, or a multiple of one."""
    losses = [float(watch.y) for watch in observation.called if isinstance(watch.y, (float, np.floating))]
    if not all(math.isclose(each, loss, rel_tol=1e-6) for each in losses):
        return None, None
    equal_scores = loss_of_equal_scores(observation.original, observation)
    return equal_scores, _chance(observation.called, y, equal_scores)


def _chance(called: list[Watch], y: Array, equal_scores: float | None) -> tuple[str, float] | None:
    """The loss of a guess, with a name for it: that of equal scores if it is known, which is often ln C."""
    classifying = [watch for watch in called if watch.layer.count_correct() is not None and is_float_array(watch.x)]
    if classifying:
        classes = classifying[-1].x.shape[-1]
    elif any(watch.layer.is_loss for watch in called) or y.dtype.kind not in "iu" or y.min() < 0:
        return None
    else:
        classes, equal_scores = int(y.max()) + 1, None
    if classes > 1 and (equal_scores is None or not 0 < equal_scores < math.inf):
        equal_scores = math.log(classes)
    for C in (classes, 2):
        if equal_scores and math.isclose(equal_scores, math.log(C), rel_tol=1e-6):
            return f"ln {C}", math.log(C)
    return ("that of equal scores", equal_scores) if equal_scores else None


def _about_passes(
    called: list[Watch], rows: list[LayerDiagnosis], lr: float, learned: bool, slow: bool
) -> Iterator[str]:
    """What the figures of a pass forward and one back tell."""
    dead = {row.name: row.dead for row in rows if row.dead is not None and row.dead > MANY_DEAD}
    yield from about_dead_units(dead)
    yield from about_gradients(called, dead, slow)
    if not too_large(called):
        yield from about_updates(called, lr, learned)


def _by_heart(observation: Observation, equal_scores: float | None) -> tuple[tuple[float, float], float]:
    """The loss of some samples before and after training on them, and which part of it is left to learn."""
    before, after = learn_by_heart(observation.original, *_some(observation))
    known = equal_scores is not None and after < equal_scores / 10
    return (before, after), 0.0 if known else after / before if before else 1.0


def _about_learning(observation: Observation, stuck: bool, losses: tuple[float, float], others: bool) -> list[str]:
    """A gradient that differences contradict, and samples that are not learned by heart, with what hinders it."""
    x, y = _some(observation)
    wrong = wrong_gradient(observation.original, x, y)
    if not stuck:
        return [wrong] if wrong else []
    reason = wrong or f"its gradients fit the loss, so {'see above' if others else MAYBE}"
    return [
        f"the model can't learn {len(y)} samples by heart, {STEPS} steps took their loss from {losses[0]:.3g} to "
        f"{losses[1]:.3g}: {reason}"
    ]


def _some(observation: Observation) -> tuple[Any, Array]:
    """Some samples, from the whole batch: it may be sorted."""
    rows = np.unique(np.linspace(0, len(observation.y) - 1, SAMPLES).astype(int))
    return each_part(itemgetter(rows), observation.x), observation.y[rows]
