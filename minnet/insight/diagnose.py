"""diagnose: what a good teacher looks at first when a model doesn't learn."""

from __future__ import annotations

import math

import numpy as np
from numpy import ndarray as Array
from numpy.typing import ArrayLike

from ..arguments import described, number
from ..layer import Layer, one_line
from .arrays import is_float_array
from .diagnosis import Diagnosis, layer_diagnosis
from .experiments import STEPS, learn_by_heart, loss_of_equal_scores
from .findings import about_dead_units, about_gradients, about_sameness, about_sizes, about_updates
from .gradients import wrong_gradient
from .observation import Observation, Watch, first_not_finite
from .targets import about_targets

SAMPLES = 32  # that a model should be able to learn by heart
MANY_DEAD = 0.5  # of the units of a layer


def diagnose(model: Layer, x: ArrayLike, y: ArrayLike, lr: float = 0.01) -> Diagnosis:
    """What stands in the way of training a model, as far as one batch shows it.

    model: called as model(x, y) for the loss, as in fit.  x, y: a batch, of some dozens of samples or more.
    lr: the learning rate, for the size of updates by a plain gradient step.

    It looks for: values that are not finite; samples or targets that are all alike; scores that can't be negative;
    inputs and activations that are too large; an initial loss above that of a guess; units that are 0 for every
    sample; gradients that vanish or explode; a learning rate that is far off; and whether the model can learn up to 32
    of the samples by heart. If it can't, its gradients are compared with differences of the loss; at a kink of the
    loss (ReLU at 0, tied maxima), also a little off it.
    Everything runs on copies, in training mode, from one random state: neither the model nor a generator changes, and
    the report is always the same.
    Returns a report that prints as a table. Raises TypeError and ValueError for arguments that don't fit.
    """
    if not isinstance(model, Layer):
        raise TypeError(f"diagnose: expected model to be a Layer, got {described(model)}")
    x, y, lr = np.array(x), np.array(y), number("diagnose", "lr", lr)
    if not x.ndim or not y.ndim or len(x) != len(y) or not len(x):
        raise ValueError(
            f"diagnose: expected x and y with one row for each of some samples, got shapes {x.shape} and {y.shape}"
        )
    with np.errstate(all="ignore"):
        observation = Observation(model, x, y)
        loss = observation.forward()
        observation.backward()
        called = observation.called
        rows = [layer_diagnosis(watch, lr) for watch in called if is_float_array(watch.y)]
        equal_scores = loss_of_equal_scores(model, observation)
        chance = _chance(called, y, equal_scores)
        nonfinite, finding = first_not_finite(observation, loss) or (None, "")
        if nonfinite:
            return Diagnosis(one_line(model), loss, chance, None, nonfinite, rows, [finding])
        dead = {row.name: row.dead for row in rows if row.dead is not None and row.dead > MANY_DEAD}
        alike = list(about_sameness(x))
        findings = [*alike, *about_targets(called, y), *about_sizes(called, x, loss, chance)]
        if not alike:  # otherwise the rest would follow from it
            learned = loss < (chance[1] if chance else equal_scores or 0.0) / 2
            findings += [*about_dead_units(dead), *about_gradients(called, dead)]
            findings += about_updates(called, lr, learned)
        overfit, finding = _by_heart(model, x, y, equal_scores, others=bool(findings))
    return Diagnosis(one_line(model), loss, chance, overfit, None, rows, findings + [finding] * bool(finding))


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


def _by_heart(
    model: Layer, x: Array, y: Array, equal_scores: float | None, others: bool
) -> tuple[tuple[float, float] | None, str]:
    """The loss of some samples before and after training on them, and a sentence if it stays high."""
    if not model.parameters():
        return None, "the model has no parameters, there is nothing to train"
    rows = np.unique(np.linspace(0, len(x) - 1, SAMPLES).astype(int))
    before, after = learn_by_heart(model, x[rows], y[rows])
    if after <= before / 2 or (equal_scores is not None and after < equal_scores / 10):
        return (before, after), ""
    wrong = wrong_gradient(model, x[rows], y[rows])
    reason = (
        wrong
        if wrong
        else f"its gradients fit the loss, so {'see above' if others else 'it may be too small; try more units'}"
    )
    return (before, after), (
        f"the model can't learn {len(rows)} samples by heart, {STEPS} steps took their loss from {before:.3g} to "
        f"{after:.3g}: {reason}"
    )
